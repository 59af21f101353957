//! What the platform says by variables.

use super::error::PublishError;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

/// The variables of the environment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Variables<'a>(pub &'a BTreeMap<String, String>);

impl<'a> Variables<'a> {
    /// What a variable says; nothing where it is empty.
    pub(super) fn get(self, name: &str) -> Option<&'a str> {
        let value = self.0.get(name).map(|value| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// What a variable says that must be there.
    pub(super) fn needed(self, name: &str) -> Result<&'a str, PublishError> {
        self.get(name).ok_or_else(|| PublishError::Variable {
            name: name.to_owned(),
            problem: "is not set".to_owned(),
        })
    }
}

/// What a variable says, as what it means.
pub(super) fn parsed<T>(name: &str, text: &str) -> Result<T, PublishError>
where
    T: FromStr<Err: Display>,
{
    text.parse()
        .map_err(|error: T::Err| PublishError::Variable {
            name: name.to_owned(),
            problem: format!("cannot be used: {error}"),
        })
}
