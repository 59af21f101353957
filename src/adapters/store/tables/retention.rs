//! What is forgotten.

use super::{Fault, Tables, Value, Write, values};
use crate::adapters::store::Proof;
use crate::adapters::store::retention::{AT_A_TIME, Trim};
use crate::adapters::store::row::Wanted;

/// What belongs to deployments, what refers to them first; `IDS` stands for their ids.
const OF_DEPLOYMENTS: [&str; 6] = [
    "/* store.trim_deliveries */ DELETE FROM deliveries WHERE outbox_number IN
        (SELECT number FROM outbox WHERE deployment_id IN (IDS))",
    "/* store.trim_outbox */ DELETE FROM outbox WHERE deployment_id IN (IDS)",
    "/* store.trim_approvals */ DELETE FROM approvals WHERE deployment_id IN (IDS)",
    "/* store.trim_effects */ DELETE FROM effects WHERE deployment_id IN (IDS)",
    "/* store.trim_events */ DELETE FROM events WHERE deployment_id IN (IDS)",
    "/* store.trim_deployments */ DELETE FROM deployments WHERE id IN (IDS)",
];

/// What is old, in this order: the messages of which, told or not.
const OLD_DELIVERIES: &str = "/* store.trim_old_deliveries */
    DELETE FROM deliveries WHERE outbox_number IN
        (SELECT number FROM outbox WHERE environment = $1 AND created_at < $2)";
const OLD_MESSAGES: &str = "/* store.trim_old_outbox */
    DELETE FROM outbox WHERE environment = $1 AND created_at < $2";
const OLD_ANSWERS: &str = "/* store.trim_requests */
    DELETE FROM requests WHERE environment = $1 AND at < $2";

/// Gives the removed deployments.
impl Write for Trim {
    type Answer = Vec<String>;

    async fn change(&self, tables: &Tables<'_>, proof: &Proof) -> Result<Vec<String>, Fault> {
        proof.covers(&self.environment)?;
        let removed = self.deployments(tables).await?;
        for sql in OF_DEPLOYMENTS {
            delete(tables, sql, &removed).await?;
        }
        let runs = self.runs(tables).await?;
        let sql = "/* store.trim_runs */ DELETE FROM runs WHERE id IN (IDS)";
        for runs in runs.chunks(AT_A_TIME) {
            delete(tables, sql, runs).await?;
        }
        for (sql, before) in [
            (OLD_DELIVERIES, &self.messages_before),
            (OLD_MESSAGES, &self.messages_before),
            (OLD_ANSWERS, &self.requests_before),
        ] {
            let values = values![&self.environment, before];
            tables.execute(sql, values).await?;
        }
        Ok(removed)
    }

    async fn stands(&self, tables: &Tables<'_>, removed: &Vec<String>) -> Result<bool, Fault> {
        match removed.first() {
            Some(id) => Ok(tables.head(&Wanted::Id(id.clone())).await?.is_none()),
            None => Ok(false),
        }
    }
}

impl Trim {
    /// The deployments that go, oldest first. Their ends are compared here: the column has the order of the
    /// database's language in PostgreSQL.
    async fn deployments(&self, tables: &Tables<'_>) -> Result<Vec<String>, Fault> {
        let is_active = tables.is_active();
        let ended = tables
            .query(
                &format!(
                    "/* store.trimmed_deployments */
                    SELECT id, finished_at FROM deployments
                    WHERE environment = $1 AND NOT ({is_active}) AND number NOT IN (
                        SELECT number FROM deployments
                        WHERE environment = $1 AND NOT ({is_active})
                        ORDER BY number DESC LIMIT $2)
                    ORDER BY number"
                ),
                values![&self.environment, self.keep],
                |row| Ok((row.text()?, row.text()?)),
            )
            .await?;
        let go = ended
            .into_iter()
            .filter(|(id, at)| *at < self.older_than && !self.spare.contains(id))
            .map(|(id, _)| id);
        Ok(go.take(AT_A_TIME).collect())
    }

    /// The runs that go.
    async fn runs(&self, tables: &Tables<'_>) -> Result<Vec<String>, Fault> {
        let ended = tables
            .query(
                "/* store.trimmed_runs */
                SELECT id, deployment FROM runs
                WHERE environment = $1 AND finished_at < $2 AND number NOT IN (
                        SELECT number FROM runs WHERE environment = $1 AND finished_at IS NOT NULL
                        ORDER BY number DESC LIMIT $3)
                    AND (scheduled_for IS NULL OR scheduled_for <
                        (SELECT max(scheduled_for) FROM runs WHERE environment = $1))
                    AND (cause <> 'chain' OR number <
                        (SELECT max(number) FROM runs WHERE environment = $1 AND cause = 'chain'))",
                values![&self.environment, &self.older_than, self.keep],
                |row| Ok((row.text()?, row.optional_text()?)),
            )
            .await?;
        let is_spared = |id: &String| self.spare.contains(id);
        let go = ended
            .into_iter()
            .filter(|(id, deployment)| {
                !is_spared(id) && !deployment.as_ref().is_some_and(is_spared)
            })
            .map(|(id, _)| id);
        Ok(go.collect())
    }
}

/// Sends a statement about these ids, where there are any.
async fn delete(tables: &Tables<'_>, sql: &str, ids: &[String]) -> Result<(), Fault> {
    if ids.is_empty() {
        return Ok(());
    }
    let places: Vec<String> = (1..=ids.len()).map(|place| format!("${place}")).collect();
    let values: Vec<Value<'_>> = ids.iter().map(Value::from).collect();
    let sql = sql.replace("IDS", &places.join(", "));
    tables.execute(&sql, &values).await?;
    Ok(())
}
