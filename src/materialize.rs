//! Every statement that is sent to Materialize, and the connection that sends it.
//!
//! Names reach SQL only through the quoting type; values are bound.

/// Grants and default privileges as data.
pub mod grants;
