#!/usr/bin/env python3
"""Makes the fixtures of this folder with a program of an earlier time; README.md says how.

    .venv/bin/python tests/upgrade/make.py --old PROGRAM --sandbox target/debug/mz-sandbox \\
        --postgres /usr/lib/postgresql/15/bin
"""

import argparse
import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

import psycopg2

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent

# As tests/support/world.rs has it.
PRODUCTION = """
CREATE SCHEMA shop_staging;
CREATE SCHEMA shop_marts;
CREATE SCHEMA shop_serving;
CREATE TABLE shop_staging.orders (id int, customer text, amount int);
INSERT INTO shop_staging.orders VALUES (1, 'ada', 10), (2, 'bob', 20), (3, 'ada', 5);
CREATE VIEW shop_staging.stg_orders AS SELECT id, customer, amount FROM shop_staging.orders;
CREATE MATERIALIZED VIEW shop_marts.totals IN CLUSTER shop_compute AS SELECT customer, sum(amount) AS total, 1 AS release FROM shop_staging.stg_orders GROUP BY customer;
CREATE MATERIALIZED VIEW shop_marts.counts IN CLUSTER shop_compute AS SELECT count(*) AS n FROM shop_staging.stg_orders;
CREATE INDEX counts_by_n IN CLUSTER shop_compute ON shop_marts.counts (n);
CREATE VIEW shop_serving.report AS SELECT t.customer, t.total, c.n, 1 AS release FROM shop_marts.totals t CROSS JOIN shop_marts.counts c;
CREATE INDEX report_index IN CLUSTER shop_serve ON shop_serving.report (customer);
"""

# What the stand-in was told that makes a difference to what there is.
CHANGES = """
SELECT sql FROM mz_sandbox.statements WHERE class IN ('ddl', 'write') OR kind IN ('BEGIN', 'COMMIT', 'ROLLBACK')
ORDER BY id
"""

