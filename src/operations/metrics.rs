//! What is counted and measured. Every name stands here; docs/metrics.md explains them.
//!
//! Labels are bounded: environments, clusters and targets are those of the configuration and of the
//! plans, everything else is a word of the program. Counters whose labels are known begin at zero, or
//! nobody would see the first event as an increase. What belongs to an environment that is gone, or
//! to a cluster that is not waited for any more, disappears.

use crate::domain::lifecycle::role::Role;
use crate::domain::lifecycle::state::{Asker, State};
use crate::domain::progress::{ClusterReadiness, Health};
use crate::domain::records::run::Outcome as Run;
use crate::foundation::failure::Class;
use crate::operations::metrics::family::{FamilyOfKnown, Labelled};
use crate::operations::metrics::sets::{
    Answered, Ended, Entered, Notified, Of, Outcome, Phase, Removed, Repeated, Timed, Undone,
    Version, Waited, Watched, ended, of, removed, repeated, told, undone, watched,
};
use jiff::Timestamp;
use process::Process;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;
use std::time::Duration;

/// The process, as the system sees it.
mod process;

pub use crate::operations::metrics::labels::{Delivery, Waste};

/// The media type of [`Metrics::text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every name, with its kind and its help. Names of counters are without `_total`, which the text has.
pub const NAMES: [(&str, &str); 30] = [
    (DEPLOYMENTS, "Deployments that ended"),
    (
        RUNS,
        "Runs that ended: fetched, planned, and released where something changed",
    ),
    (ROLLBACKS, "Rollbacks that ended, by who asked for them"),
    (
        DEPLOYMENT_STATE,
        "1 for the state of the deployment under way or the latest",
    ),
    (PHASE_DURATION, "How long deployments stayed in a state"),
    (
        LAG,
        "The worst lag of a planned object behind its sources, while it is waited for or soaks",
    ),
    (
        HYDRATED,
        "Planned objects that are hydrated, while they are waited for or soak",
    ),
    (
        PLANNED,
        "Planned objects, while they are waited for or soak",
    ),
    (
        LOOKS,
        "Looks at what serves since a swap, by what was found",
    ),
    (
        DECISION,
        "1 while a check asks a person to decide about the deployment",
    ),
    (APPROVALS, "Approvals that what is ready still waits for"),
    (
        EXPIRED,
        "Candidates that were given up since nobody promoted them in time",
    ),
    (RETRIES, "What was tried again, by what kind of failure"),
    (LATENESS, "How much later than scheduled runs began"),
    (LEADER, "1 while this process leads the environment"),
    (
        NEXT_RUN,
        "When the schedule fires next, in seconds since 1970",
    ),
    (
        COLLECTED,
        "What was removed of deployments that ended long ago",
    ),
    (
        HELD,
        "1 while the environment is held, by a person or back at an earlier release",
    ),
    (FROZEN, "1 while a freeze lies over the environment"),
    (
        DRIFT,
        "Things that are live and not as they were released, when it was last looked",
    ),
    (
        LEFTOVERS,
        "Schemas and clusters that ended deployments left",
    ),
    (NOTIFICATIONS, "Messages to people and programs"),
    (HTTP_REQUESTS, "Requests answered"),
    (
        HTTP_DURATION,
        "How long answers took, streams up to their first byte",
    ),
    (RELOADS, "How often the configuration was read again"),
    (process::MEMORY, "Resident memory"),
    (process::FILES, "Open file descriptors"),
    (process::CPU, "User and system time"),
    (
        process::START,
        "When the process started, in seconds since 1970",
    ),
    (BUILD, "1, with the version"),
];

