//! Judging one reading: pure, so that every rule has a test.
//!
//! Ready = every planned object is hydrated on every online replica of its cluster's own size · its
//! lag behind its sources is known and within the threshold · its counterpart in production is not
//! fresher by more than the threshold · the official wall-clock lag, where it was sampled after
//! hydration, is within the threshold or not worse than production's own · the replicas are up and
//! not in an out-of-memory loop. Unknown is never ready.

use crate::materialize::reading::{Reading, ReplicaHealth};
use crate::progress::ClusterReadiness;
use std::collections::BTreeMap;

/// What is waited for.
#[derive(Debug, Clone, PartialEq)]
pub struct Expectation {
    /// Green clusters by id, with the production name and the objects to watch on each.
    pub clusters: BTreeMap<String, ExpectedCluster>,
    /// The most an object may lag, in milliseconds.
    pub threshold_ms: i64,
    /// Whether the official wall-clock lag must be known.
    pub strict: bool,
    /// Out-of-memory kills in 24 hours that make a replica a troubled one.
    pub oom_kill_limit: i64,
}

/// A green cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedCluster {
    /// The production name.
    pub name: String,
    /// The planned objects that it computes.
    pub objects: Vec<ExpectedObject>,
}

/// A planned object.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedObject {
    /// Its id.
    pub id: String,
    /// `schema.name`, for people.
    pub name: String,
    /// The id of the object of the same name that production serves now.
    pub counterpart: Option<String>,
}

/// What a reading says.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether everything is ready.
    pub ready: bool,
    /// A reason why it will never be.
    pub hopeless: Option<String>,
    /// Per cluster, sorted by name.
    pub clusters: Vec<ClusterReadiness>,
}

/// Judges readings in a row; remembers when each object was first seen hydrated.
#[derive(Debug, Default)]
pub struct Judge {
    hydrated_since_ms: BTreeMap<String, i64>,
}

impl Judge {
    /// Judges one reading.
    pub fn judge(&mut self, expectation: &Expectation, reading: &Reading) -> Verdict {
        let mut verdict = Verdict {
            ready: true,
            hopeless: None,
            clusters: Vec::new(),
        };
        for (id, cluster) in &expectation.clusters {
            let readiness = self.cluster(expectation, reading, id, cluster, &mut verdict.hopeless);
            verdict.ready &= readiness.waiting_for.is_empty();
            verdict.clusters.push(readiness);
        }
        verdict.clusters.sort_by(|a, b| a.cluster.cmp(&b.cluster));
        verdict
    }

    fn cluster(
        &mut self,
        expectation: &Expectation,
        reading: &Reading,
        id: &str,
        cluster: &ExpectedCluster,
        hopeless: &mut Option<String>,
    ) -> ClusterReadiness {
        let mut readiness = ClusterReadiness {
            cluster: cluster.name.clone(),
            hydrated: 0,
            total: cluster.objects.len(),
            lag_ms: Some(0),
            lagging: None,
            waiting_for: Vec::new(),
        };
        if cluster.objects.is_empty() {
            return readiness;
        }
        let replicas: Vec<&ReplicaHealth> = reading
            .replicas
            .get(id)
            .map(|replicas| replicas.iter().filter(|replica| replica.own_size).collect())
            .unwrap_or_default();
        if replicas.is_empty() {
            let reason = format!(
                "cluster {} has no replicas, so nothing on it will ever hydrate",
                cluster.name
            );
            readiness.waiting_for.push(reason.clone());
            readiness.lag_ms = None;
            *hopeless = Some(reason);
            return readiness;
        }
        for replica in &replicas {
            if replica.oom_kills >= expectation.oom_kill_limit {
                readiness.waiting_for.push(format!(
                    "replica {} ran out of memory {} times in 24 hours",
                    replica.name, replica.oom_kills
                ));
            }
            if replica.online != Some(true) {
                readiness
                    .waiting_for
                    .push(format!("replica {} is not online", replica.name));
            }
        }
        for object in &cluster.objects {
            self.object(expectation, reading, &replicas, object, &mut readiness);
        }
        readiness
    }

