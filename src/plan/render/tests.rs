use super::sample;
use super::{Detail, markdown, text};

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
    assert!(!shown.contains("<img"), "{shown}");
    assert!(!shown.contains("@team"), "{shown}");
    for row in shown.lines().filter(|line| line.starts_with("| ")) {
        let bars = row.replace("\\|", "").matches('|').count();
        assert!(bars == 5 || bars == 3, "{row}");
    }
    insta::assert_snapshot!(shown);
}
