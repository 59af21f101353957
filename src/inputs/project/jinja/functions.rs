//! The functions of dbt's base context (`dbt.context.base`).

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "minijinja's kinds may grow, and what is none of the named ones is one case"
)]

use std::fmt::Write;

use md5::Digest;
use minijinja::value::{Kwargs, Rest, Value as Jinja, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

use super::python;

/// Adds them.
pub(super) fn add(jinja: &mut Environment<'static>) {
    jinja.add_function("tojson", tojson);
    jinja.add_function("toyaml", toyaml);
    jinja.add_function(
        "fromjson",
        |text: String, default: Option<Jinja>, named: Kwargs| {
            let read: Option<Jinja> = serde_json::from_slice(text.as_bytes()).ok();
            or_default(read, default, &named)
        },
    );
    jinja.add_function(
        "fromyaml",
        |text: String, default: Option<Jinja>, named: Kwargs| {
            let read: Option<Jinja> = serde_yaml::from_str(&text).ok();
            or_default(read, default, &named)
        },
    );
    jinja.add_function(
        "set",
        |items: Jinja, default: Option<Jinja>, named: Kwargs| {
            or_default(distinct(&items).ok(), default, &named)
        },
    );
    jinja.add_function("set_strict", |items: Jinja| distinct(&items));
    jinja.add_function("zip", |lists: Rest<Jinja>, named: Kwargs| {
        or_default(zip(&lists).ok(), None, &named)
    });
    jinja.add_function("zip_strict", |lists: Rest<Jinja>| zip(&lists));
    // What is logged while a file is read is dbt's to show.
    jinja.add_function("log", |_: Jinja, _: Rest<Jinja>| "");
    jinja.add_function("print", |_: Jinja| "");
    jinja.add_function("local_md5", |text: String| {
        hex::encode(md5::Md5::digest(text.as_bytes()))
    });
    jinja.add_global("thread_id", Jinja::from("MainThread"));
}

/// What was read, else the default, else none; as in dbt, where such a function does not fail.
fn or_default(read: Option<Jinja>, default: Option<Jinja>, named: &Kwargs) -> Result<Jinja, Error> {
    let named = named.get::<Option<Jinja>>("default")?;
    Ok(read.or(default).or(named).unwrap_or(Jinja::from(())))
}

fn tojson(
    value: Jinja,
    default: Option<Jinja>,
    sort_keys: Option<bool>,
    named: Kwargs,
) -> Result<Jinja, Error> {
    let named_sort: Option<bool> = named.get("sort_keys")?;
    let is_sorted = sort_keys.or(named_sort).unwrap_or_default();
    let mut out = String::new();
    let written = json(&value, is_sorted, &mut out).map(|()| Jinja::from(out));
    or_default(written.ok(), default, &named)
}

/// JSON as Python's `json.dumps` spaces and escapes it.
fn json(value: &Jinja, is_sorted: bool, out: &mut String) -> Result<(), Error> {
    let wrong = || Error::new(ErrorKind::InvalidOperation, "it is no JSON");
    match value.kind() {
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(&value.to_string()),
        ValueKind::String => text(value.as_str().ok_or_else(wrong)?, out),
        ValueKind::Seq => {
            out.push('[');
            for (index, item) in value.try_iter()?.enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                json(&item, is_sorted, out)?;
            }
            out.push(']');
        }
        ValueKind::Map => {
            let mut keys: Vec<Jinja> = value.try_iter()?.collect();
            if is_sorted {
                keys.sort();
            }
            out.push('{');
            for (index, key) in keys.iter().enumerate() {
                out.push_str(if index > 0 { ", " } else { "" });
                match key.kind() {
                    ValueKind::Bool | ValueKind::None => {
                        let mut bare = String::new();
                        json(key, is_sorted, &mut bare)?;
                        text(&bare, out);
                    }
                    _ => text(&python::text(key), out),
                }
                out.push_str(": ");
                json(&value.get_item(key)?, is_sorted, out)?;
            }
            out.push('}');
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

fn text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

fn toyaml(
    value: Jinja,
    default: Option<Jinja>,
    _sort_keys: Option<bool>,
    named: Kwargs,
) -> Result<Jinja, Error> {
    let _: Option<bool> = named.get("sort_keys")?;
    or_default(
        serde_yaml::to_string(&value).ok().map(Jinja::from),
        default,
        &named,
    )
}

fn distinct(items: &Jinja) -> Result<Jinja, Error> {
    let mut kept: Vec<Jinja> = Vec::new();
    for item in items.try_iter()? {
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    Ok(Jinja::from(kept))
}

fn zip(lists: &[Jinja]) -> Result<Jinja, Error> {
    let mut iterators = Vec::with_capacity(lists.len());
    for list in lists {
        iterators.push(list.try_iter()?);
    }
    let mut rows: Vec<Jinja> = Vec::new();
    while !iterators.is_empty() {
        let row: Option<Vec<Jinja>> = iterators.iter_mut().map(Iterator::next).collect();
        match row {
            Some(row) => rows.push(Jinja::from(row)),
            None => break,
        }
    }
    Ok(Jinja::from(rows))
}

/// A value as Python's `json.dumps(…, sort_keys=True)` writes it; nothing for what is no JSON.
pub(in crate::inputs::project) fn python_json(value: &serde_yaml::Value) -> Option<String> {
    let mut out = String::new();
    json(&Jinja::from_serialize(value), true, &mut out).ok()?;
    Some(out)
}
