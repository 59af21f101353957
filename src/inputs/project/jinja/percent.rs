//! Python's `%` on text, of which minijinja knows only the arithmetic: `'dbt_%s' % x` is rewritten to a filter
//! that does either (`'dbt_%s'|__percent(x)`), with the operands that Jinja2's grammar gives it.

use std::borrow::Cow;

/// The filter's name.
pub(super) const FILTER: &str = "__percent";
/// The same where the right side stands in brackets: several values, which are a list to minijinja.
pub(super) const FILTER_OF: &str = "__percent_of";

/// A token of an expression, by what it does to operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Text in quotes.
    Text,
    /// A number.
    Number,
    /// A name that is no keyword.
    Name,
    /// `in`, `not`, `and`, …
    Keyword,
    Open,
    Close,
    Dot,
    Pipe,
    /// `%`, `*` or `/`.
    Product,
    /// Anything else.
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

/// The template with each `%` of text as a filter. What is no expression stays as it is.
pub(super) fn rewrite(template: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(template);
    let mut from = 0;
    while let Some((at, end)) = expression(&text, from) {
        let inner = filtered(&text[at..end]);
        from = at + inner.len();
        if inner != text[at..end] {
            text = Cow::Owned([&text[..at], &inner, &text[end..]].concat());
        }
    }
    text
}

/// Where the next expression stands between its marks.
fn expression(text: &str, from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        at += text[at..].find('{')?;
        let rest = &text[at..];
        if rest.starts_with("{#") {
            at += rest.find("#}")?;
        } else if rest.starts_with("{{") || rest.starts_with("{%") {
            let is_block = rest.starts_with("{%");
            let start = at + 2;
            let end = start + closing(&text[start..], is_block)?;
            let word = text[start..end].trim_matches(['-', '+']).trim();
            if !is_block || word != "raw" {
                return Some((start, end));
            }
            at = end + text[end..].find("endraw")?;
        } else {
            at += 1;
        }
    }
}

/// Where the expression at the start of `text` ends: before its closing mark.
fn closing(text: &str, is_block: bool) -> Option<usize> {
    let mark = if is_block { "%}" } else { "}}" };
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        at += text[at..].find(|c: char| !c.is_whitespace())?;
        if depth == 0 && text[at..].starts_with(mark) {
            return Some(at);
        }
        let token = next(text, at)?;
        match token.kind {
            Kind::Open => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            Kind::Text
            | Kind::Number
            | Kind::Name
            | Kind::Keyword
            | Kind::Dot
            | Kind::Pipe
            | Kind::Product
            | Kind::Other => {}
        }
        at = token.end;
    }
}

/// The token at or after a place.
fn next(text: &str, from: usize) -> Option<Token> {
    let start = from + text[from..].find(|c: char| !c.is_whitespace())?;
    let rest = &text[start..];
    let first = rest.chars().next()?;
    let run = |is: fn(char) -> bool| rest.find(|c| !is(c)).unwrap_or(rest.len());
    let (kind, length) = match first {
        '\'' | '"' => (Kind::Text, quoted(rest, first)?),
        '0'..='9' => (
            Kind::Number,
            run(|c| c.is_ascii_alphanumeric() || c == '.' || c == '_'),
        ),
        c if c.is_alphanumeric() || c == '_' => {
            let length = run(|c| c.is_alphanumeric() || c == '_');
            let keywords = [
                "in", "not", "and", "or", "if", "elif", "else", "is", "set", "for", "do", "call",
            ];
            let is_keyword = keywords.contains(&&rest[..length]);
            (
                if is_keyword {
                    Kind::Keyword
                } else {
                    Kind::Name
                },
                length,
            )
        }
        '(' | '[' | '{' => (Kind::Open, 1),
        ')' | ']' | '}' => (Kind::Close, 1),
        '.' => (Kind::Dot, 1),
        '|' => (Kind::Pipe, 1),
        '%' => (Kind::Product, 1),
        '*' | '/' => (Kind::Product, run(|c| c == '*' || c == '/')),
        other => (Kind::Other, other.len_utf8()),
    };
    Some(Token {
        kind,
        start,
        end: start + length,
    })
}

/// The length of a text in quotes.
fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    let mut inner = text.char_indices().skip(1);
    inner
        .find(|(_, c)| {
            let is_end = *c == quote && !is_escaped;
            is_escaped = *c == '\\' && !is_escaped;
            is_end
        })
        .map(|(at, _)| at + 1)
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    while let Some(token) = next(text, tokens.last().map_or(0, |last: &Token| last.end)) {
        tokens.push(token);
    }
    tokens
}

/// One expression with its `%` rewritten, from left to right as they are evaluated.
fn filtered(expression: &str) -> String {
    let mut text = expression.to_owned();
    let mut skipped = 0;
    loop {
        let tokens = tokens(&text);
        let is_percent = |token: &Token| &text[token.start..token.end] == "%";
        let found = tokens.iter().enumerate().filter(|(_, t)| is_percent(t));
        let Some((at, percent)) = found.map(|(at, token)| (at, *token)).nth(skipped) else {
            return text;
        };
        let operands = left(&tokens, at).zip(right(&tokens, at));
        let Some((left, right)) = operands else {
            skipped += 1;
            continue;
        };
        let is_group = text[percent.end..right].trim().starts_with('(');
        text = [
            &text[..tokens[left].start],
            text[tokens[left].start..percent.start].trim_end(),
            "|",
            if is_group { FILTER_OF } else { FILTER },
            "(",
            text[percent.end..right].trim_start(),
            ")",
            &text[right..],
        ]
        .concat();
    }
}

