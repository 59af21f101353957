//! One round of clearing up after deployments that have ended: their records, their artifacts, their
//! working files, and what they left in Materialize. The daemon makes one at intervals, `cutover gc`
//! makes one by hand.
//!
//! What is live, what was live before it, and whatever is under way always stays.

use crate::adapters::materialize::watch::Watching;
use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::catalog::Catalog;
use crate::domain::progress::Reporter;
use crate::inputs::settings::Garbage;
use crate::operations::release::{Driving, Release, ReleaseError};
use crate::operations::takedown::leftovers::{self, Leftover};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Folders of plans that were not carried out are left over after this time.
const PLANNING: SignedDuration = SignedDuration::from_hours(24);

/// The most deployments that are looked through.
const LOOK_BACK: u32 = 10_000;

/// What one round works with.
#[derive(Debug)]
pub struct Round<'a> {
    /// The journal.
    pub store: &'a Store,
    /// The proof that nobody else works on the environment.
    pub lead: &'a Lead,
    /// The environment.
    pub release: &'a Release,
    /// Whether it is only said what would go.
    pub dry_run: bool,
}

/// What a round removed, or would remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// Deployments whose records went, ids.
    pub deployments: Vec<String>,
    /// Bundles of artifacts that went, ids of deployments as in paths. Not said in advance.
    pub artifacts: Vec<String>,
    /// Folders of working files that went.
    pub folders: Vec<PathBuf>,
}

/// What ended deployments left in Materialize.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// What is still there.
    pub leftovers: Vec<Leftover>,
    /// What was dropped, or would be.
    pub dropped: Vec<Leftover>,
    /// What kept something from being dropped.
    pub problems: Vec<String>,
}

