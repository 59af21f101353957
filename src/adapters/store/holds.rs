//! What keeps releases of an environment from beginning by themselves.
//!
//! Durable: one document for each environment, written whole by the process that leads it.

use super::error::StoreError;
use super::lead::Lead;
use super::row::Of;
use super::tables::holds::WriteHold;
use super::{Store, json};
use crate::domain::records::hold::Hold;

impl Store {
    /// What holds an environment, lifted or not.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn hold(&self, environment: &str) -> Result<Option<Hold>, StoreError> {
        let wanted = environment.to_owned();
        let document = self.read(async move |tables| tables.hold(&wanted).await);
        let of = Of {
            record: "hold",
            id: environment,
        };
        let document = document.await?;
        document
            .map(|text| of.document("the document", &text))
            .transpose()
    }

    /// Records what holds the environment that is led; `None`: nothing.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn set_hold(&self, lead: &Lead, hold: Option<&Hold>) -> Result<(), StoreError> {
        let proof = self.proof(lead)?;
        let environment = lead.environment().to_owned();
        let document = hold.map(|hold| json("the hold", hold)).transpose()?;
        self.write(proof, WriteHold(environment, document)).await
    }
}
