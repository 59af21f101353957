//! Waiting until a corner is hydrated, judged as a release is judged, without a counterpart.

use super::error::CiError;
use super::make;
use crate::adapters::materialize::watch::Watching;
use crate::domain::catalog::{Catalog, ObjectKind};
use crate::domain::progress::Progress;
use crate::inputs::settings::Readiness;
use crate::operations::ci::namespace::Work;
use crate::operations::green::readings::{Listening, Readings};
use crate::planning::readiness::{
    Counterparts, Expectation, ExpectedCluster, ExpectedObject, Judge,
};
use crate::planning::recipe::document::Recipe;
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// Waits until everything of the corner that a cluster computes is hydrated and close behind its sources; gives why it
/// is not when the time is over, a sentence each, or nothing. `catalog` is the corner as it was built.
///
/// # Errors
/// The server's; [`CiError::Interrupted`].
pub async fn until_ready(
    work: &Work<'_>,
    recipe: &Recipe,
    catalog: &Catalog,
    settings: &Readiness,
) -> Result<Vec<String>, CiError> {
    let mut clusters: BTreeMap<String, ExpectedCluster> = BTreeMap::new();
    let scheduled: BTreeSet<(&str, &str)> = recipe
        .items
        .iter()
        .filter(|item| make::is_scheduled(item))
        .map(|item| (item.schema.as_str(), item.name.as_str()))
        .collect();
    for held in work.record.schemas.values() {
        let Some(id) = &held.id else { continue };
        for object in catalog.objects_in_schema(id) {
            let is_computed = matches!(
                object.kind,
                ObjectKind::MaterializedView | ObjectKind::Index
            );
            let cluster = object.cluster_id.as_ref().filter(|_| is_computed);
            let Some(cluster) = cluster else {
                continue;
            };
            let name = catalog.clusters.get(cluster).map(|it| it.name.clone());
            let expected = clusters.entry(cluster.clone());
            let expected = expected.or_insert_with(|| ExpectedCluster {
                name: name.unwrap_or_default(),
                is_on_refresh: false,
                objects: Vec::new(),
            });
            expected.objects.push(ExpectedObject {
                id: object.id.clone(),
                name: format!("{}.{}", held.name, object.name),
                counterpart: None,
                is_scheduled: scheduled.contains(&(&*held.name, &*object.name)),
            });
        }
    }
    if clusters.is_empty() {
        return Ok(Vec::new());
    }
    let expectation = Expectation {
        threshold_ms: i64::try_from(settings.lag_threshold.0.as_millis()).unwrap_or(i64::MAX),
        strict: false,
        oom_kill_limit: i64::from(settings.oom_kill_limit),
        counterparts: Counterparts::InProduction,
        clusters,
    };
    judged(work, &expectation, settings).await
}

async fn judged(
    work: &Work<'_>,
    expectation: &Expectation,
    settings: &Readiness,
) -> Result<Vec<String>, CiError> {
    let objects = expectation.clusters.values();
    let objects: BTreeSet<&String> = objects
        .flat_map(|cluster| cluster.objects.iter().map(|object| &object.id))
        .collect();
    let watching = Watching::default();
    let listening = Listening {
        materialize: work.materialize,
        watching: &watching,
        reporter: work.reporter,
        cancel: work.stop,
    };
    let mut readings = Readings::of(listening, expectation);
    let mut judge = Judge::default();
    let started = Instant::now();
    let mut pause = settings.poll_interval_min.0;
    loop {
        work.interrupted()?;
        let mut last = None;
        for reading in readings.next(pause).await? {
            let verdict = judge.judge(expectation, &reading);
            last = Some((reading, verdict));
        }
        // Somebody asked to stop.
        let Some((reading, verdict)) = last else {
            continue;
        };
        work.reporter.send(Progress::Readiness {
            clusters: verdict.clusters.clone(),
        });
        if verdict.ready {
            return Ok(Vec::new());
        }
        let reasons = || {
            let clusters = verdict.clusters.iter();
            clusters.flat_map(|cluster| cluster.reasons()).collect()
        };
        if let Some(gone) = objects
            .iter()
            .find(|id| !reading.existing.contains(id.as_str()))
        {
            return Ok(vec![format!("somebody dropped an object of it ({gone})")]);
        }
        if verdict.hopeless.is_some() || started.elapsed() >= settings.timeout.0 {
            return Ok(reasons());
        }
        pause = (pause * 3 / 2).min(settings.poll_interval_max.0);
    }
}
