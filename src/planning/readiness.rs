//! Judging one reading: pure, so that every rule has a test.
//!
//! Ready = every planned object is hydrated on every online replica of its cluster's own size · its
//! lag behind its sources is known and within the threshold · its counterpart in production is not
//! fresher by more than the threshold · the official wall-clock lag, where it was sampled after
//! hydration, is within the threshold or not worse than production's own · the replicas are up and
//! not in an out-of-memory loop. Unknown is never ready.
//!
//! A view with a refresh schedule is ready when it is complete to its last refresh: its frontier is then the
//! time of the next one, or empty when there is none. In between it needs no replica and follows nothing.

use crate::domain::progress::{ClusterReadiness, MOST_RELATIONS, RelationReadiness};
use crate::domain::reading::{Reading, ReplicaHealth};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Where the counterparts are, for people.
    pub counterparts: Counterparts,
}

/// Where the counterparts of the watched objects are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counterparts {
    /// They serve production, until the swap.
    InProduction,
    /// They are the old side, since the swap.
    OnTheOldSide,
}

/// A green cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedCluster {
    /// The production name.
    pub name: String,
    /// Whether the server starts its replicas for refreshes only.
    pub is_on_refresh: bool,
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
    /// The id of the object of the same name on the other side.
    pub counterpart: Option<String>,
    /// Whether it is filled by a refresh schedule.
    pub is_scheduled: bool,
}

/// What a reading says.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether everything is ready.
    pub ready: bool,
    /// A reason why it will never be.
    pub hopeless: Option<String>,
    /// How many of the reasons to wait are that something could not be read.
    pub unknown: usize,
    /// Per cluster, sorted by name.
    pub clusters: Vec<ClusterReadiness>,
}

/// Judges readings in a row; remembers since when each object is hydrated, and since when each thing is
/// waited for.
#[derive(Debug, Default)]
pub struct Judge {
    hydrated_since_ms: BTreeMap<String, i64>,
    waits: Waits,
}

/// What is waited for, and since when: by the object or replica and the kind of reason.
#[derive(Debug, Default)]
struct Waits {
    since_ms: BTreeMap<(String, Kind), i64>,
    /// Those of the reading that is judged.
    present: BTreeSet<(String, Kind)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Memory,
    Online,
    Refresh,
    Hydration,
    Lag,
    Frontier,
    Staleness,
    Wallclock,
}

impl Waits {
    /// The reason with since when it holds, for people.
    fn since(&mut self, now_ms: i64, about: &str, kind: Kind, text: &str) -> String {
        let key = (about.to_owned(), kind);
        let since_ms = *self.since_ms.entry(key.clone()).or_insert(now_ms);
        self.present.insert(key);
        match jiff::Timestamp::from_millisecond(since_ms) {
            Ok(since) => format!("{text}, since {}", since.strftime("%H:%M:%S UTC")),
            // No clock of a server says so.
            Err(_) => text.to_owned(),
        }
    }

    /// Forgets what is not waited for any more.
    fn forget_others(&mut self) {
        let present = std::mem::take(&mut self.present);
        self.since_ms.retain(|key, _| present.contains(key));
    }
}

/// How far each object is, for those who watch; the worst where there are too many.
fn relations(
    reading: &Reading,
    replicas: &[&ReplicaHealth],
    cluster: &ExpectedCluster,
) -> Vec<RelationReadiness> {
    let of = |object: &ExpectedObject| {
        let by_replica = reading.hydrated.get(&object.id);
        let is_hydrated = |replica: &&ReplicaHealth| {
            by_replica.and_then(|known| known.get(&replica.id)) == Some(&true)
        };
        let is_complete = reading.frontier_ms.get(&object.id) == Some(&None);
        let hydrated = !replicas.is_empty() && replicas.iter().all(is_hydrated);
        let lag = reading.lag_ms.get(&object.id).copied().flatten();
        let lag = lag.or_else(|| is_complete.then_some(0));
        (hydrated, lag.filter(|_| hydrated))
    };
    let mut all: Vec<(&ExpectedObject, (bool, Option<i64>))> = cluster
        .objects
        .iter()
        .map(|object| (object, of(object)))
        .collect();
    if all.len() > MOST_RELATIONS {
        // The unknown is worst.
        all.sort_by_key(|(_, (hydrated, lag))| (*hydrated, lag.map(std::cmp::Reverse)));
        all.truncate(MOST_RELATIONS);
    }
    let told = all
        .into_iter()
        .map(|(object, (hydrated, lag_ms))| RelationReadiness {
            name: object.name.clone(),
            hydrated,
            lag_ms,
        });
    told.collect()
}

impl Judge {
    /// A judge of objects that were all hydrated at this time, in milliseconds since the epoch.
    #[must_use]
    pub fn hydrated_at(expectation: &Expectation, at_ms: i64) -> Self {
        let objects = expectation.clusters.values().flat_map(|it| &it.objects);
        Self::since(objects.map(|it| (it.id.clone(), at_ms)).collect())
    }

