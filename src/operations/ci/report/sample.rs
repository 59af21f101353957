//! Reports for tests.

use super::{
    ColumnChange, ColumnReport, CornerReport, Kind, NodeReport, NodeState, ReleaseReport, Report,
    TestReport,
};
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use jiff::Timestamp;

fn node(name: &str, state: NodeState) -> NodeReport {
    NodeReport {
        unique_id: format!("model.shop.{name}"),
        relation: format!("marts.{name}"),
        materialized: "view".to_owned(),
        file: format!("models/{name}.sql"),
        reason: "compiled SQL differs".to_owned(),
        state,
        message: None,
        line: None,
        seconds: 0.25,
        rows: None,
        production_rows: None,
    }
}

/// A report in which everything went well.
pub fn good() -> Report {
    let at: Timestamp = "2026-11-30T10:00:00Z".parse().expect("a time");
    let mut report = Report::begun(Kind::Build, "pr-7", at);
    report.environment = "production".to_owned();
    report.project = "shop".to_owned();
    report.revision = Some("0123456789abcdef".to_owned());
    report.seconds = 12.5;
    report.nodes.push(NodeReport {
        rows: Some(3),
        production_rows: Some(2),
        ..node("totals", NodeState::Built)
    });
    report.tests.push(TestReport {
        unique_id: "test.shop.not_null_totals_customer.1".to_owned(),
        file: "models/schema.yml".to_owned(),
        model: Some("model.shop.totals".to_owned()),
        status: "pass".to_owned(),
        message: None,
        failures: Some(0),
        seconds: 0.05,
    });
    report.corner = Some(CornerReport {
        database: "materialize".to_owned(),
        schemas: [("marts".to_owned(), "marts__pr-7".to_owned())].into(),
        cluster: "ci__pr-7".to_owned(),
        size: Some("25cc".to_owned()),
        cluster_seconds: Some(720.0),
        credits: Some(0.05),
        expires_at: "2026-12-01T10:00:00Z".parse().expect("a time"),
    });
    report.release = Some(ReleaseReport {
        headline: "1 schema and 0 clusters swapped, 1 node built, 1 test run".to_owned(),
        refused: Vec::new(),
        schemas: vec!["marts".to_owned()],
        clusters: Vec::new(),
        builds: vec!["marts.totals".to_owned()],
        gains: Vec::new(),
        loses: Vec::new(),
        sinks: Vec::new(),
        texts: None,
    });
    report.judge();
    report
}

/// A report with every kind of trouble, and names that mean something to Markdown and XML.
pub fn bad() -> Report {
    let mut report = good();
    report.nodes.push(NodeReport {
        message: Some("column \"a|b\" does not exist <here> & `there`\nsecond line".to_owned()),
        line: Some(3),
        ..node("broken", NodeState::Failed)
    });
    report.nodes.push(NodeReport {
        message: Some("waits for model.shop.broken".to_owned()),
        ..node("after", NodeState::Skipped)
    });
    report.tests.push(TestReport {
        unique_id: "test.shop.unique_totals_customer.2".to_owned(),
        status: "fail".to_owned(),
        message: Some("Got 2 results, configured to fail if != 0".to_owned()),
        failures: Some(2),
        ..report.tests[0].clone()
    });
    report.columns.push(ColumnReport {
        relation: "marts.totals".to_owned(),
        column: "tot|al".to_owned(),
        change: ColumnChange::Lost {
            from: "bigint".to_owned(),
        },
        readers: vec!["serving.report".to_owned()],
    });
    let unit = "unit_test.shop.totals.adds_up".to_owned();
    report
        .not_run
        .insert(unit, "only dbt can run it".to_owned());
    let gone = ("model.shop.gone".to_owned(), "marts.gone".to_owned());
    report.deleted.extend([gone]);
    let moved = (
        "model.shop.other".to_owned(),
        "production moved on".to_owned(),
    );
    report.left_out.extend([moved]);
    report.notes.push("a note".to_owned());
    report.release = Some(ReleaseReport::of(Err(Refused(vec![Refusal {
        name: RefusalName::OutsideDependent,
        message: "somebody reads it".to_owned(),
        objects: vec!["public.reader reads marts.totals".to_owned()],
        remedy: "do not shut the door".to_owned(),
    }]))));
    report.judge();
    report
}
