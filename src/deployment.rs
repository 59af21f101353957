//! The saga of one deployment: its states, the steps between them and how it recovers.
//!
//! Rules that every step keeps: intent is journalled before an effect and the result after; a step
//! may run twice with the same end; what Materialize says decides, not memory; schema and cluster
//! *ids*, never names, answer "did the swap commit?" and "may this be dropped?".
//!
//! Durable are the journal (plan, events, effects with ids) and the ids in Materialize itself.

/// The way back to the old side, and the look at it before.
mod back;
/// What went live: kept before the swap, named after it.
mod baseline;
/// dbt's part: parse, build and test in the run's folder.
pub mod builds;
/// What was changed in production since the plan, carried over to green.
mod carry;
/// Checks by SQL on both sides.
pub mod checks;
/// What every step works with.
pub mod context;
/// Corners of pull requests make way for a release.
mod corners;
/// The swap, forwards and backwards.
mod cutover;
/// Owners, grants and comments of the objects that dbt built.
pub mod dress;
/// The loop that drives a deployment from state to state.
pub mod engine;
/// What can go wrong, and of which class it is.
pub mod error;
/// Waiting until green is ready.
pub mod hydrate;
/// Recorded ids and the question which side is live.
pub mod identity;
/// Indexes of relations that stay, on clusters that are swapped.
mod indexes;
/// What ended deployments left in Materialize.
pub mod leftovers;
/// What dbt made in green, by id.
mod made;
/// What an object of green is to have of owner, grants and comments.
mod merge;
/// Building green without dbt.
pub mod native;
/// Judging one reading.
pub mod readiness;
/// Where readings of readiness come from.
pub mod readings;
/// Replacing a materialized view in place.
mod replace;
/// Giving clusters that were hydrated in another size the size of production.
mod resize;
/// What of the catalog a deployment is about.
mod scope;
/// What follows the swap: comments and sinks.
mod settle;
/// The time between swap and cleanup.
mod soak;
/// Creating the green schemas and clusters.
mod stage;
/// States, events and the one transition function.
pub mod state;
/// How much was sent to the server, by state.
pub mod statements;
/// Dropping one side by recorded ids.
pub mod takedown;
/// What can be asked of a deployment under way, and when.
pub mod verb;
/// Watching what serves since the swap.
pub mod watch;

pub use context::Context;
pub use engine::{Engine, Until};
pub use error::DeploymentError;
pub use verb::Verb;
