//! What a project's folder holds, as one short text: equal texts mean that dbt would read the same.
//!
//! Counted are `dbt_project.yml`, the files that list variables, packages and selectors, the folders that
//! `dbt_project.yml` names (all files of the project where a name is a template), and local
//! packages. Not counted: profiles, what git, Python and dbt put there themselves, and installed
//! packages, for which the lock file stands. It is cheap, not a proof: files over 16 MiB count by
//! size and time of change.

use crate::inputs::project::document::Document;
use serde_yaml::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Files of the project's root that dbt reads.
const FILES: &[&str] = &[
    "dbt_project.yml",
    "packages.yml",
    "dependencies.yml",
    "package-lock.yml",
    "selectors.yml",
    "vars.yml",
];
/// Keys of `dbt_project.yml` that name folders, with what dbt takes when they are not given.
const FOLDERS: &[(&str, &str)] = &[
    ("model-paths", "models"),
    ("seed-paths", "seeds"),
    ("macro-paths", "macros"),
    ("test-paths", "tests"),
    ("snapshot-paths", "snapshots"),
    ("analysis-paths", "analyses"),
    ("function-paths", "functions"),
];
/// Never looked into, in whatever folder.
const IGNORED: &[&str] = &[
    ".git",
    ".venv",
    "venv",
    ".cutover",
    "target",
    "logs",
    "dbt_packages",
    "__pycache__",
    "profiles.yml",
];
/// The most files that are looked at.
const MOST: usize = 200_000;
/// The deepest folder.
const DEEPEST: usize = 64;
/// The largest file that is read, in bytes.
const LARGEST: u64 = 16 << 20;

/// The content of the project in `folder`, 64 hexadecimal digits.
///
/// # Errors
/// When a file cannot be read, there is no `dbt_project.yml`, or there are more than 200,000 files.
pub fn content(folder: &Path) -> io::Result<String> {
    let project = crate::inputs::project::file::read_text(&folder.join("dbt_project.yml"))?;
    let mut found = Found::default();
    for name in FILES {
        let path = folder.join(name);
        if path.is_file() {
            found.files.insert(path);
        }
    }
    for part in folders(&project) {
        found.add(&folder.join(part), 0)?;
    }
    for package in local_packages(folder) {
        found.add(&folder.join(package), 0)?;
    }
    let mut digest = Sha256::new();
    for path in &found.files {
        let name = path.strip_prefix(folder).unwrap_or(path);
        let name = name.as_os_str().as_encoded_bytes();
        digest.update((name.len() as u64).to_le_bytes());
        digest.update(name);
        // Removed meanwhile: the next look finds the folder without it.
        match file(path) {
            Ok(bytes) => digest.update(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => digest.update([0]),
            Err(error) => return Err(error),
        }
    }
    Ok(hex::encode(digest.finalize()))
}

/// The digest of one file.
fn file(path: &Path) -> io::Result<[u8; 32]> {
    let mut file = File::open(path)?;
    let about = file.metadata()?;
    let mut digest = Sha256::new();
    if about.len() > LARGEST {
        let changed = about.modified()?.duration_since(UNIX_EPOCH);
        digest.update(about.len().to_le_bytes());
        digest.update(changed.unwrap_or_default().as_nanos().to_le_bytes());
        return Ok(digest.finalize().into());
    }
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digest.finalize().into()),
            read => digest.update(&buffer[..read]),
        }
    }
}

/// The folders that dbt reads; the whole project when one is a template or the file is no YAML.
fn folders(project: &str) -> BTreeSet<String> {
    let whole = || BTreeSet::from([".".to_owned()]);
    let Ok(document) = Document::parse(Path::new("dbt_project.yml"), project.to_owned()) else {
        return whole();
    };
    let root = document.root;
    let mut folders = BTreeSet::new();
    for (key, default) in FOLDERS {
        // Each was once spelt with _, and dbt still takes that.
        let given = root.get(*key).or_else(|| root.get(key.replace('-', "_")));
        let names: Vec<&Value> = match given {
            None | Some(Value::Null) => {
                folders.insert((*default).to_owned());
                continue;
            }
            Some(Value::Sequence(names)) => names.iter().collect(),
            Some(one) => vec![one],
        };
        for name in names {
            match name.as_str() {
                Some(name) if !name.contains('{') => folders.insert(name.to_owned()),
                Some(_) | None => return whole(),
            };
        }
    }
    folders
}

