//! Releases in place: one changed materialized view gets its new definition, and nothing else is built.

#![allow(clippy::print_stdout, reason = "the seed that repeats a run")]

use crate::support::{FakeDbt, Needs, Outcome, Readers, SUPPORTED_DBT, Snapshot, World, chance};
use mz_sandbox::Options;
use serde_json::Value;

const REPLACE: [&str; 3] = ["deploy", "--strategy", "replace"];

/// The project in production by a release, so that there is a baseline. `report` says what `totals`
/// says, so that readers see whether both are of one release.
async fn world(with_tests: bool) -> Option<World> {
    world_on(with_tests, Options::default()).await
}

async fn world_on(with_tests: bool, options: Options) -> Option<World> {
    let mut world = World::start_with(Needs::Sandbox, options).await?;
    world.produce_by_sql().await;
    if !with_tests {
        world.project.without_tests();
    }
    world
        .project
        .replace("models/serving/report.sql", "1 as release", "t.release");
    world.set("SCOPE", "slim");
    // Without a baseline all of it is released, by a swap.
    world.cutover(&["deploy"]).await.exits(0);
    Some(world)
}

/// Changes what `totals` says, and nothing else.
fn change(world: &World, to: u32) {
    let place = "models/marts/totals.sql";
    let text = world.project.read(place);
    let (before, rest) = text.split_once(" as release").expect("a release");
    let start = before.rfind(' ').expect("a place") + 1;
    let text = format!("{}{to} as release{rest}", &before[..start]);
    world.project.write(place, &text);
}

async fn serves(world: &World, release: u32) {
    world.serves(release).await;
}

/// Everything but the view itself is what it was, and so is all that is known of the view but its id.
fn only_the_view_changed(world: &World, before: &Snapshot, after: &Snapshot) {
    after.describes_the_same(before);
    let view = format!("object {}.totals", world.name("marts"));
    let others = |snapshot: &Snapshot| {
        let mut ids = snapshot.ids.clone();
        ids.remove(&view);
        ids
    };
    assert_eq!(others(before), others(after));
}

async fn plan(world: &World, strategy: &str) -> Value {
    let plan = ["plan", "--strategy", strategy];
    world.cutover(&plan).await.exits(0).document()
}

/// Production is as the project says, and as the baseline says.
async fn nothing_to_do(world: &World) {
    let plan = plan(world, "swap").await;
    assert_eq!(plan["nodes"].as_array().map(Vec::len), Some(0), "{plan}");
}