    fn object(
        &mut self,
        expectation: &Expectation,
        reading: &Reading,
        replicas: &[&ReplicaHealth],
        object: &ExpectedObject,
        readiness: &mut ClusterReadiness,
    ) {
        let by_replica = reading.hydrated.get(&object.id);
        let hydrated = replicas
            .iter()
            .all(|replica| by_replica.and_then(|known| known.get(&replica.id)) == Some(&true));
        if hydrated {
            readiness.hydrated += 1;
        } else {
            self.hydrated_since_ms.remove(&object.id);
            readiness.lag_ms = None;
            readiness.lagging = Some(object.name.clone());
            readiness
                .waiting_for
                .push(format!("{} is not hydrated", object.name));
            return;
        }
        let since = *self
            .hydrated_since_ms
            .entry(object.id.clone())
            .or_insert(reading.now_ms);
        self.lag(expectation, reading, object, readiness);
        freshness(expectation, reading, object, readiness);
        wallclock(expectation, reading, object, since, readiness);
    }

    fn lag(
        &self,
        expectation: &Expectation,
        reading: &Reading,
        object: &ExpectedObject,
        readiness: &mut ClusterReadiness,
    ) {
        // An object whose frontier is known and empty is complete: it reads only constants.
        let is_complete = reading.frontier_ms.get(&object.id) == Some(&None);
        let lag = reading.lag_ms.get(&object.id).copied().flatten();
        match lag.or_else(|| is_complete.then_some(0)) {
            Some(lag) => {
                if readiness.lag_ms.is_some_and(|worst| lag > worst) {
                    readiness.lag_ms = Some(lag);
                    readiness.lagging = Some(object.name.clone());
                }
                if lag > expectation.threshold_ms {
                    readiness.waiting_for.push(format!(
                        "{} lags {} behind its sources",
                        object.name,
                        seconds(lag)
                    ));
                }
            }
            None => {
                readiness.lag_ms = None;
                readiness.lagging = Some(object.name.clone());
                readiness
                    .waiting_for
                    .push(format!("the lag of {} is not known yet", object.name));
            }
        }
    }
}

/// Green against blue: both frontiers are reported equally late, so their difference is exact.
fn freshness(
    expectation: &Expectation,
    reading: &Reading,
    object: &ExpectedObject,
    readiness: &mut ClusterReadiness,
) {
    let green = match reading.frontier_ms.get(&object.id) {
        Some(None) => return,
        Some(Some(green)) => *green,
        None => {
            readiness
                .waiting_for
                .push(format!("the frontier of {} is not known yet", object.name));
            return;
        }
    };
    let blue = object
        .counterpart
        .as_ref()
        .and_then(|id| reading.frontier_ms.get(id))
        .copied()
        .flatten();
    if let Some(blue) = blue
        && blue - green > expectation.threshold_ms
    {
        readiness.waiting_for.push(format!(
            "{} is {} staler than in production",
            object.name,
            seconds(blue - green)
        ));
    }
}

fn wallclock(
    expectation: &Expectation,
    reading: &Reading,
    object: &ExpectedObject,
    hydrated_since_ms: i64,
    readiness: &mut ClusterReadiness,
) {
    let sampled = reading
        .wallclock_ms
        .get(&object.id)
        .filter(|(_, at)| *at > hydrated_since_ms);
    match sampled {
        Some((lag, _)) => {
            let blue = object
                .counterpart
                .as_ref()
                .and_then(|id| reading.wallclock_ms.get(id))
                .map(|(lag, _)| *lag);
            if *lag > expectation.threshold_ms && blue.is_none_or(|blue| *lag > blue) {
                readiness.waiting_for.push(format!(
                    "{} lags {} behind the wall clock",
                    object.name,
                    seconds(*lag)
                ));
            }
        }
        None if expectation.strict => readiness.waiting_for.push(format!(
            "the wall-clock lag of {} is not known yet",
            object.name
        )),
        None => {}
    }
}

fn seconds(milliseconds: i64) -> String {
    format!(
        "{}.{:01} s",
        milliseconds / 1000,
        (milliseconds % 1000) / 100
    )
}

#[cfg(test)]
mod tests;
