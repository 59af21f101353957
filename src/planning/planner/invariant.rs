//! The law of a release, checked before it begins: after it, every relation that the project makes
//! inside `vars.deployment` exists in production, at its place, of its kind and on its cluster; and
//! nothing that the project still makes is lost.
//!
//! A plan is worked out from what changed, and a swap takes whole schemas away. Whatever is wrong with
//! the former must not become a loss by the latter, so this looks at the plan from the other end and
//! knows nothing of how it was made. The rules:
//!
//! 1. A relation of the project whose schema is swapped is among the planned nodes, exactly so.
//! 2. A relation of the project whose schema stays is in production, exactly so. A selection may hold it
//!    back, and its drift may be accepted by name.
//! 3. What the baseline's project made in a swapped schema, and the project still makes, is planned, or is
//!    in production at its new place. Neither a selection nor an acceptance helps.
//! 4. What an earlier selection held back may still serve from a place that nobody knows. While it is
//!    not at its new place, the schemas that something left then are not swapped without it.
//!
//! What stays by rule 2 is remembered by id in the plan, and looked at again inside the transaction that
//! swaps (`saga::identity`).
//!
//! Pure: the same input gives the same answer.

use super::candidate::{CandidateNode, ClusterUse, Input, Materialization};
use super::lookup::Lookup;
use crate::domain::catalog::{Object, ObjectKind};
use crate::domain::plan::refusal::{RefusalName, Refusals, Refused};
use crate::domain::plan::{Plan, PlannedNode};
use crate::inputs::manifest::Manifest;
use std::collections::{BTreeMap, BTreeSet};

/// What the baseline knows of where production's relations are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Before {
    /// By unique id: the schema and name at which the baseline's project made it, in the released database.
    places: BTreeMap<String, (String, String)>,
    /// Nodes that are not live as the baseline has them.
    held_back: BTreeSet<String>,
    /// Schemas in which production still holds what left them.
    left: BTreeSet<String>,
}

impl Before {
    /// Reads it off a baseline: its manifest, and what its release held back.
    #[must_use]
    pub fn of(
        manifest: &Manifest,
        database: &str,
        held_back: &BTreeMap<String, String>,
        held_back_schemas: &BTreeMap<String, String>,
    ) -> Self {
        let nodes = manifest.nodes.values().filter_map(|node| {
            let relation = node.relation()?;
            (relation.database.as_deref() == Some(database)).then(|| {
                let place = (relation.schema, relation.identifier);
                (node.unique_id.clone(), place)
            })
        });
        Self {
            places: nodes.collect(),
            held_back: held_back.keys().cloned().collect(),
            left: held_back_schemas.keys().cloned().collect(),
        }
    }
}

/// Lets a plan pass that keeps the invariant, with what it leaves in its place ([`Plan::keeps`]).
///
/// `input` is that of the whole deployment, `drifted` are `schema.name` of objects that are not as they
/// were promoted and that were accepted so.
///
/// # Errors
/// Every relation that the release would lose, or leave away from its place.
pub fn keep(
    mut plan: Plan,
    input: &Input<'_>,
    before: &Before,
    drifted: &BTreeSet<String>,
) -> Result<Plan, Refused> {
    let mut law = Invariant {
        input,
        plan: &plan,
        lookup: Lookup::of(input.candidate, input.catalog),
        swapped: plan
            .schemas
            .iter()
            .map(|schema| schema.name.as_str())
            .collect(),
        planned: plan
            .nodes
            .iter()
            .map(|node| (node.unique_id.as_str(), node))
            .collect(),
        keeps: BTreeMap::new(),
        refusals: Refusals::default(),
    };
    for (id, node) in &input.candidate.nodes {
        if is_relation(node) {
            law.node(id, node, before, drifted);
        }
    }
    let (keeps, refusals) = (law.keeps, law.refusals.into_vec());
    if !refusals.is_empty() {
        return Err(Refused(refusals));
    }
    plan.keeps = keeps;
    Ok(plan)
}

/// Whether a node makes a relation that a release could build.
fn is_relation(node: &CandidateNode) -> bool {
    match node.materialization() {
        Materialization::Relation(_) | Materialization::Source => true,
        Materialization::Ephemeral | Materialization::Sink | Materialization::Unsupported => false,
    }
}

struct Invariant<'a> {
    input: &'a Input<'a>,
    plan: &'a Plan,
    lookup: Lookup<'a>,
    swapped: BTreeSet<&'a str>,
    planned: BTreeMap<&'a str, &'a PlannedNode>,
    keeps: BTreeMap<String, String>,
    refusals: Refusals,
}

