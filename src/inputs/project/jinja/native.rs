//! dbt's "native" Jinja: its filters, Python's spelling of values, and the rule that a template which
//! emits exactly one value is that value (`dbt_common.clients.jinja.quoted_native_concat`).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Object, ObjectRepr, Value as Jinja, ValueKind};
use minijinja::{Environment, Error, ErrorKind};
use serde_yaml::Value;

use super::{percent, python};

/// What `as_text`, `as_bool`, `as_number` and `as_native` leave on a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Text,
    Native,
    Bool,
    Number,
}

#[derive(Debug)]
pub(super) struct Marked {
    mark: Mark,
    text: String,
}

impl Marked {
    /// The text that is marked.
    pub(super) fn text(&self) -> String {
        self.text.clone()
    }
}

impl Object for Marked {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a template has emitted so far: how many values, and the last with its text.
#[derive(Default)]
struct Emitted {
    count: usize,
    last: Option<(Jinja, String)>,
}

/// The most steps of one template, some seconds at most: whoever may propose a commit writes them, and a loop
/// in a loop would keep every environment waiting.
const FUEL: u64 = 10_000_000;

/// An environment with dbt's filters and the methods of Python's text that profiles use.
pub(super) fn environment() -> Environment<'static> {
    let mut jinja = Environment::new();
    jinja.set_fuel(Some(FUEL));
    jinja.add_filter("as_text", |value: Jinja| marked(Mark::Text, &value));
    jinja.add_filter("as_native", |value: Jinja| marked(Mark::Native, &value));
    jinja.add_filter("as_bool", |value: Jinja| marked(Mark::Bool, &value));
    jinja.add_filter("as_number", |value: Jinja| marked(Mark::Number, &value));
    jinja.add_filter("int", |value: Jinja, default: Option<i64>| {
        integer(&value).unwrap_or_else(|| Jinja::from(default.unwrap_or(0)))
    });
    jinja.add_filter("float", |value: Jinja, default: Option<f64>| {
        let parsed = python::text(&value).trim().parse::<f64>().ok();
        Jinja::from(parsed.or(default).unwrap_or(0.0))
    });
    jinja.add_filter("string", |value: Jinja| python::text(&value));
    jinja.add_filter(percent::FILTER, |left: Jinja, right: Jinja| {
        python::percent(&left, &right, false)
    });
    jinja.add_filter(percent::FILTER_OF, |left: Jinja, right: Jinja| {
        python::percent(&left, &right, true)
    });
    jinja.set_unknown_method_callback(python::method);
    jinja
}

/// A copy that renders plain text and leaves the caller's record of emitted values alone.
pub(super) fn unrecorded(jinja: &Environment<'_>) -> Environment<'static> {
    let mut copy = environment();
    for (name, value) in jinja.globals() {
        copy.add_global(name.to_owned(), value);
    }
    copy.set_formatter(|out, _, value| Ok(out.write_str(&python::text(value))?));
    copy
}

/// Renders a template to the value it stands for.
pub(super) fn render(jinja: &Environment<'static>, template: &str) -> Result<Value, Error> {
    let emitted = Arc::new(Mutex::new(Emitted::default()));
    let record = Arc::clone(&emitted);
    let mut jinja = jinja.clone();
    jinja.set_formatter(move |out, _, value| {
        let text = python::text(value);
        out.write_str(&text)?;
        let mut emitted = record.lock().unwrap_or_else(PoisonError::into_inner);
        emitted.count += 1;
        emitted.last = Some((value.clone(), text));
        Ok(())
    });
    let text = jinja.render_str(&percent::rewrite(template), ())?;
    let emitted = std::mem::take(&mut *emitted.lock().unwrap_or_else(PoisonError::into_inner));
    match emitted.last {
        // Jinja2 folds a lone constant into text, so `{{ 5 }}` is no number for dbt either.
        Some((value, alone)) if emitted.count == 1 && alone == text && !is_constant(template) => {
            single(value, text)
        }
        Some(_) | None => Ok(Value::String(text)),
    }
}

fn single(value: Jinja, text: String) -> Result<Value, Error> {
    if value.is_undefined() {
        let reason = "it names something that does not exist here";
        return Err(Error::new(ErrorKind::UndefinedError, reason));
    }
    let Some(marked) = value.downcast_object_ref::<Marked>() else {
        return serde_yaml::to_value(&value)
            .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()));
    };
    let native = literal(&marked.text);
    let wanted = match marked.mark {
        Mark::Text => return Ok(Value::String(text)),
        Mark::Native => return Ok(native.unwrap_or(Value::String(text))),
        Mark::Bool => native.filter(Value::is_bool).ok_or("True or False"),
        Mark::Number => native.filter(Value::is_number).ok_or("a number"),
    };
    wanted.map_err(|wanted| {
        Error::new(
            ErrorKind::InvalidOperation,
            format!("the value is not {wanted}, as its filter demands"),
        )
    })
}

fn is_constant(template: &str) -> bool {
    let inner = template
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("}}"));
    inner.is_some_and(|inner| {
        let inner = inner.trim_matches('-').trim();
        matches!(inner, "true" | "True" | "false" | "False" | "none" | "None")
            || number(inner).is_some()
    })
}

fn marked(mark: Mark, value: &Jinja) -> Jinja {
    Jinja::from_object(Marked {
        mark,
        text: python::text(value),
    })
}

/// Jinja2's `int`: whole text first, then through a float, else nothing.
fn integer(value: &Jinja) -> Option<Jinja> {
    if value.kind() == ValueKind::Bool {
        return Some(Jinja::from(i64::from(value.is_true())));
    }
    let text = python::text(value);
    let text = text.trim();
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Jinja::from(whole));
    }
    let float: f64 = text.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "Python's int() truncates as well"
    )]
    (float.is_finite()).then(|| Jinja::from(float.trunc() as i64))
}

/// Python's `ast.literal_eval`, as far as configuration values go.
fn literal(text: &str) -> Option<Value> {
    match text.trim() {
        "True" => Some(Value::from(true)),
        "False" => Some(Value::from(false)),
        "None" => Some(Value::Null),
        other if other.starts_with(['"', '\'', '[', '(', '{']) => {
            // An environment without functions or names: only literals can come out of it.
            let jinja = Environment::empty();
            let value = jinja.compile_expression(other).ok()?.eval(()).ok()?;
            (!value.is_undefined())
                .then(|| serde_yaml::to_value(&value).ok())
                .flatten()
        }
        other => number(other),
    }
}

fn number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let leading_zero =
        digits.len() > 1 && digits.starts_with('0') && !digits.contains(['.', 'e', 'E']);
    if leading_zero || !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let whole = text.parse::<i64>().map(Value::from).ok();
    whole.or_else(|| text.parse::<f64>().map(Value::from).ok())
}
