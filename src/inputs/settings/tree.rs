//! The configuration as a tree of keys, before it has types.
//!
//! The shape of the tree is the shape of the serialized defaults, so that a key is declared once,
//! in its type. A value fits a key when the whole tree of defaults with only that value changed can
//! be read; every key of a layer is tried alone, so that one fault does not hide the next.

use super::fault::Fault;
use super::{Environment, Settings, checks};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A key, from the root.
pub(super) type Path = Vec<String>;

/// One layer whose every value fits.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    /// The values.
    pub(super) values: Map<String, Value>,
    /// Where each value stands.
    pub(super) origins: BTreeMap<Path, String>,
}

/// What may stand at a place of the tree.
#[derive(Debug, Clone, Copy)]
enum Node<'a> {
    /// Known keys.
    Section(&'a Map<String, Value>),
    /// Names of environments.
    Environments,
    /// Any key with any value.
    Anything,
    /// One value.
    Leaf,
}

/// The shape of the tree.
#[derive(Debug)]
pub(super) struct Tree {
    defaults: Map<String, Value>,
    environment: Map<String, Value>,
}

impl Tree {
    pub(super) fn new(defaults: &Settings) -> Self {
        let map = |value: Result<Value, serde_json::Error>| match value {
            Ok(Value::Object(map)) => map,
            Ok(_) | Err(_) => Map::new(),
        };
        Self {
            defaults: map(serde_json::to_value(defaults)),
            environment: map(serde_json::to_value(Environment::default())),
        }
    }

