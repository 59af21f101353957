//! Commands where the project is, while a daemon leads: the daemon does it.

use super::support::Daemon;
use super::{configuration, world};
use cutover::domain::records::run::{Cause, Outcome as Ended};
use serde_json::json;

/// Waits until it leads; before that a command would do it itself.
async fn leads(daemon: &Daemon) {
    daemon
        .until("prod", "the lead", |status| status["role"] == "leader")
        .await;
}

#[tokio::test]
async fn a_release_is_made_and_promoted_by_the_daemon() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let refused = world
        .cutover(&["deploy", "prod", "--no-wait"])
        .await
        .exits(2);
    refused.says("--server");
    let manual = configuration("    promotion: manual\n");
    let daemon = world.serve("daemon", &manual).await;
    leads(&daemon).await;
    let flag = ["deploy", "prod", "--soak", "1m"];
    world.cutover(&flag).await.exits(3).says("--soak");
    let dry = ["promote", "prod", "--dry-run"];
    world.cutover(&dry).await.exits(3).says("--dry-run");
    let none = world.cutover(&["promote", "prod"]).await.exits(3);
    none.says("led by the daemon at unix:");

    let ready = world.cutover(&["deploy", "prod"]).await.exits(0);
    assert_eq!(ready.result()["deployment"]["state"], "ready", "{ready}");
    world.serves(1).await;
    let status = world.cutover(&["status", "prod"]).await.exits(0).document();
    let entry = &status["environments"][0];
    assert_eq!(entry["leader"]["answers"], json!(true), "{status}");
    assert_eq!(entry["leader"]["pid"], json!(daemon.id()), "{status}");
    assert_eq!(entry["daemon"]["activity"], "waiting_for_promotion");
    let commands = entry["advice"]["commands"].to_string();
    assert!(commands.contains("cutover promote prod"), "{status}");
    let text = world.cutover_text(&["status", "prod"]).await.exits(0);
    text.says("led by the daemon at unix:");

    let promoted = world.cutover(&["promote", "prod"]).await.exits(0);
    assert_eq!(promoted.result()["deployment"]["state"], "done");
    world.serves(2).await;
    world.nothing_left().await;
    let runs = world.cutover(&["history", "prod", "--runs"]).await.exits(0);
    assert_eq!(runs.document()["runs"][0]["outcome"], "released", "{runs}");
    daemon.stopped().await.exits(0);
    // Now it is done here again.
    world.cutover(&["promote", "prod"]).await.exits(3);
}

#[tokio::test]
async fn the_daemon_rolls_back_during_the_soak() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let daemon = world
        .serve("daemon", &configuration("    soak: 1h\n"))
        .await;
    leads(&daemon).await;
    let accepted = world.cutover(&["deploy", "prod", "--no-wait"]).await;
    assert!(accepted.exits(0).document()["run"].is_string());
    daemon
        .until("prod", "the soak", |status| {
            status["deployment"]["state"] == "soaking"
        })
        .await;
    world.serves(2).await;
    let back = world.cutover(&["rollback", "prod"]).await.exits(0);
    assert_eq!(back.result()["deployment"]["state"], "rolled_back");
    world.serves(1).await;
    world.nothing_left().await;
    daemon.stopped().await.exits(0);
}

#[tokio::test]
async fn the_run_says_what_came_of_a_release_without_a_deployment() {
    let Some((mut world, replay)) = world().await else {
        return;
    };
    let daemon = world.serve("daemon", &configuration("")).await;
    leads(&daemon).await;
    // A green schema that somebody made is refused by the plan.
    let sql = world.server.connect().await;
    let stranger = world.name("marts_dbt_deploy");
    sql.run(&format!("CREATE SCHEMA {stranger}")).await;
    let refused = world.cutover(&["deploy", "prod"]).await.exits(3);
    refused.says("green-exists");
    sql.run(&format!("DROP SCHEMA {stranger}")).await;
    world.cutover(&["deploy", "prod"]).await.exits(0);
    world.serves(2).await;
    let runs = world.runs().await;
    assert_eq!(runs[1].outcome.map(|it| it.as_str()), Some("refused"));
    daemon.stopped().await.exits(0);
    drop(replay);
    // A daemon that cannot plan.
    world.set("DBT__EXECUTABLE", "/nowhere/dbt");
    let daemon = world.serve("daemon", &configuration("")).await;
    leads(&daemon).await;
    let failed = world.cutover(&["deploy", "prod"]).await;
    assert!(matches!(failed.code, Some(1..=3)), "{failed}");
    failed.says("/nowhere/dbt");
    daemon.stopped().await.exits(0);
}

#[tokio::test]
async fn a_deployment_of_a_command_in_an_old_journal_is_taken_up() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    let manual = ["deploy", "prod", "--promotion", "manual"];
    let made = world.cutover(&manual).await.exits(0).deployment();
    // As the first version left it: no daemon, no revision, no checks, nobody behind an event.
    let journal = world.project.path().join(".cutover/cutover.db");
    let connection = rusqlite::Connection::open(journal).expect("the journal");
    connection
        .execute_batch(
            "DROP TABLE drift; DROP TABLE approvals; DROP TABLE holds; DROP TABLE corners; DROP TABLE deliveries; DROP TABLE outbox; DROP TABLE runs; DROP TABLE requests; DROP TABLE journal;
            ALTER TABLE events DROP COLUMN subject;
            DELETE FROM refinery_schema_history WHERE version > 1;
            UPDATE deployments SET request = json_remove(request, '$.revision', '$.checks');",
        )
        .expect("the first version");
    drop(connection);
    let history = world.cutover(&["history", "prod"]).await.exits(0);
    history.says(&made);
    let shown = world.cutover(&["show", &made]).await.exits(0).document();
    assert_eq!(shown["state"], "ready", "{shown}");
    let daemon = world.serve("daemon", &configuration("")).await;
    daemon.does("prod", "waiting_for_promotion").await;
    let (status, promoted) = daemon
        .post("/v1/environments/prod/promote", &json!({}))
        .await;
    assert_eq!(status, 202, "{promoted}");
    world.swapped(2).await;
    daemon.does("prod", "idle").await;
    let runs = world.runs().await;
    assert_eq!(runs.len(), 1, "{runs:#?}");
    assert_eq!(runs[0].cause, Cause::Recovery);
    assert_eq!(runs[0].outcome, Some(Ended::Released));
    assert_eq!(runs[0].deployment.as_deref(), Some(made.as_str()));
    daemon.stopped().await.exits(0);
    world.nothing_left().await;
}
