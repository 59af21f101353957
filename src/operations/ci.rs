//! What a pull request builds, in a corner of its own.
//!
//! A corner is schemas `<schema>__<name>` and one cluster. What the request changes is built there, natively, by the
//! same recipe that a release would build from; everything else is read from production. Nothing of production is a
//! possible target: a schema or cluster is written to only when its id is one that was recorded for the corner, or
//! its comment is the corner's mark.
//!
//! Durable: the corner in the journal ([`record::Record`]) with ids of its schemas, its cluster and what is in them.
//! A schema or cluster is made under a name that only the corner has, is marked, and only then gets its own, so that
//! whatever a killed build leaves says whose it is. What is in the corner's schemas is the corner's.
//!
//! One process at a time works on a corner: it leads `ci:<environment>:<name>`. Corners do not wait for each other,
//! nor for releases.

/// From a proposal to a verdict.
pub mod build;
/// What a request builds.
pub mod choice;
/// What has expired, or nobody wants any more.
pub mod collect;
/// Names and places as the platforms tell them.
pub mod detect;
/// Dropping what is a corner's.
mod dropping;
/// What can go wrong with a corner.
pub mod error;
/// What stands, is built, or waits.
pub mod listing;
/// Making what is in a corner.
pub mod make;
/// Where a request began.
pub mod merge_base;
/// What a corner is called.
pub mod name;
/// Schemas and cluster of a corner.
pub mod namespace;
/// Where in a corner what is built.
pub mod place;
/// Putting a report where people look.
pub mod publish;
/// One build of a corner at a time, and a line before the door.
pub mod queue;
/// What the journal keeps of a corner.
pub mod record;
/// What a build says of itself.
pub mod report;
/// Columns and rows beside production's.
pub mod row_counts;
/// Waiting until a corner is hydrated.
pub mod wait;
