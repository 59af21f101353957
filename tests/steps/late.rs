//! A swap that is taken up late: what was true when it was about to be sent is looked at again.

use crate::support::{Needs, Replay, Running, World};
use nix::sys::signal::Signal;
use std::time::Duration;

/// A release that waits, killed while its swap was about to be committed; nothing changed.
async fn killed() -> Option<(World, Replay)> {
    let mut world = World::prepared(Needs::Sandbox).await?;
    let replay = Replay::of(&mut world).await;
    let deploy = ["deploy", "--promotion", "manual"];
    world.cutover(&deploy).await.exits(0);
    let promoting: Running = world.held_at("cutover: commit swap", 1, &["promote"]).await;
    promoting.signal(Signal::SIGKILL);
    promoting.ended().await;
    world.let_go().await;
    world.serves(1).await;
    Some((world, replay))
}

#[tokio::test]
async fn a_swap_that_is_taken_up_is_made_after_another_look() {
    let Some((world, _replay)) = killed().await else {
        return;
    };
    let resumed = world.cutover(&["resume"]).await.exits(0);
    let states = resumed.states();
    assert_eq!(
        states[..4],
        ["cutting_over", "ready", "cutting_over", "soaking"],
        "{states:?}"
    );
    world.serves(2).await;
    world.nothing_left().await;
}

#[tokio::test]
async fn green_that_lost_its_replicas_meanwhile_does_not_go_live_without_them() {
    let Some((mut world, _replay)) = killed().await else {
        return;
    };
    let cluster = world.name("compute_dbt_deploy");
    let off = format!("ALTER CLUSTER {cluster} SET (REPLICATION FACTOR = 0)");
    world.sql.run(&off).await;
    // It gets them again, as production has them, and is waited for.
    let resumed = world.cutover(&["resume"]).await.exits(0);
    resumed.says("the options of the cluster shop_compute");
    world.serves(2).await;
    assert_eq!(world.replicas("compute").await, "1");
    world.nothing_left().await;
    // So it is where the server went away while the swap was sent.
    world.set("READINESS__TIMEOUT", "5s");
    let deploy = ["deploy", "--promotion", "manual"];
    world.cutover(&deploy).await.exits(0);
    let promoting = world.held_at("cutover: commit swap", 1, &["promote"]).await;
    world.hydrates(false).await;
    world.outage(Duration::from_secs(1)).await;
    world.is_back().await;
    world.let_go().await;
    let ended = promoting.ended().await.exits(1);
    assert!(
        !ended.states().contains(&"soaking".to_owned()),
        "{}",
        ended.all()
    );
    world.serves(2).await;
    world.hydrates(true).await;
    world.nothing_left().await;
}

#[tokio::test]
async fn a_clock_that_is_ahead_ends_no_soak() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let _replay = Replay::of(&mut world).await;
    world.set("SOAK", "1h");
    world.set("SOAK_CHECK_INTERVAL", "100ms");
    let mut deploying = world.spawn(&["deploy"]);
    deploying
        .until("a look after the swap", |line| line["event"] == "watched")
        .await;
    deploying.signal(Signal::SIGKILL);
    deploying.ended().await;
    let soaking = world.snapshot().await;
    // The machine that goes on is years ahead of the one that swapped.
    let journal = world.project.path().join(".cutover/cutover.db");
    let journal = rusqlite::Connection::open(journal).expect("the journal");
    let changed = journal
        .execute(
            "UPDATE events SET at = '2001-01-01T00:00:00.000Z' WHERE kind = 'swap_committed'",
            [],
        )
        .expect("changed");
    assert_eq!(changed, 1);
    drop(journal);
    let mut resuming = world.spawn(&["resume"]);
    for _ in 0..2 {
        resuming
            .until("another look", |line| line["event"] == "watched")
            .await;
    }
    world.snapshot().await.is(&soaking);
    assert!(!resuming.has_ended());
    resuming.signal(Signal::SIGINT);
    resuming.ended().await;
    world.cutover(&["cleanup"]).await.exits(0);
    world.nothing_left().await;
}
