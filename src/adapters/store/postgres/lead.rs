//! The lead of an environment: an advisory lock of a connection of its own, and an epoch, a number with a
//! random token.
//!
//! The lock ends with its connection, and so with the process, however that ends. It may also end
//! while the process lives: then it is taken again, unless another process has led meanwhile. What
//! that one did is safe in any case, because it counted the epoch up and every write compares it.
//!
//! A process that is paused, or whose machine is gone, leaves its connection open. So the process says
//! every two seconds that it lives, and whoever finds the lock taken and nobody who lives ends that
//! connection.

use crate::adapters::store::Proof;
use crate::adapters::store::error::StoreError;
use crate::adapters::store::lead::{Epoch, Holder};
use crate::adapters::store::postgres::connection::{self, Connected, Value};
use crate::adapters::store::tables::Fault;
use crate::adapters::store::thread::join;
use crate::domain::location::postgres::Address;
use crate::domain::records::subject::host;
use crate::foundation::retry::Pauses;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_postgres::types::Type;
use tokio_postgres::{GenericClient, Transaction};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long giving the lock back may take; after that the server finds out by itself.
const FAREWELL: Duration = Duration::from_secs(2);

/// How often the leader says that it lives.
const BEAT: Duration = Duration::from_secs(2);

/// For how long a leader that says nothing keeps its lock, in seconds of the server's clock.
const LEASE: f64 = 8.0;

/// How long after its last confirmed word a leader is sure that it leads. What must end by the end of the
/// lease has the rest of that to do so.
const CERTAIN: Duration = Duration::from_secs(5);

/// How long a leader that just says nothing, because the server itself was held up, is waited for.
const GRACE: Duration = Duration::from_millis(300);

/// How long the server may take to end a connection.
const ENDING: Duration = Duration::from_secs(2);

/// The thread whose connection holds the lock. Dropping it gives the lock back.
#[derive(Debug)]
pub(in crate::adapters::store) struct HeldLead {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HeldLead {
    /// Takes the lock, at once or not at all, and counts the epoch up.
    pub(crate) async fn take(
        address: &Arc<Address>,
        environment: &str,
        answers_at: Option<String>,
        news: News,
    ) -> Result<(Self, Epoch), StoreError> {
        let (stop, stopped) = oneshot::channel();
        let (taken, outcome) = oneshot::channel();
        let lock = Lock {
            key: lock_key(&address.schema, environment),
            address: address.clone(),
            environment: environment.to_owned(),
            answers_at,
        };
        let thread = connection::thread("lead", &address.place(), async move || {
            match lock.take().await {
                Ok((connected, epoch)) => {
                    if taken.send(Ok(epoch.clone())).is_ok() {
                        lock.keep(connected, epoch, stopped, news).await;
                    } else {
                        lock.give_back(connected).await;
                    }
                }
                Err(fault) => {
                    let _ = taken.send(Err(fault.told_apart(&lock.address)));
                }
            }
        })?;
        let epoch = outcome.await.map_err(|_| StoreError::Closed {
            place: address.place(),
        })??;
        let keeper = Self {
            stop: Some(stop),
            thread: Some(thread),
        };
        Ok((keeper, epoch))
    }
}

impl Drop for HeldLead {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            join(thread);
        }
    }
}

/// What the leader is told about its lead.
#[derive(Debug)]
pub(crate) struct News {
    /// Cancelled when another process has taken the lead over.
    pub(crate) lost: CancellationToken,
    /// Whether that may have happened, or is about to.
    pub(crate) doubts: watch::Sender<bool>,
}

/// The backend that holds the lock $1 although nobody was seen leading the environment $2 for $3
/// seconds. A connection that is younger than that may have the lock without having said so yet, and a
/// leader of an earlier version never says anything.
const STALE: &str = "pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (l.classid::int8 << 32 | l.objid::int8) = $1
        AND a.backend_start < now() - make_interval(secs => $3)
        AND NOT EXISTS (SELECT 1 FROM leads WHERE environment = $2
            AND (seen_at IS NULL OR seen_at >= now() - make_interval(secs => $3)))";

