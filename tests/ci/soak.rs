//! The soak: pull requests that are pushed to, built, killed, overtaken, closed and forgotten, several at a time, over
//! one journal and beside one production, which a collector and everybody else leave as it is.
//!
//! `cargo test` wants ten small requests; `CUTOVER_TEST_CI_SOAK` says another number (`make ci-soak`: 50, ten at a
//! time). `CUTOVER_TEST_SEED` repeats what the requests of a run that printed it did, each by itself; what meets what
//! is the machine's.

#![allow(clippy::print_stdout, reason = "the figures")]

use crate::corner::{Guard, live, nothing_left, production, states, torn_down_if_there};
use crate::support::chance::{self, Chance};
use crate::support::{JournalServer, Outcome, Running, Snapshot, World, eventually};
use futures_util::StreamExt;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// What a push changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Leaf,
    Total,
    Added,
    LostColumn,
    FailingTest,
    Broken,
    Documented,
}

const CHANGES: [Change; 7] = [
    Change::Leaf,
    Change::Total,
    Change::Added,
    Change::LostColumn,
    Change::FailingTest,
    Change::Broken,
    Change::Documented,
];

impl Change {
    /// What comes out of it: exit code, nodes that stand or were refused, columns, tests with another end than `pass`.
    fn expected(self) -> Expected {
        let built: &[(&str, &str)] = match self {
            Self::Leaf | Self::LostColumn => &[("report", "stands")],
            Self::Total | Self::FailingTest => &[("report", "stands"), ("totals", "stands")],
            Self::Added => &[("added", "stands")],
            Self::Broken => &[("counts", "failed"), ("report", "skipped")],
            Self::Documented => &[],
        };
        Expected {
            code: match self {
                Self::FailingTest | Self::Broken => 1,
                Self::Leaf | Self::Total | Self::Added | Self::LostColumn | Self::Documented => 0,
            },
            nodes: built
                .iter()
                .map(|(name, state)| ((*name).to_owned(), (*state).to_owned()))
                .collect(),
            columns: match self {
                Self::LostColumn => &[("extra", "gained"), ("n", "lost")],
                Self::Leaf
                | Self::Total
                | Self::Added
                | Self::FailingTest
                | Self::Broken
                | Self::Documented => &[],
            },
            bad_tests: match self {
                Self::FailingTest => &["not_null_totals_customer", "totals_add_up"],
                Self::Leaf
                | Self::Total
                | Self::Added
                | Self::LostColumn
                | Self::Broken
                | Self::Documented => &[],
            },
            tests: match self {
                Self::Leaf | Self::LostColumn => 1,
                // Three of data, and a unit test.
                Self::Total | Self::FailingTest => 4,
                Self::Added | Self::Broken | Self::Documented => 0,
            },
        }
    }

    /// Writes it into a copy of the project; no two numbers come out alike.
    fn write(self, folder: &Path, number: u32) {
        let report = "models/serving/report.sql";
        let totals = "models/marts/totals.sql";
        let release = format!("{number} as release");
        match self {
            Self::Leaf => replace(folder, report, "1 as release", &release),
            Self::Total => replace(folder, totals, "1 as release", &release),
            Self::Added => write(
                folder,
                "models/serving/added.sql",
                &format!("select customer, {number} as number from {{{{ ref('report') }}}}\n"),
            ),
            Self::LostColumn => replace(folder, report, ", c.n", &format!(", {number} as extra")),
            Self::FailingTest => {
                replace(folder, totals, "1 as release", &release);
                let nobody = "select nullif(customer, 'ada') as customer";
                replace(folder, totals, "select customer", nobody);
                replace(folder, totals, "group by customer", "group by 1");
            }
            Self::Broken => {
                let missing = format!("count(*) + nothing_{number}");
                replace(folder, "models/marts/counts.sql", "count(*)", &missing);
            }
            Self::Documented => {
                let documented = format!("- name: totals\n    description: number {number}\n");
                replace(folder, "models/schema.yml", "- name: totals\n", &documented);
            }
        }
    }
}

