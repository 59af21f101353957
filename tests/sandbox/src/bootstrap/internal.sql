-- mz_internal: comments, dependencies, privileges.
CREATE VIEW mz_internal.mz_comments AS SELECT id, object_type, object_sub_id, comment FROM mz_base.comments;
CREATE VIEW mz_internal.mz_object_dependencies AS SELECT object_id, referenced_object_id FROM mz_base.dependencies;
CREATE VIEW mz_internal.mz_object_transitive_dependencies AS WITH RECURSIVE t(object_id, referenced_object_id) AS (
  SELECT object_id, referenced_object_id FROM mz_base.dependencies UNION SELECT t.object_id, d.referenced_object_id FROM t JOIN mz_base.dependencies d
  ON d.object_id = t.referenced_object_id) SELECT object_id, referenced_object_id FROM t;
CREATE VIEW mz_internal.mz_object_fully_qualified_names AS SELECT o.id, o.name, o.type AS object_type, s.id AS schema_id, s.name AS schema_name, d.id AS database_id,
  d.name AS database_name, o.cluster_id FROM mz_catalog.mz_objects o JOIN mz_base.schemas s ON s.id = o.schema_id LEFT JOIN mz_base.databases d ON d.id = s.database_id;
CREATE VIEW mz_internal.mz_cluster_schedules AS SELECT id AS cluster_id, 'manual'::text AS type, NULL::interval AS refresh_hydration_time_estimate
  FROM mz_base.clusters WHERE managed;
CREATE VIEW mz_internal.mz_cluster_deployment_lineage AS SELECT id AS cluster_id, id AS current_deployment_cluster_id, name AS cluster_name FROM mz_base.clusters
  WHERE name NOT LIKE '%\_dbt\_deploy';
CREATE VIEW mz_internal.mz_pending_cluster_replicas AS SELECT id FROM mz_base.replicas WHERE false;
CREATE VIEW mz_internal.mz_internal_cluster_replicas AS SELECT id FROM mz_base.replicas WHERE false;
CREATE VIEW mz_internal.mz_show_system_privileges AS SELECT mz_base.role_name(e.grantor) AS grantor, mz_base.role_name(e.grantee) AS grantee, e.privilege_type
  FROM (SELECT array_agg(privileges) AS p FROM mz_base.system_privileges) s, LATERAL mz_internal.mz_aclexplode(s.p) e;
CREATE VIEW mz_internal.mz_show_cluster_privileges AS SELECT mz_base.role_name(e.grantor) AS grantor, mz_base.role_name(e.grantee) AS grantee, c.name, e.privilege_type
  FROM mz_base.clusters c, LATERAL mz_internal.mz_aclexplode(c.privileges) e WHERE e.grantee NOT LIKE 's%';
CREATE VIEW mz_internal.mz_show_database_privileges AS SELECT mz_base.role_name(e.grantor) AS grantor, mz_base.role_name(e.grantee) AS grantee, d.name, e.privilege_type
  FROM mz_base.databases d, LATERAL mz_internal.mz_aclexplode(d.privileges) e WHERE e.grantee NOT LIKE 's%';
CREATE VIEW mz_internal.mz_show_schema_privileges AS SELECT mz_base.role_name(e.grantor) AS grantor, mz_base.role_name(e.grantee) AS grantee, d.name AS database, s.name, e.privilege_type
  FROM mz_base.schemas s LEFT JOIN mz_base.databases d ON d.id = s.database_id, LATERAL mz_internal.mz_aclexplode(s.privileges) e WHERE e.grantee NOT LIKE 's%';
CREATE VIEW mz_internal.mz_show_object_privileges AS SELECT mz_base.role_name(e.grantor) AS grantor, mz_base.role_name(e.grantee) AS grantee, d.name AS database,
  s.name AS schema, o.name, o.type AS object_type, e.privilege_type FROM mz_base.objects o JOIN mz_base.schemas s ON s.id = o.schema_id
  LEFT JOIN mz_base.databases d ON d.id = s.database_id, LATERAL mz_internal.mz_aclexplode(o.privileges) e WHERE e.grantee NOT LIKE 's%' AND o.type NOT IN ('index', 'sink');
