//! What can go wrong with the artifact store, and what to do about it.

use super::document::Pointer;
use super::refusal::Name;
use crate::domain::location::url::Fault;
use crate::foundation::failure::{Class, Classify};
use std::fmt;
use std::io::ErrorKind;

/// What the backend said.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Every failure of the artifact store. `place` is the store or the object concerned.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// Its URL or one of its options.
    #[error(transparent)]
    Place(#[from] Fault),
    /// The folder cannot be made, or the settings do not make a client.
    #[error("the artifact store {place} cannot be opened")]
    CannotOpen {
        /// The store.
        place: String,
        /// Why.
        source: Cause,
    },
    /// The store does not answer, or failed.
    #[error("the artifact store {place} cannot be reached or does not work ({action})")]
    Away {
        /// The store.
        place: String,
        /// What was attempted.
        action: String,
        /// What was met last.
        source: Cause,
    },
    /// The store does not admit us.
    #[error("the artifact store {place} denies access ({action})")]
    Denied {
        /// The store.
        place: String,
        /// What was attempted.
        action: String,
        /// What it said.
        source: Cause,
    },
    /// There is no such bucket or container.
    #[error("the artifact store {place} is not there ({action})")]
    NoBucket {
        /// The store.
        place: String,
        /// What was attempted.
        action: String,
        /// What it said.
        source: Cause,
    },
    /// The store lacks what this rests on.
    #[error(
        "the artifact store {place} cannot create an object only if it is not there ({action})"
    )]
    Unsupported {
        /// The store.
        place: String,
        /// What was attempted.
        action: String,
        /// What it said.
        source: Cause,
    },
    /// Somebody else moved the pointer.
    #[error(
        "the pointer in {place} is not at {} any more, it is at {}; it was not moved",
        Generation(*expected),
        Generation(found.as_ref().map(|pointer| pointer.generation))
    )]
    Conflict {
        /// The folder of the pointer.
        place: String,
        /// The generation that it was to be moved from.
        expected: Option<u64>,
        /// Where it is.
        found: Option<Box<Pointer>>,
    },
    /// Something else is kept under that name.
    #[error("{place} holds something else already; it was not overwritten")]
    Different {
        /// The object.
        place: String,
    },
    /// Another version wrote it.
    #[error("{place} has the version {found}, this Cutover reads version {known}")]
    Newer {
        /// The object.
        place: String,
        /// Its version.
        found: u32,
        /// The version that is read.
        known: u32,
    },
    /// What is kept cannot be a baseline.
    #[error("{name}: {message}")]
    Refused {
        /// The stable name.
        name: Name,
        /// What is wrong, one sentence.
        message: String,
        /// What was met, where it was an error.
        source: Option<Cause>,
    },
}

/// A generation in a sentence.
struct Generation(Option<u64>);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(number) => write!(f, "generation {number}"),
            None => f.write_str("the beginning"),
        }
    }
}

/// What a backend said on one line, without the queries of URLs, which may hold signatures.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Said(String);

impl Said {
    pub(super) fn of(error: &dyn std::error::Error) -> Self {
        let text = crate::foundation::failure::with_causes(error);
        let words = text.split(' ').map(|word| {
            match word.split_once('?').filter(|_| word.contains("://")) {
                Some((address, query)) => {
                    let end = query
                        .trim_start_matches(|c: char| !matches!(c, ')' | '"' | '\'' | ',' | '>'));
                    format!("{address}{end}")
                }
                None => word.to_owned(),
            }
        });
        Self(words.collect::<Vec<_>>().join(" "))
    }
}

impl ArtifactError {
    pub(super) fn refused(name: Name, message: String, source: Option<Cause>) -> Self {
        Self::Refused {
            name,
            message,
            source,
        }
    }

    /// What a backend's error means here.
    pub(super) fn of(place: &str, action: &str, error: object_store::Error) -> Self {
        use object_store::Error;
        let said: Cause = Said::of(&error).into();
        let (place, action) = (place.to_owned(), action.to_owned());
        match &error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Self::Denied {
                place,
                action,
                source: said,
            },
            Error::NotFound { .. } => Self::NoBucket {
                place,
                action,
                source: said,
            },
            Error::NotImplemented { .. } | Error::NotSupported { .. } => Self::Unsupported {
                place,
                action,
                source: said,
            },
            Error::Generic { .. }
            | Error::InvalidPath { .. }
            | Error::JoinError { .. }
            | Error::AlreadyExists { .. }
            | Error::Precondition { .. }
            | Error::NotModified { .. }
            | Error::UnknownConfigurationKey { .. }
            | _ => match io_kind(&error) {
                Some(ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => Self::Denied {
                    place,
                    action,
                    source: said,
                },
                Some(_) | None => Self::Away {
                    place,
                    action,
                    source: said,
                },
            },
        }
    }

    /// The stable name, where it is a refusal.
    #[must_use]
    pub fn name(&self) -> Option<Name> {
        match self {
            Self::Refused { name, .. } => Some(*name),
            Self::Place(_)
            | Self::CannotOpen { .. }
            | Self::Away { .. }
            | Self::Denied { .. }
            | Self::NoBucket { .. }
            | Self::Unsupported { .. }
            | Self::Conflict { .. }
            | Self::Different { .. }
            | Self::Newer { .. } => None,
        }
    }
}

/// What the operating system said, where an error comes from it.
fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<ErrorKind> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        at = error.source();
    }
    None
}

impl Classify for ArtifactError {
    fn class(&self) -> Class {
        match self {
            Self::Place(_)
            | Self::CannotOpen { .. }
            | Self::Denied { .. }
            | Self::NoBucket { .. }
            | Self::Unsupported { .. }
            | Self::Newer { .. } => Class::Usage,
            Self::Away { .. } => Class::Transient,
            Self::Conflict { .. } | Self::Refused { .. } => Class::Refused,
            Self::Different { .. } => Class::Stuck,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Place(fault) => fault.remedy(),
            Self::CannotOpen { .. } => {
                "make the folder writable for this user, correct artifacts.options and the variables AWS_*, GOOGLE_* or AZURE_*, or set artifacts.url to another place"
            }
            Self::Away { .. } => {
                "check the network, artifacts.url, the endpoint in artifacts.options and, for files, the disk; then run the command again"
            }
            Self::Denied { .. } => {
                "give this user the right to list, read, create and delete objects there; credentials come from AWS_*, GOOGLE_* or AZURE_* in the environment"
            }
            Self::NoBucket { .. } => "create the bucket or container, or correct artifacts.url",
            Self::Unsupported { .. } => {
                "use a store that knows `If-None-Match: *` on writes, as S3, Google Cloud Storage, Azure and local files do"
            }
            Self::Conflict { .. } => {
                "look at `cutover baseline show`: another process moved the pointer meanwhile"
            }
            Self::Different { .. } => {
                "keep a copy of what is there and look who wrote it; nothing of it is removed by itself"
            }
            Self::Newer { .. } => "run the version of Cutover that wrote it, or a newer one",
            Self::Refused { name, .. } => name.remedy(),
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::Said;

    #[test]
    fn signatures_in_addresses_are_not_repeated() {
        let error = std::io::Error::other(
            "GET https://a.blob/x?sv=1&sig=s3cr3t failed (https://h/y?sig=s3cr3t) why?",
        );
        assert_eq!(
            Said::of(&error).to_string(),
            "GET https://a.blob/x failed (https://h/y) why?"
        );
    }
}
