//! Progress and records for tests of what is printed.

use super::capture::at;
use crate::domain::checks::Moment;
use crate::domain::lifecycle::policy::Policy;
use crate::domain::lifecycle::state::{Event, State};
use crate::domain::progress::{ClusterReadiness, Progress};
use crate::domain::records::subject::Subject;
use crate::foundation::failure::Class;
use crate::interfaces::record::{
    Advice, CheckView, CheckedView, Circumstances, DeploymentView, EffectView, EventView, Finding,
    HistoryView, OutcomeView, ShowView, StatusEntry, StatusView, Verdict,
};
use crate::operations::deployment::checks::{self, Outcome};
use crate::operations::deployment::diff::Recorded;
use crate::planning::planner::render::sample::shop;
use serde_json::json;

const ID: &str = "0198c3f2-1a2b-7c3d-8e4f-5a6b7c8d9e0f";

fn entered(state: State) -> Progress {
    Progress::State {
        deployment: ID.to_owned(),
        state,
    }
}

fn node(name: &str, status: &str, done: usize, seconds: Option<f64>) -> Progress {
    Progress::Node {
        unique_id: format!("model.shop.{name}"),
        status: status.to_owned(),
        done,
        total: 3,
        seconds,
    }
}

fn reading(hydrated: usize, lag_ms: Option<i64>, waiting: &[&str]) -> Progress {
    Progress::Readiness {
        clusters: vec![
            ClusterReadiness {
                cluster: "compute".to_owned(),
                hydrated,
                total: 5,
                lag_ms,
                lagging: Some("marts.daily_orders".to_owned()),
                waiting_for: waiting.iter().map(|w| (*w).to_owned()).collect(),
                relations: Vec::new(),
            },
            ClusterReadiness {
                cluster: "serving".to_owned(),
                hydrated: 0,
                total: 0,
                lag_ms: None,
                lagging: None,
                waiting_for: Vec::new(),
                relations: Vec::new(),
            },
        ],
    }
}

fn staged(item: &str, done: usize) -> Progress {
    Progress::Work {
        what: "staged".to_owned(),
        item: item.to_owned(),
        done,
        total: 3,
    }
}

/// A deployment's progress; each with the milliseconds that pass before it.
pub(crate) fn deployment() -> Vec<(i64, Progress)> {
    let note = |text: &str| Progress::Note {
        text: text.to_owned(),
    };
    vec![
        (0, entered(State::Planned)),
        (10, entered(State::Staging)),
        (200, staged("schema marts_dbt_deploy", 1)),
        (200, staged("schema reporting_dbt_deploy", 2)),
        (900, staged("cluster compute_dbt_deploy", 3)),
        (10, entered(State::Building)),
        (0, note("dbt 1.10.3 of .venv/bin/dbt")),
        (700, node("order_items", "started", 0, None)),
        (900, node("order_items", "success", 1, Some(0.9))),
        (1_200, node("daily_orders", "success", 2, Some(1.2))),
        (400, node("revenue", "success", 3, Some(0.4))),
        (10, entered(State::Hydrating)),
        (
            50,
            reading(1, None, &["4 objects are not hydrated", "lag is unknown"]),
        ),
        (
            1_000,
            reading(1, None, &["4 objects are not hydrated", "lag is unknown"]),
        ),
        (
            9_500,
            reading(1, None, &["4 objects are not hydrated", "lag is unknown"]),
        ),
        (1_000, reading(5, Some(1_400), &["lag 1.4s is above 1s"])),
        (1_000, reading(5, Some(1_200), &["lag 1.2s is above 1s"])),
        (1_000, reading(5, Some(340), &[])),
        (250, reading(5, Some(310), &[])),
        (10, entered(State::Verifying)),
        (
            2_000,
            Progress::Warning {
                text: "a replica of compute restarted\u{1b}[2J once".to_owned(),
            },
        ),
        (10, entered(State::Ready)),
        (10, entered(State::CuttingOver)),
        (300, entered(State::Soaking)),
        (10, entered(State::CleaningUp)),
        (3_600_000, entered(State::Done)),
    ]
}

/// A deployment in `state`.
pub(crate) fn record(state: State, finished: bool, reason: Option<&str>) -> DeploymentView {
    DeploymentView {
        id: ID.to_owned(),
        environment: "production".to_owned(),
        state,
        created_at: at(0),
        updated_at: at(192),
        finished_at: finished.then(|| at(192)),
        reason: reason.map(str::to_owned),
        by: Some(Subject::Token {
            name: "ci".to_owned(),
        }),
    }
}

fn advice(state: State, environment: &str, promotion: Policy, is_running: bool) -> Advice {
    let circumstances = Circumstances {
        promotion,
        cleanup: Policy::Automatic,
        is_running,
    };
    Advice::new(state, environment, circumstances)
}

