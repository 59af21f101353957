//! The page `docs/start.md`, done: each command runs on the stand-in, in the sample project, and prints what stands there.

use super::documentation::document;
use super::pages::{Block, blocks};
use crate::support::{Needs, Outcome, Running, World};
use regex::Regex;
use std::path::Path;
use std::process::Stdio;
use tokio::process::Command;

const PAGE: &str = "docs/start.md";

/// What a command of the page ends with, where it is not 0.
fn code_of(command: &str) -> i32 {
    if command == "cutover check" { 3 } else { 0 }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_of_the_first_page_prints_what_it_says() {
    let Some(world) = World::start(Needs::Sandbox).await else {
        return;
    };
    // The page begins with an empty server.
    for cluster in ["compute", "serve"] {
        world
            .sql
            .run(&format!("DROP CLUSTER {}", world.name(cluster)))
            .await;
    }
    let project = world.home().join("shop");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    copy(&root.join("demo/project"), &project);
    let (mut run, mut written) = (0, 0);
    for block in blocks(PAGE).0 {
        match block.language.as_str() {
            "console" if block.is_run() => run += step(&world, &project, &block).await,
            "sql" => {
                written += 1;
                assert!(project.join(&block.title).is_file(), "{}", block.title);
                std::fs::write(project.join(&block.title), block.text()).expect("a file");
            }
            "yaml" => {
                let file = document(&format!("demo/project/{}", block.title));
                let parts = block.text();
                let first = parts.lines().next().unwrap_or_default();
                assert_eq!(first, "vars:");
                assert!(
                    file.contains(&parts),
                    "the sample's {} is another",
                    block.title
                );
            }
            _ => {}
        }
    }
    assert_eq!((run, written), (9, 1));
    let left = "SELECT count(*)::text FROM mz_catalog.mz_schemas WHERE name LIKE '%dbt_deploy' OR name LIKE 'cutover%'";
    assert_eq!(world.sql.value(left).await, "0");
}

/// Runs the commands of a block; how many there are.
async fn step(world: &World, project: &Path, block: &Block) -> usize {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in &block.lines {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
            (None, Some((_, output))) => output.push(line.clone()),
            (None, None) => panic!("output before a command: {line}"),
        }
    }
    for (command, expected) in &commands {
        let outcome = shell(world, project, command).await.exits(code_of(command));
        let (is, ought) = (masked(&outcome.stdout), masked(&expected.join("\n")));
        assert!(
            fits(&lines(&is), &lines(&ought)),
            "`{command}` does not print what {PAGE} says\n--- is\n{is}\n--- ought to be\n{ought}\n{outcome}"
        );
    }
    commands.len()
}

async fn shell(world: &World, project: &Path, line: &str) -> Outcome {
    let cutover = Path::new(env!("CARGO_BIN_EXE_cutover"));
    let dbt = &world.environment["CUTOVER__DBT__EXECUTABLE"];
    let (host, port) = world.server.address();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .current_dir(project)
        .env_clear()
        .env("HOME", world.home())
        .env("LANG", "C.UTF-8")
        .env(
            "PATH",
            format!("{}:{path}", cutover.parent().expect("a folder").display()),
        )
        .env("CUTOVER__DBT__EXECUTABLE", dbt)
        .env("SHOP_HOST", host)
        .env("SHOP_PORT", port.to_string())
        .env("SHOP_SSLMODE", "disable")
        .env("DBT_SEND_ANONYMOUS_USAGE_STATS", "false")
        .env("DBT_NO_VERSION_CHECK", "1")
        .stdin(Stdio::null());
    Running::spawn(command).ended().await
}

/// A text with the same signs for what is different on each machine and each time.
fn masked(text: &str) -> String {
    let masks = [
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
        (r"\b[0-9a-f]{8}-[0-9a-f]{4}\b", "ID"),
        (r"\b(Manifest) [0-9a-f]{12}", "$1 HASH"),
        (r"\[\d\d:\d\d\]", "[TIME]"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "WHEN"),
        (r"\b\d+(\.\d+)?(ms|s|m|h)\b( \d+(ms|s|m)\b)*", "SPAN"),
        (r"\S+@\S+", "WHO"),
        (r"[^\s(]*/(shop|dbt)\b", "PLACE/$1"),
        (r"v\d+\.\d+\.\S+", "VERSION"),
        (r"(dbt-core|dbt-materialize) \d[\w.]*", "$1 VERSION"),
        (r" {2,}", " "),
    ];
    let mut text = text.to_owned();
    for (pattern, mask) in masks {
        let pattern = Regex::new(pattern).expect("a pattern");
        text = pattern.replace_all(&text, mask).into_owned();
    }
    text
}

fn lines(text: &str) -> Vec<&str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect()
}

/// Whether the lines are as expected, where `...` stands for any number of lines.
fn fits(is: &[&str], ought: &[&str]) -> bool {
    // How many lines may have been read when so much of what is expected was.
    let mut read = vec![false; is.len() + 1];
    read[0] = true;
    for line in ought {
        let before = std::mem::replace(&mut read, vec![false; is.len() + 1]);
        for at in 0..=is.len() {
            read[at] = match *line {
                "..." => before[at] || at > 0 && read[at - 1],
                line => at > 0 && before[at - 1] && is[at - 1] == line,
            };
        }
    }
    read[is.len()]
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let (place, name) = (entry.path(), entry.file_name());
        if place.is_dir() {
            copy(&place, &to.join(name));
        } else {
            std::fs::copy(&place, to.join(name)).expect("a copy");
        }
    }
}

#[test]
fn what_differs_from_run_to_run_does_not_count() {
    let is = lines("a\nb\nc\nd");
    assert!(fits(&is, &lines("a\n...\nd")) && fits(&is, &lines("a\nb\n...\nc\nd")));
    assert!(!fits(&is, &lines("a\n...\nc")) && !fits(&is, &lines("a\nb\nd")));
    let one = "ok dbt /home/me/.venv/bin/dbt with dbt-core 1.11.16";
    assert_eq!(masked(one), masked("ok  dbt  .../dbt with dbt-core 1.12.0"));
    assert_eq!(
        masked("done after 1.3s (deployment 01a22f95-1d89)"),
        masked("done after 1m 3s (deployment 01a22f95-7c1e)")
    );
}
