//! Columns that production gains, loses or has otherwise.
//!
//! First as far as contracts say so: a model without an enforced one does not say which columns it will have. Types are
//! compared under the names that Materialize shows; its catalog shows them without length and precision, so these
//! count only where both sides have them. Then as the server's planner describes the nodes ([`described`]), which says
//! everything and takes the place of what contracts say.

use super::candidate::{Candidate, Input, Materialization};
use super::lookup::Lookup;
use crate::domain::catalog::{Catalog, Column, Object, ObjectKind};
use crate::domain::plan::refusal::{Refusal, RefusalName, Refusals};
use crate::domain::plan::{ColumnChange, ColumnChangeKind, Plan, Reader, ReaderKind};
use crate::inputs::manifest::Manifest;
use std::collections::{BTreeMap, BTreeSet};

/// What a lost column is to be done about.
const REMEDY: &str = "add the column to the model, or accept the loss with --allow column-lost";

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
                readers: Vec::new(),
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

/// Nodes and their columns as the server's planner described them, beside production.
#[derive(Debug, Clone, Copy)]
pub struct Described<'a> {
    /// The project.
    pub candidate: &'a Candidate,
    /// Its manifest, for exposures.
    pub manifest: &'a Manifest,
    /// Production.
    pub catalog: &'a Catalog,
    /// Columns in order, by unique id.
    pub columns: &'a BTreeMap<String, Vec<Column>>,
    /// Unique ids of everything that is built: it reads what is built and not what is there.
    pub built: &'a BTreeSet<&'a str>,
}

/// What changes with described nodes, sorted by relation and column.
#[must_use]
pub fn described(given: Described<'_>) -> Vec<ColumnChange> {
    let lookup = Lookup::of(given.candidate, given.catalog);
    let mut changes = Vec::new();
    for (id, columns) in given.columns {
        let node = given.candidate.nodes.get(id);
        let Some((node, live)) = node.and_then(|node| Some((node, lookup.relation_of(node)?)))
        else {
            continue;
        };
        for (column, change) in compared(live, columns) {
            changes.push(ColumnChange {
                relation: format!("{}.{}", node.schema, node.identifier),
                readers: match change {
                    ColumnChangeKind::Added { .. } => Vec::new(),
                    ColumnChangeKind::Removed { .. }
                    | ColumnChangeKind::Retyped { .. }
                    | ColumnChangeKind::Nullable { .. } => {
                        readers(given, &lookup, (id, live), &column)
                    }
                },
                column,
                change,
            });
        }
    }
    changes.sort_by(|a, b| (&a.relation, &a.column).cmp(&(&b.relation, &b.column)));
    changes
}

/// The difference of a relation that serves and the columns that its successor has, by column.
fn compared(live: &Object, columns: &[Column]) -> BTreeMap<String, ColumnChangeKind> {
    let mut changes = BTreeMap::new();
    for Column {
        name,
        data_type,
        nullable,
    } in columns
    {
        let to = data_type.clone();
        let change = match live.columns.get(name) {
            None => ColumnChangeKind::Added { to },
            Some(from) if from != data_type => ColumnChangeKind::Retyped {
                from: from.clone(),
                to,
            },
            Some(_) if *nullable && live.not_null.contains(name) => {
                ColumnChangeKind::Nullable { to }
            }
            Some(_) => continue,
        };
        changes.insert(name.clone(), change);
    }
    for (name, from) in &live.columns {
        if !columns.iter().any(|column| column.name == *name) {
            let from = from.clone();
            changes.insert(name.clone(), ColumnChangeKind::Removed { from });
        }
    }
    changes
}

