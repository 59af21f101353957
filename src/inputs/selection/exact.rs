//! Selecting exactly the planned nodes.
//!
//! dbt's command line has no method "unique id". The nearest is `fqn:`, which matches more than one node may
//! expect, so that other methods are intersected (`,`) with it where needed. The rules, from
//! dbt's `graph/selector_spec.py`, `graph/selector_methods.py` and `graph/cli.py`:
//! - A value is compared with the fqn and with the fqn without its package, segment by segment, dots inside
//!   a segment counting as separators. It matches as a *prefix*: `pkg.a.b` also selects `a/b/c.sql`.
//!   A value that equals the last segment (of a versioned model: the last but one) matches in any folder, and a
//!   versioned model matches when its last two segments are the value's last two.
//! - From the first segment with one of `*?[]` on, the rest is an `fnmatch` pattern for the whole rest.
//! - A space separates selectors, a comma intersects, a trailing `+` or `+3` selects children. Such
//!   characters are written as patterns (`?`, `[+]`), and so are `*?[]`.
//! - `file:` compares the file's name with and without its extension, `package:` the package's name.
//!
//! [`for_nodes`] knows the whole graph, applies these rules to it and takes for each node the shortest selector that
//! selects nothing unplanned: dbt matches every selector against every node, so length costs time
//! (measured with 3,000 selectors in a project of 3,000 models: 30 s as `fqn:` alone, 100 s with all four methods).
//! Folders are never selected as a whole, though that were faster: a file added after planning would be built.

use std::collections::{BTreeSet, HashMap};

/// Why a node cannot be selected by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// dbt's grammar cannot tell it from nodes that are not planned.
    #[error("dbt cannot select {unique_id} without {}", others.join(", "))]
    Ambiguous {
        /// The node.
        unique_id: String,
        /// The nodes that would come with it, sorted.
        others: Vec<String>,
    },
    /// It has no name to select it by.
    #[error("{unique_id} has no fully qualified name to select it by")]
    Nameless {
        /// The node, or its file.
        unique_id: String,
    },
    /// It is to be selected and is not in the graph.
    #[error("{unique_id} is not a node of the manifest")]
    Unknown {
        /// The node.
        unique_id: String,
    },
}

/// What the manifest says of a node, as far as selection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node<'a> {
    /// `unique_id`.
    pub unique_id: &'a str,
    /// `fqn`.
    pub fqn: &'a [String],
    /// `resource_type`.
    pub resource_type: &'a str,
    /// `package_name`.
    pub package: &'a str,
    /// `original_file_path`.
    pub file: &'a str,
    /// Whether `version` is not null.
    pub versioned: bool,
}

/// The most precise selector of one node, without knowledge of the others.
///
/// # Errors
/// When its fqn or its file's name is empty.
pub fn for_node(
    fqn: &[String],
    resource_type: &str,
    original_file_path: &str,
    package: &str,
) -> Result<String, SelectorError> {
    let node = Node {
        unique_id: original_file_path,
        fqn,
        resource_type,
        package,
        file: original_file_path,
        versioned: false,
    };
    let precise = Selector::candidates(&node)?.pop();
    precise
        .map(|selector| selector.text())
        .ok_or_else(|| nameless(&node))
}

