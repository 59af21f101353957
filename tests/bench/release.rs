//! Releases of a project of 10 models in 3 schemas and 2 clusters, and of one of 200 in 8 schemas and 4 clusters,
//! by Cutover and by the five deployment macros of dbt-materialize, on the stand-in. Prints Markdown tables.
//!
//! Cutover's own work is the wall time of `cutover deploy` less the time in which a dbt process ran
//! and less the wait for readiness. dbt is run through a wrapper that notes when each process began
//! and ended. Resident memory is the peak of Cutover's own process (`VmHWM`). Building is the time that a release
//! spends in that state.
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
#[path = "dbt.rs"]
mod dbt;
#[path = "shop.rs"]
mod shop;

use budget::{Counters, LARGE, Limits, SMALL};
use dbt::Wrapper;
use mz_sandbox::Costs;
use serde_json::Value;
use shop::Shop;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn main() -> ExitCode {
    let mut over = Vec::new();
    for (shop, limits) in [(Shop::Small, &SMALL), (Shop::Large, &LARGE)] {
        println!("## {}\n", shop.name());
        over.extend(released(shop, limits));
        println!();
    }
    if over.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("over the limit: {}", over.join("; "));
    ExitCode::FAILURE
}

/// Releases a project again and again, by Cutover and by the macros, and gives what is over its limit.
fn released(shop: Shop, limits: &Limits) -> Vec<String> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let costs = budget::costs();
    let sandbox = runtime
        .block_on(mz_sandbox::Sandbox::start(budget::options(costs)))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(shop, folder.path(), sandbox.port());
    let client = runtime.block_on(bench.prepare(&sandbox.url()));
    bench.dbt(&["build"]);
    // From then on there is a baseline, as in production.
    bench.cutover(0);
    let mut releases = Vec::new();
    let mut counters = Counters::default();
    for n in 0..limits.releases {
        runtime.block_on(Counters::begin(&client));
        releases.push(bench.cutover(n + 1));
        counters = runtime.block_on(Counters::read(&client));
    }
    let describing = limits
        .describing_times_building
        .map(|_| runtime.block_on(bench.describing(&client, limits.releases + 50)));
    let of_one = limits
        .one_changed_times_the_macros_without_await
        .map(|_| bench.cutover_of_one(limits.releases + 1));
    let mut macros = Vec::new();
    let mut of_macros = Counters::default();
    for n in 0..limits.releases {
        runtime.block_on(Counters::begin(&client));
        macros.push(bench.macros(n));
        of_macros = runtime.block_on(Counters::read(&client));
    }
    drop(client);
    runtime.block_on(sandbox.stop());
    println!("What the last release asked:\n\n{}", counters.table());
    println!("What the macros asked:\n\n{}", of_macros.table());
    report(
        shop,
        limits,
        (&releases, of_one.as_ref()),
        describing,
        &macros,
        &counters,
        costs,
    )
}

struct Bench {
    shop: Shop,
    project: PathBuf,
    dbt: PathBuf,
    wrapper: Wrapper,
}

struct Release {
    wall: Duration,
    dbt: Duration,
    building: Duration,
    waiting: Duration,
    peak_kb: u64,
}

impl Release {
    fn own(&self) -> Duration {
        self.wall.saturating_sub(self.dbt + self.waiting)
    }
}

/// The five macros: all, and of that the build, the tests included, and the wait.
struct Macros {
    wall: Duration,
    build: Duration,
    awaiting: Duration,
}

impl Bench {
    fn new(shop: Shop, folder: &Path, port: u16) -> Self {
        let project = folder.join("shop");
        let dbt = dbt::real();
        shop.write(&project, port);
        Self {
            shop,
            wrapper: Wrapper::write(folder, &dbt),
            project,
            dbt,
        }
    }

