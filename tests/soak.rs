//! The soak: two daemons release on a compressed clock while they are killed, paused and stopped, the
//! server and the journal go away, builds fail, others change the catalog and somebody gives up.
//! Readers look at production all the time.
//!
//! `cargo test` wants twenty releases, `CUTOVER_TEST_SOAK` says another number (`make soak`: 200).
//! `CUTOVER_TEST_SEED` repeats the mishaps of a run that printed it, in their order.

#![allow(clippy::print_stdout, reason = "the figures")]

mod support;

#[path = "soak/chance.rs"]
mod chance;
#[path = "soak/leaks.rs"]
mod leaks;

use chance::Chance;
use cutover::store::{Run, Store};
use leaks::Samples;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use support::{Daemon, JournalServer, Needs, PATIENCE, Readers, Replay, Stop, World, eventually};
use tokio_util::sync::CancellationToken;

/// The longest that a stand-by that answers takes for the place of a leader that died.
const TAKEOVER: Duration = Duration::from_secs(20);

/// Connections that a leader and a stand-by at rest have to the journal, and one that comes and goes.
const JOURNAL_CONNECTIONS: i64 = 6;

const NAMES: [&str; 2] = ["a", "b"];

/// What happens to the daemons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mishap {
    KillLeader,
    KillStandby,
    PauseLeader,
    PauseStandby,
    StopLeader,
    Outage,
    JournalRestart,
    Storm,
    FailingBuild,
    Abort,
}

const MISHAPS: [Mishap; 10] = [
    Mishap::KillLeader,
    Mishap::KillStandby,
    Mishap::PauseLeader,
    Mishap::PauseStandby,
    Mishap::StopLeader,
    Mishap::Outage,
    Mishap::JournalRestart,
    Mishap::Storm,
    Mishap::FailingBuild,
    Mishap::Abort,
];

fn configuration(schedule: &str) -> String {
    format!(
        "http: {{listen: null}}\n\
         daemon: {{takeover_interval: 1s, retry_max: 2s}}\n\
         environments:\n  prod:\n    project: {{target: prod}}\n{schedule}"
    )
}

const SCHEDULE: &str =
    "    schedule: {cron: \"*/2 * * * * *\", failure_backoff: 1s, max_failures: 1000}\n";

/// A soak under way.
struct Soak {
    journal: JournalServer,
    store: Store,
    replay: Replay,
    daemons: Vec<Daemon>,
    chance: Chance,
    /// Outages of the server that began.
    outages: Arc<AtomicU32>,
    samples: Samples,
    mishaps: BTreeMap<Mishap, u32>,
    restarts: u32,
    takeovers: Vec<Duration>,
    /// Dropped after those who work in its folders.
    world: World,
}

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

impl Soak {
    async fn start(seed: u64) -> Option<Self> {
        let mut world = World::start(Needs::Sandbox).await?;
        world.produce_by_sql().await;
        world.project.without_tests();
        let journal = JournalServer::of(&mut world);
        let replay = Replay::named(&mut world, "prod").await;
        let mut daemons = Vec::new();
        for name in NAMES {
            daemons.push(world.serve(name, &configuration(SCHEDULE)).await);
        }
        Some(Self {
            store: world.journal().await,
            journal,
            replay,
            daemons,
            chance: Chance::new(seed),
            outages: Arc::default(),
            samples: Samples::default(),
            mishaps: BTreeMap::new(),
            restarts: 0,
            takeovers: Vec::new(),
            world,
        })
    }

    /// The runs that were more than a firing that nothing came of.
    async fn ended(&self) -> usize {
        let runs = self.store.runs(None, 100_000).await;
        let runs = runs.unwrap_or_default();
        let ended = |run: &&Run| run.outcome.is_some() && run.deployment.is_some();
        runs.iter().filter(ended).count()
    }

    /// Which daemon leads, as they say themselves.
    async fn leader(&self) -> Option<usize> {
        for (at, daemon) in self.daemons.iter().enumerate() {
            let status = daemon.status("prod").await;
            if status.is_some_and(|status| status["role"] == "leader") {
                return Some(at);
            }
        }
        None
    }

