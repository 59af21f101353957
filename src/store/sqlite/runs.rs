//! Runs in SQLite.

use super::outbox::add_message;
use super::requests::add_request;
use super::{Fault, Sqlite};
use crate::store::Proof;
use crate::store::error::StoreError;
use crate::store::requests::RequestRow;
use crate::store::runs::{RunChange, RunRow, WantedRuns, covered};
use rusqlite::{Connection, Row, TransactionBehavior, params};

impl Sqlite {
    /// Adds a run, with the answer to whoever asked for it.
    pub(in crate::store) async fn begin_run(
        &self,
        proof: Proof,
        row: RunRow,
        answer: Option<RequestRow>,
    ) -> Result<(), StoreError> {
        self.call(move |connection| {
            proof.covers(&row.environment)?;
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction
                .prepare_cached(
                    "/* store.begin_run */
                    INSERT INTO runs
                        (id, environment, cause, scheduled_for, revision, started_at, wishes,
                        subject)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                )?
                .execute(params![
                    row.id,
                    row.environment,
                    row.cause,
                    row.scheduled_for,
                    row.revision,
                    row.started_at,
                    row.wishes,
                    row.by
                ])?;
            if let Some(answer) = &answer {
                add_request(&transaction, answer)?;
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    /// Reads a run, lets `decide` say what becomes of it, and writes that, in one transaction.
    pub(in crate::store) async fn change_run(
        &self,
        proof: Proof,
        id: String,
        decide: impl Fn(RunRow) -> Result<RunChange, StoreError> + Send + 'static,
    ) -> Result<RunRow, StoreError> {
        self.call(move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let found = runs_of(&transaction, &WantedRuns::Id(id.clone()), 1)?.pop();
            let RunChange { row, message } = decide(covered(found, &proof, &id)?)?;
            transaction
                .prepare_cached(
                    "/* store.update_run */
                    UPDATE runs SET finished_at = ?2, outcome = ?3, deployment = ?4, detail = ?5,
                        revision = ?6, subject = ?7
                    WHERE id = ?1",
                )?
                .execute(params![
                    id,
                    row.finished_at,
                    row.outcome,
                    row.deployment,
                    row.detail,
                    row.revision,
                    row.by
                ])?;
            if let Some(message) = &message {
                add_message(&transaction, message)?;
            }
            transaction.commit()?;
            Ok(row)
        })
        .await
    }

    /// Up to `limit` runs, newest first.
    pub(in crate::store) async fn runs(
        &self,
        wanted: WantedRuns,
        limit: u32,
    ) -> Result<Vec<RunRow>, StoreError> {
        self.call(move |connection| Ok(runs_of(connection, &wanted, limit)?))
            .await
    }

    /// The largest time of the schedule.
    pub(in crate::store) async fn last_scheduled(
        &self,
        environment: String,
    ) -> Result<Option<String>, StoreError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "/* store.last_scheduled */
                SELECT max(scheduled_for) FROM runs WHERE environment = ?1",
            )?;
            Ok(statement.query_row([environment], |row| row.get(0))?)
        })
        .await
    }
}

/// Records that an unended run made a deployment.
pub(super) fn attach(
    connection: &Connection,
    proof: &Proof,
    id: &str,
    deployment: &str,
) -> Result<(), Fault> {
    let found = runs_of(connection, &WantedRuns::Id(id.to_owned()), 1)?.pop();
    covered(found, proof, id)?.unended()?;
    connection
        .prepare_cached("/* store.attach_run */ UPDATE runs SET deployment = ?2 WHERE id = ?1")?
        .execute(params![id, deployment])?;
    Ok(())
}

fn runs_of(
    connection: &Connection,
    wanted: &WantedRuns,
    limit: u32,
) -> rusqlite::Result<Vec<RunRow>> {
    let (condition, value) = match wanted {
        WantedRuns::Id(id) => ("/* store.run */ id = ?1", Some(id)),
        WantedRuns::Newest(environment) => (
            "/* store.newest_runs */ ?1 IS NULL OR environment = ?1",
            environment.as_ref(),
        ),
        WantedRuns::Open(environment) => (
            "/* store.open_runs */ environment = ?1 AND finished_at IS NULL",
            Some(environment),
        ),
        WantedRuns::Telling(environment) => (
            "/* store.telling_runs */ environment = ?1
                AND outcome NOT IN ('skipped', 'interrupted')",
            Some(environment),
        ),
    };
    connection
        .prepare_cached(&format!(
            "/* store.runs */
            SELECT id, environment, cause, scheduled_for, revision, started_at, finished_at,
                outcome, deployment, detail, wishes, subject
            FROM runs WHERE {condition} ORDER BY number DESC LIMIT ?2"
        ))?
        .query_map(params![value, limit], run_row)?
        .collect()
}

fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        id: row.get(0)?,
        environment: row.get(1)?,
        cause: row.get(2)?,
        scheduled_for: row.get(3)?,
        revision: row.get(4)?,
        started_at: row.get(5)?,
        finished_at: row.get(6)?,
        outcome: row.get(7)?,
        deployment: row.get(8)?,
        detail: row.get(9)?,
        wishes: row.get(10)?,
        by: row.get(11)?,
    })
}
