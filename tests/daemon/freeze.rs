//! Holds of people, freezes, and what goes on all the same.

use super::support::{People, World, eventually};
use super::{configuration, world};
use cutover::domain::lifecycle::state::Event;
use cutover::domain::records::run::{Outcome as Ended, Run};
use cutover::domain::records::subject::Subject;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const HOLD: &str = "/v1/environments/prod/hold";
const LIFT: &str = "/v1/environments/prod/release-hold";
const RELEASE: &str = "/v1/environments/prod/releases";
const PROMOTE: &str = "/v1/environments/prod/promote";

/// A freeze without an end.
const FROZEN: &str = "    freeze: [{from: 2020-01-01, reason: the year is closed}]\n";

fn topics(people: &People) -> Vec<String> {
    let told = people.told().into_iter();
    told.filter_map(|post| post.body["topic"].as_str().map(str::to_owned))
        .collect()
}

async fn kinds(world: &World, id: &str) -> Vec<Value> {
    let events = world.journal().await.events(id).await.expect("events");
    events.iter().map(|event| json!(event.event)).collect()
}

#[tokio::test]
async fn a_hold_stops_beginnings_and_the_swap_until_it_is_lifted() {
    let Some((world, replay)) = world().await else {
        return;
    };
    let people = People::listen().await;
    let webhooks = format!("webhooks:\n- {{name: people, url: \"{}\"}}\n", people.url);
    let daemon = world.serve("daemon", &configuration(&webhooks)).await;
    daemon.does("prod", "idle").await;

    // It is said before it is done, and needs a reason.
    let held = json!({"reason": "an incident"});
    let (status, dry) = daemon.post(&format!("{HOLD}?dry_run=true"), &held).await;
    assert_eq!(status, 200, "{dry}");
    assert!(dry["would"].to_string().contains("swap nothing"), "{dry}");
    let (status, _) = daemon.post(HOLD, &json!({"reason": " "})).await;
    assert_eq!(status, 422);
    let past = json!({"reason": "x", "until": "2020-01-01T00:00:00Z"});
    let (status, _) = daemon.post(HOLD, &past).await;
    assert_eq!(status, 422);
    let (status, none) = daemon.post(LIFT, &json!({})).await;
    assert_eq!(
        (status, none["type"].as_str()),
        (409, Some("urn:cutover:problem:not-held"))
    );

    // No release begins, whoever asks.
    let (status, _) = daemon.post(HOLD, &held).await;
    assert_eq!(status, 202);
    let shown = daemon
        .until("prod", "the hold", |status| !status["held"].is_null())
        .await;
    assert_eq!(shown["held"]["reason"], "an incident");
    assert!(shown["held"]["deployment"].is_null(), "{shown:#}");
    let (status, declined) = daemon
        .post(RELEASE, &json!({"override_freeze": "no matter"}))
        .await;
    assert_eq!(status, 409, "{declined}");
    assert_eq!(declined["type"], "urn:cutover:problem:held-or-frozen");
    let said = format!(
        "held: an incident, until it is lifted, by {}",
        Subject::of_process()
    );
    assert_eq!(declined["detail"], said, "{declined}");
    assert!(
        declined["hint"]
            .to_string()
            .contains("cutover release prod"),
        "{declined}"
    );
    let metrics = daemon.try_get("/metrics").await.expect("metrics");
    assert!(
        metrics.contains("cutover_held{environment=\"prod\"} 1"),
        "{metrics}"
    );
    world
        .cutover(&["deploy", "prod"])
        .await
        .exits(3)
        .says("held: an incident");
    assert!(world.runs().await.is_empty());

    // Lifted by the command line, through the daemon; held again while green is built.
    world
        .cutover_text(&["release", "prod"])
        .await
        .exits(0)
        .says("lift what holds it");
    replay.hold();
    let (status, begun) = daemon.post(RELEASE, &json!({})).await;
    assert_eq!(status, 202, "{begun}");
    eventually("the build", async || replay.is_building().then_some(())).await;
    world
        .cutover(&["hold", "prod", "--reason", "an audit", "--until", "9h"])
        .await
        .exits(0);
    replay.go_on();
    let waiting = daemon.does("prod", "held_up").await;
    assert_eq!(waiting["deployment"]["state"], "ready", "{waiting:#}");
    let reason = waiting["deployment"]["reason"].as_str().unwrap_or_default();
    assert!(
        reason.starts_with("held: an audit, until 20"),
        "{waiting:#}"
    );
    let (status, declined) = daemon.post(PROMOTE, &json!({})).await;
    assert_eq!(status, 409, "{declined}");
    assert!(
        declined["detail"].to_string().contains("an audit"),
        "{declined}"
    );
    world.serves(1).await;

    // The next process finds it held; what is ready goes on by itself when the hold is over.
    daemon.killed().await;
    let daemon = world.serve("daemon", &configuration(&webhooks)).await;
    daemon.does("prod", "held_up").await;
    world.serves(1).await;
    let short = json!({"reason": "almost over", "until": "2s"});
    let (status, _) = daemon.post(HOLD, &short).await;
    assert_eq!(status, 202);
    world.swapped(2).await;
    daemon.does("prod", "idle").await;
    let id = waiting["deployment"]["id"].as_str().expect("an id");
    let events = kinds(&world, id).await;
    let held_up = events.iter().filter(|event| event["kind"] == "held_up");
    assert!(held_up.count() <= 2, "{events:#?}");
    let told = eventually("all messages", async || {
        let told = topics(&people);
        told.contains(&"promoted".to_owned()).then_some(told)
    })
    .await;
    for topic in ["held", "hold_lifted", "held_up"] {
        assert!(told.iter().any(|one| one == topic), "{topic}: {told:?}");
    }
    world.nothing_left().await;
    daemon.stopped().await.exits(0);
}

