//! Which schemas and clusters `vars.deployment` should list: the largest set that a plan takes as things are.
//!
//! Rules:
//! 1. A release is of what the project makes: schemas of its relations and of the failures that its tests store,
//!    clusters that these run on.
//! 2. What a plan would refuse about a schema or cluster because it is listed leaves it out: a sink, a source or a
//!    table inside, a reader outside, something foreign on the cluster. The plan itself is asked, with it and without it.
//! 3. A schema whose nodes need a cluster that is left out, or that something in a schema left out is made from, is
//!    left out too; so on to a fixed point.
//! 4. What a release may be allowed, what the role may not, and what passes (a green name that is taken) leaves
//!    nothing out. It is told: a plan refuses it until it is dealt with.
//!
//! Pure: the same input gives the same lists.

use super::candidate::{Candidate, CandidateNode, ClusterUse, Input, Materialization};
use super::full;
use crate::domain::catalog::{Catalog, ClusterDefinition};
use crate::domain::plan::Mode;
use crate::domain::plan::outside::Outside;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use std::collections::{BTreeMap, BTreeSet};

/// What lists are worked out from.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The environment.
    pub environment: &'a str,
    /// The dbt target.
    pub target: &'a str,
    /// The file with `vars.deployment`, for remedies.
    pub deployment_file: &'a str,
    /// The cluster of the profile, by its final name.
    pub target_cluster: Option<&'a str>,
    /// The project.
    pub candidate: &'a Candidate,
    /// The server, or one without anything where it was not seen.
    pub catalog: &'a Catalog,
    /// How to clone the clusters, by name, or why that is not possible.
    pub definitions: &'a BTreeMap<String, Result<ClusterDefinition, String>>,
    /// The size of clusters that do not exist yet.
    pub size: &'a str,
}

/// What is proposed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lists {
    /// The schemas to list.
    pub schemas: BTreeSet<String>,
    /// The clusters to list.
    pub clusters: BTreeSet<String>,
    /// What is not listed although the project makes something there, in the order in which it was left out.
    pub left_out: Vec<LeftOut>,
    /// What a plan of these lists would refuse.
    pub refusals: Vec<Refusal>,
}

/// A schema or cluster that is not listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// `schema` or `cluster`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Why.
    pub why: Vec<String>,
    /// What would have to be done to list it, where something can.
    pub remedy: Option<String>,
}

const SCHEMA: &str = "schema";
const CLUSTER: &str = "cluster";

/// What leaves the schema out whose listing brings it.
const OF_SCHEMAS: [RefusalName; 10] = [
    RefusalName::SinkInSwappedSchema,
    RefusalName::SourceInSwappedSchema,
    RefusalName::SourceRebuilt,
    RefusalName::TableInSwappedSchema,
    RefusalName::UnswappableObject,
    RefusalName::MaterializationUnsupported,
    RefusalName::OutsideDependent,
    RefusalName::NodeOutsideDeployment,
    RefusalName::NameTooLong,
    RefusalName::NameUnsupported,
];

/// What leaves the cluster out whose listing brings it.
const OF_CLUSTERS: [RefusalName; 7] = [
    RefusalName::SinkOnSwappedCluster,
    RefusalName::SourceOnSwappedCluster,
    RefusalName::ClusterShared,
    RefusalName::NodeOutsideDeployment,
    RefusalName::NameTooLong,
    RefusalName::ClusterNameNeedsQuotes,
    RefusalName::ClusterNotCloneable,
];

/// Works the lists out.
#[must_use]
pub fn lists(scene: &Scene<'_>) -> Lists {
    let mut found = Lists {
        schemas: scene.schemas(),
        ..Lists::default()
    };
    let mut barred = BTreeSet::new();
    loop {
        let used = scene.clusters(&found.schemas);
        found.clusters = used.difference(&barred).cloned().collect();
        let mut left = scene.clusters_to_leave(&found);
        barred.extend(left.iter().map(|left| left.name.clone()));
        if left.is_empty() {
            left = scene.schemas_to_leave(&found, &barred);
        }
        if left.is_empty() {
            break;
        }
        for left in &left {
            let listed = match left.kind {
                SCHEMA => &mut found.schemas,
                _ => &mut found.clusters,
            };
            listed.remove(&left.name);
        }
        found.left_out.extend(left);
    }
    found.refusals = match found.schemas.is_empty() {
        true => Vec::new(),
        false => scene.refusals(&found.schemas, &found.clusters),
    };
    found
}

