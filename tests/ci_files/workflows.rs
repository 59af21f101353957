//! The workflow of GitHub and the component of GitLab, event by event.

use super::actions::{Runner, Step};
use super::pipeline::Pipeline;
use super::platform::{READER, WRITER};
use super::sample;
use clap::Parser;
use cutover::interfaces::console::Arguments;
use serde_json::json;
use std::collections::BTreeMap;

/// What was asked of `cutover`, each command checked against the real command line. Arguments that name files of this
/// run are told by their last part.
fn asked(programs: &super::shell::Programs) -> Vec<String> {
    let lines = programs.asked().into_iter().map(|(arguments, server)| {
        let whole = std::iter::once("cutover".to_owned()).chain(arguments.clone());
        if let Err(error) = Arguments::try_parse_from(whole) {
            panic!("{arguments:?}: {error}");
        }
        let short = arguments
            .iter()
            .map(|argument| match argument.starts_with('/') {
                true => argument.rsplit('/').next().unwrap_or_default().to_owned(),
                false => argument.clone(),
            });
        let line = short.collect::<Vec<_>>().join(" ");
        match server.as_str() {
            "" => line,
            server => format!("{line} @ {server}"),
        }
    });
    lines.collect()
}

#[track_caller]
fn only<'a>(jobs: &'a BTreeMap<String, Vec<Step>>, name: &str) -> &'a [Step] {
    let names: Vec<&String> = jobs.keys().collect();
    assert_eq!(names, [name]);
    &jobs[name]
}

#[track_caller]
fn all_went_well(steps: &[Step]) {
    for step in steps {
        assert_ne!(step.outcome, "failure", "{}: {}", step.name, step.output);
    }
}

const BUILD: &str = "ci build --json report.json --markdown report.md --junit report.xml";

#[tokio::test]
async fn a_pull_request_from_opening_to_release() {
    let mut runner = Runner::new(WRITER).await;
    runner
        .inputs
        .insert("environment".to_owned(), "production".to_owned());
    runner.platform.chatter(3);

    runner.programs.builds(&sample::report(false), 1);
    runner.pull_request("opened", false);
    let jobs = runner.run().await;
    let steps = only(&jobs, "build");
    let build = steps
        .iter()
        .find(|step| step.name == "cutover")
        .expect("the build");
    assert_eq!(
        (build.outcome, build.code),
        ("failure", Some(1)),
        "{}",
        build.output
    );
    assert_eq!(build.outputs["verdict"], "failed");
    assert_eq!(build.outputs["corner"], "pr-7");
    assert!(build.outputs["report"].ends_with("/cutover/report.json"));
    assert!(
        build.output.contains("### "),
        "no summary: {}",
        build.output
    );
    assert_eq!(
        asked(&runner.programs),
        [
            format!("{BUILD} -- production"),
            "ci report report.json --github".to_owned()
        ]
    );
    let own = runner.platform.own();
    assert_eq!(own.len(), 1);
    assert!(own[0].body.contains("totl"));

    runner.programs.builds(&sample::report(true), 0);
    runner.pull_request("synchronize", false);
    let jobs = runner.run().await;
    all_went_well(only(&jobs, "build"));
    let after = runner.platform.own();
    assert_eq!((after.len(), after[0].id), (1, own[0].id));
    assert!(after[0].body.contains("passed"));
    let states: Vec<_> = runner
        .platform
        .known()
        .statuses
        .iter()
        .map(|(_, it)| it["state"].clone())
        .collect();
    assert_eq!(states, ["failure", "success"]);
    asked(&runner.programs);

    runner.pull_request("closed", false);
    let jobs = runner.run().await;
    all_went_well(only(&jobs, "teardown"));
    assert_eq!(
        asked(&runner.programs),
        ["ci teardown --name pr-7 -- production"]
    );

    runner.push("main");
    let jobs = runner.run().await;
    let steps = only(&jobs, "release");
    all_went_well(steps);
    assert!(
        steps
            .iter()
            .any(|step| step.name == "Install dbt" && step.outcome == "success")
    );
    assert_eq!(asked(&runner.programs), ["deploy -- production"]);

    runner
        .inputs
        .insert("server".to_owned(), "https://cutover.test".to_owned());
    let jobs = runner.run().await;
    let steps = only(&jobs, "release");
    all_went_well(steps);
    assert!(
        steps
            .iter()
            .any(|step| step.name == "Install dbt" && step.outcome == "skipped")
    );
    assert_eq!(
        asked(&runner.programs),
        ["deploy -- production @ https://cutover.test"]
    );

    for command in ["promote", "rollback"] {
        runner.dispatch(command);
        let jobs = runner.run().await;
        all_went_well(only(&jobs, "operate"));
        let expected = format!("{command} -- production @ https://cutover.test");
        assert_eq!(asked(&runner.programs), [expected]);
    }
    let workspace = std::fs::read_dir(&runner.workspace).expect("a folder");
    assert_eq!(workspace.count(), 0, "a title or a branch was run");
}

