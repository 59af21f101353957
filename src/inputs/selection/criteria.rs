//! The grammar of `--select` and `--exclude`:
//! `[@][[n]+][method[.argument…]:]value[+[n]]`, spaces for a union, commas for an intersection.

use std::fmt;

use serde_json::Value;

use super::Error;
use crate::foundation::word::{stored_words, words};

stored_words! {
    /// Which tests come with the nodes that are selected, when nobody selected the tests themselves.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
    pub enum IndirectSelection: "mode of indirect selection" {
        /// Those with any parent selected.
        #[default]
        Eager = "eager",
        /// Those with every parent selected.
        Cautious = "cautious",
        /// Those with every parent selected, upstream of what is selected, or a source.
        Buildable = "buildable",
        /// None.
        Empty = "empty",
    }
}

words! {
    /// A way to find nodes. `selector` is none: it stands in `selectors.yml` only.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    #[expect(missing_docs, reason = "the names and meanings are dbt's own")]
    pub enum Method: "method of selection" {
        Fqn = "fqn",
        Tag = "tag",
        Group = "group",
        Access = "access",
        Source = "source",
        Path = "path",
        File = "file",
        Package = "package",
        Config = "config",
        TestName = "test_name",
        TestType = "test_type",
        ResourceType = "resource_type",
        State = "state",
        Exposure = "exposure",
        Metric = "metric",
        Result = "result",
        SourceStatus = "source_status",
        Version = "version",
        SemanticModel = "semantic_model",
        SavedQuery = "saved_query",
        UnitTest = "unit_test",
    }
}

impl Method {
    /// The method that a value without one means.
    #[must_use]
    pub fn of_value(value: &str) -> Self {
        let lower = value.to_lowercase();
        if value.contains('/') {
            Self::Path
        } else if [".sql", ".py", ".csv"]
            .iter()
            .any(|end| lower.ends_with(end))
        {
            Self::File
        } else {
            Self::Fqn
        }
    }
}

/// How far relatives are selected too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// None of them.
    #[default]
    Nothing,
    /// All of them.
    Everything,
    /// So many edges.
    Layers(usize),
}

/// One method with a value, and which relatives come with what it finds.
#[derive(Debug, Clone, PartialEq)]
pub struct Criteria {
    /// How to find.
    pub method: Method,
    /// What stands after the method, between dots: `config.meta.owner` has two.
    pub arguments: Vec<String>,
    /// What to find. Text, except in `selectors.yml`.
    pub value: Value,
    /// `@`: all descendants, and all ancestors of those.
    pub childrens_parents: bool,
    /// `+x`
    pub parents: Reach,
    /// `x+`
    pub children: Reach,
    /// Which tests come too.
    pub indirect: IndirectSelection,
}

/// How the parts of a group are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// In any part.
    Union,
    /// In every part.
    Intersection,
    /// In the first part and in no other.
    Difference,
}

/// What is to be selected.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {
    /// One criterion.
    Criteria(Criteria),
    /// Several, combined.
    Group {
        /// How.
        operation: Operation,
        /// Of what.
        parts: Vec<Spec>,
        /// How tests that wait for more parents are looked at again.
        indirect: IndirectSelection,
    },
}

impl Spec {
    /// Whether a method occurs in it.
    #[must_use]
    pub fn uses(&self, method: Method) -> bool {
        match self {
            Self::Criteria(criteria) => criteria.method == method,
            Self::Group { parts, .. } => parts.iter().any(|part| part.uses(method)),
        }
    }

    pub(super) fn group(operation: Operation, parts: Vec<Self>) -> Self {
        // dbt combines with the default mode whatever the flag says, except where `--select` is read.
        Self::Group {
            operation,
            parts,
            indirect: IndirectSelection::Eager,
        }
    }
}

