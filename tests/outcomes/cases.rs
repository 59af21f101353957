//! The kinds of change: what is edited, whether dbt's comparison of texts sees it, what a plan begins with
//! now, and what production answers after the release.

use super::project::large;
use crate::support::World;

/// One kind. `P_` stands for the prefix of the world's names.
pub struct Case {
    pub kind: &'static str,
    pub edit: fn(&mut World),
    pub was_seen_in_text: bool,
    pub now: Expected,
    /// Whether it is released by `make test` too.
    pub is_released: bool,
    /// Whether the next plan cannot say that there is nothing to do.
    pub is_never_known: bool,
    /// A query of one row, and the row.
    pub holds: (&'static str, &'static str),
}

/// What a plan begins with.
pub enum Expected {
    Nothing,
    Begins(&'static [(&'static str, &'static str)]),
}

const TRUE: (&str, &str) = ("SELECT 'yes'", "yes");

fn nothing(kind: &'static str, was_seen_in_text: bool, edit: fn(&mut World)) -> Case {
    Case {
        kind,
        edit,
        was_seen_in_text,
        now: Expected::Nothing,
        is_released: false,
        is_never_known: false,
        holds: TRUE,
    }
}

fn begins(
    kind: &'static str,
    was_seen_in_text: bool,
    now: &'static [(&'static str, &'static str)],
    edit: fn(&mut World),
    holds: (&'static str, &'static str),
) -> Case {
    Case {
        kind,
        edit,
        was_seen_in_text,
        now: Expected::Begins(now),
        is_released: false,
        is_never_known: false,
        holds,
    }
}

fn released(case: Case) -> Case {
    Case {
        is_released: true,
        ..case
    }
}

fn append(world: &World, place: &str, text: &str) {
    let before = world.project.read(place);
    world.project.write(place, &format!("{before}{text}"));
}

fn set(world: &mut World, variable: &str, value: &str) {
    world
        .environment
        .insert(variable.to_owned(), value.to_owned());
}

fn vars(world: &World, lines: &str) {
    world
        .project
        .replace("dbt_project.yml", "  cutoff: 10\n", lines);
}

const SQL: &str = "compiled SQL differs";

pub fn cases() -> Vec<Case> {
    let mut all = unchanged();
    all.extend(changed_sql());
    all.extend(moved());
    all.extend(configured());
    all.extend(data());
    all
}

fn unchanged() -> Vec<Case> {
    vec![
        nothing("a comment in a model", true, |world| {
            append(world, "models/staging/stg.sql", "-- rows of orders\n");
        }),
        nothing("formatting of a model", true, |world| {
            world.project.replace(
                "models/staging/stg.sql",
                "id, amount",
                "\n    id,\n    amount\n",
            );
        }),
        nothing("a comment of Jinja", true, |world| {
            append(world, "models/marts/totals.sql", "{# why #}");
        }),
        nothing("a macro refactored with the same result", true, |world| {
            world.project.replace(
                "macros/parts.sql",
                "{{ column }} * 2",
                "{% set by = 2 %}{{ column }} * {{ by }}",
            );
        }),
        nothing("a tag", true, |world| {
            world.project.replace(
                "models/marts/totals.sql",
                "select sum",
                "{{ config(tags=['a']) }}select sum",
            );
        }),
        nothing("meta", true, |world| {
            world.project.replace(
                "models/marts/totals.sql",
                "select sum",
                "{{ config(meta={'owner': 'us'}) }}select sum",
            );
        }),
        nothing("a key that no statement is made from", true, |world| {
            world.project.replace(
                "models/marts/totals.sql",
                "select sum",
                "{{ config(team='us') }}select sum",
            );
        }),
        nothing("a description that is not persisted", false, |world| {
            world.project.replace(
                "models/schema.yml",
                "description: totals",
                "description: all totals",
            );
        }),
        nothing("a hook's text that renders alike", true, |world| {
            world.project.replace(
                "models/staging/hooked.sql",
                "{{ granted(this) }}",
                "{{  granted( this )  }}",
            );
        }),
        nothing("the layout of dbt_project.yml", false, |world| {
            append(world, "dbt_project.yml", "\n# the end\n");
        }),
        nothing("a variable that nobody reads", false, |world| {
            vars(world, "  cutoff: 10\n  other: 1\n");
        }),
        nothing("a source's description", false, |world| {
            world.project.replace(
                "models/sources.yml",
                "- name: raw\n",
                "- name: raw\n  description: raw\n",
            );
        }),
        nothing(
            "table instead of materialized_view, which is the same",
            true,
            |world| {
                world.project.replace(
                    "models/marts/totals.sql",
                    "select sum",
                    "{{ config(materialized='table') }}select sum",
                );
            },
        ),
    ]
}

fn changed_sql() -> Vec<Case> {
    const TOTALS: &[(&str, &str)] = &[("model totals", SQL)];
    vec![
        released(begins(
            "a body",
            true,
            TOTALS,
            |world| {
                world
                    .project
                    .replace("models/marts/totals.sql", "sum(amount)", "2 * sum(amount)");
            },
            TRUE,
        )),
        released(begins(
            "the value of a variable",
            false,
            TOTALS,
            |world| vars(world, "  cutoff: 1\n"),
            TRUE,
        )),
        begins(
            "an environment variable that a macro reads",
            false,
            &[("model flavoured", SQL)],
            |world| set(world, "DBT_FLAVOUR", "sweet"),
            ("SELECT flavour FROM P_marts.flavoured", "sweet"),
        ),
        begins(
            "a macro's result",
            true,
            &[("model doubles", SQL)],
            |world| {
                world.project.replace("macros/parts.sql", "* 2", "* 3");
            },
            ("SELECT d::text FROM P_marts.doubles", "21"),
        ),
        begins(
            "a macro that is handed over as a value",
            false,
            &[("model handed", SQL)],
            |world| {
                world
                    .project
                    .replace("macros/parts.sql", "one() %}1", "one() %}2");
            },
            ("SELECT n::text FROM P_marts.handed", "2"),
        ),
        begins(
            "a ref that a variable chooses",
            false,
            &[("model pick", SQL)],
            |world| vars(world, "  cutoff: 10\n  use_p2: true\n"),
            TRUE,
        ),
        begins(
            "an ephemeral model's text: its reader",
            false,
            &[("model parts", SQL)],
            |world| {
                world
                    .project
                    .replace("models/staging/part.sql", "1 as part", "2 as part");
            },
            TRUE,
        ),
        begins(
            "an environment variable that a hook reads",
            false,
            &[("model hooked", "hooks differs")],
            |world| set(world, "DBT_SAYS", "two"),
            TRUE,
        ),
        begins(
            "a hook that is sent otherwise",
            true,
            &[("model hooked", "hooks differs")],
            |world| {
                world
                    .project
                    .replace("macros/parts.sql", "'ours'", "'theirs'");
            },
            TRUE,
        ),
    ]
}

fn moved() -> Vec<Case> {
    const COLUMNS: &[(&str, &str)] = &[("model columns", "moved from P_extra.columns")];
    vec![
        released(begins(
            "a schema that generate_schema_name decides",
            true,
            COLUMNS,
            |world| {
                world.project.replace(
                    "macros/names.sql",
                    "{%- else -%}",
                    "{%- elif node.name == 'columns' -%}{{ target.schema }}{%- else -%}",
                );
            },
            ("SELECT x::text FROM P_main1.columns", "1"),
        )),
        begins(
            "a schema by an environment variable",
            true,
            COLUMNS,
            |world| set(world, "DBT_PLACE", "marts"),
            ("SELECT x::text FROM P_marts.columns", "1"),
        ),
        released(begins(
            "the profile's schema",
            true,
            &[("model plain", "moved from P_main1.plain")],
            |world| {
                world
                    .project
                    .replace("profiles.yml", "_main1\n", "_main2\n");
            },
            ("SELECT a FROM P_main2.plain", "a"),
        )),
        begins(
            "an alias",
            true,
            &[("model columns", "moved from P_extra.columns")],
            |world| {
                world.project.replace(
                    "models/cols/columns.sql",
                    "select",
                    "{{ config(alias='cols') }}select",
                );
            },
            ("SELECT x::text FROM P_extra.cols", "1"),
        ),
        begins(
            "a name that generate_alias_name makes",
            true,
            &[("model columns", "moved from P_extra.columns")],
            |world| {
                world.project.write("macros/alias.sql",
                "{% macro generate_alias_name(custom_alias_name=none, node=none) -%}\n\
                 {%- if node.name == 'columns' -%}fct_columns{%- elif custom_alias_name -%}{{ custom_alias_name }}{%- else -%}{{ node.name }}{%- endif -%}\n{%- endmacro %}\n");
            },
            ("SELECT x::text FROM P_extra.fct_columns", "1"),
        ),
        released(begins(
            "a source's schema",
            false,
            &[("model stg", "reads source raw.orders, which moved")],
            |world| vars(world, "  cutoff: 10\n  raws: raw2\n"),
            TRUE,
        )),
        begins(
            "a source's identifier",
            false,
            &[("model stg", "reads source raw.orders, which moved")],
            |world| vars(world, "  cutoff: 10\n  orders: orders2\n"),
            TRUE,
        ),
        begins(
            "a model's file, with the same relation",
            true,
            &[("model renamed", "new")],
            |world| {
                let text = world.project.read("models/cols/columns.sql");
                world.project.remove("models/cols/columns.sql");
                world.project.write(
                    "models/cols/renamed.sql",
                    &format!("{{{{ config(alias='columns') }}}}{text}"),
                );
                world
                    .project
                    .replace("models/schema.yml", "- name: columns", "- name: renamed");
            },
            ("SELECT x::text FROM P_extra.columns", "1"),
        ),
    ]
}

fn configured() -> Vec<Case> {
    vec![
        released(begins(
            "a cluster by an environment variable",
            true,
            &[("model leaf", "cluster P_compute → P_serve")],
            |world| {
                let serve = world.name("serve");
                set(world, "DBT_LEAF_CLUSTER", &serve);
            },
            TRUE,
        )),
        begins(
            "a view that becomes materialized",
            true,
            &[("model plain", "view → materialized_view")],
            |world| {
                world.project.replace(
                    "models/main/plain.sql",
                    "select",
                    "{{ config(materialized='materialized_view') }}select",
                );
            },
            ("SELECT a FROM P_main1.plain", "a"),
        ),
        begins(
            "an index",
            true,
            &[("model plain", "indexes differ")],
            |world| {
                world.project.replace(
                    "models/main/plain.sql",
                    "select",
                    "{{ config(indexes=[{'columns': ['a']}]) }}select",
                );
            },
            ("SELECT a FROM P_main1.plain", "a"),
        ),
        begins(
            "a type in an enforced contract",
            true,
            &[("model columns", "contract differs, compiled SQL differs")],
            |world| {
                world
                    .project
                    .replace("models/schema.yml", "data_type: integer", "data_type: text");
                world
                    .project
                    .replace("models/cols/columns.sql", "1 as x", "'1' as x");
            },
            ("SELECT x FROM P_extra.columns", "1"),
        ),
        begins(
            "a persisted description",
            true,
            &[("model stg", "description differs")],
            |world| {
                world.project.replace(
                    "models/schema.yml",
                    "description: rows",
                    "description: all rows",
                );
            },
            TRUE,
        ),
    ]
}

fn data() -> Vec<Case> {
    vec![
        begins(
            "a row of a seed",
            true,
            &[("seed small", "rows differ")],
            |world| {
                world.project.replace("seeds/small.csv", "bob", "eve");
            },
            ("SELECT name FROM P_staging.small WHERE id = 2", "eve"),
        ),
        released(begins(
            "a row of a seed over a mebibyte",
            false,
            &[("seed large", "rows differ")],
            |world| {
                world.project.write("seeds/large.csv", &large(1));
            },
            (
                "SELECT max(id)::text FROM P_staging.large WHERE name = 'last'",
                "1",
            ),
        )),
        begins(
            "a new model",
            true,
            &[("model fresh", "new")],
            |world| {
                world
                    .project
                    .write("models/extra/fresh.sql", "select 1 as f\n");
            },
            ("SELECT f::text FROM P_extra.fresh", "1"),
        ),
        released(begins(
            "a deleted model",
            true,
            &[("P_main1.plain", "lost")],
            |world| {
                world.project.remove("models/main/plain.sql");
            },
            TRUE,
        )),
        begins(
            "several at once",
            true,
            &[
                ("model columns", "moved from P_extra.columns"),
                ("model totals", SQL),
                ("seed small", "rows differ"),
            ],
            |world| {
                vars(world, "  cutoff: 3\n");
                world.project.replace("seeds/small.csv", "bob", "eve");
                world.project.replace(
                    "models/cols/columns.sql",
                    "select",
                    "{{ config(schema='marts') }}select",
                );
            },
            ("SELECT x::text FROM P_marts.columns", "1"),
        ),
        Case {
            is_never_known: true,
            ..begins(
                "a model that asks the server while it is compiled",
                true,
                &[("model asks", "new")],
                |world| {
                    world.project.write("models/extra/asks.sql",
                        "{% set found = run_query('select 1') %}select {{ found.rows | length if execute else 0 }} as n\n");
                },
                ("SELECT n::text FROM P_extra.asks", "1"),
            )
        },
    ]
}
