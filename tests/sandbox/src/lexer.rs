//! SQL tokens with their byte spans, and the splitting of a query string into statements.
//!
//! Materialize's DDL has a grammar of its own, so it is read from these tokens; only query bodies go through `sqlparser`.

use crate::failure::SqlError;

/// What a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// An unquoted word, folded to lower case.
    Word(String),
    /// A double-quoted identifier, unescaped.
    Quoted(String),
    /// A string literal, unescaped (plain, `E''` or dollar-quoted).
    Text(String),
    /// A number as written.
    Number(String),
    /// Any other symbol; operators come one character at a time.
    Symbol(char),
}

/// A token and where it stands in the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Byte offset of its first character.
    pub start: usize,
    /// Byte offset behind its last character.
    pub end: usize,
}

/// Longest identifier Materialize takes, in bytes.
pub const MAX_IDENTIFIER: usize = 255;

struct Cursor<'a> {
    source: &'a str,
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    fn second(&self) -> Option<char> {
        self.source[self.at..].chars().nth(1)
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> String {
        let start = self.at;
        while self.peek().is_some_and(&keep) {
            self.bump();
        }
        self.source[start..self.at].to_owned()
    }

    fn skip_blank(&mut self) -> Result<(), SqlError> {
        loop {
            match (self.peek(), self.second()) {
                (Some(c), _) if c.is_whitespace() => {
                    self.bump();
                }
                (Some('-'), Some('-')) => {
                    self.take_while(|c| c != '\n');
                }
                (Some('/'), Some('*')) => {
                    let mut depth = 0;
                    loop {
                        match (self.peek(), self.second()) {
                            (Some('/'), Some('*')) => {
                                depth += 1;
                                self.at += 2;
                            }
                            (Some('*'), Some('/')) => {
                                depth -= 1;
                                self.at += 2;
                                if depth == 0 {
                                    break;
                                }
                            }
                            (Some(_), _) => {
                                self.bump();
                            }
                            (None, _) => {
                                return Err(SqlError::syntax("unterminated block comment"));
                            }
                        }
                    }
                }
                (Some(_) | None, _) => return Ok(()),
            }
        }
    }

    /// Reads up to the closing quote; a doubled quote stands for itself.
    fn quoted(&mut self, quote: char, escapes: bool) -> Result<String, SqlError> {
        self.bump();
        let mut out = String::new();
        loop {
            match self.bump() {
                None => return Err(SqlError::syntax("unterminated quoted string")),
                Some(c) if c == quote => {
                    if self.peek() == Some(quote) {
                        self.bump();
                        out.push(quote);
                    } else {
                        return Ok(out);
                    }
                }
                Some('\\') if escapes => match self.bump() {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some('b') => out.push('\u{8}'),
                    Some('f') => out.push('\u{c}'),
                    Some(c) => out.push(c),
                    None => return Err(SqlError::syntax("unterminated quoted string")),
                },
                Some(c) => out.push(c),
            }
        }
    }

    /// A dollar-quoted string, if one starts here.
    fn dollar(&mut self) -> Option<String> {
        let rest = &self.source[self.at..];
        let tag_end = rest[1..].find('$')? + 2;
        let tag = &rest[..tag_end];
        let inner = &tag[1..tag_end - 1];
        if !inner.chars().all(|c| c.is_alphanumeric() || c == '_')
            || inner.starts_with(|c: char| c.is_ascii_digit())
        {
            return None;
        }
        let body_end = rest[tag_end..].find(tag)?;
        let text = rest[tag_end..tag_end + body_end].to_owned();
        self.at += tag_end + body_end + tag_end;
        Some(text)
    }

    fn next(&mut self) -> Result<Option<Token>, SqlError> {
        self.skip_blank()?;
        let start = self.at;
        let Some(c) = self.peek() else {
            return Ok(None);
        };
        let kind = match c {
            '\'' => Kind::Text(self.quoted('\'', false)?),
            '"' => Kind::Quoted(identifier(self.quoted('"', false)?)?),
            'e' | 'E' if self.second() == Some('\'') => {
                self.bump();
                Kind::Text(self.quoted('\'', true)?)
            }
            '$' => match self.dollar() {
                Some(text) => Kind::Text(text),
                None => {
                    self.bump();
                    Kind::Symbol('$')
                }
            },
            c if c.is_alphabetic() || c == '_' => Kind::Word(identifier(fold(
                &self.take_while(|c| c.is_alphanumeric() || c == '_' || c == '$'),
            ))?),
            c if c.is_ascii_digit() => {
                Kind::Number(self.take_while(|c| c.is_ascii_alphanumeric() || c == '.'))
            }
            c => {
                self.bump();
                Kind::Symbol(c)
            }
        };
        Ok(Some(Token {
            kind,
            start,
            end: self.at,
        }))
    }
}

/// Folds an unquoted identifier as PostgreSQL does: ASCII only.
fn fold(word: &str) -> String {
    word.to_ascii_lowercase()
}

fn identifier(name: String) -> Result<String, SqlError> {
    if name.is_empty() {
        return Err(SqlError::syntax("zero-length delimited identifier"));
    }
    if name.len() > MAX_IDENTIFIER {
        return Err(SqlError::syntax(format!(
            "identifier length exceeds {MAX_IDENTIFIER} bytes"
        )));
    }
    Ok(name)
}

/// All tokens of `source`.
pub fn tokens(source: &str) -> Result<Vec<Token>, SqlError> {
    let mut cursor = Cursor { source, at: 0 };
    let mut out = Vec::new();
    while let Some(token) = cursor.next()? {
        out.push(token);
    }
    Ok(out)
}

/// Splits a query string at its top-level semicolons; empty statements vanish.
pub fn split(source: &str) -> Result<Vec<&str>, SqlError> {
    let mut out = Vec::new();
    let mut first = None;
    let mut last = 0;
    for token in tokens(source)? {
        if token.kind == Kind::Symbol(';') {
            if let Some(start) = first.take() {
                out.push(&source[start..last]);
            }
        } else {
            first.get_or_insert(token.start);
            last = token.end;
        }
    }
    if let Some(start) = first {
        out.push(&source[start..last]);
    }
    Ok(out)
}

/// Quotes an identifier always.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes a string literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_outside_quotes_only() {
        let parts =
            split("SELECT ';'; -- a;b\nSELECT $x$;$x$ ; /* ; /* ; */ */ ;;SELECT \"a;b\"").unwrap();
        assert_eq!(parts, ["SELECT ';'", "SELECT $x$;$x$", "SELECT \"a;b\""]);
    }

    #[test]
    fn folds_words_and_unescapes_quotes() {
        let kinds: Vec<_> = tokens("Foo \"B\"\"q\" 'it''s' E'a\\tb' $1")
            .unwrap()
            .into_iter()
            .map(|t| t.kind)
            .collect();
        assert_eq!(
            kinds,
            [
                Kind::Word("foo".into()),
                Kind::Quoted("B\"q".into()),
                Kind::Text("it's".into()),
                Kind::Text("a\tb".into()),
                Kind::Symbol('$'),
                Kind::Number("1".into()),
            ]
        );
    }

    #[test]
    fn refuses_empty_and_long_identifiers() {
        assert_eq!(tokens("\"\"").unwrap_err().code, "42601");
        assert_eq!(tokens(&"n".repeat(256)).unwrap_err().code, "42601");
        assert!(tokens(&"n".repeat(255)).is_ok());
    }
}
