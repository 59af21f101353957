//! Building without dbt: what a release makes itself from the compiled SQL of its plan.
//!
//! The statements are those of dbt-materialize 1.9, read in its macros and those of dbt; where it is not
//! certain that the result is the same, a node does not qualify and the whole build goes through dbt.
//!
//! Pure: nothing is sent from here.

/// Whether a contract is kept.
pub mod contract;
/// What is made, in order.
pub mod document;
/// What became of each node, as dbt writes it.
pub mod results;
/// Names of relations in SQL.
pub mod rewrite;
/// Rows of seeds as dbt reads them.
pub mod seed;
/// Unit tests as queries.
pub mod unit_test;
/// What a test found, and what that means.
pub mod verdict;

pub use crate::planning::recipe::document::Recipe;
pub use seed::Seed;