#[derive(Debug)]
struct Expected {
    code: i32,
    nodes: BTreeMap<String, String>,
    columns: &'static [(&'static str, &'static str)],
    bad_tests: &'static [&'static str],
    tests: usize,
}

fn write(folder: &Path, place: &str, text: &str) {
    let path = folder.join(place);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file is written");
}

fn replace(folder: &Path, place: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(folder.join(place)).expect("a file");
    assert!(text.contains(from), "{place} has no {from:?}");
    write(folder, place, &text.replace(from, to));
}

/// What a build is let come to.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It ends by itself.
    Ends,
    /// Its process is killed at some moment.
    Killed,
    /// The next push, or the end of the request, comes while it is under way.
    Overtaken,
}

/// What happened, counted.
#[derive(Debug, Default)]
struct Tally {
    passed: u32,
    failed: u32,
    cancelled: u32,
    killed: u32,
    torn_down: u32,
    forgotten: u32,
    statements: u64,
    slowest: Duration,
}

/// A build under way, and what its push changed.
struct Building {
    change: Change,
    running: Running,
}

struct Soak {
    world: World,
    /// The project as it is in production.
    files: Vec<(String, Vec<u8>)>,
    seed: u64,
    /// The longest pause before a kill, in milliseconds.
    longest: u64,
    /// The most pushes to one request.
    pushes: u64,
    tally: Mutex<Tally>,
    _journal: JournalServer,
}

