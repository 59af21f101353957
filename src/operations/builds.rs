//! dbt's part: parse, build and test in the run's folder.

use crate::adapters::dbt::invocation::{self, Compilation};
use crate::adapters::dbt::log::is_connection_failure;
use crate::adapters::dbt::version::Version;
use crate::adapters::dbt::{BuildError, Invocation, Invoker, PrivateProfile};
use crate::domain::plan::Plan;
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::foundation::process::orphan;
use crate::foundation::sql::identifier::Qualified;
use crate::inputs::manifest::run_results::{RunResult, RunResults};
use crate::inputs::manifest::{Manifest, ResourceType};
use crate::inputs::project::Switches;
use crate::inputs::project::dbt_project::Packages;
use crate::inputs::project::dbt_project::circumstances::Circumstances;
use crate::operations::bundle::Bundle;
use crate::operations::error::DeploymentError;
use crate::planning::planner::candidate::Candidate;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a bundle holds in the place of dbt.
mod bundled;
/// What dbt makes of the names of clusters.
mod clusters;
mod command_line;
/// SQL of nodes, as it reads production.
mod compile;
/// The project as it is kept, so that somebody can go back to it.
mod kept_project;
/// Building without dbt.
mod native;
/// What comes out of each node.
mod outcomes;
/// What sinks, sources and connections outside are made from.
mod outside;
/// What will have to be compiled.
mod predict;
/// What an earlier build did not make.
mod rest;
/// Whether all that was planned was done.
mod results;
pub use bundled::CompiledProject;
pub use compile::Compiled;
pub use kept_project::Sql;
pub use native::{Describable, Known};
pub use outcomes::uncompiled;
use predict::{Predicted, Split};
pub use rest::green_of;
use results::all_good;

/// dbt for one deployment.
#[derive(Debug, Clone)]
pub struct Builds {
    /// The invocations, with the run's folder.
    pub invoker: Invoker,
    /// The profile's name.
    pub profile: String,
    /// The target's name.
    pub target: String,
    /// The profile's cluster, where it names one.
    pub cluster: Option<String>,
    /// The target's entry of `profiles.yml`, unrendered.
    pub output: serde_yaml::Value,
    /// The packages that the project lists, and those that are installed.
    pub listed_packages: Packages,
    /// The folder of the installed packages.
    pub packages: PathBuf,
    /// Under what the project is compiled, but for the versions of dbt and what packages bring.
    pub circumstances: Circumstances,
    /// What dbt makes besides what its manifest says.
    pub switches: Switches,
    /// What stands for dbt and the project, where they are not here.
    pub bundle: Option<Arc<Bundle>>,
}

/// The project as dbt parsed it for a plan.
#[derive(Debug)]
pub struct Parsed {
    /// What a plan needs of it.
    pub candidate: Candidate,
    /// The manifest, parsed without `deploy: true`.
    pub manifest: Manifest,
    /// The dbt that parsed it.
    pub version: Version,
    /// What was compiled in the same process.
    pub compiled: Compiled,
    /// How it is known where green lies.
    pub green: Green,
}

/// How it is known where the green side of a project lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Green {
    /// dbt parsed the project with `deploy: true`.
    ByDbt,
    /// It was not asked: green is where a release puts it.
    ByName,
}

