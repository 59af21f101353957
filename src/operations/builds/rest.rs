//! Building with dbt what an earlier build did not: what failed, and what waited for that.
//!
//! dbt reads what is not selected from production (`--favor-state`). What an earlier build made in green is not
//! selected either, so the state that dbt is given names it in green.

use super::results::all_good;
use super::{Builds, DeploymentError, read_manifest, same_project};
use crate::domain::plan::{Plan, PlannedNode};
use crate::foundation::failure::with_causes;
use crate::foundation::sql::identifier::Qualified;
use crate::inputs::manifest::Manifest;
use crate::inputs::manifest::run_results::CompileResults;
use crate::planning::planner::candidate::Candidate;
use crate::planning::planner::clusters::ClusterNames;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

impl Builds {
    /// Unique ids of the nodes that the last build made, as dbt says.
    ///
    /// # Errors
    /// When its results cannot be read.
    pub fn made(&self, plan: &Plan) -> Result<BTreeSet<String>, DeploymentError> {
        let path = self.results_of_build();
        if !path.is_file() {
            return Ok(BTreeSet::new());
        }
        let results = CompileResults::read(&path)
            .map_err(|error| DeploymentError::Failed(format!("dbt build: {error}")))?;
        let good = results.results.into_iter();
        let good = good.filter(|result| result.status.is_good());
        let good: BTreeSet<String> = good.map(|result| result.unique_id).collect();
        let planned = plan.built().filter(|node| good.contains(&node.unique_id));
        Ok(planned.map(|node| node.unique_id.clone()).collect())
    }

    /// Builds the planned nodes but those that are `made` already.
    ///
    /// # Errors
    /// As [`Builds::build`].
    pub async fn build_rest(
        &self,
        plan: &Plan,
        made: &BTreeSet<String>,
    ) -> Result<(), DeploymentError> {
        let rest: BTreeSet<&str> = plan
            .built()
            .map(|node| node.unique_id.as_str())
            .filter(|id| !made.contains(*id))
            .collect();
        if made.is_empty() {
            return self.build(plan).await;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let built = self.build_some(plan, made, &rest).await;
        built.map_err(|error| self.or_full(error))
    }

    async fn build_some(
        &self,
        plan: &Plan,
        made: &BTreeSet<String>,
        rest: &BTreeSet<&str>,
    ) -> Result<(), DeploymentError> {
        self.is_under_the_planned(plan).await?;
        let plain = self.state(plan).await?;
        let manifest = Manifest::read(&plain.join("manifest.json"))
            .map_err(|error| DeploymentError::Manifest(with_causes(&error)))?;
        // Which nodes there are is all that counts.
        let candidate = Candidate::alone(&manifest, ClusterNames::default(), self.switches)
            .map_err(|error| DeploymentError::Manifest(error.to_string()))?;
        let selectors = super::compile::selectors(&candidate, rest)?;
        let state = self.state_with_green(plan, made, &plain)?;
        let before = self.results(&self.results_of_build())?;
        let invocation = self.invoker.build_nodes(&selectors, &state).await?;
        let good = all_good("build", &invocation, rest.iter().copied());
        self.keep_results(before, made)?;
        good?;
        same_project(&read_manifest(&invocation)?, &plan.green_manifest_hash)
    }

    fn results_of_build(&self) -> PathBuf {
        self.folder().join("build/target/run_results.json")
    }

    fn results(&self, path: &Path) -> Result<Value, DeploymentError> {
        let bytes = std::fs::read(path).map_err(|source| super::bundled::run(path, source))?;
        serde_json::from_slice(&bytes).map_err(super::bundled::not_json)
    }

    /// Adds what was made before to the results of the last build.
    fn keep_results(&self, before: Value, made: &BTreeSet<String>) -> Result<(), DeploymentError> {
        let path = self.results_of_build();
        // Without results there is nothing to add to; what is wrong is said by whoever looks for them.
        if !path.is_file() {
            return Ok(());
        }
        let mut now = self.results(&path)?;
        let is_made = |result: &&Value| {
            let id = result["unique_id"].as_str();
            id.is_some_and(|id| made.contains(id))
        };
        let before = before["results"].as_array().into_iter().flatten();
        let before: Vec<Value> = before.filter(is_made).cloned().collect();
        if let Some(results) = now["results"].as_array_mut() {
            results.splice(0..0, before);
        }
        std::fs::write(&path, now.to_string()).map_err(|source| super::bundled::run(&path, source))
    }

    /// The plain manifest in a folder of its own, with what was made before where it stands in green.
    fn state_with_green(
        &self,
        plan: &Plan,
        made: &BTreeSet<String>,
        plain: &Path,
    ) -> Result<PathBuf, DeploymentError> {
        let mut document = self.results(&plain.join("manifest.json"))?;
        let nodes = plan.nodes.iter();
        for node in nodes.filter(|node| made.contains(&node.unique_id)) {
            let Some(green) = green_of(plan, node) else {
                continue;
            };
            let relation = Qualified::object(&plan.database, green, &node.identifier).to_string();
            if let Some(written) = document["nodes"]
                .get_mut(&node.unique_id)
                .and_then(Value::as_object_mut)
            {
                written.insert("schema".to_owned(), green.into());
                written.insert("relation_name".to_owned(), relation.into());
            }
        }
        let folder = self.folder().join("state-green");
        crate::foundation::process::private::private_folder(&folder)
            .map_err(|source| super::bundled::run(&folder, source))?;
        let place = folder.join("manifest.json");
        std::fs::write(&place, document.to_string())
            .map_err(|source| super::bundled::run(&place, source))?;
        Ok(folder)
    }
}

/// The green schema in which a planned node is made.
#[must_use]
pub fn green_of<'p>(plan: &'p Plan, node: &PlannedNode) -> Option<&'p str> {
    let mut schemas = plan.schemas.iter();
    let schema = schemas.find(|schema| schema.name == node.schema)?;
    Some(&schema.green)
}
