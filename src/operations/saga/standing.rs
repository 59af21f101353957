//! What a swap leaves live, for those who look later whether it still is.

use super::identity::Ids;
use crate::adapters::materialize::guarded::Names;
use crate::adapters::materialize::live::written;
use crate::domain::plan::Plan;
use crate::domain::records::drift::Standing;
use std::collections::BTreeSet;

/// What is live once these names were swapped, as the transaction that swaps saw it a moment before.
pub(crate) fn after_swap(plan: &Plan, ids: &Ids, names: &Names) -> Standing {
    let mut standing = Standing::default();
    let mut green = BTreeSet::new();
    for schema in &plan.schemas {
        if let Some(id) = ids.green_schemas.get(&schema.name) {
            standing
                .places
                .insert(format!("schema {}", schema.name), id.clone());
            green.insert(format!("schema {id}"));
        }
    }
    for cluster in plan.clusters.iter().filter(|cluster| !cluster.scratch) {
        if let Some(id) = ids.green_clusters.get(&cluster.name) {
            standing
                .places
                .insert(format!("cluster {}", cluster.name), id.clone());
            if let Some(definition) = names.definitions.get(&cluster.green) {
                let what = format!("cluster {id}");
                standing.made.insert(what, written(definition));
            }
            green.insert(format!("cluster {id}"));
        }
    }
    for (id, (schema, cluster)) in &names.objects {
        let cluster = cluster.as_ref().map(|cluster| format!("cluster {cluster}"));
        let is_on = cluster.is_some_and(|cluster| green.contains(&cluster));
        if is_on || green.contains(&format!("schema {schema}")) {
            green.insert(format!("object {id}"));
        }
    }
    for what in green {
        if let Some(raw) = names.raw.get(&what) {
            standing.owned.insert(what, raw.clone());
        }
    }
    standing
}
