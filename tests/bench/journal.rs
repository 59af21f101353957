//! What the journal costs in releases of nine transitions: a transition, and the record of an effect, on SQLite in a
//! file and on a private PostgreSQL over its socket. Prints a Markdown table.
//!
//! The journal is in the folder for temporary files; set `TMPDIR` to measure another disk. Exits
//! non-zero when the median transition on SQLite takes 5 ms or more.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and panics when its surroundings are not right"
)]

use cutover::adapters::store::Store;
use cutover::domain::lifecycle::state::Event;
use cutover::domain::plan::Plan;
use cutover::domain::records::deployment::{Kind, NewDeployment, Request};
use cutover::inputs::settings::Settings;
use mz_sandbox::postgres::{PORT, SUPERUSER, Server};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const RELEASES: usize = 60;
const LIMIT: Duration = Duration::from_millis(5);

#[tokio::main]
async fn main() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start().unwrap();
    let socket = server.folder().display().to_string().replace('/', "%2F");
    println!("| journal | transition, median | p99 | effect begun, median | p99 |");
    println!("|---|---|---|---|---|");
    let file = format!("sqlite://{}", folder.path().join("journal.db").display());
    let sqlite = measure("SQLite", &file).await;
    let url = format!("postgres://{SUPERUSER}@{socket}:{PORT}/postgres");
    measure("PostgreSQL", &url).await;
    if sqlite < LIMIT {
        return ExitCode::SUCCESS;
    }
    println!("\na transition on SQLite takes {sqlite:?}, the limit is {LIMIT:?}");
    ExitCode::FAILURE
}

/// Prints a row and gives the median transition.
async fn measure(name: &str, url: &str) -> Duration {
    let store = Store::open(url, std::path::Path::new(".")).await.unwrap();
    let lead = store.lead("prod").await.unwrap();
    let (mut transitions, mut effects) = (Vec::new(), Vec::new());
    for _ in 0..RELEASES {
        let id = store.create(&lead, deployment()).await.unwrap().id;
        for event in [
            Event::StagingStarted,
            Event::Staged,
            Event::Built,
            Event::Hydrated,
            Event::Verified,
            Event::PromotionStarted,
            Event::SwapCommitted,
            Event::Soaked,
            Event::CleanedUp,
        ] {
            let key = format!("{event:?}");
            let start = Instant::now();
            store.begin_effect(&lead, &id, &key, &"u1").await.unwrap();
            effects.push(start.elapsed());
            let start = Instant::now();
            store.apply(&lead, &id, &event).await.unwrap();
            transitions.push(start.elapsed());
        }
    }
    let (median, late) = percentiles(transitions);
    let (effect, late_effect) = percentiles(effects);
    println!("| {name} | {median:.2?} | {late:.2?} | {effect:.2?} | {late_effect:.2?} |");
    median
}

/// The median and the 99th percentile.
fn percentiles(mut taken: Vec<Duration>) -> (Duration, Duration) {
    taken.sort_unstable();
    (taken[taken.len() / 2], taken[taken.len() * 99 / 100])
}

fn deployment() -> NewDeployment {
    let settings = Settings::defaults().unwrap();
    NewDeployment {
        plan: Plan {
            inputs: None,
            outcomes: None,
            settings: None,
            text_only: Vec::new(),
            beside: Vec::new(),
            hooked: Vec::new(),
            default_privileges: Vec::new(),
            version: 1,
            mode: cutover::domain::plan::Mode::Full,
            environment: "prod".to_owned(),
            target: "prod".to_owned(),
            project: "shop".to_owned(),
            database: "materialize".to_owned(),
            server: None,
            manifest_hash: "0".repeat(64),
            building: Default::default(),
            green_manifest_hash: "0".repeat(64),
            baseline: cutover::domain::plan::BaselineUsed::default(),
            columns: Vec::new(),
            description: None,
            outside: cutover::domain::plan::outside::Outside::default(),
            texts: None,
            estimated_hydration_ms: None,
            held_back: std::collections::BTreeMap::new(),
            changed_tests: std::collections::BTreeMap::new(),
            held_back_schemas: std::collections::BTreeMap::new(),
            keeps: std::collections::BTreeMap::new(),
            strategy: cutover::domain::plan::Strategy::Swap,
            replacements: Vec::new(),
            schemas: Vec::new(),
            clusters: Vec::new(),
            nodes: Vec::new(),
            build_selectors: Vec::new(),
            tests: Vec::new(),
            test_selectors: Vec::new(),
            test_cluster: None,
            test_cluster_given: None,
            indexes: Vec::new(),
            sinks: Vec::new(),
            gains: Vec::new(),
            loses: Vec::new(),
            owners: Vec::new(),
            accepted: Vec::new(),
            notes: Vec::new(),
        },
        request: Request {
            kind: Kind::Full,
            promotion: settings.promotion,
            cleanup: settings.cleanup,
            soak: settings.soak,
            allow: Vec::new(),
            bootstrap: false,
            revision: None,
            back_to: None,
            override_freeze: None,
            follows: None,
            keep: None,
            checks: Vec::new(),
            diff: None,
            conditions: Default::default(),
        },
    }
}
