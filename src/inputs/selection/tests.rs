#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::pattern::{PathPattern, fnmatch};
use super::*;
use crate::inputs::manifest::sample::{manifest, model, resource, test, with};

mod yaml;

/// `src.t → a → b → c → board`; `t_a` tests a, `t_ab` a and b, `t_source` the source and a, `u` is a unit
/// test of b; `v.v1` and `v.v2` are versions.
fn shop() -> Manifest {
    let a = with(
        model("a", &["source.shop.src.t"]),
        json!({
            "tags": ["nightly"],
            "access": "public",
            "patch_path": "shop://models/docs/schema.yml",
            "config": {
                "materialized": "table",
                "group": "finance",
                "meta": {"owner": "data", "on": true},
                "tags": ["nightly", "x"],
                "persist_docs": {"relation": false},
                "contract": {"enforced": false},
            },
        }),
    );
    let b = with(
        model("b", &["model.shop.a"]),
        json!({
            "fqn": ["shop", "marts", "b"],
            "original_file_path": "models/marts/b.sql",
            "config": {"materialized": "view", "contract": {"enforced": false}},
        }),
    );
    let version = |number: u8| {
        with(
            resource(&format!("model.shop.v.v{number}"), json!({})),
            json!({
                "name": "v",
                "version": number,
                "latest_version": 2,
                "fqn": ["shop", "v", format!("v{number}")],
                "original_file_path": format!("models/v_v{number}.sql"),
            }),
        )
    };
    let unit = json!({"depends_on": {"nodes": ["model.shop.b"]}, "config": {"tags": "nightly"}});
    let board = json!({"depends_on": {"nodes": ["model.shop.c"]}});
    let singular =
        json!({"depends_on": {"nodes": ["model.shop.c"]}, "config": {"severity": "WARN"}});
    manifest([
        a,
        b,
        model("c", &["model.shop.b"]),
        version(1),
        version(2),
        with(model("empty", &[]), json!({"raw_code": " \n"})),
        resource(
            "seed.lib.rows",
            json!({
                "original_file_path": "seeds/rows.csv",
                "checksum": {"name": "sha256", "checksum": "1"},
            }),
        ),
        resource(
            "source.shop.src.t",
            json!({"source_name": "src", "name": "t"}),
        ),
        test("t_a", &["model.shop.a"]),
        test("t_ab", &["model.shop.a", "model.shop.b"]),
        test("t_source", &["source.shop.src.t", "model.shop.a"]),
        resource("test.shop.single", singular),
        resource("unit_test.shop.u", unit),
        resource("exposure.shop.board", board),
        resource("metric.shop.sum", json!({})),
        resource("semantic_model.shop.sm", json!({})),
        resource("saved_query.shop.sq", json!({})),
        resource("function.shop.f", json!({})),
        resource("analysis.shop.look", json!({})),
    ])
}

fn everything() -> Kept {
    Kept::of_kinds(ResourceType::ALL)
}

fn selected_as(
    selection: &Selection,
    kept: &Kept,
    context: impl for<'m, 'c> Fn(Context<'m, 'c>) -> Context<'m, 'c>,
) -> Result<String, Error> {
    let manifest = shop();
    let graph = manifest.graph()?;
    let spec = selection.parse(&Selectors::default())?;
    let found = evaluate(&spec, &context(Context::new(&manifest, &graph)), kept)?;
    let names: Vec<&str> = found
        .iter()
        .map(|id| id.split_once(".shop.").map_or(*id, |(_, name)| name))
        .collect();
    Ok(names.join(" "))
}

fn selection(select: &str, indirect: IndirectSelection) -> Selection {
    Selection {
        select: vec![select.to_owned()],
        indirect,
        ..Selection::default()
    }
}

/// Without the tests that come along.
fn selected(select: &str) -> String {
    let selection = selection(select, IndirectSelection::Empty);
    selected_as(&selection, &everything(), |context| context).unwrap()
}

fn refused(select: &str) -> String {
    let selection = selection(select, IndirectSelection::Empty);
    selected_as(&selection, &everything(), |context| context)
        .unwrap_err()
        .to_string()
}

