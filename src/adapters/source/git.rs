//! Running git as a guest, and what its failures mean.

use super::error::SourceError;
use super::{Access, Source};
use crate::domain::location::repository::{Address, Transport};
use crate::foundation::process::environment::Variables;
use crate::foundation::process::{Finished, Guest, ProcessError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Variables of ours that git and ssh may see.
const ALLOWED: &[&str] = &[
    "PATH",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "SSH_AUTH_SOCK",
];

/// Carry the credentials to [`HELPER`].
const USERNAME_VARIABLE: &str = "CUTOVER_GIT_USERNAME";
const PASSWORD_VARIABLE: &str = "CUTOVER_GIT_PASSWORD";

/// Answers git's question for credentials from its environment. Set for the repository's own server
/// alone, so that a redirect elsewhere gets nothing.
const HELPER: &str = r#"!f() { test "$1" = get && printf 'username=%s\npassword=%s\n' "$CUTOVER_GIT_USERNAME" "$CUTOVER_GIT_PASSWORD"; }; f"#;

/// The most of git's listing that is kept, in bytes.
const LISTING: usize = 8 << 20;
/// Time between SIGTERM and SIGKILL.
const STOP: Duration = Duration::from_secs(2);

/// git with everything that it may see, and an end.
#[derive(Clone)]
pub(super) struct Git<'a> {
    address: &'a Address,
    directory: PathBuf,
    variables: Variables,
    password: Option<SecretString>,
    timeout: Duration,
    deadline: Instant,
    cancel: &'a CancellationToken,
}

impl Source {
    /// git for what is done from now on, within the time for one fetch.
    pub(super) fn git<'a>(&'a self, cancel: &'a CancellationToken) -> Result<Git<'a>, SourceError> {
        let mut access = self.access.clone();
        if let Some(password) = &self.password {
            let secret =
                password
                    .place
                    .resolve("source.password", &password.base, &password.variables)?;
            if secret.expose_secret().contains(['\n', '\r']) {
                return Err(SourceError::Lines);
            }
            access.password = Some(secret);
        }
        access.check(self.address.transport())?;
        Ok(Git {
            address: &self.address,
            directory: self.folder.clone(),
            variables: variables(&self.folder, &self.address, &access),
            password: access.password,
            timeout: self.timeout,
            deadline: Instant::now() + self.timeout,
            cancel,
        })
    }
}

impl Access {
    /// What git and ssh say of a file that they cannot use names neither the file nor the key of the
    /// configuration, and a missing file of authorities looks like a server that is not known.
    fn check(&self, transport: Transport) -> Result<(), SourceError> {
        let no = |key: &'static str, path: &Path, problem: String| SourceError::AccessFile {
            key,
            path: path.to_owned(),
            problem,
        };
        match (transport, &self.ca_file) {
            (Transport::Https, Some(path)) => {
                let key = "source.ca_file";
                let found = CertificateDer::pem_file_iter(path)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(|error| no(key, path, error.to_string()))?;
                if found.is_empty() {
                    return Err(no(key, path, "there is no certificate in it".to_owned()));
                }
            }
            (Transport::Https | Transport::Ssh | Transport::File, _) => {}
        }
        if transport == Transport::Ssh {
            for (key, path) in [
                ("source.ssh_key", &self.ssh_key),
                ("source.known_hosts", &self.known_hosts),
            ] {
                let Some(path) = path else { continue };
                let opened = File::open(path).and_then(|file| file.metadata());
                let is_file = opened
                    .map_err(|error| no(key, path, error.to_string()))?
                    .is_file();
                if !is_file {
                    return Err(no(key, path, "it is not a file".to_owned()));
                }
            }
        }
        Ok(())
    }
}

