//! Outcomes of small manifests, and what differs between them.

use super::reads::{Questions, Reads};
use super::{Before, Difference, MadeFrom, Outcomes, Verdict};
use crate::domain::plan::inputs::Inputs;
use crate::inputs::manifest::{Manifest, sample};
use crate::inputs::project::dbt_project::circumstances::Circumstances;
use serde_json::{Value, json};
use std::collections::BTreeSet;

mod known;

/// A manifest with these models, sources and macros.
fn manifest(nodes: &[Value], sources: &[Value], macros: &[Value]) -> Manifest {
    let by_id = |resources: &[Value]| -> Value {
        let entries = resources.iter().map(|resource| {
            let id = resource["unique_id"].as_str().expect("an id").to_owned();
            (id, resource.clone())
        });
        Value::Object(entries.collect())
    };
    let document = json!({
        "metadata": {
            "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
            "adapter_type": "materialize",
            "project_name": "shop",
        },
        "nodes": by_id(nodes),
        "sources": by_id(sources),
        "macros": by_id(macros),
    });
    let bytes = document.to_string();
    Manifest::from_slice(bytes.as_bytes(), "m".as_ref()).expect("a manifest")
}

/// A model at `schema.name` of the database `d`, with more keys.
fn model(name: &str, schema: &str, parents: &[&str], more: Value) -> Value {
    let placed = json!({
        "database": "d",
        "schema": schema,
        "alias": name,
        "relation_name": format!("\"d\".\"{schema}\".\"{name}\""),
    });
    sample::with(sample::with(sample::model(name, parents), placed), more)
}

fn source(schema: &str) -> Value {
    let keys = json!({
        "name": "orders",
        "source_name": "raw",
        "database": "d",
        "schema": schema,
        "identifier": "orders",
        "relation_name": format!("\"d\".\"{schema}\".\"orders\""),
    });
    sample::resource("source.shop.raw.orders", keys)
}

fn a_macro(package: &str, name: &str, text: &str, calls: &[&str]) -> Value {
    json!({
        "unique_id": format!("macro.{package}.{name}"),
        "name": name,
        "package_name": package,
        "original_file_path": "macros/m.sql",
        "macro_sql": text,
        "depends_on": {"macros": calls},
    })
}

fn outcomes_under(manifest: &Manifest, circumstances: &Circumstances) -> Outcomes {
    outcomes_since(manifest, circumstances, None)
}

/// The outcomes of a manifest, with the digests of nodes that are as they were taken from before.
fn outcomes_since(
    manifest: &Manifest,
    circumstances: &Circumstances,
    before: Option<Before<'_>>,
) -> Outcomes {
    let content = manifest.content_hash().expect("a hash");
    let reads = Reads::of(manifest);
    let inputs = Inputs::of(manifest, &reads, &content, circumstances);
    let named = |name: Option<&str>| Some(name.unwrap_or("compute").to_owned());
    Outcomes::of(
        manifest,
        &named,
        &reads,
        &content,
        Some(inputs),
        false,
        before,
    )
    .expect("outcomes")
}

fn outcomes(manifest: &Manifest) -> Outcomes {
    outcomes_under(manifest, &Circumstances::default())
}

/// As [`outcomes`], with the text of each model for its SQL.
fn compiled(manifest: &Manifest) -> Outcomes {
    let mut outcomes = outcomes(manifest);
    for (id, node) in &manifest.nodes {
        outcomes.compiled(id, &node.raw_code);
    }
    outcomes
}

/// What differs about `model.shop.a` when the one manifest follows the other.
fn differences(before: &Manifest, after: &Manifest) -> Vec<String> {
    match compiled(after).verdict("model.shop.a", &compiled(before)) {
        Verdict::Same => Vec::new(),
        Verdict::Differs(differences) => differences.iter().map(ToString::to_string).collect(),
        Verdict::Unknown => vec!["unknown".to_owned()],
    }
}

fn one(more: Value) -> Manifest {
    manifest(&[model("a", "m", &[], more)], &[], &[])
}

