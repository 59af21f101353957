//! What the catalog is read as, against a sandbox.

mod reference;

use super::About;
use crate::adapters::materialize::guarded::Names;
use crate::adapters::materialize::server::Materialize;
use crate::adapters::materialize::server::tests::{materialize, with_options};
use crate::adapters::materialize::{Session, Statement};
use crate::domain::catalog::Catalog;
use mz_sandbox::{Options, Sandbox};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeSet;
use std::time::Duration;

async fn run(session: &Session, sql: &str) {
    let statement = Statement::new("set the scene", sql);
    session.execute(&statement).await.expect(sql);
}

/// Things of every kind, owned and granted in every way, under names that are legal and strange.
const SCENE: [&str; 39] = [
    "CREATE ROLE reader",
    "CREATE ROLE \"a=r/u1,{\"\"}\"",
    "CREATE ROLE team",
    "CREATE ROLE club",
    "GRANT team TO materialize",
    "GRANT club TO team",
    "CREATE SCHEMA s",
    "CREATE SCHEMA \"s.t \"\"x\"\" \u{fc}\"",
    "CREATE SCHEMA of_team",
    "CREATE CLUSTER c (SIZE = '25cc', REPLICATION FACTOR = 2)",
    "CREATE CLUSTER \"c \"\"d\"\"\" (SIZE = '25cc')",
    "CREATE CLUSTER k REPLICAS (a (SIZE '25cc'), b (SIZE '50cc'))",
    "CREATE TABLE s.t (id int, \"B b\" text NOT NULL)",
    "CREATE VIEW s.v AS SELECT id FROM s.t",
    "CREATE MATERIALIZED VIEW s.mv IN CLUSTER c AS SELECT id FROM s.v",
    "CREATE MATERIALIZED VIEW \"s.t \"\"x\"\" \u{fc}\".mv IN CLUSTER \"c \"\"d\"\"\" AS SELECT id FROM s.mv",
    "CREATE INDEX by_id IN CLUSTER c ON s.v (id)",
    "CREATE SOURCE s.counter IN CLUSTER c FROM LOAD GENERATOR COUNTER",
    "CREATE VIEW of_team.outside AS SELECT id FROM s.mv",
    "CREATE MATERIALIZED VIEW s.kept IN CLUSTER c AS SELECT id FROM s.t",
    "CREATE REPLACEMENT MATERIALIZED VIEW s.kept_r FOR s.kept IN CLUSTER c AS SELECT id + 1 AS id FROM s.t",
    "COMMENT ON SCHEMA s IS 'it''s [cutover {\"x\": 1}]'",
    "COMMENT ON CLUSTER c IS 'a cluster'",
    "COMMENT ON TABLE s.t IS 'a table'",
    "COMMENT ON COLUMN s.t.\"B b\" IS 'a column'",
    "COMMENT ON COLUMN s.mv.id IS 'another'",
    "COMMENT ON MATERIALIZED VIEW s.mv IS 'a view'",
    "COMMENT ON INDEX s.by_id IS 'an index'",
    "GRANT USAGE ON SCHEMA s TO reader",
    "GRANT USAGE, CREATE ON SCHEMA s TO \"a=r/u1,{\"\"}\"",
    "GRANT USAGE ON SCHEMA s TO PUBLIC",
    "GRANT USAGE ON CLUSTER c TO reader",
    "GRANT SELECT ON TABLE s.t TO reader",
    "GRANT INSERT, SELECT ON TABLE s.t TO PUBLIC",
    "GRANT SELECT ON TABLE s.mv TO \"a=r/u1,{\"\"}\"",
    "ALTER DEFAULT PRIVILEGES FOR ROLE materialize IN SCHEMA s GRANT SELECT ON TABLES TO reader",
    "ALTER DEFAULT PRIVILEGES FOR ROLE materialize IN SCHEMA s GRANT USAGE ON TYPES TO PUBLIC",
    "ALTER DEFAULT PRIVILEGES FOR ROLE team IN SCHEMA of_team GRANT SELECT ON TABLES TO reader",
    "ALTER SCHEMA of_team OWNER TO team",
];

