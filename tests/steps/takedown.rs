//! Taking a side down stops at what others need, names it, and goes on when it is out of the way.

use crate::support::{Needs, Outcome, Replay, World};
use nix::sys::signal::Signal;

/// Production of release 1, others' schema and cluster, and a dbt that answers at once.
async fn world() -> Option<(World, Replay)> {
    let mut world = World::prepared(Needs::Sandbox).await?;
    world
        .sql
        .run_all(&[
            "CREATE SCHEMA others",
            "CREATE TABLE others.numbers (n int)",
            "INSERT INTO others.numbers VALUES (1), (2)",
        ])
        .await;
    let replay = Replay::of(&mut world).await;
    Some((world, replay))
}

/// Asserts that it is stuck and says why, and that `kept` still answers.
async fn stuck(world: &World, outcome: Outcome, reasons: &[&str], kept: &str) {
    let mut outcome = outcome.exits(5);
    for reason in reasons {
        outcome = outcome.says(reason);
    }
    let status = world.cutover(&["status"]).await.exits(0).document();
    let deployment = &status["environments"][0]["deployment"];
    assert_eq!(deployment["state"], "stuck", "{outcome}");
    let reason = deployment["reason"].to_string();
    for part in reasons {
        assert!(reason.contains(part), "no {part:?} in {reason}");
    }
    assert_ne!(world.sql.value(kept).await, "0", "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cleanup_stops_at_what_others_need() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let old = "shop_marts_dbt_deploy";
    // What somebody does to the old side; what is named; what must survive; what undoes it, where
    // `{old}` is the present name of the old schema.
    let cases = [
        (
            format!("CREATE VIEW others.sum AS SELECT sum(total) AS s FROM {old}.totals"),
            ["outside-dependent", "others.sum"],
            "SELECT s::text FROM others.sum",
            "DROP VIEW others.sum",
        ),
        (
            format!("CREATE TABLE {old}.kept (n int); INSERT INTO {old}.kept VALUES (7)"),
            ["unmanaged-object", "kept"],
            "SELECT n::text FROM {old}.kept",
            "DROP TABLE {old}.kept",
        ),
        (
            "CREATE INDEX by_n IN CLUSTER shop_serve_dbt_deploy ON others.numbers (n)".to_owned(),
            ["outside-dependent", "by_n"],
            "SELECT count(*)::text FROM mz_catalog.mz_indexes WHERE name = 'by_n'",
            "DROP INDEX others.by_n",
        ),
        (
            format!("ALTER SCHEMA {old} RENAME TO archive"),
            ["foreign-swap", "archive"],
            "SELECT count(*)::text FROM archive.totals",
            "ALTER SCHEMA archive RENAME TO shop_marts_dbt_deploy",
        ),
    ];
    for (number, (does, reasons, kept, undoes)) in cases.into_iter().enumerate() {
        let serving = u32::try_from(number).expect("a small number") + 2;
        world
            .cutover(&["deploy", "--cleanup", "manual"])
            .await
            .exits(0);
        for statement in does.split("; ") {
            world.sql.run(statement).await;
        }
        let before = world.snapshot().await;
        let present = |sql: &str| sql.replace("{old}", old);
        for verb in ["cleanup", "resume", "cleanup"] {
            let outcome = world.cutover(&[verb]).await;
            stuck(&world, outcome, &reasons, &present(kept)).await;
            // Nothing was dropped yet.
            world.snapshot().await.is(&before);
        }
        world.serves(serving).await;
        world.cutover(&["deploy"]).await.exits(3);
        world.sql.run(&present(undoes)).await;
        let verb = if number % 2 == 0 { "cleanup" } else { "resume" };
        world.cutover(&[verb]).await.exits(0);
        world.serves(serving).await;
        world.nothing_left().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_green_stops_at_what_others_need() {
    let Some((mut world, _replay)) = world().await else {
        return;
    };
    let before = world.snapshot().await;
    // After a failure.
    world.set("READINESS__TIMEOUT", "1s");
    world
        .sql
        .run("INSERT INTO mz_sandbox.objects (pattern, hydrated) VALUES ('.*_dbt_deploy\\.totals', false)")
        .await;
    let deploying = world.hydrating(&["deploy"]).await;
    world
        .sql
        .run("CREATE VIEW others.early AS SELECT count(*) AS n FROM shop_marts_dbt_deploy.counts")
        .await;
    let failed = deploying.ended().await;
    let kept = "SELECT n::text FROM others.early";
    stuck(&world, failed, &["outside-dependent", "others.early"], kept).await;
    world.serves(1).await;
    world.sql.run("DROP VIEW others.early").await;
    world.cutover(&["resume"]).await.exits(1);
    world.nothing_left().await;
    world.snapshot().await.is(&before);
    world.sql.run("DELETE FROM mz_sandbox.objects").await;

    // After an abort, and somebody's table with data in green itself.
    world.set("READINESS__TIMEOUT", "1m");
    world
        .cutover(&["deploy", "--promotion", "manual"])
        .await
        .exits(0);
    world
        .sql
        .run_all(&[
            "CREATE TABLE shop_serving_dbt_deploy.kept (n int)",
            "INSERT INTO shop_serving_dbt_deploy.kept VALUES (7)",
        ])
        .await;
    let aborted = world.cutover(&["abort"]).await;
    let kept = "SELECT n::text FROM shop_serving_dbt_deploy.kept";
    stuck(&world, aborted, &["unmanaged-object", "kept"], kept).await;
    world
        .sql
        .run("DROP TABLE shop_serving_dbt_deploy.kept")
        .await;
    world.cutover(&["abort"]).await.exits(0);
    world.nothing_left().await;
    world.snapshot().await.is(&before);
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_sql_that_names_a_schema_does_not_keep_green() {
    let Some((world, replay)) = world().await else {
        return;
    };
    replay.names_schema(true);
    let before = world.snapshot().await;
    // The server swaps no schema that a column reference names, and renames none.
    let failed = world.cutover(&["deploy"]).await.exits(1);
    failed.says("ambiguous reference");
    world.serves(1).await;
    world.nothing_left().await;
    world.snapshot().await.is(&before);

    // Killed before, among and after the first drops, and inside the transaction of the renames.
    for (pattern, nth) in [("drop object", 1), ("drop object", 2), ("rename object", 2)] {
        let running = world
            .held_at(&format!("cutover: {pattern}"), nth, &["deploy"])
            .await;
        running.signal(Signal::SIGKILL);
        running.ended().await;
        world.let_go().await;
        world.cutover(&["resume"]).await.exits(1);
        world.serves(1).await;
        world.nothing_left().await;
        world.snapshot().await.is(&before);
    }

    // Somebody swaps between the renames and a drop: what serves has none of the secret names.
    let running = world.held_at("cutover: drop object", 1, &["deploy"]).await;
    world
        .sql
        .run("ALTER SCHEMA shop_staging SWAP WITH shop_staging_dbt_deploy")
        .await;
    world.let_go().await;
    let foreign = running.ended().await;
    world.serves(1).await;
    stuck(
        &world,
        foreign,
        &["foreign-swap"],
        "SELECT count(*)::text FROM shop_staging_dbt_deploy.orders",
    )
    .await;
    world
        .sql
        .run("ALTER SCHEMA shop_staging SWAP WITH shop_staging_dbt_deploy")
        .await;
    world.cutover(&["resume"]).await.exits(1);
    world.nothing_left().await;
    world.snapshot().await.is(&before);
    replay.names_schema(false);
    world.cutover(&["deploy"]).await.exits(0);
    world.nothing_left().await;
}
