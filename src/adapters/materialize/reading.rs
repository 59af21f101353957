//! One reading of hydration, lag and replicas.
//!
//! By object id, not by cluster totals: `mz_hydration_statuses` also counts the server's own
//! introspection objects (measured). Nothing is judged here; a missing row stays missing. A reading is
//! asked for at one moment ([`Reading::take`]) or made of what a subscription keeps up to date
//! ([`super::watch`]); both come as the same rows.

use super::error::MaterializeError;
use super::question::{Filter, Question, relation};
use super::session::Session;
use crate::domain::reading::{Reading, ReplicaHealth};
use crate::foundation::word::words;
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Row;

/// A milliseconds' figure of an interval or a time.
macro_rules! milliseconds {
    ($column:literal) => {
        concat!("(extract(epoch FROM ", $column, ") * 1000)::numeric")
    };
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// How old the latest sample of the official lag may be; it is taken every minute.
const SAMPLES_MS: i64 = 15 * 60 * 1000;

const OOM: &str = "reason = 'oom-killed'";

words! {
    /// What a row is about, with the columns that say it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub(super) enum What: "kind of row" {
        Object = "object",
        Hydration = "hydration",
        Lag = "lag",
        Frontier = "frontier",
        Wallclock = "wallclock",
        Cluster = "cluster",
        Replica = "replica",
        Status = "status",
        Kill = "kill",
    }
}

impl What {
    pub(super) fn relation(self) -> super::question::Relation {
        match self {
            Self::Object => relation::OBJECTS,
            Self::Hydration => relation::HYDRATION,
            Self::Lag => relation::LAG,
            Self::Frontier => relation::FRONTIERS,
            Self::Wallclock => relation::WALLCLOCK,
            Self::Cluster => relation::CLUSTERS,
            Self::Replica => relation::REPLICAS,
            Self::Status => relation::REPLICA_STATUSES,
            Self::Kill => relation::REPLICA_HISTORY,
        }
    }

    /// The columns; the first is the id by which the rows are asked for, except of replicas, which are
    /// asked for by the second.
    pub(super) fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Object => &["id"],
            Self::Hydration => &["object_id", "replica_id", "hydrated"],
            Self::Lag => &["object_id", milliseconds!("global_lag")],
            Self::Frontier => &["object_id", "write_frontier"],
            Self::Wallclock => &[
                "object_id",
                milliseconds!("lag"),
                milliseconds!("occurred_at"),
            ],
            Self::Cluster => &["id", "managed", "size"],
            Self::Replica => &["id", "cluster_id", "name", "size"],
            Self::Status => &["replica_id", "process_id", "status"],
            Self::Kill => &["replica_id", "process_id", milliseconds!("occurred_at")],
        }
    }

    fn questions(self, ids: &[&str], and: Option<&str>) -> Vec<Question> {
        let columns = self.columns();
        let by = match self {
            Self::Replica => columns[1],
            Self::Object
            | Self::Hydration
            | Self::Lag
            | Self::Frontier
            | Self::Wallclock
            | Self::Cluster
            | Self::Status
            | Self::Kill => columns[0],
        };
        Question::select(LABEL, self.relation(), columns, Filter::In(by, ids), and)
    }
}

fn clock() -> Question {
    Question::constant(
        "clock",
        concat!("SELECT ", milliseconds!("now()"), "::text"),
    )
}

