//! The migrations, and what those recorded in a journal say about it.

use super::error::StoreError;
use refinery::{Migration, Runner};

/// Files of a folder of `migrations`, by name. refinery has a macro that reads the folder, and with it regular
/// expressions and itself are built a second time, for the compiler.
macro_rules! files {
    ($folder:literal: $($name:literal),+) => {
        [$((
            $name,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/", $folder, "/", $name, ".sql")),
        )),+]
    };
}

/// Name and SQL of each migration of a journal in SQLite.
pub(super) const SQLITE: [(&str, &str); 9] = files!["sqlite":
    "V1__journal", "V2__daemon", "V3__wishes", "V4__subjects_and_identity", "V5__corners",
    "V6__holds", "V7__approvals", "V8__freezes", "V9__drift"];

/// The same in PostgreSQL.
pub(super) const POSTGRES: [(&str, &str); 10] = files!["postgres":
    "V1__journal", "V2__daemon", "V3__wishes", "V4__subjects_and_identity", "V5__lead_token", "V6__corners",
    "V7__holds", "V8__approvals", "V9__freezes", "V10__drift"];

/// Applies what is missing of them.
pub(super) fn runner(files: &[(&str, &str)]) -> Runner {
    let migrations: Vec<Migration> = files
        .iter()
        .map(|(name, sql)| Migration::unapplied(name, sql).expect("the name of a migration"))
        .collect();
    Runner::new(&migrations)
}

/// Whether migrations were recorded among these tables; not in an empty place, which is a journal to be.
pub(super) fn was_migrated(
    place: &str,
    kind: &'static str,
    tables: &[String],
) -> Result<bool, StoreError> {
    let is_recorded = tables
        .iter()
        .any(|table| table == "refinery_schema_history");
    if !is_recorded && !tables.is_empty() {
        let some = &tables[..tables.len().min(5)];
        return Err(StoreError::NotAJournal {
            place: place.to_owned(),
            found: format!("a {kind} of something else, with {}", some.join(", ")),
        });
    }
    Ok(is_recorded)
}

/// Whether migrations that this version ships are to be applied: what was applied (version, name, checksum) must
/// be among them, and `made`, the tables of each, must be there.
pub(super) fn lacks_migrations(
    place: &str,
    tables: &[String],
    applied: &[(i64, String, String)],
    known: &[Migration],
    made: &[&[&str]],
) -> Result<bool, StoreError> {
    compare(place, applied, known)?;
    // A history without the tables that it speaks of is not ours to repair.
    for table in made.iter().take(applied.len()).copied().flatten() {
        if !tables.iter().any(|found| found == table) {
            return Err(StoreError::Corrupt {
                place: place.to_owned(),
                found: format!("the table {table} is missing"),
            });
        }
    }
    Ok(applied.len() < known.len())
}

fn compare(
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

#[cfg(test)]
mod tests {
    use super::{POSTGRES, SQLITE};
    use std::path::Path;

    #[test]
    fn every_file_is_shipped() {
        for (folder, shipped) in [("sqlite", &SQLITE[..]), ("postgres", &POSTGRES[..])] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("migrations")
                .join(folder);
            let mut found: Vec<String> = std::fs::read_dir(folder)
                .expect("a folder")
                .map(|entry| entry.expect("a file").file_name().into_string())
                .collect::<Result<_, _>>()
                .expect("UTF-8");
            let number = |name: &String| -> Option<u32> {
                name.strip_prefix('V')?.split_once("__")?.0.parse().ok()
            };
            found.sort_by_key(number);
            let names: Vec<String> = shipped
                .iter()
                .map(|(name, _)| format!("{name}.sql"))
                .collect();
            assert_eq!(names, found);
        }
    }
}