/// Who reads a relation and is not built with it. An index reads the columns of its key; of others it is only known
/// which relation they read.
fn readers(
    given: Described<'_>,
    lookup: &Lookup<'_>,
    (id, live): (&str, &Object),
    column: &str,
) -> Vec<Reader> {
    let catalog = given.catalog;
    let is_built = |object: &Object| {
        let schema = catalog.schemas.get(&object.schema_id);
        let node = schema.and_then(|schema| lookup.node_of(schema, object));
        node.is_some_and(|(id, _)| given.built.contains(id.as_str()))
    };
    let reads = |object: &Object| match object.kind == ObjectKind::Index {
        true => {
            let key = catalog.index_keys.get(&object.id);
            key.is_some_and(|key| key.has_column(column))
        }
        false => !is_built(object),
    };
    let objects = lookup.dependents(&live.id).iter();
    let objects = objects.filter(|object| reads(object)).map(|object| Reader {
        kind: match object.kind {
            ObjectKind::View => ReaderKind::View,
            ObjectKind::MaterializedView => ReaderKind::MaterializedView,
            ObjectKind::Index => ReaderKind::Index,
            ObjectKind::Sink => ReaderKind::Sink,
            ObjectKind::Table
            | ObjectKind::Source
            | ObjectKind::Connection
            | ObjectKind::Secret
            | ObjectKind::Type
            | ObjectKind::Function => ReaderKind::Object,
        },
        name: catalog.name_of(object),
    });
    let exposures = given.manifest.exposures.values();
    let exposures = exposures
        .filter(|exposure| exposure.depends_on.nodes.iter().any(|node| node == id))
        .map(|exposure| {
            let mut owner = ["name", "email"].into_iter();
            let owner = owner.find_map(|key| exposure.owner.get(key)?.as_str());
            let whose = owner.map_or_else(String::new, |owner| format!(" of {owner}"));
            Reader {
                kind: ReaderKind::Exposure,
                name: format!("{} ({}{whose})", exposure.name, exposure.kind),
            }
        });
    let readers: BTreeSet<Reader> = objects.chain(exposures).collect();
    readers.into_iter().collect()
}

/// Puts what described nodes change into a plan, in the place of what their contracts say.
pub fn take(plan: &mut Plan, described: &BTreeSet<&str>, changes: Vec<ColumnChange>) {
    let nodes = plan.nodes.iter();
    let relations: BTreeSet<String> = nodes
        .filter(|node| described.contains(node.unique_id.as_str()))
        .map(|node| format!("{}.{}", node.schema, node.identifier))
        .collect();
    plan.columns
        .retain(|change| !relations.contains(&change.relation));
    plan.columns.extend(changes);
    plan.columns
        .sort_by(|a, b| (&a.relation, &a.column).cmp(&(&b.relation, &b.column)));
}

/// What is lost, as it is refused; but for what the plan has accepted already.
#[must_use]
pub fn lost(plan: &Plan) -> Vec<Refusal> {
    let accepted = plan.accepted.iter();
    let accepted: BTreeSet<&String> = accepted
        .filter(|refusal| refusal.name == RefusalName::ColumnLost)
        .flat_map(|refusal| &refusal.objects)
        .collect();
    let mut refusals = Refusals::default();
    for change in &plan.columns {
        if let Some(object) = lost_object(change)
            && !accepted.contains(&object)
        {
            refusals.add(
                RefusalName::ColumnLost,
                "production would lose a column",
                object,
                REMEDY,
            );
        }
    }
    refusals.into_vec()
}

/// As [`lost`], of what contracts say.
pub(super) fn lost_by_contract(changes: &[ColumnChange], refusals: &mut Refusals) {
    for object in changes.iter().filter_map(lost_object) {
        refusals.add(
            RefusalName::ColumnLost,
            "production would lose a column that the contract of its model does not have",
            object,
            REMEDY,
        );
    }
}

/// How a lost column is named.
fn lost_object(change: &ColumnChange) -> Option<String> {
    match &change.change {
        ColumnChangeKind::Removed { from } => {
            Some(format!("{}.{} ({from})", change.relation, change.column))
        }
        ColumnChangeKind::Added { .. }
        | ColumnChangeKind::Retyped { .. }
        | ColumnChangeKind::Nullable { .. } => None,
    }
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