impl Scene<'_> {
    /// Schemas of the database in which the project makes something that a release can swap.
    fn schemas(&self) -> BTreeSet<String> {
        let nodes = self.candidate.nodes.values();
        nodes
            .filter(|node| node.database == self.catalog.database)
            .filter(|node| matches!(node.materialization(), Materialization::Relation(_)))
            .map(|node| node.schema.clone())
            .collect()
    }

    /// Clusters that what is made in these schemas runs on, and that its tests name.
    fn clusters(&self, schemas: &BTreeSet<String>) -> BTreeSet<String> {
        let nodes = self.made_in(schemas);
        let mut clusters: BTreeSet<String> = nodes
            .values()
            .flat_map(|node| node.clusters(self.target_cluster))
            .flatten()
            .filter_map(named)
            .collect();
        let planned: BTreeSet<String> = nodes.into_keys().cloned().collect();
        let none = BTreeSet::new();
        let input = self.input(schemas, &none);
        for id in full::planned_tests(&input, &planned) {
            let test = self.candidate.tests.get(id);
            clusters.extend(test.and_then(|test| named(test.cluster.clone()?)));
        }
        clusters
    }

    fn made_in(&self, schemas: &BTreeSet<String>) -> BTreeMap<&String, &CandidateNode> {
        let nodes = self.candidate.nodes.iter();
        nodes
            .filter(|(_, node)| {
                node.database == self.catalog.database && schemas.contains(&node.schema)
            })
            .filter(|(_, node)| matches!(node.materialization(), Materialization::Relation(_)))
            .collect()
    }

    fn input<'a>(
        &'a self,
        schemas: &'a BTreeSet<String>,
        clusters: &'a BTreeSet<String>,
    ) -> Input<'a> {
        Input {
            environment: self.environment,
            target: self.target,
            deployment_file: self.deployment_file,
            mode: Mode::Full,
            schemas,
            clusters,
            target_cluster: self.target_cluster,
            candidate: self.candidate,
            catalog: self.catalog,
            definitions: self.definitions,
            baseline: None,
            bootstrap: Some(self.size),
            moved: &[],
            outside: Outside::none(),
            allow: &NOTHING,
        }
    }

    /// What a plan of these lists refuses.
    fn refusals(&self, schemas: &BTreeSet<String>, clusters: &BTreeSet<String>) -> Vec<Refusal> {
        match full::plan(&self.input(schemas, clusters)) {
            Ok(_) => Vec::new(),
            Err(Refused(refusals)) => refusals,
        }
    }

    fn clusters_to_leave(&self, found: &Lists) -> Vec<LeftOut> {
        let with = self.refusals(&found.schemas, &found.clusters);
        if !with.iter().any(|it| OF_CLUSTERS.contains(&it.name)) {
            return Vec::new();
        }
        let clusters = found.clusters.iter();
        clusters
            .filter_map(|name| {
                let others = without(&found.clusters, name);
                let without = self.refusals(&found.schemas, &others);
                LeftOut::because(CLUSTER, name, &OF_CLUSTERS, &with, &without)
            })
            .collect()
    }

    fn schemas_to_leave(&self, found: &Lists, barred: &BTreeSet<String>) -> Vec<LeftOut> {
        let with = self.refusals(&found.schemas, &found.clusters);
        let is_refused = with.iter().any(|it| OF_SCHEMAS.contains(&it.name));
        let left = found.schemas.iter().filter_map(|name| {
            let brought = is_refused.then(|| {
                let others = without(&found.schemas, name);
                let without = self.refusals(&others, &found.clusters);
                LeftOut::because(SCHEMA, name, &OF_SCHEMAS, &with, &without)
            });
            brought
                .flatten()
                .or_else(|| self.holds_sources(name))
                .or_else(|| self.needs(name, barred))
                .or_else(|| self.is_read_from_outside(name, &found.schemas))
        });
        left.collect()
    }

    /// Sources that are models: production need not have them yet.
    fn holds_sources(&self, schema: &str) -> Option<LeftOut> {
        let nodes = self.candidate.nodes.iter();
        let sources = nodes.filter(|(_, node)| {
            node.database == self.catalog.database
                && node.schema == schema
                && node.materialization() == Materialization::Source
        });
        let sources: Vec<&str> = sources.map(|(id, _)| id.as_str()).collect();
        (!sources.is_empty()).then(|| LeftOut {
            kind: SCHEMA,
            name: schema.to_owned(),
            why: vec![format!(
                "sources of the project are made in it, which would ingest everything again: {}",
                sources.join(", ")
            )],
            remedy: Some("give the sources a schema of their own".to_owned()),
        })
    }

    fn needs(&self, schema: &str, barred: &BTreeSet<String>) -> Option<LeftOut> {
        let mut needed: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (id, node) in self.made_in(&BTreeSet::from([schema.to_owned()])) {
            let clusters = node.clusters(self.target_cluster);
            for cluster in clusters.into_iter().flatten().filter_map(named) {
                if barred.contains(&cluster) {
                    needed.entry(cluster).or_default().push(id);
                }
            }
        }
        (!needed.is_empty()).then(|| LeftOut {
            kind: SCHEMA,
            name: schema.to_owned(),
            why: needed
                .into_iter()
                .map(|(cluster, ids)| {
                    format!(
                        "what runs on the cluster {cluster} cannot be listed without it: {}",
                        ids.join(", ")
                    )
                })
                .collect(),
            remedy: None,
        })
    }

    fn is_read_from_outside(&self, schema: &str, listed: &BTreeSet<String>) -> Option<LeftOut> {
        let made = self.made_in(&BTreeSet::from([schema.to_owned()]));
        let made: BTreeSet<String> = made.into_keys().cloned().collect();
        let database = &self.catalog.database;
        let readers: Vec<String> = self
            .candidate
            .downstream(&made)
            .into_iter()
            .filter_map(|id| {
                let node = self.candidate.nodes.get(&id)?;
                let is_outside = node.database != *database || !listed.contains(&node.schema);
                let is_made = matches!(node.materialization(), Materialization::Relation(_));
                let counts = is_outside && is_made && !node.stores_failures;
                counts.then(|| format!("{id} in {}", node.schema))
            })
            .collect();
        (!readers.is_empty()).then(|| LeftOut {
            kind: SCHEMA,
            name: schema.to_owned(),
            why: vec![format!(
                "what is not listed is made from it, and would go on reading the old side: {}",
                readers.join(", ")
            )],
            remedy: None,
        })
    }
}

