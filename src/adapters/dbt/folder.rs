//! Folders and files of a run.

use super::error::BuildError;
use crate::foundation::process::private::private_folder;
use std::io;
use std::path::Path;

/// As [`private_folder`].
pub(super) fn create(folder: &Path) -> Result<(), BuildError> {
    private_folder(folder).map_err(|source| BuildError::File {
        path: folder.to_owned(),
        action: "created",
        source,
    })
}

/// Removes a file, where it is there.
pub(super) fn remove(path: &Path) -> Result<(), BuildError> {
    gone(path, std::fs::remove_file(path))
}

/// Removes a folder with all that is in it, where it is there.
pub(super) fn remove_folder(path: &Path) -> Result<(), BuildError> {
    gone(path, std::fs::remove_dir_all(path))
}

fn gone(path: &Path, removed: io::Result<()>) -> Result<(), BuildError> {
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(BuildError::File {
            path: path.to_owned(),
            action: "removed",
            source,
        }),
        Ok(()) | Err(_) => Ok(()),
    }
}
