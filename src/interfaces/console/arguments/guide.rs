//! `help`, `explain`, `completions`, `man`

use clap::{Args, Command};
use clap_complete::Shell;
use std::ffi::OsString;
use std::path::PathBuf;

/// `cutover help`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Help {
    /// A command (`deploy`, `ci build`) or a topic: releases, promotion, recovery, ci, configuration
    #[arg(value_name = "COMMAND|TOPIC")]
    pub words: Vec<String>,
}

/// `cutover explain`
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  cutover explain outside-dependent
  cutover --explain outside-dependent     the same
  cutover explain                         every name")]
pub struct Explain {
    /// The name of the refusal, as it was shown [default: lists them]
    #[arg(value_name = "REFUSAL")]
    pub name: Option<String>,
}

/// `cutover completions`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(after_help = "\
Examples:
  cutover completions bash > ~/.local/share/bash-completion/completions/cutover
  cutover completions zsh > ~/.zfunc/_cutover      with ~/.zfunc in $fpath
  cutover completions fish > ~/.config/fish/completions/cutover.fish

The Debian package brings them.")]
pub struct Completions {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// `cutover man`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct Man {
    /// An existing folder, into which they are written
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// The arguments of the process in the one form that is read: `--explain NAME` is `explain NAME`, and `ci help build`
/// is `help ci build`.
pub(super) fn rewritten(given: impl Iterator<Item = OsString>, program: &Command) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = given.collect();
    let word = |at: usize| arguments.get(at).and_then(|word| word.to_str());
    let Some(first) = word(1) else {
        return arguments;
    };
    let groups = program.find_subcommand(first);
    if word(2) == Some("help") && groups.is_some_and(Command::has_subcommands) {
        arguments.swap(1, 2);
        return arguments;
    }
    let words: Vec<OsString> = match (first, first.strip_prefix("--explain=")) {
        ("--explain", _) => vec!["explain".into()],
        (_, Some(name)) => vec!["explain".into(), name.into()],
        (_, None) => return arguments,
    };
    arguments.splice(1..2, words);
    arguments
}