impl<'a> Invariant<'a> {
    fn node(
        &mut self,
        id: &str,
        node: &CandidateNode,
        before: &Before,
        drifted: &BTreeSet<String>,
    ) {
        let input = self.input;
        let is_here = node.database == input.catalog.database;
        let is_listed = is_here && input.schemas.contains(&node.schema);
        let shown = format!("{}.{}", node.schema, node.identifier);
        if is_listed && self.swapped.contains(node.schema.as_str()) {
            if let Err(why) = self.is_planned(id, node) {
                self.refuse(NOT_BUILT, format!("{id} ({shown}: {why})"), &again(id));
            }
            return;
        }
        let standing = if is_here { self.stands(node) } else { Ok(None) };
        if let (true, Ok(Some(live))) = (is_listed, &standing) {
            self.keeps.insert(live.id.clone(), shown.clone());
        }
        let Err(why) = standing else { return };
        if let Some(lost) = self.lost(id, before) {
            let remedy = if is_listed {
                again(id)
            } else {
                format!(
                    "build it there with dbt before the release, or {}",
                    input.line_to_add("schemas", &node.schema)
                )
            };
            self.refuse(LOST, format!("{id} ({lost} goes; {shown}: {why})"), &remedy);
            return;
        }
        let is_excused = self.plan.held_back.contains_key(id) || drifted.contains(&shown);
        if is_listed && !is_excused {
            self.refuse(NOT_THERE, format!("{id} ({shown}: {why})"), &again(id));
        }
    }

    /// Rule 1.
    fn is_planned(&self, id: &str, node: &CandidateNode) -> Result<(), String> {
        let Some(planned) = self.planned.get(id) else {
            return Err("not among the nodes to build".to_owned());
        };
        if (&planned.schema, &planned.identifier) != (&node.schema, &node.identifier) {
            return Err(format!(
                "to be built as {}.{}",
                planned.schema, planned.identifier
            ));
        }
        let kind = kind(node);
        if planned.kind != kind {
            return Err(format!(
                "to be built as a {}, not as a {}",
                word(planned.kind),
                word(kind)
            ));
        }
        let cluster = self.cluster(node);
        if cluster.is_some() && planned.cluster != cluster {
            return Err(format!(
                "to be built on the cluster {}, not on {}",
                planned.cluster.as_deref().unwrap_or("of nobody"),
                cluster.unwrap_or_default()
            ));
        }
        Ok(())
    }

    /// Rule 2: the relation in production, when it is as the project makes it.
    fn stands(&self, node: &CandidateNode) -> Result<Option<&'a Object>, String> {
        let Some(live) = self.lookup.relation_of(node) else {
            return Err("not in production".to_owned());
        };
        let kind = kind(node);
        if kind != Some(live.kind) {
            return Err(format!(
                "a {} in production, not a {}",
                word(Some(live.kind)),
                word(kind)
            ));
        }
        if let Some(wanted) = self.cluster(node) {
            let clusters = &self.input.catalog.clusters;
            let id = live.cluster_id.as_ref();
            let found = id.and_then(|id| clusters.get(id)).map(|found| &found.name);
            if found != Some(&wanted) {
                return Err(format!(
                    "on the cluster {} in production, not on {wanted}",
                    found.map_or("of nobody", String::as_str)
                ));
            }
        }
        Ok(Some(live))
    }

    /// Rules 3 and 4: what goes by the swap while the node is not at its new place.
    fn lost(&self, id: &str, before: &Before) -> Option<String> {
        if before.held_back.contains(id) {
            let schema = before
                .left
                .iter()
                .find(|schema| self.swapped.contains(schema.as_str()));
            return schema.map(|schema| format!("an earlier release held it back, and the schema {schema}, which something left then,"));
        }
        let (schema, name) = before.places.get(id)?;
        let was_live = self
            .lookup
            .named(schema, name)
            .iter()
            .any(|object| object.kind != ObjectKind::Index);
        (was_live && self.swapped.contains(schema.as_str())).then(|| format!("{schema}.{name}"))
    }

    /// The cluster that must compute it, where one must and its name is known.
    fn cluster(&self, node: &CandidateNode) -> Option<String> {
        if !node.is_computed() {
            return None;
        }
        match &node.cluster {
            Some(ClusterUse::Named(name) | ClusterUse::NeedsQuotes(name)) => Some(name.clone()),
            None => self.input.target_cluster.map(str::to_owned),
        }
    }

    fn refuse(&mut self, message: &str, object: String, remedy: &str) {
        self.refusals
            .add(RefusalName::RelationLost, message, object, remedy);
    }
}

const NOT_BUILT: &str = "a relation of the project lies in a schema that would be swapped, and the release does not build it";
const NOT_THERE: &str = "a relation of the project would not be in production after the release";
const LOST: &str = "production would lose a relation that the project still makes";

/// What builds it in any case.
fn again(id: &str) -> String {
    // `model.package.name`, of a versioned model `model.package.name.v1`.
    let name = id.splitn(3, '.').nth(2).unwrap_or(id);
    format!("release everything with --full, or select it too (--select {name})")
}

/// What a node becomes.
fn kind(node: &CandidateNode) -> Option<ObjectKind> {
    match node.materialization() {
        Materialization::Relation(kind) => Some(kind),
        Materialization::Source if node.materialized == "source" => Some(ObjectKind::Source),
        Materialization::Source => Some(ObjectKind::Table),
        Materialization::Ephemeral | Materialization::Sink | Materialization::Unsupported => None,
    }
}

fn word(kind: Option<ObjectKind>) -> String {
    kind.map_or_else(|| "nothing".to_owned(), |kind| kind.to_string())
}

#[cfg(test)]
mod tests;
