#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
use super::*;
use crate::inputs::manifest::sample::{macro_of, manifest, model, resource, with};
use serde_json::json;

const SQL: &str = "with o as (select * from \"d\".\"s\".\"orders\")\nselect customer, sum(amount) as total from o join \"d\".\"raw\".\"people\" p on true group by 1 -- end";

fn placed(name: &str, parents: &[&str]) -> Value {
    let place =
        json!({"database": "d", "alias": name, "relation_name": format!("\"d\".\"s\".\"{name}\"")});
    with(model(name, parents), place)
}

fn source() -> Value {
    let place = json!({"source_name": "raw", "name": "people", "database": "d", "schema": "raw",
        "identifier": "people", "relation_name": "\"d\".\"raw\".\"people\""});
    with(resource("source.shop.raw.people", json!({})), place)
}

/// A unit test of `totals`, which reads `orders` and a source, with these keys in the place of others.
fn query_of(keys: Value, sql: &str) -> Result<Unit, Without> {
    query_beside(keys, sql, None)
}

/// The same in a project with one thing more.
fn query_beside(keys: Value, sql: &str, more: Option<Value>) -> Result<Unit, Without> {
    let given = json!([
        {"input": "ref('orders')", "rows": [{"ID": 1, "customer": "o'neill"}], "format": "dict", "fixture": null},
        {"input": "source('raw', 'people')", "rows": [], "format": "csv"},
    ]);
    let test = json!({
        "model": "totals",
        "depends_on": {"nodes": ["model.shop.totals"], "macros": []},
        "given": given,
        "expect": {"rows": [{"total": 3}, {"Total": null}], "format": "dict"},
        "overrides": null,
    });
    let versioned = |version: u32| {
        let keys = json!({"name": "dim", "version": version, "latest_version": 2});
        with(placed(&format!("dim.v{version}"), &[]), keys)
    };
    let ephemeral = json!({"config": {"enabled": true, "materialized": "ephemeral"}});
    let things = [
        placed("orders", &[]),
        versioned(1),
        versioned(2),
        source(),
        with(model("eph", &[]), ephemeral),
        placed("totals", &["model.shop.orders", "source.shop.raw.people"]),
        resource("unit_test.shop.totals.u", with(test, keys)),
    ];
    let project = manifest(things.into_iter().chain(more));
    let pair = |name: &str, of: &str| (name.to_owned(), of.to_owned());
    let columns = |id: &str| match id {
        "model.shop.orders" => Some(vec![
            pair("id", "integer"),
            pair("customer", "text"),
            pair("amount", "numeric"),
        ]),
        "model.shop.totals" => Some(vec![pair("customer", "text"), pair("total", "numeric")]),
        "source.shop.raw.people" => Some(vec![pair("Name", "text")]),
        _ => None,
    };
    let around = Around {
        manifest: &project,
        database: "d",
        sql: &[("model.shop.totals".to_owned(), sql.to_owned())].into(),
        asking: &BTreeSet::new(),
        columns: &columns,
    };
    around.query(&project.unit_tests["unit_test.shop.totals.u"])
}