CREATE VIEW mz_internal.mz_show_default_privileges AS SELECT mz_base.role_name(p.role_id) AS object_owner, d.name AS database, s.name AS schema, p.object_type,
  mz_base.role_name(p.grantee) AS grantee, e.privilege_type FROM mz_base.defaults p LEFT JOIN mz_base.schemas s ON s.id = p.schema_id
  LEFT JOIN mz_base.databases d ON d.id = coalesce(p.database_id, s.database_id), LATERAL mz_internal.mz_aclexplode(ARRAY[('s1=' || p.privileges || '/s1')::mz_aclitem]) e
  WHERE p.grantee NOT LIKE 's%';
CREATE VIEW mz_internal.mz_show_my_cluster_privileges AS SELECT * FROM mz_internal.mz_show_cluster_privileges WHERE mz_base.is_mine(grantee);
CREATE VIEW mz_internal.mz_show_my_database_privileges AS SELECT * FROM mz_internal.mz_show_database_privileges WHERE mz_base.is_mine(grantee);
CREATE VIEW mz_internal.mz_show_my_schema_privileges AS SELECT * FROM mz_internal.mz_show_schema_privileges WHERE mz_base.is_mine(grantee);
CREATE VIEW mz_internal.mz_show_my_object_privileges AS SELECT * FROM mz_internal.mz_show_object_privileges WHERE mz_base.is_mine(grantee);
CREATE VIEW mz_internal.mz_show_my_system_privileges AS SELECT * FROM mz_internal.mz_show_system_privileges WHERE mz_base.is_mine(grantee);
CREATE VIEW mz_internal.mz_sessions AS SELECT id, pid::uint4 AS connection_id, role_id, '127.0.0.1'::text AS client_ip, connected_at FROM mz_base.sessions;
CREATE VIEW mz_internal.mz_subscriptions AS SELECT 't' || u.id AS id, s.id AS session_id, u.cluster_id, u.created_at, u.objects AS referenced_object_ids
  FROM mz_base.subscriptions u JOIN mz_base.sessions s ON s.pid = u.pid;
CREATE VIEW mz_internal.mz_object_global_ids AS SELECT id, id AS global_id FROM mz_base.objects;
-- What was asked lately, as far as the setting log_statements has it logged. A real server samples a day.
CREATE VIEW mz_internal.mz_recent_activity_log AS SELECT application_name, role AS authenticated_user, sql, at AS began_at,
  CASE WHEN class IN ('constant', 'peek', 'slow_peek', 'dataflow') THEN 'select' ELSE lower(split_part(btrim(sql), ' ', 1)) END AS statement_type FROM mz_sandbox.statements;
