//! Releases on schedule, promotions by signal, stops and starts.

use super::support::{People, eventually};
use super::{configuration, world};
use cutover::domain::lifecycle::state::Event;
use cutover::domain::records::run::{Cause, Outcome as Ended, Run};
use cutover::domain::records::subject::Subject;
use nix::sys::signal::Signal;
use serde_json::json;

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
        assert_eq!(run.by, Some(Subject::Schedule), "{runs:#?}");
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
    // Each event goes back to the signal that came last.
    assert_eq!(runs[0].by, Some(Subject::signal("SIGUSR2")));
    let id = runs[0].deployment.as_deref().expect("a deployment");
    let events = world.journal().await.events(id).await.expect("events");
    let asked = events
        .iter()
        .position(|event| matches!(event.event, Event::Asked { .. }))
        .expect("the promotion");
    for (place, event) in events.iter().enumerate() {
        let signal = if place < asked { "SIGUSR2" } else { "SIGUSR1" };
        assert_eq!(event.by, Some(Subject::signal(signal)), "{event:?}");
    }
    let shown = world.cutover_text(&["history", "prod"]).await.exits(0);
    shown.says("SIGUSR2 on ");
    let metrics = daemon.try_get("/metrics").await.expect("metrics");
    assert!(
        metrics.contains("cutover_runs_total{environment=\"prod\",outcome=\"released\"} 1"),
        "{metrics}"
    );
    daemon.stopped().await.exits(0);
}

#[tokio::test]
async fn a_check_that_asks_is_told_and_waits_for_a_person() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let people = People::listen().await;
    let more = format!(
        "soak_check_interval: 100ms\nsoak_check_failures: 2\nchecks:\n- {{name: asks, kind: no_rows, level: ask, sql: SELECT 1}}\n\
         webhooks:\n- {{name: people, url: \"{}\"}}\n",
        people.url
    );
    let daemon = world.serve("daemon", &configuration(&more)).await;
    daemon.does("prod", "idle").await;
    daemon.signal(Signal::SIGUSR2);
    let asked = async |activity: &str, what: &str| {
        let status = daemon.does("prod", activity).await;
        let reason = status["deployment"]["reason"].as_str().unwrap_or_default();
        assert!(reason.starts_with("a person must decide"), "{status}");
        assert!(reason.contains(what), "{status}");
        let metrics = daemon.try_get("/metrics").await.expect("metrics");
        let line = "cutover_decision_needed{environment=\"prod\"} 1";
        assert!(metrics.contains(line), "{metrics}");
        status["deployment"]["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    let id = asked("waiting_for_promotion", "before the swap").await;
    world.serves(1).await;
    daemon.signal(Signal::SIGUSR1);
    world.swapped(2).await;
    asked("waiting_for_cleanup", "after the swap").await;
    // Another process finds the question again.
    daemon.stopped().await.exits(0);
    let daemon = world.serve("again", &configuration(&more)).await;
    daemon.does("prod", "waiting_for_cleanup").await;
    world.serves(2).await;
    let (status, _) = daemon
        .post("/v1/environments/prod/cleanup", &json!({}))
        .await;
    assert_eq!(status, 202);
    daemon.does("prod", "idle").await;
    world.nothing_left().await;
    let metrics = daemon.try_get("/metrics").await.expect("metrics");
    let line = "cutover_decision_needed{environment=\"prod\"} 0";
    assert!(metrics.contains(line), "{metrics}");
    let topics = eventually("all messages", async || {
        let told = people.told();
        let of_it = told.iter().filter(|post| post.body["deployment"] == *id);
        let topics: Vec<String> = of_it
            .filter_map(|post| post.body["topic"].as_str().map(str::to_owned))
            .collect();
        (topics.len() >= 4).then_some(topics)
    })
    .await;
    assert_eq!(topics, ["ready", "decision", "promoted", "decision"]);
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
    // Over the socket the user is known.
    assert_eq!(runs[0].by, Some(Subject::of_process()));
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
    // The process that went on did so for whoever had asked.
    let id = runs[0].deployment.as_deref().expect("a deployment");
    let events = world.journal().await.events(id).await.expect("events");
    let by = Some(Subject::signal("SIGUSR2"));
    assert!(events.iter().all(|event| event.by == by), "{events:#?}");
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
    // Whoever connects here waits for ever; nobody else is to.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let more = format!(
        "    soak: 5m\nsoak_check_interval: 200ms\n\
         checks:\n- {{name: no row more than three, kind: no_rows, run: [soak], \
         sql: 'SELECT id FROM {{{{ green(\"{staging}.orders\") }}}} WHERE id > 3'}}\n\
         webhooks:\n- {{name: dead, url: \"http://{dead}/\", timeout: 10m}}\n\
         - {{name: people, url: \"{url}\", secret: \"env:PEOPLE_SECRET\"}}\n\
         - {{name: chat, url: \"{url}\", format: slack, events: [rolled_back]}}\n",
        staging = world.name("staging"),
        url = people.url,
        dead = dead.local_addr().expect("an address"),
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
    let by = |topic: &str| {
        let mut told = told.iter();
        let post = told.find(|post| post.body["topic"] == topic).expect("told");
        post.body["details"]["by"].clone()
    };
    assert_eq!(by("promoted")["name"], "SIGUSR2");
    assert_eq!(by("rolling_back"), json!({"kind": "cutover"}));
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
