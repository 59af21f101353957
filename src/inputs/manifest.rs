//! dbt's `manifest.json` (schema v12) as typed data.
//!
//! Unknown fields are ignored; those that only dbt's documentation uses are not read. Each text of the
//! file is held once. Reading checks what a release rests on: the schema version, the adapter, that there
//! is something in it, and that no two nodes stand for one relation. [`Manifest::graph`] checks the edges.

pub mod artifact;
mod config;
mod digest;
mod graph;
pub mod identifier;
mod node;
mod resource;
pub mod run_results;
#[cfg(test)]
pub(crate) mod sample;
mod semantic;
mod shared;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::foundation::failure::{Class, Classify};
use crate::inputs::manifest::artifact::decode;
use crate::inputs::project::profiles::ADAPTER;

pub(crate) use config::is_true;
pub use config::{Config, ContractConfig, Index, PersistDocs};
pub use graph::Graph;
pub use node::{
    Checksum, Column, Constraint, Contract, DependsOn, Node, Ref, Relation, ResourceType,
    TestMetadata,
};
pub use resource::Resource;
pub use semantic::{
    Exposure, Fixture, Given, Group, Macro, Metric, SavedQuery, SemanticModel, Source, UnitTest,
};
pub use shared::Shared;

const KIND: artifact::Kind = artifact::Kind {
    name: "manifest",
    version: 12,
    dbt: "1.8 to 1.11",
};

/// Why a manifest could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is missing, broken or of another kind or version.
    #[error(transparent)]
    Artifact(#[from] artifact::Error),
    /// The manifest was made for another adapter.
    #[error(
        "{}: `metadata.adapter_type` is {}, Cutover releases `materialize` only; parse the project with a \
         target of type materialize",
        file.display(), found.as_deref().map_or("missing".to_owned(), |found| format!("`{found}`"))
    )]
    OtherAdapter {
        /// The file.
        file: PathBuf,
        /// The adapter that it names.
        found: Option<String>,
    },
    /// Nothing is enabled in it.
    #[error(
        "{}: the project has no enabled model, seed or test; check `model-paths` and `enabled` in dbt_project.yml",
        file.display()
    )]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// Two nodes stand for one relation.
    #[error(
        "{}: `{first}` and `{second}` are both the relation {relation}; give one of them another alias or schema",
        file.display()
    )]
    DuplicateRelation {
        /// The file.
        file: PathBuf,
        /// The relation, as SQL.
        relation: String,
        /// One node.
        first: String,
        /// The other.
        second: String,
    },
    /// The manifest to compare with is of another project.
    #[error(
        "{}: it is a manifest of the project `{found}`, and {} is one of `{wanted}`; only states of one project can be compared",
        file.display(), other.display()
    )]
    OtherProject {
        /// The file.
        file: PathBuf,
        /// Its project.
        found: String,
        /// The file that it is compared with.
        other: PathBuf,
        /// The project there.
        wanted: String,
    },
    /// An edge leads nowhere.
    #[error(
        "{}: `{node}` depends on `{parent}`, which is {}; let dbt write the manifest again",
        file.display(), if *disabled { "disabled" } else { "not in the manifest" }
    )]
    MissingParent {
        /// The file.
        file: PathBuf,
        /// The node.
        node: String,
        /// What it depends on.
        parent: String,
        /// Whether the manifest lists the parent as disabled.
        disabled: bool,
    },
    /// Nodes depend on each other in a circle.
    #[error("{}: nodes depend on each other in a circle: {}; remove one of these references", file.display(), cycle.join(" -> "))]
    Cycle {
        /// The file.
        file: PathBuf,
        /// The circle; the first node is repeated at its end.
        cycle: Vec<String>,
    },
}

impl Classify for Error {
    fn class(&self) -> Class {
        match self {
            Self::Artifact(_)
            | Self::OtherAdapter { .. }
            | Self::Empty { .. }
            | Self::DuplicateRelation { .. }
            | Self::OtherProject { .. }
            | Self::MissingParent { .. }
            | Self::Cycle { .. } => Class::Usage,
        }
    }
}

