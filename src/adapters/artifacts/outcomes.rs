//! What came out of each node, as a bundle has it.

use super::error::ArtifactError;
use super::refusal::Name;
use crate::inputs::outcome::{self, Outcomes};

/// The outcomes of a bundle.
#[derive(Debug, Clone, PartialEq)]
pub enum KeptOutcomes {
    /// As they were compiled.
    Known(Box<Outcomes>),
    /// An earlier version of Cutover kept none.
    Absent,
    /// Those of a version of Cutover that makes them otherwise, which cannot be compared.
    OtherForm {
        /// Their form; this version has [`outcome::FORM`].
        found: u32,
    },
}

impl KeptOutcomes {
    pub(super) fn read(bytes: Option<&[u8]>, place: &str) -> Result<Self, ArtifactError> {
        #[derive(serde::Deserialize)]
        struct Header {
            form: u32,
        }
        let damaged = |error: serde_json::Error| {
            ArtifactError::refused(
                Name::BaselineDamaged,
                format!("{place} cannot be read"),
                Some(error.into()),
            )
        };
        let Some(bytes) = bytes else {
            return Ok(Self::Absent);
        };
        match serde_json::from_slice::<Header>(bytes)
            .map_err(damaged)?
            .form
        {
            outcome::FORM => Ok(Self::Known(serde_json::from_slice(bytes).map_err(damaged)?)),
            found => Ok(Self::OtherForm { found }),
        }
    }

    /// Those that can be compared.
    #[must_use]
    pub fn known(&self) -> Option<&Outcomes> {
        match self {
            Self::Known(outcomes) => Some(outcomes),
            Self::Absent | Self::OtherForm { .. } => None,
        }
    }
}
