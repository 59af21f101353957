//! The process as the system sees it, read anew for each page. What the system does not say is left
//! out.

use nix::sys::resource::{UsageWho, getrusage};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) const MEMORY: &str = "process_resident_memory_bytes";
pub(super) const FILES: &str = "process_open_fds";
pub(super) const CPU: &str = "process_cpu_seconds";
pub(super) const START: &str = "process_start_time_seconds";

/// Reads the process.
#[derive(Debug)]
pub(super) struct Process {
    started: f64,
    helps: [&'static str; 4],
}

impl Process {
    pub(super) fn starting_now(help: impl Fn(&str) -> &'static str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            started: now.unwrap_or_default().as_secs_f64(),
            helps: [MEMORY, FILES, CPU, START].map(help),
        }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let [memory_help, files_help, cpu_help, start_help] = self.helps;
        let mut tell = |name, help, metric: &dyn Told| metric.tell(&mut encoder, name, help);
        if let Some(memory) = memory() {
            tell(MEMORY, memory_help, &ConstGauge::new(memory))?;
        }
        if let Some(files) = files() {
            tell(FILES, files_help, &ConstGauge::new(files))?;
        }
        if let Some(cpu) = cpu() {
            tell(CPU, cpu_help, &ConstCounter::new(cpu))?;
        }
        tell(START, start_help, &ConstGauge::new(self.started))
    }
}

trait Told {
    fn tell(&self, to: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> fmt::Result;
}

impl<M: EncodeMetric> Told for M {
    fn tell(&self, to: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> fmt::Result {
        self.encode(to.encode_descriptor(name, help, None, self.metric_type())?)
    }
}

fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn files() -> Option<u64> {
    // Reading the folder opens one more.
    let open = std::fs::read_dir("/proc/self/fd").ok()?.count();
    u64::try_from(open.saturating_sub(1)).ok()
}

fn cpu() -> Option<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
    let seconds = |time: nix::sys::time::TimeVal| {
        let whole = u32::try_from(time.tv_sec()).unwrap_or(u32::MAX);
        let micros = u32::try_from(time.tv_usec()).unwrap_or_default();
        f64::from(whole) + f64::from(micros) / 1e6
    };
    Some(seconds(usage.user_time()) + seconds(usage.system_time()))
}
