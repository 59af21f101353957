//! All of `vars.deployment` as one plan.
//!
//! Pure: the same input gives the same plan, byte for byte.

use super::candidate::{CandidateNode, ClusterUse, Input, Materialization};
use super::checks::Checks;
use super::lookup::Lookup;
use super::{columns, outside, owners, refresh};
use crate::domain::catalog::{Cluster, ClusterDefinition, ObjectKind, Schema};
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::domain::plan::{
    BaselineUsed, Building, ClusterSwap, GREEN_SUFFIX, LiveObject, Mode, Plan, PlannedNode,
    SchemaSwap, SinkRepoint, Strategy,
};
use crate::inputs::selection::exact::SelectorError;
use crate::planning::planner::side_relations;
use std::collections::{BTreeMap, BTreeSet};

/// Plans the release of every schema and cluster that `vars.deployment` lists for the target.
///
/// # Errors
/// Every reason at once why the release is refused.
pub fn plan(input: &Input<'_>) -> Result<Plan, Refused> {
    plan_with(input, Vec::new())
}

/// As [`plan`], with reasons that were found of what lies outside.
///
/// # Errors
/// As of [`plan`].
pub fn plan_beside(input: &Input<'_>, outside: Vec<Refusal>) -> Result<Plan, Refused> {
    plan_with(input, outside)
}

/// As [`plan`], with reasons that were found before.
pub(super) fn plan_with(input: &Input<'_>, found: Vec<Refusal>) -> Result<Plan, Refused> {
    let planned = planned_ids(input);
    let test_cluster = test_cluster(input);
    let lookup = Lookup::of(input.candidate, input.catalog);
    let tests = planned_tests(input, &planned);
    let columns = columns::changes(input, &lookup, &planned);
    let selectors = Selectors {
        build: selectors(
            input,
            planned
                .iter()
                .filter(|id| !stores_failures(input, id))
                .map(String::as_str),
        ),
        test: selectors(input, tests.iter().copied()),
    };
    let mut checks = Checks::new(input, &planned, test_cluster.as_deref(), &lookup);
    checks.run(&tests, &columns, &selectors);
    let (fatal, accepted): (Vec<Refusal>, Vec<Refusal>) = found
        .into_iter()
        .chain(checks.into_refusals())
        .partition(|refusal| !(refusal.name.is_allowable() && input.allow.contains(&refusal.name)));
    if !fatal.is_empty() {
        return Err(Refused(fatal));
    }
    let tests = tests.into_iter().map(str::to_owned).collect();
    let mut plan = assemble(input, &planned, test_cluster, &lookup, tests);
    side_relations::take(&mut plan, input, &planned, &lookup);
    // The checks refuse what cannot be selected.
    plan.build_selectors = selectors.build.unwrap_or_default();
    plan.test_selectors = selectors.test.unwrap_or_default();
    plan.columns = columns;
    plan.outside.columns = outside::sink_columns(&plan.columns, &plan.sinks);
    plan.accepted = accepted;
    refresh::tell(&mut plan);
    Ok(plan)
}

/// Whether a node is a test that stores its failures.
fn stores_failures(input: &Input<'_>, id: &str) -> bool {
    let node = input.candidate.nodes.get(id);
    node.is_some_and(|node| node.stores_failures)
}

/// What makes dbt build and test exactly what is planned.
pub(super) struct Selectors {
    pub(super) build: Result<Vec<String>, SelectorError>,
    pub(super) test: Result<Vec<String>, SelectorError>,
}

fn selectors<'a>(
    input: &Input<'_>,
    wanted: impl Iterator<Item = &'a str>,
) -> Result<Vec<String>, SelectorError> {
    input.candidate.selectors(&wanted.collect())
}

/// Unique ids of the nodes that lie in the deployment and become relations.
fn planned_ids(input: &Input<'_>) -> BTreeSet<String> {
    input
        .candidate
        .nodes
        .iter()
        .filter(|(_, node)| lies_in_deployment(input, node))
        .filter(|(_, node)| match node.materialization() {
            Materialization::Relation(_) => true,
            Materialization::Source => input.allow.contains(&RefusalName::SourceRebuilt),
            Materialization::Ephemeral | Materialization::Sink | Materialization::Unsupported => {
                false
            }
        })
        .map(|(id, _)| id.clone())
        .collect()
}

