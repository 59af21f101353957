//! What holds environments back.

use super::outbox::add_message;
use super::{Fault, Row, Tables, Write, values};
use crate::adapters::store::Proof;
use crate::adapters::store::outbox::MessageRow;

/// Writes what holds an environment, or that nothing of this kind does, and what is told of it. Done twice the hold
/// is the same.
pub(in crate::adapters::store) struct WriteHold {
    pub environment: String,
    /// `back` or `person`.
    pub kind: &'static str,
    pub document: Option<String>,
    pub message: Option<MessageRow>,
}

impl WriteHold {
    /// Does it, also for somebody who leads nothing.
    pub async fn done(&self, tables: &Tables<'_>) -> Result<(), Fault> {
        let Self {
            environment,
            kind,
            document,
            message,
        } = self;
        match document {
            Some(document) => {
                tables
                    .execute(
                        "/* store.set_hold */
                        INSERT INTO holds (environment, kind, document) VALUES ($1, $2, $3)
                        ON CONFLICT (environment, kind) DO UPDATE SET document = excluded.document",
                        values![environment, *kind, document],
                    )
                    .await?;
            }
            None => {
                tables
                    .execute(
                        "/* store.remove_hold */
                        DELETE FROM holds WHERE environment = $1 AND kind = $2",
                        values![environment, *kind],
                    )
                    .await?;
            }
        }
        match message {
            Some(message) => add_message(tables, message).await,
            None => Ok(()),
        }
    }
}

impl Write for WriteHold {
    type Answer = ();

    async fn change(&self, tables: &Tables<'_>, _: &Proof) -> Result<(), Fault> {
        self.done(tables).await
    }

    /// A second time the same is written; a message is written once.
    async fn stands(&self, tables: &Tables<'_>, (): &()) -> Result<bool, Fault> {
        match &self.message {
            Some(message) => tables.has_message(&message.id).await,
            None => Ok(false),
        }
    }
}

impl Tables<'_> {
    /// The documents of what holds an environment, of this kind or of each.
    pub(in crate::adapters::store) async fn holds(
        &self,
        environment: &str,
        kind: Option<&str>,
    ) -> Result<Vec<String>, Fault> {
        self.query(
            "/* store.holds */
            SELECT document FROM holds
            WHERE environment = $1 AND ($2 IS NULL OR kind = $2) ORDER BY kind DESC",
            values![environment, kind],
            Row::text,
        )
        .await
    }
}