#[tokio::test]
async fn a_hold_ends_by_itself_and_stops_no_abort() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let daemon = world
        .serve("daemon", &configuration("    promotion: manual\n"))
        .await;
    daemon.does("prod", "idle").await;
    daemon.signal(Signal::SIGUSR2);
    daemon.does("prod", "waiting_for_promotion").await;
    let (status, _) = daemon
        .post(HOLD, &json!({"reason": "short", "until": "1h"}))
        .await;
    assert_eq!(status, 202);
    let (status, declined) = daemon.post(PROMOTE, &json!({})).await;
    assert_eq!(status, 409, "{declined}");
    let (status, _) = daemon.post("/v1/environments/prod/abort", &json!({})).await;
    assert_eq!(status, 202);
    daemon.does("prod", "idle").await;
    world.nothing_left().await;
    // A hold takes the place of the one before.
    let (status, _) = daemon
        .post(HOLD, &json!({"reason": "shorter", "until": "1s"}))
        .await;
    assert_eq!(status, 202);
    eventually("the end of the hold", async || {
        let (status, _) = daemon.post(RELEASE, &json!({})).await;
        (status == 202).then_some(())
    })
    .await;
    daemon.does("prod", "waiting_for_promotion").await;
    let (status, _) = daemon.post(PROMOTE, &json!({})).await;
    assert_eq!(status, 202);
    // The first build was given up.
    world.swapped(3).await;
    daemon.does("prod", "idle").await;
    daemon.stopped().await.exits(0);
}