#[test]
fn relatives_come_within_their_layers() {
    for (select, found) in [
        ("a", "a"),
        ("a+", "board a b c single t_a t_ab t_source u"),
        ("a+1", "a b t_a t_ab t_source"),
        ("a+0", "a"),
        ("1+c", "b c"),
        ("+c", "a b c src.t"),
        ("2+c+1", "board a b c single"),
        ("@b", "board a b c src.t single t_ab u"),
        ("a c", "a c"),
        ("+c,a+", "a b c"),
        ("a,c", ""),
        ("nothing", ""),
    ] {
        assert_eq!(selected(select), found, "{select}");
    }
}

#[test]
fn every_method_finds_what_dbt_finds() {
    for (select, found) in [
        ("fqn:shop.marts", "b"),
        ("marts.b", "b"),
        ("marts.*", "b"),
        ("[ab]", "a b"),
        ("[!a-z]", ""),
        ("v", "v.v1 v.v2"),
        ("v.v1", "v.v1"),
        ("v_v2", "v.v2"),
        ("tag:night*", "a u"),
        ("group:fin*", "a"),
        ("access:public", "a"),
        ("source:src", "src.t"),
        ("source:src.t", "src.t"),
        ("source:shop.src.*", "src.t"),
        ("source:lib.src.t", ""),
        ("models/marts", "b"),
        ("path:models/docs/schema.yml", "a"),
        ("path:models/docs", ""),
        ("models/**/b.sql", "b"),
        ("b.sql", "b"),
        ("file:b", "b"),
        ("rows.CSV", ""),
        ("file:*.csv", "seed.lib.rows"),
        ("package:lib", "seed.lib.rows"),
        ("package:this,file:b*", "board b"),
        ("config.materialized:view", "b"),
        ("config.meta.owner:data", "a"),
        ("config.meta.on:TRUE", "a"),
        ("config.tags:x", "a"),
        ("config.severity:warn", "single"),
        ("config.persist_docs.relation:false", "a"),
        ("config.contract.enforced:false,resource_type:test", ""),
        ("config.nothing:None", ""),
        ("test_name:uni*", "t_a t_ab t_source"),
        ("test_name:u", "u"),
        ("test_type:generic", "t_a t_ab t_source"),
        ("test_type:singular", "single"),
        ("test_type:unit", "u"),
        ("test_type:data", "single t_a t_ab t_source"),
        ("resource_type:analysis", "look"),
        ("exposure:board", "board"),
        ("metric:shop.sum", "sum"),
        ("semantic_model:*", "sm"),
        ("saved_query:sq", "sq"),
        ("unit_test:shop.u", "u"),
        ("version:latest", "v.v2"),
        ("version:old", "v.v1"),
        ("version:prerelease", ""),
        ("version:none,[ab]", "a b"),
    ] {
        assert_eq!(selected(select), found, "{select}");
    }
}

#[test]
fn tests_come_along_in_four_ways() {
    use IndirectSelection::{Buildable, Cautious, Eager, Empty};
    for (select, mode, found) in [
        ("b", Eager, "b t_ab u"),
        ("b", Cautious, "b u"),
        ("b", Buildable, "b t_ab u"),
        ("b", Empty, "b"),
        ("a", Cautious, "a t_a"),
        ("a", Buildable, "a t_a t_source"),
        // Each of the two criteria leaves it waiting; together they have both parents.
        ("a b", Cautious, "a b t_a t_ab u"),
        ("a,tag:nightly", Cautious, "a t_a"),
        ("@a,a", Eager, "a t_a t_ab t_source"),
    ] {
        let found_here = selected_as(&selection(select, mode), &everything(), |context| context);
        assert_eq!(found_here.unwrap(), found, "{select} {}", mode.as_str());
    }
}

#[test]
fn exclusions_take_their_tests_with_them() {
    let mut selection = selection("a b", IndirectSelection::Eager);
    selection.exclude = vec!["b".to_owned()];
    let found = selected_as(&selection, &everything(), |context| context).unwrap();
    assert_eq!(found, "a t_a t_source");
    selection.select.clear();
    selection.exclude = vec!["*".to_owned(), "source:*".to_owned()];
    let found = selected_as(&selection, &everything(), |context| context).unwrap();
    assert_eq!(found, "");
}

#[test]
fn commands_keep_their_kinds() {
    let all = |kept: &Kept| selected_as(&Selection::default(), kept, |context| context).unwrap();
    assert!(all(&Kept::by_ls()).contains("empty") && !all(&Kept::by_ls()).contains("look"));
    assert!(all(&Kept::by_ls_of_all()).contains("look"));
    assert_eq!(all(&Kept::by_run()), "a b c v.v1 v.v2");
    assert_eq!(all(&Kept::by_seed()), "seed.lib.rows");
    assert_eq!(all(&Kept::by_test()), "single t_a t_ab t_source u");
    assert_eq!(all(&Kept::by_snapshot()), "");
    assert_eq!(
        all(&Kept::by_build()),
        "board f a b c v.v1 v.v2 sq seed.lib.rows single t_a t_ab t_source u"
    );
}

