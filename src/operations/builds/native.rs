//! Who builds green, and what is made when dbt does not.
//!
//! Durable: the recipe in the run's folder (`recipe.json`), and its digest in the plan. Where the file is gone,
//! or a process on another machine goes on, the recipe is made again and must be the planned one.

mod compose;
mod data_tests;
/// What can be described without being built.
mod describable;
pub(super) mod qualify;

use super::{Builds, Compiled, DeploymentError, Green, Parsed, written};
use crate::domain::catalog::ObjectKind;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::domain::plan::{Building, Engine, Plan, Strategy};
use crate::foundation::digest::Digest;
use crate::foundation::failure::with_causes;
use crate::inputs::manifest::Manifest;
use crate::inputs::outcome::{KeptSql, Outcomes};
use crate::inputs::settings;
use crate::planning::planner::candidate::{Candidate, CandidateNode, Materialization};
use crate::planning::recipe::document::Make;
use crate::planning::recipe::{Recipe, Seed};
use compose::Ingredients;
pub use describable::Describable;
use qualify::Around;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// SQL that need not be compiled.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What was kept of an earlier release.
    pub kept: &'a KeptSql,
    /// What comes out now: what it was compiled from must be the same.
    pub outcomes: &'a Outcomes,
}

impl Builds {
    /// Who builds a plan, and with dbt left out, the recipe, which is written into the run's folder. `compiled`
    /// is what was compiled already; what is `known` besides, or has to be compiled, is added.
    ///
    /// # Errors
    /// dbt's; a refusal where a native build is asked for and is not possible.
    pub async fn choose_engine(
        &self,
        wanted: settings::Engine,
        parsed: &Parsed,
        compiled: &mut Compiled,
        known: Option<Known<'_>>,
        plan: &Plan,
    ) -> Result<Building, DeploymentError> {
        // Without dbt somebody has to run the tests, also where nothing is built.
        let is_bundled = self.bundle.is_some();
        let is_done_by_others = !is_bundled || plan.tests.is_empty();
        let builds_nothing = is_done_by_others && plan.built().next().is_none();
        let nothing = builds_nothing || plan.strategy == Strategy::Replace;
        if wanted == settings::Engine::Dbt || nothing {
            return Ok(Building::default());
        }
        let reasons = match self
            .compose(&parsed.manifest, &parsed.candidate, compiled, known, plan)
            .await?
        {
            Ok(recipe) => {
                let (bytes, digest) = recipe.written().map_err(not_json)?;
                let path = self.recipe_file();
                std::fs::write(&path, &bytes).map_err(|source| {
                    let path = path.display().to_string();
                    self.or_full(DeploymentError::Run { path, source })
                })?;
                let alone: BTreeSet<&str> = recipe
                    .tests
                    .iter()
                    .map(|test| test.unique_id.as_str())
                    .collect();
                let rest = plan.tests.iter().map(String::as_str);
                let rest: BTreeSet<&str> = rest.filter(|id| !alone.contains(id)).collect();
                if is_bundled && !rest.is_empty() {
                    return Err(refused_tests(&rest).into());
                }
                let selectors = parsed.candidate.selectors(&rest);
                let selectors =
                    selectors.map_err(|error| DeploymentError::Failed(with_causes(&error)))?;
                return Ok(Building {
                    engine: Engine::Native,
                    recipe: Some(digest),
                    reasons: Vec::new(),
                    tests: rest.into_iter().map(str::to_owned).collect(),
                    test_selectors: selectors,
                });
            }
            Err(reasons) => Vec::from_iter(reasons),
        };
        match wanted {
            settings::Engine::Native if is_bundled => Err(refused_bundle(reasons).into()),
            settings::Engine::Native => Err(refused(reasons).into()),
            settings::Engine::Auto | settings::Engine::Dbt => Ok(Building {
                engine: Engine::Dbt,
                reasons,
                ..Building::default()
            }),
        }
    }

    async fn compose(
        &self,
        manifest: &Manifest,
        candidate: &Candidate,
        compiled: &mut Compiled,
        known: Option<Known<'_>>,
        plan: &Plan,
    ) -> Result<Result<Recipe, BTreeSet<String>>, DeploymentError> {
        self.compose_with(manifest, candidate, compiled, known, plan, None)
            .await
    }

