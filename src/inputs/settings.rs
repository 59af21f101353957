//! The configuration: one typed tree.
//!
//! Layers, later ones win: `config/default.yaml` (compiled in) ← the given file ←
//! `CUTOVER__SECTION__KEY` ← flags. Unknown keys are errors; every fault is reported at once with
//! its path.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::domain::checks::Check;
use crate::domain::diff::Diff;
use crate::domain::lifecycle::policy::Policy;
use crate::domain::promotion::{Approvals, Gate};
pub use crate::foundation::secret::{SecretError, SecretRef};
use crate::foundation::span::Span;
pub use ci::{Ci, CornerCluster, NewSources};
pub use connection::Connection;
pub use daemon::Daemon;
pub use diff::DiffChange;
pub use drain::{AfterDrain, Drain};
pub use drift::DriftInterval;
pub use fault::{Fault, SettingsError};
pub use freeze::Freeze;
pub use http::Http;
pub use live_table::LiveTable;
pub use load::{DEFAULTS, FILE_NAME, Loaded, Override, PREFIX, Sources};
pub use notifications::Target;
pub use notify::{Format, Topic, Webhook};
pub use on_failure::OnFailure;
pub use promotion::ApprovalsChange;
pub use retention::{Garbage, Retention};
pub use schedule::{Missed, Schedule};
pub use source::Source;

/// Checks.
pub mod checks;
/// Corners of pull requests.
pub mod ci;
/// The connection without a `profiles.yml`.
pub mod connection;
mod daemon;
/// The section `diff`.
mod diff;
mod drain;
mod drift;
mod fault;
/// Windows in which nothing is released, and chains of environments.
mod freeze;
/// The section `http`.
pub mod http;
mod live_table;
mod load;
/// Who is told by chat, mail, pager or webhook.
pub mod notifications;
mod notify;
/// What becomes of green after a failure.
pub mod on_failure;
/// What a candidate waits for before its swap.
mod promotion;
mod retention;
/// When releases begin by themselves.
pub mod schedule;
mod show;
/// The git repository of a project.
pub mod source;
mod tree;
mod validate;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the dbt project is.
    pub project: Project,
    /// The git repository that the project comes from, or its bundle.
    pub source: Source,
    /// When releases begin by themselves.
    pub schedule: Schedule,
    /// When nothing is released and nothing swapped.
    pub freeze: Vec<Freeze>,
    /// The environment whose releases are released here afterwards. It is said of an environment.
    pub after: Option<String>,
    /// How long those have been `done` by then.
    pub soaked: Option<Span>,
    /// The connection, where `profiles.yml` is not to say it.
    pub connection: Connection,
    /// Named environments and what they change.
    pub environments: BTreeMap<String, Environment>,
    /// How dbt is run.
    pub dbt: Dbt,
    /// How green is built.
    pub build: Build,
    /// The connection to Materialize.
    pub materialize: Materialize,
    /// The journal.
    pub store: Store,
    /// The artifact store.
    pub artifacts: Artifacts,
    /// Working files.
    pub runs: Runs,
    /// What `--bootstrap` creates.
    pub bootstrap: Bootstrap,
    /// How green is hydrated.
    pub hydration: Hydration,
    /// How much a release takes.
    pub scope: Scope,
    /// What a release compares with the baseline.
    pub compare: Compare,
    /// Whether the server's planner describes every planned node before a release.
    pub describe: bool,
    /// Whether plans show the text of what changed.
    pub diff_text: bool,
    /// How a release takes the place of what serves.
    pub strategy: Strategy,
    /// What is done about objects of production that are not as they were promoted.
    pub on_drift: OnDrift,
    /// What becomes of green when a release fails before its swap.
    pub on_failure: OnFailure,
    /// When green is ready.
    pub readiness: Readiness,
    /// Who decides on the promotion.
    pub promotion: Policy,
    /// How many people must approve what is ready, and who may.
    pub approvals: Approvals,
    /// Who else must say yes before the swap.
    pub gates: Vec<Gate>,
    /// After so long in `ready` it is promoted by itself, and not before.
    pub promote_after: Option<Span>,
    /// After so long in `ready` it is given up.
    pub expires: Option<Span>,
    /// The swap.
    pub cutover: Cutover,
    /// Time between swap and cleanup.
    pub soak: Span,
    /// Who decides on the cleanup.
    pub cleanup: Policy,
    /// Checks besides dbt's tests.
    pub checks: Vec<Check>,
    /// The comparison of both sides' data.
    pub diff: Diff,
    /// Time between two looks at production, and two runs of the checks, during the soak.
    pub soak_check_interval: Span,
    /// How often in a row a check must fail during the soak to roll back.
    pub soak_check_failures: u32,
    /// The most that production may lag behind its sources during the soak before it is told.
    pub soak_lag_limit: Span,
    /// Who still reads the old side when it is to go.
    pub drain: Drain,
    /// The table in Materialize that says what is live.
    pub live_table: LiveTable,
    /// How often what is live is looked at between releases.
    pub drift_interval: DriftInterval,
    /// Repointing of sinks.
    pub sinks: Sinks,
    /// Refusals accepted by name.
    pub allow: Vec<String>,
    /// What is kept of what has ended.
    pub retention: Retention,
    /// Corners of pull requests.
    pub ci: Ci,
    /// How the daemon itself behaves.
    pub daemon: Daemon,
    /// Whether SIGUSR1 and SIGUSR2 to the daemon are for the environment.
    pub obeys_signals: bool,
    /// Who can be told.
    pub webhooks: Vec<Webhook>,
    /// Who else can be told.
    pub notifications: Vec<Target>,
    /// Which of both are told; all of them without.
    pub notify: Option<Vec<String>>,
    /// The HTTP API of the daemon.
    pub http: Http,
    /// The program's own log.
    pub log: Log,
}

