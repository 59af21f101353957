//! The journal in a schema of a PostgreSQL database.
//!
//! One thread owns the connection and does one piece of work after the other, as with SQLite; work
//! that was handed over is done even when nobody waits for its answer any more. Each write is one
//! transaction that first locks the environment's row in `leads` and compares the epoch: a leader
//! that was taken over while it could not know changes nothing. Durable when an answer is given: a
//! session never leaves `synchronous_commit` off.
//!
//! A connection that is lost is made again. When it was lost during a commit, whether the change
//! stands is read, under the same lock, before anything is repeated; see [`crate::adapters::store::postgres::connection::Link::write`].

use super::Proof;
use super::error::StoreError;
use super::lead::{Holder, Lead};
use super::tables::{Fault, Tables, Write};
use super::thread::Worker;
use crate::adapters::store::postgres::connection::Link;
use crate::domain::location::postgres::Address;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub(super) use crate::adapters::store::postgres::lead::HeldLead;
use crate::adapters::store::postgres::lead::News;

/// What the server said, told apart.
mod fault;
/// Checks and migrations.
mod open;
type Job = Box<dyn for<'a> FnOnce(&'a mut Link) -> Pin<Box<dyn Future<Output = ()> + 'a>> + Send>;

/// A handle on the thread that owns the connection.
#[derive(Debug)]
pub(super) struct Postgres {
    address: Arc<Address>,
    worker: Worker<Job>,
}

impl Postgres {
    /// Opens the journal, made and migrated where needed. Does not wait for a server that is away.
    pub(super) async fn open(address: Address) -> Result<Self, StoreError> {
        let address = Arc::new(address);
        let place = address.place();
        let (jobs, mut queue) = mpsc::unbounded_channel::<Job>();
        let (opened, outcome) = oneshot::channel();
        let server = address.clone();
        let thread = connection::thread("journal", &place, async move || {
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
            worker: Worker::new(jobs, thread),
        })
    }

    /// Where the journal is; the same for every process.
    pub(super) fn place(&self) -> String {
        self.address.place()
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
        let taking = HeldLead::take(&self.address, &environment, address, news);
        let (keeper, epoch) = taking.await?;
        let place = self.place();
        Ok(Lead::kept(environment, place, epoch, keeper, lost, doubt))
    }

    /// Whether somebody leads an environment.
    pub(super) async fn is_led(&self, environment: String) -> Result<bool, StoreError> {
        let key = lead::lock_key(&self.address.schema, &environment);
        self.call(async move |link| {
            link.read(async |client| Ok(lead::is_held(client, key).await?))
                .await
        })
        .await
    }

    /// Who leads an environment.
    pub(super) async fn holder(&self, environment: String) -> Result<Option<Holder>, StoreError> {
        let key = lead::lock_key(&self.address.schema, &environment);
        self.call(async move |link| {
            link.read(async |client| {
                if lead::is_held(client, key).await? {
                    lead::holder(client, &environment).await
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

    /// Does work that may be done twice.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl AsyncFn(&Tables<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(async move |link| {
            link.read(async |client| work(&Tables::Postgres(client)).await)
                .await
        })
        .await
    }

    /// As [`Self::read`], of one moment.
    pub(super) async fn snapshot<T: Send + 'static>(
        &self,
        work: impl AsyncFn(&Tables<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(async move |link| {
            link.read(async |client| {
                let transaction = connection::snapshot(client).await?;
                work(&Tables::InPostgres(&transaction)).await
            })
            .await
        })
        .await
    }

    /// Makes one change in one transaction; see [`Link::write`].
    pub(super) async fn write<W: Write>(
        &self,
        proof: Proof,
        write: W,
    ) -> Result<W::Answer, StoreError> {
        self.call(async move |link| {
            link.write(
                &proof,
                async |transaction| write.change(&Tables::InPostgres(transaction), &proof).await,
                async |transaction, answer| {
                    write.stands(&Tables::InPostgres(transaction), answer).await
                },
            )
            .await
        })
        .await
    }

    /// Does a piece of work on the thread of the connection.
    async fn call<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&mut Link) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let job = |answer: oneshot::Sender<_>| -> Job {
            Box::new(move |link| {
                Box::pin(async move {
                    let _ = answer.send(work(link).await);
                })
            })
        };
        self.worker.answer(|| self.place(), job).await?
    }
}

/// Connections, and how work is repeated on the next one.
mod connection;
/// The connection that holds a lead.
mod lead;
#[cfg(test)]
mod tests;
