//! What the journal keeps of a deployment.

use super::hold::BackTo;
use super::run::Link;
use super::subject::Subject;
use crate::domain::checks::Check;
use crate::domain::diff::Diff;
use crate::domain::lifecycle::policy::Policy;
use crate::domain::lifecycle::state::{Awaited, Event, State};
use crate::domain::plan::Plan;
use crate::domain::promotion::Conditions;
use crate::foundation::span::Span;
use jiff::Timestamp;
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
    /// The earlier release to which it goes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<BackTo>,
    /// How long green is kept for a look when a step fails before the swap; `None`: it is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Span>,
    /// Why a freeze does not stop it, in the words of whoever released it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_freeze: Option<String>,
    /// The release of another environment that it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<Link>,
    /// The checks in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// What is asked about both sides' data; `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<Diff>,
    /// What must be so before the swap besides.
    #[serde(default, skip_serializing_if = "Conditions::is_empty")]
    pub conditions: Conditions,
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
    /// Whether a check asks a person to decide about it, and nobody has; the reason says which.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub asks: bool,
    /// Who set it off; `None` where the version that recorded it did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Subject>,
}

impl Deployment {
    /// What it waits for when nothing but a person moves it on.
    #[must_use]
    pub fn awaits(&self) -> Option<Awaited> {
        self.state.awaits(self.promotion(), self.cleanup())
    }

    /// Who decides on the promotion as things are.
    #[must_use]
    pub fn promotion(&self) -> Policy {
        match self.asks {
            true => Policy::Manual,
            false => self.request.promotion,
        }
    }

    /// Who decides on the cleanup as things are.
    #[must_use]
    pub fn cleanup(&self) -> Policy {
        match self.asks {
            true => Policy::Manual,
            false => self.request.cleanup,
        }
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
    /// Whether a check asks a person to decide about it, and nobody has; the reason says which.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub asks: bool,
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