/// Where the dbt project is and what of its profile is used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Project {
    /// The folder with `dbt_project.yml`.
    pub directory: Option<PathBuf>,
    /// The folder with `profiles.yml`.
    pub profiles_directory: Option<PathBuf>,
    /// The profile's name.
    pub profile: Option<String>,
    /// The target's name.
    pub target: Option<String>,
    /// Extra dbt variables.
    pub vars: BTreeMap<String, serde_json::Value>,
}

/// What a named environment changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Environment {
    /// Where the project is; given keys replace the general ones.
    pub project: Project,
    /// The git repository or the bundle; given keys replace the general ones, here and below.
    pub source: Source,
    /// When releases begin by themselves.
    pub schedule: Schedule,
    /// When nothing is released and nothing swapped, added to the general windows.
    pub freeze: Vec<Freeze>,
    /// The environment whose releases are released here afterwards.
    pub after: Option<String>,
    /// How long those have been `done` by then; no time without.
    pub soaked: Option<Span>,
    /// The connection.
    pub connection: Connection,
    /// Who decides on the promotion.
    pub promotion: Option<Policy>,
    /// How many people must approve what is ready, and who may.
    pub approvals: ApprovalsChange,
    /// Who else must say yes before the swap, added to the general ones.
    pub gates: Vec<Gate>,
    /// After so long in `ready` it is promoted by itself, and not before.
    pub promote_after: Option<Span>,
    /// After so long in `ready` it is given up.
    pub expires: Option<Span>,
    /// Who decides on the cleanup.
    pub cleanup: Option<Policy>,
    /// Time between swap and cleanup.
    pub soak: Option<Span>,
    /// Refusals accepted by name, added to the general ones.
    pub allow: Vec<String>,
    /// How much a release takes.
    pub scope: Option<Scope>,
    /// What a release compares with the baseline.
    pub compare: Option<Compare>,
    /// How a release takes the place of what serves.
    pub strategy: Option<Strategy>,
    /// What is done about objects of production that are not as they were promoted.
    pub on_drift: Option<OnDrift>,
    /// What becomes of green when a release fails before its swap.
    pub on_failure: Option<OnFailure>,
    /// Whether SIGUSR1 and SIGUSR2 to the daemon are for it.
    pub obeys_signals: Option<bool>,
    /// Who is told of it, by name.
    pub notify: Option<Vec<String>>,
    /// Checks, added to the general ones.
    pub checks: Vec<Check>,
    /// What follows from a difference of both sides' data, and what is asked about relations.
    pub diff: DiffChange,
    /// What is kept of what has ended.
    pub retention: Retention,
}

/// How green is built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// What builds it.
    pub engine: Engine,
}