impl Reading {
    /// Asks about the objects and clusters with these ids, at one moment. Nine peeks, and a dataflow for
    /// the lag behind the sources: a release that can subscribe asks it not once.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn take(
        session: &Session,
        objects: &BTreeSet<String>,
        clusters: &BTreeSet<String>,
    ) -> Result<Self, MaterializeError> {
        let refs = |ids: &BTreeSet<String>| -> Vec<String> { ids.iter().cloned().collect() };
        let (objects, clusters) = (refs(objects), refs(clusters));
        let objects: Vec<&str> = objects.iter().map(String::as_str).collect();
        let clusters: Vec<&str> = clusters.iter().map(String::as_str).collect();
        let mut rows = Rows::default();
        let snapshot = session.snapshot(LABEL).await?;
        let (of_replicas, clock) = ([What::Replica.questions(&clusters, None)], [clock()]);
        let (found, clock) = tokio::try_join!(snapshot.ask(&of_replicas[0]), snapshot.ask(&clock))?;
        rows.take(What::Replica, &found)?;
        let now_ms = match clock.first() {
            Some(row) => number(&text(cells(row)?.first())?)?,
            None => return Err(unexpected("no clock")),
        };
        let replicas: BTreeSet<String> = rows
            .of(What::Replica)
            .filter_map(|row| row.first().cloned().flatten())
            .collect();
        let replicas: Vec<&str> = replicas.iter().map(String::as_str).collect();
        // A literal, so that the filter is one of the row alone.
        let since = |age: i64| format!("occurred_at > to_timestamp({})", (now_ms - age) / 1000);
        let sampled = format!("lag IS NOT NULL AND {}", since(SAMPLES_MS));
        let killed = format!("{OOM} AND {}", since(DAY_MS));
        let asked = [
            (What::Object, &objects, None),
            (What::Hydration, &objects, None),
            (What::Lag, &objects, None),
            (What::Frontier, &objects, None),
            (What::Wallclock, &objects, Some(sampled.as_str())),
            (What::Cluster, &clusters, None),
            (What::Status, &replicas, None),
            (What::Kill, &replicas, Some(killed.as_str())),
        ]
        .map(|(what, ids, and)| (what, what.questions(ids, and)));
        let answers = asked.iter().map(|(_, questions)| snapshot.ask(questions));
        let answers = futures_util::future::try_join_all(answers).await?;
        snapshot.end().await?;
        for ((what, _), answer) in asked.iter().zip(&answers) {
            rows.take(*what, answer)?;
        }
        rows.reading(now_ms)
    }
}

/// The server's clock, in milliseconds since the epoch. A constant peek; a soak that is waited for asks it
/// with each look.
///
/// # Errors
/// See [`MaterializeError`].
pub async fn clock_ms(session: &Session) -> Result<i64, MaterializeError> {
    let rows = session.ask(&[clock()]).await?;
    match rows.first() {
        Some(row) => number(&text(cells(row)?.first())?),
        None => Err(unexpected("no clock")),
    }
}

/// The values of one row as text.
pub(super) type Cells = Vec<Option<String>>;

fn cells(row: &Row) -> Result<Cells, MaterializeError> {
    (0..row.len())
        .map(|column| super::catalog::optional(row, LABEL, column))
        .collect()
}

/// Rows that together are a reading.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows(Vec<(What, Cells)>);

impl Rows {
    fn take(&mut self, what: What, rows: &[Row]) -> Result<(), MaterializeError> {
        for row in rows {
            self.push(what, cells(row)?);
        }
        Ok(())
    }

    pub(super) fn push(&mut self, what: What, cells: Cells) {
        self.0.push((what, cells));
    }

    fn of(&self, wanted: What) -> impl Iterator<Item = &Cells> {
        let rows = self.0.iter();
        rows.filter(move |(what, _)| *what == wanted)
            .map(|(_, cells)| cells)
    }

    /// The reading that the rows are at this time of the server's clock.
    ///
    /// # Errors
    /// Values of a form that is not known.
    pub(super) fn reading(&self, now_ms: i64) -> Result<Reading, MaterializeError> {
        let mut reading = Reading {
            now_ms,
            ..Reading::default()
        };
        for (what, cells) in &self.0 {
            reading.take_row(*what, cells)?;
        }
        self.take_replicas(&mut reading)?;
        Ok(reading)
    }

