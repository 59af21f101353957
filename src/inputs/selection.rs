//! Which nodes a selection means: dbt's `--select`, `--exclude`, `--selector` and `--indirect-selection`.
//!
//! The rules are those of dbt-core 1.11 (`dbt.graph`), to the last node; what dbt finds by looking at its
//! project in memory is found here in the manifest that it wrote. Parsing and evaluating touch no file,
//! `path:` excepted: dbt defines it by the files that are there. [`ls`] is the whole of it in one call.

mod criteria;
mod evaluate;
/// Selecting exactly the planned nodes.
pub mod exact;
mod freshness;
mod method;
mod pattern;
mod selectors;
pub mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_yaml::Value;

use super::manifest::{self, Graph, Manifest, Metadata, ResourceType};
use crate::foundation::environment::Environment;
use crate::foundation::failure::{Class, Classify};
use crate::inputs::manifest::artifact;
use crate::inputs::manifest::run_results::RunResults;
use crate::inputs::project::document::{self, Document, Fault};
use crate::inputs::project::jinja::{Renderer, Scope, Variables};
use crate::inputs::project::locate::PROJECT_FILE;
use crate::inputs::selection::state::{Comparison, Rules};

pub use criteria::{Criteria, IndirectSelection, Method, Operation, Reach, Spec};
pub use freshness::Freshness;
pub use selectors::{FILE as SELECTORS_FILE, Selectors};

/// What dbt selects where nothing is asked for.
const EVERYTHING: [&str; 5] = [
    "fqn:*",
    "source:*",
    "exposure:*",
    "metric:*",
    "semantic_model:*",
];
/// The project flag that decides how sources are compared.
const UNRENDERED_FLAG: &str = "state_modified_compare_more_unrendered_values";
/// The first release of dbt in which that flag is on where the project does not say
/// (`dbt.contracts.project.ProjectFlags`), and what came before it under the same number.
const UNRENDERED_BY_DEFAULT: ((u32, u32), [&str; 4]) =
    ((1, 12), ["1.12.0b1", "1.12.0b2", "1.12.0b3", "1.12.0rc1"]);

