//! The PostgreSQL of the journal goes away: before a release, while it waits, at the moment of the
//! swap, for a moment or for longer than it is waited for; and the lead is lost to another process.

#![allow(clippy::print_stdout, reason = "what a person is told")]

use crate::entered_once;
use crate::support::{JournalServer, Needs, Outcome, Replay, Running, Stop, World};
use nix::sys::signal::Signal;

async fn world() -> Option<(World, JournalServer, Replay)> {
    let mut world = World::prepared(Needs::Sandbox).await?;
    let journal = JournalServer::of(&mut world);
    let replay = Replay::of(&mut world).await;
    Some((world, journal, replay))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_away_at_the_start_is_named_and_nothing_begins() {
    let Some((world, mut journal, _replay)) = world().await else {
        return;
    };
    let before = world.snapshot().await;
    journal.stop(Stop::Fast);
    for command in ["deploy", "plan", "resume", "abort", "status"] {
        let outcome = world
            .cutover(&[command])
            .await
            .exits(4)
            .says("the PostgreSQL server of the journal")
            .says("store.url");
        assert!(outcome.took.as_secs() < 10, "{outcome}");
    }
    world.snapshot().await.is(&before);
    journal.start();
    world.cutover(&["deploy"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_restarts_in_the_middle_of_a_release_is_waited_for() {
    let Some((world, mut journal, _replay)) = world().await else {
        return;
    };
    let mut release = 1;
    for mode in [Stop::Fast, Stop::Immediate] {
        // While green hydrates nothing is recorded, and the lead is held by a connection.
        release += 1;
        world.hydrates(false).await;
        let deploying = world.hydrating(&["deploy"]).await;
        journal.stop(mode);
        world.hydrates(true).await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        journal.start();
        let outcome = deploying.ended().await.exits(0);
        println!("{mode:?} while hydrating: {:?}", outcome.took);
        entered_once(&world, &outcome).await;
        world.serves(release).await;
        world.nothing_left().await;

        // At the swap: COMMIT passes while nobody can record it.
        release += 1;
        let deploying = world.held_at("cutover: commit swap", 2, &["deploy"]).await;
        journal.stop(mode);
        world.let_go().await;
        world.swapped(release).await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        journal.start();
        let outcome = deploying.ended().await.exits(0);
        println!("{mode:?} at the swap: {:?}", outcome.took);
        entered_once(&world, &outcome).await;
        world.serves(release).await;
        world.nothing_left().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_stays_away_ends_the_command_and_not_the_release() {
    let Some((mut world, mut journal, _replay)) = world().await else {
        return;
    };
    world.set("MATERIALIZE__RECONNECT_TIMEOUT", "1s");
    let deploying = world.held_at("cutover: commit swap", 2, &["deploy"]).await;
    journal.stop(Stop::Immediate);
    world.let_go().await;
    let outcome = deploying
        .ended()
        .await
        .exits(4)
        .says("the PostgreSQL server of the journal")
        .says("cutover resume");
    println!("{:?}: {}", outcome.took, outcome.error()["message"]);
    world.serves(2).await;
    let swapped = world.snapshot().await;
    for command in ["resume", "deploy"] {
        world.cutover(&[command]).await.exits(4);
    }
    world.snapshot().await.is(&swapped);
    journal.start();
    world
        .cutover(&["deploy", "--dry-run"])
        .await
        .exits(3)
        .says("deployment-active");
    world.cutover(&["resume"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
}

/// A process that fell silent, with the server having noticed.
async fn silenced(journal: &JournalServer, running: &Running) {
    running.signal(Signal::SIGSTOP);
    let ended = journal
        .connect()
        .await
        .query(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
             WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
            &[],
        )
        .await
        .expect("ended");
    assert!(ended.len() >= 2, "a connection and the one of the lead");
}

/// The end of a process that is not the leader any more: the journal took nothing from it.
async fn superseded(running: Running) -> Outcome {
    let outcome = running.ended().await.exits(3);
    let error = outcome.error();
    let message = error["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("another process has taken the lead of environment")
            && message.contains("nothing was recorded"),
        "{outcome}"
    );
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_lost_the_lead_neither_writes_nor_swaps() {
    let Some((world, journal, _replay)) = world().await else {
        return;
    };
    // It waits for green; the other one takes over and waits for a person.
    world.hydrates(false).await;
    let old = world.hydrating(&["deploy", "--promotion=manual"]).await;
    silenced(&journal, &old).await;
    world.hydrates(true).await;
    let resumed = world.cutover(&["resume"]).await.exits(0);
    assert_eq!(resumed.states().last().map(String::as_str), Some("ready"));
    let ready = world.snapshot().await;
    old.signal(Signal::SIGCONT);
    let outcome = superseded(old).await;
    println!("while hydrating: {}", outcome.error()["message"]);
    world.snapshot().await.is(&ready);
    world.serves(1).await;

    // It is about to commit the swap; the other one has made it when it goes on.
    let old = world.held_at("cutover: commit swap", 1, &["promote"]).await;
    silenced(&journal, &old).await;
    world
        .sql
        .run("UPDATE mz_sandbox.faults SET nth = 1000000")
        .await;
    let resumed = world.cutover(&["resume"]).await;
    println!("the other one: {:?} {:?}", resumed.code, resumed.states());
    resumed.exits(0);
    let done = world.snapshot().await;
    world.let_go().await;
    old.signal(Signal::SIGCONT);
    let outcome = superseded(old).await;
    println!("at the swap: {}", outcome.error()["message"]);
    world.snapshot().await.is(&done);
    world.serves(2).await;
    world.nothing_left().await;

    // It drops the old side; the other one drops the rest, and a release follows.
    let old = world.held_at("cutover: drop object", 2, &["deploy"]).await;
    silenced(&journal, &old).await;
    world
        .sql
        .run("UPDATE mz_sandbox.faults SET nth = 1000000")
        .await;
    world.cutover(&["resume"]).await.exits(0);
    let next = world
        .cutover(&["deploy", "--cleanup=manual"])
        .await
        .exits(0);
    assert_eq!(next.states().last().map(String::as_str), Some("soaking"));
    let soaking = world.snapshot().await;
    world.let_go().await;
    old.signal(Signal::SIGCONT);
    let outcome = superseded(old).await;
    println!("while dropping: {}", outcome.error()["message"]);
    world.snapshot().await.is(&soaking);
    world.cutover(&["rollback"]).await.exits(0);
    world.serves(3).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_lost_the_lead_between_two_attempts_does_not_swap() {
    let Some((mut world, journal, _replay)) = world().await else {
        return;
    };
    world
        .cutover(&["deploy", "--promotion=manual"])
        .await
        .exits(0);
    // Its swap meets one conflict after the other, with pauses that grow.
    world
        .sql
        .run(
            "INSERT INTO mz_sandbox.faults (pattern, action, argument, times) \
             VALUES ('cutover: commit swap', 'error', '40001', NULL)",
        )
        .await;
    world.set("CUTOVER__BACKOFF_MAX", "20s");
    world.set("CUTOVER__ATTEMPTS", "100");
    let old = world.spawn(&["promote"]);
    crate::support::eventually("ten attempts", async || {
        let hits = world
            .sql
            .value("SELECT (sum(hits) >= 10)::text FROM mz_sandbox.faults")
            .await;
        (hits == "true").then_some(())
    })
    .await;
    // The pause that has begun is longer than this, whatever its jitter.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    silenced(&journal, &old).await;
    world.set("CUTOVER__ATTEMPTS", "1");
    world
        .cutover(&["resume"])
        .await
        .exits(3)
        .says("the swap was not made");
    let ready = world.snapshot().await;
    world.let_go().await;
    old.signal(Signal::SIGCONT);
    let outcome = superseded(old).await;
    println!("between two attempts: {}", outcome.error()["message"]);
    world.snapshot().await.is(&ready);
    world.serves(1).await;
    world.cutover(&["abort"]).await.exits(0);
    world.serves(1).await;
    world.nothing_left().await;
}
