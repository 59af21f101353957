//! What keeps an environment as it is.
//!
//! Durable: for each environment one document of each kind, written whole. That of a way back is written by the
//! process that leads; a person's also by somebody who leads nothing, since it must stop whoever does.

use super::error::StoreError;
use super::lead::Lead;
use super::outbox::MessageRow;
use super::row::Of;
use super::tables::holds::WriteHold;
use super::{Store, json, now, stamp, written};
use crate::domain::records::hold::Hold;
use crate::domain::records::subject::Subject;
use crate::domain::records::text::storable;

const BACK: &str = "back";
const PERSON: &str = "person";

impl Store {
    /// The hold of a way back, lifted or not.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn hold(&self, environment: &str) -> Result<Option<Hold>, StoreError> {
        Ok(self.holds_of(environment, Some(BACK)).await?.pop())
    }

    /// Everything that holds an environment, or did: a person's hold first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn holds(&self, environment: &str) -> Result<Vec<Hold>, StoreError> {
        self.holds_of(environment, None).await
    }

    async fn holds_of(
        &self,
        environment: &str,
        kind: Option<&'static str>,
    ) -> Result<Vec<Hold>, StoreError> {
        let wanted = environment.to_owned();
        let documents = self.read(async move |tables| tables.holds(&wanted, kind).await);
        let of = Of {
            record: "hold",
            id: environment,
        };
        let documents = documents.await?.into_iter();
        documents
            .map(|text| of.document("the document", &text))
            .collect()
    }

    /// Records the hold of a way back in the environment that is led; `None`: there is none.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn set_hold(&self, lead: &Lead, hold: Option<&Hold>) -> Result<(), StoreError> {
        let proof = self.proof(lead)?;
        let write = WriteHold {
            environment: lead.environment().to_owned(),
            kind: BACK,
            document: hold.map(|hold| json("the hold", hold)).transpose()?,
            message: None,
        };
        self.write(proof, write).await
    }

    /// Records that a person holds an environment, in the place of an earlier hold by a person, and what is told of it.
    /// Whoever leads need not be asked.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn hold_as_it_is(&self, lead: Option<&Lead>, hold: Hold) -> Result<(), StoreError> {
        let hold = Hold {
            reason: storable(hold.reason),
            ..hold
        };
        let message = MessageRow::of_hold(&hold, None, &stamp(now()));
        let document = json("the hold", &hold)?;
        self.write_hold(lead, &hold.environment, Some(document), message)
            .await
    }

    /// Records that a person's hold is lifted, and what is told of it.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn lift_hold(
        &self,
        lead: Option<&Lead>,
        hold: &Hold,
        by: &Subject,
    ) -> Result<(), StoreError> {
        let message = MessageRow::of_hold(hold, Some(by), &stamp(now()));
        self.write_hold(lead, &hold.environment, None, message)
            .await
    }

    async fn write_hold(
        &self,
        lead: Option<&Lead>,
        environment: &str,
        document: Option<String>,
        message: MessageRow,
    ) -> Result<(), StoreError> {
        let write = WriteHold {
            environment: environment.to_owned(),
            kind: PERSON,
            document,
            message: Some(message),
        };
        match lead {
            Some(lead) => {
                let proof = self.proof(lead)?;
                proof.covers(environment)?;
                self.write(proof, write).await
            }
            None => written(self.read(async move |tables| write.done(tables).await)).await,
        }
    }
}
