//! What a SUBSCRIBE has said and has yet to say.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::catalog::Catalog;
use crate::failure::SqlError;
use crate::lexer::quote;
use crate::rewrite::Rewritten;
use crate::statement::Subscribe;
use crate::wire::Rows;

type Row = Vec<Option<String>>;

const NUMERIC: u32 = 1700;
const INT8: u32 = 20;
const BOOL: u32 = 16;
const TEXT: u32 = 25;
/// Between two rows of progress. A real server sends one every second; the sandbox's time is compressed.
const PROGRESS: Duration = Duration::from_millis(200);

/// A subscribed query.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    /// The query, by ids.
    pub(super) sql: String,
    /// The backend's statement that asks it, and its text: planning it costs several times what running it does, and it
    /// runs many times a second.
    pub(super) prepared: Option<(String, String)>,
    /// When a change that happens now is seen, where statements cost something.
    pub(super) tick: Option<Instant>,
    /// Relations of users that it reads, by OID, which outlives a replacement: where they are in the backend, and what
    /// they were called last.
    reads: BTreeMap<u32, (String, String)>,
    columns: Vec<(String, u32)>,
    /// Positions of the key's columns, with ENVELOPE UPSERT.
    key: Option<Vec<usize>>,
    progress: bool,
    /// The first rows are to be reported.
    snapshot: bool,
    /// Rows that were seen, with their counts; none before the first look.
    seen: Option<BTreeMap<Row, i64>>,
    pending: VecDeque<Row>,
    progressed: Option<Instant>,
}

impl Subscription {
    pub(super) fn new(
        clauses: &Subscribe,
        rewritten: &Rewritten,
        catalog: &Catalog,
        columns: &[(String, u32)],
    ) -> Result<Self, SqlError> {
        let position = |name: &String| {
            columns
                .iter()
                .position(|(column, _)| column == name)
                .ok_or_else(|| {
                    SqlError::internal(format!("No such column in ENVELOPE UPSERT: {name}"))
                })
        };
        let key = match &clauses.upsert {
            Some(names) => Some(names.iter().map(position).collect::<Result<Vec<_>, _>>()?),
            None => None,
        };
        let reads = rewritten
            .objects
            .iter()
            .filter_map(|id| catalog.objects.get(id))
            .map(|object| {
                let place = (object.relation.clone(), catalog.object_path(object));
                (object.oid, place)
            })
            .collect();
        Ok(Self {
            sql: rewritten.sql.clone(),
            prepared: None,
            tick: None,
            reads,
            columns: columns.to_vec(),
            key,
            progress: clauses.progress,
            snapshot: clauses.snapshot,
            seen: None,
            pending: VecDeque::new(),
            progressed: None,
        })
    }

    /// Ends it when a relation that it reads is gone, and follows one that was replaced.
    pub(super) fn check(&mut self, catalog: &Catalog) -> Result<(), SqlError> {
        for (oid, (relation, path)) in &mut self.reads {
            match catalog.objects.values().find(|o| o.oid == *oid) {
                Some(object) => {
                    *path = catalog.object_path(object);
                    if object.relation != *relation {
                        self.sql = self.sql.replace(&quote(relation), &quote(&object.relation));
                        relation.clone_from(&object.relation);
                    }
                }
                None => {
                    return Err(SqlError::internal(format!(
                        "query could not complete because relation \"{path}\" was dropped"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Compares the rows with those seen before.
    pub(super) fn take(&mut self, rows: Vec<Row>) {
        let mut now: BTreeMap<Row, i64> = BTreeMap::new();
        for row in rows {
            *now.entry(row).or_default() += 1;
        }
        let seen = match self.seen.take() {
            Some(seen) => seen,
            None if self.snapshot => BTreeMap::new(),
            None => now.clone(),
        };
        let at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_millis());
        let gone: Vec<(&Row, i64)> = seen
            .iter()
            .map(|(row, count)| (row, now.get(row).copied().unwrap_or(0) - count))
            .filter(|(_, diff)| *diff < 0)
            .collect();
        let come: Vec<(&Row, i64)> = now
            .iter()
            .map(|(row, count)| (row, count - seen.get(row).copied().unwrap_or(0)))
            .filter(|(_, diff)| *diff > 0)
            .collect();
        let mut lines = Vec::new();
        match &self.key {
            None => {
                for (row, diff) in gone.into_iter().chain(come) {
                    lines.push((diff.to_string(), row.clone()));
                }
            }
            Some(key) => {
                let of = |row: &Row| key.iter().map(|at| row[*at].clone()).collect::<Row>();
                for (row, _) in gone {
                    if !come.iter().any(|(other, _)| of(other) == of(row)) {
                        let kept = |(at, value): (usize, &Option<String>)| {
                            key.contains(&at).then(|| value.clone()).flatten()
                        };
                        let row = row.iter().enumerate().map(kept).collect();
                        lines.push(("delete".to_owned(), row));
                    }
                }
                for (row, _) in come {
                    lines.push(("upsert".to_owned(), row.clone()));
                }
            }
        }
        let changed = !lines.is_empty();
        for (what, row) in lines {
            let row = self.arranged(&row);
            self.push(at, Some(what), row);
        }
        self.seen = Some(now);
        let due = self
            .progressed
            .is_none_or(|last| changed || last.elapsed() >= PROGRESS);
        if self.progress && due {
            let nothing = vec![None; self.columns.len()];
            self.push(at + 1, None, nothing);
            self.progressed = Some(Instant::now());
        }
    }

    /// A line; without a `what` it is one of progress.
    fn push(&mut self, at: u128, what: Option<String>, row: Row) {
        let mut line = vec![Some(at.to_string())];
        if self.progress {
            let word = if what.is_none() { "t" } else { "f" };
            line.push(Some(word.to_owned()));
        }
        line.push(what);
        line.extend(row);
        self.pending.push_back(line);
    }

    /// The key's columns come first.
    fn order(&self) -> Vec<usize> {
        let key = self.key.clone().unwrap_or_default();
        let others = (0..self.columns.len()).filter(|at| !key.contains(at));
        key.iter().copied().chain(others).collect()
    }

    fn arranged(&self, row: &Row) -> Row {
        self.order().iter().map(|at| row[*at].clone()).collect()
    }

    /// Whether there is something to say.
    pub(super) fn has_news(&self) -> bool {
        !self.pending.is_empty()
    }

    /// So many lines, or all.
    pub(super) fn drain(&mut self, count: Option<usize>) -> Rows {
        let count = count.unwrap_or(usize::MAX).min(self.pending.len());
        let mut columns = vec![("mz_timestamp".to_owned(), NUMERIC)];
        if self.progress {
            columns.push(("mz_progressed".to_owned(), BOOL));
        }
        columns.push(if self.key.is_some() {
            ("mz_state".to_owned(), TEXT)
        } else {
            ("mz_diff".to_owned(), INT8)
        });
        columns.extend(self.order().iter().map(|at| self.columns[*at].clone()));
        Rows {
            columns,
            rows: self.pending.drain(..count).collect(),
        }
    }
}
