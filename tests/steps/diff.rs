//! The data diff: what it tells of both sides, what it does not, and the gate.

use crate::support::{Needs, World};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::time::{Duration, Instant};

const TOTALS: &str = "models/marts/totals.sql";

/// Production as it was made, and a project that Cutover builds itself, with a key for `totals` by a test.
async fn shop() -> Option<World> {
    let world = World::prepared(Needs::Sandbox).await?;
    world.project.write(
        "models/keys.yml",
        "models:\n  - name: totals\n    columns:\n      \
         - {name: customer, data_tests: [unique]}\n",
    );
    Some(world)
}

fn configured(world: &World, diff: &str) {
    world
        .project
        .write("cutover.yaml", &format!("diff:\n{diff}"));
}

/// Ada has one more, and bob is gone.
fn changed(world: &World) {
    world.project.write(
        TOTALS,
        "select customer, sum(amount) + 1 as total, 1 as release from {{ ref('stg_orders') }}\n\
         where customer <> 'bob' group by customer\n",
    );
}

/// The entry of a relation.
fn entry<'a>(document: &'a Value, moment: &str, relation: &str) -> &'a Value {
    let entries = document["diff"][moment]["entries"].as_array();
    let mut entries = entries.expect("entries").iter();
    let found = entries.find(|entry| entry["relation"] == relation);
    found.unwrap_or_else(|| panic!("{relation} in {document}"))
}

fn numbers(entry: &Value) -> [Option<u64>; 3] {
    ["lost", "added", "changed"].map(|key| entry["compared"][key].as_u64())
}

fn changes(entry: &Value) -> Vec<(String, Option<u64>)> {
    let columns = entry["compared"]["columns"].as_array().expect("columns");
    let of = |column: &Value| {
        let name = column["name"].as_str().unwrap_or_default().to_owned();
        (name, column["changed"].as_u64())
    };
    columns.iter().map(of).collect()
}

