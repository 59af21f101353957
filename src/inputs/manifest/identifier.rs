//! Cluster names as dbt-materialize spells them into SQL.
//!
//! The adapter splices a cluster from a config or a profile **unquoted** (`in cluster {{ cluster }}`,
//! and `{{ cluster }}_dbt_deploy` for the green side), so what Materialize sees is the folded name.
//! A name that only works quoted cannot take that suffix: `"A"_dbt_deploy` is not SQL.

/// The cluster that a config value really names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClusterName {
    /// An identifier that needs no quotes, folded to lower case: the adapter can suffix it.
    Plain(String),
    /// Written in quotes in the config; this is the name between them. The adapter cannot suffix it.
    Quoted(String),
}

/// Why a config value cannot name a cluster at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing is written.
    #[error("the cluster name is empty; write the cluster's name or remove the key")]
    Empty,
    /// The text is neither an identifier nor a quoted one.
    #[error(
        "cluster name `{0}` is not an identifier that Materialize reads without quotes, and dbt-materialize \
         writes it without; rename the cluster to letters, digits, `_` and `$`"
    )]
    NeedsQuotes(String),
}

impl ClusterName {
    /// Folds a config value the way Materialize folds the SQL that the adapter makes of it.
    ///
    /// Materialize's lexer takes any non-ASCII character as a letter and lowers all letters, ASCII or not.
    pub fn fold(value: &str) -> Result<Self, Error> {
        let text = value.trim();
        if text.is_empty() {
            return Err(Error::Empty);
        }
        if let Some(quoted) = text.strip_prefix('"') {
            let inner = quoted
                .strip_suffix('"')
                .map(|inner| inner.replace("\"\"", "\u{0}"));
            return match inner {
                Some(inner) if !inner.is_empty() && !inner.contains('"') => {
                    Ok(Self::Quoted(inner.replace('\u{0}', "\"")))
                }
                Some(_) | None => Err(Error::NeedsQuotes(value.to_owned())),
            };
        }
        let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii();
        let mut characters = text.chars();
        let head = characters.next().is_some_and(letter);
        if head && characters.all(|c| letter(c) || c.is_ascii_digit() || c == '$') {
            Ok(Self::Plain(text.to_lowercase()))
        } else {
            Err(Error::NeedsQuotes(value.to_owned()))
        }
    }

    /// The name as the catalog holds it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Plain(name) | Self::Quoted(name) => name,
        }
    }

    /// The name without quotes if the adapter can put its suffix behind it.
    pub fn suffixable(&self) -> Option<&str> {
        match self {
            Self::Plain(name) => Some(name),
            Self::Quoted(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_as_unquoted_sql_is_folded() {
        let plain = |text: &str| Ok(ClusterName::Plain(text.to_owned()));
        assert_eq!(ClusterName::fold("Compute_1"), plain("compute_1"));
        assert_eq!(ClusterName::fold(" c$ "), plain("c$"));
        assert_eq!(ClusterName::fold("GRÖßE"), plain("größe"));
        assert_eq!(
            ClusterName::fold("\"My \"\"C\""),
            Ok(ClusterName::Quoted("My \"C".to_owned()))
        );
        assert_eq!(ClusterName::fold("  "), Err(Error::Empty));
        for bad in [
            "my-cluster",
            "1st",
            "a b",
            "\"open",
            "\"\"",
            "a\"b",
            "x; drop cluster y",
            "\"a\"b\"",
        ] {
            assert_eq!(
                ClusterName::fold(bad),
                Err(Error::NeedsQuotes(bad.to_owned())),
                "{bad}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in "\\PC{0,12}") {
            if let Ok(ClusterName::Plain(name)) = ClusterName::fold(&text) {
                // Lowering is not always a fixed point of itself, but what it gives must stay a plain name.
                proptest::prop_assert!(matches!(ClusterName::fold(&name), Ok(ClusterName::Plain(_))));
                proptest::prop_assert!(!name.contains([' ', '"', ';', '-', '\'']));
            }
        }
    }

    #[test]
    fn only_plain_names_take_the_suffix() {
        assert_eq!(ClusterName::Plain("a".into()).suffixable(), Some("a"));
        assert_eq!(ClusterName::Quoted("A".into()).suffixable(), None);
    }
}
