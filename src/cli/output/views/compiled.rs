//! What `compile` prints.

use crate::cli::output::{Page, View};
use crate::plan::render::escape::visible;
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

impl View for CompiledView {
    fn text(&self, _page: Page) -> String {
        let mut text = String::new();
        let mut line = |line: String| {
            text.push_str(&visible(&line));
            text.push('\n');
        };
        let what = match self.was_there {
            true => "is the same",
            false => "is made",
        };
        line(format!(
            "the bundle {} {what}: {} nodes and tests compiled for the target {}, {} files with {} bytes",
            self.bundle.display(),
            self.compiled,
            self.target,
            self.files,
            self.bytes
        ));
        line(format!("digest {}", self.digest));
        let commit = self.revision.as_deref().unwrap_or("not known");
        line(format!(
            "commit {commit}, dbt-core {}, dbt-materialize {}",
            self.dbt_core, self.dbt_materialize
        ));
        for reason in &self.needs_dbt {
            line(format!(
                "a release with this node will be refused without dbt: {reason}"
            ));
        }
        for test in &self.unit_tests {
            line(format!("not run from a bundle, run it here: {test}"));
        }
        text
    }
}