NAMES = """
SELECT 'cluster', name, id FROM mz_catalog.mz_clusters WHERE id LIKE 'u%'
UNION ALL SELECT 'schema', name, id FROM mz_catalog.mz_schemas WHERE id LIKE 'u%'
UNION ALL SELECT 'object', s.name || '.' || o.name, o.id
    FROM mz_catalog.mz_objects o JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id WHERE o.id LIKE 'u%'
ORDER BY 1, 2
"""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--old", required=True, type=Path)
    parser.add_argument("--sandbox", required=True, type=Path)
    parser.add_argument("--postgres", type=Path, help="folder of PostgreSQL's programs, for a journal there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Making(given, Path(folder)).run()
    if given.postgres:
        with tempfile.TemporaryDirectory() as folder, Postgres(given.postgres) as postgres:
            Making(given, Path(folder), postgres).run()


class Postgres:
    """A server for a journal. It does not run as root."""

    def __init__(self, programs):
        self.programs = programs

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.place = Path(self.folder.name)
        self.place.chmod(0o777)
        self.run("initdb", "--pgdata", self.place / "data", "--username", "mz", "--auth", "trust", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={self.place} -c fsync=off"
        self.run("pg_ctl", "--pgdata", self.place / "data", "--wait", "-o", options, "-l", self.place / "log", "start")
        self.url = f"postgres://mz@{str(self.place).replace('/', '%2F')}/postgres"
        return self

    def __exit__(self, *_):
        self.run("pg_ctl", "--pgdata", self.place / "data", "--mode", "immediate", "stop")
        self.folder.cleanup()

    def run(self, program, *words):
        other = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"] if os.geteuid() == 0 else []
        return subprocess.run([*other, self.programs / program, *words], check=True, text=True, stdout=subprocess.PIPE, cwd="/").stdout

    def dump(self):
        said = self.run("pg_dump", "--inserts", "--no-owner", "--host", self.place, "--username", "mz", "postgres")
        # What psql alone understands.
        return "".join(f"{line}\n" for line in said.splitlines() if not line.startswith("\\"))


class Making:
    def __init__(self, given, folder, postgres=None):
        self.postgres = postgres
        self.old = given.old.resolve()
        self.sandbox = given.sandbox.resolve()
        self.project = folder / "project"
        shutil.copytree(REPOSITORY / "tests/fixtures/shop", self.project)
        # A release without tests starts dbt once less, and so does whoever goes on with it.
        (self.project / "models/schema.yml").unlink()
        (self.project / "tests/no_negative_totals.sql").unlink()
        self.home = folder / "home"
        self.home.mkdir()

    def run(self):
        server = subprocess.Popen([self.sandbox], stdout=subprocess.PIPE, text=True)
        try:
            url = server.stdout.readline().split()[2]
            self.connection = psycopg2.connect(url)
            self.connection.autocommit = True
            port = url.rsplit(":", 1)[1].split("/")[0]
            self.profile(port)
            self.release()
        finally:
            server.terminate()
            server.wait()

    def profile(self, port):
        (self.project / "profiles.yml").write_text(
            "shop:\n  target: prod\n  outputs:\n    prod:\n      type: materialize\n      host: 127.0.0.1\n"
            f"      port: {port}\n      user: materialize\n      password: ''\n      database: materialize\n"
            "      schema: shop\n      cluster: shop_compute\n      threads: 1\n      sslmode: disable\n"
        )

    def release(self):
        # Ids of schemas that are no cluster's, so that a test can tell what an id in the journal is of.
        for number in range(200):
            self.sql(f"CREATE SCHEMA used_up_{number}")
            self.sql(f"DROP SCHEMA used_up_{number}")
        for cluster in ["shop_compute", "shop_serve"]:
            self.sql(f"CREATE CLUSTER {cluster} (SIZE = '25cc')")
        self.sql("UPDATE mz_sandbox.settings SET value = 'on' WHERE name = 'log_statements'")
        for statement in PRODUCTION.strip().split(";\n"):
            self.sql(statement.rstrip(";"))
        self.cutover("deploy", "--full")
        self.set_release(2)
        self.cutover("deploy", "--promotion", "manual", "--cleanup", "manual", "--soak", "0s")
        if self.postgres is None:
            self.keep("ready")
        self.cutover("promote")
        if self.postgres is None:
            self.keep("soaking")
            self.keep_artifacts()
        else:
            self.keep("postgres")

    def journal(self):
        if self.postgres is not None:
            return self.postgres.dump()
        return "\n".join(sqlite3.connect(self.project / ".cutover/cutover.db").iterdump()) + "\n"

    def sql(self, statement):
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def cutover(self, *arguments):
        environment = {
            "HOME": str(self.home),
            "PATH": f"{REPOSITORY / '.venv/bin'}:{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        }
        if self.postgres is not None:
            environment["CUTOVER__STORE__URL"] = self.postgres.url
        subprocess.run([self.old, *arguments], cwd=self.project, env=environment, check=True)

    def set_release(self, release):
        for place in ["models/marts/totals.sql", "models/serving/report.sql"]:
            path = self.project / place
            path.write_text(path.read_text().replace("1 as release", f"{release} as release"))

    def keep(self, moment):
        folder = HERE / moment
        folder.mkdir(exist_ok=True)
        (folder / "journal.sql").write_text(self.journal())
        statements = committed(statement for (statement,) in self.sql(CHANGES))
        (folder / "statements.json").write_text(json.dumps(statements, indent=0) + "\n")
        names = {f"{what} {name}": its_id for what, name, its_id in self.sql(NAMES)}
        names["server"] = self.sql("SELECT mz_environment_id()")[0][0]
        (folder / "names.json").write_text(json.dumps(names, indent=0) + "\n")

    def keep_artifacts(self):
        place = HERE / "artifacts"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.project / ".cutover/artifacts", place)
        for manifest in place.rglob("manifest.json"):
            packed = gzip.compress(manifest.read_bytes(), mtime=0)
            manifest.with_suffix(".json.gz").write_bytes(packed)
            manifest.unlink()


def committed(statements):
    """What came to be, without the transactions around it: a rehearsal is not replayed."""
    done, held = [], None
    for statement in statements:
        word = statement.rsplit("*/", 1)[-1].strip().split(maxsplit=1)[0].rstrip(";").upper()
        if word == "BEGIN":
            held = []
        elif word == "ROLLBACK":
            held = None
        elif word == "COMMIT":
            done.extend(held or [])
            held = None
        else:
            (done if held is None else held).append(statement)
    return done


main()
