use super::places::{Places, cluster};
use super::verdict::{
    Outcome, Verdict, failure, failures, is_in_doubt, of_found, of_keys, of_rows, question,
};
use crate::domain::checks::{Level, Moment, Relation, Side, Tolerance};
use crate::domain::plan::{Plan, Replacement, Strategy};
use crate::planning::planner::render::sample;
use jiff::Timestamp;
use proptest::prelude::*;

const NONE: Tolerance = Tolerance::Rows(0);

fn part(text: &str) -> Tolerance {
    text.parse().expect("a part")
}

#[test]
fn rows_must_be_as_many_within_the_tolerance() {
    for (blue, green, tolerance, passes) in [
        (3, 3, NONE, true),
        (3, 4, NONE, false),
        (3, 2, NONE, false),
        (0, 0, NONE, true),
        (0, 1, NONE, false),
        (0, 1, Tolerance::Rows(1), true),
        (0, 0, part("5%"), true),
        (0, 1, part("100%"), false),
        (1, 0, part("99.9999%"), false),
        (1, 0, part("100%"), true),
        (100, 95, part("5%"), true),
        (100, 105, part("5%"), true),
        (100, 94, part("5%"), false),
        (100, 106, part("5%"), false),
        (u64::MAX, 0, part("100%"), true),
    ] {
        let found = of_rows(blue, green, tolerance);
        let passed = found.verdict == Verdict::Passed;
        assert_eq!(passed, passes, "{blue} {green} {tolerance}");
        assert_eq!((found.blue, found.green), (Some(blue), Some(green)));
    }
    assert_eq!(
        of_rows(100, 1, part("5%")).says,
        "the new side has 1 row and the old side 100: 99 apart, 5 (5% of the old side's) allowed"
    );
}

#[test]
fn keys_must_be_kept_within_the_tolerance() {
    for (blue, lost, tolerance, passes) in [
        (3, 0, NONE, true),
        (3, 1, NONE, false),
        (3, 1, Tolerance::Rows(1), true),
        (0, 0, part("5%"), true),
        (20, 1, part("5%"), true),
        (19, 1, part("5%"), false),
    ] {
        let found = of_keys(blue, lost, tolerance);
        let passed = found.verdict == Verdict::Passed;
        assert_eq!(passed, passes, "{blue} {lost} {tolerance}");
        assert_eq!((found.blue, found.green), (Some(blue), Some(blue - lost)));
    }
    assert_eq!(
        of_keys(1, 1, NONE).says,
        "of 1 key of the old side the new side lacks 1, 0 allowed"
    );
}

#[test]
fn found_rows_fail() {
    assert_eq!(of_found(0).verdict, Verdict::Passed);
    assert_eq!(of_found(2).verdict, Verdict::Failed);
    assert_eq!(of_found(2).says, "the query returned 2 rows");
}

fn outcome(name: &str, level: Level, verdict: Verdict, failures: u32) -> Outcome {
    Outcome {
        name: name.to_owned(),
        level,
        verdict,
        blue: None,
        green: None,
        says: "why".to_owned(),
        at: Timestamp::UNIX_EPOCH,
        runs: 1,
        failures,
        asked: None,
        samples: Vec::new(),
    }
}

#[test]
fn only_failed_checks_are_a_failure() {
    let outcome = |name: &str, verdict| {
        let failures = u32::from(verdict == Verdict::Failed);
        outcome(name, Level::Required, verdict, failures)
    };
    let good = [
        outcome("a", Verdict::Passed),
        outcome("b", Verdict::NotApplicable),
    ];
    assert_eq!(failure(Moment::Soak, &good, 1), None);
    assert_eq!(failure(Moment::Soak, &[], 1), None);
    let bad = [outcome("c", Verdict::Failed), outcome("d", Verdict::Failed)];
    let all = [&good[..], &bad[..]].concat();
    assert_eq!(
        failure(Moment::Soak, &all, 1).as_deref(),
        Some("2 checks failed after the swap: \"c\": why; \"d\": why")
    );
    assert_eq!(
        failure(Moment::Before, &bad[..1], 1).as_deref(),
        Some("a check failed before the swap: \"c\": why")
    );
    // One failure may be chance.
    assert_eq!(failure(Moment::Soak, &all, 2), None);
}

#[test]
fn what_is_told_stops_nothing_and_what_asks_only_asks() {
    let failed = |level| outcome("c", level, Verdict::Failed, 3);
    let all = [failed(Level::Advisory), failed(Level::Ask)];
    assert_eq!(failure(Moment::Soak, &all, 1), None);
    assert_eq!(question(Moment::Soak, &all[..1], 1), None);
    assert_eq!(
        question(Moment::Soak, &all, 3).as_deref(),
        Some("a person must decide: a check failed after the swap: \"c\": why")
    );
    assert_eq!(question(Moment::Soak, &all, 4), None);
    let silent = [outcome("c", Level::Ask, Verdict::NoAnswer, 3)];
    assert!(question(Moment::Soak, &silent, 3).is_some());
    for (level, failures, decided, doubt) in [
        (Level::Required, 0, false, false),
        (Level::Required, 1, true, true),
        (Level::Ask, 1, false, true),
        (Level::Ask, 3, false, false),
        (Level::Ask, 1, true, false),
        (Level::Advisory, 1, false, false),
    ] {
        let outcome = outcome("c", level, Verdict::Failed, failures);
        assert_eq!(is_in_doubt(&outcome, 3, decided), doubt, "{outcome:?}");
    }
}

