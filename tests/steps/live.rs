//! The table that says in Materialize what is live.

use crate::support::{Needs, Outcome, Replay, World};

/// `kind name deployment` of each row, sorted.
async fn said(world: &World) -> Vec<String> {
    let rows = "SELECT kind, name, deployment FROM cutover.live WHERE environment = 'prod' \
                AND since > '2020-01-01' AND released_by IS NOT NULL ORDER BY 1, 2, 3";
    let rows = world.sql.rows(rows).await;
    rows.iter().map(|row| row.join(" ")).collect()
}

/// What is said where all of production is of one deployment.
fn all_of(world: &World, deployment: &str) -> Vec<String> {
    let clusters = ["compute", "serve"].map(|name| ("cluster", name));
    let schemas = ["marts", "serving", "staging"].map(|name| ("schema", name));
    clusters
        .into_iter()
        .chain(schemas)
        .map(|(kind, name)| format!("{kind} {} {deployment}", world.name(name)))
        .collect()
}

async fn deployed(world: &World, more: &[&str]) -> Outcome {
    let arguments = [&["deploy"], more].concat();
    world.cutover(&arguments).await.exits(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_says_what_is_live_after_a_release_and_after_the_way_back() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let _replay = Replay::of(&mut world).await;
    // Without the setting nothing is made.
    deployed(&world, &[]).await;
    let tables = "SELECT count(*)::text FROM mz_catalog.mz_schemas WHERE name = 'cutover'";
    assert_eq!(world.sql.value(tables).await, "0");

    world.set("LIVE_TABLE", "cutover.live");
    let first = deployed(&world, &[]).await.deployment();
    assert_eq!(said(&world).await, all_of(&world, &first));
    // It says so from the swap on, and does not say it any more once the old side is back.
    let second = deployed(&world, &["--cleanup", "manual"])
        .await
        .deployment();
    assert_eq!(said(&world).await, all_of(&world, &second));
    world.cutover(&["rollback"]).await.exits(0);
    assert_eq!(said(&world).await, all_of(&world, &first));
    world.nothing_left().await;
    // Killed between taking out and saying, it is repaired by what follows.
    let label = "^/. cutover: say what is live";
    let killed = world.killed_at(label, "hang", 1, &["deploy"]).await;
    killed.expect("it was killed there");
    assert_eq!(said(&world).await, Vec::<String>::new());
    let resumed = world.cutover(&["resume"]).await.exits(0);
    let third = resumed.deployment();
    assert_eq!(said(&world).await, all_of(&world, &third));
    world.nothing_left().await;

    // A release does not fail because it cannot be said, and the cleanup tries again.
    let refused = "INSERT INTO mz_sandbox.faults (pattern, application_name, action, argument, nth, times) \
                   VALUES ('^/. cutover: take out what is live', 'cutover', 'error', '42501', 1, 1)";
    world.sql.run(refused).await;
    let fourth = deployed(&world, &["--cleanup", "manual"]).await;
    let fourth = fourth
        .says("cutover.live does not say what is live")
        .deployment();
    world.serves(6).await;
    assert_eq!(said(&world).await, all_of(&world, &third));
    world.cutover(&["cleanup"]).await.exits(0);
    assert_eq!(said(&world).await, all_of(&world, &fourth));

    // Somebody drops it: the next release makes it again.
    world.sql.run("DROP TABLE cutover.live").await;
    let fifth = deployed(&world, &[]).await.deployment();
    assert_eq!(said(&world).await, all_of(&world, &fifth));
    // What is not of Cutover's making is left alone.
    world.sql.run("DROP TABLE cutover.live").await;
    world
        .sql
        .run("CREATE TABLE cutover.live (environment text)")
        .await;
    world
        .sql
        .run("INSERT INTO cutover.live VALUES ('prod')")
        .await;
    deployed(&world, &[])
        .await
        .says("something else has that name");
    assert_eq!(
        world
            .sql
            .value("SELECT count(*)::text FROM cutover.live")
            .await,
        "1"
    );

    // It must not be in a schema that is swapped.
    world.set("LIVE_TABLE", "shop_marts.live");
    let refused = world.cutover(&["deploy"]).await.exits(2);
    refused.says("live_table");
    world.nothing_left().await;
}
