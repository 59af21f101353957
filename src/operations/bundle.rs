//! A compiled project in a folder: all that a release needs of it, so that it is released where there is no dbt,
//! no git and no project, as it was when it was compiled.
//!
//! ```text
//! bundle.json           `Listing`: what it is about, each other file with its digest, a digest over all
//! manifest.json         as dbt wrote it, without times, ids of runs and paths of the machine
//! outcomes.json         what comes out of each node
//! compiled.json         `Compiled`: SQL that reads production
//! project/              dbt_project.yml, vars.yml, selectors.yml and the files of seeds
//! packages/<package>/   the files of seeds of packages
//! ```
//!
//! # What is durable, and why it is safe
//! A bundle is made beside its place and renamed, `bundle.json` written last. Whoever releases one copies what
//! `bundle.json` lists below `.cutover/sources/<environment>/bundles/<digest>`, each file as it is verified, and
//! works from that copy, which is verified again whenever it is opened: what becomes of the place meanwhile does
//! not matter, and a deployment that was interrupted goes on with its own bundle.
//!
//! The same project under the same variables gives the same bytes. When it was made, and by which Cutover, stands
//! in `bundle.json` and is no part of the digest.

mod about;
mod canonical;
mod commit;
mod error;
pub mod kept;
mod listing;
mod origin;
mod write;

pub use about::{About, Dbt, Difference};
pub use canonical::manifest as canonical_manifest;
pub use commit::commit;
pub use error::{BundleError, Name};
pub use origin::Origin;
pub use write::{Contents, Made, may_be_made, write};

use crate::inputs::outcome::Outcomes;
use listing::Listing;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Changed whenever another version would read something else in the same files.
pub const FORM: u32 = 1;

/// What revisions that are bundles begin with; the digest follows.
pub const REVISION: &str = "bundle:";

const LISTING: &str = "bundle.json";
const MANIFEST: &str = "manifest.json";
const OUTCOMES: &str = "outcomes.json";
const COMPILED: &str = "compiled.json";
const PROJECT: &str = "project";
const PACKAGES: &str = "packages";

/// What was compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compiled {
    /// Unique ids of what asks the server while it is compiled, so that nobody can compile it beforehand.
    pub asking: BTreeSet<String>,
    /// Unique id of a node or test → SQL.
    pub sql: BTreeMap<String, String>,
}

/// A bundle whose every file was verified.
#[derive(Debug, Clone)]
pub struct Bundle {
    folder: PathBuf,
    listing: Listing,
}

impl Bundle {
    /// Opens the bundle in a folder and verifies it.
    ///
    /// # Errors
    /// [`BundleError::Refused`] for what is no whole bundle.
    pub fn open(folder: &Path) -> Result<Self, BundleError> {
        let listing = Listing::of_folder(folder)?;
        for path in listing.files.keys() {
            listing.read_from(folder, path)?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            listing,
        })
    }

    /// The digest over all of it, 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.listing.digest
    }

    /// The digest as the revision of a project.
    #[must_use]
    pub fn revision(&self) -> String {
        format!("{REVISION}{}", self.digest())
    }

    /// What it was compiled from and for.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.listing.about
    }

    /// The folder that stands for the project's.
    #[must_use]
    pub fn project(&self) -> PathBuf {
        self.folder.join(PROJECT)
    }

    /// The folder that stands for that of the installed packages.
    #[must_use]
    pub fn packages(&self) -> PathBuf {
        self.folder.join(PACKAGES)
    }

    /// The plain manifest.
    ///
    /// # Errors
    /// As [`Bundle::open`], when it changed since.
    pub fn manifest(&self) -> Result<Vec<u8>, BundleError> {
        self.listing.read_from(&self.folder, MANIFEST)
    }

    /// What comes out of each node.
    ///
    /// # Errors
    /// As [`Bundle::open`], when it changed since.
    pub fn outcomes(&self) -> Result<Outcomes, BundleError> {
        self.document(OUTCOMES)
    }

    /// What was compiled.
    ///
    /// # Errors
    /// As [`Bundle::open`], when it changed since.
    pub fn compiled(&self) -> Result<Compiled, BundleError> {
        self.document(COMPILED)
    }

    fn document<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<T, BundleError> {
        let bytes = self.listing.read_from(&self.folder, name)?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let place = self.folder.join(name).display().to_string();
            BundleError::because(
                Name::Damaged,
                format!("{place} cannot be read, although it is what was written"),
                error,
            )
        })
    }
}

#[cfg(test)]
mod tests;
