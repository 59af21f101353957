//! `vars.deployment` written into the text of the project's file: comments, order and everything else stay.
//!
//! The text is edited by its lines, so what is written in a way that lines do not show (an alias, a list over several
//! lines in brackets, Jinja in a list) is not edited but told. Whatever was edited is read again: it must say the same as
//! before but for the one entry, and the entry must be the one that was wanted.

use super::super::document::{self, Document, Step, child, end_of_block, indent};
use super::super::file;
use super::{DbtProject, Deployment, Error};
use serde_yaml::{Mapping, Value};
use std::path::PathBuf;

const DEPLOYMENT: &str = "deployment";
const BYTE_ORDER_MARK: char = '\u{feff}';

/// A file with the entry in it. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The file.
    pub file: PathBuf,
    /// What it says.
    pub before: String,
    /// What it is to say.
    pub after: String,
}

/// Why the file was not edited.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// Something in the way.
    #[error("{place}: {what}, so it is not edited")]
    Unclear {
        /// Where.
        place: document::Place,
        /// What is written there.
        what: &'static str,
    },
    /// The variable is not the file's.
    #[error(
        "the variable `deployment` is given on the command line or in the configuration, so no file is edited"
    )]
    NotInFile,
    /// The file cannot be read any more.
    #[error(transparent)]
    Document(#[from] document::Error),
    /// What came out says something else than what was wanted.
    #[error("{}: written as lines, the entry would not be what it is to be; the file is not edited", file.display())]
    Otherwise {
        /// The file.
        file: PathBuf,
    },
}

impl DbtProject {
    /// The file of the project's variables with this entry of `vars.deployment`.
    ///
    /// # Errors
    /// What is written in a way that cannot be edited by lines.
    pub fn with_deployment(&self, target: &str, wanted: &Deployment) -> Result<Edited, EditError> {
        let at = match self.variable(DEPLOYMENT) {
            Some((_, at)) => at,
            None => vec!["vars".into(), DEPLOYMENT.into()],
        };
        let keys: Vec<String> = at
            .iter()
            .chain(&[Step::from(target)])
            .filter_map(|step| match step {
                Step::Key(key) => Some(key.clone()),
                Step::Item(_) => None,
            })
            .collect();
        if keys.first().is_some_and(|key| key == "--vars") {
            return Err(EditError::NotInFile);
        }
        let file = self.vars_file().to_owned();
        let before = file::read_text(&file).map_err(|source| document::Error::Unreadable {
            file: file.clone(),
            source,
        })?;
        let document = Document::parse(&file, before.clone())?;
        let (mark, text) = match before.strip_prefix(BYTE_ORDER_MARK) {
            Some(text) => (BYTE_ORDER_MARK.to_string(), text),
            None => (String::new(), before.as_str()),
        };
        let unclear = |(depth, what): (usize, &'static str)| {
            let steps: Vec<Step> = keys
                .iter()
                .take(depth)
                .map(|key| Step::from(&**key))
                .collect();
            EditError::Unclear {
                place: document.place(&steps),
                what,
            }
        };
        let after = mark + &Lines::of(text).with(&keys, wanted).map_err(unclear)?;
        let read = Document::parse(&file, after.clone())?;
        let is_as_wanted = says_the_same_but_for(&document.root, &read.root, &keys)
            && self.over(read).is_ok_and(|project| {
                project
                    .deployment(target)
                    .is_ok_and(|read| is_same(&read, wanted))
            });
        match is_as_wanted {
            true => Ok(Edited {
                file,
                before,
                after,
            }),
            false => Err(EditError::Otherwise { file }),
        }
    }

    /// The project with other text in the file of its variables.
    fn over(&self, document: Document) -> Result<Self, Error> {
        Ok(Self {
            vars: self.vars.over(document)?,
            ..self.clone()
        })
    }
}

