//! Checks: questions that a release asks before the swap and during the soak, of the new side by SQL, of a
//! Prometheus, or of an HTTP endpoint.

use crate::foundation::span::Span;
use crate::foundation::word::stored_words;
use serde::{Deserialize, Serialize};

pub use condition::Condition;
pub use external::{Auth, External, Http, Method, Policy, Prometheus, Times, Unknown};
pub use relation::Relation;
pub use template::{Rendered, Side, render, text as render_text};
pub use text::{Encoding, Naming, text};
pub use tolerance::Tolerance;

/// What a value must be.
mod condition;
/// Prometheus and HTTP.
pub mod external;
/// `schema.name` as it is written in a configuration.
mod relation;
/// `{{ green(…) }}` and `{{ blue(…) }}`.
mod template;
/// Names in addresses, queries and bodies.
mod text;
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
        /// What a failure means.
        #[serde(default, skip_serializing_if = "Level::is_required")]
        level: Level,
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
        /// What a failure means.
        #[serde(default, skip_serializing_if = "Level::is_required")]
        level: Level,
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
        /// What a failure means.
        #[serde(default, skip_serializing_if = "Level::is_required")]
        level: Level,
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
    /// A query to Prometheus has a value.
    Prometheus(Box<Prometheus>),
    /// An endpoint answers as it should.
    Http(Box<Http>),
}

stored_words! {
    /// What the failure of a check means.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub enum Level {
        /// It ends the release, or brings the old side back.
        #[default]
        Required = "required",
        /// It is told and recorded.
        Advisory = "advisory",
        /// A person decides.
        Ask = "ask",
    }
}

impl Level {
    /// Whether it is what a check without a level has, as all had in journals of versions without levels.
    #[must_use]
    pub fn is_required(&self) -> bool {
        *self == Self::Required
    }
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
            Self::Prometheus(check) => &check.name,
            Self::Http(check) => &check.name,
        }
    }

    /// What its failure means.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::RowCount { level, .. }
            | Self::KeysKept { level, .. }
            | Self::NoRows { level, .. } => *level,
            Self::Prometheus(check) => check.level,
            Self::Http(check) => check.level,
        }
    }

    /// When it runs.
    #[must_use]
    pub fn run(&self) -> &[Moment] {
        match self {
            Self::RowCount { run, .. } | Self::KeysKept { run, .. } | Self::NoRows { run, .. } => {
                run
            }
            Self::Prometheus(check) => &check.run,
            Self::Http(check) => &check.run,
        }
    }

    /// Deadline of one of its questions; `None` is the usual one.
    #[must_use]
    pub fn timeout(&self) -> Option<Span> {
        match self {
            Self::RowCount { timeout, .. }
            | Self::KeysKept { timeout, .. }
            | Self::NoRows { timeout, .. } => *timeout,
            Self::Prometheus(check) => check.timeout,
            Self::Http(check) => check.timeout,
        }
    }

    /// What asks something else than Materialize.
    #[must_use]
    pub fn external(&self) -> Option<External<'_>> {
        match self {
            Self::RowCount { .. } | Self::KeysKept { .. } | Self::NoRows { .. } => None,
            Self::Prometheus(check) => Some(External::Prometheus(check)),
            Self::Http(check) => Some(External::Http(check)),
        }
    }
}
