#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
use std::io::Write;

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

/// Written by dbt-core 1.11.16 with dbt-materialize 1.9.11; macros that nothing uses are taken out.
const SHOP: &[u8] = include_bytes!("../../../tests/fixtures/project/shop/manifest.json");

fn read(bytes: &[u8]) -> Result<Manifest, Error> {
    Manifest::from_slice(bytes, Path::new("target/manifest.json"))
}

fn shop() -> Manifest {
    read(SHOP).unwrap()
}

fn edited(edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(SHOP).unwrap();
    edit(&mut value);
    serde_json::to_vec(&value).unwrap()
}

fn with_source(error: &Error) -> String {
    let source = std::error::Error::source(error).map(|source| format!("\n  {source}"));
    format!("{error}{}", source.unwrap_or_default())
}

/// Written by dbt-core 1.12.6 with dbt-materialize 1.9.11.
const NEWER: &[u8] = include_bytes!("../../../tests/fixtures/project/dbt_1_12/manifest.json");

#[test]
fn reads_what_a_newer_dbt_wrote() {
    let manifest = read(NEWER).unwrap();
    assert_eq!(manifest.metadata.dbt_release(), Some((1, 12)));
    let totals = &manifest.nodes["model.shop.totals.v2"];
    assert_eq!(
        totals.config.rest["latest_version_pointer"],
        json!({"enabled": true, "alias": "totals_now"})
    );
    assert_eq!(
        totals.relation_name.as_deref(),
        Some("\"materialize\".\"public_marts\".\"totals_v2\"")
    );
    manifest.graph().unwrap();
    for (version, wanted) in [
        ("1.12.0rc1", Some((1, 12))),
        ("2.0.8", Some((2, 0))),
        ("dev", None),
    ] {
        let mut metadata = manifest.metadata.clone();
        metadata.dbt_version = Some(version.to_owned());
        assert_eq!(metadata.dbt_release(), wanted, "{version}");
    }
}

#[test]
fn reads_what_dbt_wrote() {
    let manifest = shop();
    assert_eq!(manifest.metadata.dbt_version.as_deref(), Some("1.11.16"));
    assert_eq!(manifest.metadata.project_name.as_deref(), Some("shop"));
    assert!(manifest.metadata.generated_at.is_some());
    assert_eq!(
        manifest
            .disabled
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>(),
        ["model.shop.off"]
    );
    assert!(manifest.selectors.contains_key("staging"));

    let orders = &manifest.nodes["model.shop.orders"];
    assert_eq!(orders.resource_type, ResourceType::Model);
    assert_eq!(
        orders.config.materialized.as_deref(),
        Some("materialized_view")
    );
    assert_eq!(orders.config.cluster.as_deref(), Some("compute"));
    let by_id = Index {
        columns: vec!["id".into()],
        name: Some("orders_by_id".into()),
        cluster: Some("serving".into()),
        default: false,
    };
    assert_eq!(
        orders.config.indexes,
        [
            by_id,
            Index {
                default: true,
                ..Index::default()
            }
        ]
    );
    assert!(orders.contract.enforced && orders.contract.checksum.is_some());
    let documents = &orders.config.persist_docs;
    assert!(documents.relation && documents.columns && documents.given.len() == 2);
    assert_eq!(orders.columns["id"].constraints[0].kind, "not_null");
    assert_eq!(orders.access.as_deref(), Some("public"));
    assert_eq!(orders.config.rest["on_schema_change"], "ignore");
    assert_eq!(
        orders.relation().unwrap().to_string(),
        orders.relation_name.clone().unwrap()
    );

    assert!(manifest.nodes["model.shop.eph"].is_ephemeral());
    assert_eq!(manifest.nodes["model.shop.eph"].relation(), None);
    assert_eq!(manifest.nodes["model.shop.dim.v2"].version, Some(json!(2)));
    let unique = manifest
        .nodes
        .values()
        .find(|node| node.name == "unique_orders_id")
        .unwrap();
    assert_eq!(unique.test_metadata.as_ref().unwrap().name, "unique");
    assert_eq!(unique.attached_node.as_deref(), Some("model.shop.orders"));
    assert_eq!(
        (unique.column_name.as_deref(), unique.config.store_failures),
        (Some("id"), Some(true))
    );
    assert!(unique.relation().is_some());

    assert_eq!(
        manifest.sources["source.shop.raw.customers"]
            .relation()
            .identifier,
        "cust"
    );
    assert_eq!(manifest.exposures["exposure.shop.board"].kind, "dashboard");
    assert_eq!(manifest.functions["function.shop.inc"].arguments.len(), 1);
    assert_eq!(manifest.macros["macro.shop.cents"].package_name, "shop");
    let kinds: BTreeSet<ResourceType> = manifest
        .resources()
        .map(|(_, it)| it.resource_type())
        .collect();
    assert_eq!(kinds.len(), 10);
    for (id, resource) in manifest.resources() {
        assert_eq!(manifest.get(id).unwrap().unique_id(), resource.unique_id());
    }
}

