//! Where a project comes from when it is not a folder.

use super::SecretRef;
use super::fault::Fault;
use super::validate::Faults;
use crate::domain::location::repository::{Address, Reference, subfolder};
use crate::foundation::span::Span;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The git repository of the project, or its bundle, beside which the repository does not count. Every key may be
/// left open; an environment's replace the general ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// A folder or an address of an object store with a bundle, which is released in the place of a project.
    pub bundle: Option<String>,
    /// The repository; without it the project is a folder.
    pub url: Option<String>,
    /// A branch, tag, full reference or commit; without it the repository's default branch.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// The folder of the dbt project in the repository.
    pub subfolder: Option<String>,
    /// The name for `https`; `git` when there is only a password.
    pub username: Option<String>,
    /// The password or token for `https`.
    pub password: Option<SecretRef>,
    /// The authorities' certificates for `https`.
    pub ca_file: Option<PathBuf>,
    /// The private key for `ssh`.
    pub ssh_key: Option<PathBuf>,
    /// The known hosts for `ssh`.
    pub known_hosts: Option<PathBuf>,
    /// Deadline of one look or fetch.
    pub fetch_timeout: Option<Span>,
}

impl Source {
    /// The faults of each key by itself.
    pub(super) fn check(&self, path: &str, faults: &mut Faults) {
        if let Some(place) = &self.bundle
            && let Some(problem) = crate::domain::location::url::bundle_fault(place)
        {
            let remedy =
                "write a folder, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX";
            faults.fault(format!("{path}.bundle"), problem, remedy);
        }
        if let Some(url) = &self.url
            && let Err(problem) = url.parse::<Address>()
        {
            faults.fault(format!("{path}.url"), problem.to_string(), problem.remedy());
        }
        if let Some(reference) = &self.reference
            && let Err(problem) = reference.parse::<Reference>()
        {
            let remedy =
                "write a branch, a tag, a reference that begins with refs/, or a whole commit hash";
            faults.fault(format!("{path}.ref"), problem.to_string(), remedy);
        }
        if let Some(folder) = &self.subfolder
            && let Err(problem) = subfolder(folder)
        {
            let remedy = "write a folder of the repository, such as warehouse/dbt";
            faults.fault(format!("{path}.subfolder"), problem.to_string(), remedy);
        }
        if let Some(name) = &self.username {
            faults.unless(
                !name.is_empty() && !name.contains(char::is_control),
                &format!("{path}.username"),
                "the name is empty or has control characters",
                "write the name alone",
            );
        }
        for (key, file) in [
            ("ca_file", &self.ca_file),
            ("ssh_key", &self.ssh_key),
            ("known_hosts", &self.known_hosts),
        ] {
            let Some(file) = file else { continue };
            let text = file.to_string_lossy();
            faults.unless(
                !text.is_empty() && !text.contains(|c: char| c.is_control() || c == '"'),
                &format!("{path}.{key}"),
                "the path is empty, or has quotes or control characters, which git and ssh cannot take",
                "name a file",
            );
        }
        if let Some(timeout) = self.fetch_timeout {
            faults.span(&format!("{path}.fetch_timeout"), timeout, false);
        }
    }
}

impl Faults {
    pub(super) fn fault(&mut self, path: String, message: String, remedy: impl Into<String>) {
        self.0.push(Fault {
            place: String::new(),
            path,
            message,
            remedy: remedy.into(),
        });
    }
}