async fn scene() -> (Sandbox, Materialize) {
    let sandbox = Sandbox::start(Options::default()).await.expect("a sandbox");
    let owner = materialize(&sandbox, "materialize");
    let session = owner.session().await.expect("a session");
    for sql in SCENE {
        run(&session, sql).await;
    }
    // Its id is that of other things, too.
    let system = materialize(&sandbox, "mz_system");
    run_anew(&system, "COMMENT ON ROLE reader IS 'no object'").await;
    (sandbox, owner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peeks_see_what_dataflows_see() {
    let (sandbox, owner) = scene().await;
    let stranger = materialize(&sandbox, "stranger");
    let superuser = materialize(&sandbox, "mz_system");
    for materialize in [&owner, &stranger, &superuser] {
        let session = materialize.session().await.expect("a session");
        let expected = reference::read(&session).await.expect("the reference");
        let found = Catalog::read(materialize).await.expect("a reading");
        assert_eq!(found, expected);
    }
    let catalog = Catalog::read(&owner).await.expect("a reading");
    assert!(catalog.owns("team") && catalog.owns("club") && !catalog.owns("reader"));
    assert!(catalog.may_create_schemas && catalog.may_create_clusters);
    let schema = catalog.schema("s").expect("the schema");
    assert_eq!(
        (schema.grants.len(), schema.default_privileges.len()),
        (4, 2)
    );
    assert!(!catalog.default_privileges.is_empty());
    let seen = Catalog::read(&stranger).await.expect("a reading");
    assert!(!seen.may_create_schemas && !seen.may_create_clusters && !seen.owns("materialize"));
}

/// What a look at a part gives is the part of the whole, with everything in and on it and its dependents.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_is_as_in_the_whole() {
    let (_sandbox, materialize) = scene().await;
    let whole = Catalog::read(&materialize).await.expect("a reading");
    let ids = |ids: Vec<String>| prop::collection::btree_set(prop::sample::select(ids), 0..4);
    let schemas: Vec<String> = whole.schemas.keys().cloned().collect();
    let clusters: Vec<String> = whole.clusters.keys().cloned().collect();
    let objects: Vec<String> = whole.objects.keys().cloned().collect();
    let handle = tokio::runtime::Handle::current();
    let strategy = (
        ids(schemas),
        ids(clusters),
        ids(objects),
        any::<[bool; 3]>(),
    );
    let cases = Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    };
    let test = |(schemas, clusters, objects, by_name): (
        BTreeSet<String>,
        BTreeSet<String>,
        BTreeSet<String>,
        [bool; 3],
    )| {
        let mut about = About {
            replacements: true,
            ..About::default()
        }
        .closely();
        for id in &schemas {
            let schema = &whole.schemas[id];
            match by_name[0] && schema.database == whole.database {
                true => about.schemas.insert(schema.name.clone()),
                false => about.schema_ids.insert(id.clone()),
            };
        }
        for id in &clusters {
            match by_name[1] {
                true => about.clusters.insert(whole.clusters[id].name.clone()),
                false => about.cluster_ids.insert(id.clone()),
            };
        }
        for id in &objects {
            match by_name[2] {
                true => about.object_names.insert(whole.objects[id].name.clone()),
                false => about.objects.insert(id.clone()),
            };
        }
        let (part, names) = tokio::task::block_in_place(|| {
            handle.block_on(async {
                let part = Catalog::look(&materialize, &about).await;
                let names = Names::read(&materialize, &about).await;
                (part.expect("a look"), names.expect("names"))
            })
        });
        for (id, schema) in &part.schemas {
            let mut expected = whole.schemas[id].clone();
            expected.default_privileges.clear();
            prop_assert_eq!(schema, &expected);
        }
        for (id, cluster) in &part.clusters {
            prop_assert_eq!(cluster, &whole.clusters[id]);
        }
        for (id, object) in &part.objects {
            prop_assert_eq!(object, &whole.objects[id]);
        }
        prop_assert_eq!(&part.replacements, &whole.replacements);
        prop_assert!(part.dependencies.is_subset(&whole.dependencies));
        prop_assert!(schemas.iter().all(|id| part.schemas.contains_key(id)));
        prop_assert!(clusters.iter().all(|id| part.clusters.contains_key(id)));
        prop_assert!(objects.iter().all(|id| part.objects.contains_key(id)));
        for id in &schemas {
            prop_assert_eq!(part.objects_in_schema(id), whole.objects_in_schema(id));
        }
        for id in &clusters {
            prop_assert_eq!(part.objects_on_cluster(id), whole.objects_on_cluster(id));
        }
        let asked = whole.objects.values().filter(|object| {
            objects.contains(&object.id)
                || schemas.contains(&object.schema_id)
                || object
                    .cluster_id
                    .as_ref()
                    .is_some_and(|id| clusters.contains(id))
        });
        for object in asked {
            prop_assert_eq!(part.dependents(&object.id), whole.dependents(&object.id));
            let called = &names.called[&object.id];
            prop_assert_eq!(called, &whole.name_of(object));
            let place = (object.schema_id.clone(), object.cluster_id.clone());
            prop_assert_eq!(&names.objects[&object.id], &place);
            for dependent in whole.dependents(&object.id) {
                let pair = (dependent.id.clone(), object.id.clone());
                prop_assert!(names.dependencies.contains(&pair));
            }
        }
        for (id, schema) in &part.schemas {
            prop_assert_eq!(names.schemas.get(&schema.name), Some(id));
        }
        for (id, cluster) in &part.clusters {
            prop_assert_eq!(names.clusters.get(&cluster.name), Some(id));
        }
        Ok(())
    };
    TestRunner::new(cases)
        .run(&strategy, test)
        .expect("every part is of the whole");
}

/// A look that is given up in the middle leaves a transaction open: nothing is read in it any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_that_was_given_up_is_not_gone_on_with() {
    let sandbox = Sandbox::start(Options::default()).await.expect("a sandbox");
    let materialize = materialize(&sandbox, "materialize");
    let session = materialize.session().await.expect("a session");
    run(
        &session,
        "INSERT INTO mz_sandbox.faults (pattern, action) VALUES ('cutover: roles ', 'hang')",
    )
    .await;
    let look = Catalog::read(&materialize);
    let given_up = tokio::time::timeout(Duration::from_millis(500), look).await;
    assert!(given_up.is_err());
    assert!(session.is_closed());
    run_anew(&materialize, "DELETE FROM mz_sandbox.faults").await;
    run_anew(&materialize, "CREATE SCHEMA afterwards").await;
    let catalog = Catalog::read(&materialize).await.expect("a reading");
    assert!(catalog.schema("afterwards").is_some());
}

async fn run_anew(materialize: &Materialize, sql: &str) {
    let session = materialize.session().await.expect("a session");
    run(&session, sql).await;
}

/// A profile may ask for another isolation; what is read inside the window of a swap would not be of now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_session_is_strictly_serializable() {
    let sandbox = Sandbox::start(Options::default()).await.expect("a sandbox");
    let options = [("transaction_isolation", "serializable")];
    let materialize = with_options(&sandbox, "materialize", &options);
    let session = materialize.session().await.expect("a session");
    let show = Statement::new("show", "SHOW transaction_isolation");
    let rows = session.simple(&show).await.expect("an answer");
    assert_eq!(
        rows.first().and_then(|row| row.get(0)),
        Some("strict serializable")
    );
}
