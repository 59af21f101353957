//! Rows that differ, bounded in number and bytes, and never with a value of a masked column.

use super::answer::Answer;
use super::{Asking, Stop};
use crate::adapters::materialize::diff::{self as questions, Both};
use crate::domain::diff::{Kind, Sample};
use std::collections::BTreeMap;

impl Asking<'_> {
    /// Asks for some rows of each kind that there is. Each question is of a moment of its own.
    pub(super) async fn samples(
        &mut self,
        both: &Both<'_>,
        answer: &mut Answer,
    ) -> Result<(), Stop> {
        let asked = &self.subject.asked;
        let columns = both.columns.iter().enumerate();
        let shown = columns.filter(|(_, column)| !asked.masked.hides(&column.name));
        let shown: Vec<usize> = shown.map(|(at, _)| at).collect();
        if asked.masked.all || shown.is_empty() {
            return Ok(());
        }
        let most = asked.samples;
        let mut left = asked.sample_bytes;
        for kind in Kind::ALL {
            let number = answer.compared.as_ref().map(|compared| match kind {
                Kind::Changed => compared.changed.unwrap_or(0),
                Kind::Lost => compared.lost,
                Kind::Added => compared.added,
            });
            if number.unwrap_or(0) == 0 {
                continue;
            }
            let Some(statement) = questions::sample(both, kind, &shown, most) else {
                continue;
            };
            for row in self.ask(&statement).await? {
                let bytes: usize = row.iter().flatten().map(String::len).sum();
                let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
                match left.checked_sub(bytes) {
                    Some(rest) => left = rest,
                    None => {
                        answer.samples_cut = true;
                        return Ok(());
                    }
                }
                answer.samples.push(sample(kind, both, &shown, row));
            }
        }
        Ok(())
    }
}

fn sample(kind: Kind, both: &Both<'_>, shown: &[usize], row: Vec<Option<String>>) -> Sample {
    let mut values = row.into_iter();
    let mut side = || -> BTreeMap<String, Option<String>> {
        let columns = shown.iter().filter_map(|at| both.columns.get(*at));
        let names: Vec<String> = columns.map(|column| column.name.clone()).collect();
        names.into_iter().zip(values.by_ref()).collect()
    };
    let (blue, green) = match kind {
        Kind::Changed => {
            let blue = side();
            (blue, side())
        }
        Kind::Lost => (side(), BTreeMap::new()),
        Kind::Added => (BTreeMap::new(), side()),
    };
    Sample { kind, blue, green }
}
