//! Bringing the work tree to a commit.

use super::error::SourceError;
use super::git::Git;
use super::{Checkout, Source};
use crate::domain::location::repository::Revision;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// What a clean tree keeps: what costs to make and is not in the repository. No environment of Python:
/// nothing in the tree is run.
const KEPT: &str = "dbt_packages";
/// Where environments of Python are, as git's pathspecs.
const ENVIRONMENTS: [&str; 4] = [
    ":(glob)**/.venv",
    ":(glob)**/.venv/bin/*",
    ":(glob)**/venv",
    ":(glob)**/venv/bin/*",
];
/// The files that say which packages belong into `dbt_packages`.
const PACKAGE_FILES: &[&str] = &["packages.yml", "dependencies.yml", "package-lock.yml"];
/// More packs than this, one for each commit that was fetched, and the repository is made anew: it
/// is shallow, so that costs less than keeping what nobody asks for.
const PACKS: usize = 64;
/// The most folders with a `dbt_project.yml` that a message names.
const NAMED: usize = 10;

/// Which commit of which repository the tree holds.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    url: String,
    revision: String,
    /// Of the files that list packages, when `dbt_packages` was last emptied.
    #[serde(default)]
    packages: String,
    /// Of the commit.
    #[serde(default)]
    author: Option<String>,
}

/// The lock on a work tree; held by the process while the value lives.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: Mutex<Option<File>>,
}

impl Lock {
    pub(super) fn of(folder: &Path) -> Self {
        Self {
            path: folder.join("lock"),
            file: Mutex::new(None),
        }
    }

