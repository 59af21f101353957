//! Releases from a bundle, where there is no dbt, no git, no Python and no project.

use crate::builds::definitions;
use crate::support::{Needs, World};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A project that was taken away, with what ran dbt.
struct Away {
    folder: PathBuf,
    environment: BTreeMap<String, String>,
}

/// Takes project, dbt, git and Python away; profiles.yml and what Cutover keeps stay.
fn take_away(world: &mut World) -> Away {
    let away = Away {
        folder: world.home().join("away"),
        environment: world.environment.clone(),
    };
    std::fs::create_dir(&away.folder).expect("a folder");
    moved(world.project.path(), &away.folder);
    let nothing = world.home().join("nothing");
    std::fs::create_dir_all(&nothing).expect("a folder");
    world.environment.remove("CUTOVER__DBT__EXECUTABLE");
    let path = nothing.display().to_string();
    world.environment.insert("PATH".to_owned(), path);
    away
}

/// Brings them back.
fn bring_back(world: &mut World, away: Away) {
    moved(&away.folder, world.project.path());
    std::fs::remove_dir(&away.folder).expect("an empty folder");
    world.environment = away.environment;
}

fn moved(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        if name != "profiles.yml" && name != ".cutover" {
            std::fs::rename(from.join(&name), to.join(&name)).expect("renamed");
        }
    }
}

/// Every file below a folder, without the moment at which a bundle was made.
fn files(folder: &Path) -> BTreeMap<String, String> {
    fn add(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                add(root, &path, found);
                continue;
            }
            let name = path
                .strip_prefix(root)
                .expect("within")
                .display()
                .to_string();
            let text = std::fs::read_to_string(&path).expect("text");
            let lines = text
                .lines()
                .filter(|line| !line.starts_with("  \"made_at\""));
            found.insert(name, lines.collect::<Vec<_>>().join("\n"));
        }
    }
    let mut found = BTreeMap::new();
    add(folder, folder, &mut found);
    found
}

fn copied(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let place = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copied(&path, &place),
            false => {
                std::fs::copy(&path, &place).expect("copied");
            }
        }
    }
}

/// Compiles the project into a folder beside it.
async fn compiled(world: &World, name: &str) -> (String, Value) {
    let place = world.home().join(name).display().to_string();
    let result = world.cutover(&["compile", &place]).await.exits(0).result();
    (place, result)
}

