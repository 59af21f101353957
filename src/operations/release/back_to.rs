//! Going back to an earlier release: which one is meant, and its project as it was kept.

use super::comparison::Old;
use super::opening::{Opening, Present};
use super::planning::{Found, Planned};
use super::{Release, ReleaseError, Wishes};
use crate::adapters::artifacts::Artifacts;
use crate::adapters::store::{Store, StoreError};
use crate::domain::lifecycle::state::State;
use crate::domain::location::repository::Revision;
use crate::domain::plan::refusal::{Refusal, RefusalName, Refused};
use crate::domain::plan::{Engine, Plan};
use crate::domain::records::deployment::Deployment;
use crate::domain::records::hold::BackTo;
use crate::operations::bundle::{self, Origin, kept};
use crate::operations::deployment::hold::revision_of;
use crate::operations::error::DeploymentError;
use crate::planning::planner::candidate::Input;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The shortest beginning of an id or a revision that is taken for it.
const SHORTEST: usize = 7;

impl Release {
    /// The release that is meant: one that went live, by the id of its deployment or the revision that it was
    /// made from, or by the beginning of either. Of several of one revision the latest.
    ///
    /// # Errors
    /// The refusals [`RefusalName::ReleaseUnknown`] and [`RefusalName::ReleaseAmbiguous`]; the journal's and the
    /// artifact store's.
    pub async fn earlier(
        &self,
        store: &Store,
        artifacts: &Artifacts,
        named: &str,
    ) -> Result<BackTo, ReleaseError> {
        let mut found: BTreeMap<String, BackTo> = BTreeMap::new();
        let mut seen: Vec<String> = Vec::new();
        let is_meant =
            |text: &str| text == named || (named.len() >= SHORTEST && text.starts_with(named));
        for pointer in artifacts.history(&self.artifact_key(), usize::MAX).await? {
            let Some(id) = pointer.deployment.filter(|id| !seen.contains(id)) else {
                continue;
            };
            seen.push(id.clone());
            let revision = revision_of(store, &id).await?;
            let revision = revision.as_deref();
            let bare = revision.map(|text| text.strip_prefix(bundle::REVISION).unwrap_or(text));
            // The latest comes first.
            let what = match (is_meant(&id), revision) {
                (true, _) => id.clone(),
                (false, Some(revision)) if is_meant(revision) || bare.is_some_and(is_meant) => {
                    revision.to_owned()
                }
                (false, _) => continue,
            };
            found.entry(what).or_insert_with(|| BackTo {
                deployment: id,
                revision: revision.map(str::to_owned),
                at: pointer.at,
            });
        }
        // The whole of it is no beginning.
        if let Some(exactly) = found.remove(named) {
            return Ok(exactly);
        }
        let mut meant: Vec<BackTo> = found.into_values().collect();
        match (meant.pop(), meant.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(self.unknown(store, named).await?),
            (Some(last), false) => {
                meant.push(last);
                let objects = meant.iter().map(BackTo::words).collect();
                Err(refused(
                    RefusalName::ReleaseAmbiguous,
                    format!("{named:?} is the beginning of several releases"),
                    objects,
                    "give more of it",
                ))
            }
        }
    }

    /// Why no release of this environment is called so.
    async fn unknown(&self, store: &Store, named: &str) -> Result<ReleaseError, ReleaseError> {
        let message = match store.deployment(named).await {
            Ok(found) if found.environment != self.environment => format!(
                "the deployment {} is of the environment {}, not of {}",
                found.id, found.environment, self.environment
            ),
            Ok(found) if found.plan.project != self.project.dbt.name => format!(
                "the deployment {} is of the project {}, not of {}",
                found.id, found.plan.project, self.project.dbt.name
            ),
            Ok(found) => format!(
                "the deployment {} is {} and never went live",
                found.id, found.state
            ),
            Err(StoreError::NotFound { .. } | StoreError::Ambiguous { .. }) => format!(
                "no release of {} that went live is called {named:?}, nor was made from such a revision",
                self.environment
            ),
            Err(error) => return Err(error.into()),
        };
        Ok(refused(
            RefusalName::ReleaseUnknown,
            message,
            Vec::new(),
            "`cutover history` and `cutover baseline show` list what went live; give at least 7 characters",
        ))
    }

