//! A manifest against a catalog, one thing wrong at a time.

use super::{Input, NotTaken, check, relations};
use crate::adapters::artifacts::drift::{self, Change};
use crate::adapters::artifacts::{Key, Kind, Metadata, Name};
use crate::domain::catalog::{Catalog, Object, ObjectKind, Schema};
use crate::foundation::failure::{Class, Classify};
use crate::inputs::manifest::Manifest;
use crate::inputs::manifest::run_results::RunResults;
use std::collections::BTreeSet;
use std::path::Path;

const SHOP: &str = include_str!("../../../../tests/fixtures/project/shop/manifest.json");

fn manifest(text: &str) -> Manifest {
    Manifest::from_slice(text.as_bytes(), Path::new("manifest.json")).expect("a manifest")
}

fn schema(catalog: &mut Catalog, name: &str) {
    let id = format!("s{}", catalog.schemas.len() + 1);
    let database = catalog.database.clone();
    let schema = Schema {
        id: id.clone(),
        name: name.to_owned(),
        database,
        owner: "me".to_owned(),
        grants: Vec::new(),
        default_privileges: Vec::new(),
        comment: None,
    };
    catalog.schemas.insert(id, schema);
}

fn object(catalog: &mut Catalog, id: &str, schema: &str, name: &str, kind: ObjectKind) {
    let schema_id = catalog.schema(schema).expect("a schema").id.clone();
    let object = Object {
        id: id.to_owned(),
        name: name.to_owned(),
        kind,
        schema_id,
        owner: "me".to_owned(),
        cluster_id: None,
        fed_by_source: false,
        is_part: false,
        grants: Vec::new(),
        comment: None,
        columns: std::collections::BTreeMap::new(),
        column_order: Vec::new(),
        not_null: BTreeSet::new(),
        column_comments: Vec::new(),
    };
    catalog.objects.insert(id.to_owned(), object);
}

/// What the manifest describes, live; and its schemas.
fn world(manifest: &Manifest) -> (Catalog, BTreeSet<String>) {
    let relations = relations(manifest);
    let mut catalog = Catalog {
        database: relations[0].1.database.clone().expect("a database"),
        ..Catalog::default()
    };
    let schemas: BTreeSet<String> = relations.iter().map(|(_, r)| r.schema.clone()).collect();
    for name in &schemas {
        schema(&mut catalog, name);
    }
    for (number, (node, relation)) in relations.iter().enumerate() {
        let kind = super::kinds(node).first().copied();
        let kind = kind.unwrap_or(ObjectKind::Table);
        let id = format!("u{number}");
        object(
            &mut catalog,
            &id,
            &relation.schema,
            &relation.identifier,
            kind,
        );
    }
    (catalog, schemas)
}

fn names(refused: Result<(), NotTaken>) -> Vec<Name> {
    let refused = refused.expect_err("it is refused");
    assert_eq!(refused.class(), Class::Refused);
    refused.0.iter().map(|reason| reason.name).collect()
}

struct Case {
    manifest: Manifest,
    catalog: Catalog,
    schemas: BTreeSet<String>,
}

impl Case {
    fn new() -> Self {
        let manifest = manifest(SHOP);
        let (catalog, schemas) = world(&manifest);
        Self {
            manifest,
            catalog,
            schemas,
        }
    }

    fn check(&self) -> Result<(), NotTaken> {
        self.check_with(None)
    }

    fn check_with(&self, run_results: Option<&RunResults>) -> Result<(), NotTaken> {
        check(&Input {
            project: "shop",
            schemas: &self.schemas,
            manifest: &self.manifest,
            run_results,
            catalog: &self.catalog,
        })
    }

    fn move_relations(&mut self, name: impl Fn(&str) -> String) {
        for node in self.manifest.nodes.values_mut() {
            node.schema = node.schema.as_deref().map(&name);
        }
    }
}

#[test]
fn a_manifest_of_what_is_live_is_taken() {
    let mut case = Case::new();
    assert_eq!(case.check(), Ok(()));
    // What lies outside of the deployment is not looked at.
    let outside = case.schemas.pop_last().expect("a schema");
    case.catalog.objects.retain(|_, object| {
        let schema = &case.catalog.schemas[&object.schema_id];
        schema.name != outside
    });
    assert_eq!(case.check(), Ok(()));
}

#[test]
fn what_is_not_live_is_listed() {
    let mut case = Case::new();
    let gone: Vec<String> = case.catalog.objects.keys().take(2).cloned().collect();
    for id in &gone {
        case.catalog.objects.remove(id);
    }
    let other = case.catalog.objects.values_mut().next().expect("an object");
    other.kind = ObjectKind::Sink;
    let refused = case.check().expect_err("it is refused");
    assert_eq!(refused.0[0].objects.len(), 2, "{refused}");
    assert_eq!(
        names(Err(refused)),
        [Name::RelationMissing, Name::RelationKind]
    );
}

