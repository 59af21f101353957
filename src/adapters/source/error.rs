//! Why there is no work tree, and how that is treated.

use crate::domain::location::repository::{
    AddressProblem, NotACommit, NotAReference, NotASubfolder, Transport,
};
use crate::foundation::failure::{Class, Classify};
use crate::foundation::process::ProcessError;
use crate::inputs::settings::SecretError;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why a repository could not be used. No text holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The address may not be given to git.
    #[error("source.url: {0}")]
    Address(#[from] AddressProblem),
    /// The reference may not be given to git.
    #[error("source.ref: {0}")]
    Reference(#[from] NotAReference),
    /// What was recorded is no commit.
    #[error(transparent)]
    Revision(#[from] NotACommit),
    /// The folder is none of the repository's.
    #[error("source.subfolder: {0}")]
    Subfolder(#[from] NotASubfolder),
    /// The folder leads out of the work tree by a symbolic link.
    #[error("source.subfolder: {} leads out of the repository by a symbolic link", path.display())]
    Outside {
        /// The folder or file.
        path: PathBuf,
    },
    /// The password cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A file of the configuration that git or ssh is to be given cannot be used.
    #[error("{key}: {} cannot be used: {problem}", path.display())]
    AccessFile {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The password has more than one line, or the username does.
    #[error("source.password: a password for git has one line")]
    Lines,
    /// The repository has no such branch or tag.
    #[error("{address} has no branch or tag {name:?}")]
    UnknownReference {
        /// The repository.
        address: String,
        /// What was asked for.
        name: String,
    },
    /// The repository does not give this commit.
    #[error("{address} does not give the commit {revision}: {said}")]
    Gone {
        /// The repository.
        address: String,
        /// The commit.
        revision: String,
        /// What git says.
        said: String,
    },
    /// A commit has nothing in common with what it goes to.
    #[error("{revision} and {base} of {address} have no commit in common")]
    Apart {
        /// The repository.
        address: String,
        /// The commit.
        revision: String,
        /// What it goes to.
        base: String,
    },
    /// The repository does not let us in.
    #[error("{address} denies access: {said}")]
    Authentication {
        /// The repository.
        address: String,
        /// How it is reached.
        transport: Transport,
        /// What git says.
        said: String,
    },
    /// Nobody who is trusted vouches for the server.
    #[error("{address} is not trusted: {said}")]
    Untrusted {
        /// The repository.
        address: String,
        /// How it is reached.
        transport: Transport,
        /// What git says.
        said: String,
    },
    /// The repository does not answer, or is not there.
    #[error("{address} cannot be reached: {said}")]
    Unreachable {
        /// The repository.
        address: String,
        /// What git says.
        said: String,
    },
    /// It took too long.
    #[error("{address} was not fetched within {}", humantime::format_duration(*timeout))]
    Deadline {
        /// The repository.
        address: String,
        /// The time it had.
        timeout: Duration,
    },
    /// git cannot be run to its end.
    #[error("git cannot be run")]
    Process(#[source] ProcessError),
    /// git failed otherwise.
    #[error("`git {command}` failed with exit code {code}: {said}")]
    Git {
        /// Its command.
        command: String,
        /// Its exit code.
        code: i32,
        /// What it says.
        said: String,
    },
    /// The commit has a symbolic link that leads out of it.
    #[error("link-outside: the symbolic link {} of {address} leads out of the repository", path.display())]
    LinkOutside {
        /// The repository.
        address: String,
        /// The link, within the repository.
        path: PathBuf,
    },
    /// The commit brings programs along.
    #[error(
        "tracked-environment: {path:?} of {address} belongs to an environment of Python, which is not to be in a repository"
    )]
    TrackedEnvironment {
        /// The repository.
        address: String,
        /// One file of it.
        path: String,
    },
    /// The folder of the commit holds no dbt project.
    #[error(
        "{address} has no dbt_project.yml in {}{}",
        place(subfolder),
        known(found)
    )]
    NoProject {
        /// The repository.
        address: String,
        /// The folder that was looked in.
        subfolder: PathBuf,
        /// Folders that hold one.
        found: Vec<String>,
    },
    /// Nothing was fetched yet.
    #[error("{address} is not fetched: {} does not hold a whole commit of it", tree.display())]
    NotFetched {
        /// The repository.
        address: String,
        /// The work tree.
        tree: PathBuf,
    },
    /// Another process works in the tree.
    #[error("another process works in {}, which holds another commit", tree.display())]
    Busy {
        /// The work tree.
        tree: PathBuf,
    },
    /// A file or folder of ours cannot be used.
    #[error("{} cannot be {action}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// `created`, `removed`, …
        action: &'static str,
        /// Why.
        source: io::Error,
    },
}

