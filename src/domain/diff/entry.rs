//! What came of a comparison, as the journal keeps it.

use super::wish::Chosen;
use crate::domain::checks::Relation;
use crate::foundation::word::stored_words;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

stored_words! {
    /// What is known of two sides. Only the first says that nothing differs.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Outcome {
        /// The same rows, in the columns that both sides have.
        Equal = "equal",
        /// Other rows.
        Different = "different",
        /// More rows than are compared; they were counted.
        CountsOnly = "counts only",
        /// No answer within the time for one relation.
        TimedOut = "timed out",
        /// The time for all relations was over before its turn, or in it.
        NotReached = "not reached",
        /// The server refused a statement about it.
        Refused = "refused",
        /// There is no such relation in production.
        New = "new",
        /// The new side does not have it.
        Missing = "missing",
        /// The sides have no column in common.
        NoColumns = "no columns",
        /// There is no cluster but production's.
        NoCluster = "no cluster",
        /// What is asked about it cannot be read.
        Unreadable = "unreadable",
    }
}

impl Outcome {
    /// Whether the rows of both sides were compared.
    #[must_use]
    pub fn is_compared(self) -> bool {
        match self {
            Self::Equal | Self::Different => true,
            Self::CountsOnly
            | Self::TimedOut
            | Self::NotReached
            | Self::Refused
            | Self::New
            | Self::Missing
            | Self::NoColumns
            | Self::NoCluster
            | Self::Unreadable => false,
        }
    }

    /// Whether asking again may well have another answer although nothing has changed.
    #[must_use]
    pub fn is_passing(self) -> bool {
        match self {
            Self::TimedOut | Self::NotReached | Self::Refused | Self::NoCluster => true,
            Self::Equal
            | Self::Different
            | Self::CountsOnly
            | Self::New
            | Self::Missing
            | Self::NoColumns
            | Self::Unreadable => false,
        }
    }
}

stored_words! {
    /// Whether a key told rows apart.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Keyed {
        /// It did.
        Key = "key",
        /// None is known: whole rows were compared.
        None = "no key",
        /// Several rows have the same: it is none, and whole rows were compared.
        Duplicates = "duplicate key",
        /// A side lacks one of its columns: whole rows were compared.
        Lacking = "key column missing",
    }
}

stored_words! {
    /// What was judged.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Verdict {
        /// Nothing: it has no threshold.
        NotJudged = "not judged",
        /// It is within every threshold.
        Within = "within",
        /// It exceeds one.
        Exceeded = "exceeded",
        /// It has a threshold and was not compared.
        Undecided = "undecided",
    }
}

/// One number of each side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sides<T> {
    /// Of the old side.
    pub blue: T,
    /// Of the new side.
    pub green: T,
}

/// What differs in one column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDiff {
    /// Its name.
    pub name: String,
    /// In how many rows of the same key it differs; `None` of a column of the key, and without a key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<u64>,
    /// Whether it was compared as text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub as_text: bool,
    /// The types of both sides, where they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub types: Option<Sides<String>>,
    /// NULLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nulls: Option<Sides<u64>>,
    /// Distinct values, NULL left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distinct: Option<Sides<u64>>,
    /// The smallest value of a column of numbers or moments that is not masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<Sides<Option<String>>>,
    /// The largest one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Sides<Option<String>>>,
}

impl ColumnDiff {
    /// Whether anything of it differs.
    #[must_use]
    pub fn differs(&self) -> bool {
        let apart = |sides: &Option<Sides<u64>>| {
            let sides = sides.as_ref();
            sides.is_some_and(|sides| sides.blue != sides.green)
        };
        let moved = |sides: &Option<Sides<Option<String>>>| {
            let sides = sides.as_ref();
            sides.is_some_and(|sides| sides.blue != sides.green)
        };
        self.changed.is_some_and(|changed| changed > 0)
            || self.types.is_some()
            || apart(&self.nulls)
            || apart(&self.distinct)
            || moved(&self.min)
            || moved(&self.max)
    }
}

/// The rows of two sides, compared in one statement and so at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Whether a key told rows apart.
    pub keyed: Keyed,
    /// The columns of the key; of one that is none, those that were taken for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Rows without a value in some column of the key, which were compared whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyless: Option<Sides<u64>>,
    /// Rows that only the old side has.
    pub lost: u64,
    /// Rows that only the new side has.
    pub added: u64,
    /// Rows of the same key that differ; `None` without a key: a changed row is then lost and added.
    pub changed: Option<u64>,
    /// The columns that both sides have.
    pub columns: Vec<ColumnDiff>,
}

stored_words! {
    /// What a row of a sample is one of.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Kind {
        /// Its key is on both sides, and something differs.
        Changed = "changed",
        /// Only the old side has it.
        Lost = "lost",
        /// Only the new side has it.
        Added = "added",
    }
}

/// One row. Values are text, cut where they are long; masked columns are not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// What it is one of.
    pub kind: Kind,
    /// The old side's values by column; empty of an added row.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub blue: BTreeMap<String, Option<String>>,
    /// The new side's; empty of a lost row.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub green: BTreeMap<String, Option<String>>,
}

/// One relation, compared or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// dbt's unique id.
    pub node: String,
    /// The relation, as production calls it.
    pub relation: Relation,
    /// The ids of both sides' objects, where they are there.
    pub ids: Sides<Option<String>>,
    /// What was asked.
    pub asked: Chosen,
    /// What is known.
    pub outcome: Outcome,
    /// Why no more is known, one sentence without a final full stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Rows of each side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Sides<u64>>,
    /// What differs, where the rows were compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Comparison>,
    /// Columns that one side has alone: they are not compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone: Option<Sides<Vec<String>>>,
    /// Rows that differ, where they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
    /// Whether there are more, which were cut off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub samples_cut: bool,
    /// What was judged.
    pub verdict: Verdict,
    /// Each threshold that is exceeded, or why nothing can be decided, a clause each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub against: Vec<String>,
    /// The cluster that compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub took_ms: u64,
}

/// The data diff of a deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whether every relation has its turn behind it.
    pub complete: bool,
    /// The relations, in the order of their names.
    pub entries: Vec<Entry>,
}

impl Record {
    /// How many entries have this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        let all = self.entries.iter();
        all.filter(|entry| entry.outcome == outcome).count()
    }

    /// Puts an entry into its place, where it replaces an older one.
    pub fn put(&mut self, entry: Entry) {
        self.entries.retain(|known| known.node != entry.node);
        self.entries.push(entry);
        let by_name = |entry: &Entry| (entry.relation.clone(), entry.node.clone());
        self.entries.sort_by_cached_key(by_name);
    }
}
