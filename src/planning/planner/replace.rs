//! One changed materialized view, released in place: it gets its new definition while everything that
//! reads it stays as it is.
//!
//! Pure, like every plan. Only what leaves each reader with the old side or the new one, whole, is taken:
//! one view, because two cannot be replaced in one moment, and one whose body alone has changed,
//! because a replacement brings nothing but a query along.

use super::candidate::{CandidateNode, ClusterUse, Input, Materialization};
use super::changes::Changes;
use super::full;
use super::lookup::Lookup;
use crate::domain::catalog::{ClusterDefinition, Object, ObjectKind};
use crate::domain::plan::refusal::{Refusal, RefusalName, Refusals};
use crate::domain::plan::{Plan, Replacement, Strategy};
use crate::inputs::outcome;
use crate::inputs::selection::state::Change;
use std::collections::{BTreeMap, BTreeSet};

/// How a node of the candidate differs from the baseline's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// Everything that changed about it, in words.
    pub changes: Vec<String>,
    /// Whether that is its query and nothing else.
    pub is_body_alone: bool,
    /// Whether dbt runs hooks when it builds the node.
    pub has_hooks: bool,
}

impl Difference {
    /// Of what texts say.
    #[must_use]
    pub fn of_texts(changes: &[Change], has_hooks: bool) -> Self {
        Self {
            changes: changes.iter().map(ToString::to_string).collect(),
            is_body_alone: changes.iter().all(|change| *change == Change::Body),
            has_hooks,
        }
    }

    /// Of what comes out.
    #[must_use]
    pub fn of_outcomes(differences: &[outcome::Difference], has_hooks: bool) -> Self {
        Self {
            changes: differences.iter().map(ToString::to_string).collect(),
            is_body_alone: differences.iter().all(outcome::Difference::is_of_sql),
            has_hooks,
        }
    }
}

/// Why a release cannot be made in place: what → why, one phrase each.
pub type Reasons = BTreeMap<String, String>;

/// The view that may be replaced, as far as project and catalog say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target<'a> {
    /// dbt's unique id.
    pub unique_id: &'a str,
    /// The node.
    pub node: &'a CandidateNode,
    /// The view that serves.
    pub live: &'a Object,
    /// The name of its cluster.
    pub cluster: &'a str,
}

/// The old and the new query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queries {
    /// The new one, as dbt compiled it.
    pub new: String,
    /// The one that serves, as the server shows it.
    pub live: String,
}

/// The changed view, if the change is one that can be released in place.
///
/// # Errors
/// Every reason why it is not.
pub fn target<'a>(
    input: &Input<'a>,
    changes: &Changes,
    differences: &BTreeMap<String, Difference>,
) -> Result<Target<'a>, Reasons> {
    let mut reasons = Reasons::new();
    let mut no = |what: &str, why: String| {
        reasons.entry(what.to_owned()).or_insert(why);
    };
    for (schema, who) in &changes.seed.schemas {
        no(&format!("schema {schema}"), who.clone());
    }
    for (name, what) in &changes.drifted {
        no(name, format!("drift: {what}"));
    }
    for (id, what) in &changes.unreleased {
        no(id, format!("{what}; no release builds it"));
    }
    for refusal in &changes.refused {
        let what = refusal.objects.first().cloned().unwrap_or_default();
        no(&what, format!("{}: {}", refusal.name, refusal.message));
    }
    for id in changes.outside.keys() {
        no(id, "lies outside and is not made in place".to_owned());
    }
    if input.outside.changes_something() {
        let outside = input.outside;
        let makes = outside.makes.iter().map(|make| &make.node);
        let sinks = outside.sinks.iter().map(|sink| &sink.node);
        let drops = outside.drops.iter().map(|left| &left.node);
        for node in makes.chain(sinks).chain(drops) {
            no(
                node,
                "is made, changed or dropped outside, which a release in place does not do"
                    .to_owned(),
            );
        }
    }
    match &input.catalog.replacements {
        None => no(
            "server",
            "lists no replacements; v26.10 and newer do".to_owned(),
        ),
        Some(_) if !input.catalog.may_create_schemas => no(
            "role",
            "may not create schemas in the database, and the control schema is one".to_owned(),
        ),
        Some(_) => {}
    }
    let mut found = None;
    for id in changes.seed.nodes.keys() {
        match view(input, id, differences.get(id)) {
            Ok(target) => found = Some(target),
            Err(why) => no(id, why),
        }
        if changes.seed.nodes.len() > 1 {
            no(
                id,
                "several nodes cannot be replaced in one moment".to_owned(),
            );
        }
    }
    match found {
        Some(target) if reasons.is_empty() => Ok(target),
        Some(_) => Err(reasons),
        None => {
            if reasons.is_empty() {
                reasons.insert("project".to_owned(), "nothing changed".to_owned());
            }
            Err(reasons)
        }
    }
}

