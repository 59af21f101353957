//! What the server holds: schemas, clusters, objects and who may do what.
//!
//! One consistent reading (one transaction, every query on the catalog's own cluster). Ids are
//! unique within a kind only: schema `u5` and object `u5` are different things.

mod definition;
mod index_key;
pub(super) mod queries;

use super::error::MaterializeError;
use super::grants::{DefaultPrivilege, Grant};
use super::replacement::Replacements;
use super::session::{Materialize, Session, Statement};
use super::tag::Tag;
use crate::plan::ObjectKind;
use queries::{
    CLUSTERS, COLUMNS, COMMENTS, DEFAULT_PRIVILEGES, DEPENDENCIES, FACTS, GRANTS, INDEXES, OBJECTS,
    REPLICAS, ROLES, SCHEMAS, SERVER,
};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Row;

pub use index_key::IndexKey;

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
    /// Comments on its columns, by column name, sorted.
    pub column_comments: Vec<(String, String)>,
}

impl Schema {
    /// The comment's two parts: what users wrote, and our tag.
    #[must_use]
    pub fn comment_parts(&self) -> (Option<&str>, Option<Tag>) {
        self.comment.as_deref().map_or((None, None), Tag::parse)
    }
}

impl Cluster {
    /// The comment's two parts: what users wrote, and our tag.
    #[must_use]
    pub fn comment_parts(&self) -> (Option<&str>, Option<Tag>) {
        self.comment.as_deref().map_or((None, None), Tag::parse)
    }
}

/// The server's id of itself, as [`Catalog::server`].
///
/// # Errors
/// See [`MaterializeError`].
pub async fn server_id(session: &Session) -> Result<String, MaterializeError> {
    let rows = session.query("server id", SERVER, &[]).await?;
    let row = rows.first().ok_or(MaterializeError::Unexpected {
        label: "server id",
        what: "no row".to_owned(),
    })?;
    text(row, "server id", 0)
}

impl Catalog {
    /// Reads the catalog over the present connection.
    ///
    /// # Errors
    /// See [`MaterializeError`]; the connection is given up after any.
    pub async fn read(materialize: &Materialize) -> Result<Self, MaterializeError> {
        let session = materialize.session_patiently().await?;
        let catalog = Self::read_over(&session).await;
        if catalog.is_err() {
            // The transaction may still be open; a new connection is cheaper than finding out.
            materialize.forget().await;
        }
        catalog
    }

    async fn read_over(session: &Session) -> Result<Self, MaterializeError> {
        session
            .execute(&Statement::new("begin reading the catalog", "BEGIN"))
            .await?;
        let (
            facts,
            roles,
            schemas,
            clusters,
            replicas,
            objects,
            columns,
            dependencies,
            indexes,
            comments,
            grants,
            defaults,
            knows_replacements,
        ) = tokio::try_join!(
            session.query("session facts", FACTS, &[]),
            session.query("roles", ROLES, &[]),
            session.query("schemas", SCHEMAS, &[]),
            session.query("clusters", CLUSTERS, &[]),
            session.query("replicas", REPLICAS, &[]),
            session.query("objects", OBJECTS, &[]),
            session.query("columns", COLUMNS, &[]),
            session.query("dependencies", DEPENDENCIES, &[]),
            session.query("indexes", INDEXES, &[]),
            session.query("comments", COMMENTS, &[]),
            session.query("grants", GRANTS, &[]),
            session.query("default privileges", DEFAULT_PRIVILEGES, &[]),
            Replacements::known(session),
        )?;
        let replacements = if knows_replacements {
            Some(Replacements::pending(session).await?)
        } else {
            None
        };
        session
            .execute(&Statement::new("end reading the catalog", "COMMIT"))
            .await?;
        let mut catalog = Self {
            version: session.version().to_owned(),
            replacements,
            ..Self::default()
        };
        catalog.take_facts(&facts)?;
        for row in &roles {
            if text(row, "roles", 1)? == "true" {
                catalog.owned_roles.insert(text(row, "roles", 0)?);
            }
        }
        catalog.take_schemas(&schemas)?;
        catalog.take_clusters(&clusters, &replicas)?;
        catalog.take_objects(&objects)?;
        for row in &columns {
            if let Some(object) = catalog.objects.get_mut(&text(row, "columns", 0)?) {
                object
                    .columns
                    .insert(text(row, "columns", 1)?, text(row, "columns", 2)?);
            }
        }
        for row in &dependencies {
            catalog
                .dependencies
                .insert((text(row, "dependencies", 0)?, text(row, "dependencies", 1)?));
        }
        for row in &indexes {
            let definition = optional(row, "indexes", 1)?;
            if let Some(key) = definition.as_deref().and_then(IndexKey::of_sql) {
                catalog.index_keys.insert(text(row, "indexes", 0)?, key);
            }
        }
        catalog.take_comments(&comments)?;
        catalog.take_grants(&grants)?;
        catalog.take_default_privileges(&defaults)?;
        Ok(catalog)
    }

    fn take_facts(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
        let row = rows.first().ok_or(MaterializeError::Unexpected {
            label: "session facts",
            what: "no row".to_owned(),
        })?;
        self.database = text(row, "session facts", 0)?;
        self.role = text(row, "session facts", 1)?;
        self.may_create_schemas = text(row, "session facts", 2)? == "true";
        self.may_create_clusters = text(row, "session facts", 3)? == "true";
        self.server = text(row, "session facts", 4)?;
        Ok(())
    }

