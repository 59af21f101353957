//! One environment's worker: it leads or stands by, waits, releases, and drives what is under way.
//!
//! What it knows itself (what was asked, what it waits for) is a shortcut; after a restart the
//! journal says everything that matters. It does one thing at a time: a request is answered at once,
//! also while a deployment is driven, and carried out when the drive has reached a boundary.

use super::chain::First;
use super::collect::Collector;
use super::corners::Corners;
use super::request::{Declined, Request};
use super::{Daemon, Metrics};
use crate::adapters::materialize::watch::Watching;
use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::lifecycle::role::Role;
use crate::domain::lifecycle::state::{Asker, State};
use crate::domain::lifecycle::verb::Verb;
use crate::domain::records::deployment::Deployment;
use crate::foundation::failure::{Class, Classify};
use crate::foundation::retry::Pauses;
use crate::inputs::settings::Loaded;
use crate::inputs::settings::times::Schedule;
use crate::operations::daemon::status::{Activity, DeploymentStatus};
use crate::operations::error::DeploymentError;
use crate::operations::notifications;
use crate::operations::release::{Release, ReleaseError, Wanted};
use futures_util::FutureExt;
use jiff::Timestamp;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Planning a release and recording it.
mod begin;
/// A candidate that waits for approvals, gates and times.
mod candidate;
/// What follows from the releases of another environment.
mod chained;
/// Waiting until somebody decides.
mod decision;
/// Looking at what is live, between releases.
mod drift;
/// Driving a deployment while requests are answered.
mod drive;
/// Holding the environment, and what a hold or a freeze stops.
mod holding;
/// Waiting for the schedule, the source or a request.
mod idle;
/// Ending runs that were left open.
mod open_runs;
/// Whether the project is another one than before.
mod project_change;
/// Answering requests.
mod requests;
/// Telling what happens: to the log, the metrics, the status and whoever listens.
mod telling;

/// The shortest pause before something that failed is tried again.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);

use crate::operations::daemon::worker::requests::{Now, Taken};

/// What a worker is made from.
pub(crate) struct Worker {
    daemon: Arc<Daemon>,
    metrics: Arc<Metrics>,
    environment: String,
    wanted: Wanted,
    settings: watch::Receiver<Arc<Loaded>>,
    requests: mpsc::Receiver<Request>,
    stop: CancellationToken,
    /// Where this daemon answers, for whoever is refused the lead.
    address: Option<String>,
    /// Where relative paths of the daemon's own files begin.
    base: PathBuf,
    memory: Memory,
}

/// What the worker remembers while it leads.
#[derive(Default)]
struct Memory {
    /// What was asked of the deployment under way and is not done yet.
    asked: Option<Verb>,
    /// Who asked last.
    asked_by: Option<Asker>,
    /// The deployment and state in which a drive came to rest.
    rested: Option<(String, State)>,
    /// The deployment that this process took up.
    taken: Option<String>,
    /// The run that the deployment under way belongs to.
    run: Option<String>,
    /// A release that is to be made as soon as nothing is under way.
    next: Option<begin::Trigger>,
    /// When that one is due, where not at once.
    next_at: Option<Timestamp>,
    /// The run that is planned at present.
    planning: Option<String>,
    /// How a run ended that could not be recorded yet.
    unrecorded: Option<open_runs::Ending>,
    /// The schedule, with the configuration that it was read from.
    schedule: Option<(Arc<Loaded>, Option<Arc<Schedule>>)>,
    /// The firing of the schedule that was handled last.
    handled: Option<Timestamp>,
    /// When the source was last asked for its revision.
    looked: Option<Timestamp>,
    /// Why what waits to be promoted must not be promoted any more.
    stale: Option<String>,
    /// The release that a chain follows, as it was read last, with its deployment.
    first: Option<(String, First)>,
    /// What tells how ready the deployment under way is.
    watching: Watching,
    /// When what is live is looked at next; at once where that is not known.
    drift_at: Option<tokio::time::Instant>,
    /// Pauses between attempts at what fails.
    pauses: Option<Pauses>,
}

impl Memory {
    /// The run that was accepted and waits for its turn.
    fn accepted(&self) -> Option<&str> {
        self.next.as_ref()?.run.as_deref()
    }

    /// Whether it is this run that waits for its turn.
    fn is_next(&self, run: &str) -> bool {
        self.accepted() == Some(run)
    }

    fn forget_next(&mut self) {
        self.next = None;
        self.next_at = None;
    }
}

/// Why leading ended.
enum Ended {
    /// The daemon stops, or the environment is not configured any more.
    Stopped,
    /// Another process leads, or the journal is lost.
    Lost(String),
}