/// Whether both list the same, in whatever order.
#[must_use]
pub fn is_same(one: &Deployment, other: &Deployment) -> bool {
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names
    };
    sorted(&one.schemas) == sorted(&other.schemas)
        && sorted(&one.clusters) == sorted(&other.clusters)
}

/// Whether two documents differ at most in one entry, and in the mappings that lead to it where there were none.
fn says_the_same_but_for(before: &Mapping, after: &Mapping, keys: &[String]) -> bool {
    fn without(mapping: &Mapping, keys: &[String]) -> Mapping {
        let mut rest = mapping.clone();
        let Some((key, keys)) = keys.split_first() else {
            return rest;
        };
        let inner = rest.get(key.as_str()).and_then(Value::as_mapping);
        let inner = inner.filter(|_| !keys.is_empty()).cloned();
        rest.remove(key.as_str());
        if let Some(inner) = inner.map(|inner| without(&inner, keys))
            && !inner.is_empty()
        {
            rest.insert(key.as_str().into(), inner.into());
        }
        rest
    }
    without(before, keys) == without(after, keys)
}

/// A text by its lines.
struct Lines {
    lines: Vec<String>,
    end: &'static str,
}

/// How deep in the path something is in the way, and what.
type Unclear = (usize, &'static str);

impl Lines {
    fn of(text: &str) -> Self {
        Self {
            lines: text.lines().map(str::to_owned).collect(),
            end: match text.contains("\r\n") {
                true => "\r\n",
                false => "\n",
            },
        }
    }

    fn text(&self) -> String {
        let lines = self.lines.iter();
        lines.map(|line| format!("{line}{}", self.end)).collect()
    }

    fn child(&self, from: usize, until: usize, key: &str) -> Option<usize> {
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        child(&lines, from, until, &Step::from(key))
    }

    fn end_of(&self, at: usize, until: usize) -> usize {
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        end_of_block(&lines, at, until)
    }

    /// The text with the entry, which `keys` lead to.
    fn with(mut self, keys: &[String], wanted: &Deployment) -> Result<String, Unclear> {
        let (mut from, mut until, mut parent) = (0, self.lines.len(), None);
        for (depth, key) in keys.iter().enumerate() {
            match self.child(from, until, key) {
                Some(at) => {
                    until = self.end_of(at, until);
                    from = at + 1;
                    parent = Some(at);
                }
                None => {
                    let indent = self.make_room(parent, until, depth)?;
                    let lines = entry(keys.get(depth..).unwrap_or_default(), indent, wanted);
                    self.insert(parent, until, lines);
                    return Ok(self.text());
                }
            }
        }
        let Some(at) = parent else {
            return Ok(self.text());
        };
        self.edit_entry(at, keys.len(), wanted)?;
        Ok(self.text())
    }

    /// Sees to it that something can stand below a key, and says how far it is indented.
    fn make_room(
        &mut self,
        parent: Option<usize>,
        until: usize,
        depth: usize,
    ) -> Result<usize, Unclear> {
        let Some(at) = parent else {
            return Ok(0);
        };
        let line = Line::of(&self.lines[at]);
        match line.value.as_str() {
            "" => {}
            "{}" | "~" | "null" => self.lines[at] = line.with(""),
            _ => return Err((depth, "it has a value on its own line")),
        }
        let below = (at + 1..until).find_map(|at| indent(&self.lines[at]));
        let own = indent(&self.lines[at]).unwrap_or(0);
        Ok(below.filter(|below| *below > own).unwrap_or(own + 2))
    }

    /// Puts lines at the end of a block, before the blank lines and comments that follow it.
    fn insert(&mut self, parent: Option<usize>, until: usize, lines: Vec<String>) {
        let first = parent.map_or(0, |at| at + 1);
        let last = (first..until).rfind(|at| indent(&self.lines[*at]).is_some());
        let mut at = last.map_or(first, |last| last + 1);
        let mut lines = lines;
        if parent.is_none() {
            at = until;
            if self
                .lines
                .last()
                .is_some_and(|line| !line.trim().is_empty())
            {
                lines.insert(0, String::new());
            }
        }
        self.lines.splice(at..at, lines);
    }

    fn edit_entry(&mut self, at: usize, depth: usize, wanted: &Deployment) -> Result<(), Unclear> {
        let line = Line::of(&self.lines[at]);
        match line.value.as_str() {
            "" | "~" | "null" | "{}" => {}
            flow if flow.starts_with('{') && flow.ends_with('}') && !flow.contains("{{") => {
                let value = format!(
                    "{{clusters: {}, schemas: {}}}",
                    brackets(&wanted.clusters),
                    brackets(&wanted.schemas)
                );
                self.lines[at] = line.with(&value);
                return Ok(());
            }
            _ => return Err((depth, "the entry is not written as lines")),
        }
        self.lines[at] = line.with("");
        for (list, names) in [("clusters", &wanted.clusters), ("schemas", &wanted.schemas)] {
            let until = self.end_of(at, self.lines.len());
            match self.child(at + 1, until, list) {
                Some(found) => self.edit_list(found, until, depth, names)?,
                None => {
                    let indent = self.make_room(Some(at), until, depth)?;
                    let lines = block(list, names, indent);
                    self.insert(Some(at), until, lines);
                }
            }
        }
        Ok(())
    }

    fn edit_list(
        &mut self,
        at: usize,
        until: usize,
        depth: usize,
        names: &[String],
    ) -> Result<(), Unclear> {
        let line = Line::of(&self.lines[at]);
        let value = line.value.as_str();
        if value.contains("{{") {
            return Err((depth, "a list has Jinja in it"));
        }
        if !value.is_empty() {
            let is_list = value.starts_with('[') && value.ends_with(']');
            if !is_list && value != "~" && value != "null" {
                return Err((
                    depth,
                    "a list goes over several lines in brackets, or is no list",
                ));
            }
            let inner = value.strip_prefix('[');
            let written = inner.and_then(|rest| rest.strip_suffix(']'));
            let written = written.unwrap_or_default();
            let written: Vec<String> = match value {
                "~" | "null" => Vec::new(),
                _ => written.split(',').map(bare).collect(),
            };
            let value = brackets(&ordered(&written, names));
            self.lines[at] = line.with(&value);
            return Ok(());
        }
        let end = self.end_of(at, until);
        let is_item = |line: &str| line.trim_start().starts_with('-');
        let items: Vec<usize> = (at + 1..end)
            .filter(|at| indent(&self.lines[*at]).is_some())
            .collect();
        if items.iter().any(|at| !is_item(&self.lines[*at])) {
            return Err((depth, "a list has more than one line for a name"));
        }
        if items.iter().any(|at| self.lines[*at].contains("{{")) {
            return Err((depth, "a list has Jinja in it"));
        }
        let own = indent(&self.lines[at]).unwrap_or(0);
        let level = items.first().and_then(|at| indent(&self.lines[*at]));
        let level = level.unwrap_or(own + 2);
        let written: Vec<String> = items.iter().map(|at| item(&self.lines[*at])).collect();
        let fresh = names.iter().filter(|name| !written.contains(name));
        let fresh: Vec<String> = fresh
            .map(|name| format!("{}- {}", " ".repeat(level), spelt(name)))
            .collect();
        let after = items.last().map_or(at + 1, |last| last + 1);
        if names.is_empty() {
            self.lines[at] = line.with("[]");
        }
        self.lines.splice(after..after, fresh);
        for (line, name) in items.iter().zip(&written).rev() {
            if !names.contains(name) {
                self.lines.remove(*line);
            }
        }
        Ok(())
    }
}

/// The names in the order in which they are written, new ones behind.
fn ordered(written: &[String], names: &[String]) -> Vec<String> {
    let kept = written.iter().filter(|name| names.contains(name));
    let fresh = names.iter().filter(|name| !written.contains(name));
    kept.chain(fresh).cloned().collect()
}

/// A line with a key.
struct Line {
    /// The key with the blanks before it and the colon.
    key: String,
    /// The value on the same line.
    value: String,
    /// The comment behind it, with the blanks before it.
    comment: String,
}

impl Line {
    fn of(line: &str) -> Self {
        let (code, comment) = line.split_at(end_of_code(line));
        let bare = code.trim_start();
        let blanks = code.len() - bare.len();
        // A quoted key may have a colon in it.
        let quoted = bare
            .chars()
            .next()
            .filter(|first| matches!(first, '"' | '\''));
        let from = quoted
            .and_then(|quote| bare.get(1..)?.find(quote))
            .map_or(0, |end| end + 2);
        let colon = bare.get(from..).and_then(|rest| rest.find(':'));
        let at = colon.map_or(code.len(), |colon| blanks + from + colon + 1);
        let (key, value) = code.split_at(at);
        Self {
            key: key.to_owned(),
            value: value.trim().to_owned(),
            comment: comment.to_owned(),
        }
    }

    fn with(&self, value: &str) -> String {
        let between = if value.is_empty() { "" } else { " " };
        format!("{}{between}{value}{}", self.key, self.comment)
    }
}

/// Where a line's comment begins, with the blanks before it, outside of quotes.
fn end_of_code(line: &str) -> usize {
    let (mut quote, mut blanks) = (None, None);
    for (at, character) in line.char_indices() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '#') if blanks.is_some() || at == 0 => return blanks.unwrap_or(0),
            (None, _) => {}
        }
        match character.is_whitespace() {
            true => blanks = blanks.or(Some(at)),
            false => blanks = None,
        }
    }
    line.trim_end().len()
}

