//! Answers that were given, in SQLite.

use super::Sqlite;
use crate::store::Proof;
use crate::store::error::StoreError;
use crate::store::requests::RequestRow;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

impl Sqlite {
    /// Adds an answer unless there is one; gives the one that stands.
    pub(in crate::store) async fn remember(
        &self,
        proof: Proof,
        row: RequestRow,
    ) -> Result<RequestRow, StoreError> {
        self.call(move |connection| {
            proof.covers(&row.environment)?;
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            add_request(&transaction, &row)?;
            let stored = request_of(&transaction, &row.environment, &row.key)?;
            transaction.commit()?;
            Ok(stored.unwrap_or(row))
        })
        .await
    }

    /// The answer that was given.
    pub(in crate::store) async fn remembered(
        &self,
        environment: String,
        key: String,
    ) -> Result<Option<RequestRow>, StoreError> {
        self.call(move |connection| Ok(request_of(connection, &environment, &key)?))
            .await
    }
}

/// Adds an answer unless there is one under its key.
pub(super) fn add_request(connection: &Connection, row: &RequestRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "/* store.remember */
            INSERT INTO requests (environment, key, fingerprint, answer, at)
            VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (environment, key) DO NOTHING",
        )?
        .execute(params![
            row.environment,
            row.key,
            row.fingerprint,
            row.answer,
            row.at
        ])?;
    Ok(())
}

fn request_of(
    connection: &Connection,
    environment: &str,
    key: &str,
) -> rusqlite::Result<Option<RequestRow>> {
    connection
        .prepare_cached(
            "/* store.remembered */
            SELECT environment, key, fingerprint, answer, at FROM requests
            WHERE environment = ?1 AND key = ?2",
        )?
        .query_row([environment, key], |row| {
            Ok(RequestRow {
                environment: row.get(0)?,
                key: row.get(1)?,
                fingerprint: row.get(2)?,
                answer: row.get(3)?,
                at: row.get(4)?,
            })
        })
        .optional()
}
