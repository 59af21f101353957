//! Small manifests for tests.

#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Manifest;

/// `left` with the keys of `right`.
pub(crate) fn with(mut left: Value, right: Value) -> Value {
    for (key, value) in right.as_object().unwrap() {
        left[key] = value.clone();
    }
    left
}

/// A resource of the package `shop` with these keys; what is left out gets a plain value.
pub(crate) fn resource(id: &str, keys: Value) -> Value {
    let parts: Vec<&str> = id.split('.').collect();
    let (kind, name) = (parts[0], parts[2..].join("."));
    let plain = json!({
        "unique_id": id,
        "resource_type": kind,
        "name": name,
        "package_name": parts[1],
        "path": format!("{name}.sql"),
        "original_file_path": format!("models/{name}.sql"),
        "fqn": parts[1..],
        "raw_code": "select 1",
        "source_name": parts[2],
        "schema": "s",
        "identifier": name,
        "type": "dashboard",
        "model": "m",
        "config": {"enabled": true},
        "unrendered_config": {},
        "depends_on": {"nodes": [], "macros": []},
    });
    with(plain, keys)
}

/// A test of some parents.
pub(crate) fn test(name: &str, parents: &[&str]) -> Value {
    resource(
        &format!("test.shop.{name}"),
        json!({
            "test_metadata": {"name": "unique", "kwargs": {}, "namespace": null},
            "depends_on": {"nodes": parents, "macros": []},
        }),
    )
}

/// A model of some parents.
pub(crate) fn model(name: &str, parents: &[&str]) -> Value {
    resource(
        &format!("model.shop.{name}"),
        json!({"depends_on": {"nodes": parents, "macros": []}}),
    )
}

/// A manifest of these resources, each in the map of its kind.
pub(crate) fn manifest(resources: impl IntoIterator<Item = Value>) -> Manifest {
    let mut maps = Map::new();
    maps.insert("nodes".to_owned(), json!({}));
    for resource in resources {
        let id = resource["unique_id"].as_str().unwrap().to_owned();
        let map = match id.split('.').next().unwrap() {
            "source" => "sources",
            "exposure" => "exposures",
            "metric" => "metrics",
            "semantic_model" => "semantic_models",
            "saved_query" => "saved_queries",
            "unit_test" => "unit_tests",
            "function" => "functions",
            "macro" => "macros",
            _ => "nodes",
        };
        maps.entry(map).or_insert_with(|| json!({}))[&id] = resource;
    }
    let metadata = json!({
        "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
        "adapter_type": "materialize",
        "project_name": "shop",
    });
    maps.insert("metadata".to_owned(), metadata);
    let bytes = serde_json::to_vec(&maps).unwrap();
    Manifest::from_slice(&bytes, Path::new("manifest.json")).unwrap()
}

/// A macro that calls others.
pub(crate) fn macro_of(name: &str, sql: &str, calls: &[&str]) -> Value {
    json!({
        "unique_id": format!("macro.shop.{name}"),
        "name": name,
        "package_name": "shop",
        "original_file_path": "macros/m.sql",
        "macro_sql": sql,
        "depends_on": {"macros": calls},
    })
}
