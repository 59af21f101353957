//! What is shipped to run the daemon: every file parses, the daemon starts with it, and the files agree
//! with each other, with the settings and with the list of metrics.

use cutover::domain::lifecycle::role::Role;
use cutover::domain::lifecycle::state::State;
use cutover::domain::progress::ClusterReadiness;
use cutover::inputs::settings::{Settings, Sources};
use cutover::operations::metrics::Metrics;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The longest that a message is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// Label values by label, of every series.
type Series = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// What the daemon exports of an environment `production` in its life.
fn exported() -> Series {
    let metrics = Metrics::new();
    metrics.expect_environment("production");
    metrics.expect_target("oncall");
    metrics.expect_target("other");
    for from in State::ALL {
        metrics.state_entered("production", Some(from), State::Soaking, 1.0);
    }
    let serving = ClusterReadiness {
        cluster: "serving".to_owned(),
        hydrated: 1,
        total: 1,
        lag_ms: Some(1),
        lagging: None,
        waiting_for: Vec::new(),
        relations: Vec::new(),
    };
    metrics.readiness("production", &[serving]);
    metrics.fired_late("production", Duration::from_secs(1));
    metrics.role("production", Role::Leader);
    metrics.next_run("production", Some(jiff::Timestamp::UNIX_EPOCH));
    metrics.leftovers("production", 0);
    metrics.answered("/metrics", "GET", 200, Duration::from_millis(1));
    let mut series = Series::new();
    let label = regex::Regex::new(r#"([a-z_]+)="([^"]*)""#).expect("an expression");
    for line in metrics.text().lines().filter(|line| !line.starts_with('#')) {
        let head = line.split([' ', '{']).next().expect("a name");
        let labels = series.entry(head.to_owned()).or_default();
        for found in label.captures_iter(line) {
            let values = labels.entry(found[1].to_owned()).or_default();
            values.insert(found[2].to_owned());
        }
    }
    // Prometheus adds these to what it scrapes, and makes one series of its own.
    series.entry("up".to_owned()).or_default();
    for labels in series.values_mut() {
        for (label, value) in [
            ("job", "cutover"),
            ("instance", "a:8425"),
            ("instance", "b:8425"),
        ] {
            labels
                .entry(label.to_owned())
                .or_default()
                .insert(value.to_owned());
        }
    }
    series
}

/// Holds the names, labels and values of an expression against what is exported.
fn exists(expression: &str, exported: &Series) {
    let series = regex::Regex::new(r"\b((?:cutover|process)_[a-z_]+|up\b)(?:\{([^}]*)\})?")
        .expect("an expression");
    let matcher =
        regex::Regex::new(r#"([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)""#).expect("an expression");
    let grouped = regex::Regex::new(r"\b(?:by|on) \(([^)]*)\)").expect("an expression");
    let mut labels = BTreeSet::new();
    let mut names = 0;
    for found in series.captures_iter(expression) {
        let known = exported.get(&found[1]);
        let known = known.unwrap_or_else(|| panic!("{} in {expression}", &found[1]));
        names += 1;
        labels.extend(known.keys().map(String::as_str));
        let matchers = found.get(2).map_or("", |matchers| matchers.as_str());
        for found in matcher.captures_iter(matchers) {
            let values = known.get(&found[1]);
            let values = values.unwrap_or_else(|| panic!("{} in {expression}", &found[1]));
            // A choice in the dashboard may be any value.
            let wanted = found[3]
                .split('|')
                .filter(|wanted| !wanted.starts_with('$'));
            for wanted in wanted {
                let pattern = if found[2].contains('~') {
                    wanted.to_owned()
                } else {
                    regex::escape(wanted)
                };
                let pattern = regex::Regex::new(&format!("^(?:{pattern})$")).expect("a pattern");
                assert!(
                    values.iter().any(|value| pattern.is_match(value)),
                    "{wanted} in {expression}; there are {values:?}"
                );
            }
        }
    }
    assert!(names > 0, "{expression}");
    for found in grouped.captures_iter(expression) {
        for label in found[1].split(',').map(str::trim) {
            assert!(labels.contains(label), "{label} in {expression}");
        }
    }
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
fn alerts_and_dashboard_use_what_the_daemon_exports() {
    let exported = exported();
    let alerts = yaml("deploy/prometheus/alerts.yaml");
    let dashboard: Value =
        serde_json::from_str(&text("deploy/grafana/cutover.json")).expect("JSON");
    let mut expressions = Vec::new();
    strings(&alerts, "expr", &mut expressions);
    strings(&dashboard, "expr", &mut expressions);
    assert!(expressions.len() > 30);
    let mut choices = Vec::new();
    strings(&dashboard["templating"], "query", &mut choices);
    expressions.extend(choices.into_iter().filter(|query| query.contains('(')));
    for expression in expressions {
        exists(expression, &exported);
    }
}

#[test]
#[should_panic(expected = "rolled_forward")]
fn a_value_that_is_never_exported_is_found() {
    let expression = "increase(cutover_deployments_total{outcome=\"rolled_forward\"}[1h]) > 0";
    exists(expression, &exported());
}

/// promtool runs them where it is installed (`.ci/deploy-check`).
#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let exported = exported();
    let alerts = yaml("deploy/prometheus/alerts.yaml");
    let tests = yaml("deploy/prometheus/alerts.test.yaml");
    let mut fires: BTreeMap<&str, [bool; 2]> = BTreeMap::new();
    for test in tests["tests"].as_array().expect("tests") {
        for series in test["input_series"].as_array().expect("series") {
            exists(series["series"].as_str().expect("a series"), &exported);
        }
        for case in test["alert_rule_test"].as_array().expect("cases") {
            let name = case["alertname"].as_str().expect("a name");
            let expected = case["exp_alerts"].as_array().expect("alerts");
            fires.entry(name).or_default()[usize::from(!expected.is_empty())] = true;
        }
    }
    let mut names = Vec::new();
    strings(&alerts, "alert", &mut names);
    assert!(names.len() > 12, "{names:?}");
    for name in &names {
        assert_eq!(fires.get(name), Some(&[true, true]), "{name}");
    }
    assert_eq!(fires.len(), names.len());
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

#[test]
fn configurations_load() {
    for name in CONFIGURATIONS {
        let sources = Sources {
            file: Some(path(name)),
            ..Sources::default()
        };
        let loaded = Settings::load(&sources).unwrap_or_else(|error| panic!("{name}: {error}"));
        let one = loaded.for_environment(Some("production"));
        one.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// Under `ProtectSystem=strict` the folder of the state is the only one that stays.
#[test]
fn the_unit_lets_the_daemon_write_what_it_writes() {
    let unit = text("deploy/systemd/cutover.service");
    assert!(unit.contains("\nProtectSystem=strict\n"));
    assert!(unit.contains("\nStateDirectory=cutover\n"));
    let written = yaml("deploy/systemd/cutover.yaml");
    for (place, begins) in [
        (&written["store"]["url"], "sqlite:///var/lib/cutover/"),
        (&written["artifacts"]["url"], "file:///var/lib/cutover/"),
        (&written["runs"]["directory"], "/var/lib/cutover/"),
    ] {
        let place = place.as_str().expect("a place");
        assert!(place.starts_with(begins), "{place}");
    }
}

/// One that listens on every address must say itself where the others find it.
#[test]
fn every_replica_says_where_it_is_found() {
    let container =
        &yaml("deploy/kubernetes/deployment.yaml")["spec"]["template"]["spec"]["containers"][0];
    let found = container["env"].as_array().expect("variables").iter();
    let mut found = found.filter(|one| one["name"] == "CUTOVER__HTTP__ADVERTISE");
    let url = found.next().expect("a URL");
    assert_eq!(url["value"], "http://$(POD_IP):8425");
    let compose = text("deploy/compose/compose.yaml");
    for replica in ["cutover-a", "cutover-b"] {
        assert!(compose.contains(&format!("CUTOVER__HTTP__ADVERTISE: http://{replica}:8425")));
    }
}

/// A daemon, and the socket on which systemd would listen to it. It is killed when it is dropped.
struct Unit {
    daemon: Child,
    told: UnixDatagram,
}

impl Drop for Unit {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Unit {
    fn start(folder: &Path, file: &Path) -> Self {
        let socket = folder.join("notify");
        let told = UnixDatagram::bind(&socket).expect("a socket");
        told.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let root = folder.display();
        let log = File::create(folder.join("log")).expect("a file");
        // The shell's own number is the daemon's: systemd says whose watchdog it is.
        let daemon = Command::new("sh")
            .args(["-c", "WATCHDOG_PID=$$ exec \"$@\"", "sh"])
            .arg(env!("CARGO_BIN_EXE_cutover"))
            .args(["serve", "--config"])
            .arg(file)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "200000")
            .env("CUTOVER__STORE__URL", format!("sqlite://{root}/cutover.db"))
            .env(
                "CUTOVER__ARTIFACTS__URL",
                format!("file://{root}/artifacts"),
            )
            .env("CUTOVER_API_TOKEN", TOKEN)
            .env("MATERIALIZE_PASSWORD", "password")
            .env("GIT_TOKEN", "token")
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("a daemon");
        Self { daemon, told }
    }

    fn heard(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.told.recv(&mut buffer).expect("a message");
        String::from_utf8_lossy(&buffer[..length])
            .trim_end()
            .to_owned()
    }

    /// The next message that is not a sign of life.
    fn news(&self) -> String {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let heard = self.heard();
            if heard != "WATCHDOG=1" {
                return heard;
            }
        }
        panic!("nothing but signs of life");
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.daemon.id()).expect("an id");
        kill(Pid::from_raw(id), signal).expect("a signal");
    }

    /// What it says when it reads the configuration again, between the beginning and the end of that.
    fn reloads(&self) -> String {
        self.signal(Signal::SIGHUP);
        let began = self.news();
        let since = began.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        let since = since.map(str::parse::<u64>);
        assert!(matches!(since, Some(Ok(1..))), "{began}");
        let said = self.news();
        assert_eq!(self.news(), "READY=1");
        said
    }
}

#[test]
fn the_daemon_starts_with_every_configuration_and_systemd_is_told() {
    for name in CONFIGURATIONS {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = temporary.path();
        let root = folder.display().to_string();
        let mut written = text(name);
        for (from, to) in [
            ("/run/credentials/cutover.service", root.as_str()),
            ("/run/secrets", root.as_str()),
            ("/var/lib/cutover", root.as_str()),
            ("0.0.0.0:8425", "127.0.0.1:0"),
            ("127.0.0.1:8425", "127.0.0.1:0"),
            ("https://git.example.com", "https://127.0.0.1:1"),
        ] {
            written = written.replace(from, to);
        }
        let file = folder.join("cutover.yaml");
        std::fs::write(&file, &written).expect("a file");
        for token in ["api-token", "api_token"] {
            std::fs::write(folder.join(token), TOKEN).expect("a file");
        }

        let mut unit = Unit::start(folder, &file);
        let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert_eq!(unit.news(), "READY=1", "{name}\n{}", log());
        assert_eq!(unit.heard(), "WATCHDOG=1", "{name}");
        std::fs::write(&file, format!("{written}\ncolour: red\n")).expect("a file");
        let said = unit.reloads();
        assert!(
            said.starts_with("STATUS=the configuration is faulty"),
            "{said}"
        );
        std::fs::write(&file, &written).expect("a file");
        assert_eq!(unit.reloads(), "STATUS=", "{name}\n{}", log());
        unit.signal(Signal::SIGTERM);
        assert_eq!(unit.news(), "STOPPING=1", "{name}");
        let status = unit.daemon.wait().expect("an end");
        assert_eq!(status.code(), Some(0), "{name}\n{}", log());
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
