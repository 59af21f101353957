//! What can go wrong between a client and a daemon.

use crate::foundation::failure::{Class, Classify};
use crate::interfaces::api::problem::{Document, Kind, PREFIX};
use std::path::PathBuf;

/// Why there is no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none.
    #[error("not the address of a daemon: {problem}")]
    Address {
        /// What is wrong with it.
        problem: String,
    },
    /// The certificate file cannot be used.
    #[error("the certificates in {} cannot be used: {problem}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The token has characters that no header may have.
    #[error("the token has characters that cannot be sent")]
    Token,
    /// The token would cross a network for everybody to read.
    #[error("the token is not sent to {place}, since nothing encrypts on the way")]
    Exposed {
        /// The address.
        place: String,
    },
    /// No client could be made of it.
    #[error("the connection cannot be prepared")]
    Unusable(#[source] reqwest::Error),
    /// The daemon does not answer, or no more.
    #[error("the daemon at {place} does not answer")]
    Lost {
        /// The address.
        place: String,
        /// What was met.
        source: reqwest::Error,
    },
    /// Something else than a daemon answers, or one of another version.
    #[error("what answers at {place} is not understood: {problem}")]
    Unreadable {
        /// The address.
        place: String,
        /// What is not understood.
        problem: String,
    },
    /// The daemon said no.
    #[error("{}", if .0.detail.is_empty() { &.0.title } else { &.0.detail })]
    Problem(Box<Document>),
}

impl ClientError {
    /// The status of the answer, where there is one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Problem(document) => Some(document.status),
            Self::Address { .. }
            | Self::Certificates { .. }
            | Self::Token
            | Self::Exposed { .. }
            | Self::Unusable(_)
            | Self::Lost { .. }
            | Self::Unreadable { .. } => None,
        }
    }

    /// The kind of problem, where the daemon said one that this version knows.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        let Self::Problem(document) = self else {
            return None;
        };
        let word = document.kind.strip_prefix(PREFIX)?;
        Kind::ALL.iter().copied().find(|kind| kind.word() == word)
    }

    /// Whether the answer was lost, so that nobody knows whether there was one.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. }) || self.kind() == Some(Kind::Timeout)
    }
}

impl Classify for ClientError {
    fn class(&self) -> Class {
        match self {
            Self::Address { .. }
            | Self::Certificates { .. }
            | Self::Token
            | Self::Exposed { .. }
            | Self::Unusable(_)
            | Self::Unreadable { .. } => Class::Usage,
            Self::Lost { .. } => Class::Transient,
            Self::Problem(document) => match (self.kind(), document.status) {
                (Some(kind), _) => kind.class(),
                (None, 409 | 422) => Class::Refused,
                (None, 408 | 429 | 500..) => Class::Transient,
                (None, _) => Class::Usage,
            },
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Address { .. } => {
                "write http://HOST:PORT, https://HOST:PORT or unix:PATH".to_owned()
            }
            Self::Certificates { .. } => "name a file with certificates as PEM".to_owned(),
            Self::Token => "put the token alone into CUTOVER_TOKEN or the file".to_owned(),
            Self::Exposed { .. } => {
                "use https:// (http.tls), the socket, or the address on the daemon's own machine"
                    .to_owned()
            }
            Self::Unusable(_) => return None,
            Self::Lost { .. } => {
                "see whether `cutover serve` runs and whether the address is its own".to_owned()
            }
            Self::Unreadable { .. } => {
                "see whether a daemon of this version answers at the address".to_owned()
            }
            Self::Problem(document) if document.hint.is_empty() => return None,
            Self::Problem(document) => document.hint.clone(),
        })
    }
}
