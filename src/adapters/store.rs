//! The journal.
//!
//! What is durable: each deployment with its plan and request, written whole before the first
//! effect; every event that moved it; every effect's intent, written before the effect, and its
//! result; each run of the daemon; what others are to be told of all this; answers to requests. A method that returned `Ok` survives a power cut.
//!
//! Invariants: one active deployment per environment, by an index; the stored state is the fold of
//! the stored events through [`state::next`]; only the process that holds the [`Lead`] of an
//! environment writes about it, and one that lost it unawares is refused. A write that was begun is finished even when its future is dropped.

use crate::domain::lifecycle::state::{self, Event, State};
use crate::domain::location::journal::Location;
use crate::domain::records::deployment::{
    Deployment, Effect, NewDeployment, RecordedEvent, Summary,
};
use crate::domain::records::subject::Subject;
use jiff::{Timestamp, Unit};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

pub use approvals::Approving;
pub use error::StoreError;
pub use lead::{Holder, Lead};
pub use outbox::{Due, Message};
pub use requests::Remembered;

mod approvals;
mod change;
mod corners;
mod drift;
mod error;
mod files;
mod holds;
mod lead;
mod outbox;
mod postgres;
mod reason;
mod requests;
mod retention;
mod row;
mod runs;
mod schema;
mod sqlite;
mod tables;
mod thread;

use change::{after, applied, event_row, unended};
use row::{Change, Documents, EffectRow, EventRow, Head, Wanted};
use tables::deployments::{BeginEffect, FinishEffect, Insert, Move};
use tables::{Fault, Tables, Write};

/// How many ids an ambiguous prefix shows.
const SHOWN_IDS: u32 = 5;

/// The journal. Clones share one connection.
#[derive(Debug, Clone)]
pub struct Store {
    backend: Arc<Backend>,
    id: Arc<str>,
}

/// What keeps the rows. Every backend has the methods of [`sqlite::Sqlite`].
#[derive(Debug)]
enum Backend {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

/// Calls a method of whichever backend there is.
macro_rules! backend {
    ($backend:expr, $method:ident($($argument:expr),*)) => {
        match &$backend {
            Backend::Sqlite(sqlite) => sqlite.$method($($argument),*).await,
            Backend::Postgres(postgres) => postgres.$method($($argument),*).await,
        }
    };
}

impl Store {
    /// Opens the journal at `url`, made or migrated where needed. A relative path begins in
    /// `base`.
    ///
    /// # Errors
    /// When the URL is not known, the place cannot be written, or what lies there is damaged, of
    /// something else, or of another version; nothing is changed then.
    pub async fn open(url: &str, base: &Path) -> Result<Self, StoreError> {
        let backend = match Location::parse(url)?.below(base) {
            Location::Sqlite(path) => Backend::Sqlite(sqlite::Sqlite::open(&path).await?),
            Location::Postgres(address) => {
                Backend::Postgres(postgres::Postgres::open(*address).await?)
            }
        };
        let id = backend!(backend, read(async |tables| tables.identity().await))?;
        Ok(Self {
            backend: Arc::new(backend),
            id: id.into(),
        })
    }

