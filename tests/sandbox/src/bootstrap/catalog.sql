-- mz_catalog.
CREATE VIEW mz_catalog.mz_databases AS SELECT id, oid, name, owner_id, privileges FROM mz_base.databases;
CREATE VIEW mz_catalog.mz_schemas AS SELECT id, oid, database_id, name, owner_id, privileges FROM mz_base.schemas;
CREATE VIEW mz_catalog.mz_clusters AS SELECT id, name, owner_id, privileges, managed, size, replication_factor, CASE WHEN managed THEN true END AS disk,
  availability_zones, introspection_debugging, introspection_interval FROM mz_base.clusters;
CREATE VIEW mz_catalog.mz_cluster_replicas AS SELECT id, name, cluster_id, size, availability_zone, owner_id, true AS disk FROM mz_base.replicas;
CREATE VIEW mz_catalog.mz_objects AS
  SELECT id, oid, schema_id, name, type, owner_id, cluster_id, CASE WHEN type NOT IN ('index', 'sink') THEN privileges END AS privileges FROM mz_base.objects
  UNION ALL SELECT id, oid, schema_id, name, type, 's1', NULL, '{=r/s1,s1=r/s1}'::mz_aclitem[] FROM mz_base.system_relations
  UNION ALL SELECT id, 0::oid, 's6', name, 'index', owner_id, cluster_id, NULL FROM mz_base.introspection;
CREATE VIEW mz_catalog.mz_relations AS SELECT id, oid, schema_id, name, type, owner_id, cluster_id, privileges FROM mz_catalog.mz_objects
  WHERE type IN ('table', 'view', 'materialized-view', 'source');
CREATE VIEW mz_catalog.mz_tables AS SELECT id, oid, schema_id, name, owner_id, privileges, create_sql, create_sql AS redacted_create_sql, source_id
  FROM mz_base.objects WHERE type = 'table';
CREATE VIEW mz_catalog.mz_views AS SELECT id, oid, schema_id, name, definition || ';' AS definition, owner_id, privileges, create_sql,
  create_sql AS redacted_create_sql FROM mz_base.objects WHERE type = 'view';
CREATE VIEW mz_catalog.mz_materialized_views AS SELECT id, oid, schema_id, name, cluster_id, definition || ';' AS definition, owner_id, privileges,
  create_sql, create_sql AS redacted_create_sql FROM mz_base.objects WHERE type = 'materialized-view';
CREATE VIEW mz_catalog.mz_indexes AS SELECT id, oid, name, on_id, cluster_id, owner_id, create_sql, create_sql AS redacted_create_sql
  FROM mz_base.objects WHERE type = 'index'
  UNION ALL SELECT id, 0::oid, name, 's' || n, cluster_id, owner_id, '', '' FROM mz_base.introspection;
CREATE VIEW mz_catalog.mz_sinks AS SELECT id, oid, schema_id, name, subtype AS type, connection_id, NULL::text AS size, envelope AS envelope_type, format,
  NULL::text AS key_format, format AS value_format, cluster_id, owner_id, create_sql, create_sql AS redacted_create_sql FROM mz_base.objects WHERE type = 'sink';
CREATE VIEW mz_catalog.mz_sources AS SELECT id, oid, schema_id, name, subtype AS type, connection_id, NULL::text AS size, envelope AS envelope_type,
  NULL::text AS key_format, NULL::text AS value_format, cluster_id, owner_id, privileges, create_sql, create_sql AS redacted_create_sql
  FROM mz_base.objects WHERE type = 'source';
CREATE VIEW mz_catalog.mz_connections AS SELECT id, oid, schema_id, name, subtype AS type, owner_id, privileges, create_sql, create_sql AS redacted_create_sql
  FROM mz_base.objects WHERE type = 'connection';
CREATE VIEW mz_catalog.mz_secrets AS SELECT id, oid, schema_id, name, owner_id, privileges FROM mz_base.objects WHERE type = 'secret';
CREATE VIEW mz_catalog.mz_columns AS
  SELECT id, name, position, nullable, type, default_value AS "default", type_oid, type_mod FROM mz_base.columns
  UNION ALL SELECT id, name, position, nullable, type, default_value, type_oid, type_mod FROM mz_base.system_columns;
CREATE VIEW mz_catalog.mz_roles AS SELECT id, oid, name, true AS inherit, true AS rolcanlogin, superuser AS rolsuper FROM mz_base.roles ORDER BY mz_base.roles.oid DESC;
-- A real server lists the latest membership first; so do the roles it is joined with.
CREATE VIEW mz_catalog.mz_role_members AS SELECT role_id, member, grantor FROM mz_base.members ORDER BY seq DESC;
CREATE VIEW mz_catalog.mz_default_privileges AS SELECT role_id, database_id, schema_id, object_type, grantee, privileges FROM mz_base.defaults;
CREATE VIEW mz_catalog.mz_system_privileges AS SELECT privileges FROM mz_base.system_privileges;
CREATE VIEW mz_catalog.mz_cluster_replica_sizes AS SELECT size, processes::uint8 AS processes, workers::uint8 AS workers, cpu::uint8 AS cpu_nano_cores,
  (cpu * 33554432)::uint8 AS memory_bytes, (cpu * 67108864)::uint8 AS disk_bytes, credits AS credits_per_hour FROM (SELECT size,
  coalesce(substring(size from 'scale=([0-9]+)')::int8, 1) AS processes, coalesce(substring(size from 'workers=([0-9]+)')::int8, 1) AS workers,
  coalesce(substring(size from '^[0-9]+')::int8, 100) AS cpu, coalesce(substring(size from '^[0-9]+')::numeric / 100, 1) AS credits FROM mz_base.sizes) s;
