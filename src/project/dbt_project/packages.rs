//! Which packages a project lists, and whether they are there.

use std::path::{Path, PathBuf};

use serde_yaml::Value;

use super::super::document::{Document, Fault, kind};
use super::Error;

/// The packages of a project, counted as dbt counts them before it parses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packages {
    /// `packages.yml` or `dependencies.yml`, whichever lists packages.
    pub file: Option<PathBuf>,
    /// `package-lock.yml`, when `dbt deps` has written one.
    pub lock_file: Option<PathBuf>,
    /// How many are listed.
    pub listed: usize,
    /// How many directories are installed.
    pub installed: usize,
}

impl Packages {
    /// Looks into a project directory.
    pub(super) fn find(dir: &Path, install_path: &Path) -> Result<Self, Error> {
        let (packages, dependencies) = (dir.join("packages.yml"), dir.join("dependencies.yml"));
        let (file, listed) = match (listed(&packages)?, listed(&dependencies)?) {
            (Some(_), Some(_)) => return Err(Error::TwoPackageLists { file: dependencies }),
            (Some(count), None) => (Some(packages), count),
            (None, Some(count)) => (Some(dependencies), count),
            (None, None) => (None, 0),
        };
        let lock_file = Some(dir.join("package-lock.yml")).filter(|lock| lock.is_file());
        Ok(Self {
            file,
            lock_file,
            listed,
            installed: installed(install_path),
        })
    }

    /// Whether `dbt deps` must run first: dbt's own rule, fewer directories than entries.
    pub fn needs_install(&self) -> bool {
        self.listed > self.installed
    }
}

fn listed(file: &Path) -> Result<Option<usize>, Error> {
    if !file.is_file() {
        return Ok(None);
    }
    let document = Document::read(file)?;
    match document.root.get("packages") {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(0)),
        Some(Value::Sequence(packages)) => Ok(Some(packages.len())),
        Some(other) => {
            let what = format!("expected a list of packages, found {}", kind(other));
            let fault = Fault::new(document.place(&["packages".into()]), what);
            Err(Error::Invalid(vec![
                fault.remedy("write one `- package: …` entry for each"),
            ]))
        }
    }
}

/// A directory that cannot be listed holds no packages that dbt could use either.
fn installed(install_path: &Path) -> usize {
    let entries = std::fs::read_dir(install_path)
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter(|entry| {
            entry.path().is_dir() && !entry.file_name().to_string_lossy().starts_with("__")
        })
        .count()
}
