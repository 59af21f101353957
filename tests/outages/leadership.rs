//! Several daemons over one PostgreSQL journal: one leads, the others stand by and take over when it
//! dies or falls silent, and one that wakes up again changes nothing.

#![allow(clippy::print_stdout, reason = "the figures")]

use crate::support::{Daemon, JournalServer, Needs, Replay, Snapshot, Stop, World, eventually};
use cutover::domain::records::deployment::Summary;
use cutover::domain::records::run::{Outcome as Ended, Run};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The environment, and where it is asked for.
const RELEASES: &str = "/v1/environments/prod/releases";

/// The longest that a stand-by may take for the place of a leader that died: a try every two seconds.
const AFTER_DEATH: Duration = Duration::from_secs(10);

/// As [`AFTER_DEATH`], of a leader that fell silent: its lease of eight seconds comes before, which
/// begins with its last word, and a grace after.
const AFTER_SILENCE: Duration = Duration::from_secs(18);

const CONFIGURATION: &str =
    "http: {listen: null}\nenvironments:\n  prod:\n    project: {target: prod}\n";

/// A world in production over a PostgreSQL journal, whose dbt answers at once.
async fn world() -> Option<(World, JournalServer, Replay)> {
    let mut world = World::prepared(Needs::Sandbox).await?;
    let journal = JournalServer::of(&mut world);
    let replay = Replay::named(&mut world, "prod").await;
    Some((world, journal, replay))
}

/// A leader and a stand-by.
async fn two(world: &World) -> (Daemon, Daemon) {
    let first = world.serve("a", CONFIGURATION).await;
    is(&first, "leader").await;
    let second = world.serve("b", CONFIGURATION).await;
    is(&second, "standby").await;
    (first, second)
}

/// Waits until a daemon has this role.
async fn is(daemon: &Daemon, role: &str) -> Value {
    daemon
        .until("prod", role, |status| status["role"] == role)
        .await
}

/// Waits until a deployment that a daemon drives is in this state.
async fn is_at(daemon: &Daemon, state: &str) {
    daemon
        .until("prod", state, |status| {
            status["deployment"]["state"] == state && status["activity"] == "releasing"
        })
        .await;
}

async fn release(daemon: &Daemon) -> String {
    let (status, begun) = daemon.post(RELEASES, &json!({})).await;
    assert_eq!(status, 202, "{begun}");
    begun["run"].as_str().expect("a run").to_owned()
}

/// The address under which the journal knows a daemon.
fn address(daemon: &Daemon) -> String {
    let socket = daemon.folder().join(".cutover/daemon.sock");
    format!("unix:{}", socket.display())
}

/// Everything that a leader that lost the lead must leave as it is.
struct Record {
    server: Snapshot,
    runs: Vec<Run>,
    deployments: Vec<Summary>,
}

impl Record {
    async fn of(world: &World) -> Self {
        let store = world.journal().await;
        Self {
            server: world.snapshot().await,
            runs: store.runs(None, 500).await.expect("runs"),
            deployments: store.history(None, 500).await.expect("deployments"),
        }
    }

    #[track_caller]
    fn is(&self, other: &Self) {
        self.server.is(&other.server);
        assert_eq!(self.runs, other.runs);
        assert_eq!(
            format!("{:#?}", self.deployments),
            format!("{:#?}", other.deployments)
        );
    }
}

