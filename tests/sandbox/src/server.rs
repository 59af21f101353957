//! A running sandbox: the listener and the engine behind it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::costs::Costs;
use crate::engine::{self, Engine};
use crate::session::{self, Sessions};

/// How a sandbox starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// TCP port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// What the start-up parameter `mz_version` announces.
    pub announce_version: String,
    /// Roles that must give a password, and the passwords.
    pub passwords: BTreeMap<String, String>,
    /// What statements cost; nothing if none.
    pub costs: Option<Costs>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            announce_version: "v26.24.0-dev.0 (sandbox)".into(),
            passwords: BTreeMap::new(),
            costs: None,
        }
    }
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The private PostgreSQL or the catalog.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The TCP port.
    #[error("cannot listen on 127.0.0.1:{port}")]
    Listen {
        /// The wanted port.
        port: u16,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

/// A running stand-in; dropping it ends it.
#[derive(Debug)]
pub struct Sandbox {
    port: u16,
    engine: Option<Arc<Engine>>,
    accepting: JoinHandle<()>,
}

impl Sandbox {
    /// Starts one. Takes about a second.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let listen = |source| Error::Listen {
            port: options.port,
            source,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
            .await
            .map_err(listen)?;
        let port = listener.local_addr().map_err(listen)?.port();
        let engine = Arc::new(
            Engine::start(
                options.announce_version.clone(),
                options.passwords.clone(),
                options.costs,
            )
            .await?,
        );
        let accepting = tokio::spawn(accept(listener, Arc::clone(&engine)));
        Ok(Self {
            port,
            engine: Some(engine),
            accepting,
        })
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A connection URL for the role `materialize`.
    pub fn url(&self) -> String {
        self.url_for("materialize")
    }

    /// A connection URL for any role.
    pub fn url_for(&self, role: &str) -> String {
        format!(
            "postgres://{role}@127.0.0.1:{}/materialize?sslmode=disable",
            self.port
        )
    }

    /// How many statements faults have held so far, told whenever it is one more: for who does not want to ask
    /// `mz_sandbox.faults` again and again. `None` once it is stopped.
    pub fn held(&self) -> Option<watch::Receiver<u64>> {
        self.engine.as_ref().map(|engine| engine.steering.held())
    }

    /// Ends it and waits until its PostgreSQL is gone.
    pub async fn stop(mut self) {
        self.accepting.abort();
        // The sessions end with the accepting task; each holds the engine until its next await.
        if let Some(engine) = self.engine.take() {
            let mut engine = Some(engine);
            for _ in 0..200 {
                match engine.take().map(Arc::try_unwrap) {
                    Some(Ok(engine)) => {
                        if let Err(error) = tokio::task::spawn_blocking(move || drop(engine)).await
                        {
                            tracing::warn!(%error, "stopping the private PostgreSQL");
                        }
                        return;
                    }
                    Some(Err(shared)) => engine = Some(shared),
                    None => return,
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, engine: Arc<Engine>) {
    let sessions = Arc::new(Sessions::default());
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(connection) => admit(&mut running, &engine, &sessions, connection),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            Some(_) = running.join_next() => {}
        }
    }
}

fn admit(
    running: &mut JoinSet<()>,
    engine: &Arc<Engine>,
    sessions: &Arc<Sessions>,
    (stream, _): (TcpStream, SocketAddr),
) {
    if engine.steering.is_out() {
        drop(stream);
        return;
    }
    running.spawn(session::serve(
        Arc::clone(engine),
        Arc::clone(sessions),
        stream,
    ));
}
