//! The JSON files that dbt writes: what every one of them shares, and how a wrong one is refused.
//!
//! The schema version is looked at before the rest, so that a file of another version is called that and
//! not "broken". The text is held once while it is read; nothing of it is kept as raw JSON afterwards.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserializer as _;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;

use decode::Key;

/// Why an artifact could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be opened.
    #[error("{}: cannot be read; run `dbt parse` in the project, or correct the path", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not JSON, or ends too soon.
    #[error(
        "{}:{line}:{column} (byte {offset}): {what}; the file was not written to its end or was edited, \
         let dbt write it again",
        file.display()
    )]
    Broken {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// In bytes, counted from 1.
        column: usize,
        /// From the start of the file.
        offset: usize,
        /// Truncated, or no JSON.
        what: &'static str,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// JSON, but not a file of the wanted kind.
    #[error("{}: not a dbt {wanted}: {found}; pass the {wanted} that dbt writes to target/", file.display())]
    OtherKind {
        /// The file.
        file: PathBuf,
        /// For example `manifest`.
        wanted: &'static str,
        /// What it is instead.
        found: String,
    },
    /// The right kind in another version of its schema.
    #[error(
        "{}: schema version v{found}{}, Cutover reads v{wanted}; use dbt-core {dbt} and let it write the file again",
        file.display(), by(written_by)
    )]
    OtherVersion {
        /// The file.
        file: PathBuf,
        /// The version of the file.
        found: u32,
        /// The version that is read.
        wanted: u32,
        /// The dbt that wrote it, when it says so.
        written_by: Option<String>,
        /// The releases of dbt-core that write the wanted version.
        dbt: &'static str,
    },
    /// The right version, but a value is not what the schema says.
    #[error(
        "{}:{line}:{column} (byte {offset}): not as dbt writes it; let dbt write it again, and if it stays so \
         report the version of dbt",
        file.display()
    )]
    Unexpected {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// In bytes, counted from 1.
        column: usize,
        /// From the start of the file.
        offset: usize,
        /// Which value and why.
        source: serde_json::Error,
    },
}

fn by(version: &Option<String>) -> String {
    version
        .as_ref()
        .map(|version| format!(" (written by dbt {version})"))
        .unwrap_or_default()
}

/// A kind of artifact.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// As in the schema's address: `…/dbt/<name>/v<version>.json`.
    pub(crate) name: &'static str,
    /// The version that is read.
    pub(crate) version: u32,
    /// The releases of dbt-core that write it.
    pub(crate) dbt: &'static str,
}

/// The `metadata` of an artifact, read no further than to its end: dbt writes it first, and what
/// follows may be hundreds of megabytes.
#[derive(Default)]
struct Header {
    metadata: Option<Value>,
}

impl Header {
    fn of(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut header = Self::default();
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        match deserializer.deserialize_map(&mut header) {
            // That it was left in the middle is an error too.
            Ok(()) | Err(_) if header.metadata.is_some() => Ok(header),
            Ok(()) => deserializer.end().map(|()| header),
            Err(error) => Err(error),
        }
    }
}

