//! References to secrets: a configuration says where a secret is, never what it is.
//!
//! `env:NAME` is a variable of Cutover's own environment, `file:PATH` a file; a relative path begins
//! where the other relative paths of the configuration do. A secret is read anew each time it is
//! needed, so that a rotated one counts without a restart.
//!
//! Invariant: no error shows what stands in the place of a reference, since that may be the secret.

use crate::foundation::environment::Environment;
use crate::foundation::failure::{Class, Classify};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The longest secret, in bytes. A longer file is some other file.
pub const LONGEST: u64 = 64 << 10;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretRef {
    /// In a variable of this process's environment.
    Variable(String),
    /// In a file, which may end in one line break.
    File(PathBuf),
}

/// A text that is no reference. Does not hold the text, which may be the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAReference {
    /// It begins neither with `env:` nor with `file:`.
    #[error(
        "this is not a reference to a secret; write env:NAME or file:PATH, never the secret itself"
    )]
    Kind,
    /// What follows `env:` is no name.
    #[error(
        "after env: stands the name of an environment variable (letters, digits and _, no digit first)"
    )]
    Name,
    /// What follows `file:` is no path.
    #[error("after file: stands the path of a file")]
    Path,
}

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set, or is not UTF-8.
    #[error("{key}: the environment variable {name} is not set")]
    Unset {
        /// The key of the configuration.
        key: String,
        /// The variable.
        name: String,
    },
    /// There is nothing in it.
    #[error("{key}: {place} is empty")]
    Empty {
        /// The key of the configuration.
        key: String,
        /// The variable or file.
        place: String,
    },
    /// The file cannot be read.
    #[error("{key}: the file {} cannot be read", path.display())]
    Unreadable {
        /// The key of the configuration.
        key: String,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is too large, no UTF-8, or holds a zero byte.
    #[error("{key}: the file {} is not a secret of at most {LONGEST} bytes of text", path.display())]
    NotText {
        /// The key of the configuration.
        key: String,
        /// The file.
        path: PathBuf,
    },
}

impl Classify for SecretError {
    fn class(&self) -> Class {
        match self {
            Self::Unset { .. }
            | Self::Empty { .. }
            | Self::Unreadable { .. }
            | Self::NotText { .. } => Class::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unset { name, .. } => format!("set {name} where Cutover is started"),
            Self::Empty { place, .. } => format!("put the secret into {place}"),
            Self::Unreadable { .. } | Self::NotText { .. } => {
                "name a file that holds the secret alone and that Cutover may read".to_owned()
            }
        })
    }
}

impl SecretRef {
    /// Reads the secret; one line break at the end of a file does not belong to it. `key` is the
    /// key of the configuration, for messages; a relative path begins in `base`.
    ///
    /// # Errors
    /// A variable that is not set, a file that cannot be read, an empty secret.
    pub fn resolve(
        &self,
        key: &str,
        base: &Path,
        environment: &Environment,
    ) -> Result<SecretString, SecretError> {
        let key = || key.to_owned();
        let (text, place) = match self {
            Self::Variable(name) => {
                let unset = || SecretError::Unset {
                    key: key(),
                    name: name.clone(),
                };
                let text = environment.get(name).ok_or_else(unset)?;
                (text.to_owned(), name.clone())
            }
            Self::File(path) => {
                let path = base.join(path);
                let unreadable = |source| SecretError::Unreadable {
                    key: key(),
                    path: path.clone(),
                    source,
                };
                let mut text = Vec::new();
                File::open(&path)
                    .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut text))
                    .map_err(unreadable)?;
                let text = String::from_utf8(text)
                    .ok()
                    .filter(|text| text.len() as u64 <= LONGEST && !text.contains('\0'))
                    .ok_or_else(|| SecretError::NotText {
                        key: key(),
                        path: path.clone(),
                    })?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                let line = line.strip_suffix('\r').unwrap_or(line);
                (line.to_owned(), path.display().to_string())
            }
        };
        if text.is_empty() {
            return Err(SecretError::Empty { key: key(), place });
        }
        Ok(SecretString::from(text))
    }

    /// The variable that holds it, where it is one.
    #[must_use]
    pub fn variable(&self) -> Option<&str> {
        match self {
            Self::Variable(name) => Some(name),
            Self::File(_) => None,
        }
    }
}

