//! Whether a plan can be built without dbt, and where not, why.
//!
//! The rule is one-sided: what qualifies comes out as dbt makes it. A node for which that is not certain does
//! not, and one such node takes the whole build to dbt, so that no release is half of one kind.

use crate::domain::plan::{Plan, PlannedNode};
use crate::inputs::manifest::{Manifest, Node, ResourceType, is_true};
use crate::inputs::outcome::reads::{is_of_dbt, texts_of};
use crate::inputs::outcome::{Customs, plain_name};
use crate::planning::planner::candidate::{CandidateNode, Materialization};
use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// `var('deploy'`, or `var(` with a name that is computed.
static DEPLOY: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"\bvar\s*\(\s*(?:'deploy'|"deploy"|[^'"\s])"#));

/// What tells a compilation from a build.
static COMMAND: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"\binvocation_args_dict\b|\bselected_resources\b|\bflags\s*\.\s*(?:WHICH|INVOCATION_COMMAND|VARS|FULL_REFRESH)\b",
    )
});

#[expect(
    clippy::expect_used,
    reason = "the texts stand above, and a test compiles them"
)]
fn regex(text: &str) -> Regex {
    Regex::new(text).expect("a regular expression")
}

/// Macros that say what things are called. Where green lies is the release's to say, whatever they make of
/// `deploy`.
const NAMING: [&str; 5] = [
    "generate_schema_name",
    "generate_database_name",
    "generate_alias_name",
    "generate_cluster_name",
    "generate_deploy_cluster_name",
];

/// What is known of the project besides its manifest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    /// dbt's variables, those of packages among them.
    pub(crate) variables: &'a Value,
    /// Whether the profile sets a search path, under which names without a schema mean something else.
    pub(crate) has_search_path: bool,
    /// Whether sources are made: in a corner of a pull request, not by a release.
    pub(crate) makes_sources: bool,
    /// Unique ids of nodes that ask the server while they are compiled.
    pub(crate) asking: &'a BTreeSet<String>,
}

/// Why this plan does not qualify, one clause each, sorted; empty when it does.
pub(super) fn reasons(manifest: &Manifest, plan: &Plan, around: Around<'_>) -> BTreeSet<String> {
    let customs = Customs::of(manifest, None);
    let mut reasons = of_project(manifest, &customs, around);
    for id in &plan.hooked {
        if id.starts_with("operation.") {
            reasons.insert(format!("{id} runs with every build"));
        }
    }
    for pointer in &plan.beside {
        let whose = pointer.node.as_deref().unwrap_or("the project");
        reasons.insert(format!(
            "{whose} makes {} beside its relation",
            pointer.name()
        ));
    }
    for planned in plan.built() {
        let found = match manifest.nodes.get(&planned.unique_id) {
            Some(node) => of_node(manifest, node, &planned.materialized, &customs, around),
            None => Some("is not in the manifest".to_owned()),
        };
        if let Some(reason) = found {
            reasons.insert(format!("{} {reason}", planned.unique_id));
        }
    }
    reasons
}

/// Why planned nodes cannot be described without being built, by unique id. What a build does besides making them, such
/// as hooks, does not matter for it.
pub(super) fn undescribable(
    manifest: &Manifest,
    plan: &Plan,
    around: Around<'_>,
) -> BTreeMap<String, String> {
    let customs = Customs::of(manifest, None);
    let of_all = of_project(manifest, &customs, around).pop_first();
    let reason = |planned: &PlannedNode| {
        let own = match manifest.nodes.get(&planned.unique_id) {
            Some(node) => of_text(manifest, node, &planned.materialized, &customs, around),
            None => Some("is not in the manifest".to_owned()),
        };
        own.or_else(|| of_all.clone())
    };
    plan.built()
        .filter_map(|planned| Some((planned.unique_id.clone(), reason(planned)?)))
        .collect()
}

/// Why no plan of this project qualifies, one clause each, sorted; empty where some may.
pub(crate) fn of_whole(manifest: &Manifest, around: Around<'_>) -> BTreeSet<String> {
    let mut reasons = of_project(manifest, &Customs::of(manifest, None), around);
    let operations = manifest
        .nodes
        .values()
        .filter(|node| node.resource_type == ResourceType::Operation);
    reasons.extend(operations.map(|node| format!("{} runs with every build", node.unique_id)));
    reasons
}

/// Whether a build without dbt makes nodes of this kind at all.
fn is_buildable(kind: ResourceType) -> bool {
    matches!(kind, ResourceType::Model | ResourceType::Seed)
}

/// Why plans with some of the nodes do not qualify, one clause each, sorted.
pub(crate) fn of_nodes(manifest: &Manifest, around: Around<'_>) -> BTreeSet<String> {
    let customs = Customs::of(manifest, None);
    let made = manifest
        .nodes
        .values()
        .filter(|node| is_buildable(node.resource_type))
        .filter_map(|node| {
            let made = CandidateNode::of(node);
            let is_made = matches!(made.materialization(), Materialization::Relation(_));
            is_made.then_some((node, made.materialized))
        });
    made.filter_map(|(node, materialized)| {
        let reason = of_node(manifest, node, &materialized, &customs, around)?;
        Some(format!("{} {reason}", node.unique_id))
    })
    .collect()
}

