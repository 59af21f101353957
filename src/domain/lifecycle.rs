//! The life of a deployment: its states, events and verbs.

pub mod policy;
pub mod role;
/// States, events and the one transition function.
pub mod state;
/// What can be asked of a deployment under way, and when.
pub mod verb;
