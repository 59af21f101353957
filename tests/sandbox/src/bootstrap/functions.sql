-- Session functions: the front keeps the session in settings named mz.*.
CREATE FUNCTION mz_base.session(name text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT pg_catalog.current_setting('mz.' || $1, true) $$;
CREATE FUNCTION mz_catalog."current_user"() RETURNS text LANGUAGE sql STABLE AS $$ SELECT mz_base.session('role') $$;
CREATE FUNCTION mz_catalog."current_role"() RETURNS text LANGUAGE sql STABLE AS $$ SELECT mz_base.session('role') $$;
CREATE FUNCTION mz_catalog."session_user"() RETURNS text LANGUAGE sql STABLE AS $$ SELECT mz_base.session('role') $$;
CREATE FUNCTION mz_catalog.current_database() RETURNS text LANGUAGE sql STABLE AS $$ SELECT mz_base.session('database') $$;
CREATE FUNCTION mz_catalog."current_catalog"() RETURNS text LANGUAGE sql STABLE AS $$ SELECT mz_base.session('database') $$;
CREATE FUNCTION mz_catalog."current_schema"() RETURNS text LANGUAGE sql STABLE AS $$ SELECT s.name FROM regexp_split_to_table(mz_base.session('search_path'), ', *')
  WITH ORDINALITY p(n, o) JOIN mz_base.schemas s ON s.name = p.n JOIN mz_base.databases d ON d.id = s.database_id AND d.name = mz_base.session('database') ORDER BY o LIMIT 1 $$;
CREATE FUNCTION mz_catalog.current_schemas(boolean) RETURNS text[] LANGUAGE sql STABLE AS $$ SELECT CASE WHEN $1 THEN ARRAY['mz_catalog', 'pg_catalog'] ELSE '{}' END
  || regexp_split_to_array(mz_base.session('search_path'), ', *') $$;
CREATE FUNCTION mz_catalog.current_setting(text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT coalesce(nullif(mz_base.session(lower($1)), ''), pg_catalog.current_setting($1)) $$;
CREATE FUNCTION mz_catalog.current_setting(text, boolean) RETURNS text LANGUAGE sql STABLE AS $$ SELECT coalesce(nullif(mz_base.session(lower($1)), ''), pg_catalog.current_setting($1, $2)) $$;
CREATE FUNCTION mz_catalog.mz_version() RETURNS text LANGUAGE sql STABLE AS $$ SELECT mz_base.session('mz_version') $$;
DO $outer$ BEGIN EXECUTE format('CREATE FUNCTION mz_catalog.mz_environment_id() RETURNS text LANGUAGE sql STABLE AS $$ SELECT %L $$', 'sandbox-' || pg_catalog.gen_random_uuid() || '-0'); END $outer$;
CREATE FUNCTION mz_catalog.mz_now() RETURNS mz_timestamp LANGUAGE sql VOLATILE AS $$ SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::int8::mz_timestamp $$;
-- Privileges.
CREATE FUNCTION mz_internal.mz_aclexplode(mz_aclitem[], OUT grantor text, OUT grantee text, OUT privilege_type text, OUT is_grantable boolean)
RETURNS SETOF record LANGUAGE sql STABLE AS $$
  SELECT split_part(i, '/', 2), CASE WHEN split_part(i, '=', 1) = '' THEN 'p' ELSE split_part(i, '=', 1) END, m.word, false
  FROM unnest($1::text[]) i CROSS JOIN LATERAL regexp_split_to_table(split_part(split_part(i, '=', 2), '/', 1), '') c
  JOIN (VALUES ('r','SELECT'),('a','INSERT'),('w','UPDATE'),('d','DELETE'),('U','USAGE'),('C','CREATE'),('R','CREATEROLE'),('B','CREATEDB'),
    ('N','CREATECLUSTER'),('P','CREATENETWORKPOLICY')) m(letter, word) ON m.letter = c $$;
CREATE FUNCTION mz_base.role_id(text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT id FROM mz_base.roles WHERE name = $1 $$;
CREATE FUNCTION mz_base.roles_of(text) RETURNS SETOF text LANGUAGE sql STABLE AS $$
  WITH RECURSIVE r(id) AS (SELECT $1 UNION SELECT m.role_id FROM mz_base.members m JOIN r ON m.member = r.id) SELECT id FROM r $$;
CREATE FUNCTION mz_base.is_superuser(text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT coalesce((SELECT superuser FROM mz_base.roles WHERE id = $1), false) $$;
CREATE FUNCTION mz_base.may(role text, acl mz_aclitem[], privilege text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN role IS NULL THEN NULL ELSE mz_base.is_superuser(role) OR EXISTS (SELECT FROM mz_internal.mz_aclexplode(acl) e WHERE
    e.privilege_type = ANY (regexp_split_to_array(upper(privilege), ' *, *')) AND (e.grantee = 'p' OR e.grantee IN (SELECT mz_base.roles_of(role)))) END $$;
CREATE FUNCTION mz_catalog.mz_is_superuser() RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT mz_base.is_superuser(mz_base.role_id(mz_base.session('role'))) $$;
CREATE FUNCTION mz_catalog.has_system_privilege(text, text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT mz_base.may(mz_base.role_id($1), (SELECT array_agg(privileges) FROM mz_base.system_privileges), $2) $$;
CREATE FUNCTION mz_catalog.has_system_privilege(text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT mz_catalog.has_system_privilege(mz_base.session('role'), $1) $$;
CREATE FUNCTION mz_catalog.has_cluster_privilege(text, text, text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT mz_base.may(mz_base.role_id($1), privileges, $3) FROM mz_base.clusters WHERE name = $2 $$;
CREATE FUNCTION mz_catalog.has_cluster_privilege(text, text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT mz_catalog.has_cluster_privilege(mz_base.session('role'), $1, $2) $$;
CREATE FUNCTION mz_catalog.has_database_privilege(text, text, text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT mz_base.may(mz_base.role_id($1), privileges, $3) FROM mz_base.databases WHERE name = $2 $$;
CREATE FUNCTION mz_catalog.has_database_privilege(text, text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT mz_catalog.has_database_privilege(mz_base.session('role'), $1, $2) $$;
CREATE FUNCTION mz_base.name_parts(text) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$ SELECT pg_catalog.parse_ident($1) $$;
CREATE FUNCTION mz_base.find_schema(text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT s.id FROM mz_base.name_parts($1) p JOIN mz_base.schemas s ON s.name = p[cardinality(p)] LEFT JOIN mz_base.databases d ON d.id = s.database_id
  WHERE s.database_id IS NULL OR d.name = CASE WHEN cardinality(p) > 1 THEN p[1] ELSE mz_base.session('database') END LIMIT 1 $$;
CREATE FUNCTION mz_catalog.has_schema_privilege(text, text, text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT mz_base.may(mz_base.role_id($1), privileges, $3) FROM mz_base.schemas WHERE id = mz_base.find_schema($2) $$;
CREATE FUNCTION mz_catalog.has_schema_privilege(text, text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT mz_catalog.has_schema_privilege(mz_base.session('role'), $1, $2) $$;
CREATE FUNCTION mz_catalog.has_table_privilege(text, text, text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT mz_base.may(mz_base.role_id($1), o.privileges, $3) FROM mz_base.name_parts($2) p JOIN mz_base.objects o ON o.name = p[cardinality(p)]
  JOIN mz_base.schemas s ON s.id = o.schema_id JOIN mz_base.databases d ON d.id = s.database_id
  WHERE s.name = ANY (CASE WHEN cardinality(p) > 1 THEN p[cardinality(p)-1:cardinality(p)-1] ELSE regexp_split_to_array(mz_base.session('search_path'), ', *') END)
    AND d.name = CASE WHEN cardinality(p) > 2 THEN p[1] ELSE mz_base.session('database') END LIMIT 1 $$;
CREATE FUNCTION mz_catalog.has_table_privilege(text, text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT mz_catalog.has_table_privilege(mz_base.session('role'), $1, $2) $$;
CREATE FUNCTION mz_catalog.pg_has_role(text, text, text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT mz_base.is_superuser(mz_base.role_id($1)) OR mz_base.role_id($2) IN (SELECT mz_base.roles_of(mz_base.role_id($1))) $$;
CREATE FUNCTION mz_catalog.pg_has_role(text, text) RETURNS boolean LANGUAGE sql STABLE AS $$ SELECT mz_catalog.pg_has_role(mz_base.session('role'), $1, $2) $$;
CREATE FUNCTION mz_base.role_name(text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT CASE WHEN $1 = 'p' THEN 'PUBLIC' ELSE (SELECT name FROM mz_base.roles WHERE id = $1) END $$;
CREATE FUNCTION mz_base.is_mine(grantee text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT $1 = 'PUBLIC' OR mz_base.role_id($1) IN (SELECT mz_base.roles_of(mz_base.role_id(mz_base.session('role')))) $$;
