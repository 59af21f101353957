//! A verified candidate that is not swapped at once: who approves it, which gates are asked, when its time is over.
//!
//! What decides is [`decide`], from what the journal holds: the moment of `verified`, the approvals, and what each
//! gate said last with the moment at which it was first asked. So a process that is started anew goes on with the
//! same times, and a gate that said yes is not asked again. Nothing is sent to Materialize.
//!
//! Durable: the approvals, which whoever approves writes without the lead; one effect for each gate; an event for each
//! approval and for each change of what is waited for, written by whoever leads, so that others are told.

use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::lifecycle::state::{Event, State};
use crate::domain::promotion::{Answer, Decision, End, Situation, after, decide};
use crate::domain::records::approval::{Approval, GateStanding, Standing, is_asker, person};
use crate::domain::records::deployment::{Deployment, Effect, RecordedEvent};
use crate::domain::records::subject::Subject;
use crate::operations::saga::context::key;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

pub use approving::{Approver, NotApproved, approve};
pub use gates::Gates;

/// Approving.
mod approving;
/// Asking gates.
mod gates;

/// The longest until the approvals are looked at again, which somebody may have written from elsewhere.
const LOOK: Duration = Duration::from_secs(2);

/// What a gate said last, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// What.
    pub answer: Answer,
    /// Why, one sentence without a final full stop.
    pub says: Option<String>,
    /// When it was asked.
    pub at: Timestamp,
}

/// How a candidate stands, and what follows.
#[derive(Debug, Clone)]
pub struct Look {
    /// For people and programs.
    pub standing: Standing,
    /// What follows.
    pub decision: Decision,
    /// What the journal says of its reason at present, where it waits.
    reason: Option<String>,
    /// How many approvals were told.
    told: usize,
}

/// How the deployment stands; `None` where nothing must be so before its swap, or where it is not ready.
///
/// # Errors
/// The journal's.
pub async fn look(
    store: &Store,
    deployment: &Deployment,
    is_asked: bool,
) -> Result<Option<Look>, StoreError> {
    if deployment.state != State::Ready || deployment.request.conditions.is_empty() {
        return Ok(None);
    }
    looked(store, deployment, is_asked).await.map(Some)
}

/// What the journal has of it, also when it is over; `None` where nothing had to be so before the swap.
///
/// # Errors
/// The journal's.
pub async fn standing(
    store: &Store,
    deployment: &Deployment,
) -> Result<Option<Standing>, StoreError> {
    if deployment.request.conditions.is_empty() {
        return Ok(None);
    }
    let mut standing = looked(store, deployment, false).await?.standing;
    if deployment.state != State::Ready {
        standing.waits_for.clear();
    }
    Ok(Some(standing))
}

async fn looked(
    store: &Store,
    deployment: &Deployment,
    is_asked: bool,
) -> Result<Look, StoreError> {
    let events = store.events(&deployment.id).await?;
    let approvals = store.approvals(&deployment.id).await?;
    // Not all effects: of a large release they are large.
    let mut effects = Vec::new();
    for gate in &deployment.request.conditions.gates {
        let key = format!("{}{}", key::GATE, gate.name);
        effects.extend(store.effect(&deployment.id, &key).await?);
    }
    let now = Timestamp::now();
    look_of(deployment, &events, &effects, approvals, is_asked, now)
}

fn look_of(
    deployment: &Deployment,
    events: &[RecordedEvent],
    effects: &[Effect],
    approvals: Vec<Approval>,
    is_asked: bool,
    now: Timestamp,
) -> Result<Look, StoreError> {
    let conditions = &deployment.request.conditions;
    let verified = events
        .iter()
        .rev()
        .find(|recorded| recorded.event == Event::Verified)
        .map(|recorded| recorded.at);
    let since = verified.unwrap_or(deployment.updated_at);
    let recipe = &deployment.plan.building.recipe;
    let counts = |approval: &Approval| {
        let is_the_asker = match (&deployment.by, person(&approval.by)) {
            (Some(asker), Some(person)) => is_asker(asker, person),
            (None, Some(_)) => false,
            (_, None) => true,
        };
        approval.recipe == *recipe && !is_the_asker
    };
    let approvals: Vec<Approval> = approvals.into_iter().filter(counts).collect();
    let mut gates = Vec::new();
    for gate in &conditions.gates {
        let key = format!("{}{}", key::GATE, gate.name);
        let effect = effects.iter().find(|effect| effect.key == key);
        let said: Option<Said> = match effect {
            Some(effect) => effect.result_as()?,
            None => None,
        };
        let since = effect.map(|effect| effect.started_at);
        gates.push(GateStanding {
            name: gate.name.clone(),
            answer: said.as_ref().map_or(Answer::NotAsked, |said| said.answer),
            asked_at: said.as_ref().map(|said| said.at),
            says: said.and_then(|said| said.says),
            since,
            until: since.map(|since| after(since, crate::foundation::span::Span(gate.wait_for()))),
        });
    }
    let decision = decide(&Situation {
        conditions,
        since,
        now,
        approved: u32::try_from(approvals.len()).unwrap_or(u32::MAX),
        gates: gates
            .iter()
            .map(|gate| (gate.answer, gate.says.clone(), gate.since))
            .collect(),
        promotion: deployment.request.promotion,
        needs_a_person: deployment.asks,
        is_asked,
    });
    let waits_for = match &decision {
        Decision::Wait { waits_for, .. } => waits_for.clone(),
        Decision::Promote | Decision::End(_) => Vec::new(),
    };
    let told = |recorded: &&RecordedEvent| matches!(recorded.event, Event::Approved { .. });
    let at = |span| verified.map(|since| after(since, span));
    Ok(Look {
        standing: Standing {
            needed: conditions.approvals.count,
            approvals,
            gates,
            promote_at: conditions.promote_after.and_then(at),
            expires_at: conditions.expires.and_then(at),
            waits_for,
        },
        decision,
        reason: events.iter().rev().find_map(|recorded| {
            if let Event::PromotionWaits { reason } = &recorded.event {
                Some(reason.clone())
            } else {
                None
            }
        }),
        told: events.iter().filter(told).count(),
    })
}

