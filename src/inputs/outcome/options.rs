//! Configuration that reaches the statements that make a relation, beside its place, cluster and indexes.
//!
//! For the materializations of dbt-materialize 1.9 it is known which keys those are (its
//! `macros/adapters.sql` and `macros/materializations`). A materialization of the project's own may read any
//! key, so there every key counts but those that dbt itself only selects or documents by.

use super::super::manifest::{Manifest, Node, ResourceType};
use super::reads::{is_of_dbt, regex};
use crate::domain::plan::inputs::Inputs;
use crate::foundation::digest::Digesting;
use regex::Regex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// Hooks as they are written.
pub(super) const HOOKS: &str = "hooks as written";
/// Hooks as they are sent.
pub(super) const RENDERED_HOOKS: &str = "hooks";

/// Keys that no statement is made from.
const NEVER: [&str; 10] = [
    "docs",
    "access",
    "packages",
    "event_time",
    "full_refresh",
    "on_schema_change",
    "on_configuration_change",
    "freshness",
    "pre-hook",
    "post-hook",
];

/// What a project makes of dbt's own macros and materializations.
#[derive(Debug, Default)]
pub struct Customs {
    /// By name.
    materializations: BTreeMap<String, Custom>,
    /// Macros that take the place of dbt's own, by name.
    overrides: BTreeMap<String, Custom>,
}

/// Code of the project that makes statements.
#[derive(Debug)]
struct Custom {
    /// What its macros and what they read hash to.
    hash: Value,
    /// Whether it looks at a node's configuration, so that any key may reach a statement.
    reads_configuration: bool,
}

impl Customs {
    /// What this project makes of them; `under` is what the macros would be called under, where it is known.
    #[must_use]
    pub fn of(manifest: &Manifest, under: Option<&Inputs>) -> Self {
        let of_dbt: BTreeSet<&str> = manifest
            .macros
            .values()
            .filter(|one| is_of_dbt(&one.package_name))
            .map(|one| one.name.as_str())
            .collect();
        let mut customs = Self::default();
        for (id, one) in &manifest.macros {
            if is_of_dbt(&one.package_name) {
                continue;
            }
            if let Some(name) = one.name.strip_prefix("materialization_") {
                let name = ["_materialize", "_default"]
                    .iter()
                    .find_map(|suffix| name.strip_suffix(suffix))
                    .unwrap_or(name);
                let custom = Custom::of(manifest, id, under);
                customs.materializations.insert(name.to_owned(), custom);
            } else if of_dbt.contains(one.name.as_str()) && !is_seen(&one.name) {
                let custom = Custom::of(manifest, id, under);
                customs.overrides.insert(one.name.clone(), custom);
            }
        }
        customs
    }

    /// Whether the project has a materialization of its own of this name.
    #[must_use]
    pub fn is_custom(&self, materialized: &str) -> bool {
        self.materializations.contains_key(materialized)
    }

    /// Names of macros that take the place of dbt's own, other than those whose effect is seen in an outcome:
    /// what names things, and tests.
    pub fn overriding(&self) -> impl Iterator<Item = &String> {
        self.overrides.keys()
    }
}

/// The name of a macro without the adapter for which it is.
#[must_use]
pub fn plain_name(name: &str) -> &str {
    ["materialize__", "postgres__", "default__"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name)
}

/// Whether a macro in the place of dbt's own has a part in making a node. Those that make a statement of one
/// kind are known (dbt-materialize 1.9, `macros/adapters.sql`, and dbt's `macros/relations`); any other may
/// have a part in all.
fn has_a_part(name: &str, node: &Node, materialized: &str) -> bool {
    let plain = plain_name(name)
        .strip_prefix("get_")
        .unwrap_or(plain_name(name));
    match plain {
        "create_view_as" | "create_view_as_sql" => materialized == "view",
        "create_materialized_view_as" | "create_materialized_view_as_sql" => {
            materialized == "materialized_view"
        }
        "refresh_interval_sql" => materialized == "materialized_view",
        "create_source" | "create_source_table" | "create_sink" => {
            plain.strip_prefix("create_") == Some(materialized)
        }
        "create_csv_table" | "reset_csv_table" | "load_csv_rows" => {
            node.resource_type == ResourceType::Seed
        }
        _ => true,
    }
}

/// Whether what a macro of this name gives is seen in the outcome itself: names, SQL, tests.
fn is_seen(name: &str) -> bool {
    let plain = plain_name(name);
    plain.starts_with("test_")
        || matches!(
            plain,
            "generate_schema_name"
                | "generate_alias_name"
                | "generate_database_name"
                | "generate_cluster_name"
                | "generate_deploy_cluster_name"
                | "ref"
                | "source"
        )
}

/// What is said to people and to nobody else.
static COMMENT: LazyLock<Regex> = LazyLock::new(|| regex(r"(?s)\{#.*?#\}"));

