//! Clearing up after deployments that ended: records, artifacts, files, and what is left on the server.

use crate::support::{Daemon, Needs, Replay, World};
use cutover::domain::lifecycle::state::Event;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A world in production whose dbt answers at once.
async fn world() -> Option<(World, Replay)> {
    let mut world = World::prepared(Needs::Sandbox).await?;
    let replay = Replay::named(&mut world, "prod").await;
    Some((world, replay))
}

fn runs(world: &World) -> PathBuf {
    world.project.path().join(".cutover/runs")
}

/// Makes a folder that was changed so many days ago.
fn folder(at: &Path, days: u64) {
    std::fs::create_dir_all(at).expect("a folder");
    let then = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
    let opened = std::fs::File::open(at).expect("the folder");
    opened.set_modified(then).expect("the time");
}

#[tokio::test]
async fn what_ended_long_ago_goes_and_what_is_live_stays() {
    let Some((mut world, _replay)) = world().await else {
        return;
    };
    let mut ids = Vec::new();
    for _ in 0..3 {
        let released = world.cutover(&["deploy", "prod"]).await.exits(0);
        ids.push(released.deployment());
    }
    let runs = runs(&world);
    let (old, new) = (runs.join("planning-old"), runs.join("planning-new"));
    let (strange, mine) = (
        runs.join("0190a1b2-0000-7000-8000-000000000000"),
        runs.join("mine"),
    );
    folder(&old, 2);
    folder(&new, 0);
    folder(&strange, 40);
    folder(&mine, 400);
    let nothing = world.cutover(&["gc", "prod"]).await.exits(0).document();
    let expected = [&strange, &old].map(|path| path.display().to_string());
    assert_eq!(nothing["folders"], serde_json::json!(expected));
    assert_eq!(nothing["deployments"], serde_json::json!([]));

    world.set("RETENTION__DEPLOYMENTS", "1");
    world.set("RETENTION__AGE", "0s");
    let would = world.cutover(&["gc", "prod", "--dry-run"]).await.exits(0);
    assert!(runs.join(&ids[0]).exists());
    let gone = world.cutover(&["gc", "prod"]).await.exits(0).document();
    let sorted = |value: &serde_json::Value| -> Vec<String> {
        let list = value.as_array().expect("a list").iter();
        let mut list: Vec<String> = list
            .map(|id| id.as_str().expect("text").to_owned())
            .collect();
        list.sort();
        list
    };
    let deployments = sorted(&gone["deployments"]);
    assert_eq!(deployments, sorted(&would.document()["deployments"]));
    // The first is the one that dbt's answers were recorded with.
    assert_eq!(deployments.len(), 2, "{gone}");
    assert!(deployments.contains(&ids[0]), "{gone}");
    assert_eq!(sorted(&gone["artifacts"]), deployments);
    assert!(!runs.join(&ids[0]).exists());
    for stays in [&runs.join(&ids[1]), &runs.join(&ids[2]), &new, &mine] {
        assert!(stays.exists(), "{}", stays.display());
    }
    let history = world.cutover(&["history"]).await.exits(0).document();
    assert_eq!(history["deployments"].as_array().map(Vec::len), Some(2));
    world.cutover(&["baseline", "show", "prod"]).await.exits(0);
    world.cutover(&["deploy", "prod"]).await.exits(0);
    world.serves(5).await;
}

/// A deployment that has ended by the journal while all of its green side stands.
async fn left(world: &World) -> String {
    let deploy = ["deploy", "prod", "--promotion", "manual"];
    let id = world.cutover(&deploy).await.exits(0).deployment();
    let under_way = world.cutover(&["gc", "prod"]).await.exits(0).document();
    assert_eq!(under_way["leftovers"], serde_json::json!([]));
    let store = world.journal().await;
    let lead = store.lead("prod").await.expect("the lead");
    for event in [Event::AbortRequested, Event::UnwoundAfterAbort] {
        store.apply(&lead, &id, &event).await.expect("applied");
    }
    id
}

/// A schema with the mark of a deployment of another journal.
async fn foreign(world: &World) -> String {
    let name = world.name("foreign");
    let tag = r#"[cutover {"deployment":"0190a1b2-0000-7000-8000-000000000000","environment":"prod","side":"green"}]"#;
    world.sql.run(&format!("CREATE SCHEMA {name}")).await;
    let comment = format!("COMMENT ON SCHEMA {name} IS '{tag}'");
    world.sql.run(&comment).await;
    name
}

/// As [`foreign`], with the mark of this version, which says that another journal has it.
async fn of_another_journal(world: &World) -> String {
    let name = world.name("elsewhere");
    let tag = r#"[cutover {"deployment":"0190a1b2-0000-7000-8000-000000000001","environment":"prod","project":"shop","journal":"another","side":"green"}]"#;
    world.sql.run(&format!("CREATE SCHEMA {name}")).await;
    let comment = format!("COMMENT ON SCHEMA {name} IS '{tag}'");
    world.sql.run(&comment).await;
    name
}

