//! Transactions as the front sees them: which kinds of statement may share one.

use std::collections::BTreeSet;

use super::variables::Variables;
use crate::catalog::{Catalog, Id};
use crate::failure::SqlError;
use crate::statement::Ddl;

/// What a transaction has been used for.
#[derive(Debug, Clone)]
pub enum Mode {
    /// Nothing yet.
    Empty,
    /// Queries; the schemas that the first one fixed, once it read user relations.
    Read(Option<BTreeSet<Id>>),
    /// INSERTs.
    Write,
    /// SWAP and RENAME, on a catalog of its own that was taken at a version.
    Ddl(u64, Box<Catalog>),
    /// One other DDL statement, executed at COMMIT.
    Single(Box<Ddl>),
}

/// An open transaction.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// Opened by BEGIN, not by a string of several statements.
    pub explicit: bool,
    /// Nothing but the end is taken any more.
    pub failed: bool,
    /// What it has been used for.
    pub mode: Mode,
    /// PostgreSQL has one open too.
    pub backend: bool,
    /// Variables to go back to.
    pub before: Variables,
}

/// What a statement does, as far as transactions care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Reads.
    Read,
    /// Inserts.
    Write,
    /// Updates or deletes.
    Mutate(&'static str),
    /// SWAP or RENAME.
    Ddl,
    /// Any other change of the catalog.
    Single,
}

fn read_only() -> SqlError {
    SqlError::new("25006", "transaction in read-only mode")
}

fn write_only() -> SqlError {
    SqlError::new("25000", "transaction in write-only mode")
}

fn ddl_only() -> SqlError {
    SqlError::new(
        "25000",
        "transactions which modify objects are restricted to just modifying objects",
    )
}

fn single_only() -> SqlError {
    SqlError::new(
        "25000",
        "this transaction can only execute a single statement",
    )
}

/// The answer to anything but the end of a failed transaction.
pub fn aborted() -> SqlError {
    SqlError::new(
        "25P02",
        "current transaction is aborted, commands ignored until end of transaction block",
    )
}

/// The answer to a statement that must stand alone.
pub fn must_stand_alone(text: &str) -> SqlError {
    SqlError::new(
        "25001",
        format!("{text} cannot be run inside a transaction block"),
    )
}

impl Transaction {
    /// A new transaction.
    pub fn new(explicit: bool, before: Variables) -> Self {
        Self {
            explicit,
            failed: false,
            mode: Mode::Empty,
            backend: false,
            before,
        }
    }

    /// Checks that a statement may join; `text` is for the message.
    pub fn admit(&self, wanted: Use, text: &str) -> Result<(), SqlError> {
        if self.failed {
            return Err(aborted());
        }
        if !self.explicit && wanted == Use::Single {
            return Err(must_stand_alone(text));
        }
        match (&self.mode, wanted) {
            (_, Use::Mutate(_)) if self.explicit => Err(must_stand_alone(text)),
            (Mode::Empty, _) => Ok(()),
            (Mode::Read(_), Use::Read)
            | (Mode::Write, Use::Write | Use::Mutate(_))
            | (Mode::Ddl(..), Use::Ddl) => Ok(()),
            (Mode::Read(_), Use::Write | Use::Mutate(_) | Use::Ddl | Use::Single) => {
                Err(read_only())
            }
            (Mode::Write, Use::Read | Use::Ddl | Use::Single) => Err(write_only()),
            (Mode::Ddl(..), Use::Write | Use::Mutate(_)) => Err(read_only()),
            (Mode::Ddl(..), Use::Read | Use::Single) => Err(ddl_only()),
            (Mode::Single(_), Use::Read | Use::Write | Use::Mutate(_) | Use::Ddl | Use::Single) => {
                Err(single_only())
            }
        }
    }

    /// Checks that a query stays within the schemas of the first one, and fixes them.
    pub fn enter(&mut self, schemas: BTreeSet<Id>) -> Result<(), SqlError> {
        let known = match &mut self.mode {
            Mode::Read(known) => known,
            Mode::Empty | Mode::Write | Mode::Ddl(..) | Mode::Single(_) => return Ok(()),
        };
        if schemas.is_empty() {
            return Ok(());
        }
        match known {
            None => *known = Some(schemas),
            Some(known) if schemas.is_subset(known) => {}
            Some(_) => {
                return Err(SqlError::new(
                    "25000",
                    "Transactions can only reference objects in the same timedomain. See https://materialize.com/docs/sql/begin/#same-timedomain-error",
                ));
            }
        }
        Ok(())
    }
}
