//! Cutover releases dbt projects on Materialize without downtime.
//!
//! A release is built beside production ("green"), waited for, tested, swapped with
//! production ("blue") in one transaction, watched and cleaned up. Data flows one way:
//! trigger → project (files) + catalog (live) → plan (pure) → deployment (journalled steps) →
//! Materialize.

/// The artifact store: what each deployment made live, and which one is the baseline.
pub mod artifacts;
/// dbt as a child process: parse, build, test, and the artifacts that it leaves.
pub mod build;
/// A compiled project in a folder, released without dbt.
pub mod bundle;
/// What a pull request builds, in a corner of its own.
pub mod ci;
/// The command line: arguments, output, signals, exit codes.
pub mod cli;
/// A client of the daemon's HTTP API.
pub mod client;
/// Clearing up after deployments that have ended.
pub mod collect;
/// The daemon: workers, schedule, requests.
pub mod daemon;
/// The saga: states, `next(state, event)`, the steps of a deployment and its recovery.
pub mod deployment;
/// The one table from error class to retry behaviour, exit code and wording.
pub mod failure;
/// The HTTP API of the daemon.
pub mod http;
/// Every statement that is sent to Materialize, and the connection that sends it.
pub mod materialize;
/// What is counted and measured.
pub mod metrics;
/// What a release will do, worked out without touching anything.
pub mod plan;
/// What a running deployment tells its observers.
pub mod progress;
/// What dbt knows about a project: its files, profile, manifest and graph.
pub mod project;
/// One environment with everything that a release of it needs.
pub mod release;
/// Pauses between attempts.
pub mod retry;
/// The configuration tree.
pub mod settings;
/// Where a project comes from: a git repository, fetched, or a folder.
pub mod source;
/// The journal.
pub mod store;