fn of_project(manifest: &Manifest, customs: &Customs, around: Around<'_>) -> BTreeSet<String> {
    let mut reasons = BTreeSet::new();
    if around.has_search_path {
        reasons.insert("the profile sets search_path".to_owned());
    }
    if has_strict_mode(around.variables) {
        reasons
            .insert("strict_mode is set, which dbt-materialize checks while it builds".to_owned());
    }
    for name in customs.overriding() {
        reasons.insert(format!("the macro {name} takes the place of dbt's own"));
    }
    for one in manifest.macros.values() {
        if is_of_dbt(&one.package_name) || NAMING.contains(&plain_name(&one.name)) {
            continue;
        }
        if DEPLOY.is_match(&one.macro_sql) {
            reasons.insert(format!("the macro {} reads var('deploy')", one.name));
        }
        if COMMAND.is_match(&one.macro_sql) {
            reasons.insert(format!("the macro {} reads how dbt was called", one.name));
        }
    }
    reasons
}

fn has_strict_mode(variables: &Value) -> bool {
    match variables {
        Value::Object(entries) => entries
            .iter()
            .any(|(key, value)| (key == "strict_mode" && is_true(value)) || has_strict_mode(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            false
        }
    }
}

/// Whether the text of a node, and of the ephemeral models that it reads, is the same whichever command of dbt
/// compiles it.
pub(crate) fn is_plain(manifest: &Manifest, node: &Node) -> bool {
    let texts = texts_of(manifest, &node.unique_id);
    let mut codes = texts.iter().map(|node| &node.raw_code);
    codes.all(|code| !DEPLOY.is_match(code) && !COMMAND.is_match(code))
}

/// Why a sink, source, table of one or connection cannot be made without dbt, one clause; `None` where it can.
pub(crate) fn of_outside(
    manifest: &Manifest,
    node: &Node,
    materialized: &str,
    asking: &BTreeSet<String>,
) -> Option<String> {
    let customs = Customs::of(manifest, None);
    if let Some(name) = customs.overriding().next() {
        return Some(format!(
            "is made by the macro {name}, which takes the place of dbt's own"
        ));
    }
    // dbt-materialize has no connections, so that a project which runs dbt brings a materialization of its own.
    if customs.is_custom(materialized) && materialized != "connection" {
        return Some(format!("has the custom materialization {materialized}"));
    }
    of_sql(manifest, node, asking).or_else(|| of_making(node, materialized))
}

fn of_node(
    manifest: &Manifest,
    node: &Node,
    materialized: &str,
    customs: &Customs,
    around: Around<'_>,
) -> Option<String> {
    of_text(manifest, node, materialized, customs, around).or_else(|| of_making(node, materialized))
}

/// Why a build does more with a node than to make what its SQL says.
fn of_making(node: &Node, materialized: &str) -> Option<String> {
    let says = |text: &str| Some(text.to_owned());
    for hook in ["pre-hook", "post-hook"] {
        let hooks = node.config.rest.get(hook).and_then(Value::as_array);
        if hooks.is_some_and(|hooks| !hooks.is_empty()) {
            return Some(format!("has a {hook}"));
        }
    }
    if materialized == "materializedview" {
        return says("has the old materialization materializedview");
    }
    if node.config.rest.get("sql_header").is_some_and(is_true) {
        return says("has a sql_header");
    }
    None
}

/// Why it is not certain what a node is made from.
fn of_text(
    manifest: &Manifest,
    node: &Node,
    materialized: &str,
    customs: &Customs,
    around: Around<'_>,
) -> Option<String> {
    if customs.is_custom(materialized) {
        return Some(format!("has the custom materialization {materialized}"));
    }
    let is_known = node.resource_type == ResourceType::Seed
        || is_buildable(node.resource_type)
            && (matches!(
                materialized,
                "view" | "materialized_view" | "materializedview" | "table"
            ) || (materialized == "source" && around.makes_sources));
    if !is_known {
        return Some(format!("is a {materialized}"));
    }
    of_sql(manifest, node, around.asking)
}

/// Why what a node is written in does not say all, one clause.
fn of_sql(manifest: &Manifest, node: &Node, asking: &BTreeSet<String>) -> Option<String> {
    let says = |text: &str| Some(text.to_owned());
    if node
        .language
        .as_deref()
        .is_some_and(|language| language != "sql")
    {
        return says("is not written in SQL");
    }
    if asking.contains(&node.unique_id) {
        return says("introspects while compiling");
    }
    for text in texts_of(manifest, &node.unique_id) {
        if DEPLOY.is_match(&text.raw_code) {
            return says("reads var('deploy')");
        }
        if COMMAND.is_match(&text.raw_code) {
            return says("reads how dbt was called");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_reads_the_deployment_is_found() {
        for code in [
            "{{ var('deploy') }}",
            "{% if var( \"deploy\", false) %}",
            "{{ var(name) }}",
        ] {
            assert!(DEPLOY.is_match(code), "{code}");
        }
        for code in [
            "{{ var('deployment') }}",
            "{{ var('x') }}",
            "select deploy from t",
        ] {
            assert!(!DEPLOY.is_match(code), "{code}");
        }
        assert!(COMMAND.is_match("{% if flags.WHICH == 'run' %}"));
        assert!(!COMMAND.is_match("select flags, t.flags from t"));
    }

    #[test]
    fn strict_mode_is_found_wherever_it_stands() {
        for (variables, expected) in [
            (json!({"project": {"strict_mode": true}}), true),
            (json!({"project": {"shop": {"strict_mode": "yes"}}}), true),
            (json!({"given": {"strict_mode": false}}), false),
            (json!({"given": {"other": true}}), false),
        ] {
            assert_eq!(has_strict_mode(&variables), expected, "{variables}");
        }
    }
}
