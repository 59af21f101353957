//! What comes out of each node of the project, compiled as far as needed.
//!
//! What the baseline knows is taken where every input is the same; the rest is compiled. The whole is written
//! into the run's folder and hashed into the plan, so that what is kept when the release goes live is what was
//! planned from, whoever goes on with it and wherever.

use super::{Builds, Compiled, DeploymentError, Green, Parsed};
use crate::adapters::dbt::BuildError;
use crate::adapters::dbt::version::Version;
use crate::domain::plan::Plan;
use crate::domain::plan::inputs::Inputs;
use crate::inputs::manifest::{Manifest, Node, ResourceType};
use crate::inputs::outcome::reads::Reads;
use crate::inputs::outcome::{self, Before, Hooks, KeptSql, Outcomes};
use crate::inputs::project::dbt_project::circumstances::Circumstances;
use crate::inputs::project::dbt_project::with_packages;
use crate::inputs::project::{Switches, file};
use crate::planning::planner::clusters::ClusterNames;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The most bytes of a seed; dbt loads it row by row with INSERT, and warns from 1 MiB on.
const LARGEST_SEED: u64 = 1 << 30;

impl Builds {
    /// The outcomes of the project as it was parsed, and what was compiled for them. `before` is the baseline.
    ///
    /// # Errors
    /// dbt's, with the node and its file; a seed that cannot be read.
    pub async fn outcomes(
        &self,
        parsed: &Parsed,
        before: Option<Before<'_>>,
    ) -> Result<(Outcomes, Compiled), DeploymentError> {
        if let Some(bundle) = &self.bundle {
            return Self::bundled_outcomes(bundle);
        }
        let manifest = &parsed.manifest;
        let mut outcomes = self.uncompiled(parsed, before)?;
        self.read_seeds(manifest, &mut outcomes)?;
        if let Some(before) = before {
            outcomes.take_known(before.outcomes);
        }
        for (id, sql) in &parsed.compiled.sql {
            outcomes.compiled(id, sql);
        }
        let (wanted, unrendered) = (outcomes.uncompiled(), outcomes.unrendered());
        let (compiled, hooks) = tokio::join!(
            self.compile_all(manifest, &parsed.candidate, &wanted),
            self.rendered_hooks(manifest, &unrendered)
        );
        let (mut compiled, hooks) = (compiled?, hooks?);
        for (id, sql) in &compiled.sql {
            outcomes.compiled(id, sql);
        }
        for id in &compiled.asking {
            outcomes.known_when_built(id);
        }
        outcomes.take_hooks(hooks);
        let before = &parsed.compiled.sql;
        let before = before.iter().map(|(id, sql)| (id.clone(), sql.clone()));
        compiled.sql.extend(before);
        Ok((outcomes, compiled))
    }

    fn uncompiled(
        &self,
        parsed: &Parsed,
        before: Option<Before<'_>>,
    ) -> Result<Outcomes, DeploymentError> {
        uncompiled(
            &parsed.manifest,
            &parsed.candidate.hash,
            &|named| self.final_cluster(&parsed.candidate.cluster_names, named),
            Some(&self.under(parsed.version)),
            self.switches,
            before,
        )
    }

    /// What dbt compiles the project under, as it was parsed.
    ///
    /// # Errors
    /// As [`uncompiled`].
    pub fn inputs(&self, parsed: &Parsed) -> Result<Option<Inputs>, DeploymentError> {
        if let Some(bundle) = &self.bundle {
            return Ok(bundle.outcomes()?.inputs);
        }
        Ok(self.uncompiled(parsed, None)?.inputs)
    }

    fn under(&self, dbt: Version) -> Circumstances {
        let dbt = format!("dbt-core {}, dbt-materialize {}", dbt.core, dbt.adapter);
        self.under_dbt(dbt)
    }

    /// The circumstances now, with the packages as they are installed.
    pub(super) fn under_dbt(&self, dbt: String) -> Circumstances {
        let circumstances = Circumstances {
            dbt,
            ..self.circumstances.clone()
        };
        with_packages(circumstances, &self.packages)
    }

