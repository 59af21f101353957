//! Finding things by name, and asking who may use them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{
    Acl, Catalog, Cluster, Database, Grantee, Id, Mode, Object, ObjectKind, Role, Schema,
    TEMPORARY_SCHEMA,
};
use crate::failure::SqlError;

/// A relation of the system, which PostgreSQL knows under a name of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemRelation {
    /// Schema and name in PostgreSQL.
    pub backend: (String, String),
    /// Schema as users write it.
    pub schema: String,
    /// Name as users write it.
    pub name: String,
}

/// All system relations by schema and name as users write them.
pub type SystemRelations = BTreeMap<(String, String), SystemRelation>;

/// What a relation name stands for.
#[derive(Debug, Clone)]
pub enum Relation {
    /// An object of the catalog.
    User(Arc<Object>),
    /// A relation of the system.
    System(SystemRelation),
}

/// Where names without a schema or database are looked up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Session's database.
    pub database: String,
    /// Session's search path.
    pub search_path: Vec<String>,
    /// Session's id, for its temporary objects.
    pub session: i32,
    /// Session's role.
    pub role: Id,
}

impl Default for Id {
    fn default() -> Self {
        Self::user(1)
    }
}

const IMPLICIT: [&str; 3] = ["mz_catalog", "mz_internal", "pg_catalog"];
/// The schema of the steering tables; it stands beside the databases, as the system schemas do.
pub const STEERING: &str = "mz_sandbox";

