//! Connections: one [`Session`] is one connection, [`Materialize`] keeps one and makes a new one
//! when it is lost.

pub use super::address::{Address, SessionOptions};
use super::catalog::look::Facts;
use super::cost::{Cost, Tally};
use super::error::MaterializeError;
use super::question::Question;
pub use super::statement::Statement;
use crate::foundation::failure::{Class, Classify};
use crate::foundation::retry::Pauses;
use crate::foundation::sql::identifier::Ident;
use crate::foundation::sql::tokens::are_several;
use crate::foundation::tls;
use futures_util::future::try_join_all;
use secrecy::ExposeSecret;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, Row, SimpleQueryMessage, SimpleQueryRow};

/// The oldest supported server: array functions, lag relations and swaps are as this program
/// expects them from here on.
pub const OLDEST_VERSION: &str = "v26.0.0";

/// How every session reads. It is the server's default, which a profile, a role or an operator may change.
const ISOLATION: &str = "strict serializable";

/// Extra time that the client gives a statement beyond the server's own deadline.
const GRACE: Duration = Duration::from_secs(5);

/// How long a statement is repeated that others' changes of the catalog keep from being carried out.
const CONFLICTS: Duration = Duration::from_secs(30);

/// One connection.
#[derive(Debug)]
pub struct Session {
    client: Client,
    driver: JoinHandle<()>,
    deadline: Duration,
    version: String,
    tally: Arc<Tally>,
    /// What it says of itself, once it was asked.
    facts: OnceLock<Facts>,
    /// One snapshot at a time.
    turn: tokio::sync::Mutex<()>,
    /// Whether a transaction was left open, so that nothing that is read any more would be of now.
    is_spoiled: AtomicBool,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Session {
    /// Connects, checks the server's version and sets up the session. What is sent is counted.
    ///
    /// # Errors
    /// Unreachable, refused, too old, TLS, and a session that is not strictly serializable.
    pub async fn connect(
        address: &Address,
        options: &SessionOptions,
        tally: Arc<Tally>,
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
            tally,
            facts: OnceLock::new(),
            turn: tokio::sync::Mutex::new(()),
            is_spoiled: AtomicBool::new(false),
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
            .ssl_mode(address.ssl_mode.into())
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

    /// Sets the session up and makes sure that whoever asks over it is answered with what had been
    /// committed by then: what a look at the catalog is worth inside the window of a swap rests on it.
    async fn set_up(
        &self,
        address: &Address,
        options: &SessionOptions,
    ) -> Result<(), MaterializeError> {
        let milliseconds = options.statement_timeout.as_millis();
        let mut statements = vec![
            Statement::new(
                "set statement timeout",
                format!("SET statement_timeout = '{milliseconds}ms'"),
            ),
            Statement::new(
                "set isolation",
                format!("SET transaction_isolation = '{ISOLATION}'"),
            ),
        ];
        if let Some(role) = &address.role {
            statements.push(Statement::new(
                "set role",
                format!("SET ROLE {}", Ident(role)),
            ));
        }
        let show = Statement::new("show isolation", "SHOW transaction_isolation");
        try_join_all(statements.iter().map(|statement| self.execute(statement))).await?;
        let rows = self.simple(&show).await?;
        let isolation = rows.first().and_then(|row| row.get(0)).unwrap_or_default();
        if isolation.eq_ignore_ascii_case(ISOLATION) {
            return Ok(());
        }
        Err(MaterializeError::Unexpected {
            label: show.label(),
            what: format!("the session is {isolation:?} although {ISOLATION:?} was set"),
        })
    }

    /// What the server announced as its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether the connection has ended, or must not be used any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.client.is_closed() || self.is_spoiled.load(Ordering::Acquire)
    }

    fn sends(&self, label: &'static str, cost: Cost) {
        self.tally.count(cost);
        tracing::debug!(label, cost = cost.as_str(), "statement");
    }

    /// Begins to look at everything as it is at one moment; `label` names the look.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub(super) async fn snapshot(
        &self,
        label: &'static str,
    ) -> Result<Snapshot<'_>, MaterializeError> {
        let turn = self.turn.lock().await;
        let snapshot = Snapshot {
            session: self,
            has_ended: false,
            _turn: turn,
        };
        self.execute(&Statement::new(label, "BEGIN")).await?;
        Ok(snapshot)
    }

    /// The rows of several questions, which are sent without waiting for each other.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub(super) async fn ask(&self, questions: &[Question]) -> Result<Vec<Row>, MaterializeError> {
        let asked = questions.iter().map(|question| {
            self.query_bounded(
                question.label(),
                question.sql(),
                question.cost(),
                self.deadline,
            )
        });
        Ok(try_join_all(asked).await?.into_iter().flatten().collect())
    }

    /// Sends one statement whose rows, if any, do not matter.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn execute(&self, statement: &Statement) -> Result<(), MaterializeError> {
        self.simple(statement).await.map(drop)
    }

    /// As [`Session::execute`], again and again for a while as long as others' changes of the catalog keep it from being
    /// carried out.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn execute_despite_others(
        &self,
        statement: &Statement,
    ) -> Result<(), MaterializeError> {
        let mut pauses =
            Pauses::for_at_most(Duration::from_millis(20), Duration::from_secs(1), CONFLICTS);
        loop {
            match self.execute(statement).await {
                Err(error) if error.class() == Class::Conflict => match pauses.next_pause() {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => return Err(error),
                },
                answer => return answer,
            }
        }
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

    /// The next rows of a cursor. It is not counted, and named as what it is: a subscription asks once and
    /// fetches for as long as it is held, at moments that no step chose.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub(super) async fn fetch(
        &self,
        label: &'static str,
        cursor: Ident<'_>,
        deadline: Duration,
    ) -> Result<Vec<SimpleQueryRow>, MaterializeError> {
        // Without a time-out it comes back as soon as there is a row.
        let sql = format!("/* watch of cutover: {label} */ FETCH ALL {cursor}");
        self.uncounted(label, &sql, deadline).await
    }

    async fn bounded(
        &self,
        statement: &Statement,
        deadline: Duration,
    ) -> Result<Vec<SimpleQueryRow>, MaterializeError> {
        self.sends(statement.label(), statement.cost());
        self.uncounted(statement.label(), &statement.to_string(), deadline)
            .await
    }

    async fn uncounted(
        &self,
        label: &'static str,
        sql: &str,
        deadline: Duration,
    ) -> Result<Vec<SimpleQueryRow>, MaterializeError> {
        // The simple protocol would carry out each of several, and parts of a statement may be written by others: the
        // SQL of a model, the column of an index.
        if are_several(sql) {
            return Err(MaterializeError::Several { label });
        }
        let answer = tokio::time::timeout(deadline, self.client.simple_query(sql))
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
        self.sends(label, Cost::Session);
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

    /// Runs a named query that somebody else wrote, with a deadline that the session was given for it.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn query_within(
        &self,
        statement: &Statement,
        deadline: Duration,
    ) -> Result<Vec<Row>, MaterializeError> {
        let (label, sql) = (statement.label(), statement.sql());
        self.query_bounded(label, sql, statement.cost(), deadline + GRACE)
            .await
    }

    async fn query_bounded(
        &self,
        label: &'static str,
        sql: &str,
        cost: Cost,
        deadline: Duration,
    ) -> Result<Vec<Row>, MaterializeError> {
        self.sends(label, cost);
        let sql = format!("/* cutover: {label} */ {sql}");
        tokio::time::timeout(deadline, self.client.query_typed(&sql, &[]))
            .await
            .map_err(|_| MaterializeError::Deadline {
                label,
                seconds: deadline.as_secs(),
            })?
            .map_err(|error| MaterializeError::from_client(label, deadline.as_secs(), error))
    }
}

