//! What the server holds: schemas, clusters, objects and who may do what.
//!
//! One consistent reading (one transaction, every query on the catalog's own cluster). Ids are
//! unique within a kind only: schema `u5` and object `u5` are different things.

mod about;
mod assembly;
mod definition;
pub(super) mod look;
mod queries;

use super::error::MaterializeError;
use crate::domain::catalog::{Catalog, ObjectKind};

use super::server::Materialize;
use super::session::Session;
use crate::domain::catalog::tag::Tag;
use std::collections::BTreeMap;
use tokio_postgres::Row;

pub use about::About;
use look::Seen;

/// The server's id of itself, as [`Catalog::server`]. A peek; asked once when a server is opened.
///
/// # Errors
/// See [`MaterializeError`].
pub async fn server_id(session: &Session) -> Result<String, MaterializeError> {
    const LABEL: &str = "server id";
    let rows = session.ask(&[queries::server()]).await?;
    let row = rows
        .first()
        .ok_or_else(|| look::unexpected(LABEL, "no row"))?;
    text(row, LABEL, 0)
}

/// Columns of objects, by their ids: name → type. A peek for each three hundred; a release asks once, when it is built.
///
/// # Errors
/// See [`MaterializeError`].
pub async fn columns_of(
    materialize: &Materialize,
    ids: &[&str],
) -> Result<BTreeMap<String, BTreeMap<String, String>>, MaterializeError> {
    const LABEL: &str = "columns";
    let session = materialize.session_patiently().await?;
    let mut columns: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for row in &session.ask(&queries::columns(Some(ids))).await? {
        let object = columns.entry(text(row, LABEL, 0)?).or_default();
        object.insert(text(row, LABEL, 1)?, text(row, LABEL, 3)?);
    }
    Ok(columns)
}

/// The marks on schemas of the session's database. Two peeks; a release asks once, while staging.
///
/// # Errors
/// See [`MaterializeError`].
pub async fn marks(materialize: &Materialize) -> Result<Vec<Tag>, MaterializeError> {
    let session = materialize.session_patiently().await?;
    let about = About {
        names_only: true,
        marks: true,
        ..About::default()
    };
    Ok(Seen::some(&session, "marks", &about, false).await?.marks)
}

impl Catalog {
    /// Reads the whole catalog over the present connection. Sixteen peeks and four small dataflows; a
    /// release does it once, while planning.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn read(materialize: &Materialize) -> Result<Self, MaterializeError> {
        let session = materialize.session_patiently().await?;
        let seen = Seen::whole(&session).await?;
        Self::of(session.version(), seen)
    }

    /// Looks at a part of it: what `about` names, with the names of what that is in, runs on, or is read
    /// by. About a dozen peeks. What is not asked is empty: keys of indexes, default privileges, which
    /// roles are the session's, and whatever is there and not named.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub async fn look(materialize: &Materialize, about: &About) -> Result<Self, MaterializeError> {
        let session = materialize.session_patiently().await?;
        let seen = Seen::some(&session, "look", about, true).await?;
        Self::of(session.version(), seen)
    }
}

fn object_kind(word: &str) -> Result<ObjectKind, MaterializeError> {
    Ok(match word {
        "table" => ObjectKind::Table,
        "view" => ObjectKind::View,
        "materialized-view" => ObjectKind::MaterializedView,
        "index" => ObjectKind::Index,
        "source" => ObjectKind::Source,
        "sink" => ObjectKind::Sink,
        "connection" => ObjectKind::Connection,
        "secret" => ObjectKind::Secret,
        "type" => ObjectKind::Type,
        "function" => ObjectKind::Function,
        other => {
            return Err(MaterializeError::Unexpected {
                label: "objects",
                what: format!("an object of the unknown type {other:?}"),
            });
        }
    })
}

/// A column that must have a value.
pub(super) fn text(
    row: &Row,
    label: &'static str,
    index: usize,
) -> Result<String, MaterializeError> {
    optional(row, label, index)?.ok_or_else(|| MaterializeError::Unexpected {
        label,
        what: format!("NULL in column {index}"),
    })
}

/// A column that may be NULL.
pub(super) fn optional(
    row: &Row,
    label: &'static str,
    index: usize,
) -> Result<Option<String>, MaterializeError> {
    row.try_get(index)
        .map_err(|error| MaterializeError::Unexpected {
            label,
            what: error.to_string(),
        })
}

/// Every question to the catalog, for tests of what they cost.
#[cfg(test)]
pub(super) fn every_question() -> Vec<super::question::Question> {
    let mut all = queries::every_question();
    all.extend(super::replacement::every_question());
    all.extend(super::replica_sizes::questions(&["25cc"]));
    all.extend(super::temporary::every_question());
    all.extend(super::live::every_question());
    all.extend(super::readers::every_question());
    all
}

#[cfg(test)]
mod tests;