#[tokio::test]
async fn a_freeze_is_overridden_with_a_reason_and_stops_no_way_back() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let people = People::listen().await;
    let more = |frozen: &str| {
        let people = &people.url;
        configuration(&format!(
            "{frozen}    promotion: manual\n    cleanup: manual\n    schedule: {{cron: \"* * * * * *\"}}\nwebhooks:\n- {{name: people, url: \"{people}\"}}\n"
        ))
    };
    let daemon = world.serve("daemon", &more(FROZEN)).await;
    // The schedule fires each second, and is skipped once.
    let said = "frozen until further notice: the year is closed";
    let skipped = |runs: &[Run]| {
        runs.iter()
            .filter(|run| run.outcome == Some(Ended::Skipped))
            .count()
    };
    eventually("the firing", async || {
        (skipped(&world.runs().await) > 0).then_some(())
    })
    .await;
    let shown = daemon
        .until("prod", "the freeze", |status| !status["frozen"].is_null())
        .await;
    assert_eq!(shown["frozen"]["reason"], "the year is closed");
    let metrics = daemon.try_get("/metrics").await.expect("metrics");
    assert!(
        metrics.contains("cutover_frozen{environment=\"prod\"} 1"),
        "{metrics}"
    );
    let (status, declined) = daemon.post(RELEASE, &json!({})).await;
    assert_eq!((status, declined["detail"].as_str()), (409, Some(said)));
    assert!(
        declined["hint"].to_string().contains("--override-freeze"),
        "{declined}"
    );
    world
        .cutover_text(&["status", "prod"])
        .await
        .exits(0)
        .says(said);

    // Somebody releases all the same, and promotes that without saying why again.
    let (status, begun) = daemon
        .post(RELEASE, &json!({"override_freeze": "a leak"}))
        .await;
    assert_eq!(status, 202, "{begun}");
    let waiting = daemon.does("prod", "waiting_for_promotion").await;
    let id = waiting["deployment"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let (status, _) = daemon.post(PROMOTE, &json!({})).await;
    assert_eq!(status, 202);
    world.swapped(2).await;
    daemon.does("prod", "waiting_for_cleanup").await;
    let events = world.journal().await.events(&id).await.expect("events");
    let overridden = events.iter().find(
        |event| matches!(&event.event, Event::FreezeOverridden { reason } if reason == "a leak"),
    );
    assert_eq!(
        overridden.expect("the override").by,
        Some(Subject::of_process())
    );
    let told = eventually("the message", async || {
        let told = people.told().into_iter();
        let mut of_it = told.filter(|post| post.body["topic"] == "freeze_overridden");
        of_it.next()
    })
    .await;
    assert!(told.body["text"].to_string().contains("a leak"), "{told:?}");

    // A way back is never frozen.
    let (status, _) = daemon
        .post("/v1/environments/prod/rollback", &json!({}))
        .await;
    assert_eq!(status, 202);
    daemon.does("prod", "idle").await;
    world.serves(1).await;
    world.nothing_left().await;
    assert_eq!(skipped(&world.runs().await), 1, "{:#?}", world.runs().await);
    daemon.stopped().await.exits(0);

    // What is ready when a freeze begins waits; promoted with a reason, it goes on.
    let ready = world
        .cutover(&[
            "deploy",
            "prod",
            "--promotion",
            "manual",
            "--override-freeze",
            "x",
        ])
        .await
        .exits(0);
    assert_eq!(ready.states().last().map(String::as_str), Some("ready"));
    world.cutover(&["abort", "prod"]).await.exits(0);
    let daemon = world
        .serve("daemon", &configuration("    promotion: manual\n"))
        .await;
    daemon.does("prod", "idle").await;
    daemon.signal(Signal::SIGUSR2);
    daemon.does("prod", "waiting_for_promotion").await;
    daemon.stopped().await.exits(0);
    let daemon = world
        .serve(
            "daemon",
            &configuration(&format!("{FROZEN}    promotion: manual\n")),
        )
        .await;
    daemon.does("prod", "waiting_for_promotion").await;
    let (status, declined) = daemon.post(PROMOTE, &json!({})).await;
    assert_eq!((status, declined["detail"].as_str()), (409, Some(said)));
    let (status, _) = daemon
        .post(PROMOTE, &json!({"override_freeze": "agreed"}))
        .await;
    assert_eq!(status, 202);
    daemon.does("prod", "idle").await;
    world.nothing_left().await;
    daemon.stopped().await.exits(0);
}
