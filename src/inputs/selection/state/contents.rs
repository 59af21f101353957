//! What of a node is compared, kind by kind.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::value::{is_equal, is_same_record};
use super::{Change, Rules, Verdict, contract};
use crate::inputs::manifest::{
    Checksum, Exposure, Metric, Node, Resource, ResourceType, SavedQuery, SemanticModel, Source,
};

/// Parts of `unrendered_config` that are compared elsewhere or not at all.
const APART: [&str; 5] = ["alias", "schema", "database", "tags", "group"];
/// The only parts of a test's configuration that count.
const OF_TESTS: [&str; 8] = [
    "severity",
    "where",
    "limit",
    "fail_calc",
    "warn_if",
    "error_if",
    "store_failures",
    "store_failures_as",
];
/// What a model grants that says nothing of it.
const ACCESS: &str = "protected";
const WHERE_BUILT: [&str; 3] = ["database", "schema", "alias"];
const WHERE_EXPORTED: [&str; 3] = ["export_as", "schema", "alias"];

/// What dbt finds of a resource, its macros aside.
pub(super) fn verdict(old: Option<Resource<'_>>, new: Resource<'_>, rules: Rules) -> Verdict {
    let Some(old) = old else {
        return newcomer(new);
    };
    match (old, new) {
        (
            Resource::Node(old) | Resource::Function(old),
            Resource::Node(new) | Resource::Function(new),
        ) => of_node(old, new),
        (Resource::Source(old), Resource::Source(new)) => of_source(old, new, rules),
        (Resource::Exposure(old), Resource::Exposure(new)) => of_exposure(old, new),
        (Resource::Metric(old), Resource::Metric(new)) => of_metric(old, new),
        (Resource::SemanticModel(old), Resource::SemanticModel(new)) => of_semantic(old, new),
        (Resource::SavedQuery(old), Resource::SavedQuery(new)) => of_query(old, new),
        (Resource::UnitTest(old), Resource::UnitTest(new)) => {
            let mut found = Found::default();
            found.property("checksum", old.checksum == new.checksum);
            found.verdict()
        }
        // An id begins with its kind, so no manifest of dbt's has one id for two kinds.
        (_, new) => newcomer(new),
    }
}

fn newcomer(new: Resource<'_>) -> Verdict {
    let is_node = matches!(new, Resource::Node(_) | Resource::Function(_));
    let is_unit_test = matches!(new, Resource::UnitTest(_));
    Verdict {
        is_new: true,
        // dbt's quirk: what is no node and no unit test counts as unchanged while it is new.
        is_modified: is_node || is_unit_test,
        body: is_node,
        configs: !is_unit_test,
        persisted_descriptions: is_node,
        relation: is_node || matches!(new, Resource::Source(_)),
        macros: false,
        contract: is_node,
        changes: vec![Change::New],
    }
}

/// Gathers what differs.
#[derive(Default)]
struct Found(Verdict);

impl Found {
    fn property(&mut self, name: &'static str, is_same: bool) {
        if !is_same {
            self.0.changes.push(Change::Property(name));
        }
    }

    fn because(&mut self, change: Change, is_same: bool) {
        if !is_same {
            self.0.changes.push(change);
        }
    }

    fn configs(&mut self, keys: Vec<String>) {
        self.0.configs = !keys.is_empty();
        if self.0.configs {
            self.0.changes.push(Change::Configs { keys });
        }
    }

    fn verdict(mut self) -> Verdict {
        self.0.is_modified = !self.0.changes.is_empty();
        self.0
    }
}

