use super::{given, merged};
use crate::adapters::artifacts::Given;
use crate::domain::catalog::grants::{DefaultPrivilege, Grant};
use crate::domain::catalog::{Object, ObjectKind};
use crate::domain::plan::LiveObject;
use crate::planning::planner::render::sample;
use std::collections::BTreeMap;

fn select(grantee: &str) -> Grant {
    Grant {
        grantee: Some(grantee.to_owned()),
        privilege: "SELECT".to_owned(),
    }
}

fn grants(grantees: &[&str]) -> Vec<Grant> {
    grantees.iter().map(|grantee| select(grantee)).collect()
}

fn gave(grantees: &[&str]) -> Given {
    Given {
        grants: grants(grantees),
        ..Given::default()
    }
}

fn blue(grantees: &[&str]) -> LiveObject {
    LiveObject {
        id: "u1".to_owned(),
        name: "totals".to_owned(),
        kind: ObjectKind::MaterializedView,
        owner: "dbt".to_owned(),
        grants: grants(grantees),
        comment: None,
        column_comments: Vec::new(),
    }
}

#[test]
fn what_the_release_changed_wins_and_what_people_changed_stays() {
    for (hooks, before, production, wanted) in [
        // A hook is new, is kept, and is gone.
        (&["a"][..], Some(&[][..]), &[][..], &["a"][..]),
        (&["a"], Some(&["a"]), &["a"], &["a"]),
        (&[], Some(&["a"]), &["a"], &[]),
        (&["b"], Some(&["a"]), &["a"], &["b"]),
        // People gave more, and took something away.
        (&["a"], Some(&["a"]), &["a", "p"], &["a", "p"]),
        (&["a"], Some(&["a"]), &["p"], &["p"]),
        (&[], Some(&[]), &["p"], &["p"]),
        // Nothing is on record: nothing is lost.
        (&["a"], None, &["b"], &["a", "b"]),
        (&[], None, &["b"], &["b"]),
        (&["a"], None, &[], &["a"]),
    ] {
        let before = before.map(gave);
        let merged = merged(
            "m.t",
            &gave(hooks),
            before.as_ref(),
            &blue(production),
            "dbt",
        );
        assert_eq!(
            merged.grants,
            grants(wanted),
            "{hooks:?} {before:?} {production:?}"
        );
        assert!(merged.clashes.is_empty());
    }
}

#[test]
fn what_a_new_hook_takes_away_does_not_come_back() {
    let taken = Given {
        revoked: grants(&["all"]),
        ..Given::default()
    };
    let production = blue(&["all", "p"]);
    let first = merged("m.t", &taken, Some(&Given::default()), &production, "dbt");
    assert_eq!(first.grants, grants(&["p"]));
    // The same hook as before, and people gave it again.
    let again = merged("m.t", &taken, Some(&taken), &production, "dbt");
    assert_eq!(again.grants, grants(&["all", "p"]));
}

#[test]
fn an_owner_is_the_hooks_or_the_peoples() {
    let by = |owner: Option<&str>| Given {
        owner: owner.map(str::to_owned),
        ..Given::default()
    };
    for (hook, before, production, wanted, clashes) in [
        (None, None, "p", "p", 0),
        (None, Some(None), "p", "p", 0),
        (Some("h"), Some(None), "dbt", "h", 0),
        (Some("h"), Some(Some("h")), "h", "h", 0),
        (Some("h"), Some(Some("h")), "p", "p", 0),
        (Some("i"), Some(Some("h")), "h", "i", 0),
        (Some("i"), Some(Some("h")), "p", "i", 1),
        (None, Some(Some("h")), "h", "dbt", 0),
        (None, Some(Some("h")), "p", "p", 0),
        (Some("h"), None, "p", "h", 1),
    ] {
        let before = before.map(by);
        let production = LiveObject {
            owner: production.to_owned(),
            ..blue(&[])
        };
        let merged = merged("m.t", &by(hook), before.as_ref(), &production, "dbt");
        assert_eq!(merged.owner, wanted, "{hook:?} {before:?}");
        assert_eq!(merged.clashes.len(), clashes, "{hook:?} {before:?}");
    }
    // What the owner has by itself is no grant.
    let merged = merged("m.t", &by(Some("h")), None, &blue(&["h", "p"]), "dbt");
    assert_eq!(merged.grants, grants(&["p"]));
}

#[test]
fn comments_go_the_same_way() {
    let of = |text: Option<&str>| Given {
        comment: text.map(str::to_owned),
        column_comments: text
            .map(|text| BTreeMap::from([("day".to_owned(), text.to_owned())]))
            .unwrap_or_default(),
        ..Given::default()
    };
    for (hook, before, production, wanted, clashes) in [
        (None, None, Some("p"), Some("p"), 0),
        (Some("h"), Some(None), None, Some("h"), 0),
        (Some("h"), Some(None), Some("p"), Some("h"), 2),
        (Some("h"), Some(Some("h")), Some("p"), Some("p"), 0),
        (Some("h"), Some(Some("h")), None, None, 0),
        (None, Some(Some("h")), Some("h"), None, 0),
        (Some("i"), Some(Some("h")), Some("h"), Some("i"), 0),
    ] {
        let before = before.map(of);
        let production = LiveObject {
            comment: production.map(str::to_owned),
            column_comments: production
                .map(|text| vec![("day".to_owned(), text.to_owned())])
                .unwrap_or_default(),
            ..blue(&[])
        };
        let merged = merged("m.t", &of(hook), before.as_ref(), &production, "dbt");
        assert_eq!(merged.comment.as_deref(), wanted, "{hook:?} {before:?}");
        let column = merged.column_comments.get("day").map(String::as_str);
        assert_eq!(column, wanted, "{hook:?} {before:?}");
        assert_eq!(merged.clashes.len(), clashes, "{hook:?} {before:?}");
    }
}

#[test]
fn default_privileges_are_no_work_of_hooks() {
    let mut plan = sample::shop();
    let schema = plan.schemas[0].name.clone();
    let default = |grantee: &str, owner: Option<&str>| DefaultPrivilege {
        owner: owner.map(str::to_owned),
        object_type: "table".to_owned(),
        grantee: Some(grantee.to_owned()),
        privilege: "SELECT".to_owned(),
    };
    plan.schemas[0].default_privileges = vec![default("s", None), default("no", Some("else"))];
    plan.default_privileges = vec![default("d", Some("dbt")), default("gone", None)];
    let object = Object {
        id: "u1".to_owned(),
        name: "totals".to_owned(),
        kind: ObjectKind::View,
        schema_id: "u2".to_owned(),
        owner: "h".to_owned(),
        cluster_id: None,
        fed_by_source: false,
        is_part: false,
        grants: grants(&["a", "d", "s"]),
        comment: Some("c".to_owned()),
        columns: BTreeMap::new(),
        column_order: Vec::new(),
        not_null: std::collections::BTreeSet::new(),
        column_comments: Vec::new(),
    };
    let nothing = given(&plan, &schema, None, &object, "dbt");
    assert_eq!(nothing, Given::default(), "there are no hooks");
    plan.hooked = vec!["model.shop.totals".to_owned()];
    let hooks = given(&plan, &schema, None, &object, "dbt");
    assert_eq!(hooks.owner.as_deref(), Some("h"));
    assert_eq!(hooks.grants, grants(&["a"]));
    assert_eq!(hooks.revoked, grants(&["gone"]));
    assert_eq!(hooks.comment.as_deref(), Some("c"));
}
