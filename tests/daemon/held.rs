//! A daemon that is held back at an earlier release, and one whose failed release is kept.

use crate::support::{Needs, World};
use serde_json::{Value, json};
use std::path::Path;

/// A world with a bundle of each of so many releases, the first of which is what a daemon follows.
pub(super) async fn compiled(releases: u32) -> Option<World> {
    let mut world = World::prepared(Needs::Sandbox).await?;
    world.set("BUILD__ENGINE", "native");
    for release in 1..=releases {
        world.project.set_release(release);
        let place = world.home().join(format!("bundle-{release}"));
        world
            .cutover(&["compile", &place.display().to_string()])
            .await
            .exits(0);
    }
    follow(&world, 1);
    Some(world)
}

/// As [`compiled`], of three releases, with the configuration of a daemon that follows them.
async fn followed(more: &str) -> Option<(World, String)> {
    let world = compiled(3).await?;
    let live = world.home().join("live").display().to_string();
    let configuration = format!(
        "http: {{listen: null}}\nenvironments:\n  prod:\n    project: {{target: prod}}\n    source: {{bundle: '{live}'}}\n    schedule: {{poll: 200ms}}\n{more}"
    );
    Some((world, configuration))
}

/// Puts the bundle of a release where the daemon looks.
pub(super) fn follow(world: &World, release: u32) {
    fn copied(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).expect("a folder");
        for entry in std::fs::read_dir(from).expect("a folder") {
            let path = entry.expect("an entry").path();
            let place = to.join(path.file_name().expect("a name"));
            match path.is_dir() {
                true => copied(&path, &place),
                false => drop(std::fs::copy(&path, &place).expect("copied")),
            }
        }
    }
    let (live, new) = (world.home().join("live"), world.home().join("new"));
    copied(&world.home().join(format!("bundle-{release}")), &new);
    let _ = std::fs::remove_dir_all(&live);
    std::fs::rename(&new, &live).expect("renamed");
}

async fn runs_of(daemon: &crate::support::Daemon) -> Vec<Value> {
    let runs = daemon.get("/v1/environments/prod/runs").await;
    runs["runs"].as_array().expect("a list").clone()
}