    /// A judge of objects that are hydrated since these times, by id, in milliseconds since the epoch.
    #[must_use]
    pub fn since(hydrated_since_ms: BTreeMap<String, i64>) -> Self {
        Self {
            hydrated_since_ms,
            waits: Waits::default(),
        }
    }

    /// Since when each object is hydrated that is, as of [`Self::since`].
    #[must_use]
    pub fn hydrated_since_ms(&self) -> &BTreeMap<String, i64> {
        &self.hydrated_since_ms
    }

    /// Judges one reading.
    pub fn judge(&mut self, expectation: &Expectation, reading: &Reading) -> Verdict {
        let mut verdict = Verdict {
            ready: true,
            hopeless: None,
            unknown: 0,
            clusters: Vec::new(),
        };
        for (id, cluster) in &expectation.clusters {
            let readiness = self.cluster(expectation, reading, id, cluster, &mut verdict);
            verdict.ready &= readiness.waiting_for.is_empty();
            verdict.clusters.push(readiness);
        }
        self.waits.forget_others();
        verdict.clusters.sort_by(|a, b| a.cluster.cmp(&b.cluster));
        verdict
    }

    fn cluster(
        &mut self,
        expectation: &Expectation,
        reading: &Reading,
        id: &str,
        cluster: &ExpectedCluster,
        verdict: &mut Verdict,
    ) -> ClusterReadiness {
        let mut readiness = ClusterReadiness {
            cluster: cluster.name.clone(),
            hydrated: 0,
            total: cluster.objects.len(),
            lag_ms: Some(0),
            lagging: None,
            waiting_for: Vec::new(),
            relations: Vec::new(),
        };
        if cluster.objects.is_empty() {
            return readiness;
        }
        let replicas: Vec<&ReplicaHealth> = reading
            .replicas
            .get(id)
            .map(|replicas| replicas.iter().filter(|replica| replica.own_size).collect())
            .unwrap_or_default();
        readiness.relations = relations(reading, &replicas, cluster);
        if replicas.is_empty() && cluster.is_on_refresh {
            self.without_replicas(reading, id, cluster, (&mut readiness, &mut verdict.unknown));
            return readiness;
        }
        if replicas.is_empty() {
            let reason = format!(
                "cluster {} has no replicas, so nothing on it will ever hydrate",
                cluster.name
            );
            readiness.waiting_for.push(reason.clone());
            readiness.lag_ms = None;
            verdict.hopeless = Some(reason);
            return readiness;
        }
        for replica in &replicas {
            let now = reading.now_ms;
            if replica.oom_kills >= expectation.oom_kill_limit {
                let text = format!(
                    "replica {} ran out of memory {} times in 24 hours (limit {})",
                    replica.name, replica.oom_kills, expectation.oom_kill_limit
                );
                let text = self.waits.since(now, &replica.id, Kind::Memory, &text);
                readiness.waiting_for.push(text);
            }
            if replica.online != Some(true) {
                let text = format!("replica {} is not online", replica.name);
                let text = self.waits.since(now, &replica.id, Kind::Online, &text);
                readiness.waiting_for.push(text);
            }
        }
        for object in &cluster.objects {
            let unknown = &mut verdict.unknown;
            self.object(
                expectation,
                reading,
                &replicas,
                object,
                (&mut readiness, unknown),
            );
        }
        readiness
    }

    /// A cluster whose replicas the server starts for refreshes, between two of them.
    fn without_replicas(
        &mut self,
        reading: &Reading,
        id: &str,
        cluster: &ExpectedCluster,
        (readiness, unknown): (&mut ClusterReadiness, &mut usize),
    ) {
        for object in &cluster.objects {
            if object.is_scheduled {
                self.refreshed(reading, object, (readiness, unknown));
            } else {
                self.is_not_hydrated(reading, object, readiness);
            }
        }
        if !readiness.waiting_for.is_empty() {
            let text = format!(
                "cluster {} has no replica at the moment; the server starts one for the next refresh",
                cluster.name
            );
            let text = self.waits.since(reading.now_ms, id, Kind::Online, &text);
            readiness.waiting_for.push(text);
        }
    }

    fn is_not_hydrated(
        &mut self,
        reading: &Reading,
        object: &ExpectedObject,
        readiness: &mut ClusterReadiness,
    ) {
        self.hydrated_since_ms.remove(&object.id);
        readiness.lag_ms = None;
        readiness.lagging = Some(object.name.clone());
        let text = format!("{} is not hydrated", object.name);
        let now = reading.now_ms;
        let text = self.waits.since(now, &object.id, Kind::Hydration, &text);
        readiness.waiting_for.push(text);
    }

