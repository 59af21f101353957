//! One release of a project of 10 models in 3 schemas and 2 clusters, by Cutover and by the five
//! deployment macros of dbt-materialize, on the stand-in. Prints a Markdown table.
//!
//! Cutover's own work is the wall time of `cutover deploy` less the time in which a dbt process ran
//! and less the wait for readiness. dbt is run through a wrapper that notes when each process began
//! and ended. Resident memory is the peak of Cutover's own process (`VmHWM`).
//!
//! The stand-in answers as slowly as a real server (`CUTOVER_BENCH_COSTS`, see `budget.rs`), and counts what it is
//! asked. Exits non-zero when a release needs more than a limit of `budget.rs`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and panics when its surroundings are not right"
)]

#[path = "budget.rs"]
mod budget;

use budget::{Counters, Floor, RELEASE};
use mz_sandbox::Costs;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const RELEASES: usize = 3;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let costs = budget::costs();
    let sandbox = runtime
        .block_on(mz_sandbox::Sandbox::start(budget::options(costs)))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(folder.path(), sandbox.port());
    let client = runtime.block_on(bench.prepare(&sandbox.url()));
    bench.dbt(&["build"]);
    let mut releases = Vec::new();
    let mut counters = Counters::default();
    for n in 0..RELEASES {
        runtime.block_on(Counters::begin(&client));
        releases.push(bench.cutover(n));
        counters = runtime.block_on(Counters::read(&client));
    }
    let mut macros = Vec::new();
    let mut of_macros = Counters::default();
    for n in 0..RELEASES {
        runtime.block_on(Counters::begin(&client));
        macros.push(bench.macros(n));
        of_macros = runtime.block_on(Counters::read(&client));
    }
    drop(client);
    runtime.block_on(sandbox.stop());
    println!("What the last release asked:\n\n{}", counters.table());
    println!("What the macros asked:\n\n{}", of_macros.table());
    report(&releases, &macros, &counters, costs)
}

struct Bench {
    project: PathBuf,
    dbt: PathBuf,
    wrapper: PathBuf,
    times: PathBuf,
}

struct Release {
    wall: Duration,
    dbt: Duration,
    waiting: Duration,
    peak_kb: u64,
}

impl Release {
    fn own(&self) -> Duration {
        self.wall.saturating_sub(self.dbt + self.waiting)
    }
}

