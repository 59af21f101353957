--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: cutover; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA cutover;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: deployments; Type: TABLE; Schema: cutover; Owner: -
--

CREATE TABLE cutover.deployments (
    number bigint NOT NULL,
    id text NOT NULL COLLATE pg_catalog."C",
    environment text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL,
    active boolean NOT NULL,
    attempt bigint NOT NULL,
    plan text NOT NULL,
    request text NOT NULL,
    reason text,
    created_at text NOT NULL,
    updated_at text NOT NULL,
    finished_at text,
    CONSTRAINT deployments_attempt_check CHECK ((attempt >= 1)),
    CONSTRAINT deployments_check CHECK (((finished_at IS NULL) = active))
);


--
-- Name: deployments_number_seq; Type: SEQUENCE; Schema: cutover; Owner: -
--

ALTER TABLE cutover.deployments ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME cutover.deployments_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: effects; Type: TABLE; Schema: cutover; Owner: -
--

CREATE TABLE cutover.effects (
    number bigint NOT NULL,
    deployment_id text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    attempt bigint NOT NULL,
    intent text NOT NULL,
    started_at text NOT NULL,
    result text,
    finished_at text,
    CONSTRAINT effects_attempt_check CHECK ((attempt >= 1)),
    CONSTRAINT effects_check CHECK (((result IS NULL) = (finished_at IS NULL)))
);


--
-- Name: effects_number_seq; Type: SEQUENCE; Schema: cutover; Owner: -
--

ALTER TABLE cutover.effects ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME cutover.effects_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: events; Type: TABLE; Schema: cutover; Owner: -
--

CREATE TABLE cutover.events (
    deployment_id text NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    at text NOT NULL,
    kind text NOT NULL,
    body text NOT NULL,
    state_after text NOT NULL,
    CONSTRAINT events_seq_check CHECK ((seq >= 1))
);


--
-- Name: leads; Type: TABLE; Schema: cutover; Owner: -
--

CREATE TABLE cutover.leads (
    environment text NOT NULL COLLATE pg_catalog."C",
    epoch bigint NOT NULL,
    host text NOT NULL,
    pid bigint NOT NULL,
    since text NOT NULL,
    CONSTRAINT leads_epoch_check CHECK ((epoch >= 1))
);


--
-- Name: refinery_schema_history; Type: TABLE; Schema: cutover; Owner: -
--

CREATE TABLE cutover.refinery_schema_history (
    version integer NOT NULL,
    name character varying(255),
    applied_on character varying(255),
    checksum character varying(255)
);


--
-- Data for Name: deployments; Type: TABLE DATA; Schema: cutover; Owner: -
--

