//! Planned nodes as the server's planner sees them, before anything is built: columns, types, what may be null, and
//! what is wrong with their SQL.
//!
//! Each node is made in a temporary view, which reads its parents' temporary views. Nobody else sees these, and they
//! go with the session, however it ends; nothing is computed and no cluster is needed. A change of the catalog costs
//! the server ten times the planning of a query, and it makes one at a time; so nodes share views, also with nodes that
//! they read. The names of their columns, which that takes, come from a description of the query. Where a shared
//! view is refused, each of its nodes gets a view of its own, and what the server says then is said of that node.

use crate::adapters::materialize::{Materialize, MaterializeError};
use crate::domain::catalog::Column;
use crate::domain::progress::Reporter;
use crate::foundation::failure::with_causes;
use crate::inputs::manifest::Manifest;
use crate::operations::builds::Builds;
use crate::operations::error::DeploymentError;
use crate::planning::recipe::document::{Item, Recipe};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

mod look;
/// Which line of which file an error is about.
pub mod source_line;
mod stand;

/// What nodes are described with.
#[derive(Debug)]
pub struct Looking<'a> {
    /// The server.
    pub materialize: &'a Materialize,
    /// The project's files.
    pub builds: &'a Builds,
    /// Its manifest.
    pub manifest: &'a Manifest,
    /// The database.
    pub database: &'a str,
    /// What the release makes outside of its schemas before the build, by unique id: what reads it waits for it.
    pub to_be_made: &'a BTreeSet<String>,
    /// The longest time for one statement.
    pub limit: Duration,
    /// Who is told.
    pub reporter: &'a Reporter,
    /// When to stop.
    pub stop: &'a CancellationToken,
}

/// What the server said of the nodes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Described {
    /// Columns in order of the nodes that it took, by unique id.
    pub columns: BTreeMap<String, Vec<Column>>,
    /// The nodes that it refused, or that break their contract.
    pub failed: BTreeMap<String, Failure>,
    /// Nodes that read one of these: unique id → which.
    pub skipped: BTreeMap<String, String>,
    /// Sources that are to be made, which no view can stand for, and what reads them: unique id → the source.
    pub apart: BTreeMap<String, String>,
    /// How long each took, in seconds.
    pub seconds: BTreeMap<String, f64>,
}

/// Why the server refused a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it said.
    pub message: String,
    /// The line of the node's file, from 1, as far as that is known.
    pub line: Option<u32>,
}

/// What the server said, without what was sent to it.
#[must_use]
pub fn said(error: &MaterializeError) -> String {
    match error {
        MaterializeError::Refused {
            message, detail, ..
        } => format!("{message}{detail}"),
        MaterializeError::Unreachable { .. }
        | MaterializeError::Authentication { .. }
        | MaterializeError::Lost { .. }
        | MaterializeError::Conflict { .. }
        | MaterializeError::Deadline { .. }
        | MaterializeError::Several { .. }
        | MaterializeError::Unexpected { .. }
        | MaterializeError::TooOld { .. }
        | MaterializeError::Tls(_) => with_causes(error),
    }
}

impl Looking<'_> {
    /// Describes every node of a recipe; `None` when somebody asked to stop.
    ///
    /// # Errors
    /// The server's, when it does not answer. A node that it refuses is none.
    pub async fn describe(&self, recipe: &Recipe) -> Result<Option<Described>, DeploymentError> {
        if recipe.items.is_empty() {
            return Ok(Some(Described::default()));
        }
        let session = self.materialize.own_session_within(self.limit).await?;
        look::Look::begin(self, &session, recipe).all(recipe).await
    }
}

/// Items that do not read each other, level by level: each reads only what is in levels before its own.
fn levels(recipe: &Recipe) -> Vec<Vec<&Item>> {
    let mut level_of: BTreeMap<&str, usize> = BTreeMap::new();
    let mut levels: Vec<Vec<&Item>> = Vec::new();
    for item in &recipe.items {
        let parents = item.after.iter();
        let parents = parents.filter_map(|parent| level_of.get(parent.as_str()));
        let level = parents.max().map_or(0, |level| level + 1);
        level_of.insert(&item.unique_id, level);
        match levels.get_mut(level) {
            Some(items) => items.push(item),
            None => levels.push(vec![item]),
        }
    }
    levels
}

#[cfg(test)]
mod tests;