#[test]
fn what_comes_out_differently_is_named() {
    let plain = || one(json!({"raw_code": "select 1 as x"}));
    let materialized = |config: Value| {
        let config = sample::with(json!({"materialized": "materialized_view"}), config);
        one(json!({"raw_code": "select 1 as x", "config": config}))
    };
    let column = |keys: Value| json!({"x": sample::with(json!({"name": "x"}), keys)});
    for (before, after, expected) in [
        (
            plain(),
            one(json!({"raw_code": "select 1 as x -- one\n"})),
            vec![],
        ),
        (
            plain(),
            one(json!({"raw_code": "select\n\t1 as x", "tags": ["a"]})),
            vec![],
        ),
        (
            plain(),
            one(json!({"raw_code": "select 2 as x"})),
            vec!["compiled SQL differs"],
        ),
        (
            plain(),
            manifest(
                &[model("a", "n", &[], json!({"raw_code": "select 1 as x"}))],
                &[],
                &[],
            ),
            vec!["moved from m.a"],
        ),
        (
            plain(),
            one(json!({"raw_code": "select 1 as x", "alias": "b"})),
            vec!["moved from m.a"],
        ),
        (
            plain(),
            one(json!({"raw_code": "select 1 as x", "database": "e"})),
            vec!["moved from d.m.a"],
        ),
        (
            plain(),
            materialized(json!({})),
            vec!["view → materialized_view"],
        ),
        (
            materialized(json!({})),
            materialized(json!({"materialized": "table"})),
            vec![],
        ),
        (
            materialized(json!({})),
            materialized(json!({"cluster": "serving"})),
            vec!["cluster compute → serving"],
        ),
        (
            materialized(json!({})),
            materialized(json!({"cluster": "compute"})),
            vec![],
        ),
        (
            materialized(json!({})),
            materialized(json!({"indexes": [{"columns": ["x"]}]})),
            vec!["indexes differ"],
        ),
        (
            materialized(json!({"indexes": [{"columns": ["x"]}, {"columns": ["y"]}]})),
            materialized(json!({"indexes": [{"columns": ["y"]}, {"columns": ["x"]}]})),
            vec![],
        ),
        (
            materialized(json!({})),
            materialized(json!({"retain_history": "1h"})),
            vec!["retain_history differs"],
        ),
        (
            materialized(json!({})),
            materialized(json!({"owner": "team"})),
            vec![],
        ),
        (
            materialized(json!({})),
            materialized(json!({"meta": {"a": 1}})),
            vec![],
        ),
        (
            one(
                json!({"contract": {"enforced": true}, "columns": column(json!({"data_type": "int"}))}),
            ),
            one(
                json!({"contract": {"enforced": true}, "columns": column(json!({"data_type": "text"}))}),
            ),
            vec!["contract differs"],
        ),
        (
            one(json!({"columns": column(json!({"data_type": "int"}))})),
            one(json!({"columns": column(json!({"data_type": "text"}))})),
            vec![],
        ),
        (
            one(json!({"description": "a"})),
            one(json!({"description": "b"})),
            vec![],
        ),
        (
            one(json!({"description": "a", "config": {"persist_docs": {"relation": true}}})),
            one(json!({"description": "b", "config": {"persist_docs": {"relation": true}}})),
            vec!["description differs"],
        ),
    ] {
        assert_eq!(differences(&before, &after), expected);
    }
}

#[test]
fn readers_of_what_moved_say_so() {
    let reader = |parent: &str, from: &str| {
        model(
            "a",
            "m",
            &[parent],
            json!({"raw_code": format!("select * from {from}")}),
        )
    };
    let of_source = |schema: &str| {
        let from = format!("\"d\".\"{schema}\".\"orders\"");
        manifest(
            &[reader("source.shop.raw.orders", &from)],
            &[source(schema)],
            &[],
        )
    };
    assert_eq!(
        differences(&of_source("raw"), &of_source("raw2")),
        ["reads source raw.orders, which moved"]
    );
    let of_model = |schema: &str| {
        let from = format!("\"d\".\"{schema}\".\"p\"");
        let parent = model("p", schema, &[], json!({}));
        manifest(&[parent, reader("model.shop.p", &from)], &[], &[])
    };
    assert_eq!(
        differences(&of_model("m"), &of_model("n")),
        ["reads model.shop.p, which moved"]
    );
}

