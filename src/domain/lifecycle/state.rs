//! The states of a deployment and the only function that moves between them.
//!
//! Live progress and replay of the journal go through the same [`next`]. A stored word that is not
//! a state, or an event that does not fit the state, is an error and never a default.

use super::verb::Verb;
use crate::domain::lifecycle::policy::Policy;
use crate::foundation::word::stored_words;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

stored_words! {
    /// Where a deployment is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum State: "state of a deployment" {
        /// Asked for, not planned yet.
        Pending = "pending",
        /// The plan is stored; nothing was touched.
        Planned = "planned",
        /// Green schemas and clusters are being created.
        Staging = "staging",
        /// dbt builds the objects in green.
        Building = "building",
        /// Waiting until every object of green is ready.
        Hydrating = "hydrating",
        /// dbt's tests and the rehearsal run on green.
        Verifying = "verifying",
        /// Failed before the cutover; green stays for a while, so that somebody can look.
        Kept = "kept",
        /// Green may be promoted.
        Ready = "ready",
        /// The swap is being attempted; its outcome may be unknown.
        CuttingOver = "cutting_over",
        /// Green is production; the old side is still there.
        Soaking = "soaking",
        /// The old side is being dropped.
        CleaningUp = "cleaning_up",
        /// Finished: production is the new side, nothing is left behind.
        Done = "done",
        /// Green is being dropped, production was not changed.
        Unwinding = "unwinding",
        /// Stopped on request before the cutover; nothing is left behind.
        Aborted = "aborted",
        /// Failed before the cutover; nothing is left behind.
        Failed = "failed",
        /// The swap is being undone and the new side dropped.
        RollingBack = "rolling_back",
        /// Production is the old side again; nothing is left behind.
        RolledBack = "rolled_back",
        /// A person is needed; nothing is touched until `resume`.
        Stuck = "stuck",
    }
}

/// What happened to a deployment. Stored in the journal, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The plan was stored whole.
    PlanStored,
    /// The first effect is about to happen.
    StagingStarted,
    /// Green schemas and clusters stand, with their recorded ids.
    Staged,
    /// Every planned node was built, and its object recorded by id.
    Built,
    /// Every planned object was ready often enough in a row.
    Hydrated,
    /// Checks and rehearsal passed.
    Verified,
    /// The swap is about to be sent.
    PromotionStarted,
    /// The ids in the catalog say that the swap committed.
    SwapCommitted,
    /// The ids in the catalog say that the swap did not commit, and it was given up for now.
    SwapDeclined {
        /// Why, in one sentence.
        reason: String,
    },
    /// The swap was not sent: since green was found ready a connection was lost, or another process took the
    /// deployment up. It is looked at again.
    SwapPutOff {
        /// Why, in one sentence.
        reason: String,
    },
    /// The soak ended well.
    Soaked,
    /// The old side is gone.
    CleanedUp,
    /// A step failed before the cutover.
    StepFailed {
        /// Why, in one sentence.
        reason: String,
    },
    /// A step failed before the cutover, and green is kept for a look instead of being dropped.
    StepKept {
        /// Why, in one sentence.
        reason: String,
        /// Until when.
        until: Timestamp,
    },
    /// Somebody asked to try what failed and was kept once more, since its cause is gone.
    Retried,
    /// What was kept goes: its time is over, or another release is to be made.
    KeepingEnded {
        /// Which of both, in one sentence.
        why: String,
    },
    /// Somebody approved what is ready.
    Approved {
        /// How many different people have, this one counted.
        given: u32,
        /// How many must.
        needed: u32,
    },
    /// What is ready waits for something else than before, or has begun to wait.
    PromotionWaits {
        /// For what, in one sentence.
        reason: String,
    },
    /// A gate said no before the cutover, or nothing for too long.
    GateClosed {
        /// Its name.
        gate: String,
        /// Why, in one sentence.
        reason: String,
    },
    /// Nobody promoted what was ready in the time that it had; it is given up.
    Expired {
        /// Why, in one sentence.
        reason: String,
    },
    /// Somebody asked to stop before the cutover.
    AbortRequested,
    /// Green is gone after [`Event::StepFailed`], [`Event::GateClosed`] or [`Event::KeepingEnded`].
    UnwoundAfterFailure,
    /// Green is gone after [`Event::AbortRequested`] or [`Event::Expired`].
    UnwoundAfterAbort,
    /// What serves since the swap is not as it was promoted: not hydrated, too far behind, or without
    /// a replica. It goes on serving.
    Degraded {
        /// What was found, in one sentence.
        reason: String,
    },
    /// What serves is as it should be again after [`Event::Degraded`].
    Recovered,
    /// A check of the level `ask` failed: nothing is promoted, and no old side dropped, before a person has decided.
    DecisionAsked {
        /// Which check, and what it found, in one sentence.
        reason: String,
    },
    /// No check asks any more after [`Event::DecisionAsked`].
    DecisionWithdrawn,
    /// Green is ready and is not swapped in: the environment is held or frozen.
    HeldUp {
        /// By what, and until when, in one sentence.
        reason: String,
    },
    /// Somebody releases although the environment is, or may be by then, frozen.
    FreezeOverridden {
        /// Why, in that person's words.
        reason: String,
    },
    /// A daemon accepted a request, which is carried out at the next boundary. Whoever leads by then
    /// finds it here; see [`pending`](super::verb::pending).
    Asked {
        /// What was asked.
        verb: Verb,
        /// Who asked.
        by: Asker,
    },
    /// What was asked came too late, and is not done.
    AskedTooLate {
        /// What was asked.
        verb: Verb,
        /// Why it does not fit any more, in one sentence.
        reason: String,
    },
    /// Somebody, or a failing soak check, asked for the old side back.
    RollbackRequested {
        /// Why, in one sentence.
        reason: String,
        /// Who asked; `None` in journals of versions that did not record it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<Asker>,
        /// Whether the old side is swapped in even where it is not ready.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        forced: bool,
        /// Whether nothing is released by itself afterwards, until somebody releases on.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        held: bool,
    },
    /// A rollback that a check caused waits: the old side is not ready to serve.
    RollbackPutOff {
        /// What the old side lacks, in one sentence.
        reason: String,
    },
    /// Somebody asked to swap the old side in although it is not ready.
    RollbackForced {
        /// Who asked.
        by: Asker,
    },
    /// The old side serves again and the new side is gone.
    RolledBack,
    /// The world is not as recorded; a person must look.
    StuckAt {
        /// The state in which it happened.
        state: State,
        /// What was found and what to do, in one or two sentences.
        reason: String,
    },
    /// Somebody looked, and asked to go on from the state where it got stuck.
    Unstuck {
        /// The state to go on in.
        state: State,
    },
}

