-- System relations list themselves once all of them exist.
INSERT INTO mz_base.system_relations SELECT 's' || row_number() OVER (ORDER BY n.nspname, c.relname), c.oid, s.id, s.name, c.relname, 'view'
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN (VALUES ('s1', 'mz_catalog'), ('s3', 'mz_internal')) s(id, name) ON s.name = n.nspname
  WHERE c.relkind IN ('r', 'v');
INSERT INTO mz_base.system_columns SELECT r.id, a.attname, a.attnum::int8, true, CASE WHEN format_type(a.atttypid, NULL) = 'name' THEN 'text' ELSE format_type(a.atttypid, NULL) END,
  NULL, a.atttypid, a.atttypmod FROM mz_base.system_relations r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid WHERE a.attnum > 0 AND NOT a.attisdropped;
UPDATE mz_base.system_columns c SET nullable = false FROM mz_base.system_relations r WHERE r.id = c.id AND EXISTS (SELECT FROM mz_base.not_null n
  WHERE n.relation = r.name AND c.name = ANY (n.columns));
-- Arrays to PostgreSQL, so that ANY takes them; lists to the reader of the catalog.
UPDATE mz_base.system_columns SET type = 'list' WHERE name = 'referenced_object_ids';
ANALYZE;
