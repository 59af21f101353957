//! Answers that were given.

use super::{Fault, Tables, Write, values};
use crate::adapters::store::Proof;
use crate::adapters::store::requests::RequestRow;

/// Adds an answer unless there is one; gives the one that stands.
pub(in crate::adapters::store) struct Remember(pub RequestRow);

impl Write for Remember {
    type Answer = RequestRow;

    async fn change(&self, tables: &Tables<'_>, proof: &Proof) -> Result<RequestRow, Fault> {
        let Self(row) = self;
        proof.covers(&row.environment)?;
        add_request(tables, row).await?;
        let stored = tables.remembered(&row.environment, &row.key).await?;
        Ok(stored.unwrap_or_else(|| row.clone()))
    }

    /// A second time the first one is found.
    async fn stands(&self, _: &Tables<'_>, _: &RequestRow) -> Result<bool, Fault> {
        Ok(false)
    }
}

/// Adds an answer unless there is one under its key.
pub(super) async fn add_request(tables: &Tables<'_>, row: &RequestRow) -> Result<(), Fault> {
    tables
        .execute(
            "/* store.remember */
            INSERT INTO requests (environment, key, fingerprint, answer, at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (environment, key) DO NOTHING",
            values![
                &row.environment,
                &row.key,
                &row.fingerprint,
                &row.answer,
                &row.at,
            ],
        )
        .await?;
    Ok(())
}

impl Tables<'_> {
    /// The answer that was given.
    pub(in crate::adapters::store) async fn remembered(
        &self,
        environment: &str,
        key: &str,
    ) -> Result<Option<RequestRow>, Fault> {
        self.first(
            "/* store.remembered */
            SELECT environment, key, fingerprint, answer, at FROM requests
            WHERE environment = $1 AND key = $2",
            values![environment, key],
            |row| {
                Ok(RequestRow {
                    environment: row.text()?,
                    key: row.text()?,
                    fingerprint: row.text()?,
                    answer: row.text()?,
                    at: row.text()?,
                })
            },
        )
        .await
    }
}
