//! Leadership: which process may write about an environment, and so act on it.
//!
//! Beside an SQLite file the lock is the operating system's lock on another file, one per
//! environment. It ends with the process, however that ends. The file itself stays: what stands in it
//! only tells a refused process who the holder is.
//!
//! In PostgreSQL it is an advisory lock of a connection. It may be lost while the process lives, also
//! because the process was paused for so long that another one has taken its place, so there every
//! write compares an epoch too; see [`super::postgres`].

use super::error::StoreError;
use super::postgres::HeldLead;
use crate::domain::records::subject::Subject;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::RwLock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The longest file name part that an environment's name becomes, in bytes.
const LONGEST_PART: usize = 120;

/// The proof that this process leads an environment in one store. Leadership ends when it is
/// dropped.
#[derive(Debug)]
pub struct Lead {
    pub(super) environment: String,
    /// What the proof is valid in.
    pub(super) place: String,
    /// Which lead of the environment it is, where leads are counted.
    pub(super) epoch: Epoch,
    /// Cancelled when another process has taken the lead over.
    lost: CancellationToken,
    /// Whether it may be another's by now, where it can be lost.
    doubt: Option<watch::Receiver<bool>>,
    /// Who is behind what is done with it.
    pub(super) subject: RwLock<Subject>,
    /// Held for its lock.
    lock: Lock,
}

/// Which lead of an environment it is. The number says which one is later; it can be given twice when a server
/// fell back to what it had before, so that only both together name one lead.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Epoch {
    pub(super) number: i64,
    /// Made anew by each lead, at random.
    pub(super) token: String,
}

/// What ends with the lead.
#[derive(Debug)]
enum Lock {
    File(File),
    Server(#[expect(dead_code, reason = "held to be dropped")] HeldLead),
}

impl Lead {
    /// The environment that is led.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.environment
    }

    /// Ends when another process has taken the lead over, as soon as this one can know; never
    /// beside an SQLite file, where the lock ends with the process and not before. What is written
    /// with a lost lead is refused in any case, with [`StoreError::Superseded`].
    pub fn lost(&self) -> impl Future<Output = ()> + Send + use<> {
        self.lost.clone().cancelled_owned()
    }

    /// Ends when this process cannot be sure any more that it leads: the journal has not confirmed it for so
    /// long that another process may soon take the lead. Whatever is not stopped by the journal itself must
    /// end then. Never beside an SQLite file.
    pub fn in_doubt(&self) -> impl Future<Output = ()> + Send + use<> {
        doubted(self.doubt.clone(), true)
    }

    /// Ends when this process is sure that it leads; never once the lead is lost.
    pub fn certain(&self) -> impl Future<Output = ()> + Send + use<> {
        let doubt = self.doubt.clone();
        async move {
            if doubt.is_some() {
                doubted(doubt, false).await;
            }
        }
    }

    /// The proof of a lead that a connection to a server holds.
    pub(super) fn kept(
        environment: String,
        place: String,
        epoch: Epoch,
        keeper: HeldLead,
        lost: CancellationToken,
        doubt: watch::Receiver<bool>,
    ) -> Self {
        Self {
            environment,
            place,
            epoch,
            lost,
            doubt: Some(doubt),
            subject: RwLock::new(Subject::of_process()),
            lock: Lock::Server(keeper),
        }
    }
}

impl Drop for Lead {
    /// Gives the lock back at once, also while a child process that is being started still has a
    /// copy of the file.
    fn drop(&mut self) {
        if let Lock::File(file) = &self.lock {
            let _ = file.unlock();
        }
    }
}

