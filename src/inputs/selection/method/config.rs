//! `config.<key>…:value` over the rendered configuration of nodes and sources.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;

use crate::inputs::manifest::{Config, Manifest, Node, ResourceType};
use crate::inputs::selection::state::{is_equal, is_equal_caseless};

pub(super) fn search<'m>(
    path: &[String],
    wanted: &Value,
    manifest: &'m Manifest,
) -> BTreeSet<&'m str> {
    let Some((key, below)) = path.split_first() else {
        return BTreeSet::new();
    };
    let is_severity = below.is_empty() && key == "severity";
    let wanted = match is_severity {
        true => Cow::Owned(Value::String(python_text(wanted))),
        false => Cow::Borrowed(wanted),
    };
    let matches = |value: &Value| matches(&wanted, value, is_severity);
    let nodes = manifest
        .nodes
        .iter()
        .filter(|(_, node)| descend(&of_node(node, key), below).is_some_and(matches));
    let sources = manifest.sources.iter().filter(|(_, source)| {
        let value = source.config.get(key).unwrap_or(&Value::Null);
        descend(value, below).is_some_and(matches)
    });
    let nodes = nodes.map(|(id, _)| id.as_str());
    nodes.chain(sources.map(|(id, _)| id.as_str())).collect()
}

/// A key that a configuration does not have is null; one below it does not exist.
fn descend<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

fn of_node<'n>(node: &'n Node, key: &str) -> Cow<'n, Value> {
    let Config {
        enabled,
        materialized,
        cluster,
        indexes,
        database,
        schema,
        alias,
        tags,
        meta,
        group,
        persist_docs,
        contract,
        store_failures,
        severity,
        grants,
        rest,
    } = &node.config;
    let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    // dbt's configuration of a test has none of these, and so nothing in them.
    let is_test = node.resource_type == ResourceType::Test;
    Cow::Owned(match key {
        "enabled" => Value::from(*enabled),
        "materialized" => text(materialized),
        "cluster" => text(cluster),
        // Serializing what came from JSON does not fail.
        "indexes" => serde_json::to_value(indexes).unwrap_or_default(),
        "database" => text(database),
        "schema" => text(schema),
        "alias" => text(alias),
        "tags" => Value::from(tags.clone()),
        "meta" => Value::from((**meta).clone()),
        "group" => text(group),
        "persist_docs" | "contract" | "grants" if is_test => Value::Null,
        "persist_docs" => Value::from(persist_docs.given.clone()),
        "contract" => serde_json::to_value(contract).unwrap_or_default(),
        "store_failures" => (*store_failures).map_or(Value::Null, Value::from),
        "severity" => text(severity),
        "grants" => Value::from(grants.clone()),
        key => return rest.get(key).map_or(Cow::Owned(Value::Null), Cow::Borrowed),
    })
}

/// dbt makes text of a severity before it compares without regard to case.
fn python_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        other @ (Value::Number(_) | Value::Array(_) | Value::Object(_)) => other.to_string(),
    }
}

/// A list matches by any of its items; `true` and `false` are words for booleans.
fn matches(wanted: &Value, value: &Value, is_severity: bool) -> bool {
    let is_same = |value: &Value| match is_severity {
        true => is_equal_caseless(wanted, value),
        false => is_equal(wanted, value),
    };
    let word = match wanted {
        Value::Bool(true) => Some(true),
        Value::Bool(false) => Some(false),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    };
    match value {
        Value::Array(items) => items.iter().any(|item| {
            is_same(item) || word.is_some_and(|word| is_equal(item, &Value::Bool(word)))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            is_same(value) || word.is_some_and(|word| *value == Value::Bool(word))
        }
    }
}
