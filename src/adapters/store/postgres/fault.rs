//! What can go wrong on a connection, and which of it passes when the work is repeated.

use crate::adapters::store::error::{Cause, StoreError};
use crate::adapters::store::tables::Fault;
use crate::domain::location::postgres::Address;
use tokio_postgres::error::SqlState;

/// What an answer of the server means.
enum Kind {
    /// The connection is lost, or there is none to be had at present.
    Away,
    /// Others were in the way.
    Busy,
    Denied,
    Full,
    ReadOnly,
    Corrupt,
    Other,
}

impl Kind {
    fn of(error: &tokio_postgres::Error) -> Self {
        let Some(code) = error.code() else {
            return if is_lost(error) {
                Kind::Away
            } else {
                Kind::Other
            };
        };
        let is = |codes: &[SqlState]| codes.contains(code);
        if code.code().starts_with("08")
            || is(&[
                SqlState::ADMIN_SHUTDOWN,
                SqlState::CRASH_SHUTDOWN,
                SqlState::CANNOT_CONNECT_NOW,
                SqlState::TOO_MANY_CONNECTIONS,
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            ])
            || ["57P05", "25P04"].contains(&code.code())
        {
            Kind::Away
        } else if is(&[
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::QUERY_CANCELED,
        ]) {
            Kind::Busy
        } else if code.code().starts_with("28")
            || is(&[
                SqlState::INVALID_CATALOG_NAME,
                SqlState::INSUFFICIENT_PRIVILEGE,
                SqlState::DATABASE_DROPPED,
            ])
        {
            Kind::Denied
        } else if is(&[SqlState::DISK_FULL]) {
            Kind::Full
        } else if is(&[SqlState::READ_ONLY_SQL_TRANSACTION]) {
            Kind::ReadOnly
        } else if is(&[SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED]) {
            Kind::Corrupt
        } else {
            Kind::Other
        }
    }
}

/// Whether the network is to blame; values that do not fit are not its fault.
fn is_lost(error: &tokio_postgres::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    error.is_closed()
        || cause.is_some_and(|cause: &std::io::Error| {
            // How a certificate that is refused arrives.
            cause.kind() != std::io::ErrorKind::InvalidData
        })
}

impl Fault {
    /// What came instead of a connection: what neither the server nor the network said is about
    /// passwords and certificates.
    pub(super) fn of_login(error: tokio_postgres::Error, address: &Address) -> Self {
        if error.code().is_some() || is_lost(&error) {
            return Fault::Postgres(error);
        }
        Fault::Store(StoreError::Denied {
            place: address.place(),
            source: error.into(),
        })
    }

    /// Whether the same work may succeed on another connection or a moment later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Fault::Late => true,
            Fault::Postgres(error) => match Kind::of(error) {
                Kind::Away | Kind::Busy => true,
                Kind::Denied | Kind::Full | Kind::ReadOnly | Kind::Corrupt | Kind::Other => false,
            },
            Fault::Sqlite(_) | Fault::Strange(_) | Fault::Store(_) => false,
        }
    }

    /// The error of the store.
    pub(super) fn told_apart(self, address: &Address) -> StoreError {
        let place = address.place();
        match self {
            Fault::Store(error) => error,
            Fault::Strange(found) => StoreError::Corrupt { place, found },
            Fault::Late => StoreError::Away {
                place,
                source: "there was no answer in time".into(),
            },
            Fault::Sqlite(error) => StoreError::Unexpected {
                place,
                source: error.into(),
            },
            Fault::Postgres(error) => {
                let kind = Kind::of(&error);
                told(kind, place, error.to_string(), error.into())
            }
        }
    }

    /// What was met under something that the migrations' runner says.
    pub(super) fn of_migration(error: &refinery::Error, address: &Address) -> StoreError {
        let mut cause = std::error::Error::source(error);
        while let Some(at) = cause {
            if let Some(met) = at.downcast_ref::<tokio_postgres::Error>() {
                // The server's own words are in the database's error.
                let words = met
                    .as_db_error()
                    .map_or_else(|| met.to_string(), ToString::to_string);
                return told(Kind::of(met), address.place(), words.clone(), words.into());
            }
            cause = at.source();
        }
        StoreError::Unexpected {
            place: address.place(),
            source: error.to_string().into(),
        }
    }
}

fn told(kind: Kind, place: String, found: String, source: Cause) -> StoreError {
    match kind {
        Kind::Away => StoreError::Away { place, source },
        Kind::Busy => StoreError::Busy { place },
        Kind::Denied => StoreError::Denied { place, source },
        Kind::Full => StoreError::Full { place },
        Kind::ReadOnly => StoreError::ReadOnly { place },
        Kind::Corrupt => StoreError::Corrupt { place, found },
        Kind::Other => StoreError::Unexpected { place, source },
    }
}