#[test]
fn what_hooks_and_arguments_of_tests_read_is_read_by_the_project() {
    let hooked = model(
        "a",
        "m",
        &[],
        json!({"config": {"post-hook": [{"sql": "x {{ env_var(\"HOOKED\") }}", "transaction": true}]}}),
    );
    let test = json!({
        "resource_type": "test",
        "raw_code": "{{ test_x(**_dbt_generic_test_kwargs) }}",
        "test_metadata": {
            "name": "x",
            "namespace": null,
            "kwargs": {"values": ["a", "{{ env_var('TESTED', 'b') }} {{ graph }}"]},
        },
    });
    let test = sample::with(model("t", "m", &[], json!({})), test);
    let reads = Reads::of(&manifest(&[hooked, test], &[], &[]));
    let names: Vec<&str> = reads.variables.iter().map(String::as_str).collect();
    assert_eq!(names, ["HOOKED", "TESTED"]);
    assert!(!reads.any_variable);
    assert_eq!(reads.nodes_read_graph, ["model.shop.t".to_owned()].into());
}

#[test]
fn sql_that_holds_the_moment_says_so() {
    let of = |code: &str, macros: &[Value], calls: &[&str]| {
        let more = json!({"raw_code": code, "depends_on": {"macros": calls, "nodes": []}});
        manifest(&[model("a", "m", &[], more)], &[], macros)
    };
    let stamped = [
        a_macro("shop", "stamp", "{{ inner() }}", &["macro.shop.inner"]),
        a_macro("shop", "inner", "{{ invocation_id }}", &[]),
    ];
    for manifest in [
        of("select '{{ run_started_at }}'", &[], &[]),
        of("{{ modules.datetime.datetime.now() }}", &[], &[]),
        of("{{ stamp() }}", &stamped, &["macro.shop.stamp"]),
    ] {
        let at = |moment: &str| {
            let mut outcomes = outcomes(&manifest);
            outcomes.compiled("model.shop.a", moment);
            outcomes
        };
        assert_eq!(
            at("select 2").verdict("model.shop.a", &at("select 1")),
            Verdict::Differs(vec![Difference::SqlOfAMoment])
        );
    }
    let plain = outcomes(&of("select now()", &stamped, &[]));
    assert!(!plain.nodes["model.shop.a"].is_of_a_moment);
}

#[test]
fn an_override_counts_with_what_it_reads_for_what_it_makes() {
    let with = |text: &str, materialized: &str, more: Value| {
        let config = sample::with(json!({"materialized": materialized}), more);
        let name = "materialize__create_view_as";
        manifest(
            &[model("a", "m", &[], json!({"config": config}))],
            &[],
            &[
                a_macro("dbt_materialize", name, "x", &[]),
                a_macro("shop", name, text, &[]),
            ],
        )
    };
    let verdict = |new: &Manifest, old: &Manifest, note: &str| {
        let under = |note: &str| Circumstances {
            variables: json!({ "note": note }),
            ..Circumstances::default()
        };
        let of = |manifest: &Manifest, note: &str| {
            let mut outcomes = outcomes_under(manifest, &under(note));
            outcomes.compiled("model.shop.a", "select 1");
            outcomes
        };
        of(new, note).verdict("model.shop.a", &of(old, "one"))
    };
    let differs = Verdict::Differs(vec![Difference::Option(
        "what the macro materialize__create_view_as makes of it".to_owned(),
    )]);
    let reading = "create view {# why #}{{ var('note') }}";
    let view = with(reading, "view", json!({}));
    assert_eq!(verdict(&view, &view, "one"), Verdict::Same);
    assert_eq!(verdict(&view, &view, "two"), differs);
    let commented = with(
        "create view {# why not #}{{ var('note') }}",
        "view",
        json!({}),
    );
    assert_eq!(verdict(&commented, &view, "one"), Verdict::Same);
    let plain = with("create view", "view", json!({}));
    assert_eq!(verdict(&plain, &plain, "two"), Verdict::Same);
    assert_eq!(verdict(&plain, &view, "one"), differs);
    // It has no part in making others.
    let other = |text| with(text, "materialized_view", json!({}));
    assert_eq!(
        verdict(&other("create view"), &other(reading), "two"),
        Verdict::Same
    );
    // Whatever it asks the configuration for may reach the statement.
    let configured = |key: u32| with("{{ config.get('mine') }}", "view", json!({ "mine": key }));
    assert_eq!(
        verdict(&configured(2), &configured(1), "one"),
        Verdict::Differs(vec![Difference::Option("mine".to_owned())])
    );
    let unread = |key: u32| with("create view", "view", json!({ "mine": key }));
    assert_eq!(verdict(&unread(2), &unread(1), "one"), Verdict::Same);
}

