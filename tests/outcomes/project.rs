//! The project that is changed in every way that may change what comes out of it, or may not.

use crate::support::World;

/// Schemas of `vars.deployment`.
pub const SCHEMAS: [&str; 5] = ["main1", "main2", "staging", "marts", "extra"];

/// Writes the project in place of the world's own, and makes what it reads.
pub async fn write(world: &World) {
    let prefix = &world.prefix;
    for path in [
        "models/schema.yml",
        "models/marts/totals.sql",
        "models/marts/counts.sql",
        "models/serving/report.sql",
        "models/staging/stg_orders.sql",
        "tests/no_negative_totals.sql",
        "seeds/orders.csv",
    ] {
        world.project.remove(path);
    }
    for schema in ["raw", "raw2"] {
        let schema = world.name(schema);
        world.sql.run(&format!("CREATE SCHEMA {schema}")).await;
        for table in ["orders", "orders2"] {
            world
                .sql
                .run(&format!(
                    "CREATE TABLE {schema}.{table} (id int, amount int)"
                ))
                .await;
        }
    }
    let schemas: Vec<String> = SCHEMAS.iter().map(|schema| world.name(schema)).collect();
    let project = &world.project;
    project.write(
        "dbt_project.yml",
        &format!(
            "name: shop\nversion: '1.0'\nprofile: shop\n\
             models:\n  shop:\n    staging: {{+schema: staging}}\n    marts: {{+schema: marts, +materialized: materialized_view}}\n    \
             extra: {{+schema: extra, +materialized: materialized_view, +cluster: {prefix}_serve}}\n    \
             cols: {{+schema: \"{{{{ env_var('DBT_PLACE', 'extra') }}}}\", +materialized: materialized_view, +cluster: {prefix}_serve}}\n\
             seeds:\n  shop: {{+schema: staging}}\n\
             vars:\n  cutoff: 10\n  deployment:\n    prod:\n      schemas: [{}]\n      clusters: [{prefix}_compute, {prefix}_serve]\n",
            schemas.join(", ")
        ),
    );
    // The profile's schema is where models without a schema of their own go.
    world.write_profile("");
    project.replace(
        "profiles.yml",
        &format!("schema: {prefix}\n"),
        &format!("schema: {prefix}_main1\n"),
    );
    project.write(
        "macros/names.sql",
        &format!(
            "{{% macro generate_schema_name(custom_schema_name, node) -%}}\n\
             {{%- if custom_schema_name is none -%}}{{{{ target.schema }}}}{{%- else -%}}{prefix}_{{{{ custom_schema_name | trim }}}}{{%- endif -%}}\n\
             {{%- if var('deploy', false) -%}}_dbt_deploy{{%- endif -%}}\n\
             {{%- endmacro %}}\n"
        ),
    );
    project.write(
        "macros/parts.sql",
        "{% macro one() %}1{% endmacro %}\n\
         {% macro call_all(all) %}{% for each in all %}{{ each() }} as n{% endfor %}{% endmacro %}\n\
         {% macro doubled(column) %}{{ column }} * 2{% endmacro %}\n\
         {% macro flavour() %}'{{ env_var('DBT_FLAVOUR', 'plain') }}'{% endmacro %}\n\
         {% macro granted(relation) %}comment on view {{ relation }} is 'ours'{% endmacro %}\n",
    );
    project.write(
        "models/sources.yml",
        &format!(
            "sources:\n- name: raw\n  schema: \"{prefix}_{{{{ var('raws', 'raw') }}}}\"\n  tables:\n  \
             - name: orders\n    identifier: \"{{{{ var('orders', 'orders') }}}}\"\n"
        ),
    );
    for (place, text) in [
        (
            "models/staging/stg.sql",
            "select id, amount from {{ source('raw', 'orders') }}",
        ),
        (
            "models/staging/part.sql",
            "{{ config(materialized='ephemeral') }}\nselect id, 1 as part from {{ ref('stg') }}",
        ),
        (
            "models/marts/totals.sql",
            "select sum(amount) as total from {{ ref('stg') }} where amount > {{ var('cutoff') }}",
        ),
        (
            "models/marts/parts.sql",
            "select count(*) as n from {{ ref('part') }}",
        ),
        (
            "models/marts/flavoured.sql",
            "select {{ flavour() }} as flavour",
        ),
        ("models/marts/doubles.sql", "select {{ doubled('7') }} as d"),
        ("models/marts/handed.sql", "select {{ call_all([one]) }}"),
        ("models/marts/p1.sql", "select 1 as p"),
        ("models/marts/p2.sql", "select 1 as p"),
        (
            "models/marts/pick.sql",
            "select p from {% if var('use_p2', false) %}{{ ref('p2') }}{% else %}{{ ref('p1') }}{% endif %}",
        ),
        (
            "models/extra/leaf.sql",
            "{{ config(cluster=env_var('DBT_LEAF_CLUSTER', target.cluster)) }}\nselect id from {{ ref('stg') }}",
        ),
        ("models/cols/columns.sql", "select 1 as x"),
        ("models/main/plain.sql", "select 'a' as a"),
        (
            "models/staging/hooked.sql",
            "{{ config(post_hook=[\"{{ granted(this) }}\", \"comment on view {{ this }} is '{{ env_var('DBT_SAYS', 'one') }}'\"]) }}\nselect 1 as h",
        ),
        ("seeds/small.csv", "id,name\n1,ada\n2,bob"),
        (
            "models/schema.yml",
            "models:\n- name: columns\n  description: columns\n  config: {contract: {enforced: true}}\n  columns: [{name: x, data_type: integer, description: ex}]\n\
             - name: totals\n  description: totals\n- name: stg\n  description: rows\n  config: {persist_docs: {relation: true}}",
        ),
    ] {
        project.write(place, &format!("{text}\n"));
    }
    project.write("seeds/large.csv", &large(0));
    project.write("packages.yml", "packages:\n- local: lib\n");
    project.write("lib/dbt_project.yml", "name: lib\nversion: '1.0'\n");
    project.write(
        "lib/macros/shared.sql",
        "{% macro shared() %}'of lib'{% endmacro %}\n",
    );
    project.write(
        "models/marts/packaged.sql",
        "select {{ lib.shared() }} as p\n",
    );
    project.remove_all("models/serving");
}

/// More rows than dbt hashes: over a mebibyte.
pub fn large(last: u32) -> String {
    let mut text = "id,name\n".to_owned();
    // Few and long, so that loading them does not take long.
    for row in 0..120 {
        text.push_str(&format!("{row},{}\n", "x".repeat(9000)));
    }
    text.push_str(&format!("{last},last\n"));
    text
}
