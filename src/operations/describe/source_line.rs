//! Which line of which file an error is about.
//!
//! The server speaks of the compiled SQL, people of the file of the model. A line of the one that stands once in the
//! other is that line. Where the server gives no place, the first line with a word that it quotes is the best guess;
//! where there is none, no line is told.

use crate::adapters::materialize::MaterializeError;

/// The line of a model's file, from 1, that an error is about. `sent` is the statement as it was sent, `raw` the text
/// of the file.
#[must_use]
pub fn of(error: &MaterializeError, sent: &str, raw: &str) -> Option<u32> {
    let MaterializeError::Refused {
        message, position, ..
    } = error
    else {
        return None;
    };
    let by_place = position.and_then(|at| {
        let at = usize::try_from(at).ok()?.checked_sub(1)?;
        let before: String = sent.chars().take(at).collect();
        let line = sent.lines().nth(before.matches('\n').count())?;
        alone(line, raw)
    });
    by_place.or_else(|| {
        quoted(message)
            .into_iter()
            .find_map(|word| first(&word, raw))
    })
}

/// The line that is this one, when it is the only one.
fn alone(line: &str, raw: &str) -> Option<u32> {
    let wanted = line.trim();
    if wanted.is_empty() {
        return None;
    }
    let mut found = numbered(raw).filter(|(_, line)| line.trim() == wanted);
    let first = found.next()?;
    found.next().is_none().then_some(first.0)
}

/// The first line with this word.
fn first(word: &str, raw: &str) -> Option<u32> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut lines = numbered(raw);
    let found = lines.find(|(_, line)| {
        line.match_indices(word).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + word.len()..]);
            !before.ends_with(is_part) && !after.starts_with(is_part)
        })
    });
    found.map(|(number, _)| number)
}

fn numbered(raw: &str) -> impl Iterator<Item = (u32, &str)> {
    (1..).zip(raw.lines())
}

/// What stands between quotes in a message; of a name with dots the last part.
fn quoted(message: &str) -> Vec<String> {
    let mut words = Vec::new();
    for quote in ['"', '\'', '`'] {
        let inside = message.split(quote).skip(1).step_by(2);
        words.extend(inside.map(|text| {
            let last = text.rsplit('.').next().unwrap_or(text);
            last.trim_matches('"').to_owned()
        }));
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::adapters::materialize::MaterializeError;

    fn error(message: &str, position: Option<u32>) -> MaterializeError {
        MaterializeError::Refused {
            label: "create view",
            code: "42703".to_owned(),
            message: message.to_owned(),
            detail: String::new(),
            position,
        }
    }

    const RAW: &str =
        "{{ config(materialized='view') }}\nselect customer,\n  totall\nfrom {{ ref('x') }}\n";
    const SENT: &str = "CREATE VIEW v AS (\n\nselect customer,\n  totall\nfrom d.s.x\n)";

    #[test]
    fn the_line_is_the_one_of_the_file() {
        let at = SENT
            .find("totall")
            .map(|at| u32::try_from(at + 1).expect("short"));
        assert_eq!(of(&error("no such column", at), SENT, RAW), Some(3));
        let told = error("column \"totall\" does not exist", None);
        assert_eq!(of(&told, SENT, RAW), Some(3));
        let dotted = error("unknown catalog item 'd.s.x'", None);
        assert_eq!(of(&dotted, SENT, RAW), Some(4));
    }

    #[test]
    fn what_is_not_known_is_not_told() {
        assert_eq!(of(&error("something else", Some(9999)), SENT, RAW), None);
        assert_eq!(
            of(&error("column \"tot\" does not exist", None), SENT, RAW),
            None
        );
        // A line that stands there twice says nothing.
        assert_eq!(of(&error("no", Some(1)), "a\nb", "a\na\n"), None);
    }
}
