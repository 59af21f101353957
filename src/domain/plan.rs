//! What a deployment will do, as it is stored and shown.

use crate::domain::catalog::grants::{DefaultPrivilege, Grant};
use crate::domain::catalog::{ClusterDefinition, Object, ObjectKind};
use crate::domain::diff::Traits;
use crate::domain::plan::inputs::Inputs;
use crate::domain::plan::outside::Outside;
use crate::domain::plan::owner::Owned;
use crate::domain::plan::refusal::Refusal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Columns that change, and who reads them.
pub mod column;
/// What was compiled under.
pub mod inputs;
/// What is done outside of what is swapped.
pub mod outside;
/// Who owns what is planned.
pub mod owner;
/// Named reasons why a plan is refused.
pub mod refusal;
/// Text and configuration that changed.
pub mod text;

pub use column::{ColumnChange, ColumnChangeKind, Description, Reader, ReaderKind};
pub use text::{ConfigChange, TextChange, Texts};

/// The suffix that dbt-materialize gives to green schemas and clusters.
pub const GREEN_SUFFIX: &str = "_dbt_deploy";

/// Everything that one deployment will do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The format of this document; 1.
    pub version: u32,
    /// How much is released.
    pub mode: Mode,
    /// How it takes the place of what serves.
    #[serde(default)]
    pub strategy: Strategy,
    /// The environment that is released.
    pub environment: String,
    /// The dbt target, which also names the entry in `vars.deployment`.
    pub target: String,
    /// The dbt project's name.
    pub project: String,
    /// The Materialize database.
    pub database: String,
    /// The server's id of itself; `None` in plans of versions that did not ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The content hash of the candidate manifest.
    pub manifest_hash: String,
    /// What builds green, and why.
    #[serde(default, skip_serializing_if = "Building::is_plain")]
    pub building: Building,
    /// The content hash of the same project parsed with `deploy: true`; empty where dbt has no part in green.
    pub green_manifest_hash: String,
    /// What dbt compiles the project under; `None` in plans of versions before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Inputs>,
    /// What the outcomes hash to that the plan was made from; `None` in plans that compare texts, and in those
    /// of versions before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<String>,
    /// What the settings hash to that say what a release takes; `None` in plans of versions before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
    /// What was live when the plan was made.
    #[serde(default)]
    pub baseline: BaselineUsed,
    /// Schemas to swap, sorted by name.
    pub schemas: Vec<SchemaSwap>,
    /// Clusters to swap, sorted by name.
    pub clusters: Vec<ClusterSwap>,
    /// Nodes to build, sorted by unique id; also the tests that store their failures.
    pub nodes: Vec<PlannedNode>,
    /// Relations that dbt makes beside its nodes, as far as that is known; sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<BesideRelation>,
    /// Unique ids of planned nodes with hooks and of the project's own hooks: with them, dbt may make
    /// what no plan knows. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooked: Vec<String>,
    /// Default privileges of the database and of the whole server, sorted; what a new object has by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub default_privileges: Vec<DefaultPrivilege>,
    /// The selectors that select exactly [`Plan::nodes`], except tests.
    pub build_selectors: Vec<String>,
    /// Unique ids of the tests to run on green, sorted.
    pub tests: Vec<String>,
    /// The selectors that select exactly [`Plan::tests`].
    pub test_selectors: Vec<String>,
    /// The production name of the cluster whose green side runs the tests; `None` when no test is planned.
    pub test_cluster: Option<String>,
    /// What the profile must give as its cluster so that the tests run there, where the project makes
    /// another name of it; else `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_cluster_given: Option<String>,
    /// Indexes of unchanged relations that are made again on green clusters, sorted by name.
    pub indexes: Vec<IndexMove>,
    /// Materialized views that are replaced in place, sorted by schema and name; empty where schemas and
    /// clusters are swapped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replacements: Vec<Replacement>,
    /// Sinks outside that read from objects inside.
    pub sinks: Vec<SinkRepoint>,
    /// What the release makes, changes and drops of sinks of the project, sources and connections outside.
    #[serde(default, skip_serializing_if = "Outside::is_none")]
    pub outside: Outside,
    /// Objects that production gains, `schema.name`, sorted.
    pub gains: Vec<String>,
    /// Objects that production loses, `schema.name`, sorted.
    pub loses: Vec<String>,
    /// Nodes that changed as text, while what comes out of them is the same; sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub text_only: Vec<String>,
    /// Columns that production gains, loses or has otherwise, sorted: as the server's planner describes the planned
    /// nodes, and where it was not asked, as far as enforced contracts say so.
    #[serde(default)]
    pub columns: Vec<ColumnChange>,
    /// What the server's planner said of the planned nodes; `None` where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
    /// What is written otherwise than in the baseline, as it reaches the server; `None` where that is not to be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<Texts>,
    /// How long the last deployments of this environment waited for readiness, the median, in
    /// milliseconds; `None` while there is none to learn from.
    #[serde(default)]
    pub estimated_hydration_ms: Option<u64>,
    /// Changed nodes that a selection left out → what changed. They stay changes until a release takes
    /// them.
    #[serde(default)]
    pub held_back: BTreeMap<String, String>,
    /// Schemas that a relation left and that a selection left out → who left.
    #[serde(default)]
    pub held_back_schemas: BTreeMap<String, String>,
    /// Relations of the project in schemas that stay, id → `schema.name`: the swap happens only while
    /// they are still there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keeps: BTreeMap<String, String>,
    /// Tests that are new or changed since the baseline → what changed. Those that are not among
    /// [`Plan::tests`] run with a later release.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed_tests: BTreeMap<String, String>,
    /// Who owns the planned nodes and tests, as far as the project says so; sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<Owned>,
    /// Refusals that were accepted by name, with what they said.
    pub accepted: Vec<Refusal>,
    /// What an operator should know, one sentence each.
    pub notes: Vec<String>,
}

