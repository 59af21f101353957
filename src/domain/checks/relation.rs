//! `schema.name` as it is written in a configuration.

use crate::foundation::sql::identifier::{Ident, MAX_IDENTIFIER_BYTES};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A relation as production calls it. A part with a dot, or with quotes, stands in double quotes with
/// inner ones doubled; letter case counts in any case, as dbt quotes what it makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Relation {
    /// The schema.
    pub schema: String,
    /// The relation's own name.
    pub name: String,
}

impl FromStr for Relation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = parts(text).ok_or_else(|| {
            format!("{text:?} is not a relation such as marts.totals or \"my marts\".\"a.b\"")
        })?;
        let [schema, name] = <[String; 2]>::try_from(parts).map_err(|parts| {
            format!(
                "{text:?} has {} parts, not a schema and a name; the database is that of the profile",
                parts.len()
            )
        })?;
        Ok(Self { schema, name })
    }
}

/// The parts between dots; `None` where one is empty, too long or badly quoted.
fn parts(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => match rest.split_once('.') {
                Some((part, after)) => (part.to_owned(), Some(after)),
                None => (rest.to_owned(), None),
            },
        };
        let is_plain = !rest.starts_with('"');
        let is_name = !part.is_empty()
            && part.len() <= MAX_IDENTIFIER_BYTES
            && !part.contains(char::is_control)
            && !(is_plain && (part.contains('"') || part.trim() != part));
        if !is_name {
            return None;
        }
        parts.push(part);
        match after {
            Some(after) => rest = after,
            None => return Some(parts),
        }
    }
}

/// A part behind its opening quote, and what follows the dot behind it.
fn unquoted(text: &str) -> Option<(String, Option<&str>)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        if let Some(more) = after.strip_prefix('"') {
            part.push('"');
            rest = more;
        } else if after.is_empty() {
            return Some((part, None));
        } else {
            return Some((part, Some(after.strip_prefix('.')?)));
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |f: &mut fmt::Formatter<'_>, part: &str| {
            if part.contains(['.', '"']) || part.trim() != part {
                write!(f, "{}", Ident(part))
            } else {
                f.write_str(part)
            }
        };
        part(f, &self.schema)?;
        f.write_str(".")?;
        part(f, &self.name)
    }
}

impl<'de> Deserialize<'de> for Relation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Relation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
