//! dbt's `run_results.json` (schema v6): what became of each node of a run.
//!
//! An unknown status is an error: a release must not take a word that it does not know for success.

use std::path::Path;

use serde::Deserialize;

use super::artifact;
use crate::foundation::word::stored_words;

pub use super::artifact::Error;

const KIND: artifact::Kind = artifact::Kind {
    name: "run-results",
    version: 6,
    dbt: "1.8 to 1.11",
};

/// What a run of dbt left behind; its arguments are not read.
#[derive(Clone, Debug, Deserialize)]
pub struct RunResults {
    /// Who wrote it.
    pub metadata: Metadata,
    /// One entry for each node that the run was about, in the order they ended.
    pub results: Vec<RunResult>,
    /// Seconds for the whole run.
    #[serde(default)]
    pub elapsed_time: Option<f64>,
}

/// Who wrote the results, and when.
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    /// The dbt that wrote it.
    #[serde(default)]
    pub dbt_version: Option<String>,
    /// When it was written.
    #[serde(default)]
    pub generated_at: Option<jiff::Timestamp>,
    /// The run that it is about.
    #[serde(default)]
    pub invocation_id: Option<String>,
}

/// What became of one node.
#[derive(Clone, Debug, Deserialize)]
pub struct RunResult {
    /// For example `model.shop.orders`.
    pub unique_id: String,
    /// How it ended.
    pub status: Status,
    /// What dbt or the database said.
    #[serde(default)]
    pub message: Option<String>,
    /// Of a test: how many rows failed.
    #[serde(default)]
    pub failures: Option<u64>,
    /// Seconds.
    #[serde(default)]
    pub execution_time: f64,
    /// The relation that was made or tested, as SQL.
    #[serde(default)]
    pub relation_name: Option<String>,
}

/// What a compilation gave, node by node. Apart from [`RunResults`], which are kept in memory for longer.
#[derive(Clone, Debug, Deserialize)]
pub struct CompileResults {
    /// One entry for each node, in the order they ended.
    pub results: Vec<CompileResult>,
}

/// The SQL of one node.
#[derive(Clone, Debug, Deserialize)]
pub struct CompileResult {
    /// For example `model.shop.orders`.
    pub unique_id: String,
    /// How it ended.
    pub status: Status,
    /// The SQL, where it compiled.
    #[serde(default)]
    pub compiled_code: Option<String>,
}

impl CompileResults {
    /// Reads a file.
    pub fn read(file: &Path) -> Result<Self, Error> {
        artifact::read(file, KIND)
    }
}

stored_words! {
    /// How a node ended (`dbt.artifacts.schemas.results.NodeStatus`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Status {
        /// A model or seed was made.
        Success = "success",
        /// It could not be made or run.
        Error = "error",
        /// Something before it failed, or there was nothing to do.
        Skipped = "skipped",
        /// A test found nothing.
        Pass = "pass",
        /// A test found something.
        Fail = "fail",
        /// A test found something and is only to warn.
        Warn = "warn",
        /// A freshness check could not be run.
        RuntimeError = "runtime error",
        /// Nothing is ever done for such a node.
        NoOp = "no-op",
        /// Some batches were made and some not.
        PartialSuccess = "partial success",
    }
}

impl Status {
    /// Whether nothing stands in the way of a release. A skipped node does: what it waited for is not there.
    pub fn is_good(self) -> bool {
        match self {
            Self::Success | Self::Pass | Self::Warn | Self::NoOp => true,
            Self::Error
            | Self::Skipped
            | Self::Fail
            | Self::RuntimeError
            | Self::PartialSuccess => false,
        }
    }
}

impl RunResults {
    /// Reads a file.
    pub fn read(file: &Path) -> Result<Self, Error> {
        artifact::read(file, KIND)
    }

    /// Reads results at hand; `origin` stands for the file in messages.
    pub fn from_slice(bytes: &[u8], origin: &Path) -> Result<Self, Error> {
        artifact::parse(bytes, origin, KIND)
    }

    /// What stands in the way of a release.
    pub fn bad(&self) -> impl Iterator<Item = &RunResult> {
        self.results
            .iter()
            .filter(|result| !result.status.is_good())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
    use std::error::Error as _;

    use super::*;

    fn parse(version: &str, status: &str) -> Result<RunResults, Error> {
        let text = format!(
            r#"{{"metadata": {{"dbt_schema_version": "https://schemas.getdbt.com/dbt/{version}.json",
            "dbt_version": "1.11.16", "generated_at": "2026-11-20T21:56:52.451625Z", "env": {{}}}},
            "results": [{{"status": "{status}", "timing": [], "thread_id": "T", "execution_time": 0.5,
            "adapter_response": {{}}, "message": null, "failures": null, "unique_id": "model.a.b",
            "compiled": true, "compiled_code": "x", "relation_name": "\"d\".\"s\".\"b\"",
            "batch_results": null}}], "elapsed_time": 1.5, "args": {{"which": "run"}}}}"#
        );
        RunResults::from_slice(text.as_bytes(), Path::new("run_results.json"))
    }

    #[test]
    fn reads_every_status_of_dbt() {
        let good = ["success", "pass", "warn", "no-op"];
        let bad = [
            "error",
            "skipped",
            "fail",
            "runtime error",
            "partial success",
        ];
        for status in good.iter().chain(&bad) {
            let results = parse("run-results/v6", status).unwrap();
            assert_eq!(
                results.bad().count() == 0,
                good.contains(status),
                "{status}"
            );
            assert_eq!(results.results[0].unique_id, "model.a.b");
            assert_eq!(results.results[0].status.as_str(), *status);
        }
    }

    #[test]
    fn an_unknown_status_or_version_is_an_error() {
        let error = parse("run-results/v6", "reused").unwrap_err();
        let source = error.source().unwrap().to_string();
        assert!(source.contains("unknown variant `reused`"), "{source}");
        let error = parse("run-results/v5", "success").unwrap_err().to_string();
        assert!(
            error.contains("schema version v5 (written by dbt 1.11.16), Cutover reads v6"),
            "{error}"
        );
        let error = parse("manifest/v12", "success").unwrap_err().to_string();
        assert!(error.contains("not a dbt run-results"), "{error}");
    }
}
