//! Revisions of pull requests: a work tree for each, whose commits they are, and where they began.
//!
//! A commit is the repository's own when somebody who may push to it put it there:
//!
//! 1. It is what a branch, a tag or `HEAD` of the repository is, asked for by that name.
//! 2. Or one of the branches of the repository holds it.
//! 3. Or it is the merge of a request that the platform made (`refs/pull/N/merge`, `refs/merge-requests/N/merge`), and
//!    the branches of the repository hold each of its parents.
//!
//! Everything else is a fork's: platforms give commits of forks by their hash, and as `refs/pull/N/head`. Which name a
//! commit was found under says nothing where somebody else moves that name, so parents are read from the commit itself.

use super::error::SourceError;
use super::git::Git;
use super::tree::{self, Lock};
use super::{Checkout, Source};
use crate::domain::location::repository::{Reference, Revision};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How much of the history is fetched, one after the other, until it says what is asked. The last one is all of it, as
/// git spells that.
const DEPTHS: [u32; 3] = [50, 1000, 2_147_483_647];

/// Where the branches of the repository are put.
const BRANCHES: &str = "refs/cutover/heads";
/// Where what a request goes to is put.
const BASE: &str = "refs/cutover/base";

/// Names under which platforms keep the merge of a request; nobody pushes to them.
const MERGES: [&str; 2] = ["refs/pull/*/merge", "refs/merge-requests/*/merge"];

impl Source {
    /// The same repository with a work tree of its own for what is called so, at another reference.
    #[must_use]
    pub fn beside(&self, name: &str, reference: Reference) -> Self {
        let folder = self.requests().join(name);
        Self {
            reference: Some(reference),
            lock: Arc::new(Lock::of(&folder)),
            folder,
            ..self.clone()
        }
    }

    /// What is fetched where nothing else is said: what the settings name, or `HEAD`.
    #[must_use]
    pub fn followed(&self) -> Reference {
        let named = self.reference.clone();
        named.unwrap_or_else(|| Reference::Full("HEAD".to_owned()))
    }

    /// Where the profile of a request belongs.
    #[must_use]
    pub fn profiles(&self) -> PathBuf {
        self.folder.join("profiles")
    }

    /// The folder with the work trees of requests.
    fn requests(&self) -> PathBuf {
        self.folder.join("requests")
    }

    /// The names of the requests that have a work tree here.
    #[must_use]
    pub fn request_names(&self) -> Vec<String> {
        let Ok(listed) = std::fs::read_dir(self.requests()) else {
            return Vec::new();
        };
        let folders = listed.flatten().filter(|entry| {
            // A link is none of ours.
            entry.file_type().is_ok_and(|kind| kind.is_dir())
        });
        let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
        names.collect()
    }

