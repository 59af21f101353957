//! Replacing one materialized view in place: statements, and what the server shows of pending replacements.
//!
//! A replacement computes beside its target until it is applied; then the target's name, owner,
//! grants, comments and dependents belong to the replacement's definition and cluster, and **its id**:
//! the target's own id is gone. A target has one replacement at a time, and nothing may be built upon it.

use super::catalog::text;
use super::error::MaterializeError;
use super::question::{Filter, Question, relation};
use super::session::{Session, Snapshot};
use super::statement::Statement;
use crate::domain::catalog::Replacements;
use crate::foundation::sql::identifier::{Ident, Qualified};
use crate::foundation::sql::scan::unquoted;

/// Makes a replacement. The query is SQL of its author, sent as it is; its columns must be the
/// target's in name, order, type and nullability, and so must its keys.
#[must_use]
pub fn create_replacement(
    name: &Qualified<'_>,
    target: &Qualified<'_>,
    cluster: &str,
    query: &str,
) -> Statement {
    Statement::new(
        "create replacement",
        format!(
            "CREATE REPLACEMENT MATERIALIZED VIEW {name} FOR {target} IN CLUSTER {} AS {query}",
            Ident(cluster)
        ),
    )
}

/// Lets the replacement take the target's place. Runs outside of transactions, and blocks until the
/// target has come as far as the replacement.
#[must_use]
pub fn apply_replacement(target: &Qualified<'_>, name: &Qualified<'_>) -> Statement {
    Statement::new(
        "apply replacement",
        format!("ALTER MATERIALIZED VIEW {target} APPLY REPLACEMENT {name}"),
    )
}

/// Gives a replacement up; the target stays as it is.
#[must_use]
pub fn drop_replacement(name: &Qualified<'_>) -> Statement {
    Statement::new("drop replacement", format!("DROP MATERIALIZED VIEW {name}"))
}

/// The query of a materialized view, as the server shows it; the inner error says why it cannot be told
/// or could not be given to a replacement, one sentence.
///
/// # Errors
/// The server's.
pub async fn query(
    session: &Session,
    name: &Qualified<'_>,
) -> Result<Result<String, String>, MaterializeError> {
    let statement = Statement::new(
        "show create materialized view",
        format!("SHOW CREATE MATERIALIZED VIEW {name}"),
    );
    let rows = session.simple(&statement).await?;
    let create = rows.first().and_then(|row| row.get(1)).unwrap_or_default();
    Ok(query_of(create))
}

/// The query in a definition. A replacement is made of nothing but a name, a cluster and a query, so
/// whatever else the definition has would be lost with it.
fn query_of(create: &str) -> Result<String, String> {
    let unknown = || format!("its definition has a form that is not known: {create}");
    let sql = create.trim_end();
    let sql = sql.strip_suffix(';').unwrap_or(sql).trim_end();
    let words = outer_words(sql);
    if !sql.starts_with("CREATE ") {
        return Err(unknown());
    }
    let word = |wanted: &str| words.iter().find(|(_, word)| *word == wanted);
    let (at, _) = word("AS").ok_or_else(unknown)?;
    let (head, query) = (&sql[..*at], &sql[at + 2..]);
    let with = word("WITH").map(|(with, _)| *with).filter(|with| with < at);
    let (before, options) = head.split_at(with.unwrap_or(head.len()));
    if unquoted(before).any(|(_, character)| character == '(') {
        return Err("it was made with a list of columns".to_owned());
    }
    let bare: String = options.split_whitespace().collect();
    // What every view has that says nothing of it.
    if !bare.is_empty() && !bare.eq_ignore_ascii_case("WITH(REFRESH=ONCOMMIT)") {
        return Err(format!("it was made {}", options.trim()));
    }
    Ok(by_name(query.trim()))
}

