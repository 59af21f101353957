use super::faults_of;
use crate::domain::checks::{Check, Moment, Relation, Rendered, Side, Tolerance, render};
use crate::foundation::sql::identifier::Qualified;
use proptest::prelude::*;
use serde_json::json;

fn relation(schema: &str, name: &str) -> Relation {
    Relation {
        schema: schema.to_owned(),
        name: name.to_owned(),
    }
}

#[test]
fn relations_are_read_with_and_without_quotes() {
    for (text, schema, name) in [
        ("marts.totals", "marts", "totals"),
        ("\"my marts\".\"x\"", "my marts", "x"),
        ("marts.\"a.b\"", "marts", "a.b"),
        ("\"a\"\"b\".t", "a\"b", "t"),
        ("my marts.Ünï", "my marts", "Ünï"),
    ] {
        assert_eq!(text.parse(), Ok(relation(schema, name)), "{text}");
    }
    let long = format!("s.{}", "x".repeat(256));
    for text in [
        "", "totals", "a.b.c", "a.", ".a", "a..b", "\"a.b", "\"a\"b.c", "a\"b.c", " a.b", "a. b",
        "\"\".b", "a\n.b", &long,
    ] {
        assert!(text.parse::<Relation>().is_err(), "{text:?}");
    }
}

#[test]
fn tolerances_are_rows_or_a_part() {
    for (text, tolerance, shown) in [
        ("0", Tolerance::Rows(0), "0"),
        ("12", Tolerance::Rows(12), "12"),
        ("5%", Tolerance::Part(50_000), "5%"),
        ("0.5 %", Tolerance::Part(5_000), "0.5%"),
        ("0.0001%", Tolerance::Part(1), "0.0001%"),
        ("150%", Tolerance::Part(1_500_000), "150%"),
        ("10000%", Tolerance::Part(100_000_000), "10000%"),
    ] {
        assert_eq!(text.parse(), Ok(tolerance), "{text}");
        assert_eq!(tolerance.to_string(), shown);
    }
    for text in [
        "",
        "-1",
        "+1",
        "%",
        "five",
        "1.5",
        "1e3",
        ".5%",
        "5.%",
        "-5%",
        "+5%",
        "0.00001%",
        "10001%",
        "99999999999%",
        "5%%",
        "18446744073709551616",
    ] {
        assert!(text.parse::<Tolerance>().is_err(), "{text:?}");
    }
    let read = |value| serde_json::from_value::<Tolerance>(value).ok();
    assert_eq!(read(json!(3)), Some(Tolerance::Rows(3)));
    assert_eq!(read(json!("3")), Some(Tolerance::Rows(3)));
    assert_eq!(read(json!("3%")), Some(Tolerance::Part(30_000)));
    for value in [json!(-1), json!(0.5), json!(null), json!([1]), json!(true)] {
        assert_eq!(read(value), None);
    }
}

#[test]
fn a_part_of_nothing_is_nothing() {
    let five: Tolerance = "5%".parse().expect("a part");
    for (blue, allowed) in [(0, 0), (19, 0), (20, 1), (39, 1), (100, 5)] {
        assert_eq!(five.allows(blue), allowed);
    }
    assert_eq!(Tolerance::Rows(2).allows(0), 2);
    assert_eq!(Tolerance::Part(100_000_000).allows(u64::MAX), u64::MAX);
}

fn rendered(sql: &str, own: Option<&Relation>) -> Result<Rendered, String> {
    render(sql, own, |side, relation| {
        let schema = match side {
            Side::Green => format!("{}_new", relation.schema),
            Side::Blue => relation.schema.clone(),
        };
        Qualified::object("db", &schema, &relation.name).to_string()
    })
}

#[test]
fn queries_name_both_sides() {
    let totals = relation("marts", "totals");
    let both = rendered(
        "SELECT 1 FROM {{ green(\"marts.totals\") }} g, {{ blue('\"my marts\".\"a.b\"') }} b, {{green}}, {{ blue }}",
        Some(&totals),
    );
    assert_eq!(
        both,
        Ok(Rendered {
            sql: "SELECT 1 FROM \"db\".\"marts_new\".\"totals\" g, \"db\".\"my marts\".\"a.b\" b, \"db\".\"marts_new\".\"totals\", \"db\".\"marts\".\"totals\"".to_owned(),
            reads: vec![
                (Side::Green, totals.clone()),
                (Side::Blue, totals),
                (Side::Blue, relation("my marts", "a.b")),
            ],
        })
    );
    assert_eq!(
        rendered("VALUES (1)", None).map(|rendered| rendered.reads),
        Ok(Vec::new())
    );
}

