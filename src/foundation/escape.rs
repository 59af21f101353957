//! Names and sentences made harmless for a terminal or for Markdown.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character would move the cursor, hide text or turn its direction.
fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' // Arabic letter mark
            | '\u{200b}'..='\u{200f}' // zero width, direction marks
            | '\u{2028}'..='\u{202e}' // line separators, direction overrides
            | '\u{2060}'..='\u{206f}' // invisible operators, direction isolates
            | '\u{feff}' // byte order mark
        )
}

/// `text` with control and invisible characters written as escapes (`\n`, `\u{1b}`), on one line.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if is_hostile(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// As [`visible`], but line breaks stay, for sentences that the program itself wrote in lines.
#[must_use]
pub fn visible_lines(text: &str) -> String {
    let lines: Vec<Cow<'_, str>> = text.lines().map(visible).collect();
    lines.join("\n")
}

/// A name as Markdown code, in a table cell or elsewhere.
///
/// Ordinary names become a code span; whatever could end the span, the cell or the page becomes
/// `<code>` with numeric character references, which no Markdown reader interprets further.
#[must_use]
pub fn code(name: &str) -> String {
    let name = visible(name);
    let is_tame = |c: char| {
        c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '$' | '/' | '=' | ',' | '(' | ')')
    };
    let spaces_inside = name.trim() == name && !name.contains("  ");
    if !name.is_empty() && spaces_inside && name.chars().all(|c| is_tame(c) || c == ' ') {
        return format!("`{name}`");
    }
    let mut escaped = String::from("<code>");
    for character in name.chars() {
        if is_tame(character) && character != '_' {
            escaped.push(character);
        } else if character == ' ' {
            escaped.push_str("&#32;");
        } else {
            // Writing into a String cannot fail.
            let _ = write!(escaped, "&#{};", u32::from(character));
        }
    }
    escaped.push_str("</code>");
    escaped
}

/// A sentence as Markdown prose on one line: nothing in it is markup, a link, a mention or HTML.
#[must_use]
pub fn prose(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut escaped = String::with_capacity(joined.len() + 8);
    for character in visible(&joined).chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // A zero-width space ends what would otherwise notify a person or a team.
            '@' => escaped.push_str("@&#8203;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' => {
                escaped.push('\\');
                escaped.push(character);
            }
            ordinary => escaped.push(ordinary),
        }
    }
    escaped
}

/// Lines of code as a fenced block of Markdown: nothing in them ends it, and control and invisible characters are
/// shown as escapes. `language` is the program's own word.
#[must_use]
pub fn fenced<'l>(language: &str, lines: impl Iterator<Item = &'l str>) -> String {
    let lines: Vec<Cow<'_, str>> = lines.map(visible).collect();
    let mut longest = 2;
    for line in &lines {
        let runs = line.split(|c| c != '`').map(str::len);
        longest = runs.fold(longest, usize::max);
    }
    let fence = "`".repeat(longest + 1);
    format!("{fence}{language}\n{}\n{fence}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::fenced;

    #[test]
    fn nothing_in_a_fenced_block_ends_it() {
        assert_eq!(
            fenced("diff", ["+select 1", " ```` x", "-\u{1b}[31m"].into_iter()),
            "`````diff\n+select 1\n ```` x\n-\\u{1b}[31m\n`````"
        );
        assert_eq!(fenced("sql", ["a"].into_iter()), "```sql\na\n```");
    }
}
