//! Addresses in the artifact store, and how single objects are created, read and listed.

use super::document::{self, Pointer};
use super::error::ArtifactError;
use super::refusal::Name;
use super::{ATTEMPTS, Artifacts, Key, PAUSE};
use crate::domain::location::url;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStoreExt, PutMode, PutOptions};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// A list that fails sooner was answered; one that fails later was tried again and again.
const ANSWER: Duration = Duration::from_secs(2);

/// The object that shows that the store does not overwrite, at the root, and what is in it.
const PROOF: &str = "create-only";
const PROOF_TEXT: &[u8] =
    b"Cutover creates this object twice to see that the second time is refused.\n";

impl Artifacts {
    pub(super) fn folder(&self, key: &Key) -> ObjectPath {
        self.root
            .clone()
            .join(url::part(&key.project))
            .join(url::part(&key.environment))
    }

    pub(super) fn object(&self, key: &Key, id: &str, name: &'static str) -> ObjectPath {
        self.object_named(key, id, name)
    }

    pub(super) fn object_named(&self, key: &Key, id: &str, name: &str) -> ObjectPath {
        self.folder(key)
            .join("deployments")
            .join(url::part(id))
            .join(name)
    }

    pub(super) fn baseline_folder(&self, key: &Key) -> ObjectPath {
        self.folder(key).join("baseline")
    }

    pub(super) fn generation(&self, key: &Key, generation: u64) -> ObjectPath {
        generation_in(&self.baseline_folder(key), generation)
    }

    /// The generations that there are, in their order. Other files are nobody's.
    pub(super) async fn generations(&self, key: &Key) -> Result<BTreeSet<u64>, ArtifactError> {
        self.generations_in(&self.baseline_folder(key)).await
    }

    pub(super) async fn generations_in(
        &self,
        folder: &ObjectPath,
    ) -> Result<BTreeSet<u64>, ArtifactError> {
        let listed = self.list(folder, "listing pointers").await?;
        Ok(listed
            .objects
            .iter()
            .filter_map(|object| {
                let digits = object.location.filename()?.strip_suffix(".json")?;
                let generation = digits.parse().ok()?;
                (format!("{generation:020}") == digits).then_some(generation)
            })
            .collect())
    }

    pub(super) async fn pointer(
        &self,
        key: &Key,
        number: u64,
    ) -> Result<Option<Pointer>, ArtifactError> {
        self.pointer_in(&self.baseline_folder(key), number).await
    }

    pub(super) async fn pointer_in(
        &self,
        folder: &ObjectPath,
        number: u64,
    ) -> Result<Option<Pointer>, ArtifactError> {
        let path = generation_in(folder, number);
        let Some(bytes) = self.get(&path).await? else {
            return Ok(None);
        };
        let place = self.named(&path);
        let pointer: Pointer = document::read(&bytes, &place)?;
        if pointer.generation != number {
            let message = format!("{place} says that it is generation {}", pointer.generation);
            return Err(ArtifactError::refused(Name::BaselineDamaged, message, None));
        }
        Ok(Some(pointer))
    }

    /// The object's address, for people.
    pub(super) fn named(&self, path: &ObjectPath) -> String {
        let below = path
            .as_ref()
            .strip_prefix(self.root.as_ref())
            .unwrap_or(path.as_ref());
        format!("{}/{}", self.place, below.trim_start_matches('/'))
    }

    pub(super) async fn list(
        &self,
        folder: &ObjectPath,
        action: &str,
    ) -> Result<object_store::ListResult, ArtifactError> {
        let began = Instant::now();
        match self.store.list_with_delimiter(Some(folder)).await {
            Ok(listed) => Ok(listed),
            Err(error) => {
                let is_answer = began.elapsed() < ANSWER;
                let failure = self.failure(action, error);
                if is_answer && matches!(failure, ArtifactError::Away { .. }) {
                    return Err(self.no_list(action).await.unwrap_or(failure));
                }
                Err(failure)
            }
        }
    }

    /// Why a remote store does not list: the clients tell a refusal or a missing bucket from other
    /// failures only where one object is asked for.
    async fn no_list(&self, action: &str) -> Option<ArtifactError> {
        use object_store::Error;
        if !self.place.contains("://") {
            return None;
        }
        let nothing = self.root.clone().join("nothing");
        match self.store.head(&nothing).await {
            Err(
                said @ (Error::NotFound { .. }
                | Error::PermissionDenied { .. }
                | Error::Unauthenticated { .. }),
            ) => Some(self.failure(action, said)),
            Ok(_) | Err(_) => None,
        }
    }

