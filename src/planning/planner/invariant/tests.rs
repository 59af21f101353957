use super::{Before, keep};
use crate::domain::catalog::ObjectKind;
use crate::domain::plan::Plan;
use crate::domain::plan::refusal::{RefusalName, Refused};
use crate::inputs::manifest::Manifest;
use crate::inputs::manifest::sample::{manifest, model};
use crate::inputs::selection::state::Comparison;
use crate::planning::planner::candidate::{ClusterUse, Input, Promoted};
use crate::planning::planner::changes::Changes;
use crate::planning::planner::full;
use crate::planning::planner::indexes::wanted;
use crate::planning::planner::sample::World;
use crate::planning::planner::slim::{self, Closed};
use std::collections::{BTreeMap, BTreeSet};

mod random;

/// What the baseline's project made, by unique id; nothing was held back.
fn before(places: &[(&str, &str, &str)]) -> Before {
    let places = places.iter().map(|(id, schema, name)| {
        let place = ((*schema).to_owned(), (*name).to_owned());
        ((*id).to_owned(), place)
    });
    Before {
        places: places.collect(),
        ..Before::default()
    }
}

/// A baseline with the shop where it is.
fn shop() -> Before {
    before(&[
        ("seed.shop.orders", "raw", "orders"),
        ("model.shop.stg", "raw", "stg"),
        ("model.shop.totals", "marts", "totals"),
    ])
}

fn slim_plan(world: &World, changes: &Changes) -> Plan {
    let made = [("raw", "orders"), ("raw", "stg"), ("marts", "totals")];
    let made = made.map(|(schema, name)| {
        let place = (schema.to_owned(), name.to_owned());
        // Its index is configured wherever it lies.
        let node = world.candidate.nodes.get(&format!("model.shop.{name}"));
        let promoted = Promoted {
            indexes: node.map_or_else(Vec::new, |node| wanted(node, world.target_cluster)),
            beside: false,
        };
        (place, promoted)
    });
    let made = BTreeMap::from(made);
    let input = Input {
        baseline: Some(&made),
        ..world.input()
    };
    let closed = Closed::of(changes, &input);
    slim::plan(&input, changes, &closed, &BTreeMap::new()).expect("no other refusal")
}

/// What the law says of a plan: each refused object, or what the plan keeps.
fn judged(
    world: &World,
    plan: Plan,
    before: &Before,
    drifted: &[&str],
) -> Result<Vec<String>, Vec<String>> {
    let drifted = drifted.iter().map(|name| (*name).to_owned()).collect();
    match keep(plan, &world.input(), before, &drifted) {
        Ok(plan) => Ok(plan.keeps.into_values().collect()),
        Err(Refused(refusals)) => Err(refusals
            .into_iter()
            .inspect(|refusal| assert_eq!(refusal.name, RefusalName::RelationLost))
            .inspect(|refusal| assert!(!refusal.remedy.is_empty()))
            .flat_map(|refusal| refusal.objects)
            .collect()),
    }
}

/// The changes that leave a schema alone: what a plan that compares texts finds of a move.
fn left(schema: &str) -> Changes {
    let mut changes = Changes::default();
    let schemas = &mut changes.seed.schemas;
    schemas.insert(schema.to_owned(), "moved model.shop.totals".to_owned());
    changes
}

#[test]
fn what_stays_is_kept_by_its_id() {
    let world = World::new();
    let plan = slim_plan(&world, &Changes::default());
    let plan = keep(plan, &world.input(), &shop(), &BTreeSet::new()).expect("it keeps the law");
    let keeps: Vec<(&str, &str)> = plan
        .keeps
        .iter()
        .map(|(id, name)| (id.as_str(), name.as_str()))
        .collect();
    assert_eq!(
        keeps,
        [
            ("u1", "raw.orders"),
            ("u2", "raw.stg"),
            ("u3", "marts.totals")
        ]
    );
    let plan = world.plan().expect("a plan");
    assert_eq!(judged(&world, plan, &shop(), &[]), Ok(Vec::new()));
}

#[test]
fn a_leaf_that_moved_and_is_built_nowhere_is_refused() {
    let mut world = World::new();
    world.schemas.insert("outside".to_owned());
    world.change("model.shop.totals", |node| {
        node.schema = "outside".to_owned()
    });
    let plan = slim_plan(&world, &left("marts"));
    assert_eq!(plan.loses, ["marts.totals"]);
    assert_eq!(
        judged(&world, plan, &shop(), &[]),
        Err(vec![
            "model.shop.totals (marts.totals goes; outside.totals: not in production)".to_owned()
        ])
    );
}

