//! What a server holds, as data: schemas, clusters, objects and who may do what.
//!
//! Ids are unique within a kind only: schema `u5` and object `u5` are different things.

use crate::domain::catalog::corner::CornerMark;
use crate::domain::catalog::grants::{DefaultPrivilege, Grant};
use crate::domain::catalog::index_key::IndexKey;
use crate::domain::catalog::tag::Tag;
use crate::foundation::sql::identifier::Qualified;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Comments that mark what belongs to a pull request's corner.
pub mod corner;
/// Grants and default privileges as data.
pub mod grants;
pub mod index_key;
/// Comments that mark what belongs to a deployment.
pub mod tag;

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
    /// The names of those of its columns that are never null.
    pub not_null: BTreeSet<String>,
    /// Comments on its columns, by column name, sorted.
    pub column_comments: Vec<(String, String)>,
}

/// A column as the server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, without length or precision.
    pub data_type: String,
    /// Whether it may be null.
    pub nullable: bool,
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

impl Catalog {
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

/// How a cluster is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ClusterDefinition {
    /// The option list of `SHOW CREATE CLUSTER`, as the server wrote it, without the parentheses.
    Managed {
        /// For example `MANAGED = true, REPLICATION FACTOR = 1, SIZE = '25cc'`.
        options: String,
    },
    /// Replica by replica.
    Unmanaged {
        /// The replicas, sorted by name.
        replicas: Vec<ReplicaDefinition>,
    },
}

/// One replica of an unmanaged cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplicaDefinition {
    /// Its name.
    pub name: String,
    /// Its size.
    pub size: String,
    /// Its availability zone, where one was given.
    pub availability_zone: Option<String>,
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectKind {
    /// A table.
    Table,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// An index.
    Index,
    /// A source, subsource or progress relation.
    Source,
    /// A sink.
    Sink,
    /// A connection.
    Connection,
    /// A secret.
    Secret,
    /// A user-defined type.
    Type,
    /// A user-defined function.
    Function,
}

/// Pending replacements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replacements {
    pub(crate) targets: BTreeMap<String, String>,
}

impl FromIterator<(String, String)> for Replacements {
    /// Of pairs of a replacement's id and its target's.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self {
            targets: pairs.into_iter().collect(),
        }
    }
}

impl Replacements {
    /// The id of the view that this object is a replacement for.
    #[must_use]
    pub fn target_of(&self, object_id: &str) -> Option<&str> {
        self.targets.get(object_id).map(String::as_str)
    }

    /// The id of the replacement that this view has.
    #[must_use]
    pub fn pending_for(&self, target_id: &str) -> Option<&str> {
        self.targets
            .iter()
            .find(|(_, target)| *target == target_id)
            .map(|(replacement, _)| replacement.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Replacements;
    use std::collections::BTreeMap;

    #[test]
    fn replacements_are_found_from_both_ends() {
        let known = Replacements {
            targets: BTreeMap::from([("u2".to_owned(), "u1".to_owned())]),
        };
        assert_eq!(known.target_of("u2"), Some("u1"));
        assert_eq!(known.pending_for("u1"), Some("u2"));
        assert_eq!(
            (known.target_of("u1"), known.pending_for("u2")),
            (None, None)
        );
    }
}
