//! A node of the manifest: whatever has SQL or rows of its own.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::config::Config;
use super::digest::as_set;
use super::shared::Shared;
use crate::foundation::word::stored_words;
use crate::inputs::manifest::artifact::decode;

stored_words! {
    /// dbt's kinds of resources (`dbt.artifacts.resources.types.NodeType`).
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[expect(missing_docs, reason = "the names are dbt's own")]
    pub enum ResourceType: "kind of node" {
        Model = "model",
        Analysis = "analysis",
        Test = "test",
        Snapshot = "snapshot",
        Operation = "operation",
        Seed = "seed",
        Rpc = "rpc",
        SqlOperation = "sql_operation",
        Doc = "doc",
        Source = "source",
        Macro = "macro",
        Exposure = "exposure",
        Metric = "metric",
        Group = "group",
        SavedQuery = "saved_query",
        SemanticModel = "semantic_model",
        UnitTest = "unit_test",
        Fixture = "fixture",
        Function = "function",
    }
}

impl ResourceType {
    /// Whether a node of this kind makes a relation of its own. A test does where it stores its failures
    /// ([`Node::makes_relation`]).
    #[must_use]
    pub fn makes_relations(self) -> bool {
        matches!(self, Self::Model | Self::Seed | Self::Snapshot)
    }
}

/// Which relation something is; compared exactly, since dbt-materialize quotes all three parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Relation {
    /// Absent when the manifest names none.
    pub database: Option<String>,
    /// The final schema.
    pub schema: String,
    /// The final name.
    pub identifier: String,
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        if let Some(database) = &self.database {
            write!(f, "{}.", quoted(database))?;
        }
        write!(f, "{}.{}", quoted(&self.schema), quoted(&self.identifier))
    }
}

/// A model, seed, snapshot, test, analysis, operation or function.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Node {
    /// For example `model.shop.orders`.
    pub unique_id: String,
    /// What it is.
    pub resource_type: ResourceType,
    /// The name that `ref` uses.
    pub name: String,
    /// The package that it belongs to.
    pub package_name: String,
    /// Relative to the directory of its kind.
    pub path: String,
    /// Relative to the root of its package.
    pub original_file_path: String,
    /// The YAML file that documents it: `package://models/schema.yml`.
    #[serde(skip_serializing)]
    pub patch_path: Option<String>,
    /// The path that selectors and configurations use.
    #[serde(default)]
    pub fqn: Vec<String>,
    /// The final database.
    pub database: Option<String>,
    /// The final schema.
    pub schema: Option<String>,
    /// The final name of the relation.
    pub alias: Option<String>,
    /// The relation as SQL; absent for what makes none (ephemeral models, tests that store nothing).
    pub relation_name: Option<String>,
    /// Of the file, or of the contents of a seed.
    pub checksum: Option<Checksum>,
    /// The rendered configuration.
    #[serde(default)]
    pub config: Config,
    /// The configuration as written, without defaults; what `state:modified` compares.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub unrendered_config: Map<String, Value>,
    /// What it was made from.
    #[serde(default)]
    pub depends_on: DependsOn,
    /// By name, as documented.
    #[serde(default, deserialize_with = "columns_in_order")]
    pub columns: BTreeMap<String, Column>,
    /// As documented.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub description: String,
    /// The template.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub raw_code: String,
    /// The SQL, once dbt has compiled it.
    #[serde(skip_serializing)]
    pub compiled_code: Option<String>,
    /// `sql` or `python`.
    pub language: Option<String>,
    /// Own and inherited tags.
    #[serde(
        default,
        deserialize_with = "decode::one_or_many",
        serialize_with = "as_set"
    )]
    pub tags: Vec<String>,
    /// Free data of the user.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub meta: Shared<Map<String, Value>>,
    /// Of a versioned model: a number or a text.
    pub version: Option<Value>,
    /// The version that an unqualified `ref` means.
    pub latest_version: Option<Value>,
    /// When a model is to go.
    pub deprecation_date: Option<String>,
    /// `private`, `protected` or `public`.
    pub access: Option<String>,
    /// The group that owns it.
    pub group: Option<String>,
    /// The promise about its columns.
    #[serde(default)]
    pub contract: Contract,
    /// Constraints of the whole relation.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub constraints: Vec<Constraint>,
    /// Of a generic test.
    pub test_metadata: Option<TestMetadata>,
    /// The node that a generic test was written at.
    pub attached_node: Option<String>,
    /// The column that a generic test was written at.
    pub column_name: Option<String>,
    /// What it names by `ref`.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub refs: Vec<Ref>,
    /// What it names by `source`: pairs of source and table.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub sources: Vec<Vec<String>>,
    /// The relation that dbt would take instead, in a manifest written by a run with `--defer`.
    #[serde(skip_serializing)]
    pub defer_relation: Option<Value>,
    /// Of a function.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub arguments: Vec<Value>,
    /// Of a function.
    pub returns: Option<Value>,
}