/// One changed node, if it may be replaced.
fn view<'a>(
    input: &Input<'a>,
    id: &str,
    difference: Option<&Difference>,
) -> Result<Target<'a>, String> {
    let catalog = input.catalog;
    let no = |why: &str| Err(why.to_owned());
    let Some((unique_id, node)) = input.candidate.nodes.get_key_value(id) else {
        return no("is not in the project");
    };
    if node.stores_failures {
        return no("is a test that stores its failures, which its run makes");
    }
    if node.materialization() != Materialization::Relation(ObjectKind::MaterializedView) {
        return Err(format!(
            "is a {}, and only materialized views can be replaced",
            node.materialized.replace('_', " ")
        ));
    }
    if !full::lies_in_deployment(input, node) {
        return Err(format!(
            "lies in the schema {}, which vars.deployment does not list",
            node.schema
        ));
    }
    let serving = catalog
        .schema(&node.schema)
        .map(|schema| catalog.objects_in_schema(&schema.id))
        .unwrap_or_default();
    let Some(live) = serving
        .into_iter()
        .find(|object| object.name == node.identifier && object.kind != ObjectKind::Index)
    else {
        return no("is not in production yet");
    };
    if live.kind != ObjectKind::MaterializedView {
        return no("is something else than a materialized view in production");
    }
    match difference.filter(|difference| !difference.changes.is_empty()) {
        Some(difference) if !difference.is_body_alone => {
            let words = difference.changes.join(", ");
            return Err(format!("{words}; only the body may change"));
        }
        Some(_) => {}
        None => return no("was not changed by its body since the baseline"),
    }
    if difference.is_some_and(|difference| difference.has_hooks) {
        return no("has hooks, which would not run");
    }
    let own = node.cluster.clone().or_else(|| {
        input
            .target_cluster
            .map(|name| ClusterUse::Named(name.to_owned()))
    });
    let cluster = match own {
        Some(ClusterUse::Named(name) | ClusterUse::NeedsQuotes(name)) => catalog.cluster(&name),
        None => None,
    };
    let Some(cluster) = cluster.filter(|cluster| live.cluster_id.as_ref() == Some(&cluster.id))
    else {
        return no("runs on another cluster in production");
    };
    if !catalog.owns(&live.owner) {
        return Err(format!(
            "belongs to {}, not to the deploying role",
            live.owner
        ));
    }
    let pending = catalog.replacements.as_ref();
    if pending.is_some_and(|pending| pending.pending_for(&live.id).is_some()) {
        return no("has a replacement of somebody else's already");
    }
    Ok(Target {
        unique_id,
        node,
        live,
        cluster: &cluster.name,
    })
}

/// Why a replacement on a cluster of this definition would not become ready, or the one that a rollback makes.
#[must_use]
pub fn is_unready(cluster: &str, definition: &ClusterDefinition) -> Option<String> {
    if definition.is_on_refresh() {
        return Some(format!(
            "runs on the cluster {cluster}, whose replicas the server starts for refreshes only (SCHEDULE = ON REFRESH): \
             between two of them neither a replacement nor the way back would become ready"
        ));
    }
    (!definition.has_replicas()).then(|| {
        format!(
            "runs on the cluster {cluster}, which has no replicas, so that no replacement on it would ever be ready"
        )
    })
}

