//! What `compile` prints.

use serde::Serialize;
use std::path::PathBuf;

/// `compile`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CompiledView {
    /// The environment.
    pub environment: String,
    /// The dbt target.
    pub target: String,
    /// The folder of the bundle.
    pub bundle: PathBuf,
    /// The digest over all of it, 64 hexadecimal digits.
    pub digest: String,
    /// Whether the same bundle was there already.
    pub was_there: bool,
    /// How many files it has besides `bundle.json`.
    pub files: usize,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many nodes and tests were compiled.
    pub compiled: usize,
    /// The commit that was checked out, where that is known.
    pub revision: Option<String>,
    /// The version of dbt-core.
    pub dbt_core: String,
    /// The version of dbt-materialize.
    pub dbt_materialize: String,
    /// Why releases with some of the nodes are refused.
    pub needs_dbt: Vec<String>,
    /// Unit tests, which no release of it runs.
    pub unit_tests: Vec<String>,
}
