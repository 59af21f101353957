//! The client, and the real `cutover --server`.

use super::daemon::{OF_CI, World};
use cutover::domain::lifecycle::role::Role;
use cutover::foundation::failure::{Class, Classify};
use cutover::interfaces::api::document::{Act, NewHold, Nothing, Release};
use cutover::operations::daemon::status::Activity;
use serde_json::{Value, json};
use std::process::{Command as Program, Output};
use std::time::{Duration, Instant};

#[tokio::test]
async fn the_client_knows_every_route() {
    let world = World::start(|_| {}).await;
    let client = world.client();
    assert_eq!(client.ready().await.expect("ready").status, "ready");
    assert_eq!(
        client.environment("prod").await.expect("one").role,
        Role::Leader
    );
    assert_eq!(
        client.plan("prod").await.expect("a plan").environment,
        "prod"
    );
    assert_eq!(
        client
            .deployments("prod", 5)
            .await
            .expect("a list")
            .deployments
            .len(),
        2
    );
    let id = &world.ids[1];
    let record = client.deployment(id).await.expect("a record");
    assert_eq!((&record.deployment.id, record.effects.len()), (id, 1));
    assert_eq!(
        client.events(id).await.expect("events").events,
        record.events
    );
    let readings = client.readings(id).await.expect("readings");
    assert_eq!((&readings.deployment, readings.relations.len()), (id, 0));
    let folder = world.base.path().join(".cutover/runs").join(id);
    assert_eq!(client.logs(id).await.expect("none").logs, []);
    std::fs::create_dir_all(folder.join("build")).expect("a folder");
    std::fs::write(folder.join("build/output.log"), "Traceback\n").expect("a log");
    let logs = client.logs(id).await.expect("logs").logs;
    assert_eq!((&*logs[0].step, logs[0].cut), ("build", false));
    assert_eq!(logs[0].lines, ["Traceback"]);
    let diff = client.diff("prod").await.expect("a data diff");
    assert!(world.ids.contains(&diff.deployment.id));
    assert!(diff.diff.is_empty());
    let runs = client.runs("prod", 5).await.expect("runs");
    assert_eq!(runs.len(), 1);
    assert_eq!(client.run(&world.run).await.expect("a run"), runs[0]);
    let release = Release {
        select: vec!["a+".to_owned()],
        ..Release::default()
    };
    let accepted = client
        .release("prod", &release, "k1")
        .await
        .expect("accepted");
    assert_eq!(
        accepted,
        client.release("prod", &release, "k1").await.expect("again")
    );
    let act = Act {
        deployment: Some("id".to_owned()),
        ..Act::default()
    };
    let verb = cutover::domain::lifecycle::verb::Verb::Abort;
    let accepted = client
        .act("prod", verb, &act, "k2")
        .await
        .expect("accepted");
    assert_eq!(accepted.deployment.as_deref(), Some("id"));
    let approved = client.approve("prod", &Act::default(), "k5").await;
    let error = approved.expect_err("not ready").to_string();
    assert!(error.contains("cannot approve"), "{error}");
    let force = Act {
        force: true,
        ..Act::default()
    };
    let verb = cutover::domain::lifecycle::verb::Verb::Promote;
    let error = client.act("prod", verb, &force, "k3").await;
    let error = error.expect_err("nothing is forced but a rollback");
    assert_eq!(error.status(), Some(422), "{error}");
    let verb = cutover::domain::lifecycle::verb::Verb::ForceRollback;
    let error = client.act("prod", verb, &force, "k4").await;
    let error = error.expect_err("not now").to_string();
    assert!(error.contains("cannot force a rollback"), "{error}");
    let hold = NewHold {
        reason: "audit".to_owned(),
        until: Some("2h".to_owned()),
    };
    let held = client.hold("prod", &hold, Some("k5")).await;
    assert_eq!(held.expect("accepted").environment, "prod");
    let lifted = client.lift_hold("prod", &Nothing {}, Some("k6")).await;
    let error = lifted.expect_err("nothing holds it");
    assert_eq!(error.status(), Some(409), "{error}");
    let error = client.environment("a/b ?").await.expect_err("none");
    assert_eq!((error.status(), error.class()), (Some(404), Class::Usage));
    assert!(error.to_string().contains(r#""a/b ?""#), "{error}");
}

/// A machine that knows no certificate authority, as small images do: nothing is proved by one here.
const WITHOUT_AUTHORITIES: [(&str, &str); 2] =
    [("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_DIR", "/nowhere")];

async fn cutover(world: &World, arguments: &[&str]) -> Output {
    let mut program = Program::new(env!("CARGO_BIN_EXE_cutover"));
    program
        .args(arguments)
        .current_dir(world.base.path())
        .env_remove("CUTOVER_TOKEN")
        .envs(WITHOUT_AUTHORITIES)
        .env("CUTOVER_SERVER", format!("unix:{}", world.socket.display()));
    let ended = tokio::task::spawn_blocking(move || program.output()).await;
    ended.expect("joined").expect("started")
}

fn code(output: &Output) -> (i32, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    (output.status.code().unwrap_or(-1), text)
}

#[tokio::test]
async fn the_command_line_asks_a_daemon() {
    let world = World::start(|_| {}).await;
    for (arguments, expected, said) in [
        (&["status"][..], 0, "prod"),
        (&["history", "prod"], 0, "a model fails"),
        (&["history", "prod", "--runs"], 0, "the plan was refused"),
        (&["history", "--runs"], 0, "schedule"),
        (&["history", "ci", "--runs"], 0, "no run is on record"),
        (&["show", &world.ids[0]], 0, "Time in each state"),
        (&["show", "ffff"], 2, "there is no deployment"),
        (&["status", "nowhere"], 2, "nowhere"),
        (&["promote"], 2, "several environments"),
        (&["promote", "prod"], 3, "cannot promote"),
        (&["approve", "prod"], 3, "cannot approve"),
        (&["cleanup", "prod"], 3, "no deployment under way"),
        (&["deploy", "ci"], 4, "http://other:8425"),
        (&["plan", "prod"], 2, "--server"),
        (&["check"], 2, "--server"),
        (&["config", "show"], 2, "--server"),
        (&["deploy", "prod", "--dry-run"], 2, "--dry-run"),
        (&["deploy", "prod", "--soak", "5m"], 2, "--soak"),
        (&["deploy", "prod", "--no-wait"], 0, "accepted (run run-"),
    ] {
        let (code, text) = code(&cutover(&world, arguments).await);
        assert_eq!(code, expected, "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
    // The release that nobody waited for; workers refuse another one until it has ended.
    let until = Instant::now() + Duration::from_secs(60);
    while world
        .daemon
        .status_board
        .one("prod")
        .expect("prod")
        .activity
        != Activity::Idle
    {
        assert!(Instant::now() < until, "it ends");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (status, text) = code(&cutover(&world, &["deploy", "prod", "--full"]).await);
    assert_eq!(status, 0, "{text}");
    for word in ["building", "hydrating", "done"] {
        assert!(text.contains(word), "{text}");
    }
    let (status, text) = code(&cutover(&world, &["resume", "prod"]).await);
    assert_eq!(status, 1, "{text}");
    assert!(text.contains("failed: a model fails"), "{text}");
    let output = cutover(&world, &["abort", "prod", "--output", "json"]).await;
    let (status, text) = code(&output);
    assert_eq!(status, 0, "{text}");
    let last: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!(
        (&last["event"], &last["deployment"]["state"]),
        (&json!("result"), &json!("aborted"))
    );
    let output = cutover(&world, &["status", "--output", "json"]).await;
    let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        status["environments"][1]["daemon"]["role"], "leader",
        "{status}"
    );
    world.stop.cancel();
    world.serving.await.expect("served");
    let gone = Program::new(env!("CARGO_BIN_EXE_cutover"))
        .args(["status", "--server", "http://127.0.0.1:1"])
        .output();
    let (status, text) = code(&gone.expect("started"));
    assert_eq!(status, 4, "{text}");
}

#[tokio::test]
async fn a_token_comes_from_a_file_or_the_environment() {
    let world = World::start(|_| {}).await;
    let url = format!("http://{}", world.address);
    let run = |token: Option<&str>, file: Option<&str>| {
        let mut program = Program::new(env!("CARGO_BIN_EXE_cutover"));
        program
            .args(["status", "--server", &url])
            .current_dir(world.base.path());
        program
            .env_remove("CUTOVER_TOKEN")
            .envs(WITHOUT_AUTHORITIES);
        program.envs(token.map(|token| ("CUTOVER_TOKEN", token)));
        program.args(file.into_iter().flat_map(|file| ["--token-file", file]));
        async move {
            let ended = tokio::task::spawn_blocking(move || program.output()).await;
            code(&ended.expect("joined").expect("started"))
        }
    };
    assert_eq!(run(None, None).await.0, 2);
    assert_eq!(run(Some(OF_CI), None).await.0, 0);
    assert_eq!(run(None, Some("reader")).await.0, 0);
    assert_eq!(run(None, Some("missing")).await.0, 2);
    let (status, text) = run(Some("guess-0123456789abc"), None).await;
    assert!(status == 2 && !text.contains("guess"), "{text}");
}

#[tokio::test]
async fn without_a_stream_the_board_is_followed() {
    let world = World::start(|_| {}).await;
    let client = world.client();
    let mut streams = Vec::new();
    while let Ok(stream) = client.news(None).await {
        streams.push(stream);
    }
    let (status, text) = code(&cutover(&world, &["deploy", "prod"]).await);
    assert!(status == 0 && text.contains("done"), "{text}");
}

#[tokio::test]
async fn an_interruption_ends_the_waiting() {
    let world = World::start(|_| {}).await;
    let running = Program::new(env!("CARGO_BIN_EXE_cutover"))
        .args(["deploy", "slow"])
        .current_dir(world.base.path())
        .env("CUTOVER_SERVER", format!("unix:{}", world.socket.display()))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("started");
    // The stream is opened before anything is asked.
    while !world
        .metrics
        .text()
        .contains(r#"stream",method="GET",status="200"} 1"#)
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let id = nix::unistd::Pid::from_raw(running.id().try_into().expect("an id"));
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).expect("sent");
    let ended = tokio::task::spawn_blocking(move || running.wait_with_output()).await;
    let (status, text) = code(&ended.expect("joined").expect("ended"));
    assert_eq!(status, 130, "{text}");
}
