#!/usr/bin/env python3
"""Cuts the notes of one version out of CHANGELOG.md: `packaging/notes.py 0.1.0`.

A tag's name (`v0.1.0`) is taken too. It is an error when the version is not that of Cargo.toml, has no section of its
own, or an empty one: a release without notes is not made.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<day>\d{4}-\d{2}-\d{2}))?\s*$")


class NoNotes(Exception):
    """There are no notes; the text says why and what to do."""


def plain(tag: str) -> str:
    return tag.removeprefix("v")


def sections(changelog: str) -> dict:
    """The text below each heading of a version, without blank lines around it."""
    found: dict = {}
    lines = None
    for line in changelog.splitlines():
        heading = HEADING.match(line)
        if heading:
            if heading["version"] in found:
                raise NoNotes(f"{heading['version']} has two sections")
            lines = found.setdefault(heading["version"], [])
        elif line.startswith("## "):
            raise NoNotes(f"`{line}` is no heading of a version: `## [1.2.3] - 2026-01-31`")
        elif lines is not None:
            # Links by reference stand at the end of the file and belong to no version.
            if not re.match(r"^\[[^\]]+\]: ", line):
                lines.append(line)
    return {version: "\n".join(lines).strip("\n") for version, lines in found.items()}


def notes(changelog: str, version: str) -> str:
    found = sections(changelog)
    if version not in found:
        raise NoNotes(f"CHANGELOG.md has no section `## [{version}]`: give what is under [Unreleased] this heading")
    if not found[version].strip():
        raise NoNotes(f"the section of {version} in CHANGELOG.md is empty")
    return found[version] + "\n"


def of_cargo(root: Path = ROOT) -> str:
    return tomllib.loads((root / "Cargo.toml").read_text(encoding="utf-8"))["package"]["version"]


def main(arguments: list) -> int:
    if len(arguments) != 1:
        print("usage: packaging/notes.py VERSION", file=sys.stderr)
        return 2
    version = plain(arguments[0])
    try:
        if version != of_cargo():
            raise NoNotes(f"{version} is to be released, and Cargo.toml says {of_cargo()}")
        print(notes((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version), end="")
    except NoNotes as error:
        print(f"notes: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