impl Bench {
    fn new(folder: &Path, port: u16) -> Self {
        let project = folder.join("shop");
        for part in ["models", "seeds"] {
            fs::create_dir_all(project.join(part)).unwrap();
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let dbt = std::env::var_os("CUTOVER_TEST_DBT")
            .map_or_else(|| root.join(".venv/bin/dbt"), PathBuf::from);
        assert!(
            dbt.is_file(),
            "no dbt at {}; run `make venv`",
            dbt.display()
        );
        let bench = Self {
            times: folder.join("times"),
            wrapper: folder.join("dbt"),
            project,
            dbt,
        };
        bench.write_project(port);
        let script = format!(
            "#!/bin/sh\nb=$(date +%s.%N)\n\"{}\" \"$@\"\nc=$?\necho \"$b $(date +%s.%N)\" >> \"{}\"\nexit $c\n",
            bench.dbt.display(),
            bench.times.display()
        );
        fs::write(&bench.wrapper, script).unwrap();
        fs::set_permissions(&bench.wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        bench
    }

    fn write_project(&self, port: u16) {
        let write = |name: &str, text: &str| fs::write(self.project.join(name), text).unwrap();
        write(
            "dbt_project.yml",
            "name: shop\nprofile: shop\nversion: '1.0'\nvars:\n  deployment:\n    prod:\n      clusters: [compute, serving]\n      schemas: [shop_a, shop_b, shop_c]\n",
        );
        write(
            "profiles.yml",
            &format!(
                "shop:\n  target: prod\n  outputs:\n    prod: {{type: materialize, host: 127.0.0.1, port: {port}, user: materialize, password: '', database: materialize, schema: shop, cluster: compute, threads: 2, sslmode: disable}}\n"
            ),
        );
        write(
            "seeds/orders.csv",
            "id,customer,amount\n1,a,10\n2,b,20\n3,a,5\n",
        );
        let seed = "seeds:\n  - name: orders\n    config: {schema: a}\n";
        let tests = "models:\n  - name: m4\n    columns:\n      - {name: id, data_tests: [not_null, unique]}\n";
        write("seeds/seeds.yml", seed);
        write("models/models.yml", tests);
        self.write_models(0);
    }

    /// Ten models in a chain: two views, then materialized views and views with indexes.
    fn write_models(&self, version: usize) {
        for n in 0..10 {
            let parent = if n == 0 {
                "ref('orders')".to_owned()
            } else {
                format!("ref('m{}')", n - 1)
            };
            let (schema, config) = match n {
                0..3 => ("a", "materialized='view'"),
                3..7 => (
                    "b",
                    "materialized='materialized_view', cluster='compute', indexes=[{'columns': ['id']}]",
                ),
                _ => (
                    "c",
                    "materialized='view', cluster='serving', indexes=[{'default': True}]",
                ),
            };
            let text = format!(
                "{{{{ config(schema='{schema}', {config}) }}}}\nselect id, customer, amount + {version} - {version} as amount from {{{{ {parent} }}}}\n"
            );
            fs::write(self.project.join(format!("models/m{n}.sql")), text).unwrap();
        }
    }

    /// A client that steers, once the clusters are there.
    async fn prepare(&self, url: &str) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        for cluster in ["compute", "serving"] {
            client
                .batch_execute(&format!("CREATE CLUSTER {cluster} (SIZE = '25cc')"))
                .await
                .unwrap();
        }
        client
    }

    fn dbt(&self, arguments: &[&str]) {
        let output = Command::new(&self.dbt)
            .args(arguments)
            .current_dir(&self.project)
            .env("DBT_PROFILES_DIR", &self.project)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "dbt {arguments:?}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }

    fn cutover(&self, version: usize) -> Release {
        self.write_models(version + 1);
        fs::write(&self.times, "").unwrap();
        let began = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_cutover"))
            .args(["deploy", "--output", "json"])
            .current_dir(&self.project)
            .env("CUTOVER__DBT__EXECUTABLE", &self.wrapper)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut peak_kb = 0;
        let mut events: Vec<Value> = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            peak_kb = peak_kb.max(high_water(&status));
            events.push(serde_json::from_str(&line.unwrap()).unwrap());
        }
        assert!(child.wait().unwrap().success(), "{:?}", events.last());
        Release {
            wall: began.elapsed(),
            dbt: busy(&fs::read_to_string(&self.times).unwrap()),
            waiting: waiting(&events),
            peak_kb,
        }
    }

    /// The same release with the macros: init, build, await, promote, cleanup; and the tests.
    fn macros(&self, version: usize) -> Duration {
        self.write_models(100 + version);
        let began = Instant::now();
        self.dbt(&["run-operation", "deploy_init"]);
        self.dbt(&["build", "--vars", "{deploy: true}"]);
        self.dbt(&[
            "run-operation",
            "deploy_await",
            "--args",
            "{poll_interval: 1}",
        ]);
        self.dbt(&["run-operation", "deploy_promote"]);
        self.dbt(&["run-operation", "deploy_cleanup"]);
        began.elapsed()
    }
}

/// The time in which at least one process ran.
fn busy(times: &str) -> Duration {
    let mut spans: Vec<(f64, f64)> = times
        .lines()
        .map(|line| {
            let (begin, end) = line.split_once(' ').unwrap();
            (begin.parse().unwrap(), end.parse().unwrap())
        })
        .collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut total, mut until) = (0.0, 0.0);
    for (begin, end) in spans {
        total += (end - f64::max(begin, until)).max(0.0);
        until = f64::max(until, end);
    }
    Duration::from_secs_f64(total)
}

