//! Sinks outside the deployment follow the relation that serves.

use crate::support::{Needs, Snapshot, World};

/// The id of the object that the sink reads.
async fn read_by_the_sink(world: &World) -> String {
    world
        .sql
        .value(
            "SELECT d.referenced_object_id::text FROM mz_internal.mz_object_dependencies d \
             JOIN mz_catalog.mz_sinks s ON s.id = d.object_id \
             JOIN mz_catalog.mz_objects o ON o.id = d.referenced_object_id \
             WHERE s.name = 'out' AND o.type = 'materialized-view'",
        )
        .await
}

fn totals(snapshot: &Snapshot) -> String {
    snapshot.id("object shop_marts.totals").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_outside_follows_the_swap_and_cleanup_waits_for_it() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    for sql in [
        "CREATE SCHEMA shop_out",
        "CREATE CLUSTER shop_io (SIZE = '25cc')",
        "CREATE CONNECTION shop_out.kafka TO KAFKA (BROKER 'localhost:9092', SECURITY PROTOCOL PLAINTEXT)",
        "CREATE SINK shop_out.out IN CLUSTER shop_io FROM shop_marts.totals \
         INTO KAFKA CONNECTION shop_out.kafka (TOPIC 'totals') FORMAT JSON ENVELOPE DEBEZIUM",
    ] {
        world.sql.run(sql).await;
    }
    let before = world.snapshot().await;
    assert_eq!(read_by_the_sink(&world).await, totals(&before));

    // Forwards, and back again.
    world.project.set_release(2);
    world
        .cutover(&["deploy", "--cleanup", "manual"])
        .await
        .exits(0);
    world.serves(2).await;
    let swapped = world.snapshot().await;
    assert_ne!(totals(&swapped), totals(&before));
    assert_eq!(read_by_the_sink(&world).await, totals(&swapped));
    world.cutover(&["rollback"]).await.exits(0);
    world.serves(1).await;
    assert_eq!(read_by_the_sink(&world).await, totals(&before));
    world.nothing_left().await;

    // A sink that does not run cannot be moved: production serves, the old side stays.
    world.set("SINKS__ALTER_TIMEOUT", "1s");
    world.set("SINKS__HEALTHY_TIMEOUT", "1s");
    world
        .sql
        .run("INSERT INTO mz_sandbox.sinks (pattern) VALUES ('shop_out\\.out')")
        .await;
    let stuck = world
        .cutover(&["deploy"])
        .await
        .exits(5)
        .says("sink-not-repointed")
        .says("shop_out.out");
    assert_eq!(stuck.states().last().map(String::as_str), Some("stuck"));
    world.serves(2).await;
    let kept = world.snapshot().await;
    for schema in ["staging", "marts", "serving"] {
        assert_eq!(
            kept.id(&format!("schema shop_{schema}_dbt_deploy")),
            before.id(&format!("schema shop_{schema}"))
        );
    }
    assert_eq!(read_by_the_sink(&world).await, totals(&before));
    let status = world.cutover(&["status"]).await.exits(0).document();
    let entry = &status["environments"][0];
    assert_eq!(entry["deployment"]["state"], "stuck");
    world.cutover(&["resume"]).await.exits(5);
    world.cutover(&["deploy"]).await.exits(3);

    world.sql.run("DELETE FROM mz_sandbox.sinks").await;
    world.cutover(&["resume"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
    assert_eq!(
        read_by_the_sink(&world).await,
        totals(&world.snapshot().await)
    );
    world.snapshot().await.describes_the_same(&before);
}
