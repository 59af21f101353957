//! Scripts, run with exactly the environment that they are given.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// The program under test.
pub const CUTOVER: &str = env!("CARGO_BIN_EXE_cutover");

/// The longest that a script may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a script ended.
#[derive(Debug, Clone)]
pub struct Ended {
    pub code: Option<i32>,
    pub output: String,
}

/// Runs a program with this environment and no more.
pub async fn run(
    program: &str,
    arguments: &[&str],
    folder: &Path,
    environment: &BTreeMap<String, String>,
) -> Ended {
    let child = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, child).await;
    let output = output
        .expect("an end in time")
        .expect("a program that starts");
    let text = [output.stdout, output.stderr].concat();
    Ended {
        code: output.status.code(),
        output: String::from_utf8_lossy(&text).into_owned(),
    }
}

/// Runs a script as GitHub's `shell: bash` and GitLab's runner do: the first command that fails ends it.
pub async fn bash(script: &str, folder: &Path, environment: &BTreeMap<String, String>) -> Ended {
    let arguments = ["--noprofile", "--norc", "-eo", "pipefail", "-c", script];
    run("bash", &arguments, folder, environment).await
}

/// What a shell needs.
pub fn plain(programs: &Path, home: &Path) -> BTreeMap<String, String> {
    let path = std::env::var("PATH").expect("a PATH");
    [
        ("PATH".to_owned(), format!("{}:{path}", programs.display())),
        ("HOME".to_owned(), home.display().to_string()),
        ("LANG".to_owned(), "C.UTF-8".to_owned()),
    ]
    .into()
}

/// A folder with a `cutover` in it that notes what it is asked. `ci report` is the real one's; `ci build` leaves a report
/// that was made before; everything else is only noted.
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    pub fn new(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        let programs = Self {
            folder: folder.to_owned(),
        };
        let script = format!(
            r#"#!/bin/bash
here={here}
printf '%s\037' "$@" >>"$here/asked"
printf 'server=%s\n' "$CUTOVER_SERVER" >>"$here/asked"
case "$1 $2" in
"ci report") exec {CUTOVER} "$@" ;;
"ci build")
    while [ $# -gt 0 ]; do
        if [ "$1" = --json ]; then cp "$here/report.json" "$2"; fi
        shift
    done
    exit "$(cat "$here/code")"
    ;;
esac
if [ "$1" = --version ]; then echo 'cutover 0.0.0-noted'; fi
"#,
            here = folder.display()
        );
        programs.write("cutover", &script);
        // dbt is there already, where tests run.
        programs.write("python", "#!/bin/sh\nexit 0\n");
        programs
    }

    /// The same folder with the real program in it.
    pub fn real(folder: &Path) -> Self {
        let programs = Self::new(folder);
        let script = format!("#!/bin/sh\nexec '{CUTOVER}' \"$@\"\n");
        programs.write("cutover", &script);
        programs
    }

    fn write(&self, name: &str, script: &str) {
        let path = self.folder.join(name);
        std::fs::write(&path, script).expect("a script");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("an executable");
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What `ci build` leaves, and its exit code.
    pub fn builds(&self, report: &cutover::operations::ci::report::Report, code: u8) {
        super::sample::write(&self.folder.join("report.json"), report);
        std::fs::write(self.folder.join("code"), code.to_string()).expect("a file");
    }

    /// What was asked since the last time: arguments, and the daemon. `--version` is left out.
    pub fn asked(&self) -> Vec<(Vec<String>, String)> {
        let path = self.folder.join("asked");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let _ = std::fs::remove_file(&path);
        let lines = text.lines().map(|line| {
            let (arguments, server) = line.rsplit_once('\u{1f}').expect("a line");
            let arguments = arguments.split('\u{1f}').map(str::to_owned).collect();
            (
                arguments,
                server.strip_prefix("server=").expect("a daemon").to_owned(),
            )
        });
        lines
            .filter(|(arguments, _): &(Vec<String>, String)| arguments[0] != "--version")
            .collect()
    }
}
