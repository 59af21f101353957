//! A command that waits for approvals and gates, without a daemon.

use crate::support::{Endpoint, Needs, Replay, Says, World};
use cutover::domain::records::subject::Subject;
use nix::sys::signal::Signal;

/// Production by SQL and a dbt that answers at once.
async fn quick(settings: &str) -> Option<(World, Replay)> {
    let mut world = World::prepared(Needs::Sandbox).await?;
    let replay = Replay::of(&mut world).await;
    world.project.write("cutover.yaml", settings);
    Some((world, replay))
}

/// Approves what is ready as somebody else than who runs the test.
async fn approved(world: &World, deployment: &str, name: &str) {
    let journal = world.journal().await;
    let by = Subject::Token {
        name: name.to_owned(),
    };
    let plan = journal.deployment(deployment).await.expect("recorded").plan;
    let recipe = plan.building.recipe.as_deref();
    let approving = journal.approve(deployment, &by, recipe).await;
    assert_eq!(
        approving.expect("recorded"),
        cutover::adapters::store::Approving::Recorded
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_approvals_and_for_a_gate() {
    let gate = Endpoint::listen(Says::Body(200, r#"{"decision": "wait"}"#.to_owned())).await;
    let settings = format!(
        "approvals: {{count: 1}}\ngates:\n  - {{name: board, url: \"{}\", interval: 50ms}}\n",
        gate.url
    );
    let Some((world, _replay)) = quick(&settings).await else {
        return;
    };
    let mut deploy = world.spawn(&["deploy"]);
    let waits = "it is ready and waits for 0 of 1 approvals";
    deploy
        .until("the wait", |line| line.to_string().contains(waits))
        .await;
    let status = world.cutover(&["status"]).await.exits(0).document();
    let entry = &status["environments"][0];
    assert_eq!(entry["promotion"]["needed"], 1, "{status:#}");
    let id = entry["deployment"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    // Whoever asked cannot approve, and nothing is promoted meanwhile.
    let own = world.cutover(&["approve"]).await.exits(3);
    own.says("somebody else must approve it");
    deploy.signal(Signal::SIGKILL);
    deploy.ended().await;

    // What was killed goes on where it was, for whoever takes it up.
    world
        .cutover(&["promote"])
        .await
        .exits(3)
        .says("0 of 1 approvals");
    approved(&world, &id, "bob").await;
    let mut resume = world.spawn(&["resume"]);
    resume
        .until("the gate", |line| {
            line.to_string().contains("waits for the gate board")
        })
        .await;
    world.serves(1).await;
    gate.says(Says::Body(200, r#"{"decision": "yes"}"#.to_owned()));
    let ended = resume.ended().await.exits(0);
    assert_eq!(ended.result()["deployment"]["state"], "done", "{ended}");
    world.serves(2).await;
    world.nothing_left().await;
    let shown = world.cutover_text(&["show", &id]).await.exits(0);
    shown.says("approved (1 of 1)").says("token bob");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_waits_gives_up_what_expires() {
    let Some((world, _replay)) = quick("approvals: {count: 1}\nexpires: 1s\n").await else {
        return;
    };
    let ended = world.cutover(&["deploy"]).await.exits(1);
    ended.says("nobody promoted it within 1s");
    world.serves(1).await;
    world.nothing_left().await;
}
