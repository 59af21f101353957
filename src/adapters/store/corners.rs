//! Corners of pull requests.
//!
//! Durable: each corner with its document, written whole; which build of it was asked for last. Only the process
//! that holds the [`Lead`] of a corner writes about it; who wants another build says so without it.

use super::error::StoreError;
use super::lead::Lead;
use super::row::Of;
use super::tables::Tables;
use super::tables::corners::WriteCorner;
use super::{Store, json, now, stamp, written};
use crate::domain::records::corner::{Corner, corner_lead};
use crate::domain::records::text::storable;
use jiff::Timestamp;

/// A row of `corners`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CornerRow {
    pub id: String,
    pub environment: String,
    pub name: String,
    pub state: String,
    pub created_at: String,
    pub updated_at: String,
    pub expires_at: String,
    pub ended_at: Option<String>,
    pub wanted: Option<String>,
    pub document: String,
}

impl CornerRow {
    fn of(corner: &Corner) -> Result<Self, StoreError> {
        Ok(Self {
            id: corner.id.clone(),
            environment: corner.environment.clone(),
            name: storable(corner.name.clone()),
            state: corner.state.as_str().to_owned(),
            created_at: stamp(corner.created_at),
            updated_at: stamp(now()),
            expires_at: stamp(corner.expires_at),
            ended_at: corner.ended_at.map(stamp),
            wanted: None,
            document: json("the corner", &corner.document)?,
        })
    }

    fn corner(self) -> Result<Corner, StoreError> {
        let of = Of {
            record: "corner",
            id: &self.id,
        };
        Ok(Corner {
            state: of.word("the state", &self.state)?,
            created_at: of.time("the time", &self.created_at)?,
            updated_at: of.time("the time", &self.updated_at)?,
            expires_at: of.time("the time", &self.expires_at)?,
            ended_at: of.optional_time("the time", self.ended_at.as_deref())?,
            document: of.document("the document", &self.document)?,
            id: self.id,
            environment: self.environment,
            name: self.name,
            wanted: self.wanted,
        })
    }
}

impl Store {
    /// Records a corner whole, a new one or another state of one. What is wanted of it stays.
    ///
    /// # Errors
    /// [`StoreError::WrongLead`] when something else than this corner is led, and when another corner stands under
    /// its name.
    pub async fn write_corner(&self, lead: &Lead, corner: &Corner) -> Result<(), StoreError> {
        let proof = self.proof(lead)?;
        proof.covers(&corner_lead(&corner.environment, &corner.name))?;
        let row = CornerRow::of(corner)?;
        self.write(proof, WriteCorner(row)).await
    }

    /// The corner of this name that is not gone.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub async fn corner(
        &self,
        environment: &str,
        name: &str,
    ) -> Result<Option<Corner>, StoreError> {
        let (environment, name) = (environment.to_owned(), name.to_owned());
        let rows = self.read(async move |tables| tables.corners(&environment, Some(&name)).await);
        rows.await?
            .into_iter()
            .next()
            .map(CornerRow::corner)
            .transpose()
    }

    /// The corner of this name that was asked for last, also when it is gone and not forgotten yet.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub async fn latest_corner(
        &self,
        environment: &str,
        name: &str,
    ) -> Result<Option<Corner>, StoreError> {
        let (environment, name) = (environment.to_owned(), name.to_owned());
        let row = self.read(async move |tables| tables.latest_corner(&environment, &name).await);
        row.await?.map(CornerRow::corner).transpose()
    }

    /// The corners of an environment that are not gone, in the order in which they were asked for.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub async fn corners(&self, environment: &str) -> Result<Vec<Corner>, StoreError> {
        let environment = environment.to_owned();
        let rows = self.read(async move |tables| tables.corners(&environment, None).await);
        rows.await?.into_iter().map(CornerRow::corner).collect()
    }

    /// Asks whoever builds a corner to make way for this build, whose id orders after those of earlier ones. Where a
    /// later one has asked already, that one stays. Nobody need lead anything.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn want_corner(
        &self,
        environment: &str,
        name: &str,
        build: &str,
    ) -> Result<(), StoreError> {
        let (environment, name) = (environment.to_owned(), name.to_owned());
        let build = build.to_owned();
        let work =
            async move |tables: &Tables<'_>| tables.want_corner(&environment, &name, &build).await;
        written(self.read(work)).await
    }

    /// Forgets corners that are gone since before this moment.
    ///
    /// # Errors
    /// When the rows cannot be removed.
    pub async fn forget_corners(
        &self,
        environment: &str,
        before: Timestamp,
    ) -> Result<(), StoreError> {
        let (environment, before) = (environment.to_owned(), stamp(before));
        let work =
            async move |tables: &Tables<'_>| tables.forget_corners(&environment, &before).await;
        written(self.read(work)).await
    }
}
