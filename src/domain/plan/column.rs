//! Columns that production gains, loses or has otherwise after a release, and who reads them.

use crate::foundation::word::stored_words;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A column that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnChange {
    /// `schema.name` of the relation.
    pub relation: String,
    /// The column.
    pub column: String,
    /// What becomes of it.
    #[serde(flatten)]
    pub change: ColumnChangeKind,
    /// Who reads the relation and is not built with it, sorted; of an added column nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readers: Vec<Reader>,
}

/// What becomes of a column. Types of production are as the server shows them; new ones as well where it described
/// the node, else as the contract writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum ColumnChangeKind {
    /// Production gains it.
    Added {
        /// Its type.
        to: String,
    },
    /// Production loses it.
    Removed {
        /// Its type.
        from: String,
    },
    /// It gets another type.
    Retyped {
        /// The present type.
        from: String,
        /// The new one.
        to: String,
    },
    /// It was never null, and may be from then on; its type stays.
    Nullable {
        /// Its type.
        to: String,
    },
}

stored_words! {
    /// Who reads a relation.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum ReaderKind {
        /// A view.
        View = "view",
        /// A materialized view.
        MaterializedView = "materialized view",
        /// An index on it.
        Index = "index",
        /// A sink, which takes what comes and may stall later.
        Sink = "sink",
        /// Anything else in the catalog.
        Object = "object",
        /// An exposure of the project.
        Exposure = "exposure",
        /// People or programs whose queries the server remembers.
        Queries = "queries",
    }
}

/// Somebody who reads a relation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reader {
    /// What it is.
    pub kind: ReaderKind,
    /// `schema.name`; of an exposure its name and whose it is, of queries who asked.
    pub name: String,
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// What the server's planner said of the planned nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// How many nodes it described.
    pub described: usize,
    /// Nodes that were not described: unique id → why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left_out: BTreeMap<String, String>,
    /// Why it is not known whose recent queries read what is lost or retyped, where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queries_unknown: Option<String>,
}