/// From entering a state that waits for readiness to the last reading in it.
fn waiting(events: &[Value]) -> Duration {
    let mut total = Duration::ZERO;
    let mut since: Option<Duration> = None;
    let mut last = Duration::ZERO;
    for event in events {
        let Some(at) = event["at"].as_str() else {
            continue;
        };
        let at: jiff::Timestamp = at.parse().unwrap();
        let at = SystemTime::from(at).duration_since(UNIX_EPOCH).unwrap();
        match event["event"].as_str() {
            Some("state") => {
                if let Some(since) = since.take() {
                    total += last.saturating_sub(since);
                }
                if matches!(event["state"].as_str(), Some("hydrating" | "ready")) {
                    since = Some(at);
                    last = at;
                }
            }
            Some("readiness") => last = at,
            Some(_) | None => {}
        }
    }
    total
}

fn high_water(status: &str) -> u64 {
    let Ok(text) = fs::read_to_string(status) else {
        return 0;
    };
    text.lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|kb| kb.trim().parse().ok())
        .unwrap_or(0)
}

/// What the project of `write_models` needs: a seed, six views, four materialized views and an index of each but three.
const FLOOR: Floor = Floor {
    schemas: 3,
    clusters: 2,
    tables: 1,
    views: 6,
    materialized_views: 4,
    indexes: 7,
};

fn report(
    releases: &[Release],
    macros: &[Duration],
    counters: &Counters,
    costs: Option<Costs>,
) -> ExitCode {
    let seconds = |duration: Duration| format!("{:.2} s", duration.as_secs_f64());
    println!(
        "| release | wall | dbt's processes | waiting for readiness | Cutover's own work | peak memory | the five macros, wall |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (index, release) in releases.iter().enumerate() {
        println!(
            "| {} | {} | {} | {} | {} | {:.1} MB | {} |",
            index + 1,
            seconds(release.wall),
            seconds(release.dbt),
            seconds(release.waiting),
            seconds(release.own()),
            release.peak_kb as f64 / 1024.0,
            macros
                .get(index)
                .map_or_else(String::new, |wall| seconds(*wall)),
        );
    }
    let mut over = Vec::new();
    let mut limit = |what: &str, is: f64, at_most: f64| {
        println!("{what}: {is:.2}, at most {at_most:.2}");
        if is > at_most {
            over.push(what.to_owned());
        }
    };
    println!();
    let worst = |figure: fn(&Release) -> f64| releases.iter().map(figure).fold(0.0, f64::max);
    limit(
        "peak memory in MB",
        worst(|release| release.peak_kb as f64 / 1024.0),
        RELEASE.peak_kb as f64 / 1024.0,
    );
    match costs {
        Some(costs) => {
            let floor = FLOOR.time(costs.factor).as_secs_f64();
            let wall = worst(|release| release.wall.saturating_sub(release.dbt).as_secs_f64());
            limit(
                "wall time less dbt's processes, as a multiple of the floor",
                wall / floor,
                RELEASE.times_the_floor,
            );
        }
        None => limit(
            "own work in seconds",
            worst(|release| release.own().as_secs_f64()),
            RELEASE.own.as_secs_f64(),
        ),
    }
    let dataflows = counters.count("cutover", "dataflow", Some("catalog"));
    limit(
        "questions about the catalog that need a dataflow",
        dataflows as f64,
        RELEASE.dataflows as f64,
    );
    let ddl = counters.count("cutover", "ddl", None) + counters.count("dbt", "ddl", None);
    limit(
        "statements of DDL, as a multiple of those that the project needs",
        ddl as f64 / f64::from(FLOOR.ddl()),
        RELEASE.times_the_ddl,
    );
    if over.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("over the limit: {}", over.join("; "));
    ExitCode::FAILURE
}
