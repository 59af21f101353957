//! SQL as a stream of tokens, so that comments and white space do not count.
//!
//! The rule is one-sided: equal streams mean the same SQL, while SQL that means the same may give
//! different streams (`a<-1` and `a < -1`). Nothing but comments and white space between tokens is left
//! out: case, quotes and trailing semicolons stay. The lexical rules are Materialize's (`src/sql-lexer`
//! of its repository), which follow PostgreSQL's: nested block comments, `E'…'` with backslashes,
//! dollar quotes.

use crate::foundation::digest::{Digest, Digesting};

/// What the tokens of `sql` hash to.
#[must_use]
pub fn digest(sql: &str) -> Digest {
    let mut digest = Digesting::default();
    for token in Tokens::of(sql) {
        digest.part(token.as_bytes());
    }
    digest.finish()
}

/// Whether something follows a semicolon that ends a statement.
#[must_use]
pub fn are_several(sql: &str) -> bool {
    let mut has_ended = false;
    Tokens::of(sql).any(|token| {
        let is_end = token == ";";
        has_ended |= is_end;
        has_ended && !is_end
    })
}

/// The tokens of a text, one after the other, as they are written.
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    /// The tokens of `sql`. A string or comment that does not end goes to the end of the text.
    #[must_use]
    pub fn of(sql: &'a str) -> Self {
        Self { rest: sql }
    }

    /// The tokens of `sql`, each with the byte at which it begins.
    pub fn with_places(sql: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
        let mut tokens = Self::of(sql);
        std::iter::from_fn(move || {
            let token = tokens.next()?;
            Some((sql.len() - tokens.rest.len() - token.len(), token))
        })
    }

    /// Cuts off the first `length` bytes, which end at a character.
    fn take(&mut self, length: usize) -> &'a str {
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        token
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            let trimmed = self.rest.trim_start_matches(is_space);
            self.rest = trimmed;
            if let Some(length) = comment(trimmed) {
                self.take(length);
            } else if trimmed.is_empty() {
                return None;
            } else {
                return Some(self.take(token(trimmed)));
            }
        }
    }
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '$') || !character.is_ascii()
}

fn is_operator(character: char) -> bool {
    "+-*/<>=~!@#%^&|`?:".contains(character)
}

/// The length of the comment that the text begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("--") {
        return Some(text.find(['\n', '\r']).unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => {
                depth += 1;
                at += 2;
            }
            Some(b"*/") => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            Some(_) | None => at += 1,
        }
    }
    Some(text.len())
}

/// The length of the token that the text, which is not empty, begins with.
fn token(text: &str) -> usize {
    let first = text.chars().next().unwrap_or_default();
    match first {
        '\'' => quoted(text, b'\'', false),
        '"' => quoted(text, b'"', false),
        '$' => dollar_quoted(text).unwrap_or_else(|| word(text)),
        _ if first.is_ascii_digit() || (first == '.' && has_digit_at(text, 1)) => number(text),
        _ if is_word(first) => word(text),
        _ if is_operator(first) => operator(text),
        _ => first.len_utf8(),
    }
}

fn has_digit_at(text: &str, at: usize) -> bool {
    text.as_bytes().get(at).is_some_and(u8::is_ascii_digit)
}

/// A word, with the string that it is the prefix of: `E'a\'b'`, `U&'d\0061t'`.
fn word(text: &str) -> usize {
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let is_escaped = word.eq_ignore_ascii_case("e");
    let is_prefix = is_escaped || ["b", "x", "n"].iter().any(|p| word.eq_ignore_ascii_case(p));
    if is_prefix && rest.starts_with('\'') {
        return end + quoted(rest, b'\'', is_escaped);
    }
    if word.eq_ignore_ascii_case("u") {
        for quote in [b'\'', b'"'] {
            if rest.as_bytes().starts_with(&[b'&', quote]) {
                return end + 1 + quoted(&rest[1..], quote, false);
            }
        }
    }
    end
}

/// Something between quotes; a doubled quote is part of it, and so is an escaped one where backslashes
/// escape.
fn quoted(text: &str, quote: u8, escapes: bool) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        if bytes[at] == b'\\' && escapes {
            // What is escaped may be the first byte of a character; its others are no quotes.
            at += 2;
        } else if bytes[at] != quote {
            at += 1;
        } else if bytes.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return at + 1;
        }
    }
    text.len()
}

/// `$$ … $$` or `$tag$ … $tag$`; `None` for a parameter such as `$1`.
fn dollar_quoted(text: &str) -> Option<usize> {
    let length = text[1..].find('$')? + 2;
    let tag = &text[..length];
    let name = &tag[1..length - 1];
    let is_name = name.chars().all(|c| is_word(c) && c != '$')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    if !is_name {
        return None;
    }
    let end = text[length..].find(tag);
    Some(end.map_or(text.len(), |end| length + end + tag.len()))
}

/// `1`, `1.5`, `.5`, `1e-5`, and whatever is written to it without a space.
fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < text.len() {
        let is_sign = matches!(bytes[at], b'+' | b'-')
            && matches!(bytes[at - usize::from(at > 0)], b'e' | b'E')
            && has_digit_at(text, at + 1);
        let is_part = bytes[at] == b'.' || bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_';
        if !is_part && !is_sign {
            break;
        }
        at += 1;
    }
    at
}

