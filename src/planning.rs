//! What is to be done, worked out without touching anything.

/// What a release will do, worked out without touching anything.
pub mod planner;
/// Judging one reading.
pub mod readiness;
/// Building without dbt.
pub mod recipe;