/// What nodes have in common with those before them in the file.
#[derive(Default)]
pub(super) struct Common {
    meta: Shared<Map<String, Value>>,
    config: Shared<BTreeMap<String, Value>>,
}

impl Common {
    pub(super) fn share(&mut self, node: &mut Node) {
        node.config.rest.share(&mut self.config);
        node.config.meta.share(&mut self.meta);
        // dbt writes the configured `meta` a second time at the node.
        node.meta.share(&mut self.meta);
    }
}

impl Node {
    /// Whether all that is written of it is as it was `before`: what its digests are made from, and so much more
    /// as makes no node that differs equal.
    #[must_use]
    pub fn is_as_it_was(&self, before: &Self) -> bool {
        let Self {
            unique_id,
            resource_type,
            name,
            package_name,
            path,
            original_file_path,
            patch_path: _,
            fqn,
            database,
            schema,
            alias,
            relation_name,
            checksum,
            config,
            unrendered_config,
            depends_on,
            columns,
            description,
            raw_code,
            compiled_code: _,
            language,
            tags,
            meta,
            version,
            latest_version,
            deprecation_date,
            access,
            group,
            contract,
            constraints,
            test_metadata,
            attached_node,
            column_name,
            refs,
            sources,
            defer_relation: _,
            arguments,
            returns,
        } = self;
        *unique_id == before.unique_id
            && *resource_type == before.resource_type
            && *name == before.name
            && *package_name == before.package_name
            && *path == before.path
            && *original_file_path == before.original_file_path
            && *fqn == before.fqn
            && *database == before.database
            && *schema == before.schema
            && *alias == before.alias
            && *relation_name == before.relation_name
            && *checksum == before.checksum
            && *config == before.config
            && *unrendered_config == before.unrendered_config
            && *depends_on == before.depends_on
            && *columns == before.columns
            && *description == before.description
            && *raw_code == before.raw_code
            && *language == before.language
            && *tags == before.tags
            && *meta == before.meta
            && *version == before.version
            && *latest_version == before.latest_version
            && *deprecation_date == before.deprecation_date
            && *access == before.access
            && *group == before.group
            && *contract == before.contract
            && *constraints == before.constraints
            && *test_metadata == before.test_metadata
            && *attached_node == before.attached_node
            && *column_name == before.column_name
            && *refs == before.refs
            && *sources == before.sources
            && *arguments == before.arguments
            && *returns == before.returns
    }

    /// The relation that it makes, if it makes one: dbt gives a `relation_name` to nothing else.
    pub fn relation(&self) -> Option<Relation> {
        self.relation_name.as_ref()?;
        Some(Relation {
            database: self.database.clone(),
            schema: self.schema.clone()?,
            identifier: self.identifier().to_owned(),
        })
    }

    /// Whether it is a test that leaves its failures as a relation; `by_default` says it for tests whose
    /// configuration does not. A manifest that a run wrote under the switch may have a `relation_name` for a
    /// test whose configuration says no, and dbt's materialization heeds the configuration.
    pub fn stores_failures(&self, by_default: bool) -> bool {
        let unsaid = || by_default || self.relation_name.is_some();
        self.resource_type == ResourceType::Test
            && self.says_to_store_failures().unwrap_or_else(unsaid)
    }

    /// Whether dbt makes a relation of it, or a part of others'; `by_default` as in
    /// [`Self::stores_failures`].
    pub fn makes_relation(&self, by_default: bool) -> bool {
        self.resource_type.makes_relations() || self.stores_failures(by_default)
    }

    /// What a test's own configuration says of storing its failures; `None` where a flag of dbt decides.
    /// `store_failures_as` overrides `store_failures` (`TestConfig.finalize_and_validate`).
    pub fn says_to_store_failures(&self) -> Option<bool> {
        let kind = self.config.rest.get("store_failures_as");
        match kind.and_then(Value::as_str) {
            Some(kind) => Some(kind != "ephemeral"),
            None => self.config.store_failures,
        }
    }

    /// What a test stores its failures as, dbt's word; `table` where it does not say.
    pub fn stores_failures_as(&self) -> &str {
        let configured = self.config.rest.get("store_failures_as");
        configured.and_then(Value::as_str).unwrap_or("table")
    }

