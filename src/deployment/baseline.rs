//! What went live: kept before the swap, named by the pointer after it.
//!
//! The files are in the artifact store before the swap may commit, so that nothing but the pointer is
//! left to write afterwards. The pointer moves only after a swap, or a swap back, has committed.

use super::context::{Context, key};
use super::error::DeploymentError;
use super::identity::GreenObject;
use crate::artifacts::document::VERSION;
use crate::artifacts::{Advance, Bundle, Kind, Metadata, Reason, RecordedObject};
use crate::plan::Plan;
use crate::store::Deployment;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Keeps manifest, run results, plan and metadata of a deployment that is about to go live.
pub(super) async fn keep(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let plan = &deployment.plan;
    let effect = context.begin(deployment, key::KEEP, &plan.baseline).await?;
    if effect.result.is_some() {
        return Ok(());
    }
    let current = context.artifacts.current(&context.artifact_key).await?;
    let generation = current.as_ref().map(|pointer| pointer.generation);
    if generation != plan.baseline.generation {
        return Err(DeploymentError::Failed(format!(
            "the baseline moved since the plan was made: it is of generation {generation:?}, planned with {:?}",
            plan.baseline.generation
        )));
    }
    let before = match current.and_then(|pointer| pointer.deployment) {
        Some(id) => {
            let bundle = context.artifacts.bundle(&context.artifact_key, &id).await?;
            Some(bundle.metadata)
        }
        None => None,
    };
    let green = context.green_objects(deployment).await?.ok_or_else(|| {
        DeploymentError::Stuck("the journal has no record of green's objects".to_owned())
    })?;
    let moved = context.moved_indexes(deployment).await?;
    let bundle = Bundle {
        manifest: context.builds.plain_manifest(plan).await?,
        run_results: context.builds.build_results()?,
        plan: Some(serde_json::to_vec_pretty(plan).unwrap_or_default()),
        metadata: metadata(context, deployment, before, &green, &moved),
    };
    context
        .artifacts
        .keep(&context.artifact_key, &deployment.id, &bundle)
        .await?;
    context.finish(deployment, key::KEEP, &true).await
}

fn metadata(
    context: &Context<'_>,
    deployment: &Deployment,
    before: Option<Metadata>,
    green: &[GreenObject],
    moved: &[GreenObject],
) -> Metadata {
    let plan = &deployment.plan;
    let (schemas, objects) = live_after(plan, before, green, moved);
    Metadata {
        version: VERSION,
        deployment: deployment.id.clone(),
        kind: Kind::Promoted,
        environment: context.artifact_key.environment.clone(),
        project: context.artifact_key.project.clone(),
        target: plan.target.clone(),
        database: plan.database.clone(),
        cutover_version: env!("CARGO_PKG_VERSION").to_owned(),
        manifest_hash: plan.manifest_hash.clone(),
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
    }));
    (schemas.into_iter().collect(), objects.into_iter().collect())
}

/// Names the new side as the baseline.
pub(super) async fn publish(
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
pub(super) async fn publish_back(
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