#[test]
fn faults_of_templates_are_told() {
    for (sql, says) in [
        ("SELECT {{ green }}", "alone means the check's relation"),
        (
            "SELECT {{ blue | upper }}",
            "alone means the check's relation",
        ),
        ("SELECT {{ green(", "syntax error"),
        ("SELECT {{ green('totals') }}", "not a schema and a name"),
        ("SELECT {{ green('a.b', 'c.d') }}", "too many arguments"),
        ("SELECT {{ green() }}", "missing argument"),
        ("SELECT {{ red('a.b') }}", "unknown function"),
        ("SELECT {{ relation }}", "undefined value"),
        ("SELECT {% if %}", "syntax error"),
    ] {
        let error = rendered(sql, None).expect_err(sql);
        assert!(error.contains(says), "{sql}: {error}");
        assert!(
            error.contains("line 1") || says.contains("alone"),
            "{error}"
        );
    }
}

#[test]
fn a_check_reads_what_it_wrote() {
    let written = json!([
        {"name": "a", "kind": "row_count", "relation": "s.\"a.b\"", "tolerance": "5%", "run": ["before"]},
        {"name": "b", "kind": "keys_kept", "relation": "s.t", "key": ["k", "l"], "tolerance": 3, "run": ["before", "soak"], "timeout": "30s"},
        {"name": "c", "kind": "no_rows", "sql": "SELECT 1", "run": ["soak"]},
    ]);
    assert_eq!(faults_of(&written), []);
    let checks: Vec<Check> = serde_json::from_value(written.clone()).expect("checks");
    assert_eq!(serde_json::to_value(&checks).ok(), Some(written));
    let short = json!({"name": "a", "kind": "row_count", "relation": "s.t"});
    let check: Check = serde_json::from_value(short).expect("a check");
    assert_eq!(check.run(), [Moment::Before, Moment::Soak]);
    assert_eq!(check.timeout(), None);
}

#[test]
fn every_fault_is_found_with_its_place() {
    let list = json!([
        {"name": "a", "kind": "row_count", "relation": "s.t"},
        {"name": "a", "kind": "row_count", "relation": "t", "tolerance": "some", "run": ["after"], "key": ["k"]},
        {"kind": "keys_kept", "relation": "s.t"},
        {"name": "c", "kind": "no_rows", "sql": "SELECT {{ green }}", "tolerance": 1},
        {"name": "d", "kind": "both"},
        "e",
        {"name": " ", "kind": "keys_kept", "relation": "s.t", "key": ["k", "k"], "run": [], "timeout": "0s"},
        {"name": "g", "kind": "no_rows", "sql": "DROP SCHEMA {{ green('s.t') }}", "timeout": 30},
        {"name": "h", "kind": "no_rows", "sql": "DROP SCHEMA {{ green('s.t') }}"},
        {"name": "i", "kind": "no_rows", "sql": "SELECT {{ green }}"},
    ]);
    let mut places: Vec<String> = faults_of(&list).into_iter().map(|f| f.place).collect();
    places.sort();
    assert_eq!(
        places,
        [
            "[1].key",
            "[1].name",
            "[1].relation",
            "[1].run",
            "[1].tolerance",
            "[2].key",
            "[2].name",
            "[3].tolerance",
            "[4].kind",
            "[5]",
            "[6].key",
            "[6].name",
            "[6].run",
            "[6].timeout",
            "[7].timeout",
            "[8].sql",
            "[9].sql",
        ]
    );
    assert_eq!(faults_of(&json!({"a": 1})).len(), 1);
}

proptest! {
    #[test]
    fn any_relation_is_read_back(schema in "[^\\p{Cc}]{1,20}", name in "[a.\" ]{1,8}") {
        let relation = relation(&schema, &name);
        prop_assert_eq!(relation.to_string().parse(), Ok(relation));
    }

    #[test]
    fn any_text_is_a_relation_or_not(text in "[a.\"]{0,8}") {
        if let Ok(relation) = text.parse::<Relation>() {
            prop_assert_eq!(relation.to_string().parse(), Ok(relation));
        }
    }

    #[test]
    fn any_tolerance_is_read_back(part in 0_u32..=100_000_000, rows: u64) {
        for tolerance in [Tolerance::Part(part), Tolerance::Rows(rows)] {
            prop_assert_eq!(tolerance.to_string().parse(), Ok(tolerance));
        }
    }

    #[test]
    fn more_rows_never_allow_less(part in 0_u32..=100_000_000, blue in 0_u64..u64::MAX) {
        let part = Tolerance::Part(part);
        prop_assert!(part.allows(blue) <= part.allows(blue + 1));
    }
}

