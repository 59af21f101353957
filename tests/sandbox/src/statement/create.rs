//! CREATE statements and cluster options.

use super::parser::Parser;
use super::{ClusterOptions, CreateSource, CreateView, Ddl, SinkClauses};
use crate::catalog::ObjectKind;
use crate::failure::SqlError;
use crate::lexer::{Kind, literal, quote};

pub(super) fn create(p: &mut Parser<'_>) -> Result<Ddl, SqlError> {
    p.expect("create")?;
    let or_replace = p.eat("or replace");
    let temporary = p.eat("temporary") || p.eat("temp");
    if p.eat("database") {
        let if_not_exists = p.eat("if not exists");
        let name = p.name()?;
        p.end()?;
        return Ok(Ddl::CreateDatabase {
            name,
            if_not_exists,
        });
    }
    if p.eat("schema") {
        let if_not_exists = p.eat("if not exists");
        let name = p.name()?;
        p.end()?;
        return Ok(Ddl::CreateSchema {
            name,
            if_not_exists,
        });
    }
    if p.eat("cluster replica") {
        let name = p.name()?;
        let [cluster, name] = name.as_slice() else {
            return Err(SqlError::syntax(
                "Expected a name of the form cluster.replica",
            ));
        };
        let (cluster, name) = (cluster.clone(), name.clone());
        let options = cluster_options(p)?;
        return Ok(Ddl::CreateReplica {
            cluster,
            name,
            options,
        });
    }
    if p.eat("cluster") {
        let if_not_exists = p.eat("if not exists");
        let name = p.ident()?;
        if p.done() {
            let words = "AVAILABILITY or DISK or INTROSPECTION or MANAGED or REPLICAS or REPLICATION or SIZE or SCHEDULE or WORKLOAD";
            return Err(SqlError::syntax(format!(
                "Expected one of {words}, found EOF"
            )));
        }
        let options = cluster_options(p)?;
        return Ok(Ddl::CreateCluster {
            name,
            options,
            if_not_exists,
        });
    }
    if p.eat("role") || p.eat("user") {
        let name = p.ident()?;
        return Ok(Ddl::CreateRole { name });
    }
    if p.eat("view") {
        return view(
            p,
            CreateView {
                temporary,
                or_replace,
                ..CreateView::default()
            },
        );
    }
    if p.eat("replacement") {
        p.expect("materialized view")?;
        return view(
            p,
            CreateView {
                materialized: true,
                replaces: Some(Vec::new()),
                ..CreateView::default()
            },
        );
    }
    if p.eat("materialized view") {
        return view(
            p,
            CreateView {
                materialized: true,
                or_replace,
                ..CreateView::default()
            },
        );
    }
    let default = p.eat("default");
    if p.eat("index") {
        return index(p, default);
    }
    if p.eat("table") {
        return table(p, temporary);
    }
    if p.eat("source") {
        return source(p);
    }
    if p.eat("connection") {
        return plain(p, ObjectKind::Connection);
    }
    if p.eat("secret") {
        return plain(p, ObjectKind::Secret);
    }
    if p.eat("sink") {
        return sink(p);
    }
    Err(p.expected("DATABASE, SCHEMA, ROLE, TYPE, INDEX, SINK, SOURCE, TABLE, SECRET, CLUSTER or [OR REPLACE] {[TEMPORARY] VIEW, MATERIALIZED VIEW} after CREATE"))
}

fn in_cluster(p: &mut Parser<'_>) -> Result<Option<String>, SqlError> {
    if p.eat("in cluster") {
        p.ident().map(Some)
    } else {
        Ok(None)
    }
}

fn view(p: &mut Parser<'_>, mut view: CreateView) -> Result<Ddl, SqlError> {
    view.if_not_exists = p.eat("if not exists");
    view.name = p.name()?;
    if p.eat_symbol('(') {
        view.columns = p.list(Parser::ident)?;
        p.expect_symbol(')')?;
    }
    if let Some(target) = &mut view.replaces {
        p.expect("for")?;
        *target = p.name()?;
    }
    if view.materialized {
        view.cluster = in_cluster(p)?;
        let with = if p.eat("with") {
            p.parenthesised()?
        } else {
            ""
        };
        let (options, not_null) = materialized_options(with)?;
        view.not_null = not_null;
        view.with = Some(options);
    }
    p.expect("as")?;
    view.query = p.rest().to_owned();
    if view.query.is_empty() {
        return Err(p.expected("SELECT, VALUES, or a subquery in the query body"));
    }
    Ok(Ddl::CreateView(view))
}