impl Soak {
    fn count(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.tally.lock().expect("nobody panics with it"));
    }

    /// The work tree of one push, as a platform checks it out for each job.
    fn checked_out(&self, name: &str, push: u64) -> PathBuf {
        let folder = self.world.home().join(format!("{name}-{push}"));
        for (place, bytes) in &self.files {
            let path = folder.join(place);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            std::fs::write(path, bytes).expect("a file");
        }
        folder
    }

    /// A pull request from its first push to its end.
    async fn request(&self, number: u64) {
        let name = format!("pr-{number}");
        let mut chance = Chance::new(self.seed.wrapping_mul(1009).wrapping_add(number));
        let pushes = chance.between(1, self.pushes);
        let is_forgotten = chance.between(0, 3) == 0;
        let mut under_way: Option<Building> = None;
        for push in 1..=pushes {
            let which = usize::try_from(chance.between(0, 6)).expect("small");
            let change = CHANGES[which];
            let fate = match chance.between(0, 5) {
                0 | 1 => Fate::Killed,
                2 | 3 => Fate::Overtaken,
                _ => Fate::Ends,
            };
            let pause = Duration::from_millis(chance.between(0, self.longest));
            let folder = self.checked_out(&name, push);
            change.write(&folder, 2 + u32::try_from(push).expect("small"));
            // A corner of its may be collected between two pushes already.
            let ttl = match is_forgotten {
                true => "1s",
                false => "1h",
            };
            let running = self.world.spawn_with(
                &folder,
                &["ci", "build", "--name", &name],
                &[("CI__TTL", ttl)],
            );
            let mut building = Building { change, running };
            if let Some(before) = under_way.take() {
                let ended = before.running.ended().await;
                self.overtaken(before.change, &ended);
            }
            match fate {
                Fate::Ends => {
                    let ended = building.running.ended().await;
                    self.ended(change, &ended);
                    if !is_forgotten {
                        self.stands(&name, change, &ended).await;
                    }
                }
                Fate::Killed => {
                    tokio::time::sleep(pause).await;
                    if building.running.has_ended() {
                        let ended = building.running.ended().await;
                        self.ended(change, &ended);
                        continue;
                    }
                    building.running.signal(Signal::SIGKILL);
                    let ended = building.running.ended().await;
                    match ended.code {
                        None => self.count(|tally| tally.killed += 1),
                        Some(_) => self.ended(change, &ended),
                    }
                }
                Fate::Overtaken => {
                    tokio::time::sleep(pause).await;
                    under_way = Some(building);
                }
            }
        }
        if is_forgotten {
            if let Some(last) = under_way.take() {
                let ended = last.running.ended().await;
                self.ended(last.change, &ended);
            }
            self.count(|tally| tally.forgotten += 1);
        } else {
            self.closed(&name, under_way).await;
        }
        println!("{name}: over");
    }

    /// Closes a request, which a build of it may not have noticed yet.
    async fn closed(&self, name: &str, under_way: Option<Building>) {
        // There may never have been anything of it.
        torn_down_if_there(&self.world, name).await;
        if let Some(last) = under_way {
            let building = last.running.ended().await;
            self.overtaken(last.change, &building);
            if building.code != Some(130) {
                // It began after its request was closed.
                torn_down_if_there(&self.world, name).await;
            }
        }
        self.count(|tally| tally.torn_down += 1);
        let left = self.objects(name).await;
        assert_eq!(left, BTreeSet::new(), "{name}");
    }

    /// A build that came to its end says what its push comes to.
    fn ended(&self, change: Change, ended: &Outcome) {
        let expected = change.expected();
        assert_eq!(ended.code, Some(expected.code), "{change:?}: {ended}");
        let report = ended.result();
        is_right(change, &expected, &report);
        self.count(|tally| {
            match expected.code {
                0 => tally.passed += 1,
                _ => tally.failed += 1,
            }
            tally.slowest = tally.slowest.max(ended.took);
        });
    }

    /// A build that another took the place of, or that had come to its end before.
    fn overtaken(&self, change: Change, ended: &Outcome) {
        if ended.code == Some(130) {
            let said = ended.all();
            assert!(said.contains("has taken its place"), "{ended}");
            self.count(|tally| tally.cancelled += 1);
        } else {
            self.ended(change, ended);
        }
    }

    /// The corner has what the build was to make, and nothing else.
    async fn stands(&self, name: &str, change: Change, ended: &Outcome) {
        let expected = change.expected();
        let stands = expected
            .nodes
            .iter()
            .filter(|(_, state)| *state == "stands");
        let stands: BTreeSet<String> = stands.map(|(node, _)| node.clone()).collect();
        // What cannot be described is not built: what stood before stays.
        if change != Change::Broken {
            assert_eq!(self.objects(name).await, stands, "{change:?}: {ended}");
        }
    }

    /// The relations of a corner.
    async fn objects(&self, name: &str) -> BTreeSet<String> {
        let query = format!(
            "SELECT o.name::text FROM mz_catalog.mz_objects o JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id \
             WHERE s.name LIKE '%\\_\\_{name}' AND o.type <> 'index'"
        );
        let rows = self.world.sql.rows(&query).await;
        rows.into_iter().flatten().collect()
    }

    /// What a schedule would do all the time: drop what nobody wants any more.
    async fn collect(&self, over: &CancellationToken) {
        while !over.is_cancelled() {
            let ended = self.world.cutover(&["ci", "gc"]).await;
            assert_eq!(ended.code, Some(0), "{ended}");
            tokio::select! {
                () = over.cancelled() => {}
                () = tokio::time::sleep(Duration::from_secs(4)) => {}
            }
        }
    }

    /// Looks at every statement before the server forgets it.
    async fn guard(&self, over: &CancellationToken) {
        let guard = Guard::of(&self.world);
        let mut last = 0;
        loop {
            let is_last = over.is_cancelled();
            let (touching, now, count) = guard.look(&self.world, last).await;
            assert_eq!(touching, Vec::<String>::new());
            last = now;
            self.count(|tally| tally.statements += count);
            if is_last {
                return;
            }
            tokio::select! {
                () = over.cancelled() => {}
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }
}

/// The report says what was to come of it.
fn is_right(change: Change, expected: &Expected, report: &Value) {
    let found: BTreeMap<String, String> = states(report)
        .into_iter()
        .map(|(name, state)| match state.as_str() {
            "built" | "kept" => (name, "stands".to_owned()),
            _ => (name, state),
        })
        .collect();
    assert_eq!(found, expected.nodes, "{change:?}: {report}");
    let verdict = match expected.code {
        0 => "passed",
        _ => "failed",
    };
    assert_eq!(report["verdict"], verdict, "{change:?}: {report}");
    let of = |list: &str, key: &str| -> Vec<String> {
        let all = report[list].as_array().expect("a list").iter();
        all.map(|one| one[key].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let columns: Vec<(String, String)> = of("columns", "column")
        .into_iter()
        .zip(of("columns", "change"))
        .collect();
    let wanted = expected.columns.iter();
    let wanted: Vec<(String, String)> = wanted
        .map(|(name, change)| ((*name).to_owned(), (*change).to_owned()))
        .collect();
    assert_eq!(columns, wanted, "{change:?}: {report}");
    let tests = of("tests", "unique_id")
        .into_iter()
        .zip(of("tests", "status"));
    let tests: Vec<(String, String)> = tests.collect();
    assert_eq!(tests.len(), expected.tests, "{change:?}: {report}");
    for (id, status) in &tests {
        let is_bad = expected.bad_tests.iter().any(|bad| id.contains(bad));
        let wanted = if is_bad { "fail" } else { "pass" };
        assert_eq!(status, wanted, "{change:?}, {id}: {report}");
    }
    for node in report["nodes"].as_array().expect("nodes") {
        if node["materialized"] == "materialized_view" && node["state"] != "failed" {
            let rows = (&node["rows"], &node["production_rows"]);
            assert_eq!(rows, (&2.into(), &2.into()), "{change:?}: {report}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_side_by_side_leave_production_as_it_is_and_nothing_else() {
    let number = |name: &str| {
        let given = std::env::var(name).ok();
        given.map(|text| text.parse::<u64>().expect("a number"))
    };
    let seed = number("CUTOVER_TEST_SEED").unwrap_or_else(chance::any);
    let whole = number("CUTOVER_TEST_CI_SOAK");
    let requests = whole.unwrap_or(10);
    let at_a_time: usize = match whole {
        Some(_) => 10,
        None => 5,
    };
    println!("CUTOVER_TEST_SEED={seed}");
    let Some(mut world) = live().await else {
        return;
    };
    let journal = JournalServer::of(&mut world);
    let artifacts = world.project.path().join(".cutover/artifacts");
    world.set("ARTIFACTS__URL", &format!("file://{}", artifacts.display()));
    // Some wait in line.
    world.set("CI__MAX_ENVIRONMENTS", &(at_a_time - 1).to_string());
    let held: Snapshot = world.snapshot().await;
    let before = production(&world).await;
    let soak = Soak {
        files: world.project.files(),
        seed,
        longest: 6000,
        pushes: if whole.is_some() { 4 } else { 2 },
        tally: Mutex::default(),
        _journal: journal,
        world,
    };
    let began = Instant::now();
    let over = CancellationToken::new();
    let live = async {
        let all = futures_util::stream::iter(1..=requests).map(|number| soak.request(number));
        let all = all.buffer_unordered(at_a_time);
        all.for_each(|()| async {}).await;
        // What was forgotten goes as well.
        eventually("the forgotten corners to go", async || {
            let listed = soak.world.cutover(&["ci", "list"]).await.document();
            let is_empty = listed["corners"].as_array().is_some_and(Vec::is_empty);
            is_empty.then_some(())
        })
        .await;
        over.cancel();
    };
    tokio::join!(live, soak.collect(&over), soak.guard(&over));

    let world = &soak.world;
    world.snapshot().await.is(&held);
    assert_eq!(production(world).await, before);
    nothing_left(world).await;
    let listed = world.cutover(&["ci", "list"]).await.exits(0).document();
    assert_eq!(listed["corners"], serde_json::json!([]), "{listed}");
    let tally = soak.tally.lock().expect("nobody panics with it");
    println!(
        "| requests | builds | passed | failed | cancelled | killed | closed | forgotten | statements | slowest build | time |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    println!(
        "| {requests} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1} s | {:.0} s |",
        tally.passed + tally.failed + tally.cancelled + tally.killed,
        tally.passed,
        tally.failed,
        tally.cancelled,
        tally.killed,
        tally.torn_down,
        tally.forgotten,
        tally.statements,
        tally.slowest.as_secs_f64(),
        began.elapsed().as_secs_f64()
    );
    assert_eq!(
        u64::from(tally.torn_down + tally.forgotten),
        requests,
        "each request ended"
    );
}
