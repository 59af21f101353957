//! Which nodes a changed macro reaches.
//!
//! Changed is a macro that is new, gone or written otherwise. A node is reached when a walk from it over
//! `depends_on.macros`, and over those of the macros in the new manifest, comes to a changed one.

use std::collections::{BTreeMap, BTreeSet};

use crate::inputs::manifest::Manifest;

/// For each macro, the changed ones that it leads to, itself included.
#[derive(Debug)]
pub(super) struct Reach<'m> {
    changed: BTreeMap<&'m str, BTreeSet<&'m str>>,
}

/// What the macros of a node say of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// None of them was changed.
    Nothing,
    /// One does not exist at all.
    Missing,
    /// These were changed, as `package.name`.
    Changed(Vec<String>),
}

impl<'m> Reach<'m> {
    pub(super) fn of(old: &'m Manifest, new: &'m Manifest) -> Self {
        let mut users: BTreeMap<&str, Vec<&'m str>> = BTreeMap::new();
        for (id, it) in &new.macros {
            for used in &it.depends_on.macros {
                users.entry(used).or_default().push(id);
            }
        }
        let mut changed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for root in changed_macros(old, new) {
            let mut waiting = vec![root];
            while let Some(id) = waiting.pop() {
                if changed.entry(id).or_default().insert(root) {
                    waiting.extend(users.get(id).into_iter().flatten());
                }
            }
        }
        Self { changed }
    }

    /// The verdict on a node with these macros. dbt stops at the first that was changed, and only
    /// looks when something was.
    pub(super) fn of_node(&self, macros: &[String]) -> Found {
        if self.changed.is_empty() {
            return Found::Nothing;
        }
        let mut reached = BTreeSet::new();
        for id in macros {
            if let Some(changed) = self.changed.get(id.as_str()) {
                reached.extend(changed);
            } else if id.is_empty() && reached.is_empty() {
                return Found::Missing;
            }
        }
        if reached.is_empty() {
            return Found::Nothing;
        }
        let names = reached.into_iter().map(|id: &&str| name(id).to_owned());
        Found::Changed(names.collect())
    }
}

fn changed_macros<'m>(old: &'m Manifest, new: &'m Manifest) -> impl Iterator<Item = &'m str> {
    let written = new.macros.iter().filter(|(id, it)| {
        let before = old.macros.get(*id);
        before.is_none_or(|before| before.macro_sql != it.macro_sql)
    });
    let removed = old.macros.keys().filter(|id| !new.macros.contains_key(*id));
    written
        .map(|(id, _)| id.as_str())
        .chain(removed.map(String::as_str))
}

fn name(id: &str) -> &str {
    id.strip_prefix("macro.").unwrap_or(id)
}
