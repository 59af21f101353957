//! Unit tests of what a request builds, beside what dbt says of them.

use crate::corner::{build, live, map, nothing_left, states, wrote_nothing_to_production};
use crate::support::World;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const UNITS: &str = "
unit_tests:
  - name: from_csv
    model: totals
    given:
      - input: ref('stg_orders')
        format: csv
        rows: |
          id,customer,amount
          1,o'neill,2
          2,,
    expect:
      rows:
        - {customer: null, total: null}
        - {customer: \"o'neill\", total: 2}
  - name: from_sql
    model: totals
    given:
      - input: ref('stg_orders')
        format: sql
        rows: select 1 as id, 'ada' as customer, 5 as amount
    expect:
      format: sql
      rows: select 'ada' as customer, 5 as total, 2 as release
  - name: of_nothing
    model: totals
    given:
      - {input: ref('stg_orders'), rows: []}
    expect: {rows: []}
  - name: of_two
    model: report
    given:
      - {input: ref('totals'), rows: [{customer: ada, total: 3}]}
      - {input: ref('counts'), rows: [{n: 7}]}
    expect:
      rows:
        - {customer: ada, total: 3, n: 7}
  - name: too_often
    model: report
    given:
      - {input: ref('totals'), rows: [{customer: ada}, {customer: ada}]}
      - {input: ref('counts'), rows: [{n: 1}]}
    expect: {rows: [{customer: ada}]}
  - name: wrong
    model: totals
    given:
      - input: ref('stg_orders')
        rows: [{customer: ada, amount: 1}, {customer: bob, amount: 2}, {customer: bob, amount: 3}]
    expect:
      rows: [{customer: bob, total: 6}, {customer: ada, total: 1}]
  - name: misspelt
    model: totals
    given:
      - {input: ref('stg_orders'), rows: []}
    expect: {rows: [{customer: ada, totall: 1}]}
  - name: with_overrides
    model: totals
    overrides: {vars: {something: 1}}
    given:
      - {input: ref('stg_orders'), rows: []}
    expect: {rows: []}
";

/// Unit tests by their names, and what became of them.
fn verdicts(tests: &Value) -> BTreeMap<String, String> {
    let tests = tests.as_array().expect("tests").iter();
    let named = tests.filter_map(|test| {
        let id = test["unique_id"].as_str()?;
        let name = id.strip_prefix("unit_test.")?.rsplit('.').next()?;
        Some((name.to_owned(), test["status"].as_str()?.to_owned()))
    });
    named.collect()
}

/// What dbt says of them: it makes views in production's schemas for it.
async fn of_dbt(world: &World) -> BTreeMap<String, String> {
    let dbt = ["test", "--select", "test_type:unit"];
    world.dbt(&dbt).await.exits(1);
    let results = world.project.read("target/run_results.json");
    let results: Value = serde_json::from_str(&results).expect("JSON");
    verdicts(&results["results"])
}

#[tokio::test(flavor = "multi_thread")]
async fn unit_tests_are_judged_as_by_dbt_and_make_nothing() {
    let Some(world) = live().await else { return };
    world.project.write("models/units.yml", UNITS);
    let totals = "models/marts/totals.sql";
    world
        .project
        .replace(totals, "1 as release", "2 as release");
    let expected = map(&[
        ("from_csv", "pass"),
        ("from_sql", "pass"),
        ("misspelt", "error"),
        ("of_nothing", "pass"),
        ("of_two", "pass"),
        ("too_often", "fail"),
        ("totals_add_up", "pass"),
        ("wrong", "fail"),
    ]);
    let described = build(&world, "pr-1", &["--check"]).await.exits(1).result();
    assert_eq!(verdicts(&described["tests"]), expected, "{described}");
    nothing_left(&world).await;
    let files = ["report.md", "report.xml"].map(|name| world.home().join(name));
    let [markdown, junit] = files.each_ref().map(|file| file.to_str().expect("a path"));
    let flags = ["--markdown", markdown, "--junit", junit];
    let report = build(&world, "pr-1", &flags).await.exits(1).result();
    let both = map(&[("report", "built"), ("totals", "built")]);
    assert_eq!(states(&report), both, "{report}");
    assert_eq!(verdicts(&report["tests"]), expected, "{report}");
    let overrides = "it overrides vars, so that its model would have to be compiled anew";
    let not_run = json!({"unit_test.shop.totals.with_overrides": overrides});
    assert_eq!(report["not_run"], not_run);
    let tests = report["tests"].as_array().expect("tests");
    let wrong = tests
        .iter()
        .find(|test| test["unique_id"] == "unit_test.shop.totals.wrong")
        .expect("the wrong one");
    let said = "2 rows differ (- is missing, + is not expected):\n  customer | total\n+ bob | 5\n- bob | 6";
    assert_eq!(wrong["message"], said);
    assert_eq!(
        (&wrong["file"], &wrong["model"], &wrong["failures"]),
        (
            &"models/units.yml".into(),
            &"model.shop.totals".into(),
            &2.into()
        )
    );
    for file in [markdown, junit] {
        let text = std::fs::read_to_string(file).expect("a report");
        for part in ["+ bob | 5\n- bob | 6", "with_overrides", "overrides vars"] {
            assert!(text.contains(part), "{text}");
        }
    }
    // Each is one query that names nothing of production's.
    let asked = "SELECT count(*)::text, count(*) FILTER (WHERE sql ~ '\"materialize\"|_marts|_staging|_serving')::text \
                 FROM mz_sandbox.statements WHERE sql LIKE '%cutover: unit test%' AND application_name = 'cutover'";
    assert_eq!(world.sql.rows(asked).await, [["14", "0"]]);
    wrote_nothing_to_production(&world).await;

    let mut by_dbt = of_dbt(&world).await;
    let overridden = by_dbt.remove("with_overrides");
    assert_eq!(overridden.as_deref(), Some("pass"), "{by_dbt:?}");
    assert_eq!(by_dbt, expected);

    // One that is new and of nothing that is built; nothing stands for it.
    world
        .project
        .replace(totals, "2 as release", "1 as release");
    let one = "
unit_tests:
  - name: counted
    model: counts
    given:
      - {input: ref('stg_orders'), rows: [{id: 1}, {id: 2}]}
    expect: {rows: [{n: 2}]}
";
    world.project.write("models/units.yml", one);
    let report = build(&world, "pr-1", &[]).await.exits(0).result();
    assert_eq!(states(&report), map(&[]), "{report}");
    assert_eq!(
        verdicts(&report["tests"]),
        map(&[("counted", "pass")]),
        "{report}"
    );
    nothing_left(&world).await;
}
