//! Columns of what was built beside those of what serves: what production would lose is found here whatever was planned
//! and described, for every relation that a release makes anew.

use crate::adapters::materialize::catalog;
use crate::domain::catalog::{Catalog, ObjectKind};
use crate::domain::plan::refusal::RefusalName;
use crate::domain::plan::{LiveObject, Plan};
use crate::domain::records::deployment::Deployment;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::Context;
use crate::operations::saga::identity::{Ids, planned_node};
use std::collections::{BTreeMap, BTreeSet};

/// Refuses, unless that is allowed, what takes a column from production. `green` is a reading of green with columns; of
/// production they are asked for now.
///
/// # Errors
/// The server's; [`DeploymentError::Failed`] with [`RefusalName::ColumnLost`].
pub(crate) async fn refuse_lost(
    context: &Context<'_>,
    deployment: &Deployment,
    ids: &Ids,
    green: &Catalog,
) -> Result<(), DeploymentError> {
    let plan = &deployment.plan;
    let pairs = pairs(plan, ids, green);
    let serving: Vec<&str> = pairs.iter().map(|pair| pair.live.id.as_str()).collect();
    let serving = catalog::columns_of(context.materialize, &serving).await?;
    let lost = lost(&pairs, &serving);
    if lost.is_empty() {
        return Ok(());
    }
    let name = RefusalName::ColumnLost.as_str();
    if deployment
        .request
        .allow
        .iter()
        .any(|allowed| allowed == name)
    {
        let known = accepted(plan);
        let news: Vec<&str> = lost
            .iter()
            .filter(|column| !known.contains(column.as_str()))
            .map(String::as_str)
            .collect();
        if !news.is_empty() {
            context.reporter.warning(format!(
                "accepted by name, and not in the plan: production loses {}",
                news.join(", ")
            ));
        }
        return Ok(());
    }
    let lost: Vec<&str> = lost.iter().map(String::as_str).collect();
    Err(DeploymentError::Failed(format!(
        "{name}: what was built lacks columns that production has: {}; add them to the models, or accept the loss with --allow {name}",
        lost.join(", ")
    )))
}

/// A relation that serves, and the columns of the one that was built under its name.
struct Pair<'a> {
    schema: &'a str,
    live: &'a LiveObject,
    built: &'a BTreeMap<String, String>,
}

fn pairs<'a>(plan: &'a Plan, ids: &Ids, green: &'a Catalog) -> Vec<Pair<'a>> {
    let mut pairs = Vec::new();
    for schema in &plan.schemas {
        let Some(id) = ids.green_schemas.get(&schema.name) else {
            continue;
        };
        let built = green.objects_in_schema(id);
        for live in &schema.objects {
            // Failures that tests store are nobody's to read.
            let node = planned_node(plan, &schema.name, &live.name);
            let stores_failures = node.is_some_and(|node| node.stores_failures);
            let is_it = |object: &&&crate::domain::catalog::Object| {
                object.name == live.name && object.kind != ObjectKind::Index
            };
            if live.kind != ObjectKind::Index
                && !stores_failures
                && let Some(object) = built.iter().find(is_it)
            {
                pairs.push(Pair {
                    schema: &schema.name,
                    live,
                    built: &object.columns,
                });
            }
        }
    }
    pairs
}

/// What is lost, `schema.name.column (type)`, sorted.
fn lost(
    pairs: &[Pair<'_>],
    serving: &BTreeMap<String, BTreeMap<String, String>>,
) -> BTreeSet<String> {
    let mut lost = BTreeSet::new();
    for pair in pairs {
        for (column, data_type) in serving.get(&pair.live.id).into_iter().flatten() {
            if !pair.built.contains_key(column) {
                lost.insert(format!(
                    "{}.{}.{column} ({data_type})",
                    pair.schema, pair.live.name
                ));
            }
        }
    }
    lost
}

/// The columns whose loss the plan has accepted.
fn accepted(plan: &Plan) -> BTreeSet<&str> {
    plan.accepted
        .iter()
        .filter(|refusal| refusal.name == RefusalName::ColumnLost)
        .flat_map(|refusal| refusal.objects.iter().map(String::as_str))
        .collect()
}
