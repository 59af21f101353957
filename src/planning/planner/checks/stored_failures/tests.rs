use crate::domain::catalog::ObjectKind;
use crate::domain::plan::Plan;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::inputs::manifest::sample::{manifest, model, test, with};
use crate::inputs::project::switches::Switches;
use crate::planning::planner::candidate::{Candidate, ClusterUse};
use crate::planning::planner::changes::Changes;
use crate::planning::planner::clusters::ClusterNames;
use crate::planning::planner::sample::World;
use crate::planning::planner::slim::{self, Closed};
use serde_json::json;
use std::collections::BTreeMap;

const TEST: &str = "test.shop.positive";

/// The shop with a test of `totals` that stores its failures in `audit` on `checks`.
fn storing(is_listed: bool) -> World {
    let mut world = World::new();
    world.test(TEST, &["model.shop.totals"]);
    world.node(
        TEST,
        "audit",
        "positive",
        "materialized_view",
        &["model.shop.totals"],
    );
    // Both of the above call it selectable.
    world.candidate.selectable.pop();
    world.change(TEST, |node| {
        node.stores_failures = true;
        node.cluster = Some(ClusterUse::Named("checks".to_owned()));
    });
    if is_listed {
        world.schemas.insert("audit".to_owned());
        world.clusters.insert("checks".to_owned());
    }
    world.schema("s9", "audit");
    world.cluster("c9", "checks");
    world
}

/// What the test stores is in production.
fn stored(world: &mut World) {
    let kind = ObjectKind::MaterializedView;
    world.object("u9", "positive", kind, "s9", Some("c9"));
    world.depends("u9", "u3");
}

fn slim(world: &World, ids: &[&str]) -> Result<Plan, Refused> {
    let input = world.input();
    let mut changes = Changes::default();
    for id in ids {
        let node = &world.candidate.nodes[*id];
        changes.take(id, node, "changed: body".to_owned(), &input);
    }
    let closed = Closed::of(&changes, &input);
    slim::plan(&input, &changes, &closed, &BTreeMap::new())
}

#[track_caller]
fn refused(refused: Result<Plan, Refused>) -> Refusal {
    let mut refusals = refused.expect_err("a refusal").0;
    assert_eq!(refusals.len(), 1, "{refusals:#?}");
    let refusal = refusals.remove(0);
    assert_eq!(refusal.name, RefusalName::StoredFailuresOutside);
    refusal
}

#[test]
fn what_a_test_stores_inside_is_planned_and_made_by_the_tests() {
    for is_stored in [false, true] {
        let mut world = storing(true);
        if is_stored {
            stored(&mut world);
        }
        let plan = world.plan().expect("a plan");
        let node = plan.nodes.iter().find(|node| node.unique_id == TEST);
        let node = node.expect("it is planned");
        assert!(node.stores_failures);
        assert_eq!(node.kind, Some(ObjectKind::MaterializedView));
        assert_eq!(node.cluster.as_deref(), Some("checks"));
        assert_eq!(plan.build_selectors.len(), plan.nodes.len() - 1);
        assert_eq!(plan.test_selectors.len(), 2);
        assert!(plan.tests.iter().any(|id| id == TEST));
        assert!(plan.tests_make());
        assert_eq!(plan.gains.is_empty(), is_stored);
        assert!(plan.loses.is_empty());
    }
}

#[test]
fn a_slim_release_takes_the_tests_of_a_touched_schema_and_of_what_it_rebuilds() {
    let mut world = storing(true);
    stored(&mut world);
    // Of the seed alone, in the same schema.
    let other = "test.shop.unique_orders";
    world.node(
        other,
        "audit",
        "unique_orders",
        "view",
        &["seed.shop.orders"],
    );
    world.change(other, |node| node.stores_failures = true);
    world.candidate.selectable.pop();
    world.test(other, &["seed.shop.orders"]);
    let plan = slim(&world, &["model.shop.totals"]).expect("a plan");
    let ids: Vec<&str> = plan
        .nodes
        .iter()
        .map(|node| node.unique_id.as_str())
        .collect();
    assert_eq!(ids, ["model.shop.totals", TEST, other]);
    assert_eq!(plan.tests, [TEST, "test.shop.totals_not_null", other]);
    assert_eq!(plan.build_selectors.len(), 1);
    let schemas: Vec<&str> = plan
        .schemas
        .iter()
        .map(|schema| schema.name.as_str())
        .collect();
    assert_eq!(schemas, ["audit", "marts"]);
    // A test alone: nothing is built.
    let plan = slim(&world, &[TEST]).expect("a plan");
    assert!(plan.build_selectors.is_empty() && plan.built().next().is_none());
    assert_eq!(plan.tests, [TEST, other]);
}

