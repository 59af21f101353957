//! The artifact store: what each deployment made live, and which of them is the baseline.
//!
//! Below the URL of `artifacts.url`, names percent-encoded:
//!
//! ```text
//! create-only                                                  what shows that the store does not overwrite
//! <project>/<environment>/deployments/<id>/manifest.json       as dbt wrote it
//!                                          run_results.json    as dbt wrote it, where there was one
//!                                          plan.json           where Cutover made one
//!                                          outcomes.json       what came out of each node, where that is known
//!                                          compiled.json       the SQL of its nodes and tests, where that is known
//!                                          project-<path>      the bundle of its project, to go back to it
//!                                          metadata.json       `Metadata`; written last
//! <project>/<environment>/baseline/00000000000000000001.json   `Pointer`, generation 1
//!                                  00000000000000000002.json   generation 2: the highest one counts
//! ```
//!
//! # What is durable, and why it is safe
//! Every object is written once, with "create, fail if it exists", which local files (a hard link),
//! S3 and its kin (`If-None-Match: *`), Google Cloud Storage and Azure all do atomically. A conditional
//! *update* they do not all have, local files least of all. So the pointer is not one object that
//! changes but a row of numbered ones: to move it from generation N is to create N+1, and of all who
//! try exactly one does. That is a compare-and-set without a lock, and the row is its own history.
//!
//! A store that takes the condition for nothing (some that speak S3 do) would give two writers one
//! generation. So before the first write a process creates an object that is there already, and goes on
//! only where it is refused ([`Artifacts::prove`]).
//!
//! A bundle counts once its `metadata.json` is there, and is live once a pointer names it. Whoever
//! died between two of these writes repeats them: [`Artifacts::keep`] and [`Artifacts::advance`] find
//! what they left and go on. Nothing is ever overwritten; only [`Artifacts::trim`] removes, and never
//! a pointer.

use crate::inputs::manifest::Manifest;
use crate::inputs::manifest::run_results::RunResults;
use crate::inputs::outcome::{Before, KeptSql};
use jiff::Timestamp;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

pub use document::{Given, Kind, Metadata, Pointer, Reason, RecordedObject};
pub use error::ArtifactError;
pub use others::{Other, Others};
pub use outcomes::KeptOutcomes;
pub use refusal::Name;

/// The documents: metadata and pointer.
pub mod document;
/// What is live against what was recorded.
pub mod drift;
/// What can go wrong, and what to do about it.
pub mod error;
/// Whether a manifest describes what is live.
pub mod import;
/// Where the store is.
mod location;
/// Addresses, and how single objects are created, read and listed.
mod objects;
/// What is live of other environments.
pub mod others;
/// What came out of each node, as a bundle has it.
pub mod outcomes;
/// Files of the project that a deployment made live.
mod project_files;
/// Stable names of what is refused.
pub mod refusal;
/// Which bundles may go.
pub mod retention;

/// How often a create is tried whose rival is announced but cannot be read yet.
const ATTEMPTS: u32 = 5;

/// The pause between such attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Whose artifacts: one environment of one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The dbt project's name.
    pub project: String,
    /// The environment's name.
    pub environment: String,
}

impl Key {
    /// The artifacts of this environment of this project.
    pub fn new(project: impl Into<String>, environment: impl Into<String>) -> Self {
        Self {
            project: project.into(),
            environment: environment.into(),
        }
    }
}

/// What is kept of one deployment.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// `manifest.json`, as dbt wrote it (the plain one, parsed without `deploy: true`).
    pub manifest: Vec<u8>,
    /// `run_results.json`, as dbt wrote it.
    pub run_results: Option<Vec<u8>>,
    /// The plan, as JSON; an import has none.
    pub plan: Option<Vec<u8>>,
    /// What came out of each node, as JSON; bundles of earlier versions have none.
    pub outcomes: Option<Vec<u8>>,
    /// The SQL that was compiled, see [`KeptSql`]; it need not be there.
    pub compiled: Option<Vec<u8>>,
    /// What it is about.
    pub metadata: Metadata,
}

/// Where the pointer is to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// The deployment that is live from now on; `None` when none of ours is.
    pub deployment: Option<String>,
    /// Why.
    pub reason: Reason,
    /// When.
    pub at: Timestamp,
}

impl Advance {
    /// Whether the pointer already says it. The time does not count: a repeated attempt has a later one.
    fn is_said_by(&self, pointer: &Pointer) -> bool {
        pointer.deployment == self.deployment && pointer.reason == self.reason
    }
}

/// What is live, read and checked.
#[derive(Debug, Clone)]
pub struct Baseline {
    /// The pointer that names it.
    pub pointer: Pointer,
    /// What it is about.
    pub metadata: Metadata,
    /// The project as it was released.
    pub manifest: Manifest,
    /// What became of its nodes, where that was kept.
    pub run_results: Option<RunResults>,
    /// What came out of each node.
    pub outcomes: KeptOutcomes,
    /// The SQL that was compiled, where it was kept.
    pub compiled: Option<KeptSql>,
}

