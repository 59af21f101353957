//! Giving what goes names that only this deployment knows, in one guarded transaction.

use super::Side;
use crate::deployment::DeploymentError;
use crate::deployment::context::Context;
use crate::materialize::Statement;
use crate::materialize::catalog::{About, Catalog};
use crate::materialize::ddl;
use crate::materialize::guarded::{Guarded, Names};
use crate::store::Deployment;

/// Gives everything that goes a secret name, unless it has one.
pub(super) async fn hide(
    context: &Context<'_>,
    deployment: &Deployment,
    side: &Side<'_>,
    catalog: &Catalog,
    about: &About,
) -> Result<(), DeploymentError> {
    // (is a cluster, id, present name, hidden name)
    let mut renames: Vec<(bool, &str, &str, String)> = Vec::new();
    for (index, (id, _)) in side.schemas.iter().enumerate() {
        if let Some(schema) = catalog.schemas.get(id) {
            let hidden = side.hidden(deployment, "schema", index);
            if schema.name != hidden {
                renames.push((false, id, &schema.name, hidden));
            }
        }
    }
    for (index, (id, _)) in side.clusters.iter().enumerate() {
        if let Some(cluster) = catalog.clusters.get(id) {
            let hidden = side.hidden(deployment, "cluster", index);
            if cluster.name != hidden {
                renames.push((true, id, &cluster.name, hidden));
            }
        }
    }
    refuse_what_moved(deployment, side, &renames)?;
    let index_renames = side.index_renames(catalog);
    let statements: Vec<Statement> = renames
        .iter()
        .map(|(is_cluster, _, from, to)| {
            if *is_cluster {
                ddl::rename_cluster(from, to)
            } else {
                ddl::rename_schema(&side.plan.database, from, to)
            }
        })
        .chain(
            index_renames
                .iter()
                .map(|(_, _, statement)| statement.clone()),
        )
        .collect();
    let check = |names: &Names| {
        for (is_cluster, id, name, _) in &renames {
            let by_name = if *is_cluster {
                &names.clusters
            } else {
                &names.schemas
            };
            if by_name.get(*name).map(String::as_str) != Some(*id) {
                return Err(format!(
                    "foreign-swap: {name} is not the one that was recorded (id {id}): somebody swapped, renamed or dropped it. Look at both sides"
                ));
            }
        }
        for (id, called, _) in &index_renames {
            if names.called.get(id) != Some(called) {
                return Err(format!(
                    "foreign-swap: {called} is not the index that was recorded (id {id}): somebody renamed or dropped it. Look at both"
                ));
            }
        }
        Ok(())
    };
    let about = about.clone();
    let about = about.and_objects(index_renames.iter().map(|(id, _, _)| id));
    match context.guarded(&statements, false, &about, check).await? {
        Guarded::Committed => Ok(()),
        Guarded::Declined(reason) => Err(DeploymentError::Stuck(format!(
            "{reason}, then run `cutover resume`"
        ))),
        Guarded::Unknown(error) => {
            context.materialize.forget().await;
            Err(error.into())
        }
    }
}

/// What goes must stand where this deployment left it. Under a production name it serves, because
/// somebody swapped; under any other name somebody wants it. Neither is ours to drop.
fn refuse_what_moved(
    deployment: &Deployment,
    side: &Side<'_>,
    renames: &[(bool, &str, &str, String)],
) -> Result<(), DeploymentError> {
    let stuck = |what: String| {
        Err(DeploymentError::Stuck(format!(
            "foreign-swap: {what}. Nothing was dropped. Look at both sides, restore the recorded names, then run `cutover resume`"
        )))
    };
    for (is_cluster, id, name, _) in renames {
        let what = if *is_cluster { "cluster" } else { "schema" };
        let left = side.left_at(deployment, *is_cluster, id);
        if left.iter().any(|left| left == name) {
            continue;
        }
        if side.is_production(*is_cluster, name) {
            return stuck(format!(
                "the side that is to be dropped serves under the production name {name}: somebody swapped"
            ));
        }
        return stuck(format!(
            "the {what} {} that is to be dropped is now called {name}: somebody renamed it",
            left.first().map_or("", String::as_str)
        ));
    }
    Ok(())
}
