//! What the project and the server say, as the plan needs it: the input of planning, free of files
//! and connections.

use super::clusters::ClusterNames;
use super::diff_traits;
use super::indexes::Wanted;
use super::owners;
use crate::domain::catalog::{Catalog, ClusterDefinition, ObjectKind};
use crate::domain::diff::Traits;
use crate::domain::plan::outside::Outside;
use crate::domain::plan::owner::Owner;
use crate::domain::plan::refusal::RefusalName;
use crate::domain::plan::{GREEN_SUFFIX, IndexMove, Mode, Refresh};
use crate::inputs::manifest::identifier::ClusterName;
use crate::inputs::manifest::{Manifest, Node, ResourceType};
use crate::inputs::project::switches::Switches;
use crate::inputs::selection::exact::{self, SelectorError};
use crate::planning::planner::side_relations::{VersionPointer, version_pointer};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The environment.
    pub environment: &'a str,
    /// The dbt target.
    pub target: &'a str,
    /// The file with `vars.deployment`, for remedies.
    pub deployment_file: &'a str,
    /// Whether all of `vars.deployment` is released or what a change touches.
    pub mode: Mode,
    /// `vars.deployment.<target>.schemas`; of a slim release the touched ones.
    pub schemas: &'a BTreeSet<String>,
    /// `vars.deployment.<target>.clusters`; of a slim release the touched ones.
    pub clusters: &'a BTreeSet<String>,
    /// The cluster of the profile, by its final name.
    pub target_cluster: Option<&'a str>,
    /// The project.
    pub candidate: &'a Candidate,
    /// The server.
    pub catalog: &'a Catalog,
    /// How to clone the clusters concerned, by name, or why that is not possible.
    pub definitions: &'a BTreeMap<String, Result<ClusterDefinition, String>>,
    /// What the last promotion made live, where it is known, by `(schema, name)`.
    pub baseline: Option<&'a BTreeMap<(String, String), Promoted>>,
    /// The size of clusters that `--bootstrap` creates; `None` without `--bootstrap`.
    pub bootstrap: Option<&'a str>,
    /// Indexes of unchanged relations that are made again on green clusters.
    pub moved: &'a [IndexMove],
    /// What is done outside of what is swapped.
    pub outside: &'a Outside,
    /// Refusals accepted by name.
    pub allow: &'a BTreeSet<RefusalName>,
}

impl Input<'_> {
    /// The remedy when `vars.deployment` lacks a schema or cluster.
    #[must_use]
    pub fn line_to_add(&self, list: &str, name: &str) -> String {
        format!(
            "add `- {name}` under vars.deployment.{}.{list} in {}",
            self.target, self.deployment_file
        )
    }
}

/// The project at one commit.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Candidate {
    /// The project's name.
    pub project: String,
    /// The content hash of its manifest.
    pub hash: String,
    /// The content hash of its manifest under `deploy: true`; empty where it was not parsed so.
    pub green_hash: String,
    /// Models, seeds, snapshots and the tests that store their failures, by unique id.
    pub nodes: BTreeMap<String, CandidateNode>,
    /// Views that dbt makes under the bare name of a versioned model: the model's unique id → the name.
    pub pointers: BTreeMap<String, String>,
    /// Unique ids of the project's `on-run-start` and `on-run-end` hooks, sorted.
    pub project_hooks: Vec<String>,
    /// Data tests and unit tests, by unique id.
    pub tests: BTreeMap<String, CandidateTest>,
    /// Who owns nodes and tests, by unique id.
    pub owners: BTreeMap<String, Vec<Owner>>,
    /// Everything that a selector could select.
    pub selectable: Vec<Selectable>,
    /// Where each node is built aside, by dbt when `deploy: true` is set: `(database, schema, identifier)`.
    pub deploy_relations: BTreeMap<String, (String, String, String)>,
    /// What became of the names of clusters.
    pub cluster_names: ClusterNames,
}