    /// Removes the work tree of a request and everything around it. False when somebody works in it.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn forget_request(&self, name: &str) -> Result<bool, SourceError> {
        let folder = self.requests().join(name);
        if !folder.is_dir() {
            return Ok(true);
        }
        // Held until all of it is gone.
        let lock = Lock::of(&folder);
        if !lock.take(true)? {
            return Ok(false);
        }
        tree::remove_all(&folder)?;
        Ok(true)
    }

    /// Whether a commit that was fetched is the repository's own, by the rules at the top.
    ///
    /// # Errors
    /// The repository's.
    pub async fn is_own(
        &self,
        revision: &Revision,
        cancel: &CancellationToken,
    ) -> Result<bool, SourceError> {
        let named = match &self.reference {
            // Only who may push moves these.
            None | Some(Reference::Name(_)) => return Ok(true),
            Some(Reference::Full(name)) if is_of_pushers(name) => return Ok(true),
            Some(Reference::Full(name)) => Some(name.as_str()),
            Some(Reference::Commit(_)) => None,
        };
        let git = self.git(cancel)?;
        let parents = parents(&git, revision.as_str()).await?;
        let is_merge = match named {
            _ if parents.len() < 2 => false,
            Some(name) => is_merge_of_request(name),
            None => {
                let merges = self.listed(&git, &MERGES).await?;
                let mut merges = merges.iter();
                merges
                    .any(|(commit, name)| commit == revision.as_str() && is_merge_of_request(name))
            }
        };
        if is_merge {
            return self.on_branches(&git, parents).await;
        }
        let alone = vec![revision.to_string()];
        self.on_branches(&git, alone).await
    }

    /// Whether branches of the repository hold all of these commits.
    async fn on_branches(
        &self,
        git: &Git<'_>,
        mut commits: Vec<String>,
    ) -> Result<bool, SourceError> {
        let branches = self.listed(git, &["refs/heads/*"]).await?;
        let is_tip = |commit: &String| branches.iter().any(|(tip, _)| tip == commit);
        commits.retain(|commit| !is_tip(commit));
        for depth in DEPTHS {
            if commits.is_empty() {
                return Ok(true);
            }
            let branches = format!("+refs/heads/*:{BRANCHES}/*");
            // A branch that is gone vouches for nothing any more.
            self.fetch_history(git, depth, &["--prune"], &[branches])
                .await?;
            let mut open = Vec::new();
            for commit in commits {
                let contains = format!("--contains={commit}");
                let asked = ["for-each-ref", "--count=1", &contains, BRANCHES];
                // A commit that is not here is an error to git, and on none of the branches so far.
                let held = git.local(&asked).await.unwrap_or_default();
                if held.trim().is_empty() {
                    open.push(commit);
                }
            }
            commits = open;
        }
        Ok(commits.is_empty())
    }

    /// Writes the project as it was where the fetched commit left `base` into `into`, which must not exist: the last
    /// commit that both have in common.
    ///
    /// # Errors
    /// An unknown `base`; nothing in common; no project there.
    pub async fn began(
        &self,
        revision: &Revision,
        base: &Reference,
        into: &Path,
        cancel: &CancellationToken,
    ) -> Result<Checkout, SourceError> {
        let git = self.git(cancel)?;
        let common = self.common(&git, revision, base).await?;
        let failed = |source| SourceError::File {
            path: into.to_owned(),
            action: "created",
            source,
        };
        crate::foundation::process::private::private_folder(into).map_err(failed)?;
        let into = into.canonicalize().map_err(failed)?;
        let tree = into.join("tree");
        std::fs::create_dir(&tree).map_err(failed)?;
        // The index of the work tree says what that one holds.
        let beside = git.with_index(&into.join("index"));
        beside.local(&["read-tree", common.as_str()]).await?;
        // It must end with a slash.
        let place = format!("--prefix={}/", tree.display());
        let written = ["checkout-index", "--quiet", "--all", "--force", &place];
        beside.local(&written).await?;
        self.refuse_links_outside(&tree)?;
        match self.project(&tree)? {
            Some(folder) => Ok(Checkout {
                revision: common,
                folder,
                author: None,
            }),
            None => Err(self.no_project(Vec::new())),
        }
    }

    /// The last commit that the fetched one and `base` have in common.
    async fn common(
        &self,
        git: &Git<'_>,
        revision: &Revision,
        base: &Reference,
    ) -> Result<Revision, SourceError> {
        let own = self.reference.iter().flat_map(Reference::names);
        let own = std::iter::once(revision.to_string()).chain(own);
        let own: Vec<String> = own
            .map(|name| format!("+{name}:refs/cutover/fetched"))
            .collect();
        let names = match base {
            Reference::Commit(commit) => vec![commit.to_string()],
            Reference::Full(_) | Reference::Name(_) => base.names(),
        };
        let bases: Vec<String> = names.iter().map(|name| format!("+{name}:{BASE}")).collect();
        for depth in DEPTHS {
            // A server that gives no hashes gives what the reference is.
            self.first_of(git, depth, &own).await?;
            self.first_of(git, depth, &bases).await?;
            let found = git.local(&["merge-base", revision.as_str(), BASE]).await;
            if let Ok(found) = found
                && let Some(found) = found.lines().next()
            {
                return Ok(found.trim().parse()?);
            }
        }
        Err(SourceError::Apart {
            address: self.address.to_string(),
            revision: revision.to_string(),
            base: base.to_string(),
        })
    }

    /// Fetches the first of these that the repository has.
    async fn first_of(
        &self,
        git: &Git<'_>,
        depth: u32,
        refspecs: &[String],
    ) -> Result<(), SourceError> {
        let mut missing = None;
        for refspec in refspecs {
            let one = std::slice::from_ref(refspec);
            match self.fetch_history(git, depth, &[], one).await {
                Err(error @ SourceError::Gone { .. }) => missing = missing.or(Some(error)),
                ended => return ended,
            }
        }
        missing.map_or(Ok(()), Err)
    }

    async fn fetch_history(
        &self,
        git: &Git<'_>,
        depth: u32,
        more: &[&str],
        refspecs: &[String],
    ) -> Result<(), SourceError> {
        let mut arguments = vec![
            "fetch".to_owned(),
            "--quiet".to_owned(),
            format!("--depth={depth}"),
        ];
        let options = [
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--force",
        ];
        let options = options.iter().chain(more);
        arguments.extend(options.map(|&option| option.to_owned()));
        arguments.extend(["--".to_owned(), self.address.to_string()]);
        arguments.extend_from_slice(refspecs);
        git.reach(&arguments).await.map(|_| ())
    }

    /// What the repository lists under names like these: commit and name.
    async fn listed(
        &self,
        git: &Git<'_>,
        patterns: &[&str],
    ) -> Result<Vec<(String, String)>, SourceError> {
        let mut arguments: Vec<String> = ["ls-remote", "--quiet", "--", self.address.as_str()]
            .map(str::to_owned)
            .to_vec();
        arguments.extend(patterns.iter().map(|&pattern| pattern.to_owned()));
        let listed = git.reach(&arguments).await?;
        let pairs = listed.lines().filter_map(|line| line.split_once('\t'));
        let pairs = pairs.map(|(commit, name)| (commit.to_owned(), name.to_owned()));
        Ok(pairs.collect())
    }
}

