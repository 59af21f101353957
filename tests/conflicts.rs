//! Somebody else is at work: other releases, and people who swap, rename, drop and create behind
//! the release's back at every step. It ends where the manual says, names what it met, drops
//! nothing that is not its own, and comes to a clean end when the cause is gone.

#![allow(clippy::print_stdout, reason = "the table of outcomes")]

mod support;

use support::{Needs, Outcome, Replay, Running, Sql, World, eventually};

const HOLD: &str =
    "INSERT INTO mz_sandbox.objects (pattern, hydrated) VALUES ('.*_dbt_deploy\\.totals', false)";
const SWAPPED: [&str; 5] = [
    "SCHEMA shop_staging",
    "SCHEMA shop_marts",
    "SCHEMA shop_serving",
    "CLUSTER shop_compute",
    "CLUSTER shop_serve",
];

/// Where the release is when somebody acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Building,
    Hydrating,
    Ready,
    /// After the rehearsal of the promotion, before the swap's transaction.
    BeforeSwap,
    /// In the swap's transaction, after its look at the catalog.
    InSwap,
    /// After COMMIT, before its result is recorded.
    AfterSwap,
    Soaking,
    CleaningUp,
}

const EVERY_STEP: [Step; 8] = [
    Step::Building,
    Step::Hydrating,
    Step::Ready,
    Step::BeforeSwap,
    Step::InSwap,
    Step::AfterSwap,
    Step::Soaking,
    Step::CleaningUp,
];

/// What somebody does. "Aside" is the side that does not serve at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    SwapOne,
    SwapAll,
    RenameServing,
    RenameAside,
    RenameAsideCluster,
    DropAsideObject,
    DropAsideSchema,
    ViewInServing,
    ViewInAside,
    ViewOnServing,
    ViewOnAside,
}

const ACTS: [Act; 11] = [
    Act::SwapOne,
    Act::SwapAll,
    Act::RenameServing,
    Act::RenameAside,
    Act::RenameAsideCluster,
    Act::DropAsideObject,
    Act::DropAsideSchema,
    Act::ViewInServing,
    Act::ViewInAside,
    Act::ViewOnServing,
    Act::ViewOnAside,
];

/// The two sides of `shop_marts` and of the compute cluster, by id.
struct Sides {
    serving: String,
    aside: String,
    aside_cluster: String,
}

async fn schema_id(sql: &Sql, name: &str) -> String {
    sql.value(&format!(
        "SELECT id::text FROM mz_catalog.mz_schemas WHERE name = '{name}'"
    ))
    .await
}

async fn schema_name(sql: &Sql, id: &str) -> String {
    sql.value(&format!(
        "SELECT name::text FROM mz_catalog.mz_schemas WHERE id = '{id}'"
    ))
    .await
}

async fn cluster_name(sql: &Sql, id: &str) -> String {
    sql.value(&format!(
        "SELECT name::text FROM mz_catalog.mz_clusters WHERE id = '{id}'"
    ))
    .await
}

impl Sides {
    /// Reads them while the other side has its green name, or a secret one during cleanup.
    async fn read(world: &World) -> Self {
        let serving = schema_id(&world.sql, "shop_marts").await;
        let aside = world
            .sql
            .value(&format!(
                "SELECT schema_id::text FROM mz_catalog.mz_objects \
                 WHERE name = 'totals' AND id LIKE 'u%' AND schema_id <> '{serving}' LIMIT 1"
            ))
            .await;
        let aside_cluster = world
            .sql
            .value(&format!(
                "SELECT cluster_id::text FROM mz_catalog.mz_objects \
                 WHERE name = 'totals' AND schema_id = '{aside}'"
            ))
            .await;
        Self {
            serving,
            aside,
            aside_cluster,
        }
    }
}

