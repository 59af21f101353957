//! Releases of what changed since the baseline, and of nothing else.

use crate::support::{Needs, Snapshot, World};
use serde_json::Value;
use std::collections::BTreeSet;

/// Eight schemas on four clusters: `s0` has the seed and a view that all others read; each of the
/// others has a materialized view and a view on it. `s7` alone computes on `c3`, where `s5` has an
/// index.
async fn many_schemas() -> Option<World> {
    let mut world = World::start(Needs::AnyServer).await?;
    world.set("SCOPE", "slim");
    let prefix = world.prefix.clone();
    for cluster in ["c0", "c1", "c2", "c3"] {
        let name = world.name(cluster);
        world
            .sql
            .run(&format!("CREATE CLUSTER {name} (SIZE = '25cc')"))
            .await;
    }
    let project = &world.project;
    for path in [
        "models/schema.yml",
        "models/marts/totals.sql",
        "models/marts/counts.sql",
        "models/serving/report.sql",
        "models/staging/stg_orders.sql",
        "tests/no_negative_totals.sql",
    ] {
        project.remove(path);
    }
    let list = |letter: &str, number: usize| {
        let names: Vec<String> = (0..number)
            .map(|n| format!("{prefix}_{letter}{n}"))
            .collect();
        names.join(", ")
    };
    let folders: Vec<String> = (0..8)
        .map(|n| format!("    s{n}: {{+schema: s{n}}}"))
        .collect();
    project.write(
        "dbt_project.yml",
        &format!(
            "name: shop\nversion: '1.0'\nprofile: shop\nmodels:\n  shop:\n{}\nseeds:\n  shop: {{+schema: s0}}\n\
             vars:\n  deployment:\n    prod:\n      schemas: [{}]\n      clusters: [{}]\n",
            folders.join("\n"),
            list("s", 8),
            list("c", 4)
        ),
    );
    project.write(
        "models/s0/stg.sql",
        "select id, customer, amount from {{ ref('orders') }}\n",
    );
    for number in 1..8 {
        let cluster = if number == 7 { 3 } else { number % 3 };
        project.write(
            &format!("models/s{number}/mart{number}.sql"),
            &format!(
                "{{{{ config(materialized='materialized_view', cluster='{prefix}_c{cluster}') }}}}\n\
                 select customer, sum(amount) as total, 1 as release from {{{{ ref('stg') }}}} group by customer\n"
            ),
        );
        // An index of its own on the cluster of `s7` for `s5`.
        let index = match number {
            5 => format!(
                "{{{{ config(indexes=[{{'columns': ['customer'], 'name': 'face5_idx', 'cluster': '{prefix}_c3'}}]) }}}}\n"
            ),
            _ => String::new(),
        };
        project.write(
            &format!("models/s{number}/face{number}.sql"),
            &format!("{index}select * from {{{{ ref('mart{number}') }}}}\n"),
        );
    }
    Some(world)
}

/// Production by a plain dbt, taken over by an import.
async fn taken_over() -> Option<World> {
    let world = many_schemas().await?;
    world.produce().await;
    world
        .cutover(&["baseline", "import", "--manifest", "target/manifest.json"])
        .await
        .exits(0);
    Some(world)
}

fn set_release(world: &World, number: usize, release: u32) {
    let place = format!("models/s{number}/mart{number}.sql");
    let text = world.project.read(&place);
    let (head, tail) = text.split_once("total, ").expect("a mart");
    let (_, tail) = tail.split_once(" as release").expect("a mart");
    world
        .project
        .write(&place, &format!("{head}total, {release} as release{tail}"));
}

async fn release_of(world: &World, number: usize) -> String {
    let schema = world.name(&format!("s{number}"));
    let query = format!("SELECT max(release)::text FROM {schema}.face{number}");
    world.sql.value(&query).await
}

fn names(list: &Value, key: &str) -> Vec<String> {
    let items = list.as_array().cloned().unwrap_or_default();
    items
        .iter()
        .map(|item| item[key].as_str().unwrap_or_default().to_owned())
        .collect()
}

async fn plan(world: &World, more: &[&str]) -> Value {
    let mut arguments = vec!["plan"];
    arguments.extend(more);
    let outcome = world.cutover(&arguments).await.exits(0);
    let document = outcome.document();
    document.get("plan").cloned().unwrap_or(document)
}

async fn plans_nothing(world: &World) {
    let plan = plan(world, &[]).await;
    assert_eq!(plan["mode"], "slim", "{plan}");
    for key in ["schemas", "clusters", "nodes", "indexes"] {
        assert_eq!(plan[key], serde_json::json!([]), "{plan}");
    }
}

