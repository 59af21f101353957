//! The crash matrix: the process is killed with SIGKILL before and after every statement that it or
//! dbt sends, and before and after every write to the journal; then the work is taken up again.
//!
//! A point is one such kill in a release of its own. After each: production was readable throughout
//! and is wholly old or wholly new, the end is the documented one, nothing is left behind, nothing
//! outside is gone, what is live is what the journal says, and running `resume` again changes nothing.
//!
//! `cargo test` visits every [`STRIDE`]th point, others each time; `CUTOVER_TEST_MATRIX_SEED` repeats those of a run
//! that printed it. `make matrix` (`CUTOVER_TEST_MATRIX=full`) visits all of them.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the matrix is a table"
)]

mod support;

use mz_sandbox::postgres::{PORT, SUPERUSER, Server};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};
use support::{Needs, Outcome, Readers, Replay, Running, Snapshot, World};

/// Every statement of the program under test and of dbt.
const STATEMENTS: &str = r"^/\* (cutover|dbt): ";
/// One of so many points at statements is visited where the matrix is not wanted whole.
const STRIDE: u32 = 72;

/// What is asked of the program, and how it must end.
#[derive(Debug, Clone, Copy)]
struct Scenario {
    name: &'static str,
    /// Runs unharmed before.
    before: Option<&'static [&'static str]>,
    /// What people do in production then; `{new}` is the number of the new release.
    meanwhile: Option<&'static str>,
    command: &'static [&'static str],
    /// Whether dbt's build fails.
    build_fails: bool,
    /// Whether green's stored SQL names a schema in column references, so that it cannot be swapped.
    names_schema: bool,
    /// The state in the end.
    ends: &'static str,
    /// The exit code of what leads there.
    code: i32,
    /// Whether the new release serves in the end.
    is_new: bool,
}

/// What is to be carried over to green.
const CHANGED: &str =
    "COMMENT ON MATERIALIZED VIEW shop_marts.totals IS 'for the people of release {new}'";

const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "release",
        before: None,
        meanwhile: None,
        command: &["deploy"],
        build_fails: false,
        names_schema: false,
        ends: "done",
        code: 0,
        is_new: true,
    },
    Scenario {
        name: "failure",
        before: None,
        meanwhile: None,
        command: &["deploy"],
        build_fails: true,
        names_schema: false,
        ends: "failed",
        code: 1,
        is_new: false,
    },
    Scenario {
        name: "named",
        before: None,
        meanwhile: None,
        command: &["deploy"],
        build_fails: false,
        names_schema: true,
        ends: "failed",
        code: 1,
        is_new: false,
    },
    Scenario {
        name: "promote",
        before: Some(&["deploy", "--promotion", "manual"]),
        meanwhile: Some(CHANGED),
        command: &["promote"],
        build_fails: false,
        names_schema: false,
        ends: "done",
        code: 0,
        is_new: true,
    },
    Scenario {
        name: "abort",
        before: Some(&["deploy", "--promotion", "manual"]),
        meanwhile: None,
        command: &["abort"],
        build_fails: false,
        names_schema: false,
        ends: "aborted",
        code: 0,
        is_new: false,
    },
    Scenario {
        name: "rollback",
        before: Some(&["deploy", "--cleanup", "manual"]),
        meanwhile: None,
        command: &["rollback"],
        build_fails: false,
        names_schema: false,
        ends: "rolled_back",
        code: 0,
        is_new: false,
    },
    Scenario {
        name: "forced",
        before: Some(&["deploy", "--cleanup", "manual"]),
        meanwhile: None,
        command: &["rollback", "--force"],
        build_fails: false,
        names_schema: false,
        ends: "rolled_back",
        code: 0,
        is_new: false,
    },
    Scenario {
        name: "cleanup",
        before: Some(&["deploy", "--cleanup", "manual"]),
        meanwhile: None,
        command: &["cleanup"],
        build_fails: false,
        names_schema: false,
        ends: "done",
        code: 0,
        is_new: true,
    },
];

/// Where the process dies.
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
    /// Writes are fewer than statements and each is a boundary of its own.
    fn stride(self, of_statements: u32) -> u32 {
        match self {
            Self::BeforeStatement | Self::AfterStatement => of_statements,
            Self::BeforeWrite | Self::AfterWrite => of_statements.div_ceil(4),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::BeforeStatement => "before statement",
            Self::AfterStatement => "after statement",
            Self::BeforeWrite => "before write",
            Self::AfterWrite => "after write",
        }
    }
}

/// How a point ended right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// `resume` finished it.
    Resumed,
    /// The kill came before the request was durable; asked again, it ended as asked.
    AskedAgain,
    /// The kill came after the last word was written.
    AlreadyEnded,
}

