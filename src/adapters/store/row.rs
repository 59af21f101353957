//! Rows as every backend reads them: words and documents are still text here. What they mean is
//! decided in one place, and a word that means nothing is an error.

use super::error::{Cause, StoreError};
use crate::adapters::store::acting;
use crate::domain::lifecycle::state::State;
use crate::domain::records::deployment::{Deployment, Effect, RecordedEvent, Summary};
use crate::foundation::word::UnknownWord;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use std::str::FromStr;

/// A row of `deployments` without its documents.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub id: String,
    pub environment: String,
    pub state: String,
    pub active: bool,
    pub attempt: u32,
    pub created_at: String,
    pub updated_at: String,
    pub finished_at: Option<String>,
    pub reason: Option<String>,
    /// Whether a person must decide.
    pub asks: bool,
    /// The subject of its first event.
    pub by: Option<String>,
}

/// The documents of a deployment.
#[derive(Debug, Clone)]
pub(super) struct Documents {
    pub plan: String,
    pub request: String,
}

/// A row of `events`.
#[derive(Debug, Clone)]
pub(super) struct EventRow {
    pub seq: u32,
    pub at: String,
    pub kind: String,
    pub body: String,
    pub state_after: String,
    /// Its subject.
    pub by: Option<String>,
}

/// A row of `effects`.
#[derive(Debug, Clone)]
pub(super) struct EffectRow {
    pub deployment_id: String,
    pub key: String,
    pub attempt: u32,
    pub intent: String,
    pub started_at: String,
    pub result: Option<String>,
    pub finished_at: Option<String>,
}

/// What a transaction writes to a deployment.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// The head as it will be.
    pub head: Head,
    /// The event that is added, where there is one.
    pub event: Option<EventRow>,
}

/// Which deployment is wanted.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    /// The one with exactly this id.
    Id(String),
    /// The active one of an environment.
    Active(String),
    /// The one of an environment that was created last.
    Latest(String),
}

impl Head {
    pub(super) fn state(&self) -> Result<State, StoreError> {
        Of::deployment(&self.id).word("the state", &self.state)
    }

    pub(super) fn summary(self) -> Result<Summary, StoreError> {
        let of = Of::deployment(&self.id);
        Ok(Summary {
            state: self.state()?,
            created_at: of.time("created_at", &self.created_at)?,
            updated_at: of.time("updated_at", &self.updated_at)?,
            finished_at: of.optional_time("finished_at", self.finished_at.as_deref())?,
            by: acting::read(of, "the subject", self.by.as_deref())?,
            id: self.id,
            environment: self.environment,
            attempt: self.attempt,
            reason: self.reason,
            asks: self.asks,
        })
    }

    pub(super) fn deployment(self, documents: &Documents) -> Result<Deployment, StoreError> {
        let Summary {
            id,
            environment,
            state,
            attempt,
            created_at,
            updated_at,
            finished_at,
            reason,
            asks,
            by,
        } = self.summary()?;
        Ok(Deployment {
            plan: Of::deployment(&id).document("the plan", &documents.plan)?,
            request: Of::deployment(&id).document("the request", &documents.request)?,
            id,
            environment,
            state,
            attempt,
            created_at,
            updated_at,
            finished_at,
            reason,
            asks,
            by,
        })
    }
}

impl EventRow {
    pub(super) fn recorded(&self, id: &str) -> Result<RecordedEvent, StoreError> {
        let of = Of::deployment(id);
        let what = |part: &str| format!("{part} of event {}", self.seq);
        Ok(RecordedEvent {
            seq: self.seq,
            at: of.time(&what("the time"), &self.at)?,
            event: of.document(&what("the body"), &self.body)?,
            state_after: of.word(&what("the state"), &self.state_after)?,
            by: acting::read(of, &what("the subject"), self.by.as_deref())?,
        })
    }
}

impl EffectRow {
    pub(super) fn effect(self) -> Result<Effect, StoreError> {
        let of = Of::deployment(&self.deployment_id);
        let what = |part: &str| format!("{part} of the effect {:?}", self.key);
        Ok(Effect {
            attempt: self.attempt,
            intent: of.document(&what("the intent"), &self.intent)?,
            started_at: of.time(&what("the start"), &self.started_at)?,
            result: self
                .result
                .as_deref()
                .map(|result| of.document(&what("the result"), result))
                .transpose()?,
            finished_at: of.optional_time(&what("the end"), self.finished_at.as_deref())?,
            deployment_id: self.deployment_id,
            key: self.key,
        })
    }
}

/// What is being read, for the error when it means nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of<'a> {
    /// What kind of record it is, for people.
    pub record: &'static str,
    pub id: &'a str,
}

impl<'a> Of<'a> {
    fn deployment(id: &'a str) -> Self {
        Self {
            record: "deployment",
            id,
        }
    }

    pub(super) fn unreadable(self, what: &str, source: impl Into<Cause>) -> StoreError {
        StoreError::Unreadable {
            record: self.record,
            id: self.id.to_owned(),
            what: what.to_owned(),
            source: source.into(),
        }
    }

    pub(super) fn document<T: DeserializeOwned>(
        self,
        what: &str,
        text: &str,
    ) -> Result<T, StoreError> {
        serde_json::from_slice(text.as_bytes()).map_err(|error| self.unreadable(what, error))
    }

    pub(super) fn word<T: FromStr<Err = UnknownWord>>(
        self,
        what: &str,
        text: &str,
    ) -> Result<T, StoreError> {
        text.parse().map_err(|error| self.unreadable(what, error))
    }

    pub(super) fn time(self, what: &str, text: &str) -> Result<Timestamp, StoreError> {
        text.parse()
            .map_err(|error: jiff::Error| self.unreadable(what, error))
    }

    pub(super) fn optional_time(
        self,
        what: &str,
        text: Option<&str>,
    ) -> Result<Option<Timestamp>, StoreError> {
        text.map(|text| self.time(what, text)).transpose()
    }
}