/// Packages that are folders beside the project.
fn local_packages(folder: &Path) -> Vec<String> {
    ["packages.yml", "dependencies.yml"]
        .iter()
        .filter_map(|name| Document::read(&folder.join(name)).ok())
        .flat_map(|document| {
            let packages = document
                .root
                .get("packages")
                .and_then(Value::as_sequence)
                .cloned();
            packages.unwrap_or_default()
        })
        .filter_map(|package| Some(package.get("local")?.as_str()?.to_owned()))
        .collect()
}

#[derive(Debug, Default)]
struct Found {
    files: BTreeSet<PathBuf>,
    /// Folders by their real place, against symbolic links that lead back.
    seen: BTreeSet<PathBuf>,
}

impl Found {
    fn add(&mut self, path: &Path, depth: usize) -> io::Result<()> {
        let about = match fs::metadata(path) {
            Ok(about) => about,
            // A folder that is not there, a link that leads nowhere.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if about.is_file() {
            self.files.insert(path.to_owned());
            return match self.files.len() > MOST {
                true => Err(io::Error::other(format!("more than {MOST} files"))),
                false => Ok(()),
            };
        }
        if !about.is_dir() || depth > DEEPEST || !self.seen.insert(path.canonicalize()?) {
            return Ok(());
        }
        for entry in fs::read_dir(path)? {
            let name = entry?.file_name();
            if !IGNORED.iter().any(|ignored| name == *ignored) {
                self.add(&path.join(name), depth + 1)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::content;
    use std::fs;
    use std::path::Path;

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("written");
    }

    #[test]
    fn what_dbt_reads_counts_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        assert!(content(folder).is_err(), "no project");
        let project = "name: shop\nmodel-paths: [models, more]\n";
        write(folder, "dbt_project.yml", project);
        write(folder, "models/a.sql", "select 1");
        let mut before = content(folder).expect("read");
        assert_eq!(content(folder).expect("read"), before);
        for name in [
            "target/manifest.json",
            "dbt_packages/utils/models/x.sql",
            ".git/HEAD",
            "models/.venv/x",
            "logs/dbt.log",
            "README.md",
            "profiles.yml",
            "models/profiles.yml",
        ] {
            write(folder, name, "x");
            assert_eq!(content(folder).expect("read"), before, "{name}");
        }
        for (name, text) in [
            ("models/a.sql", "select 2"),
            ("models/b.sql", ""),
            ("more/deep/c.yml", "x"),
            ("seeds/s.csv", "a,b"),
            ("macros/m.sql", "x"),
            ("package-lock.yml", "packages: []"),
            (
                "packages.yml",
                "packages: [{local: ../beside}, {local: local}]",
            ),
            ("local/models/l.sql", "x"),
            ("dbt_project.yml", "name: shop\nmodel-paths: [models]\n"),
        ] {
            write(folder, name, text);
            let after = content(folder).expect("read");
            assert_ne!(after, before, "{name}");
            before = after;
        }
        fs::rename(folder.join("models/b.sql"), folder.join("models/c.sql")).expect("renamed");
        assert_ne!(content(folder).expect("read"), before);
    }

    #[test]
    fn links_that_lead_back_do_not_matter() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        write(
            folder,
            "dbt_project.yml",
            "name: shop\nmodel-paths: ['{{ env_var(\"X\") }}']\n",
        );
        write(folder, "anywhere/a.sql", "select 1");
        let before = content(folder).expect("read");
        std::os::unix::fs::symlink(folder, folder.join("anywhere/loop")).expect("a link");
        std::os::unix::fs::symlink("nowhere", folder.join("anywhere/dead")).expect("a link");
        assert_eq!(content(folder).expect("read"), before);
        write(folder, "anywhere/a.sql", "select 2");
        assert_ne!(
            content(folder).expect("read"),
            before,
            "a template means every folder"
        );
    }
}
