//! Statements that make what dbt-materialize makes, in its words.
//!
//! Read in the adapter's `macros/adapters.sql`, `macros/materializations` and dbt's macros for seeds. They
//! differ from the adapter's in white space, in that names are always quoted, and in that a green schema is
//! empty, so that nothing is looked for or dropped before. Queries, expressions of indexes and types are SQL of
//! the project's authors and are sent as they are.

use super::session::Statement;
use crate::foundation::sql::identifier::{Ident, Literal, Qualified};
use serde::{Deserialize, Serialize};

/// What stands in the WITH of a materialized view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewOption {
    /// When it is computed.
    Refresh(Refresh),
    /// Columns that its data are laid out by, as the catalog holds them.
    PartitionBy(Vec<String>),
    /// For how long its past can be read.
    RetainHistory(String),
    /// A column, as the catalog holds it, that is never null.
    AssertNotNull(String),
}

/// When a materialized view is computed; what is given is written in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// At this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// When it is made.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_creation: bool,
    /// After each such interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<String>,
    /// From when the intervals count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aligned_to: Option<String>,
    /// With every change of what it reads.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_commit: bool,
}

impl Refresh {
    fn sql(&self) -> String {
        let mut parts = Vec::new();
        if let Some(at) = &self.at {
            parts.push(format!("REFRESH AT {}", Literal(at)));
        }
        if self.at_creation {
            parts.push("REFRESH AT CREATION".to_owned());
        }
        if let Some(every) = &self.every {
            let aligned = self.aligned_to.as_ref();
            let aligned =
                aligned.map_or_else(String::new, |to| format!(" ALIGNED TO {}", Literal(to)));
            parts.push(format!("REFRESH EVERY {}{aligned}", Literal(every)));
        }
        if self.on_commit {
            parts.push("REFRESH ON COMMIT".to_owned());
        }
        parts.join(", ")
    }
}

impl ViewOption {
    /// The column, as the catalog holds it, that this says is never null.
    #[must_use]
    pub fn asserted(&self) -> Option<&str> {
        match self {
            Self::AssertNotNull(column) => Some(column),
            Self::Refresh(_) | Self::PartitionBy(_) | Self::RetainHistory(_) => None,
        }
    }

    fn sql(&self) -> String {
        match self {
            Self::Refresh(refresh) => refresh.sql(),
            Self::PartitionBy(columns) => {
                let columns: Vec<String> =
                    columns.iter().map(|name| Ident(name).to_string()).collect();
                format!("PARTITION BY ({})", columns.join(", "))
            }
            Self::RetainHistory(duration) => format!("RETAIN HISTORY FOR {}", Literal(duration)),
            Self::AssertNotNull(column) => format!("ASSERT NOT NULL {}", Ident(column)),
        }
    }
}

/// Makes a view.
#[must_use]
pub fn create_view(name: &Qualified<'_>, query: &str) -> Statement {
    // A comment may end the query.
    Statement::new(
        "create view",
        format!("CREATE VIEW {name} AS (\n{query}\n)"),
    )
}

/// Makes a materialized view.
#[must_use]
pub fn create_materialized_view(
    name: &Qualified<'_>,
    cluster: &str,
    options: &[ViewOption],
    query: &str,
) -> Statement {
    let options: Vec<String> = options.iter().map(ViewOption::sql).collect();
    let with = match options.is_empty() {
        true => String::new(),
        false => format!(" WITH ({})", options.join(", ")),
    };
    Statement::new(
        "create materialized view",
        format!(
            "CREATE MATERIALIZED VIEW {name} IN CLUSTER {}{with} AS (\n{query}\n)",
            Ident(cluster)
        ),
    )
}

/// Makes an index that a project gives: with its name or one that the server chooses, on columns and expressions
/// or, as a default index, on what the server chooses.
#[must_use]
pub fn create_model_index(
    name: Option<&str>,
    is_default: bool,
    cluster: &str,
    on: &Qualified<'_>,
    columns: &[String],
) -> Statement {
    let default = if is_default { "DEFAULT " } else { "" };
    let name = name.map_or_else(String::new, |name| format!("{} ", Ident(name)));
    let key = match columns.is_empty() {
        true => String::new(),
        false => format!(" ({})", columns.join(", ")),
    };
    Statement::new(
        "create index",
        format!(
            "CREATE {default}INDEX {name}IN CLUSTER {} ON {on}{key}",
            Ident(cluster)
        ),
    )
}

