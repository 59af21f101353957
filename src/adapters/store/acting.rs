//! Who is behind what is done with a lead.

use super::Lead;
use crate::adapters::store::row::Of;
use crate::adapters::store::{StoreError, json};
use crate::domain::lifecycle::state::{Asker, Event};
use crate::domain::records::subject::Subject;
use std::sync::PoisonError;

impl Lead {
    /// Who is behind what is done with this lead: at first the user of the process.
    #[must_use]
    pub fn subject(&self) -> Subject {
        let subject = self.subject.read();
        subject.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this subject is behind what is done with this lead.
    pub fn acts_for(&self, subject: Subject) {
        let mut present = self.subject.write().unwrap_or_else(PoisonError::into_inner);
        *present = subject;
    }

    /// Who is behind an event: nobody asks for what Cutover finds out by itself.
    pub(crate) fn behind(&self, event: &Event) -> Subject {
        match event {
            Event::Degraded { .. }
            | Event::Recovered
            | Event::DecisionAsked { .. }
            | Event::DecisionWithdrawn
            | Event::HeldUp { .. }
            | Event::RollbackPutOff { .. }
            | Event::PromotionWaits { .. }
            | Event::GateClosed { .. }
            | Event::Expired { .. }
            | Event::RollbackRequested {
                cause: Some(Asker::Check),
                ..
            } => Subject::Cutover,
            Event::PlanStored
            | Event::StagingStarted
            | Event::Staged
            | Event::Built
            | Event::Hydrated
            | Event::Verified
            | Event::PromotionStarted
            | Event::SwapCommitted
            | Event::SwapDeclined { .. }
            | Event::SwapPutOff { .. }
            | Event::FreezeOverridden { .. }
            | Event::Asked { .. }
            | Event::AskedTooLate { .. }
            | Event::Soaked
            | Event::CleanedUp
            | Event::StepFailed { .. }
            | Event::StepKept { .. }
            | Event::Retried
            | Event::KeepingEnded { .. }
            | Event::Approved { .. }
            | Event::AbortRequested
            | Event::UnwoundAfterFailure
            | Event::UnwoundAfterAbort
            | Event::RollbackRequested { .. }
            | Event::RollbackForced { .. }
            | Event::RolledBack
            | Event::StuckAt { .. }
            | Event::Unstuck { .. } => self.subject(),
        }
    }
}

/// As it is stored.
pub(crate) fn stored(subject: &Subject) -> Result<String, StoreError> {
    json("the subject", subject)
}

/// As it was stored; one of a kind that is not known is an error.
pub(crate) fn read(
    of: Of<'_>,
    what: &str,
    text: Option<&str>,
) -> Result<Option<Subject>, StoreError> {
    text.map(|text| of.document(what, text)).transpose()
}
