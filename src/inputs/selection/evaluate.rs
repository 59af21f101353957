//! From a specification to nodes: relatives, the tests that come with them, set operations.
//!
//! `dbt.graph.selector.NodeSelector`, step for step. Each specification gives the nodes that are selected
//! and the tests that would be if more of their parents were; a group combines both, and looks at the
//! waiting tests again.

use std::collections::BTreeSet;

use super::{Context, Criteria, Error, IndirectSelection, Operation, Spec};
use crate::inputs::manifest::ResourceType;

type Ids<'m> = BTreeSet<&'m str>;

/// What a specification selects.
#[derive(Debug, Default)]
pub(super) struct Selected<'m> {
    /// Selected.
    pub(super) direct: Ids<'m>,
    /// Tests with a selected parent that wait for the others, and perhaps what is selected.
    indirect: Ids<'m>,
}

pub(super) fn spec<'m>(spec: &Spec, context: &Context<'m, '_>) -> Result<Selected<'m>, Error> {
    match spec {
        Spec::Criteria(it) => criteria(it, context),
        Spec::Group {
            operation,
            parts,
            indirect,
        } => {
            let selected: Result<Vec<Selected<'m>>, Error> =
                parts.iter().map(|part| self::spec(part, context)).collect();
            Ok(combined(*operation, *indirect, selected?, context))
        }
    }
}

fn criteria<'m>(criteria: &Criteria, context: &Context<'m, '_>) -> Result<Selected<'m>, Error> {
    let graph = context.graph;
    let found = super::method::search(criteria, context)?;
    let ids = || found.iter().copied();
    let mut direct = found.clone();
    if criteria.childrens_parents {
        let mut family = graph.downstream(ids());
        family.extend(ids());
        direct.extend(graph.upstream(family.iter().copied()));
        direct.extend(family);
    }
    if let Some(layers) = criteria.parents.layers() {
        direct.extend(graph.upstream_within(ids(), layers));
    }
    if let Some(layers) = criteria.children.layers() {
        direct.extend(graph.downstream_within(ids(), layers));
    }
    Ok(with_tests(direct, criteria.indirect, context))
}

/// Adds the tests of what is selected.
fn with_tests<'m>(
    selected: Ids<'m>,
    mode: IndirectSelection,
    context: &Context<'m, '_>,
) -> Selected<'m> {
    let buildable = match mode {
        IndirectSelection::Empty => {
            return Selected {
                direct: selected,
                indirect: Ids::new(),
            };
        }
        IndirectSelection::Buildable => {
            let mut buildable = upstream_and(&selected, context);
            buildable.extend(context.manifest.sources.keys().map(String::as_str));
            buildable
        }
        IndirectSelection::Eager | IndirectSelection::Cautious => Ids::new(),
    };
    let mut found = Selected {
        direct: selected.clone(),
        indirect: Ids::new(),
    };
    let children: Ids<'m> = selected
        .iter()
        .flat_map(|id| context.graph.children(id))
        .collect();
    for id in children {
        let Some(parents) = test_parents(id, context) else {
            continue;
        };
        let is_taken = mode == IndirectSelection::Eager
            || are_in(parents, &selected)
            || are_in(parents, &buildable);
        match is_taken {
            true => found.direct.insert(id),
            false => found.indirect.insert(id),
        };
    }
    found
}

fn combined<'m>(
    operation: Operation,
    mode: IndirectSelection,
    parts: Vec<Selected<'m>>,
    context: &Context<'m, '_>,
) -> Selected<'m> {
    let mut parts = parts.into_iter().map(|part| Selected {
        indirect: part.indirect.union(&part.direct).copied().collect(),
        direct: part.direct,
    });
    let Some(first) = parts.next() else {
        return Selected::default();
    };
    let combine = |left: Ids<'m>, right: &Ids<'m>| -> Ids<'m> {
        match operation {
            Operation::Union => left.union(right).copied().collect(),
            Operation::Intersection => left.intersection(right).copied().collect(),
            Operation::Difference => left.difference(right).copied().collect(),
        }
    };
    let Selected { direct, indirect } = parts.fold(first, |left, right| Selected {
        direct: combine(left.direct, &right.direct),
        indirect: combine(left.indirect, &right.indirect),
    });
    let direct = looked_at_again(direct, &indirect, mode, context);
    Selected { direct, indirect }
}

/// Adds the waiting data tests whose parents are all there now. dbt leaves unit tests out: they have one
/// parent, so they never wait.
fn looked_at_again<'m>(
    mut direct: Ids<'m>,
    indirect: &Ids<'m>,
    mode: IndirectSelection,
    context: &Context<'m, '_>,
) -> Ids<'m> {
    let there = match mode {
        IndirectSelection::Eager | IndirectSelection::Empty => return direct,
        IndirectSelection::Cautious => direct.clone(),
        IndirectSelection::Buildable => upstream_and(&direct, context),
    };
    for id in indirect {
        let Some(node) = context.manifest.nodes.get(*id) else {
            continue;
        };
        if are_in(&node.depends_on.nodes, &there) {
            direct.insert(id);
        }
    }
    direct
}

fn upstream_and<'m>(selected: &Ids<'m>, context: &Context<'m, '_>) -> Ids<'m> {
    let mut all = context.graph.upstream(selected.iter().copied());
    all.extend(selected);
    all
}

fn are_in(parents: &[String], ids: &Ids<'_>) -> bool {
    parents.iter().all(|parent| ids.contains(parent.as_str()))
}

/// The parents of a data test or unit test.
fn test_parents<'m>(id: &str, context: &Context<'m, '_>) -> Option<&'m [String]> {
    let manifest = context.manifest;
    if let Some(node) = manifest.nodes.get(id) {
        let is_test = node.resource_type == ResourceType::Test;
        return is_test.then_some(node.depends_on.nodes.as_slice());
    }
    let test = manifest.unit_tests.get(id)?;
    Some(test.depends_on.nodes.as_slice())
}
