//! A way to the server that loses what it is told to lose.

use crate::adapters::store::tests::Bed;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio_postgres::config::Host;

/// What happens; the ones about a commit happen to the next one and once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Pass,
    /// The connection ends before the server hears of the commit.
    LoseRequest,
    /// The connection ends after the server made the commit.
    LoseAnswer,
    /// The client's connection ends, and a moment later the server hears of the commit.
    CommitLate,
    /// Every connection ends and none is made.
    Cut,
}

pub(super) struct Proxy {
    mode: watch::Sender<Mode>,
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A new connection to the server itself.
pub(super) async fn reach(host: &Host, port: u16) -> Box<dyn Stream> {
    match host {
        Host::Unix(folder) => Box::new(
            UnixStream::connect(folder.join(format!(".s.PGSQL.{port}")))
                .await
                .expect("the server is there"),
        ),
        Host::Tcp(name) => Box::new(
            TcpStream::connect((name.as_str(), port))
                .await
                .expect("the server is there"),
        ),
    }
}

impl Proxy {
    /// Leads the way of a bed through a new proxy.
    pub(super) async fn before(bed: &mut Bed) -> Self {
        let address = bed.address();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let password = address.config.get_password().unwrap_or_default();
        bed.url = format!(
            "postgres://{}:{}@127.0.0.1:{port}/{}?sslmode=disable&schema={}",
            address.config.get_user().unwrap_or("postgres"),
            String::from_utf8_lossy(password),
            address.config.get_dbname().expect("named"),
            address.schema,
        );
        let (mode, told) = watch::channel(Mode::Pass);
        let host = address.config.get_hosts()[0].clone();
        let port = address.config.get_ports()[0];
        let teller = mode.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *told.borrow() == Mode::Cut {
                    continue;
                }
                let server = reach(&host, port).await;
                tokio::spawn(carry(client, server, told.clone(), teller.clone()));
            }
        });
        Self { mode }
    }

    pub(super) fn tell(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Waits until what was told has happened.
    pub(super) async fn spent(&self) {
        let start = Instant::now();
        while *self.mode.borrow() != Mode::Pass {
            assert!(start.elapsed() < Duration::from_secs(5), "no commit came");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn carry(
    mut client: TcpStream,
    mut server: Box<dyn Stream>,
    mut told: watch::Receiver<Mode>,
    teller: watch::Sender<Mode>,
) {
    let (mut up, mut down) = ([0; 16_384], [0; 16_384]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(length @ 1..) = read else { return };
                let words = &up[..length];
                let mode = *told.borrow();
                if words.windows(6).any(|six| six == b"COMMIT") && mode != Mode::Pass {
                    teller.send_replace(Mode::Pass);
                    if mode == Mode::LoseRequest {
                        return;
                    }
                    if mode == Mode::CommitLate {
                        drop(client);
                        tokio::time::sleep(Duration::from_millis(300)).await;
                    }
                    // The answer ends here.
                    let _ = server.write_all(words).await;
                    let _ = server.read(&mut down).await;
                    return;
                }
                if server.write_all(words).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(length @ 1..) = read else { return };
                if client.write_all(&down[..length]).await.is_err() {
                    return;
                }
            }
            _ = told.changed() => {
                if *told.borrow() == Mode::Cut {
                    return;
                }
            }
        }
    }
}
