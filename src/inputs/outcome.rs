//! What comes out of a project: for each node that makes a relation, where it ends up and what it is made of.
//!
//! dbt's state comparison looks at what is *written*. A release replaces whole schemas, so it must know what
//! *comes out*: two texts that compile to the same SQL in the same place are the same relation, and one text
//! may come out differently under another variable, macro or target.
//!
//! An [`Outcome`] without its SQL follows from the manifest. The SQL follows from a compilation, which is
//! costly; so each outcome has a digest of the node's own inputs, and [`Outcomes`] one of the inputs that all
//! share. Where both are what they were, so is the SQL ([`Outcomes::take_known`]).
//!
//! Pure: files and dbt are the caller's.

mod compare;
mod inputs;
mod kept_sql;
mod options;
/// What the code of a project reads.
pub mod reads;
#[cfg(test)]
mod tests;
mod threads;

use crate::domain::plan::inputs::Inputs;
use crate::foundation::digest::Digest;
pub use crate::inputs::outcome::kept_sql::KeptSql;
pub use compare::{Difference, Verdict};
pub use inputs::counted_target;
pub use options::{Customs, plain_name};

use super::manifest::{Index, Manifest, Node, ResourceType};
use crate::foundation::digest::Digesting;
use reads::Reads;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use threads::side_by_side;

/// Changed whenever the same project would have other outcomes from then on. Outcomes of another form are
/// not compared.
pub const FORM: u32 = 1;

/// The outcomes of a project, complete or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcomes {
    /// [`FORM`].
    pub form: u32,
    /// What all SQL is compiled under; `None` where that is not known.
    #[serde(default)]
    pub inputs: Option<Inputs>,
    /// Models, seeds, snapshots and tests that store their failures, by unique id.
    pub nodes: BTreeMap<String, Outcome>,
    /// Sources, by unique id.
    pub sources: BTreeMap<String, SourceOutcome>,
    /// Data tests that make no relation: the digests of their own inputs, by unique id. They are no outcomes, and
    /// not kept with them.
    #[serde(skip)]
    pub tests: BTreeMap<String, Digest>,
}

/// Where a source's relation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceOutcome {
    /// `raw.orders`, as `source()` names it.
    pub name: String,
    /// The relation as SQL, quoted as the project quotes it.
    pub relation: String,
}

/// What becomes of one node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// Its database, schema and name; of an ephemeral model, what they would be.
    pub place: (String, String, String),
    /// What dbt makes of it: one word where two mean the same.
    pub materialized: String,
    /// The final name of the cluster that computes it; `None` where none does, or the profile names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// Its indexes, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub indexes: Vec<Index>,
    /// Other configuration that reaches the statement that makes it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, Value>,
    /// Unique ids of what it reads, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<String>,
    /// What it is made from.
    pub made_from: MadeFrom,
    /// Whether its SQL holds the moment or the name of its compilation, so that it is another each time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_of_a_moment: bool,
    /// Of the node's own inputs: text, configuration, the relations of its parents.
    pub own: Digest,
}

/// What a relation is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MadeFrom {
    /// Compiled SQL, as tokens.
    Sql(Digest),
    /// Rows: of the file, whatever its size, and dbt's own checksum of a small one.
    Rows {
        /// Of the file's bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<Digest>,
        /// dbt's checksum of the contents.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        checksum: Option<String>,
    },
    /// SQL that the node asks the server for while it is compiled: known only when it is built.
    KnownWhenBuilt,
    /// Nobody has compiled it.
    Unknown,
}

/// The final names of clusters: what `generate_cluster_name` makes of a configured name, or of none.
pub type FinalCluster<'a> = &'a (dyn Fn(Option<&str>) -> Option<String> + Sync);

/// A project as it was, with what came out of it then.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// The manifest that the outcomes are of, where it is at hand: it saves hashing what did not change.
    pub manifest: Option<&'a Manifest>,
    /// What came out of it.
    pub outcomes: &'a Outcomes,
}

/// What hooks render to, by unique id: a list of `[key, inside a transaction, text]`.
pub type Hooks = BTreeMap<String, Value>;

