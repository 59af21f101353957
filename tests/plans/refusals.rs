//! Refusals: each has its stable name, names what it is about, ends with exit code 3 and changes
//! nothing. All reasons are reported at once, so few plans meet many of them.

use crate::support::{Needs, Outcome, World};

#[track_caller]
fn refused(outcome: Outcome, expected: &[(&str, &str)]) {
    let outcome = outcome.exits(3);
    let error = outcome.error();
    assert_eq!(error["class"], "refused");
    let message = error["message"].as_str().unwrap_or_default();
    let refusals: Vec<&str> = message.split("\n  ").collect();
    for (name, object) in expected {
        assert!(
            refusals
                .iter()
                .any(|text| text.starts_with(&format!("{name}: ")) && text.contains(object)),
            "no {name} about {object} in\n{message}"
        );
    }
    assert!(message.contains("remedy: "), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_its_name_and_changes_nothing() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let long = format!("shop_{}", "x".repeat(245));
    let system = world.server.connect_as("mz_system").await;
    for sql in [
        "CREATE SCHEMA shop_other",
        "CREATE CLUSTER shop_io (SIZE = '25cc')",
        "CREATE CONNECTION shop_other.kafka TO KAFKA (BROKER 'localhost:9092', SECURITY PROTOCOL PLAINTEXT)",
        "CREATE SINK shop_marts.out IN CLUSTER shop_io FROM shop_marts.totals \
         INTO KAFKA CONNECTION shop_other.kafka (TOPIC 'a') FORMAT JSON ENVELOPE DEBEZIUM",
        "CREATE SINK shop_other.out IN CLUSTER shop_serve FROM shop_marts.counts \
         INTO KAFKA CONNECTION shop_other.kafka (TOPIC 'b') FORMAT JSON ENVELOPE DEBEZIUM",
        "CREATE SOURCE shop_staging.clock IN CLUSTER shop_io FROM LOAD GENERATOR COUNTER",
        "CREATE SOURCE shop_other.clock IN CLUSTER shop_serve FROM LOAD GENERATOR COUNTER",
        "CREATE TABLE shop_staging.notes (note text)",
        "CREATE CONNECTION shop_staging.kafka TO KAFKA (BROKER 'localhost:9092', SECURITY PROTOCOL PLAINTEXT)",
        "CREATE VIEW shop_serving.extra AS SELECT 1 AS one",
        "CREATE VIEW shop_other.reader AS SELECT * FROM shop_serving.report",
        "CREATE MATERIALIZED VIEW shop_other.guest IN CLUSTER shop_serve AS SELECT 1 AS one",
        "CREATE SCHEMA shop_marts_dbt_deploy",
        "CREATE CLUSTER shop_compute_dbt_deploy (SIZE = '25cc')",
        // The only thing that a release needs and this role does not own.
        "CREATE SCHEMA shop_foreign",
    ] {
        world.sql.run(sql).await;
    }
    system.run("CREATE ROLE shop_stranger").await;
    system
        .run("ALTER SCHEMA shop_foreign OWNER TO shop_stranger")
        .await;
    let good = world.project.read("dbt_project.yml");
    world.project.replace(
        "dbt_project.yml",
        "clusters: [shop_compute, shop_serve]",
        "clusters: [shop_compute, shop_serve, shop_absent, \"Shop Cluster\"]",
    );
    world.project.replace(
        "dbt_project.yml",
        "schemas: [shop_staging, shop_marts, shop_serving]",
        &format!("schemas: [shop_staging, shop_marts, shop_serving, shop_foreign, shop_gone, \"shop's\", {long}]"),
    );
    world.project.write(
        "models/outside/late.sql",
        "{{ config(schema='outside') }} select * from {{ ref('report') }}",
    );
    world.project.write(
        "models/marts/elsewhere.sql",
        "{{ config(cluster='shop_unlisted') }} select 1 as one",
    );
    world.project.write(
        "models/marts/grows.sql",
        "{{ config(materialized='incremental') }} select 1 as one",
    );
    let before = world.snapshot().await;
    refused(
        world.cutover(&["plan"]).await,
        &[
            ("schema-missing", "shop_gone"),
            ("cluster-missing", "shop_absent"),
            ("sink-in-swapped-schema", "shop_marts.out"),
            ("sink-on-swapped-cluster", "shop_other.out"),
            ("source-in-swapped-schema", "shop_staging.clock"),
            ("source-on-swapped-cluster", "shop_other.clock"),
            ("table-in-swapped-schema", "shop_staging.notes"),
            ("unmanaged-object", "shop_serving.extra"),
            ("unswappable-object", "shop_staging.kafka"),
            ("outside-dependent", "shop_other.reader"),
            ("cluster-shared", "shop_other.guest"),
            ("green-exists", "shop_marts_dbt_deploy"),
            ("green-exists", "shop_compute_dbt_deploy"),
            ("not-owner", "shop_foreign"),
            ("node-outside-deployment", "model.shop.late"),
            ("node-outside-deployment", "shop_unlisted"),
            ("name-too-long", &long),
            ("cluster-name-needs-quotes", "Shop Cluster"),
            ("name-unsupported", "shop's"),
            ("materialization-unsupported", "model.shop.grows"),
        ],
    );
    world.snapshot().await.is(&before);

    // A model outside that lives on a swapped cluster or reads from a swapped schema is named as one.
    // With every cause but the view that nobody knows removed, that can be accepted by name.
    for sql in [
        "DROP SINK shop_marts.out",
        "DROP SINK shop_other.out",
        "DROP SOURCE shop_staging.clock CASCADE",
        "DROP SOURCE shop_other.clock CASCADE",
        "DROP TABLE shop_staging.notes",
        "DROP CONNECTION shop_staging.kafka",
        "DROP VIEW shop_other.reader",
        "DROP MATERIALIZED VIEW shop_other.guest",
        "DROP SCHEMA shop_marts_dbt_deploy",
        "DROP CLUSTER shop_compute_dbt_deploy",
    ] {
        world.sql.run(sql).await;
    }
    world.project.write("dbt_project.yml", &good);
    for place in ["outside/late.sql", "marts/elsewhere.sql", "marts/grows.sql"] {
        world.project.remove(&format!("models/{place}"));
    }
    let before = world.snapshot().await;
    let planned = world
        .cutover(&["plan", "--allow", "unmanaged-object"])
        .await
        .exits(0)
        .document();
    assert_eq!(planned["accepted"][0]["name"], "unmanaged-object");
    assert!(planned["loses"].to_string().contains("shop_serving.extra"));
    world
        .cutover(&["deploy", "--allow", "schema-missing"])
        .await
        .exits(2)
        .says("unmanaged-object");

    // The project's own macro does not append the suffix; and a source of the project is inside.
    world.project.write(
        "macros/generate_schema_name.sql",
        "{% macro generate_schema_name(name, node) %}shop_{{ name }}{% endmacro %}",
    );
    world.project.write(
        "models/staging/ticks.sql",
        "{{ config(materialized='source', cluster='shop_io') }} FROM LOAD GENERATOR COUNTER",
    );
    world
        .sql
        .run("CREATE SOURCE shop_staging.ticks IN CLUSTER shop_io FROM LOAD GENERATOR COUNTER")
        .await;
    let with_source = world.snapshot().await;
    refused(
        world.cutover(&["deploy"]).await,
        &[
            ("unmanaged-object", "shop_serving.extra"),
            ("deploy-suffix-missing", "model.shop.report"),
            ("source-rebuilt", "shop_staging.ticks"),
        ],
    );
    world.snapshot().await.is(&with_source);
    world
        .sql
        .run("DROP SOURCE shop_staging.ticks CASCADE")
        .await;
    world.project.remove("models/staging/ticks.sql");
    world.project.remove("macros/generate_schema_name.sql");
    world.snapshot().await.is(&before);

    // Nothing of the project lies in what is listed.
    world.project.replace(
        "dbt_project.yml",
        "schemas: [shop_staging, shop_marts, shop_serving]",
        "schemas: [shop_other]",
    );
    refused(
        world.cutover(&["plan"]).await,
        &[("nothing-to-deploy", "vars.deployment.prod")],
    );
    world.project.write("dbt_project.yml", &good);

    // A role that may not create what staging needs.
    system.run("CREATE ROLE shop_guest").await;
    let profile = world.project.read("profiles.yml");
    world
        .project
        .replace("profiles.yml", "user: materialize", "user: shop_guest");
    refused(
        world.cutover(&["plan"]).await,
        &[
            ("not-owner", "shop_marts"),
            ("privilege-missing", "CREATECLUSTER"),
            ("privilege-missing", "CREATE on the database"),
        ],
    );
    world.project.write("profiles.yml", &profile);
    world.snapshot().await.is(&before);

    // Nothing was recorded as a deployment.
    world.set("LOG__LEVEL", "error");
    let history = world.cutover(&["history"]).await.exits(0).document();
    assert_eq!(history["deployments"].as_array().map(Vec::len), Some(0));
}