static NOTHING: BTreeSet<RefusalName> = BTreeSet::new();

impl LeftOut {
    /// What a listed name brings of refusals with these names; `None` where it brings none.
    fn because(
        kind: &'static str,
        name: &str,
        names: &[RefusalName],
        with: &[Refusal],
        without: &[Refusal],
    ) -> Option<Self> {
        let others: BTreeSet<(RefusalName, &str, &str)> = each(without).collect();
        let mut why: Vec<String> = Vec::new();
        let mut remedies: BTreeSet<&str> = BTreeSet::new();
        for refusal in with.iter().filter(|refusal| names.contains(&refusal.name)) {
            let one = std::slice::from_ref(refusal);
            let objects: Vec<&str> = each(one)
                .filter(|it| !others.contains(it))
                .map(|(_, _, object)| object)
                .collect();
            if objects.is_empty() {
                continue;
            }
            why.push(format!("{}: {}", refusal.message, objects.join(", ")));
            // To list what is left out is what cannot be done.
            if refusal.name != RefusalName::NodeOutsideDeployment {
                remedies.insert(&refusal.remedy);
            }
        }
        let remedies: Vec<&str> = remedies.into_iter().collect();
        (!why.is_empty()).then(|| Self {
            kind,
            name: name.to_owned(),
            why,
            remedy: (!remedies.is_empty()).then(|| remedies.join("; ")),
        })
    }
}

fn each(refusals: &[Refusal]) -> impl Iterator<Item = (RefusalName, &str, &str)> {
    refusals.iter().flat_map(|refusal| {
        let objects = refusal.objects.iter();
        objects.map(|object| (refusal.name, refusal.message.as_str(), object.as_str()))
    })
}

fn without(names: &BTreeSet<String>, name: &str) -> BTreeSet<String> {
    let others = names.iter().filter(|other| *other != name);
    others.cloned().collect()
}

/// The name of a cluster that can be listed.
fn named(cluster: ClusterUse) -> Option<String> {
    match cluster {
        ClusterUse::Named(name) => Some(name),
        ClusterUse::NeedsQuotes(_) => None,
    }
}

#[cfg(test)]
mod tests;