/// Tests that read the view: those that can run before it is replaced, and those that cannot because
/// they also read what is computed from it, or would store their failures in production.
#[must_use]
pub fn tests_of<'a>(input: &Input<'a>, target: &Target<'_>) -> (Vec<&'a str>, Vec<&'a str>) {
    let itself = BTreeSet::from([target.unique_id.to_owned()]);
    let downstream = input.candidate.downstream(&itself);
    full::planned_tests(input, &itself)
        .into_iter()
        .partition(|id| {
            let test = input.candidate.tests.get(*id);
            let stores = input.candidate.nodes.contains_key(*id);
            test.is_some_and(|test| {
                let reads = input.candidate.reads(&test.parents);
                !stores && !reads.iter().any(|id| downstream.contains(*id))
            })
        })
}

/// Plans the replacement.
#[must_use]
pub fn plan(input: &Input<'_>, changes: &Changes, target: &Target<'_>, queries: Queries) -> Plan {
    let nothing = BTreeSet::new();
    let narrowed = Input {
        mode: crate::domain::plan::Mode::Slim,
        schemas: &nothing,
        clusters: &nothing,
        target_cluster: input.target_cluster,
        moved: &[],
        ..*input
    };
    let itself = BTreeSet::from([target.unique_id.to_owned()]);
    let (tests, left_out) = tests_of(input, target);
    let selectors = |wanted: &[&str]| {
        let selectors = input.candidate.selectors(&wanted.iter().copied().collect());
        selectors.unwrap_or_default()
    };
    let (build_selectors, test_selectors) = (selectors(&[target.unique_id]), selectors(&tests));
    let tests = tests.into_iter().map(str::to_owned).collect();
    let lookup = Lookup::of(input.candidate, input.catalog);
    let mut plan = full::assemble(&narrowed, &itself, None, &lookup, tests);
    plan.build_selectors = build_selectors;
    plan.test_selectors = test_selectors;
    plan.strategy = Strategy::Replace;
    plan.gains = Vec::new();
    for node in &mut plan.nodes {
        if let Some(reason) = changes.seed.nodes.get(&node.unique_id) {
            node.reason.clone_from(reason);
        }
    }
    plan.held_back.clone_from(&changes.held_back);
    plan.held_back_schemas
        .clone_from(&changes.held_back_schemas);
    plan.notes.push(format!(
        "{}.{} is replaced in place: nothing else is built, and no schema or cluster is swapped",
        target.node.schema, target.node.identifier
    ));
    if !left_out.is_empty() {
        plan.notes.push(format!(
            "not run, because they also read what is computed from the replaced view, or store their failures: {}",
            left_out.join(", ")
        ));
    }
    plan.notes.extend(changes.notes.iter().cloned());
    plan.replacements = vec![Replacement {
        schema: target.node.schema.clone(),
        name: target.node.identifier.clone(),
        node: target.unique_id.to_owned(),
        id: target.live.id.clone(),
        cluster: target.cluster.to_owned(),
        cluster_id: target.live.cluster_id.clone().unwrap_or_default(),
        query: queries.new,
        previous: queries.live,
    }];
    plan
}

/// What differs between the columns of the view that serves and those of its new query: names, order
/// and types; `None` when nothing does.
#[must_use]
pub fn columns_differ(live: &[(String, String)], new: &[(String, String)]) -> Option<String> {
    if live == new {
        return None;
    }
    let shown = |columns: &[(String, String)]| {
        let columns: Vec<String> = columns
            .iter()
            .map(|(name, kind)| format!("{name} {kind}"))
            .collect();
        columns.join(", ")
    };
    Some(format!(
        "columns differ: {} in production, {} now",
        shown(live),
        shown(new)
    ))
}

/// The refusal that these reasons are.
#[must_use]
pub fn refusal(reasons: &Reasons) -> Vec<Refusal> {
    let mut refusals = Refusals::default();
    for (what, why) in reasons {
        refusals.add(
            RefusalName::NotReplaceable,
            "what changed cannot be released in place",
            format!("{what} ({why})"),
            "release it with --strategy swap, or let --strategy auto choose",
        );
    }
    refusals.into_vec()
}

/// What an operator is told when a release that could have been made in place is made by a swap.
#[must_use]
pub fn note(reasons: &Reasons) -> String {
    let reasons: Vec<String> = reasons
        .iter()
        .map(|(what, why)| format!("{what} {why}"))
        .collect();
    format!("not released in place: {}", reasons.join("; "))
}

#[cfg(test)]
mod tests;
