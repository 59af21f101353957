//! What a build makes, and what the next one of the same corner does.

use crate::corner::{
    build, id, live, map, nothing_left, production, states, torn_down, wrote_nothing_to_production,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_leaf_is_built_and_tested_beside_production() {
    let Some(world) = live().await else { return };
    let before = production(&world).await;
    let report_sql = "models/serving/report.sql";
    world.project.replace(report_sql, ", c.n", ", 5 as extra");
    let report = build(&world, "pr-1", &[]).await.exits(0).result();
    assert_eq!(states(&report), map(&[("report", "built")]), "{report}");
    assert_eq!(report["verdict"], "passed");
    assert_eq!(report["tests"][0]["status"], "pass", "{report}");
    assert_eq!(report["tests"].as_array().map(Vec::len), Some(1));
    let columns = report["columns"].as_array().expect("columns");
    let columns: Vec<(&str, &str)> = columns
        .iter()
        .map(|it| {
            (
                it["column"].as_str().unwrap_or(""),
                it["change"].as_str().unwrap_or(""),
            )
        })
        .collect();
    assert_eq!(columns, [("extra", "gained"), ("n", "lost")]);
    // It reads production, computes on its own cluster, and production is as it was.
    let query = format!(
        "SELECT max(extra)::text FROM \"{}\".report WHERE total = 15",
        world.name("serving__pr-1")
    );
    assert_eq!(world.sql.value(&query).await, "5");
    let query = "SELECT c.name::text FROM mz_catalog.mz_objects o JOIN mz_catalog.mz_indexes i ON i.id = o.id \
                 JOIN mz_catalog.mz_clusters c ON c.id = i.cluster_id JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id \
                 WHERE s.name LIKE '%pr-1'";
    assert_eq!(world.sql.rows(query).await, [["ci__pr-1"]]);
    assert_eq!(production(&world).await, before);

    // Again: what is the same stays, what changed and what reads it is made anew.
    let first = id(&world, "serving__pr-1", "report").await;
    let report = build(&world, "pr-1", &[]).await.exits(0).result();
    assert_eq!(states(&report), map(&[("report", "kept")]), "{report}");
    assert_eq!(id(&world, "serving__pr-1", "report").await, first);
    let totals = "models/marts/totals.sql";
    let old = world.project.read(totals);
    world
        .project
        .replace(totals, "1 as release", "2 as release");
    let report = build(&world, "pr-1", &[]).await.exits(0).result();
    let both = map(&[("report", "built"), ("totals", "built")]);
    assert_eq!(states(&report), both, "{report}");
    assert_eq!(report["not_run"], serde_json::json!({}), "{report}");
    let rows: Vec<&serde_json::Value> = report["nodes"].as_array().expect("nodes").iter().collect();
    let of_totals = rows
        .iter()
        .find(|node| node["materialized"] == "materialized_view");
    let of_totals = of_totals.expect("totals");
    assert_eq!(
        (&of_totals["rows"], &of_totals["production_rows"]),
        (&2.into(), &2.into())
    );

    // What left the request leaves the corner; with nothing left in it, it goes.
    world.project.write(totals, &old);
    let report = build(&world, "pr-1", &[]).await.exits(0).result();
    assert_eq!(states(&report), map(&[("report", "built")]), "{report}");
    let left = format!("{}.totals", world.name("marts__pr-1"));
    assert_eq!(report["dropped"], serde_json::json!([left]));
    world.project.replace(report_sql, ", 5 as extra", ", c.n");
    let report = build(&world, "pr-1", &[]).await.exits(0).result();
    assert_eq!(states(&report), map(&[]), "{report}");
    nothing_left(&world).await;
    assert_eq!(production(&world).await, before);
    wrote_nothing_to_production(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_finds_what_is_wrong_with_all_nodes_and_leaves_nothing() {
    let Some(world) = live().await else { return };
    let before = production(&world).await;
    world.project.write(
        "models/marts/totals.sql",
        "{{ config(materialized='materialized_view') }}\nselect customer,\n  sum(amountt) as total, 1 as release\nfrom {{ ref('stg_orders') }}\ngroup by customer\n",
    );
    world.project.replace(
        "models/marts/counts.sql",
        "count(*)",
        "count(*) + nothing_there",
    );
    let ended = build(&world, "pr-2", &["--check"]).await.exits(1);
    let report = ended.result();
    let expected = [
        ("counts", "failed"),
        ("report", "skipped"),
        ("totals", "failed"),
    ];
    assert_eq!(states(&report), map(&expected), "{report}");
    let node = |name: &str| {
        let nodes = report["nodes"].as_array().expect("nodes");
        let found = nodes.iter().find(|node| {
            node["file"]
                .as_str()
                .is_some_and(|file| file.ends_with(name))
        });
        found.expect("a node").clone()
    };
    let totals = node("totals.sql");
    assert_eq!(
        (&totals["file"], &totals["line"]),
        (&"models/marts/totals.sql".into(), &3.into()),
        "{totals}"
    );
    assert!(
        totals["message"]
            .as_str()
            .is_some_and(|text| text.contains("amountt")),
        "{totals}"
    );
    assert_eq!(node("counts.sql")["line"], 2);

    // The same of a build, which makes nothing then.
    build(&world, "pr-2", &[]).await.exits(1);
    nothing_left(&world).await;
    // As it was but for one constant: what comes out as before is not looked at.
    world
        .project
        .replace("models/marts/totals.sql", "amountt", "amount");
    world
        .project
        .replace("models/marts/totals.sql", "1 as release", "2 as release");
    world
        .project
        .replace("models/marts/counts.sql", " + nothing_there", "");
    let report = build(&world, "pr-2", &["--check"]).await.exits(0).result();
    let described = map(&[("report", "described"), ("totals", "described")]);
    assert_eq!(states(&report), described, "{report}");
    nothing_left(&world).await;
    let clusters = "SELECT count(*)::text FROM mz_sandbox.statements WHERE sql LIKE '%*/ CREATE CLUSTER%' AND application_name = 'cutover'";
    assert_eq!(world.sql.value(clusters).await, "0");
    assert_eq!(production(&world).await, before);
    wrote_nothing_to_production(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_test_is_told_in_every_form_of_the_report() {
    let Some(world) = live().await else { return };
    world.project.replace(
        "models/marts/totals.sql",
        "select customer",
        "select nullif(customer, 'ada') as customer",
    );
    world
        .project
        .replace("models/marts/totals.sql", "group by customer", "group by 1");
    let files = ["report.md", "report.json", "report.xml"].map(|name| world.home().join(name));
    let [markdown, json, junit] = files.each_ref().map(|file| file.to_str().expect("a path"));
    let flags = ["--markdown", markdown, "--json", json, "--junit", junit];
    let report = build(&world, "pr-3", &flags).await.exits(1).result();
    assert_eq!(report["verdict"], "failed");
    let read = |file: &str| std::fs::read_to_string(file).expect("a report");
    let (markdown, json, junit) = (read(markdown), read(json), read(junit));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["tests"], report["tests"]);
    let failed: Vec<&serde_json::Value> = json["tests"]
        .as_array()
        .expect("tests")
        .iter()
        .filter(|test| test["status"] == "fail")
        .collect();
    let ids: Vec<&str> = failed
        .iter()
        .filter_map(|test| test["unique_id"].as_str())
        .collect();
    assert_eq!(ids.len(), 2, "{json}");
    assert!(ids[0].contains("not_null_totals_customer"), "{json}");
    assert_eq!(ids[1], "unit_test.shop.totals.totals_add_up");
    assert_eq!(
        (&failed[0]["failures"], &failed[1]["failures"]),
        (&1.into(), &2.into())
    );
    for text in [&markdown, &junit] {
        for said in [
            "Got 1 result, configured to fail if != 0",
            "unit_test.shop.totals.totals_add_up",
            "2 rows differ",
        ] {
            assert!(text.contains(said), "{text}");
        }
    }
    assert!(
        markdown.contains("2 of 4 tests did not succeed"),
        "{markdown}"
    );
    // It stands for whoever wants to see why, until it is torn down.
    let listed = world.cutover(&["ci", "list"]).await.exits(0).document();
    let corner = &listed["corners"][0];
    assert_eq!(
        (&corner["name"], &corner["verdict"]),
        (&"pr-3".into(), &"failed".into()),
        "{listed}"
    );
    assert!(
        corner["cluster_seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds > 0.0),
        "{listed}"
    );
    torn_down(&world, "pr-3").await;
    nothing_left(&world).await;
    let listed = world.cutover(&["ci", "list"]).await.exits(0).document();
    assert_eq!(listed["corners"], serde_json::json!([]));
    world
        .cutover(&["ci", "teardown", "--name", "pr-3"])
        .await
        .exits(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_of_what_is_built_is_compared_with_productions_where_that_is_wanted() {
    let Some(mut world) = live().await else {
        return;
    };
    world.set("CI__DIFF", "true");
    world.set("DIFF__SAMPLES", "3");
    let before = production(&world).await;
    world
        .project
        .replace("models/marts/totals.sql", "1 as release", "2 as release");
    let report = build(&world, "pr-1", &[]).await.exits(0).result();
    let diff = report["diff"].as_array().expect("a data diff");
    let totals = format!("{}.totals", world.name("marts"));
    let totals = diff.iter().find(|entry| entry["relation"] == totals);
    let totals = totals.unwrap_or_else(|| panic!("totals in {report}"));
    assert_eq!(totals["outcome"], "different", "{totals}");
    assert_eq!(totals["compared"]["keyed"], "key", "{totals}");
    assert_eq!(totals["compared"]["changed"], 2, "{totals}");
    assert_eq!(totals["cluster"], "ci__pr-1");
    assert!(
        totals["samples"].is_null(),
        "a request shows no rows: {totals}"
    );
    assert_eq!(production(&world).await, before);
    torn_down(&world, "pr-1").await;
    nothing_left(&world).await;
}
