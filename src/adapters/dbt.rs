//! dbt as a child process.
//!
//! dbt is a guest: it gets an argument vector, its own process group, a deadline and an
//! environment that is allowed by name; its output is bounded; and it never outlives the run that
//! started it, whichever way that ends (see `process` and `process::orphan`). Nothing of the user's
//! own `target/` and `logs/` is touched: every invocation writes below the run's folder.
//!
//! Durable here: the artifacts of each invocation (`<run>/<name>/target`), dbt's output
//! (`<run>/<name>/output.log`) and, while dbt runs, the record by which a later process finds a
//! survivor (`<run>/guest-<name>.json`).
//!
//! # What dbt does with deferral
//! Measured with dbt-core 1.11.16, and read in `dbt/context/providers.py` (`RuntimeRefResolver.create_relation`): a reference resolves to
//! the state's relation when `--defer` is on and either `--favor-state` is on and the parent is not
//! among the *selected* resources, or the parent's own relation does not exist. Hence:
//! - `build` passes `--favor-state`: what the plan builds resolves to green, all else to production,
//!   even where a stale green relation of that name exists.
//! - `test` must not: there only the tests are selected, so `--favor-state` would make every test read
//!   production. With plain `--defer` an existing green relation wins and the rest is production's.

/// What can go wrong and how it is treated.
pub mod error;
/// Folders and files of a run.
pub mod folder;
/// Jinja that dbt compiles for us.
pub mod inline;
/// `deps`, `parse`, `build` and `test`.
pub mod invocation;
/// dbt's JSON log lines as progress.
pub mod log;
/// A private `profiles.yml` with another cluster.
pub mod profiles;
/// Finding dbt and knowing its version.
pub mod program;
/// Whether a file is part of the repository around it.
mod tracked;
/// dbt's versions.
pub mod version;

pub use crate::adapters::dbt::program::Dbt;
pub use error::BuildError;
pub use invocation::{Invocation, Invoker};
pub use profiles::PrivateProfile;
