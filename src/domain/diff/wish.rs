//! What is asked for. The configuration wins over what the project says of a relation, key by key.

use crate::domain::checks::{Relation, Tolerance};
use crate::foundation::span::Span;
use crate::foundation::word::stored_words;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

stored_words! {
    /// What follows from a difference.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Mode {
        /// Nothing is compared.
        Off = "off",
        /// It is told.
        Report = "report",
        /// What exceeds a threshold, or could not be compared, ends the release before the swap.
        Gate = "gate",
    }
}

/// How much may differ. What has no threshold may differ by anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// Rows with the key of a row of the old side, and something else in them.
    pub rows_changed: Option<Tolerance>,
    /// Rows that only the old side has.
    pub rows_lost: Option<Tolerance>,
    /// Rows that only the new side has.
    pub rows_added: Option<Tolerance>,
}

impl Thresholds {
    /// Whether none is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These, and of `others` what is not set here.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            rows_changed: self.rows_changed.or(others.rows_changed),
            rows_lost: self.rows_lost.or(others.rows_lost),
            rows_added: self.rows_added.or(others.rows_added),
        }
    }
}

/// The section `diff` of a configuration; stored with what was asked for, so that a resume asks the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diff {
    /// What follows from a difference.
    pub mode: Mode,
    /// With more rows on either side they are only counted.
    pub max_rows: u64,
    /// With more rows on either side neither distinct values nor the smallest and largest are looked for.
    pub statistics_max_rows: u64,
    /// Deadline of one statement about a relation.
    pub timeout: Span,
    /// Deadline of all of them.
    pub total_timeout: Span,
    /// How many rows of each kind are shown of a relation.
    pub samples: u32,
    /// How many bytes of values they may have together.
    pub sample_bytes: u64,
    /// The cluster that compares; `None`: the new side's own.
    pub cluster: Option<String>,
    /// How much may differ.
    pub thresholds: Thresholds,
    /// What is asked about single relations.
    pub relations: Vec<RelationDiff>,
}

/// What is asked about one relation, by the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct RelationDiff {
    /// The relation, as production calls it.
    pub relation: Relation,
    /// What is asked.
    pub wish: Wish,
}

impl TryFrom<Map<String, Value>> for RelationDiff {
    type Error = String;

    fn try_from(mut map: Map<String, Value>) -> Result<Self, String> {
        let relation = map.remove("relation").ok_or("there is no relation")?;
        Ok(Self {
            relation: serde_json::from_value(relation).map_err(|error| error.to_string())?,
            wish: serde_json::from_value(Value::Object(map)).map_err(|error| error.to_string())?,
        })
    }
}

impl From<RelationDiff> for Map<String, Value> {
    fn from(one: RelationDiff) -> Self {
        let mut map = match serde_json::to_value(&one.wish) {
            Ok(Value::Object(map)) => map,
            Ok(_) | Err(_) => Self::new(),
        };
        map.insert(
            "relation".to_owned(),
            Value::String(one.relation.to_string()),
        );
        map
    }
}

/// What may be asked about one relation: in the configuration, and as `meta.cutover.diff` in the project.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wish {
    /// What follows from a difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The columns that tell rows apart.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// A condition: only such rows of both sides are compared.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// As [`Diff::max_rows`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rows: Option<u64>,
    /// As [`Diff::timeout`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// How much may differ.
    #[serde(skip_serializing_if = "Thresholds::is_empty")]
    pub thresholds: Thresholds,
    /// Columns of which no value is shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mask: Vec<String>,
}

/// What the project says of a relation; part of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traits {
    /// What is asked by `meta.cutover.diff`.
    #[serde(skip_serializing_if = "is_default")]
    pub wish: Wish,
    /// Columns that tell rows apart by a constraint or a test, the most trusted first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<Vec<String>>,
    /// What is never shown.
    #[serde(skip_serializing_if = "is_default")]
    pub masked: Masked,
    /// What cannot be read of it, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
}

/// Values that are never shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Masked {
    /// All of the relation.
    pub all: bool,
    /// Those of these columns.
    pub columns: Vec<String>,
}

impl Masked {
    /// Whether values of the column are not shown. In doubt about letter case they are not.
    #[must_use]
    pub fn hides(&self, column: &str) -> bool {
        let is_it = |name: &String| name.to_lowercase() == column.to_lowercase();
        self.all || self.columns.iter().any(is_it)
    }

    /// Whether anything is hidden.
    #[must_use]
    pub fn hides_any(&self) -> bool {
        self.all || !self.columns.is_empty()
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Traits {
    /// Whether the project says nothing.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// What is asked about one relation, everything considered. Part of the record: what was asked otherwise is
/// asked again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// What follows from a difference.
    pub mode: Mode,
    /// Columns that may tell rows apart, in the order in which they are tried.
    pub keys: Vec<Vec<String>>,
    /// Only such rows are compared.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// As [`Diff::max_rows`].
    pub max_rows: u64,
    /// As [`Diff::statistics_max_rows`].
    pub statistics_max_rows: u64,
    /// As [`Diff::timeout`].
    pub timeout: Span,
    /// As [`Diff::samples`].
    pub samples: u32,
    /// As [`Diff::sample_bytes`].
    pub sample_bytes: u64,
    /// How much may differ.
    pub thresholds: Thresholds,
    /// What is never shown.
    pub masked: Masked,
}

/// What is asked about a relation of which the project says this.
#[must_use]
pub fn choose(diff: &Diff, relation: &Relation, traits: &Traits) -> Chosen {
    let configured = diff.relations.iter().find(|one| one.relation == *relation);
    let nothing = Wish::default();
    let own = configured.map_or(&nothing, |one| &one.wish);
    let said = &traits.wish;
    let mut keys: Vec<Vec<String>> = Vec::new();
    let given = [&own.key, &said.key].into_iter().chain(&traits.keys);
    for key in given.filter(|key| !key.is_empty()) {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    let mut masked = traits.masked.clone();
    masked.columns.extend(own.mask.iter().cloned());
    masked.columns.extend(said.mask.iter().cloned());
    masked.columns.sort_unstable();
    masked.columns.dedup();
    Chosen {
        // What is off is off: a project does not put work on a server whose operator wants none.
        mode: match diff.mode {
            Mode::Off => Mode::Off,
            Mode::Report | Mode::Gate => own.mode.or(said.mode).unwrap_or(diff.mode),
        },
        keys,
        condition: own.condition.clone().or_else(|| said.condition.clone()),
        max_rows: own.max_rows.or(said.max_rows).unwrap_or(diff.max_rows),
        statistics_max_rows: diff.statistics_max_rows,
        timeout: own.timeout.or(said.timeout).unwrap_or(diff.timeout),
        samples: diff.samples,
        sample_bytes: diff.sample_bytes,
        thresholds: own.thresholds.or(said.thresholds).or(diff.thresholds),
        masked,
    }
}
