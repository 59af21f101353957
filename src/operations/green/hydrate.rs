//! Waiting until green is ready.

use super::readings::{Listening, Readings};
use crate::adapters::materialize::Statement;
use crate::adapters::store::StoreError;
use crate::domain::catalog::ObjectKind;
use crate::domain::lifecycle::state::State;
use crate::domain::plan::{Plan, Refresh};
use crate::domain::progress::{ClusterReadiness, Progress};
use crate::domain::reading::Reading;
use crate::domain::records::deployment::{Deployment, Effect};
use crate::inputs::settings::Readiness;
use crate::operations::error::DeploymentError;
use crate::operations::saga::context::{Context, key};
use crate::operations::saga::identity::{GreenObject, Ids};
use crate::planning::planner::render::roughly;
use crate::planning::readiness::{
    Counterparts, Expectation, ExpectedCluster, ExpectedObject, Judge, Verdict,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Waits until green is ready, or its deadline has passed.
pub(crate) async fn wait(
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
    // After the tests it is looked at once more, right before the swap.
    let again = u32::from(deployment.state == State::Hydrating);
    let samples = context.settings.readiness.samples.saturating_sub(again);
    wait_for(context, deployment, clusters, samples.max(1)).await
}

/// The objects that the deployment made, by their recorded ids, on the clusters that compute them.
pub(crate) async fn released(
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

/// Waits until the objects on these clusters, by id, are ready in so many looks in a row, or the deadline has
/// passed.
pub(crate) async fn wait_for(
    context: &Context<'_>,
    deployment: &Deployment,
    clusters: BTreeMap<String, ExpectedCluster>,
    samples: u32,
) -> Result<(), DeploymentError> {
    let known = recorded_since(context, deployment).await?;
    let wait = Wait {
        side: "green",
        clusters,
        since: known.clone(),
        samples,
        limit: context.settings.readiness.timeout.0,
        is_patient: false,
    };
    match until_ready(context, deployment, wait).await? {
        Waited::Ready(since) => {
            if since != known {
                context.begin(deployment, key::HYDRATED, &()).await?;
                context.finish(deployment, key::HYDRATED, &since).await?;
            }
            Ok(())
        }
        Waited::NotReady(reason) => Err(DeploymentError::Failed(reason)),
    }
}

/// What is waited for, and for how long.
pub(crate) struct Wait {
    /// The side, for people.
    pub(crate) side: &'static str,
    /// The objects by id, on their clusters.
    pub(crate) clusters: BTreeMap<String, ExpectedCluster>,
    /// Since when they are known to be hydrated, as [`Judge::since`].
    pub(crate) since: BTreeMap<String, i64>,
    /// In how many looks in a row they are to be ready.
    pub(crate) samples: u32,
    /// The longest wait.
    pub(crate) limit: Duration,
    /// Whether replicas are waited for where there are none: somebody may give the cluster some.
    pub(crate) is_patient: bool,
}

/// How a wait ended.
pub(crate) enum Waited {
    /// Ready often enough in a row; since when the objects are hydrated, as [`Judge::since`].
    Ready(BTreeMap<String, i64>),
    /// Not ready, for this reason.
    NotReady(String),
}

/// Waits until these objects are ready.
///
/// # Errors
/// The server's, the journal's; [`DeploymentError::Interrupted`].
pub(crate) async fn until_ready(
    context: &Context<'_>,
    deployment: &Deployment,
    wait: Wait,
) -> Result<Waited, DeploymentError> {
    let Wait {
        side,
        clusters,
        since,
        samples,
        limit,
        is_patient,
    } = wait;
    let settings = &context.settings.readiness;
    let expectation = Expectation {
        clusters,
        threshold_ms: i64::try_from(settings.lag_threshold.0.as_millis()).unwrap_or(i64::MAX),
        strict: settings.strict,
        oom_kill_limit: i64::from(settings.oom_kill_limit),
        counterparts: Counterparts::InProduction,
    };
    let started = Instant::now();
    let mut judge = Judge::since(since);
    let mut told = Told::default();
    let mut in_a_row = InARow::of(settings, samples);
    let mut readings = Readings::of(Listening::of(context), &expectation);
    let mut pause = settings.poll_interval_min.0;
    loop {
        context.interrupted(deployment)?;
        let mut last = None;
        for reading in readings.next(pause).await? {
            let verdict = judge.judge(&expectation, &reading);
            in_a_row.take(verdict.ready, reading.now_ms);
            last = Some((reading, verdict));
        }
        // The operator asked to stop.
        let Some((reading, verdict)) = last else {
            continue;
        };
        let vanished = vanished(&expectation, &reading);
        if !vanished.is_empty() {
            return Ok(Waited::NotReady(format!(
                "somebody dropped {} of {side}",
                vanished.join(", ")
            )));
        }
        context.reporter.send(Progress::Readiness {
            clusters: verdict.clusters.clone(),
        });
        if let Some(reason) = &verdict.hopeless
            && !is_patient
        {
            return Ok(Waited::NotReady(reason.clone()));
        }
        if in_a_row.is_enough() {
            told.forget(context, deployment).await?;
            return Ok(Waited::Ready(judge.hydrated_since_ms().clone()));
        }
        if started.elapsed() >= limit {
            return Ok(Waited::NotReady(missing(&verdict, side, limit)));
        }
        told.tell(context, deployment, &verdict).await?;
        pause = match verdict.ready {
            true => settings.poll_interval_min.0,
            false => (pause * 3 / 2).min(settings.poll_interval_max.0),
        };
    }
}

/// Sends statements that replace replicas of green, and forgets how ready it was: what was seen before says
/// nothing any more, neither in the journal nor of the watch.
pub(crate) async fn alter(
    context: &Context<'_>,
    deployment: &Deployment,
    statements: &[Statement],
) -> Result<(), DeploymentError> {
    let nothing = BTreeMap::<String, i64>::new();
    context.begin(deployment, key::HYDRATED, &()).await?;
    context.finish(deployment, key::HYDRATED, &nothing).await?;
    let sent = context.execute_all(deployment, statements).await;
    // Whether they arrived or not: some may have.
    context.watching.end();
    sent
}

/// Since when the objects are hydrated, as far as an earlier wait has recorded it: a sample of the
/// official lag that was taken since then counts, whenever it is looked at.
async fn recorded_since(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<BTreeMap<String, i64>, DeploymentError> {
    let effect = context.store.effect(&deployment.id, key::HYDRATED).await?;
    let since = match effect {
        Some(effect) => effect.result_as()?,
        None => None,
    };
    Ok(since.unwrap_or_default())
}

/// Readings in a row that were ready, at least as far apart as the server would be asked.
struct InARow {
    wanted: u32,
    apart_ms: i64,
    count: u32,
    last_ms: i64,
}

impl InARow {
    fn of(settings: &Readiness, wanted: u32) -> Self {
        let apart = settings.poll_interval_min.0.as_millis();
        Self {
            wanted,
            apart_ms: i64::try_from(apart).unwrap_or(i64::MAX),
            count: 0,
            last_ms: 0,
        }
    }

    fn take(&mut self, ready: bool, now_ms: i64) {
        if !ready {
            self.count = 0;
        } else if self.count == 0 || now_ms - self.last_ms >= self.apart_ms {
            self.count += 1;
            self.last_ms = now_ms;
        }
    }

    fn is_enough(&self) -> bool {
        self.count >= self.wanted
    }
}

/// How often what is waited for is written down while it stays the same.
const TELL: Duration = Duration::from_secs(10);

/// What is waited for, as it was last written into the log and the journal.
#[derive(Default)]
struct Told {
    last: Option<(Vec<String>, Instant)>,
}

impl Told {
    async fn tell(
        &mut self,
        context: &Context<'_>,
        deployment: &Deployment,
        verdict: &Verdict,
    ) -> Result<(), DeploymentError> {
        let reasons = reasons(verdict);
        let is_due = match &self.last {
            Some((last, at)) => at.elapsed() >= TELL && *last != reasons,
            None => !reasons.is_empty(),
        };
        if !is_due {
            return Ok(());
        }
        tracing::info!(waiting_for = reasons.join("; "), "not ready yet");
        context.begin(deployment, key::WAITING, &()).await?;
        let waiting = Waiting {
            reasons: reasons.clone(),
            at: Timestamp::now(),
        };
        context
            .finish(deployment, key::WAITING, &Some(waiting))
            .await?;
        self.last = Some((reasons, Instant::now()));
        Ok(())
    }

    /// Nothing is waited for any more.
    async fn forget(
        &mut self,
        context: &Context<'_>,
        deployment: &Deployment,
    ) -> Result<(), DeploymentError> {
        let recorded = context.store.effect(&deployment.id, key::WAITING).await?;
        let waits = match recorded {
            Some(effect) => effect.result_as::<Option<Waiting>>()?.flatten().is_some(),
            None => false,
        };
        if waits {
            let nothing: Option<Waiting> = None;
            context.finish(deployment, key::WAITING, &nothing).await?;
        }
        Ok(())
    }
}

/// What a deployment waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The object, the figure, the limit and since when, a sentence each.
    pub reasons: Vec<String>,
    /// When it was looked at.
    pub at: Timestamp,
}

impl Waiting {
    /// What is on record among these effects of a deployment in this state.
    ///
    /// # Errors
    /// When the record cannot be read.
    pub fn recorded(state: State, effects: &[Effect]) -> Result<Option<Self>, StoreError> {
        let waits = match state {
            State::Hydrating | State::Verifying | State::Ready | State::RollingBack => true,
            State::Pending
            | State::Planned
            | State::Staging
            | State::Building
            | State::Kept
            | State::CuttingOver
            | State::Soaking
            | State::CleaningUp
            | State::Done
            | State::Unwinding
            | State::Aborted
            | State::Failed
            | State::RolledBack
            | State::Stuck => false,
        };
        let mut effects = effects.iter();
        let effect = effects.find(|effect| waits && effect.key == key::WAITING);
        match effect {
            Some(effect) => Ok(effect.result_as::<Option<Self>>()?.flatten()),
            None => Ok(None),
        }
    }
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
    let (on_refresh, refreshes) = (on_refresh(plan), refreshes(plan));
    let mut clusters: BTreeMap<String, ExpectedCluster> = ids
        .green_clusters
        .iter()
        .map(|(name, id)| {
            (
                id.clone(),
                ExpectedCluster {
                    name: name.clone(),
                    is_on_refresh: on_refresh.contains(name.as_str()),
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
        let relation = object.on.as_ref().unwrap_or(&object.name);
        let refresh = refreshes.get(&(&*object.schema, relation.as_str()));
        let cluster = object
            .cluster_id
            .as_ref()
            .and_then(|id| clusters.get_mut(id))
            .filter(|_| is_computed && refresh != Some(&Refresh::Later));
        if let Some(cluster) = cluster {
            cluster.objects.push(ExpectedObject {
                id: object.id.clone(),
                name: format!("{}.{}", object.schema, object.name),
                counterpart: blue
                    .get(&(object.schema.as_str(), object.name.as_str()))
                    .map(|id| (*id).to_owned()),
                is_scheduled: object.on.is_none() && refresh.is_some(),
            });
        }
    }
    clusters
}

/// The clusters whose replicas the server starts for refreshes only, by production name.
pub(crate) fn on_refresh(plan: &Plan) -> BTreeSet<&str> {
    let clusters = plan.clusters.iter();
    clusters
        .filter(|cluster| cluster.definition.is_on_refresh())
        .map(|cluster| cluster.name.as_str())
        .collect()
}

/// The planned relations that have a refresh schedule, by schema and name.
pub(crate) fn refreshes(plan: &Plan) -> BTreeMap<(&str, &str), Refresh> {
    let nodes = plan.nodes.iter();
    nodes
        .filter_map(|node| Some(((&*node.schema, &*node.identifier), node.refresh?)))
        .collect()
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

fn reasons(verdict: &Verdict) -> Vec<String> {
    let clusters = verdict.clusters.iter();
    clusters.flat_map(ClusterReadiness::reasons).collect()
}

/// Nothing is waited for any more, whatever is on record.
pub(crate) async fn nothing_is_waited_for(
    context: &Context<'_>,
    deployment: &Deployment,
) -> Result<(), DeploymentError> {
    Told::default().forget(context, deployment).await
}

fn missing(verdict: &Verdict, side: &str, after: Duration) -> String {
    let missing = reasons(verdict);
    format!(
        "{side} was not ready after {}: {}",
        humantime::format_duration(after),
        if missing.is_empty() {
            "it was not ready often enough in a row".to_owned()
        } else {
            missing.join("; ")
        }
    )
}
