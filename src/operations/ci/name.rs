//! What a corner is called.

use std::fmt;
use std::str::FromStr;

/// The longest name, in bytes.
const LONGEST: usize = 200;

/// The name of a corner: letters, digits, `-` and `_`, beginning with a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CornerName(String);

/// A text that is no name of a corner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name of a corner: write letters, digits, - and _, beginning with a letter or a digit, {LONGEST} at most"
)]
pub struct NotAName(pub String);

impl CornerName {
    /// As it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CornerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CornerName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        match begins && text.len() <= LONGEST && text.chars().all(is_plain) {
            true => Ok(Self(text.to_owned())),
            false => Err(NotAName(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CornerName;

    #[test]
    fn a_name_is_a_plain_word() {
        for name in ["pr-123", "7", "Feature_x", &"a".repeat(200)] {
            assert_eq!(
                name.parse::<CornerName>().map(|it| it.to_string()),
                Ok(name.to_owned())
            );
        }
        for text in ["", "-x", "_x", "a b", "a\"b", "é", "a.b", &"a".repeat(201)] {
            assert!(text.parse::<CornerName>().is_err(), "{text}");
        }
    }
}
