//! `cutover ls`: no server, no journal, and with a manifest no dbt either.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/project/shop")
}

fn cutover(project: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cutover"))
        .args(["ls", "--project-dir"])
        .arg(project)
        .arg("--profiles-dir")
        .arg(project)
        .args(arguments)
        .output()
        .expect("the program runs")
}

#[track_caller]
fn listed(project: &Path, arguments: &[&str]) -> String {
    let output = cutover(project, arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The fixture's manifest with another SQL in one model and without another.
fn earlier(folder: &Path) -> String {
    let text = std::fs::read(fixture().join("manifest.json")).expect("a manifest");
    let mut manifest: Value = serde_json::from_slice(&text).expect("JSON");
    manifest["nodes"]["model.shop.ts"]["raw_code"] = "select 0".into();
    let nodes = manifest["nodes"].as_object_mut().expect("nodes");
    nodes.remove("model.shop.orders_sink");
    let file = folder.join("manifest.json");
    std::fs::write(&file, manifest.to_string()).expect("a file");
    folder.display().to_string()
}

#[test]
fn a_state_of_another_project_is_no_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = earlier(folder.path());
    let file = folder.path().join("manifest.json");
    let text = std::fs::read_to_string(&file).expect("a manifest");
    let mut other: Value = serde_json::from_str(&text).expect("JSON");
    other["metadata"]["project_name"] = "bakery".into();
    std::fs::write(&file, other.to_string()).expect("a file");
    let manifest = fixture().join("manifest.json").display().to_string();
    let arguments = ["--manifest", &manifest, "--state", &state];
    let output = cutover(&fixture(), &arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains("a manifest of the project `bakery`"),
        "{errors}"
    );
}

#[test]
fn nodes_are_listed_in_three_forms() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = earlier(folder.path());
    let manifest = fixture().join("manifest.json").display().to_string();
    let changed = [
        "--manifest",
        &manifest,
        "--state",
        &state,
        "--select",
        "state:modified",
    ];
    assert_eq!(
        listed(&fixture(), &changed),
        "model.shop.orders_sink\nmodel.shop.ts\n"
    );
    let names = listed(
        &fixture(),
        &[
            "--manifest",
            &manifest,
            "-s",
            "dim",
            "source:raw.orders",
            "--format",
            "name",
        ],
    );
    assert_eq!(names, "dim.v1\ndim.v2\nraw.orders\n");
    let lines = listed(&fixture(), &[&changed[..], &["--format", "json"]].concat());
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines[0]["changes"], serde_json::json!(["new"]));
    assert_eq!(lines[1]["changes"], serde_json::json!(["changed: body"]));
    assert_eq!(lines[1]["original_file_path"], "models/ts.sql");
    let document = listed(&fixture(), &[&changed[..], &["--output", "json"]].concat());
    let document: Vec<Value> = serde_json::from_str(&document).expect("one document");
    assert_eq!(document, lines);
    let tests = [
        "--manifest",
        &manifest,
        "--resource-type",
        "test",
        "unit_test",
    ];
    assert_eq!(listed(&fixture(), &tests).lines().count(), 5);
    let selector = ["--manifest", &manifest, "--selector", "staging"];
    assert!(listed(&fixture(), &selector).starts_with("model.shop.stg_orders\n"));
}

#[test]
fn what_is_wrong_ends_with_2() {
    let manifest = fixture().join("manifest.json").display().to_string();
    for (arguments, says) in [
        (vec!["--select", "state:new"], "give one with --state"),
        (
            vec!["--select", "tags:x"],
            "unknown method `tags`; use one of fqn, tag",
        ),
        (
            vec!["--selector", "nightly"],
            "no selector `nightly`; use one of staging",
        ),
        (
            vec!["--select", "state:new", "--state", "/nowhere"],
            "/nowhere: cannot be read",
        ),
    ] {
        let output = cutover(
            &fixture(),
            &[&["--manifest", &manifest], &arguments[..]].concat(),
        );
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(says), "{errors}");
    }
}

/// Needs a dbt: `CUTOVER_TEST_DBT`, or `.venv/bin/dbt` in this repository. Without one it says so and passes.
#[test]
#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn without_a_manifest_dbt_parses_the_project() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/dbt");
    let dbt = std::env::var_os("CUTOVER_TEST_DBT").map(PathBuf::from);
    let Some(dbt) = dbt.or_else(|| repository.is_file().then_some(repository)) else {
        eprintln!("skipped: no dbt in CUTOVER_TEST_DBT or .venv");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let copied = Command::new("cp")
        .arg("-r")
        .arg(fixture().join("."))
        .arg(folder.path())
        .status();
    assert!(copied.expect("cp runs").success());
    let config = folder.path().join("cutover.yaml");
    std::fs::write(&config, format!("dbt: {{executable: {}}}\n", dbt.display())).expect("a file");
    let manifest = folder.path().join("manifest.json").display().to_string();
    let parsed = listed(folder.path(), &["--select", "+orders"]);
    let given = listed(
        folder.path(),
        &["--select", "+orders", "--manifest", &manifest],
    );
    assert_eq!(parsed, given);
    let runs = std::fs::read_dir(folder.path().join(".cutover/runs")).expect("a folder");
    assert_eq!(runs.count(), 0);
}
