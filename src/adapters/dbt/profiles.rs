//! A private `profiles.yml` with another cluster.
//!
//! Tests with `deploy: true` run on `<cluster of the target>_dbt_deploy`, which exists only when that
//! cluster is deployed. So they get a copy of the user's output in which `cluster` is the one to use.
//! Jinja in the user's values is copied as it stands. A literal password does not reach the disk again:
//! it goes through the guest's environment, and so does the cluster's name, which dbt would
//! otherwise render as Jinja.
//!
//! The file is written as JSON, which is YAML: dbt's YAML 1.1 reader takes every double-quoted text for a
//! text, while an unquoted `on`, `1_000` or `12:30` would change its type.

use crate::adapters::dbt::error::BuildError;
use crate::foundation::process::environment::Variables;
use serde_json::{Value, json};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Carries a literal password. dbt hides the values of `DBT_ENV_SECRET_*` in its logs.
const PASSWORD_VARIABLE: &str = "DBT_ENV_SECRET_CUTOVER_PASSWORD";
/// Carries the cluster's name.
const CLUSTER_VARIABLE: &str = "CUTOVER_CLUSTER";

/// A folder with a `profiles.yml` of our own; removed when dropped.
#[derive(Debug)]
pub struct PrivateProfile {
    directory: PathBuf,
    variables: Variables,
}

impl PrivateProfile {
    /// Writes `directory/profiles.yml` (mode 0600, in a folder of mode 0700) with one profile and one target: the
    /// user's `output` with `cluster` replaced. `output` is the raw mapping, before any rendering.
    ///
    /// # Errors
    /// When `output` is not a mapping or the file cannot be written.
    pub fn write(
        directory: &Path,
        profile: &str,
        target: &str,
        output: &serde_yaml::Value,
        cluster: &str,
    ) -> Result<Self, BuildError> {
        let unusable = || BuildError::Profile {
            profile: profile.to_owned(),
            target: target.to_owned(),
        };
        let output = serde_json::to_value(output).map_err(|_| unusable())?;
        let Value::Object(mut output) = output else {
            return Err(unusable());
        };
        let mut variables = Variables::from([(CLUSTER_VARIABLE.into(), cluster.into())]);
        output.insert("cluster".to_owned(), reference(CLUSTER_VARIABLE));
        for key in ["password", "pass"] {
            if let Some(literal) = output.get(key).and_then(literal) {
                variables.insert(PASSWORD_VARIABLE.into(), literal.into());
                output.insert(key.to_owned(), reference(PASSWORD_VARIABLE));
            }
        }
        let document = json!({ profile: { "target": target, "outputs": { target: output } } });
        let text = as_yaml(&document.to_string());

        let path = directory.join("profiles.yml");
        let failed = |path: &Path, action| {
            let path = path.to_owned();
            move |source: io::Error| BuildError::File {
                path,
                action,
                source,
            }
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(failed(directory, "created"))?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&path, "removed")(error));
            }
            Ok(()) | Err(_) => {}
        }
        let written = Self {
            directory: directory.to_owned(),
            variables,
        };
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(failed(&path, "written"))?;
        Ok(written)
    }

    /// The folder for `--profiles-dir`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the guest's environment must hold besides.
    #[must_use]
    pub fn variables(&self) -> &Variables {
        &self.variables
    }
}

impl Drop for PrivateProfile {
    fn drop(&mut self) {
        for result in [
            fs::remove_file(self.directory.join("profiles.yml")),
            // dbt keeps `.user.yml` beside the profile.
            remove_if_there(&self.directory.join(".user.yml")),
            fs::remove_dir(&self.directory),
        ] {
            if let Err(error) = result {
                tracing::warn!(%error, directory = %self.directory.display(), "a private profile was not removed");
            }
        }
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn reference(variable: &str) -> Value {
    Value::String(format!("{{{{ env_var('{variable}') }}}}"))
}

/// A password that dbt would take as it stands.
fn literal(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => {
            (!text.contains("{{") && !text.contains("{%") && !text.contains("{#"))
                .then(|| text.clone())
        }
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// JSON so that a YAML 1.1 reader finds the same texts in it: what YAML holds for unprintable or for a
/// line break is escaped. Such characters stand only inside texts.
pub(crate) fn as_yaml(json: &str) -> String {
    let mut yaml = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            ' '..='~' | '\u{10000}'.. => yaml.push(character),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{ffff}' => {
                yaml.push_str(&format!("\\u{:04x}", u32::from(character)));
            }
        }
    }
    yaml
}

#[cfg(test)]
mod tests {
    use super::PrivateProfile;
    use serde_yaml::Value;
    use std::os::unix::fs::PermissionsExt;

    const OUTPUT: &str = r##"
type: materialize
host: "{{ env_var('MZ_HOST') }}"
port: "{{ env_var('MZ_PORT', '6875') | as_number }}"
user: "o'brien \"x\" {# comment #}"
pass: "s3cr:et #1"
database: 12:30
cluster: quickstart
options: "on"
sslmode: require
threads: 4
"##;

    fn write(output: &str, cluster: &str) -> (PrivateProfile, Value, String, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let output: Value = serde_yaml::from_str(output).expect("YAML");
        let profile = PrivateProfile::write(
            &folder.path().join("profiles"),
            "shop: \"é\u{7f}\u{85}",
            "production",
            &output,
            cluster,
        )
        .expect("it is written");
        let path = profile.directory().join("profiles.yml");
        let mode = std::fs::metadata(&path)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = std::fs::read_to_string(path).expect("a file");
        let read: Value = serde_yaml::from_str(&text).expect("YAML");
        let output = read["shop: \"é\u{7f}\u{85}"]["outputs"]["production"].clone();
        (profile, output, text, folder)
    }

    #[test]
    fn only_cluster_and_literal_password_differ() {
        let (profile, output, text, folder) = write(OUTPUT, "{{ hostile }}");
        let mut expected: Value = serde_yaml::from_str(OUTPUT).expect("YAML");
        expected["cluster"] = "{{ env_var('CUTOVER_CLUSTER') }}".into();
        expected["pass"] = "{{ env_var('DBT_ENV_SECRET_CUTOVER_PASSWORD') }}".into();
        assert_eq!(output, expected);
        assert!(!text.contains("s3cr"));
        let variables: Vec<_> = profile
            .variables()
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
            .collect();
        assert_eq!(
            variables,
            [
                ("CUTOVER_CLUSTER", "{{ hostile }}"),
                ("DBT_ENV_SECRET_CUTOVER_PASSWORD", "s3cr:et #1")
            ]
        );
        drop(profile);
        assert!(!folder.path().join("profiles").exists());
    }

    #[test]
    fn a_password_with_jinja_stays() {
        let (profile, output, _, _folder) = write(
            "{type: materialize, password: \"x{{ env_var('P') }}\"}",
            "c",
        );
        assert_eq!(output["password"], Value::from("x{{ env_var('P') }}"));
        assert_eq!(profile.variables().len(), 1);
    }

    #[test]
    fn an_output_that_is_no_mapping_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = PrivateProfile::write(folder.path(), "p", "t", &Value::from("text"), "c").err();
        assert!(error.is_some_and(|e| e.to_string().contains("not a mapping")));
    }
}
