//! What a check that asks a person holds up: the promotion, and the end of the old side.

use super::{Engine, Until};
use crate::domain::lifecycle::state::Event;
use crate::operations::deployment::checks::decision;
use crate::operations::error::DeploymentError;

impl Engine<'_> {
    /// Whether green waits for a person because a check asks; that is on record then.
    pub(super) async fn asks_a_person(&mut self, until: Until) -> Result<bool, DeploymentError> {
        if until.promote || self.is_put_off {
            return Ok(false);
        }
        let Some(reason) = decision::about_promotion(&self.context, &self.deployment).await? else {
            return Ok(false);
        };
        if !self.deployment.asks {
            let event = Event::DecisionAsked {
                reason: reason.clone(),
            };
            self.apply(event).await?;
        }
        let how = "`cutover promote` swaps all the same, `cutover abort` gives up";
        decision::told(&self.context, &reason, how);
        Ok(true)
    }

    /// Whether the old side stays when the soak is over, until a person decides.
    pub(super) async fn keeps_the_old_side(
        &mut self,
        until: Until,
    ) -> Result<bool, DeploymentError> {
        // The soak itself records whether a check asks.
        let id = self.deployment.id.clone();
        self.deployment = self.context.store.deployment(&id).await?;
        Ok(!self.cleans_up(until) || self.deployment.asks && !until.clean_up)
    }
}
