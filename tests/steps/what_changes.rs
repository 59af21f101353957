//! One change, as somebody meets it who releases every day: a column goes, another gets a new type, rows go, and a
//! sink is new. What is told of it before, what is refused, and how it is taken back, also much later.

use crate::support::{Needs, Outcome, World};

const TOTALS: &str = "models/marts/totals.sql";
const REPORT: &str = "models/serving/report.sql";
const SINK: &str = "models/out/totals_out.sql";

/// For whoever runs the test with `--no-capture`.
#[expect(clippy::print_stdout, reason = "what people see is shown")]
fn show(what: &str, outcome: &Outcome) {
    println!("\n== {what}\n$ {}\n{}", outcome.command, outcome.all());
}

/// The change: `total` is called otherwise, `release` becomes a text, bob's rows go, and `totals` feeds a sink.
fn change(world: &World) {
    world.project.write(
        TOTALS,
        "select customer, sum(amount) as sum_of_all, '4' as release\nfrom {{ ref('stg_orders') }}\n\
         where customer <> 'bob'\ngroup by customer\n",
    );
    world
        .project
        .replace(REPORT, "t.total", "t.sum_of_all as total");
    world.project.write(
        SINK,
        "{{ config(materialized='sink', schema='out', cluster='shop_io') }}\n\
         FROM {{ ref('totals') }}\n\
         INTO KAFKA CONNECTION {{ target.database }}.shop_out.kafka (TOPIC 'totals')\n\
         FORMAT JSON ENVELOPE DEBEZIUM",
    );
}

async fn sinks(world: &World) -> String {
    let query = "SELECT count(*)::text FROM mz_catalog.mz_sinks WHERE name = 'totals_out'";
    world.sql.value(query).await
}

async fn columns(world: &World) -> String {
    let query = "SELECT string_agg(c.name, ',' ORDER BY c.name) FROM mz_catalog.mz_columns c \
         JOIN mz_catalog.mz_objects o ON o.id = c.id JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id \
         WHERE s.name = 'shop_marts' AND o.name = 'totals'";
    world.sql.value(query).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_everything_is_told_refused_allowed_and_taken_back() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    for sql in [
        "CREATE SCHEMA shop_out",
        "CREATE CLUSTER shop_io (SIZE = '25cc')",
        "CREATE CONNECTION shop_out.kafka TO KAFKA (BROKER 'localhost:9092', SECURITY PROTOCOL PLAINTEXT)",
    ] {
        world.sql.run(sql).await;
    }
    world.project.write(
        "models/keys.yml",
        "models:\n  - name: totals\n    columns:\n      - {name: customer, data_tests: [unique]}\n",
    );
    world.set("BUILD__ENGINE", "native");
    let mut releases = Vec::new();
    for release in [2, 3] {
        world.project.set_release(release);
        releases.push(world.cutover(&["deploy"]).await.exits(0).deployment());
    }
    let live = columns(&world).await;
    change(&world);

    let allowing = ["plan", "--describe", "--allow", "column-lost", "-v"];
    let plan = world.cutover_text(&allowing).await.exits(0);
    show("the plan", &plan);
    let plan = plan
        .says("- shop_marts.totals.total")
        .says("shop_marts.totals.release")
        .says("sink shop_out.totals_out")
        .says("created after the swap")
        .says("+where customer <> 'bob'");
    drop(plan);

    let refused = world.cutover_text(&["deploy"]).await.exits(3);
    show("the refusal", &refused);
    let refused = refused.says("column-lost").says("shop_marts.totals.total");
    drop(refused);
    world.serves(3).await;
    world.nothing_left().await;

    // Whoever does not want to lose rows is not made to.
    world.set("ALLOW", "column-lost");
    world.project.write(
        "cutover.yaml",
        "diff:\n  mode: gate\n  thresholds: {rows_lost: 0}\n",
    );
    let gated = world.cutover_text(&["deploy"]).await.exits(1);
    show("the gate of the data diff", &gated);
    let gated = gated.says("shop_marts.totals: 1 rows lost, 0 allowed");
    drop(gated);
    world.serves(3).await;
    world.nothing_left().await;
    assert_eq!(sinks(&world).await, "0");

    world
        .project
        .write("cutover.yaml", "diff: {mode: report}\n");
    let staged = world
        .cutover_text(&["deploy", "--promotion", "manual", "--cleanup", "manual"])
        .await
        .exits(0);
    show("the release, built and compared", &staged);
    let diff = world
        .cutover_text(&["diff", "--relation", "shop_marts.totals"])
        .await
        .exits(0);
    show("the data diff", &diff);
    let diff = diff.says("shop_marts.totals").says("1 lost");
    drop(diff);
    assert_eq!(sinks(&world).await, "0");
    let promoted = world.cutover_text(&["promote"]).await.exits(0);
    show("the promotion", &promoted);
    assert_eq!(sinks(&world).await, "1");
    assert_eq!(columns(&world).await, "customer,release,sum_of_all");

    let back = world.cutover_text(&["rollback"]).await.exits(0);
    show("the rollback", &back);
    world.serves(3).await;
    assert_eq!(sinks(&world).await, "0");
    assert_eq!(columns(&world).await, live);
    world.nothing_left().await;

    // To the end, and one more; then three releases back, where the project is by now broken.
    world.cutover(&["deploy"]).await.exits(0);
    assert_eq!(sinks(&world).await, "1");
    world.project.replace(TOTALS, "'4'", "'5'");
    world.cutover(&["deploy"]).await.exits(0);
    world.project.write(TOTALS, "select {{ no_such_macro() }}");
    let to = world
        .cutover_text(&["deploy", "--to", &releases[0]])
        .await
        .exits(0);
    show("three releases back", &to);
    let to = to.says("goes back to the release").says("totals_out");
    drop(to);
    world.serves(2).await;
    assert_eq!(columns(&world).await, live);
    assert_eq!(sinks(&world).await, "1", "a sink is not taken back");
    world.nothing_left().await;
    let status = world.cutover_text(&["status"]).await.exits(0);
    show("the hold", &status);
    status.says("held: rolled back to");
}
