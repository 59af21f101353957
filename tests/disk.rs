//! The disk of the journal, or of a run, is full: in the middle of a release, after the swap, while
//! the old side is dropped. The command says so and ends; nothing begins anew; when there is room
//! again the release is finished.

#![allow(clippy::print_stdout, reason = "what a person is told")]

mod support;

use support::{Disk, Needs, Outcome, Replay, World};

/// A world whose journal has a small disk of its own.
async fn world() -> Option<(World, Disk, Replay)> {
    let mut world = World::prepared(Needs::Sandbox).await?;
    // Before the disk is there: the warm dbt does not see it.
    let replay = Replay::of(&mut world).await;
    let disk = Disk::mount(&mut world, "journal")?;
    world.set("STORE__URL", "sqlite://journal/cutover.db");
    world.set("MATERIALIZE__RECONNECT_TIMEOUT", "1s");
    Some((world, disk, replay))
}

/// The one way in which a full journal may end a command.
#[track_caller]
fn names_the_disk(outcome: Outcome) -> Outcome {
    outcome
        .exits(4)
        .says("/journal/cutover.db")
        .says("full")
        .says("free space")
}

/// With the disk still full nothing goes on, and nothing begins anew. Then there is room.
async fn finished(world: &World, disk: &Disk, release: u32) {
    let full = world.snapshot().await;
    for command in ["resume", "deploy"] {
        let outcome = world.cutover(&[command]).await;
        assert!(
            matches!(outcome.code, Some(3 | 4)),
            "a full disk is no fault of the command\n{outcome}"
        );
        println!("{command} on the full disk: {}", outcome.error()["message"]);
        world.snapshot().await.is(&full);
    }
    disk.free();
    world
        .cutover(&["deploy", "--dry-run"])
        .await
        .exits(3)
        .says("deployment-active");
    world.cutover(&["resume"]).await.exits(0);
    world.serves(release).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_journal_ends_the_command_and_not_the_release() {
    let Some((world, disk, _replay)) = world().await else {
        return;
    };
    // Before the swap.
    world.hydrates(false).await;
    let deploying = world.hydrating(&["deploy"]).await;
    disk.fill();
    world.hydrates(true).await;
    names_the_disk(deploying.ended().await);
    world.serves(1).await;
    finished(&world, &disk, 2).await;

    // Between COMMIT and its record; the first COMMIT of a release gives green its names.
    let deploying = world.held_at("cutover: commit swap", 2, &["deploy"]).await;
    disk.fill();
    world.let_go().await;
    names_the_disk(deploying.ended().await);
    world.serves(3).await;
    finished(&world, &disk, 3).await;

    // While the old side is dropped.
    let deploying = world.held_at("cutover: drop object", 2, &["deploy"]).await;
    disk.fill();
    world.let_go().await;
    names_the_disk(deploying.ended().await);
    world.serves(4).await;
    finished(&world, &disk, 4).await;

    // While green is staged, and given up instead.
    let deploying = world
        .held_at("cutover: create cluster", 1, &["deploy"])
        .await;
    disk.fill();
    world.let_go().await;
    names_the_disk(deploying.ended().await);
    let outcome = world.cutover(&["abort"]).await;
    assert!(outcome.code == Some(4), "{outcome}");
    disk.free();
    world.cutover(&["abort"]).await.exits(0);
    world.serves(4).await;
    world.nothing_left().await;

    // From the start: nothing is begun.
    let before = world.snapshot().await;
    disk.fill();
    let outcome = world.cutover(&["deploy"]).await;
    assert_eq!(outcome.code, Some(4), "{outcome}");
    world.snapshot().await.is(&before);
    disk.free();
    world.cutover(&["deploy"]).await.exits(0);
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_dbt_is_not_taken_for_a_fault_of_the_project() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    world.project.set_release(2);
    // A warm one would not see the disk.
    world.starts_dbt_anew();
    let Some(disk) = Disk::mount(&mut world, "runs") else {
        return;
    };
    world.set("RUNS__DIRECTORY", "runs");
    world.set("MATERIALIZE__RECONNECT_TIMEOUT", "1s");

    // While it is planned.
    let before = world.snapshot().await;
    disk.fill();
    let outcome = world.cutover(&["deploy"]).await.exits(4).says("/runs");
    println!("planning: {}", outcome.error());
    world.snapshot().await.is(&before);
    disk.free();
    let history = world.cutover(&["history"]).await.exits(0).document();
    assert_eq!(history["deployments"].as_array().map(Vec::len), Some(0));

    // While dbt builds a model: it goes on in the database and cannot write its results.
    world
        .sql
        .run(
            "INSERT INTO mz_sandbox.faults (pattern, action, times) \
             VALUES ('shop_marts_dbt_deploy.*totals', 'hang', NULL)",
        )
        .await;
    let deploying = world.spawn(&["deploy"]);
    world.struck().await;
    disk.fill();
    world.let_go().await;
    let outcome = deploying.ended().await.exits(4).says("/runs/").says("full");
    println!("building: {}", outcome.error());
    assert_eq!(
        outcome.states().last().map(String::as_str),
        Some("building")
    );
    world.serves(1).await;
    let outcome = world.cutover(&["resume"]).await.exits(4).says("/runs/");
    println!("resuming: {}", outcome.error());
    disk.free();
    world.cutover(&["resume"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
}

/// Where nothing may be mounted: the system refuses to let the journal's files grow, as a quota does.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_may_not_grow_ends_the_command_and_not_the_release() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    world.set("MATERIALIZE__RECONNECT_TIMEOUT", "1s");
    let _replay = Replay::of(&mut world).await;
    // Otherwise the signal would end the process before it can say anything.
    world.through = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"]
        .map(str::to_owned)
        .to_vec();
    let deploying = world.held_at("cutover: commit swap", 2, &["deploy"]).await;
    let limited = std::process::Command::new("prlimit")
        .args(["--pid", &deploying.id().to_string(), "--fsize=4096"])
        .status()
        .expect("prlimit");
    assert!(limited.success());
    world.let_go().await;
    let outcome = deploying
        .ended()
        .await
        .exits(4)
        .says(".cutover/cutover.db")
        .says("cutover resume");
    println!("{}", outcome.error());
    world.serves(2).await;
    world
        .cutover(&["deploy", "--dry-run"])
        .await
        .exits(3)
        .says("deployment-active");
    world.cutover(&["resume"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
}
