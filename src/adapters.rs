//! One room for each thing outside; none of them knows another.

/// The artifact store: what each deployment made live, and which one is the baseline.
pub mod artifacts;
/// dbt as a child process: parse, build, test, and the artifacts that it leaves.
pub mod dbt;
/// Every statement that is sent to Materialize, and the connection that sends it.
pub mod materialize;
/// The ways to people: chat, mail, pagers and webhooks.
pub mod notify;
/// Endpoints that checks ask: a Prometheus, or whatever answers over HTTP.
pub mod probe;
/// Where a project comes from: a git repository, fetched, or a folder.
pub mod source;
/// The journal.
pub mod store;
