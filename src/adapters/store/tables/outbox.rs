//! What others are to be told.

use super::{Fault, Row, Tables, Write, values};
use crate::adapters::store::Proof;
use crate::adapters::store::outbox::{DueRow, MessageRow, Told, WantedMessages};

/// Records how telling a target ended. Gives how often it was told or tried since; `None` of a message that is gone.
pub(in crate::adapters::store) struct Tell {
    pub message: i64,
    pub target: String,
    pub told: Told,
}

impl Write for Tell {
    type Answer = Option<u32>;

    async fn change(&self, tables: &Tables<'_>, proof: &Proof) -> Result<Option<u32>, Fault> {
        let found = tables
            .first(
                "/* store.message */ SELECT environment FROM outbox WHERE number = $1",
                values![self.message],
                Row::text,
            )
            .await?;
        let Some(environment) = found else {
            return Ok(None);
        };
        proof.covers(&environment)?;
        match &self.told {
            Told::Delivered { at } => {
                tables
                    .execute(
                        "/* store.delivered */
                        INSERT INTO deliveries (outbox_number, target, attempts, delivered_at)
                        VALUES ($1, $2, 1, $3)
                        ON CONFLICT (outbox_number, target) DO UPDATE SET
                            attempts = deliveries.attempts + 1, next_at = NULL,
                            delivered_at = excluded.delivered_at
                        WHERE deliveries.delivered_at IS NULL",
                        values![self.message, &self.target, at],
                    )
                    .await?
            }
            Told::Failed { error, next_at } => {
                tables
                    .execute(
                        "/* store.failed */
                        INSERT INTO deliveries
                            (outbox_number, target, attempts, next_at, last_error)
                        VALUES ($1, $2, 1, $3, $4)
                        ON CONFLICT (outbox_number, target) DO UPDATE SET
                            attempts = deliveries.attempts + 1, next_at = excluded.next_at,
                            last_error = excluded.last_error
                        WHERE deliveries.delivered_at IS NULL",
                        values![self.message, &self.target, next_at, error],
                    )
                    .await?
            }
        };
        self.attempts(tables).await
    }

    async fn stands(&self, tables: &Tables<'_>, counted: &Option<u32>) -> Result<bool, Fault> {
        Ok(self.attempts(tables).await? == *counted)
    }
}

impl Tell {
    /// How often the target was told the message, or tried to be.
    async fn attempts(&self, tables: &Tables<'_>) -> Result<Option<u32>, Fault> {
        tables
            .first(
                "/* store.attempts */
                SELECT attempts FROM deliveries WHERE outbox_number = $1 AND target = $2",
                values![self.message, &self.target],
                Row::count,
            )
            .await
    }
}

pub(super) async fn add_message(tables: &Tables<'_>, row: &MessageRow) -> Result<(), Fault> {
    tables
        .execute(
            "/* store.add_message */
            INSERT INTO outbox (id, kind, environment, deployment_id, body, created_at)
            VALUES ($1, $2, $3, $4, $5, $6)",
            values![
                &row.id,
                &row.kind,
                &row.environment,
                &row.deployment_id,
                &row.body,
                &row.created_at,
            ],
        )
        .await?;
    Ok(())
}

impl Tables<'_> {
    /// Whether there is a message with this id.
    pub(super) async fn has_message(&self, id: &str) -> Result<bool, Fault> {
        let found = self
            .first(
                "/* store.has_message */ SELECT 1 = 1 FROM outbox WHERE id = $1",
                values![id],
                Row::flag,
            )
            .await?;
        Ok(found.unwrap_or(false))
    }

    /// What a target is to be told, in order: those who write about an environment do so one after
    /// the other, so that no earlier message appears after a later one.
    pub(in crate::adapters::store) async fn due(
        &self,
        wanted: &WantedMessages,
    ) -> Result<Vec<DueRow>, Fault> {
        self.query(
            "/* store.due */
            SELECT o.number, o.id, o.kind, o.environment, o.deployment_id, o.body, o.created_at,
                coalesce(d.attempts, 0)
            FROM outbox o
            LEFT JOIN deliveries d ON d.outbox_number = o.number AND d.target = $2
            WHERE o.environment = $1 AND o.created_at >= $3
                AND (d.target IS NULL OR d.next_at <= $4)
            ORDER BY o.number LIMIT $5",
            values![
                &wanted.environment,
                &wanted.target,
                &wanted.not_before,
                &wanted.now,
                wanted.limit,
            ],
            |row| {
                Ok(DueRow {
                    number: row.number()?,
                    row: MessageRow {
                        id: row.text()?,
                        kind: row.text()?,
                        environment: row.text()?,
                        deployment_id: row.optional_text()?,
                        body: row.text()?,
                        created_at: row.text()?,
                    },
                    target: wanted.target.clone(),
                    attempts: row.count()?,
                })
            },
        )
        .await
    }
}
