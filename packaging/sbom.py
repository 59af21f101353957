#!/usr/bin/env python3
"""Writes what the program is made of, as CycloneDX 1.5 in JSON: `packaging/sbom.py --target TRIPLE >FILE`.

Which crates are in the program for that target, `cargo tree` says; licences and who needs whom, `cargo metadata`;
checksums, Cargo.lock. The same sources give the same text: the serial number is made from it, the time is that of
SOURCE_DATE_EPOCH.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "cutover"


def cargo(*words: str) -> str:
    command = [os.environ.get("CARGO", "cargo"), *words]
    return subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout


def listed(tree: str) -> set:
    """Name and version of each line of `cargo tree --prefix none`, such as `serde v1.0.1 (proc-macro)`."""
    found = set()
    for line in tree.splitlines():
        words = line.split()
        if len(words) >= 2 and words[1].startswith("v"):
            found.add((words[0], words[1][1:]))
    return found


def expression(licence: str | None) -> list:
    """Some crates still write `MIT/Apache-2.0`, which is no expression of SPDX."""
    return [{"expression": licence.replace("/", " OR ")}] if licence else []


def reference(name: str, version: str) -> str:
    return f"pkg:cargo/{name}@{version}"


def component(package: dict, checksums: dict, scope: str) -> dict:
    name, version = package["name"], package["version"]
    made = {"type": "library", "bom-ref": reference(name, version), "name": name, "version": version, "scope": scope,
            "purl": reference(name, version), "licenses": expression(package.get("license"))}
    if package.get("description"):
        made["description"] = " ".join(package["description"].split())
    checksum = checksums.get((name, version))
    if checksum:
        made["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return made


def relations(metadata: dict, included: set) -> list:
    """Who needs whom, among what is included."""
    names = {one["id"]: (one["name"], one["version"]) for one in metadata["packages"]}
    made = []
    for node in metadata["resolve"]["nodes"]:
        if names[node["id"]] not in included:
            continue
        needed = set()
        for dependency in node["deps"]:
            # Tests are not shipped.
            is_for_tests = all(kind["kind"] == "dev" for kind in dependency["dep_kinds"])
            if not is_for_tests and names[dependency["pkg"]] in included:
                needed.add(reference(*names[dependency["pkg"]]))
        made.append({"ref": reference(*names[node["id"]]), "dependsOn": sorted(needed)})
    return sorted(made, key=lambda one: one["ref"])


def sbom(metadata: dict, lock: dict, shipped: set, building: set, target: str, seconds: int) -> dict:
    """The document. `building` is what only the compiler ran: it is listed, and said not to be in the program."""
    packages = {(one["name"], one["version"]): one for one in metadata["packages"]}
    checksums = {(one["name"], one["version"]): one.get("checksum") for one in lock["package"]}
    included = shipped | building
    unknown = sorted(included - packages.keys())
    if unknown:
        raise SystemExit(f"sbom: cargo metadata does not know {unknown}")
    own = next(key for key in included if key[0] == PACKAGE)
    components = [component(packages[key], checksums, "required" if key in shipped else "excluded")
                  for key in sorted(included - {own})]
    program = component(packages[own], checksums, "required") | {"type": "application"}
    program["properties"] = [{"name": "cutover:target", "value": target}]
    when = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    document = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
                "metadata": {"timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"), "component": program},
                "components": components, "dependencies": relations(metadata, included)}
    text = json.dumps(document, sort_keys=True)
    document["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, text)}"
    return document


def main() -> int:
    arguments = argparse.ArgumentParser(description="Writes what the program is made of.")
    arguments.add_argument("--target", required=True, help="the target's triple")
    target = arguments.parse_args().target
    metadata = json.loads(cargo("metadata", "--locked", "--format-version", "1", "--filter-platform", target))
    tree = ("tree", "--locked", "--package", PACKAGE, "--target", target, "--prefix", "none")
    shipped = listed(cargo(*tree, "--edges", "normal,no-proc-macro"))
    building = listed(cargo(*tree, "--edges", "normal,build")) - shipped
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    json.dump(sbom(metadata, lock, shipped, building, target, seconds), sys.stdout, indent=1, sort_keys=True)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
