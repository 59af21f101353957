//! SQL as it was compiled, kept for the next plan: whatever is built anew with a change is not compiled again.

use super::{FORM, MadeFrom, Outcomes};
use crate::domain::plan::inputs::Inputs;
use crate::foundation::digest::Digest;
use crate::foundation::sql::tokens;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The SQL of a project's nodes and tests, with what it was compiled from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptSql {
    form: u32,
    /// What all of it was compiled under.
    inputs: Inputs,
    /// By unique id.
    nodes: BTreeMap<String, Kept>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// Of the node's own inputs.
    own: Digest,
    sql: String,
}

impl KeptSql {
    /// What was compiled of these outcomes, and what is still known of what was `kept` before; `None` where it is
    /// not known under what.
    #[must_use]
    pub fn of(
        outcomes: &Outcomes,
        compiled: &BTreeMap<String, String>,
        kept: Option<&Self>,
    ) -> Option<Self> {
        let inputs = outcomes.inputs.clone()?;
        let mut nodes = BTreeMap::new();
        for (id, own) in owns(outcomes) {
            let known = || kept.and_then(|kept| kept.sql(outcomes, id));
            if let Some(sql) = compiled.get(id).map(String::as_str).or_else(known) {
                let sql = sql.to_owned();
                nodes.insert(id.clone(), Kept { own, sql });
            }
        }
        Some(Self {
            form: FORM,
            inputs,
            nodes,
        })
    }

    /// What was kept, where this version of Cutover can read it. It saves time and nothing else, so that what
    /// cannot be read is compiled.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let kept: Self = serde_json::from_slice(bytes).ok()?;
        (kept.form == FORM).then_some(kept)
    }

    /// The SQL of a node or test, where all that it was compiled from is as it was. That of a node is the one that
    /// its outcome says.
    #[must_use]
    pub fn sql(&self, outcomes: &Outcomes, id: &str) -> Option<&str> {
        if outcomes.inputs.as_ref() != Some(&self.inputs) {
            return None;
        }
        let kept = self.nodes.get(id)?;
        let sql = kept.sql.as_str();
        let is_it = match outcomes.nodes.get(id) {
            Some(outcome) => {
                outcome.own == kept.own
                    && !outcome.is_of_a_moment
                    && outcome.made_from == MadeFrom::Sql(tokens::digest(sql))
            }
            None => outcomes.tests.get(id) == Some(&kept.own),
        };
        is_it.then_some(sql)
    }
}

impl KeptSql {
    /// The SQL of a node as its outcome of then says it, whatever has become of the node since.
    #[must_use]
    pub fn of_then(&self, outcomes: &Outcomes, id: &str) -> Option<&str> {
        let sql = self.nodes.get(id)?.sql.as_str();
        let made_from = &outcomes.nodes.get(id)?.made_from;
        (*made_from == MadeFrom::Sql(tokens::digest(sql))).then_some(sql)
    }
}

/// The digests of what nodes and tests are compiled from, by unique id.
fn owns(outcomes: &Outcomes) -> impl Iterator<Item = (&String, Digest)> {
    let nodes = outcomes.nodes.iter();
    let nodes = nodes.filter(|(_, outcome)| !outcome.is_of_a_moment);
    let tests = outcomes.tests.iter().map(|(id, own)| (id, *own));
    nodes.map(|(id, outcome)| (id, outcome.own)).chain(tests)
}