-- Replicas and what runs on them. Everything is worked out from creation times, the clock and the steering tables.
CREATE FUNCTION mz_base.timing(text) RETURNS interval LANGUAGE sql STABLE AS $$ SELECT ms * interval '1 millisecond' FROM mz_sandbox.timings WHERE name = $1 $$;
CREATE FUNCTION mz_base.matches(name text, pattern text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 ~ ('^(?:' || $2 || ')$') $$;
CREATE VIEW mz_internal.mz_cluster_replica_status_history AS SELECT id AS replica_id, 0::int8::uint8 AS process_id, 'online'::text AS status, NULL::text AS reason,
  created_at AS occurred_at FROM mz_base.replicas
  UNION ALL SELECT r.id, 0::int8::uint8, e.status, e.reason, e.at FROM mz_sandbox.replica_events e JOIN mz_base.clusters c ON c.name = e.cluster
  JOIN mz_base.replicas r ON r.cluster_id = c.id AND r.name = e.replica;
CREATE VIEW mz_internal.mz_cluster_replica_statuses AS SELECT r.id AS replica_id, 0::int8::uint8 AS process_id, coalesce(e.status, 'online') AS status, e.reason,
  coalesce(e.at, r.created_at) AS updated_at FROM mz_base.replicas r JOIN mz_base.clusters c ON c.id = r.cluster_id
  LEFT JOIN LATERAL (SELECT * FROM mz_sandbox.replica_events e WHERE e.cluster = c.name AND e.replica = r.name ORDER BY e.at DESC, e.id DESC LIMIT 1) e ON true;
CREATE VIEW mz_base.dataflows AS SELECT o.id AS object_id, o.type, o.cluster_id, o.created_at, o.source_id, o.constant, rule.* FROM mz_base.objects o
  LEFT JOIN mz_base.schemas s ON s.id = o.schema_id LEFT JOIN LATERAL (SELECT
    (array_agg(r.hydrated ORDER BY r.id) FILTER (WHERE r.hydrated IS NOT NULL))[1] AS held,
    (array_agg(r.hydration_ms ORDER BY r.id) FILTER (WHERE r.hydration_ms IS NOT NULL))[1] * interval '1 millisecond' AS hydration,
    (array_agg(r.lag ORDER BY r.id) FILTER (WHERE r.lag IS NOT NULL))[1] AS lag,
    (array_agg(r.lag_unknown ORDER BY r.id) FILTER (WHERE r.lag_unknown IS NOT NULL))[1] AS lag_unknown,
    (array_agg(r.wallclock_lag ORDER BY r.id) FILTER (WHERE r.wallclock_lag IS NOT NULL))[1] AS wallclock_lag,
    (array_agg(r.wallclock_unknown ORDER BY r.id) FILTER (WHERE r.wallclock_unknown IS NOT NULL))[1] AS wallclock_unknown
    FROM mz_sandbox.objects r WHERE mz_base.matches(s.name || '.' || o.name, r.pattern)) rule ON true
  WHERE o.type IN ('materialized-view', 'index', 'source', 'sink', 'table');
CREATE VIEW mz_base.replica_health AS SELECT r.id, r.cluster_id, r.created_at, r.size, coalesce(k.hydrates, true) AND st.status = 'online' AS works
  FROM mz_base.replicas r JOIN mz_base.clusters c ON c.id = r.cluster_id JOIN mz_internal.mz_cluster_replica_statuses st ON st.replica_id = r.id
  LEFT JOIN LATERAL (SELECT k.hydrates FROM mz_sandbox.clusters k WHERE mz_base.matches(c.name, k.pattern) ORDER BY k.id LIMIT 1) k ON true;
CREATE VIEW mz_base.hydration AS SELECT d.object_id, d.type, r.id AS replica_id, r.works AND coalesce(d.held, clock_timestamp() >=
  greatest(d.created_at, r.created_at) + coalesce(d.hydration, mz_base.timing('hydration'))) AS hydrated, coalesce(d.hydration, mz_base.timing('hydration')) AS took
  FROM mz_base.dataflows d JOIN mz_base.replica_health r ON r.cluster_id = d.cluster_id WHERE d.type <> 'table';
CREATE VIEW mz_internal.mz_hydration_statuses AS SELECT object_id, replica_id, hydrated FROM mz_base.hydration
  UNION ALL SELECT d.object_id, NULL, false FROM mz_base.dataflows d WHERE d.type <> 'table' AND d.cluster_id IS NOT NULL
    AND NOT EXISTS (SELECT FROM mz_base.replicas r WHERE r.cluster_id = d.cluster_id)
  UNION ALL SELECT i.id, r.id, r.works FROM mz_base.replica_health r JOIN mz_base.introspection i ON i.cluster_id = r.cluster_id;
CREATE VIEW mz_internal.mz_compute_hydration_statuses AS SELECT object_id, replica_id, hydrated, CASE WHEN hydrated THEN took END AS hydration_time
  FROM mz_base.hydration WHERE type IN ('materialized-view', 'index')
  UNION ALL SELECT i.id, r.id, r.works, CASE WHEN r.works THEN interval '10 milliseconds' END FROM mz_base.replica_health r JOIN mz_base.introspection i ON i.cluster_id = r.cluster_id;
CREATE VIEW mz_base.hydrated AS SELECT d.*, d.type = 'table' OR d.cluster_id IS NULL OR EXISTS (SELECT FROM mz_base.hydration h WHERE h.object_id = d.object_id AND h.hydrated) AS ready
  FROM mz_base.dataflows d;
CREATE VIEW mz_internal.mz_materialization_lag AS SELECT object_id, known AS local_lag, known AS global_lag, slowest AS slowest_local_input_id, slowest AS slowest_global_input_id
  FROM (SELECT h.object_id, CASE WHEN h.ready AND NOT coalesce(h.lag_unknown, false) AND clock_timestamp() >= h.created_at + mz_base.timing('lag')
    THEN coalesce(h.lag, interval '0') END AS known, coalesce((SELECT min(x.referenced_object_id) FROM mz_base.dependencies x WHERE x.object_id = h.object_id), h.object_id) AS slowest
    FROM mz_base.hydrated h WHERE h.type IN ('materialized-view', 'index', 'sink') AND NOT (h.constant AND h.lag IS NULL AND h.lag_unknown IS NULL)) q;
CREATE VIEW mz_internal.mz_wallclock_global_lag AS SELECT object_id, CASE WHEN ready AND NOT coalesce(wallclock_unknown, false)
    AND clock_timestamp() >= created_at + mz_base.timing('wallclock_lag')
    THEN coalesce(wallclock_lag, greatest(interval '1 second', ceil(extract(epoch FROM lag)) * interval '1 second'), interval '1 second') END AS lag
  FROM mz_base.hydrated WHERE clock_timestamp() >= created_at + coalesce(mz_base.timing('wallclock_row'), mz_base.timing('wallclock_lag') / 2);
CREATE VIEW mz_internal.mz_wallclock_global_lag_recent_history AS SELECT object_id, lag, date_trunc('minute', clock_timestamp()) AS occurred_at FROM mz_internal.mz_wallclock_global_lag;
CREATE VIEW mz_internal.mz_frontiers AS SELECT object_id, (f - 1000)::mz_timestamp AS read_frontier, CASE WHEN NOT complete THEN f::mz_timestamp END AS write_frontier FROM (
  SELECT object_id, constant AND ready AND lag IS NULL AND type = 'materialized-view' AS complete, CASE WHEN ready THEN floor(extract(epoch FROM clock_timestamp() - interval '1 second' - coalesce(lag, interval '0')) * 1000)::int8 ELSE 1000 END AS f FROM mz_base.hydrated) q;
CREATE VIEW mz_internal.mz_sink_statuses AS SELECT o.id, o.name, o.subtype AS type, o.created_at AS last_status_change_at, coalesce(k.status, 'running') AS status, k.error,
  NULL::jsonb AS details FROM mz_base.objects o LEFT JOIN mz_base.schemas s ON s.id = o.schema_id LEFT JOIN LATERAL (SELECT k.status, k.error FROM mz_sandbox.sinks k
  WHERE mz_base.matches(s.name || '.' || o.name, k.pattern) ORDER BY k.id LIMIT 1) k ON true WHERE o.type = 'sink';
CREATE VIEW mz_internal.mz_source_statuses AS SELECT o.id, o.name, o.subtype AS type, o.created_at AS last_status_change_at, 'running'::text AS status, NULL::text AS error,
  NULL::jsonb AS details FROM mz_base.objects o WHERE o.type = 'source';