INSERT INTO cutover.deployments OVERRIDING SYSTEM VALUE VALUES (2, '01a22fbb-752a-730d-bd61-09929421f963', 'prod', 'soaking', true, 2, '{"version":1,"mode":"slim","strategy":"swap","environment":"prod","target":"prod","project":"shop","database":"materialize","server":"sandbox-2d7dcbcb-eb25-44b0-826c-c8f10775f105-0","manifest_hash":"e27983c4a3785c7ee8d80e212e2cc481e1220f3ad4144265bebf4deaf0071662","green_manifest_hash":"740b573045b78d333bced4e4542e9870545691d36962a493da5d437e76f557dd","baseline":{"generation":1,"deployment":"01a22fbb-363b-7219-84be-0d1a1c640a4f"},"schemas":[{"name":"shop_marts","green":"shop_marts_dbt_deploy","id":"u208","owner":"materialize","grants":[],"default_privileges":[],"comment":null,"objects":[{"id":"u1010","name":"counts","kind":"materialized-view","owner":"materialize","grants":[],"comment":null,"column_comments":[]},{"id":"u1011","name":"counts_by_n","kind":"index","owner":"materialize","grants":[],"comment":null,"column_comments":[]},{"id":"u1012","name":"totals","kind":"materialized-view","owner":"materialize","grants":[],"comment":null,"column_comments":[]}]},{"name":"shop_serving","green":"shop_serving_dbt_deploy","id":"u209","owner":"materialize","grants":[],"default_privileges":[],"comment":null,"objects":[{"id":"u1013","name":"report","kind":"view","owner":"materialize","grants":[],"comment":null,"column_comments":[]},{"id":"u1014","name":"report_index","kind":"index","owner":"materialize","grants":[],"comment":null,"column_comments":[]}]}],"clusters":[{"name":"shop_compute","green":"shop_compute_dbt_deploy","id":"u4","owner":"materialize","grants":[],"comment":null,"definition":{"kind":"managed","options":"INTROSPECTION DEBUGGING = false, INTROSPECTION INTERVAL = INTERVAL ''00:00:01'', MANAGED = true, REPLICATION FACTOR = 1, SIZE = ''25cc'', SCHEDULE = MANUAL"},"scratch":false},{"name":"shop_serve","green":"shop_serve_dbt_deploy","id":"u5","owner":"materialize","grants":[],"comment":null,"definition":{"kind":"managed","options":"INTROSPECTION DEBUGGING = false, INTROSPECTION INTERVAL = INTERVAL ''00:00:01'', MANAGED = true, REPLICATION FACTOR = 1, SIZE = ''25cc'', SCHEDULE = MANUAL"},"scratch":false}],"nodes":[{"unique_id":"model.shop.counts","schema":"shop_marts","identifier":"counts","materialized":"materialized_view","kind":"materialized-view","cluster":"shop_compute","indexes":1,"persists_relation_comment":false,"persists_column_comments":false,"reason":"shares schema shop_marts with model.shop.totals"},{"unique_id":"model.shop.report","schema":"shop_serving","identifier":"report","materialized":"view","kind":"view","cluster":"shop_serve","indexes":1,"persists_relation_comment":false,"persists_column_comments":false,"reason":"changed: body"},{"unique_id":"model.shop.totals","schema":"shop_marts","identifier":"totals","materialized":"materialized_view","kind":"materialized-view","cluster":"shop_compute","indexes":0,"persists_relation_comment":false,"persists_column_comments":false,"reason":"changed: body"}],"build_selectors":["fqn:shop.marts.counts","fqn:shop.serving.report","fqn:shop.marts.totals"],"tests":[],"test_selectors":[],"test_cluster":null,"indexes":[],"sinks":[],"gains":[],"loses":[],"columns":[],"estimated_hydration_ms":340,"held_back":{},"held_back_schemas":{},"accepted":[],"notes":[]}', '{"kind":"changed","promotion":"manual","cleanup":"manual","soak":"0s","allow":[],"bootstrap":false}', NULL, '2026-12-01T03:52:24.107Z', '2026-12-01T03:52:31.814Z', NULL);
INSERT INTO cutover.deployments OVERRIDING SYSTEM VALUE VALUES (1, '01a22fbb-363b-7219-84be-0d1a1c640a4f', 'prod', 'done', false, 1, '{"version":1,"mode":"full","strategy":"swap","environment":"prod","target":"prod","project":"shop","database":"materialize","server":"sandbox-2d7dcbcb-eb25-44b0-826c-c8f10775f105-0","manifest_hash":"4de277ee7f314e12132f8ab3266a8501d3010ac123b99ab55c335d50823c51b4","green_manifest_hash":"b167dfaa97a6bed1aa266001c1a55f55d89b1d6ec2f483e3e64662337a0e0e8d","baseline":{"generation":null,"deployment":null},"schemas":[{"name":"shop_marts","green":"shop_marts_dbt_deploy","id":"u205","owner":"materialize","grants":[],"default_privileges":[],"comment":null,"objects":[{"id":"u1004","name":"counts","kind":"materialized-view","owner":"materialize","grants":[],"comment":null,"column_comments":[]},{"id":"u1005","name":"counts_by_n","kind":"index","owner":"materialize","grants":[],"comment":null,"column_comments":[]},{"id":"u1003","name":"totals","kind":"materialized-view","owner":"materialize","grants":[],"comment":null,"column_comments":[]}]},{"name":"shop_serving","green":"shop_serving_dbt_deploy","id":"u206","owner":"materialize","grants":[],"default_privileges":[],"comment":null,"objects":[{"id":"u1006","name":"report","kind":"view","owner":"materialize","grants":[],"comment":null,"column_comments":[]},{"id":"u1007","name":"report_index","kind":"index","owner":"materialize","grants":[],"comment":null,"column_comments":[]}]},{"name":"shop_staging","green":"shop_staging_dbt_deploy","id":"u204","owner":"materialize","grants":[],"default_privileges":[],"comment":null,"objects":[{"id":"u1001","name":"orders","kind":"table","owner":"materialize","grants":[],"comment":null,"column_comments":[]},{"id":"u1002","name":"stg_orders","kind":"view","owner":"materialize","grants":[],"comment":null,"column_comments":[]}]}],"clusters":[{"name":"shop_compute","green":"shop_compute_dbt_deploy","id":"u2","owner":"materialize","grants":[],"comment":null,"definition":{"kind":"managed","options":"INTROSPECTION DEBUGGING = false, INTROSPECTION INTERVAL = INTERVAL ''00:00:01'', MANAGED = true, REPLICATION FACTOR = 1, SIZE = ''25cc'', SCHEDULE = MANUAL"},"scratch":false},{"name":"shop_serve","green":"shop_serve_dbt_deploy","id":"u3","owner":"materialize","grants":[],"comment":null,"definition":{"kind":"managed","options":"INTROSPECTION DEBUGGING = false, INTROSPECTION INTERVAL = INTERVAL ''00:00:01'', MANAGED = true, REPLICATION FACTOR = 1, SIZE = ''25cc'', SCHEDULE = MANUAL"},"scratch":false}],"nodes":[{"unique_id":"model.shop.counts","schema":"shop_marts","identifier":"counts","materialized":"materialized_view","kind":"materialized-view","cluster":"shop_compute","indexes":1,"persists_relation_comment":false,"persists_column_comments":false,"reason":"full release"},{"unique_id":"model.shop.report","schema":"shop_serving","identifier":"report","materialized":"view","kind":"view","cluster":"shop_serve","indexes":1,"persists_relation_comment":false,"persists_column_comments":false,"reason":"full release"},{"unique_id":"model.shop.stg_orders","schema":"shop_staging","identifier":"stg_orders","materialized":"view","kind":"view","cluster":null,"indexes":0,"persists_relation_comment":false,"persists_column_comments":false,"reason":"full release"},{"unique_id":"model.shop.totals","schema":"shop_marts","identifier":"totals","materialized":"materialized_view","kind":"materialized-view","cluster":"shop_compute","indexes":0,"persists_relation_comment":false,"persists_column_comments":false,"reason":"full release"},{"unique_id":"seed.shop.orders","schema":"shop_staging","identifier":"orders","materialized":"seed","kind":"table","cluster":null,"indexes":0,"persists_relation_comment":false,"persists_column_comments":false,"reason":"full release"}],"build_selectors":["fqn:shop.marts.counts","fqn:shop.serving.report","fqn:shop.staging.stg_orders","fqn:shop.marts.totals","fqn:shop.orders"],"tests":[],"test_selectors":[],"test_cluster":null,"indexes":[],"sinks":[],"gains":[],"loses":[],"columns":[],"estimated_hydration_ms":null,"held_back":{},"held_back_schemas":{},"accepted":[],"notes":[]}', '{"kind":"full","promotion":"automatic","cleanup":"automatic","soak":"0s","allow":[],"bootstrap":false}', NULL, '2026-12-01T03:52:07.995Z', '2026-12-01T03:52:15.217Z', '2026-12-01T03:52:15.217Z');