impl Outcomes {
    /// The outcomes of a manifest, with the SQL unknown. Tests that do not say whether they store their failures
    /// do so when `stores_failures`. `inputs` are those under which it would be compiled,
    /// with what the code reads; without them nothing that was compiled elsewhere may be taken. Nodes that are
    /// as they were `before` keep the digest that they had, which is quicker than to hash them again.
    ///
    /// # Errors
    /// When a node cannot be written as JSON.
    pub fn of(
        manifest: &Manifest,
        clusters: FinalCluster<'_>,
        reads: &Reads,
        content: &str,
        inputs: Option<Inputs>,
        stores_failures: bool,
        before: Option<Before<'_>>,
    ) -> Result<Self, serde_json::Error> {
        let customs = Customs::of(manifest, inputs.as_ref());
        let before = before.filter(|before| before.outcomes.form == FORM);
        let wanted = manifest.nodes.iter();
        let wanted = wanted.filter(|(_, node)| {
            node.makes_relation(stores_failures) || node.resource_type == ResourceType::Test
        });
        let wanted: Vec<(&String, &Node)> = wanted.collect();
        let parts = side_by_side(&wanted, |some| {
            let mut written = Written::new(manifest, reads, content, before);
            let (mut outcomes, mut tests) = (Vec::with_capacity(some.len()), Vec::new());
            for (id, node) in some {
                let is_of_a_moment = reads.nodes_of_a_moment.contains(*id);
                if node.makes_relation(stores_failures) {
                    let own = written.own(id)?;
                    let mut outcome = outcome(node, clusters, &customs, own);
                    outcome.is_of_a_moment = is_of_a_moment;
                    outcomes.push(((*id).clone(), outcome));
                } else if !is_of_a_moment {
                    tests.push(((*id).clone(), written.own(id)?));
                }
            }
            Ok::<_, serde_json::Error>((outcomes, tests))
        });
        let (mut nodes, mut tests) = (BTreeMap::new(), BTreeMap::new());
        for part in parts {
            let (outcomes, digests) = part?;
            nodes.extend(outcomes);
            tests.extend(digests);
        }
        let sources = manifest
            .sources
            .iter()
            .map(|(id, source)| {
                let relation = match &source.relation_name {
                    Some(name) => name.clone(),
                    None => source.relation().to_string(),
                };
                let name = format!("{}.{}", source.source_name, source.name);
                (id.clone(), SourceOutcome { name, relation })
            })
            .collect();
        Ok(Self {
            form: FORM,
            inputs,
            nodes,
            sources,
            tests,
        })
    }

    /// Takes from `known` the SQL of every node all of whose inputs are the same.
    pub fn take_known(&mut self, known: &Self) {
        if self.inputs.is_none() || self.inputs != known.inputs {
            return;
        }
        for (id, outcome) in &mut self.nodes {
            let Some(known) = known.nodes.get(id).filter(|known| known.own == outcome.own) else {
                continue;
            };
            if outcome.made_from == MadeFrom::Unknown {
                outcome.made_from = known.made_from.clone();
            }
            if let Some(rendered) = known.options.get(options::RENDERED_HOOKS) {
                let rendered = rendered.clone();
                outcome
                    .options
                    .insert(options::RENDERED_HOOKS.to_owned(), rendered);
            }
        }
    }

    /// Takes the SQL that the manifest itself has, as one that `dbt build` or `dbt compile` wrote.
    pub fn take_compiled(&mut self, manifest: &Manifest) {
        for (id, node) in &manifest.nodes {
            if let Some(code) = &node.compiled_code {
                self.compiled(id, code);
            }
        }
    }

    /// Unique ids of what must be compiled for its SQL to be known. Ephemeral models stand in the SQL of
    /// their readers, seeds have none.
    #[must_use]
    pub fn uncompiled(&self) -> BTreeSet<&str> {
        self.nodes
            .iter()
            .filter(|(_, outcome)| {
                outcome.made_from == MadeFrom::Unknown && outcome.materialized != "ephemeral"
            })
            .map(|(id, _)| id.as_str())
            .collect()
    }

