//! The smallest set of nodes, schemas and clusters that may be swapped together.
//!
//! A swap replaces whole schemas and clusters, and dependents bind to ids. So, to a fixed point:
//!
//! - what is downstream of a rebuilt relation is rebuilt,
//! - every node of a touched schema is rebuilt,
//! - every node that a touched cluster computes is rebuilt; of a node that is not rebuilt, the
//!   indexes on a touched cluster are made again in the green one,
//! - the schema of a rebuilt node, and every cluster that computes it or its indexes, is touched.
//!
//! Sinks never pull: they are repointed. Each rule has one premise, so the result is what can be
//! reached from the seed: there is exactly one smallest closed set, whatever the order.
//!
//! Pure: the same input gives the same result, reasons included.

use super::candidate::{Candidate, CandidateNode, ClusterUse, Materialization};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Where the closure begins.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seed {
    /// Unique id of a node of the candidate → what about it: `changed: body`, `new`.
    pub nodes: BTreeMap<String, String>,
    /// Production schema that a relation leaves → who leaves it: `deleted model.shop.orders`.
    pub schemas: BTreeMap<String, String>,
}

/// Why a node is rebuilt. The order decides between reasons that are found at the same distance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It is in the seed.
    Seed(String),
    /// It reads, perhaps through ephemeral models, what is rebuilt.
    Downstream {
        /// Who is read.
        of: String,
    },
    /// Its schema is swapped.
    SharesSchema {
        /// The schema.
        schema: String,
        /// Who touched it.
        with: String,
    },
    /// The cluster that computes it is swapped.
    SharesCluster {
        /// The cluster.
        cluster: String,
        /// Who touched it.
        with: String,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seed(what) => f.write_str(what),
            Self::Downstream { of } => write!(f, "downstream of {of}"),
            Self::SharesSchema { schema, with } => write!(f, "shares schema {schema} with {with}"),
            Self::SharesCluster { cluster, with } => {
                write!(f, "shares cluster {cluster} with {with}")
            }
        }
    }
}

/// What must be built and swapped together.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Closure {
    /// Unique id → why it is rebuilt. Ephemeral models are listed too; they make no relation.
    pub nodes: BTreeMap<String, Reason>,
    /// Touched schemas → who touched them first.
    pub schemas: BTreeMap<String, String>,
    /// Touched clusters → who touched them first.
    pub clusters: BTreeMap<String, String>,
    /// Unique id of a node that is not rebuilt → touched clusters on which it has indexes.
    pub indexes: BTreeMap<String, BTreeSet<String>>,
}

/// One node, reduced to what the rules look at.
#[derive(Debug, Clone)]
struct Shape<'a> {
    id: &'a str,
    schema: Option<&'a str>,
    computed_on: Option<String>,
    indexed_on: BTreeSet<String>,
    children: Vec<usize>,
}

/// Closes a seed over a project. `database` is the one that is released: nodes of other databases
/// are outside. `target_cluster` is the profile's, for nodes that name none.
///
/// Ids in the seed that are no nodes of the candidate, or that no release builds, are left out.
#[must_use]
pub fn close(
    candidate: &Candidate,
    database: &str,
    target_cluster: Option<&str>,
    seed: &Seed,
) -> Closure {
    let shapes = shapes(candidate, database, target_cluster);
    Closing::new(&shapes).close(seed)
}

fn shapes<'a>(
    candidate: &'a Candidate,
    database: &str,
    target_cluster: Option<&str>,
) -> Vec<Shape<'a>> {
    let takes_part = |node: &CandidateNode| match node.materialization() {
        Materialization::Ephemeral => true,
        Materialization::Relation(_) | Materialization::Source => node.database == database,
        Materialization::Sink | Materialization::Unsupported => false,
    };
    let nodes: Vec<(&String, &CandidateNode)> = candidate
        .nodes
        .iter()
        .filter(|(_, node)| takes_part(node))
        .collect();
    let mut shapes: Vec<Shape<'a>> = nodes
        .iter()
        .map(|(id, node)| shape(id, node, target_cluster))
        .collect();
    for (child, (_, node)) in nodes.iter().enumerate() {
        for parent in &node.parents {
            if let Ok(parent) = nodes.binary_search_by_key(&parent, |(id, _)| *id) {
                shapes[parent].children.push(child);
            }
        }
    }
    shapes
}

fn shape<'a>(id: &'a str, node: &'a CandidateNode, target_cluster: Option<&str>) -> Shape<'a> {
    let named = |cluster: ClusterUse| match cluster {
        ClusterUse::Named(name) | ClusterUse::NeedsQuotes(name) => name,
    };
    let own = node
        .cluster
        .clone()
        .map(named)
        .or_else(|| target_cluster.map(str::to_owned));
    let is_ephemeral = node.materialization() == Materialization::Ephemeral;
    Shape {
        id,
        schema: (!is_ephemeral).then_some(node.schema.as_str()),
        computed_on: own.clone().filter(|_| node.is_computed()),
        indexed_on: node
            .indexes
            .iter()
            .filter_map(|index| index.cluster.clone().map(named).or_else(|| own.clone()))
            .collect(),
        children: Vec::new(),
    }
}

