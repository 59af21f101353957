//! Which project is there: what a daemon asks before it plans anything.

use super::opening::Opening;
use super::{Release, ReleaseError, Wanted};
use crate::source::{Checkout, content};
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

/// An environment whose project is there, fetched where it comes from a repository, and of which nothing is
/// rendered yet.
pub struct Fetched {
    opening: Opening,
    checkout: Option<Checkout>,
}

impl Fetched {
    /// Fetches what is to be fetched.
    ///
    /// # Errors
    /// Faults of the configuration; the repository's.
    pub async fn of(wanted: &Wanted, cancel: &CancellationToken) -> Result<Self, ReleaseError> {
        let opening = Opening::of(wanted)?;
        let checkout = match &opening.source {
            Some(source) => Some(source.fetch(None, cancel).await?),
            None => None,
        };
        Ok(Self { opening, checkout })
    }

    /// What the project is at.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub async fn revision(&self) -> Result<Revision, ReleaseError> {
        match &self.checkout {
            Some(checkout) => Ok(Revision::Commit(checkout.revision.to_string())),
            None => of_files(self.opening.home()?).await,
        }
    }

    /// `Name <address>` of the commit's author, where it is a commit and git said it.
    #[must_use]
    pub fn author(&self) -> Option<&str> {
        self.checkout.as_ref()?.author.as_deref()
    }

    /// Opens it. What a commit has to be rendered is rendered beside the tasks of the daemon, so that none of
    /// them waits for it.
    ///
    /// # Errors
    /// Faults of the project's files.
    pub async fn open(self) -> Result<Release, ReleaseError> {
        let place = self.opening.home()?;
        let opened = tokio::task::spawn_blocking(move || self.opening.open(self.checkout));
        opened.await.unwrap_or_else(|error| {
            Err(ReleaseError::Folder {
                path: place,
                source: std::io::Error::other(error),
            })
        })
    }
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