/// What builds green.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// Cutover where every planned node qualifies, else dbt.
    Auto,
    /// dbt.
    Dbt,
    /// Cutover; a plan with a node that does not qualify is refused.
    Native,
}

/// How dbt is run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dbt {
    /// The executable.
    pub executable: Option<PathBuf>,
    /// Threads.
    pub threads: Option<u16>,
    /// Deadline of short invocations.
    pub command_timeout: Span,
    /// Deadline of a build or test.
    pub build_timeout: Span,
    /// Time between SIGTERM and SIGKILL.
    pub stop_timeout: Span,
    /// Names, or prefixes ending in `*`, of environment variables that dbt gets besides the usual ones.
    pub environment: Vec<String>,
}

/// The connection to Materialize.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Materialize {
    /// Deadline of one attempt to connect.
    pub connect_timeout: Span,
    /// Deadline of one statement.
    pub statement_timeout: Span,
    /// How long a lost server is waited for.
    pub reconnect_timeout: Span,
    /// What the server shows as the client's name.
    pub application_name: String,
}

/// The journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// `sqlite://PATH` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    pub url: String,
}

/// The artifact store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifacts {
    /// `file://PATH`, `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`.
    pub url: String,
    /// What the environment does not say; never secrets.
    pub options: BTreeMap<String, serde_json::Value>,
}

impl Artifacts {
    /// The options as text; nothing that is none stays, validation reports it.
    #[must_use]
    pub fn texts(&self) -> BTreeMap<String, String> {
        self.options
            .iter()
            .filter_map(|(key, value)| {
                let text = match value {
                    serde_json::Value::String(text) => text.clone(),
                    serde_json::Value::Bool(_) | serde_json::Value::Number(_) => value.to_string(),
                    serde_json::Value::Null
                    | serde_json::Value::Array(_)
                    | serde_json::Value::Object(_) => return None,
                };
                Some((key.clone(), text))
            })
            .collect()
    }
}

/// Working files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Runs {
    /// The folder in which each deployment gets its own.
    pub directory: PathBuf,
}

/// What `--bootstrap` creates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// The size of a created cluster.
    pub cluster_size: String,
}

/// How green is hydrated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hydration {
    /// The size of green clusters until they are hydrated, where it is not production's.
    pub size: Option<String>,
}

/// When green is ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readiness {
    /// The most that an object may lag behind its sources or its counterpart.
    pub lag_threshold: Span,
    /// Good readings in a row.
    pub samples: u32,
    /// Whether the wall-clock lag must be known.
    pub strict: bool,
    /// The shortest pause between two readings.
    pub poll_interval_min: Span,
    /// The longest pause between two readings.
    pub poll_interval_max: Span,
    /// Deadline of the wait.
    pub timeout: Span,
    /// Out-of-memory kills in 24 hours that make a replica a troubled one.
    pub oom_kill_limit: u32,
}

/// The swap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cutover {
    /// Attempts under SQLSTATE 40001.
    pub attempts: u32,
    /// The longest pause between two attempts.
    pub backoff_max: Span,
    /// How long a rollback that a check caused waits for an old side that is not ready.
    pub rollback_wait: Span,
}

/// Repointing of sinks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sinks {
    /// Deadline of one `ALTER SINK`.
    pub alter_timeout: Span,
    /// How long a sink may take to run again.
    pub healthy_timeout: Span,
}

/// The program's own log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Text or JSON lines.
    pub format: LogFormat,
    /// A level or a filter.
    pub level: String,
}

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// How much a release takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// What changed since the baseline, closed over schemas and clusters.
    Slim,
    /// All of `vars.deployment`.
    Full,
}

/// How a release takes the place of what serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Green is built and swapped with production.
    Swap,
    /// One changed materialized view is replaced in place, or the release is refused.
    Replace,
    /// In place where that is safe, by a swap elsewhere.
    Auto,
}

/// What a release compares with the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compare {
    /// What comes out of each node.
    Outcome,
    /// What is written, as dbt does.
    Text,
}

/// What a slim release does about objects of production that are not as they were promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDrift {
    /// The release is refused.
    Refuse,
    /// They are built again.
    Rebuild,
}

#[cfg(test)]
mod tests;
/// When releases begin.
pub mod times;
