//! A stand-in for Materialize, for the tests and the demo of Cutover: a wire-level front over a private PostgreSQL.
//!
//! The front keeps Materialize's catalog in memory (`catalog`), changes it (`ddl`), resolves the names of every query
//! against one value of it (`rewrite`), and mirrors it into PostgreSQL tables so that `mz_catalog` and `mz_internal` can
//! be queried. What it can be made to do wrong on purpose is in `steering` and in `tests/sandbox/README.md`.
//!
//! Nothing is durable: a sandbox ends with its process, together with its PostgreSQL and its folder.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm)
)]

mod catalog;
mod costs;
mod ddl;
mod duration;
mod engine;
mod failure;
mod lexer;
pub mod postgres;
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser's enums have a hundred variants, of which a few matter here"
)]
mod rewrite;
mod server;
mod session;
mod statement;
mod steering;
mod wire;

pub use costs::{Costs, prices};
pub use server::{Error, Options, Sandbox};