--
-- Data for Name: effects; Type: TABLE DATA; Schema: cutover; Owner: -
--

INSERT INTO cutover.effects OVERRIDING SYSTEM VALUE VALUES (1, '01a22fbb-363b-7219-84be-0d1a1c640a4f', 'create', 1, '[{"what":"schema","of":"shop_marts","secret":"cutover_01a22fbb363b721984be0d1a1c640a4f_green_0","becomes":"shop_marts_dbt_deploy","bootstrapped":false},{"what":"schema","of":"shop_serving","secret":"cutover_01a22fbb363b721984be0d1a1c640a4f_green_1","becomes":"shop_serving_dbt_deploy","bootstrapped":false},{"what":"schema","of":"shop_staging","secret":"cutover_01a22fbb363b721984be0d1a1c640a4f_green_2","becomes":"shop_staging_dbt_deploy","bootstrapped":false},{"what":"cluster","of":"shop_compute","secret":"cutover_01a22fbb363b721984be0d1a1c640a4f_green_3","becomes":"shop_compute_dbt_deploy","bootstrapped":false},{"what":"cluster","of":"shop_serve","secret":"cutover_01a22fbb363b721984be0d1a1c640a4f_green_4","becomes":"shop_serve_dbt_deploy","bootstrapped":false}]', '2026-12-01T03:52:08.011Z', '{"control":"u207","blue_schemas":{"shop_marts":"u205","shop_serving":"u206","shop_staging":"u204"},"green_schemas":{"shop_marts":"u208","shop_serving":"u209","shop_staging":"u210"},"blue_clusters":{"shop_compute":"u2","shop_serve":"u3"},"green_clusters":{"shop_compute":"u4","shop_serve":"u5"},"created":[]}', '2026-12-01T03:52:08.058Z');
INSERT INTO cutover.effects OVERRIDING SYSTEM VALUE VALUES (2, '01a22fbb-363b-7219-84be-0d1a1c640a4f', 'name', 1, '[{"what":"schema","of":"shop_marts","secret":"cutover_01a22fbb363b721984be0d1a1c640a4f_green_0","becomes":"shop_marts_dbt_deploy","bootstrapped":false},{"what":"schema","of":"shop_serving","secret":"cutover_01a22fbb363b721984be0d1a1c640a4f_green_1","becomes":"shop_serving_dbt_deploy","bootstrapped":false},{"what":"schema","of":"shop_staging","secret":"cutover_01a22fbb363b721984be0d1a1c640a4f_green_2","becomes":"shop_staging_dbt_deploy","bootstrapped":false},{"what":"cluster","of":"shop_compute","secret":"cutover_01a22fbb363b721984be0d1a1c640a4f_green_3","becomes":"shop_compute_dbt_deploy","bootstrapped":false},{"what":"cluster","of":"shop_serve","secret":"cutover_01a22fbb363b721984be0d1a1c640a4f_green_4","becomes":"shop_serve_dbt_deploy","bootstrapped":false}]', '2026-12-01T03:52:08.113Z', 'true', '2026-12-01T03:52:08.238Z');
INSERT INTO cutover.effects OVERRIDING SYSTEM VALUE VALUES (3, '01a22fbb-363b-7219-84be-0d1a1c640a4f', 'record green', 1, '5', '2026-12-01T03:52:14.014Z', '[{"id":"u1010","schema":"shop_marts","name":"counts","kind":"materialized-view","cluster_id":"u4"},{"id":"u1011","schema":"shop_marts","name":"counts_by_n","kind":"index","cluster_id":"u4"},{"id":"u1012","schema":"shop_marts","name":"totals","kind":"materialized-view","cluster_id":"u4"},{"id":"u1013","schema":"shop_serving","name":"report","kind":"view","cluster_id":null},{"id":"u1014","schema":"shop_serving","name":"report_index","kind":"index","cluster_id":"u5"},{"id":"u1008","schema":"shop_staging","name":"orders","kind":"table","cluster_id":null},{"id":"u1009","schema":"shop_staging","name":"stg_orders","kind":"view","cluster_id":null}]', '2026-12-01T03:52:14.073Z');
INSERT INTO cutover.effects OVERRIDING SYSTEM VALUE VALUES (4, '01a22fbb-363b-7219-84be-0d1a1c640a4f', 'keep artifacts', 1, '{"generation":null,"deployment":null}', '2026-12-01T03:52:14.416Z', 'true', '2026-12-01T03:52:14.526Z');
INSERT INTO cutover.effects OVERRIDING SYSTEM VALUE VALUES (5, '01a22fbb-363b-7219-84be-0d1a1c640a4f', 'swap', 1, '["ALTER SCHEMA \"materialize\".\"cutover_01a22fbb363b721984be0d1a1c640a4f_gen_0\" RENAME TO \"cutover_01a22fbb363b721984be0d1a1c640a4f_gen_1\"","ALTER SCHEMA \"shop_marts\" SWAP WITH \"shop_marts_dbt_deploy\"","ALTER SCHEMA \"shop_serving\" SWAP WITH \"shop_serving_dbt_deploy\"","ALTER SCHEMA \"shop_staging\" SWAP WITH \"shop_staging_dbt_deploy\"","ALTER CLUSTER \"shop_compute\" SWAP WITH \"shop_compute_dbt_deploy\"","ALTER CLUSTER \"shop_serve\" SWAP WITH \"shop_serve_dbt_deploy\""]', '2026-12-01T03:52:14.889Z', 'true', '2026-12-01T03:52:14.973Z');
INSERT INTO cutover.effects OVERRIDING SYSTEM VALUE VALUES (6, '01a22fbb-363b-7219-84be-0d1a1c640a4f', 'settle', 1, '[]', '2026-12-01T03:52:14.976Z', 'true', '2026-12-01T03:52:14.999Z');
INSERT INTO cutover.effects OVERRIDING SYSTEM VALUE VALUES (7, '01a22fbb-363b-7219-84be-0d1a1c640a4f', 'publish baseline', 1, 'null', '2026-12-01T03:52:15.000Z', '1', '2026-12-01T03:52:15.024Z');
INSERT INTO cutover.effects OVERRIDING SYSTEM VALUE VALUES (8, '01a22fbb-363b-7219-84be-0d1a1c640a4f', 'drop old side', 1, '[[["u205","shop_marts"],["u206","shop_serving"],["u204","shop_staging"]],[["u2","shop_compute"],["u3","shop_serve"]]]', '2026-12-01T03:52:15.035Z', 'true', '2026-12-01T03:52:15.210Z');
INSERT INTO cutover.effects OVERRIDING SYSTEM VALUE VALUES (9, '01a22fbb-752a-730d-bd61-09929421f963', 'create', 1, '[{"what":"schema","of":"shop_marts","secret":"cutover_01a22fbb752a730dbd6109929421f963_green_0","becomes":"shop_marts_dbt_deploy","bootstrapped":false},{"what":"schema","of":"shop_serving","secret":"cutover_01a22fbb752a730dbd6109929421f963_green_1","becomes":"shop_serving_dbt_deploy","bootstrapped":false},{"what":"cluster","of":"shop_compute","secret":"cutover_01a22fbb752a730dbd6109929421f963_green_2","becomes":"shop_compute_dbt_deploy","bootstrapped":false},{"what":"cluster","of":"shop_serve","secret":"cutover_01a22fbb752a730dbd6109929421f963_green_3","becomes":"shop_serve_dbt_deploy","bootstrapped":false}]', '2026-12-01T03:52:24.115Z', '{"control":"u211","blue_schemas":{"shop_marts":"u208","shop_serving":"u209"},"green_schemas":{"shop_marts":"u212","shop_serving":"u213"},"blue_clusters":{"shop_compute":"u4","shop_serve":"u5"},"green_clusters":{"shop_compute":"u6","shop_serve":"u7"},"created":[]}', '2026-12-01T03:52:24.138Z');
INSERT INTO cutover.effects OVERRIDING SYSTEM VALUE VALUES (10, '01a22fbb-752a-730d-bd61-09929421f963', 'name', 1, '[{"what":"schema","of":"shop_marts","secret":"cutover_01a22fbb752a730dbd6109929421f963_green_0","becomes":"shop_marts_dbt_deploy","bootstrapped":false},{"what":"schema","of":"shop_serving","secret":"cutover_01a22fbb752a730dbd6109929421f963_green_1","becomes":"shop_serving_dbt_deploy","bootstrapped":false},{"what":"cluster","of":"shop_compute","secret":"cutover_01a22fbb752a730dbd6109929421f963_green_2","becomes":"shop_compute_dbt_deploy","bootstrapped":false},{"what":"cluster","of":"shop_serve","secret":"cutover_01a22fbb752a730dbd6109929421f963_green_3","becomes":"shop_serve_dbt_deploy","bootstrapped":false}]', '2026-12-01T03:52:24.208Z', 'true', '2026-12-01T03:52:24.295Z');
INSERT INTO cutover.effects OVERRIDING SYSTEM VALUE VALUES (11, '01a22fbb-752a-730d-bd61-09929421f963', 'record green', 1, '3', '2026-12-01T03:52:30.601Z', '[{"id":"u1015","schema":"shop_marts","name":"counts","kind":"materialized-view","cluster_id":"u6"},{"id":"u1016","schema":"shop_marts","name":"counts_by_n","kind":"index","cluster_id":"u6"},{"id":"u1017","schema":"shop_marts","name":"totals","kind":"materialized-view","cluster_id":"u6"},{"id":"u1018","schema":"shop_serving","name":"report","kind":"view","cluster_id":null},{"id":"u1019","schema":"shop_serving","name":"report_index","kind":"index","cluster_id":"u7"}]', '2026-12-01T03:52:30.681Z');
INSERT INTO cutover.effects OVERRIDING SYSTEM VALUE VALUES (12, '01a22fbb-752a-730d-bd61-09929421f963', 'keep artifacts', 1, '{"generation":1,"deployment":"01a22fbb-363b-7219-84be-0d1a1c640a4f"}', '2026-12-01T03:52:31.018Z', 'true', '2026-12-01T03:52:31.174Z');
INSERT INTO cutover.effects OVERRIDING SYSTEM VALUE VALUES (13, '01a22fbb-752a-730d-bd61-09929421f963', 'swap', 1, '["ALTER SCHEMA \"materialize\".\"cutover_01a22fbb752a730dbd6109929421f963_gen_0\" RENAME TO \"cutover_01a22fbb752a730dbd6109929421f963_gen_1\"","ALTER SCHEMA \"shop_marts\" SWAP WITH \"shop_marts_dbt_deploy\"","ALTER SCHEMA \"shop_serving\" SWAP WITH \"shop_serving_dbt_deploy\"","ALTER CLUSTER \"shop_compute\" SWAP WITH \"shop_compute_dbt_deploy\"","ALTER CLUSTER \"shop_serve\" SWAP WITH \"shop_serve_dbt_deploy\""]', '2026-12-01T03:52:31.747Z', 'true', '2026-12-01T03:52:31.809Z');
INSERT INTO cutover.effects OVERRIDING SYSTEM VALUE VALUES (14, '01a22fbb-752a-730d-bd61-09929421f963', 'settle', 1, '[]', '2026-12-01T03:52:31.816Z', 'true', '2026-12-01T03:52:31.862Z');
INSERT INTO cutover.effects OVERRIDING SYSTEM VALUE VALUES (15, '01a22fbb-752a-730d-bd61-09929421f963', 'publish baseline', 1, '1', '2026-12-01T03:52:31.863Z', '2', '2026-12-01T03:52:31.877Z');


