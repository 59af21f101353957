//! What the pictures show: an environment with a history, and a candidate whose plan has 500 nodes.

use super::daemon::{self, STAGE, World, show};
use cutover::adapters::store::Store;
use cutover::domain::lifecycle::state::{Event, State};
use cutover::domain::plan::Plan;
use cutover::domain::progress::{ClusterReadiness, RelationReadiness};
use cutover::inputs::settings::http::{Http, Scope};
use serde_json::{Value, json};
use std::time::Duration;

/// What somebody may call things who wishes nobody well.
pub const HOSTILE: &str =
    "\"'><img src=x onerror=alert(1)><script>window.pwned=1</script>\u{202e}&amp;";

/// The releaser may everything; the reader looks.
pub fn everything(http: &mut Http) {
    let token = http
        .tokens
        .iter_mut()
        .find(|token| token.name == "releaser");
    let scopes = &mut token.expect("the releaser").scopes;
    scopes.extend([Scope::Promote, Scope::Ci]);
}

pub const TO_READY: &[Event] = &[
    Event::StagingStarted,
    Event::Staged,
    Event::Built,
    Event::Hydrated,
    Event::Verified,
];

/// A plan with so many nodes, ten to a schema, each schema downstream of the one before.
pub fn plan(environment: &str, count: usize, name: &dyn Fn(usize) -> String) -> Plan {
    let schema = |at: usize| format!("area_{:02}", at / 10);
    let id = |at: usize| format!("model.shop.{}", name(at));
    let clusters = ["serving", "transform", "ingest"];
    let nodes: Vec<Value> = (0..count)
        .map(|at| {
            let reason = match at {
                _ if at % 10 == 9 => format!("shares schema {} with {}", schema(at), id(at - 1)),
                0..10 => "what comes out of it changed: its SQL".to_owned(),
                _ if at / 10 % 7 == 0 => "what comes out of it changed: a column".to_owned(),
                _ => format!("downstream of {}", id(at - 10)),
            };
            json!({
                "unique_id": id(at), "schema": schema(at), "identifier": name(at),
                "materialized": "materialized_view", "kind": null,
                "cluster": clusters[at / 10 % 3], "indexes": 0,
                "persists_relation_comment": false, "persists_column_comments": false, "reason": reason,
            })
        })
        .collect();
    let mut plan = serde_json::to_value(daemon::deployment(environment).plan).expect("JSON");
    plan["nodes"] = nodes.into();
    plan["gains"] = json!(["area_00.new_one"]);
    plan["loses"] = json!(["area_00.old_one"]);
    plan["notes"] = json!(["2 tests were left out by the selection"]);
    plan["estimated_hydration_ms"] = json!(93_000);
    plan["tests"] = json!(["test.shop.unique_orders_id", "test.shop.not_null_orders_id"]);
    plan["columns"] = json!([
        {"relation": "area_00.node_000", "column": "amount", "change": "retyped", "from": "integer", "to": "numeric"},
        {"relation": "area_00.node_001", "column": "note", "change": "added", "to": "text"},
    ]);
    plan["held_back"] = json!({"model.shop.left_out": "its SQL"});
    serde_json::from_value(plan).expect("a plan")
}

/// Records a deployment with this plan and these events.
pub async fn record(store: &Store, plan: Plan, events: &[Event]) -> String {
    let environment = plan.environment.clone();
    let lead = store.lead(&environment).await.expect("the lead");
    let mut new = daemon::deployment(&environment);
    new.plan = plan;
    let id = store.create(&lead, new).await.expect("recorded").id;
    for event in events {
        store.apply(&lead, &id, event).await.expect("applied");
    }
    id
}

/// A daemon with a history and a candidate of `count` nodes that is ready; gives the id of that.
pub async fn world(count: usize) -> (World, String) {
    let world = World::of(&["prod", "ci", STAGE], everything).await;
    let store = world.daemon.store(STAGE).expect("a journal");
    let name = |at: usize| format!("node_{at:03}");
    let swapped = [
        Event::PromotionStarted,
        Event::SwapCommitted,
        Event::Soaked,
        Event::CleanedUp,
    ];
    let all: Vec<Event> = TO_READY.iter().chain(&swapped).cloned().collect();
    record(&store, plan(STAGE, 4, &name), &all).await;
    let reason = "dbt: model.shop.node_002: column \"amuont\" does not exist".to_owned();
    let failed = [
        Event::StagingStarted,
        Event::Staged,
        Event::StepFailed { reason },
        Event::UnwoundAfterFailure,
    ];
    record(&store, plan(STAGE, 4, &name), &failed).await;
    let id = record(&store, plan(STAGE, count, &name), TO_READY).await;
    on_board(&world, &id, State::Ready);
    (world, id)
}

pub fn on_board(world: &World, id: &str, state: State) {
    show(&world.daemon, STAGE, id, state);
    world.daemon.status_board.change(STAGE, |status| {
        status.readiness = readiness(0);
        status.revision = Some("7c1f0a9be2d54411a0c3f8e6b7d9a2c4e5f60718".to_owned());
        status.next_run = jiff::Timestamp::now()
            .checked_add(Duration::from_secs(5400))
            .ok();
    });
}

/// One reading, the `at`th.
pub fn readiness(at: usize) -> Vec<ClusterReadiness> {
    let clusters = [
        ("ingest", 40, 9000),
        ("serving", 12, 4000),
        ("transform", 30, 15_000),
    ];
    clusters
        .map(|(cluster, total, lag)| {
            let hydrated = total.min(3 + at * total / 12);
            ClusterReadiness {
                cluster: cluster.to_owned(),
                hydrated,
                total,
                lag_ms: (at > 1).then_some(lag / (at as i64 + 1) + 120),
                lagging: Some(format!("area_00.node_{at:03}")),
                waiting_for: match hydrated < total {
                    true => vec![format!("{} objects are not hydrated", total - hydrated)],
                    false => Vec::new(),
                },
                relations: relations(cluster, at),
            }
        })
        .into()
}

/// Relations of a cluster, of which each is hydrated later than the one before.
fn relations(cluster: &str, at: usize) -> Vec<RelationReadiness> {
    let relation = |number: usize| RelationReadiness {
        name: format!("area_00.{cluster}_{number}"),
        hydrated: at > 2 * number,
        lag_ms: (at > 2 * number).then(|| 20_000 / (at as i64 - 2 * number as i64)),
    };
    (0..4).map(relation).collect()
}

/// What dbt left of a build, on this machine.
pub fn logs(world: &World, id: &str, said: &str) {
    let folder = world
        .base
        .path()
        .join(".cutover/runs")
        .join(id)
        .join("build");
    std::fs::create_dir_all(&folder).expect("a folder");
    let line = |level: &str, msg: &str| json!({"info": {"level": level, "msg": msg, "ts": "2026-11-20T22:06:27.5Z"}});
    let lines = [
        line("info", "Running with dbt=1.11.16"),
        line("error", said),
    ];
    let text = lines.map(|line| format!("{line}\n")).concat() + said + "\n";
    std::fs::write(folder.join("output.log"), text).expect("a log");
}
