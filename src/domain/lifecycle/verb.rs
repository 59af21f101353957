//! What can be asked of the deployment under way, and when.

use super::state::{Asker, Event, State};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is asked of the deployment under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Swap what is ready with production.
    Promote,
    /// Put the old side back, once it is ready.
    Rollback,
    /// Put the old side back, ready or not.
    ForceRollback,
    /// Put the old side back, once it is ready, and hold it there.
    RollbackAndHold,
    /// Stop before the swap and drop green.
    Abort,
    /// Go on after an interruption, or after a person has looked.
    Resume,
    /// Drop the old side now.
    Cleanup,
}

impl Verb {
    /// The word on the command line and in the API.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Verb::Promote => "promote",
            Verb::Rollback | Verb::ForceRollback | Verb::RollbackAndHold => "rollback",
            Verb::Abort => "abort",
            Verb::Resume => "resume",
            Verb::Cleanup => "cleanup",
        }
    }

    /// The event that the verb adds. `at` is the state, or where a stuck deployment got stuck; `by` is
    /// who asks.
    ///
    /// # Errors
    /// [`NotNow`] when the state does not admit the verb, with why.
    pub fn event(self, at: State, by: Asker) -> Result<Option<Event>, NotNow> {
        let no = |why: String| Err(NotNow(format!("cannot {}: {why}", self.word())));
        match self {
            Verb::Resume => Ok((at == State::Kept).then_some(Event::Retried)),
            Verb::Promote if matches!(at, State::Ready | State::CuttingOver) => Ok(None),
            Verb::Promote => no(format!("the deployment is {at}, not ready")),
            Verb::Cleanup if matches!(at, State::Soaking | State::CleaningUp) => Ok(None),
            Verb::Cleanup => no(format!(
                "the deployment is {at}; there is no old side to drop"
            )),
            Verb::Rollback | Verb::ForceRollback | Verb::RollbackAndHold
                if at == State::Soaking =>
            {
                Ok(Some(Event::RollbackRequested {
                    reason: "requested by an operator".to_owned(),
                    cause: Some(by),
                    forced: self == Verb::ForceRollback,
                    held: self == Verb::RollbackAndHold,
                }))
            }
            Verb::Rollback if at == State::RollingBack => Ok(None),
            Verb::ForceRollback if at == State::RollingBack => {
                Ok(Some(Event::RollbackForced { by }))
            }
            Verb::RollbackAndHold if at == State::RollingBack => no(
                "it is being rolled back already; ask again when that has ended, to hold it there"
                    .to_owned(),
            ),
            Verb::Rollback | Verb::ForceRollback | Verb::RollbackAndHold
                if at == State::CleaningUp =>
            {
                no("the old side is already being dropped".to_owned())
            }
            Verb::Rollback | Verb::ForceRollback | Verb::RollbackAndHold => no(format!(
                "the deployment is {at}; production was not changed by it"
            )),
            Verb::Abort if at.is_before_cutover() => Ok(Some(Event::AbortRequested)),
            Verb::Abort if at == State::Unwinding => Ok(None),
            Verb::Abort if at == State::CuttingOver => no(
                "the swap was sent and its outcome must be found out first; run `cutover resume`"
                    .to_owned(),
            ),
            Verb::Abort => no(format!(
                "the deployment is {at}; `cutover rollback` undoes a swap"
            )),
        }
    }

    /// Whether this event says what became of it.
    fn is_answered_by(self, event: &Event) -> bool {
        match event {
            // A person looks now, and decides anew.
            Event::StuckAt { .. } => true,
            Event::AskedTooLate { verb, .. } => *verb == self,
            // Unwinding, whoever began it, leaves nothing to promote or to go on with.
            Event::AbortRequested
            | Event::Expired { .. }
            | Event::GateClosed { .. }
            | Event::StepFailed { .. }
            | Event::KeepingEnded { .. }
            | Event::UnwoundAfterFailure
            | Event::UnwoundAfterAbort => {
                matches!(self, Verb::Abort | Verb::Promote | Verb::Resume)
            }
            Event::PromotionStarted
            | Event::SwapCommitted
            | Event::SwapDeclined { .. }
            | Event::HeldUp { .. } => self == Verb::Promote,
            Event::RollbackRequested { forced, .. } => {
                matches!(self, Verb::Rollback | Verb::RollbackAndHold | Verb::Cleanup)
                    || *forced && self == Verb::ForceRollback
            }
            Event::RollbackForced { .. } | Event::RolledBack => {
                matches!(
                    self,
                    Verb::Rollback | Verb::ForceRollback | Verb::RollbackAndHold | Verb::Cleanup
                )
            }
            Event::Soaked | Event::CleanedUp => self == Verb::Cleanup,
            Event::Unstuck { .. } | Event::Retried => self == Verb::Resume,
            Event::PlanStored
            | Event::StagingStarted
            | Event::Staged
            | Event::Built
            | Event::Hydrated
            | Event::Verified
            | Event::StepKept { .. }
            | Event::SwapPutOff { .. }
            | Event::Degraded { .. }
            | Event::Recovered
            | Event::DecisionAsked { .. }
            | Event::DecisionWithdrawn
            | Event::FreezeOverridden { .. }
            | Event::RollbackPutOff { .. }
            | Event::Approved { .. }
            | Event::PromotionWaits { .. }
            | Event::Asked { .. } => false,
        }
    }

    /// What the verb would do, in one sentence.
    #[must_use]
    pub fn would(self, at: State) -> String {
        let text = match self {
            Verb::Promote => {
                "check readiness and rehearse again, swap green with production in one transaction, then soak and clean up as the deployment was told"
            }
            Verb::Rollback => {
                "see that the old side is ready, swap it back in one transaction, point sinks back, and drop the new side"
            }
            Verb::RollbackAndHold => {
                "see that the old side is ready, swap it back in one transaction, point sinks back, drop the new side, and release nothing by itself until somebody releases on"
            }
            Verb::ForceRollback => {
                "swap the old side back in one transaction whether or not it is ready, point sinks back, and drop the new side"
            }
            Verb::Abort => "drop green by its recorded ids; production is not touched",
            Verb::Resume if at == State::Kept => {
                "try again what failed and what waited for it, on the green side that was kept, and go on"
            }
            Verb::Resume => "find out by the recorded ids what has happened, and go on from there",
            Verb::Cleanup => {
                "drop the old side by its recorded ids, object by object, without CASCADE"
            }
        };
        format!("{text} (the deployment is {at})")
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        if *self == Verb::ForceRollback {
            f.write_str(" --force")?;
        }
        Ok(())
    }
}

