//! Runs in PostgreSQL.

use super::Postgres;
use super::fault::Fault;
use super::outbox::add_message;
use super::requests::add_request;
use super::rows::text;
use crate::store::Proof;
use crate::store::error::StoreError;
use crate::store::requests::RequestRow;
use crate::store::runs::{RunChange, RunRow, WantedRuns, covered};
use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Row};

impl Postgres {
    /// Adds a run, with the answer to whoever asked for it.
    pub(in crate::store) async fn begin_run(
        &self,
        proof: Proof,
        row: RunRow,
        answer: Option<RequestRow>,
    ) -> Result<(), StoreError> {
        self.call(async move |link| {
            proof.covers(&row.environment)?;
            link.write(
                &proof,
                async |transaction| {
                    transaction
                        .execute_typed(
                            "/* store.begin_run */
                            INSERT INTO runs (id, environment, cause, scheduled_for, revision,
                                started_at, wishes, subject)
                            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                            &[
                                text(&row.id),
                                text(&row.environment),
                                text(&row.cause),
                                (&row.scheduled_for, Type::TEXT),
                                (&row.revision, Type::TEXT),
                                text(&row.started_at),
                                (&row.wishes, Type::TEXT),
                                (&row.by, Type::TEXT),
                            ],
                        )
                        .await?;
                    match &answer {
                        Some(answer) => add_request(transaction, answer).await,
                        None => Ok(()),
                    }
                },
                // The id is new with every call.
                async |transaction, ()| Ok(run_of(transaction, &row.id).await?.is_some()),
            )
            .await
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
        self.call(async move |link| {
            link.write(
                &proof,
                async |transaction| {
                    let found = run_of(transaction, &id).await?;
                    let RunChange { row, message } = decide(covered(found, &proof, &id)?)?;
                    transaction
                        .execute_typed(
                            "/* store.update_run */
                            UPDATE runs SET finished_at = $2, outcome = $3, deployment = $4,
                                detail = $5, revision = $6, subject = $7
                            WHERE id = $1",
                            &[
                                text(&id),
                                (&row.finished_at, Type::TEXT),
                                (&row.outcome, Type::TEXT),
                                (&row.deployment, Type::TEXT),
                                (&row.detail, Type::TEXT),
                                (&row.revision, Type::TEXT),
                                (&row.by, Type::TEXT),
                            ],
                        )
                        .await?;
                    if let Some(message) = &message {
                        add_message(transaction, message).await?;
                    }
                    Ok(row)
                },
                async |transaction, row| Ok(run_of(transaction, &id).await?.as_ref() == Some(row)),
            )
            .await
        })
        .await
    }

    /// Up to `limit` runs, newest first.
    pub(in crate::store) async fn runs(
        &self,
        wanted: WantedRuns,
        limit: u32,
    ) -> Result<Vec<RunRow>, StoreError> {
        self.call(async move |link| {
            link.read(async |client| runs_of(client, &wanted, limit).await)
                .await
        })
        .await
    }

    /// The largest time of the schedule.
    pub(in crate::store) async fn last_scheduled(
        &self,
        environment: String,
    ) -> Result<Option<String>, StoreError> {
        self.call(async move |link| {
            link.read(async |client| {
                let row = client
                    .query_typed_one(
                        "/* store.last_scheduled */
                        SELECT max(scheduled_for) FROM runs WHERE environment = $1",
                        &[text(&environment)],
                    )
                    .await?;
                Ok(row.try_get(0)?)
            })
            .await
        })
        .await
    }
}

/// Records that an unended run made a deployment.
pub(super) async fn attach(
    client: &impl GenericClient,
    proof: &Proof,
    id: &String,
    deployment: &String,
) -> Result<(), Fault> {
    covered(run_of(client, id).await?, proof, id)?.unended()?;
    client
        .execute_typed(
            "/* store.attach_run */ UPDATE runs SET deployment = $2 WHERE id = $1",
            &[text(id), text(deployment)],
        )
        .await?;
    Ok(())
}

async fn run_of(client: &impl GenericClient, id: &str) -> Result<Option<RunRow>, Fault> {
    let wanted = WantedRuns::Id(id.to_owned());
    Ok(runs_of(client, &wanted, 1).await?.pop())
}

async fn runs_of(
    client: &impl GenericClient,
    wanted: &WantedRuns,
    limit: u32,
) -> Result<Vec<RunRow>, Fault> {
    let (condition, value) = match wanted {
        WantedRuns::Id(id) => ("/* store.run */ id = $1", Some(id)),
        WantedRuns::Newest(environment) => (
            "/* store.newest_runs */ $1 IS NULL OR environment = $1",
            environment.as_ref(),
        ),
        WantedRuns::Open(environment) => (
            "/* store.open_runs */ environment = $1 AND finished_at IS NULL",
            Some(environment),
        ),
        WantedRuns::Telling(environment) => (
            "/* store.telling_runs */ environment = $1
                AND outcome NOT IN ('skipped', 'interrupted')",
            Some(environment),
        ),
    };
    let rows = client
        .query_typed(
            &format!(
                "/* store.runs */
                SELECT id, environment, cause, scheduled_for, revision, started_at, finished_at,
                    outcome, deployment, detail, wishes, subject
                FROM runs WHERE {condition} ORDER BY number DESC LIMIT $2"
            ),
            &[(&value, Type::TEXT), (&i64::from(limit), Type::INT8)],
        )
        .await?;
    rows.iter().map(run_row).collect()
}

fn run_row(row: &Row) -> Result<RunRow, Fault> {
    Ok(RunRow {
        id: row.try_get(0)?,
        environment: row.try_get(1)?,
        cause: row.try_get(2)?,
        scheduled_for: row.try_get(3)?,
        revision: row.try_get(4)?,
        started_at: row.try_get(5)?,
        finished_at: row.try_get(6)?,
        outcome: row.try_get(7)?,
        deployment: row.try_get(8)?,
        detail: row.try_get(9)?,
        wishes: row.try_get(10)?,
        by: row.try_get(11)?,
    })
}
