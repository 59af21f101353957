//! What production is not any more, of what was released: as one look after the other found it.
//!
//! What is live is compared with what the swap left and, where that is not on record, with what the first look
//! found. One document for each environment has both, and what was told of it.

use crate::foundation::digest::Digest;
use crate::foundation::word::stored_words;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

stored_words! {
    /// What became of something that is live.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum DriftKind: "kind of drift" {
        /// It is gone.
        Missing = "missing",
        /// Something else has its name.
        Recreated = "recreated",
        /// It is there and no release made it.
        Extra = "extra",
        /// It belongs to somebody else.
        Owner = "owner",
        /// Others may use it than before.
        Grants = "grants",
        /// A materialized view has another query.
        Definition = "definition",
        /// A cluster is made in another way.
        Options = "options",
    }
}

/// One thing that is not as it was released.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Drifted {
    /// What: `cluster compute`, `view marts.orders`.
    pub what: String,
    /// What became of it.
    pub change: DriftKind,
    /// More about it, for people; empty where the word says all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Since when it is known.
    pub since: Timestamp,
}

impl Drifted {
    /// One clause for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let what = &self.what;
        let says = match self.change {
            DriftKind::Missing => "is gone",
            DriftKind::Recreated => "was made again",
            DriftKind::Extra => "was made by no release",
            DriftKind::Owner => "has another owner",
            DriftKind::Grants => "has other grants",
            DriftKind::Definition => "has another query",
            DriftKind::Options => "was altered",
        };
        match self.detail.is_empty() {
            true => format!("{what} {says}"),
            false => format!("{what} {says} ({})", self.detail),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.what, self.change, &self.detail) == (&other.what, other.change, &other.detail)
    }
}

/// What a release left live, by kind and id (`object u5`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Ids of production's schemas and clusters by kind and name: `schema marts`.
    pub places: BTreeMap<String, String>,
    /// Owners and privileges as the catalog has them.
    pub owned: BTreeMap<String, String>,
    /// How clusters are made, and the digests of the queries of materialized views.
    pub made: BTreeMap<String, String>,
}

impl Standing {
    /// The same, with what a later release left in the place of it.
    pub fn take(&mut self, later: Self) {
        self.places.extend(later.places);
        self.owned.extend(later.owned);
        self.made.extend(later.made);
    }
}

/// The document of one environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftRecord {
    /// The deployment whose release was live at the last look.
    pub deployment: String,
    /// What production is compared with.
    pub standing: Standing,
    /// What was found and told, sorted.
    #[serde(default)]
    pub found: Vec<Drifted>,
}

impl DriftRecord {
    /// What tells one state of drift from another.
    #[must_use]
    pub fn digest(&self) -> String {
        let said: Vec<String> = self.found.iter().map(Drifted::sentence).collect();
        Digest::of(said.join("\n").as_bytes()).to_string()
    }

    /// Since when production is not as it was released.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.found.iter().map(|one| one.since).min()
    }

    /// The same with what a look found; what was known before keeps its time.
    #[must_use]
    pub fn seen(mut self, mut found: Vec<Drifted>) -> Self {
        for one in &mut found {
            if let Some(known) = self.found.iter().find(|known| known.is_same(one)) {
                one.since = known.since;
            }
        }
        found.sort();
        found.dedup();
        self.found = found;
        self
    }
}

/// What there is to be told when what was found is another than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriftNews {
    /// `drift_found`, or `drift_gone`.
    pub kind: &'static str,
    /// One sentence.
    pub reason: String,
    /// Since when; of what is gone, since when it was.
    pub since: Timestamp,
    /// All of it.
    pub found: Vec<Drifted>,
}

/// The most that one sentence names.
const NAMED: usize = 3;

impl DriftNews {
    /// What is told of a record after another one; `None` where nothing differs.
    #[must_use]
    pub fn between(before: &DriftRecord, now: &DriftRecord) -> Option<Self> {
        if before.digest() == now.digest() {
            return None;
        }
        Some(match now.since() {
            Some(since) => Self {
                kind: "drift_found",
                reason: summary(&now.found),
                since,
                found: now.found.clone(),
            },
            None => Self {
                kind: "drift_gone",
                reason: "production is as it was released".to_owned(),
                since: before.since().unwrap_or_default(),
                found: Vec::new(),
            },
        })
    }
}

/// What was found, in one sentence.
#[must_use]
pub fn summary(found: &[Drifted]) -> String {
    let said: BTreeSet<String> = found.iter().map(Drifted::sentence).collect();
    let more = said.len().saturating_sub(NAMED);
    let named: Vec<String> = said.into_iter().take(NAMED).collect();
    match more {
        0 => named.join("; "),
        more => format!("{}; and {more} more", named.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{DriftKind, DriftNews, DriftRecord, Drifted};
    use jiff::Timestamp;

    fn one(what: &str, second: i64) -> Drifted {
        Drifted {
            what: what.to_owned(),
            change: DriftKind::Grants,
            detail: "SELECT to bob".to_owned(),
            since: Timestamp::from_second(second).expect("a time"),
        }
    }

    #[test]
    fn each_drift_is_told_once_and_its_end_once() {
        let none = DriftRecord::default();
        let first = none.clone().seen(vec![one("view a.b", 5)]);
        let told = DriftNews::between(&none, &first).expect("news");
        assert_eq!(told.kind, "drift_found");
        assert_eq!(told.reason, "view a.b has other grants (SELECT to bob)");
        // A later look finds the same: nothing is told, and it is known since then.
        let again = first.clone().seen(vec![one("view a.b", 9)]);
        assert_eq!(again, first);
        assert_eq!(DriftNews::between(&first, &again), None);
        let more = again.clone().seen(vec![one("view a.b", 9), one("a", 9)]);
        let told = DriftNews::between(&again, &more).expect("news");
        assert_eq!(told.since, one("", 5).since);
        assert_eq!(told.found.len(), 2);
        let gone = more.clone().seen(Vec::new());
        let told = DriftNews::between(&more, &gone).expect("news");
        assert_eq!((told.kind, told.since), ("drift_gone", one("", 5).since));
        assert_eq!(DriftNews::between(&gone, &gone), None);
    }
}