/// The name that an item of a list is.
fn item(line: &str) -> String {
    let code = &line[..end_of_code(line)];
    bare(code.trim_start().strip_prefix('-').unwrap_or(code))
}

fn bare(written: &str) -> String {
    let written = written.trim();
    for quote in ['"', '\''] {
        let inner = written.strip_prefix(quote);
        if let Some(inner) = inner.and_then(|rest| rest.strip_suffix(quote)) {
            return inner.to_owned();
        }
    }
    written.to_owned()
}

/// The lines of the keys that are missing, with the lists below the last of them.
fn entry(keys: &[String], indent: usize, wanted: &Deployment) -> Vec<String> {
    let mut lines: Vec<String> = keys
        .iter()
        .enumerate()
        .map(|(depth, key)| format!("{}{}:", " ".repeat(indent + 2 * depth), spelt(key)))
        .collect();
    let inner = indent + 2 * keys.len();
    lines.extend(block("clusters", &wanted.clusters, inner));
    lines.extend(block("schemas", &wanted.schemas, inner));
    lines
}

fn block(key: &str, names: &[String], indent: usize) -> Vec<String> {
    let blanks = " ".repeat(indent);
    if names.is_empty() {
        return vec![format!("{blanks}{key}: []")];
    }
    let items = names.iter();
    let items = items.map(|name| format!("{blanks}  - {}", spelt(name)));
    [format!("{blanks}{key}:")]
        .into_iter()
        .chain(items)
        .collect()
}

fn brackets(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| spelt(name)).collect();
    format!("[{}]", names.join(", "))
}

/// A name as YAML takes it as text.
fn spelt(name: &str) -> String {
    const WORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let mut characters = name.chars();
    let is_plain = characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$'))
        && !WORDS.contains(&name.to_ascii_lowercase().as_str());
    match is_plain {
        true => name.to_owned(),
        // Text of JSON is text of YAML.
        false => serde_json::Value::from(name).to_string(),
    }
}

#[cfg(test)]
mod tests;
