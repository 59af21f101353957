//! How a drive ends for whoever drove it: what was not asked for is a failure.

use super::Engine;
use crate::domain::lifecycle::state::State;
use crate::foundation::span::moment;
use crate::operations::deployment::{checks, keeping};
use crate::operations::error::DeploymentError;

impl Engine<'_> {
    /// What nobody promoted in time was given up, which nobody asked for.
    pub(super) fn expired(&self) -> Result<State, DeploymentError> {
        Err(DeploymentError::Unwound {
            id: self.deployment.id.clone(),
            reason: self.reason(),
        })
    }

    /// What failed is kept, which is a failure all the same.
    pub(super) async fn kept(&self) -> Result<State, DeploymentError> {
        let kept = keeping::kept(self.context.store, &self.deployment).await?;
        Err(DeploymentError::Kept {
            id: self.deployment.id.clone(),
            reason: self.reason(),
            until: kept.map_or_else(String::new, |kept| moment(kept.until)),
        })
    }

    /// A rollback that somebody asked for is what was asked; one that a check caused is a failure.
    pub(super) async fn rolled_back(&self) -> Result<State, DeploymentError> {
        match checks::caused_rollback(&self.context, &self.deployment).await? {
            Some(reason) => Err(DeploymentError::RolledBackByCheck {
                id: self.deployment.id.clone(),
                reason,
            }),
            None => Ok(State::RolledBack),
        }
    }
}
