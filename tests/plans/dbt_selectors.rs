//! Real dbt selects exactly the node that each selector is made for.
//!
//! Needs a dbt: `CUTOVER_TEST_DBT`, or `.venv/bin/dbt` in this repository. Without one it says so and passes.

use cutover::inputs::selection::exact::{Node, for_node, for_nodes};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lists what each of the selectors on its input selects, in one process: starting dbt takes seconds.
const LIST: &str = r#"
import json, sys
from dbt.cli.main import dbtRunner
runner, manifest = None, None
for line in sys.stdin:
    if runner is None:
        parsed = dbtRunner().invoke(["parse", "-q", *sys.argv[1:]])
        assert parsed.success, parsed.exception
        runner = dbtRunner(manifest=parsed.result)
    listed = runner.invoke(["ls", "-q", *sys.argv[1:], "--output", "json", "--output-keys", "unique_id",
        "--indirect-selection", "empty", "--select", json.loads(line)])
    assert listed.success, listed.exception
    print("=" + json.dumps([json.loads(node)["unique_id"] for node in listed.result]))
"#;

struct Owned {
    unique_id: String,
    fqn: Vec<String>,
    resource_type: String,
    package: String,
    file: String,
    versioned: bool,
}

fn dbt() -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/dbt");
    std::env::var_os("CUTOVER_TEST_DBT")
        .map(PathBuf::from)
        .or_else(|| repository.is_file().then_some(repository))
}

/// A copy, because dbt writes into what it reads.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("a copy");
        }
    }
}

fn nodes(manifest: &Path) -> Vec<Owned> {
    let text = std::fs::read(manifest).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&text).expect("JSON");
    let text = |node: &Value, key: &str| node[key].as_str().unwrap_or_default().to_owned();
    ["nodes", "unit_tests", "exposures"]
        .iter()
        .filter_map(|map| manifest[map].as_object())
        .flat_map(|map| map.values())
        .map(|node| Owned {
            unique_id: text(node, "unique_id"),
            fqn: serde_json::from_value(node["fqn"].clone()).expect("an fqn"),
            resource_type: text(node, "resource_type"),
            package: text(node, "package_name"),
            file: text(node, "original_file_path"),
            versioned: !node["version"].is_null() && node["resource_type"] == "model",
        })
        .collect()
}

fn list(dbt: &Path, folder: &Path, selectors: &[String]) -> Vec<Vec<String>> {
    use std::io::Write;
    let mut python = Command::new(dbt.with_file_name("python"))
        .args([
            "-c",
            LIST,
            "--project-dir",
            "project",
            "--profiles-dir",
            "profiles",
        ])
        .args(["--target-path", "../target", "--log-path", "../logs"])
        .args(["--no-send-anonymous-usage-stats"])
        .current_dir(folder)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("dbt's python");
    let mut stdin = python.stdin.take().expect("a pipe");
    for selector in selectors {
        writeln!(stdin, "{}", Value::from(selector.as_str())).expect("a line");
    }
    drop(stdin);
    let output = python.wait_with_output().expect("an end");
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.strip_prefix('='))
        .map(|line| serde_json::from_str(line).expect("a list"))
        .collect()
}

#[test]
fn each_selector_selects_exactly_its_node() {
    let Some(dbt) = dbt() else {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: no dbt in CUTOVER_TEST_DBT or .venv");
        }
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dbt_selectors");
    copy(&fixture, folder.path());
    // Parses as a side effect.
    list(&dbt, folder.path(), &["fqn:*".to_owned()]);
    let owned = nodes(&folder.path().join("target/manifest.json"));
    let all: Vec<Node<'_>> = owned
        .iter()
        .map(|node| Node {
            unique_id: &node.unique_id,
            fqn: &node.fqn,
            resource_type: &node.resource_type,
            package: &node.package,
            file: &node.file,
            versioned: node.versioned,
        })
        .collect();
    let wanted: Vec<&Node<'_>> = all
        .iter()
        .filter(|node| node.resource_type != "exposure")
        .collect();
    assert!(wanted.len() >= 20, "{}", wanted.len());
    let short = wanted
        .iter()
        .flat_map(|node| for_nodes(&all, &BTreeSet::from([node.unique_id])).expect("a selector"));
    let precise = wanted.iter().map(|node| {
        for_node(node.fqn, node.resource_type, node.file, node.package).expect("a selector")
    });
    let selectors: Vec<String> = short.chain(precise).collect();
    let listed = list(&dbt, folder.path(), &selectors);
    let expected: Vec<Vec<String>> = wanted
        .iter()
        .chain(&wanted)
        .map(|node| vec![node.unique_id.to_owned()])
        .collect();
    assert_eq!(listed.len(), expected.len());
    for ((selector, listed), expected) in selectors.iter().zip(&listed).zip(&expected) {
        assert_eq!(listed, expected, "{selector}");
    }

    // Together they select the wanted nodes and nothing else.
    let ids: BTreeSet<&str> = wanted.iter().map(|node| node.unique_id).collect();
    let together = for_nodes(&all, &ids).expect("selectors").join(" ");
    let listed = list(&dbt, folder.path(), &[together]).remove(0);
    let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
    assert_eq!(listed, ids);
}
