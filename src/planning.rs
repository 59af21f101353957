//! What is to be done, worked out without touching anything.

/// Whether a release may begin or be swapped in: holds and freezes.
pub mod permission;
/// What a release will do, worked out without touching anything.
pub mod planner;
/// Judging one reading.
pub mod readiness;
/// Building without dbt.
pub mod recipe;
