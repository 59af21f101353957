//! Green clusters that have another size until they are hydrated.

use crate::support::{Needs, Replay, World};
use nix::sys::signal::Signal;

async fn size(world: &World, cluster: &str) -> String {
    let name = world.name(cluster);
    let of = format!("SELECT size FROM mz_catalog.mz_clusters WHERE name = '{name}'");
    world.sql.value(&of).await
}

async fn resize(world: &World, cluster: &str, size: &str) {
    let cluster = world.name(cluster);
    let set = format!("ALTER CLUSTER {cluster} SET (SIZE = '{size}')");
    world.sql.run(&set).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn green_is_hydrated_in_another_size_and_goes_live_in_that_of_production() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let _replay = Replay::of(&mut world).await;
    let before = size(&world, "compute").await;
    world.set("HYDRATION__SIZE", "400cc");
    let planned = world.cutover_text(&["plan", "--full"]).await;
    planned
        .exits(0)
        .says("of size 400cc until it is hydrated, at 4");
    // Killed when green is hydrated and about to be altered.
    let deploying = world
        .held_at("cutover: alter cluster", 1, &["deploy"])
        .await;
    assert_eq!(size(&world, "compute_dbt_deploy").await, "400cc");
    assert_eq!(size(&world, "compute").await, before);
    deploying.signal(Signal::SIGKILL);
    deploying.ended().await;
    world.let_go().await;
    world.serves(1).await;
    world.cutover(&["resume"]).await.exits(0);
    world.serves(2).await;
    assert_eq!(size(&world, "compute").await, before);
    world.nothing_left().await;

    // What is altered is not ready because it was: green never serves in a size that does not hydrate.
    world.set("READINESS__TIMEOUT", "4s");
    let deploying = world
        .held_at("cutover: alter cluster", 1, &["deploy"])
        .await;
    world.hydrates(false).await;
    world.let_go().await;
    let ended = deploying.ended().await.exits(1);
    let states = ended.states();
    assert!(!states.contains(&"verifying".to_owned()), "{states:?}");
    world.hydrates(true).await;
    world.serves(2).await;
    world.nothing_left().await;

    world.set("HYDRATION__SIZE", "enormous");
    let refused = world.cutover_text(&["plan", "--full"]).await;
    refused
        .says("hydration-size-unknown")
        .says("enormous")
        .says("mz_cluster_replica_sizes");
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_green_cluster_that_somebody_altered_gets_the_size_of_production_before_it_serves() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let _replay = Replay::of(&mut world).await;
    let before = size(&world, "compute").await;
    let manual = ["deploy", "--promotion", "manual"];
    world.cutover(&manual).await.exits(0);
    resize(&world, "compute_dbt_deploy", "100cc").await;
    let promoted = world.cutover(&["promote"]).await.exits(0);
    promoted.says("the options of the cluster shop_compute");
    world.serves(2).await;
    assert_eq!(size(&world, "compute").await, before);
    world.nothing_left().await;

    // While the swap is about to be sent it is noticed by the transaction itself.
    world.cutover(&manual).await.exits(0);
    let promoting = world.held_at("cutover: begin swap", 2, &["promote"]).await;
    resize(&world, "compute_dbt_deploy", "100cc").await;
    world.let_go().await;
    let states = promoting.ended().await.exits(0).states();
    assert_eq!(
        states[states.len() - 5..],
        ["ready", "cutting_over", "soaking", "cleaning_up", "done"],
        "{states:?}"
    );
    world.serves(3).await;
    assert_eq!(size(&world, "compute").await, before);
    world.nothing_left().await;
}
