//! What people change in production while a release is under way, and what the release's own hooks change.

use crate::support::{Needs, Replay, World};

async fn alter(world: &World, cluster: &str, number: u32) {
    let cluster = world.name(cluster);
    let set = format!("ALTER CLUSTER {cluster} SET (REPLICATION FACTOR = {number})");
    world.sql.run(&set).await;
}

/// Which of these roles the catalog has privileges of on the relation of this name, in production.
async fn may_read(world: &World, relation: &str, roles: &[&str]) -> Vec<String> {
    let of = format!(
        "SELECT o.privileges::text FROM mz_catalog.mz_objects o \
         JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id \
         WHERE o.name = '{relation}' AND s.name = '{}'",
        world.name("marts")
    );
    let privileges = world.sql.value(&of).await;
    let mut may = Vec::new();
    for role in roles {
        let id = format!("SELECT id::text FROM mz_catalog.mz_roles WHERE name = '{role}'");
        let id = world.sql.value(&id).await;
        if privileges.contains(&format!("{id}=r")) {
            may.push((*role).to_owned());
        }
    }
    may
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_in_production_while_a_release_waits_is_not_undone_by_it() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let _replay = Replay::of(&mut world).await;
    let marts = world.name("marts");
    world.sql.run("CREATE ROLE carried_reader").await;
    let manual = ["deploy", "--promotion", "manual"];
    world.cutover(&manual).await.exits(0);
    alter(&world, "compute", 2).await;
    let grant = format!("GRANT SELECT ON {marts}.totals TO carried_reader");
    world.sql.run(&grant).await;
    let usage = format!("GRANT USAGE ON SCHEMA {marts} TO carried_reader");
    world.sql.run(&usage).await;
    let comment = format!("COMMENT ON SCHEMA {marts} IS 'by people'");
    world.sql.run(&comment).await;
    let promoted = world.cutover(&["promote"]).await.exits(0);
    let promoted = promoted.says("changed in production since the plan and carried over");
    let shown = world.cutover_text(&["show", &promoted.deployment()]).await;
    shown
        .exits(0)
        .says("Changed in production meanwhile")
        .says("the options of the cluster shop_compute");
    world.serves(2).await;
    assert_eq!(world.replicas("compute").await, "2");
    let reader = ["carried_reader"];
    assert_eq!(may_read(&world, "totals", &reader).await, reader);
    let snapshot = world.snapshot().await;
    let described = format!("{snapshot:?}");
    assert!(described.contains("by people"), "{described}");
    world.nothing_left().await;

    // What is changed while the swap is about to be sent is noticed by the transaction itself.
    world.cutover(&manual).await.exits(0);
    // The rehearsal of the promotion begins the same way.
    let promoting = world.held_at("cutover: begin swap", 2, &["promote"]).await;
    alter(&world, "compute", 1).await;
    let revoke = format!("REVOKE SELECT ON {marts}.totals FROM carried_reader");
    world.sql.run(&revoke).await;
    world.let_go().await;
    let promoted = promoting.ended().await.exits(0);
    let states = promoted.states();
    assert_eq!(
        states[states.len() - 5..],
        ["ready", "cutting_over", "soaking", "cleaning_up", "done"],
        "{states:?}"
    );
    world.serves(3).await;
    assert_eq!(world.replicas("compute").await, "1");
    assert!(may_read(&world, "totals", &reader).await.is_empty());
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_releases_own_hooks_grant_and_revoke_goes_live() {
    let Some(world) = World::start(Needs::Sandbox).await else {
        return;
    };
    world.project.without_tests();
    world.produce().await;
    let roles = ["hook_one", "hook_two", "person"];
    for role in roles {
        world.sql.run(&format!("CREATE ROLE {role}")).await;
    }
    let totals = "models/marts/totals.sql";
    let plain = world.project.read(totals);
    let with = |role: &str| {
        let hook = format!("grant select on {{{{ this }}}} to {role}");
        let config = format!("{{{{ config(post_hook=\"{hook}\") }}}}\n");
        world.project.write(totals, &format!("{config}{plain}"));
    };
    with("hook_one");
    world.cutover(&["deploy"]).await.exits(0);
    assert_eq!(may_read(&world, "totals", &roles).await, ["hook_one"]);
    // People give somebody access; the project takes it from one and gives it to another.
    let grant = format!("GRANT SELECT ON {}.totals TO person", world.name("marts"));
    world.sql.run(&grant).await;
    with("hook_two");
    world.cutover(&["deploy"]).await.exits(0);
    assert_eq!(
        may_read(&world, "totals", &roles).await,
        ["hook_two", "person"]
    );
    // The hook is gone, and with it what it gave.
    world.project.write(totals, &plain);
    world.cutover(&["deploy"]).await.exits(0);
    assert_eq!(may_read(&world, "totals", &roles).await, ["person"]);
    world.nothing_left().await;
}