impl Act {
    /// Does it; what undoes it, where anything does.
    async fn act(self, sql: &Sql, sides: &Sides) -> Vec<String> {
        let serving = schema_name(sql, &sides.serving).await;
        let aside = schema_name(sql, &sides.aside).await;
        let cluster = cluster_name(sql, &sides.aside_cluster).await;
        let swap_all: Vec<String> = std::iter::once("BEGIN".to_owned())
            .chain(SWAPPED.map(|one| {
                let name = one.split(' ').next_back().expect("a name");
                format!("ALTER {one} SWAP WITH {name}_dbt_deploy")
            }))
            .chain(std::iter::once("COMMIT".to_owned()))
            .collect();
        let (does, undoes): (Vec<String>, Vec<String>) = match self {
            Self::SwapOne => {
                let swap = format!("ALTER SCHEMA {serving} SWAP WITH {aside}");
                (vec![swap.clone()], vec![swap])
            }
            Self::SwapAll => (swap_all.clone(), swap_all),
            Self::RenameServing => (
                vec![format!("ALTER SCHEMA {serving} RENAME TO renamed")],
                vec![format!("ALTER SCHEMA renamed RENAME TO {serving}")],
            ),
            Self::RenameAside => (
                vec![format!("ALTER SCHEMA {aside} RENAME TO renamed")],
                vec![format!("ALTER SCHEMA renamed RENAME TO {aside}")],
            ),
            Self::RenameAsideCluster => (
                vec![format!("ALTER CLUSTER {cluster} RENAME TO renamed")],
                vec![format!("ALTER CLUSTER renamed RENAME TO {cluster}")],
            ),
            Self::DropAsideObject => (
                vec![format!("DROP MATERIALIZED VIEW {aside}.counts CASCADE")],
                Vec::new(),
            ),
            Self::DropAsideSchema => (vec![format!("DROP SCHEMA {aside} CASCADE")], Vec::new()),
            Self::ViewInServing => (
                vec![format!("CREATE VIEW {serving}.theirs AS SELECT 1 AS one")],
                vec!["DROP VIEW theirs".to_owned()],
            ),
            Self::ViewInAside => (
                vec![format!("CREATE VIEW {aside}.theirs AS SELECT 1 AS one")],
                vec!["DROP VIEW theirs".to_owned()],
            ),
            Self::ViewOnServing => (
                vec![format!(
                    "CREATE VIEW others.theirs AS SELECT * FROM {serving}.totals"
                )],
                vec!["DROP VIEW theirs".to_owned()],
            ),
            Self::ViewOnAside => (
                vec![format!(
                    "CREATE VIEW others.theirs AS SELECT * FROM {aside}.totals"
                )],
                vec!["DROP VIEW theirs".to_owned()],
            ),
        };
        for statement in does {
            sql.run(&statement).await;
        }
        undoes
    }

    async fn undo(undoes: Vec<String>, sql: &Sql) {
        for statement in undoes {
            // Swaps may have moved it.
            if statement == "DROP VIEW theirs" {
                let schema = sql
                    .value(
                        "SELECT s.name::text FROM mz_catalog.mz_schemas s \
                         JOIN mz_catalog.mz_objects o ON o.schema_id = s.id WHERE o.name = 'theirs'",
                    )
                    .await;
                sql.run(&format!("DROP VIEW {schema}.theirs")).await;
            } else {
                sql.run(&statement).await;
            }
        }
    }

    /// Whether it adds something of its own, which must survive.
    fn adds(self) -> bool {
        matches!(
            self,
            Self::ViewInServing | Self::ViewInAside | Self::ViewOnServing | Self::ViewOnAside
        )
    }

    /// Whether it spoils production itself.
    fn breaks(self, step: Step) -> bool {
        matches!(self, Self::SwapOne | Self::RenameServing)
            // Green is empty then.
            || (step == Step::Building && self == Self::SwapAll)
    }

    /// What does not concern the release any more, or not yet, at this step.
    fn is_harmless(self, step: Step) -> bool {
        match step {
            // The other side matters when it is cleaned up.
            Step::AfterSwap => !matches!(self, Self::SwapOne | Self::SwapAll | Self::RenameServing),
            // Production is not the release's business any more.
            Step::Soaking | Step::CleaningUp => matches!(
                self,
                Self::RenameServing
                    | Self::ViewInServing
                    | Self::ViewOnServing
                    | Self::DropAsideObject
                    | Self::DropAsideSchema
            ),
            Step::Building | Step::Hydrating | Step::Ready | Step::BeforeSwap | Step::InSwap => {
                false
            }
        }
    }

    /// One of these is in the reason.
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::SwapOne | Self::SwapAll => &["foreign-swap"],
            Self::RenameServing | Self::RenameAside => &["shop_marts", "schema_"],
            Self::RenameAsideCluster => &["shop_compute", "cluster_"],
            Self::DropAsideObject => &["counts"],
            Self::DropAsideSchema => &["shop_marts", "schema_"],
            Self::ViewInServing | Self::ViewInAside => {
                &["unmanaged-object", "theirs", "still contains", "schema_"]
            }
            Self::ViewOnServing | Self::ViewOnAside => &["outside-dependent", "theirs"],
        }
    }
}