async fn replacements(world: &World) -> String {
    let query = "SELECT count(*)::text FROM mz_internal.mz_replacements";
    world.sql.value(query).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_view_is_replaced_and_nothing_else_is_touched() {
    let Some(world) = world(true).await else {
        return;
    };
    let before = world.snapshot().await;
    let readers = Readers::start(&world, 2).await;
    change(&world, 2);
    let deployed = world.cutover(&REPLACE).await.exits(0);
    assert_eq!(
        deployed.states(),
        [
            "planned",
            "staging",
            "building",
            "hydrating",
            "verifying",
            "ready",
            "cutting_over",
            "soaking",
            "cleaning_up",
            "done"
        ]
    );
    serves(&world, 2).await;
    let seen = readers.stop().await;
    seen.undisturbed();
    assert_eq!(seen.releases, [1, 2].into());
    only_the_view_changed(&world, &before, &world.snapshot().await);
    world.nothing_left().await;
    nothing_to_do(&world).await;

    // What dbt's tests refuse never serves: they read the replacement, not the view.
    let before = world.snapshot().await;
    let place = "models/marts/totals.sql";
    world.project.replace(
        place,
        "select customer,",
        "select nullif(customer, 'bob') as customer,",
    );
    world
        .cutover(&REPLACE)
        .await
        .exits(1)
        .says("not_null_totals_customer");
    world.snapshot().await.is(&before);
    assert_eq!(replacements(&world).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_can_be_given_up_and_undone() {
    let Some(world) = world(false).await else {
        return;
    };
    let before = world.snapshot().await;
    change(&world, 2);
    let waits = [&REPLACE[..], &["--promotion", "manual"]].concat();
    world.cutover(&waits).await.exits(0);
    assert_eq!(replacements(&world).await, "1");
    serves(&world, 1).await;
    world.cutover(&["abort"]).await.exits(0);
    world.snapshot().await.is(&before);

    // Somebody else drops or applies it.
    let marts = world.name("marts");
    let secret = |id: &str| format!("{marts}.cutover_{}_replacement_0", id.replace('-', ""));
    let dropped = world.cutover(&waits).await.exits(0).deployment();
    let drop = format!("DROP MATERIALIZED VIEW {}", secret(&dropped));
    world.sql.run(&drop).await;
    let promoted = world.cutover(&["promote"]).await.exits(1);
    promoted.says("somebody dropped");
    world.snapshot().await.is(&before);
    let applied = world.cutover(&waits).await.exits(0).deployment();
    let apply = format!(
        "ALTER MATERIALIZED VIEW {marts}.totals APPLY REPLACEMENT {}",
        secret(&applied)
    );
    world.sql.run(&apply).await;
    serves(&world, 2).await;
    world.cutover(&["abort"]).await.exits(0);
    serves(&world, 1).await;
    only_the_view_changed(&world, &before, &world.snapshot().await);
    world.nothing_left().await;

    let readers = Readers::start(&world, 1).await;
    let keeps = [&waits[..], &["--cleanup", "manual"]].concat();
    world.cutover(&keeps).await.exits(0);
    world.cutover(&["promote"]).await.exits(0);
    serves(&world, 2).await;
    world.cutover(&["rollback"]).await.exits(0);
    serves(&world, 1).await;
    readers.stop().await.undisturbed();
    only_the_view_changed(&world, &before, &world.snapshot().await);
    world.nothing_left().await;
    assert_eq!(replacements(&world).await, "0");
    // The baseline knows the view that serves again, so that nothing has drifted.
    let again = plan(&world, "replace").await;
    assert_eq!(again["strategy"], "replace", "{again}");
    world.cutover(&keeps).await.exits(0);
    world.cutover(&["promote"]).await.exits(0);
    world.cutover(&["cleanup"]).await.exits(0);
    serves(&world, 2).await;
    nothing_to_do(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_whose_query_is_not_shown_is_given_up_at_once() {
    let Some(world) = world(false).await else {
        return;
    };
    let before = world.snapshot().await;
    change(&world, 2);
    // Of the replacement: that of the view is shown, or there would be no plan.
    let fault = r"INSERT INTO mz_sandbox.faults (pattern, action, argument) VALUES
        ('show create materialized view .*cutover_.*_replacement_0', 'error', 'XX000')";
    world.sql.run(fault).await;
    let failed = world.cutover(&REPLACE).await.exits(1);
    let struck = "SELECT hits::text FROM mz_sandbox.faults";
    assert_eq!(world.sql.value(struck).await, "1");
    assert_eq!(
        failed.states(),
        ["planned", "staging", "building", "unwinding", "failed"]
    );
    failed.says("the server does not show the query of");
    world.snapshot().await.is(&before);
    assert_eq!(replacements(&world).await, "0");
    serves(&world, 1).await;
    world.let_go().await;
    world.cutover(&REPLACE).await.exits(0);
    serves(&world, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_replaced_is_refused_or_swapped() {
    let Some(world) = world(false).await else {
        return;
    };
    let before = world.snapshot().await;
    let totals = "models/marts/totals.sql";
    let counts = "models/marts/counts.sql";
    let (first, second) = (world.project.read(totals), world.project.read(counts));
    change(&world, 2);
    assert_eq!(plan(&world, "auto").await["strategy"], "replace");
    let refused = async |why: &str| {
        let plan = ["plan", "--strategy", "replace"];
        let refused = world.cutover(&plan).await.exits(3);
        refused.says("not-replaceable").says(why);
    };
    // Two views.
    world
        .project
        .replace(counts, "count(*) as n", "1 + count(*) as n");
    refused("several nodes cannot be replaced in one moment").await;
    let swap = plan(&world, "auto").await;
    assert_eq!(swap["strategy"], "swap");
    let notes = swap["notes"].to_string();
    assert!(notes.contains("not released in place"), "{notes}");
    world.project.write(counts, &second);
    // Other columns.
    world
        .project
        .replace(totals, "2 as release", "2 as release, 1 as more");
    refused("columns differ").await;
    assert_eq!(plan(&world, "auto").await["strategy"], "swap");
    // A new model.
    world.project.write(totals, &first);
    world.project.write(
        "models/marts/more.sql",
        "select id from {{ ref('stg_orders') }}",
    );
    refused("is not in production yet").await;
    world.project.remove("models/marts/more.sql");
    // Another cluster.
    world.project.write(
        totals,
        &format!(
            "{{{{ config(cluster='{}') }}}}\n{first}",
            world.name("serve")
        ),
    );
    refused("only the body may change").await;
    // A cluster on which it would wait for ever.
    world.project.write(totals, &first);
    change(&world, 2);
    let compute = world.name("compute");
    let replicas =
        |number: u32| format!("ALTER CLUSTER {compute} SET (REPLICATION FACTOR = {number})");
    world.sql.run(&replicas(0)).await;
    refused("which has no replicas").await;
    let auto = ["plan", "--strategy", "auto"];
    let swap = world.cutover(&auto).await.exits(3);
    swap.says("cluster-without-replicas");
    world.sql.run(&replicas(1)).await;
    // All of it.
    world.project.write(totals, &first);
    let full = ["plan", "--strategy", "replace", "--full"];
    world.cutover(&full).await.exits(3).says("not-replaceable");
    world.snapshot().await.is(&before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_server_swaps() {
    let options = Options {
        announce_version: "v26.9.0 (x)".to_owned(),
        ..Options::default()
    };
    let Some(world) = world_on(false, options).await else {
        return;
    };
    change(&world, 2);
    let replace = ["plan", "--strategy", "replace"];
    let refused = world.cutover(&replace).await.exits(3);
    refused
        .says("not-replaceable")
        .says("lists no replacements");
    assert_eq!(plan(&world, "auto").await["strategy"], "swap");
}

/// What stands for the release in what dbt is made to have written.
const STENCIL: u32 = 424_242;

/// dbt's answers as it gave them once, with another release in them.
struct Echo {
    release: std::path::PathBuf,
}

impl Echo {
    async fn of(world: &mut World) -> Self {
        change(world, STENCIL);
        let waits = [&REPLACE[..], &["--promotion", "manual"]].concat();
        let ready = world.cutover(&waits).await.exits(0);
        let runs = world.project.path().join(".cutover/runs");
        let run = runs.join(ready.deployment());
        let folder = world.home().join("echo");
        for step in ["parse", "parse-green", "compile"] {
            let place = folder.join(step);
            std::fs::create_dir_all(&place).expect("a folder");
            for file in ["manifest.json", "run_results.json"] {
                let written = run.join(step).join("target").join(file);
                if written.is_file() {
                    std::fs::copy(written, place.join(file)).expect("what dbt wrote");
                }
            }
        }
        world.cutover(&["abort"]).await.exits(0);
        let release = folder.join("release");
        let script = format!(
            r#"while [ $# -gt 0 ]; do [ "$1" = --target-path ] && target=$2; shift; done
name=$(basename "$(dirname "$target")")
release=$(cat "{place}/release")
for file in "{place}/$name"/*.json; do sed "s/{STENCIL}/$release/g" "$file" > "$target/$(basename "$file")"; done"#,
            place = folder.display()
        );
        let dbt = FakeDbt::write(&world.home().join("echoing"), SUPPORTED_DBT, &script);
        world.set("DBT__EXECUTABLE", &dbt.path());
        Self { release }
    }

    fn says(&self, release: u32) {
        std::fs::write(&self.release, release.to_string()).expect("a file");
    }
}

/// What is asked of the program, and how it must end.
#[derive(Debug, Clone, Copy)]
struct Scenario {
    before: Option<&'static [&'static str]>,
    command: &'static [&'static str],
    ends: &'static str,
    is_new: bool,
}

const SCENARIOS: [Scenario; 4] = [
    Scenario {
        before: None,
        command: &["deploy", "--strategy", "replace"],
        ends: "done",
        is_new: true,
    },
    Scenario {
        before: Some(&["deploy", "--strategy", "replace", "--promotion", "manual"]),
        command: &["abort"],
        ends: "aborted",
        is_new: false,
    },
    Scenario {
        before: Some(&["deploy", "--strategy", "replace", "--cleanup", "manual"]),
        command: &["rollback"],
        ends: "rolled_back",
        is_new: false,
    },
    Scenario {
        before: Some(&["deploy", "--strategy", "replace", "--cleanup", "manual"]),
        command: &["cleanup"],
        ends: "done",
        is_new: true,
    },
];

/// One of so many statements is struck where not all are wanted.
fn stride() -> u32 {
    match std::env::var("CUTOVER_TEST_MATRIX").as_deref() {
        Ok("full") => 1,
        Ok(other) => other.parse().expect("`full` or a number"),
        Err(_) => 16,
    }
}

async fn deployment(world: &World) -> (String, String) {
    let status = world.cutover(&["status"]).await.exits(0).document();
    let deployment = &status["environments"][0]["deployment"];
    let text = |key: &str| deployment[key].as_str().unwrap_or_default().to_owned();
    (text("id"), text("state"))
}

/// Kills the command at its n-th statement, or at its n-th write to the journal.
async fn killed(
    world: &mut World,
    command: &[&str],
    action: &str,
    nth: u32,
) -> Result<(), Outcome> {
    match action {
        "before" | "after" => world.killed_at_write(action, nth, command).await,
        _ => {
            let statements = r"^/\* cutover: ";
            world.killed_at(statements, action, nth, command).await
        }
    }
}

/// One point in [`stride`] is visited, others each time; `CUTOVER_TEST_MATRIX_SEED` repeats those of a run that
/// printed it.
#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_it_ends_right() {
    let Some(mut world) = world(false).await else {
        return;
    };
    let seed = std::env::var("CUTOVER_TEST_MATRIX_SEED").ok();
    let seed = seed.map_or_else(chance::any, |seed| seed.parse().expect("a number"));
    println!("CUTOVER_TEST_MATRIX_SEED={seed}");
    let echo = Echo::of(&mut world).await;
    let readers = Readers::start(&world, 1).await;
    let untouched = world.snapshot().await;
    let mut live = 1;
    let mut points = 0;
    for (at, scenario) in (0_u32..).zip(SCENARIOS) {
        for (turn, action) in (0_u32..).zip(["hang", "hang_after", "before", "after"]) {
            let stride = match action {
                "before" | "after" => stride().div_ceil(4),
                _ => stride(),
            };
            let row = u64::from(at * 5 + turn * 3) + seed;
            let offset = u32::try_from(row % u64::from(stride)).expect("small");
            for nth in (1 + offset..).step_by(stride as usize) {
                echo.says(live + 1);
                if let Some(before) = scenario.before {
                    world.cutover(before).await.exits(0);
                }
                let asked_in = deployment(&world).await;
                let struck = killed(&mut world, scenario.command, action, nth).await;
                let is_over = struck.is_err();
                if let Err(outcome) = struck {
                    outcome.exits(0);
                } else {
                    points += 1;
                    let dead_in = deployment(&world).await;
                    let resumed = world.cutover(&["resume"]).await;
                    if dead_in == asked_in {
                        // Nothing was recorded of the request, so nothing was done.
                        world.cutover(scenario.command).await.exits(0);
                    } else {
                        resumed.exits(0);
                    }
                }
                if scenario.is_new {
                    live += 1;
                }
                let shown = format!("{scenario:?}, {action} {nth}");
                let (_, state) = deployment(&world).await;
                assert_eq!(state, scenario.ends, "{shown}");
                serves(&world, live).await;
                let after = world.snapshot().await;
                only_the_view_changed(&world, &untouched, &after);
                assert_eq!(replacements(&world).await, "0", "{shown}");
                world.cutover(&["resume"]).await.exits(0);
                world.snapshot().await.is(&after);
                if is_over {
                    break;
                }
            }
        }
    }
    readers.stop().await.undisturbed();
    assert!(points >= 160 / stride(), "{points}");
}