    /// The recipe of a plan, or why there is none. `otherwise` is the cluster where nobody names one.
    async fn compose_with(
        &self,
        manifest: &Manifest,
        candidate: &Candidate,
        compiled: &mut Compiled,
        known: Option<Known<'_>>,
        plan: &Plan,
        otherwise: Option<&str>,
    ) -> Result<Result<Recipe, BTreeSet<String>>, DeploymentError> {
        let reasons = |asking: &BTreeSet<String>| {
            let around = Around {
                // What is composed for whatever cluster is composed for a corner.
                makes_sources: otherwise.is_some(),
                ..self.around(asking)
            };
            qualify::reasons(manifest, plan, around)
        };
        // Before anything is compiled for it.
        let found = reasons(&compiled.asking);
        if !found.is_empty() {
            return Ok(Err(found));
        }
        let warnings_are_errors = self.has_warnings_as_errors();
        // Only a corner runs unit tests natively.
        let unit_tested = match otherwise {
            Some(_) => unit_tested(manifest, plan),
            None => BTreeSet::new(),
        };
        let mut missing: BTreeSet<&str> = plan
            .built()
            .filter(|node| node.kind != Some(ObjectKind::Table))
            .map(|node| node.unique_id.as_str())
            .chain(data_tests::wanted(manifest, plan, warnings_are_errors))
            .chain(unit_tested.iter().copied())
            .filter(|id| !compiled.sql.contains_key(*id) && !compiled.asking.contains(*id))
            .collect();
        if let Some(Known { kept, outcomes }) = known {
            missing.retain(|id| {
                let sql = kept.sql(outcomes, id).map(str::to_owned);
                let sql = sql.map(|sql| compiled.sql.insert((*id).to_owned(), sql));
                sql.is_none()
            });
        }
        if !missing.is_empty() && self.bundle.is_some() {
            let missing = missing.into_iter();
            let missing = missing.map(|id| format!("{id} is not compiled in the bundle"));
            return Ok(Err(missing.collect()));
        }
        if !missing.is_empty() {
            let more = self.compile_all(manifest, candidate, &missing).await?;
            compiled.sql.extend(more.sql);
            compiled.asking.extend(more.asking);
            let found = reasons(&compiled.asking);
            if !found.is_empty() {
                return Ok(Err(found));
            }
        }
        let target_cluster = self.final_cluster(&candidate.cluster_names, None);
        let read = self.reader();
        let ingredients = Ingredients {
            manifest,
            candidate,
            plan,
            target_cluster: target_cluster.as_deref().or(otherwise),
            sql: &compiled.sql,
            warnings_are_errors,
            file: &read,
        };
        Ok(compose::compose(ingredients, &compiled.asking))
    }

    /// What a build of this plan makes on one cluster, in whatever order of releases: the recipe, or why there is
    /// none, one clause for each reason. Relations for which neither a node nor the profile names a cluster are planned
    /// under the name `""`. What had to be compiled for it is added to `compiled`.
    ///
    /// # Errors
    /// dbt's, with the node and its file.
    pub async fn recipe_in_corner(
        &self,
        parsed: &Parsed,
        compiled: &mut Compiled,
        known: Option<Known<'_>>,
        plan: &Plan,
    ) -> Result<Result<Recipe, BTreeSet<String>>, DeploymentError> {
        self.compose_with(
            &parsed.manifest,
            &parsed.candidate,
            compiled,
            known,
            plan,
            Some(""),
        )
        .await
    }

    /// What a native build of this plan makes.
    ///
    /// # Errors
    /// dbt's; [`DeploymentError::Failed`] when the project changed since it was planned.
    pub async fn recipe(&self, plan: &Plan) -> Result<Recipe, DeploymentError> {
        let planned = plan.building.recipe.as_deref().unwrap_or_default();
        let kept = written(&self.recipe_file())?;
        if let Some(recipe) = kept.and_then(|bytes| Recipe::read(&bytes, planned)) {
            return Ok(recipe);
        }
        self.is_under_the_planned(plan).await?;
        let mut parsed = self.parse_and_compile(None, Green::ByName).await?;
        super::same_project(&parsed.manifest, &plan.manifest_hash)?;
        let composed = self
            .compose(
                &parsed.manifest,
                &parsed.candidate,
                &mut parsed.compiled,
                None,
                plan,
            )
            .await?;
        let changed = || {
            DeploymentError::Failed(
                "what is built changed since it was planned; deploy again".to_owned(),
            )
        };
        let recipe = composed.map_err(|_| changed())?;
        let (bytes, digest) = recipe.written().map_err(not_json)?;
        if digest != planned {
            return Err(changed());
        }
        let path = self.recipe_file();
        std::fs::write(&path, bytes).map_err(|source| {
            let path = path.display().to_string();
            self.or_full(DeploymentError::Run { path, source })
        })?;
        Ok(recipe)
    }

