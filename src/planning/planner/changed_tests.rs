//! Tests that are new or changed since the baseline. They begin no release; a person should know of
//! them before the next one fails on them.

use super::candidate::{Candidate, CandidateTest, Materialization};
use super::changes::phrase;
use crate::domain::plan::Plan;
use crate::inputs::selection::state::{Comparison, StateValue};
use std::collections::{BTreeMap, BTreeSet};

/// The most tests that a note names.
const NAMED: usize = 10;

/// Unique ids of new and changed tests → what changed. A test over a changed ephemeral model is one:
/// that model's SQL is a part of its own.
#[must_use]
pub fn found(comparison: &Comparison<'_>, candidate: &Candidate) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (id, test) in &candidate.tests {
        if comparison.matches(id, StateValue::Modified) {
            found.insert(id.clone(), phrase(comparison, id));
        } else if let Some(model) = changed_within(test, comparison, candidate) {
            found.insert(id.clone(), format!("reads the changed ephemeral {model}"));
        }
    }
    found
}

/// The first changed ephemeral model that is inlined in a test.
fn changed_within<'a>(
    test: &'a CandidateTest,
    comparison: &Comparison<'_>,
    candidate: &'a Candidate,
) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    let mut queue: Vec<&str> = test.parents.iter().map(String::as_str).collect();
    while let Some(id) = queue.pop() {
        let node = candidate.nodes.get(id);
        let inlined = node.filter(|node| node.materialization() == Materialization::Ephemeral);
        if let Some(node) = inlined
            && seen.insert(id)
        {
            if comparison.matches(id, StateValue::Modified) {
                return Some(id);
            }
            queue.extend(node.parents.iter().map(String::as_str));
        }
    }
    None
}

/// Puts them into the plan, with a note on those that it does not run.
pub fn tell(plan: &mut Plan, changed: BTreeMap<String, String>) {
    let run: BTreeSet<&String> = plan.tests.iter().collect();
    let later: Vec<&str> = changed
        .keys()
        .filter(|id| !run.contains(id))
        .map(String::as_str)
        .collect();
    if !later.is_empty() {
        let named = later[..later.len().min(NAMED)].join(", ");
        let more = match later.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let (what, runs) = match later.len() {
            1 => ("1 test is", "runs"),
            _ => (&*format!("{} tests are", later.len()), "run"),
        };
        plan.notes.push(format!(
            "{what} new or changed and {runs} with the next release of what they read, or now with `cutover deploy --test-only`: {named}{more}"
        ));
    }
    plan.changed_tests = changed;
}

#[cfg(test)]
mod tests {
    use super::{found, tell};
    use crate::inputs::manifest::sample::{manifest, model, resource, test, with};
    use crate::inputs::selection::state::Comparison;
    use crate::planning::planner::candidate::Candidate;
    use crate::planning::planner::sample::World;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    #[test]
    fn what_the_plan_does_not_run_is_told() {
        let plan = World::new().plan().expect("a plan");
        let changed = |ids: &[&str]| -> BTreeMap<String, String> {
            let ids = ids.iter();
            ids.map(|id| ((*id).to_owned(), "new".to_owned())).collect()
        };
        let notes = |ids: &[&str]| {
            let mut plan = plan.clone();
            plan.notes.clear();
            tell(&mut plan, changed(ids));
            assert_eq!(plan.changed_tests, changed(ids));
            plan.notes
        };
        assert_eq!(notes(&[]), Vec::<String>::new());
        assert_eq!(notes(&["test.shop.totals_not_null"]), Vec::<String>::new());
        assert_eq!(
            notes(&["test.shop.a", "test.shop.totals_not_null"]),
            [
                "1 test is new or changed and runs with the next release of what they read, or now with `cutover deploy --test-only`: test.shop.a"
            ]
        );
        let many: Vec<String> = (10..22).map(|number| format!("t{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let told = notes(&many);
        assert!(
            told[0].starts_with("12 tests are new or changed and run "),
            "{told:?}"
        );
        assert!(told[0].ends_with("t18, t19 and 2 more"), "{told:?}");
    }

    #[test]
    fn a_test_is_changed_by_itself_or_by_what_is_inlined_in_it() {
        let sql = |node: Value, sql: &str| with(node, json!({"raw_code": sql}));
        let edited = || resource("test.shop.edited", json!({}));
        let ephemeral = |code: &str| {
            let config = json!({"config": {"enabled": true, "materialized": "ephemeral"}});
            sql(with(model("e", &[]), config), code)
        };
        let over = || test("over", &["model.shop.e"]);
        let old = manifest([ephemeral("select 1"), test("same", &[]), edited(), over()]);
        let new = manifest([
            ephemeral("select 2"),
            test("same", &[]),
            sql(edited(), "select 2"),
            over(),
            test("fresh", &[]),
        ]);
        let candidate = Candidate::from_manifests(&new, &new).expect("a candidate");
        let found = found(&Comparison::of(&old, &new), &candidate);
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(id, what)| (id.as_str(), what.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("test.shop.edited", "changed: body"),
                ("test.shop.fresh", "new"),
                ("test.shop.over", "reads the changed ephemeral model.shop.e"),
            ]
        );
    }
}
