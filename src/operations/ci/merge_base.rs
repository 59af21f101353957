//! Where a request began: the commit at which its branch left the one that it goes to, and the project as it was there.
//!
//! The files are written into a folder beside the run; nothing of the user's work tree or index is touched.

use super::error::CiError;
use crate::foundation::process::Guest;
use crate::foundation::process::environment::Variables;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The longest time for one command of git.
const DEADLINE: Duration = Duration::from_secs(120);
/// Time between SIGTERM and SIGKILL.
const STOP: Duration = Duration::from_secs(2);
/// The most of git's answer that is kept, in bytes.
const ANSWER: usize = 64 << 10;

/// Variables that git may see: where it is, and whose files it may trust.
const ALLOWED: [&str; 6] = ["PATH", "HOME", "TMPDIR", "XDG_CONFIG_HOME", "USER", "LANG"];

/// A commit, and the project in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Began {
    /// The commit.
    pub commit: String,
    /// The project's folder, as it was there.
    pub project: PathBuf,
}

/// git in the repository around a folder.
struct Git<'a> {
    folder: &'a Path,
    cancel: &'a CancellationToken,
}

impl Git<'_> {
    /// The standard output of a command; `None` when it fails.
    async fn ask(
        &self,
        arguments: &[&str],
        index: Option<&Path>,
    ) -> Result<Option<String>, CiError> {
        let mut environment: Variables = std::env::vars_os()
            .filter(|(name, _)| ALLOWED.iter().any(|allowed| name == allowed))
            .collect();
        for (name, value) in [
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_LFS_SKIP_SMUDGE", "1"),
            ("LC_ALL", "C"),
        ] {
            environment.insert(name.into(), value.into());
        }
        if let Some(index) = index {
            environment.insert("GIT_INDEX_FILE".into(), index.into());
        }
        let guest = Guest {
            program: PathBuf::from("git"),
            arguments: arguments.iter().map(OsString::from).collect(),
            directory: self.folder.to_owned(),
            environment,
            deadline: DEADLINE,
            stop_timeout: STOP,
            hurry: None,
            log: None,
            record: None,
        };
        let answer = guest.run_and_keep(self.cancel, ANSWER).await;
        let (finished, out) = answer.map_err(|error| CiError::Git(error.to_string()))?;
        Ok((finished.code == 0).then(|| out.trim().to_owned()))
    }
}

/// The commit that is checked out in the repository around a folder, where there is one.
///
/// # Errors
/// When git cannot be run to its end.
pub async fn head(folder: &Path, cancel: &CancellationToken) -> Result<Option<String>, CiError> {
    let git = Git { folder, cancel };
    git.ask(&["rev-parse", "--verify", "--quiet", "HEAD"], None)
        .await
}

/// Writes the project as it was where the request began into `into`, which must not exist: the last commit that it has
/// in common with `base`, a branch (of `origin` first) or a commit.
///
/// # Errors
/// [`CiError::Git`] says what git does not know: no repository, no such branch, nothing in common (as in a shallow
/// clone), no project there.
pub async fn written(
    folder: &Path,
    base: &str,
    into: &Path,
    cancel: &CancellationToken,
) -> Result<Began, CiError> {
    let git = Git { folder, cancel };
    let not = |what: String| CiError::Git(what);
    let prefix = git.ask(&["rev-parse", "--show-prefix"], None).await?;
    let prefix = prefix.ok_or_else(|| not(format!("{} is in no repository", folder.display())))?;
    let mut commit = None;
    for named in [format!("refs/remotes/origin/{base}"), base.to_owned()] {
        let named = format!("{named}^{{commit}}");
        let found = git
            .ask(
                &[
                    "rev-parse",
                    "--verify",
                    "--quiet",
                    "--end-of-options",
                    &named,
                ],
                None,
            )
            .await?;
        if let Some(found) = found {
            commit = Some(found);
            break;
        }
    }
    let commit = commit.ok_or_else(|| not(format!("there is no branch or commit {base}")))?;
    let common = git.ask(&["merge-base", "HEAD", &commit], None).await?;
    let common = common.ok_or_else(|| {
        not(format!(
            "HEAD and {base} have nothing in common, as far as was fetched"
        ))
    })?;
    let io = |source: std::io::Error| not(format!("{}: {source}", into.display()));
    crate::foundation::process::private::private_folder(into).map_err(io)?;
    let into = into.canonicalize().map_err(io)?;
    let (index, tree) = (into.join("index"), into.join("tree"));
    std::fs::create_dir(&tree).map_err(io)?;
    let read = git.ask(&["read-tree", &common], Some(&index)).await?;
    // It must end with a slash.
    let place = format!("--prefix={}/", tree.display());
    let wrote = git
        .ask(
            &["checkout-index", "--all", "--force", &place],
            Some(&index),
        )
        .await?;
    if read.is_none() || wrote.is_none() {
        return Err(not(format!("the files of {common} cannot be written")));
    }
    let project = tree.join(&prefix);
    if !project.join("dbt_project.yml").is_file() {
        return Err(not(format!("there was no dbt_project.yml at {common}")));
    }
    Ok(Began {
        commit: common,
        project,
    })
}

/// Lets the project as it was use the packages that are installed here, where both list the same; else dbt installs
/// them there.
///
/// # Errors
/// [`CiError::Git`] when they cannot be linked.
pub fn share_packages(here: &Path, packages: &Path, there: &Path) -> Result<(), CiError> {
    let lists = ["packages.yml", "dependencies.yml", "package-lock.yml"];
    let is_same = lists.iter().all(|file| {
        let (here, there) = (
            std::fs::read(here.join(file)),
            std::fs::read(there.join(file)),
        );
        here.ok() == there.ok()
    });
    let Ok(inside) = packages.strip_prefix(here) else {
        return Ok(());
    };
    let place = there.join(inside);
    if !is_same || !packages.is_dir() || place.exists() {
        return Ok(());
    }
    std::os::unix::fs::symlink(packages, &place)
        .map_err(|error| CiError::Git(format!("{}: {error}", place.display())))
}