/// The first token of the operand before the token `at`; nothing where it is surely a number's, or the
/// right side of another product.
fn left(tokens: &[Token], at: usize) -> Option<usize> {
    let kind = |at: usize| tokens.get(at).map(|token| token.kind);
    let mut first = at.checked_sub(1)?;
    loop {
        match kind(first)? {
            Kind::Close => {
                first = opening(tokens, first)?;
                let is_applied = first.checked_sub(1).and_then(kind);
                if let Some(Kind::Name | Kind::Close | Kind::Text) = is_applied {
                    first -= 1;
                    continue;
                }
            }
            Kind::Name | Kind::Text | Kind::Number => {}
            Kind::Keyword | Kind::Open | Kind::Dot | Kind::Pipe | Kind::Product | Kind::Other => {
                return None;
            }
        }
        match first.checked_sub(1).and_then(kind) {
            Some(Kind::Dot | Kind::Pipe) => first = first.checked_sub(2)?,
            Some(Kind::Product) if kind(first) != Some(Kind::Text) => return None,
            // A sign belongs to the left side.
            Some(Kind::Other) if kind(first) != Some(Kind::Text) && !is_between(tokens, first) => {
                return None;
            }
            _ => break,
        }
    }
    (kind(first) != Some(Kind::Number)).then_some(first)
}

/// Whether what stands before the token `at` stands after an operand, so that it is no sign.
fn is_between(tokens: &[Token], at: usize) -> bool {
    let before = at.checked_sub(2).and_then(|at| tokens.get(at));
    before.is_some_and(|token| {
        matches!(
            token.kind,
            Kind::Text | Kind::Number | Kind::Name | Kind::Close
        )
    })
}

/// The place in the text where the operand after the token `at` ends.
fn right(tokens: &[Token], at: usize) -> Option<usize> {
    let kind = |at: usize| tokens.get(at).map(|token| token.kind);
    let mut last = at + 1;
    // A sign.
    if kind(last) == Some(Kind::Other) {
        last += 1;
    }
    match kind(last)? {
        Kind::Open => last = ending(tokens, last)?,
        Kind::Text | Kind::Number | Kind::Name => {}
        Kind::Keyword | Kind::Close | Kind::Dot | Kind::Pipe | Kind::Product | Kind::Other => {
            return None;
        }
    }
    loop {
        match kind(last + 1) {
            Some(Kind::Dot | Kind::Pipe) => last += 2,
            Some(Kind::Open) => last = ending(tokens, last + 1)?,
            _ => return tokens.get(last).map(|token| token.end),
        }
    }
}

/// The bracket that opens what the token `at` closes.
fn opening(tokens: &[Token], at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    (0..=at).rev().find(|at| {
        let kind = tokens[*at].kind;
        depth += usize::from(kind == Kind::Close);
        depth -= usize::from(kind == Kind::Open);
        kind == Kind::Open && depth == 0
    })
}

/// The bracket that closes what the token `at` opens.
fn ending(tokens: &[Token], at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    (at..tokens.len()).find(|at| {
        let kind = tokens[*at].kind;
        depth += usize::from(kind == Kind::Open);
        depth -= usize::from(kind == Kind::Close);
        kind == Kind::Close && depth == 0
    })
}

#[cfg(test)]
mod tests {
    use super::rewrite;

    #[test]
    fn operands_are_those_of_the_grammar() {
        let cases = [
            (
                "{{ 'dbt_%s' % env_var('U', 'a.b').split('.')[0] }}",
                "{{ 'dbt_%s'|__percent(env_var('U', 'a.b').split('.')[0]) }}",
            ),
            (
                "{{ '%s_%s' % (a, b) ~ 'x' }}",
                "{{ '%s_%s'|__percent_of((a, b)) ~ 'x' }}",
            ),
            (
                "{{ a + '%s' % b|upper + c }}",
                "{{ a + '%s'|__percent(b|upper) + c }}",
            ),
            ("{{ f('%d')[0] % -1 }}", "{{ f('%d')[0]|__percent(-1) }}"),
            (
                "{{ '%s%%' % 'a%s' % b }}",
                "{{ '%s%%'|__percent('a%s')|__percent(b) }}",
            ),
            ("{{ x % 3 }}", "{{ x|__percent(3) }}"),
            ("{{ -x % 3 }}", "{{ -x % 3 }}"),
            ("{{ a - x % 3 }}", "{{ a - x|__percent(3) }}"),
            ("{{ 7 % 3 }}", "{{ 7 % 3 }}"),
            ("{{ 2 * x % 3 }}", "{{ 2 * x % 3 }}"),
            (
                "{% if '%s' % a == 'b' %}c % d{% endif %}",
                "{% if '%s'|__percent(a) == 'b' %}c % d{% endif %}",
            ),
            (
                "{%- set x = {'a': '%s' % 1} -%}",
                "{%- set x = {'a': '%s'|__percent(1)} -%}",
            ),
            (
                "{# 'a' % b #}{{ 'it\\'s %s' % \"}}\" }}",
                "{# 'a' % b #}{{ 'it\\'s %s'|__percent(\"}}\") }}",
            ),
            (
                "{% raw %}{{ 'a' % b }}{% endraw %}{{ 'c' % d }}",
                "{% raw %}{{ 'a' % b }}{% endraw %}{{ 'c'|__percent(d) }}",
            ),
            ("50 % off {{ '%' }}", "50 % off {{ '%' }}"),
            ("{{ 'a' % }}", "{{ 'a' % }}"),
            ("{{ '%s' % a", "{{ '%s' % a"),
        ];
        for (template, wanted) in cases {
            assert_eq!(rewrite(template), wanted);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "([{%#}'\"|().\\[\\]\\\\ a0é*-]|\\{\\{|\\}\\}| % ){0,30}") {
            let _ = rewrite(&text);
        }
    }
}
