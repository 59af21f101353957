//! Reports as builds write them.

use cutover::operations::ci::report::{Kind, NodeReport, NodeState, Report};
use std::path::Path;

/// A report of the corner `pr-7`: passed, or with a node that failed.
pub fn report(is_good: bool) -> Report {
    let at = "2026-11-30T10:00:00Z".parse().expect("a time");
    let mut report = Report::begun(Kind::Build, "pr-7", at);
    report.environment = "production".to_owned();
    report.project = "shop".to_owned();
    report.seconds = 4.2;
    report.nodes.push(NodeReport {
        unique_id: "model.shop.totals".to_owned(),
        relation: "marts.totals".to_owned(),
        materialized: "materialized_view".to_owned(),
        file: "models/marts/totals.sql".to_owned(),
        reason: "compiled SQL differs".to_owned(),
        state: match is_good {
            true => NodeState::Built,
            false => NodeState::Failed,
        },
        message: (!is_good).then(|| "column \"totl\" does not exist".to_owned()),
        line: (!is_good).then_some(1),
        seconds: 0.3,
        rows: None,
        production_rows: None,
    });
    report.judge();
    report
}

/// The same with so many nodes that failed with long messages.
pub fn long(nodes: usize) -> Report {
    let mut report = report(false);
    for number in 0..nodes {
        let mut node = report.nodes[0].clone();
        node.file = format!("models/{number}.sql");
        node.message = Some("é".repeat(900));
        report.nodes.push(node);
    }
    report
}

/// Writes a report.
pub fn write(path: &Path, report: &Report) {
    std::fs::write(path, serde_json::to_string(report).expect("JSON")).expect("a file");
}
