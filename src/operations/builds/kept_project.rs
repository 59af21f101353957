//! The project of a release as a bundle, which is kept when the release goes live, so that somebody can go back to it.
//!
//! Durable: two files in the run's folder, written with the plan: what it was compiled for, and the SQL of all of it.
//! The manifest, the outcomes and the seeds are read when it is kept.

use super::bundled::{not_json, run};
use super::{Builds, Compiled, DeploymentError, Parsed, manifest_error, written};
use crate::inputs::manifest::{Manifest, ResourceType};
use crate::inputs::outcome::{KeptSql, MadeFrom, Outcomes};
use crate::inputs::project::Deployment;
use crate::operations::builds::native::qualify::is_plain;
use crate::operations::bundle::{self, About, Contents};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// What is known of the SQL of a project when it is planned.
#[derive(Clone, Copy)]
pub struct Sql<'a> {
    /// What comes out of it.
    pub outcomes: &'a Outcomes,
    /// What was compiled for earlier releases.
    pub kept: Option<&'a KeptSql>,
}

impl Sql<'_> {
    fn of<'a>(&'a self, compiled: &'a Compiled, id: &str) -> Option<&'a str> {
        let now = compiled.sql.get(id).map(String::as_str);
        now.or_else(|| self.kept.and_then(|kept| kept.sql(self.outcomes, id)))
    }

    /// Unique ids of the nodes and tests that have SQL to be kept.
    fn wanted<'m>(&self, manifest: &'m Manifest, compiled: &Compiled) -> BTreeSet<&'m str> {
        let has_sql = |id: &str| {
            let outcome = self.outcomes.nodes.get(id);
            outcome.is_some_and(|outcome| matches!(outcome.made_from, MadeFrom::Sql(_)))
        };
        let nodes = manifest.nodes.iter().filter(|(id, node)| {
            let is_test = node.resource_type == ResourceType::Test && is_plain(manifest, node);
            (has_sql(id) || is_test) && !compiled.asking.contains(*id)
        });
        nodes.map(|(id, _)| id.as_str()).collect()
    }
}

impl Builds {
    /// Compiles what neither this plan nor an earlier release compiled, so that all of it can be kept. Seldom is
    /// there anything: a test that is new on a node that did not change.
    ///
    /// # Errors
    /// dbt's.
    pub async fn complete(
        &self,
        parsed: &Parsed,
        sql: Sql<'_>,
        compiled: &mut Compiled,
    ) -> Result<(), DeploymentError> {
        let lacking: BTreeSet<&str> = sql
            .wanted(&parsed.manifest, compiled)
            .into_iter()
            .filter(|id| sql.of(compiled, id).is_none())
            .collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let more = self
            .compile_all(&parsed.manifest, &parsed.candidate, &lacking)
            .await?;
        compiled.sql.extend(more.sql);
        compiled.asking.extend(more.asking);
        Ok(())
    }

    /// Writes what is kept of the project besides manifest, outcomes and seeds into the run's folder.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn remember_project(
        &self,
        parsed: &Parsed,
        (deployment, revision): (&Deployment, Option<String>),
        sql: Sql<'_>,
        compiled: &Compiled,
    ) -> Result<(), DeploymentError> {
        let about = self.about(parsed, deployment, revision);
        let nodes = sql.outcomes.nodes.iter();
        let asking = nodes.filter(|(_, it)| it.made_from == MadeFrom::KnownWhenBuilt);
        let asking = asking.map(|(id, _)| id.clone());
        let wanted = sql.wanted(&parsed.manifest, compiled).into_iter();
        let known = wanted.filter_map(|id| Some((id.to_owned(), sql.of(compiled, id)?.to_owned())));
        let compiled = bundle::Compiled {
            sql: known.collect(),
            asking: compiled.asking.iter().cloned().chain(asking).collect(),
        };
        let bytes = serde_json::to_vec(&(about, compiled)).map_err(not_json)?;
        let path = self.project_file();
        std::fs::write(&path, bytes).map_err(|source| self.or_full(run(&path, source)))
    }

    /// The project as it is kept; `None` where this machine has not what was written with the plan.
    ///
    /// # Errors
    /// Files that cannot be read, and a seed that is another by now.
    pub fn project_to_keep(&self, outcomes: &[u8]) -> Result<Option<Contents>, DeploymentError> {
        if let Some(bundle) = &self.bundle {
            return Ok(Some(bundle.contents()?));
        }
        let Some(bytes) = written(&self.project_file())? else {
            return Ok(None);
        };
        let (about, compiled): (About, bundle::Compiled) =
            serde_json::from_slice(&bytes).map_err(not_json)?;
        let compiled = Compiled {
            sql: compiled.sql,
            asking: compiled.asking,
        };
        let outcomes: Outcomes = serde_json::from_slice(outcomes).map_err(not_json)?;
        let path = self.folder().join("parse/target/manifest.json");
        let manifest = Manifest::read(&path).map_err(manifest_error)?;
        let files: BTreeMap<String, Vec<u8>> = self.files(&manifest, &outcomes, &compiled)?;
        Ok(Some(Contents { about, files }))
    }

    fn project_file(&self) -> PathBuf {
        self.folder().join("project.json")
    }
}
