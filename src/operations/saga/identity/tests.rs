use super::{GreenObject, Ids, Live, SecretNames, unchanged};
use crate::adapters::materialize::guarded::Names;
use crate::domain::catalog::ObjectKind;
use crate::domain::plan::{Plan, PlannedNode};
use crate::planning::planner::render::sample;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn plan() -> Plan {
    let mut plan = sample::shop();
    for (index, schema) in plan.schemas.iter_mut().enumerate() {
        schema.id = Some(format!("u{index}"));
        schema.objects.clear();
    }
    plan.sinks.clear();
    plan.nodes.clear();
    plan.keeps.clear();
    plan
}

fn ids(plan: &Plan) -> Ids {
    let side = |prefix: &str, names: Vec<&String>| -> BTreeMap<String, String> {
        names
            .into_iter()
            .map(|name| (name.clone(), format!("{prefix}-{name}")))
            .collect()
    };
    let schemas = || plan.schemas.iter().map(|s| &s.name).collect();
    let clusters = || plan.clusters.iter().map(|c| &c.name).collect();
    Ids {
        control: "control".to_owned(),
        blue_schemas: side("bs", schemas()),
        green_schemas: side("gs", schemas()),
        blue_clusters: side("bc", clusters()),
        green_clusters: side("gc", clusters()),
        ..Ids::default()
    }
}

fn names(plan: &Plan, ids: &Ids, swapped: &[bool]) -> Names {
    let mut names = Names::default();
    let mut swapped = swapped.iter().copied().cycle();
    for schema in &plan.schemas {
        let (a, b) = (
            ids.blue_schemas[&schema.name].clone(),
            ids.green_schemas[&schema.name].clone(),
        );
        let (here, there) = if swapped.next() == Some(true) {
            (b, a)
        } else {
            (a, b)
        };
        names.schemas.insert(schema.name.clone(), here);
        names.schemas.insert(schema.green.clone(), there);
    }
    for cluster in &plan.clusters {
        let (a, b) = (
            ids.blue_clusters[&cluster.name].clone(),
            ids.green_clusters[&cluster.name].clone(),
        );
        let (here, there) = if swapped.next() == Some(true) {
            (b, a)
        } else {
            (a, b)
        };
        names.clusters.insert(cluster.name.clone(), here);
        names.clusters.insert(cluster.green.clone(), there);
    }
    names
}

proptest! {
    /// Only all or nothing is a side; every other combination is named as foreign.
    #[test]
    fn a_part_is_never_taken_for_a_whole(swapped in prop::collection::vec(any::<bool>(), 4)) {
        let plan = plan();
        let ids = ids(&plan);
        let live = ids.live(&plan, &names(&plan, &ids, &swapped));
        match (swapped.iter().all(|s| *s), swapped.iter().any(|s| *s)) {
            (true, _) => prop_assert_eq!(live, Live::Green),
            (false, false) => prop_assert_eq!(live, Live::Blue),
            (false, true) => prop_assert!(matches!(live, Live::Neither(_))),
        }
    }
}

#[test]
fn a_missing_or_foreign_side_is_named() {
    let plan = plan();
    let ids = ids(&plan);
    let mut names = names(&plan, &ids, &[false]);
    names
        .schemas
        .insert("marts_dbt_deploy".to_owned(), "u99".to_owned());
    let Live::Neither(reason) = ids.live(&plan, &names) else {
        panic!("a foreign green schema was taken for ours");
    };
    assert!(
        reason.contains("marts_dbt_deploy") && reason.contains("u99"),
        "{reason}"
    );
    names.schemas.remove("marts_dbt_deploy");
    assert!(matches!(ids.live(&plan, &names), Live::Neither(_)));
}

#[test]
fn the_generation_is_that_of_our_control_schema() {
    let plan = plan();
    let ids = ids(&plan);
    let secret = SecretNames::of("0199-aa");
    let mut names = names(&plan, &ids, &[false]);
    assert_eq!(ids.generation(&secret, &names), None);
    names
        .schemas
        .insert("cutover_0199aa_gen_1".to_owned(), "control".to_owned());
    assert_eq!(ids.generation(&secret, &names), Some(1));
    names
        .schemas
        .insert("cutover_0199aa_gen_1".to_owned(), "another".to_owned());
    assert_eq!(ids.generation(&secret, &names), None);
}

