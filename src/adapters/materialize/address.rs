//! Where a server is, who we are there, and the limits of a connection.

use crate::foundation::tls::{SslMode, Tls};
use secrecy::SecretString;
use std::path::PathBuf;
use std::time::Duration;

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
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// What somebody between us and the server could do; `None` where nobody could.
    #[must_use]
    pub fn weakness(&self) -> Option<String> {
        self.tls().weakness(&self.host)
    }

    pub(super) fn tls(&self) -> Tls {
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
    /// How long `Materialize::session_patiently` tries.
    pub reconnect_timeout: Duration,
    /// What the server shows as the client's name.
    pub application_name: String,
}
