//! The journal in an SQLite file.
//!
//! One thread owns the connection and does one piece of work after the other; each piece is one
//! transaction. Work that was handed over is done even when nobody waits for its answer any more.
//! Durable when an answer is given: write-ahead log with `synchronous=FULL`.
//!
//! The methods of [`Sqlite`] are the whole boundary between the store and its backend.

use super::Proof;
use super::error::StoreError;
use super::lead::{self, Holder, Lead};
use super::outbox::MessageRow;
use super::row::{Change, Documents, EffectRow, EventRow, Head, Wanted};
use super::thread::join;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, TransactionBehavior, params};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Corners of pull requests.
mod corners;
/// Checks, migrations and pragmas on the way to a connection.
mod open;
/// What others are to be told.
mod outbox;
/// Answers that were given.
mod requests;
/// What is forgotten.
mod retention;
/// What the daemon set out to do.
mod runs;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A handle on the thread that owns the connection.
#[derive(Debug)]
pub(super) struct Sqlite {
    path: PathBuf,
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// A failure inside a piece of work, not yet told apart.
#[derive(Debug)]
enum Fault {
    Sql(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Fault::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::Store(error)
    }
}

const HEAD: &str =
    "id, environment, state, active, attempt, created_at, updated_at, finished_at, reason,
    (SELECT subject FROM events WHERE deployment_id = deployments.id AND seq = 1)";

impl Sqlite {
    /// Opens the database, made and migrated where needed.
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        let (jobs, queue) = channel::<Job>();
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
                    while let Ok(job) = queue.recv() {
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
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Where the journal is; the same for every process.
    pub(super) fn place(&self) -> String {
        self.path.display().to_string()
    }

    /// Which journal it is.
    pub(super) async fn identity(&self) -> Result<String, StoreError> {
        self.call(|connection| {
            let sql = "/* store.identity */ SELECT id FROM journal";
            Ok(connection.query_row(sql, [], |row| row.get(0))?)
        })
        .await
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

    /// Adds a deployment with its first event, unless one is active in its environment, and attaches
    /// the run that made it.
    pub(super) async fn insert(
        &self,
        proof: Proof,
        head: Head,
        documents: Documents,
        first: EventRow,
        run: Option<String>,
    ) -> Result<(), StoreError> {
        self.call(move |connection| {
            proof.covers(&head.environment)?;
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let wanted = Wanted::Active(head.environment.clone());
            if let Some(active) = head_of(&transaction, &wanted)? {
                return Err(Fault::Store(StoreError::DeploymentActive {
                    environment: head.environment,
                    state: active.state()?,
                    id: active.id,
                }));
            }
            transaction
                .prepare_cached(
                    "/* store.insert_deployment */
                    INSERT INTO deployments (id, environment, state, active, attempt, created_at,
                        updated_at, finished_at, reason, plan, request)
                    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                )?
                .execute(params![
                    head.id,
                    head.environment,
                    head.state,
                    head.active,
                    head.attempt,
                    head.created_at,
                    head.updated_at,
                    head.finished_at,
                    head.reason,
                    documents.plan,
                    documents.request
                ])?;
            add_event(&transaction, &head, &first)?;
            if let Some(run) = &run {
                runs::attach(&transaction, &proof, run, &head.id)?;
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    /// Reads a deployment and its events, lets `decide` say what becomes of it, and writes that, in
    /// one transaction. Nothing is written when `decide` refuses; it may be asked more than once.
    pub(super) async fn change(
        &self,
        proof: Proof,
        id: String,
        decide: impl Fn(Head, Vec<EventRow>) -> Result<Change, StoreError> + Send + 'static,
    ) -> Result<(Head, Documents), StoreError> {
        self.call(move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let head = existing(&transaction, &id)?;
            proof.covers(&head.environment)?;
            let Change { head, event } = decide(head, events_of(&transaction, &id)?)?;
            if let Some(event) = &event {
                add_event(&transaction, &head, event)?;
            }
            transaction
                .prepare_cached(
                    "/* store.update_deployment */
                    UPDATE deployments SET state = ?2, active = ?3, attempt = ?4, updated_at = ?5,
                        finished_at = ?6, reason = ?7
                    WHERE id = ?1",
                )?
                .execute(params![
                    id,
                    head.state,
                    head.active,
                    head.attempt,
                    head.updated_at,
                    head.finished_at,
                    head.reason
                ])?;
            let documents = documents_of(&transaction, &id)?;
            transaction.commit()?;
            Ok((head, documents))
        })
        .await
    }

    /// Records an intent unless there is one, and counts the attempt, in one transaction; `allow`
    /// may refuse.
    pub(super) async fn begin_effect(
        &self,
        proof: Proof,
        new: EffectRow,
        allow: impl Fn(&Head) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<EffectRow, StoreError> {
        self.call(move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let head = existing(&transaction, &new.deployment_id)?;
            proof.covers(&head.environment)?;
            allow(&head)?;
            let row = transaction
                .prepare_cached(
                    "/* store.begin_effect */
                    INSERT INTO effects (deployment_id, key, attempt, intent, started_at)
                    VALUES (?1, ?2, ?3, ?4, ?5)
                    ON CONFLICT (deployment_id, key) DO UPDATE SET attempt = attempt + 1
                    RETURNING deployment_id, key, attempt, intent, started_at, result, finished_at",
                )?
                .query_row(
                    params![
                        new.deployment_id,
                        new.key,
                        new.attempt,
                        new.intent,
                        new.started_at
                    ],
                    effect_row,
                )?;
            transaction.commit()?;
            Ok(row)
        })
        .await
    }

    /// Records a result, in one transaction. False when there is no intent.
    pub(super) async fn finish_effect(
        &self,
        proof: Proof,
        id: String,
        key: String,
        result: String,
        at: String,
    ) -> Result<bool, StoreError> {
        self.call(move |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            proof.covers(&existing(&transaction, &id)?.environment)?;
            let changed = transaction
                .prepare_cached(
                    "/* store.finish_effect */
                    UPDATE effects SET result = ?3, finished_at = ?4
                    WHERE deployment_id = ?1 AND key = ?2",
                )?
                .execute(params![id, key, result, at])?;
            transaction.commit()?;
            Ok(changed == 1)
        })
        .await
    }

    /// The effects of a deployment in the order in which they were first begun.
    pub(super) async fn effects(
        &self,
        id: String,
        key: Option<String>,
    ) -> Result<Vec<EffectRow>, StoreError> {
        self.call(move |connection| {
            existing(connection, &id)?;
            let mut statement = connection.prepare_cached(
                "/* store.effects */
                SELECT deployment_id, key, attempt, intent, started_at, result, finished_at
                FROM effects WHERE deployment_id = ?1 AND (?2 IS NULL OR key = ?2)
                ORDER BY number",
            )?;
            let rows = statement.query_map(params![id, key], effect_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// One deployment.
    pub(super) async fn find(
        &self,
        wanted: Wanted,
    ) -> Result<Option<(Head, Documents)>, StoreError> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            let Some(head) = head_of(&transaction, &wanted)? else {
                return Ok(None);
            };
            let documents = documents_of(&transaction, &head.id)?;
            Ok(Some((head, documents)))
        })
        .await
    }

    /// Up to `limit` ids that begin with `prefix`, newest first.
    pub(super) async fn ids(&self, prefix: String, limit: u32) -> Result<Vec<String>, StoreError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "/* store.ids */
                SELECT id FROM deployments WHERE substr(id, 1, length(?1)) = ?1
                ORDER BY number DESC LIMIT ?2",
            )?;
            let rows = statement.query_map(params![prefix, limit], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Up to `limit` deployments without their documents, newest first.
    pub(super) async fn history(
        &self,
        environment: Option<String>,
        limit: u32,
    ) -> Result<Vec<Head>, StoreError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "/* store.history */
                SELECT {HEAD} FROM deployments WHERE ?1 IS NULL OR environment = ?1
                ORDER BY number DESC LIMIT ?2"
            ))?;
            let rows = statement.query_map(params![environment, limit], head_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(super) async fn under_way(&self) -> Result<Vec<Head>, StoreError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "/* store.under_way */
                SELECT {HEAD} FROM deployments WHERE active = 1 ORDER BY number DESC"
            ))?;
            let rows = statement.query_map([], head_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// A deployment with all its events, read at one moment.
    pub(super) async fn events(&self, id: String) -> Result<(Head, Vec<EventRow>), StoreError> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            let head = existing(&transaction, &id)?;
            let events = events_of(&transaction, &id)?;
            Ok((head, events))
        })
        .await
    }

