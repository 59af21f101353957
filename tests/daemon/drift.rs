//! What people do to production between releases is told once, and once when it is gone.

use super::configuration;
use crate::support::{Needs, People, World, eventually};
use serde_json::Value;

/// What was told of drift: whether it was found, and the sentence.
fn told(people: &People) -> Vec<(String, String)> {
    let posts = people.told().into_iter().map(|post| post.body);
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    posts
        .filter(|body| body["topic"] == "drift")
        .map(|body| {
            assert!(body["details"]["since"].is_string(), "{body}");
            (
                text(&body["details"]["kind"]),
                text(&body["details"]["reason"]),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_change_between_releases_is_told_once_and_when_it_is_gone() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    world.set("BUILD__ENGINE", "native");
    world.cutover(&["deploy", "prod"]).await.exits(0);
    world.sql.run("CREATE ROLE drift_reader").await;
    let people = People::listen().await;
    let more = |interval: &str| {
        configuration(&format!(
            "drift_interval: {interval}\nwebhooks: [{{name: people, url: \"{}\", events: [drift]}}]\n",
            people.url
        ))
    };
    let daemon = world.serve("daemon", &more("100ms")).await;
    let looked = |status: &Value| status["drift"]["looked_at"].is_string();
    let none = daemon.until("prod", "a look", looked).await;
    assert_eq!(none["drift"]["found"], serde_json::json!([]), "{none:#}");

    let (marts, serving) = (world.name("marts"), world.name("serving"));
    let compute = world.name("compute");
    let grant = format!("GRANT SELECT ON {marts}.totals TO drift_reader");
    let revoke = format!("REVOKE SELECT ON {marts}.totals FROM drift_reader");
    let factor =
        |number: u32| format!("ALTER CLUSTER {compute} SET (REPLICATION FACTOR = {number})");
    world.sql.run(&grant).await;
    let found = |count: usize| {
        move |status: &Value| status["drift"]["found"].as_array().map(Vec::len) == Some(count)
    };
    let one = daemon.until("prod", "the grant", found(1)).await;
    let first = one["drift"]["found"][0].clone();
    assert_eq!(first["change"], "grants", "{first}");
    assert_eq!(first["detail"], "SELECT given to drift_reader", "{first}");
    world.sql.run(&factor(2)).await;
    let two = daemon.until("prod", "the cluster", found(2)).await;
    // What was known before is known since then.
    let all = two["drift"]["found"].as_array().expect("a list");
    assert!(all.contains(&first), "{two:#}");
    assert_eq!(two["drift"]["since"], first["since"], "{two:#}");
    let metrics = daemon.try_get("/metrics").await.expect("metrics");
    assert!(
        metrics.contains("cutover_drift{environment=\"prod\"} 2"),
        "{metrics}"
    );

    // Another process does not tell it again, and tells what is new.
    daemon.killed().await;
    let daemon = world.serve("again", &more("100ms")).await;
    let again = daemon.until("prod", "a look", looked).await;
    assert_eq!(again["drift"]["found"], two["drift"]["found"]);
    let shown = world.cutover_text(&["status", "prod"]).await.exits(0);
    shown.says("drift: ").says("SELECT given to drift_reader");
    let view = format!("SELECT t.customer FROM {marts}.totals t");
    world.sql.run(&format!("DROP VIEW {serving}.report")).await;
    world
        .sql
        .run(&format!("CREATE VIEW {serving}.report AS {view}"))
        .await;
    let more_of_it = daemon
        .until("prod", "the view", |status| {
            status["drift"].to_string().contains("recreated")
        })
        .await;
    let index = more_of_it["drift"].to_string();
    assert!(
        index.contains("report_index") && index.contains("missing"),
        "{index}"
    );

    world.sql.run(&revoke).await;
    world.sql.run(&factor(1)).await;
    let left = daemon.until("prod", "the rest", found(2)).await;
    assert!(!left["drift"].to_string().contains("grants"), "{left:#}");
    // A release of all of it makes it right, and that is told.
    daemon.stopped().await.exits(0);
    world.cutover(&["deploy", "prod", "--full"]).await.exits(0);
    let daemon = world.serve("last", &more("1h")).await;
    daemon
        .until("prod", "no drift", |status| {
            looked(status) && found(0)(status)
        })
        .await;
    let all = eventually("all that is told", async || {
        let all = told(&people);
        all.last()
            .is_some_and(|(kind, _)| kind == "drift_gone")
            .then_some(all)
    })
    .await;
    let sentences: Vec<&String> = all.iter().map(|(_, sentence)| sentence).collect();
    for pair in sentences.windows(2) {
        assert_ne!(pair[0], pair[1], "{all:#?}");
    }
    assert_eq!(
        all.iter().filter(|(kind, _)| kind == "drift_gone").count(),
        1,
        "{all:#?}"
    );
    daemon.stopped().await.exits(0);
}
