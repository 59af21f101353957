//! Bad input, refusals, and others who want the same.

use crate::corner::{
    build, live, map, nothing_left, production, states, torn_down, torn_down_if_there,
    wrote_nothing_to_production,
};
use crate::support::{Needs, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_statement_in_the_sql_of_a_project_is_never_sent() {
    let Some(mut world) = live().await else {
        return;
    };
    let before = production(&world).await;
    let report = "models/serving/report.sql";
    let text = world.project.read(report);
    let end = format!("\n; drop schema {} cascade", world.name("marts"));
    for bad in [
        format!("{text}{end}"),
        // Out of the parentheses of a view or a test, too.
        text.replace("1 as release", "2 as release)") + &end,
        text.replace(
            "{'default': True, 'name': 'report_index'}",
            &format!(
                "{{'columns': ['customer) ; drop schema {} cascade; --']}}",
                world.name("marts")
            ),
        ),
    ] {
        world.project.write(report, &bad);
        for more in [&["--check"][..], &[]] {
            // What stands before the semicolon is a view that can be described; an index is made by a build alone.
            let outcome = build(&world, "pr-1", more).await;
            let is_of_index = bad.contains("customer)");
            if is_of_index && !more.is_empty() {
                continue;
            }
            outcome.exits(1).says("holds several statements");
        }
        // Only where all could be described there is a corner.
        torn_down_if_there(&world, "pr-1").await;
        assert_eq!(production(&world).await, before, "{bad}");
    }
    // A release that is built natively goes the same way, whether it is described before or not.
    world.project.write(report, &format!("{text}{end}"));
    world.set("BUILD__ENGINE", "native");
    for (describe, code) in [("true", 3), ("false", 1)] {
        world.set("DESCRIBE", describe);
        world
            .cutover(&["deploy"])
            .await
            .exits(code)
            .says("holds several statements");
    }
    assert_eq!(production(&world).await, before);
    nothing_left(&world).await;
}

fn change(world: &World) {
    world
        .project
        .replace("models/serving/report.sql", "1 as release", "2 as release");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused_by_name_and_nothing_is_made() {
    let Some(mut world) = live().await else {
        return;
    };
    world
        .cutover(&["ci", "build"])
        .await
        .exits(2)
        .says("--name");
    build(&world, "no name", &[]).await.exits(2);
    build(&world, "../x", &[]).await.exits(2);
    build(&world, "pr-1", &["--state", "nowhere"])
        .await
        .exits(2);
    // Nothing changed, so nothing is made.
    let report = build(&world, "pr-1", &[]).await.exits(0).result();
    assert_eq!(states(&report), map(&[]));
    nothing_left(&world).await;

    change(&world);
    // Somebody else's schema has the corner's name; it stays as it is.
    let taken = format!("\"{}\"", world.name("serving__pr-1"));
    world.sql.run(&format!("CREATE SCHEMA {taken}")).await;
    build(&world, "pr-1", &[])
        .await
        .exits(3)
        .says("corner-taken");
    world.sql.run(&format!("DROP SCHEMA {taken}")).await;
    nothing_left(&world).await;
    // A template that makes a name of production.
    world.set("CI__SCHEMA", "{schema}{name}");
    let serving = world.name("serving");
    world.sql.run(&format!("CREATE SCHEMA {serving}x")).await;
    build(&world, "x", &[]).await.exits(3).says("corner-taken");
    world.sql.run(&format!("DROP SCHEMA {serving}x")).await;
    world.set("CI__SCHEMA", "{schema}__{name}");
    world.set("CI__CLUSTER__SHARED", &world.name("compute"));
    build(&world, "pr-1", &[])
        .await
        .exits(3)
        .says("is a cluster of production");
    world.environment.remove("CUTOVER__CI__CLUSTER__SHARED");
    // 200 bytes fit; with a longer template they do not, and nothing is cut.
    let long = "a".repeat(200);
    world.set(
        "CI__SCHEMA",
        &format!("{{schema}}_{}_{{name}}", "b".repeat(50)),
    );
    build(&world, &long, &[])
        .await
        .exits(3)
        .says("name-too-long");
    world.set("CI__SCHEMA", "{schema}__{name}");
    nothing_left(&world).await;
    wrote_nothing_to_production(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_baseline_or_a_server_it_ends_clearly() {
    let Some(world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    build(&world, "pr-1", &[])
        .await
        .exits(3)
        .says("baseline-missing");
    nothing_left(&world).await;
    let profile = world.project.read("profiles.yml");
    let (_, port) = world.server.address();
    world.project.write(
        "profiles.yml",
        &profile.replace(&format!("port: {port}"), "port: 1"),
    );
    let compiled = world.dbt(&["parse"]).await;
    assert_eq!(compiled.code, Some(0), "{compiled}");
    build(&world, "pr-1", &["--state", "target"]).await.exits(4);
    world.project.write("profiles.yml", &profile);
    // A given state is as good as a baseline; the index and the seed are as they were.
    change(&world);
    let report = build(&world, "pr-1", &["--state", "target"])
        .await
        .exits(0)
        .result();
    assert_eq!(states(&report), map(&[("report", "built")]), "{report}");
    torn_down(&world, "pr-1").await;
    nothing_left(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_build_takes_the_place_of_the_one_under_way() {
    let Some(world) = live().await else { return };
    world
        .project
        .replace("models/marts/totals.sql", "1 as release", "2 as release");
    world
        .sql
        .run("INSERT INTO mz_sandbox.objects (pattern, hydrated) VALUES ('.*__pr-1\\.totals', false)")
        .await;
    let first = world.hydrating(&["ci", "build", "--name", "pr-1"]).await;
    let second = world.spawn(&["ci", "build", "--name", "pr-1"]);
    let ended = first.ended().await;
    assert_eq!(ended.code, Some(130), "{ended}");
    let ended = ended.says("a later build of pr-1 has taken its place");
    drop(ended);
    world.sql.run("DELETE FROM mz_sandbox.objects").await;
    let report = second.ended().await.exits(0).result();
    // What the first made stood, so it was kept.
    assert_eq!(states(&report)["totals"], "kept", "{report}");
    torn_down(&world, "pr-1").await;
    nothing_left(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_corners_stand_than_are_allowed_and_what_expired_is_collected() {
    let Some(mut world) = live().await else {
        return;
    };
    let before = production(&world).await;
    change(&world);
    world.set("CI__MAX_ENVIRONMENTS", "1");
    world.set("CI__WAIT", "0s");
    world.set("CI__TTL", "1s");
    build(&world, "pr-1", &[]).await.exits(0);
    build(&world, "pr-2", &[])
        .await
        .exits(3)
        .says("corner-limit");
    // It waits in line until the first is collected.
    world.set("CI__WAIT", "2m");
    let mut waiting = world.spawn(&["ci", "build", "--name", "pr-2"]);
    waiting
        .until("a place in line", |line| {
            line["text"]
                .as_str()
                .is_some_and(|text| text.contains("at position 1"))
        })
        .await;
    let listed = world.cutover(&["ci", "list"]).await.exits(0).document();
    assert_eq!(listed["corners"][1]["position"], 1, "{listed}");
    let collected = world.cutover(&["ci", "gc"]).await.exits(0).document();
    assert_eq!(
        collected["dropped"],
        serde_json::json!(["pr-1"]),
        "{collected}"
    );
    waiting.ended().await.exits(0);

    // A journal that does not know the corner finds it by its mark.
    std::fs::remove_file(world.project.path().join(".cutover/cutover.db")).expect("the journal");
    for file in ["cutover.db-wal", "cutover.db-shm"] {
        let _ = std::fs::remove_file(world.project.path().join(".cutover").join(file));
    }
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    let collected = world
        .cutover(&["ci", "gc", "--dry-run"])
        .await
        .exits(0)
        .document();
    assert_eq!(
        collected["dropped"],
        serde_json::json!(["pr-2"]),
        "{collected}"
    );
    let collected = world.cutover(&["ci", "gc"]).await.exits(0).document();
    assert_eq!(
        collected["dropped"],
        serde_json::json!(["pr-2"]),
        "{collected}"
    );
    nothing_left(&world).await;
    assert_eq!(production(&world).await, before);
    wrote_nothing_to_production(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_corner_that_cannot_go_keeps_no_other_from_going() {
    let Some(mut world) = live().await else {
        return;
    };
    change(&world);
    world.set("CI__TTL", "1s");
    build(&world, "pr-1", &[]).await.exits(0);
    build(&world, "pr-2", &[]).await.exits(0);
    world
        .sql
        .run(&format!(
            "CREATE VIEW public.reader AS SELECT * FROM \"{}\".report",
            world.name("serving__pr-1")
        ))
        .await;
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    let collected = world.cutover(&["ci", "gc"]).await.exits(1).document();
    assert_eq!(
        collected["dropped"],
        serde_json::json!(["pr-2"]),
        "{collected}"
    );
    assert!(collected["problems"]["pr-1"].is_string(), "{collected}");
    // What reads it is still there.
    assert_eq!(
        world
            .sql
            .value("SELECT count(*)::text FROM public.reader")
            .await,
        "2"
    );
    world.sql.run("DROP VIEW public.reader").await;
    world.cutover(&["ci", "gc"]).await.exits(0);
    nothing_left(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_put_in_the_place_of_production_is_none_of_a_corner() {
    let Some(mut world) = live().await else {
        return;
    };
    change(&world);
    world.set("CI__TTL", "1s");
    build(&world, "pr-1", &[]).await.exits(0);
    tokio::time::sleep(std::time::Duration::from_millis(1200)).await;
    let (serving, corner) = (world.name("serving"), world.name("serving__pr-1"));
    let swap = format!("ALTER SCHEMA {serving} SWAP WITH \"{corner}\"");
    world.sql.run(&swap).await;
    let served = format!("SELECT max(release)::text FROM {serving}.report");
    let collected = world.cutover(&["ci", "gc"]).await.exits(1).document();
    assert_eq!(collected["dropped"], serde_json::json!([]), "{collected}");
    let why = collected["problems"]["pr-1"].as_str().unwrap_or_default();
    assert!(why.contains("renamed or swapped"), "{collected}");
    // Nor does a journal that does not know it take the mark's word.
    for file in ["cutover.db", "cutover.db-wal", "cutover.db-shm"] {
        let _ = std::fs::remove_file(world.project.path().join(".cutover").join(file));
    }
    world.cutover(&["ci", "gc"]).await.exits(1);
    assert_eq!(world.sql.value(&served).await, "2");
    world
        .cutover(&["ci", "teardown", "--name", "pr-1"])
        .await
        .exits(1);
    assert_eq!(world.sql.value(&served).await, "2");
    world.sql.run(&swap).await;
    assert_eq!(world.sql.value(&served).await, "1");
    world.cutover(&["ci", "gc"]).await.exits(0);
    nothing_left(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_took_over_makes_no_way_for_a_release() {
    let Some(mut world) = live().await else {
        return;
    };
    world.project.without_tests();
    world.project.set_release(2);
    world.set("BUILD__ENGINE", "native");
    let manual = ["deploy", "--promotion=manual"];
    world.cutover(&manual).await.exits(0);
    // Built while the release waits, and then somebody's.
    build(&world, "pr-1", &[]).await.exits(0);
    let corner = world.name("serving__pr-1");
    let rename = format!("ALTER SCHEMA \"{corner}\" RENAME TO reporting");
    world.sql.run(&rename).await;
    let report = "SELECT count(*)::text FROM reporting.report";
    let promoted = world.cutover(&["promote"]).await;
    assert!(matches!(promoted.code, Some(1 | 3)), "{promoted}");
    assert!(promoted.all().contains("reporting.report"), "{promoted}");
    assert_eq!(world.sql.value(report).await, "2");
    world.serves(1).await;
    let planned = world.cutover(&["plan"]).await.exits(3);
    let planned = planned.says("outside-dependent").says("reporting.report");
    drop(planned);
    // Where it was, it is a corner's again.
    let back = format!("ALTER SCHEMA reporting RENAME TO \"{corner}\"");
    world.sql.run(&back).await;
    world.cutover(&["plan"]).await.exits(0).says("make way");
    world.cutover(&["deploy"]).await.exits(0);
    world.serves(2).await;
    torn_down(&world, "pr-1").await;
    nothing_left(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_the_server_refuses_is_told_and_readiness_is_subscribed_to() {
    let Some(world) = live().await else { return };
    world
        .project
        .replace("models/marts/totals.sql", "1 as release", "2 as release");
    let refused = "INSERT INTO mz_sandbox.faults (pattern, action, argument) \
                   VALUES ('cutover: count rows', 'error', '53200')";
    world.sql.run(refused).await;
    let report = build(&world, "pr-1", &[]).await.exits(0).result();
    let notes = report["notes"].to_string();
    let told = format!("rows of {}.totals were not counted", world.name("marts"));
    assert!(notes.contains(&told), "{report}");
    // The four of the whole catalog, and none to ask how ready it is.
    let count =
        "SELECT count(*)::text FROM mz_sandbox.statements WHERE application_name = 'cutover' AND ";
    let dataflows = format!("{count} class = 'dataflow' AND reads = 'catalog'");
    assert_eq!(world.sql.value(&dataflows).await, "4");
    let subscriptions = format!("{count} class = 'subscribe'");
    assert_eq!(world.sql.value(&subscriptions).await, "1");
    torn_down(&world, "pr-1").await;
    nothing_left(&world).await;
}
