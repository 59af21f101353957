//! Tests that are new or changed begin no release: they are told, and can be run on production alone.

use crate::support::{Needs, Outcome, World};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The shop in production by a real build, taken over.
async fn taken_over() -> Option<World> {
    let mut world = World::in_production(Needs::AnyServer).await?;
    world.set("SCOPE", "slim");
    let import = ["baseline", "import", "--manifest", "target/manifest.json"];
    world.cutover(&import).await.exits(0);
    Some(world)
}

/// The document with the tests: the only one, or the result after the progress.
#[track_caller]
fn told(outcome: &Outcome) -> Value {
    let documents = outcome.documents();
    let told = documents.into_iter().find(|it| it["tests"].is_array());
    told.unwrap_or_else(|| panic!("no tests\n{outcome}"))
}

#[track_caller]
fn verdicts(outcome: &Outcome) -> BTreeMap<String, Value> {
    let tests = told(outcome)["tests"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    tests
        .into_iter()
        .map(|test| {
            let name = test["test"].as_str().unwrap_or_default().to_owned();
            (name, test["status"].clone())
        })
        .collect()
}

async fn plan(world: &World) -> Value {
    world.cutover(&["plan"]).await.exits(0).document()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_test_is_told_and_runs_alone() {
    let Some(world) = taken_over().await else {
        return;
    };
    assert_eq!(plan(&world).await["changed_tests"], Value::Null);
    world.project.replace(
        "models/schema.yml",
        "data_tests: [not_null, unique]",
        "data_tests: [not_null, unique]\n      - name: total\n        data_tests: [not_null]",
    );
    let fails = "select * from {{ ref('counts') }}\n";
    world.project.write("tests/nothing_is_counted.sql", fails);
    let planned = plan(&world).await;
    assert_eq!(planned["nodes"], json!([]));
    let changed = json!({
        "test.shop.not_null_totals_total.7f9f5ef1ae": "new",
        "test.shop.nothing_is_counted": "new",
    });
    let names = |value: &Value| -> Vec<String> {
        let names = value.as_object().into_iter().flatten();
        names
            .map(|(id, what)| format!("{} {what}", id.split('.').nth(2).unwrap_or_default()))
            .collect()
    };
    assert_eq!(
        names(&planned["changed_tests"]),
        names(&changed),
        "{planned}"
    );
    world
        .cutover_text(&["plan"])
        .await
        .exits(0)
        .says("nothing to do")
        .says("2 tests are new or changed and run with the next release");
    let deployed = world.cutover(&["deploy"]).await.exits(0);
    assert!(deployed.states().is_empty(), "{deployed}");

    // One that dbt would make a relation for.
    world.project.write(
        "tests/kept.sql",
        "{{ config(store_failures=true, store_failures_as='view') }} select 1 as one from {{ ref('counts') }}\n",
    );
    let before = world.snapshot().await;
    let listed = world
        .cutover(&["plan", "--test-only", "--select", "state:modified"])
        .await;
    let listed = verdicts(&listed.exits(0));
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(listed.values().all(Value::is_null), "{listed:?}");

    let changed = ["deploy", "--test-only", "--select", "state:modified"];
    let tested = world.cutover(&changed).await.exits(1);
    let found = verdicts(&tested);
    assert_eq!(found.len(), 2, "{tested}");
    assert_eq!(found["test.shop.nothing_is_counted"], "fail", "{tested}");
    assert_eq!(
        found.values().filter(|status| **status == "pass").count(),
        1
    );
    let left = &told(&tested)["left_out"];
    assert!(left["test.shop.kept"].is_string(), "{left}");
    world
        .cutover_text(&changed)
        .await
        .exits(1)
        .says("1 of 2 tests failed on production")
        .says("test.shop.nothing_is_counted")
        .says("not run: test.shop.kept");

    // All of them, unit tests too; nothing was made, and nothing was recorded.
    world.project.remove("tests/nothing_is_counted.sql");
    let tested = world.cutover(&["deploy", "--test-only"]).await.exits(0);
    let found = verdicts(&tested);
    assert!(
        found.keys().any(|id| id.starts_with("unit_test.")),
        "{tested}"
    );
    assert!(found.values().all(|status| status == "pass"), "{tested}");
    world.snapshot().await.is(&before);
    let history = world.cutover(&["history"]).await.exits(0);
    assert!(!history.all().contains("done"), "{history}");

    // A hook runs with every invocation and may do anything.
    let project = world.project.read("dbt_project.yml");
    world.project.write(
        "dbt_project.yml",
        &format!("{project}on-run-end: [\"select 1\"]\n"),
    );
    let none = world.cutover(&["deploy", "--test-only"]).await.exits(3);
    assert_eq!(verdicts(&none).len(), 0, "{none}");
    assert!(none.all().contains("operation.shop"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_over_an_ephemeral_model_runs_with_what_that_reads() {
    let Some(world) = World::in_production(Needs::AnyServer).await else {
        return;
    };
    world.project.write(
        "models/marts/positive.sql",
        "{{ config(materialized='ephemeral') }} select * from {{ ref('totals') }} where total > 0\n",
    );
    world.project.write(
        "models/marts/large.sql",
        "{{ config(materialized='ephemeral') }} select * from {{ ref('positive') }} where total > 9\n",
    );
    let test = "select * from {{ ref('large') }} where customer is null\n";
    world.project.write("tests/large_have_names.sql", test);
    world.project.set_release(2);
    let deployed = world
        .cutover(&["deploy", "--promotion", "manual"])
        .await
        .exits(0);
    let shown = world
        .cutover(&["show", &deployed.deployment()])
        .await
        .exits(0);
    let tests = shown.document()["plan"]["tests"].clone();
    assert!(
        tests
            .as_array()
            .is_some_and(|tests| tests.contains(&json!("test.shop.large_have_names"))),
        "{tests}"
    );
    world.cutover(&["abort"]).await.exits(0);
}