#[test]
fn what_appears_or_vanishes_on_either_side_is_noticed() {
    let plan = plan();
    let ids = ids(&plan);
    let green = vec![GreenObject {
        id: "u50".to_owned(),
        schema: "marts".to_owned(),
        name: "daily_orders".to_owned(),
        kind: ObjectKind::View,
        cluster_id: None,
        on: None,
        beside: false,
    }];
    let mut names = names(&plan, &ids, &[false]);
    let place = |names: &mut Names, id: &str, schema: &str, cluster: Option<&str>| {
        names.objects.insert(
            id.to_owned(),
            (schema.to_owned(), cluster.map(str::to_owned)),
        );
    };
    assert!(
        unchanged(&plan, &ids, &green, &[], &names).is_err(),
        "u50 is gone"
    );
    place(&mut names, "u50", "gs-marts", None);
    assert_eq!(unchanged(&plan, &ids, &green, &[], &names), Ok(()));
    place(&mut names, "u60", "elsewhere", None);
    assert_eq!(unchanged(&plan, &ids, &green, &[], &names), Ok(()));
    names
        .dependencies
        .push(("u60".to_owned(), "u50".to_owned()));
    assert!(
        unchanged(&plan, &ids, &green, &[], &names).is_err(),
        "outside dependent"
    );
    names.dependencies.clear();
    place(&mut names, "u61", "elsewhere", Some("bc-compute"));
    assert!(
        unchanged(&plan, &ids, &green, &[], &names).is_err(),
        "on blue's cluster"
    );
    names.objects.remove("u61");
    place(&mut names, "u62", "bs-marts", None);
    assert!(
        unchanged(&plan, &ids, &green, &[], &names).is_err(),
        "new in production"
    );
}

#[test]
fn what_is_built_or_stays_must_be_where_the_law_wants_it() {
    let mut plan = plan();
    plan.keeps = [("u70".to_owned(), "staging.orders".to_owned())].into();
    plan.nodes = vec![PlannedNode {
        unique_id: "model.shop.totals".to_owned(),
        schema: "marts".to_owned(),
        identifier: "totals".to_owned(),
        materialized: "materialized_view".to_owned(),
        kind: Some(ObjectKind::MaterializedView),
        cluster: Some("compute".to_owned()),
        indexes: 0,
        stores_failures: false,
        persists_relation_comment: false,
        persists_column_comments: false,
        refresh: None,
        diff: crate::domain::diff::Traits::default(),
        depends_on: Vec::new(),
        reason: "new".to_owned(),
    }];
    let ids = ids(&plan);
    let green = |kind| GreenObject {
        id: "u50".to_owned(),
        schema: "marts".to_owned(),
        name: "totals".to_owned(),
        kind,
        cluster_id: Some("gc-compute".to_owned()),
        on: None,
        beside: false,
    };
    let mut names = names(&plan, &ids, &[false]);
    for (id, schema, cluster, called) in [
        (
            "u50",
            "gs-marts",
            Some("gc-compute"),
            "marts_dbt_deploy.totals",
        ),
        ("u70", "elsewhere", None, "staging.orders"),
    ] {
        let object = (schema.to_owned(), cluster.map(str::to_owned));
        names.objects.insert(id.to_owned(), object);
        names.called.insert(id.to_owned(), called.to_owned());
    }
    let recorded = [green(ObjectKind::MaterializedView)];
    let found = |names: &Names| unchanged(&plan, &ids, &recorded, &[], names);
    assert_eq!(found(&names), Ok(()));
    let lost = |what: &str| Err(format!("relation-lost: {what}"));
    for (id, called, what) in [
        (
            "u50",
            "marts_dbt_deploy.other",
            "marts.totals is called marts_dbt_deploy.other in green",
        ),
        (
            "u70",
            "staging.other",
            "staging.orders is called staging.other since the plan",
        ),
    ] {
        let mut names = names.clone();
        names.called.insert(id.to_owned(), called.to_owned());
        assert_eq!(found(&names), lost(what));
    }
    let mut without = names.clone();
    without.objects.remove("u70");
    without.called.remove("u70");
    assert_eq!(
        found(&without),
        lost("staging.orders was dropped, or made again, since the plan")
    );
    let mut elsewhere = names.clone();
    let object = ("gs-marts".to_owned(), Some("c9".to_owned()));
    elsewhere.objects.insert("u50".to_owned(), object);
    assert_eq!(
        found(&elsewhere),
        lost("marts.totals runs in green on the cluster c9, not on that for compute")
    );
    let another = [green(ObjectKind::View)];
    assert_eq!(
        unchanged(&plan, &ids, &another, &[], &names),
        lost("marts.totals was not recorded in green")
    );
}
