//! Waiting in `ready` for approvals, gates and times.

use super::{Engine, Until};
use crate::domain::lifecycle::state::Event;
use crate::domain::promotion::Decision;
use crate::operations::deployment::promotion::{self, Gates};
use crate::operations::error::DeploymentError;

/// What follows for a deployment that is ready.
pub(super) enum Admitted {
    /// As the policies say: nothing must be so besides.
    AsEver,
    /// It is promoted.
    Promote,
    /// It rests.
    Rest,
    /// It ends by this event.
    End(Event),
}

impl Engine<'_> {
    /// The event that ends what is ready, where that is decided: whatever else is asked about it.
    async fn is_over(&self, until: Until) -> Result<Option<Event>, DeploymentError> {
        let look = promotion::look(self.context.store, &self.deployment, until.promote).await?;
        Ok(look.and_then(|look| look.ends()))
    }

    /// Whether what is ready may be promoted. A process that waits does so here, until that is decided or only a
    /// person moves it on; another one leaves the wait to whoever drives.
    pub(super) async fn admitted(&mut self, until: Until) -> Result<Admitted, DeploymentError> {
        if self.is_put_off {
            return Ok(Admitted::Promote);
        }
        if let Some(event) = self.is_over(until).await? {
            return Ok(Admitted::End(event));
        }
        if self.asks_a_person(until).await? {
            return Ok(Admitted::Rest);
        }
        let http = &self.context.settings.http;
        let address = http.address(http.listen);
        let mut said = None;
        loop {
            self.context.interrupted(&self.deployment)?;
            let (store, lead) = (self.context.store, self.context.lead);
            let look = promotion::look(store, &self.deployment, until.promote).await?;
            let Some(mut look) = look else {
                return Ok(Admitted::AsEver);
            };
            let gates = Gates {
                store,
                lead,
                address: address.as_deref(),
                base: self.context.base,
                reporter: &self.context.reporter,
            };
            // Who does not wait asks nobody: whoever drives does, while requests are answered.
            let waits = until.waits && look.goes_on_by_itself();
            if waits && gates.ask_due(&self.deployment, &look).await? {
                let again = promotion::look(store, &self.deployment, until.promote).await?;
                look = again.unwrap_or(look);
            }
            if let Some(deployment) = look.tell(store, lead, &self.deployment).await? {
                self.deployment = deployment;
            }
            if let Some(event) = look.ends() {
                return Ok(Admitted::End(event));
            }
            let Decision::Wait { waits_for, .. } = &look.decision else {
                return Ok(Admitted::Promote);
            };
            // Where somebody must promote it, they find it ready.
            if !waits {
                return Ok(Admitted::Rest);
            }
            if said.as_ref() != Some(waits_for) {
                let text = format!("it is ready and waits for {}", waits_for.join(" and "));
                self.context.reporter.note(text);
                said = Some(waits_for.clone());
            }
            tokio::select! {
                () = tokio::time::sleep(look.pause(&self.deployment)) => {}
                () = self.context.cancel.cancelled() => {}
            }
        }
    }
}
