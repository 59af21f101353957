//! The shop with one thing in the way at a time: what is listed is planned.

use super::*;
use crate::domain::catalog::ObjectKind;
use crate::planning::planner::sample::World;

fn lists_of(world: &World) -> Lists {
    lists(&Scene {
        environment: "prod",
        target: "prod",
        deployment_file: "dbt_project.yml",
        target_cluster: world.target_cluster,
        candidate: &world.candidate,
        catalog: &world.catalog,
        definitions: &world.definitions,
        size: "25cc",
    })
}

/// What is listed after a change, which a plan takes.
#[track_caller]
fn listed(change: impl FnOnce(&mut World)) -> (String, Vec<LeftOut>) {
    let mut world = World::new();
    change(&mut world);
    let found = lists_of(&world);
    assert_eq!(found.refusals, []);
    if !found.schemas.is_empty() {
        world.schemas.clone_from(&found.schemas);
        world.clusters.clone_from(&found.clusters);
        world.bootstrap = Some("25cc");
        let planned = world.plan();
        assert!(planned.is_ok(), "{planned:?}");
    }
    let names: Vec<&str> = found
        .schemas
        .iter()
        .chain(&found.clusters)
        .map(String::as_str)
        .collect();
    (names.join(" "), found.left_out)
}

#[test]
fn a_sound_project_lists_what_it_makes() {
    assert_eq!(listed(|_| {}), ("marts raw compute".to_owned(), Vec::new()));
    let (names, _) = listed(|world| {
        world.node(
            "model.shop.fresh",
            "fresh",
            "fresh",
            "materialized_view",
            &[],
        );
        world.change("model.shop.fresh", |node| {
            node.cluster = Some(ClusterUse::Named("new".to_owned()));
        });
    });
    assert_eq!(names, "fresh marts raw compute new");
}

#[test]
fn what_holds_a_source_or_a_sink_is_left_out_with_what_must_go_with_it() {
    // What is read may stay where it is.
    let (names, left) = listed(|world| {
        world.object("u9", "events", ObjectKind::Source, "s1", Some("c2"));
    });
    assert_eq!(names, "marts compute");
    assert!(left[0].why[0].contains("raw.events"), "{left:?}");
    // What is made from the listed may not.
    let (names, left) = listed(|world| {
        world.object("u9", "sink", ObjectKind::Sink, "s2", Some("c2"));
    });
    assert_eq!(names, "");
    assert_eq!(
        (left[0].name.as_str(), left[1].name.as_str()),
        ("marts", "raw")
    );
    assert!(
        left[1].why[0].contains("model.shop.totals (schema marts)"),
        "{left:?}"
    );
    let (names, _) = listed(|world| {
        world.node("model.shop.events", "raw", "events", "source", &[]);
    });
    assert_eq!(names, "marts compute");
    let (names, _) = listed(|world| {
        world.object("u9", "kept", ObjectKind::Table, "s1", None);
    });
    assert_eq!(names, "marts compute");
}

#[test]
fn a_shared_cluster_leaves_out_what_runs_on_it() {
    let (names, left) = listed(|world| {
        world.object("u9", "sink", ObjectKind::Sink, "s3", Some("c1"));
    });
    // `raw` alone would leave `totals` reading the old side.
    assert_eq!(names, "");
    let left: Vec<(&str, &str)> = left.iter().map(|it| (it.kind, it.name.as_str())).collect();
    assert_eq!(
        left,
        [(CLUSTER, "compute"), (SCHEMA, "marts"), (SCHEMA, "raw")]
    );
    let (names, left) = listed(|world| {
        world.object(
            "u9",
            "strange",
            ObjectKind::MaterializedView,
            "s3",
            Some("c1"),
        );
    });
    assert_eq!(names, "");
    assert!(left[0].why[0].contains("outside.strange"), "{left:?}");
}

#[test]
fn a_reader_outside_leaves_its_schema_out() {
    let (names, left) = listed(|world| {
        world.object("u9", "dashboard", ObjectKind::View, "s3", None);
        world.depends("u9", "u3");
    });
    assert_eq!(names, "");
    assert!(
        left[0].why[0].contains("outside.dashboard reads marts.totals"),
        "{left:?}"
    );
    assert!(left[0].remedy.is_some());
}

#[test]
fn what_may_be_allowed_and_what_the_role_may_not_is_told_and_listed() {
    let mut world = World::new();
    world.object("u9", "by_hand", ObjectKind::View, "s2", None);
    world.schema("s1", "raw");
    world.catalog.schemas.get_mut("s1").expect("raw").owner = "else".to_owned();
    let found = lists_of(&world);
    assert_eq!(found.schemas, world.schemas);
    assert_eq!(found.left_out, []);
    let names: Vec<RefusalName> = found.refusals.iter().map(|refusal| refusal.name).collect();
    assert_eq!(names, [RefusalName::UnmanagedObject, RefusalName::NotOwner]);
}

#[test]
fn without_a_server_the_project_alone_decides() {
    let mut world = World::new();
    world.catalog = Catalog {
        database: "materialize".to_owned(),
        may_create_schemas: true,
        may_create_clusters: true,
        ..Catalog::default()
    };
    world.definitions.clear();
    let found = lists_of(&world);
    assert_eq!(found.schemas, world.schemas);
    assert_eq!(found.clusters, world.clusters);
    assert_eq!((found.left_out, found.refusals), (Vec::new(), Vec::new()));
}
