//! Which project is there: what a daemon asks before it plans anything.

use super::opening::Opening;
use super::{Release, ReleaseError, Wanted};
use crate::source::content;
use std::fmt;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;

/// What a project is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revision {
    /// A commit of its repository.
    Commit(String),
    /// A hash of its files, where it is a folder.
    Content(String),
}

impl Revision {
    /// The commit or the hash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Revision::Commit(text) | Revision::Content(text) => text,
        }
    }

    /// Whether it is a commit.
    #[must_use]
    pub fn is_commit(&self) -> bool {
        match self {
            Revision::Commit(_) => true,
            Revision::Content(_) => false,
        }
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the project is at now. Fetches nothing.
///
/// # Errors
/// The repository's; files that cannot be read.
pub async fn resolve(
    wanted: &Wanted,
    cancel: &CancellationToken,
) -> Result<Revision, ReleaseError> {
    let opening = Opening::of(wanted)?;
    match &opening.source {
        Some(source) => Ok(Revision::Commit(source.resolve(cancel).await?.to_string())),
        None => of_files(opening.home()?).await,
    }
}

/// Opens the environment, fetched where its project comes from a repository.
///
/// # Errors
/// See [`Release::fetch`]; files that cannot be read.
pub async fn fetch(
    wanted: &Wanted,
    cancel: &CancellationToken,
) -> Result<(Release, Revision), ReleaseError> {
    let mut release = Release::fetch(wanted, cancel).await?;
    let revision = match &release.revision {
        Some(commit) => Revision::Commit(commit.clone()),
        None => of_files(release.folder().to_owned()).await?,
    };
    release.revision.get_or_insert_with(|| revision.to_string());
    Ok((release, revision))
}

async fn of_files(folder: PathBuf) -> Result<Revision, ReleaseError> {
    let path = folder.clone();
    let hashed = tokio::task::spawn_blocking(move || content::content(&folder)).await;
    let failed = |source| ReleaseError::Folder { path, source };
    match hashed {
        Ok(hashed) => hashed.map(Revision::Content).map_err(failed),
        Err(error) => Err(failed(std::io::Error::other(error))),
    }
}