    /// The view under the bare name that dbt 1.12 makes beside the latest version of a model: the alias
    /// that is configured for it, else the model's name; `None` where there is none.
    pub fn version_pointer(&self, by_default: bool) -> Option<&str> {
        let is_latest = self.version.is_some() && self.version == self.latest_version;
        // Versions before 1.12 write the key as it was given and make nothing.
        let configured = self.config.rest.get("latest_version_pointer");
        let is_wanted = match configured {
            Some(Value::Bool(enabled)) => *enabled,
            Some(configured) => {
                let enabled = configured.get("enabled").and_then(Value::as_bool);
                enabled.unwrap_or(by_default)
            }
            None => false,
        };
        if !is_latest || !is_wanted || self.resource_type != ResourceType::Model {
            return None;
        }
        let alias = configured.and_then(|configured| configured.get("alias")?.as_str());
        Some(
            alias
                .map(str::trim)
                .filter(|alias| !alias.is_empty())
                .unwrap_or(&self.name),
        )
    }

    /// The final name: the alias, or the name where there is none.
    pub fn identifier(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }

    /// Whether it is spliced into its dependents rather than made.
    pub fn is_ephemeral(&self) -> bool {
        self.resource_type == ResourceType::Model
            && self.config.materialized.as_deref() == Some("ephemeral")
    }
}

impl Node {
    /// Its columns in the order in which they are documented.
    pub fn columns_in_order(&self) -> Vec<&Column> {
        let mut columns: Vec<&Column> = self.columns.values().collect();
        columns.sort_by_key(|column| column.position.0);
        columns
    }
}

/// What a resource was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct DependsOn {
    /// Ids of nodes, sources, metrics and so on; the parents in the graph.
    #[serde(
        default,
        deserialize_with = "decode::or_default",
        serialize_with = "as_set"
    )]
    pub nodes: Vec<String>,
    /// Ids of macros; an empty one stands for a macro that dbt did not find (a generic test that was
    /// removed and is still used). Not written: running a node adds the macros that it met (measured on
    /// tests), and the macros themselves count in the hash.
    #[serde(default, deserialize_with = "decode::texts_or_empty", skip_serializing)]
    pub macros: Vec<String>,
}

/// A checksum and how it was made: `sha256`, `path` (a seed over 1 MB) or `none`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Checksum {
    /// How.
    pub name: String,
    /// The sum.
    #[serde(default)]
    pub checksum: String,
}

/// A documented column.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// As documented.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub description: String,
    /// As documented or promised.
    pub data_type: Option<String>,
    /// As promised.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub constraints: Vec<Constraint>,
    /// Whether the name is quoted in SQL.
    pub quote: Option<bool>,
    /// Free data of the user. Not written: nothing that is made depends on it.
    #[serde(default, deserialize_with = "decode::or_default", skip_serializing)]
    pub meta: Map<String, Value>,
    /// Its configuration, in which newer versions of dbt have `meta` as well. Not written.
    #[serde(default, deserialize_with = "decode::or_default", skip_serializing)]
    pub config: Map<String, Value>,
    /// Where it stands among the columns of its node.
    #[serde(skip)]
    pub position: Position,
}

/// A place in an order that makes no difference between columns.
#[derive(Clone, Copy, Debug, Default, Eq)]
pub struct Position(pub usize);

impl PartialEq for Position {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Columns by name, each with its place; `null` means none.
fn columns_in_order<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Column>, D::Error> {
    struct InOrder;

    impl<'de> Visitor<'de> for InOrder {
        type Value = BTreeMap<String, Column>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("columns by name")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(BTreeMap::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut columns = BTreeMap::new();
            while let Some((name, mut column)) = map.next_entry::<String, Column>()? {
                column.position = Position(columns.len());
                columns.insert(name, column);
            }
            Ok(columns)
        }
    }

    deserializer.deserialize_any(InOrder)
}

/// A constraint of a column or of a relation.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Constraint {
    /// For example `not_null`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its name.
    pub name: Option<String>,
    /// Its condition.
    pub expression: Option<String>,
    /// Its columns, when it is of a relation.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub columns: Vec<String>,
    /// Whether dbt warns when the database does not enforce it.
    pub warn_unenforced: Option<bool>,
    /// Whether dbt warns when the database does not know it.
    pub warn_unsupported: Option<bool>,
    /// The relation of a foreign key.
    pub to: Option<String>,
    /// The columns of a foreign key.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub to_columns: Vec<String>,
}

/// A node's promise about its columns, as dbt resolved it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Contract {
    /// Whether it is kept.
    #[serde(default)]
    pub enforced: bool,
    /// Whether dbt's own type names may be used.
    pub alias_types: Option<bool>,
    /// Of the columns and types.
    pub checksum: Option<String>,
}

/// Of a generic test: the macro and what it is called with.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct TestMetadata {
    /// For example `unique`.
    pub name: String,
    /// The arguments.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub kwargs: Map<String, Value>,
    /// The package of the macro.
    pub namespace: Option<String>,
}

/// A `ref` as written.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Ref {
    /// The name.
    pub name: String,
    /// The package, when given.
    pub package: Option<String>,
    /// The version, when given.
    pub version: Option<Value>,
}
