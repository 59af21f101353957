"""What is handed out, as far as it can be judged without building it: `python -m unittest packaging/tests.py`.

The files of Python's, Debian's and GitHub's worlds can be read, agree with each other, and name what there is. What
was built is tried by `make dist-check`.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def module(name: str):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def pins(requirements: str) -> dict:
    lines = (line.split("#")[0].strip() for line in requirements.splitlines())
    return dict(line.split("==") for line in lines if line)


CARGO = tomllib.loads(text("Cargo.toml"))
PROJECT = tomllib.loads(text("pyproject.toml"))


class Python(unittest.TestCase):
    def test_the_extra_pins_what_the_tests_run_with(self):
        tested = pins(text("tests/dbt/requirements.txt"))
        extra = PROJECT["project"]["optional-dependencies"]["dbt"]
        self.assertEqual(extra, [f"{name}=={tested[name]}" for name in ("dbt-core", "dbt-materialize")])

    def test_one_maturin_makes_the_wheel(self):
        maturin = pins(text("packaging/requirements.txt"))["maturin"]
        self.assertEqual(PROJECT["build-system"]["requires"], [f"maturin=={maturin}"])

    def test_it_says_what_cargo_says(self):
        project = PROJECT["project"]
        self.assertEqual(project["description"], CARGO["package"]["description"])
        self.assertEqual(project["license"], CARGO["workspace"]["package"]["license"])
        self.assertEqual((project["dynamic"], project.get("version")), (["version"], None))
        self.assertEqual(PROJECT["tool"]["maturin"],
                         {"bindings": "bin", "locked": True, "profile": "release", "sbom": {"rust": False}})


class Notes(unittest.TestCase):
    CHANGELOG = """# Changelog

## [Unreleased]

## [0.2.0] - 2026-12-01

### Added

- A thing, told
  in two lines.

## [0.1.0] - 2026-11-01

- The first.

