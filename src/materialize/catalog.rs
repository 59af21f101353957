//! What the server holds: schemas, clusters, objects and who may do what.
//!
//! One consistent reading (one transaction, every query on the catalog's own cluster). Ids are
//! unique within a kind only: schema `u5` and object `u5` are different things.

mod about;
mod assembly;
mod definition;
mod index_key;
pub(super) mod look;
mod queries;

use super::corner::CornerMark;
use super::error::MaterializeError;
use super::grants::{DefaultPrivilege, Grant};
use super::identifier::Qualified;
use super::replacement::Replacements;
use super::server::Materialize;
use super::session::Session;
use super::tag::Tag;
use crate::plan::ObjectKind;
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Row;

pub use about::About;
pub use index_key::IndexKey;
use look::Seen;

/// One reading of the catalog, restricted to what users made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catalog {
    /// The server's version as announced.
    pub version: String,
    /// The server's id of itself, which stays when it is restarted, moved or updated.
    pub server: String,
    /// The role of the session.
    pub role: String,
    /// Whether the role may create schemas in the database.
    pub may_create_schemas: bool,
    /// Whether the role may create clusters.
    pub may_create_clusters: bool,
    /// The session's database.
    pub database: String,
    /// Roles whose things the session's role may treat as its own.
    pub owned_roles: BTreeSet<String>,
    /// Schemas of every database, by id.
    pub schemas: BTreeMap<String, Schema>,
    /// Clusters, by id.
    pub clusters: BTreeMap<String, Cluster>,
    /// Objects of every database, by id.
    pub objects: BTreeMap<String, Object>,
    /// What indexes are on, by their ids, as far as their definitions say.
    pub index_keys: BTreeMap<String, IndexKey>,
    /// `(dependent, depended upon)`, object ids.
    pub dependencies: BTreeSet<(String, String)>,
    /// Default privileges of the session's database and of the whole server, sorted.
    pub default_privileges: Vec<DefaultPrivilege>,
    /// Pending replacements of materialized views; `None` from a server that does not know them.
    pub replacements: Option<Replacements>,
}

/// A schema.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its database's name.
    pub database: String,
    /// Its owner's name.
    pub owner: String,
    /// Grants on it.
    pub grants: Vec<Grant>,
    /// Default privileges in it.
    pub default_privileges: Vec<DefaultPrivilege>,
    /// The whole comment on it.
    pub comment: Option<String>,
}

/// A cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its owner's name.
    pub owner: String,
    /// Whether the server manages its replicas.
    pub managed: bool,
    /// Its replicas, sorted by name; the size is missing for replicas that were not sized by name.
    pub replicas: Vec<(String, Option<String>, Option<String>)>,
    /// Grants on it.
    pub grants: Vec<Grant>,
    /// The whole comment on it.
    pub comment: Option<String>,
}

/// An object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ObjectKind,
    /// Its schema's id.
    pub schema_id: String,
    /// Its owner's name.
    pub owner: String,
    /// The cluster that computes it, where one does.
    pub cluster_id: Option<String>,
    /// Whether a table is fed by a source.
    pub fed_by_source: bool,
    /// Whether it goes with another object: a subsource or a progress relation.
    pub is_part: bool,
    /// Grants on it.
    pub grants: Vec<Grant>,
    /// The comment on it.
    pub comment: Option<String>,
    /// Its columns: name → type as the server shows it, without length or precision.
    pub columns: BTreeMap<String, String>,
    /// The names of its columns, in order.
    pub column_order: Vec<String>,
    /// Comments on its columns, by column name, sorted.
    pub column_comments: Vec<(String, String)>,
}

impl Schema {
    /// The comment's two parts: what users wrote, and our tag.
    #[must_use]
    pub fn comment_parts(&self) -> (Option<&str>, Option<Tag>) {
        self.comment.as_deref().map_or((None, None), Tag::parse)
    }

    /// Whether it is of a pull request's corner: by its mark, as long as it stands where that says.
    #[must_use]
    pub fn is_of_corner(&self) -> bool {
        CornerMark::on(&self.name, self.comment.as_deref()).is_some()
    }
}

impl Cluster {
    /// The comment's two parts: what users wrote, and our tag.
    #[must_use]
    pub fn comment_parts(&self) -> (Option<&str>, Option<Tag>) {
        self.comment.as_deref().map_or((None, None), Tag::parse)
    }
}

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

    /// The schema of this name in the session's database.
    #[must_use]
    pub fn schema(&self, name: &str) -> Option<&Schema> {
        self.schemas
            .values()
            .find(|schema| schema.database == self.database && schema.name == name)
    }

    /// The cluster of this name.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters.values().find(|cluster| cluster.name == name)
    }

    /// Whether the session's role may treat what `owner` owns as its own.
    #[must_use]
    pub fn owns(&self, owner: &str) -> bool {
        self.owned_roles.contains(owner)
    }

    /// The objects of a schema, sorted by name.
    #[must_use]
    pub fn objects_in_schema(&self, schema_id: &str) -> Vec<&Object> {
        let mut objects: Vec<&Object> = self
            .objects
            .values()
            .filter(|object| object.schema_id == schema_id)
            .collect();
        objects.sort_by(|a, b| a.name.cmp(&b.name));
        objects
    }

    /// The objects that a cluster computes, sorted by qualified name.
    #[must_use]
    pub fn objects_on_cluster(&self, cluster_id: &str) -> Vec<&Object> {
        let mut objects: Vec<&Object> = self
            .objects
            .values()
            .filter(|object| object.cluster_id.as_deref() == Some(cluster_id))
            .collect();
        objects.sort_by_cached_key(|object| self.name_of(object));
        objects
    }

    /// The objects that depend on this one directly, sorted by qualified name.
    #[must_use]
    pub fn dependents(&self, object_id: &str) -> Vec<&Object> {
        let mut objects: Vec<&Object> = self
            .dependencies
            .iter()
            .filter(|(_, on)| on == object_id)
            .filter_map(|(dependent, _)| self.objects.get(dependent))
            .collect();
        objects.sort_by_cached_key(|object| self.name_of(object));
        objects
    }

    /// The name of an object as a statement takes it, given what it is called now; `None` where its schema is not here.
    #[must_use]
    pub fn qualified<'a>(&'a self, object: &Object, name: &'a str) -> Option<Qualified<'a>> {
        let schema = self.schemas.get(&object.schema_id)?;
        Some(Qualified::object(&schema.database, &schema.name, name))
    }

    /// `schema.name`, with the database in front when it is another one than the session's.
    #[must_use]
    pub fn name_of(&self, object: &Object) -> String {
        match self.schemas.get(&object.schema_id) {
            Some(schema) if schema.database == self.database => {
                format!("{}.{}", schema.name, object.name)
            }
            Some(schema) => format!("{}.{}.{}", schema.database, schema.name, object.name),
            None => object.name.clone(),
        }
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
    all
}

#[cfg(test)]
mod tests;
