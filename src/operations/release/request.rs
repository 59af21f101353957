//! The project at the revision of a pull request, in a work tree of its own, so that neither releases nor other
//! requests wait for it.

use super::opening::{Opening, Present};
use super::revision::Fetched;
use super::{Release, ReleaseError, Wanted};
use crate::adapters::source::Source;
use crate::domain::location::repository::{Reference, Revision};
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::operations::error::DeploymentError;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// The work tree in which the project is kept as production follows it, for whoever needs only that.
const FOLLOWED: &str = "~followed";

/// The revision of a pull request.
#[derive(Debug, Clone, Copy)]
pub struct Requested<'a> {
    /// What the request is called; its work tree is, too.
    pub name: &'a str,
    /// A commit, a branch, or another reference.
    pub reference: &'a Reference,
    /// Whether it may be a fork's.
    pub forks: bool,
}

/// What a pull request goes to where nobody says it: what production follows. `None` where the project comes from no
/// repository.
///
/// # Errors
/// Faults of the configuration.
pub fn followed(wanted: &Wanted) -> Result<Option<Reference>, ReleaseError> {
    let opening = Opening::of(&of_project(wanted))?;
    Ok(opening.source.as_ref().map(Source::followed))
}

/// The repository of the environment.
///
/// # Errors
/// Faults of the configuration.
pub fn repository(wanted: &Wanted) -> Result<Option<Source>, ReleaseError> {
    Ok(Opening::of(&of_project(wanted))?.source)
}

/// The project itself, whatever bundle releases are made from.
fn of_project(wanted: &Wanted) -> Wanted {
    Wanted {
        ignores_bundle: true,
        ..wanted.clone()
    }
}

impl Fetched {
    /// Fetches a pull request. Nothing of it was looked into afterwards. `None` where the project comes from no
    /// repository.
    ///
    /// # Errors
    /// The repository's; [`RefusalName::CornerFork`].
    pub async fn of_request(
        wanted: &Wanted,
        requested: &Requested<'_>,
        cancel: &CancellationToken,
    ) -> Result<Option<Self>, ReleaseError> {
        let mut opening = Opening::of(&of_project(wanted))?;
        let Some(source) = opening.source.take() else {
            return Ok(None);
        };
        let source = source.beside(requested.name, requested.reference.clone());
        let checkout = source.fetch(None, cancel).await?;
        let is_let = requested.forks || source.is_own(&checkout.revision, cancel).await?;
        if !is_let {
            return Err(forks(&source, &checkout.revision).into());
        }
        opening.profiles = Some(source.profiles());
        opening.source = Some(source);
        Ok(Some(Self::from_parts(opening, Present::Commit(checkout))))
    }
}

impl Release {
    /// The environment with the project as production follows it: as it was fetched for the last release, or, where
    /// nothing was, fetched into a work tree of its own.
    ///
    /// # Errors
    /// As [`Release::open`]; the repository's.
    pub async fn followed(
        wanted: &Wanted,
        cancel: &CancellationToken,
    ) -> Result<Self, ReleaseError> {
        let wanted = of_project(wanted);
        let opening = Opening::of(&wanted)?;
        let Some(source) = &opening.source else {
            return Self::open(&wanted);
        };
        if source.present().is_ok() {
            return Self::open(&wanted);
        }
        let reference = source.followed();
        let requested = Requested {
            name: FOLLOWED,
            reference: &reference,
            // It is what releases are made from.
            forks: true,
        };
        match Fetched::of_request(&wanted, &requested, cancel).await? {
            Some(fetched) => fetched.open().await,
            None => Self::open(&wanted),
        }
    }

    /// The same environment with the project as it was where this commit left `base`, written into `into`, which must
    /// not exist. Gives the commit, too; `None` where the project comes from no repository.
    ///
    /// # Errors
    /// The repository's.
    pub async fn began(
        &self,
        base: &str,
        into: &Path,
        cancel: &CancellationToken,
    ) -> Result<Option<(String, Self)>, ReleaseError> {
        let (Some(source), Some(revision)) = (&self.source, &self.revision) else {
            return Ok(None);
        };
        let (base, revision): (Reference, Revision) = (
            base.parse()
                .map_err(crate::adapters::source::SourceError::from)?,
            revision
                .parse()
                .map_err(crate::adapters::source::SourceError::from)?,
        );
        let checkout = source.began(&revision, &base, into, cancel).await?;
        let commit = checkout.revision.to_string();
        let mut opening = Opening::of(&of_project(&self.wanted))?;
        // What a commit holds is not run, and its lock on the work tree is this release's.
        opening.source = Some(source.clone());
        opening.profiles = Some(into.join("profiles"));
        let fetched = Fetched::from_parts(opening, Present::Commit(checkout));
        Ok(Some((commit, fetched.open().await?)))
    }
}

fn forks(source: &Source, revision: &Revision) -> DeploymentError {
    Refused(vec![Refusal {
        name: RefusalName::CornerFork,
        message: format!(
            "no branch of {} holds the commit, so that nobody who may push there vouches for it",
            source.address()
        ),
        objects: vec![revision.to_string()],
        remedy: "push the branch to the repository itself, or set ci.forks where what forks hold may be compiled and run"
            .to_owned(),
    }])
    .into()
}
