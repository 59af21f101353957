//! What `--test-only` prints.

use crate::inputs::manifest::run_results::{RunResult, Status};
use crate::operations::release::testing::Tested;
use serde::Serialize;
use std::collections::BTreeMap;

/// `plan --test-only` and `deploy --test-only`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestedView {
    /// The environment.
    pub environment: String,
    /// Whether the tests were only listed.
    pub dry_run: bool,
    /// The tests, by unique id.
    pub tests: Vec<TestVerdict>,
    /// Unique ids of tests that were selected and not run → why.
    pub left_out: BTreeMap<String, String>,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestVerdict {
    /// dbt's unique id.
    pub test: String,
    /// How it ended, dbt's word; `None` where it was only listed.
    pub status: Option<Status>,
    /// How many rows failed.
    pub failures: Option<u64>,
    /// What dbt or the server said.
    pub message: Option<String>,
}

impl TestedView {
    /// What came of the tests.
    #[must_use]
    pub fn of(environment: String, tested: Tested, dry_run: bool) -> Self {
        let ran = |result: RunResult| TestVerdict {
            test: result.unique_id,
            status: Some(result.status),
            failures: result.failures,
            message: result.message,
        };
        let listed = |test: String| TestVerdict {
            test,
            status: None,
            failures: None,
            message: None,
        };
        let tests = match dry_run {
            true => tested.runnable.tests.into_iter().map(listed).collect(),
            false => tested.results.into_iter().map(ran).collect(),
        };
        Self {
            environment,
            dry_run,
            tests,
            left_out: tested.runnable.left_out,
        }
    }

    /// Whether a test did not pass; one that is only to warn has passed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed().next().is_some()
    }

    /// Whether tests were selected and each was left out.
    #[must_use]
    pub fn could_run_none(&self) -> bool {
        self.tests.is_empty() && !self.left_out.is_empty()
    }

    pub(crate) fn failed(&self) -> impl Iterator<Item = &TestVerdict> {
        let is_bad = |status: Status| !status.is_good();
        self.tests
            .iter()
            .filter(move |test| test.status.is_some_and(is_bad))
    }
}
