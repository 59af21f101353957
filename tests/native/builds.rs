use crate::support::{Needs, Snapshot, World};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;

/// The shop with every option that a native build knows.
async fn shop_with_options() -> Option<World> {
    let world = World::start(Needs::AnyServer).await?;
    let project = &world.project;
    project.write(
        "seeds/kinds.csv",
        "id,price,day,at,is_new,\"odd name\",note\n\
         1,1.50,2024-01-05,2024-01-05 10:00:00,true,x,\"it's, \"\"quoted\"\"\"\n\
         -2,,null,,FALSE,,\"two\nlines\"\n\
         3,2\n",
    );
    project.write("seeds/typed.csv", "code;amount\n007;1,5\n;\n");
    project.write(
        "seeds/properties.yml",
        "seeds:\n  \
           - name: kinds\n    description: Of all kinds, isn't it\n    config: {persist_docs: {relation: true, columns: true}, indexes: [{columns: [id]}]}\n    columns: [{name: id, description: its number}, {name: gone, description: not there}]\n  \
           - name: typed\n    config: {delimiter: ';', column_types: {code: text, amount: text}, quote_columns: false}\n",
    );
    project.write(
        "models/marts/promised.sql",
        "{{ config(materialized='table', alias='Promised to all', retain_history='1hr', contract={'enforced': true}, \
         persist_docs={'relation': true, 'columns': true}, indexes=[{'columns': ['b', 'upper(a)']}, {'default': true, 'cluster': 'shop_serve'}]) }}\n\
         -- a comment with \"materialize\".\"shop_staging\".\"orders\" in it\n\
         select customer as a, count(*) as b, 'from shop_staging.orders' as c from {{ ref('inner_part') }} group by customer -- the end"
            .replace("shop_", &format!("{}_", world.prefix))
            .as_str(),
    );
    project.write(
        "models/marts/inner_part.sql",
        "{{ config(materialized='ephemeral') }} select o.* from {{ ref('stg_orders') }} as o where o.amount is not null",
    );
    project.write(
        "models/marts/part.sql",
        "{{ config(partition_by=['id']) }} select id, customer from {{ ref('stg_orders') }} union all select k.id, k.note from {{ ref('kinds') }} k",
    );
    project.write(
        "models/serving/checked.sql",
        "{{ config(contract={'enforced': true}) }} select a, b from {{ ref('promised') }}",
    );
    project.write(
        "models/more.yml",
        "models:\n  \
           - name: promised\n    description: What is promised\n    columns:\n      \
               - {name: c, data_type: text, description: ''}\n      \
               - {name: b, data_type: bigint, description: How many, constraints: [{type: not_null}]}\n      \
               - {name: a, data_type: text, constraints: [{type: not_null}], description: Who}\n  \
           - name: checked\n    columns: [{name: a, data_type: text}, {name: b, data_type: bigint}]\n",
    );
    Some(world)
}

/// What the server shows of every relation and index, without case and quotes, which differ in what it was sent, and
/// with names for ids.
pub async fn definitions(world: &World) -> BTreeMap<String, String> {
    let rows = world
        .sql
        .rows(&format!(
            "SELECT s.name::text, o.name::text, o.type::text FROM mz_catalog.mz_objects o \
             JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id WHERE s.name LIKE '{}%' AND o.id LIKE 'u%'",
            world.prefix
        ))
        .await;
    let clusters = "SELECT id::text, name::text FROM mz_catalog.mz_clusters";
    let clusters = world.sql.rows(clusters).await;
    let mut found = BTreeMap::new();
    for row in rows {
        let kind = row[2].replace('-', " ");
        let name = format!("\"{}\".\"{}\"", row[0], row[1]);
        let shown = world.sql.rows(&format!("SHOW CREATE {kind} {name}")).await;
        let words = shown[0][1].to_lowercase().replace('"', "");
        let words: Vec<&str> = words.split_whitespace().collect();
        let mut text = words
            .join(" ")
            .replace("( ", "(")
            .replace(" )", ")")
            .replace(", ", ",");
        for cluster in &clusters {
            text = text.replace(&format!("[{}]", cluster[0]), &cluster[1]);
        }
        let text = without_ids(&text);
        found.insert(format!("{kind} {name}"), text);
        if kind == "table" {
            let rows = world.sql.rows(&format!("SELECT * FROM {name}")).await;
            let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
            rows.sort_unstable();
            found.insert(format!("rows of {name}"), rows.join(" "));
        }
    }
    found
}

