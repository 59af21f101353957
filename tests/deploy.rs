//! What is shipped to run the daemon: every file parses, and they agree with each other, with the
//! settings and with the list of metrics.

use cutover::settings::{Settings, Sources};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const CONFIGURATIONS: [&str; 3] = [
    "deploy/systemd/cutover.yaml",
    "deploy/compose/cutover.yaml",
    "deploy/kubernetes/cutover.yaml",
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).expect("a file")
}

fn yaml(name: &str) -> Value {
    serde_yaml::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every row of `docs/metrics.md` under the metric's name.
fn metrics() -> BTreeMap<String, String> {
    text("docs/metrics.md")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let name = line.split('`').nth(1).expect("a name");
            (name.to_owned(), line.to_owned())
        })
        .collect()
}

fn strings<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                match value.as_str() {
                    Some(text) if name == key => found.push(text),
                    Some(_) | None => strings(value, key, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| strings(value, key, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_file_parses() {
    let mut parsed = 0;
    for folder in ["systemd", "compose", "kubernetes", "prometheus", "grafana"] {
        for entry in std::fs::read_dir(path("deploy").join(folder)).expect("a folder") {
            let file = entry.expect("an entry").path();
            let kind = file.extension().and_then(|kind| kind.to_str());
            if matches!(kind, Some("yaml" | "json")) {
                let name = file.display().to_string();
                let text = std::fs::read_to_string(&file).expect("a file");
                if kind == Some("json") {
                    let parsed: Result<Value, _> = serde_json::from_str(&text);
                    parsed.unwrap_or_else(|error| panic!("{name}: {error}"));
                } else {
                    let parsed: Result<serde_yaml::Value, _> = serde_yaml::from_str(&text);
                    parsed.unwrap_or_else(|error| panic!("{name}: {error}"));
                }
                parsed += 1;
            }
        }
    }
    assert!(parsed >= 13, "{parsed} files");
}

#[test]
fn alerts_and_dashboard_use_metrics_that_exist() {
    let known = metrics();
    let word = regex::Regex::new(r"\b(?:cutover|process)_[a-z_]+").expect("an expression");
    let alerts = yaml("deploy/prometheus/alerts.yaml");
    let dashboard: Value =
        serde_json::from_str(&text("deploy/grafana/cutover.json")).expect("JSON");
    let mut expressions = Vec::new();
    strings(&alerts, "expr", &mut expressions);
    strings(&dashboard, "expr", &mut expressions);
    strings(&dashboard["templating"], "query", &mut expressions);
    assert!(expressions.len() > 25);
    for expression in expressions {
        for name in word.find_iter(expression).map(|found| found.as_str()) {
            let series = name
                .strip_suffix("_bucket")
                .and_then(|base| known.get(base));
            assert!(
                known.contains_key(name) || series.is_some_and(|row| row.contains("histogram")),
                "{name} in {expression}"
            );
        }
    }
}

#[test]
fn runbooks_are_sections_of_the_operations_guide() {
    let anchors: BTreeSet<String> = text("docs/operations.md")
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|title| title.to_lowercase().replace(' ', "-"))
        .collect();
    let alerts = yaml("deploy/prometheus/alerts.yaml");
    let mut links = Vec::new();
    strings(&alerts, "runbook_url", &mut links);
    assert!(!links.is_empty());
    for link in links {
        let anchor = link.strip_prefix("docs/operations.md#").expect(link);
        assert!(anchors.contains(anchor), "{link}");
    }
}

/// A section that this program does not know makes the whole file one of a later program; with
/// every section known the file must load.
#[test]
fn configurations_load() {
    let known = yaml("config/default.yaml");
    for name in CONFIGURATIONS {
        let written = yaml(name);
        let mut keys = written.as_object().expect("a mapping").keys();
        let scheduled = written["environments"]["production"]["schedule"].is_object();
        if !keys.all(|key| known.get(key).is_some()) || scheduled && known.get("schedule").is_none()
        {
            continue;
        }
        let sources = Sources {
            file: Some(path(name)),
            ..Sources::default()
        };
        let loaded = Settings::load(&sources).unwrap_or_else(|error| panic!("{name}: {error}"));
        let one = loaded.for_environment(Some("production"));
        one.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn ports_paths_and_limits_agree() {
    for name in CONFIGURATIONS {
        let written = yaml(name);
        let listen = written["http"]["listen"].as_str().expect("an address");
        assert!(listen.ends_with(":8425"), "{name}");
        assert_eq!(written["daemon"]["stop_timeout"], "60s", "{name}");
    }
    let pod = &yaml("deploy/kubernetes/deployment.yaml")["spec"]["template"]["spec"];
    assert!(
        pod["terminationGracePeriodSeconds"]
            .as_u64()
            .expect("seconds")
            > 60
    );
    let container = &pod["containers"][0];
    assert_eq!(container["ports"][0]["containerPort"], 8425);
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz");
    assert_eq!(
        yaml("deploy/kubernetes/service.yaml")["spec"]["ports"][0]["port"],
        8425
    );
    assert!(text("deploy/Dockerfile").contains("EXPOSE 8425"));
    assert!(text("deploy/compose/compose.yaml").contains("stop_grace_period: 90s"));
    assert!(text("deploy/systemd/cutover.service").contains("TimeoutStopSec=90s"));
    for name in ["deploy/Dockerfile", "deploy/systemd/cutover.service"] {
        assert!(
            text(name).contains("/var/lib/cutover/cutover.yaml"),
            "{name}"
        );
    }
}
