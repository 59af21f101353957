//! Holding the environment when somebody asks, and declining what a hold or a freeze stops.

use super::Leading;
use super::requests::unanswered;
use crate::domain::lifecycle::state::Event;
use crate::domain::records::deployment::Deployment;
use crate::domain::records::hold::Hold;
use crate::domain::records::subject::Subject;
use crate::foundation::span::moment;
use crate::operations::daemon::request::{Accepted, Declined, Start};
use crate::operations::deployment::hold::{self, NewHold};
use crate::planning::permission::{Permission, Stop};
use jiff::Timestamp;

/// What a hold does, in a sentence.
pub(super) fn would_hold(until: Option<Timestamp>) -> String {
    let until = match until {
        Some(until) => format!("until {}", moment(until)),
        None => "until it is lifted".to_owned(),
    };
    format!("begin no release and swap nothing {until}; rollback, abort, resume and cleanup go on")
}

/// What lifting a hold does, in a sentence.
pub(super) fn would_lift(hold: &Hold) -> String {
    format!("lift what holds it ({})", hold.clause())
}

impl Leading<'_> {
    pub(super) async fn hold(
        &mut self,
        reason: String,
        until: Option<Timestamp>,
        subject: Subject,
    ) -> Result<Accepted, Declined> {
        let wish = NewHold {
            environment: self.worker.environment.clone(),
            reason,
            until,
        };
        let held = hold::hold_as_it_is(self.store, Some(self.lead), wish, subject).await;
        let held = held.map_err(unanswered)?;
        tracing::warn!("{}", held.clause());
        self.show_permission().await?;
        Ok(self.accepted(None, None, &would_hold(until)))
    }

    /// What would be lifted.
    pub(super) async fn to_lift(&self) -> Result<Hold, Declined> {
        let environment = &self.worker.environment;
        let held = hold::held(self.store, environment).await;
        let first = held.map_err(unanswered)?.into_iter().next();
        first.ok_or_else(|| Declined::NotHeld(environment.clone()))
    }

    pub(super) async fn lift_hold(&mut self, subject: Subject) -> Result<Accepted, Declined> {
        let environment = self.worker.environment.clone();
        let lifted = hold::lift_now(self.store, Some(self.lead), &environment, &subject).await;
        let Some(lifted) = lifted.map_err(unanswered)? else {
            return Err(Declined::NotHeld(environment));
        };
        tracing::info!(by = %subject, "lifted: {}", lifted.clause());
        self.show_permission().await?;
        Ok(self.accepted(None, None, &would_lift(&lifted)))
    }

    async fn show_permission(&self) -> Result<(), Declined> {
        let found = self.may(false).await?;
        self.worker.show_permission(&found);
        Ok(())
    }

    async fn may(&self, is_overridden: bool) -> Result<Permission, Declined> {
        let loaded = self.worker.loaded();
        let environment = &self.worker.environment;
        let freeze = &loaded.settings.freeze;
        let found = hold::permission(self.store, environment, freeze, is_overridden);
        found.await.map_err(unanswered)
    }

    fn stopped(&self, stop: &Stop) -> Declined {
        Declined::Stopped {
            reason: stop.sentence(),
            remedy: stop.remedy(&self.worker.environment),
        }
    }

    /// Whether a release that is asked for may begin.
    pub(super) async fn may_begin(&self, start: &Start) -> Result<(), Declined> {
        let permission = self.may(start.override_freeze.is_some()).await?;
        match permission.stops_beginning(false) {
            Some(stop) => Err(self.stopped(&stop)),
            None => Ok(()),
        }
    }

    /// Whether the deployment may be swapped in.
    pub(super) async fn may_swap(
        &self,
        deployment: &Deployment,
        is_overridden: bool,
    ) -> Result<(), Declined> {
        let before = hold::is_overridden(self.store, deployment).await;
        let is_overridden = is_overridden || before.map_err(unanswered)?;
        match self.may(is_overridden).await?.stops_swap() {
            Some(stop) => Err(self.stopped(&stop)),
            None => Ok(()),
        }
    }

    /// Records that a freeze does not stop the deployment.
    pub(super) async fn override_freeze(
        &self,
        deployment: &Deployment,
        reason: String,
        by: &Subject,
    ) -> Result<(), Declined> {
        let event = Event::FreezeOverridden { reason };
        let applied = self.store.apply_by(self.lead, &deployment.id, &event, by);
        applied.await.map(|_| ()).map_err(unanswered)
    }
}