impl Look {
    /// Why whoever asks to promote it is refused, where approvals or gates are missing, or its time is over.
    #[must_use]
    pub fn bars(&self) -> Option<String> {
        match &self.decision {
            Decision::Promote => None,
            Decision::Wait {
                waits_for,
                is_barred,
                ..
            } => is_barred.then(|| format!("it waits for {}", waits_for.join(" and "))),
            Decision::End(End::Gate { reason, .. } | End::Expired { reason }) => {
                Some(reason.clone())
            }
        }
    }

    /// How many approvals it waits for.
    #[must_use]
    pub fn missing_approvals(&self) -> u32 {
        self.standing.missing()
    }

    /// Whether it waits no longer.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        !matches!(self.decision, Decision::Wait { .. })
    }

    /// Whether it waits for a person: for an approval, or to be promoted.
    #[must_use]
    pub fn is_up_to_a_person(&self) -> bool {
        match &self.decision {
            Decision::Wait { on_a_person, .. } => *on_a_person,
            Decision::Promote | Decision::End(_) => false,
        }
    }

    /// Whether it goes on without anybody who promotes it.
    #[must_use]
    pub fn goes_on_by_itself(&self) -> bool {
        match &self.decision {
            Decision::Wait { is_theirs, .. } => !is_theirs,
            Decision::Promote => true,
            Decision::End(_) => false,
        }
    }

    /// Whether a gate is to be asked now.
    #[must_use]
    pub fn asks_now(&self, deployment: &Deployment) -> bool {
        let now = Timestamp::now();
        let gates = deployment.request.conditions.gates.iter();
        let mut gates = gates.zip(&self.standing.gates);
        matches!(self.decision, Decision::Wait { .. })
            && gates.any(|(gate, stands)| {
                let last = stands.asked_at.unwrap_or(now);
                due(stands, gate.interval(), last).is_some_and(|at| at <= now)
            })
    }

    /// The event that ends it, where it ends.
    #[must_use]
    pub fn ends(&self) -> Option<Event> {
        match &self.decision {
            Decision::End(End::Gate { gate, reason }) => Some(Event::GateClosed {
                gate: gate.clone(),
                reason: reason.clone(),
            }),
            Decision::End(End::Expired { reason }) => Some(Event::Expired {
                reason: reason.clone(),
            }),
            Decision::Promote | Decision::Wait { .. } => None,
        }
    }

    /// How long nothing is to be done about it, unless somebody asks.
    #[must_use]
    pub fn pause(&self, deployment: &Deployment) -> Duration {
        let now = Timestamp::now();
        let next = match &self.decision {
            Decision::Wait { until, .. } => *until,
            Decision::Promote | Decision::End(_) => return Duration::ZERO,
        };
        let gates = deployment.request.conditions.gates.iter();
        let asks = gates
            .zip(&self.standing.gates)
            .filter_map(|(gate, stands)| {
                due(stands, gate.interval(), stands.asked_at.unwrap_or(now))
            });
        let soonest = asks.chain(next).min();
        let left = soonest.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or_default());
        // A clock has no finer ticks than the journal's.
        left.map_or(LOOK, |left| left.min(LOOK))
            .max(Duration::from_millis(5))
    }

    /// Records what is new: approvals, and what is waited for. Gives the deployment after it.
    ///
    /// # Errors
    /// The journal's.
    pub async fn tell(
        &self,
        store: &Store,
        lead: &Lead,
        deployment: &Deployment,
    ) -> Result<Option<Deployment>, StoreError> {
        let mut after = None;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let new = self.standing.approvals.iter().enumerate().skip(self.told);
        for (index, approval) in new {
            let event = Event::Approved {
                given: count(index + 1),
                needed: self.standing.needed,
            };
            let applied = store.apply_by(lead, &deployment.id, &event, &approval.by);
            after = Some(applied.await?);
        }
        if let Decision::Wait { waits_for, .. } = &self.decision {
            let reason = format!("it waits for {}", waits_for.join(" and "));
            if self.reason.as_ref() != Some(&reason) {
                let event = Event::PromotionWaits { reason };
                let applied = store.apply_by(lead, &deployment.id, &event, &Subject::Cutover);
                after = Some(applied.await?);
            }
        }
        Ok(after)
    }
}

/// When a gate is asked next, given when it was asked last; `None` once it has decided.
fn due(gate: &GateStanding, interval: Duration, last: Timestamp) -> Option<Timestamp> {
    match gate.answer {
        Answer::NotAsked => Some(last),
        Answer::NotYet | Answer::Unclear => {
            let interval = SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX);
            Some(last.saturating_add(interval).unwrap_or(Timestamp::MAX))
        }
        Answer::Yes | Answer::No => None,
    }
}
