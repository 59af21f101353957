//! The error that a command ends with: class, hint and the chain of causes.

use crate::foundation::failure::{Class, Classify};
use std::fmt;

/// An error with all that is needed to print it and to end the process.
///
/// Every error that implements [`Classify`] converts with `?`. It is deliberately not an
/// [`std::error::Error`] itself: it ends here.
#[derive(Debug)]
pub struct CommandError {
    class: Class,
    hint: String,
    error: anyhow::Error,
}

impl CommandError {
    /// An error of `class` with the hint of its class.
    pub fn new(class: Class, error: impl Into<anyhow::Error>) -> Self {
        Self {
            class,
            hint: class.hint().to_owned(),
            error: error.into(),
        }
    }

    /// The same error with a more precise hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: hint.into(),
            ..self
        }
    }

    /// The same error where a deployment is under way, which goes on when the dependency is back.
    #[must_use]
    pub fn under_way(self) -> Self {
        if self.class != Class::Transient || self.hint != self.class.hint() {
            return self;
        }
        self.with_hint("nothing was lost; run `cutover resume` when the dependency is back")
    }

    /// The same error as the cause of `context`, one sentence without a final full stop.
    #[must_use]
    pub fn context(self, context: impl fmt::Display + Send + Sync + 'static) -> Self {
        Self {
            error: self.error.context(context),
            ..self
        }
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }

    /// What went wrong, and after it each cause that says something new.
    ///
    /// Errors of other libraries often repeat their source in their own text; such a source is left
    /// out.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        let mut messages: Vec<String> = Vec::new();
        for cause in self.error.chain() {
            let text = cause.to_string();
            let is_said = messages.iter().any(|said| said.contains(text.trim()));
            if !is_said {
                messages.push(text.trim().to_owned());
            }
        }
        messages
    }
}

impl<E: Classify + Send + Sync + 'static> From<E> for CommandError {
    fn from(error: E) -> Self {
        let class = error.class();
        let hint = error.hint().unwrap_or_else(|| class.hint().to_owned());
        Self {
            class,
            hint,
            error: error.into(),
        }
    }
}
