//! Unit tests as queries, in the way of dbt's `get_fixture_sql` and `get_unit_test_sql`: rows are constants, each an
//! expression in a common table expression. Nothing is made for one, and it reads no relation.
//!
//! Names and rows are quoted here; the model's SQL, rows that are given as SQL and types are sent as they are.

use super::native_ddl;
use super::session::Statement;
use crate::foundation::sql::identifier::{Ident, Literal};
use serde_json::Value;

/// The cluster on which they run. It is the server's own for its catalog, and no query on it may read a relation of a
/// user, so that the server itself keeps them from what is production's. Constants need no dataflow there.
pub const CLUSTER: &str = "mz_catalog_server";

/// The most rows that are shown of one that fails. One more is asked for.
pub const SHOWN: usize = 20;

/// A column: its name, as the catalog holds it, and its type as SQL.
pub type Column<'a> = (&'a str, &'a str);

/// A value, as SQL of a type; `None` of a list or an object, which no cast takes.
#[must_use]
pub fn value(value: &Value, data_type: &str) -> Option<String> {
    let sql = match value {
        Value::Null => return Some(native_ddl::null_of(data_type)),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => Literal(text).to_string(),
        Value::Array(_) | Value::Object(_) => return None,
    };
    Some(format!("CAST({sql} AS {data_type})"))
}

/// A query of these rows: of each column a value as SQL. Without rows it is empty, and has the columns.
#[must_use]
pub fn rows(columns: &[Column<'_>], rows: &[Vec<String>]) -> String {
    let select = |values: &[String]| {
        let values = values.iter().zip(columns);
        let values: Vec<String> = values
            .map(|(value, (name, _))| format!("{value} AS {}", Ident(name)))
            .collect();
        format!("SELECT {}", values.join(", "))
    };
    if rows.is_empty() {
        let nulls = columns.iter().map(|(_, of)| native_ddl::null_of(of));
        return format!("{} LIMIT 0", select(&nulls.collect::<Vec<_>>()));
    }
    let rows: Vec<String> = rows.iter().map(|row| select(row)).collect();
    rows.join("\nUNION ALL ")
}

/// What a unit test compares.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    /// What the names of common table expressions begin with, which nothing else here is called.
    pub prefix: &'a str,
    /// Names of common table expressions, and their queries.
    pub inputs: &'a [(String, String)],
    /// The model's query, which reads them.
    pub actual: &'a str,
    /// The query of what is expected.
    pub expected: &'a str,
    /// The columns that count.
    pub columns: &'a [&'a str],
}

/// The rows in which a model and what is expected of it differ, each as often as it does: first `-` where it is
/// missing and `+` where it is too much, then the columns. No rows where the test passes.
///
/// Constants: the server answers it without a dataflow, unless the model has a recursion in it.
#[must_use]
pub fn compare(test: &Compared<'_>) -> Statement {
    let [actual, expected, differing] =
        ["actual", "expected", "differing"].map(|word| format!("{}_{word}", test.prefix));
    let inputs = test.inputs.iter();
    let inputs = inputs.map(|(name, query)| (name.as_str(), query.as_str()));
    let all = inputs.chain([(&*actual, test.actual), (&*expected, test.expected)]);
    // A comment may end a query.
    let all: Vec<String> = all
        .map(|(name, query)| format!("{} AS (\n{query}\n)", Ident(name)))
        .collect();
    let columns = test.columns.iter().map(|name| Ident(name).to_string());
    let columns = columns.collect::<Vec<_>>().join(", ");
    let side = |word: &str, one: &str, other: &str| {
        format!(
            "SELECT {}::text AS \"side\", {columns} FROM (SELECT {columns} FROM {} EXCEPT ALL SELECT {columns} FROM {}) AS {}",
            Literal(word),
            Ident(one),
            Ident(other),
            Ident(&differing)
        )
    };
    Statement::new(
        "unit test",
        format!(
            "WITH {}\n{}\nUNION ALL\n{}\nLIMIT {}",
            all.join(",\n"),
            side("-", &expected, &actual),
            side("+", &actual, &expected),
            SHOWN + 1
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_literals_of_the_type_of_their_column() {
        for (given, data_type, expected) in [
            (json!(null), "bigint", Some("CAST(NULL AS bigint)")),
            (json!(null), "map", Some("NULL::map[text => text]")),
            (json!(3), "numeric", Some("CAST(3 AS numeric)")),
            (json!(-1.5), "numeric", Some("CAST(-1.5 AS numeric)")),
            (json!(true), "boolean", Some("CAST(true AS boolean)")),
            (
                json!("it's \\n); DROP"),
                "text",
                Some("CAST('it''s \\n); DROP' AS text)"),
            ),
            (json!(""), "text", Some("CAST('' AS text)")),
            (json!([1]), "text", None),
            (json!({"a": 1}), "jsonb", None),
        ] {
            let found = value(&given, data_type);
            assert_eq!(found.as_deref(), expected, "{given}");
        }
    }

    #[test]
    fn rows_are_constants_and_no_rows_have_their_columns() {
        let columns = [("id", "integer"), ("Odd \"name\"", "text")];
        let row = |id: &str| vec![id.to_owned(), "'x'".to_owned()];
        assert_eq!(
            rows(&columns, &[row("1"), row("2")]),
            "SELECT 1 AS \"id\", 'x' AS \"Odd \"\"name\"\"\"\nUNION ALL SELECT 2 AS \"id\", 'x' AS \"Odd \"\"name\"\"\""
        );
        assert_eq!(
            rows(&columns, &[]),
            "SELECT CAST(NULL AS integer) AS \"id\", CAST(NULL AS text) AS \"Odd \"\"name\"\"\" LIMIT 0"
        );
    }

    #[test]
    fn both_sides_are_compared_as_bags() {
        let inputs = [("p_input_0".to_owned(), "SELECT 1 AS \"id\"".to_owned())];
        let statement = compare(&Compared {
            prefix: "p",
            inputs: &inputs,
            actual: "with x as (select * from \"p_input_0\") select * from x -- all",
            expected: "SELECT 2 AS \"id\"",
            columns: &["id"],
        });
        assert_eq!(
            statement.sql(),
            r#"WITH "p_input_0" AS (
SELECT 1 AS "id"
),
"p_actual" AS (
with x as (select * from "p_input_0") select * from x -- all
),
"p_expected" AS (
SELECT 2 AS "id"
)
SELECT '-'::text AS "side", "id" FROM (SELECT "id" FROM "p_expected" EXCEPT ALL SELECT "id" FROM "p_actual") AS "p_differing"
UNION ALL
SELECT '+'::text AS "side", "id" FROM (SELECT "id" FROM "p_actual" EXCEPT ALL SELECT "id" FROM "p_expected") AS "p_differing"
LIMIT 21"#
        );
    }
}
