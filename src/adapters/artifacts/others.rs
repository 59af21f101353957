//! What is live of the other environments of a store, as far as their documents say.

use super::document::{self, Metadata};
use super::{ArtifactError, Artifacts, Key, METADATA, Name, PLAN};
use crate::domain::location::url;
use crate::foundation::failure::{Class, Classify, with_causes};
use futures_util::future::try_join_all;
use object_store::path::Path as ObjectPath;
use serde::Deserialize;
use std::collections::BTreeSet;

/// One environment whose pointer names a deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Other {
    /// What went live there last.
    pub metadata: Metadata,
    /// The server's id of itself, where metadata or plan have it.
    pub server: Option<String>,
    /// Clusters that its last release swapped; an import has none.
    pub clusters: Vec<String>,
}

/// Everything in the store that is live and not the environment's own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Others {
    /// What could be read, sorted by project and environment.
    pub live: Vec<Other>,
    /// What could not, one sentence each, sorted: it may be anything.
    pub unreadable: Vec<String>,
    /// Environments that have a pointer, whatever it names, as they are spelled in paths.
    pointed: BTreeSet<String>,
}

impl Others {
    /// Whether the store has a word on what is live of the environment of this name, in any project.
    #[must_use]
    pub fn knows(&self, environment: &str) -> bool {
        self.pointed.contains(&url::segment(environment))
    }
}

/// What matters here of a `plan.json`, of any version.
#[derive(Debug, Default, Deserialize)]
struct PlanHead {
    #[serde(default)]
    server: Option<String>,
    #[serde(default)]
    clusters: Vec<ClusterHead>,
}

#[derive(Debug, Deserialize)]
struct ClusterHead {
    name: String,
    #[serde(default)]
    scratch: bool,
}

/// What the folder of an environment has to say.
enum Found {
    /// There never was a pointer.
    Nothing,
    /// The pointer names nothing.
    Given,
    Live(Box<Other>),
}

impl Artifacts {
    /// What is live of every other environment, of any project. Lists once for each project and
    /// environment and reads two or three small objects of each.
    ///
    /// # Errors
    /// A store that does not answer. A document that cannot be read is no error: see
    /// [`Others::unreadable`].
    pub async fn others(&self, own: &Key) -> Result<Others, ArtifactError> {
        let mut others = Others::default();
        let root = [self.root.clone()];
        let projects = self.folders(&root, &mut others).await?;
        let mut folders = self.folders(&projects, &mut others).await?;
        folders.retain(|folder| *folder != self.folder(own));
        let mut readings = Vec::new();
        for folder in &folders {
            readings.push(readable(self.live_in(folder)));
        }
        let found = try_join_all(readings).await?;
        for (folder, found) in folders.iter().zip(found) {
            match found {
                Ok(Found::Nothing) => continue,
                Ok(Found::Given) => {}
                Ok(Found::Live(other)) => others.live.push(*other),
                Err(why) => others.unreadable.push(why),
            }
            let spelled = folder.filename().unwrap_or_default();
            others.pointed.insert(spelled.to_owned());
        }
        let name = |other: &Other| {
            let metadata = &other.metadata;
            (metadata.project.clone(), metadata.environment.clone())
        };
        others.live.sort_by_key(name);
        others.unreadable.sort();
        Ok(others)
    }

    /// The folders in these ones. A role may be confined to its own project.
    async fn folders(
        &self,
        within: &[ObjectPath],
        others: &mut Others,
    ) -> Result<Vec<ObjectPath>, ArtifactError> {
        let mut lists = Vec::new();
        for folder in within {
            lists.push(readable(self.list(folder, "listing environments")));
        }
        let mut folders = Vec::new();
        for listed in try_join_all(lists).await? {
            match listed {
                Ok(listed) => folders.extend(listed.common_prefixes),
                Err(why) => others.unreadable.push(why),
            }
        }
        Ok(folders)
    }

    async fn live_in(&self, folder: &ObjectPath) -> Result<Found, ArtifactError> {
        let pointers = folder.clone().join("baseline");
        let Some(generation) = self.generations_in(&pointers).await?.pop_last() else {
            return Ok(Found::Nothing);
        };
        let pointer = self.pointer_in(&pointers, generation).await?;
        let Some(id) = pointer.and_then(|pointer| pointer.deployment) else {
            return Ok(Found::Given);
        };
        let bundle = folder.clone().join("deployments").join(url::part(&id));
        let path = bundle.clone().join(METADATA);
        let place = self.named(&path);
        let missing = || {
            let message = format!("{place} is not there");
            ArtifactError::refused(Name::BaselineIncomplete, message, None)
        };
        let bytes = self.get(&path).await?.ok_or_else(missing)?;
        let metadata: Metadata = document::read(&bytes, &place)?;
        let plan = self.get(&bundle.join(PLAN)).await?;
        let head: PlanHead = plan
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let swapped = head.clusters.into_iter().filter(|cluster| !cluster.scratch);
        Ok(Found::Live(Box::new(Other {
            server: metadata.server.clone().or(head.server),
            clusters: swapped.map(|cluster| cluster.name).collect(),
            metadata,
        })))
    }
}

/// A store that does not answer is an error; what it does not show, or what stands in a document and
/// cannot be read, is a sentence.
async fn readable<T>(
    reading: impl Future<Output = Result<T, ArtifactError>>,
) -> Result<Result<T, String>, ArtifactError> {
    match reading.await {
        Ok(read) => Ok(Ok(read)),
        Err(error) if error.class() == Class::Transient => Err(error),
        Err(error) => Ok(Err(with_causes(&error))),
    }
}
