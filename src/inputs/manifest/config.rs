//! A node's rendered configuration: the keys that a release uses, and the rest as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::digest::as_set;
use super::shared::Shared;
use crate::inputs::manifest::artifact::decode::{self, Key};

/// The rendered configuration of a node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// False only for what stands among the disabled.
    pub enabled: bool,
    /// For example `view`, `materialized_view`, `source`, `sink`, `seed`, `test`.
    pub materialized: Option<String>,
    /// The cluster, as it is spliced into SQL: see [`ClusterName`](crate::inputs::manifest::identifier::ClusterName).
    pub cluster: Option<String>,
    /// The indexes to make with the relation.
    pub indexes: Vec<Index>,
    /// The database as configured, before `generate_database_name`.
    pub database: Option<String>,
    /// The schema as configured, before `generate_schema_name`.
    pub schema: Option<String>,
    /// The alias as configured.
    pub alias: Option<String>,
    /// Tags.
    #[serde(serialize_with = "as_set")]
    pub tags: Vec<String>,
    /// Free data of the user.
    pub meta: Shared<Map<String, Value>>,
    /// The group that owns it.
    pub group: Option<String>,
    /// Which descriptions become comments.
    pub persist_docs: PersistDocs,
    /// The promise about columns.
    pub contract: ContractConfig,
    /// Of a test: whether its failures become a relation.
    pub store_failures: Option<bool>,
    /// Of a test: `error` or `warn`, in any case.
    pub severity: Option<String>,
    /// From privilege to one role or a list of roles.
    pub grants: Map<String, Value>,
    /// Every other key.
    #[serde(flatten)]
    pub rest: Shared<BTreeMap<String, Value>>,
}

/// By hand: what serde derives for `flatten` holds every value twice.
impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Config;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a configuration")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Config, A::Error> {
        let mut config = Config::default();
        let mut rest = BTreeMap::new();
        while let Some(Key(key)) = map.next_key()? {
            match &*key {
                "enabled" => config.enabled = map.next_value()?,
                "materialized" => config.materialized = map.next_value()?,
                "cluster" => config.cluster = map.next_value()?,
                "indexes" => config.indexes = or_default(&mut map)?,
                "database" => config.database = map.next_value()?,
                "schema" => config.schema = map.next_value()?,
                "alias" => config.alias = map.next_value()?,
                "tags" => config.tags = map.next_value::<decode::Texts>()?.0,
                "meta" => config.meta = or_default(&mut map)?,
                "group" => config.group = map.next_value()?,
                "persist_docs" => config.persist_docs = or_default(&mut map)?,
                "contract" => config.contract = or_default(&mut map)?,
                "store_failures" => config.store_failures = map.next_value()?,
                "severity" => config.severity = map.next_value()?,
                "grants" => config.grants = or_default(&mut map)?,
                _ => {
                    rest.insert(key.into_owned(), map.next_value()?);
                }
            }
        }
        config.rest = rest.into();
        Ok(config)
    }
}

/// `null` means the default.
fn or_default<'de, T: Deserialize<'de> + Default, A: MapAccess<'de>>(
    map: &mut A,
) -> Result<T, A::Error> {
    Ok(map.next_value::<Option<T>>()?.unwrap_or_default())
}

impl Config {
    /// Whether dbt runs SQL of the project before or after it builds the node.
    #[must_use]
    pub fn has_hooks(&self) -> bool {
        ["pre-hook", "post-hook"].iter().any(|key| {
            let hooks = self.rest.get(*key).and_then(Value::as_array);
            hooks.is_some_and(|hooks| !hooks.is_empty())
        })
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            materialized: None,
            cluster: None,
            indexes: Vec::new(),
            database: None,
            schema: None,
            alias: None,
            tags: Vec::new(),
            meta: Shared::default(),
            group: None,
            persist_docs: PersistDocs::default(),
            contract: ContractConfig::default(),
            store_failures: None,
            severity: None,
            grants: Map::new(),
            rest: Shared::default(),
        }
    }
}

/// An index that the adapter makes with a relation.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Index {
    /// Its columns or expressions; none for a default index.
    #[serde(default, deserialize_with = "decode::one_or_many")]
    pub columns: Vec<String>,
    /// Its name; Materialize chooses one when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// Its cluster; the relation's, else the target's, when absent.
    #[serde(default)]
    pub cluster: Option<String>,
    /// Whether it is on the relation's key.
    #[serde(default)]
    pub default: bool,
}

/// Which descriptions the adapter writes as comments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(from = "Map<String, Value>")]
pub struct PersistDocs {
    /// The relation's.
    pub relation: bool,
    /// The columns'.
    pub columns: bool,
    /// As configured; `config.persist_docs.relation:false` asks whether the key is there at all.
    #[serde(skip_serializing)]
    pub given: Map<String, Value>,
}

impl From<Map<String, Value>> for PersistDocs {
    fn from(given: Map<String, Value>) -> Self {
        // As dbt: whatever Python takes for true.
        let is_on = |key: &str| given.get(key).is_some_and(is_true);
        Self {
            relation: is_on("relation"),
            columns: is_on("columns"),
            given,
        }
    }
}

/// What Python's `bool()` says of a value.
pub(crate) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
    }
}

/// The promise about columns, as configured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ContractConfig {
    /// Whether it is kept.
    #[serde(default)]
    pub enforced: bool,
    /// Whether dbt's own type names may be used.
    #[serde(default)]
    pub alias_types: Option<bool>,
}
