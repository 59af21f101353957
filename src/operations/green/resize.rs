//! Green clusters that were hydrated in another size than production's get that of production.
//!
//! The server replaces the replicas at once, so that green hydrates anew and is waited for again. It is done before
//! the tests and the rehearsal: whatever is looked at from then on is looked at as it will serve.

use super::hydrate;
use crate::adapters::materialize::{Statement, cluster_options};
use crate::domain::records::deployment::Deployment;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::{Context, key};

/// Waits until green is ready in the sizes of production, if need be first in those that it is hydrated in.
pub(crate) async fn hydrate(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    hydrate::wait(context, deployment).await?;
    if to_production(context, deployment).await? {
        hydrate::wait(context, deployment).await?;
    }
    Ok(())
}

/// Whether green clusters were altered, so that they must be waited for again.
async fn to_production(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<bool, DeploymentError> {
    let mut statements: Vec<Statement> = Vec::new();
    for cluster in &deployment.plan.clusters {
        let Some(hydration) = &cluster.hydration else {
            continue;
        };
        let (from, to) = (&hydration.definition, &cluster.definition);
        let altered = cluster_options::alteration(&cluster.green, from, to);
        statements.extend(altered.map_err(|why| {
            DeploymentError::Failed(format!(
                "the cluster {} cannot be given the size of production: {why}",
                cluster.green
            ))
        })?);
    }
    if statements.is_empty() {
        return Ok(false);
    }
    let sent: Vec<&str> = statements.iter().map(Statement::sql).collect();
    let effect = context.begin(deployment, key::RESIZE, &sent).await?;
    if effect.result.is_some() {
        return Ok(false);
    }
    let told = "green is hydrated; its clusters get the sizes of production and hydrate anew";
    context.reporter.note(told);
    hydrate::alter(context, deployment, &statements).await?;
    context.finish(deployment, key::RESIZE, &true).await?;
    Ok(true)
}
