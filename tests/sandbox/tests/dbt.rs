//! The real dbt with dbt-materialize's own macros, unmodified, against the sandbox: build, a blue/green deployment, docs.
#![allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm)]

#[path = "support/raw.rs"]
mod raw;

use std::path::{Path, PathBuf};
use std::process::Command;

use mz_sandbox::{Options, Sandbox};
use raw::{Answer, Raw};

fn dbt_program() -> PathBuf {
    let found = std::env::var_os("CUTOVER_TEST_DBT").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/dbt"),
        PathBuf::from,
    );
    assert!(
        found.is_file(),
        "no dbt at {}: install dbt-materialize there or set CUTOVER_TEST_DBT",
        found.display()
    );
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else {
            std::fs::copy(entry.path(), target).map(|_| ()).unwrap()
        }
    }
}

struct Project {
    folder: tempfile::TempDir,
    port: u16,
    program: PathBuf,
}

impl Project {
    /// Runs dbt and returns its output; fails unless it succeeds.
    fn dbt(&self, arguments: &[&str]) -> String {
        let out = Command::new(&self.program)
            .args(["--no-use-colors", "--no-send-anonymous-usage-stats"])
            .args(arguments)
            .current_dir(self.folder.path())
            .env("DBT_PROFILES_DIR", self.folder.path())
            .env("SHOP_PORT", self.port.to_string())
            .output()
            .unwrap();
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        assert!(out.status.success(), "dbt {arguments:?} failed:\n{text}");
        text
    }
}

fn one(raw: &mut Raw, sql: &str) -> String {
    match raw.query(sql).unwrap() {
        Answer::Rows(_, _, rows) => rows
            .into_iter()
            .flatten()
            .next()
            .flatten()
            .unwrap_or_default(),
        other => panic!("{sql}: {other:?}"),
    }
}

fn run(raw: &mut Raw, sql: &str) {
    let answer = raw.query(sql).unwrap();
    assert!(!matches!(answer, Answer::Error(..)), "{sql}: {answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_is_built_deployed_and_documented() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let port = sandbox.port();
    tokio::task::spawn_blocking(move || deploy(port))
        .await
        .unwrap();
    sandbox.stop().await;
}

fn deploy(port: u16) {
    let folder = tempfile::tempdir().unwrap();
    copy(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/project"),
        folder.path(),
    );
    let project = Project {
        folder,
        port,
        program: dbt_program(),
    };
    let mut raw = Raw::connect(&format!("127.0.0.1:{port}"), "materialize").unwrap();
    run(&mut raw, "CREATE CLUSTER shop (SIZE = '25cc')");
    assert!(project.dbt(&["seed"]).contains("PASS=1"));
    let built = project.dbt(&["build", "--exclude-resource-type", "seed"]);
    assert!(
        built.contains("ERROR=0") && built.contains("PASS=7"),
        "{built}"
    );
    assert_eq!(
        one(
            &mut raw,
            "SELECT total FROM marts.totals WHERE customer = 'ada'"
        ),
        "15"
    );
    assert_eq!(
        one(
            &mut raw,
            "SELECT nullable FROM mz_columns c JOIN mz_objects o USING (id) WHERE o.name = 'large' AND c.name = 'customer'"
        ),
        "f"
    );
    let schema_id = |raw: &mut Raw| one(raw, "SELECT id FROM mz_schemas WHERE name = 'marts'");
    let blue = schema_id(&mut raw);
    run(&mut raw, "CREATE ROLE reader");
    run(&mut raw, "GRANT USAGE ON SCHEMA marts TO reader");

    let init = project.dbt(&["run-operation", "deploy_init"]);
    assert!(
        init.contains("Creating deployment schema marts_dbt_deploy"),
        "{init}"
    );
    assert_eq!(
        one(
            &mut raw,
            "SELECT has_schema_privilege('reader', 'marts_dbt_deploy', 'USAGE')"
        ),
        "t"
    );
    std::fs::write(
        project.folder.path().join("models/orders_clean.sql"),
        "select id, upper(customer) as customer, amount from {{ source('raw', 'orders') }}\n",
    )
    .unwrap();
    assert!(
        project
            .dbt(&["run", "--vars", "deploy: true"])
            .contains("PASS=3")
    );
    assert_eq!(
        one(
            &mut raw,
            "SELECT count(*) FROM marts_dbt_deploy.totals WHERE customer = 'ADA'"
        ),
        "1"
    );
    assert_eq!(
        one(
            &mut raw,
            "SELECT count(*) FROM marts.totals WHERE customer = 'ADA'"
        ),
        "0"
    );
    let awaited = project.dbt(&[
        "run-operation",
        "deploy_await",
        "--args",
        "poll_interval: 1",
    ]);
    assert!(awaited.contains("All 1 cluster(s) are ready"), "{awaited}");
    project.dbt(&["run-operation", "deploy_promote"]);
    assert_ne!(schema_id(&mut raw), blue);
    assert_eq!(
        one(
            &mut raw,
            "SELECT count(*) FROM marts.totals WHERE customer = 'ADA'"
        ),
        "1"
    );
    let comment = "SELECT comment LIKE '%Deployment by materialize on %' FROM mz_internal.mz_comments m JOIN mz_schemas s ON s.id = m.id WHERE s.name = 'marts'";
    assert_eq!(one(&mut raw, comment), "t");
    project.dbt(&["run-operation", "deploy_cleanup"]);
    assert_eq!(
        one(
            &mut raw,
            "SELECT count(*) FROM mz_schemas WHERE name = 'marts_dbt_deploy'"
        ),
        "0"
    );
    assert_eq!(
        one(
            &mut raw,
            "SELECT count(*) FROM mz_clusters WHERE name = 'shop_dbt_deploy'"
        ),
        "0"
    );

    assert!(project.dbt(&["test"]).contains("ERROR=0"));
    assert!(project.dbt(&["ls"]).contains("shop.totals"));
    project.dbt(&["docs", "generate"]);
    let catalog: serde_json::Value = serde_json::from_str(
        &std::fs::read_to_string(project.folder.path().join("target/catalog.json")).unwrap(),
    )
    .unwrap();
    let totals = &catalog["nodes"]["model.shop.totals"];
    assert_eq!(totals["metadata"]["type"], "materialized_view");
    assert_eq!(totals["columns"]["total"]["type"], "bigint");
    assert_eq!(
        catalog["nodes"]["model.shop.orders_clean"]["metadata"]["comment"],
        "orders as they are"
    );
}
