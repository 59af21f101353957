//! Python's ways with values: how it spells them, what `%` does, and the methods of its text.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "minijinja's kinds may grow, and what is none of the named ones is one case"
)]

use minijinja::value::{Value as Jinja, ValueKind, from_args};
use minijinja::{Error, ErrorKind, FormatStyle, State, format_filter};

use super::native::Marked;

/// A value as Python's `str` writes it, where that differs from minijinja.
pub(super) fn text(value: &Jinja) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_undefined() => String::new(),
        None => representation(value),
    }
}

/// A value as Python's `repr` writes it.
fn representation(value: &Jinja) -> String {
    let items = || value.try_iter().into_iter().flatten();
    match (value.kind(), value.is_true()) {
        (ValueKind::None, _) => "None".to_owned(),
        (ValueKind::Bool, true) => "True".to_owned(),
        (ValueKind::Bool, false) => "False".to_owned(),
        (ValueKind::String, _) => quoted(value.as_str().unwrap_or_default()),
        (ValueKind::Seq | ValueKind::Iterable, _) => {
            let items: Vec<String> = items().map(|item| representation(&item)).collect();
            format!("[{}]", items.join(", "))
        }
        (ValueKind::Map, _) => {
            let entry = |key: Jinja| {
                let value = value.get_item(&key).unwrap_or_default();
                format!("{}: {}", representation(&key), representation(&value))
            };
            let entries: Vec<String> = items().map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
        _ => value.to_string(),
    }
}

fn quoted(text: &str) -> String {
    let quote = match text.contains('\'') && !text.contains('"') {
        true => '"',
        false => '\'',
    };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// `left % right`: formatting where the left side is text, else what is left of a division. Of several
/// values the right side is a list.
pub(super) fn percent(left: &Jinja, right: &Jinja, is_several: bool) -> Result<Jinja, Error> {
    if left.kind() == ValueKind::Number {
        return remainder(left, right);
    }
    let format = plain(left).ok_or_else(|| {
        let what = format!("`%` does not work on {}", left.kind());
        Error::new(ErrorKind::InvalidOperation, what)
    })?;
    let spelt = |value: Jinja| match value.kind() {
        ValueKind::Number | ValueKind::String => value,
        _ => Jinja::from(text(&value)),
    };
    let arguments: Vec<Jinja> = match right.kind() {
        ValueKind::Seq if is_several => right.try_iter()?.map(spelt).collect(),
        ValueKind::Map if format.contains("%(") => vec![right.clone()],
        _ => vec![spelt(right.clone())],
    };
    format_filter(FormatStyle::Printf, &format, &arguments).map(Jinja::from)
}

/// Python's remainder, which has the divisor's sign.
fn remainder(left: &Jinja, right: &Jinja) -> Result<Jinja, Error> {
    let wrong = |what: &str| Error::new(ErrorKind::InvalidOperation, what.to_owned());
    if let (Some(left), Some(right), true) = (
        left.as_i64(),
        right.as_i64(),
        left.is_integer() && right.is_integer(),
    ) {
        let rest = left.checked_rem(right);
        let rest = rest.ok_or_else(|| wrong("a number is divided by zero"))?;
        let is_other = rest != 0 && (rest < 0) != (right < 0);
        return Ok(Jinja::from(if is_other { rest + right } else { rest }));
    }
    let (left, right) = (f64::try_from(left.clone())?, f64::try_from(right.clone())?);
    let rest = left % right;
    let is_other = rest != 0.0 && (rest < 0.0) != (right < 0.0);
    Ok(Jinja::from(if is_other { rest + right } else { rest }))
}

/// The text of a value that is one for Python.
fn plain(value: &Jinja) -> Option<String> {
    match value.as_str() {
        Some(text) => Some(text.to_owned()),
        None => value.downcast_object_ref::<Marked>().map(Marked::text),
    }
}

/// The methods of Python's text, lists and dictionaries; minijinja has none of its own.
pub(super) fn method(
    state: &State<'_, '_>,
    on: &Jinja,
    method: &str,
    arguments: &[Jinja],
) -> Result<Jinja, Error> {
    let Some(text) = plain(on) else {
        return minijinja_contrib::pycompat::unknown_method_callback(state, on, method, arguments);
    };
    match method {
        "removeprefix" | "removesuffix" => {
            let (part,): (&str,) = from_args(arguments)?;
            let rest = match method {
                "removeprefix" => text.strip_prefix(part),
                _ => text.strip_suffix(part),
            };
            Ok(Jinja::from(rest.unwrap_or(&text)))
        }
        "casefold" => {
            let () = from_args(arguments)?;
            Ok(Jinja::from(text.to_lowercase()))
        }
        "swapcase" => {
            let () = from_args(arguments)?;
            let swapped = text.chars().flat_map(|c| -> Vec<char> {
                match c.is_uppercase() {
                    true => c.to_lowercase().collect(),
                    false => c.to_uppercase().collect(),
                }
            });
            Ok(Jinja::from(swapped.collect::<String>()))
        }
        "zfill" | "ljust" | "rjust" => {
            let (width, fill): (usize, Option<&str>) = from_args(arguments)?;
            let missing = width.min(1024).saturating_sub(text.chars().count());
            let fill = |default: &str| fill.unwrap_or(default).repeat(missing);
            Ok(Jinja::from(match method {
                "ljust" => text + &fill(" "),
                "rjust" => fill(" ") + &text,
                _ => {
                    let sign = text.find(|c| c != '-' && c != '+').unwrap_or(0).min(1);
                    [&text[..sign], &fill("0"), &text[sign..]].concat()
                }
            }))
        }
        "rsplit" => {
            let (by, most): (Option<&str>, Option<usize>) = from_args(arguments)?;
            let parts: Vec<&str> = match (by, most) {
                (Some(by), Some(most)) if !by.is_empty() => text.rsplitn(most + 1, by).collect(),
                (Some(by), None) if !by.is_empty() => text.rsplit(by).collect(),
                (None, None) => text.split_whitespace().rev().collect(),
                _ => return Err(Error::from(ErrorKind::UnknownMethod)),
            };
            Ok(parts.into_iter().rev().map(Jinja::from).collect())
        }
        "partition" | "rpartition" => {
            let (by,): (&str,) = from_args(arguments)?;
            let is_last = method == "rpartition";
            let found = match is_last {
                true => text.rsplit_once(by),
                false => text.split_once(by),
            };
            let parts = match (found, is_last) {
                (Some((before, after)), _) => [before, by, after],
                (None, false) => [text.as_str(), "", ""],
                (None, true) => ["", "", text.as_str()],
            };
            Ok(parts.into_iter().map(Jinja::from).collect())
        }
        _ => {
            let text = Jinja::from(text);
            minijinja_contrib::pycompat::unknown_method_callback(state, &text, method, arguments)
        }
    }
    .map_err(|error| match error.kind() {
        ErrorKind::UnknownMethod => Error::new(
            ErrorKind::UnknownMethod,
            format!("text has no method {method} here"),
        ),
        _ => error,
    })
}
