//! `modules` of dbt's context: Python's `datetime`, `pytz`, `re` and `itertools`, as far as configuration needs them.
//!
//! Left out is what minijinja has no way to say (arithmetic on dates, functions handed over as values) and what
//! runs without end (`itertools.count`, `cycle`).

mod datetime;
mod iterators;
mod regular;

use minijinja::value::Value as Jinja;
use minijinja::{Environment, Error, ErrorKind};

/// Adds `modules` and `run_started_at`.
pub(super) fn add(jinja: &mut Environment<'static>, started: jiff::Timestamp) {
    let modules = [
        ("datetime", datetime::module()),
        ("pytz", datetime::zones()),
        ("re", regular::module()),
        ("itertools", iterators::module()),
    ];
    jinja.add_global("modules", modules.into_iter().collect::<Jinja>());
    jinja.add_global("run_started_at", datetime::started(started));
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

fn unknown(what: &str, method: &str) -> Error {
    // Another kind of error would be asked of the methods of text.
    wrong(format!("{what} has no method {method} here"))
}