/// Makes an empty table of columns with their types.
#[must_use]
pub fn create_table<'a>(
    name: &Qualified<'_>,
    columns: impl Iterator<Item = (&'a str, &'a str)>,
) -> Statement {
    let columns: Vec<String> = columns
        .map(|(column, data_type)| format!("{} {data_type}", Ident(column)))
        .collect();
    Statement::new(
        "create table",
        format!("CREATE TABLE {name} ({})", columns.join(", ")),
    )
}

/// Puts rows into a table. `rows` are lists of values as SQL, `(1, 'a'), (2, NULL)`.
#[must_use]
pub fn insert<'a>(
    name: &Qualified<'_>,
    columns: impl Iterator<Item = &'a str>,
    rows: &str,
) -> Statement {
    let columns: Vec<String> = columns.map(|column| Ident(column).to_string()).collect();
    Statement::new(
        "insert rows",
        format!("INSERT INTO {name} ({}) VALUES {rows}", columns.join(", ")),
    )
}

/// A query of one row, as dbt asks it of a test: `failures`, `should_warn` and `should_error`. The parts are SQL of
/// the test's author.
#[must_use]
pub fn count_failures(
    query: &str,
    limit: Option<u64>,
    fail_calc: &str,
    warn_if: &str,
    error_if: &str,
) -> Statement {
    let limit = limit.map_or_else(String::new, |limit| format!("limit {limit}"));
    Statement::new(
        "test",
        format!(
            "SELECT {fail_calc} AS failures, {fail_calc} {warn_if} AS should_warn, {fail_calc} {error_if} AS should_error FROM (\n{query}\n{limit}\n) dbt_internal_test"
        ),
    )
}

/// Lets a session run its queries on a cluster.
#[must_use]
pub fn set_cluster(cluster: &str) -> Statement {
    Statement::new("set cluster", format!("SET cluster = {}", Ident(cluster)))
}

/// Makes a source of what its author wrote behind its name.
#[must_use]
pub fn create_source(name: &Qualified<'_>, cluster: &str, definition: &str) -> Statement {
    Statement::new(
        "create source",
        format!(
            "CREATE SOURCE {name} IN CLUSTER {}\n{definition}",
            Ident(cluster)
        ),
    )
}

/// Makes a table of a source, in the adapter's words.
#[must_use]
pub fn create_source_table(name: &Qualified<'_>, definition: &str) -> Statement {
    Statement::new(
        "create table from source",
        format!("CREATE TABLE {name}\n{definition}"),
    )
}

/// Makes a connection.
#[must_use]
pub fn create_connection(name: &Qualified<'_>, definition: &str) -> Statement {
    Statement::new(
        "create connection",
        format!("CREATE CONNECTION {name}\n{definition}"),
    )
}

/// A query that gives the columns of another, as dbt compares contracts with it. Not to be run: to be
/// described.
#[must_use]
pub fn columns_of(query: &str) -> String {
    format!("SELECT * FROM (\n{query}\n) AS __dbt_sbq")
}

/// A query that gives columns of these types: pairs of a name, as the catalog holds it, and a type as SQL. Not
/// to be run: to be described.
#[must_use]
pub fn columns_of_types<'a>(columns: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let columns: Vec<String> = columns
        .map(|(name, data_type)| format!("{} AS {}", null_of(data_type), Ident(name)))
        .collect();
    format!("SELECT {}", columns.join(", "))
}