    /// Does a piece of work on the thread of the connection.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Closed {
            place: self.place(),
        };
        let (answer, outcome) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let _ = answer.send(work(connection));
        });
        let jobs = self.jobs.as_ref().ok_or_else(closed)?;
        jobs.send(job).map_err(|_| closed())?;
        outcome
            .await
            .map_err(|_| closed())?
            .map_err(|fault| told_apart(&self.path, fault))
    }

    /// Bare SQL for tests of what the interface never does.
    #[cfg(test)]
    pub(super) async fn raw(&self, sql: &'static str) -> Result<(), StoreError> {
        self.call(move |connection| Ok(connection.execute_batch(sql)?))
            .await
    }
}

impl Drop for Sqlite {
    /// Waits for the work that was handed over, so that the database is closed afterwards.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            join(thread);
        }
    }
}

fn head_of(connection: &Connection, wanted: &Wanted) -> rusqlite::Result<Option<Head>> {
    let (condition, value) = match wanted {
        Wanted::Id(id) => ("/* store.by_id */ id = ?1", id),
        Wanted::Active(environment) => (
            "/* store.active */ environment = ?1 AND active = 1",
            environment,
        ),
        Wanted::Latest(environment) => ("/* store.latest */ environment = ?1", environment),
    };
    connection
        .prepare_cached(&format!(
            "/* store.head */
            SELECT {HEAD} FROM deployments WHERE {condition} ORDER BY number DESC LIMIT 1"
        ))?
        .query_row([value], head_row)
        .optional()
}

