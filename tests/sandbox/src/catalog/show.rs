//! What SHOW CREATE answers: the stored SQL for people, without ids and without quotes that are not needed.

use super::{Catalog, Object, ObjectKind};
use crate::lexer::{Kind, tokens};

/// Lines are broken where they would be longer.
const WIDTH: usize = 100;

impl Catalog {
    /// What SHOW CREATE answers for an object.
    pub fn show_create(&self, object: &Object) -> String {
        let line = unquoted(&self.render_for_people(&object.create));
        let breaks = matches!(object.kind, ObjectKind::View | ObjectKind::MaterializedView)
            && line.chars().count() > WIDTH;
        let text = if breaks { broken(&line) } else { line };
        text + ";"
    }
}

/// Identifiers without quotes, but for those that need them.
fn unquoted(text: &str) -> String {
    let Ok(all) = tokens(text) else {
        return text.to_owned();
    };
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for token in all {
        if let Kind::Quoted(name) = &token.kind
            && is_plain(name)
        {
            out.push_str(&text[from..token.start]);
            out.push_str(name);
            from = token.end;
        }
    }
    out.push_str(&text[from..]);
    out
}

/// Whether a name is read as it is without quotes. Words that the parser may take for something else keep them.
fn is_plain(name: &str) -> bool {
    let mut chars = name.chars();
    let first = chars
        .next()
        .is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    first
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '$'))
        && !RESERVED.contains(&name)
}

/// Words that cannot be names without quotes.
const RESERVED: [&str; 45] = [
    "all",
    "and",
    "any",
    "as",
    "between",
    "case",
    "cast",
    "create",
    "cross",
    "distinct",
    "else",
    "end",
    "except",
    "exists",
    "false",
    "fetch",
    "for",
    "from",
    "full",
    "group",
    "having",
    "in",
    "inner",
    "intersect",
    "into",
    "is",
    "join",
    "lateral",
    "left",
    "like",
    "limit",
    "natural",
    "not",
    "null",
    "on",
    "or",
    "order",
    "right",
    "select",
    "some",
    "then",
    "true",
    "union",
    "when",
    "where",
];

/// Each clause in front of the query on a line of its own.
fn broken(line: &str) -> String {
    let Ok(all) = tokens(line) else {
        return line.to_owned();
    };
    let mut out = String::with_capacity(line.len() + 64);
    let (mut from, mut depth) = (0, 0);
    for token in all {
        match &token.kind {
            Kind::Symbol('(' | '[') => depth += 1,
            Kind::Symbol(')' | ']') => depth -= 1,
            Kind::Word(word)
                if depth == 0 && matches!(word.as_str(), "for" | "in" | "with" | "as") =>
            {
                out.push_str(line[from..token.start].trim_end());
                out.push_str("\n    ");
                from = token.start;
                if word == "as" {
                    break;
                }
            }
            Kind::Word(_) | Kind::Quoted(_) | Kind::Text(_) | Kind::Number(_) | Kind::Symbol(_) => {
            }
        }
    }
    out.push_str(&line[from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_need_quotes_keep_them() {
        assert_eq!(
            unquoted(
                r#"CREATE VIEW "db"."s"."v" AS SELECT "a", "B", "order", '"x"' FROM "db"."s"."t 1""#
            ),
            r#"CREATE VIEW db.s.v AS SELECT a, "B", "order", '"x"' FROM db.s."t 1""#
        );
    }

    #[test]
    fn clauses_are_broken_in_front_of_the_query_only() {
        assert_eq!(
            broken(
                "CREATE MATERIALIZED VIEW d.s.v IN CLUSTER c WITH (REFRESH = ON COMMIT) AS SELECT a AS b FROM (SELECT 1 AS a)"
            ),
            "CREATE MATERIALIZED VIEW d.s.v\n    IN CLUSTER c\n    WITH (REFRESH = ON COMMIT)\n    AS SELECT a AS b FROM (SELECT 1 AS a)"
        );
    }
}
