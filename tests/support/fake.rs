//! An executable that passes for dbt as far as a test wants.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A shell script in place of dbt.
pub struct FakeDbt {
    path: PathBuf,
}

impl FakeDbt {
    /// A dbt with this script for `--version` and this one for everything else.
    pub fn write(folder: &Path, version: &str, otherwise: &str) -> Self {
        let path = folder.join("dbt");
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n*--version*)\n{version}\n;;\n*)\n{otherwise}\n;;\nesac\n"
        );
        std::fs::create_dir_all(folder).expect("a folder");
        std::fs::write(&path, script).expect("a script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))
            .expect("an executable");
        Self { path }
    }

    /// The executable.
    pub fn path(&self) -> String {
        self.path.display().to_string()
    }
}

/// What a supported dbt says of itself.
pub const SUPPORTED: &str =
    "printf 'Core:\\n  - installed: 1.11.16\\n\\nPlugins:\\n  - materialize: 1.9.11\\n'";
