//! Corners of pull requests, in SQLite.

use super::Sqlite;
use crate::store::Proof;
use crate::store::corners::CornerRow;
use crate::store::error::StoreError;
use rusqlite::{Row, params};

impl Sqlite {
    /// Adds a corner, or replaces what is recorded of it; what is wanted of it stays.
    pub(in crate::store) async fn write_corner(
        &self,
        _: Proof,
        row: CornerRow,
    ) -> Result<(), StoreError> {
        self.call(move |connection| {
            connection
                .prepare_cached(
                    "/* store.write_corner */
                    INSERT INTO corners (id, environment, name, state, created_at, updated_at,
                        expires_at, ended_at, document)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                    ON CONFLICT (id) DO UPDATE SET state = excluded.state,
                        updated_at = excluded.updated_at, expires_at = excluded.expires_at,
                        ended_at = excluded.ended_at, document = excluded.document",
                )?
                .execute(params![
                    row.id,
                    row.environment,
                    row.name,
                    row.state,
                    row.created_at,
                    row.updated_at,
                    row.expires_at,
                    row.ended_at,
                    row.document
                ])?;
            Ok(())
        })
        .await
    }

    /// The corners of an environment that are not gone, or the one of this name.
    pub(in crate::store) async fn corners(
        &self,
        environment: String,
        name: Option<String>,
    ) -> Result<Vec<CornerRow>, StoreError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "/* store.corners */
                SELECT id, environment, name, state, created_at, updated_at, expires_at, ended_at,
                    wanted, document
                FROM corners WHERE environment = ?1 AND (?2 IS NULL OR name = ?2) AND state <> 'gone'
                ORDER BY number",
            )?;
            let rows = statement.query_map(params![environment, name], corner)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The corner of this name that was asked for last, gone or not.
    pub(in crate::store) async fn latest_corner(
        &self,
        environment: String,
        name: String,
    ) -> Result<Option<CornerRow>, StoreError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "/* store.latest_corner */
                SELECT id, environment, name, state, created_at, updated_at, expires_at, ended_at,
                    wanted, document
                FROM corners WHERE environment = ?1 AND name = ?2 ORDER BY number DESC LIMIT 1",
            )?;
            let mut rows = statement.query_map(params![environment, name], corner)?;
            Ok(rows.next().transpose()?)
        })
        .await
    }

    /// Writes which build is wanted, unless a later one is.
    pub(in crate::store) async fn want_corner(
        &self,
        environment: String,
        name: String,
        build: String,
    ) -> Result<(), StoreError> {
        self.call(move |connection| {
            connection
                .prepare_cached(
                    "/* store.want_corner */
                    UPDATE corners SET wanted = ?3
                    WHERE environment = ?1 AND name = ?2 AND state <> 'gone'
                        AND (wanted IS NULL OR wanted < ?3)",
                )?
                .execute([environment, name, build])?;
            Ok(())
        })
        .await
    }

    /// Removes corners that are gone since before this moment.
    pub(in crate::store) async fn forget_corners(
        &self,
        environment: String,
        before: String,
    ) -> Result<(), StoreError> {
        self.call(move |connection| {
            connection
                .prepare_cached(
                    "/* store.forget_corners */
                    DELETE FROM corners WHERE environment = ?1 AND state = 'gone' AND ended_at < ?2",
                )?
                .execute([environment, before])?;
            Ok(())
        })
        .await
    }
}

fn corner(row: &Row<'_>) -> rusqlite::Result<CornerRow> {
    Ok(CornerRow {
        id: row.get(0)?,
        environment: row.get(1)?,
        name: row.get(2)?,
        state: row.get(3)?,
        created_at: row.get(4)?,
        updated_at: row.get(5)?,
        expires_at: row.get(6)?,
        ended_at: row.get(7)?,
        wanted: row.get(8)?,
        document: row.get(9)?,
    })
}
