use super::{Closed, plan};
use crate::domain::catalog::ObjectKind;
use crate::domain::plan::refusal::{RefusalName, Refused};
use crate::domain::plan::{Mode, Plan};
use crate::inputs::manifest::sample::{manifest, model, with};
use crate::inputs::selection::state::Comparison;
use crate::planning::planner::candidate::{CandidateIndex, ClusterUse};
use crate::planning::planner::changes::Changes;
use crate::planning::planner::sample::World;
use serde_json::json;
use std::collections::BTreeMap;

/// The shop, with one more schema and cluster: a materialized view `extra.other` on `spare`, and a
/// view `extra.facade` with an index on `compute`.
fn world() -> World {
    let mut world = World::new();
    world.schemas.insert("extra".to_owned());
    world.clusters.insert("spare".to_owned());
    world.schema("s9", "extra");
    world.cluster("c9", "spare");
    world.object(
        "u21",
        "other",
        ObjectKind::MaterializedView,
        "s9",
        Some("c9"),
    );
    world.object("u22", "facade", ObjectKind::View, "s9", None);
    world.object("u23", "facade_idx", ObjectKind::Index, "s9", Some("c1"));
    world.depends("u22", "u21");
    world.depends("u23", "u22");
    world.node(
        "model.shop.other",
        "extra",
        "other",
        "materialized_view",
        &[],
    );
    world.change("model.shop.other", |node| {
        node.cluster = Some(ClusterUse::Named("spare".to_owned()));
    });
    world.node(
        "model.shop.facade",
        "extra",
        "facade",
        "view",
        &["model.shop.other"],
    );
    world.change("model.shop.facade", |node| {
        node.indexes = vec![CandidateIndex {
            cluster: Some(ClusterUse::Named("compute".to_owned())),
            ..CandidateIndex::default()
        }];
    });
    world
}

/// The changes that these nodes of the candidate are.
fn changed(world: &World, ids: &[&str]) -> Changes {
    let mut changes = Changes::default();
    for id in ids {
        let node = &world.candidate.nodes[*id];
        changes.take(id, node, "changed: body".to_owned(), &world.input());
    }
    changes
}

fn slim(world: &World, changes: &Changes) -> Result<Plan, Refused> {
    let input = world.input();
    let closed = Closed::of(changes, &input);
    let keys: BTreeMap<String, Result<String, String>> = closed
        .indexes
        .keys()
        .map(|id| (id.clone(), Ok("(\"customer\")".to_owned())))
        .collect();
    plan(&input, changes, &closed, &keys)
}

fn names<T>(things: &[T], name: impl Fn(&T) -> &String) -> Vec<&str> {
    things.iter().map(|thing| name(thing).as_str()).collect()
}

#[test]
fn nothing_changed_is_an_empty_plan() {
    let world = world();
    let plan = slim(&world, &Changes::default()).expect("a plan");
    assert!(plan.is_empty(), "{plan:#?}");
    assert_eq!(plan.mode, Mode::Slim);
}

#[test]
fn a_leaf_takes_its_schema_and_cluster_and_the_indexes_there() {
    let world = world();
    let plan = slim(&world, &changed(&world, &["model.shop.totals"])).expect("a plan");
    assert_eq!(names(&plan.schemas, |schema| &schema.name), ["marts"]);
    assert_eq!(names(&plan.clusters, |cluster| &cluster.name), ["compute"]);
    assert_eq!(
        names(&plan.nodes, |node| &node.unique_id),
        ["model.shop.totals"]
    );
    assert_eq!(plan.nodes[0].reason, "changed: body");
    assert_eq!(plan.tests, ["test.shop.totals_not_null"]);
    let index = &plan.indexes[0];
    assert_eq!(
        (
            index.id.as_str(),
            index.schema.as_str(),
            index.relation.as_str(),
            index.cluster.as_str()
        ),
        ("u23", "extra", "facade", "compute")
    );
    assert_eq!(
        index.reason,
        "index of unchanged model.shop.facade on cluster compute"
    );
    assert!(plan.notes.is_empty(), "{:?}", plan.notes);
}

#[test]
fn an_index_that_cannot_be_made_again_is_a_refusal() {
    let world = world();
    let input = world.input();
    let changes = changed(&world, &["model.shop.totals"]);
    let closed = Closed::of(&changes, &input);
    let keys = BTreeMap::from([("u23".to_owned(), Err("CREATE SOMETHING".to_owned()))]);
    let refusals = plan(&input, &changes, &closed, &keys)
        .expect_err("refused")
        .0;
    assert_eq!(refusals[0].name, RefusalName::ClusterShared);
    assert!(refusals[0].objects[0].contains("extra.facade_idx: CREATE SOMETHING"));
}

