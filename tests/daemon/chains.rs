//! Environments that follow each other.

use super::held::{compiled, follow};
use crate::support::{Daemon, Needs, World, eventually};
use serde_json::{Value, json};

async fn chained(daemon: &Daemon) -> Vec<Value> {
    let runs = daemon.get("/v1/environments/production/runs").await;
    let runs = runs["runs"].as_array().expect("a list").clone();
    runs.into_iter()
        .filter(|run| run["cause"] == "chain")
        .collect()
}

/// The deployment of staging when it is done, and which run of production followed it.
async fn done(daemon: &Daemon, before: &Value) -> Value {
    let status = daemon
        .until("staging", "the release", |status| {
            status["deployment"]["state"] == "done" && status["deployment"]["id"] != *before
        })
        .await;
    status["deployment"]["id"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_staging_released_is_released_in_production_once_over_a_kill_and_a_hold() {
    // Staging and production are two servers with one target.
    let Some(world) = compiled(2).await else {
        return;
    };
    let Some(production) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let live = world.home().join("live").display().to_string();
    let profiles = |world: &World| world.project.path().display().to_string();
    let (of_staging, of_production) = (profiles(&world), profiles(&production));
    let configuration = format!(
        "http: {{listen: null}}\nsource: {{bundle: '{live}'}}\nsoak: 0s\nenvironments:\n  staging:\n    \
         project: {{target: prod, profiles_directory: '{of_staging}'}}\n    schedule: {{poll: 200ms}}\n  production:\n    \
         project: {{target: prod, profiles_directory: '{of_production}'}}\n    after: staging\n    soaked: 1s\n"
    );
    let daemon = world.serve("daemon", &configuration).await;
    let first = done(&daemon, &Value::Null).await;
    world.serves(1).await;
    production.swapped(1).await;
    let shown = daemon
        .until("production", "the end", |status| {
            status["activity"] == "idle"
                && status["chain"]["next"].to_string().contains("was followed")
        })
        .await;
    assert_eq!(shown["chain"]["after"], "staging", "{shown:#}");
    let runs = chained(&daemon).await;
    assert_eq!(runs.len(), 1, "{runs:#?}");
    assert_eq!(runs[0]["follows"]["deployment"], first, "{runs:#?}");
    assert_eq!(runs[0]["outcome"], "released", "{runs:#?}");
    assert_eq!(runs[0]["revision"], runs[0]["follows"]["revision"]);

    // Held, it waits and says so; another process finds it again.
    let held = json!({"reason": "month end"});
    let (status, _) = daemon.post("/v1/environments/production/hold", &held).await;
    assert_eq!(status, 202);
    follow(&world, 2);
    let second = done(&daemon, &first).await;
    world.serves(2).await;
    let waits = |status: &Value| {
        status["chain"]["next"]
            .to_string()
            .contains("waits: held: month end")
    };
    daemon.until("production", "the hold", waits).await;
    daemon.killed().await;
    let daemon = world.serve("daemon", &configuration).await;
    daemon.until("production", "the hold", waits).await;
    production.serves(1).await;
    assert_eq!(chained(&daemon).await.len(), 1);

    // Killed in the middle, it is released all the same, and not twice.
    let lift = "/v1/environments/production/release-hold";
    let (status, _) = daemon.post(lift, &json!({})).await;
    assert_eq!(status, 202);
    eventually("the run", async || {
        (chained(&daemon).await.len() > 1).then_some(())
    })
    .await;
    daemon.killed().await;
    let daemon = world.serve("daemon", &configuration).await;
    production.swapped(2).await;
    daemon
        .until("production", "the end", |status| {
            status["activity"] == "idle"
                && status["deployment"]["state"] == "done"
                && status["chain"]["next"].to_string().contains("was followed")
        })
        .await;
    let runs = chained(&daemon).await;
    let of_second = runs
        .iter()
        .filter(|run| run["follows"]["deployment"] == second);
    let outcomes: Vec<&Value> = of_second.map(|run| &run["outcome"]).collect();
    assert_eq!(outcomes, ["released"], "{runs:#?}");
    let history = daemon.get("/v1/environments/production/deployments").await;
    let count = history["deployments"].as_array().map_or(0, Vec::len);
    assert_eq!(count, 2, "{history:#}");
    production.nothing_left().await;
    daemon.stopped().await.exits(0);
}
