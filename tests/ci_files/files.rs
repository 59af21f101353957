//! The files of deploy/ci as files: that they can be read, ask for few rights, and hold together.

use super::actions::{text, yaml};
use super::pipeline::component;
use cutover::inputs::settings::{Settings, Sources};
use serde_json::{Value, json};
use std::path::Path;

/// Every script in a file, wherever it stands.
fn scripts<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("run").and_then(Value::as_str));
            fields.values().for_each(|value| scripts(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| scripts(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn no_expression_stands_in_a_script() {
    let mut count = 0;
    for path in [
        "deploy/ci/action.yml",
        "deploy/ci/github/cutover.yml",
        "deploy/ci/example/.github/workflows/cutover.yml",
    ] {
        let file = yaml(path);
        let mut found = Vec::new();
        scripts(&file, &mut found);
        count += found.len();
        for script in found {
            assert!(!script.contains("${{"), "{path}: {script}");
        }
    }
    assert!(count >= 6, "only {count} scripts were found");
}

#[test]
fn jobs_have_the_least_rights_and_do_not_run_side_by_side() {
    let workflow = yaml("deploy/ci/github/cutover.yml");
    assert_eq!(workflow["permissions"], json!({}));
    let build = json!({"contents": "read", "pull-requests": "write", "statuses": "write"});
    let jobs = workflow["jobs"].as_object().expect("jobs");
    for (name, job) in jobs {
        let expected = if name == "build" {
            build.clone()
        } else {
            json!({"contents": "read"})
        };
        assert_eq!(job["permissions"], expected, "{name}");
        let is_of_request = matches!(name.as_str(), "build" | "teardown");
        assert_eq!(
            job["concurrency"]["cancel-in-progress"], is_of_request,
            "{name}"
        );
        assert!(job["timeout-minutes"].is_u64(), "{name} has no end");
        for step in job["steps"].as_array().expect("steps") {
            let is_checkout = step["uses"] == "actions/checkout@v4";
            assert!(
                !is_checkout || step["with"]["persist-credentials"] == false,
                "{name}"
            );
        }
    }
    assert_eq!(
        jobs["build"]["concurrency"]["group"],
        jobs["teardown"]["concurrency"]["group"]
    );
    let example = yaml("deploy/ci/example/.github/workflows/cutover.yml");
    assert_eq!(
        example["permissions"], build,
        "what the called workflow needs is granted"
    );
    assert!(example["on"].get("pull_request_target").is_none());
}

#[test]
fn the_example_calls_what_there_is() {
    let workflow = yaml("deploy/ci/github/cutover.yml");
    let example = yaml("deploy/ci/example/.github/workflows/cutover.yml");
    let call = &example["jobs"]["cutover"];
    for (what, given) in [("inputs", "with"), ("secrets", "secrets")] {
        let declared = workflow["on"]["workflow_call"][what]
            .as_object()
            .expect("a declaration");
        let given = call[given].as_object().expect("what is given");
        for name in given.keys() {
            assert!(declared.contains_key(name), "no {name} in {what}");
        }
        for (name, declared) in declared {
            let is_needed = declared["required"] == true;
            assert!(!is_needed || given.contains_key(name), "{name} is missing");
        }
    }
    let include = yaml("deploy/ci/example/.gitlab-ci.yml");
    let inputs = include["include"][0]["inputs"].as_object().expect("inputs");
    let given = inputs
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().expect("a text").to_owned()));
    let (_, jobs) = component(&given.collect());
    assert_eq!(
        jobs["cutover-build"]["environment"]["on_stop"],
        "cutover-teardown"
    );
    assert_eq!(
        jobs["cutover-build"]["environment"]["name"],
        jobs["cutover-teardown"]["environment"]["name"]
    );
    assert_eq!(
        jobs["cutover-build"]["resource_group"],
        jobs["cutover-teardown"]["resource_group"]
    );
}

#[test]
fn the_example_is_a_project_and_a_configuration() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/ci/example/cutover.yaml");
    let sources = Sources {
        file: Some(file),
        ..Sources::default()
    };
    let loaded = Settings::load(&sources).expect("a configuration");
    assert_eq!(loaded.settings.ci.against.as_deref(), Some("production"));
    for path in ["dbt_project.yml", "profiles.yml", "models/sources.yml"] {
        assert!(
            yaml(&format!("deploy/ci/example/{path}")).is_object(),
            "{path}"
        );
    }
    let project = yaml("deploy/ci/example/dbt_project.yml");
    assert!(project["vars"]["deployment"]["production"].is_object());
    assert!(text("deploy/ci/example/requirements.txt").contains("dbt-materialize"));
}