#[test]
fn what_is_wrong_is_named() {
    let texts = [
        refused("@a+"),
        refused("a\n"),
        refused("nonsense:a"),
        refused("selector:nightly"),
        refused("state:modified"),
        refused("result:error"),
        refused("source_status:fresher"),
        refused("resource_type:thing"),
        refused("source:a.b.c.d"),
        refused("metric:a.b.c"),
        refused("path:/etc"),
        refused("path:a/b**"),
        refused("test_type:x"),
        refused("version:newest"),
    ];
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn states_and_results_are_asked_of_the_context() {
    let new = shop();
    let mut old = new.clone();
    old.nodes.remove("model.shop.c");
    old.nodes.get_mut("model.shop.a").unwrap().raw_code.clear();
    let graph = new.graph().unwrap();
    let comparison = Comparison::of(&old, &new);
    let results = json!({
        "metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/run-results/v6.json"},
        "results": [{"unique_id": "model.shop.b", "status": "error"}, {"unique_id": "model.shop.c", "status": "success"}],
    });
    let file = Path::new("run_results.json");
    let results = RunResults::from_slice(&serde_json::to_vec(&results).unwrap(), file).unwrap();
    let loaded = |at: serde_json::Value| {
        let sources = json!({
            "metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/sources/v3.json"},
            "results": [with(json!({"unique_id": "source.shop.src.t"}), at)],
        });
        let bytes = serde_json::to_vec(&sources).unwrap();
        Freshness::from_slice(&bytes, Path::new("sources.json")).unwrap()
    };
    let at = |day: u8| loaded(json!({"max_loaded_at": format!("2026-01-0{day}T00:00:00Z")}));
    let failed = loaded(json!({"status": "runtime error"}));
    let (before, now) = (at(1), at(2));
    let context = Context {
        comparison: Some(&comparison),
        run_results: Some(&results),
        freshness_before: Some(&before),
        freshness_now: Some(&now),
        ..Context::new(&new, &graph)
    };
    let found = |select: &str, context: &Context<'_, '_>| -> Vec<String> {
        let spec = selection(select, IndirectSelection::Empty).parse(&Selectors::default());
        let found = evaluate(&spec.unwrap(), context, &everything()).unwrap();
        found.into_iter().map(str::to_owned).collect()
    };
    assert_eq!(
        found("state:modified", &context),
        ["model.shop.a", "model.shop.c"]
    );
    assert_eq!(found("state:new", &context), ["model.shop.c"]);
    assert_eq!(found("result:error", &context), ["model.shop.b"]);
    assert_eq!(found("result:unheard", &context).len(), 0);
    assert_eq!(
        found("source_status:fresher", &context),
        ["source.shop.src.t"]
    );
    let swapped = Context {
        freshness_before: Some(&now),
        freshness_now: Some(&before),
        ..context
    };
    assert_eq!(found("source_status:fresher", &swapped).len(), 0);
    let unknown = Context {
        freshness_now: Some(&failed),
        ..context
    };
    assert_eq!(found("source_status:fresher", &unknown).len(), 0);
}

#[test]
fn paths_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("models/marts")).unwrap();
    std::fs::write(folder.path().join("models/marts/b.sql"), "").unwrap();
    let takes = |pattern: &str, file: &str| {
        let mut pattern = PathPattern::new(pattern, Some(folder.path())).unwrap();
        pattern.takes(file)
    };
    assert!(takes("models/marts/b.sql", "models/marts/b.sql"));
    assert!(takes("models", "models/gone.sql"));
    assert!(!takes("models/gone.sql", "models/gone.sql"));
    assert!(!takes("models/marts/../b.sql", "models/b.sql"));
    assert!(takes("**", "models/gone.sql"));
    assert!(takes("./models//m?rts/", "models/marts/gone.sql"));
}

