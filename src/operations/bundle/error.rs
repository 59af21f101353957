//! What is refused about bundles, by stable names, and what else can go wrong with them.

use crate::adapters::artifacts::ArtifactError;
use crate::foundation::failure::{Class, Classify};
use crate::foundation::word::words;
use std::path::PathBuf;

words! {
    /// Why a bundle is not released, or not made.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Name {
        /// There is no bundle at its place.
        Missing = "bundle-missing",
        /// Another version of the format.
        Format = "bundle-format",
        /// A file that it lists is not there.
        Incomplete = "bundle-incomplete",
        /// A file is not what was written.
        Damaged = "bundle-damaged",
        /// Something leads out of it.
        Outside = "bundle-outside",
        /// It was made for another target, or under other variables.
        AnotherTarget = "bundle-for-another-target",
        /// A deployment was planned from another bundle, which is not here.
        Replaced = "bundle-replaced",
        /// Something else is where a bundle is to be made.
        Occupied = "bundle-occupied",
    }
}

impl Name {
    /// What to do about it, one sentence.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Name::Missing => {
                "make one with `cutover compile`, or correct --bundle or source.bundle"
            }
            Name::Format => {
                "compile it with the Cutover that releases it, or release it with the one that compiled it"
            }
            Name::Incomplete | Name::Damaged => {
                "bring the bundle here again as `cutover compile` made it, every file of it; nothing in it may be changed"
            }
            Name::Outside => {
                "bring the bundle here as `cutover compile` made it, with files in the place of links"
            }
            Name::AnotherTarget => {
                "compile one for this environment, with its target, variables and environment; or correct what is named here"
            }
            Name::Replaced => {
                "name the bundle that it was planned from with --bundle, or `cutover abort` and deploy again"
            }
            Name::Occupied => "name a folder that does not exist, an empty one, or a bundle",
        }
    }
}

/// What was met.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It is refused.
    #[error("{name}: {message}")]
    Refused {
        /// The stable name.
        name: Name,
        /// What is wrong, one sentence.
        message: String,
        /// What was met, where it was an error.
        source: Option<Cause>,
    },
    /// The object store that holds it.
    #[error("the bundle cannot be read")]
    Store(#[from] ArtifactError),
    /// It was not fetched yet.
    #[error("the bundle {place} is not fetched")]
    NotFetched {
        /// Its place.
        place: String,
    },
    /// A file or folder cannot be used.
    #[error("{} cannot be {action}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// `read`, `written`, …
        action: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl BundleError {
    pub(super) fn refused(name: Name, message: String) -> Self {
        Self::Refused {
            name,
            message,
            source: None,
        }
    }

    pub(super) fn because(name: Name, message: String, source: impl Into<Cause>) -> Self {
        Self::Refused {
            name,
            message,
            source: Some(source.into()),
        }
    }

    /// The refusal of a bundle that was made for something else than what is here.
    #[must_use]
    pub fn for_another_target(digest: &str, differences: &[String]) -> Self {
        Self::refused(
            Name::AnotherTarget,
            format!(
                "the bundle {digest} was not compiled for what is configured here: {}",
                differences.join("; ")
            ),
        )
    }

    /// The stable name, where it is a refusal.
    #[must_use]
    pub fn name(&self) -> Option<Name> {
        match self {
            Self::Refused { name, .. } => Some(*name),
            Self::Store(_) | Self::NotFetched { .. } | Self::File { .. } => None,
        }
    }
}

impl Classify for BundleError {
    fn class(&self) -> Class {
        match self {
            Self::Refused { .. } => Class::Refused,
            Self::Store(error) => error.class(),
            Self::NotFetched { .. } => Class::Usage,
            Self::File { .. } => Class::Transient,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { name, .. } => Some(name.remedy().to_owned()),
            Self::Store(error) => error.hint(),
            Self::NotFetched { .. } => {
                Some("`cutover plan`, `cutover deploy` and `cutover resume` fetch it".to_owned())
            }
            Self::File { .. } => {
                Some("check the folder's permissions and the free space".to_owned())
            }
        }
    }
}
