//! What of the catalog a deployment is about: after planning, nothing else is asked.

use super::context::Context;
use super::identity::{GreenObject, Ids};
use super::staged;
use crate::adapters::materialize::catalog::About;
use crate::domain::plan::Plan;
use crate::domain::records::deployment::Deployment;
use std::collections::BTreeSet;

/// Both sides and the control schema by name and by recorded id, and nothing in them.
pub(crate) fn sides(deployment: &Deployment, ids: &Ids) -> About {
    let plan = &deployment.plan;
    let schemas = plan.schemas.iter();
    let clusters = plan.clusters.iter();
    About {
        schemas: schemas
            .flat_map(|schema| [schema.name.clone(), schema.green.clone()])
            .chain(Context::secret(deployment).controls())
            .collect(),
        clusters: clusters
            .flat_map(|cluster| [cluster.name.clone(), cluster.green.clone()])
            .collect(),
        schema_ids: known(
            ids.blue_schemas
                .values()
                .chain(ids.green_schemas.values())
                .chain([&ids.control]),
        ),
        cluster_ids: known(
            ids.blue_clusters
                .values()
                .chain(ids.green_clusters.values()),
        ),
        names_only: true,
        ..About::default()
    }
}

/// The control schema alone.
pub(crate) fn control(deployment: &Deployment, ids: &Ids) -> About {
    About {
        schemas: Context::secret(deployment).controls().collect(),
        schema_ids: known([&ids.control]),
        names_only: true,
        ..About::default()
    }
}

/// Both sides, and the secret names under which things are made.
pub(crate) fn staging(deployment: &Deployment, ids: &Ids) -> About {
    let mut about = sides(deployment, ids);
    let secret = Context::secret(deployment);
    for item in staged::items(&deployment.plan, &secret) {
        match item.what {
            staged::What::Schema => about.schemas.insert(item.secret),
            staged::What::Cluster => about.clusters.insert(item.secret),
        };
    }
    about
}

/// All that the swap rests on: both sides with all that is in and on them and depends on it, the relations
/// that stay, and what was made beside them.
pub(crate) fn swap(deployment: &Deployment, ids: &Ids, moved: &[GreenObject]) -> About {
    let plan = &deployment.plan;
    let mut about = sides(deployment, ids);
    about.names_only = false;
    about
        .and_objects(plan.keeps.keys())
        .and_objects(plan.indexes.iter().map(|index| &index.id))
        .and_objects(plan.sinks.iter().map(|sink| &sink.id))
        .and_objects(moved.iter().map(|index| &index.id))
}

/// Both sides with all that is in and on them, and how their clusters are made.
pub(crate) fn carried(deployment: &Deployment, ids: &Ids) -> About {
    let mut about = sides(deployment, ids);
    about.names_only = false;
    about.defined = defined(deployment);
    about
}

/// The clusters that are swapped, of both sides, by name.
pub(crate) fn defined(deployment: &Deployment) -> BTreeSet<String> {
    let clusters = deployment.plan.clusters.iter();
    clusters
        .filter(|cluster| !cluster.scratch)
        .flat_map(|cluster| [cluster.name.clone(), cluster.green.clone()])
        .collect()
}

/// The green schemas and clusters with all that is in and on them, and the indexes made beside them.
pub(crate) fn green(deployment: &Deployment, ids: &Ids) -> About {
    About {
        schema_ids: known(ids.green_schemas.values()),
        cluster_ids: known(ids.green_clusters.values()),
        object_names: made_indexes(deployment),
        ..About::default()
    }
}

/// The secret names of the indexes that the deployment makes.
pub(crate) fn made_indexes(deployment: &Deployment) -> BTreeSet<String> {
    let secret = Context::secret(deployment);
    let numbers = 0..deployment.plan.indexes.len();
    numbers
        .map(|number| staged::index_name(&secret, number))
        .collect()
}

/// The indexes of relations that stay, old ones by id and new ones by their secret names.
pub(crate) fn moved_indexes(deployment: &Deployment) -> About {
    let plan: &Plan = &deployment.plan;
    About {
        object_names: made_indexes(deployment),
        ..About::default()
    }
    .and_objects(plan.indexes.iter().map(|index| &index.id))
}

/// Ids that are recorded; what is not has an empty one.
fn known<'a>(ids: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    let ids = ids.into_iter().filter(|id| !id.is_empty());
    ids.cloned().collect()
}