/// Whether a node's relation lies in a schema that the deployment lists.
pub(super) fn lies_in_deployment(input: &Input<'_>, node: &CandidateNode) -> bool {
    node.database == input.catalog.database && input.schemas.contains(&node.schema)
}

/// The cluster whose green side runs the tests: the profile's where it is deployed, else the first
/// deployed one that a profile can name, else a scratch clone of the profile's.
fn test_cluster(input: &Input<'_>) -> Option<String> {
    let names = &input.candidate.cluster_names;
    let mut deployed = input.clusters.iter().map(String::as_str);
    input
        .target_cluster
        .filter(|name| input.clusters.contains(*name))
        .or_else(|| deployed.find(|name| names.given_for(name).is_some()))
        .or(input.target_cluster)
        .map(str::to_owned)
}

pub(super) fn assemble(
    input: &Input<'_>,
    planned: &BTreeSet<String>,
    test_cluster: Option<String>,
    lookup: &Lookup<'_>,
    tests: Vec<String>,
) -> Plan {
    let schemas: Vec<SchemaSwap> = input
        .schemas
        .iter()
        .map(|name| schema_swap(input, name, lookup))
        .collect();
    let test_cluster = test_cluster.filter(|_| !tests.is_empty());
    let mut clusters: Vec<ClusterSwap> = input
        .clusters
        .iter()
        .map(|name| cluster_swap(input, name, false))
        .collect();
    if let Some(name) = test_cluster
        .as_deref()
        .filter(|name| !input.clusters.contains(*name))
    {
        clusters.push(cluster_swap(input, name, true));
    }
    let nodes = planned_nodes(input, planned);
    let relations: BTreeSet<(String, String)> = nodes
        .iter()
        .map(|node| (node.schema.clone(), node.identifier.clone()))
        .collect();
    let live: BTreeSet<(String, String)> = schemas
        .iter()
        .flat_map(|schema| {
            schema
                .objects
                .iter()
                .filter(|object| object.kind != ObjectKind::Index)
                .map(|object| (schema.name.clone(), object.name.clone()))
        })
        .collect();
    let dotted = |(schema, name): &(String, String)| format!("{schema}.{name}");
    Plan {
        version: 1,
        mode: input.mode,
        strategy: Strategy::Swap,
        replacements: Vec::new(),
        environment: input.environment.to_owned(),
        target: input.target.to_owned(),
        project: input.candidate.project.clone(),
        database: input.catalog.database.clone(),
        server: Some(input.catalog.server.clone()),
        building: Building::default(),
        manifest_hash: input.candidate.hash.clone(),
        green_manifest_hash: input.candidate.green_hash.clone(),
        inputs: None,
        outcomes: None,
        settings: None,
        baseline: BaselineUsed::default(),
        held_back: BTreeMap::new(),
        held_back_schemas: BTreeMap::new(),
        keeps: BTreeMap::new(),
        changed_tests: BTreeMap::new(),
        gains: relations.difference(&live).map(dotted).collect(),
        loses: live.difference(&relations).map(dotted).collect(),
        text_only: Vec::new(),
        columns: Vec::new(),
        description: None,
        texts: None,
        estimated_hydration_ms: None,
        sinks: sinks(input, lookup),
        outside: input.outside.clone(),
        notes: notes(input, planned, &tests)
            .into_iter()
            .chain(made_way(input))
            .collect(),
        owners: owners::planned(
            input.candidate,
            nodes.iter().map(|node| &node.unique_id).chain(&tests),
        ),
        schemas,
        clusters,
        nodes,
        beside: Vec::new(),
        hooked: Vec::new(),
        default_privileges: input.catalog.default_privileges.clone(),
        build_selectors: Vec::new(),
        tests,
        test_selectors: Vec::new(),
        test_cluster_given: test_cluster
            .as_deref()
            .and_then(|cluster| Some((cluster, input.candidate.cluster_names.given_for(cluster)?)))
            .filter(|(cluster, given)| given != cluster)
            .map(|(_, given)| given.to_owned()),
        test_cluster,
        indexes: input.moved.to_vec(),
        accepted: Vec::new(),
    }
}

