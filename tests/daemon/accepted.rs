//! What was accepted is answered at once and done, whoever dies and whatever does not answer.

use super::support::{Daemon, JournalServer, Needs, Replay, World, eventually};
use super::{configuration, world};
use cutover::domain::records::run::{Cause, Outcome as Ended};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The longest that a request may wait for its answer, whatever the worker waits for.
const PROMPT: Duration = Duration::from_secs(2);

/// As [`Daemon::post`], answered at once.
async fn asked(daemon: &Daemon, what: &str) -> (u16, Value) {
    let path = format!("/v1/environments/prod/{what}");
    let start = Instant::now();
    let answer = daemon.post(&path, &json!({})).await;
    let took = start.elapsed();
    assert!(took < PROMPT, "{what} took {took:?}: {answer:?}");
    let shown = daemon.status("prod").await;
    assert!(shown.is_some() && start.elapsed() < 2 * PROMPT, "{shown:?}");
    answer
}

/// Tells it to stop, which is not put off by whatever does not answer.
async fn stops_soon(daemon: Daemon) {
    let start = Instant::now();
    daemon.stopped().await.exits(0);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}

const RELEASES: &str = "/v1/environments/prod/releases";

/// Asks for a release whose planning then waits for the server; gives the answer.
async fn accepted_and_held(world: &World, daemon: &Daemon) -> Value {
    world.hold("cutover: ", 1).await;
    let wishes = json!({"bootstrap": true, "allow": ["column-lost"]});
    let (status, accepted) = daemon.post_under(Some("once"), RELEASES, &wishes).await;
    assert_eq!(status, 202, "{accepted}");
    world.struck().await;
    accepted
}

