//! What can be said without a plan: whether anything but the project's commit could be to release, and whether
//! a deployment may be resumed as things are.

use super::{Release, ReleaseError};
use crate::adapters::artifacts::drift;
use crate::domain::catalog::Catalog;
use crate::domain::lifecycle::state::State;
use crate::domain::plan::Plan;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::domain::progress::Reporter;
use crate::domain::records::deployment::Deployment;
use crate::inputs::settings::Compare;
use crate::operations::error::DeploymentError;
use crate::operations::release::run::Folder;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

impl Release {
    /// What the settings hash to that say what a release takes and how.
    #[must_use]
    pub(crate) fn settings_of_plans(&self) -> String {
        let settings = &self.settings;
        let counted = json!([
            settings.scope,
            settings.compare,
            settings.build,
            settings.strategy,
            settings.on_drift,
            settings.allow,
            settings.project,
            settings.checks,
        ]);
        hex::encode(Sha256::digest(counted.to_string()))
    }

    /// Why a release of the commit that is live must be planned all the same; `None` where it is known that
    /// there is nothing to do: nothing was held back or drifted, and settings, variables and the environment
    /// that dbt reads are those of the last release.
    ///
    /// # Errors
    /// The artifact store's, dbt's and the server's.
    pub async fn to_be_looked_at(
        &self,
        reporter: &Reporter,
        stop: &CancellationToken,
    ) -> Result<Option<String>, ReleaseError> {
        let because = |why: &str| Ok(Some(why.to_owned()));
        let (artifacts, key) = (self.artifacts()?, self.artifact_key());
        let Some(live) = artifacts.current(&key).await?.and_then(|p| p.deployment) else {
            return because("nothing is recorded as live");
        };
        let metadata = artifacts.metadata(&key, &live).await?;
        if !metadata.held_back.is_empty() || !metadata.held_back_schemas.is_empty() {
            return because("changes were held back");
        }
        let plan = artifacts.plan(&key, &live).await?;
        let plan: Option<Plan> = plan.and_then(|plan| serde_json::from_slice(&plan).ok());
        let Some(inputs) = plan.as_ref().and_then(|plan| plan.inputs.as_ref()) else {
            return because("it is not recorded under what the last release was made");
        };
        if plan.as_ref().and_then(|plan| plan.settings.as_ref()) != Some(&self.settings_of_plans())
        {
            return because("the configuration is another");
        }
        if self.settings.compare == Compare::Outcome {
            let outcomes = artifacts.outcomes(&key, &live).await?;
            match outcomes.known() {
                Some(outcomes) if outcomes.has_known_when_built() => {
                    return because("models ask the server while they are compiled");
                }
                Some(_) => {}
                None => return because("it is not recorded what came out of the last release"),
            }
        }
        let folder = Folder::of(self);
        let changed = match self.builds(folder.path(), reporter, stop) {
            Ok(builds) => builds.changed_since(inputs).await.map_err(Into::into),
            Err(error) => Err(error),
        };
        // A folder that stays does no harm.
        let _ = folder.remove();
        let changed: Vec<&str> = changed?;
        if !changed.is_empty() {
            return Ok(Some(format!("other now: {}", changed.join(", "))));
        }
        let materialize = self.materialize().until(stop);
        let catalog = Catalog::read(&materialize).await?;
        if !drift::found(&metadata, &catalog).is_empty() {
            return because("production is not as it was promoted");
        }
        Ok(None)
    }

    /// Makes sure that dbt would go on under what the deployment was planned under. After the swap it has no
    /// part any more.
    ///
    /// # Errors
    /// [`RefusalName::InputsChanged`], with what is another; a dbt that does not say its version.
    pub async fn is_resumable(
        &self,
        deployment: &Deployment,
        stop: &CancellationToken,
    ) -> Result<(), ReleaseError> {
        let needs_dbt =
            deployment.state.is_before_cutover() && deployment.state != State::Unwinding;
        let Some(inputs) = deployment.plan.inputs.as_ref().filter(|_| needs_dbt) else {
            return Ok(());
        };
        let reporter = Reporter::silent();
        let planned = self.as_planned(deployment, false, &reporter, stop).await?;
        let release = planned.as_ref().unwrap_or(self);
        let folder = release.runs().join(&deployment.id);
        let builds = release.builds(&folder, &reporter, stop)?;
        let changed = builds.changed_since(inputs).await?;
        if changed.is_empty() {
            return Ok(());
        }
        Err(DeploymentError::from(Refused(vec![Refusal {
            name: RefusalName::InputsChanged,
            message: format!(
                "the deployment {} was planned under something else",
                deployment.id
            ),
            objects: changed.into_iter().map(str::to_owned).collect(),
            remedy: "resume it with the variables, environment, profile and dbt that it was planned with, or `cutover abort` and deploy again"
                .to_owned(),
        }]))
        .into())
    }
}
