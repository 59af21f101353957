//! The data diff, as text and as Markdown.

use crate::domain::checks::Moment;
use crate::domain::diff::{ColumnDiff, Entry, Record, Sample, Sides};
use crate::foundation::escape::{code, prose, visible};
use crate::foundation::span::moment;
use crate::interfaces::console::output::tables::table;
use crate::interfaces::console::output::{Page, View, format};
use crate::interfaces::record::DiffView;
use crate::operations::deployment::diff::Recorded;
use std::collections::BTreeMap;

impl View for DiffView {
    fn text(&self, page: Page) -> String {
        let deployment = &self.deployment;
        let mut text = format!(
            "Data diff of deployment {} ({}, {})\n",
            visible(&deployment.id),
            visible(&deployment.environment),
            format::state(deployment.state)
        );
        if self.diff.is_empty() {
            text.push_str("\nNothing was compared.\n");
        }
        text.push_str(&recorded(&self.diff, page.verbose));
        text
    }
}

impl DiffView {
    /// A section for a comment or a page.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!(
            "### Data diff of {}\n\n",
            prose(&self.deployment.environment)
        );
        if self.diff.is_empty() {
            text.push_str("Nothing was compared.\n");
        }
        for (moment, record) in self.diff.all() {
            text.push_str(&format!(
                "{}: {}\n\n| relation | outcome | rows (old) | rows (new) | lost | added | changed | what |\n|---|---|---|---|---|---|---|---|\n",
                title(moment),
                record.summary()
            ));
            for entry in &record.entries {
                let [relation, outcome, old, new, lost, added, changed, _] = cells(entry);
                let says = entry.says();
                let (relation, says) = (code(&relation), prose(&says));
                let cells = [relation, outcome, old, new, lost, added, changed, says];
                text.push_str(&format!("| {} |\n", cells.join(" | ")));
            }
            text.push('\n');
        }
        text
    }
}

fn title(moment: Moment) -> &'static str {
    match moment {
        Moment::Before => "New side against production",
        Moment::Soak => "What serves against the old side",
    }
}

/// Tables of what is on record; with columns and rows where they differ.
pub(super) fn recorded(diff: &Recorded, verbose: bool) -> String {
    let mut text = String::new();
    for (moment, record) in diff.all() {
        text.push_str(&format!("\n{}: {}\n", title(moment), record.summary()));
        text.push_str(&relations(record));
        for entry in &record.entries {
            text.push_str(&details(entry, verbose));
        }
    }
    text
}

fn cells(entry: &Entry) -> [String; 8] {
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    let rows = entry.rows.as_ref();
    let compared = entry.compared.as_ref();
    [
        entry.relation.to_string(),
        entry.outcome.to_string(),
        number(rows.map(|rows| rows.blue)),
        number(rows.map(|rows| rows.green)),
        number(compared.map(|compared| compared.lost)),
        number(compared.map(|compared| compared.added)),
        number(compared.and_then(|compared| compared.changed)),
        entry.verdict.to_string(),
    ]
}

fn relations(record: &Record) -> String {
    let rows = record.entries.iter().map(|entry| {
        let cells = cells(entry);
        cells.map(|cell| visible(&cell).into_owned())
    });
    table(
        [
            "RELATION", "OUTCOME", "OLD", "NEW", "LOST", "ADDED", "CHANGED", "VERDICT",
        ],
        rows,
    )
}

fn details(entry: &Entry, verbose: bool) -> String {
    let mut text = format!(
        "\n{}: {}\n",
        visible(&entry.relation.to_string()),
        visible(&entry.says())
    );
    for against in &entry.against {
        text.push_str(&format!("  {}: {}\n", entry.verdict, visible(against)));
    }
    let columns = entry.compared.iter().flat_map(|compared| &compared.columns);
    let columns: Vec<&ColumnDiff> = columns
        .filter(|column| verbose || column.differs())
        .collect();
    if !columns.is_empty() {
        let rows = columns.into_iter().map(|column| {
            let pair = |sides: &Option<Sides<u64>>| match sides {
                Some(sides) if sides.blue == sides.green => sides.blue.to_string(),
                Some(sides) => format!("{} → {}", sides.blue, sides.green),
                None => "-".to_owned(),
            };
            let end = |sides: &Option<Sides<Option<String>>>| {
                let value = |value: &Option<String>| match value {
                    Some(value) => visible(value).into_owned(),
                    None => "NULL".to_owned(),
                };
                match sides {
                    Some(sides) if sides.blue == sides.green => value(&sides.blue),
                    Some(sides) => format!("{} → {}", value(&sides.blue), value(&sides.green)),
                    None => "-".to_owned(),
                }
            };
            let types = column.types.as_ref().map_or(String::new(), |types| {
                format!("{} → {}", types.blue, types.green)
            });
            let as_text = if column.as_text { "as text" } else { "" };
            let how: Vec<&str> = [&*types, as_text]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect();
            [
                format!("  {}", visible(&column.name)),
                column
                    .changed
                    .map_or("-".to_owned(), |number| number.to_string()),
                pair(&column.nulls),
                pair(&column.distinct),
                end(&column.min),
                end(&column.max),
                visible(&how.join(", ")).into_owned(),
            ]
        });
        text.push_str(&table(
            [
                "  COLUMN", "CHANGED", "NULLS", "DISTINCT", "MIN", "MAX", "TYPE",
            ],
            rows,
        ));
    }
    for sample in &entry.samples {
        text.push_str(&row(sample));
    }
    if entry.samples_cut {
        text.push_str("  more rows were cut off (diff.sample_bytes)\n");
    }
    text.push_str(&format!(
        "  {} in {}{}\n",
        moment(entry.at),
        format::length(std::time::Duration::from_millis(entry.took_ms)),
        match &entry.cluster {
            Some(cluster) => format!(" on {}", visible(cluster)),
            None => String::new(),
        }
    ));
    text
}

fn row(sample: &Sample) -> String {
    let values = |row: &BTreeMap<String, Option<String>>| -> String {
        let values = row.iter().map(|(name, value)| match value {
            Some(value) => format!("{}={}", visible(name), visible(value)),
            None => format!("{}=NULL", visible(name)),
        });
        values.collect::<Vec<_>>().join(", ")
    };
    let mut text = String::new();
    if !sample.blue.is_empty() {
        text.push_str(&format!("  - {} {}\n", sample.kind, values(&sample.blue)));
    }
    if !sample.green.is_empty() {
        text.push_str(&format!("  + {} {}\n", sample.kind, values(&sample.green)));
    }
    text
}
