use super::{Detail, markdown, sample, text};
use crate::domain::plan::Plan;

#[test]
fn text_is_short_by_default() {
    insta::assert_snapshot!(text(&sample::shop(), Detail::Short));
}

#[test]
fn full_text_tells_why() {
    insta::assert_snapshot!(text(&sample::shop(), Detail::Full));
}

#[test]
fn markdown_for_a_pull_request() {
    insta::assert_snapshot!(markdown(&sample::shop()));
}

#[test]
fn an_empty_plan_says_so() {
    insta::assert_snapshot!(text(&sample::empty(), Detail::Short));
}

#[test]
fn an_empty_plan_says_what_is_held_back() {
    let plan = Plan {
        notes: vec!["production has marts.extra, which no promotion made".to_owned()],
        held_back: sample::shop().held_back,
        ..sample::empty()
    };
    insta::assert_snapshot!(text(&plan, Detail::Short));
    insta::assert_snapshot!("an_empty_plan_in_markdown", markdown(&plan));
}

#[test]
fn what_is_done_outside_is_told_with_what_goes_out() {
    let plan = Plan {
        outside: sample::outside(),
        ..sample::shop()
    };
    for page in [text(&plan, Detail::Short), markdown(&plan)] {
        for part in [
            "source raw.clock",
            "created before the build",
            "a snapshot goes out; a rollback drops it",
            "no snapshot goes out",
            "a new snapshot goes out, and another if it is rolled back",
            "dropped with the old side",
            "source-dropped drops it",
            "1 sink made anew with a snapshot",
            "the sink may stall later",
        ] {
            assert!(page.contains(part), "{part}: {page}");
        }
    }
}

#[test]
fn lengths_of_time_are_rounded() {
    let shown = [0, 640, 1499, 1500, 130_250, 7_199_600].map(super::roughly);
    assert_eq!(shown, ["0s", "640ms", "1s", "2s", "2m 10s", "2h"]);
}

#[test]
fn hostile_names_are_harmless_in_text() {
    let shown = text(&sample::hostile(), Detail::Full);
    assert!(
        shown.chars().all(|c| c == '\n' || !c.is_control()),
        "{shown}"
    );
    assert!(!shown.contains('\u{202e}'));
    insta::assert_snapshot!(shown);
}

#[test]
fn hostile_names_are_harmless_in_markdown() {
    let shown = markdown(&sample::hostile());
    // A fence that nothing inside can end holds code, in which nothing is markup or a mention.
    let (before, fenced) = shown.split_once("\n````diff\n").expect("a fence");
    let (fenced, behind) = fenced.split_once("\n````\n").expect("its end");
    assert!(!fenced.contains("````"), "{shown}");
    assert!(!fenced.contains('\u{1b}'), "{shown}");
    for outside in [before, behind] {
        assert!(!outside.contains("<img"), "{shown}");
        assert!(!outside.contains("@team"), "{shown}");
    }
    for row in shown.lines().filter(|line| line.starts_with("| ")) {
        let bars = row.replace("\\|", "").matches('|').count();
        assert!((3..=5).contains(&bars), "{row}");
    }
    insta::assert_snapshot!(shown);
}
