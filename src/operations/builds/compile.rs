//! SQL of nodes, as it reads production.
//!
//! Nodes are compiled without a question to the server (`--no-introspect`), which is quicker and tells which
//! of them ask: dbt then stops at the first one with an error that names its file. So nodes that look as if
//! they ask are compiled apart. Those that do are compiled when they are built, since what they read may be
//! another by then.

use super::{Builds, DeploymentError, read_manifest, same_project};
use crate::adapters::dbt::invocation::Compilation;
use crate::adapters::dbt::{BuildError, Invocation};
use crate::foundation::failure::with_causes;
use crate::inputs::manifest::run_results::CompileResults;
use crate::inputs::manifest::{Manifest, ResourceType};
use crate::inputs::outcome::reads::{Questions, texts_of};
use crate::planning::planner::candidate::Candidate;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

/// How often a compilation begins anew without a node that turned out to ask the server, before all that is
/// left is taken to ask.
const ROUNDS: usize = 5;

/// What was compiled.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Compiled {
    /// Unique id → SQL.
    pub sql: BTreeMap<String, String>,
    /// Nodes that ask the server while they are compiled, by unique id.
    pub asking: BTreeSet<String>,
}

impl Compiled {
    /// What a compilation gave; nothing where it wrote nothing that can be read.
    pub(super) fn of(invocation: &Invocation) -> Self {
        let sql = sql(&invocation.target_dir.join("run_results.json"));
        Self {
            sql: sql.unwrap_or_default(),
            asking: BTreeSet::new(),
        }
    }

    /// Takes the SQL of models that a process wrote as files (`<package>/<file of the model>`, see
    /// `ParsedNode.get_target_write_path` in `dbt.contracts.graph.nodes`). What it did not write is not taken.
    ///
    /// # Errors
    /// [`DeploymentError::Run`] where a file cannot be read.
    pub(super) fn take_written(
        &mut self,
        manifest: &Manifest,
        invocation: &Invocation,
    ) -> Result<(), DeploymentError> {
        let folder = invocation.target_dir.join("compiled");
        for (id, node) in &manifest.nodes {
            if node.resource_type != ResourceType::Model || node.is_ephemeral() {
                continue;
            }
            let path = folder
                .join(&node.package_name)
                .join(&node.original_file_path);
            match std::fs::read_to_string(&path) {
                Ok(sql) => {
                    self.sql.insert(id.clone(), sql);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(source) => {
                    return Err(DeploymentError::Run {
                        path: path.display().to_string(),
                        source,
                    });
                }
            }
        }
        Ok(())
    }
}

impl Builds {
    /// The SQL of one node, as it reads production. It may ask the server.
    ///
    /// # Errors
    /// dbt's; [`DeploymentError::Failed`] when the node does not compile, or the project changed.
    pub async fn compile(
        &self,
        candidate: &Candidate,
        id: &str,
    ) -> Result<String, DeploymentError> {
        let compiled = self.compile_node(candidate, id).await;
        compiled.map_err(|error| self.or_full(error))
    }

    async fn compile_node(
        &self,
        candidate: &Candidate,
        id: &str,
    ) -> Result<String, DeploymentError> {
        if let Some(bundle) = &self.bundle {
            return Self::bundled_sql(bundle, id);
        }
        let compilation = Compilation {
            selectors: selectors(candidate, &BTreeSet::from([id]))?,
            may_ask: true,
            ..Compilation::default()
        };
        let invocation = self.invoker.compile(&compilation).await?;
        same_project(&read_manifest(&invocation)?, &candidate.hash)?;
        let path = invocation.target_dir.join("run_results.json");
        let sql = sql(&path)?;
        plain(sql.get(id).map(String::as_str))
            .ok_or_else(|| DeploymentError::Failed(format!("dbt compile gave no SQL for {id}")))
    }

    /// The SQL of these nodes, none of which makes a seed or nothing. Those that ask the server are told.
    ///
    /// # Errors
    /// dbt's, with the node and its file; [`DeploymentError::Failed`] when a node gave no SQL.
    pub async fn compile_all(
        &self,
        manifest: &Manifest,
        candidate: &Candidate,
        wanted: &BTreeSet<&str>,
    ) -> Result<Compiled, DeploymentError> {
        let compiled = self.compile_in_passes(manifest, candidate, wanted).await;
        compiled.map_err(|error| self.or_full(error))
    }

