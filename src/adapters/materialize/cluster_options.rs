//! The options of a managed cluster, as `SHOW CREATE CLUSTER` lists them, and how to get from one list to another.

use super::statement::Statement;
use crate::domain::catalog::ClusterDefinition;
use crate::foundation::sql::identifier::{Ident, Literal};
use std::collections::BTreeMap;

/// The statements that do to a cluster what made the definition `before` into `after`.
///
/// # Errors
/// Why that cannot be done, the end of a sentence.
pub fn alteration(
    cluster: &str,
    before: &ClusterDefinition,
    after: &ClusterDefinition,
) -> Result<Vec<Statement>, String> {
    let (
        ClusterDefinition::Managed { options: before },
        ClusterDefinition::Managed { options: after },
    ) = (before, after)
    else {
        return Err("replicas of a cluster that is not managed are not made after it".to_owned());
    };
    let (before, after) = (options(before)?, options(after)?);
    let set: Vec<String> = after
        .iter()
        .filter(|(name, value)| before.get(*name) != Some(value))
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    let reset: Vec<&str> = before
        .keys()
        .filter(|name| !after.contains_key(*name))
        .copied()
        .collect();
    let mut statements = Vec::new();
    let cluster = Ident(cluster);
    if !set.is_empty() {
        let sql = format!("ALTER CLUSTER {cluster} SET ({})", set.join(", "));
        statements.push(Statement::new("alter cluster", sql));
    }
    if !reset.is_empty() {
        let sql = format!("ALTER CLUSTER {cluster} RESET ({})", reset.join(", "));
        statements.push(Statement::new("alter cluster", sql));
    }
    Ok(statements)
}

/// The same options with another size, and the size that they have; `None` where they name none.
#[must_use]
pub fn with_size(list: &str, size: &str) -> Option<(String, String)> {
    let mut before = None;
    let parts: Vec<String> = split(list)?
        .into_iter()
        .map(|part| match part.split_once('=') {
            Some((name, value)) if name.trim() == "SIZE" => {
                before = Some(unquoted_literal(value.trim()));
                format!("{name}= {}", Literal(size))
            }
            Some(_) | None => part.to_owned(),
        })
        .collect();
    Some((parts.join(","), before?))
}

/// The text of a literal in single quotes; what has none is taken as it is.
fn unquoted_literal(literal: &str) -> String {
    let inner = literal
        .strip_prefix('\'')
        .and_then(|it| it.strip_suffix('\''));
    inner.map_or_else(|| literal.to_owned(), |inner| inner.replace("''", "'"))
}

/// Options by name: `SIZE` → `'25cc'`.
fn options(list: &str) -> Result<BTreeMap<&str, &str>, String> {
    let form = || format!("its options have a form that is not known: {list}");
    let mut options = BTreeMap::new();
    for option in split(list).ok_or_else(form)? {
        let (name, value) = option.split_once('=').ok_or_else(form)?;
        let (name, value) = (name.trim(), value.trim());
        let is_name = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c == ' ' || c == '_');
        if !is_name || value.is_empty() || options.insert(name, value).is_some() {
            return Err(form());
        }
    }
    Ok(options)
}

/// The parts between commas that stand in no quotes, parentheses or brackets.
fn split(list: &str) -> Option<Vec<&str>> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, character) in crate::foundation::sql::scan::unquoted(list) {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.checked_sub(1)?,
            ',' if depth == 0 => {
                parts.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[from..]);
    (depth == 0).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::{alteration, with_size};
    use crate::domain::catalog::ClusterDefinition;

    fn managed(options: &str) -> ClusterDefinition {
        ClusterDefinition::Managed {
            options: options.to_owned(),
        }
    }

    fn sent(before: &str, after: &str) -> Result<Vec<String>, String> {
        let statements = alteration("g\"1", &managed(before), &managed(after))?;
        Ok(statements.iter().map(|it| it.sql().to_owned()).collect())
    }

    #[test]
    fn only_what_differs_is_set() {
        let before = "MANAGED = true, REPLICATION FACTOR = 1, SIZE = '25cc', SCHEDULE = MANUAL, AVAILABILITY ZONES = ['a, b', 'c']";
        assert_eq!(sent(before, before), Ok(Vec::new()));
        let after = before.replace("'25cc'", "'100cc'").replace("= 1,", "= 2,");
        assert_eq!(
            sent(before, &after),
            Ok(vec![
                "ALTER CLUSTER \"g\"\"1\" SET (REPLICATION FACTOR = 2, SIZE = '100cc')".to_owned()
            ])
        );
        let strategy = "AUTO SCALING STRATEGY = (ON HYDRATION (HYDRATION SIZE = '50cc'))";
        let with = format!("SIZE = '25cc', {strategy}");
        assert_eq!(
            sent("SIZE = '25cc'", &with),
            Ok(vec![format!("ALTER CLUSTER \"g\"\"1\" SET ({strategy})")])
        );
        assert_eq!(
            sent(&with, "SIZE = '25cc'"),
            Ok(vec![
                "ALTER CLUSTER \"g\"\"1\" RESET (AUTO SCALING STRATEGY)".to_owned()
            ])
        );
    }

    #[test]
    fn another_size_leaves_the_other_options_as_they_are() {
        let list = "MANAGED = true, SIZE = '25cc', AVAILABILITY ZONES = ['a, SIZE = 1', 'c']";
        assert_eq!(
            with_size(list, "1'00cc"),
            Some((list.replace("'25cc'", "'1''00cc'"), "25cc".to_owned()))
        );
        assert_eq!(with_size("MANAGED = true", "25cc"), None);
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for list in [
            "",
            "SIZE",
            "SIZE = '25cc', SIZE = '50cc'",
            "SIZE = ('25cc'",
            "size; = 1",
        ] {
            assert!(sent("SIZE = '25cc'", list).is_err(), "{list}");
        }
        let unmanaged = ClusterDefinition::Unmanaged {
            replicas: Vec::new(),
        };
        assert!(alteration("c", &managed("SIZE = '25cc'"), &unmanaged).is_err());
        assert!(alteration("c", &unmanaged, &unmanaged).is_err());
    }
}
