//! What every backend must do. A test gets a [`Bed`], an empty place for a journal, and opens it
//! as often as it likes. Each test runs once for each backend.
//!
//! PostgreSQL is a private server of the process, or the one of `CUTOVER_TEST_POSTGRES_URL`; each
//! bed is a schema there.

use super::{Lead, Store, StoreError};
use crate::domain::lifecycle::policy::Policy;
use crate::domain::lifecycle::state::Event;
use crate::domain::plan::Plan;
use crate::domain::promotion::Conditions;
use crate::domain::records::deployment::{Deployment, Kind, NewDeployment, Request};
use crate::foundation::span::Span;
use crate::planning::planner::render::sample;
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

    /// An empty journal, and the lead of its environment `prod`.
    pub(super) async fn led(backend: On) -> (Self, Store, Lead) {
        let bed = Self::on(backend);
        let store = bed.open().await;
        let lead = store.lead("prod").await.expect("nobody leads");
        (bed, store, lead)
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

mod approvals;
mod corners;
mod deployments;
mod drift;
mod fold;
mod holds;
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
            environment: environment.to_owned(),
            gains: vec!["marts.\"ö'\\\"".to_owned()],
            ..sample::empty()
        },
        request: Request {
            kind: Kind::Full,
            promotion: Policy::Manual,
            cleanup: Policy::Automatic,
            soak: Span(Duration::from_millis(90_500)),
            allow: vec!["source-rebuilt".to_owned()],
            bootstrap: true,
            revision: None,
            back_to: None,
            override_freeze: None,
            follows: None,
            keep: None,
            checks: Vec::new(),
            diff: None,
            conditions: Conditions::default(),
        },
    }
}

/// A deployment that is planned in the environment that is led.
pub(super) async fn created(store: &Store, lead: &Lead) -> Deployment {
    let new = new_deployment(lead.environment());
    store.create(lead, new).await.expect("created")
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
