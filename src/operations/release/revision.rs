//! Which project is there: what a daemon asks before it plans anything.

use super::opening::{Opening, Present};
use super::{Release, ReleaseError, Wanted};
use crate::adapters::source::{SourceError, content};
use crate::domain::lifecycle::state::State;
use crate::domain::progress::Reporter;
use crate::domain::records::deployment::Deployment;
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::operations::bundle;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What a project is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revision {
    /// A commit of its repository.
    Commit(String),
    /// A hash of its files, where it is a folder.
    Content(String),
    /// The digest of its bundle.
    Bundle(String),
}

impl Revision {
    /// The commit, the hash or the digest.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Revision::Commit(text) | Revision::Content(text) | Revision::Bundle(text) => text,
        }
    }

    /// Whether the same one is certainly the same project: the hash of a folder's files is cheap, and no proof.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        match self {
            Revision::Commit(_) | Revision::Bundle(_) => true,
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
    if let Some(origin) = &opening.origin {
        return Ok(Revision::Bundle(origin.resolve().await?));
    }
    match &opening.source {
        Some(source) => Ok(Revision::Commit(source.resolve(cancel).await?.to_string())),
        None => of_files(opening.home()?).await,
    }
}

/// An environment whose project is there, fetched where it comes from a repository, and of which nothing is
/// rendered yet.
pub struct Fetched {
    opening: Opening,
    present: Present,
}

impl Fetched {
    pub(super) fn from_parts(opening: Opening, present: Present) -> Self {
        Self { opening, present }
    }

    /// Fetches what is to be fetched.
    ///
    /// # Errors
    /// Faults of the configuration; the repository's.
    pub async fn of(wanted: &Wanted, cancel: &CancellationToken) -> Result<Self, ReleaseError> {
        let opening = Opening::of(wanted)?;
        let present = match (&opening.origin, &opening.source) {
            (Some(origin), _) => Present::Bundle(Arc::new(origin.fetch().await?)),
            (None, Some(source)) => Present::Commit(source.fetch(None, cancel).await?),
            (None, None) => Present::Folder,
        };
        Ok(Self { opening, present })
    }

    /// What the project is at.
    ///
    /// # Errors
    /// Files that cannot be read.
    pub async fn revision(&self) -> Result<Revision, ReleaseError> {
        match &self.present {
            Present::Commit(checkout) => Ok(Revision::Commit(checkout.revision.to_string())),
            Present::Bundle(bundle) => Ok(Revision::Bundle(bundle.revision())),
            Present::Folder => of_files(self.opening.home()?).await,
        }
    }

    /// `Name <address>` of the commit's author, where it is a commit and git said it.
    #[must_use]
    pub fn author(&self) -> Option<&str> {
        match &self.present {
            Present::Commit(checkout) => checkout.author.as_deref(),
            Present::Folder | Present::Bundle(_) => None,
        }
    }

    /// Opens it. What a commit has to be rendered is rendered beside the tasks of the daemon, so that none of
    /// them waits for it.
    ///
    /// # Errors
    /// Faults of the project's files.
    pub async fn open(self) -> Result<Release, ReleaseError> {
        let place = self.opening.home()?;
        let opened = tokio::task::spawn_blocking(move || self.opening.open(self.present));
        opened.await.unwrap_or_else(|error| {
            Err(ReleaseError::Folder {
                path: place,
                source: std::io::Error::other(error),
            })
        })
    }
}

impl Release {
    /// The same environment with the project at another commit, which is fetched, or from another bundle; `None`
    /// when it is at that revision, when none is named, or when the project is a folder.
    ///
    /// # Errors
    /// As [`Release::fetch`].
    pub async fn at(
        &self,
        revision: Option<&str>,
        cancel: &CancellationToken,
    ) -> Result<Option<Self>, ReleaseError> {
        if let (Some(origin), Some(revision)) = (&self.origin, revision) {
            // What was planned from a project is judged by the manifest.
            let Some(digest) = revision.strip_prefix(bundle::REVISION) else {
                return Ok(None);
            };
            if self.revision.as_deref() == Some(revision) {
                return Ok(None);
            }
            let bundle = origin.at(digest).await?;
            let opening = Opening::of(&self.wanted)?;
            return opening.open(Present::Bundle(Arc::new(bundle))).map(Some);
        }
        let (Some(source), Some(revision)) = (&self.source, revision) else {
            return Ok(None);
        };
        let present = source.present().ok();
        let is_there = present.is_some_and(|present| present.revision.as_str() == revision);
        if is_there && self.revision.as_deref() == Some(revision) {
            return Ok(None);
        }
        let revision = revision.parse().map_err(SourceError::from)?;
        let mut opening = Opening::of(&self.wanted)?;
        // Its lock on the work tree is this release's.
        opening.source = Some(source.clone());
        let checkout = source.fetch(Some(&revision), cancel).await?;
        opening.open(Present::Commit(checkout)).map(Some)
    }

    /// The same environment with the project at the commit that the deployment was planned from;
    /// `None` when it is. Where dbt has no part any more, or is to have none, a commit that cannot be
    /// had is a warning: a rollback does not wait for a repository.
    ///
    /// # Errors
    /// As [`Release::at`].
    pub async fn as_planned(
        &self,
        deployment: &Deployment,
        is_abort: bool,
        reporter: &Reporter,
        cancel: &CancellationToken,
    ) -> Result<Option<Self>, ReleaseError> {
        let revision = deployment.request.revision.as_deref();
        let planned = match self.as_went_back(deployment, cancel).await {
            Ok(None) if deployment.request.back_to.is_none() => match &deployment.request.follows {
                Some(link) if self.origin.is_some() => self.at_link(link, cancel).await,
                Some(_) | None => self.at(revision, cancel).await,
            },
            ended => ended,
        };
        match planned {
            Err(ReleaseError::Source(error))
                if error.class() != Class::Interrupted
                    && (is_abort || !deployment.state.is_before_cutover()) =>
            {
                reporter.warning(format!(
                    "the commit of the deployment was not fetched: {}",
                    with_causes(&error)
                ));
                Ok(None)
            }
            // What is ready was built and tested; what the baseline keeps of it lies in the run's folder.
            Err(ReleaseError::Bundle(error))
                if is_abort
                    || deployment.state == State::Ready
                    || !deployment.state.is_before_cutover() =>
            {
                reporter.warning(format!(
                    "the bundle of the deployment was not opened: {}",
                    with_causes(&error)
                ));
                Ok(None)
            }
            ended => ended,
        }
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
