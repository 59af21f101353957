//! The report as text, for a terminal.

use super::{ColumnChange, NodeState, Report};
use crate::foundation::escape::visible_lines;
use std::fmt::Write;

impl ColumnChange {
    /// What becomes of the column, for people.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Gained { to } => format!("gained, {to}"),
            Self::Lost { from } => format!("lost, was {from}"),
            Self::Retyped { from, to } => format!("retyped, {from} → {to}"),
            Self::Nullable { to } => format!("may be null, {to}"),
        }
    }
}

impl Report {
    /// The report as lines; what went well is told only where `verbose`.
    #[must_use]
    pub fn text(&self, verbose: bool) -> String {
        let mut out = String::new();
        let mut line = |text: String| {
            let _ = writeln!(out, "{}", visible_lines(&text));
        };
        for node in &self.nodes {
            let is_bad = match node.state {
                NodeState::Failed | NodeState::Skipped | NodeState::Missing => true,
                NodeState::Built | NodeState::Kept | NodeState::Described => false,
            };
            if !is_bad && !verbose {
                continue;
            }
            let message = node.message.as_deref().filter(|_| is_bad);
            line(format!(
                "{} {} ({}; {}){}",
                node.state.as_str(),
                node.relation,
                node.place(),
                node.reason,
                behind_colon(message)
            ));
        }
        for test in &self.tests {
            if test.is_bad() || verbose || test.status == "warn" {
                line(format!(
                    "{} {} ({}){}",
                    test.status,
                    test.unique_id,
                    test.file,
                    behind_colon(test.message.as_deref())
                ));
            }
        }
        for column in &self.columns {
            let readers = match column.readers.is_empty() {
                true => String::new(),
                false => format!("; read by {}", column.readers.join(", ")),
            };
            line(format!(
                "column {}.{} {}{readers}",
                column.relation,
                column.column,
                column.change.words()
            ));
        }
        for entry in &self.diff {
            line(format!("data of {}: {}", entry.relation, entry.says()));
        }
        for (id, relation) in &self.deleted {
            line(format!("not made any more: {relation} ({id})"));
        }
        for (id, why) in &self.left_out {
            line(format!("left out {id}: {why}"));
        }
        for (id, why) in &self.not_run {
            line(format!("not run {id}: {why}"));
        }
        for relation in &self.dropped {
            line(format!("dropped {relation}"));
        }
        if let Some(release) = &self.release {
            line(format!("a release of this: {}", release.headline));
            for refusal in &release.refused {
                line(refusal.to_string());
            }
            for (word, names) in release.parts().into_iter().filter(|_| verbose) {
                line(format!("{word}: {}", names.join(", ")));
            }
        }
        for note in &self.notes {
            line(format!("note: {note}"));
        }
        if let Some(corner) = &self.corner {
            let schemas: Vec<&str> = corner.schemas.values().map(String::as_str).collect();
            line(format!(
                "stands in {} on the cluster {} until {:.0}",
                schemas.join(", "),
                corner.cluster,
                corner.expires_at
            ));
        }
        line(format!(
            "{} {}: {}",
            self.name,
            self.verdict.as_str(),
            self.headline()
        ));
        if let Some(error) = &self.error {
            line(error.clone());
        }
        out
    }
}

fn behind_colon(message: Option<&str>) -> String {
    message.map(|text| format!(": {text}")).unwrap_or_default()
}
