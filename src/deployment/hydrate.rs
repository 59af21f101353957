//! Waiting until green is ready.

use super::context::Context;
use super::error::DeploymentError;
use super::identity::{GreenObject, Ids};
use super::readiness::{
    Counterparts, Expectation, ExpectedCluster, ExpectedObject, Judge, Verdict,
};
use crate::failure::{Class, Classify};
use crate::materialize::reading::Reading;
use crate::materialize::{MaterializeError, Session};
use crate::plan::render::roughly;
use crate::plan::{ObjectKind, Plan};
use crate::progress::Progress;
use crate::store::Deployment;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Waits until green is ready, or its deadline has passed.
pub(super) async fn wait(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    let clusters = released(context, deployment).await?;
    if let Some(expected) = deployment.plan.estimated_hydration_ms {
        context.reporter.note(format!(
            "waiting until green is ready; the last releases waited {}",
            roughly(expected)
        ));
    }
    wait_for(context, deployment, clusters).await
}

/// The objects that the deployment made, by their recorded ids, on the clusters that compute them.
pub(super) async fn released(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<BTreeMap<String, ExpectedCluster>, DeploymentError> {
    let ids = context.recorded_ids(deployment).await?;
    let green = context.green_objects(deployment).await?.ok_or_else(|| {
        DeploymentError::Stuck("the journal has no record of green's objects".to_owned())
    })?;
    let moved = context.moved_indexes(deployment).await?;
    let green: Vec<GreenObject> = green.into_iter().chain(moved).collect();
    Ok(clusters(&deployment.plan, &ids, &green))
}

/// Waits until the objects on these clusters, by id, are ready, or the deadline has passed.
pub(super) async fn wait_for(
    context: &Context<'_>,
    deployment: &Deployment,
    clusters: BTreeMap<String, ExpectedCluster>,
) -> Result<(), DeploymentError> {
    let settings = &context.settings.readiness;
    let expectation = Expectation {
        clusters,
        threshold_ms: i64::try_from(settings.lag_threshold.0.as_millis()).unwrap_or(i64::MAX),
        strict: settings.strict,
        oom_kill_limit: i64::from(settings.oom_kill_limit),
        counterparts: Counterparts::InProduction,
    };
    let started = Instant::now();
    let mut judge = Judge::default();
    let mut in_a_row = 0;
    let mut pause = settings.poll_interval_min.0;
    loop {
        context.interrupted(deployment)?;
        let reading = take(context, &expectation).await?;
        let vanished = vanished(&expectation, &reading);
        if !vanished.is_empty() {
            return Err(DeploymentError::Failed(format!(
                "somebody dropped {} of green",
                vanished.join(", ")
            )));
        }
        let verdict = judge.judge(&expectation, &reading);
        context.reporter.send(Progress::Readiness {
            clusters: verdict.clusters.clone(),
        });
        if let Some(reason) = verdict.hopeless {
            return Err(DeploymentError::Failed(reason));
        }
        if verdict.ready {
            in_a_row += 1;
            if in_a_row >= settings.samples {
                return Ok(());
            }
            pause = settings.poll_interval_min.0;
        } else {
            in_a_row = 0;
        }
        if started.elapsed() >= settings.timeout.0 {
            return Err(DeploymentError::Failed(missing(
                &verdict,
                settings.timeout.0,
            )));
        }
        tokio::select! {
            () = context.cancel.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
        if !verdict.ready {
            pause = (pause * 3 / 2).min(settings.poll_interval_max.0);
        }
    }
}

/// One reading; a lost connection is made again and the reading repeated.
async fn take(
    context: &Context<'_>,
    expectation: &Expectation,
) -> Result<Reading, MaterializeError> {
    loop {
        let session = context.materialize.session_patiently().await?;
        match read(&session, expectation).await {
            Err(error) if error.class() == Class::Transient => {
                tracing::warn!(%error, "reading the readiness again");
                context.materialize.forget().await;
            }
            answer => return answer,
        }
    }
}

/// One reading of what is expected and of its counterparts.
pub(super) async fn read(
    session: &Session,
    expectation: &Expectation,
) -> Result<Reading, MaterializeError> {
    let clusters: BTreeSet<String> = expectation.clusters.keys().cloned().collect();
    let objects: BTreeSet<String> = expectation
        .clusters
        .values()
        .flat_map(|cluster| &cluster.objects)
        .flat_map(|object| std::iter::once(&object.id).chain(&object.counterpart))
        .cloned()
        .collect();
    Reading::take(session, &objects, &clusters).await
}

fn clusters(plan: &Plan, ids: &Ids, green: &[GreenObject]) -> BTreeMap<String, ExpectedCluster> {
    let blue: BTreeMap<(&str, &str), &str> = plan
        .schemas
        .iter()
        .flat_map(|schema| {
            schema.objects.iter().map(|object| {
                (
                    (schema.name.as_str(), object.name.as_str()),
                    object.id.as_str(),
                )
            })
        })
        .chain(plan.indexes.iter().map(|index| {
            let name = (index.schema.as_str(), index.name.as_str());
            (name, index.id.as_str())
        }))
        .collect();
    let mut clusters: BTreeMap<String, ExpectedCluster> = ids
        .green_clusters
        .iter()
        .map(|(name, id)| {
            (
                id.clone(),
                ExpectedCluster {
                    name: name.clone(),
                    objects: Vec::new(),
                },
            )
        })
        .collect();
    for object in green {
        let is_computed = match object.kind {
            ObjectKind::MaterializedView | ObjectKind::Index => true,
            ObjectKind::Table
            | ObjectKind::View
            | ObjectKind::Source
            | ObjectKind::Sink
            | ObjectKind::Connection
            | ObjectKind::Secret
            | ObjectKind::Type
            | ObjectKind::Function => false,
        };
        let cluster = object
            .cluster_id
            .as_ref()
            .and_then(|id| clusters.get_mut(id))
            .filter(|_| is_computed);
        if let Some(cluster) = cluster {
            cluster.objects.push(ExpectedObject {
                id: object.id.clone(),
                name: format!("{}.{}", object.schema, object.name),
                counterpart: blue
                    .get(&(object.schema.as_str(), object.name.as_str()))
                    .map(|id| (*id).to_owned()),
            });
        }
    }
    clusters
}

/// What was dropped will never be ready; waiting for it would only hide that.
fn vanished<'a>(expectation: &'a Expectation, reading: &Reading) -> Vec<&'a str> {
    expectation
        .clusters
        .values()
        .flat_map(|cluster| &cluster.objects)
        .filter(|object| !reading.existing.contains(&object.id))
        .map(|object| object.name.as_str())
        .collect()
}

fn missing(verdict: &Verdict, after: Duration) -> String {
    let missing: Vec<String> = verdict
        .clusters
        .iter()
        .flat_map(|cluster| {
            cluster
                .waiting_for
                .iter()
                .map(move |reason| format!("{reason} (cluster {})", cluster.cluster))
        })
        .collect();
    format!(
        "green was not ready after {}: {}",
        humantime::format_duration(after),
        if missing.is_empty() {
            "it was not ready often enough in a row".to_owned()
        } else {
            missing.join("; ")
        }
    )
}
