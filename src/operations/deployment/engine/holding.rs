//! What a hold or a freeze does to a deployment that is ready.

use super::{Engine, Until};
use crate::domain::lifecycle::state::Event;
use crate::operations::deployment::hold;
use crate::operations::error::DeploymentError;

impl Engine<'_> {
    /// Whether green waits although it would be swapped in: the environment is held or frozen. That is on record
    /// then, once for each reason.
    pub(super) async fn is_held_up(&mut self, until: Until) -> Result<bool, DeploymentError> {
        let Some(stop) = hold::stops_swap(&self.context, &self.deployment).await? else {
            return Ok(false);
        };
        let reason = stop.sentence();
        let events = self.context.store.events(&self.deployment.id).await?;
        let last = events.iter().rev().map(|recorded| &recorded.event);
        let mut last =
            last.filter(|event| matches!(event, Event::HeldUp { .. } | Event::PromotionStarted));
        let last = last.next();
        let is_known = matches!(last, Some(Event::HeldUp { reason: known }) if *known == reason);
        let remedy = stop.remedy(&self.deployment.environment);
        let text = format!("it is ready and is not swapped in: {reason}; {remedy}");
        self.context.reporter.warning(text);
        // Whoever asked to promote it is answered each time.
        if !is_known || until.promote {
            self.apply(Event::HeldUp { reason }).await?;
        }
        Ok(true)
    }

    /// Records that a freeze does not stop it, where it was released so.
    pub(super) async fn tell_override(&mut self) -> Result<(), DeploymentError> {
        let Some(reason) = self.deployment.request.override_freeze.clone() else {
            return Ok(());
        };
        let events = self.context.store.events(&self.deployment.id).await?;
        let is_told = events
            .iter()
            .any(|recorded| matches!(recorded.event, Event::FreezeOverridden { .. }));
        match is_told {
            true => Ok(()),
            false => self.apply(Event::FreezeOverridden { reason }).await,
        }
    }
}
