//! The crash matrix: the process is killed with SIGKILL before and after every statement that it or
//! dbt sends, and before and after every write to the journal; then the work is taken up again.
//!
//! A point is one such kill in a release of its own. After each: production was readable throughout
//! and is wholly old or wholly new, the end is the documented one, nothing is left behind, nothing
//! outside is gone, what is live is what the journal says, and running `resume` again changes nothing.
//!
//! `cargo test` visits every [`STRIDE`]th point, others each time; `CUTOVER_TEST_MATRIX_SEED` repeats those of a run
//! that printed it. `make matrix` (`CUTOVER_TEST_MATRIX=full`) visits all of them, in several worlds side by side
//! (`CUTOVER_TEST_MATRIX_PARTS`), each in its share of every row; `CUTOVER_TEST_MATRIX_ONLY=abort,cleanup` visits
//! those of these commands.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the matrix is a table"
)]

mod bench;
mod scenarios;
#[path = "../support/mod.rs"]
mod support;
mod table;

use bench::{Bench, Journal};
use futures_util::FutureExt;
use scenarios::{KINDS, SCENARIOS};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use table::Table;

/// One of so many points at statements is visited where the matrix is not wanted whole.
const STRIDE: u32 = 96;
/// A world is given up after so many points that did not end right: each costs a new world.
const MOST_FAILURES: u32 = 3;

/// One world's share of the matrix.
#[derive(Debug, Clone)]
struct Part {
    store: &'static str,
    journal: Journal,
    is_slim: bool,
    /// Points at statements between two that are visited.
    stride: u32,
    /// Where in the row the first one is.
    seed: u32,
    /// Which part it is.
    number: u32,
    /// Of so many.
    of: u32,
}

impl Part {
    /// Visits the points of this part, and counts them. `None` when this machine cannot.
    async fn visit(&self, table: &Mutex<Table>) -> Option<()> {
        let mut bench = Bench::start(&self.journal, self.is_slim, self.of == 1).await?;
        let mut failures = 0;
        let wanted = only();
        for (at, scenario) in SCENARIOS.into_iter().enumerate() {
            // What is missing is made by a release of everything.
            if !is_wanted(wanted.as_deref(), scenario.name)
                || scenario.makes_outside && self.is_slim
            {
                continue;
            }
            for (turn, kind) in KINDS.into_iter().enumerate() {
                // Sampled columns begin at different points, so that together they see more.
                let stride = kind.stride(self.stride);
                let row = u32::try_from(at * 5 + turn * 3).expect("small");
                let offset = (row + self.seed) % stride;
                let first = 1 + offset + self.number * stride;
                for nth in (first..).step_by((stride * self.of) as usize) {
                    let point = format!(
                        "{} {}, {}, {} {nth}",
                        self.store,
                        self.number,
                        scenario.name,
                        kind.name()
                    );
                    eprintln!("{point}");
                    let visited = AssertUnwindSafe(bench.point(scenario, kind, nth));
                    match visited.catch_unwind().await {
                        Ok(Some((ended, killed_in))) => {
                            let mut table = table.lock().expect("no part panics with it");
                            table.count((at, turn), ended, killed_in);
                        }
                        Ok(None) => break,
                        // The message is on standard error. What the world is like now, nobody knows.
                        Err(_) => {
                            eprintln!("not right: {point}");
                            failures += 1;
                            table.lock().expect("no part panics with it").failed(point);
                            if failures == MOST_FAILURES {
                                return Some(());
                            }
                            bench = Bench::start(&self.journal, self.is_slim, self.of == 1).await?;
                        }
                    }
                }
            }
        }
        bench.end().await;
        Some(())
    }
}

/// Every point of every scenario on one store, in steps of [`stride`].
async fn matrix(store: &'static str, journal: Journal, is_slim: bool) {
    let (stride, seed, of) = (stride(), seed(), parts(&journal));
    println!("CUTOVER_TEST_MATRIX_SEED={seed}");
    let started = Instant::now();
    let wanted = only();
    let table = Arc::new(Mutex::new(Table::new(store, |name| {
        is_wanted(wanted.as_deref(), name)
    })));
    let parts = (0..of).map(|number| {
        let part = Part {
            store,
            journal: journal.clone(),
            is_slim,
            stride,
            seed,
            number,
            of,
        };
        let table = Arc::clone(&table);
        tokio::spawn(async move { part.visit(&table).await })
    });
    let mut was_possible = true;
    for (number, part) in parts.collect::<Vec<_>>().into_iter().enumerate() {
        match part.await {
            Ok(visited) => was_possible &= visited.is_some(),
            Err(_) => {
                let mut table = table.lock().expect("no part panics with it");
                table.failed(format!("{store} {number}, what readers saw, or a world"));
            }
        }
    }
    if !was_possible {
        return;
    }
    let mut table = table.lock().expect("no part panics with it");
    table.took = started.elapsed();
    println!("{}", table.print());
    assert_eq!(table.failures(), [""; 0]);
    let least = if wanted.is_some() { 1 } else { 400 / stride };
    assert!(table.points() >= least, "{}", table.points());
}

/// Which of the points are visited: others in each minute, unless it is said.
fn seed() -> u32 {
    let given = std::env::var("CUTOVER_TEST_MATRIX_SEED").ok();
    let given = given.map(|seed| seed.parse::<u32>().expect("a number"));
    given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let minutes = now.map_or(0, |since| since.as_secs() / 60);
        u32::try_from(minutes % 5_040).expect("small")
    })
}

fn stride() -> u32 {
    match std::env::var("CUTOVER_TEST_MATRIX").as_deref() {
        Ok("full") => 1,
        Ok(other) => other
            .parse()
            .expect("`full` or a number of points to step over"),
        Err(_) => STRIDE,
    }
}

/// The scenarios that are wanted, where not all of them are.
fn only() -> Option<Vec<String>> {
    let given = std::env::var("CUTOVER_TEST_MATRIX_ONLY").ok()?;
    let names: Vec<String> = given.split(',').map(str::to_owned).collect();
    for name in &names {
        let is_one = SCENARIOS.iter().any(|scenario| scenario.name == name);
        assert!(is_one, "not a scenario: {name}");
    }
    Some(names)
}

fn is_wanted(wanted: Option<&[String]>, name: &str) -> bool {
    wanted.is_none_or(|names| names.iter().any(|it| it == name))
}

/// How many worlds share the points: as many as there are processors where most of them are wanted.
fn parts(journal: &Journal) -> u32 {
    let given = std::env::var("CUTOVER_TEST_MATRIX_PARTS").ok();
    match (journal, given) {
        (Journal::Given(_), _) => 1,
        (Journal::Sqlite | Journal::Postgres, Some(parts)) => {
            let parts: u32 = parts.parse().expect("a number");
            parts.max(1)
        }
        (Journal::Sqlite | Journal::Postgres, None) if stride() < STRIDE => {
            let processors = std::thread::available_parallelism();
            processors.map_or(1, |processors| {
                u32::try_from(processors.get()).expect("small")
            })
        }
        (Journal::Sqlite | Journal::Postgres, None) => 1,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_journal_in_sqlite_every_point_ends_right() {
    matrix("sqlite", Journal::Sqlite, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_slim_release_every_point_ends_right() {
    matrix("slim", Journal::Sqlite, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_journal_in_postgresql_every_point_ends_right() {
    let given = std::env::var("CUTOVER_TEST_POSTGRES_URL").ok();
    let journal = given.map_or(Journal::Postgres, Journal::Given);
    matrix("postgresql", journal, false).await;
}
