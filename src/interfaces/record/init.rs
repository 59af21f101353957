//! What `init` prints.

use serde::Serialize;
use std::path::PathBuf;

/// `init`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InitView {
    /// The project's folder.
    pub folder: PathBuf,
    /// Where the project was read from.
    pub project: String,
    /// The environment.
    pub environment: String,
    /// The dbt target, whose entry of `vars.deployment` it is about.
    pub target: String,
    /// The server; `None` where it was not seen.
    pub server: Option<String>,
    /// The schemas to list.
    pub schemas: Vec<String>,
    /// The clusters to list.
    pub clusters: Vec<String>,
    /// What is not listed, and why.
    pub left_out: Vec<LeftOutView>,
    /// What is listed and not in production yet.
    pub missing: Vec<String>,
    /// What a plan of it would refuse.
    pub refusals: Vec<String>,
    /// What could not be seen.
    pub unseen: Vec<String>,
    /// What else is to be known.
    pub notes: Vec<String>,
    /// The files to write.
    pub files: Vec<WrittenFile>,
    /// Whether they were written.
    pub written: bool,
}

/// A schema or cluster that is not listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOutView {
    /// `schema` or `cluster`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Why.
    pub why: Vec<String>,
    /// What would have to be done to list it.
    pub remedy: Option<String>,
}

/// A file that is written, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenFile {
    /// Where.
    pub path: PathBuf,
    /// Whether there is none yet.
    pub is_new: bool,
    /// What changes, a unified difference.
    pub diff: String,
}
