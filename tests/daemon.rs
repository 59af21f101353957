//! The daemon: releases on schedule, promotions by signal, stops and starts.

mod support;

use cutover::store::{Cause, Outcome as Ended, Run};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::{Daemon, JournalServer, Needs, People, Replay, World, eventually};

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
        let is_known = run.scheduled_for.is_some() && run.revision.is_some();
        assert!(is_known, "{run:#?}");
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

#[tokio::test]
async fn what_became_stale_while_it_waited_is_planned_anew() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let manual = "    promotion: manual\ndaemon: {recheck_interval: 300ms}\n";
    let daemon = world.serve("daemon", &configuration(manual)).await;
    daemon.does("prod", "idle").await;
    daemon.signal(Signal::SIGUSR2);
    let first = daemon.does("prod", "waiting_for_promotion").await;
    // Somebody makes a part of production anew.
    let [serving, serve] = ["serving", "serve"].map(|name| world.name(name));
    for sql in [
        format!("DROP INDEX {serving}.report_index"),
        format!("CREATE INDEX report_index IN CLUSTER {serve} ON {serving}.report (customer)"),
    ] {
        world.sql.run(&sql).await;
    }
    let again = daemon
        .until("prod", "another deployment", |status| {
            status["activity"] == "waiting_for_promotion"
                && status["deployment"]["id"] != first["deployment"]["id"]
        })
        .await;
    // The project changes too.
    let model = "models/marts/totals.sql";
    let text = world.project.read(model);
    world.project.write(model, &format!("{text}\n-- changed\n"));
    daemon
        .until("prod", "a third deployment", |status| {
            status["activity"] == "waiting_for_promotion"
                && status["deployment"]["id"] != again["deployment"]["id"]
        })
        .await;
    world.serves(1).await;
    let (status, promoted) = daemon
        .post("/v1/environments/prod/promote", &json!({}))
        .await;
    assert_eq!(status, 202, "{promoted}");
    daemon.does("prod", "idle").await;
    let runs = world.runs().await;
    let ends: Vec<_> = runs.iter().map(|run| (run.cause, run.outcome)).collect();
    assert_eq!(
        ends,
        [
            (Cause::Change, Some(Ended::Released)),
            (Cause::Change, Some(Ended::Aborted)),
            (Cause::Signal, Some(Ended::Aborted)),
        ],
        "{runs:#?}"
    );
    let why = runs[2].detail.as_deref().unwrap_or_default();
    assert!(why.contains("stale"), "{runs:#?}");
    daemon.stopped().await.exits(0);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_failing_soak_check_rolls_back_and_is_told() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let people = People::listen().await;
    let more = format!(
        "    soak: 5m\nsoak_check_interval: 200ms\n\
         checks:\n- {{name: no row more than three, kind: no_rows, run: [soak], \
         sql: 'SELECT id FROM {{{{ green(\"{staging}.orders\") }}}} WHERE id > 3'}}\n\
         webhooks:\n- {{name: people, url: \"{url}\", secret: \"env:PEOPLE_SECRET\"}}\n\
         - {{name: chat, url: \"{url}\", format: slack, events: [rolled_back]}}\n",
        staging = world.name("staging"),
        url = people.url,
    );
    let mut world = world;
    world
        .environment
        .insert("PEOPLE_SECRET".to_owned(), "a secret of theirs".to_owned());
    let daemon = world.serve("daemon", &configuration(&more)).await;
    daemon.does("prod", "idle").await;
    daemon.signal(Signal::SIGUSR2);
    world.swapped(2).await;
    daemon
        .until("prod", "the soak", |status| {
            status["deployment"]["state"] == "soaking"
        })
        .await;
    let staging = world.name("staging");
    world
        .sql
        .run(&format!(
            "INSERT INTO {staging}.orders VALUES (4, 'eve', 1)"
        ))
        .await;
    daemon
        .until("prod", "the old side", |status| {
            status["deployment"]["state"] == "rolled_back"
        })
        .await;
    world.serves(1).await;
    let status = daemon.get("/v1/environments/prod").await;
    let id = status["deployment"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    // What was recorded shortly before the daemon began is told too; that is not the subject here.
    let told = eventually("all messages", async || {
        let told = people.told().into_iter();
        let told: Vec<_> = told
            .filter(|post| post.body.to_string().contains(&id))
            .collect();
        (told.len() >= 5).then_some(told)
    })
    .await;
    let topics: Vec<&str> = told
        .iter()
        .filter_map(|post| post.body["topic"].as_str())
        .collect();
    assert_eq!(
        topics,
        ["ready", "promoted", "rolling_back", "rolled_back"],
        "{told:#?}"
    );
    let chat = told.iter().find(|post| post.body.get("topic").is_none());
    let text = chat.expect("the chat").body["text"]
        .as_str()
        .expect("a text");
    assert!(text.contains("no row more than three"), "{text}");
    for post in told.iter().filter(|post| post.body.get("topic").is_some()) {
        assert!(post.is_signed_with("a secret of theirs"), "{post:?}");
    }
    let runs = world.runs().await;
    assert_eq!(runs[0].outcome, Some(Ended::RolledBack), "{runs:#?}");
    assert!(
        runs[0]
            .detail
            .as_deref()
            .unwrap_or_default()
            .contains("no row more")
    );
    daemon.stopped().await.exits(0);
    world.nothing_left().await;
}

#[tokio::test]
async fn what_fails_again_and_again_is_given_up_until_it_changes() {
    let Some((world, replay)) = world().await else {
        return;
    };
    replay.makes(2, true);
    let more = "    schedule: {cron: \"* * * * * *\", max_failures: 2, failure_backoff: 1s}\n";
    let daemon = world.serve("daemon", &configuration(more)).await;
    let store = world.journal().await;
    let count = async |outcome: Ended| {
        let runs = store.runs(None, 500).await.expect("runs");
        runs.iter()
            .filter(|run| run.outcome == Some(outcome))
            .count()
    };
    eventually("it to be given up", async || {
        (count(Ended::Skipped).await >= 4).then_some(())
    })
    .await;
    assert_eq!(count(Ended::Failed).await, 2);
    world.serves(1).await;
    replay.makes(2, false);
    let model = "models/marts/totals.sql";
    let text = world.project.read(model);
    world.project.write(model, &format!("{text}\n-- mended\n"));
    world.swapped(2).await;
    daemon.stopped().await.exits(0);
}

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
        "    source: {{url: \"https://127.0.0.1:{port}/shop.git\"}}\n    schedule: {{poll: 1s}}\n"
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