--
-- Data for Name: events; Type: TABLE DATA; Schema: cutover; Owner: -
--

INSERT INTO cutover.events VALUES ('01a22fbb-363b-7219-84be-0d1a1c640a4f', 1, '2026-12-01T03:52:07.995Z', 'plan_stored', '{"kind":"plan_stored"}', 'planned');
INSERT INTO cutover.events VALUES ('01a22fbb-363b-7219-84be-0d1a1c640a4f', 2, '2026-12-01T03:52:08.010Z', 'staging_started', '{"kind":"staging_started"}', 'staging');
INSERT INTO cutover.events VALUES ('01a22fbb-363b-7219-84be-0d1a1c640a4f', 3, '2026-12-01T03:52:08.240Z', 'staged', '{"kind":"staged"}', 'building');
INSERT INTO cutover.events VALUES ('01a22fbb-363b-7219-84be-0d1a1c640a4f', 4, '2026-12-01T03:52:14.074Z', 'built', '{"kind":"built"}', 'hydrating');
INSERT INTO cutover.events VALUES ('01a22fbb-363b-7219-84be-0d1a1c640a4f', 5, '2026-12-01T03:52:14.414Z', 'hydrated', '{"kind":"hydrated"}', 'verifying');
INSERT INTO cutover.events VALUES ('01a22fbb-363b-7219-84be-0d1a1c640a4f', 6, '2026-12-01T03:52:14.567Z', 'verified', '{"kind":"verified"}', 'ready');
INSERT INTO cutover.events VALUES ('01a22fbb-363b-7219-84be-0d1a1c640a4f', 7, '2026-12-01T03:52:14.882Z', 'promotion_started', '{"kind":"promotion_started"}', 'cutting_over');
INSERT INTO cutover.events VALUES ('01a22fbb-363b-7219-84be-0d1a1c640a4f', 8, '2026-12-01T03:52:14.975Z', 'swap_committed', '{"kind":"swap_committed"}', 'soaking');
INSERT INTO cutover.events VALUES ('01a22fbb-363b-7219-84be-0d1a1c640a4f', 9, '2026-12-01T03:52:15.033Z', 'soaked', '{"kind":"soaked"}', 'cleaning_up');
INSERT INTO cutover.events VALUES ('01a22fbb-363b-7219-84be-0d1a1c640a4f', 10, '2026-12-01T03:52:15.217Z', 'cleaned_up', '{"kind":"cleaned_up"}', 'done');
INSERT INTO cutover.events VALUES ('01a22fbb-752a-730d-bd61-09929421f963', 1, '2026-12-01T03:52:24.107Z', 'plan_stored', '{"kind":"plan_stored"}', 'planned');
INSERT INTO cutover.events VALUES ('01a22fbb-752a-730d-bd61-09929421f963', 2, '2026-12-01T03:52:24.114Z', 'staging_started', '{"kind":"staging_started"}', 'staging');
INSERT INTO cutover.events VALUES ('01a22fbb-752a-730d-bd61-09929421f963', 3, '2026-12-01T03:52:24.297Z', 'staged', '{"kind":"staged"}', 'building');
INSERT INTO cutover.events VALUES ('01a22fbb-752a-730d-bd61-09929421f963', 4, '2026-12-01T03:52:30.683Z', 'built', '{"kind":"built"}', 'hydrating');
INSERT INTO cutover.events VALUES ('01a22fbb-752a-730d-bd61-09929421f963', 5, '2026-12-01T03:52:31.013Z', 'hydrated', '{"kind":"hydrated"}', 'verifying');
INSERT INTO cutover.events VALUES ('01a22fbb-752a-730d-bd61-09929421f963', 6, '2026-12-01T03:52:31.194Z', 'verified', '{"kind":"verified"}', 'ready');
INSERT INTO cutover.events VALUES ('01a22fbb-752a-730d-bd61-09929421f963', 7, '2026-12-01T03:52:31.745Z', 'promotion_started', '{"kind":"promotion_started"}', 'cutting_over');
INSERT INTO cutover.events VALUES ('01a22fbb-752a-730d-bd61-09929421f963', 8, '2026-12-01T03:52:31.814Z', 'swap_committed', '{"kind":"swap_committed"}', 'soaking');