#[test]
fn an_outcome_of_a_version_without_levels_is_required() {
    let stored = r#"{"name":"a","verdict":"failed","blue":3,"green":2,"says":"why","at":"2026-03-01T02:00:00Z","runs":1}"#;
    let read: Outcome = serde_json::from_str(stored).expect("an outcome");
    assert_eq!(read.level, Level::Required);
    assert!(read.samples.is_empty() && read.asked.is_none());
    assert_eq!(failure(Moment::Before, &[read], 0).map(|_| ()), Some(()));
}

#[test]
fn failures_are_counted_in_a_row_and_silence_is_none_unless_a_person_is_asked() {
    for level in Level::ALL {
        let mut last: Option<Outcome> = None;
        let is_asked = u32::from(level == Level::Ask);
        for (verdict, failures_in_a_row) in [
            (Verdict::Failed, 1),
            (Verdict::Failed, 2),
            (Verdict::NoAnswer, 2 + is_asked),
            (Verdict::Failed, 3 + is_asked),
            (Verdict::Passed, 0),
            (Verdict::NoAnswer, is_asked),
            (Verdict::Failed, 1 + is_asked),
            (Verdict::NotApplicable, 0),
        ] {
            let failures = failures(level, last.as_ref(), verdict);
            assert_eq!(failures, failures_in_a_row, "{level} {verdict:?}");
            last = Some(outcome("a", level, verdict, failures));
        }
    }
}

fn relation(schema: &str, name: &str) -> Relation {
    Relation {
        schema: schema.to_owned(),
        name: name.to_owned(),
    }
}

#[test]
fn a_swap_moves_whole_schemas() {
    let plan = sample::shop();
    let swapped = &plan.schemas[0];
    let inside = relation(&swapped.name, "totals");
    let aside = relation(&swapped.green, "totals");
    let outside = relation("elsewhere", "totals");
    for (moment, green, blue) in [
        (Moment::Before, &aside, &inside),
        (Moment::Soak, &inside, &aside),
    ] {
        let places = Places::new(&plan, moment, "secret");
        assert!(places.is_touched(&inside) && !places.is_touched(&outside));
        assert_eq!(places.on(Side::Green, &inside).as_ref(), Some(green));
        assert_eq!(places.on(Side::Blue, &inside).as_ref(), Some(blue));
        for side in [Side::Green, Side::Blue] {
            assert_eq!(places.on(side, &outside).as_ref(), Some(&outside));
        }
    }
}

fn in_place() -> Plan {
    let mut plan = sample::shop();
    plan.strategy = Strategy::Replace;
    plan.schemas.clear();
    plan.clusters.clear();
    plan.replacements = vec![Replacement {
        schema: "marts".to_owned(),
        name: "totals".to_owned(),
        node: "model.shop.totals".to_owned(),
        id: "u1".to_owned(),
        cluster: "compute".to_owned(),
        cluster_id: "c1".to_owned(),
        query: "select 2".to_owned(),
        previous: "SELECT 1".to_owned(),
    }];
    plan
}

#[test]
fn a_replacement_has_no_old_side_afterwards() {
    let plan = in_place();
    let view = relation("marts", "totals");
    let other = relation("marts", "counts");
    let before = Places::new(&plan, Moment::Before, "secret");
    assert_eq!(
        before.on(Side::Green, &view),
        Some(relation("marts", "secret"))
    );
    assert_eq!(before.on(Side::Blue, &view), Some(view.clone()));
    assert!(before.is_touched(&view) && !before.is_touched(&other));
    let soak = Places::new(&plan, Moment::Soak, "secret");
    assert_eq!(soak.on(Side::Green, &view), Some(view.clone()));
    assert_eq!(soak.on(Side::Blue, &view), None);
    assert_eq!(soak.on(Side::Blue, &other), Some(other.clone()));
}

#[test]
fn production_does_not_feel_the_checks_on_green() {
    let mut plan = sample::shop();
    let (name, green) = (
        plan.clusters[0].name.clone(),
        plan.clusters[0].green.clone(),
    );
    plan.test_cluster = Some(name.clone());
    let before = |plan: &Plan, profile| cluster(plan, Moment::Before, profile);
    assert_eq!(before(&plan, None), Some(green.clone()));
    assert_eq!(before(&plan, Some("other")), Some(green.clone()));
    plan.test_cluster = None;
    assert_eq!(before(&plan, Some(&name)), Some(green.clone()));
    assert_eq!(before(&plan, Some("other")), Some("other".to_owned()));
    assert_eq!(before(&plan, None), Some(green));
    let soak = cluster(&plan, Moment::Soak, None);
    assert_eq!(soak.as_deref(), Some(name.as_str()));
    let soak = cluster(&plan, Moment::Soak, Some(&name));
    assert_eq!(soak.as_deref(), Some(name.as_str()));
    assert_eq!(before(&in_place(), None), Some("compute".to_owned()));
}

proptest! {
    #[test]
    fn the_same_on_both_sides_passes(rows: u64, part in 0_u32..1_000_000, few in 0_u64..9) {
        for tolerance in [Tolerance::Part(part), Tolerance::Rows(few)] {
            prop_assert_eq!(of_rows(rows, rows, tolerance).verdict, Verdict::Passed);
            prop_assert_eq!(of_keys(rows, 0, tolerance).verdict, Verdict::Passed);
        }
    }

    #[test]
    fn what_passes_passes_with_more_tolerance(blue: u64, green: u64, few: u64, more: u64) {
        let few_of = of_rows(blue, green, Tolerance::Rows(few)).verdict;
        let all_of = of_rows(blue, green, Tolerance::Rows(few.saturating_add(more))).verdict;
        prop_assert!(few_of != Verdict::Passed || all_of == Verdict::Passed);
        let passes = few_of == Verdict::Passed;
        prop_assert_eq!(passes, blue.abs_diff(green) <= few);
    }
}
