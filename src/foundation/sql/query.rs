//! Whether a text is one query.

/// The words with which a query begins.
const WORDS: [&str; 5] = ["select", "with", "values", "show", "table"];

/// The text of a query without a semicolon at its end, where it is one query and nothing else.
///
/// # Errors
/// Why it is not, one sentence without a final full stop.
pub fn one_query(sql: &str) -> Result<&str, String> {
    let mut first = None;
    let mut end = None;
    let mut depth = 0_usize;
    let mut at = 0;
    while at < sql.len() {
        let rest = &sql[at..];
        let (length, token) = token(rest)?;
        if token != Token::Blank {
            if end.is_some() {
                return Err("the query has more than one statement".to_owned());
            }
            if first.is_none() {
                first = Some(&rest[..length]);
            }
        }
        match token {
            Token::Open => depth += 1,
            Token::Close => {
                depth = depth
                    .checked_sub(1)
                    .ok_or("the query closes a parenthesis that it did not open")?;
            }
            Token::End => end = Some(at),
            Token::Blank | Token::Other => {}
        }
        at += length;
    }
    if depth > 0 {
        return Err("the query does not close every parenthesis".to_owned());
    }
    let word = first.unwrap_or_default();
    if !WORDS.contains(&word.to_ascii_lowercase().as_str()) {
        return Err(match word {
            "" | ";" => "there is no query".to_owned(),
            _ => format!("a query does not begin with {word:?}"),
        });
    }
    Ok(&sql[..end.unwrap_or(sql.len())])
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// Space or a comment.
    Blank,
    Open,
    Close,
    /// A semicolon.
    End,
    Other,
}

/// The token at the beginning of `rest`, which is not empty, and its length.
fn token(rest: &str) -> Result<(usize, Token), String> {
    let open = |what: &str| format!("{what} in the query has no end");
    let mut characters = rest.chars();
    let Some(character) = characters.next() else {
        return Ok((0, Token::Blank));
    };
    let one = character.len_utf8();
    Ok(match character {
        '(' => (one, Token::Open),
        ')' => (one, Token::Close),
        ';' => (one, Token::End),
        _ if character.is_whitespace() => (one, Token::Blank),
        '-' if rest.starts_with("--") => (
            rest.find('\n').map_or(rest.len(), |end| end + 1),
            Token::Blank,
        ),
        '/' if rest.starts_with("/*") => (
            comment(rest).ok_or_else(|| open("a comment"))?,
            Token::Blank,
        ),
        '\'' | '"' => (
            quoted(rest, character, false).ok_or_else(|| open("a quoted text"))?,
            Token::Other,
        ),
        'e' | 'E' if rest[one..].starts_with('\'') => {
            let length = quoted(&rest[one..], '\'', true).ok_or_else(|| open("a quoted text"))?;
            (one + length, Token::Other)
        }
        // The server reads no dollar quotes; others do, so none are let through to anybody.
        '$' => return Err("a query may have no dollar sign outside of quotes".to_owned()),
        _ if is_word(character) => (
            rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            Token::Other,
        ),
        _ => (one, Token::Other),
    })
}

fn is_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

/// The length of a quoted text; a doubled quote stands for one.
fn quoted(text: &str, quote: char, escapes: bool) -> Option<usize> {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if escapes && character == '\\' {
            characters.next();
        } else if character == quote && characters.next_if(|(_, next)| *next == quote).is_none() {
            return Some(at + quote.len_utf8());
        }
    }
    None
}

/// The length of a comment; comments nest.
fn comment(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}
