//! Corners of pull requests.
//!
//! Durable: each corner with its document, written whole; which build of it was asked for last. Only the process
//! that holds the [`Lead`] of a corner writes about it; who wants another build says so without it.

use super::error::StoreError;
use super::lead::Lead;
use super::row::Of;
use super::{Store, json, now, stamp, storable};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far a corner is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CornerState {
    /// It waits until there is room.
    Waiting,
    /// It is being made, or made again.
    Building,
    /// The last build of it has ended.
    Standing,
    /// It is being dropped.
    Leaving,
    /// Nothing of it is left.
    Gone,
}

impl CornerState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Waiting,
        Self::Building,
        Self::Standing,
        Self::Leaving,
        Self::Gone,
    ];

    /// The word that is stored and shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Building => "building",
            Self::Standing => "standing",
            Self::Leaving => "leaving",
            Self::Gone => "gone",
        }
    }

    fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl fmt::Display for CornerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The corner of a pull request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Corner {
    /// Its id.
    pub id: String,
    /// The environment whose production it reads.
    pub environment: String,
    /// What the pull request is called.
    pub name: String,
    /// How far it is.
    pub state: CornerState,
    /// When it was asked for first.
    pub created_at: Timestamp,
    /// When something was recorded last.
    pub updated_at: Timestamp,
    /// From when on anybody may collect it.
    pub expires_at: Timestamp,
    /// When nothing of it was left any more.
    pub ended_at: Option<Timestamp>,
    /// The build that was asked for last, where one had to be asked for.
    pub wanted: Option<String>,
    /// What belongs to it.
    pub document: serde_json::Value,
}

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
        let state = CornerState::named(&self.state)
            .ok_or_else(|| of.unreadable("the state", format!("{:?} is none", self.state)))?;
        Ok(Corner {
            state,
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

/// What is led when a corner is worked on, so that several corners of an environment, and its releases, are worked
/// on at once.
#[must_use]
pub fn corner_lead(environment: &str, name: &str) -> String {
    format!("ci:{environment}:{name}")
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
        written!(self.write_corner(proof, row))
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
        let rows = backend!(self.corners(environment.to_owned(), Some(name.to_owned())))?;
        rows.into_iter().next().map(CornerRow::corner).transpose()
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
        let row = backend!(self.latest_corner(environment.to_owned(), name.to_owned()))?;
        row.map(CornerRow::corner).transpose()
    }

    /// The corners of an environment that are not gone, in the order in which they were asked for.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub async fn corners(&self, environment: &str) -> Result<Vec<Corner>, StoreError> {
        let rows = backend!(self.corners(environment.to_owned(), None))?;
        rows.into_iter().map(CornerRow::corner).collect()
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
        written!(self.want_corner(environment, name, build.to_owned()))
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
        written!(self.forget_corners(environment.to_owned(), stamp(before)))
    }
}
