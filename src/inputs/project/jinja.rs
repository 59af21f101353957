//! Jinja in configuration files, rendered natively as dbt does: a value that is one expression keeps the
//! expression's type (`"{{ env_var('PORT') | int }}"` is a number), anything else becomes text.
//!
//! Two scopes exist, as in dbt: [`Scope::Profile`] may read `DBT_ENV_SECRET_*`, [`Scope::Project`] may
//! not, but knows `target`. A secret passes through the template as a placeholder and is put in last, so
//! no filter and no error text ever sees it.
//!
//! Of dbt's base context `dbt_version`, `flags`, `invocation_id`, `diff_of_two_dicts` and `return` are left out, and
//! of its `modules` what [`modules`] says.

mod functions;
mod modules;
mod native;
mod percent;
mod python;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::value::{Kwargs, Value as Jinja};
use minijinja::{ErrorKind, State};
use serde_yaml::Value;

use super::document::{Step, dotted, key_text};
use crate::foundation::environment::{Environment, SECRET_PREFIX};

pub(super) use functions::python_json;

/// Variables of the command line (`--vars`).
pub type Variables = BTreeMap<String, Value>;

/// How deep variables may refer to variables; a cycle would otherwise exhaust the stack.
const MAX_DEPTH: usize = 16;
const SECRET_OPEN: &str = "$$$DBT_SECRET_START$$$";
const SECRET_CLOSE: &str = "$$$DBT_SECRET_END$$$";

/// Why a value could not be rendered. The template's own text is shown, never what it renders to.
#[derive(Debug, thiserror::Error)]
#[error("cannot render `{template}`: {reason}")]
pub struct Error {
    /// The template as written.
    pub template: String,
    /// What is wrong with it.
    pub reason: String,
    /// The keys that lead to the template, when it stands inside a larger value.
    pub at: Vec<Step>,
}

/// What templates of one file may see.
#[derive(Clone, Debug)]
pub enum Scope {
    /// `profiles.yml`: secrets are readable, there is no `target` yet.
    Profile,
    /// `dbt_project.yml`: secrets are refused, `target` is known if a profile was read.
    Project {
        /// The value of `target`.
        target: Option<Value>,
    },
}

/// Renders the values of one file.
#[derive(Clone, Debug)]
pub struct Renderer {
    environment: Environment,
    vars: Arc<Variables>,
    scope: Scope,
    /// What `run_started_at` is; the time at which the renderer was made.
    started: jiff::Timestamp,
}

impl Renderer {
    /// A renderer for one scope.
    pub fn new(environment: &Environment, vars: &Variables, scope: Scope) -> Self {
        Self {
            environment: environment.clone(),
            vars: Arc::new(vars.clone()),
            scope,
            started: jiff::Timestamp::now(),
        }
    }

    /// Renders every text inside a value; keys stay as they are, as in dbt.
    pub fn tree(&self, value: &Value) -> Result<Value, Error> {
        self.branch(value, &mut Vec::new())
    }

    fn branch(&self, value: &Value, at: &mut Vec<Step>) -> Result<Value, Error> {
        match value {
            Value::String(text) => self.text(text).map_err(|error| Error {
                at: at.clone(),
                ..error
            }),
            Value::Sequence(items) => {
                let mut rendered = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    at.push(Step::Item(index));
                    rendered.push(self.branch(item, at)?);
                    at.pop();
                }
                Ok(Value::Sequence(rendered))
            }
            Value::Mapping(entries) => {
                let mut rendered = serde_yaml::Mapping::with_capacity(entries.len());
                for (key, item) in entries {
                    at.push(Step::Key(key_text(key)));
                    rendered.insert(key.clone(), self.branch(item, at)?);
                    at.pop();
                }
                Ok(Value::Mapping(rendered))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Tagged(_) => Ok(value.clone()),
        }
    }

