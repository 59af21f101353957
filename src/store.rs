//! The journal.
//!
//! What is durable: each deployment with its plan and request, written whole before the first
//! effect; every event that moved it; every effect's intent, written before the effect, and its
//! result; each run of the daemon; what others are to be told of all this; answers to requests. A method that returned `Ok` survives a power cut.
//!
//! Invariants: one active deployment per environment, by an index; the stored state is the fold of
//! the stored events through [`state::next`]; only the process that holds the [`Lead`] of an
//! environment writes about it, and one that lost it unawares is refused. A write that was begun is finished even when its future is dropped.

use crate::deployment::state::{self, Event, State};
use jiff::{Timestamp, Unit};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

pub use corners::{Corner, CornerState, corner_lead};
pub use error::StoreError;
pub use lead::{Holder, Lead};
pub use location::{Location, masked};
pub use outbox::{Due, Message};
pub use record::{Deployment, Effect, Kind, NewDeployment, RecordedEvent, Request, Summary};
pub use requests::Remembered;
pub use runs::{AskedUnder, Cause, NewRun, Outcome, Run};
pub use subject::Subject;

/// Calls a method of whichever backend there is.
macro_rules! backend {
    ($store:ident.$method:ident($($argument:expr),*)) => {
        match &*$store.backend {
            crate::store::Backend::Sqlite(sqlite) => sqlite.$method($($argument),*).await,
            crate::store::Backend::Postgres(postgres) => postgres.$method($($argument),*).await,
        }
    };
}

/// As [`backend!`], for what writes: the boundaries at which tests kill the process.
macro_rules! written {
    ($store:ident.$method:ident($($argument:expr),*)) => {{
        #[cfg(feature = "fault-points")]
        crate::store::fault::point(crate::store::fault::Side::Before);
        let written = backend!($store.$method($($argument),*));
        #[cfg(feature = "fault-points")]
        crate::store::fault::point(crate::store::fault::Side::After);
        written
    }};
}

mod address;
mod change;
mod corners;
mod error;
#[cfg(feature = "fault-points")]
mod fault;
mod files;
mod lead;
mod location;
mod outbox;
mod postgres;
mod record;
mod requests;
mod retention;
mod row;
mod runs;
mod schema;
mod sqlite;
mod subject;
mod thread;

use change::{after, applied, event_row, unended};
use row::{Change, Documents, EffectRow, Head, Wanted};

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
        let id = match &backend {
            Backend::Sqlite(sqlite) => sqlite.identity().await?,
            Backend::Postgres(postgres) => postgres.identity().await?,
        };
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
        backend!(self.is_led(environment.to_owned()))
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
            match backend!(self.lead(environment.to_owned(), address.clone())) {
                Err(StoreError::Led { .. }) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                answer => return answer,
            }
        }
        backend!(self.lead(environment.to_owned(), address))
    }

    /// Who leads the environment, this process included; `None` when nobody does or it cannot be
    /// read who.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn holder(&self, environment: &str) -> Result<Option<Holder>, StoreError> {
        backend!(self.holder(environment.to_owned()))
    }

    /// Makes sure that nobody has taken the lead over; nothing is recorded.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] when another process has led since.
    pub async fn still_leads(&self, lead: &Lead) -> Result<(), StoreError> {
        let proof = self.proof(lead)?;
        backend!(self.still_leads(proof))
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
        let by = subject::stored(&lead.behind(&event))?;
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
            by: Some(by.clone()),
        };
        let documents = Documents {
            plan: json("the plan", &plan)?,
            request: json("the request", &request)?,
        };
        let first = event_row(1, at, &event, planned, by)?;
        let deployment = head.clone().deployment(&documents)?;
        written!(self.insert(proof, head, documents, first, run))?;
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
        let (event, by) = (event.clone(), subject::stored(by)?);
        let (head, documents) = written!(self.change(proof, id.to_owned(), move |head, past| {
            applied(head, &past, event.clone(), by.clone())
        }))?;
        head.deployment(&documents)
    }

    /// Counts one more process that takes the deployment up.
    ///
    /// # Errors
    /// When there is no such deployment or it has ended.
    pub async fn take_up(&self, lead: &Lead, id: &str) -> Result<Deployment, StoreError> {
        let proof = self.proof(lead)?;
        let (head, documents) =
            written!(self.change(proof, id.to_owned(), |mut head: Head, _| {
                unended(&head, "another attempt")?;
                head.attempt += 1;
                Ok(Change { head, event: None })
            }))?;
        head.deployment(&documents)
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
        let row = written!(self.begin_effect(proof, new, move |head: &Head| unended(head, &name)))?;
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
        let result = json("the result", result)?;
        let at = stamp(now());
        let begun = written!(self.finish_effect(proof, id.to_owned(), key.to_owned(), result, at))?;
        if begun {
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
        let rows = backend!(self.effects(id.to_owned(), None))?;
        rows.into_iter().map(EffectRow::effect).collect()
    }

    /// One effect, where it was begun.
    ///
    /// # Errors
    /// When there is no such deployment or the row cannot be read.
    pub async fn effect(&self, id: &str, key: &str) -> Result<Option<Effect>, StoreError> {
        let rows = backend!(self.effects(id.to_owned(), Some(key.to_owned())))?;
        rows.into_iter().next().map(EffectRow::effect).transpose()
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
        let heads = backend!(self.under_way())?;
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
        let mut ids = backend!(self.ids(prefix.clone(), SHOWN_IDS))?;
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
        let heads = backend!(self.history(environment.map(str::to_owned), limit))?;
        heads.into_iter().map(Head::summary).collect()
    }

    /// The events of a deployment, in order.
    ///
    /// # Errors
    /// When there is no such deployment or an event cannot be read.
    pub async fn events(&self, id: &str) -> Result<Vec<RecordedEvent>, StoreError> {
        let (_, events) = backend!(self.events(id.to_owned()))?;
        events.iter().map(|event| event.recorded(id)).collect()
    }

    /// Folds the events of a deployment through [`state::next`] and gives the state.
    ///
    /// # Errors
    /// [`StoreError::Diverged`] when the fold and what is stored disagree anywhere.
    pub async fn replay(&self, id: &str) -> Result<State, StoreError> {
        let (head, rows) = backend!(self.events(id.to_owned()))?;
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
        if head.reason != record::reason(state, &past) {
            return Err(diverged("the stored reason is another".to_owned()));
        }
        Ok(state)
    }

    async fn find(&self, wanted: Wanted) -> Result<Option<Deployment>, StoreError> {
        backend!(self.find(wanted))?
            .map(|(head, documents)| head.deployment(&documents))
            .transpose()
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

/// Text as every backend takes it outside of a document.
fn storable(text: String) -> String {
    if text.contains('\0') {
        return text.replace('\0', "\u{fffd}");
    }
    text
}

#[cfg(test)]
mod tests;