--
-- Data for Name: leads; Type: TABLE DATA; Schema: cutover; Owner: -
--

INSERT INTO cutover.leads VALUES ('prod', 3, 'vm', 13807, '2026-12-01T03:52:31.287Z');


--
-- Data for Name: refinery_schema_history; Type: TABLE DATA; Schema: cutover; Owner: -
--

INSERT INTO cutover.refinery_schema_history VALUES (1, 'journal', '2026-12-01T03:51:59.79430292Z', '9801394996113210877');


--
-- Name: deployments_number_seq; Type: SEQUENCE SET; Schema: cutover; Owner: -
--

SELECT pg_catalog.setval('cutover.deployments_number_seq', 2, true);


--
-- Name: effects_number_seq; Type: SEQUENCE SET; Schema: cutover; Owner: -
--

SELECT pg_catalog.setval('cutover.effects_number_seq', 15, true);


--
-- Name: deployments deployments_id_key; Type: CONSTRAINT; Schema: cutover; Owner: -
--

ALTER TABLE ONLY cutover.deployments
    ADD CONSTRAINT deployments_id_key UNIQUE (id);


--
-- Name: deployments deployments_pkey; Type: CONSTRAINT; Schema: cutover; Owner: -
--

ALTER TABLE ONLY cutover.deployments
    ADD CONSTRAINT deployments_pkey PRIMARY KEY (number);