/// The state does not admit what is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotNow(pub String);

/// What was asked of a deployment and not done yet, given its events in order: the last request, unless
/// an event says what became of it.
#[must_use]
pub fn pending<'e>(events: impl DoubleEndedIterator<Item = &'e Event>) -> Option<(Verb, Asker)> {
    let mut since: Vec<&Event> = Vec::new();
    for event in events.rev() {
        if let Event::Asked { verb, by } = event {
            let is_answered = since.iter().any(|event| verb.is_answered_by(event));
            return (!is_answered).then_some((*verb, *by));
        }
        since.push(event);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Verb, pending};
    use crate::domain::lifecycle::state::{Asker, Event, State};

    fn asked(verb: Verb) -> Event {
        let by = Asker::Api;
        Event::Asked { verb, by }
    }

    fn left(events: &[Event]) -> Option<Verb> {
        pending(events.iter()).map(|(verb, _)| verb)
    }

    #[test]
    fn what_was_asked_is_pending_until_an_event_answers_it() {
        let reason = || "because".to_owned();
        let stuck = Event::StuckAt {
            state: State::CleaningUp,
            reason: reason(),
        };
        let too_late = |verb| Event::AskedTooLate {
            verb,
            reason: reason(),
        };
        assert_eq!(left(&[Event::Staged, Event::Built]), None);
        for (verb, meanwhile, answer) in [
            (Verb::Abort, Event::Built, Event::AbortRequested),
            (Verb::Abort, Event::PromotionStarted, too_late(Verb::Abort)),
            (Verb::Promote, Event::Verified, Event::PromotionStarted),
            (Verb::Cleanup, Event::Recovered, Event::Soaked),
            (Verb::Cleanup, Event::Degraded { reason: reason() }, stuck),
            (
                Verb::Rollback,
                Event::Degraded { reason: reason() },
                Event::RollbackRequested {
                    reason: reason(),
                    cause: None,
                    forced: false,
                    held: false,
                },
            ),
            (
                Verb::ForceRollback,
                Event::RollbackRequested {
                    reason: reason(),
                    cause: Some(Asker::Check),
                    forced: false,
                    held: false,
                },
                Event::RollbackForced { by: Asker::Api },
            ),
            (
                Verb::Resume,
                Event::Recovered,
                Event::Unstuck {
                    state: State::CleaningUp,
                },
            ),
        ] {
            let mut events = vec![Event::Staged, asked(verb)];
            assert_eq!(left(&events), Some(verb));
            events.push(meanwhile);
            assert_eq!(left(&events), Some(verb), "{events:?}");
            events.push(answer);
            assert_eq!(left(&events), None, "{events:?}");
        }
        // What was asked last counts, and what answers another verb does not.
        let both = [
            asked(Verb::Promote),
            asked(Verb::Abort),
            too_late(Verb::Promote),
        ];
        assert_eq!(left(&both), Some(Verb::Abort));
        let again = [
            asked(Verb::Abort),
            Event::AbortRequested,
            asked(Verb::Resume),
        ];
        assert_eq!(left(&again), Some(Verb::Resume));
    }
}
