//! `cutover ci report` over a platform with pages, limits, faults and tokens of all kinds.

use super::platform::{BLIND, Fault, Platform, READER, WRITER, Who};
use super::sample;
use super::shell::{CUTOVER, Ended, plain, run};
use axum::http::Method;
use cutover::operations::ci::report::Report;
use cutover::operations::ci::report::markdown::{marked, marker};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A job of a pull request, or of a merge request.
struct Job {
    platform: Platform,
    folder: tempfile::TempDir,
    environment: BTreeMap<String, String>,
    arguments: Vec<&'static str>,
}

impl Job {
    async fn on_github(token: &str) -> Self {
        let platform = Platform::start().await;
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let event = json!({"action": "synchronize", "pull_request": {"number": 7, "head": {"sha": "headsha"}}});
        std::fs::write(path("event.json"), event.to_string()).expect("a file");
        let mut environment = plain(folder.path(), folder.path());
        for (name, value) in [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_API_URL", &platform.address),
            ("GITHUB_SERVER_URL", "https://github.test"),
            ("GITHUB_RUN_ID", "42"),
            ("GITHUB_REPOSITORY", "acme/shop"),
            ("GITHUB_REF", "refs/pull/7/merge"),
            ("GITHUB_SHA", "mergesha"),
            ("GITHUB_EVENT_PATH", &path("event.json")),
            ("GITHUB_STEP_SUMMARY", &path("summary.md")),
            ("GITHUB_OUTPUT", &path("output")),
            ("GITHUB_TOKEN", token),
        ] {
            environment.insert(name.to_owned(), value.to_owned());
        }
        Self {
            platform,
            folder,
            environment,
            arguments: vec!["--github"],
        }
    }

    async fn on_gitlab(variable: &str, token: &str) -> Self {
        let platform = Platform::start().await;
        let folder = tempfile::tempdir().expect("a folder");
        let mut environment = plain(folder.path(), folder.path());
        let api = format!("{}/api/v4", platform.address);
        for (name, value) in [
            ("GITLAB_CI", "true"),
            ("CI_API_V4_URL", api.as_str()),
            ("CI_PROJECT_ID", "5"),
            ("CI_MERGE_REQUEST_IID", "7"),
            ("CI_MERGE_REQUEST_PROJECT_ID", "5"),
            ("CI_PIPELINE_ID", "99"),
            ("CI_COMMIT_SHA", "headsha"),
            ("CI_JOB_URL", "https://gitlab.test/job/1"),
            (variable, token),
        ] {
            environment.insert(name.to_owned(), value.to_owned());
        }
        Self {
            platform,
            folder,
            environment,
            arguments: vec![
                "--gitlab",
                "--outputs",
                "cutover.env",
                "--summary",
                "summary.md",
            ],
        }
    }

