//! Finding dbt and knowing its version.

use crate::adapters::dbt::error::BuildError;
use crate::adapters::dbt::tracked::is_tracked;
use crate::adapters::dbt::version::Version;
use crate::foundation::process::Guest;
use crate::foundation::process::environment::Variables;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// Versions that were asked for, by executable and its time of modification.
static KNOWN: LazyLock<Mutex<HashMap<(PathBuf, SystemTime), Version>>> =
    LazyLock::new(Mutex::default);

/// A dbt executable, or none where there is to be none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dbt {
    executable: Option<PathBuf>,
}

impl Dbt {
    /// No dbt: of what is released from a bundle. Whatever would start it is an error.
    #[must_use]
    pub fn none() -> Self {
        Self { executable: None }
    }

    /// Finds dbt: `explicit` (the setting), else `.venv/bin/dbt` or `venv/bin/dbt` in `project_dir` or the
    /// nearest parent that has one, else on `path_var` (the value of `PATH`). For a project that comes from
    /// a repository `project_dir` is a folder that the repository cannot write.
    ///
    /// # Errors
    /// When there is none, with every place that was looked at; when git tracks the one that is found.
    pub fn locate(
        explicit: Option<&Path>,
        project_dir: &Path,
        path_var: Option<&OsStr>,
    ) -> Result<Self, BuildError> {
        // Absolute, because the guest runs in another folder; the links of a virtual
        // environment are kept, because dbt finds its packages through them.
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        if let Some(path) = explicit {
            if !is_executable(path) {
                return Err(BuildError::NotExecutable {
                    path: path.to_owned(),
                });
            }
            return Ok(Self {
                executable: Some(absolute(path)),
            });
        }
        let project_dir = absolute(project_dir);
        let environments = project_dir.ancestors().flat_map(|folder| {
            [".venv", "venv"].map(|name| (Some((folder, name)), folder.join(name).join("bin/dbt")))
        });
        let on_path = path_var
            .into_iter()
            .flat_map(std::env::split_paths)
            .filter(|folder| folder.is_absolute())
            .map(|folder| (None, folder.join("dbt")));
        let mut looked = Vec::new();
        for (environment, candidate) in environments.chain(on_path) {
            if is_executable(&candidate) {
                if let Some((folder, name)) = environment {
                    refuse_tracked(folder, name)?;
                }
                return Ok(Self {
                    executable: Some(candidate),
                });
            }
            looked.push(candidate);
        }
        Err(BuildError::NotFound { looked })
    }

    /// The executable.
    ///
    /// # Errors
    /// [`BuildError::NoDbt`] where there is to be none.
    pub fn executable(&self) -> Result<&Path, BuildError> {
        self.executable.as_deref().ok_or(BuildError::NoDbt)
    }

    /// The versions of dbt-core and of the adapter. Asked once per executable and process.
    ///
    /// # Errors
    /// When dbt does not run, or is not one that is supported.
    pub async fn version(
        &self,
        environment: &Variables,
        deadline: Duration,
        cancel: &CancellationToken,
    ) -> Result<Version, BuildError> {
        let executable = self.executable()?;
        let modified = std::fs::metadata(executable).and_then(|meta| meta.modified());
        let key = modified.ok().map(|time| (executable.to_owned(), time));
        if let Some(key) = &key
            && let Some(version) = known().get(key)
        {
            return Ok(*version);
        }
        let guest = Guest {
            program: executable.to_owned(),
            arguments: vec!["--version".into()],
            directory: std::env::temp_dir(),
            environment: environment.clone(),
            deadline,
            stop_timeout: Duration::from_secs(5),
            hurry: None,
            log: None,
            record: None,
        };
        let finished = guest.run(cancel, &mut |_, _| {}).await?;
        let unsupported = |problem| BuildError::Unsupported {
            path: executable.to_owned(),
            problem,
        };
        if finished.code != 0 {
            return Err(unsupported(format!(
                "`--version` ends with exit code {}: {}",
                finished.code,
                finished.tail.trim()
            )));
        }
        let version = Version::parse(&finished.tail).map_err(unsupported)?;
        if let Some(key) = key {
            known().insert(key, version);
        }
        Ok(version)
    }
}