/// The options of a materialized view as the server keeps them, and the columns of ASSERT NOT NULL.
fn materialized_options(with: &str) -> Result<(String, Vec<String>), SqlError> {
    let (mut out, mut not_null) = (Vec::new(), Vec::new());
    let parts = if with.trim().is_empty() {
        Vec::new()
    } else {
        split_commas(with)?
    };
    for part in &parts {
        let mut p = Parser::new(part)?;
        if p.eat("assert not null") {
            p.eat_symbol('=');
            let column = p.ident()?;
            out.push(format!("ASSERT NOT NULL = {}", quote(&column)));
            not_null.push(column);
        } else if p.eat("partition by") {
            p.eat_symbol('=');
            let mut columns = Parser::new(p.parenthesised()?)?;
            let columns = columns.list(Parser::ident)?;
            let columns: Vec<_> = columns.iter().map(|c| quote(c)).collect();
            out.push(format!("PARTITION BY = ({})", columns.join(", ")));
        } else if p.eat("retain history") {
            p.eat_symbol('=');
            p.eat("for");
            let duration = literal(&p.text()?);
            out.push(format!("RETAIN HISTORY = FOR {duration}"));
        } else if p.eat("refresh") {
            p.eat_symbol('=');
            out.push(format!("REFRESH = {}", refresh(p.rest())?));
            continue;
        } else {
            return Err(p.expected("one of ASSERT or PARTITION or RETAIN or REFRESH"));
        }
        p.end()?;
    }
    if !out.iter().any(|option| option.starts_with("REFRESH")) {
        out.push("REFRESH = ON COMMIT".into());
    }
    Ok((out.join(", "), not_null))
}

/// Words in capitals, and strings as they are.
fn refresh(text: &str) -> Result<String, SqlError> {
    let mut out = Vec::new();
    for token in crate::lexer::tokens(text)? {
        out.push(match token.kind {
            Kind::Word(word) => word.to_uppercase(),
            Kind::Quoted(_) | Kind::Text(_) | Kind::Number(_) | Kind::Symbol(_) => {
                text[token.start..token.end].to_owned()
            }
        });
    }
    Ok(out.join(" "))
}

fn index(p: &mut Parser<'_>, default: bool) -> Result<Ddl, SqlError> {
    let if_not_exists = p.eat("if not exists");
    let named = !matches!(p.peek_word(), Some("in" | "on"));
    let name = if named { Some(p.ident()?) } else { None };
    let cluster = in_cluster(p)?;
    p.expect("on")?;
    let on = p.name()?;
    if p.eat("using") {
        p.ident()?;
    }
    let columns = if p.done() || p.peek_word() == Some("with") {
        None
    } else {
        Some(split_commas(p.parenthesised()?)?)
    };
    if default && columns.is_some() {
        return Err(SqlError::syntax(
            "Expected end of statement, found left parenthesis",
        ));
    }
    if !default && columns.is_none() {
        return Err(p.expected("\"(\""));
    }
    Ok(Ddl::CreateIndex {
        name,
        cluster,
        on,
        columns,
        if_not_exists,
    })
}

/// Splits at top-level commas.
pub(super) fn split_commas(text: &str) -> Result<Vec<String>, SqlError> {
    let mut out = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for token in crate::lexer::tokens(text)? {
        match token.kind {
            Kind::Symbol('(' | '[') => depth += 1,
            Kind::Symbol(')' | ']') => depth -= 1,
            Kind::Symbol(',') if depth == 0 => {
                out.push(text[start..token.start].trim().to_owned());
                start = token.end;
            }
            Kind::Symbol(_) | Kind::Word(_) | Kind::Quoted(_) | Kind::Text(_) | Kind::Number(_) => {
            }
        }
    }
    out.push(text[start..].trim().to_owned());
    Ok(out)
}

fn table(p: &mut Parser<'_>, temporary: bool) -> Result<Ddl, SqlError> {
    let text = p.source().to_owned();
    let if_not_exists = p.eat("if not exists");
    let name = p.name()?;
    if p.peek() == Some(&Kind::Symbol('(')) {
        let columns = p.parenthesised()?.to_owned();
        if !p.eat("from source") {
            return Ok(Ddl::CreateTable {
                name,
                columns,
                temporary,
                if_not_exists,
            });
        }
    } else {
        p.expect("from source")?;
    }
    let source = p.name()?;
    let reference = if p.eat_symbol('(') {
        p.expect("reference")?;
        p.eat_symbol('=');
        let reference = p.name()?;
        p.expect_symbol(')')?;
        reference
    } else {
        Vec::new()
    };
    Ok(Ddl::CreateTableFromSource {
        name,
        source,
        reference,
        if_not_exists,
        text,
    })
}

