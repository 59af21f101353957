//! Materialize's own syntax in the words of the parser: types `map[…]` and `… list`, `LIST[…]`, SHOW as a subquery; and the
//! parser's complaints in the words of Materialize.

use crate::failure::SqlError;
use crate::lexer::{Kind, Token, tokens};
use crate::statement::{self, Show, Statement};

/// Text with everything replaced that the parser does not know.
pub(super) fn translate(text: &str) -> Result<String, SqlError> {
    let text = shows(text)?;
    let text = lists(&text)?;
    types(&text)
}

fn word(token: Option<&Token>) -> Option<&str> {
    match token.map(|t| &t.kind) {
        Some(Kind::Word(word)) => Some(word),
        Some(Kind::Quoted(_) | Kind::Text(_) | Kind::Number(_) | Kind::Symbol(_)) | None => None,
    }
}

fn symbol(token: Option<&Token>) -> Option<char> {
    match token.map(|t| &t.kind) {
        Some(Kind::Symbol(symbol)) => Some(*symbol),
        Some(Kind::Word(_) | Kind::Quoted(_) | Kind::Text(_) | Kind::Number(_)) | None => None,
    }
}

/// The bracket that closes the one at `open`.
fn closing(all: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, token) in all.iter().enumerate().skip(open) {
        match symbol(Some(token)) {
            Some('(' | '[') => depth += 1,
            Some(')' | ']') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            Some(_) | None => {}
        }
    }
    None
}

/// `(SHOW SCHEMAS)` as the query that it stands for; AS OF is refused, for the sandbox has no past.
fn shows(text: &str) -> Result<String, SqlError> {
    let all = tokens(text)?;
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for at in 0..all.len() {
        if word(all.get(at)) == Some("as")
            && word(all.get(at + 1)) == Some("of")
            && matches!(word(all.get(at + 2)), Some("at" | "now" | "mz_now"))
        {
            let message = if word(all.get(at + 2)) == Some("at") {
                "AS OF is not there in the sandbox"
            } else {
                "calling an unmaterializable function in AS OF or UP TO not yet supported"
            };
            return Err(SqlError::internal(message));
        }
        if symbol(all.get(at)) != Some('(') || word(all.get(at + 1)) != Some("show") {
            continue;
        }
        if let (Some(first), Some(close)) = (all.get(at + 1), closing(&all, at))
            && let Some(end) = all.get(close)
            && let Statement::Show(Show::Query(query)) =
                statement::parse(&text[first.start..end.start])?
        {
            out.push_str(&text[from..first.start]);
            out.push_str(&query);
            from = end.start;
        }
    }
    out.push_str(&text[from..]);
    Ok(out)
}

/// `LIST[[1, 2], [3]]` as nested arrays of JSON, which may be ragged.
fn lists(text: &str) -> Result<String, SqlError> {
    let all = tokens(text)?;
    let mut out = String::with_capacity(text.len());
    let (mut from, mut at) = (0, 0);
    while let Some(token) = all.get(at) {
        if word(Some(token)) == Some("list")
            && symbol(all.get(at + 1)) == Some('[')
            && let Some(close) = closing(&all, at + 1)
        {
            out.push_str(&text[from..token.start]);
            out.push_str("mz_catalog.mz_list(");
            from = token.end;
            for inner in &all[at + 1..=close] {
                let with = match symbol(Some(inner)) {
                    Some('[') => "json_build_array(",
                    Some(']') => ")",
                    Some(_) | None => continue,
                };
                out.push_str(&text[from..inner.start]);
                out.push_str(with);
                from = inner.end;
            }
            out.push(')');
            at = close;
        }
        at += 1;
    }
    out.push_str(&text[from..]);
    Ok(out)
}

/// The types `map[text => text]` and `text list` as `map` and `list`. They are types behind `::`, in CAST and in the
/// definition of a column, where a word in front of `list` cannot be anything else.
pub fn types(text: &str) -> Result<String, SqlError> {
    let all = tokens(text)?;
    let mut out = String::with_capacity(text.len());
    let (mut from, mut at) = (0, 0);
    while let Some(token) = all.get(at) {
        if word(Some(token)) == Some("map")
            && symbol(all.get(at + 1)) == Some('[')
            && let Some(close) = closing(&all, at + 1)
        {
            out.push_str(&text[from..token.start]);
            out.push_str("mz_catalog.map");
            from = all[close].end;
            at = close;
        } else if word(Some(token)).is_some_and(|w| ELEMENTS.contains(&w))
            && word(all.get(at + 1)) == Some("list")
        {
            out.push_str(&text[from..token.start]);
            out.push_str("mz_catalog.list");
            at += 1;
            // A list of lists has the word once more.
            while word(all.get(at + 1)) == Some("list") {
                at += 1;
            }
            from = all[at].end;
        }
        at += 1;
    }
    out.push_str(&text[from..]);
    Ok(out)
}

