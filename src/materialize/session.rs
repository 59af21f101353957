//! Connections: one [`Session`] is one connection, [`Materialize`] keeps one and makes a new one
//! when it is lost.

use super::error::MaterializeError;
use super::tls::{self, Tls};
use crate::failure::{Class, Classify};
use crate::retry::Pauses;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, Row, SimpleQueryMessage, SimpleQueryRow};
use tokio_util::sync::CancellationToken;

/// The oldest supported server: array functions, lag relations and swaps are as this program
/// expects them from here on.
pub const OLDEST_VERSION: &str = "v26.0.0";

/// Extra time that the client gives a statement beyond the server's own deadline.
const GRACE: Duration = Duration::from_secs(5);

/// How TLS is used; libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// When the server offers it.
    Prefer,
    /// Always, without looking at the certificate.
    Require,
    /// Always, with a certificate from a known authority.
    VerifyCa,
    /// Always, with a certificate from a known authority for this host.
    VerifyFull,
}

/// Where the server is and who we are there.
#[derive(Debug, Clone)]
pub struct Address {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The role to log in as.
    pub user: String,
    /// The password; empty when none is needed.
    pub password: SecretString,
    /// The database.
    pub database: String,
    /// A role to become after login.
    pub role: Option<String>,
    /// TLS.
    pub ssl_mode: SslMode,
    /// Root certificates, PEM.
    pub ssl_root_cert: Option<PathBuf>,
    /// The client's certificate, PEM.
    pub ssl_cert: Option<PathBuf>,
    /// The client's key, PEM.
    pub ssl_key: Option<PathBuf>,
    /// Session settings of the profile.
    pub options: Vec<(String, String)>,
}

impl Address {
    fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn tls(&self) -> Tls {
        Tls {
            mode: self.ssl_mode,
            root_cert: self.ssl_root_cert.clone(),
            cert: self.ssl_cert.clone(),
            key: self.ssl_key.clone(),
        }
    }
}

/// Limits and names of a connection.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Deadline of one attempt to connect.
    pub connect_timeout: Duration,
    /// Deadline of one statement.
    pub statement_timeout: Duration,
    /// How long [`Materialize::session_patiently`] tries.
    pub reconnect_timeout: Duration,
    /// What the server shows as the client's name.
    pub application_name: String,
}

/// A named statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    label: &'static str,
    sql: String,
}

impl Statement {
    /// A statement with the name that logs and errors use.
    #[must_use]
    pub fn new(label: &'static str, sql: impl Into<String>) -> Self {
        Self {
            label,
            sql: sql.into(),
        }
    }

    /// The statement without its name.
    #[must_use]
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The name.
    #[must_use]
    pub fn label(&self) -> &'static str {
        self.label
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/* cutover: {} */ {}", self.label, self.sql)
    }
}

/// One connection.
#[derive(Debug)]
pub struct Session {
    client: Client,
    driver: JoinHandle<()>,
    deadline: Duration,
    version: String,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    /// Connects, checks the server's version and sets up the session.
    ///
    /// # Errors
    /// Unreachable, refused, too old, TLS.
    pub async fn connect(
        address: &Address,
        options: &SessionOptions,
    ) -> Result<Self, MaterializeError> {
        let unreachable =
            |source: Box<dyn std::error::Error + Send + Sync>| MaterializeError::Unreachable {
                address: address.place(),
                source,
            };
        let attempt = Self::open(address, options);
        let (client, driver, version) = tokio::time::timeout(options.connect_timeout, attempt)
            .await
            .map_err(|elapsed| unreachable(Box::new(elapsed)))??;
        let session = Self {
            client,
            driver,
            deadline: options.statement_timeout + GRACE,
            version,
        };
        session.check_version()?;
        session.set_up(address, options).await?;
        Ok(session)
    }

