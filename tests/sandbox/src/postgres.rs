//! The private PostgreSQL behind a sandbox.
//!
//! Invariant: no server and no folder outlive the process. A small `sh` supervisor holds both; it waits for the end of
//! its standard input, which the kernel closes however this process ends, then kills the server and removes the folder.

mod template;

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use template::Template;

/// Why no PostgreSQL could be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No `postgres` and `initdb` anywhere.
    #[error("no PostgreSQL server found on PATH or under /usr/lib/postgresql")]
    NotFound,
    /// A file or process operation failed.
    #[error("{what}")]
    Io {
        /// What was attempted.
        what: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// `initdb` or the server ended with an error.
    #[error("PostgreSQL did not start: {0}")]
    Failed(String),
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.into();
    move |source| Error::Io { what, source }
}

const SUPERVISOR: &str = r#"
data="$1"; folder="$2"; shift 2
trap '' INT HUP TERM
start() { "$@" </dev/null >>"$folder/postgres.log" 2>&1 & server=$!; }
start "$@"
while read -r order; do
    case "$order" in
    start) start "$@" ;;
    *) kill -s "$order" "$server" 2>/dev/null; wait "$server" 2>/dev/null ;;
    esac
done
kill -QUIT "$server" 2>/dev/null
( sleep 3; kill -KILL "$server" 2>/dev/null ) &
dog=$!
wait "$server" 2>/dev/null
kill "$dog" 2>/dev/null
rm -rf "$folder"
"#;

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Sessions are ended, what they did is rolled back.
    Fast,
    /// As in a crash: the next start recovers.
    Immediate,
}

/// A running server; dropping it ends the server and removes its folder.
#[derive(Debug)]
pub struct Server {
    supervisor: Child,
    folder: PathBuf,
}

impl Server {
    /// Initialises and starts a server in a new temporary folder. Blocks for a moment, the first time on a machine for
    /// about a second.
    pub fn start() -> Result<Self, Error> {
        let bin = find_bin().ok_or(Error::NotFound)?;
        let owner = unprivileged();
        let folder = tempfile::Builder::new()
            .prefix("mz-sandbox-")
            .tempdir_in(if has_room_in_memory() {
                PathBuf::from(MEMORY)
            } else {
                temporary()
            })
            .map_err(io("create the sandbox folder"))?
            .keep();
        match Self::start_in(&bin, owner, &folder) {
            Ok(server) => Ok(server),
            Err(error) => {
                // The folder is already useless; the first error is the one to report.
                let _ = std::fs::remove_dir_all(&folder);
                Err(error)
            }
        }
    }

    fn start_in(bin: &Path, owner: Option<(u32, u32)>, folder: &Path) -> Result<Self, Error> {
        if let Some((uid, gid)) = owner {
            chown(folder, Some(uid), Some(gid)).map_err(io("hand the sandbox folder over"))?;
        }
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))
            .map_err(io("open the sandbox folder"))?;
        let data = folder.join("data");
        make(bin, owner, folder, &data)?;
        let supervisor = as_owner(OsStr::new("/bin/sh").as_ref(), owner, folder)
            .arg("-c")
            .arg(SUPERVISOR)
            .arg("mz-sandbox-postgres")
            .arg(&data)
            .arg(folder)
            .arg(bin.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(SETTINGS.iter().flat_map(|s| ["-c", s]))
            .arg("-c")
            .arg(format!("unix_socket_directories={}", folder.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(io("start the PostgreSQL supervisor"))?;
        let mut server = Self {
            supervisor,
            folder: folder.to_owned(),
        };
        match server.wait_until_ready() {
            Ok(()) => Ok(server),
            Err(error) => {
                drop(server.supervisor.stdin.take());
                Err(error)
            }
        }
    }

    fn wait_until_ready(&self) -> Result<(), Error> {
        let pid_file = self.folder.join("data/postmaster.pid");
        let ready = || {
            std::fs::read_to_string(&pid_file)
                .is_ok_and(|text| text.lines().nth(7).is_some_and(|l| l.trim() == "ready"))
                && self.socket().exists()
        };
        if wait_until(ready) {
            return Ok(());
        }
        let log = std::fs::read_to_string(self.folder.join("postgres.log")).unwrap_or_default();
        Err(Error::Failed(log))
    }

    /// Ends the server, as `pg_ctl stop` does, and keeps its data. Blocks until it is gone.
    pub fn stop(&mut self, mode: Stop) -> Result<(), Error> {
        self.order(match mode {
            Stop::Fast => "INT",
            Stop::Immediate => "QUIT",
        })?;
        let pid_file = self.folder.join("data/postmaster.pid");
        if wait_until(|| !pid_file.exists()) {
            return Ok(());
        }
        Err(Error::Failed("it does not stop".to_owned()))
    }

    /// Starts the server again after [`Server::stop`]. Blocks until it answers.
    pub fn start_again(&mut self) -> Result<(), Error> {
        self.order("start")?;
        self.wait_until_ready()
    }

    fn order(&mut self, order: &str) -> Result<(), Error> {
        let told = match &mut self.supervisor.stdin {
            Some(stdin) => writeln!(stdin, "{order}").and_then(|()| stdin.flush()),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        };
        told.map_err(io("tell the PostgreSQL supervisor"))
    }

    /// The folder that holds the server's socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The server's socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(format!(".s.PGSQL.{PORT}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.supervisor.stdin.take() {
            let _ = stdin.flush();
        }
        let _ = self.supervisor.wait();
    }
}

