//! The green side of a release that failed, kept for a look.

use crate::support::{Needs, Outcome, World};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// A world whose test fails as long as a table outside has a row.
async fn with_a_cause(engine: &str) -> Option<World> {
    let mut world = World::start(Needs::AnyServer).await?;
    world.produce_by_sql().await;
    let outside = world.name("outside");
    world.sql.run(&format!("CREATE SCHEMA {outside}")).await;
    world
        .sql
        .run(&format!("CREATE TABLE {outside}.bad (customer text)"))
        .await;
    world.project.replace(
        "tests/no_negative_totals.sql",
        "total < 0",
        &format!("exists (select 1 from {outside}.bad)"),
    );
    world.project.set_release(2);
    world.set("BUILD__ENGINE", engine);
    world.set("ON_FAILURE", "keep 2h");
    Some(world)
}

async fn cause(world: &World, is_there: bool) {
    let outside = world.name("outside");
    let sql = match is_there {
        true => format!("INSERT INTO {outside}.bad VALUES ('x')"),
        false => format!("DELETE FROM {outside}.bad"),
    };
    world.sql.run(&sql).await;
}

async fn entry(world: &World) -> Value {
    let status = world.cutover(&["status"]).await.exits(0).document();
    status["environments"][0].clone()
}

/// Asserts that a release failed and is kept.
async fn is_kept(world: &World, outcome: Outcome) -> Value {
    let outcome = outcome.exits(1);
    assert_eq!(outcome.states().last().map(String::as_str), Some("kept"));
    world.serves(1).await;
    let entry = entry(world).await;
    assert_eq!(entry["deployment"]["state"], "kept", "{entry:#}");
    entry
}