#[test]
fn what_must_be_rebuilt_outside_the_deployment_is_named_with_the_line_to_add() {
    let mut world = world();
    world.schemas.remove("marts");
    world.clusters.remove("compute");
    let refusals = slim(&world, &changed(&world, &["model.shop.stg"]))
        .expect_err("refused")
        .0;
    let texts: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    let all = texts.join("\n");
    assert!(
        all.contains("model.shop.totals (schema marts; downstream of model.shop.stg)"),
        "{all}"
    );
    assert!(
        all.contains("add `- marts` under vars.deployment.prod.schemas"),
        "{all}"
    );
    assert!(
        all.contains("cluster compute (for model.shop.totals)"),
        "{all}"
    );
    assert!(
        all.contains("add `- compute` under vars.deployment.prod.clusters"),
        "{all}"
    );
}

#[test]
fn a_changed_sink_is_not_lost_silently() {
    let mut world = world();
    world.node(
        "model.shop.out",
        "outside",
        "out",
        "sink",
        &["model.shop.totals"],
    );
    let changes = changed(&world, &["model.shop.out"]);
    let refusals = slim(&world, &changes).expect_err("refused").0;
    assert_eq!(refusals[0].name, RefusalName::ChangeNotReleased);
    assert_eq!(refusals[0].objects, ["model.shop.out (changed: body)"]);
    world.allow.insert(RefusalName::ChangeNotReleased);
    let plan = slim(&world, &changes).expect("accepted");
    assert!(plan.is_empty());
    assert_eq!(plan.accepted[0].name, RefusalName::ChangeNotReleased);
}

/// What a manifest says of the shop's models.
fn shop(models: &[(&str, &str, &str)]) -> crate::inputs::manifest::Manifest {
    let nodes: Vec<_> = models
        .iter()
        .map(|(name, schema, code)| {
            with(
                model(name, &[]),
                json!({
                    "raw_code": code,
                    "database": "materialize",
                    "schema": schema,
                    "alias": name,
                    "relation_name": format!("\"materialize\".\"{schema}\".\"{name}\""),
                }),
            )
        })
        .collect();
    manifest(nodes)
}

#[test]
fn changes_are_new_and_modified_nodes_and_schemas_that_something_left() {
    let world = world();
    let stg = ("stg", "raw", "select 1");
    let old = shop(&[
        stg,
        ("totals", "marts", "select 1"),
        ("gone", "extra", "select 1"),
        ("else", "elsewhere", "select 1"),
    ]);
    let new = shop(&[stg, ("totals", "marts", "select 2")]);
    let comparison = Comparison::of(&old, &new);
    let changes = Changes::of_texts(&comparison, &world.input());
    assert_eq!(
        changes.seed.nodes.iter().collect::<Vec<_>>(),
        [(&"model.shop.totals".to_owned(), &"changed: body".to_owned())]
    );
    assert_eq!(
        changes.seed.schemas.iter().collect::<Vec<_>>(),
        [(&"extra".to_owned(), &"deleted model.shop.gone".to_owned())]
    );
    assert_eq!(
        changes.notes,
        [
            "model.shop.else was deleted; elsewhere.else lies outside vars.deployment and stays in production"
        ]
    );
}

/// A test that stays and stores nothing any more leaves its schema; one that never stored leaves nothing.
#[test]
fn a_test_that_stores_no_more_leaves_its_schema() {
    let mut world = world();
    world.schemas.insert("audit".to_owned());
    world.schema("s10", "audit");
    let test = |stores: bool| {
        let relation = stores.then_some("r");
        with(
            crate::inputs::manifest::sample::test("positive", &["model.shop.totals"]),
            json!({"schema": "audit", "alias": "positive", "database": "materialize", "relation_name": relation,
                "config": {"enabled": true, "store_failures": stores.then_some(true)}}),
        )
    };
    let new = manifest([model("totals", &[]), test(false)]);
    for (stored, expected) in [(true, vec!["audit"]), (false, Vec::new())] {
        let old = manifest([model("totals", &[]), test(stored)]);
        let comparison = Comparison::of(&old, &new);
        let changes = Changes::of_texts(&comparison, &world.input());
        let schemas: Vec<&str> = changes.seed.schemas.keys().map(String::as_str).collect();
        assert_eq!(schemas, expected, "{changes:#?}");
    }
}
