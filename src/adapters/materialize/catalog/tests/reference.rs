//! The catalog as one-off dataflows read it: joins, and the server's own functions for privileges. What the
//! peeks give must be the same.

use super::super::{object_kind, optional, text};
use crate::adapters::materialize::error::MaterializeError;
use crate::adapters::materialize::{Session, Statement};
use crate::domain::catalog::grants::{DefaultPrivilege, Grant};
use crate::domain::catalog::index_key::IndexKey;
use crate::domain::catalog::{Catalog, Cluster, Object, Replacements, Schema};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_postgres::Row;

const FACTS: &str = "
SELECT current_database()::text, current_role::text,
       has_database_privilege(current_role, current_database(), 'CREATE')::text,
       has_system_privilege(current_role, 'CREATECLUSTER')::text,
       mz_environment_id()::text";

const ROLES: &str = "
SELECT name::text, pg_has_role(current_role, name, 'USAGE')::text FROM mz_catalog.mz_roles";

const SCHEMAS: &str = "
SELECT s.id::text, s.name::text, d.name::text, r.name::text
FROM mz_catalog.mz_schemas s
JOIN mz_catalog.mz_databases d ON d.id = s.database_id
JOIN mz_catalog.mz_roles r ON r.id = s.owner_id
WHERE s.id LIKE 'u%'";

const CLUSTERS: &str = "
SELECT c.id::text, c.name::text, r.name::text, c.managed::text
FROM mz_catalog.mz_clusters c
JOIN mz_catalog.mz_roles r ON r.id = c.owner_id
WHERE c.id LIKE 'u%'";

const REPLICAS: &str = "
SELECT r.cluster_id::text, r.name::text, r.size::text, r.availability_zone::text
FROM mz_catalog.mz_cluster_replicas r
WHERE r.cluster_id LIKE 'u%'";

const OBJECTS: &str = "
SELECT o.id::text, o.name::text, o.type::text, o.schema_id::text, r.name::text,
       o.cluster_id::text, t.source_id::text, so.type::text
FROM mz_catalog.mz_objects o
JOIN mz_catalog.mz_roles r ON r.id = o.owner_id
LEFT JOIN mz_catalog.mz_tables t ON t.id = o.id
LEFT JOIN mz_catalog.mz_sources so ON so.id = o.id
WHERE o.id LIKE 'u%'";

const COLUMNS: &str = "
SELECT c.id::text, c.name::text, c.type::text, c.nullable::text FROM mz_catalog.mz_columns c WHERE c.id LIKE 'u%'
ORDER BY c.id, c.\"position\"";

const DEPENDENCIES: &str = "
SELECT object_id::text, referenced_object_id::text
FROM mz_internal.mz_object_dependencies
WHERE object_id LIKE 'u%' AND referenced_object_id LIKE 'u%'";

/// A peek: a filter over one indexed relation.
const INDEXES: &str = "
SELECT i.id::text, i.create_sql::text FROM mz_catalog.mz_indexes i WHERE i.id LIKE 'u%'";

const COMMENTS: &str = "
SELECT m.id::text, m.object_type::text, c.name::text, m.comment::text
FROM mz_internal.mz_comments m
LEFT JOIN mz_catalog.mz_columns c
       ON c.id = m.id AND c.position::text = m.object_sub_id::text
      AND m.object_type NOT IN ('schema', 'cluster', 'role', 'database')
WHERE m.id LIKE 'u%'";

const GRANTS: &str = "
SELECT p.kind::text, p.id::text, g.name::text, p.privilege_type::text
FROM (SELECT 'schema' AS kind, id, mz_internal.mz_aclexplode(privileges).*
      FROM mz_catalog.mz_schemas WHERE id LIKE 'u%') p
LEFT JOIN mz_catalog.mz_roles g ON g.id = p.grantee
UNION ALL
SELECT p.kind::text, p.id::text, g.name::text, p.privilege_type::text
FROM (SELECT 'cluster' AS kind, id, mz_internal.mz_aclexplode(privileges).*
      FROM mz_catalog.mz_clusters WHERE id LIKE 'u%') p
LEFT JOIN mz_catalog.mz_roles g ON g.id = p.grantee
UNION ALL
SELECT p.kind::text, p.id::text, g.name::text, p.privilege_type::text
FROM (SELECT 'object' AS kind, id, mz_internal.mz_aclexplode(privileges).*
      FROM mz_catalog.mz_objects WHERE id LIKE 'u%') p
LEFT JOIN mz_catalog.mz_roles g ON g.id = p.grantee";

const DEFAULT_PRIVILEGES: &str = "
SELECT database::text, schema::text, object_owner::text, object_type::text,
       grantee::text, privilege_type::text
FROM mz_internal.mz_show_default_privileges
WHERE object_owner IS NOT NULL AND grantee IS NOT NULL
  AND privilege_type IS NOT NULL";

