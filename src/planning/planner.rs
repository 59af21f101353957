//! What a release will do, worked out without touching anything.
//!
//! A [`Plan`] is stored whole before the first effect and is never worked out again on resume.
//! Same input, same bytes: every list is sorted.

/// What the project and the server say, as the plan needs it.
pub mod candidate;
/// Tests that are new or changed since the baseline.
pub mod changed_tests;
/// What changed since the baseline, as a release sees it.
pub mod changes;
/// The checks that refuse a plan.
mod checks;
/// The smallest set that may be swapped together.
pub mod closure;
/// What becomes of the names of clusters.
pub mod clusters;
/// Columns that production gains, loses or has otherwise.
pub mod columns;
/// What a project says of its relations for the data diff.
pub mod diff_traits;
/// All of `vars.deployment` as one plan.
pub mod full;
/// Indexes of production against those that the project says.
pub mod indexes;
/// What holds after any release, checked before it.
pub mod invariant;
/// Production and the project, indexed.
mod lookup;
/// Sinks of the project, sources and connections outside of what is swapped.
pub mod outside;
/// Who owns nodes.
mod owners;
/// Which schemas and clusters a project should list.
pub mod propose;
/// When materialized views are filled.
pub mod refresh;
/// The plan as text and Markdown for people.
pub mod render;
/// One changed materialized view, released in place.
pub mod replace;
#[cfg(test)]
pub(crate) mod sample;
/// What dbt makes beside its nodes.
pub mod side_relations;
/// What changed since the baseline, and nothing more, as a plan.
pub mod slim;
/// Text and configuration that changed, as a plan shows them.
pub mod texts;