fn existing(connection: &Connection, id: &str) -> Result<Head, Fault> {
    head_of(connection, &Wanted::Id(id.to_owned()))?
        .ok_or_else(|| StoreError::NotFound { id: id.to_owned() }.into())
}

fn documents_of(connection: &Connection, id: &str) -> rusqlite::Result<Documents> {
    connection
        .prepare_cached(
            "/* store.documents */
            SELECT plan, request FROM deployments WHERE id = ?1",
        )?
        .query_row([id], |row| {
            Ok(Documents {
                plan: row.get(0)?,
                request: row.get(1)?,
            })
        })
}

fn events_of(connection: &Connection, id: &str) -> rusqlite::Result<Vec<EventRow>> {
    connection
        .prepare_cached(
            "/* store.events */
            SELECT seq, at, kind, body, state_after, subject FROM events
            WHERE deployment_id = ?1 ORDER BY seq",
        )?
        .query_map([id], |row| {
            Ok(EventRow {
                seq: row.get(0)?,
                at: row.get(1)?,
                kind: row.get(2)?,
                body: row.get(3)?,
                state_after: row.get(4)?,
                by: row.get(5)?,
            })
        })?
        .collect()
}

/// Adds an event, and what is told about it; `head` is the deployment after it.
fn add_event(connection: &Connection, head: &Head, event: &EventRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "/* store.add_event */
            INSERT INTO events (deployment_id, seq, at, kind, body, state_after, subject)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            head.id,
            event.seq,
            event.at,
            event.kind,
            event.body,
            event.state_after,
            event.by
        ])?;
    outbox::add_message(connection, &MessageRow::of_event(head, event))
}

fn head_row(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        id: row.get(0)?,
        environment: row.get(1)?,
        state: row.get(2)?,
        active: row.get(3)?,
        attempt: row.get(4)?,
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
        finished_at: row.get(7)?,
        reason: row.get(8)?,
        by: row.get(9)?,
    })
}

fn effect_row(row: &Row<'_>) -> rusqlite::Result<EffectRow> {
    Ok(EffectRow {
        deployment_id: row.get(0)?,
        key: row.get(1)?,
        attempt: row.get(2)?,
        intent: row.get(3)?,
        started_at: row.get(4)?,
        result: row.get(5)?,
        finished_at: row.get(6)?,
    })
}

/// The error of the store for what SQLite said.
fn told_apart(path: &Path, fault: Fault) -> StoreError {
    let error = match fault {
        Fault::Store(error) => return error,
        Fault::Sql(error) => error,
    };
    let place = path.display().to_string();
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
