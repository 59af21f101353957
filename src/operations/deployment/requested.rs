//! What was asked of a deployment, as the journal has it.

use super::engine::{self, Until};
use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::lifecycle::state::{Asker, Event, State};
use crate::domain::lifecycle::verb::{Verb, pending};
use crate::domain::records::deployment::Deployment;
use crate::operations::error::DeploymentError;

/// What was asked of a deployment and not done yet.
///
/// # Errors
/// The journal's.
pub async fn left(
    store: &Store,
    deployment: &Deployment,
) -> Result<Option<(Verb, Asker)>, StoreError> {
    let events = store.events(&deployment.id).await?;
    Ok(pending(events.iter().map(|recorded| &recorded.event)))
}

/// What is done when a command takes a deployment up to `resume` it, or to do something else with it:
/// to resume is to do what a daemon had accepted, and anything else is asked in the place of that.
///
/// # Errors
/// The journal's; [`DeploymentError::NotNow`] when the state does not admit the verb.
pub async fn taken_up(
    store: &Store,
    lead: &Lead,
    deployment: &Deployment,
    verb: Verb,
) -> Result<(Verb, Option<Event>), DeploymentError> {
    let at = stuck_at(store, deployment).await?;
    let event = verb.event(at, Asker::Cli)?;
    let left = left(store, deployment).await?;
    if let Some((left, by)) = left.filter(|(left, _)| *left != verb) {
        let reason = match left.event(at, by) {
            Ok(event) if verb == Verb::Resume => return Ok((left, event)),
            Ok(_) => format!("{verb} was asked after it"),
            Err(error) => error.to_string(),
        };
        let too_late = Event::AskedTooLate { verb: left, reason };
        store.apply(lead, &deployment.id, &too_late).await?;
    }
    Ok((verb, event))
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

impl Verb {
    /// How far the engine goes when this was asked.
    #[must_use]
    pub fn until(self) -> Until {
        Until {
            promote: self == Verb::Promote,
            clean_up: self == Verb::Cleanup,
            waits: false,
        }
    }
}