/// A model that reads a variable of the environment and one of the project, and a seed.
fn with_everything(world: &World) {
    let project = &world.project;
    project.write("seeds/more.csv", "id,note\n1,\"it's, a\"\n2,\n");
    project.write(
        "models/marts/noted.sql",
        "select m.id, m.note, '{{ env_var(\"DBT_REGION\", \"none\") }}' as region, '{{ var(\"country\", \"fr\") }}' as country \
         from {{ ref('more') }} m join {{ ref('stg_orders') }} o on o.id = m.id",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_compiled_once_is_released_without_dbt_and_the_project() {
    let Some(mut world) = World::start(Needs::AnyServer).await else {
        return;
    };
    with_everything(&world);
    world.set("BUILD__ENGINE", "native");
    world
        .environment
        .insert("DBT_REGION".to_owned(), "eu".to_owned());
    world.cutover(&["deploy", "--bootstrap"]).await.exits(0);
    let (snapshot, direct) = (world.snapshot().await, definitions(&world).await);

    let (bundle, made) = compiled(&world, "bundle").await;
    let (other, again) = compiled(&world, "other").await;
    assert_eq!(made["digest"], again["digest"]);
    assert_eq!(files(Path::new(&bundle)), files(Path::new(&other)));
    assert_eq!(made["was_there"], false);
    assert_eq!(compiled(&world, "bundle").await.1["was_there"], true);
    assert_eq!(made["needs_dbt"], serde_json::json!([]));
    let units = made["unit_tests"].as_array().expect("a list");
    assert_eq!(units.len(), 1, "{made}");
    let digest = made["digest"].as_str().expect("a digest").to_owned();

    let away = take_away(&mut world);
    world
        .cutover(&["plan"])
        .await
        .exits(2)
        .says("no dbt_project.yml");
    // It is what is live, byte for byte.
    world.set("SCOPE", "slim");
    let plan = world
        .cutover(&["plan", "--bundle", &bundle])
        .await
        .exits(0)
        .document();
    assert_eq!(plan["schemas"], serde_json::json!([]), "{plan:#}");
    world.set("SCOPE", "full");
    let plan = world
        .cutover(&["plan", "--bundle", &bundle])
        .await
        .exits(0)
        .document();
    assert_eq!(plan["building"]["engine"], "native");
    assert_eq!(plan["building"].get("tests"), None, "{plan:#}");
    let tests = plan["tests"].as_array().expect("tests");
    assert_eq!(tests.len(), 3, "{tests:?}");
    let text = world
        .cutover_text(&["plan", "--bundle", &bundle, "-v"])
        .await
        .exits(0);
    text.clone()
        .says(&format!("released from the bundle {digest}"))
        .says("unit tests are not run from a bundle")
        .says("totals_add_up");
    let checked = world
        .cutover(&["check", "--bundle", &bundle])
        .await
        .exits(0);
    checked.says("none is needed");
    let listed = world
        .cutover(&[
            "ls",
            "--bundle",
            &bundle,
            "--select",
            "path:models/marts/noted.sql",
        ])
        .await;
    listed.exits(0).says("model.shop.noted");

    let deployed = world
        .cutover(&["deploy", "--bundle", &bundle])
        .await
        .exits(0);
    deployed.clone().says("planning from the bundle");
    world.nothing_left().await;
    world.snapshot().await.describes_the_same(&snapshot);
    assert_eq!(definitions(&world).await, direct);
    let shown = world
        .cutover(&["show", &deployed.deployment(), "--bundle", &bundle])
        .await
        .exits(0)
        .document();
    let text = shown.to_string();
    assert!(text.contains(&digest), "{shown:#}");

    // What is live now is what a project compares with.
    world.set("SCOPE", "slim");
    let plan = world
        .cutover(&["plan", "--bundle", &bundle])
        .await
        .exits(0)
        .document();
    assert_eq!(plan["schemas"], serde_json::json!([]), "{plan:#}");
    bring_back(&mut world, away);
    world.set("SCOPE", "slim");
    let plan = world.cutover(&["plan"]).await.exits(0).document();
    assert_eq!(plan["schemas"], serde_json::json!([]), "{plan:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_release_goes_on_with_its_own_bundle() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    world.project.set_release(2);
    let (bundle, _) = compiled(&world, "bundle").await;
    world.project.set_release(3);
    let (later, _) = compiled(&world, "later").await;
    let away = take_away(&mut world);
    let running = world
        .held_at(
            "cutover: create materialized view",
            2,
            &["deploy", "--bundle", &bundle],
        )
        .await;
    running.signal(Signal::SIGKILL);
    running.ended().await;
    world.let_go().await;
    // Another bundle takes its place, and what the run kept is lost.
    copied(Path::new(&later), Path::new(&bundle));
    let runs = world.project.path().join(".cutover/runs");
    std::fs::remove_dir_all(&runs).expect("removed");
    let resumed = world
        .cutover(&["resume", "--bundle", &bundle])
        .await
        .exits(0);
    assert_eq!(
        resumed.states().last().map(String::as_str),
        Some("done"),
        "{resumed}"
    );
    world.serves(2).await;
    world.nothing_left().await;

    // Without its copy it cannot go on, and says with what it could; giving up needs none.
    let running = world
        .held_at(
            "cutover: create materialized view",
            1,
            &["deploy", "--bundle", &bundle],
        )
        .await;
    running.signal(Signal::SIGKILL);
    running.ended().await;
    world.let_go().await;
    std::fs::remove_dir_all(world.project.path().join(".cutover/sources")).expect("removed");
    bring_back(&mut world, away);
    world.project.set_release(4);
    compiled(&world, "bundle").await;
    let _away = take_away(&mut world);
    let refused = world
        .cutover(&["resume", "--bundle", &bundle])
        .await
        .exits(3);
    refused.says("bundle-replaced: ");
    let refused = world
        .cutover(&["resume", "--bundle", &later])
        .await
        .exits(0);
    assert_eq!(
        refused.states().last().map(String::as_str),
        Some("done"),
        "{refused}"
    );
    world.serves(3).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_releases_each_new_bundle() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    world.project.set_release(2);
    let (bundle, _) = compiled(&world, "bundle").await;
    let away = take_away(&mut world);
    let configuration = format!(
        "environments:\n  prod:\n    source: {{bundle: '{bundle}'}}\n    schedule: {{poll: 200ms}}\n"
    );
    let daemon = world.serve("daemon", &configuration).await;
    world.swapped(2).await;
    let first = daemon.does("prod", "idle").await["revision"].clone();
    assert!(
        first
            .as_str()
            .is_some_and(|revision| revision.starts_with("bundle:")),
        "{first}"
    );
    let config = daemon.folder().join("cutover.yaml").display().to_string();
    // It releases what its own configuration names.
    let refused = world
        .cutover(&[
            "deploy", "prod", "--config", &config, "--bundle", "/another",
        ])
        .await;
    refused.exits(3).says("source.bundle");

    bring_back(&mut world, away);
    world.project.set_release(3);
    let compiling = ["compile", &bundle, "prod", "--config", &config];
    let arguments = [&compiling[..], &["--project-dir", "."]].concat();
    world.cutover(&arguments).await.exits(0);
    let _away = take_away(&mut world);
    world.swapped(3).await;
    daemon
        .until("prod", "another revision", |status| {
            status["activity"] == "idle" && status["revision"] != first
        })
        .await;
    world.nothing_left().await;
    // One that is harmed is a problem, and nothing is released of it.
    std::fs::write(Path::new(&bundle).join("bundle.json"), "{").expect("written");
    daemon
        .until("prod", "a problem", |status| {
            status["problem"].to_string().contains("bundle-damaged")
        })
        .await;
    world.serves(3).await;
    daemon.stopped().await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_bundle_of_this_place_is_refused_before_anything_is_made() {
    let Some(mut world) = World::prepared(Needs::AnyServer).await else {
        return;
    };
    with_everything(&world);
    world
        .environment
        .insert("DBT_REGION".to_owned(), "eu".to_owned());
    let vars = ["--vars", "{country: de}"];
    let bundle = world.home().join("bundle").display().to_string();
    world
        .cutover(&[&["compile", &bundle][..], &vars[..]].concat())
        .await
        .exits(0);
    let _away = take_away(&mut world);
    let before = world.snapshot().await;
    let bad = world.home().join("bad");
    let bad_text = bad.display().to_string();
    let refused = async |world: &World, arguments: &[&str], name: &str| {
        for command in ["plan", "deploy"] {
            let outcome = world
                .cutover(&[&[command][..], arguments].concat())
                .await
                .exits(3);
            let said = outcome.error()["message"].to_string();
            assert!(said.contains(&format!("{name}: ")), "{outcome}");
            assert!(outcome.error()["hint"].is_string(), "{outcome}");
        }
    };
    let seed = "project/seeds/more.csv";
    type Harm<'a> = (&'a str, Box<dyn Fn() + 'a>);
    let harms: [Harm<'_>; 6] = [
        (
            "bundle-missing",
            Box::new(|| std::fs::remove_file(bad.join("bundle.json")).expect("removed")),
        ),
        (
            "bundle-format",
            Box::new(|| {
                let text = std::fs::read_to_string(bad.join("bundle.json")).expect("a listing");
                std::fs::write(
                    bad.join("bundle.json"),
                    text.replacen("\"form\": 1", "\"form\": 7", 1),
                )
                .expect("written");
            }),
        ),
        (
            "bundle-incomplete",
            Box::new(|| std::fs::remove_file(bad.join(seed)).expect("removed")),
        ),
        (
            "bundle-damaged",
            Box::new(|| std::fs::write(bad.join(seed), "id,note\n9,x\n").expect("written")),
        ),
        (
            "bundle-damaged",
            Box::new(|| {
                let text = std::fs::read_to_string(bad.join("bundle.json")).expect("a listing");
                std::fs::write(bad.join("bundle.json"), &text[..text.len() - 40]).expect("written");
            }),
        ),
        (
            "bundle-outside",
            Box::new(|| {
                std::fs::remove_file(bad.join(seed)).expect("removed");
                std::os::unix::fs::symlink("/etc/hostname", bad.join(seed)).expect("a link");
            }),
        ),
    ];
    for (name, harm) in harms {
        copied(Path::new(&bundle), &bad);
        harm();
        refused(&world, &["--bundle", &bad_text], name).await;
    }
    let profiles = world.project.read("profiles.yml");
    let here = ["--bundle", bundle.as_str()];
    let another = "bundle-for-another-target";
    for (from, to) in [
        (
            format!("schema: {}", world.prefix),
            "schema: other".to_owned(),
        ),
        (
            format!("cluster: {}_compute", world.prefix),
            format!("cluster: {}_serve", world.prefix),
        ),
    ] {
        world.project.replace("profiles.yml", &from, &to);
        refused(&world, &here, another).await;
        world.project.write("profiles.yml", &profiles);
    }
    refused(
        &world,
        &["--bundle", &bundle, "--vars", "{country: fr}"],
        another,
    )
    .await;
    world
        .environment
        .insert("DBT_REGION".to_owned(), "us".to_owned());
    let said = world.cutover(&["plan", "--bundle", &bundle]).await.exits(3);
    said.says("DBT_REGION");
    world
        .environment
        .insert("DBT_REGION".to_owned(), "eu".to_owned());
    // Who connects does not count, nor how.
    world
        .project
        .replace("profiles.yml", "threads: 4", "threads: 2");
    world.cutover(&["plan", "--bundle", &bundle]).await.exits(0);

    world.snapshot().await.is(&before);
    let history = world
        .cutover(&["history", "--bundle", &bundle])
        .await
        .exits(0);
    assert_eq!(
        history.document()["deployments"],
        serde_json::json!([]),
        "{history}"
    );
    // What needs dbt says so.
    let tested = world
        .cutover(&["deploy", "--test-only", "--bundle", &bundle])
        .await
        .exits(2);
    tested.says("without it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_dbt_is_refused_when_it_is_compiled_or_planned() {
    let Some(mut world) = World::prepared(Needs::AnyServer).await else {
        return;
    };
    let hook = "{{ config(post_hook='select 1') }}\n";
    let totals = world.project.read("models/marts/totals.sql");
    world
        .project
        .write("models/marts/totals.sql", &(hook.to_owned() + &totals));
    let (bundle, made) = compiled(&world, "bundle").await;
    assert_eq!(
        made["needs_dbt"],
        serde_json::json!(["model.shop.totals has a post-hook"])
    );
    let away = take_away(&mut world);
    let refused = world.cutover(&["plan", "--bundle", &bundle]).await.exits(3);
    refused
        .says("not-native")
        .says("model.shop.totals has a post-hook");
    bring_back(&mut world, away);

    // A test that asks the server while it is compiled is dbt's; one that stores its failures is not.
    world.project.write("models/marts/totals.sql", &totals);
    let stored = "{{ config(store_failures=true, schema='marts', cluster='C') }} select * from {{ ref('totals') }} where total < 0";
    let stored = stored.replace("'C'", &format!("'{}'", world.name("compute")));
    world.project.write("tests/stored.sql", &stored);
    let (bundle, _) = compiled(&world, "bundle").await;
    let away = take_away(&mut world);
    let planned = world.cutover(&["plan", "--bundle", &bundle]).await.exits(0);
    assert_eq!(planned.document()["building"]["engine"], "native");
    planned.says("test.shop.stored");
    world
        .cutover(&["deploy", "--bundle", &bundle])
        .await
        .exits(0);
    bring_back(&mut world, away);
    world.project.write(
        "tests/asking.sql",
        "{% set found = run_query('select 1') %} select * from {{ ref('totals') }} where total < 0",
    );
    let (bundle, _) = compiled(&world, "bundle").await;
    let away = take_away(&mut world);
    let refused = world.cutover(&["plan", "--bundle", &bundle]).await.exits(3);
    refused.says("not-native").says("test.shop.asking");
    bring_back(&mut world, away);
    world.project.remove("tests/stored.sql");
    world.project.remove("tests/asking.sql");

    // Nothing of a project that runs hooks with every build can be released.
    let place = world.home().join("none").display().to_string();
    world.project.replace(
        "dbt_project.yml",
        "name: shop\n",
        "name: shop\non-run-end: ['select 1']\n",
    );
    let refused = world.cutover(&["compile", &place]).await.exits(3);
    refused.says("not-native").says("operation.shop");
    assert!(!Path::new(&place).exists());
    // Nor is anything overwritten that is no bundle.
    std::fs::create_dir(&place).expect("a folder");
    std::fs::write(Path::new(&place).join("mine"), "mine").expect("written");
    let refused = world.cutover(&["compile", &place]).await.exits(3);
    refused.says("bundle-occupied: ");
    assert!(Path::new(&place).join("mine").is_file());
}