fn source(p: &mut Parser<'_>) -> Result<Ddl, SqlError> {
    let mut out = CreateSource {
        text: p.source().to_owned(),
        ..CreateSource::default()
    };
    out.if_not_exists = p.eat("if not exists");
    out.name = p.name()?;
    out.cluster = in_cluster(p)?;
    let start = p.position();
    if p.seek("load generator") {
        out.generator = Some(p.ident()?);
    }
    p.rewind(start);
    out.all_tables = p.seek("for all tables");
    p.rewind(start);
    if p.seek("for tables") {
        for item in split_commas(p.parenthesised()?)? {
            let mut item = Parser::new(&item)?;
            let name = item.name()?;
            let to = if item.eat("as") {
                item.name()?
            } else {
                name[name.len() - 1..].to_vec()
            };
            out.tables.push((name[name.len() - 1].clone(), to));
        }
    }
    p.rewind(start);
    if p.seek("expose progress as") {
        out.progress = Some(p.name()?);
    }
    Ok(Ddl::CreateSource(out))
}

fn plain(p: &mut Parser<'_>, kind: ObjectKind) -> Result<Ddl, SqlError> {
    let text = p.source().to_owned();
    let if_not_exists = p.eat("if not exists");
    let name = p.name()?;
    let subtype = if kind == ObjectKind::Connection {
        p.expect("to")?;
        Some(p.ident()?)
    } else {
        p.expect("as")?;
        None
    };
    Ok(Ddl::CreatePlain {
        kind,
        name,
        subtype,
        if_not_exists,
        text,
    })
}

fn sink(p: &mut Parser<'_>) -> Result<Ddl, SqlError> {
    let text = p.source().to_owned();
    let if_not_exists = p.eat("if not exists");
    let name = p.name()?;
    let cluster = in_cluster(p)?;
    p.expect("from")?;
    let from = p.name()?;
    p.expect("into")?;
    let start = p.position();
    let mut clauses = SinkClauses {
        from,
        ..SinkClauses::default()
    };
    if p.seek("connection") {
        clauses.connection = Some(p.name()?);
    }
    p.rewind(start);
    if p.seek("value format") || p.seek("format") {
        clauses.format = Some(p.ident()?);
    }
    p.rewind(start);
    if p.seek("envelope") {
        clauses.envelope = Some(p.ident()?);
    }
    Ok(Ddl::CreateSink {
        name,
        cluster,
        clauses,
        if_not_exists,
        text,
    })
}

/// Options in parentheses, or bare as `SIZE '25cc'`.
pub(super) fn cluster_options(p: &mut Parser<'_>) -> Result<ClusterOptions, SqlError> {
    let mut options = ClusterOptions::default();
    let enclosed = p.eat_symbol('(');
    if enclosed && p.eat_symbol(')') {
        return Ok(options);
    }
    loop {
        cluster_option(p, &mut options)?;
        if !p.eat_symbol(',') {
            break;
        }
    }
    if enclosed {
        p.expect_symbol(')')?;
    }
    p.end().or_else(|e| {
        if p.peek() == Some(&Kind::Symbol(')')) || p.peek() == Some(&Kind::Symbol(',')) {
            Ok(())
        } else {
            Err(e)
        }
    })?;
    Ok(options)
}

