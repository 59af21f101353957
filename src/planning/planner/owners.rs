//! Who owns the nodes of a project: what `meta.owner` says of a node, and the owner of its group. A test without an
//! owner belongs to those of the node that it was written at.

use super::candidate::Candidate;
use crate::domain::plan::owner::{Owned, Owner};
use crate::inputs::manifest::{Manifest, Node};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Unique id → who owns it, sorted; nodes that nobody owns are left out.
pub(super) fn of(manifest: &Manifest) -> BTreeMap<String, Vec<Owner>> {
    let mut owners = BTreeMap::new();
    for (id, node) in &manifest.nodes {
        let mut found = own(manifest, node);
        if found.is_empty()
            && let Some(at) = node.attached_node.as_ref()
            && let Some(at) = manifest.nodes.get(at)
        {
            found = own(manifest, at);
        }
        if !found.is_empty() {
            owners.insert(id.clone(), Vec::from_iter(found));
        }
    }
    owners
}

/// Who owns what of the nodes and tests, sorted.
pub(super) fn planned<'a>(
    candidate: &Candidate,
    ids: impl Iterator<Item = &'a String>,
) -> Vec<Owned> {
    let mut all: BTreeMap<&Owner, BTreeSet<&String>> = BTreeMap::new();
    for id in ids {
        for owner in candidate.owners.get(id).into_iter().flatten() {
            all.entry(owner).or_default().insert(id);
        }
    }
    let owned = all.into_iter().map(|(owner, nodes)| Owned {
        owner: owner.clone(),
        nodes: nodes.into_iter().cloned().collect(),
    });
    owned.collect()
}

fn own(manifest: &Manifest, node: &Node) -> BTreeSet<Owner> {
    let mut found = BTreeSet::new();
    for meta in [&node.config.meta, &node.meta] {
        written(meta.get("owner"), &mut found);
    }
    if let Some(group) = node.config.group.as_ref().or(node.group.as_ref()) {
        let id = format!("group.{}.{group}", node.package_name);
        let named = || manifest.groups.values().find(|one| one.name == *group);
        if let Some(group) = manifest.groups.get(&id).or_else(named) {
            written(Some(&group.owner), &mut found);
        }
    }
    found
}

/// An owner is a word, an address, a mapping with `name`, `email` and `slack`, or a list of these.
fn written(value: Option<&Value>, found: &mut BTreeSet<Owner>) {
    let text = |value: Option<&Value>| {
        let text = value?.as_str()?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let owner = match value {
        Some(Value::Array(list)) => {
            for one in list {
                written(Some(one), found);
            }
            return;
        }
        Some(Value::Object(map)) => Owner {
            name: text(map.get("name")),
            // Groups may have a list of addresses.
            email: text(map.get("email")).or_else(|| text(map.get("email")?.get(0))),
            slack: text(map.get("slack")),
        },
        Some(Value::String(one)) => match text(Some(&Value::String(one.clone()))) {
            Some(one) if one.contains('@') && !one.starts_with('@') => Owner {
                email: Some(one),
                ..Owner::default()
            },
            name => Owner {
                name,
                ..Owner::default()
            },
        },
        Some(Value::Null | Value::Bool(_) | Value::Number(_)) | None => return,
    };
    if owner != Owner::default() {
        found.insert(owner);
    }
}

#[cfg(test)]
mod tests {
    use super::written;
    use serde_json::json;
    use std::collections::BTreeSet;

    #[test]
    fn owners_are_read_in_every_form() {
        let labels = |value: &serde_json::Value| {
            let mut found = BTreeSet::new();
            written(Some(value), &mut found);
            let labels = found.iter().map(|owner| owner.label().to_owned());
            Vec::from_iter(labels)
        };
        assert_eq!(labels(&json!("Finance")), ["Finance"]);
        assert_eq!(labels(&json!("@ann")), ["@ann"]);
        assert_eq!(
            labels(&json!(["b@example.com", "a@example.com"])),
            ["a@example.com", "b@example.com"]
        );
        let group = json!({"email": ["fin@example.com"], "slack": "#fin", "more": 1});
        assert_eq!(labels(&group), ["fin@example.com"]);
        for nobody in [
            json!(null),
            json!(7),
            json!(" "),
            json!({"name": 3}),
            json!([]),
        ] {
            assert!(labels(&nobody).is_empty(), "{nobody}");
        }
    }
}