    async fn open(
        address: &Address,
        options: &SessionOptions,
    ) -> Result<(Client, JoinHandle<()>, String), MaterializeError> {
        let mut config = Config::new();
        config
            .host(&address.host)
            .port(address.port)
            .user(&address.user)
            .dbname(&address.database)
            .application_name(&options.application_name)
            .connect_timeout(options.connect_timeout)
            .keepalives_idle(Duration::from_secs(30))
            .ssl_mode(match address.ssl_mode {
                SslMode::Disable => tokio_postgres::config::SslMode::Disable,
                SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
                SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                    tokio_postgres::config::SslMode::Require
                }
            })
            .options(startup_options(address));
        if !address.password.expose_secret().is_empty() {
            config.password(address.password.expose_secret());
        }
        let refused = |error: tokio_postgres::Error| connection_error(address, error);
        // Both arms drive the same protocol over different streams, hence the two spawns.
        match tls::connector(&address.tls())? {
            None => {
                let (client, mut connection) = config.connect(NoTls).await.map_err(refused)?;
                let version = announced(connection.parameter("mz_version"));
                let driver = tokio::spawn(async move {
                    while let Some(Ok(_)) =
                        std::future::poll_fn(|cx| connection.poll_message(cx)).await
                    {
                    }
                });
                Ok((client, driver, version))
            }
            Some(connector) => {
                let (client, mut connection) = config.connect(connector).await.map_err(refused)?;
                let version = announced(connection.parameter("mz_version"));
                let driver = tokio::spawn(async move {
                    while let Some(Ok(_)) =
                        std::future::poll_fn(|cx| connection.poll_message(cx)).await
                    {
                    }
                });
                Ok((client, driver, version))
            }
        }
    }

    fn check_version(&self) -> Result<(), MaterializeError> {
        let too_old = || MaterializeError::TooOld {
            found: self.version.clone(),
            oldest: OLDEST_VERSION,
        };
        let found = version_numbers(&self.version).ok_or_else(too_old)?;
        let oldest = version_numbers(OLDEST_VERSION).ok_or_else(too_old)?;
        if found < oldest {
            Err(too_old())
        } else {
            Ok(())
        }
    }

    async fn set_up(
        &self,
        address: &Address,
        options: &SessionOptions,
    ) -> Result<(), MaterializeError> {
        let milliseconds = options.statement_timeout.as_millis();
        self.execute(&Statement::new(
            "set statement timeout",
            format!("SET statement_timeout = '{milliseconds}ms'"),
        ))
        .await?;
        if let Some(role) = &address.role {
            self.execute(&Statement::new(
                "set role",
                format!("SET ROLE {}", super::identifier::Ident(role)),
            ))
            .await?;
        }
        Ok(())
    }

    /// What the server announced as its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether the connection has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Sends one statement whose rows, if any, do not matter.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn execute(&self, statement: &Statement) -> Result<(), MaterializeError> {
        self.simple(statement).await.map(drop)
    }

    /// Sends one statement with another deadline than the session's, which it restores.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn execute_within(
        &self,
        statement: &Statement,
        deadline: Duration,
        restore: Duration,
    ) -> Result<(), MaterializeError> {
        let set = |limit: Duration| {
            Statement::new(
                "set statement timeout",
                format!("SET statement_timeout = '{}ms'", limit.as_millis()),
            )
        };
        self.execute(&set(deadline)).await?;
        let answer = self.bounded(statement, deadline + GRACE).await.map(drop);
        if answer.is_ok() || !self.is_closed() {
            self.execute(&set(restore)).await?;
        }
        answer
    }

    /// Sends one statement by the simple protocol and returns its rows as text.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn simple(
        &self,
        statement: &Statement,
    ) -> Result<Vec<SimpleQueryRow>, MaterializeError> {
        self.bounded(statement, self.deadline).await
    }

    async fn bounded(
        &self,
        statement: &Statement,
        deadline: Duration,
    ) -> Result<Vec<SimpleQueryRow>, MaterializeError> {
        let label = statement.label;
        tracing::debug!(label, "statement");
        let answer =
            tokio::time::timeout(deadline, self.client.simple_query(&statement.to_string()))
                .await
                .map_err(|_| MaterializeError::Deadline {
                    label,
                    seconds: deadline.as_secs(),
                })?
                .map_err(|error| MaterializeError::from_client(label, deadline.as_secs(), error))?;
        Ok(answer
            .into_iter()
            // Row descriptions and tags carry nothing that is needed.
            .filter_map(|message| {
                if let SimpleQueryMessage::Row(row) = message {
                    Some(row)
                } else {
                    None
                }
            })
            .collect())
    }

    /// Names and types of the columns of a query, in order; the query is not run.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn describe(
        &self,
        label: &'static str,
        query: &str,
    ) -> Result<Vec<(String, String)>, MaterializeError> {
        let sql = format!("/* cutover: {label} */ {query}");
        let prepared = tokio::time::timeout(self.deadline, self.client.prepare(&sql))
            .await
            .map_err(|_| MaterializeError::Deadline {
                label,
                seconds: self.deadline.as_secs(),
            })?
            .map_err(|error| {
                MaterializeError::from_client(label, self.deadline.as_secs(), error)
            })?;
        let columns = prepared.columns().iter();
        Ok(columns
            .map(|column| (column.name().to_owned(), column.type_().name().to_owned()))
            .collect())
    }

    /// Runs a named query whose parameters are all text.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn query(
        &self,
        label: &'static str,
        sql: &str,
        parameters: &[&str],
    ) -> Result<Vec<Row>, MaterializeError> {
        self.query_bounded(label, sql, parameters, self.deadline)
            .await
    }

    /// As [`Session::query`], with the deadline that the session was given for this query.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn query_within(
        &self,
        label: &'static str,
        sql: &str,
        parameters: &[&str],
        deadline: Duration,
    ) -> Result<Vec<Row>, MaterializeError> {
        self.query_bounded(label, sql, parameters, deadline + GRACE)
            .await
    }

    async fn query_bounded(
        &self,
        label: &'static str,
        sql: &str,
        parameters: &[&str],
        deadline: Duration,
    ) -> Result<Vec<Row>, MaterializeError> {
        tracing::debug!(label, "query");
        let typed: Vec<(&(dyn ToSql + Sync), Type)> = parameters
            .iter()
            .map(|text| (text as &(dyn ToSql + Sync), Type::TEXT))
            .collect();
        let sql = format!("/* cutover: {label} */ {sql}");
        tokio::time::timeout(deadline, self.client.query_typed(&sql, &typed))
            .await
            .map_err(|_| MaterializeError::Deadline {
                label,
                seconds: deadline.as_secs(),
            })?
            .map_err(|error| MaterializeError::from_client(label, deadline.as_secs(), error))
    }
}

