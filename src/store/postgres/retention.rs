//! What is forgotten, in PostgreSQL.

use super::Postgres;
use super::fault::Fault;
use super::link::Value;
use super::rows::{head_of, text};
use crate::store::Proof;
use crate::store::error::StoreError;
use crate::store::retention::{AT_A_TIME, Trim};
use crate::store::row::Wanted;
use tokio_postgres::GenericClient;
use tokio_postgres::types::Type;

/// What belongs to deployments, what refers to them first.
const OF_DEPLOYMENTS: [&str; 5] = [
    "/* store.trim_deliveries */ DELETE FROM deliveries WHERE outbox_number IN
        (SELECT number FROM outbox WHERE deployment_id = ANY ($1))",
    "/* store.trim_outbox */ DELETE FROM outbox WHERE deployment_id = ANY ($1)",
    "/* store.trim_effects */ DELETE FROM effects WHERE deployment_id = ANY ($1)",
    "/* store.trim_events */ DELETE FROM events WHERE deployment_id = ANY ($1)",
    "/* store.trim_deployments */ DELETE FROM deployments WHERE id = ANY ($1)",
];

impl Postgres {
    /// Forgets in one transaction; gives the removed deployments.
    pub(in crate::store) async fn trim(
        &self,
        proof: Proof,
        trim: Trim,
    ) -> Result<Vec<String>, StoreError> {
        self.call(async move |link| {
            proof.covers(&trim.environment)?;
            link.write(
                &proof,
                async |transaction| {
                    let removed = deployments(transaction, &trim).await?;
                    for sql in OF_DEPLOYMENTS {
                        let ids: [Value<'_>; 1] = [(&removed, Type::TEXT_ARRAY)];
                        transaction.execute_typed(sql, &ids).await?;
                    }
                    the_rest(transaction, &trim).await?;
                    Ok(removed)
                },
                async |transaction, removed| match removed.first() {
                    Some(id) => {
                        let wanted = Wanted::Id(id.clone());
                        Ok(head_of(transaction, &wanted).await?.is_none())
                    }
                    None => Ok(false),
                },
            )
            .await
        })
        .await
    }
}

/// The deployments that go, oldest first.
async fn deployments(client: &impl GenericClient, trim: &Trim) -> Result<Vec<String>, Fault> {
    let rows = client
        .query_typed(
            "/* store.trimmed_deployments */
            SELECT id FROM deployments
            WHERE environment = $1 AND NOT active AND finished_at COLLATE \"C\" < $2
                AND id <> ALL ($3) AND number NOT IN (
                    SELECT number FROM deployments WHERE environment = $1 AND NOT active
                    ORDER BY number DESC LIMIT $4)
            ORDER BY number LIMIT $5",
            &[
                text(&trim.environment),
                text(&trim.older_than),
                (&trim.spare, Type::TEXT_ARRAY),
                (&i64::from(trim.keep), Type::INT8),
                (&i64::from(AT_A_TIME), Type::INT8),
            ],
        )
        .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Runs, messages and answers that are old.
async fn the_rest(client: &impl GenericClient, trim: &Trim) -> Result<(), Fault> {
    client
        .execute_typed(
            "/* store.trim_runs */
            DELETE FROM runs
            WHERE environment = $1 AND finished_at < $2 AND id <> ALL ($3)
                AND (deployment IS NULL OR deployment <> ALL ($3))
                AND number NOT IN (
                    SELECT number FROM runs WHERE environment = $1 AND finished_at IS NOT NULL
                    ORDER BY number DESC LIMIT $4)
                AND (scheduled_for IS NULL OR scheduled_for <
                    (SELECT max(scheduled_for) FROM runs WHERE environment = $1))",
            &[
                text(&trim.environment),
                text(&trim.older_than),
                (&trim.spare, Type::TEXT_ARRAY),
                (&i64::from(trim.keep), Type::INT8),
            ],
        )
        .await?;
    let old = [text(&trim.environment), text(&trim.messages_before)];
    client
        .execute_typed(
            "/* store.trim_old_deliveries */ DELETE FROM deliveries WHERE outbox_number IN
                (SELECT number FROM outbox WHERE environment = $1 AND created_at < $2)",
            &old,
        )
        .await?;
    client
        .execute_typed(
            "/* store.trim_old_outbox */
            DELETE FROM outbox WHERE environment = $1 AND created_at < $2",
            &old,
        )
        .await?;
    client
        .execute_typed(
            "/* store.trim_requests */ DELETE FROM requests WHERE environment = $1 AND at < $2",
            &[text(&trim.environment), text(&trim.requests_before)],
        )
        .await?;
    Ok(())
}
