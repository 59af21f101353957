//! Why the API cannot be served.

use crate::foundation::failure::{Class, Classify};
use crate::inputs::settings::SecretError;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the API cannot be served. Found before anything else is started.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address is taken, or is not one of this machine.
    #[error("http.listen: cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The socket cannot be made.
    #[error("http.socket: cannot make the socket {}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process listens on the socket.
    #[error("http.socket: another process listens on {}", path.display())]
    SocketInUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket lies there.
    #[error("http.socket: {} is there and is not a socket", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The system allows no path of this length.
    #[error("http.socket: the path {} has more than {most} bytes", path.display())]
    SocketTooLong {
        /// The path.
        path: PathBuf,
        /// The most bytes.
        most: usize,
    },
    /// Certificate or key cannot be used.
    #[error("{key}: {} cannot be used: {problem}", path.display())]
    Tls {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// A token cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A token can be guessed, or cannot be sent.
    #[error("{key}: {problem}")]
    Token {
        /// The key of the configuration.
        key: String,
        /// What is wrong with it, never what it is.
        problem: &'static str,
    },
}

impl Classify for HttpError {
    fn class(&self) -> Class {
        match self {
            Self::Listen { .. } | Self::SocketInUse { .. } => Class::Refused,
            Self::Socket { .. }
            | Self::NotASocket { .. }
            | Self::SocketTooLong { .. }
            | Self::Tls { .. }
            | Self::Token { .. } => Class::Usage,
            Self::Secret(error) => error.class(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Listen { .. } => {
                "end the process that listens there, or name another address".to_owned()
            }
            Self::Socket { .. } => "name a path in a folder that may be written".to_owned(),
            Self::SocketInUse { .. } => {
                "one daemon for a folder is enough; give another one a socket of its own".to_owned()
            }
            Self::NotASocket { .. } => "name another path, or remove what is there".to_owned(),
            Self::SocketTooLong { .. } => "name a shorter path".to_owned(),
            Self::Tls { .. } => {
                "give a certificate chain and its private key as PEM files".to_owned()
            }
            Self::Secret(error) => return error.hint(),
            Self::Token { .. } => "make one with `openssl rand -hex 32`".to_owned(),
        })
    }
}
