use super::shared;
use crate::adapters::artifacts::document::VERSION;
use crate::adapters::artifacts::{Kind, Metadata, Other, RecordedObject};
use crate::domain::catalog::{Catalog, Object, ObjectKind, Schema};
use crate::inputs::project::Deployment;
use std::collections::BTreeMap;

fn listed() -> Deployment {
    Deployment {
        clusters: vec!["compute".to_owned()],
        schemas: vec!["marts".to_owned(), "staging".to_owned()],
    }
}

fn catalog() -> Catalog {
    let schema = Schema {
        id: "u7".to_owned(),
        name: "marts".to_owned(),
        database: "materialize".to_owned(),
        owner: "me".to_owned(),
        grants: Vec::new(),
        default_privileges: Vec::new(),
        comment: None,
    };
    let object = Object {
        id: "u9".to_owned(),
        name: "totals".to_owned(),
        kind: ObjectKind::View,
        schema_id: "u7".to_owned(),
        owner: "me".to_owned(),
        cluster_id: None,
        fed_by_source: false,
        is_part: false,
        grants: Vec::new(),
        comment: None,
        columns: BTreeMap::new(),
        column_order: Vec::new(),
        not_null: std::collections::BTreeSet::new(),
        column_comments: Vec::new(),
    };
    Catalog {
        database: "materialize".to_owned(),
        server: "here".to_owned(),
        schemas: BTreeMap::from([(schema.id.clone(), schema)]),
        objects: BTreeMap::from([(object.id.clone(), object)]),
        ..Catalog::default()
    }
}

fn other(
    server: Option<&str>,
    schemas: &[&str],
    clusters: &[&str],
    objects: &[(&str, &str)],
) -> Other {
    let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Other {
        metadata: Metadata {
            version: VERSION,
            deployment: "d1".to_owned(),
            kind: Kind::Promoted,
            environment: "prod".to_owned(),
            project: "shop".to_owned(),
            target: "prod".to_owned(),
            database: "materialize".to_owned(),
            server: server.map(str::to_owned),
            cutover_version: "0.1.0".to_owned(),
            manifest_hash: "hash".to_owned(),
            built_by: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            schemas: text(schemas),
            objects: objects
                .iter()
                .map(|(schema, id)| RecordedObject {
                    schema: (*schema).to_owned(),
                    name: "totals".to_owned(),
                    id: (*id).to_owned(),
                    kind: ObjectKind::View,
                    beside: false,
                    given: None,
                })
                .collect(),
            held_back: BTreeMap::new(),
            held_back_schemas: BTreeMap::new(),
        },
        server: server.map(str::to_owned),
        clusters: text(clusters),
    }
}

fn found(other: &Other) -> Vec<String> {
    shared(&listed(), other, &catalog())
}

#[test]
fn what_both_list_is_shared() {
    let theirs = other(
        Some("here"),
        &["marts", "private"],
        &["compute", "serve"],
        &[],
    );
    assert_eq!(found(&theirs), ["schema marts", "cluster compute"]);
    // A schema that only an object names.
    let theirs = other(Some("here"), &[], &[], &[("staging", "u1")]);
    assert_eq!(found(&theirs), ["schema staging"]);
    let theirs = other(Some("here"), &["private"], &["serve"], &[("private", "u9")]);
    assert_eq!(found(&theirs), Vec::<String>::new());
}

#[test]
fn another_server_or_database_shares_nothing() {
    let theirs = other(Some("there"), &["marts"], &["compute"], &[("marts", "u9")]);
    assert_eq!(found(&theirs), Vec::<String>::new());
    // Clusters belong to no database.
    let mut theirs = other(Some("here"), &["marts"], &["compute"], &[]);
    theirs.metadata.database = "elsewhere".to_owned();
    assert_eq!(found(&theirs), ["cluster compute"]);
}

#[test]
fn where_no_server_is_recorded_the_recorded_objects_say_whether_it_is_this_one() {
    let theirs = |id| other(None, &["marts"], &[], &[("marts", id)]);
    assert_eq!(found(&theirs("u9")), ["schema marts"]);
    assert_eq!(found(&theirs("u8")), Vec::<String>::new());
    // Nothing was recorded, so nothing says that it is elsewhere.
    assert_eq!(found(&other(None, &["marts"], &[], &[])), ["schema marts"]);
}