/// A cluster that a node or test names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterUse {
    /// A name that dbt-materialize can splice into SQL with its suffix.
    Named(String),
    /// A name that would need quotes, as written.
    NeedsQuotes(String),
}

/// What the last promotion made live under one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Promoted {
    /// The indexes that its node makes on it.
    pub indexes: Vec<Wanted>,
    /// Whether dbt made it beside its nodes, as far as a release saw.
    pub beside: bool,
}

/// A model, seed or snapshot, or a test that stores its failures.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateNode {
    /// Its database.
    pub database: String,
    /// Its production schema.
    pub schema: String,
    /// Its relation's name.
    pub identifier: String,
    /// The materialization, as dbt calls it (`seed` for seeds; of a test, what it stores its failures as).
    pub materialized: String,
    /// Whether it is a test that stores its failures: the run of the tests makes it, no build does.
    pub stores_failures: bool,
    /// Whether dbt runs SQL of the project before or after it, whose effects nothing says before.
    pub has_hooks: bool,
    /// The cluster that it names.
    pub cluster: Option<ClusterUse>,
    /// Its indexes.
    pub indexes: Vec<CandidateIndex>,
    /// Unique ids of the nodes and sources that it reads.
    pub parents: Vec<String>,
    /// Whether dbt writes the relation's comment.
    pub persists_relation_comment: bool,
    /// Whether dbt writes the columns' comments.
    pub persists_column_comments: bool,
    /// The columns and types that it promises, where its contract is enforced.
    pub contract: Option<BTreeMap<String, String>>,
    /// When it is filled, where it does not follow its inputs.
    pub refresh: Option<Refresh>,
    /// What the project says of it for the data diff.
    pub diff: Traits,
}

/// An index that dbt makes on a relation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CandidateIndex {
    /// Columns and expressions, as they are written.
    pub columns: Vec<String>,
    /// Its name, where the project gives one.
    pub name: Option<String>,
    /// Whether the server chooses the columns.
    pub is_default: bool,
    /// The cluster that it names.
    pub cluster: Option<ClusterUse>,
}

/// A data test or unit test.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidateTest {
    /// The cluster that it names.
    pub cluster: Option<ClusterUse>,
    /// Unique ids of the nodes and sources that it reads.
    pub parents: Vec<String>,
}

/// A node as dbt's selection sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selectable {
    /// dbt's unique id.
    pub unique_id: String,
    /// Its fully qualified name.
    pub fqn: Vec<String>,
    /// Its type, dbt's word.
    pub resource_type: &'static str,
    /// Its package.
    pub package: String,
    /// Its file, as the manifest has it.
    pub file: String,
    /// Whether it is a version of a model.
    pub versioned: bool,
}

/// What a materialization means to a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Materialization {
    /// A relation that can be built anew at any time.
    Relation(ObjectKind),
    /// No relation at all.
    Ephemeral,
    /// A source or a table fed by one: rebuilding ingests everything again.
    Source,
    /// A sink.
    Sink,
    /// Something that a release cannot build and swap.
    Unsupported,
}

impl Materialization {
    /// What dbt's word means to a release.
    #[must_use]
    pub fn named(materialized: &str) -> Self {
        match materialized {
            "view" => Self::Relation(ObjectKind::View),
            // dbt-materialize makes a materialized view of `table`.
            "materialized_view" | "materializedview" | "table" => {
                Self::Relation(ObjectKind::MaterializedView)
            }
            "seed" => Self::Relation(ObjectKind::Table),
            "ephemeral" => Self::Ephemeral,
            "source" | "source_table" => Self::Source,
            "sink" => Self::Sink,
            _ => Self::Unsupported,
        }
    }
}

