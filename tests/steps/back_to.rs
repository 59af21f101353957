//! Going back to an earlier release, whatever the project says by then.

use crate::support::{Needs, Snapshot, World};
use serde_json::Value;
use std::path::PathBuf;

/// A world with three releases; the first has a seed and a model that the third has not. Their deployments.
async fn three_releases() -> Option<(World, [String; 3], (Vec<Vec<String>>, Snapshot))> {
    let mut world = World::start(Needs::AnyServer).await?;
    world.set("BUILD__ENGINE", "native");
    let noted = "select m.id, m.note from {{ ref('more') }} m join {{ ref('stg_orders') }} o on o.id = m.id";
    world.project.write("models/marts/noted.sql", noted);
    world
        .project
        .write("seeds/more.csv", "id,note\n1,first\n2,first too\n");
    let first = world.cutover(&["deploy", "--bootstrap"]).await.exits(0);
    let made = (noted_rows(&world).await, world.snapshot().await);
    world.project.set_release(2);
    world.project.write("seeds/more.csv", "id,note\n1,second\n");
    let second = world.cutover(&["deploy"]).await.exits(0);
    world.project.set_release(3);
    world.project.remove("seeds/more.csv");
    world.project.remove("models/marts/noted.sql");
    let third = world.cutover(&["deploy"]).await.exits(0);
    world.serves(3).await;
    let ids = [first.deployment(), second.deployment(), third.deployment()];
    Some((world, ids, made))
}

async fn noted_rows(world: &World) -> Vec<Vec<String>> {
    let marts = world.name("marts");
    let rows = world
        .sql
        .rows(&format!("SELECT id, note FROM {marts}.noted ORDER BY id"))
        .await;
    rows.into_iter()
        .map(|row| row.into_iter().collect())
        .collect()
}

async fn entry(world: &World) -> Value {
    let status = world.cutover(&["status"]).await.exits(0).document();
    status["environments"][0].clone()
}