    /// Takes the SQL of one node. What is known stays, and that of an ephemeral model is its readers'.
    pub fn compiled(&mut self, id: &str, sql: &str) {
        if let Some(outcome) = self.nodes.get_mut(id)
            && outcome.made_from == MadeFrom::Unknown
            && outcome.materialized != "ephemeral"
        {
            outcome.made_from = MadeFrom::Sql(crate::foundation::sql::tokens::digest(sql));
        }
    }

    /// Remembers that a node's SQL is known only when it is built.
    pub fn known_when_built(&mut self, id: &str) {
        if let Some(outcome) = self.nodes.get_mut(id) {
            outcome.made_from = MadeFrom::KnownWhenBuilt;
        }
    }

    /// Takes the rows of a seed: the bytes of its file.
    pub fn rows(&mut self, id: &str, bytes: &[u8]) {
        if let Some(outcome) = self.nodes.get_mut(id)
            && let MadeFrom::Rows { file, .. } = &mut outcome.made_from
        {
            *file = Some(Digest::of(bytes));
        }
    }

    /// Takes what hooks render to.
    pub fn take_hooks(&mut self, hooks: Hooks) {
        for (id, rendered) in hooks {
            if let Some(outcome) = self.nodes.get_mut(&id) {
                outcome
                    .options
                    .insert(options::RENDERED_HOOKS.to_owned(), rendered);
            }
        }
    }

    /// Unique ids of nodes with hooks of which it is not known what they render to.
    #[must_use]
    pub fn unrendered(&self) -> BTreeSet<&str> {
        self.nodes
            .iter()
            .filter(|(_, outcome)| {
                outcome.options.contains_key(options::HOOKS)
                    && !outcome.options.contains_key(options::RENDERED_HOOKS)
            })
            .map(|(id, _)| id.as_str())
            .collect()
    }

    /// Whether there are nodes of which nobody can say beforehand what comes out.
    #[must_use]
    pub fn has_known_when_built(&self) -> bool {
        let mut nodes = self.nodes.values();
        nodes.any(|outcome| outcome.made_from == MadeFrom::KnownWhenBuilt)
    }

    /// What all of them hash to.
    ///
    /// # Errors
    /// Never in practice: there is nothing in them that JSON cannot hold.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Ok(Digest::of(&serde_json::to_vec(self)?))
    }
}

fn outcome(node: &Node, clusters: FinalCluster<'_>, customs: &Customs, own: Digest) -> Outcome {
    let materialized = materialized(node, customs);
    let uses_cluster = matches!(
        materialized.as_str(),
        "materialized_view" | "source" | "sink" | "test"
    ) || customs.is_custom(&materialized);
    let mut indexes: Vec<Index> = node
        .config
        .indexes
        .iter()
        .map(|index| Index {
            cluster: clusters(index.cluster.as_deref().or(node.config.cluster.as_deref())),
            ..index.clone()
        })
        .collect();
    indexes.sort_unstable();
    let mut parents = node.depends_on.nodes.clone();
    parents.sort_unstable();
    parents.dedup();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Outcome {
        place: (
            text(&node.database),
            text(&node.schema),
            node.identifier().to_owned(),
        ),
        cluster: uses_cluster
            .then(|| clusters(node.config.cluster.as_deref()))
            .flatten(),
        indexes,
        options: options::of(node, &materialized, customs),
        parents,
        made_from: if node.resource_type == ResourceType::Seed {
            let checksum = node.checksum.as_ref();
            MadeFrom::Rows {
                file: None,
                checksum: checksum
                    .filter(|checksum| checksum.name == "sha256")
                    .map(|checksum| checksum.checksum.clone()),
            }
        } else {
            MadeFrom::Unknown
        },
        is_of_a_moment: false,
        materialized,
        own,
    }
}

/// What dbt makes of a node. dbt-materialize makes a materialized view of `table` too; a test that stores its
/// failures becomes what `store_failures_as` says.
fn materialized(node: &Node, customs: &Customs) -> String {
    if node.resource_type == ResourceType::Test {
        return match node.stores_failures_as() {
            "view" => "view".to_owned(),
            _ => "materialized_view".to_owned(),
        };
    }
    let named = if node.resource_type == ResourceType::Model {
        node.config.materialized.as_deref().unwrap_or("view")
    } else {
        node.resource_type.as_str()
    };
    match named {
        "table" | "materializedview" if !customs.is_custom(named) => "materialized_view".to_owned(),
        named => named.to_owned(),
    }
}

