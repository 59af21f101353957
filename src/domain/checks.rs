//! Checks by SQL: questions that a release asks the new side before the swap and during the soak.

use crate::foundation::span::Span;
use crate::foundation::word::stored_words;
use serde::{Deserialize, Serialize};

pub use relation::Relation;
pub use template::{Rendered, Side, render};
pub use tolerance::Tolerance;

/// `schema.name` as it is written in a configuration.
mod relation;
/// `{{ green(…) }}` and `{{ blue(…) }}`.
mod template;
/// How far two sides may be apart.
mod tolerance;

/// One check. Stored with what was asked for, so that a resume asks the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Check {
    /// Green has as many rows as blue, within the tolerance.
    RowCount {
        /// What people call it; unique.
        name: String,
        /// The relation, as production calls it.
        relation: Relation,
        /// How many rows, or which part of blue's, the sides may be apart.
        #[serde(default)]
        tolerance: Tolerance,
        /// When it runs.
        #[serde(default = "Moment::both")]
        run: Vec<Moment>,
        /// Deadline of one query; `None` is that of every statement.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<Span>,
    },
    /// Every key of blue is in green.
    KeysKept {
        /// What people call it; unique.
        name: String,
        /// The relation, as production calls it.
        relation: Relation,
        /// The columns of the key, as they are called.
        key: Vec<String>,
        /// How many keys, or which part of blue's, may be missing.
        #[serde(default)]
        tolerance: Tolerance,
        /// When it runs.
        #[serde(default = "Moment::both")]
        run: Vec<Moment>,
        /// Deadline of one query; `None` is that of every statement.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<Span>,
    },
    /// The query returns no rows.
    NoRows {
        /// What people call it; unique.
        name: String,
        /// The query, a template.
        sql: String,
        /// What `{{ green }}` and `{{ blue }}` alone mean.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        relation: Option<Relation>,
        /// When it runs.
        #[serde(default = "Moment::both")]
        run: Vec<Moment>,
        /// Deadline of one query; `None` is that of every statement.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timeout: Option<Span>,
    },
}

stored_words! {
    /// When a check runs.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Moment {
        /// On green, before the swap.
        Before = "before",
        /// On production, after the swap and until the soak ends.
        Soak = "soak",
    }
}

impl Moment {
    fn both() -> Vec<Self> {
        vec![Self::Before, Self::Soak]
    }
}

impl Check {
    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::RowCount { name, .. }
            | Self::KeysKept { name, .. }
            | Self::NoRows { name, .. } => name,
        }
    }

    /// When it runs.
    #[must_use]
    pub fn run(&self) -> &[Moment] {
        match self {
            Self::RowCount { run, .. } | Self::KeysKept { run, .. } | Self::NoRows { run, .. } => {
                run
            }
        }
    }

    /// Deadline of one of its queries; `None` is that of every statement.
    #[must_use]
    pub fn timeout(&self) -> Option<Span> {
        match self {
            Self::RowCount { timeout, .. }
            | Self::KeysKept { timeout, .. }
            | Self::NoRows { timeout, .. } => *timeout,
        }
    }
}
