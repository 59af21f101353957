//! What can go wrong between this process and the server, and of which class it is.
//!
//! Most of Materialize's errors carry SQLSTATE XX000, so nothing here looks at message texts: the
//! catalog is asked before a statement is sent, and what the server then refuses is final.

use crate::foundation::failure::{Class, Classify};
use crate::foundation::tls::TlsError;
use tokio_postgres::error::{ErrorPosition, SqlState};

/// An error of a connection or a statement.
#[derive(Debug, thiserror::Error)]
pub enum MaterializeError {
    /// The server does not answer at all.
    #[error("cannot connect to Materialize at {address}")]
    Unreachable {
        /// `host:port`.
        address: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server answers but does not let this role in.
    #[error("Materialize at {address} refuses the role {role:?}: {message}")]
    Authentication {
        /// `host:port`.
        address: String,
        /// The role.
        role: String,
        /// What the server said.
        message: String,
    },
    /// The connection ended while a statement was under way; its outcome is unknown.
    #[error("the connection to Materialize was lost during {label}")]
    Lost {
        /// The statement's name.
        label: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// SQLSTATE 40001: somebody changed the catalog meanwhile.
    #[error("another session changed the catalog during {label}")]
    Conflict {
        /// The statement's name.
        label: &'static str,
    },
    /// A statement took longer than its deadline; it was cancelled.
    #[error("{label} took longer than {seconds} s and was cancelled")]
    Deadline {
        /// The statement's name.
        label: &'static str,
        /// The deadline in seconds.
        seconds: u64,
    },
    /// The server refused a statement.
    #[error("Materialize refused {label}: {message} (SQLSTATE {code}){detail}")]
    Refused {
        /// The statement's name.
        label: &'static str,
        /// The SQLSTATE.
        code: String,
        /// What the server said.
        message: String,
        /// Detail and hint, each on a line of its own, or empty.
        detail: String,
        /// Where in the statement as it was sent, in characters from 1, where the server said so.
        position: Option<u32>,
    },
    /// What was to be sent as one statement is several, and was not sent.
    #[error("{label} holds several statements, and none of them was sent")]
    Several {
        /// The statement's name.
        label: &'static str,
    },
    /// An answer that this program does not understand.
    #[error("Materialize answered {label} with something unexpected: {what}")]
    Unexpected {
        /// The statement's name.
        label: &'static str,
        /// What was wrong with it.
        what: String,
    },
    /// The server is older than the oldest supported one.
    #[error("Materialize {found} is older than {oldest}, the oldest version that Cutover supports")]
    TooOld {
        /// What the server announced.
        found: String,
        /// The oldest supported version.
        oldest: &'static str,
    },
    /// TLS cannot be set up as the profile asks.
    #[error("cannot set up TLS for the connection: {0}")]
    Tls(String),
}

impl MaterializeError {
    /// Sorts an error of the client library.
    pub(crate) fn from_client(
        label: &'static str,
        seconds: u64,
        error: tokio_postgres::Error,
    ) -> Self {
        let Some(db) = error.as_db_error() else {
            return Self::Lost {
                label,
                source: Box::new(error),
            };
        };
        let code = db.code();
        if *code == SqlState::T_R_SERIALIZATION_FAILURE {
            Self::Conflict { label }
        } else if *code == SqlState::QUERY_CANCELED {
            Self::Deadline { label, seconds }
        } else if code.code().starts_with("57P") || code.code().starts_with("08") {
            Self::Lost {
                label,
                source: Box::new(error),
            }
        } else {
            let mut detail = String::new();
            for (what, text) in [("detail", db.detail()), ("hint", db.hint())] {
                if let Some(text) = text {
                    detail.push_str(&format!("\n  {what}: {text}"));
                }
            }
            Self::Refused {
                label,
                code: code.code().to_owned(),
                message: db.message().to_owned(),
                detail,
                position: match db.position() {
                    Some(ErrorPosition::Original(at)) => Some(*at),
                    Some(ErrorPosition::Internal { .. }) | None => None,
                },
            }
        }
    }

    /// Whether the server refused to answer for a reason of its own, such as its resources or a limit: not
    /// because of what the statement found, names or means.
    #[must_use]
    pub fn is_no_answer(&self) -> bool {
        if let Self::Refused { code, .. } = self {
            // Data exceptions; names, privileges and syntax.
            !code.starts_with("22") && !code.starts_with("42")
        } else {
            matches!(self, Self::Unexpected { .. })
        }
    }

    /// Whether the statement may or may not have happened.
    #[must_use]
    pub fn leaves_outcome_unknown(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::Deadline { .. } => true,
            Self::Unreachable { .. }
            | Self::Authentication { .. }
            | Self::Conflict { .. }
            | Self::Refused { .. }
            | Self::Several { .. }
            | Self::Unexpected { .. }
            | Self::TooOld { .. }
            | Self::Tls(_) => false,
        }
    }
}

impl Classify for MaterializeError {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } | Self::Lost { .. } | Self::Deadline { .. } => {
                Class::Transient
            }
            Self::Authentication { .. } | Self::Tls(_) | Self::TooOld { .. } => Class::Usage,
            Self::Conflict { .. } => Class::Conflict,
            Self::Refused { .. } | Self::Several { .. } | Self::Unexpected { .. } => {
                Class::Permanent
            }
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => Some(
                "check host, port and sslmode in profiles.yml and that the server is up".to_owned(),
            ),
            Self::Authentication { .. } => {
                Some("check user and password in profiles.yml".to_owned())
            }
            Self::TooOld { .. } => Some("upgrade Materialize".to_owned()),
            Self::Tls(_) => {
                Some("check sslmode, sslrootcert, sslcert and sslkey in profiles.yml".to_owned())
            }
            Self::Lost { .. }
            | Self::Conflict { .. }
            | Self::Deadline { .. }
            | Self::Refused { .. }
            | Self::Unexpected { .. } => None,
            Self::Several { .. } => Some(
                "a semicolon ends a statement: take it out of the SQL of the model, test, option or hook"
                    .to_owned(),
            ),
        }
    }
}

impl From<TlsError> for MaterializeError {
    fn from(TlsError(why): TlsError) -> Self {
        Self::Tls(why)
    }
}