/// Why a connection holds the lock no more.
#[derive(Debug, Clone, Copy)]
enum End {
    /// It is given back.
    Stopped,
    /// The connection is lost.
    Away,
    /// Another process leads.
    Superseded,
}

/// What is locked.
struct Lock {
    address: Arc<Address>,
    environment: String,
    key: i64,
    /// Where the leader answers, for those who are refused.
    answers_at: Option<String>,
}

impl Lock {
    async fn take(&self) -> Result<(Connected, Epoch), Fault> {
        let connected = connection::connect(&self.address).await?;
        if !try_lock(&connected.client, self.key).await? && !self.take_over(&connected).await? {
            let holder = holder(&connected.client, &self.environment).await?;
            return Err(Fault::Store(StoreError::Led {
                environment: self.environment.clone(),
                holder,
            }));
        }
        let token = Uuid::now_v7().to_string();
        let row = connected
            .client
            .query_typed_one(
                "/* store.lead */
                INSERT INTO leads (environment, epoch, host, pid, since, address, token, seen_at)
                VALUES ($1, 1, $2, $3, $4, $5, $6, now())
                ON CONFLICT (environment) DO UPDATE SET epoch = leads.epoch + 1,
                    host = excluded.host, pid = excluded.pid, since = excluded.since,
                    address = excluded.address, token = excluded.token, seen_at = now()
                RETURNING epoch",
                &[
                    (&self.environment, Type::TEXT),
                    (&host(), Type::TEXT),
                    (&i64::from(std::process::id()), Type::INT8),
                    (
                        &crate::adapters::store::stamp(crate::adapters::store::now()),
                        Type::TEXT,
                    ),
                    (&self.answers_at, Type::TEXT),
                    (&token, Type::TEXT),
                ],
            )
            .await?;
        let number = row.try_get(0)?;
        Ok((connected, Epoch { number, token }))
    }

