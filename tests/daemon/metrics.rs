//! What the daemon tells Prometheus of a release, and what is seen of it after the swap.

use super::support::{Daemon, Needs, People, Replay, World, eventually};
use super::world;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// A configuration with one environment that is looked at all the time after the swap.
fn configuration(environment: &str, more: &str) -> String {
    format!(
        "http: {{listen: null}}\nsoak_check_interval: 100ms\n{more}\
         environments:\n  prod:\n    project: {{target: prod}}\n{environment}"
    )
}

/// The value of a series, where it is told.
async fn value(daemon: &Daemon, series: &str) -> Option<f64> {
    let page = daemon.try_get("/metrics").await?;
    let line = page.lines().find(|line| {
        line.strip_prefix(series)
            .is_some_and(|rest| rest.starts_with(' '))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

async fn looks(daemon: &Daemon, found: &str) -> f64 {
    let series = format!("cutover_soak_looks_total{{environment=\"prod\",found=\"{found}\"}}");
    value(daemon, &series).await.expect("a counter")
}

/// Waits for more looks that find this.
async fn more_looks(daemon: &Daemon, found: &str, more: f64) {
    let before = looks(daemon, found).await;
    eventually(found, async || {
        (looks(daemon, found).await >= before + more).then_some(())
    })
    .await;
}

/// Steers what the stand-in says of the view that serves, not of the old side.
async fn totals(world: &World, columns: &str, values: &str) {
    let pattern = format!("{}\\.totals", world.name("marts"));
    world
        .sql
        .run(&format!(
            "DELETE FROM mz_sandbox.objects; \
             INSERT INTO mz_sandbox.objects (pattern, {columns}) VALUES ('{pattern}', {values})"
        ))
        .await;
}

async fn well(world: &World) {
    world.sql.run("DELETE FROM mz_sandbox.objects").await;
}

async fn soaks(daemon: &Daemon) -> String {
    let status = daemon
        .until("prod", "the soak", |status| {
            status["deployment"]["state"] == "soaking"
        })
        .await;
    let id = status["deployment"]["id"].as_str();
    id.expect("an id").to_owned()
}

async fn lag(daemon: &Daemon) -> Option<f64> {
    let page = daemon.try_get("/metrics").await?;
    let lags = page
        .lines()
        .filter(|line| line.starts_with("cutover_lag_milliseconds{"));
    lags.filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .reduce(f64::max)
}

fn events(shown: &Value) -> Vec<&str> {
    let events = shown["events"].as_array().expect("events");
    events
        .iter()
        .filter_map(|event| event["event"]["kind"].as_str())
        .collect()
}

#[tokio::test]
async fn counters_are_there_before_anything_is_counted() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let people = "webhooks: [{name: people, url: \"http://127.0.0.1:9/\", events: [stuck]}]\n";
    let daemon = world.serve("daemon", &configuration("", people)).await;
    daemon.does("prod", "idle").await;
    for begun in [
        "cutover_deployments_total{environment=\"prod\",outcome=\"failed\"}",
        "cutover_runs_total{environment=\"prod\",outcome=\"skipped\"}",
        "cutover_rollbacks_total{environment=\"prod\",cause=\"check\"}",
        "cutover_soak_looks_total{environment=\"prod\",found=\"unknown\"}",
        "cutover_retries_total{environment=\"prod\",reason=\"transient\"}",
        "cutover_notifications_total{target=\"people\",outcome=\"failed\"}",
        "cutover_config_reloads_total{outcome=\"refused\"}",
        "cutover_schedule_lateness_seconds_count{environment=\"prod\"}",
    ] {
        assert_eq!(value(&daemon, begun).await, Some(0.0), "{begun}");
    }
    assert_eq!(lag(&daemon).await, None);
    // A target that a new configuration names begins at zero too.
    let more = people.replace("name: people", "name: others");
    let file = daemon.folder().join("cutover.yaml");
    std::fs::write(file, configuration("", &more)).expect("a file");
    daemon.signal(Signal::SIGHUP);
    let others = "cutover_notifications_total{target=\"others\",outcome=\"given_up\"}";
    let begun = eventually("the new target", async || value(&daemon, others).await).await;
    assert!(begun.abs() < f64::EPSILON, "{begun}");
    // Each attempt that others spoil is counted.
    world
        .sql
        .run(
            "INSERT INTO mz_sandbox.faults (pattern, action, argument, times) \
             VALUES ('cutover: commit swap', 'error', '40001', 2)",
        )
        .await;
    daemon.signal(Signal::SIGUSR2);
    world.swapped(2).await;
    let spoiled = "cutover_retries_total{environment=\"prod\",reason=\"conflict\"}";
    assert_eq!(value(&daemon, spoiled).await, Some(2.0));
    daemon.does("prod", "idle").await;
    daemon.stopped().await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn lag_after_the_swap_is_measured_told_and_recorded() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let people = People::listen().await;
    let webhooks = format!("webhooks: [{{name: people, url: \"{}\"}}]\n", people.url);
    let configuration = configuration("    soak: 1h\n", &webhooks);
    let daemon = world.serve("daemon", &configuration).await;
    daemon.does("prod", "idle").await;
    daemon.signal(Signal::SIGUSR2);
    let id = soaks(&daemon).await;
    more_looks(&daemon, "good", 1.0).await;
    assert!(lag(&daemon).await.expect("a lag") < 1000.0);
    let path = format!("/v1/deployments/{id}");

    // A lag within the threshold is a figure, a larger one is told when looks agree.
    totals(&world, "lag", "interval '5 seconds'").await;
    eventually("the lag", async || {
        lag(&daemon).await.filter(|lag| *lag >= 5000.0)
    })
    .await;
    more_looks(&daemon, "good", 2.0).await;
    assert_eq!(daemon.get(&path).await["reason"], Value::Null);
    totals(&world, "lag", "interval '20 seconds'").await;
    eventually("the lag", async || {
        lag(&daemon).await.filter(|lag| *lag >= 20_000.0)
    })
    .await;
    more_looks(&daemon, "degraded", 2.0).await;
    let shown = daemon.get(&path).await;
    assert_eq!(shown["state"], "soaking", "{shown}");
    let why = shown["reason"].as_str().unwrap_or_default();
    assert!(why.contains("totals lags 20.0 s behind"), "{why}");
    assert_eq!(events(&shown).last(), Some(&"degraded"));
    assert_eq!(shown["watched"]["worst"]["lag_ms"], 20_000, "{shown}");
    let told = eventually("the message", async || {
        let told = people.told().into_iter();
        let mut told = told.filter(|post| post.body["topic"] == "degraded");
        told.next()
    })
    .await;
    let text = told.body["text"].as_str().unwrap_or_default();
    assert!(text.contains("totals lags 20.0 s"), "{text}");

    // What cannot be read is no number, neither the last one nor zero.
    totals(&world, "lag_unknown", "true").await;
    more_looks(&daemon, "unknown", 1.0).await;
    let page = daemon.try_get("/metrics").await.expect("metrics");
    let serving = daemon.get("/v1/environments/prod").await["readiness"].clone();
    let unknown = serving.as_array().expect("clusters").iter();
    let unknown: Vec<&Value> = unknown
        .filter(|cluster| cluster["lag_ms"].is_null())
        .collect();
    assert_eq!(unknown.len(), 1, "{serving}");
    let name = unknown[0]["cluster"].as_str().expect("a name");
    let series = format!("cutover_lag_milliseconds{{environment=\"prod\",cluster=\"{name}\"}}");
    assert!(!page.contains(&series), "{page}");
    assert!(daemon.log().contains("UNKNOWN"), "{}", daemon.log());
    assert_eq!(
        daemon.get(&path).await["reason"],
        shown["reason"],
        "unknown is no recovery"
    );

    // A process that dies is followed by one that goes on counting, and tells the recovery.
    let before = daemon.get(&path).await["watched"]["looks"].clone();
    daemon.signal(Signal::SIGKILL);
    drop(daemon);
    well(&world).await;
    let daemon = world.serve("daemon", &configuration).await;
    daemon
        .until("prod", "the lead", |status| status["role"] == "leader")
        .await;
    eventually("the recovery", async || {
        let shown = daemon.get(&path).await;
        (events(&shown).last() == Some(&"recovered")).then_some(())
    })
    .await;
    let shown = daemon.get(&path).await;
    assert!(shown["watched"]["looks"].as_u64() > before.as_u64());
    assert_eq!(shown["watched"]["worst"]["lag_ms"], 20_000);
    assert_eq!(shown["watched"]["last"]["health"], "good");
    assert_eq!(shown["reason"], Value::Null);
    let degraded = events(&shown).into_iter().filter(|it| *it == "degraded");
    assert_eq!(degraded.count(), 1, "{shown}");

    let (status, _) = daemon
        .post("/v1/environments/prod/rollback", &json!({}))
        .await;
    assert_eq!(status, 202);
    daemon.does("prod", "idle").await;
    world.serves(1).await;
    let rollbacks = "cutover_rollbacks_total{environment=\"prod\",cause=\"api\"}";
    assert_eq!(value(&daemon, rollbacks).await, Some(1.0));
    let by_check = "cutover_rollbacks_total{environment=\"prod\",cause=\"check\"}";
    assert_eq!(value(&daemon, by_check).await, Some(0.0));
    assert_eq!(lag(&daemon).await, None);
    let told = eventually("the message", async || {
        let told = people.told().into_iter();
        let mut told = told.filter(|post| post.body["topic"] == "rolling_back");
        told.next()
    })
    .await;
    assert_eq!(told.body["details"]["cause"], "api", "{told:?}");
    daemon.stopped().await.exits(0);
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_decision_is_looked_at_too() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let manual = configuration("    cleanup: manual\n", "");
    let daemon = world.serve("daemon", &manual).await;
    daemon.does("prod", "idle").await;
    daemon.signal(Signal::SIGUSR2);
    daemon.does("prod", "waiting_for_cleanup").await;
    more_looks(&daemon, "good", 3.0).await;
    totals(&world, "hydrated", "false").await;
    more_looks(&daemon, "degraded", 3.0).await;
    let planned = "cutover_planned_objects{environment=\"prod\",cluster=";
    let page = daemon.try_get("/metrics").await.expect("metrics");
    assert!(page.contains(planned), "{page}");
    assert!(daemon.log().contains("DEGRADED"), "{}", daemon.log());
    well(&world).await;
    more_looks(&daemon, "good", 2.0).await;
    world.cutover(&["rollback", "prod"]).await.exits(0);
    world.serves(1).await;
    let rollbacks = "cutover_rollbacks_total{environment=\"prod\",cause=\"cli\"}";
    assert_eq!(value(&daemon, rollbacks).await, Some(1.0));
    daemon.stopped().await.exits(0);
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_soak_in_the_foreground_is_looked_at_too() {
    let Some(mut world) = World::start(Needs::Sandbox).await else {
        return;
    };
    world.produce_by_sql().await;
    world.project.without_tests();
    let _replay = Replay::of(&mut world).await;
    world
        .project
        .write("cutover.yaml", "soak_check_interval: 100ms\n");
    let health =
        |line: &Value, health: &str| line["event"] == "watched" && line["health"] == health;
    let mut deploying = world.spawn(&["deploy", "--soak", "1h"]);
    let good = deploying
        .until("a good look", |line| health(line, "good"))
        .await;
    assert_eq!(good["clusters"][0]["waiting_for"], json!([]), "{good}");
    totals(&world, "hydrated", "false").await;
    deploying
        .until("a warning", |line| {
            line["event"] == "warning" && line["text"].to_string().contains("DEGRADED")
        })
        .await;
    deploying.signal(Signal::SIGKILL);
    let killed = deploying.ended().await;
    assert_eq!(killed.code, None, "{killed}");

    // Without an answer nothing is known, and the soak goes on.
    world
        .sql
        .run(
            "INSERT INTO mz_sandbox.faults (pattern, application_name, action, times) \
             VALUES ('cutover: readiness', 'cutover', 'cut_before', NULL)",
        )
        .await;
    let mut resumed = world.spawn(&["resume"]);
    let unknown = resumed
        .until("an unknown look", |line| health(line, "unknown"))
        .await;
    assert_eq!(unknown["clusters"], json!([]), "{unknown}");
    resumed
        .until("a warning", |line| {
            line["event"] == "warning" && line["text"].to_string().contains("UNKNOWN")
        })
        .await;
    well(&world).await;
    world.let_go().await;
    resumed
        .until("a good look", |line| health(line, "good"))
        .await;
    resumed
        .until("the recovery", |line| {
            line["text"].to_string().contains("as it should be again")
        })
        .await;
    resumed.signal(Signal::SIGINT);
    resumed.ended().await.exits(130);
    let status = world.cutover(&["status"]).await.exits(0).document();
    let id = status["environments"][0]["deployment"]["id"].clone();
    let id = id.as_str().expect("an id");
    let shown = world.cutover_text(&["show", id]).await.exits(0);
    let shown = shown.says("After the swap").says("worst lag");
    shown.says("degraded: ").says("recovered");
    world.cutover(&["cleanup"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
}
