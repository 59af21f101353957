//! The server goes away: for a while, for a moment between two statements, or for longer than the
//! release waits; and the configuration changes while a release is under way.

use crate::entered_once;
use crate::support::{Needs, Replay, World, eventually};
use std::time::Duration;

async fn world() -> Option<World> {
    let world = World::prepared(Needs::Sandbox).await?;
    world.project.set_release(2);
    Some(world)
}

/// The server drops everybody and stays away; this connection, too, is lost.
async fn through_outages_of(milliseconds: u64) {
    let Some(mut world) = world().await else {
        return;
    };
    // While it hydrates.
    world
        .sql
        .run("INSERT INTO mz_sandbox.objects (pattern, hydrated) VALUES ('.*_dbt_deploy\\.totals', false)")
        .await;
    let deploying = world.hydrating(&["deploy"]).await;
    world.outage(Duration::from_millis(milliseconds)).await;
    world.is_back().await;
    world.sql.run("DELETE FROM mz_sandbox.objects").await;
    let outcome = deploying.ended().await.exits(0);
    entered_once(&world, &outcome).await;
    world.serves(2).await;
    world.nothing_left().await;

    // While dbt builds a model, after more time than the release waits for a server.
    world.set(
        "MATERIALIZE__RECONNECT_TIMEOUT",
        &format!("{}ms", milliseconds + 3000),
    );
    world.project.set_release(3);
    world
        .sql
        .run(
            "INSERT INTO mz_sandbox.faults (pattern, action, times) \
             VALUES ('shop_marts_dbt_deploy.*totals', 'hang', NULL)",
        )
        .await;
    let mut deploying = world.spawn(&["deploy"]);
    deploying.until_state("building").await;
    let building = tokio::time::Instant::now();
    eventually("dbt to hang in the model", async || {
        let hits = world
            .sql
            .value("SELECT sum(hits) FROM mz_sandbox.faults")
            .await;
        let is_late = building.elapsed().as_millis() > u128::from(milliseconds) + 3000;
        (hits != "0" && is_late).then_some(())
    })
    .await;
    world
        .sql
        .run("DELETE FROM mz_sandbox.faults WHERE action = 'hang'")
        .await;
    world.outage(Duration::from_millis(milliseconds)).await;
    world.is_back().await;
    let outcome = deploying.ended().await.exits(0);
    entered_once(&world, &outcome).await;
    world.serves(3).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_two_seconds_is_waited_out() {
    through_outages_of(2000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_twenty_seconds_is_waited_out() {
    through_outages_of(20_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_between_any_two_statements_is_made_again() {
    let Some(mut world) = world().await else {
        return;
    };
    let _replay = Replay::of(&mut world).await;
    let mut release = 1;
    for action in ["cut_before", "cut_after"] {
        for label in [
            "create schema",
            "create cluster",
            "comment on schema",
            "rename schema",
            "rename cluster",
            "swap clusters",
            "readiness",
            "names and ids",
            "drop object",
            "drop schema",
            "drop cluster",
        ] {
            world
                .sql
                .run(&format!(
                    "INSERT INTO mz_sandbox.faults (pattern, application_name, action, nth) \
                     VALUES ('cutover: {label} ', 'cutover', '{action}', 2)"
                ))
                .await;
            release += 1;
            let outcome = world.cutover(&["deploy"]).await.exits(0);
            let hits = "SELECT (sum(hits) >= 2)::text FROM mz_sandbox.faults";
            assert_eq!(world.sql.value(hits).await, "true", "{action} {label}");
            world.sql.run("DELETE FROM mz_sandbox.faults").await;
            entered_once(&world, &outcome).await;
            world.serves(release).await;
            world.nothing_left().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_away_ends_the_command_and_not_the_deployment() {
    let Some(mut world) = world().await else {
        return;
    };
    let _replay = Replay::of(&mut world).await;
    world.set("MATERIALIZE__RECONNECT_TIMEOUT", "2s");
    world
        .sql
        .run("INSERT INTO mz_sandbox.objects (pattern, hydrated) VALUES ('.*_dbt_deploy\\.totals', false)")
        .await;
    let deploying = world.hydrating(&["deploy"]).await;
    world.outage(Duration::from_secs(15)).await;
    let outcome = deploying.ended().await.exits(4);
    assert!(
        outcome.error()["message"].to_string().contains("connect"),
        "{outcome}"
    );
    // The journal can be asked without the server.
    let status = world.cutover(&["status"]).await.exits(0).document();
    assert_eq!(
        status["environments"][0]["deployment"]["state"],
        "hydrating"
    );
    world.cutover(&["resume"]).await.exits(4);
    world.is_back().await;
    world.serves(1).await;
    world.sql.run("DELETE FROM mz_sandbox.objects").await;
    world.cutover(&["resume"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_name_or_configuration_does_not_hide_a_deployment_under_way() {
    let Some(mut world) = world().await else {
        return;
    };
    let _replay = Replay::of(&mut world).await;
    world.project.write(
        "cutover.yaml",
        "environments:\n  live: {project: {target: prod}}\n",
    );
    world
        .cutover(&["deploy", "live", "--promotion", "manual"])
        .await
        .exits(0);
    let before = world.snapshot().await;

    // The environment gets another name: the first one's green is in the way, and is named.
    let id = world.cutover(&["history"]).await.document()["deployments"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    world.project.write(
        "cutover.yaml",
        "environments:\n  shop: {project: {target: prod}}\n",
    );
    world
        .cutover(&["deploy", "shop"])
        .await
        .exits(3)
        .says("green-exists")
        .says(&id)
        .says("live");
    world.cutover(&["promote", "shop"]).await.exits(3);
    world.snapshot().await.is(&before);

    // Another configuration with the same journal and the same name sees it at once.
    world.project.write(
        "other.yaml",
        "store: {url: 'sqlite://.cutover/cutover.db'}\nenvironments:\n  live: {project: {target: prod}}\n",
    );
    world
        .cutover(&["--config", "other.yaml", "deploy", "live"])
        .await
        .exits(3)
        .says("deployment-active")
        .says(&id);
    world.snapshot().await.is(&before);
    world
        .cutover(&["--config", "other.yaml", "promote", "live"])
        .await
        .exits(0);
    world.serves(2).await;
    world.nothing_left().await;
}
