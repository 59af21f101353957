//! Building green and testing it, by dbt or without.

use super::Engine;
use crate::operations::deployment::keeping::{self, worth_a_look};
use crate::operations::error::DeploymentError;
use crate::operations::green::privileges::{self, After};
use crate::operations::green::{hydrate, indexes, made_by_dbt, native};
use std::collections::BTreeSet;

impl Engine<'_> {
    pub(super) async fn build(&self) -> Result<(), DeploymentError> {
        let recorded = self.context.green_objects(&self.deployment).await?;
        if recorded.is_none() {
            let (context, deployment) = (&self.context, &self.deployment);
            match deployment.plan.building.engine {
                crate::domain::plan::Engine::Dbt => {
                    let made = self.made_before().await?;
                    let build = context.builds.build_rest(&deployment.plan, &made);
                    worth_a_look(made_by_dbt::by(context, deployment, build).await)?;
                }
                crate::domain::plan::Engine::Native => {
                    let build = native::build(context, deployment);
                    worth_a_look(made_by_dbt::by(context, deployment, build).await)?;
                }
            }
        }
        indexes::make(&self.context, &self.deployment).await?;
        privileges::apply_and_record(&self.context, &self.deployment, After::Build).await
    }

    /// Unique ids of the nodes that dbt made before the build failed and was kept, and that are there still.
    async fn made_before(&self) -> Result<BTreeSet<String>, DeploymentError> {
        let (context, deployment) = (&self.context, &self.deployment);
        let events = context.store.events(&deployment.id).await?;
        if !keeping::is_retried(&events) {
            return Ok(BTreeSet::new());
        }
        let mut made = context.builds.made(&deployment.plan)?;
        if !made.is_empty() {
            let there = made_by_dbt::there(context, deployment).await?;
            made.retain(|id| there.contains(id));
        }
        Ok(made)
    }

    /// Runs the tests. Those that store their failures run with the others, on a green side that is
    /// hydrated: at the end of the build they would wait for it under no deadline of readiness, and the
    /// hooks of a project run with every dbt, so that green has to be looked at again in any case. What
    /// they make gets its privileges, is recorded and waited for like the rest. Once that is on record they have
    /// passed and do not run again: dbt would drop what they made and make it anew.
    pub(super) async fn test(&self) -> Result<(), DeploymentError> {
        let (context, deployment) = (&self.context, &self.deployment);
        let plan = &deployment.plan;
        let test = async || {
            if plan.building.engine == crate::domain::plan::Engine::Native {
                native::test(context, deployment).await?;
            }
            context.builds.test(plan).await
        };
        if !plan.tests_make() {
            return test().await;
        }
        if !context.is_tested(deployment).await? {
            made_by_dbt::nothing_else(context, deployment).await?;
            made_by_dbt::by(context, deployment, test()).await?;
            privileges::apply_and_record(context, deployment, After::Tests).await?;
        }
        hydrate::wait(context, deployment).await
    }
}
