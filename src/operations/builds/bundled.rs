//! What a bundle holds in the place of dbt: the project parsed and compiled, made here and read here.

use super::native::qualify;
use super::{Builds, Compiled, DeploymentError, Green, Parsed, compile, manifest_error};
use crate::adapters::dbt::version::Version;
use crate::domain::plan::Plan;
use crate::domain::plan::inputs::Inputs;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::foundation::digest::Digest;
use crate::inputs::manifest::{Manifest, ResourceType};
use crate::inputs::outcome::reads::Reads;
use crate::inputs::outcome::{self, MadeFrom, Outcomes};
use crate::inputs::project::dbt_project::VARS_FILE;
use crate::inputs::project::locate::PROJECT_FILE;
use crate::inputs::project::{Deployment, file};
use crate::inputs::selection::SELECTORS_FILE;
use crate::operations::bundle::{
    self, About, Bundle, BundleError, Contents, Difference, canonical_manifest,
};
use crate::planning::planner::candidate::Candidate;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

/// The files of the project, besides those of seeds, that a release reads.
const FILES: [&str; 3] = [PROJECT_FILE, VARS_FILE, SELECTORS_FILE];

/// A project that was compiled whole.
#[derive(Debug)]
pub struct CompiledProject {
    /// What its bundle is made from.
    pub contents: Contents,
    /// Why some of its nodes cannot be in a release without dbt, sorted.
    pub unfit: BTreeSet<String>,
    /// How many nodes and tests were compiled.
    pub compiled: usize,
    /// Unique ids of its unit tests.
    pub unit_tests: BTreeSet<String>,
}

impl Builds {
    /// Compiles the whole project for a bundle. `deployment` is what is released of it.
    ///
    /// # Errors
    /// dbt's, with the node and its file; [`RefusalName::NotNative`] where no release of the project can do
    /// without dbt.
    pub async fn compile_project(
        &self,
        deployment: &Deployment,
        revision: Option<String>,
    ) -> Result<CompiledProject, DeploymentError> {
        let parsed = self.parse_and_compile(None, Green::ByName).await?;
        let manifest = &parsed.manifest;
        let nothing = BTreeSet::new();
        let reasons = qualify::of_whole(manifest, self.around(&nothing));
        if !reasons.is_empty() {
            return Err(Refused(vec![Refusal {
                name: RefusalName::NotNative,
                message: "no release of this project can do without dbt".to_owned(),
                objects: reasons.into_iter().collect(),
                remedy: "change what is named, or release without a bundle".to_owned(),
            }])
            .into());
        }
        let (outcomes, mut compiled) = self.outcomes(&parsed, None).await?;
        let tests: BTreeSet<&str> = manifest
            .nodes
            .iter()
            .filter(|(id, node)| {
                node.resource_type == ResourceType::Test
                    && qualify::is_plain(manifest, node)
                    && !compiled.sql.contains_key(*id)
                    && !compiled.asking.contains(*id)
            })
            .map(|(id, _)| id.as_str())
            .collect();
        if !tests.is_empty() {
            let more = self
                .compile_all(manifest, &parsed.candidate, &tests)
                .await?;
            compiled.sql.extend(more.sql);
            compiled.asking.extend(more.asking);
        }
        let about = self.about(&parsed, deployment, revision);
        let files = self.files(manifest, &outcomes, &compiled)?;
        Ok(CompiledProject {
            contents: Contents { about, files },
            unfit: qualify::of_nodes(manifest, self.around(&compiled.asking)),
            compiled: compiled.sql.len(),
            unit_tests: manifest.unit_tests.keys().cloned().collect(),
        })
    }

    /// What the project was compiled from and for, as it was parsed.
    pub(super) fn about(
        &self,
        parsed: &Parsed,
        deployment: &Deployment,
        revision: Option<String>,
    ) -> About {
        let reads = Reads::of(&parsed.manifest);
        About {
            project: parsed.candidate.project.clone(),
            revision,
            dbt: bundle::Dbt {
                core: parsed.version.core.to_string(),
                adapter: parsed.version.adapter.to_string(),
            },
            target: About::counted(&self.circumstances.target, reads.connection, reads.user),
            reads_connection: reads.connection,
            reads_user: reads.user,
            schemas: deployment.schemas.iter().cloned().collect(),
            clusters: deployment.clusters.iter().cloned().collect(),
            variables: self.invoker.vars.clone(),
            cluster_names: parsed.candidate.cluster_names.clone(),
            switches: self.switches,
            outcomes: outcome::FORM,
        }
    }

