//! What a request changes itself, and what only differs because production moved on.

use crate::corner::{
    build, id, known, live, map, nothing_left, production, states, torn_down,
    wrote_nothing_to_production,
};
use crate::support::World;
use std::process::Command;

pub fn git(world: &World, arguments: &[&str]) {
    let ended = Command::new("git")
        .args([
            "-c",
            "user.name=ada",
            "-c",
            "user.email=ada@example.com",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .current_dir(world.project.path())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .output()
        .expect("git runs");
    assert!(ended.status.success(), "git {arguments:?}: {ended:?}");
}

/// Commits whatever there is, and says which branch it is on.
pub fn commit(world: &World, message: &str) {
    git(world, &["add", "-A"]);
    git(world, &["commit", "-q", "-m", message]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_request_changes_is_built() {
    let Some(mut world) = live().await else {
        return;
    };
    world
        .project
        .write(".gitignore", "target\nlogs\n.cutover\nprofiles.yml\n");
    git(&world, &["init", "-q"]);
    commit(&world, "as it was");
    git(&world, &["branch", "request"]);
    // Production moves on: another count, of which the request knows nothing.
    world.project.replace(
        "models/marts/counts.sql",
        "count(*) as n",
        "count(*) + 0 as n",
    );
    commit(&world, "another count");
    known(&world).await;
    git(&world, &["checkout", "-q", "request"]);
    world
        .project
        .replace("models/marts/totals.sql", "1 as release", "2 as release");
    commit(&world, "another total");

    // Nobody says where it goes to: all that differs is built, and it is said why.
    let ended = build(&world, "pr-1", &["--check"]).await.exits(0);
    let report = ended.result();
    let all = map(&[
        ("counts", "described"),
        ("report", "described"),
        ("totals", "described"),
    ]);
    assert_eq!(states(&report), all, "{report}");
    assert!(report["notes"].to_string().contains("--base"), "{report}");
    // With the branch only the request's own.
    let own = map(&[("report", "described"), ("totals", "described")]);
    let report = build(&world, "pr-1", &["--check", "--base", "main"])
        .await
        .exits(0)
        .result();
    assert_eq!(states(&report), own, "{report}");
    let left = report["left_out"]["model.shop.counts"]
        .as_str()
        .unwrap_or_default();
    assert!(left.contains("production moved on"), "{report}");
    assert_eq!(
        report["revision"].as_str().map(str::len),
        Some(40),
        "{report}"
    );
    let report = build(&world, "pr-1", &["--check", "--base", "main", "--all"])
        .await
        .exits(0)
        .result();
    assert_eq!(states(&report), all, "{report}");
    // As GitHub says it.
    for (name, value) in [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_REF", "refs/pull/5/merge"),
        ("GITHUB_BASE_REF", "main"),
        ("GITHUB_ACTOR", "ada"),
        ("GITHUB_SHA", "abc"),
    ] {
        world.environment.insert(name.to_owned(), value.to_owned());
    }
    let report = world
        .cutover(&["ci", "build", "--check"])
        .await
        .exits(0)
        .result();
    assert_eq!(states(&report), own, "{report}");
    assert_eq!(
        (&report["name"], &report["revision"]),
        (&"pr-5".into(), &"abc".into())
    );
    build(&world, "pr-1", &["--check", "--base", "nowhere"])
        .await
        .exits(4)
        .says("nowhere");
    nothing_left(&world).await;
    // The work tree and the index are the user's.
    let status = Command::new("git")
        .args(["status", "--porcelain"])
        .current_dir(world.project.path())
        .output()
        .expect("git runs");
    assert_eq!(String::from_utf8_lossy(&status.stdout), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_renames_tests_and_documents_are_told() {
    let Some(world) = live().await else { return };
    // A document, and a test: nothing is built, the test runs on production.
    world.project.replace(
        "models/schema.yml",
        "- name: totals\n",
        "- name: totals\n    description: All of them\n",
    );
    let report = build(&world, "pr-1", &[]).await.exits(0).result();
    assert_eq!(states(&report), map(&[]), "{report}");
    assert_eq!(report["tests"], serde_json::json!([]), "{report}");
    nothing_left(&world).await;
    world.project.write(
        "tests/new_one.sql",
        "select * from {{ ref('totals') }} where total > 14",
    );
    let report = build(&world, "pr-1", &[]).await.exits(1).result();
    assert_eq!(states(&report), map(&[]), "{report}");
    assert_eq!(
        report["tests"].as_array().map(Vec::len),
        Some(1),
        "{report}"
    );
    assert_eq!(report["tests"][0]["failures"], 2, "{report}");
    world.project.remove("tests/new_one.sql");
    // A new model on a new ephemeral one, one that is renamed, and what production lacks.
    world.project.write(
        "models/marts/inner.sql",
        "{{ config(materialized='ephemeral') }} select customer from {{ ref('stg_orders') }}",
    );
    world.project.write(
        "models/serving/outer_one.sql",
        "select * from {{ ref('inner') }}",
    );
    let report = build(&world, "pr-1", &["--select", "outer_one"])
        .await
        .exits(0)
        .result();
    assert_eq!(states(&report), map(&[("outer_one", "built")]), "{report}");
    let sql = world.project.read("models/serving/report.sql");
    world.project.remove("models/serving/report.sql");
    world.project.remove("tests/no_negative_totals.sql");
    world.project.write("models/serving/renamed.sql", &sql);
    let report = build(&world, "pr-1", &[]).await.exits(0).result();
    let both = map(&[("outer_one", "kept"), ("renamed", "built")]);
    assert_eq!(states(&report), both, "{report}");
    let gone = format!("{}.report", world.name("serving"));
    assert_eq!(
        report["deleted"]["model.shop.report"],
        serde_json::json!(gone),
        "{report}"
    );
    let drop = format!("DROP VIEW {}.report", world.name("serving"));
    world.sql.run(&drop).await;
    world.project.write("models/serving/report.sql", &sql);
    world.project.write(
        "models/serving/reader.sql",
        "select * from {{ ref('report') }}",
    );
    let report = build(&world, "pr-1", &["--select", "reader"])
        .await
        .exits(0)
        .result();
    assert_eq!(
        states(&report).keys().collect::<Vec<_>>(),
        ["reader", "report"],
        "{report}"
    );
    assert!(
        report.to_string().contains("production does not have it"),
        "{report}"
    );
    torn_down(&world, "pr-1").await;
    nothing_left(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corner_makes_way_for_a_release_and_is_built_anew() {
    let Some(mut world) = live().await else {
        return;
    };
    world.project.without_tests();
    world
        .project
        .replace("models/serving/report.sql", "c.n", "c.n, 1 as extra");
    world.project.write(
        "models/serving/reader.sql",
        "select * from {{ ref('report') }}",
    );
    build(&world, "pr-1", &[]).await.exits(0);
    let request = world.project.files();
    let first = id(&world, "serving__pr-1", "report").await;
    assert!(first.is_some());
    // What it reads is released: the corner neither keeps it up nor stays behind.
    world.project.remove("models/serving/reader.sql");
    world
        .project
        .replace("models/serving/report.sql", "c.n, 1 as extra", "c.n");
    world.project.set_release(2);
    world.set("BUILD__ENGINE", "native");
    world.cutover(&["plan"]).await.exits(0).says("make way");
    world.cutover(&["deploy"]).await.exits(0);
    world.serves(2).await;
    assert_eq!(id(&world, "serving__pr-1", "report").await, None);
    assert_eq!(id(&world, "serving__pr-1", "reader").await, None);
    world.project.restore(&request);
    let report = build(&world, "pr-1", &[]).await.exits(0).result();
    assert_eq!(states(&report)["report"], "built", "{report}");
    assert!(id(&world, "serving__pr-1", "reader").await.is_some());
    torn_down(&world, "pr-1").await;
    nothing_left(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_source_is_refused_or_made_in_the_corner() {
    let Some(mut world) = live().await else {
        return;
    };
    let before = production(&world).await;
    world.project.write(
        "models/staging/ticks.sql",
        "{{ config(materialized='source', cluster='shop_compute') }}\nFROM LOAD GENERATOR COUNTER",
    );
    world.project.write(
        "models/marts/ticked.sql",
        "select counter from {{ ref('ticks') }}",
    );
    build(&world, "pr-1", &[])
        .await
        .exits(3)
        .says("corner-source");
    nothing_left(&world).await;
    world.set("CI__SOURCES", "build");
    let report = build(&world, "pr-1", &["--check"]).await.exits(0).result();
    let looked = map(&[("ticked", "described"), ("ticks", "described")]);
    assert_eq!(states(&report), looked, "{report}");
    assert!(report.to_string().contains("not looked at"), "{report}");
    for state in ["built", "kept"] {
        let report = build(&world, "pr-1", &[]).await.exits(0).result();
        let both = map(&[("ticked", state), ("ticks", state)]);
        assert_eq!(states(&report), both, "{report}");
        assert_eq!(report["dropped"], serde_json::json!([]), "{report}");
    }
    let query = "SELECT c.name::text FROM mz_catalog.mz_sources o JOIN mz_catalog.mz_clusters c ON c.id = o.cluster_id \
                 WHERE o.name = 'ticks'";
    assert_eq!(world.sql.rows(query).await, [["ci__pr-1"]]);
    torn_down(&world, "pr-1").await;
    nothing_left(&world).await;
    assert_eq!(production(&world).await, before);
    wrote_nothing_to_production(&world).await;
}
