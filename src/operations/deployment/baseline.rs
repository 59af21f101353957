//! What went live: kept before the swap, named by the pointer after it.
//!
//! The files are in the artifact store before the swap may commit, so that nothing but the pointer is
//! left to write afterwards. The pointer moves only after a swap, or a swap back, has committed.

use crate::adapters::artifacts::document::VERSION;
use crate::adapters::artifacts::{
    Advance, Bundle, Given, KeptOutcomes, Kind, Metadata, Reason, RecordedObject,
};
use crate::domain::catalog::ObjectKind;
use crate::domain::plan::Plan;
use crate::domain::records::deployment::Deployment;
use crate::foundation::failure::with_causes;
use crate::inputs::outcome::Before;
use crate::operations::bundle;
use crate::operations::error::DeploymentError;
use crate::operations::green::privileges;
use crate::operations::saga::context::{Context, key};
use crate::operations::saga::identity::GreenObject;
use crate::operations::saga::previous::before;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Keeps manifest, run results, plan and metadata of a deployment that is about to go live.
pub(crate) async fn keep(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let plan = &deployment.plan;
    let effect = context.begin(deployment, key::KEEP, &plan.baseline).await?;
    if effect.result.is_some() {
        return Ok(());
    }
    unmoved(context, deployment).await?;
    let before = before(context, deployment).await?;
    let green = context.green_objects(deployment).await?.ok_or_else(|| {
        DeploymentError::Stuck("the journal has no record of green's objects".to_owned())
    })?;
    let moved = context.moved_indexes(deployment).await?;
    let given = privileges::recorded_given(context, deployment).await?;
    let (schemas, objects) = live_after(plan, before, &green, &moved, &given);
    keep_as(context, deployment, schemas, objects).await
}

/// Makes sure that what was live when the plan was made is the baseline still.
pub(crate) async fn unmoved(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let planned = deployment.plan.baseline.generation;
    let current = context.artifacts.current(&context.artifact_key).await?;
    let generation = current.map(|pointer| pointer.generation);
    if generation != planned {
        return Err(DeploymentError::Failed(format!(
            "the baseline moved since the plan was made: it is of generation {generation:?}, planned with {planned:?}"
        )));
    }
    Ok(())
}

/// Keeps what is live since the replaced view serves under this id. Not before: which id that is only
/// shows when the replacement has been applied.
pub(crate) async fn keep_in_place(
    context: &Context<'_>,
    deployment: &Deployment,
    id: &str,
) -> Result<(), DeploymentError> {
    let effect = context.begin(deployment, key::KEEP, &id).await?;
    if effect.result.is_some() {
        return Ok(());
    }
    let Some(before) = before(context, deployment).await? else {
        return Err(DeploymentError::Failed(
            "the plan replaces a view and has no baseline".to_owned(),
        ));
    };
    let objects = replaced(&deployment.plan, before.objects, id);
    keep_as(context, deployment, before.schemas, objects).await
}

/// The objects with the id under which the replaced view serves.
fn replaced(plan: &Plan, mut objects: Vec<RecordedObject>, id: &str) -> Vec<RecordedObject> {
    for view in &plan.replacements {
        for object in &mut objects {
            if (&object.schema, &object.name) == (&view.schema, &view.name)
                && object.kind == ObjectKind::MaterializedView
            {
                id.clone_into(&mut object.id);
            }
        }
    }
    objects
}

async fn keep_as(
    context: &Context<'_>,
    deployment: &Deployment,
    schemas: Vec<String>,
    objects: Vec<RecordedObject>,
) -> Result<(), DeploymentError> {
    let plan = &deployment.plan;
    let written = serde_json::to_vec_pretty(plan).map_err(|error| {
        DeploymentError::Failed(format!("the plan cannot be written as JSON: {error}"))
    })?;
    let bundle = Bundle {
        manifest: context.builds.plain_manifest(plan).await?,
        run_results: context.builds.build_results()?,
        plan: Some(written),
        outcomes: planned_outcomes(context, plan).await?,
        compiled: context.builds.kept_sql()?,
        metadata: metadata(context, deployment, schemas, objects),
    };
    if let Some(outcomes) = &bundle.outcomes {
        keep_project(context, deployment, outcomes).await?;
    }
    context
        .artifacts
        .keep(&context.artifact_key, &deployment.id, &bundle)
        .await?;
    context.finish(deployment, key::KEEP, &true).await
}

/// Keeps the project itself, so that somebody can go back to it. A release does not fail because that cannot be done.
async fn keep_project(
    context: &Context<'_>,
    deployment: &Deployment,
    outcomes: &[u8],
) -> Result<(), DeploymentError> {
    let why = match context.builds.project_to_keep(outcomes) {
        Ok(Some(contents)) => {
            let (artifacts, key) = (context.artifacts, &context.artifact_key);
            let now = Timestamp::now();
            return Ok(bundle::kept::keep(artifacts, key, &deployment.id, contents, now).await?);
        }
        Ok(None) => "it was planned on another machine".to_owned(),
        Err(error) => with_causes(&error),
    };
    context.reporter.warning(format!(
        "the project is not kept, so that nobody can go back to this release: {why}"
    ));
    Ok(())
}

/// What came out of each node when the plan was made.
async fn planned_outcomes(
    context: &Context<'_>,
    plan: &Plan,
) -> Result<Option<Vec<u8>>, DeploymentError> {
    let known = match &plan.baseline.deployment {
        Some(id) => {
            context
                .artifacts
                .outcomes(&context.artifact_key, id)
                .await?
        }
        None => KeptOutcomes::Absent,
    };
    let before = known.known().map(|outcomes| Before {
        manifest: None,
        outcomes,
    });
    context.builds.planned_outcomes(plan, before).await
}

