//! The project's tests against production, without a release: nothing is made, and nothing is journalled.

use super::{Release, ReleaseError};
use crate::adapters::dbt::BuildError;
use crate::domain::progress::Reporter;
use crate::inputs::manifest::run_results::RunResult;
use crate::inputs::manifest::{Manifest, ResourceType};
use crate::inputs::selection::state::Comparison;
use crate::inputs::selection::{self, Context, Kept, Method, Selection, Selectors, Spec};
use crate::operations::builds::Builds;
use crate::operations::error::DeploymentError;
use crate::planning::planner::candidate::Candidate;
use std::collections::{BTreeMap, BTreeSet};
use tokio_util::sync::CancellationToken;

/// Which of the selected tests can be run without writing anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runnable {
    /// Unique ids of the tests that are run.
    pub tests: BTreeSet<String>,
    /// Unique ids of those that are not → why.
    pub left_out: BTreeMap<String, String>,
}

/// What came of the tests.
#[derive(Debug, Clone)]
pub struct Tested {
    /// What was run, and what was not.
    pub runnable: Runnable,
    /// What became of each, by unique id; empty where they were only to be listed.
    pub results: Vec<RunResult>,
}

impl Release {
    /// Runs the selected tests, or all, on production, on the cluster of the profile or their own. With
    /// `is_dry` they are only found.
    ///
    /// # Errors
    /// The project's and dbt's. A failing test is none.
    pub async fn test_production(
        &self,
        selection: &Selection,
        is_dry: bool,
        reporter: &Reporter,
        stop: &CancellationToken,
    ) -> Result<Tested, ReleaseError> {
        if self.bundle.is_some() && !is_dry {
            return Err(BuildError::NoDbt.into());
        }
        let project = &self.project.dbt;
        let selectors = Selectors::read(&project.path, &project.renderer(), selection.indirect)?;
        // What the command line says wrong is not worth waiting for dbt.
        let spec = selection.parse(&selectors)?;
        let name = format!("testing-{}", uuid::Uuid::now_v7());
        let folder = self.runs().join(name);
        let builds = self.builds(&folder, reporter, stop)?;
        let tested = self.tested(&builds, &spec, is_dry).await;
        // A folder that stays does no harm; the verdicts are what matters.
        let _ = std::fs::remove_dir_all(&folder);
        tested
    }

    async fn tested(
        &self,
        builds: &Builds,
        spec: &Spec,
        is_dry: bool,
    ) -> Result<Tested, ReleaseError> {
        let manifest = builds.manifest().await?;
        let broken = |error: String| DeploymentError::Manifest(error);
        let graph = manifest
            .graph()
            .map_err(|error| broken(error.to_string()))?;
        let baseline = match spec.uses(Method::State) || spec.uses(Method::Result) {
            true => self.artifacts()?.baseline(&self.artifact_key()).await?,
            false => None,
        };
        let rules = selection::rules(&self.project.dbt.flags, &manifest.metadata);
        let comparison = baseline
            .as_ref()
            .map(|baseline| Comparison::with(&baseline.manifest, &manifest, rules));
        let results = baseline
            .as_ref()
            .and_then(|found| found.run_results.as_ref());
        let context = Context {
            comparison: comparison.as_ref(),
            run_results: results,
            project_dir: self.files(),
            ..Context::new(&manifest, &graph)
        };
        let selected = selection::evaluate(spec, &context, &Kept::by_build())?;
        // Nothing is built, so one parse stands for both.
        let candidate = Candidate::from_manifests(&manifest, &manifest)
            .map_err(|error| broken(error.to_string()))?;
        let selected = selected
            .into_iter()
            .filter(|id| candidate.tests.contains_key(*id));
        let runnable = runnable(&manifest, selected);
        let results = match is_dry {
            true => Vec::new(),
            false => {
                let tests = runnable.tests.iter().map(String::as_str).collect();
                builds.test_production(&candidate, &tests).await?
            }
        };
        Ok(Tested { runnable, results })
    }
}

/// Tells the tests that only read from those with which dbt would write.
fn runnable<'a>(manifest: &Manifest, selected: impl Iterator<Item = &'a str>) -> Runnable {
    let hook = manifest
        .nodes
        .values()
        .find(|node| node.resource_type == ResourceType::Operation);
    let mut runnable = Runnable::default();
    for id in selected {
        let why = match (hook, manifest.nodes.get(id)) {
            (Some(hook), _) => Some(format!(
                "dbt would also run the hook {}, which may write",
                hook.unique_id
            )),
            // dbt runs without the flag, so only the test's own configuration counts.
            (None, Some(test)) if test.says_to_store_failures() == Some(true) => {
                Some("it stores its failures as a relation".to_owned())
            }
            (None, Some(_) | None) => None,
        };
        match why {
            Some(why) => {
                runnable.left_out.insert(id.to_owned(), why);
            }
            None => {
                runnable.tests.insert(id.to_owned());
            }
        }
    }
    runnable
}

#[cfg(test)]
mod tests {
    use super::{Runnable, runnable};
    use crate::inputs::manifest::sample::{manifest, resource, test, with};
    use serde_json::{Value, json};

    fn storing(name: &str, config: Value) -> Value {
        with(test(name, &[]), json!({ "config": config }))
    }

    fn of(nodes: Vec<Value>) -> Runnable {
        let ids: Vec<String> = nodes
            .iter()
            .filter_map(|node| node["unique_id"].as_str())
            .filter(|id| id.starts_with("test."))
            .map(str::to_owned)
            .collect();
        runnable(&manifest(nodes), ids.iter().map(String::as_str))
    }

    #[test]
    fn tests_that_store_failures_are_left_out() {
        let found = of(vec![
            test("plain", &[]),
            storing(
                "no",
                json!({"store_failures": false, "store_failures_as": null}),
            ),
            storing(
                "nowhere",
                json!({"store_failures": false, "store_failures_as": "ephemeral"}),
            ),
            storing("yes", json!({"store_failures": true})),
            storing(
                "view",
                json!({"store_failures": null, "store_failures_as": "view"}),
            ),
            storing("other", json!({"store_failures_as": "materialized_view"})),
        ]);
        let run: Vec<&str> = found.tests.iter().map(String::as_str).collect();
        assert_eq!(
            run,
            ["test.shop.no", "test.shop.nowhere", "test.shop.plain"]
        );
        let left: Vec<&str> = found.left_out.keys().map(String::as_str).collect();
        assert_eq!(left, ["test.shop.other", "test.shop.view", "test.shop.yes"]);
    }

    #[test]
    fn a_project_with_hooks_runs_none() {
        let hook = with(
            resource("operation.shop.on_end", json!({})),
            json!({"resource_type": "operation"}),
        );
        let found = of(vec![test("plain", &[]), hook]);
        assert!(found.tests.is_empty());
        let why = &found.left_out["test.shop.plain"];
        assert!(why.contains("operation.shop.on_end"), "{why}");
    }
}