    /// A client that steers, once the clusters are there.
    async fn prepare(&self, url: &str) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        for cluster in self.shop.clusters() {
            client
                .batch_execute(&format!("CREATE CLUSTER {cluster} (SIZE = '25cc')"))
                .await
                .unwrap();
        }
        client
    }

    /// Runs dbt, and says how long it took.
    fn dbt(&self, arguments: &[&str]) -> Duration {
        let began = Instant::now();
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
        began.elapsed()
    }

    /// Releases a version in which every model comes out differently.
    fn cutover(&self, version: usize) -> Release {
        self.shop.write_models(&self.project, version + 1);
        self.deploy(&[])
    }

    /// Releases a version in which one model comes out differently; all of them are built all the same.
    fn cutover_of_one(&self, version: usize) -> Release {
        self.shop.write_last(&self.project, version + 1);
        self.deploy(&["--full"])
    }

    /// What a description adds to the plan of a version in which every model comes out differently: from the first
    /// statement for it to the answer to the last.
    async fn describing(&self, client: &tokio_postgres::Client, version: usize) -> Duration {
        self.shop.write_models(&self.project, version);
        Counters::begin(client).await;
        let mut took = Vec::new();
        for flags in [&[][..], &["--describe"]] {
            self.wrapper.forget();
            let began = Instant::now();
            let output = Command::new(env!("CARGO_BIN_EXE_cutover"))
                .args(["plan", "--output", "json"])
                .args(flags)
                .current_dir(&self.project)
                .env("CUTOVER__DBT__EXECUTABLE", &self.wrapper.path)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert!(output.status.success(), "{flags:?}");
            let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
            if !flags.is_empty() {
                assert_eq!(plan["description"]["described"], 200);
                assert_eq!(plan["columns"], Value::Array(Vec::new()));
            }
            took.push(began.elapsed().saturating_sub(self.wrapper.busy()));
        }
        let rows = client
            .query(
                "SELECT count(*)::text, round(sum(cost_ms))::text FROM mz_sandbox.statements WHERE sql LIKE '%cutover: describe nodes%' AND class = 'ddl'",
                &[],
            )
            .await
            .unwrap();
        println!(
            "What a description sent: {} temporary views, {} ms of DDL\n",
            rows[0].get::<_, String>(0),
            rows[0].get::<_, String>(1)
        );
        took[1].saturating_sub(took[0])
    }

    fn deploy(&self, flags: &[&str]) -> Release {
        self.wrapper.forget();
        let began = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_cutover"))
            .args(["deploy", "--output", "json"])
            .args(flags)
            .current_dir(&self.project)
            .env("CUTOVER__DBT__EXECUTABLE", &self.wrapper.path)
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
            dbt: self.wrapper.busy(),
            building: building(&events),
            waiting: waiting(&events),
            peak_kb,
        }
    }

    /// The same release with the macros: init, build, await, promote, cleanup; and the tests.
    fn macros(&self, version: usize) -> Macros {
        self.shop.write_models(&self.project, 100 + version);
        let init = self.dbt(&["run-operation", "deploy_init"]);
        let build = self.dbt(&["build", "--vars", "{deploy: true}"]);
        let poll = "{poll_interval: 1}";
        let awaiting = self.dbt(&["run-operation", "deploy_await", "--args", poll]);
        let promote = self.dbt(&["run-operation", "deploy_promote"]);
        let cleanup = self.dbt(&["run-operation", "deploy_cleanup"]);
        Macros {
            wall: init + build + awaiting + promote + cleanup,
            build,
            awaiting,
        }
    }
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

/// From entering the state that builds to leaving it.
fn building(events: &[Value]) -> Duration {
    let mut states = events.iter().filter(|event| event["event"] == "state");
    let moment =
        |event: &Value| -> jiff::Timestamp { event["at"].as_str().unwrap().parse().unwrap() };
    let began = states.find(|event| event["state"] == "building").unwrap();
    let ended = states.next().unwrap();
    Duration::try_from(moment(ended).duration_since(moment(began))).unwrap()
}

