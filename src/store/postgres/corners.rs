//! Corners of pull requests, in PostgreSQL.

use super::Postgres;
use super::fault::Fault;
use super::rows::text;
use crate::store::Proof;
use crate::store::corners::CornerRow;
use crate::store::error::StoreError;
use tokio_postgres::Row;
use tokio_postgres::types::Type;

impl Postgres {
    /// Adds a corner, or replaces what is recorded of it; what is wanted of it stays.
    pub(in crate::store) async fn write_corner(
        &self,
        proof: Proof,
        row: CornerRow,
    ) -> Result<(), StoreError> {
        self.call(async move |link| {
            link.write(
                &proof,
                async |transaction| {
                    transaction
                        .execute_typed(
                            "/* store.write_corner */
                            INSERT INTO corners (id, environment, name, state, created_at,
                                updated_at, expires_at, ended_at, document)
                            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                            ON CONFLICT (id) DO UPDATE SET state = excluded.state,
                                updated_at = excluded.updated_at, expires_at = excluded.expires_at,
                                ended_at = excluded.ended_at, document = excluded.document",
                            &[
                                text(&row.id),
                                text(&row.environment),
                                text(&row.name),
                                text(&row.state),
                                text(&row.created_at),
                                text(&row.updated_at),
                                text(&row.expires_at),
                                (&row.ended_at, Type::TEXT),
                                text(&row.document),
                            ],
                        )
                        .await?;
                    Ok(())
                },
                // A second time the same is written.
                async |_, ()| Ok(false),
            )
            .await
        })
        .await
    }

    /// The corners of an environment that are not gone, or the one of this name.
    pub(in crate::store) async fn corners(
        &self,
        environment: String,
        name: Option<String>,
    ) -> Result<Vec<CornerRow>, StoreError> {
        self.call(async move |link| {
            link.read(async |client| {
                let rows = client
                    .query_typed(
                        "/* store.corners */
                        SELECT id, environment, name, state, created_at, updated_at, expires_at,
                            ended_at, wanted, document
                        FROM corners
                        WHERE environment = $1 AND ($2 IS NULL OR name = $2) AND state <> 'gone'
                        ORDER BY number",
                        &[text(&environment), (&name, Type::TEXT)],
                    )
                    .await?;
                rows.iter().map(corner).collect()
            })
            .await
        })
        .await
    }

    /// The corner of this name that was asked for last, gone or not.
    pub(in crate::store) async fn latest_corner(
        &self,
        environment: String,
        name: String,
    ) -> Result<Option<CornerRow>, StoreError> {
        self.call(async move |link| {
            link.read(async |client| {
                let rows = client
                    .query_typed(
                        "/* store.latest_corner */
                        SELECT id, environment, name, state, created_at, updated_at, expires_at,
                            ended_at, wanted, document
                        FROM corners WHERE environment = $1 AND name = $2
                        ORDER BY number DESC LIMIT 1",
                        &[text(&environment), text(&name)],
                    )
                    .await?;
                rows.first().map(corner).transpose()
            })
            .await
        })
        .await
    }

    /// Writes which build is wanted, unless a later one is. Done twice it is the same.
    pub(in crate::store) async fn want_corner(
        &self,
        environment: String,
        name: String,
        build: String,
    ) -> Result<(), StoreError> {
        self.call(async move |link| {
            link.read(async |client| {
                client
                    .execute_typed(
                        "/* store.want_corner */
                        UPDATE corners SET wanted = $3
                        WHERE environment = $1 AND name = $2 AND state <> 'gone'
                            AND (wanted IS NULL OR wanted < $3)",
                        &[text(&environment), text(&name), text(&build)],
                    )
                    .await?;
                Ok(())
            })
            .await
        })
        .await
    }

    /// Removes corners that are gone since before this moment. Done twice it is the same.
    pub(in crate::store) async fn forget_corners(
        &self,
        environment: String,
        before: String,
    ) -> Result<(), StoreError> {
        self.call(async move |link| {
            link.read(async |client| {
                client
                    .execute_typed(
                        "/* store.forget_corners */
                        DELETE FROM corners
                        WHERE environment = $1 AND state = 'gone' AND ended_at < $2",
                        &[text(&environment), text(&before)],
                    )
                    .await?;
                Ok(())
            })
            .await
        })
        .await
    }
}

fn corner(row: &Row) -> Result<CornerRow, Fault> {
    Ok(CornerRow {
        id: row.try_get(0)?,
        environment: row.try_get(1)?,
        name: row.try_get(2)?,
        state: row.try_get(3)?,
        created_at: row.try_get(4)?,
        updated_at: row.try_get(5)?,
        expires_at: row.try_get(6)?,
        ended_at: row.try_get(7)?,
        wanted: row.try_get(8)?,
        document: row.try_get(9)?,
    })
}
