//! What was live when a deployment was planned.

use super::context::Context;
use crate::adapters::artifacts::document::Metadata;
use crate::domain::records::deployment::Deployment;
use crate::operations::error::DeploymentError;

/// What was live when the plan was made.
pub(crate) async fn before(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<Option<Metadata>, DeploymentError> {
    Ok(match &deployment.plan.baseline.deployment {
        Some(id) => {
            let key = &context.artifact_key;
            Some(context.artifacts.metadata(key, id).await?)
        }
        None => None,
    })
}
