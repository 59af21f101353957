//! What others are to be told, in PostgreSQL.

use super::Postgres;
use super::fault::Fault;
use super::rows::{number, text};
use crate::store::Proof;
use crate::store::error::StoreError;
use crate::store::outbox::{DueRow, MessageRow, Told, WantedMessages};
use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

impl Postgres {
    /// What a target is to be told, in order: those who write about an environment do so one after
    /// the other, so that no earlier message appears after a later one.
    pub(in crate::store) async fn due(
        &self,
        wanted: WantedMessages,
    ) -> Result<Vec<DueRow>, StoreError> {
        self.call(async move |link| {
            link.read(async |client| {
                let rows = client
                    .query_typed(
                        "/* store.due */
                        SELECT o.number, o.id, o.kind, o.environment, o.deployment_id, o.body,
                            o.created_at, coalesce(d.attempts, 0)
                        FROM outbox o
                        LEFT JOIN deliveries d ON d.outbox_number = o.number AND d.target = $2
                        WHERE o.environment = $1 AND o.created_at >= $3
                            AND (d.target IS NULL OR d.next_at <= $4)
                        ORDER BY o.number LIMIT $5",
                        &[
                            text(&wanted.environment),
                            text(&wanted.target),
                            text(&wanted.not_before),
                            text(&wanted.now),
                            (&i64::from(wanted.limit), Type::INT8),
                        ],
                    )
                    .await?;
                rows.iter()
                    .map(|row| {
                        Ok(DueRow {
                            number: row.try_get(0)?,
                            row: MessageRow {
                                id: row.try_get(1)?,
                                kind: row.try_get(2)?,
                                environment: row.try_get(3)?,
                                deployment_id: row.try_get(4)?,
                                body: row.try_get(5)?,
                                created_at: row.try_get(6)?,
                            },
                            target: wanted.target.clone(),
                            attempts: number(row, 7)?,
                        })
                    })
                    .collect()
            })
            .await
        })
        .await
    }

    /// Records how telling a target ended, in one transaction.
    pub(in crate::store) async fn told(
        &self,
        proof: Proof,
        message: i64,
        target: String,
        told: Told,
    ) -> Result<(), StoreError> {
        self.call(async move |link| {
            link.write(
                &proof,
                async |transaction| {
                    let found = transaction
                        .query_typed(
                            "/* store.message */ SELECT environment FROM outbox WHERE number = $1",
                            &[(&message, Type::INT8)],
                        )
                        .await?;
                    let Some(found) = found.first() else {
                        return Ok(None);
                    };
                    proof.covers(found.try_get(0)?)?;
                    record(transaction, message, &target, &told).await?;
                    attempts(transaction, message, &target).await
                },
                async |transaction, counted| {
                    Ok(attempts(transaction, message, &target).await? == *counted)
                },
            )
            .await?;
            Ok(())
        })
        .await
    }
}

async fn record(
    client: &impl GenericClient,
    message: i64,
    target: &String,
    told: &Told,
) -> Result<(), Fault> {
    match told {
        Told::Delivered { at } => {
            client
                .execute_typed(
                    "/* store.delivered */
                    INSERT INTO deliveries (outbox_number, target, attempts, delivered_at)
                    VALUES ($1, $2, 1, $3)
                    ON CONFLICT (outbox_number, target) DO UPDATE SET
                        attempts = deliveries.attempts + 1, next_at = NULL,
                        delivered_at = excluded.delivered_at
                    WHERE deliveries.delivered_at IS NULL",
                    &[(&message, Type::INT8), text(target), text(at)],
                )
                .await?
        }
        Told::Failed { error, next_at } => {
            client
                .execute_typed(
                    "/* store.failed */
                    INSERT INTO deliveries (outbox_number, target, attempts, next_at, last_error)
                    VALUES ($1, $2, 1, $3, $4)
                    ON CONFLICT (outbox_number, target) DO UPDATE SET
                        attempts = deliveries.attempts + 1, next_at = excluded.next_at,
                        last_error = excluded.last_error
                    WHERE deliveries.delivered_at IS NULL",
                    &[
                        (&message, Type::INT8),
                        text(target),
                        (next_at, Type::TEXT),
                        text(error),
                    ],
                )
                .await?
        }
    };
    Ok(())
}

/// How often a target was told a message, or tried to be.
async fn attempts(
    client: &impl GenericClient,
    message: i64,
    target: &String,
) -> Result<Option<u32>, Fault> {
    let rows = client
        .query_typed(
            "/* store.attempts */
            SELECT attempts FROM deliveries WHERE outbox_number = $1 AND target = $2",
            &[(&message, Type::INT8), text(target)],
        )
        .await?;
    rows.first().map(|row| number(row, 0)).transpose()
}

pub(super) async fn add_message(
    client: &impl GenericClient,
    row: &MessageRow,
) -> Result<(), Fault> {
    client
        .execute_typed(
            "/* store.add_message */
            INSERT INTO outbox (id, kind, environment, deployment_id, body, created_at)
            VALUES ($1, $2, $3, $4, $5, $6)",
            &[
                text(&row.id),
                text(&row.kind),
                text(&row.environment),
                (&row.deployment_id, Type::TEXT),
                text(&row.body),
                text(&row.created_at),
            ],
        )
        .await?;
    Ok(())
}
