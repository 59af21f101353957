//! The plan as text and Markdown for people. JSON is the plan's own serialization.
//!
//! Same plan, same bytes: nothing here asks for the time, the terminal or the locale, and order is
//! the plan's own. Names come from files and from the server and may hold anything; [`escape`]
//! makes them harmless for either form.

use crate::domain::catalog::ObjectKind;
use crate::domain::plan::refusal::{Refusal, RefusalName};
use crate::domain::plan::{
    ClusterSwap, ColumnChange, ColumnChangeKind, Credits, Engine, HydrationSize, IndexMove, Mode,
    Plan, PlannedNode, SchemaSwap, Strategy,
};
use std::collections::BTreeMap;
use std::time::Duration;

pub use markdown::markdown;
pub use text::{Detail, text};

mod markdown;
mod outside;
mod text;
/// What is written otherwise than in the baseline.
pub mod written;

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;

/// Characters of the manifest's hash that are shown.
const HASH_LENGTH: usize = 12;
/// Characters of a deployment's id that are shown; as many tell one from another.
const ID_LENGTH: usize = 13;

/// `1 schema`, `2 schemas`.
fn count(number: usize, singular: &str, plural: &str) -> String {
    format!("{number} {}", if number == 1 { singular } else { plural })
}

/// What the plan amounts to, one sentence without a final full stop.
#[must_use]
pub fn headline(plan: &Plan) -> String {
    if plan.is_empty() {
        return nothing(plan).to_owned();
    }
    if plan.strategy == Strategy::Replace {
        return format!(
            "{} replaced in place, {} run",
            count(plan.replacements.len(), "view", "views"),
            count(plan.tests.len(), "test", "tests"),
        );
    }
    let mut line = format!(
        "{} and {} swapped, {} built, {} run",
        count(plan.schemas.len(), "schema", "schemas"),
        count(plan.clusters.len(), "cluster", "clusters"),
        count(plan.nodes.len(), "node", "nodes"),
        count(plan.tests.len(), "test", "tests"),
    );
    if !plan.indexes.is_empty() {
        line.push_str(&format!(
            ", {} made again",
            count(plan.indexes.len(), "index", "indexes")
        ));
    }
    if !plan.sinks.is_empty() {
        line.push_str(&format!(
            ", {} repointed",
            count(plan.sinks.len(), "sink", "sinks")
        ));
    }
    for clause in outside::clauses(plan) {
        line.push_str(&format!(", {clause}"));
    }
    line
}

/// What is known when there is nothing to do.
fn nothing(plan: &Plan) -> &'static str {
    let accepts_drift = |refusal: &Refusal| refusal.name == RefusalName::Drift;
    if !plan.held_back.is_empty() || !plan.held_back_schemas.is_empty() {
        "nothing to do now: what changed is held back"
    } else if plan.accepted.iter().any(accepts_drift) {
        "nothing to do: the project has not changed, and drift of production was accepted"
    } else if plan.outcomes.is_none() {
        "nothing to do: the project's text has not changed"
    } else {
        "nothing to do: production is as the project says"
    }
}

/// The most reasons for a build through dbt that are shown.
const REASONS: usize = 5;

/// Who builds, one clause; `None` where nothing else was asked for than dbt.
fn building(plan: &Plan) -> Option<String> {
    let building = &plan.building;
    match building.engine {
        Engine::Native => Some("built natively".to_owned()),
        Engine::Dbt if building.reasons.is_empty() => None,
        Engine::Dbt => {
            let shown = building.reasons.iter().take(REASONS).map(String::as_str);
            let mut text = format!(
                "built through dbt: {}",
                shown.collect::<Vec<_>>().join("; ")
            );
            let more = building.reasons.len().saturating_sub(REASONS);
            if more > 0 {
                text.push_str(&format!("; and {more} more"));
            }
            Some(text)
        }
    }
}

/// Nodes that changed and come out the same, one sentence; `None` where there are none.
fn text_only(plan: &Plan) -> Option<String> {
    (!plan.text_only.is_empty()).then(|| {
        let nodes = count(plan.text_only.len(), "node", "nodes");
        format!("{nodes} changed in text, not in outcome")
    })
}

/// How much is released.
fn mode(plan: &Plan) -> &'static str {
    match plan.mode {
        Mode::Full => "full release",
        Mode::Slim => "slim release",
    }
}

/// The beginning of the live deployment's id, or what else is known of what is live.
fn baseline(plan: &Plan) -> String {
    match (&plan.baseline.deployment, plan.baseline.generation) {
        (Some(deployment), _) => deployment.chars().take(ID_LENGTH).collect(),
        (None, Some(generation)) => format!("generation {generation}"),
        (None, None) => "none".to_owned(),
    }
}

/// A length of time as people say it: to the second, and what is shorter to the millisecond.
#[must_use]
pub fn roughly(milliseconds: u64) -> String {
    let length = match milliseconds {
        short @ 0..1000 => Duration::from_millis(short),
        long => Duration::from_secs((long + 500) / 1000),
    };
    humantime::format_duration(length).to_string()
}

