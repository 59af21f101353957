//! Somebody else changes what a release works on. Nothing is dropped that anybody may need.

use crate::support::{Needs, Snapshot, World, eventually};

const MANUAL: [&str; 5] = ["deploy", "--promotion", "manual", "--cleanup", "manual"];

async fn world() -> Option<World> {
    let world = World::prepared(Needs::AnyServer).await?;
    world.project.set_release(2);
    Some(world)
}

/// What dbt's own `deploy_promote` does.
async fn swap_by_hand(world: &World) {
    world.sql.run("BEGIN").await;
    for schema in ["staging", "marts", "serving"] {
        let name = world.name(schema);
        world
            .sql
            .run(&format!("ALTER SCHEMA {name} SWAP WITH {name}_dbt_deploy"))
            .await;
    }
    for cluster in ["compute", "serve"] {
        let name = world.name(cluster);
        world
            .sql
            .run(&format!("ALTER CLUSTER {name} SWAP WITH {name}_dbt_deploy"))
            .await;
    }
    world.sql.run("COMMIT").await;
}

async fn stuck_without_a_change(world: &World, command: &str, reason: &str) {
    let before = world.snapshot().await;
    world.cutover(&[command]).await.exits(5).says(reason);
    world.snapshot().await.is(&before);
}

async fn unchanged_since(world: &World, before: &Snapshot) {
    world.nothing_left().await;
    world.snapshot().await.is(before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_somebody_else_promoted_is_never_dropped() {
    let Some(world) = world().await else {
        return;
    };
    let before = world.snapshot().await;
    world.cutover(&MANUAL).await.exits(0);
    swap_by_hand(&world).await;
    world.serves(2).await;
    stuck_without_a_change(&world, "abort", "foreign-swap").await;
    stuck_without_a_change(&world, "resume", "foreign-swap").await;
    world.serves(2).await;
    // Put back by hand, it goes on as asked.
    swap_by_hand(&world).await;
    world.cutover(&["resume"]).await.exits(0);
    unchanged_since(&world, &before).await;

    // The same, and the operator does not know of it.
    world.cutover(&MANUAL).await.exits(0);
    swap_by_hand(&world).await;
    stuck_without_a_change(&world, "promote", "foreign-swap").await;
    world.serves(2).await;
    swap_by_hand(&world).await;
    world.cutover(&["resume"]).await;
    unchanged_since(&world, &before).await;

    // Swapped back by hand while the old side is kept: the old side serves and must stay.
    world
        .cutover(&["deploy", "--cleanup", "manual"])
        .await
        .exits(0);
    swap_by_hand(&world).await;
    world.serves(1).await;
    stuck_without_a_change(&world, "cleanup", "foreign-swap").await;
    swap_by_hand(&world).await;
    world.cutover(&["cleanup"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_appear_in_the_meantime_are_named_and_kept() {
    let Some(world) = world().await else {
        return;
    };
    let before = world.snapshot().await;
    let [marts, serve] = ["marts", "serve"].map(|name| world.name(name));

    // In green, which is to be dropped.
    world.cutover(&MANUAL).await.exits(0);
    world
        .sql
        .run(&format!("CREATE TABLE {marts}_dbt_deploy.mine (a int)"))
        .await;
    world
        .cutover(&["abort"])
        .await
        .exits(5)
        .says("unmanaged-object")
        .says("mine");
    world.serves(1).await;
    let schema = world
        .sql
        .value(
            "SELECT s.name::text FROM mz_catalog.mz_tables t \
             JOIN mz_catalog.mz_schemas s ON s.id = t.schema_id WHERE t.name = 'mine'",
        )
        .await;
    world.sql.run(&format!("DROP TABLE {schema}.mine")).await;
    world.cutover(&["resume"]).await.exits(0);
    unchanged_since(&world, &before).await;

    // In production, before the promotion: it would be lost.
    world.cutover(&MANUAL).await.exits(0);
    world
        .sql
        .run(&format!("CREATE VIEW {marts}.mine AS SELECT 1 AS a"))
        .await;
    world
        .cutover(&["promote"])
        .await
        .exits(1)
        .says("appeared in production");
    world.serves(1).await;
    world.nothing_left().await;
    world.sql.run(&format!("DROP VIEW {marts}.mine")).await;
    unchanged_since(&world, &before).await;

    // Around the old side, before its cleanup: a reader and a tenant.
    world
        .cutover(&["deploy", "--cleanup", "manual"])
        .await
        .exits(0);
    let other = world.name("other");
    world.sql.run(&format!("CREATE SCHEMA {other}")).await;
    world
        .sql
        .run(&format!(
            "CREATE VIEW {other}.reader AS SELECT * FROM {marts}_dbt_deploy.totals"
        ))
        .await;
    stuck_without_a_change(&world, "cleanup", "outside-dependent").await;
    world.sql.run(&format!("DROP VIEW {other}.reader")).await;
    world
        .sql
        .run(&format!(
            "CREATE MATERIALIZED VIEW {other}.tenant IN CLUSTER {serve}_dbt_deploy AS SELECT 1 AS a"
        ))
        .await;
    stuck_without_a_change(&world, "resume", "outside-dependent").await;
    world
        .sql
        .run(&format!("DROP MATERIALIZED VIEW {other}.tenant"))
        .await;
    world.cutover(&["cleanup"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_start_at_once_from_different_journals_one_gives_up() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    world.project.set_release(2);
    world
        .sql
        .run(
            "INSERT INTO mz_sandbox.faults (pattern, application_name, action) \
             VALUES ('cutover: create cluster', 'cutover', 'hang')",
        )
        .await;
    let mut first = world.spawn(&["deploy"]);
    first.until_state("staging").await;
    eventually("the first to stage", async || {
        let hits = "SELECT sum(hits)::text FROM mz_sandbox.faults";
        (world.sql.value(hits).await != "0").then_some(())
    })
    .await;
    world.set("STORE__URL", "sqlite://elsewhere/journal.db");
    world.set("RUNS__DIRECTORY", "elsewhere/runs");
    let second = world.cutover(&["deploy"]).await;
    assert!(matches!(second.code, Some(1 | 3)), "{second}");
    second.says("deployment-active");
    world.serves(1).await;
    world.sql.run("DELETE FROM mz_sandbox.faults").await;
    first.ended().await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
}
