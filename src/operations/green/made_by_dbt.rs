//! What dbt made in this deployment's green schemas and on its green clusters, by id.
//!
//! dbt makes more than nodes: version pointers, whatever hooks make, and what a run that failed or was
//! killed left. So it is not asked what a thing is but when it appeared: whatever appeared there while dbt
//! ran for this deployment is the deployment's to drop; whatever appeared later is somebody else's. So is
//! what another role owns where the plan neither makes it nor runs hooks: dbt cannot have made that.
//!
//! Durable: one effect, replaced by each run of dbt. `running` before dbt starts, and the objects after it
//! ended, well or not. Where a process died in between, whoever takes the side down looks first; dbt is
//! ended by then ([`crate::operations::builds::Builds::reap`]).

use crate::domain::catalog::{Catalog, Object, ObjectKind};
use crate::domain::plan::PlannedNode;
use crate::domain::records::deployment::Deployment;
use crate::foundation::failure::{Class, Classify};
use crate::operations::error::DeploymentError;
use crate::operations::green::privileges::is_planned;
use crate::operations::saga::context::{Context, key};
use crate::operations::saga::identity::Ids;
use crate::operations::saga::scope;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of what dbt made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "dbt", rename_all = "snake_case")]
pub(crate) enum Made {
    /// dbt may be at work, or was when the process died.
    Running,
    /// dbt has ended.
    Ended {
        /// Everything that was there then: id → `schema.name`, sorted.
        objects: BTreeMap<String, String>,
    },
}

/// Runs dbt: records that it may make things, and in the end what is there. After a run that went well,
/// the caller looks ([`record`]) with the reading of the catalog that it needs anyway.
///
/// # Errors
/// dbt's and the journal's.
pub(crate) async fn by(
    context: &Context<'_>,
    deployment: &Deployment,
    dbt: impl Future<Output = Result<(), DeploymentError>>,
) -> Result<(), DeploymentError> {
    context.begin(deployment, key::MADE, &()).await?;
    context
        .finish(deployment, key::MADE, &Made::Running)
        .await?;
    let error = match dbt.await {
        Ok(()) => return Ok(()),
        Err(error) => error,
    };
    // Soon, so that little of others' can come in between. When that fails it is done while unwinding.
    if error.class() != Class::Interrupted
        && let Err(unseen) = look(context, deployment).await
    {
        tracing::warn!(error = %unseen, "what dbt left was not recorded yet");
    }
    Err(error)
}

/// What dbt made, for taking it down: looked at now where dbt's end was not seen; `None` where dbt never
/// started.
///
/// # Errors
/// The server's and the journal's.
pub(crate) async fn known(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<Option<BTreeSet<String>>, DeploymentError> {
    let ids = |objects: BTreeMap<String, String>| objects.into_keys().collect();
    Ok(match recorded(context, deployment).await? {
        None => None,
        Some(Made::Ended { objects }) => Some(ids(objects)),
        Some(Made::Running) => match look(context, deployment).await? {
            Made::Ended { objects } => Some(ids(objects)),
            Made::Running => None,
        },
    })
}

/// As [`known`], without looking.
///
/// # Errors
/// The journal's.
pub(crate) async fn recorded(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<Option<Made>, DeploymentError> {
    let effect = context.store.effect(&deployment.id, key::MADE).await?;
    Ok(match effect {
        Some(effect) => effect.result_as()?,
        None => None,
    })
}

/// Makes sure that nothing appeared in green since dbt ended, before dbt runs once more.
///
/// # Errors
/// [`DeploymentError::Failed`] names what appeared.
pub(crate) async fn nothing_else(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let Some(Made::Ended { objects }) = recorded(context, deployment).await? else {
        return Ok(());
    };
    let ids = context.recorded_ids(deployment).await?;
    let about = scope::green(deployment, &ids);
    let catalog = Catalog::look(context.materialize, &about).await?;
    let appeared: Vec<String> = in_green(&ids, &catalog)
        .filter(|object| !objects.contains_key(&object.id))
        .map(|object| catalog.name_of(object))
        .collect();
    if appeared.is_empty() {
        return Ok(());
    }
    Err(DeploymentError::Failed(format!(
        "unmanaged-object: {} appeared in green since it was recorded",
        appeared.join(", ")
    )))
}

/// Unique ids of the planned nodes whose relation is in green now.
///
/// # Errors
/// The server's and the journal's.
pub(crate) async fn there(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<BTreeSet<String>, DeploymentError> {
    let ids = context.recorded_ids(deployment).await?;
    let about = scope::green(deployment, &ids);
    let catalog = Catalog::look(context.materialize, &about).await?;
    let plan = &deployment.plan;
    let is_there = |node: &&PlannedNode| {
        let schema = ids.green_schemas.get(&node.schema);
        let mut objects = schema
            .into_iter()
            .flat_map(|id| catalog.objects_in_schema(id));
        // An ephemeral one is part of what reads it.
        node.kind.is_none()
            || objects
                .any(|object| object.name == node.identifier && object.kind != ObjectKind::Index)
    };
    let nodes = plan.built().filter(is_there);
    Ok(nodes.map(|node| node.unique_id.clone()).collect())
}

async fn look(context: &Context<'_>, deployment: &Deployment) -> Result<Made, DeploymentError> {
    let ids = context.recorded_ids(deployment).await?;
    let about = scope::green(deployment, &ids);
    let catalog = Catalog::look(context.materialize, &about).await?;
    record(context, deployment, &catalog).await
}

/// Records what is there now that dbt has ended.
///
/// # Errors
/// The journal's.
pub(crate) async fn record(
    context: &Context<'_>,
    deployment: &Deployment,
    catalog: &Catalog,
) -> Result<Made, DeploymentError> {
    let ids = context.recorded_ids(deployment).await?;
    let plan = &deployment.plan;
    let may_be_of_dbt = |object: &Object| {
        let schemas = &mut ids.green_schemas.iter();
        let schema = schemas.find(|(_, id)| **id == object.schema_id);
        object.owner == catalog.role
            || !plan.hooked.is_empty()
            || schema.is_some_and(|(name, _)| is_planned(plan, name, object, catalog))
    };
    let objects = in_green(&ids, catalog)
        .filter(|object| may_be_of_dbt(object))
        .map(|object| (object.id.clone(), catalog.name_of(object)))
        .collect();
    let made = Made::Ended { objects };
    context.finish(deployment, key::MADE, &made).await?;
    Ok(made)
}

/// Everything in green schemas and on green clusters. A green cluster is the deployment's own as much as
/// a schema, so what runs there is, too, wherever it lies.
fn in_green<'c>(ids: &Ids, catalog: &'c Catalog) -> impl Iterator<Item = &'c Object> {
    let schemas: BTreeSet<String> = ids.green_schemas.values().cloned().collect();
    let clusters: BTreeSet<String> = ids.green_clusters.values().cloned().collect();
    catalog.objects.values().filter(move |object| {
        let is_on = |cluster: &String| clusters.contains(cluster);
        schemas.contains(&object.schema_id) || object.cluster_id.as_ref().is_some_and(is_on)
    })
}
