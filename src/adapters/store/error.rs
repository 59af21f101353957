//! What can go wrong with the journal, and what to do about it.

use crate::domain::lifecycle::state::{InvalidTransition, State};
use crate::domain::location::journal::UrlFault;
use crate::foundation::failure::{Class, Classify};
use std::fmt;

/// What the backend said.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Every failure of the journal. `place` is the database file, or the
/// server with the database and the schema.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL cannot be opened by this version.
    #[error(transparent)]
    Url(#[from] UrlFault),
    /// The database or its folder cannot be opened or made.
    #[error("the journal {place} cannot be opened ({action})")]
    CannotOpen {
        /// The database.
        place: String,
        /// What was attempted.
        action: String,
        /// What the system said.
        source: Cause,
    },
    /// The file is something else than a journal.
    #[error("{place} is not a journal of Cutover: {found}")]
    NotAJournal {
        /// The database.
        place: String,
        /// What was found instead.
        found: String,
    },
    /// A pooler stands before the server and gives the transactions of one connection to several sessions.
    #[error(
        "the journal {place} is reached through a pooler that does not keep a connection's session, so that nothing can hold its lead"
    )]
    Pooled {
        /// The database.
        place: String,
    },
    /// A newer version wrote the journal.
    #[error(
        "the journal {place} has the schema {found}, this version knows up to {known}; it was not touched"
    )]
    NewerSchema {
        /// The database.
        place: String,
        /// The first migration found that is not known.
        found: String,
        /// The last migration known.
        known: String,
    },
    /// An applied migration is not the one that this version ships under that number.
    #[error(
        "the journal {place} was made by another migration {found} than the {known} of this version; it was not touched"
    )]
    DivergentSchema {
        /// The database.
        place: String,
        /// The applied migration with its checksum.
        found: String,
        /// The known migration with its checksum.
        known: String,
    },
    /// The database is damaged.
    #[error("the journal {place} is damaged: {found}")]
    Corrupt {
        /// The database.
        place: String,
        /// What was found.
        found: String,
    },
    /// The database cannot be written.
    #[error("the journal {place} is read-only")]
    ReadOnly {
        /// The database.
        place: String,
    },
    /// There is no room left.
    #[error("the disk of the journal {place} is full; the last write was not made")]
    Full {
        /// The database.
        place: String,
    },
    /// Another process holds the database for too long.
    #[error("the journal {place} is locked by another process")]
    Busy {
        /// The database.
        place: String,
    },
    /// Reading or writing failed.
    #[error("the journal {place} cannot be read or written ({action})")]
    Io {
        /// The database.
        place: String,
        /// What was attempted.
        action: String,
        /// What the system said.
        source: Cause,
    },
    /// The backend refused a statement that it should not refuse.
    #[error("the journal {place} refused a statement")]
    Unexpected {
        /// The database.
        place: String,
        /// What the backend said.
        source: Cause,
    },
    /// The thread of the journal is gone.
    #[error("the journal {place} was closed")]
    Closed {
        /// The database.
        place: String,
    },
    /// The server of the journal does not answer, or no more.
    #[error("the PostgreSQL server of the journal {place} does not answer")]
    Away {
        /// The journal.
        place: String,
        /// What was met last.
        source: Cause,
    },
    /// The server does not admit us, or not to what a journal needs.
    #[error("the PostgreSQL server of the journal {place} denies access")]
    Denied {
        /// The journal.
        place: String,
        /// What it said.
        source: Cause,
    },
    /// The lead was lost and another process has taken it since; nothing was written.
    #[error(
        "another process has taken the lead of environment {environment:?}{}; nothing was recorded",
        Held(holder.as_ref())
    )]
    Superseded {
        /// The environment.
        environment: String,
        /// Who it is, where that could be read.
        holder: Option<super::Holder>,
    },
    /// Another process leads the environment.
    #[error("environment {environment:?} is led by another process{}", Held(holder.as_ref()))]
    Led {
        /// The environment.
        environment: String,
        /// Who it is, where that could be read.
        holder: Option<super::Holder>,
    },
    /// The proof is for something else.
    #[error("the proof of leadership is for {lead:?}, not for {wanted:?}")]
    WrongLead {
        /// What the proof is for.
        lead: String,
        /// What it should be for.
        wanted: String,
    },
    /// Another deployment of the environment is under way.
    #[error("deployment {id} of environment {environment:?} is under way ({state})")]
    DeploymentActive {
        /// The environment.
        environment: String,
        /// The active deployment.
        id: String,
        /// Its state.
        state: State,
    },
    /// There is no such deployment.
    #[error("there is no deployment {id:?}")]
    NotFound {
        /// What was asked for.
        id: String,
    },
    /// Several deployments begin like that.
    #[error("{prefix:?} begins more than one deployment: {}", ids.join(", "))]
    Ambiguous {
        /// What was asked for.
        prefix: String,
        /// Some of the deployments, newest first.
        ids: Vec<String>,
    },
    /// There is no such run.
    #[error("there is no run {id:?}")]
    RunNotFound {
        /// What was asked for.
        id: String,
    },
    /// The run has ended, nothing more comes of it.
    #[error("run {id} has ended ({outcome})")]
    RunFinished {
        /// The run.
        id: String,
        /// What came of it.
        outcome: crate::domain::records::run::Outcome,
    },
    /// The event does not fit the state; nothing was changed.
    #[error("deployment {id} was not changed")]
    Transition {
        /// The deployment.
        id: String,
        /// The state and the event.
        source: InvalidTransition,
    },
    /// The deployment has ended, no effect may begin.
    #[error("deployment {id} has ended ({state}); {key:?} may not begin")]
    Ended {
        /// The deployment.
        id: String,
        /// Its state.
        state: State,
        /// The effect.
        key: String,
    },
    /// A result came for an effect whose intent was never recorded.
    #[error("deployment {id} has no effect {key:?} to finish")]
    EffectNotBegun {
        /// The deployment.
        id: String,
        /// The effect.
        key: String,
    },
    /// A stored word or document means nothing to this version.
    #[error("{what} of {record} {id} cannot be read")]
    Unreadable {
        /// What kind of record it is.
        record: &'static str,
        /// Which one, by its id.
        id: String,
        /// Which column or document.
        what: String,
        /// Why.
        source: Cause,
    },
    /// A document cannot be written as JSON.
    #[error("{what} cannot be written as JSON")]
    Unwritable {
        /// Which document.
        what: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The events do not lead to the stored state.
    #[error("the events of deployment {id} do not lead to what is stored: {found}")]
    Diverged {
        /// The deployment.
        id: String,
        /// Where they part.
        found: String,
    },
}