    /// Writes what became of the nodes of a run into its folder, where dbt writes it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_results(
        &self,
        run: &str,
        document: &serde_json::Value,
    ) -> Result<(), DeploymentError> {
        let folder = self.folder().join(run).join("target");
        let path = folder.join("run_results.json");
        crate::foundation::process::private::private_folder(&folder)
            .and_then(|()| std::fs::write(&path, document.to_string()))
            .map_err(|source| {
                let path = path.display().to_string();
                self.or_full(DeploymentError::Run { path, source })
            })
    }

    /// The rows of a seed, as they were when it was planned, under the names that its columns get.
    ///
    /// # Errors
    /// [`DeploymentError::Failed`] when the file is another by now.
    pub fn rows(&self, make: &Make) -> Result<Seed, DeploymentError> {
        let Make::Seed {
            package,
            file,
            digest,
            format,
            quotes,
        } = make
        else {
            return Err(DeploymentError::Failed(
                "what is no seed has no rows".to_owned(),
            ));
        };
        let path = self.file_of(package.as_deref(), file);
        let bytes = std::fs::read(&path).map_err(|source| DeploymentError::Run {
            path: path.display().to_string(),
            source,
        })?;
        if Digest::of(&bytes) != *digest {
            return Err(DeploymentError::Failed(format!(
                "{} changed since it was planned; deploy again",
                file.display()
            )));
        }
        let mut seed = Seed::read(&bytes, format)
            .map_err(|why| DeploymentError::Failed(format!("{} {why}", file.display())))?;
        if !quotes {
            for column in &mut seed.columns {
                column.name = column.name.to_lowercase();
            }
        }
        Ok(seed)
    }

    /// What is known of the project besides its manifest.
    pub(super) fn around<'a>(&'a self, asking: &'a BTreeSet<String>) -> Around<'a> {
        Around {
            variables: &self.circumstances.variables,
            has_search_path: self.has_search_path(),
            makes_sources: false,
            asking,
        }
    }

    /// Reads files of the project, and of its packages.
    fn reader(&self) -> impl Fn(Option<&str>, &Path) -> Result<Vec<u8>, String> {
        |package, file| {
            let path = self.file_of(package, file);
            std::fs::read(&path)
                .map_err(|error| format!("cannot be read: {}: {error}", path.display()))
        }
    }

    /// A file of the project, or of one of its packages.
    pub(super) fn file_of(&self, package: Option<&str>, file: &Path) -> PathBuf {
        match package {
            None => self.invoker.project_dir.join(file),
            Some(package) => self.packages.join(package).join(file),
        }
    }

    fn has_search_path(&self) -> bool {
        let given = self.output.get("search_path");
        given.is_some_and(|path| !path.is_null() && path.as_str() != Some(""))
    }

    /// By a flag of the project or a variable of the environment, whatever it says.
    fn has_warnings_as_errors(&self) -> bool {
        let mut variables = self.circumstances.environment.keys();
        let flags = self.circumstances.project.get("flags");
        let flags = flags.and_then(serde_json::Value::as_object);
        let mut flags = flags.into_iter().flat_map(|flags| flags.keys());
        variables.any(|name| name.starts_with("DBT_") && name.contains("WARN_ERROR"))
            || flags.any(|flag| flag.starts_with("warn_error"))
    }

    fn recipe_file(&self) -> PathBuf {
        self.folder().join("recipe.json")
    }
}

/// The models of planned unit tests that have SQL of their own.
fn unit_tested<'m>(manifest: &'m Manifest, plan: &Plan) -> BTreeSet<&'m str> {
    let tests = plan.tests.iter();
    let models = tests.filter_map(|id| {
        let id = manifest.unit_tests.get(id)?.depends_on.nodes.first()?;
        manifest.nodes.get(id)
    });
    let made = models.filter(|model| {
        let made = CandidateNode::of(model).materialization();
        matches!(made, Materialization::Relation(_))
    });
    made.map(|model| model.unique_id.as_str()).collect()
}

fn refused(reasons: Vec<String>) -> Refused {
    Refused(vec![Refusal {
        name: RefusalName::NotNative,
        message: "build.engine is native, and this plan cannot be built without dbt".to_owned(),
        objects: reasons,
        remedy: "change what is named, or set build.engine to auto or dbt".to_owned(),
    }])
}

fn refused_bundle(reasons: Vec<String>) -> Refused {
    Refused(vec![Refusal {
        name: RefusalName::NotNative,
        message: "a bundle is released without dbt, and this plan cannot be".to_owned(),
        objects: reasons,
        remedy: "change what is named and compile again, or release without a bundle".to_owned(),
    }])
}

fn refused_tests(tests: &BTreeSet<&str>) -> Refused {
    Refused(vec![Refusal {
        name: RefusalName::NotNative,
        message: "a bundle is released without dbt, and only dbt can run these tests: they ask the server while they are compiled, run or store their failures on a cluster without a green side, or warnings are errors"
            .to_owned(),
        objects: tests.iter().map(ToString::to_string).collect(),
        remedy: "change what is named and compile again, or release without a bundle".to_owned(),
    }])
}

fn not_json(error: serde_json::Error) -> DeploymentError {
    DeploymentError::Manifest(format!("the recipe cannot be written as JSON: {error}"))
}
