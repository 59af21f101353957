//! A raw connection to the private PostgreSQL, one for each session.
//!
//! A process of PostgreSQL's takes 6 ms of a processor to start and as much to learn the catalog, more than most
//! sessions have it do. So those of sessions that ended well serve others, once nothing is left of the first.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::engine::BACKEND_OPTIONS;
use crate::failure::{SqlError, materialize_code};
use crate::postgres::SUPERUSER;
use crate::wire::{
    Fields, Frame, Rows, Writer, parse_data_row, parse_error, parse_row_description, put_text,
    read_frame,
};

/// Protocol version 3.0.
const VERSION: u32 = 196_608;

/// The connection.
#[derive(Debug)]
pub struct Backend {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    /// Process id; the front announces the same one.
    pub pid: i32,
    /// Cancel key.
    pub secret: i32,
    /// Extended-protocol messages were sent since the last Sync.
    pub unsynced: bool,
}

impl Backend {
    /// Connects and logs in.
    pub async fn connect(socket: &Path) -> io::Result<Self> {
        let (reader, mut writer) = UnixStream::connect(socket).await?.into_split();
        let mut out = Writer::default();
        out.untyped(|b| {
            b.extend_from_slice(&VERSION.to_be_bytes());
            for text in [
                "user",
                SUPERUSER,
                "database",
                "postgres",
                "options",
                BACKEND_OPTIONS,
            ] {
                put_text(b, text);
            }
            b.push(0);
        });
        writer.write_all(&out.buffer).await?;
        let mut backend = Self {
            reader: BufReader::with_capacity(64 << 10, reader),
            writer,
            pid: 0,
            secret: 0,
            unsynced: false,
        };
        loop {
            let frame = backend.read().await?;
            match frame.tag {
                b'K' => {
                    let mut fields = Fields::new(&frame.body);
                    backend.pid = fields.u32()?.cast_signed();
                    backend.secret = fields.u32()?.cast_signed();
                }
                b'Z' => return Ok(backend),
                b'E' => return Err(io::Error::other(parse_error(&frame).to_string())),
                _ => {}
            }
        }
    }

    /// Next frame.
    pub async fn read(&mut self) -> io::Result<Frame> {
        read_frame(&mut self.reader)
            .await?
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Sends bytes.
    pub async fn send(&mut self, out: &Writer) -> io::Result<()> {
        self.writer.write_all(&out.buffer).await
    }

    /// Sends a simple query.
    pub async fn send_query(&mut self, sql: &str) -> io::Result<()> {
        let mut out = Writer::default();
        out.message(b'Q', |b| put_text(b, sql));
        self.send(&out).await
    }

    /// Runs a query of the front itself and collects its rows.
    pub async fn query(&mut self, sql: &str) -> io::Result<Result<Rows, SqlError>> {
        self.sync().await?;
        self.send_query(sql).await?;
        let mut rows = Rows::default();
        let mut error = None;
        loop {
            let frame = self.read().await?;
            match frame.tag {
                b'T' => rows.columns = parse_row_description(&frame)?,
                b'D' => rows.rows.push(parse_data_row(&frame)?),
                b'E' => error = Some(translated(&frame)),
                b'Z' => return Ok(error.map_or(Ok(rows), Err)),
                _ => {}
            }
        }
    }

    /// Ends a run of extended-protocol messages.
    pub async fn sync(&mut self) -> io::Result<()> {
        if !self.unsynced {
            return Ok(());
        }
        let mut out = Writer::default();
        out.message(b'S', |_| {});
        self.send(&out).await?;
        while self.read().await?.tag != b'Z' {}
        self.unsynced = false;
        Ok(())
    }
}

/// Backends at rest.
#[derive(Debug, Default)]
pub struct Backends {
    resting: Mutex<Vec<Backend>>,
    keys: AtomicI32,
}

/// As many rest; more are ended.
const RESTING: usize = 16;

impl Backends {
    fn resting(&self) -> MutexGuard<'_, Vec<Backend>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that rests, else a new one.
    pub async fn take(&self, socket: &Path) -> io::Result<Backend> {
        let resting = self.resting().pop();
        match resting {
            Some(backend) => Ok(backend),
            None => Backend::connect(socket).await,
        }
    }

    /// Leaves one whose session is over to another session, as new.
    pub async fn put(&self, mut backend: Backend) {
        for sql in ["ROLLBACK", "DISCARD ALL"] {
            match backend.query(sql).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return tracing::warn!(%error, sql, "a backend is not as new"),
                Err(error) => return tracing::debug!(%error, "a backend has ended"),
            }
        }
        let mut resting = self.resting();
        if resting.len() < RESTING {
            resting.push(backend);
        }
    }

    /// A key that no other session has.
    pub fn next_key(&self) -> i32 {
        self.keys.fetch_add(1, Ordering::Relaxed)
    }
}

/// An error of PostgreSQL under Materialize's code.
pub fn translated(frame: &Frame) -> SqlError {
    let mut error = parse_error(frame);
    error.code = materialize_code(&error.code).to_owned();
    error
}

/// Passes a CancelRequest on.
pub async fn cancel(socket: &Path, pid: i32, secret: i32) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut out = Writer::default();
    out.untyped(|b| {
        b.extend_from_slice(&80_877_102u32.to_be_bytes());
        b.extend_from_slice(&pid.to_be_bytes());
        b.extend_from_slice(&secret.to_be_bytes());
    });
    stream.write_all(&out.buffer).await?;
    stream.shutdown().await
}
