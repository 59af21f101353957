use super::{
    Difference, Queries, Reasons, columns_differ, is_unready, note, plan, refusal, target, tests_of,
};
use crate::domain::catalog::{ClusterDefinition, ObjectKind};
use crate::domain::plan::refusal::RefusalName;
use crate::domain::plan::{Plan, Strategy};
use crate::inputs::selection::state::Change;
use crate::planning::planner::candidate::ClusterUse;
use crate::planning::planner::changes::Changes;
use crate::planning::planner::sample::World;
use std::collections::BTreeMap;

const TOTALS: &str = "model.shop.totals";

/// The shop on a server that knows replacements.
fn world() -> World {
    let mut world = World::new();
    world.catalog.replacements = Some([].into_iter().collect());
    world
}

fn changes(world: &World, ids: &[&str]) -> Changes {
    let mut changes = Changes::default();
    for id in ids {
        let node = &world.candidate.nodes[*id];
        changes.take(id, node, "changed: body".to_owned(), &world.input());
    }
    changes
}

fn bodies(changes: &Changes) -> BTreeMap<String, Difference> {
    let body = || Difference::of_texts(&[Change::Body], false);
    let ids = changes.seed.nodes.keys();
    ids.map(|id| (id.clone(), body())).collect()
}

fn planned(world: &World) -> Result<Plan, Reasons> {
    let changes = changes(world, &[TOTALS]);
    let input = world.input();
    let target = target(&input, &changes, &bodies(&changes))?;
    let queries = Queries {
        new: "select 2".to_owned(),
        live: "SELECT 1".to_owned(),
    };
    Ok(plan(&input, &changes, &target, queries))
}

/// Why the change of `totals` alone is not one.
#[track_caller]
fn refused(world: &World) -> String {
    let reasons = planned(world).expect_err("a refusal");
    note(&reasons)
}

#[test]
fn a_changed_body_is_replaced_and_nothing_else() {
    let plan = planned(&world()).expect("a plan");
    assert_eq!(plan.strategy, Strategy::Replace);
    assert!(!plan.is_empty());
    assert!(plan.schemas.is_empty() && plan.clusters.is_empty() && plan.indexes.is_empty());
    assert!(plan.gains.is_empty() && plan.loses.is_empty());
    let [view] = plan.replacements.as_slice() else {
        panic!("{plan:?}");
    };
    assert_eq!((view.id.as_str(), view.cluster.as_str()), ("u3", "compute"));
    assert_eq!(
        (view.query.as_str(), view.previous.as_str()),
        ("select 2", "SELECT 1")
    );
    assert_eq!(plan.nodes.len(), 1);
    assert_eq!(plan.tests, ["test.shop.totals_not_null"]);
}

#[test]
fn plans_of_older_versions_swap() {
    let plan = planned(&world()).expect("a plan");
    let mut document = serde_json::to_value(&plan).expect("a document");
    let fields = document.as_object_mut().expect("fields");
    fields.remove("strategy");
    fields.remove("replacements");
    let older: Plan = serde_json::from_value(document).expect("a plan");
    assert_eq!(older.strategy, Strategy::Swap);
    assert!(older.replacements.is_empty());
}

#[test]
fn tests_that_read_what_is_computed_from_the_view_are_left_out() {
    let mut world = world();
    world.node("model.shop.report", "marts", "report", "view", &[TOTALS]);
    world.test("test.shop.both", &[TOTALS, "model.shop.report"]);
    let input = world.input();
    let changes = changes(&world, &[TOTALS]);
    let target = target(&input, &changes, &bodies(&changes)).expect("a target");
    assert_eq!(
        tests_of(&input, &target),
        (vec!["test.shop.totals_not_null"], vec!["test.shop.both"])
    );
    let plan = planned(&world).expect("a plan");
    assert_eq!(plan.tests, ["test.shop.totals_not_null"]);
    assert!(
        plan.notes
            .iter()
            .any(|note| note.contains("test.shop.both"))
    );
}

#[test]
fn whatever_else_changed_is_named() {
    let world = world();
    let input = world.input();
    for (ids, why) in [
        (
            &[TOTALS, "model.shop.stg"][..],
            "several nodes cannot be replaced in one moment",
        ),
        (&["model.shop.stg"], "is a view"),
        (&["seed.shop.orders"], "is a seed"),
        (&[], "nothing changed"),
    ] {
        let changes = changes(&world, ids);
        let reasons = target(&input, &changes, &bodies(&changes)).expect_err("a refusal");
        assert!(note(&reasons).contains(why), "{reasons:?}");
        let refusals = refusal(&reasons);
        assert_eq!(refusals.len(), 1);
        assert_eq!(refusals[0].name, RefusalName::NotReplaceable);
        assert_eq!(refusals[0].objects.len(), reasons.len());
    }
    let mut moved = changes(&world, &[TOTALS]);
    let seeds = &mut moved.seed.schemas;
    seeds.insert("raw".to_owned(), "deleted model.shop.old".to_owned());
    moved
        .drifted
        .insert("raw.stg".to_owned(), "is gone".to_owned());
    moved
        .unreleased
        .insert("model.shop.sink".to_owned(), "changed: body".to_owned());
    let reasons = target(&input, &moved, &bodies(&moved)).expect_err("a refusal");
    assert_eq!(reasons.len(), 3, "{reasons:?}");
}