--
-- Name: effects effects_deployment_id_key_key; Type: CONSTRAINT; Schema: cutover; Owner: -
--

ALTER TABLE ONLY cutover.effects
    ADD CONSTRAINT effects_deployment_id_key_key UNIQUE (deployment_id, key);


--
-- Name: effects effects_pkey; Type: CONSTRAINT; Schema: cutover; Owner: -
--

ALTER TABLE ONLY cutover.effects
    ADD CONSTRAINT effects_pkey PRIMARY KEY (number);


--
-- Name: events events_pkey; Type: CONSTRAINT; Schema: cutover; Owner: -
--

ALTER TABLE ONLY cutover.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (deployment_id, seq);


--
-- Name: leads leads_pkey; Type: CONSTRAINT; Schema: cutover; Owner: -
--

ALTER TABLE ONLY cutover.leads
    ADD CONSTRAINT leads_pkey PRIMARY KEY (environment);


--
-- Name: refinery_schema_history refinery_schema_history_pkey; Type: CONSTRAINT; Schema: cutover; Owner: -
--

ALTER TABLE ONLY cutover.refinery_schema_history
    ADD CONSTRAINT refinery_schema_history_pkey PRIMARY KEY (version);


--
-- Name: deployments_active; Type: INDEX; Schema: cutover; Owner: -
--

CREATE UNIQUE INDEX deployments_active ON cutover.deployments USING btree (environment) WHERE active;


--
-- Name: deployments_history; Type: INDEX; Schema: cutover; Owner: -
--

CREATE INDEX deployments_history ON cutover.deployments USING btree (environment, number);


--
-- Name: effects effects_deployment_id_fkey; Type: FK CONSTRAINT; Schema: cutover; Owner: -
--

ALTER TABLE ONLY cutover.effects
    ADD CONSTRAINT effects_deployment_id_fkey FOREIGN KEY (deployment_id) REFERENCES cutover.deployments(id);


--
-- Name: events events_deployment_id_fkey; Type: FK CONSTRAINT; Schema: cutover; Owner: -
--

ALTER TABLE ONLY cutover.events
    ADD CONSTRAINT events_deployment_id_fkey FOREIGN KEY (deployment_id) REFERENCES cutover.deployments(id);


--
-- PostgreSQL database dump complete
--


