//! A repository on this machine, and the place that it is fetched to.

use cutover::adapters::source::{Checkout, Source, SourceError};
use cutover::domain::location::repository::Revision;
use cutover::foundation::environment::Environment;
use cutover::inputs::settings;
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio_util::sync::CancellationToken;

/// A repository on this machine.
pub struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    pub fn new() -> Self {
        let repository = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// With one commit of a project.
    pub fn of_a_project() -> Self {
        let repository = Self::new();
        repository.write("dbt_project.yml", "name: shop\n");
        repository.write("models/a.sql", "select 1");
        repository.commit("first");
        repository
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        git(self.path(), arguments)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }

    /// Commits everything; gives the commit.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }
}

pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .expect("git");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Where an environment fetches to.
pub struct Place(pub tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub fn folder(&self) -> PathBuf {
        self.0.path().join(".cutover/sources/prod")
    }

    pub fn tree(&self) -> PathBuf {
        self.folder().join("tree")
    }

    pub fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.tree().join(name)).ok()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).expect("written");
    }

    pub fn open(&self, change: impl FnOnce(&mut settings::Source)) -> Result<Source, SourceError> {
        self.open_with([], change)
    }

    /// With these variables for secrets.
    pub fn open_with<const N: usize>(
        &self,
        variables: [(&str, &str); N],
        change: impl FnOnce(&mut settings::Source),
    ) -> Result<Source, SourceError> {
        let mut settings = settings::Source::default();
        change(&mut settings);
        let variables: Environment = variables.into_iter().collect();
        let source = Source::new(&settings, self.0.path(), "prod", &variables);
        source.map(|source| source.expect("a url"))
    }

    pub fn source(&self, url: &str, reference: Option<&str>) -> Source {
        self.open(|settings| {
            settings.url = Some(url.to_owned());
            settings.reference = reference.map(str::to_owned);
        })
        .expect("a source")
    }
}

pub async fn fetch(source: &Source) -> Result<Checkout, SourceError> {
    source.fetch(None, &CancellationToken::new()).await
}

pub async fn resolve(source: &Source) -> Result<Revision, SourceError> {
    source.resolve(&CancellationToken::new()).await
}
