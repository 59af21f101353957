//! YAML files with places: a parsed document that can still say on which line a key stands.
//!
//! The parser keeps no positions, so a line is found again in the text by walking block keys. In flow
//! style (`{a: [b]}`) the line of the innermost block key is given, which is where the reader looks anyway.
//!
//! As for dbt, a byte order mark is no content, and of a repeated key the last one counts. Unlike dbt's
//! YAML 1.1 reader, `yes`, `no`, `on` and `off` are text here.

mod repeated;

use std::fmt;
use std::path::{Path, PathBuf};

use serde_yaml::Value;

/// What programs of Windows put before the text of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Why a YAML file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be opened.
    #[error("{}: cannot be read; check that the file exists and that this user may read it", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not YAML.
    #[error("{place}: not valid YAML; correct the syntax there")]
    Broken {
        /// Where the parser stopped.
        place: Place,
        /// What the parser said.
        source: serde_yaml::Error,
    },
    /// The file is YAML but not a mapping of keys.
    #[error("{}: expected a mapping of keys, found {found}; write it as `key: value` lines", file.display())]
    NotMapping {
        /// The file.
        file: PathBuf,
        /// What the document is instead.
        found: &'static str,
    },
}

/// A place in a file, as a reader can find it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, counted from 1, when it could be found.
    pub line: Option<usize>,
    /// The keys that lead there, joined with dots; empty for the whole file.
    pub key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": `{}`", self.key)?;
        }
        Ok(())
    }
}

/// Something wrong at a place, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it is.
    pub place: Place,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Fault {
    /// A fault without a remedy yet.
    pub fn new(place: Place, what: String) -> Self {
        Self {
            place,
            what,
            remedy: String::new(),
        }
    }

    /// The same with a remedy.
    #[must_use]
    pub fn remedy(self, remedy: &str) -> Self {
        Self {
            remedy: remedy.to_owned(),
            ..self
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)?;
        match self.remedy.is_empty() {
            true => Ok(()),
            false => write!(f, "; {}", self.remedy),
        }
    }
}

/// Faults as text, one a line.
pub fn lines(faults: &[Fault]) -> String {
    let texts: Vec<String> = faults.iter().map(Fault::to_string).collect();
    texts.join("\n")
}

/// One step down a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into the value of a key.
    Key(String),
    /// Into an item of a list, counted from 0.
    Item(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Self::Key(key.to_owned())
    }
}

/// A YAML file: its text, and the mapping in it with anchors and merge keys resolved.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where it was read.
    pub file: PathBuf,
    /// What it says.
    pub root: serde_yaml::Mapping,
    text: String,
    /// The keys that stand more than once in their mapping.
    repeated: Vec<Vec<Step>>,
}

impl Document {
    /// Reads a file that must hold a mapping. An empty file is an empty mapping.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let text = super::file::read_text(file).map_err(|source| Error::Unreadable {
            file: file.to_owned(),
            source,
        })?;
        Self::parse(file, text)
    }

    /// As [`Document::read`], of text already at hand.
    pub fn parse(file: &Path, text: String) -> Result<Self, Error> {
        let broken = |source: serde_yaml::Error| Error::Broken {
            place: Place {
                file: file.to_owned(),
                line: source.location().map(|location| location.line()),
                key: String::new(),
            },
            source,
        };
        let text = match text.strip_prefix(BYTE_ORDER_MARK) {
            Some(content) => content.to_owned(),
            None => text,
        };
        let (mut root, repeated) = repeated::parse(&text).map_err(broken)?;
        root.apply_merge().map_err(broken)?;
        let root = match root {
            Value::Mapping(root) => root,
            Value::Null => serde_yaml::Mapping::new(),
            other @ (Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Sequence(_)
            | Value::Tagged(_)) => {
                return Err(Error::NotMapping {
                    file: file.to_owned(),
                    found: kind(&other),
                });
            }
        };
        Ok(Self {
            file: file.to_owned(),
            root,
            text,
            repeated,
        })
    }

    /// What a person should know of the file although it is taken: keys that stand more than once.
    pub fn warnings(&self) -> Vec<String> {
        let warn = |steps: &Vec<Step>| {
            format!(
                "{}: is repeated; this one, the last, is taken, as dbt does: remove the others",
                self.place(steps)
            )
        };
        self.repeated.iter().map(warn).collect()
    }

    /// The place of a value, or of the nearest thing above it that the text shows.
    pub fn place(&self, steps: &[Step]) -> Place {
        Place {
            file: self.file.clone(),
            line: self.line(steps),
            key: dotted(steps),
        }
    }

    fn line(&self, steps: &[Step]) -> Option<usize> {
        let lines: Vec<&str> = self.text.lines().collect();
        let (mut from, mut until, mut found) = (0, lines.len(), None);
        for step in steps {
            let Some(at) = child(&lines, from, until, step) else {
                break;
            };
            found = Some(at + 1);
            until = end_of_block(&lines, at, until);
            from = at + 1;
        }
        found
    }
}

