//! Rows of seeds, read and typed as dbt does it.
//!
//! dbt reads a seed with Python's `csv` and lets agate find out the type of each column
//! (`dbt_common/clients/agate_helper.py`, agate 1.9). Both are intricate; what is certain is done here, and of
//! what is not a seed says so ([`Unsure`]) before anything is made, and dbt builds it.

mod csv;
mod infer;
#[cfg(test)]
mod tests;

use infer::Inferred;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How a seed is configured.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Format {
    /// What stands between fields; one character.
    pub delimiter: char,
    /// Column → its type, as configured. The rows of such a column are taken as text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub column_types: BTreeMap<String, String>,
}

/// A seed as a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// Its rows; each has as many values as there are columns.
    pub rows: Vec<Vec<Value>>,
}

/// A column of a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, as the file has it.
    pub name: String,
    /// Its type, as SQL.
    pub data_type: String,
}

/// A value, as psycopg2 writes it into a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A number, as digits.
    Number(String),
    /// Text.
    Text(String),
    /// `YYYY-MM-DD`.
    Date(String),
    /// `YYYY-MM-DDTHH:MM:SS`.
    Timestamp(String),
    /// A truth value.
    Boolean(bool),
}

/// Why it is not certain what dbt would make of a seed, or that it would make anything; a clause that follows
/// the seed's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unsure(pub String);

impl Seed {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`Unsure`] where dbt would fail, or may understand something else.
    pub fn read(bytes: &[u8], format: &Format) -> Result<Self, Unsure> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Unsure(format!("is not UTF-8 after byte {}", error.valid_up_to())))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut records = csv::records(text, format.delimiter)?.into_iter();
        let header = records.next().filter(|names| !names.is_empty());
        let header =
            header.ok_or_else(|| Unsure("has no line with names of columns".to_owned()))?;
        names_are_plain(&header)?;
        let records: Vec<Vec<String>> = records.collect();
        if let Some((at, row)) = records
            .iter()
            .enumerate()
            .find(|(_, row)| row.len() > header.len())
        {
            return Err(Unsure(format!(
                "has {} values in row {}, and only {} columns",
                row.len(),
                at + 1,
                header.len()
            )));
        }
        let unknown = format
            .column_types
            .keys()
            .find(|name| !header.contains(name));
        if let Some(unknown) = unknown {
            return Err(Unsure(format!(
                "has a type for the column {unknown}, which the file does not have"
            )));
        }
        let mut columns = Vec::with_capacity(header.len());
        let mut inferred = Vec::with_capacity(header.len());
        for (at, name) in header.into_iter().enumerate() {
            let configured = format.column_types.get(&name);
            // A row that ends early has nothing there, and does not count for the type.
            let values = records.iter().filter_map(|row| row.get(at));
            let found = match configured {
                Some(_) => Inferred::Text,
                None => infer::column(values.map(String::as_str)).map_err(|value| {
                    Unsure(format!(
                        "has the value {value:?} in the column {name}, of which it is not certain how dbt reads it; give the column a type in column_types"
                    ))
                })?,
            };
            columns.push(Column {
                data_type: configured.map_or_else(|| found.data_type().to_owned(), Clone::clone),
                name,
            });
            inferred.push(found);
        }
        let rows = records
            .iter()
            .map(|row| {
                let cells = inferred.iter().enumerate();
                let cells = cells
                    .map(|(at, kind)| row.get(at).map_or(Value::Null, |text| kind.value(text)));
                cells.collect()
            })
            .collect();
        Ok(Self { columns, rows })
    }
}

/// agate renames columns without a name and the second of a name, and dbt does not double quotes in names.
fn names_are_plain(names: &[String]) -> Result<(), Unsure> {
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() {
            return Err(Unsure("has a column without a name".to_owned()));
        }
        if name.contains('"') || name.contains('%') || name.contains(char::is_control) {
            return Err(Unsure(format!("has a column named {name:?}")));
        }
        if !seen.insert(name) {
            return Err(Unsure(format!("has two columns named {name}")));
        }
    }
    Ok(())
}
