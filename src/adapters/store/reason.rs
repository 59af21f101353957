//! What the journal makes of the documents and events that it keeps.

use super::error::StoreError;
use crate::domain::lifecycle::state::{Event, State};
use crate::domain::records::deployment::Effect;
use crate::domain::records::text::storable;
use serde::de::DeserializeOwned;

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
    told(state, events).map(|reason| storable(reason.to_owned()))
}

fn told(state: State, events: &[Event]) -> Option<&str> {
    // The reason in the last event of a kind.
    macro_rules! last {
        ($kind:ident) => {
            events.iter().rev().find_map(|event| {
                if let Event::$kind { reason, .. } = event {
                    Some(reason.as_str())
                } else {
                    None
                }
            })
        };
    }
    match state {
        State::Stuck => last!(StuckAt),
        State::Kept => last!(StepKept),
        State::Unwinding | State::Failed => failed(events),
        // Who gives something up need not say why.
        State::Aborted => last!(Expired),
        State::RollingBack | State::RolledBack => last!(RollbackRequested),
        State::Ready => question(events)
            .or_else(|| waits(events))
            .or_else(|| last!(SwapDeclined)),
        State::Soaking => question(events).or_else(|| degraded(events)),
        State::Pending
        | State::Planned
        | State::Staging
        | State::Building
        | State::Hydrating
        | State::Verifying
        | State::CuttingOver
        | State::CleaningUp
        | State::Done => None,
    }
}

/// Events of which the last says whether a person must decide. Stored words, see `store::tables`.
pub(super) const OF_DECISIONS: &str =
    "'decision_asked', 'decision_withdrawn', 'promotion_started', 'swap_committed'";

/// Whether a person must decide about a deployment with these events.
#[must_use]
pub(super) fn asks(state: State, events: &[Event]) -> bool {
    matches!(state, State::Ready | State::Soaking) && question(events).is_some()
}

/// Why a person must decide, until one has.
fn question(events: &[Event]) -> Option<&str> {
    let last = events.iter().rev().find(|event| {
        matches!(
            event,
            Event::DecisionAsked { .. }
                | Event::DecisionWithdrawn
                | Event::PromotionStarted
                | Event::SwapCommitted
        )
    });
    if let Some(Event::DecisionAsked { reason }) = last {
        Some(reason)
    } else {
        None
    }
}

/// What keeps it from its swap, until that begins.
fn waits(events: &[Event]) -> Option<&str> {
    let last = events.iter().rev().find(|event| {
        matches!(
            event,
            Event::PromotionWaits { .. }
                | Event::HeldUp { .. }
                | Event::PromotionStarted
                | Event::Verified
        )
    });
    if let Some(Event::PromotionWaits { reason } | Event::HeldUp { reason }) = last {
        Some(reason)
    } else {
        None
    }
}

/// What failed last, whether it was kept or not, or came too late.
fn failed(events: &[Event]) -> Option<&str> {
    events.iter().rev().find_map(|event| {
        if let Event::StepFailed { reason }
        | Event::StepKept { reason, .. }
        | Event::GateClosed { reason, .. }
        | Event::Expired { reason } = event
        {
            Some(reason.as_str())
        } else {
            None
        }
    })
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
