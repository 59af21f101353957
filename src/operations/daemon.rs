//! The daemon: one worker per environment, each leading or standing by.
//!
//! Durable are the journal (deployments, runs, messages) and what Materialize holds; everything here
//! can be forgotten. A worker acts only while it leads its environment, and writes only with the
//! proof of that. One worker does one thing at a time, so releases of an environment never overlap.

/// Whether a revision that failed may be tried again.
pub mod attempts;
/// What follows from the releases of another environment.
pub mod chain;
/// Clearing up.
mod collect;
/// Corners of pull requests.
pub mod corners;
/// Lag and hydration of each relation over time.
pub mod lines;
/// What dbt wrote.
pub mod logs;
/// What is asked of the daemon.
pub mod request;
/// SIGUSR1, SIGUSR2 and SIGHUP.
pub mod signals;
/// What the daemon shows of itself and its environments.
pub mod status;
/// What systemd is told.
pub mod systemd;
/// One environment's worker.
pub mod worker;

use crate::operations::daemon::status::StatusBoard;
use request::{Accepted, Command, Declined, Idempotency, Request};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{OnceLock, PoisonError, RwLock};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::adapters::store::Store;
use crate::inputs::settings::Loaded;
use crate::operations::metrics::Metrics;
use std::sync::Arc;

/// How many requests may wait for a worker; more are declined.
const WAITING_REQUESTS: usize = 32;

/// What all parts of a running daemon share.
#[derive(Debug)]
pub struct Daemon {
    /// What it shows.
    pub status_board: StatusBoard,
    /// Cancelled when the daemon is to stop: no new work, and what is under way ends at its next
    /// journalled boundary.
    pub stop: CancellationToken,
    /// Told when the configuration is to be read again.
    pub reload: Notify,
    /// Where relative paths of the configuration begin, once that is known.
    base: OnceLock<PathBuf>,
    settings: RwLock<Arc<Loaded>>,
    environments: RwLock<BTreeMap<String, Known>>,
}

/// What is known of one environment.
#[derive(Debug, Clone)]
struct Known {
    requests: mpsc::Sender<Request>,
    store: Option<Store>,
}

impl Daemon {
    /// A daemon without environments.
    #[must_use]
    pub fn new(settings: Arc<Loaded>) -> Self {
        Self {
            status_board: StatusBoard::default(),
            stop: CancellationToken::new(),
            reload: Notify::new(),
            base: OnceLock::new(),
            settings: RwLock::new(settings),
            environments: RwLock::default(),
        }
    }

    /// The configuration in force.
    #[must_use]
    pub fn settings(&self) -> Arc<Loaded> {
        let settings = self.settings.read();
        Arc::clone(&settings.unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the configuration in force.
    pub fn replace_settings(&self, settings: Arc<Loaded>) {
        let mut current = self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = settings;
    }

    /// Says where relative paths of the configuration begin; it stays what was said first.
    pub fn begins_in(&self, base: PathBuf) {
        let _ = self.base.set(base);
    }

    /// The folder of a deployment's run on this machine, where there is one.
    #[must_use]
    pub fn run_folder(&self, deployment: &str) -> Option<PathBuf> {
        let runs = self
            .base
            .get()?
            .join(&self.settings().settings.runs.directory);
        Some(runs.join(deployment))
    }

    /// Takes an environment in and gives the receiving end of what is asked of it.
    #[must_use]
    pub fn take_in(&self, environment: &str) -> mpsc::Receiver<Request> {
        let (requests, receiver) = mpsc::channel(WAITING_REQUESTS);
        let known = Known {
            requests,
            store: None,
        };
        self.status_board.add(environment);
        self.environments_mut()
            .insert(environment.to_owned(), known);
        receiver
    }

    /// Lets an environment go.
    pub fn let_go(&self, environment: &str) {
        self.environments_mut().remove(environment);
        self.status_board.remove(environment);
    }

    /// Sets the journal of an environment, or that it cannot be opened at present.
    pub fn set_store(&self, environment: &str, store: Option<Store>) {
        if let Some(known) = self.environments_mut().get_mut(environment) {
            known.store = store;
        }
    }

    /// The journal of an environment; `None` while it could not be opened, or when there is no such
    /// environment.
    #[must_use]
    pub fn store(&self, environment: &str) -> Option<Store> {
        self.known(environment).and_then(|known| known.store)
    }

    /// The names of the environments, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let environments = self.environments.read();
        let environments = environments.unwrap_or_else(PoisonError::into_inner);
        environments.keys().cloned().collect()
    }

    /// The environments that SIGUSR1 and SIGUSR2 are for, sorted.
    #[must_use]
    pub fn obeying_signals(&self) -> Vec<String> {
        let loaded = self.settings();
        let obeys = |name: &String| {
            let own = loaded.settings.environments.get(name);
            own.and_then(|own| own.obeys_signals)
                .unwrap_or(loaded.settings.obeys_signals)
        };
        self.names().into_iter().filter(obeys).collect()
    }

    /// Asks an environment's worker, and waits until it has accepted or declined.
    ///
    /// # Errors
    /// Why it was declined; nothing was changed then.
    pub async fn ask(
        &self,
        environment: &str,
        command: Command,
        idempotency: Option<Idempotency>,
    ) -> Result<Accepted, Declined> {
        let known = self
            .known(environment)
            .ok_or_else(|| Declined::UnknownEnvironment {
                name: environment.to_owned(),
                known: self.names(),
            })?;
        if self.stop.is_cancelled() {
            return Err(Declined::Stopping);
        }
        let (answer, answered) = oneshot::channel();
        let request = Request {
            command,
            idempotency,
            answer,
        };
        known
            .requests
            .try_send(request)
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Declined::Overloaded,
                mpsc::error::TrySendError::Closed(_) => Declined::Stopping,
            })?;
        answered.await.unwrap_or(Err(Declined::Stopping))
    }

    fn known(&self, environment: &str) -> Option<Known> {
        let environments = self.environments.read();
        let environments = environments.unwrap_or_else(PoisonError::into_inner);
        environments.get(environment).cloned()
    }

    fn environments_mut(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<String, Known>> {
        let environments = self.environments.write();
        environments.unwrap_or_else(PoisonError::into_inner)
    }
}