impl FromStr for SecretRef {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(name) = text.strip_prefix("env:") {
            let is_name = !name.is_empty()
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            return match is_name {
                true => Ok(Self::Variable(name.to_owned())),
                false => Err(NotAReference::Name),
            };
        }
        let path = text.strip_prefix("file:").ok_or(NotAReference::Kind)?;
        if path.trim().is_empty() || path.contains(char::is_control) {
            return Err(NotAReference::Path);
        }
        Ok(Self::File(PathBuf::from(path)))
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

impl Serialize for SecretRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretRef {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Through a value of any type: serde's own errors would quote a secret that is a number.
        let value = serde_json::Value::deserialize(deserializer)?;
        let text = value.as_str().ok_or(NotAReference::Kind);
        text.and_then(str::parse).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, NotAReference, SecretRef};
    use crate::foundation::environment::Environment;
    use crate::foundation::failure::with_causes;
    use secrecy::ExposeSecret;
    use std::path::PathBuf;

    fn read(reference: &str, base: &std::path::Path) -> Result<String, String> {
        let environment: Environment = [("TOKEN", "s3cret"), ("NOTHING", "")].into_iter().collect();
        let reference: SecretRef = reference.parse().expect("a reference");
        reference
            .resolve("source.password", base, &environment)
            .map(|secret| secret.expose_secret().to_owned())
            .map_err(|error| with_causes(&error))
    }

    #[test]
    fn a_reference_names_a_variable_or_a_file() {
        let parse = str::parse::<SecretRef>;
        assert_eq!(parse("env:A_1"), Ok(SecretRef::Variable("A_1".to_owned())));
        let file = SecretRef::File(PathBuf::from("/run/a b"));
        assert_eq!(parse("file:/run/a b"), Ok(file.clone()));
        assert_eq!(file.to_string(), "file:/run/a b");
        for (text, expected) in [
            ("hunter2", NotAReference::Kind),
            ("", NotAReference::Kind),
            ("ENV:A", NotAReference::Kind),
            ("env:", NotAReference::Name),
            ("env:1A", NotAReference::Name),
            ("env:A-B", NotAReference::Name),
            ("file:", NotAReference::Path),
            ("file:a\nb", NotAReference::Path),
        ] {
            assert_eq!(parse(text), Err(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_reference_is_not_repeated() {
        for written in [r#""hunter2""#, "4711", "[4711]", r#""env:hunter-2""#] {
            let error = serde_json::from_str::<SecretRef>(written).expect_err("no reference");
            let said = error.to_string();
            assert!(!said.contains("hunter") && !said.contains("4711"), "{said}");
        }
        let reference: SecretRef = serde_json::from_str(r#""env:TOKEN""#).expect("a reference");
        let written = serde_json::to_string(&reference).expect("JSON");
        assert_eq!(written, r#""env:TOKEN""#);
    }

    #[test]
    fn a_secret_is_read_from_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let base = folder.path();
        let write = |name: &str, text: &[u8]| std::fs::write(base.join(name), text);
        assert_eq!(read("env:TOKEN", base).as_deref(), Ok("s3cret"));
        for (text, expected) in [
            ("key", "key"),
            ("key\n", "key"),
            ("key\r\n", "key"),
            ("a\nb\n\n", "a\nb\n"),
            (" key ", " key "),
        ] {
            write("secret", text.as_bytes()).expect("written");
            assert_eq!(read("file:secret", base).as_deref(), Ok(expected));
        }
        for (reference, expected) in [
            (
                "env:MISSING",
                "source.password: the environment variable MISSING is not set",
            ),
            ("env:NOTHING", "source.password: NOTHING is empty"),
            ("file:missing", "missing cannot be read: No such file"),
            ("file:.", "cannot be read: Is a directory"),
            ("file:empty", "empty is empty"),
            ("file:large", "is not a secret of at most"),
            ("file:binary", "is not a secret of at most"),
        ] {
            write("empty", b"\n").expect("written");
            write("large", &vec![b'x'; LONGEST as usize + 1]).expect("written");
            write("binary", b"a\0b").expect("written");
            let said = read(reference, base).expect_err("no secret");
            assert!(said.contains(expected), "{said}");
            assert!(said.starts_with("source.password: "), "{said}");
        }
    }
}
