//! Which columns of two sides are compared, and how.

use std::collections::BTreeMap;

/// A column as the server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as the server calls it.
    pub kind: String,
}

/// How values of two sides are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// As they are.
    Native,
    /// Cast to text: the type has no equality, or the sides have different ones.
    AsText,
}

/// A column that both sides have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paired {
    /// Its name.
    pub name: String,
    /// How it is compared.
    pub how: How,
    /// Whether its smallest and largest values are numbers or moments, which say nothing of a row.
    pub is_measurable: bool,
    /// The types of the old and the new side, where they differ.
    pub retyped: Option<(String, String)>,
}

/// The columns of two sides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairing {
    /// Those that both have, in the new side's order.
    pub both: Vec<Paired>,
    /// Those that only the old side has, in its order.
    pub only_blue: Vec<String>,
    /// Those that only the new side has, in its order.
    pub only_green: Vec<String>,
}

/// A type without its length or scale.
fn stem(kind: &str) -> &str {
    kind.split_once('(').map_or(kind, |(stem, _)| stem).trim()
}

fn is_number(kind: &str) -> bool {
    matches!(
        stem(kind),
        "smallint"
            | "integer"
            | "bigint"
            | "uint2"
            | "uint4"
            | "uint8"
            | "numeric"
            | "real"
            | "double precision"
    )
}

fn is_moment(kind: &str) -> bool {
    matches!(
        stem(kind),
        "date"
            | "time"
            | "time without time zone"
            | "timestamp"
            | "timestamp without time zone"
            | "timestamp with time zone"
            | "mz_timestamp"
    )
}

/// Types whose values every server compares with `=`. What is not known to be one is compared as text.
fn has_equality(kind: &str) -> bool {
    is_number(kind)
        || is_moment(kind)
        || matches!(
            stem(kind),
            "boolean"
                | "text"
                | "character varying"
                | "character"
                | "bytea"
                | "uuid"
                | "oid"
                | "interval"
        )
}

/// Pairs the columns of two sides by name; letter case counts.
#[must_use]
pub fn pair(blue: &[Column], green: &[Column]) -> Pairing {
    let by_name = |columns: &[Column]| -> BTreeMap<String, String> {
        let all = columns.iter();
        all.map(|column| (column.name.clone(), column.kind.clone()))
            .collect()
    };
    let (old, new) = (by_name(blue), by_name(green));
    let lacking = |columns: &[Column], other: &BTreeMap<String, String>| -> Vec<String> {
        let names = columns.iter().map(|column| column.name.clone());
        names.filter(|name| !other.contains_key(name)).collect()
    };
    let both = green.iter().filter_map(|column| {
        let from = old.get(&column.name)?;
        let to = &column.kind;
        let is_alike = stem(from) == stem(to) || (is_number(from) && is_number(to));
        Some(Paired {
            name: column.name.clone(),
            how: match is_alike && has_equality(from) && has_equality(to) {
                true => How::Native,
                false => How::AsText,
            },
            is_measurable: is_alike && (is_number(to) || is_moment(to)),
            retyped: (from != to).then(|| (from.clone(), to.clone())),
        })
    });
    Pairing {
        both: both.collect(),
        only_blue: lacking(blue, &new),
        only_green: lacking(green, &old),
    }
}