async fn fault(world: &World, pattern: &str, nth: u32) {
    world
        .sql
        .run(&format!(
            "INSERT INTO mz_sandbox.faults (pattern, application_name, action, nth, times) \
             VALUES ('{pattern}', 'cutover', 'hang', {nth}, NULL)"
        ))
        .await;
}

async fn struck(world: &World) {
    eventually("the fault to strike", async || {
        let hits = world
            .sql
            .value("SELECT count(*)::text FROM mz_sandbox.faults WHERE hits >= nth")
            .await;
        (hits != "0").then_some(())
    })
    .await;
}

/// Brings a release to the step, lets somebody act there, and sees how the release ends.
async fn disturbed(
    world: &World,
    replay: &Replay,
    step: Step,
    act: Act,
) -> (Outcome, Vec<String>, Production) {
    let manual = ["deploy", "--promotion=manual", "--cleanup=manual"];
    let kept = ["deploy", "--cleanup", "manual"];
    let held: Option<Running> = match step {
        Step::Building => {
            replay.hold();
            let deploying = world.spawn(&["deploy"]);
            eventually("the build", async || replay.is_building().then_some(())).await;
            Some(deploying)
        }
        Step::Hydrating => {
            world.sql.run(HOLD).await;
            let mut deploying = world.spawn(&["deploy"]);
            deploying
                .until("a reading", |line| line["event"] == "readiness")
                .await;
            Some(deploying)
        }
        Step::Ready => {
            world.cutover(&manual).await.exits(0);
            None
        }
        Step::BeforeSwap | Step::InSwap | Step::AfterSwap => {
            world.cutover(&manual).await.exits(0);
            let (label, nth) = match step {
                Step::BeforeSwap => ("begin swap", 2),
                // Three in the rehearsal.
                Step::InSwap => ("swap schemas", 4),
                Step::Building
                | Step::Hydrating
                | Step::Ready
                | Step::AfterSwap
                | Step::Soaking
                | Step::CleaningUp => ("names and ids", 4),
            };
            fault(world, &format!("cutover: {label} "), nth).await;
            let promoting = world.spawn(&["promote"]);
            struck(world).await;
            Some(promoting)
        }
        Step::Soaking => {
            world.cutover(&kept).await.exits(0);
            None
        }
        Step::CleaningUp => {
            world.cutover(&kept).await.exits(0);
            fault(world, "cutover: drop object ", 1).await;
            let cleaning = world.spawn(&["cleanup"]);
            struck(world).await;
            Some(cleaning)
        }
    };
    let sides = if step == Step::Building {
        Sides {
            serving: schema_id(&world.sql, "shop_marts").await,
            aside: schema_id(&world.sql, "shop_marts_dbt_deploy").await,
            aside_cluster: world
                .sql
                .value("SELECT id::text FROM mz_catalog.mz_clusters WHERE name = 'shop_compute_dbt_deploy'")
                .await,
        }
    } else {
        Sides::read(world).await
    };
    let undoes = act.act(&world.sql, &sides).await;
    let production = Production::read(world).await;
    let outcome = match held {
        Some(running) => {
            match step {
                Step::Building => replay.go_on(),
                Step::Hydrating => world.sql.run("DELETE FROM mz_sandbox.objects").await,
                Step::Ready
                | Step::BeforeSwap
                | Step::InSwap
                | Step::AfterSwap
                | Step::Soaking
                | Step::CleaningUp => world.sql.run("DELETE FROM mz_sandbox.faults").await,
            }
            running.ended().await
        }
        None if step == Step::Ready => world.cutover(&["promote"]).await,
        None => world.cutover(&["cleanup"]).await,
    };
    (outcome, undoes, production)
}

/// What production answers: the release of each of two schemas, or that it cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Production(Vec<Option<String>>);

impl Production {
    async fn read(world: &World) -> Self {
        let mut releases = Vec::new();
        for relation in ["shop_marts.totals", "shop_serving.report"] {
            let rows = world
                .sql
                .attempt(&format!("SELECT max(release) FROM {relation}"))
                .await;
            releases.push(rows.ok().and_then(|rows| rows[0][0].clone()));
        }
        Self(releases)
    }

    fn is_whole(&self) -> bool {
        self.0[0].is_some() && self.0[0] == self.0[1]
    }
}

async fn state(world: &World) -> String {
    let status = world.cutover(&["status"]).await.exits(0).document();
    let entry = &status["environments"][0]["deployment"]["state"];
    entry.as_str().unwrap_or_default().to_owned()
}

