//! Readings that the server sends by itself: one subscription to everything that a [`Reading`] is made of.
//!
//! A session of its own holds a cursor over `SUBSCRIBE … WITH (PROGRESS)`. Rows are taken in up to each
//! moment that the server calls complete; that moment is a reading. The server tells progress about every
//! second, so that a watch that is silent for longer knows nothing of the present any more, and says so.
//!
//! Nothing is durable: a watch that ended is begun anew, and what it knew is read again.

use super::error::MaterializeError;
use super::question::Filter;
use super::reading::{Cells, Rows, What};
use super::server::Materialize;
use super::session::Session;
use super::statement::Statement;
use crate::domain::reading::Reading;
use crate::foundation::sql::identifier::Ident;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_postgres::SimpleQueryRow;

/// How many readings are kept, and how far they are apart at least, but for the last.
const KEPT: usize = 16;
const APART_MS: i64 = 250;

/// How long the server may say nothing before it is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(30);

/// After how much silence what is known is no more of the present.
const FRESH: Duration = Duration::from_secs(5);

/// How far back samples of the official lag and kills of replicas are wanted. A day for kills, and the
/// difference that clocks may have.
const DAY_MS: i64 = 25 * 60 * 60 * 1000;
const SAMPLES_MS: i64 = 60 * 60 * 1000;

/// What a watch is about.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Subject {
    /// Whom it asks, and as whom.
    server: String,
    objects: BTreeSet<String>,
    clusters: BTreeSet<String>,
}

/// What a watch has heard so far.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Oldest first.
    pub readings: VecDeque<Arc<Reading>>,
    /// When the server last said something.
    pub at: Option<Instant>,
    /// Why it will not hear more.
    pub ended: Option<Ended>,
}

impl Heard {
    /// Whether the last reading is of the present.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.at.is_some_and(|at| at.elapsed() <= FRESH)
    }

    fn take(&mut self, reading: Reading) {
        let before_last = self.readings.len().checked_sub(2);
        let before_last = before_last.and_then(|at| self.readings.get(at));
        // The last one makes room for a newer one unless it is far enough from the one before it.
        if let (Some(before), Some(last)) = (before_last, self.readings.back())
            && last.now_ms - before.now_ms < APART_MS
        {
            self.readings.pop_back();
        }
        self.readings.push_back(Arc::new(reading));
        if self.readings.len() > KEPT {
            self.readings.pop_front();
        }
        self.at = Some(Instant::now());
    }
}

/// How a watch ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The server does not let this role subscribe, or does not know how.
    Refused(String),
    /// The connection was lost, or the server said nothing for too long.
    Lost(String),
}

/// A subscription, for as long as somebody holds it.
#[derive(Debug)]
pub struct Watch {
    subject: Subject,
    heard: watch::Receiver<Heard>,
    task: JoinHandle<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Watch {
    fn begin(materialize: &Materialize, subject: Subject) -> Self {
        let (sender, heard) = watch::channel(Heard::default());
        let connection = materialize.connection();
        let sql = subscription(&subject.objects, &subject.clusters, now_ms());
        let task = tokio::spawn(async move {
            let error = match connection.open().await {
                Ok(session) => listen(&session, &sql, &sender).await,
                Err(error) => Err(error),
            };
            let Err(error) = error;
            tracing::info!(%error, "the subscription to readiness ended");
            let ended = match error {
                MaterializeError::Refused { .. }
                | MaterializeError::Several { .. }
                | MaterializeError::Unexpected { .. } => Ended::Refused(error.to_string()),
                MaterializeError::Unreachable { .. }
                | MaterializeError::Authentication { .. }
                | MaterializeError::Lost { .. }
                | MaterializeError::Conflict { .. }
                | MaterializeError::Deadline { .. }
                | MaterializeError::TooOld { .. }
                | MaterializeError::Tls(_) => Ended::Lost(error.to_string()),
            };
            sender.send_modify(|heard| heard.ended = Some(ended));
        });
        Self {
            subject,
            heard,
            task,
        }
    }

    /// What it heard and will hear.
    #[must_use]
    pub fn heard(&self) -> watch::Receiver<Heard> {
        self.heard.clone()
    }

    fn has_ended(&self) -> bool {
        self.heard.borrow().ended.is_some()
    }
}

/// Keeps the watch of one deployment, so that it goes on while nobody waits.
#[derive(Debug, Clone, Default)]
pub struct Watching {
    current: Arc<Mutex<Option<Arc<Watch>>>>,
}

impl Watching {
    /// The watch of these objects and clusters: the present one, or a new one where that is about others
    /// or has ended.
    #[must_use]
    pub fn of(
        &self,
        materialize: &Materialize,
        objects: &BTreeSet<String>,
        clusters: &BTreeSet<String>,
    ) -> Arc<Watch> {
        let subject = Subject {
            server: materialize.identity(),
            objects: objects.clone(),
            clusters: clusters.clone(),
        };
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match current.as_ref() {
            Some(watch) if watch.subject == subject && !watch.has_ended() => Arc::clone(watch),
            Some(_) | None => {
                let watch = Arc::new(Watch::begin(materialize, subject));
                *current = Some(Arc::clone(&watch));
                watch
            }
        }
    }

