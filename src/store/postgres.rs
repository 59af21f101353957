//! The journal in a schema of a PostgreSQL database.
//!
//! One thread owns the connection and does one piece of work after the other, as with SQLite; work
//! that was handed over is done even when nobody waits for its answer any more. Each write is one
//! transaction that first locks the environment's row in `leads` and compares the epoch: a leader
//! that was taken over while it could not know changes nothing. Durable when an answer is given: a
//! session never leaves `synchronous_commit` off.
//!
//! A connection that is lost is made again. When it was lost during a commit, whether the change
//! stands is read, under the same lock, before anything is repeated; see [`link::Link::write`].

use super::Proof;
use super::address::Address;
use super::error::StoreError;
use super::lead::{Holder, Lead};
use super::row::{Change, Documents, EffectRow, EventRow, Head, Wanted};
use super::thread::join;
use fault::Fault;
use link::Link;
use rows::{
    EFFECT, HEAD, add_event, covered, documents_of, effect_row, effects_of, events_of, existing,
    has_event, head_of, head_row, number, text, update,
};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;

pub(super) use keeper::Keeper;
use keeper::News;

/// Corners of pull requests.
mod corners;
/// What the server said, told apart.
mod fault;
/// The connection that holds a lead.
mod keeper;
/// Connections, and how work is repeated on the next one.
mod link;
/// Checks and migrations.
mod open;
/// What others are to be told.
mod outbox;
/// Answers that were given.
mod requests;
/// What is forgotten.
mod retention;
/// Statements about deployments, for more than one piece of work.
mod rows;
/// What the daemon set out to do.
mod runs;

type Job = Box<dyn for<'a> FnOnce(&'a mut Link) -> Pin<Box<dyn Future<Output = ()> + 'a>> + Send>;

