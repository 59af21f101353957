//! Runs: each time the daemon set out to release an environment, also when nothing came of it.
//!
//! A run is begun before anything is looked at and finished with its [`Outcome`]. One that a process
//! left open is finished by the next leader, or made by it, when it was accepted with its wishes and had
//! no deployment yet. What is told to others about the end of a run is written in the same transaction
//! as the end, and the deployment that a run makes in one with its record.

use super::error::StoreError;
use super::lead::Lead;
use super::outbox::MessageRow;
use super::requests::RequestRow;
use super::row::Of;
use super::subject::{self, Subject};
use super::{Proof, Store, json, now, stamp, storable};
use crate::deployment::state::{State, UnknownWord, stored_as_a_word};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How many ended runs are looked at for failures in a row, which is also the most that are counted.
const COUNTED: u32 = 1_000;

/// Why a run began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its time had come.
    Schedule,
    /// A signal to the process.
    Signal,
    /// A request.
    #[default]
    Api,
    /// The project changed.
    Change,
    /// An earlier run failed.
    Retry,
    /// A deployment was found under way that no run had begun.
    Recovery,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Cause; 6] = [
        Cause::Schedule,
        Cause::Signal,
        Cause::Api,
        Cause::Change,
        Cause::Retry,
        Cause::Recovery,
    ];

    /// The word that is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Schedule => "schedule",
            Cause::Signal => "signal",
            Cause::Api => "api",
            Cause::Change => "change",
            Cause::Retry => "retry",
            Cause::Recovery => "recovery",
        }
    }
}

/// What came of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The plan was empty.
    NothingToDo,
    /// Production follows the project.
    Released,
    /// It was swapped and swapped back.
    RolledBack,
    /// Somebody gave it up before the swap.
    Aborted,
    /// It failed before the swap, and was unwound.
    Failed,
    /// The plan, or the configuration, was refused; nothing began.
    Refused,
    /// It was not its turn.
    Skipped,
    /// The process ended before the run did.
    Interrupted,
    /// A person is needed.
    Stuck,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Outcome; 9] = [
        Outcome::NothingToDo,
        Outcome::Released,
        Outcome::RolledBack,
        Outcome::Aborted,
        Outcome::Failed,
        Outcome::Refused,
        Outcome::Skipped,
        Outcome::Interrupted,
        Outcome::Stuck,
    ];

    /// How a run ended whose deployment is in this state.
    #[must_use]
    pub fn of(state: State) -> Self {
        match state {
            State::Done => Outcome::Released,
            State::RolledBack => Outcome::RolledBack,
            State::Aborted => Outcome::Aborted,
            State::Failed => Outcome::Failed,
            State::Stuck => Outcome::Stuck,
            State::Pending
            | State::Planned
            | State::Staging
            | State::Building
            | State::Hydrating
            | State::Verifying
            | State::Ready
            | State::CuttingOver
            | State::Soaking
            | State::CleaningUp
            | State::Unwinding
            | State::RollingBack => Outcome::Interrupted,
        }
    }

    /// The word that is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::NothingToDo => "nothing_to_do",
            Outcome::Released => "released",
            Outcome::RolledBack => "rolled_back",
            Outcome::Aborted => "aborted",
            Outcome::Failed => "failed",
            Outcome::Refused => "refused",
            Outcome::Skipped => "skipped",
            Outcome::Interrupted => "interrupted",
            Outcome::Stuck => "stuck",
        }
    }

    /// Whether it counts as a failure of the revision; `None` when it says nothing about it.
    fn is_failure(self) -> Option<bool> {
        match self {
            Outcome::Failed | Outcome::RolledBack | Outcome::Refused | Outcome::Stuck => Some(true),
            // A person who gives a release up has seen the failures before it.
            Outcome::NothingToDo | Outcome::Released | Outcome::Aborted => Some(false),
            Outcome::Skipped | Outcome::Interrupted => None,
        }
    }
}

stored_as_a_word!(Cause, "cause of a run");
stored_as_a_word!(Outcome, "outcome of a run");

/// A run to be. Its environment is that of the lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    /// Why it begins.
    pub cause: Cause,
    /// The time of the schedule that it is for.
    pub scheduled_for: Option<Timestamp>,
    /// The commit or the content hash of the project, where it is known.
    pub revision: Option<String>,
    /// What is wished of it, where somebody is told that it was accepted: it is made then, also by
    /// another process than this one.
    pub wishes: Option<serde_json::Value>,
}

/// The key under which a run was asked for; see [`Store::begin_asked_run`].
#[derive(Debug, Clone, Copy)]
pub struct AskedUnder<'a> {
    /// What makes asking twice the same as asking once.
    pub key: &'a str,
    /// What tells requests with the same key apart.
    pub fingerprint: &'a str,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// A version 7 UUID, lower case with hyphens.
    pub id: String,
    /// The environment.
    pub environment: String,
    /// Why it began.
    pub cause: Cause,
    /// The time of the schedule that it is for.
    pub scheduled_for: Option<Timestamp>,
    /// The commit or the content hash of the project, where it is known.
    pub revision: Option<String>,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// The id of the deployment that it made or took up. That one may be trimmed before the run.
    pub deployment: Option<String>,
    /// A sentence about the outcome.
    pub detail: Option<String>,
    /// What was wished of it, where it was accepted before it began. For its leader alone.
    #[serde(skip)]
    pub wishes: Option<serde_json::Value>,
    /// Who set it off; `None` where the version that recorded it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Subject>,
}

