//! The soak: two daemons release two environments on a compressed clock while they are killed, paused
//! and stopped, the server and the journal go away, builds fail, others change the catalog and somebody
//! gives up. Readers look at production all the time.
//!
//! `cargo test` wants twenty releases, `CUTOVER_TEST_SOAK` says another number (`make soak`: 200).
//! `CUTOVER_TEST_SEED` repeats the mishaps of a run that printed it, in their order.

#![allow(clippy::print_stdout, reason = "the figures")]

mod support;

#[path = "soak/environment.rs"]
mod environment;
#[path = "soak/leaks.rs"]
mod leaks;

use cutover::adapters::store::Store;
use cutover::domain::records::run::Run;
use environment::Environment;
use leaks::Samples;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use support::chance::{self, Chance};
use support::{Daemon, JournalServer, Needs, PATIENCE, Readers, Stop, World, eventually};
use tokio_util::sync::CancellationToken;

/// The longest that a stand-by that answers takes for the place of a leader that died.
const TAKEOVER: Duration = Duration::from_secs(10);

/// Connections that two daemons at rest have to the journal for each environment, and one that comes
/// and goes.
const JOURNAL_CONNECTIONS: i64 = 11;

/// The daemons.
const NAMES: [&str; 2] = ["a", "b"];

/// The environments: two projects on one server.
const ENVIRONMENTS: [&str; 2] = ["shop", "outlet"];

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
    People,
}

const MISHAPS: [Mishap; 11] = [
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
    Mishap::People,
];

const SCHEDULE: &str =
    "    schedule: {cron: \"*/2 * * * * *\", failure_backoff: 1s, max_failures: 1000}\n";

/// A soak under way.
struct Soak {
    journal: JournalServer,
    store: Store,
    daemons: Vec<Daemon>,
    chance: Chance,
    /// Outages of the server that began.
    outages: Arc<AtomicU32>,
    samples: Samples,
    mishaps: BTreeMap<Mishap, u32>,
    restarts: u32,
    takeovers: Vec<Duration>,
    /// Dropped after those who work in their folders. The first one runs the server.
    environments: Vec<Environment>,
}

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().expect("a number"))
}

impl Soak {
    async fn start(seed: u64) -> Option<Self> {
        let mut first = World::start(Needs::Sandbox).await?;
        let mut second = first.beside(ENVIRONMENTS[1]).await;
        let journal = JournalServer::of(&mut first);
        second.set("STORE__URL", &journal.url());
        let mut environments = Vec::new();
        for (name, world) in ENVIRONMENTS.into_iter().zip([first, second]) {
            environments.push(Environment::produced(name, world).await);
        }
        environment::with_a_dbt_for_each(&mut environments);
        let store = environments[0].world.journal().await;
        let mut soak = Self {
            journal,
            store,
            daemons: Vec::new(),
            chance: Chance::new(seed),
            outages: Arc::default(),
            samples: Samples::default(),
            mishaps: BTreeMap::new(),
            restarts: 0,
            takeovers: Vec::new(),
            environments,
        };
        for name in NAMES {
            let configuration = soak.configuration(SCHEDULE);
            let daemon = soak.world().serve(name, &configuration).await;
            soak.daemons.push(daemon);
        }
        Some(soak)
    }

    /// What runs the server, and where the daemons are started.
    fn world(&self) -> &World {
        &self.environments[0].world
    }

    fn configuration(&self, schedule: &str) -> String {
        let parts = self.environments.iter();
        let parts: String = parts.map(|one| one.configuration(schedule)).collect();
        format!(
            "http: {{listen: null}}\ndaemon: {{takeover_interval: 1s, retry_max: 2s}}\nenvironments:\n{parts}"
        )
    }

    /// The runs that were more than a firing that nothing came of.
    async fn ended(&self) -> usize {
        let runs = self.store.runs(None, 100_000).await;
        let runs = runs.unwrap_or_default();
        let ended = |run: &&Run| run.outcome.is_some() && run.deployment.is_some();
        runs.iter().filter(ended).count()
    }

    /// Which daemon leads an environment, as they say themselves.
    async fn leader(&self, environment: &str) -> Option<usize> {
        for (at, daemon) in self.daemons.iter().enumerate() {
            let status = daemon.status(environment).await;
            if status.is_some_and(|status| status["role"] == "leader") {
                return Some(at);
            }
        }
        None
    }

