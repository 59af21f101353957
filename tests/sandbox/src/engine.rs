//! The state that all sessions share: the catalog, the one connection that writes it to PostgreSQL, the steering.
//!
//! Invariants: the catalog changes only under the writer's lock; PostgreSQL's tables change, in one transaction, before
//! the new catalog is visible to any session and before the statement is answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Mutex as AsyncMutex;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, SimpleQueryRow};

use crate::catalog::{
    Catalog, Column, Id, Projection, Scope, SystemRelation, SystemRelations, diff,
};
use crate::costs::coordinator::Coordinator;
use crate::costs::{Costs, prices};
use crate::ddl::{self, Context, Effect};
use crate::failure::{SqlError, materialize_code};
use crate::lexer::literal;
use crate::postgres::{self, Server};
use crate::rewrite::USER_SCHEMA;
use crate::session::backend::Backends;
use crate::statement::Ddl;
use crate::steering::Steering;

/// Why the engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No PostgreSQL.
    #[error(transparent)]
    Postgres(#[from] postgres::Error),
    /// PostgreSQL refused the bootstrap.
    #[error("bootstrap of the private PostgreSQL failed")]
    Bootstrap(#[from] tokio_postgres::Error),
    /// A background task ended.
    #[error("a start-up task ended")]
    Task(#[from] tokio::task::JoinError),
}

struct Writer {
    client: Client,
    projection: Projection,
}

/// Shared by all sessions.
pub struct Engine {
    server: Server,
    /// What `mz_version` announces.
    pub announced_version: String,
    /// Passwords by role; other roles need none.
    pub passwords: BTreeMap<String, String>,
    /// System relations.
    pub system: SystemRelations,
    /// Faults, outages, the log.
    pub steering: Steering,
    /// Who waits for whom where statements cost something.
    pub coordinator: Coordinator,
    /// Connections to PostgreSQL that no session has.
    pub backends: Backends,
    catalog: Mutex<Arc<Catalog>>,
    writer: AsyncMutex<Writer>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

const BOOTSTRAP: [&str; 6] = [
    include_str!("bootstrap/types.sql"),
    include_str!("bootstrap/base.sql"),
    include_str!("bootstrap/steering.sql"),
    include_str!("bootstrap/functions.sql"),
    include_str!("bootstrap/catalog.sql"),
    include_str!("bootstrap/internal.sql"),
];
const REPLACEMENTS: &str = include_str!("bootstrap/replacements.sql");
const AUTO_SCALING: &str = include_str!("bootstrap/auto_scaling.sql");
const FINISH: [&str; 2] = [
    include_str!("bootstrap/nullability.sql"),
    include_str!("bootstrap/finish.sql"),
];
/// From this version on the server knows replacement materialized views.
const REPLACEMENTS_SINCE: (u64, u64) = (26, 10);
/// From this version on the server lists auto scaling strategies.
const AUTO_SCALING_SINCE: (u64, u64) = (26, 34);

/// Options of a backend connection.
pub const BACKEND_OPTIONS: &str = "-c search_path=mz_catalog,mz_internal,mz_unsafe,pg_catalog -c timezone=UTC -c client_min_messages=error \
                                   -c standard_conforming_strings=on";

/// The model as rows of the steering tables.
fn steered(costs: Costs) -> String {
    let mut script = format!(
        "UPDATE mz_sandbox.settings SET value = '{}' WHERE name = 'costs';",
        costs.factor
    );
    if costs.readiness {
        for (name, ms) in [
            ("hydration", prices::HYDRATION),
            ("lag", prices::LAG_KNOWN),
            ("wallclock_row", prices::WALLCLOCK_ROW),
            ("wallclock_lag", prices::WALLCLOCK_LAG),
        ] {
            script.push_str(&format!(
                "INSERT INTO mz_sandbox.timings VALUES ('{name}', {ms:.0}) ON CONFLICT (name) DO UPDATE SET ms = excluded.ms;",
                ms = ms * costs.factor
            ));
        }
    }
    script
}

fn version_of(announced: &str) -> (u64, u64) {
    let mut parts = announced
        .trim_start_matches('v')
        .split(|c: char| !c.is_ascii_digit())
        .map(|p| p.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

impl Engine {
    /// Starts PostgreSQL and fills it.
    pub async fn start(
        announced_version: String,
        passwords: BTreeMap<String, String>,
        costs: Option<Costs>,
    ) -> Result<Self, Error> {
        let server = tokio::task::spawn_blocking(Server::start).await??;
        let client = connect(&server).await?;
        let catalog = Catalog::fresh();
        let projection = Projection::of(&catalog);
        let mut script = String::from("BEGIN;");
        script.extend(BOOTSTRAP);
        if version_of(&announced_version) >= REPLACEMENTS_SINCE {
            script.push_str(REPLACEMENTS);
        }
        if version_of(&announced_version) >= AUTO_SCALING_SINCE {
            script.push_str(AUTO_SCALING);
        }
        script.extend(FINISH);
        for size in ddl::cluster::SIZES {
            script.push_str(&format!(
                "INSERT INTO mz_base.sizes VALUES ({});",
                literal(size)
            ));
        }
        if let Some(costs) = costs {
            script.push_str(&steered(costs));
        }
        script.push_str(&diff(&Projection::default(), &projection));
        script.push_str("COMMIT;");
        client.batch_execute(&script).await?;
        let system = system_relations(&client).await?;
        let steering = Steering::new(connect(&server).await?);
        steering.reload().await;
        let catalog = Mutex::new(Arc::new(catalog));
        let writer = AsyncMutex::new(Writer { client, projection });
        Ok(Self {
            server,
            announced_version,
            passwords,
            system,
            steering,
            coordinator: Coordinator::default(),
            backends: Backends::default(),
            catalog,
            writer,
        })
    }

    /// The backend's socket.
    pub fn socket(&self) -> std::path::PathBuf {
        self.server.socket()
    }

    /// The present catalog.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Applies one statement on its own.
    pub async fn execute(
        &self,
        scope: &Scope,
        cluster: &str,
        ddl: &Ddl,
    ) -> Result<Effect, SqlError> {
        let context = Context {
            scope,
            system: &self.system,
            cluster,
        };
        self.change(|catalog| ddl::apply(catalog, context, ddl))
            .await
    }

    /// Installs the catalog of a DDL transaction if nobody else changed it since `base`.
    pub async fn install(&self, base: u64, changed: Catalog) -> Result<(), SqlError> {
        self.change(|catalog| {
            if catalog.version != base {
                return Err(race());
            }
            *catalog = changed;
            Ok(Effect::default())
        })
        .await
        .map(|_| ())
    }

    /// The role of a login; a new one is made, as a server without authentication does.
    pub async fn login(&self, name: &str) -> Result<Id, SqlError> {
        if let Ok(role) = self.catalog().role(name) {
            return Ok(role.id);
        }
        self.change(|catalog| {
            if catalog.role(name).is_err() {
                ddl::privilege::add_role(catalog, name);
                catalog.version += 1;
            }
            Ok(Effect::default())
        })
        .await?;
        self.catalog().role(name).map(|r| r.id)
    }

    /// Removes what belongs to a session that has ended.
    pub async fn forget_session(&self, session: i32) {
        if !self
            .catalog()
            .objects
            .values()
            .any(|o| o.session == Some(session))
        {
            return;
        }
        let forgotten = self
            .change(|catalog| {
                let own: Vec<_> = catalog
                    .objects
                    .values()
                    .filter(|o| o.session == Some(session))
                    .map(|o| o.id)
                    .collect();
                for id in catalog.closure(own) {
                    catalog.remove_object(id);
                }
                catalog.version += 1;
                Ok(Effect::default())
            })
            .await;
        if let Err(error) = forgotten {
            tracing::warn!(%error, "temporary objects of a session were not removed");
        }
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut Catalog) -> Result<Effect, SqlError>,
    ) -> Result<Effect, SqlError> {
        let mut writer = self.writer.lock().await;
        let old = self.catalog();
        let mut new = Catalog::clone(&old);
        let result = match change(&mut new) {
            Ok(effect) => writer
                .write(&mut new, &effect)
                .await
                .map(|projection| (effect, projection)),
            Err(error) => Err(error),
        };
        let mut slot = self.catalog.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok((effect, projection)) => {
                writer.projection = projection;
                *slot = Arc::new(new);
                Ok(effect)
            }
            Err(error) => {
                let mut kept = Catalog::clone(&old);
                kept.skip_ids_of(&new);
                *slot = Arc::new(kept);
                Err(error)
            }
        }
    }
}

/// The answer to a DDL transaction that somebody else overtook.
pub fn race() -> SqlError {
    SqlError::new(
        "40001",
        "another session modified the catalog while this DDL transaction was open",
    )
}

impl Writer {
    /// Brings PostgreSQL to `new`; on error nothing has changed there.
    async fn write(&self, new: &mut Catalog, effect: &Effect) -> Result<Projection, SqlError> {
        let result = self.try_write(new, effect).await;
        if result.is_err() {
            self.client
                .batch_execute("ROLLBACK")
                .await
                .map_err(|e| translate(&e))?;
        }
        result
    }

    async fn try_write(&self, new: &mut Catalog, effect: &Effect) -> Result<Projection, SqlError> {
        let mut script = String::from("BEGIN;");
        if !effect.backend.is_empty() {
            for statement in &effect.backend {
                script.push_str(statement);
                script.push(';');
            }
            if !effect.describe.is_empty() {
                let names: Vec<_> = effect
                    .describe
                    .iter()
                    .map(|(id, _)| literal(&format!("{USER_SCHEMA}.{id}")))
                    .collect();
                script.push_str(&describe(&names));
            }
            let messages = self
                .client
                .simple_query(&script)
                .await
                .map_err(|e| translate(&e))?;
            script.clear();
            read_columns(new, effect, &messages);
            if let Some((replacement, target)) = effect.must_match {
                ddl::replacement::check_columns(new, replacement, target)?;
            }
        }
        let projection = Projection::of(new);
        script.push_str(&diff(&self.projection, &projection));
        script.push_str("COMMIT;");
        self.client
            .batch_execute(&script)
            .await
            .map_err(|e| translate(&e))?;
        Ok(projection)
    }
}

fn describe(names: &[String]) -> String {
    format!(
        "SELECT c.relname, a.attname, CASE WHEN format_type(a.atttypid, NULL) = 'name' THEN 'text' ELSE format_type(a.atttypid, NULL) END, \
         a.atttypid::int8, a.atttypmod, a.attnotnull, pg_get_expr(d.adbin, d.adrelid) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
         WHERE c.oid = ANY (ARRAY[{}]::regclass[]) AND a.attnum > 0 ORDER BY c.oid, a.attnum;",
        names.join(",")
    )
}

/// The row, if the message is one.
pub fn row_of(message: &SimpleQueryMessage) -> Option<&SimpleQueryRow> {
    if let SimpleQueryMessage::Row(row) = message {
        Some(row)
    } else {
        None
    }
}

fn read_columns(catalog: &mut Catalog, effect: &Effect, messages: &[SimpleQueryMessage]) {
    for (id, nullability) in &effect.describe {
        let name = id.to_string();
        let mut columns: Vec<Column> = messages
            .iter()
            .filter_map(row_of)
            .filter(|row| row.columns().len() == 7 && row.get(0) == Some(name.as_str()))
            .map(|row| Column {
                name: row.get(1).unwrap_or_default().to_owned(),
                type_name: row.get(2).unwrap_or_default().to_owned(),
                type_oid: row.get(3).and_then(|v| v.parse().ok()).unwrap_or(0),
                type_mod: row.get(4).and_then(|v| v.parse().ok()).unwrap_or(-1),
                nullable: row.get(5) != Some("t"),
                default: row.get(6).map(str::to_owned),
            })
            .collect();
        nullability.apply(&mut columns);
        catalog.change_object(*id, |o| o.columns = columns);
    }
}

fn translate(error: &tokio_postgres::Error) -> SqlError {
    match error.as_db_error() {
        Some(db) => SqlError::new(materialize_code(db.code().code()), db.message()),
        None => SqlError::internal(format!("the private PostgreSQL failed: {error}")),
    }
}

async fn connect(server: &Server) -> Result<Client, tokio_postgres::Error> {
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(server.folder())
        .port(postgres::PORT)
        .user(postgres::SUPERUSER)
        .dbname("postgres")
        .options(BACKEND_OPTIONS);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an inner connection ended");
        }
    });
    Ok(client)
}

