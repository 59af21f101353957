//! The files around a journal: folders, modes, and what the system says about them.

use super::error::StoreError;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The size of which every page size of SQLite is a multiple, in bytes.
const SMALLEST_PAGE: u64 = 512;

/// The error for what the system said about `place`.
pub(super) fn failure(place: &str, action: &str, error: Error) -> StoreError {
    let place = place.to_owned();
    let kind = error.kind();
    if kind == ErrorKind::StorageFull || kind == ErrorKind::QuotaExceeded {
        StoreError::Full { place }
    } else if kind == ErrorKind::ReadOnlyFilesystem {
        StoreError::ReadOnly { place }
    } else if kind == ErrorKind::Interrupted || kind == ErrorKind::WouldBlock {
        StoreError::Io {
            place,
            action: action.to_owned(),
            source: error.into(),
        }
    } else {
        StoreError::CannotOpen {
            place,
            action: action.to_owned(),
            source: error.into(),
        }
    }
}

/// Makes the folder of `path` (0700) where it is missing, and gives the path that every process
/// agrees on.
pub(super) fn resolve(path: &Path) -> Result<PathBuf, StoreError> {
    let place = path.display().to_string();
    let folder = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| failure(&place, "making its folder", error))?;
    match path.canonicalize() {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == ErrorKind::NotFound => folder
            .canonicalize()
            .map(|folder| folder.join(path.file_name().unwrap_or_default()))
            .map_err(|error| failure(&place, "resolving its folder", error)),
        Err(error) => Err(failure(&place, "resolving its path", error)),
    }
}

/// Keeps other processes from opening the journal while this one checks and migrates it; refinery
/// takes no lock of its own. Released when dropped.
pub(super) fn lock_opening(path: &Path, at_most: Duration) -> Result<File, StoreError> {
    let lock = beside(path, ".opening");
    let place = lock.display().to_string();
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock)
        .map_err(|error| failure(&place, "making its lock", error))?;
    let deadline = Instant::now() + at_most;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Busy {
                    place: path.display().to_string(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failure(&place, "locking", error)),
        }
    }
}

/// Makes sure that there is a file (0600 where it is made) and that nothing lies there that SQLite
/// would quietly start over.
pub(super) fn prepare(path: &Path) -> Result<(), StoreError> {
    let place = path.display().to_string();
    let failed = |action: &'static str| {
        let place = place.clone();
        move |error: Error| failure(&place, action, error)
    };
    let length = match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(StoreError::NotAJournal {
                place,
                found: if found.is_dir() {
                    "a folder".to_owned()
                } else {
                    "not a regular file".to_owned()
                },
            });
        }
        Ok(found) => Some(found.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(failed("looking at it")(error)),
    };
    let log = beside(path, "-wal");
    let logged = match std::fs::metadata(&log) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return Err(failed("looking at its log")(error)),
    };
    let damaged = |found: String| {
        Err(StoreError::Corrupt {
            place: place.clone(),
            found,
        })
    };
    match length {
        // With an empty or missing database SQLite deletes the write-ahead log, and with it
        // everything that was recorded since the last checkpoint.
        None | Some(0) if logged > 0 => {
            return damaged(format!(
                "the database is {}, but its log {} holds {logged} bytes",
                if length.is_some() { "empty" } else { "missing" },
                log.display(),
            ));
        }
        // SQLite takes the missing part of a last page for zeroes. A log, which holds the page
        // whole, may be what is left of a checkpoint that was cut short.
        Some(length) if logged == 0 && length % SMALLEST_PAGE != 0 => {
            if !begins_as_database(path).map_err(failed("reading it"))? {
                return Err(StoreError::NotAJournal {
                    place,
                    found: "not an SQLite database".to_owned(),
                });
            }
            return damaged(format!(
                "its length of {length} bytes is no whole number of pages"
            ));
        }
        None | Some(_) => {}
    }
    if length.is_none() {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed("making it"))?;
    }
    Ok(())
}

/// The path with something added to the file name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(suffix);
    path.with_file_name(name)
}

/// Whether a file has the first bytes of every SQLite database.
fn begins_as_database(path: &Path) -> std::io::Result<bool> {
    const OPENING: &[u8] = b"SQLite format 3\0";
    let mut found = Vec::new();
    File::open(path)?
        .take(OPENING.len() as u64)
        .read_to_end(&mut found)?;
    Ok(found == OPENING)
}
