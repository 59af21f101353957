//! The smallest release: what changed since the baseline, closed over schemas and clusters.
//!
//! Pure: the same input gives the same plan, byte for byte. The plan of the smallest set is the plan
//! of a deployment that lists only the touched schemas and clusters, so every check of the whole
//! release holds here too.

use super::candidate::{Input, Materialization};
use super::changes::Changes;
use super::closure::{self, Closure, Reason};
use super::full;
use super::lookup::Lookup;
use crate::domain::catalog::ObjectKind;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refusals, Refused};
use crate::domain::plan::{IndexMove, Mode, Plan};
use std::collections::{BTreeMap, BTreeSet};

/// A closed change, before the keys of the indexes that move with it are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Closed {
    closure: Closure,
    /// Live indexes of unchanged relations on touched clusters → the node that they belong to and
    /// the cluster's production name.
    pub indexes: BTreeMap<String, (String, String)>,
}

impl Closed {
    /// Closes the changes.
    #[must_use]
    pub fn of(changes: &Changes, input: &Input<'_>) -> Self {
        let closure = closure::close(
            input.candidate,
            &input.catalog.database,
            input.target_cluster,
            &changes.seed,
        );
        let lookup = Lookup::of(input.candidate, input.catalog);
        let mut indexes = BTreeMap::new();
        let rebuilt = |id: &String| closure.nodes.contains_key(id);
        let touched: BTreeMap<&str, &String> = closure
            .clusters
            .keys()
            .filter_map(|name| Some((input.catalog.cluster(name)?.id.as_str(), name)))
            .collect();
        for (id, node) in &input.candidate.nodes {
            let live = (!touched.is_empty() && !rebuilt(id) && !node.indexes.is_empty())
                .then(|| lookup.relation_of(node))
                .flatten();
            let dependents = live.map_or(&[] as &[_], |live| lookup.dependents(&live.id));
            for index in dependents {
                let cluster = index.cluster_id.as_deref().and_then(|id| touched.get(id));
                if index.kind == ObjectKind::Index
                    && let Some(cluster) = cluster
                    && !closure.schemas.contains_key(&node.schema)
                {
                    indexes.insert(index.id.clone(), (id.clone(), (*cluster).clone()));
                }
            }
        }
        Self { closure, indexes }
    }
}

/// Plans the release of a closed change. `keys` has, for each of [`Closed::indexes`], what follows
/// the relation's name in its definition, or why that is not known.
///
/// # Errors
/// Every reason at once why the release is refused.
pub fn plan(
    input: &Input<'_>,
    changes: &Changes,
    closed: &Closed,
    keys: &BTreeMap<String, Result<String, String>>,
) -> Result<Plan, Refused> {
    let mut refusals = Refusals::default();
    outside(input, &closed.closure, &mut refusals);
    not_built(&changes.unreleased, &mut refusals);
    // What nobody decided about is not lost silently.
    not_built(&changes.outside, &mut refusals);
    drifted(&changes.drifted, &mut refusals);
    let moves = moves(input, closed, keys, &mut refusals);
    let within = |touched: &BTreeMap<String, String>, listed: &BTreeSet<String>| {
        let names = touched.keys().filter(|name| listed.contains(*name));
        names.cloned().collect::<BTreeSet<String>>()
    };
    let schemas = within(&closed.closure.schemas, input.schemas);
    let clusters = within(&closed.closure.clusters, input.clusters);
    let narrowed = Input {
        mode: Mode::Slim,
        schemas: &schemas,
        clusters: &clusters,
        moved: &moves,
        ..*input
    };
    let mut plan = full::plan_with(&narrowed, with(refusals.into_vec(), &changes.refused))?;
    for node in &mut plan.nodes {
        if let Some(reason) = closed.closure.nodes.get(&node.unique_id) {
            node.reason = reason.to_string();
        }
    }
    plan.notes.extend(changes.notes.iter().cloned());
    plan.text_only = changes.text_only.iter().cloned().collect();
    let is_released = |id: &String| closed.closure.nodes.contains_key(id);
    plan.held_back = changes.held_back.clone();
    plan.held_back.retain(|id, _| !is_released(id));
    plan.held_back_schemas = changes.held_back_schemas.clone();
    plan.held_back_schemas
        .retain(|schema, _| !schemas.contains(schema));
    Ok(plan)
}

