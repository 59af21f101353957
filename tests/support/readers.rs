//! Readers of production that never stop looking: every failed read, every mix of two releases
//! and every release that they saw is recorded.

use super::{Sql, World};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_postgres::Config;
use tokio_util::sync::CancellationToken;

/// What readers saw.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Answered reads.
    pub reads: u64,
    /// Errors, as the server said them.
    pub errors: Vec<String>,
    /// Answers in which two schemas served different releases.
    pub mixes: Vec<String>,
    /// Releases seen.
    pub releases: BTreeSet<u32>,
    /// The slowest read.
    pub slowest: Duration,
}

/// Running readers.
pub struct Readers {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<Seen>>,
}

/// The least and the longest time between two reads of one reader; in between it rests four times as
/// long as the read took, which leaves the processors to the releases however busy they are.
const PACE: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(100)];
/// The same where many worlds share the processors.
const SLOW_PACE: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(600)];

impl Readers {
    /// Starts readers, each with a connection of its own, on the swapped cluster.
    pub async fn start(world: &World, number: usize) -> Self {
        Self::start_through(world, number, &Arc::default()).await
    }

    /// As [`Readers::start`], with longer rests.
    pub async fn start_slowly(world: &World, number: usize) -> Self {
        Self::start_at(world, number, &Arc::default(), SLOW_PACE).await
    }

    /// As [`Readers::start`], through outages of the server: each is counted before it begins, and
    /// costs a reader nothing but its connection.
    pub async fn start_through(world: &World, number: usize, outages: &Arc<AtomicU32>) -> Self {
        Self::start_at(world, number, outages, PACE).await
    }

    async fn start_at(
        world: &World,
        number: usize,
        outages: &Arc<AtomicU32>,
        [least, longest]: [Duration; 2],
    ) -> Self {
        let query = format!(
            "SELECT (SELECT max(release) FROM {}.totals), (SELECT min(release) FROM {}.report), \
             (SELECT sum(total) FROM {}.report)",
            world.name("marts"),
            world.name("serving"),
            world.name("serving"),
        );
        let stop = CancellationToken::new();
        let mut tasks = Vec::new();
        for _ in 0..number {
            let (config, cluster) = (world.server.config(), world.name("serve"));
            let mut lived_through = outages.load(Ordering::SeqCst);
            let mut sql = connected(&config, &cluster).await.expect("a connection");
            let (query, stop, outages) = (query.clone(), stop.clone(), Arc::clone(outages));
            tasks.push(tokio::spawn(async move {
                let mut seen = Seen::default();
                while !stop.is_cancelled() {
                    let started = Instant::now();
                    match sql.attempt(&query).await {
                        Ok(rows) => seen.take(&rows),
                        Err(_) if outages.load(Ordering::SeqCst) != lived_through => {
                            let now = outages.load(Ordering::SeqCst);
                            if let Some(again) = connected(&config, &cluster).await {
                                (sql, lived_through) = (again, now);
                            }
                        }
                        Err(error) => seen.errors.push(error),
                    }
                    let took = started.elapsed();
                    seen.slowest = seen.slowest.max(took);
                    tokio::time::sleep((took * 4).clamp(least, longest)).await;
                }
                seen
            }));
        }
        Self { stop, tasks }
    }

    /// Stops them and gathers what they saw.
    pub async fn stop(self) -> Seen {
        self.stop.cancel();
        let mut all = Seen::default();
        for task in self.tasks {
            let seen = task.await.expect("a reader");
            all.reads += seen.reads;
            all.errors.extend(seen.errors);
            all.mixes.extend(seen.mixes);
            all.releases.extend(seen.releases);
            all.slowest = all.slowest.max(seen.slowest);
        }
        all
    }
}

async fn connected(config: &Config, cluster: &str) -> Option<Sql> {
    let sql = Sql::try_connect(config).await.ok()?;
    let set = format!("SET cluster = {cluster}");
    sql.attempt(&set).await.ok().map(|_| sql)
}

impl Seen {
    fn take(&mut self, rows: &[Vec<Option<String>>]) {
        self.reads += 1;
        let values: Vec<Option<u32>> = rows
            .first()
            .into_iter()
            .flatten()
            .map(|value| value.as_deref().and_then(|text| text.parse().ok()))
            .collect();
        match values.as_slice() {
            [Some(marts), Some(serving), Some(35)] if marts == serving => {
                self.releases.insert(*marts);
            }
            other => self.mixes.push(format!("{other:?}")),
        }
    }

    /// Asserts that nobody noticed anything but new releases.
    #[track_caller]
    pub fn undisturbed(&self) {
        assert!(
            self.errors.is_empty() && self.mixes.is_empty() && self.reads > 0,
            "{self:#?}"
        );
    }
}
