use super::Now;
use crate::adapters::artifacts::{Key, Kind, Metadata, RecordedObject};
use crate::adapters::materialize::guarded::Names;
use crate::domain::catalog::{Catalog, Object, ObjectKind, Schema};
use crate::domain::records::drift::{Drifted, Standing};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// A world with one view on one cluster.
struct World {
    metadata: Metadata,
    names: Names,
    catalog: Catalog,
    made: BTreeMap<String, String>,
}

fn own<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    let pairs = pairs.into_iter();
    pairs.map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

fn world() -> World {
    let mut catalog = Catalog::default();
    let schema = Schema {
        id: "u1".to_owned(),
        name: "marts".to_owned(),
        database: String::new(),
        owner: "mz".to_owned(),
        grants: Vec::new(),
        default_privileges: Vec::new(),
        comment: None,
    };
    catalog.schemas.insert("u1".to_owned(), schema);
    let key = Key::new("shop", "prod");
    let schemas = BTreeSet::from(["marts".to_owned()]);
    let mut metadata = Metadata::now(&key, Kind::Promoted, "a", "prod", "", &schemas, &catalog);
    metadata.objects = vec![RecordedObject {
        schema: "marts".to_owned(),
        name: "totals".to_owned(),
        id: "u5".to_owned(),
        kind: ObjectKind::MaterializedView,
        beside: false,
        given: None,
    }];
    let totals = Object {
        id: "u5".to_owned(),
        name: "totals".to_owned(),
        kind: ObjectKind::MaterializedView,
        schema_id: "u1".to_owned(),
        owner: "mz".to_owned(),
        cluster_id: Some("u3".to_owned()),
        fed_by_source: false,
        is_part: false,
        grants: Vec::new(),
        comment: None,
        columns: BTreeMap::new(),
        column_comments: Vec::new(),
        column_order: Vec::new(),
        not_null: BTreeSet::new(),
    };
    catalog.objects.insert("u5".to_owned(), totals);
    let names = Names {
        schemas: own([("marts", "u1")]),
        clusters: own([("compute", "u3")]),
        raw: own([
            ("schema u1", "u1 {u1=UC/u1}"),
            ("cluster u3", "u1 {u1=UC/u1}"),
            ("object u5", "u1 {u1=r/u1}"),
        ]),
        roles: own([("u1", "mz"), ("u2", "bob")]),
        ..Names::default()
    };
    World {
        metadata,
        names,
        catalog,
        made: own([("cluster u3", "SIZE = '25cc'"), ("object u5", "digest")]),
    }
}

impl World {
    fn compare(&self, standing: &mut Standing) -> Vec<String> {
        let clusters = BTreeSet::from(["compute".to_owned(), "not yet".to_owned()]);
        let now = Now {
            metadata: &self.metadata,
            names: &self.names,
            catalog: &self.catalog,
            clusters: &clusters,
            made: &self.made,
            at: Timestamp::UNIX_EPOCH,
        };
        let found = now.compare(standing);
        found.iter().map(Drifted::sentence).collect()
    }
}

#[test]
fn what_is_not_known_is_taken_as_it_is_and_what_differs_then_is_said() {
    let (mut now, mut standing) = (world(), Standing::default());
    assert!(now.compare(&mut standing).is_empty());
    let left = standing.clone();
    assert!(now.compare(&mut standing).is_empty());
    assert_eq!(standing, left);

    // What an owner has goes with the ownership; the rest is told by the names of roles.
    let mut raw = |what: &str, text: &str| now.names.raw.insert(what.to_owned(), text.to_owned());
    raw("schema u1", "u2 {u2=UC/u2}");
    raw("object u5", "u1 {u1=r/u1,u2=r/u1,=r/u1}");
    now.made
        .insert("cluster u3".to_owned(), "SIZE = '50cc'".to_owned());
    now.made.insert("object u5".to_owned(), "other".to_owned());
    let said = [
        "schema marts has another owner (bob; was mz)",
        "cluster compute was altered (SIZE = '50cc'; was SIZE = '25cc')",
        "materialized view marts.totals has other grants (SELECT given to PUBLIC, SELECT given to bob)",
        "materialized view marts.totals has another query",
    ];
    assert_eq!(now.compare(&mut standing), said);
    // It is said again and again: it is compared with what was left, not with the last look.
    assert_eq!(now.compare(&mut standing), said);
    assert_eq!(standing, left);
}

#[test]
fn what_has_another_id_or_none_is_said_once() {
    let (mut now, mut standing) = (world(), Standing::default());
    now.compare(&mut standing);
    now.names.clusters = own([("compute", "u9")]);
    let mut again = now.catalog.objects.remove("u5").expect("there");
    again.id = "u7".to_owned();
    now.catalog.objects.insert("u7".to_owned(), again);
    now.names.raw.remove("object u5");
    assert_eq!(
        now.compare(&mut standing),
        [
            "materialized view marts.totals was made again",
            "cluster compute was made again"
        ]
    );
    now.names.clusters.clear();
    now.catalog.objects.clear();
    assert_eq!(
        now.compare(&mut standing),
        [
            "materialized view marts.totals is gone",
            "cluster compute is gone"
        ]
    );
}
