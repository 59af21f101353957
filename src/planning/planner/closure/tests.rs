use super::{Closure, Reason, Seed, close};
use crate::planning::planner::candidate::{Candidate, CandidateIndex, CandidateNode, ClusterUse};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const DATABASE: &str = "materialize";

fn node(
    schema: &str,
    materialized: &str,
    cluster: Option<&str>,
    indexes: &[&str],
    parents: &[&str],
) -> CandidateNode {
    CandidateNode {
        database: DATABASE.to_owned(),
        schema: schema.to_owned(),
        identifier: "x".to_owned(),
        materialized: materialized.to_owned(),
        stores_failures: false,
        has_hooks: false,
        cluster: cluster.map(ClusterUse::of),
        indexes: indexes
            .iter()
            .map(|name| CandidateIndex {
                cluster: Some(ClusterUse::of(name)),
                ..CandidateIndex::default()
            })
            .collect(),
        parents: parents.iter().map(|id| (*id).to_owned()).collect(),
        persists_relation_comment: false,
        persists_column_comments: false,
        contract: None,
        refresh: None,
        diff: crate::domain::diff::Traits::default(),
    }
}

fn project(nodes: &[(&str, CandidateNode)]) -> Candidate {
    Candidate {
        nodes: nodes
            .iter()
            .map(|(id, node)| ((*id).to_owned(), node.clone()))
            .collect(),
        ..Candidate::default()
    }
}

fn changed(ids: &[&str]) -> Seed {
    Seed {
        nodes: ids
            .iter()
            .map(|id| ((*id).to_owned(), "changed: body".to_owned()))
            .collect(),
        schemas: BTreeMap::new(),
    }
}

fn reasons(closure: &Closure) -> Vec<String> {
    let nodes = closure
        .nodes
        .iter()
        .map(|(id, reason)| format!("{id}: {reason}"));
    let indexes = closure
        .indexes
        .iter()
        .map(|(id, clusters)| format!("{id}: indexes on {clusters:?}"));
    nodes.chain(indexes).collect()
}

/// Four schemas: `base` feeds `left` and `right` through an ephemeral model, `far` has nothing to do
/// with them but an index on the cluster of `left`.
fn shop() -> Candidate {
    project(&[
        ("base", node("raw", "view", None, &[], &[])),
        ("between", node("", "ephemeral", None, &[], &["base"])),
        ("far", node("far", "view", None, &["left"], &[])),
        (
            "far_too",
            node("far", "materialized_view", Some("far"), &[], &[]),
        ),
        (
            "left",
            node("left", "materialized_view", Some("left"), &[], &["between"]),
        ),
        ("left_too", node("left", "view", None, &["left_serve"], &[])),
        (
            "right",
            node("right", "materialized_view", Some("right"), &[], &["base"]),
        ),
        ("sink", node("out", "sink", Some("right"), &[], &["right"])),
        (
            "tenant",
            node("tenant", "materialized_view", Some("left"), &[], &[]),
        ),
    ])
}

#[test]
fn an_empty_seed_is_an_empty_closure() {
    let closure = close(&shop(), DATABASE, None, &Seed::default());
    assert_eq!(closure, Closure::default());
}

#[test]
fn a_leaf_takes_its_schema_and_cluster_and_nothing_else() {
    let closure = close(&shop(), DATABASE, None, &changed(&["right"]));
    assert_eq!(reasons(&closure), ["right: changed: body"]);
    assert_eq!(closure.schemas.keys().collect::<Vec<_>>(), ["right"]);
    assert_eq!(closure.clusters.keys().collect::<Vec<_>>(), ["right"]);
}

#[test]
fn schemas_and_clusters_pull_their_tenants_but_indexes_pull_nothing() {
    let closure = close(&shop(), DATABASE, None, &changed(&["left"]));
    assert_eq!(
        reasons(&closure),
        [
            "left: changed: body",
            "left_too: shares schema left with left",
            "tenant: shares cluster left with left",
            "far: indexes on {\"left\"}",
        ]
    );
    assert_eq!(
        closure.clusters.keys().collect::<Vec<_>>(),
        ["left", "left_serve"]
    );
}

#[test]
fn a_change_goes_through_ephemeral_models_and_stops_at_sinks() {
    let closure = close(&shop(), DATABASE, None, &changed(&["base"]));
    let reasons = reasons(&closure);
    assert!(
        reasons.contains(&"left: downstream of between".to_owned()),
        "{reasons:?}"
    );
    assert!(
        reasons.contains(&"right: downstream of base".to_owned()),
        "{reasons:?}"
    );
    assert!(!closure.nodes.contains_key("sink"), "{reasons:?}");
    assert!(!closure.schemas.contains_key("out"));
}