/// Puts a fresh cluster into `data`, from a template where there is one.
fn make(bin: &Path, owner: Option<(u32, u32)>, folder: &Path, data: &Path) -> Result<(), Error> {
    let programs = ["initdb", "postgres"].map(|name| bin.join(name));
    let recipe = format!("{INITDB:?} {SLIM:?}");
    let template = Template::of(&temporary(), &programs, &recipe)
        .map_err(io("look at the PostgreSQL programs"))?;
    let unpacked = template.unpack(data, owner);
    if unpacked.map_err(io("unpack a fresh cluster"))? {
        return Ok(());
    }
    let [initdb, postgres] = programs;
    run(
        as_owner(&initdb, owner, folder).args(INITDB).arg(data),
        "",
        "initdb",
    )?;
    run(
        as_owner(&postgres, owner, folder)
            .arg("--single")
            .arg("-D")
            .arg(data)
            .args(["-c", "fsync=off", "postgres"]),
        SLIM,
        "postgres --single",
    )?;
    // Without it the next start takes longer, no more.
    if let Err(error) = template.pack(data) {
        tracing::warn!(%error, "a fresh cluster could not be kept for other servers");
    }
    Ok(())
}

fn run(command: &mut Command, input: &str, name: &str) -> Result<(), Error> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(io(format!("run {name}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        let fed = stdin.write_all(input.as_bytes());
        fed.map_err(io(format!("feed {name}")))?;
    }
    let out = child
        .wait_with_output()
        .map_err(io(format!("wait for {name}")))?;
    if out.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    Err(Error::Failed(said))
}

fn temporary() -> PathBuf {
    if Path::new("/tmp").is_dir() {
        PathBuf::from("/tmp")
    } else {
        std::env::temp_dir()
    }
}

/// A file system in memory: a server makes, writes and removes its hundreds of files there at a fraction of the cost.
const MEMORY: &str = "/dev/shm";

/// What it must hold in all; containers often have 64 MiB.
const ROOM_KIB: u64 = 1 << 20;

fn has_room_in_memory() -> bool {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    // The last one hides those before it.
    let mount = mounts.lines().rev().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        (fields.next()? == MEMORY).then_some(())?;
        Some((fields.next()?, fields.next()?))
    });
    let Some(("tmpfs", options)) = mount else {
        return false;
    };
    let mut options = options.split(',');
    let size = options
        .clone()
        .find_map(|option| option.strip_prefix("size="));
    let size = size.and_then(|size| size.strip_suffix('k')?.parse().ok());
    options.any(|option| option == "rw") && size.is_some_and(|kib: u64| kib >= ROOM_KIB)
}

fn wait_until(is_so: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// The superuser that every backend connection uses.
pub const SUPERUSER: &str = "mz";
/// Only names the socket; nothing listens on TCP.
pub const PORT: u16 = 5432;

const INITDB: [&str; 11] = [
    "--no-sync",
    "--no-locale",
    "--no-instructions",
    "--wal-segsize=1",
    "-E",
    "UTF8",
    "-A",
    "trust",
    "-U",
    SUPERUSER,
    "-D",
];

/// Two thirds of a fresh cluster are databases to copy others from.
const SLIM: &str = "UPDATE pg_database SET datistemplate = false;\nDROP DATABASE template0;\nDROP DATABASE template1;\n";

const SETTINGS: [&str; 19] = [
    "listen_addresses=",
    "unix_socket_permissions=0777",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "autovacuum=on",
    "max_connections=220",
    "superuser_reserved_connections=3",
    "shared_buffers=32MB",
    "jit=off",
    "logging_collector=off",
    "log_min_messages=fatal",
    "max_parallel_workers_per_gather=0",
    "from_collapse_limit=20",
    "join_collapse_limit=20",
    "bgwriter_delay=10s",
    "max_locks_per_transaction=256",
];

fn as_owner(program: &Path, owner: Option<(u32, u32)>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(folder)
        .env_remove("PGDATA")
        .env("LC_ALL", "C");
    if let Some((uid, gid)) = owner {
        command.gid(gid).uid(uid);
    }
    command
}

fn find_bin() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH")
        .into_iter()
        .flat_map(|p| std::env::split_paths(&p).collect::<Vec<_>>());
    let mut versioned: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path().join("bin"))))
        .collect();
    versioned.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    on_path
        .chain(versioned.into_iter().map(|(_, p)| p))
        .find(|dir| dir.join("postgres").is_file() && dir.join("initdb").is_file())
}

/// PostgreSQL refuses to run as root: then another user does.
fn unprivileged() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let root = std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0);
    if !root {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next()? == name).then_some(())?;
            Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
        })
    };
    find("postgres")
        .or_else(|| find("nobody"))
        .or(Some((65534, 65534)))
}
