//! The documents and problems of the HTTP API, shared by server and client.

/// What goes over the wire.
pub mod document;
/// Errors on the wire.
pub mod problem;

/// The header with the key that makes asking twice the same as asking once.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