impl Criteria {
    /// Reads one criterion, without spaces' and commas' meaning.
    ///
    /// # Errors
    /// A line break, an unknown method, `@` together with a trailing `+`.
    pub fn parse(text: &str, indirect: IndirectSelection) -> Result<Self, Error> {
        if text.contains('\n') {
            return Err(Error::Broken {
                spec: text.to_owned(),
                what: "it contains a line break",
            });
        }
        let (childrens_parents, rest) = match text.strip_prefix('@') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (parents, rest) = match rest.split_once('+') {
            Some((depth, rest)) if is_digits(depth) => (Reach::read(depth), rest),
            Some(_) | None => (Reach::Nothing, rest),
        };
        let (method, rest) = match rest.split_once(':') {
            Some((method, rest)) if is_method(method) => (Some(method), rest),
            Some(_) | None => (None, rest),
        };
        let (value, children) = match rest.rsplit_once('+') {
            Some((value, depth)) if is_digits(depth) => (value, Reach::read(depth)),
            Some(_) | None => (rest, Reach::Nothing),
        };
        let (method, arguments) = match method {
            Some(method) => read_method(method, text)?,
            None => (Method::of_value(value), Vec::new()),
        };
        Self {
            method,
            arguments,
            value: Value::from(value),
            childrens_parents,
            parents,
            children,
            indirect,
        }
        .checked(text)
    }

    /// # Errors
    /// `@` together with a trailing `+`.
    pub(super) fn checked(self, text: &str) -> Result<Self, Error> {
        if self.childrens_parents && self.children != Reach::Nothing {
            return Err(Error::Broken {
                spec: text.to_owned(),
                what: "`@` before and `+` after exclude each other",
            });
        }
        Ok(self)
    }
}

/// `method.argument.argument`
pub(super) fn read_method(text: &str, spec: &str) -> Result<(Method, Vec<String>), Error> {
    let mut parts = text.split('.');
    let name = parts.next().unwrap_or_default();
    let method = name.parse().map_err(|_| Error::UnknownMethod {
        method: name.to_owned(),
        spec: spec.to_owned(),
    })?;
    Ok((method, parts.map(str::to_owned).collect()))
}

fn is_digits(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit())
}

fn is_method(text: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    !text.is_empty() && text.chars().all(is_word)
}

impl Reach {
    /// A number too large for the machine is farther than any graph goes.
    fn read(depth: &str) -> Self {
        match depth {
            "" => Self::Everything,
            depth => depth.parse().map_or(Self::Everything, Self::Layers),
        }
    }

    /// The most layers, or no bound; `None` where no relatives are wanted.
    pub(super) fn layers(self) -> Option<Option<usize>> {
        match self {
            Self::Nothing => None,
            Self::Everything => Some(None),
            Self::Layers(layers) => Some(Some(layers)),
        }
    }
}

impl fmt::Display for Criteria {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.childrens_parents {
            f.write_str("@")?;
        }
        match self.parents {
            Reach::Nothing => {}
            Reach::Everything => f.write_str("+")?,
            Reach::Layers(layers) => write!(f, "{layers}+")?,
        }
        f.write_str(self.method.as_str())?;
        for argument in &self.arguments {
            write!(f, ".{argument}")?;
        }
        match &self.value {
            Value::String(text) => write!(f, ":{text}")?,
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_)) => write!(f, ":{other}")?,
        }
        match self.children {
            Reach::Nothing => Ok(()),
            Reach::Everything => f.write_str("+"),
            Reach::Layers(layers) => write!(f, "+{layers}"),
        }
    }
}

/// Reads what `--select` or `--exclude` got: a union of intersections.
pub(super) fn union(texts: &[impl AsRef<str>], indirect: IndirectSelection) -> Result<Spec, Error> {
    let mut parts = Vec::new();
    for text in texts.iter().flat_map(|text| text.as_ref().split(' ')) {
        let criteria: Result<Vec<Spec>, Error> = text
            .split(',')
            .map(|part| Criteria::parse(part, indirect).map(Spec::Criteria))
            .collect();
        parts.push(Spec::Group {
            operation: Operation::Intersection,
            parts: criteria?,
            indirect,
        });
    }
    Ok(Spec::Group {
        operation: Operation::Union,
        parts,
        indirect,
    })
}