async fn released(daemon: &crate::support::Daemon, world: &World, release: u32) -> Value {
    world.swapped(release).await;
    let status = daemon
        .until("prod", "the end", |status| {
            status["activity"] == "idle" && status["deployment"]["state"] == "done"
        })
        .await;
    status["deployment"]["id"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_release_the_branch_again_until_somebody_asks() {
    let Some((world, configuration)) = followed("").await else {
        return;
    };
    let daemon = world.serve("daemon", &configuration).await;
    let first = released(&daemon, &world, 1).await;
    follow(&world, 2);
    released(&daemon, &world, 2).await;
    let releases = "/v1/environments/prod/releases";
    let (status, begun) = daemon.post(releases, &json!({"to": first})).await;
    assert_eq!(status, 202, "{begun}");
    released(&daemon, &world, 1).await;
    world.serves(1).await;
    let shown = daemon
        .until("prod", "the hold", |status| !status["held"].is_null())
        .await;
    assert_eq!(shown["held"]["deployment"], first, "{shown:#}");
    assert!(shown["held"]["since"].is_string() && !shown["held"]["by"].is_null());
    let history = daemon.get("/v1/environments/prod/deployments").await;
    assert_eq!(history["held"][0]["deployment"], first, "{history:#}");
    let metrics = daemon.try_get("/metrics").await.expect("metrics");
    assert!(
        metrics.contains("cutover_held{environment=\"prod\"} 1"),
        "{metrics}"
    );

    // Neither what the branch is, nor what it becomes, is released; not by the next process either.
    follow(&world, 3);
    let three = daemon
        .until("prod", "a look", |status| {
            status["revision"] != shown["revision"]
        })
        .await;
    daemon.killed().await;
    let daemon = world.serve("daemon", &configuration).await;
    daemon
        .until("prod", "a look", |status| {
            status["revision"] == three["revision"] && !status["held"].is_null()
        })
        .await;
    world.serves(1).await;
    let runs = runs_of(&daemon).await.len();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(runs_of(&daemon).await.len(), runs);
    world.serves(1).await;

    let (status, unknown) = daemon.post(releases, &json!({"to": "0123456789"})).await;
    assert_eq!(status, 202, "{unknown}");
    daemon
        .until("prod", "the refusal", |status| {
            status["problem"].to_string().contains("release-unknown")
        })
        .await;
    assert_eq!(runs_of(&daemon).await[0]["outcome"], "refused");

    let (status, begun) = daemon.post(releases, &json!({})).await;
    assert_eq!(status, 202, "{begun}");
    released(&daemon, &world, 3).await;
    let shown = daemon
        .until("prod", "no hold", |status| status["held"].is_null())
        .await;
    assert_eq!(shown["activity"], "idle");
    let metrics = daemon.try_get("/metrics").await.expect("metrics");
    assert!(
        metrics.contains("cutover_held{environment=\"prod\"} 0"),
        "{metrics}"
    );
    world.nothing_left().await;
    daemon.stopped().await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_swaps_back_while_the_old_side_stands() {
    let Some((world, configuration)) = followed("").await else {
        return;
    };
    let daemon = world.serve("daemon", &configuration).await;
    let first = released(&daemon, &world, 1).await;
    daemon.stopped().await.exits(0);
    follow(&world, 2);
    let configuration = format!("{configuration}    cleanup: manual\n");
    let daemon = world.serve("daemon", &configuration).await;
    world.swapped(2).await;
    let waiting = daemon.does("prod", "waiting_for_cleanup").await;
    let (status, asked) = daemon
        .post("/v1/environments/prod/releases", &json!({"to": first}))
        .await;
    assert_eq!(status, 202, "{asked}");
    assert_eq!(asked["deployment"], waiting["deployment"]["id"], "{asked}");
    let shown = daemon
        .until("prod", "the hold", |status| {
            status["activity"] == "idle" && !status["held"].is_null()
        })
        .await;
    assert_eq!(shown["deployment"]["state"], "rolled_back", "{shown:#}");
    assert_eq!(shown["held"]["deployment"], first, "{shown:#}");
    world.serves(1).await;
    world.nothing_left().await;
    daemon.stopped().await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_kept_over_a_kill_until_the_cause_is_gone() {
    let Some((world, configuration)) =
        followed("    checks:\n      - {name: agreed, kind: no_rows, sql: SELECT a FROM shop_out.bad, run: [before]}\n").await
    else {
        return;
    };
    world.sql.run("CREATE SCHEMA shop_out").await;
    world.sql.run("CREATE TABLE shop_out.bad (a int)").await;
    let configuration = format!("{configuration}    on_failure: keep 2h\n");
    let daemon = world.serve("daemon", &configuration).await;
    released(&daemon, &world, 1).await;
    world.sql.run("INSERT INTO shop_out.bad VALUES (1)").await;
    follow(&world, 2);
    let is_kept =
        |status: &Value| status["activity"] == "waiting_for_a_person" && !status["kept"].is_null();
    let shown = daemon.until("prod", "what is kept", is_kept).await;
    assert_eq!(shown["deployment"]["state"], "kept", "{shown:#}");
    assert!(shown["problem"].to_string().contains("agreed"), "{shown:#}");
    daemon.killed().await;
    let daemon = world.serve("daemon", &configuration).await;
    let again = daemon.until("prod", "what is kept", is_kept).await;
    assert_eq!(again["kept"], shown["kept"]);
    assert_eq!(again["deployment"]["id"], shown["deployment"]["id"]);
    world.serves(1).await;
    let metrics = daemon.try_get("/metrics").await.expect("metrics");
    assert!(metrics.contains("state=\"kept\"} 1"), "{metrics}");
    // It fails once more, and then does not.
    let resume = "/v1/environments/prod/resume";
    let (status, asked) = daemon.post(resume, &json!({})).await;
    assert_eq!(status, 202, "{asked}");
    daemon
        .until("prod", "what is kept", |status| {
            is_kept(status) && status["deployment"]["since"] != again["deployment"]["since"]
        })
        .await;
    world.sql.run("DELETE FROM shop_out.bad").await;
    let (status, asked) = daemon.post(resume, &json!({})).await;
    assert_eq!(status, 202, "{asked}");
    let done = released(&daemon, &world, 2).await;
    assert_eq!(done, shown["deployment"]["id"]);
    world.nothing_left().await;

    // What is asked for, and what the project becomes, goes first.
    world.sql.run("INSERT INTO shop_out.bad VALUES (1)").await;
    follow(&world, 3);
    let third = daemon.until("prod", "what is kept", is_kept).await;
    world.sql.run("DELETE FROM shop_out.bad").await;
    let (status, asked) = daemon
        .post("/v1/environments/prod/releases", &json!({}))
        .await;
    assert_eq!(status, 202, "{asked}");
    let fourth = released(&daemon, &world, 3).await;
    assert_ne!(fourth, third["deployment"]["id"]);
    world.sql.run("INSERT INTO shop_out.bad VALUES (1)").await;
    follow(&world, 1);
    daemon.until("prod", "what is kept", is_kept).await;
    world.sql.run("DELETE FROM shop_out.bad").await;
    follow(&world, 2);
    released(&daemon, &world, 2).await;
    let runs = runs_of(&daemon).await;
    let failed = runs.iter().filter(|run| run["outcome"] == "failed");
    assert_eq!(failed.count(), 2, "{runs:#?}");
    world.nothing_left().await;
    daemon.stopped().await.exits(0);
}
