use super::capture::Captured;
use super::{Output, sample};
use crate::domain::lifecycle::state::State;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::domain::progress::Reporter;
use crate::foundation::failure::Class;
use crate::interfaces::console::CommandError;
use crate::interfaces::console::arguments::{Global, OutputFormat, PlanFormat};
use crate::interfaces::record::{DryRunView, OutcomeView};
use crate::planning::planner::render::sample::shop;
use insta::assert_snapshot;
use std::io;

fn text() -> Global {
    Global::default()
}

fn json() -> Global {
    Global {
        output: OutputFormat::Json,
        ..Global::default()
    }
}

fn verbose() -> Global {
    Global {
        verbose: 1,
        ..Global::default()
    }
}

fn quiet(global: Global) -> Global {
    Global {
        quiet: true,
        ..global
    }
}

/// Plays the sample deployment. The renderer is let run after each piece, so that it sees the time
/// at which the piece was sent.
async fn play(output: &Output, captured: &Captured) {
    let (reporter, receiver) = Reporter::channel();
    let renderer = output.render(receiver);
    tokio::task::yield_now().await;
    for (pause, progress) in sample::deployment() {
        captured.pass(pause);
        reporter.send(progress);
        tokio::task::yield_now().await;
    }
    // The reporter is still alive; finishing must not wait for it.
    renderer.finish().await;
    reporter.note("too late");
}

async fn played(global: &Global) -> Captured {
    let (output, captured) = Output::captured(global);
    play(&output, &captured).await;
    output.result(&sample::outcome(State::Done, true, None));
    captured
}

#[tokio::test]
async fn piped_progress_is_plain_lines() {
    let captured = played(&text()).await;
    let out = captured.out();
    assert!(out.chars().all(|c| c == '\n' || !c.is_control()), "{out:?}");
    assert_eq!(captured.err(), "");
    assert_snapshot!(out);
}

#[tokio::test]
async fn verbose_progress_shows_nodes_and_notes() {
    assert_snapshot!(played(&verbose()).await.out());
}

