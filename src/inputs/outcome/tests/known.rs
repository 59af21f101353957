//! What is taken from the outcomes of before, instead of hashed or compiled again.

use super::super::Before;
use super::{a_macro, compiled, manifest, model, outcomes, outcomes_since, outcomes_under, source};
use crate::inputs::manifest::{Manifest, sample};
use crate::inputs::outcome::Outcomes;
use crate::inputs::project::dbt_project::circumstances::Circumstances;
use serde_json::{Value, json};

#[test]
fn sql_is_taken_from_before_only_where_every_input_is_the_same() {
    let models = |text: &str, macros: &[Value]| {
        let a = model(
            "a",
            "m",
            &["model.shop.e"],
            json!({"raw_code": "select {{ var('x') }}"}),
        );
        let b = model("b", "m", &[], json!({}));
        let ephemeral = json!({"raw_code": text, "config": {"materialized": "ephemeral"}, "relation_name": null});
        manifest(&[a, b, model("e", "m", &[], ephemeral)], &[], macros)
    };
    let known = compiled(&models("select 1", &[]));
    let left = |manifest: &Manifest, circumstances: &Circumstances| -> Vec<String> {
        let mut outcomes = outcomes_under(manifest, circumstances);
        outcomes.take_known(&known);
        outcomes
            .uncompiled()
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    let none = Circumstances::default();
    let (a, both) = (vec!["model.shop.a"], vec!["model.shop.a", "model.shop.b"]);
    assert_eq!(left(&models("select 1", &[]), &none), Vec::<String>::new());
    assert_eq!(
        left(&models("select 2", &[]), &none),
        a,
        "an ephemeral parent"
    );
    let handed = a_macro("shop", "one", "1", &[]);
    assert_eq!(
        left(&models("select 1", &[handed]), &none),
        both,
        "any macro"
    );
    let variables = Circumstances {
        variables: json!({"x": 2}),
        ..Circumstances::default()
    };
    assert_eq!(
        left(&models("select 1", &[]), &variables),
        both,
        "a variable"
    );
    let mut another = known.clone();
    another.inputs = None;
    let mut fresh = outcomes(&models("select 1", &[]));
    fresh.take_known(&another);
    assert_eq!(fresh.uncompiled().len(), 2, "unknown inputs are no inputs");
}

/// [`outcomes`], with the digests of nodes that are as they were taken from before.
fn since(manifest: &Manifest, before: Before<'_>) -> Outcomes {
    outcomes_since(manifest, &Circumstances::default(), Some(before))
}

#[test]
fn digests_are_taken_from_before_only_where_hashing_gives_the_same() {
    let more = |more: Value| sample::with(json!({"config": {"materialized": "view"}}), more);
    let project = |of_a: Value, ephemeral: &str, source_of: &str, parent: Value| {
        let of_e = json!({"raw_code": ephemeral, "config": {"materialized": "ephemeral"}, "relation_name": null});
        let nodes = [
            model(
                "a",
                "m",
                &["model.shop.e", "source.shop.raw.orders", "model.shop.b"],
                more(of_a),
            ),
            model("b", "m", &[], more(parent)),
            model("e", "m", &["model.shop.f"], of_e),
            model("f", "m", &[], more(json!({}))),
            model(
                "g",
                "m",
                &["model.shop.gone"],
                more(json!({"raw_code": "{{ graph }}"})),
            ),
        ];
        manifest(&nodes, &[source(source_of)], &[])
    };
    let same = || project(json!({}), "select 1", "raw", json!({}));
    let before = same();
    let mut known = compiled(&before);
    let is_taken = |known: &Outcomes, after: &Manifest, id: &str| {
        let before = Before {
            manifest: Some(&before),
            outcomes: known,
        };
        since(after, before).nodes[id].own == known.nodes[id].own
    };
    for (what, after) in [
        ("nothing", same()),
        (
            "the text",
            project(
                json!({"raw_code": "select 2"}),
                "select 1",
                "raw",
                json!({}),
            ),
        ),
        (
            "a configuration",
            project(
                json!({"config": {"x": 1, "materialized": "view"}}),
                "select 1",
                "raw",
                json!({}),
            ),
        ),
        (
            "a column",
            project(
                json!({"columns": {"c": {"name": "c"}}}),
                "select 1",
                "raw",
                json!({}),
            ),
        ),
        (
            "an ephemeral parent",
            project(json!({}), "select 2", "raw", json!({})),
        ),
        (
            "a source",
            project(json!({}), "select 1", "raw2", json!({})),
        ),
        (
            "a parent's place",
            project(
                json!({}),
                "select 1",
                "raw",
                json!({"relation_name": "\"d\".\"n\".\"b\""}),
            ),
        ),
    ] {
        let before = Before {
            manifest: Some(&before),
            outcomes: &known,
        };
        let hashed = outcomes(&after);
        assert_eq!(since(&after, before), hashed, "{what}");
        let is_same = hashed.nodes["model.shop.a"].own == known.nodes["model.shop.a"].own;
        assert_eq!(is_same, what == "nothing", "{what}");
    }
    // That it is taken at all shows in a digest that hashing would not give.
    let another = known.nodes["model.shop.b"].own;
    for id in ["model.shop.a", "model.shop.g"] {
        known.nodes.get_mut(id).expect("a node").own = another;
    }
    assert!(is_taken(&known, &same(), "model.shop.a"));
    assert!(
        !is_taken(&known, &same(), "model.shop.g"),
        "it looks at the whole project"
    );
    known.form += 1;
    assert!(!is_taken(&known, &same(), "model.shop.a"), "another form");
}