/// What only a person moves on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// The decision to promote what is ready.
    Promotion,
    /// The decision to drop the old side.
    Cleanup,
    /// A look at what is not as recorded.
    Help,
    /// A look at what failed and is kept. When its time is over it goes without one.
    Look,
}

stored_words! {
    /// Who asks for something.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Asker {
        /// A check that failed during the soak.
        Check = "check",
        /// A command.
        Cli = "cli",
        /// A request to the daemon that came from no command.
        Api = "api",
    }
}

/// An event that the state does not admit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a deployment that is {state} cannot take the event {event:?}")]
pub struct InvalidTransition {
    /// The state of the deployment.
    pub state: State,
    /// The event that came.
    pub event: Event,
}

/// The state after `event` in `state`.
///
/// # Errors
/// [`InvalidTransition`] when the event does not fit.
pub fn next(state: State, event: &Event) -> Result<State, InvalidTransition> {
    let invalid = || {
        Err(InvalidTransition {
            state,
            event: event.clone(),
        })
    };
    match (event, state) {
        (Event::PlanStored, State::Pending) => Ok(State::Planned),
        (Event::StagingStarted, State::Planned) => Ok(State::Staging),
        (Event::Staged, State::Staging) => Ok(State::Building),
        (Event::Built, State::Building) => Ok(State::Hydrating),
        (Event::Hydrated, State::Hydrating) => Ok(State::Verifying),
        (Event::Verified, State::Verifying) => Ok(State::Ready),
        (Event::PromotionStarted, State::Ready) => Ok(State::CuttingOver),
        (Event::SwapCommitted, State::CuttingOver) => Ok(State::Soaking),
        (Event::SwapDeclined { .. } | Event::SwapPutOff { .. }, State::CuttingOver) => {
            Ok(State::Ready)
        }
        (Event::Degraded { .. } | Event::Recovered, State::Soaking) => Ok(State::Soaking),
        (
            Event::DecisionAsked { .. }
            | Event::Approved { .. }
            | Event::PromotionWaits { .. }
            | Event::HeldUp { .. },
            State::Ready,
        ) => Ok(State::Ready),
        (Event::GateClosed { .. } | Event::Expired { .. }, State::Ready) => Ok(State::Unwinding),
        (Event::FreezeOverridden { .. }, before) if before.is_before_cutover() => Ok(before),
        (Event::DecisionAsked { .. } | Event::DecisionWithdrawn, State::Soaking) => {
            Ok(State::Soaking)
        }
        (Event::Asked { .. } | Event::AskedTooLate { .. }, now) if !now.is_terminal() => Ok(now),
        (Event::Soaked, State::Soaking) => Ok(State::CleaningUp),
        (Event::CleanedUp, State::CleaningUp) => Ok(State::Done),
        (Event::StepFailed { .. } | Event::AbortRequested, before)
            if before.is_before_cutover() =>
        {
            Ok(State::Unwinding)
        }
        (Event::StepKept { .. }, State::Building | State::Hydrating | State::Verifying) => {
            Ok(State::Kept)
        }
        // What was built and recorded before is passed through quickly.
        (Event::Retried, State::Kept) => Ok(State::Building),
        (Event::KeepingEnded { .. }, State::Kept) => Ok(State::Unwinding),
        (Event::UnwoundAfterFailure, State::Unwinding) => Ok(State::Failed),
        (Event::UnwoundAfterAbort, State::Unwinding) => Ok(State::Aborted),
        (Event::RollbackRequested { .. }, State::Soaking) => Ok(State::RollingBack),
        (Event::RollbackPutOff { .. } | Event::RollbackForced { .. }, State::RollingBack) => {
            Ok(State::RollingBack)
        }
        (Event::RolledBack, State::RollingBack) => Ok(State::RolledBack),
        (Event::StuckAt { state: at, .. }, now)
            if *at == now && !now.is_terminal() && now != State::Stuck =>
        {
            Ok(State::Stuck)
        }
        (Event::Unstuck { state: to }, State::Stuck)
            if !to.is_terminal() && *to != State::Stuck =>
        {
            Ok(*to)
        }
        (
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
            | Event::Degraded { .. }
            | Event::Recovered
            | Event::DecisionAsked { .. }
            | Event::DecisionWithdrawn
            | Event::HeldUp { .. }
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
            | Event::PromotionWaits { .. }
            | Event::GateClosed { .. }
            | Event::Expired { .. }
            | Event::AbortRequested
            | Event::UnwoundAfterFailure
            | Event::UnwoundAfterAbort
            | Event::RollbackRequested { .. }
            | Event::RollbackPutOff { .. }
            | Event::RollbackForced { .. }
            | Event::RolledBack
            | Event::StuckAt { .. }
            | Event::Unstuck { .. },
            _,
        ) => invalid(),
    }
}

