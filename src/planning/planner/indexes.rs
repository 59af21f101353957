//! Indexes of production against those that the project says. An index is told by what it is on and by
//! the cluster that holds it; dbt and the server give names that need not agree.

use super::candidate::{CandidateNode, ClusterUse, Input, Materialization};
use super::full;
use super::lookup::Lookup;
use crate::domain::catalog::index_key::IndexKey;
use crate::domain::catalog::{Catalog, Object, ObjectKind};

/// An index that a relation is to have. What is not known fits anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What it is on; `None` of a default index, for which the server chooses.
    pub key: Option<IndexKey>,
    /// The cluster's name.
    pub cluster: Option<String>,
    /// Its name, where the project gives one; it only tells equals apart.
    pub name: Option<String>,
}

/// The indexes that a node's relation is to have.
#[must_use]
pub fn wanted(node: &CandidateNode, target_cluster: Option<&str>) -> Vec<Wanted> {
    let name = |cluster: &ClusterUse| match cluster {
        ClusterUse::Named(name) | ClusterUse::NeedsQuotes(name) => name.clone(),
    };
    let own = node.cluster.as_ref().map(name);
    let own = own.or_else(|| target_cluster.map(str::to_owned));
    let indexes = node.indexes.iter().map(|index| Wanted {
        key: (!index.is_default && !index.columns.is_empty())
            .then(|| IndexKey::of_columns(&index.columns)),
        cluster: index.cluster.as_ref().map(name).or_else(|| own.clone()),
        name: index.name.clone(),
    });
    indexes.collect()
}

/// What is on one side alone: places in `wanted` and in `live`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unmatched {
    pub(super) wanted: Vec<usize>,
    pub(super) live: Vec<usize>,
}

/// Pairs as many as fit, each once. Of equals the one with the name is taken, else the oldest: what
/// somebody added came later.
pub(super) fn compare(catalog: &Catalog, wanted: &[Wanted], live: &[&Object]) -> Unmatched {
    let fits = |wanted: &Wanted, live: &Object| {
        let cluster = live.cluster_id.as_ref();
        let cluster = cluster.and_then(|id| catalog.clusters.get(id));
        let key = catalog.index_keys.get(&live.id);
        let is_same_cluster = match (&wanted.cluster, cluster) {
            (Some(wanted), Some(cluster)) => *wanted == cluster.name,
            (_, None) | (None, _) => true,
        };
        let is_same_key = match (&wanted.key, key) {
            (Some(wanted), Some(key)) => wanted == key,
            (_, None) | (None, _) => true,
        };
        is_same_cluster && is_same_key
    };
    let fitting: Vec<Vec<usize>> = wanted
        .iter()
        .map(|wanted| {
            let all = live.iter().enumerate();
            let fitting = all.filter(|(_, live)| fits(wanted, live));
            let mut fitting: Vec<usize> = fitting.map(|(at, _)| at).collect();
            fitting.sort_by_key(|at| {
                let live = live[*at];
                let is_named = wanted.name.as_ref() == Some(&live.name);
                (!is_named, live.id.len(), &live.id)
            });
            fitting
        })
        .collect();
    // Of each live index, the wanted one that it is paired with.
    let mut pairs: Vec<Option<usize>> = vec![None; live.len()];
    let mut unmatched = Unmatched::default();
    for one in 0..wanted.len() {
        let mut tried = vec![false; live.len()];
        if !pair(one, &fitting, &mut pairs, &mut tried) {
            unmatched.wanted.push(one);
        }
    }
    let alone = pairs.iter().enumerate().filter(|(_, pair)| pair.is_none());
    unmatched.live = alone.map(|(at, _)| at).collect();
    unmatched
}

/// Finds a live index for a wanted one, moving earlier pairs where that helps.
fn pair(
    one: usize,
    fitting: &[Vec<usize>],
    pairs: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for &live in &fitting[one] {
        if std::mem::replace(&mut tried[live], true) {
            continue;
        }
        let is_free = match pairs[live] {
            None => true,
            Some(other) => pair(other, fitting, pairs, tried),
        };
        if is_free {
            pairs[live] = Some(one);
            return true;
        }
    }
    false
}

/// An index that the project says and that production lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// dbt's unique id of the node.
    pub node: String,
    /// Its schema.
    pub schema: String,
    /// Its relation.
    pub relation: String,
    /// For people: `index (n) of marts.counts on compute`.
    pub shown: String,
}

/// Indexes of the deployment's relations that production lacks, sorted by node. Relations that
/// production lacks themselves are left out: their indexes are the least of it.
#[must_use]
pub fn lost(input: &Input<'_>) -> Vec<Lost> {
    let has_indexes = |node: &CandidateNode| {
        !node.indexes.is_empty()
            && full::lies_in_deployment(input, node)
            && matches!(node.materialization(), Materialization::Relation(_))
    };
    if !input.candidate.nodes.values().any(has_indexes) {
        return Vec::new();
    }
    let lookup = Lookup::of(input.candidate, input.catalog);
    let mut lost = Vec::new();
    for (id, node) in input
        .candidate
        .nodes
        .iter()
        .filter(|(_, node)| has_indexes(node))
    {
        let Some(relation) = lookup.relation_of(node) else {
            continue;
        };
        let wanted = wanted(node, input.target_cluster);
        let live = of_relation(&lookup, relation);
        for place in compare(input.catalog, &wanted, &live).wanted {
            let Wanted { key, cluster, .. } = &wanted[place];
            let key = key.as_ref().map_or("default".to_owned(), IndexKey::shown);
            let on = cluster.as_ref().map(|name| format!(" on {name}"));
            lost.push(Lost {
                node: id.clone(),
                schema: node.schema.clone(),
                relation: node.identifier.clone(),
                shown: format!(
                    "index {key} of {}.{}{}",
                    node.schema,
                    node.identifier,
                    on.unwrap_or_default()
                ),
            });
        }
    }
    lost
}

/// The indexes on a relation.
pub(super) fn of_relation<'a>(lookup: &Lookup<'a>, relation: &Object) -> Vec<&'a Object> {
    let dependents = lookup.dependents(&relation.id).iter().copied();
    dependents
        .filter(|object| object.kind == ObjectKind::Index)
        .collect()
}

#[cfg(test)]
mod tests;