/// Ends when it is as wanted; never when nobody says so any more.
async fn doubted(doubt: Option<watch::Receiver<bool>>, wanted: bool) {
    if let Some(mut doubt) = doubt
        && doubt.wait_for(|doubt| *doubt == wanted).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Who leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process id.
    pub pid: u32,
    /// The machine, where it may be another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// When it began to lead.
    pub since: Timestamp,
    /// Where it answers, when it is a daemon: the base URL of its API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Takes the lead of `environment` beside the database file at `database`, at once or not at all.
pub(super) fn take(
    database: &Path,
    environment: &str,
    address: Option<String>,
) -> Result<Lead, StoreError> {
    let path = lock_path(database, environment);
    let failed = |action: &'static str| {
        let place = path.display().to_string();
        move |error: std::io::Error| super::files::failure(&place, action, error)
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed("opening the lock file"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::Led {
                environment: environment.to_owned(),
                holder: read_holder(&mut file),
            });
        }
        Err(TryLockError::Error(error)) => return Err(failed("locking")(error)),
    }
    let holder = Holder {
        pid: std::process::id(),
        host: None,
        since: super::now(),
        address,
    };
    // The lock is what counts; a full disk must not keep anyone from leading.
    if let Err(error) = write_holder(&mut file, &holder) {
        tracing::warn!(path = %path.display(), %error, "the lock file does not name its holder");
    }
    Ok(Lead {
        environment: environment.to_owned(),
        place: database.display().to_string(),
        // The file's lock cannot be lost while the process lives.
        epoch: Epoch::default(),
        lost: CancellationToken::new(),
        doubt: None,
        subject: RwLock::new(Subject::of_process()),
        lock: Lock::File(file),
    })
}

/// Who leads `environment` beside the database file at `database`: `None` when nobody does,
/// `Some(None)` when it cannot be read who. Those who look do not disturb each other, and what
/// stands in the file stays.
pub(super) fn look(
    database: &Path,
    environment: &str,
) -> Result<Option<Option<Holder>>, StoreError> {
    let path = lock_path(database, environment);
    let failed = |action: &'static str| {
        let place = path.display().to_string();
        move |error: std::io::Error| super::files::failure(&place, action, error)
    };
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("opening the lock file")(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => {
            let _ = file.unlock();
            Ok(None)
        }
        Err(TryLockError::WouldBlock) => Ok(Some(read_holder(&mut file))),
        Err(TryLockError::Error(error)) => Err(failed("locking")(error)),
    }
}

fn write_holder(file: &mut File, holder: &Holder) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(serde_json::to_string(holder)?.as_bytes())?;
    file.flush()
}

/// The holder, or nothing while the file is being written or was never readable.
fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_slice(text.as_bytes()).ok()
}

/// The lock file of an environment: `NAME.db.lead-ENVIRONMENT`.
pub(super) fn lock_path(database: &Path, environment: &str) -> PathBuf {
    let mut name = database.file_name().unwrap_or_default().to_os_string();
    name.push(".lead-");
    name.push(file_part(environment));
    database.with_file_name(name)
}

/// The name as a part of a file name: different names give different parts, also where file names
/// do not distinguish case.
fn file_part(environment: &str) -> String {
    let mut part = String::new();
    for byte in environment.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-' {
            part.push(char::from(byte));
        } else {
            let _ = write!(part, "%{byte:02x}");
        }
    }
    if part.len() <= LONGEST_PART {
        return part;
    }
    // `~` is never part of a short name, so the two kinds cannot meet.
    format!("~{}", hex::encode(Sha256::digest(environment.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::{file_part, lock_path};
    use proptest::prelude::*;
    use std::path::Path;

    #[test]
    fn the_lock_file_lies_beside_the_database() {
        assert_eq!(
            lock_path(Path::new("/a/cutover.db"), "../Prod/é"),
            Path::new("/a/cutover.db.lead-%2e%2e%2f%50rod%2f%c3%a9")
        );
    }

    proptest! {
        #[test]
        fn parts_are_safe_short_and_distinct(a in ".{0,200}", b in ".{0,200}") {
            let part = file_part(&a);
            prop_assert!(part.len() <= 130);
            prop_assert!(part.bytes().all(|c| c.is_ascii_alphanumeric() || b"_-%~".contains(&c)));
            prop_assert_eq!(part == file_part(&b), a == b);
        }
    }
}
