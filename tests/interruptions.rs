//! Releases that are interrupted at the worst moments: the next command finishes or unwinds.

#![allow(clippy::print_stdout, reason = "how many conflicts were met")]

mod support;

use nix::sys::signal::Signal;
use support::{Needs, Replay, World, eventually};

const HOLD: &str = "INSERT INTO mz_sandbox.objects (pattern, hydrated) \
                    VALUES ('shop_marts_dbt_deploy\\.totals', false)";
const LET_GO: &str = "DELETE FROM mz_sandbox.objects";
const ON_THE_SWAP: &str = "cutover: commit swap";

async fn world() -> Option<World> {
    let world = World::prepared(Needs::Sandbox).await?;
    world.project.set_release(2);
    Some(world)
}

/// Asserts that release 2 serves and nothing else is left of the deployment.
async fn finished(world: &World) {
    world.serves(2).await;
    world.nothing_left().await;
    assert_eq!(world.processes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_stop_while_hydrating_it_stops_and_resumes() {
    let Some(world) = world().await else {
        return;
    };
    let before = world.snapshot().await;
    world.sql.run(HOLD).await;
    let deploying = world.hydrating(&["deploy"]).await;
    let busy = world.cutover(&["promote"]).await.exits(3);
    assert!(busy.all().contains("led by another process"), "{busy}");
    deploying.signal(Signal::SIGINT);
    deploying.ended().await.exits(130).says("can be resumed");
    world.serves(1).await;
    let status = world.cutover(&["status"]).await.exits(0).document();
    let entry = &status["environments"][0];
    assert_eq!(entry["deployment"]["state"], "hydrating");
    assert_eq!(entry["advice"]["commands"][0], "cutover resume prod");

    // Killed without warning, it is no different; then given up.
    let resuming = world.hydrating(&["resume"]).await;
    resuming.signal(Signal::SIGKILL);
    assert_eq!(resuming.ended().await.code, None);
    world.cutover(&["abort"]).await.exits(0);
    world.nothing_left().await;
    world.snapshot().await.is(&before);

    // The same once more, to the end.
    let deploying = world.hydrating(&["deploy"]).await;
    deploying.signal(Signal::SIGTERM);
    deploying.ended().await.exits(130);
    world.sql.run(LET_GO).await;
    world.cutover(&["resume"]).await.exits(0);
    finished(&world).await;
}

/// Kills a deploy while a statement that matches is held, before or after it ran.
async fn deploy_killed_at(world: &World, pattern: &str, nth: u32, action: &str) {
    let fault = format!(
        "INSERT INTO mz_sandbox.faults (pattern, nth, action) VALUES ('{pattern}', {nth}, '{action}')"
    );
    world.sql.run(&fault).await;
    let deploying = world.spawn(&["deploy"]);
    eventually("a statement to be held", async || {
        let held = "SELECT sum(held) FROM mz_sandbox.faults";
        (world.sql.value(held).await == "1").then_some(())
    })
    .await;
    deploying.signal(Signal::SIGKILL);
    assert_eq!(deploying.ended().await.code, None);
    world.sql.run("DELETE FROM mz_sandbox.faults").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_deploy_finishes_or_unwinds_what_was_interrupted() {
    let Some(mut world) = world().await else {
        return;
    };
    let replay = Replay::of(&mut world).await;
    // While building: it is finished, then the next release is made.
    replay.makes(2, false);
    deploy_killed_at(&world, "^/\\* dbt: \\*/ CREATE VIEW", 1, "hang").await;
    world.serves(1).await;
    world.cutover(&["deploy", "--dry-run"]).await.exits(3);
    let both = world
        .cutover(&["deploy"])
        .await
        .exits(0)
        .says("was interrupted while building; finishing it first");
    assert_eq!(
        both.states()
            .iter()
            .filter(|state| *state == "done")
            .count(),
        2
    );
    world.serves(2).await;

    // Swapped, but not recorded; staging commits a guarded transaction before.
    replay.makes(3, false);
    deploy_killed_at(&world, ON_THE_SWAP, 2, "hang_after").await;
    world.serves(3).await;
    replay.makes(4, false);
    let both = world.cutover(&["deploy"]).await.exits(0);
    assert_eq!(both.states()[..2], ["cutting_over", "soaking"]);
    assert_eq!(
        both.states()
            .iter()
            .filter(|state| *state == "done")
            .count(),
        2
    );
    world.serves(4).await;

    // What cannot be finished is unwound, and does not stand in the way.
    replay.makes(5, true);
    deploy_killed_at(&world, "^/\\* dbt: \\*/ CREATE VIEW", 1, "hang").await;
    let failed = world.cutover(&["deploy"]).await.exits(1);
    assert_eq!(
        failed
            .states()
            .iter()
            .filter(|state| *state == "failed")
            .count(),
        2
    );
    world.serves(4).await;
    world.nothing_left().await;

    // What waits for a person goes on waiting.
    replay.makes(6, false);
    world
        .cutover(&["deploy", "--promotion", "manual"])
        .await
        .exits(0);
    world
        .cutover(&["deploy"])
        .await
        .exits(3)
        .says("deployment-active");
    world.cutover(&["promote"]).await.exits(0);
    world.serves(6).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_dbt_builds_no_dbt_survives_and_resume_finishes() {
    let Some(world) = world().await else {
        return;
    };
    world.starts_dbt_anew();
    // dbt hangs in a model until somebody lets it.
    world
        .sql
        .run(
            "INSERT INTO mz_sandbox.faults (pattern, action, times) \
             VALUES ('shop_marts_dbt_deploy.*totals', 'hang', NULL)",
        )
        .await;
    let mut deploying = world.spawn(&["deploy"]);
    deploying.until_state("building").await;
    eventually("dbt to hang in the model", async || {
        let hits = world
            .sql
            .value("SELECT sum(hits) FROM mz_sandbox.faults")
            .await;
        (hits != "0").then_some(())
    })
    .await;
    deploying.signal(Signal::SIGKILL);
    assert_eq!(deploying.ended().await.code, None);
    eventually("dbt to end with its owner", async || {
        world.processes().is_empty().then_some(())
    })
    .await;
    world.sql.run("DELETE FROM mz_sandbox.faults").await;
    world.cutover(&["resume"]).await.exits(0);
    finished(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_to_commit_that_is_lost_is_found_out_by_the_ids() {
    let Some(world) = world().await else {
        return;
    };
    let fault = |action: &str| {
        format!(
            "INSERT INTO mz_sandbox.faults (pattern, action) VALUES ('{ON_THE_SWAP}', '{action}')"
        )
    };
    // Staging commits a guarded transaction too, under the same label.
    let mut deploying = world.spawn(&["deploy", "--promotion", "manual"]);
    deploying.until_state("ready").await;
    deploying.ended().await.exits(0);
    world.sql.run(&fault("cut_after")).await;
    world.cutover(&["promote"]).await.exits(0);
    finished(&world).await;
    let hits = "SELECT sum(hits) FROM mz_sandbox.faults";
    assert_ne!(world.sql.value(hits).await, "0");
    world.sql.run("DELETE FROM mz_sandbox.faults").await;

    // Cut before it was executed, it is sent again.
    world.project.set_release(3);
    world
        .cutover(&["deploy", "--promotion", "manual"])
        .await
        .exits(0);
    world.sql.run(&fault("cut_before")).await;
    world.cutover(&["promote"]).await.exits(0);
    world.serves(3).await;
    world.nothing_left().await;
    assert_ne!(world.sql.value(hits).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_commit_and_its_answer_resume_finishes() {
    let Some(world) = world().await else {
        return;
    };
    world
        .cutover(&["deploy", "--promotion", "manual"])
        .await
        .exits(0);
    let green = world.snapshot().await;
    // COMMIT is executed and its answer lost; the question to the catalog that follows, the fifth
    // of the promotion, is never answered: here the process is killed.
    for fault in [
        format!("'{ON_THE_SWAP}', 'cut_after', 1, 1"),
        "'cutover: names and ids', 'hang', 5, NULL".to_owned(),
    ] {
        world
            .sql
            .run(&format!(
                "INSERT INTO mz_sandbox.faults (pattern, action, nth, times) VALUES ({fault})"
            ))
            .await;
    }
    let mut promoting = world.spawn(&["promote"]);
    promoting.until_state("cutting_over").await;
    eventually("the swap", async || {
        let rows = world
            .sql
            .rows("SELECT id::text FROM mz_catalog.mz_schemas WHERE name = 'shop_marts'")
            .await;
        (rows[0][0] == green.id("schema shop_marts_dbt_deploy")).then_some(())
    })
    .await;
    promoting.signal(Signal::SIGKILL);
    promoting.ended().await;
    world.sql.run("DELETE FROM mz_sandbox.faults").await;
    world.serves(2).await;
    world.cutover(&["resume"]).await.exits(0);
    finished(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sessions_that_change_the_catalog_all_the_time_do_not_stop_a_swap() {
    let Some(world) = world().await else {
        return;
    };
    // Conflicts on purpose, at the swap and while giving names.
    world
        .sql
        .run(&format!(
            "INSERT INTO mz_sandbox.faults (pattern, action, argument, times) \
             VALUES ('{ON_THE_SWAP}', 'error', '40001', 3)"
        ))
        .await;
    // And a storm of real ones.
    let other = world.server.connect().await;
    let stop = tokio_util::sync::CancellationToken::new();
    let storm = tokio::spawn({
        let stop = stop.clone();
        async move {
            let mut rounds = 0;
            while !stop.is_cancelled() {
                other.run("CREATE SCHEMA storm").await;
                other.run("DROP SCHEMA storm").await;
                rounds += 1;
                // On a slow machine a swap takes longer than a tenth of a second.
                tokio::time::sleep(std::time::Duration::from_millis(250)).await;
            }
            rounds
        }
    });
    world.cutover(&["deploy"]).await.exits(0);
    stop.cancel();
    let changes = storm.await.expect("the storm ends");
    let conflicts = world
        .sql
        .value("SELECT sum(hits)::text FROM mz_sandbox.faults")
        .await;
    println!("{changes} rounds of changes by others, {conflicts} swaps met a conflict or passed");
    assert!(changes > 5);
    assert_ne!(conflicts, "0");
    finished(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_while_green_hydrates_is_waited_for() {
    let Some(mut world) = world().await else {
        return;
    };
    world.sql.run(HOLD).await;
    let deploying = world.hydrating(&["deploy"]).await;
    // Everybody is thrown out, this test too, and nobody is let in for a while.
    world
        .sql
        .run(
            "INSERT INTO mz_sandbox.faults (pattern, application_name, action, argument) \
             VALUES ('cutover: ', 'cutover', 'outage', '1500')",
        )
        .await;
    eventually("the outage", async || {
        world.sql.attempt("SELECT 1").await.is_err().then_some(())
    })
    .await;
    world.sql = eventually("the end of the outage", async || {
        world.server.try_connect().await
    })
    .await;
    world.serves(1).await;
    world.sql.run(LET_GO).await;
    deploying.ended().await.exits(0);
    finished(&world).await;
}