/// The end of the sentence about a leader.
struct Held<'a>(Option<&'a super::Holder>);

impl fmt::Display for Held<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(super::Holder {
                pid,
                host,
                since,
                address,
            }) => {
                write!(f, " (process {pid}")?;
                if let Some(host) = host {
                    write!(f, " on {host}")?;
                }
                if let Some(address) = address {
                    write!(f, " at {address}")?;
                }
                write!(f, ", since {since:.3})")
            }
            None => Ok(()),
        }
    }
}

impl Classify for StoreError {
    fn class(&self) -> Class {
        match self {
            StoreError::Url(_)
            | StoreError::CannotOpen { .. }
            | StoreError::NotAJournal { .. }
            | StoreError::Pooled { .. }
            | StoreError::NewerSchema { .. }
            | StoreError::DivergentSchema { .. }
            | StoreError::ReadOnly { .. }
            | StoreError::Denied { .. }
            | StoreError::NotFound { .. }
            | StoreError::RunNotFound { .. }
            | StoreError::Ambiguous { .. } => Class::Usage,
            StoreError::Led { .. }
            | StoreError::Superseded { .. }
            | StoreError::DeploymentActive { .. }
            | StoreError::Transition { .. }
            | StoreError::Ended { .. } => Class::Refused,
            StoreError::Full { .. }
            | StoreError::Busy { .. }
            | StoreError::Io { .. }
            | StoreError::Away { .. }
            | StoreError::Closed { .. } => Class::Transient,
            StoreError::Corrupt { .. }
            | StoreError::Unexpected { .. }
            | StoreError::WrongLead { .. }
            | StoreError::EffectNotBegun { .. }
            | StoreError::RunFinished { .. }
            | StoreError::Unreadable { .. }
            | StoreError::Unwritable { .. }
            | StoreError::Diverged { .. } => Class::Stuck,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            StoreError::Url(_) => {
                "write store.url as sqlite://PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE".to_owned()
            },
            StoreError::CannotOpen { place, .. } => format!(
                "make sure that the folder of {place} can be made and written by this user, or set store.url to another place"
            ),
            StoreError::NotAJournal { .. } => {
                "set store.url to the journal, or to a file or schema that does not exist yet".to_owned()
            }
            StoreError::Pooled { .. } => {
                "let store.url name the server itself, or a pooler in session mode".to_owned()
            }
            StoreError::NewerSchema { .. } => {
                "run the newer version of Cutover that wrote it; schemas only go forward".to_owned()
            }
            StoreError::DivergentSchema { .. } => {
                "run the build of Cutover that made the journal, or restore a journal of this one from a backup".to_owned()
            }
            StoreError::Away { .. } => {
                "start the server, or correct host and port in store.url; what was recorded is kept, `cutover resume` goes on".to_owned()
            }
            StoreError::Denied { .. } => {
                "correct user, password, database or sslmode in store.url; the user needs a schema of its own in that database, or CREATE on the database".to_owned()
            }
            StoreError::Superseded { environment, .. } => format!(
                "look at `cutover status` of {environment:?}: the process that leads now goes on with the deployment"
            ),
            StoreError::Corrupt { place, .. } if place.starts_with("postgres://") => {
                "keep the schema for examination and restore it from a backup of its database".to_owned()
            }
            StoreError::Corrupt { place, .. } => format!(
                "keep {place} with its -wal file for examination and restore all of them from one backup; \
                 if there is none, look in Materialize for schemas and clusters ending in _dbt_deploy, \
                 then move the files away to begin a new journal"
            ),
            StoreError::ReadOnly { place } if place.starts_with("postgres://") => {
                "name the server that takes writes in store.url; this one is a standby or set to read-only".to_owned()
            }
            StoreError::ReadOnly { place } => {
                format!("give this user write access to {place}, its folder and its -wal and -shm files")
            }
            StoreError::Full { place } => {
                format!("free space on the disk of {place}, then run `cutover resume`")
            }
            StoreError::Busy { place } => {
                format!("find the process that keeps {place} open (a backup, a database shell), then run the command again")
            }
            StoreError::Io { place, .. } => {
                format!("check the disk of {place}, its room and this user's limits there, then run `cutover resume`")
            }
            StoreError::Led { .. } => {
                "wait for that process or stop it (it leaves a resumable deployment); the lock ends with the process".to_owned()
            }
            StoreError::DeploymentActive { .. } => {
                "run `cutover resume` to finish it or `cutover abort` to give it up".to_owned()
            }
            StoreError::NotFound { .. } => "`cutover history` lists the deployments".to_owned(),
            StoreError::Ambiguous { .. } => "give more of the id".to_owned(),
            StoreError::Unreadable { .. } => {
                "if a newer version of Cutover wrote it, run that version".to_owned()
            }
            StoreError::Transition { .. } => {
                "look at `cutover status`: somebody may have moved the deployment meanwhile".to_owned()
            }
            StoreError::Diverged { .. } => {
                "keep a copy of the journal and compare `cutover show` with what is in Materialize".to_owned()
            }
            StoreError::Unexpected { .. }
            | StoreError::Closed { .. }
            | StoreError::WrongLead { .. }
            | StoreError::Ended { .. }
            | StoreError::EffectNotBegun { .. }
            | StoreError::RunNotFound { .. }
            | StoreError::RunFinished { .. }
            | StoreError::Unwritable { .. } => return None,
        };
        Some(hint)
    }
}
