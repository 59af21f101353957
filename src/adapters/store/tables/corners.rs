//! Corners of pull requests.

use super::{Fault, Row, Tables, Write, values};
use crate::adapters::store::Proof;
use crate::adapters::store::corners::CornerRow;

const CORNER: &str = "id, environment, name, state, created_at, updated_at, expires_at, ended_at,
    wanted, document";

/// Adds a corner, or replaces what is recorded of it; what is wanted of it stays. Which lead covers a corner is
/// looked at before.
pub(in crate::adapters::store) struct WriteCorner(pub CornerRow);

impl Write for WriteCorner {
    type Answer = ();

    async fn change(&self, tables: &Tables<'_>, _: &Proof) -> Result<(), Fault> {
        let Self(row) = self;
        tables
            .execute(
                "/* store.write_corner */
                INSERT INTO corners (id, environment, name, state, created_at, updated_at,
                    expires_at, ended_at, document)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                ON CONFLICT (id) DO UPDATE SET state = excluded.state,
                    updated_at = excluded.updated_at, expires_at = excluded.expires_at,
                    ended_at = excluded.ended_at, document = excluded.document",
                values![
                    &row.id,
                    &row.environment,
                    &row.name,
                    &row.state,
                    &row.created_at,
                    &row.updated_at,
                    &row.expires_at,
                    &row.ended_at,
                    &row.document,
                ],
            )
            .await?;
        Ok(())
    }

    /// A second time the same is written.
    async fn stands(&self, _: &Tables<'_>, (): &()) -> Result<bool, Fault> {
        Ok(false)
    }
}

impl Tables<'_> {
    /// The corners of an environment that are not gone, or the one of this name.
    pub(in crate::adapters::store) async fn corners(
        &self,
        environment: &str,
        name: Option<&str>,
    ) -> Result<Vec<CornerRow>, Fault> {
        self.query(
            &format!(
                "/* store.corners */
                SELECT {CORNER} FROM corners
                WHERE environment = $1 AND ($2 IS NULL OR name = $2) AND state <> 'gone'
                ORDER BY number"
            ),
            values![environment, name],
            corner,
        )
        .await
    }

    /// The corner of this name that was asked for last, gone or not.
    pub(in crate::adapters::store) async fn latest_corner(
        &self,
        environment: &str,
        name: &str,
    ) -> Result<Option<CornerRow>, Fault> {
        self.first(
            &format!(
                "/* store.latest_corner */
                SELECT {CORNER} FROM corners WHERE environment = $1 AND name = $2
                ORDER BY number DESC LIMIT 1"
            ),
            values![environment, name],
            corner,
        )
        .await
    }

    /// Writes which build is wanted, unless a later one is. Done twice it is the same.
    pub(in crate::adapters::store) async fn want_corner(
        &self,
        environment: &str,
        name: &str,
        build: &str,
    ) -> Result<(), Fault> {
        self.execute(
            "/* store.want_corner */
            UPDATE corners SET wanted = $3
            WHERE environment = $1 AND name = $2 AND state <> 'gone'
                AND (wanted IS NULL OR wanted < $3)",
            values![environment, name, build],
        )
        .await?;
        Ok(())
    }

    /// Removes corners that are gone since before this moment. Done twice it is the same.
    pub(in crate::adapters::store) async fn forget_corners(
        &self,
        environment: &str,
        before: &str,
    ) -> Result<(), Fault> {
        self.execute(
            "/* store.forget_corners */
            DELETE FROM corners WHERE environment = $1 AND state = 'gone' AND ended_at < $2",
            values![environment, before],
        )
        .await?;
        Ok(())
    }
}

fn corner(row: &mut Row) -> Result<CornerRow, Fault> {
    Ok(CornerRow {
        id: row.text()?,
        environment: row.text()?,
        name: row.text()?,
        state: row.text()?,
        created_at: row.text()?,
        updated_at: row.text()?,
        expires_at: row.text()?,
        ended_at: row.optional_text()?,
        wanted: row.optional_text()?,
        document: row.text()?,
    })
}
