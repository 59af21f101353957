//! What the daemon decides by the clock. Everything here is pure: the time is given, nothing is run.

/// Whether a revision that failed may be tried again.
pub mod attempts;
/// When releases begin.
pub mod schedule;
