//! Columns that a release changes: described before anything is built, looked at once more when it is, and named with
//! who reads them.

use crate::support::{Needs, World};
use serde_json::{Value, json};

const TOTALS: &str = "models/marts/totals.sql";
const REPORT: &str = "models/serving/report.sql";

/// The columns that a plan changes: `schema.name.column` → the change.
fn changes(plan: &Value) -> Vec<(String, String)> {
    let columns = plan["columns"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    columns
        .iter()
        .map(|column| {
            let name = format!("{}.{}", text(&column["relation"]), text(&column["column"]));
            (name, text(&column["change"]))
        })
        .collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter()
        .map(|(name, change)| ((*name).to_owned(), (*change).to_owned()))
        .collect()
}

/// How many temporary views there are, whoever made them.
async fn temporary(world: &World) -> String {
    let query = "SELECT count(*)::text FROM mz_catalog.mz_objects WHERE schema_id = '0'";
    world.sql.value(query).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_lost_without_a_contract_is_refused_before_anything_is_built() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    for sql in [
        "CREATE SCHEMA shop_out",
        "CREATE CLUSTER shop_io (SIZE = '25cc')",
        "CREATE CONNECTION shop_out.kafka TO KAFKA (BROKER 'localhost:9092', SECURITY PROTOCOL PLAINTEXT)",
        "CREATE SINK shop_out.out IN CLUSTER shop_io FROM shop_marts.totals \
         INTO KAFKA CONNECTION shop_out.kafka (TOPIC 'totals') FORMAT JSON ENVELOPE DEBEZIUM",
        "UPDATE mz_sandbox.settings SET value = 'on' WHERE name = 'log_statements'",
    ] {
        world.sql.run(sql).await;
    }
    // Somebody reads it.
    for sql in [
        "SET application_name = 'metabase'",
        "SELECT customer, total FROM shop_marts.totals",
        "SET application_name = 'cutover-tests'",
    ] {
        world.sql.run(sql).await;
    }
    world.project.write(
        "models/exposures.yml",
        "exposures:\n  - name: board\n    type: dashboard\n    owner: {name: Ada}\n    depends_on: [ref('totals')]\n",
    );
    // `total` gets another name, `release` another type, and `customer` may be null no more.
    world.project.write(
        TOTALS,
        "select customer, sum(amount) as sum_of_all, '2' as release\nfrom {{ ref('stg_orders') }}\ngroup by customer\n",
    );
    world
        .project
        .replace(REPORT, "t.total", "t.sum_of_all as total");
    let before = world.snapshot().await;

    // A plan alone changes nothing and does not ask.
    let plan = world.cutover(&["plan"]).await.exits(0).document();
    assert_eq!(plan["description"], Value::Null, "{plan}");

    let refused = world.cutover(&["deploy"]).await.exits(3);
    let message = refused.error()["message"].to_string();
    for part in ["column-lost", "shop_marts.totals.total (bigint)"] {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
    world.snapshot().await.is(&before);
    world.nothing_left().await;
    assert_eq!(temporary(&world).await, "0");

    let allow = ["plan", "--describe", "--allow", "column-lost"];
    let plan = world.cutover(&allow).await.exits(0).document();
    let expected = [
        ("shop_marts.totals.release", "retyped"),
        ("shop_marts.totals.sum_of_all", "added"),
        ("shop_marts.totals.total", "removed"),
    ];
    assert_eq!(changes(&plan), pairs(&expected), "{plan}");
    assert_eq!(plan["description"]["described"], 5, "{plan}");
    assert_eq!(plan["accepted"][0]["name"], "column-lost");
    let readers = plan["columns"][2]["readers"].clone();
    assert_eq!(
        readers,
        json!([
            {"kind": "sink", "name": "shop_out.out"},
            {"kind": "exposure", "name": "board (dashboard of Ada)"},
            {"kind": "queries", "name": "of materialize through metabase, once"},
        ]),
        "{plan}"
    );
    let text = world.cutover_text(&allow).await.exits(0);
    let text = text
        .says("- shop_marts.totals.total")
        .says("read by sink shop_out.out, exposure board (dashboard of Ada), queries of materialize through metabase, once");
    drop(text);
    let markdown = [&allow[..], &["--format", "markdown"]].concat();
    world
        .cutover_text(&markdown)
        .await
        .exits(0)
        .says("read by sink shop");

    // Where the server does not tell whose queries it remembers, that is said and no error.
    world
        .sql
        .run(
            "INSERT INTO mz_sandbox.faults (pattern, action, argument) \
             VALUES ('cutover: recent queries', 'error', '42501')",
        )
        .await;
    let plan = world.cutover(&allow).await.exits(0).document();
    assert!(plan["description"]["queries_unknown"].is_string(), "{plan}");
    world.let_go().await;

    world.set("ALLOW", "column-lost");
    world.cutover(&["deploy"]).await.exits(0);
    let query = "SELECT sum_of_all::text FROM shop_marts.totals WHERE customer = 'ada'";
    assert_eq!(world.sql.value(query).await, "15");
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_may_be_null_from_then_on_is_told() {
    let Some(world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    // `release` was a constant, which is never null.
    world
        .project
        .replace(TOTALS, "1 as release", "max(id) as release");
    let plan = world
        .cutover(&["plan", "--describe"])
        .await
        .exits(0)
        .document();
    let expected = [
        ("shop_marts.totals.release", "nullable"),
        ("shop_serving.report.release", "nullable"),
    ];
    let found = changes(&plan);
    assert!(found.contains(&pairs(&expected)[0]), "{plan}");
    world
        .cutover_text(&["plan", "--describe"])
        .await
        .exits(0)
        .says("may be null from then on");
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_that_the_server_does_not_take_is_refused_with_its_file_and_line() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let before = world.snapshot().await;
    world.project.write(
        TOTALS,
        "select customer,\n  sum(amountt) as total, 1 as release\nfrom {{ ref('stg_orders') }}\ngroup by customer\n",
    );
    let refused = world.cutover(&["deploy"]).await.exits(3);
    let message = refused.error()["message"].to_string();
    for part in [
        "sql-error",
        "model.shop.totals in models/marts/totals.sql:2",
        "amountt",
    ] {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
    world.snapshot().await.is(&before);
    let history = world.cutover(&["history"]).await.exits(0).document();
    assert_eq!(history["deployments"].as_array().map(Vec::len), Some(0));

    // Without a description only the build finds it.
    world.set("DESCRIBE", "false");
    world.cutover(&["deploy"]).await.exits(1);
    world.nothing_left().await;
    world.snapshot().await.is(&before);
}

/// What is built counts, whatever was described.
#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_lost_after_the_plan_is_found_when_it_is_built() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    world.set("DESCRIBE", "false");
    world.project.replace(TOTALS, "sum(amount) as total, ", "");
    world.project.replace(REPORT, "t.total", "0 as total");
    let before = world.snapshot().await;
    let failed = world.cutover(&["deploy"]).await.exits(1);
    assert_eq!(failed.states().last().map(String::as_str), Some("failed"));
    let message = failed.error()["message"].to_string();
    for part in ["column-lost", "shop_marts.totals.total (bigint)"] {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
    world.nothing_left().await;
    world.snapshot().await.is(&before);
    world
        .cutover(&["deploy", "--allow", "column-lost"])
        .await
        .exits(0)
        .says("not in the plan: production loses shop_marts.totals.total (bigint)");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_dbt_can_make_is_said_to_be_not_described() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    world.set("BUILD__ENGINE", "dbt");
    world.project.write(
        "models/marts/counts.sql",
        "{{ config(indexes=[{'columns': ['n'], 'name': 'counts_by_n'}]) }}\n\
         {% set found = run_query('select 1') if execute else none %}\n\
         select count(*) as n from {{ ref('stg_orders') }}\n",
    );
    let plan = world
        .cutover(&["plan", "--describe"])
        .await
        .exits(0)
        .document();
    let left_out = &plan["description"]["left_out"];
    assert!(
        left_out["model.shop.counts"].is_string(),
        "{}",
        plan["description"]
    );
    let report = left_out["model.shop.report"].to_string();
    assert!(report.contains("model.shop.counts"), "{report}");
    world
        .cutover_text(&["plan", "--describe"])
        .await
        .exits(0)
        .says("Not described");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_that_changed_is_shown_beside_what_is_live() {
    let Some(world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    world.cutover(&["deploy"]).await.exits(0);
    world
        .project
        .replace(TOTALS, "1 as release", "2 as release -- ``` \u{1b}[31m<b>");
    world.project.replace(
        "dbt_project.yml",
        "serving: {+schema: serving, +cluster: shop_serve}",
        "serving: {+schema: serving, +cluster: shop_compute}",
    );
    let plan = world.cutover(&["plan"]).await.exits(0).document();
    let nodes = plan["texts"]["nodes"].as_array().cloned();
    let nodes = nodes.unwrap_or_default();
    let of = |id: &str| {
        let node = nodes.iter().find(|node| node["unique_id"] == id);
        node.unwrap_or_else(|| panic!("no {id} in {}", plan["texts"]))
            .clone()
    };
    let totals = of("model.shop.totals");
    let diff = totals["diff"].to_string();
    for part in [
        "-select customer, sum(amount) as total, 1 as release",
        "+select",
    ] {
        assert!(diff.contains(part), "no {part:?} in {diff}");
    }
    assert_eq!(totals["file"], TOTALS);
    let report = of("model.shop.report");
    let config = report["config"].to_string();
    assert!(config.contains("shop_compute"), "{report}");

    let text = world.cutover_text(&["plan", "-v"]).await.exits(0);
    assert!(!text.all().contains('\u{1b}'), "{}", text.all());
    text.says("Written otherwise than in the baseline")
        .says("\\u{1b}[31m");
    let short = world.cutover_text(&["plan"]).await.exits(0);
    assert!(
        !short.all().contains("Written otherwise"),
        "{}",
        short.all()
    );
    world
        .cutover_text(&["plan", "--format", "markdown"])
        .await
        .exits(0)
        .says("````diff\n@@");
    let off = ["plan", "--diff-text", "off"];
    let plan = world.cutover(&off).await.exits(0).document();
    assert_eq!(plan["texts"], Value::Null, "{plan}");
}

/// Nodes that do not read each other share views: few changes of the catalog, and the same answers.
#[tokio::test(flavor = "multi_thread")]
async fn many_nodes_are_described_by_few_views() {
    const MANY: usize = 30;
    let Some(world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let wide = |n: usize| format!("models/staging/wide_{n}.sql");
    for n in 0..MANY {
        world.project.write(
            &wide(n),
            &format!(
                "with own as (select * from {{{{ ref('stg_orders') }}}})\n\
                 select id, customer, {n} as number, amount as \"Odd \"\"{n}\" from own\n"
            ),
        );
        world.project.write(
            &format!("models/serving/over_{n}.sql"),
            &format!(
                "select wide_{n}.number, wide_{n}.\"Odd \"\"{n}\", t.release\n\
                 from {{{{ ref('wide_{n}') }}}} cross join {{{{ ref('totals') }}}} t\n"
            ),
        );
    }
    world.cutover(&["deploy"]).await.exits(0);

    // Nothing else than what was changed is said to change.
    world.project.replace(&wide(7), "id, customer, ", "id, ");
    world
        .project
        .replace(&wide(8), "8 as number", "'8' as number");
    world
        .sql
        .run("UPDATE mz_sandbox.settings SET value = 'on' WHERE name = 'log_statements'")
        .await;
    let wishes = ["plan", "--full", "--describe", "--allow", "column-lost"];
    let plan = world.cutover(&wishes).await.exits(0).document();
    let expected = [
        ("shop_serving.over_8.number", "retyped"),
        ("shop_staging.wide_7.customer", "removed"),
        ("shop_staging.wide_8.number", "retyped"),
    ];
    assert_eq!(changes(&plan), pairs(&expected), "{}", plan["columns"]);
    assert_eq!(plan["description"]["described"], 5 + 2 * MANY);
    let views = "SELECT count(*)::text FROM mz_sandbox.statements \
                 WHERE sql LIKE '%cutover: describe nodes%' AND class = 'ddl'";
    let views: usize = world.sql.value(views).await.parse().expect("a number");
    assert!(views <= 10, "{views} views of {} nodes", 5 + 2 * MANY);
    assert_eq!(temporary(&world).await, "0");

    // One that is wrong is named, and not those that share its view.
    world.project.replace(&wide(9), "select id,", "select idd,");
    let refused = world.cutover(&wishes).await.exits(3);
    let message = refused.error()["message"].to_string();
    assert!(
        message.contains("[model.shop.wide_9 in models/staging/wide_9.sql:2"),
        "{message}"
    );
    assert_eq!(message.matches("model.shop.").count(), 1, "{message}");
}