/// What ended a wait.
enum Woken {
    /// The time was up.
    Elapsed,
    /// Somebody asks for something.
    Asked(Box<Request>),
    /// The configuration changed.
    Configured,
}

/// What a leader works with.
struct Leading<'a> {
    worker: &'a mut Worker,
    store: &'a Store,
    lead: &'a Lead,
    corners: Corners,
}

impl Worker {
    pub(crate) fn new(
        daemon: Arc<Daemon>,
        metrics: Arc<Metrics>,
        wanted: Wanted,
        environment: String,
        settings: watch::Receiver<Arc<Loaded>>,
        stop: CancellationToken,
        (address, base): (Option<String>, PathBuf),
    ) -> Self {
        let requests = daemon.take_in(&environment);
        Self {
            daemon,
            metrics,
            environment,
            wanted,
            settings,
            requests,
            stop,
            address,
            base,
            memory: Memory::default(),
        }
    }

    /// Works until it is told to stop.
    #[tracing::instrument(name = "environment", skip_all, fields(environment = %self.environment))]
    pub(crate) async fn run(mut self) {
        let mut pauses = self.pauses();
        while !self.stop.is_cancelled() {
            let wanted = self.wanted();
            let Some(opened) = self.declining(Release::journal(&wanted)).await else {
                break;
            };
            let store = match opened {
                Ok(store) => store,
                Err(error) => {
                    self.show_problem(&error);
                    let pause = pauses.next_pause().unwrap_or(SHORTEST_PAUSE);
                    self.decline_for(pause, &Role::Starting).await;
                    continue;
                }
            };
            self.daemon
                .set_store(&self.environment, Some(store.clone()));
            let (environment, address) = (self.environment.clone(), self.address.clone());
            let taking = store.lead_as(&environment, address);
            let Some(taken) = self.declining(taking).await else {
                break;
            };
            match taken {
                Ok(lead) => {
                    pauses = self.pauses();
                    self.lead(&store, Arc::new(lead)).await;
                }
                Err(StoreError::Led { holder, .. }) => {
                    pauses = self.pauses();
                    let leader = holder.and_then(|holder| holder.address);
                    self.stand_by(&store, leader).await;
                }
                Err(error) => {
                    self.show_problem(&error);
                    let pause = pauses.next_pause().unwrap_or(SHORTEST_PAUSE);
                    self.decline_for(pause, &Role::Starting).await;
                }
            }
        }
        self.daemon.let_go(&self.environment);
        self.metrics.forget(&self.environment);
    }

    async fn lead(&mut self, store: &Store, lead: Arc<Lead>) {
        tracing::info!("leads");
        self.change(|status| {
            status.role = Role::Leader;
            status.leader = None;
            status.problem = None;
        });
        self.metrics.role(&self.environment, Role::Leader);
        self.memory = Memory::default();
        let telling = tokio::spawn(notifications::deliver(
            store.clone(),
            Arc::clone(&lead),
            Arc::clone(&self.metrics),
            self.settings.clone(),
            self.base.clone(),
        ));
        let collector = Collector {
            daemon: Arc::clone(&self.daemon),
            metrics: Arc::clone(&self.metrics),
            store: store.clone(),
            lead: Arc::clone(&lead),
            settings: self.settings.clone(),
            wanted: self.wanted.clone(),
            stop: self.stop.clone(),
        };
        let collecting = tokio::spawn(collector.work().in_current_span());
        let corners = Corners::new(
            Arc::clone(&self.daemon),
            self.environment.clone(),
            store.clone(),
            self.stop.child_token(),
        );
        let mut leading = Leading {
            worker: self,
            store,
            lead: &lead,
            corners,
        };
        let ended = leading.run().await;
        // They end before the lead, so that another leader is not asked for what is under way here.
        let Leading {
            worker, corners, ..
        } = leading;
        let at_most = worker.loaded().settings.daemon.stop_timeout.0;
        corners.end(at_most / 4 * 3).await;
        // The lead is given up with its last proof.
        for task in [telling, collecting] {
            task.abort();
            let _ = task.await;
        }
        self.metrics.lead_ended(&self.environment);
        self.change(|status| {
            status.leftovers.clear();
            status.drift = None;
        });
        self.metrics.role(&self.environment, Role::Starting);
        match ended {
            Ended::Stopped => tracing::info!("gives the lead up"),
            Ended::Lost(why) => {
                tracing::warn!(why, "lost the lead");
                self.change(|status| {
                    status.role = Role::Starting;
                    status.activity = Activity::Idle;
                });
            }
        }
    }