impl<'de> Visitor<'de> for &mut Header {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            if key == "metadata" {
                self.metadata = Some(map.next_value()?);
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Reads a file of a kind.
pub(crate) fn read<T: DeserializeOwned>(file: &Path, kind: Kind) -> Result<T, Error> {
    let bytes = std::fs::read(file).map_err(|source| Error::Unreadable {
        file: file.to_owned(),
        source,
    })?;
    parse(&bytes, file, kind)
}

/// Reads a kind of artifact from text; `file` is only for messages.
pub(crate) fn parse<T: DeserializeOwned>(
    bytes: &[u8],
    file: &Path,
    kind: Kind,
) -> Result<T, Error> {
    let header = Header::of(bytes).map_err(|error| match error.classify() {
        Category::Data => other_kind(file, kind, "the JSON is no object"),
        Category::Io | Category::Syntax | Category::Eof => fault(bytes, file, error),
    })?;
    let metadata = header.metadata.unwrap_or_default();
    let Some(address) = metadata.get("dbt_schema_version").and_then(Value::as_str) else {
        return Err(other_kind(
            file,
            kind,
            "it has no `metadata.dbt_schema_version`",
        ));
    };
    let version = address
        .rsplit_once("/dbt/")
        .and_then(|(_, tail)| tail.strip_suffix(".json"))
        .and_then(|tail| tail.split_once("/v"))
        .filter(|(name, _)| *name == kind.name)
        .and_then(|(_, version)| version.parse::<u32>().ok());
    match version {
        Some(version) if version == kind.version => {}
        Some(found) => {
            let written_by = metadata.get("dbt_version").and_then(Value::as_str);
            return Err(Error::OtherVersion {
                file: file.to_owned(),
                found,
                wanted: kind.version,
                written_by: written_by.map(str::to_owned),
                dbt: kind.dbt,
            });
        }
        None => {
            return Err(other_kind(
                file,
                kind,
                &format!("its schema is `{address}`"),
            ));
        }
    }
    serde_json::from_slice(bytes).map_err(|error| {
        // Inside a value an error of syntax passes for one of data; only the text alone tells them apart.
        let broken = serde_json::from_slice::<IgnoredAny>(bytes).err();
        fault(bytes, file, broken.unwrap_or(error))
    })
}

fn other_kind(file: &Path, kind: Kind, found: &str) -> Error {
    Error::OtherKind {
        file: file.to_owned(),
        wanted: kind.name,
        found: found.to_owned(),
    }
}

fn fault(bytes: &[u8], file: &Path, source: serde_json::Error) -> Error {
    let (line, column) = (source.line(), source.column());
    let offset = offset(bytes, line, column);
    let file = file.to_owned();
    match source.classify() {
        Category::Eof => Error::Broken {
            file,
            line,
            column,
            offset,
            what: "the JSON ends too soon",
            source,
        },
        Category::Syntax | Category::Io => Error::Broken {
            file,
            line,
            column,
            offset,
            what: "not valid JSON",
            source,
        },
        Category::Data => Error::Unexpected {
            file,
            line,
            column,
            offset,
            source,
        },
    }
}

/// The byte that a line and a column (from 1, in bytes) mean.
fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let before: usize = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    (before + column.saturating_sub(1)).min(bytes.len())
}

/// Field decoders for the looseness of dbt's JSON.
pub(crate) mod decode {
    use std::borrow::Cow;
    use std::collections::BTreeMap;
    use std::fmt;
    use std::marker::PhantomData;

    use serde::de::{Error as _, MapAccess, Visitor};
    use serde::{Deserialize, Deserializer};

    /// A key of an object, borrowed where it is written without escapes; a `Cow` alone never borrows.
    #[derive(Deserialize)]
    #[serde(transparent)]
    pub(crate) struct Key<'k>(#[serde(borrow)] pub(crate) Cow<'k, str>);

    /// `null` where a value is expected means the value's default.
    pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de> + Default,
    {
        Ok(Option::deserialize(deserializer)?.unwrap_or_default())
    }

    /// A map by id. An error in a value names the id, since a manifest is one line of megabytes.
    pub(crate) fn by_id<'de, D, T>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de>,
    {
        each_by_id(deserializer, |_| ())
    }

    /// As [`by_id`]; each value is handed out once before it is kept.
    pub(crate) fn each_by_id<'de, D, T>(
        deserializer: D,
        each: impl FnMut(&mut T),
    ) -> Result<BTreeMap<String, T>, D::Error>
    where
        D: Deserializer<'de>,
        T: Deserialize<'de>,
    {
        struct ById<T, F>(F, PhantomData<T>);

        impl<'de, T: Deserialize<'de>, F: FnMut(&mut T)> Visitor<'de> for ById<T, F> {
            type Value = BTreeMap<String, T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map by unique_id")
            }

            fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut values = BTreeMap::new();
                while let Some(id) = map.next_key::<String>()? {
                    let mut value = map
                        .next_value()
                        .map_err(|error| A::Error::custom(format_args!("`{id}`: {error}")))?;
                    (self.0)(&mut value);
                    values.insert(id, value);
                }
                Ok(values)
            }
        }

        deserializer.deserialize_map(ById(each, PhantomData))
    }

    /// A list of texts, or nothing; `null` among them becomes an empty text.
    pub(crate) fn texts_or_empty<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<String>, D::Error> {
        let texts: Option<Vec<Option<String>>> = Option::deserialize(deserializer)?;
        let texts = texts.unwrap_or_default().into_iter();
        Ok(texts.map(Option::unwrap_or_default).collect())
    }

    /// As [`one_or_many`], for a value on its own.
    #[derive(Deserialize)]
    pub(crate) struct Texts(#[serde(deserialize_with = "one_or_many")] pub(crate) Vec<String>);

    /// A text, a list of texts, or nothing.
    pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<String>, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Texts {
            One(String),
            Many(Vec<String>),
        }
        Ok(match Option::deserialize(deserializer)? {
            None => Vec::new(),
            Some(Texts::One(text)) => vec![text],
            Some(Texts::Many(texts)) => texts,
        })
    }
}
