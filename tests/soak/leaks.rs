//! What processes hold, as `/proc` says: memory, open files, threads, children, connections.

use super::support::Daemon;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How many samples of one process say something.
const ENOUGH: usize = 12;

/// How many of the first say nothing.
const BEGINNING: usize = 8;

/// What a process may hold more in the end than in the beginning: less than a connection for each of
/// a few releases.
const MORE_FDS: u64 = 6;
/// Threads that wait for blocking work come and go.
const MORE_THREADS: u64 = 8;
/// Kilobytes; memory is given back late.
const MORE_MEMORY: u64 = 64 * 1024;

/// One look at a process.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    memory: u64,
    fds: u64,
    threads: u64,
    children: u64,
}

/// A process and what it is: a leader holds more than a stand-by.
type Who = (u32, String);

/// Looks at processes, in order.
#[derive(Default)]
pub struct Samples {
    of: BTreeMap<Who, Vec<Sample>>,
    /// Where the quiet time began, for each process that lived then.
    quiet: BTreeMap<Who, usize>,
}

impl Samples {
    /// Looks at the daemons, which lead or stand by in these environments.
    pub async fn take(&mut self, daemons: &[Daemon], environments: &[&str]) {
        for daemon in daemons {
            let mut roles = Vec::new();
            for environment in environments {
                let Some(status) = daemon.status(environment).await else {
                    break;
                };
                roles.push(status["role"].as_str().unwrap_or_default().to_owned());
            }
            if roles.len() < environments.len() {
                continue;
            }
            roles.sort_unstable();
            if let Some(sample) = look(daemon.id()) {
                let who = (daemon.id(), roles.join(", "));
                self.of.entry(who).or_default().push(sample);
            }
        }
    }

    /// From now on nothing happens to the processes.
    pub fn begin_quiet(&mut self) {
        let lengths = self
            .of
            .iter()
            .map(|(who, samples)| (who.clone(), samples.len()));
        self.quiet = lengths.collect();
    }

    fn all(&self) -> impl Iterator<Item = &Sample> {
        self.of.values().flatten()
    }

    pub fn print(&self) {
        let most = |get: fn(&Sample) -> u64| self.all().map(get).max().unwrap_or_default();
        println!(
            "{} processes, {} samples; at most {} MB, {} fds, {} threads, {} children",
            self.of.len(),
            self.all().count(),
            most(|sample| sample.memory) / 1024,
            most(|sample| sample.fds),
            most(|sample| sample.threads),
            most(|sample| sample.children),
        );
        for (who, samples) in self.long() {
            let (first, last) = ends(&samples);
            println!(
                "{who:?}, {} samples: {first:?}, then {last:?}",
                samples.len()
            );
        }
    }

    /// The processes of which enough is known: their quiet time, or their life where that was longer.
    fn long(&self) -> Vec<(Who, Vec<Sample>)> {
        let part = |who: &Who, from: usize| {
            let samples = self.of.get(who)?.get(from..)?;
            Some((who.clone(), samples.to_vec()))
        };
        // What has just begun to lead has yet to connect.
        let whole = self.of.keys().filter_map(|who| part(who, BEGINNING));
        let quiet = self.quiet.iter().filter_map(|(who, from)| part(who, *from));
        whole
            .chain(quiet)
            .filter(|(_, samples)| samples.len() >= ENOUGH)
            .collect()
    }

    /// What a process holds does not grow from the first to the last third of its life.
    #[track_caller]
    pub fn do_not_grow(&self) {
        let long = self.long();
        assert!(!long.is_empty(), "no process lived for {ENOUGH} samples");
        for (who, samples) in long {
            let (first, last) = ends(&samples);
            let said = format!("{who:?}: {first:?}, then {last:?}");
            assert!(last.fds <= first.fds + MORE_FDS, "{said}");
            assert!(last.threads <= first.threads + MORE_THREADS, "{said}");
            assert!(last.memory <= first.memory + MORE_MEMORY, "{said}");
        }
    }
}

/// The medians of the first third and of the last. A single look may meet a process at its busiest, or
/// without its connections.
fn ends(samples: &[Sample]) -> (Sample, Sample) {
    let third = samples.len() / 3;
    let median = |samples: &[Sample], get: fn(&Sample) -> u64| {
        let mut values: Vec<u64> = samples.iter().map(get).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or_default()
    };
    let medians = |samples: &[Sample]| Sample {
        memory: median(samples, |one| one.memory),
        fds: median(samples, |one| one.fds),
        threads: median(samples, |one| one.threads),
        children: median(samples, |one| one.children),
    };
    (
        medians(&samples[..third]),
        medians(&samples[samples.len() - third..]),
    )
}

fn look(id: u32) -> Option<Sample> {
    let folder = Path::new("/proc").join(id.to_string());
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let of = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse().ok()
    };
    // Each thread has the children that it started.
    let threads = fs::read_dir(folder.join("task")).ok()?;
    let children = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.ok()?.path().join("children")).ok()?;
        Some(text.split_whitespace().count() as u64)
    });
    Some(Sample {
        memory: of("VmRSS:")?,
        threads: of("Threads:")?,
        fds: fs::read_dir(folder.join("fd")).ok()?.count() as u64,
        children: children.sum(),
    })
}

/// Connections that are open at this port of this machine.
pub fn connections(port: u16) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let here = format!(":{port:04X}");
    let open = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        let local = words.next().is_some_and(|word| word.ends_with(&here));
        local && words.nth(1) == Some("01")
    };
    table.lines().filter(open).count()
}