#[test]
fn a_leaf_that_left_the_deployment_is_refused_until_it_is_there() {
    let mut world = World::new();
    world.change("model.shop.totals", |node| {
        node.schema = "outside".to_owned()
    });
    let refused = judged(&world, slim_plan(&world, &left("marts")), &shop(), &[]);
    assert_eq!(
        refused.map_err(|objects| objects.len()),
        Err(1),
        "it goes and is nowhere else"
    );
    // A first release knows no baseline, and nothing that it could lose.
    let plan = slim_plan(&world, &left("marts"));
    assert!(judged(&world, plan, &Before::default(), &[]).is_ok());
    world.object(
        "u9",
        "totals",
        ObjectKind::MaterializedView,
        "s3",
        Some("c1"),
    );
    let plan = slim_plan(&world, &left("marts"));
    assert_eq!(plan.loses, ["marts.totals"]);
    assert!(judged(&world, plan, &shop(), &[]).is_ok());
}

#[test]
fn a_relation_that_stays_must_be_of_its_kind_and_on_its_cluster() {
    let mut world = World::new();
    world.clusters.insert("other".to_owned());
    world.change("model.shop.totals", |node| {
        node.cluster = Some(ClusterUse::Named("other".to_owned()));
    });
    world.change("model.shop.stg", |node| {
        node.materialized = "materialized_view".to_owned();
    });
    let plan = slim_plan(&world, &Changes::default());
    assert_eq!(
        judged(&world, plan, &shop(), &[]),
        Err(vec![
            "model.shop.stg (raw.stg: a view in production, not a materialized view)".to_owned(),
            "model.shop.totals (marts.totals: on the cluster compute in production, not on other)"
                .to_owned(),
        ])
    );
}

#[test]
fn what_is_missing_may_be_held_back_or_accepted_as_drift() {
    let mut world = World::new();
    world.catalog.objects.remove("u3");
    world.catalog.objects.remove("u4");
    let missing = || slim_plan(&world, &Changes::default());
    let expected = "model.shop.totals (marts.totals: not in production)".to_owned();
    assert_eq!(judged(&world, missing(), &shop(), &[]), Err(vec![expected]));
    let kept = vec!["raw.orders".to_owned(), "raw.stg".to_owned()];
    assert_eq!(
        judged(&world, missing(), &shop(), &["marts.totals"]),
        Ok(kept.clone())
    );
    let mut plan = missing();
    plan.held_back
        .insert("model.shop.totals".to_owned(), "new".to_owned());
    assert_eq!(judged(&world, plan, &shop(), &[]), Ok(kept));
}

#[test]
fn what_is_held_back_keeps_what_serves_it_now() {
    let mut world = World::new();
    world.schemas.insert("outside".to_owned());
    world.change("model.shop.totals", |node| {
        node.schema = "outside".to_owned()
    });
    let held_back = |world: &World| {
        let mut plan = slim_plan(world, &left("marts"));
        plan.held_back
            .insert("model.shop.totals".to_owned(), "moved".to_owned());
        plan
    };
    let refused = judged(&world, held_back(&world), &shop(), &[]);
    assert!(refused.is_err(), "{refused:?}");
    // Its release was held back before, so the baseline has it where it never was.
    let mut moved = before(&[("model.shop.totals", "outside", "totals")]);
    moved.held_back.insert("model.shop.totals".to_owned());
    moved.left.insert("marts".to_owned());
    let refused = judged(&world, held_back(&world), &moved, &[]);
    assert_eq!(
        refused,
        Err(vec![
            "model.shop.totals (an earlier release held it back, and the schema marts, which something left then, goes; \
             outside.totals: not in production)"
                .to_owned()
        ])
    );
    let mut plan = slim_plan(&world, &Changes::default());
    plan.held_back
        .insert("model.shop.totals".to_owned(), "moved".to_owned());
    assert!(judged(&world, plan, &moved, &[]).is_ok());
}

#[test]
fn a_planned_node_must_be_the_projects() {
    let world = World::new();
    for (spoil, why) in [
        (
            (|plan| plan.nodes.retain(|node| node.identifier != "totals")) as fn(&mut Plan),
            "not among the nodes to build",
        ),
        (
            |plan| plan.nodes[0].schema = "raw".to_owned(),
            "to be built as raw.",
        ),
        (
            |plan| plan.nodes[0].kind = Some(ObjectKind::Table),
            "to be built as a table, not as a",
        ),
        (
            |plan| {
                for node in &mut plan.nodes {
                    node.cluster = Some("other".to_owned());
                }
            },
            "to be built on the cluster other, not on compute",
        ),
    ] {
        let mut plan = world.plan().expect("a plan");
        plan.nodes.sort_by_key(|node| node.identifier != "totals");
        spoil(&mut plan);
        let refused = judged(&world, plan, &shop(), &[]).expect_err(why);
        assert!(refused[0].contains(why), "{refused:?}");
    }
}
