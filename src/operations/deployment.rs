//! The saga of one deployment: its states, the steps between them and how it recovers.
//!
//! Rules that every step keeps: intent is journalled before an effect and the result after; a step
//! may run twice with the same end; what Materialize says decides, not memory; schema and cluster
//! *ids*, never names, answer "did the swap commit?" and "may this be dropped?".
//!
//! Durable are the journal (plan, events, effects with ids) and the ids in Materialize itself.

/// What follows the swap: comments and sinks.
mod after_swap;
/// What went live: kept before the swap, named after it.
pub(crate) mod baseline;
/// Checks before the swap and during the soak.
pub mod checks;
/// The swap, forwards and backwards.
mod cutover;
/// The data diff, before the swap and on request.
pub mod diff;
/// Who still reads the old side.
pub mod drain;
/// The loop that drives a deployment from state to state.
pub mod engine;
/// Holding an environment back at a release.
pub mod hold;
/// Green that is kept after a failure.
pub mod keeping;
/// Saying in Materialize what is live.
mod live_table;
/// Sinks of the project, made and changed with a release.
mod project_sinks;
/// Approvals, gates and times between verified and swapped.
pub mod promotion;
/// Replacing a materialized view in place.
mod replace;
/// What was asked of a deployment, as the journal has it.
pub mod requested;
/// The way back to the old side, and the look at it before.
mod rollback;
/// Whether sinks run.
mod sink_health;
/// The time between swap and cleanup.
mod soak;
/// Watching what serves since the swap.
pub mod watch;

pub use engine::{Engine, Until};
