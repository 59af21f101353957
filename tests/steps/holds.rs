//! Holds and freezes at the command line: the last moment before the swap, and what they never stop.

use crate::support::{Needs, Replay, World};
use serde_json::Value;

async fn kinds(world: &World, id: &str) -> Vec<String> {
    let record = world.cutover(&["show", id]).await.exits(0).document();
    let events = record["events"].as_array().expect("events").clone();
    let kind = |event: &Value| event["event"]["kind"].as_str().map(str::to_owned);
    events.iter().filter_map(kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_counts_until_the_transaction_begins_and_stops_no_way_back() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let _replay = Replay::of(&mut world).await;
    let deploy = ["deploy", "--promotion", "manual", "--cleanup", "manual"];
    let id = world.cutover(&deploy).await.exits(0).deployment();

    // After the last rehearsal, by somebody who leads nothing: whoever promotes sees it before the transaction.
    let promoting = world.held_at("cutover: begin swap ", 1, &["promote"]).await;
    let hold = ["hold", "--reason", "an incident"];
    world.cutover(&hold).await.exits(0);
    world.let_go().await;
    let outcome = promoting.ended().await.exits(0);
    let outcome = outcome.says("held: an incident");
    assert_eq!(outcome.states().last().map(String::as_str), Some("ready"));
    world.serves(1).await;
    let seen = kinds(&world, &id).await;
    let last: Vec<&str> = seen
        .iter()
        .rev()
        .take(3)
        .rev()
        .map(String::as_str)
        .collect();
    assert_eq!(last, ["promotion_started", "swap_put_off", "held_up"]);
    world
        .cutover(&["promote"])
        .await
        .exits(3)
        .says("held: an incident");
    let status = world.cutover_text(&["status"]).await.exits(0);
    status
        .says("held: an incident")
        .says("`cutover release` lifts it");
    let lifted = world.cutover(&["release"]).await.exits(0).document();
    assert!(lifted["held"].is_null(), "{lifted:#}");
    assert_eq!(lifted["lifted"]["reason"], "an incident");
    world
        .cutover(&["release"])
        .await
        .exits(3)
        .says("nothing holds");

    // What was sent is finished.
    let promoting = world.held_at("cutover: begin swap ", 2, &["promote"]).await;
    world
        .cutover(&[&hold[..], &["--until", "2h"]].concat())
        .await
        .exits(0);
    world.let_go().await;
    promoting.ended().await.exits(0);
    world.serves(2).await;
    // Neither a hold nor a freeze stops the way back.
    world.project.write(
        "cutover.yaml",
        "freeze: [{from: 2020-01-01, reason: closed}]\n",
    );
    world.cutover(&["rollback"]).await.exits(0);
    world.serves(1).await;
    world.nothing_left().await;

    // A freeze is overridden by whoever says why; a hold is not.
    let overriding = ["deploy", "--override-freeze", "a leak"];
    world
        .cutover(&overriding)
        .await
        .exits(3)
        .says("held: an incident");
    world.cutover(&["release"]).await.exits(0);
    let frozen = "frozen until further notice: closed";
    world
        .cutover(&["deploy"])
        .await
        .exits(3)
        .says(frozen)
        .says("--override-freeze");
    world.cutover_text(&["status"]).await.exits(0).says(frozen);
    let released = world.cutover(&overriding).await.exits(0).deployment();
    world.serves(3).await;
    let text = world.cutover_text(&["show", &released]).await.exits(0);
    text.says("freeze overridden: a leak");
    world.nothing_left().await;
    for wrong in [
        &["hold"][..],
        &["hold", "--reason", ""],
        &["hold", "--reason", "x", "--until", "soon"],
    ] {
        world.cutover(wrong).await.exits(2);
    }
    let would = world
        .cutover_text(&["hold", "--reason", "x", "--dry-run"])
        .await
        .exits(0);
    would.says("swap nothing until it is lifted");
}