/// A null of a type, as the adapter's `materialize__cast`.
pub(super) fn null_of(data_type: &str) -> String {
    match data_type.trim().to_lowercase().as_str() {
        "map" => "NULL::map[text => text]".to_owned(),
        "list" => "NULL::text list".to_owned(),
        "record" => "(SELECT row() WHERE false)".to_owned(),
        _ => format!("CAST(NULL AS {data_type})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Qualified<'static> {
        Qualified::object("d", "s_dbt_deploy", "r")
    }

    /// Tokens in lower case, so that what the adapter renders can be written as it does.
    fn same(statement: &Statement, adapter: &str) {
        let tokens = |sql: &str| -> Vec<String> {
            let sql = sql.trim_end();
            let sql = sql.strip_suffix(';').unwrap_or(sql).to_lowercase();
            let tokens = crate::foundation::sql::tokens::Tokens::of(&sql);
            tokens.map(str::to_owned).collect()
        };
        assert_eq!(tokens(statement.sql()), tokens(adapter), "{statement}");
    }

    #[test]
    fn views_are_made_as_the_adapter_makes_them() {
        same(
            &create_view(&name(), "select 1 as a -- one"),
            "\n  create view \"d\".\"s_dbt_deploy\".\"r\"\n    \n  as (\n    select 1 as a -- one\n  );",
        );
    }

    #[test]
    fn materialized_views_have_one_list_of_options() {
        same(
            &create_materialized_view(&name(), "c_dbt_deploy", &[], "select 1"),
            "create materialized view \"d\".\"s_dbt_deploy\".\"r\"\n  \n    in cluster \"c_dbt_deploy\"\n  \n  as (\n    select 1\n  );",
        );
        let options = [
            ViewOption::Refresh(Refresh {
                at_creation: true,
                every: Some("1 day".to_owned()),
                aligned_to: Some("2024-10-22T10:40:33".to_owned()),
                ..Refresh::default()
            }),
            ViewOption::PartitionBy(vec!["a".to_owned(), "b".to_owned()]),
            ViewOption::RetainHistory("1hr".to_owned()),
            ViewOption::AssertNotNull("a".to_owned()),
            ViewOption::AssertNotNull("b".to_owned()),
        ];
        same(
            &create_materialized_view(&name(), "c", &options, "select 1"),
            "create materialized view \"d\".\"s_dbt_deploy\".\"r\" in cluster \"c\"
             with (refresh at creation , refresh every '1 day' aligned to '2024-10-22T10:40:33', partition by (\"a\", \"b\"), retain history for '1hr', assert not null \"a\", assert not null \"b\")
             as ( select 1 );",
        );
        let refresh = |refresh: Refresh| ViewOption::Refresh(refresh).sql();
        let at = Refresh {
            at: Some("2024-01-01".to_owned()),
            ..Refresh::default()
        };
        assert_eq!(refresh(at), "REFRESH AT '2024-01-01'");
        let on_commit = Refresh {
            on_commit: true,
            ..Refresh::default()
        };
        assert_eq!(refresh(on_commit), "REFRESH ON COMMIT");
    }

    #[test]
    fn indexes_are_named_by_the_project_or_the_server() {
        let columns = ["a".to_owned(), "upper(b)".to_owned()];
        same(
            &create_model_index(Some("i"), false, "c", &name(), &columns),
            "create index \"i\" in cluster \"c\" on \"d\".\"s_dbt_deploy\".\"r\" (a, upper(b));",
        );
        same(
            &create_model_index(None, true, "c", &name(), &[]),
            "create default index in cluster \"c\" on \"d\".\"s_dbt_deploy\".\"r\" ;",
        );
    }

    #[test]
    fn seeds_are_made_and_filled_as_dbt_does() {
        let columns = [("a", "integer"), ("B c", "text")];
        same(
            &create_table(&name(), columns.into_iter()),
            "create table \"d\".\"s_dbt_deploy\".\"r\" (\"a\" integer,\"B c\" text)",
        );
        same(
            &insert(&name(), ["a", "B c"].into_iter(), "(1, 'x')"),
            "insert into \"d\".\"s_dbt_deploy\".\"r\" (\"a\", \"B c\") values (1,'x')",
        );
    }

    #[test]
    fn tests_are_counted_as_dbt_does() {
        same(
            &count_failures("select 1 -- x", Some(5), "count(*)", "> 1", "!= 0"),
            "select count(*) as failures, count(*) > 1 as should_warn, count(*) != 0 as should_error from ( select 1 limit 5 ) dbt_internal_test",
        );
        assert_eq!(set_cluster("C").sql(), "SET cluster = \"C\"");
    }

    #[test]
    fn types_that_have_no_null_are_written_as_the_adapter_does() {
        let types = [("a", "numeric(10,2)"), ("b", "Map"), ("c", "record")];
        assert_eq!(
            columns_of_types(types.into_iter()),
            "SELECT CAST(NULL AS numeric(10,2)) AS \"a\", NULL::map[text => text] AS \"b\", (SELECT row() WHERE false) AS \"c\""
        );
    }
}