/// Options that every session has, and the profile's, as libpq's `options` string.
fn startup_options(address: &Address) -> String {
    let fixed = [
        ("welcome_message", "off"),
        ("current_object_missing_warnings", "off"),
        ("auto_route_catalog_queries", "on"),
    ];
    fixed
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .chain(address.options.iter().cloned())
        .map(|(key, value)| {
            let value = value.replace('\\', "\\\\").replace(' ', "\\ ");
            format!("--{key}={value}")
        })
        .collect::<Vec<_>>()
        .join(" ")
}

fn announced(parameter: Option<&str>) -> String {
    parameter
        .unwrap_or("of an unknown kind (no mz_version)")
        .to_owned()
}

/// `v26.24.0-dev.0 (hash)` as numbers.
fn version_numbers(version: &str) -> Option<(u32, u32, u32)> {
    let first = version.split_whitespace().next()?.strip_prefix('v')?;
    let mut parts = first.split(['.', '-', '+']);
    let mut number = || parts.next()?.parse::<u32>().ok();
    Some((number()?, number()?, number()?))
}

fn connection_error(address: &Address, error: tokio_postgres::Error) -> MaterializeError {
    let refusal = error.as_db_error().map(|db| {
        (
            db.code().code().starts_with("28") || db.code().code().starts_with("3D"),
            db.message().to_owned(),
        )
    });
    match refusal {
        Some((true, message)) => MaterializeError::Authentication {
            address: address.place(),
            role: address.user.clone(),
            message,
        },
        Some((false, _)) | None => MaterializeError::Unreachable {
            address: address.place(),
            source: Box::new(error),
        },
    }
}

