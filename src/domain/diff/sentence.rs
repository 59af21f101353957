//! One sentence about a comparison.

use super::entry::{Comparison, Entry, Keyed, Outcome, Record, Verdict};
use super::wish::Mode;

fn rows(number: u64) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} row{s}")
}

impl Entry {
    /// What is known of the relation, one sentence without a final full stop; nothing of it is a value.
    #[must_use]
    pub fn says(&self) -> String {
        let counted = self.rows.as_ref().map(|sides| {
            let (old, new) = (rows(sides.blue), rows(sides.green));
            format!("{old} on the old side, {new} on the new one")
        });
        let what = match (self.outcome, &self.compared) {
            (Outcome::Equal | Outcome::Different, Some(compared)) => Some(differences(compared)),
            (outcome, _) => Some(match &self.why {
                Some(why) => format!("{outcome}: {why}"),
                None => outcome.as_str().to_owned(),
            }),
        };
        let alone = self.alone.as_ref().and_then(|alone| {
            let listed = |what: &str, names: &[String]| {
                (!names.is_empty()).then(|| format!("{what} has {}", names.join(", ")))
            };
            let sides = [
                listed("only the old side", &alone.blue),
                listed("only the new side", &alone.green),
            ];
            let sides: Vec<String> = sides.into_iter().flatten().collect();
            (!sides.is_empty()).then(|| format!("not compared: {}", sides.join(", ")))
        });
        let condition = self.asked.condition.as_ref();
        let limited = condition.map(|condition| format!("only rows with {condition}"));
        let parts = [what, counted, limited, alone];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        parts.join("; ")
    }

    /// Why it ends a release; `None` where it does not.
    #[must_use]
    pub fn refuses(&self) -> Option<String> {
        let is_against = match self.verdict {
            Verdict::Exceeded | Verdict::Undecided => true,
            Verdict::NotJudged | Verdict::Within => false,
        };
        if self.asked.mode != Mode::Gate || !is_against {
            return None;
        }
        let why = match (self.verdict, &self.why) {
            (Verdict::Undecided, Some(why)) => {
                format!("{} and so not known to be good ({why})", self.outcome)
            }
            (Verdict::Undecided, None) => format!("{} and so not known to be good", self.outcome),
            _ => self.against.join(", "),
        };
        Some(format!("{}: {why}", self.relation))
    }
}

fn differences(compared: &Comparison) -> String {
    let Comparison {
        keyed,
        key,
        keyless,
        lost,
        added,
        changed,
        columns,
    } = compared;
    let mut parts = Vec::new();
    if *lost + *added + changed.unwrap_or(0) == 0 {
        parts.push("no row differs".to_owned());
    } else {
        parts.push(format!("{lost} lost, {added} added"));
    }
    if let Some(changed) = changed.filter(|changed| *changed > 0) {
        let of = columns.iter().filter_map(|column| {
            let number = column.changed.filter(|number| *number > 0)?;
            Some(format!("{} {number}", column.name))
        });
        let of: Vec<String> = of.collect();
        parts.push(format!("{changed} changed ({})", of.join(", ")));
    }
    let by = match keyed {
        Keyed::Key => format!("by {}", key.join(", ")),
        Keyed::None => "whole rows, for want of a key".to_owned(),
        Keyed::Duplicates => format!("whole rows, since {} is no key", key.join(", ")),
        Keyed::Lacking => format!("whole rows, since a side lacks {}", key.join(", ")),
    };
    let keyless = keyless.as_ref().map(|sides| {
        let (old, new) = (sides.blue, sides.green);
        format!("{old} and {new} without a value of it compared whole")
    });
    let how: Vec<String> = [Some(by), keyless].into_iter().flatten().collect();
    format!("{} ({})", parts.join(", "), how.join(", "))
}

impl Record {
    /// How it went, in one line: how many relations have each outcome.
    #[must_use]
    pub fn summary(&self) -> String {
        let of = |outcome| {
            let number = self.count(outcome);
            (number > 0).then(|| format!("{number} {outcome}"))
        };
        let parts: Vec<String> = Outcome::ALL.into_iter().filter_map(of).collect();
        let mut text = match parts.is_empty() {
            true => "nothing to compare".to_owned(),
            false => parts.join(", "),
        };
        if !self.complete {
            text.push_str(" so far");
        }
        text
    }

    /// Why the release ends before the swap; `None` where it goes on.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let refused: Vec<String> = self.entries.iter().filter_map(Entry::refuses).collect();
        if refused.is_empty() {
            return None;
        }
        Some(format!(
            "the data of the new side differs from production's by more than is allowed (diff.mode is gate): {}",
            refused.join("; ")
        ))
    }
}
