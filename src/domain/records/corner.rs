//! Corners of pull requests, as the journal keeps them.

use crate::foundation::word::stored_words;
use jiff::Timestamp;
use serde::Serialize;

stored_words! {
    /// How far a corner is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum CornerState: "state of a corner" {
        /// It waits until there is room.
        Waiting = "waiting",
        /// It is being made, or made again.
        Building = "building",
        /// The last build of it has ended.
        Standing = "standing",
        /// It is being dropped.
        Leaving = "leaving",
        /// Nothing of it is left.
        Gone = "gone",
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

/// What is led when a corner is worked on, so that several corners of an environment, and its releases, are worked
/// on at once.
#[must_use]
pub fn corner_lead(environment: &str, name: &str) -> String {
    format!("ci:{environment}:{name}")
}