    /// Which of the inputs are others now than these, before dbt parses anything: variables, environment,
    /// profile, the versions of dbt.
    ///
    /// # Errors
    /// A dbt that does not say its version; a bundle that changed.
    pub async fn changed_since(
        &self,
        inputs: &Inputs,
    ) -> Result<Vec<&'static str>, DeploymentError> {
        if let Some(bundle) = &self.bundle {
            return self.bundle_changed_since(bundle, inputs);
        }
        let invoker = &self.invoker;
        let version = invoker.dbt.version(
            &invoker.environment,
            invoker.command_timeout,
            &invoker.cancel,
        );
        Ok(inputs.changed_since(&self.under(version.await?)))
    }

    /// Makes sure that dbt works under what the plan was made under. The manifest does not show it: under
    /// another variable the same text makes another relation.
    pub(super) async fn is_under_the_planned(&self, plan: &Plan) -> Result<(), DeploymentError> {
        let Some(inputs) = &plan.inputs else {
            return Ok(());
        };
        let changed = self.changed_since(inputs).await?;
        if changed.is_empty() {
            return Ok(());
        }
        Err(DeploymentError::Failed(format!(
            "not as planned any more: {}; deploy again",
            changed.join(", ")
        )))
    }

    /// What the hooks of these nodes render to; empty where one of them does not render without the server or
    /// the model around it. They are then compared as they are written.
    async fn rendered_hooks(
        &self,
        manifest: &Manifest,
        ids: &BTreeSet<&str>,
    ) -> Result<Hooks, DeploymentError> {
        if ids.is_empty() {
            return Ok(Hooks::new());
        }
        let nodes: Vec<&Node> = ids
            .iter()
            .filter_map(|id| manifest.nodes.get(*id))
            .collect();
        let invocation = match self.invoker.render_hooks(&nodes).await {
            Ok(invocation) => invocation,
            Err(
                error @ (BuildError::Failed { .. }
                | BuildError::Introspected { .. }
                | BuildError::TooLong { .. }),
            ) => {
                tracing::info!(%error, "hooks are compared as they are written");
                return Ok(Hooks::new());
            }
            Err(error) => return Err(error.into()),
        };
        let sql = super::compile::sql(&invocation.target_dir.join("run_results.json"))?;
        let answer = sql.into_values().next().unwrap_or_default();
        serde_json::from_slice(answer.as_bytes()).map_err(|error| {
            DeploymentError::Failed(format!(
                "dbt compile gave {answer:?} for what hooks render to: {error}"
            ))
        })
    }

    /// The final name of a cluster that is configured, or of the profile's where none is.
    #[must_use]
    pub fn final_cluster(&self, names: &ClusterNames, given: Option<&str>) -> Option<String> {
        let given = given.or(self.cluster.as_deref())?;
        Some(names.in_catalog(given))
    }

    fn read_seeds(
        &self,
        manifest: &Manifest,
        outcomes: &mut Outcomes,
    ) -> Result<(), DeploymentError> {
        let root = manifest.metadata.project_name.as_deref();
        for (id, node) in &manifest.nodes {
            if node.resource_type != ResourceType::Seed {
                continue;
            }
            let folder = if Some(node.package_name.as_str()) == root {
                self.invoker.project_dir.clone()
            } else {
                self.packages.join(&node.package_name)
            };
            let path = folder.join(&node.original_file_path);
            let bytes =
                file::read_up_to(&path, LARGEST_SEED).map_err(|source| run(&path, source))?;
            outcomes.rows(id, &bytes);
        }
        Ok(())
    }

    /// Writes the outcomes that a plan was made from into the run's folder.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remember(&self, outcomes: &Outcomes) -> Result<String, DeploymentError> {
        let bytes = written(outcomes)?;
        let path = self.outcomes_file();
        std::fs::write(&path, &bytes).map_err(|source| self.or_full(run(&path, source)))?;
        Ok(outcomes.digest().map_err(not_json)?.to_string())
    }

    /// Writes the SQL that is known of these outcomes into the run's folder.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remember_sql(
        &self,
        outcomes: &Outcomes,
        compiled: &Compiled,
        kept: Option<&KeptSql>,
    ) -> Result<(), DeploymentError> {
        let Some(known) = KeptSql::of(outcomes, &compiled.sql, kept) else {
            return Ok(());
        };
        let bytes = serde_json::to_vec(&known).map_err(not_json)?;
        let path = self.sql_file();
        std::fs::write(&path, &bytes).map_err(|source| self.or_full(run(&path, source)))
    }

    /// The SQL that was known when the plan was made, as JSON, where this machine has it still.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn kept_sql(&self) -> Result<Option<Vec<u8>>, DeploymentError> {
        super::written(&self.sql_file())
    }

    fn sql_file(&self) -> PathBuf {
        self.folder().join("compiled.json")
    }

    /// The outcomes that a plan was made from, as JSON; `None` where it was made without any. Where the file
    /// is gone, or a process on another machine goes on, they are made again and must be the planned ones.
    ///
    /// # Errors
    /// dbt's; [`DeploymentError::Failed`] when the project changed.
    pub async fn planned_outcomes(
        &self,
        plan: &Plan,
        before: Option<Before<'_>>,
    ) -> Result<Option<Vec<u8>>, DeploymentError> {
        let Some(planned) = &plan.outcomes else {
            return Ok(None);
        };
        let path = self.outcomes_file();
        let kept = super::written(&path)?
            .and_then(|bytes| serde_json::from_slice::<Outcomes>(&bytes).ok());
        let is_planned = |outcomes: &Outcomes| {
            outcomes
                .digest()
                .is_ok_and(|digest| digest.to_string() == *planned)
        };
        if let Some(outcomes) = kept.filter(is_planned) {
            return Ok(Some(written(&outcomes)?));
        }
        let parsed = self.parse_and_compile(None, Green::ByName).await?;
        super::same_project(&parsed.manifest, &plan.manifest_hash)?;
        let (outcomes, _) = self.outcomes(&parsed, before).await?;
        if !is_planned(&outcomes) {
            return Err(DeploymentError::Failed(
                "what comes out of the project changed since it was planned; deploy again"
                    .to_owned(),
            ));
        }
        Ok(Some(written(&outcomes)?))
    }

    fn outcomes_file(&self) -> PathBuf {
        self.folder().join("outcomes.json")
    }
}

