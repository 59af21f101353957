//! `version:latest|prerelease|old|none` over models.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{Criteria, Error};
use super::bad_value;
use crate::inputs::manifest::{Manifest, Node, ResourceType, is_true};
use crate::inputs::selection::state::is_equal;

pub(super) fn search<'m>(
    criteria: &Criteria,
    value: &str,
    manifest: &'m Manifest,
) -> Result<BTreeSet<&'m str>, Error> {
    let matches: fn(&Node) -> bool = match value {
        "latest" => is_latest,
        "prerelease" => |node| compared(node) == Some(Ordering::Greater),
        "old" => |node| compared(node) == Some(Ordering::Less),
        "none" => |node| node.version.is_none(),
        _ => return Err(bad_value(criteria, "one of latest, prerelease, old, none")),
    };
    Ok(manifest
        .nodes
        .iter()
        .filter(|(_, node)| node.resource_type == ResourceType::Model && matches(node))
        .map(|(id, _)| id.as_str())
        .collect())
}

fn is_latest(node: &Node) -> bool {
    match (&node.version, &node.latest_version) {
        (Some(version), Some(latest)) => is_equal(version, latest),
        (Some(_), None) | (None, _) => false,
    }
}

/// The version against the latest one: as numbers where both are, else as text.
fn compared(node: &Node) -> Option<Ordering> {
    let version = node.version.as_ref().filter(|version| is_true(version))?;
    let latest = node
        .latest_version
        .as_ref()
        .filter(|latest| is_true(latest))?;
    match (number(version), number(latest)) {
        (Some(version), Some(latest)) => version.partial_cmp(&latest),
        (None, _) | (_, None) => Some(text(version).cmp(&text(latest))),
    }
}

fn number(version: &Value) -> Option<f64> {
    match version {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn text(version: &Value) -> String {
    match version {
        Value::String(text) => text.clone(),
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Array(_)
        | Value::Object(_)) => other.to_string(),
    }
}