fn names(list: &serde_json::Value) -> Vec<String> {
    let list = list.as_array().expect("a list").iter();
    list.map(|left| left["name"].as_str().expect("a name").to_owned())
        .collect()
}

#[tokio::test]
async fn what_an_ended_deployment_left_is_reported_and_collected() {
    let Some((mut world, _replay)) = world().await else {
        return;
    };
    let id = left(&world).await;
    let foreign = foreign(&world).await;
    // Not one of these either, whatever becomes of it there.
    of_another_journal(&world).await;
    // A mark on production is not one of a leftover.
    let tag = format!(r#"[cutover {{"deployment":"{id}","environment":"prod","side":"green"}}]"#);
    let marts = world.name("marts");
    let comment = format!("COMMENT ON SCHEMA {marts} IS '{tag}'");
    world.sql.run(&comment).await;

    let found = world.cutover(&["gc", "prod"]).await.exits(0).document();
    let listed = names(&found["leftovers"]);
    for name in ["marts_dbt_deploy", "compute_dbt_deploy"] {
        assert!(listed.contains(&world.name(name)), "{found}");
    }
    assert!(listed.contains(&foreign) && !listed.contains(&marts));
    assert!(listed.iter().any(|name| name.ends_with("_gen_0")));
    assert_eq!(found["dropped"], serde_json::json!([]));
    world.serves(1).await;

    world.set("RETENTION__GARBAGE", "collect");
    let dry = world.cutover(&["gc", "prod", "--dry-run"]).await.exits(0);
    assert_eq!(names(&dry.document()["dropped"]).len(), listed.len() - 1);
    let gone = world.cutover(&["gc", "prod"]).await.exits(0).document();
    assert_eq!(names(&gone["leftovers"]), [foreign.as_str()], "{gone}");
    assert_eq!(names(&gone["dropped"]).len(), listed.len() - 1, "{gone}");
    world.serves(1).await;
    world.sql.run(&format!("DROP SCHEMA {foreign}")).await;
    let elsewhere = world.name("elsewhere");
    world.sql.run(&format!("DROP SCHEMA {elsewhere}")).await;
    let comment = format!("COMMENT ON SCHEMA {marts} IS NULL");
    world.sql.run(&comment).await;
    world.nothing_left().await;
    world.cutover(&["deploy", "prod"]).await.exits(0);
    world.serves(3).await;
}

#[tokio::test]
async fn a_side_that_serves_or_has_a_stranger_in_it_is_not_collected() {
    let Some((mut world, _replay)) = world().await else {
        return;
    };
    left(&world).await;
    let stranger = format!("{}.stranger", world.name("marts_dbt_deploy"));
    world
        .sql
        .run(&format!("CREATE VIEW {stranger} AS SELECT 1"))
        .await;
    world.set("RETENTION__GARBAGE", "collect");
    let stays = world.cutover(&["gc", "prod"]).await.exits(0).document();
    let problems = stays["problems"].to_string();
    assert!(problems.contains("stranger"), "{stays}");
    assert_eq!(names(&stays["dropped"]).len(), 0, "{stays}");
    world.sql.run(&format!("DROP VIEW {stranger}")).await;
    // Somebody swapped by hand: what has the mark serves.
    let (green, blue) = (world.name("marts_dbt_deploy"), world.name("marts"));
    let swap = format!("ALTER SCHEMA {green} SWAP WITH {blue}");
    world.sql.run(&swap).await;
    let swapped = world.cutover(&["gc", "prod"]).await.exits(0).document();
    assert!(!names(&swapped["leftovers"]).contains(&blue), "{swapped}");
    let kept = swapped["problems"].to_string();
    assert!(kept.contains("outside-dependent"), "{swapped}");
    let there = format!("SELECT max(release)::text FROM {blue}.totals");
    assert_eq!(world.sql.value(&there).await, "2");
}

#[tokio::test]
async fn the_daemon_clears_up_at_intervals() {
    let Some((world, _replay)) = world().await else {
        return;
    };
    left(&world).await;
    let foreign = foreign(&world).await;
    let configuration = "http: {listen: null}\nenvironments:\n  prod:\n    project: {target: prod}\n    \
         retention: {interval: 300ms, garbage: collect}\n";
    let daemon: Daemon = world.serve("daemon", configuration).await;
    let status = daemon
        .until("prod", "what is left", |status| {
            names(&status["leftovers"]) == [foreign.clone()]
        })
        .await;
    assert_eq!(status["leftovers"][0]["ended"], serde_json::Value::Null);
    let metrics = daemon.try_get("/metrics").await.expect("metrics");
    for line in [
        "cutover_leftovers{environment=\"prod\"} 1",
        "cutover_collected_total{environment=\"prod\",what=\"leftovers\"}",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    let log = daemon.log();
    assert!(log.contains("dropped the left-over"), "{log}");
    let refused = world.cutover(&["gc", "prod"]).await.exits(3);
    refused.says("clears up by itself");
    daemon.stopped().await.exits(0);
    world.sql.run(&format!("DROP SCHEMA {foreign}")).await;
    world.nothing_left().await;
    world.serves(1).await;
}