/// `[u7 as d.s.t]` → `d.s.t`.
fn without_ids(text: &str) -> String {
    let mut parts = text.split("[u");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once(']').expect("an end");
        let (id, name) = name.split_once(" as ").expect("a name");
        assert!(id.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
        out.push_str(name);
        out.push_str(rest);
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn native_builds_are_as_dbt_makes_them() {
    let Some(mut world) = shop_with_options().await else {
        return;
    };
    world.project.without_tests();
    // But for two that store their failures, which are relations like any other.
    let serve = world.name("serve");
    world.project.write(
        "models/stored.yml",
        &format!(
            "models:\n  - name: part\n    columns:\n      - name: id\n        data_tests:\n          \
             - unique: {{name: kept_as_view, config: {{severity: warn, schema: marts, store_failures_as: view}}}}\n          \
             - not_null: {{name: kept, config: {{store_failures: true, schema: marts, cluster: {serve}}}}}\n"
        ),
    );
    world.set("BUILD__ENGINE", "dbt");
    let planned = world.cutover(&["plan", "--bootstrap"]).await.exits(0);
    assert_eq!(planned.document().get("building"), None);
    world.cutover(&["deploy", "--bootstrap"]).await.exits(0);
    let (snapshot, by_dbt) = (world.snapshot().await, definitions(&world).await);

    world.set("BUILD__ENGINE", "native");
    let plan = world.cutover(&["plan"]).await.exits(0).document();
    assert_eq!(plan["building"]["engine"], "native");
    world
        .cutover_text(&["plan"])
        .await
        .exits(0)
        .says("built natively");
    let deployed = world.cutover(&["deploy"]).await.exits(0);
    let made: Vec<_> = deployed
        .documents()
        .into_iter()
        .filter(|line| line["event"] == "node" && line["status"] == "success")
        .collect();
    assert_eq!(made.len(), 10, "{deployed}");
    world.nothing_left().await;
    world.snapshot().await.describes_the_same(&snapshot);
    assert_eq!(definitions(&world).await, by_dbt);
    // All of it was made anew.
    let id = |snapshot: &Snapshot, name: &str| snapshot.id(&world_object(&world, name)).to_owned();
    for name in [
        "marts.totals",
        "staging.kinds",
        "serving.report",
        "marts.kept",
        "marts.kept_as_view",
    ] {
        assert_ne!(id(&snapshot, name), id(&world.snapshot().await, name));
    }

    // What dbt writes is written, too.
    let deployment = deployed.deployment();
    let results = world.project.read(&format!(
        ".cutover/runs/{deployment}/build/target/run_results.json"
    ));
    let results: serde_json::Value = serde_json::from_str(&results).expect("JSON");
    let results = results["results"].as_array().expect("results").clone();
    assert_eq!(results.len(), 10);
    assert!(results.iter().all(|result| result["status"] == "success"));
    let stored = verdicts(&world, &deployment, "native-test");
    assert_eq!(stored.len(), 2, "{stored:?}");
}

/// `marts.totals` → `object shop_marts.totals`.
fn world_object(world: &World, name: &str) -> String {
    format!("object {}", world.name(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_build_goes_on_with_what_is_missing() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    world.set("BUILD__ENGINE", "native");
    world.project.set_release(2);
    for (pattern, nth, left) in [
        ("cutover: create materialized view", 2, 2),
        ("cutover: create index", 1, 3),
        ("cutover: insert rows", 1, 5),
    ] {
        let running = world.held_at(pattern, nth, &["deploy"]).await;
        running.signal(Signal::SIGKILL);
        running.ended().await;
        let ids = |snapshot: &Snapshot| {
            let ids = snapshot.ids.iter();
            let is_green =
                |name: &str| name.starts_with("object ") && name.contains("_dbt_deploy.");
            ids.filter(|(name, _)| is_green(name))
                .map(|(name, id)| (name.clone(), id.clone()))
                .collect::<BTreeMap<_, _>>()
        };
        let before = ids(&world.snapshot().await);
        world.let_go().await;
        let resumed = world.cutover(&["resume"]).await.exits(0);
        let made: Vec<String> = resumed
            .documents()
            .iter()
            .filter(|line| line["event"] == "node" && line["status"] == "success")
            .filter_map(|line| line["unique_id"].as_str().map(str::to_owned))
            .collect();
        // What was whole when it was killed is not made again.
        let after = world.snapshot().await;
        let kept = before.iter().filter(|(name, id)| {
            let name = name.replace("_dbt_deploy.", ".");
            after.ids.get(&name) == Some(*id)
        });
        let expected = before.len() - usize::from(pattern.contains("insert"));
        assert_eq!(kept.count(), expected, "{pattern}: {before:?} {made:?}");
        assert_eq!(made.len(), left, "{pattern}: {made:?}");
        world.serves(2).await;
        world.nothing_left().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_build_is_told_whole_and_can_be_kept() {
    let Some(mut world) = World::prepared(Needs::AnyServer).await else {
        return;
    };
    world.set("BUILD__ENGINE", "native");
    // Otherwise the plan would find it.
    world.set("DESCRIBE", "false");
    world.project.replace(
        "models/marts/counts.sql",
        "count(*)",
        "count(*) / no_such_column",
    );
    let before = world.snapshot().await;
    let failed = world.cutover(&["deploy"]).await.exits(1);
    let message = failed.error()["message"].to_string();
    for part in [
        "native build: 2 of 5 nodes did not succeed",
        "model.shop.counts error",
        "no_such_column",
        "model.shop.report skipped",
    ] {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
    world.nothing_left().await;
    world.snapshot().await.is(&before);

    // The cause lies outside the project: it is mended, and only what is missing is made.
    world.project.replace(
        "models/marts/counts.sql",
        "count(*) / no_such_column as n from",
        "count(*) as n from",
    );
    let outside = world.name("outside");
    world.project.replace(
        "models/marts/counts.sql",
        "{{ ref('stg_orders') }}",
        &format!("{{{{ ref('stg_orders') }}}} where id not in (select id from {outside}.missing)"),
    );
    world.set("ON_FAILURE", "keep 2h");
    let kept = world.cutover(&["deploy"]).await.exits(1);
    let message = kept.error().to_string();
    assert!(message.contains("cutover resume"), "{message}");
    world.serves(1).await;
    world.cutover(&["resume"]).await.exits(1);
    world.sql.run(&format!("CREATE SCHEMA {outside}")).await;
    world
        .sql
        .run(&format!("CREATE TABLE {outside}.missing (id int)"))
        .await;
    let resumed = world.cutover(&["resume"]).await.exits(0);
    let made: Vec<String> = resumed
        .documents()
        .iter()
        .filter(|line| line["event"] == "node")
        .filter_map(|line| line["unique_id"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(made, ["model.shop.counts", "model.shop.report"]);
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_qualify_goes_through_dbt_and_is_named() {
    let Some(mut world) = World::prepared(Needs::AnyServer).await else {
        return;
    };
    world.project.replace(
        "models/marts/counts.sql",
        "{{ config(",
        "{{ config(post_hook='select 1', ",
    );
    world.project.write(
        "models/staging/asking.sql",
        "select {{ dbt_utils_like() }} as n from {{ ref('orders') }}",
    );
    world.project.write(
        "macros/asking.sql",
        "{% macro dbt_utils_like() %}{% if execute %}{{ run_query('select 1').columns[0].values()[0] }}{% else %}1{% endif %}{% endmacro %}",
    );
    world.set("BUILD__ENGINE", "native");
    let refused = world.cutover(&["plan"]).await.exits(3);
    let message = refused.error()["message"].to_string();
    assert!(message.contains("not-native"), "{message}");
    assert!(
        message.contains("model.shop.counts has a post-hook"),
        "{message}"
    );
    world.set("BUILD__ENGINE", "auto");
    let plan = world.cutover(&["plan"]).await.exits(0).document();
    let building = &plan["building"];
    assert_eq!(building["engine"], "dbt");
    let reasons = building["reasons"].to_string();
    assert!(
        reasons.contains("model.shop.counts has a post-hook"),
        "{reasons}"
    );
    assert!(
        reasons.contains("model.shop.asking introspects while compiling"),
        "{reasons}"
    );
    let text = world.cutover_text(&["plan"]).await.exits(0);
    text.says("built through dbt")
        .says("model.shop.counts has a post-hook");
    world.cutover(&["deploy"]).await.exits(0);
    world.serves(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_reads_the_old_side_in_a_form_of_its_own_fails_before_the_swap() {
    let Some(mut world) = World::prepared(Needs::AnyServer).await else {
        return;
    };
    world.set("BUILD__ENGINE", "native");
    let staging = world.name("staging");
    // An alias with the name of the schema: what follows a comma may be a column.
    world.project.write(
        "models/marts/odd.sql",
        &format!("select 1 as {staging} from {{{{ ref('stg_orders') }}}} s, {staging}.orders"),
    );
    let failed = world.cutover(&["deploy"]).await.exits(1);
    let message = failed.error()["message"].to_string();
    assert!(
        message.contains("the new side reads the old one"),
        "{message}"
    );
    assert!(message.contains("odd reads"), "{message}");
    world.nothing_left().await;
    world.serves(1).await;
}

/// Every test that something can be said of, and what it says, of the results in this folder of a run.
fn verdicts(world: &World, deployment: &str, run: &str) -> BTreeMap<String, String> {
    let place = format!(".cutover/runs/{deployment}/{run}/target/run_results.json");
    let results: serde_json::Value =
        serde_json::from_str(&world.project.read(&place)).expect("JSON");
    let results = results["results"].as_array().expect("results").iter();
    results
        .map(|result| {
            let id = result["unique_id"].as_str().expect("an id").to_owned();
            let said = format!(
                "{} {} {}",
                result["status"], result["failures"], result["message"]
            );
            (id, said)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_say_natively_what_dbt_says() {
    let Some(mut world) = World::start(Needs::AnyServer).await else {
        return;
    };
    world.produce_by_sql().await;
    let serve = world.name("serve");
    world.project.write(
        "models/tests.yml",
        &format!(
            "models:\n  - name: stg_orders\n    columns:\n      - name: customer\n        data_tests:\n          \
             - unique: {{name: warns, config: {{severity: WARN}}}}\n          \
             - unique: {{name: within, config: {{where: 'id < 3'}}}}\n          \
             - not_null: {{name: elsewhere, config: {{cluster: {serve}}}}}\n          \
             - accepted_values: {{name: limited, values: [nobody], config: {{limit: 1, warn_if: '>= 1', error_if: '> 1'}}}}\n          \
             - accepted_values: {{name: summed, values: [nobody], config: {{fail_calc: sum(n_records), warn_if: '> 2', error_if: '> 100'}}}}\n"
        ),
    );
    world.set("BUILD__ENGINE", "dbt");
    let by_dbt = world.cutover(&["deploy"]).await.exits(0).deployment();
    let mut by_dbt = verdicts(&world, &by_dbt, "test");
    world.set("BUILD__ENGINE", "native");
    let natively = world.cutover(&["deploy"]).await.exits(0).deployment();
    let found = verdicts(&world, &natively, "native-test");
    // Unit tests are dbt's in any case.
    let units: Vec<String> = by_dbt
        .keys()
        .filter(|id| id.starts_with("unit_test."))
        .cloned()
        .collect();
    assert_eq!(units.len(), 1);
    assert_eq!(verdicts(&world, &natively, "test").len(), 1);
    by_dbt.retain(|id, _| !id.starts_with("unit_test."));
    assert_eq!(found, by_dbt);
    let warned = found.values().filter(|said| said.contains("warn"));
    assert_eq!(warned.count(), 3, "{found:?}");
    world.nothing_left().await;

    // One that fails, and one that the server refuses.
    world
        .project
        .replace("tests/no_negative_totals.sql", "total < 0", "total > 0");
    world.project.write(
        "tests/refused.sql",
        "select no_such_column from {{ ref('report') }}",
    );
    let failed = world.cutover(&["deploy"]).await.exits(1);
    let message = failed.error()["message"].to_string();
    for part in [
        "native test: 2 of 9 tests did not pass",
        "test.shop.no_negative_totals fail: Got 2 results, configured to fail if != 0",
        "test.shop.refused error",
        "no_such_column",
    ] {
        assert!(message.contains(part), "no {part:?} in {message}");
    }
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_does_not_say_where_green_lies_is_released_all_the_same() {
    let Some(mut world) = World::prepared(Needs::AnyServer).await else {
        return;
    };
    world.project.write(
        "macros/schema.sql",
        "{% macro generate_schema_name(custom_schema_name, node) %}{{ target.schema }}_{{ custom_schema_name }}{% endmacro %}",
    );
    world.set("BUILD__ENGINE", "dbt");
    let refused = world.cutover(&["plan"]).await.exits(3);
    refused.says("deploy-suffix-missing");
    world.project.set_release(2);
    world.set("BUILD__ENGINE", "auto");
    let deployed = world.cutover(&["deploy"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
    // One parse, and no other dbt after it.
    let run = world
        .project
        .path()
        .join(".cutover/runs")
        .join(deployed.deployment());
    let started = |name: &str| run.join(name).join("output.log").is_file();
    assert!(started("parse"), "{deployed}");
    for name in ["parse-green", "build", "test"] {
        assert!(!started(name), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_change_is_built_and_tested_anew_without_being_compiled_again() {
    let Some(mut world) = World::start(Needs::AnyServer).await else {
        return;
    };
    world.produce_by_sql().await;
    world.set("BUILD__ENGINE", "native");
    let started = |world: &World, deployment: &str, name: &str| {
        let runs = world.project.path().join(".cutover/runs");
        runs.join(deployment)
            .join(name)
            .join("output.log")
            .is_file()
    };
    // Nothing was kept of the first release but manifest and outcomes.
    let whole = world.cutover(&["deploy", "--full"]).await.exits(0);
    assert!(started(&world, &whole.deployment(), "compile"), "{whole}");
    world.project.set_release(3);
    let changed = world.cutover(&["deploy"]).await.exits(0);
    let deployment = changed.deployment();
    assert!(!started(&world, &deployment, "compile"), "{changed}");
    let tested = verdicts(&world, &deployment, "native-test");
    assert!(!tested.is_empty(), "{changed}");
    world.serves(3).await;
    // Under another variable nothing is known any more.
    world.project.set_release(4);
    let settings = "vars:\n  another: 1\n";
    let project = world.project.read("dbt_project.yml");
    world
        .project
        .write("dbt_project.yml", &project.replacen("vars:\n", settings, 1));
    let recompiled = world.cutover(&["deploy"]).await.exits(0);
    assert!(started(&world, &recompiled.deployment(), "compile"));
    world.serves(4).await;
    world.nothing_left().await;
}
