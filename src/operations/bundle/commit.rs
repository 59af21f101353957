//! Which commit is checked out, read from git's files: a bundle names it and nothing rests on it.

use crate::inputs::project::file::read_text;
use std::path::{Path, PathBuf};

/// The commit that is checked out in the repository around a folder; `None` where there is none or its files
/// do not say it plainly.
#[must_use]
pub fn commit(folder: &Path) -> Option<String> {
    let folder = folder.canonicalize().ok()?;
    let git = folder
        .ancestors()
        .map(|above| above.join(".git"))
        .find(|git| git.exists())?;
    let git = match git.is_file() {
        // A work tree beside the repository.
        true => pointed_to(&git, "gitdir: ")?,
        false => git,
    };
    let head = read_text(&git.join("HEAD")).ok()?;
    let Some(name) = head.trim().strip_prefix("ref: ") else {
        return hash(&head);
    };
    // Branches of a work tree are the repository's.
    let common = match git.join("commondir").is_file() {
        true => pointed_to(&git.join("commondir"), "")?,
        false => git,
    };
    if let Ok(loose) = read_text(&common.join(name)) {
        return hash(&loose);
    }
    let packed = read_text(&common.join("packed-refs")).ok()?;
    packed.lines().find_map(|line| {
        let (commit, packed) = line.split_once(' ')?;
        (packed == name).then(|| hash(commit)).flatten()
    })
}

/// The folder that a file of git names.
fn pointed_to(file: &Path, prefix: &str) -> Option<PathBuf> {
    let text = read_text(file).ok()?;
    let named = text.trim().strip_prefix(prefix)?;
    Some(file.parent()?.join(named))
}

fn hash(text: &str) -> Option<String> {
    let text = text.trim();
    let is_hash =
        matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::commit;
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    fn git(folder: &Path, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.arg("-C").arg(folder);
        git.args([
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "-c",
            "commit.gpgsign=false",
        ]);
        let done = git.args(arguments).output().expect("git");
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout)
            .expect("text")
            .trim()
            .to_owned()
    }

    #[test]
    fn the_commit_is_what_git_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = folder.path().join("a");
        let project = place.join("dbt/shop");
        fs::create_dir_all(&project).expect("a folder");
        git(&place, &["init", "--quiet", "--initial-branch", "main/x"]);
        assert_eq!(commit(&project), None, "nothing is committed");
        git(&place, &["commit", "--quiet", "--allow-empty", "-m", "one"]);
        let one = git(&place, &["rev-parse", "HEAD"]);
        assert_eq!(commit(&project), Some(one.clone()));
        git(&place, &["pack-refs", "--all"]);
        assert_eq!(commit(&project), Some(one.clone()), "packed");
        let beside = folder.path().join("b");
        let beside_text = beside.display().to_string();
        git(
            &place,
            &["worktree", "add", "--quiet", "-b", "other", &beside_text],
        );
        git(
            &beside,
            &["commit", "--quiet", "--allow-empty", "-m", "two"],
        );
        let two = git(&beside, &["rev-parse", "HEAD"]);
        assert_eq!(
            (commit(&beside), commit(&place)),
            (Some(two), Some(one.clone()))
        );
        git(&beside, &["checkout", "--quiet", "--detach", &one]);
        assert_eq!(commit(&beside), Some(one));
        fs::write(place.join(".git/HEAD"), "nonsense").expect("a file");
        assert_eq!(commit(&project), None);
    }
}
