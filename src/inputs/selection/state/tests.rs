#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
use serde_json::{Value, json};

use super::*;
use crate::inputs::manifest::sample::{macro_of, manifest, model, resource, with};

/// The values that select the node `new` where it was `old`, and why it changed.
fn judged(old: Option<Value>, new: Value) -> (Vec<&'static str>, Vec<String>) {
    let id = new["unique_id"].as_str().unwrap().to_owned();
    let anchor = || model("anchor", &[]);
    let old = manifest([anchor()].into_iter().chain(old));
    let new = manifest([anchor(), new]);
    let comparison = Comparison::of(&old, &new);
    let values = StateValue::ALL.into_iter();
    let selecting = values.filter(|value| comparison.matches(&id, *value));
    let changes = comparison.changes(&id).iter().map(ToString::to_string);
    (
        selecting.map(StateValue::as_str).collect(),
        changes.collect(),
    )
}

fn changed(id: &str, before: Value, after: Value) -> (Vec<&'static str>, Vec<String>) {
    let plain = resource(id, json!({}));
    judged(Some(with(plain.clone(), before)), with(plain, after))
}

#[track_caller]
fn modified(found: (Vec<&'static str>, Vec<String>), values: &[&str], why: &str) {
    let all: Vec<&str> = ["old", "modified"].iter().chain(values).copied().collect();
    assert_eq!(found, (all, vec![why.to_owned()]));
}

#[track_caller]
fn same(found: (Vec<&'static str>, Vec<String>)) {
    assert_eq!(found, (vec!["old", "unmodified"], Vec::new()));
}

#[test]
fn values_have_dbts_names() {
    for value in StateValue::ALL {
        assert_eq!(value.as_str().parse(), Ok(value));
    }
    assert!("modified.sql".parse::<StateValue>().is_err());
}

#[test]
fn what_is_new_is_modified_only_where_dbt_says_so() {
    let values = |id: &str| judged(None, resource(id, json!({}))).0;
    assert_eq!(
        values("model.shop.a"),
        [
            "new",
            "modified",
            "modified.body",
            "modified.configs",
            "modified.persisted_descriptions",
            "modified.relation",
            "modified.contract"
        ]
    );
    assert_eq!(values("function.shop.a"), values("model.shop.a"));
    assert_eq!(values("unit_test.shop.a.b"), ["new", "modified"]);
    assert_eq!(
        values("source.shop.a.b"),
        ["new", "unmodified", "modified.configs", "modified.relation"]
    );
    for id in [
        "exposure.shop.a",
        "metric.shop.a",
        "semantic_model.shop.a",
        "saved_query.shop.a",
    ] {
        assert_eq!(
            values(id),
            ["new", "unmodified", "modified.configs"],
            "{id}"
        );
    }
}

#[test]
fn models_are_compared_part_by_part() {
    let model = |before, after| changed("model.shop.a", before, after);
    same(model(
        json!({}),
        json!({"description": "d", "tags": ["t"], "compiled_code": "x"}),
    ));
    modified(
        model(json!({}), json!({"raw_code": "select 2"})),
        &["modified.body"],
        "changed: body",
    );
    modified(
        model(
            json!({}),
            json!({"unrendered_config": {"cluster": "c", "meta": null}}),
        ),
        &["modified.configs"],
        "changed: config cluster, meta",
    );
    same(model(
        json!({"unrendered_config": {"tags": ["a"], "group": "g", "limit": 1}}),
        json!({"unrendered_config": {"tags": ["b"], "limit": 1.0}}),
    ));
    modified(
        model(json!({}), json!({"unrendered_config": {"schema": "x"}})),
        &["modified.relation"],
        "changed: relation",
    );
    same(model(
        json!({}),
        json!({"unrendered_config": {"schema": null}}),
    ));
    modified(
        model(json!({}), json!({"fqn": ["shop", "f", "a"]})),
        &[],
        "changed: place in the project",
    );
    modified(
        model(json!({}), json!({"access": "public"})),
        &[],
        "changed: access",
    );
    let date = |date: &str| json!({"deprecation_date": date});
    same(model(
        date("2026-01-01T00:00:00+00:00"),
        date("2026-01-01T01:00:00+01:00"),
    ));
    modified(
        model(json!({}), date("2026-01-01T00:00:00+00:00")),
        &[],
        "changed: deprecation date",
    );
}

#[test]
fn descriptions_count_where_they_are_persisted() {
    let described = |text: &str, wanted: Value| {
        json!({
            "description": text,
            "columns": {"c": {"name": "c", "description": text}},
            "config": {"persist_docs": wanted},
        })
    };
    for wanted in [json!({"relation": true}), json!({"columns": true})] {
        let found = changed(
            "model.shop.a",
            described("a", json!({})),
            described("b", wanted),
        );
        let values = ["modified.persisted_descriptions"];
        modified(found, &values, "changed: persisted descriptions");
    }
    same(changed(
        "model.shop.a",
        described("a", json!({"relation": true})),
        described("b", json!({"relation": false})),
    ));
    // A test's configuration has no such key.
    let wanted = json!({"relation": true});
    same(changed(
        "test.shop.a",
        described("a", wanted.clone()),
        described("b", wanted),
    ));
}

#[test]
fn seeds_are_compared_by_checksum() {
    let seed = |name: &str, sum: &str| json!({"checksum": {"name": name, "checksum": sum}});
    let compare = |before, after| changed("seed.shop.a", before, after);
    same(compare(
        seed("sha256", "1"),
        with(seed("sha256", "1"), json!({"raw_code": "x"})),
    ));
    same(compare(
        seed("path", "seeds/a.csv"),
        seed("path", "seeds/a.csv"),
    ));
    for (before, after) in [
        (seed("sha256", "1"), seed("sha256", "2")),
        (seed("sha256", "1"), seed("path", "seeds/a.csv")),
        (seed("path", "seeds/a.csv"), seed("path", "seeds/b.csv")),
        (seed("none", ""), seed("none", "")),
        (json!({}), json!({})),
    ] {
        modified(compare(before, after), &["modified.body"], "changed: body");
    }
}

#[test]
fn tests_count_by_their_limits() {
    let generic = json!({"test_metadata": {"name": "unique", "kwargs": {}}});
    let compare =
        |after: Value| changed("test.shop.a", generic.clone(), with(generic.clone(), after));
    same(compare(
        json!({"unrendered_config": {"meta": {"a": 1}, "limit2": 1}}),
    ));
    modified(
        compare(json!({"unrendered_config": {"severity": "warn"}})),
        &["modified.configs"],
        "changed: config severity",
    );
    // Its SQL is made from the macro and does not count, though `modified.body` asks for it.
    let found = compare(json!({"raw_code": "select 2"}));
    assert_eq!(
        found,
        (vec!["old", "unmodified", "modified.body"], Vec::new())
    );
    modified(
        changed("test.shop.a", json!({}), json!({"raw_code": "select 2"})),
        &["modified.body"],
        "changed: body",
    );
    modified(
        changed(
            "unit_test.shop.m.a",
            json!({"checksum": "1"}),
            json!({"checksum": "2"}),
        ),
        &[],
        "changed: checksum",
    );
    same(changed(
        "unit_test.shop.m.a",
        json!({}),
        json!({"fqn": ["shop", "x"]}),
    ));
}

#[test]
fn sources_are_compared_by_where_they_are() {
    let source = |before, after| changed("source.shop.a.b", before, after);
    same(source(
        json!({}),
        json!({"tags": ["t"], "description": "d"}),
    ));
    modified(
        source(json!({}), json!({"identifier": "x"})),
        &["modified.relation"],
        "changed: relation",
    );
    let empty = json!({"freshness": {"warn_after": null, "filter": null}});
    same(source(json!({"freshness": {}}), empty.clone()));
    modified(source(json!({}), empty), &[], "changed: freshness");
    modified(
        source(json!({}), json!({"quoting": {"schema": true}})),
        &[],
        "changed: quoting",
    );
    modified(
        source(json!({}), json!({"unrendered_config": {"tags": ["t"]}})),
        &["modified.configs"],
        "changed: config tags",
    );

    let sources = |schema: &str, written: &str| {
        let place = json!({"schema": schema, "unrendered_schema": written});
        manifest([model("anchor", &[]), resource("source.shop.a.b", place)])
    };
    let (old, new) = (sources("dev", "{{ s }}"), sources("prod", "{{ s }}"));
    let rules = Rules {
        compare_unrendered_sources: true,
        now: Timestamp::UNIX_EPOCH,
    };
    let flagged = Comparison::with(&old, &new, rules);
    assert!(!flagged.matches("source.shop.a.b", StateValue::Modified));
    assert!(Comparison::of(&old, &new).matches("source.shop.a.b", StateValue::Modified));
}

#[test]
fn the_semantic_layer_and_functions_are_compared_by_their_properties() {
    for (id, after, values, why) in [
        (
            "exposure.shop.a",
            json!({"url": "u"}),
            vec![],
            "changed: url",
        ),
        (
            "exposure.shop.a",
            json!({"owner": {"name": "n"}}),
            vec![],
            "changed: owner",
        ),
        (
            "exposure.shop.a",
            json!({"depends_on": {"nodes": ["model.shop.anchor"]}}),
            vec![],
            "changed: depends_on",
        ),
        (
            "metric.shop.a",
            json!({"label": "l"}),
            vec![],
            "changed: label",
        ),
        (
            "semantic_model.shop.a",
            json!({"measures": [{"name": "m"}]}),
            vec![],
            "changed: measures",
        ),
        (
            "semantic_model.shop.a",
            json!({"config": {"enabled": true, "meta": {"a": 1}}}),
            vec!["modified.configs"],
            "changed: config meta",
        ),
        (
            "saved_query.shop.a",
            json!({"query_params": {"metrics": ["m"]}}),
            vec![],
            "changed: metrics",
        ),
        (
            "saved_query.shop.a",
            json!({"exports": [{"name": "e", "unrendered_config": {}}]}),
            vec![],
            "changed: exports",
        ),
        (
            "function.shop.a",
            json!({"arguments": [{"name": "a", "data_type": "int"}]}),
            vec![],
            "changed: arguments",
        ),
    ] {
        modified(changed(id, json!({}), after), &values, why);
    }
    // An older dbt leaves out what the present one fills in.
    let filled = json!({"config": {"enabled": true, "meta": {}, "cache": {"enabled": false}}});
    same(changed("saved_query.shop.a", json!({}), filled));
    same(changed(
        "model.shop.a",
        json!({}),
        json!({"access": "protected"}),
    ));
    same(changed(
        "metric.shop.a",
        json!({}),
        json!({"type_params": {"x": 1}, "filter": "f"}),
    ));
    same(changed(
        "metric.shop.a",
        json!({}),
        json!({"unrendered_config": {"group": "g"}}),
    ));
    same(changed(
        "saved_query.shop.a",
        json!({"exports": [{"name": "e", "unrendered_config": {}}]}),
        json!({"exports": [{"name": "e", "unrendered_config": {"database": "d"}}]}),
    ));
}

fn with_macros(macros: Vec<Value>, uses: Value) -> Manifest {
    let node = json!({"depends_on": {"nodes": [], "macros": uses}});
    manifest(macros.into_iter().chain([resource("model.shop.a", node)]))
}

#[test]
fn macros_reach_through_macros() {
    let uses = json!(["macro.shop.outer"]);
    let macros = |sql: &str| {
        let calls = ["macro.shop.inner", "macro.shop.outer"];
        vec![macro_of("outer", "o", &calls), macro_of("inner", sql, &[])]
    };
    let old = with_macros(macros("1"), uses.clone());
    let new = with_macros(macros("2"), uses.clone());
    let comparison = Comparison::of(&old, &new);
    assert!(comparison.matches("model.shop.a", StateValue::Macros));
    assert!(comparison.matches("model.shop.a", StateValue::Modified));
    let changes: Vec<String> = comparison
        .changes("model.shop.a")
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(changes, ["changed: macro shop.inner"]);

    // A new node is not selected by its macros while those are as they were.
    let before = with_macros(macros("1"), uses.clone());
    let mut without = before.clone();
    without.nodes.clear();
    let comparison = Comparison::of(&without, &before);
    assert!(!comparison.matches("model.shop.a", StateValue::Macros));

    // A macro that is gone counts for those who still name it.
    let gone = with_macros(vec![macro_of("outer", "o", &["macro.shop.inner"])], uses);
    let comparison = Comparison::of(&old, &gone);
    assert!(comparison.matches("model.shop.a", StateValue::Macros));
}

#[test]
fn a_macro_that_does_not_exist_is_an_error_once_something_changed() {
    let uses = json!([null, "macro.shop.m"]);
    let of = |sql: &str| with_macros(vec![macro_of("m", sql, &[])], uses.clone());
    let (old, new) = (of("1"), of("2"));
    let error = Comparison::of(&old, &new)
        .check(StateValue::Modified)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "manifest.json: `model.shop.a` uses a macro or test that does not exist; correct its name, or \
         install the package with `dbt deps`"
    );
    assert_eq!(
        Comparison::of(&old, &new).check(StateValue::Configs),
        Ok(())
    );
    assert_eq!(
        Comparison::of(&old, &old).check(StateValue::Modified),
        Ok(())
    );
}

fn contracted(version: Value, checksum: &str, data_type: &str) -> Value {
    json!({
        "version": version,
        "contract": {"enforced": true, "checksum": checksum},
        "columns": {"c": {"name": "c", "data_type": data_type}},
    })
}

#[test]
fn contracts_of_unversioned_models_only_change() {
    let found = changed(
        "model.shop.a",
        contracted(json!(null), "1", "int"),
        contracted(json!(null), "2", "text"),
    );
    modified(found, &["modified.contract"], "changed: contract");
    modified(
        changed(
            "model.shop.a",
            json!({}),
            contracted(json!(null), "1", "int"),
        ),
        &["modified.contract"],
        "changed: contract",
    );
    same(changed(
        "seed.shop.a",
        contracted_seed("1"),
        contracted_seed("2"),
    ));
}

fn contracted_seed(sum: &str) -> Value {
    json!({
        "checksum": {"name": "sha256", "checksum": "1"},
        "contract": {"enforced": true, "checksum": sum},
    })
}

#[test]
fn contracts_of_versioned_models_must_not_break() {
    let model = |keys: Value| manifest([model("anchor", &[]), resource("model.shop.a.v1", keys)]);
    let old = model(contracted(json!(1), "1", "NUMERIC(10, 2)"));
    let checked = |new: &Manifest| Comparison::of(&old, new).check(StateValue::Contract);
    let wider = model(contracted(json!(1), "2", "numeric(12)"));
    assert_eq!(checked(&wider), Ok(()));
    let broken = checked(&model(contracted(json!(1), "2", "text"))).unwrap_err();
    assert_eq!(
        broken.to_string(),
        "manifest.json: `model.shop.a.v1` breaks the contract of its version: the column c was \
         NUMERIC(10, 2) and is text; add a version to the model instead, or undo the change"
    );
    let gone = manifest([resource("model.shop.anchor", json!({}))]);
    let error = checked(&gone).unwrap_err().to_string();
    assert!(error.contains("it was deleted or renamed"), "{error}");
    assert_eq!(Comparison::of(&old, &gone).check(StateValue::Body), Ok(()));

    let dated = with(
        contracted(json!(1), "1", "int"),
        json!({"deprecation_date": "2026-01-01T00:00:00+00:00"}),
    );
    let (dated, at) = (model(dated), |at: &str| Rules {
        compare_unrendered_sources: false,
        now: at.parse().unwrap(),
    });
    let check = |now| Comparison::with(&dated, &gone, at(now)).check(StateValue::Modified);
    assert!(check("2025-12-31T00:00:00Z").is_err());
    assert_eq!(check("2026-01-02T00:00:00Z"), Ok(()));
}

#[test]
fn deleted_nodes_are_listed_and_never_selected() {
    let old = manifest([
        model("a", &[]),
        model("b", &[]),
        resource("source.shop.s.t", json!({})),
    ]);
    let new = manifest([model("a", &[])]);
    let comparison = Comparison::of(&old, &new);
    let deleted: Vec<&str> = comparison.deleted().map(|(id, _)| id).collect();
    assert_eq!(deleted, ["model.shop.b", "source.shop.s.t"]);
    for value in StateValue::ALL {
        assert!(!comparison.matches("model.shop.b", value));
    }
    assert_eq!(comparison.changed().count(), 0);
}

#[test]
fn ten_thousand_nodes_take_no_time() {
    let project = |code: &str| {
        let macros = (0..500).map(|at| {
            let next = format!("macro.shop.m{}", at + 1);
            macro_of(&format!("m{at}"), code, &[&next])
        });
        let models = (0..10_000).map(|at| {
            let keys = json!({
                "raw_code": format!("{code} {at}"),
                "unrendered_config": {"materialized": "view", "cluster": "c", "meta": {"a": at}},
                "depends_on": {"nodes": [], "macros": [format!("macro.shop.m{}", at % 500)]},
            });
            resource(&format!("model.shop.a{at}"), keys)
        });
        manifest(macros.chain(models))
    };
    let (old, new) = (project("select 1"), project("select 1"));
    let start = std::time::Instant::now();
    assert_eq!(Comparison::of(&old, &new).changed().count(), 0);
    // Ten times what is promised of a release build, since this one is not optimized.
    assert!(start.elapsed() < std::time::Duration::from_secs(1));
}