/// A row of `runs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunRow {
    pub id: String,
    pub environment: String,
    pub cause: String,
    pub scheduled_for: Option<String>,
    pub revision: Option<String>,
    pub started_at: String,
    pub finished_at: Option<String>,
    pub outcome: Option<String>,
    pub deployment: Option<String>,
    pub detail: Option<String>,
    pub wishes: Option<String>,
    pub by: Option<String>,
}

/// Which runs are wanted.
#[derive(Debug, Clone)]
pub(super) enum WantedRuns {
    /// The one with exactly this id.
    Id(String),
    /// Those of an environment or of all.
    Newest(Option<String>),
    /// The unfinished ones of an environment.
    Open(String),
    /// The ended ones of an environment that say something about their revision.
    Telling(String),
}

/// What a transaction writes to a run.
#[derive(Debug)]
pub(super) struct RunChange {
    /// The row as it will be.
    pub row: RunRow,
    /// What is told about it.
    pub message: Option<MessageRow>,
}

impl RunRow {
    fn begun(lead: &Lead, new: NewRun) -> Result<Self, StoreError> {
        let wishes = new.wishes.map(|wishes| json("the wishes", &wishes));
        Ok(Self {
            id: Uuid::now_v7().to_string(),
            environment: lead.environment.clone(),
            cause: new.cause.as_str().to_owned(),
            scheduled_for: new.scheduled_for.map(stamp),
            revision: new.revision.map(storable),
            started_at: stamp(now()),
            finished_at: None,
            outcome: None,
            deployment: None,
            detail: None,
            wishes: wishes.transpose()?,
            by: Some(subject::stored(&lead.subject())?),
        })
    }

    fn run(self) -> Result<Run, StoreError> {
        let of = Of {
            record: "run",
            id: &self.id,
        };
        Ok(Run {
            cause: self
                .cause
                .parse()
                .map_err(|error: UnknownWord| of.unreadable("the cause", error))?,
            scheduled_for: of.optional_time("scheduled_for", self.scheduled_for.as_deref())?,
            started_at: of.time("started_at", &self.started_at)?,
            finished_at: of.optional_time("finished_at", self.finished_at.as_deref())?,
            outcome: self.ended()?,
            wishes: self
                .wishes
                .as_deref()
                .map(|wishes| of.document("the wishes", wishes))
                .transpose()?,
            by: subject::read(of, "the subject", self.by.as_deref())?,
            id: self.id,
            environment: self.environment,
            revision: self.revision,
            deployment: self.deployment,
            detail: self.detail,
        })
    }

    fn ended(&self) -> Result<Option<Outcome>, StoreError> {
        let of = Of {
            record: "run",
            id: &self.id,
        };
        let parsed = self.outcome.as_deref().map(str::parse).transpose();
        parsed.map_err(|error: UnknownWord| of.unreadable("the outcome", error))
    }

    pub(super) fn unended(&self) -> Result<(), StoreError> {
        match self.ended()? {
            None => Ok(()),
            Some(outcome) => Err(StoreError::RunFinished {
                id: self.id.clone(),
                outcome,
            }),
        }
    }
}