/// Zero on a server before v26.10, which lacks the relation of [`REPLACEMENTS`].
const REPLACEMENTS_KNOWN: &str = "
SELECT count(*)::text
FROM mz_catalog.mz_objects o
JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id
WHERE s.name = 'mz_internal' AND s.database_id IS NULL AND o.name = 'mz_replacements'";

const REPLACEMENTS: &str = "
SELECT id::text, target_id::text FROM mz_internal.mz_replacements WHERE id LIKE 'u%'";

/// Reads the whole catalog.
pub(super) async fn read(session: &Session) -> Result<Catalog, MaterializeError> {
    let ask = async |label: &'static str, sql: &str| {
        let statement = Statement::new(label, sql);
        session
            .query_within(&statement, Duration::from_secs(60))
            .await
    };
    let mut catalog = Catalog {
        version: session.version().to_owned(),
        ..Catalog::default()
    };
    catalog.take_facts(&ask("session facts", FACTS).await?)?;
    for row in ask("roles", ROLES).await? {
        if text(&row, "roles", 1)? == "true" {
            catalog.owned_roles.insert(text(&row, "roles", 0)?);
        }
    }
    catalog.take_schemas_joined(&ask("schemas", SCHEMAS).await?)?;
    let replicas = ask("replicas", REPLICAS).await?;
    catalog.take_clusters_joined(&ask("clusters", CLUSTERS).await?, &replicas)?;
    catalog.take_objects_joined(&ask("objects", OBJECTS).await?)?;
    for row in ask("columns", COLUMNS).await? {
        if let Some(object) = catalog.objects.get_mut(&text(&row, "columns", 0)?) {
            let name = text(&row, "columns", 1)?;
            object.column_order.push(name.clone());
            if text(&row, "columns", 3)? == "false" {
                object.not_null.insert(name.clone());
            }
            object.columns.insert(name, text(&row, "columns", 2)?);
        }
    }
    for row in ask("dependencies", DEPENDENCIES).await? {
        let pair = (
            text(&row, "dependencies", 0)?,
            text(&row, "dependencies", 1)?,
        );
        catalog.dependencies.insert(pair);
    }
    for row in ask("indexes", INDEXES).await? {
        let definition = optional(&row, "indexes", 1)?;
        if let Some(key) = definition.as_deref().and_then(IndexKey::of_sql) {
            catalog.index_keys.insert(text(&row, "indexes", 0)?, key);
        }
    }
    catalog.take_comments_joined(&ask("comments", COMMENTS).await?)?;
    catalog.take_grants(&ask("grants", GRANTS).await?)?;
    catalog.take_default_privileges_shown(&ask("default privileges", DEFAULT_PRIVILEGES).await?)?;
    let known = ask("replacements known", REPLACEMENTS_KNOWN).await?;
    if known
        .first()
        .map(|row| text(row, "replacements known", 0))
        .transpose()?
        .as_deref()
        != Some("0")
    {
        let mut pending = Vec::new();
        for row in ask("replacements", REPLACEMENTS).await? {
            pending.push((
                text(&row, "replacements", 0)?,
                text(&row, "replacements", 1)?,
            ));
        }
        catalog.replacements = Some(Replacements::from_iter(pending));
    }
    Ok(catalog)
}

impl Catalog {
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

    fn take_schemas_joined(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
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

    fn take_clusters_joined(
        &mut self,
        rows: &[Row],
        replicas: &[Row],
    ) -> Result<(), MaterializeError> {
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

    fn take_objects_joined(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
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
                    column_order: Vec::new(),
                    not_null: std::collections::BTreeSet::new(),
                    column_comments: Vec::new(),
                },
            );
        }
        Ok(())
    }

    fn take_comments_joined(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
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

    fn take_default_privileges_shown(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
        const LABEL: &str = "default privileges";
        let public = |name: String| (name != "PUBLIC").then_some(name);
        for row in rows {
            let (database, schema) = (optional(row, LABEL, 0)?, optional(row, LABEL, 1)?);
            let privilege = DefaultPrivilege {
                owner: public(text(row, LABEL, 2)?),
                object_type: text(row, LABEL, 3)?,
                grantee: public(text(row, LABEL, 4)?),
                privilege: text(row, LABEL, 5)?,
            };
            let Some(schema) = schema else {
                if database.is_none_or(|database| database == self.database) {
                    self.default_privileges.push(privilege);
                }
                continue;
            };
            let found = self
                .schemas
                .values_mut()
                .find(|known| database.as_ref() == Some(&known.database) && known.name == schema);
            if let Some(schema) = found {
                schema.default_privileges.push(privilege);
            }
        }
        self.default_privileges.sort();
        self.default_privileges.dedup();
        for schema in self.schemas.values_mut() {
            schema.default_privileges.sort();
            schema.default_privileges.dedup();
        }
        Ok(())
    }
}