fn place(subfolder: &std::path::Path) -> String {
    match subfolder.as_os_str().is_empty() {
        true => "its root".to_owned(),
        false => subfolder.display().to_string(),
    }
}

fn known(found: &[String]) -> String {
    match found.is_empty() {
        true => String::new(),
        false => format!("; there is one in {}", found.join(", ")),
    }
}

impl Classify for SourceError {
    fn class(&self) -> Class {
        match self {
            Self::Address(_)
            | Self::Reference(_)
            | Self::Revision(_)
            | Self::Subfolder(_)
            | Self::Outside { .. }
            | Self::AccessFile { .. }
            | Self::Lines
            | Self::UnknownReference { .. }
            | Self::Untrusted { .. }
            | Self::Authentication { .. }
            | Self::NoProject { .. }
            | Self::TrackedEnvironment { .. }
            | Self::LinkOutside { .. }
            | Self::NotFetched { .. }
            | Self::Apart { .. } => Class::Usage,
            Self::Secret(error) => error.class(),
            Self::Gone { .. } | Self::Busy { .. } => Class::Refused,
            Self::Unreachable { .. } | Self::Deadline { .. } => Class::Transient,
            Self::Git { .. } | Self::File { .. } => Class::Transient,
            Self::Process(error) => match error {
                ProcessError::Start { .. } => Class::Usage,
                ProcessError::Cancelled { .. } => Class::Interrupted,
                ProcessError::Deadline { .. }
                | ProcessError::Signalled { .. }
                | ProcessError::Wait { .. } => Class::Transient,
                ProcessError::Record(error) => error.class(),
            },
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Address(problem) => problem.remedy(),
            Self::Reference(_) | Self::UnknownReference { .. } => {
                "correct source.ref: a branch, a tag, a reference that begins with refs/, or a whole commit hash"
            }
            Self::Subfolder(_) | Self::Outside { .. } => "name a folder of the repository",
            Self::NoProject { .. } => "correct source.subfolder",
            Self::LinkOutside { .. } => "put the file itself into the repository",
            Self::TrackedEnvironment { .. } => {
                "remove it from the repository and ignore it there (.gitignore)"
            }
            Self::Secret(error) => return error.hint(),
            Self::AccessFile { .. } => {
                "name a file that can be read; a relative path begins beside the configuration file"
            }
            Self::Untrusted {
                transport: Transport::Https,
                ..
            } => {
                "name the file with its authority's certificate in source.ca_file; a certificate that has ended or is for another host must be renewed by whoever runs the server"
            }
            Self::Untrusted { .. } => {
                "put the host's key, as whoever runs the server gives it, into the file of source.known_hosts; ask them also when it has changed"
            }
            Self::Lines => "write the password alone on one line",
            Self::Apart { .. } => {
                "name the branch that it goes to, or build everything that differs"
            }
            Self::Gone { .. } => {
                "it was taken out of the repository, by a forced push for example; put it back, or abort the deployment that was planned from it"
            }
            Self::Authentication {
                transport: Transport::Https,
                ..
            } => "check source.username and source.password, and that they may read the repository",
            Self::Authentication { .. } => {
                "check source.ssh_key, that only its owner may read the file, that the key has no passphrase, and that it may read the repository"
            }
            Self::Unreachable { .. } => {
                "check source.url, that the credentials may read it, and the network; the same command can be run again"
            }
            Self::Deadline { .. } => "raise source.fetch_timeout when it merely needs longer",
            Self::Process(ProcessError::Start { .. }) => "install git, 2.32 or newer, on the PATH",
            Self::NotFetched { .. } => "`cutover plan` and `cutover deploy` fetch it",
            Self::Busy { .. } => "wait until it has ended, then run the command again",
            Self::File { .. } => "check the folder's permissions and the free space",
            Self::Revision(_) | Self::Process(_) | Self::Git { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
