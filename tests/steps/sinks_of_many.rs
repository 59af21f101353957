//! Several sinks outside: the release is killed after some of them were moved, forwards and back,
//! and one that cannot be moved keeps no other from moving.

use crate::support::{Needs, Replay, Running, World, eventually};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

const SINKS: [&str; 3] = ["out1", "out2", "out3"];

/// Three sinks on two relations of production.
async fn world() -> Option<(World, Replay)> {
    let mut world = World::prepared(Needs::Sandbox).await?;
    for sql in [
        "CREATE SCHEMA shop_out",
        "CREATE CLUSTER shop_io (SIZE = '25cc')",
        "CREATE CONNECTION shop_out.kafka TO KAFKA (BROKER 'localhost:9092', SECURITY PROTOCOL PLAINTEXT)",
    ] {
        world.sql.run(sql).await;
    }
    for (name, relation) in SINKS.into_iter().zip(["totals", "counts", "totals"]) {
        world
            .sql
            .run(&format!(
                "CREATE SINK shop_out.{name} IN CLUSTER shop_io FROM shop_marts.{relation} \
                 INTO KAFKA CONNECTION shop_out.kafka (TOPIC '{name}') FORMAT JSON ENVELOPE DEBEZIUM"
            ))
            .await;
    }
    world.set("SINKS__ALTER_TIMEOUT", "1s");
    world.set("SINKS__HEALTHY_TIMEOUT", "1s");
    let replay = Replay::of(&mut world).await;
    Some((world, replay))
}

/// The schemas, by id, of what the sinks read.
async fn read_from(world: &World) -> Vec<String> {
    let rows = world
        .sql
        .rows(
            "SELECT o.schema_id::text FROM mz_internal.mz_object_dependencies d \
             JOIN mz_catalog.mz_sinks s ON s.id = d.object_id \
             JOIN mz_catalog.mz_objects o ON o.id = d.referenced_object_id \
             WHERE o.type = 'materialized-view' ORDER BY s.name",
        )
        .await;
    rows.into_iter().map(|row| row[0].clone()).collect()
}

async fn schema(world: &World, name: &str) -> String {
    let query = format!("SELECT id::text FROM mz_catalog.mz_schemas WHERE name = '{name}'");
    world.sql.value(&query).await
}

async fn all_read(world: &World, schema: &str) {
    assert_eq!(read_from(world).await, [schema; 3]);
}

/// How the second ALTER SINK is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Second {
    NotExecuted,
    NotAnswered,
}

/// The release is at its second sink, and nothing after it can happen.
async fn disturb(world: &World, second: Second) {
    let (action, sink) = match second {
        Second::NotExecuted => ("hang", "out2"),
        Second::NotAnswered => ("cut_after", "out2"),
    };
    for (sink, action, times) in [(sink, action, "1"), ("out3", "hang", "NULL")] {
        world
            .sql
            .run(&format!(
                "INSERT INTO mz_sandbox.faults (pattern, application_name, action, times) \
                 VALUES ('ALTER SINK.*{sink}', 'cutover', '{action}', {times})"
            ))
            .await;
    }
}

