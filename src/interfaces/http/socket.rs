//! The Unix socket: made without an instant in which others could open it, and never taken from a
//! process that lives.

use super::error::HttpError;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// The most bytes of a path that the system takes.
const LONGEST: usize = 107 - ".new/s".len();

/// A socket that is listened on. Removed when it is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    pub(super) path: PathBuf,
    /// Held for as long as the socket is ours; a process that died holds nothing.
    _lock: File,
}

impl Socket {
    pub(super) fn bind(path: PathBuf) -> Result<Self, HttpError> {
        if path.as_os_str().len() > LONGEST {
            let most = LONGEST;
            return Err(HttpError::SocketTooLong { path, most });
        }
        let failed = |source| HttpError::Socket {
            path: path.clone(),
            source,
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        // A link that somebody else put there is not followed, and nothing is cut.
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(beside(&path, ".lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(HttpError::SocketInUse { path }),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        match std::fs::symlink_metadata(&path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(HttpError::NotASocket { path });
            }
            // Of something else than a daemon, that takes no lock.
            Ok(_) if std::os::unix::net::UnixStream::connect(&path).is_ok() => {
                return Err(HttpError::SocketInUse { path });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(failed(source)),
        }
        let listener = listen(&path).map_err(failed)?;
        Ok(Self {
            listener,
            path,
            _lock: lock,
        })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A stale one is replaced at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A listener at `path` that only this user may connect to. It is made in a folder that nobody else
/// may enter and is moved when its mode is set.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let folder = beside(path, ".new");
    let inside = folder.join("s");
    let _ = std::fs::remove_file(&inside);
    let _ = std::fs::remove_dir(&folder);
    std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
    let made = UnixListener::bind(&inside).and_then(|listener| {
        std::fs::set_permissions(&inside, Permissions::from_mode(0o600))?;
        std::fs::rename(&inside, path)?;
        Ok(listener)
    });
    let _ = std::fs::remove_file(&inside);
    let _ = std::fs::remove_dir(&folder);
    made
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
