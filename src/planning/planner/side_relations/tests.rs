use super::version_pointer;
use crate::domain::catalog::ObjectKind;
use crate::domain::plan::Plan;
use crate::domain::plan::refusal::RefusalName;
use crate::inputs::manifest::sample::{manifest, model, resource, with};
use crate::inputs::project::switches::Switches;
use crate::planning::planner::candidate::{Candidate, Promoted};
use crate::planning::planner::clusters::ClusterNames;
use crate::planning::planner::sample::World;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The shop whose production holds `marts.latest`, which no node makes and which the last release saw a
/// hook make; `hooked` has hooks.
fn hooked(node: Option<&str>) -> World {
    let mut world = World::new();
    world.object("u9", "latest", ObjectKind::View, "s2", None);
    world.depends("u9", "u3");
    world.baseline = Some(BTreeMap::from([(
        ("marts".to_owned(), "latest".to_owned()),
        Promoted {
            indexes: Vec::new(),
            beside: true,
        },
    )]));
    if let Some(node) = node {
        world.change(node, |node| node.has_hooks = true);
    }
    world
}

#[track_caller]
fn planned(world: &World) -> Plan {
    match world.plan() {
        Ok(plan) => plan,
        Err(refused) => panic!("{refused}"),
    }
}

fn beside(plan: &Plan) -> Vec<String> {
    plan.beside
        .iter()
        .map(super::BesideRelation::name)
        .collect()
}

#[test]
fn what_a_hook_made_is_expected_again_as_long_as_the_plan_runs_hooks() {
    for hook in ["model.shop.totals", "seed.shop.orders"] {
        let plan = planned(&hooked(Some(hook)));
        assert_eq!(beside(&plan), ["marts.latest"]);
        assert_eq!(plan.hooked, [hook]);
        assert!(plan.gains.is_empty() && plan.loses.is_empty(), "{plan:#?}");
        let told = |what: &str| plan.notes.iter().any(|note| note.contains(what));
        assert!(
            told(&format!("cannot know before: {hook}")),
            "{:?}",
            plan.notes
        );
        assert!(told("expected again: marts.latest"), "{:?}", plan.notes);
    }
    let mut world = hooked(None);
    let operation = "operation.shop.shop-on-run-end-0".to_owned();
    world.candidate.project_hooks = vec![operation.clone()];
    let plan = planned(&world);
    assert_eq!(
        (beside(&plan), plan.hooked.clone()),
        (vec!["marts.latest".to_owned()], vec![operation])
    );
    assert!(
        plan.tests_make(),
        "the hooks of the project run with the tests"
    );
}

#[test]
fn what_a_hook_made_goes_with_the_last_hook_or_by_consent() {
    let plan = planned(&hooked(None));
    assert_eq!(plan.loses, ["marts.latest"]);
    assert!(plan.beside.is_empty() && plan.hooked.is_empty());
    let mut world = hooked(Some("model.shop.totals"));
    world.allow.insert(RefusalName::UnmanagedObject);
    let plan = planned(&world);
    assert_eq!(plan.loses, ["marts.latest"]);
    assert!(plan.beside.is_empty());
}

#[test]
fn what_a_hook_of_another_node_made_is_refused() {
    // The node with the hook lies outside what is released.
    let mut world = hooked(None);
    world.node("model.shop.far", "outside", "far", "view", &[]);
    world.change("model.shop.far", |node| node.has_hooks = true);
    let refused = world.plan().expect_err("a refusal").0;
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert_eq!(refused[0].name, RefusalName::UnmanagedObject);
    assert_eq!(refused[0].objects, ["marts.latest"]);
    // What nobody saw a hook make is refused whatever has hooks.
    let mut world = hooked(Some("model.shop.totals"));
    world.baseline = Some(BTreeMap::new());
    let refused = world.plan().expect_err("a refusal").0;
    assert_eq!(refused[0].name, RefusalName::UnmanagedObject);
}

#[test]
fn indexes_of_hooks_are_counted_like_the_rest() {
    let more = |promoted: bool, hooks: bool| {
        let mut world = World::new();
        world.object("u9", "by_hook", ObjectKind::Index, "s2", Some("c1"));
        world.depends("u9", "u3");
        let beside = Promoted {
            indexes: Vec::new(),
            beside: true,
        };
        let place = |name: &str| ("marts".to_owned(), name.to_owned());
        world.baseline = Some(match promoted {
            true => BTreeMap::from([
                (place("by_hook"), beside.clone()),
                (place("totals_idx"), beside),
            ]),
            false => BTreeMap::new(),
        });
        world.change("model.shop.totals", |node| node.has_hooks = hooks);
        world.plan()
    };
    assert!(more(true, true).is_ok());
    // The hook is gone, and with it the index.
    assert!(more(true, false).is_ok());
    let refused = more(false, true).expect_err("a refusal").0;
    assert_eq!(refused[0].name, RefusalName::UnmanagedObject);
}