    async fn a_leader(&self) -> usize {
        eventually("a leader", async || self.leader().await).await
    }

    /// Waits until so many more releases have ended, one way or the other.
    async fn releases(&mut self, more: usize) {
        let wanted = self.ended().await + more;
        let until = Instant::now() + PATIENCE;
        while self.ended().await < wanted {
            assert!(Instant::now() < until, "no release ends any more");
            self.nobody_died();
            self.samples.take(&self.daemons).await;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Waits until one more run has ended like this.
    async fn one_more(&self, outcome: &str) {
        let before = self.count(outcome).await;
        eventually(outcome, async || {
            (self.count(outcome).await > before).then_some(())
        })
        .await;
    }

    async fn count(&self, outcome: &str) -> usize {
        let runs = self.store.runs(None, 100_000).await.unwrap_or_default();
        let outcomes = runs.iter().filter_map(|run| run.outcome);
        outcomes.filter(|one| one.as_str() == outcome).count()
    }

    fn nobody_died(&mut self) {
        for daemon in &mut self.daemons {
            let log = daemon.log();
            assert!(!daemon.has_ended(), "a daemon ended by itself\n{log}");
        }
    }

    /// Starts a daemon anew in the place of one that ended or is about to.
    async fn restart(&mut self, at: usize, code: Option<i32>) {
        let old = self.daemons.remove(at);
        let ended = old.ended().await;
        assert_eq!(ended.code, code, "{ended}");
        let configuration = configuration(SCHEDULE);
        let new = self.world.start_daemon(NAMES[at], &configuration);
        self.daemons.insert(at, new);
        self.daemons[at].answers().await;
        self.restarts += 1;
    }

    /// Waits until the other one leads.
    async fn taken_over(&mut self, by: usize, since: Instant) {
        self.daemons[by]
            .until("prod", "the stand-by to lead", |status| {
                status["role"] == "leader"
            })
            .await;
        let took = since.elapsed();
        assert!(took < TAKEOVER, "{took:?}");
        self.takeovers.push(took);
    }

    async fn suffers(&mut self, mishap: Mishap) {
        *self.mishaps.entry(mishap).or_default() += 1;
        let leader = self.a_leader().await;
        let other = 1 - leader;
        // At any moment of a release.
        let pause = self.chance.between(0, 2500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        println!("{:?} of {}", mishap, NAMES[leader]);
        match mishap {
            Mishap::KillLeader => {
                let stands_by = self.stands_by(other).await;
                self.daemons[leader].signal(Signal::SIGKILL);
                if stands_by {
                    self.taken_over(other, Instant::now()).await;
                }
                self.restart(leader, None).await;
            }
            Mishap::KillStandby => {
                self.daemons[other].signal(Signal::SIGKILL);
                self.restart(other, None).await;
            }
            Mishap::StopLeader => {
                self.daemons[leader].signal(Signal::SIGTERM);
                self.restart(leader, Some(0)).await;
            }
            Mishap::PauseLeader => self.pause(leader).await,
            Mishap::PauseStandby => self.pause(other).await,
            Mishap::Outage => self.outage().await,
            Mishap::JournalRestart => {
                let mode = [Stop::Fast, Stop::Immediate][usize::from(self.chance.is_heads())];
                let journal = &mut self.journal;
                tokio::task::block_in_place(|| journal.stop(mode));
                let away = self.chance.between(0, 3000);
                tokio::time::sleep(Duration::from_millis(away)).await;
                let journal = &mut self.journal;
                tokio::task::block_in_place(|| journal.start());
            }
            Mishap::Storm => self.storm().await,
            Mishap::FailingBuild => {
                self.replay.fails(true);
                self.one_more("failed").await;
                self.replay.fails(false);
            }
            Mishap::Abort => {
                // Declined while nothing is under way.
                let path = "/v1/environments/prod/abort";
                let daemon = &self.daemons[leader];
                eventually("something to give up", async || {
                    let (status, answer) = daemon.post(path, &json!({})).await;
                    assert!(matches!(status, 202 | 409), "{status} {answer}");
                    (status == 202).then_some(())
                })
                .await;
            }
        }
    }

    async fn stands_by(&self, at: usize) -> bool {
        let status = self.daemons[at].status("prod").await;
        status.is_some_and(|status| status["role"] == "standby")
    }

    /// A daemon falls silent for less or more than its lease.
    async fn pause(&mut self, at: usize) {
        let other = 1 - at;
        let led = self.leader().await == Some(other);
        let silent = Instant::now();
        self.daemons[at].signal(Signal::SIGSTOP);
        let until = silent + Duration::from_millis(self.chance.between(500, 14_000));
        let mut is_taken = led;
        while Instant::now() < until {
            if !is_taken {
                let status = self.daemons[other].status("prod").await;
                is_taken = status.is_some_and(|status| status["role"] == "leader");
                if is_taken {
                    self.takeovers.push(silent.elapsed());
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.daemons[at].signal(Signal::SIGCONT);
    }

    /// The server drops everybody and stays away for a while.
    async fn outage(&mut self) {
        let away = self.chance.between(0, 4000);
        self.world
            .sql
            .run(&format!(
                "INSERT INTO mz_sandbox.faults (pattern, action, argument) VALUES ('the end', 'outage', '{away}')"
            ))
            .await;
        self.outages.fetch_add(1, Ordering::SeqCst);
        let _ = self.world.sql.attempt("SELECT 'the end'").await;
        self.world.sql = eventually("the server to be back", async || {
            self.world.server.try_connect().await
        })
        .await;
        self.world.let_go().await;
    }

    /// Somebody changes the catalog all the time, and each swap takes long enough to be met by it.
    async fn storm(&mut self) {
        self.world
            .sql
            .run(
                "INSERT INTO mz_sandbox.faults (pattern, application_name, action, argument, times) \
                 VALUES ('cutover: swap schemas ', 'cutover', 'delay', '200', NULL)",
            )
            .await;
        let sql = self.world.server.connect().await;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let blowing = tokio::spawn(async move {
            while !stopped.is_cancelled() {
                sql.run("CREATE SCHEMA storm").await;
                sql.run("DROP SCHEMA storm").await;
            }
        });
        let length = self.chance.between(2000, 6000);
        tokio::time::sleep(Duration::from_millis(length)).await;
        stop.cancel();
        blowing.await.expect("the storm ends");
        self.world.let_go().await;
    }

    /// Takes the schedule away and waits until nothing is under way.
    async fn comes_to_rest(&mut self) -> usize {
        for daemon in &self.daemons {
            let file = daemon.folder().join("cutover.yaml");
            std::fs::write(file, configuration("")).expect("a file");
            daemon.signal(Signal::SIGHUP);
        }
        eventually("rest", async || {
            let leader = self.leader().await?;
            let status = self.daemons[leader].status("prod").await?;
            let open = self.store.open_runs("prod").await.ok()?;
            let active = self.store.active("prod").await.ok()?;
            let is_idle = status["activity"] == "idle" && status["next_run"] == Value::Null;
            let latest = self.store.runs(None, 1).await.ok()?;
            let is_over = latest.iter().all(|run| {
                let word = run.outcome.map(cutover::store::Outcome::as_str);
                matches!(word, Some("released" | "skipped" | "aborted"))
            });
            (is_idle && is_over && open.is_empty() && active.is_none()).then_some(leader)
        })
        .await
    }

    /// Every run ended and every deployment is what its events say, at an end.
    async fn the_journal_is_sound(&self) -> BTreeMap<String, u32> {
        let mut outcomes = BTreeMap::new();
        for run in self.store.runs(None, 100_000).await.expect("runs") {
            let outcome = run
                .outcome
                .unwrap_or_else(|| panic!("it is open: {run:#?}"));
            let word = outcome.as_str();
            assert!(!matches!(word, "stuck" | "rolled_back"), "{run:#?}");
            *outcomes.entry(word.to_owned()).or_default() += 1;
        }
        let history = self.store.history(None, 100_000).await.expect("history");
        for deployment in history {
            let id = &deployment.id;
            assert!(deployment.state.is_terminal(), "{deployment:#?}");
            let replayed = self.store.replay(id).await.expect("a sound journal");
            assert_eq!(replayed, deployment.state, "{id}");
        }
        outcomes
    }

    /// Connections of clients to the journal, this one and the tests' own not counted.
    async fn journal_connections(&self) -> i64 {
        let client = self.journal.connect().await;
        let row = client
            .query_one(
                "SELECT count(*) FROM pg_stat_activity \
                 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
                &[],
            )
            .await
            .expect("a count");
        row.get(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_go_on_whatever_happens() {
    let wanted = usize::try_from(number("CUTOVER_TEST_SOAK", 20)).expect("a number");
    let seed = number("CUTOVER_TEST_SEED", chance::any());
    println!("CUTOVER_TEST_SEED={seed} CUTOVER_TEST_SOAK={wanted}");
    let began = Instant::now();
    let Some(mut soak) = Soak::start(seed).await else {
        return;
    };
    let own = leaks::connections(soak.world.server.address().1);
    let readers = Readers::start_through(&soak.world, 2, &soak.outages).await;
    soak.releases(1).await;
    // The last quarter is quiet, so that what grows is seen.
    let quiet = wanted.div_ceil(4);
    while soak.ended().await + quiet < wanted {
        // All of them, however few releases are wanted.
        for mishap in soak.chance.shuffled(MISHAPS) {
            soak.suffers(mishap).await;
            let more = 1 + usize::from(soak.chance.is_heads());
            soak.releases(more).await;
        }
    }
    soak.samples.begin_quiet();
    let more = wanted.saturating_sub(soak.ended().await).max(4);
    soak.releases(more).await;
    let leader = soak.comes_to_rest().await;
    let seen = readers.stop().await;

    let outcomes = soak.the_journal_is_sound().await;
    soak.world.nothing_left().await;
    is_live(&soak.world).await;
    eventually("few connections to the journal", async || {
        let few = soak.journal_connections().await - 1 <= JOURNAL_CONNECTIONS;
        few.then_some(())
    })
    .await;
    // The stand-by goes first: nobody takes over what is about to stop.
    let leading = soak.daemons.remove(leader);
    for daemon in [soak.daemons.remove(0), leading] {
        daemon.stopped().await.exits(0);
    }
    let processes: Vec<String> = soak.world.processes();
    assert_eq!(processes, Vec::<String>::new());
    let port = soak.world.server.address().1;
    eventually("connections to the server to end", async || {
        (leaks::connections(port) <= own).then_some(())
    })
    .await;
    let left = soak.journal_connections().await;
    assert!(
        left <= 1,
        "{left} connections to the journal, one is the test's"
    );
    soak.world.nothing_left().await;

    println!(
        "{:.0} s; outcomes of runs {outcomes:?}",
        began.elapsed().as_secs_f64()
    );
    println!("mishaps {:?}; {} restarts", soak.mishaps, soak.restarts);
    let seconds = soak.takeovers.iter().map(Duration::as_secs_f64);
    let seconds: Vec<String> = seconds.map(|took| format!("{took:.1}")).collect();
    println!(
        "{} takeovers, after [{}] s",
        seconds.len(),
        seconds.join(", ")
    );
    println!(
        "{} reads, the slowest {:.2} s; {} releases seen",
        seen.reads,
        seen.slowest.as_secs_f64(),
        seen.releases.len()
    );
    soak.samples.print();
    seen.undisturbed();
    soak.samples.do_not_grow();
}

/// What the baseline takes for live is what the journal released last.
async fn is_live(world: &World) {
    let baseline = world
        .cutover(&["baseline", "show", "prod"])
        .await
        .exits(0)
        .document();
    let history = world
        .cutover(&["history", "prod"])
        .await
        .exits(0)
        .document();
    let deployments = history["deployments"].as_array().expect("deployments");
    let live = deployments
        .iter()
        .find(|deployment| deployment["state"] == "done")
        .expect("a release");
    assert_eq!(
        baseline["live"]["metadata"]["deployment"], live["id"],
        "{baseline}"
    );
    let sides = world
        .sql
        .rows(&format!(
            "SELECT (SELECT max(release) FROM {}.totals), (SELECT max(release) FROM {}.report)",
            world.name("marts"),
            world.name("serving")
        ))
        .await;
    assert_eq!(sides[0][0], sides[0][1]);
}
