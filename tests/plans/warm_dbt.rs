//! The warm dbt that other tests work with is the dbt that one starts: it writes the same, says the
//! same, ends the same, and dies with the process group that it was asked for in.

#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use crate::support::{Needs, World, eventually};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// What runs the world's dbt: as the tests do, and anew.
fn dbts() -> Option<[Vec<String>; 2]> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cold = std::env::var("CUTOVER_TEST_DBT")
        .unwrap_or_else(|_| folder.join(".venv/bin/dbt").display().to_string());
    let python = Path::new(&cold).with_file_name("python3");
    if !python.is_file() {
        eprintln!("skipped: no Python beside dbt");
        return None;
    }
    let client = folder.join("tests/dbt/client.py").display().to_string();
    let python = python.display().to_string();
    let warm = [&python, "-I", "-S", &client, &cold].map(str::to_owned);
    Some([warm.into(), vec![cold]])
}

fn command(world: &World, dbt: &[String], target: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(&dbt[0]);
    command
        .args(&dbt[1..])
        .args(arguments)
        .args(["--no-use-colors", "--no-partial-parse", "--target-path"])
        .arg(target)
        .current_dir(world.project.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", world.home())
        .env("LANG", "C.UTF-8")
        .env("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
        .env("DBT_NO_VERSION_CHECK", "1")
        .env("DBT_ENV_CUSTOM_ENV_COLOUR", "blue")
        .env("CUTOVER_TEST_DBT_WARM", "required")
        .stdin(Stdio::null());
    command
}

/// An artifact without what differs from one run to the next: ids, times, and the target folder.
fn artifact(target: &Path, name: &str) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for name in [
                    "created_at",
                    "completed_at",
                    "started_at",
                    "elapsed_time",
                    "execution_time",
                    "generated_at",
                    "invocation_id",
                    "invocation_started_at",
                    "run_started_at",
                    "thread_id",
                    "invocation_command",
                    "target_path",
                ] {
                    fields.remove(name);
                }
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let text = std::fs::read_to_string(target.join(name)).expect("an artifact");
    let text = text.replace(&target.display().to_string(), "TARGET");
    let mut value = serde_json::from_str(&text).expect("JSON");
    strip(&mut value);
    if let Some(results) = value["results"].as_array_mut() {
        results.sort_by_key(|result| result["unique_id"].to_string());
    }
    value
}

/// Where two documents differ; they are too long to be shown whole.
fn differences(place: &str, one: &Value, other: &Value) -> Vec<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => one
            .iter()
            .flat_map(|(key, value)| differences(&format!("{place}/{key}"), value, &other[key]))
            .collect(),
        _ if one == other => Vec::new(),
        _ => vec![format!("{place}: {one} and {other}")],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_writes_and_ends_as_one_that_is_started() {
    let Some(world) = World::start(Needs::AnyServer).await else {
        return;
    };
    let Some(dbts) = dbts() else { return };
    let run = |way: usize, name: &str, arguments: &[&str]| {
        let target = world.home().join(format!("{name}-{way}"));
        let output = command(&world, &dbts[way], &target, arguments)
            .output()
            .expect("it starts");
        (target, output)
    };
    // A second warm one shows that the first left nothing behind.
    let mut ids = Vec::new();
    for round in ["one", "two"] {
        let [warm, cold] = [0, 1].map(|way| run(way, round, &["build"]));
        for (target, output) in [&warm, &cold] {
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            let text = std::fs::read_to_string(target.join("manifest.json")).expect("a file");
            let manifest: Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(manifest["metadata"]["env"]["COLOUR"], "blue");
            ids.push(manifest["metadata"]["invocation_id"].to_string());
        }
        for name in ["manifest.json", "run_results.json"] {
            let written = artifact(&warm.0, name);
            let differences = differences("", &written, &artifact(&cold.0, name));
            assert_eq!(differences, Vec::<String>::new(), "{name}");
            assert_eq!(
                written["metadata"]["adapter_type"].is_null(),
                name != "manifest.json"
            );
        }
        world.project.set_release(2);
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4, "an id is of one invocation");

    for (name, arguments, code) in [
        ("usage", &["build", "--no-such-option"][..], 2),
        ("macro", &["run-operation", "no_such_macro"], 2),
        ("failing", &["run", "--select", "counts"], 1),
        ("broken", &["parse"], 2),
    ] {
        if name == "failing" {
            let place = "models/marts/counts.sql";
            world.project.replace(place, "count(*)", "no_such_column");
        }
        if name == "broken" {
            world
                .project
                .write("models/marts/broken.sql", "select {{ ref('nothing') }}");
        }
        let [warm, cold] = [0, 1].map(|way| run(way, name, arguments).1);
        assert_eq!(cold.status.code(), Some(code), "{cold:?}");
        assert_eq!(warm.status.code(), Some(code), "{warm:?}");
        // Times differ, and with them how many digits they have.
        let said = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let parts = text.split(|c: char| c.is_ascii_digit());
            let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
            parts.join("0")
        };
        assert_eq!(said(&warm.stdout), said(&cold.stdout));
        assert_eq!(said(&warm.stderr), said(&cold.stderr));
    }
}

/// Processes of a process group.
fn members(group: Pid) -> usize {
    let entries = std::fs::read_dir("/proc").expect("processes");
    let stats =
        entries.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    stats
        .filter(|stat| {
            let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            let mut fields = rest.split(' ');
            let state = fields.next();
            state != Some("Z") && fields.nth(1) == Some(&group.to_string())
        })
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_dies_with_its_group_and_with_its_process() {
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    let Some(world) = World::start(Needs::Sandbox).await else {
        return;
    };
    let Some([warm, _]) = dbts() else { return };
    for (signal, whole) in [
        (Signal::SIGTERM, true),
        (Signal::SIGKILL, true),
        (Signal::SIGKILL, false),
    ] {
        for sql in [
            "DELETE FROM mz_sandbox.faults",
            "INSERT INTO mz_sandbox.faults (pattern, action, times) VALUES ('view.*stg_orders', 'hang', NULL)",
        ] {
            world.sql.run(sql).await;
        }
        let mut child = command(&world, &warm, &world.home().join("killed"), &["build"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("it starts");
        let group = Pid::from_raw(child.id().try_into().expect("an id"));
        world.struck().await;
        assert!(members(group) >= 2, "dbt is not in the group");
        if whole {
            killpg(group, signal).expect("a group");
        } else {
            child.kill().expect("it is ours");
        }
        let status = child.wait().expect("it is ours");
        assert_eq!(status.signal(), Some(signal as i32));
        eventually("the end of dbt", async || {
            (members(group) == 0).then_some(())
        })
        .await;
    }
}