#[test]
fn manifests_of_something_else_are_refused_by_name() {
    let mut green = Case::new();
    green.move_relations(|name| format!("{name}_dbt_deploy"));
    assert_eq!(names(green.check()), [Name::ManifestGreen]);

    let mut pull_request = Case::new();
    pull_request.move_relations(|name| format!("pr_7_{name}"));
    assert_eq!(names(pull_request.check()), [Name::ManifestElsewhere]);

    // Only one of the schemas is elsewhere, and production holds something there.
    let mut partly = Case::new();
    let first = partly.schemas.first().cloned().expect("a schema");
    partly.move_relations(|name| match name == first {
        true => "dev_schema".to_owned(),
        false => name.to_owned(),
    });
    assert_eq!(names(partly.check()), [Name::ManifestElsewhere]);

    let mut database = Case::new();
    for node in database.manifest.nodes.values_mut() {
        node.database = Some("other".to_owned());
    }
    assert_eq!(names(database.check()), [Name::ManifestDatabase]);

    let mut project = Case::new();
    project.manifest.metadata.project_name = Some("bank".to_owned());
    assert_eq!(names(project.check()), [Name::ManifestForeign]);
    let text = project.check().expect_err("refused").to_string();
    assert!(text.contains("remedy: "), "{text}");

    let results = RunResults::from_slice(
        br#"{"metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json"},
            "results": [{"unique_id": "model.bank.x", "status": "success"}]}"#,
        Path::new("run_results.json"),
    );
    let results = results.expect("run results");
    assert_eq!(
        names(Case::new().check_with(Some(&results))),
        [Name::RunResultsForeign]
    );
}

#[test]
fn drift_is_what_is_missing_recreated_or_extra() {
    let case = Case::new();
    let mut catalog = case.catalog.clone();
    let metadata = Metadata::now(
        &Key::new("shop", "production"),
        Kind::Imported,
        "import-1",
        "prod",
        "hash",
        &case.schemas,
        &catalog,
    );
    assert_eq!(metadata.objects.len(), catalog.objects.len());
    assert_eq!(drift::found(&metadata, &catalog), []);

    let ids: Vec<String> = catalog.objects.keys().take(2).cloned().collect();
    let gone = catalog.objects.remove(&ids[0]).expect("an object");
    let mut again = catalog.objects.remove(&ids[1]).expect("an object");
    again.id = "u900".to_owned();
    let schema = case.schemas.first().expect("a schema");
    let recreated = again.name.clone();
    catalog.objects.insert("u900".to_owned(), again);
    object(&mut catalog, "u901", schema, "a stranger", ObjectKind::View);
    let found: Vec<(String, Change)> = drift::found(&metadata, &catalog)
        .into_iter()
        .map(|drift| (drift.name, drift.change))
        .collect();
    let (recorded, extra) = (ids[1].clone(), "u901".to_owned());
    let mut expected = vec![
        (gone.name, Change::Missing { recorded: gone.id }),
        (
            recreated,
            Change::Recreated {
                recorded,
                found: "u900".to_owned(),
            },
        ),
        ("a stranger".to_owned(), Change::Extra { found: extra }),
    ];
    expected.sort();
    let mut sorted = found.clone();
    sorted.sort();
    assert_eq!(sorted, expected);

    // A schema that is gone takes all of its objects with it.
    let mut without = case.catalog.clone();
    without.schemas.clear();
    let all = drift::found(&metadata, &without);
    assert_eq!(all.len(), metadata.objects.len());
    assert!(all.iter().all(|drift| drift.change.as_str() == "missing"));
}

/// What a test stores is a relation of the project, and no build makes it.
#[test]
fn what_tests_store_is_known_and_may_be_missing() {
    let mut document: serde_json::Value = serde_json::from_str(SHOP).expect("JSON");
    let nodes = document["nodes"].as_object_mut().expect("nodes");
    let test = nodes
        .values_mut()
        .find(|node| node["resource_type"] == "test");
    let test = test.expect("a test");
    test["schema"] = "audit".into();
    test["alias"] = "positive".into();
    test["relation_name"] = "r".into();
    test["config"]["store_failures"] = true.into();
    test["config"]["store_failures_as"] = "view".into();
    let manifest = manifest(&document.to_string());
    let (mut catalog, schemas) = world(&manifest);
    let checked = |catalog: &Catalog| {
        let input = Input {
            project: "shop",
            schemas: &schemas,
            manifest: &manifest,
            run_results: None,
            catalog,
        };
        check(&input)
    };
    assert!(schemas.contains("audit"));
    checked(&catalog).expect("it is taken");
    catalog
        .objects
        .values_mut()
        .filter(|object| object.name == "positive")
        .for_each(|object| object.kind = ObjectKind::MaterializedView);
    assert_eq!(names(checked(&catalog)), [Name::RelationKind]);
    catalog
        .objects
        .retain(|_, object| object.name != "positive");
    checked(&catalog).expect("it is taken");
}
