//! Quoting: the only way for a name or a text to become part of a statement.

use std::fmt;

/// The most bytes that Materialize takes for one identifier (error 42601 above).
pub const MAX_IDENTIFIER_BYTES: usize = 255;

/// The most bytes that Materialize takes for one comment.
pub const MAX_COMMENT_BYTES: usize = 1024;

/// A name, displayed in double quotes with inner quotes doubled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ident<'a>(pub &'a str);

impl fmt::Display for Ident<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for character in self.0.chars() {
            if character == '"' {
                f.write_str("\"\"")?;
            } else {
                fmt::Write::write_char(f, character)?;
            }
        }
        f.write_str("\"")
    }
}

/// A dotted name, each part quoted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qualified<'a>(pub Vec<&'a str>);

impl<'a> Qualified<'a> {
    /// `"database"."schema"`.
    #[must_use]
    pub fn schema(database: &'a str, schema: &'a str) -> Self {
        Self(vec![database, schema])
    }

    /// `"database"."schema"."name"`.
    #[must_use]
    pub fn object(database: &'a str, schema: &'a str, name: &'a str) -> Self {
        Self(vec![database, schema, name])
    }
}

impl fmt::Display for Qualified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            write!(f, "{}", Ident(part))?;
        }
        Ok(())
    }
}

/// A text as a string literal. Materialize takes backslashes as they are
/// (`standard_conforming_strings` is always on), so only quotes are doubled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Literal<'a>(pub &'a str);

impl fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'")?;
        f.write_str(&self.0.replace('\'', "''"))?;
        f.write_str("'")
    }
}

#[cfg(test)]
mod tests {
    use super::{Ident, Literal, Qualified};
    use proptest::prelude::*;

    #[test]
    fn names_are_quoted() {
        assert_eq!(Ident("a\"b c").to_string(), "\"a\"\"b c\"");
        assert_eq!(
            Qualified::object("d", "s.t", "ü").to_string(),
            "\"d\".\"s.t\".\"ü\""
        );
        assert_eq!(Literal("it's \\n").to_string(), "'it''s \\n'");
    }

    proptest! {
        #[test]
        fn quoting_can_be_undone_and_never_ends_early(name in ".*") {
            let quoted = Ident(&name).to_string();
            let inner = quoted.strip_prefix('"').and_then(|s| s.strip_suffix('"'));
            let inner = inner.map(|s| s.replace("\"\"", "\u{0}"));
            prop_assert_eq!(inner.as_deref().map(|s| s.contains('"')), Some(false));
            let literal = Literal(&name).to_string();
            let body = &literal[1..literal.len() - 1];
            prop_assert!(!body.replace("''", "").contains('\''));
            prop_assert_eq!(body.replace("''", "'"), name);
        }
    }
}