/// One row of the table.
#[derive(Debug, Default, Clone)]
struct Row {
    points: u32,
    resumed: u32,
    asked_again: u32,
    already_ended: u32,
}

#[derive(Debug, Default)]
struct Table {
    rows: Vec<(String, Row)>,
    /// The state in the journal when the process was dead → points.
    killed_in: BTreeMap<String, u32>,
    took: Duration,
}

/// A world whose production is known.
struct Bench {
    // First, so that it ends before its folder does.
    replay: Replay,
    world: World,
    /// What production serves.
    live: u32,
    /// The deployment that made it live, where one did.
    promoted: Option<String>,
    /// Whether releases leave a schema alone.
    is_slim: bool,
}

fn deployment(status: &Value) -> (String, String) {
    let deployment = &status["environments"][0]["deployment"];
    let text = |key: &str| deployment[key].as_str().unwrap_or_default().to_owned();
    (text("id"), text("state"))
}

impl Bench {
    async fn start(store: Option<&str>, is_slim: bool) -> Option<Self> {
        let mut world = World::prepared(Needs::Sandbox).await?;
        // Things outside that read what is swapped, and things that nobody may touch.
        for sql in [
            "CREATE SCHEMA shop_out",
            "CREATE CLUSTER shop_io (SIZE = '25cc')",
            "CREATE CONNECTION shop_out.kafka TO KAFKA (BROKER 'localhost:9092', SECURITY PROTOCOL PLAINTEXT)",
            "CREATE SINK shop_out.totals_out IN CLUSTER shop_io FROM shop_marts.totals \
             INTO KAFKA CONNECTION shop_out.kafka (TOPIC 'totals') FORMAT JSON ENVELOPE DEBEZIUM",
            "CREATE SINK shop_out.counts_out IN CLUSTER shop_io FROM shop_marts.counts \
             INTO KAFKA CONNECTION shop_out.kafka (TOPIC 'counts') FORMAT JSON ENVELOPE DEBEZIUM",
            "CREATE TABLE shop_out.kept (a int)",
            "COMMENT ON SCHEMA shop_marts IS 'for the board'",
            "COMMENT ON SCHEMA shop_out IS 'not of dbt'",
        ] {
            world.sql.run(sql).await;
        }
        if let Some(url) = store {
            world.set("STORE__URL", url);
            // Its releases also alter green clusters.
            world.set("HYDRATION__SIZE", "50cc");
        }
        let replay = if is_slim {
            // An index of a view that stays, on a cluster that is swapped.
            let place = "models/staging/stg_orders.sql";
            let config = "{{ config(indexes=[{'columns': ['customer'], 'name': 'stg_idx', 'cluster': 'shop_compute'}]) }}";
            let text = world.project.read(place);
            world.project.write(place, &format!("{config}\n{text}"));
            world.cutover(&["deploy", "--full"]).await.exits(0);
            Replay::of_totals(&mut world).await
        } else {
            // What a hook makes is in each release, and in each that is given up.
            let place = "models/marts/totals.sql";
            let hook = "create view {{ this.schema }}.totals_latest as select * from {{ this }}";
            let text = world.project.read(place);
            let config = format!("{{{{ config(post_hook=\"{hook}\") }}}}\n");
            world.project.write(place, &(config + &text));
            world.cutover(&["deploy"]).await.exits(0);
            world.has_hook = true;
            Replay::of(&mut world).await
        };
        let promoted = live_by(&world).await;
        Some(Self {
            replay,
            world,
            live: 1,
            promoted,
            is_slim,
        })
    }

