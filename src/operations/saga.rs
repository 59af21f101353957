//! What every step of a deployment works with: its collaborators, its journalled effects, ids that were recorded.

/// What every step works with.
pub mod context;
/// Recorded ids and the question which side is live.
pub mod identity;
/// One object outside of what is swapped, made and dropped.
pub(crate) mod outside;
/// What was live when a deployment was planned.
pub mod previous;
/// What of the catalog a deployment is about.
pub mod scope;
/// What is made for a deployment under secret names.
pub mod staged;
/// What a swap leaves live.
pub(crate) mod standing;
/// How much was sent to the server, by state.
pub mod statements;
