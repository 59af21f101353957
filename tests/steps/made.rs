//! What dbt makes beside its models: tests that store their failures, what hooks make, version pointers.

use crate::support::{Needs, Outcome, Replay, Running, World, eventually};
use nix::sys::signal::Signal;

/// A shop whose tests store their failures in a schema and on a cluster of their own, as the vendor's
/// recipe for continuous tests has it; `vars.deployment` lists neither.
async fn storing() -> Option<World> {
    let world = World::start(Needs::Sandbox).await?;
    world
        .sql
        .run("CREATE CLUSTER shop_checks (SIZE = '25cc')")
        .await;
    let place = "dbt_project.yml";
    let text = world.project.read(place);
    let stored =
        "data_tests:\n  shop: {+store_failures: true, +schema: audit, +cluster: shop_checks}\n";
    world.project.write(place, &format!("{text}{stored}"));
    Some(world)
}

/// The remedy of the one refusal for tests that store their failures outside.
#[track_caller]
fn remedy(outcome: Outcome) -> String {
    let outcome = outcome.exits(3);
    let error = outcome.error();
    let message = error["message"].as_str().expect("a message").to_owned();
    assert_eq!(message.matches("remedy: ").count(), 1, "{message}");
    assert!(message.contains("stored-failures-outside: "), "{message}");
    for test in [
        "no_negative_totals",
        "not_null_totals_customer",
        "unique_totals_customer",
    ] {
        assert!(message.contains(test), "no {test} in {message}");
    }
    let (_, remedy) = message.split_once("remedy: ").expect("a remedy");
    remedy.to_owned()
}

/// Does what a refusal says: the names between `- ` and the backtick after each list.
fn add_lines(world: &World, remedy: &str) {
    for list in ["schemas", "clusters"] {
        let under = format!(" under vars.deployment.prod.{list}");
        let (before, _) = remedy.split_once(&under).expect("a line to add");
        let (_, name) = before.rsplit_once("`- ").expect("a name");
        let name = name.strip_suffix('`').expect("a name in backticks");
        let place = "dbt_project.yml";
        world
            .project
            .replace(place, &format!("{list}: ["), &format!("{list}: [{name}, "));
    }
}

/// Every stored test of the project, under the names of production, on which cluster, and what it reads.
async fn stored(world: &World) -> Vec<Vec<String>> {
    world
        .sql
        .rows(
            "SELECT m.name::text, c.name::text, r.name::text FROM mz_catalog.mz_materialized_views m \
             JOIN mz_catalog.mz_schemas s ON s.id = m.schema_id \
             JOIN mz_catalog.mz_clusters c ON c.id = m.cluster_id \
             JOIN mz_internal.mz_object_dependencies d ON d.object_id = m.id \
             JOIN mz_catalog.mz_objects r ON r.id = d.referenced_object_id \
             JOIN mz_catalog.mz_schemas rs ON rs.id = r.schema_id \
             WHERE s.name = 'shop_audit' AND rs.name IN ('shop_marts', 'shop_serving') ORDER BY 1",
        )
        .await
}