    /// Shows what another process does, for as long as one try to lead takes.
    async fn stand_by(&mut self, store: &Store, leader: Option<String>) {
        let latest = match store.active(&self.environment).await {
            Ok(Some(active)) => Ok(Some(active)),
            Ok(None) => store.latest(&self.environment).await,
            Err(error) => Err(error),
        };
        match latest {
            Ok(latest) => {
                if self.role() != Role::Standby {
                    tracing::info!(?leader, "stands by");
                }
                self.metrics.role(&self.environment, Role::Standby);
                self.change(|status| {
                    status.role = Role::Standby;
                    status.activity = Activity::Idle;
                    status.leader = leader;
                    status.problem = None;
                    status.deployment = latest.as_ref().map(DeploymentStatus::of);
                });
            }
            Err(error) => self.show_problem(&error),
        }
        let pause = self.settings.borrow().settings.daemon.takeover_interval.0;
        self.decline_for(pause, &Role::Standby).await;
    }

    /// Waits, and declines what is asked meanwhile.
    async fn decline_for(&mut self, pause: Duration, role: &Role) {
        if *role == Role::Starting {
            self.change(|status| status.role = Role::Starting);
        }
        let until = tokio::time::Instant::now() + pause;
        loop {
            let woken = tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep_until(until) => return,
                request = self.requests.recv() => request,
            };
            let Some(request) = woken else { return };
            self.decline(request);
        }
    }

    /// Awaits what must come before it leads, and declines what is asked meanwhile. `None` when the
    /// daemon stops.
    async fn declining<T>(&mut self, slow: impl Future<Output = T> + Send) -> Option<T> {
        tokio::pin!(slow);
        loop {
            let request = tokio::select! {
                biased;
                done = &mut slow => return Some(done),
                () = self.stop.cancelled() => return None,
                request = self.requests.recv() => request?,
            };
            self.decline(request);
        }
    }

    fn decline(&self, request: Request) {
        let leader = self.daemon.status_board.one(&self.environment);
        let leader = leader.and_then(|status| status.leader.clone());
        let _ = request.answer.send(Err(Declined::NotLeading { leader }));
    }

    /// The configuration of the environment.
    fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.settings.borrow())
    }

    /// The environment with the configuration that is in force.
    fn wanted(&self) -> Wanted {
        Wanted {
            loaded: Some(self.loaded()),
            ..self.wanted.clone()
        }
    }

    async fn open(&self) -> Result<Release, ReleaseError> {
        Release::reopen(&self.wanted()).await
    }

    fn pauses(&self) -> Pauses {
        let longest = self.settings.borrow().settings.daemon.retry_max.0;
        Pauses::endless(SHORTEST_PAUSE, longest)
    }

    /// Whether nothing begins by itself, as it was shown last: it is held or frozen.
    fn is_stopped(&self) -> bool {
        let status = self.daemon.status_board.one(&self.environment);
        status.is_some_and(|status| status.held.is_some() || status.frozen.is_some())
    }

    fn role(&self) -> Role {
        let status = self.daemon.status_board.one(&self.environment);
        status.map_or(Role::Starting, |status| status.role)
    }

    fn change(&self, change: impl FnOnce(&mut crate::operations::daemon::status::Status)) {
        self.daemon.status_board.change(&self.environment, change);
    }
}

