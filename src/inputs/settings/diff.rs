//! The section `diff`.

use super::validate::Faults;
use crate::domain::diff::{Diff, Mode, RelationDiff, Thresholds};
use crate::foundation::span::Span;
use serde::{Deserialize, Serialize};

/// What an environment changes of the section.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiffChange {
    /// What follows from a difference.
    pub mode: Option<Mode>,
    /// With more rows on either side they are only counted.
    pub max_rows: Option<u64>,
    /// Deadline of the statements about one relation.
    pub timeout: Option<Span>,
    /// Deadline of all of them.
    pub total_timeout: Option<Span>,
    /// The cluster that compares.
    pub cluster: Option<String>,
    /// How much may differ.
    pub thresholds: Thresholds,
    /// What is asked about single relations, in the place of the general list.
    pub relations: Option<Vec<RelationDiff>>,
}

impl Faults {
    /// The faults of the section, and of what one environment changes of it.
    pub(super) fn diff(&mut self, path: &str, diff: &Diff) {
        let spans = [
            ("timeout", diff.timeout),
            ("total_timeout", diff.total_timeout),
        ];
        for (key, span) in spans {
            self.span(&format!("{path}.{key}"), span, false);
        }
        let relations = diff.relations.iter();
        let of_one = relations.clone().any(|one| !one.wish.thresholds.is_empty());
        self.unless(
            diff.mode != Mode::Gate || !diff.thresholds.is_empty() || of_one,
            &format!("{path}.mode"),
            "a gate without a threshold lets everything through",
            "set one of diff.thresholds.rows_changed, rows_lost and rows_added, or write report",
        );
        let cluster = diff.cluster.as_ref();
        self.unless(
            cluster.is_none_or(|name| !name.trim().is_empty() && !name.contains(char::is_control)),
            &format!("{path}.cluster"),
            "the text is empty or has control characters",
            "write the name of a cluster, or null",
        );
        for (number, one) in diff.relations.iter().enumerate() {
            let path = format!("{path}.relations.{number}");
            if let Some(timeout) = one.wish.timeout {
                self.span(&format!("{path}.timeout"), timeout, false);
            }
            let names = one.wish.key.iter().chain(&one.wish.mask);
            self.unless(
                names.clone().all(|name| !name.is_empty()),
                &path,
                "a column without a name",
                "write the names of columns",
            );
            let is_twice = diff.relations.iter().take(number);
            self.unless(
                !is_twice.clone().any(|other| other.relation == one.relation),
                &path,
                format!("{} is there twice", one.relation),
                "write what is asked about a relation once",
            );
        }
    }
}
