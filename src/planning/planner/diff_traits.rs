//! What a project says of its relations for the data diff: keys, what is never shown, and wishes.
//!
//! `meta.cutover.diff` of a model has the keys of [`Wish`]. `meta.sensitive: true` or `meta.cutover.mask: true`, of a
//! column or of the whole model, hides values. Keys come from primary keys and `unique` constraints, and from tests
//! that say of all rows that columns are unique. None of them is believed: the diff counts before it uses one.

use crate::domain::diff::{Masked, Traits, Wish};
use crate::inputs::manifest::{Manifest, Node, ResourceType};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What is said of each relation, by unique id; those of which nothing is said are not in it.
#[must_use]
pub fn of(manifest: &Manifest) -> BTreeMap<String, Traits> {
    let mut tested: BTreeMap<&str, Vec<Vec<String>>> = BTreeMap::new();
    for node in manifest.nodes.values() {
        if node.resource_type == ResourceType::Test
            && let Some((attached, key)) = unique_by(node)
        {
            tested.entry(attached).or_default().push(key);
        }
    }
    let mut all = BTreeMap::new();
    for node in manifest.nodes.values() {
        let is_made = [
            ResourceType::Model,
            ResourceType::Seed,
            ResourceType::Snapshot,
        ]
        .contains(&node.resource_type);
        if !is_made {
            continue;
        }
        let mut by_tests = tested.remove(node.unique_id.as_str()).unwrap_or_default();
        by_tests.sort_by_key(|key| (key.len(), key.clone()));
        let traits = traits(node, by_tests);
        if !traits.is_plain() {
            all.insert(node.unique_id.clone(), traits);
        }
    }
    all
}

/// The columns of which a test says that they are unique in all rows of a node.
fn unique_by(test: &Node) -> Option<(&str, Vec<String>)> {
    let attached = test.attached_node.as_deref()?;
    let metadata = test.test_metadata.as_ref()?;
    // It says so of some rows only.
    if test
        .config
        .rest
        .get("where")
        .is_some_and(|of| !of.is_null())
    {
        return None;
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let key = match &*metadata.name {
        "unique" => {
            let given = metadata.kwargs.get("column_name").and_then(text);
            vec![given.or_else(|| test.column_name.clone())?]
        }
        "unique_combination_of_columns" => {
            let given = metadata.kwargs.get("combination_of_columns")?.as_array()?;
            given.iter().map(text).collect::<Option<_>>()?
        }
        _ => return None,
    };
    let key: Vec<String> = key.into_iter().map(|name| plain(&name)).collect();
    (!key.is_empty()).then_some((attached, key))
}

/// A name without the quotes that a test needs around it.
fn plain(name: &str) -> String {
    let inner = name
        .strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'));
    inner.map_or_else(|| name.to_owned(), |name| name.replace("\"\"", "\""))
}

fn traits(node: &Node, by_tests: Vec<Vec<String>>) -> Traits {
    let metas = [&*node.config.meta, &*node.meta];
    let mut faults = Vec::new();
    let wish = match metas
        .iter()
        .find_map(|meta| meta.get("cutover")?.get("diff"))
    {
        None | Some(Value::Null) => Wish::default(),
        Some(given) => serde_json::from_value(given.clone()).unwrap_or_else(|error| {
            faults.push(format!("meta.cutover.diff cannot be read: {error}"));
            Wish::default()
        }),
    };
    let mut masked = Masked {
        all: metas.iter().any(|meta| hides(meta)),
        columns: Vec::new(),
    };
    for column in node.columns.values() {
        let configured = column.config.get("meta").and_then(Value::as_object);
        if hides(&column.meta) || configured.is_some_and(hides) {
            masked.columns.push(column.name.clone());
        }
    }
    let mut keys = constrained(node);
    for key in by_tests {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Traits {
        wish,
        keys,
        masked,
        faults,
    }
}

/// Whether values are not to be shown. Whatever is written there and is not a plain no hides them.
fn hides(meta: &Map<String, Value>) -> bool {
    let says = |value: Option<&Value>| {
        value.is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
    };
    says(meta.get("sensitive")) || says(meta.get("cutover").and_then(|own| own.get("mask")))
}

fn constrained(node: &Node) -> Vec<Vec<String>> {
    let mut keys = Vec::new();
    for kind in ["primary_key", "unique"] {
        for constraint in node.constraints.iter().filter(|one| one.kind == kind) {
            if !constraint.columns.is_empty() {
                keys.push(constraint.columns.iter().map(|name| plain(name)).collect());
            }
        }
        let columns = node.columns_in_order().into_iter();
        let of_column =
            columns.filter(|column| column.constraints.iter().any(|one| one.kind == kind));
        let of_column: Vec<String> = of_column.map(|column| column.name.clone()).collect();
        match kind {
            // Several columns with it are one key together.
            "primary_key" if !of_column.is_empty() => keys.push(of_column),
            "primary_key" => {}
            _ => keys.extend(of_column.into_iter().map(|name| vec![name])),
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::inputs::manifest::sample::{manifest, resource};
    use serde_json::{Value, json};

    fn model(more: Value) -> Value {
        resource("model.shop.totals", more)
    }

    fn test(name: &str, metadata: Value, config: Value) -> Value {
        let keys = json!({"test_metadata": metadata, "config": config, "attached_node": "model.shop.totals"});
        resource(&format!("test.shop.{name}"), keys)
    }

    #[test]
    fn keys_are_taken_from_constraints_and_from_tests_of_all_rows() {
        let nodes = [
            model(json!({
                "constraints": [{"type": "primary_key", "columns": ["a", "b"]}],
                "columns": {"u": {"name": "u", "constraints": [{"type": "unique"}]}},
            })),
            test(
                "u1",
                json!({"name": "unique", "kwargs": {"column_name": "\"id\""}}),
                json!({}),
            ),
            test(
                "u2",
                json!({"name": "unique", "kwargs": {"column_name": "some"}}),
                json!({"where": "x > 1"}),
            ),
            test(
                "u3",
                json!({"name": "unique_combination_of_columns", "namespace": "dbt_utils",
                       "kwargs": {"combination_of_columns": ["c", "d"]}}),
                json!({}),
            ),
            test(
                "n1",
                json!({"name": "not_null", "kwargs": {"column_name": "n"}}),
                json!({}),
            ),
        ];
        let found = of(&manifest(nodes));
        let keys = &found["model.shop.totals"].keys;
        let expected = [vec!["a", "b"], vec!["u"], vec!["id"], vec!["c", "d"]];
        assert_eq!(*keys, expected);
    }

    #[test]
    fn what_is_marked_is_masked_and_what_cannot_be_read_is_said() {
        let nodes = [model(json!({
            "columns": {
                "name": {"name": "name", "meta": {"sensitive": true}},
                "mail": {"name": "mail", "config": {"meta": {"cutover": {"mask": true}}}},
                "open": {"name": "open", "meta": {"sensitive": false}},
            },
            "config": {"materialized": "view", "meta": {"cutover": {"diff": {"kee": ["a"]}}}},
        }))];
        let found = of(&manifest(nodes));
        let traits = &found["model.shop.totals"];
        assert_eq!(traits.masked.columns, ["mail", "name"]);
        assert!(!traits.masked.all);
        assert!(traits.faults[0].contains("kee"), "{:?}", traits.faults);
        let whole = [model(json!({"meta": {"sensitive": "yes"}}))];
        assert!(of(&manifest(whole))["model.shop.totals"].masked.all);
        assert!(of(&manifest([model(json!({}))])).is_empty());
    }
}