#[test]
fn wildcards_are_pythons() {
    for (text, pattern, matches) in [
        ("", "", true),
        ("", "*", true),
        ("abc", "a*c", true),
        ("abcb", "a*c", false),
        ("a]c", "a[]]c", true),
        ("abc", "a[!]]c", true),
        ("a[c", "a[c", true),
        ("a-c", "a[a-]c", true),
        ("abc", "a[c-a]c", false),
        ("abc", "a[c-a!]c", true),
        ("a^c", "a[^]c", true),
        ("ABC", "abc", false),
    ] {
        assert_eq!(fnmatch(text, pattern), matches, "{text} {pattern}");
    }
    // As many steps as length times length, not two to the power of it.
    assert!(!fnmatch(
        &"a".repeat(500),
        &format!("{}b", "*a".repeat(100))
    ));
}

#[test]
fn one_call_reads_the_project() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let source = |schema: &str| {
        let place = json!({"schema": schema, "unrendered_schema": "{{ s }}"});
        manifest([model("a", &[]), resource("source.shop.src.t", place)])
    };
    let (old, new) = (source("dev"), source("prod"));
    let listed = |selection: &Selection| ls(&new, Some(&old), folder.path(), selection, &[]);
    let state = selection("state:modified", IndirectSelection::Eager);
    assert_eq!(listed(&state).unwrap().len(), 1);
    write(
        "dbt_project.yml",
        "flags: {state_modified_compare_more_unrendered_values: true}",
    );
    assert_eq!(listed(&state).unwrap().len(), 0);
    write("dbt_project.yml", "name: shop");
    let by = |manifest: &Manifest, dbt: &str| {
        let mut manifest = manifest.clone();
        manifest.metadata.dbt_version = Some(dbt.to_owned());
        manifest
    };
    // Which dbt wrote the state is of no matter, the one in use is.
    for (dbt, is_modified) in [
        ("1.11.16", true),
        ("1.12.0rc1", true),
        ("1.12.0rc2", false),
        ("1.12.0", false),
        ("1.12.6", false),
        ("1.13.0b1", false),
    ] {
        let old = by(&old, "1.11.16");
        let listed = ls(&by(&new, dbt), Some(&old), folder.path(), &state, &[]);
        assert_eq!(listed.unwrap().len(), usize::from(is_modified), "{dbt}");
    }
    write(
        "dbt_project.yml",
        "flags: {state_modified_compare_more_unrendered_values: false}",
    );
    let listed_by = ls(&by(&new, "1.12.6"), Some(&old), folder.path(), &state, &[]);
    assert_eq!(listed_by.unwrap().len(), 1);
    write(
        "selectors.yml",
        "selectors: [{name: one, default: true, definition: a}]",
    );
    let all: Vec<String> = listed(&Selection::default()).unwrap().into_iter().collect();
    assert_eq!(all, ["model.shop.a"]);
    let wanted = Selection {
        selector: Some("two".to_owned()),
        ..Selection::default()
    };
    assert_eq!(
        listed(&wanted).unwrap_err().to_string(),
        "there is no selector `two`; use one of one"
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in "([@+:.,*?\\[\\]!0-9a-c/ ]|\\PC){0,24}") {
        let parsed = criteria::union(&[text], IndirectSelection::Eager);
        if let Ok(spec) = parsed {
            let manifest = shop();
            let graph = manifest.graph().unwrap();
            let _ = evaluate(&spec, &Context::new(&manifest, &graph), &everything());
        }
    }

    #[test]
    fn what_is_shown_reads_the_same(text in "@?([0-9]{0,2}\\+)?((fqn|tag|config\\.a\\.b):)?[a-c.:+*\\[\\]/!-]{0,8}(\\+[0-9]{0,2})?") {
        if let Ok(criteria) = Criteria::parse(&text, IndirectSelection::Eager) {
            let shown = criteria.to_string();
            prop_assert_eq!(Criteria::parse(&shown, IndirectSelection::Eager).unwrap(), criteria, "{}", shown);
        }
    }

    #[test]
    fn patterns_without_wildcards_match_themselves(text in "[^*?\\[]{0,12}", other in "[^*?\\[]{0,12}") {
        prop_assert!(fnmatch(&text, &text) && fnmatch(&text, "*"));
        prop_assert_eq!(fnmatch(&other, &text), text == other);
    }
}

#[test]
fn every_method_has_one_name() {
    let names: BTreeMap<&str, Method> = Method::ALL
        .into_iter()
        .map(|method| (method.as_str(), method))
        .collect();
    assert_eq!(names.len(), Method::ALL.len());
    for (name, method) in names {
        assert_eq!(name.parse(), Ok(method));
    }
}