    /// Renders one text.
    pub fn text(&self, template: &str) -> Result<Value, Error> {
        // dbt runs every text through Jinja; without its marks that changes nothing but a final newline.
        if !has_marks(template) {
            return Ok(Value::String(
                template.strip_suffix('\n').unwrap_or(template).to_owned(),
            ));
        }
        let rendered = native::render(&self.jinja(), template).map_err(|error| Error {
            template: template.to_owned(),
            reason: reason(&error),
            at: Vec::new(),
        })?;
        Ok(match rendered {
            Value::String(text) => Value::String(self.reveal(text)),
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Sequence(_)
            | Value::Mapping(_)
            | Value::Tagged(_)) => other,
        })
    }

    /// Puts the secrets in place of their placeholders.
    ///
    /// dbt replaces one secret a value and fails on two; here every one is replaced.
    fn reveal(&self, text: String) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once(SECRET_OPEN) {
            out.push_str(before);
            let secret = after
                .split_once(SECRET_CLOSE)
                .and_then(|(name, tail)| Some((self.environment.get(name)?, tail)));
            match secret {
                Some((secret, tail)) => {
                    out.push_str(secret);
                    rest = tail;
                }
                None => {
                    out.push_str(SECRET_OPEN);
                    rest = after;
                }
            }
        }
        out.push_str(rest);
        out
    }

    fn jinja(&self) -> minijinja::Environment<'static> {
        let mut jinja = native::environment();
        functions::add(&mut jinja);
        modules::add(&mut jinja, self.started);
        let environment = self.environment.clone();
        let may_read_secrets = matches!(self.scope, Scope::Profile);
        jinja.add_function(
            "env_var",
            move |name: String, default: Option<Jinja>, named: Kwargs| {
                let default = default.or_else(|| named.get("default").ok());
                env_var(&environment, may_read_secrets, &name, default)
            },
        );
        let vars = Arc::clone(&self.vars);
        // Shared by every rendering that a variable of variables starts.
        let depth = AtomicUsize::new(0);
        jinja.add_function(
            "var",
            move |state: &State<'_, '_>, name: String, default: Option<Jinja>, named: Kwargs| {
                let default = default.or_else(|| named.get("default").ok());
                if depth.fetch_add(1, Ordering::Relaxed) >= MAX_DEPTH {
                    let text = format!("variable {name} refers to itself; give it a plain value");
                    return Err(minijinja::Error::new(ErrorKind::InvalidOperation, text));
                }
                let value = var(state, &vars, &name, default);
                depth.fetch_sub(1, Ordering::Relaxed);
                value
            },
        );
        if let Scope::Project {
            target: Some(target),
        } = &self.scope
        {
            jinja.add_global("target", Jinja::from_serialize(target));
        }
        jinja
    }
}

fn has_marks(text: &str) -> bool {
    ["{{", "{%", "{#", "}}", "%}", "#}"]
        .iter()
        .any(|mark| text.contains(mark))
}

fn env_var(
    environment: &Environment,
    may_read_secrets: bool,
    name: &str,
    default: Option<Jinja>,
) -> Result<Jinja, minijinja::Error> {
    let secret = name.starts_with(SECRET_PREFIX);
    if secret && !may_read_secrets {
        let text = format!(
            "secret variable {name} may be read in profiles.yml only; use a variable without the prefix {SECRET_PREFIX}"
        );
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, text));
    }
    match (environment.get(name), default) {
        (Some(_), _) if secret => Ok(Jinja::from(format!("{SECRET_OPEN}{name}{SECRET_CLOSE}"))),
        (Some(value), _) => Ok(Jinja::from(value)),
        (None, Some(default)) if !default.is_none() && !default.is_undefined() => Ok(default),
        (None, Some(_) | None) if environment.withheld().contains(name) => {
            let text = format!(
                "environment variable {name} is set, but not among those that dbt is given; name it in dbt.environment of the configuration"
            );
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, text))
        }
        (None, Some(_) | None) => Err(minijinja::Error::new(
            ErrorKind::InvalidOperation,
            format!(
                "environment variable {name} is not set; set it, or give a default: env_var('{name}', '…')"
            ),
        )),
    }
}

fn var(
    state: &State<'_, '_>,
    vars: &Variables,
    name: &str,
    default: Option<Jinja>,
) -> Result<Jinja, minijinja::Error> {
    match (vars.get(name), default) {
        (Some(Value::String(text)), _) if has_marks(text) => {
            // dbt renders a textual variable where it is used, as text. The inner environment has its
            // own record of what was emitted, so the outer value keeps its type.
            let inner = native::unrecorded(state.env());
            let text = percent::rewrite(text);
            inner.render_str(&text, ()).map(Jinja::from)
        }
        (Some(value), _) => Ok(Jinja::from_serialize(value)),
        (None, Some(default)) => Ok(default),
        (None, None) => Err(minijinja::Error::new(
            ErrorKind::InvalidOperation,
            format!(
                "variable {name} is not given; pass it with --vars, or give a default: var('{name}', '…')"
            ),
        )),
    }
}

fn reason(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) if error.kind() == ErrorKind::InvalidOperation => detail.to_owned(),
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

impl Error {
    /// The keys that lead to the template, after those that lead to the value it stands in.
    pub fn path(&self, base: &[Step]) -> Vec<Step> {
        [base, self.at.as_slice()].concat()
    }

    /// The same keys as text.
    pub fn key(&self) -> String {
        dotted(&self.at)
    }
}

#[cfg(test)]
mod tests;