impl Store {
    /// Records that a run of the led environment begins.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub async fn begin_run(&self, lead: &Lead, new: NewRun) -> Result<Run, StoreError> {
        let proof = self.proof(lead)?;
        let row = RunRow::begun(lead, new)?;
        let run = row.clone().run()?;
        written!(self.begin_run(proof, row, None))?;
        Ok(run)
    }

    /// As [`Store::begin_run`], and remembers the answer to whoever asked for it, in one transaction:
    /// whoever asks again under that key is not the cause of another run.
    ///
    /// # Errors
    /// As [`Store::begin_run`].
    pub async fn begin_asked_run(
        &self,
        lead: &Lead,
        new: NewRun,
        asked: AskedUnder<'_>,
        answer: impl FnOnce(&Run) -> serde_json::Value,
    ) -> Result<Run, StoreError> {
        let proof = self.proof(lead)?;
        let row = RunRow::begun(lead, new)?;
        let run = row.clone().run()?;
        let AskedUnder { key, fingerprint } = asked;
        let request = RequestRow::new(&run.environment, key, fingerprint, &answer(&run))?;
        written!(self.begin_run(proof, row, Some(request)))?;
        Ok(run)
    }

    /// Records which revision of the project a run is about, and who is behind it, which the revision may say.
    ///
    /// # Errors
    /// [`StoreError::RunNotFound`], or [`StoreError::RunFinished`] when the run has ended.
    pub async fn revise_run(
        &self,
        lead: &Lead,
        run_id: &str,
        revision: &str,
    ) -> Result<Run, StoreError> {
        let proof = self.proof(lead)?;
        let revision = storable(revision.to_owned());
        let by = subject::stored(&lead.subject())?;
        let row = written!(
            self.change_run(proof, run_id.to_owned(), move |mut row: RunRow| {
                row.unended()?;
                row.revision = Some(revision.clone());
                row.by = Some(by.clone());
                Ok(RunChange { row, message: None })
            })
        )?;
        row.run()
    }

    /// Records which deployment a run made or took up; a later one replaces an earlier one.
    ///
    /// # Errors
    /// [`StoreError::RunNotFound`], or [`StoreError::RunFinished`] when the run has ended.
    pub async fn attach_run(
        &self,
        lead: &Lead,
        run_id: &str,
        deployment_id: &str,
    ) -> Result<Run, StoreError> {
        let proof = self.proof(lead)?;
        let deployment = storable(deployment_id.to_owned());
        let row = written!(
            self.change_run(proof, run_id.to_owned(), move |mut row: RunRow| {
                row.unended()?;
                row.deployment = Some(deployment.clone());
                Ok(RunChange { row, message: None })
            })
        )?;
        row.run()
    }

    /// Records what came of a run, with the message about it in the outbox.
    ///
    /// # Errors
    /// [`StoreError::RunNotFound`], or [`StoreError::RunFinished`] when the run has ended before.
    pub async fn finish_run(
        &self,
        lead: &Lead,
        run_id: &str,
        outcome: Outcome,
        detail: Option<&str>,
    ) -> Result<Run, StoreError> {
        let proof = self.proof(lead)?;
        let at = stamp(now());
        let detail = detail.map(|detail| storable(detail.to_owned()));
        let row = written!(
            self.change_run(proof, run_id.to_owned(), move |mut row: RunRow| {
                row.unended()?;
                row.finished_at = Some(at.clone());
                row.outcome = Some(outcome.as_str().to_owned());
                row.detail.clone_from(&detail);
                let message = Some(MessageRow::of_run(&row, outcome, &at));
                Ok(RunChange { row, message })
            })
        )?;
        row.run()
    }

    /// Up to `limit` runs, newest first, of one environment or of all.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub async fn runs(
        &self,
        environment: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Run>, StoreError> {
        let wanted = WantedRuns::Newest(environment.map(str::to_owned));
        self.wanted_runs(wanted, limit).await
    }

    /// The run with this id.
    ///
    /// # Errors
    /// [`StoreError::RunNotFound`], or when the row cannot be read.
    pub async fn run(&self, id: &str) -> Result<Run, StoreError> {
        let mut found = self.wanted_runs(WantedRuns::Id(id.to_owned()), 1).await?;
        found.pop().ok_or_else(|| no_run(id))
    }

    /// The runs of an environment that have not ended, newest first. Of those a leader finds when it
    /// begins to lead, none is being worked on.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub async fn open_runs(&self, environment: &str) -> Result<Vec<Run>, StoreError> {
        let wanted = WantedRuns::Open(environment.to_owned());
        self.wanted_runs(wanted, u32::MAX).await
    }

    /// The latest time of the schedule for which a run of the environment began.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub async fn last_scheduled(&self, environment: &str) -> Result<Option<Timestamp>, StoreError> {
        let stored = backend!(self.last_scheduled(environment.to_owned()))?;
        let of = Of {
            record: "the last scheduled run of environment",
            id: environment,
        };
        of.optional_time("scheduled_for", stored.as_deref())
    }

    /// How many of the newest runs of the environment, one after the other, were of this revision and
    /// came to nothing (failed, refused, rolled back or stuck), and when the newest of them ended.
    /// Those that were skipped or interrupted, or have not ended, are passed over. At most 1000 are
    /// counted. `None` stands for the runs whose revision was not known.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub async fn failures_in_a_row(
        &self,
        environment: &str,
        revision: Option<&str>,
    ) -> Result<(u32, Option<Timestamp>), StoreError> {
        let revision = revision.map(|revision| storable(revision.to_owned()));
        let wanted = WantedRuns::Telling(environment.to_owned());
        let (mut failures, mut last) = (0, None);
        for run in self.wanted_runs(wanted, COUNTED).await? {
            let Some(is_failure) = run.outcome.and_then(Outcome::is_failure) else {
                continue;
            };
            if !is_failure || run.revision != revision {
                break;
            }
            failures += 1;
            last = last.or(run.finished_at);
        }
        Ok((failures, last))
    }

    async fn wanted_runs(&self, wanted: WantedRuns, limit: u32) -> Result<Vec<Run>, StoreError> {
        let rows = backend!(self.runs(wanted, limit))?;
        rows.into_iter().map(RunRow::run).collect()
    }
}

/// The run, when the proof is for its environment.
pub(super) fn covered(
    found: Option<RunRow>,
    proof: &Proof,
    id: &str,
) -> Result<RunRow, StoreError> {
    let row = found.ok_or_else(|| no_run(id))?;
    proof.covers(&row.environment)?;
    Ok(row)
}

fn no_run(id: &str) -> StoreError {
    StoreError::RunNotFound { id: id.to_owned() }
}