#[test]
fn only_the_body_may_change() {
    let world = world();
    let input = world.input();
    let changes = changes(&world, &[TOTALS]);
    for (difference, why) in [
        (
            Difference::of_texts(&[Change::Body, Change::Relation], false),
            "only the body may change",
        ),
        (Difference::default(), "was not changed by its body"),
        (Difference::of_texts(&[Change::Body], true), "has hooks"),
    ] {
        let differences = BTreeMap::from([(TOTALS.to_owned(), difference)]);
        let reasons = target(&input, &changes, &differences).expect_err("a refusal");
        assert!(note(&reasons).contains(why), "{reasons:?}");
    }
}

#[test]
fn the_server_must_have_the_view_as_the_project_does() {
    let mut other = world();
    other.change(TOTALS, |node| {
        node.cluster = Some(ClusterUse::Named("other".to_owned()));
    });
    assert!(refused(&other).contains("runs on another cluster"));
    let mut new = world();
    new.change(TOTALS, |node| node.identifier = "sums".to_owned());
    assert!(refused(&new).contains("is not in production yet"));
    let mut kind = world();
    if let Some(live) = kind.catalog.objects.get_mut("u3") {
        live.kind = ObjectKind::View;
    }
    assert!(refused(&kind).contains("something else"));
    let mut owned = world();
    if let Some(live) = owned.catalog.objects.get_mut("u3") {
        live.owner = "somebody".to_owned();
    }
    assert!(refused(&owned).contains("belongs to somebody"));
    let mut outside = world();
    outside.schemas.remove("marts");
    // What no release builds is named as such.
    assert!(refused(&outside).contains("vars.deployment does not list"));
    let mut pending = world();
    let pair = ("u9".to_owned(), "u3".to_owned());
    pending.catalog.replacements = Some([pair].into_iter().collect());
    assert!(refused(&pending).contains("has a replacement of somebody else"));
    let mut poor = world();
    poor.catalog.may_create_schemas = false;
    assert!(refused(&poor).contains("may not create schemas"));
    let mut old = world();
    old.catalog.replacements = None;
    assert!(refused(&old).contains("lists no replacements"));
}

#[test]
fn a_cluster_that_is_not_always_there_replaces_nothing() {
    let why = |definition: ClusterDefinition| is_unready("compute", &definition);
    let managed = |options: &str| {
        why(ClusterDefinition::Managed {
            options: options.to_owned(),
        })
    };
    assert_eq!(managed("SIZE = '25cc'"), None);
    for (options, said) in [
        (
            "SIZE = '25cc', SCHEDULE = ON REFRESH",
            "SCHEDULE = ON REFRESH",
        ),
        (
            "SIZE = '25cc', REPLICATION FACTOR = 0, SCHEDULE = ON REFRESH (HYDRATION TIME ESTIMATE = '1 hour')",
            "SCHEDULE = ON REFRESH",
        ),
        (
            "SIZE = '25cc', REPLICATION FACTOR = 0, SCHEDULE = MANUAL",
            "has no replicas",
        ),
    ] {
        let reason = managed(options).expect("a reason");
        assert!(reason.contains(said), "{options}: {reason}");
    }
    let replicas = Vec::new();
    let unmanaged = why(ClusterDefinition::Unmanaged { replicas });
    assert!(unmanaged.is_some_and(|reason| reason.contains("has no replicas")));
}

#[test]
fn columns_are_compared_by_name_order_and_type() {
    let column = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
    let live = [column("a", "int4"), column("b", "text")];
    assert_eq!(columns_differ(&live, &live), None);
    for other in [
        vec![column("b", "text"), column("a", "int4")],
        vec![column("a", "int8"), column("b", "text")],
        vec![column("a", "int4")],
    ] {
        assert!(columns_differ(&live, &other).is_some());
    }
}

#[test]
fn a_test_over_an_ephemeral_model_is_run_unless_that_reads_what_is_computed_from_the_view() {
    let mut world = world();
    world.node(
        "model.shop.top",
        "marts",
        "top",
        "ephemeral",
        &["model.shop.totals"],
    );
    world.node(
        "model.shop.report",
        "outside",
        "report",
        "view",
        &["model.shop.top"],
    );
    world.node(
        "model.shop.late",
        "outside",
        "late",
        "ephemeral",
        &["model.shop.report", "model.shop.totals"],
    );
    world.test("test.shop.top", &["model.shop.top"]);
    world.test("test.shop.late", &["model.shop.late"]);
    let changes = changes(&world, &["model.shop.totals"]);
    let input = world.input();
    let target = target(&input, &changes, &bodies(&changes)).expect("a target");
    assert_eq!(
        tests_of(&input, &target),
        (
            vec!["test.shop.top", "test.shop.totals_not_null"],
            vec!["test.shop.late"]
        )
    );
}