#[test]
fn a_materialization_or_override_of_the_project_counts_with_what_it_calls() {
    let with = |macros: &[Value], materialized: &str, more: Value| {
        let config = sample::with(json!({"materialized": materialized}), more);
        manifest(
            &[model("a", "m", &[], json!({"config": config}))],
            &[],
            macros,
        )
    };
    let custom = |text: &str| {
        [
            a_macro(
                "shop",
                "materialization_mine_default",
                "{{ part() }}",
                &["macro.shop.part"],
            ),
            a_macro("shop", "part", text, &[]),
        ]
    };
    assert_eq!(
        differences(
            &with(&custom("1"), "mine", json!({})),
            &with(&custom("2"), "mine", json!({}))
        ),
        ["materialization differs"]
    );
    assert_eq!(
        differences(
            &with(&custom("1"), "mine", json!({"mode": 1})),
            &with(&custom("1"), "mine", json!({"mode": 2}))
        ),
        ["mode differs"]
    );
    let overriding = |text: &str| {
        [
            a_macro("dbt_materialize", "create_it", "x", &[]),
            a_macro("shop", "create_it", text, &[]),
        ]
    };
    assert_eq!(
        differences(
            &with(&overriding("1"), "view", json!({})),
            &with(&overriding("2"), "view", json!({}))
        ),
        ["what the macro create_it makes of it differs"]
    );
    // What names are made of shows in the names.
    let naming = |text: &str| {
        [
            a_macro("dbt", "generate_schema_name", "x", &[]),
            a_macro("shop", "generate_schema_name", text, &[]),
        ]
    };
    assert_eq!(
        differences(
            &with(&naming("1"), "view", json!({})),
            &with(&naming("2"), "view", json!({}))
        ),
        Vec::<String>::new()
    );
}

#[test]
fn rows_are_compared_by_file_or_by_checksum_or_not_at_all() {
    let seed = |name: &str, checksum: &str| {
        let keys = json!({
            "database": "d", "schema": "m", "alias": "a", "relation_name": "r",
            "checksum": {"name": name, "checksum": checksum},
        });
        let seed = sample::resource("seed.shop.a", keys);
        outcomes(&manifest(&[seed], &[], &[]))
    };
    let with_file = |name: &str, checksum: &str, rows: &[u8]| {
        let mut outcomes = seed(name, checksum);
        outcomes.inputs = None;
        outcomes.rows("seed.shop.a", rows);
        outcomes
    };
    let verdict = |old: &Outcomes, new: &Outcomes| new.verdict("seed.shop.a", old);
    let differs = Verdict::Differs(vec![Difference::Rows]);
    let big = |rows: &[u8]| with_file("path", "seeds/a.csv", rows);
    assert_eq!(verdict(&big(b"1"), &big(b"2")), differs);
    assert_eq!(verdict(&big(b"1"), &big(b"1")), Verdict::Same);
    let mut imported = seed("sha256", "x");
    imported.inputs = None;
    assert_eq!(
        verdict(&imported, &with_file("sha256", "x", b"1")),
        Verdict::Same
    );
    assert_eq!(verdict(&imported, &with_file("sha256", "y", b"1")), differs);
    let mut unknown = seed("path", "seeds/a.csv");
    unknown.inputs = None;
    assert_eq!(verdict(&unknown, &big(b"1")), Verdict::Unknown);
}