/// What builds green.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Building {
    /// Who.
    pub engine: Engine,
    /// What the recipe hashes to that a native build follows; `None` of a build by dbt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    /// Why it is not built natively although that was tried, one clause each; sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
    /// Unique ids of the tests that dbt runs although the build is native, sorted: unit tests, and data tests that
    /// do not qualify.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<String>,
    /// The selectors that select exactly these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test_selectors: Vec<String>,
}

/// Who builds green.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// dbt, as a child process.
    #[default]
    Dbt,
    /// Cutover itself, from compiled SQL.
    Native,
}

impl Building {
    /// Whether dbt builds and nobody asked for anything else.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// The baseline of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineUsed {
    /// The generation of its pointer; `None` when nothing was ever promoted.
    pub generation: Option<u64>,
    /// The deployment that is live; `None` when none of Cutover's is.
    pub deployment: Option<String>,
}

/// How much is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// All of `vars.deployment`.
    Full,
    /// What changed since the baseline, closed over schemas and clusters.
    Slim,
}

/// How a release takes the place of what serves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// A green side is built and swapped with production.
    #[default]
    Swap,
    /// A materialized view gets its new definition in place; nothing else is built.
    Replace,
}

/// A materialized view that is replaced in place. Both definitions are in the plan, so that neither
/// the release nor its rollback asks anybody for SQL again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Replacement {
    /// The production schema.
    pub schema: String,
    /// The view's name.
    pub name: String,
    /// dbt's unique id.
    pub node: String,
    /// The id of the view that serves.
    pub id: String,
    /// The cluster that computes the old and the new one.
    pub cluster: String,
    /// That cluster's id.
    pub cluster_id: String,
    /// The new query, as dbt compiled it.
    pub query: String,
    /// The query of the view that serves, as the server shows it.
    pub previous: String,
}

impl Plan {
    /// The nodes that a build makes: all but the tests that store their failures.
    pub fn built(&self) -> impl Iterator<Item = &PlannedNode> {
        self.nodes.iter().filter(|node| !node.stores_failures)
    }

    /// Whether running the tests makes, or may make, something in green: tests store their failures, or
    /// the project's own hooks run.
    #[must_use]
    pub fn tests_make(&self) -> bool {
        let is_of_project = |id: &String| id.starts_with("operation.");
        !self.tests.is_empty()
            && (self.nodes.iter().any(|node| node.stores_failures)
                || self.hooked.iter().any(is_of_project))
    }

    /// Whether dbt builds or tests something in green, so that it must lie where dbt puts it.
    #[must_use]
    pub fn needs_green_by_dbt(&self) -> bool {
        let builds = self.building.engine == Engine::Dbt && self.built().next().is_some();
        let tests = !self.tests_of_dbt().0.is_empty();
        self.strategy == Strategy::Swap && (builds || tests)
    }

    /// The tests that dbt runs, and what selects exactly them.
    #[must_use]
    pub fn tests_of_dbt(&self) -> (&[String], &[String]) {
        match self.building.engine {
            Engine::Dbt => (&self.tests, &self.test_selectors),
            Engine::Native => (&self.building.tests, &self.building.test_selectors),
        }
    }

    /// Whether the plan does nothing at all: production is as the project says.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.schemas.is_empty()
            && self.clusters.is_empty()
            && self.nodes.is_empty()
            && self.replacements.is_empty()
            && self.sinks.is_empty()
            && !self.outside.changes_something()
    }
}

/// An index of a relation that stays, on a cluster that is swapped: it is made once more on the green
/// cluster, in the relation's own schema and under a secret name, and takes the old one's name when
/// that is dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexMove {
    /// The id of the present index.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The production schema of the index and its relation.
    pub schema: String,
    /// The relation.
    pub relation: String,
    /// The production name of the cluster.
    pub cluster: String,
    /// What follows the relation's name in its definition: `("customer")`.
    pub key: String,
    /// The comment on it.
    pub comment: Option<String>,
    /// Why it is made again.
    pub reason: String,
}