fn of_node(old: &Node, new: &Node) -> Verdict {
    let mut found = Found::default();
    let is_test = new.resource_type == ResourceType::Test;
    let same_body = match new.resource_type == ResourceType::Seed {
        true => is_same_seed(old.checksum.as_ref(), new.checksum.as_ref()),
        false => old.raw_code == new.raw_code,
    };
    let same_descriptions = is_test || has_same_descriptions(old, new);
    let same_relation = WHERE_BUILT
        .iter()
        .all(|key| is_same_key(&old.unrendered_config, &new.unrendered_config, key));
    let same_contract = contract::is_same(old, new);
    found.0.body = !same_body;
    found.0.persisted_descriptions = !same_descriptions;
    found.0.relation = !same_relation;
    found.0.contract = !same_contract;

    let is_generic_test = is_test && new.test_metadata.is_some();
    if !is_generic_test {
        found.because(Change::Body, same_body);
    }
    let counts: fn(&str) -> bool = match is_test {
        true => |key| OF_TESTS.contains(&key),
        false => |key| !APART.contains(&key),
    };
    found.configs(differing(
        &old.unrendered_config,
        &new.unrendered_config,
        counts,
    ));
    if !is_generic_test {
        found.because(Change::PersistedDescriptions, same_descriptions);
        found.because(Change::Relation, same_relation);
    }
    found.because(Change::Fqn, old.fqn == new.fqn);
    found.because(Change::Contract, same_contract);
    if new.resource_type == ResourceType::Model {
        found.property(
            "latest version",
            is_same_optional(old.latest_version.as_ref(), new.latest_version.as_ref()),
        );
        let [before, after] = [old, new].map(|node| node.access.as_deref().unwrap_or(ACCESS));
        found.property("access", before == after);
        let [before, after] = [old, new].map(|node| node.deprecation_date.as_deref());
        found.property("deprecation date", is_same_date(before, after));
    }
    if new.resource_type == ResourceType::Function {
        let [before, after] = [old, new].map(|node| Value::Array(node.arguments.clone()));
        found.property("arguments", is_same_record(&before, &after));
        let [before, after] = [old, new].map(|node| node.returns.clone().unwrap_or_default());
        found.property("returns", is_same_record(&before, &after));
    }
    found.verdict()
}

/// A seed over 1 MB is compared by its path; without a checksum nothing is the same.
fn is_same_seed(old: Option<&Checksum>, new: Option<&Checksum>) -> bool {
    new.is_some_and(|checksum| checksum.name != "none") && old == new
}

fn has_same_descriptions(old: &Node, new: &Node) -> bool {
    let wanted = &new.config.persist_docs;
    if wanted.relation && old.description != new.description {
        return false;
    }
    let columns = |node: &Node| -> Vec<(String, String)> {
        let columns = node.columns.iter();
        columns
            .map(|(name, column)| (name.clone(), column.description.clone()))
            .collect()
    };
    !wanted.columns || columns(old) == columns(new)
}

fn of_source(old: &Source, new: &Source, rules: Rules) -> Verdict {
    let mut found = Found::default();
    let same_place = if rules.compare_unrendered_sources {
        old.unrendered_database == new.unrendered_database
            && old.unrendered_schema == new.unrendered_schema
    } else {
        old.database == new.database && old.schema == new.schema
    };
    let same_relation = same_place && old.identifier == new.identifier;
    found.0.relation = !same_relation;
    found.because(Change::Relation, same_relation);
    found.because(Change::Fqn, old.fqn == new.fqn);
    found.configs(differing(
        &old.unrendered_config,
        &new.unrendered_config,
        |_| true,
    ));
    found.property("quoting", is_same_record(&old.quoting, &new.quoting));
    found.property(
        "freshness",
        is_same_record(&old.freshness, &new.freshness)
            && old.loaded_at_field == new.loaded_at_field,
    );
    found.property("external", is_same_record(&old.external, &new.external));
    found.verdict()
}

fn of_exposure(old: &Exposure, new: &Exposure) -> Verdict {
    let mut found = Found::default();
    let parents = |exposure: &Exposure| -> BTreeSet<String> {
        exposure.depends_on.nodes.iter().cloned().collect()
    };
    found.because(Change::Fqn, old.fqn == new.fqn);
    found.property("type", old.kind == new.kind);
    found.property("owner", is_same_record(&old.owner, &new.owner));
    found.property("maturity", old.maturity == new.maturity);
    found.property("url", old.url == new.url);
    found.property("description", old.description == new.description);
    found.property("label", old.label == new.label);
    found.property("depends_on", parents(old) == parents(new));
    found.configs(differing(
        &old.unrendered_config,
        &new.unrendered_config,
        |_| true,
    ));
    found.verdict()
}

