//! What the migrations recorded in a journal say about it.

use super::error::StoreError;
use refinery::Migration;

/// Compares what was applied (version, name, checksum) with what this version ships.
pub(super) fn compare(
    place: &str,
    applied: &[(i64, String, String)],
    known: &[Migration],
) -> Result<(), StoreError> {
    for (version, name, checksum) in applied {
        let same_version = known.iter().find(|m| i64::from(m.version()) == *version);
        let Some(expected) = same_version else {
            return Err(StoreError::NewerSchema {
                place: place.to_owned(),
                found: format!("V{version}__{name}"),
                known: known
                    .iter()
                    .max()
                    .map_or_else(|| "nothing".to_owned(), ToString::to_string),
            });
        };
        if expected.name() != name || expected.checksum().to_string() != *checksum {
            return Err(StoreError::DivergentSchema {
                place: place.to_owned(),
                found: format!("V{version}__{name} ({checksum})"),
                known: format!("{expected} ({})", expected.checksum()),
            });
        }
    }
    Ok(())
}

/// A history without the tables that it speaks of is not ours to repair.
pub(super) fn complete<'a>(
    place: &str,
    tables: &[String],
    expected: impl Iterator<Item = &'a &'a [&'a str]>,
) -> Result<(), StoreError> {
    for table in expected.copied().flatten() {
        if !tables.iter().any(|found| found == table) {
            return Err(StoreError::Corrupt {
                place: place.to_owned(),
                found: format!("the table {table} is missing"),
            });
        }
    }
    Ok(())
}
