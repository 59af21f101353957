//! Releases that go well: what changes, what must not, and what is left behind.

mod support;

use mz_sandbox::postgres::{PORT, SUPERUSER, Server};
use serde_json::Value;
use std::collections::BTreeSet;
use support::{Needs, Outcome, Readers, World};

/// Production as a company keeps it: another owner, grants, default privileges, comments.
async fn privileges_of_people(world: &World) {
    let [staging, marts, serve] = ["staging", "marts", "serve"].map(|name| world.name(name));
    let [owner, reader] = ["owner", "reader"].map(|name| world.name(name));
    for sql in [
        format!("GRANT {owner} TO {}", world.role()),
        format!("COMMENT ON SCHEMA {marts} IS 'the figures, it''s said'"),
        format!("COMMENT ON CLUSTER {serve} IS 'serves the dashboards'"),
        format!("COMMENT ON MATERIALIZED VIEW {marts}.totals IS 'totals by customer'"),
        format!("COMMENT ON COLUMN {marts}.totals.total IS 'in cents'"),
        format!("COMMENT ON VIEW {staging}.stg_orders IS 'orders, tidied'"),
        format!("COMMENT ON INDEX {marts}.counts_by_n IS 'for the front page'"),
        format!("GRANT USAGE ON SCHEMA {marts} TO {reader}"),
        format!("GRANT USAGE ON SCHEMA {marts} TO PUBLIC"),
        format!("GRANT USAGE ON CLUSTER {serve} TO {reader}"),
        format!("GRANT SELECT ON {marts}.totals TO {reader}"),
        format!("GRANT SELECT ON {staging}.stg_orders TO PUBLIC"),
        format!(
            "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {marts} GRANT SELECT ON TABLES TO {reader}"
        ),
        format!(
            "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {marts} GRANT SELECT ON TABLES TO PUBLIC"
        ),
        format!("ALTER MATERIALIZED VIEW {marts}.totals OWNER TO {owner}"),
        format!("ALTER SCHEMA {marts} OWNER TO {owner}"),
        format!("ALTER CLUSTER {serve} OWNER TO {owner}"),
    ] {
        world.sql.run(&sql).await;
    }
}

