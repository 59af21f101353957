//! What the journal keeps of a deployment.

use super::error::StoreError;
use super::subject::Subject;
use crate::deployment::state::{Awaited, Event, State};
use crate::plan::Plan;
use crate::settings::{Check, Policy, Span};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What was asked for. Stored with the plan, so that a resume does as was asked even when the
/// configuration has changed since.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// How much is planned.
    pub kind: Kind,
    /// Who decides on the promotion.
    pub promotion: Policy,
    /// Who decides on the cleanup.
    pub cleanup: Policy,
    /// Time between swap and cleanup.
    pub soak: Span,
    /// Refusals accepted by name, sorted.
    pub allow: Vec<String>,
    /// Whether missing production schemas and clusters are created.
    pub bootstrap: bool,
    /// The commit that was planned, where the project comes from a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The checks in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

impl Request {
    /// Whether nothing happens between the swap and the cleanup.
    #[must_use]
    pub fn drops_the_old_side_at_once(&self) -> bool {
        self.cleanup == Policy::Automatic && self.soak.0.is_zero()
    }
}

/// How much of the project a deployment takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// All of `vars.deployment`.
    Full,
    /// What differs from the baseline, closed over schemas and clusters.
    Changed,
}

/// A deployment to be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDeployment {
    /// The plan, which also names the environment.
    pub plan: Plan,
    /// What was asked for.
    pub request: Request,
}

/// One deployment, whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Deployment {
    /// A version 7 UUID, lower case with hyphens.
    pub id: String,
    /// The environment.
    pub environment: String,
    /// Where it is.
    pub state: State,
    /// How many processes have taken it up, the first one counted.
    pub attempt: u32,
    /// What it does.
    pub plan: Plan,
    /// What was asked for.
    pub request: Request,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When it came to the state in which it is.
    pub updated_at: Timestamp,
    /// When it reached a terminal state.
    pub finished_at: Option<Timestamp>,
    /// Why it is where it is, when something went otherwise than planned.
    pub reason: Option<String>,
    /// Who set it off; `None` where the version that recorded it did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Subject>,
}

impl Deployment {
    /// What it waits for when nothing but a person moves it on.
    #[must_use]
    pub fn awaits(&self) -> Option<Awaited> {
        self.state
            .awaits(self.request.promotion, self.request.cleanup)
    }
}

/// One deployment without its documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// A version 7 UUID, lower case with hyphens.
    pub id: String,
    /// The environment.
    pub environment: String,
    /// Where it is.
    pub state: State,
    /// How many processes have taken it up, the first one counted.
    pub attempt: u32,
    /// When it was recorded.
    pub created_at: Timestamp,
    /// When it came to the state in which it is.
    pub updated_at: Timestamp,
    /// When it reached a terminal state.
    pub finished_at: Option<Timestamp>,
    /// Why it is where it is, when something went otherwise than planned.
    pub reason: Option<String>,
    /// Who set it off; `None` where the version that recorded it did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Subject>,
}

/// One event as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordedEvent {
    /// Its place in the deployment, from 1 without gaps.
    pub seq: u32,
    /// When it was recorded.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
    /// The state after it.
    pub state_after: State,
    /// Who is behind it; `None` where the version that recorded it did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Subject>,
}

/// One effect: what was about to be done, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effect {
    /// The deployment.
    pub deployment_id: String,
    /// Its name within the deployment.
    pub key: String,
    /// How often it was begun.
    pub attempt: u32,
    /// What was about to be done when it was first begun.
    pub intent: serde_json::Value,
    /// When it was first begun.
    pub started_at: Timestamp,
    /// What came of it; `None` when that is not known.
    pub result: Option<serde_json::Value>,
    /// When the result was recorded.
    pub finished_at: Option<Timestamp>,
}

impl Effect {
    /// The intent in the type that it was recorded from.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] when it does not fit.
    pub fn intent_as<T: DeserializeOwned>(&self) -> Result<T, StoreError> {
        self.read("intent", &self.intent)
    }

    /// The result, where there is one, in the type that it was recorded from.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] when it does not fit.
    pub fn result_as<T: DeserializeOwned>(&self) -> Result<Option<T>, StoreError> {
        self.result
            .as_ref()
            .map(|result| self.read("result", result))
            .transpose()
    }

    fn read<T: DeserializeOwned>(
        &self,
        what: &str,
        document: &serde_json::Value,
    ) -> Result<T, StoreError> {
        T::deserialize(document).map_err(|error| StoreError::Unreadable {
            record: "deployment",
            id: self.deployment_id.clone(),
            what: format!("the {what} of the effect {:?}", self.key),
            source: error.into(),
        })
    }
}

/// Why a deployment with these events is in `state`: the last sentence that still explains it.
#[must_use]
pub(super) fn reason(state: State, events: &[Event]) -> Option<String> {
    told(state, events).map(|reason| super::storable(reason.to_owned()))
}

fn told(state: State, events: &[Event]) -> Option<&str> {
    let of = |pick: fn(&Event) -> Option<&str>| events.iter().rev().find_map(pick);
    match state {
        State::Stuck => of(stuck),
        State::Unwinding | State::Failed => of(failed),
        State::RollingBack | State::RolledBack => of(rolled_back),
        State::Ready => of(declined),
        State::Soaking => degraded(events),
        State::Pending
        | State::Planned
        | State::Staging
        | State::Building
        | State::Hydrating
        | State::Verifying
        | State::CuttingOver
        | State::CleaningUp
        | State::Done
        | State::Aborted => None,
    }
}

/// Why what serves is not as it was promoted, until it is again.
fn degraded(events: &[Event]) -> Option<&str> {
    let last = events
        .iter()
        .rev()
        .find(|event| matches!(event, Event::Degraded { .. } | Event::Recovered));
    if let Some(Event::Degraded { reason }) = last {
        Some(reason)
    } else {
        None
    }
}

fn stuck(event: &Event) -> Option<&str> {
    if let Event::StuckAt { reason, .. } = event {
        Some(reason)
    } else {
        None
    }
}

fn failed(event: &Event) -> Option<&str> {
    if let Event::StepFailed { reason } = event {
        Some(reason)
    } else {
        None
    }
}

fn rolled_back(event: &Event) -> Option<&str> {
    if let Event::RollbackRequested { reason, .. } = event {
        Some(reason)
    } else {
        None
    }
}

fn declined(event: &Event) -> Option<&str> {
    if let Event::SwapDeclined { reason } = event {
        Some(reason)
    } else {
        None
    }
}