impl Leading<'_> {
    async fn run(&mut self) -> Ended {
        if let Err(ended) = self.recover().await {
            return ended;
        }
        loop {
            if self.worker.stop.is_cancelled() {
                return Ended::Stopped;
            }
            if self.lead.lost().now_or_never().is_some() {
                return Ended::Lost("another process has taken it".to_owned());
            }
            let turn = match self.store.active(&self.worker.environment).await {
                Ok(Some(deployment)) => {
                    self.worker.memory.drift_at = None;
                    self.attend(deployment).await
                }
                Ok(None) => self.idle().await,
                Err(error) => self.trouble(&error).await,
            };
            if let Err(ended) = turn {
                return ended;
            }
        }
    }

    /// Waits before something that failed is tried again; requests end the wait.
    async fn trouble(&mut self, error: &(impl Classify + 'static)) -> Result<(), Ended> {
        if let Some(ended) = lost(error) {
            return Err(ended);
        }
        self.worker.show_problem(error);
        self.worker.change(|status| {
            status.activity = match error.class() {
                Class::Stuck => Activity::WaitingForAPerson,
                Class::Usage
                | Class::Refused
                | Class::Conflict
                | Class::Transient
                | Class::Permanent
                | Class::Interrupted => Activity::WaitingForADependency,
            };
        });
        let environment = &self.worker.environment;
        self.worker.metrics.retried(environment, error.class());
        // Nobody looks until it is tried again.
        self.worker.metrics.readiness(environment, &[]);
        let pause = self.next_pause();
        match self.wait(pause).await? {
            Woken::Elapsed | Woken::Configured => {}
            Woken::Asked(request) => {
                self.take(*request, Now::Driving).await;
            }
        }
        Ok(())
    }

    /// The next, longer pause before what failed is tried again.
    fn next_pause(&mut self) -> Duration {
        let mut pauses = match self.worker.memory.pauses.take() {
            Some(pauses) => pauses,
            None => self.worker.pauses(),
        };
        let pause = pauses.next_pause().unwrap_or(SHORTEST_PAUSE);
        self.worker.memory.pauses = Some(pauses);
        pause
    }

    /// Awaits something slow that may be given up at any point, while requests are answered. `None`
    /// when what was asked is to be done first.
    async fn meanwhile<T>(
        &mut self,
        slow: Pin<&mut (impl Future<Output = T> + Send)>,
    ) -> Result<Option<T>, Ended> {
        let mut slow = slow;
        loop {
            let request = tokio::select! {
                biased;
                done = &mut slow => return Ok(Some(done)),
                () = self.worker.stop.cancelled() => return Err(Ended::Stopped),
                () = self.lead.lost() => {
                    return Err(Ended::Lost("another process has taken it".to_owned()));
                }
                request = self.worker.requests.recv() => request.ok_or(Ended::Stopped)?,
            };
            if let Taken::Act = self.take(request, Now::Driving).await {
                return Ok(None);
            }
        }
    }

    /// Waits for a time, a request, or a change of the configuration.
    async fn wait(&mut self, pause: Duration) -> Result<Woken, Ended> {
        let worker = &mut *self.worker;
        tokio::select! {
            () = worker.stop.cancelled() => Err(Ended::Stopped),
            () = self.lead.lost() => Err(Ended::Lost("another process has taken it".to_owned())),
            request = worker.requests.recv() => request.map(|request| Woken::Asked(Box::new(request))).ok_or(Ended::Stopped),
            changed = worker.settings.changed() => match changed {
                Ok(()) => Ok(Woken::Configured),
                Err(_) => Err(Ended::Stopped),
            },
            () = tokio::time::sleep(pause) => Ok(Woken::Elapsed),
        }
    }
}

impl DeploymentStatus {
    /// The status of a deployment that the journal holds.
    #[must_use]
    pub fn of(deployment: &Deployment) -> Self {
        Self {
            id: deployment.id.clone(),
            state: deployment.state,
            created_at: deployment.created_at,
            since: deployment.updated_at,
            finished_at: deployment.finished_at,
            reason: deployment.reason.clone(),
            by: deployment.by.clone(),
        }
    }
}

/// Why leading ended, when the error says that it did.
fn lost(error: &(impl Classify + 'static)) -> Option<Ended> {
    is_superseded(error).then(|| Ended::Lost(error.to_string()))
}

/// Whether the journal refused a write because another process has led since. Transparent errors are
/// not in the chain of causes, hence the types by name.
fn is_superseded(error: &(dyn std::error::Error + 'static)) -> bool {
    if let Some(ReleaseError::Store(error)) = error.downcast_ref() {
        return is_superseded(error);
    }
    if let Some(ReleaseError::Deployment(error)) = error.downcast_ref() {
        return is_superseded(error);
    }
    if let Some(DeploymentError::Store(error)) = error.downcast_ref() {
        return is_superseded(error);
    }
    matches!(error.downcast_ref(), Some(StoreError::Superseded { .. }))
}

#[cfg(test)]
mod tests {
    use super::is_superseded;
    use crate::adapters::store::StoreError;
    use crate::operations::error::DeploymentError;
    use crate::operations::release::ReleaseError;

    fn superseded() -> StoreError {
        StoreError::Superseded {
            environment: "prod".to_owned(),
            holder: None,
        }
    }

    #[test]
    fn a_lost_lead_is_seen_through_every_layer() {
        assert!(is_superseded(&superseded()));
        assert!(is_superseded(&ReleaseError::from(superseded())));
        let deep = DeploymentError::from(superseded());
        assert!(is_superseded(&deep));
        assert!(is_superseded(&ReleaseError::from(deep)));
        let other = DeploymentError::Failed("a model".to_owned());
        assert!(!is_superseded(&ReleaseError::from(other)));
    }
}
