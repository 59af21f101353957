use super::{Wanted, lost, wanted};
use crate::domain::catalog::ObjectKind;
use crate::domain::catalog::index_key::IndexKey;
use crate::domain::plan::refusal::RefusalName;
use crate::planning::planner::candidate::{CandidateIndex, ClusterUse, Promoted};
use crate::planning::planner::sample::World;
use std::collections::{BTreeMap, BTreeSet};

fn on(columns: &[&str]) -> CandidateIndex {
    CandidateIndex {
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        ..CandidateIndex::default()
    }
}

/// `marts.totals` with these indexes in the project, and in production these: id, columns, cluster.
fn world(project: Vec<CandidateIndex>, live: &[(&str, &str, &str)]) -> World {
    let mut world = World::new();
    world.change("model.shop.totals", |node| node.indexes = project);
    world.catalog.objects.remove("u4");
    world
        .catalog
        .dependencies
        .remove(&("u4".to_owned(), "u3".to_owned()));
    for (id, columns, cluster) in live {
        world.object(
            id,
            &format!("index_{id}"),
            ObjectKind::Index,
            "s2",
            Some(cluster),
        );
        world.depends(id, "u3");
        let key = IndexKey::of_columns(&[(*columns).to_owned()]);
        world.catalog.index_keys.insert((*id).to_owned(), key);
    }
    world
}

#[track_caller]
fn unmanaged(world: &World, names: &[&str]) {
    let refused = world.plan().err().map(|refused| refused.0);
    let objects: BTreeSet<String> = refused
        .into_iter()
        .flatten()
        .filter(|refusal| refusal.name == RefusalName::UnmanagedObject)
        .flat_map(|refusal| refusal.objects)
        .collect();
    let expected = names.iter().map(|name| format!("marts.{name}"));
    assert_eq!(objects, expected.collect());
}

fn missing(world: &World) -> Vec<String> {
    let lost = lost(&world.input());
    lost.into_iter().map(|lost| lost.shown).collect()
}

#[test]
fn the_projects_indexes_are_told_by_key_and_cluster() {
    let world = world(
        vec![on(&["customer"]), on(&["Total", "customer"])],
        &[("u20", "total, customer", "c1"), ("u21", "customer", "c1")],
    );
    unmanaged(&world, &[]);
    assert_eq!(missing(&world), Vec::<String>::new());
}

#[test]
fn one_with_another_key_is_unmanaged_although_the_number_is_right() {
    let world = world(vec![on(&["customer"])], &[("u20", "total", "c1")]);
    unmanaged(&world, &["index_u20"]);
    assert_eq!(
        missing(&world),
        ["index (customer) of marts.totals on compute"]
    );
}

#[test]
fn one_on_another_cluster_is_unmanaged_although_the_key_is_right() {
    let world = world(vec![on(&["customer"])], &[("u20", "customer", "c2")]);
    unmanaged(&world, &["index_u20"]);
    assert_eq!(
        missing(&world),
        ["index (customer) of marts.totals on compute"]
    );
}

#[test]
fn a_second_one_on_the_same_key_is_one_too_many() {
    let both = [("u20", "customer", "c1"), ("u21", "customer", "c1")];
    unmanaged(&world(vec![on(&["customer"])], &both), &["index_u21"]);
    let named = CandidateIndex {
        name: Some("index_u21".to_owned()),
        ..on(&["customer"])
    };
    unmanaged(&world(vec![named], &both), &["index_u20"]);
    unmanaged(
        &world(vec![on(&["customer"]), on(&["customer"])], &both),
        &[],
    );
}

#[test]
fn a_default_index_takes_what_the_others_leave() {
    let default = CandidateIndex {
        is_default: true,
        ..CandidateIndex::default()
    };
    let live = [("u20", "customer", "c1"), ("u21", "a, b", "c1")];
    // Whichever is looked at first.
    unmanaged(&world(vec![default.clone(), on(&["customer"])], &live), &[]);
    unmanaged(&world(vec![on(&["customer"]), default], &live), &[]);
}

#[test]
fn what_the_catalog_does_not_tell_fits_anything() {
    let mut world = world(vec![on(&["customer"])], &[("u20", "total", "c1")]);
    world.catalog.index_keys.clear();
    unmanaged(&world, &[]);
    assert_eq!(missing(&world), Vec::<String>::new());
}

#[test]
fn an_index_of_the_last_promotion_is_known() {
    let mut world = world(vec![on(&["customer"])], &[("u20", "total", "c1")]);
    let promoted = Wanted {
        key: Some(IndexKey::of_columns(&["total".to_owned()])),
        cluster: Some("compute".to_owned()),
        name: None,
    };
    let place = ("marts".to_owned(), "totals".to_owned());
    let promoted = Promoted {
        indexes: vec![promoted],
        beside: false,
    };
    world.baseline = Some(BTreeMap::from([(place, promoted)]));
    unmanaged(&world, &[]);
}

#[test]
fn an_index_takes_the_cluster_of_its_model_and_that_the_profiles() {
    let world = world(
        vec![
            on(&["a"]),
            CandidateIndex {
                cluster: Some(ClusterUse::Named("other".to_owned())),
                ..on(&["a"])
            },
        ],
        &[],
    );
    let node = &world.candidate.nodes["model.shop.totals"];
    let clusters = |target| -> Vec<Option<String>> {
        let wanted = wanted(node, target);
        wanted.into_iter().map(|index| index.cluster).collect()
    };
    let named = |name: &str| Some(name.to_owned());
    assert_eq!(
        clusters(Some("profile")),
        [named("compute"), named("other")]
    );
    let mut bare = node.clone();
    bare.cluster = None;
    assert_eq!(wanted(&bare, Some("profile"))[0].cluster, named("profile"));
    assert_eq!(wanted(&bare, None)[0].cluster, None);
}