    fn node(&self, path: &[String]) -> Option<Node<'_>> {
        let (mut at, rest) = match path {
            [first] if first == "environments" => return Some(Node::Environments),
            [first, _, rest @ ..] if first == "environments" => (&self.environment, rest),
            _ => (&self.defaults, path),
        };
        let mut keys = rest.iter().peekable();
        let mut parent = "";
        while let Some(key) = keys.next() {
            match at.get(key)? {
                Value::Object(_) if is_free(parent, key) => {
                    return keys.peek().is_none().then_some(Node::Anything);
                }
                Value::Object(section) => at = section,
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Array(_) => {
                    return keys.peek().is_none().then_some(Node::Leaf);
                }
            }
            parent = key;
        }
        Some(Node::Section(at))
    }

    /// The default of a key; of an environment's key, that of the general one.
    fn default(&self, path: &[String]) -> Option<&Value> {
        let path = match path {
            [first, _, rest @ ..] if first == "environments" => rest,
            _ => path,
        };
        let (first, rest) = path.split_first()?;
        rest.iter()
            .try_fold(self.defaults.get(first)?, |at, key| at.get(key))
    }

    /// Takes what fits of a document into the layer; what does not becomes faults.
    pub(super) fn take(
        &self,
        layer: &mut Layer,
        path: &[String],
        given: &serde_yaml::Value,
        place: &str,
        faults: &mut Vec<Fault>,
    ) {
        let fault = |path: &[String], message: String, remedy: String| Fault {
            place: place.to_owned(),
            path: path.join("."),
            message,
            remedy,
        };
        let node = match self.node(path) {
            Some(Node::Leaf) => {
                let found = match json(given) {
                    Ok(list) if is_checks(path) => checks::faults_of(&list),
                    Ok(_) | Err(_) => Vec::new(),
                };
                if !found.is_empty() {
                    let base = path.join(".");
                    faults.extend(found.into_iter().map(|found| Fault {
                        place: place.to_owned(),
                        ..Fault::of_check(&base, found)
                    }));
                    return;
                }
                match json(given).and_then(|value| self.fits(path, &value).map(|()| value)) {
                    Ok(value) => layer.set(path, value, place),
                    Err(message) => faults.push(fault(path, message, self.example(path))),
                }
                return;
            }
            Some(node) => node,
            None => {
                faults.push(fault(
                    path,
                    "this key is not known".to_owned(),
                    self.nearest(path),
                ));
                return;
            }
        };
        // A section whose keys are all commented out is one without keys.
        let nothing = serde_yaml::Mapping::new();
        let entries = match given.as_mapping() {
            Some(entries) => entries,
            None if given.is_null() => &nothing,
            None => {
                let message = format!(
                    "this is a section with keys of its own, not {}",
                    kind(given)
                );
                let remedy = match node {
                    Node::Section(keys) => format!("its keys are {}", listed(keys)),
                    Node::Environments => "write a name and below it what it changes".to_owned(),
                    Node::Anything | Node::Leaf => "write names with their values".to_owned(),
                };
                faults.push(fault(path, message, remedy));
                return;
            }
        };
        // An environment that changes nothing is one all the same.
        if entries.is_empty() && matches!(path, [first, _] if first == "environments") {
            layer.set(path, Value::Object(Map::new()), place);
        }
        for (key, value) in entries {
            let Some(key) = scalar(key) else {
                faults.push(fault(
                    path,
                    format!("a key may not be {}", kind(key)),
                    "write a plain word".to_owned(),
                ));
                continue;
            };
            let below = [path, &[key]].concat();
            if matches!(node, Node::Anything) {
                match json(value) {
                    Ok(value) => layer.set(&below, value, place),
                    Err(message) => faults.push(fault(
                        &below,
                        message,
                        "write a value that JSON can hold".to_owned(),
                    )),
                }
            } else {
                self.take(layer, &below, value, place, faults);
            }
        }
    }

    /// Takes a value that is plain text, as environment variables hold it: text for a key that
    /// takes text; else YAML; for lists also words between commas. Letter case of `path` does not
    /// count; names that `below` knows keep theirs.
    pub(super) fn take_text(
        &self,
        layer: &mut Layer,
        path: &[String],
        below: &Map<String, Value>,
        text: &str,
        place: &str,
        faults: &mut Vec<Fault>,
    ) {
        let path = known_case(path, below);
        let yaml = || serde_yaml::from_str::<serde_yaml::Value>(text);
        let raw = serde_yaml::Value::String(text.to_owned());
        let parent = path.split_last().map(|(_, parent)| parent);
        let given = match self.node(&path) {
            Some(Node::Leaf) => match self.default(&path) {
                Some(Value::Null) if text.is_empty() || text == "null" => serde_yaml::Value::Null,
                Some(Value::Array(_)) if !text.trim_start().starts_with('[') => {
                    let words = text
                        .split(',')
                        .map(str::trim)
                        .filter(|word| !word.is_empty());
                    words
                        .map(serde_yaml::Value::from)
                        .collect::<Vec<_>>()
                        .into()
                }
                _ => match self.fits(&path, &Value::String(text.to_owned())) {
                    Ok(()) => raw,
                    Err(_) => yaml().unwrap_or(raw),
                },
            },
            None if parent.is_some_and(|p| matches!(self.node(p), Some(Node::Anything))) => {
                let value = json(&yaml().unwrap_or(raw.clone()))
                    .unwrap_or_else(|_| Value::String(text.to_owned()));
                layer.set(&path, value, place);
                return;
            }
            Some(Node::Section(_) | Node::Environments | Node::Anything) | None => {
                yaml().unwrap_or(raw)
            }
        };
        self.take(layer, &path, &given, place, faults);
    }

    /// Whether the value can be read where it stands.
    fn fits(&self, path: &[String], value: &Value) -> Result<(), String> {
        let read = match path {
            [first, _, rest @ ..] if first == "environments" => {
                let mut tree = self.environment.clone();
                set(&mut tree, rest, value.clone());
                serde_json::from_value::<Environment>(Value::Object(tree)).map(|_| ())
            }
            _ => {
                let mut tree = self.defaults.clone();
                set(&mut tree, path, value.clone());
                serde_json::from_value::<Settings>(Value::Object(tree)).map(|_| ())
            }
        };
        read.map_err(|error| in_words(&error.to_string()))
    }

    fn example(&self, path: &[String]) -> String {
        match self.default(path) {
            Some(Value::Null) | None => "leave it out or write null for the default".to_owned(),
            Some(Value::String(text)) => format!("the default is {text}"),
            Some(value) => format!("the default is {value}"),
        }
    }

    /// What was probably meant by a key that is not known.
    fn nearest(&self, path: &[String]) -> String {
        let Some((key, parent)) = path.split_last() else {
            return "write a section".to_owned();
        };
        let Some(Node::Section(keys)) = self.node(parent) else {
            return format!("{} has no keys below it", parent.join("."));
        };
        let best = keys
            .keys()
            .map(|known| (strsim::jaro_winkler(known, &key.to_lowercase()), known))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((score, known)) = best
            && score > 0.8
        {
            return format!("did you mean {known}?");
        }
        let mut elsewhere = Vec::new();
        find_key(&self.defaults, key, &mut Vec::new(), &mut elsewhere);
        if let [only] = elsewhere.as_slice() {
            return format!("did you mean {only}?");
        }
        format!("the keys here are {}", listed(keys))
    }
}

impl Layer {
    /// Sets a value; of several in one layer the last counts.
    pub(super) fn set(&mut self, path: &[String], value: Value, place: &str) {
        set(&mut self.values, path, value);
        self.origins.insert(path.to_vec(), place.to_owned());
    }
}

