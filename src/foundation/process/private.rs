//! Folders that nobody else may look into.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// Makes a folder that only this user may look into: compiled SQL and logs say more than the project does.
///
/// # Errors
/// The system's.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    // An earlier version may have made it.
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_runs_folder_is_its_users_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let (old, new) = (folder.path().join("old"), folder.path().join("a/new"));
        std::fs::create_dir(&old).expect("a folder");
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&old, open).expect("changed");
        for place in [old, new.clone(), new] {
            super::private_folder(&place).expect("made");
            let mode = std::fs::metadata(&place)
                .expect("it is there")
                .permissions();
            assert_eq!(mode.mode() & 0o777, 0o700, "{}", place.display());
        }
    }
}
