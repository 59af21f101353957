//! Listening, connections, and their end.

use super::error::HttpError;
use super::socket::Socket;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::access::Shared;
use crate::interfaces::http::slow_reader::SlowReader;

/// How many connections each place has open at a time; more wait to be accepted.
const CONNECTIONS: usize = 1024;

/// How long a client may take for the head of a request, or for a TLS handshake.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);

/// The largest head of a request, in bytes.
const HEAD_LIMIT: usize = 32 << 10;

/// How long a client may take none of what it is sent.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long answers under way may take when the daemon stops.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// How long to wait when the system has no room for another connection.
const NO_ROOM: Duration = Duration::from_millis(100);

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// Over the socket, from somebody who may open it: the id of the Unix user, where the system says it.
    Socket(Option<u32>),
    /// Over the address.
    Address(IpAddr),
}

/// The address with its certificate.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) listener: TcpListener,
    pub(super) local: SocketAddr,
    pub(super) tls: Shared<Option<Arc<ServerConfig>>>,
}

impl Address {
    pub(super) async fn bind(
        address: SocketAddr,
        tls: Shared<Option<Arc<ServerConfig>>>,
    ) -> Result<Self, HttpError> {
        let failed = |source| HttpError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            local,
            tls,
        })
    }
}

/// Serves until `stop`, and then until the answers under way are given.
pub(super) async fn serve(
    address: Option<Address>,
    socket: Option<Socket>,
    router: Router,
    stop: &CancellationToken,
) {
    // Each with room of its own: a crowd at the address does not keep the owner from the socket.
    let over_address = async {
        match address {
            Some(address) => accept(Place::Address(address), &router, stop).await,
            None => stop.cancelled().await,
        }
    };
    let over_socket = async {
        match socket {
            Some(socket) => accept(Place::Socket(socket), &router, stop).await,
            None => stop.cancelled().await,
        }
    };
    tokio::join!(over_address, over_socket);
}

/// One of the places that are listened on.
enum Place {
    Address(Address),
    Socket(Socket),
}

async fn accept(place: Place, router: &Router, stop: &CancellationToken) {
    let mut connections = JoinSet::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = tokio::select! {
            () = stop.cancelled() => break,
            permit = Arc::clone(&room).acquire_owned() => permit,
        };
        let Ok(permit) = permit else { break };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = place.next() => accepted,
            // Those that ended are let go on the way.
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok(accepted) => {
                let serving = accepted.serve(router.clone(), stop.clone(), permit);
                connections.spawn(serving);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(NO_ROOM).await;
            }
        }
    }
    drop(place);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_ANSWERS, all).await.is_err() {
        tracing::warn!("answers that took too long were cut off");
    }
}

/// A connection that was accepted.
enum Accepted {
    Tcp(TcpStream, IpAddr, Option<Arc<ServerConfig>>),
    Unix(UnixStream),
}

impl Place {
    async fn next(&self) -> io::Result<Accepted> {
        match self {
            Self::Address(address) => {
                let (stream, peer) = address.listener.accept().await?;
                let tls = address.tls.get();
                Ok(Accepted::Tcp(stream, peer.ip(), (*tls).clone()))
            }
            Self::Socket(socket) => Ok(Accepted::Unix(socket.listener.accept().await?.0)),
        }
    }
}

impl Accepted {
    async fn serve(self, router: Router, stop: CancellationToken, _room: OwnedSemaphorePermit) {
        match self {
            Self::Unix(stream) => {
                let user = stream.peer_cred().ok().map(|peer| peer.uid());
                speak(stream, router, Peer::Socket(user), stop).await;
            }
            Self::Tcp(stream, ip, None) => {
                // Answers are small and wanted at once.
                let _ = stream.set_nodelay(true);
                speak(stream, router, Peer::Address(ip), stop).await;
            }
            Self::Tcp(stream, ip, Some(config)) => {
                let _ = stream.set_nodelay(true);
                let accepting = tokio_rustls::TlsAcceptor::from(config).accept(stream);
                match tokio::time::timeout(HEAD_TIMEOUT, accepting).await {
                    Ok(Ok(stream)) => speak(stream, router, Peer::Address(ip), stop).await,
                    Ok(Err(error)) => tracing::debug!(%error, %ip, "no TLS"),
                    Err(_) => tracing::debug!(%ip, "no TLS in time"),
                }
            }
        }
    }
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    peer: Peer,
    stop: CancellationToken,
) {
    let inner = TowerToHyperService::new(router);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        inner.call(request.map(Body::new))
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(
            TokioIo::new(SlowReader::new(stream, STALL_TIMEOUT)),
            service,
        );
    tokio::pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}