    /// Takes the lock from a holder that was not seen alive for the time of the lease.
    async fn take_over(&self, connected: &Connected) -> Result<bool, Fault> {
        let client = &connected.client;
        if !self.is_stale(client).await? {
            return Ok(false);
        }
        // After the server was held up, what it does first is by chance.
        tokio::time::sleep(GRACE).await;
        let ended = match self.end_stale(client).await {
            Ok(ended) => ended,
            Err(fault) if !fault.may_pass() => {
                let environment = &self.environment;
                tracing::warn!(
                    environment,
                    ?fault,
                    "the connection of a silent leader cannot be ended"
                );
                return Ok(false);
            }
            Err(fault) => return Err(fault),
        };
        if !ended {
            return try_lock(client, self.key).await;
        }
        let environment = &self.environment;
        tracing::warn!(environment, "the connection of a silent leader was ended");
        let taken = tokio::time::timeout(ENDING, async {
            while !try_lock(client, self.key).await? {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(true)
        });
        taken.await.unwrap_or(Ok(false))
    }

    async fn is_stale(&self, client: &impl GenericClient) -> Result<bool, Fault> {
        let sql = format!("/* store.is_stale */ SELECT 1 FROM {STALE}");
        let rows = client.query_typed(&sql, &self.named()).await?;
        Ok(!rows.is_empty())
    }

    /// Ends the connection of a holder that is stale; whether there was one.
    async fn end_stale(&self, client: &impl GenericClient) -> Result<bool, Fault> {
        let sql = format!("/* store.end_stale */ SELECT pg_terminate_backend(l.pid) FROM {STALE}");
        let rows = client.query_typed(&sql, &self.named()).await?;
        Ok(!rows.is_empty())
    }

    fn named(&self) -> [Value<'_>; 3] {
        [
            (&self.key, Type::INT8),
            (&self.environment, Type::TEXT),
            (&LEASE, Type::FLOAT8),
        ]
    }

    /// Holds the lock until told to stop, and takes it again when its connection is lost.
    async fn keep(
        &self,
        first: Connected,
        epoch: Epoch,
        mut stopped: oneshot::Receiver<()>,
        News { lost, doubts }: News,
    ) {
        let mut current = first;
        let confirmed = watch::Sender::new(Instant::now());
        // It ends with what it listens to.
        tokio::spawn(doubt(confirmed.subscribe(), doubts));
        loop {
            let end = tokio::select! {
                _ = &mut stopped => End::Stopped,
                _ = &mut current.driver => End::Away,
                end = self.beat(&current.client, &epoch, &confirmed) => end,
            };
            let environment = &self.environment;
            match end {
                End::Stopped => return self.give_back(current).await,
                End::Away => {}
                End::Superseded => {
                    tracing::warn!(environment, "another process has taken the lead");
                    return lost.cancel();
                }
            }
            tracing::info!(environment, "the connection that holds the lead was lost");
            // One that only fell silent must not keep the lock from the next.
            current.driver.abort();
            let again = tokio::select! {
                _ = &mut stopped => return,
                again = self.retake(&epoch) => again,
            };
            match again {
                Some(connected) => current = connected,
                None => {
                    tracing::warn!(environment, "another process has taken the lead");
                    return lost.cancel();
                }
            }
        }
    }

    /// Says again and again that this process lives. Ends when nobody answers for the time of the
    /// lease, or when the lead is another's.
    async fn beat(
        &self,
        client: &impl GenericClient,
        epoch: &Epoch,
        confirmed: &watch::Sender<Instant>,
    ) -> End {
        let mut backend: Option<i32> = None;
        let mut beats = tokio::time::interval(BEAT);
        // After a pause of the process one beat is enough.
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            let named: [Value<'_>; 3] = [
                (&self.environment, Type::TEXT),
                (&epoch.number, Type::INT8),
                (&epoch.token, Type::TEXT),
            ];
            let asked = Instant::now();
            let said = client.query_typed(
                "/* store.beat */
                UPDATE leads SET seen_at = now()
                WHERE environment = $1 AND epoch = $2 AND token = $3 RETURNING pg_backend_pid()",
                &named,
            );
            match tokio::time::timeout(Duration::from_secs_f64(LEASE), said).await {
                Ok(Ok(rows)) => {
                    let now = rows.first().map(|row| row.try_get::<_, i32>(0));
                    let Some(Ok(now)) = now else {
                        return End::Superseded;
                    };
                    // The lock is of the session that took it; a pooler that gives another one took the
                    // lock away with it.
                    if *backend.get_or_insert(now) != now {
                        let environment = &self.environment;
                        tracing::error!(
                            environment,
                            "a pooler in front of the journal changed the session that holds the lead"
                        );
                        return End::Superseded;
                    }
                    confirmed.send_replace(asked);
                }
                // A connection that is lost is noticed by who drives it; a row that somebody
                // locks is free at the next beat.
                Ok(Err(error)) => tracing::debug!(%error, "the lead was not confirmed"),
                Err(_) => return End::Away,
            }
        }
    }

    /// The lock on another connection, or nothing when another process has led since.
    async fn retake(&self, epoch: &Epoch) -> Option<Connected> {
        let mut pauses = Pauses::endless(Duration::from_millis(100), Duration::from_secs(5));
        loop {
            match self.locked_again(epoch).await {
                Ok(Some(answer)) => return answer,
                // The server may not know yet that the old connection is lost.
                Ok(None) => {}
                Err(fault) => tracing::debug!(?fault, "the lead was not taken again"),
            }
            tokio::time::sleep(pauses.next_pause()?).await;
        }
    }

    /// `Some(None)` when it is too late.
    async fn locked_again(&self, epoch: &Epoch) -> Result<Option<Option<Connected>>, Fault> {
        let connected = connection::connect(&self.address).await?;
        let locked = try_lock(&connected.client, self.key).await?;
        let stored = stored_epoch(&connected.client, &self.environment, "").await?;
        if stored.as_ref() != Some(epoch) {
            return Ok(Some(None));
        }
        Ok(locked.then_some(Some(connected)))
    }