/// Types that may be the element of a list.
const ELEMENTS: [&str; 19] = [
    "bigint",
    "bool",
    "boolean",
    "bytea",
    "date",
    "float4",
    "float8",
    "int",
    "int4",
    "int8",
    "integer",
    "jsonb",
    "map",
    "numeric",
    "smallint",
    "text",
    "timestamp",
    "timestamptz",
    "uuid",
];

/// The parser's `sql parser error: Expected: end of statement, found: limit at Line: 1, Column: 39` as
/// `Expected end of statement, found LIMIT`.
pub(super) fn complaint(message: &str) -> String {
    let message = message
        .strip_prefix("sql parser error: ")
        .unwrap_or(message);
    let message = match message.rfind(" at Line: ") {
        Some(at) => &message[..at],
        None => message,
    };
    let Some((expected, found)) = message
        .strip_prefix("Expected: ")
        .and_then(|rest| rest.split_once(", found: "))
    else {
        return message.to_owned();
    };
    format!("Expected {expected}, found {}", named(found))
}

/// A token as Materialize names it.
fn named(found: &str) -> String {
    let symbol = match found {
        "EOF" | "" => "EOF",
        "(" => "left parenthesis",
        ")" => "right parenthesis",
        "," => "comma",
        ";" => "semicolon",
        "." => "dot",
        "*" => "star",
        "=" => "equals sign",
        "[" => "left square bracket",
        "]" => "right square bracket",
        _ => "",
    };
    if !symbol.is_empty() {
        return symbol.to_owned();
    }
    let first = found.chars().next().unwrap_or_default();
    if first.is_ascii_digit() {
        return format!("number \"{found}\"");
    }
    if first == '\'' {
        return format!("string literal {found}");
    }
    if first == '"' {
        return format!("identifier {found}");
    }
    if !first.is_alphabetic() && first != '_' {
        return format!("operator \"{found}\"");
    }
    let upper = found.to_uppercase();
    if sqlparser::keywords::ALL_KEYWORDS
        .binary_search(&upper.as_str())
        .is_ok()
    {
        upper
    } else {
        format!("identifier \"{}\"", found.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_materialize_are_translated() {
        for (from, to) in [
            (
                "SELECT '{a=>1}'::map[text=>int] AS a",
                "SELECT '{a=>1}'::mz_catalog.map AS a",
            ),
            (
                "SELECT CAST(x AS text list)",
                "SELECT CAST(x AS mz_catalog.list)",
            ),
            ("SELECT x::int list list", "SELECT x::mz_catalog.list"),
            (
                "SELECT LIST[[1,2],[3]] AS c, y[1]",
                "SELECT mz_catalog.mz_list(json_build_array(json_build_array(1,2),json_build_array(3))) AS c, y[1]",
            ),
            (
                "SELECT map, list FROM t list",
                "SELECT map, list FROM t list",
            ),
            (
                "SELECT 'map[text=>text] text list'",
                "SELECT 'map[text=>text] text list'",
            ),
        ] {
            assert_eq!(translate(from).unwrap(), to, "{from}");
        }
    }

    #[test]
    fn show_is_a_query_in_a_from() {
        let out = translate("SELECT count(*) FROM (SHOW SCHEMAS\n) AS found").unwrap();
        assert!(
            out.starts_with("SELECT count(*) FROM (SELECT s.name,"),
            "{out}"
        );
        assert!(out.ends_with("ORDER BY 1) AS found"), "{out}");
    }

    #[test]
    fn complaints_are_in_materializes_words() {
        for (sql, want) in [
            (
                "SELECT 1 LIMIT 2 LIMIT 3",
                "Expected end of statement, found LIMIT",
            ),
            (
                "SELECT a FROM t WHERE x y",
                "Expected end of statement, found identifier \"y\"",
            ),
            (
                "SELECT a FROM t )",
                "Expected end of statement, found right parenthesis",
            ),
        ] {
            let error = super::super::parse(sql).unwrap_err();
            assert_eq!(
                (error.code.as_str(), error.message.as_str()),
                ("42601", want),
                "{sql}"
            );
        }
    }
}
