//! The HTTP API of the daemon, over an address and a Unix socket.
//!
//! It shows the status and the journal and passes requests on to the workers; it decides nothing.
//! Nothing of the configuration is served. Whoever may open the socket may do everything; over the
//! address a token says what its holder may.

use crate::inputs::settings::http::Http;
use crate::interfaces::page::Sessions;
use crate::operations::daemon::Daemon;
use crate::operations::metrics::Metrics;
use access::{Rules, Shared};
use listen::Address;
use rustls::ServerConfig;
use socket::Socket;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub use error::HttpError;
pub use read::OPENAPI;
pub use routes::{ROUTES, Route};

mod access;
mod commands;
mod corners;
mod error;
mod listen;
mod page;
mod rate_limit;
mod read;
mod routes;
mod slow_reader;
mod socket;
mod stream;
mod tls;

/// What is listened on, before anything is answered.
#[derive(Debug)]
pub struct Listeners {
    address: Option<Address>,
    socket: Option<Socket>,
    handle: Handle,
}

/// What a reload changes while the API is served.
#[derive(Debug, Clone)]
pub struct Handle {
    rules: Shared<Rules>,
    tls: Shared<Option<Arc<ServerConfig>>>,
    sessions: Arc<Sessions>,
}

/// Listens where the configuration says. Relative paths begin in `base`.
///
/// # Errors
/// An address or a socket that is taken, a token, certificate or key that cannot be used. Nothing
/// is listened on then.
pub async fn bind(settings: &Http, base: &Path) -> Result<Listeners, HttpError> {
    let handle = Handle {
        rules: Shared::new(Rules::read(settings, base)?),
        tls: Shared::new(tls::read(&settings.tls, base)?),
        sessions: Arc::default(),
    };
    let address = match settings.listen {
        Some(address) => Some(Address::bind(address, handle.tls.clone()).await?),
        None => None,
    };
    let socket = match &settings.socket {
        Some(path) => Some(Socket::bind(base.join(path))?),
        None => None,
    };
    Ok(Listeners {
        address,
        socket,
        handle,
    })
}

impl Listeners {
    /// The address, with the port that the system chose where none was set.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.as_ref().map(|address| address.local)
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> Option<PathBuf> {
        self.socket.as_ref().map(|socket| socket.path.clone())
    }

    /// What a reload is given.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }
}

impl Handle {
    /// Reads tokens, limits, certificate and key again. Address and socket stay as they are until
    /// the next start; so does whether there is TLS at all.
    ///
    /// # Errors
    /// As [`bind`]; everything stays as it was then.
    pub fn reload(&self, settings: &Http, base: &Path) -> Result<(), HttpError> {
        let rules = Rules::read(settings, base)?;
        let tls = tls::read(&settings.tls, base)?;
        // A port that spoke TLS never speaks without it, nor the other way round.
        if tls.is_some() == self.tls.get().is_some() {
            self.tls.set(tls);
        }
        self.sessions.keep(|token| rules.page && rules.knows(token));
        self.rules.set(rules);
        Ok(())
    }
}

/// Answers until `stop` is cancelled, and then until the answers under way are given.
///
/// # Errors
/// None at present; an end without `stop` would be one.
pub async fn serve(
    listeners: Listeners,
    daemon: Arc<Daemon>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> Result<(), HttpError> {
    let Listeners {
        address,
        socket,
        handle,
    } = listeners;
    let app = routes::App::new(daemon, metrics, handle, stop.clone());
    listen::serve(address, socket, routes::router(app), &stop).await;
    Ok(())
}
