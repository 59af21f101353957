//! What these tests have in common: a production that is known, a request, and eyes for what is written where.

use crate::support::{Needs, Outcome, World};
use regex::Regex;
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

/// The corner of this name is torn down.
pub async fn torn_down(world: &World, name: &str) {
    let teardown = ["ci", "teardown", "--name", name];
    world.cutover(&teardown).await.exits(0);
}

/// The corner of this name is torn down, if there is one.
pub async fn torn_down_if_there(world: &World, name: &str) {
    let teardown = ["ci", "teardown", "--name", name];
    let torn = world.cutover(&teardown).await;
    assert!(matches!(torn.code, Some(0 | 3)), "{torn}");
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

/// What is of production, and statements that may only read it.
pub struct Guard {
    names: Regex,
    pattern: String,
}

impl Guard {
    pub fn of(world: &World) -> Self {
        let names =
            ["staging", "marts", "serving", "compute", "serve"].map(|name| world.name(name));
        let names = names.join("|");
        // A corner's own names go on after one of these.
        Self {
            names: Regex::new(&format!(r"\b({names})\b")).expect("an expression"),
            pattern: format!("\\y({names})\\y"),
        }
    }

    /// The statements after one with this number that name something of production otherwise than to read it, with
    /// the number of the last statement and how many there were. What a statement makes, changes, drops or computes on
    /// stands before the query that it is made of.
    pub async fn look(&self, world: &World, after: u64) -> (Vec<String>, u64, u64) {
        let own = format!("id > {after} AND application_name <> 'cutover-tests'");
        let query = format!(
            "SELECT coalesce(max(id), {after})::text, count(*)::text FROM mz_sandbox.statements WHERE {own}"
        );
        let counted = world.sql.rows(&query).await;
        let number = |at: usize| -> u64 { counted[0][at].parse().expect("a number") };
        let (last, count) = (number(0), number(1));
        let query = format!(
            "SELECT sql FROM mz_sandbox.statements WHERE {own} AND id <= {last} \
             AND class IN ('ddl', 'no_change', 'write', 'session') AND sql ~ '{}'",
            self.pattern
        );
        let statements = world.sql.rows(&query).await.into_iter().flatten();
        let touches = |sql: &String| {
            let target = sql.split(" AS (").next().expect("a beginning");
            !target.contains("*/ SHOW ") && self.names.is_match(target)
        };
        (statements.filter(touches).collect(), last, count)
    }
}

/// Asserts that nothing but the test wrote to production, or computed on its clusters.
pub async fn wrote_nothing_to_production(world: &World) {
    let (touching, _, count) = Guard::of(world).look(world, 0).await;
    assert_eq!(touching, Vec::<String>::new());
    assert!(count > 0);
}