    fn take_replicas(&self, reading: &mut Reading) -> Result<(), MaterializeError> {
        let mut sizes: BTreeMap<String, (bool, Option<String>)> = BTreeMap::new();
        for row in self.of(What::Cluster) {
            let managed = cell(row, 1).as_deref() == Some("true");
            sizes.insert(text(row.first())?, (managed, cell(row, 2)));
        }
        for row in self.of(What::Replica) {
            let (id, cluster) = (text(row.first())?, text(row.get(1))?);
            // A replica whose cluster went between two rows says nothing any more.
            let Some((managed, of_cluster)) = sizes.get(&cluster) else {
                continue;
            };
            let size = cell(row, 3);
            let is_this = |row: &&Cells| cell(row, 0).as_ref() == Some(&id);
            let statuses: Vec<&Cells> = self.of(What::Status).filter(is_this).collect();
            let mut oom_kills = 0;
            for kill in self.of(What::Kill).filter(is_this) {
                if number(&text(kill.get(2))?)? > reading.now_ms - DAY_MS {
                    oom_kills += 1;
                }
            }
            let health = ReplicaHealth {
                name: text(row.get(2))?,
                // One without a size was not sized by name, as its cluster was not.
                own_size: !managed || size.is_none() || of_cluster.is_none() || size == *of_cluster,
                online: (!statuses.is_empty()).then(|| {
                    let mut statuses = statuses.iter();
                    statuses.all(|row| cell(row, 2).as_deref() == Some("online"))
                }),
                oom_kills,
                id,
            };
            reading.replicas.entry(cluster).or_default().push(health);
        }
        for replicas in reading.replicas.values_mut() {
            replicas.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        }
        Ok(())
    }
}

impl Reading {
    fn take_row(&mut self, what: What, row: &Cells) -> Result<(), MaterializeError> {
        let subject = text(row.first())?;
        let (second, third) = (cell(row, 1), cell(row, 2));
        match what {
            What::Object => {
                self.existing.insert(subject);
            }
            What::Hydration => {
                if let Some(replica) = second {
                    let hydrated = third.as_deref() == Some("true");
                    self.hydrated
                        .entry(subject)
                        .or_default()
                        .insert(replica, hydrated);
                }
            }
            What::Lag => {
                let lag = second.as_deref().map(number).transpose()?;
                self.lag_ms.insert(subject, lag);
            }
            What::Frontier => {
                let frontier = second.as_deref().map(number).transpose()?;
                self.frontier_ms.insert(subject, frontier);
            }
            What::Wallclock => {
                if let (Some(lag), Some(at)) = (second, third) {
                    let sample = (number(&lag)?, number(&at)?);
                    let known = self.wallclock_ms.entry(subject).or_insert(sample);
                    if sample.1 > known.1 {
                        *known = sample;
                    }
                }
            }
            What::Cluster | What::Replica | What::Status | What::Kill => {}
        }
        Ok(())
    }
}

fn cell(row: &Cells, column: usize) -> Option<String> {
    row.get(column).cloned().flatten()
}

fn text(cell: Option<&Option<String>>) -> Result<String, MaterializeError> {
    let text = cell.cloned().flatten();
    text.ok_or_else(|| unexpected("NULL where a value was expected"))
}

fn number(text: &str) -> Result<i64, MaterializeError> {
    // Numbers may come with a fraction (`1000.000`); a millisecond's fraction does not matter.
    let whole = text.split('.').next().unwrap_or(text);
    whole
        .parse()
        .map_err(|_| unexpected(&format!("{text:?} where a number was expected")))
}

fn unexpected(what: &str) -> MaterializeError {
    MaterializeError::Unexpected {
        label: LABEL,
        what: what.to_owned(),
    }
}

const LABEL: &str = "readiness";

/// Every question of a reading, for tests of what they cost.
#[cfg(test)]
pub(super) fn every_question() -> Vec<Question> {
    let ids = &["u1", "u2"];
    let questions = What::ALL.iter().flat_map(|what| what.questions(ids, None));
    questions.chain([clock()]).collect()
}
