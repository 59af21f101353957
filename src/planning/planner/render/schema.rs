//! The plan as JSON is what `docs/plan.schema.json` says.

use super::sample;
use crate::domain::catalog::grants::{DefaultPrivilege, Grant};
use crate::domain::diff::{Masked, Thresholds, Traits, Wish};
use crate::domain::plan::owner::{Owned, Owner};
use crate::domain::plan::{BesideRelation, Building, Engine, Mode, Replacement, Strategy};
use crate::foundation::span::Span;
use crate::planning::planner::sample::World;
use checker::{check, properties};
use serde_json::Value;
use std::collections::BTreeSet;

#[path = "../../../../tests/support/schema.rs"]
mod checker;

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../../docs/plan.schema.json")).expect("JSON")
}

#[test]
fn every_field_is_described_and_every_description_has_its_field() {
    let mut full = sample::shop();
    full.mode = Mode::Full;
    full.schemas[0].grants = vec![Grant {
        grantee: None,
        privilege: "USAGE".to_owned(),
    }];
    full.schemas[0].default_privileges = vec![DefaultPrivilege {
        owner: None,
        object_type: "table".to_owned(),
        grantee: Some("reader".to_owned()),
        privilege: "SELECT".to_owned(),
    }];
    full.test_cluster_given = Some("serving".to_owned());
    full.strategy = Strategy::Replace;
    full.replacements = vec![Replacement {
        schema: "marts".to_owned(),
        name: "totals".to_owned(),
        node: "model.shop.totals".to_owned(),
        id: "u1".to_owned(),
        cluster: "compute".to_owned(),
        cluster_id: "u4".to_owned(),
        query: "select 2".to_owned(),
        previous: "SELECT 1".to_owned(),
    }];
    full.beside = vec![BesideRelation {
        schema: "marts".to_owned(),
        identifier: "latest".to_owned(),
        node: None,
    }];
    full.default_privileges = full.schemas[0].default_privileges.clone();
    full.outside = sample::outside();
    full.hooked = vec!["model.shop.totals".to_owned()];
    full.building = Building {
        engine: Engine::Native,
        recipe: Some("0".repeat(64)),
        reasons: vec!["model.shop.totals has a post-hook".to_owned()],
        tests: vec!["unit_test.shop.totals.add_up".to_owned()],
        test_selectors: vec!["totals_add_up".to_owned()],
    };
    full.nodes[0].stores_failures = true;
    full.nodes[0].refresh = Some(crate::domain::plan::Refresh::Later);
    full.nodes[0].diff = traits();
    full.nodes[0].depends_on = vec!["model.shop.stg_orders".to_owned()];
    full.owners = vec![Owned {
        owner: Owner {
            name: Some("Finance".to_owned()),
            email: Some("finance@example.com".to_owned()),
            slack: Some("#finance".to_owned()),
        },
        nodes: vec!["model.shop.totals".to_owned()],
    }];
    let comments = &mut full.schemas[0].objects[0].column_comments;
    comments.push(("day".to_owned(), "in UTC".to_owned()));
    let plans = [
        full,
        sample::shop(),
        sample::empty(),
        sample::hostile(),
        World::new().plan().expect("a plan"),
    ];
    let mut met = BTreeSet::new();
    for plan in plans {
        let document = serde_json::to_value(plan).expect("JSON");
        let checked = check(&schema(), &document);
        assert_eq!(checked.faults, Vec::<String>::new());
        met.extend(checked.met);
    }
    let (described, silent) = properties(&schema());
    assert_eq!(silent, Vec::<String>::new());
    assert_eq!(met, described);
}

/// Everything that a project can say for the data diff.
fn traits() -> Traits {
    let key = vec!["id".to_owned()];
    Traits {
        wish: Wish {
            mode: Some(crate::domain::diff::Mode::Gate),
            key: key.clone(),
            condition: Some("id > 1".to_owned()),
            max_rows: Some(5),
            timeout: Some(Span(std::time::Duration::from_secs(1))),
            thresholds: Thresholds {
                rows_lost: "1%".parse().ok(),
                ..Thresholds::default()
            },
            mask: vec!["mail".to_owned()],
        },
        keys: vec![key],
        masked: Masked {
            all: false,
            columns: vec!["mail".to_owned()],
        },
        faults: vec!["meta.cutover.diff cannot be read".to_owned()],
    }
}

#[test]
fn what_is_not_described_is_a_fault() {
    let mut document = serde_json::to_value(sample::shop()).expect("JSON");
    document["surprise"] = Value::Null;
    document["schemas"][0]["name"] = Value::from(1);
    document["columns"][0]["change"] = Value::from("lost");
    assert_eq!(check(&schema(), &document).faults.len(), 3);
}
