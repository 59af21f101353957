//! The queries of one catalog reading. Every column is cast to text: the client then needs no
//! knowledge of Materialize's own types.

pub(super) const FACTS: &str = "
SELECT current_database()::text, current_role::text,
       has_database_privilege(current_role, current_database(), 'CREATE')::text,
       has_system_privilege(current_role, 'CREATECLUSTER')::text,
       mz_environment_id()::text";

/// What tells one Materialize from another, whatever its address is.
pub(super) const SERVER: &str = "SELECT mz_environment_id()::text";

pub(super) const ROLES: &str = "
SELECT name::text, pg_has_role(current_role, name, 'USAGE')::text FROM mz_catalog.mz_roles";

pub(super) const SCHEMAS: &str = "
SELECT s.id::text, s.name::text, d.name::text, r.name::text
FROM mz_catalog.mz_schemas s
JOIN mz_catalog.mz_databases d ON d.id = s.database_id
JOIN mz_catalog.mz_roles r ON r.id = s.owner_id
WHERE s.id LIKE 'u%'";

pub(super) const CLUSTERS: &str = "
SELECT c.id::text, c.name::text, r.name::text, c.managed::text
FROM mz_catalog.mz_clusters c
JOIN mz_catalog.mz_roles r ON r.id = c.owner_id
WHERE c.id LIKE 'u%'";

pub(super) const REPLICAS: &str = "
SELECT r.cluster_id::text, r.name::text, r.size::text, r.availability_zone::text
FROM mz_catalog.mz_cluster_replicas r
WHERE r.cluster_id LIKE 'u%'";

pub(super) const OBJECTS: &str = "
SELECT o.id::text, o.name::text, o.type::text, o.schema_id::text, r.name::text,
       o.cluster_id::text, t.source_id::text, so.type::text
FROM mz_catalog.mz_objects o
JOIN mz_catalog.mz_roles r ON r.id = o.owner_id
LEFT JOIN mz_catalog.mz_tables t ON t.id = o.id
LEFT JOIN mz_catalog.mz_sources so ON so.id = o.id
WHERE o.id LIKE 'u%'";

pub(super) const COLUMNS: &str = "
SELECT c.id::text, c.name::text, c.type::text FROM mz_catalog.mz_columns c WHERE c.id LIKE 'u%'";

pub(super) const DEPENDENCIES: &str = "
SELECT object_id::text, referenced_object_id::text
FROM mz_internal.mz_object_dependencies
WHERE object_id LIKE 'u%' AND referenced_object_id LIKE 'u%'";

/// A peek: a filter over one indexed relation.
pub(super) const INDEXES: &str = "
SELECT i.id::text, i.create_sql::text FROM mz_catalog.mz_indexes i WHERE i.id LIKE 'u%'";

pub(super) const COMMENTS: &str = "
SELECT m.id::text, m.object_type::text, c.name::text, m.comment::text
FROM mz_internal.mz_comments m
LEFT JOIN mz_catalog.mz_columns c
       ON c.id = m.id AND c.position::text = m.object_sub_id::text
      AND m.object_type NOT IN ('schema', 'cluster', 'role', 'database')
WHERE m.id LIKE 'u%'";

pub(super) const GRANTS: &str = "
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

pub(super) const DEFAULT_PRIVILEGES: &str = "
SELECT database::text, schema::text, object_owner::text, object_type::text,
       grantee::text, privilege_type::text
FROM mz_internal.mz_show_default_privileges
WHERE schema IS NOT NULL AND object_owner IS NOT NULL AND grantee IS NOT NULL
  AND privilege_type IS NOT NULL";

/// Zero on a server before v26.10, which lacks the relation of [`REPLACEMENTS`].
pub(in crate::materialize) const REPLACEMENTS_KNOWN: &str = "
SELECT count(*)::text
FROM mz_catalog.mz_objects o
JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id
WHERE s.name = 'mz_internal' AND s.database_id IS NULL AND o.name = 'mz_replacements'";

pub(in crate::materialize) const REPLACEMENTS: &str = "
SELECT id::text, target_id::text FROM mz_internal.mz_replacements WHERE id LIKE 'u%'";
