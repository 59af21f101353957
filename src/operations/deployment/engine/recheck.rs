//! Looking whether what is ready still could be promoted.

use super::Engine;
use crate::domain::plan::Strategy;
use crate::operations::deployment::{baseline, cutover, replace};
use crate::operations::error::DeploymentError;
use crate::operations::green::hydrate;

impl Engine<'_> {
    /// Looks whether a deployment that is ready could be promoted now. Reads, and changes nothing.
    ///
    /// # Errors
    /// The server's and the journal's; [`DeploymentError::Interrupted`].
    pub async fn recheck(&self) -> Result<Recheck, DeploymentError> {
        let (context, deployment) = (&self.context, &self.deployment);
        let in_place = deployment.plan.strategy == Strategy::Replace;
        let looked = async {
            baseline::unmoved(context, deployment).await?;
            if in_place {
                replace::verify(context, deployment).await
            } else {
                cutover::is_unchanged(context, deployment).await
            }
        };
        match looked.await {
            Ok(()) => {}
            Err(DeploymentError::Failed(why)) => return Ok(Recheck::Stale(why)),
            Err(error) => return Err(error),
        }
        let ready = if in_place {
            replace::wait(context, deployment).await
        } else {
            hydrate::wait(context, deployment).await
        };
        match ready {
            Ok(()) => Ok(Recheck::Ready),
            Err(DeploymentError::Failed(why)) => Ok(Recheck::NotReady(why)),
            Err(error) => Err(error),
        }
    }
}

/// Whether a deployment that waits to be promoted still could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recheck {
    /// It could.
    Ready,
    /// Not at present, for this reason.
    NotReady(String),
    /// Not any more: production is not what it was planned for.
    Stale(String),
}