/// Ends whatever is left of the deployment, after the cause is gone.
async fn ended_cleanly(world: &World, place: &str) -> String {
    for _ in 0..3 {
        let state = state(world).await;
        let outcome = match state.as_str() {
            "done" | "failed" | "aborted" | "rolled_back" => {
                let snapshot = world.snapshot().await;
                assert_eq!(snapshot.leftovers(), Vec::<&String>::new(), "{place}");
                return state;
            }
            "ready" => world.cutover(&["abort"]).await,
            "soaking" => world.cutover(&["cleanup"]).await,
            _ => world.cutover(&["resume"]).await,
        };
        assert!(matches!(outcome.code, Some(0 | 1)), "{place}: {outcome}");
    }
    panic!("{place}: no clean end");
}

fn applies(step: Step, act: Act) -> bool {
    !matches!(
        (step, act),
        // Nothing is in green yet.
        (Step::Building, Act::DropAsideObject | Act::ViewOnAside)
            // The other side has a secret name, so nobody swaps with it by accident.
            | (Step::CleaningUp, Act::SwapOne | Act::SwapAll)
    )
}

/// Loops over steps and acts.
async fn every_act_at(steps: &[Step]) {
    let Some(mut world) = World::start(Needs::Sandbox).await else {
        return;
    };
    world.produce_by_sql().await;
    world.project.without_tests();
    world.sql.run("CREATE SCHEMA others").await;
    world.set("READINESS__TIMEOUT", "20s");
    let replay = Replay::of(&mut world).await;
    let mut faults = Vec::new();
    for step in steps.iter().copied() {
        for act in ACTS.into_iter().filter(|act| applies(step, *act)) {
            let place = format!("{step:?} × {act:?}");
            let begun = std::time::Instant::now();
            let (outcome, undoes, then) = disturbed(&world, &replay, step, act).await;
            let state = state(&world).await;
            let said = outcome.all();
            let mut bad = |what: &str| faults.push(format!("{place}: {what}\n{outcome}"));
            let fits = matches!(
                (outcome.code, state.as_str()),
                (Some(0), "done" | "soaking")
                    | (Some(1), "failed")
                    | (Some(3), "ready")
                    | (Some(5), "stuck")
            );
            if !fits {
                bad(&format!("it is {state}"));
            }
            if outcome.code == Some(0) && !act.is_harmless(step) {
                bad("it went on as if nothing had happened");
            }
            if outcome.code != Some(0) && !act.names().iter().any(|name| said.contains(name)) {
                bad("the reason does not name it");
            }
            let now = Production::read(&world).await;
            let is_theirs = act.breaks(step) && now == then;
            if !now.is_whole() && !is_theirs {
                bad(&format!("production is {now:?}, was {then:?}"));
            }
            if act.adds()
                && world
                    .sql
                    .value("SELECT count(*)::text FROM mz_catalog.mz_objects WHERE name = 'theirs'")
                    .await
                    != "1"
            {
                bad("what was somebody's own is gone");
            } else {
                Act::undo(undoes, &world.sql).await;
            }
            let end = ended_cleanly(&world, &place).await;
            assert!(Production::read(&world).await.is_whole(), "{place}");
            println!(
                "{place:32} exit {:?}, {state}; then {end} ({:.1?})",
                outcome.code.unwrap_or(-1),
                begun.elapsed()
            );
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_somebody_does_before_the_swap_is_named_and_mended() {
    every_act_at(&EVERY_STEP[..5]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_somebody_does_after_the_swap_is_named_and_mended() {
    every_act_at(&EVERY_STEP[5..]).await;
}

/// A ready world with a dbt that answers at once.
async fn quick() -> Option<(World, Replay)> {
    let mut world = World::start(Needs::Sandbox).await?;
    world.produce_by_sql().await;
    world.project.without_tests();
    let replay = Replay::of(&mut world).await;
    Some((world, replay))
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_promotions_at_once_one_wins() {
    let Some((world, _replay)) = quick().await else {
        return;
    };
    let before = world.snapshot().await;
    let manual = ["deploy", "--promotion=manual", "--cleanup=manual"];
    world.cutover(&manual).await.exits(0);
    let green = world.snapshot().await;
    // Both are at work: the one that leads is held at its first question.
    fault(&world, "cutover: readiness ", 1).await;
    let both = [world.spawn(&["promote"]), world.spawn(&["promote"])];
    struck(&world).await;
    let [first, second] = both.map(|one| tokio::spawn(one.ended()));
    eventually("one to be refused", async || {
        (first.is_finished() || second.is_finished()).then_some(())
    })
    .await;
    world.sql.run("DELETE FROM mz_sandbox.faults").await;
    let (first, second) = (first.await.expect("ended"), second.await.expect("ended"));
    let (winner, loser) = if first.code == Some(0) {
        (first, second)
    } else {
        (second, first)
    };
    winner.exits(0);
    loser.exits(3).says("led by another process");
    world.serves(2).await;
    let after = world.snapshot().await;
    for schema in ["staging", "marts", "serving"] {
        let (here, there) = (
            format!("schema shop_{schema}"),
            format!("schema shop_{schema}_dbt_deploy"),
        );
        assert_eq!(after.id(&here), green.id(&there), "swapped once");
        assert_eq!(after.id(&there), before.id(&here), "nothing was dropped");
    }
    world.cutover(&["cleanup"]).await.exits(0);
    world.nothing_left().await;
}

/// Copies the project without its journal.
fn copied(world: &World, place: &str) -> std::path::PathBuf {
    let copy = world.home().join(place);
    let mut folders = vec![std::path::PathBuf::new()];
    while let Some(folder) = folders.pop() {
        std::fs::create_dir_all(copy.join(&folder)).expect("a folder");
        for entry in std::fs::read_dir(world.project.path().join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = folder.join(entry.file_name());
            if entry.file_name() == ".cutover" {
                continue;
            }
            if entry.path().is_dir() {
                folders.push(name);
            } else {
                std::fs::copy(entry.path(), copy.join(name)).expect("a copy");
            }
        }
    }
    copy
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_journals_at_most_one_releases() {
    let Some((world, _replay)) = quick().await else {
        return;
    };
    // The same environment, and one of another name with the same schemas.
    for (other, configuration) in [
        ("same", ""),
        (
            "renamed",
            "environments:\n  live: {project: {target: prod}}\n",
        ),
    ] {
        let copy = copied(&world, other);
        std::fs::write(copy.join("cutover.yaml"), configuration).expect("a file");
        let arguments: &[&str] = if other == "renamed" {
            &["deploy", "live", "--cleanup=manual"]
        } else {
            &["deploy", "--cleanup=manual"]
        };
        let release = Production::read(&world).await;
        let before = world.snapshot().await;
        // Both have planned and met before either has staged anything.
        world
            .sql
            .run(
                "INSERT INTO mz_sandbox.faults (pattern, application_name, action, times) \
                 VALUES ('cutover: create schema ', 'cutover', 'hang', NULL)",
            )
            .await;
        let both = [
            world.spawn(&["deploy", "--cleanup=manual"]),
            world.spawn_in(&copy, arguments),
        ];
        eventually("both to begin", async || {
            let hits = world
                .sql
                .value("SELECT sum(hits)::text FROM mz_sandbox.faults")
                .await;
            (hits == "2").then_some(())
        })
        .await;
        world.sql.run("DELETE FROM mz_sandbox.faults").await;
        let mut winners = Vec::new();
        for (number, running) in both.into_iter().enumerate() {
            let outcome = running.ended().await;
            if outcome.code == Some(0) {
                winners.push(number);
                continue;
            }
            let named = [
                "deployment-active",
                "exists and is not ours",
                "already exists",
            ];
            assert!(
                outcome.code == Some(1) && named.iter().any(|name| outcome.all().contains(name)),
                "{outcome}"
            );
        }
        println!("{other}: won by {winners:?}");
        assert!(winners.len() < 2, "both released");
        assert!(Production::read(&world).await.is_whole());
        if winners.is_empty() {
            assert_eq!(Production::read(&world).await, release);
            world.nothing_left().await;
            world.snapshot().await.is(&before);
            continue;
        }
        // The loser dropped nothing of the winner's old side; the winner does that.
        let kept = world.snapshot().await;
        for schema in ["staging", "marts", "serving"] {
            assert_eq!(
                kept.id(&format!("schema shop_{schema}_dbt_deploy")),
                before.id(&format!("schema shop_{schema}"))
            );
        }
        let cleaned = if winners == [0] {
            world.cutover(&["cleanup"]).await
        } else {
            let verb: &[&str] = if other == "renamed" {
                &["cleanup", "live"]
            } else {
                &["cleanup"]
            };
            world.spawn_in(&copy, verb).ended().await
        };
        cleaned.exits(0);
        world.nothing_left().await;
    }
}
