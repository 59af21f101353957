//! One client's session: log-in, the message loop, and the state that statements share.

pub mod backend;
mod client;
mod cursor;
mod execute;
mod extended;
mod pricing;
mod query;
mod simple;
mod subscription;
mod transaction;
mod variables;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::catalog::{Id, Scope};
use crate::engine::{Engine, set_config};
use crate::failure::SqlError;
use crate::wire::{Fields, Writer, read_frame, read_startup};
use backend::Backend;
use client::{Client, End};
use cursor::Cursor;
use transaction::Transaction;
use variables::{REPORTED, Variables, parse_options};

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// Sessions by process id, for CancelRequests.
#[derive(Debug, Default)]
pub struct Sessions {
    running: Mutex<HashMap<i32, Running>>,
}

/// What a CancelRequest must know.
#[derive(Debug)]
struct Running {
    notify: Arc<Notify>,
    /// The session's own key: that of its backend may have been another session's before.
    key: i32,
    /// The backend's key.
    secret: i32,
    /// One was passed on, and nobody says when it strikes.
    cancelled: bool,
}

impl Sessions {
    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<i32, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a CancelRequest; what to wake, and the backend's key, where it is meant for a session that runs.
    fn cancel(&self, pid: i32, key: i32) -> Option<(Arc<Notify>, i32)> {
        let mut running = self.running();
        let session = running.get_mut(&pid).filter(|session| session.key == key)?;
        session.cancelled = true;
        Some((Arc::clone(&session.notify), session.secret))
    }
}

/// A failed statement, or the end of the session.
#[derive(Debug)]
enum Stop {
    Sql(SqlError),
    End(End),
}

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<End> for Stop {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::End(End::Io(error))
    }
}

/// A session.
struct Session {
    engine: Arc<Engine>,
    client: Client,
    backend: Backend,
    /// What a client must name to have a statement cancelled.
    key: i32,
    variables: Variables,
    role: Id,
    role_name: String,
    transaction: Option<Transaction>,
    /// The backend does not yet know the present variables.
    unsettled: bool,
    /// The steering tables may have changed since they were read.
    steered: bool,
    prepared: HashMap<String, Arc<extended::Prepared>>,
    portals: HashMap<String, extended::Portal>,
    cursors: BTreeMap<String, Cursor>,
    next_statement: u64,
    /// When the present statement reached this session.
    arrived: tokio::time::Instant,
    /// Writes the present statement into the log.
    logging: Option<tokio::task::JoinHandle<()>>,
}

/// Serves one connection from its first byte to its last.
pub async fn serve(engine: Arc<Engine>, sessions: Arc<Sessions>, mut stream: TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    match log_in(&engine, &sessions, &mut stream).await {
        Ok(Some(parameters)) => {
            if let Err(error) = run(engine, &sessions, stream, parameters).await {
                tracing::debug!(%error, "a session ended");
            }
        }
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, "a log-in ended"),
    }
}

/// Start-up packets and the password; `None` if the connection had another purpose or was refused.
async fn log_in(
    engine: &Engine,
    sessions: &Sessions,
    stream: &mut TcpStream,
) -> io::Result<Option<BTreeMap<String, String>>> {
    let parameters = loop {
        let packet = read_startup(stream).await?;
        let mut fields = Fields::new(&packet);
        match fields.u32()? {
            SSL_REQUEST | GSS_REQUEST => stream.write_all(b"N").await?,
            CANCEL_REQUEST => {
                let (pid, key) = (fields.u32()?.cast_signed(), fields.u32()?.cast_signed());
                if let Some((session, secret)) = sessions.cancel(pid, key) {
                    session.notify_waiters();
                    backend::cancel(&engine.socket(), pid, secret).await?;
                }
                return Ok(None);
            }
            _ => {
                let mut parameters = BTreeMap::new();
                loop {
                    let name = fields.text()?;
                    if name.is_empty() {
                        break;
                    }
                    parameters.insert(name, fields.text()?);
                }
                break parameters;
            }
        }
    };
    let role = parameters.get("user").cloned().unwrap_or_default();
    if let Some(password) = engine.passwords.get(&role) {
        let mut out = Writer::default();
        out.message(b'R', |b| b.extend_from_slice(&3u32.to_be_bytes()));
        stream.write_all(&out.buffer).await?;
        let given = read_frame(stream)
            .await?
            .map(|f| Fields::new(&f.body).text())
            .transpose()?
            .unwrap_or_default();
        if given != *password {
            let mut out = Writer::default();
            out.fatal(&SqlError::new("28P01", "invalid password"));
            stream.write_all(&out.buffer).await?;
            return Ok(None);
        }
    }
    Ok(Some(parameters))
}