fn metadata(
    context: &Context<'_>,
    deployment: &Deployment,
    schemas: Vec<String>,
    objects: Vec<RecordedObject>,
) -> Metadata {
    let plan = &deployment.plan;
    Metadata {
        version: VERSION,
        deployment: deployment.id.clone(),
        kind: Kind::Promoted,
        environment: context.artifact_key.environment.clone(),
        project: context.artifact_key.project.clone(),
        target: plan.target.clone(),
        database: plan.database.clone(),
        server: plan.server.clone(),
        cutover_version: env!("CARGO_PKG_VERSION").to_owned(),
        manifest_hash: plan.manifest_hash.clone(),
        built_by: Some(plan.building.engine),
        created_at: Timestamp::now(),
        schemas,
        objects,
        held_back: plan.held_back.clone(),
        held_back_schemas: plan.held_back_schemas.clone(),
    }
}

/// The schemas and objects of production once the swap has committed: green's in the swapped schemas,
/// and what was live before in the others.
fn live_after(
    plan: &Plan,
    before: Option<Metadata>,
    green: &[GreenObject],
    moved: &[GreenObject],
    given: &BTreeMap<String, Given>,
) -> (Vec<String>, Vec<RecordedObject>) {
    let swapped: BTreeSet<&String> = plan.schemas.iter().map(|schema| &schema.name).collect();
    let replaced: BTreeSet<&String> = plan.indexes.iter().map(|index| &index.id).collect();
    let (mut schemas, mut objects) = (BTreeSet::new(), BTreeSet::new());
    if let Some(before) = before {
        schemas.extend(before.schemas);
        objects.extend(
            before.objects.into_iter().filter(|object| {
                !swapped.contains(&object.schema) && !replaced.contains(&object.id)
            }),
        );
    }
    schemas.extend(swapped.into_iter().cloned());
    objects.extend(green.iter().chain(moved).map(|object| RecordedObject {
        schema: object.schema.clone(),
        name: object.name.clone(),
        id: object.id.clone(),
        kind: object.kind,
        beside: object.beside,
        given: given.get(&object.id).cloned(),
    }));
    (schemas.into_iter().collect(), objects.into_iter().collect())
}

/// Names the new side as the baseline.
pub(crate) async fn publish(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let expected = deployment.plan.baseline.generation;
    let effect = context.begin(deployment, key::PUBLISH, &expected).await?;
    if effect.result.is_some() {
        return Ok(());
    }
    let to = Advance {
        deployment: Some(deployment.id.clone()),
        reason: Reason::Promoted,
        at: Timestamp::now(),
    };
    let pointer = context
        .artifacts
        .advance(&context.artifact_key, expected, &to)
        .await?;
    context
        .finish(deployment, key::PUBLISH, &pointer.generation)
        .await
}

/// Names what was live before as the baseline again, where the new side had become it.
pub(crate) async fn publish_back(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let effect = context
        .begin(deployment, key::PUBLISH_BACK, &deployment.plan.baseline)
        .await?;
    if effect.result.is_some() {
        return Ok(());
    }
    let current = context.artifacts.current(&context.artifact_key).await?;
    if let Some(pointer) = current
        && pointer.deployment.as_ref() == Some(&deployment.id)
    {
        let to = Advance {
            deployment: deployment.plan.baseline.deployment.clone(),
            reason: Reason::RolledBack,
            at: Timestamp::now(),
        };
        context
            .artifacts
            .advance(&context.artifact_key, Some(pointer.generation), &to)
            .await?;
    }
    context.finish(deployment, key::PUBLISH_BACK, &true).await
}

/// Names what was live before as the baseline again after a replacement was undone. The view has its old
/// definition then and perhaps another id, so what was live is kept once more, with that id.
pub(crate) async fn publish_back_in_place(
    context: &Context<'_>,
    deployment: &Deployment,
    id: &str,
) -> Result<(), DeploymentError> {
    let (artifacts, key) = (context.artifacts, &context.artifact_key);
    let planned = &deployment.plan.baseline;
    let effect = context.begin(deployment, key::KEEP_BACK, &id).await?;
    let Some(before) = planned
        .deployment
        .as_ref()
        .filter(|_| effect.result.is_none())
    else {
        return Ok(());
    };
    let mut bundle = artifacts.bundle(key, before).await?;
    let objects = replaced(&deployment.plan, bundle.metadata.objects.clone(), id);
    let mut live = before.clone();
    if objects != bundle.metadata.objects {
        live = format!("{}-back", deployment.id);
        bundle.metadata.deployment.clone_from(&live);
        bundle.metadata.objects = objects;
        bundle.metadata.created_at = Timestamp::now();
        artifacts.keep(key, &live, &bundle).await?;
    }
    let current = artifacts.current(key).await?;
    let is_ours = current.as_ref().is_some_and(|pointer| {
        pointer.generation == planned.generation.unwrap_or_default()
            || pointer.deployment.as_ref() == Some(&deployment.id)
    });
    if let Some(pointer) = current.filter(|_| is_ours)
        && pointer.deployment.as_ref() != Some(&live)
    {
        let to = Advance {
            deployment: Some(live.clone()),
            reason: Reason::RolledBack,
            at: Timestamp::now(),
        };
        artifacts
            .advance(key, Some(pointer.generation), &to)
            .await?;
    }
    context.finish(deployment, key::KEEP_BACK, &live).await
}
