//! What others are to be told, in SQLite.

use super::Sqlite;
use crate::store::Proof;
use crate::store::error::StoreError;
use crate::store::outbox::{DueRow, MessageRow, Told, WantedMessages};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

impl Sqlite {
    /// What a target is to be told, in order.
    pub(in crate::store) async fn due(
        &self,
        wanted: WantedMessages,
    ) -> Result<Vec<DueRow>, StoreError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "/* store.due */
                SELECT o.number, o.id, o.kind, o.environment, o.deployment_id, o.body,
                    o.created_at, coalesce(d.attempts, 0)
                FROM outbox o
                LEFT JOIN deliveries d ON d.outbox_number = o.number AND d.target = ?2
                WHERE o.environment = ?1 AND o.created_at >= ?3
                    AND (d.target IS NULL OR d.next_at <= ?4)
                ORDER BY o.number LIMIT ?5",
            )?;
            let WantedMessages {
                environment,
                target,
                not_before,
                now,
                limit,
            } = wanted;
            let rows = statement.query_map(
                params![environment, target, not_before, now, limit],
                |row| {
                    Ok(DueRow {
                        number: row.get(0)?,
                        row: MessageRow {
                            id: row.get(1)?,
                            kind: row.get(2)?,
                            environment: row.get(3)?,
                            deployment_id: row.get(4)?,
                            body: row.get(5)?,
                            created_at: row.get(6)?,
                        },
                        target: target.clone(),
                        attempts: row.get(7)?,
                    })
                },
            )?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Records how telling a target ended, in one transaction.
    pub(in crate::store) async fn told(
        &self,
        proof: Proof,
        number: i64,
        target: String,
        told: Told,
    ) -> Result<(), StoreError> {
        self.call(move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let environment: Option<String> = transaction
                .prepare_cached(
                    "/* store.message */ SELECT environment FROM outbox WHERE number = ?1",
                )?
                .query_row([number], |row| row.get(0))
                .optional()?;
            let Some(environment) = environment else {
                return Ok(());
            };
            proof.covers(&environment)?;
            match told {
                Told::Delivered { at } => transaction
                    .prepare_cached(
                        "/* store.delivered */
                        INSERT INTO deliveries (outbox_number, target, attempts, delivered_at)
                        VALUES (?1, ?2, 1, ?3)
                        ON CONFLICT (outbox_number, target) DO UPDATE SET
                            attempts = attempts + 1, next_at = NULL,
                            delivered_at = excluded.delivered_at
                        WHERE deliveries.delivered_at IS NULL",
                    )?
                    .execute(params![number, target, at])?,
                Told::Failed { error, next_at } => transaction
                    .prepare_cached(
                        "/* store.failed */
                        INSERT INTO deliveries
                            (outbox_number, target, attempts, next_at, last_error)
                        VALUES (?1, ?2, 1, ?3, ?4)
                        ON CONFLICT (outbox_number, target) DO UPDATE SET
                            attempts = attempts + 1, next_at = excluded.next_at,
                            last_error = excluded.last_error
                        WHERE deliveries.delivered_at IS NULL",
                    )?
                    .execute(params![number, target, next_at, error])?,
            };
            Ok(transaction.commit()?)
        })
        .await
    }
}

pub(super) fn add_message(connection: &Connection, row: &MessageRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "/* store.add_message */
            INSERT INTO outbox (id, kind, environment, deployment_id, body, created_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            row.id,
            row.kind,
            row.environment,
            row.deployment_id,
            row.body,
            row.created_at
        ])?;
    Ok(())
}