fn report(
    shop: Shop,
    limits: &Limits,
    (releases, of_one): (&[Release], Option<&Release>),
    describing: Option<Duration>,
    macros: &[Macros],
    counters: &Counters,
    costs: Option<Costs>,
) -> Vec<String> {
    let seconds = |duration: Duration| format!("{:.2} s", duration.as_secs_f64());
    println!(
        "| release | wall | dbt's processes | building | waiting for readiness | Cutover's own work | peak memory | the five macros, wall | of them `dbt build` | `deploy_await` |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    if let Some(release) = of_one {
        println!(
            "| one model changed | {} | {} | {} | {} | {} | {:.1} MB | | | |",
            seconds(release.wall),
            seconds(release.dbt),
            seconds(release.building),
            seconds(release.waiting),
            seconds(release.own()),
            release.peak_kb as f64 / 1024.0,
        );
    }
    for (index, (release, macros)) in releases.iter().zip(macros).enumerate() {
        println!(
            "| {} | {} | {} | {} | {} | {} | {:.1} MB | {} | {} | {} |",
            index + 1,
            seconds(release.wall),
            seconds(release.dbt),
            seconds(release.building),
            seconds(release.waiting),
            seconds(release.own()),
            release.peak_kb as f64 / 1024.0,
            seconds(macros.wall),
            seconds(macros.build),
            seconds(macros.awaiting),
        );
    }
    println!();
    let mut over = Vec::new();
    let mut limit = |what: &str, is: f64, at_most: f64| {
        println!("- {what}: {is:.2}, at most {at_most:.2}");
        if is > at_most {
            over.push(format!("{}: {what}", shop.name()));
        }
    };
    let most = |figure: fn(&Release) -> f64| releases.iter().map(figure).fold(0.0, f64::max);
    let median = |figures: Vec<f64>| -> f64 {
        let mut figures = figures;
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    let of_releases = |figure: fn(&Release) -> Duration| {
        median(releases.iter().map(|it| figure(it).as_secs_f64()).collect())
    };
    let of_macros = |figure: fn(&Macros) -> Duration| {
        median(macros.iter().map(|it| figure(it).as_secs_f64()).collect())
    };
    limit(
        "peak memory in MB",
        most(|release| release.peak_kb as f64 / 1024.0),
        limits.peak_mb,
    );
    let floor = shop.floor();
    match costs {
        Some(costs) => {
            let own = of_releases(|it| it.wall.saturating_sub(it.dbt));
            if let Some(at_most) = limits.times_the_floor {
                limit(
                    "wall time less dbt's processes, as a multiple of the floor",
                    own / floor.time(costs.factor).as_secs_f64(),
                    at_most,
                );
                let sent = counters.changes("cutover", costs.factor);
                println!(
                    "- the same, as a multiple of the DDL that it sent, hydration and lag ({}): {:.2}",
                    seconds(sent),
                    own / sent.as_secs_f64(),
                );
            }
            if let (Some(at_most), Some(describing)) =
                (limits.describing_times_building, describing)
            {
                println!("- describing every node: {}", seconds(describing));
                limit(
                    "describing, as a multiple of building",
                    describing.as_secs_f64() / of_releases(|it| it.building),
                    at_most,
                );
            }
            let creating = floor.creating(costs.factor).as_secs_f64();
            if let Some(at_most) = limits.times_creating {
                limit(
                    "building, as a multiple of the cost of the CREATE statements",
                    of_releases(|it| it.building) / creating,
                    at_most,
                );
            }
            if let Some(at_most) = limits.times_the_macros {
                limit(
                    "wall time, as a multiple of the five macros'",
                    of_releases(|it| it.wall) / of_macros(|it| it.wall),
                    at_most,
                );
            }
            if let Some(at_most) = limits.times_the_macros_without_await {
                limit(
                    "wall time, as a multiple of the macros' without their await",
                    of_releases(|it| it.wall) / of_macros(|it| it.wall - it.awaiting),
                    at_most,
                );
            }
            if let (Some(at_most), Some(release)) =
                (limits.one_changed_times_the_macros_without_await, of_one)
            {
                limit(
                    "wall time where one model changed, as a multiple of the macros' without their await",
                    release.wall.as_secs_f64() / of_macros(|it| it.wall - it.awaiting),
                    at_most,
                );
            }
            if let Some(at_most) = limits.times_dbt_build {
                limit(
                    "building, as a multiple of dbt's",
                    of_releases(|it| it.building) / of_macros(|it| it.build),
                    at_most,
                );
            }
        }
        None => limit(
            "own work in seconds",
            most(|release| release.own().as_secs_f64()),
            limits.own.as_secs_f64(),
        ),
    }
    limit(
        "questions about the catalog that need a dataflow",
        counters.count("cutover", "dataflow", Some("catalog")) as f64,
        limits.dataflows as f64,
    );
    let ddl = counters.count("cutover", "ddl", None) + counters.count("dbt", "ddl", None);
    limit(
        "statements of DDL, as a multiple of those that the project needs",
        ddl as f64 / f64::from(floor.ddl()),
        limits.times_the_ddl,
    );
    over
}