pub(crate) fn outcome(state: State, finished: bool, reason: Option<&str>) -> OutcomeView {
    OutcomeView {
        environment: "production".to_owned(),
        deployment: Some(record(state, finished, reason)),
        advice: Some(advice(state, "production", Policy::Manual, false)),
    }
}

pub(crate) fn status() -> StatusView {
    let entry = |environment: &str, state, promotion, is_running, reason: Option<&str>| {
        let deployment = DeploymentView {
            environment: environment.to_owned(),
            ..record(state, state.is_terminal(), reason)
        };
        StatusEntry {
            daemon: None,
            diff: None,
            waiting_for: match state == State::Hydrating {
                true => vec![
                    "marts.revenue is not hydrated, since 10:00:00 UTC (cluster compute)"
                        .to_owned(),
                ],
                false => Vec::new(),
            },
            held: None,
            frozen: None,
            chain: None,
            kept: None,
            drift: None,
            promotion: None,
            leader: None,
            environment: environment.to_owned(),
            deployment: Some(deployment),
            advice: Some(advice(state, environment, promotion, is_running)),
        }
    };
    StatusView {
        environments: vec![
            StatusEntry {
                daemon: None,
                waiting_for: Vec::new(),
                held: None,
                frozen: None,
                chain: None,
                kept: None,
                drift: None,
                promotion: None,
                diff: None,
                leader: None,
                environment: "dev".to_owned(),
                deployment: None,
                advice: None,
            },
            entry("it's", State::Hydrating, Policy::Automatic, false, None),
            entry("production", State::Ready, Policy::Manual, false, None),
            entry(
                "staging",
                State::Stuck,
                Policy::Automatic,
                false,
                Some("schema marts has id u99, which nobody planned"),
            ),
        ],
    }
}

pub(crate) fn history() -> HistoryView {
    HistoryView {
        deployments: vec![
            record(State::Ready, false, None),
            record(State::Done, true, None),
            record(
                State::Failed,
                true,
                Some("model.shop.revenue failed\nline 2 is not for a table"),
            ),
        ],
        held: Vec::new(),
    }
}

pub(crate) fn show() -> ShowView {
    let event = |seq: i64, seconds, event, state_after| EventView {
        seq,
        at: at(seconds),
        event,
        state_after,
        by: (seq > 1).then_some(Subject::Schedule),
    };
    ShowView {
        promotion: None,
        watched: None,
        waiting: None,
        statements: None,
        deployment: record(
            State::Failed,
            true,
            Some("model.shop.revenue failed:\n  column \"day\" does not exist"),
        ),
        request: json!({"full": true}),
        plan: Some(shop()),
        events: vec![
            event(1, 2, Event::PlanStored, State::Planned),
            event(2, 2, Event::StagingStarted, State::Staging),
            event(3, 7, Event::Staged, State::Building),
            event(
                4,
                187,
                Event::StepFailed {
                    reason: "model.shop.revenue failed".to_owned(),
                },
                State::Unwinding,
            ),
            event(5, 192, Event::UnwoundAfterFailure, State::Failed),
        ],
        diff: Recorded::default(),
        checks: vec![CheckedView {
            moment: Moment::Before,
            outcome: Outcome {
                name: "totals keep their rows".to_owned(),
                level: crate::domain::checks::Level::Required,
                verdict: checks::Verdict::Passed,
                blue: Some(3),
                green: Some(3),
                says: "the new side has 3 rows and the old side 3: 0 apart, 0 allowed".to_owned(),
                at: at(190),
                runs: 1,
                failures: 0,
                asked: None,
                samples: Vec::new(),
            },
        }],
        effects: vec![
            EffectView {
                key: "create-schema:marts_dbt_deploy".to_owned(),
                attempt: 1,
                intent: json!({"schema": "marts_dbt_deploy"}),
                started_at: at(3),
                result: Some(json!({"id": "u204"})),
                finished_at: Some(at(4)),
            },
            EffectView {
                key: "dbt-build".to_owned(),
                attempt: 2,
                intent: json!({"nodes": 3}),
                started_at: at(7),
                result: None,
                finished_at: None,
            },
        ],
    }
}

pub(crate) fn check() -> CheckView {
    let finding = |subject: &str, verdict, detail: &str, remedy: Option<&str>| Finding {
        subject: subject.to_owned(),
        verdict,
        detail: detail.to_owned(),
        remedy: remedy.map(str::to_owned),
    };
    CheckView {
        findings: vec![
            finding("dbt_project.yml", Verdict::Ok, "project shop", None),
            finding("materialize", Verdict::Ok, "v0.147.3 at db:6875", None),
            finding(
                "privileges",
                Verdict::Fault(Class::Refused),
                "role deployer does not own schema marts",
                Some("ALTER SCHEMA marts OWNER TO deployer;\nas a superuser"),
            ),
            finding(
                "replicas",
                Verdict::Warning,
                "compute r1 was killed for memory twice today",
                None,
            ),
            finding(
                "rehearsal",
                Verdict::Skipped,
                "privileges are missing",
                None,
            ),
        ],
    }
}
