-- Steering tables, open to every role: see tests/sandbox/README.md.
CREATE TABLE mz_sandbox.timings (name text PRIMARY KEY, ms bigint NOT NULL);
INSERT INTO mz_sandbox.timings VALUES ('hydration', 150), ('lag', 300), ('wallclock_lag', 1200);
CREATE TABLE mz_sandbox.objects (id serial PRIMARY KEY, pattern text NOT NULL, hydrated boolean, hydration_ms bigint, lag interval,
  lag_unknown boolean, wallclock_lag interval, wallclock_unknown boolean);
CREATE TABLE mz_sandbox.clusters (id serial PRIMARY KEY, pattern text NOT NULL, hydrates boolean NOT NULL DEFAULT false);
CREATE TABLE mz_sandbox.replica_events (id serial PRIMARY KEY, cluster text NOT NULL, replica text NOT NULL DEFAULT 'r1', status text NOT NULL
  DEFAULT 'offline', reason text, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE mz_sandbox.sinks (id serial PRIMARY KEY, pattern text NOT NULL, status text NOT NULL DEFAULT 'stalled', error text);
CREATE TABLE mz_sandbox.faults (id serial PRIMARY KEY, pattern text NOT NULL, application_name text, nth bigint NOT NULL DEFAULT 1,
  times bigint DEFAULT 1, action text NOT NULL CHECK (action IN ('error', 'delay', 'hang', 'cut_before', 'cut_after', 'hang_after', 'outage')),
  argument text, hits bigint NOT NULL DEFAULT 0, held bigint NOT NULL DEFAULT 0);
CREATE TABLE mz_sandbox.settings (name text PRIMARY KEY, value text NOT NULL);
INSERT INTO mz_sandbox.settings VALUES ('log_statements', 'off'), ('costs', 'off');
CREATE TABLE mz_sandbox.statements (id serial PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(), application_name text, role text, sql text,
  class text, kind text, reads text, cost_ms double precision);
CREATE VIEW mz_sandbox.counters AS SELECT application_name, class, reads, count(*) AS statements, sum(cost_ms) AS cost_ms FROM mz_sandbox.statements
  WHERE class IS NOT NULL GROUP BY application_name, class, reads;
