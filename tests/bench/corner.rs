//! Pull requests: the demo's project with one changed leaf, from start to verdict; and a look at 200 models
//! (`ci build --check`). On the stand-in with a real server's costs (`CUTOVER_BENCH_COSTS`, see `budget.rs`), less the
//! time in which a dbt process ran. Prints a Markdown table and what was asked, and exits non-zero when one of them
//! takes longer than its limit.

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

use budget::Counters;
use dbt::Wrapper;
use mz_sandbox::Sandbox;
use serde_json::Value;
use shop::Shop;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

/// From start to verdict, dbt's processes left out.
const LEAF: Duration = Duration::from_secs(5);
/// The same of a look at 200 models.
const CHECK: Duration = Duration::from_secs(15);
const RUNS: usize = 3;

/// A project in production, on a server with costs.
struct Bench {
    project: PathBuf,
    variables: Vec<(&'static str, String)>,
    dbt: PathBuf,
    wrapper: Wrapper,
    client: Client,
    sandbox: Sandbox,
}

/// One build.
struct Build {
    wall: Duration,
    dbt: Duration,
    report: Value,
}

impl Build {
    fn own(&self) -> Duration {
        self.wall.saturating_sub(self.dbt)
    }
}

impl Bench {
    /// A project that `write` writes into a folder for the stand-in's port, with these clusters, built by dbt and known
    /// as the baseline.
    async fn start(
        folder: &Path,
        clusters: &[&str],
        write: impl FnOnce(&Path, u16) -> Vec<(&'static str, String)>,
    ) -> Self {
        let costs = budget::costs();
        let sandbox = Sandbox::start(budget::options(costs)).await.unwrap();
        let project = folder.join("shop");
        fs::create_dir_all(&project).unwrap();
        let variables = write(&project, sandbox.port());
        let url = sandbox.url();
        let connected = tokio_postgres::connect(&url, tokio_postgres::NoTls).await;
        let (client, connection) = connected.unwrap();
        tokio::spawn(connection);
        let dbt = dbt::real();
        let bench = Self {
            wrapper: Wrapper::write(folder, &dbt),
            project,
            variables,
            dbt,
            client,
            sandbox,
        };
        // What production costs is no subject here.
        bench.set("costs", "off").await;
        for cluster in clusters {
            let sql = format!("CREATE CLUSTER {cluster} (SIZE = '25cc')");
            bench.client.batch_execute(&sql).await.unwrap();
        }
        bench.run(&bench.dbt, &["build"]);
        let cutover = Path::new(env!("CARGO_BIN_EXE_cutover"));
        let import = ["baseline", "import", "--manifest", "target/manifest.json"];
        bench.run(cutover, &import);
        let factor = costs.map_or_else(|| "off".to_owned(), |costs| costs.factor.to_string());
        bench.set("costs", &factor).await;
        bench
    }

    async fn set(&self, name: &str, value: &str) {
        let sql = format!("UPDATE mz_sandbox.settings SET value = '{value}' WHERE name = '{name}'");
        self.client.batch_execute(&sql).await.unwrap();
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.project)
            .env("DBT_PROFILES_DIR", &self.project)
            .env("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
            .env("CUTOVER__DBT__EXECUTABLE", &self.wrapper.path)
            .envs(self.variables.iter().cloned())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, program: &Path, arguments: &[&str]) {
        let output = self.command(program, arguments).output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn build(&self, name: &str, more: &[&str]) -> Build {
        self.wrapper.forget();
        let json = self.project.join("report.json");
        let file = json.to_str().unwrap();
        let mut arguments = vec!["ci", "build", "--name", name, "--json", file];
        arguments.extend(more);
        let began = Instant::now();
        self.run(Path::new(env!("CARGO_BIN_EXE_cutover")), &arguments);
        let wall = began.elapsed();
        let report = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
        Build {
            wall,
            dbt: self.wrapper.busy(),
            report,
        }
    }

    async fn end(self) {
        drop(self.client);
        self.sandbox.stop().await;
    }
}

/// The demo's project, and the variables that its profile reads.
fn demo(project: &Path, port: u16) -> Vec<(&'static str, String)> {
    copy(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/project"),
        project,
    );
    [
        ("SHOP_HOST", "127.0.0.1".to_owned()),
        ("SHOP_PORT", port.to_string()),
        ("SHOP_USER", "materialize".to_owned()),
        ("SHOP_DATABASE", "materialize".to_owned()),
        ("SHOP_SSLMODE", "disable".to_owned()),
    ]
    .into()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let place = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &place),
            false => drop(fs::copy(entry.path(), place).unwrap()),
        }
    }
}

