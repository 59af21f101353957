-- The catalog as the front writes it: see catalog/project.rs. `created_at` starts the clocks of hydration and lag.
CREATE TABLE mz_base.databases (key text PRIMARY KEY, id text, oid oid, name text, owner_id text, privileges mz_aclitem[]);
CREATE TABLE mz_base.schemas (key text PRIMARY KEY, id text, oid oid, database_id text, name text, owner_id text, privileges mz_aclitem[]);
CREATE TABLE mz_base.clusters (key text PRIMARY KEY, id text, name text, owner_id text, privileges mz_aclitem[], managed boolean, size text,
  replication_factor uint4, availability_zones list, introspection_debugging boolean, introspection_interval interval, auto_scaling jsonb);
CREATE TABLE mz_base.replicas (key text PRIMARY KEY, id text, name text, cluster_id text, size text, availability_zone text, owner_id text,
  created_at timestamptz DEFAULT clock_timestamp());
CREATE TABLE mz_base.roles (key text PRIMARY KEY, id text, oid oid, name text, superuser boolean);
CREATE TABLE mz_base.members (key text PRIMARY KEY, role_id text, member text, grantor text, seq serial);
CREATE TABLE mz_base.objects (key text PRIMARY KEY, id text, oid oid, schema_id text, name text, type text, owner_id text, cluster_id text,
  privileges mz_aclitem[], create_sql text, definition text, subtype text, on_id text, connection_id text, source_id text, envelope text,
  format text, replaces_id text, constant boolean, created_at timestamptz DEFAULT clock_timestamp());
CREATE TABLE mz_base.columns (key text PRIMARY KEY, id text, name text, position uint8, nullable boolean, type text, default_value text,
  type_oid oid, type_mod int4);
CREATE TABLE mz_base.dependencies (key text PRIMARY KEY, object_id text, referenced_object_id text);
CREATE TABLE mz_base.defaults (key text PRIMARY KEY, role_id text, database_id text, schema_id text, object_type text, grantee text, privileges text);
CREATE TABLE mz_base.system_privileges (key text PRIMARY KEY, privileges mz_aclitem);
CREATE TABLE mz_base.comments (key text PRIMARY KEY, id text, object_type text, object_sub_id int4, comment text);
CREATE TABLE mz_base.sessions (pid int4 PRIMARY KEY, id uuid DEFAULT gen_random_uuid(), role_id text, connected_at timestamptz DEFAULT clock_timestamp());
CREATE TABLE mz_base.subscriptions (id serial PRIMARY KEY, pid int4, cursor text, cluster_id text, objects text[], created_at timestamptz DEFAULT clock_timestamp());
CREATE TABLE mz_base.sizes (size text PRIMARY KEY);
CREATE TABLE mz_base.system_relations (id text PRIMARY KEY, oid oid, schema_id text, schema_name text, name text, type text);
CREATE TABLE mz_base.system_columns (id text, name text, position uint8, nullable boolean, type text, default_value text, type_oid oid, type_mod int4);
-- Each replica has introspection indexes of its own; as many as a real server has.
CREATE VIEW mz_base.introspection AS SELECT c.id AS cluster_id, c.owner_id, n, 'si' || substr(c.id, 2) || lpad(n::text, 3, '0') AS id,
  'mz_introspection_' || n || '_' || c.id || '_primary_idx' AS name FROM mz_base.clusters c, generate_series(1, 32) n;
