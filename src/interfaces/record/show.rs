//! The record of one deployment: plan, events, effects, and the time it spent in each state.

use super::DeploymentView;
use crate::adapters::store::StoreError;
use crate::domain::checks::Moment;
use crate::domain::lifecycle::state::{Event, State};
use crate::domain::plan::Plan;
use crate::domain::records::approval::Standing;
use crate::domain::records::deployment::{Deployment, Effect, RecordedEvent};
use crate::domain::records::subject::Subject;
use crate::foundation::span::between;
use crate::operations::deployment::checks::{self, Outcome};
use crate::operations::deployment::diff::Recorded;
use crate::operations::deployment::watch::Watched;
use crate::operations::green::hydrate::Waiting;
use crate::operations::saga::statements::Statements;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// One event of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventView {
    /// Its number, from 1.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
    /// The state after it.
    pub state_after: State,
    /// Who is behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Subject>,
}

impl From<RecordedEvent> for EventView {
    fn from(recorded: RecordedEvent) -> Self {
        Self {
            seq: i64::from(recorded.seq),
            at: recorded.at,
            event: recorded.event,
            state_after: recorded.state_after,
            by: recorded.by,
        }
    }
}

/// One effect of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EffectView {
    /// What it is, for example `create-schema:marts_dbt_deploy`.
    pub key: String,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// What was meant to be done.
    pub intent: Value,
    /// When the intent was recorded.
    pub started_at: Timestamp,
    /// What came of it; `None` while that is not known.
    pub result: Option<Value>,
    /// When the result was recorded.
    pub finished_at: Option<Timestamp>,
}

/// One check as it last ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckedView {
    /// `before` the swap, or during the `soak`.
    pub moment: Moment,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// `show`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShowView {
    /// The deployment.
    #[serde(flatten)]
    pub deployment: DeploymentView,
    /// What was asked for.
    pub request: Value,
    /// What was planned; `None` when it was never planned.
    pub plan: Option<Plan>,
    /// The checks that have run, in order.
    pub checks: Vec<CheckedView>,
    /// What its data differs by from the other side's, as far as that was compared.
    #[serde(default, skip_serializing_if = "Recorded::is_empty")]
    pub diff: Recorded,
    /// How what it released did after the swap; `None` when it was never looked at.
    pub watched: Option<Watched>,
    /// What it waits for to be ready; `None` when it waits for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// What had to be so before its swap, and how that stands; `None` where nothing had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promotion: Option<Standing>,
    /// How many statements of each class its states have sent; `None` when none is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statements: Option<Statements>,
    /// What happened, in order.
    pub events: Vec<EventView>,
    /// What was done, in order.
    pub effects: Vec<EffectView>,
}

impl ShowView {
    /// The record of a deployment.
    ///
    /// # Errors
    /// Verdicts that cannot be read.
    pub fn new(
        deployment: Deployment,
        events: Vec<RecordedEvent>,
        effects: Vec<Effect>,
        promotion: Option<Standing>,
    ) -> Result<Self, StoreError> {
        let checks = checks::recorded(&effects)?;
        let diff = Recorded::of(&effects)?;
        let watched = Watched::recorded(&effects)?;
        let waiting = Waiting::recorded(deployment.state, &effects)?;
        let statements = Statements::recorded(&effects)?;
        Ok(Self {
            diff,
            watched,
            waiting,
            promotion,
            statements,
            checks: checks
                .into_iter()
                .map(|(moment, outcome)| CheckedView { moment, outcome })
                .collect(),
            deployment: DeploymentView::from(&deployment),
            request: serde_json::to_value(&deployment.request).unwrap_or_default(),
            plan: Some(deployment.plan),
            events: events.into_iter().map(EventView::from).collect(),
            effects: effects
                .into_iter()
                .map(|effect| EffectView {
                    key: effect.key,
                    attempt: effect.attempt,
                    intent: effect.intent,
                    started_at: effect.started_at,
                    result: effect.result,
                    finished_at: effect.finished_at,
                })
                .collect(),
        })
    }

    /// The states it was in and how long, in order; one that goes on lasts until `now`.
    #[must_use]
    pub fn stays(&self, now: Timestamp) -> Vec<(State, Duration)> {
        let mut stays = Vec::new();
        let (mut state, mut since) = (State::Pending, self.deployment.created_at);
        for event in &self.events {
            if event.state_after != state {
                stays.push((state, between(since, event.at)));
                (state, since) = (event.state_after, event.at);
            }
        }
        if !state.is_terminal() {
            stays.push((state, between(since, now)));
        }
        stays
    }
}