async fn a_failing_test(engine: &str) {
    let Some(world) = with_a_cause(engine).await else {
        return;
    };
    cause(&world, true).await;
    let failed = world.cutover(&["deploy"]).await;
    failed.clone().says("cutover resume").says("cutover abort");
    let shown = is_kept(&world, failed).await;
    let kept = &shown["kept"];
    assert!(kept["until"].is_string(), "{shown:#}");
    let marts = format!("{}_dbt_deploy", world.name("marts"));
    let schemas = kept["schemas"].to_string();
    assert!(schemas.contains(&marts), "{shown:#}");
    let failing = kept["failed"].to_string();
    assert!(
        failing.contains("test.shop.no_negative_totals"),
        "{shown:#}"
    );
    assert!(
        shown["deployment"]["reason"]
            .to_string()
            .contains("no_negative_totals")
    );
    // What it says can be sent as it is.
    let queries = kept["queries"].as_array().expect("queries");
    assert!(queries.len() >= 3, "{shown:#}");
    for query in queries {
        world.sql.run(query.as_str().expect("SQL")).await;
    }
    // Green can be read.
    let totals = format!("SELECT count(*) FROM {marts}.totals");
    world.sql.run(&totals).await;
    let text = world.cutover_text(&["status"]).await.exits(0);
    text.says("kept until")
        .says("sql> SET cluster")
        .says("cutover resume");
    // Nothing else begins, and what failed fails again.
    world.cutover(&["promote"]).await.exits(3);
    world
        .cutover(&["deploy", "--dry-run"])
        .await
        .exits(3)
        .says("deployment-active");
    let again = world.cutover(&["resume"]).await;
    is_kept(&world, again).await;
    cause(&world, false).await;
    let resumed = world.cutover(&["resume"]).await.exits(0);
    let built = resumed.documents();
    let built = built.iter().filter(|line| line["event"] == "node");
    let built: Vec<_> = built
        .filter(|line| !line["unique_id"].to_string().contains("test."))
        .collect();
    assert!(built.is_empty(), "{built:#?}");
    world.serves(2).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_test_is_looked_at_and_resumed_when_its_cause_is_gone() {
    a_failing_test("native").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_is_one_that_dbt_ran() {
    a_failing_test("dbt").await;
}

async fn a_failing_node(engine: &str) {
    let Some(mut world) = World::prepared(Needs::AnyServer).await else {
        return;
    };
    let outside = world.name("outside");
    world.project.replace(
        "models/marts/counts.sql",
        "{{ ref('stg_orders') }}",
        &format!("{{{{ ref('stg_orders') }}}} where id not in (select id from {outside}.missing)"),
    );
    world.project.set_release(2);
    world.set("BUILD__ENGINE", engine);
    // Only the build finds it.
    world.set("DESCRIBE", "false");
    let failed = world.cutover(&["deploy", "--keep"]).await;
    let shown = is_kept(&world, failed).await;
    let failing = &shown["kept"]["failed"];
    assert_eq!(failing[0]["unique_id"], "model.shop.counts", "{shown:#}");
    assert_eq!(failing[0]["status"], "error", "{shown:#}");
    assert_eq!(failing[1]["status"], "skipped", "{shown:#}");
    world.sql.run(&format!("CREATE SCHEMA {outside}")).await;
    world
        .sql
        .run(&format!("CREATE TABLE {outside}.missing (id int)"))
        .await;
    let resumed = world.cutover(&["resume"]).await.exits(0);
    let made: BTreeSet<String> = resumed
        .documents()
        .iter()
        .filter(|line| line["event"] == "node")
        .filter_map(|line| line["unique_id"].as_str().map(str::to_owned))
        .collect();
    let made: Vec<String> = made.into_iter().collect();
    assert_eq!(made, ["model.shop.counts", "model.shop.report"]);
    world.serves(2).await;
    world.nothing_left().await;
    // What is kept of the results is all of them.
    let run = world
        .project
        .path()
        .join(".cutover/runs")
        .join(resumed.deployment());
    let results = std::fs::read(run.join("build/target/run_results.json")).expect("results");
    let results: Value = serde_json::from_slice(&results).expect("JSON");
    let results = results["results"].as_array().expect("a list");
    assert!(results.len() >= 4, "{results:#?}");
    assert!(
        results.iter().all(|it| it["status"] == "success"),
        "{results:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_failed_and_what_waited_for_it_is_made_once_more() {
    a_failing_node("native").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_is_when_dbt_builds() {
    a_failing_node("dbt").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_goes_by_abort_by_the_next_release_and_when_its_time_is_over() {
    let Some(mut world) = with_a_cause("native").await else {
        return;
    };
    cause(&world, true).await;
    let failed = world.cutover(&["deploy"]).await;
    is_kept(&world, failed).await;
    let aborted = world.cutover(&["abort"]).await.exits(0);
    assert_eq!(aborted.states().last().map(String::as_str), Some("aborted"));
    world.nothing_left().await;

    // The next release drops it first.
    let failed = world.cutover(&["deploy"]).await;
    let first = is_kept(&world, failed).await["deployment"]["id"].clone();
    cause(&world, false).await;
    world
        .cutover(&["deploy"])
        .await
        .exits(0)
        .says("is dropped first");
    world.serves(2).await;
    world.nothing_left().await;
    let history = world.cutover(&["history"]).await.document();
    let found = history["deployments"].as_array().expect("a list").clone();
    let found = found.iter().find(|it| it["id"] == first).expect("it");
    assert_eq!(found["state"], "failed");
    assert!(found["reason"].to_string().contains("no_negative_totals"));

    // Its time is over: the next command drops it, whichever that is.
    world.project.set_release(3);
    cause(&world, true).await;
    world.set("ON_FAILURE", "unwind");
    for command in [&["gc"][..], &["resume"], &["deploy"]] {
        let failed = world.cutover(&["deploy", "--keep=100ms"]).await.exits(1);
        assert_eq!(failed.states().last().map(String::as_str), Some("kept"));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let ended = world.cutover(command).await;
        match command {
            ["gc"] => ended.exits(0),
            _ => ended.exits(1),
        };
        assert_eq!(entry(&world).await["deployment"]["state"], "failed");
        world.nothing_left().await;
    }
    world.serves(2).await;
}