#[test]
fn the_graph_orders_and_reaches() {
    let manifest = shop();
    let graph = manifest.graph().unwrap();
    let order: Vec<&str> = graph.topological().collect();
    assert_eq!(order.len(), manifest.resources().count());
    let at = |id: &str| order.iter().position(|other| *other == id).unwrap();
    for (id, resource) in manifest.resources() {
        for parent in resource.parents() {
            assert!(at(parent) < at(id), "{parent} before {id}");
        }
    }
    let downstream = graph.downstream(["model.shop.stg_orders"]);
    assert!(
        downstream.contains("model.shop.orders_sink") && downstream.contains("metric.shop.revenue")
    );
    assert!(!downstream.contains("model.shop.stg_orders"));
    let upstream = graph.upstream(["model.shop.orders_sink"]);
    assert!(upstream.contains("source.shop.raw.orders") && upstream.contains("seed.shop.regions"));
    assert_eq!(
        graph.parents("model.shop.orders_sink").collect::<Vec<_>>(),
        ["model.shop.orders"]
    );
    assert!(
        graph
            .children("model.shop.eph")
            .any(|child| child == "unit_test.shop.eph.orders_unit")
    );
    assert_eq!(graph.children("nothing").count(), 0);
}

#[test]
fn what_is_wrong_is_named() {
    let faults = [
        read(&edited(|m| m["metadata"]["adapter_type"] = json!("postgres"))).unwrap_err(),
        read(&edited(|m| m["nodes"] = json!({}))).unwrap_err(),
        read(&edited(|m| m["metadata"]["dbt_schema_version"] = json!("https://schemas.getdbt.com/dbt/manifest/v11.json"))).unwrap_err(),
        read(&edited(|m| m["metadata"]["dbt_schema_version"] = json!("https://schemas.getdbt.com/dbt/catalog/v1.json"))).unwrap_err(),
        read(b"{\"nodes\": {}}").unwrap_err(),
        read(b"[]").unwrap_err(),
        read(b"").unwrap_err(),
        read(b"{\"a\":\n  nope}").unwrap_err(),
        read(&SHOP[..SHOP.len() - 20]).unwrap_err(),
        read(b"{\"metadata\": {\"dbt_schema_version\": \"x/dbt/manifest/v12.json\"},\n \"nodes\": {\"a\": 1}}").unwrap_err(),
        read(&edited(|m| {
            m["nodes"]["model.shop.ts"]["alias"] = json!("orders");
            m["nodes"]["model.shop.ts"]["schema"] = json!("public_marts");
        }))
        .unwrap_err(),
        Manifest::read(Path::new("/nowhere/manifest.json")).unwrap_err(),
    ];
    let texts: Vec<String> = faults.iter().map(with_source).collect();
    insta::assert_snapshot!(texts.join("\n"), @r###"
    target/manifest.json: `metadata.adapter_type` is `postgres`, Cutover releases `materialize` only; parse the project with a target of type materialize
    target/manifest.json: the project has no enabled model, seed or test; check `model-paths` and `enabled` in dbt_project.yml
    target/manifest.json: schema version v11 (written by dbt 1.11.16), Cutover reads v12; use dbt-core 1.8 to 1.11 and let it write the file again
    target/manifest.json: not a dbt manifest: its schema is `https://schemas.getdbt.com/dbt/catalog/v1.json`; pass the manifest that dbt writes to target/
    target/manifest.json: not a dbt manifest: it has no `metadata.dbt_schema_version`; pass the manifest that dbt writes to target/
    target/manifest.json: not a dbt manifest: the JSON is no object; pass the manifest that dbt writes to target/
    target/manifest.json:1:0 (byte 0): the JSON ends too soon; the file was not written to its end or was edited, let dbt write it again
      EOF while parsing a value at line 1 column 0
    target/manifest.json:2:4 (byte 9): not valid JSON; the file was not written to its end or was edited, let dbt write it again
      expected ident at line 2 column 4
    target/manifest.json:2263:26 (byte 49532): the JSON ends too soon; the file was not written to its end or was edited, let dbt write it again
      EOF while parsing an object at line 2263 column 26
    target/manifest.json:2:17 (byte 80): not as dbt writes it; let dbt write it again, and if it stays so report the version of dbt
      `a`: invalid type: integer `1`, expected struct Node at line 2 column 17
    target/manifest.json: `model.shop.orders` and `model.shop.ts` are both the relation "materialize"."public_marts"."orders"; give one of them another alias or schema
    /nowhere/manifest.json: cannot be read; run `dbt parse` in the project, or correct the path
      No such file or directory (os error 2)
    "###);
}

#[test]
fn broken_edges_are_named() {
    let missing = |parent: &str| {
        let bytes =
            edited(|m| m["nodes"]["model.shop.ts"]["depends_on"]["nodes"] = json!([parent]));
        read(&bytes).unwrap().graph().unwrap_err().to_string()
    };
    let circle = edited(|m| {
        m["nodes"]["model.shop.stg_orders"]["depends_on"]["nodes"] =
            json!(["model.shop.orders_sink"]);
    });
    let circle = read(&circle).unwrap().graph().unwrap_err().to_string();
    let texts = [
        missing("model.shop.gone"),
        missing("model.shop.off"),
        circle,
    ];
    insta::assert_snapshot!(texts.join("\n"), @r###"
    target/manifest.json: `model.shop.ts` depends on `model.shop.gone`, which is not in the manifest; let dbt write the manifest again
    target/manifest.json: `model.shop.ts` depends on `model.shop.off`, which is disabled; let dbt write the manifest again
    target/manifest.json: nodes depend on each other in a circle: model.shop.orders -> model.shop.orders_sink -> model.shop.stg_orders -> model.shop.orders; remove one of these references
    "###);
}

#[test]
fn the_hash_follows_meaning_only() {
    let hash = |bytes: &[u8]| read(bytes).unwrap().content_hash().unwrap();
    let base = hash(SHOP);
    assert_eq!(base.len(), 64);
    let noise = edited(|m| {
        m["metadata"]["generated_at"] = json!("2030-01-01T00:00:00Z");
        m["metadata"]["invocation_id"] = json!("other");
        m["nodes"]["model.shop.orders"]["created_at"] = json!(1.5);
        m["nodes"]["model.shop.orders"]["compiled_code"] = json!("select 1");
        m["nodes"]["seed.shop.regions"]["root_path"] = json!("/elsewhere");
        let nodes = m["nodes"]["model.shop.orders"]["depends_on"]["nodes"]
            .as_array_mut()
            .unwrap();
        nodes.reverse();
    });
    assert_eq!(hash(&noise), base);
    let changes: [fn(&mut Value); 4] = [
        |m| m["nodes"]["model.shop.orders"]["raw_code"] = json!("select 2"),
        |m| m["nodes"]["model.shop.orders"]["config"]["cluster"] = json!("other"),
        |m| m["nodes"]["seed.shop.regions"]["checksum"]["checksum"] = json!("0"),
        |m| {
            m["macros"]["macro.shop.cents"]["macro_sql"] =
                json!("{% macro cents(c) %}1{% endmacro %}")
        },
    ];
    for change in changes {
        assert_ne!(hash(&edited(change)), base);
    }
}

#[test]
fn odd_configurations_are_taken() {
    let bytes = edited(|m| {
        let node = &mut m["nodes"]["model.shop.orders"];
        node["config"]["tags"] = json!("one");
        node["config"]["indexes"] = json!(null);
        node["config"]["grants"] = json!({"select": ["a", "b"]});
        node["description"] = json!(null);
        node["future_field"] = json!({"a": 1});
        m["disabled"] = json!(null);
    });
    let manifest = read(&bytes).unwrap();
    let orders = &manifest.nodes["model.shop.orders"];
    assert_eq!(orders.config.tags, ["one"]);
    assert!(orders.config.indexes.is_empty() && manifest.disabled.is_empty());
}

#[test]
fn reads_fifty_megabytes() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut out = std::io::BufWriter::new(&mut file);
    write!(out, r#"{{"metadata": {{"dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json", "adapter_type": "materialize"}}, "nodes": {{"#).unwrap();
    let code = "select 1 as a_column, -- padding\\n".repeat(60);
    let count = 20_000;
    for number in 0..count {
        let comma = if number == 0 { "" } else { "," };
        let parent = if number == 0 {
            String::new()
        } else {
            format!("\"model.big.m{}\"", number - 1)
        };
        write!(
            out,
            r#"{comma}"model.big.m{number}": {{"unique_id": "model.big.m{number}", "resource_type": "model", "name": "m{number}",
            "package_name": "big", "path": "m{number}.sql", "original_file_path": "models/m{number}.sql", "fqn": ["big", "m{number}"],
            "database": "d", "schema": "s", "alias": "m{number}", "relation_name": "\"d\".\"s\".\"m{number}\"",
            "config": {{"materialized": "view", "enabled": true, "tags": [], "cluster": null}}, "depends_on": {{"nodes": [{parent}], "macros": []}},
            "raw_code": "{code}", "parent_map": {{}}}}"#
        )
        .unwrap();
    }
    write!(out, "}}}}").unwrap();
    drop(out);
    assert!(file.as_file().metadata().unwrap().len() > 50_000_000);
    let manifest = Manifest::read(file.path()).unwrap();
    assert_eq!(manifest.nodes.len(), count);
    let graph = manifest.graph().unwrap();
    assert_eq!(graph.downstream(["model.big.m0"]).len(), count - 1);
}
