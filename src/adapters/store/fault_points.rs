//! Where tests kill the process: right before and right after each write to the journal.
//!
//! Not part of the product; only the tests build it, by the feature `fault-points`.

use nix::sys::signal::{Signal, raise};
use std::sync::atomic::{AtomicU32, Ordering};

/// `before:N` or `after:N`, for the N-th write of the process, counted from 1.
const VARIABLE: &str = "CUTOVER_TEST_KILL_AT_WRITE";

/// Which side of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The write has not begun.
    Before,
    /// The write is durable.
    After,
}

/// Kills the process with SIGKILL if this is the point that the environment names.
pub(crate) fn point(side: Side) {
    static BEGUN: AtomicU32 = AtomicU32::new(0);
    let Ok(wanted) = std::env::var(VARIABLE) else {
        return;
    };
    // The lead is one: writes do not overlap.
    let (word, number) = match side {
        Side::Before => ("before", BEGUN.fetch_add(1, Ordering::SeqCst) + 1),
        Side::After => ("after", BEGUN.load(Ordering::SeqCst)),
    };
    if wanted == format!("{word}:{number}") {
        // No signal handler sees it, nothing is flushed and no destructor runs.
        let _ = raise(Signal::SIGKILL);
    }
}
