//! From a path to a connection: what lies there is looked at before anything is written to it.

use super::{Fault, told_apart};
use crate::adapters::store::error::StoreError;
use crate::adapters::store::{files, schema};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a statement, and an opening, waits for another process.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Up to this size the whole structure is checked at every start (a few milliseconds a MiB); beyond
/// it damage is found where it is read.
const CHECKED_SIZE: u64 = 32 << 20;

/// The tables without which a history of migrations is a lie, by migration.
const TABLES: [&[&str]; 9] = [
    &["deployments", "events", "effects"],
    &["runs", "outbox", "deliveries", "requests"],
    &[],
    &["journal"],
    &["corners"],
    &["holds"],
    &["approvals"],
    &[],
    &["drift"],
];

/// Opens the database; gives its canonical path too.
pub(super) fn open(path: &Path) -> Result<(PathBuf, Connection), StoreError> {
    let path = files::resolve(path)?;
    let _alone = files::lock_opening(&path, LONGEST_WAIT)?;
    files::prepare(&path)?;
    let connection = connect(&path).map_err(|fault| told_apart(&path, fault))?;
    Ok((path, connection))
}

fn connect(path: &Path) -> Result<Connection, Fault> {
    let place = path.display().to_string();
    // Without SQLITE_OPEN_URI, so that a path is a path whatever it begins with.
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(LONGEST_WAIT)?;
    let pending = check_schema(&connection, &place)?;
    check_structure(&connection, path, &place)?;
    // SQLite falls back to reading only without a word.
    if connection.is_readonly(rusqlite::MAIN_DB)? {
        return Err(StoreError::ReadOnly { place }.into());
    }
    let mode: String =
        connection.query_row("/* store.wal */ PRAGMA journal_mode = WAL", [], |row| {
            row.get(0)
        })?;
    if mode != "wal" {
        return Err(StoreError::CannotOpen {
            place,
            action: "choosing a write-ahead log".to_owned(),
            source: format!("the file system only admits the journal mode {mode}").into(),
        }
        .into());
    }
    connection.execute_batch(
        "/* store.pragmas */
        PRAGMA synchronous = FULL;
        PRAGMA fullfsync = ON;
        PRAGMA foreign_keys = ON;",
    )?;
    if pending {
        migrate(&mut connection, &place)?;
        // The schema goes to the database file at once: an emptied file is then never mistaken
        // for one that was never used.
        connection.query_row(
            "/* store.checkpoint */ PRAGMA wal_checkpoint(TRUNCATE)",
            [],
            |_| Ok(()),
        )?;
    }
    Ok(connection)
}

/// Whether migrations are to be applied. Reads only; refinery would write its table before it
/// compares, and takes what stands in it on trust.
fn check_schema(connection: &Connection, place: &str) -> Result<bool, Fault> {
    let tables: Vec<String> = connection
        .prepare(
            "/* store.tables */
            SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')
            AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    if !schema::was_migrated(place, "database", &tables)? {
        return Ok(true);
    }
    let applied: Vec<(i64, String, String)> = connection
        .prepare(
            "/* store.migrations */
            SELECT version, name, checksum FROM refinery_schema_history ORDER BY version",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let runner = schema::runner(&schema::SQLITE);
    let known = runner.get_migrations();
    Ok(schema::lacks_migrations(
        place, &tables, &applied, known, &TABLES,
    )?)
}

fn check_structure(connection: &Connection, path: &Path, place: &str) -> Result<(), Fault> {
    let size = std::fs::metadata(path).map_or(0, |found| found.len());
    if size > CHECKED_SIZE {
        return Ok(());
    }
    let verdict: String =
        connection.query_row("/* store.check */ PRAGMA quick_check(1)", [], |row| {
            row.get(0)
        })?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(StoreError::Corrupt {
        place: place.to_owned(),
        found: verdict.replace('\n', " "),
    }
    .into())
}

fn migrate(connection: &mut Connection, place: &str) -> Result<(), Fault> {
    let migrated = schema::runner(&schema::SQLITE)
        .set_grouped(true)
        .run(connection);
    match migrated {
        Ok(report) => {
            for migration in report.applied_migrations() {
                tracing::info!(%migration, "the journal was migrated");
            }
            Ok(())
        }
        Err(error) => Err(sqlite_cause(&error).map_or_else(
            || {
                Fault::Store(StoreError::Unexpected {
                    place: place.to_owned(),
                    source: error.to_string().into(),
                })
            },
            Fault::Sqlite,
        )),
    }
}

/// What SQLite said, under what refinery says.
fn sqlite_cause(error: &refinery::Error) -> Option<rusqlite::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(at) = cause {
        if let Some(rusqlite::Error::SqliteFailure(code, message)) =
            at.downcast_ref::<rusqlite::Error>()
        {
            return Some(rusqlite::Error::SqliteFailure(*code, message.clone()));
        }
        cause = at.source();
    }
    None
}