/// Each line of the log says whose it is, and in which step it was written.
fn every_journalled_step_is_logged(deployed: &Outcome) {
    let lines = deployed.stderr.lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect();
    let of = |line: &Value, name: &str| -> Option<Value> {
        let spans = line["spans"].as_array()?;
        let span = spans.iter().find(|span| span["name"] == name)?;
        Some(span.clone())
    };
    let journalled: Vec<&Value> = lines
        .iter()
        .filter(|line| line["fields"]["message"] == "journalled")
        .collect();
    assert_eq!(journalled.len(), 9, "{}", deployed.stderr);
    for line in journalled {
        let deployment = of(line, "deployment").expect("its deployment");
        assert_eq!(deployment["deployment_id"], deployed.deployment().as_str());
        assert_eq!(deployment["environment"], "prod");
    }
    let steps: BTreeSet<String> = lines
        .iter()
        .filter_map(|line| of(line, "step")?["step"].as_str().map(str::to_owned))
        .collect();
    assert!(steps.contains("building"), "{steps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_changes_the_data_and_nothing_else() {
    let Some(mut world) = World::start(Needs::AnyServer).await else {
        return;
    };
    // One release with dbt as everybody runs it.
    world.starts_dbt_anew();
    let [compute, serve, owner, reader] =
        ["compute", "serve", "owner", "reader"].map(|name| world.name(name));
    for sql in [
        format!("CREATE ROLE {owner}"),
        format!("CREATE ROLE {reader}"),
        format!("DROP CLUSTER {compute}"),
        format!("CREATE CLUSTER {compute} REPLICAS (big (SIZE = '50cc'), small (SIZE = '25cc'))"),
        format!(
            "ALTER CLUSTER {serve} SET (REPLICATION FACTOR = 2, INTROSPECTION INTERVAL = '5s')"
        ),
    ] {
        world.sql.run(&sql).await;
    }
    world.produce().await;
    privileges_of_people(&world).await;
    let before = world.snapshot().await;
    world.project.set_release(2);

    let planned = world.cutover(&["plan"]).await.exits(0);
    assert_eq!(
        planned.document()["schemas"].as_array().map(Vec::len),
        Some(3)
    );
    world.snapshot().await.is(&before);

    world.set("LOG__FORMAT", "json");
    world.set("LOG__LEVEL", "cutover=debug");
    let deployed = world.cutover(&["deploy"]).await.exits(0);
    world
        .environment
        .retain(|name, _| !name.starts_with("CUTOVER__LOG__"));
    every_journalled_step_is_logged(&deployed);
    assert_eq!(
        deployed.states(),
        [
            "planned",
            "staging",
            "building",
            "hydrating",
            "verifying",
            "ready",
            "cutting_over",
            "soaking",
            "cleaning_up",
            "done"
        ]
    );
    assert_eq!(deployed.result()["deployment"]["state"], "done");
    world.serves(2).await;
    world.nothing_left().await;
    let after = world.snapshot().await;
    before.describes_the_same(&after);
    for (name, id) in &before.ids {
        assert_ne!(after.id(name), id, "{name} was not swapped");
    }

    let id = deployed.deployment();
    let history = world.cutover(&["history"]).await.exits(0).document();
    assert_eq!(history["deployments"][0]["id"], id.as_str());
    assert_eq!(history["deployments"][0]["state"], "done");
    let status = world.cutover(&["status"]).await.exits(0).document();
    assert_eq!(status["environments"][0]["deployment"]["state"], "done");
    let shown = world.cutover(&["show", &id]).await.exits(0).document();
    assert_eq!(shown["state"], "done");
    assert!(
        shown["events"]
            .as_array()
            .is_some_and(|events| events.len() >= 10)
    );
    let text = world.cutover_text(&["show", &id]).await.exits(0);
    assert!(text.stdout.contains(&id), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_may_have_its_journal_in_postgresql() {
    let Some(mut world) = World::in_production(Needs::AnyServer).await else {
        return;
    };
    let server = Server::start().expect("a private PostgreSQL");
    let folder = server.folder().display().to_string().replace('/', "%2F");
    let url = format!("postgres://{SUPERUSER}:s3cr3t@{folder}:{PORT}/postgres");
    world.set("STORE__URL", &url);
    world.project.set_release(2);
    let ready = world.cutover(&["deploy", "--promotion", "manual"]).await;
    let ready = ready.exits(0);
    assert_eq!(ready.states().last().map(String::as_str), Some("ready"));
    world.serves(1).await;
    // Another schema is another journal; the server knows all the same.
    world.set("STORE__URL", &format!("{url}?schema=elsewhere"));
    let other = world.cutover(&["deploy"]).await;
    other
        .exits(3)
        .says("green-exists")
        .says(&ready.deployment());
    world.set("STORE__URL", &url);
    let promoted = world.cutover(&["promote"]).await;
    assert_eq!(promoted.exits(0).result()["deployment"]["state"], "done");
    world.serves(2).await;
    world.nothing_left().await;
    let history = world.cutover_text(&["history"]).await.exits(0);
    assert!(history.stdout.contains("done"), "{history}");
    assert!(!world.project.path().join(".cutover/cutover.db").exists());
    // A server that is away is named, and the password is not.
    drop(server);
    let away = world.cutover_text(&["status"]).await.exits(4);
    assert!(away.to_string().contains("does not answer"), "{away}");
    assert!(!away.to_string().contains("s3cr3t"), "{away}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_decides_on_promotion_cleanup_rollback_and_abort() {
    let Some(mut world) = World::in_production(Needs::AnyServer).await else {
        return;
    };
    let begin = world.snapshot().await;
    world
        .cutover(&["resume"])
        .await
        .exits(3)
        .says("no deployment under way");
    world.cutover(&["deploy", "--dry-run"]).await.exits(0);
    world.snapshot().await.is(&begin);

    let readers = Readers::start(&world, 2).await;

    // Manual promotion stops at ready.
    world.project.set_release(2);
    let manual = ["deploy", "--promotion", "manual", "--cleanup", "manual"];
    let ready = world.cutover(&manual).await.exits(0);
    assert_eq!(ready.states().last().map(String::as_str), Some("ready"));
    world.serves(1).await;
    let at_ready = world.snapshot().await;
    assert!(!at_ready.leftovers().is_empty());
    world
        .cutover(&["deploy"])
        .await
        .exits(3)
        .says("deployment-active");
    // Another journal knows nothing of it, the server does.
    world.set("STORE__URL", "sqlite://elsewhere/journal.db");
    world
        .cutover(&["deploy"])
        .await
        .exits(3)
        .says("green-exists")
        .says(&ready.deployment());
    world.environment.remove("CUTOVER__STORE__URL");
    for verb in ["promote", "abort", "resume"] {
        world.cutover(&[verb, "--dry-run"]).await.exits(0);
    }
    for verb in ["rollback", "cleanup"] {
        world.cutover(&[verb]).await.exits(3).says("ready");
    }
    // Going on changes nothing while somebody else decides.
    world.cutover(&["resume"]).await.exits(0);
    world.snapshot().await.is(&at_ready);
    let status = world.cutover_text(&["status"]).await.exits(0);
    assert!(status.stdout.contains("cutover promote prod"), "{status}");

    // Promoted, the old side is kept.
    let promoted = world.cutover(&["promote"]).await.exits(0);
    assert_eq!(promoted.result()["deployment"]["state"], "soaking");
    world.serves(2).await;
    let soaking = world.snapshot().await;
    for verb in ["rollback", "cleanup"] {
        world.cutover(&[verb, "--dry-run"]).await.exits(0);
    }
    for verb in ["promote", "abort"] {
        world.cutover(&[verb]).await.exits(3).says("soaking");
    }
    world.cutover(&["resume"]).await.exits(0);
    world.snapshot().await.is(&soaking);

    // Rolled back: exactly what was there before.
    let back = world.cutover(&["rollback"]).await.exits(0);
    assert_eq!(back.result()["deployment"]["state"], "rolled_back");
    world.serves(1).await;
    world.nothing_left().await;
    world.snapshot().await.is(&begin);
    world.cutover(&["rollback"]).await.exits(3);

    // Aborted at ready.
    world.cutover(&manual).await.exits(0);
    let aborted = world.cutover(&["abort"]).await.exits(0);
    assert_eq!(aborted.result()["deployment"]["state"], "aborted");
    world.nothing_left().await;
    world.snapshot().await.is(&begin);

    // Promoted at once, cleaned up on request.
    let kept = world
        .cutover(&["deploy", "--cleanup", "manual"])
        .await
        .exits(0);
    assert_eq!(kept.result()["deployment"]["state"], "soaking");
    world.serves(2).await;
    let cleaned = world.cutover(&["cleanup"]).await.exits(0);
    assert_eq!(cleaned.result()["deployment"]["state"], "done");
    world.nothing_left().await;
    world.serves(2).await;
    world.snapshot().await.describes_the_same(&begin);
    let done = world.snapshot().await;
    world.cutover(&["resume"]).await.exits(0).says("done");
    world.snapshot().await.is(&done);
    let seen = readers.stop().await;
    seen.undisturbed();
    assert_eq!(seen.releases.into_iter().collect::<Vec<_>>(), [1, 2]);
}