impl CandidateNode {
    /// What a release needs to know of a model, seed or snapshot whose clusters are called as it says.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        Self::with_clusters(node, &ClusterNames::default())
    }

    /// What a release needs to know of a model, seed or snapshot.
    #[must_use]
    pub fn with_clusters(node: &Node, clusters: &ClusterNames) -> Self {
        let named = |given: &String| clusters.named(given);
        let is_test = node.resource_type == ResourceType::Test;
        let materialized = if node.resource_type == ResourceType::Model {
            // dbt's own default.
            node.config.materialized.as_deref().unwrap_or("view")
        } else if is_test {
            node.stores_failures_as()
        } else {
            node.resource_type.as_str()
        }
        .to_owned();
        Self {
            database: node.database.clone().unwrap_or_default(),
            schema: node.schema.clone().unwrap_or_default(),
            identifier: node.identifier().to_owned(),
            materialized,
            stores_failures: is_test,
            has_hooks: node.config.has_hooks(),
            cluster: node.config.cluster.as_ref().map(named),
            indexes: node
                .config
                .indexes
                .iter()
                .map(|index| CandidateIndex {
                    columns: index.columns.clone(),
                    name: index.name.clone(),
                    is_default: index.default,
                    cluster: index.cluster.as_ref().map(named),
                })
                .collect(),
            parents: node.depends_on.nodes.clone(),
            persists_relation_comment: node.config.persist_docs.relation,
            persists_column_comments: node.config.persist_docs.columns,
            contract: contract(node),
            refresh: refresh(node),
            diff: Traits::default(),
        }
    }

    /// What its materialization means.
    #[must_use]
    pub fn materialization(&self) -> Materialization {
        Materialization::named(&self.materialized)
    }

    /// Whether a cluster computes it, indexes aside.
    #[must_use]
    pub fn is_computed(&self) -> bool {
        self.materialization() == Materialization::Relation(ObjectKind::MaterializedView)
    }

    /// Every cluster that it needs, the profile's where it names none.
    #[must_use]
    pub fn clusters(&self, target_cluster: Option<&str>) -> Vec<Option<ClusterUse>> {
        let own = self
            .cluster
            .clone()
            .or_else(|| target_cluster.map(|name| ClusterUse::Named(name.to_owned())));
        let mut needed: Vec<Option<ClusterUse>> = self
            .indexes
            .iter()
            .map(|index| index.cluster.clone().or_else(|| own.clone()))
            .collect();
        if self.is_computed() {
            needed.push(own);
        }
        needed
    }
}

/// The refresh schedule of a materialized view; the adapter looks at it for no other.
fn refresh(node: &Node) -> Option<Refresh> {
    let materialized = node.config.materialized.as_deref();
    let is_view = matches!(materialized, Some("materialized_view" | "materializedview"));
    let interval = node.config.rest.get("refresh_interval");
    interval.filter(|_| is_view).and_then(Refresh::of)
}

/// What an enforced contract promises; `None` where nothing is promised, or not a type of each column.
fn contract(node: &Node) -> Option<BTreeMap<String, String>> {
    if !(node.contract.enforced || node.config.contract.enforced) || node.columns.is_empty() {
        return None;
    }
    let columns = node.columns.values();
    columns
        .map(|column| Some((column.name.clone(), column.data_type.clone()?)))
        .collect()
}

impl ClusterUse {
    /// What a config value names.
    #[must_use]
    pub fn of(value: &str) -> Self {
        match ClusterName::fold(value) {
            Ok(ClusterName::Plain(name)) => Self::Named(name),
            Ok(ClusterName::Quoted(name)) => Self::NeedsQuotes(name),
            Err(_) => Self::NeedsQuotes(value.to_owned()),
        }
    }
}

impl Candidate {
    /// As [`Candidate::with_clusters`], of a project that does not override what clusters are called, and a
    /// dbt without switches.
    ///
    /// # Errors
    /// When the manifest's content cannot be hashed.
    pub fn from_manifests(plain: &Manifest, deploy: &Manifest) -> Result<Self, serde_json::Error> {
        Self::with_clusters(plain, deploy, ClusterNames::default(), Switches::default())
    }