fn schema_swap(input: &Input<'_>, name: &str, lookup: &Lookup<'_>) -> SchemaSwap {
    let live = input.catalog.schema(name);
    SchemaSwap {
        name: name.to_owned(),
        green: format!("{name}{GREEN_SUFFIX}"),
        id: live.map(|schema| schema.id.clone()),
        owner: live.map(|schema| schema.owner.clone()),
        grants: live.map(|schema| schema.grants.clone()).unwrap_or_default(),
        default_privileges: live
            .map(|schema| schema.default_privileges.clone())
            .unwrap_or_default(),
        comment: live.and_then(|schema| schema.comment_parts().0.map(str::to_owned)),
        objects: live.map_or_else(Vec::new, |schema| live_objects(lookup, schema)),
    }
}

fn live_objects(lookup: &Lookup<'_>, schema: &Schema) -> Vec<LiveObject> {
    let objects = lookup.objects_in_schema(&schema.id).iter();
    objects.map(|object| LiveObject::of(object)).collect()
}

fn cluster_swap(input: &Input<'_>, name: &str, scratch: bool) -> ClusterSwap {
    let live: Option<&Cluster> = input.catalog.cluster(name);
    let definition = match input.definitions.get(name) {
        Some(Ok(definition)) => definition.clone(),
        // The checks refuse clusters that are missing or cannot be cloned, except under
        // `--bootstrap`, where a missing one gets the configured size.
        Some(Err(_)) | None => ClusterDefinition::Managed {
            options: format!(
                "SIZE = {}",
                crate::foundation::sql::identifier::Literal(input.bootstrap.unwrap_or_default())
            ),
        },
    };
    ClusterSwap {
        name: name.to_owned(),
        green: format!("{name}{GREEN_SUFFIX}"),
        id: live.map(|cluster| cluster.id.clone()),
        owner: live.map(|cluster| cluster.owner.clone()),
        grants: live
            .map(|cluster| cluster.grants.clone())
            .unwrap_or_default(),
        comment: live.and_then(|cluster| cluster.comment_parts().0.map(str::to_owned)),
        definition,
        hydration: None,
        scratch,
    }
}

fn planned_nodes(input: &Input<'_>, planned: &BTreeSet<String>) -> Vec<PlannedNode> {
    let cluster_of = |node: &CandidateNode| {
        node.clusters(input.target_cluster)
            .pop()
            .flatten()
            .map(|cluster| match cluster {
                ClusterUse::Named(name) | ClusterUse::NeedsQuotes(name) => name,
            })
    };
    let refreshes = refresh::planned(input.candidate, planned);
    planned
        .iter()
        .filter_map(|id| input.candidate.nodes.get_key_value(id))
        .map(|(id, node)| PlannedNode {
            unique_id: id.clone(),
            schema: node.schema.clone(),
            identifier: node.identifier.clone(),
            materialized: node.materialized.clone(),
            kind: match node.materialization() {
                Materialization::Relation(kind) => Some(kind),
                Materialization::Source => Some(if node.materialized == "source" {
                    ObjectKind::Source
                } else {
                    ObjectKind::Table
                }),
                Materialization::Ephemeral
                | Materialization::Sink
                | Materialization::Unsupported => None,
            },
            cluster: cluster_of(node),
            indexes: node.indexes.len(),
            persists_relation_comment: node.persists_relation_comment,
            persists_column_comments: node.persists_column_comments,
            stores_failures: node.stores_failures,
            refresh: refreshes.get(id).copied(),
            diff: node.diff.clone(),
            depends_on: reads(node, planned),
            reason: "full release".to_owned(),
        })
        .collect()
}

