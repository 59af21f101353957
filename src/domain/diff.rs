//! The data diff: what is asked about two sides of a relation, what came of it, and what that means.
//!
//! Pure. The questions themselves are spelled in `materialize::diff`, and asked by `operations::diff`.

pub use columns::{Column, How, Paired, Pairing, pair};
pub use entry::{
    ColumnDiff, Comparison, Entry, Keyed, Kind, Outcome, Record, Sample, Sides, Verdict,
};
pub use judge::judge;
pub use wish::{Chosen, Diff, Masked, Mode, RelationDiff, Thresholds, Traits, Wish, choose};

/// Which columns of two sides are compared, and how.
mod columns;
/// What came of a comparison, as the journal keeps it.
mod entry;
/// Whether that is within what is allowed.
mod judge;
/// One sentence about a comparison.
mod sentence;
/// What is asked for: by the configuration, and by the project.
mod wish;

#[cfg(test)]
mod tests;