/// The digests of what nodes are made from, as far as it is their own.
struct Written<'m> {
    manifest: &'m Manifest,
    reads: &'m Reads,
    content: &'m str,
    before: Option<Before<'m>>,
    /// Of ephemeral models, whose text stands in that of their readers.
    ephemeral: BTreeMap<&'m str, Digest>,
    /// Whether ephemeral models are as they were.
    unchanged: BTreeMap<&'m str, bool>,
}

impl<'m> Written<'m> {
    fn new(
        manifest: &'m Manifest,
        reads: &'m Reads,
        content: &'m str,
        before: Option<Before<'m>>,
    ) -> Self {
        Self {
            manifest,
            reads,
            content,
            before,
            ephemeral: BTreeMap::new(),
            unchanged: BTreeMap::new(),
        }
    }

    /// The digest that a node had before, where all that goes into it is as it was.
    fn known(&mut self, id: &'m str) -> Option<Digest> {
        let known = self.before?.outcomes.nodes.get(id)?.own;
        self.is_as_it_was(id).then_some(known)
    }

    /// Whether everything that goes into a node's digest is as it was.
    fn is_as_it_was(&mut self, id: &'m str) -> bool {
        let Some(before) = self.before.and_then(|before| before.manifest) else {
            return false;
        };
        let (Some(node), Some(was)) = (self.manifest.nodes.get(id), before.nodes.get(id)) else {
            return false;
        };
        !self.reads.nodes_read_graph.contains(id)
            && node.is_as_it_was(was)
            && node.depends_on.nodes.iter().all(|parent| {
                let sources = (&self.manifest.sources, &before.sources);
                if let Some(source) = sources.0.get(parent) {
                    return sources.1.get(parent).is_some_and(|was| {
                        (source.relation(), &source.relation_name)
                            == (was.relation(), &was.relation_name)
                    });
                }
                match (
                    self.manifest.nodes.get_key_value(parent),
                    before.nodes.get(parent),
                ) {
                    (Some((parent, node)), Some(was)) if node.is_ephemeral() => {
                        if let Some(known) = self.unchanged.get(parent.as_str()) {
                            return *known;
                        }
                        let is = was.is_ephemeral() && self.is_as_it_was(parent);
                        self.unchanged.insert(parent, is);
                        is
                    }
                    (Some((_, node)), Some(was)) => {
                        !was.is_ephemeral() && node.relation_name == was.relation_name
                    }
                    (None, None) => !sources.1.contains_key(parent),
                    (Some(_), None) | (None, Some(_)) => false,
                }
            })
    }

    /// Text and configuration of a node, the relations of its parents, and where it looks at the whole
    /// project, that. The manifest's edges make no circle.
    fn own(&mut self, id: &'m str) -> Result<Digest, serde_json::Error> {
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        let mut digest = Digesting::default();
        let Some(node) = self.manifest.nodes.get(id) else {
            return Ok(digest.finish());
        };
        digest.part(&serde_json::to_vec(node)?);
        if self.reads.nodes_read_graph.contains(id) {
            digest.part(self.content.as_bytes());
        }
        for parent in &node.depends_on.nodes {
            digest.part(parent.as_bytes());
            if let Some(source) = self.manifest.sources.get(parent) {
                digest.part(source.relation().to_string().as_bytes());
                digest.part(
                    source
                        .relation_name
                        .as_deref()
                        .unwrap_or_default()
                        .as_bytes(),
                );
            } else if let Some((parent, node)) = self.manifest.nodes.get_key_value(parent) {
                if node.is_ephemeral() {
                    let own = match self.ephemeral.get(parent.as_str()) {
                        Some(known) => *known,
                        None => {
                            let own = self.own(parent)?;
                            self.ephemeral.insert(parent, own);
                            own
                        }
                    };
                    digest.part(own.to_string().as_bytes());
                } else {
                    digest.part(node.relation_name.as_deref().unwrap_or_default().as_bytes());
                }
            }
        }
        Ok(digest.finish())
    }
}
