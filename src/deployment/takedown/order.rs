//! In which order objects are dropped.

use crate::materialize::catalog::{Catalog, Object};
use crate::plan::ObjectKind;
use std::collections::{BTreeMap, BTreeSet};

/// An order in which plain DROPs succeed. Indexes and parts of sources go with what they belong to.
pub(super) fn dependents_first<'c>(catalog: &'c Catalog, going: &[&'c Object]) -> Vec<&'c Object> {
    let alone: BTreeMap<&str, &Object> = going
        .iter()
        .filter(|object| object.kind != ObjectKind::Index && !object.is_part)
        .map(|object| (object.id.as_str(), *object))
        .collect();
    let mut waiting: BTreeMap<&str, BTreeSet<&str>> = alone
        .keys()
        .map(|id| {
            let dependents = catalog
                .dependencies
                .iter()
                .filter(|(dependent, on)| on == id && alone.contains_key(dependent.as_str()))
                .map(|(dependent, _)| dependent.as_str())
                .collect();
            (*id, dependents)
        })
        .collect();
    // Indexes of relations that stay; any other goes with its relation.
    let mut order: Vec<&Object> = going
        .iter()
        .copied()
        .filter(|object| object.kind == ObjectKind::Index)
        .filter(|index| {
            let mut read = catalog.dependencies.iter();
            !read.any(|(dependent, on)| *dependent == index.id && alone.contains_key(on.as_str()))
        })
        .collect();
    while let Some(id) = waiting
        .iter()
        .find(|(_, dependents)| dependents.is_empty())
        .map(|(id, _)| *id)
    {
        waiting.remove(id);
        for dependents in waiting.values_mut() {
            dependents.remove(id);
        }
        order.extend(alone.get(id).copied());
    }
    order
}
