//! `cutover init`: what it proposes is what a plan takes, and nothing is written that nobody agreed to.

use crate::support::{Needs, World};
use serde_json::Value;
use std::path::Path;

/// The project without what it should list, and with a comment that stays.
fn unlisted(world: &World) {
    let text = world.project.read("dbt_project.yml");
    let (before, _) = text.split_once("vars:").expect("variables");
    let text = format!("{before}vars:   # of all models\n  country: fr\n");
    world.project.write("dbt_project.yml", &text);
}

async fn world() -> Option<World> {
    let world = World::prepared(Needs::Sandbox).await?;
    unlisted(&world);
    Some(world)
}

async fn init(world: &World, arguments: &[&str]) -> Value {
    let arguments: Vec<&str> = ["init"].iter().chain(arguments).copied().collect();
    world.cutover(&arguments).await.exits(0).document()
}

fn names(document: &Value, key: &str) -> Vec<String> {
    let names = document[key].as_array().expect("names").iter();
    names
        .map(|name| name.as_str().expect("a name").to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_proposed_is_written_only_when_asked_and_planned_then() {
    let Some(world) = world().await else { return };
    let before = world.project.files();
    let shown = init(&world, &[]).await;
    assert_eq!(names(&shown, "clusters"), ["shop_compute", "shop_serve"]);
    assert_eq!(
        names(&shown, "schemas"),
        ["shop_marts", "shop_serving", "shop_staging"]
    );
    assert_eq!(names(&shown, "refusals"), [""; 0]);
    assert_eq!(
        (shown["written"].as_bool(), names(&shown, "unseen")),
        (Some(false), vec![])
    );
    assert!(
        shown["notes"].to_string().contains("no terminal"),
        "{shown}"
    );
    init(&world, &["--print"]).await;
    assert!(world.project.files() == before, "something was written");
    assert!(
        !world.project.path().join(".cutover").exists(),
        "something was left"
    );

    let text = world.cutover_text(&["init", "--yes"]).await.exits(0);
    text.says("+  deployment:")
        .says("+    prod:")
        .says("+++ cutover.yaml")
        .says("written: ");
    let written = world.project.read("dbt_project.yml");
    assert!(
        written.contains("vars:   # of all models\n  country: fr\n  deployment:\n    prod:\n"),
        "{written}"
    );
    world.cutover(&["check"]).await.exits(0);
    let plan = world.cutover(&["plan"]).await.exits(0).document();
    assert_eq!(plan["schemas"].as_array().map(Vec::len), Some(3));

    // Nothing is left to do, and what is there stays.
    let again = init(&world, &["--yes"]).await;
    assert_eq!(
        (
            again["files"].as_array().map(Vec::len),
            again["written"].as_bool()
        ),
        (Some(0), Some(false))
    );
    assert_eq!(world.project.read("dbt_project.yml"), written);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_not_be_listed_is_left_out_and_what_differs_is_told() {
    let Some(world) = world().await else { return };
    world
        .sql
        .run("CREATE SOURCE shop_staging.ticks IN CLUSTER quickstart FROM LOAD GENERATOR COUNTER")
        .await;
    let listed = "  deployment:\n    prod:\n      schemas: [shop_staging, shop_marts] # as it was\n      clusters:\n        - shop_compute\n";
    let text = world.project.read("dbt_project.yml") + listed;
    world.project.write("dbt_project.yml", &text);
    world.project.write("cutover.yaml", "soak: 1s\n");
    let shown = init(&world, &[]).await;
    assert_eq!(names(&shown, "schemas"), ["shop_marts", "shop_serving"]);
    assert_eq!(shown["left_out"][0]["name"], "shop_staging");
    let why = shown["left_out"][0]["why"].to_string();
    assert!(why.contains("shop_staging.ticks"), "{why}");
    let notes = shown["notes"].to_string();
    for part in [
        "schemas shop_serving would be added",
        "schemas shop_staging would go",
        "clusters shop_serve would be added",
        "cutover.yaml, which stays as it is",
    ] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
    assert_eq!(world.project.read("dbt_project.yml"), text);
    init(&world, &["--yes"]).await;
    let written = world.project.read("dbt_project.yml");
    assert!(written.contains("      schemas: [shop_marts, shop_serving] # as it was\n      clusters:\n        - shop_compute\n        - shop_serve\n"), "{written}");
    assert_eq!(world.project.read("cutover.yaml"), "soak: 1s\n");
    world.cutover(&["plan"]).await.exits(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_seen_is_said_and_a_person_is_asked() {
    let Some(mut world) = world().await else {
        return;
    };
    // As a run of dbt leaves it.
    world.dbt(&["parse"]).await;
    let profile = world.project.read("profiles.yml");
    let (_, port) = world.server.address();
    let nowhere = profile.replace(&format!("port: {port}"), "port: 1");
    world.project.write("profiles.yml", &nowhere);
    world.set("DBT__EXECUTABLE", "/nowhere/dbt");
    let shown = init(&world, &[]).await;
    let unseen = names(&shown, "unseen");
    assert!(
        unseen.iter().any(|it| it.contains("manifest.json")),
        "{unseen:?}"
    );
    assert!(
        unseen.iter().any(|it| it.starts_with("the server: ")),
        "{unseen:?}"
    );
    assert_eq!(names(&shown, "schemas").len(), 3);
    assert!(shown["server"].is_null());
    asks_on_a_terminal(&mut world).await;
    // Without either there is nothing to propose from.
    world.project.remove_all("target");
    world
        .cutover(&["init"])
        .await
        .exits(2)
        .says("dbt.executable");
}

/// On a terminal it asks, and only a yes counts.
async fn asks_on_a_terminal(world: &mut World) {
    let before = world.project.read("dbt_project.yml");
    for (answer, is_written) in [("n", false), ("", false), ("y", true)] {
        let program = format!(
            "import os, pty, sys\nanswers = [b'{answer}\\n']\n\
             status = pty.spawn(sys.argv[1:], stdin_read=lambda _: answers.pop() if answers else b'')\n\
             sys.exit(os.waitstatus_to_exitcode(status))"
        );
        world.through = ["python3", "-c", &program].map(str::to_owned).to_vec();
        let asked = world.cutover_text(&["init"]).await.exits(0);
        asked.says("[y/N]").says(match is_written {
            true => "written: ",
            false => "nothing was written",
        });
        let is_as_before = world.project.read("dbt_project.yml") == before;
        assert_eq!(is_as_before, !is_written, "{answer}");
        let configuration = world.project.path().join("cutover.yaml");
        assert_eq!(configuration.exists(), is_written, "{answer}");
    }
    world.through.clear();
}

/// No project, no configuration, no server.
#[test]
fn help_and_explanations_need_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("cutover.yaml"), "no: such\nkey\n").expect("a file");
    let run = |arguments: &[&str], code: i32| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_cutover"))
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .expect("the program runs");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).expect("text");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        text
    };
    for (arguments, said) in [
        (
            &["help"][..],
            "Topics (cutover help TOPIC): releases, promotion",
        ),
        (&["help", "deploy"], "Usage: cutover deploy"),
        (&["help", "ci", "build"], "Usage: cutover ci build"),
        (&["help", "releases"], "Releases\n========"),
        (&["help", "ci"], "Usage: cutover ci [OPTIONS] <COMMAND>"),
        (&["help", "ci"], "CI\n=="),
        (&["ci", "help", "build"], "Usage: cutover ci build"),
        (&["explain", "outside-dependent"], "It cannot be allowed."),
        (&["--explain", "drift"], "It may be allowed."),
        (&["--explain=drift"], "What to do: "),
        (&["explain"], "sink-in-swapped-schema\n"),
        (
            &["explain", "drift", "--output", "json"],
            "\"may_be_allowed\":true",
        ),
        (&["completions", "bash"], "complete -F _cutover"),
        (&["completions", "zsh"], "#compdef cutover"),
    ] {
        let text = run(arguments, 0);
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
    for (arguments, said) in [
        (
            &["help", "promotions"][..],
            "did you mean `cutover help promotion`?",
        ),
        (
            &["help", "nothing"],
            "topics: releases, promotion, recovery, ci, configuration",
        ),
        (
            &["explain", "drfit"],
            "did you mean `cutover explain drift`?",
        ),
        (&["explain", "xyz"], "`cutover explain` lists the names"),
    ] {
        let text = run(arguments, 2);
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
    run(&["man", "nowhere"], 2);
    run(&["man", "."], 0);
    let page =
        |name: &str| std::fs::read_to_string(Path::join(folder.path(), name)).expect("a page");
    assert!(page("cutover.1").contains(".TH cutover 1"));
    assert!(page("cutover-ci-build.1").contains(".SH OPTIONS"));
}