#[test]
fn what_left_a_schema_touches_it() {
    let seed = Seed {
        nodes: BTreeMap::new(),
        schemas: BTreeMap::from([("far".to_owned(), "deleted gone".to_owned())]),
    };
    let closure = close(&shop(), DATABASE, None, &seed);
    assert_eq!(
        closure.nodes["far"].to_string(),
        "shares schema far with deleted gone"
    );
    assert!(closure.nodes.contains_key("far_too"));
    // far's index lies on the cluster `left`, which is swapped with it and takes its tenants along.
    assert!(closure.nodes.contains_key("left"));

    // A schema in which the project has nothing left.
    let seed = Seed {
        nodes: BTreeMap::new(),
        schemas: BTreeMap::from([("empty".to_owned(), "deleted gone".to_owned())]),
    };
    let closure = close(&shop(), DATABASE, None, &seed);
    assert_eq!(closure.schemas.keys().collect::<Vec<_>>(), ["empty"]);
    assert!(closure.nodes.is_empty());
}

#[test]
fn the_profiles_cluster_counts_for_nodes_that_name_none() {
    let project = project(&[
        ("a", node("a", "materialized_view", None, &[], &[])),
        ("b", node("b", "materialized_view", None, &[], &[])),
    ]);
    let closure = close(&project, DATABASE, Some("main"), &changed(&["a"]));
    assert_eq!(closure.nodes["b"].to_string(), "shares cluster main with a");
}

const SCHEMAS: [&str; 4] = ["s0", "s1", "s2", "s3"];
const CLUSTERS: [&str; 3] = ["c0", "c1", "c2"];

/// A project of up to nine nodes whose edges lead from lower to higher numbers.
fn projects() -> impl Strategy<Value = Candidate> {
    let one = (
        0..SCHEMAS.len(),
        0..4_usize,
        0..CLUSTERS.len(),
        proptest::collection::vec(0..CLUSTERS.len(), 0..2),
        any::<u16>(),
    );
    proptest::collection::vec(one, 1..9).prop_map(|nodes| {
        let shaped = nodes.iter().enumerate().map(|(number, drawn)| {
            let (schema, kind, cluster, indexes, edges) = drawn;
            let kind = ["view", "materialized_view", "ephemeral", "seed"][*kind];
            let parents: Vec<String> = (0..number)
                .filter(|parent| edges & (1 << parent) != 0 && edges & (1 << (parent + 7)) == 0)
                .map(|parent| format!("n{parent}"))
                .collect();
            let parents: Vec<&str> = parents.iter().map(String::as_str).collect();
            let indexes: Vec<&str> = indexes.iter().map(|at| CLUSTERS[*at]).collect();
            let indexes = if kind == "ephemeral" {
                &[][..]
            } else {
                &indexes
            };
            let cluster = Some(CLUSTERS[*cluster]);
            let shaped = node(SCHEMAS[*schema], kind, cluster, indexes, &parents);
            (format!("n{number}"), shaped)
        });
        Candidate {
            nodes: shaped.collect(),
            ..Candidate::default()
        }
    })
}

fn seeds() -> impl Strategy<Value = (Candidate, BTreeSet<String>)> {
    projects().prop_flat_map(|candidate| {
        let ids: Vec<String> = candidate.nodes.keys().cloned().collect();
        let size = 0..=ids.len().min(2);
        (
            Just(candidate),
            proptest::sample::subsequence(ids, size).prop_map(|ids| ids.into_iter().collect()),
        )
    })
}

fn seed_of(ids: &BTreeSet<String>) -> Seed {
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    changed(&ids)
}

/// The rules once more, written as conditions on a set and not as steps.
fn is_closed(candidate: &Candidate, set: &BTreeSet<String>) -> bool {
    let is_ephemeral = |node: &CandidateNode| node.materialized == "ephemeral";
    let computed = |node: &CandidateNode| node.materialized == "materialized_view";
    let inside: Vec<&CandidateNode> = set.iter().map(|id| &candidate.nodes[id]).collect();
    let schemas: BTreeSet<&str> = inside
        .iter()
        .filter(|node| !is_ephemeral(node))
        .map(|node| node.schema.as_str())
        .collect();
    let clusters: Vec<&ClusterUse> = inside
        .iter()
        .flat_map(|node| {
            let own = node.cluster.as_ref().filter(|_| computed(node));
            let indexes = node
                .indexes
                .iter()
                .filter_map(|index| index.cluster.as_ref());
            own.into_iter().chain(indexes)
        })
        .collect();
    candidate.nodes.iter().all(|(id, node)| {
        let is_forced = node.parents.iter().any(|parent| set.contains(parent))
            || !is_ephemeral(node) && schemas.contains(node.schema.as_str())
            || computed(node)
                && node
                    .cluster
                    .as_ref()
                    .is_some_and(|own| clusters.contains(&own));
        !is_forced || set.contains(id)
    })
}

