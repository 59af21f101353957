//! Python's `csv.reader` in its default dialect, over a file opened as text.

use super::Unsure;

/// The most characters that Python takes for one field (`csv.field_size_limit()`).
const LONGEST: usize = 131_072;

/// Where the reader is in a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before its first character.
    Start,
    /// In a field that did not begin with a quote.
    Bare,
    /// Between quotes.
    Quoted,
    /// Right after a quote between quotes.
    AfterQuote,
}

/// The records of a text. A line without any character gives a record without fields, as in Python.
///
/// # Errors
/// [`Unsure`] where Python refuses the text.
pub(super) fn records(text: &str, delimiter: char) -> Result<Vec<Vec<String>>, Unsure> {
    if text.contains('\0') {
        return Err(Unsure("has a character of code 0".to_owned()));
    }
    // Opened as text, every end of a line is a line feed, also between quotes.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut records = Vec::new();
    let mut record: Vec<String> = Vec::new();
    let mut field = String::new();
    let mut length = 0_usize;
    let mut at = At::Start;
    // Whether anything of a record was read, be it only a quote.
    let mut begun = false;
    for character in text.chars() {
        let ends_line = character == '\n' && at != At::Quoted;
        let ends_field = character == delimiter && at != At::Quoted;
        if ends_line {
            if begun {
                record.push(std::mem::take(&mut field));
            }
            records.push(std::mem::take(&mut record));
            (at, begun, length) = (At::Start, false, 0);
            continue;
        }
        begun = true;
        if ends_field {
            record.push(std::mem::take(&mut field));
            (at, length) = (At::Start, 0);
            continue;
        }
        at = match (at, character) {
            (At::Start, '"') => At::Quoted,
            (At::Quoted, '"') => At::AfterQuote,
            (At::AfterQuote, '"') => {
                field.push('"');
                At::Quoted
            }
            // What follows a closing quote belongs to the field.
            (At::Start | At::Bare | At::AfterQuote, other) => {
                field.push(other);
                At::Bare
            }
            (At::Quoted, other) => {
                field.push(other);
                At::Quoted
            }
        };
        length += 1;
        if length > LONGEST {
            return Err(Unsure(format!(
                "has a field of more than {LONGEST} characters, which Python refuses"
            )));
        }
    }
    if begun {
        record.push(field);
        records.push(record);
    }
    Ok(records)
}