/// One production schema and its green side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchemaSwap {
    /// The production name.
    pub name: String,
    /// The green name.
    pub green: String,
    /// The id of the production schema; `None` when it is created empty first (`--bootstrap`).
    pub id: Option<String>,
    /// The production schema's owner; `None` when it is created.
    pub owner: Option<String>,
    /// Grants on the production schema.
    pub grants: Vec<Grant>,
    /// Default privileges in the production schema.
    pub default_privileges: Vec<DefaultPrivilege>,
    /// The comment that its users wrote.
    pub comment: Option<String>,
    /// The objects in it, sorted by name.
    pub objects: Vec<LiveObject>,
}

/// One production cluster and its green side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterSwap {
    /// The production name.
    pub name: String,
    /// The green name.
    pub green: String,
    /// The id of the production cluster; `None` when it is created first (`--bootstrap`).
    pub id: Option<String>,
    /// The production cluster's owner; `None` when it is created.
    pub owner: Option<String>,
    /// Grants on the production cluster.
    pub grants: Vec<Grant>,
    /// The comment that its users wrote.
    pub comment: Option<String>,
    /// How to make one like it.
    pub definition: ClusterDefinition,
    /// The size that green has until it is hydrated, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hydration: Option<HydrationSize>,
    /// Whether the green side only runs tests and is never swapped: the deployment lists no
    /// cluster, and dbt's tests need one.
    pub scratch: bool,
}

impl ClusterSwap {
    /// How green is made.
    #[must_use]
    pub fn green_definition(&self) -> &ClusterDefinition {
        let hydration = self.hydration.as_ref();
        hydration.map_or(&self.definition, |hydration| &hydration.definition)
    }
}

/// A size that a green cluster has until it is hydrated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HydrationSize {
    /// The size, as the server calls it.
    pub size: String,
    /// How to make a cluster of that size, otherwise like production's.
    pub definition: ClusterDefinition,
    /// What it costs, where the server tells.
    pub credits: Option<Credits>,
}

/// Credits for an hour of one replica, as the server writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credits {
    /// Of the size until it is hydrated.
    pub hydrating: String,
    /// Of production's size.
    pub production: String,
}

/// An object of production as the plan found it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveObject {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ObjectKind,
    /// Its owner.
    pub owner: String,
    /// Grants on it.
    pub grants: Vec<Grant>,
    /// The comment on it.
    pub comment: Option<String>,
    /// Comments on its columns, by column name, sorted.
    pub column_comments: Vec<(String, String)>,
}

impl LiveObject {
    /// An object as the catalog has it.
    #[must_use]
    pub fn of(object: &Object) -> Self {
        Self {
            id: object.id.clone(),
            name: object.name.clone(),
            kind: object.kind,
            owner: object.owner.clone(),
            grants: object.grants.clone(),
            comment: object.comment.clone(),
            column_comments: object.column_comments.clone(),
        }
    }
}

/// A node that dbt builds in green.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedNode {
    /// dbt's unique id.
    pub unique_id: String,
    /// The production schema.
    pub schema: String,
    /// The relation's name.
    pub identifier: String,
    /// The materialization, as dbt calls it.
    pub materialized: String,
    /// The kind of object that it becomes; `None` for ephemeral nodes.
    pub kind: Option<ObjectKind>,
    /// The production name of the cluster that computes it, where one does.
    pub cluster: Option<String>,
    /// How many indexes dbt makes on it.
    pub indexes: usize,
    /// Whether dbt writes the relation's comment itself.
    pub persists_relation_comment: bool,
    /// Whether dbt writes the columns' comments itself.
    pub persists_column_comments: bool,
    /// Whether it is a test that stores its failures: the run of the tests makes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stores_failures: bool,
    /// When it is filled, where it does not follow its inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Refresh>,
    /// What the project says of it for the data diff.
    #[serde(default, skip_serializing_if = "Traits::is_plain")]
    pub diff: Traits,
    /// Unique ids of the planned nodes that it reads, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// Why it is built.
    pub reason: String,
}

impl PlannedNode {
    /// Whether it is built for its own sake, and not because it reads, or lies beside, what is.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        let follows = ["downstream of ", "shares schema ", "shares cluster "];
        !follows.iter().any(|words| self.reason.starts_with(words))
    }
}

/// A relation that dbt makes beside its nodes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BesideRelation {
    /// The production schema.
    pub schema: String,
    /// The relation's name.
    pub identifier: String,
    /// The versioned model whose pointer it is; `None` for what hooks made in the last release.
    pub node: Option<String>,
}

impl BesideRelation {
    /// `schema.name`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.schema, self.identifier)
    }
}

/// A sink outside the swapped schemas that reads from an object inside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SinkRepoint {
    /// The sink's id.
    pub id: String,
    /// `schema.name` of the sink, for people.
    pub name: String,
    /// The production schema of the object that it reads.
    pub schema: String,
    /// The name of the object that it reads.
    pub object: String,
}

/// When a relation is filled that does not follow its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refresh {
    /// By a schedule, for the first time when it is made.
    Scheduled,
    /// For the first time later, or it reads what is.
    Later,
}
