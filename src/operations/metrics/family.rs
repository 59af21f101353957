//! A family that knows its label sets, so that it can let some of them go.

use prometheus_client::metrics::family::Family;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

/// Labels of an environment.
pub(crate) trait Labelled: Clone + Eq + Hash + Ord {
    fn environment(&self) -> &str;
}

/// A family and the label sets in it.
pub(crate) struct FamilyOfKnown<L, M> {
    family: Family<L, M, fn() -> M>,
    known: Mutex<BTreeSet<L>>,
}

impl<L: Labelled, M: Clone> FamilyOfKnown<L, M> {
    pub(crate) fn new(make: fn() -> M) -> Self {
        Self {
            family: Family::new_with_constructor(make),
            known: Mutex::default(),
        }
    }

    pub(crate) fn family(&self) -> Family<L, M, fn() -> M> {
        self.family.clone()
    }

    pub(crate) fn with<R>(&self, labels: L, change: impl FnOnce(&M) -> R) {
        // Held while the metric is changed: nobody forgets it in between and leaves it unknown.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        change(&self.family.get_or_create(&labels));
        known.insert(labels);
    }

    pub(crate) fn forget(&self, is_gone: impl Fn(&L) -> bool) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|labels| {
            let gone = is_gone(labels);
            if gone {
                self.family.remove(labels);
            }
            !gone
        });
    }
}

impl<L, M> fmt::Debug for FamilyOfKnown<L, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FamilyOfKnown").finish_non_exhaustive()
    }
}
