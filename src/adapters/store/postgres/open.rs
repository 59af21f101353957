//! From an address to a connection: what is in the schema is looked at before anything is written.

use crate::adapters::store::error::StoreError;
use crate::adapters::store::postgres::connection::{self, Connected};
use crate::adapters::store::postgres::lead::migration_key;
use crate::adapters::store::schema;
use crate::adapters::store::tables::Fault;
use crate::domain::location::postgres::Address;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, GenericClient};

/// The tables without which a history of migrations is a lie, by migration.
const TABLES: [&[&str]; 10] = [
    &["deployments", "events", "effects", "leads"],
    &["runs", "outbox", "deliveries", "requests"],
    &[],
    &["journal"],
    &[],
    &["corners"],
    &["holds"],
    &["approvals"],
    &[],
    &["drift"],
];

/// Connects once; makes or migrates the schema where needed.
pub(super) async fn open(address: &Address) -> Result<Connected, Fault> {
    let mut connected = connection::connect(address).await?;
    keeps_its_session(&connected, address).await?;
    let client = &mut connected.client;
    if pending(client, address).await? {
        // Another process may be at it: the lock is waited for, then everything is looked at again.
        let key = migration_key(&address.schema);
        client
            .query_typed(
                "/* store.migration_lock */ SELECT pg_advisory_lock($1)",
                &[(&key, Type::INT8)],
            )
            .await?;
        if pending(client, address).await? {
            migrate(client, address).await?;
        }
        client
            .query_typed(
                "/* store.migration_unlock */ SELECT pg_advisory_unlock($1)",
                &[(&key, Type::INT8)],
            )
            .await?;
    }
    Ok(connected)
}

/// How often a session is asked for; a pooler may give the same one by chance.
const ROUNDS: u32 = 3;

/// Makes sure that a connection is a session: the lead is a lock of one, and so is everything that is set. A
/// pooler that gives each transaction whichever session is free is found by two connections at once. Of two
/// sessions each has a backend of its own and keeps it, so whoever passes for one is told apart by nothing else;
/// the pid that a pooler announced at the login is its own invention. What a first look may miss, because a busy
/// pooler gave the same session by chance, the leader finds while it leads.
async fn keeps_its_session(connected: &Connected, address: &Address) -> Result<(), Fault> {
    let mut other = connection::connect(address).await?;
    let pooled = || {
        Fault::Store(StoreError::Pooled {
            place: address.place(),
        })
    };
    let mut backends = None;
    for _ in 0..ROUNDS {
        let first = backend(&connected.client).await?;
        // Held, so that a pooler has to give it away.
        let transaction = other.client.transaction().await?;
        let second = backend(&transaction).await?;
        // A pool of one session would not answer the first connection meanwhile.
        if first == second || *backends.get_or_insert((first, second)) != (first, second) {
            return Err(pooled());
        }
        if backend(&connected.client).await? != first {
            return Err(pooled());
        }
        transaction.rollback().await?;
    }
    other.close().await;
    Ok(())
}

/// The server's process behind a connection, at this moment.
async fn backend(client: &impl GenericClient) -> Result<i32, Fault> {
    let row = client
        .query_typed_one("/* store.backend */ SELECT pg_backend_pid()", &[])
        .await?;
    Ok(row.try_get(0)?)
}

/// Whether migrations are to be applied. Reads only; the runner would write its table before it
/// compares, and takes what stands in it on trust.
async fn pending(client: &mut Client, address: &Address) -> Result<bool, Fault> {
    let place = || address.place();
    // At one moment: another process may migrate meanwhile.
    let client = connection::snapshot(client).await?;
    let encoding: String = client
        .query_typed_one("/* store.encoding */ SHOW server_encoding", &[])
        .await?
        .try_get(0)?;
    if encoding != "UTF8" {
        return Err(Fault::Store(StoreError::NotAJournal {
            place: place(),
            found: format!("the database has the encoding {encoding}, a journal needs UTF8"),
        }));
    }
    let tables: Vec<String> = client
        .query_typed(
            "/* store.tables */
            SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1",
            &[(&address.schema, Type::TEXT)],
        )
        .await?
        .iter()
        .map(|row| row.try_get(0))
        .collect::<Result<_, _>>()?;
    if !schema::was_migrated(&place(), "schema", &tables)? {
        return Ok(true);
    }
    let applied: Vec<(i64, String, String)> = client
        .query_typed(
            "/* store.migrations */
            SELECT version::int8, name::text, checksum::text FROM refinery_schema_history
            ORDER BY version",
            &[],
        )
        .await?
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)))
        .collect::<Result<_, tokio_postgres::Error>>()?;
    let runner = schema::runner(&schema::POSTGRES);
    let known = runner.get_migrations();
    Ok(schema::lacks_migrations(
        &place(),
        &tables,
        &applied,
        known,
        &TABLES,
    )?)
}

async fn migrate(client: &mut Client, address: &Address) -> Result<(), Fault> {
    let exists = client
        .query_typed(
            "/* store.schema */ SELECT 1 FROM pg_namespace WHERE nspname = $1",
            &[(&address.schema, Type::TEXT)],
        )
        .await?;
    if exists.is_empty() {
        let schema = address.schema.replace('"', "\"\"");
        client
            .batch_execute(&format!(
                "/* store.make_schema */ CREATE SCHEMA \"{schema}\""
            ))
            .await?;
    }
    let report = schema::runner(&schema::POSTGRES)
        .set_grouped(true)
        .run_async(client)
        .await
        .map_err(|error| Fault::of_migration(&error, address))?;
    for migration in report.applied_migrations() {
        tracing::info!(%migration, "the journal was migrated");
    }
    Ok(())
}