/// The names whose ids differ.
fn moved(before: &Snapshot, after: &Snapshot) -> BTreeSet<String> {
    let names = before.ids.keys().chain(after.ids.keys());
    names
        .filter(|name| before.ids.get(*name) != after.ids.get(*name))
        .cloned()
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changed_leaf_moves_one_schema_one_cluster_and_the_indexes_there() {
    let Some(world) = taken_over().await else {
        return;
    };
    let begin = world.snapshot().await;
    plans_nothing(&world).await;
    let nothing = world.cutover(&["deploy"]).await.exits(0);
    assert!(nothing.states().is_empty(), "{nothing}");
    world.snapshot().await.is(&begin);

    set_release(&world, 7, 2);
    let planned = plan(&world, &[]).await;
    let (s7, c3) = (world.name("s7"), world.name("c3"));
    assert_eq!(names(&planned["schemas"], "name"), [s7.as_str()]);
    assert_eq!(names(&planned["clusters"], "name"), [c3.as_str()]);
    assert_eq!(
        names(&planned["nodes"], "reason"),
        ["downstream of model.shop.mart7", "compiled SQL differs"]
    );
    assert_eq!(names(&planned["indexes"], "name"), ["face5_idx"]);
    assert_eq!(
        names(&planned["indexes"], "reason"),
        [format!(
            "index of unchanged model.shop.face5 on cluster {c3}"
        )]
    );
    assert_eq!(plan(&world, &[]).await, planned, "a plan is the same twice");

    world.cutover(&["deploy"]).await.exits(0);
    assert_eq!(release_of(&world, 7).await, "2");
    assert_eq!(release_of(&world, 6).await, "1");
    world.nothing_left().await;
    let after = world.snapshot().await;
    after.describes_the_same(&begin);
    let s5 = world.name("s5");
    let expected = BTreeSet::from([
        format!("cluster {c3}"),
        format!("object {s5}.face5_idx"),
        format!("object {s7}.face7"),
        format!("object {s7}.mart7"),
        format!("schema {s7}"),
    ]);
    assert_eq!(moved(&begin, &after), expected);
    plans_nothing(&world).await;

    // Swapped, and swapped back: the change is a change again.
    set_release(&world, 7, 3);
    world
        .cutover(&["deploy", "--cleanup", "manual"])
        .await
        .exits(0);
    assert_eq!(release_of(&world, 7).await, "3");
    world.cutover(&["rollback"]).await.exits(0);
    assert_eq!(release_of(&world, 7).await, "2");
    world.nothing_left().await;
    world.snapshot().await.is(&after);
    let planned = plan(&world, &[]).await;
    assert_eq!(names(&planned["schemas"], "name"), [s7.as_str()]);

    // Given up before the swap.
    world
        .cutover(&["deploy", "--promotion", "manual"])
        .await
        .exits(0);
    world.cutover(&["abort"]).await.exits(0);
    world.nothing_left().await;
    world.snapshot().await.is(&after);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_selection_leaves_out_is_held_back_and_comes_later() {
    let Some(world) = taken_over().await else {
        return;
    };
    set_release(&world, 7, 2);
    set_release(&world, 6, 2);
    let (s6, s7) = (world.name("s6"), world.name("s7"));
    world
        .cutover(&["deploy", "--select", "mart7"])
        .await
        .exits(0);
    assert_eq!(release_of(&world, 7).await, "2");
    assert_eq!(release_of(&world, 6).await, "1");
    // The project is as it was; what was held back is still to be released.
    let planned = plan(&world, &[]).await;
    let schemas = names(&planned["schemas"], "name");
    assert!(
        schemas.contains(&s6) && !schemas.contains(&s7),
        "{schemas:?}"
    );
    let nodes = planned["nodes"].as_array().cloned().unwrap_or_default();
    let mart6 = nodes.iter().find(|node| node["identifier"] == "mart6");
    assert_eq!(
        mart6.map(|node| node["reason"].clone()),
        Some("held back, compiled SQL differs".into())
    );
    world.cutover(&["deploy"]).await.exits(0);
    assert_eq!(release_of(&world, 6).await, "2");
    plans_nothing(&world).await;

    // A relation that the project no longer has leaves production by the swap of its schema.
    world.project.remove("models/s7/face7.sql");
    let planned = plan(&world, &[]).await;
    assert_eq!(names(&planned["schemas"], "name"), [s7.as_str()]);
    assert_eq!(planned["loses"], serde_json::json!([format!("{s7}.face7")]));
    world.cutover(&["deploy"]).await.exits(0);
    let after = world.snapshot().await;
    assert!(!after.ids.contains_key(&format!("object {s7}.face7")));
    world.nothing_left().await;
    plans_nothing(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_told_and_rebuilt_or_left_as_one_wishes() {
    let Some(mut world) = taken_over().await else {
        return;
    };
    let (s7, c3) = (world.name("s7"), world.name("c3"));
    for sql in [
        format!("DROP VIEW {s7}.face7"),
        format!("CREATE VIEW {s7}.face7 AS SELECT customer, total, 99 AS release FROM {s7}.mart7"),
    ] {
        world.sql.run(&sql).await;
    }
    world
        .cutover(&["plan"])
        .await
        .exits(3)
        .says("drift")
        .says(&format!("{s7}.face7 recreated"));
    let left = plan(&world, &["--allow", "drift"]).await;
    assert_eq!(left["schemas"], serde_json::json!([]));
    world.set("ON_DRIFT", "rebuild");
    let rebuilt = plan(&world, &[]).await;
    assert_eq!(names(&rebuilt["schemas"], "name"), [s7.as_str()]);
    assert_eq!(names(&rebuilt["clusters"], "name"), [c3]);
    world.cutover(&["deploy"]).await.exits(0);
    assert_eq!(release_of(&world, 7).await, "1");
    world.set("ON_DRIFT", "refuse");
    plans_nothing(&world).await;

    // What changed outside what is released is named, with the line to add.
    world
        .project
        .replace("dbt_project.yml", &format!(", {s7}]"), "]");
    set_release(&world, 7, 2);
    world
        .cutover(&["plan"])
        .await
        .exits(3)
        .says("node-outside-deployment")
        .says(&format!("add `- {s7}` under vars.deployment.prod.schemas"));
}