proptest! {
    #[test]
    fn it_is_the_smallest_closed_set((candidate, seed) in seeds()) {
        let closure = close(&candidate, DATABASE, None, &seed_of(&seed));
        let result: BTreeSet<String> = closure.nodes.keys().cloned().collect();
        prop_assert!(result.is_superset(&seed));
        prop_assert!(is_closed(&candidate, &result));
        // Every closed set that contains the seed contains the result.
        let ids: Vec<&String> = candidate.nodes.keys().collect();
        for bits in 0..1_u32 << ids.len() {
            let set: BTreeSet<String> = ids
                .iter()
                .enumerate()
                .filter(|(at, _)| bits & (1 << at) != 0)
                .map(|(_, id)| (*id).clone())
                .collect();
            if set.is_superset(&seed) && is_closed(&candidate, &set) {
                prop_assert!(set.is_superset(&result), "{set:?} is closed, {result:?} is larger");
            }
        }
    }

    #[test]
    fn closing_it_again_changes_nothing((candidate, seed) in seeds()) {
        let once = close(&candidate, DATABASE, None, &seed_of(&seed));
        let nodes = once.nodes.keys().cloned().collect();
        let twice = close(&candidate, DATABASE, None, &seed_of(&nodes));
        prop_assert_eq!(once.nodes.keys().collect::<Vec<_>>(), twice.nodes.keys().collect::<Vec<_>>());
        prop_assert_eq!(once.schemas.keys().collect::<Vec<_>>(), twice.schemas.keys().collect::<Vec<_>>());
        prop_assert_eq!(once.clusters.keys().collect::<Vec<_>>(), twice.clusters.keys().collect::<Vec<_>>());
        prop_assert_eq!(once.indexes, twice.indexes);
    }

    #[test]
    fn the_order_of_names_does_not_matter((candidate, seed) in seeds()) {
        // n0 → m9, n1 → m8: the same project in the opposite order.
        let turned = |id: &str| {
            let number: u32 = id[1..].parse().expect("a number");
            format!("m{}", 9 - number)
        };
        let mirrored = Candidate {
            nodes: candidate
                .nodes
                .iter()
                .map(|(id, node)| {
                    let parents = node.parents.iter().rev().map(|id| turned(id)).collect();
                    (turned(id), CandidateNode { parents, ..node.clone() })
                })
                .collect(),
            ..Candidate::default()
        };
        let plain = close(&candidate, DATABASE, None, &seed_of(&seed));
        let seed = seed.iter().map(|id| turned(id)).collect();
        let other = close(&mirrored, DATABASE, None, &seed_of(&seed));
        let plain_nodes: BTreeSet<String> = plain.nodes.keys().map(|id| turned(id)).collect();
        prop_assert_eq!(plain_nodes, other.nodes.keys().cloned().collect::<BTreeSet<_>>());
        prop_assert_eq!(plain.schemas.keys().collect::<Vec<_>>(), other.schemas.keys().collect::<Vec<_>>());
        prop_assert_eq!(plain.clusters.keys().collect::<Vec<_>>(), other.clusters.keys().collect::<Vec<_>>());
    }

    #[test]
    fn every_reason_names_somebody_who_is_in((candidate, seed) in seeds()) {
        let closure = close(&candidate, DATABASE, None, &seed_of(&seed));
        for (id, reason) in &closure.nodes {
            match reason {
                Reason::Seed(_) => prop_assert!(seed.contains(id)),
                Reason::Downstream { of } => {
                    prop_assert!(candidate.nodes[id].parents.contains(of));
                    prop_assert!(closure.nodes.contains_key(of));
                }
                Reason::SharesSchema { schema, with } => {
                    prop_assert_eq!(schema, &candidate.nodes[id].schema);
                    prop_assert!(closure.nodes.contains_key(with));
                }
                Reason::SharesCluster { with, .. } => prop_assert!(closure.nodes.contains_key(with)),
            }
        }
    }
}