    /// The files of a bundle.
    pub(super) fn files(
        &self,
        manifest: &Manifest,
        outcomes: &Outcomes,
        compiled: &Compiled,
    ) -> Result<BTreeMap<String, Vec<u8>>, DeploymentError> {
        let mut files = BTreeMap::new();
        let path = self.folder().join("parse/target/manifest.json");
        let written = std::fs::read(&path).map_err(|source| run(&path, source))?;
        let canonical = canonical_manifest(&written).map_err(not_json)?;
        let again = Manifest::from_slice(&canonical, &path).map_err(manifest_error)?;
        let hash = |manifest: &Manifest| manifest.content_hash().map_err(not_json);
        if hash(&again)? != hash(manifest)? {
            return Err(DeploymentError::Manifest(format!(
                "{} means something else without times and paths",
                path.display()
            )));
        }
        files.insert("manifest.json".to_owned(), canonical);
        let outcome = serde_json::to_vec_pretty(outcomes).map_err(not_json)?;
        files.insert("outcomes.json".to_owned(), outcome);
        let compiled = bundle::Compiled {
            asking: compiled.asking.clone(),
            sql: compiled.sql.clone(),
        };
        let compiled = serde_json::to_vec_pretty(&compiled).map_err(not_json)?;
        files.insert("compiled.json".to_owned(), compiled);
        for name in FILES {
            let path = self.invoker.project_dir.join(name);
            match file::read(&path) {
                Ok(bytes) => {
                    files.insert(format!("project/{name}"), bytes);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(source) => return Err(run(&path, source)),
            }
        }
        let root = manifest.metadata.project_name.as_deref();
        for (id, node) in &manifest.nodes {
            if node.resource_type != ResourceType::Seed {
                continue;
            }
            let package = Some(node.package_name.as_str()).filter(|package| Some(*package) != root);
            let named = node.original_file_path.as_str();
            let path = self.file_of(package, Path::new(named));
            let bytes = std::fs::read(&path).map_err(|source| run(&path, source))?;
            let read = outcomes.nodes.get(id).map(|outcome| &outcome.made_from);
            if !matches!(read, Some(MadeFrom::Rows { file: Some(file), .. }) if *file == Digest::of(&bytes))
            {
                return Err(DeploymentError::Failed(format!(
                    "{} changed while the project was compiled; compile again",
                    path.display()
                )));
            }
            let place = match package {
                None => format!("project/{named}"),
                Some(package) => format!("packages/{package}/{named}"),
            };
            files.insert(place, bytes);
        }
        Ok(files)
    }

    /// The project of a bundle as dbt parsed and compiled it.
    pub(super) fn unpacked(&self, bundle: &Bundle) -> Result<Parsed, DeploymentError> {
        let manifest = self.bundled_manifest(bundle)?;
        manifest
            .graph()
            .map_err(|error| DeploymentError::Manifest(error.to_string()))?;
        let about = bundle.about();
        let names = about.cluster_names.clone();
        let candidate = Candidate::alone(&manifest, names, self.switches)
            .map_err(|error| DeploymentError::Manifest(error.to_string()))?;
        let version = Version::of(&about.dbt.core, &about.dbt.adapter).ok_or_else(|| {
            DeploymentError::Failed(format!(
                "the bundle was compiled by a dbt of an unknown version: {:?}",
                about.dbt
            ))
        })?;
        Ok(Parsed {
            candidate,
            manifest,
            version,
            compiled: compiled(bundle)?,
            green: Green::ByName,
        })
    }

    /// The manifest of a bundle, which is written where dbt writes it.
    pub(super) fn bundled_manifest(&self, bundle: &Bundle) -> Result<Manifest, DeploymentError> {
        let bytes = bundle.manifest()?;
        let folder = self.folder().join("parse/target");
        let path = folder.join("manifest.json");
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&path, &bytes))
            .map_err(|source| self.or_full(run(&path, source)))?;
        Manifest::from_slice(&bytes, &path).map_err(manifest_error)
    }

    /// The outcomes and the SQL of a bundle.
    pub(super) fn bundled_outcomes(
        bundle: &Bundle,
    ) -> Result<(Outcomes, Compiled), DeploymentError> {
        Ok((bundle.outcomes()?, compiled(bundle)?))
    }

    /// The SQL of one node of a bundle.
    pub(super) fn bundled_sql(bundle: &Bundle, id: &str) -> Result<String, DeploymentError> {
        let compiled = compiled(bundle)?;
        compile::plain(compiled.sql.get(id).map(String::as_str)).ok_or_else(|| {
            DeploymentError::Failed(format!(
                "{id} asks the server while it is compiled, so that a bundle has no SQL of it"
            ))
        })
    }

    /// Makes sure that a bundle was compiled for what is here; without a bundle there is nothing to be sure of.
    /// `deployment` is what is to be released.
    ///
    /// # Errors
    /// The refusal [`bundle::Name::AnotherTarget`], with everything that differs.
    pub fn is_for_this(&self, deployment: &Deployment) -> Result<(), DeploymentError> {
        let Some(bundle) = &self.bundle else {
            return Ok(());
        };
        let mut found = self.differing(bundle)?;
        found.extend(bundle.about().differing_deployment(deployment));
        if found.is_empty() {
            return Ok(());
        }
        let found: Vec<String> = found.into_iter().map(|found| found.detail).collect();
        Err(BundleError::for_another_target(bundle.digest(), &found).into())
    }

    /// What is not here as it was where a bundle was compiled.
    pub(super) fn differing(&self, bundle: &Bundle) -> Result<Vec<Difference>, DeploymentError> {
        let here = &self.circumstances;
        let mut found = bundle.about().differing(here, &self.invoker.vars);
        if let Some(inputs) = bundle.outcomes()?.inputs
            && inputs.read_another_environment(&here.environment)
        {
            let names: Vec<&str> = inputs.environment_read.iter().map(String::as_str).collect();
            found.push(Difference {
                what: "the environment",
                detail: format!(
                    "the project reads {} of the environment, not all of which have here the values that they had",
                    names.join(", ")
                ),
            });
        }
        Ok(found)
    }

    /// Which of the inputs are others than these: those of the bundle, or what is here beside it.
    pub(super) fn bundle_changed_since(
        &self,
        bundle: &Bundle,
        inputs: &Inputs,
    ) -> Result<Vec<&'static str>, DeploymentError> {
        let mut changed: Vec<&str> = self.differing(bundle)?.iter().map(|one| one.what).collect();
        if let Some(own) = bundle.outcomes()?.inputs {
            changed.extend(inputs.differing(&own));
        }
        changed.sort_unstable();
        changed.dedup();
        Ok(changed)
    }

    /// Takes the unit tests out of a plan that is carried out without dbt, which runs them, and says so in it.
    ///
    /// # Errors
    /// When a test that is left cannot be selected.
    pub fn leave_out_unit_tests(
        &self,
        parsed: &Parsed,
        plan: &mut Plan,
    ) -> Result<(), DeploymentError> {
        let units = &parsed.manifest.unit_tests;
        let (left_out, tests): (Vec<String>, Vec<String>) = std::mem::take(&mut plan.tests)
            .into_iter()
            .partition(|id| units.contains_key(id));
        plan.tests = tests;
        if left_out.is_empty() {
            return Ok(());
        }
        let wanted: BTreeSet<&str> = plan.tests.iter().map(String::as_str).collect();
        plan.test_selectors = compile::selectors(&parsed.candidate, &wanted)?;
        plan.notes.push(format!(
            "unit tests are not run from a bundle, since dbt runs them; run them where it is compiled: {}",
            left_out.join(", ")
        ));
        Ok(())
    }
}

fn compiled(bundle: &Bundle) -> Result<Compiled, DeploymentError> {
    let compiled = bundle.compiled()?;
    Ok(Compiled {
        sql: compiled.sql,
        asking: compiled.asking,
    })
}

pub(super) fn not_json(error: serde_json::Error) -> DeploymentError {
    DeploymentError::Manifest(format!("what was compiled is no JSON: {error}"))
}

pub(super) fn run(path: &Path, source: std::io::Error) -> DeploymentError {
    DeploymentError::Run {
        path: path.display().to_string(),
        source,
    }
}