#[test]
fn endpoints_are_checks_with_every_fault_at_its_place() {
    let prometheus = |more: serde_json::Value| {
        let mut check = json!({"kind": "prometheus", "name": "n", "url": "https://p/", "query": "up", "condition": "> 0"});
        for (key, value) in more.as_object().expect("keys") {
            check[key] = value.clone();
        }
        check
    };
    let http = |more: serde_json::Value| {
        let mut check = json!({"kind": "http", "name": "n", "url": "https://p/"});
        for (key, value) in more.as_object().expect("keys") {
            check[key] = value.clone();
        }
        check
    };
    let places = |check: serde_json::Value| -> Vec<String> {
        let found = faults_of(&json!([check])).into_iter();
        found.map(|fault| fault.place).collect()
    };
    for good in [
        prometheus(json!({})),
        prometheus(
            json!({"level": "ask", "times": {"samples": 3, "enough": 2}, "on_nan": "wait", "on_several": "pass"}),
        ),
        prometheus(
            json!({"auth": {"user": "me", "password": "file:secret"}, "headers": {"X-Scope-OrgID": "env:TENANT"}}),
        ),
        prometheus(
            json!({"url": "http://127.0.0.1:9090/{{ environment }}", "query": "a{s=\"{{ green('m') }}\"}", "auth": {"bearer": "env:T"}}),
        ),
        http(
            json!({"method": "post", "body": "{\"d\": \"{{ deployment }}\"}", "status": 202, "pointer": "/a", "condition": "== \"ok\""}),
        ),
        json!({"kind": "row_count", "name": "n", "relation": "a.b", "level": "advisory"}),
    ] {
        assert_eq!(places(good.clone()), Vec::<String>::new(), "{good}");
        let check: Check = serde_json::from_value(good).expect("a check");
        let again = serde_json::to_value(&check).expect("JSON");
        assert_eq!(
            serde_json::from_value::<Check>(again).expect("a check"),
            check
        );
    }
    for (bad, place) in [
        (prometheus(json!({"condition": "== \"ok\""})), ".condition"),
        (prometheus(json!({"condition": "0.5"})), ".condition"),
        (prometheus(json!({"query": " "})), ".query"),
        (prometheus(json!({"query": "{{ nothing }}"})), ".query"),
        (prometheus(json!({"url": "prometheus:9090"})), ".url"),
        (prometheus(json!({"url": "ftp://h/"})), ".url"),
        (prometheus(json!({"url": "https://me:pass@h/"})), ".url"),
        (
            prometheus(json!({"url": "http://h/", "auth": {"bearer": "env:T"}})),
            ".url",
        ),
        (prometheus(json!({"times": {"samples": 0}})), ".times"),
        (
            prometheus(json!({"times": {"samples": 2, "enough": 3}})),
            ".times",
        ),
        (prometheus(json!({"auth": {"user": "me"}})), ".auth"),
        (prometheus(json!({"auth": {}})), ".auth"),
        (prometheus(json!({"headers": {"a b": "env:T"}})), ".headers"),
        (
            prometheus(json!({"headers": {"host": "env:T"}})),
            ".headers.host",
        ),
        (prometheus(json!({"on_nan": "ignore"})), ".on_nan"),
        (prometheus(json!({"level": "soft"})), ".level"),
        (prometheus(json!({"wait_for": "0s"})), ".wait_for"),
        (prometheus(json!({"pointer": "/a"})), ".pointer"),
        (http(json!({"on_nan": "fail"})), ".on_nan"),
        (http(json!({"body": "{}"})), ".body"),
        (http(json!({"method": "post", "body": "{"})), ".body"),
        (http(json!({"condition": "> 1"})), ".condition"),
        (http(json!({"pointer": "a.b"})), ".pointer"),
        (http(json!({"status": 99})), ".status"),
        (json!({"kind": "http", "name": "n"}), ".url"),
    ] {
        assert_eq!(places(bad.clone()), [format!("[0]{place}")], "{bad}");
    }
    // A secret that stands where a reference belongs is not repeated.
    for bad in [
        prometheus(json!({"auth": {"bearer": "hunter2"}})),
        prometheus(json!({"auth": "hunter2"})),
        prometheus(json!({"headers": {"x-a": "hunter2"}})),
        prometheus(json!({"headers": ["hunter2"]})),
        prometheus(json!({"auth": {"bearer": "env:T", "hunter2": "x"}})),
    ] {
        let found = faults_of(&json!([bad]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
    }
}
