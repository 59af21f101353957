//! What an index is on, so that two can be compared.

use crate::foundation::sql::scan;

/// The key of an index: what it is on, in its order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexKey(Vec<KeyPart>);

/// One part of a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum KeyPart {
    /// A column by its name, as the catalog has it.
    Column(String),
    /// An expression. The server shows it with its own names and casts, so that one can be told from a
    /// column, and not from another expression.
    Expression,
}

impl IndexKey {
    /// The key of the definition that `mz_indexes` has: `CREATE INDEX "i" IN CLUSTER [u1] ON [u2 AS
    /// "d"."s"."v"] ("a", "b")`; `None` when it has another form.
    #[must_use]
    pub fn of_sql(create_sql: &str) -> Option<Self> {
        let key = scan::index_key(create_sql).ok()?;
        Some(Self(parts(key.strip_prefix('(')?)))
    }

    /// The key of the columns that a project lists, which dbt puts into SQL as they are.
    #[must_use]
    pub fn of_columns(columns: &[String]) -> Self {
        Self(parts(&columns.join(",")))
    }

    /// Whether one of its parts is this column; of expressions it is not known what they read.
    #[must_use]
    pub fn has_column(&self, column: &str) -> bool {
        self.0
            .iter()
            .any(|part| matches!(part, KeyPart::Column(name) if name == column))
    }

    /// As people write it.
    #[must_use]
    pub fn shown(&self) -> String {
        let parts: Vec<&str> = self
            .0
            .iter()
            .map(|part| match part {
                KeyPart::Column(name) => name,
                KeyPart::Expression => "an expression",
            })
            .collect();
        format!("({})", parts.join(", "))
    }
}

/// The parts of a list, to its closing parenthesis or its end.
fn parts(list: &str) -> Vec<KeyPart> {
    let mut ends = Vec::new();
    let mut depth = 0_u32;
    let mut end = list.len();
    for (at, character) in scan::unquoted(list) {
        match (character, depth) {
            ('(' | '[', _) => depth += 1,
            (')', 0) => {
                end = at;
                break;
            }
            (')' | ']', _) => depth = depth.saturating_sub(1),
            (',', 0) => ends.push(at),
            _ => {}
        }
    }
    ends.push(end);
    let mut begin = 0;
    let mut parts = Vec::new();
    for end in ends {
        parts.push(part(list[begin..end].trim()));
        begin = end + 1;
    }
    parts
}

fn part(text: &str) -> KeyPart {
    let quoted = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|inner| !inner.replace("\"\"", "").contains('"'));
    if let Some(inner) = quoted {
        return KeyPart::Column(inner.replace("\"\"", "\""));
    }
    let begins = |c: char| c.is_alphabetic() || c == '_';
    let goes_on = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    if text.starts_with(begins) && text.chars().all(goes_on) {
        return KeyPart::Column(text.to_lowercase());
    }
    KeyPart::Expression
}

#[cfg(test)]
mod tests {
    use super::IndexKey;

    fn columns(columns: &[&str]) -> IndexKey {
        let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        IndexKey::of_columns(&columns)
    }

    #[test]
    fn the_servers_form_and_the_projects_are_one_key() {
        let sql = "CREATE INDEX \"i(\" IN CLUSTER [u1] ON [u2 AS \"d\".\"s\".\"v\"] (\"a\", \"B b\", \"c\"\"d\") WITH (RETAIN HISTORY = FOR '1d')";
        let live = IndexKey::of_sql(sql).expect("a key");
        assert_eq!(live, columns(&["A", "\"B b\"", "\"c\"\"d\""]));
        // One entry of the list may hold several columns.
        assert_eq!(live, columns(&["a, \"B b\"", "\"c\"\"d\""]));
        assert_ne!(live, columns(&["\"A\"", "\"B b\"", "\"c\"\"d\""]));
        assert_ne!(live, columns(&["\"B b\"", "a", "\"c\"\"d\""]));
        assert_ne!(live, columns(&["a", "\"B b\""]));
        let shown = IndexKey::of_sql("CREATE INDEX i IN CLUSTER c ON materialize.o.mv (n);");
        assert_eq!(shown, Some(columns(&["n"])));
        assert_eq!(live.shown(), "(a, B b, c\"d)");
    }

    #[test]
    fn an_expression_is_told_from_a_column_alone() {
        let sql = "CREATE INDEX i IN CLUSTER [u1] ON [u2 AS \"d\".\"s\".\"v\"] (\"pg_catalog\".\"coalesce\"(\"a\", \"b\"), \"c\")";
        let live = IndexKey::of_sql(sql).expect("a key");
        assert_eq!(live, columns(&["coalesce(a, b)", "c"]));
        assert_ne!(live, columns(&["a", "c"]));
        assert_eq!(live.shown(), "(an expression, c)");
    }

    #[test]
    fn another_form_is_no_key() {
        assert_eq!(IndexKey::of_sql(""), None);
        assert_eq!(IndexKey::of_sql("CREATE VIEW v AS (SELECT 1)"), None);
    }
}