/// Why a selection could not be read or evaluated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A criterion that is none.
    #[error("the selection `{spec}` cannot be read: {what}; correct it")]
    Broken {
        /// As written.
        spec: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A method that dbt does not have.
    #[error(
        "the selection `{spec}` names the unknown method `{method}`; use one of {}{}",
        Method::ALL.map(Method::as_str).join(", "),
        selector_remedy(method)
    )]
    UnknownMethod {
        /// The method.
        method: String,
        /// As written.
        spec: String,
    },
    /// A value that the method does not take.
    #[error("the selection `{spec}` has a wrong value; the method takes {expected}")]
    BadValue {
        /// As written.
        spec: String,
        /// What it may be.
        expected: String,
    },
    /// A selector that `selectors.yml` does not have.
    #[error("there is no selector `{name}`; {}", known_selectors(known))]
    UnknownSelector {
        /// The name that was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// `state:` without something to compare with.
    #[error("the selection `{spec}` needs a manifest to compare with; give one with --state")]
    NoBaseline {
        /// As written.
        spec: String,
    },
    /// `result:` without results.
    #[error(
        "the selection `{spec}` needs the run_results.json of an earlier run; give its folder with --state"
    )]
    NoRunResults {
        /// As written.
        spec: String,
    },
    /// `source_status:` without both files.
    #[error(
        "the selection `{spec}` compares two sources.json and {which} has none; run `dbt source freshness` there"
    )]
    NoFreshness {
        /// As written.
        spec: String,
        /// Which side lacks it.
        which: &'static str,
    },
    /// `selectors.yml` says something that it may not.
    #[error("{0}")]
    Selectors(Fault),
    /// A project file cannot be read or is not YAML.
    #[error(transparent)]
    Document(#[from] document::Error),
    /// A file of an earlier run cannot be read.
    #[error(transparent)]
    Artifact(#[from] artifact::Error),
    /// A manifest cannot be read, or has edges that lead nowhere.
    #[error(transparent)]
    Manifest(#[from] manifest::Error),
    /// dbt would refuse the comparison.
    #[error(transparent)]
    State(#[from] state::Error),
}

impl Classify for Error {
    /// Everything that can be wrong stands in a file or on the command line.
    fn class(&self) -> Class {
        match self {
            Self::Broken { .. }
            | Self::UnknownMethod { .. }
            | Self::BadValue { .. }
            | Self::UnknownSelector { .. }
            | Self::NoBaseline { .. }
            | Self::NoRunResults { .. }
            | Self::NoFreshness { .. }
            | Self::Selectors(_)
            | Self::Document(_)
            | Self::Artifact(_)
            | Self::Manifest(_)
            | Self::State(_) => Class::Usage,
        }
    }
}

fn known_selectors(known: &[String]) -> String {
    match known.is_empty() {
        true => "the project's selectors.yml has none".to_owned(),
        false => format!("use one of {}", known.join(", ")),
    }
}

fn selector_remedy(method: &str) -> &'static str {
    match method {
        "selector" => "; a selector of selectors.yml is named with --selector",
        _ => "",
    }
}

/// What the command line asks for. Recorded with a run that a daemon accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// `--select`; empty where it was not given.
    pub select: Vec<String>,
    /// `--exclude`
    pub exclude: Vec<String>,
    /// `--selector`, which wins over both.
    pub selector: Option<String>,
    /// `--indirect-selection`
    pub indirect: IndirectSelection,
}

impl Selection {
    /// What a release begins with; `None` when nothing was asked for. What is excluded is excluded
    /// from everything that changed.
    #[must_use]
    pub fn of_changes(
        select: Vec<String>,
        exclude: Vec<String>,
        selector: Option<String>,
    ) -> Option<Self> {
        if select.is_empty() && exclude.is_empty() && selector.is_none() {
            return None;
        }
        let changed = || vec!["state:modified".to_owned(), "state:new".to_owned()];
        Some(Self {
            select: match (&selector, select.is_empty()) {
                (None, true) => changed(),
                (Some(_), _) | (None, false) => select,
            },
            exclude,
            selector,
            indirect: IndirectSelection::default(),
        })
    }

    /// What it means, with the selectors of the project.
    ///
    /// # Errors
    /// A criterion that cannot be read, a selector that is not there.
    pub fn parse(&self, selectors: &Selectors) -> Result<Spec, Error> {
        if let Some(name) = &self.selector {
            let found = selectors.get(name).cloned();
            return found.ok_or_else(|| Error::UnknownSelector {
                name: name.clone(),
                known: selectors.names().map(str::to_owned).collect(),
            });
        }
        let is_empty = self.select.is_empty() && self.exclude.is_empty();
        if let Some((_, default)) = selectors.default_selection().filter(|_| is_empty) {
            return Ok(default.clone());
        }
        let included = match self.select.is_empty() {
            true => criteria::union(&EVERYTHING, self.indirect),
            false => criteria::union(&self.select, self.indirect),
        };
        let excluded = criteria::union(&self.exclude, self.indirect);
        Ok(Spec::group(
            Operation::Difference,
            vec![included?, excluded?],
        ))
    }
}

/// What a selection is evaluated against.
#[derive(Debug, Clone, Copy)]
pub struct Context<'m, 'c> {
    /// The project.
    pub manifest: &'m Manifest,
    /// Its edges.
    pub graph: &'c Graph<'m>,
    /// For `state:`; made with the same manifest as the new one.
    pub comparison: Option<&'c Comparison<'m>>,
    /// For `result:`
    pub run_results: Option<&'c RunResults>,
    /// For `source_status:`, of the state.
    pub freshness_before: Option<&'c Freshness>,
    /// For `source_status:`, of the target folder.
    pub freshness_now: Option<&'c Freshness>,
    /// The project's folder, for `path:`; without it every path of the manifest counts as there.
    pub project_dir: Option<&'c Path>,
}

impl<'m, 'c> Context<'m, 'c> {
    /// A context without a past.
    #[must_use]
    pub fn new(manifest: &'m Manifest, graph: &'c Graph<'m>) -> Self {
        Self {
            manifest,
            graph,
            comparison: None,
            run_results: None,
            freshness_before: None,
            freshness_now: None,
            project_dir: None,
        }
    }
}

/// What a command of dbt keeps of a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Kinds.
    pub kinds: BTreeSet<ResourceType>,
    /// Whether nodes without SQL are kept.
    pub empty: bool,
}

impl Kept {
    /// `dbt ls`: everything but analyses and hooks.
    #[must_use]
    pub fn by_ls() -> Self {
        Self::of_kinds([
            ResourceType::Model,
            ResourceType::Snapshot,
            ResourceType::Seed,
            ResourceType::Test,
            ResourceType::Source,
            ResourceType::Exposure,
            ResourceType::Metric,
            ResourceType::SavedQuery,
            ResourceType::SemanticModel,
            ResourceType::UnitTest,
            ResourceType::Function,
        ])
    }

    /// `dbt ls --resource-type all`
    #[must_use]
    pub fn by_ls_of_all() -> Self {
        let mut kept = Self::by_ls();
        kept.kinds.insert(ResourceType::Analysis);
        kept
    }

