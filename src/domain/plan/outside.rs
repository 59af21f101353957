//! What a release does outside of what it swaps: sinks of the project, and sources, their tables and connections.

use crate::domain::catalog::ObjectKind;
use crate::foundation::word::stored_words;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is made, changed and dropped outside of the swapped schemas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// Connections, sources and their tables that are made before the build, each after what it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub makes: Vec<OutsideMake>,
    /// Sinks of the project that are made, repointed or made anew after the swap, sorted by unique id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<SinkChange>,
    /// What the project does not have any more and is dropped with the old side: sinks first, each after what
    /// reads it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drops: Vec<OutsideLeft>,
    /// What the project does not have any more and stays, as nobody allowed to drop it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stays: Vec<OutsideLeft>,
    /// Columns that a relation loses or has retyped while a sink reads it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<SinkColumn>,
}

/// A relation of the plan's database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// A connection, source or table of a source that is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideMake {
    /// dbt's unique id.
    pub node: String,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What it becomes.
    pub kind: ObjectKind,
    /// The cluster that runs it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What follows its name and cluster, as SQL.
    pub definition: String,
    /// The comment that dbt would write on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// How a sink is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkDefinition {
    /// What it reads, under the name that this has in production.
    pub reads: Place,
    /// The cluster that runs it.
    pub cluster: String,
    /// What follows the relation, as SQL: `INTO …`.
    pub definition: String,
    /// The comment on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

stored_words! {
    /// What becomes of a sink of the project.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum SinkFate: "what becomes of a sink" {
        /// It is made; a snapshot goes out.
        Created = "created",
        /// It reads another relation from now on; no snapshot goes out.
        Repointed = "repointed",
        /// It is dropped and made anew; a snapshot goes out once more.
        Recreated = "recreated",
    }
}

/// A sink of the project that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkChange {
    /// dbt's unique id.
    pub node: String,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// What becomes of it.
    pub change: SinkFate,
    /// As it is from then on.
    pub becomes: SinkDefinition,
    /// As it is now; none of one that is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<SinkBefore>,
}

/// A sink as it was before the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkBefore {
    /// Its id.
    pub id: String,
    /// Its owner.
    pub owner: String,
    /// How it is made, as the server shows it.
    #[serde(flatten)]
    pub definition: SinkDefinition,
}

/// What the project does not have any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideLeft {
    /// dbt's unique id.
    pub node: String,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// What it is.
    pub kind: ObjectKind,
    /// Its id.
    pub id: String,
}

/// A column that a relation loses or has retyped while a sink reads it: the server takes it, and the sink may stall.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SinkColumn {
    /// `schema.name` of the sink.
    pub sink: String,
    /// `schema.name` of the relation.
    pub relation: String,
    /// The column.
    pub column: String,
    /// The type that it has.
    pub from: String,
    /// The type that it gets; `None` where it is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

impl fmt::Display for SinkColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            sink,
            relation,
            column,
            from,
            to,
        } = self;
        write!(f, "{sink} reads {relation}, whose column {column} ")?;
        match to {
            Some(to) => write!(f, "becomes {to} (now {from})")?,
            None => write!(f, "is lost")?,
        }
        f.write_str(": the server takes that, and the sink may stall later")
    }
}

impl Outside {
    /// Nothing.
    pub const NONE: Self = Self {
        makes: Vec::new(),
        sinks: Vec::new(),
        drops: Vec::new(),
        stays: Vec::new(),
        columns: Vec::new(),
    };

    /// Nothing, for as long as one likes.
    #[must_use]
    pub fn none() -> &'static Self {
        static NONE: Outside = Outside::NONE;
        &NONE
    }

    /// Whether nothing is said of it.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// Whether anything is made, changed or dropped.
    #[must_use]
    pub fn changes_something(&self) -> bool {
        !(self.makes.is_empty() && self.sinks.is_empty() && self.drops.is_empty())
    }

    /// Ids of sinks that are there and that the release itself repoints, makes anew or drops.
    pub fn settled_sinks(&self) -> impl Iterator<Item = &String> {
        let changed = self.sinks.iter().filter_map(|sink| sink.was.as_ref());
        let changed = changed.map(|was| &was.id);
        let dropped = self.drops.iter();
        let dropped = dropped.filter(|left| left.kind == ObjectKind::Sink);
        changed.chain(dropped.map(|left| &left.id))
    }

    /// Whether this relation is made before the build.
    #[must_use]
    pub fn makes_relation(&self, schema: &str, name: &str) -> bool {
        let mut makes = self.makes.iter();
        makes.any(|make| {
            make.kind != ObjectKind::Connection
                && make.place.schema == schema
                && make.place.name == name
        })
    }
}
