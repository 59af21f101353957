//! Two configurations share one journal: for another project, target, database or server under the
//! same environment name, and for the same schemas under another name. Neither takes the other's
//! deployment for its own, whatever it is asked to do, and nothing begins anew.

use crate::copied;
use crate::support::{JournalServer, Needs, Outcome, Replay, Server, World};
use mz_sandbox::Options;
use std::path::Path;

/// The verbs that act on a deployment under way.
const ACTING: [&str; 5] = ["resume", "promote", "abort", "rollback", "cleanup"];

fn replace(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).expect("a file");
    assert!(text.contains(from), "no {from:?} in {text}");
    std::fs::write(file, text.replace(from, to)).expect("a file");
}

/// The journal's own words on the deployment.
async fn recorded(world: &World, id: &str) -> String {
    let shown = world.cutover(&["show", id]).await.exits(0);
    shown.document().to_string()
}

async fn acts(world: &World, folder: &Path, verb: &str) -> Outcome {
    world.spawn_in(folder, &[verb, "live"]).ended().await
}

/// A project of which one release waits for its promotion, as the environment `live`.
async fn waiting(world: &mut World) -> (Replay, String) {
    world.produce_by_sql().await;
    world.project.without_tests();
    world.project.write(
        "cutover.yaml",
        "environments:\n  live: {project: {target: prod}}\n",
    );
    let url = format!("sqlite://{}/shared.db", world.home().display());
    if !world.environment.contains_key("CUTOVER__STORE__URL") {
        world.set("STORE__URL", &url);
    }
    let replay = Replay::named(world, "live").await;
    let ready = world
        .cutover(&["deploy", "live", "--promotion", "manual"])
        .await
        .exits(0);
    (replay, ready.deployment())
}

/// Every command of the other configuration is refused and leaves the world and the journal alone.
async fn refused(world: &World, id: &str, other: &Path, differs: &str) {
    let before = world.snapshot().await;
    let journal = recorded(world, id).await;
    for verb in ACTING.into_iter().chain(["deploy"]) {
        let outcome = acts(world, other, verb).await.exits(3);
        // What the state does not admit may be said first.
        let is_named = outcome.all().contains("another-target") && outcome.all().contains(differs);
        let is_other = outcome.all().contains("cannot ")
            || (verb == "deploy" && outcome.all().contains("deployment-active"));
        assert!(is_named || is_other, "{outcome}");
        if verb == "resume" || verb == "abort" || verb == "promote" {
            assert!(is_named, "{outcome}");
            assert!(outcome.all().contains(id), "{outcome}");
        }
        if verb == "resume" {
            println!("{}", outcome.error()["message"]);
        }
    }
    assert_eq!(recorded(world, id).await, journal);
    world.snapshot().await.is(&before);
}

async fn with_the_same_name(world: &mut World) {
    let (_replay, id) = waiting(world).await;

    let other = copied(world, "project");
    replace(&other.join("dbt_project.yml"), "name: shop", "name: sales");
    refused(world, &id, &other, "project shop, not sales").await;

    let other = copied(world, "target");
    replace(&other.join("profiles.yml"), "    prod:", "    other:");
    replace(&other.join("cutover.yaml"), "target: prod", "target: other");
    refused(world, &id, &other, "target prod, not other").await;

    let other = copied(world, "database");
    world.sql.run("CREATE DATABASE elsewhere").await;
    replace(
        &other.join("profiles.yml"),
        "database: materialize",
        "database: elsewhere",
    );
    refused(world, &id, &other, "database materialize, not elsewhere").await;

    // Another server with the same names, on which the same ids are something else.
    let second = Server::start(Options::default()).await;
    let there = second.connect().await;
    for sql in ["staging", "marts", "serving"]
        .map(|name| format!("CREATE SCHEMA shop_{name}"))
        .into_iter()
        .chain(
            ["compute", "serve"].map(|name| format!("CREATE CLUSTER shop_{name} (SIZE = '25cc')")),
        )
        .chain(world.objects("", 1))
    {
        there.run(&sql).await;
    }
    let untouched = crate::support::Snapshot::read(&there, "shop").await;
    let other = copied(world, "server");
    replace(
        &other.join("profiles.yml"),
        &format!("port: {}", world.server.address().1),
        &format!("port: {}", second.address().1),
    );
    refused(world, &id, &other, "server sandbox-").await;
    crate::support::Snapshot::read(&there, "shop")
        .await
        .is(&untouched);

    // Another folder of the same project is no other configuration.
    let other = copied(world, "checkout");
    acts(world, &other, "promote").await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sqlite_journal_for_two_targets_of_the_same_name() {
    let Some(mut world) = World::start(Needs::Sandbox).await else {
        return;
    };
    with_the_same_name(&mut world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_postgresql_journal_for_two_targets_of_the_same_name() {
    let Some(mut world) = World::start(Needs::Sandbox).await else {
        return;
    };
    let _journal = JournalServer::of(&mut world);
    with_the_same_name(&mut world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_name_for_the_same_schemas_finds_the_first_one_in_every_state() {
    let Some(mut world) = World::start(Needs::Sandbox).await else {
        return;
    };
    let (_replay, id) = waiting(&mut world).await;
    let other = copied(&world, "renamed");
    std::fs::write(
        other.join("cutover.yaml"),
        "environments:\n  shop: {project: {target: prod}}\n",
    )
    .expect("a file");
    let deploys = async || world.spawn_in(&other, &["deploy", "shop"]).ended().await;

    // Green is ready.
    let before = world.snapshot().await;
    deploys()
        .await
        .exits(3)
        .says("green-exists")
        .says(&id)
        .says("environment live");
    world.snapshot().await.is(&before);

    world.cutover(&["promote", "live"]).await.exits(0);
    world.nothing_left().await;

    // It is being dropped, under names that only its deployment knows.
    let cleaning = world
        .held_at("cutover: drop object", 2, &["deploy", "live"])
        .await;
    let before = world.snapshot().await;
    assert!(
        !before.ids.keys().any(|name| name.contains("_dbt_deploy")),
        "{:?}",
        before.ids
    );
    let refusal = deploys()
        .await
        .exits(3)
        .says("deployment-active")
        .says("environment live")
        .says("schema shop_marts");
    println!("{}", refusal.error()["message"]);
    world.snapshot().await.is(&before);
    world.let_go().await;
    cleaning.ended().await.exits(0);
    world.serves(3).await;

    // And when it has ended: the schemas carry what it released. The other name may on purpose.
    deploys()
        .await
        .exits(3)
        .says("environments-overlap")
        .says("environment live");
    let allowed = ["deploy", "shop", "--allow", "environments-overlap"];
    world.spawn_in(&other, &allowed).ended().await.exits(0);
    world.serves(4).await;
    world.nothing_left().await;
}
