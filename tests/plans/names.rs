//! Names that are legal and strange: blanks, unicode, the longest that fit, quotes.

use crate::support::{Needs, World};

/// The longest name that still takes the suffix, in bytes.
const LONGEST: usize = 255 - "_dbt_deploy".len();

#[tokio::test(flavor = "multi_thread")]
async fn strange_names_are_released_like_others() {
    let Some(world) = World::start(Needs::AnyServer).await else {
        return;
    };
    let prefix = &world.prefix;
    let strange = "Schéma mit Leerraum 店 $1 %s";
    let long = "y".repeat(LONGEST - prefix.len() - 1);
    let compute = world.name("compute");
    for place in [
        "models/marts/totals.sql",
        "models/marts/counts.sql",
        "models/serving/report.sql",
        "models/staging/stg_orders.sql",
        "models/schema.yml",
        "tests/no_negative_totals.sql",
        "seeds/orders.csv",
    ] {
        world.project.remove(place);
    }
    world.project.write(
        "dbt_project.yml",
        &format!(
            "name: shop\nversion: '1.0'\nprofile: shop\nvars:\n  deployment:\n    prod:\n      clusters: [{compute}]\n      \
             schemas: [\"{prefix}_{strange}\", {prefix}_{long}]\n"
        ),
    );
    world.project.write(
        "models/first.sql",
        &format!(
            "{{{{ config(schema='{strange}', alias='Größe der Straße', materialized='materialized_view', \
             indexes=[{{'default': True}}]) }}}} select 1 as \"Spalte 店\""
        ),
    );
    world.project.write(
        "models/second.sql",
        &format!(
            "{{{{ config(schema='{long}', alias='{}') }}}} select \"Spalte 店\" from {{{{ ref('first') }}}}",
            "z".repeat(200)
        ),
    );
    world.project.write(
        "tests/both.sql",
        "select * from {{ ref('second') }} where \"Spalte 店\" < 1",
    );
    let environment = "it's \"prod\" 店; --";
    world.project.write(
        "cutover.yaml",
        &format!(
            "environments:\n  {}:\n    project: {{target: prod}}\n",
            serde_json::json!(environment)
        ),
    );
    world
        .cutover(&["deploy", environment, "--bootstrap"])
        .await
        .exits(0);
    world.nothing_left().await;
    let first = world.snapshot().await;
    world
        .sql
        .run(&format!(
            "COMMENT ON SCHEMA \"{prefix}_{strange}\" IS 'it''s \"ours\" [cutover ] 店'"
        ))
        .await;
    let commented = world.snapshot().await;

    world
        .project
        .replace("models/first.sql", "select 1 as", "select 2 as");
    world.cutover(&["deploy", environment]).await.exits(0);
    let second = world.snapshot().await;
    commented.describes_the_same(&second);
    assert_ne!(first.ids, second.ids);
    let value = format!(
        "SELECT \"Spalte 店\" FROM \"{prefix}_{long}\".\"{}\"",
        "z".repeat(200)
    );
    assert_eq!(world.sql.value(&value).await, "2");
    let status = world.cutover_text(&["status"]).await.exits(0);
    assert!(status.stdout.contains("prod"), "{status}");
    assert_eq!(second.leftovers(), Vec::<&String>::new());
}
