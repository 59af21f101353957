//! `selectors.yml`: named selections (`dbt.config.selectors`, `dbt.graph.cli`).
//!
//! Quirks that are dbt's: an item of a `union` or `intersection` that has an `exclude` is nothing but that
//! exclusion; `method: selector` takes the other selection as it is and ignores every other key; groups do
//! not know `--indirect-selection`; texts are one criterion, without commas and spaces.

use std::path::Path;

use serde_yaml::{Mapping, Value};

use super::criteria::{Reach, read_method};
use super::{Criteria, Error, IndirectSelection, Method, Operation, Spec};
use crate::foundation::word::UnknownWord;
use crate::inputs::project::document::{Document, Fault, Step, key_text as text, kind};
use crate::inputs::project::jinja::Renderer;

/// The file's name, in the project's folder.
pub const FILE: &str = "selectors.yml";

/// Named selections, in the file's order.
#[derive(Debug, Clone, Default)]
pub struct Selectors {
    named: Vec<Named>,
}

#[derive(Debug, Clone)]
struct Named {
    name: String,
    is_default: bool,
    spec: Spec,
}

impl Selectors {
    /// Reads the file of a project, if there is one. Criteria that say nothing of their tests get `indirect`.
    ///
    /// # Errors
    /// What is wrong with the file, with the place.
    pub fn read(
        project_dir: &Path,
        renderer: &Renderer,
        indirect: IndirectSelection,
    ) -> Result<Self, Error> {
        let file = project_dir.join(FILE);
        match file.is_file() {
            true => Self::of(&Document::read(&file)?, renderer, indirect),
            false => Ok(Self::default()),
        }
    }

    /// Reads a document.
    ///
    /// # Errors
    /// What is wrong with it, with the place.
    pub fn of(
        document: &Document,
        renderer: &Renderer,
        indirect: IndirectSelection,
    ) -> Result<Self, Error> {
        let mut reader = Reader {
            document,
            indirect,
            done: Self::default(),
            at: Vec::new(),
        };
        let Some(written) = document.root.get("selectors") else {
            return match document.root.is_empty() {
                true => Ok(reader.done),
                false => {
                    Err(reader.fault("`selectors` is missing", "list them under `selectors:`"))
                }
            };
        };
        reader.at.push("selectors".into());
        let rendered = renderer.tree(written).map_err(|error| {
            let place = document.place(&error.path(&reader.at));
            let fault = Fault::new(place, error.to_string());
            Error::Selectors(fault.remedy("correct the value or set what it reads"))
        })?;
        let Value::Sequence(items) = rendered else {
            return Err(reader.fault("expected a list", "write each selector as `- name: …`"));
        };
        for (index, item) in items.iter().enumerate() {
            reader.within(Step::Item(index), |reader| reader.selector(item))?;
        }
        Ok(reader.done)
    }

    /// The selection of this name; of two with one name, the later.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Spec> {
        let mut named = self.named.iter().rev();
        named.find(|it| it.name == name).map(|it| &it.spec)
    }

    /// The selection that applies where none is asked for, with its name.
    #[must_use]
    pub fn default_selection(&self) -> Option<(&str, &Spec)> {
        let default = self.named.iter().find(|it| it.is_default)?;
        Some((&default.name, &default.spec))
    }

    /// Every name, in the file's order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|it| it.name.as_str())
    }
}

struct Reader<'d> {
    document: &'d Document,
    indirect: IndirectSelection,
    done: Selectors,
    at: Vec<Step>,
}

