//! Columns that production gains, loses or has retyped, as far as contracts say so.
//!
//! A model without an enforced contract does not say which columns it will have, so nothing is said
//! of it. Types are compared under the names that Materialize shows; its catalog shows them without
//! length and precision, so these count only where both sides have them.

use super::candidate::{Input, Materialization};
use super::lookup::Lookup;
use crate::domain::plan::{ColumnChange, ColumnChangeKind};
use std::collections::BTreeSet;

/// The changes of the planned nodes, sorted by relation and column.
pub(super) fn changes(
    input: &Input<'_>,
    lookup: &Lookup<'_>,
    planned: &BTreeSet<String>,
) -> Vec<ColumnChange> {
    let mut changes = Vec::new();
    for node in planned
        .iter()
        .filter_map(|id| input.candidate.nodes.get(id))
    {
        let (Some(promised), Some(live), Materialization::Relation(_)) = (
            &node.contract,
            lookup.relation_of(node),
            node.materialization(),
        ) else {
            continue;
        };
        let relation = format!("{}.{}", node.schema, node.identifier);
        let mut push = |column: &String, change| {
            changes.push(ColumnChange {
                relation: relation.clone(),
                column: column.clone(),
                change,
            });
        };
        for (column, to) in promised {
            match live.columns.get(column) {
                None => push(column, ColumnChangeKind::Added { to: to.clone() }),
                Some(from) if !is_same_type(from, to) => push(
                    column,
                    ColumnChangeKind::Retyped {
                        from: from.clone(),
                        to: to.clone(),
                    },
                ),
                Some(_) => {}
            }
        }
        for (column, from) in &live.columns {
            if !promised.contains_key(column) {
                push(column, ColumnChangeKind::Removed { from: from.clone() });
            }
        }
    }
    changes.sort_by(|a, b| (&a.relation, &a.column).cmp(&(&b.relation, &b.column)));
    changes
}

/// Whether two names mean one type.
fn is_same_type(one: &str, other: &str) -> bool {
    let (one, other) = (TypeName::of(one), TypeName::of(other));
    let is_open = one.modifier.is_none() || other.modifier.is_none();
    one.base == other.base && (is_open || one.modifier == other.modifier)
}

/// A type's name, taken apart.
#[derive(Debug, PartialEq)]
struct TypeName {
    /// As Materialize shows it, arrays with `[]`.
    base: String,
    /// What stood between parentheses, without spaces.
    modifier: Option<String>,
}

impl TypeName {
    fn of(written: &str) -> Self {
        let mut words = written.split_whitespace().collect::<Vec<_>>().join(" ");
        words.make_ascii_lowercase();
        let (mut name, mut modifier) = (words, None);
        if let Some((before, rest)) = name.split_once('(')
            && let Some((inside, after)) = rest.split_once(')')
        {
            let parts: Vec<&str> = inside.split(',').map(str::trim).collect();
            modifier = Some(parts.join(","));
            name = format!("{} {}", before.trim(), after.trim());
        }
        let array = name.matches("[]").count();
        let name = name.replace("[]", "");
        let name = name.trim();
        let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
        // A list or map is shown without what it is made of.
        let shown = if name.ends_with(" list") {
            "list"
        } else if name.starts_with("map[") {
            "map"
        } else {
            shown(name, modifier.as_deref())
        };
        // What is no part of the type that is shown, or its default.
        if matches!(
            shown,
            "real" | "double precision" | "time" | "list" | "map" | "numeric"
        ) && !(shown == "numeric" && modifier.is_some())
        {
            modifier = None;
        }
        if shown == "numeric" {
            modifier = modifier.map(|given| match given.contains(',') {
                true => given,
                false => format!("{given},0"),
            });
        }
        let dimensions = if array > 0 { "[]" } else { "" };
        Self {
            base: format!("{shown}{dimensions}"),
            modifier,
        }
    }
}

/// The name that Materialize shows for a type that SQL may call otherwise.
fn shown<'n>(name: &'n str, modifier: Option<&str>) -> &'n str {
    match name {
        "bool" => "boolean",
        "int2" => "smallint",
        "int" | "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float" if precision(modifier).is_some_and(|bits| bits <= 24) => "real",
        "float" | "float8" | "double" => "double precision",
        "dec" | "decimal" => "numeric",
        "string" => "text",
        "varchar" | "char varying" => "character varying",
        "char" | "bpchar" => "character",
        "bytes" => "bytea",
        "json" => "jsonb",
        "timestamptz" => "timestamp with time zone",
        "timestamp without time zone" => "timestamp",
        "time without time zone" => "time",
        other => other,
    }
}

fn precision(modifier: Option<&str>) -> Option<u32> {
    modifier?.parse().ok()
}

#[cfg(test)]
mod tests;