/// Who wrote a manifest, when, and for what.
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    /// The address of the schema.
    pub dbt_schema_version: String,
    /// The dbt that wrote it.
    #[serde(default)]
    pub dbt_version: Option<String>,
    /// When it was written.
    #[serde(default)]
    pub generated_at: Option<jiff::Timestamp>,
    /// The run that wrote it.
    #[serde(default)]
    pub invocation_id: Option<String>,
    /// The root project.
    #[serde(default)]
    pub project_name: Option<String>,
    /// MD5 of the project's name.
    #[serde(default)]
    pub project_id: Option<String>,
    /// `materialize`, once read.
    #[serde(default)]
    pub adapter_type: Option<String>,
}

impl Metadata {
    /// Major and minor version of the dbt that wrote it, where it says them.
    #[must_use]
    pub fn dbt_release(&self) -> Option<(u32, u32)> {
        let mut numbers = self.dbt_version.as_deref()?.split('.');
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    }
}

/// A dbt project as dbt parsed it. Maps go from `unique_id` to the resource.
#[derive(Clone, Debug, Deserialize)]
pub struct Manifest {
    /// Where it was read, for messages.
    #[serde(skip)]
    pub file: PathBuf,
    /// Who wrote it.
    pub metadata: Metadata,
    /// Models, seeds, snapshots, tests, analyses and operations; enabled ones only.
    #[serde(deserialize_with = "nodes")]
    pub nodes: BTreeMap<String, Node>,
    /// Tables that others write.
    #[serde(default, deserialize_with = "decode::by_id")]
    pub sources: BTreeMap<String, Source>,
    /// Uses of the project's data.
    #[serde(default, deserialize_with = "decode::by_id")]
    pub exposures: BTreeMap<String, Exposure>,
    /// Metrics of the semantic layer.
    #[serde(default, deserialize_with = "decode::by_id")]
    pub metrics: BTreeMap<String, Metric>,
    /// Semantic models.
    #[serde(default, deserialize_with = "decode::by_id")]
    pub semantic_models: BTreeMap<String, SemanticModel>,
    /// Saved queries.
    #[serde(default, deserialize_with = "decode::by_id")]
    pub saved_queries: BTreeMap<String, SavedQuery>,
    /// Unit tests.
    #[serde(default, deserialize_with = "decode::by_id")]
    pub unit_tests: BTreeMap<String, UnitTest>,
    /// User-defined functions: nodes with arguments.
    #[serde(default, deserialize_with = "decode::by_id")]
    pub functions: BTreeMap<String, Node>,
    /// Groups, which say who owns their nodes.
    #[serde(default, deserialize_with = "decode::by_id")]
    pub groups: BTreeMap<String, Group>,
    /// Macros of the project, its packages, dbt and the adapter.
    #[serde(default, deserialize_with = "decode::by_id")]
    pub macros: BTreeMap<String, Macro>,
    /// What is disabled, as far as a state comparison asks.
    #[serde(default, deserialize_with = "disabled")]
    pub disabled: BTreeMap<String, Disabled>,
    /// `selectors.yml`, as dbt expanded it.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub selectors: BTreeMap<String, Value>,
}

/// Something disabled: what decides whether disabling it broke a contract.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Disabled {
    /// Of a versioned model.
    #[serde(default)]
    pub version: Option<Value>,
    /// When a model is to go.
    #[serde(default)]
    pub deprecation_date: Option<String>,
    /// The promise about its columns.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub contract: Contract,
}

fn nodes<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Node>, D::Error> {
    let mut common = node::Common::default();
    decode::each_by_id(deserializer, |node| common.share(node))
}

/// dbt keeps every disabled thing of an id in a list and looks at the first.
fn disabled<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Disabled>, D::Error> {
    let disabled: Option<BTreeMap<String, Vec<Disabled>>> = Option::deserialize(deserializer)?;
    Ok(disabled
        .unwrap_or_default()
        .into_iter()
        .map(|(id, all)| (id, all.into_iter().next().unwrap_or_default()))
        .collect())
}

impl Manifest {
    /// Reads a file.
    pub fn read(file: &Path) -> Result<Self, Error> {
        Self::checked(artifact::read(file, KIND)?, file)
    }

    /// Reads a manifest at hand; `origin` stands for the file in messages.
    pub fn from_slice(bytes: &[u8], origin: &Path) -> Result<Self, Error> {
        Self::checked(artifact::parse(bytes, origin, KIND)?, origin)
    }

