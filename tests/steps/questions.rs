//! What a release asks the server, and what it says while it waits for the answer.

use crate::support::{Needs, Replay, World, eventually};
use serde_json::Value;

async fn latest(world: &World) -> Value {
    let status = world.cutover(&["status"]).await.exits(0).document();
    status["environments"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_has_nothing_computed_after_planning_and_says_what_it_waits_for() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let _replay = Replay::of(&mut world).await;
    world.hydrates(false).await;
    let mut deploying = world.hydrating(&["deploy"]).await;
    let waits = eventually("what is waited for", async || {
        let waits = latest(&world).await["waiting_for"].clone();
        waits.is_array().then_some(waits)
    })
    .await;
    let waits = waits.to_string();
    assert!(waits.contains("totals is not hydrated, since "), "{waits}");
    let said = world.cutover_text(&["status"]).await.exits(0);
    said.says("waits: ").says("is not hydrated, since ");
    let reading = deploying
        .until("a reading", |line| line["event"] == "readiness")
        .await;
    assert!(reading.to_string().contains(" UTC"), "{reading}");
    world.hydrates(true).await;
    deploying.ended().await.exits(0);

    let entry = latest(&world).await;
    assert_eq!(entry["waiting_for"], Value::Null, "{entry}");
    let id = entry["deployment"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let shown = world.cutover(&["show", &id]).await.exits(0).document();
    assert_eq!(shown["waiting"], Value::Null);
    let statements = shown["statements"].as_object().expect("counts").clone();
    for part in [
        "planning",
        "staging",
        "building",
        "hydrating",
        "cutting_over",
        "cleaning_up",
    ] {
        let counts = &statements[part];
        assert!(counts["session"].as_u64() > Some(0), "{part}: {counts}");
    }
    let count = |part: &str, class: &str| statements[part][class].as_u64().expect("a count");
    for part in statements.keys() {
        let expected = match part.as_str() {
            // Members of roles, default privileges, the system's privileges, pending replacements, subscriptions.
            "planning" => 5,
            _ => 0,
        };
        assert_eq!(count(part, "dataflows"), expected, "{part}: {statements:?}");
    }
    assert_eq!(count("hydrating", "subscriptions"), 1, "{statements:?}");
    assert!(count("cutting_over", "ddl") > 0, "{statements:?}");
    world
        .cutover_text(&["show", &id])
        .await
        .exits(0)
        .says("Statements sent")
        .says("0 dataflows");
    world.nothing_left().await;
}

/// A role that may not subscribe is released all the same.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_server_does_not_let_readiness_be_subscribed_to_it_is_asked() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let _replay = Replay::of(&mut world).await;
    world
        .sql
        .run(
            "INSERT INTO mz_sandbox.faults (pattern, action, argument, times) \
             VALUES ('cutover: readiness watch', 'error', '42501', NULL)",
        )
        .await;
    world
        .cutover_text(&["deploy", "-v"])
        .await
        .exits(0)
        .says("does not let readiness be subscribed to");
    world.nothing_left().await;
}
