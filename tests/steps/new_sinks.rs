//! Sinks of the project that are new, changed and gone; sources and connections that a release makes.

use crate::support::{Needs, Outcome, Snapshot, World};

const SINK: &str = "models/out/totals_out.sql";

fn sink(reads: &str, topic: &str) -> String {
    format!(
        "{{{{ config(materialized='sink', schema='out', cluster='shop_io') }}}}\n\
         FROM {{{{ ref('{reads}') }}}}\n\
         INTO KAFKA CONNECTION {{{{ target.database }}}}.shop_out.kafka (TOPIC '{topic}')\n\
         FORMAT JSON ENVELOPE DEBEZIUM"
    )
}

/// Production with a place for sinks and sources.
async fn world() -> Option<World> {
    let world = World::prepared(Needs::Sandbox).await?;
    for sql in [
        "CREATE SCHEMA shop_out",
        "CREATE SCHEMA shop_raw",
        "CREATE CLUSTER shop_io (SIZE = '25cc')",
        "CREATE CONNECTION shop_out.kafka TO KAFKA (BROKER 'localhost:9092', SECURITY PROTOCOL PLAINTEXT)",
    ] {
        world.sql.run(sql).await;
    }
    Some(world)
}

/// What the sinks of `shop_out` read: `sink schema.relation id of the sink`.
async fn sinks(world: &World) -> Vec<String> {
    let rows = world
        .sql
        .rows(
            "SELECT s.name, c.name || '.' || o.name, s.id::text FROM mz_internal.mz_object_dependencies d \
             JOIN mz_catalog.mz_sinks s ON s.id = d.object_id \
             JOIN mz_catalog.mz_objects o ON o.id = d.referenced_object_id \
             JOIN mz_catalog.mz_schemas c ON c.id = o.schema_id \
             WHERE o.type <> 'connection' ORDER BY 1",
        )
        .await;
    rows.into_iter().map(|row| row.join(" ")).collect()
}

/// As [`sinks`], without ids.
async fn readings(world: &World) -> Vec<String> {
    let sinks = sinks(world).await;
    let without = |sink: String| sink.rsplit_once(' ').expect("an id").0.to_owned();
    sinks.into_iter().map(without).collect()
}

async fn topic(world: &World) -> String {
    let query = "SELECT create_sql FROM mz_catalog.mz_sinks WHERE name = 'totals_out'";
    world.sql.value(query).await
}

fn named(snapshot: &Snapshot, name: &str) -> bool {
    snapshot.facts.iter().any(|fact| {
        fact.starts_with(&format!("object {name} ")) || fact == &format!("object {name}")
    })
}

