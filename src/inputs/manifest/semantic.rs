//! The resources of the manifest that dbt makes no relation for: sources, exposures, the semantic layer,
//! unit tests and macros. Fields that only a state comparison looks at stay JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::node::{Column, DependsOn, Relation};
use crate::inputs::manifest::artifact::decode;

/// A table that somebody else writes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the names and meanings are dbt's own")]
pub struct Source {
    pub unique_id: String,
    /// The table's name in `source()`.
    pub name: String,
    /// The source's name in `source()`.
    pub source_name: String,
    pub package_name: String,
    #[serde(default, deserialize_with = "decode::or_default")]
    pub path: String,
    pub original_file_path: String,
    #[serde(skip_serializing)]
    pub patch_path: Option<String>,
    #[serde(default)]
    pub fqn: Vec<String>,
    pub database: Option<String>,
    pub schema: String,
    pub identifier: String,
    pub relation_name: Option<String>,
    /// As written, before Jinja.
    pub unrendered_database: Option<String>,
    /// As written, before Jinja.
    pub unrendered_schema: Option<String>,
    #[serde(default)]
    pub quoting: Value,
    #[serde(default)]
    pub freshness: Value,
    pub loaded_at_field: Option<String>,
    pub loaded_at_query: Option<String>,
    #[serde(default)]
    pub external: Value,
    #[serde(default, deserialize_with = "decode::or_default")]
    pub columns: BTreeMap<String, Column>,
    #[serde(default, deserialize_with = "decode::or_default")]
    pub description: String,
    #[serde(default, deserialize_with = "decode::one_or_many")]
    pub tags: Vec<String>,
    #[serde(default, deserialize_with = "decode::or_default")]
    pub meta: Map<String, Value>,
    #[serde(default, deserialize_with = "decode::or_default")]
    pub config: Map<String, Value>,
    #[serde(default, deserialize_with = "decode::or_default")]
    pub unrendered_config: Map<String, Value>,
}

impl Source {
    /// The relation that it stands for.
    pub fn relation(&self) -> Relation {
        Relation {
            database: self.database.clone(),
            schema: self.schema.clone(),
            identifier: self.identifier.clone(),
        }
    }
}

/// A resource that is written in YAML files, with what dbt says of each such beside its own fields. The fields are
/// put into each struct: with serde's `flatten` every value would be held twice while it is read.
macro_rules! described {
    ($(#[$about:meta])* pub struct $kind:ident { $($own:tt)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Deserialize, Serialize)]
        #[expect(missing_docs, reason = "the names and meanings are dbt's own")]
        pub struct $kind {
            pub unique_id: String,
            pub name: String,
            pub package_name: String,
            #[serde(default, deserialize_with = "decode::or_default")]
            pub path: String,
            pub original_file_path: String,
            #[serde(default)]
            pub fqn: Vec<String>,
            $($own)*
            #[serde(default, deserialize_with = "decode::or_default")]
            pub config: Map<String, Value>,
            #[serde(default, deserialize_with = "decode::or_default")]
            pub unrendered_config: Map<String, Value>,
            #[serde(default)]
            pub depends_on: DependsOn,
        }
    };
}

described! {
    /// A use of the project's data outside of it.
    pub struct Exposure {
        #[serde(rename = "type")]
        pub kind: String,
        #[serde(default)]
        pub owner: Value,
        pub maturity: Option<String>,
        pub url: Option<String>,
        pub label: Option<String>,
        #[serde(default, deserialize_with = "decode::or_default")]
        pub description: String,
        #[serde(default, deserialize_with = "decode::one_or_many")]
        pub tags: Vec<String>,
        #[serde(default, deserialize_with = "decode::or_default")]
        pub meta: Map<String, Value>,
    }
}

/// A group, which owns nodes.
#[derive(Clone, Debug, Deserialize)]
pub struct Group {
    /// For example `group.shop.finance`.
    pub unique_id: String,
    /// What nodes call it.
    pub name: String,
    /// As written: `name`, `email`, and whatever else the project says.
    #[serde(default)]
    pub owner: Value,
}

described! {
    /// A metric.
    pub struct Metric {
        #[serde(rename = "type")]
        pub kind: String,
        #[serde(default)]
        pub type_params: Value,
        #[serde(default)]
        pub filter: Value,
        pub time_granularity: Option<String>,
        pub label: Option<String>,
        #[serde(default, deserialize_with = "decode::or_default")]
        pub description: String,
        #[serde(default, deserialize_with = "decode::one_or_many")]
        pub tags: Vec<String>,
        #[serde(default, deserialize_with = "decode::or_default")]
        pub meta: Map<String, Value>,
        pub group: Option<String>,
    }
}

described! {
    /// A semantic model.
    pub struct SemanticModel {
        /// The `ref` as written.
        pub model: String,
        pub label: Option<String>,
        pub description: Option<String>,
        #[serde(default)]
        pub defaults: Value,
        #[serde(default)]
        pub entities: Value,
        #[serde(default)]
        pub dimensions: Value,
        #[serde(default)]
        pub measures: Value,
        pub primary_entity: Option<String>,
        pub group: Option<String>,
    }
}

described! {
    /// A saved query.
    pub struct SavedQuery {
        #[serde(default)]
        pub query_params: Value,
        #[serde(default)]
        pub exports: Value,
        pub label: Option<String>,
        pub description: Option<String>,
        #[serde(default, deserialize_with = "decode::one_or_many")]
        pub tags: Vec<String>,
        pub group: Option<String>,
    }
}

/// A unit test. Its checksum covers what it is given and what it expects.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the names and meanings are dbt's own")]
pub struct UnitTest {
    pub unique_id: String,
    pub name: String,
    pub package_name: String,
    #[serde(default, deserialize_with = "decode::or_default")]
    pub path: String,
    pub original_file_path: String,
    #[serde(default)]
    pub fqn: Vec<String>,
    /// The name of the model under test.
    pub model: String,
    pub checksum: Option<String>,
    pub version: Option<Value>,
    #[serde(default, deserialize_with = "decode::or_default")]
    pub config: Map<String, Value>,
    #[serde(default)]
    pub depends_on: DependsOn,
    /// What stands for each relation that the model reads. Like the rest, it is covered by the checksum.
    #[serde(default, skip_serializing, deserialize_with = "decode::or_default")]
    pub given: Vec<Given>,
    #[serde(default, skip_serializing, deserialize_with = "decode::or_default")]
    pub expect: Fixture,
    /// Macros, variables and variables of the environment that mean something else in it.
    #[serde(default, skip_serializing, deserialize_with = "decode::or_default")]
    pub overrides: Map<String, Value>,
}

/// Rows of a unit test.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Fixture {
    /// A list of objects, or SQL; dbt puts the contents of files here, and reads CSV.
    #[serde(default)]
    pub rows: Value,
    /// `dict`, `csv` or `sql`.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub format: String,
}

/// What stands for one relation in a unit test.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Given {
    /// The relation as the model's author would write it, `ref('x')`.
    #[serde(default, deserialize_with = "decode::or_default")]
    pub input: String,
    /// Its rows.
    #[serde(flatten)]
    pub fixture: Fixture,
}

/// A macro.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[expect(missing_docs, reason = "the names and meanings are dbt's own")]
pub struct Macro {
    pub unique_id: String,
    pub name: String,
    pub package_name: String,
    pub original_file_path: String,
    pub macro_sql: String,
    /// Only `macros` is used.
    #[serde(default)]
    pub depends_on: DependsOn,
}