/// The keys of a path joined with dots, items in brackets.
pub fn dotted(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Item(item) => text.push_str(&format!("[{item}]")),
        }
    }
    text
}

/// A key as text.
pub(crate) fn key_text(key: &Value) -> String {
    match key {
        Value::String(text) => text.clone(),
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::Sequence(_)
        | Value::Mapping(_)
        | Value::Tagged(_)) => serde_yaml::to_string(other)
            .unwrap_or_default()
            .trim_end()
            .to_owned(),
    }
}

/// What a value is, in the words of a person who writes YAML.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a mapping",
        Value::Tagged(_) => "a tagged value",
    }
}

/// How far a line is indented; `None` of blank ones and comments.
pub(super) fn indent(line: &str) -> Option<usize> {
    let bare = line.trim_start_matches(' ');
    (!bare.trim().is_empty() && !bare.starts_with('#')).then(|| line.len() - bare.len())
}

/// The line of a child among these lines.
pub(super) fn child(lines: &[&str], from: usize, until: usize, step: &Step) -> Option<usize> {
    let range = || (from..until).filter_map(|at| Some((at, indent(lines.get(at)?)?)));
    let level = range().map(|(_, indent)| indent).next()?;
    let mut level_lines = range()
        .filter(|(_, indent)| *indent == level)
        .map(|(at, _)| at);
    match step {
        // Of a repeated key the last one counts.
        Step::Key(key) => level_lines.rfind(|at| {
            let line = lines[*at].trim_start();
            [key.clone(), format!("\"{key}\""), format!("'{key}'")]
                .iter()
                .any(|spelt| {
                    line.strip_prefix(spelt.as_str())
                        .is_some_and(|rest| rest.trim_start().starts_with(':'))
                })
        }),
        Step::Item(item) => level_lines
            .filter(|at| lines[*at].trim_start().starts_with('-'))
            .nth(*item),
    }
}