/// A handle on the thread that owns the connection.
#[derive(Debug)]
pub(super) struct Postgres {
    address: Arc<Address>,
    jobs: Option<mpsc::UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Postgres {
    /// Opens the journal, made and migrated where needed. Does not wait for a server that is away.
    pub(super) async fn open(address: Address) -> Result<Self, StoreError> {
        let address = Arc::new(address);
        let place = address.place();
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        let (opened, outcome) = oneshot::channel();
        let server = address.clone();
        let thread = link::thread("journal", &place, async move || {
            match open::open(&server).await {
                Ok(connection) => {
                    let mut link = Link::new(server, connection);
                    if opened.send(Ok(())).is_err() {
                        return;
                    }
                    while let Some(job) = queue.recv().await {
                        job(&mut link).await;
                    }
                    link.close().await;
                }
                Err(fault) => {
                    let _ = opened.send(Err(fault.told_apart(&server)));
                }
            }
        })?;
        outcome.await.map_err(|_| StoreError::Closed { place })??;
        Ok(Self {
            address,
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Where the journal is; the same for every process.
    pub(super) fn place(&self) -> String {
        self.address.place()
    }

    /// Which journal it is.
    pub(super) async fn identity(&self) -> Result<String, StoreError> {
        self.call(async move |link| {
            link.read(async |client| {
                let sql = "/* store.identity */ SELECT id FROM journal";
                Ok(client.query_typed_one(sql, &[]).await?.try_get(0)?)
            })
            .await
        })
        .await
    }

    /// Takes the lead of an environment.
    pub(super) async fn lead(
        &self,
        environment: String,
        address: Option<String>,
    ) -> Result<Lead, StoreError> {
        let lost = CancellationToken::new();
        let (doubts, doubt) = watch::channel(false);
        let news = News {
            lost: lost.clone(),
            doubts,
        };
        let taking = Keeper::take(&self.address, &environment, address, news);
        let (keeper, epoch) = taking.await?;
        let place = self.place();
        Ok(Lead::kept(environment, place, epoch, keeper, lost, doubt))
    }

    /// Whether somebody leads an environment.
    pub(super) async fn is_led(&self, environment: String) -> Result<bool, StoreError> {
        let key = keeper::lock_key(&self.address.schema, &environment);
        self.call(async move |link| {
            link.read(async |client| Ok(keeper::is_held(client, key).await?))
                .await
        })
        .await
    }

    /// Who leads an environment.
    pub(super) async fn holder(&self, environment: String) -> Result<Option<Holder>, StoreError> {
        let key = keeper::lock_key(&self.address.schema, &environment);
        self.call(async move |link| {
            link.read(async |client| {
                if keeper::is_held(client, key).await? {
                    keeper::holder(client, &environment).await
                } else {
                    Ok(None)
                }
            })
            .await
        })
        .await
    }

    /// Makes sure that the proof is of the last lead.
    pub(super) async fn still_leads(&self, proof: Proof) -> Result<(), StoreError> {
        self.call(async move |link| {
            link.write(&proof, async |_| Ok(()), async |_, ()| Ok(true))
                .await
        })
        .await
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
        self.call(async move |link| {
            proof.covers(&head.environment)?;
            link.write(
                &proof,
                async |transaction| {
                    let wanted = Wanted::Active(head.environment.clone());
                    if let Some(active) = head_of(transaction, &wanted).await? {
                        return Err(Fault::Store(StoreError::DeploymentActive {
                            environment: head.environment.clone(),
                            state: active.state()?,
                            id: active.id,
                        }));
                    }
                    transaction
                        .execute_typed(
                            "/* store.insert_deployment */
                            INSERT INTO deployments (id, environment, state, active, attempt,
                                created_at, updated_at, finished_at, reason, plan, request)
                            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                            &[
                                text(&head.id),
                                text(&head.environment),
                                text(&head.state),
                                (&head.active, Type::BOOL),
                                (&i64::from(head.attempt), Type::INT8),
                                text(&head.created_at),
                                text(&head.updated_at),
                                (&head.finished_at, Type::TEXT),
                                (&head.reason, Type::TEXT),
                                text(&documents.plan),
                                text(&documents.request),
                            ],
                        )
                        .await?;
                    add_event(transaction, &head, &first).await?;
                    match &run {
                        Some(run) => runs::attach(transaction, &proof, run, &head.id).await,
                        None => Ok(()),
                    }
                },
                // The id is new with every call.
                async |transaction, ()| {
                    let wanted = Wanted::Id(head.id.clone());
                    Ok(head_of(transaction, &wanted).await?.is_some())
                },
            )
            .await
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
        self.call(async move |link| {
            let (change, documents) = link
                .write(
                    &proof,
                    async |transaction| {
                        let head = covered(transaction, &proof, &id).await?;
                        let change = decide(head, events_of(transaction, &id).await?)?;
                        if let Some(event) = &change.event {
                            add_event(transaction, &change.head, event).await?;
                        }
                        update(transaction, &change.head).await?;
                        let documents = documents_of(transaction, &id).await?;
                        Ok((change, documents))
                    },
                    async |transaction, (change, _)| match &change.event {
                        Some(event) => has_event(transaction, &id, event).await,
                        None => {
                            let head = existing(transaction, &id).await?;
                            Ok(head.attempt == change.head.attempt)
                        }
                    },
                )
                .await?;
            Ok((change.head, documents))
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
        self.call(async move |link| {
            link.write(
                &proof,
                async |transaction| {
                    allow(&covered(transaction, &proof, &new.deployment_id).await?)?;
                    let row = transaction
                        .query_typed_one(
                            &format!(
                                "/* store.begin_effect */
                                INSERT INTO effects (deployment_id, key, attempt, intent, started_at)
                                VALUES ($1, $2, $3, $4, $5)
                                ON CONFLICT (deployment_id, key)
                                    DO UPDATE SET attempt = effects.attempt + 1
                                RETURNING {EFFECT}"
                            ),
                            &[
                                text(&new.deployment_id),
                                text(&new.key),
                                (&i64::from(new.attempt), Type::INT8),
                                text(&new.intent),
                                text(&new.started_at),
                            ],
                        )
                        .await?;
                    effect_row(&row)
                },
                async |transaction, begun| {
                    let rows = effects_of(transaction, &begun.deployment_id, Some(&begun.key));
                    let stored = rows.await?.into_iter().next();
                    Ok(stored.is_some_and(|stored| {
                        stored.attempt == begun.attempt && stored.started_at == begun.started_at
                    }))
                },
            )
            .await
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
        self.call(async move |link| {
            link.write(
                &proof,
                async |transaction| {
                    covered(transaction, &proof, &id).await?;
                    let changed = transaction
                        .execute_typed(
                            "/* store.finish_effect */
                            UPDATE effects SET result = $3, finished_at = $4
                            WHERE deployment_id = $1 AND key = $2",
                            &[text(&id), text(&key), text(&result), text(&at)],
                        )
                        .await?;
                    Ok(changed == 1)
                },
                // The same result twice is the same.
                async |_, _| Ok(false),
            )
            .await
        })
        .await
    }

    /// The effects of a deployment in the order in which they were first begun.
    pub(super) async fn effects(
        &self,
        id: String,
        key: Option<String>,
    ) -> Result<Vec<EffectRow>, StoreError> {
        self.call(async move |link| {
            link.read(async |client| {
                existing(client, &id).await?;
                effects_of(client, &id, key.as_deref()).await
            })
            .await
        })
        .await
    }

    /// One deployment.
    pub(super) async fn find(
        &self,
        wanted: Wanted,
    ) -> Result<Option<(Head, Documents)>, StoreError> {
        self.call(async move |link| {
            link.read(async |client| {
                let transaction = link::snapshot(client).await?;
                let Some(head) = head_of(&transaction, &wanted).await? else {
                    return Ok(None);
                };
                let documents = documents_of(&transaction, &head.id).await?;
                Ok(Some((head, documents)))
            })
            .await
        })
        .await
    }

    /// Up to `limit` ids that begin with `prefix`, newest first.
    pub(super) async fn ids(&self, prefix: String, limit: u32) -> Result<Vec<String>, StoreError> {
        self.call(async move |link| {
            link.read(async |client| {
                let rows = client
                    .query_typed(
                        "/* store.ids */
                        SELECT id FROM deployments WHERE starts_with(id, $1)
                        ORDER BY number DESC LIMIT $2",
                        &[text(&prefix), (&i64::from(limit), Type::INT8)],
                    )
                    .await?;
                rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
            })
            .await
        })
        .await
    }

    /// Up to `limit` deployments without their documents, newest first.
    pub(super) async fn history(
        &self,
        environment: Option<String>,
        limit: u32,
    ) -> Result<Vec<Head>, StoreError> {
        self.call(async move |link| {
            link.read(async |client| {
                let rows = client
                    .query_typed(
                        &format!(
                            "/* store.history */
                            SELECT {HEAD} FROM deployments WHERE $1 IS NULL OR environment = $1
                            ORDER BY number DESC LIMIT $2"
                        ),
                        &[(&environment, Type::TEXT), (&i64::from(limit), Type::INT8)],
                    )
                    .await?;
                rows.iter().map(head_row).collect()
            })
            .await
        })
        .await
    }

    pub(super) async fn under_way(&self) -> Result<Vec<Head>, StoreError> {
        self.call(async move |link| {
            link.read(async |client| {
                let rows = client
                    .query_typed(
                        &format!(
                            "/* store.under_way */
                            SELECT {HEAD} FROM deployments WHERE active ORDER BY number DESC"
                        ),
                        &[],
                    )
                    .await?;
                rows.iter().map(head_row).collect()
            })
            .await
        })
        .await
    }

    /// A deployment with all its events, read at one moment.
    pub(super) async fn events(&self, id: String) -> Result<(Head, Vec<EventRow>), StoreError> {
        self.call(async move |link| {
            link.read(async |client| {
                let transaction = link::snapshot(client).await?;
                let head = existing(&transaction, &id).await?;
                let events = events_of(&transaction, &id).await?;
                Ok((head, events))
            })
            .await
        })
        .await
    }

    /// Does a piece of work on the thread of the connection.
    async fn call<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&mut Link) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Closed {
            place: self.place(),
        };
        let (answer, outcome) = oneshot::channel();
        let job: Job = Box::new(move |link| {
            Box::pin(async move {
                let _ = answer.send(work(link).await);
            })
        });
        let jobs = self.jobs.as_ref().ok_or_else(closed)?;
        jobs.send(job).map_err(|_| closed())?;
        outcome.await.map_err(|_| closed())?
    }
}

impl Drop for Postgres {
    /// Waits for the work that was handed over.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            join(thread);
        }
    }
}

#[cfg(test)]
mod tests;
