//! How many requests a second the API answers: connections that are kept, each asking for the status
//! of an environment with a token for ten seconds. Prints a Markdown table. Exits non-zero below
//! 1,000 requests a second.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and panics when its surroundings are not right"
)]

#[path = "../http/daemon.rs"]
mod daemon;

use daemon::{READER, World};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 16;
const TIME: Duration = Duration::from_secs(10);
const LIMIT: f64 = 1000.0;

#[tokio::main]
async fn main() -> ExitCode {
    let world = World::start(|http| http.requests_per_second = u32::MAX).await;
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let address = world.address;
            std::thread::spawn(move || ask(address))
        })
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(
            tokio::task::spawn_blocking(|| client.join().unwrap())
                .await
                .unwrap(),
        );
    }
    times.sort();
    let rate = times.len() as f64 / TIME.as_secs_f64();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!("| connections | requests a second | p50 | p99 | slowest |");
    println!("|---|---|---|---|---|");
    println!(
        "| {CONNECTIONS} | {rate:.0} | {:.2?} | {:.2?} | {:.2?} |",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    if rate >= LIMIT {
        return ExitCode::SUCCESS;
    }
    println!("\nless than {LIMIT} requests a second");
    ExitCode::FAILURE
}

/// Asks over one connection until the time is over; gives how long each answer took.
fn ask(address: SocketAddr) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let request = format!(
        "GET /v1/environments/prod HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {READER}\r\n\r\n"
    );
    let (began, mut times) = (Instant::now(), Vec::new());
    let mut answer = [0; 4096];
    while began.elapsed() < TIME {
        let asked = Instant::now();
        stream.write_all(request.as_bytes()).unwrap();
        let mut length = 0;
        while !is_whole(&answer[..length]) {
            let read = stream.read(&mut answer[length..]).unwrap();
            assert!(read > 0, "the connection is kept");
            length += read;
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
        times.push(asked.elapsed());
    }
    times
}

fn is_whole(answer: &[u8]) -> bool {
    let text = std::str::from_utf8(answer).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.split_once("content-length: ").unwrap().1;
    let length = length.lines().next().unwrap();
    body.len() >= length.parse().unwrap()
}