/// What git sees of the environment.
fn variables(folder: &Path, address: &Address, access: &Access) -> Variables {
    let mut variables: Variables = std::env::vars_os()
        .filter(|(name, _)| ALLOWED.iter().any(|allowed| name == allowed))
        .collect();
    let mut set = |name: &str, value: OsString| variables.insert(name.into(), value);
    for (name, value) in [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_ATTR_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_ALLOW_PROTOCOL", "https:ssh:file"),
        ("GIT_OPTIONAL_LOCKS", "0"),
        ("GIT_NO_REPLACE_OBJECTS", "1"),
        ("GIT_LFS_SKIP_SMUDGE", "1"),
        ("GCM_INTERACTIVE", "never"),
        // Failures are told apart by what git says.
        ("LC_ALL", "C"),
        ("GIT_SSH_VARIANT", "ssh"),
    ] {
        set(name, value.into());
    }
    // No ~/.netrc and no ~/.config: ssh finds the user's folder without this variable.
    set("HOME", folder.into());
    // A repository that the folder happens to lie in says nothing here.
    let above = folder.parent().unwrap_or(folder);
    set("GIT_CEILING_DIRECTORIES", above.into());
    set("GIT_DIR", folder.join("git").into());
    set("GIT_WORK_TREE", folder.join("tree").into());
    set("GIT_SSH_COMMAND", ssh(access).into());
    if let Some(path) = &access.ca_file {
        set("GIT_SSL_CAINFO", path.into());
    }
    let mut config: Vec<(String, String)> = [
        ("core.hooksPath", "/dev/null"),
        ("core.fsmonitor", "false"),
        ("core.autocrlf", "false"),
        ("core.askPass", ""),
        ("credential.helper", ""),
        ("protocol.ext.allow", "never"),
        ("protocol.version", "2"),
        ("submodule.recurse", "false"),
        ("fetch.recurseSubmodules", "false"),
        // A fetch is one pack, however small, so that the number of packs says when there is enough.
        ("fetch.unpackLimit", "1"),
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
        ("init.templateDir", ""),
        ("init.defaultBranch", "none"),
        ("advice.detachedHead", "false"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    if let (Transport::Https, Some(password)) = (address.transport(), &access.password) {
        let origin = address.origin();
        config.push((format!("credential.{origin}.helper"), HELPER.to_owned()));
        let username = access.username.as_deref().unwrap_or("git");
        set(USERNAME_VARIABLE, username.into());
        set(PASSWORD_VARIABLE, password.expose_secret().into());
    }
    set("GIT_CONFIG_COUNT", config.len().to_string().into());
    for (at, (key, value)) in config.into_iter().enumerate() {
        set(&format!("GIT_CONFIG_KEY_{at}"), key.into());
        set(&format!("GIT_CONFIG_VALUE_{at}"), value.into());
    }
    variables
}

/// The command line for ssh, which a shell splits.
fn ssh(access: &Access) -> String {
    let mut command =
        "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ForwardAgent=no -o ClearAllForwardings=yes"
            .to_owned();
    // The user's configuration may ask for a connection that outlives the fetch, out of our reach.
    command.push_str(" -o ControlMaster=no");
    // ssh takes %-words in paths.
    let word = |text: String| format!("'{}'", text.replace('%', "%%").replace('\'', r"'\''"));
    if let Some(key) = &access.ssh_key {
        let key = word(format!("IdentityFile=\"{}\"", key.display()));
        command.push_str(&format!(
            " -F none -o {key} -o IdentitiesOnly=yes -o IdentityAgent=none"
        ));
    }
    if let Some(hosts) = &access.known_hosts {
        let hosts = word(format!("UserKnownHostsFile=\"{}\"", hosts.display()));
        command.push_str(&format!(" -o {hosts} -o GlobalKnownHostsFile=none"));
    }
    command
}

impl Git<'_> {
    /// The same with another index than that of the work tree.
    pub(super) fn with_index(&self, index: &Path) -> Self {
        let mut variables = self.variables.clone();
        variables.insert("GIT_INDEX_FILE".into(), index.into());
        Self {
            variables,
            ..self.clone()
        }
    }

    /// Runs a command that asks the repository; gives its standard output.
    pub(super) async fn reach(&self, arguments: &[String]) -> Result<String, SourceError> {
        let (finished, out) = self.run(arguments).await?;
        match finished.code {
            0 => Ok(out),
            _ => Err(self.refused(arguments, &finished)),
        }
    }

    /// Runs a command on our own files; gives its standard output.
    pub(super) async fn local(&self, arguments: &[&str]) -> Result<String, SourceError> {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let (finished, out) = self.run(&arguments).await?;
        match finished.code {
            0 => Ok(out),
            _ => Err(self.failed(&arguments, &finished)),
        }
    }

    async fn run(&self, arguments: &[String]) -> Result<(Finished, String), SourceError> {
        let mut environment = self.variables.clone();
        if arguments
            .first()
            .is_some_and(|command| command == "ls-remote")
        {
            // It needs no repository of ours, and there may be none yet.
            for name in ["GIT_DIR", "GIT_WORK_TREE"] {
                environment.remove(std::ffi::OsStr::new(name));
            }
        }
        let guest = Guest {
            program: PathBuf::from("git"),
            arguments: arguments.iter().map(OsString::from).collect(),
            directory: self.directory.clone(),
            environment,
            deadline: self.deadline.saturating_duration_since(Instant::now()),
            stop_timeout: STOP,
            hurry: None,
            log: None,
            record: None,
        };
        guest
            .run_and_keep(self.cancel, LISTING)
            .await
            .map_err(|error| match error {
                ProcessError::Deadline { .. } => SourceError::Deadline {
                    address: self.address.to_string(),
                    timeout: self.timeout,
                },
                error @ (ProcessError::Start { .. }
                | ProcessError::Cancelled { .. }
                | ProcessError::Signalled { .. }
                | ProcessError::Wait { .. }
                | ProcessError::Record(_)) => SourceError::Process(error),
            })
    }

    /// What a failure to reach the repository means. git has one exit code for all of them.
    fn refused(&self, arguments: &[String], finished: &Finished) -> SourceError {
        let said = self.said(finished);
        let any = |marks: &[&str]| marks.iter().any(|mark| finished.tail.contains(mark));
        let address = self.address.to_string();
        if any(&[
            "not our ref",
            "unadvertised object",
            "couldn't find remote ref",
            "did not send all necessary objects",
        ]) {
            let revision = arguments.last().cloned().unwrap_or_default();
            let revision = revision.trim_start_matches('+');
            let revision = revision.split(':').next().unwrap_or_default().to_owned();
            return SourceError::Gone {
                address,
                revision,
                said,
            };
        }
        let transport = self.address.transport();
        // As ssh, GnuTLS and OpenSSL say it.
        if any(&[
            "Host key verification failed",
            "certificate verification failed",
            "certificate problem",
            "certificate subject name",
        ]) {
            return SourceError::Untrusted {
                address,
                transport,
                said,
            };
        }
        if any(&[
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "Permission denied",
            "Access denied",
            "error: 401",
            "error: 403",
        ]) {
            return SourceError::Authentication {
                address,
                transport,
                said,
            };
        }
        if any(&[
            "Could not resolve host",
            "Could not read from remote repository",
            "unable to access",
            "does not appear to be a git repository",
            "onnection",
            "not found",
            "early EOF",
            "the remote end hung up",
            "does not exist",
            "RPC failed",
        ]) {
            return SourceError::Unreachable { address, said };
        }
        self.failed(arguments, finished)
    }

    fn failed(&self, arguments: &[String], finished: &Finished) -> SourceError {
        SourceError::Git {
            command: arguments.first().cloned().unwrap_or_default(),
            code: finished.code,
            said: self.said(finished),
        }
    }

    /// Why it failed. A server may repeat what it was sent, and git passes that on.
    fn said(&self, finished: &Finished) -> String {
        let secret = self.password.as_ref().map(ExposeSecret::expose_secret);
        match secret.filter(|secret| !secret.is_empty()) {
            Some(secret) => said(&finished.tail.replace(secret, "***")),
            None => said(&finished.tail),
        }
    }
}

/// The lines that say why, on one line.
fn said(tail: &str) -> String {
    let lines = tail.lines().map(str::trim).filter(|line| !line.is_empty());
    let why = |line: &&str| {
        [
            "fatal:",
            "error:",
            "remote:",
            "ssh:",
            "Permission",
            "Host key",
        ]
        .iter()
        .any(|mark| line.starts_with(mark))
            || line.contains(": Permission denied")
            || line.contains("host key is known")
            || line.starts_with("Load key")
    };
    let mut chosen: Vec<&str> = lines.clone().filter(why).collect();
    if chosen.is_empty() {
        chosen = lines.collect();
    }
    chosen.truncate(4);
    let text = chosen.join("; ");
    let short: String = text.chars().take(600).collect();
    match short.is_empty() {
        true => "it says nothing".to_owned(),
        false => short,
    }
}

#[cfg(test)]
mod tests {
    use super::{ssh, variables};
    use crate::adapters::source::Access;
    use secrecy::SecretString;
    use std::io::Write;
    use std::process::{Command, Stdio};

    /// What git itself would send for an address.
    fn credentials(host: &str, access: &Access) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let address = "https://git.example.com/shop".parse().expect("an address");
        let variables = variables(folder.path(), &address, access);
        let mut git = Command::new("git")
            .args(["credential", "fill"])
            .current_dir(folder.path())
            .env_clear()
            .envs(variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("git");
        let question = format!("protocol=https\nhost={host}\npath=shop\n\n");
        let mut input = git.stdin.take().expect("a pipe");
        input.write_all(question.as_bytes()).expect("asked");
        drop(input);
        let output = git.wait_with_output().expect("it ends");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn credentials_go_to_the_repository_and_nowhere_else() {
        let access = Access {
            password: Some(SecretString::from("p'\"$x `y` %s\\n")),
            ..Access::default()
        };
        let given = credentials("git.example.com", &access);
        assert!(given.contains("username=git\n"), "{given}");
        assert!(given.contains("password=p'\"$x `y` %s\\n\n"), "{given}");
        let other = credentials("elsewhere.example.com", &access);
        assert!(!other.contains("password"), "{other}");
        let none = credentials("git.example.com", &Access::default());
        assert!(!none.contains("password"), "{none}");
    }

    #[test]
    fn paths_of_ssh_stay_one_word() {
        let access = Access {
            ssh_key: Some("/a b/it's 100%".into()),
            known_hosts: Some("/c d".into()),
            ..Access::default()
        };
        let printed = Command::new("sh")
            .args(["-c", &format!("printf '%s\\n' {}", ssh(&access))])
            .output()
            .expect("a shell");
        let words = String::from_utf8_lossy(&printed.stdout).into_owned();
        let words: Vec<&str> = words.lines().collect();
        assert!(
            words.contains(&"IdentityFile=\"/a b/it's 100%%\""),
            "{words:?}"
        );
        assert!(words.contains(&"UserKnownHostsFile=\"/c d\""), "{words:?}");
        assert!(words.contains(&"BatchMode=yes"), "{words:?}");
    }
}
