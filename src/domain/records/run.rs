//! Runs of a daemon: what set one off, and how it ended.

use super::subject::Subject;
use crate::domain::lifecycle::state::State;
use crate::foundation::word::stored_words;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

stored_words! {
    /// Why a run began.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub enum Cause: "cause of a run" {
        /// Its time had come.
        Schedule = "schedule",
        /// A signal to the process.
        Signal = "signal",
        /// A request.
        #[default]
        Api = "api",
        /// The project changed.
        Change = "change",
        /// An earlier run failed.
        Retry = "retry",
        /// The environment that this one comes after has released, and its time is over.
        Chain = "chain",
        /// A deployment was found under way that no run had begun.
        Recovery = "recovery",
    }
}

stored_words! {
    /// What came of a run.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Outcome: "outcome of a run" {
        /// The plan was empty.
        NothingToDo = "nothing_to_do",
        /// Production follows the project.
        Released = "released",
        /// It was swapped and swapped back.
        RolledBack = "rolled_back",
        /// Somebody gave it up before the swap.
        Aborted = "aborted",
        /// It failed before the swap, and was unwound.
        Failed = "failed",
        /// The plan, or the configuration, was refused; nothing began.
        Refused = "refused",
        /// It was not its turn.
        Skipped = "skipped",
        /// The process ended before the run did.
        Interrupted = "interrupted",
        /// A person is needed.
        Stuck = "stuck",
    }
}

impl Outcome {
    /// How a run ended whose deployment is in this state.
    #[must_use]
    pub fn of(state: State) -> Self {
        match state {
            State::Done => Outcome::Released,
            State::RolledBack => Outcome::RolledBack,
            State::Aborted => Outcome::Aborted,
            State::Failed => Outcome::Failed,
            State::Stuck => Outcome::Stuck,
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
            | State::RollingBack => Outcome::Interrupted,
        }
    }

    /// Whether it counts as a failure of the revision; `None` when it says nothing about it.
    pub(crate) fn is_failure(self) -> Option<bool> {
        match self {
            Outcome::Failed | Outcome::RolledBack | Outcome::Refused | Outcome::Stuck => Some(true),
            // A person who gives a release up has seen the failures before it.
            Outcome::NothingToDo | Outcome::Released | Outcome::Aborted => Some(false),
            Outcome::Skipped | Outcome::Interrupted => None,
        }
    }
}

/// A run to be. Its environment is that of the lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// Why it begins.
    pub cause: Cause,
    /// The time of the schedule that it is for.
    pub scheduled_for: Option<Timestamp>,
    /// The commit or the content hash of the project, where it is known.
    pub revision: Option<String>,
    /// What is wished of it, where somebody is told that it was accepted: it is made then, also by
    /// another process than this one.
    pub wishes: Option<serde_json::Value>,
}

/// The key under which a run was asked for; see `store::begin_asked_run`.
#[derive(Debug, Clone, Copy)]
pub struct AskedUnder<'a> {
    /// What makes asking twice the same as asking once.
    pub key: &'a str,
    /// What tells requests with the same key apart.
    pub fingerprint: &'a str,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// A version 7 UUID, lower case with hyphens.
    pub id: String,
    /// The environment.
    pub environment: String,
    /// Why it began.
    pub cause: Cause,
    /// The time of the schedule that it is for.
    pub scheduled_for: Option<Timestamp>,
    /// The commit or the content hash of the project, where it is known.
    pub revision: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// The id of the deployment that it made or took up. That one may be trimmed before the run.
    pub deployment: Option<String>,
    /// A sentence about the outcome.
    pub detail: Option<String>,
    /// What was wished of it, where it was accepted before it began. For its leader alone.
    #[serde(skip)]
    pub wishes: Option<serde_json::Value>,
    /// Who set it off; `None` where the version that recorded it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Subject>,
    /// Of a chain: the release that it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follows: Option<Link>,
}

/// A release of another environment that is released here as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The other environment.
    pub environment: String,
    /// Its deployment.
    pub deployment: String,
    /// The revision of the project that it was made from.
    pub revision: String,
}

impl Link {
    /// It in a few words.
    #[must_use]
    pub fn words(&self) -> String {
        format!(
            "the release {} of {} ({})",
            self.deployment, self.environment, self.revision
        )
    }
}