    /// `dbt ls` of certain kinds.
    #[must_use]
    pub fn of_kinds(kinds: impl IntoIterator<Item = ResourceType>) -> Self {
        Self {
            kinds: kinds.into_iter().collect(),
            empty: true,
        }
    }

    /// `dbt build`
    #[must_use]
    pub fn by_build() -> Self {
        Self::by_running([
            ResourceType::Model,
            ResourceType::Snapshot,
            ResourceType::Seed,
            ResourceType::Test,
            ResourceType::UnitTest,
            ResourceType::SavedQuery,
            ResourceType::Exposure,
            ResourceType::Function,
        ])
    }

    /// `dbt run`
    #[must_use]
    pub fn by_run() -> Self {
        Self::by_running([ResourceType::Model])
    }

    /// `dbt test`
    #[must_use]
    pub fn by_test() -> Self {
        Self::by_running([ResourceType::Test, ResourceType::UnitTest])
    }

    /// `dbt seed`
    #[must_use]
    pub fn by_seed() -> Self {
        Self::by_running([ResourceType::Seed])
    }

    /// `dbt snapshot`
    #[must_use]
    pub fn by_snapshot() -> Self {
        Self::by_running([ResourceType::Snapshot])
    }

    fn by_running(kinds: impl IntoIterator<Item = ResourceType>) -> Self {
        Self {
            empty: false,
            ..Self::of_kinds(kinds)
        }
    }

    fn keeps(&self, manifest: &Manifest, id: &str) -> bool {
        let Some(resource) = manifest.get(id) else {
            return false;
        };
        let is_empty = || {
            let node = manifest.nodes.get(id);
            node.is_some_and(|node| {
                node.resource_type != ResourceType::Seed && node.raw_code.trim().is_empty()
            })
        };
        self.kinds.contains(&resource.resource_type()) && (self.empty || !is_empty())
    }
}

/// The nodes that a specification selects, as far as a command keeps them.
///
/// # Errors
/// A wrong value, and what the context lacks.
pub fn evaluate<'m>(
    spec: &Spec,
    context: &Context<'m, '_>,
    kept: &Kept,
) -> Result<BTreeSet<&'m str>, Error> {
    let mut selected = evaluate::spec(spec, context)?.direct;
    selected.retain(|id| kept.keeps(context.manifest, id));
    Ok(selected)
}

/// What `dbt ls --output json --output-keys unique_id` prints in the project's folder, from the manifests
/// alone; without kinds, dbt's own choice of them. `selectors.yml` is rendered without variables and
/// without `target`.
///
/// # Errors
/// Those of parsing and of evaluating; a broken `selectors.yml` or `dbt_project.yml`.
pub fn ls(
    new: &Manifest,
    old: Option<&Manifest>,
    project_dir: &Path,
    selection: &Selection,
    kinds: &[ResourceType],
) -> Result<BTreeSet<String>, Error> {
    let scope = Scope::Project { target: None };
    let renderer = Renderer::new(&Environment::of_process(), &Variables::new(), scope);
    let selectors = Selectors::read(project_dir, &renderer, selection.indirect)?;
    let rules = rules(&project_flags(project_dir)?, &new.metadata);
    let graph = new.graph()?;
    let comparison = old.map(|old| Comparison::with(old, new, rules));
    let context = Context {
        comparison: comparison.as_ref(),
        project_dir: Some(project_dir),
        ..Context::new(new, &graph)
    };
    let kept = match kinds {
        [] => Kept::by_ls(),
        kinds => Kept::of_kinds(kinds.iter().copied()),
    };
    let selected = evaluate(&selection.parse(&selectors)?, &context, &kept)?;
    Ok(selected.into_iter().map(str::to_owned).collect())
}

fn project_flags(project_dir: &Path) -> Result<serde_yaml::Mapping, Error> {
    let file = project_dir.join(PROJECT_FILE);
    if !file.is_file() {
        return Ok(serde_yaml::Mapping::new());
    }
    let document = Document::read(&file)?;
    let flags = document.root.get("flags").and_then(Value::as_mapping);
    Ok(flags.cloned().unwrap_or_default())
}

/// How the project's flags want states compared, at this moment. Where they say nothing, the dbt that
/// wrote the new manifest decides: it is the one in use.
#[must_use]
pub fn rules(flags: &serde_yaml::Mapping, new: &Metadata) -> Rules {
    let flag = flags.get(UNRENDERED_FLAG).and_then(Value::as_bool);
    let default = || {
        let (first, before) = UNRENDERED_BY_DEFAULT;
        let version = new.dbt_version.as_deref().unwrap_or_default();
        new.dbt_release() >= Some(first) && !before.contains(&version)
    };
    Rules {
        compare_unrendered_sources: flag.unwrap_or_else(default),
        now: jiff::Timestamp::now(),
    }
}
