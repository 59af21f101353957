//! Guests that outlived the Cutover that started them.
//!
//! A surviving dbt would keep creating objects in green while the next Cutover drops or swaps it.
//! [`process`](crate::foundation::process) ends its guests in every way that it can notice; this module is for the
//! rest. Before a guest starts, a record with a random token is written; the token is in the guest's
//! environment, so every descendant carries it and a reused process id never does. The leader is also
//! known by process id and start time (field 22 of `/proc/<pid>/stat`), the boot by its id.
//!
//! Durable: the record, from before the guest starts until it is known to be gone. Linux only.

use crate::foundation::failure::{Class, Classify};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};
use tokio::time::Instant;

/// The variable that carries the token.
pub const TOKEN_VARIABLE: &str = "CUTOVER_GUEST";

/// How long a process may take to vanish after SIGKILL.
const KILL_WAIT: Duration = Duration::from_secs(10);
/// Pause between two looks at `/proc`.
const POLL: Duration = Duration::from_millis(25);

/// Why survivors could not be dealt with.
#[derive(Debug, thiserror::Error)]
pub enum OrphanError {
    /// The record cannot be read, written or removed.
    #[error("the record of a running dbt {} cannot be {action}", path.display())]
    Record {
        /// The record.
        path: PathBuf,
        /// `read`, `written` or `removed`.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The record is not one of ours.
    #[error("the record of a running dbt {} is damaged", path.display())]
    Damaged {
        /// The record.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// `/proc` cannot be read, so that nobody can say whether dbt still runs.
    #[error("the running processes cannot be listed")]
    Processes(#[source] io::Error),
    /// Processes that do not die.
    #[error("an earlier dbt still runs and does not stop: process {}", join(pids))]
    Survives {
        /// Their ids.
        pids: Vec<i32>,
    },
}

impl Classify for OrphanError {
    fn class(&self) -> Class {
        match self {
            Self::Record { .. } => Class::Transient,
            Self::Damaged { .. } | Self::Processes(_) | Self::Survives { .. } => Class::Stuck,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Record { .. } => {
                Some("see to it that the run's folder is writable and its disk is not full".into())
            }
            Self::Damaged { path, .. } => Some(format!(
                "make sure that no dbt of this project runs, remove {} and run `cutover resume`",
                path.display()
            )),
            Self::Processes(_) => None,
            Self::Survives { .. } => Some("end these processes, then run `cutover resume`".into()),
        }
    }
}

fn join(pids: &[i32]) -> String {
    let pids: Vec<String> = pids.iter().map(i32::to_string).collect();
    pids.join(", ")
}

/// What is known of a running guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    token: String,
    boot: String,
    program: PathBuf,
    pid: Option<i32>,
    started: Option<u64>,
}

/// The record of the guest that this process runs.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
    document: Document,
}

impl Record {
    /// Records the intent to start `program`.
    ///
    /// # Errors
    /// When the record cannot be written; then nothing may be started.
    pub fn intend(path: &Path, program: &Path) -> Result<Self, OrphanError> {
        let record = Self {
            path: path.to_owned(),
            document: Document {
                token: uuid::Uuid::now_v7().to_string(),
                boot: boot_id(),
                program: program.to_owned(),
                pid: None,
                started: None,
            },
        };
        record.write()?;
        Ok(record)
    }

    /// The token for the guest's environment.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.document.token
    }

    /// Records that the guest runs.
    ///
    /// # Errors
    /// When the record cannot be written; the token already suffices to find the guest.
    pub fn started(&mut self, pid: i32) -> Result<(), OrphanError> {
        self.document.pid = Some(pid);
        self.document.started = Process::read(pid).map(|process| process.started);
        self.write()
    }

    /// The guest is gone.
    ///
    /// # Errors
    /// When the record cannot be removed.
    pub fn close(self) -> Result<(), OrphanError> {
        remove(&self.path)
    }

    fn write(&self) -> Result<(), OrphanError> {
        let error = |source| OrphanError::Record {
            path: self.path.clone(),
            action: "written",
            source,
        };
        let text = serde_json::to_vec(&self.document).map_err(|source| error(source.into()))?;
        let aside = self.path.with_extension("tmp");
        let write = || {
            use std::io::Write as _;
            let mut file = fs::File::create(&aside)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&aside, &self.path)
        };
        write().map_err(error)
    }
}