    /// The same environment with the project as that release had it: from the files that were kept, or else from its
    /// commit where the project comes from a repository.
    ///
    /// # Errors
    /// The refusal [`RefusalName::ReleaseNotKept`]; an artifact store or a repository that does not answer.
    pub async fn going_back(
        &self,
        to: &BackTo,
        cancel: &CancellationToken,
    ) -> Result<Self, ReleaseError> {
        let artifacts = self.artifacts()?;
        let key = self.artifact_key();
        let commit = to.revision.as_deref().filter(|_| self.source.is_some());
        let commit = commit.filter(|text| text.parse::<Revision>().is_ok());
        let is_kept = kept::is_kept(&artifacts, &key, &to.deployment).await?;
        // What dbt built cannot be built without it, as a rule, and its commit is at hand.
        let needs_dbt = match commit {
            Some(_) if is_kept => {
                let metadata = artifacts.metadata(&key, &to.deployment).await?;
                metadata.built_by == Some(Engine::Dbt)
            }
            Some(_) | None => false,
        };
        if is_kept && !needs_dbt {
            let origin = Origin::of_kept(artifacts, key, &to.deployment, &self.base);
            let bundle = origin.fetch().await?;
            let mut opening = Opening::of(&self.wanted)?;
            // What it was compiled under holds, whatever is configured by now.
            opening.forget_project();
            let profiles = self.project.locations.profiles_dir.clone();
            let mut release =
                opening.open_kept(Present::Bundle(Arc::new(bundle)), &self.base, profiles)?;
            release.environment.clone_from(&self.environment);
            return Ok(release);
        }
        if let Some(commit) = commit {
            return match self.at(Some(commit), cancel).await? {
                Some(release) => Ok(release),
                None => self.same(),
            };
        }
        Err(refused(
            RefusalName::ReleaseNotKept,
            format!(
                "the files of the release {} are not kept: it is older than the version of Cutover that keeps them, was taken over, or retention has removed them",
                to.words()
            ),
            Vec::new(),
            "release the revision that it was made from: check it out, or set source.ref",
        ))
    }

    fn same(&self) -> Result<Self, ReleaseError> {
        let opening = Opening::of(&self.wanted)?;
        let present = opening.present()?;
        opening.open(present)
    }

    /// The environment as a deployment that goes back was planned in it; `None` where it is no such one, or this is it.
    ///
    /// # Errors
    /// As [`Release::going_back`].
    pub(super) async fn as_went_back(
        &self,
        deployment: &Deployment,
        cancel: &CancellationToken,
    ) -> Result<Option<Self>, ReleaseError> {
        let planned = &deployment.request;
        let Some(to) = &planned.back_to else {
            return Ok(None);
        };
        if self.revision.is_some() && self.revision == planned.revision {
            return Ok(None);
        }
        self.going_back(to, cancel).await.map(Some)
    }
}

impl Release {
    /// Says in a plan of everything that goes back what no release builds and is not as that release had it. A plan of
    /// what changed says it itself.
    pub(super) fn tell_what_stays(
        &self,
        is_full: bool,
        input: &Input<'_>,
        found: Found<'_>,
        with: Planned<'_>,
        plan: &mut Plan,
    ) -> Result<(), ReleaseError> {
        let is_told = is_full && with.wishes.back_to.is_some();
        let Some(baseline) = found.baseline.filter(|_| is_told) else {
            return Ok(());
        };
        let old = Old::of(baseline);
        let compared = self.compared(old, found.parsed, with.builds, with.outcomes)?;
        let (changes, _) =
            self.changes(input, baseline, found.parsed, &compared, None, with.wishes)?;
        let stays = changes.unreleased.keys().cloned().collect();
        plan.notes.extend(staying(stays));
        Ok(())
    }
}

/// What does not go back, in one sentence.
fn staying(nodes: Vec<String>) -> Option<String> {
    (!nodes.is_empty()).then(|| {
        format!(
            "what no release builds does not go back and stays as it is now: {}",
            nodes.join(", ")
        )
    })
}

/// Whether the release before the one that serves is meant, whose old side still stands: then the way back is a swap.
#[must_use]
pub fn is_swap_back(active: &Deployment, to: &BackTo) -> bool {
    active.state == State::Soaking
        && active.plan.baseline.deployment.as_ref() == Some(&to.deployment)
}

/// The wishes, with that allowed which cannot go back and stays as it is: the plan says so.
pub(super) fn allowing(wishes: &Wishes) -> Cow<'_, Wishes> {
    if wishes.back_to.is_none() {
        return Cow::Borrowed(wishes);
    }
    let mut wishes = wishes.clone();
    wishes.allow.insert(RefusalName::ChangeNotReleased);
    Cow::Owned(wishes)
}

/// Says in a plan where it goes, and what stays as it is.
pub(super) fn tell(plan: &mut Plan, to: &BackTo) {
    let accepted = plan.accepted.iter();
    let stays: Vec<String> = accepted
        .filter(|refusal| refusal.name == RefusalName::ChangeNotReleased)
        .flat_map(|refusal| refusal.objects.iter().cloned())
        .collect();
    plan.notes
        .push(format!("this goes back to the release {}", to.words()));
    plan.notes.extend(staying(stays));
}

fn refused(name: RefusalName, message: String, objects: Vec<String>, remedy: &str) -> ReleaseError {
    DeploymentError::from(Refused(vec![Refusal {
        name,
        message,
        objects,
        remedy: remedy.to_owned(),
    }]))
    .into()
}