fn known() -> std::sync::MutexGuard<'static, HashMap<(PathBuf, SystemTime), Version>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever may propose a commit would run programs here.
fn refuse_tracked(folder: &Path, name: &str) -> Result<(), BuildError> {
    let path = folder.join(name);
    match is_tracked(folder, name) {
        Ok(false) => Ok(()),
        Ok(true) => Err(BuildError::Tracked { path }),
        Err(problem) => Err(BuildError::MayBeTracked { path, problem }),
    }
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
pub(in crate::adapters::dbt) mod tests {
    use super::Dbt;
    use crate::adapters::dbt::error::BuildError;
    use crate::foundation::failure::{Class, Classify};
    use crate::foundation::process::environment::Variables;
    use std::ffi::OsStr;
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::process::{Command, Stdio};
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    /// Writes an executable script from another process: while this one had it open for writing, a
    /// concurrent fork would make it "busy".
    pub(in crate::adapters::dbt) fn fake(path: &Path, body: &str) -> Dbt {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let mut writer = Command::new("/bin/sh")
            .args(["-c", r#"cat > "$1" && chmod 755 "$1""#, "sh"])
            .arg(path)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        let mut stdin = writer.stdin.take().expect("a pipe");
        write!(stdin, "#!/bin/sh\n{body}\n").expect("a script");
        drop(stdin);
        assert!(writer.wait().expect("an end").success());
        Dbt {
            executable: Some(path.to_owned()),
        }
    }

    fn environment() -> Variables {
        Variables::from([("PATH".into(), "/usr/bin:/bin".into())])
    }

    async fn version(dbt: &Dbt) -> Result<String, BuildError> {
        dbt.version(
            &environment(),
            Duration::from_secs(60),
            &CancellationToken::new(),
        )
        .await
        .map(|version| version.core.to_string())
    }

    #[test]
    fn the_setting_wins_then_the_project_then_its_parents_then_the_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let project = folder.path().join("analytics/dbt");
        std::fs::create_dir_all(&project).expect("a folder");
        let set = folder.path().join("set/dbt");
        let own = project.join("venv/bin/dbt");
        let parents = folder.path().join(".venv/bin/dbt");
        let on_path = folder.path().join("bin/dbt");
        let path_var = on_path.parent().map(|p| p.as_os_str().to_owned());
        let locate = |explicit: Option<&Path>| {
            let found = Dbt::locate(explicit, &project, path_var.as_deref());
            found.and_then(|dbt| dbt.executable().map(Path::to_owned))
        };
        fake(&on_path, "");
        assert_eq!(locate(None).expect("found"), on_path);
        fake(&parents, "");
        assert_eq!(locate(None).expect("found"), parents);
        fake(&own, "");
        assert_eq!(locate(None).expect("found"), own);
        fake(&set, "");
        assert_eq!(locate(Some(&set)).expect("found"), set);
    }

    #[test]
    fn a_dbt_that_the_repository_brings_is_never_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.arg("-C").arg(folder.path()).args(arguments);
            assert!(git.output().expect("git").status.success());
        };
        fake(&folder.path().join(".venv/bin/dbt"), "");
        git(&["init", "--quiet"]);
        assert!(Dbt::locate(None, folder.path(), None).is_ok());
        git(&["add", "--force", ".venv"]);
        let error = Dbt::locate(None, folder.path(), None).expect_err("it is refused");
        assert!(
            error.to_string().starts_with("tracked-environment: "),
            "{error}"
        );
        assert_eq!(error.class(), Class::Usage);
        let own = folder.path().join(".venv/bin/dbt");
        assert!(Dbt::locate(Some(&own), folder.path(), None).is_ok());
    }

    #[test]
    fn a_missing_dbt_is_an_error_with_the_places_and_the_remedy() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = Dbt::locate(None, folder.path(), Some(OsStr::new("/no/where:relative")))
            .expect_err("there is none");
        assert_eq!(error.class(), Class::Usage);
        let text = error.to_string();
        assert!(
            text.contains(".venv/bin/dbt") && text.contains("/no/where/dbt"),
            "{text}"
        );
        assert!(!text.contains("relative"), "{text}");
        assert!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("'dbt-materialize~=1.9'"))
        );
        let error = Dbt::locate(Some(&PathBuf::from("/no/dbt")), folder.path(), None)
            .expect_err("there is none");
        assert!(error.to_string().contains("/no/dbt"), "{error}");
    }

    #[tokio::test]
    async fn the_version_is_asked_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bin/dbt");
        let dbt = fake(
            &path,
            &format!(
                "echo x >> {}/asked\nprintf 'Core:\\n  - installed: 1.11.16\\nPlugins:\\n  - materialize: 1.9.11\\n'",
                folder.path().display()
            ),
        );
        for _ in 0..3 {
            assert_eq!(version(&dbt).await.expect("usable"), "1.11.16");
        }
        let asked = std::fs::read_to_string(folder.path().join("asked")).expect("asked");
        assert_eq!(asked, "x\n");
    }

    #[tokio::test]
    async fn an_unusable_dbt_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, body, reason) in [
            (
                "fusion",
                "echo dbt-fusion 2.0.0-preview.76",
                "no dbt-materialize",
            ),
            (
                "broken",
                "echo No module named dbt >&2; exit 1",
                "No module named dbt",
            ),
        ] {
            let dbt = fake(&folder.path().join(name), body);
            let error = version(&dbt).await.expect_err(reason);
            assert_eq!(error.class(), Class::Usage);
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