/// The outcomes of a manifest with nothing compiled; without circumstances nothing that was compiled elsewhere
/// may be taken for them.
///
/// # Errors
/// [`DeploymentError::Manifest`] when a node cannot be written as JSON.
pub fn uncompiled(
    manifest: &Manifest,
    content: &str,
    clusters: outcome::FinalCluster<'_>,
    circumstances: Option<&Circumstances>,
    switches: Switches,
    before: Option<Before<'_>>,
) -> Result<Outcomes, DeploymentError> {
    let mut reads = Reads::of(manifest);
    let inputs = circumstances.map(|circumstances| {
        reads.take(&circumstances.variables.to_string());
        Inputs::of(manifest, &reads, content, circumstances)
    });
    let stores_failures = switches.store_failures;
    Outcomes::of(
        manifest,
        clusters,
        &reads,
        content,
        inputs,
        stores_failures,
        before,
    )
    .map_err(not_json)
}

fn written(outcomes: &Outcomes) -> Result<Vec<u8>, DeploymentError> {
    serde_json::to_vec(outcomes).map_err(not_json)
}

fn not_json(error: serde_json::Error) -> DeploymentError {
    DeploymentError::Manifest(format!("outcomes cannot be written as JSON: {error}"))
}

fn run(path: &Path, source: std::io::Error) -> DeploymentError {
    DeploymentError::Run {
        path: path.display().to_string(),
        source,
    }
}