/// The run that was accepted is made as it was wished, once.
async fn made_as_wished(world: &World, daemon: &Daemon, accepted: &Value) {
    world.swapped(2).await;
    daemon.does("prod", "idle").await;
    let wishes = json!({"bootstrap": true, "allow": ["column-lost"]});
    let (status, again) = daemon.post_under(Some("once"), RELEASES, &wishes).await;
    assert_eq!((status, &again), (202, accepted));
    let runs = world.runs().await;
    assert_eq!(runs.len(), 1, "{runs:#?}");
    assert_eq!(runs[0].id, accepted["run"].as_str().expect("a run"));
    assert_eq!(runs[0].outcome, Some(Ended::Released), "{runs:#?}");
    assert_eq!(runs[0].cause, Cause::Api);
    let store = world.journal().await;
    let made = runs[0].deployment.as_deref().expect("a deployment");
    let request = store.deployment(made).await.expect("it").request;
    assert!(request.bootstrap, "{request:?}");
    assert_eq!(request.allow, ["column-lost"]);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_release_that_was_accepted_is_made_after_a_kill() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let daemon = world.serve("daemon", &configuration("")).await;
    daemon.does("prod", "idle").await;
    let accepted = accepted_and_held(&world, &daemon).await;
    daemon.killed().await;
    // The server still does not answer, and the next one is killed as well.
    let daemon = world.serve("daemon", &configuration("")).await;
    daemon.does("prod", "planning").await;
    let (status, busy) = daemon.post(RELEASES, &json!({})).await;
    assert_eq!(status, 409, "{busy}");
    daemon.killed().await;
    world.let_go().await;
    let daemon = world.serve("daemon", &configuration("")).await;
    made_as_wished(&world, &daemon, &accepted).await;

    // What was decided is not made again.
    let stranger = world.name("marts_dbt_deploy");
    world.sql.run(&format!("CREATE SCHEMA {stranger}")).await;
    let (status, accepted) = daemon.post(RELEASES, &json!({})).await;
    assert_eq!(status, 202, "{accepted}");
    eventually("the refusal", async || {
        let runs = world.runs().await;
        (runs[0].outcome == Some(Ended::Refused)).then_some(())
    })
    .await;
    daemon.killed().await;
    let daemon = world.serve("daemon", &configuration("")).await;
    daemon.does("prod", "idle").await;
    assert_eq!(world.runs().await.len(), 2);
    // One that is given up while it is planned is not either.
    world.hold("cutover: ", 1).await;
    let (status, accepted) = daemon.post(RELEASES, &json!({})).await;
    assert_eq!(status, 202, "{accepted}");
    world.struck().await;
    let (status, given_up) = asked(&daemon, "abort").await;
    assert_eq!((status, &given_up["run"]), (202, &accepted["run"]));
    daemon.killed().await;
    world.let_go().await;
    let daemon = world.serve("daemon", &configuration("")).await;
    daemon.does("prod", "idle").await;
    let runs = world.runs().await;
    assert_eq!(runs[0].outcome, Some(Ended::Aborted), "{runs:#?}");
    assert_eq!(runs.len(), 3, "{runs:#?}");
    daemon.stopped().await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_was_accepted_is_made_by_the_stand_by() {
    let Some(mut world) = World::start(Needs::Sandbox).await else {
        return;
    };
    world.produce_by_sql().await;
    world.project.without_tests();
    let _journal = JournalServer::of(&mut world);
    let _replay = Replay::named(&mut world, "prod").await;
    let leader = world.serve("a", &configuration("")).await;
    leader.does("prod", "idle").await;
    let standby = world.serve("b", &configuration("")).await;
    standby
        .until("prod", "standing by", |status| status["role"] == "standby")
        .await;
    let accepted = accepted_and_held(&world, &leader).await;
    leader.killed().await;
    world.let_go().await;
    made_as_wished(&world, &standby, &accepted).await;
    standby.stopped().await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_while_the_server_is_away() {
    let Some((mut world, replay)) = world().await else {
        return;
    };
    let away = Duration::from_secs(12);
    let daemon = world.serve("daemon", &configuration("")).await;
    daemon.does("prod", "idle").await;
    // Nothing is under way: a release is accepted, waits for the server, and can be given up.
    world.outage(away).await;
    let (status, accepted) = asked(&daemon, "releases").await;
    assert_eq!(status, 202, "{accepted}");
    daemon.does("prod", "waiting_for_a_dependency").await;
    let (status, busy) = asked(&daemon, "releases").await;
    assert_eq!(status, 409, "{busy}");
    let (status, given_up) = asked(&daemon, "abort").await;
    assert_eq!(status, 202, "{given_up}");
    let runs = world.runs().await;
    assert_eq!(runs[0].id, accepted["run"].as_str().expect("a run"));
    assert_eq!(runs[0].outcome, Some(Ended::Aborted), "{runs:#?}");
    assert_eq!(runs.len(), 1, "{runs:#?}");
    world.is_back().await;

    // A deployment is under way, and a process that takes it up finds no server.
    replay.hold();
    let (status, accepted) = asked(&daemon, "releases").await;
    assert_eq!(status, 202, "{accepted}");
    eventually("the build", async || replay.is_building().then_some(())).await;
    daemon.killed().await;
    world.outage(away).await;
    let daemon = world.serve("daemon", &configuration("")).await;
    daemon
        .until("prod", "the lead", |status| status["role"] == "leader")
        .await;
    let (status, busy) = asked(&daemon, "releases").await;
    assert_eq!(status, 409, "{busy}");
    let (status, early) = asked(&daemon, "promote").await;
    assert_eq!(status, 409, "{early}");
    let (status, aborted) = asked(&daemon, "abort").await;
    assert_eq!(status, 202, "{aborted}");
    stops_soon(daemon).await;
    let daemon = world.serve("daemon", &configuration("")).await;
    daemon
        .until("prod", "the lead", |status| status["role"] == "leader")
        .await;
    let (status, aborted) = asked(&daemon, "abort").await;
    assert_eq!(status, 202, "{aborted}");
    world.is_back().await;
    daemon.does("prod", "idle").await;
    let runs = world.runs().await;
    assert_eq!(runs[0].id, accepted["run"].as_str().expect("a run"));
    assert_eq!(runs[0].outcome, Some(Ended::Aborted), "{runs:#?}");
    assert_eq!(runs.len(), 2, "{runs:#?}");
    world.serves(1).await;
    world.nothing_left().await;
    daemon.stopped().await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_while_the_repository_is_silent() {
    let Some((mut world, _replay)) = world().await else {
        return;
    };
    // Connections are taken, and nothing is ever said.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (told, mut connected) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut taken = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            taken.push(connection);
            let _ = told.send(());
        }
    });
    let journal = world.home().join("journal.db").display().to_string();
    world.set("STORE__URL", &format!("sqlite://{journal}"));
    let silent = format!(
        "    source: {{url: \"https://127.0.0.1:{port}/shop.git\", fetch_timeout: 10s}}\n    schedule: {{poll: 1s}}\n"
    );
    let daemon = world.serve("daemon", &configuration(&silent)).await;
    // While it is asked for its revision.
    connected.recv().await.expect("git asks");
    let (status, none) = asked(&daemon, "abort").await;
    assert_eq!(status, 409, "{none}");
    let (status, accepted) = asked(&daemon, "releases").await;
    assert_eq!(status, 202, "{accepted}");
    // While it is fetched.
    daemon.does("prod", "planning").await;
    let (status, busy) = asked(&daemon, "releases").await;
    assert_eq!(status, 409, "{busy}");
    let (status, given_up) = asked(&daemon, "abort").await;
    assert_eq!((status, &given_up["run"]), (202, &accepted["run"]));
    daemon.does("prod", "idle").await;
    while connected.try_recv().is_ok() {}
    connected.recv().await.expect("git asks again");
    stops_soon(daemon).await;
    assert_eq!(world.processes(), Vec::<String>::new());
    // A stop while it is fetched leaves what was accepted for the next start.
    let daemon = world.serve("daemon", &configuration(&silent)).await;
    daemon.does("prod", "idle").await;
    let (status, accepted) = asked(&daemon, "releases").await;
    assert_eq!(status, 202, "{accepted}");
    daemon.does("prod", "planning").await;
    stops_soon(daemon).await;
    let daemon = world.serve("daemon", &configuration(&silent)).await;
    daemon.does("prod", "planning").await;
    let (status, given_up) = asked(&daemon, "abort").await;
    assert_eq!((status, &given_up["run"]), (202, &accepted["run"]));
    stops_soon(daemon).await;
    let runs = world.runs().await;
    let ends: Vec<_> = runs.iter().map(|run| run.outcome).collect();
    assert_eq!(ends, [Some(Ended::Aborted), Some(Ended::Aborted)]);
}

