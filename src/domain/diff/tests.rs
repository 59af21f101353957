//! Tests of what is asked, compared and judged.

use super::{
    Column, ColumnDiff, Comparison, Diff, How, Keyed, Masked, Mode, Outcome, RelationDiff, Sides,
    Thresholds, Traits, Verdict, Wish, choose, judge, pair,
};
use crate::domain::checks::{Relation, Tolerance};
use crate::foundation::span::Span;
use serde_json::json;
use std::time::Duration;

fn diff(mode: Mode) -> Diff {
    Diff {
        mode,
        max_rows: 1000,
        statistics_max_rows: 100,
        timeout: Span(Duration::from_secs(60)),
        total_timeout: Span(Duration::from_secs(600)),
        samples: 0,
        sample_bytes: 1000,
        cluster: None,
        thresholds: Thresholds {
            rows_lost: Some(Tolerance::Rows(0)),
            ..Thresholds::default()
        },
        relations: Vec::new(),
    }
}

fn relation() -> Relation {
    "marts.totals".parse().expect("a relation")
}

fn columns(given: &[(&str, &str)]) -> Vec<Column> {
    let given = given.iter();
    given
        .map(|(name, kind)| Column {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
        })
        .collect()
}

#[test]
fn the_configuration_wins_over_the_project_key_by_key() {
    let own = json!({"relation": "marts.totals", "key": ["a"], "thresholds": {"rows_lost": "1%"}, "mask": ["b"]});
    let own: RelationDiff = serde_json::from_value(own).expect("a relation's");
    let asked = Diff {
        relations: vec![own.clone()],
        ..diff(Mode::Report)
    };
    let wish = json!({"mode": "gate", "key": ["z"], "max_rows": 7, "where": "a > 1",
                      "thresholds": {"rows_lost": 5, "rows_changed": 2}});
    let traits = Traits {
        wish: serde_json::from_value(wish).expect("a wish"),
        keys: vec![vec!["z".to_owned()], vec!["id".to_owned()]],
        masked: Masked {
            all: false,
            columns: vec!["c".to_owned()],
        },
        faults: Vec::new(),
    };
    let chosen = choose(&asked, &relation(), &traits);
    assert_eq!(chosen.mode, Mode::Gate);
    assert_eq!(chosen.keys, [["a"], ["z"], ["id"]]);
    assert_eq!(chosen.max_rows, 7);
    assert_eq!(chosen.condition.as_deref(), Some("a > 1"));
    assert_eq!(chosen.thresholds.rows_lost, Some(Tolerance::Part(10_000)));
    assert_eq!(chosen.thresholds.rows_changed, Some(Tolerance::Rows(2)));
    assert!(chosen.masked.hides("B") && chosen.masked.hides("c"));
    assert!(!chosen.masked.hides("a"));
    let off = Diff {
        mode: Mode::Off,
        ..asked
    };
    assert_eq!(choose(&off, &relation(), &traits).mode, Mode::Off);
    let written = serde_json::to_value(&own).expect("written");
    assert_eq!(
        serde_json::from_value::<RelationDiff>(written).expect("read"),
        own
    );
}

#[test]
fn what_nobody_knows_of_a_relation_is_refused() {
    for wrong in [
        json!({"keys": ["a"]}),
        json!({"thresholds": {"rows": 1}}),
        json!({"thresholds": {"rows_lost": "many"}}),
        json!({"mode": "on"}),
    ] {
        assert!(
            serde_json::from_value::<Wish>(wrong.clone()).is_err(),
            "{wrong}"
        );
    }
    let nameless = json!({"key": ["a"]});
    assert!(serde_json::from_value::<RelationDiff>(nameless).is_err());
}

#[test]
fn columns_are_paired_by_name_and_compared_as_their_types_allow() {
    let blue = columns(&[
        ("k", "integer"),
        ("n", "numeric(38,0)"),
        ("j", "jsonb"),
        ("t", "integer"),
        ("gone", "text"),
    ]);
    let green = columns(&[
        ("n", "bigint"),
        ("k", "integer"),
        ("new", "text"),
        ("j", "jsonb"),
        ("t", "text"),
    ]);
    let pairing = pair(&blue, &green);
    let both: Vec<(&str, How, bool)> = pairing
        .both
        .iter()
        .map(|one| (&*one.name, one.how, one.retyped.is_some()))
        .collect();
    assert_eq!(
        both,
        [
            ("n", How::Native, true),
            ("k", How::Native, false),
            ("j", How::AsText, false),
            ("t", How::AsText, true),
        ]
    );
    assert_eq!(pairing.only_blue, ["gone"]);
    assert_eq!(pairing.only_green, ["new"]);
    let lists = columns(&[("l", "list"), ("m", "map")]);
    assert!(
        pair(&lists, &lists)
            .both
            .iter()
            .all(|one| one.how == How::AsText)
    );
}

fn compared(lost: u64, added: u64, changed: Option<u64>) -> Comparison {
    Comparison {
        keyed: match changed {
            Some(_) => Keyed::Key,
            None => Keyed::None,
        },
        key: Vec::new(),
        keyless: None,
        lost,
        added,
        changed,
        columns: Vec::<ColumnDiff>::new(),
    }
}

#[test]
fn nothing_is_judged_better_than_it_is_known() {
    let strict = Thresholds {
        rows_changed: Some("1%".parse().expect("a part")),
        rows_lost: Some(Tolerance::Rows(0)),
        rows_added: None,
    };
    let rows = |blue, green| Some(Sides { blue, green });
    let verdict = |outcome, rows: Option<Sides<u64>>, compared: Option<Comparison>| {
        judge(&strict, outcome, rows.as_ref(), compared.as_ref()).0
    };
    let cases = [
        (
            Outcome::Equal,
            rows(100, 100),
            Some(compared(0, 0, Some(0))),
            Verdict::Within,
        ),
        (
            Outcome::Different,
            rows(100, 100),
            Some(compared(0, 5, Some(1))),
            Verdict::Within,
        ),
        (
            Outcome::Different,
            rows(100, 100),
            Some(compared(0, 0, Some(2))),
            Verdict::Exceeded,
        ),
        (
            Outcome::Different,
            rows(100, 99),
            Some(compared(1, 0, Some(0))),
            Verdict::Exceeded,
        ),
        // Without a key what changed is both lost and added.
        (
            Outcome::Different,
            rows(100, 100),
            Some(compared(1, 1, None)),
            Verdict::Exceeded,
        ),
        (
            Outcome::CountsOnly,
            rows(100, 100),
            None,
            Verdict::Undecided,
        ),
        (Outcome::CountsOnly, rows(100, 99), None, Verdict::Exceeded),
        (Outcome::TimedOut, None, None, Verdict::Undecided),
        (Outcome::Refused, None, None, Verdict::Undecided),
        (Outcome::NoCluster, None, None, Verdict::Undecided),
        (Outcome::Missing, None, None, Verdict::Undecided),
        (Outcome::New, None, None, Verdict::NotJudged),
    ];
    for (outcome, rows, compared, expected) in cases {
        assert_eq!(verdict(outcome, rows, compared), expected, "{outcome}");
    }
    let none = Thresholds::default();
    let (verdict, _) = judge(&none, Outcome::TimedOut, None, None);
    assert_eq!(verdict, Verdict::NotJudged);
}