#[test]
fn what_a_test_stores_outside_is_refused_with_every_line_to_add() {
    for is_stored in [false, true] {
        let mut world = storing(false);
        if is_stored {
            stored(&mut world);
        }
        for plan in [world.plan(), slim(&world, &["model.shop.totals"])] {
            let refusal = refused(plan);
            assert_eq!(
                refusal.objects,
                [format!("{TEST} (schema audit, cluster checks)")]
            );
            for part in [
                "add `- audit` under vars.deployment.prod.schemas",
                "add `- checks` under vars.deployment.prod.clusters",
                "store_failures: false",
            ] {
                assert!(refusal.remedy.contains(part), "{}", refusal.remedy);
            }
            assert!(!refusal.remedy.contains("--bootstrap"));
        }
        // As it says.
        world.schemas.insert("audit".to_owned());
        world.clusters.insert("checks".to_owned());
        world.plan().expect("a plan");
        slim(&world, &["model.shop.totals"]).expect("a plan");
    }
    // One of the two lines is there.
    let mut world = storing(false);
    world.schemas.insert("audit".to_owned());
    let refusal = refused(world.plan());
    assert!(!refusal.remedy.contains("`- audit`"), "{}", refusal.remedy);
    assert!(refusal.remedy.contains("`- checks`"), "{}", refusal.remedy);
    // The schema is yet to be made.
    let mut world = storing(false);
    world.catalog.schemas.remove("s9");
    let refusal = refused(world.plan());
    assert!(refusal.remedy.contains("--bootstrap"), "{}", refusal.remedy);
}

#[test]
fn what_stands_outside_and_is_not_concerned_is_left_alone() {
    // A test of something else, with its relation in production on a cluster of its own.
    let mut world = storing(false);
    world.node("model.shop.far", "outside", "far", "view", &[]);
    world.object("u8", "far", ObjectKind::View, "s3", None);
    world.change(TEST, |node| {
        node.parents = vec!["model.shop.far".to_owned()]
    });
    if let Some(test) = world.candidate.tests.get_mut(TEST) {
        test.parents = vec!["model.shop.far".to_owned()];
    }
    let kind = ObjectKind::MaterializedView;
    world.object("u9", "positive", kind, "s9", Some("c9"));
    world.depends("u9", "u8");
    world.plan().expect("a plan");
    // Changed, it is told and releases nothing.
    let plan = slim(&world, &[TEST]).expect("a plan");
    assert!(plan.is_empty(), "{plan:#?}");
    assert!(plan.notes[0].contains(TEST), "{:?}", plan.notes);
    // On a cluster that is swapped it is concerned.
    if let Some(object) = world.catalog.objects.get_mut("u9") {
        object.cluster_id = Some("c1".to_owned());
    }
    refused(world.plan());
}

#[test]
fn a_test_stores_where_configuration_or_switch_say_so() {
    let stores = |config: serde_json::Value, relation: bool, switch: bool| {
        let name = if relation { json!("r") } else { json!(null) };
        let test = with(
            test("positive", &["model.shop.m"]),
            json!({"config": config, "relation_name": name, "alias": "positive", "schema": "audit"}),
        );
        let manifest = manifest([model("m", &[]), test]);
        let switches = Switches {
            store_failures: switch,
            ..Switches::default()
        };
        let candidate =
            Candidate::with_clusters(&manifest, &manifest, ClusterNames::default(), switches)
                .expect("one");
        let node = candidate.nodes.get(TEST);
        assert_eq!(
            node.is_some(),
            candidate.deploy_relations.contains_key(TEST)
        );
        node.map(|node| node.materialization())
    };
    let as_kind = |kind| Some(crate::planning::planner::candidate::Materialization::Relation(kind));
    let config = |store: serde_json::Value, kind: serde_json::Value| json!({"enabled": true, "materialized": "test", "store_failures": store, "store_failures_as": kind});
    let unsaid = config(json!(null), json!(null));
    let (view, computed) = (
        as_kind(ObjectKind::View),
        as_kind(ObjectKind::MaterializedView),
    );
    assert_eq!(stores(unsaid.clone(), false, false), None);
    assert_eq!(stores(unsaid, false, true), computed);
    assert_eq!(
        stores(config(json!(true), json!("table")), true, false),
        computed
    );
    assert_eq!(
        stores(config(json!(true), json!("view")), true, false),
        view
    );
    assert_eq!(
        stores(config(json!(true), json!("materialized_view")), true, false),
        computed
    );
    assert_eq!(
        stores(config(json!(false), json!("ephemeral")), false, true),
        None
    );
    assert_eq!(
        stores(config(json!(false), json!("ephemeral")), true, false),
        None
    );
}
