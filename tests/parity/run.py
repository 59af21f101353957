#!/usr/bin/env python3
"""Asks dbt what it selects from mutated projects, and writes the answers down.

    run.py OUT [--full] [--project NAME]... [--mutation NAME]... [--verify N]

writes, for every project P and mutation M,

    OUT/P/baseline/   manifest.json, run_results.json, sources.json: the state
    OUT/P/M/          manifest.json, sources.json: the project now; project/: its files; state/: where it is not the baseline
    OUT/cases.json    each selection, and what dbt selects by it

All of it happens in one process, because starting dbt takes seconds, and dbt reads the state once a mutation.
`--verify N` repeats N of the selections, spread over all of them, by a dbt of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import gc
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mutations
import projects
import selections
from edits import Mutation
from selections import Selection

Case = dict[str, Any]

QUIET = [
    "--no-send-anonymous-usage-stats",
    "--quiet",
    "--log-level=none",
    "--log-level-file=none",
    "--no-partial-parse",
    "--no-version-check",
    "--single-threaded",
]


def main() -> int:
    """Writes the corpus, or lists what would be in it."""
    arguments = _arguments()
    if arguments.list:
        for project, mutation in _chosen(arguments):
            count = len(list(_selections(project, mutation, arguments)))
            print(f"{project}\t{mutation.name}\t{count}")
        return 0
    out = arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    _spare_repetition()
    cases: list[Case] = []
    failures: list[str] = []
    for project, mutation in _chosen(arguments):
        baseline = out / project / "baseline"
        if not baseline.exists():
            _baseline(project, baseline)
        folder = out / project / mutation.name
        gc.unfreeze()
        try:
            manifest = _mutate(project, mutation, folder)
        except Exception as error:  # noqa: BLE001 - the others are still worth having
            failures.append(f"{project} / {mutation.name}: {error}")
            continue
        state = _state(mutation, folder, baseline)
        # Hundreds of collections would each look at all that the manifest holds.
        gc.collect()
        gc.freeze()
        for selection in _selections(project, mutation, arguments):
            cases.append(_ask(project, mutation, folder, state, manifest, selection))
    (out / "cases.json").write_text(json.dumps(cases, indent=1))
    seconds = time.monotonic() - started
    print(f"{len(cases)} selections by dbt in {seconds:.0f} s", file=sys.stderr)
    if failures:
        print("\n".join(failures), file=sys.stderr)
        return 1
    if arguments.verify:
        return _verify(out, cases, arguments.verify)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", default=Path("target/parity"), help="a new folder")
    parser.add_argument("--full", action="store_true", help="every mutation and selection")
    parser.add_argument("--list", action="store_true", help="print the mutations and how many selections each has")
    parser.add_argument("--project", action="append", help="only this project")
    parser.add_argument("--mutation", action="append", help="only this mutation")
    parser.add_argument("--verify", type=int, default=0, metavar="N", help="repeat N selections, each alone")
    return parser.parse_args()


def _chosen(arguments: argparse.Namespace) -> Iterator[tuple[str, Mutation]]:
    for project in projects.names():
        for mutation in mutations.ALL[project]:
            if (
                (arguments.full or mutation.quick)
                and project in (arguments.project or [project])
                and mutation.name in (arguments.mutation or [mutation.name])
            ):
                yield project, mutation


def _selections(project: str, mutation: Mutation, arguments: argparse.Namespace) -> Iterator[Selection]:
    return selections.of(
        project,
        quick=not arguments.full,
        probed=mutation.probed,
        first=mutation is mutations.ALL[project][0],
    )


def _baseline(project: str, folder: Path) -> None:
    copy = folder / "project"
    projects.copy(project, copy)
    manifest = _parse(copy, folder, Mutation("baseline"))
    _results(folder / "run_results.json", manifest)
    _freshness(folder / "sources.json", manifest, later=False)


def _mutate(project: str, mutation: Mutation, folder: Path) -> Any:
    copy = folder / "project"
    projects.copy(project, copy)
    for edit in mutation.edits:
        edit(copy)
    manifest = _parse(copy, folder, mutation)
    _freshness(folder / "sources.json", manifest, later=True)
    return manifest


def _state(mutation: Mutation, folder: Path, baseline: Path) -> Path:
    """What the mutated project is compared with."""
    if mutation.state is None:
        return baseline
    state = folder / "state"
    state.mkdir()
    for name in ("run_results.json", "sources.json"):
        shutil.copy(baseline / name, state)
    manifest = json.loads((baseline / "manifest.json").read_text())
    mutation.state(manifest)
    (state / "manifest.json").write_text(json.dumps(manifest))
    return state


@contextlib.contextmanager
def _environment(mutation: Mutation) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in mutation.environment}
    os.environ.update(mutation.environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _common(project: Path, target: Path, mutation: Mutation) -> list[str]:
    arguments = [*QUIET, f"--project-dir={project}", f"--profiles-dir={project}", f"--target-path={target}"]
    if mutation.target:
        arguments.append(f"--target={mutation.target}")
    if mutation.variables:
        arguments.append(f"--vars={json.dumps(dict(mutation.variables))}")
    return arguments


def _parse(project: Path, target: Path, mutation: Mutation) -> Any:
    """dbt's own manifest, which is also written to `target`."""
    from dbt.cli.main import dbtRunner

    with _environment(mutation):
        parsed = dbtRunner().invoke(["parse", *_common(project, target, mutation)])
    if not parsed.success:
        raise RuntimeError(f"dbt cannot parse it: {parsed.exception}")
    return parsed.result


