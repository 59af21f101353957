//! What is written otherwise than in the baseline, as a plan shows it: a difference of compiled SQL, and configuration
//! that reaches a statement. Bounded, so that a plan stays one that people read.

use crate::domain::plan::{ConfigChange, TextChange, Texts};
use crate::inputs::outcome::Outcome;
use similar::{Algorithm, ChangeTag, TextDiff};
use std::collections::{BTreeMap, BTreeSet};

/// The most lines of one node.
const NODE: usize = 80;
/// The most lines of all nodes.
const ALL: usize = 800;
/// The most nodes.
const NODES: usize = 50;
/// The most characters of a line, and of a value of configuration.
const WIDTH: usize = 240;
/// A text of more lines is not compared line by line: that takes the square of their number.
const COMPARED: usize = 3_000;
/// Lines that are as they were, before and behind those that are not.
const AROUND: usize = 3;

/// A node whose SQL or configuration is another.
#[derive(Debug, Clone)]
pub struct Written<'a> {
    /// dbt's unique id.
    pub unique_id: &'a str,
    /// The node's file, from the project's folder.
    pub file: &'a str,
    /// Its compiled SQL in the baseline and now, where it is another and both are known.
    pub sql: Option<(&'a str, &'a str)>,
    /// Whether its SQL is another and not known of both.
    pub is_unknown: bool,
    /// Its configuration.
    pub config: Vec<ConfigChange>,
}

/// What a plan shows of nodes, which come in the order of their ids.
#[must_use]
pub fn texts(written: Vec<Written<'_>>) -> Texts {
    let mut texts = Texts::default();
    let mut left = ALL;
    for node in written {
        if node.is_unknown {
            texts.unknown.push(node.unique_id.to_owned());
        }
        let lines = node
            .sql
            .map_or_else(Vec::new, |(old, new)| difference(old, new));
        if lines.is_empty() && node.config.is_empty() {
            continue;
        }
        if texts.nodes.len() == NODES || left == 0 {
            texts.more += 1;
            continue;
        }
        let shown = lines.len().min(NODE).min(left);
        left -= shown;
        texts.nodes.push(TextChange {
            unique_id: node.unique_id.to_owned(),
            file: node.file.to_owned(),
            cut: lines.len() - shown,
            diff: lines.into_iter().take(shown).collect(),
            config: node.config,
        });
    }
    texts
}

/// A unified difference, line by line; empty where none differs but by white space at its end.
fn difference(old: &str, new: &str) -> Vec<String> {
    let lines = |text: &str| -> Vec<String> {
        text.trim_end()
            .lines()
            .map(|line| short(line.trim_end()))
            .collect()
    };
    let (old, new) = (lines(old), lines(new));
    if old.len().max(new.len()) > COMPARED {
        let old = old.iter().map(|line| format!("-{line}"));
        return old
            .chain(new.iter().map(|line| format!("+{line}")))
            .collect();
    }
    let (old, new): (Vec<&str>, Vec<&str>) = (
        old.iter().map(String::as_str).collect(),
        new.iter().map(String::as_str).collect(),
    );
    let diff = TextDiff::configure()
        .algorithm(Algorithm::Myers)
        .diff_slices(&old, &new);
    let mut shown = Vec::new();
    for group in diff.grouped_ops(AROUND) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        let range = |begin: usize, end: usize| match end - begin {
            1 => format!("{}", begin + 1),
            count => format!("{},{count}", begin + usize::from(count > 0)),
        };
        shown.push(format!(
            "@@ -{} +{} @@",
            range(first.old_range().start, last.old_range().end),
            range(first.new_range().start, last.new_range().end)
        ));
        for op in &group {
            for change in diff.iter_changes(op) {
                let sign = match change.tag() {
                    ChangeTag::Equal => ' ',
                    ChangeTag::Delete => '-',
                    ChangeTag::Insert => '+',
                };
                shown.push(format!("{sign}{}", change.value()));
            }
        }
    }
    shown
}