/// The kept files of a deployment in the artifact store.
fn kept(world: &World, id: &str) -> Vec<PathBuf> {
    fn below(folder: &std::path::Path, id: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                below(&path, id, found);
            } else if path.display().to_string().contains(id) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    below(
        &world.project.path().join(".cutover/artifacts"),
        id,
        &mut found,
    );
    found.retain(|path| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("project-"))
    });
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn production_is_again_what_the_first_project_makes() {
    let Some((world, [first, _, third], (rows, made))) = three_releases().await else {
        return;
    };
    // A hurried commit: nothing of the project compiles any more.
    world
        .project
        .write("models/broken.sql", "select {{ no_such_macro() }}");
    let plan = world.cutover_text(&["plan", "--to", &first]).await.exits(0);
    plan.says("goes back to the release").says(&first);
    world.serves(3).await;
    let back = world.cutover(&["deploy", "--to", &first]).await.exits(0);
    world.serves(1).await;
    assert_eq!(noted_rows(&world).await, rows);
    world.snapshot().await.describes_the_same(&made);
    world.nothing_left().await;

    let shown = entry(&world).await;
    assert_eq!(shown["held"]["deployment"], *first, "{shown:#}");
    let reason = shown["held"]["reason"].to_string();
    assert!(reason.contains("rolled back to"), "{shown:#}");
    assert!(shown["held"]["since"].is_string() && !shown["held"]["by"].is_null());
    let text = world.cutover_text(&["status"]).await.exits(0);
    text.says("held: rolled back to");
    let text = world.cutover_text(&["history"]).await.exits(0);
    text.says("held: rolled back to");
    let record = world
        .cutover(&["show", &back.deployment()])
        .await
        .document();
    assert_eq!(record["state"], "done", "{record:#}");

    // It can be gone back to again, by way of the way back.
    world.cutover(&["deploy", "--to", &third]).await.exits(0);
    world.serves(3).await;
    world
        .cutover(&["deploy", "--to", &back.deployment()])
        .await
        .exits(0);
    world.serves(1).await;
    assert_eq!(noted_rows(&world).await, rows);
    // What is live already is held all the same, and nothing is made.
    let here = back.deployment();
    world.cutover(&["deploy", "--to", &here]).await.exits(0);

    // Released on, nothing is held any more.
    world.project.remove("models/broken.sql");
    world.project.set_release(4);
    world.cutover(&["deploy"]).await.exits(0);
    world.serves(4).await;
    assert!(entry(&world).await["held"].is_null());
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_old_side_stands_it_is_a_swap_back() {
    let Some((world, [first, _, third], _)) = three_releases().await else {
        return;
    };
    world.project.set_release(4);
    world
        .cutover(&["deploy", "--cleanup", "manual"])
        .await
        .exits(0);
    world.serves(4).await;
    // Another one is refused while somebody is to decide about this one.
    world
        .cutover(&["deploy", "--to", &first])
        .await
        .exits(3)
        .says("deployment-active");
    world.serves(4).await;
    let back = world.cutover(&["deploy", "--to", &third]).await.exits(0);
    assert_eq!(
        back.states().last().map(String::as_str),
        Some("rolled_back")
    );
    assert!(back.all().contains("swap back"), "{back}");
    world.serves(3).await;
    let shown = entry(&world).await;
    assert_eq!(shown["held"]["deployment"], *third, "{shown:#}");
    // A release that goes on and is rolled back leaves it held.
    world
        .cutover(&["deploy", "--cleanup", "manual"])
        .await
        .exits(0);
    assert!(entry(&world).await["held"].is_null());
    world.cutover(&["rollback"]).await.exits(0);
    let shown = entry(&world).await;
    assert_eq!(shown["held"]["deployment"], *third, "{shown:#}");
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_gone_back_to_is_refused_and_nothing_changes() {
    let Some((mut world, [first, second, _], _)) = three_releases().await else {
        return;
    };
    let before = world.snapshot().await;
    for (to, name) in [
        ("0123456789", "release-unknown"),
        (&first[..7], "release-ambiguous"),
        ("01", "release-unknown"),
    ] {
        let refused = world.cutover(&["deploy", "--to", to]).await.exits(3);
        refused.says(name);
    }
    let files = kept(&world, &first);
    assert!(files.len() >= 5, "{files:?}");
    let listing = files
        .iter()
        .find(|path| path.ends_with("project-bundle.json"));
    std::fs::remove_file(listing.expect("a listing")).expect("removed");
    let refused = world.cutover(&["deploy", "--to", &first]).await.exits(3);
    refused.says("release-not-kept");
    // One that is harmed is not built.
    let files = kept(&world, &second);
    let seed = files
        .iter()
        .find(|path| path.display().to_string().contains("more.csv"));
    std::fs::write(seed.expect("a seed"), "id,note\n1,forged\n").expect("written");
    world
        .cutover(&["deploy", "--to", &second])
        .await
        .exits(3)
        .says("bundle-damaged");
    // One that failed never went live. That its SQL is wrong is found by the build alone here.
    world.set("DESCRIBE", "false");
    world.project.replace(
        "models/marts/counts.sql",
        "count(*)",
        "count(*) / no_such_column",
    );
    let failed = world.cutover(&["deploy"]).await.exits(1).deployment();
    let refused = world.cutover(&["deploy", "--to", &failed]).await.exits(3);
    refused.says("never went live");
    assert!(entry(&world).await["held"].is_null());
    world.snapshot().await.is(&before);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_on_the_way_back_it_goes_on_with_the_same_files() {
    let Some(mut world) = World::start(Needs::Sandbox).await else {
        return;
    };
    world.produce_by_sql().await;
    world.set("BUILD__ENGINE", "native");
    let first = world
        .cutover(&["deploy", "--full"])
        .await
        .exits(0)
        .deployment();
    world.project.set_release(2);
    world.cutover(&["deploy"]).await.exits(0);
    for (action, pattern) in [
        ("hang", "^/\\* cutover: create materialized view"),
        ("hang_after", "^/\\* cutover: swap cluster"),
    ] {
        let killed = world
            .killed_at(pattern, action, 1, &["deploy", "--to", &first])
            .await;
        if let Err(outcome) = killed {
            panic!("it was not killed at {pattern}: {outcome}");
        }
        // The copy on this machine is gone, and so is the project's content.
        let copies = world.project.path().join(".cutover/sources");
        std::fs::remove_dir_all(&copies).expect("removed");
        let text = world.project.read("models/marts/totals.sql");
        world
            .project
            .write("models/marts/totals.sql", "no SQL {{ at all");
        world.cutover(&["resume"]).await.exits(0);
        world.serves(1).await;
        assert_eq!(entry(&world).await["held"]["deployment"], *first);
        world.nothing_left().await;
        world.project.write("models/marts/totals.sql", &text);
        world.cutover(&["deploy"]).await.exits(0);
        world.serves(2).await;
        assert!(entry(&world).await["held"].is_null());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_release_builds_stays_and_is_named() {
    let Some(mut world) = World::start(Needs::Sandbox).await else {
        return;
    };
    world.produce_by_sql().await;
    world.set("BUILD__ENGINE", "native");
    for sql in [
        "CREATE SCHEMA shop_out",
        "CREATE CLUSTER shop_io (SIZE = '25cc')",
        "CREATE CONNECTION shop_out.kafka TO KAFKA (BROKER 'localhost:9092', SECURITY PROTOCOL PLAINTEXT)",
    ] {
        world.sql.run(sql).await;
    }
    let sink = |topic: &str| {
        format!(
            "{{{{ config(materialized='sink', schema='out', cluster='shop_io') }}}}\nFROM {{{{ ref('totals') }}}} INTO KAFKA CONNECTION shop_out.kafka (TOPIC '{topic}') FORMAT JSON ENVELOPE DEBEZIUM"
        )
    };
    world
        .project
        .write("models/out/totals_out.sql", &sink("one"));
    let first = world
        .cutover(&["deploy", "--full"])
        .await
        .exits(0)
        .deployment();
    world.project.set_release(2);
    world
        .project
        .write("models/out/totals_out.sql", &sink("two"));
    world.set("SCOPE", "slim");
    let allowed = ["deploy", "--allow", "sink-recreated"];
    world
        .cutover(&["deploy"])
        .await
        .exits(3)
        .says("sink-recreated");
    world.cutover(&allowed).await.exits(0);
    for scope in ["slim", "full"] {
        world.set("SCOPE", scope);
        let plan = world.cutover_text(&["plan", "--to", &first]).await.exits(0);
        plan.says("does not go back and stays as it is now: model.shop.totals_out");
    }
    world.cutover(&["deploy", "--to", &first]).await.exits(0);
    world.serves(1).await;
    let query = "SELECT create_sql FROM mz_catalog.mz_sinks WHERE name = 'totals_out'";
    let made = world.sql.value(query).await;
    assert!(made.contains("'two'"), "{made}");
}