const DEPLOYMENTS: &str = "cutover_deployments";
const RUNS: &str = "cutover_runs";
const ROLLBACKS: &str = "cutover_rollbacks";
const DEPLOYMENT_STATE: &str = "cutover_deployment_state";
const PHASE_DURATION: &str = "cutover_phase_duration_seconds";
const LAG: &str = "cutover_lag_milliseconds";
const HYDRATED: &str = "cutover_hydrated_objects";
const PLANNED: &str = "cutover_planned_objects";
const LOOKS: &str = "cutover_soak_looks";
const DECISION: &str = "cutover_decision_needed";
const APPROVALS: &str = "cutover_approvals_missing";
const EXPIRED: &str = "cutover_expired";
const RETRIES: &str = "cutover_retries";
const LATENESS: &str = "cutover_schedule_lateness_seconds";
const LEADER: &str = "cutover_leader";
const NEXT_RUN: &str = "cutover_next_run_timestamp_seconds";
const COLLECTED: &str = "cutover_collected";
const HELD: &str = "cutover_held";
const DRIFT: &str = "cutover_drift";
const FROZEN: &str = "cutover_frozen";
const LEFTOVERS: &str = "cutover_leftovers";
const NOTIFICATIONS: &str = "cutover_notifications";
const HTTP_REQUESTS: &str = "cutover_http_requests";
const HTTP_DURATION: &str = "cutover_http_request_duration_seconds";
const RELOADS: &str = "cutover_config_reloads";
const BUILD: &str = "cutover_build_info";

/// All that is counted and measured in one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    deployments: FamilyOfKnown<Ended, Counter>,
    runs: FamilyOfKnown<Ended, Counter>,
    rollbacks: FamilyOfKnown<Undone, Counter>,
    states: FamilyOfKnown<Entered, Gauge>,
    phases: FamilyOfKnown<Phase, Histogram>,
    lag: FamilyOfKnown<Waited, Gauge>,
    hydrated: FamilyOfKnown<Waited, Gauge>,
    planned: FamilyOfKnown<Waited, Gauge>,
    looks: FamilyOfKnown<Watched, Counter>,
    decision: FamilyOfKnown<Of, Gauge>,
    approvals: FamilyOfKnown<Of, Gauge>,
    expired: FamilyOfKnown<Of, Counter>,
    retries: FamilyOfKnown<Repeated, Counter>,
    lateness: FamilyOfKnown<Of, Histogram>,
    leader: FamilyOfKnown<Of, Gauge>,
    next_run: FamilyOfKnown<Of, Gauge>,
    collected: FamilyOfKnown<Removed, Counter>,
    held: FamilyOfKnown<Of, Gauge>,
    drift: FamilyOfKnown<Of, Gauge>,
    frozen: FamilyOfKnown<Of, Gauge>,
    leftovers: FamilyOfKnown<Of, Gauge>,
    notifications: Family<Notified, Counter>,
    requests: Family<Answered, Counter>,
    durations: Family<Timed, Histogram, fn() -> Histogram>,
    reloads: Family<Outcome, Counter>,
}

/// From a second to four and a half hours.
fn long() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 15))
}

/// From a hundredth of a second to an hour.
fn late() -> Histogram {
    Histogram::new([0.01, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 3600.0])
}

