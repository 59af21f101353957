//! Who approved which deployment.
//!
//! Durable: one row for each person, added while the deployment is ready and never changed. Whoever approves need not
//! lead: the process that does reads the rows before it promotes.

use super::error::StoreError;
use super::row::Of;
use super::tables::Tables;
use super::{Store, acting, now, stamp, written};
use crate::domain::records::approval::{Approval, person};
use crate::domain::records::subject::Subject;
use crate::domain::records::text::storable;

/// A row of `approvals`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ApprovalRow {
    pub deployment_id: String,
    pub person: String,
    pub subject: String,
    pub recipe: Option<String>,
    pub at: String,
}

impl ApprovalRow {
    fn approval(&self) -> Result<Approval, StoreError> {
        let of = Of {
            record: "deployment",
            id: &self.deployment_id,
        };
        Ok(Approval {
            by: of.document("who approved", &self.subject)?,
            at: of.time("when", &self.at)?,
            recipe: self.recipe.clone(),
        })
    }
}

/// What came of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approving {
    /// It is on record.
    Recorded,
    /// This person had approved before.
    Again,
    /// The deployment is not ready, or not any more.
    NotReady,
}

impl Store {
    /// Records that a deployment is approved, which must be ready. Nobody need lead anything.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn approve(
        &self,
        id: &str,
        by: &Subject,
        recipe: Option<&str>,
    ) -> Result<Approving, StoreError> {
        let row = ApprovalRow {
            deployment_id: id.to_owned(),
            person: storable(person(by).unwrap_or_default().to_lowercase()),
            subject: acting::stored(by)?,
            recipe: recipe.map(str::to_owned),
            at: stamp(now()),
        };
        let wanted = id.to_owned();
        let before = self.read(async move |tables| tables.approvals(&wanted).await);
        let is_theirs = |known: &ApprovalRow| known.person == row.person;
        if before.await?.iter().any(is_theirs) {
            return Ok(Approving::Again);
        }
        // Sent again after a lost answer it finds what it wrote itself.
        let work = {
            let row = row.clone();
            async move |tables: &Tables<'_>| {
                tables.approve(&row).await?;
                tables.approvals(&row.deployment_id).await
            }
        };
        let rows = written(self.read(work)).await?;
        let found = rows.into_iter().find(|found| found.person == row.person);
        Ok(match found {
            Some(found) if found == row => Approving::Recorded,
            Some(_) => Approving::Again,
            None => Approving::NotReady,
        })
    }

    /// Who approved a deployment, in order.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub async fn approvals(&self, id: &str) -> Result<Vec<Approval>, StoreError> {
        let id = id.to_owned();
        let rows = self.read(async move |tables| tables.approvals(&id).await);
        rows.await?.iter().map(ApprovalRow::approval).collect()
    }
}