/// Looks at everything as it is at one moment: a transaction that reads. Given up before its end, the
/// session is of no use any more, since whatever it read then would be of the past.
#[derive(Debug)]
pub(super) struct Snapshot<'s> {
    session: &'s Session,
    has_ended: bool,
    _turn: tokio::sync::MutexGuard<'s, ()>,
}

impl Snapshot<'_> {
    /// As [`Session::ask`], at the moment of the snapshot.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub(super) async fn ask(&self, questions: &[Question]) -> Result<Vec<Row>, MaterializeError> {
        self.session.ask(questions).await
    }

    /// What the session said of itself to an earlier look.
    pub(super) fn facts(&self) -> Option<&Facts> {
        self.session.facts.get()
    }

    /// Keeps what the session says of itself for later looks, unless its database is not there.
    pub(super) fn keep_facts(&self, facts: &Facts) {
        if facts.has_database() {
            // An earlier look has kept the same.
            let _ = self.session.facts.set(facts.clone());
        }
    }

    /// Ends the looking.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub(super) async fn end(mut self) -> Result<(), MaterializeError> {
        self.session
            .execute(&Statement::new("end looking", "COMMIT"))
            .await?;
        self.has_ended = true;
        Ok(())
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.session.is_spoiled.store(true, Ordering::Release);
        }
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

#[cfg(test)]
mod tests {
    use super::{OLDEST_VERSION, version_numbers};

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version_numbers("v26.24.0-dev.0 (hash)"), Some((26, 24, 0)));
        assert!(version_numbers("v0.140.3 (x)") < version_numbers(OLDEST_VERSION));
        assert!(version_numbers("v26.3.0") < version_numbers("v26.24.0-dev"));
        assert_eq!(version_numbers("26"), None);
    }
}
