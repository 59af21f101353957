//! What the numbers of a check mean. Pure.

use crate::domain::checks::{Moment, Tolerance};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not hold, or its query makes no sense of what is there.
    Failed,
    /// The server refused to answer, so nothing is known; only during the soak.
    NoAnswer,
    /// There is nothing to compare.
    NotApplicable,
}

impl Verdict {
    /// The word as people read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::NoAnswer => "no answer",
            Self::NotApplicable => "not applicable",
        }
    }
}

/// A check as it last ended. Stored in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The check's name.
    pub name: String,
    /// What came of it.
    pub verdict: Verdict,
    /// Rows or keys of the old side, where they were counted.
    pub blue: Option<u64>,
    /// Rows, or keys kept, of the new side; rows that a query found.
    pub green: Option<u64>,
    /// Why, one sentence without a final full stop.
    pub says: String,
    /// When it ended.
    pub at: Timestamp,
    /// How often it has run in this deployment at this moment.
    pub runs: u32,
    /// How often in a row it has failed, runs without an answer left out.
    #[serde(default)]
    pub failures: u32,
}

/// What one run of a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) blue: Option<u64>,
    pub(super) green: Option<u64>,
    pub(super) says: String,
}

impl Finding {
    pub(super) fn not_applicable(why: impl Into<String>) -> Self {
        Self::without_numbers(Verdict::NotApplicable, why)
    }

    pub(super) fn failed(why: impl Into<String>) -> Self {
        Self::without_numbers(Verdict::Failed, why)
    }

    pub(super) fn no_answer(why: impl Into<String>) -> Self {
        Self::without_numbers(Verdict::NoAnswer, why)
    }

    fn without_numbers(verdict: Verdict, says: impl Into<String>) -> Self {
        Self {
            verdict,
            blue: None,
            green: None,
            says: says.into(),
        }
    }

    fn when(holds: bool, blue: Option<u64>, green: u64, says: String) -> Self {
        Self {
            verdict: if holds {
                Verdict::Passed
            } else {
                Verdict::Failed
            },
            blue,
            green: Some(green),
            says,
        }
    }
}

/// `1 row`, `2 rows`.
fn counted(number: u64, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

fn allowed(tolerance: Tolerance, blue: u64) -> String {
    let number = tolerance.allows(blue);
    match tolerance {
        Tolerance::Rows(_) => format!("{number} allowed"),
        Tolerance::Part(_) => format!("{number} ({tolerance} of the old side's) allowed"),
    }
}

/// Green must have as many rows as blue, within the tolerance.
pub(super) fn of_rows(blue: u64, green: u64, tolerance: Tolerance) -> Finding {
    let apart = blue.abs_diff(green);
    let rows = |number| counted(number, "row");
    let says = format!(
        "the new side has {} and the old side {blue}: {apart} apart, {}",
        rows(green),
        allowed(tolerance, blue)
    );
    Finding::when(apart <= tolerance.allows(blue), Some(blue), green, says)
}

/// Of blue's keys no more may be lost than the tolerance says.
pub(super) fn of_keys(blue: u64, lost: u64, tolerance: Tolerance) -> Finding {
    let says = format!(
        "of {} of the old side the new side lacks {lost}, {}",
        counted(blue, "key"),
        allowed(tolerance, blue)
    );
    let kept = blue.saturating_sub(lost);
    Finding::when(lost <= tolerance.allows(blue), Some(blue), kept, says)
}

/// The query must have found nothing.
pub(super) fn of_found(rows: u64) -> Finding {
    let says = match rows {
        0 => "the query returned no rows".to_owned(),
        _ => format!("the query returned {}", counted(rows, "row")),
    };
    Finding::when(rows == 0, None, rows, says)
}

/// How often in a row a check has failed when its next run ends so.
pub(super) fn failures(before: Option<&Outcome>, now: Verdict) -> u32 {
    let before = before.map_or(0, |before| before.failures);
    match now {
        Verdict::Failed => before.saturating_add(1),
        Verdict::NoAnswer => before,
        Verdict::Passed | Verdict::NotApplicable => 0,
    }
}

/// Why these outcomes end a release, or undo it; `None` when none of them has failed `enough` times in a row.
pub(super) fn failure(moment: Moment, outcomes: &[Outcome], enough: u32) -> Option<String> {
    let failed: Vec<String> = outcomes
        .iter()
        .filter(|outcome| outcome.verdict == Verdict::Failed && outcome.failures >= enough)
        .map(|outcome| format!("{:?}: {}", outcome.name, outcome.says))
        .collect();
    let what = match failed.len() {
        0 => return None,
        1 => "a check".to_owned(),
        number => format!("{number} checks"),
    };
    let when = match moment {
        Moment::Before => "before the swap",
        Moment::Soak => "after the swap",
    };
    Some(format!("{what} failed {when}: {}", failed.join("; ")))
}