    async fn compile_in_passes(
        &self,
        manifest: &Manifest,
        candidate: &Candidate,
        wanted: &BTreeSet<&str>,
    ) -> Result<Compiled, DeploymentError> {
        let mut compiled = Compiled::default();
        let suspects = Questions::of(manifest).nodes(wanted);
        let quiet: BTreeSet<&str> = wanted.difference(&suspects).copied().collect();
        for group in [quiet, suspects] {
            let mut left = group;
            for round in 0.. {
                if left.is_empty() {
                    break;
                }
                if round == ROUNDS {
                    compiled.asking.extend(left.iter().map(ToString::to_string));
                    break;
                }
                match self.pass(manifest, candidate, &left).await {
                    Ok(sql) => {
                        compiled.sql.extend(sql);
                        break;
                    }
                    Err(DeploymentError::Build(BuildError::Introspected { file, .. })) => {
                        let asking = left.iter().copied().filter(|id| is_in(manifest, id, &file));
                        let asking: BTreeSet<&str> = asking.collect();
                        if asking.is_empty() {
                            return Err(DeploymentError::Failed(format!(
                                "dbt says that {file} asks the server while it is compiled, which is no file of a node that was to be compiled"
                            )));
                        }
                        left.retain(|id| !asking.contains(id));
                        compiled
                            .asking
                            .extend(asking.iter().map(ToString::to_string));
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(compiled)
    }

    async fn pass(
        &self,
        manifest: &Manifest,
        candidate: &Candidate,
        wanted: &BTreeSet<&str>,
    ) -> Result<BTreeMap<String, String>, DeploymentError> {
        let compilation = compilation(manifest, candidate, wanted)?;
        let invocation = self.invoker.compile(&compilation).await?;
        let mut sql = sql(&invocation.target_dir.join("run_results.json"))?;
        sql.retain(|id, _| wanted.contains(id.as_str()));
        if let Some(missing) = wanted.iter().find(|id| !sql.contains_key(**id)) {
            return Err(DeploymentError::Failed(format!(
                "dbt compile gave no SQL for {missing}"
            )));
        }
        Ok(sql)
    }
}

/// What makes dbt compile these nodes, and where that is shorter some more.
fn compilation(
    manifest: &Manifest,
    candidate: &Candidate,
    wanted: &BTreeSet<&str>,
) -> Result<Compilation, DeploymentError> {
    let models: BTreeSet<&str> = manifest
        .nodes
        .iter()
        .filter(|(_, node)| node.resource_type.as_str() == "model")
        .map(|(id, _)| id.as_str())
        .collect();
    // dbt goes through all nodes for each selector, and ephemeral models are compiled with their readers.
    let unwanted: BTreeSet<&str> = models
        .difference(wanted)
        .copied()
        .filter(|id| {
            !manifest
                .nodes
                .get(*id)
                .is_some_and(|node| node.is_ephemeral())
        })
        .collect();
    let others: BTreeSet<&str> = wanted.difference(&models).copied().collect();
    if wanted.len() - others.len() <= unwanted.len() {
        return Ok(Compilation {
            selectors: selectors(candidate, wanted)?,
            ..Compilation::default()
        });
    }
    let mut selected = vec!["resource_type:model".to_owned()];
    selected.extend(selectors(candidate, &others)?);
    Ok(Compilation {
        selectors: selected,
        excluded: selectors(candidate, &unwanted)?,
        ..Compilation::default()
    })
}

/// SQL without white space around it and a semicolon at its end; `None` where nothing is left.
pub(super) fn plain(code: Option<&str>) -> Option<String> {
    let code = code?.trim();
    let code = code.strip_suffix(';').unwrap_or(code).trim_end();
    (!code.is_empty()).then(|| code.to_owned())
}

pub(super) fn selectors(
    candidate: &Candidate,
    wanted: &BTreeSet<&str>,
) -> Result<Vec<String>, DeploymentError> {
    candidate
        .selectors(wanted)
        .map_err(|error| DeploymentError::Failed(with_causes(&error)))
}

/// Whether the text of this file stands in the SQL of a node.
fn is_in(manifest: &Manifest, id: &str, file: &str) -> bool {
    texts_of(manifest, id)
        .iter()
        .any(|node| node.original_file_path == file)
}

/// The SQL of every node that compiled, by unique id; none where dbt wrote no results.
pub(super) fn sql(path: &std::path::Path) -> Result<BTreeMap<String, String>, DeploymentError> {
    let results = CompileResults::read(path)
        .map_err(|error| DeploymentError::Failed(format!("dbt compile: {error}")))?;
    Ok(results
        .results
        .into_iter()
        .filter(|result| result.status.is_good())
        .filter_map(|result| Some((result.unique_id, result.compiled_code?)))
        .collect())
}