/// A release whose build is held, of which something is asked that waits for the statement's end.
async fn asked_and_killed(world: &World, statement: &str, asked: &str) -> String {
    let daemon = world
        .serve("daemon", &configuration("    promotion: manual\n"))
        .await;
    daemon.does("prod", "idle").await;
    world.hold(statement, 1).await;
    let (status, answer) = daemon.post(RELEASES, &json!({})).await;
    assert_eq!(status, 202, "{answer}");
    world.struck().await;
    let (status, answer) = self::asked(&daemon, asked).await;
    assert_eq!(status, 202, "{answer}");
    daemon.killed().await;
    world.let_go().await;
    answer["deployment"]
        .as_str()
        .expect("a deployment")
        .to_owned()
}

#[tokio::test]
async fn an_abort_that_was_accepted_is_done_after_a_kill() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let resumed = asked_and_killed(&world, "cutover: create schema", "abort").await;
    let done = world.cutover(&["resume", "prod"]).await.exits(0);
    assert_eq!(done.deployment(), resumed);
    assert_eq!(done.result()["deployment"]["state"], "aborted", "{done}");
    world.nothing_left().await;

    let id = asked_and_killed(&world, "cutover: create schema", "abort").await;
    let daemon = world
        .serve("daemon", &configuration("    promotion: manual\n"))
        .await;
    eventually("the abort", async || {
        let runs = world.runs().await;
        (runs[0].outcome == Some(Ended::Aborted)).then_some(())
    })
    .await;
    world.serves(1).await;
    world.nothing_left().await;
    let shown = world.cutover(&["show", &id]).await.exits(0).document();
    let events = shown["events"].to_string();
    assert!(
        events.contains(r#""kind":"asked""#) && events.contains(r#""verb":"abort""#),
        "{events}"
    );
    daemon.stopped().await.exits(0);
}