impl Reader<'_> {
    fn fault(&self, what: impl Into<String>, remedy: &str) -> Error {
        let place = self.document.place(&self.at);
        Error::Selectors(Fault::new(place, what.into()).remedy(remedy))
    }

    fn within<T>(
        &mut self,
        step: impl Into<Step>,
        read: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.at.push(step.into());
        let read = read(self)?;
        self.at.pop();
        Ok(read)
    }

    fn selector(&mut self, item: &Value) -> Result<(), Error> {
        let Value::Mapping(entries) = item else {
            let what = format!("expected a mapping, found {}", kind(item));
            return Err(self.fault(what, "write `name:` and `definition:`"));
        };
        for key in entries.keys() {
            let known = ["name", "definition", "description", "default"];
            if !key.as_str().is_some_and(|key| known.contains(&key)) {
                let what = format!("a selector has no key `{}`", text(key));
                return Err(self.fault(what, &format!("use only {}", known.join(", "))));
            }
        }
        let Some(name) = entries.get("name").and_then(Value::as_str) else {
            return Err(self.fault("`name` is missing", "add `name: …`"));
        };
        let is_default = match entries.get("default") {
            None | Some(Value::Null) => false,
            Some(value) => truth(value),
        };
        if let Some((other, _)) = self.done.default_selection().filter(|_| is_default) {
            let what = format!("`{other}` and `{name}` are both the default");
            return Err(self.fault(what, "keep `default: true` at one of them"));
        }
        let Some(definition) = entries.get("definition") else {
            return Err(self.fault("`definition` is missing", "say what it selects"));
        };
        let spec = self.within("definition", |reader| reader.root(definition))?;
        self.done.named.push(Named {
            name: name.to_owned(),
            is_default,
            spec,
        });
        Ok(())
    }

    fn root(&mut self, definition: &Value) -> Result<Spec, Error> {
        if let Value::Mapping(entries) = definition {
            let is_group = ["union", "intersection"]
                .iter()
                .any(|key| entries.contains_key(*key));
            if is_group && entries.len() > 1 {
                return Err(self.fault(
                    "a `union` or `intersection` stands beside other keys",
                    "put the others inside its list",
                ));
            }
        }
        self.definition(definition)
    }

    fn definition(&mut self, definition: &Value) -> Result<Spec, Error> {
        match definition {
            Value::String(spec) => {
                let criteria = Criteria::parse(spec, self.indirect);
                criteria
                    .map(Spec::Criteria)
                    .map_err(|error| self.fault(error.to_string(), ""))
            }
            Value::Mapping(entries) => {
                for (key, operation) in [
                    ("union", Operation::Union),
                    ("intersection", Operation::Intersection),
                ] {
                    if let Some(items) = entries.get(key) {
                        return self.within(key, |reader| reader.group(operation, items));
                    }
                }
                self.entries(entries)
            }
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Sequence(_)
            | Value::Tagged(_)) => {
                let what = format!("expected text or a mapping, found {}", kind(other));
                Err(self.fault(
                    what,
                    "write `method: …` and `value: …`, or a list under `union:`",
                ))
            }
        }
    }

    /// The items of `union`, `intersection` or `exclude`.
    fn items<'v>(&self, items: &'v Value) -> Result<&'v [Value], Error> {
        match items {
            Value::Sequence(items) => Ok(items),
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Mapping(_)
            | Value::Tagged(_)) => Err(self.fault(
                format!("expected a list, found {}", kind(other)),
                "write one `- …` line for each part",
            )),
        }
    }

    fn group(&mut self, operation: Operation, items: &Value) -> Result<Spec, Error> {
        let mut parts = Vec::new();
        let mut excluded = None;
        for (index, item) in self.items(items)?.iter().enumerate() {
            let exclusion = item.as_mapping().and_then(|item| item.get("exclude"));
            self.within(Step::Item(index), |reader| {
                match exclusion {
                    Some(_) if excluded.is_some() => {
                        return Err(reader.fault(
                            "there is a second `exclude` in this list",
                            "put everything to exclude under the first one",
                        ));
                    }
                    Some(exclusion) => excluded = reader.exclusion(exclusion)?,
                    None => parts.push(reader.definition(item)?),
                }
                Ok(())
            })?;
        }
        Ok(without(Spec::group(operation, parts), excluded))
    }

    fn exclusion(&mut self, items: &Value) -> Result<Option<Spec>, Error> {
        self.within("exclude", |reader| {
            let mut parts = Vec::new();
            for (index, item) in reader.items(items)?.iter().enumerate() {
                parts.push(reader.within(Step::Item(index), |reader| reader.definition(item))?);
            }
            Ok(match parts.len() {
                0 | 1 => parts.pop(),
                _ => Some(Spec::group(Operation::Union, parts)),
            })
        })
    }

    fn entries(&mut self, entries: &Mapping) -> Result<Spec, Error> {
        // `{tag: nightly}`
        if let (1, Some((key, value))) = (entries.len(), entries.iter().next()) {
            return self
                .criteria(Some(&text(key)), value, &Mapping::new())
                .map(Spec::Criteria);
        }
        let method = entries.get("method");
        if method.and_then(Value::as_str) == Some("selector") {
            return self.reference(entries.get("value"));
        }
        let (Some(method), Some(value)) = (method, entries.get("value")) else {
            return Err(self.fault(
                "expected either one key or `method` and `value`",
                "write `method: tag` and `value: nightly`",
            ));
        };
        let excluded = match entries.get("exclude") {
            Some(items) => self.exclusion(items)?,
            None => None,
        };
        let method = (!method.is_null()).then(|| text(method));
        let criteria = self.criteria(method.as_deref(), value, entries)?;
        Ok(without(Spec::Criteria(criteria), excluded))
    }

    fn reference(&mut self, name: Option<&Value>) -> Result<Spec, Error> {
        let name = name.map(text).unwrap_or_default();
        if let Some(spec) = self.done.get(&name) {
            return Ok(spec.clone());
        }
        let known: Vec<&str> = self.done.names().collect();
        let remedy = match known.is_empty() {
            true => "define it before it is used".to_owned(),
            false => format!("use one that is defined before: {}", known.join(", ")),
        };
        Err(self.fault(
            format!("there is no selector `{name}` before this one"),
            &remedy,
        ))
    }

    fn criteria(
        &mut self,
        method: Option<&str>,
        value: &Value,
        entries: &Mapping,
    ) -> Result<Criteria, Error> {
        let value = serde_json::to_value(value)
            .map_err(|error| self.fault(error.to_string(), "write a plain value"))?;
        let spec = match method {
            Some(method) => format!("{method}:{}", value.as_str().unwrap_or_default()),
            None => value.as_str().unwrap_or_default().to_owned(),
        };
        let (method, arguments) = match method {
            Some(method) => {
                read_method(method, &spec).map_err(|error| self.fault(error.to_string(), ""))?
            }
            None => (
                Method::of_value(value.as_str().unwrap_or_default()),
                Vec::new(),
            ),
        };
        let is_on = |key: &str| entries.get(key).is_some_and(truth);
        let criteria = Criteria {
            method,
            arguments,
            value,
            childrens_parents: is_on("childrens_parents"),
            parents: self.reach(entries, "parents")?,
            children: self.reach(entries, "children")?,
            indirect: self.mode(entries)?,
        };
        let checked = criteria.checked(&spec);
        checked.map_err(|error| self.fault(error.to_string(), ""))
    }

    /// dbt takes a depth of 0 for no depth at all.
    fn reach(&self, entries: &Mapping, key: &str) -> Result<Reach, Error> {
        let is_wanted = entries.get(key).is_some_and(truth);
        let key = format!("{key}_depth");
        let reach = match entries.get(key.as_str()).filter(|depth| truth(depth)) {
            None => Some(Reach::Everything),
            Some(Value::Number(number)) => number
                .as_f64()
                .map(|depth| Reach::Layers(depth.max(0.0) as usize)),
            Some(Value::String(text)) => text.trim().parse().ok().map(Reach::Layers),
            Some(Value::Bool(_)) => Some(Reach::Layers(1)),
            Some(Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_)) => None,
        };
        match reach {
            Some(reach) if is_wanted => Ok(reach),
            Some(_) => Ok(Reach::Nothing),
            None => Err(self.fault(
                format!("`{key}` is no number"),
                "write how many edges to follow",
            )),
        }
    }

    fn mode(&self, entries: &Mapping) -> Result<IndirectSelection, Error> {
        let Some(value) = entries.get("indirect_selection") else {
            return Ok(self.indirect);
        };
        text(value).parse().map_err(|unknown: UnknownWord| {
            self.fault(
                format!("`indirect_selection` is `{}`", unknown.word),
                &format!("use one of {}", unknown.known.join(", ")),
            )
        })
    }
}

fn without(spec: Spec, excluded: Option<Spec>) -> Spec {
    match excluded {
        Some(excluded) => Spec::group(Operation::Difference, vec![spec, excluded]),
        None => spec,
    }
}

/// Python's truth; the words that dbt's YAML 1.1 takes for booleans count as such.
fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => {
            !["", "no", "off", "No", "Off", "NO", "OFF"].contains(&text.as_str())
        }
        Value::Sequence(items) => !items.is_empty(),
        Value::Mapping(entries) => !entries.is_empty(),
        Value::Tagged(_) => true,
    }
}