/// One selector for each of the `wanted` nodes, in the order of `all`, so that together they select the `wanted` nodes
/// and no other. `all` are the enabled nodes (and unit tests) of the manifest.
///
/// # Errors
/// When a wanted node is not among `all`, or cannot be told from one that is not wanted.
pub fn for_nodes(all: &[Node<'_>], wanted: &BTreeSet<&str>) -> Result<Vec<String>, SelectorError> {
    let unwanted = Unwanted::of(all, wanted);
    let mut known = BTreeSet::new();
    let mut selectors = Vec::with_capacity(wanted.len());
    for node in all.iter().filter(|node| wanted.contains(node.unique_id)) {
        known.insert(node.unique_id);
        let mut others = Vec::new();
        let found = Selector::candidates(node)?.into_iter().find(|selector| {
            others = unwanted.selected_by(selector);
            others.is_empty()
        });
        match found {
            Some(selector) => selectors.push(selector.text()),
            None => {
                others.sort();
                return Err(SelectorError::Ambiguous {
                    unique_id: node.unique_id.to_owned(),
                    others,
                });
            }
        }
    }
    match wanted.difference(&known).next() {
        Some(&missing) => Err(SelectorError::Unknown {
            unique_id: missing.to_owned(),
        }),
        None => Ok(selectors),
    }
}

/// The nodes that must not be selected, found by what a selector could know them by: comparing every
/// selector with every node takes minutes in a project of ten thousand.
struct Unwanted<'a> {
    nodes: Vec<(&'a Node<'a>, Vec<&'a str>)>,
    /// Flattened names, with and without the package, sorted.
    paths: Vec<(Vec<&'a str>, usize)>,
    /// By last segment (of a versioned model: the last but one), and of versioned models by the last two.
    names: HashMap<String, Vec<usize>>,
}

impl<'a> Unwanted<'a> {
    fn of(all: &'a [Node<'a>], wanted: &BTreeSet<&str>) -> Self {
        let mut unwanted = Self {
            nodes: Vec::new(),
            paths: Vec::new(),
            names: HashMap::new(),
        };
        for node in all {
            if wanted.contains(node.unique_id) {
                continue;
            }
            let (number, flat) = (unwanted.nodes.len(), flatten(node.fqn));
            let unscoped = flat_unscoped(node, &flat).to_vec();
            for fqn in [node.fqn, node.fqn.get(1..).unwrap_or_default()] {
                for name in names(fqn, node.versioned) {
                    unwanted.names.entry(name).or_default().push(number);
                }
            }
            unwanted.paths.push((flat.clone(), number));
            unwanted.paths.push((unscoped, number));
            unwanted.nodes.push((node, flat));
        }
        unwanted.paths.sort_unstable();
        unwanted
    }

    /// Unique ids of the nodes that a selector selects, in the order of the graph.
    fn selected_by(&self, selector: &Selector) -> Vec<String> {
        let selected = |number: &usize| {
            let (node, flat) = &self.nodes[*number];
            selector
                .selects(node, flat)
                .then(|| node.unique_id.to_owned())
        };
        if selector.fqn.contains(['*', '?', '[', ']']) {
            return (0..self.nodes.len())
                .filter_map(|number| selected(&number))
                .collect();
        }
        let parts: Vec<&str> = selector.fqn.split('.').collect();
        let first = self
            .paths
            .partition_point(|(path, _)| path.as_slice() < parts.as_slice());
        let below = self.paths[first..]
            .iter()
            .take_while(|(path, _)| path.starts_with(&parts))
            .map(|(_, number)| *number);
        let last_two = parts[parts.len().saturating_sub(2)..].join("_");
        let named = [selector.fqn.as_str(), last_two.as_str()]
            .into_iter()
            .filter_map(|name| self.names.get(name))
            .flatten()
            .copied();
        let possible: BTreeSet<usize> = below.chain(named).collect();
        possible.iter().filter_map(selected).collect()
    }
}

/// The names by which a node is selected in any folder.
fn names(fqn: &[String], versioned: bool) -> Vec<String> {
    if !versioned {
        return fqn.last().cloned().into_iter().collect();
    }
    let leaf = fqn.len().checked_sub(2).map(|at| fqn[at].clone());
    let last_two = fqn[fqn.len().saturating_sub(2)..].join("_");
    leaf.into_iter().chain([last_two]).collect()
}

fn nameless(node: &Node<'_>) -> SelectorError {
    SelectorError::Nameless {
        unique_id: node.unique_id.to_owned(),
    }
}

/// An intersection of methods.
#[derive(Debug, Clone, Default)]
struct Selector {
    fqn: String,
    resource_type: Option<String>,
    file: Option<String>,
    package: Option<String>,
}

impl Selector {
    /// From the shortest to the most precise.
    fn candidates(node: &Node<'_>) -> Result<Vec<Self>, SelectorError> {
        let file = node.file.rsplit('/').next().unwrap_or_default();
        if node.fqn.iter().all(String::is_empty) || file.is_empty() {
            return Err(nameless(node));
        }
        let by_name = Self {
            fqn: pattern(&node.fqn.join(".")),
            ..Self::default()
        };
        let by_type = Self {
            resource_type: Some(node.resource_type.to_owned()),
            ..by_name.clone()
        };
        let by_file = Self {
            file: Some(pattern(file)),
            ..by_type.clone()
        };
        let by_package = Self {
            // dbt takes `this` for the root project.
            package: (node.package != "this").then(|| pattern(node.package)),
            ..by_file.clone()
        };
        Ok(vec![by_name, by_type, by_file, by_package])
    }

    fn text(&self) -> String {
        let mut text = format!("fqn:{}", self.fqn);
        for (method, value) in [
            ("resource_type", &self.resource_type),
            ("file", &self.file),
            ("package", &self.package),
        ] {
            if let Some(value) = value {
                text.push_str(&format!(",{method}:{value}"));
            }
        }
        text
    }

    /// Whether dbt's rules select `node`, whose flattened fqn is `flat`.
    fn selects(&self, node: &Node<'_>, flat: &[&str]) -> bool {
        let unscoped = flat_unscoped(node, flat);
        let by_name = is_selected(node.fqn, flat, &self.fqn, node.versioned)
            || is_selected(
                node.fqn.get(1..).unwrap_or_default(),
                unscoped,
                &self.fqn,
                node.versioned,
            );
        by_name
            && self
                .resource_type
                .as_ref()
                .is_none_or(|value| value == node.resource_type)
            && self.file.as_ref().is_none_or(|value| {
                let name = node.file.rsplit('/').next().unwrap_or_default();
                let stem = match name.rfind('.') {
                    Some(at) if at > 0 => &name[..at],
                    Some(_) | None => name,
                };
                fnmatch(name, value) || fnmatch(stem, value)
            })
            && self
                .package
                .as_ref()
                .is_none_or(|value| fnmatch(node.package, value))
    }
}

fn flatten(fqn: &[String]) -> Vec<&str> {
    fqn.iter().flat_map(|segment| segment.split('.')).collect()
}

fn flat_unscoped<'f, 'n>(node: &Node<'_>, flat: &'f [&'n str]) -> &'f [&'n str] {
    let package = node.fqn.first().map_or(0, |name| name.split('.').count());
    flat.get(package..).unwrap_or_default()
}

/// dbt's `is_selected_node`.
fn is_selected(fqn: &[String], flat: &[&str], selector: &str, versioned: bool) -> bool {
    let parts: Vec<&str> = selector.split('.').collect();
    let leaf = if versioned {
        fqn.len().checked_sub(2).map(|at| &fqn[at])
    } else {
        fqn.last()
    };
    if leaf.is_some_and(|leaf| leaf == selector) {
        return true;
    }
    if versioned
        && fqn[fqn.len().saturating_sub(2)..].join("_")
            == parts[parts.len().saturating_sub(2)..].join("_")
    {
        return true;
    }
    if flat.len() < parts.len() {
        return false;
    }
    for (at, part) in parts.iter().enumerate() {
        if part.contains(['*', '?', '[', ']']) {
            return fnmatch(&flat[at..].join("."), &parts[at..].join("."))
                || (parts.len() == 1 && leaf.is_some_and(|leaf| fnmatch(leaf, selector)));
        }
        if flat[at] != *part {
            return false;
        }
    }
    true
}

/// A pattern that matches `text` and, at worst, texts that differ in a space, a comma or a line break.
fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '*' | '?' | '[' | ']' | '+' => pattern.extend(['[', character, ']']),
            ' ' | ',' | '\n' => pattern.push('?'),
            plain => pattern.push(plain),
        }
    }
    pattern
}

/// Python's `fnmatch` for the patterns of [`pattern`]: `?` and classes of one character.
fn fnmatch(text: &str, pattern: &str) -> bool {
    let mut text = text.chars();
    let mut pattern = pattern.chars();
    loop {
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('?'), Some(_)) => {}
            (Some('['), Some(character)) => {
                if pattern.next() != Some(character) || pattern.next() != Some(']') {
                    return false;
                }
            }
            (Some(plain), Some(character)) if plain == character => {}
            (Some(_) | None, Some(_) | None) => return false,
        }
    }
}

#[cfg(test)]
mod tests;
