//! The bundle of what a deployment made live, in the artifact store: its files lie in the deployment's folder there, and go
//! with it. The listing is written last, so that what was cut short is none.

use super::error::BundleError;
use super::listing::{Listed, Listing};
use super::write::{Contents, not_json};
use super::{Bundle, LISTING};
use crate::adapters::artifacts::{Artifacts, Key};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Keeps a compiled project as that of a deployment. May be repeated: what is kept already stays.
///
/// # Errors
/// A store that does not answer.
pub async fn keep(
    artifacts: &Artifacts,
    key: &Key,
    id: &str,
    contents: Contents,
    at: Timestamp,
) -> Result<(), BundleError> {
    let mut files = BTreeMap::new();
    for (path, bytes) in &contents.files {
        let kept = artifacts.keep_project_file(key, id, path, bytes).await?;
        files.insert(path.clone(), Listed::of(&kept));
    }
    let listing = Listing::of(contents.about, files, at).map_err(not_json)?;
    let bytes = serde_json::to_vec_pretty(&listing).map_err(not_json)?;
    artifacts
        .keep_project_file(key, id, LISTING, &bytes)
        .await?;
    Ok(())
}

/// Whether the project of a deployment is kept.
///
/// # Errors
/// A store that does not answer.
pub async fn is_kept(artifacts: &Artifacts, key: &Key, id: &str) -> Result<bool, BundleError> {
    Ok(artifacts.project_file(key, id, LISTING).await?.is_some())
}

impl Bundle {
    /// All of it in memory, to keep it once more.
    ///
    /// # Errors
    /// As [`Bundle::open`], when it changed since.
    pub fn contents(&self) -> Result<Contents, BundleError> {
        let paths = self.listing.files.keys();
        let files =
            paths.map(|path| Ok((path.clone(), self.listing.read_from(&self.folder, path)?)));
        let files: Result<BTreeMap<_, _>, BundleError> = files.collect();
        Ok(Contents {
            about: self.listing.about.clone(),
            files: files?,
        })
    }
}