def _list_arguments(selection: Selection, state: Path) -> list[str]:
    arguments = [f"--state={state}", "--output=json", "--output-keys=unique_id"]
    arguments += [f"--select={value}" for value in selection.select]
    arguments += [f"--exclude={value}" for value in selection.exclude]
    arguments += [f"--resource-type={value}" for value in selection.resource_types]
    arguments += [f"--exclude-resource-type={value}" for value in selection.exclude_resource_types]
    if selection.selector:
        arguments.append(f"--selector={selection.selector}")
    if selection.indirect_selection:
        arguments.append(f"--indirect-selection={selection.indirect_selection}")
    return arguments


def _ask(
    project: str, mutation: Mutation, folder: Path, state: Path, manifest: Any, selection: Selection
) -> Case:
    from dbt.cli.main import dbtRunner

    common = _common(folder / "project", folder, mutation)
    with _environment(mutation):
        listed = dbtRunner(manifest=manifest).invoke(["ls", *common, *_list_arguments(selection, state)])
    case: Case = {
        "project": project,
        "mutation": mutation.name,
        "project_dir": f"{project}/{mutation.name}/project",
        "state": str(state.relative_to(folder.parent.parent)),
        "target": mutation.target,
        "variables": dict(mutation.variables),
        "environment": dict(mutation.environment),
        **asdict(selection),
    }
    if listed.success:
        case["expected"] = sorted(json.loads(line)["unique_id"] for line in listed.result)
    else:
        case["error"] = f"{type(listed.exception).__name__}: {listed.exception}"
    return case


def _spare_repetition() -> None:
    """Lets dbt read a state's files, and look for plugins, once for all selections that follow each other."""
    from dbt.cli import requires
    from dbt.task import runnable

    runnable.PreviousState = functools.lru_cache(maxsize=1)(runnable.PreviousState)  # type: ignore[misc]
    requires.set_up_plugin_manager = functools.lru_cache(maxsize=1)(requires.set_up_plugin_manager)


def _results(file: Path, manifest: Any) -> None:
    """The results of a build in which every status occurs."""
    statuses = {
        "test": ["pass", "fail", "warn", "error", "skipped"],
        "unit_test": ["pass", "fail"],
        "other": ["success", "error", "skipped", "success"],
    }
    results = []
    nodes = {**manifest.nodes, **manifest.unit_tests, **manifest.functions}
    for number, (unique_id, node) in enumerate(sorted(nodes.items())):
        choice = statuses.get(str(node.resource_type), statuses["other"])
        results.append(
            {
                "status": choice[number % len(choice)],
                "timing": [],
                "thread_id": "Thread-1",
                "execution_time": 0.1,
                "adapter_response": {},
                "message": None,
                "failures": None,
                "unique_id": unique_id,
                "compiled": True,
                "compiled_code": "",
                "relation_name": None,
                "batch_results": None,
            }
        )
    _artifact(file, "run-results/v6", {"results": results, "elapsed_time": 1.0, "args": {}})


def _freshness(file: Path, manifest: Any, *, later: bool) -> None:
    """Every third source gets newer data, every third is new to the second report, and one cannot be read."""
    results: list[dict[str, Any]] = []
    for number, unique_id in enumerate(sorted(manifest.sources)):
        if not later and number % 3 == 1:
            continue
        newer = later and number % 3 == 0
        results.append(
            {
                "unique_id": unique_id,
                "max_loaded_at": "2026-01-02T00:00:00Z" if newer else "2026-01-01T00:00:00Z",
                "snapshotted_at": "2026-01-03T00:00:00Z",
                "max_loaded_at_time_ago_in_s": 1.0,
                "status": "pass",
                "criteria": {"warn_after": {"count": 1, "period": "day"}, "error_after": {}, "filter": None},
                "adapter_response": {},
                "timing": [],
                "thread_id": "Thread-1",
                "execution_time": 0.1,
            }
        )
    if results:
        last = results.pop()
        results.append({"unique_id": last["unique_id"], "error": "unreadable", "status": "runtime error"})
    _artifact(file, "sources/v3", {"results": results, "elapsed_time": 1.0})


def _artifact(file: Path, schema: str, body: dict[str, Any]) -> None:
    metadata = {
        "dbt_schema_version": f"https://schemas.getdbt.com/dbt/{schema}.json",
        "dbt_version": "1.11.16",
        "generated_at": "2026-01-03T00:00:00Z",
        "invocation_id": None,
        "env": {},
    }
    file.write_text(json.dumps({"metadata": metadata, **body}))


def _verify(out: Path, cases: list[Case], count: int) -> int:
    """Repeats some selections with a process for each."""
    dbt = Path(sys.executable).with_name("dbt")
    wrong = 0
    for case in cases[:: max(1, len(cases) // count)]:
        mutation = next(m for m in mutations.ALL[case["project"]] if m.name == case["mutation"])
        folder = out / case["project"] / mutation.name
        again = out / "again"
        shutil.rmtree(again, ignore_errors=True)
        again.mkdir()
        shutil.copy(folder / "sources.json", again)
        known = Selection(**{key: case[key] for key in Selection.__dataclass_fields__})
        common = _common(folder / "project", again, mutation)
        # What dbt prints is a log message to it.
        common.remove("--log-level=none")
        listed = subprocess.run(
            [dbt, "ls", *common, *_list_arguments(known, out / case["state"])],
            env={**os.environ, **mutation.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        found = None
        if listed.returncode == 0:
            lines = [line for line in listed.stdout.splitlines() if line.startswith("{")]
            found = sorted(json.loads(line)["unique_id"] for line in lines)
        if found != case.get("expected"):
            wrong += 1
            print(f"in one process: {case}\nalone: {found}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