impl Round<'_> {
    fn environment(&self) -> &str {
        &self.release.environment
    }

    /// Removes records, artifacts and working files by the settings of the environment.
    ///
    /// # Errors
    /// What does not answer; what was removed until then is removed.
    pub async fn retain(&self) -> Result<Collected, ReleaseError> {
        let retention = &self.release.settings.retention;
        let now = Timestamp::now();
        let age = SignedDuration::try_from(retention.kept_for()).unwrap_or(SignedDuration::MAX);
        let before = now.checked_sub(age).unwrap_or(Timestamp::MIN);
        let artifacts = self.release.artifacts()?;
        let key = self.release.artifact_key();
        let live = artifacts.current(&key).await?;
        let mut spare: Vec<String> = live
            .into_iter()
            .flat_map(|pointer| [pointer.deployment, pointer.previous])
            .flatten()
            .collect();
        if let Some(active) = self.store.active(self.environment()).await? {
            spare.push(active.id);
        }
        let mut collected = Collected::default();
        if self.dry_run {
            collected.deployments = self.expendable(before, &spare).await?;
        } else {
            let kept = retention.kept();
            loop {
                let trimmed = self
                    .store
                    .trim(self.lead, self.environment(), kept, before, &spare)
                    .await?;
                if trimmed.is_empty() {
                    break;
                }
                collected.deployments.extend(trimmed);
            }
            let keep = usize::try_from(kept).unwrap_or(usize::MAX);
            self.store.still_leads(self.lead).await?;
            collected.artifacts = artifacts.trim(&key, keep, before).await?;
        }
        let gone: BTreeSet<String> = collected.deployments.iter().cloned().collect();
        collected.folders = self.folders(before, &spare, &gone).await?;
        Ok(collected)
    }

    /// The deployments that [`Store::trim`] would remove.
    async fn expendable(
        &self,
        before: Timestamp,
        spare: &[String],
    ) -> Result<Vec<String>, StoreError> {
        let kept = usize::try_from(self.release.settings.retention.kept()).unwrap_or(usize::MAX);
        let all = self
            .store
            .history(Some(self.environment()), LOOK_BACK)
            .await?;
        let ended = all.into_iter().skip(kept).filter(|summary| {
            let is_old = summary.finished_at.is_some_and(|at| at < before);
            is_old && !spare.contains(&summary.id)
        });
        Ok(ended.map(|summary| summary.id).collect())
    }

    /// Removes folders of deployments that are gone or ended long ago, and of plans that were given
    /// up. What is none of these is not ours.
    async fn folders(
        &self,
        before: Timestamp,
        spare: &[String],
        gone: &BTreeSet<String>,
    ) -> Result<Vec<PathBuf>, ReleaseError> {
        let mut removed = Vec::new();
        for (folder, name, changed) in entries(&self.release.runs())? {
            let goes = if name.starts_with("planning-") {
                Timestamp::now().duration_since(changed) > PLANNING
            } else if Uuid::parse_str(&name).is_err() || spare.contains(&name) {
                false
            } else {
                gone.contains(&name) || self.is_over(&name, before, changed).await?
            };
            if !goes {
                continue;
            }
            if !self.dry_run {
                self.store.still_leads(self.lead).await?;
                let removing = tokio::fs::remove_dir_all(&folder).await;
                if let Err(source) = removing
                    && source.kind() != std::io::ErrorKind::NotFound
                {
                    return Err(ReleaseError::Folder {
                        path: folder,
                        source,
                    });
                }
            }
            removed.push(folder);
        }
        Ok(removed)
    }

    /// Whether a deployment ended long ago. One that the journal does not have is over when its
    /// folder has not changed for as long; those of other environments are theirs to clear up.
    async fn is_over(
        &self,
        id: &str,
        before: Timestamp,
        changed: Timestamp,
    ) -> Result<bool, StoreError> {
        match self.store.deployment(id).await {
            Ok(found) => Ok(found.environment == self.environment()
                && found.state.is_terminal()
                && found.finished_at.is_some_and(|at| at < before)),
            Err(StoreError::NotFound { .. }) => Ok(changed < before),
            Err(error) => Err(error),
        }
    }

    /// Looks for what ended deployments left in Materialize, and drops of it what the settings and
    /// the journal allow. Nothing is looked for while a deployment is under way.
    ///
    /// # Errors
    /// What does not answer.
    pub async fn garbage(&self, stop: &CancellationToken) -> Result<Left, ReleaseError> {
        let mut garbage = Left {
            leftovers: self.leftovers().await?,
            ..Left::default()
        };
        let collects = self.release.settings.retention.garbage == Some(Garbage::Collect);
        let ended: BTreeSet<String> = garbage
            .leftovers
            .iter()
            .filter(|left| left.ended.is_some())
            .map(|left| left.deployment.clone())
            .collect();
        if !collects || ended.is_empty() {
            return Ok(garbage);
        }
        if self.dry_run {
            let mut all = garbage.leftovers.clone();
            all.retain(|left| left.ended.is_some());
            garbage.dropped = all;
            return Ok(garbage);
        }
        let driving = Driving {
            store: self.store,
            lead: self.lead,
            reporter: Reporter::silent(),
            stop,
            watching: Watching::default(),
        };
        for id in ended {
            let deployment = self.store.deployment(&id).await?;
            let taken = self
                .release
                .take_leftovers_down(&driving, &deployment, &garbage.leftovers)
                .await;
            if let Err(error) = taken {
                let said = crate::foundation::failure::with_causes(&error);
                garbage.problems.push(format!("{id}: {said}"));
            }
        }
        let still = self.leftovers().await?;
        garbage.dropped = garbage.leftovers;
        garbage.dropped.retain(|left| !still.contains(left));
        garbage.leftovers = still;
        Ok(garbage)
    }

    async fn leftovers(&self) -> Result<Vec<Leftover>, ReleaseError> {
        if self.store.active(self.environment()).await?.is_some() {
            return Ok(Vec::new());
        }
        let catalog = Catalog::read(&self.release.materialize()).await?;
        let serving = self.release.project.deployment()?;
        let production = serving
            .schemas
            .into_iter()
            .chain(serving.clusters)
            .collect();
        let whose = (self.release.project.dbt.name.as_str(), self.environment());
        let found = leftovers::find(self.store, &catalog, whose, &production);
        Ok(found.await?)
    }
}

/// The folders below a folder: path, name, and when they were changed last. What cannot be looked at
/// is left out.
fn entries(runs: &Path) -> Result<Vec<(PathBuf, String, Timestamp)>, ReleaseError> {
    let listed = match std::fs::read_dir(runs) {
        Ok(listed) => listed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(ReleaseError::Folder {
                path: runs.to_owned(),
                source,
            });
        }
    };
    let mut found = Vec::new();
    for entry in listed.flatten() {
        // A link is none of ours.
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let changed: Option<SystemTime> = entry.metadata().and_then(|it| it.modified()).ok();
        let changed = changed.and_then(|at| Timestamp::try_from(at).ok());
        let name = entry.file_name().into_string().ok();
        if let (true, Some(changed), Some(name)) = (is_folder, changed, name) {
            found.push((entry.path(), name, changed));
        }
    }
    found.sort();
    Ok(found)
}