    /// The project as its manifest, parsed plainly, shows it; a release decides where its green side lies.
    ///
    /// # Errors
    /// When the manifest's content cannot be hashed.
    pub fn alone(
        plain: &Manifest,
        clusters: ClusterNames,
        switches: Switches,
    ) -> Result<Self, serde_json::Error> {
        let hash = plain.content_hash()?;
        let mut candidate = Self::of_plain(plain, hash, clusters, switches);
        candidate.take_green(plain, switches);
        for (_, schema, _) in candidate.deploy_relations.values_mut() {
            schema.push_str(GREEN_SUFFIX);
        }
        Ok(candidate)
    }

    /// The project as two manifests show it: parsed plainly, and with `deploy: true`; with what dbt makes of
    /// the names of clusters, and what it is switched to make beside what nodes' configurations say.
    ///
    /// # Errors
    /// When the manifest's content cannot be hashed.
    pub fn with_clusters(
        plain: &Manifest,
        deploy: &Manifest,
        clusters: ClusterNames,
        switches: Switches,
    ) -> Result<Self, serde_json::Error> {
        let (hash, green_hash) = std::thread::scope(|scope| {
            let green = scope.spawn(|| deploy.content_hash());
            let plain = plain.content_hash();
            // A panic there is a panic here.
            let green = green
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (plain, green)
        });
        let mut candidate = Self::of_plain(plain, hash?, clusters, switches);
        candidate.green_hash = green_hash?;
        candidate.take_green(deploy, switches);
        Ok(candidate)
    }

    fn of_plain(
        plain: &Manifest,
        hash: String,
        clusters: ClusterNames,
        switches: Switches,
    ) -> Self {
        let mut candidate = Self {
            project: plain.metadata.project_name.clone().unwrap_or_default(),
            hash,
            cluster_names: clusters,
            owners: owners::of(plain),
            ..Self::default()
        };
        for (_, resource) in plain.resources() {
            candidate.selectable.push(Selectable {
                unique_id: resource.unique_id().to_owned(),
                fqn: resource.fqn().to_vec(),
                resource_type: resource.resource_type().as_str(),
                package: resource.package_name().to_owned(),
                file: resource.original_file_path().to_owned(),
                versioned: plain
                    .nodes
                    .get(resource.unique_id())
                    .is_some_and(|node| node.version.is_some()),
            });
        }
        for node in plain.nodes.values() {
            candidate.take_node(node, switches);
        }
        for (id, traits) in diff_traits::of(plain) {
            if let Some(node) = candidate.nodes.get_mut(&id) {
                node.diff = traits;
            }
        }
        candidate.take_pointers(plain, switches);
        for test in plain.unit_tests.values() {
            let cluster = test.config.get("cluster").and_then(|value| value.as_str());
            candidate.tests.insert(
                test.unique_id.clone(),
                CandidateTest {
                    cluster: cluster.map(|given| candidate.cluster_names.named(given)),
                    parents: test.depends_on.nodes.clone(),
                },
            );
        }
        candidate
    }

    /// Takes where the nodes of a manifest are made.
    fn take_green(&mut self, manifest: &Manifest, switches: Switches) {
        for node in manifest.nodes.values() {
            let is_made = match node.resource_type == ResourceType::Test {
                true => node.stores_failures(switches.store_failures),
                false => node.relation_name.is_some(),
            };
            if is_made {
                self.deploy_relations.insert(
                    node.unique_id.clone(),
                    (
                        node.database.clone().unwrap_or_default(),
                        node.schema.clone().unwrap_or_default(),
                        node.identifier().to_owned(),
                    ),
                );
            }
        }
    }