async fn system_relations(client: &Client) -> Result<SystemRelations, tokio_postgres::Error> {
    let query = "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname IN ('mz_catalog', 'mz_internal', 'mz_shim', 'mz_sandbox', 'pg_catalog', 'information_schema') \
                 AND c.relkind IN ('r', 'v', 'S')";
    let mut out = SystemRelations::new();
    let mut shims = Vec::new();
    for message in client.simple_query(query).await? {
        let SimpleQueryMessage::Row(row) = message else {
            continue;
        };
        let (schema, name) = (
            row.get(0).unwrap_or_default().to_owned(),
            row.get(1).unwrap_or_default().to_owned(),
        );
        if schema == "mz_shim" {
            shims.push(name);
        } else {
            let relation = SystemRelation {
                backend: (schema.clone(), name.clone()),
                schema: schema.clone(),
                name: name.clone(),
            };
            out.insert((schema, name), relation);
        }
    }
    for shim in shims {
        if let Some((schema, name)) = shim.split_once('.') {
            let (schema, name) = (schema.to_owned(), name.to_owned());
            let relation = SystemRelation {
                backend: ("mz_shim".into(), shim.clone()),
                schema: schema.clone(),
                name: name.clone(),
            };
            out.insert((schema, name), relation);
        }
    }
    Ok(out)
}

/// `SET` of a custom setting, quoted.
pub fn set_config(name: &str, value: &str) -> String {
    format!(
        "pg_catalog.set_config({}, {}, false)",
        literal(name),
        literal(value)
    )
}