-- Parts of pg_catalog and information_schema that show user objects.
CREATE VIEW mz_shim."pg_catalog.pg_namespace" AS SELECT n.oid, n.nspname::text AS nspname, n.nspowner, NULL::text[] AS nspacl FROM pg_catalog.pg_namespace n
  WHERE n.nspname IN ('pg_catalog', 'information_schema', 'mz_catalog', 'mz_internal', 'mz_unsafe', 'mz_introspection')
  UNION ALL SELECT s.oid, s.name, r.oid, NULL FROM mz_base.schemas s JOIN mz_base.databases d ON d.id = s.database_id JOIN mz_base.roles r ON r.id = s.owner_id
  WHERE d.name = mz_base.session('database');
CREATE VIEW mz_shim."pg_catalog.pg_class" AS SELECT c.oid, c.relname::text AS relname, c.relnamespace, c.relkind, c.relowner FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('pg_catalog', 'mz_catalog', 'mz_internal')
  UNION ALL SELECT o.oid, o.name, s.oid, CASE o.type WHEN 'view' THEN 'v' WHEN 'materialized-view' THEN 'm' WHEN 'index' THEN 'i' ELSE 'r' END::"char", r.oid
  FROM mz_base.objects o JOIN mz_base.schemas s ON s.id = o.schema_id JOIN mz_base.roles r ON r.id = o.owner_id WHERE o.type NOT IN ('sink', 'connection', 'secret');
CREATE VIEW mz_shim."pg_catalog.pg_database" AS SELECT d.oid, d.name AS datname, r.oid AS datdba, 6 AS encoding, 'C'::text AS datcollate, 'C'::text AS datctype
  FROM mz_base.databases d JOIN mz_base.roles r ON r.id = d.owner_id;
CREATE VIEW mz_shim."pg_catalog.pg_roles" AS SELECT oid, name AS rolname, superuser AS rolsuper, true AS rolinherit, true AS rolcanlogin FROM mz_base.roles;
CREATE VIEW mz_shim."pg_catalog.pg_tables" AS SELECT s.name AS schemaname, o.name AS tablename, r.name AS tableowner FROM mz_base.objects o
  JOIN mz_base.schemas s ON s.id = o.schema_id JOIN mz_base.roles r ON r.id = o.owner_id WHERE o.type = 'table';
CREATE VIEW mz_shim."pg_catalog.pg_views" AS SELECT s.name AS schemaname, o.name AS viewname, r.name AS viewowner, o.definition FROM mz_base.objects o
  JOIN mz_base.schemas s ON s.id = o.schema_id JOIN mz_base.roles r ON r.id = o.owner_id WHERE o.type = 'view';
CREATE VIEW mz_shim."pg_catalog.pg_matviews" AS SELECT s.name AS schemaname, o.name AS matviewname, r.name AS matviewowner, o.definition FROM mz_base.objects o
  JOIN mz_base.schemas s ON s.id = o.schema_id JOIN mz_base.roles r ON r.id = o.owner_id WHERE o.type = 'materialized-view';
CREATE VIEW mz_shim."information_schema.schemata" AS SELECT coalesce(d.name, mz_base.session('database')) AS catalog_name, s.name AS schema_name
  FROM mz_base.schemas s LEFT JOIN mz_base.databases d ON d.id = s.database_id;
CREATE VIEW mz_shim."information_schema.tables" AS SELECT coalesce(d.name, mz_base.session('database')) AS table_catalog, s.name AS table_schema, o.name AS table_name,
  CASE o.type WHEN 'table' THEN 'BASE TABLE' ELSE upper(o.type) END AS table_type FROM mz_catalog.mz_relations o JOIN mz_base.schemas s ON s.id = o.schema_id
  LEFT JOIN mz_base.databases d ON d.id = s.database_id;
CREATE VIEW mz_shim."information_schema.columns" AS SELECT coalesce(d.name, mz_base.session('database')) AS table_catalog, s.name AS table_schema, o.name AS table_name,
  c.name AS column_name, c.position::int8 AS ordinal_position, c."default" AS column_default, CASE WHEN c.nullable THEN 'YES' ELSE 'NO' END AS is_nullable,
  c.type AS data_type, NULL::int4 AS character_maximum_length, NULL::int4 AS numeric_precision, NULL::int4 AS numeric_scale
  FROM mz_catalog.mz_columns c JOIN mz_catalog.mz_relations o ON o.id = c.id JOIN mz_base.schemas s ON s.id = o.schema_id LEFT JOIN mz_base.databases d ON d.id = s.database_id;
