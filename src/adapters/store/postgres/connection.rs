//! Connections, and how work is repeated on the next one.

use crate::adapters::store::Proof;
use crate::adapters::store::error::StoreError;
use crate::adapters::store::tables::Fault;
use crate::domain::location::postgres::{Address, CONNECT_TIMEOUT};
use crate::foundation::retry::Pauses;
use crate::foundation::tls;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, IsolationLevel, NoTls, Transaction};

/// How long the server may take over one piece of work, on one connection.
const DEADLINE: Duration = Duration::from_secs(15);

/// How long work is repeated while the server is away or others are in the way.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Every session: what was committed is on disk, and nothing is held for a client that is gone.
const SESSION: &str = "/* store.session */
    SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') = 'off';
    SET statement_timeout = '10s';
    SET lock_timeout = '5s';
    SET idle_in_transaction_session_timeout = '10s';
    SET default_transaction_isolation = 'read committed';
    SET tcp_keepalives_idle = 10;
    SET tcp_keepalives_interval = 5;
    SET tcp_keepalives_count = 3;";

/// A bound value with its type.
pub(crate) type Value<'a> = (&'a (dyn ToSql + Sync), Type);

/// One connection. The task that drives it ends with it.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) driver: tokio::task::JoinHandle<()>,
}

impl Connected {
    /// Says good-bye, so that the server knows at once.
    pub(crate) async fn close(self) {
        drop(self.client);
        let _ = tokio::time::timeout(Duration::from_secs(1), self.driver).await;
    }
}

/// Connects once and sets the session up.
pub(crate) async fn connect(address: &Address) -> Result<Connected, Fault> {
    tokio::time::timeout(CONNECT_TIMEOUT, async {
        let connected = dial(address).await?;
        let schema = address.schema.replace('"', "\"\"");
        connected
            .client
            .batch_execute(&format!("{SESSION} SET search_path TO \"{schema}\";"))
            .await?;
        Ok(connected)
    })
    .await
    .map_err(|_| Fault::Late)?
}

async fn dial(address: &Address) -> Result<Connected, Fault> {
    let connector = tls::connector(&address.tls).map_err(|error| StoreError::CannotOpen {
        place: address.place(),
        action: "preparing TLS".to_owned(),
        source: error.into(),
    })?;
    let refused = |error| Fault::of_login(error, address);
    // Both arms drive the same protocol over different streams, hence the two spawns.
    let (client, driver, is_materialize) = match connector {
        None => {
            let (client, connection) = address.config.connect(NoTls).await.map_err(refused)?;
            let is_materialize = connection.parameter("mz_version").is_some();
            let driver = tokio::spawn(async move { drop(connection.await) });
            (client, driver, is_materialize)
        }
        Some(connector) => {
            let (client, connection) = address.config.connect(connector).await.map_err(refused)?;
            let is_materialize = connection.parameter("mz_version").is_some();
            let driver = tokio::spawn(async move { drop(connection.await) });
            (client, driver, is_materialize)
        }
    };
    if is_materialize {
        return Err(Fault::Store(StoreError::NotAJournal {
            place: address.place(),
            found: "the server is Materialize, a journal needs PostgreSQL".to_owned(),
        }));
    }
    Ok(Connected { client, driver })
}

/// A transaction that reads everything at one moment.
pub(crate) async fn snapshot(client: &mut Client) -> Result<Transaction<'_>, Fault> {
    Ok(client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await?)
}

/// Starts a thread with a small runtime of its own.
pub(crate) fn thread<W>(name: &str, place: &str, work: W) -> Result<JoinHandle<()>, StoreError>
where
    W: AsyncFnOnce() + Send + 'static,
{
    let failed = |source: std::io::Error| StoreError::Io {
        place: place.to_owned(),
        action: "starting its thread".to_owned(),
        source: source.into(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || runtime.block_on(work()))
        .map_err(failed)
}

/// The connection of a journal, made again when it was lost.
#[derive(Debug)]
pub(crate) struct Link {
    address: Arc<Address>,
    current: Option<Connected>,
}

impl Link {
    pub(crate) fn new(address: Arc<Address>, connection: Connected) -> Self {
        Self {
            address,
            current: Some(connection),
        }
    }

    pub(crate) async fn close(self) {
        if let Some(connected) = self.current {
            connected.close().await;
        }
    }

    /// Reads, on another connection when this one is lost.
    pub(crate) async fn read<T>(
        &mut self,
        mut work: impl AsyncFnMut(&mut Client) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let mut pauses = Pauses::for_at_most(
            Duration::from_millis(50),
            Duration::from_secs(2),
            LONGEST_WAIT,
        );
        loop {
            let attempt = async { work(self.client().await?).await };
            match tokio::time::timeout(DEADLINE, attempt).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(fault)) => self.pause_after(fault, &mut pauses).await?,
                Err(_) => self.pause_after(Fault::Late, &mut pauses).await?,
            }
        }
    }

    /// The connection, made anew where it was lost.
    async fn client(&mut self) -> Result<&mut Client, Fault> {
        let connected = match self.current.take().filter(|kept| !kept.client.is_closed()) {
            Some(connected) => connected,
            None => connect(&self.address).await?,
        };
        Ok(&mut self.current.insert(connected).client)
    }

    /// Waits until another attempt makes sense; the fault where none does.
    async fn pause_after(&mut self, fault: Fault, pauses: &mut Pauses) -> Result<(), StoreError> {
        let pause = fault.may_pass().then(|| pauses.next_pause()).flatten();
        if fault.may_pass() {
            // Whatever state it is in, nothing of it is used again.
            self.current = None;
        }
        let Some(pause) = pause else {
            return Err(fault.told_apart(&self.address));
        };
        tracing::info!(?fault, ?pause, "the journal's server is tried again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// Makes one change in one transaction, under the lock of the environment and as its leader.
    ///
    /// A commit that was sent may have been made although its answer was lost. Then `stands` looks,
    /// in the next transaction, for what the change would have left; that transaction has the same
    /// lock, so that an earlier one that is still being committed is waited for.
    pub(crate) async fn write<T>(
        &mut self,
        proof: &Proof,
        change: impl AsyncFn(&Transaction<'_>) -> Result<T, Fault>,
        stands: impl AsyncFn(&Transaction<'_>, &T) -> Result<bool, Fault>,
    ) -> Result<T, StoreError> {
        let mut unsure: Option<T> = None;
        self.read(async |client| {
            let transaction = client.transaction().await?;
            crate::adapters::store::postgres::lead::fence(&transaction, proof).await?;
            let stood = match &unsure {
                Some(answer) => stands(&transaction, answer).await?,
                None => false,
            };
            if !stood {
                unsure = None;
                unsure = Some(change(&transaction).await?);
                transaction.commit().await?;
            }
            unsure.take().ok_or(Fault::Late)
        })
        .await
    }
}