    async fn publish(&self, report: &Report, more: &[&str]) -> Ended {
        sample::write(&self.folder.path().join("report.json"), report);
        let mut arguments = vec!["ci", "report", "report.json"];
        arguments.extend(&self.arguments);
        arguments.extend(more);
        let ended = run(CUTOVER, &arguments, self.folder.path(), &self.environment).await;
        for token in [WRITER, READER, BLIND] {
            assert!(
                !ended.output.contains(token),
                "a token is told: {}",
                ended.output
            );
        }
        ended
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

#[track_caller]
fn ends(ended: &Ended, code: i32, said: &str) {
    assert_eq!(ended.code, Some(code), "{}", ended.output);
    assert!(
        ended.output.contains(said),
        "it does not say {said:?}: {}",
        ended.output
    );
}

#[tokio::test]
async fn one_comment_is_made_and_kept_up_to_date() {
    for is_person in [false, true] {
        let job = Job::on_github(WRITER).await;
        job.platform.known().is_person = is_person;
        job.platform.chatter(3);
        ends(
            &job.publish(&sample::report(false), &[]).await,
            0,
            "comment created",
        );
        job.platform.chatter(4);
        let before = job.platform.own();
        assert_eq!(before.len(), 1);
        assert_eq!(marked(&before[0].body), Some(("production", "pr-7")));
        assert!(
            before[0].body.contains("column \"totl\" does not exist"),
            "{}",
            before[0].body
        );
        ends(
            &job.publish(&sample::report(true), &[]).await,
            0,
            "comment updated",
        );
        let after = job.platform.own();
        assert_eq!((after.len(), after[0].id), (1, before[0].id));
        assert!(after[0].body.contains("passed") && !after[0].body.contains("totl"));
        // It stood on the second page.
        let known = job.platform.known();
        assert!(
            known
                .asked
                .iter()
                .any(|asked| asked.ends_with("comments?page=2")),
            "{:?}",
            known.asked
        );
        let people = known
            .comments
            .iter()
            .filter(|comment| comment.author == Who::Person);
        assert!(
            people
                .into_iter()
                .all(|comment| comment.body.starts_with("looks good"))
        );
    }
}

#[tokio::test]
async fn the_status_summary_and_outputs_of_a_job_of_github() {
    let job = Job::on_github(WRITER).await;
    ends(
        &job.publish(&sample::report(false), &[]).await,
        0,
        "cutover/production",
    );
    ends(
        &job.publish(&sample::report(true), &[]).await,
        0,
        "cutover/production",
    );
    let statuses = job.platform.known().statuses.clone();
    let expected = |state: &str, description: &str| {
        let status = json!({
            "state": state,
            "context": "cutover/production",
            "description": description,
            "target_url": "https://github.test/acme/shop/actions/runs/42",
        });
        ("headsha".to_owned(), status)
    };
    assert_eq!(
        statuses,
        [
            expected("failure", "1 of 1 node and 0 of 0 tests did not succeed."),
            expected("success", "1 node, 0 tests passed."),
        ]
    );
    let summary = job.file("summary.md");
    assert_eq!(summary.matches("### ").count(), 2, "{summary}");
    let output = job.file("output");
    assert!(
        output.ends_with("verdict=passed\ncorner=pr-7\nreport=report.json\n"),
        "{output}"
    );
}

#[tokio::test]
async fn one_note_is_kept_up_to_date_in_gitlab() {
    let job = Job::on_gitlab("GITLAB_TOKEN", WRITER).await;
    job.platform.chatter(3);
    ends(
        &job.publish(&sample::report(false), &[]).await,
        0,
        "comment created",
    );
    ends(
        &job.publish(&sample::report(true), &[]).await,
        0,
        "comment updated",
    );
    let own = job.platform.own();
    assert_eq!(own.len(), 1);
    assert!(own[0].body.contains("passed"));
    let statuses = job.platform.known().statuses.clone();
    let states: Vec<&Value> = statuses
        .iter()
        .map(|(_, status)| &status["state"])
        .collect();
    assert_eq!(states, ["failed", "success"]);
    assert_eq!(statuses[0].0, "headsha");
    assert_eq!(statuses[0].1["name"], "cutover/production");
    assert_eq!(statuses[0].1["pipeline_id"], 99);
    let outputs = job.file("cutover.env");
    let last = "CUTOVER_VERDICT=passed\nCUTOVER_CORNER=pr-7\nCUTOVER_REPORT=report.json\n";
    assert!(outputs.ends_with(last), "{outputs}");
    assert!(job.file("summary.md").contains("### "));
}

#[tokio::test]
async fn what_others_write_is_never_changed() {
    let github = Job::on_github(WRITER).await;
    let gitlab = Job::on_gitlab("GITLAB_TOKEN", WRITER).await;
    for job in [github, gitlab] {
        let forged = format!("{}\nmine", marker("pr-7", "production"));
        let elsewhere = format!("{}\nits own", marker("pr-7", "staging"));
        let another = format!("{}\nits own", marker("pr-70", "production"));
        for (body, who) in [
            (&forged, Who::Person),
            (&elsewhere, Who::Token),
            (&another, Who::Token),
        ] {
            job.platform.known().add(body, who);
        }
        ends(
            &job.publish(&sample::report(true), &[]).await,
            0,
            "comment created",
        );
        let known = job.platform.known();
        let bodies: Vec<&str> = known
            .comments
            .iter()
            .map(|comment| comment.body.as_str())
            .collect();
        assert_eq!(bodies[..3], [&forged, &elsewhere, &another]);
        assert_eq!(bodies.len(), 4);
    }
}

#[tokio::test]
async fn a_build_that_did_not_get_far_uses_the_same_comment() {
    let job = Job::on_github(WRITER).await;
    ends(
        &job.publish(&sample::report(true), &[]).await,
        0,
        "comment created",
    );
    let mut early = sample::report(false);
    early.environment = String::new();
    ends(&job.publish(&early, &[]).await, 0, "comment updated");
    ends(
        &job.publish(&sample::report(true), &[]).await,
        0,
        "comment updated",
    );
    assert_eq!(job.platform.own().len(), 1);
}

#[tokio::test]
async fn a_token_that_may_only_read_leaves_the_summary() {
    for token in [READER, BLIND] {
        let github = Job::on_github(token).await;
        let gitlab = Job::on_gitlab("GITLAB_TOKEN", token).await;
        for job in [github, gitlab] {
            let ended = job.publish(&sample::report(true), &[]).await;
            ends(&ended, 0, "the token may not");
            assert!(job.file("summary.md").contains("### "));
            assert!(job.platform.known().comments.is_empty());
            assert!(job.platform.known().statuses.is_empty());
        }
    }
    let job = Job::on_gitlab("CI_JOB_TOKEN", WRITER).await;
    ends(
        &job.publish(&sample::report(true), &[]).await,
        0,
        "token of a job",
    );
    assert!(job.file("summary.md").contains("### "));
    let mut job = Job::on_github("").await;
    job.environment.remove("GITHUB_TOKEN");
    ends(
        &job.publish(&sample::report(true), &[]).await,
        0,
        "GITHUB_TOKEN is not set",
    );
    assert!(job.platform.known().asked.is_empty());
    let job = Job::on_github("no-such-token").await;
    let ended = job.publish(&sample::report(true), &[]).await;
    ends(&ended, 2, "does not accept the token");
    assert!(!ended.output.contains("no-such-token"), "{}", ended.output);
}

#[tokio::test]
async fn limits_are_waited_for() {
    let job = Job::on_github(WRITER).await;
    let began = Instant::now();
    job.platform.fault(Fault {
        headers: vec![("retry-after", "1".to_owned())],
        ..Fault::status(429, Some(1))
    });
    ends(
        &job.publish(&sample::report(true), &[]).await,
        0,
        "comment created",
    );
    assert!(
        began.elapsed() >= Duration::from_secs(1),
        "it was asked to wait"
    );
    assert_eq!(job.platform.own().len(), 1);
    // A limit is told from a lack of rights.
    job.platform.fault(Fault {
        headers: vec![
            ("x-ratelimit-remaining", "0".to_owned()),
            ("x-ratelimit-reset", "1".to_owned()),
        ],
        ..Fault::status(403, Some(2))
    });
    ends(
        &job.publish(&sample::report(true), &[]).await,
        0,
        "comment updated",
    );
    job.platform.fault(Fault {
        headers: vec![("retry-after", "3600".to_owned())],
        ..Fault::status(403, None)
    });
    let began = Instant::now();
    let ended = job
        .publish(&sample::report(true), &["--timeout", "20s"])
        .await;
    ends(&ended, 4, "asks to wait for 3600 s");
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "that is not waited for"
    );
}

#[tokio::test]
async fn an_answer_that_was_lost_makes_no_second_comment() {
    let github = Job::on_github(WRITER).await;
    let gitlab = Job::on_gitlab("GITLAB_TOKEN", WRITER).await;
    for job in [github, gitlab] {
        job.platform.fault(Fault {
            method: Some(Method::POST),
            is_done: true,
            ..Fault::status(502, Some(1))
        });
        ends(
            &job.publish(&sample::report(true), &[]).await,
            0,
            "comment updated",
        );
        assert_eq!(job.platform.own().len(), 1);
    }
}

#[tokio::test]
async fn an_api_that_stays_away_is_an_error_in_time() {
    let job = Job::on_github(WRITER).await;
    job.platform.fault(Fault::status(500, None));
    let began = Instant::now();
    let ended = job
        .publish(&sample::report(true), &["--timeout", "2s"])
        .await;
    ends(&ended, 4, "no good answer within 2 s");
    ends(&ended, 4, "so says the fault");
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    assert!(job.platform.count("GET") >= 2);
    assert!(
        job.file("summary.md").contains("### "),
        "the summary came first"
    );
    let mut gone = Job::on_github(WRITER).await;
    gone.environment
        .insert("GITHUB_API_URL".to_owned(), "http://127.0.0.1:1".to_owned());
    let ended = gone
        .publish(&sample::report(true), &["--timeout", "1s"])
        .await;
    ends(&ended, 4, "no good answer within 1 s");
}

#[tokio::test]
async fn html_and_redirects_are_told() {
    let html = "<html><title>Sign in</title></html>";
    let job = Job::on_github(WRITER).await;
    job.platform.fault(Fault {
        headers: vec![("content-type", "text/html".to_owned())],
        body: html,
        ..Fault::status(200, None)
    });
    let ended = job.publish(&sample::report(true), &[]).await;
    ends(
        &ended,
        2,
        "no JSON but text/html, beginning \"<html><title>Sign in",
    );
    let job = Job::on_github(WRITER).await;
    job.platform.fault(Fault {
        headers: vec![("location", "https://elsewhere.test/".to_owned())],
        ..Fault::status(302, None)
    });
    let ended = job.publish(&sample::report(true), &[]).await;
    ends(&ended, 2, "points elsewhere");
    let job = Job::on_github(WRITER).await;
    job.platform.fault(Fault {
        method: Some(Method::GET),
        headers: vec![(
            "link",
            "<https://elsewhere.test/x>; rel=\"next\"".to_owned(),
        )],
        body: "[]",
        ..Fault::status(200, None)
    });
    let ended = job.publish(&sample::report(true), &[]).await;
    ends(&ended, 2, "the next page is said to be elsewhere");
}

#[tokio::test]
async fn a_comment_is_as_long_as_the_platform_takes() {
    let report = sample::long(900);
    let job = Job::on_github(WRITER).await;
    for _ in 0..2 {
        ends(&job.publish(&report, &[]).await, 0, "comment");
    }
    let body = job.platform.own().remove(0).body;
    assert!(
        body.len() > 60_000 && body.chars().count() <= 65_536,
        "{}",
        body.len()
    );
    assert!(body.contains("more lines or messages are not shown"));
    let job = Job::on_gitlab("GITLAB_TOKEN", WRITER).await;
    ends(&job.publish(&report, &[]).await, 0, "comment created");
    let body = job.platform.own().remove(0).body;
    assert!(
        body.len() > 900_000 && body.len() <= 1_000_000,
        "{}",
        body.len()
    );
}

#[tokio::test]
async fn a_job_that_is_of_no_request_sets_the_status_only() {
    let mut job = Job::on_github(WRITER).await;
    job.environment.remove("GITHUB_EVENT_PATH");
    job.environment
        .insert("GITHUB_REF".to_owned(), "refs/heads/main".to_owned());
    let ended = job
        .publish(&sample::report(true), &["--output", "json"])
        .await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    let said: Value = serde_json::from_str(&ended.output).expect("one document");
    assert_eq!(said["comment"]["outcome"], "skipped");
    assert_eq!(
        said["status"],
        json!({"outcome": "set", "name": "cutover/production"})
    );
    assert_eq!(
        (&said["platform"], &said["verdict"]),
        (&json!("github"), &json!("passed"))
    );
    assert_eq!(job.platform.known().statuses[0].0, "mergesha");
}

#[tokio::test]
async fn what_is_wrong_is_named_before_anything_is_sent() {
    let mut job = Job::on_github(WRITER).await;
    job.environment
        .insert("GITHUB_API_URL".to_owned(), "http://api.test".to_owned());
    ends(
        &job.publish(&sample::report(true), &[]).await,
        2,
        "not sent to http://api.test",
    );
    job.environment.remove("GITHUB_API_URL");
    ends(
        &job.publish(&sample::report(true), &[]).await,
        2,
        "GITHUB_API_URL is not set",
    );
    job.environment
        .insert("GITHUB_REPOSITORY".to_owned(), "shop".to_owned());
    ends(
        &job.publish(&sample::report(true), &[]).await,
        2,
        "GITHUB_REPOSITORY",
    );
    job.environment
        .insert("GITHUB_EVENT_PATH".to_owned(), "/nowhere.json".to_owned());
    job.environment
        .insert("GITHUB_REPOSITORY".to_owned(), "acme/shop".to_owned());
    ends(
        &job.publish(&sample::report(true), &[]).await,
        2,
        "/nowhere.json",
    );
    let missing = ["ci", "report", "missing.json", "--github"];
    let ended = run(CUTOVER, &missing, job.folder.path(), &job.environment).await;
    ends(&ended, 2, "missing.json");
    job.environment.remove("GITHUB_ACTIONS");
    let nowhere = ["ci", "report", "report.json"];
    let ended = run(CUTOVER, &nowhere, job.folder.path(), &job.environment).await;
    ends(&ended, 2, "no platform is named");
}

#[tokio::test]
async fn a_build_that_cannot_begin_is_reported_too() {
    let job = Job::on_github(WRITER).await;
    let folder = job.folder.path();
    // There is no dbt project.
    let build = ["ci", "build", "--json", "early.json"];
    let ended = run(CUTOVER, &build, folder, &job.environment).await;
    ends(&ended, 2, "dbt_project.yml");
    let publish = ["ci", "report", "early.json"];
    ends(
        &run(CUTOVER, &publish, folder, &job.environment).await,
        0,
        "comment created",
    );
    let body = job.platform.own().remove(0).body;
    assert_eq!(marked(&body), Some(("", "pr-7")));
    assert!(
        body.contains("wrong") && body.contains("dbt_project.yml"),
        "{body}"
    );
    let statuses = job.platform.known().statuses.clone();
    assert_eq!(
        (&statuses[0].1["state"], &statuses[0].1["context"]),
        (&json!("error"), &json!("cutover"))
    );
    // A faulty configuration does not keep a report from being published.
    std::fs::write(folder.join("cutover.yaml"), "nonsense: {").expect("a file");
    ends(
        &run(CUTOVER, &publish, folder, &job.environment).await,
        0,
        "comment updated",
    );
}
