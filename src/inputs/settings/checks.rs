//! The section `checks`.

/// Faults of checks that ask endpoints.
mod external;
/// Every fault of a list of checks, with its place.
mod faults;

pub(super) use faults::{CheckFault, named_twice, of as faults_of};

#[cfg(test)]
mod tests;