/// Words outside quotes and parentheses, in capitals only where they are written so, with their places.
fn outer_words(sql: &str) -> Vec<(usize, &str)> {
    let (mut depth, mut start, mut last) = (0_u32, None::<usize>, 0);
    let mut words = Vec::new();
    for (at, character) in unquoted(sql) {
        let is_word = depth == 0 && (character.is_alphanumeric() || character == '_');
        if let Some(began) = start
            && (!is_word || at != last)
        {
            words.push((began, &sql[began..last]));
            start = None;
        }
        if is_word && start.is_none() {
            start = Some(at);
        }
        last = at + character.len_utf8();
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    words.extend(start.map(|began| (began, &sql[began..last])));
    words
}

/// Stored SQL may name an input as `[u7 AS "d"."s"."t"]`; another release may have made that input anew.
fn by_name(sql: &str) -> String {
    let mut out = String::new();
    let mut taken = 0;
    let mut inside = false;
    for (at, character) in unquoted(sql) {
        if character == '[' {
            let Some((id, _)) = sql[at + 1..].split_once(" AS ") else {
                continue;
            };
            let digits = id.strip_prefix('u').unwrap_or_default();
            if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                out.push_str(&sql[taken..at]);
                taken = at + 1 + id.len() + " AS ".len();
                inside = true;
            }
        } else if character == ']' && inside {
            out.push_str(&sql[taken..at]);
            taken = at + 1;
            inside = false;
        }
    }
    out.push_str(&sql[taken..]);
    out
}