impl Builds {
    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.invoker.run_dir
    }

    /// Ends whatever dbt a killed predecessor left running in this run's folder.
    ///
    /// # Errors
    /// When a survivor cannot be ended.
    pub async fn reap(&self) -> Result<(), DeploymentError> {
        for record in invocation::records(self.folder()) {
            let reaped = orphan::reap(&record, self.invoker.stop_timeout)
                .await
                .map_err(|error| BuildError::Process(error.into()))?;
            if let Some(reaped) = reaped {
                self.invoker.reporter.warning(format!(
                    "ended a dbt process that an earlier run had left behind (process {:?})",
                    reaped.pids
                ));
            }
        }
        Ok(())
    }

    /// Parses the project plainly and with `deploy: true`.
    ///
    /// # Errors
    /// dbt's, and broken or foreign manifests.
    pub async fn parse(&self) -> Result<Parsed, DeploymentError> {
        self.parse_and_compile(None, Green::ByDbt).await
    }

    /// As [`Builds::parse`], and compiles what is predicted in the same process. Where no part of dbt's is planned
    /// in green, one parse is enough; [`Builds::parse_green`] makes up for it.
    ///
    /// # Errors
    /// As [`Builds::parse`]. What does not compile is left for later, when it is known whether it must.
    pub async fn parse_and_compile(
        &self,
        predicted: Option<&Predicted>,
        green: Green,
    ) -> Result<Parsed, DeploymentError> {
        let parsed = self.parse_for(predicted, green).await;
        parsed.map_err(|error| self.or_full(error))
    }

    /// Parses once more, with `deploy: true`, what was parsed without.
    ///
    /// # Errors
    /// As [`Builds::parse`].
    pub async fn parse_green(&self, parsed: &mut Parsed) -> Result<(), DeploymentError> {
        if parsed.green == Green::ByDbt {
            return Ok(());
        }
        let green = self.invoker.parse(true).await;
        let green = green.map_err(|error| self.or_full(error.into()))?;
        let green = read_manifest(&green)?;
        let names = parsed.candidate.cluster_names.clone();
        parsed.candidate = Candidate::with_clusters(&parsed.manifest, &green, names, self.switches)
            .map_err(|error| DeploymentError::Manifest(error.to_string()))?;
        parsed.green = Green::ByDbt;
        Ok(())
    }

    async fn parse_for(
        &self,
        predicted: Option<&Predicted>,
        green: Green,
    ) -> Result<Parsed, DeploymentError> {
        if let Some(bundle) = &self.bundle {
            return self.unpacked(bundle);
        }
        self.install_packages().await?;
        // A dbt that cannot be used says so better than its parse would; both take seconds.
        let version = self.invoker.dbt.version(
            &self.invoker.environment,
            self.invoker.command_timeout,
            &self.invoker.cancel,
        );
        // There is one process that parses for green, or one that compiles what the other does not.
        let split = predicted.map_or(Split::default(), |predicted| match green {
            Green::ByDbt => predicted.in_one(),
            Green::ByName => predicted.in_two(),
        });
        let (version, plain, beside, deploy) = tokio::join!(
            version,
            self.parse_plain(split.inside),
            self.compile_beside(split.beside),
            async {
                match green {
                    Green::ByDbt => self.invoker.parse(true).await.map(Some),
                    Green::ByName => Ok(None),
                }
            }
        );
        let version = version?;
        let ((plain, mut compiled), beside, deploy) = (plain?, beside?, deploy?);
        let plain = read_manifest(&plain)?;
        if let Some(beside) = &beside {
            compiled.take_written(&plain, beside)?;
        }
        let deploy = deploy.as_ref().map(read_manifest).transpose()?;
        plain
            .graph()
            .map_err(|error| DeploymentError::Manifest(error.to_string()))?;
        let clusters = self.cluster_names(&plain).await?;
        let candidate = match &deploy {
            Some(deploy) => Candidate::with_clusters(&plain, deploy, clusters, self.switches),
            None => Candidate::alone(&plain, clusters, self.switches),
        };
        let candidate = candidate.map_err(|error| DeploymentError::Manifest(error.to_string()))?;
        Ok(Parsed {
            candidate,
            green,
            manifest: plain,
            version,
            compiled,
        })
    }

    async fn parse_plain(
        &self,
        inside: Option<&Compilation>,
    ) -> Result<(Invocation, Compiled), BuildError> {
        if let Some(inside) = inside {
            match self.invoker.parse_and_compile(inside).await {
                Ok(invocation) => {
                    let compiled = Compiled::of(&invocation);
                    return Ok((invocation, compiled));
                }
                // What is wrong is said better by a parse, or by the compilation of what must be compiled.
                Err(BuildError::Failed { .. } | BuildError::Introspected { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((self.invoker.parse(false).await?, Compiled::default()))
    }

    async fn compile_beside(
        &self,
        beside: Option<&Compilation>,
    ) -> Result<Option<Invocation>, BuildError> {
        let Some(beside) = beside else {
            return Ok(None);
        };
        match self.invoker.compile_beside(beside).await {
            Ok(invocation) => Ok(Some(invocation)),
            // As for what is compiled where it is parsed.
            Err(BuildError::Failed { .. } | BuildError::Introspected { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets dbt install packages, where what is installed is not what the project lists.
    async fn install_packages(&self) -> Result<(), DeploymentError> {
        if !self.listed_packages.needs_install() {
            return Ok(());
        }
        let differences = self.listed_packages.differences.join(", ");
        let reporter = &self.invoker.reporter;
        reporter.note(format!("packages are installed: {differences}"));
        tracing::info!(differences, "packages are installed");
        self.invoker.deps().await?;
        let installed = self.listed_packages.installed();
        let installed = installed.map_err(|error| DeploymentError::Failed(with_causes(&error)))?;
        match installed.needs_install() {
            true => Err(DeploymentError::Failed(format!(
                "dbt deps ended well, and still {}; run it by hand and compare the files that list packages",
                installed.differences.join(", ")
            ))),
            false => Ok(()),
        }
    }

    /// The candidate's manifest, parsed without `deploy: true`, as dbt wrote it.
    ///
    /// # Errors
    /// As for a parse, when the file is gone; a project that is no longer the planned one.
    pub async fn plain_manifest(&self, plan: &Plan) -> Result<Vec<u8>, DeploymentError> {
        let path = self.state(plan).await?.join("manifest.json");
        written(&path)?.ok_or_else(|| {
            DeploymentError::Failed(format!("{} is gone: somebody removed it", path.display()))
        })
    }

    /// What dbt wrote about the build, where it built anything and the file is still there.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn build_results(&self) -> Result<Option<Vec<u8>>, DeploymentError> {
        written(&self.folder().join("build/target/run_results.json"))
    }

    /// Parses the project plainly.
    ///
    /// # Errors
    /// dbt's, and broken or foreign manifests.
    pub async fn manifest(&self) -> Result<Manifest, DeploymentError> {
        if let Some(bundle) = &self.bundle {
            return self.bundled_manifest(bundle);
        }
        self.install_packages().await?;
        read_manifest(&self.invoker.parse(false).await?)
    }

    /// Builds the planned nodes in green.
    ///
    /// # Errors
    /// dbt's; [`DeploymentError::Failed`] when a planned node did not succeed.
    pub async fn build(&self, plan: &Plan) -> Result<(), DeploymentError> {
        // No selector at all would mean every node.
        if plan.built().next().is_none() {
            return Ok(());
        }
        let built = self.build_nodes(plan).await;
        built.map_err(|error| self.or_full(error))
    }

    async fn build_nodes(&self, plan: &Plan) -> Result<(), DeploymentError> {
        self.is_under_the_planned(plan).await?;
        let state = self.state(plan).await?;
        let invocation = self
            .invoker
            .build_nodes(&plan.build_selectors, &state)
            .await?;
        let wanted = plan.built().map(|node| node.unique_id.as_str());
        all_good("build", &invocation, wanted)?;
        same_project(&read_manifest(&invocation)?, &plan.green_manifest_hash)
    }

    /// Runs tests on production and says what became of each, in the order of `tests`.
    ///
    /// # Errors
    /// dbt's; [`DeploymentError::Failed`] when the project changed meanwhile. A test that fails is none.
    pub async fn test_production(
        &self,
        candidate: &Candidate,
        tests: &BTreeSet<&str>,
    ) -> Result<Vec<RunResult>, DeploymentError> {
        if tests.is_empty() {
            return Ok(Vec::new());
        }
        let tested = self.verdicts(candidate, tests).await;
        tested.map_err(|error| self.or_full(error))
    }

    async fn verdicts(
        &self,
        candidate: &Candidate,
        tests: &BTreeSet<&str>,
    ) -> Result<Vec<RunResult>, DeploymentError> {
        let selectors = candidate
            .selectors(tests)
            .map_err(|error| DeploymentError::Failed(with_causes(&error)))?;
        let invocation = self.invoker.test_production(&selectors).await?;
        same_project(&read_manifest(&invocation)?, &candidate.hash)?;
        let path = invocation
            .run_results
            .unwrap_or_else(|| invocation.target_dir.join("run_results.json"));
        let results = RunResults::read(&path)
            .map_err(|error| DeploymentError::Failed(format!("dbt test: {error}")))?;
        let mut by_id: BTreeMap<String, RunResult> = results
            .results
            .into_iter()
            .map(|result| (result.unique_id.clone(), result))
            .collect();
        let mut verdicts = Vec::new();
        for id in tests {
            let Some(result) = by_id.remove(*id) else {
                return Err(DeploymentError::Failed(format!("{id}: dbt did not run it")));
            };
            let message = result.message.as_deref().unwrap_or_default();
            if !result.status.is_good() && is_connection_failure(message) {
                return Err(BuildError::Connection {
                    command: "test",
                    message: message.to_owned(),
                }
                .into());
            }
            verdicts.push(result);
        }
        Ok(verdicts)
    }

    /// Runs the planned tests on production with the replaced view read under another name.
    ///
    /// # Errors
    /// dbt's; [`DeploymentError::Failed`] when a planned test did not pass.
    pub async fn test_in_place(&self, plan: &Plan, name: &str) -> Result<(), DeploymentError> {
        if plan.tests.is_empty() {
            return Ok(());
        }
        let tested = self.test_replacements(plan, name).await;
        tested.map_err(|error| self.or_full(error))
    }

    async fn test_replacements(&self, plan: &Plan, name: &str) -> Result<(), DeploymentError> {
        self.is_under_the_planned(plan).await?;
        let state = self.renamed_state(plan, name).await?;
        let invocation = self
            .invoker
            .test_in_place(&plan.test_selectors, &state)
            .await?;
        all_good("test", &invocation, plan.tests.iter().map(String::as_str))?;
        same_project(&read_manifest(&invocation)?, &plan.manifest_hash)
    }

    /// The plain manifest in a folder of its own, with the replaced view called `name`: dbt reads there
    /// what tests refer to.
    async fn renamed_state(&self, plan: &Plan, name: &str) -> Result<PathBuf, DeploymentError> {
        let manifest = self.state(plan).await?.join("manifest.json");
        let folder = self.folder().join("state-in-place");
        let run = |path: &Path, source| DeploymentError::Run {
            path: path.display().to_string(),
            source,
        };
        let bytes = std::fs::read(&manifest).map_err(|source| run(&manifest, source))?;
        let mut document: serde_json::Value = serde_json::from_slice(&bytes)
            .map_err(|error| DeploymentError::Manifest(error.to_string()))?;
        for view in &plan.replacements {
            let Some(node) = document
                .get_mut("nodes")
                .and_then(|nodes| nodes.get_mut(&view.node))
                .and_then(serde_json::Value::as_object_mut)
            else {
                continue;
            };
            let relation = Qualified::object(&plan.database, &view.schema, name).to_string();
            node.insert("alias".to_owned(), name.into());
            node.insert("relation_name".to_owned(), relation.into());
        }
        crate::foundation::process::private::private_folder(&folder)
            .map_err(|source| run(&folder, source))?;
        let place = folder.join("manifest.json");
        std::fs::write(&place, document.to_string()).map_err(|source| run(&place, source))?;
        Ok(folder)
    }

    /// Runs the planned tests on green.
    ///
    /// # Errors
    /// dbt's; [`DeploymentError::Failed`] when a planned test did not pass.
    pub async fn test(&self, plan: &Plan) -> Result<(), DeploymentError> {
        let tested = self.test_nodes(plan).await;
        tested.map_err(|error| self.or_full(error))
    }

    async fn test_nodes(&self, plan: &Plan) -> Result<(), DeploymentError> {
        let (tests, selectors) = plan.tests_of_dbt();
        let Some(cluster) = plan.test_cluster.as_ref().filter(|_| !tests.is_empty()) else {
            return Ok(());
        };
        self.is_under_the_planned(plan).await?;
        let state = self.state(plan).await?;
        // Tests run on the profile's cluster with the green suffix; where that one is not deployed, a
        // private profile names one that is.
        let cluster = plan.test_cluster_given.as_ref().unwrap_or(cluster);
        let profile = if self.cluster.as_ref() == Some(cluster) {
            None
        } else {
            Some(PrivateProfile::write(
                &self.folder().join("profile"),
                &self.profile,
                &self.target,
                &self.output,
                cluster,
            )?)
        };
        let invocation = self
            .invoker
            .test_nodes(selectors, &state, profile.as_ref())
            .await?;
        all_good("test", &invocation, tests.iter().map(String::as_str))?;
        let mut manifest = read_manifest(&invocation)?;
        as_parsed(&mut manifest);
        same_project(&manifest, &plan.green_manifest_hash)
    }

    /// What dbt says when it cannot write differs with the file that it meets first, and a file cut
    /// short reads as a broken one. So after a failure the disk itself is asked: a full one says
    /// nothing about the project.
    fn or_full(&self, error: DeploymentError) -> DeploymentError {
        if error.class() == Class::Interrupted || !has_no_room(self.folder()) {
            return error;
        }
        DeploymentError::Full {
            path: self.folder().display().to_string(),
            source: Box::new(error),
        }
    }

    /// The folder with the plain manifest of the candidate, to which unplanned references defer.
    /// It was written for the plan; when it is gone, the project is parsed again.
    async fn state(&self, plan: &Plan) -> Result<PathBuf, DeploymentError> {
        let folder = self.folder().join("parse").join("target");
        if !folder.join("manifest.json").is_file() {
            let manifest = match &self.bundle {
                Some(bundle) => self.bundled_manifest(bundle)?,
                None => read_manifest(&self.invoker.parse(false).await?)?,
            };
            same_project(&manifest, &plan.manifest_hash)?;
        }
        Ok(folder)
    }
}

/// A file's bytes, where it is there.
fn written(path: &Path) -> Result<Option<Vec<u8>>, DeploymentError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DeploymentError::Run {
            path: path.display().to_string(),
            source,
        }),
    }
}

/// Whether a file as large as a small manifest cannot be written there.
fn has_no_room(folder: &Path) -> bool {
    const SIZE: usize = 1 << 20;
    let path = folder.join("room");
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&vec![0; SIZE])?;
        file.sync_all()
    });
    // It is ours and empty; on a full disk even that may fail.
    let _ = std::fs::remove_file(&path);
    written.is_err_and(|error| {
        matches!(
            error.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
        )
    })
}

/// Where a switch has tests store their failures, the run gives them a relation that the parse did not.
fn as_parsed(manifest: &mut Manifest) {
    for node in manifest.nodes.values_mut() {
        if node.resource_type == ResourceType::Test && node.config.store_failures != Some(true) {
            node.relation_name = None;
        }
    }
}

/// The files may have changed since the plan was stored, most of all before a resume. What dbt built
/// or tested is judged by the manifest that it wrote while doing so.
fn same_project(manifest: &Manifest, hash: &str) -> Result<(), DeploymentError> {
    let found = manifest
        .content_hash()
        .map_err(|error| DeploymentError::Manifest(error.to_string()))?;
    if found == hash {
        return Ok(());
    }
    Err(DeploymentError::Failed(
        "the project changed since it was planned; deploy again".to_owned(),
    ))
}

fn manifest_error(error: crate::inputs::manifest::Error) -> DeploymentError {
    DeploymentError::Manifest(with_causes(&error))
}

fn read_manifest(invocation: &Invocation) -> Result<Manifest, DeploymentError> {
    let path = invocation
        .manifest
        .clone()
        .unwrap_or_else(|| invocation.target_dir.join("manifest.json"));
    Manifest::read(&path).map_err(manifest_error)
}
