//! Which tests run without dbt, and as what.

use super::compose::{Ingredients, green_cluster, options};
use super::qualify::is_plain;
use crate::domain::catalog::ObjectKind;
use crate::domain::plan::{Plan, PlannedNode};
use crate::foundation::sql::identifier::Qualified;
use crate::inputs::manifest::{Manifest, Node, ResourceType};
use crate::planning::planner::candidate::ClusterUse;
use crate::planning::recipe::document::{Item, Make, Severity, TestItem};
use crate::planning::recipe::rewrite::Moves;
use serde_json::Value;
use std::collections::BTreeSet;

/// Unique ids of the planned tests that may run without dbt once they are compiled. dbt runs all of them where it is
/// told to take warnings for errors, of which there are more kinds than those of tests.
pub(super) fn wanted<'p>(
    manifest: &Manifest,
    plan: &'p Plan,
    warnings_are_errors: bool,
) -> BTreeSet<&'p str> {
    if warnings_are_errors {
        return BTreeSet::new();
    }
    let tests = plan.tests.iter().map(String::as_str);
    tests
        .filter(|id| {
            let node = manifest.nodes.get(*id);
            node.is_some_and(|node| {
                node.resource_type == ResourceType::Test && is_plain(manifest, node)
            })
        })
        .collect()
}

/// The tests that run without dbt, sorted; every other planned one is dbt's.
pub(super) fn compose(
    given: Ingredients<'_>,
    moves: &Moves<'_>,
    asking: &BTreeSet<String>,
) -> Vec<TestItem> {
    wanted(given.manifest, given.plan, given.warnings_are_errors)
        .into_iter()
        .filter(|id| !asking.contains(*id))
        .filter_map(|id| item(given, moves, id, given.manifest.nodes.get(id)?))
        .collect()
}

/// `None` of a test whose configuration has a form that is not known, or that runs or stores its failures on a
/// cluster which has no green side: dbt says what is wrong with it.
fn item(given: Ingredients<'_>, moves: &Moves<'_>, id: &str, node: &Node) -> Option<TestItem> {
    let rest = &node.config.rest;
    let text = |key: &str, default: &str| match rest.get(key) {
        None | Some(Value::Null) => Some(default.to_owned()),
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => None,
    };
    let limit = match rest.get("limit") {
        None | Some(Value::Null) => None,
        Some(value) => Some(value.as_u64()?),
    };
    let severity = node.config.severity.as_deref().unwrap_or("error");
    let severity = match severity.to_lowercase().as_str() {
        "error" => Severity::Error,
        "warn" => Severity::Warn,
        _ => return None,
    };
    let named = match &given.candidate.tests.get(id)?.cluster {
        Some(ClusterUse::Named(name)) => name.as_str(),
        Some(ClusterUse::NeedsQuotes(_)) => return None,
        None => given.plan.test_cluster.as_deref()?,
    };
    let mut clusters = given.plan.clusters.iter();
    let cluster = clusters.find(|cluster| cluster.name == named)?;
    let query = moves.rewrite(given.sql.get(id)?);
    let stores = given.plan.nodes.iter().find(|it| it.unique_id == id);
    let stored = match stores {
        Some(planned) => Some(stored(given, planned, node, query.clone())?),
        None => None,
    };
    let query = match &stored {
        Some(item) => {
            let name = Qualified::object(&given.plan.database, &item.schema, &item.name);
            format!("select *\nfrom {name}")
        }
        None => query,
    };
    Some(TestItem {
        unique_id: id.to_owned(),
        query,
        stored,
        cluster: cluster.green.clone(),
        fail_calc: text("fail_calc", "count(*)")?,
        warn_if: text("warn_if", "!= 0")?,
        error_if: text("error_if", "!= 0")?,
        limit,
        severity,
    })
}

/// What a test makes of its failures, as the adapter's materialization of tests does: a view, or a materialized view
/// for everything else, without indexes and comments.
fn stored(
    given: Ingredients<'_>,
    planned: &PlannedNode,
    node: &Node,
    query: String,
) -> Option<Item> {
    let mut schemas = given.plan.schemas.iter();
    let schema = schemas.find(|schema| schema.name == planned.schema)?;
    let make = match planned.kind? {
        ObjectKind::View => Make::View { query },
        ObjectKind::MaterializedView => Make::MaterializedView {
            cluster: green_cluster(given.plan, planned.cluster.as_deref()?).ok()?,
            options: options(node).ok()?,
            query,
        },
        ObjectKind::Table
        | ObjectKind::Index
        | ObjectKind::Source
        | ObjectKind::Sink
        | ObjectKind::Connection
        | ObjectKind::Secret
        | ObjectKind::Type
        | ObjectKind::Function => return None,
    };
    Some(Item {
        unique_id: planned.unique_id.clone(),
        schema: schema.green.clone(),
        name: planned.identifier.clone(),
        after: BTreeSet::new(),
        make,
        contract: None,
        indexes: Vec::new(),
        comment: None,
        column_comments: Vec::new(),
    })
}
