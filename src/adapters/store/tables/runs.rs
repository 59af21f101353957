//! What the daemon set out to do.

use super::outbox::add_message;
use super::requests::add_request;
use super::{Fault, Row, Tables, Write, values};
use crate::adapters::store::Proof;
use crate::adapters::store::outbox::MessageRow;
use crate::adapters::store::requests::RequestRow;
use crate::adapters::store::runs::{RunRow, WantedRuns, covered};

/// Adds a run, with the answer to whoever asked for it.
pub(in crate::adapters::store) struct BeginRun {
    pub row: RunRow,
    pub answer: Option<RequestRow>,
}

impl Write for BeginRun {
    type Answer = ();

    async fn change(&self, tables: &Tables<'_>, proof: &Proof) -> Result<(), Fault> {
        let row = &self.row;
        proof.covers(&row.environment)?;
        tables
            .execute(
                "/* store.begin_run */
                INSERT INTO runs (id, environment, cause, scheduled_for, revision, started_at,
                    wishes, subject)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                values![
                    &row.id,
                    &row.environment,
                    &row.cause,
                    &row.scheduled_for,
                    &row.revision,
                    &row.started_at,
                    &row.wishes,
                    &row.by,
                ],
            )
            .await?;
        match &self.answer {
            Some(answer) => add_request(tables, answer).await,
            None => Ok(()),
        }
    }

    /// The id is new with every call.
    async fn stands(&self, tables: &Tables<'_>, (): &()) -> Result<bool, Fault> {
        Ok(run(tables, &self.row.id).await?.is_some())
    }
}

/// Reads a run that has not ended, lets `change` say what becomes of it and what is told about it, and writes that.
pub(in crate::adapters::store) struct ChangeRun<C> {
    pub id: String,
    pub change: C,
}

impl<C> Write for ChangeRun<C>
where
    C: Fn(&mut RunRow) -> Option<MessageRow> + Send + 'static,
{
    type Answer = RunRow;

    async fn change(&self, tables: &Tables<'_>, proof: &Proof) -> Result<RunRow, Fault> {
        let mut row = covered(run(tables, &self.id).await?, proof, &self.id)?;
        row.unended()?;
        let message = (self.change)(&mut row);
        tables
            .execute(
                "/* store.update_run */
                UPDATE runs SET finished_at = $2, outcome = $3, deployment = $4, detail = $5,
                    revision = $6, subject = $7
                WHERE id = $1",
                values![
                    &self.id,
                    &row.finished_at,
                    &row.outcome,
                    &row.deployment,
                    &row.detail,
                    &row.revision,
                    &row.by,
                ],
            )
            .await?;
        if let Some(message) = &message {
            add_message(tables, message).await?;
        }
        Ok(row)
    }

    async fn stands(&self, tables: &Tables<'_>, row: &RunRow) -> Result<bool, Fault> {
        Ok(run(tables, &self.id).await?.as_ref() == Some(row))
    }
}

/// Records that an unended run made a deployment.
pub(super) async fn attach(
    tables: &Tables<'_>,
    proof: &Proof,
    id: &str,
    deployment: &str,
) -> Result<(), Fault> {
    covered(run(tables, id).await?, proof, id)?.unended()?;
    tables
        .execute(
            "/* store.attach_run */ UPDATE runs SET deployment = $2 WHERE id = $1",
            values![id, deployment],
        )
        .await?;
    Ok(())
}

async fn run(tables: &Tables<'_>, id: &str) -> Result<Option<RunRow>, Fault> {
    let wanted = WantedRuns::Id(id.to_owned());
    Ok(tables.runs(&wanted, 1).await?.pop())
}

impl Tables<'_> {
    /// Up to `limit` runs, newest first.
    pub(in crate::adapters::store) async fn runs(
        &self,
        wanted: &WantedRuns,
        limit: u32,
    ) -> Result<Vec<RunRow>, Fault> {
        let (condition, value) = match wanted {
            WantedRuns::Id(id) => ("/* store.run */ id = $1", Some(id.as_str())),
            WantedRuns::Newest(environment) => (
                "/* store.newest_runs */ $1 IS NULL OR environment = $1",
                environment.as_deref(),
            ),
            WantedRuns::Open(environment) => (
                "/* store.open_runs */ environment = $1 AND finished_at IS NULL",
                Some(environment.as_str()),
            ),
            WantedRuns::Chained(environment) => (
                "/* store.chained_runs */ environment = $1 AND cause = 'chain'",
                Some(environment.as_str()),
            ),
            WantedRuns::Telling(environment) => (
                "/* store.telling_runs */ environment = $1
                    AND outcome NOT IN ('skipped', 'interrupted')",
                Some(environment.as_str()),
            ),
        };
        self.query(
            &format!(
                "/* store.runs */
                SELECT id, environment, cause, scheduled_for, revision, started_at, finished_at,
                    outcome, deployment, detail, wishes, subject
                FROM runs WHERE {condition} ORDER BY number DESC LIMIT $2"
            ),
            values![value, limit],
            |row| {
                Ok(RunRow {
                    id: row.text()?,
                    environment: row.text()?,
                    cause: row.text()?,
                    scheduled_for: row.optional_text()?,
                    revision: row.optional_text()?,
                    started_at: row.text()?,
                    finished_at: row.optional_text()?,
                    outcome: row.optional_text()?,
                    deployment: row.optional_text()?,
                    detail: row.optional_text()?,
                    wishes: row.optional_text()?,
                    by: row.optional_text()?,
                })
            },
        )
        .await
    }

    /// The largest time of the schedule.
    pub(in crate::adapters::store) async fn last_scheduled(
        &self,
        environment: &str,
    ) -> Result<Option<String>, Fault> {
        self.one(
            "/* store.last_scheduled */
            SELECT max(scheduled_for) FROM runs WHERE environment = $1",
            values![environment],
            Row::optional_text,
        )
        .await
    }
}
