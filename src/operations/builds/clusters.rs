//! What dbt makes of the names of clusters that the project gives.
//!
//! Only where the project or a package overrides the adapter's macros: else no name changes and dbt is
//! not started. Two processes side by side, as for the parse, because these macros may look at
//! `var('deploy')`; the adapter's own does.

use super::{Builds, compile};
use crate::adapters::dbt::Invocation;
use crate::inputs::manifest::Manifest;
use crate::operations::error::DeploymentError;
use crate::planning::planner::clusters::{ClusterNames, FinalName, to_ask_for};
use std::collections::BTreeMap;

impl Builds {
    /// The final names of all clusters that the project and the profile give.
    ///
    /// # Errors
    /// dbt's, those of the project's macros among them.
    pub(super) async fn cluster_names(
        &self,
        manifest: &Manifest,
    ) -> Result<ClusterNames, DeploymentError> {
        let given = to_ask_for(manifest, self.cluster.as_deref());
        if given.is_empty() {
            return Ok(ClusterNames::default());
        }
        let ask = |deploy| {
            let given = given.iter().map(String::as_str);
            self.invoker.cluster_names(given, deploy)
        };
        let (production, green) = tokio::join!(ask(false), ask(true));
        let (production, green) = (answered(&production?)?, answered(&green?)?);
        let trimmed = |name: &Option<String>| {
            let name = name.as_deref().unwrap_or_default();
            name.trim().to_owned()
        };
        let mut names = BTreeMap::new();
        for given in given {
            let (Some(production), Some(green)) = (production.get(&given), green.get(&given))
            else {
                return Err(DeploymentError::Failed(format!(
                    "dbt compile did not say what becomes of the cluster name {given:?}"
                )));
            };
            let name = FinalName {
                production: trimmed(production),
                green: trimmed(green),
            };
            names.insert(given, name);
        }
        Ok(ClusterNames::overridden(names))
    }
}

/// The final names in what dbt compiled, by given name.
fn answered(invocation: &Invocation) -> Result<BTreeMap<String, Option<String>>, DeploymentError> {
    let failed = |what: &str| {
        DeploymentError::Failed(format!("dbt compile {what} the final names of clusters"))
    };
    let sql = compile::sql(&invocation.target_dir.join("run_results.json"))?;
    let code = sql.into_values().next();
    let code = code.ok_or_else(|| failed("gave nothing for"))?;
    serde_json::from_slice(code.as_bytes())
        .map_err(|error| failed(&format!("gave {code:?} ({error}) for")))
}
