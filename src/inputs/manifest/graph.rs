//! The edges of a manifest, from `depends_on.nodes`.
//!
//! Invariants: every edge joins two resources of the manifest, there is no circle, and every answer comes
//! in an order that depends on the ids alone.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::{Error, Manifest};

/// Who depends on whom.
#[derive(Clone, Debug)]
pub struct Graph<'m> {
    /// Sorted; the position of an id is its number below.
    ids: Vec<&'m str>,
    parents: Vec<Vec<usize>>,
    children: Vec<Vec<usize>>,
    order: Vec<usize>,
}

impl<'m> Graph<'m> {
    /// Joins everything that can be selected; a missing parent or a circle is an error.
    pub fn of(manifest: &'m Manifest) -> Result<Self, Error> {
        let mut resources: Vec<_> = manifest.resources().collect();
        resources.sort_unstable_by_key(|(id, _)| *id);
        let ids: Vec<&str> = resources.iter().map(|(id, _)| *id).collect();
        let mut parents = vec![Vec::new(); ids.len()];
        let mut children = vec![Vec::new(); ids.len()];
        for (child, (id, resource)) in resources.iter().enumerate() {
            for parent in resource.parents().iter().collect::<BTreeSet<_>>() {
                let Ok(number) = ids.binary_search(&parent.as_str()) else {
                    return Err(Error::MissingParent {
                        file: manifest.file.clone(),
                        node: (*id).to_owned(),
                        parent: parent.clone(),
                        disabled: manifest.disabled.contains_key(parent),
                    });
                };
                parents[child].push(number);
                children[number].push(child);
            }
        }
        let order = sorted(&parents, &children);
        let graph = Self {
            ids,
            parents,
            children,
            order,
        };
        match graph.order.len() == graph.ids.len() {
            true => Ok(graph),
            false => Err(Error::Cycle {
                file: manifest.file.clone(),
                cycle: graph.cycle(),
            }),
        }
    }

    /// Every id, parents before children, by id where that leaves a choice.
    pub fn topological(&self) -> impl DoubleEndedIterator<Item = &'m str> {
        self.order.iter().map(|number| self.ids[*number])
    }

    /// Whether an id is in the graph.
    pub fn contains(&self, id: &str) -> bool {
        self.number(id).is_some()
    }

    /// The direct parents of an id, by id; none for an unknown one.
    pub fn parents(&self, id: &str) -> impl Iterator<Item = &'m str> {
        self.neighbours(&self.parents, id)
    }

    /// The direct children of an id, by id; none for an unknown one.
    pub fn children(&self, id: &str) -> impl Iterator<Item = &'m str> {
        self.neighbours(&self.children, id)
    }

    /// All that depends on the given ids, near or far. A given id is in the answer only when it depends on
    /// another given one; unknown ids are passed over.
    pub fn downstream<'i>(&self, ids: impl IntoIterator<Item = &'i str>) -> BTreeSet<&'m str> {
        self.reach(&self.children, ids, None)
    }

    /// As [`Graph::downstream`], at most so many edges away.
    pub fn downstream_within<'i>(
        &self,
        ids: impl IntoIterator<Item = &'i str>,
        layers: Option<usize>,
    ) -> BTreeSet<&'m str> {
        self.reach(&self.children, ids, layers)
    }

    /// All that the given ids depend on, near or far, in the manner of [`Graph::downstream`].
    pub fn upstream<'i>(&self, ids: impl IntoIterator<Item = &'i str>) -> BTreeSet<&'m str> {
        self.reach(&self.parents, ids, None)
    }

    /// As [`Graph::upstream`], at most so many edges away.
    pub fn upstream_within<'i>(
        &self,
        ids: impl IntoIterator<Item = &'i str>,
        layers: Option<usize>,
    ) -> BTreeSet<&'m str> {
        self.reach(&self.parents, ids, layers)
    }

    fn number(&self, id: &str) -> Option<usize> {
        self.ids.binary_search(&id).ok()
    }

    fn neighbours(&self, edges: &[Vec<usize>], id: &str) -> impl Iterator<Item = &'m str> {
        let near = self
            .number(id)
            .map(|number| edges[number].clone())
            .unwrap_or_default();
        let ids: Vec<&'m str> = near.into_iter().map(|number| self.ids[number]).collect();
        ids.into_iter()
    }

    fn reach<'i>(
        &self,
        edges: &[Vec<usize>],
        ids: impl IntoIterator<Item = &'i str>,
        layers: Option<usize>,
    ) -> BTreeSet<&'m str> {
        let mut layer: Vec<usize> = ids.into_iter().filter_map(|id| self.number(id)).collect();
        let mut reached = vec![false; self.ids.len()];
        let mut walked = 0;
        while !layer.is_empty() && layers.is_none_or(|layers| walked < layers) {
            let mut next = Vec::new();
            for near in layer.iter().flat_map(|number| &edges[*number]) {
                if !std::mem::replace(&mut reached[*near], true) {
                    next.push(*near);
                }
            }
            layer = next;
            walked += 1;
        }
        let found = self.ids.iter().zip(reached).filter(|(_, reached)| *reached);
        found.map(|(id, _)| *id).collect()
    }

    /// A circle among what could not be ordered. Each such node has a parent that could not be either, so
    /// going from parent to parent must come back to where it was.
    fn cycle(&self) -> Vec<String> {
        let mut left = vec![true; self.ids.len()];
        for number in &self.order {
            left[*number] = false;
        }
        let mut path: Vec<usize> = Vec::new();
        let mut at = left.iter().position(|left| *left);
        while let Some(number) = at {
            if let Some(start) = path.iter().position(|seen| *seen == number) {
                let mut circle = path.split_off(start);
                circle.push(number);
                // The path went upwards; a reader expects "a -> b" to say that b depends on a.
                return circle
                    .into_iter()
                    .rev()
                    .map(|number| self.ids[number].to_owned())
                    .collect();
            }
            path.push(number);
            at = self.parents[number]
                .iter()
                .copied()
                .find(|parent| left[*parent]);
        }
        Vec::new()
    }
}

fn sorted(parents: &[Vec<usize>], children: &[Vec<usize>]) -> Vec<usize> {
    let mut open: Vec<usize> = parents.iter().map(Vec::len).collect();
    let mut ready: BinaryHeap<Reverse<usize>> = open
        .iter()
        .enumerate()
        .filter(|(_, open)| **open == 0)
        .map(|(number, _)| Reverse(number))
        .collect();
    let mut order = Vec::with_capacity(parents.len());
    while let Some(Reverse(number)) = ready.pop() {
        order.push(number);
        for child in &children[number] {
            open[*child] -= 1;
            if open[*child] == 0 {
                ready.push(Reverse(*child));
            }
        }
    }
    order
}
