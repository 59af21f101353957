#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
use super::*;
use serde_json::json;

/// A model with this configuration and these columns.
fn node(config: Value, columns: Value) -> Node {
    let node = json!({
        "unique_id": "model.shop.m", "resource_type": "model", "name": "m", "package_name": "shop",
        "path": "m.sql", "original_file_path": "models/m.sql", "database": "d", "schema": "s",
        "relation_name": "\"d\".\"s\".\"m\"", "config": config, "columns": columns,
    });
    serde_json::from_value(node).unwrap()
}

fn options_of(config: Value) -> Result<Vec<ViewOption>, String> {
    options(&node(config, json!({})))
}

#[test]
fn options_come_in_the_order_of_the_adapter() {
    let config = json!({
        "retain_history": "1hr", "partition_by": ["a", "\"B\""], "contract": {"enforced": true},
        "refresh_interval": {"at_creation": true, "every": "1 day", "aligned_to": "2024-01-01"},
    });
    // As documented, not by name.
    let text = r#"{"b": {"name": "b", "constraints": [{"type": "not_null"}]},
                   "A": {"name": "A", "quote": true, "constraints": [{"type": "not_null"}]}, "c": {"name": "c"}}"#;
    let document = format!(
        r#"{{"unique_id": "model.shop.m", "resource_type": "model", "name": "m", "package_name": "shop",
            "path": "m.sql", "original_file_path": "models/m.sql", "config": {config}, "columns": {text}}}"#
    );
    let node: Node = serde_json::from_str(&document).unwrap();
    let refresh = Refresh {
        at_creation: true,
        every: Some("1 day".to_owned()),
        aligned_to: Some("2024-01-01".to_owned()),
        ..Refresh::default()
    };
    assert_eq!(
        options(&node),
        Ok(vec![
            ViewOption::Refresh(refresh),
            ViewOption::PartitionBy(vec!["a".to_owned(), "B".to_owned()]),
            ViewOption::RetainHistory("1hr".to_owned()),
            ViewOption::AssertNotNull("b".to_owned()),
            ViewOption::AssertNotNull("A".to_owned()),
        ])
    );
    assert_eq!(
        options_of(json!({"retain_history": null, "partition_by": []})),
        Ok(Vec::new())
    );
}

#[test]
fn what_the_adapter_may_write_otherwise_does_not_qualify() {
    for (config, expected) in [
        (json!({"partition_by": "a"}), "partition_by"),
        (json!({"partition_by": ["a b"]}), "needs quotes"),
        (json!({"retain_history": 5}), "retain_history"),
        (json!({"refresh_interval": "1 day"}), "refresh_interval"),
        (
            json!({"refresh_interval": {"each": "1 day"}}),
            "refresh_interval",
        ),
        (
            json!({"refresh_interval": {"every": null}}),
            "refresh_interval",
        ),
        (
            json!({"refresh_interval": {"at": "2024-01-01", "at_creation": true}}),
            "cannot write",
        ),
        (
            json!({"refresh_interval": {"every": "1 day", "on_commit": true}}),
            "cannot write",
        ),
    ] {
        let error = options_of(config.clone()).unwrap_err();
        assert!(error.contains(expected), "{config}: {error}");
    }
    let enforced = json!({"contract": {"enforced": true}});
    for constraints in [
        json!([{"type": "unique"}]),
        json!([{"type": "not_null"}, {"type": "check", "expression": "a > 0"}]),
    ] {
        let columns = json!({"a": {"name": "a", "data_type": "int", "constraints": constraints}});
        let error = options(&node(enforced.clone(), columns)).unwrap_err();
        assert!(error.contains("other than one not_null"), "{error}");
    }
    for (columns, expected) in [
        (json!({}), "without columns"),
        (
            json!({"a": {"name": "a"}}),
            "without a type for the column a",
        ),
        (
            json!({"a b": {"name": "a b", "data_type": "int"}}),
            "needs quotes",
        ),
    ] {
        let error = contract(&node(enforced.clone(), columns)).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let promised = json!({"A": {"name": "A", "data_type": "int"}, "B": {"name": "B", "data_type": "text", "quote": true}});
    let promised = contract(&node(enforced, promised)).unwrap().unwrap();
    let names: BTreeSet<&str> = promised.iter().map(|promise| &*promise.name).collect();
    assert_eq!(names, BTreeSet::from(["a", "B"]));
}

#[test]
fn a_relation_that_is_not_quoted_is_the_same_only_in_lower_case() {
    let planned = |schema: &str, identifier: &str| PlannedNode {
        unique_id: "model.shop.m".to_owned(),
        schema: schema.to_owned(),
        identifier: identifier.to_owned(),
        materialized: "view".to_owned(),
        kind: Some(ObjectKind::View),
        cluster: None,
        indexes: 0,
        persists_relation_comment: false,
        persists_column_comments: false,
        stores_failures: false,
        refresh: None,
        diff: crate::domain::diff::Traits::default(),
        depends_on: Vec::new(),
        reason: String::new(),
    };
    let mut written = node(json!({}), json!({}));
    for (name, schema, identifier, expected) in [
        ("\"d\".\"s\".\"m\"", "s", "m", true),
        ("d.s.m", "s", "m", true),
        ("d.S.m", "S", "m", false),
        ("\"d\".\"S\".\"a \"\"b\"", "S", "a \"b", true),
        ("\"s\".\"m\"", "s", "m", false),
    ] {
        written.relation_name = Some(name.to_owned());
        let is = is_quoted(&written, &planned(schema, identifier)).is_ok();
        assert_eq!(is, expected, "{name}");
    }
}
