//! The way back to an old side that is not ready any more: it is looked at before it serves.

use crate::support::{Needs, Replay, Running, World};
use serde_json::Value;
use std::time::Duration;

/// Finds what a person adds during the soak, and rolls back at once.
const NO_EVE: &str = "soak_check_interval: 50ms\nsoak_check_failures: 1\nchecks:\n  - name: no eve\n    kind: no_rows\n    \
     run: [soak]\n    sql: SELECT 1 FROM {{ green(\"shop_staging.orders\") }} WHERE customer = 'eve'\n";

async fn world() -> Option<(World, Replay)> {
    let mut world = World::prepared(Needs::Sandbox).await?;
    let replay = Replay::of(&mut world).await;
    Some((world, replay))
}

/// Gives the cluster so many replicas.
async fn replicas(world: &World, cluster: &str, number: u32) {
    let cluster = world.name(cluster);
    let set = format!("ALTER CLUSTER {cluster} SET (REPLICATION FACTOR = {number})");
    world.sql.run(&set).await;
}

async fn events(world: &World, id: &str) -> Vec<Value> {
    let shown = world.cutover(&["show", id]).await.exits(0).document();
    shown["events"].as_array().expect("events").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_side_without_replicas_serves_only_when_a_person_insists() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let kept = ["deploy", "--cleanup", "manual"];
    world.cutover(&kept).await.exits(0);
    replicas(&world, "compute_dbt_deploy", 0).await;
    let stuck = world.cutover(&["rollback"]).await.exits(5);
    stuck
        .says("old-side-not-ready")
        .says("has no replicas")
        .says("rollback --force");
    world.serves(2).await;
    // Repaired, it is looked at again and serves.
    world.cutover(&["resume"]).await.exits(5);
    replicas(&world, "compute_dbt_deploy", 1).await;
    world.cutover(&["resume"]).await.exits(0);
    world.serves(1).await;
    world.nothing_left().await;

    // Insisted on, it serves as it is, and the record says so.
    for is_stuck in [true, false] {
        let id = world.cutover(&kept).await.exits(0).deployment();
        replicas(&world, "compute_dbt_deploy", 0).await;
        if is_stuck {
            world.cutover(&["rollback"]).await.exits(5);
        }
        world.cutover(&["rollback", "--force"]).await.exits(0);
        replicas(&world, "compute", 1).await;
        world.serves(1).await;
        world.nothing_left().await;
        let events = events(&world, &id).await;
        let forced = events.iter().any(|recorded| {
            let event = &recorded["event"];
            match is_stuck {
                true => event["kind"] == "rollback_forced" && event["by"] == "cli",
                false => event["kind"] == "rollback_requested" && event["forced"] == true,
            }
        });
        assert!(forced, "{events:?}");
        let text = world.cutover_text(&["show", &id]).await;
        text.exits(0).says("ready or not");
    }
}

/// A release in its soak whose old side lost its replicas, and whose check has begun to fail.
async fn failing(world: &World) -> Running {
    world.project.write("cutover.yaml", NO_EVE);
    let mut deploying = world.spawn(&["deploy", "--soak", "1h"]);
    deploying.until_state("soaking").await;
    deploying
        .until("a passed check", |line| {
            line["text"].to_string().contains("passed")
        })
        .await;
    replicas(world, "compute_dbt_deploy", 0).await;
    let eve = "INSERT INTO shop_staging.orders VALUES (9, 'eve', 1)";
    world.sql.run(eve).await;
    deploying
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_that_a_check_causes_waits_for_the_old_side() {
    let Some((mut world, _replay)) = world().await else {
        return;
    };
    world.set("CUTOVER__ROLLBACK_WAIT", "1m");
    let mut deploying = failing(&world).await;
    deploying
        .until("the wait", |line| {
            line["text"]
                .to_string()
                .contains("the rollback waits up to 1m")
        })
        .await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.serves(2).await;
    replicas(&world, "compute_dbt_deploy", 1).await;
    let ended = deploying.ended().await.exits(1).says("ROLLED BACK");
    world.serves(1).await;
    world.nothing_left().await;
    let events = events(&world, &ended.deployment()).await;
    let put_off = events
        .iter()
        .filter(|recorded| recorded["event"]["kind"] == "rollback_put_off");
    assert_eq!(put_off.count(), 1, "{events:?}");

    // Not for ever: then a person decides.
    world.set("CUTOVER__ROLLBACK_WAIT", "1s");
    let deploying = failing(&world).await;
    deploying
        .ended()
        .await
        .exits(5)
        .says("old-side-not-ready")
        .says("rollback --force");
    world.serves(3).await;
    world.cutover(&["rollback", "--force"]).await.exits(1);
    replicas(&world, "compute", 1).await;
    world.serves(1).await;
    world.nothing_left().await;
}
