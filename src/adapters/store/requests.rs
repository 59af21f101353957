//! Answers that were given to requests which may be sent again under the same key.

use super::error::StoreError;
use super::lead::Lead;
use super::row::Of;
use super::tables::requests::Remember;
use super::{Store, json, now, stamp};
use crate::domain::records::text::storable;
use jiff::Timestamp;
use serde::Serialize;

/// The answer that was given first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Remembered {
    /// What tells requests with the same key apart.
    pub fingerprint: String,
    /// The answer.
    pub answer: serde_json::Value,
    /// When it was recorded.
    pub at: Timestamp,
}

/// A row of `requests`.
#[derive(Debug, Clone)]
pub(super) struct RequestRow {
    pub environment: String,
    pub key: String,
    pub fingerprint: String,
    pub answer: String,
    pub at: String,
}

impl RequestRow {
    pub(super) fn new(
        environment: &str,
        key: &str,
        fingerprint: &str,
        answer: &serde_json::Value,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            environment: environment.to_owned(),
            key: storable(key.to_owned()),
            fingerprint: storable(fingerprint.to_owned()),
            answer: json("the answer", answer)?,
            at: stamp(now()),
        })
    }

    fn remembered(self) -> Result<Remembered, StoreError> {
        let of = Of {
            record: "request",
            id: &self.key,
        };
        Ok(Remembered {
            answer: of.document("the answer", &self.answer)?,
            at: of.time("the time", &self.at)?,
            fingerprint: self.fingerprint,
        })
    }
}

impl Store {
    /// Records the answer to a request, unless there is one under its key: then that one is given
    /// back, which may be of a request with another fingerprint.
    ///
    /// # Errors
    /// [`StoreError::WrongLead`] when another environment is led.
    pub async fn remember(
        &self,
        lead: &Lead,
        environment: &str,
        key: &str,
        fingerprint: &str,
        answer: serde_json::Value,
    ) -> Result<Remembered, StoreError> {
        let proof = self.proof(lead)?;
        proof.covers(environment)?;
        let row = RequestRow::new(environment, key, fingerprint, &answer)?;
        self.write(proof, Remember(row)).await?.remembered()
    }

    /// The answer that was given to a request, where it is still known.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub async fn remembered(
        &self,
        environment: &str,
        key: &str,
    ) -> Result<Option<Remembered>, StoreError> {
        let (environment, key) = (environment.to_owned(), storable(key.to_owned()));
        let row = self.read(async move |tables| tables.remembered(&environment, &key).await);
        row.await?.map(RequestRow::remembered).transpose()
    }
}
