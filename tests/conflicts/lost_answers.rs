//! The answer to a statement is lost: once for every kind of statement, executed or not. The end is
//! always the one that was asked for.

use crate::support::{Needs, World};
use std::collections::BTreeMap;

async fn fault(world: &World, pattern: &str, action: &str, nth: u32, times: &str) {
    let pattern = pattern.replace('\'', "''");
    world
        .sql
        .run(&format!(
            "INSERT INTO mz_sandbox.faults (pattern, application_name, action, nth, times) \
             VALUES ('{pattern}', 'cutover', '{action}', {nth}, {times})"
        ))
        .await;
}

async fn no_faults(world: &World) {
    world.sql.run("DELETE FROM mz_sandbox.faults").await;
}

/// Runs a command, and `resume` after it, until it has done what was asked.
async fn until_done(world: &World, command: &[&str]) {
    let mut outcome = world.cutover(command).await;
    for _ in 0..50 {
        match outcome.code {
            Some(0) => return,
            // The server went away while something was under way, or before anything was.
            Some(4) => {}
            _ => panic!("{outcome}"),
        }
        let status = world.cutover(&["status"]).await.exits(0).document();
        let state = status["environments"][0]["deployment"]["finished_at"].clone();
        let is_active = status["environments"][0]["deployment"].is_object() && state.is_null();
        // A request may be made again; a deployment that was begun goes on.
        outcome = if is_active && command[0] == "deploy" {
            world.cutover(&["resume"]).await
        } else {
            world.cutover(command).await
        };
    }
    panic!("it never came to an end\n{outcome}");
}

/// The names of the statements that the program sent, and whether they change something.
async fn labels(world: &World) -> BTreeMap<String, bool> {
    let mut labels = BTreeMap::new();
    let sent = "SELECT sql FROM mz_sandbox.statements WHERE application_name = 'cutover'";
    for row in world.sql.rows(sent).await {
        if let Some((label, sql)) = row[0]
            .split_once("/* cutover: ")
            .and_then(|(_, rest)| rest.split_once(" */"))
        {
            let is_change = label == "commit swap"
                || ["CREATE", "ALTER", "COMMENT", "DROP", "GRANT", "REVOKE"]
                    .iter()
                    .any(|verb| sql.trim_start().starts_with(verb));
            labels.insert(label.to_owned(), is_change);
        }
    }
    labels
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_answer_lost_once_changes_nothing_about_the_end() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    world
        .sql
        .run("UPDATE mz_sandbox.settings SET value = 'on' WHERE name = 'log_statements'")
        .await;
    world.project.set_release(2);
    world
        .cutover(&["deploy", "--cleanup", "manual"])
        .await
        .exits(0);
    world.cutover(&["rollback"]).await.exits(0);
    world.serves(1).await;
    let labels = labels(&world).await;
    assert!(labels.len() > 15, "{labels:?}");
    let before = world.snapshot().await;

    world.set("MATERIALIZE__RECONNECT_TIMEOUT", "20s");
    let deploy = ["deploy", "--cleanup=manual"];
    for (action, release, commands) in [
        ("cut_after", 1, [deploy, ["rollback", "-v"]]),
        ("cut_before", 2, [deploy, ["cleanup", "-v"]]),
    ] {
        for (label, is_change) in &labels {
            // A question that is not answered is the same before and after.
            let strikes: &[u32] = match (action, is_change) {
                ("cut_after", true) => &[1, 4],
                ("cut_after", false) => &[],
                _ => &[1],
            };
            for nth in strikes {
                fault(&world, &format!("cutover: {label} "), action, *nth, "1").await;
            }
        }
        for command in &commands {
            until_done(&world, command).await;
        }
        no_faults(&world).await;
        world.serves(release).await;
        world.nothing_left().await;
        if release == 1 {
            world.snapshot().await.is(&before);
        }
    }
}

/// An earlier attempt arrives between the look and the statement: its answer was lost, and the server was at it
/// still when it was looked.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_attempt_made_is_not_made_again() {
    let Some(world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    world
        .sql
        .run("UPDATE mz_sandbox.settings SET value = 'on' WHERE name = 'log_statements'")
        .await;
    for (label, what) in [("create cluster", "CLUSTER"), ("create schema", "SCHEMA")] {
        let mut deploying = world
            .held_at(
                &format!("cutover: {label} "),
                1,
                &["deploy", "--promotion=manual"],
            )
            .await;
        deploying.until_state("staging").await;
        let held = format!(
            "SELECT sql FROM mz_sandbox.statements WHERE sql LIKE '/* cutover: {label} */%' ORDER BY at DESC LIMIT 1"
        );
        let sql = world.sql.value(&held).await;
        assert!(sql.contains(&format!("CREATE {what} ")), "{sql}");
        world.sql.run(&sql).await;
        world.let_go().await;
        deploying.ended().await.exits(0);
        world.cutover(&["abort"]).await.exits(0);
        world.nothing_left().await;
    }
}