async fn run(
    engine: Arc<Engine>,
    sessions: &Sessions,
    stream: TcpStream,
    parameters: BTreeMap<String, String>,
) -> Result<(), End> {
    let backend = engine.backends.take(&engine.socket()).await?;
    let cancel = Arc::new(Notify::new());
    let client = Client::new(stream, engine.steering.outages(), Arc::clone(&cancel));
    let (pid, secret) = (backend.pid, backend.secret);
    let key = engine.backends.next_key();
    let known = Running {
        notify: cancel,
        key,
        secret,
        cancelled: false,
    };
    sessions.running().insert(pid, known);
    let role_name = parameters.get("user").cloned().unwrap_or_default();
    let mut session = Session {
        variables: Variables::new(&engine.announced_version),
        role: crate::catalog::MZ_SYSTEM,
        role_name,
        engine: Arc::clone(&engine),
        client,
        backend,
        key,
        transaction: None,
        unsettled: true,
        steered: false,
        prepared: HashMap::new(),
        portals: HashMap::new(),
        cursors: BTreeMap::new(),
        next_statement: 0,
        arrived: tokio::time::Instant::now(),
        logging: None,
    };
    let result = session.begin(&parameters).await;
    let result = match result {
        Ok(()) => session.serve().await,
        Err(end) => Err(end),
    };
    let known = sessions.running().remove(&pid);
    let Session {
        backend, client, ..
    } = session;
    drop(client);
    let is_at_rest = result.is_ok() && known.is_some_and(|session| !session.cancelled);
    let backend = is_at_rest.then_some(backend);
    // A statement that still runs for a client that has left has no purpose any more.
    if result.is_err()
        && let Err(error) = backend::cancel(&engine.socket(), pid, secret).await
    {
        tracing::debug!(%error, "a backend was not cancelled");
    }
    engine.forget_session(pid).await;
    engine.steering.list_session(pid, None).await;
    if let Some(backend) = backend {
        engine.backends.put(backend).await;
    }
    result
}

impl Session {
    /// Log-in is done: tell the client who it talks to.
    async fn begin(&mut self, parameters: &BTreeMap<String, String>) -> Result<(), End> {
        match self.start_session(parameters).await {
            Ok(()) => {}
            Err(error) => {
                self.client.out.fatal(&error);
                self.client.flush().await?;
                return Err(End::Cut);
            }
        }
        let out = &mut self.client.out;
        out.message(b'R', |b| b.extend_from_slice(&0u32.to_be_bytes()));
        for (name, shown) in REPORTED {
            out.parameter(shown, self.variables.known(name));
        }
        let (pid, key) = (self.backend.pid, self.key);
        out.message(b'K', |b| {
            b.extend_from_slice(&pid.to_be_bytes());
            b.extend_from_slice(&key.to_be_bytes());
        });
        out.ready(b'I');
        self.client.flush().await?;
        Ok(())
    }

    async fn start_session(
        &mut self,
        parameters: &BTreeMap<String, String>,
    ) -> Result<(), SqlError> {
        self.role = self.engine.login(&self.role_name).await?;
        self.engine
            .steering
            .list_session(self.backend.pid, Some(&self.role.to_string()))
            .await;
        for (name, value) in parameters {
            match name.as_str() {
                "user" | "replication" => {}
                "options" => {
                    for (name, value) in parse_options(value) {
                        // Unknown options are ignored, as a server does that is newer or older than the client.
                        if let Err(error) = self.variables.set_default(&name, &value) {
                            tracing::debug!(%error, "start-up option ignored");
                        }
                    }
                }
                _ => {
                    if let Err(error) = self.variables.set_default(name, value) {
                        tracing::debug!(%error, "start-up parameter ignored");
                    }
                }
            }
        }
        Ok(())
    }

    async fn serve(&mut self) -> Result<(), End> {
        while let Some(frame) = self.client.next().await? {
            self.arrived = tokio::time::Instant::now();
            let result = match frame.tag {
                b'Q' => {
                    let text = Fields::new(&frame.body).text()?;
                    self.simple(&text).await
                }
                b'P' | b'B' | b'D' | b'E' | b'C' | b'H' | b'S' => self.extended(frame).await,
                b'd' | b'c' | b'f' => Ok(()),
                other => {
                    let error = SqlError::new("08P01", format!("unexpected message type {other}"));
                    self.client.out.error(&error);
                    Ok(())
                }
            };
            match result {
                Ok(()) => {}
                Err(end) => {
                    if matches!(end, End::Cut) {
                        // What was answered before the cut has been answered.
                        self.client.out.buffer.clear();
                    }
                    return Err(end);
                }
            }
        }
        Ok(())
    }

    /// The status byte of ReadyForQuery.
    fn status(&self) -> u8 {
        match &self.transaction {
            None => b'I',
            Some(t) if t.failed => b'E',
            Some(_) => b'T',
        }
    }

    fn scope(&self) -> Scope {
        Scope {
            database: self.variables.known("database").to_owned(),
            search_path: self.variables.search_path(),
            session: self.backend.pid,
            role: self.role,
        }
    }

    /// Lets the backend know the session's variables.
    async fn settle(&mut self) -> Result<(), Stop> {
        if !self.unsettled {
            return Ok(());
        }
        let v = &self.variables;
        let mut settings = vec![
            set_config("mz.role", &self.role_name),
            set_config(
                "statement_timeout",
                &v.statement_timeout()
                    .map_or(0, |t| t.as_millis())
                    .to_string(),
            ),
        ];
        for name in ["timezone", "datestyle", "intervalstyle", "application_name"] {
            settings.push(set_config(name, v.known(name)));
        }
        settings.extend(
            v.all()
                .iter()
                .filter(|(name, _)| name != "is_superuser")
                .map(|(name, value)| set_config(&format!("mz.{name}"), value)),
        );
        self.backend
            .query(&format!("SELECT {}", settings.join(", ")))
            .await??;
        self.unsettled = false;
        Ok(())
    }

    /// Reads the steering tables again if this session may have changed them.
    async fn settle_steering(&mut self) {
        // Of a statement that failed.
        self.logged().await;
        if self.steered && self.transaction.as_ref().is_none_or(|t| !t.backend) {
            self.steered = false;
            self.engine.steering.reload().await;
        }
    }
}