#[test]
fn a_version_pointer_is_a_relation_of_the_project() {
    let mut world = World::new();
    let pointers = &mut world.candidate.pointers;
    pointers.insert("model.shop.totals".to_owned(), "t".to_owned());
    let plan = planned(&world);
    assert_eq!(
        (beside(&plan), plan.gains.clone()),
        (vec!["marts.t".to_owned()], vec!["marts.t".to_owned()])
    );
    assert_eq!(plan.beside[0].node.as_deref(), Some("model.shop.totals"));
    assert!(plan.hooked.is_empty());
    // In production it is no stranger, nor is what dbt makes on it, nor who reads it.
    world.object("u9", "t", ObjectKind::View, "s2", None);
    world.object("u10", "t_idx", ObjectKind::Index, "s2", Some("c1"));
    world.object("u11", "out", ObjectKind::Sink, "s3", Some("c2"));
    for (dependent, on) in [("u9", "u3"), ("u10", "u9"), ("u11", "u9")] {
        world.depends(dependent, on);
    }
    let plan = planned(&world);
    assert!(plan.gains.is_empty() && plan.loses.is_empty(), "{plan:#?}");
    assert_eq!(plan.sinks.len(), 1);
    // Switched off, it is what production loses.
    world.candidate.pointers.clear();
    world.catalog.objects.remove("u11");
    world.baseline = Some(BTreeMap::from([(
        ("marts".to_owned(), "t".to_owned()),
        Promoted {
            indexes: vec![crate::planning::planner::indexes::Wanted {
                key: None,
                cluster: None,
                name: None,
            }],
            beside: false,
        },
    )]));
    assert_eq!(planned(&world).loses, ["marts.t"]);
}

#[test]
fn pointers_are_those_that_dbt_would_make() {
    let version = |number: u32, config: Value| {
        let keys = json!({"name": "v", "version": number, "latest_version": 2, "config": config,
            "relation_name": "r", "alias": format!("v_v{number}")});
        with(
            model(&format!("v.v{number}"), &[]),
            with(
                keys,
                json!({"unique_id": format!("model.shop.v.v{number}")}),
            ),
        )
    };
    let found = |dbt: &str, config: Value, by_default: bool, more: Vec<Value>| {
        let versions = [version(1, config.clone()), version(2, config)];
        let mut manifest = manifest(versions.into_iter().chain(more));
        manifest.metadata.dbt_version = Some(dbt.to_owned());
        let switches = Switches {
            version_pointers: by_default,
            ..Switches::default()
        };
        let candidate =
            Candidate::with_clusters(&manifest, &manifest, ClusterNames::default(), switches)
                .expect("a candidate");
        let old = &manifest.nodes["model.shop.v.v1"];
        assert_eq!(
            version_pointer(&manifest, old, switches),
            None,
            "not the latest"
        );
        let hooks = candidate.nodes["model.shop.v.v2"].has_hooks;
        (candidate.pointers.into_values().collect::<Vec<_>>(), hooks)
    };
    let config = |pointer: Value| json!({"enabled": true, "latest_version_pointer": pointer});
    let on = config(json!({"enabled": true, "alias": null}));
    let named = config(json!({"enabled": true, "alias": "newest"}));
    let unsaid = config(json!({"enabled": null, "alias": null}));
    let off = config(json!({"enabled": false, "alias": null}));
    let none: (Vec<String>, bool) = (Vec::new(), false);
    let one = |name: &str| (vec![name.to_owned()], false);
    assert_eq!(found("1.12.6", on.clone(), false, vec![]), one("v"));
    assert_eq!(found("1.12.6", named, false, vec![]), one("newest"));
    assert_eq!(found("1.12.6", unsaid.clone(), false, vec![]), none);
    assert_eq!(found("1.12.6", unsaid, true, vec![]), one("v"));
    assert_eq!(found("1.12.6", off, true, vec![]), none);
    // Earlier versions write the key and make nothing.
    assert_eq!(found("1.11.16", on.clone(), false, vec![]), none);
    // A macro of the project decides.
    let own = resource(
        "macro.shop.generate_latest_version_pointer_alias",
        json!({"macro_sql": ""}),
    );
    assert_eq!(found("1.12.6", on, false, vec![own]), (Vec::new(), true));
}