impl Baseline {
    /// The project with what came out of it, where that was kept.
    #[must_use]
    pub fn before(&self) -> Option<Before<'_>> {
        let outcomes = self.outcomes.known()?;
        Some(Before {
            manifest: Some(&self.manifest),
            outcomes,
        })
    }
}

/// An open artifact store. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Artifacts {
    store: Arc<dyn ObjectStore>,
    root: ObjectPath,
    place: String,
    /// Whether it was seen that the store does not overwrite.
    proven: Arc<OnceCell<()>>,
}

impl Artifacts {
    /// Opens the store of a URL; a relative path begins in `base`. A local folder is made (0700);
    /// a remote store is not asked for anything yet. Credentials come from the environment.
    ///
    /// # Errors
    /// [`ArtifactError::Place`], [`ArtifactError::CannotOpen`].
    pub fn open(
        url: &str,
        options: &BTreeMap<String, String>,
        base: &Path,
    ) -> Result<Self, ArtifactError> {
        location::open(url, options, base)
    }

    /// What is written where, for people.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Tries to read: the names of projects that are kept.
    ///
    /// # Errors
    /// When the store does not answer or does not let us list.
    pub async fn projects(&self) -> Result<Vec<String>, ArtifactError> {
        let listed = self.list(&self.root, "listing it").await?;
        Ok(listed
            .common_prefixes
            .iter()
            .filter_map(|path| path.filename().map(str::to_owned))
            .collect())
    }

    /// Keeps what a deployment made live, and gives the metadata that is kept now. May be repeated:
    /// what is there already stays, the first reading of the live objects with it.
    ///
    /// # Errors
    /// [`ArtifactError::Different`] when something else is kept under this id; a bundle that does not
    /// belong to `key`; see [`ArtifactError`].
    pub async fn keep(
        &self,
        key: &Key,
        id: &str,
        bundle: &Bundle,
    ) -> Result<Metadata, ArtifactError> {
        let metadata = &bundle.metadata;
        let object = |name| self.object(key, id, name);
        let metadata_path = object(METADATA);
        metadata.belongs_to(key, id, &self.named(&metadata_path))?;
        let manifest_path = object(MANIFEST);
        self.manifest(&bundle.manifest, metadata, &manifest_path)?;

        self.put_once(&manifest_path, &bundle.manifest, |kept| {
            // Another parse of the same project has other times in it and means the same.
            self.manifest(kept, metadata, &manifest_path).is_ok()
        })
        .await?;
        if let Some(run_results) = &bundle.run_results {
            self.put_once(&object(RUN_RESULTS), run_results, |_| false)
                .await?;
        }
        if let Some(plan) = &bundle.plan {
            self.put_once(&object(PLAN), plan, |kept| {
                let value = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok();
                value(kept).is_some() && value(kept) == value(plan)
            })
            .await?;
        }
        if let Some(outcomes) = &bundle.outcomes {
            self.put_once(&object(OUTCOMES), outcomes, |_| false)
                .await?;
        }
        if let Some(compiled) = &bundle.compiled {
            // Another process may have compiled more of the same or less.
            self.put_once(&object(COMPILED), compiled, |kept| {
                KeptSql::read(kept).is_some()
            })
            .await?;
        }
        let place = self.named(&metadata_path);
        let kept = self
            .put_once(&metadata_path, &document::write(metadata), |kept| {
                document::read::<Metadata>(kept, &place).is_ok_and(|kept| kept.is_about(metadata))
            })
            .await?;
        document::read(&kept, &place)
    }

    /// The pointer with the highest generation; `None` when there never was one.
    ///
    /// # Errors
    /// A pointer that cannot be read, or a store that does not answer.
    pub async fn current(&self, key: &Key) -> Result<Option<Pointer>, ArtifactError> {
        match self.generations(key).await?.last() {
            Some(generation) => self.pointer(key, *generation).await,
            None => Ok(None),
        }
    }

