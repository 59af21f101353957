//! Those who still read the old side when it is to go.

use crate::support::{Needs, Replay, Sql, World, eventually, send};
use nix::sys::signal::Signal;

/// A SUBSCRIBE to what serves, on the cluster that serves.
async fn subscriber(world: &World) -> Sql {
    let sql = world.server.connect().await;
    let cluster = format!("SET cluster = {}", world.name("compute"));
    let marts = world.name("marts");
    let declared = format!("DECLARE c CURSOR FOR SUBSCRIBE (SELECT n FROM {marts}.counts)");
    sql.run_all(&[&cluster, "BEGIN", &declared]).await;
    assert!(reads(&sql).await, "it reads");
    sql
}

/// Whether a subscription goes on.
async fn reads(sql: &Sql) -> bool {
    match sql.attempt("FETCH ALL c WITH (timeout = '100ms')").await {
        Ok(_) => true,
        Err(error) => {
            assert!(error.contains("was dropped"), "{error}");
            false
        }
    }
}

async fn waiting_for(world: &World) -> String {
    let status = world.cutover(&["status"]).await.exits(0).document();
    status["environments"][0]["waiting_for"].to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_the_old_side_is_waited_for_and_then_cut_off_or_it_is_kept() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let _replay = Replay::of(&mut world).await;
    world.set("SOAK_CHECK_INTERVAL", "100ms");
    world.set("DRAIN__TIMEOUT", "1s");

    // Nobody reads it: nobody is waited for.
    world.cutover(&["deploy"]).await.exits(0);
    let one = subscriber(&world).await;
    let plan = world.cutover_text(&["plan", "--full"]).await.exits(0);
    plan.says("1 subscription will break when the old side goes: a subscription of materialize");
    let cut = world.cutover(&["deploy"]).await.exits(0);
    cut.says("the old side is still read and stays for at most")
        .says("cut off with the old side: a subscription of materialize")
        .says("to shop_marts.counts since ");
    assert!(!reads(&one).await);
    world.nothing_left().await;

    // They are waited for, also by another process, and it goes when they have gone.
    world.set("DRAIN__TIMEOUT", "1h");
    let two = subscriber(&world).await;
    let deploying = world.spawn(&["deploy"]);
    let waits = async |world: &World| {
        eventually("who is waited for", async || {
            waiting_for(world)
                .await
                .contains("shop_marts.counts")
                .then_some(())
        })
        .await;
    };
    waits(&world).await;
    send(deploying.id(), Signal::SIGKILL);
    deploying.ended().await;
    waits(&world).await;
    assert!(reads(&two).await);
    let resuming = world.spawn(&["resume"]);
    world.serves(4).await;
    two.run("ROLLBACK").await;
    resuming.ended().await.exits(0);
    world.nothing_left().await;

    // It is kept until somebody decides.
    world.set("DRAIN__TIMEOUT", "0s");
    world.set("DRAIN__THEN", "keep");
    let three = subscriber(&world).await;
    let kept = world.cutover(&["deploy"]).await.exits(0);
    let kept = kept.says("the old side is kept because it is still read");
    for again in [false, true] {
        if again {
            world.cutover(&["resume"]).await.exits(0);
        }
        let status = world.cutover(&["status"]).await.exits(0).document();
        let deployment = &status["environments"][0]["deployment"];
        assert_eq!(deployment["state"], "soaking", "{status}");
        let reason = deployment["reason"].as_str().expect("a reason");
        assert!(reason.contains("a person must decide"), "{reason}");
        assert!(reads(&three).await);
    }
    let id = kept.deployment();
    let shown = world.cutover(&["show", &id]).await.exits(0).document();
    let events = shown["events"].to_string();
    assert_eq!(events.matches("decision_asked").count(), 1, "{events}");
    world.cutover(&["cleanup"]).await.exits(0);
    assert!(!reads(&three).await);
    world.nothing_left().await;
}
