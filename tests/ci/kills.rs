//! Builds and teardowns of a corner that are killed with SIGKILL before and after every statement that they send, and
//! before and after every write to the journal. Whoever comes next goes on, or takes everything down, and production
//! is as it was.
//!
//! `cargo test` visits one point in [`STRIDE`] of each row, others each time, and prints the seed that repeats them
//! (`CUTOVER_TEST_MATRIX_SEED`); `CUTOVER_TEST_CI_MATRIX=full` (`make ci-matrix`) visits all of them, a number that
//! many points apart.

#![allow(clippy::print_stdout, reason = "the table")]

use crate::corner::{
    Guard, build, live, nothing_left, production, states, torn_down, torn_down_if_there,
    wrote_nothing_to_production,
};
use crate::support::{World, chance};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;

/// One of so many points at statements is visited where not all are wanted, and one in [`WRITES`] at writes.
const STRIDE: u64 = 96;
const WRITES: u64 = 16;

/// Every statement of the program under test, but for those that wait for readiness.
const STATEMENTS: &str = r"^/\* cutover: ";

const TOTALS: &str = "models/marts/totals.sql";
const COUNTS: &str = "models/marts/counts.sql";

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row {
    /// The first build of a corner.
    First,
    /// One of a corner that stands: something is kept, something goes, something is made.
    Again,
    /// One of a request that changes nothing any more.
    Emptied,
    /// A teardown.
    Teardown,
}

const ROWS: [Row; 4] = [Row::First, Row::Again, Row::Emptied, Row::Teardown];

impl Row {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::First | Self::Again | Self::Emptied => &["ci", "build", "--name", "pr-1"],
            Self::Teardown => &["ci", "teardown", "--name", "pr-1"],
        }
    }

    /// What stands when a build of it has come to its end.
    fn stands(self) -> &'static [&'static str] {
        match self {
            Self::First | Self::Teardown => &["report", "totals"],
            Self::Again => &["counts", "report"],
            Self::Emptied => &[],
        }
    }

    /// Brings the world to where it begins.
    async fn prepare(self, world: &World, files: &[(String, Vec<u8>)]) {
        world.project.restore(files);
        world
            .project
            .replace(TOTALS, "1 as release", "2 as release");
        match self {
            Self::First => return,
            Self::Again | Self::Emptied | Self::Teardown => {
                build(world, "pr-1", &[]).await.exits(0);
            }
        }
        match self {
            Self::First | Self::Teardown => {}
            Self::Again => {
                world.project.restore(files);
                world.project.replace(COUNTS, "count(*)", "count(*) + 0");
            }
            Self::Emptied => world.project.restore(files),
        }
    }
}

/// Where it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    BeforeStatement,
    AfterStatement,
    BeforeWrite,
    AfterWrite,
}

const KINDS: [Kind; 4] = [
    Kind::BeforeStatement,
    Kind::AfterStatement,
    Kind::BeforeWrite,
    Kind::AfterWrite,
];

impl Kind {
    async fn strike(self, world: &mut World, row: Row, nth: u32) -> bool {
        let arguments = row.arguments();
        let killed = match self {
            Self::BeforeStatement => world.killed_at(STATEMENTS, "hang", nth, arguments).await,
            Self::AfterStatement => {
                let action = "hang_after";
                world.killed_at(STATEMENTS, action, nth, arguments).await
            }
            Self::BeforeWrite => world.killed_at_write("before", nth, arguments).await,
            Self::AfterWrite => world.killed_at_write("after", nth, arguments).await,
        };
        match killed {
            Ok(()) => true,
            Err(ended) => {
                ended.exits(0);
                false
            }
        }
    }