fn with(mut refusals: Vec<Refusal>, more: &[Refusal]) -> Vec<Refusal> {
    refusals.extend(more.iter().cloned());
    refusals
}

fn outside(input: &Input<'_>, closure: &Closure, refusals: &mut Refusals) {
    for (id, reason) in &closure.nodes {
        let Some(node) = input.candidate.nodes.get(id) else {
            continue;
        };
        // A test that stores its failures outside is refused by a name of its own, with all its lines.
        if node.materialization() != Materialization::Ephemeral
            && !node.stores_failures
            && !input.schemas.contains(&node.schema)
        {
            refusals.add(
                RefusalName::NodeOutsideDeployment,
                match reason {
                    Reason::Seed(_) => "a changed node lies in a schema that the deployment does not list",
                    Reason::Downstream { .. }
                    | Reason::SharesSchema { .. }
                    | Reason::SharesCluster { .. } => {
                        "a node that must be rebuilt lies in a schema that the deployment does not list"
                    }
                },
                format!("{id} (schema {}; {reason})", node.schema),
                &input.line_to_add("schemas", &node.schema),
            );
        }
    }
    for (cluster, who) in &closure.clusters {
        let who_stores = input.candidate.nodes.get(who);
        if !input.clusters.contains(cluster) && !who_stores.is_some_and(|who| who.stores_failures) {
            refusals.add(
                RefusalName::NodeOutsideDeployment,
                "a cluster that must be swapped is not listed by the deployment",
                format!("cluster {cluster} (for {who})"),
                &input.line_to_add("clusters", cluster),
            );
        }
    }
}

fn drifted(drifted: &BTreeMap<String, String>, refusals: &mut Refusals) {
    for (name, what) in drifted {
        refusals.add(
            RefusalName::Drift,
            "objects of production are not those that were promoted",
            format!("{name} {what}"),
            "set `on_drift: rebuild` to have them made again, release with --full, or leave them with --allow drift",
        );
    }
}

fn not_built(unreleased: &BTreeMap<String, String>, refusals: &mut Refusals) {
    for (id, what) in unreleased {
        refusals.add(
            RefusalName::ChangeNotReleased,
            "a changed sink, source, snapshot or node of another database is built by no release",
            format!("{id} ({what})"),
            "build it in production with dbt, then accept it with --allow change-not-released",
        );
    }
}

fn moves(
    input: &Input<'_>,
    closed: &Closed,
    keys: &BTreeMap<String, Result<String, String>>,
    refusals: &mut Refusals,
) -> Vec<IndexMove> {
    let mut moves = Vec::new();
    for (id, (node, cluster)) in &closed.indexes {
        let Some(index) = input.catalog.objects.get(id) else {
            continue;
        };
        let Some((node_id, node)) = input.candidate.nodes.get_key_value(node) else {
            continue;
        };
        let shown = input.catalog.name_of(index);
        let key = match keys.get(id) {
            Some(Ok(key)) => key.clone(),
            unknown => {
                let reason = match unknown {
                    Some(Err(answer)) => format!(": {answer}"),
                    Some(Ok(_)) | None => String::new(),
                };
                refusals.add(
                    RefusalName::ClusterShared,
                    "an index of an unchanged relation lies on a cluster that must be swapped and cannot be made again",
                    format!("{shown}{reason}"),
                    "move the index to another cluster, or run again with --full",
                );
                continue;
            }
        };
        if !input.catalog.owns(&index.owner) {
            refusals.add(
                RefusalName::NotOwner,
                "the role does not own an index that must be made again on a swapped cluster",
                format!("{shown} (owner {})", index.owner),
                "run as the owner, or grant the owner's role to the deploying one",
            );
        }
        moves.push(IndexMove {
            id: id.clone(),
            name: index.name.clone(),
            schema: node.schema.clone(),
            relation: node.identifier.clone(),
            cluster: cluster.clone(),
            key,
            comment: index.comment.clone(),
            reason: format!("index of unchanged {node_id} on cluster {cluster}"),
        });
    }
    moves.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
    moves
}

#[cfg(test)]
mod tests;
