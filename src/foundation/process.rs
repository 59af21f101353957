//! Running one guest: a program that is not ours, with an end that we decide.
//!
//! - It is an argument vector in its own process group; SIGTERM goes to the whole group at the
//!   deadline or on cancellation, SIGKILL after the stop timeout. When the leader has ended, whatever
//!   it left behind in the group is killed.
//! - Dropping the future kills the group.
//! - When this process dies without a chance to act (SIGKILL), a *watcher* kills the group: a `/bin/sh`
//!   with a fixed script that waits for the end of a pipe which only we hold open. Unlike
//!   `PR_SET_PDEATHSIG` it reaches grandchildren, does not depend on the life of the spawning
//!   thread, and needs no unsafe code. What even that misses (both killed at once) is found
//!   through the record, see [`orphan`](crate::foundation::process::orphan).
//! - Output is read as lines in constant memory; the log file is capped.

use crate::foundation::environment::{SECRET_PREFIX, scrub};
use crate::foundation::process::environment::Variables;
use crate::foundation::process::orphan::{OrphanError, Record, TOKEN_VARIABLE};
use lines::{Lines, Tail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// Bounded lines.
pub mod lines;

/// What is kept of the output for messages, in bytes.
pub const TAIL_LIMIT: usize = 16 << 10;
/// The most that is written to the log file of one guest, in bytes.
pub const LOG_LIMIT: u64 = 64 << 20;
/// How long the pipes are read after the guest has ended; only a descendant that left the group can
/// hold them open.
const DRAIN: Duration = Duration::from_secs(2);
/// Time between SIGTERM and SIGKILL where it must not go on.
pub const HURRY: Duration = Duration::from_secs(1);
/// The watcher: waits for the end of its input, then kills the group `$1`.
const WATCHER: &str = r#"trap '' HUP INT TERM; read -r _; kill -s KILL -- "-$1""#;

/// How a guest failed to run to its own end.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It could not be started.
    #[error("{} could not be started", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It did not end in time.
    #[error("{} did not end within {}{}", program.display(), humantime::format_duration(*deadline), after(tail))]
    Deadline {
        /// The program.
        program: PathBuf,
        /// What it was given.
        deadline: Duration,
        /// The last of its output.
        tail: String,
    },
    /// We were asked to stop.
    #[error("{} was stopped on request", program.display())]
    Cancelled {
        /// The program.
        program: PathBuf,
    },
    /// Somebody else killed it.
    #[error("{} was killed by signal {signal}{}", program.display(), after(tail))]
    Signalled {
        /// The program.
        program: PathBuf,
        /// The signal's number.
        signal: i32,
        /// The last of its output.
        tail: String,
    },
    /// Its end cannot be known.
    #[error("{} cannot be waited for", program.display())]
    Wait {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its record cannot be kept.
    #[error(transparent)]
    Record(#[from] OrphanError),
}

fn after(tail: &str) -> String {
    if tail.trim().is_empty() {
        String::new()
    } else {
        format!("; its last output:\n{tail}")
    }
}

/// One program to run.
#[derive(Debug, Clone)]
pub struct Guest {
    /// The executable.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where it runs.
    pub directory: PathBuf,
    /// All that it sees of the environment.
    pub environment: Variables,
    /// How long it may run.
    pub deadline: Duration,
    /// Time between SIGTERM and SIGKILL.
    pub stop_timeout: Duration,
    /// Ends it in a hurry: within [`HURRY`], whatever the stop timeout.
    pub hurry: Option<CancellationToken>,
    /// Where its whole output goes, up to [`LOG_LIMIT`].
    pub log: Option<PathBuf>,
    /// Where it is recorded while it runs.
    pub record: Option<PathBuf>,
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A guest that ran to its own end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code.
    pub code: i32,
    /// The last of its output.
    pub tail: String,
}

#[derive(Debug, Clone, Copy)]
enum Stop {
    Deadline,
    Cancelled,
}

impl Guest {
    /// Runs the guest and keeps the lines of its standard output, up to so many bytes; what follows is left out.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn run_and_keep(
        &self,
        cancel: &CancellationToken,
        most: usize,
    ) -> Result<(Finished, String), ProcessError> {
        let mut out = String::new();
        let mut keep = |stream: Stream, line: &str| match stream {
            Stream::Out if out.len() + line.len() < most => {
                out.push_str(line);
                out.push('\n');
            }
            Stream::Out | Stream::Err => {}
        };
        let finished = self.run(cancel, &mut keep).await?;
        Ok((finished, out))
    }

    /// Runs the guest; each line of its output is given to `on_line`.
    ///
    /// # Errors
    /// When it cannot be started, is stopped by us, or is killed. An exit code is not an error.
    pub async fn run(
        &self,
        cancel: &CancellationToken,
        on_line: &mut (dyn FnMut(Stream, &str) + Send),
    ) -> Result<Finished, ProcessError> {
        let is_hurried = self.hurry.as_ref().is_some_and(|it| it.is_cancelled());
        if cancel.is_cancelled() || is_hurried {
            return Err(self.cancelled());
        }
        let mut record = match &self.record {
            Some(path) => Some(Record::intend(path, &self.program)?),
            None => None,
        };
        let mut command = self.command();
        if let Some(record) = &record {
            command.env(TOKEN_VARIABLE, record.token());
        }
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(source) => {
                if let Some(record) = record {
                    record.close()?;
                }
                return Err(ProcessError::Start {
                    program: self.program.clone(),
                    source,
                });
            }
        };
        // From here on every way out kills the group.
        let mut group = Group::led_by(&child);
        let watcher = group.0.and_then(watch);
        if let (Some(record), Some(pid)) = (&mut record, group.0) {
            record.started(pid.as_raw())?;
        }
        let mut output = Output::new(self.log.as_deref(), self.secrets(), on_line);
        let ended = self
            .attend(&mut child, &mut group, &mut output, cancel)
            .await;
        if let Some(mut watcher) = watcher {
            // It is of no more use; when it is already gone, so much the better.
            let _ = watcher.kill().await;
        }
        let (status, stop) = ended?;
        if let Some(record) = record {
            record.close()?;
        }
        self.conclude(status, stop, output.finish())
    }

    /// Values of variables that are secrets to dbt.
    fn secrets(&self) -> Vec<String> {
        let secret = self.environment.iter().filter(|(name, _)| {
            let name = name.as_encoded_bytes();
            name.starts_with(SECRET_PREFIX.as_bytes())
        });
        secret
            .filter_map(|(_, value)| value.to_str().map(str::to_owned))
            .collect()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(&self.directory)
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Reads the output until the guest has ended, and ends it when it must.
    async fn attend(
        &self,
        child: &mut Child,
        group: &mut Group,
        output: &mut Output<'_>,
        cancel: &CancellationToken,
    ) -> Result<(ExitStatus, Option<Stop>), ProcessError> {
        let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(self.unwaitable(io::Error::other("its output is not piped")));
        };
        let (mut out, mut err) = (Lines::new(out), Lines::new(err));
        let begun = Instant::now();
        let deadline = begun + self.deadline;
        let mut stop = None;
        let mut kill_at = None;
        let mut ended: Option<(ExitStatus, Instant)> = None;
        let mut is_hurried = false;
        let hurried = async {
            match &self.hurry {
                Some(hurry) => hurry.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(hurried);
        loop {
            if let Some((status, drained)) = ended
                && ((out.ended() && err.ended()) || Instant::now() >= drained)
            {
                return Ok((status, stop));
            }
            let drained = ended.map_or(deadline, |(_, drained)| drained);
            tokio::select! {
                line = out.next(), if !out.ended() => output.line(Stream::Out, line),
                line = err.next(), if !err.ended() => output.line(Stream::Err, line),
                status = child.wait(), if ended.is_none() => {
                    let status = status.map_err(|source| self.unwaitable(source))?;
                    group.leader_ended();
                    ended = Some((status, Instant::now() + DRAIN));
                }
                () = cancel.cancelled(), if ended.is_none() && stop.is_none() => {
                    stop = Some(Stop::Cancelled);
                    group.signal(Signal::SIGTERM);
                    kill_at = Some(Instant::now() + self.stop_timeout);
                }
                () = &mut hurried, if ended.is_none() && !is_hurried => {
                    is_hurried = true;
                    stop.get_or_insert(Stop::Cancelled);
                    group.signal(Signal::SIGTERM);
                    let soon = Instant::now() + self.stop_timeout.min(HURRY);
                    kill_at = Some(kill_at.map_or(soon, |at: Instant| at.min(soon)));
                }
                () = sleep_until(deadline), if ended.is_none() && stop.is_none() => {
                    stop = Some(Stop::Deadline);
                    group.signal(Signal::SIGTERM);
                    kill_at = Some(Instant::now() + self.stop_timeout);
                }
                () = sleep_until(kill_at.unwrap_or(deadline)), if ended.is_none() && kill_at.is_some() => {
                    kill_at = None;
                    group.signal(Signal::SIGKILL);
                }
                () = sleep_until(drained), if ended.is_some() => {}
            }
        }
    }

    fn conclude(
        &self,
        status: ExitStatus,
        stop: Option<Stop>,
        tail: String,
    ) -> Result<Finished, ProcessError> {
        let program = self.program.clone();
        match (stop, status.code()) {
            (Some(Stop::Cancelled), _) => Err(self.cancelled()),
            (Some(Stop::Deadline), _) => Err(ProcessError::Deadline {
                program,
                deadline: self.deadline,
                tail,
            }),
            (None, Some(code)) => Ok(Finished { code, tail }),
            (None, None) => Err(ProcessError::Signalled {
                program,
                signal: status.signal().unwrap_or_default(),
                tail,
            }),
        }
    }

    fn cancelled(&self) -> ProcessError {
        ProcessError::Cancelled {
            program: self.program.clone(),
        }
    }

    fn unwaitable(&self, source: io::Error) -> ProcessError {
        ProcessError::Wait {
            program: self.program.clone(),
            source,
        }
    }
}

/// A guest's process group; killed when dropped. `None` when its leader has ended and been waited for.
struct Group(Option<Pid>);

impl Group {
    fn led_by(child: &Child) -> Self {
        Self(
            child
                .id()
                .and_then(|pid| i32::try_from(pid).ok())
                .map(Pid::from_raw),
        )
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // ESRCH: all gone already, which is what a signal would have brought about.
            let _ = killpg(group, signal);
        }
    }

    /// Kills what the leader left behind. Its id cannot mean another group before that: the kernel
    /// does not reuse an id while a group of that id has members, and without members this is a no-op.
    fn leader_ended(&mut self) {
        self.signal(Signal::SIGKILL);
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

/// Starts the watcher of a group. Without it, the record still finds a survivor.
fn watch(group: Pid) -> Option<Child> {
    Command::new("/bin/sh")
        .args(["-c", WATCHER, "cutover-watcher"])
        .arg(group.to_string())
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .inspect_err(|error| tracing::warn!(%error, "no watcher for the child process"))
        .ok()
}

/// Where a guest's lines go.
struct Output<'a> {
    tail: Tail,
    log: Option<Log>,
    secrets: Vec<String>,
    on_line: &'a mut (dyn FnMut(Stream, &str) + Send),
}

impl<'a> Output<'a> {
    fn new(
        log: Option<&Path>,
        secrets: Vec<String>,
        on_line: &'a mut (dyn FnMut(Stream, &str) + Send),
    ) -> Self {
        Self {
            secrets,
            tail: Tail::new(TAIL_LIMIT),
            log: log.and_then(Log::open),
            on_line,
        }
    }

    fn line(&mut self, stream: Stream, line: Option<String>) {
        let Some(mut line) = line else { return };
        // In what it logs dbt masks them itself; a traceback, or what the project prints, is written as it is.
        if !self.secrets.is_empty() && !line.trim_start().starts_with('{') {
            line = scrub(self.secrets.iter().map(String::as_str), &line);
        }
        self.tail.push(&line);
        if let Some(log) = &mut self.log
            && let Err(error) = log.write(&line)
        {
            tracing::warn!(%error, "the child's log is incomplete");
            self.log = None;
        }
        (self.on_line)(stream, &line);
    }

    fn finish(self) -> String {
        if let Some(mut log) = self.log
            && let Err(error) = log.file.flush()
        {
            tracing::warn!(%error, "the child's log is incomplete");
        }
        self.tail.text()
    }
}

/// A log file with a cap. Losing it never matters to the run. Written from the reading task: a line is
/// far cheaper than handing it to another thread.
struct Log {
    file: BufWriter<File>,
    left: u64,
}

impl Log {
    fn open(path: &Path) -> Option<Self> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .inspect_err(
                |error| tracing::warn!(%error, path = %path.display(), "no log of the child process"),
            )
            .ok()
            .map(|file| Self {
                file: BufWriter::new(file),
                left: LOG_LIMIT,
            })
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let size = line.len() as u64 + 1;
        if self.left == 0 {
            return Ok(());
        }
        if size > self.left {
            self.left = 0;
            return writeln!(
                self.file,
                "… the log's limit is reached; the rest is left out"
            );
        }
        self.left -= size;
        writeln!(self.file, "{line}")
    }
}

/// Which variables a guest sees.
pub mod environment;
/// Guests that outlived the Cutover that started them.
pub mod orphan;
pub mod private;
#[cfg(test)]
mod tests;