/// A server and the connection to it that is used at present.
#[derive(Debug)]
pub struct Materialize {
    address: Address,
    options: SessionOptions,
    current: tokio::sync::Mutex<Option<Arc<Session>>>,
    stop: CancellationToken,
}

impl Materialize {
    /// A server that will be connected to when it is first needed.
    #[must_use]
    pub fn new(address: Address, options: SessionOptions) -> Self {
        Self {
            address,
            options,
            current: tokio::sync::Mutex::new(None),
            stop: CancellationToken::new(),
        }
    }

    /// The same server, which is not waited for any more when `stop` is cancelled.
    #[must_use]
    pub fn until(self, stop: &CancellationToken) -> Self {
        Self {
            stop: stop.clone(),
            ..self
        }
    }

    /// The database of every session.
    #[must_use]
    pub fn database(&self) -> &str {
        &self.address.database
    }

    /// The limits of every session.
    #[must_use]
    pub fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// The present connection, or a new one after one attempt.
    ///
    /// # Errors
    /// See [`Session::connect`].
    pub async fn session(&self) -> Result<Arc<Session>, MaterializeError> {
        let mut current = self.current.lock().await;
        if let Some(session) = current.as_ref().filter(|session| !session.is_closed()) {
            return Ok(Arc::clone(session));
        }
        let session = Arc::new(Session::connect(&self.address, &self.options).await?);
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    /// A connection of its own, for a transaction.
    ///
    /// # Errors
    /// See [`Session::connect`].
    pub async fn own_session(&self) -> Result<Session, MaterializeError> {
        Session::connect(&self.address, &self.options).await
    }

    /// A connection of its own, whose statements may take this long.
    ///
    /// # Errors
    /// See [`Session::connect`].
    pub async fn own_session_within(
        &self,
        statement_timeout: Duration,
    ) -> Result<Session, MaterializeError> {
        let options = SessionOptions {
            statement_timeout,
            ..self.options.clone()
        };
        Session::connect(&self.address, &options).await
    }

    /// Gives up the present connection: after a deadline its state is unknown.
    pub async fn forget(&self) {
        *self.current.lock().await = None;
    }

    /// The present connection, or a new one as soon as the server answers again.
    ///
    /// # Errors
    /// What the last attempt met, when the server stayed away for `reconnect_timeout` or until it was
    /// not to be waited for any more, and at once whatever waiting does not cure.
    pub async fn session_patiently(&self) -> Result<Arc<Session>, MaterializeError> {
        let mut pauses = Pauses::for_at_most(
            Duration::from_millis(100),
            Duration::from_secs(5),
            self.options.reconnect_timeout,
        );
        loop {
            let error = match self.session().await {
                Ok(session) => return Ok(session),
                Err(error) if error.class() == Class::Transient => error,
                Err(error) => return Err(error),
            };
            let Some(pause) = pauses.next_pause() else {
                return Err(error);
            };
            tracing::info!(%error, ?pause, "waiting for Materialize");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stop.cancelled() => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OLDEST_VERSION, Statement, version_numbers};

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version_numbers("v26.24.0-dev.0 (hash)"), Some((26, 24, 0)));
        assert!(version_numbers("v0.140.3 (x)") < version_numbers(OLDEST_VERSION));
        assert!(version_numbers("v26.3.0") < version_numbers("v26.24.0-dev"));
        assert_eq!(version_numbers("26"), None);
    }

    #[test]
    fn statements_carry_their_name() {
        assert_eq!(
            Statement::new("drop it", "DROP SCHEMA \"x\"").to_string(),
            "/* cutover: drop it */ DROP SCHEMA \"x\""
        );
    }
}