impl Catalog {
    /// A database by name.
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases.values().find(|d| d.name == name)
    }

    /// A cluster by name.
    pub fn cluster(&self, name: &str) -> Result<&Cluster, SqlError> {
        self.clusters
            .values()
            .find(|c| c.name == name)
            .ok_or_else(|| SqlError::internal(format!("unknown cluster '{name}'")))
    }

    /// A role by name.
    pub fn role(&self, name: &str) -> Result<&Role, SqlError> {
        self.roles
            .values()
            .find(|r| r.name == name)
            .ok_or_else(|| SqlError::internal(format!("unknown role '{name}'")))
    }

    /// A user schema by database and name.
    pub fn schema_in(&self, database: Id, name: &str) -> Option<&Schema> {
        self.schemas
            .values()
            .find(|s| s.database == Some(database) && s.name == name)
    }

    /// A system schema by name.
    pub fn system_schema(&self, name: &str) -> Option<&Schema> {
        self.schemas
            .values()
            .find(|s| s.database.is_none() && s.name == name)
    }

    /// A schema by one- or two-part name.
    pub fn schema(&self, scope: &Scope, name: &[String]) -> Result<&Schema, SqlError> {
        let (database, schema) = match name {
            [schema] => (scope.database.as_str(), schema),
            [database, schema] => (database.as_str(), schema),
            _ => {
                return Err(SqlError::internal(format!(
                    "qualified name did not have between 1 and 2 components: {}",
                    name.join(".")
                )));
            }
        };
        let unknown = || SqlError::internal(format!("unknown schema '{schema}'"));
        match self.database(database) {
            Some(database) => self.schema_in(database.id, schema).ok_or_else(unknown),
            None if name.len() == 2 => {
                Err(SqlError::internal(format!("unknown database '{database}'")))
            }
            None => Err(unknown()),
        }
    }

    /// Splits an object's name into the schema for a new object and its last part.
    pub fn target<'a>(&self, scope: &Scope, name: &'a [String]) -> Result<(Id, &'a str), SqlError> {
        match name {
            [item] => {
                let database = self.database(&scope.database).ok_or_else(|| {
                    SqlError::internal(format!("unknown database '{}'", scope.database))
                })?;
                let schema = scope
                    .search_path
                    .iter()
                    .find_map(|s| self.schema_in(database.id, s));
                let schema = schema.ok_or_else(|| {
                    SqlError::internal("no schema has been selected to create in")
                })?;
                Ok((schema.id, item))
            }
            [head @ .., item] => {
                if self.system_schema(&head[head.len() - 1]).is_some() {
                    return Err(SqlError::denied(format!(
                        "permission denied for SCHEMA \"{}\"",
                        head.join(".")
                    )));
                }
                Ok((self.schema(scope, head)?.id, item))
            }
            [] => Err(SqlError::syntax("empty name")),
        }
    }

    /// Any object of the catalog by name.
    pub fn object(&self, scope: &Scope, name: &[String]) -> Option<&Arc<Object>> {
        let by = |schema: Id, item: &str| {
            self.names
                .get(&(schema, None, item.to_owned()))
                .and_then(|id| self.objects.get(id))
        };
        match name {
            [item] => {
                let temporary =
                    self.names
                        .get(&(TEMPORARY_SCHEMA, Some(scope.session), item.clone()));
                if let Some(object) = temporary.and_then(|id| self.objects.get(id)) {
                    return Some(object);
                }
                let database = self.database(&scope.database)?;
                scope
                    .search_path
                    .iter()
                    .filter_map(|s| self.schema_in(database.id, s))
                    .find_map(|s| by(s.id, item))
            }
            [schema, item] if schema == "mz_temp" => self
                .names
                .get(&(TEMPORARY_SCHEMA, Some(scope.session), item.clone()))
                .and_then(|id| self.objects.get(id)),
            [schema, item] => by(
                self.schema_in(self.database(&scope.database)?.id, schema)?
                    .id,
                item,
            ),
            [database, schema, item] => by(
                self.schema_in(self.database(database)?.id, schema)?.id,
                item,
            ),
            _ => None,
        }
    }

    /// A relation, user's or system's, by name.
    pub fn relation(
        &self,
        system: &SystemRelations,
        scope: &Scope,
        name: &[String],
    ) -> Result<Relation, SqlError> {
        let find = |schema: &str, item: &str| {
            system
                .get(&(schema.to_owned(), item.to_owned()))
                .cloned()
                .map(Relation::System)
        };
        let user = self.object(scope, name).cloned();
        let found = match name {
            [item] => {
                // Names of the system come first unless the search path says otherwise, as in PostgreSQL.
                let temporary = user
                    .as_ref()
                    .filter(|o| o.session.is_some())
                    .cloned()
                    .map(Relation::User);
                temporary
                    .or_else(|| IMPLICIT.iter().find_map(|s| find(s, item)))
                    .or_else(|| user.map(Relation::User))
                    .or_else(|| scope.search_path.iter().find_map(|s| find(s, item)))
            }
            [schema, item] | [_, schema, item] => {
                user.map(Relation::User).or_else(|| find(schema, item))
            }
            _ => None,
        };
        match found {
            Some(Relation::User(object)) if !object.kind.is_relation() => {
                Err(SqlError::internal(format!(
                    "catalog item '{}' is {} {} and so cannot be depended upon",
                    name.join("."),
                    article(object.kind),
                    object.kind.words()
                )))
            }
            Some(relation) => Ok(relation),
            None => Err(SqlError::unknown_item(&name.join("."))),
        }
    }

    /// Roles that `role` is, directly or through membership.
    pub fn roles_of(&self, role: Id) -> BTreeSet<Id> {
        let mut seen = BTreeSet::new();
        let mut todo = vec![role];
        while let Some(id) = todo.pop() {
            if seen.insert(id) {
                todo.extend(
                    self.members
                        .keys()
                        .filter(|(_, member)| *member == id)
                        .map(|(role, _)| *role),
                );
            }
        }
        seen
    }

    /// Whether the role is a superuser.
    pub fn is_superuser(&self, role: Id) -> bool {
        self.roles.get(&role).is_some_and(|r| r.superuser)
    }

    /// Whether `role` counts as `owner`.
    pub fn is_owner(&self, role: Id, owner: Id) -> bool {
        self.is_superuser(role) || self.roles_of(role).contains(&owner)
    }

    /// Whether `role` holds a privilege, itself, by membership or through PUBLIC.
    pub fn may(&self, role: Id, acl: &Acl, mode: Mode) -> bool {
        self.is_superuser(role)
            || acl.holds(Grantee::Public, mode)
            || self
                .roles_of(role)
                .into_iter()
                .any(|id| acl.holds(Grantee::Role(id), mode))
    }

    /// `database.schema`, as messages name a schema.
    pub fn schema_path(&self, schema: &Schema) -> String {
        match schema.database.and_then(|id| self.databases.get(&id)) {
            Some(database) => format!("{}.{}", database.name, schema.name),
            None => schema.name.clone(),
        }
    }

    /// `database.schema.object`, as messages name an object.
    pub fn object_path(&self, object: &Object) -> String {
        match self.schemas.get(&object.schema) {
            Some(schema) => format!("{}.{}", self.schema_path(schema), object.name),
            None => format!("mz_temp.{}", object.name),
        }
    }

    /// `schema.object` when it lies in the session's database, the full path otherwise.
    pub fn short_path(&self, scope: &Scope, object: &Object) -> String {
        let here = self.database(&scope.database).map(|d| d.id);
        match self.schemas.get(&object.schema) {
            Some(schema) if schema.database == here => format!("{}.{}", schema.name, object.name),
            Some(_) | None => self.object_path(object),
        }
    }
}

fn article(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Index => "an",
        ObjectKind::Table
        | ObjectKind::View
        | ObjectKind::MaterializedView
        | ObjectKind::Source
        | ObjectKind::Sink
        | ObjectKind::Connection
        | ObjectKind::Secret => "a",
    }
}
