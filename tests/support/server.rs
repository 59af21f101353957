//! The server under test, and plain SQL for it.

use mz_sandbox::{Options, Sandbox};
use std::time::Duration;
use tokio::sync::watch;
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

/// The server under test.
pub enum Server {
    /// The stand-in, in this process.
    Sandbox(Sandbox),
    /// A stand-in that another world runs.
    Shared(String),
    /// One that somebody else runs.
    Given(String),
}

impl Server {
    /// The server that the environment names, else a stand-in with `options`.
    pub async fn start(options: Options) -> Self {
        match std::env::var("CUTOVER_TEST_MATERIALIZE_URL") {
            Ok(url) if !url.is_empty() => Self::Given(url),
            _ => Self::Sandbox(Sandbox::start(options).await.expect("a sandbox starts")),
        }
    }

    /// Whether it can be made to fail on command.
    pub fn is_sandbox(&self) -> bool {
        matches!(self, Self::Sandbox(_) | Self::Shared(_))
    }

    /// The same server for another world, which must not outlive this one.
    pub fn share(&self) -> Self {
        match self {
            Self::Sandbox(sandbox) => Self::Shared(sandbox.url()),
            Self::Shared(url) => Self::Shared(url.clone()),
            Self::Given(url) => Self::Given(url.clone()),
        }
    }

    /// Tells of each statement that a fault holds, where the stand-in is in this process.
    pub fn held(&self) -> Option<watch::Receiver<u64>> {
        match self {
            Self::Sandbox(sandbox) => sandbox.held(),
            Self::Shared(_) | Self::Given(_) => None,
        }
    }

    /// How a client connects.
    pub fn config(&self) -> Config {
        let url = match self {
            Self::Sandbox(sandbox) => sandbox.url(),
            Self::Shared(url) | Self::Given(url) => url.clone(),
        };
        url.parse().expect("a connection URL")
    }

    /// Host and port for a profile.
    pub fn address(&self) -> (String, u16) {
        let config = self.config();
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(host)) => host.clone(),
            other => panic!("tests need a host over TCP, not {other:?}"),
        };
        (host, config.get_ports().first().copied().unwrap_or(6875))
    }

    /// A new connection.
    pub async fn connect(&self) -> Sql {
        Sql::connect(&self.config()).await
    }

    /// A new connection, if the server lets anybody in.
    pub async fn try_connect(&self) -> Option<Sql> {
        Sql::try_connect(&self.config()).await.ok()
    }

    /// A new connection of another role.
    pub async fn connect_as(&self, role: &str) -> Sql {
        Sql::connect(self.config().user(role)).await
    }
}

/// One connection.
pub struct Sql(Client);

impl Sql {
    async fn connect(config: &Config) -> Self {
        Self::try_connect(config).await.expect("a connection")
    }

    /// A connection, if the server lets anybody in.
    ///
    /// # Errors
    /// What the client says.
    pub async fn try_connect(config: &Config) -> Result<Self, tokio_postgres::Error> {
        let mut config = config.clone();
        config
            .application_name("cutover-tests")
            .connect_timeout(Duration::from_secs(20));
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(async move {
            // A test that cuts connections sees the error at its next statement.
            let _ = connection.await;
        });
        Ok(Self(client))
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// What the server says.
    pub async fn attempt(&self, sql: &str) -> Result<Vec<Vec<Option<String>>>, String> {
        let messages =
            self.0
                .simple_query(sql)
                .await
                .map_err(|error| match error.as_db_error() {
                    Some(db) => format!("{}: {}", db.code().code(), db.message()),
                    None => error.to_string(),
                })?;
        Ok(messages
            .into_iter()
            .filter_map(|message| {
                let SimpleQueryMessage::Row(row) = message else {
                    return None;
                };
                Some(
                    (0..row.len())
                        .map(|at| row.get(at).map(str::to_owned))
                        .collect(),
                )
            })
            .collect())
    }

    /// Runs one statement that must succeed; its rows, NULL as an empty text.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let rows = self
            .attempt(sql)
            .await
            .unwrap_or_else(|error| panic!("{error}\nin: {sql}"));
        rows.into_iter()
            .map(|row| row.into_iter().map(Option::unwrap_or_default).collect())
            .collect()
    }

    /// Runs one statement that must succeed.
    pub async fn run(&self, sql: &str) {
        self.rows(sql).await;
    }

    /// Runs statements that must succeed, one by one.
    pub async fn run_all(&self, statements: &[&str]) {
        for sql in statements {
            self.run(sql).await;
        }
    }

    /// The first value of the first row.
    pub async fn value(&self, sql: &str) -> String {
        let rows = self.rows(sql).await;
        rows.into_iter()
            .next()
            .and_then(|row| row.into_iter().next())
            .unwrap_or_else(|| panic!("no row from: {sql}"))
    }
}
