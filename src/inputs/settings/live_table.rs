//! The table in Materialize that says what is live.

use super::fault::{Fault, SettingsError};
use crate::domain::plan::GREEN_SUFFIX;
use crate::foundation::sql::identifier::MAX_IDENTIFIER_BYTES;
use serde::{Deserialize, Serialize};

/// `off`, or the schema and the name of a table in the environment's database: `cutover.live`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveTable {
    /// Nothing is written.
    Off,
    /// This one.
    Named {
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
    },
}

/// Names of this beginning belong to deployments.
const SECRET: &str = "cutover_";

impl LiveTable {
    /// Makes sure that it is in none of these schemas, which are swapped.
    ///
    /// # Errors
    /// The fault of the setting.
    pub fn apart(&self, swapped: &[String]) -> Result<(), SettingsError> {
        let Self::Named { schema, .. } = self else {
            return Ok(());
        };
        let green = schema.strip_suffix(GREEN_SUFFIX).unwrap_or(schema);
        if !swapped.iter().any(|name| name == schema || name == green) {
            return Ok(());
        }
        Err(SettingsError::Faults(vec![Fault {
            place: String::new(),
            path: "live_table".to_owned(),
            message: format!("the schema {schema} is one of those that releases swap"),
            remedy: "name a table in a schema of its own, for example cutover.live".to_owned(),
        }]))
    }

    fn read(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let no = |why: &str| {
            Err(format!(
                "{text:?} {why}; write `off` or for example cutover.live"
            ))
        };
        let Some((schema, name)) = text.split_once('.') else {
            return no("is not the schema and the name of a table");
        };
        let is_name = |part: &str| {
            !part.is_empty()
                && part.len() <= MAX_IDENTIFIER_BYTES
                && !part.contains(|c: char| c == '.' || c == '"' || c.is_control())
        };
        if !is_name(schema) || !is_name(name) {
            return no("is not the schema and the name of a table");
        }
        if ["mz_", "pg_", SECRET]
            .iter()
            .any(|it| schema.starts_with(it))
            || schema == "information_schema"
        {
            return no("is in a schema that is the server's or a deployment's");
        }
        Ok(Self::Named {
            schema: schema.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl<'de> Deserialize<'de> for LiveTable {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::read(&text).map_err(serde::de::Error::custom)
    }
}

impl Serialize for LiveTable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str("off"),
            Self::Named { schema, name } => {
                serializer.collect_str(&format_args!("{schema}.{name}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LiveTable;

    #[test]
    fn it_is_off_or_a_schema_and_a_name() {
        for text in ["off", "cutover.live", "Ops Team.what is live"] {
            let read = LiveTable::read(text).expect(text);
            assert_eq!(serde_json::to_value(read).expect("text"), text);
        }
        let named = LiveTable::read("marts.live").expect("a table");
        assert!(named.apart(&["cutover".to_owned()]).is_ok());
        assert!(named.apart(&["marts".to_owned()]).is_err());
        for text in [
            "",
            "live",
            "a.b.c",
            ".live",
            "cutover.",
            "mz_x.live",
            "cutover_1.live",
            "a\".b",
        ] {
            assert!(LiveTable::read(text).is_err(), "{text}");
        }
    }
}
