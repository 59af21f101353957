//! The journal in an SQLite file.
//!
//! One thread owns the connection and does one piece of work after the other; each piece is one
//! transaction. Work that was handed over is done even when nobody waits for its answer any more.
//! Durable when an answer is given: write-ahead log with `synchronous=FULL`.
//!
//! The methods of [`Sqlite`] are the whole boundary between the store and its backend; what is asked of the
//! tables is in `tables`.

use super::Proof;
use super::error::StoreError;
use super::lead::{self, Holder, Lead};
use super::tables::{Fault, Tables, Write};
use super::thread::Worker;
use futures_util::FutureExt;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use std::path::{Path, PathBuf};
use tokio::sync::{mpsc, oneshot};

/// Checks, migrations and pragmas on the way to a connection.
mod open;
type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle on the thread that owns the connection. When it is dropped, the database is closed afterwards.
#[derive(Debug)]
pub(super) struct Sqlite {
    path: PathBuf,
    worker: Worker<Job>,
}

impl Sqlite {
    /// Opens the database, made and migrated where needed.
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        let (opened, outcome) = oneshot::channel();
        let asked = path.to_path_buf();
        let place = path.display().to_string();
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || match open::open(&asked) {
                Ok((path, mut connection)) => {
                    if opened.send(Ok(path)).is_err() {
                        return;
                    }
                    while let Some(job) = queue.blocking_recv() {
                        job(&mut connection);
                    }
                    if let Err((_, error)) = connection.close() {
                        tracing::warn!(%error, "the journal was not closed cleanly");
                    }
                }
                Err(error) => {
                    let _ = opened.send(Err(error));
                }
            })
            .map_err(|error| StoreError::Io {
                place: place.clone(),
                action: "starting its thread".to_owned(),
                source: error.into(),
            })?;
        let path = outcome.await.map_err(|_| StoreError::Closed { place })??;
        Ok(Self {
            path,
            worker: Worker::new(jobs, thread),
        })
    }

    /// Where the journal is; the same for every process.
    pub(super) fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// Takes the lead of an environment.
    pub(super) async fn lead(
        &self,
        environment: String,
        address: Option<String>,
    ) -> Result<Lead, StoreError> {
        let path = self.path.clone();
        self.call(move |_| Ok(lead::take(&path, &environment, address)?))
            .await
    }

    /// Whether somebody leads an environment.
    pub(super) async fn is_led(&self, environment: String) -> Result<bool, StoreError> {
        let path = self.path.clone();
        self.call(move |_| Ok(lead::look(&path, &environment)?.is_some()))
            .await
    }

    /// Who leads an environment.
    pub(super) async fn holder(&self, environment: String) -> Result<Option<Holder>, StoreError> {
        let path = self.path.clone();
        self.call(move |_| Ok(lead::look(&path, &environment)?.flatten()))
            .await
    }

    /// The lock of a file ends with the process and not before: whoever asks still leads.
    #[expect(clippy::unused_async, reason = "every backend has the same methods")]
    pub(super) async fn still_leads(&self, _: Proof) -> Result<(), StoreError> {
        Ok(())
    }

    /// Does work that may be done twice.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl AsyncFn(&Tables<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(move |connection| at_once(work(&Tables::Sqlite(connection))))
            .await
    }

    /// As [`Self::read`], of one moment.
    pub(super) async fn snapshot<T: Send + 'static>(
        &self,
        work: impl AsyncFn(&Tables<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            at_once(work(&Tables::Sqlite(&transaction)))
        })
        .await
    }

    /// Makes one change in one transaction. Whether it was made is known at once.
    pub(super) async fn write<W: Write>(
        &self,
        proof: Proof,
        write: W,
    ) -> Result<W::Answer, StoreError> {
        self.call(move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let answer = at_once(write.change(&Tables::Sqlite(&transaction), &proof))?;
            transaction.commit()?;
            Ok(answer)
        })
        .await
    }

    /// Does a piece of work on the thread of the connection.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let job = |answer: oneshot::Sender<_>| -> Job {
            Box::new(move |connection| {
                let _ = answer.send(work(connection));
            })
        };
        let outcome = self.worker.answer(|| self.place(), job).await?;
        outcome.map_err(|fault| told_apart(&self.path, fault))
    }

    /// Bare SQL for tests of what the interface never does.
    #[cfg(test)]
    pub(super) async fn raw(&self, sql: &'static str) -> Result<(), StoreError> {
        self.call(move |connection| Ok(connection.execute_batch(sql)?))
            .await
    }
}

/// The outcome of work on SQLite, which never waits: it is done when it is first looked at.
fn at_once<T>(work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    work.now_or_never().unwrap_or(Err(Fault::Late))
}

/// The error of the store for what SQLite said.
fn told_apart(path: &Path, fault: Fault) -> StoreError {
    let place = path.display().to_string();
    let error = match fault {
        Fault::Store(error) => return error,
        Fault::Strange(found) => return StoreError::Corrupt { place, found },
        Fault::Sqlite(error) => error,
        Fault::Postgres(error) => {
            let source = error.into();
            return StoreError::Unexpected { place, source };
        }
        Fault::Late => {
            let source = "there was no answer in time".into();
            return StoreError::Unexpected { place, source };
        }
    };
    let code = error.sqlite_error_code();
    let is = |codes: &[ErrorCode]| code.is_some_and(|code| codes.contains(&code));
    if is(&[ErrorCode::NotADatabase]) {
        StoreError::NotAJournal {
            place,
            found: "the file does not begin like an SQLite database".to_owned(),
        }
    } else if is(&[ErrorCode::DatabaseCorrupt]) {
        StoreError::Corrupt {
            place,
            found: error.to_string(),
        }
    } else if is(&[ErrorCode::DiskFull]) {
        StoreError::Full { place }
    } else if is(&[ErrorCode::ReadOnly]) {
        StoreError::ReadOnly { place }
    } else if is(&[ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked]) {
        StoreError::Busy { place }
    } else if is(&[ErrorCode::CannotOpen, ErrorCode::PermissionDenied]) {
        StoreError::CannotOpen {
            place,
            action: "opening it or its log".to_owned(),
            source: error.into(),
        }
    } else if is(&[
        ErrorCode::SystemIoFailure,
        ErrorCode::FileLockingProtocolFailed,
        ErrorCode::OutOfMemory,
    ]) {
        StoreError::Io {
            place,
            action: "SQLite".to_owned(),
            source: error.into(),
        }
    } else {
        StoreError::Unexpected {
            place,
            source: error.into(),
        }
    }
}

#[cfg(test)]
mod tests;