/// From half a millisecond to half a minute.
fn quick() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ])
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics of a process that starts now.
    #[must_use]
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::default(),
            deployments: FamilyOfKnown::new(Counter::default),
            runs: FamilyOfKnown::new(Counter::default),
            rollbacks: FamilyOfKnown::new(Counter::default),
            states: FamilyOfKnown::new(Gauge::default),
            phases: FamilyOfKnown::new(long),
            lag: FamilyOfKnown::new(Gauge::default),
            hydrated: FamilyOfKnown::new(Gauge::default),
            planned: FamilyOfKnown::new(Gauge::default),
            looks: FamilyOfKnown::new(Counter::default),
            decision: FamilyOfKnown::new(Gauge::default),
            approvals: FamilyOfKnown::new(Gauge::default),
            expired: FamilyOfKnown::new(Counter::default),
            retries: FamilyOfKnown::new(Counter::default),
            lateness: FamilyOfKnown::new(late),
            leader: FamilyOfKnown::new(Gauge::default),
            next_run: FamilyOfKnown::new(Gauge::default),
            collected: FamilyOfKnown::new(Counter::default),
            held: FamilyOfKnown::new(Gauge::default),
            drift: FamilyOfKnown::new(Gauge::default),
            frozen: FamilyOfKnown::new(Gauge::default),
            leftovers: FamilyOfKnown::new(Gauge::default),
            notifications: Family::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(quick),
            reloads: Family::default(),
        };
        for outcome in ["taken", "refused"] {
            metrics
                .reloads
                .get_or_create(&Outcome { outcome })
                .inc_by(0);
        }
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.registry;
        let help = |name: &str| {
            let known = NAMES.iter().find(|(known, _)| *known == name);
            known.map_or("", |(_, help)| help)
        };
        registry.register(DEPLOYMENTS, help(DEPLOYMENTS), self.deployments.family());
        registry.register(RUNS, help(RUNS), self.runs.family());
        registry.register(ROLLBACKS, help(ROLLBACKS), self.rollbacks.family());
        registry.register(
            DEPLOYMENT_STATE,
            help(DEPLOYMENT_STATE),
            self.states.family(),
        );
        registry.register(PHASE_DURATION, help(PHASE_DURATION), self.phases.family());
        registry.register(LAG, help(LAG), self.lag.family());
        registry.register(HYDRATED, help(HYDRATED), self.hydrated.family());
        registry.register(PLANNED, help(PLANNED), self.planned.family());
        registry.register(LOOKS, help(LOOKS), self.looks.family());
        registry.register(DECISION, help(DECISION), self.decision.family());
        registry.register(APPROVALS, help(APPROVALS), self.approvals.family());
        registry.register(EXPIRED, help(EXPIRED), self.expired.family());
        registry.register(RETRIES, help(RETRIES), self.retries.family());
        registry.register(LATENESS, help(LATENESS), self.lateness.family());
        registry.register(LEADER, help(LEADER), self.leader.family());
        registry.register(NEXT_RUN, help(NEXT_RUN), self.next_run.family());
        registry.register(COLLECTED, help(COLLECTED), self.collected.family());
        registry.register(HELD, help(HELD), self.held.family());
        registry.register(DRIFT, help(DRIFT), self.drift.family());
        registry.register(FROZEN, help(FROZEN), self.frozen.family());
        registry.register(LEFTOVERS, help(LEFTOVERS), self.leftovers.family());
        registry.register(
            NOTIFICATIONS,
            help(NOTIFICATIONS),
            self.notifications.clone(),
        );
        registry.register(HTTP_REQUESTS, help(HTTP_REQUESTS), self.requests.clone());
        registry.register(HTTP_DURATION, help(HTTP_DURATION), self.durations.clone());
        registry.register(RELOADS, help(RELOADS), self.reloads.clone());
        let build = Family::<Version, Gauge>::default();
        let version = env!("CARGO_PKG_VERSION");
        build.get_or_create(&Version { version }).set(1);
        registry.register(BUILD, help(BUILD), build);
        registry.register_collector(Box::new(Process::starting_now(help)));
        self
    }

    /// All of it as text, for a scraper.
    #[must_use]
    pub fn text(&self) -> String {
        let mut page = String::new();
        match text::encode(&mut page, &self.registry) {
            Ok(()) => page,
            Err(error) => {
                tracing::error!(%error, "the metrics cannot be written");
                String::new()
            }
        }
    }

    /// Lets what is counted of an environment begin at zero.
    pub fn expect_environment(&self, environment: &str) {
        let begin = |_: &Counter| {};
        for state in State::ALL.into_iter().filter(|state| state.is_terminal()) {
            self.deployments
                .with(ended(environment, state.as_str()), begin);
        }
        for outcome in Run::ALL {
            self.runs.with(ended(environment, outcome.as_str()), begin);
        }
        for cause in Asker::ALL.map(Some).into_iter().chain([None]) {
            self.rollbacks.with(undone(environment, cause), begin);
        }
        for found in Health::ALL {
            self.looks.with(watched(environment, found), begin);
        }
        for class in Class::ALL {
            self.retries.with(repeated(environment, class), begin);
        }
        for what in Waste::ALL {
            self.collected.with(removed(environment, what), begin);
        }
        self.lateness.with(of(environment), |_| {});
        self.expired.with(of(environment), begin);
    }

    /// Lets what is counted of a target begin at zero.
    pub fn expect_target(&self, target: &str) {
        for delivery in Delivery::ALL {
            self.notifications
                .get_or_create(&told(target, delivery))
                .inc_by(0);
        }
    }

    /// A deployment is in a state.
    pub fn state_found(&self, environment: &str, found: State) {
        for state in State::ALL {
            let labels = Entered {
                environment: environment.to_owned(),
                state: state.as_str(),
            };
            self.states
                .with(labels, |gauge| gauge.set(i64::from(state == found)));
        }
    }

    /// A deployment went from one state to the next after `seconds` in the first. `from` is `None`
    /// when it was only found in `to`, as after a start.
    pub fn state_entered(&self, environment: &str, from: Option<State>, to: State, seconds: f64) {
        self.state_found(environment, to);
        self.decision(environment, false);
        self.approvals_missing(environment, 0);
        let Some(from) = from else { return };
        let phase = Phase {
            environment: environment.to_owned(),
            phase: from.as_str(),
        };
        self.phases
            .with(phase, |histogram| histogram.observe(seconds));
        if to.is_terminal() {
            let outcome = to.as_str();
            self.deployments
                .with(ended(environment, outcome), |counter| counter.inc());
        }
    }

    /// A run ended.
    pub fn run_ended(&self, environment: &str, outcome: Run) {
        self.runs
            .with(ended(environment, outcome.as_str()), |counter| {
                counter.inc()
            });
    }

    /// A rollback ended; `None` when the journal does not say who asked.
    pub fn rolled_back(&self, environment: &str, cause: Option<Asker>) {
        self.rollbacks
            .with(undone(environment, cause), |counter| counter.inc());
    }

    /// It was looked at what serves since a swap.
    pub fn watched(&self, environment: &str, found: Health) {
        self.looks
            .with(watched(environment, found), |counter| counter.inc());
    }

    /// Whether a check asks a person to decide. What is asked in one state is decided when it moves on.
    pub fn decision(&self, environment: &str, asked: bool) {
        self.decision
            .with(of(environment), |gauge| gauge.set(i64::from(asked)));
    }

    /// How many approvals what is ready waits for. Nothing else waits for any.
    pub fn approvals_missing(&self, environment: &str, missing: u32) {
        self.approvals
            .with(of(environment), |gauge| gauge.set(i64::from(missing)));
    }

    /// A candidate was given up since nobody promoted it in time.
    pub fn expired(&self, environment: &str) {
        self.expired.with(of(environment), |counter| counter.inc());
    }

    /// A reading of the clusters that are waited for or soak; those that are not in it disappear. None:
    /// it is over, or nothing could be read.
    pub fn readiness(&self, environment: &str, clusters: &[ClusterReadiness]) {
        let waited: BTreeSet<&str> = clusters.iter().map(|c| c.cluster.as_str()).collect();
        let is_over = |labels: &Waited| {
            labels.environment == environment && !waited.contains(labels.cluster.as_str())
        };
        for kept in [&self.lag, &self.hydrated, &self.planned] {
            kept.forget(is_over);
        }
        for cluster in clusters {
            let labels = || Waited {
                environment: environment.to_owned(),
                cluster: cluster.cluster.clone(),
            };
            self.hydrated
                .with(labels(), |gauge| gauge.set(whole(cluster.hydrated)));
            self.planned
                .with(labels(), |gauge| gauge.set(whole(cluster.total)));
            match cluster.lag_ms {
                Some(lag) => self.lag.with(labels(), |gauge| gauge.set(lag)),
                // Unknown is no number; an old one would be a lie.
                None => self.lag.forget(|known| *known == labels()),
            };
        }
    }

    /// Something that failed is tried again: by a step, or by the daemon after a pause.
    pub fn retried(&self, environment: &str, reason: Class) {
        self.retries
            .with(repeated(environment, reason), |counter| counter.inc());
    }

    /// A scheduled run began this much late.
    pub fn fired_late(&self, environment: &str, lateness: Duration) {
        self.lateness.with(of(environment), |histogram| {
            histogram.observe(lateness.as_secs_f64());
        });
    }

    /// Whether this process leads the environment now.
    pub fn role(&self, environment: &str, role: Role) {
        let leads = match role {
            Role::Leader => 1,
            Role::Starting | Role::Standby => 0,
        };
        self.leader.with(of(environment), |gauge| gauge.set(leads));
    }

    /// When the schedule fires next.
    pub fn next_run(&self, environment: &str, at: Option<Timestamp>) {
        match at {
            Some(at) => {
                self.next_run
                    .with(of(environment), |gauge| gauge.set(at.as_second()));
            }
            None => self
                .next_run
                .forget(|known| known.environment == environment),
        }
    }

    /// So much was removed.
    pub fn collected(&self, environment: &str, what: Waste, count: usize) {
        self.collected.with(removed(environment, what), |counter| {
            counter.inc_by(u64::try_from(count).unwrap_or(u64::MAX))
        });
    }

    /// Whether a freeze lies over the environment.
    pub fn frozen(&self, environment: &str, is_frozen: bool) {
        self.frozen
            .with(of(environment), |gauge| gauge.set(i64::from(is_frozen)));
    }

    /// Whether the environment is held, by a person or back at an earlier release.
    pub fn held(&self, environment: &str, is_held: bool) {
        self.held
            .with(of(environment), |gauge| gauge.set(i64::from(is_held)));
    }

    /// How many things are not as they were released; `None` where nobody has looked.
    pub fn drift(&self, environment: &str, count: Option<usize>) {
        match count {
            Some(count) => self
                .drift
                .with(of(environment), |gauge| gauge.set(whole(count))),
            None => self.drift.forget(|known| known.environment == environment),
        }
    }

    /// How many schemas and clusters were left.
    pub fn leftovers(&self, environment: &str, count: usize) {
        self.leftovers
            .with(of(environment), |gauge| gauge.set(whole(count)));
    }

    /// Takes out what only the process that leads the environment knows.
    pub fn lead_ended(&self, environment: &str) {
        self.readiness(environment, &[]);
        self.next_run(environment, None);
        self.states.forget(|known| known.environment == environment);
        self.drift(environment, None);
        self.leftovers
            .forget(|known| known.environment == environment);
        self.decision
            .forget(|known| known.environment == environment);
        self.approvals
            .forget(|known| known.environment == environment);
        self.held.forget(|known| known.environment == environment);
        self.frozen.forget(|known| known.environment == environment);
    }

    /// A message was sent, or given up; `target` is a name of the configuration.
    pub fn notified(&self, target: &str, delivery: Delivery) {
        self.notifications
            .get_or_create(&told(target, delivery))
            .inc();
    }

    /// The configuration was read again.
    pub fn reloaded(&self, taken: bool) {
        let outcome = if taken { "taken" } else { "refused" };
        self.reloads.get_or_create(&Outcome { outcome }).inc();
    }

    /// A request was answered. `route` and `method` are of the table of routes.
    pub fn answered(&self, route: &'static str, method: &'static str, status: u16, took: Duration) {
        let labels = Answered {
            route,
            method,
            status,
        };
        self.requests.get_or_create(&labels).inc();
        let timed = self.durations.get_or_create(&Timed { route });
        timed.observe(took.as_secs_f64());
    }

    /// Takes out everything of an environment that is no more.
    pub fn forget(&self, environment: &str) {
        fn of<L: Labelled>(environment: &str) -> impl Fn(&L) -> bool {
            move |labels| labels.environment() == environment
        }
        self.deployments.forget(of(environment));
        self.runs.forget(of(environment));
        self.rollbacks.forget(of(environment));
        self.states.forget(of(environment));
        self.phases.forget(of(environment));
        self.lag.forget(of(environment));
        self.hydrated.forget(of(environment));
        self.planned.forget(of(environment));
        self.looks.forget(of(environment));
        self.decision.forget(of(environment));
        self.approvals.forget(of(environment));
        self.expired.forget(of(environment));
        self.retries.forget(of(environment));
        self.lateness.forget(of(environment));
        self.leader.forget(of(environment));
        self.next_run.forget(of(environment));
        self.collected.forget(of(environment));
        self.drift.forget(of(environment));
        self.leftovers.forget(of(environment));
        self.held.forget(of(environment));
        self.frozen.forget(of(environment));
    }
}

fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Families that can let labels go.
mod family;
/// Values of labels.
mod labels;
/// Sets of labels.
mod sets;
#[cfg(test)]
mod tests;