/// Where the block that begins at a line ends.
pub(super) fn end_of_block(lines: &[&str], at: usize, until: usize) -> usize {
    let own = indent(lines[at]).unwrap_or(0);
    let is_item = lines[at].trim_start().starts_with('-');
    (at + 1..until)
        .find(|next| {
            indent(lines[*next]).is_some_and(|indent| {
                // A list may stand at its key's own indent.
                indent < own
                    || indent == own && (is_item || !lines[*next].trim_start().starts_with('-'))
            })
        })
        .unwrap_or(until)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
    use super::*;

    const TEXT: &str = "# head\nname: x\nvars:\n  other: {deployment: 1}\n  deployment:\n    \"prod\":\n      clusters:\n      - a\n      - b\n      schemas: [s, t]\n    dev:\n      clusters: []\n";

    fn line(steps: &[Step]) -> Option<usize> {
        Document::parse(Path::new("f.yml"), TEXT.to_owned())
            .unwrap()
            .place(steps)
            .line
    }

    #[test]
    fn finds_keys_items_and_the_nearest_place_in_flow_style() {
        let prod = [Step::from("vars"), "deployment".into(), "prod".into()];
        assert_eq!(line(&prod), Some(6));
        let mut item = prod.to_vec();
        item.extend([Step::from("clusters"), Step::Item(1)]);
        assert_eq!(line(&item), Some(9));
        let mut flow = prod.to_vec();
        flow.extend([Step::from("schemas"), Step::Item(1)]);
        assert_eq!(line(&flow), Some(10));
        assert_eq!(
            line(&[
                "vars".into(),
                "deployment".into(),
                "dev".into(),
                "clusters".into()
            ]),
            Some(12)
        );
        assert_eq!(
            line(&["vars".into(), "deployment".into(), "staging".into()]),
            Some(5)
        );
        assert_eq!(line(&["nothing".into()]), None);
    }

    #[test]
    fn broken_yaml_names_the_line() {
        let error = Document::parse(Path::new("f.yml"), "a: 1\nb: [\n".to_owned()).unwrap_err();
        assert!(error.to_string().starts_with("f.yml:"), "{error}");
        let error = Document::parse(Path::new("f.yml"), "- a\n".to_owned()).unwrap_err();
        assert!(error.to_string().contains("found a list"), "{error}");
    }

    #[test]
    fn of_a_repeated_key_the_last_counts_and_is_told() {
        let text = "a: 1\nb:\n  c: 2\n  d: {e: 1, e: 2}\n  c: 3\n";
        let read = |text: &str| Document::parse(Path::new("f.yml"), text.to_owned()).unwrap();
        let document = read(&format!("{text}a: [x]\n"));
        assert_eq!(document.root["a"][0], Value::from("x"));
        assert_eq!(document.root["b"]["c"], Value::from(3));
        assert_eq!(document.root["b"]["d"]["e"], Value::from(2));
        let place = |steps: &[Step]| document.place(steps).line;
        assert_eq!(place(&["a".into()]), Some(6));
        insta::assert_snapshot!(document.warnings().join("\n"), @r###"
        f.yml:4: `b.d.e`: is repeated; this one, the last, is taken, as dbt does: remove the others
        f.yml:5: `b.c`: is repeated; this one, the last, is taken, as dbt does: remove the others
        f.yml:6: `a`: is repeated; this one, the last, is taken, as dbt does: remove the others
        "###);
        assert!(read(text).warnings().len() == 2 && read("a: 1\n").warnings().is_empty());
        // Of two merges both count.
        let merged =
            read("x: &x {a: 1, b: 1}\ny: &y {b: 2, b: 3}\nz:\n  <<: *x\n  <<: *y\n  c: *y\n");
        assert_eq!(merged.root["z"]["a"], Value::from(1));
        assert_eq!(merged.root["z"]["b"], Value::from(3));
        assert_eq!(
            merged.warnings()[0],
            "f.yml:2: `y.b`: is repeated; this one, the last, is taken, as dbt does: remove the others"
        );
    }

    #[test]
    fn a_byte_order_mark_is_no_content() {
        let text = "\u{feff}name: x\r\nvars: {a: 1}\r\n".to_owned();
        let document = Document::parse(Path::new("f.yml"), text).unwrap();
        assert_eq!(document.root["name"], Value::from("x"));
        assert_eq!(document.place(&["name".into()]).line, Some(1));
    }

    #[test]
    fn values_are_read_as_the_library_reads_them() {
        for text in [
            "a: [1, -2, 1.5, 18446744073709551615, .inf, true, null, ~, '', \"x\\ny\", 2020-01-01, 0x1F]",
            "a: !tag {b: !other [c]}\nd: !x y\n1: {true: no, null: ~, [1]: 2}",
            "a: |\n  text\n  more\nb: >-\n  folded\n  text\n",
            "x: &x [1, {y: &y 2}]\nz: *x\nw: *y",
            "",
            "- 1\n- {a: b}",
        ] {
            let wanted: Value = serde_yaml::from_str(text).unwrap();
            assert_eq!(
                repeated::parse(text).unwrap(),
                (wanted, Vec::new()),
                "{text}"
            );
        }
    }

    #[test]
    fn merge_keys_are_resolved() {
        let text = "base: &b {x: 1}\nown:\n  <<: *b\n  y: 2\n".to_owned();
        let document = Document::parse(Path::new("f.yml"), text).unwrap();
        assert_eq!(document.root["own"]["x"], Value::from(1));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "([ \\n:a\"'#-]|\\PC){0,40}", item in 0usize..3) {
            if let Ok(document) = Document::parse(Path::new("f.yml"), text) {
                let _ = document.place(&["a".into(), Step::Item(item), "a".into()]);
            }
        }
    }
}
