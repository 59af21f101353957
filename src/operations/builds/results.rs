//! What dbt wrote about a run against what was planned of it.

use super::{Builds, DeploymentError};
use crate::adapters::dbt::log::is_connection_failure;
use crate::adapters::dbt::{BuildError, Invocation};
use crate::domain::lifecycle::state::State;
use crate::domain::records::kept::FailedNode;
use crate::inputs::manifest::run_results::{CompileResults, RunResult, RunResults};
use std::collections::BTreeMap;

impl Builds {
    /// What the last build, or the last tests, say did not succeed; nothing where the state has neither.
    ///
    /// # Errors
    /// When a file of the run cannot be read.
    pub fn failed(&self, state: State) -> Result<Vec<FailedNode>, DeploymentError> {
        let runs: &[&str] = match state {
            State::Building => &["build"],
            State::Verifying => &["native-test", "test"],
            State::Pending
            | State::Planned
            | State::Staging
            | State::Hydrating
            | State::Kept
            | State::Ready
            | State::CuttingOver
            | State::Soaking
            | State::CleaningUp
            | State::Done
            | State::Unwinding
            | State::Aborted
            | State::Failed
            | State::RollingBack
            | State::RolledBack
            | State::Stuck => &[],
        };
        let mut failed = Vec::new();
        for run in runs {
            let path = self.folder().join(run).join("target/run_results.json");
            if !path.is_file() {
                continue;
            }
            let results = CompileResults::read(&path)
                .map_err(|error| DeploymentError::Failed(format!("{run}: {error}")))?;
            let bad = results.results.into_iter();
            let bad = bad.filter(|result| !result.status.is_good());
            failed.extend(bad.map(|result| FailedNode {
                unique_id: result.unique_id,
                status: result.status.as_str().to_owned(),
                sql: result.compiled_code,
            }));
        }
        Ok(failed)
    }
}

/// Every wanted node must be in the results with a good status, and nothing else may have run.
pub(super) fn all_good<'a>(
    command: &'static str,
    invocation: &Invocation,
    wanted: impl Iterator<Item = &'a str>,
) -> Result<(), DeploymentError> {
    let path = invocation
        .run_results
        .clone()
        .unwrap_or_else(|| invocation.target_dir.join("run_results.json"));
    let results = RunResults::read(&path)
        .map_err(|error| DeploymentError::Failed(format!("dbt {command}: {error}")))?;
    let mut by_id: BTreeMap<&str, &RunResult> = results
        .results
        .iter()
        .map(|result| (result.unique_id.as_str(), result))
        .collect();
    let mut bad = Vec::new();
    let mut lost = None;
    for id in wanted {
        match by_id.remove(id) {
            Some(result) if result.status.is_good() => {}
            Some(result) => {
                let message = result.message.as_deref().unwrap_or_default();
                if is_connection_failure(message) {
                    lost = Some(message.to_owned());
                }
                bad.push(describe(result));
            }
            None => bad.push(format!("{id}: dbt did not run it")),
        }
    }
    // Hooks of the project run with every invocation; any other node was never planned.
    for result in by_id.values() {
        if result.unique_id.starts_with("operation.") {
            if !result.status.is_good() {
                bad.push(describe(result));
            }
        } else {
            bad.push(format!(
                "{}: dbt ran it although it was not planned",
                result.unique_id
            ));
        }
    }
    if bad.is_empty() {
        return Ok(());
    }
    // The server went away under dbt: what failed says nothing about the project.
    if let Some(message) = lost {
        return Err(BuildError::Connection { command, message }.into());
    }
    let shown = 20;
    let more = bad.len().saturating_sub(shown);
    bad.truncate(shown);
    if more > 0 {
        bad.push(format!("and {more} more"));
    }
    Err(DeploymentError::Failed(format!(
        "dbt {command}: {} of {} nodes did not succeed:\n  {}",
        bad.len() + more - usize::from(more > 0),
        results.results.len(),
        bad.join("\n  ")
    )))
}

fn describe(result: &RunResult) -> String {
    let status = format!("{:?}", result.status).to_lowercase();
    match result.message.as_deref().map(str::trim) {
        Some(message) if !message.is_empty() => {
            format!(
                "{} {status}: {}",
                result.unique_id,
                message.replace('\n', " ")
            )
        }
        Some(_) | None => format!("{} {status}", result.unique_id),
    }
}