fn cluster_option(p: &mut Parser<'_>, o: &mut ClusterOptions) -> Result<(), SqlError> {
    let number = |v: String| {
        v.parse::<u32>()
            .map_err(|_| SqlError::internal(format!("invalid REPLICATION FACTOR: {v}")))
    };
    let boolean = |v: String| matches!(v.to_lowercase().as_str(), "true" | "on" | "t" | "1");
    if p.eat("size") {
        p.eat_symbol('=');
        o.size = Some(p.value()?);
    } else if p.eat("replication factor") {
        p.eat_symbol('=');
        o.replication_factor = Some(number(p.value()?)?);
    } else if p.eat("introspection debugging") {
        let given = p.eat_symbol('=');
        o.introspection_debugging = Some(if given || p.peek_word().is_some() {
            boolean(p.value()?)
        } else {
            true
        });
    } else if p.eat("introspection interval") {
        p.eat_symbol('=');
        p.eat("interval");
        o.introspection_interval = Some(interval_text(&p.value()?));
    } else if p.eat("availability zones") {
        p.eat_symbol('=');
        let close = if p.eat_symbol('[') {
            ']'
        } else {
            p.expect_symbol('(').map(|()| ')')?
        };
        o.availability_zones = Some(if p.eat_symbol(close) {
            Vec::new()
        } else {
            let zones = p.list(Parser::value)?;
            p.expect_symbol(close)?;
            zones
        });
    } else if p.eat("availability zone") {
        p.eat_symbol('=');
        o.availability_zone = Some(p.value()?);
    } else if p.eat("managed") {
        let given = p.eat_symbol('=');
        o.managed = Some(if given || p.peek_word().is_some() {
            boolean(p.value()?)
        } else {
            true
        });
    } else if p.eat("disk") {
        if p.eat_symbol('=') {
            p.value()?;
        }
    } else if p.eat("workload class") {
        p.eat_symbol('=');
        o.workload_class = Some(p.value()?);
    } else if p.eat("schedule") {
        p.eat_symbol('=');
        if p.eat("on refresh") {
            o.on_refresh = true;
            if p.peek() == Some(&Kind::Symbol('(')) {
                p.parenthesised()?;
            }
        } else {
            p.expect("manual")?;
        }
    } else if p.eat("auto scaling strategy") {
        p.eat_symbol('=');
        o.auto_scaling = Some(auto_scaling(p.parenthesised()?)?);
    } else if p.eat("replicas") {
        p.eat_symbol('=');
        o.replicas = Some(replicas(p.parenthesised()?)?);
    } else {
        return Err(p.expected("one of AVAILABILITY or DISK or INTROSPECTION or MANAGED or REPLICAS or REPLICATION or SIZE or SCHEDULE or WORKLOAD"));
    }
    Ok(())
}

fn replicas(text: &str) -> Result<Vec<(String, ClusterOptions)>, SqlError> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    split_commas(text)?
        .iter()
        .map(|item| {
            let mut p = Parser::new(item)?;
            let name = p.ident()?;
            Ok((name, cluster_options(&mut p)?))
        })
        .collect()
}

/// `ON HYDRATION (HYDRATION SIZE = '…', LINGER DURATION = '…')` as the catalog's JSON; empty when disabled.
fn auto_scaling(text: &str) -> Result<String, SqlError> {
    if text.trim().is_empty() {
        return Ok(String::new());
    }
    let mut p = Parser::new(text)?;
    p.expect("on hydration")?;
    let mut p = Parser::new(p.parenthesised()?)?;
    let (mut size, mut linger) = (String::new(), "null".to_owned());
    loop {
        if p.eat("hydration size") {
            p.eat_symbol('=');
            size = p.value()?;
        } else {
            p.expect("linger duration")?;
            p.eat_symbol('=');
            let seconds = interval_seconds(&p.value()?);
            linger = serde_json::json!({"secs": seconds, "nanos": 0}).to_string();
        }
        if !p.eat_symbol(',') {
            break;
        }
    }
    Ok(format!(
        "{{\"on_hydration\": {{\"hydration_size\": {}, \"linger_duration\": {linger}}}}}",
        serde_json::Value::from(size)
    ))
}

/// Seconds of a duration such as `5s`, `1 minute` or `00:00:05`.
pub(super) fn interval_seconds(text: &str) -> u64 {
    if let Some((hours, rest)) = text.split_once(':') {
        let (minutes, seconds) = rest.split_once(':').unwrap_or((rest, "0"));
        let number = |s: &str| s.trim().parse::<u64>().unwrap_or(0);
        return number(hours) * 3600 + number(minutes) * 60 + number(seconds);
    }
    let digits: String = text
        .trim()
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    let unit = text.trim()[digits.len()..].trim().to_lowercase();
    let factor = match unit.as_str() {
        "h" | "hour" | "hours" => 3600,
        "m" | "min" | "minute" | "minutes" => 60,
        "d" | "day" | "days" => 86_400,
        _ => 1,
    };
    digits.parse::<u64>().unwrap_or(0) * factor
}

fn interval_text(text: &str) -> String {
    let seconds = interval_seconds(text);
    format!(
        "{:02}:{:02}:{:02}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}