/// Whether only who may push to the repository moves the name.
fn is_of_pushers(name: &str) -> bool {
    name == "HEAD" || name.starts_with("refs/heads/") || name.starts_with("refs/tags/")
}

/// Whether a platform keeps the merge of a request under the name. Patterns of git match across slashes.
fn is_merge_of_request(name: &str) -> bool {
    let number = ["refs/pull/", "refs/merge-requests/"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix)?.strip_suffix("/merge"));
    number.is_some_and(|number| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The parents of a commit as it says them itself; what is known of a shallow history says less.
async fn parents(git: &Git<'_>, commit: &str) -> Result<Vec<String>, SourceError> {
    let text = git.local(&["cat-file", "commit", commit]).await?;
    let head = text.lines().take_while(|line| !line.is_empty());
    let parents = head.filter_map(|line| line.strip_prefix("parent "));
    Ok(parents.map(|parent| parent.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::{is_merge_of_request, is_of_pushers};

    #[test]
    fn names_say_who_moves_them() {
        for name in ["HEAD", "refs/heads/a/b", "refs/tags/v1"] {
            assert!(is_of_pushers(name), "{name}");
        }
        for name in ["refs/pull/7/head", "refs/pull/7/merge", "refs/headsx/a"] {
            assert!(!is_of_pushers(name), "{name}");
        }
        for name in ["refs/pull/7/merge", "refs/merge-requests/12/merge"] {
            assert!(is_merge_of_request(name), "{name}");
        }
        for name in [
            "refs/pull/7/head",
            "refs/pull//merge",
            "refs/pull/a/merge",
            "refs/pull/7/x/merge",
            "refs/heads/refs/pull/7/merge",
        ] {
            assert!(!is_merge_of_request(name), "{name}");
        }
    }
}
