//! What production is compared with between releases.

use super::outbox::add_message;
use super::{Fault, Tables, Write, values};
use crate::adapters::store::Proof;
use crate::adapters::store::outbox::MessageRow;

/// Writes what a look found, and what is told of it.
pub(in crate::adapters::store) struct WriteDrift {
    pub environment: String,
    pub document: String,
    pub message: Option<MessageRow>,
}

impl Write for WriteDrift {
    type Answer = ();

    async fn change(&self, tables: &Tables<'_>, _: &Proof) -> Result<(), Fault> {
        tables
            .execute(
                "/* store.set_drift */
                INSERT INTO drift (environment, document) VALUES ($1, $2)
                ON CONFLICT (environment) DO UPDATE SET document = excluded.document",
                values![&self.environment, &self.document],
            )
            .await?;
        match &self.message {
            Some(message) => add_message(tables, message).await,
            None => Ok(()),
        }
    }

    /// Nobody else writes it, and both are written or neither is.
    async fn stands(&self, tables: &Tables<'_>, (): &()) -> Result<bool, Fault> {
        Ok(tables.drift(&self.environment).await?.as_ref() == Some(&self.document))
    }
}

impl Tables<'_> {
    /// The document of what is known of an environment's drift.
    pub(in crate::adapters::store) async fn drift(
        &self,
        environment: &str,
    ) -> Result<Option<String>, Fault> {
        self.first(
            "/* store.drift */
            SELECT document FROM drift WHERE environment = $1",
            values![environment],
            |row| row.text(),
        )
        .await
    }
}