    fn take_node(&mut self, node: &Node, switches: Switches) {
        match node.resource_type {
            ResourceType::Model | ResourceType::Seed | ResourceType::Snapshot => {
                let made = CandidateNode::with_clusters(node, &self.cluster_names);
                self.nodes.insert(node.unique_id.clone(), made);
            }
            ResourceType::Test => {
                if node.stores_failures(switches.store_failures) {
                    let stored = CandidateNode::with_clusters(node, &self.cluster_names);
                    self.nodes.insert(node.unique_id.clone(), stored);
                }
                self.tests.insert(
                    node.unique_id.clone(),
                    CandidateTest {
                        cluster: node
                            .config
                            .cluster
                            .as_ref()
                            .map(|given| self.cluster_names.named(given)),
                        parents: node.depends_on.nodes.clone(),
                    },
                );
            }
            ResourceType::Operation => self.project_hooks.push(node.unique_id.clone()),
            ResourceType::Analysis
            | ResourceType::Rpc
            | ResourceType::SqlOperation
            | ResourceType::Source
            | ResourceType::Exposure
            | ResourceType::Metric
            | ResourceType::SemanticModel
            | ResourceType::SavedQuery
            | ResourceType::UnitTest
            | ResourceType::Function
            | ResourceType::Group
            | ResourceType::Macro
            | ResourceType::Doc
            | ResourceType::Fixture => {}
        }
    }

    /// A pointer whose name a macro of the project decides is as unknown as what a hook makes.
    fn take_pointers(&mut self, manifest: &Manifest, switches: Switches) {
        for node in manifest.nodes.values() {
            match version_pointer(manifest, node, switches) {
                None => {}
                Some(VersionPointer::Named(name)) => {
                    self.pointers
                        .insert(node.unique_id.clone(), name.to_owned());
                }
                Some(VersionPointer::ByMacro) => {
                    if let Some(node) = self.nodes.get_mut(&node.unique_id) {
                        node.has_hooks = true;
                    }
                }
            }
        }
    }

    /// Selectors that together select the nodes with these unique ids and no other.
    ///
    /// # Errors
    /// When dbt's grammar cannot tell a node from others.
    pub fn selectors(&self, wanted: &BTreeSet<&str>) -> Result<Vec<String>, SelectorError> {
        let all: Vec<exact::Node<'_>> = self
            .selectable
            .iter()
            .map(|node| exact::Node {
                unique_id: &node.unique_id,
                fqn: &node.fqn,
                resource_type: node.resource_type,
                package: &node.package,
                file: &node.file,
                versioned: node.versioned,
            })
            .collect();
        exact::for_nodes(&all, wanted)
    }

    /// Unique ids of what these parents stand for once ephemeral models are inlined: an ephemeral one
    /// for what it reads, any other for itself.
    #[must_use]
    pub fn reads<'a>(&'a self, parents: &'a [String]) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut queue: Vec<&str> = parents.iter().map(String::as_str).collect();
        while let Some(id) = queue.pop() {
            match self.nodes.get(id) {
                Some(node) if node.materialization() == Materialization::Ephemeral => {
                    if seen.insert(id) {
                        queue.extend(node.parents.iter().map(String::as_str));
                    }
                }
                Some(_) | None => {
                    found.insert(id);
                }
            }
        }
        found
    }

    /// Unique ids of everything downstream of `seeds`, the seeds left out.
    #[must_use]
    pub fn downstream(&self, seeds: &BTreeSet<String>) -> BTreeSet<String> {
        let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (id, node) in &self.nodes {
            for parent in &node.parents {
                children.entry(parent).or_default().push(id);
            }
        }
        let mut found = BTreeSet::new();
        let mut queue: Vec<&str> = seeds.iter().map(String::as_str).collect();
        while let Some(id) = queue.pop() {
            for child in children.get(id).into_iter().flatten() {
                if !seeds.contains(*child) && found.insert((*child).to_owned()) {
                    queue.push(child);
                }
            }
        }
        found
    }
}
