//! What is known of one relation so far. Pure.

use super::Stop;
use crate::adapters::materialize::MaterializeError;
use crate::adapters::materialize::diff::{Both, Compared, Statistics};
use crate::domain::diff::{
    Chosen, ColumnDiff, Comparison, How, Keyed, Outcome, Pairing, Sample, Sides,
};
use crate::foundation::sql::query::one_query;

/// The longest text of the server's that is kept, in characters.
const LONGEST_REASON: usize = 300;

pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) why: Option<String>,
    pub(super) rows: Option<Sides<u64>>,
    pub(super) compared: Option<Comparison>,
    pub(super) alone: Option<Sides<Vec<String>>>,
    pub(super) samples: Vec<Sample>,
    pub(super) samples_cut: bool,
}

/// Candidates that turned out to be no key.
#[derive(Default)]
pub(super) struct Tried {
    lacking: Option<Vec<String>>,
    repeated: Option<Vec<String>>,
}

impl Tried {
    /// A side lacks one of its columns.
    pub(super) fn lacks(&mut self, key: &[String]) {
        self.lacking.get_or_insert_with(|| key.to_vec());
    }

    /// Several rows have the same.
    pub(super) fn repeats(&mut self, key: &[String]) {
        self.repeated.get_or_insert_with(|| key.to_vec());
    }

    fn without_key(self) -> (Keyed, Vec<String>) {
        match (self.repeated, self.lacking) {
            (Some(key), _) => (Keyed::Duplicates, key),
            (None, Some(key)) => (Keyed::Lacking, key),
            (None, None) => (Keyed::None, Vec::new()),
        }
    }
}

/// Equal is only what was compared and does not differ.
pub(super) fn outcome_of(compared: &Comparison) -> Outcome {
    let Comparison {
        lost,
        added,
        changed,
        ..
    } = compared;
    match (lost, added, changed) {
        (0, 0, None | Some(0)) => Outcome::Equal,
        _ => Outcome::Different,
    }
}

impl Answer {
    pub(super) fn new() -> Self {
        Self {
            outcome: Outcome::NotReached,
            why: None,
            rows: None,
            compared: None,
            alone: None,
            samples: Vec::new(),
            samples_cut: false,
        }
    }

    /// Notes the columns that one side has alone.
    pub(super) fn alone(&mut self, pairing: &Pairing) {
        let sides = Sides {
            blue: pairing.only_blue.clone(),
            green: pairing.only_green.clone(),
        };
        self.alone = (!sides.blue.is_empty() || !sides.green.is_empty()).then_some(sides);
    }

    /// Takes what was compared.
    pub(super) fn take(&mut self, asked: &Chosen, both: &Both<'_>, found: Compared, tried: Tried) {
        let [blue, green] = found.rows;
        self.rows = Some(Sides { blue, green });
        let (keyed, key) = match both.key.as_slice() {
            [] => tried.without_key(),
            key => {
                let names = key.iter().filter_map(|at| both.columns.get(*at));
                let names = names.map(|column| column.name.clone()).collect();
                (Keyed::Key, names)
            }
        };
        let keyless = found.keyless.filter(|sides| *sides != [0, 0]);
        let numbers = found.by_column.into_iter().zip(found.statistics);
        let columns = both.columns.iter().zip(numbers);
        let columns = columns.map(|(column, (changed, [old, new]))| {
            let sides = |of: fn(&Statistics) -> Option<u64>| -> Option<Sides<u64>> {
                let (blue, green) = (of(&old)?, of(&new)?);
                Some(Sides { blue, green })
            };
            let is_shown = !asked.masked.hides(&column.name);
            let ends = |at: usize| -> Option<Sides<Option<String>>> {
                let of = |side: &Statistics| side.range.as_ref()?.get(at).cloned();
                let (blue, green) = (of(&old)?, of(&new)?);
                is_shown.then_some(Sides { blue, green })
            };
            let types = column.retyped.clone();
            ColumnDiff {
                name: column.name.clone(),
                changed,
                as_text: column.how == How::AsText,
                types: types.map(|(blue, green)| Sides { blue, green }),
                nulls: sides(|side| side.nulls),
                distinct: sides(|side| side.distinct),
                min: ends(0),
                max: ends(1),
            }
        });
        let compared = Comparison {
            keyed,
            key,
            keyless: keyless.map(|[blue, green]| Sides { blue, green }),
            lost: found.lost,
            added: found.added,
            changed: found.changed,
            columns: columns.collect(),
        };
        self.outcome = outcome_of(&compared);
        self.compared = Some(compared);
    }
}

/// Where the columns of a key stand among those that both sides have; `None` where one is not there.
pub(super) fn places(key: &[String], pairing: &Pairing) -> Option<Vec<usize>> {
    let place = |name: &String| {
        let mut columns = pairing.both.iter();
        columns.position(|column| column.name == *name).or_else(|| {
            // A name without quotes is one in lower case to the server.
            let folded = name.to_lowercase();
            pairing.both.iter().position(|column| column.name == folded)
        })
    };
    key.iter().map(place).collect()
}

/// Two numbers.
pub(super) fn sides(row: &[Option<String>]) -> Result<Sides<u64>, Stop> {
    let number = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
    match row {
        [blue, green] => match (number(blue), number(green)) {
            (Some(blue), Some(green)) => Ok(Sides { blue, green }),
            _ => Err(no_numbers()),
        },
        _ => Err(no_numbers()),
    }
}

fn no_numbers() -> Stop {
    let why = "the server answered something else than two numbers".to_owned();
    Stop::Without(Outcome::Refused, why)
}

/// Whether a text is one expression, as far as its form says; the rest is the server's to refuse.
pub(super) fn is_condition(condition: &str) -> Result<(), String> {
    let query = format!("SELECT {condition}\n");
    let is_one = one_query(&query).is_ok_and(|taken| taken.len() == query.len());
    match is_one && !condition.trim().is_empty() {
        true => Ok(()),
        false => Err(format!("`where` is not one condition: {condition}")),
    }
}

/// Why the server refused, without what may be a value of a row that is not to be shown.
pub(super) fn refusal(error: &MaterializeError, hides: bool) -> String {
    if let (true, MaterializeError::Refused { label, code, .. }) = (hides, error) {
        return format!(
            "the server refused {label} with SQLSTATE {code}; its text is not kept, since columns of it are masked"
        );
    }
    error.to_string().chars().take(LONGEST_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::is_condition;

    #[test]
    fn a_condition_is_one_expression() {
        for good in [
            "a > 1",
            "a IN (1, 2) -- some",
            "name = ') OR ('",
            "a > 1 /* ; */",
        ] {
            assert!(is_condition(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            " ",
            "a > 1;",
            "1) OR (1",
            "1; DROP TABLE t",
            "'open",
            "(a",
        ] {
            assert!(is_condition(bad).is_err(), "{bad}");
        }
    }
}
