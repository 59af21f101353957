//! Corners by the daemon: fetched from a repository that it does not trust, side by side, in line, one after the other,
//! and collected by itself.

use crate::corner::{live, map, nothing_left, production, states, wrote_nothing_to_production};
use crate::requests::{commit, git};
use crate::support::{Daemon, Outcome, World, eventually};
use cutover::adapters::store::Store;
use serde_json::{Value, json};
use std::process::Command;

/// Production, and a repository with the project on its branch main.
async fn prepared() -> Option<World> {
    let world = live().await?;
    let ignored = "target\nlogs\n.cutover\nprofiles.yml\n";
    world.project.write(".gitignore", ignored);
    git(&world, &["init", "-q"]);
    commit(&world, "as it was");
    Some(world)
}

/// What git says.
fn said(world: &World, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=ada", "-c", "user.email=ada@example.com"])
        .args(arguments)
        .current_dir(world.project.path())
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A branch off main on which the leaf has one more column.
fn request(world: &World, branch: &str, column: &str) {
    git(world, &["checkout", "-q", "-b", branch, "main"]);
    let more = format!(", c.n, 5 as {column}");
    world
        .project
        .replace("models/serving/report.sql", ", c.n", &more);
    commit(world, branch);
    git(world, &["checkout", "-q", "main"]);
}

/// One environment whose project comes from the repository; journal and artifacts are the world's own.
fn configuration(world: &World, more: &str) -> String {
    let project = world.project.path().display();
    format!(
        "http: {{listen: null}}\n\
         source: {{url: 'file://{project}', ref: main}}\n\
         store: {{url: 'sqlite://{project}/.cutover/cutover.db'}}\n\
         artifacts: {{url: 'file://{project}/.cutover/artifacts'}}\n\
         environments:\n  prod:\n    project: {{target: prod, profiles_directory: '{project}'}}\n\
         {more}"
    )
}

async fn serve(world: &World, more: &str) -> Daemon {
    let daemon = world.serve("daemon", &configuration(world, more)).await;
    daemon
        .until("prod", "the lead", |status| status["role"] == "leader")
        .await;
    daemon
}

fn server(daemon: &Daemon) -> String {
    format!("unix:{}/.cutover/daemon.sock", daemon.folder().display())
}

/// `cutover ci …` by the daemon.
async fn ci(world: &World, daemon: &Daemon, arguments: &[&str]) -> Outcome {
    let server = server(daemon);
    let arguments = [&["ci"], arguments, &["--server", &server]].concat();
    world.cutover(&arguments).await
}

/// A build by the daemon that somebody waits for.
fn building(world: &World, daemon: &Daemon, name: &str, revision: &str) -> crate::support::Running {
    let server = server(daemon);
    world.spawn(&[
        "ci",
        "build",
        "prod",
        "--name",
        name,
        "--revision",
        revision,
        "--server",
        &server,
    ])
}

async fn build(world: &World, daemon: &Daemon, name: &str, revision: &str) -> Outcome {
    building(world, daemon, name, revision).ended().await
}

/// What the journal has of a corner.
async fn recorded(store: &Store, name: &str) -> Option<Value> {
    let corner = store.latest_corner("prod", name).await.expect("read");
    corner.map(|corner| corner.document)
}

async fn hydration(world: &World, ms: u32) {
    let sql = format!("UPDATE mz_sandbox.timings SET ms = {ms} WHERE name = 'hydration'");
    world.sql.run(&sql).await;
}

/// Waits until the corner is in this state, and gives what the daemon shows.
async fn until(daemon: &Daemon, name: &str, state: &str) -> Value {
    let path = format!("/v1/environments/prod/ci/{name}");
    eventually(&format!("{name} to be {state}"), async || {
        let shown = daemon.get(&path).await;
        (shown["corner"]["state"] == state).then_some(shown)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_is_built_by_the_daemon_as_by_a_command() {
    let Some(world) = prepared().await else {
        return;
    };
    let before = production(&world).await;
    request(&world, "request", "extra");
    // As a platform merges it.
    git(&world, &["checkout", "-q", "-b", "merged", "main"]);
    git(
        &world,
        &["merge", "-q", "--no-ff", "-m", "merge", "request"],
    );
    let merge = said(&world, &["rev-parse", "HEAD"]);
    git(&world, &["update-ref", "refs/pull/7/merge", &merge]);
    git(&world, &["update-ref", "refs/pull/7/head", "request"]);
    git(&world, &["checkout", "-q", "main"]);
    git(&world, &["branch", "-q", "-D", "merged"]);

    let daemon = serve(&world, "").await;
    let ended = build(&world, &daemon, "pr-7", "refs/pull/7/merge").await;
    let report = ended.exits(0).result();
    assert_eq!(states(&report), map(&[("report", "built")]), "{report}");
    assert_eq!(report["verdict"], "passed", "{report}");
    assert_eq!(report["revision"], json!(merge), "{report}");
    let said_base = report["notes"].to_string().contains("--base");
    assert!(!said_base, "what production follows is the base: {report}");
    let shown = daemon.get("/v1/environments/prod/ci/pr-7").await;
    assert_eq!(shown["build"]["phase"], "ended", "{shown}");
    assert_eq!(shown["report"]["verdict"], "passed", "{shown}");
    assert_eq!(shown["reported"], shown["build"]["id"], "{shown}");
    // Whoever asked is its owner, and a command over the same journal sees it.
    let listed = ci(&world, &daemon, &["list", "prod"]).await.exits(0);
    let listed = listed.document();
    let here = world.cutover(&["ci", "list"]).await.exits(0).document();
    let name = |document: &Value| document["corners"][0]["name"].clone();
    assert_eq!((name(&listed), name(&here)), (json!("pr-7"), json!("pr-7")));
    let owner = listed["corners"][0]["owner"].as_str().unwrap_or_default();
    assert!(owner.contains('@'), "{listed}");

    // The next push has a test that fails.
    git(&world, &["checkout", "-q", "request"]);
    world
        .project
        .write("tests/new_one.sql", "select * from {{ ref('report') }}");
    commit(&world, "a test");
    git(&world, &["checkout", "-q", "main"]);
    let ended = build(&world, &daemon, "pr-7", "request").await;
    let report = ended.exits(1).result();
    assert_eq!(states(&report), map(&[("report", "kept")]), "{report}");
    assert_eq!(report["verdict"], "failed", "{report}");
    // A look leaves the corner and its last report alone.
    let check = ["build", "prod", "--name=pr-7", "--check", "--revision=main"];
    let report = ci(&world, &daemon, &check).await.exits(0).result();
    assert_eq!(states(&report), map(&[]), "{report}");
    let tree = daemon.folder().join(".cutover/sources/prod/requests/pr-7");
    assert!(tree.join("tree/dbt_project.yml").is_file());
    // Nothing was fetched to where releases are made.
    assert!(!daemon.folder().join(".cutover/sources/prod/tree").exists());
    let store = world.journal().await;
    let record = recorded(&store, "pr-7").await.expect("a corner");
    assert_eq!(record["report"]["verdict"], "failed", "{record}");
    assert_eq!(record["attempt"], Value::Null, "{record}");

    let teardown = ["teardown", "prod", "--name", "pr-7"];
    let gone = ci(&world, &daemon, &teardown).await.exits(0).document();
    assert_eq!(gone["dropped"], json!(["pr-7"]), "{gone}");
    assert!(!tree.exists());
    nothing_left(&world).await;
    let none = ci(&world, &daemon, &teardown).await.exits(3);
    none.says("there is no corner pr-7");
    daemon.stopped().await.exits(0);
    assert_eq!(production(&world).await, before);
    wrote_nothing_to_production(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_build_and_a_stop_cancel_and_a_deadly_revision_is_set_aside() {
    let Some(world) = prepared().await else {
        return;
    };
    for (branch, column) in [("one", "a"), ("two", "b"), ("three", "c")] {
        request(&world, branch, column);
    }
    let daemon = serve(&world, "").await;
    hydration(&world, 600_000).await;
    let first = building(&world, &daemon, "pr-1", "one");
    until(&daemon, "pr-1", "building").await;
    // Who leads the environment goes on answering meanwhile.
    let (status, declined) = daemon
        .post("/v1/environments/prod/promote", &json!({}))
        .await;
    assert_eq!((status, &declined["status"]), (409, &json!(409)));
    hydration(&world, 20).await;
    let second = build(&world, &daemon, "pr-1", "two").await.exits(0);
    assert_eq!(states(&second.result()), map(&[("report", "built")]));
    first.ended().await.exits(130).says("a later build of pr-1");

    // A stop: it ends as cancelled, on record.
    hydration(&world, 600_000).await;
    let body = json!({"revision": "three"});
    let builds = "/v1/environments/prod/ci/pr-1/builds";
    let (status, accepted) = daemon.post(builds, &body).await;
    assert_eq!(status, 202, "{accepted}");
    until(&daemon, "pr-1", "building").await;
    daemon.stopped().await.exits(0);
    let store = world.journal().await;
    let record = recorded(&store, "pr-1").await.expect("a corner");
    assert_eq!(record["report"]["verdict"], "cancelled", "{record}");
    assert_eq!(record["reported"], accepted["corner"]["id"], "{record}");
    assert_eq!(record["attempt"], Value::Null, "{record}");

    // What ends the process again and again is known by it.
    for times in 1..=3 {
        let daemon = serve(&world, "").await;
        let (status, accepted) = daemon.post(builds, &body).await;
        assert_eq!(status, 202, "{accepted}");
        eventually("the attempt", async || {
            let record = recorded(&store, "pr-1").await?;
            (record["attempt"]["times"] == times).then_some(())
        })
        .await;
        daemon.killed().await;
    }
    hydration(&world, 20).await;
    let daemon = serve(&world, "").await;
    for _ in 0..2 {
        let refused = build(&world, &daemon, "pr-1", "three").await.exits(3);
        refused.says("set aside");
    }
    build(&world, &daemon, "pr-1", "two").await.exits(0);
    build(&world, &daemon, "pr-1", "three").await.exits(0);
    let teardown = ["teardown", "prod", "--name", "pr-1"];
    ci(&world, &daemon, &teardown).await.exits(0);
    nothing_left(&world).await;
    daemon.stopped().await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_corners_wait_in_line_forks_are_refused_and_what_expired_goes() {
    let Some(world) = prepared().await else {
        return;
    };
    for (branch, column) in [("one", "a"), ("two", "b"), ("three", "c")] {
        request(&world, branch, column);
    }
    let daemon = serve(&world, "ci: {max_environments: 1}\n").await;
    build(&world, &daemon, "pr-1", "one").await.exits(0);
    let position = async |name: &str, wanted: u64| {
        let what = format!("{name} at position {wanted}");
        eventually(&what, async || {
            let listed = daemon.get("/v1/environments/prod/ci").await;
            let corners = listed["corners"].as_array()?;
            let found = corners.iter().find(|corner| corner["name"] == name)?;
            (found["state"] == "waiting" && found["position"] == wanted).then_some(())
        })
        .await;
    };
    let second = building(&world, &daemon, "pr-2", "two");
    position("pr-2", 1).await;
    let third = building(&world, &daemon, "pr-3", "three");
    position("pr-3", 2).await;
    // A corner that stands does not wait behind them.
    build(&world, &daemon, "pr-1", "one").await.exits(0);
    // Nor does whoever waits wait in vain.
    let fourth = building(&world, &daemon, "pr-4", "one");
    position("pr-4", 3).await;
    let teardown = async |name: &str| {
        let arguments = ["teardown", "prod", "--name", name];
        ci(&world, &daemon, &arguments).await.exits(0);
    };
    teardown("pr-4").await;
    fourth.ended().await.exits(130);
    teardown("pr-1").await;
    second.ended().await.exits(0);
    teardown("pr-2").await;
    third.ended().await.exits(0);

    // Whom nobody vouches for, what is not there, and what brings programs along.
    let tree = said(&world, &["rev-parse", "one^{tree}"]);
    let fork = said(
        &world,
        &["commit-tree", &tree, "-p", "main", "-m", "a fork's"],
    );
    git(&world, &["update-ref", "refs/pull/9/head", &fork]);
    git(&world, &["checkout", "-q", "-b", "programs", "main"]);
    world.project.write("x/.venv/bin/dbt", "#!/bin/sh\n");
    commit(&world, "programs");
    git(&world, &["checkout", "-q", "main"]);
    for (revision, code, told) in [
        ("refs/pull/9/head", 3, "corner-fork"),
        (&*fork, 3, "corner-fork"),
        ("nowhere", 2, "the revision nowhere cannot be had"),
        ("programs", 2, "tracked-environment"),
    ] {
        let ended = build(&world, &daemon, "pr-9", revision).await;
        ended.exits(code).says(told);
    }
    let shown = daemon.get("/v1/environments/prod/ci/pr-9").await;
    assert_eq!(shown["corner"], Value::Null, "{shown}");
    assert_eq!(shown["report"]["verdict"], "wrong", "{shown}");
    daemon.stopped().await.exits(0);

    // A request that calls its profile otherwise is not in the way of releases.
    git(&world, &["checkout", "-q", "-b", "profile", "main"]);
    world
        .project
        .replace("dbt_project.yml", "profile: shop", "profile: other");
    commit(&world, "another profile");
    git(&world, &["checkout", "-q", "main"]);
    let (host, port) = world.server.address();
    let more = format!(
        "connection: {{host: '{host}', port: {port}, user: {}, database: materialize, schema: {prefix}, \
         cluster: {prefix}_compute, sslmode: disable}}\n",
        world.role(),
        prefix = world.prefix,
    );
    let daemon = serve(&world, &more).await;
    let check = ["build", "prod", "--name=pr-8", "--check"];
    let arguments = [&check[..], &["--revision", "profile"]].concat();
    ci(&world, &daemon, &arguments).await.exits(0);
    let own = ".cutover/sources/prod/requests/pr-8/profiles/profiles.yml";
    let own = std::fs::read_to_string(daemon.folder().join(own)).expect("a profile");
    assert!(own.contains("other"), "{own}");
    assert!(!daemon.folder().join(".cutover/profiles").exists());
    daemon.stopped().await.exits(0);

    let more = "ci: {forks: true, ttl: 1s}\nretention: {interval: 1s}\n";
    let daemon = serve(&world, more).await;
    let check = ["build", "prod", "--name=pr-9", "--check"];
    let arguments = [&check[..], &["--revision", "refs/pull/9/head"]].concat();
    let report = ci(&world, &daemon, &arguments).await.exits(0).result();
    assert_eq!(states(&report), map(&[("report", "described")]), "{report}");
    build(&world, &daemon, "pr-3", "three").await.exits(0);
    let requests = daemon.folder().join(".cutover/sources/prod/requests");
    eventually("the collection", async || {
        let listed = daemon.get("/v1/environments/prod/ci").await;
        let is_gone = listed["corners"].as_array()?.is_empty();
        (is_gone && !requests.join("pr-3").exists()).then_some(())
    })
    .await;
    nothing_left(&world).await;
    daemon.stopped().await.exits(0);
    wrote_nothing_to_production(&world).await;
}