/// Kills it as soon as the first, or the first two, were moved.
async fn kill(world: &World, running: Running, second: Second, target: &str, source: &str) {
    let moved = match second {
        Second::NotExecuted => [target, source, source],
        Second::NotAnswered => [target, target, source],
    };
    world.struck().await;
    eventually("sinks to be moved", async || {
        (read_from(world).await == moved).then_some(())
    })
    .await;
    running.signal(Signal::SIGKILL);
    let outcome = running.ended().await;
    assert_eq!(outcome.code, None, "{outcome}");
    assert_eq!(read_from(world).await, moved);
    world.let_go().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_killed_between_two_sinks_moves_the_rest() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let mut release = 1;
    for second in [Second::NotExecuted, Second::NotAnswered] {
        release += 1;
        let old = schema(&world, "shop_marts").await;
        disturb(&world, second).await;
        let deploying = world.spawn(&["deploy"]);
        world.swapped(release).await;
        let new = schema(&world, "shop_marts").await;
        assert_ne!(new, old);
        kill(&world, deploying, second, &new, &old).await;
        world.serves(release).await;
        world.cutover(&["resume"]).await.exits(0);
        all_read(&world, &new).await;
        world.serves(release).await;
        world.nothing_left().await;
    }
    // And back again.
    for second in [Second::NotExecuted, Second::NotAnswered] {
        let old = schema(&world, "shop_marts").await;
        world
            .cutover(&["deploy", "--cleanup=manual"])
            .await
            .exits(0);
        let new = schema(&world, "shop_marts").await;
        all_read(&world, &new).await;
        disturb(&world, second).await;
        let rolling_back = world.spawn(&["rollback"]);
        kill(&world, rolling_back, second, &old, &new).await;
        world.serves(release).await;
        world.cutover(&["resume"]).await.exits(0);
        all_read(&world, &old).await;
        world.serves(release).await;
        world.nothing_left().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sink_that_cannot_be_moved_is_named_alone_and_can_be_rolled_back() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let old = schema(&world, "shop_marts").await;
    let stall = "INSERT INTO mz_sandbox.sinks (pattern) VALUES ('shop_out\\.out2')";
    world.sql.run(stall).await;
    let stuck = world
        .cutover(&["deploy"])
        .await
        .exits(5)
        .says("sink-not-repointed");
    let reason = stuck.error()["message"].to_string();
    assert!(reason.contains("shop_out.out2"), "{stuck}");
    assert!(
        !reason.contains("out1") && !reason.contains("out3"),
        "{stuck}"
    );
    let new = schema(&world, "shop_marts").await;
    assert_eq!(
        read_from(&world).await,
        [&new, &old, &new].map(String::as_str)
    );
    assert_eq!(schema(&world, "shop_marts_dbt_deploy").await, old);
    world.serves(2).await;

    // It still stalls, and never left the old side.
    world.cutover(&["rollback"]).await.exits(0);
    all_read(&world, &old).await;
    world.serves(1).await;
    world.nothing_left().await;
    world.sql.run("DELETE FROM mz_sandbox.sinks").await;

    // One that stalls after it was moved cannot be moved back: the new side is kept for it.
    world
        .cutover(&["deploy", "--cleanup=manual"])
        .await
        .exits(0);
    let new = schema(&world, "shop_marts").await;
    all_read(&world, &new).await;
    world.sql.run(stall).await;
    let stuck = world
        .cutover(&["rollback"])
        .await
        .exits(5)
        .says("sink-not-repointed")
        .says("shop_out.out2")
        .says("the new side is kept");
    assert_eq!(stuck.states().last().map(String::as_str), Some("stuck"));
    assert_eq!(
        read_from(&world).await,
        [&old, &new, &old].map(String::as_str)
    );
    assert_eq!(schema(&world, "shop_marts_dbt_deploy").await, new);
    world.serves(1).await;
    world
        .cutover(&["resume"])
        .await
        .exits(5)
        .says("shop_out.out2");
    world.sql.run("DELETE FROM mz_sandbox.sinks").await;
    world.cutover(&["resume"]).await.exits(0);
    all_read(&world, &old).await;
    world.serves(1).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sinks_that_do_not_run_are_waited_for_together_and_keep_no_stop_waiting() {
    let Some((mut world, _replay)) = world().await else {
        return;
    };
    let unhealthy = "INSERT INTO mz_sandbox.sinks (pattern) VALUES ('shop_out\\.out.')";
    world.sql.run(unhealthy).await;
    world.set("SINKS__ALTER_TIMEOUT", "10m");
    let mut deploying: Running = world.spawn(&["deploy"]);
    deploying.until_state("soaking").await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let asked = Instant::now();
    deploying.signal(Signal::SIGINT);
    deploying.ended().await.exits(130);
    assert!(asked.elapsed() < Duration::from_secs(10));
    world.serves(2).await;
    // One after the other they would take three times as long.
    world.set("SINKS__ALTER_TIMEOUT", "4s");
    let began = Instant::now();
    let mut stuck = world.cutover(&["resume"]).await.exits(5);
    assert!(began.elapsed() < Duration::from_secs(10));
    for name in SINKS {
        stuck = stuck.says(&format!("shop_out.{name}"));
    }
    world.sql.run("DELETE FROM mz_sandbox.sinks").await;
    world.cutover(&["resume"]).await.exits(0);
    world.serves(2).await;
    let marts = schema(&world, "shop_marts").await;
    all_read(&world, &marts).await;
    world.nothing_left().await;
}
