"""Edits of a project's files: what a mutation is made of.

An edit that finds nothing to change raises, so that a mutation cannot quietly become "no change".
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Edit = Callable[[Path], None]


@dataclass(frozen=True)
class Mutation:
    """One way in which a project differs from its baseline."""

    name: str
    edits: tuple[Edit, ...] = ()
    variables: Mapping[str, object] = field(default_factory=dict)
    target: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Instead of the baseline's manifest, what this makes of it.
    state: Callable[[dict[str, Any]], None] | None = None
    #: In the short run too.
    quick: bool = False
    #: Tried with every selection of the project, not only with those about state.
    probed: bool = False


def mutation(name: str, *edits: Edit, **options: object) -> Mutation:
    """A mutation of `edits`, applied in order."""
    return Mutation(name, edits, **options)  # type: ignore[arg-type]


def sub(path: str, old: str, new: str) -> Edit:
    """Replaces the first `old` in a file."""

    def edit(project: Path) -> None:
        file = project / path
        text = file.read_text()
        if old not in text:
            raise ValueError(f"{file}: {old!r} is not in it")
        file.write_text(text.replace(old, new, 1))

    return edit


def append(path: str, text: str) -> Edit:
    """Adds lines to the end of a file."""

    def edit(project: Path) -> None:
        file = project / path
        file.write_text(file.read_text() + text)

    return edit


def write(path: str, text: str) -> Edit:
    """Writes a new file."""

    def edit(project: Path) -> None:
        file = project / path
        if file.exists():
            raise ValueError(f"{file} is there already")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    return edit


def remove(path: str) -> Edit:
    """Deletes a file."""
    return lambda project: (project / path).unlink()


def move(path: str, to: str) -> Edit:
    """Moves a file."""

    def edit(project: Path) -> None:
        (project / to).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(project / path, project / to)

    return edit


#: What a manifest of dbt 1.8 does not have.
NEWER = {
    "alias_types", "batch_size", "build_after", "concurrent_batches", "doc_blocks", "event_time", "functions",
    "lookback", "primary_key", "time_spine", "unrendered_database", "unrendered_schema",
}  # fmt: skip


def age(manifest: dict[str, Any]) -> None:
    """Makes a manifest look like one that an older dbt wrote, as it does right after an upgrade."""

    def strip(value: Any) -> None:
        if isinstance(value, dict):
            for key in NEWER & value.keys():
                del value[key]
            for below in value.values():
                strip(below)
        elif isinstance(value, list):
            for below in value:
                strip(below)

    strip(manifest)
    manifest["metadata"]["dbt_version"] = "1.8.0"


def forget(*maps: str) -> Callable[[dict[str, Any]], None]:
    """Empties parts of a manifest; of nodes, one remains, because Cutover takes no manifest without any."""

    def edit(manifest: dict[str, Any]) -> None:
        for name in maps:
            kept = sorted(manifest[name])[:1] if name == "nodes" else []
            manifest[name] = {key: manifest[name][key] for key in kept}

    return edit
