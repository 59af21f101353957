//! Cursors: plain ones live in PostgreSQL; a SUBSCRIBE is a query that is run again until its rows differ.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::execute::Answer;
use super::transaction::{Mode, Use};
use super::{Session, Stop};
use crate::failure::SqlError;
use crate::lexer::quote;
use crate::statement::Statement;
use crate::wire::Rows;

type Row = Vec<Option<String>>;

/// A declared cursor.
#[derive(Debug, Clone)]
pub(super) enum Cursor {
    /// In the backend's transaction.
    Plain,
    /// Rows that were reported, with their counts.
    Subscribe {
        query: String,
        seen: BTreeMap<Row, i64>,
        pending: Vec<Row>,
        progress: Option<Told>,
    },
}

/// When a subscription that tells its progress was looked at and said something.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told {
    looked: Option<Instant>,
    told: Option<Instant>,
}

/// How often a subscribed query is run while nothing changes.
const POLL: Duration = Duration::from_millis(40);
/// How often one that tells its progress is: something always changes in it.
const LOOK: Duration = Duration::from_millis(100);
/// How often progress is told while nothing changes.
const TICK: Duration = Duration::from_secs(1);
const BOOL: u32 = 16;
const NUMERIC: u32 = 1700;
const INT8: u32 = 20;

fn unknown(name: &str) -> SqlError {
    SqlError::new("34000", format!("cursor {name:?} does not exist"))
}

impl Session {
    pub(super) async fn declare(
        &mut self,
        name: &str,
        (subscribe, progress): (bool, bool),
        query: &str,
    ) -> Result<Answer, Stop> {
        if self.transaction.as_ref().is_none_or(|t| !t.explicit) {
            return Err(SqlError::new(
                "25P01",
                "DECLARE CURSOR can only be used in transaction blocks",
            )
            .into());
        }
        let (catalog, rewritten) = self.resolve(query)?;
        let cursor = if subscribe {
            if let Some(transaction) = &mut self.transaction {
                transaction.admit(Use::Read, query)?;
                transaction.mode = Mode::Read(None);
            }
            Cursor::Subscribe {
                query: query.to_owned(),
                seen: BTreeMap::new(),
                pending: Vec::new(),
                progress: progress.then(Told::default),
            }
        } else {
            self.admit(&Statement::Query, query, &catalog, &rewritten)
                .await?;
            self.backend
                .query(&format!(
                    "DECLARE {} CURSOR FOR {}",
                    quote(name),
                    rewritten.sql
                ))
                .await??;
            Cursor::Plain
        };
        self.cursors.insert(name.to_owned(), cursor);
        Ok(Answer::tag("DECLARE CURSOR"))
    }

    pub(super) async fn close_cursor(&mut self, name: &str) -> Result<Answer, Stop> {
        match self.cursors.remove(name) {
            None => return Err(unknown(name).into()),
            Some(Cursor::Plain) => {
                self.backend
                    .query(&format!("CLOSE {}", quote(name)))
                    .await??;
            }
            Some(Cursor::Subscribe { .. }) => {}
        }
        Ok(Answer::tag("CLOSE CURSOR"))
    }

    pub(super) async fn fetch(
        &mut self,
        name: &str,
        count: Option<usize>,
        timeout_ms: Option<u64>,
    ) -> Result<Answer, Stop> {
        let Some(cursor) = self.cursors.get(name).cloned() else {
            return Err(unknown(name).into());
        };
        let rows = match cursor {
            Cursor::Plain => {
                let count = count.map_or_else(|| "ALL".to_owned(), |n| n.to_string());
                self.backend
                    .query(&format!("FETCH {count} FROM {}", quote(name)))
                    .await??
            }
            Cursor::Subscribe {
                query,
                mut seen,
                mut pending,
                mut progress,
            } => {
                let deadline = timeout_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
                let columns = loop {
                    if let Some(looked) = progress.and_then(|told| told.looked) {
                        let left = LOOK.saturating_sub(looked.elapsed());
                        self.wait(tokio::time::sleep(left)).await?;
                    }
                    let rows = self.run_subscribed(&query).await?;
                    let width = rows.columns.len();
                    let changed = changes(&mut seen, rows.rows);
                    match &mut progress {
                        None => pending.extend(changed),
                        Some(told) => pending.extend(told.with_progress(changed, width)),
                    }
                    if !pending.is_empty() || deadline.is_some_and(|d| Instant::now() >= d) {
                        break rows.columns;
                    }
                    self.wait(tokio::time::sleep(POLL)).await?;
                };
                let taken = pending
                    .drain(..count.unwrap_or(usize::MAX).min(pending.len()))
                    .collect();
                let mut all = vec![("mz_timestamp".to_owned(), NUMERIC)];
                if progress.is_some() {
                    all.push(("mz_progressed".to_owned(), BOOL));
                }
                all.push(("mz_diff".to_owned(), INT8));
                all.extend(columns);
                self.cursors.insert(
                    name.to_owned(),
                    Cursor::Subscribe {
                        query,
                        seen,
                        pending,
                        progress,
                    },
                );
                Rows {
                    columns: all,
                    rows: taken,
                }
            }
        };
        let tag = format!("FETCH {}", rows.rows.len());
        Ok(Answer {
            rows: Some(rows),
            ..Answer::tag(tag)
        })
    }

    /// Runs a subscribed query outside the transaction, with names resolved anew.
    async fn run_subscribed(&mut self, query: &str) -> Result<Rows, Stop> {
        let (_, rewritten) = self.resolve(query)?;
        self.settle().await?;
        Ok(self.backend.query(&rewritten.sql).await??)
    }
}

impl Told {
    /// The changes of a look, told apart from the progress that follows them.
    fn with_progress(&mut self, changed: Vec<Row>, width: usize) -> Vec<Row> {
        let now = Instant::now();
        self.looked = Some(now);
        let is_due = self.told.is_none_or(|told| told.elapsed() >= TICK);
        if changed.is_empty() && !is_due {
            return Vec::new();
        }
        self.told = Some(now);
        let last = changed
            .first()
            .and_then(|row| row.first().cloned().flatten());
        let last = last.and_then(|at| at.parse().ok()).unwrap_or_else(millis);
        let mut rows: Vec<Row> = changed
            .into_iter()
            .map(|mut row| {
                row.insert(1, Some("f".to_owned()));
                row
            })
            .collect();
        let mut progress = vec![Some((last + 1).to_string()), Some("t".to_owned())];
        progress.resize(width + 3, None);
        rows.push(progress);
        rows
    }
}

fn millis() -> u128 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_millis())
}

/// Differences from what was seen, as rows with a timestamp and a count in front.
fn changes(seen: &mut BTreeMap<Row, i64>, rows: Vec<Row>) -> Vec<Row> {
    let mut now: BTreeMap<Row, i64> = BTreeMap::new();
    for row in rows {
        *now.entry(row).or_default() += 1;
    }
    let at = millis();
    let mut out = Vec::new();
    let mut report = |row: &Row, diff: i64| {
        let mut line = vec![Some(at.to_string()), Some(diff.to_string())];
        line.extend(row.iter().cloned());
        out.push(line);
    };
    for (row, count) in seen.iter() {
        let diff = now.get(row).copied().unwrap_or(0) - count;
        if diff < 0 {
            report(row, diff);
        }
    }
    for (row, count) in &now {
        let diff = count - seen.get(row).copied().unwrap_or(0);
        if diff > 0 {
            report(row, diff);
        }
    }
    *seen = now;
    out
}