impl State {
    /// Whether nothing will ever happen to the deployment again.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            State::Done | State::Aborted | State::Failed | State::RolledBack => true,
            State::Pending
            | State::Planned
            | State::Staging
            | State::Building
            | State::Hydrating
            | State::Verifying
            | State::Kept
            | State::Ready
            | State::CuttingOver
            | State::Soaking
            | State::CleaningUp
            | State::Unwinding
            | State::RollingBack
            | State::Stuck => false,
        }
    }

    /// What a deployment in this state waits for when nothing but a person moves it on, given who
    /// decides on its promotion and its cleanup; `None` when it goes on by itself, or has ended.
    #[must_use]
    pub fn awaits(self, promotion: Policy, cleanup: Policy) -> Option<Awaited> {
        match self {
            State::Stuck => Some(Awaited::Help),
            State::Kept => Some(Awaited::Look),
            State::Ready => (promotion == Policy::Manual).then_some(Awaited::Promotion),
            State::Soaking => (cleanup == Policy::Manual).then_some(Awaited::Cleanup),
            State::Pending
            | State::Planned
            | State::Staging
            | State::Building
            | State::Hydrating
            | State::Verifying
            | State::CuttingOver
            | State::CleaningUp
            | State::Done
            | State::Unwinding
            | State::Aborted
            | State::Failed
            | State::RollingBack
            | State::RolledBack => None,
        }
    }

    /// Whether failure still unwinds: the swap was not sent, or was found not to have committed.
    #[must_use]
    pub fn is_before_cutover(self) -> bool {
        match self {
            State::Pending
            | State::Planned
            | State::Staging
            | State::Building
            | State::Hydrating
            | State::Verifying
            | State::Kept
            | State::Ready => true,
            State::CuttingOver
            | State::Soaking
            | State::CleaningUp
            | State::Done
            | State::Unwinding
            | State::Aborted
            | State::Failed
            | State::RollingBack
            | State::RolledBack
            | State::Stuck => false,
        }
    }
}

impl Event {
    /// Where a deployment got stuck, when that is what happened.
    #[must_use]
    pub fn stuck_at(&self) -> Option<State> {
        if let Event::StuckAt { state, .. } = self {
            Some(*state)
        } else {
            None
        }
    }

    /// Whether unwinding began because somebody asked, or nobody promoted it in time (`true`), or because a step
    /// failed or a gate is closed (`false`);
    /// `None` when the event began no unwinding.
    #[must_use]
    pub fn unwinds_on_request(&self) -> Option<bool> {
        if matches!(self, Event::AbortRequested | Event::Expired { .. }) {
            Some(true)
        } else if matches!(
            self,
            Event::StepFailed { .. } | Event::KeepingEnded { .. } | Event::GateClosed { .. }
        ) {
            Some(false)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests;