async fn shown(world: &World, id: &str) -> Value {
    world.cutover(&["show", id]).await.exits(0).document()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_differ_are_counted_by_key_and_column_and_shown_without_what_is_masked() {
    let Some(world) = shop().await else { return };
    changed(&world);
    world.project.write(
        "models/masks.yml",
        "models:\n  - name: report\n    columns:\n      \
         - {name: customer, meta: {sensitive: true}}\n  \
         - name: counts\n    meta: {cutover: {mask: true}}\n",
    );
    configured(&world, "  mode: report\n  samples: 5\n");
    let ready = world
        .cutover(&["deploy", "--promotion", "manual"])
        .await
        .exits(0)
        .says("data diff of shop_marts.totals: 1 lost, 0 added, 1 changed (total 1) (by customer)");
    let id = ready.deployment();
    let record = shown(&world, &id).await;
    let totals = entry(&record, "before", "shop_marts.totals");
    assert_eq!(totals["outcome"], "different");
    assert_eq!(totals["compared"]["keyed"], "key");
    assert_eq!(totals["rows"], serde_json::json!({"blue": 2, "green": 1}));
    assert_eq!(numbers(totals), [Some(1), Some(0), Some(1)]);
    let expected = [("customer", None), ("total", Some(1)), ("release", Some(0))];
    let expected = expected.map(|(name, changed)| (name.to_owned(), changed));
    assert_eq!(changes(totals), expected);
    let total = &totals["compared"]["columns"][1];
    assert_eq!(
        total["min"],
        serde_json::json!({"blue": "15", "green": "16"})
    );
    assert_eq!(
        total["distinct"],
        serde_json::json!({"blue": 2, "green": 1})
    );
    // Texts are values of rows, not measures.
    assert!(
        totals["compared"]["columns"][0]["min"].is_null(),
        "{totals}"
    );
    assert_eq!(totals["samples"][0]["kind"], "changed");
    assert_eq!(totals["samples"][0]["green"]["total"], "16");
    assert_eq!(totals["samples"][1]["blue"]["customer"], "bob");

    // Without a key whole rows are compared, and what is masked is nowhere.
    let report = entry(&record, "before", "shop_serving.report");
    assert_eq!(report["compared"]["keyed"], "no key");
    assert_eq!(numbers(report), [Some(2), Some(1), None]);
    let told = report.to_string();
    assert!(!told.contains("ada") && !told.contains("bob"), "{told}");
    assert_eq!(report["samples"].as_array().map(Vec::len), Some(3));
    for same in [
        "shop_staging.orders",
        "shop_staging.stg_orders",
        "shop_marts.counts",
    ] {
        let same = entry(&record, "before", same);
        assert_eq!(same["outcome"], "equal", "{same}");
        assert_eq!(numbers(same), [Some(0), Some(0), None]);
    }
    assert_eq!(totals["cluster"], "shop_compute_dbt_deploy");

    // It is told as text and as Markdown, and not asked for again.
    let text = world.cutover_text(&["diff", "--recorded"]).await.exits(0);
    text.says("RELATION")
        .says("shop_marts.totals")
        .says("15 → 16");
    let text = world.cutover_text(&["show", &id]).await.exits(0);
    text.says("New side against production");
    let status = world.cutover(&["status"]).await.exits(0).document();
    assert_eq!(status["environments"][0]["diff"], "3 equal, 2 different");
    let page = world
        .cutover_text(&["diff", "--recorded", "--format", "markdown"])
        .await;
    page.exits(0).says("| relation | outcome |");
    let before = totals["at"].clone();
    let again = world
        .cutover(&["diff", "--relation", "shop_marts.totals"])
        .await;
    let again = again.exits(0).document();
    assert_eq!(entry(&again, "before", "shop_marts.totals")["at"], before);
    let anew = world
        .cutover(&["diff", "--relation", "shop_marts.totals", "--again"])
        .await;
    let anew = anew.exits(0).document();
    assert_ne!(entry(&anew, "before", "shop_marts.totals")["at"], before);
    // What was not asked about is still on record.
    let record = shown(&world, &id).await;
    assert_eq!(
        record["diff"]["before"]["entries"].as_array().map(Vec::len),
        Some(5)
    );
    let strange = world
        .cutover(&["diff", "--relation", "shop_marts.nothing"])
        .await;
    strange
        .exits(3)
        .says("is not among what this release makes anew");

    // During the soak what serves is compared with the old side, on the cluster that does not serve.
    world.cutover(&["promote"]).await.exits(0);
    let none = world.cutover(&["diff"]).await;
    none.exits(3);
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_side_is_compared_while_it_is_kept() {
    let Some(world) = shop().await else { return };
    changed(&world);
    let kept = world
        .cutover(&["deploy", "--cleanup", "manual"])
        .await
        .exits(0);
    let record = shown(&world, &kept.deployment()).await;
    assert!(
        record["diff"].is_null(),
        "nothing is compared unless asked: {record}"
    );
    let soak = world.cutover(&["diff"]).await.exits(0).document();
    let totals = entry(&soak, "soak", "shop_marts.totals");
    assert_eq!(totals["rows"], serde_json::json!({"blue": 2, "green": 1}));
    assert_eq!(numbers(totals), [Some(1), Some(0), Some(1)]);
    assert_eq!(totals["cluster"], "shop_compute_dbt_deploy");
    world.cutover(&["cleanup"]).await.exits(0);
    world.nothing_left().await;
    let record = world
        .cutover(&["diff", "--recorded"])
        .await
        .exits(0)
        .document();
    assert_eq!(*entry(&record, "soak", "shop_marts.totals"), *totals);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_unwinds_what_differs_by_too_much_and_lets_the_rest_through() {
    let Some(world) = shop().await else { return };
    changed(&world);
    let before = world.snapshot().await;
    configured(&world, "  mode: gate\n");
    let fault = world.cutover(&["deploy"]).await.exits(2);
    fault.says("a gate without a threshold lets everything through");
    let key = "  relations:\n    - {relation: shop_serving.report, mode: report}\n";
    for (thresholds, says) in [
        (
            "{rows_lost: 0}",
            "shop_marts.totals: 1 rows lost, 0 allowed",
        ),
        (
            "{rows_changed: 10%, rows_lost: 1}",
            "shop_marts.totals: 1 rows changed, 0 (10% of 2) allowed",
        ),
    ] {
        configured(
            &world,
            &format!("  mode: gate\n  thresholds: {thresholds}\n{key}"),
        );
        let failed = world.cutover(&["deploy"]).await.exits(1).says(says);
        assert!(
            failed.states().contains(&"unwinding".to_owned()),
            "{failed}"
        );
        assert!(!failed.states().contains(&"ready".to_owned()), "{failed}");
        world.snapshot().await.is(&before);
        let record = shown(&world, &failed.deployment()).await;
        let totals = entry(&record, "before", "shop_marts.totals");
        assert_eq!(totals["verdict"], "exceeded");
        assert_eq!(
            entry(&record, "before", "shop_marts.counts")["verdict"],
            "within"
        );
    }
    // Over the limit it is counted, and what is only counted is not known to be good.
    configured(
        &world,
        &format!("  mode: gate\n  max_rows: 1\n  thresholds: {{rows_changed: 0}}\n{key}"),
    );
    let undecided = world.cutover(&["deploy"]).await.exits(1);
    undecided.says("shop_marts.totals: counts only and so not known to be good");
    world.snapshot().await.is(&before);

    configured(
        &world,
        &format!(
            "  mode: gate\n  thresholds: {{rows_changed: 50%, rows_lost: 1, rows_added: 0}}\n{key}"
        ),
    );
    let done = world.cutover(&["deploy"]).await.exits(0);
    let record = shown(&world, &done.deployment()).await;
    assert_eq!(
        entry(&record, "before", "shop_marts.totals")["verdict"],
        "within"
    );
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_compared_says_so_and_is_never_equal() {
    let Some(world) = shop().await else { return };
    // A key that is none, rows without a key, a type without equality, columns of one side, a condition.
    for name in ["counts", "totals"] {
        let drop = format!("DROP MATERIALIZED VIEW shop_marts.{name} CASCADE");
        world.sql.run(&drop).await;
    }
    for sql in [
        "CREATE MATERIALIZED VIEW shop_marts.totals IN CLUSTER shop_compute AS SELECT customer, amount AS total, \
         1 AS release FROM shop_staging.orders",
        "CREATE MATERIALIZED VIEW shop_marts.counts IN CLUSTER shop_compute AS SELECT NULL::text AS k, 1 AS n, \
         '{\"a\": 1}'::jsonb AS j, 'NaN'::double precision AS f, 1 AS gone UNION ALL \
         SELECT 'x', 2, '{\"a\": 1}', 'NaN', 1",
        "CREATE VIEW shop_serving.report AS SELECT 1 AS only_old",
    ] {
        world.sql.run(sql).await;
    }
    world.project.write(
        TOTALS,
        "select customer, amount as total, 1 as release from {{ ref('stg_orders') }}\n",
    );
    world.project.write(
        "models/marts/counts.sql",
        "select null::text as k, 1 as n, '{\"a\": 1}'::jsonb as j, 'NaN'::double precision as f, 1 as more\n\
         union all select 'x', 2, '{\"a\": 2}', 'NaN', 1\n",
    );
    world
        .project
        .write("models/serving/report.sql", "select 1 as only_new\n");
    world
        .project
        .write("models/marts/fresh.sql", "select 1 as n\n");
    // The test that says otherwise would fail; what it says is not believed either way.
    world.project.write(
        "models/keys.yml",
        "models:\n  - name: totals\n    meta: {cutover: {diff: {key: [customer]}}}\n  \
         - name: counts\n    meta: {cutover: {diff: {key: [k], where: 'n < 9 -- all'}}}\n  \
         - name: stg_orders\n    meta: {cutover: {diff: {kee: [id]}}}\n",
    );
    configured(&world, "  mode: report\n");
    let ready = world
        .cutover(&["deploy", "--promotion", "manual", "--allow", "column-lost"])
        .await
        .exits(0);
    let record = shown(&world, &ready.deployment()).await;
    let totals = entry(&record, "before", "shop_marts.totals");
    assert_eq!(totals["compared"]["keyed"], "duplicate key", "{totals}");
    assert_eq!(totals["outcome"], "equal");
    let counts = entry(&record, "before", "shop_marts.counts");
    assert_eq!(counts["outcome"], "different", "{counts}");
    assert_eq!(numbers(counts), [Some(0), Some(0), Some(1)]);
    assert_eq!(
        counts["compared"]["keyless"],
        serde_json::json!({"blue": 1, "green": 1})
    );
    let columns = changes(counts);
    assert!(columns.contains(&("j".to_owned(), Some(1))), "{columns:?}");
    assert!(
        columns.contains(&("f".to_owned(), Some(0))),
        "NaN is NaN: {columns:?}"
    );
    assert_eq!(
        counts["alone"],
        serde_json::json!({"blue": ["gone"], "green": ["more"]})
    );
    assert_eq!(
        entry(&record, "before", "shop_serving.report")["outcome"],
        "no columns"
    );
    assert_eq!(
        entry(&record, "before", "shop_marts.fresh")["outcome"],
        "new"
    );
    let unread = entry(&record, "before", "shop_staging.stg_orders");
    assert_eq!(unread["outcome"], "unreadable");
    assert!(unread["why"].to_string().contains("kee"), "{unread}");

    // Limits: of rows, of one relation's time, of all relations' time; and a refusal.
    let only = ["diff", "--again", "--relation", "shop_marts.totals"];
    configured(&world, "  max_rows: 2\n");
    let limited = world.cutover(&only).await.exits(0).document();
    let totals = entry(&limited, "before", "shop_marts.totals");
    assert_eq!(totals["outcome"], "counts only");
    assert_eq!(totals["rows"], serde_json::json!({"blue": 3, "green": 3}));
    configured(&world, "  timeout: 300ms\n");
    world.hold("cutover: data diff rows", 1).await;
    let slow = world.cutover(&only).await.exits(0).document();
    assert_eq!(
        entry(&slow, "before", "shop_marts.totals")["outcome"],
        "timed out"
    );
    configured(&world, "  total_timeout: 300ms\n");
    let late = world.cutover(&only).await.exits(0).document();
    assert_eq!(
        entry(&late, "before", "shop_marts.totals")["outcome"],
        "not reached"
    );
    world.let_go().await;
    configured(
        &world,
        "  relations:\n    - {relation: shop_marts.totals, where: nothing > 1}\n",
    );
    let refused = world.cutover(&only).await.exits(0).document();
    let totals = entry(&refused, "before", "shop_marts.totals");
    assert_eq!(totals["outcome"], "refused", "{totals}");
    configured(
        &world,
        "  relations:\n    - {relation: shop_marts.totals, where: '1); DROP SCHEMA shop_marts; SELECT (1'}\n",
    );
    let hostile = world.cutover(&only).await.exits(0).document();
    assert_eq!(
        entry(&hostile, "before", "shop_marts.totals")["outcome"],
        "unreadable"
    );
    world.cutover(&["abort"]).await.exits(0);
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_that_was_killed_goes_on_behind_what_is_on_record() {
    let Some(world) = shop().await else { return };
    changed(&world);
    configured(&world, "  mode: report\n");
    // Two relations are behind it, of `counts` and `totals` in their order.
    let deploying = world
        .held_at("cutover: data diff rows", 2, &["deploy"])
        .await;
    let recorded = ["diff", "--recorded"];
    let before = world.cutover(&recorded).await.exits(0).document();
    assert_eq!(before["diff"]["before"]["complete"], false, "{before}");
    deploying.signal(Signal::SIGKILL);
    deploying.ended().await;
    world.let_go().await;
    world.cutover(&["resume"]).await.exits(0);
    let after = world.cutover(&recorded).await.exits(0).document();
    assert_eq!(after["diff"]["before"]["complete"], true, "{after}");
    let first = entry(&before, "before", "shop_marts.counts");
    assert_eq!(first, entry(&after, "before", "shop_marts.counts"));
    assert_eq!(
        after["diff"]["before"]["entries"].as_array().map(Vec::len),
        Some(5)
    );
    world.nothing_left().await;
}

/// How long reads of production took until `stop`, sorted.
async fn read_until(world: &World, stop: tokio_util::sync::CancellationToken) -> Vec<Duration> {
    let sql = world.server.connect().await;
    sql.run("SET cluster = shop_serve").await;
    let mut took = Vec::new();
    while !stop.is_cancelled() {
        let began = Instant::now();
        sql.rows("SELECT customer, total FROM shop_serving.report WHERE customer = 'ada'")
            .await;
        took.push(began.elapsed());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    took.sort_unstable();
    took
}

#[expect(clippy::print_stdout, reason = "figures are what it is run for")]
fn told(what: &str, took: &[Duration]) {
    let at = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1000.0;
    println!(
        "{what}: {} reads, p50 {:.1} ms, p99 {:.1} ms, slowest {:.1} ms",
        took.len(),
        at(50),
        at(99),
        at(100)
    );
}

/// `make diff-bench` runs it and prints what docs/benchmarks.md has.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "figures are what it is run for")]
#[ignore = "a million rows on both sides take a minute; make diff-bench runs it"]
async fn a_million_rows_are_compared_within_their_limits_beside_a_reader() {
    let Some(world) = shop().await else { return };
    let rows = |from: u32, more: &str| {
        format!(
            "SELECT g AS id, 'customer ' || g % 1000 AS customer, (g % 977{more})::numeric AS amount, \
             CASE WHEN g % 10 > 0 THEN g % 50 END AS region FROM generate_series({from}, 1000000) AS g"
        )
    };
    let blue = format!(
        "CREATE MATERIALIZED VIEW shop_marts.million IN CLUSTER shop_compute AS {}",
        rows(1, "")
    );
    world.sql.run(&blue).await;
    let model = rows(1001, " + CASE WHEN g % 100 = 0 THEN 1 ELSE 0 END");
    world.project.write("models/marts/million.sql", &model);
    world.project.write(
        "models/million.yml",
        "models:\n  - name: million\n    columns: [{name: id, data_tests: [unique]}]\n",
    );
    configured(&world, "  timeout: 2m\n");
    world
        .cutover(&["deploy", "--promotion", "manual"])
        .await
        .exits(0);
    let stop = tokio_util::sync::CancellationToken::new();
    let (idle, ()) = tokio::join!(read_until(&world, stop.clone()), async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        stop.cancel();
    });
    world
        .sql
        .run("UPDATE mz_sandbox.settings SET value = 'on' WHERE name = 'log_statements'")
        .await;
    let stop = tokio_util::sync::CancellationToken::new();
    let (beside, compared) = tokio::join!(read_until(&world, stop.clone()), async {
        let compared = world
            .cutover(&["diff", "--relation", "shop_marts.million"])
            .await;
        stop.cancel();
        compared.exits(0).document()
    });
    let million = entry(&compared, "before", "shop_marts.million");
    assert_eq!(million["compared"]["keyed"], "key", "{million}");
    assert_eq!(numbers(million), [Some(1000), Some(0), Some(9990)]);
    // No statement of it was sent to a cluster of production's.
    let clusters = world
        .sql
        .rows("SELECT DISTINCT sql FROM mz_sandbox.statements WHERE sql LIKE '%data diff session%SET cluster%'")
        .await;
    assert_eq!(clusters.len(), 1, "{clusters:?}");
    assert!(
        clusters[0][0].contains("shop_compute_dbt_deploy"),
        "{clusters:?}"
    );
    println!("compared in {} ms", million["took_ms"]);
    told("a reader alone", &idle);
    told("a reader beside it", &beside);

    // Its limits end it: the server is told to stop, and nothing of it goes on.
    configured(&world, "  timeout: 200ms\n");
    let began = Instant::now();
    let again = ["diff", "--again", "--relation", "shop_marts.million"];
    let limited = world.cutover(&again).await.exits(0).document();
    assert_eq!(
        entry(&limited, "before", "shop_marts.million")["outcome"],
        "timed out"
    );
    println!(
        "given up after 200 ms: the command took {:.1} s",
        began.elapsed().as_secs_f64()
    );
    configured(&world, "  max_rows: 100000\n");
    let limited = world.cutover(&again).await.exits(0).document();
    let million = entry(&limited, "before", "shop_marts.million");
    assert_eq!(million["outcome"], "counts only");
    println!("only counted in {} ms", million["took_ms"]);
    world.cutover(&["abort"]).await.exits(0);
}
