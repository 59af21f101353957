//! A release of what another environment has released: the same revision, or the same bundle.

use super::opening::{Opening, Present};
use super::{Release, ReleaseError, Revision, Wanted};
use crate::adapters::artifacts::Key;
use crate::adapters::source::SourceError;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::domain::records::run::Link;
use crate::operations::bundle::{self, Origin, kept};
use crate::operations::error::DeploymentError;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

impl Release {
    /// The environment with the project at the revision that the other one released: its commit, fetched; its bundle, from
    /// this environment's own place or from what was kept of that release; or its folder, where that has not changed
    /// since.
    ///
    /// # Errors
    /// As [`Release::fetch`]; the refusal [`RefusalName::ReleaseNotKept`] where the revision cannot be had any more.
    pub async fn following(
        wanted: &Wanted,
        link: &Link,
        cancel: &CancellationToken,
    ) -> Result<Self, ReleaseError> {
        let opening = Opening::of(wanted)?;
        if let Some(source) = &opening.source
            && !link.revision.starts_with(bundle::REVISION)
        {
            // Whatever the branch is by now.
            let commit = link.revision.parse().map_err(SourceError::from)?;
            let checkout = source.fetch(Some(&commit), cancel).await?;
            return opening.open(Present::Commit(checkout));
        }
        let present = match Self::reopen(wanted).await {
            Ok(present) => present,
            Err(_) => Self::fetch(wanted, cancel).await?,
        };
        if present.source.is_none() && present.origin.is_none() {
            let revision = super::resolve(wanted, cancel).await?;
            return match revision {
                Revision::Content(ref text) if *text == link.revision => {
                    let revision = Some(link.revision.clone());
                    Ok(Self {
                        revision,
                        ..present
                    })
                }
                Revision::Content(_) | Revision::Commit(_) | Revision::Bundle(_) => {
                    Err(gone(link, &format!("the project is at {revision} by now")))
                }
            };
        }
        Ok(match present.at_link(link, cancel).await? {
            Some(release) => release,
            None => present,
        })
    }

    /// The same environment with the project as the other one released it; `None` when it is that.
    ///
    /// # Errors
    /// As [`Release::following`].
    pub(super) async fn at_link(
        &self,
        link: &Link,
        cancel: &CancellationToken,
    ) -> Result<Option<Self>, ReleaseError> {
        let is_bundle = link.revision.starts_with(bundle::REVISION);
        match self.origin {
            Some(_) if !is_bundle => {
                let why = "this environment is released from a bundle, and that was none";
                return Err(gone(link, why));
            }
            None if is_bundle => {
                let why = "that was a bundle, and this environment is released from none";
                return Err(gone(link, why));
            }
            Some(_) | None => {}
        }
        let error = match self.at(Some(&link.revision), cancel).await {
            Err(error @ ReleaseError::Bundle(_)) => error,
            ended => return ended,
        };
        // There is another bundle at the place by now.
        let artifacts = self.artifacts()?;
        let key = Key::new(&self.project.dbt.name, &link.environment);
        if !kept::is_kept(&artifacts, &key, &link.deployment).await? {
            return Err(error);
        }
        let origin = Origin::of_kept(artifacts, key, &link.deployment, &self.base)
            .copied_for(&self.environment, &self.base);
        let bundle = origin.fetch().await?;
        let opening = Opening::of(&self.wanted)?;
        opening.open(Present::Bundle(Arc::new(bundle))).map(Some)
    }
}

fn gone(link: &Link, why: &str) -> ReleaseError {
    DeploymentError::from(Refused(vec![Refusal {
        name: RefusalName::ReleaseNotKept,
        message: format!("{} cannot be released here: {why}", link.words()),
        objects: Vec::new(),
        remedy: "release the project as it is with `cutover deploy`, or let both environments come from one repository or bundle"
            .to_owned(),
    }]))
    .into()
}