/// The only run of the journal was released, by a deployment whose events lead to its state.
async fn released_once(world: &World, run: &str) {
    let runs = world.runs().await;
    let run = runs.iter().find(|one| one.id == run).expect("the run");
    assert_eq!(run.outcome, Some(Ended::Released), "{runs:#?}");
    assert!(run.revision.is_some(), "{runs:#?}");
    assert!(runs.iter().all(|run| run.outcome.is_some()), "{runs:#?}");
    let store = world.journal().await;
    let id = run.deployment.as_deref().expect("a deployment");
    let replayed = store.replay(id).await.expect("a sound journal");
    assert_eq!(replayed.as_str(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leads_and_the_other_says_where() {
    let Some((world, _journal, _replay)) = world().await else {
        return;
    };
    let (leader, standby) = two(&world).await;
    let shown = is(&standby, "standby").await;
    assert_eq!(shown["leader"], address(&leader), "{shown}");
    for daemon in [&leader, &standby] {
        let ready = daemon.get("/readyz").await;
        assert_eq!(ready["status"], "ready", "{ready}");
    }
    let before = Record::of(&world).await;
    for path in ["releases", "promote", "abort"] {
        let path = format!("/v1/environments/prod/{path}");
        let (status, declined) = standby.post(&path, &json!({})).await;
        assert_eq!(status, 503, "{declined}");
        assert_eq!(declined["leader"], address(&leader), "{declined}");
    }
    // A command with the stand-by's configuration asks the leader, who has nothing under way.
    let file = standby.folder().join("cutover.yaml").display().to_string();
    for command in ["promote", "abort", "resume"] {
        let refused = world.cutover(&["--config", &file, command, "prod"]).await;
        refused.exits(3).says(&address(&leader));
    }
    Record::of(&world).await.is(&before);

    // The leader does what the stand-by did not; then they change places.
    let run = release(&leader).await;
    world.swapped(2).await;
    leader.does("prod", "idle").await;
    released_once(&world, &run).await;
    let left = Instant::now();
    leader.stopped().await.exits(0);
    is(&standby, "leader").await;
    println!(
        "taken over {:.1} s after SIGTERM",
        left.elapsed().as_secs_f64()
    );
    let run = release(&standby).await;
    world.swapped(3).await;
    standby.does("prod", "idle").await;
    released_once(&world, &run).await;
    world.nothing_left().await;
    standby.stopped().await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_a_leader_that_builds_is_made_good() {
    let Some((world, _journal, replay)) = world().await else {
        return;
    };
    let (leader, standby) = two(&world).await;
    // Whether or not the leader's dbt still makes something before it is ended.
    replay.makes(2, false);
    replay.hold();
    let run = release(&leader).await;
    eventually("the build", async || replay.is_building().then_some(())).await;
    leader.signal(Signal::SIGKILL);
    let died = Instant::now();
    is(&standby, "leader").await;
    let took = died.elapsed();
    println!("taken over {:.1} s after SIGKILL", took.as_secs_f64());
    assert!(took < AFTER_DEATH, "{took:?}");
    drop(leader.ended().await);
    replay.go_on();
    world.swapped(2).await;
    standby.does("prod", "idle").await;
    released_once(&world, &run).await;
    world.nothing_left().await;
    standby.stopped().await.exits(0);
    assert_eq!(world.processes(), Vec::<String>::new());
}

/// The leader falls silent where it stands; the other one finishes, and what the first one does when
/// it wakes up is nothing.
async fn overslept(world: &World, leader: &Daemon, other: &Daemon, release: u32, run: &str) {
    leader.signal(Signal::SIGSTOP);
    let silent = Instant::now();
    is(other, "leader").await;
    let took = silent.elapsed();
    println!("taken over {:.1} s after SIGSTOP", took.as_secs_f64());
    assert!(took < AFTER_SILENCE, "{took:?}");
    world
        .sql
        .run("UPDATE mz_sandbox.faults SET nth = 1000000")
        .await;
    world.hydrates(true).await;
    world.swapped(release).await;
    other.does("prod", "idle").await;
    released_once(world, run).await;
    let before = Record::of(world).await;
    world.let_go().await;
    leader.signal(Signal::SIGCONT);
    is(leader, "standby").await;
    Record::of(world).await.is(&before);
    world.serves(release).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_wakes_up_too_late_changes_nothing() {
    let Some((world, _journal, _replay)) = world().await else {
        return;
    };
    let (first, second) = two(&world).await;

    // It waits for green.
    world.hydrates(false).await;
    let run = release(&first).await;
    is_at(&first, "hydrating").await;
    overslept(&world, &first, &second, 2, &run).await;

    // It rehearses, and is not answered.
    world.hold("cutover: roll back swap", 1).await;
    let run = release(&second).await;
    world.struck().await;
    is_at(&second, "verifying").await;
    overslept(&world, &second, &first, 3, &run).await;

    // It has sent the swap, and nobody answered.
    world.hold("cutover: commit swap", 2).await;
    let run = release(&first).await;
    world.struck().await;
    is_at(&first, "cutting_over").await;
    overslept(&world, &first, &second, 4, &run).await;

    for daemon in [first, second] {
        daemon.stopped().await.exits(0);
    }
    assert_eq!(world.processes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_be_recorded_is_made_when_it_can() {
    let Some((world, mut journal, _replay)) = world().await else {
        return;
    };
    let daemon = world.serve("a", CONFIGURATION).await;
    is(&daemon, "leader").await;
    // While it plans the journal goes away, for longer than it is waited for.
    world.hold("cutover: ", 1).await;
    let run = release(&daemon).await;
    world.struck().await;
    journal.stop(Stop::Fast);
    world.let_go().await;
    let shown = daemon.does("prod", "waiting_for_a_dependency").await;
    println!("{}", shown["problem"]);
    journal.start();
    let ended = eventually("the end of the run", async || {
        let runs = world.runs().await;
        let run = runs.into_iter().find(|one| one.id == run)?;
        run.outcome.is_some().then_some(run)
    })
    .await;
    assert_eq!(ended.outcome, Some(Ended::Released), "{ended:#?}");
    world.serves(2).await;
    daemon.does("prod", "idle").await;
    world.nothing_left().await;

    // The next one is not in its way.
    let run = release(&daemon).await;
    world.swapped(3).await;
    daemon.does("prod", "idle").await;
    let runs = world.runs().await;
    let run = runs.iter().find(|one| one.id == run).expect("the run");
    assert_eq!(run.outcome, Some(Ended::Released), "{runs:#?}");
    world.nothing_left().await;
    daemon.stopped().await.exits(0);
}

/// The dbt that builds, as the journal of processes has it.
fn guests(world: &World) -> Vec<String> {
    let mut processes = world.processes();
    processes.retain(|line| line.contains("replay"));
    processes
}

/// A command whose dbt builds, and waits.
async fn building(world: &World, replay: &Replay) -> crate::support::Running {
    replay.hold();
    let deploying = world.spawn(&["deploy"]);
    eventually("the build", async || replay.is_building().then_some(())).await;
    assert_eq!(guests(world).len(), 1, "{:?}", world.processes());
    deploying
}

/// Waits until no dbt runs; how long it took.
async fn dbt_ended(world: &World) -> Duration {
    let begun = Instant::now();
    eventually("the end of dbt", async || {
        guests(world).is_empty().then_some(())
    })
    .await;
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_lost_the_lead_ends_its_dbt() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let journal = JournalServer::of(&mut world);
    let replay = Replay::of(&mut world).await;
    replay.makes(2, false);
    // dbt itself would be given this long to end.
    world.set("DBT__STOP_TIMEOUT", "10m");
    let old = building(&world, &replay).await;
    let client = journal.connect().await;
    let taken = client.execute("UPDATE cutover.leads SET epoch = epoch + 1", &[]);
    assert_eq!(taken.await.expect("taken"), 1);
    let took = dbt_ended(&world).await;
    println!(
        "dbt ended {:.1} s after the lead was taken",
        took.as_secs_f64()
    );
    assert!(took < Duration::from_secs(8), "{took:?}");
    let outcome = old.ended().await.exits(3);
    outcome.says("another process has taken the lead of environment");
    world.serves(1).await;
    // Whoever leads now makes everything.
    replay.go_on();
    world.cutover(&["resume"]).await.exits(0);
    world.serves(2).await;
    world.nothing_left().await;
    assert_eq!(world.processes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn dbt_does_not_outlive_the_certainty_of_the_lead() {
    let Some(mut world) = World::prepared(Needs::Sandbox).await else {
        return;
    };
    let mut journal = JournalServer::of(&mut world);
    let replay = Replay::of(&mut world).await;
    replay.makes(2, false);
    world.set("DBT__STOP_TIMEOUT", "10m");
    let deploying = building(&world, &replay).await;
    journal.stop(Stop::Immediate);
    let took = dbt_ended(&world).await;
    println!(
        "dbt ended {:.1} s after the journal went away",
        took.as_secs_f64()
    );
    // Before the lease of eight seconds is over.
    assert!(took < Duration::from_secs(8), "{took:?}");
    // The journal is there again and nobody else leads: it goes on by itself.
    replay.go_on();
    journal.start();
    let outcome = deploying.ended().await.exits(0);
    outcome.says("goes on once that is certain");
    world.serves(2).await;
    world.nothing_left().await;
    assert_eq!(world.processes(), Vec::<String>::new());
}