fn all_stored() -> Vec<Vec<String>> {
    [
        ["no_negative_totals", "shop_checks", "report"],
        ["not_null_totals_customer", "shop_checks", "totals"],
        ["unique_totals_customer", "shop_checks", "totals"],
    ]
    .map(|row| row.map(str::to_owned).to_vec())
    .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_that_store_their_failures_are_released_with_what_they_read() {
    let Some(mut world) = storing().await else {
        return;
    };
    world.produce().await;
    assert_eq!(stored(&world).await, all_stored(), "as dbt made them");

    // Outside the deployment: refused by one name, with what to do.
    add_lines(&world, &remedy(world.cutover(&["deploy"]).await));

    // Done as it says, it is released: all of it, then what changed alone.
    world.project.set_release(2);
    world.cutover(&["deploy"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
    assert_eq!(stored(&world).await, all_stored());
    let drift = world
        .cutover(&["baseline", "show"])
        .await
        .exits(0)
        .document();
    assert_eq!(
        drift["live"]["drift"].as_array().map(Vec::len),
        Some(0),
        "{drift:#}"
    );

    world.set("SCOPE", "slim");
    let nothing = world.cutover(&["plan"]).await.exits(0).document();
    assert_eq!(
        nothing["nodes"].as_array().map(Vec::len),
        Some(0),
        "{nothing:#}"
    );
    let kept = world.snapshot().await;
    world.project.set_release(3);
    world.cutover(&["deploy"]).await.exits(0);
    world.serves(3).await;
    world.nothing_left().await;
    assert_eq!(stored(&world).await, all_stored());
    let now = world.snapshot().await;
    let seed = "object shop_staging.orders";
    assert_eq!(now.id(seed), kept.id(seed), "the seed is not rebuilt");

    // A test that fails ends the release, and what it stored goes with green.
    let before = world.snapshot().await;
    world.project.set_release(4);
    world
        .project
        .replace("tests/no_negative_totals.sql", "total < 0", "total > 0");
    world
        .cutover(&["deploy"])
        .await
        .exits(1)
        .says("test.shop.no_negative_totals");
    world.nothing_left().await;
    world.snapshot().await.is(&before);
    world.serves(3).await;

    // One that stores nothing any more leaves production.
    world.project.write(
        "tests/no_negative_totals.sql",
        "{{ config(store_failures=false) }} select * from {{ ref('report') }} where total < 0",
    );
    world.cutover(&["deploy"]).await.exits(0);
    world.serves(4).await;
    assert_eq!(stored(&world).await, all_stored()[1..]);
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_failures_that_production_has_not_yet_are_made_by_the_first_release() {
    let Some(mut world) = storing().await else {
        return;
    };
    world.produce_by_sql().await;
    // By the switch instead of the configuration.
    let place = "dbt_project.yml";
    world.project.replace(place, "+store_failures: true, ", "");
    let switch = "DBT_STORE_FAILURES".to_owned();
    world.environment.insert(switch.clone(), "true".to_owned());
    let remedy = remedy(world.cutover(&["deploy"]).await);
    assert!(remedy.contains("--bootstrap"), "{remedy}");
    // The other remedy: without the switch nothing is stored.
    assert!(remedy.contains("leave out their `cluster`"), "{remedy}");
    world.environment.remove(&switch);
    let cluster = ", +cluster: shop_checks";
    world.project.replace(place, cluster, "");
    world.cutover(&["plan"]).await.exits(0);
    world.environment.insert(switch, "true".to_owned());
    world
        .project
        .replace(place, "+schema: audit", &format!("+schema: audit{cluster}"));

    add_lines(&world, &remedy);
    world.project.set_release(2);
    world.cutover(&["deploy", "--bootstrap"]).await.exits(0);
    world.serves(2).await;
    assert_eq!(stored(&world).await, all_stored());
    world.nothing_left().await;
}

/// Kills a release while the statement that matches is held.
async fn killed_at(world: &World, pattern: &str, action: &str) -> Running {
    let fault =
        format!("INSERT INTO mz_sandbox.faults (pattern, action) VALUES ('{pattern}', '{action}')");
    world.sql.run(&fault).await;
    let deploying = world.spawn(&["deploy"]);
    eventually("a statement to be held", async || {
        let held = "SELECT sum(held) FROM mz_sandbox.faults";
        (world.sql.value(held).await == "1").then_some(())
    })
    .await;
    deploying.signal(Signal::SIGKILL);
    world.sql.run("DELETE FROM mz_sandbox.faults").await;
    deploying
}

/// The process dies before and after a test made what it stores, and when all of it is on record.
#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_is_killed_while_tests_store_is_taken_up_or_given_up() {
    let Some(world) = storing().await else {
        return;
    };
    world.produce().await;
    add_lines(&world, &remedy(world.cutover(&["plan"]).await));
    let mut serving = 1;
    let while_made = "create materialized view[^;]*unique_totals_customer";
    let rehearsal = "cutover: swap schemas ";
    for (pattern, action) in [
        (while_made, "hang"),
        (while_made, "hang_after"),
        (rehearsal, "hang"),
    ] {
        world.project.set_release(serving + 1);
        let before = world.snapshot().await;
        killed_at(&world, pattern, action).await.ended().await;
        world.cutover(&["abort"]).await.exits(0);
        world.nothing_left().await;
        world.snapshot().await.is(&before);

        killed_at(&world, pattern, action).await.ended().await;
        world.cutover(&["resume"]).await.exits(0);
        serving += 1;
        world.serves(serving).await;
        world.nothing_left().await;
        assert_eq!(stored(&world).await, all_stored());
    }
    assert!(world.processes().is_empty());
}

const TOTALS: &str = "models/marts/totals.sql";
const LATEST: &str = "create view {{ this.schema }}.totals_latest as select * from {{ this }}";

/// Gives `totals` a hook in place of whatever it has.
fn hook(world: &World, sql: &str) {
    let text = world.project.read(TOTALS);
    let body = text
        .split_once("}}\n")
        .map_or(text.as_str(), |(_, body)| body);
    let body = if text.starts_with("{{ config") {
        body
    } else {
        &text
    };
    let config = match sql {
        "" => String::new(),
        sql => format!("{{{{ config(post_hook=\"{sql}\") }}}}\n"),
    };
    world.project.write(TOTALS, &format!("{config}{body}"));
}

async fn latest(world: &World) -> String {
    let query = "SELECT max(release)::text FROM shop_marts.totals_latest";
    world.sql.value(query).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_hook_makes_is_swapped_told_and_expected_again() {
    let Some(world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    hook(&world, LATEST);
    let plan = world.cutover(&["plan"]).await.exits(0).document();
    assert_eq!(plan["hooked"], serde_json::json!(["model.shop.totals"]));
    world.project.set_release(2);
    let deployed = world
        .cutover(&["deploy"])
        .await
        .exits(0)
        .says("made beside the plan")
        .says("shop_marts.totals_latest (view)");
    world.serves(2).await;
    assert_eq!(latest(&world).await, "2");
    world
        .cutover_text(&["show", &deployed.deployment()])
        .await
        .exits(0)
        .says("Made beside the plan\n  shop_marts.totals_latest (view)\n");

    // It is in production now, is no stranger, and is made again.
    world.project.set_release(3);
    let plan = world.cutover(&["plan"]).await.exits(0).document();
    assert_eq!(plan["loses"], serde_json::json!([]));
    assert_eq!(plan["beside"][0]["identifier"], "totals_latest");
    world.cutover(&["deploy"]).await.exits(0);
    world.serves(3).await;
    assert_eq!(latest(&world).await, "3");
    world.nothing_left().await;

    // A hook that does not make it again would lose it.
    let before = world.snapshot().await;
    hook(&world, "select 1");
    world.project.set_release(4);
    world
        .cutover(&["deploy"])
        .await
        .exits(1)
        .says("did not make shop_marts.totals_latest again");
    world.nothing_left().await;
    world.snapshot().await.is(&before);
    // Without any hook it goes, and the plan says so.
    hook(&world, "");
    let plan = world.cutover(&["plan"]).await.exits(0).document();
    assert_eq!(
        plan["loses"],
        serde_json::json!(["shop_marts.totals_latest"])
    );
    world.cutover(&["deploy"]).await.exits(0);
    world.serves(4).await;
    world.nothing_left().await;
}

/// Whatever dbt leaves in a release that fails is dropped with green; what it made elsewhere stays.
#[tokio::test(flavor = "multi_thread")]
async fn what_dbt_left_in_green_never_keeps_a_failed_release() {
    let Some(world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    world
        .sql
        .run_all(&[
            "CREATE SCHEMA others",
            "CREATE TABLE others.numbers (n int)",
        ])
        .await;
    let before = world.snapshot().await;
    let green = "{{ this.schema }}";
    for (made, reason) in [
        // The build itself fails, after its hook.
        (
            vec![LATEST.to_owned(), "select no_such_column".to_owned()],
            "no_such_column",
        ),
        // What cannot stay in a schema that is swapped.
        (
            vec![
                format!("create secret {green}.key as 'x'"),
                format!("create table {green}.numbers (n int)"),
                format!("insert into {green}.numbers values (1)"),
                format!("create view {green}.counted as select count(*) as n from {green}.numbers"),
            ],
            "key (secret)",
        ),
        // On a green cluster, in a schema that stays.
        (
            vec![
                "create index by_n in cluster shop_serve_dbt_deploy on others.numbers (n)"
                    .to_owned(),
            ],
            "cluster-shared",
        ),
    ] {
        let hooks: Vec<String> = made.iter().map(|sql| format!("\"{sql}\"")).collect();
        let text = world.project.read(TOTALS);
        world.project.write(
            TOTALS,
            &format!("{{{{ config(post_hook=[{}]) }}}}\n{text}", hooks.join(", ")),
        );
        world.cutover(&["deploy"]).await.exits(1).says(reason);
        world.project.write(TOTALS, &text);
        world.nothing_left().await;
        world.snapshot().await.is(&before);
    }
    world.serves(1).await;

    // Nothing has hooks, and a view that no node makes is in green when the build ends.
    let mut world = world;
    let replay = Replay::of(&mut world).await;
    replay.hold();
    let deploying = world.spawn(&["deploy"]);
    eventually("the build", async || replay.is_building().then_some(())).await;
    world
        .sql
        .run("CREATE VIEW shop_marts_dbt_deploy.surprise AS SELECT 1 AS one")
        .await;
    replay.go_on();
    let failed = deploying.ended().await.exits(1);
    let said = failed.all();
    assert!(
        said.contains("unmanaged-object") && said.contains("surprise"),
        "{said}"
    );
    world.nothing_left().await;
    world.snapshot().await.is(&before);
}

/// The hooks of a project run with the tests, too.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_hooks_of_a_project_make_is_recorded_after_each_run() {
    let Some(world) = World::start(Needs::Sandbox).await else {
        return;
    };
    world.produce_by_sql().await;
    let place = "dbt_project.yml";
    let text = world.project.read(place);
    let schema = "{{ target.schema }}_marts{{ '_dbt_deploy' if var('deploy', false) else '' }}";
    let hook = format!(
        "on-run-end:\n  - \"drop view if exists {schema}.runs\"\n  - \"create view {schema}.runs as select 7 as n\"\n"
    );
    world.project.write(place, &format!("{text}{hook}"));
    world.project.set_release(2);
    world
        .cutover(&["deploy"])
        .await
        .exits(0)
        .says("shop_marts.runs (view)");
    world.serves(2).await;
    assert_eq!(
        world.sql.value("SELECT n::text FROM shop_marts.runs").await,
        "7"
    );
    world.project.set_release(3);
    world.cutover(&["deploy"]).await.exits(0);
    world.serves(3).await;
    world.nothing_left().await;
}

/// dbt 1.12 makes a view under the bare name beside the latest version; earlier ones make nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_pointer_is_released_with_its_model() {
    let Some(world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    for version in [1, 2] {
        let place = format!("models/marts/v_v{version}.sql");
        world
            .project
            .write(&place, &format!("select {version} as n"));
    }
    world.project.write(
        "models/v.yml",
        "models:\n  - name: v\n    latest_version: 2\n    config: {latest_version_pointer: {enabled: true}}\n    versions: [{v: 1}, {v: 2}]\n",
    );
    // `--version` is answered by the test's own script.
    world.dbt(&["parse"]).await.exits(0);
    let text = world.project.read("target/manifest.json");
    let manifest: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let version = &manifest["metadata"]["dbt_version"];
    let makes_it = !version.as_str().expect("a version").starts_with("1.11.");
    let plan = world.cutover(&["plan"]).await.exits(0).document();
    let gains = plan["gains"].as_array().cloned().unwrap_or_default();
    assert_eq!(
        gains.contains(&"shop_marts.v".into()),
        makes_it,
        "{gains:?}"
    );
    world.project.set_release(2);
    for release in [2, 3] {
        world.project.set_release(release);
        let deployed = world.cutover(&["deploy"]).await.exits(0);
        assert!(
            !deployed.all().contains("made beside the plan"),
            "{deployed}"
        );
        world.serves(release).await;
        world.nothing_left().await;
        let pointer = "SELECT count(*)::text FROM mz_catalog.mz_views v \
             JOIN mz_catalog.mz_schemas s ON s.id = v.schema_id \
             WHERE s.name = 'shop_marts' AND v.name = 'v'";
        let expected = if makes_it { "1" } else { "0" };
        assert_eq!(world.sql.value(pointer).await, expected);
    }
}
