//! The saga of one deployment: its states, the steps between them and how it recovers.

/// States, events and the one transition function.
pub mod state;
