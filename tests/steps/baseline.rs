//! Baselines through the real program: taking over what a plain dbt deployed, showing it, handing it
//! back to dbt, and what is refused.

use crate::support::{Needs, World};
use serde_json::Value;
use std::path::PathBuf;

/// What a plain `dbt parse` says about the project, in a file of its own.
async fn parsed(world: &World, name: &str, arguments: &[&str]) -> String {
    let target = world.home().join(format!("target-{name}"));
    let path = target.display().to_string();
    let command = [&["parse", "--target-path", &path], arguments].concat();
    let parsed = world.dbt(&command).await;
    assert_eq!(parsed.code, Some(0), "{parsed}");
    target.join("manifest.json").display().to_string()
}

/// The files of the store, sorted.
fn kept(world: &World) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![world.project.path().join(".cutover/artifacts")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[track_caller]
fn names(drift: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = drift.as_array().unwrap_or_else(|| panic!("{drift}"));
    list.iter()
        .map(|object| (text(&object["drift"]), text(&object["name"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_taken_over_shown_and_handed_to_dbt() {
    let Some(world) = World::start(Needs::Sandbox).await else {
        return;
    };
    world.produce_by_sql().await;
    let manifest = parsed(&world, "live", &[]).await;
    let none = world.cutover(&["baseline", "show"]).await.exits(0);
    assert_eq!(none.document()["live"], Value::Null);
    world
        .cutover(&["baseline", "export", "state"])
        .await
        .exits(3)
        .says("baseline-missing");

    let import = ["baseline", "import", "--manifest", &manifest];
    let before = world.snapshot().await;
    let dry = world
        .cutover(&[&import[..], &["--dry-run"]].concat())
        .await
        .exits(0);
    assert_eq!(dry.document()["command"], "baseline import", "{dry}");
    assert_eq!(kept(&world), Vec::<PathBuf>::new());
    let imported = world.cutover(&import).await.exits(0).document();
    let id = imported["pointer"]["deployment"].as_str().expect("an id");
    assert!(id.starts_with("import-"), "{id}");
    assert_eq!(imported["metadata"]["kind"], "imported");
    assert_eq!(imported["metadata"]["environment"], "prod");
    world.snapshot().await.is(&before);

    let shown = world.cutover(&["baseline", "show"]).await.exits(0);
    let shown = shown.document();
    assert_eq!(shown["live"]["metadata"]["deployment"], *id);
    assert_eq!(
        shown["live"]["metadata"]["objects"]
            .as_array()
            .map(Vec::len),
        Some(7)
    );
    assert_eq!(shown["live"]["drift"], Value::Array(Vec::new()), "{shown}");
    assert_eq!(shown["history"][0]["reason"], "imported");

    // Behind our back: one is gone with its index, one is made again, one is new.
    for sql in [
        "DROP VIEW shop_serving.report",
        "DROP INDEX shop_marts.counts_by_n",
        "CREATE INDEX counts_by_n IN CLUSTER shop_compute ON shop_marts.counts (n)",
        "CREATE VIEW shop_serving.stranger AS SELECT 1 AS one",
    ] {
        world.sql.run(sql).await;
    }
    let drifted = world.cutover(&["baseline", "show"]).await.exits(0);
    let mut drift = names(&drifted.document()["live"]["drift"]);
    drift.sort();
    let expected = [
        ("extra", "stranger"),
        ("missing", "report"),
        ("missing", "report_index"),
        ("recreated", "counts_by_n"),
    ];
    assert_eq!(drift, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    world
        .cutover_text(&["baseline", "show"])
        .await
        .exits(0)
        .says("4 objects are not as recorded")
        .says("recreated  index shop_marts.counts_by_n");

    // dbt finds nothing modified against what was exported, and its own edit when there is one.
    let state = world.home().join("state").display().to_string();
    let export = ["baseline", "export", &state];
    world.cutover(&export).await.exits(0);
    world.cutover(&export).await.exits(3).says("--force");
    let forced = [&export[..], &["prod", "--force"]].concat();
    world.cutover(&forced).await.exits(0);
    let exported = std::fs::read(format!("{state}/manifest.json")).expect("a manifest");
    assert_eq!(exported, std::fs::read(&manifest).expect("a manifest"));
    let modified = ["ls", "-q", "--select", "state:modified", "--state", &state];
    let listed = world.dbt(&modified).await.exits(0);
    assert!(!listed.stdout.contains("shop."), "{listed}");
    world.project.set_release(2);
    let listed = world.dbt(&modified).await.exits(0);
    listed.says("shop.marts.totals");

    // `check` looks at the store too.
    let check = world.cutover(&["check"]).await;
    assert!(
        check.all().contains(&format!("the baseline is {id}")),
        "{check}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_live_is_not_taken_over() {
    let Some(mut world) = World::start(Needs::Sandbox).await else {
        return;
    };
    world.produce_by_sql().await;
    let live = parsed(&world, "live", &[]).await;
    let green = parsed(&world, "green", &["--vars", "{deploy: true}"]).await;
    let text = std::fs::read_to_string(&live).expect("a manifest");
    let edited = |name: &str, from: &str, to: &str| {
        let path = world.home().join(name);
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replace(from, to)).expect("written");
        path.display().to_string()
    };
    let foreign = edited(
        "foreign.json",
        "\"project_name\": \"shop\"",
        "\"project_name\": \"bank\"",
    );
    let pull_request = edited("pr.json", "\"schema\": \"shop_", "\"schema\": \"pr_7_shop_");
    let adapter = edited(
        "adapter.json",
        "\"materialize\", \"quoting\"",
        "\"postgres\", \"quoting\"",
    );
    let broken = world.home().join("broken.json");
    std::fs::write(&broken, &text[..text.len() / 2]).expect("written");
    let broken = broken.display().to_string();

    let import = |manifest: &str| {
        let words = ["baseline", "import", "--manifest", manifest];
        words.map(str::to_owned)
    };
    for (manifest, code, word) in [
        (&green, 3, "manifest-green"),
        (&pull_request, 3, "manifest-elsewhere"),
        (&foreign, 3, "manifest-foreign"),
        (&adapter, 2, "adapter_type"),
        (&broken, 2, "ends too soon"),
    ] {
        let arguments = import(manifest);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        world.cutover(&arguments).await.exits(code).says(word);
    }
    let ok = import(&live);
    let ok: Vec<&str> = ok.iter().map(String::as_str).collect();
    world.sql.run("DROP VIEW shop_serving.report").await;
    world
        .sql
        .run(
            "CREATE MATERIALIZED VIEW shop_serving.report IN CLUSTER shop_serve AS SELECT 1 AS one",
        )
        .await;
    world
        .sql
        .run("DROP MATERIALIZED VIEW shop_marts.totals")
        .await;
    world
        .cutover(&ok)
        .await
        .exits(3)
        .says("relation-missing: relations of the manifest are not there [shop_marts.totals]")
        .says("relation-kind")
        .says("shop_serving.report is a materialized view, not a view");
    assert_eq!(kept(&world), Vec::<PathBuf>::new(), "nothing was kept");

    // Whole again: once, and then only where it is asked for.
    world
        .sql
        .run("DROP MATERIALIZED VIEW shop_serving.report")
        .await;
    let objects = world.objects("", 1);
    for sql in objects.iter().filter(|sql| {
        sql.contains("shop_marts.totals IN") || sql.contains("VIEW shop_serving.report")
    }) {
        world.sql.run(sql).await;
    }
    world.cutover(&ok).await.exits(0);
    world.cutover(&ok).await.exits(3).says("baseline-exists");
    let replaced = world.cutover(&[&ok[..], &["--replace"]].concat()).await;
    let replaced = replaced.exits(0).document();
    assert_eq!(replaced["pointer"]["generation"], 2);
    assert!(replaced["pointer"]["previous"].is_string());

    // Somebody damages what is kept.
    let files = kept(&world);
    let id = replaced["pointer"]["deployment"].as_str().expect("an id");
    let damaged = files
        .iter()
        .find(|path| path.ends_with(format!("{id}/manifest.json")))
        .expect("the manifest");
    let whole = std::fs::read_to_string(damaged).expect("read");
    std::fs::write(damaged, whole.replace("as release", "as r")).expect("written");
    world
        .cutover(&["baseline", "show"])
        .await
        .exits(3)
        .says("baseline-damaged");

    // While a deployment waits for somebody, production is not ours to describe.
    std::fs::write(damaged, whole).expect("written");
    world.project.without_tests();
    world.set("PROMOTION", "manual");
    world.cutover(&["deploy"]).await.exits(0);
    world
        .cutover(&[&ok[..], &["--replace"]].concat())
        .await
        .exits(3)
        .says("is under way (ready)");
    world.cutover(&["abort"]).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_ends_with_4_and_secrets_are_not_shown() {
    let Some(mut world) = World::start(Needs::Sandbox).await else {
        return;
    };
    world.set("ARTIFACTS__URL", "s3://bucket/cutover");
    world.set(
        "ARTIFACTS__OPTIONS",
        "{endpoint: 'http://127.0.0.1:1', allow_http: true, region: nowhere}",
    );
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "k3y"),
        ("AWS_SECRET_ACCESS_KEY", "s3cr3t"),
    ] {
        world.environment.insert(name.to_owned(), value.to_owned());
    }
    for command in [&["baseline", "show"][..], &["check"], &["config", "show"]] {
        let outcome = world.cutover(command).await;
        assert!(!outcome.all().contains("s3cr3t"), "{outcome}");
        if command[0] == "baseline" {
            outcome
                .exits(4)
                .says("the artifact store s3://bucket/cutover");
        }
    }
    world.set("ARTIFACTS__OPTIONS", "{secret_access_key: s3cr3t}");
    let outcome = world.cutover(&["config", "show"]).await.exits(2);
    assert!(!outcome.all().contains("s3cr3t"), "{outcome}");
    outcome.says("AWS_SECRET_ACCESS_KEY");
}
