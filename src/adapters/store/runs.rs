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
use super::tables::runs::{BeginRun, ChangeRun};
use super::{Proof, Store, json, now, stamp};
use crate::adapters::store::acting;
use crate::domain::records::run::{AskedUnder, NewRun, Outcome, Run};
use crate::domain::records::text::storable;
use jiff::Timestamp;
use uuid::Uuid;

/// How many ended runs are looked at for failures in a row, which is also the most that are counted.
const COUNTED: u32 = 1_000;

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
    /// Those that follow another environment.
    Chained(String),
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
            by: Some(acting::stored(&lead.subject())?),
        })
    }

    fn run(self) -> Result<Run, StoreError> {
        let of = Of {
            record: "run",
            id: &self.id,
        };
        let wishes: Option<serde_json::Value> = self
            .wishes
            .as_deref()
            .map(|wishes| of.document("the wishes", wishes))
            .transpose()?;
        let follows = wishes.as_ref().and_then(|wishes| wishes.get("follows"));
        let follows = follows.map(|link| {
            let text = link.to_string();
            of.document("what it follows", &text)
        });
        Ok(Run {
            follows: follows.transpose()?,
            cause: of.word("the cause", &self.cause)?,
            scheduled_for: of.optional_time("scheduled_for", self.scheduled_for.as_deref())?,
            started_at: of.time("started_at", &self.started_at)?,
            finished_at: of.optional_time("finished_at", self.finished_at.as_deref())?,
            outcome: self.ended()?,
            wishes,
            by: acting::read(of, "the subject", self.by.as_deref())?,
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
        let outcome = self.outcome.as_deref();
        outcome.map(|word| of.word("the outcome", word)).transpose()
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
        self.write(proof, BeginRun { row, answer: None }).await?;
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
        let answer = RequestRow::new(&run.environment, key, fingerprint, &answer(&run))?;
        let answer = Some(answer);
        self.write(proof, BeginRun { row, answer }).await?;
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
        let revision = storable(revision.to_owned());
        let by = acting::stored(&lead.subject())?;
        self.change_run(lead, run_id, move |row| {
            row.revision = Some(revision.clone());
            row.by = Some(by.clone());
            None
        })
        .await
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
        let deployment = storable(deployment_id.to_owned());
        self.change_run(lead, run_id, move |row| {
            row.deployment = Some(deployment.clone());
            None
        })
        .await
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
        let at = stamp(now());
        let detail = detail.map(|detail| storable(detail.to_owned()));
        self.change_run(lead, run_id, move |row| {
            row.finished_at = Some(at.clone());
            row.outcome = Some(outcome.as_str().to_owned());
            row.detail.clone_from(&detail);
            Some(MessageRow::of_run(row, outcome, &at))
        })
        .await
    }

    /// Changes a run that has not ended; `change` gives what is told about it.
    async fn change_run(
        &self,
        lead: &Lead,
        run_id: &str,
        change: impl Fn(&mut RunRow) -> Option<MessageRow> + Send + 'static,
    ) -> Result<Run, StoreError> {
        let proof = self.proof(lead)?;
        let id = run_id.to_owned();
        self.write(proof, ChangeRun { id, change }).await?.run()
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
        let led = environment.to_owned();
        let stored = self.read(async move |tables| tables.last_scheduled(&led).await);
        let of = Of {
            record: "the last scheduled run of environment",
            id: environment,
        };
        of.optional_time("scheduled_for", stored.await?.as_deref())
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

    /// Up to `limit` runs of the environment that follow releases of another one, newest first.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub async fn chained_runs(
        &self,
        environment: &str,
        limit: u32,
    ) -> Result<Vec<Run>, StoreError> {
        let wanted = WantedRuns::Chained(environment.to_owned());
        self.wanted_runs(wanted, limit).await
    }

    async fn wanted_runs(&self, wanted: WantedRuns, limit: u32) -> Result<Vec<Run>, StoreError> {
        let rows = self.read(async move |tables| tables.runs(&wanted, limit).await);
        rows.await?.into_iter().map(RunRow::run).collect()
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
