//! What can be asked of the deployment under way, and when.

use super::Until;
use super::engine;
use super::error::DeploymentError;
use super::state::{Event, RollbackCause, State};
use crate::store::{Deployment, Store};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is asked of the deployment under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Swap what is ready with production.
    Promote,
    /// Put the old side back.
    Rollback,
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
            Verb::Rollback => "rollback",
            Verb::Abort => "abort",
            Verb::Resume => "resume",
            Verb::Cleanup => "cleanup",
        }
    }

    /// How far the engine goes when this was asked.
    #[must_use]
    pub fn until(self) -> Until {
        Until {
            promote: self == Verb::Promote,
            clean_up: self == Verb::Cleanup,
        }
    }

    /// The event that the verb adds. `at` is the state, or where a stuck deployment got stuck; `by` is
    /// who asks.
    ///
    /// # Errors
    /// [`DeploymentError::NotNow`] when the state does not admit the verb, with why.
    pub fn event(self, at: State, by: RollbackCause) -> Result<Option<Event>, DeploymentError> {
        let no = |why: String| {
            Err(DeploymentError::NotNow(format!(
                "cannot {}: {why}",
                self.word()
            )))
        };
        match self {
            Verb::Resume => Ok(None),
            Verb::Promote if matches!(at, State::Ready | State::CuttingOver) => Ok(None),
            Verb::Promote => no(format!("the deployment is {at}, not ready")),
            Verb::Cleanup if matches!(at, State::Soaking | State::CleaningUp) => Ok(None),
            Verb::Cleanup => no(format!(
                "the deployment is {at}; there is no old side to drop"
            )),
            Verb::Rollback if at == State::Soaking => Ok(Some(Event::RollbackRequested {
                reason: "requested by an operator".to_owned(),
                cause: Some(by),
            })),
            Verb::Rollback if at == State::RollingBack => Ok(None),
            Verb::Rollback if at == State::CleaningUp => {
                no("the old side is already being dropped".to_owned())
            }
            Verb::Rollback => no(format!(
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

    /// What the verb would do, in one sentence.
    #[must_use]
    pub fn would(self, at: State) -> String {
        let text = match self {
            Verb::Promote => {
                "check readiness and rehearse again, swap green with production in one transaction, then soak and clean up as the deployment was told"
            }
            Verb::Rollback => {
                "swap the old side back in one transaction, point sinks back, and drop the new side"
            }
            Verb::Abort => "drop green by its recorded ids; production is not touched",
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
        f.write_str(self.word())
    }
}

/// The state, or where a stuck deployment got stuck.
///
/// # Errors
/// The journal's.
pub async fn stuck_at(store: &Store, deployment: &Deployment) -> Result<State, DeploymentError> {
    if deployment.state != State::Stuck {
        return Ok(deployment.state);
    }
    let events = store.events(&deployment.id).await?;
    Ok(engine::stuck_at(&events).unwrap_or(State::Stuck))
}