#[tokio::test]
async fn what_is_not_ours_does_nothing() {
    let mut runner = Runner::new(WRITER).await;
    for action in ["opened", "closed"] {
        runner.pull_request(action, true);
        assert!(runner.run().await.is_empty(), "a fork's request, {action}");
    }
    runner.push("feature");
    assert!(runner.run().await.is_empty());
    assert!(runner.programs.asked().is_empty());
    runner.dispatch("drop everything");
    let jobs = runner.run().await;
    let step = jobs["operate"].last().expect("a step");
    assert_eq!(step.code, Some(2));
    assert!(
        step.output.contains("::error::the command is none of"),
        "{}",
        step.output
    );
    assert!(runner.programs.asked().is_empty());
}

#[tokio::test]
async fn a_read_only_token_does_not_fail_the_job() {
    let mut runner = Runner::new(READER).await;
    runner.programs.builds(&sample::report(true), 0);
    runner.pull_request("opened", false);
    let jobs = runner.run().await;
    let steps = only(&jobs, "build");
    all_went_well(steps);
    let build = steps
        .iter()
        .find(|step| step.name == "cutover")
        .expect("the build");
    assert!(
        build.output.contains("the token may not"),
        "{}",
        build.output
    );
    assert!(
        build.output.contains("### "),
        "no summary: {}",
        build.output
    );
    assert!(runner.platform.known().comments.is_empty());
}

#[tokio::test]
async fn the_action_takes_arguments_a_line_each() {
    let mut runner = Runner::new(WRITER).await;
    runner.pull_request("opened", false);
    runner.programs.builds(&sample::report(true), 0);
    let with =
        json!({"name": "mine", "arguments": "--select\n+totals staging.*\n--all-by-mistake"});
    runner.action(&with).await;
    let asked = runner.programs.asked();
    let build = &asked[0].0;
    assert_eq!(build[..4], ["ci", "build", "--name", "mine"]);
    assert_eq!(
        build[build.len() - 3..],
        ["--select", "+totals staging.*", "--all-by-mistake"]
    );
}

#[tokio::test]
async fn the_released_binary_is_installed_when_its_checksum_is_right() {
    let mut runner = Runner::new(WRITER).await;
    runner.pull_request("closed", false);
    let release = runner.folder.path().join("release");
    std::fs::create_dir(&release).expect("a folder");
    let file = "cutover-1.2.3-x86_64-unknown-linux-gnu.tar.gz";
    let script = format!(
        "printf '#!/bin/sh\\necho installed \"$@\"\\n' >cutover; chmod +x cutover; tar -czf {file} cutover; \
         sha256sum {file} >{file}.sha256; rm cutover"
    );
    let environment = super::shell::plain(&release, &release);
    assert_eq!(
        super::shell::bash(&script, &release, &environment)
            .await
            .code,
        Some(0)
    );
    let sum = std::fs::read_to_string(release.join(format!("{file}.sha256"))).expect("a sum");
    let sum = sum.split_whitespace().next().expect("a sum").to_owned();
    let place = format!("file://{}", release.display());
    let with = |more: serde_json::Value| {
        let mut with = json!({"command": "teardown", "version": "1.2.3", "download-url": place});
        with.as_object_mut()
            .expect("inputs")
            .extend(more.as_object().expect("inputs").clone());
        with
    };
    for good in [json!({}), json!({"sha256": sum.to_uppercase()})] {
        let steps = runner.action(&with(good)).await;
        all_went_well(&steps);
        assert!(
            steps[0].output.contains("installed --version"),
            "{}",
            steps[0].output
        );
        // The steps after it find the installed one.
        assert!(
            steps[1].output.contains("installed ci teardown"),
            "{}",
            steps[1].output
        );
    }
    for (bad, code, said) in [
        (json!({"sha256": "0".repeat(64)}), 2, "its checksum differs"),
        (json!({"sha256": "abc"}), 2, "no SHA-256"),
        (json!({"version": "../1"}), 2, "the version is none"),
        (json!({"version": "9.9.9"}), 37, "curl"),
    ] {
        let steps = runner.action(&with(bad)).await;
        assert_eq!(
            (steps[0].outcome, steps[0].code),
            ("failure", Some(code)),
            "{}",
            steps[0].output
        );
        assert!(steps[0].output.contains(said), "{}", steps[0].output);
        assert!(steps[1..].iter().all(|step| step.outcome == "skipped"));
    }
    runner
        .variables
        .insert("RUNNER_ARCH".to_owned(), "ARM".to_owned());
    let steps = runner.action(&with(json!({}))).await;
    assert!(
        steps[0]
            .output
            .contains("nothing is released for Linux on ARM"),
        "{}",
        steps[0].output
    );
    assert!(runner.programs.asked().is_empty());
}