    /// A view with a schedule: complete to its last refresh, or not.
    fn refreshed(
        &mut self,
        reading: &Reading,
        object: &ExpectedObject,
        (readiness, unknown): (&mut ClusterReadiness, &mut usize),
    ) {
        let text = match reading.frontier_ms.get(&object.id) {
            // No further refresh, or the next one lies ahead.
            Some(None) => None,
            Some(Some(frontier)) if *frontier > reading.now_ms => None,
            Some(Some(_)) => Some(format!(
                "{} is not complete to its last refresh",
                object.name
            )),
            None => {
                *unknown += 1;
                Some(format!("the frontier of {} is not known yet", object.name))
            }
        };
        let Some(text) = text else {
            readiness.hydrated += 1;
            return;
        };
        readiness.lag_ms = None;
        readiness.lagging = Some(object.name.clone());
        let now = reading.now_ms;
        let text = self.waits.since(now, &object.id, Kind::Refresh, &text);
        readiness.waiting_for.push(text);
    }

    fn object(
        &mut self,
        expectation: &Expectation,
        reading: &Reading,
        replicas: &[&ReplicaHealth],
        object: &ExpectedObject,
        (readiness, unknown): (&mut ClusterReadiness, &mut usize),
    ) {
        if object.is_scheduled {
            self.refreshed(reading, object, (readiness, unknown));
            return;
        }
        let by_replica = reading.hydrated.get(&object.id);
        let hydrated = replicas
            .iter()
            .all(|replica| by_replica.and_then(|known| known.get(&replica.id)) == Some(&true));
        if hydrated {
            readiness.hydrated += 1;
        } else {
            self.is_not_hydrated(reading, object, readiness);
            return;
        }
        let since = *self
            .hydrated_since_ms
            .entry(object.id.clone())
            .or_insert(reading.now_ms);
        self.lag(expectation, reading, object, (readiness, unknown));
        self.freshness(expectation, reading, object, (readiness, unknown));
        self.wallclock(expectation, reading, object, since, (readiness, unknown));
    }

    fn lag(
        &mut self,
        expectation: &Expectation,
        reading: &Reading,
        object: &ExpectedObject,
        (readiness, unknown): (&mut ClusterReadiness, &mut usize),
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
                    let text = format!(
                        "{} lags {} behind its sources (limit {})",
                        object.name,
                        seconds(lag),
                        seconds(expectation.threshold_ms)
                    );
                    let now = reading.now_ms;
                    let text = self.waits.since(now, &object.id, Kind::Lag, &text);
                    readiness.waiting_for.push(text);
                }
            }
            None => {
                *unknown += 1;
                readiness.lag_ms = None;
                readiness.lagging = Some(object.name.clone());
                let text = format!("the lag of {} is not known yet", object.name);
                let now = reading.now_ms;
                let text = self.waits.since(now, &object.id, Kind::Lag, &text);
                readiness.waiting_for.push(text);
            }
        }
    }

    /// Green against blue: both frontiers are reported equally late, so their difference is exact.
    fn freshness(
        &mut self,
        expectation: &Expectation,
        reading: &Reading,
        object: &ExpectedObject,
        (readiness, unknown): (&mut ClusterReadiness, &mut usize),
    ) {
        let green = match reading.frontier_ms.get(&object.id) {
            Some(None) => return,
            // It reads what a schedule refreshes, and is complete to the next time.
            Some(Some(green)) if *green > reading.now_ms => return,
            Some(Some(green)) => *green,
            None => {
                *unknown += 1;
                let text = format!("the frontier of {} is not known yet", object.name);
                let now = reading.now_ms;
                let text = self.waits.since(now, &object.id, Kind::Frontier, &text);
                readiness.waiting_for.push(text);
                return;
            }
        };
        // Nobody reads what is to be in production later than now.
        let blue = object
            .counterpart
            .as_ref()
            .and_then(|id| reading.frontier_ms.get(id))
            .copied()
            .flatten()
            .map(|blue| blue.min(reading.now_ms));
        if let Some(blue) = blue
            && blue - green > expectation.threshold_ms
        {
            let place = match expectation.counterparts {
                Counterparts::InProduction => "in production",
                Counterparts::OnTheOldSide => "on the old side",
            };
            let text = format!(
                "{} is {} staler than {place} (limit {})",
                object.name,
                seconds(blue - green),
                seconds(expectation.threshold_ms)
            );
            let now = reading.now_ms;
            let text = self.waits.since(now, &object.id, Kind::Staleness, &text);
            readiness.waiting_for.push(text);
        }
    }

    fn wallclock(
        &mut self,
        expectation: &Expectation,
        reading: &Reading,
        object: &ExpectedObject,
        hydrated_since_ms: i64,
        (readiness, unknown): (&mut ClusterReadiness, &mut usize),
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
                    let text = format!(
                        "{} lags {} behind the wall clock (limit {})",
                        object.name,
                        seconds(*lag),
                        seconds(expectation.threshold_ms)
                    );
                    let now = reading.now_ms;
                    let text = self.waits.since(now, &object.id, Kind::Wallclock, &text);
                    readiness.waiting_for.push(text);
                }
            }
            None if expectation.strict => {
                *unknown += 1;
                let text = format!(
                    "the wall-clock lag of {} is not known yet; the server samples it every minute",
                    object.name
                );
                let now = reading.now_ms;
                let text = self.waits.since(now, &object.id, Kind::Wallclock, &text);
                readiness.waiting_for.push(text);
            }
            None => {}
        }
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
