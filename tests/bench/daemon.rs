//! What the daemon costs: idle with five environments, asked for its status a thousand times a second
//! while it releases, and from a signal to the first statement of the swap. Prints Markdown tables.
//! Exits non-zero when a limit is missed.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and panics when its surroundings are not right"
)]

#[path = "../support/mod.rs"]
mod support;

use cutover::domain::records::run::Outcome;
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use support::{Daemon, Needs, Replay, World};

const IDLE: Duration = Duration::from_secs(30);
const ASKING: Duration = Duration::from_secs(20);
const CONNECTIONS: u32 = 8;
const REQUESTS_A_SECOND: u32 = 1000;
const SIGNALS: usize = 10;
const TOKEN: &str = "a-token-of-the-benchmark";

#[tokio::main]
async fn main() -> ExitCode {
    let mut world = World::start(Needs::Sandbox).await.unwrap();
    world.produce_by_sql().await;
    world.project.without_tests();
    let _replay = Replay::named(&mut world, "prod").await;
    // As shipped: the world's other settings make tests quick.
    for key in [
        "READINESS__POLL_INTERVAL_MIN",
        "READINESS__POLL_INTERVAL_MAX",
    ] {
        world.environment.remove(&format!("CUTOVER__{key}"));
    }
    world
        .environment
        .insert("BENCH_TOKEN".to_owned(), TOKEN.to_owned());
    println!("| what | measured | limit |\n|---|---|---|");
    let checks = [
        idle(&world).await,
        asked(&world).await,
        signalled(&world).await,
    ];
    match checks.into_iter().all(|is_within| is_within) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

async fn idle(world: &World) -> bool {
    let environments: String = (0..5)
        .map(|n| {
            format!("  env{n}: {{project: {{target: prod}}, schedule: {{cron: \"0 2 * * *\"}}}}\n")
        })
        .collect();
    let daemon = world
        .serve(
            "idle",
            &format!("http: {{listen: null}}\nenvironments:\n{environments}"),
        )
        .await;
    for n in 0..5 {
        daemon.does(&format!("env{n}"), "idle").await;
    }
    let before = seconds_of_cpu(&daemon);
    tokio::time::sleep(IDLE).await;
    let share = (seconds_of_cpu(&daemon) - before) / IDLE.as_secs_f64() * 100.0;
    let resident = resident_mb(&daemon);
    daemon.stopped().await.exits(0);
    println!("| idle, five environments: resident | {resident:.1} MB | 30 MB |");
    println!("| idle, five environments: of one core | {share:.2} % | 0.5 % |");
    resident < 30.0 && share < 0.5
}

async fn asked(world: &World) -> bool {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let daemon = world
        .serve(
            "asked",
            &format!(
                "log: {{level: warn}}\nhttp:\n  listen: {port}\n  requests_per_second: 100000\n  \
                 tokens: [{{name: bench, secret: \"env:BENCH_TOKEN\", scopes: [read]}}]\n\
                 environments:\n  prod: {{project: {{target: prod}}, schedule: {{cron: \"* * * * * *\"}}}}\n"
            ),
        )
        .await;
    world.swapped(3).await;
    let before = released(world).await;
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| tokio::task::spawn_blocking(move || ask(port)))
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await.unwrap());
    }
    let releases = released(world).await - before;
    daemon.stopped().await.exits(0);
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let rate = times.len() as f64 / ASKING.as_secs_f64();
    println!(
        "| status requests a second, over {CONNECTIONS} connections, during {releases} releases | {rate:.0} | {REQUESTS_A_SECOND} |"
    );
    println!("| their p50 | {:.2?} | |", at(0.5));
    println!("| their p99 | {:.2?} | 20 ms |", at(0.99));
    rate >= f64::from(REQUESTS_A_SECOND) * 0.99
        && at(0.99) < Duration::from_millis(20)
        && releases > 0
}

async fn released(world: &World) -> usize {
    let runs = world.runs().await;
    runs.iter()
        .filter(|run| run.outcome == Some(Outcome::Released))
        .count()
}

/// Asks over one connection, this connection's share of the requests a second; gives how long each
/// answer took, counted from when it was due to be asked.
fn ask(address: SocketAddr) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let request = format!(
        "GET /v1/environments/prod HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {TOKEN}\r\n\r\n"
    );
    let (began, pace) = (
        Instant::now(),
        Duration::from_secs(1) * CONNECTIONS / REQUESTS_A_SECOND,
    );
    let mut times = Vec::new();
    let mut answer = [0; 16 << 10];
    for number in 0.. {
        let due = began + pace * number;
        if due.duration_since(began) >= ASKING {
            break;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        stream.write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        while !is_whole(&answer[..length]) {
            let read = stream.read(&mut answer[length..]).unwrap();
            assert!(read > 0, "the connection is kept");
            length += read;
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
        times.push(due.elapsed());
    }
    times
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .unwrap();
    body.len() >= length.parse::<usize>().unwrap()
}

async fn signalled(world: &World) -> bool {
    let daemon = world
        .serve(
            "signalled",
            "http: {listen: null}\nenvironments:\n  prod: {project: {target: prod}, promotion: manual}\n",
        )
        .await;
    let store = world.journal().await;
    let mut times = Vec::new();
    for _ in 0..SIGNALS {
        daemon.does("prod", "idle").await;
        daemon.signal(Signal::SIGUSR2);
        let status = daemon.does("prod", "waiting_for_promotion").await;
        let id = status["deployment"]["id"].as_str().unwrap().to_owned();
        let asked = jiff::Timestamp::now();
        daemon.signal(Signal::SIGUSR1);
        daemon
            .until("prod", "the release", |status| {
                status["deployment"]["state"] == "done"
            })
            .await;
        // Recorded immediately before the first statement is sent.
        let effect = store.effect(&id, "swap").await.unwrap().unwrap();
        times.push(effect.started_at.duration_since(asked).unsigned_abs());
    }
    daemon.stopped().await.exits(0);
    times.sort();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    println!(
        "| from SIGUSR1 to the first statement of the swap, median of {SIGNALS} | {median:.0?} | |"
    );
    println!("| the slowest of them | {slowest:.0?} | 500 ms |");
    slowest < Duration::from_millis(500)
}

fn seconds_of_cpu(daemon: &Daemon) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
    // utime and stime, counted in hundredths of a second by every Linux.
    (ticks(11) + ticks(12)) / 100.0
}

fn resident_mb(daemon: &Daemon) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kb: f64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .unwrap()
        .parse()
        .unwrap();
    kb / 1024.0
}
