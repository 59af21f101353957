//! Configuration that reaches the statements that make a relation, beside its place, cluster and indexes.
//!
//! For the materializations of dbt-materialize 1.9 it is known which keys those are (its
//! `macros/adapters.sql` and `macros/materializations`). A materialization of the project's own may read any
//! key, so there every key counts but those that dbt itself only selects or documents by.

use super::super::manifest::{Manifest, Node, ResourceType};
use super::digest::Digesting;
use super::reads::is_of_dbt;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Materialization → what its macros hash to.
    materializations: BTreeMap<String, Value>,
    /// What the macros hash to that take the place of dbt's own; `None` when none does.
    overrides: Option<Value>,
    /// The names of those macros, sorted.
    overriding: BTreeSet<String>,
}

impl Customs {
    /// What this project makes of them.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let of_dbt: BTreeSet<&str> = manifest
            .macros
            .values()
            .filter(|one| is_of_dbt(&one.package_name))
            .map(|one| one.name.as_str())
            .collect();
        let mut customs = Self::default();
        let mut overriding = Vec::new();
        for (id, one) in &manifest.macros {
            if is_of_dbt(&one.package_name) {
                continue;
            }
            if let Some(name) = one.name.strip_prefix("materialization_") {
                let name = ["_materialize", "_default"]
                    .iter()
                    .find_map(|suffix| name.strip_suffix(suffix))
                    .unwrap_or(name);
                let hash = hash(manifest, [id.as_str()]);
                customs.materializations.insert(name.to_owned(), hash);
            } else if of_dbt.contains(one.name.as_str()) && !is_seen(&one.name) {
                overriding.push(id.as_str());
                customs.overriding.insert(one.name.to_string());
            }
        }
        if !overriding.is_empty() {
            customs.overrides = Some(hash(manifest, overriding));
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
    #[must_use]
    pub fn overriding(&self) -> &BTreeSet<String> {
        &self.overriding
    }
}

/// Whether what a macro of this name gives is seen in the outcome itself: names, SQL, tests.
fn is_seen(name: &str) -> bool {
    let plain = ["materialize__", "postgres__", "default__"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
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

/// Of these macros and those of the project that they call.
fn hash<'m>(manifest: &'m Manifest, ids: impl IntoIterator<Item = &'m str>) -> Value {
    let mut queue: Vec<&str> = ids.into_iter().collect();
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
    for id in seen {
        if let Some(one) = manifest.macros.get(id) {
            digest.part(id.as_bytes()).part(one.macro_sql.as_bytes());
        }
    }
    Value::String(digest.finish().to_string())
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
    let is_custom = customs.is_custom(materialized);
    for (key, value) in rest.iter() {
        let reaches = keys.contains(&key.as_str()) || (is_custom && !NEVER.contains(&key.as_str()));
        if reaches && !value.is_null() {
            options.insert(key.clone(), value.clone());
        }
    }
    if let Some(hash) = customs.materializations.get(materialized) {
        options.insert("materialization".to_owned(), hash.clone());
    }
    if let Some(hash) = &customs.overrides {
        options.insert("overridden macros".to_owned(), hash.clone());
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
