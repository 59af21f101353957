//! Whether a difference is within what is allowed.
//!
//! 1. What is judged is never better than what is known: what was not compared is undecided, unless what is
//!    known exceeds a threshold already.
//! 2. Without a key a changed row is one lost and one added, and counts as both; as many as could be such
//!    pairs count as changed.
//! 3. Of parts the whole is the old side's rows.

use super::entry::{Comparison, Outcome, Sides, Verdict};
use super::wish::Thresholds;
use crate::domain::checks::Tolerance;

/// The verdict, and each clause against it.
#[must_use]
pub fn judge(
    thresholds: &Thresholds,
    outcome: Outcome,
    rows: Option<&Sides<u64>>,
    compared: Option<&Comparison>,
) -> (Verdict, Vec<String>) {
    if thresholds.is_empty() || outcome == Outcome::New {
        return (Verdict::NotJudged, Vec::new());
    }
    let blue = rows.map_or(0, |rows| rows.blue);
    let mut against = Vec::new();
    let mut hold = |what: &str, number: u64, threshold: Option<Tolerance>| {
        let Some(threshold) = threshold else { return };
        let allowed = threshold.allows(blue);
        if number > allowed {
            let of = match threshold {
                Tolerance::Rows(_) => String::new(),
                Tolerance::Part(_) => format!(" ({threshold} of {blue})"),
            };
            against.push(format!("{number} rows {what}, {allowed}{of} allowed"));
        }
    };
    match (compared, rows) {
        (
            Some(Comparison {
                lost,
                added,
                changed,
                ..
            }),
            _,
        ) => {
            hold("lost", *lost, thresholds.rows_lost);
            hold("added", *added, thresholds.rows_added);
            let changed = changed.unwrap_or_else(|| (*lost).min(*added));
            hold("changed", changed, thresholds.rows_changed);
        }
        // At least so many.
        (None, Some(rows)) => {
            let lost = rows.blue.saturating_sub(rows.green);
            hold("lost", lost, thresholds.rows_lost);
            let added = rows.green.saturating_sub(rows.blue);
            hold("added", added, thresholds.rows_added);
        }
        (None, None) => {}
    }
    if !against.is_empty() {
        return (Verdict::Exceeded, against);
    }
    match outcome.is_compared() {
        true => (Verdict::Within, against),
        false => (Verdict::Undecided, vec![outcome.as_str().to_owned()]),
    }
}
