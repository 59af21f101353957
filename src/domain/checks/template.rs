//! `{{ green("schema.name") }}` and `{{ blue("schema.name") }}` in the query of a check.

use super::Relation;
use crate::foundation::word::words;
use minijinja::value::{Object, ObjectRepr, Value, from_args};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

words! {
    /// Which side a query reads.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub enum Side {
        /// The new one.
        Green = "green",
        /// The old one.
        Blue = "blue",
    }
}

/// A query without its marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The query.
    pub sql: String,
    /// What it reads, as far as the marks say; sorted, each once.
    pub reads: Vec<(Side, Relation)>,
}

/// What was met while rendering.
#[derive(Debug, Default)]
struct Met {
    reads: Vec<(Side, Relation)>,
    /// A side without a relation, in a check that has none.
    lone: Option<Side>,
}

type Names = dyn Fn(Side, &Relation) -> String + Send + Sync;

/// `green` or `blue`: called with a relation, or printed where the check has its own.
struct Mark {
    side: Side,
    own: Option<Relation>,
    names: Arc<Names>,
    met: Arc<Mutex<Met>>,
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.side.as_str())
    }
}

impl Mark {
    fn name(&self, relation: &Relation) -> String {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.reads.push((self.side, relation.clone()));
        (self.names)(self.side, relation)
    }
}

impl Object for Mark {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _state: &State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let (text,): (&str,) = from_args(args)?;
        let relation: Relation = text
            .parse()
            .map_err(|reason: String| Error::new(ErrorKind::InvalidOperation, reason))?;
        Ok(Value::from(self.name(&relation)))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.own {
            Some(relation) => f.write_str(&self.name(relation)),
            // An error here would be a panic in a filter; it is told when all is rendered.
            None => {
                let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
                met.lone = Some(self.side);
                Ok(())
            }
        }
    }
}

/// Renders a query. `own` is the check's own relation, `names` gives the quoted name of a relation on a
/// side.
///
/// # Errors
/// What is wrong with the template, in one sentence.
pub fn render(
    sql: &str,
    own: Option<&Relation>,
    names: impl Fn(Side, &Relation) -> String + Send + Sync + 'static,
) -> Result<Rendered, String> {
    let met = Arc::new(Mutex::new(Met::default()));
    let names: Arc<Names> = Arc::new(names);
    let mut jinja = Environment::new();
    jinja.set_undefined_behavior(UndefinedBehavior::Strict);
    for side in [Side::Green, Side::Blue] {
        let mark = Mark {
            side,
            own: own.cloned(),
            names: Arc::clone(&names),
            met: Arc::clone(&met),
        };
        jinja.add_global(side.as_str(), Value::from_object(mark));
    }
    let sql = jinja.render_str(sql, ()).map_err(|error| reason(&error))?;
    let mut met = met.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(side) = met.lone {
        let word = side.as_str();
        return Err(format!(
            "{{{{ {word} }}}} alone means the check's relation, and it has none; write {{{{ {word}(\"schema.name\") }}}}"
        ));
    }
    let mut reads = std::mem::take(&mut met.reads);
    reads.sort();
    reads.dedup();
    Ok(Rendered { sql, reads })
}

/// The most work that rendering a text may be, in minijinja's instructions.
const FUEL: u64 = 20_000;

/// Renders a text for people: `variables` are all there is.
///
/// # Errors
/// What is wrong with the template, in one sentence.
pub fn text(template: &str, variables: &serde_json::Value) -> Result<String, String> {
    let mut jinja = Environment::new();
    jinja.set_undefined_behavior(UndefinedBehavior::Strict);
    jinja.set_fuel(Some(FUEL));
    let rendered = jinja.render_str(template, Value::from_serialize(variables));
    rendered.map_err(|error| reason(&error))
}

pub(super) fn reason(error: &Error) -> String {
    let what = match error.detail() {
        Some(detail) if error.kind() == ErrorKind::InvalidOperation => detail.to_owned(),
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    match error.line() {
        Some(line) => format!("{what} (line {line} of the text)"),
        None => what,
    }
}