/// Sets a value in a tree; sections on the way are made, and an empty section does not replace one.
pub(super) fn set(tree: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => match (tree.get(key), &value) {
            (Some(Value::Object(_)), Value::Object(new)) if new.is_empty() => {}
            _ => {
                tree.insert(key.clone(), value);
            }
        },
        [key, rest @ ..] => {
            let section = tree
                .entry(key.clone())
                .or_insert_with(|| Value::Object(Map::new()));
            if !section.is_object() {
                *section = Value::Object(Map::new());
            }
            if let Value::Object(section) = section {
                set(section, rest, value);
            }
        }
    }
}

/// Whether a section has keys of the user's own: dbt's variables, and options of the artifact store.
pub(super) fn is_free(parent: &str, key: &str) -> bool {
    matches!(
        (parent, key),
        ("project", "vars") | ("artifacts", "options")
    )
}

/// Whether the checks stand there, of which each has keys of its own.
fn is_checks(path: &[String]) -> bool {
    match path {
        [only] => only == "checks",
        [first, _, last] => first == "environments" && last == "checks",
        _ => false,
    }
}

fn known_case(path: &[String], below: &Map<String, Value>) -> Path {
    let mut at = Some(below);
    path.iter()
        .map(|segment| {
            let known = at.and_then(|map| {
                map.keys()
                    .find(|key| key.eq_ignore_ascii_case(segment))
                    .cloned()
            });
            let key = known.unwrap_or_else(|| segment.to_lowercase());
            at = at.and_then(|map| map.get(&key)).and_then(Value::as_object);
            key
        })
        .collect()
}

fn find_key(section: &Map<String, Value>, key: &str, at: &mut Path, found: &mut Vec<String>) {
    for (name, value) in section {
        at.push(name.clone());
        if name == key {
            found.push(at.join("."));
        }
        if let Value::Object(below) = value {
            find_key(below, key, at, found);
        }
        at.pop();
    }
}

fn listed(keys: &Map<String, Value>) -> String {
    keys.keys().cloned().collect::<Vec<_>>().join(", ")
}

fn scalar(key: &serde_yaml::Value) -> Option<String> {
    match key {
        serde_yaml::Value::String(text) => Some(text.clone()),
        serde_yaml::Value::Bool(value) => Some(value.to_string()),
        serde_yaml::Value::Number(value) => Some(value.to_string()),
        serde_yaml::Value::Null
        | serde_yaml::Value::Sequence(_)
        | serde_yaml::Value::Mapping(_)
        | serde_yaml::Value::Tagged(_) => None,
    }
}

/// The value as JSON, which has no tags, no infinity and only words for keys.
fn json(value: &serde_yaml::Value) -> Result<Value, String> {
    match value {
        serde_yaml::Value::Null => Ok(Value::Null),
        serde_yaml::Value::Bool(value) => Ok(Value::Bool(*value)),
        serde_yaml::Value::String(text) => Ok(Value::String(text.clone())),
        serde_yaml::Value::Number(number) => serde_json::to_value(number)
            .ok()
            .filter(Value::is_number)
            .ok_or_else(|| format!("{number} is not a number that can be used")),
        serde_yaml::Value::Sequence(items) => items
            .iter()
            .map(json)
            .collect::<Result<_, _>>()
            .map(Value::Array),
        serde_yaml::Value::Mapping(entries) => entries
            .iter()
            .map(|(key, value)| {
                let key = scalar(key).ok_or_else(|| format!("a key may not be {}", kind(key)))?;
                Ok((key, json(value)?))
            })
            .collect::<Result<_, _>>()
            .map(Value::Object),
        serde_yaml::Value::Tagged(tagged) => Err(format!("the tag {} is not known", tagged.tag)),
    }
}

fn kind(value: &serde_yaml::Value) -> &'static str {
    match value {
        serde_yaml::Value::Null => "empty",
        serde_yaml::Value::Bool(_) => "true or false",
        serde_yaml::Value::Number(_) => "a number",
        serde_yaml::Value::String(_) => "text",
        serde_yaml::Value::Sequence(_) => "a list",
        serde_yaml::Value::Mapping(_) => "a section",
        serde_yaml::Value::Tagged(_) => "a tagged value",
    }
}

/// Says what serde says in the words of a configuration file.
fn in_words(message: &str) -> String {
    [
        ("expected u16", "expected a whole number from 0 to 65535"),
        (
            "expected u32",
            "expected a whole number from 0 to 4294967295",
        ),
        ("expected a sequence", "expected a list"),
        ("expected path string", "expected a path"),
        ("expected a string", "expected text"),
        ("invalid type: null", "there is no value"),
        ("invalid type: map", "invalid type: a section"),
        ("invalid type: sequence", "invalid type: a list"),
    ]
    .iter()
    .fold(message.to_owned(), |said, (from, to)| {
        said.replace(from, to)
    })
}