[0.2.0]: ../../compare
"""

    def setUp(self):
        self.notes = module("notes")

    def test_of_a_version_its_own_section(self):
        self.assertEqual(self.notes.notes(self.CHANGELOG, "0.2.0"), "### Added\n\n- A thing, told\n  in two lines.\n")
        self.assertEqual(self.notes.notes(self.CHANGELOG, "0.1.0"), "- The first.\n")
        self.assertEqual(self.notes.plain("v0.1.0"), "0.1.0")

    def test_none_or_two_are_an_error(self):
        for version, changelog in [("Unreleased", self.CHANGELOG), ("0.3.0", self.CHANGELOG), ("0.1", self.CHANGELOG),
                                   ("0.1.0", self.CHANGELOG + "\n## [0.1.0]\n\n- Again.\n"),
                                   ("0.1.0", self.CHANGELOG + "\n## 0.0.9\n\n- Old.\n")]:
            with self.subTest(version), self.assertRaises(self.notes.NoNotes):
                self.notes.notes(changelog, version)

    def test_the_changelog_can_be_cut(self):
        found = self.notes.sections(text("CHANGELOG.md"))
        self.assertEqual(next(iter(found)), "Unreleased")

    def test_another_version_than_cargos_is_refused(self):
        ended = subprocess.run([sys.executable, HERE / "notes.py", "v99.0.0"], capture_output=True, text=True, check=False)
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertIn(CARGO["package"]["version"], ended.stderr)


class Sbom(unittest.TestCase):
    def setUp(self):
        self.sbom = module("sbom")

    def test_lines_of_the_tree(self):
        tree = "cutover v0.1.0 (/src)\nserde v1.0.1 (*)\nserde v1.0.1\n\n[build-dependencies]\ncc v1.2.3\n"
        self.assertEqual(self.sbom.listed(tree), {("cutover", "0.1.0"), ("serde", "1.0.1"), ("cc", "1.2.3")})

    def document(self, **changes) -> dict:
        packages = [{"id": name, "name": name, "version": "1.0.0", "license": licence, "description": "It\n is."}
                    for name, licence in [("cutover", "Apache-2.0"), ("a", "MIT/Apache-2.0"), ("cc", None), ("t", "MIT")]]
        def needs(name, kind):
            return {"pkg": name, "dep_kinds": [{"kind": kind}]}
        nodes = [{"id": "cutover", "deps": [needs("a", None), needs("cc", "build"), needs("t", "dev")]},
                 {"id": "a", "deps": [needs("t", "dev"), needs("cc", "dev")]}, {"id": "cc", "deps": []},
                 {"id": "t", "deps": []}]
        lock = {"package": [{"name": "a", "version": "1.0.0", "checksum": "ab"}, {"name": "cutover", "version": "1.0.0"}]}
        shipped = {("cutover", "1.0.0"), ("a", "1.0.0")} | changes.get("shipped", set())
        return self.sbom.sbom({"packages": packages, "resolve": {"nodes": nodes}}, lock, shipped, {("cc", "1.0.0")},
                              "x86_64-unknown-linux-gnu", 0)

    def test_what_is_shipped_what_only_built_it_and_nothing_of_the_tests(self):
        document = self.document()
        self.assertEqual([(one["name"], one["scope"]) for one in document["components"]],
                         [("a", "required"), ("cc", "excluded")])
        a = document["components"][0]
        self.assertEqual((a["licenses"], a["hashes"], a["description"]),
                         ([{"expression": "MIT OR Apache-2.0"}], [{"alg": "SHA-256", "content": "ab"}], "It is."))
        self.assertEqual(document["dependencies"], [
            {"ref": "pkg:cargo/a@1.0.0", "dependsOn": []}, {"ref": "pkg:cargo/cc@1.0.0", "dependsOn": []},
            {"ref": "pkg:cargo/cutover@1.0.0", "dependsOn": ["pkg:cargo/a@1.0.0", "pkg:cargo/cc@1.0.0"]}])
        self.assertEqual(document["metadata"]["timestamp"], "1970-01-01T00:00:00Z")

    def test_the_same_sources_give_the_same_text(self):
        self.assertEqual(json.dumps(self.document()), json.dumps(self.document()))
        other = self.document(shipped={("t", "1.0.0")})
        self.assertNotEqual(other["serialNumber"], self.document()["serialNumber"])

    def test_a_crate_that_nobody_knows_is_an_error(self):
        with self.assertRaises(SystemExit):
            self.document(shipped={("z", "1.0.0")})


class Prebuilt(unittest.TestCase):
    """What maturin is told instead of compiling."""

    def test_the_program_is_named_and_other_questions_are_passed_on(self):
        with tempfile.TemporaryDirectory() as folder:
            cargo = Path(folder) / "cargo"
            metadata = {"packages": [{"name": "cutover", "id": "c#1", "manifest_path": "/c/Cargo.toml", "targets": [
                {"kind": ["lib"], "name": "cutover"}, {"kind": ["bin"], "name": "cutover", "crate_types": ["bin"]}]}]}
            cargo.write_text(f"#!/bin/sh\nif [ $1 = metadata ]; then echo '{json.dumps(metadata)}'; else echo \"$@\"; fi\n")
            cargo.chmod(0o755)
            program = Path(folder) / "program"
            environment = os.environ | {"CUTOVER_CARGO": str(cargo), "CUTOVER_PROGRAM": str(program)}

            def asked(*words):
                return subprocess.run([HERE / "cargo-prebuilt", *words], env=environment, text=True, check=False,
                                      capture_output=True)
            self.assertNotEqual(asked("rustc").returncode, 0, "there is no program")
            program.touch()
            lines = [json.loads(line) for line in asked("rustc", "--release").stdout.splitlines()]
            self.assertEqual([line["reason"] for line in lines], ["compiler-artifact", "build-finished"])
            self.assertEqual(lines[0]["executable"], str(program.resolve()))
            self.assertEqual(lines[0]["target"]["kind"], ["bin"])
            self.assertEqual(asked("config", "get").stdout, "config get\n")


class Debian(unittest.TestCase):
    def test_each_mark_of_the_control_file_is_filled_in(self):
        marks = set(re.findall(r"@[A-Z]+@", text("packaging/debian/control.in")))
        self.assertEqual(marks, set(re.findall(r"s\|(@[A-Z]+@)\|", text("packaging/deb"))))

    def test_configuration_is_the_administrators(self):
        placed = set(re.findall(r"^place \d+ \S+ (etc/\S+)", text("packaging/deb"), re.M))
        self.assertEqual({f"/{path}" for path in placed}, set(text("packaging/debian/conffiles").split()))

    def test_the_unit_reads_what_the_package_brings(self):
        unit = text("deploy/systemd/cutover.service")
        config = re.search(r"^ExecStart=/usr/local/bin/cutover serve --config (\S+)$", unit, re.M)[1]
        postinst = text("packaging/debian/postinst")
        self.assertIn(f"ln -s /etc/cutover/cutover.yaml {config}", postinst)
        self.assertIn("EnvironmentFile=/etc/cutover/cutover.env", unit)
        token = re.search(r"^LoadCredential=api-token:(\S+)$", unit, re.M)[1]
        self.assertIn(f">{token}", postinst)
        self.assertIn("\nUser=cutover\n", unit)
        self.assertEqual(unit.count("/usr/local/"), 2, "packaging/deb puts two places where Debian has them")

    def test_no_script_takes_the_journal(self):
        for name in ["postinst", "prerm", "postrm"]:
            script = text(f"packaging/debian/{name}")
            self.assertTrue(script.startswith("#!/bin/sh\n") and "\nset -e\n" in script, name)
            for line in script.splitlines():
                is_removal = re.search(r"\b(rm|deluser|userdel|chown|mv)\b", line.split("#")[0])
                if is_removal:
                    self.assertRegex(line, r"rm -rf /etc/cutover/credentials$|rm -f /var/lib/cutover/cutover\.yaml$", name)


class Images(unittest.TestCase):
    def test_each_runs_as_somebody_and_says_what_it_is(self):
        labels = []
        for name in ["Dockerfile", "Dockerfile.slim"]:
            last = text(f"deploy/{name}").rsplit("\nFROM ", 1)[1]
            self.assertEqual(re.findall(r"^USER (.+)$", last, re.M), ["10001:10001"], name)
            self.assertGreater(last.index("USER "), last.rindex("COPY "), "what is copied is not the user's")
            labels.append(set(re.findall(r"org\.opencontainers\.image\.(\w+)=", last)))
            for given in ["VERSION", "REVISION"]:
                self.assertRegex(last, rf"ARG {given}=\w+", name)
                self.assertIn(f'"{given}=', text("packaging/image"))
            self.assertEqual(text(f"deploy/{name}.dockerignore"), text("deploy/Dockerfile.dockerignore"))
        self.assertEqual(labels[0], labels[1])
        self.assertLessEqual({"title", "description", "licenses", "version", "revision"}, labels[0])

    def test_the_compiler_is_the_pinned_one(self):
        pinned = tomllib.loads(text("rust-toolchain.toml"))["toolchain"]["channel"]
        for path in ["deploy/Dockerfile", "deploy/Dockerfile.slim", ".github/workflows/release.yml"]:
            self.assertEqual(set(re.findall(r"rust:(\d[\d.]*)", text(path))), {pinned}, path)


def workflows() -> dict:
    return {path.name: yaml.safe_load(path.read_text(encoding="utf-8"))
            for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}


def steps(workflow: dict):
    for name, job in workflow["jobs"].items():
        for step in job["steps"]:
            yield name, step


class Workflows(unittest.TestCase):
    def test_there_are_these(self):
        self.assertEqual(list(workflows()), ["ci.yml", "release.yml"])

    def test_actions_are_pinned_by_commit_each_by_one(self):
        lines = [line.strip() for name in workflows() for line in text(f".github/workflows/{name}").splitlines()]
        used = {line.split("uses: ", 1)[1] for line in lines if "uses: " in line}
        self.assertGreater(len(used), 5)
        for action in used:
            self.assertRegex(action, r"^[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
        self.assertEqual(len(used), len({action.split("@")[0] for action in used}), "two versions of one action")

    def test_what_is_run_is_there(self):
        targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.M))
        seen = set()
        for name, workflow in workflows().items():
            for job, step in steps(workflow):
                script = step.get("run", "")
                self.assertNotIn("${{", script, f"{name}, {job}: pass it in the environment")
                for target in re.findall(r"\bmake ([a-z-]+)", script):
                    self.assertIn(target, targets, f"{name}, {job}")
                    seen.add(target)
                for path in re.findall(r"(?<![\w/])((?:\.ci|packaging|deploy)/[\w./-]+)", script):
                    self.assertTrue(os.access(ROOT / path, os.X_OK), f"{name}, {job}: {path}")
                    seen.add(path)
        self.assertLessEqual({"dist", "dist-check", ".ci/run", "packaging/notes.py", "packaging/image"}, seen)

    def test_rights_are_few_and_every_job_ends(self):
        for name, workflow in workflows().items():
            self.assertIn(workflow["permissions"], [{}, {"contents": "read"}], name)
            for job, of in workflow["jobs"].items():
                self.assertIsInstance(of.get("timeout-minutes"), int, f"{name}, {job}")
                writes = {right for right, how in of.get("permissions", {}).items() if how == "write"}
                if writes - {"packages"}:
                    self.assertIn(job, ["pypi", "images", "release"])
                    self.assertIn(of["environment"], ["pypi", "release"], "somebody may be asked before")
                for step in of["steps"]:
                    if step.get("uses", "").startswith("actions/checkout@"):
                        self.assertIs(step["with"]["persist-credentials"], False, f"{name}, {job}")
        jobs = workflows()["release.yml"]["jobs"]
        self.assertEqual(jobs["pypi"]["permissions"], {"id-token": "write"})
        self.assertEqual(jobs["release"]["permissions"],
                         {"contents": "write", "id-token": "write", "attestations": "write"})

    def test_nothing_is_published_before_everything_was_tried(self):
        jobs = workflows()["release.yml"]["jobs"]

        def before(job: str) -> set:
            needs = jobs[job].get("needs", [])
            needs = [needs] if isinstance(needs, str) else needs
            return set(needs).union(*(before(one) for one in needs))
        tried = {"notes", "test", "gnu", "musl", "image"}
        for job in ["pypi", "images"]:
            self.assertEqual(before(job), tried)
            self.assertEqual(jobs[job]["if"], "github.ref_type == 'tag'")
        self.assertEqual(before("release"), tried | {"pypi", "images"})
        for job, step in steps(workflows()["release.yml"]):
            is_sent = "packaging/image push" in step.get("run", "") or step.get("uses", "").startswith("docker/login")
            if is_sent and job not in ["pypi", "images"]:
                self.assertEqual(step["if"], "github.ref_type == 'tag'", job)

    def test_the_action_finds_what_a_release_has(self):
        action = text("deploy/ci/action.yml")
        wanted = set(re.findall(r"target=(\S+)", action))
        jobs = workflows()["release.yml"]["jobs"]
        made = {one["target"] for job in ("gnu", "musl") for one in jobs[job]["strategy"]["matrix"]["include"]}
        self.assertLessEqual(wanted, made)
        dist = text("packaging/dist")
        self.assertEqual(made, set(re.findall(r"^    (\w+-unknown-linux-\w+)\) architecture", dist, re.M)))
        self.assertIn('file="cutover-$VERSION-$target.tar.gz"', action)
        self.assertIn("name=cutover-$version-$target\n", dist)
        self.assertIn('"$folder/$name.tar.gz" CHANGELOG.md LICENSE README.md completions cutover man sbom.cdx.json', dist)
        self.assertIn('sha256sum "$name.tar.gz" >"$name.tar.gz.sha256"', dist)
        self.assertRegex(action, r'tar --extract --gzip --file \S+ --directory \S+ cutover\n')
        self.assertIn("releases/download", action)
        self.assertIn('"${PLACE:-$RELEASES/v$VERSION}/$1"', action)


class Scripts(unittest.TestCase):
    def test_each_can_be_read_by_its_shell(self):
        for path in ["booted", "deb", "dist", "documents", "image", "shipped"]:
            subprocess.run(["bash", "-n", HERE / path], check=True)
        for path in ["postinst", "prerm", "postrm"]:
            subprocess.run(["sh", "-n", HERE / "debian" / path], check=True)
        for path in ["check", "cargo-prebuilt"]:
            compile((HERE / path).read_text(encoding="utf-8"), path, "exec")


if __name__ == "__main__":
    unittest.main()