/// Words by which code asks for what is not its own text: variables, the target, what was called.
static AROUND: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"\b(?:var|env_var|target|flags|builtins|context|graph|invocation_args_dict|project_name)\b",
    )
});

/// Words by which code asks for the node's configuration.
static CONFIGURATION: LazyLock<Regex> = LazyLock::new(|| regex(r"\b(?:config|model)\b"));

impl Custom {
    /// Of a macro and those of the project that it calls.
    fn of<'m>(manifest: &'m Manifest, id: &'m str, under: Option<&Inputs>) -> Self {
        let mut queue = vec![id];
        let mut seen = BTreeSet::new();
        while let Some(id) = queue.pop() {
            if let Some(one) = manifest.macros.get(id)
                && !is_of_dbt(&one.package_name)
                && seen.insert(id)
            {
                queue.extend(one.depends_on.macros.iter().map(String::as_str));
            }
        }
        let mut digest = Digesting::default();
        let (mut reads_around, mut reads_configuration) = (false, false);
        for one in seen.iter().filter_map(|id| manifest.macros.get(*id)) {
            let text = COMMENT.replace_all(&one.macro_sql, "");
            reads_around |= AROUND.is_match(&text);
            reads_configuration |= CONFIGURATION.is_match(&text);
            digest.part(one.unique_id.as_bytes()).part(text.as_bytes());
        }
        if let Some(under) = under.filter(|_| reads_around) {
            for part in [
                under.variables,
                under.environment,
                under.target,
                under.project,
            ] {
                digest.part(part.to_string().as_bytes());
            }
            let graph = under.graph.map(|graph| graph.to_string());
            digest.part(graph.unwrap_or_default().as_bytes());
        }
        Self {
            hash: Value::String(digest.finish().to_string()),
            reads_configuration,
        }
    }
}

/// The options of a node, by a name that a person knows.
pub(super) fn of(node: &Node, materialized: &str, customs: &Customs) -> BTreeMap<String, Value> {
    let mut options = BTreeMap::new();
    let rest = &node.config.rest;
    let keys: &[&str] = match (node.resource_type, materialized) {
        (ResourceType::Seed, _) => &["column_types", "quote_columns", "delimiter"],
        (_, "materialized_view") => &["partition_by", "refresh_interval", "retain_history"],
        _ => &[],
    };
    let overriding: Vec<(&String, &Custom)> = customs
        .overrides
        .iter()
        .filter(|(name, _)| has_a_part(name, node, materialized))
        .collect();
    let is_custom = customs.is_custom(materialized)
        || overriding
            .iter()
            .any(|(_, custom)| custom.reads_configuration);
    for (key, value) in rest.iter() {
        let reaches = keys.contains(&key.as_str()) || (is_custom && !NEVER.contains(&key.as_str()));
        if reaches && !value.is_null() {
            options.insert(key.clone(), value.clone());
        }
    }
    if let Some(custom) = customs.materializations.get(materialized) {
        options.insert("materialization".to_owned(), custom.hash.clone());
    }
    for (name, custom) in overriding {
        let name = format!("what the macro {name} makes of it");
        options.insert(name, custom.hash.clone());
    }
    if is_custom && !node.config.meta.is_empty() {
        options.insert(
            "meta".to_owned(),
            Value::Object((*node.config.meta).clone()),
        );
    }
    if is_custom && !node.config.grants.is_empty() {
        options.insert(
            "grants".to_owned(),
            Value::Object(node.config.grants.clone()),
        );
    }
    contract(node, &mut options);
    descriptions(node, &mut options);
    let hooks: Vec<&Value> = ["pre-hook", "post-hook"]
        .iter()
        .map(|key| rest.get(*key).unwrap_or(&Value::Null))
        .collect();
    if node.config.has_hooks() {
        options.insert(HOOKS.to_owned(), json!(hooks));
    }
    options
}

/// Columns, types and constraints that are enforced. What constraints say of a whole relation does not reach
/// a statement of dbt-materialize.
fn contract(node: &Node, options: &mut BTreeMap<String, Value>) {
    if !(node.contract.enforced || node.config.contract.enforced) {
        return;
    }
    let columns: Vec<Value> = node
        .columns
        .values()
        .map(|column| {
            json!([
                column.name,
                column.data_type,
                column.quote,
                column.constraints
            ])
        })
        .collect();
    options.insert("contract".to_owned(), Value::Array(columns));
}

/// Descriptions that become comments.
fn descriptions(node: &Node, options: &mut BTreeMap<String, Value>) {
    let persist = &node.config.persist_docs;
    if persist.relation && !node.description.is_empty() {
        options.insert("description".to_owned(), json!(node.description));
    }
    if persist.columns {
        let described: Vec<Value> = node
            .columns
            .values()
            .map(|column| json!([column.name, column.description, column.quote]))
            .collect();
        if !described.is_empty() {
            options.insert("descriptions of columns".to_owned(), json!(described));
        }
    }
}
