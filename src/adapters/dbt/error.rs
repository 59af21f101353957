//! What can go wrong with dbt, and how it is treated.

use crate::adapters::dbt::version::INSTALL;
use crate::foundation::failure::{Class, Classify};
use crate::foundation::process::ProcessError;
use crate::inputs::selection::exact::SelectorError;
use std::io;
use std::path::PathBuf;

/// Why dbt did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no dbt.
    #[error("no dbt was found; looked for {}", join(looked))]
    NotFound {
        /// Where it was looked for, in order.
        looked: Vec<PathBuf>,
    },
    /// There is to be no dbt.
    #[error("this needs dbt, and a bundle is released without it")]
    NoDbt,
    /// The dbt that the settings name is not there.
    #[error("`dbt.executable` names {}, which is not an executable file", path.display())]
    NotExecutable {
        /// What the setting says.
        path: PathBuf,
    },
    /// The repository around the project brings its own dbt.
    #[error(
        "tracked-environment: {} is part of the repository; what is in it would be run by whoever plans a commit",
        path.display()
    )]
    Tracked {
        /// The Python environment.
        path: PathBuf,
    },
    /// It cannot be told whether the repository around the project brings its own dbt.
    #[error("it is not known whether {} is part of the repository: {problem}", path.display())]
    MayBeTracked {
        /// The Python environment.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// This dbt cannot be used.
    #[error("{} cannot be used: {problem}", path.display())]
    Unsupported {
        /// The executable.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// dbt did not run to its own end.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A node cannot be selected.
    #[error(transparent)]
    Selector(#[from] SelectorError),
    /// dbt could not reach the database.
    #[error("`dbt {command}` could not connect to the database: {message}")]
    Connection {
        /// The dbt command.
        command: &'static str,
        /// What dbt says.
        message: String,
    },
    /// A node asked the database while it was compiled, and was not to.
    #[error("`dbt {command}`: {file} asks the database while it is compiled")]
    Introspected {
        /// The dbt command.
        command: &'static str,
        /// The node's file, relative to its package.
        file: String,
    },
    /// dbt failed as a whole, not merely one of its nodes.
    #[error("`dbt {command}` failed with exit code {code}: {message}")]
    Failed {
        /// The dbt command.
        command: &'static str,
        /// Its exit code.
        code: i32,
        /// What dbt says.
        message: String,
    },
    /// dbt ended well without the file that it should have written.
    #[error("`dbt {command}` ended without writing {}", path.display())]
    Artifact {
        /// The dbt command.
        command: &'static str,
        /// The missing file.
        path: PathBuf,
    },
    /// dbt would take an empty selection for "everything".
    #[error("`dbt {command}` was asked to run without a selected node")]
    NothingSelected {
        /// The dbt command.
        command: &'static str,
    },
    /// The command line would be longer than the system takes.
    #[error(
        "selecting {nodes} nodes makes a command line of {bytes} bytes, more than the {limit} that are safe"
    )]
    TooLong {
        /// Selected nodes.
        nodes: usize,
        /// The size of arguments and environment.
        bytes: usize,
        /// What is safe.
        limit: usize,
    },
    /// A working file cannot be used.
    #[error("{} cannot be {action}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// `created`, `written`, `removed`, …
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The profile's output cannot be written as a profile.
    #[error("the output {target:?} of the profile {profile:?} is not a mapping that can be copied")]
    Profile {
        /// The profile.
        profile: String,
        /// The target.
        target: String,
    },
}

fn join(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
    paths.join(", ")
}

impl Classify for BuildError {
    fn class(&self) -> Class {
        match self {
            Self::NotFound { .. }
            | Self::NoDbt
            | Self::NotExecutable { .. }
            | Self::Unsupported { .. }
            | Self::Tracked { .. }
            | Self::MayBeTracked { .. }
            | Self::NothingSelected { .. }
            | Self::Profile { .. }
            | Self::Selector(_) => Class::Usage,
            Self::TooLong { .. } => Class::Refused,
            Self::Connection { .. } | Self::File { .. } => Class::Transient,
            Self::Failed { .. } | Self::Artifact { .. } | Self::Introspected { .. } => {
                Class::Permanent
            }
            Self::Process(error) => match error {
                ProcessError::Start { .. } => Class::Usage,
                ProcessError::Cancelled { .. } => Class::Interrupted,
                ProcessError::Deadline { .. } | ProcessError::Signalled { .. } => Class::Permanent,
                ProcessError::Wait { .. } => Class::Stuck,
                ProcessError::Record(error) => error.class(),
            },
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } => Some(format!(
                "install it into the project's .venv: {INSTALL}; or set `dbt.executable`"
            )),
            Self::NoDbt => Some(
                "do it where the project and dbt are, without --bundle and source.bundle"
                    .to_owned(),
            ),
            Self::Tracked { .. } => Some(
                "remove it from the repository, or set `dbt.executable` to one that you trust"
                    .to_owned(),
            ),
            Self::MayBeTracked { .. } => {
                Some("set `dbt.executable` to the one that you trust".to_owned())
            }
            Self::NotExecutable { .. } => Some("correct `dbt.executable`".to_owned()),
            Self::Unsupported { .. } => Some(format!(
                "install a dbt that is supported into the project's .venv: {INSTALL}; or set `dbt.executable`"
            )),
            Self::TooLong { .. } => Some(
                "plan fewer schemas at a time: split the entry in `vars.deployment`".to_owned(),
            ),
            Self::Process(ProcessError::Deadline { .. }) => Some(
                "raise `dbt.command_timeout` or `dbt.build_timeout` when dbt merely needs longer"
                    .to_owned(),
            ),
            Self::Process(ProcessError::Record(error)) => error.hint(),
            Self::Failed { message, .. } if message.contains("Env var required but not provided") => {
                Some(
                    "set it; where it is set, name it in `dbt.environment` of the configuration, since dbt is not given every variable"
                        .to_owned(),
                )
            }
            Self::Selector(_) => Some("rename one of the nodes".to_owned()),
            Self::Process(_)
            | Self::Connection { .. }
            | Self::Introspected { .. }
            | Self::Failed { .. }
            | Self::Artifact { .. }
            | Self::NothingSelected { .. }
            | Self::File { .. }
            | Self::Profile { .. } => None,
        }
    }
}