    /// Ends it.
    pub fn end(&self) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        *current = None;
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// Takes in what the server tells, until that ends.
async fn listen(
    session: &Session,
    sql: &str,
    sender: &watch::Sender<Heard>,
) -> Result<std::convert::Infallible, MaterializeError> {
    let begin = Statement::new("begin watching", "BEGIN");
    session.execute(&begin).await?;
    session.execute(&Statement::new(LABEL, sql)).await?;
    let mut state = State::default();
    loop {
        for row in session.fetch(LABEL, Ident(CURSOR), SILENCE).await? {
            if let Some(complete_ms) = state.take(&row)? {
                let reading = state.reading(complete_ms)?;
                sender.send_modify(|heard| heard.take(reading));
            }
        }
    }
}

/// The rows that hold, and those of moments that are not complete yet.
#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<(What, Cells), i64>,
    pending: Vec<(i64, i64, What, Cells)>,
    /// The latest sample of the official lag by object: old ones are of no use, and many.
    samples: BTreeMap<String, (i64, Cells)>,
}

impl State {
    /// Takes a row. Gives the moment up to which everything is known now, where the row says so.
    fn take(&mut self, row: &SimpleQueryRow) -> Result<Option<i64>, MaterializeError> {
        let cell = |column: usize| row.get(column).map(str::to_owned);
        let number = |column: usize| -> Result<i64, MaterializeError> {
            let text = cell(column).unwrap_or_default();
            let whole = text.split('.').next().unwrap_or_default();
            let parsed = whole.parse();
            parsed.map_err(|_| unexpected(format!("{text:?} in column {column}")))
        };
        let at = number(0)?;
        if matches!(cell(1).as_deref(), Some("t" | "true")) {
            self.complete(at)?;
            return Ok(Some(at));
        }
        let word = cell(3).unwrap_or_default();
        let what = word
            .parse::<What>()
            .map_err(|_| unexpected(format!("a row about {word:?}")))?;
        let cells = (4..4 + what.columns().len()).map(cell).collect();
        self.pending.push((at, number(2)?, what, cells));
        Ok(None)
    }

    /// Takes in what happened before this moment.
    fn complete(&mut self, moment: i64) -> Result<(), MaterializeError> {
        let (past, rest) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|(at, ..)| *at < moment);
        self.pending = rest;
        for (_, diff, what, cells) in past {
            if what == What::Wallclock {
                if diff > 0 {
                    self.sample(cells)?;
                }
                continue;
            }
            let count = self.rows.entry((what, cells)).or_default();
            *count += diff;
        }
        self.rows.retain(|_, count| *count != 0);
        Ok(())
    }

    fn sample(&mut self, cells: Cells) -> Result<(), MaterializeError> {
        let [Some(object), _, Some(at)] = cells.as_slice() else {
            return Err(unexpected(
                "a sample without an object or a time".to_owned(),
            ));
        };
        let whole = at.split('.').next().unwrap_or_default();
        let at: i64 = whole
            .parse()
            .map_err(|_| unexpected(format!("a sample at {at:?}")))?;
        let object = object.clone();
        let known = self.samples.get(&object).map(|(known, _)| *known);
        if known.is_none_or(|known| at > known) {
            self.samples.insert(object, (at, cells));
        }
        Ok(())
    }

    fn reading(&self, now_ms: i64) -> Result<Reading, MaterializeError> {
        let mut rows = Rows::default();
        for ((what, cells), count) in &self.rows {
            if *count < 0 {
                return Err(unexpected(format!("a row about {what:?} less than none")));
            }
            rows.push(*what, cells.clone());
        }
        for (_, cells) in self.samples.values() {
            rows.push(What::Wallclock, cells.clone());
        }
        rows.reading(now_ms)
    }
}

const LABEL: &str = "readiness watch";
const CURSOR: &str = "readiness";

fn unexpected(what: String) -> MaterializeError {
    MaterializeError::Unexpected { label: LABEL, what }
}

/// The most columns that a kind of row has.
const WIDTH: usize = 4;

/// The cursor over everything: one part for each kind of row, each about the ids alone. Computed once,
/// and kept up to date by the server from then on.
fn subscription(objects: &BTreeSet<String>, clusters: &BTreeSet<String>, now_ms: i64) -> String {
    let since = |age: i64| format!("occurred_at > to_timestamp({})", (now_ms - age) / 1000);
    let by = |column: &'static str, ids: &BTreeSet<String>| {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        Filter::In(column, &ids).condition()
    };
    let of_replicas = by("cluster_id", clusters).map(|those| {
        format!("replica_id IN (SELECT id FROM mz_catalog.mz_cluster_replicas WHERE {those})")
    });
    let mut parts = Vec::new();
    for what in What::ALL {
        let condition = match what {
            What::Object => by("id", objects),
            What::Hydration | What::Lag | What::Frontier => by("object_id", objects),
            What::Wallclock => by("object_id", objects)
                .map(|it| format!("{it} AND lag IS NOT NULL AND {}", since(SAMPLES_MS))),
            What::Cluster => by("id", clusters),
            What::Replica => by("cluster_id", clusters),
            What::Status => of_replicas.clone(),
            What::Kill => of_replicas
                .as_ref()
                .map(|it| format!("{it} AND reason = 'oom-killed' AND {}", since(DAY_MS))),
        };
        let Some(condition) = condition else {
            continue;
        };
        let mut part = format!("SELECT '{}'::text AS what", what.as_str());
        for at in 0..WIDTH {
            let column = what.columns().get(at).copied().unwrap_or("NULL");
            // Writing to a String cannot fail.
            let _ = write!(part, ", {column}::text AS c{at}");
        }
        let _ = write!(part, " FROM {} WHERE {condition}", what.relation().name);
        parts.push(part);
    }
    format!(
        "DECLARE {} CURSOR FOR SUBSCRIBE ({}) WITH (PROGRESS)",
        Ident(CURSOR),
        parts.join(" UNION ALL ")
    )
}

#[cfg(test)]
mod tests;