    /// A command as it is given in this world.
    fn arguments<'a>(&self, command: &[&'a str]) -> Vec<&'a str> {
        let mut arguments = command.to_vec();
        if self.is_slim && command[0] == "deploy" {
            arguments.extend(["--select", "totals"]);
        }
        arguments
    }

    async fn status(&self) -> (String, String) {
        deployment(&self.world.cutover(&["status"]).await.exits(0).document())
    }

    /// One point. `None` when the command ended before the kill could strike.
    async fn point(&mut self, scenario: Scenario, kind: Kind, nth: u32) -> Option<(End, String)> {
        let new = self.live + 1;
        self.replay.makes(new, scenario.build_fails);
        self.replay.names_schema(scenario.names_schema);
        if let Some(before) = scenario.before {
            self.world.cutover(&self.arguments(before)).await.exits(0);
        }
        if let Some(sql) = scenario.meanwhile {
            let sql = sql.replace("{new}", &new.to_string());
            self.world.sql.run(&sql).await;
        }
        let before = self.world.snapshot().await;
        let asked_in = self.status().await;
        let killed = match kind {
            Kind::BeforeStatement => self.kill_at_statement(scenario, "hang", nth).await,
            Kind::AfterStatement => self.kill_at_statement(scenario, "hang_after", nth).await,
            Kind::BeforeWrite => self.kill_at_write(scenario, "before", nth).await,
            Kind::AfterWrite => self.kill_at_write(scenario, "after", nth).await,
        };
        if let Err(outcome) = killed {
            outcome.exits(scenario.code);
            self.ends_right(scenario, &before).await;
            return None;
        }
        self.serves_one_of(new).await;
        let dead_in = self.status().await;
        let resumed = self.world.cutover(&["resume"]).await;
        let ended = if dead_in == asked_in {
            // Nothing was recorded of the request: nothing was done, and it must be made again.
            self.world
                .cutover(&self.arguments(scenario.command))
                .await
                .exits(scenario.code);
            End::AskedAgain
        } else if dead_in.1 == scenario.ends {
            End::AlreadyEnded
        } else {
            resumed.exits(scenario.code);
            End::Resumed
        };
        self.ends_right(scenario, &before).await;
        Some((ended, dead_in.1))
    }

    /// Kills the process while its n-th statement, or dbt's, is held back or not answered.
    async fn kill_at_statement(
        &self,
        scenario: Scenario,
        action: &str,
        nth: u32,
    ) -> Result<(), Outcome> {
        let sql = &self.world.sql;
        sql.run(&format!(
            "INSERT INTO mz_sandbox.faults (pattern, action, nth) VALUES ('{STATEMENTS}', '{action}', {nth})"
        ))
        .await;
        let running = self.world.spawn(&self.arguments(scenario.command));
        let killed = self.killed_or_ended(running).await;
        sql.run("DELETE FROM mz_sandbox.faults").await;
        killed
    }

    async fn killed_or_ended(&self, running: Running) -> Result<(), Outcome> {
        let id = running.id();
        let ended = running.ended();
        tokio::pin!(ended);
        loop {
            tokio::select! {
                outcome = &mut ended => return Err(outcome),
                () = tokio::time::sleep(Duration::from_millis(10)) => {
                    let held = "SELECT coalesce(sum(held), 0)::text FROM mz_sandbox.faults";
                    if self.world.sql.value(held).await != "0" {
                        support::send(id, Signal::SIGKILL);
                        ended.await;
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The process kills itself right before or right after its n-th write to the journal.
    async fn kill_at_write(
        &mut self,
        scenario: Scenario,
        side: &str,
        nth: u32,
    ) -> Result<(), Outcome> {
        let variable = "CUTOVER_TEST_KILL_AT_WRITE";
        let point = format!("{side}:{nth}");
        self.world.environment.insert(variable.to_owned(), point);
        let outcome = self.world.cutover(&self.arguments(scenario.command)).await;
        self.world.environment.remove(variable);
        if outcome.code.is_none() {
            Ok(())
        } else {
            Err(outcome)
        }
    }

    /// Production is one release, whole.
    async fn serves_one_of(&self, new: u32) {
        let rows = self
            .world
            .sql
            .rows(
                "SELECT (SELECT max(release) FROM shop_marts.totals), (SELECT min(release) FROM shop_serving.report)",
            )
            .await;
        let (marts, serving) = (&rows[0][0], &rows[0][1]);
        assert_eq!(marts, serving, "production is mixed");
        let known = [self.live.to_string(), new.to_string()];
        assert!(known.contains(marts), "production serves {marts}");
    }

    /// The end is the documented one.
    async fn ends_right(&mut self, scenario: Scenario, before: &Snapshot) {
        let (id, state) = self.status().await;
        assert_eq!(state, scenario.ends);
        if scenario.is_new {
            self.live += 1;
            self.promoted = Some(id);
        }
        self.world.serves(self.live).await;
        self.world.nothing_left().await;
        let after = self.world.snapshot().await;
        if scenario.before.is_none() {
            after.describes_the_same(before);
            if !scenario.is_new {
                after.is(before);
            }
        }
        if scenario.meanwhile.is_some() {
            let comment = format!("for the people of release {}", self.live);
            let is_there = after.facts.iter().any(|fact| fact.contains(&comment));
            assert!(is_there, "not: {comment}");
        }
        // Of the two sinks, each reads production.
        for name in ["totals", "counts"] {
            let fact = format!("object shop_out.{name}_out reads object shop_marts.{name}");
            assert!(after.facts.contains(&fact), "not: {fact}");
        }
        assert_eq!(live_by(&self.world).await, self.promoted);
        self.world.cutover(&["resume"]).await.exits(0);
        self.world.snapshot().await.is(&after);
        assert_eq!(self.world.processes(), Vec::<String>::new());
    }
}

/// The deployment that the baseline and the journal take for live.
async fn live_by(world: &World) -> Option<String> {
    let history = world
        .cutover(&["history", "--limit", "1000"])
        .await
        .exits(0)
        .document();
    let deployments = history["deployments"].as_array()?;
    let done = deployments.iter().find(|one| one["state"] == "done");
    let id = done.and_then(|done| done["id"].as_str());
    let baseline = world
        .cutover(&["baseline", "show"])
        .await
        .exits(0)
        .document();
    let live = baseline["live"]["metadata"]["deployment"].as_str();
    assert_eq!(live, id, "{baseline}");
    id.map(str::to_owned)
}

/// Every point of every scenario on one store, in steps of `stride`.
async fn matrix(store: &str, url: Option<&str>, is_slim: bool, stride: u32) -> Option<Table> {
    let seed = seed();
    println!("CUTOVER_TEST_MATRIX_SEED={seed}");
    let mut bench = Bench::start(url, is_slim).await?;
    let readers = Readers::start(&bench.world, 1).await;
    let started = Instant::now();
    let mut table = Table::default();
    for (at, scenario) in SCENARIOS.into_iter().enumerate() {
        for (turn, kind) in KINDS.into_iter().enumerate() {
            let mut row = Row::default();
            // Sampled columns begin at different points, so that together they see more.
            let stride = kind.stride(stride);
            let offset = (u32::try_from(at * 5 + turn * 3).expect("small") + seed) % stride;
            for nth in (1 + offset..).step_by(stride as usize) {
                eprintln!("{store}, {}, {} {nth}", scenario.name, kind.name());
                let Some((ended, state)) = bench.point(scenario, kind, nth).await else {
                    break;
                };
                row.points += 1;
                match ended {
                    End::Resumed => row.resumed += 1,
                    End::AskedAgain => row.asked_again += 1,
                    End::AlreadyEnded => row.already_ended += 1,
                }
                *table.killed_in.entry(state).or_default() += 1;
            }
            let name = format!("{store:<10} | {:<8} | {:<16}", scenario.name, kind.name());
            table.rows.push((name, row));
        }
    }
    table.took = started.elapsed();
    readers.stop().await.undisturbed();
    Some(table)
}

impl Table {
    fn points(&self) -> u32 {
        self.rows.iter().map(|(_, row)| row.points).sum()
    }

    fn print(&self) -> String {
        let mut text = format!(
            "{:<10} | {:<8} | {:<16} | {:>6} | {:>12} | {:>11} | {:>13}\n",
            "store", "command", "killed", "points", "resume ended", "asked again", "already ended"
        );
        for (name, row) in &self.rows {
            let _ = writeln!(
                text,
                "{name} | {:>6} | {:>12} | {:>11} | {:>13}",
                row.points, row.resumed, row.asked_again, row.already_ended
            );
        }
        let _ = writeln!(
            text,
            "{} points in {:.0} s, every one ended right; killed in the state: {}",
            self.points(),
            self.took.as_secs_f64(),
            self.killed_in
                .iter()
                .map(|(state, points)| format!("{state} {points}"))
                .collect::<Vec<_>>()
                .join(", ")
        );
        text
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn with_the_journal_in_sqlite_every_point_ends_right() {
    let Some(table) = matrix("sqlite", None, false, stride()).await else {
        return;
    };
    println!("{}", table.print());
    assert!(table.points() >= 400 / stride(), "{}", table.points());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_slim_release_every_point_ends_right() {
    let Some(table) = matrix("slim", None, true, stride()).await else {
        return;
    };
    println!("{}", table.print());
    assert!(table.points() >= 400 / stride(), "{}", table.points());
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_journal_in_postgresql_every_point_ends_right() {
    let given = std::env::var("CUTOVER_TEST_POSTGRES_URL").ok();
    let (_server, url) = match given {
        Some(url) => (None, url),
        None => {
            let server = Server::start().expect("a private PostgreSQL");
            let folder = server.folder().display().to_string().replace('/', "%2F");
            let url = format!("postgres://{SUPERUSER}@{folder}:{PORT}/postgres");
            (Some(server), url)
        }
    };
    let Some(table) = matrix("postgresql", Some(&url), false, stride()).await else {
        return;
    };
    println!("{}", table.print());
    assert!(table.points() >= 400 / stride(), "{}", table.points());
}
