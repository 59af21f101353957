//! A small dbt project in a folder of its own: three schemas, two clusters, a seed, views,
//! materialized views, indexes and every kind of test. Its names begin with a prefix.

use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The names in `tests/fixtures/shop`.
const FIXTURE_PREFIX: &str = "shop_";

/// A dbt project.
pub struct Project {
    folder: TempDir,
    prefix: String,
}

impl Project {
    /// A copy of the fixture whose schemas and clusters begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        let project = Self {
            folder: tempfile::tempdir().expect("a folder"),
            prefix: prefix.to_owned(),
        };
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/shop");
        for file in files_below(&fixture) {
            let text = std::fs::read_to_string(&file).expect("a fixture");
            let place = file.strip_prefix(&fixture).expect("a file of the fixture");
            let text = text.replace(FIXTURE_PREFIX, &format!("{prefix}_"));
            project.write(&place.to_string_lossy(), &text);
        }
        project
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file.
    pub fn write(&self, place: &str, text: &str) {
        let path = self.path().join(place);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file is written");
    }

    /// Reads a file.
    pub fn read(&self, place: &str) -> String {
        std::fs::read_to_string(self.path().join(place)).expect("a file")
    }

    /// Replaces text that must be there.
    pub fn replace(&self, place: &str, from: &str, to: &str) {
        let text = self.read(place);
        assert!(text.contains(from), "{place} has no {from:?}");
        self.write(place, &text.replace(from, to));
    }

    /// Removes a file.
    pub fn remove(&self, place: &str) {
        std::fs::remove_file(self.path().join(place)).expect("a file");
    }

    /// Removes a folder, if it is there.
    pub fn remove_all(&self, place: &str) {
        let _ = std::fs::remove_dir_all(self.path().join(place));
    }

    /// Its files without those of Cutover, to be given back with [`Project::restore`].
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        files_below(self.path())
            .into_iter()
            .filter_map(|file| {
                let place = file.strip_prefix(self.path()).ok()?.to_str()?.to_owned();
                let is_own = ![".cutover", "target", "logs"]
                    .iter()
                    .any(|folder| place.starts_with(folder));
                is_own.then(|| (place, std::fs::read(&file).expect("a file")))
            })
            .collect()
    }

    /// Makes its files what they were.
    pub fn restore(&self, files: &[(String, Vec<u8>)]) {
        for (place, _) in self.files() {
            if !files.iter().any(|(known, _)| *known == place) {
                self.remove(&place);
            }
        }
        for (place, bytes) in files {
            let path = self.path().join(place);
            if std::fs::read(&path).ok().as_ref() != Some(bytes) {
                std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                std::fs::write(path, bytes).expect("a file");
            }
        }
    }

    /// Changes the constant that two schemas serve, so that readers can tell releases apart.
    pub fn set_release(&self, release: u32) {
        for place in ["models/marts/totals.sql", "models/serving/report.sql"] {
            let text = self.read(place);
            let (before, rest) = text.split_once(" as release").expect("a release");
            let start = before
                .rfind(|c: char| !c.is_ascii_digit())
                .map_or(0, |at| at + 1);
            self.write(
                place,
                &format!("{}{release} as release{rest}", &before[..start]),
            );
        }
    }

    /// Leaves no test in the project: a release then runs dbt once less.
    pub fn without_tests(&self) {
        self.remove("models/schema.yml");
        self.remove("tests/no_negative_totals.sql");
    }

    /// `staging` → `<prefix>_staging`.
    pub fn name(&self, name: &str) -> String {
        format!("{}_{name}", self.prefix)
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}