fn states(report: &Value) -> Vec<(&str, &str)> {
    let nodes = report["nodes"].as_array().unwrap().iter();
    nodes
        .map(|node| {
            let text = |key: &str| node[key].as_str().unwrap();
            (text("relation"), text("state"))
        })
        .collect()
}

fn median(mut builds: Vec<Build>) -> Build {
    builds.sort_by_key(Build::own);
    builds.swap_remove(builds.len() / 2)
}

/// One changed leaf: a view with an index, which a cluster has to be made for.
async fn leaf(folder: &Path) -> Build {
    let clusters = ["shop_compute", "shop_serving"];
    let bench = Bench::start(folder, &clusters, demo).await;
    let model = bench.project.join("models/crm/best_customers.sql");
    let text = fs::read_to_string(&model).unwrap();
    fs::write(&model, text.replace("> 50000", "> 40000")).unwrap();
    let mut builds = Vec::new();
    for run in 0..RUNS {
        Counters::begin(&bench.client).await;
        let build = bench.build(&format!("pr-{run}"), &[]);
        let built = [("shop_crm.best_customers", "built")];
        assert_eq!(states(&build.report), built, "{}", build.report);
        builds.push(build);
    }
    let asked = Counters::read(&bench.client).await;
    println!(
        "What the last of the leaf's builds asked:\n\n{}",
        asked.table()
    );
    bench.end().await;
    median(builds)
}

/// Every one of 200 models comes out differently, and the server looks at each.
async fn check(folder: &Path) -> Build {
    let shop = Shop::Large;
    let clusters = shop.clusters();
    let clusters: Vec<&str> = clusters.iter().map(String::as_str).collect();
    let write = |project: &Path, port: u16| {
        shop.write(project, port);
        Vec::new()
    };
    let bench = Bench::start(folder, &clusters, write).await;
    shop.write_models(&bench.project, 7);
    Counters::begin(&bench.client).await;
    let build = bench.build("pr-1", &["--check"]);
    let states = states(&build.report);
    assert_eq!(states.len(), 200);
    assert!(states.iter().all(|(_, state)| *state == "described"));
    let asked = Counters::read(&bench.client).await;
    println!("What the look at 200 models asked:\n\n{}", asked.table());
    bench.end().await;
    build
}

#[tokio::main]
async fn main() -> ExitCode {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let leaf = leaf(first.path()).await;
    let check = check(second.path()).await;
    let with_costs = budget::costs().is_some();
    println!("| | wall | of it dbt's processes | the rest | limit |");
    println!("|---|---|---|---|---|");
    let mut is_over = false;
    for (what, build, limit) in [
        (
            "the demo's project, one changed leaf: from start to verdict",
            leaf,
            LEAF,
        ),
        ("`--check` of 200 models", check, CHECK),
    ] {
        is_over |= with_costs && build.own() > limit;
        println!(
            "| {what} | {:.1} s | {:.1} s | {:.1} s | {} s |",
            build.wall.as_secs_f64(),
            build.dbt.as_secs_f64(),
            build.own().as_secs_f64(),
            limit.as_secs()
        );
    }
    match is_over {
        true => {
            println!("\nover the limit");
            ExitCode::FAILURE
        }
        false => ExitCode::SUCCESS,
    }
}
