//! A server: keeps one connection and makes a new one when it is lost.

use super::address::{Address, SessionOptions};
use super::cost::{Counts, Tally};
use super::error::MaterializeError;
use super::session::Session;
use crate::foundation::failure::{Class, Classify};
use crate::foundation::retry::Pauses;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a connection is opened with.
#[derive(Debug)]
pub(super) struct Connection {
    address: Address,
    options: SessionOptions,
    tally: Arc<Tally>,
}

impl Connection {
    /// Opens it.
    ///
    /// # Errors
    /// See [`Session::connect`].
    pub(super) async fn open(self) -> Result<Session, MaterializeError> {
        Session::connect(&self.address, &self.options, self.tally).await
    }
}

/// A server and the connection to it that is used at present.
#[derive(Debug)]
pub struct Materialize {
    address: Address,
    options: SessionOptions,
    current: tokio::sync::Mutex<Option<Arc<Session>>>,
    stop: CancellationToken,
    tally: Arc<Tally>,
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
            tally: Arc::default(),
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

    /// Which server it is and who asks there, without any secret.
    pub(super) fn identity(&self) -> String {
        let address = &self.address;
        let role = address.role.as_deref().unwrap_or(&address.user);
        format!("{} {} {role}", address.place(), address.database)
    }

    /// What a connection of its own is opened with, by a task that outlives this.
    pub(super) fn connection(&self) -> Connection {
        Connection {
            address: self.address.clone(),
            options: self.options.clone(),
            tally: Arc::clone(&self.tally),
        }
    }

    /// How much was sent over every connection so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.tally.counts()
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
        let session = Arc::new(
            Session::connect(&self.address, &self.options, Arc::clone(&self.tally)).await?,
        );
        *current = Some(Arc::clone(&session));
        Ok(session)
    }

    /// A connection of its own, for a transaction.
    ///
    /// # Errors
    /// See [`Session::connect`].
    pub async fn own_session(&self) -> Result<Session, MaterializeError> {
        Session::connect(&self.address, &self.options, Arc::clone(&self.tally)).await
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
        Session::connect(&self.address, &options, Arc::clone(&self.tally)).await
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
pub(super) mod tests {
    use super::Materialize;
    use crate::adapters::materialize::address::{Address, SessionOptions};
    use crate::foundation::tls::SslMode;
    use mz_sandbox::Sandbox;
    use secrecy::SecretString;
    use std::time::Duration;

    /// A sandbox as this role sees it.
    pub(in crate::adapters::materialize) fn materialize(
        sandbox: &Sandbox,
        user: &str,
    ) -> Materialize {
        with_options(sandbox, user, &[])
    }

    /// As [`materialize`], with these settings of a profile.
    pub(in crate::adapters::materialize) fn with_options(
        sandbox: &Sandbox,
        user: &str,
        options: &[(&str, &str)],
    ) -> Materialize {
        let options = options.iter();
        let address = Address {
            host: "127.0.0.1".to_owned(),
            port: sandbox.port(),
            user: user.to_owned(),
            password: SecretString::from(String::new()),
            database: "materialize".to_owned(),
            role: None,
            ssl_mode: SslMode::Disable,
            ssl_root_cert: None,
            ssl_cert: None,
            ssl_key: None,
            options: options
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        };
        let options = SessionOptions {
            connect_timeout: Duration::from_secs(30),
            statement_timeout: Duration::from_secs(60),
            reconnect_timeout: Duration::from_secs(30),
            application_name: "tests".to_owned(),
        };
        Materialize::new(address, options)
    }
}
