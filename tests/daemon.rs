//! The daemon: releases on schedule, promotions by signal, stops and starts.

mod support;

use cutover::store::{Cause, Outcome as Ended, Run};
use nix::sys::signal::Signal;
use serde_json::json;
use support::{Needs, Replay, World, eventually};

/// A configuration with one environment.
fn configuration(more: &str) -> String {
    format!("http: {{listen: null}}\nenvironments:\n  prod:\n    project: {{target: prod}}\n{more}")
}

/// A world in production whose dbt answers at once.
async fn world() -> Option<(World, Replay)> {
    let mut world = World::start(Needs::Sandbox).await?;
    world.produce_by_sql().await;
    world.project.without_tests();
    let replay = Replay::named(&mut world, "prod").await;
    Some((world, replay))
}

#[tokio::test]
async fn it_releases_on_schedule_and_stops_when_told() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let every_two_seconds = configuration("    schedule: {cron: \"*/2 * * * * *\"}\n");
    let daemon = world.serve("daemon", &every_two_seconds).await;
    world.swapped(4).await;
    let stopped = daemon.stopped().await.exits(0);
    assert!(stopped.all().contains("gives the lead up"), "{stopped}");
    let runs = world.runs().await;
    let released = |run: &&Run| run.outcome == Some(Ended::Released);
    let released: Vec<_> = runs.iter().filter(released).collect();
    assert!(released.len() >= 2, "{runs:#?}");
    for run in released {
        assert_eq!(run.cause, Cause::Schedule, "{runs:#?}");
        assert!(
            run.scheduled_for.is_some() && run.revision.is_some(),
            "{runs:#?}"
        );
    }
}

#[tokio::test]
async fn what_is_ready_waits_for_sigusr1() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let daemon = world
        .serve("daemon", &configuration("    promotion: manual\n"))
        .await;
    daemon.does("prod", "idle").await;
    daemon.signal(Signal::SIGUSR2);
    daemon.does("prod", "waiting_for_promotion").await;
    world.serves(1).await;
    daemon.signal(Signal::SIGUSR1);
    world.swapped(2).await;
    daemon.does("prod", "idle").await;
    world.nothing_left().await;
    let runs = world.runs().await;
    assert_eq!(runs[0].cause, Cause::Signal);
    assert_eq!(runs[0].outcome, Some(Ended::Released));
    let metrics = daemon.try_get("/metrics").await.expect("metrics");
    assert!(
        metrics.contains("cutover_runs_total{environment=\"prod\",outcome=\"released\"} 1"),
        "{metrics}"
    );
    daemon.stopped().await.exits(0);
}

#[tokio::test]
async fn requests_are_answered_while_it_releases() {
    let Some((world, replay)) = world().await else {
        return;
    };
    let daemon = world.serve("daemon", &configuration("")).await;
    daemon.does("prod", "idle").await;
    replay.hold();
    let (status, begun) = daemon
        .post("/v1/environments/prod/releases", &json!({}))
        .await;
    assert_eq!(status, 202, "{begun}");
    eventually("the build", async || replay.is_building().then_some(())).await;
    let (status, busy) = daemon
        .post("/v1/environments/prod/releases", &json!({}))
        .await;
    assert_eq!(status, 409, "{busy}");
    let (status, early) = daemon
        .post("/v1/environments/prod/promote", &json!({}))
        .await;
    assert_eq!(status, 409, "{early}");
    let other = json!({"deployment": "01234567-0123-7123-8123-0123456789ab"});
    let (status, foreign) = daemon.post("/v1/environments/prod/abort", &other).await;
    assert_eq!(status, 409, "{foreign}");
    let (status, aborted) = daemon.post("/v1/environments/prod/abort", &json!({})).await;
    assert_eq!(status, 202, "{aborted}");
    daemon.does("prod", "idle").await;
    world.serves(1).await;
    world.nothing_left().await;
    let runs = world.runs().await;
    assert_eq!(runs[0].id, begun["run"].as_str().expect("a run"));
    assert_eq!(runs[0].outcome, Some(Ended::Aborted));
    daemon.stopped().await.exits(0);
}

#[tokio::test]
async fn a_stop_in_the_middle_goes_on_at_the_next_start() {
    let Some((world, replay)) = world().await else {
        return;
    };
    let daemon = world.serve("daemon", &configuration("")).await;
    daemon.does("prod", "idle").await;
    replay.hold();
    daemon.signal(Signal::SIGUSR2);
    eventually("the build", async || replay.is_building().then_some(())).await;
    daemon.stopped().await.exits(0);
    replay.go_on();
    let daemon = world.serve("daemon", &configuration("")).await;
    world.swapped(2).await;
    daemon.does("prod", "idle").await;
    let runs = world.runs().await;
    assert_eq!(runs.len(), 1, "{runs:#?}");
    assert_eq!(runs[0].outcome, Some(Ended::Released));
    daemon.stopped().await.exits(0);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_faulty_configuration_is_not_taken_over() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let daemon = world.serve("daemon", &configuration("")).await;
    daemon.does("prod", "idle").await;
    let file = daemon.folder().join("cutover.yaml");
    std::fs::write(&file, configuration("    soak: never\n    sok: 1s\n")).expect("a file");
    daemon.signal(Signal::SIGHUP);
    eventually("the fault", async || {
        let log = daemon.log();
        (log.contains("the old one stays in force") && log.contains("sok")).then_some(())
    })
    .await;
    std::fs::write(
        &file,
        configuration("  test:\n    project: {target: prod}\n"),
    )
    .expect("a file");
    daemon.signal(Signal::SIGHUP);
    eventually("the new environment", async || {
        let all = daemon.try_get("/v1/environments").await?;
        all.contains("\"test\"").then_some(())
    })
    .await;
    daemon.stopped().await.exits(0);
}
