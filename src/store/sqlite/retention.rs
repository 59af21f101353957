//! What is forgotten, in SQLite.

use super::{Fault, Sqlite};
use crate::store::Proof;
use crate::store::error::StoreError;
use crate::store::retention::{AT_A_TIME, Trim};
use rusqlite::{Connection, Params, TransactionBehavior, params};

/// What belongs to a deployment, what refers to it first.
const OF_A_DEPLOYMENT: [&str; 5] = [
    "/* store.trim_deliveries */ DELETE FROM deliveries
        WHERE outbox_number IN (SELECT number FROM outbox WHERE deployment_id = ?1)",
    "/* store.trim_outbox */ DELETE FROM outbox WHERE deployment_id = ?1",
    "/* store.trim_effects */ DELETE FROM effects WHERE deployment_id = ?1",
    "/* store.trim_events */ DELETE FROM events WHERE deployment_id = ?1",
    "/* store.trim_deployment */ DELETE FROM deployments WHERE id = ?1",
];

impl Sqlite {
    /// Forgets in one transaction; gives the removed deployments.
    pub(in crate::store) async fn trim(
        &self,
        proof: Proof,
        trim: Trim,
    ) -> Result<Vec<String>, StoreError> {
        self.call(move |connection| {
            proof.covers(&trim.environment)?;
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let removed = deployments(&transaction, &trim)?;
            for id in &removed {
                for sql in OF_A_DEPLOYMENT {
                    transaction.prepare_cached(sql)?.execute([id])?;
                }
            }
            for (id, deployment) in runs(&transaction, &trim)? {
                let is_spared = trim.spare.contains(&id)
                    || deployment.is_some_and(|deployment| trim.spare.contains(&deployment));
                if !is_spared {
                    execute(
                        &transaction,
                        "/* store.trim_run */ DELETE FROM runs WHERE id = ?1",
                        [id],
                    )?;
                }
            }
            execute(
                &transaction,
                "/* store.trim_old_deliveries */ DELETE FROM deliveries WHERE outbox_number IN
                    (SELECT number FROM outbox WHERE environment = ?1 AND created_at < ?2)",
                params![trim.environment, trim.messages_before],
            )?;
            execute(
                &transaction,
                "/* store.trim_old_outbox */
                DELETE FROM outbox WHERE environment = ?1 AND created_at < ?2",
                params![trim.environment, trim.messages_before],
            )?;
            execute(
                &transaction,
                "/* store.trim_requests */ DELETE FROM requests WHERE environment = ?1 AND at < ?2",
                params![trim.environment, trim.requests_before],
            )?;
            transaction.commit()?;
            Ok(removed)
        })
        .await
    }
}

fn execute(connection: &Connection, sql: &str, values: impl Params) -> rusqlite::Result<usize> {
    connection.prepare_cached(sql)?.execute(values)
}

/// The deployments that go, oldest first.
fn deployments(connection: &Connection, trim: &Trim) -> Result<Vec<String>, Fault> {
    let mut statement = connection.prepare_cached(
        "/* store.trimmed_deployments */
        SELECT id FROM deployments
        WHERE environment = ?1 AND active = 0 AND finished_at < ?2 AND number NOT IN (
            SELECT number FROM deployments WHERE environment = ?1 AND active = 0
            ORDER BY number DESC LIMIT ?3)
        ORDER BY number",
    )?;
    let rows = statement.query_map(
        params![trim.environment, trim.older_than, trim.keep],
        |row| row.get(0),
    )?;
    let is_spared =
        |id: &rusqlite::Result<String>| id.as_ref().is_ok_and(|id| trim.spare.contains(id));
    let ids = rows.filter(|id| !is_spared(id)).take(AT_A_TIME as usize);
    Ok(ids.collect::<Result<_, _>>()?)
}

/// The runs that go, with their deployments, unless they are spared.
fn runs(connection: &Connection, trim: &Trim) -> Result<Vec<(String, Option<String>)>, Fault> {
    let mut statement = connection.prepare_cached(
        "/* store.trimmed_runs */
        SELECT id, deployment FROM runs
        WHERE environment = ?1 AND finished_at < ?2 AND number NOT IN (
                SELECT number FROM runs WHERE environment = ?1 AND finished_at IS NOT NULL
                ORDER BY number DESC LIMIT ?3)
            AND (scheduled_for IS NULL
                OR scheduled_for < (SELECT max(scheduled_for) FROM runs WHERE environment = ?1))",
    )?;
    let rows = statement.query_map(
        params![trim.environment, trim.older_than, trim.keep],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(rows.collect::<Result<_, _>>()?)
}
