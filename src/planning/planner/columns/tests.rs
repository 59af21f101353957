use super::{Described, compared, described, is_same_type, lost, take};
use crate::domain::catalog::Column;
use crate::domain::plan::refusal::RefusalName;
use crate::domain::plan::{ColumnChangeKind, ReaderKind};
use crate::inputs::manifest::sample::{manifest, model};
use crate::planning::planner::sample::World;
use std::collections::{BTreeMap, BTreeSet};

fn columns(columns: &[(&str, &str)]) -> BTreeMap<String, String> {
    let columns = columns.iter();
    columns
        .map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned()))
        .collect()
}

/// `marts.totals` has the columns `live` and promises `promised`.
fn world(live: &[(&str, &str)], promised: Option<&[(&str, &str)]>) -> World {
    let mut world = World::new();
    let object = world.catalog.objects.get_mut("u3").expect("the totals");
    object.columns = columns(live);
    let contract = promised.map(columns);
    world.change("model.shop.totals", |node| node.contract = contract);
    world
}

#[test]
fn one_type_has_many_names() {
    for (one, other) in [
        ("integer", "INT"),
        ("integer", "int4"),
        ("bigint", "int8"),
        ("smallint", "int2"),
        ("boolean", "bool"),
        ("text", "string"),
        ("text", "TEXT"),
        ("double precision", "float8"),
        ("double precision", "double  precision"),
        ("double precision", "float"),
        ("real", "float(24)"),
        ("double precision", "float(25)"),
        ("numeric", "decimal"),
        ("numeric", "numeric(38, 2)"),
        ("numeric(38)", "numeric(38,0)"),
        ("character varying", "varchar(20)"),
        ("character varying(20)", "VARCHAR( 20 )"),
        ("timestamp with time zone", "timestamptz"),
        ("timestamp with time zone", "timestamp(3) with time zone"),
        ("timestamp with time zone", "timestamptz(3)"),
        ("timestamp", "timestamp without time zone"),
        ("jsonb", "json"),
        ("integer[]", "int[]"),
        ("list", "int4 list"),
        ("map", "map[text=>int]"),
        ("mz_timestamp", "MZ_TIMESTAMP"),
        ("uint8", "uint8"),
    ] {
        assert!(is_same_type(one, other), "{one} and {other}");
        assert!(is_same_type(other, one), "{other} and {one}");
    }
}

#[test]
fn other_types_are_others() {
    for (one, other) in [
        ("integer", "bigint"),
        ("integer", "integer[]"),
        ("text", "varchar"),
        ("timestamp", "timestamptz"),
        ("numeric(10,2)", "numeric(10,3)"),
        ("real", "float8"),
        ("uint4", "int4"),
        ("money", "price"),
    ] {
        assert!(!is_same_type(one, other), "{one} and {other}");
    }
}

#[test]
fn a_contract_says_what_production_gains_and_has_retyped() {
    let world = world(
        &[("customer", "text"), ("total", "bigint")],
        Some(&[
            ("customer", "STRING"),
            ("since", "date"),
            ("total", "numeric(20,2)"),
        ]),
    );
    let plan = world.plan().expect("a plan");
    let [since, total] = plan.columns.as_slice() else {
        panic!("{:?}", plan.columns);
    };
    assert_eq!(
        (&*since.relation, &*since.column),
        ("marts.totals", "since")
    );
    assert_eq!(
        since.change,
        ColumnChangeKind::Added {
            to: "date".to_owned()
        }
    );
    assert_eq!(
        total.change,
        ColumnChangeKind::Retyped {
            from: "bigint".to_owned(),
            to: "numeric(20,2)".to_owned()
        }
    );
}

#[test]
fn a_column_that_production_loses_is_refused_until_it_is_allowed() {
    let mut world = world(
        &[("customer", "text"), ("total", "bigint")],
        Some(&[("customer", "text")]),
    );
    let refusals = world.plan().expect_err("a refusal").0;
    assert_eq!(refusals.len(), 1, "{refusals:?}");
    assert_eq!(refusals[0].name, RefusalName::ColumnLost);
    assert_eq!(refusals[0].objects, ["marts.totals.total (bigint)"]);
    world.allow.insert(RefusalName::ColumnLost);
    let plan = world.plan().expect("a plan");
    assert_eq!(plan.columns.len(), 1);
    assert_eq!(plan.accepted[0].name, RefusalName::ColumnLost);
}

#[test]
fn without_a_contract_nothing_is_said() {
    let world = world(&[("customer", "text")], None);
    assert!(world.plan().expect("a plan").columns.is_empty());
}

fn column(name: &str, data_type: &str, nullable: bool) -> Column {
    Column {
        name: name.to_owned(),
        data_type: data_type.to_owned(),
        nullable,
    }
}

#[test]
fn described_columns_are_gained_lost_retyped_or_may_be_null() {
    let mut world = world(
        &[
            ("same", "integer"),
            ("gone", "text"),
            ("wider", "integer"),
            ("sure", "date"),
            ("unsure", "date"),
        ],
        None,
    );
    let object = world.catalog.objects.get_mut("u3").expect("the totals");
    object.not_null = ["same", "sure"].map(str::to_owned).into();
    let new = [
        column("same", "integer", false),
        column("wider", "bigint", true),
        column("sure", "date", true),
        column("unsure", "date", true),
        column("new", "text", true),
    ];
    let object = world.catalog.objects.get("u3").expect("the totals");
    let found: Vec<(String, ColumnChangeKind)> = compared(object, &new).into_iter().collect();
    let text = str::to_owned;
    let expected = [
        ("gone", ColumnChangeKind::Removed { from: text("text") }),
        ("new", ColumnChangeKind::Added { to: text("text") }),
        ("sure", ColumnChangeKind::Nullable { to: text("date") }),
        (
            "wider",
            ColumnChangeKind::Retyped {
                from: text("integer"),
                to: text("bigint"),
            },
        ),
    ];
    let expected: Vec<(String, ColumnChangeKind)> = expected
        .into_iter()
        .map(|(name, change)| (text(name), change))
        .collect();
    assert_eq!(found, expected);
}

/// What is described takes the place of what the contract says, and what is accepted already is not refused again.
#[test]
fn a_description_says_more_than_a_contract() {
    let mut world = world(
        &[("customer", "text"), ("total", "bigint")],
        Some(&[("customer", "text")]),
    );
    world.allow.insert(RefusalName::ColumnLost);
    let mut plan = world.plan().expect("a plan");
    let manifest = manifest([model("totals", &[])]);
    let columns = BTreeMap::from([(
        "model.shop.totals".to_owned(),
        vec![column("customer", "integer", true)],
    )]);
    let built: BTreeSet<&str> = ["model.shop.totals"].into();
    let changes = described(Described {
        candidate: &world.candidate,
        manifest: &manifest,
        catalog: &world.catalog,
        columns: &columns,
        built: &built,
    });
    let kinds: Vec<&str> = changes.iter().map(|change| &*change.column).collect();
    assert_eq!(kinds, ["customer", "total"]);
    for change in &changes {
        let exposures = change.readers.iter();
        assert!(
            exposures
                .into_iter()
                .all(|it| it.kind != ReaderKind::Exposure)
        );
    }
    take(&mut plan, &built, changes);
    assert_eq!(plan.columns.len(), 2);
    assert_eq!(lost(&plan), Vec::new());
    plan.accepted.clear();
    assert_eq!(lost(&plan)[0].objects, ["marts.totals.total (bigint)"]);
}
