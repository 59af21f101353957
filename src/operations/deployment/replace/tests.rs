use super::{Made, Standing, standing};
use crate::domain::catalog::{Catalog, Object, ObjectKind, Schema};
use crate::domain::plan::Replacement;
use std::collections::BTreeMap;

fn view() -> Replacement {
    Replacement {
        schema: "marts".to_owned(),
        name: "totals".to_owned(),
        node: "model.shop.totals".to_owned(),
        id: "u1".to_owned(),
        cluster: "compute".to_owned(),
        cluster_id: "c1".to_owned(),
        query: "select 2".to_owned(),
        previous: "SELECT 1".to_owned(),
    }
}

fn made() -> Made {
    Made {
        id: "u2".to_owned(),
        target: "u1".to_owned(),
        query: Some("SELECT 2".to_owned()),
    }
}

/// A catalog with these views, `(id, name)`, and these pending replacements.
fn catalog(views: &[(&str, &str)], pending: &[(&str, &str)]) -> Catalog {
    let mut catalog = Catalog {
        database: "materialize".to_owned(),
        ..Catalog::default()
    };
    catalog.schemas.insert(
        "s1".to_owned(),
        Schema {
            id: "s1".to_owned(),
            name: "marts".to_owned(),
            database: "materialize".to_owned(),
            owner: "deployer".to_owned(),
            grants: Vec::new(),
            default_privileges: Vec::new(),
            comment: None,
        },
    );
    for (id, name) in views {
        let object = Object {
            id: (*id).to_owned(),
            name: (*name).to_owned(),
            kind: ObjectKind::MaterializedView,
            schema_id: "s1".to_owned(),
            owner: "deployer".to_owned(),
            cluster_id: Some("c1".to_owned()),
            fed_by_source: false,
            is_part: false,
            grants: Vec::new(),
            comment: None,
            columns: BTreeMap::default(),
            column_order: Vec::new(),
            not_null: std::collections::BTreeSet::new(),
            column_comments: Vec::new(),
        };
        catalog.objects.insert((*id).to_owned(), object);
    }
    let pairs = pending.iter();
    catalog.replacements = Some(
        pairs
            .map(|(id, of)| ((*id).to_owned(), (*of).to_owned()))
            .collect(),
    );
    catalog
}

#[test]
fn the_catalog_says_how_a_replacement_stands() {
    let applied = |id: &str| Standing::Applied(id.to_owned());
    for (views, pending, shown, expected) in [
        (
            &[("u1", "totals"), ("u2", "secret")][..],
            &[("u2", "u1")][..],
            "SELECT 1",
            Standing::Pending,
        ),
        // The view has the replacement's id, or keeps its own and has the new query.
        (&[("u2", "totals")], &[], "SELECT 2", applied("u2")),
        (&[("u1", "totals")], &[], "SELECT 2", applied("u1")),
        (&[("u1", "totals")], &[], "SELECT 1", Standing::Gone),
    ] {
        let catalog = catalog(views, pending);
        assert_eq!(standing(&view(), &made(), &catalog, Some(shown)), expected);
    }
}

#[test]
fn what_nobody_planned_is_named() {
    for views in [&[("u7", "totals")][..], &[("u1", "renamed")], &[]] {
        let found = standing(&view(), &made(), &catalog(views, &[]), None);
        assert!(matches!(found, Standing::Foreign(_)), "{found:?}");
    }
}

#[test]
fn an_unknown_query_proves_nothing() {
    let made = Made {
        query: None,
        ..made()
    };
    let found = standing(&view(), &made, &catalog(&[("u1", "totals")], &[]), None);
    assert_eq!(found, Standing::Gone);
}