#[tokio::test]
async fn a_merge_request_from_opening_to_release() {
    let mut pipeline = Pipeline::new().await;
    pipeline
        .inputs
        .insert("environment".to_owned(), "production".to_owned());
    pipeline.merge_request(false);
    let jobs = pipeline.jobs();
    let jobs: Vec<(&str, bool)> = jobs
        .iter()
        .map(|(name, job)| (name.as_str(), job.is_manual))
        .collect();
    assert_eq!(jobs, [("cutover-build", false), ("cutover-teardown", true)]);

    pipeline.programs.builds(&sample::report(false), 1);
    let ended = pipeline.run("cutover-build").await;
    assert_eq!(ended.code, Some(1), "{}", ended.output);
    assert_eq!(
        asked(&pipeline.programs),
        [
            format!("{BUILD} -- production"),
            "ci report report.json --gitlab --outputs cutover.env".to_owned()
        ]
    );
    let own = pipeline.platform.own();
    assert!(own.len() == 1 && own[0].body.contains("totl"));
    let dotenv = pipeline.folder.path().join("cutover-report/cutover.env");
    let dotenv = std::fs::read_to_string(dotenv).expect("a file");
    assert!(dotenv.starts_with("CUTOVER_VERDICT=failed\n"), "{dotenv}");

    pipeline.programs.builds(&sample::report(true), 0);
    let ended = pipeline.run("cutover-build").await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert_eq!(pipeline.platform.own().len(), 1);
    asked(&pipeline.programs);
    let ended = pipeline.run("cutover-teardown").await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert_eq!(
        asked(&pipeline.programs),
        ["ci teardown --name mr-7 -- production"]
    );

    pipeline.push("main");
    let jobs = pipeline.jobs();
    let jobs: Vec<(&str, bool)> = jobs
        .iter()
        .map(|(name, job)| (name.as_str(), job.is_manual))
        .collect();
    assert_eq!(
        jobs,
        [
            ("cutover-promote", true),
            ("cutover-release", false),
            ("cutover-rollback", true)
        ]
    );
    for (job, expected) in [
        ("cutover-release", "deploy -- production"),
        ("cutover-promote", "promote -- production"),
        ("cutover-rollback", "rollback -- production"),
    ] {
        let ended = pipeline.run(job).await;
        assert_eq!(ended.code, Some(0), "{}", ended.output);
        assert_eq!(asked(&pipeline.programs), [expected]);
    }
    pipeline
        .inputs
        .insert("server".to_owned(), "https://cutover.test".to_owned());
    pipeline.run("cutover-release").await;
    assert_eq!(
        asked(&pipeline.programs),
        ["deploy -- production @ https://cutover.test"]
    );
    assert!(
        !pipeline.folder.path().join("owned").exists(),
        "a title was run"
    );

    pipeline.merge_request(true);
    assert!(pipeline.jobs().is_empty(), "a fork's request");
    pipeline.push("feature");
    assert!(pipeline.jobs().is_empty());
}

#[tokio::test]
async fn a_report_that_cannot_be_published_fails_the_job_in_gitlab() {
    let mut pipeline = Pipeline::new().await;
    pipeline.merge_request(false);
    pipeline.programs.builds(&sample::report(true), 0);
    pipeline
        .variables
        .insert("GITLAB_TOKEN".to_owned(), "no-such-token".to_owned());
    let ended = pipeline.run("cutover-build").await;
    assert_eq!(ended.code, Some(2), "{}", ended.output);
    assert!(
        ended.output.contains("does not accept the token"),
        "{}",
        ended.output
    );
}
