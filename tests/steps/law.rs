//! After any release the project's relations are in production: what a plan does not see is refused, and
//! what changes until the swap is seen inside it.

use crate::support::{Needs, Outcome, Snapshot, World};

const MANUAL: [&str; 3] = ["deploy", "--promotion", "manual"];

/// The shop in production and released once, with a view `lone` beside the seed that nothing reads.
async fn world() -> Option<World> {
    let mut world = World::start(Needs::AnyServer).await?;
    world.produce_by_sql().await;
    world.project.without_tests();
    world
        .project
        .write("models/staging/lone.sql", "select 1 as a\n");
    world.sql.run(&lone(&world)).await;
    world.dbt(&["parse"]).await.exits(0);
    world
        .cutover(&["baseline", "import", "--manifest", "target/manifest.json"])
        .await
        .exits(0);
    world.set("SCOPE", "slim");
    Some(world)
}

fn lone(world: &World) -> String {
    format!(
        "CREATE VIEW {}.lone AS SELECT 1 AS a",
        world.name("staging")
    )
}

/// A release of two schemas that waits; the schema of `lone` stays.
async fn ready(world: &World, release: u32) -> Snapshot {
    world.project.set_release(release);
    let outcome = world.cutover(&MANUAL).await.exits(0);
    let show = world
        .cutover(&["show", &outcome.deployment()])
        .await
        .exits(0);
    let document = show.document();
    let plan = &document["plan"];
    let swapped = plan["schemas"].as_array().map(Vec::len);
    assert_eq!(swapped, Some(2), "{plan}");
    let keeps = plan["keeps"].as_object().expect("what stays");
    let lone = format!("{}.lone", world.name("staging"));
    assert!(keeps.values().any(|name| *name == lone), "{keeps:?}");
    world.snapshot().await
}

/// The swap was declined by name, and production is what it was.
async fn declined(world: &World, outcome: Outcome, why: &str, production: &Snapshot) {
    outcome.exits(1).says(why);
    world.nothing_left().await;
    world.snapshot().await.is(production);
    world.serves(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relation_of_a_schema_that_stays_and_disappears_declines_the_swap() {
    let Some(world) = world().await else { return };
    let before = world.snapshot().await;
    let staging = world.name("staging");

    // While it waits.
    ready(&world, 2).await;
    let rename = format!("ALTER VIEW {staging}.lone RENAME TO lonely");
    world.sql.run(&rename).await;
    let renamed = format!("relation-lost: {staging}.lone is called {staging}.lonely");
    let outcome = world.cutover(&["promote"]).await.exits(1).says(&renamed);
    assert!(!outcome.all().contains("it is live"), "{outcome}");
    world.nothing_left().await;
    world.serves(1).await;
    let back = format!("ALTER VIEW {staging}.lonely RENAME TO lone");
    world.sql.run(&back).await;
    world.snapshot().await.is(&before);

    // Between the last rehearsal and the transaction.
    ready(&world, 2).await;
    world.hold("cutover: begin swap ", 2).await;
    let promoting = world.spawn(&["promote"]);
    world.struck().await;
    world.sql.run(&format!("DROP VIEW {staging}.lone")).await;
    world.let_go().await;
    let dropped = format!("relation-lost: {staging}.lone was dropped");
    let outcome = promoting.ended().await;
    // Green is as it was, so it is for an operator to say what comes next.
    outcome.exits(3).says(&dropped);
    world.serves(1).await;
    world.cutover(&["promote"]).await.exits(1).says(&dropped);
    world.nothing_left().await;
    world.serves(1).await;

    // The next plan knows of it, and accepted by name it is released.
    world.cutover(&["plan"]).await.exits(3).says("drift");
    world
        .cutover(&["deploy", "--allow", "drift"])
        .await
        .exits(0);
    world.serves(2).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_green_relation_that_is_renamed_or_replaced_declines_the_swap() {
    let Some(world) = world().await else { return };
    let before = world.snapshot().await;
    let green = format!("{}_dbt_deploy", world.name("serving"));

    ready(&world, 2).await;
    let rename = format!("ALTER VIEW {green}.report RENAME TO other");
    world.sql.run(&rename).await;
    let outcome = world.cutover(&["promote"]).await;
    let why = format!(
        "relation-lost: {}.report is called {green}.other in green",
        world.name("serving")
    );
    declined(&world, outcome, &why, &before).await;

    ready(&world, 2).await;
    for sql in [
        format!("DROP VIEW {green}.report CASCADE"),
        format!("CREATE VIEW {green}.report AS SELECT 2 AS release"),
    ] {
        world.sql.run(&sql).await;
    }
    let outcome = world.cutover(&["promote"]).await;
    // It is not the deployment's, so it is for a person to drop.
    outcome.exits(5).says(&format!("{green}.report"));
    world.serves(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_whose_schema_is_rendered_anew_is_never_lost() {
    let Some(world) = world().await else { return };
    let [serving, extra] = ["serving", "extra"].map(|name| world.name(name));
    world.sql.run(&format!("CREATE SCHEMA {extra}")).await;
    world.project.replace(
        "dbt_project.yml",
        "serving: {+schema: serving,",
        "serving: {+schema: \"{{ var('place', 'serving') }}\",",
    );
    world.project.replace(
        "dbt_project.yml",
        "schemas: [",
        &format!("schemas: [{extra}, "),
    );
    world.dbt(&["parse"]).await.exits(0);
    let import = ["baseline", "import", "--manifest", "target/manifest.json"];
    world
        .cutover(&[&import[..], &["--replace"]].concat())
        .await
        .exits(0);
    let before = world.snapshot().await;
    let vars = ["--vars", "{place: extra}"];
    let outcome = world.cutover(&[&["deploy"], &vars[..]].concat()).await;
    if outcome.code != Some(0) {
        let gone =
            format!("model.shop.report ({serving}.report goes; {extra}.report: not in production)");
        outcome.exits(3).says("relation-lost").says(&gone);
        world.snapshot().await.is(&before);
        world
            .cutover(&[&["deploy", "--full"], &vars[..]].concat())
            .await
            .exits(0);
    }
    let query = format!("SELECT max(release)::text FROM {extra}.report");
    assert_eq!(world.sql.value(&query).await, "1");
    world.nothing_left().await;
    let after = world.snapshot().await;
    assert!(!after.ids.contains_key(&format!("object {serving}.report")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_in_place_looks_at_what_stays_too() {
    let Some(world) = world().await else { return };
    let staging = world.name("staging");
    let totals = "models/marts/totals.sql";
    world
        .project
        .replace(totals, "1 as release", "2 as release");
    world
        .cutover(&["deploy", "--strategy", "replace", "--promotion", "manual"])
        .await
        .exits(0);
    world.sql.run(&format!("DROP VIEW {staging}.lone")).await;
    world
        .cutover(&["promote"])
        .await
        .exits(1)
        .says(&format!("relation-lost: {staging}.lone"));
    world.serves(1).await;
    world.nothing_left().await;
}
