//! What the numbers of a check mean. Pure.

use crate::domain::checks::{Level, Moment, Tolerance, Unknown};
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
    /// The server refused to answer, or an endpoint did not, so nothing is known; only during the soak.
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

/// One answer of an endpoint, or what came instead of one. Stored in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was asked.
    pub at: Timestamp,
    /// Whether the condition held; `None` when that is not known.
    pub holds: Option<bool>,
    /// What came instead of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
    /// The number, where it was one and finite.
    pub value: Option<f64>,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
    /// How long it took.
    pub milliseconds: u64,
}

/// A check as it last ended. Stored in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The check's name.
    pub name: String,
    /// What its failure means; in journals of versions without levels each was required.
    #[serde(default, skip_serializing_if = "Level::is_required")]
    pub level: Level,
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
    /// What an endpoint was asked: address, query, condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// Its answers of the last run, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
}

/// What one run of a check found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    pub(super) blue: Option<u64>,
    pub(super) green: Option<u64>,
    pub(super) says: String,
    pub(super) asked: Option<String>,
    pub(super) samples: Vec<Sample>,
}

impl Finding {
    pub(super) fn of_samples(
        verdict: Verdict,
        says: String,
        asked: String,
        samples: Vec<Sample>,
    ) -> Self {
        Self {
            asked: Some(asked),
            samples,
            ..Self::without_numbers(verdict, says)
        }
    }

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
            asked: None,
            samples: Vec::new(),
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
            asked: None,
            samples: Vec::new(),
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

/// How often in a row a check has failed when its next run ends so. Where a person is to be asked, no answer is a
/// reason to ask.
pub(super) fn failures(level: Level, before: Option<&Outcome>, now: Verdict) -> u32 {
    let before = before.map_or(0, |before| before.failures);
    match (now, level) {
        (Verdict::Failed, _) | (Verdict::NoAnswer, Level::Ask) => before.saturating_add(1),
        (Verdict::NoAnswer, Level::Required | Level::Advisory) => before,
        (Verdict::Passed | Verdict::NotApplicable, _) => 0,
    }
}

/// Why these outcomes end a release, or undo it; `None` when none that is required has failed `enough` times in a row.
pub(super) fn failure(moment: Moment, outcomes: &[Outcome], enough: u32) -> Option<String> {
    sentence(moment, outcomes, |outcome| {
        outcome.level == Level::Required
            && outcome.verdict == Verdict::Failed
            && outcome.failures >= enough
    })
}

/// Why a person must decide; `None` when no check asks for that.
pub(super) fn question(moment: Moment, outcomes: &[Outcome], enough: u32) -> Option<String> {
    sentence(moment, outcomes, |outcome| {
        outcome.level == Level::Ask
            && matches!(outcome.verdict, Verdict::Failed | Verdict::NoAnswer)
            && outcome.failures >= enough
    })
    .map(|why| format!("a person must decide: {why}"))
}

fn sentence(
    moment: Moment,
    outcomes: &[Outcome],
    counts: impl Fn(&Outcome) -> bool,
) -> Option<String> {
    let failed: Vec<String> = outcomes
        .iter()
        .filter(|outcome| counts(outcome))
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

/// Whether what is known of this check is not enough: it failed, though not often enough in a row. `decided` is
/// whether somebody has decided what a check could only ask.
pub(super) fn is_in_doubt(outcome: &Outcome, enough: u32, decided: bool) -> bool {
    match outcome.level {
        Level::Required => outcome.failures > 0,
        Level::Ask => !decided && outcome.failures > 0 && outcome.failures < enough,
        Level::Advisory => false,
    }
}
