//! What came of the points that were visited.

use crate::scenarios::{End, KINDS, SCENARIOS};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// One row of the table.
#[derive(Debug, Default, Clone)]
struct Row {
    name: String,
    is_shown: bool,
    points: u32,
    resumed: u32,
    asked_again: u32,
    already_ended: u32,
}

/// The table of one store. What several worlds visited is added up in it.
#[derive(Debug)]
pub struct Table {
    /// By scenario and kind of kill.
    rows: Vec<Row>,
    /// The state in the journal when the process was dead → points.
    killed_in: BTreeMap<String, u32>,
    /// What did not end right.
    failures: Vec<String>,
    /// How long all of it took.
    pub took: Duration,
}

impl Table {
    /// One without points, of which the rows of some scenarios are shown.
    pub fn new(store: &str, is_wanted: impl Fn(&str) -> bool) -> Self {
        let rows = SCENARIOS.iter().flat_map(|scenario| {
            let is_shown = is_wanted(scenario.name);
            KINDS.map(|kind| Row {
                name: format!("{store:<10} | {:<8} | {:<16}", scenario.name, kind.name()),
                is_shown,
                ..Row::default()
            })
        });
        Self {
            rows: rows.collect(),
            killed_in: BTreeMap::new(),
            failures: Vec::new(),
            took: Duration::ZERO,
        }
    }

    /// Counts a point that ended right.
    pub fn count(&mut self, (scenario, kind): (usize, usize), ended: End, killed_in: String) {
        let row = &mut self.rows[scenario * KINDS.len() + kind];
        row.points += 1;
        match ended {
            End::Resumed => row.resumed += 1,
            End::AskedAgain => row.asked_again += 1,
            End::AlreadyEnded => row.already_ended += 1,
        }
        *self.killed_in.entry(killed_in).or_default() += 1;
    }

    /// Notes what did not end right.
    pub fn failed(&mut self, what: String) {
        self.failures.push(what);
    }

    /// What did not end right.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// Points that ended right.
    pub fn points(&self) -> u32 {
        self.rows.iter().map(|row| row.points).sum()
    }

    /// The table for people.
    pub fn print(&self) -> String {
        let mut text = format!(
            "{:<10} | {:<8} | {:<16} | {:>6} | {:>12} | {:>11} | {:>13}\n",
            "store", "command", "killed", "points", "resume ended", "asked again", "already ended"
        );
        for row in self.rows.iter().filter(|row| row.is_shown) {
            let _ = writeln!(
                text,
                "{} | {:>6} | {:>12} | {:>11} | {:>13}",
                row.name, row.points, row.resumed, row.asked_again, row.already_ended
            );
        }
        let judged = match self.failures.len() {
            0 => "every one ended right".to_owned(),
            failures => format!("these ended right and {failures} others did not"),
        };
        let _ = writeln!(
            text,
            "{} points in {:.0} s, {judged}; killed in the state: {}",
            self.points(),
            self.took.as_secs_f64(),
            self.killed_in
                .iter()
                .map(|(state, points)| format!("{state} {points}"))
                .collect::<Vec<_>>()
                .join(", ")
        );
        for failure in &self.failures {
            let _ = writeln!(text, "not right: {failure}");
        }
        text
    }
}