/// The fixed point, round by round: what is found in one round has the same distance from the seed,
/// so the reasons do not depend on the order either.
struct Closing<'a, 's> {
    shapes: &'s [Shape<'a>],
    in_schema: BTreeMap<&'s str, Vec<usize>>,
    on_cluster: BTreeMap<&'s str, Vec<usize>>,
    reasons: Vec<Option<Reason>>,
    schemas: BTreeMap<String, String>,
    clusters: BTreeMap<String, String>,
}

impl<'a, 's> Closing<'a, 's> {
    fn new(shapes: &'s [Shape<'a>]) -> Self {
        let mut in_schema: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut on_cluster: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (number, shape) in shapes.iter().enumerate() {
            if let Some(schema) = shape.schema {
                in_schema.entry(schema).or_default().push(number);
            }
            if let Some(cluster) = &shape.computed_on {
                on_cluster.entry(cluster).or_default().push(number);
            }
        }
        Self {
            shapes,
            in_schema,
            on_cluster,
            reasons: vec![None; shapes.len()],
            schemas: BTreeMap::new(),
            clusters: BTreeMap::new(),
        }
    }

    fn close(mut self, seed: &Seed) -> Closure {
        let mut found: BTreeMap<usize, Reason> = BTreeMap::new();
        for (id, what) in &seed.nodes {
            if let Ok(number) = self
                .shapes
                .binary_search_by_key(&id.as_str(), |shape| shape.id)
            {
                found.insert(number, Reason::Seed(what.clone()));
            }
        }
        let mut touched: BTreeMap<&str, &str> = seed
            .schemas
            .iter()
            .map(|(schema, who)| (schema.as_str(), who.as_str()))
            .collect();
        while !found.is_empty() || !touched.is_empty() {
            let round: Vec<usize> = found.keys().copied().collect();
            for (number, reason) in found {
                self.reasons[number] = Some(reason);
            }
            found = self.next(&round, std::mem::take(&mut touched));
        }
        self.result()
    }

    /// What the nodes of a round, and schemas that are touched without a node, force to be rebuilt.
    fn next(&mut self, round: &[usize], left: BTreeMap<&str, &str>) -> BTreeMap<usize, Reason> {
        let shapes = self.shapes;
        let mut found = BTreeMap::new();
        let mut schemas = left;
        schemas.retain(|schema, _| !self.schemas.contains_key(*schema));
        let mut clusters: BTreeMap<&str, &str> = BTreeMap::new();
        for number in round {
            let shape = &shapes[*number];
            for child in &shape.children {
                let of = shape.id.to_owned();
                self.consider(&mut found, *child, Reason::Downstream { of });
            }
            if let Some(schema) = shape.schema
                && !self.schemas.contains_key(schema)
            {
                schemas.entry(schema).or_insert(shape.id);
            }
            for cluster in shape.computed_on.iter().chain(&shape.indexed_on) {
                if !self.clusters.contains_key(cluster) {
                    clusters.entry(cluster).or_insert(shape.id);
                }
            }
        }
        for (schema, with) in schemas {
            for number in self.in_schema.get(schema).cloned().unwrap_or_default() {
                let (schema, with) = (schema.to_owned(), with.to_owned());
                self.consider(&mut found, number, Reason::SharesSchema { schema, with });
            }
            self.schemas.insert(schema.to_owned(), with.to_owned());
        }
        for (cluster, with) in clusters {
            for number in self.on_cluster.get(cluster).cloned().unwrap_or_default() {
                let (cluster, with) = (cluster.to_owned(), with.to_owned());
                self.consider(&mut found, number, Reason::SharesCluster { cluster, with });
            }
            self.clusters.insert(cluster.to_owned(), with.to_owned());
        }
        found
    }

    /// Takes a reason for a node that has none yet; the least of one round wins.
    fn consider(&self, found: &mut BTreeMap<usize, Reason>, number: usize, reason: Reason) {
        if self.reasons[number].is_some() {
            return;
        }
        match found.get_mut(&number) {
            Some(present) if *present <= reason => {}
            Some(present) => *present = reason,
            None => {
                found.insert(number, reason);
            }
        }
    }

    fn result(self) -> Closure {
        let mut closure = Closure {
            schemas: self.schemas,
            clusters: self.clusters,
            ..Closure::default()
        };
        for (shape, reason) in self.shapes.iter().zip(self.reasons) {
            if let Some(reason) = reason {
                closure.nodes.insert(shape.id.to_owned(), reason);
                continue;
            }
            let touched: BTreeSet<String> = shape
                .indexed_on
                .iter()
                .filter(|cluster| closure.clusters.contains_key(*cluster))
                .cloned()
                .collect();
            if !touched.is_empty() {
                closure.indexes.insert(shape.id.to_owned(), touched);
            }
        }
        closure
    }
}

#[cfg(test)]
mod tests;