#[track_caller]
fn refused(outcome: Outcome, name: &str, about: &str) {
    let outcome = outcome.exits(3);
    let error = outcome.error();
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains(&format!("{name}: ")), "{message}");
    assert!(message.contains(about), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_sink_is_made_after_the_swap_and_goes_first_on_the_way_back() {
    let Some(mut world) = world().await else {
        return;
    };
    let before = world.snapshot().await;
    world.project.write(SINK, &sink("totals", "totals"));
    world.project.set_release(2);
    let plan = world.cutover(&["plan"]).await.exits(0).document();
    let planned = &plan["outside"]["sinks"][0];
    assert_eq!(planned["change"], "created", "{plan}");
    assert_eq!(planned["becomes"]["reads"]["schema"], "shop_marts");
    world
        .cutover_text(&["plan"])
        .await
        .exits(0)
        .says("sink shop_out.totals_out")
        .says("created after the swap");
    world
        .cutover(&["deploy", "--cleanup", "manual"])
        .await
        .exits(0);
    world.serves(2).await;
    assert_eq!(readings(&world).await, ["totals_out shop_marts.totals"]);
    world.cutover(&["rollback"]).await.exits(0);
    world.serves(1).await;
    world.nothing_left().await;
    assert_eq!(readings(&world).await, Vec::<String>::new());
    world.snapshot().await.is(&before);

    // Again, and to the end; then a release that changes nothing of it leaves it alone but for what it reads.
    world.cutover(&["deploy"]).await.exits(0);
    world.set("SCOPE", "slim");
    let made = sinks(&world).await;
    assert_eq!(readings(&world).await, ["totals_out shop_marts.totals"]);
    world.nothing_left().await;
    world.project.set_release(3);
    world.cutover(&["deploy"]).await.exits(0);
    world.serves(3).await;
    assert_eq!(sinks(&world).await, made);
    world.nothing_left().await;

    // A sink alone is a release, too, which swaps nothing.
    world
        .project
        .write("models/out/counts_out.sql", &sink("counts", "counts"));
    world.cutover(&["deploy"]).await.exits(0);
    assert_eq!(
        readings(&world).await,
        [
            "counts_out shop_marts.counts",
            "totals_out shop_marts.totals"
        ]
    );
    world.nothing_left().await;
    world
        .cutover_text(&["deploy"])
        .await
        .exits(0)
        .says("nothing to do");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_sink_is_repointed_or_made_anew_where_that_is_allowed() {
    let Some(world) = world().await else {
        return;
    };
    world.project.write(SINK, &sink("totals", "totals"));
    world.cutover(&["deploy"]).await.exits(0);
    let first = sinks(&world).await;

    // Another relation, and nothing else: the same sink, repointed, forwards and back.
    world.project.write(SINK, &sink("counts", "totals"));
    let plan = world.cutover(&["plan"]).await.exits(0).document();
    assert_eq!(plan["outside"]["sinks"][0]["change"], "repointed", "{plan}");
    world
        .cutover(&["deploy", "--cleanup", "manual"])
        .await
        .exits(0);
    assert_eq!(readings(&world).await, ["totals_out shop_marts.counts"]);
    world.cutover(&["rollback"]).await.exits(0);
    assert_eq!(sinks(&world).await, first);
    world.nothing_left().await;
    // Together with a swap of both relations.
    world.project.set_release(2);
    world
        .cutover(&["deploy", "--cleanup", "manual"])
        .await
        .exits(0);
    world.serves(2).await;
    assert_eq!(readings(&world).await, ["totals_out shop_marts.counts"]);
    world.cutover(&["rollback"]).await.exits(0);
    world.serves(1).await;
    assert_eq!(sinks(&world).await, first);
    world.cutover(&["deploy"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;

    // Another topic: refused by name, or made anew, and back again as it was.
    world.project.write(SINK, &sink("counts", "others"));
    world.project.set_release(3);
    let held = world.snapshot().await;
    let with = sinks(&world).await;
    refused(
        world.cutover(&["deploy"]).await,
        "sink-recreated",
        "model.shop.totals_out",
    );
    world.snapshot().await.is(&held);
    let allowed = ["deploy", "--cleanup", "manual", "--allow", "sink-recreated"];
    world.cutover(&allowed).await.exits(0);
    world.serves(3).await;
    assert_eq!(readings(&world).await, ["totals_out shop_marts.counts"]);
    assert_ne!(sinks(&world).await, with);
    assert!(topic(&world).await.contains("'others'"));
    world.cutover(&["rollback"]).await.exits(0);
    world.serves(2).await;
    assert_eq!(readings(&world).await, ["totals_out shop_marts.counts"]);
    assert!(topic(&world).await.contains("'totals'"));
    world.nothing_left().await;
    world.cutover(&allowed).await.exits(0);
    world.cutover(&["cleanup"]).await.exits(0);
    assert!(topic(&world).await.contains("'others'"));
    world.nothing_left().await;

    // One that is gone stays, and reads what serves, until its end is allowed.
    world.project.remove(SINK);
    world.project.set_release(4);
    let plan = world.cutover(&["plan"]).await.exits(0).document();
    assert_eq!(plan["outside"]["stays"][0]["name"], "totals_out", "{plan}");
    world
        .cutover(&["deploy", "--allow", "sink-dropped"])
        .await
        .exits(0);
    world.serves(4).await;
    assert_eq!(readings(&world).await, Vec::<String>::new());
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_feeds_the_build_is_made_before_it_and_dropped_again_where_that_fails() {
    let Some(mut world) = world().await else {
        return;
    };
    let before = world.snapshot().await;
    world.project.write(
        "models/raw/auction.sql",
        "{{ config(materialized='source', schema='raw', cluster='shop_io') }}\n\
         FROM LOAD GENERATOR AUCTION (TICK INTERVAL '1s')",
    );
    world.project.write(
        "models/raw/bids.sql",
        "{{ config(materialized='source_table', schema='raw') }}\n\
         FROM SOURCE {{ ref('auction') }} (REFERENCE bids)",
    );
    world.project.write(
        "models/raw/orders_kafka.sql",
        "{{ config(materialized='connection', schema='raw') }}\n\
         TO KAFKA (BROKER 'localhost:9092', SECURITY PROTOCOL PLAINTEXT)",
    );
    world.project.write(
        "models/staging/stg_bids.sql",
        "select id, amount from {{ ref('bids') }}",
    );
    world.project.set_release(2);
    // A build that fails leaves nothing of it.
    world.project.write(
        "models/marts/broken.sql",
        "select 1 / customer from {{ ref('stg_orders') }} where nothing = 1",
    );
    world.set("DESCRIBE", "false");
    world.cutover(&["deploy"]).await.exits(1);
    world.nothing_left().await;
    world.snapshot().await.is(&before);

    world.project.remove("models/marts/broken.sql");
    world.set("DESCRIBE", "true");
    let plan = world.cutover(&["plan"]).await.exits(0).document();
    let makes = plan["outside"]["makes"].as_array().expect("a list");
    let names: Vec<&str> = makes.iter().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(names, ["auction", "bids", "orders_kafka"], "{plan}");
    world
        .cutover(&["deploy", "--cleanup", "manual"])
        .await
        .exits(0);
    world.serves(2).await;
    let now = world.snapshot().await;
    for name in ["auction", "auction_progress", "bids", "orders_kafka"] {
        assert!(
            named(&now, &format!("shop_raw.{name}")),
            "{name}: {:?}",
            now.facts
        );
    }
    // Rolled back they stay, and the next release finds them.
    world.cutover(&["rollback"]).await.exits(0);
    world.serves(1).await;
    assert!(named(&world.snapshot().await, "shop_raw.bids"));
    world.cutover(&["deploy"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;

    // A changed one is refused with what to run; one that is gone stays until its end is allowed.
    world
        .project
        .replace("models/raw/auction.sql", "'1s'", "'2s'");
    refused(
        world.cutover(&["plan"]).await,
        "change-not-released",
        "DROP SOURCE",
    );
    world
        .project
        .replace("models/raw/auction.sql", "'2s'", "'1s'");
    world.project.remove("models/raw/orders_kafka.sql");
    let plan = world.cutover(&["plan"]).await.exits(0).document();
    assert_eq!(
        plan["outside"]["stays"][0]["name"], "orders_kafka",
        "{plan}"
    );
    world.project.set_release(3);
    world
        .cutover(&["deploy", "--allow", "source-dropped"])
        .await
        .exits(0);
    world.serves(3).await;
    assert!(!named(&world.snapshot().await, "shop_raw.orders_kafka"));
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_made_under_the_name_is_not_touched() {
    let Some(mut world) = world().await else {
        return;
    };
    world.project.write(SINK, &sink("totals", "totals"));
    world.project.set_release(2);
    world.set("SINKS__HEALTHY_TIMEOUT", "1s");
    world.sql.run("CREATE TABLE shop_out.kept (a int)").await;
    world
        .cutover(&["deploy", "--promotion", "manual"])
        .await
        .exits(0);
    // After the plan.
    world
        .sql
        .run(
            "CREATE SINK shop_out.totals_out IN CLUSTER shop_io FROM shop_out.kept \
             INTO KAFKA CONNECTION shop_out.kafka (TOPIC 'foreign') FORMAT JSON ENVELOPE DEBEZIUM",
        )
        .await;
    let foreign = sinks(&world).await;
    world
        .cutover(&["promote"])
        .await
        .exits(5)
        .says("sink-not-made")
        .says("name-taken");
    world.serves(2).await;
    assert_eq!(sinks(&world).await, foreign);
    world.cutover(&["rollback"]).await.exits(0);
    world.serves(1).await;
    assert_eq!(sinks(&world).await, foreign);
    world.nothing_left().await;
    // What was there before the plan is left as it is, whoever made it.
    world.cutover(&["deploy"]).await.exits(0);
    world.serves(2).await;
    assert_eq!(sinks(&world).await, foreign);
    world.sql.run("DROP SINK shop_out.totals_out").await;
    world.project.set_release(3);

    // One that does not run is waited for, and goes with a rollback.
    world
        .sql
        .run("INSERT INTO mz_sandbox.sinks (pattern) VALUES ('shop_out\\.totals_out')")
        .await;
    world
        .cutover(&["deploy"])
        .await
        .exits(5)
        .says("sink-not-made")
        .says("not running");
    world.serves(3).await;
    world.cutover(&["rollback"]).await.exits(0);
    world.serves(2).await;
    assert_eq!(sinks(&world).await, Vec::<String>::new());
    world.nothing_left().await;
    world.sql.run("DELETE FROM mz_sandbox.sinks").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_killed_around_a_sink_ends_with_one() {
    let Some(world) = world().await else {
        return;
    };
    let releases = std::cell::Cell::new(1);
    let begin = |world: &World| {
        releases.set(releases.get() + 1);
        let release = releases.get();
        world.project.set_release(release);
        world
            .project
            .write(SINK, &sink("totals", &format!("topic{release}")));
        release
    };
    let arguments = ["deploy", "--allow", "sink-recreated"];
    for (pattern, action) in [
        ("^/\\* cutover: create sink", "hang_after"),
        // Between the end of the old one and the new one.
        ("^/\\* cutover: create sink", "hang"),
        ("^/\\* cutover: drop object \\*/ DROP SINK", "hang_after"),
        ("^/\\* cutover: rename object \\*/ ALTER SINK", "hang_after"),
    ] {
        let release = begin(&world);
        let killed = world.killed_at(pattern, action, 1, &arguments).await;
        assert!(killed.is_ok(), "{pattern} was not sent");
        world.cutover(&["resume"]).await.exits(0);
        world.serves(release).await;
        assert_eq!(readings(&world).await, ["totals_out shop_marts.totals"]);
        assert!(topic(&world).await.contains(&format!("'topic{release}'")));
        world.nothing_left().await;
    }
    // And on the way back, where the old one is made as it was.
    for (pattern, nth, action) in [
        ("^/\\* cutover: create sink", 1, "hang"),
        ("^/\\* cutover: create sink", 1, "hang_after"),
        ("^/\\* cutover: drop object \\*/ DROP SINK", 1, "hang_after"),
        (
            "^/\\* cutover: rename object \\*/ ALTER SINK",
            2,
            "hang_after",
        ),
    ] {
        let serving = topic(&world).await;
        let old = releases.get();
        let new = begin(&world);
        let mut deploy = arguments.to_vec();
        deploy.extend(["--cleanup", "manual"]);
        world.cutover(&deploy).await.exits(0);
        world.serves(new).await;
        assert_ne!(topic(&world).await, serving);
        let killed = world.killed_at(pattern, action, nth, &["rollback"]).await;
        assert!(killed.is_ok(), "{pattern} was not sent");
        world.cutover(&["resume"]).await.exits(0);
        world.serves(old).await;
        assert_eq!(readings(&world).await, ["totals_out shop_marts.totals"]);
        assert!(topic(&world).await.contains(&format!("'topic{old}'")));
        world.nothing_left().await;
        // What is in the project is released before the next one.
        world.cutover(&arguments).await.exits(0);
    }
}