/// What of the planned nodes one reads; sorted.
fn reads(node: &CandidateNode, planned: &BTreeSet<String>) -> Vec<String> {
    let read: BTreeSet<&String> = node.parents.iter().collect();
    let planned = read.into_iter().filter(|id| planned.contains(*id));
    planned.cloned().collect()
}

/// Unique ids of the tests that read at least one planned node, be it through ephemeral models, and of those
/// whose stored failures lie in a schema that is swapped; sorted.
pub(super) fn planned_tests<'a>(input: &Input<'a>, planned: &BTreeSet<String>) -> Vec<&'a str> {
    input
        .candidate
        .tests
        .iter()
        .filter(|(id, test)| {
            let reads = input.candidate.reads(&test.parents);
            planned.contains(*id) || reads.iter().any(|id| planned.contains(*id))
        })
        .map(|(id, _)| id.as_str())
        .collect()
}

/// Sinks outside the swapped schemas that read from an object inside.
fn sinks(input: &Input<'_>, lookup: &Lookup<'_>) -> Vec<SinkRepoint> {
    let mut sinks = Vec::new();
    let settled: BTreeSet<&String> = input.outside.settled_sinks().collect();
    for name in input.schemas {
        let Some(schema) = input.catalog.schema(name) else {
            continue;
        };
        for object in lookup.objects_in_schema(&schema.id) {
            for sink in lookup.dependents(&object.id) {
                if sink.kind == ObjectKind::Sink && !settled.contains(&sink.id) {
                    sinks.push(SinkRepoint {
                        id: sink.id.clone(),
                        name: input.catalog.name_of(sink),
                        schema: schema.name.clone(),
                        object: object.name.clone(),
                    });
                }
            }
        }
    }
    sinks.sort_by(|a, b| (&a.name, &a.object).cmp(&(&b.name, &b.object)));
    sinks
}

/// What pull requests built on production's objects of these schemas, which goes before the swap.
fn made_way(input: &Input<'_>) -> Option<String> {
    let catalog = input.catalog;
    let home = |id: &str| {
        let object = catalog.objects.get(id)?;
        catalog.schemas.get(&object.schema_id)
    };
    let is_swapped = |id: &str| {
        home(id).is_some_and(|schema| {
            schema.database == catalog.database && input.schemas.contains(&schema.name)
        })
    };
    let readers = catalog
        .dependencies
        .iter()
        .filter(|(reader, on)| home(reader).is_some_and(Schema::is_of_corner) && is_swapped(on));
    let readers: BTreeSet<String> = readers
        .filter_map(|(reader, _)| Some(catalog.name_of(catalog.objects.get(reader)?)))
        .collect();
    (!readers.is_empty()).then(|| {
        let names: Vec<String> = readers.into_iter().collect();
        format!(
            "corners of pull requests read what is swapped, and make way before it: {}",
            names.join(", ")
        )
    })
}

fn notes(input: &Input<'_>, planned: &BTreeSet<String>, tests: &[String]) -> Vec<String> {
    if input.mode == Mode::Slim {
        return Vec::new();
    }
    let left_out: Vec<&str> = input
        .candidate
        .nodes
        .iter()
        .filter(|(id, node)| {
            !planned.contains(*id)
                && !node.stores_failures
                && matches!(node.materialization(), Materialization::Relation(_))
        })
        .map(|(id, _)| id.as_str())
        .collect();
    let tests: BTreeSet<&str> = tests.iter().map(String::as_str).collect();
    let not_run: Vec<&str> = input
        .candidate
        .tests
        .keys()
        .map(String::as_str)
        .filter(|id| !tests.contains(id))
        .collect();
    let note = |what: &str, why: &str, ids: &[&str]| {
        let plural = if ids.len() == 1 { "" } else { "s" };
        (!ids.is_empty()).then(|| format!("{} {what}{plural} {why}: {}", ids.len(), ids.join(", ")))
    };
    [
        note("node", "outside vars.deployment, not released", &left_out),
        note("test", "reading no released node, not run", &not_run),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests;