/// Names and types of the columns of a query, in order, without running it; `None` where the server
/// refuses to say, as it does for a query that it cannot plan.
///
/// # Errors
/// See [`MaterializeError`].
pub async fn columns(
    session: &Session,
    query: &str,
) -> Result<Option<Vec<(String, String)>>, MaterializeError> {
    match session.describe("describe columns", query).await {
        Ok(columns) => Ok(Some(columns)),
        Err(MaterializeError::Refused { .. } | MaterializeError::Unexpected { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

const LABEL: &str = "replacements";

/// Whether the server lists replacements.
fn known() -> Vec<Question> {
    Question::select(
        "replacements known",
        relation::OBJECTS,
        &["id"],
        Filter::In("name", &["mz_replacements"]),
        Some("id LIKE 's%'"),
    )
}

fn pending() -> Vec<Question> {
    let columns = ["id", "target_id"];
    Question::select(
        LABEL,
        relation::REPLACEMENTS,
        &columns,
        Filter::Users("id"),
        None,
    )
}

/// Both questions, for tests of what they cost.
#[cfg(test)]
pub(super) fn every_question() -> Vec<Question> {
    [known(), pending()].concat()
}

impl Replacements {
    /// Reads them; `None` from a server that does not list them, as it does from v26.10 on. The relation
    /// has no index, so that they are read only where they matter: while planning, and in a release that
    /// replaces a view.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub(super) async fn pending(snapshot: &Snapshot<'_>) -> Result<Option<Self>, MaterializeError> {
        if snapshot.ask(&known()).await?.is_empty() {
            return Ok(None);
        }
        let rows = snapshot.ask(&pending()).await?;
        let pairs: Result<Vec<_>, MaterializeError> = rows
            .iter()
            .map(|row| Ok((text(row, LABEL, 0)?, text(row, LABEL, 1)?)))
            .collect();
        Ok(Some(pairs?.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::materialize::server::tests::materialize;
    use crate::domain::catalog::Catalog;
    use mz_sandbox::{Options, Sandbox};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_replacement_is_made_found_and_applied() {
        let sandbox = Sandbox::start(Options::default()).await.expect("a sandbox");
        let materialize = materialize(&sandbox, "materialize");
        let session = materialize.session().await.expect("a session");
        let name = Qualified::object("materialize", "public", "mv \"r\"");
        let target = Qualified::object("materialize", "public", "mv");
        let execute = async |statement: &Statement| session.execute(statement).await;
        for sql in [
            "CREATE TABLE t (id int)",
            "CREATE MATERIALIZED VIEW mv AS SELECT id FROM t",
        ] {
            execute(&Statement::new("set the scene", sql))
                .await
                .expect(sql);
        }
        let create = create_replacement(&name, &target, "quickstart", "SELECT id + 1 AS id FROM t");
        for given_up in [true, false] {
            execute(&create).await.expect("a replacement");
            let catalog = Catalog::read(&materialize).await.expect("a reading");
            let pending = catalog.replacements.expect("a server that knows them");
            let pairs: Vec<_> = pending.targets.iter().collect();
            let [(replacement, of)] = pairs.as_slice() else {
                panic!("{pending:?}");
            };
            assert_eq!(pending.target_of(replacement), Some(of.as_str()));
            execute(&if given_up {
                drop_replacement(&name)
            } else {
                apply_replacement(&target, &name)
            })
            .await
            .expect("the replacement's end");
            let catalog = Catalog::read(&materialize).await.expect("a reading");
            assert_eq!(catalog.replacements, Some(Replacements::default()));
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_older_server_does_not_know_replacements() {
        let sandbox = Sandbox::start(Options {
            announce_version: "v26.9.0 (x)".to_owned(),
            ..Options::default()
        })
        .await
        .expect("a sandbox");
        let catalog = Catalog::read(&materialize(&sandbox, "materialize")).await;
        assert_eq!(catalog.expect("a reading").replacements, None);
    }

    #[test]
    fn the_query_is_read_from_show_create() {
        for (create, query) in [
            (
                "CREATE MATERIALIZED VIEW \"d\".\"s\".\"a AS (\" IN CLUSTER \"c\" AS SELECT 'x' AS \"y\" FROM \"d\".\"s\".\"t\";",
                "SELECT 'x' AS \"y\" FROM \"d\".\"s\".\"t\"",
            ),
            (
                "CREATE MATERIALIZED VIEW d.s.v\n    IN CLUSTER c\n    WITH (REFRESH = ON COMMIT)\n    AS WITH w AS (SELECT 1 AS a) SELECT a FROM w;",
                "WITH w AS (SELECT 1 AS a) SELECT a FROM w",
            ),
            (
                "CREATE REPLACEMENT MATERIALIZED VIEW d.s.r FOR d.s.v IN CLUSTER c AS SELECT a[1] FROM [u12 AS \"d\".\"s\".\"t [u1 AS\"] AS t, [u3 AS \"d\".\"s\".\"q\"]",
                "SELECT a[1] FROM \"d\".\"s\".\"t [u1 AS\" AS t, \"d\".\"s\".\"q\"",
            ),
        ] {
            assert_eq!(query_of(create).as_deref(), Ok(query));
        }
    }

    #[test]
    fn what_a_replacement_would_lose_is_named() {
        for (create, why) in [
            (
                "CREATE MATERIALIZED VIEW v IN CLUSTER c WITH (RETAIN HISTORY = FOR '1h') AS SELECT 1",
                "it was made WITH (RETAIN HISTORY = FOR '1h')",
            ),
            (
                "CREATE MATERIALIZED VIEW v (\"a\") IN CLUSTER c AS SELECT 1",
                "it was made with a list of columns",
            ),
            ("", "its definition has a form that is not known: "),
            (
                "CREATE MATERIALIZED VIEW v",
                "its definition has a form that is not known: CREATE MATERIALIZED VIEW v",
            ),
        ] {
            assert_eq!(query_of(create), Err(why.to_owned()));
        }
    }

    #[test]
    fn statements_quote_every_name() {
        let (name, target) = (
            Qualified::object("d", "s", "mv\"r"),
            Qualified::object("d", "s", "mv"),
        );
        let create = create_replacement(&name, &target, "c d", "SELECT 1 AS a");
        assert_eq!(
            create.sql(),
            "CREATE REPLACEMENT MATERIALIZED VIEW \"d\".\"s\".\"mv\"\"r\" FOR \"d\".\"s\".\"mv\" IN CLUSTER \"c d\" AS SELECT 1 AS a"
        );
        assert_eq!(
            apply_replacement(&target, &name).sql(),
            "ALTER MATERIALIZED VIEW \"d\".\"s\".\"mv\" APPLY REPLACEMENT \"d\".\"s\".\"mv\"\"r\""
        );
        assert_eq!(
            drop_replacement(&name).sql(),
            "DROP MATERIALIZED VIEW \"d\".\"s\".\"mv\"\"r\""
        );
    }

    #[test]
    fn statements_are_named() {
        let name = Qualified::object("d", "s", "r");
        for (statement, label) in [
            (
                create_replacement(&name, &name, "c", "SELECT 1"),
                "create replacement",
            ),
            (apply_replacement(&name, &name), "apply replacement"),
            (drop_replacement(&name), "drop replacement"),
        ] {
            assert_eq!(statement.label(), label);
        }
    }
}
