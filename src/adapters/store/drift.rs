//! What production is compared with between releases, and what was found.
//!
//! Durable: one document for each environment, written whole by the process that leads it. What is told of it is
//! in the outbox in the same transaction, so that a restart tells nothing twice.

use super::error::StoreError;
use super::lead::Lead;
use super::outbox::MessageRow;
use super::row::Of;
use super::tables::drift::WriteDrift;
use super::{Store, json, now, stamp};
use crate::domain::records::drift::{DriftNews, DriftRecord};

impl Store {
    /// What is known of an environment's drift; `None` before the first look.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn drift(&self, environment: &str) -> Result<Option<DriftRecord>, StoreError> {
        let wanted = environment.to_owned();
        let document = self.read(async move |tables| tables.drift(&wanted).await);
        let of = Of {
            record: "drift",
            id: environment,
        };
        let document = document.await?;
        document
            .map(|text| of.document("the document", &text))
            .transpose()
    }

    /// Records what a look found in the environment that is led, and what there is to be told of it.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn set_drift(
        &self,
        lead: &Lead,
        record: &DriftRecord,
        news: Option<&DriftNews>,
    ) -> Result<(), StoreError> {
        let proof = self.proof(lead)?;
        let environment = lead.environment().to_owned();
        let at = stamp(now());
        let write = WriteDrift {
            document: json("the drift", record)?,
            message: news.map(|news| MessageRow::of_drift(&environment, news, &at)),
            environment,
        };
        self.write(proof, write).await
    }
}
