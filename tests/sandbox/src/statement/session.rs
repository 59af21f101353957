//! Transactions, session variables, SHOW, cursors.

use super::alter::thing;
use super::parser::Parser;
use super::{Show, Statement};
use crate::failure::SqlError;
use crate::lexer::Kind;

pub(super) fn statement(p: &mut Parser<'_>, first: &str) -> Result<Statement, SqlError> {
    p.expect(first)?;
    match first {
        "begin" | "start" => Ok(begin(p)),
        "commit" | "end" => Ok(Statement::Commit),
        "rollback" | "abort" => Ok(Statement::Rollback),
        "set" => set(p),
        "reset" => Ok(Statement::Reset(if p.eat("all") {
            None
        } else {
            Some(variable(p)?)
        })),
        "discard" => Ok(Statement::Discard),
        "deallocate" => {
            p.eat("prepare");
            Ok(Statement::Deallocate(if p.eat("all") {
                None
            } else {
                Some(p.ident()?)
            }))
        }
        "show" => show(p).map(Statement::Show),
        "explain" => Ok(Statement::Explain(p.rest().to_owned())),
        "declare" => declare(p),
        "fetch" => fetch(p),
        "close" => Ok(Statement::Close(p.ident()?)),
        _ => Err(p.expected("a statement")),
    }
}

/// Of the modes only READ ONLY changes anything: isolation is always the strictest.
fn begin(p: &mut Parser<'_>) -> Statement {
    Statement::Begin {
        read_only: p.seek("read only"),
    }
}

fn variable(p: &mut Parser<'_>) -> Result<String, SqlError> {
    if p.eat("time zone") {
        return Ok("timezone".into());
    }
    if p.eat("transaction isolation level") {
        return Ok("transaction_isolation".into());
    }
    if p.eat("schema") {
        return Ok("search_path".into());
    }
    Ok(p.name()?.join("."))
}

fn set(p: &mut Parser<'_>) -> Result<Statement, SqlError> {
    if p.eat("transaction") || p.eat("session characteristics") {
        return Ok(Statement::SetTransaction);
    }
    let local = p.eat("local");
    if !local {
        p.eat("session");
    }
    let role = p.peek_word() == Some("role");
    let name = variable(p)?;
    if name != "timezone" && !role && !p.eat_symbol('=') && !p.eat("to") && name != "search_path" {
        return Err(p.expected("equals sign or TO"));
    }
    p.eat_symbol('=');
    p.eat("to");
    if p.eat("default") {
        p.end()?;
        return Ok(Statement::Set {
            name,
            value: None,
            local,
        });
    }
    let values = p.list(Parser::value)?;
    p.end()?;
    Ok(Statement::Set {
        name,
        value: Some(values.join(", ")),
        local,
    })
}

fn show(p: &mut Parser<'_>) -> Result<Show, SqlError> {
    if p.eat("all") {
        return Ok(Show::All);
    }
    if p.eat("create") {
        let thing = thing(p)?;
        return Ok(Show::Create(thing, p.name()?));
    }
    const LISTS: [(&str, &str); 5] = [
        (
            "databases",
            "SELECT name, NULL::text AS comment FROM mz_catalog.mz_databases ORDER BY 1",
        ),
        (
            "schemas",
            "SELECT s.name, NULL::text AS comment FROM mz_catalog.mz_schemas s LEFT JOIN mz_catalog.mz_databases d ON d.id = s.database_id WHERE d.name = current_database() OR s.database_id IS NULL ORDER BY 1",
        ),
        (
            "clusters",
            "SELECT c.name, (SELECT string_agg(r.name || ' (' || r.size || ')', ', ' ORDER BY r.name) FROM mz_catalog.mz_cluster_replicas r WHERE r.cluster_id = c.id) AS replicas, NULL::text AS comment FROM mz_catalog.mz_clusters c ORDER BY 1",
        ),
        (
            "cluster replicas",
            "SELECT c.name AS cluster, r.name AS replica, r.size, true AS ready FROM mz_catalog.mz_cluster_replicas r JOIN mz_catalog.mz_clusters c ON c.id = r.cluster_id ORDER BY 1, 2",
        ),
        (
            "roles",
            "SELECT name, NULL::text AS comment FROM mz_catalog.mz_roles ORDER BY 1",
        ),
    ];
    if let Some((_, query)) = LISTS.iter().find(|(words, _)| p.eat(words)) {
        p.end()?;
        return Ok(Show::Query((*query).to_owned()));
    }
    let objects = [
        ("materialized views", "materialized-view"),
        ("tables", "table"),
        ("views", "view"),
        ("sources", "source"),
        ("sinks", "sink"),
        ("indexes", "index"),
        ("objects", ""),
    ];
    if let Some((_, kind)) = objects.iter().find(|(words, _)| p.eat(words)) {
        let schema = if p.eat("from") || p.eat("in") {
            p.name()?.pop()
        } else {
            None
        };
        p.end()?;
        let schema = schema.map_or_else(
            || "current_schema()".to_owned(),
            |s| crate::lexer::literal(&s),
        );
        let kind = if kind.is_empty() {
            String::new()
        } else {
            format!(" AND o.type = '{kind}'")
        };
        return Ok(Show::Query(format!(
            "SELECT o.name, NULL::text AS comment FROM mz_catalog.mz_objects o JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id JOIN mz_catalog.mz_databases d ON d.id = s.database_id WHERE d.name = current_database() AND s.name = {schema}{kind} ORDER BY 1"
        )));
    }
    let name = variable(p)?;
    p.end()?;
    Ok(Show::Variable(name))
}

fn declare(p: &mut Parser<'_>) -> Result<Statement, SqlError> {
    let name = p.ident()?;
    if !p.seek("for") {
        return Err(p.expected("FOR"));
    }
    if !p.eat("subscribe") {
        return Ok(Statement::Declare {
            name,
            subscribe: false,
            progress: false,
            query: p.rest().to_owned(),
        });
    }
    p.eat("to");
    let query = if p.peek() == Some(&Kind::Symbol('(')) {
        p.parenthesised()?.to_owned()
    } else {
        let name: Vec<_> = p
            .name()?
            .iter()
            .map(|part| crate::lexer::quote(part))
            .collect();
        format!("SELECT * FROM {}", name.join("."))
    };
    let mut progress = false;
    if p.eat("with") {
        let mut options = Parser::new(p.parenthesised()?)?;
        progress = options.eat("progress");
    }
    Ok(Statement::Declare {
        name,
        subscribe: true,
        progress,
        query,
    })
}

fn fetch(p: &mut Parser<'_>) -> Result<Statement, SqlError> {
    p.eat("forward");
    let count = if p.eat("all") {
        None
    } else if let Some(Kind::Number(n)) = p.peek() {
        let n = n.parse().ok();
        p.next();
        n
    } else {
        Some(1)
    };
    p.eat("from");
    let name = p.ident()?;
    let mut timeout_ms = None;
    if p.eat("with") {
        let mut options = Parser::new(p.parenthesised()?)?;
        options.expect("timeout")?;
        options.eat_symbol('=');
        options.eat("interval");
        timeout_ms = crate::duration::milliseconds(&options.value()?, 1000);
    }
    Ok(Statement::Fetch {
        name,
        count,
        timeout_ms,
    })
}
