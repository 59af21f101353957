//! Which bundles may go. Pure.

use super::document::Pointer;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// A bundle that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its id, as it is spelled in paths.
    pub id: String,
    /// When the last of its objects was written.
    pub at: Timestamp,
}

/// The bundles that may be removed, in the order given, when the last `keep` that went live stay.
///
/// Always kept: what is live, what was live before it (a rollback makes it live again), and what was
/// written after the pointer last moved, since it may be about to go live. `pointers` come the latest
/// first; `segment` spells an id as in paths.
#[must_use]
pub fn expendable(
    kept: &[Kept],
    pointers: &[Pointer],
    keep: usize,
    segment: impl Fn(&str) -> String,
) -> Vec<String> {
    let Some(current) = pointers.first() else {
        return Vec::new();
    };
    let mut stay: BTreeSet<String> = [&current.deployment, &current.previous]
        .into_iter()
        .flatten()
        .map(|id| segment(id))
        .collect();
    let mut last = BTreeSet::new();
    for id in pointers.iter().filter_map(|p| p.deployment.as_deref()) {
        if last.len() == keep {
            break;
        }
        last.insert(segment(id));
    }
    stay.extend(last);
    kept.iter()
        .filter(|bundle| !stay.contains(&bundle.id) && bundle.at < current.at)
        .map(|bundle| bundle.id.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Kept, expendable};
    use crate::adapters::artifacts::document::{Pointer, Reason};
    use jiff::Timestamp;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn pointer(generation: u64, deployment: Option<&str>, previous: Option<&str>) -> Pointer {
        Pointer {
            version: 1,
            generation,
            deployment: deployment.map(str::to_owned),
            previous: previous.map(str::to_owned),
            reason: Reason::Promoted,
            at: at(i64::try_from(generation).expect("small") * 10),
        }
    }

    fn kept(ids: &[(&str, i64)]) -> Vec<Kept> {
        ids.iter()
            .map(|(id, second)| Kept {
                id: (*id).to_owned(),
                at: at(*second),
            })
            .collect()
    }

    #[test]
    fn the_last_ones_the_live_one_and_the_one_before_stay() {
        let bundles = kept(&[("a", 9), ("b", 19), ("c", 29), ("x", 25), ("new", 35)]);
        let mut pointers = vec![
            pointer(3, Some("c"), Some("b")),
            pointer(2, Some("b"), Some("a")),
            pointer(1, Some("a"), None),
        ];
        let expendable =
            |pointers: &[Pointer], keep| expendable(&bundles, pointers, keep, |id| id.to_owned());
        assert_eq!(expendable(&pointers, 0), ["a", "x"]);
        assert_eq!(expendable(&pointers, 2), ["a", "x"]);
        assert_eq!(expendable(&pointers, 3), ["x"]);
        // After a rollback to b, c is what a later look asks about.
        pointers.insert(0, pointer(4, Some("b"), Some("c")));
        assert_eq!(expendable(&pointers, 1), ["a", "x", "new"]);
        assert_eq!(expendable(&[], 0), Vec::<String>::new());
    }
}