    pub(super) async fn get(&self, path: &ObjectPath) -> Result<Option<Vec<u8>>, ArtifactError> {
        let read = match self.store.get(path).await {
            Ok(result) => result.bytes().await,
            Err(error) => Err(error),
        };
        match read {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failure(&format!("reading {}", self.named(path)), error)),
        }
    }

    /// An object that others put below the store's address, where it is there: bundles are read so. `path` has plain
    /// parts between `/`.
    ///
    /// # Errors
    /// A store that does not answer; an object with more than `most` bytes.
    pub async fn read_below(
        &self,
        path: &str,
        most: u64,
    ) -> Result<Option<Vec<u8>>, ArtifactError> {
        let mut whole = self.root.as_ref().to_owned();
        if !whole.is_empty() {
            whole.push('/');
        }
        whole.push_str(path);
        let action = format!("reading {path}");
        let path =
            ObjectPath::parse(&whole).map_err(|error| self.failure(&action, error.into()))?;
        let read = async {
            let found = self.store.get(&path).await?;
            if found.meta.size > most {
                let problem = format!("it has more than {most} bytes");
                return Err(object_store::Error::Generic {
                    store: "bundle",
                    source: problem.into(),
                });
            }
            found.bytes().await
        };
        match read.await {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failure(&action, error)),
        }
    }

    /// Makes sure, once for each process, that a remote store refuses to create what is there already. Writes one
    /// object.
    ///
    /// # Errors
    /// [`Name::StoreOverwrites`], or that the store is away.
    pub async fn prove(&self) -> Result<(), ArtifactError> {
        // A hard link to a file that is there is refused by the system.
        if !self.place.contains("://") {
            return Ok(());
        }
        let prove = || async {
            let path = self.root.clone().join(PROOF);
            // The first time of all it is made; whoever makes it at the same moment is refused rightly.
            if self.create_unproven(&path, PROOF_TEXT).await?
                && self.create_unproven(&path, PROOF_TEXT).await?
            {
                let message = format!(
                    "{} overwrites what is to be created only: it ignores the condition `If-None-Match: *`, so that two releases at once could both become the baseline",
                    self.place
                );
                return Err(ArtifactError::refused(Name::StoreOverwrites, message, None));
            }
            Ok(())
        };
        self.proven.get_or_try_init(prove).await.copied()
    }

    /// Creates an object; `false` when there is one.
    pub(super) async fn create(
        &self,
        path: &ObjectPath,
        bytes: &[u8],
    ) -> Result<bool, ArtifactError> {
        self.prove().await?;
        self.create_unproven(path, bytes).await
    }

    async fn create_unproven(
        &self,
        path: &ObjectPath,
        bytes: &[u8],
    ) -> Result<bool, ArtifactError> {
        let options = PutOptions::from(PutMode::Create);
        match self
            .store
            .put_opts(path, bytes.to_vec().into(), options)
            .await
        {
            Ok(_) => Ok(true),
            Err(
                object_store::Error::AlreadyExists { .. }
                | object_store::Error::Precondition { .. },
            ) => Ok(false),
            Err(error) => Err(self.failure(&format!("writing {}", self.named(path)), error)),
        }
    }

    /// Creates an object, or finds one that `is_same`, and gives what is there now.
    pub(super) async fn put_once(
        &self,
        path: &ObjectPath,
        bytes: &[u8],
        is_same: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, ArtifactError> {
        for attempt in 1..=ATTEMPTS {
            if attempt > 1 {
                tokio::time::sleep(PAUSE).await;
            }
            if self.create(path, bytes).await? {
                return Ok(bytes.to_vec());
            }
            match self.get(path).await? {
                Some(kept) if kept == bytes || is_same(&kept) => return Ok(kept),
                Some(_) => break,
                // Announced, and not to be read yet.
                None => {}
            }
        }
        Err(ArtifactError::Different {
            place: self.named(path),
        })
    }

    pub(super) fn failure(&self, action: &str, error: object_store::Error) -> ArtifactError {
        ArtifactError::of(&self.place, action, error)
    }
}

fn generation_in(folder: &ObjectPath, generation: u64) -> ObjectPath {
    folder.clone().join(format!("{generation:020}.json"))
}
