//! Whether a file of a git work tree is part of the repository, so that whoever may propose a commit wrote it.

use std::path::Path;
use std::process::{Command, Stdio};

/// Whether git tracks `name`, or anything in it, in `folder`. False where the folder lies in no repository.
///
/// # Errors
/// When there is a repository and git does not say.
pub(super) fn is_tracked(folder: &Path, name: &str) -> Result<bool, String> {
    if !folder.ancestors().any(|above| above.join(".git").exists()) {
        return Ok(false);
    }
    let said = Command::new("git")
        .arg("-C")
        .arg(folder)
        // Only files are listed, so whose they are does not matter, and nothing else is to be run.
        .args(["-c", "safe.directory=*", "-c", "core.fsmonitor=false"])
        .args(["ls-files", "-z", "--", name])
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_LITERAL_PATHSPECS", "1")
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("git cannot be run: {error}"))?;
    if !said.status.success() {
        let why = String::from_utf8_lossy(&said.stderr);
        return Err(format!("`git ls-files` failed: {}", why.trim()));
    }
    Ok(!said.stdout.is_empty())
}

#[cfg(test)]
mod tests {
    use super::is_tracked;
    use std::path::Path;
    use std::process::Command;

    fn git(folder: &Path, arguments: &[&str]) {
        let mut command = Command::new("git");
        let done = command.arg("-C").arg(folder).args(arguments).output();
        assert!(done.expect("git").status.success(), "{arguments:?}");
    }

    #[test]
    fn only_what_is_in_the_index_is_tracked() {
        let folder = tempfile::tempdir().expect("a folder");
        let project = folder.path().join("dbt");
        for name in [".venv/bin", "venv/bin", "target"] {
            std::fs::create_dir_all(project.join(name)).expect("a folder");
        }
        let tracked = |name| is_tracked(&project, name);
        std::fs::write(project.join(".venv/bin/dbt"), "").expect("a file");
        std::fs::write(project.join("venv/bin/dbt"), "").expect("a file");
        assert_eq!(tracked(".venv"), Ok(false), "no repository");
        git(folder.path(), &["init", "--quiet"]);
        assert_eq!(tracked(".venv"), Ok(false), "not added");
        git(folder.path(), &["add", "dbt/.venv/bin/dbt"]);
        assert_eq!((tracked(".venv"), tracked("venv")), (Ok(true), Ok(false)));
        // A link that is tracked leads wherever its author wants.
        std::os::unix::fs::symlink(project.join("target"), project.join("env")).expect("a link");
        git(folder.path(), &["add", "dbt/env"]);
        assert_eq!(tracked("env"), Ok(true));
        std::fs::write(folder.path().join(".git/index"), "broken").expect("a file");
        assert!(tracked("venv").is_err_and(|why| why.contains("ls-files")));
    }
}
