//! What lies between a browser and a daemon: it can be slow, and it can be cut.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::task::JoinSet;

pub struct Proxy {
    pub address: SocketAddr,
    to: SocketAddr,
    delay: Arc<AtomicU64>,
    running: Option<JoinHandle<()>>,
}

impl Proxy {
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut proxy = Self {
            address: listener.local_addr().expect("an address"),
            to,
            delay: Arc::default(),
            running: None,
        };
        proxy.runs(listener);
        proxy
    }

    fn runs(&mut self, listener: TcpListener) {
        let (to, delay) = (self.to, Arc::clone(&self.delay));
        self.running = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(forward(stream, to, Arc::clone(&delay)));
            }
        }));
    }

    /// Each piece of an answer comes so much later.
    pub fn is_slow(&self, delay: Duration) {
        let ms = u64::try_from(delay.as_millis()).expect("a short time");
        self.delay.store(ms, Ordering::Relaxed);
    }

    /// Every connection ends, and no other is taken.
    pub async fn cut(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            let _ = running.await;
        }
    }

    pub async fn mend(&mut self) {
        let listener = loop {
            match TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        };
        self.runs(listener);
    }
}

async fn forward(stream: TcpStream, to: SocketAddr, delay: Arc<AtomicU64>) {
    let Ok(server) = TcpStream::connect(to).await else {
        return;
    };
    let (mut from_browser, mut to_browser) = stream.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let asking = copy(&mut from_browser, &mut to_server);
    let answering = async {
        let mut piece = vec![0; 64 << 10];
        loop {
            let count = from_server.read(&mut piece).await.unwrap_or(0);
            tokio::time::sleep(Duration::from_millis(delay.load(Ordering::Relaxed))).await;
            if count == 0 || to_browser.write_all(&piece[..count]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = asking => {}
        () = answering => {}
    }
}