#[test]
fn a_unit_test_is_one_query_of_constants() {
    let unit = query_of(json!({}), SQL).unwrap();
    assert_eq!(unit.columns, ["total"]);
    insta::assert_snapshot!(unit.statement.to_string(), @r#"
    /* cutover: unit test */ WITH "cutover_input_0" AS (
    SELECT CAST(1 AS integer) AS "id", CAST('o''neill' AS text) AS "customer", CAST(NULL AS numeric) AS "amount"
    ),
    "cutover_input_1" AS (
    SELECT CAST(NULL AS text) AS "Name" LIMIT 0
    ),
    "cutover_actual" AS (
    with o as (select * from "cutover_input_0" AS "orders")
    select customer, sum(amount) as total from o join "cutover_input_1" p on true group by 1 -- end
    ),
    "cutover_expected" AS (
    SELECT CAST(3 AS numeric) AS "total"
    UNION ALL SELECT CAST(NULL AS numeric) AS "total"
    )
    SELECT '-'::text AS "side", "total" FROM (SELECT "total" FROM "cutover_expected" EXCEPT ALL SELECT "total" FROM "cutover_actual") AS "cutover_differing"
    UNION ALL
    SELECT '+'::text AS "side", "total" FROM (SELECT "total" FROM "cutover_actual" EXCEPT ALL SELECT "total" FROM "cutover_expected") AS "cutover_differing"
    LIMIT 21
    "#);
}

#[test]
fn rows_may_be_sql_and_may_be_none() {
    let sql =
        json!({"expect": {"rows": "select 'a' as customer, 1 as total -- x", "format": "sql"}});
    let unit = query_of(sql, SQL).unwrap();
    assert_eq!(unit.columns, ["customer", "total"]);
    let text = unit.statement.to_string();
    assert!(
        text.contains("AS (\nselect 'a' as customer, 1 as total -- x\n)"),
        "{text}"
    );
    let none = query_of(json!({"expect": {"rows": [], "format": "dict"}}), SQL).unwrap();
    assert_eq!(none.columns, ["customer", "total"]);
    let text = none.statement.to_string();
    assert!(
        text.contains("CAST(NULL AS numeric) AS \"total\" LIMIT 0"),
        "{text}"
    );
    // No name of ours is in what it is made of.
    let taken = query_of(json!({}), &SQL.replace("-- end", "-- Cutover")).unwrap();
    assert!(
        taken
            .statement
            .to_string()
            .contains("\"cutover_x_input_0\"")
    );
}

#[test]
fn what_dbt_might_judge_otherwise_is_not_run() {
    let given = |input: Value| {
        let people = json!({"input": "source('raw','people')", "rows": [], "format": "dict"});
        json!({"given": [input, people]})
    };
    let input = |name: &str| given(json!({"input": name, "rows": [], "format": "dict"}));
    let rows = |rows: Value, format: &str| {
        given(json!({"input": "ref('orders')", "rows": rows, "format": format}))
    };
    let unread = SQL.replace("-- end", ", \"d\".\"s\".\"other\"");
    for (keys, sql, expected) in [
        (
            json!({"overrides": {"macros": {"a": 1}, "vars": {}, "env_vars": {}}}),
            SQL,
            "overrides macros",
        ),
        (
            json!({"overrides": {"macros": {}, "vars": {"a": 1}}}),
            SQL,
            "overrides vars",
        ),
        (
            json!({"depends_on": {"nodes": ["model.shop.eph"]}}),
            SQL,
            "ephemeral",
        ),
        (
            json!({"given": []}),
            SQL,
            "reads model.shop.orders, which is no input",
        ),
        (input("this"), SQL, "`this`"),
        (input("ref('eph')"), SQL, "is ephemeral"),
        (input("ref('nothing')"), SQL, "is not found"),
        (input("ref(name)"), SQL, "is not found"),
        (input("source('raw', 'people')"), SQL, "given twice"),
        (rows(json!(null), "csv"), SQL, "not in the manifest"),
        (rows(json!("select 1"), "dict"), SQL, "unknown form"),
        (rows(json!("select * from {{ x }}"), "sql"), SQL, "Jinja"),
        (
            rows(json!("select * from d.s.orders"), "sql"),
            SQL,
            "that reads d.s.orders",
        ),
        (json!({}), &*unread, "reads \"d\".\"s\".\"other\""),
    ] {
        match query_of(keys.clone(), sql) {
            Err(Without::NotRun(why)) => assert!(why.contains(expected), "{keys}: {why}"),
            other => panic!("{keys}: {other:?}"),
        }
    }
    for (keys, expected) in [
        (
            rows(json!([{"nothing": 1}]), "dict"),
            "names the column nothing",
        ),
        (rows(json!([{"id": [1]}]), "dict"), "a list or an object"),
        (
            json!({"expect": {"rows": [{"total": 1}, {"customer": "a"}], "format": "dict"}}),
            "the same columns",
        ),
        (
            json!({"expect": {"rows": [{"totall": 1}], "format": "dict"}}),
            "names the column totall",
        ),
        (
            json!({"expect": {"rows": [{}], "format": "dict"}}),
            "names no column",
        ),
    ] {
        match query_of(keys.clone(), SQL) {
            Err(Without::Wrong(why)) => assert!(why.contains(expected), "{keys}: {why}"),
            other => panic!("{keys}: {other:?}"),
        }
    }
}

#[test]
fn a_project_with_its_own_way_of_testing_is_left_to_dbt() {
    for (name, is_of_unit_tests) in [
        ("materialize__get_unit_test_sql", true),
        ("safe_cast", true),
        ("materialization_unit_materialize", true),
        ("cents", false),
    ] {
        let found = query_beside(json!({}), SQL, Some(macro_of(name, "", &[])));
        let why = format!("the macro {name} takes the place of dbt's own");
        match is_of_unit_tests {
            true => assert_eq!(found, Err(Without::NotRun(why))),
            false => assert!(found.is_ok(), "{name}: {found:?}"),
        }
    }
}

#[test]
fn inputs_are_calls_of_plain_names() {
    let call = |function, names: &[&'static str], version: Option<&str>| Call {
        function,
        names: names.to_vec(),
        version: version.map(str::to_owned),
    };
    for (text, expected) in [
        ("ref('x')", Some(call("ref", &["x"], None))),
        (" ref( \"p\" , 'x' ) ", Some(call("ref", &["p", "x"], None))),
        ("ref('x', v=1)", Some(call("ref", &["x"], Some("1")))),
        (
            "ref('x', version = '2')",
            Some(call("ref", &["x"], Some("2"))),
        ),
        ("source('s', 't')", Some(call("source", &["s", "t"], None))),
        ("ref('a=b')", Some(call("ref", &["a=b"], None))),
        ("ref(x)", None),
        ("ref('x', v=n)", None),
        ("ref('x'", None),
        ("x", None),
    ] {
        assert_eq!(Call::read(text), expected, "{text}");
    }
}

#[test]
fn a_reference_without_a_version_is_to_the_latest() {
    // The columns of these are not known, which names what was found.
    for (input, expected) in [
        ("ref('dim')", "model.shop.dim.v2"),
        ("ref('dim', v=1)", "model.shop.dim.v1"),
        ("ref('shop', 'dim', v='2')", "model.shop.dim.v2"),
    ] {
        let given = json!([
            {"input": input, "rows": [], "format": "dict"},
            {"input": "ref('orders')", "rows": [], "format": "dict"},
            {"input": "source('raw', 'people')", "rows": [], "format": "dict"},
        ]);
        let why = format!("the columns of its input {expected} are not known");
        assert_eq!(
            query_of(json!({"given": given}), SQL),
            Err(Without::NotRun(why)),
            "{input}"
        );
    }
}
