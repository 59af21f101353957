//! Which packages a project lists, and whether those are what is installed.
//!
//! Compared is content: the list's hash as dbt computes it against the one in `package-lock.yml`, then each
//! locked package against what lies in `dbt_packages`. A local package is a link, so its content is always
//! the present one. dbt itself only counts folders, and goes on with the old code.
//!
//! What a package calls its own version need not be the one under which it was published, so after
//! `dbt deps` a mark in the folder says for which files it ran; `dbt deps` removes it with the folder.

mod listed;
mod lock;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::super::document::Document;
use super::super::jinja::Renderer;
use super::Error;
use listed::Listed;
use lock::Locked;

const PACKAGES_FILE: &str = "packages.yml";
const DEPENDENCIES_FILE: &str = "dependencies.yml";
const LOCK_FILE: &str = "package-lock.yml";
/// In the folder of the installed packages: for which lists `dbt deps` ran.
const MARK: &str = ".cutover-packages";

/// The packages of a project, as listed and as installed.
#[derive(Clone, Debug)]
pub struct Packages {
    /// `packages.yml` or `dependencies.yml`, whichever lists packages.
    pub file: Option<PathBuf>,
    /// How many are listed.
    pub listed: usize,
    /// How many folders are installed.
    pub installed: usize,
    /// What is installed otherwise than it is listed or locked, one sentence each.
    pub differences: Vec<String>,
    /// What a person should know of the files although they are taken, one sentence each.
    pub warnings: Vec<String>,
    dir: PathBuf,
    install_path: PathBuf,
    renderer: Renderer,
    /// Digest of what the packages are installed from.
    wanted: String,
}

impl Packages {
    /// Looks into a project directory.
    pub(super) fn find(
        dir: &Path,
        install_path: &Path,
        renderer: &Renderer,
    ) -> Result<Self, Error> {
        let listed = Listed::read(dir, renderer)?;
        let lock = dir.join(LOCK_FILE);
        let lock = lock.is_file().then(|| Document::read(&lock)).transpose()?;
        let installed = Installed::all(install_path);
        let wanted = wanted(dir, listed.hash.as_deref());
        let mut found = Self {
            listed: listed.count,
            installed: installed.len(),
            differences: Vec::new(),
            warnings: listed.warnings.clone(),
            dir: dir.to_owned(),
            install_path: install_path.to_owned(),
            renderer: renderer.clone(),
            wanted,
            file: listed.file.clone(),
        };
        // Without a list dbt has nothing to install, and `dbt deps` would not help.
        if listed.count > 0 {
            found.compare(&listed, lock.as_ref(), &installed);
        }
        Ok(found)
    }

    fn compare(&mut self, listed: &Listed, lock: Option<&Document>, installed: &[Installed]) {
        let is_as_installed = self.is_marked();
        if let Some(lock) = lock.filter(|_| !is_as_installed)
            && let Some(hash) = &listed.hash
            && lock.root.get("sha1_hash").and_then(|hash| hash.as_str()) != Some(hash)
        {
            let file = listed.file.as_deref().and_then(Path::file_name);
            let file = file.unwrap_or_default().to_string_lossy();
            self.differences
                .push(format!("{LOCK_FILE} was not made from what {file} lists"));
        }
        let locked = match lock {
            Some(lock) => Locked::all(lock),
            None => listed.pinned.clone(),
        };
        for package in &locked {
            let found = installed.iter().find(|found| found.is(&package.name));
            let difference = match found {
                None if lock.is_some() => Some("is locked and not installed".to_owned()),
                Some(found) if !is_as_installed => package.difference(found),
                None | Some(_) => None,
            };
            let difference = difference.map(|what| format!("{} {what}", package.name));
            self.differences.extend(difference);
        }
        // dbt's own rule.
        if listed.count > installed.len() && self.differences.is_empty() {
            self.differences.push(format!(
                "{} packages are listed and {} are installed",
                listed.count,
                installed.len()
            ));
        }
        // dbt reads every folder. Whether `dbt deps` put it there is not known, and it would remove it.
        let is_named = lock.is_some() && locked.iter().all(|package| !package.name.is_empty());
        for found in installed
            .iter()
            .filter(|_| is_named && self.differences.is_empty())
        {
            if !locked.iter().any(|package| found.is(&package.name)) {
                self.warnings.push(format!(
                    "{}: is installed and not in {LOCK_FILE}, and dbt reads it: remove it, or run `dbt deps`",
                    found.folder.display()
                ));
            }
        }
    }

    /// Whether `dbt deps` must run first.
    pub fn needs_install(&self) -> bool {
        !self.differences.is_empty()
    }

    /// Marks the packages as installed from the present files, and looks at them again.
    ///
    /// # Errors
    /// Faults of the files.
    pub fn installed(&self) -> Result<Self, Error> {
        // With what `dbt deps` wrote into the lock file.
        let found = Self::find(&self.dir, &self.install_path, &self.renderer)?;
        // Without the mark they are compared again the next time, which only takes longer.
        if let Err(error) = std::fs::write(self.install_path.join(MARK), &found.wanted) {
            tracing::debug!(%error, "the installed packages could not be marked");
        }
        Self::find(&self.dir, &self.install_path, &self.renderer)
    }

    fn is_marked(&self) -> bool {
        let mark = std::fs::read_to_string(self.install_path.join(MARK));
        mark.is_ok_and(|mark| mark == self.wanted)
    }
}

/// The digest of the files that decide what is installed, and of the list with its variables filled in.
fn wanted(dir: &Path, hash: Option<&str>) -> String {
    let mut digest = Sha256::new();
    for name in [PACKAGES_FILE, DEPENDENCIES_FILE, LOCK_FILE] {
        let bytes = crate::inputs::project::file::read(&dir.join(name)).unwrap_or_default();
        digest.update((bytes.len() as u64).to_le_bytes());
        digest.update(bytes);
    }
    digest.update(hash.unwrap_or_default());
    hex::encode(digest.finalize())
}

/// A folder of installed packages.
#[derive(Clone, Debug)]
struct Installed {
    folder: PathBuf,
    /// What its `dbt_project.yml` calls itself.
    name: Option<String>,
    version: Option<String>,
    /// The commit, where it is a clone.
    commit: Option<String>,
    is_link: bool,
}

impl Installed {
    /// A directory that cannot be listed holds no packages that dbt could use either.
    fn all(install_path: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(install_path).into_iter().flatten();
        let folders = entries.flatten().filter(|entry| {
            entry.path().is_dir() && !entry.file_name().to_string_lossy().starts_with("__")
        });
        let mut all: Vec<Self> = folders.map(|entry| Self::read(entry.path())).collect();
        all.sort_by(|a, b| a.folder.cmp(&b.folder));
        all
    }

    fn read(folder: PathBuf) -> Self {
        let document = Document::read(&folder.join("dbt_project.yml")).ok();
        let text = |key: &str| listed::text(document.as_ref()?.root.get(key)?);
        let head = crate::inputs::project::file::read_text(&folder.join(".git/HEAD")).ok();
        Self {
            name: text("name"),
            version: text("version"),
            commit: head
                .map(|head| head.trim().to_owned())
                .filter(|head| lock::is_commit(head)),
            is_link: folder.is_symlink(),
            folder,
        }
    }

    fn is(&self, name: &str) -> bool {
        self.folder.file_name().is_some_and(|folder| folder == name)
            || self.name.as_deref() == Some(name)
    }
}

#[cfg(test)]
mod tests;