    /// What tells this journal from every other one, wherever it is opened from.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where the journal is, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.place(),
            Backend::Postgres(postgres) => postgres.place(),
        }
    }

    /// Whether somebody leads the environment, this process included.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn is_led(&self, environment: &str) -> Result<bool, StoreError> {
        backend!(*self.backend, is_led(environment.to_owned()))
    }

    /// Takes the lead of an environment, at once or not at all. It ends when the proof is dropped
    /// or the process ends.
    ///
    /// # Errors
    /// [`StoreError::Led`] when another process, or another part of this one, has it.
    pub async fn lead(&self, environment: &str) -> Result<Lead, StoreError> {
        self.lead_as(environment, None).await
    }

    /// As [`Store::lead`], and lets those who are refused know where the leader answers: the base
    /// URL of its API.
    ///
    /// # Errors
    /// As [`Store::lead`].
    pub async fn lead_as(
        &self,
        environment: &str,
        address: Option<String>,
    ) -> Result<Lead, StoreError> {
        // `status` may hold the lock for an instant to see whether anybody does, and a server
        // needs an instant to notice that a process has ended.
        for _ in 0..4 {
            match backend!(*self.backend, lead(environment.to_owned(), address.clone())) {
                Err(StoreError::Led { .. }) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                answer => return answer,
            }
        }
        backend!(*self.backend, lead(environment.to_owned(), address))
    }

    /// Who leads the environment, this process included; `None` when nobody does or it cannot be
    /// read who.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn holder(&self, environment: &str) -> Result<Option<Holder>, StoreError> {
        backend!(*self.backend, holder(environment.to_owned()))
    }

    /// Makes sure that nobody has taken the lead over; nothing is recorded.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] when another process has led since.
    pub async fn still_leads(&self, lead: &Lead) -> Result<(), StoreError> {
        let proof = self.proof(lead)?;
        backend!(*self.backend, still_leads(proof))
    }

    /// Records a deployment with its plan; it is planned afterwards.
    ///
    /// # Errors
    /// [`StoreError::DeploymentActive`] when one is under way in the environment.
    pub async fn create(&self, lead: &Lead, new: NewDeployment) -> Result<Deployment, StoreError> {
        self.create_by(lead, new, None).await
    }

    /// As [`Store::create`], of a run that has not ended, which is attached in the same transaction.
    ///
    /// # Errors
    /// As [`Store::create`]; [`StoreError::RunFinished`], with nothing changed then.
    pub async fn create_by(
        &self,
        lead: &Lead,
        new: NewDeployment,
        run: Option<&str>,
    ) -> Result<Deployment, StoreError> {
        let run = run.map(str::to_owned);
        let NewDeployment { plan, request } = new;
        let proof = self.proof(lead)?;
        let id = Uuid::now_v7().to_string();
        let event = Event::PlanStored;
        let planned = after(&id, State::Pending, &event)?;
        let at = stamp(now());
        let by = acting::stored(&lead.behind(&event))?;
        let head = Head {
            id: id.clone(),
            environment: plan.environment.clone(),
            state: planned.as_str().to_owned(),
            active: true,
            attempt: 1,
            created_at: at.clone(),
            updated_at: at.clone(),
            finished_at: None,
            reason: None,
            asks: false,
            by: Some(by.clone()),
        };
        let documents = Documents {
            plan: json("the plan", &plan)?,
            request: json("the request", &request)?,
        };
        let first = event_row(1, at, &event, planned, by)?;
        let deployment = head.clone().deployment(&documents)?;
        let insert = Insert {
            head,
            documents,
            first,
            run,
        };
        self.write(proof, insert).await?;
        Ok(deployment)
    }

    /// Moves a deployment on: the event and the state after it are recorded together.
    ///
    /// # Errors
    /// [`StoreError::Transition`] when the event does not fit; nothing is changed then.
    pub async fn apply(
        &self,
        lead: &Lead,
        id: &str,
        event: &Event,
    ) -> Result<Deployment, StoreError> {
        self.apply_by(lead, id, event, &lead.behind(event)).await
    }

    /// As [`Store::apply`], of an event that goes back to this subject.
    ///
    /// # Errors
    /// As [`Store::apply`].
    pub async fn apply_by(
        &self,
        lead: &Lead,
        id: &str,
        event: &Event,
        by: &Subject,
    ) -> Result<Deployment, StoreError> {
        let proof = self.proof(lead)?;
        let (event, by) = (event.clone(), acting::stored(by)?);
        let decide =
            move |head, past: Vec<EventRow>| applied(head, &past, event.clone(), by.clone());
        self.moved(proof, id, decide).await
    }

    /// Counts one more process that takes the deployment up.
    ///
    /// # Errors
    /// When there is no such deployment or it has ended.
    pub async fn take_up(&self, lead: &Lead, id: &str) -> Result<Deployment, StoreError> {
        let proof = self.proof(lead)?;
        let decide = |mut head: Head, _| {
            unended(&head, "another attempt")?;
            head.attempt += 1;
            Ok(Change { head, event: None })
        };
        self.moved(proof, id, decide).await
    }

    async fn moved(
        &self,
        proof: Proof,
        id: &str,
        decide: impl Fn(Head, Vec<EventRow>) -> Result<Change, StoreError> + Send + 'static,
    ) -> Result<Deployment, StoreError> {
        let id = id.to_owned();
        let (change, documents) = self.write(proof, Move { id, decide }).await?;
        change.head.deployment(&documents)
    }

    /// Records what is about to be done. When an effect of this key was begun before, the first
    /// intent stays and is given back, with the result where there is one, and the attempt is
    /// counted.
    ///
    /// # Errors
    /// [`StoreError::Ended`] when the deployment has ended.
    pub async fn begin_effect(
        &self,
        lead: &Lead,
        id: &str,
        key: &str,
        intent: &(impl Serialize + Sync),
    ) -> Result<Effect, StoreError> {
        let proof = self.proof(lead)?;
        let new = EffectRow {
            deployment_id: id.to_owned(),
            key: key.to_owned(),
            attempt: 1,
            intent: json("the intent", intent)?,
            started_at: stamp(now()),
            result: None,
            finished_at: None,
        };
        let name = key.to_owned();
        let allow = move |head: &Head| unended(head, &name);
        let row = self.write(proof, BeginEffect { new, allow }).await?;
        row.effect()
    }

    /// Records what came of an effect; a later result replaces an earlier one.
    ///
    /// # Errors
    /// [`StoreError::EffectNotBegun`] when its intent was never recorded.
    pub async fn finish_effect(
        &self,
        lead: &Lead,
        id: &str,
        key: &str,
        result: &(impl Serialize + Sync),
    ) -> Result<(), StoreError> {
        let proof = self.proof(lead)?;
        let finished = FinishEffect {
            id: id.to_owned(),
            key: key.to_owned(),
            result: json("the result", result)?,
            at: stamp(now()),
        };
        if self.write(proof, finished).await? {
            return Ok(());
        }
        Err(StoreError::EffectNotBegun {
            id: id.to_owned(),
            key: key.to_owned(),
        })
    }

    /// The effects of a deployment in the order in which they were first begun.
    ///
    /// # Errors
    /// When there is no such deployment or a row cannot be read.
    pub async fn effects(&self, id: &str) -> Result<Vec<Effect>, StoreError> {
        let id = id.to_owned();
        let rows = self.read(async move |tables| tables.effects(&id, None).await);
        rows.await?.into_iter().map(EffectRow::effect).collect()
    }

    /// One effect, where it was begun.
    ///
    /// # Errors
    /// When there is no such deployment or the row cannot be read.
    pub async fn effect(&self, id: &str, key: &str) -> Result<Option<Effect>, StoreError> {
        let (id, key) = (id.to_owned(), key.to_owned());
        let rows = self.read(async move |tables| tables.effects(&id, Some(&key)).await);
        let row = rows.await?.into_iter().next();
        row.map(EffectRow::effect).transpose()
    }

    /// The deployment of the environment that is under way.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub async fn active(&self, environment: &str) -> Result<Option<Deployment>, StoreError> {
        self.find(Wanted::Active(environment.to_owned())).await
    }

    /// The deployments that are under way, of every environment, the newest first.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub async fn under_way(&self) -> Result<Vec<Summary>, StoreError> {
        let heads = self.read(async |tables| tables.under_way().await).await?;
        heads.into_iter().map(Head::summary).collect()
    }

    /// The deployment of the environment that was created last.
    ///
    /// # Errors
    /// When the row cannot be read.
    pub async fn latest(&self, environment: &str) -> Result<Option<Deployment>, StoreError> {
        self.find(Wanted::Latest(environment.to_owned())).await
    }

    /// The deployment with this id, or the only one whose id begins like this.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`], or when the row cannot be read.
    pub async fn deployment(&self, id_or_prefix: &str) -> Result<Deployment, StoreError> {
        let not_found = || StoreError::NotFound {
            id: id_or_prefix.to_owned(),
        };
        let prefix = id_or_prefix.trim().to_ascii_lowercase();
        if prefix.is_empty() {
            return Err(not_found());
        }
        let wanted = prefix.clone();
        let ids = self.read(async move |tables| tables.ids(&wanted, SHOWN_IDS).await);
        let mut ids = ids.await?;
        let id = match (ids.pop(), ids.is_empty()) {
            (None, _) => return Err(not_found()),
            (Some(only), true) => only,
            (Some(last), false) => {
                ids.push(last);
                return Err(StoreError::Ambiguous { prefix, ids });
            }
        };
        self.find(Wanted::Id(id)).await?.ok_or_else(not_found)
    }

    /// Up to `limit` deployments, newest first, of one environment or of all.
    ///
    /// # Errors
    /// When a row cannot be read.
    pub async fn history(
        &self,
        environment: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Summary>, StoreError> {
        let of = environment.map(str::to_owned);
        let heads = self.read(async move |tables| tables.history(of.as_deref(), limit).await);
        heads.await?.into_iter().map(Head::summary).collect()
    }

    /// The events of a deployment, in order.
    ///
    /// # Errors
    /// When there is no such deployment or an event cannot be read.
    pub async fn events(&self, id: &str) -> Result<Vec<RecordedEvent>, StoreError> {
        let (_, events) = self.past(id).await?;
        events.iter().map(|event| event.recorded(id)).collect()
    }

    /// Folds the events of a deployment through [`state::next`] and gives the state.
    ///
    /// # Errors
    /// [`StoreError::Diverged`] when the fold and what is stored disagree anywhere.
    pub async fn replay(&self, id: &str) -> Result<State, StoreError> {
        let (head, rows) = self.past(id).await?;
        let diverged = |found: String| StoreError::Diverged {
            id: id.to_owned(),
            found,
        };
        let mut state = State::Pending;
        let mut past = Vec::with_capacity(rows.len());
        for (row, expected) in rows.iter().zip(1_u32..) {
            let recorded = row.recorded(id)?;
            if recorded.seq != expected {
                return Err(diverged(format!("event {expected} is missing")));
            }
            state = state::next(state, &recorded.event)
                .map_err(|error| diverged(format!("event {expected}: {error}")))?;
            if state != recorded.state_after {
                return Err(diverged(format!(
                    "event {expected} leads to {state}, recorded is {}",
                    recorded.state_after
                )));
            }
            past.push(recorded.event);
        }
        if past.is_empty() {
            return Err(diverged("there are none".to_owned()));
        }
        if state != head.state()? {
            return Err(diverged(format!(
                "they lead to {state}, stored is {}",
                head.state
            )));
        }
        if head.active == state.is_terminal() || head.finished_at.is_some() != state.is_terminal() {
            return Err(diverged(format!(
                "{state} does not agree with active = {} and finished_at = {:?}",
                head.active, head.finished_at
            )));
        }
        if head.reason != reason::reason(state, &past) {
            return Err(diverged("the stored reason is another".to_owned()));
        }
        Ok(state)
    }

    async fn find(&self, wanted: Wanted) -> Result<Option<Deployment>, StoreError> {
        let found = self.snapshot(async move |tables| tables.deployment(&wanted).await);
        found
            .await?
            .map(|(head, documents)| head.deployment(&documents))
            .transpose()
    }

    /// A deployment with all its events, read at one moment.
    async fn past(&self, id: &str) -> Result<(Head, Vec<EventRow>), StoreError> {
        let id = id.to_owned();
        self.snapshot(async move |tables| {
            let head = tables.existing(&id).await?;
            Ok((head, tables.events(&id).await?))
        })
        .await
    }

    /// Does work on the tables that may be done twice.
    async fn read<T: Send + 'static>(
        &self,
        work: impl AsyncFn(&Tables<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        backend!(*self.backend, read(work))
    }

    /// As [`Self::read`], of one moment.
    async fn snapshot<T: Send + 'static>(
        &self,
        work: impl AsyncFn(&Tables<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        backend!(*self.backend, snapshot(work))
    }

    /// Makes one change.
    async fn write<W: Write>(&self, proof: Proof, write: W) -> Result<W::Answer, StoreError> {
        written(async { backend!(*self.backend, write(proof, write)) }).await
    }

    /// What of the proof goes into a transaction, when it is one for this store.
    fn proof(&self, lead: &Lead) -> Result<Proof, StoreError> {
        let place = self.place();
        if lead.place != place {
            return Err(StoreError::WrongLead {
                lead: lead.place.clone(),
                wanted: place,
            });
        }
        Ok(Proof {
            environment: lead.environment.clone(),
            epoch: lead.epoch.clone(),
        })
    }
}

/// A write, between the boundaries at which tests kill the process.
async fn written<T>(write: impl Future<Output = T>) -> T {
    #[cfg(feature = "fault-points")]
    fault_points::point(fault_points::Side::Before);
    let written = write.await;
    #[cfg(feature = "fault-points")]
    fault_points::point(fault_points::Side::After);
    written
}

/// What may be written about, and as whom.
#[derive(Debug)]
struct Proof {
    environment: String,
    /// Compared in the transaction by backends that count leads.
    epoch: lead::Epoch,
}

impl Proof {
    fn covers(&self, environment: &str) -> Result<(), StoreError> {
        if self.environment == environment {
            return Ok(());
        }
        Err(StoreError::WrongLead {
            lead: self.environment.clone(),
            wanted: environment.to_owned(),
        })
    }
}

fn json(what: &str, document: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(document).map_err(|source| StoreError::Unwritable {
        what: what.to_owned(),
        source,
    })
}

/// The present moment as it is stored: whole milliseconds.
fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now)
}

fn stamp(at: Timestamp) -> String {
    format!("{at:.3}")
}

mod acting;
#[cfg(feature = "fault-points")]
mod fault_points;
#[cfg(test)]
mod tests;