    async fn a_leader(&self, environment: &str) -> usize {
        eventually("a leader", async || self.leader(environment).await).await
    }

    /// Waits until so many more releases have ended, one way or the other.
    async fn releases(&mut self, more: usize) {
        let wanted = self.ended().await + more;
        let until = Instant::now() + PATIENCE;
        while self.ended().await < wanted {
            assert!(Instant::now() < until, "no release ends any more");
            self.nobody_died();
            self.samples.take(&self.daemons, &ENVIRONMENTS).await;
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Waits until one more run of an environment has ended like this.
    async fn one_more(&self, environment: &str, outcome: &str) {
        let before = self.count(environment, outcome).await;
        eventually(outcome, async || {
            (self.count(environment, outcome).await > before).then_some(())
        })
        .await;
    }

    async fn count(&self, environment: &str, outcome: &str) -> usize {
        let runs = self.store.runs(Some(environment), 100_000).await;
        let runs = runs.unwrap_or_default();
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
        let configuration = self.configuration(SCHEDULE);
        let new = self.world().start_daemon(NAMES[at], &configuration);
        self.daemons.insert(at, new);
        self.daemons[at].answers().await;
        self.restarts += 1;
    }

    /// Waits until the other one leads an environment.
    async fn taken_over(&mut self, environment: &str, by: usize, since: Instant) {
        self.daemons[by]
            .until(environment, "the stand-by to lead", |status| {
                status["role"] == "leader"
            })
            .await;
        let took = since.elapsed();
        assert!(took < TAKEOVER, "{took:?}");
        self.takeovers.push(took);
    }

    async fn suffers(&mut self, mishap: Mishap) {
        *self.mishaps.entry(mishap).or_default() += 1;
        let at = usize::from(self.chance.is_heads());
        let environment = self.environments[at].name;
        let leader = self.a_leader(environment).await;
        let other = 1 - leader;
        // At any moment of a release.
        let pause = self.chance.between(0, 2500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        println!("{mishap:?}, {} leads {environment}", NAMES[leader]);
        match mishap {
            Mishap::KillLeader => {
                let stands_by = self.stands_by(environment, other).await;
                self.daemons[leader].signal(Signal::SIGKILL);
                if stands_by {
                    self.taken_over(environment, other, Instant::now()).await;
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
            Mishap::PauseLeader => self.pause(environment, leader).await,
            Mishap::PauseStandby => self.pause(environment, other).await,
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
                self.environments[at].replay.fails(true);
                self.one_more(environment, "failed").await;
                self.environments[at].replay.fails(false);
            }
            Mishap::People => self.people(environment, at).await,
            Mishap::Abort => {
                // Declined while nothing is under way.
                let path = format!("/v1/environments/{environment}/abort");
                let daemon = &self.daemons[leader];
                eventually("something to give up", async || {
                    let (status, answer) = daemon.post(&path, &json!({})).await;
                    assert!(matches!(status, 202 | 409), "{status} {answer}");
                    (status == 202).then_some(())
                })
                .await;
            }
        }
    }

    /// Somebody gives or takes a privilege in production. Whenever that is, the next release keeps it.
    async fn people(&mut self, environment: &str, at: usize) {
        let marts = self.environments[at].world.name("marts");
        let gives = self.chance.is_heads();
        let sql = match gives {
            true => format!("GRANT SELECT ON {marts}.totals TO PUBLIC"),
            false => format!("REVOKE SELECT ON {marts}.totals FROM PUBLIC"),
        };
        self.world().sql.run(&sql).await;
        self.one_more(environment, "released").await;
        let public = format!(
            "SELECT (o.privileges::text ~ '[{{,]p?=r')::text FROM mz_catalog.mz_objects o \
             JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id \
             WHERE s.name = '{marts}' AND o.name = 'totals'"
        );
        assert_eq!(self.world().sql.value(&public).await, gives.to_string());
    }

    async fn stands_by(&self, environment: &str, at: usize) -> bool {
        let status = self.daemons[at].status(environment).await;
        status.is_some_and(|status| status["role"] == "standby")
    }

    /// A daemon falls silent for less or more than its lease.
    async fn pause(&mut self, environment: &str, at: usize) {
        let other = 1 - at;
        let led = self.leader(environment).await == Some(other);
        let silent = Instant::now();
        self.daemons[at].signal(Signal::SIGSTOP);
        let until = silent + Duration::from_millis(self.chance.between(500, 14_000));
        let mut is_taken = led;
        while Instant::now() < until {
            if !is_taken {
                let status = self.daemons[other].status(environment).await;
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
        self.outages.fetch_add(1, Ordering::SeqCst);
        self.world().outage(Duration::from_millis(away)).await;
        for environment in &mut self.environments {
            environment.world.is_back().await;
        }
        self.world().let_go().await;
    }

    /// Somebody changes the catalog all the time, and each swap takes long enough to be met by it.
    async fn storm(&mut self) {
        self.world()
            .sql
            .run(
                "INSERT INTO mz_sandbox.faults (pattern, application_name, action, argument, times) \
                 VALUES ('cutover: swap schemas ', 'cutover', 'delay', '200', NULL)",
            )
            .await;
        let sql = self.world().server.connect().await;
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
        self.world().let_go().await;
    }

    /// Takes the schedules away and waits until nothing is under way.
    async fn come_to_rest(&self) {
        for daemon in &self.daemons {
            let file = daemon.folder().join("cutover.yaml");
            std::fs::write(file, self.configuration("")).expect("a file");
            daemon.signal(Signal::SIGHUP);
        }
        for environment in ENVIRONMENTS {
            eventually("rest", async || self.rests(environment).await).await;
        }
    }

    async fn rests(&self, environment: &str) -> Option<()> {
        let leader = self.leader(environment).await?;
        let status = self.daemons[leader].status(environment).await?;
        let open = self.store.open_runs(environment).await.ok()?;
        let active = self.store.active(environment).await.ok()?;
        let is_idle = status["activity"] == "idle" && status["next_run"] == Value::Null;
        let latest = self.store.runs(Some(environment), 1).await.ok()?;
        let is_over = latest.iter().all(|run| {
            let word = run
                .outcome
                .map(cutover::domain::records::run::Outcome::as_str);
            matches!(word, Some("released" | "skipped" | "aborted"))
        });
        (is_idle && is_over && open.is_empty() && active.is_none()).then_some(())
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
    let port = soak.world().server.address().1;
    let own = leaks::connections(port);
    let mut readers = Vec::new();
    for environment in &soak.environments {
        let two = Readers::start_through(&environment.world, 2, &soak.outages);
        readers.push((environment.name, two.await));
    }
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
    let more = wanted.saturating_sub(soak.ended().await).max(8);
    soak.releases(more).await;
    soak.come_to_rest().await;
    let mut seen = Vec::new();
    for (name, readers) in readers {
        seen.push((name, readers.stop().await));
    }

    let outcomes = soak.the_journal_is_sound().await;
    for environment in &soak.environments {
        environment.world.nothing_left().await;
        environment.is_live().await;
    }
    eventually("few connections to the journal", async || {
        let few = soak.journal_connections().await - 1 <= JOURNAL_CONNECTIONS;
        few.then_some(())
    })
    .await;
    // Nobody takes over what is about to stop.
    for daemon in &soak.daemons {
        daemon.signal(Signal::SIGTERM);
    }
    for daemon in soak.daemons.drain(..) {
        daemon.ended().await.exits(0);
    }
    let processes: Vec<String> = soak.world().processes();
    assert_eq!(processes, Vec::<String>::new());
    eventually("connections to the server to end", async || {
        (leaks::connections(port) <= own).then_some(())
    })
    .await;
    let left = soak.journal_connections().await;
    assert!(
        left <= 1,
        "{left} connections to the journal, one is the test's"
    );
    for environment in &soak.environments {
        environment.world.nothing_left().await;
    }

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
    for (name, seen) in &seen {
        println!(
            "{name}: {} reads, the slowest {:.2} s; {} releases seen",
            seen.reads,
            seen.slowest.as_secs_f64(),
            seen.releases.len()
        );
    }
    soak.samples.print();
    for (_, seen) in &seen {
        seen.undisturbed();
    }
    soak.samples.do_not_grow();
}