#[test]
fn who_asks_the_server_is_suspected_through_macros_and_ephemeral_parents() {
    let ephemeral = json!({"raw_code": "{{ run_query('x') }}", "config": {"materialized": "ephemeral"}, "relation_name": null});
    let manifest = manifest(
        &[
            model("a", "m", &["model.shop.e"], json!({})),
            model(
                "b",
                "m",
                &[],
                json!({"raw_code": "{{ shop.columns_of('x') }}"}),
            ),
            model("c", "m", &[], json!({"raw_code": "select 'columns' as c"})),
            model("e", "m", &[], ephemeral),
        ],
        &[],
        &[
            a_macro("dbt", "statement", "x", &[]),
            a_macro("dbt", "run_query", "x", &["macro.dbt.statement"]),
            a_macro(
                "shop",
                "columns_of",
                "{{ hidden() }}",
                &["macro.shop.hidden"],
            ),
            a_macro(
                "shop",
                "hidden",
                "{% do run_query('x') %}",
                &["macro.dbt.run_query"],
            ),
        ],
    );
    let wanted: BTreeSet<&str> = ["model.shop.a", "model.shop.b", "model.shop.c"].into();
    let found: Vec<&str> = Questions::of(&manifest)
        .nodes(&wanted)
        .into_iter()
        .collect();
    assert_eq!(found, ["model.shop.a", "model.shop.b"]);
}

#[test]
fn what_is_known_only_when_built_is_never_the_same() {
    let manifest = one(json!({}));
    let mut outcomes = compiled(&manifest);
    outcomes.known_when_built("model.shop.a");
    assert_eq!(
        outcomes.verdict("model.shop.a", &outcomes),
        Verdict::Differs(vec![Difference::KnownWhenBuilt])
    );
    assert!(outcomes.has_known_when_built());
}

#[test]
fn hooks_are_compared_as_they_are_sent() {
    let hooked =
        |text: &str| one(json!({"config": {"post-hook": [{"sql": text, "transaction": true}]}}));
    let rendered = |text: &str, sent: &str| {
        let mut outcomes = compiled(&hooked(text));
        assert_eq!(outcomes.unrendered().len(), 1);
        outcomes.take_hooks(
            [(
                "model.shop.a".to_owned(),
                json!([["post-hook", true, sent]]),
            )]
            .into(),
        );
        outcomes
    };
    let verdict = |old: &Outcomes, new: &Outcomes| new.verdict("model.shop.a", old);
    let differs = Verdict::Differs(vec![Difference::Option("hooks".to_owned())]);
    let (one, other) = (rendered("{{ a }}", "x"), rendered("{{ b }}", "x"));
    assert_eq!(verdict(&one, &other), Verdict::Same);
    assert_eq!(verdict(&one, &rendered("{{ a }}", "y")), differs);
    let unrendered = compiled(&hooked("{{ a }}"));
    assert_eq!(verdict(&unrendered, &unrendered), Verdict::Same);
    let mut elsewhere = unrendered.clone();
    elsewhere.inputs = None;
    assert_eq!(verdict(&unrendered, &elsewhere), differs);
}

#[test]
fn outcomes_are_the_same_after_they_were_written_and_read() {
    let mut outcomes = compiled(&one(
        json!({"config": {"materialized": "materialized_view", "indexes": [{"columns": ["x"]}]}}),
    ));
    outcomes.known_when_built("model.shop.a");
    let written = serde_json::to_string(&outcomes).expect("JSON");
    let read: Outcomes = serde_json::from_str(&written).expect("outcomes");
    assert_eq!(read, outcomes);
    assert_eq!(
        read.digest().expect("a digest"),
        outcomes.digest().expect("a digest")
    );
    assert!(matches!(
        read.nodes["model.shop.a"].made_from,
        MadeFrom::KnownWhenBuilt
    ));
}