#[tokio::test]
async fn json_progress_is_one_document_a_line() {
    let out = played(&json()).await.out();
    for line in out.lines() {
        let document: serde_json::Value = serde_json::from_str(line).expect("a JSON line");
        assert!(document.get("event").is_some() && document.get("at").is_some());
    }
    assert!(
        out.lines()
            .last()
            .is_some_and(|l| l.starts_with(r#"{"event":"result","#))
    );
    assert_snapshot!(out);
}

#[tokio::test]
async fn quiet_prints_only_the_result() {
    assert_eq!(played(&quiet(text())).await.out().lines().count(), 2);
    assert_eq!(played(&quiet(json())).await.out().lines().count(), 1);
}

#[tokio::test]
async fn a_closed_pipe_is_no_error() {
    let (output, captured) = Output::broken(&text(), io::ErrorKind::BrokenPipe);
    play(&output, &captured).await;
    output.result(&sample::outcome(State::Done, true, None));
    assert!(output.lost_result().is_none());
}

#[tokio::test]
async fn a_full_disk_loses_the_result_but_not_the_progress() {
    let (output, captured) = Output::broken(&json(), io::ErrorKind::StorageFull);
    play(&output, &captured).await;
    assert!(output.lost_result().is_none());
    output.result(&sample::outcome(State::Done, true, None));
    let lost = output.lost_result().map(|error| error.kind());
    assert_eq!(lost, Some(io::ErrorKind::StorageFull));
}

fn printed(global: &Global, print: impl FnOnce(&Output)) -> String {
    let (output, captured) = Output::captured(global);
    print(&output);
    assert_eq!(captured.err(), "");
    captured.out()
}

#[test]
fn outcomes() {
    let reason = Some("2 tests failed:\n- unique_revenue_day\n- not_null_daily_orders_id");
    let nothing = OutcomeView {
        environment: "production".to_owned(),
        deployment: None,
        advice: None,
    };
    let text = printed(&text(), |output| {
        output.result(&sample::outcome(State::Ready, false, None));
        output.result(&sample::outcome(State::Failed, true, reason));
        output.result(&nothing);
        output.result(&DryRunView {
            command: "rollback".to_owned(),
            environment: "production".to_owned(),
            would: vec!["swap marts and reporting back".to_owned()],
        });
    });
    assert_snapshot!(text);
}

#[test]
fn tables() {
    assert_snapshot!(
        "status",
        printed(&text(), |o| o.document(&sample::status()))
    );
    assert_snapshot!(
        "history",
        printed(&text(), |o| o.document(&sample::history()))
    );
    assert_snapshot!("show", printed(&text(), |o| o.document(&sample::show())));
    assert_snapshot!("check", printed(&text(), |o| o.document(&sample::check())));
}

#[test]
fn documents_as_json() {
    let status = printed(&json(), |o| o.document(&sample::status()));
    assert_eq!(status.lines().count(), 1);
    assert_snapshot!("status_json", status);
    let check = printed(&json(), |o| o.document(&sample::check()));
    assert!(check.contains(r#""verdict":"fault""#), "{check}");
    let show = printed(&text(), |o| {
        o.document_as(&sample::show(), Some(OutputFormat::Json));
    });
    let show: serde_json::Value = serde_json::from_str(&show).expect("JSON");
    assert_eq!(show["events"][3]["event"]["kind"], "step_failed");
}

#[test]
fn the_class_of_a_check_is_that_of_its_first_fault() {
    assert_eq!(sample::check().class(), Some(Class::Refused));
}

#[test]
fn a_plan_has_three_forms() {
    let by_default = printed(&text(), |o| o.plan(&shop(), None));
    assert!(by_default.starts_with("Plan for production"));
    let markdown = printed(&json(), |o| o.plan(&shop(), Some(PlanFormat::Markdown)));
    assert!(markdown.starts_with("### "));
    for global in [text(), json()] {
        let document = printed(&global, |o| o.plan(&shop(), Some(PlanFormat::Json)));
        let read: crate::domain::plan::Plan = serde_json::from_str(&document).expect("a plan");
        assert_eq!(read, shop());
    }
    let announced = printed(&json(), |o| o.announce(&shop()));
    assert!(announced.starts_with(r#"{"event":"plan","at":"2026-03-01T02:00:00Z","plan":{"#));
}

#[derive(Debug, thiserror::Error)]
#[error("the catalog could not be read")]
struct Outer(#[source] Middle);

#[derive(Debug, thiserror::Error)]
#[error("error communicating with the server: connection\u{7} reset")]
struct Middle(#[source] io::Error);

impl crate::foundation::failure::Classify for Outer {
    fn class(&self) -> Class {
        Class::Transient
    }
}

fn failures() -> [CommandError; 3] {
    let source = io::Error::other("connection\u{7} reset");
    let refusal = |objects: &[&str]| Refusal {
        name: RefusalName::UnmanagedObject,
        message: "production would lose objects that the project does not know".to_owned(),
        objects: objects.iter().map(|o| (*o).to_owned()).collect(),
        remedy: "drop them, or move them to another schema".to_owned(),
    };
    [
        CommandError::from(Outer(Middle(source))).context("status of production"),
        Refused(vec![
            refusal(&["marts.adhoc", "marts.adhoc_idx"]),
            refusal(&[]),
        ])
        .into(),
        CommandError::new(Class::Usage, anyhow::anyhow!("vars.deployment has no prod"))
            .with_hint("add it to dbt_project.yml:\nvars:\n  deployment:\n    prod: {}"),
    ]
}

#[test]
fn errors_as_text() {
    let (output, captured) = Output::captured(&quiet(text()));
    for failure in failures() {
        output.error(&failure);
    }
    assert_eq!(captured.out(), "");
    assert_snapshot!(captured.err());
}

#[test]
fn errors_as_json() {
    let (output, captured) = Output::captured(&json());
    for failure in failures() {
        output.error(&failure);
    }
    assert_eq!(captured.err().lines().count(), 3);
    assert_snapshot!(format!("{}---\n{}", captured.out(), captured.err()));
}

#[test]
fn the_shown_settings_are_a_configuration_file() {
    let loaded =
        crate::inputs::settings::Settings::load(&crate::inputs::settings::Sources::default())
            .expect("the defaults are a configuration");
    for global in [text(), json()] {
        let shown = printed(&global, |output| output.document(&loaded));
        assert_eq!(
            serde_yaml::from_str(&shown).ok(),
            Some(loaded.settings.clone())
        );
    }
}

#[test]
fn lengths_are_for_people() {
    use super::format::{elapsed, length};
    use std::time::Duration;
    let milliseconds = [0, 340, 1_290, 60_000, 192_000, 7_500_000, 273_600_000];
    let shown = milliseconds.map(|ms| length(Duration::from_millis(ms)));
    assert_eq!(
        shown,
        ["0ms", "340ms", "1.2s", "1m", "3m 12s", "2h 5m", "3d 4h"]
    );
    let shown = milliseconds.map(|ms| elapsed(Duration::from_millis(ms)));
    assert_eq!(
        shown,
        [
            "00:00", "00:00", "00:01", "01:00", "03:12", "2:05:00", "76:00:00"
        ]
    );
}