fn of_metric(old: &Metric, new: &Metric) -> Verdict {
    let mut found = Found::default();
    found.property("type", old.kind == new.kind);
    found.property("description", old.description == new.description);
    found.property("label", old.label == new.label);
    found.configs(differing(
        &old.unrendered_config,
        &new.unrendered_config,
        |key| key != "group",
    ));
    found.verdict()
}

fn of_semantic(old: &SemanticModel, new: &SemanticModel) -> Verdict {
    let mut found = Found::default();
    found.property("model", old.model == new.model);
    found.property("description", old.description == new.description);
    found.property("defaults", is_same_record(&old.defaults, &new.defaults));
    found.property("entities", is_same_record(&old.entities, &new.entities));
    found.property(
        "dimensions",
        is_same_record(&old.dimensions, &new.dimensions),
    );
    found.property("measures", is_same_record(&old.measures, &new.measures));
    found.configs(rendered(&old.config, &new.config));
    found.property("primary entity", old.primary_entity == new.primary_entity);
    found.property("group", old.group == new.group);
    found.verdict()
}

fn of_query(old: &SavedQuery, new: &SavedQuery) -> Verdict {
    let mut found = Found::default();
    let parameter = |query: &SavedQuery, key: &str| query.query_params.get(key).cloned();
    for key in ["metrics", "group_by", "where"] {
        let [before, after] = [old, new].map(|query| parameter(query, key).unwrap_or_default());
        found.property(key, is_same_record(&before, &after));
    }
    found.property("description", old.description == new.description);
    found.property("label", old.label == new.label);
    found.configs(rendered(&old.config, &new.config));
    found.property("group", old.group == new.group);
    found.property("exports", is_same_exports(&old.exports, &new.exports));
    found.property("tags", old.tags == new.tags);
    found.verdict()
}

fn is_same_exports(old: &Value, new: &Value) -> bool {
    let list = |exports: &Value| exports.as_array().cloned().unwrap_or_default();
    let (old, new) = (list(old), list(new));
    let same = |(old, new): (&Value, &Value)| {
        let configured = |export: &Value| match export.get("unrendered_config") {
            Some(Value::Object(config)) => config.clone(),
            Some(_) | None => Map::new(),
        };
        let (before, after) = (configured(old), configured(new));
        old.get("name") == new.get("name")
            && WHERE_EXPORTED
                .iter()
                .all(|key| is_same_key(&before, &after, key))
    };
    old.len() == new.len() && old.iter().zip(&new).all(same)
}

/// Keys in which unrendered configurations differ: a key that is null is not a key that is absent.
fn differing(
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    counts: impl Fn(&str) -> bool,
) -> Vec<String> {
    let differs = |key: &str| match (old.get(key), new.get(key)) {
        (Some(old), Some(new)) => !is_equal(old, new),
        (None, None) => false,
        (Some(_), None) | (None, Some(_)) => true,
    };
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter(|key| counts(key) && differs(key))
        .cloned()
        .collect()
}

/// Keys in which rendered configurations differ. An older dbt leaves out what it does not know, which the
/// present one fills with its defaults.
fn rendered(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<String> {
    let value = |config: &Map<String, Value>, key: &str| match (config.get(key), key) {
        (Some(value), _) => value.clone(),
        (None, "enabled") => json!(true),
        (None, "meta") => json!({}),
        (None, "cache") => json!({"enabled": false}),
        (None, _) => Value::Null,
    };
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter(|key| !is_equal(&value(old, key), &value(new, key)))
        .cloned()
        .collect()
}

fn is_same_key(old: &Map<String, Value>, new: &Map<String, Value>, key: &str) -> bool {
    is_same_optional(old.get(key), new.get(key))
}

fn is_same_optional(old: Option<&Value>, new: Option<&Value>) -> bool {
    is_equal(old.unwrap_or(&Value::Null), new.unwrap_or(&Value::Null))
}

/// The same moment may be written with another offset.
fn is_same_date(old: Option<&str>, new: Option<&str>) -> bool {
    if old == new {
        return true;
    }
    let moments = (
        old.and_then(contract::instant),
        new.and_then(contract::instant),
    );
    matches!(moments, (Some(old), Some(new)) if old == new)
}
