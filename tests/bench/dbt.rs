//! dbt through a wrapper that notes when each of its processes began and ended.

#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The real dbt: `CUTOVER_TEST_DBT`, or the one that `make venv` makes.
pub fn real() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dbt = std::env::var_os("CUTOVER_TEST_DBT")
        .map_or_else(|| root.join(".venv/bin/dbt"), PathBuf::from);
    assert!(
        dbt.is_file(),
        "no dbt at {}; run `make venv`",
        dbt.display()
    );
    dbt
}

/// A wrapper.
pub struct Wrapper {
    /// The program.
    pub path: PathBuf,
    times: PathBuf,
}

impl Wrapper {
    /// Writes it into a folder.
    pub fn write(folder: &Path, dbt: &Path) -> Self {
        let wrapper = Self {
            path: folder.join("dbt"),
            times: folder.join("times"),
        };
        let script = format!(
            "#!/bin/sh\nb=$(date +%s.%N)\n\"{}\" \"$@\"\nc=$?\necho \"$b $(date +%s.%N)\" >> \"{}\"\nexit $c\n",
            dbt.display(),
            wrapper.times.display()
        );
        fs::write(&wrapper.path, script).unwrap();
        fs::set_permissions(&wrapper.path, fs::Permissions::from_mode(0o755)).unwrap();
        wrapper
    }

    /// Forgets what was noted.
    pub fn forget(&self) {
        fs::write(&self.times, "").unwrap();
    }

    /// The time in which at least one process ran since then.
    pub fn busy(&self) -> Duration {
        let times = fs::read_to_string(&self.times).unwrap();
        let mut spans: Vec<(f64, f64)> = times
            .lines()
            .map(|line| {
                let (begin, end) = line.split_once(' ').unwrap();
                (begin.parse().unwrap(), end.parse().unwrap())
            })
            .collect();
        spans.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut total, mut until) = (0.0, 0.0);
        for (begin, end) in spans {
            total += (end - f64::max(begin, until)).max(0.0);
            until = f64::max(until, end);
        }
        Duration::from_secs_f64(total)
    }
}
