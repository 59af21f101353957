//! A project that comes from a git repository: which commit is wanted, and a work tree that holds it.
//!
//! Each environment has a folder of its own, `<base>/.cutover/sources/<environment>`:
//!
//! - `git`: the repository, shallow, without branches. It can be made again at any time.
//! - `tree`: the work tree. After a fetch it holds what the commit holds, and besides only what costs
//!   to make: `dbt_packages` (while the files that list packages are the same).
//! - `revision.json`: which commit of which repository the tree holds. Removed before the tree is
//!   touched and written when it is whole, so that a fetch that was killed leaves "not fetched".
//! - `lock`: held shared by who works in the tree, alone by who changes it.
//!
//! git is a guest (see [`process`](crate::foundation::process)) that sees neither the user's nor the
//! system's configuration, runs no hooks, asks nobody anything, and reaches only `https`, `ssh` and
//! files. Secrets go through its environment, never through arguments, files or messages.

use crate::foundation::environment::Environment;
use crate::inputs::settings;
use secrecy::SecretString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use crate::domain::location::repository::{Address, Reference, Revision};
pub use error::SourceError;

/// Whether a folder's project changed.
pub mod content;
mod error;
/// Running git.
mod git;
/// Pull requests.
mod request;
/// The work tree.
mod tree;

/// The time for a look or a fetch when none is set.
const FETCH_TIMEOUT: Duration = Duration::from_secs(120);

/// The repository of one environment. Clones share the lock on the work tree, which is given up with
/// the last of them.
#[derive(Debug, Clone)]
pub struct Source {
    address: Address,
    reference: Option<Reference>,
    subfolder: PathBuf,
    access: Access,
    password: Option<Password>,
    timeout: Duration,
    folder: PathBuf,
    lock: Arc<tree::Lock>,
}

/// Where the password is; it is read when git is run, so that nothing else fails without it.
#[derive(Debug, Clone)]
struct Password {
    place: settings::SecretRef,
    base: PathBuf,
    variables: Environment,
}

/// How the repository is entered.
#[derive(Debug, Clone, Default)]
struct Access {
    username: Option<String>,
    password: Option<SecretString>,
    ca_file: Option<PathBuf>,
    ssh_key: Option<PathBuf>,
    known_hosts: Option<PathBuf>,
}

/// A work tree that holds a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// The commit.
    pub revision: Revision,
    /// The folder with `dbt_project.yml`.
    pub folder: PathBuf,
    /// `Name <address>` of the commit's author, where git said it.
    pub author: Option<String>,
}

impl Source {
    /// The repository that the settings name; `None` when they name none. Relative paths begin in
    /// `base`, which is absolute. Nothing is run or written.
    ///
    /// # Errors
    /// What may not be given to git.
    pub fn new(
        settings: &settings::Source,
        base: &Path,
        environment: &str,
        variables: &Environment,
    ) -> Result<Option<Self>, SourceError> {
        let Some(url) = &settings.url else {
            return Ok(None);
        };
        let folder = base
            .join(".cutover/sources")
            .join(crate::domain::location::url::segment(environment));
        Ok(Some(Self {
            address: url.parse()?,
            reference: settings.reference.as_deref().map(str::parse).transpose()?,
            subfolder: crate::domain::location::repository::subfolder(
                settings.subfolder.as_deref().unwrap_or_default(),
            )?,
            access: Access {
                username: settings.username.clone(),
                password: None,
                ca_file: settings.ca_file.as_ref().map(|path| base.join(path)),
                ssh_key: settings.ssh_key.as_ref().map(|path| base.join(path)),
                known_hosts: settings.known_hosts.as_ref().map(|path| base.join(path)),
            },
            password: settings.password.clone().map(|place| Password {
                place,
                base: base.to_owned(),
                variables: variables.clone(),
            }),
            timeout: settings.fetch_timeout.map_or(FETCH_TIMEOUT, |span| span.0),
            lock: Arc::new(tree::Lock::of(&folder)),
            folder,
        }))
    }

    /// The repository.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The folder of the work tree, whether or not there is one yet.
    #[must_use]
    pub fn tree(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// Asks the repository which commit the reference is now. Nothing is fetched.
    ///
    /// # Errors
    /// An unknown reference; a repository that cannot be reached, denies access or takes too long.
    pub async fn resolve(&self, cancel: &CancellationToken) -> Result<Revision, SourceError> {
        if let Some(Reference::Commit(revision)) = &self.reference {
            return Ok(revision.clone());
        }
        self.make_folder()?;
        let names = match &self.reference {
            Some(reference) => reference.names(),
            None => vec!["HEAD".to_owned()],
        };
        // An annotated tag is an object of its own; what it means is listed with ^{}.
        let asked = names
            .iter()
            .flat_map(|name| [name.clone(), format!("{name}^{{}}")]);
        let arguments: Vec<String> = ["ls-remote", "--quiet", "--", self.address.as_str()]
            .into_iter()
            .map(str::to_owned)
            .chain(asked)
            .collect();
        let listed = self.git(cancel)?.reach(&arguments).await?;
        let find = |wanted: &str| {
            listed.lines().find_map(|line| {
                let (commit, name) = line.split_once('\t')?;
                (name == wanted).then(|| commit.parse().ok()).flatten()
            })
        };
        names
            .iter()
            .find_map(|name| find(&format!("{name}^{{}}")).or_else(|| find(name)))
            .ok_or_else(|| SourceError::UnknownReference {
                address: self.address.to_string(),
                name: self
                    .reference
                    .as_ref()
                    .map_or("HEAD".to_owned(), Reference::to_string),
            })
    }

    /// Brings the work tree to the commit, or to what the reference is now, and keeps others from
    /// changing it while this source or a clone of it lives.
    ///
    /// # Errors
    /// As [`Source::resolve`]; a commit that the repository does not have; a work tree that another
    /// process uses; no dbt project in the folder.
    pub async fn fetch(
        &self,
        revision: Option<&Revision>,
        cancel: &CancellationToken,
    ) -> Result<Checkout, SourceError> {
        let revision = match revision {
            Some(revision) => revision.clone(),
            None => self.resolve(cancel).await?,
        };
        self.bring(&revision, cancel).await
    }

    /// The work tree as the last fetch left it. Runs nothing.
    ///
    /// # Errors
    /// [`SourceError::NotFetched`] when there is none, or one of another repository.
    pub fn present(&self) -> Result<Checkout, SourceError> {
        let revision = self.recorded().ok_or_else(|| SourceError::NotFetched {
            address: self.address.to_string(),
            tree: self.tree(),
        })?;
        let folder = self.project(&self.tree())?;
        let folder = folder.ok_or_else(|| self.no_project(Vec::new()))?;
        Ok(Checkout {
            revision,
            folder,
            author: self.recorded_author(),
        })
    }

    fn no_project(&self, found: Vec<String>) -> SourceError {
        SourceError::NoProject {
            address: self.address.to_string(),
            subfolder: self.subfolder.clone(),
            found,
        }
    }
}