    fn take_schemas(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
        for row in rows {
            let id = text(row, "schemas", 0)?;
            self.schemas.insert(
                id.clone(),
                Schema {
                    id,
                    name: text(row, "schemas", 1)?,
                    database: text(row, "schemas", 2)?,
                    owner: text(row, "schemas", 3)?,
                    grants: Vec::new(),
                    default_privileges: Vec::new(),
                    comment: None,
                },
            );
        }
        Ok(())
    }

    fn take_clusters(&mut self, rows: &[Row], replicas: &[Row]) -> Result<(), MaterializeError> {
        for row in rows {
            let id = text(row, "clusters", 0)?;
            self.clusters.insert(
                id.clone(),
                Cluster {
                    id,
                    name: text(row, "clusters", 1)?,
                    owner: text(row, "clusters", 2)?,
                    managed: text(row, "clusters", 3)? == "true",
                    replicas: Vec::new(),
                    grants: Vec::new(),
                    comment: None,
                },
            );
        }
        for row in replicas {
            let replica = (
                text(row, "replicas", 1)?,
                optional(row, "replicas", 2)?,
                optional(row, "replicas", 3)?,
            );
            if let Some(cluster) = self.clusters.get_mut(&text(row, "replicas", 0)?) {
                cluster.replicas.push(replica);
            }
        }
        for cluster in self.clusters.values_mut() {
            cluster.replicas.sort();
        }
        Ok(())
    }

    fn take_objects(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
        for row in rows {
            let id = text(row, "objects", 0)?;
            let source_type = optional(row, "objects", 7)?;
            self.objects.insert(
                id.clone(),
                Object {
                    id,
                    name: text(row, "objects", 1)?,
                    kind: object_kind(&text(row, "objects", 2)?)?,
                    schema_id: text(row, "objects", 3)?,
                    owner: text(row, "objects", 4)?,
                    cluster_id: optional(row, "objects", 5)?,
                    fed_by_source: optional(row, "objects", 6)?.is_some(),
                    is_part: matches!(source_type.as_deref(), Some("subsource" | "progress")),
                    grants: Vec::new(),
                    comment: None,
                    columns: BTreeMap::new(),
                    column_comments: Vec::new(),
                },
            );
        }
        Ok(())
    }

    fn take_comments(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
        for row in rows {
            let id = text(row, "comments", 0)?;
            let column = optional(row, "comments", 2)?;
            let comment = text(row, "comments", 3)?;
            match text(row, "comments", 1)?.as_str() {
                "schema" => {
                    if let Some(schema) = self.schemas.get_mut(&id) {
                        schema.comment = Some(comment);
                    }
                }
                "cluster" => {
                    if let Some(cluster) = self.clusters.get_mut(&id) {
                        cluster.comment = Some(comment);
                    }
                }
                // Their ids share the alphabet of object ids but mean other things.
                "role" | "database" | "cluster-replica" | "network-policy" => {}
                _ => {
                    if let Some(object) = self.objects.get_mut(&id) {
                        match column {
                            Some(column) => object.column_comments.push((column, comment)),
                            None => object.comment = Some(comment),
                        }
                    }
                }
            }
        }
        for object in self.objects.values_mut() {
            object.column_comments.sort();
        }
        Ok(())
    }

    fn take_grants(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
        for row in rows {
            let id = text(row, "grants", 1)?;
            let grant = Grant {
                grantee: optional(row, "grants", 2)?,
                privilege: text(row, "grants", 3)?,
            };
            // What the owner and the server's own roles hold comes with every new thing.
            let is_implied = |owner: &str| {
                grant.grantee.as_deref().is_some_and(|grantee| {
                    grantee == owner || grantee == "mz_system" || grantee == "mz_support"
                })
            };
            let (owner, grants) = match text(row, "grants", 0)?.as_str() {
                "schema" => match self.schemas.get_mut(&id) {
                    Some(schema) => (&schema.owner, &mut schema.grants),
                    None => continue,
                },
                "cluster" => match self.clusters.get_mut(&id) {
                    Some(cluster) => (&cluster.owner, &mut cluster.grants),
                    None => continue,
                },
                "object" => match self.objects.get_mut(&id) {
                    Some(object) => (&object.owner, &mut object.grants),
                    None => continue,
                },
                other => {
                    return Err(MaterializeError::Unexpected {
                        label: "grants",
                        what: format!("kind {other:?}"),
                    });
                }
            };
            if !is_implied(owner) {
                grants.push(grant);
            }
        }
        for grants in self
            .schemas
            .values_mut()
            .map(|schema| &mut schema.grants)
            .chain(
                self.clusters
                    .values_mut()
                    .map(|cluster| &mut cluster.grants),
            )
            .chain(self.objects.values_mut().map(|object| &mut object.grants))
        {
            grants.sort();
            grants.dedup();
        }
        Ok(())
    }

    fn take_default_privileges(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
        const LABEL: &str = "default privileges";
        let public = |name: String| (name != "PUBLIC").then_some(name);
        for row in rows {
            let (database, schema) = (text(row, LABEL, 0)?, text(row, LABEL, 1)?);
            let privilege = DefaultPrivilege {
                owner: public(text(row, LABEL, 2)?),
                object_type: text(row, LABEL, 3)?,
                grantee: public(text(row, LABEL, 4)?),
                privilege: text(row, LABEL, 5)?,
            };
            let found = self
                .schemas
                .values_mut()
                .find(|known| known.database == database && known.name == schema);
            if let Some(schema) = found {
                schema.default_privileges.push(privilege);
            }
        }
        for schema in self.schemas.values_mut() {
            schema.default_privileges.sort();
            schema.default_privileges.dedup();
        }
        Ok(())
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
