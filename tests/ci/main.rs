//! Corners of pull requests: what is built in them, beside a production that nothing happens to, and what is left of
//! them afterwards.

mod builds;
mod corner;
mod kills;
mod requests;
mod soak;
#[path = "../support/mod.rs"]
mod support;
mod through_daemon;
mod trouble;
mod units;
