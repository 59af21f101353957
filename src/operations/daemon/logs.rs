//! What dbt wrote while a deployment was planned, built and tested: the end of each invocation's log, from the folder of
//! the run on this machine.
//!
//! Invariants: what is read and given is bounded; the value of no secret that this process knows is given.

use crate::foundation::environment::Environment;
use crate::inputs::settings::Settings;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

/// How many invocations are told, at most.
const MOST_LOGS: usize = 16;

/// How many bytes of a log are read, from its end.
const LONGEST: u64 = 128 << 10;

/// How many lines of a log are told, at most, and how many characters of a line.
const MOST_LINES: usize = 200;
const LONGEST_LINE: usize = 1000;

/// A value that is shorter is a word like others, and is not looked for.
const SHORTEST_SECRET: usize = 4;

/// The log of one invocation of dbt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Which: `parse`, `compile`, `build`, `test`, ….
    pub step: String,
    /// Its last lines.
    pub lines: Vec<String>,
    /// Whether there is more before them.
    pub cut: bool,
}

/// What dbt writes on each line.
#[derive(Deserialize)]
struct Written {
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    level: String,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    ts: String,
}

/// The logs in the folder of a run, in the order in which they were begun; none where there is no folder.
///
/// # Errors
/// When a file that is there cannot be read.
pub fn read(folder: &Path, settings: &Settings) -> io::Result<Vec<Log>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        // A link leads elsewhere.
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let path = entry.path().join("output.log");
        match std::fs::symlink_metadata(&path) {
            Ok(about) if about.is_file() => {
                let began = about.created().or_else(|_| about.modified());
                let step = entry.file_name().to_string_lossy().into_owned();
                found.push((began.unwrap_or(SystemTime::UNIX_EPOCH), step, path));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    found.sort();
    let secrets = secrets(settings, &Environment::of_process());
    let last = found.split_off(found.len().saturating_sub(MOST_LOGS));
    let logs = last.into_iter().map(|(_, step, path)| {
        let (text, cut) = tail(&path)?;
        Ok(told(step, &text, cut, &secrets))
    });
    logs.collect()
}

/// The end of a file, from the beginning of a line, and whether there is more before it.
fn tail(path: &Path) -> io::Result<(String, bool)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let cut = length > LONGEST;
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST)))?;
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let whole = if cut {
        text.split_once('\n').map_or("", |(_, rest)| rest)
    } else {
        &text
    };
    Ok((whole.to_owned(), cut))
}

fn told(step: String, text: &str, cut: bool, secrets: &[String]) -> Log {
    let all: Vec<&str> = text.lines().collect();
    let skipped = all.len().saturating_sub(MOST_LINES);
    let lines = all[skipped..].iter().map(|line| {
        let mut line = readable(line);
        for secret in secrets {
            line = line.replace(secret.as_str(), "*****");
        }
        crate::domain::notice::cut(&line, LONGEST_LINE)
    });
    Log {
        step,
        lines: lines.collect(),
        cut: cut || skipped > 0,
    }
}

/// A line of dbt's JSON as a person reads it; what is none stays as it is.
fn readable(line: &str) -> String {
    match serde_json::from_slice::<Written>(line.as_bytes()) {
        Ok(Written { info }) => {
            let time = info.ts.get(11..19).unwrap_or_default();
            let words = [time, &info.level, &info.msg];
            let words = words.into_iter().filter(|word| !word.is_empty());
            words.collect::<Vec<_>>().join(" ")
        }
        Err(_) => line.to_owned(),
    }
}

/// What must not be seen: what the configuration refers to in this process's environment, and what is a secret to dbt. dbt masks the
/// latter itself in what it logs.
fn secrets(settings: &Settings, environment: &Environment) -> Vec<String> {
    let named = settings.secret_variables();
    let named = named.iter().filter_map(|name| environment.get(name));
    let mut values: Vec<String> = named.map(str::to_owned).collect();
    values.extend(environment.secrets().map(str::to_owned));
    values.retain(|value| value.len() >= SHORTEST_SECRET);
    // A longer one may hold a shorter one.
    values.sort_by_key(|value| std::cmp::Reverse(value.len()));
    values
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, LONGEST_LINE, MOST_LINES, read, secrets, told};
    use crate::foundation::environment::Environment;
    use crate::inputs::settings::Settings;

    #[test]
    fn the_end_of_a_log_is_read_without_secrets() {
        let settings = serde_json::json!(Settings::defaults().expect("defaults"));
        let mut settings = settings;
        settings["connection"]["password"] = "env:OF_THE_SERVER".into();
        let settings: Settings = serde_json::from_value(settings).expect("settings");
        let variables = [
            ("OF_THE_SERVER", "hunter2-and-more"),
            ("DBT_ENV_SECRET_GIT", "hunter2"),
            ("HOME", "/root"),
        ];
        let environment: Environment = variables.into_iter().collect();
        let secrets = secrets(&settings, &environment);
        assert_eq!(secrets, ["hunter2-and-more", "hunter2"]);
        let text = "{\"info\": {\"level\": \"error\", \"msg\": \"as hunter2-and-more\", \"ts\": \"2026-11-20T22:06:27.5Z\"}}\n\
            Traceback of hunter2 in /root\n";
        let log = told("build".to_owned(), text, false, &secrets);
        assert_eq!(
            log.lines,
            ["22:06:27 error as *****", "Traceback of ***** in /root"]
        );
        assert!(!log.cut);
    }

    #[test]
    fn what_is_read_has_a_bound() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings::defaults().expect("defaults");
        assert_eq!(
            read(&folder.path().join("gone"), &settings).expect("nothing"),
            []
        );
        let place = folder.path().join("build");
        std::fs::create_dir(&place).expect("a folder");
        std::fs::create_dir(folder.path().join("profiles")).expect("a folder");
        let line = "é".repeat(2 * LONGEST_LINE) + "\n";
        let long = line.repeat(LONGEST as usize / line.len() + 5);
        std::fs::write(place.join("output.log"), &long).expect("a file");
        std::os::unix::fs::symlink("/etc", folder.path().join("elsewhere")).expect("a link");
        let logs = read(folder.path(), &settings).expect("logs");
        assert_eq!(logs.len(), 1, "{logs:?}");
        assert!(
            logs[0].cut
                && logs[0]
                    .lines
                    .iter()
                    .all(|line| line.chars().count() == LONGEST_LINE)
        );
        std::fs::write(place.join("output.log"), "a\n".repeat(MOST_LINES + 1)).expect("a file");
        let logs = read(folder.path(), &settings).expect("logs");
        assert!(logs[0].cut && logs[0].lines.len() == MOST_LINES);
    }
}