fn short(text: &str) -> String {
    let mut characters = text.char_indices();
    match characters.nth(WIDTH) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// In which configuration that reaches a statement two outcomes of a node differ, sorted by name.
#[must_use]
pub fn config(old: &Outcome, new: &Outcome) -> Vec<ConfigChange> {
    let mut values: BTreeMap<&str, (Option<String>, Option<String>)> = BTreeMap::new();
    let place = |outcome: &Outcome| {
        let (database, schema, name) = &outcome.place;
        format!("{database}.{schema}.{name}")
    };
    let indexes = |outcome: &Outcome| {
        let indexes = outcome.indexes.iter();
        let indexes: Vec<String> = indexes
            .map(|index| serde_json::to_string(index).unwrap_or_default())
            .collect();
        (!indexes.is_empty()).then(|| indexes.join(" "))
    };
    values.insert("place", (Some(place(old)), Some(place(new))));
    values.insert(
        "materialized",
        (
            Some(old.materialized.clone()),
            Some(new.materialized.clone()),
        ),
    );
    values.insert("cluster", (old.cluster.clone(), new.cluster.clone()));
    values.insert("indexes", (indexes(old), indexes(new)));
    let names: BTreeSet<&String> = old.options.keys().chain(new.options.keys()).collect();
    for name in names {
        let value = |outcome: &Outcome| {
            let value = outcome.options.get(name)?;
            Some(match value.as_str() {
                Some(text) => text.to_owned(),
                None => value.to_string(),
            })
        };
        values.insert(name, (value(old), value(new)));
    }
    let changed = values.into_iter().filter(|(_, (from, to))| from != to);
    changed
        .map(|(name, (from, to))| ConfigChange {
            name: name.to_owned(),
            from: from.as_deref().map(short),
            to: to.as_deref().map(short),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<'a>(id: &'a str, old: &'a str, new: &'a str) -> Written<'a> {
        Written {
            unique_id: id,
            file: "models/a.sql",
            sql: Some((old, new)),
            is_unknown: false,
            config: Vec::new(),
        }
    }

    #[test]
    fn a_difference_is_unified_and_ends_of_lines_do_not_count() {
        let old = "select a,  \n  b\nfrom t\nwhere 1 = 1\nand 2 = 2\nand 3 = 3\nand 4 = 4\n";
        let new = "select a,\n  c\nfrom t\nwhere 1 = 1\nand 2 = 2\nand 3 = 3\nand 4 = 4";
        assert_eq!(
            difference(old, new),
            [
                "@@ -1,5 +1,5 @@",
                " select a,",
                "-  b",
                "+  c",
                " from t",
                " where 1 = 1",
                " and 2 = 2"
            ]
        );
        assert_eq!(difference("a\n", "a  "), Vec::<String>::new());
        assert_eq!(difference("", "x"), ["@@ -0,0 +1 @@", "+x"]);
    }

    #[test]
    fn what_is_shown_is_bounded_and_says_so() {
        let old: String = (0..200).map(|line| format!("old {line}\n")).collect();
        let new: String = (0..200).map(|line| format!("new {line}\n")).collect();
        let ids: Vec<String> = (0..60)
            .map(|number| format!("model.shop.m{number:02}"))
            .collect();
        let found = texts(ids.iter().map(|id| written(id, &old, &new)).collect());
        assert_eq!(found.nodes.len(), ALL / NODE);
        assert_eq!(found.more, 60 - ALL / NODE);
        let first = &found.nodes[0];
        assert_eq!((first.diff.len(), first.cut), (NODE, 401 - NODE));
        let long = "x".repeat(10_000);
        let found = texts(vec![written("a", "y", &long)]);
        assert!(
            found.nodes[0]
                .diff
                .iter()
                .all(|line| line.chars().count() <= WIDTH + 2)
        );
        let found = texts(vec![Written {
            is_unknown: true,
            sql: None,
            ..written("a", "", "")
        }]);
        assert_eq!((found.nodes.len(), found.unknown.len()), (0, 1));
    }
}
