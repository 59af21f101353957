//! What these tests have in common: a production that is known, a request, and eyes for what is written where.

use crate::support::{Needs, Outcome, World};
use serde_json::Value;
use std::collections::BTreeMap;

/// Production by plain SQL, and known as the baseline with what dbt compiled.
pub async fn live() -> Option<World> {
    let world = World::start(Needs::Sandbox).await?;
    world.produce_by_sql().await;
    known(&world).await;
    world
        .sql
        .run("UPDATE mz_sandbox.settings SET value = 'on' WHERE name = 'log_statements'")
        .await;
    Some(world)
}

/// Takes what the project compiles to now as what is live.
pub async fn known(world: &World) {
    let compiled = world.dbt(&["compile"]).await;
    assert_eq!(compiled.code, Some(0), "{compiled}");
    let import = [
        "baseline",
        "import",
        "--replace",
        "--manifest",
        "target/manifest.json",
    ];
    world.cutover(&import).await.exits(0);
}

/// Builds a corner.
pub async fn build(world: &World, name: &str, more: &[&str]) -> Outcome {
    let mut arguments = vec!["ci", "build", "--name", name];
    arguments.extend(more);
    world.cutover(&arguments).await
}

/// The nodes of a report with what became of them.
pub fn states(report: &Value) -> BTreeMap<String, String> {
    let nodes = report["nodes"].as_array().expect("nodes").iter();
    nodes
        .map(|node| {
            let id = node["unique_id"].as_str().expect("an id");
            let name = id.rsplit('.').next().expect("a name");
            (
                name.to_owned(),
                node["state"].as_str().expect("a state").to_owned(),
            )
        })
        .collect()
}

/// The same, as it is expected.
pub fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, state)| ((*name).to_owned(), (*state).to_owned()))
        .collect()
}

/// What stands under the names of production: `schema.name` → id, of schemas and clusters too.
pub async fn production(world: &World) -> BTreeMap<String, String> {
    let schemas = ["staging", "marts", "serving"].map(|name| format!("'{}'", world.name(name)));
    let clusters = ["compute", "serve"].map(|name| format!("'{}'", world.name(name)));
    let (schemas, clusters) = (schemas.join(","), clusters.join(","));
    let mut found = BTreeMap::new();
    for query in [
        format!("SELECT name::text, id::text FROM mz_catalog.mz_schemas WHERE name IN ({schemas})"),
        format!(
            "SELECT name::text, id::text FROM mz_catalog.mz_clusters WHERE name IN ({clusters})"
        ),
        format!(
            "SELECT s.name || '.' || o.name, o.id::text FROM mz_catalog.mz_objects o \
             JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id WHERE s.name IN ({schemas})"
        ),
    ] {
        for row in world.sql.rows(&query).await {
            found.insert(row[0].clone(), row[1].clone());
        }
    }
    found
}

/// The id of a relation of a corner; `None` where there is none.
pub async fn id(world: &World, schema: &str, name: &str) -> Option<String> {
    let query = format!(
        "SELECT o.id::text FROM mz_catalog.mz_objects o JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id \
         WHERE s.name = '{}' AND o.name = '{name}'",
        world.name(schema)
    );
    world
        .sql
        .rows(&query)
        .await
        .pop()
        .and_then(|mut row| row.pop())
}

/// Asserts that nothing of any corner is on the server, and no look either.
pub async fn nothing_left(world: &World) {
    let query = "SELECT name::text FROM mz_catalog.mz_schemas WHERE name LIKE '%\\_\\_%' OR name LIKE 'cutover%' \
                 UNION ALL SELECT name::text FROM mz_catalog.mz_clusters WHERE name LIKE 'ci%' OR name LIKE 'cutover%'";
    assert_eq!(world.sql.rows(query).await, Vec::<Vec<String>>::new());
}

/// Asserts that `cutover` wrote nothing to production: what a statement makes, changes or drops stands before the
/// query that it is made of, and names nothing of production there.
pub async fn wrote_nothing_to_production(world: &World) {
    let query = "SELECT sql FROM mz_sandbox.statements WHERE application_name = 'cutover' AND class IN ('ddl', 'write')";
    let statements = world.sql.rows(query).await;
    assert!(!statements.is_empty());
    let names: Vec<String> = ["staging", "marts", "serving", "compute", "serve"]
        .map(|name| format!("\"{}\"", world.name(name)))
        .into();
    for row in statements {
        let target = row[0].split(" AS (").next().expect("a beginning");
        for name in &names {
            assert!(!target.contains(name), "{}", row[0]);
        }
    }
}
