//! Answers that were given, in PostgreSQL.

use super::Postgres;
use super::fault::Fault;
use super::rows::text;
use crate::store::Proof;
use crate::store::error::StoreError;
use crate::store::requests::RequestRow;
use tokio_postgres::GenericClient;

impl Postgres {
    /// Adds an answer unless there is one; gives the one that stands.
    pub(in crate::store) async fn remember(
        &self,
        proof: Proof,
        row: RequestRow,
    ) -> Result<RequestRow, StoreError> {
        self.call(async move |link| {
            proof.covers(&row.environment)?;
            link.write(
                &proof,
                async |transaction| {
                    add_request(transaction, &row).await?;
                    let stored = request_of(transaction, &row.environment, &row.key).await?;
                    Ok(stored.unwrap_or_else(|| row.clone()))
                },
                // A second time the first one is found.
                async |_, _| Ok(false),
            )
            .await
        })
        .await
    }

    /// The answer that was given.
    pub(in crate::store) async fn remembered(
        &self,
        environment: String,
        key: String,
    ) -> Result<Option<RequestRow>, StoreError> {
        self.call(async move |link| {
            link.read(async |client| request_of(client, &environment, &key).await)
                .await
        })
        .await
    }
}

/// Adds an answer unless there is one under its key.
pub(super) async fn add_request(
    client: &impl GenericClient,
    row: &RequestRow,
) -> Result<(), Fault> {
    client
        .execute_typed(
            "/* store.remember */
            INSERT INTO requests (environment, key, fingerprint, answer, at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT (environment, key) DO NOTHING",
            &[
                text(&row.environment),
                text(&row.key),
                text(&row.fingerprint),
                text(&row.answer),
                text(&row.at),
            ],
        )
        .await?;
    Ok(())
}

async fn request_of(
    client: &impl GenericClient,
    environment: &String,
    key: &String,
) -> Result<Option<RequestRow>, Fault> {
    let rows = client
        .query_typed(
            "/* store.remembered */
            SELECT environment, key, fingerprint, answer, at FROM requests
            WHERE environment = $1 AND key = $2",
            &[text(environment), text(key)],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(RequestRow {
        environment: row.try_get(0)?,
        key: row.try_get(1)?,
        fingerprint: row.try_get(2)?,
        answer: row.try_get(3)?,
        at: row.try_get(4)?,
    }))
}
