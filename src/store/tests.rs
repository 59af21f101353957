//! What every backend must do. A test gets a [`Bed`], an empty place for a journal, and opens it
//! as often as it likes. Each test runs once for each backend.
//!
//! PostgreSQL is a private server of the process, or the one of `CUTOVER_TEST_POSTGRES_URL`; each
//! bed is a schema there.

use super::{Kind, NewDeployment, Request, Store, StoreError};
use crate::deployment::state::Event;
use crate::plan::Plan;
use crate::settings::{Policy, Span};
use mz_sandbox::postgres::{PORT, SUPERUSER, Server};
use std::sync::OnceLock;
use std::time::Duration;

/// Which backend a bed is in.
#[derive(Debug, Clone, Copy)]
pub(super) enum On {
    Sqlite,
    Postgres,
}

/// An empty place for a journal.
pub(super) struct Bed {
    pub(super) folder: tempfile::TempDir,
    pub(super) url: String,
}

impl Bed {
    /// In a file.
    pub(super) fn new() -> Self {
        Self::on(On::Sqlite)
    }

    pub(super) fn on(backend: On) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            url: match backend {
                On::Sqlite => "sqlite://.cutover/cutover.db".to_owned(),
                On::Postgres => {
                    let schema = uuid::Uuid::now_v7().simple();
                    let server = postgres_url();
                    let more = if server.contains('?') { '&' } else { '?' };
                    format!("{server}{more}schema=test%5F{schema}")
                }
            },
        }
    }

    pub(super) async fn open(&self) -> Store {
        self.try_open().await.expect("the journal opens")
    }

    pub(super) async fn try_open(&self) -> Result<Store, StoreError> {
        Store::open(&self.url, self.folder.path()).await
    }
}

/// The server that all tests of this process share.
fn postgres_url() -> &'static str {
    static SERVER: OnceLock<(String, Option<Server>)> = OnceLock::new();
    let (url, _) = SERVER.get_or_init(|| match std::env::var("CUTOVER_TEST_POSTGRES_URL") {
        Ok(url) => (url, None),
        Err(_) => {
            let server = Server::start().expect("a private PostgreSQL");
            (private_url(&server), Some(server))
        }
    });
    url
}

/// The URL of a private server.
pub(super) fn private_url(server: &Server) -> String {
    let folder = server.folder().display().to_string().replace('/', "%2F");
    format!("postgres://{SUPERUSER}@{folder}:{PORT}/postgres")
}

/// Each test once for each backend.
macro_rules! on_every_backend {
    ($($test:ident)*) => {
        mod on_sqlite {
            use super::On;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                super::$test(On::Sqlite).await;
            })*
        }
        mod on_postgres {
            use super::On;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                super::$test(On::Postgres).await;
            })*
        }
    };
}

mod corners;
mod deployments;
mod fold;
mod leads;
mod migration;
mod outbox;
mod requests;
mod retention;
mod runs;
mod subjects;

pub(super) fn new_deployment(environment: &str) -> NewDeployment {
    NewDeployment {
        plan: Plan {
            inputs: None,
            outcomes: None,
            settings: None,
            text_only: Vec::new(),
            beside: Vec::new(),
            hooked: Vec::new(),
            default_privileges: Vec::new(),
            build_selectors: Vec::new(),
            test_selectors: Vec::new(),
            version: 1,
            mode: crate::plan::Mode::Full,
            environment: environment.to_owned(),
            target: "prod".to_owned(),
            project: "shop".to_owned(),
            database: "materialize".to_owned(),
            server: None,
            manifest_hash: "0".repeat(64),
            building: Default::default(),
            green_manifest_hash: String::new(),
            baseline: crate::plan::BaselineUsed::default(),
            columns: Vec::new(),
            estimated_hydration_ms: None,
            held_back: std::collections::BTreeMap::new(),
            held_back_schemas: std::collections::BTreeMap::new(),
            keeps: std::collections::BTreeMap::new(),
            strategy: crate::plan::Strategy::Swap,
            replacements: Vec::new(),
            schemas: Vec::new(),
            clusters: Vec::new(),
            nodes: Vec::new(),
            tests: Vec::new(),
            test_cluster: None,
            test_cluster_given: None,
            indexes: Vec::new(),
            sinks: Vec::new(),
            gains: vec!["marts.\"ö'\\\"".to_owned()],
            loses: Vec::new(),
            changed_tests: std::collections::BTreeMap::new(),
            accepted: Vec::new(),
            notes: Vec::new(),
        },
        request: Request {
            kind: Kind::Full,
            promotion: Policy::Manual,
            cleanup: Policy::Automatic,
            soak: Span(Duration::from_millis(90_500)),
            allow: vec!["source-rebuilt".to_owned()],
            bootstrap: true,
            revision: None,
            checks: Vec::new(),
        },
    }
}

/// The events of a release that goes well, after the plan.
fn straight() -> Vec<Event> {
    vec![
        Event::StagingStarted,
        Event::Staged,
        Event::Built,
        Event::Hydrated,
        Event::Verified,
        Event::PromotionStarted,
        Event::SwapCommitted,
        Event::Soaked,
        Event::CleanedUp,
    ]
}