    /// Moves the pointer from the generation `expected` (`None`: from nothing) to the next one.
    ///
    /// Of several who try, one does. May be repeated: when the generation after `expected` already
    /// says the same, that is the answer, even when others have moved on since.
    ///
    /// # Errors
    /// [`ArtifactError::Conflict`] when somebody else moved it.
    pub async fn advance(
        &self,
        key: &Key,
        expected: Option<u64>,
        to: &Advance,
    ) -> Result<Pointer, ArtifactError> {
        let generation = expected.unwrap_or_default().saturating_add(1);
        for attempt in 1..=ATTEMPTS {
            if attempt > 1 {
                tokio::time::sleep(PAUSE).await;
            }
            let found = self.current(key).await?;
            if found.as_ref().map(|pointer| pointer.generation) == expected {
                let pointer = Pointer {
                    version: document::VERSION,
                    generation,
                    deployment: to.deployment.clone(),
                    previous: found.and_then(|pointer| pointer.deployment),
                    reason: to.reason,
                    at: to.at,
                };
                let path = self.generation(key, generation);
                if self.create(&path, &document::write(&pointer)).await? {
                    return Ok(pointer);
                }
            }
            // A rival's write may be announced a moment before it can be read.
            match self.pointer(key, generation).await? {
                Some(said) if to.is_said_by(&said) => return Ok(said),
                None if found_before(expected, self.current(key).await?.as_ref()) => {}
                Some(_) | None => break,
            }
        }
        Err(ArtifactError::Conflict {
            place: self.named(&self.baseline_folder(key)),
            expected,
            found: self.current(key).await?.map(Box::new),
        })
    }

    /// What is live, read and checked; `None` when nothing of ours is.
    ///
    /// # Errors
    /// [`ArtifactError::Refused`] as [`Name::BaselineIncomplete`], [`Name::BaselineDamaged`] or
    /// [`Name::BaselineForeign`]; a store that does not answer.
    pub async fn baseline(&self, key: &Key) -> Result<Option<Baseline>, ArtifactError> {
        let Some(pointer) = self.current(key).await? else {
            return Ok(None);
        };
        let Some(id) = pointer.deployment.clone() else {
            return Ok(None);
        };
        let bundle = self.bundle(key, &id).await?;
        let origin = self.object(key, &id, MANIFEST);
        let manifest = self.manifest(&bundle.manifest, &bundle.metadata, &origin)?;
        let run_results = match &bundle.run_results {
            Some(bytes) => {
                let place = self.named(&self.object(key, &id, RUN_RESULTS));
                let read = RunResults::from_slice(bytes, Path::new(&place));
                Some(read.map_err(|error| {
                    ArtifactError::refused(Name::BaselineDamaged, place, Some(error.into()))
                })?)
            }
            None => None,
        };
        let outcomes = self.read_outcomes(key, &id, bundle.outcomes.as_deref())?;
        Ok(Some(Baseline {
            pointer,
            outcomes,
            compiled: bundle.compiled.as_deref().and_then(KeptSql::read),
            metadata: bundle.metadata,
            manifest,
            run_results,
        }))
    }

    /// All files of one deployment, as they were kept; only the metadata is read.
    ///
    /// # Errors
    /// [`Name::BaselineIncomplete`] when the metadata or the manifest is not there.
    pub async fn bundle(&self, key: &Key, id: &str) -> Result<Bundle, ArtifactError> {
        Ok(Bundle {
            metadata: self.metadata(key, id).await?,
            manifest: self.needed(&self.object(key, id, MANIFEST)).await?,
            run_results: self.get(&self.object(key, id, RUN_RESULTS)).await?,
            plan: self.plan(key, id).await?,
            outcomes: self.get(&self.object(key, id, OUTCOMES)).await?,
            compiled: self.get(&self.object(key, id, COMPILED)).await?,
        })
    }

    /// What is recorded about one deployment, without its other files.
    ///
    /// # Errors
    /// [`Name::BaselineIncomplete`] when it is not there, [`Name::BaselineDamaged`] when it cannot be read,
    /// [`Name::BaselineForeign`] when it is of another.
    pub async fn metadata(&self, key: &Key, id: &str) -> Result<Metadata, ArtifactError> {
        let path = self.object(key, id, METADATA);
        let place = self.named(&path);
        let metadata: Metadata = document::read(&self.needed(&path).await?, &place)?;
        metadata.belongs_to(key, id, &place)?;
        Ok(metadata)
    }

    /// The plan of one deployment as JSON, without its other files; an import has none.
    ///
    /// # Errors
    /// A store that does not answer.
    pub async fn plan(&self, key: &Key, id: &str) -> Result<Option<Vec<u8>>, ArtifactError> {
        self.get(&self.object(key, id, PLAN)).await
    }

    async fn needed(&self, path: &ObjectPath) -> Result<Vec<u8>, ArtifactError> {
        let bytes = self.get(path).await?;
        bytes.ok_or_else(|| {
            ArtifactError::refused(
                Name::BaselineIncomplete,
                format!("{} is not there", self.named(path)),
                None,
            )
        })
    }

    /// What came out of each node of one deployment, as it was kept.
    ///
    /// # Errors
    /// [`Name::BaselineDamaged`]; a store that does not answer.
    pub async fn outcomes(&self, key: &Key, id: &str) -> Result<KeptOutcomes, ArtifactError> {
        let bytes = self.get(&self.object(key, id, OUTCOMES)).await?;
        self.read_outcomes(key, id, bytes.as_deref())
    }

