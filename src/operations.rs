//! What is done.

/// dbt's part: parse, build and test in the run's folder.
pub mod builds;
/// A compiled project in a folder, released without dbt.
pub mod bundle;
/// What a pull request builds, in a corner of its own.
pub mod ci;
/// Clearing up after deployments that have ended.
pub mod collect;
/// The daemon: workers, schedule, requests.
pub mod daemon;
/// The saga: states, `next(state, event)`, the steps of a deployment and its recovery.
pub mod deployment;
/// Planned nodes as the server's planner sees them, before anything is built.
pub mod describe;
/// The data diff: both sides of relations, compared by the server.
pub mod diff;
/// What can go wrong with a deployment, and of which class it is.
pub mod error;
/// Making the green side: staged, built, given its privileges, hydrated, and kept as production is changed meanwhile.
pub mod green;
/// What is counted and measured.
pub mod metrics;
/// Telling people what the journal says that they are to be told.
pub mod notifications;
/// One environment with everything that a release of it needs.
pub mod release;
/// What every step of a deployment works with: its collaborators, its journalled effects, recorded ids.
pub mod saga;
/// Dropping one side by recorded ids.
pub mod takedown;