    async fn give_back(&self, connected: Connected) {
        let key: [Value<'_>; 1] = [(&self.key, Type::INT8)];
        let unlock = connected
            .client
            .query_typed("/* store.unlock */ SELECT pg_advisory_unlock($1)", &key);
        if !matches!(tokio::time::timeout(FAREWELL, unlock).await, Ok(Ok(_))) {
            tracing::debug!("the lead ends with its connection");
        }
        connected.close().await;
    }
}

/// Says whether the lead is in doubt: when it was not confirmed for as long as it is certain.
async fn doubt(mut confirmed: watch::Receiver<Instant>, doubts: watch::Sender<bool>) {
    loop {
        let until = *confirmed.borrow_and_update() + CERTAIN;
        let is_doubted = *doubts.borrow();
        tokio::select! {
            changed = confirmed.changed() => match changed {
                Ok(()) => {
                    doubts.send_if_modified(std::mem::take);
                }
                Err(_) => return,
            },
            () = tokio::time::sleep_until(until), if !is_doubted => {
                doubts.send_replace(true);
            }
        }
    }
}

/// The number that stands for an environment among the database's advisory locks.
pub(crate) fn lock_key(schema: &str, environment: &str) -> i64 {
    number_of(&["lead", schema, environment])
}

/// The number for whoever makes or migrates the schema.
pub(crate) fn migration_key(schema: &str) -> i64 {
    number_of(&["migration", schema])
}

fn number_of(words: &[&str]) -> i64 {
    let mut hash = Sha256::new_with_prefix("cutover journal");
    for word in words {
        // Names hold no NUL.
        hash.update([0]);
        hash.update(word);
    }
    let digest = hash.finalize();
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | i64::from(*byte))
}

/// Locks the environment's row for the transaction and makes sure that the proof is of the last
/// lead.
pub(crate) async fn fence(transaction: &Transaction<'_>, proof: &Proof) -> Result<(), Fault> {
    let environment = &proof.environment;
    let stored = stored_epoch(transaction, environment, "FOR UPDATE").await?;
    if stored.as_ref() == Some(&proof.epoch) {
        return Ok(());
    }
    Err(Fault::Store(StoreError::Superseded {
        environment: environment.clone(),
        holder: holder(transaction, environment).await?,
    }))
}

async fn stored_epoch(
    client: &impl GenericClient,
    environment: &str,
    lock: &'static str,
) -> Result<Option<Epoch>, Fault> {
    let rows = client
        .query_typed(
            &format!(
                "/* store.epoch */ SELECT epoch, coalesce(token, '') FROM leads
                WHERE environment = $1 {lock}"
            ),
            &[(&environment, Type::TEXT)],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(Epoch {
        number: row.try_get(0)?,
        token: row.try_get(1)?,
    }))
}

/// Whether somebody holds a lock.
pub(crate) async fn is_held(
    client: &impl GenericClient,
    key: i64,
) -> Result<bool, tokio_postgres::Error> {
    let rows = client
        .query_typed(
            "/* store.is_led */
            SELECT 1 FROM pg_locks
            WHERE locktype = 'advisory' AND objsubid = 1 AND granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND (classid::int8 << 32 | objid::int8) = $1",
            &[(&key, Type::INT8)],
        )
        .await?;
    Ok(!rows.is_empty())
}

async fn try_lock(client: &impl GenericClient, key: i64) -> Result<bool, Fault> {
    let row = client
        .query_typed_one(
            "/* store.try_lock */ SELECT pg_try_advisory_lock($1)",
            &[(&key, Type::INT8)],
        )
        .await?;
    Ok(row.try_get(0)?)
}

/// Who led an environment last.
pub(crate) async fn holder(
    client: &impl GenericClient,
    environment: &str,
) -> Result<Option<Holder>, Fault> {
    let rows = client
        .query_typed(
            "/* store.holder */ SELECT host, pid, since, address FROM leads WHERE environment = $1",
            &[(&environment, Type::TEXT)],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let (pid, since): (i64, String) = (row.try_get(1)?, row.try_get(2)?);
    // Only for people: what cannot be read is left out.
    Ok(match (u32::try_from(pid), since.parse()) {
        (Ok(pid), Ok(since)) => Some(Holder {
            pid,
            host: Some(row.try_get(0)?),
            since,
            address: row.try_get(3)?,
        }),
        (Err(_), _) | (_, Err(_)) => None,
    })
}
