//! In which order objects are dropped.

use crate::domain::catalog::{Catalog, Object, ObjectKind};
use std::collections::{BTreeMap, BTreeSet};

/// The most objects that one statement drops.
const MOST: usize = 100;

/// An order in which plain DROPs succeed: lists of objects of one kind none of which depends on another of its list
/// or of a later one. Indexes and parts of sources go with what they belong to.
#[must_use]
pub fn dependents_first<'c>(catalog: &'c Catalog, going: &[&'c Object]) -> Vec<Vec<&'c Object>> {
    let alone: BTreeMap<&str, &Object> = going
        .iter()
        .filter(|object| object.kind != ObjectKind::Index && !object.is_part)
        .map(|object| (object.id.as_str(), *object))
        .collect();
    let mut waiting: BTreeMap<&str, BTreeSet<&str>> =
        alone.keys().map(|id| (*id, BTreeSet::new())).collect();
    for (dependent, on) in &catalog.dependencies {
        if let (true, Some(dependents)) = (
            alone.contains_key(dependent.as_str()),
            waiting.get_mut(on.as_str()),
        ) {
            dependents.insert(dependent);
        }
    }
    // Indexes of relations that stay; any other goes with its relation.
    let goes_with: BTreeSet<&str> = catalog
        .dependencies
        .iter()
        .filter(|(_, on)| alone.contains_key(on.as_str()))
        .map(|(dependent, _)| dependent.as_str())
        .collect();
    let indexes = going.iter().copied();
    let indexes: Vec<&Object> = indexes
        .filter(|object| object.kind == ObjectKind::Index)
        .filter(|index| !goes_with.contains(index.id.as_str()))
        .collect();
    let mut order: Vec<Vec<&Object>> = indexes.chunks(MOST).map(<[_]>::to_vec).collect();
    loop {
        let free: BTreeSet<&str> = waiting
            .iter()
            .filter(|(_, dependents)| dependents.is_empty())
            .map(|(id, _)| *id)
            .collect();
        if free.is_empty() {
            return order;
        }
        waiting.retain(|id, _| !free.contains(id));
        for dependents in waiting.values_mut() {
            dependents.retain(|id| !free.contains(id));
        }
        let mut by_kind: BTreeMap<ObjectKind, Vec<&Object>> = BTreeMap::new();
        for object in free.iter().filter_map(|id| alone.get(id)) {
            by_kind.entry(object.kind).or_default().push(object);
        }
        order.extend(
            by_kind
                .values()
                .flat_map(|objects| objects.chunks(MOST).map(<[_]>::to_vec)),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::dependents_first;
    use crate::domain::catalog::Object;
    use crate::domain::catalog::ObjectKind::{Index, MaterializedView, View};
    use crate::planning::planner::sample::World;

    #[test]
    fn what_nothing_depends_on_any_more_goes_in_one_statement_of_each_kind() {
        let mut world = World::new();
        world.catalog.objects.clear();
        world.catalog.dependencies.clear();
        for (id, kind) in [
            ("u1", View),
            ("u2", View),
            ("u3", MaterializedView),
            ("u4", View),
            ("u5", Index),
            ("u6", View),
            ("u7", Index),
        ] {
            world.object(id, id, kind, "s1", None);
        }
        // u1 ← u2, u3 ← u4; u5 is on u3, u7 on a relation that stays.
        for (dependent, on) in [
            ("u2", "u1"),
            ("u3", "u1"),
            ("u4", "u3"),
            ("u5", "u3"),
            ("u7", "u99"),
        ] {
            world.depends(dependent, on);
        }
        let going: Vec<&Object> = world.catalog.objects.values().collect();
        let order = dependents_first(&world.catalog, &going);
        let ids: Vec<Vec<&str>> = order
            .iter()
            .map(|objects| objects.iter().map(|it| it.id.as_str()).collect())
            .collect();
        assert_eq!(
            ids,
            [vec!["u7"], vec!["u2", "u4", "u6"], vec!["u3"], vec!["u1"]]
        );
    }
}
