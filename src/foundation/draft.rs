//! A file that is written whole or not at all, and only where it is still as it was looked at.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Where.
    pub path: PathBuf,
    /// What it said when it was looked at; `None` where there was none.
    pub before: Option<String>,
    /// What it is to say.
    pub after: String,
}

impl Draft {
    /// Writes it.
    ///
    /// # Errors
    /// The system's; a file that somebody changed, or made, meanwhile.
    pub fn write(&self) -> io::Result<()> {
        match &self.before {
            Some(before) => self.replace(before),
            None => self.create(),
        }
    }

    fn replace(&self, before: &str) -> io::Result<()> {
        // Where the name is a link, the file behind it is meant.
        let path = self.path.canonicalize()?;
        let permissions = std::fs::metadata(&path)?.permissions();
        let draft = self.draft(&path)?;
        let replaced = std::fs::set_permissions(&draft, permissions).and_then(|()| {
            match std::fs::read(&path)? == before.as_bytes() {
                true => std::fs::rename(&draft, &path),
                false => Err(io::Error::other("somebody changed it meanwhile")),
            }
        });
        cleared(&draft, replaced)
    }

    fn create(&self) -> io::Result<()> {
        let draft = self.draft(&self.path)?;
        // Unlike a rename, a link takes nobody's place.
        let linked = std::fs::hard_link(&draft, &self.path);
        cleared(&draft, linked)
    }

    /// The text in a file beside the one that is meant.
    fn draft(&self, path: &Path) -> io::Result<PathBuf> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let draft = path.with_file_name(format!(".{name}.{}", uuid::Uuid::now_v7()));
        let written = File::create_new(&draft).and_then(|mut file| {
            file.write_all(self.after.as_bytes())?;
            file.sync_all()
        });
        match written {
            Ok(()) => Ok(draft),
            Err(error) => cleared(&draft, Err(error)),
        }
    }
}

/// Takes a draft away that did not become the file.
fn cleared<T>(draft: &Path, done: io::Result<T>) -> io::Result<T> {
    match std::fs::remove_file(draft) {
        Ok(()) => done,
        Err(error) if error.kind() == ErrorKind::NotFound => done,
        Err(error) => {
            let stays = format!("{} stays: {error}", draft.display());
            done.and(Err(io::Error::new(error.kind(), stays)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Draft;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_written_only_as_it_was_looked_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("dbt_project.yml");
        let draft = |before: Option<&str>| Draft {
            path: path.clone(),
            before: before.map(str::to_owned),
            after: "new\n".to_owned(),
        };
        draft(None).write().expect("written");
        let error = draft(None).write().expect_err("it is there");
        assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
        std::fs::write(&path, "old\n").expect("written");
        let mode = std::fs::Permissions::from_mode(0o640);
        std::fs::set_permissions(&path, mode).expect("changed");
        let error = draft(Some("older\n")).write().expect_err("it changed");
        assert!(
            error.to_string().contains("somebody changed it"),
            "{error:?}"
        );
        draft(Some("old\n")).write().expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("text"), "new\n");
        let mode = std::fs::metadata(&path).expect("it is there").permissions();
        assert_eq!(mode.mode() & 0o777, 0o640);
        // No draft stays.
        let files = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(files, 1);
    }
}