/// A run of operator characters, up to a comment.
fn operator(text: &str) -> usize {
    let end = text.find(|c| !is_operator(c)).unwrap_or(text.len());
    (1..end)
        .find(|at| comment(&text[*at..]).is_some())
        .unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::{Tokens, are_several, digest};
    use proptest::prelude::*;

    fn tokens(sql: &str) -> Vec<&str> {
        Tokens::of(sql).collect()
    }

    #[test]
    fn several_statements_are_told_from_one() {
        for one in [
            "",
            "select 1",
            "select 1 ; ; -- the end; really\n",
            "select ';', \";\", $$;$$ /* ; */ from t",
            r"select E'\';'",
        ] {
            assert!(!are_several(one), "{one}");
        }
        for several in [
            "select 1; select 2",
            "; select 1",
            "select ';';x",
            "a;/* */b",
        ] {
            assert!(are_several(several), "{several}");
        }
    }

    #[test]
    fn comments_and_white_space_are_gone_and_everything_else_stays() {
        for (sql, expected) in [
            (
                "select  a,\n\tb -- c\nfrom t",
                vec!["select", "a", ",", "b", "from", "t"],
            ),
            ("a/* x /* y */ z */b", vec!["a", "b"]),
            (
                "'it''s -- no' , \"a\"\"--b\"",
                vec!["'it''s -- no'", ",", "\"a\"\"--b\""],
            ),
            (
                r"E'a\'--b' e'\\' x'0f'",
                vec![r"E'a\'--b'", r"e'\\'", "x'0f'"],
            ),
            (
                "$$ -- a $$ $t$ $$ /* $t$ $1",
                vec!["$$ -- a $$", "$t$ $$ /* $t$", "$1"],
            ),
            (
                "a<-1 b - -1 c--1",
                vec!["a", "<-", "1", "b", "-", "-", "1", "c"],
            ),
            (
                "1.5e-3 .5 t.1 a.b",
                vec!["1.5e-3", ".5", "t", ".1", "a", ".", "b"],
            ),
            (
                "a::text[1]=>'x'",
                vec!["a", "::", "text", "[", "1", "]", "=>", "'x'"],
            ),
            (
                "u&'d\\0061' U&\"x\" überß",
                vec!["u&'d\\0061'", "U&\"x\"", "überß"],
            ),
            ("x*/**/y", vec!["x", "*", "y"]),
            ("'open -- a", vec!["'open -- a"]),
            ("/* open", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(tokens(sql), expected, "{sql}");
        }
    }

    #[test]
    fn what_means_something_else_has_another_digest() {
        let same = |a: &str, b: &str| digest(a) == digest(b);
        assert!(same("select 1 -- one", "select/**/1\n"));
        for (a, b) in [
            ("select 'a b'", "select 'a  b'"),
            ("select ab", "select a b"),
            ("select \"A\"", "select \"a\""),
            ("select A", "select a"),
            ("select 1", "select 1;"),
            ("select E'\\n'", "select '\\n'"),
            ("select e 'a'", "select e'a'"),
            ("select 1.5", "select 1 .5"),
            ("select '-- a'", "select '-- b'"),
            ("select $$a$$", "select $$a $$"),
        ] {
            assert!(!same(a, b), "{a} | {b}");
        }
    }

    /// Words that lex alone, with what may stand between them.
    fn piece() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z_][a-z0-9_]{0,4}",
            "[0-9]{1,3}(\\.[0-9]{1,2})?",
            "'[a-z \\-*/]{0,5}'",
            "\"[a-z \\-*/]{0,5}\"",
            Just("$q$ -- $q$".to_owned()),
            Just(",".to_owned()),
            Just("(".to_owned()),
            Just("<=".to_owned()),
        ]
    }

    fn space() -> impl Strategy<Value = String> {
        prop_oneof![
            Just(" ".to_owned()),
            Just("\n\t".to_owned()),
            Just(" -- it's\n".to_owned()),
            Just(" /* \" /* ' */ $$ */ ".to_owned()),
        ]
    }

    proptest! {
        #[test]
        fn pieces_come_back_whatever_stands_between_them(
            pieces in prop::collection::vec((piece(), space()), 0..20)
        ) {
            let sql: String = pieces.iter().map(|(piece, space)| format!("{piece}{space}")).collect();
            let found: Vec<String> = tokens(&sql).into_iter().map(str::to_owned).collect();
            let wanted: Vec<String> = pieces.into_iter().map(|(piece, _)| piece).collect();
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn any_text_is_taken_apart_without_a_loss(sql in "\\PC{0,60}") {
            let found: String = tokens(&sql).concat();
            let mut left = sql.as_str();
            for token in tokens(&sql) {
                let at = left.find(token);
                prop_assert!(at.is_some());
                left = &left[at.unwrap_or_default() + token.len()..];
            }
            prop_assert!(found.len() <= sql.len());
        }
    }
}