    fn checked(mut manifest: Self, file: &Path) -> Result<Self, Error> {
        manifest.file = file.to_owned();
        let file = || manifest.file.clone();
        if manifest.metadata.adapter_type.as_deref() != Some(ADAPTER) {
            return Err(Error::OtherAdapter {
                file: file(),
                found: manifest.metadata.adapter_type,
            });
        }
        if manifest.nodes.is_empty() {
            return Err(Error::Empty { file: file() });
        }
        let mut seen = HashMap::with_capacity(manifest.nodes.len());
        for (id, node) in &manifest.nodes {
            let (Some(_), Some(schema)) = (&node.relation_name, &node.schema) else {
                continue;
            };
            let place = (node.database.as_deref(), schema.as_str(), node.identifier());
            if let Some(first) = seen.insert(place, id) {
                let (first, second) = (first.clone(), id.clone());
                let relation = node.relation().map(|relation| relation.to_string());
                let relation = relation.unwrap_or_default();
                return Err(Error::DuplicateRelation {
                    file: file(),
                    relation,
                    first,
                    second,
                });
            }
        }
        Ok(manifest)
    }

    /// Makes sure that both are states of one project; a manifest that names none passes.
    ///
    /// # Errors
    /// [`Error::OtherProject`], about this manifest.
    pub fn is_state_of(&self, other: &Self) -> Result<(), Error> {
        match (&self.metadata.project_name, &other.metadata.project_name) {
            (Some(found), Some(wanted)) if found != wanted => Err(Error::OtherProject {
                file: self.file.clone(),
                found: found.clone(),
                other: other.file.clone(),
                wanted: wanted.clone(),
            }),
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    /// The edges between everything that can be selected.
    pub fn graph(&self) -> Result<Graph<'_>, Error> {
        Graph::of(self)
    }

    /// A hash of what the project means, equal for every parse of the same project.
    ///
    /// SHA-256 in hex. Left out are times, ids of runs, paths outside the project, what compiling adds, who
    /// wrote it, what is disabled, and selectors. Variables that change names (`deploy: true`) change it.
    pub fn content_hash(&self) -> Result<String, serde_json::Error> {
        digest::of(self)
    }

    /// Whatever has this `unique_id`, macros and disabled resources aside.
    pub fn get(&self, id: &str) -> Option<Resource<'_>> {
        None.or_else(|| self.nodes.get(id).map(Resource::Node))
            .or_else(|| self.sources.get(id).map(Resource::Source))
            .or_else(|| self.exposures.get(id).map(Resource::Exposure))
            .or_else(|| self.metrics.get(id).map(Resource::Metric))
            .or_else(|| self.semantic_models.get(id).map(Resource::SemanticModel))
            .or_else(|| self.saved_queries.get(id).map(Resource::SavedQuery))
            .or_else(|| self.unit_tests.get(id).map(Resource::UnitTest))
            .or_else(|| self.functions.get(id).map(Resource::Function))
    }

    /// Everything that can be selected, kind after kind, by `unique_id` within a kind.
    pub fn resources(&self) -> impl Iterator<Item = (&str, Resource<'_>)> {
        let nodes = self
            .nodes
            .iter()
            .map(|(id, node)| (id, Resource::Node(node)));
        let sources = self
            .sources
            .iter()
            .map(|(id, source)| (id, Resource::Source(source)));
        let exposures = self
            .exposures
            .iter()
            .map(|(id, exposure)| (id, Resource::Exposure(exposure)));
        let metrics = self
            .metrics
            .iter()
            .map(|(id, metric)| (id, Resource::Metric(metric)));
        let models = self
            .semantic_models
            .iter()
            .map(|(id, model)| (id, Resource::SemanticModel(model)));
        let queries = self
            .saved_queries
            .iter()
            .map(|(id, query)| (id, Resource::SavedQuery(query)));
        let tests = self
            .unit_tests
            .iter()
            .map(|(id, test)| (id, Resource::UnitTest(test)));
        let functions = self
            .functions
            .iter()
            .map(|(id, function)| (id, Resource::Function(function)));
        let all = nodes
            .chain(sources)
            .chain(exposures)
            .chain(metrics)
            .chain(models);
        all.chain(queries)
            .chain(tests)
            .chain(functions)
            .map(|(id, resource)| (id.as_str(), resource))
    }
}