/// What to expect of the wait for readiness, where there is a wait and something to learn from.
fn expectation(plan: &Plan) -> Option<String> {
    let expected = plan.estimated_hydration_ms?;
    (!plan.is_empty()).then(|| {
        format!(
            "Estimated hydration: {}, the median of the last releases",
            roughly(expected)
        )
    })
}

/// `+`, `-` or `~`, and the types.
fn column(change: &ColumnChange) -> (&'static str, String) {
    match &change.change {
        ColumnChangeKind::Added { to } => ("+", to.clone()),
        ColumnChangeKind::Removed { from } => ("-", from.clone()),
        ColumnChangeKind::Retyped { from, to } => ("~", format!("{from} -> {to}")),
        ColumnChangeKind::Nullable { to } => ("~", format!("{to}, may be null from then on")),
    }
}

/// Who reads it, one clause; `None` where nobody is known.
fn read_by(change: &ColumnChange) -> Option<String> {
    let readers: Vec<String> = change.readers.iter().map(ToString::to_string).collect();
    (!readers.is_empty()).then(|| format!("read by {}", readers.join(", ")))
}

/// What the server's planner did not say, one clause each.
fn undescribed(plan: &Plan) -> Vec<String> {
    let Some(description) = &plan.description else {
        return Vec::new();
    };
    let left_out = description.left_out.iter();
    let queries = description.queries_unknown.iter();
    left_out
        .map(|(id, why)| format!("{id}: {why}"))
        .chain(queries.map(|why| {
            format!("whose recent queries read what is lost or retyped is not known: {why}")
        }))
        .collect()
}

/// `schema.name` of an index.
fn index_name(index: &IndexMove) -> String {
    format!("{}.{}", index.schema, index.name)
}

/// What a selection left for later, and why it is a change.
fn held_back(plan: &Plan) -> impl Iterator<Item = (String, &str)> {
    let nodes = plan.held_back.iter();
    let schemas = plan.held_back_schemas.iter();
    nodes
        .map(|(id, what)| (id.clone(), what.as_str()))
        .chain(schemas.map(|(name, who)| (format!("schema {name}"), who.as_str())))
}

fn short_hash(hash: &str) -> &str {
    hash.get(..HASH_LENGTH).unwrap_or(hash)
}

/// What becomes of a schema's objects.
fn schema_contents(schema: &SchemaSwap) -> String {
    match schema.id {
        Some(_) => format!("{} today", count(schema.objects.len(), "object", "objects")),
        None => "created first (bootstrap)".to_owned(),
    }
}

/// How a cluster's green side is made.
fn cluster_definition(cluster: &ClusterSwap) -> String {
    let made = match &cluster.definition {
        crate::domain::catalog::ClusterDefinition::Managed { options } => options.clone(),
        crate::domain::catalog::ClusterDefinition::Unmanaged { replicas } => {
            let replicas: Vec<String> = replicas
                .iter()
                .map(|replica| format!("{} ({})", replica.name, replica.size))
                .collect();
            format!("unmanaged: {}", replicas.join(", "))
        }
    };
    let made = match cluster.id {
        Some(_) => made,
        None => format!("created first (bootstrap), {made}"),
    };
    match &cluster.hydration {
        Some(hydration) => format!("{made}; {}", hydration_size(hydration)),
        None => made,
    }
}

/// The size until green is hydrated, and what it costs.
fn hydration_size(hydration: &HydrationSize) -> String {
    let HydrationSize { size, credits, .. } = hydration;
    match credits {
        Some(Credits {
            hydrating,
            production,
        }) => format!(
            "of size {size} until it is hydrated, at {hydrating} credits an hour for each replica instead of {production}"
        ),
        None => format!("of size {size} until it is hydrated"),
    }
}

/// The green name of the cluster that runs the tests.
fn test_cluster(plan: &Plan) -> Option<&str> {
    let production = plan.test_cluster.as_deref()?;
    Some(
        plan.clusters
            .iter()
            .find(|cluster| cluster.name == production)
            .map_or(production, |cluster| cluster.green.as_str()),
    )
}

/// Nodes by production schema; both keep the plan's order.
fn nodes_by_schema(plan: &Plan) -> BTreeMap<&str, Vec<&PlannedNode>> {
    let mut schemas: BTreeMap<&str, Vec<&PlannedNode>> = BTreeMap::new();
    for node in &plan.nodes {
        schemas.entry(&node.schema).or_default().push(node);
    }
    schemas
}

fn kind_word(node: &PlannedNode) -> String {
    match node.kind {
        Some(kind) => kind.to_string(),
        None => node.materialized.clone(),
    }
}

impl std::fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ObjectKind::Table => "table",
            ObjectKind::View => "view",
            ObjectKind::MaterializedView => "materialized view",
            ObjectKind::Index => "index",
            ObjectKind::Source => "source",
            ObjectKind::Sink => "sink",
            ObjectKind::Connection => "connection",
            ObjectKind::Secret => "secret",
            ObjectKind::Type => "type",
            ObjectKind::Function => "function",
        })
    }
}
