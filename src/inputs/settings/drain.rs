//! The section `drain`: who still reads the old side when it is to go.

use crate::foundation::span::Span;
use crate::foundation::word::stored_words;
use serde::{Deserialize, Serialize};

stored_words! {
    /// What becomes of an old side that is still read when the time is over.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum AfterDrain {
        /// It goes; its readers are cut off.
        Drop = "drop",
        /// It stays until `cutover cleanup`.
        Keep = "keep",
    }
}

/// The section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drain {
    /// How long those who read the old side are waited for before it goes by itself.
    pub timeout: Span,
    /// What becomes of it when they read it still.
    pub then: AfterDrain,
}

impl Drain {
    /// Whether anybody is asked about at all.
    #[must_use]
    pub fn asks(&self) -> bool {
        !self.timeout.0.is_zero() || self.then == AfterDrain::Keep
    }
}
