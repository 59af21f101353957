//! What a statement costs the server, and how many of each kind were sent.
//!
//! A real server answers a filter over one indexed catalog relation from the index, in milliseconds;
//! whatever else is asked becomes a dataflow of its own, ten to a hundred times dearer, and statements
//! of one kind wait for each other. So each statement has a class, which is counted where it is sent:
//! the journal keeps the counts of each state, and a question that became dear is seen there.

use crate::foundation::word::words;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering};

words! {
    /// How the server answers a statement.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Cost {
        /// Read from one index, or worked out while planning.
        Peek = "peek",
        /// Computed for this one question.
        Dataflow = "dataflow",
        /// Computed once and kept up to date for as long as somebody listens.
        Subscription = "subscription",
        /// A change of the catalog.
        Ddl = "ddl",
        /// Rows written.
        Write = "write",
        /// Of the session alone: transactions, settings, SHOW, FETCH.
        Session = "session",
    }
}

impl Cost {
    /// The class of a statement by its first word. A query of which nothing else is known is a dataflow.
    #[must_use]
    pub fn of(sql: &str) -> Self {
        let sql = sql.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
        let end = sql.find(|c: char| !c.is_ascii_alphabetic());
        let word = &sql[..end.unwrap_or(sql.len())];
        match word.to_ascii_uppercase().as_str() {
            "CREATE" | "ALTER" | "DROP" | "GRANT" | "REVOKE" | "COMMENT" => Self::Ddl,
            "INSERT" | "UPDATE" | "DELETE" | "COPY" => Self::Write,
            "SELECT" | "WITH" | "VALUES" | "TABLE" => Self::Dataflow,
            "DECLARE" | "SUBSCRIBE" => Self::Subscription,
            _ => Self::Session,
        }
    }
}

/// How many statements of each class were sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Answers from one index.
    pub peeks: u64,
    /// Questions that were computed.
    pub dataflows: u64,
    /// Subscriptions begun.
    pub subscriptions: u64,
    /// Changes of the catalog.
    pub ddl: u64,
    /// Statements that wrote rows.
    pub writes: u64,
    /// Statements of the session alone.
    pub session: u64,
}

impl Counts {
    /// What was sent since `earlier`, an older count of the same kind.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            peeks: self.peeks.saturating_sub(earlier.peeks),
            dataflows: self.dataflows.saturating_sub(earlier.dataflows),
            subscriptions: self.subscriptions.saturating_sub(earlier.subscriptions),
            ddl: self.ddl.saturating_sub(earlier.ddl),
            writes: self.writes.saturating_sub(earlier.writes),
            session: self.session.saturating_sub(earlier.session),
        }
    }

    /// Whether nothing was sent.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            peeks: self.peeks.saturating_add(other.peeks),
            dataflows: self.dataflows.saturating_add(other.dataflows),
            subscriptions: self.subscriptions.saturating_add(other.subscriptions),
            ddl: self.ddl.saturating_add(other.ddl),
            writes: self.writes.saturating_add(other.writes),
            session: self.session.saturating_add(other.session),
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} peeks, {} dataflows, {} subscriptions, {} DDL, {} writes, {} of the session",
            self.peeks, self.dataflows, self.subscriptions, self.ddl, self.writes, self.session
        )
    }
}

/// Counts what the connections to one server send.
#[derive(Debug, Default)]
pub struct Tally {
    peeks: AtomicU64,
    dataflows: AtomicU64,
    subscriptions: AtomicU64,
    ddl: AtomicU64,
    writes: AtomicU64,
    session: AtomicU64,
}

impl Tally {
    /// One more of this class.
    pub(super) fn count(&self, class: Cost) {
        let counter = match class {
            Cost::Peek => &self.peeks,
            Cost::Dataflow => &self.dataflows,
            Cost::Subscription => &self.subscriptions,
            Cost::Ddl => &self.ddl,
            Cost::Write => &self.writes,
            Cost::Session => &self.session,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// What was sent so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            peeks: read(&self.peeks),
            dataflows: read(&self.dataflows),
            subscriptions: read(&self.subscriptions),
            ddl: read(&self.ddl),
            writes: read(&self.writes),
            session: read(&self.session),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cost, Counts, Tally};

    #[test]
    fn the_first_word_tells() {
        for (sql, class) in [
            ("create schema s", Cost::Ddl),
            ("COMMENT ON SCHEMA s IS 'x'", Cost::Ddl),
            ("INSERT INTO t VALUES (1)", Cost::Write),
            ("\n (SELECT 1)", Cost::Dataflow),
            ("WITH a AS (SELECT 1) TABLE a", Cost::Dataflow),
            ("DECLARE c CURSOR FOR SUBSCRIBE t", Cost::Subscription),
            ("FETCH ALL c", Cost::Session),
            ("BEGIN", Cost::Session),
            ("SHOW CREATE CLUSTER c", Cost::Session),
            ("", Cost::Session),
        ] {
            assert_eq!(Cost::of(sql), class, "{sql}");
        }
    }

    #[test]
    fn what_was_sent_since_is_the_difference() {
        let tally = Tally::default();
        tally.count(Cost::Peek);
        let earlier = tally.counts();
        tally.count(Cost::Peek);
        tally.count(Cost::Ddl);
        let since = tally.counts().since(earlier);
        let expected = Counts {
            peeks: 1,
            ddl: 1,
            ..Counts::default()
        };
        assert_eq!(since, expected);
        assert_eq!(earlier + since, tally.counts());
        assert!(earlier.since(earlier).is_empty());
    }
}
