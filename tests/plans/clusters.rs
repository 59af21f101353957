//! Projects whose macros decide what clusters are called.

use crate::support::{Needs, World};
use serde_json::{Value, json};

/// A macro that makes `shop_compute` of the target `prod` `shop_compute_prod`.
const MACRO: &str = "{% macro generate_cluster_name(custom_cluster_name) -%}\n\
    \x20   {{ custom_cluster_name ~ '_' ~ target.name }}\n\
    {%- endmacro %}\n";

/// The shop in production on clusters that its macro names. Clusters of the names that the project
/// gives exist too and are somebody else's; the profile's, which `dbt` tests on, is not deployed.
async fn renamed() -> Option<World> {
    let mut world = World::start(Needs::AnyServer).await?;
    world.set("SCOPE", "slim");
    for cluster in ["compute_prod", "serve_prod", "dev", "dev_prod"] {
        let name = world.name(cluster);
        world
            .sql
            .run(&format!("CREATE CLUSTER {name} (SIZE = '25cc')"))
            .await;
    }
    let project = &world.project;
    project.write("macros/clusters.sql", MACRO);
    let [compute, serve, dev] = ["compute", "serve", "dev"].map(|name| world.name(name));
    project.replace(
        "dbt_project.yml",
        &format!("clusters: [{compute}, {serve}]"),
        &format!("clusters: [{compute}_prod, {serve}_prod]"),
    );
    project.replace(
        "profiles.yml",
        &format!("cluster: {compute}"),
        &format!("cluster: {dev}"),
    );
    world.produce().await;
    world
        .cutover(&["baseline", "import", "--manifest", "target/manifest.json"])
        .await
        .exits(0);
    Some(world)
}

/// The name of the cluster that computes each of the world's objects, by `schema.name`.
async fn computed_on(world: &World) -> Vec<(String, String)> {
    let query = format!(
        "SELECT s.name || '.' || o.name, c.name FROM mz_catalog.mz_objects o \
         JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id \
         JOIN mz_catalog.mz_clusters c ON c.id = o.cluster_id \
         WHERE s.name LIKE '{}%' ORDER BY 1",
        world.prefix
    );
    let rows = world.sql.rows(&query).await;
    rows.into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_that_names_its_clusters_is_released_on_what_the_adapter_uses() {
    let Some(world) = renamed().await else { return };
    let (before, placed) = (world.snapshot().await, computed_on(&world).await);
    world.project.set_release(2);
    let plan = world.cutover(&["plan"]).await.exits(0).document();
    let plan = plan.get("plan").unwrap_or(&plan).clone();
    let [compute, serve] = ["compute_prod", "serve_prod"].map(|name| world.name(name));
    let clusters: Vec<&Value> = ["name", "green"]
        .into_iter()
        .flat_map(|key| {
            plan["clusters"]
                .as_array()
                .into_iter()
                .flatten()
                .map(move |one| &one[key])
        })
        .collect();
    assert_eq!(
        json!(clusters),
        json!([
            compute,
            serve,
            format!("{compute}_dbt_deploy"),
            format!("{serve}_dbt_deploy")
        ])
    );
    assert_eq!(plan["test_cluster"], json!(compute));
    assert_eq!(plan["test_cluster_given"], json!(world.name("compute")));

    world.cutover(&["deploy"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
    assert_eq!(computed_on(&world).await, placed);
    let after = world.snapshot().await;
    for (cluster, moved) in [
        ("compute_prod", true),
        ("serve_prod", true),
        ("compute", false),
        ("serve", false),
        ("dev", false),
        ("dev_prod", false),
    ] {
        let name = format!("cluster {}", world.name(cluster));
        let [before, after] = [&before, &after].map(|side| side.ids.get(&name).expect(&name));
        assert_eq!(before != after, moved, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_macro_whose_green_names_miss_the_green_clusters_is_refused() {
    let Some(world) = renamed().await else { return };
    world.project.set_release(2);
    // dbt puts the suffix behind the line's end, and Materialize would be told of two words.
    world.project.write(
        "macros/clusters.sql",
        &MACRO.replace("-%}", "%}").replace("{%-", "{%"),
    );
    let plan = async || world.cutover(&["plan"]).await;
    let compute = world.name("compute");
    let refused = plan()
        .await
        .exits(3)
        .says("deploy-suffix-missing")
        .document();
    let message = refused["error"]["message"].as_str().expect("a message");
    let expected =
        format!("{compute} → \"{compute}_prod\\n_dbt_deploy\", not \"{compute}_prod_dbt_deploy\"");
    assert!(message.contains(&expected), "{message}");
    // A macro that looks at `deploy` itself.
    world.project.write(
        "macros/clusters.sql",
        &MACRO.replace(
            "target.name",
            "('green' if var('deploy', false) else 'prod')",
        ),
    );
    plan().await.exits(3).says("deploy-suffix-missing");
    world.project.write("macros/clusters.sql", MACRO);
    plan().await.exits(0);
    // A name that is none.
    world.project.write(
        "macros/clusters.sql",
        "{% macro generate_cluster_name(custom_cluster_name) %}{% endmacro %}\n",
    );
    plan().await.exits(3).says("cluster-missing");
    // A macro that fails says so in its own words.
    world.project.write(
        "macros/clusters.sql",
        "{% macro generate_cluster_name(custom_cluster_name) %}\
         {{ exceptions.raise_compiler_error('no cluster for ' ~ custom_cluster_name) }}{% endmacro %}\n",
    );
    let outcome = plan().await.says("no cluster for");
    assert_ne!(outcome.code, Some(0), "{outcome}");
}