    fn file(&self) -> MutexGuard<'_, Option<File>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the lock was had.
    pub(super) fn take(&self, alone: bool) -> Result<bool, SourceError> {
        let failed = |source| SourceError::File {
            path: self.path.clone(),
            action: "locked",
            source,
        };
        let mut held = self.file();
        if held.is_none() {
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&self.path)
                .map_err(failed)?;
            *held = Some(file);
        }
        let Some(file) = held.as_ref() else {
            return Ok(false);
        };
        let taken = match alone {
            true => file.try_lock(),
            false => file.try_lock_shared(),
        };
        match taken {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => {
                // An attempt to change the kind of a lock may have lost the one there was.
                *held = None;
                Ok(false)
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

impl Source {
    pub(super) fn make_folder(&self) -> Result<(), SourceError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SourceError::File {
                path,
                action: "created",
                source,
            }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(failed(&self.folder))?;
        if let Some(home) = self.folder.parent().and_then(Path::parent) {
            let ignore = home.join(".gitignore");
            if !ignore.exists() {
                fs::write(&ignore, "*\n").map_err(failed(&ignore))?;
            }
        }
        Ok(())
    }

    /// The commit that the tree is recorded to hold.
    pub(super) fn recorded(&self) -> Option<Revision> {
        let record = self.record()?;
        let is_ours = record.url == self.address.as_str();
        is_ours.then(|| record.revision.parse().ok()).flatten()
    }

    /// The author of that commit.
    pub(super) fn recorded_author(&self) -> Option<String> {
        self.record()?.author
    }

    fn record_file(&self) -> PathBuf {
        self.folder.join("revision.json")
    }

    fn record(&self) -> Option<Record> {
        let bytes = fs::read(self.record_file()).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// The folder of the project in a tree, where there is one.
    pub(super) fn project(&self, tree: &Path) -> Result<Option<PathBuf>, SourceError> {
        let folder = tree.join(&self.subfolder);
        let file = folder.join("dbt_project.yml");
        if !file.is_file() {
            return Ok(None);
        }
        let real = |path: &Path| {
            path.canonicalize().map_err(|source| SourceError::File {
                path: path.to_owned(),
                action: "resolved",
                source,
            })
        };
        match real(&file)?.starts_with(real(tree)?) {
            true => Ok(Some(folder)),
            false => Err(SourceError::Outside { path: folder }),
        }
    }

    pub(super) async fn bring(
        &self,
        revision: &Revision,
        cancel: &CancellationToken,
    ) -> Result<Checkout, SourceError> {
        self.make_folder()?;
        if !self.lock.take(true)? {
            // Who works there may go on; whoever wants the same commit may join.
            let is_shared = self.lock.take(false)?;
            return match self.present() {
                Ok(checkout) if is_shared && checkout.revision == *revision => Ok(checkout),
                Ok(_) | Err(_) => Err(SourceError::Busy { tree: self.tree() }),
            };
        }
        let changed = self.change(revision, cancel).await;
        // Whether or not it went well, nobody else is kept from looking.
        self.lock.take(false)?;
        changed
    }

    /// Changes the tree under the lock. What a killed fetch left is repaired: locks of git are
    /// removed, and a repository that does not serve is made anew, once.
    async fn change(
        &self,
        revision: &Revision,
        cancel: &CancellationToken,
    ) -> Result<Checkout, SourceError> {
        let packages = self.record().map(|record| record.packages);
        let git = self.git(cancel)?;
        remove(&self.record_file())?;
        let is_old = self.is_usable(revision);
        match self.attempt(&git, revision, is_old).await {
            Err(error) if is_old && is_ours(&error) => {
                tracing::warn!(%error, "the fetched repository is broken and made anew");
                self.attempt(&git, revision, false).await?;
            }
            ended => ended?,
        }
        let Some(folder) = self.project(&self.tree())? else {
            let found = self.projects(&git).await?;
            return Err(self.no_project(found));
        };
        self.refuse_environments(&git).await?;
        self.refuse_links_outside(&self.tree())?;
        let listed = packages_digest(&folder);
        if packages.as_deref() != Some(listed.as_str()) {
            remove_all(&folder.join("dbt_packages"))?;
        }
        // Only for people: a commit without one is as good.
        let asked = ["log", "-1", "--format=%an <%ae>", revision.as_str()];
        let author = git.local(&asked).await.ok();
        let author = author.map(|author| author.trim().to_owned());
        self.write_record(&Record {
            url: self.address.to_string(),
            revision: revision.to_string(),
            packages: listed,
            author: author.clone(),
        })?;
        Ok(Checkout {
            revision: revision.clone(),
            folder,
            author,
        })
    }

    /// Whether the repository of an earlier fetch can serve for this commit.
    fn is_usable(&self, revision: &Revision) -> bool {
        let git = self.folder.join("git");
        let packs = fs::read_dir(git.join("objects/pack")).map_or(0, Iterator::count);
        let config = fs::read_to_string(git.join("config")).unwrap_or_default();
        let is_sha256 = config.to_lowercase().contains("sha256");
        git.join("HEAD").is_file()
            && packs <= 3 * PACKS
            && is_sha256 == (revision.as_str().len() == 64)
    }

    async fn attempt(
        &self,
        git: &Git<'_>,
        revision: &Revision,
        is_old: bool,
    ) -> Result<(), SourceError> {
        let (repository, tree) = (self.folder.join("git"), self.tree());
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&tree)
            .map_err(|source| SourceError::File {
                path: tree.clone(),
                action: "created",
                source,
            })?;
        if is_old {
            remove_locks(&repository)?;
            remove_half_packs(&repository)?;
        } else {
            remove_all(&repository)?;
            let format = match revision.as_str().len() {
                64 => "--object-format=sha256",
                _ => "--object-format=sha1",
            };
            git.local(&["init", "--quiet", format]).await?;
        }
        let commit = format!("{revision}^{{commit}}");
        if git.local(&["cat-file", "-e", &commit]).await.is_err() {
            self.obtain(git, revision).await?;
        }
        git.local(&[
            "checkout",
            "--quiet",
            "--force",
            "--detach",
            revision.as_str(),
        ])
        .await?;
        git.local(&["clean", "--quiet", "-ffdx", "-e", KEPT])
            .await?;
        let head = git
            .local(&["rev-parse", "--verify", "HEAD^{commit}"])
            .await?;
        match head.trim() == revision.as_str() {
            true => Ok(()),
            false => Err(SourceError::Git {
                command: "checkout".to_owned(),
                code: 0,
                said: format!("it left {} and not {revision}", head.trim()),
            }),
        }
    }

    /// Fetches the commit: by its hash, or, from a server that gives no hashes, as what the
    /// reference is, if that is still it.
    async fn obtain(&self, git: &Git<'_>, revision: &Revision) -> Result<(), SourceError> {
        let fetch = |what: &str| -> Vec<String> {
            [
                "fetch",
                "--quiet",
                "--depth=1",
                "--no-tags",
                "--no-recurse-submodules",
                "--no-write-fetch-head",
                "--force",
                "--",
                self.address.as_str(),
                // Without a name of its own the next fetch would not build on it.
                &format!("+{what}:refs/cutover/fetched"),
            ]
            .map(str::to_owned)
            .to_vec()
        };
        let gone = match git.reach(&fetch(revision.as_str())).await {
            Ok(_) => return Ok(()),
            Err(error @ SourceError::Gone { .. }) => error,
            Err(error) => return Err(error),
        };
        let names = match &self.reference {
            Some(reference) => reference.names(),
            None => vec!["HEAD".to_owned()],
        };
        for name in names {
            match git.reach(&fetch(&name)).await {
                Ok(_) => {}
                Err(SourceError::Gone { .. }) => continue,
                // That it took too long, or that we were to stop, is not about the commit.
                Err(error) => return Err(error),
            }
            let commit = git
                .local(&["rev-parse", "--verify", "refs/cutover/fetched^{commit}"])
                .await?;
            if commit.trim() == revision.as_str() {
                return Ok(());
            }
        }
        Err(gone)
    }

    /// Refuses a commit that brings programs along as an environment of Python. Nothing of it would be run;
    /// whoever put it there should know.
    async fn refuse_environments(&self, git: &Git<'_>) -> Result<(), SourceError> {
        let mut listing = vec!["ls-files", "-z", "--"];
        listing.extend(ENVIRONMENTS);
        let found = git.local(&listing).await?;
        match found
            .split('\0')
            .map(str::trim)
            .find(|path| !path.is_empty())
        {
            None => Ok(()),
            Some(path) => Err(SourceError::TrackedEnvironment {
                address: self.address.to_string(),
                path: path.to_owned(),
            }),
        }
    }

    /// Refuses a commit with a symbolic link that leads out of it: whatever is read through it, here or by
    /// dbt, is not the repository's.
    pub(super) fn refuse_links_outside(&self, tree: &Path) -> Result<(), SourceError> {
        let failed = |source| SourceError::File {
            path: tree.to_owned(),
            action: "looked through",
            source,
        };
        let real = tree.canonicalize().map_err(failed)?;
        let mut folders = vec![real.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let (kind, path) = (entry.file_type().map_err(failed)?, entry.path());
                if kind.is_dir() && entry.file_name() != KEPT {
                    folders.push(path);
                } else if kind.is_symlink() && leads_outside(&path, &real).map_err(failed)? {
                    let path = path.strip_prefix(&real).unwrap_or(&path).to_owned();
                    return Err(SourceError::LinkOutside {
                        address: self.address.to_string(),
                        path,
                    });
                }
            }
        }
        Ok(())
    }

    /// Folders of the commit that hold a dbt project.
    async fn projects(&self, git: &Git<'_>) -> Result<Vec<String>, SourceError> {
        let files = git
            .local(&["ls-tree", "-r", "--name-only", "--full-tree", "HEAD"])
            .await?;
        let folder = |file: &str| match file {
            "dbt_project.yml" => Some("its root".to_owned()),
            other => other.strip_suffix("/dbt_project.yml").map(str::to_owned),
        };
        Ok(files.lines().filter_map(folder).take(NAMED).collect())
    }

    fn write_record(&self, record: &Record) -> Result<(), SourceError> {
        let path = self.record_file();
        let new = path.with_extension("new");
        let failed = |source| SourceError::File {
            path: path.clone(),
            action: "written",
            source,
        };
        let bytes = serde_json::to_vec(record).map_err(|error| failed(io::Error::other(error)))?;
        fs::write(&new, bytes).map_err(failed)?;
        fs::rename(&new, &path).map_err(failed)
    }
}

/// Whether a link leads out of the tree; both are absolute. One that leads nowhere now may lead somewhere later,
/// so its words are followed.
fn leads_outside(link: &Path, tree: &Path) -> io::Result<bool> {
    if let Ok(real) = link.canonicalize() {
        return Ok(!real.starts_with(tree));
    }
    let folder = link.parent().unwrap_or(tree);
    let mut place = PathBuf::new();
    for part in folder.join(fs::read_link(link)?).components() {
        match part {
            Component::ParentDir => {
                place.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => place.push(part),
        }
        // Through another link on the way it may lead anywhere.
        if place.is_symlink() && place != link {
            return Ok(true);
        }
    }
    Ok(!place.starts_with(tree))
}

/// Whether a repository made anew may help: not when the other side is at fault, or we are to stop.
fn is_ours(error: &SourceError) -> bool {
    match error {
        SourceError::Git { .. } => true,
        SourceError::Address(_)
        | SourceError::Reference(_)
        | SourceError::Revision(_)
        | SourceError::Subfolder(_)
        | SourceError::Outside { .. }
        | SourceError::Secret(_)
        | SourceError::AccessFile { .. }
        | SourceError::Lines
        | SourceError::UnknownReference { .. }
        | SourceError::Untrusted { .. }
        | SourceError::Gone { .. }
        | SourceError::Apart { .. }
        | SourceError::Authentication { .. }
        | SourceError::Unreachable { .. }
        | SourceError::Deadline { .. }
        | SourceError::Process(_)
        | SourceError::NoProject { .. }
        | SourceError::TrackedEnvironment { .. }
        | SourceError::LinkOutside { .. }
        | SourceError::NotFetched { .. }
        | SourceError::Busy { .. }
        | SourceError::File { .. } => false,
    }
}

/// Removes what a killed git left locked. Nobody else may be at work: the lock on the tree is held.
fn remove_locks(folder: &Path) -> Result<(), SourceError> {
    let failed = |source| SourceError::File {
        path: folder.to_owned(),
        action: "read",
        source,
    };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let is_folder = entry.file_type().map_err(failed)?.is_dir();
        if is_folder && entry.file_name() != "objects" {
            remove_locks(&path)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "lock")
        {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Removes what fetches that were cut off had received, or a repository that never arrives in time
/// would fill the disk.
fn remove_half_packs(repository: &Path) -> Result<(), SourceError> {
    let folder = repository.join("objects/pack");
    let failed = |source| SourceError::File {
        path: folder.clone(),
        action: "read",
        source,
    };
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        // Without it the repository is broken, which git will say.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_string_lossy().starts_with("tmp_") {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), SourceError> {
    removed(path, fs::remove_file(path))
}

pub(super) fn remove_all(path: &Path) -> Result<(), SourceError> {
    // A symbolic link is removed, not followed.
    removed(path, fs::remove_dir_all(path))
}

fn removed(path: &Path, outcome: io::Result<()>) -> Result<(), SourceError> {
    match outcome {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(SourceError::File {
            path: path.to_owned(),
            action: "removed",
            source,
        }),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A digest of the files that list packages.
fn packages_digest(folder: &Path) -> String {
    let mut digest = Sha256::new();
    for name in PACKAGE_FILES {
        let bytes = crate::inputs::project::file::read(&folder.join(name)).unwrap_or_default();
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(&bytes);
    }
    hex::encode(digest.finalize())
}
