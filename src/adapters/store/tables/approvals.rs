//! Who approved what.

use super::{Fault, Row, Tables, values};
use crate::adapters::store::approvals::ApprovalRow;

impl Tables<'_> {
    /// Adds an approval of what is ready, unless this person has given one. Done twice it is the same.
    pub(in crate::adapters::store) async fn approve(&self, row: &ApprovalRow) -> Result<(), Fault> {
        self.execute(
            "/* store.approve */
            INSERT INTO approvals (deployment_id, person, subject, recipe, at)
            SELECT $1, $2, $3, $4, $5 FROM deployments WHERE id = $1 AND state = 'ready'
            ON CONFLICT (deployment_id, person) DO NOTHING",
            values![
                &row.deployment_id,
                &row.person,
                &row.subject,
                &row.recipe,
                &row.at,
            ],
        )
        .await?;
        Ok(())
    }

    /// The approvals of a deployment, in order.
    pub(in crate::adapters::store) async fn approvals(
        &self,
        id: &str,
    ) -> Result<Vec<ApprovalRow>, Fault> {
        self.query(
            "/* store.approvals */
            SELECT deployment_id, person, subject, recipe, at FROM approvals
            WHERE deployment_id = $1 ORDER BY at, person",
            values![id],
            |row: &mut Row| {
                Ok(ApprovalRow {
                    deployment_id: row.text()?,
                    person: row.text()?,
                    subject: row.text()?,
                    recipe: row.optional_text()?,
                    at: row.text()?,
                })
            },
        )
        .await
    }
}