    fn read_outcomes(
        &self,
        key: &Key,
        id: &str,
        bytes: Option<&[u8]>,
    ) -> Result<KeptOutcomes, ArtifactError> {
        KeptOutcomes::read(bytes, &self.named(&self.object(key, id, OUTCOMES)))
    }

    /// The last pointers, the latest first.
    ///
    /// # Errors
    /// As [`Artifacts::current`].
    pub async fn history(&self, key: &Key, limit: usize) -> Result<Vec<Pointer>, ArtifactError> {
        let mut pointers = Vec::new();
        for generation in self.generations(key).await?.into_iter().rev().take(limit) {
            pointers.extend(self.pointer(key, generation).await?);
        }
        Ok(pointers)
    }

    /// Removes all but the last `keep` bundles that went live and those written after `before`, and
    /// gives the ids of those removed. See [`retention::expendable`] for what always stays. Pointers
    /// stay, as the record.
    ///
    /// # Errors
    /// A store that does not answer; what was removed until then is removed.
    pub async fn trim(
        &self,
        key: &Key,
        keep: usize,
        before: Timestamp,
    ) -> Result<Vec<String>, ArtifactError> {
        let pointers = self.history(key, usize::MAX).await?;
        let mut kept = Vec::new();
        let mut files = BTreeMap::new();
        let folder = self.folder(key).join("deployments");
        for prefix in self.list(&folder, "listing bundles").await?.common_prefixes {
            let Some(id) = prefix.filename().map(str::to_owned) else {
                continue;
            };
            let objects = self.list(&prefix, "listing a bundle").await?.objects;
            let latest = objects.iter().map(|o| o.last_modified.timestamp_millis());
            kept.push(retention::Kept {
                id: id.clone(),
                at: latest
                    .max()
                    .and_then(|millis| Timestamp::from_millisecond(millis).ok())
                    .unwrap_or(Timestamp::MAX),
            });
            files.insert(id, objects);
        }
        kept.retain(|bundle| bundle.at < before);
        let expendable = retention::expendable(
            &kept,
            &pointers,
            keep,
            crate::domain::location::url::segment,
        );
        for id in &expendable {
            let mut paths: Vec<ObjectPath> = files
                .remove(id)
                .into_iter()
                .flatten()
                .map(|object| object.location)
                .collect();
            // Without its metadata a bundle is none, whatever is left of it.
            paths.sort_by_key(|path| path.filename() != Some(METADATA));
            for path in paths {
                match self.store.delete(&path).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(self.failure("removing a bundle", error)),
                }
            }
        }
        Ok(expendable)
    }

    /// The manifest, when it is the one that the metadata is about.
    fn manifest(
        &self,
        bytes: &[u8],
        metadata: &Metadata,
        path: &ObjectPath,
    ) -> Result<Manifest, ArtifactError> {
        use crate::inputs::manifest::Error;
        let place = self.named(path);
        let refused = ArtifactError::refused;
        let manifest =
            Manifest::from_slice(bytes, &PathBuf::from(&place)).map_err(|error| match error {
                Error::OtherAdapter { .. } | Error::OtherProject { .. } => {
                    refused(Name::BaselineForeign, place.clone(), Some(error.into()))
                }
                Error::Artifact(_)
                | Error::Empty { .. }
                | Error::DuplicateRelation { .. }
                | Error::MissingParent { .. }
                | Error::Cycle { .. } => {
                    refused(Name::BaselineDamaged, place.clone(), Some(error.into()))
                }
            })?;
        if manifest.metadata.project_name.as_deref() != Some(metadata.project.as_str()) {
            let found = manifest.metadata.project_name.unwrap_or_default();
            let message = format!("{place} is of the project {found:?}");
            return Err(refused(Name::BaselineForeign, message, None));
        }
        let hash = manifest
            .content_hash()
            .map_err(|error| refused(Name::BaselineDamaged, place.clone(), Some(error.into())))?;
        if hash != metadata.manifest_hash {
            let message = format!(
                "{place} has the content {hash}, its metadata says {}",
                metadata.manifest_hash
            );
            return Err(refused(Name::BaselineDamaged, message, None));
        }
        Ok(manifest)
    }
}

const MANIFEST: &str = "manifest.json";
const RUN_RESULTS: &str = "run_results.json";
const PLAN: &str = "plan.json";
const OUTCOMES: &str = "outcomes.json";
const COMPILED: &str = "compiled.json";
const METADATA: &str = "metadata.json";

/// Whether the pointer still stands where it is to be moved from.
fn found_before(expected: Option<u64>, found: Option<&Pointer>) -> bool {
    found.map(|pointer| pointer.generation) == expected
}

#[cfg(test)]
mod tests;
