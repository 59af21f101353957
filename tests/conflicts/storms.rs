//! Somebody changes the catalog all the time, so that every swap and every rehearsal meets a conflict.

use crate::support::{Outcome, Replay, World};
use crate::{quick, state};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A world with as many attempts as a test waits for.
async fn patient(attempts: &str) -> Option<(World, Replay)> {
    let (mut world, replay) = quick().await?;
    world.set("CUTOVER__ATTEMPTS", attempts);
    Some((world, replay))
}

/// Creates and drops a schema without a pause; counts the changes.
struct Storm {
    stop: CancellationToken,
    blowing: JoinHandle<u32>,
}

impl Storm {
    /// Each swap takes long enough from now on to be met by it.
    async fn break_out(world: &World) -> Self {
        world
            .sql
            .run(
                "INSERT INTO mz_sandbox.faults (pattern, application_name, action, argument, times) \
                 VALUES ('cutover: swap schemas ', 'cutover', 'delay', '200', NULL)",
            )
            .await;
        let other = world.server.connect().await;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let blowing = tokio::spawn(async move {
            let mut changes = 0;
            while !stopped.is_cancelled() {
                other.run("CREATE SCHEMA storm").await;
                other.run("DROP SCHEMA storm").await;
                changes += 2;
            }
            changes
        });
        Self { stop, blowing }
    }

    /// Ends it; how many swaps met it.
    async fn end(self, world: &World, outcome: &Outcome) -> String {
        self.stop.cancel();
        let changes = self.blowing.await.expect("the storm ends");
        let met = world
            .sql
            .value("SELECT sum(hits)::text FROM mz_sandbox.faults WHERE action = 'delay'")
            .await;
        println!(
            "{changes} changes by others in {:?}; {met} attempts met a conflict; {}",
            outcome.took,
            outcome.error()["message"]
        );
        world.let_go().await;
        met
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_that_does_not_end_declines_the_swap() {
    let Some((world, _replay)) = patient("2").await else {
        return;
    };
    let manual = ["deploy", "--promotion=manual", "--cleanup=manual"];
    world.cutover(&manual).await.exits(0);
    let before = world.snapshot().await;
    // It breaks out after the rehearsal.
    let promoting = world.held_at("cutover: begin swap ", 2, &["promote"]).await;
    let storm = Storm::break_out(&world).await;
    world
        .sql
        .run("DELETE FROM mz_sandbox.faults WHERE action = 'hang'")
        .await;
    let declined = promoting.ended().await;
    let met = storm.end(&world, &declined).await;
    declined
        .exits(3)
        .says("the swap was not made")
        .says("another session changed the catalog")
        .says("in each of 2 attempts");
    assert_eq!(state(&world).await, "ready");
    assert_eq!(met, "2", "two attempts");
    world.snapshot().await.is(&before);
    world.cutover(&["promote"]).await.exits(0);
    world.serves(2).await;
    world.cutover(&["cleanup"]).await.exits(0);
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_that_does_not_end_refuses_the_rehearsal() {
    let Some((mut world, _replay)) = patient("3").await else {
        return;
    };
    // What is waited for is the server, not others.
    world.set("MATERIALIZE__RECONNECT_TIMEOUT", "10m");
    world.hydrates(false).await;
    let deploying = world.hydrating(&["deploy"]).await;
    let before = world.snapshot().await;
    let storm = Storm::break_out(&world).await;
    world.hydrates(true).await;
    let refused = deploying.ended().await;
    let met = storm.end(&world, &refused).await;
    let refused = refused
        .exits(3)
        .says("the swap could not be rehearsed")
        .says("another session changed the catalog")
        .says("in each of 3 attempts")
        .says("cutover resume");
    assert_eq!(met, "3", "{refused}");
    assert_eq!(refused.error()["class"], "conflict");
    assert_eq!(state(&world).await, "verifying");
    world.snapshot().await.is(&before);
    world.serves(1).await;

    world.cutover(&["resume"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;

    // In the rehearsal before a promotion the candidate stays ready.
    let manual = ["deploy", "--promotion=manual"];
    world.cutover(&manual).await.exits(0);
    let before = world.snapshot().await;
    let storm = Storm::break_out(&world).await;
    let refused = world.cutover(&["promote"]).await;
    let met = storm.end(&world, &refused).await;
    refused.exits(3).says("the swap could not be rehearsed");
    assert_eq!(met, "3");
    assert_eq!(state(&world).await, "ready");
    world.snapshot().await.is(&before);
    world.cutover(&["abort"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
}
