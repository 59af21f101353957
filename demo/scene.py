"""What the demos share: the stand-in for Materialize, the sample project, and commands that are shown."""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

try:
    import psycopg2
except ImportError:
    sys.exit("demo: run it with `make demo`, which makes .venv with what it needs")

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PROJECT = HERE / "project"

SCHEMAS = ["shop_staging", "shop_finance", "shop_crm"]
CLUSTERS = ["shop_compute", "shop_serving"]

LEFTOVERS = r"""
SELECT 'schema ' || name FROM mz_catalog.mz_schemas
WHERE name LIKE '%\_dbt\_deploy' OR name LIKE 'cutover\_%'
UNION ALL
SELECT 'cluster ' || name FROM mz_catalog.mz_clusters
WHERE name LIKE '%\_dbt\_deploy' OR name LIKE 'cutover\_%'
"""


class DemoFailed(Exception):
    """The demo cannot go on; the text says why."""


def heading(text: str) -> None:
    print(f"\n== {text}", flush=True)


def start_sandbox(stack: contextlib.ExitStack, program: Path, folder: Path) -> str:
    url_file = folder / "url"
    log = stack.enter_context(open(folder / "sandbox.log", "w+", encoding="utf-8"))
    # Its own session: an interrupt from the terminal comes to the demo alone, which stops it.
    sandbox = subprocess.Popen([program, "--port", "0", "--url-file", url_file], stdin=subprocess.DEVNULL,
                               stdout=log, stderr=log, start_new_session=True)
    stack.callback(stop, sandbox)
    deadline = time.monotonic() + 60
    while not (url_file.is_file() and url_file.read_text(encoding="utf-8").strip()):
        if sandbox.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            raise DemoFailed(f"the stand-in for Materialize did not start:\n{log.read()}")
        time.sleep(0.05)
    url = url_file.read_text(encoding="utf-8").strip()
    print(f"    the stand-in listens at {url}", flush=True)
    return url


def temporary_folder(stack: contextlib.ExitStack) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="cutover-demo-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return folder


def sample_project(stack: contextlib.ExitStack, bin_folder: Path) -> tuple:
    """A temporary folder, the URL of a stand-in that was started, a copy of the project, the environment of commands in it."""
    folder = temporary_folder(stack)
    url = start_sandbox(stack, bin_folder / "mz-sandbox", folder)
    project = folder / "shop"
    shutil.copytree(PROJECT, project)
    return folder, url, project, project_environment(url, project, bin_folder)


def make_live(folder: Path, url: str, project: Path, environment: dict) -> None:
    """Clusters, schemas and a plain `dbt build`: production before Cutover."""
    with contextlib.closing(connect(url)) as connection:
        for statement in production():
            sql(connection, statement)
    command(["dbt", "build", "--quiet", "--target-path", str(folder / "target"),
             "--log-path", str(folder / "logs")], project, environment)


def stop(process: subprocess.Popen) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def connect(url: str):
    connection = psycopg2.connect(url, connect_timeout=10)
    connection.autocommit = True
    return connection


def sql(connection, statement: str, quiet: bool = False) -> list:
    if not quiet:
        print(f"    {statement}", flush=True)
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def production() -> list:
    statements = [f"CREATE CLUSTER {name} (SIZE = '25cc')" for name in CLUSTERS]
    statements += [f"CREATE SCHEMA {name}" for name in SCHEMAS]
    return statements


def nothing_left(connection, more: str | None = None) -> bool:
    """Whether nothing was left behind in Materialize, which is told. `more` asks for further names."""
    left = sql(connection, LEFTOVERS, quiet=True)
    if more is not None:
        left = sql(connection, more, quiet=True) + left
    print(f"    left behind in Materialize: {', '.join(name for name, in left) or 'nothing'}", flush=True)
    return not left


def project_environment(url: str, project: Path, bin_folder: Path) -> dict:
    parts = urlsplit(url)
    # Nothing of the caller's dbt may change what the demo does.
    inherited = {name: value for name, value in os.environ.items()
                 if not name.startswith(("DBT_", "CUTOVER_", "SHOP_"))}
    return inherited | {
        "PATH": os.pathsep.join([str(bin_folder), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "SHOP_HOST": parts.hostname or "localhost",
        "SHOP_PORT": str(parts.port or 6875),
        "SHOP_USER": unquote(parts.username or "materialize"),
        "SHOP_PASSWORD": unquote(parts.password or ""),
        "SHOP_DATABASE": parts.path.strip("/") or "materialize",
        "SHOP_SSLMODE": "disable",
        "DBT_PROFILES_DIR": str(project),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }


@contextlib.contextmanager
def guest(words: list, project: Path, environment: dict, **options):
    program = shutil.which(words[0], path=environment["PATH"])
    if program is None:
        raise DemoFailed(f"`{words[0]}` was not found; run `make demo`")
    process = subprocess.Popen([program, *words[1:]], cwd=project, env=environment,
                               stdin=subprocess.DEVNULL, start_new_session=True, **options)
    try:
        yield process
    finally:
        stop(process)


def command(words: list, project: Path, environment: dict) -> None:
    print(f"$ {shlex.join(words)}", flush=True)
    # Killed with the demo, whatever ends it: the group is the demo's own.
    with guest(words, project, environment) as process:
        code = process.wait()
    if code != 0:
        raise DemoFailed(f"`{shlex.join(words)}` ended with exit code {code}")


def change(project: Path) -> None:
    change_model(project)
    add_model(project)


def change_model(project: Path) -> None:
    replace(project, "models/staging/stg_orders.sql", "amount_cents as net_cents",
            "amount_cents - refunded_cents as net_cents")


def add_model(project: Path) -> None:
    shutil.copytree(HERE / "change", project, dirs_exist_ok=True)
    print("    models/finance/refunds_by_region.sql (new)", flush=True)


def replace(project: Path, place: str, before: str, after: str) -> None:
    model = project / place
    text = model.read_text(encoding="utf-8")
    if before not in text:
        raise DemoFailed(f"{model} is not what the demo changes")
    model.write_text(text.replace(before, after), encoding="utf-8")
    print(f"    {place}\n      - {before.strip()}\n      + {after.strip() or '(nothing)'}", flush=True)


def ends_well(signals=(signal.SIGTERM, signal.SIGHUP, signal.SIGINT)) -> None:
    """An end that is asked for takes the same way out as any other."""
    for number in signals:
        signal.signal(number, lambda received, _: sys.exit(128 + received))
