//! Bad input: the exit code, the file, the place and the remedy; nothing is changed.

use crate::support::{FakeDbt, Needs, Outcome, World};
use mz_sandbox::Options;
use std::collections::BTreeMap;
use std::time::Duration;

/// Asserts the exit code and what the error says, in this order of importance.
#[track_caller]
fn faulty(outcome: Outcome, code: i32, parts: &[&str]) {
    let outcome = outcome.exits(code);
    let all = outcome.all();
    for part in parts {
        assert!(all.contains(part), "no {part:?}\n{outcome}");
    }
    assert!(!all.contains("panicked"), "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_files_are_named_with_place_and_remedy() {
    let Some(mut world) = World::start(Needs::AnyServer).await else {
        return;
    };
    let before = world.snapshot().await;
    // (file, what is replaced, by what, exit code, what is said)
    let long = "x".repeat(300);
    let cases: &[(&str, &str, &str, &[&str])] = &[
        (
            "dbt_project.yml",
            "name: shop",
            "name: [shop",
            &["dbt_project.yml", "not valid YAML", "correct the syntax"],
        ),
        (
            "dbt_project.yml",
            "profile: shop",
            "profile: elsewhere",
            &["profiles.yml", "elsewhere"],
        ),
        (
            "dbt_project.yml",
            "    prod:\n",
            "    staging:\n",
            &["dbt_project.yml", "prod", "add to"],
        ),
        (
            "dbt_project.yml",
            "schemas: [",
            "schemas: {",
            &["dbt_project.yml"],
        ),
        (
            "dbt_project.yml",
            "clusters: [",
            &long,
            &["dbt_project.yml"],
        ),
        (
            "profiles.yml",
            "outputs:",
            "outputs: :",
            &["profiles.yml", "not valid YAML"],
        ),
        (
            "profiles.yml",
            "target: prod",
            "target: nowhere",
            &["profiles.yml", "nowhere"],
        ),
        (
            "profiles.yml",
            "type: materialize",
            "type: postgres",
            &["profiles.yml", "materialize"],
        ),
        (
            "profiles.yml",
            "port: ",
            "port: x",
            &["profiles.yml", "port"],
        ),
        (
            "profiles.yml",
            "user: ",
            "user: \"{{ env_var('NO_SUCH_VARIABLE') }}\" # ",
            &["profiles.yml", "NO_SUCH_VARIABLE"],
        ),
    ];
    for (file, from, to, parts) in cases {
        let good = world.project.read(file);
        world.project.write(file, &good.replacen(from, to, 1));
        faulty(world.cutover(&["deploy"]).await, 2, parts);
        world.project.write(file, &good);
    }
    let configurations: &[(&str, &[&str])] = &[
        (
            "promotoin: manual\n",
            &["cutover.yaml", "promotoin", "promotion"],
        ),
        (
            "readiness: {lag_threshold: 5}\n",
            &["cutover.yaml", "readiness.lag_threshold"],
        ),
        (
            "readiness: {samples: -1}\nsoak: never\n",
            &["readiness.samples", "soak", "2 faults"],
        ),
        ("promotion: [\n", &["cutover.yaml"]),
        (
            "allow: [schema-missing]\n",
            &["cutover.yaml", "allow", "schema-missing"],
        ),
    ];
    for (text, parts) in configurations {
        world.project.write("cutover.yaml", text);
        faulty(world.cutover(&["deploy"]).await, 2, parts);
    }
    world.project.remove("cutover.yaml");
    world.set("PROMOTOIN", "manual");
    faulty(
        world.cutover(&["deploy"]).await,
        2,
        &["CUTOVER__PROMOTOIN", "promotion"],
    );
    world.environment.remove("CUTOVER__PROMOTOIN");
    faulty(
        world.cutover(&["deploy", "--project-dir", "nowhere"]).await,
        2,
        &["nowhere"],
    );
    faulty(world.cutover(&["deploy", "--soak", "3"]).await, 2, &["15m"]);
    faulty(
        world.cutover(&["deploy", "--target", "dev"]).await,
        2,
        &["dev", "prod"],
    );
    let history = world.cutover(&["history"]).await.exits(0).document();
    assert_eq!(history["deployments"].as_array().map(Vec::len), Some(0));
    world.snapshot().await.is(&before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dbt_that_cannot_be_used_is_named() {
    let Some(mut world) = World::start(Needs::AnyServer).await else {
        return;
    };
    let before = world.snapshot().await;
    world.set("DBT__EXECUTABLE", "/nonexistent/dbt");
    faulty(
        world.cutover(&["deploy"]).await,
        2,
        &["/nonexistent/dbt", "dbt.executable"],
    );
    world.environment.remove("CUTOVER__DBT__EXECUTABLE");
    let path = world.project.path().join("empty").display().to_string();
    world.environment.insert("PATH".to_owned(), path);
    faulty(
        world.cutover(&["deploy"]).await,
        2,
        &["no dbt was found", "pip install"],
    );
    world.environment.remove("PATH");

    let versions = [
        (
            "echo 'Core:'; echo '  - installed: 1.5.0'; echo 'Plugins:'; echo '  - materialize: 1.5.0'",
            "1.5.0",
        ),
        (
            "echo 'Core:'; echo '  - installed: 1.11.16'; echo 'Plugins:'; echo '  - postgres: 1.10.2'",
            "dbt-materialize",
        ),
        (
            "echo 'dbt-fusion 2.0.0'",
            "there is no dbt-materialize; dbt-core 1.x",
        ),
        ("echo 'it is broken' >&2; exit 3", "it is broken"),
    ];
    let folder = world.project.path().join("fake");
    for (version, part) in versions {
        let fake = FakeDbt::write(&folder, version, "exit 1");
        world.set("DBT__EXECUTABLE", &fake.path());
        faulty(world.cutover(&["deploy"]).await, 2, &[part, "pip install"]);
    }

    let writes = |text: &str| {
        format!(
            "while [ $# -gt 0 ]; do if [ \"$1\" = --target-path ]; then folder=$2; fi; shift; done\n\
             mkdir -p \"$folder\"; printf '%s' '{text}' > \"$folder/manifest.json\""
        )
    };
    let manifests = [
        (writes("{\"metadata\": {\"dbt_sch"), "manifest.json"),
        (
            writes(
                "{\"metadata\": {\"dbt_schema_version\": \"https://schemas.getdbt.com/dbt/manifest/v11.json\"}, \"nodes\": {}}",
            ),
            "v11",
        ),
        (writes("[]"), "manifest.json"),
        ("true".to_owned(), "manifest.json"),
        ("echo 'a traceback' >&2; exit 2".to_owned(), "exit code 2"),
    ];
    for (script, part) in manifests {
        let fake = FakeDbt::write(&folder, crate::support::SUPPORTED_DBT, &script);
        world.set("DBT__EXECUTABLE", &fake.path());
        let outcome = world.cutover(&["deploy"]).await;
        assert!(matches!(outcome.code, Some(1 | 2)), "{outcome}");
        outcome.says(part);
    }
    let history = world.cutover(&["history"]).await.exits(0).document();
    assert_eq!(history["deployments"].as_array().map(Vec::len), Some(0));
    world.snapshot().await.is(&before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_cannot_be_used_is_named() {
    let Some(mut world) = World::start(Needs::AnyServer).await else {
        return;
    };
    let before = world.snapshot().await;
    let stores: &[(&str, i32, &[&str])] = &[
        (
            "sqlite://dbt_project.yml/journal.db",
            2,
            &["dbt_project.yml/journal.db", "store.url"],
        ),
        (
            "sqlite://dbt_project.yml",
            2,
            &["dbt_project.yml", "not a journal", "store.url"],
        ),
        ("mysql://localhost/x", 2, &["store.url", "sqlite://"]),
        ("postgres://localhost", 2, &["store.url", "postgres://"]),
        (
            "postgres://me@127.0.0.1:1/x",
            4,
            &["127.0.0.1:1", "store.url"],
        ),
    ];
    for (url, code, parts) in stores {
        world.set("STORE__URL", url);
        faulty(world.cutover(&["deploy"]).await, *code, parts);
    }
    world.environment.remove("CUTOVER__STORE__URL");
    // A journal with its middle overwritten.
    world.cutover(&["history"]).await.exits(0);
    let journal = world.project.path().join(".cutover/cutover.db");
    let mut bytes = std::fs::read(&journal).expect("a journal");
    let length = bytes.len();
    bytes[200..length].fill(0xa5);
    std::fs::write(&journal, &bytes).expect("a journal");
    let outcome = world.cutover(&["deploy"]).await;
    assert!(matches!(outcome.code, Some(2 | 5)), "{outcome}");
    outcome.says("cutover.db");
    assert_eq!(std::fs::read(&journal).expect("a journal").len(), length);
    world.snapshot().await.is(&before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_or_says_no_is_named_quickly() {
    let passwords = BTreeMap::from([("deployer".to_owned(), "secret".to_owned())]);
    let options = Options {
        passwords,
        ..Options::default()
    };
    let Some(world) = World::start_with(Needs::Sandbox, options).await else {
        return;
    };
    let good = world.project.read("profiles.yml");
    world
        .project
        .replace("profiles.yml", "user: materialize", "user: deployer");
    world
        .project
        .replace("profiles.yml", "password: ''", "password: 'wrong-one'");
    let outcome = world.cutover(&["deploy"]).await;
    assert!(!outcome.all().contains("wrong-one"), "{outcome}");
    faulty(outcome, 2, &["deployer", "profiles.yml"]);

    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let (_, real) = world.server.address();
    world.project.write(
        "profiles.yml",
        &good.replace(&format!("port: {real}"), &format!("port: {port}")),
    );
    for command in [["deploy", "--full"], ["plan", "--full"]] {
        let away = world.cutover(&command).await;
        assert!(away.took < Duration::from_secs(10), "{away}");
        faulty(away, 4, &[&port.to_string(), "profiles.yml"]);
    }
    let checked = world.cutover(&["check"]).await.exits(4);
    let findings = checked.document();
    let server = findings["findings"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["subject"] == "server"))
        .cloned()
        .unwrap_or_default();
    assert_eq!(server["verdict"], "fault", "{checked}");
    // Reading the record needs no server.
    world.cutover(&["status"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_old_is_refused() {
    let options = Options {
        announce_version: "v0.99.2 (0123456789)".to_owned(),
        ..Options::default()
    };
    let Some(world) = World::start_with(Needs::Sandbox, options).await else {
        return;
    };
    let before = world.snapshot().await;
    faulty(
        world.cutover(&["deploy"]).await,
        2,
        &["0.99.2", "older than"],
    );
    world.snapshot().await.is(&before);
}
