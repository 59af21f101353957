//! The client's side of a session: frames come through a task of their own, so that a client which goes away, cancels
//! or is cut off is noticed while the session waits for something else.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc, watch};

use crate::wire::{Frame, Writer, read_frame};

/// Answers are sent at the latest when so many bytes have gathered.
const FLUSH_AT: usize = 64 << 10;

/// Why a session ends without the client's wish.
#[derive(Debug)]
pub enum End {
    /// The connection broke.
    Io(io::Error),
    /// A fault or outage cuts the connection.
    Cut,
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Cut => f.write_str("cut by a fault or an outage"),
        }
    }
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The client.
#[derive(Debug)]
pub struct Client {
    frames: mpsc::UnboundedReceiver<Frame>,
    writer: OwnedWriteHalf,
    /// Answers not yet sent.
    pub out: Writer,
    /// Things that end a wait.
    pub interrupt: Interrupt,
    reader: tokio::task::JoinHandle<()>,
}

/// What can end a wait from outside.
#[derive(Debug, Clone)]
pub struct Interrupt {
    closed: watch::Receiver<bool>,
    outage: watch::Receiver<u64>,
    /// A CancelRequest arrived.
    pub cancel: Arc<Notify>,
}

impl Interrupt {
    /// Resolves when the session must end.
    pub async fn ended(&mut self) -> End {
        tokio::select! {
            _ = self.closed.wait_for(|closed| *closed) => End::Io(io::ErrorKind::ConnectionReset.into()),
            _ = self.outage.changed() => End::Cut,
        }
    }
}

impl Client {
    /// Takes over an authenticated connection.
    pub fn new(stream: TcpStream, outage: watch::Receiver<u64>, cancel: Arc<Notify>) -> Self {
        let (reader, writer) = stream.into_split();
        let (sender, frames) = mpsc::unbounded_channel();
        let (closing, closed) = watch::channel(false);
        let reader = tokio::spawn(pump(reader, sender, closing));
        Self {
            frames,
            writer,
            out: Writer::default(),
            interrupt: Interrupt {
                closed,
                outage,
                cancel,
            },
            reader,
        }
    }

    /// Next frame; `None` when the client has left.
    pub async fn next(&mut self) -> Result<Option<Frame>, End> {
        let mut outage = self.interrupt.outage.clone();
        tokio::select! {
            frame = self.frames.recv() => Ok(frame),
            _ = outage.changed() => Err(End::Cut),
        }
    }

    /// Sends what has gathered.
    pub async fn flush(&mut self) -> io::Result<()> {
        if !self.out.buffer.is_empty() {
            self.writer.write_all(&self.out.buffer).await?;
            self.out.buffer.clear();
        }
        Ok(())
    }

    /// Sends what has gathered if it is much.
    pub async fn flush_if_full(&mut self) -> io::Result<()> {
        if self.out.buffer.len() >= FLUSH_AT {
            self.flush().await
        } else {
            Ok(())
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn pump(
    reader: OwnedReadHalf,
    sender: mpsc::UnboundedSender<Frame>,
    closing: watch::Sender<bool>,
) {
    let mut reader = BufReader::new(reader);
    while let Ok(Some(frame)) = read_frame(&mut reader).await {
        if frame.tag == b'X' || sender.send(frame).is_err() {
            break;
        }
    }
    closing.send_replace(true);
}
