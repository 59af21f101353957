//! What the end-to-end tests share: a server, a dbt project in a folder of its own, the real
//! `cutover`, and eyes for the catalog.
//!
//! Without `CUTOVER_TEST_MATERIALIZE_URL` each test starts the stand-in in its own process. With it
//! the tests run on that server: everything they make there begins with a prefix of their own and
//! is dropped in the end, and tests that need a server that fails on command skip themselves.
//!
//! A real dbt is needed: `CUTOVER_TEST_DBT`, or `.venv/bin/dbt` in this repository.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses a part of it"
)]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

mod catalog;
pub mod certificate;
pub mod chance;
mod command;
mod daemon;
mod disk;
mod endpoint;
mod fake;
pub mod mail;
mod people;
mod postgres;
mod project;
mod readers;
mod real;
mod replay;
mod server;
pub mod tls_server;
mod world;

pub use catalog::Snapshot;
pub use command::{Outcome, Running, send};
pub use daemon::Daemon;
pub use disk::Disk;
pub use endpoint::{Asked, Endpoint, Says};
pub use fake::{FakeDbt, SUPPORTED as SUPPORTED_DBT};
pub use people::{People, Post};
pub use postgres::{JournalServer, Stop};
pub use project::Project;
pub use readers::Readers;
pub use replay::Replay;
pub use server::{Server, Sql};
pub use world::{Needs, World};

use std::time::Duration;
use tokio::time::Instant;

/// The longest that anything in a test may take.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Waits until `look` sees what is waited for.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