    fn stride(self, whole: u64) -> u64 {
        match self {
            Self::BeforeStatement | Self::AfterStatement => whole,
            Self::BeforeWrite | Self::AfterWrite => (whole * WRITES / STRIDE).max(1),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corner_that_is_killed_anywhere_goes_on_or_goes() {
    let Some(mut world) = live().await else {
        return;
    };
    let stride = match std::env::var("CUTOVER_TEST_CI_MATRIX").as_deref() {
        Ok("full") => 1,
        Ok(other) => other.parse().expect("`full` or a number"),
        Err(_) => STRIDE,
    };
    let seed = std::env::var("CUTOVER_TEST_MATRIX_SEED").ok();
    let seed = seed.map_or_else(chance::any, |seed| seed.parse().expect("a number"));
    println!("CUTOVER_TEST_MATRIX_SEED={seed}");
    let before = production(&world).await;
    let files = world.project.files();
    let guard = Guard::of(&world);
    let (mut last, mut points) = (0, BTreeMap::new());
    for (at, row) in ROWS.into_iter().enumerate() {
        for (turn, kind) in KINDS.into_iter().enumerate() {
            let stride = kind.stride(stride);
            // Rows begin at different points, so that together they see more.
            let offset = (seed + at as u64 * 5 + turn as u64 * 3) % stride;
            for nth in (1 + offset..).step_by(usize::try_from(stride).expect("small")) {
                let nth = u32::try_from(nth).expect("small");
                row.prepare(&world, &files).await;
                println!("{row:?}, {kind:?} {nth}");
                if !kind.strike(&mut world, row, nth).await {
                    torn_down_if_there(&world, "pr-1").await;
                    nothing_left(&world).await;
                    break;
                }
                *points.entry(format!("{row:?}, {kind:?}")).or_insert(0) += 1;
                if (u64::from(nth) + seed).is_multiple_of(2) {
                    let report = build(&world, "pr-1", &[]).await.exits(0).result();
                    let names: Vec<String> = states(&report).into_keys().collect();
                    assert_eq!(names, row.stands(), "{report}");
                }
                torn_down_if_there(&world, "pr-1").await;
                nothing_left(&world).await;
                // Before the server forgets what it was told.
                let (touching, now, _) = guard.look(&world, last).await;
                assert_eq!(touching, Vec::<String>::new());
                last = now;
            }
        }
    }
    println!("| what is killed, where | points, every one ended right |\n|---|---|");
    for (what, count) in &points {
        println!("| {what} | {count} |");
    }
    let count: i32 = points.values().sum();
    assert!(count > 5, "{count}");
    assert_eq!(production(&world).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_killed_at_a_statement_is_continued() {
    let Some(world) = live().await else { return };
    let before = production(&world).await;
    world
        .project
        .replace(TOTALS, "1 as release", "2 as release");
    for (pattern, nth) in [
        // While it looks; before it is marked; marked and not renamed; the cluster; half built; while it tests.
        ("cutover: describe nodes", 1),
        ("cutover: comment on schema", 1),
        ("cutover: rename schema", 1),
        ("cutover: create cluster", 1),
        ("cutover: rename cluster", 1),
        ("cutover: create materialized view", 1),
        ("cutover: create index", 1),
        ("cutover: test", 1),
    ] {
        let running = world
            .held_at(pattern, nth, &["ci", "build", "--name", "pr-1"])
            .await;
        running.signal(Signal::SIGKILL);
        running.ended().await;
        world.let_go().await;
        let report = build(&world, "pr-1", &[]).await.exits(0).result();
        let names: Vec<String> = states(&report).into_keys().collect();
        assert_eq!(names, ["report", "totals"], "{pattern}: {report}");
        let torn = world
            .held_at("cutover: drop", 2, &["ci", "teardown", "--name", "pr-1"])
            .await;
        torn.signal(Signal::SIGKILL);
        torn.ended().await;
        world.let_go().await;
        torn_down(&world, "pr-1").await;
        nothing_left(&world).await;
    }
    assert_eq!(production(&world).await, before);
    wrote_nothing_to_production(&world).await;
}
