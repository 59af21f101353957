//! Releases that cannot succeed: production is untouched, nothing is left, the reason says what.

use crate::support::{Needs, Outcome, Snapshot, World};

/// Asserts the end of a deployment that failed and was unwound.
async fn unwound(world: &World, before: &Snapshot, outcome: Outcome, reason: &[&str]) {
    let outcome = outcome.exits(1);
    assert_eq!(outcome.states().last().map(String::as_str), Some("failed"));
    let message = outcome.error()["message"].to_string();
    for part in reason {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
    world.nothing_left().await;
    world.snapshot().await.is(before);
    world.serves(1).await;
    let history = world.cutover(&["history", "--limit", "1"]).await.document();
    let recorded = &history["deployments"][0];
    assert_eq!(recorded["state"], "failed");
    let recorded = recorded["reason"].to_string();
    assert!(recorded.contains(reason[0]), "{recorded}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_fails_leaves_production_alone() {
    let Some(mut world) = World::start(Needs::AnyServer).await else {
        return;
    };
    // Otherwise the plan would find it.
    world.set("DESCRIBE", "false");
    world.produce_by_sql().await;
    let before = world.snapshot().await;

    // A model that fails, and one downstream that dbt skips.
    world.project.replace(
        "models/marts/counts.sql",
        "count(*)",
        "count(*) / no_such_column",
    );
    let failed = world.cutover(&["deploy"]).await;
    unwound(
        &world,
        &before,
        failed,
        &[
            "model.shop.counts",
            "no_such_column",
            "model.shop.report skipped",
        ],
    )
    .await;

    // A test that fails on green.
    world.project.replace(
        "models/marts/counts.sql",
        "count(*) / no_such_column",
        "count(*)",
    );
    world
        .project
        .replace("tests/no_negative_totals.sql", "total < 0", "total > 0");
    let failed = world.cutover(&["deploy"]).await;
    unwound(&world, &before, failed, &["test.shop.no_negative_totals"]).await;

    // A unit test that fails.
    world
        .project
        .replace("tests/no_negative_totals.sql", "total > 0", "total < 0");
    world
        .project
        .replace("models/schema.yml", "total: 3", "total: 4");
    let failed = world.cutover(&["deploy"]).await;
    unwound(&world, &before, failed, &["totals_add_up"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn green_that_never_gets_ready_is_dropped() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let before = world.snapshot().await;

    world
        .sql
        .run(
            "INSERT INTO mz_sandbox.objects (pattern, hydrated) \
             VALUES ('shop_marts_dbt_deploy\\.totals', false)",
        )
        .await;
    world.set("READINESS__TIMEOUT", "2s");
    let late = world.cutover(&["deploy"]).await;
    unwound(
        &world,
        &before,
        late,
        &["not ready after 2s", "shop_marts.totals"],
    )
    .await;
    world.sql.run("DELETE FROM mz_sandbox.objects").await;

    // Lag that stays above the threshold.
    world
        .sql
        .run(
            "INSERT INTO mz_sandbox.objects (pattern, lag) \
             VALUES ('shop_marts_dbt_deploy\\.counts', interval '30 seconds')",
        )
        .await;
    let lagging = world.cutover(&["deploy"]).await;
    unwound(
        &world,
        &before,
        lagging,
        &["not ready after 2s", "shop_marts.counts"],
    )
    .await;
    world.sql.run("DELETE FROM mz_sandbox.objects").await;

    // A cluster that loses its replicas while it is waited for is hopeless at once.
    world.set("READINESS__TIMEOUT", "1h");
    world.hydrates(false).await;
    let deploying = world.hydrating(&["deploy"]).await;
    world
        .sql
        .run("ALTER CLUSTER shop_serve_dbt_deploy SET (REPLICATION FACTOR = 0)")
        .await;
    let hopeless = deploying.ended().await;
    unwound(&world, &before, hopeless, &["shop_serve has no replicas"]).await;
    world.hydrates(true).await;

    // One that has none in production is refused while planning.
    world
        .sql
        .run("ALTER CLUSTER shop_serve SET (REPLICATION FACTOR = 0)")
        .await;
    let before = world.snapshot().await;
    let refused = world.cutover(&["deploy"]).await.exits(3);
    refused.says("cluster-without-replicas").says("shop_serve");
    world.nothing_left().await;
    world.snapshot().await.is(&before);
}

/// The rule that refuses the swap refuses every rename of the schema, that before a drop among them, so
/// the objects go first.
#[tokio::test(flavor = "multi_thread")]
async fn a_swap_that_the_server_will_refuse_is_found_out_by_the_rehearsal() {
    let Some(world) = World::prepared(Needs::AnyServer).await else {
        return;
    };
    let before = world.snapshot().await;
    // Stored SQL that names a schema in a column reference.
    let place = "models/serving/report.sql";
    let text = world.project.read(place);
    world.project.write(
        place,
        &format!("{text}\nwhere exists (select {{{{ ref('stg_orders').schema }}}}.stg_orders.id from {{{{ ref('stg_orders') }}}})\n"),
    );
    let failed = world.cutover(&["deploy"]).await;
    let reasons = ["rehearsal-refused", "renaming conflict"];
    unwound(&world, &before, failed, &reasons).await;
}
