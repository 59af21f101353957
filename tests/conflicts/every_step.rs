//! Somebody swaps, renames, drops and creates at every step of a release. It ends where the manual
//! says, names what it met, drops nothing that is not its own, and comes to a clean end when the
//! cause is gone.

use crate::acts::{ACTS, Act, EVERY_STEP, Sides, Step, applies, schema_id};
use crate::support::{Outcome, Replay, Running, World, eventually};
use crate::{Production, quick, state};

/// Brings a release to the step, lets somebody act there, and sees how the release ends.
async fn disturbed(
    world: &World,
    replay: &Replay,
    step: Step,
    act: Act,
) -> (Outcome, Vec<String>, Production) {
    let manual = ["deploy", "--promotion=manual", "--cleanup=manual"];
    let kept = ["deploy", "--cleanup", "manual"];
    let held: Option<Running> = match step {
        Step::Building => {
            replay.hold();
            let deploying = world.spawn(&["deploy"]);
            eventually("the build", async || replay.is_building().then_some(())).await;
            Some(deploying)
        }
        Step::Hydrating => {
            world.hydrates(false).await;
            let deploying = world.hydrating(&["deploy"]).await;
            Some(deploying)
        }
        Step::Ready => {
            world.cutover(&manual).await.exits(0);
            None
        }
        Step::BeforeSwap | Step::InSwap | Step::AfterSwap => {
            world.cutover(&manual).await.exits(0);
            let (label, nth) = match step {
                // The first is the rehearsal's.
                Step::BeforeSwap => ("begin swap", 2),
                // Three in the rehearsal.
                Step::InSwap => ("swap schemas", 4),
                // One in the rehearsal, one in the swap; the next one is the first thing after it.
                Step::Building
                | Step::Hydrating
                | Step::Ready
                | Step::AfterSwap
                | Step::Soaking
                | Step::CleaningUp => ("names and ids", 3),
            };
            world.hold(&format!("cutover: {label} "), nth).await;
            let promoting = world.spawn(&["promote"]);
            world.struck().await;
            Some(promoting)
        }
        Step::Soaking => {
            world.cutover(&kept).await.exits(0);
            None
        }
        Step::CleaningUp => {
            world.cutover(&kept).await.exits(0);
            let cleaning = world
                .held_at("cutover: drop object ", 1, &["cleanup"])
                .await;
            Some(cleaning)
        }
    };
    let sides = if step == Step::Building {
        Sides {
            serving: schema_id(&world.sql, "shop_marts").await,
            aside: schema_id(&world.sql, "shop_marts_dbt_deploy").await,
            aside_cluster: world
                .sql
                .value("SELECT id::text FROM mz_catalog.mz_clusters WHERE name = 'shop_compute_dbt_deploy'")
                .await,
        }
    } else {
        Sides::read(world).await
    };
    let undoes = act.act(&world.sql, &sides).await;
    let production = Production::read(world).await;
    let outcome = match held {
        Some(running) => {
            match step {
                Step::Building => replay.go_on(),
                Step::Hydrating => world.hydrates(true).await,
                Step::Ready
                | Step::BeforeSwap
                | Step::InSwap
                | Step::AfterSwap
                | Step::Soaking
                | Step::CleaningUp => world.let_go().await,
            }
            running.ended().await
        }
        None if step == Step::Ready => world.cutover(&["promote"]).await,
        None => world.cutover(&["cleanup"]).await,
    };
    (outcome, undoes, production)
}

/// Ends whatever is left of the deployment, after the cause is gone.
async fn ended_cleanly(world: &World, place: &str) -> String {
    for _ in 0..3 {
        let state = state(world).await;
        let outcome = match state.as_str() {
            "done" | "failed" | "aborted" | "rolled_back" => {
                let snapshot = world.snapshot().await;
                assert_eq!(snapshot.leftovers(), Vec::<&String>::new(), "{place}");
                return state;
            }
            "ready" => world.cutover(&["abort"]).await,
            "soaking" => world.cutover(&["cleanup"]).await,
            _ => world.cutover(&["resume"]).await,
        };
        assert!(matches!(outcome.code, Some(0 | 1)), "{place}: {outcome}");
    }
    panic!("{place}: no clean end");
}

/// Loops over steps and acts.
async fn every_act_at(steps: &[Step]) {
    let Some((mut world, replay)) = quick().await else {
        return;
    };
    world.sql.run("CREATE SCHEMA others").await;
    world.set("READINESS__TIMEOUT", "20s");
    let mut faults = Vec::new();
    for step in steps.iter().copied() {
        for act in ACTS.into_iter().filter(|act| applies(step, *act)) {
            let place = format!("{step:?} × {act:?}");
            let begun = std::time::Instant::now();
            let (outcome, undoes, then) = disturbed(&world, &replay, step, act).await;
            let state = state(&world).await;
            let said = outcome.all();
            let mut bad = |what: &str| faults.push(format!("{place}: {what}\n{outcome}"));
            let fits = matches!(
                (outcome.code, state.as_str()),
                (Some(0), "done" | "soaking")
                    | (Some(1), "failed")
                    | (Some(3), "ready")
                    | (Some(5), "stuck")
            );
            if !fits {
                bad(&format!("it is {state}"));
            }
            if outcome.code == Some(0) && !act.is_harmless(step) {
                bad("it went on as if nothing had happened");
            }
            if outcome.code != Some(0) && !act.names().iter().any(|name| said.contains(name)) {
                bad("the reason does not name it");
            }
            let now = Production::read(&world).await;
            let is_theirs = act.breaks(step) && now == then;
            if !now.is_whole() && !is_theirs {
                bad(&format!("production is {now:?}, was {then:?}"));
            }
            if act.goes_with_green(step) {
                // Named in the reason; see below that nothing is left.
            } else if act.adds()
                && world
                    .sql
                    .value("SELECT count(*)::text FROM mz_catalog.mz_objects WHERE name = 'theirs'")
                    .await
                    != "1"
            {
                bad("what was somebody's own is gone");
            } else {
                Act::undo(undoes, &world.sql).await;
            }
            let end = ended_cleanly(&world, &place).await;
            assert!(Production::read(&world).await.is_whole(), "{place}");
            println!(
                "{place:32} exit {:?}, {state}; then {end} ({:.1?})",
                outcome.code.unwrap_or(-1),
                begun.elapsed()
            );
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_somebody_does_before_the_swap_is_named_and_mended() {
    every_act_at(&EVERY_STEP[..5]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_somebody_does_after_the_swap_is_named_and_mended() {
    every_act_at(&EVERY_STEP[5..]).await;
}