/// What [`reap`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaped {
    /// The guest's program.
    pub program: PathBuf,
    /// The processes that were ended.
    pub pids: Vec<i32>,
}

/// Ends whatever survives of the guest that the record at `path` tells of, and removes the record:
/// SIGTERM, then SIGKILL after `stop_timeout`. `None` when there is no record or nothing survived.
///
/// Call it before anything else is done in a run's folder, and only while holding the lock on the
/// deployment: the guest of a living Cutover would be ended too.
///
/// # Errors
/// When it cannot be known, or brought about, that nothing survives.
pub async fn reap(path: &Path, stop_timeout: Duration) -> Result<Option<Reaped>, OrphanError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(OrphanError::Record {
                path: path.to_owned(),
                action: "read",
                source,
            });
        }
    };
    let document: Document =
        serde_json::from_slice(&text).map_err(|source| OrphanError::Damaged {
            path: path.to_owned(),
            source,
        })?;
    let mut ended = Vec::new();
    if document.boot == boot_id() {
        let phases = [
            (Signal::SIGTERM, stop_timeout),
            (Signal::SIGKILL, KILL_WAIT),
        ];
        for (signal, at_most) in phases {
            end(&document, signal, at_most, &mut ended).await?;
        }
        let pids = pids(&document.survivors()?);
        if !pids.is_empty() {
            return Err(OrphanError::Survives { pids });
        }
    }
    remove(path)?;
    Ok((!ended.is_empty()).then_some(Reaped {
        program: document.program,
        pids: ended,
    }))
}

/// Sends `signal` to the survivors, and to those that appear meanwhile, until none is left or
/// `at_most` is over.
async fn end(
    document: &Document,
    signal: Signal,
    at_most: Duration,
    ended: &mut Vec<i32>,
) -> Result<(), OrphanError> {
    let deadline = Instant::now() + at_most;
    let mut signalled = Vec::new();
    loop {
        let survivors = document.survivors()?;
        if survivors.is_empty() {
            return Ok(());
        }
        for process in survivors {
            if signalled.contains(&process.pid) {
                continue;
            }
            signalled.push(process.pid);
            if !ended.contains(&process.pid) {
                ended.push(process.pid);
            }
            // It may have ended by itself since it was listed.
            let _ = kill(Pid::from_raw(process.pid), signal);
        }
        if Instant::now() >= deadline {
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

impl Document {
    /// The living processes of this guest.
    fn survivors(&self) -> Result<Vec<Process>, OrphanError> {
        let all = Process::all().map_err(OrphanError::Processes)?;
        let leader_lives = all.iter().any(|process| self.is_leader(process));
        let mark = format!("{TOKEN_VARIABLE}={}", self.token);
        Ok(all
            .into_iter()
            .filter(|process| {
                (leader_lives && Some(process.group) == self.pid) || process.carries(&mark)
            })
            .collect())
    }

    fn is_leader(&self, process: &Process) -> bool {
        Some(process.pid) == self.pid && Some(process.started) == self.started
    }
}

fn pids(processes: &[Process]) -> Vec<i32> {
    processes.iter().map(|process| process.pid).collect()
}

/// What `/proc/<pid>/stat` says of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: i32,
    group: i32,
    /// Clock ticks since the boot.
    started: u64,
}

impl Process {
    /// Every process but ourselves and the dead.
    fn all() -> io::Result<Vec<Self>> {
        let own = std::process::id();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let pid = entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if let Some(process) = pid.and_then(Self::read)
                && u32::try_from(process.pid) != Ok(own)
            {
                found.push(process);
            }
        }
        Ok(found)
    }

    /// `None` when it does not exist or is a zombie.
    fn read(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The command's name may contain spaces and parentheses; the last one closes it.
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        if matches!(*fields.first()?, "Z" | "X") {
            return None;
        }
        Some(Self {
            pid,
            group: fields.get(2)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    /// Whether its environment has this entry. Processes of other users cannot be ours.
    fn carries(self, mark: &str) -> bool {
        fs::read(format!("/proc/{}/environ", self.pid)).is_ok_and(|environment| {
            environment
                .split(|&byte| byte == 0)
                .any(|entry| entry == mark.as_bytes())
        })
    }
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

fn remove(path: &Path) -> Result<(), OrphanError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(OrphanError::Record {
            path: path.to_owned(),
            action: "removed",
            source,
        }),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
