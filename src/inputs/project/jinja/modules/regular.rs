//! Python's `re`. What Rust's expressions do not know (looking around, references back) is an error.

use std::fmt::{self, Write};
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, ObjectRepr, Rest, Value as Jinja, from_args};
use minijinja::{Error, State};
use regex::{Captures, Regex, RegexBuilder};

use super::{unknown, wrong};

const FLAGS: [(&[&str], i64); 5] = [
    (&["I", "IGNORECASE"], 2),
    (&["M", "MULTILINE"], 8),
    (&["S", "DOTALL"], 16),
    (&["X", "VERBOSE"], 64),
    (&["U", "UNICODE", "NOFLAG"], 0),
];
const FUNCTIONS: [&str; 7] = [
    "sub",
    "subn",
    "search",
    "match",
    "fullmatch",
    "findall",
    "split",
];

pub(super) fn module() -> Jinja {
    let flags = FLAGS.iter().flat_map(|(names, value)| {
        let entry = |name: &&'static str| (*name, Jinja::from(*value));
        names.iter().map(entry)
    });
    let functions = FUNCTIONS.into_iter().map(|name| {
        let call = move |expression: Jinja, arguments: Rest<Jinja>| {
            let (arguments, flags) = flags_of(name, &arguments)?;
            Pattern::of(&expression, flags)?.apply(name, &arguments)
        };
        (name, Jinja::from_function(call))
    });
    let others = [
        (
            "escape",
            Jinja::from_function(|text: String| regex::escape(&text)),
        ),
        (
            "compile",
            Jinja::from_function(|expression: Jinja, flags: Option<i64>, named: Kwargs| {
                let named: Option<i64> = named.get("flags")?;
                Pattern::of(&expression, flags.or(named).unwrap_or(0)).map(Jinja::from_object)
            }),
        ),
    ];
    flags.chain(functions).chain(others).collect()
}

/// Takes `flags` out of the arguments after the expression: named, or after the last of the others.
fn flags_of(name: &str, arguments: &[Jinja]) -> Result<(Vec<Jinja>, i64), Error> {
    let (mut arguments, named): (Rest<Jinja>, Kwargs) = from_args(arguments)?;
    let count: Option<Jinja> = match name {
        "sub" | "subn" => named.get("count")?,
        "split" => named.get("maxsplit")?,
        _ => None,
    };
    // With the expression: sub(pattern, repl, string, count, flags).
    let own = match name {
        "sub" | "subn" => 3,
        "split" => 2,
        _ => 1,
    };
    let mut flags: Option<i64> = named.get("flags")?;
    if arguments.len() > own {
        flags = arguments.pop().and_then(|flags| flags.as_i64());
    }
    arguments.extend(count);
    Ok((arguments.to_vec(), flags.unwrap_or(0)))
}

/// A compiled expression, and the same bound to the start and to both ends.
#[derive(Debug)]
struct Pattern {
    written: String,
    anywhere: Regex,
    flags: i64,
}

impl Pattern {
    fn of(expression: &Jinja, flags: i64) -> Result<Self, Error> {
        if let Some(compiled) = expression.downcast_object_ref::<Self>() {
            return Self::compile(&compiled.written, compiled.flags);
        }
        let written = expression.as_str();
        Self::compile(
            written.ok_or_else(|| wrong("an expression is text"))?,
            flags,
        )
    }

    fn compile(written: &str, flags: i64) -> Result<Self, Error> {
        let anywhere = build(&translated(written), flags)?;
        let written = written.to_owned();
        Ok(Self {
            written,
            anywhere,
            flags,
        })
    }

    /// Calls a function of `re` with what follows the expression.
    fn apply(&self, name: &str, arguments: &[Jinja]) -> Result<Jinja, Error> {
        let bound = |end: &str| {
            let expression = format!(r"\A(?:{}){end}", translated(&self.written));
            build(&expression, self.flags)
        };
        match name {
            "sub" | "subn" => self.sub(name, arguments),
            "split" => self.split(arguments),
            "findall" => {
                let (text,): (&str,) = from_args(arguments)?;
                let found = self.anywhere.captures_iter(text);
                Ok(found
                    .map(|groups| listed(&groups))
                    .collect::<Vec<_>>()
                    .into())
            }
            "search" => found(&self.anywhere, arguments),
            "match" => found(&bound("")?, arguments),
            "fullmatch" => found(&bound(r"\z")?, arguments),
            _ => Err(unknown("an expression", name)),
        }
    }

    fn sub(&self, name: &str, arguments: &[Jinja]) -> Result<Jinja, Error> {
        let (replacement, text, count): (&str, &str, Option<usize>) = from_args(arguments)?;
        let template = Template::parse(replacement)?;
        let mut made = 0_usize;
        let replaced = self
            .anywhere
            .replacen(text, count.unwrap_or(0), |groups: &Captures<'_>| {
                made += 1;
                template.fill(groups)
            });
        let replaced = Jinja::from(replaced.into_owned());
        Ok(match name {
            "subn" => Jinja::from(vec![replaced, Jinja::from(made)]),
            _ => replaced,
        })
    }

    /// The parts between matches, with the groups of each match between them, as in Python.
    fn split(&self, arguments: &[Jinja]) -> Result<Jinja, Error> {
        let (text, most): (&str, Option<usize>) = from_args(arguments)?;
        let most = most.filter(|most| *most > 0).unwrap_or(usize::MAX);
        let mut parts: Vec<Jinja> = Vec::new();
        let mut from = 0;
        for groups in self.anywhere.captures_iter(text).take(most) {
            let Some(whole) = groups.get(0) else { continue };
            parts.push(Jinja::from(&text[from..whole.start()]));
            parts.extend(
                groups
                    .iter()
                    .skip(1)
                    .map(|group| value(group.map(|g| g.as_str()))),
            );
            from = whole.end();
        }
        parts.push(Jinja::from(&text[from..]));
        Ok(parts.into())
    }
}

impl Object for Pattern {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        (key.as_str()? == "pattern").then(|| Jinja::from(self.written.as_str()))
    }

    fn call_method(
        self: &Arc<Self>,
        _: &State<'_, '_>,
        method: &str,
        arguments: &[Jinja],
    ) -> Result<Jinja, Error> {
        let (arguments, _) = flags_of(method, arguments)?;
        self.apply(method, &arguments)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "re.compile('{}')", self.written)
    }
}

fn build(expression: &str, flags: i64) -> Result<Regex, Error> {
    let is = |flag: i64| flags & flag != 0;
    RegexBuilder::new(expression)
        .case_insensitive(is(2))
        .multi_line(is(8))
        .dot_matches_new_line(is(16))
        .ignore_whitespace(is(64))
        .build()
        .map_err(|_| wrong("the regular expression is not one that Cutover can read"))
}

/// Python's end of text is spelt `\Z`.
fn translated(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len());
    let mut rest = expression.chars();
    while let Some(c) = rest.next() {
        out.push(c);
        if c == '\\' {
            match rest.next() {
                Some('Z') => out.push('z'),
                Some(other) => out.push(other),
                None => {}
            }
        }
    }
    out
}

fn value(text: Option<&str>) -> Jinja {
    text.map_or(Jinja::from(()), Jinja::from)
}

/// A match as `findall` lists it: the whole, the only group, or all groups.
fn listed(groups: &Captures<'_>) -> Jinja {
    let text = |at: usize| groups.get(at).map_or("", |group| group.as_str());
    match groups.len() {
        1 => Jinja::from(text(0)),
        2 => Jinja::from(text(1)),
        count => (1..count)
            .map(|at| Jinja::from(text(at)))
            .collect::<Vec<_>>()
            .into(),
    }
}

fn found(expression: &Regex, arguments: &[Jinja]) -> Result<Jinja, Error> {
    let (text,): (&str,) = from_args(arguments)?;
    let Some(groups) = expression.captures(text) else {
        return Ok(Jinja::from(()));
    };
    // Python counts characters.
    let characters = |at: usize| text[..at].chars().count();
    let groups = groups.iter().map(|group| {
        let group = group?;
        let span = (characters(group.start()), characters(group.end()));
        Some((group.as_str().to_owned(), span))
    });
    Ok(Jinja::from_object(Match {
        groups: groups.collect(),
        names: expression
            .capture_names()
            .map(|name| name.map(str::to_owned))
            .collect(),
    }))
}

/// A match: each group with its text and where it stands.
#[derive(Debug)]
struct Match {
    groups: Vec<Option<(String, (usize, usize))>>,
    names: Vec<Option<String>>,
}

impl Match {
    fn at(&self, key: &Jinja) -> Option<usize> {
        match key.as_str() {
            Some(name) => self
                .names
                .iter()
                .position(|known| known.as_deref() == Some(name)),
            None => key.as_usize().filter(|at| *at < self.groups.len()),
        }
    }

    fn text(&self, at: usize) -> Jinja {
        let group = self.groups.get(at).and_then(Option::as_ref);
        value(group.map(|(text, _)| text.as_str()))
    }
}

impl Object for Match {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.at(key).map(|at| self.text(at))
    }

    fn call_method(
        self: &Arc<Self>,
        _: &State<'_, '_>,
        method: &str,
        arguments: &[Jinja],
    ) -> Result<Jinja, Error> {
        let at = |key: &Jinja| self.at(key).ok_or_else(|| wrong("there is no such group"));
        let span = |arguments: &[Jinja]| {
            let (key,): (Option<Jinja>,) = from_args(arguments)?;
            let at = at(&key.unwrap_or(Jinja::from(0)))?;
            let group = self.groups.get(at).and_then(Option::as_ref);
            let (start, end) = group.map_or((-1, -1), |(_, (start, end))| {
                (
                    i64::try_from(*start).unwrap_or(-1),
                    i64::try_from(*end).unwrap_or(-1),
                )
            });
            Ok::<_, Error>([start, end])
        };
        Ok(match method {
            "group" => {
                let (keys,): (Rest<Jinja>,) = from_args(arguments)?;
                let texts = keys.iter().map(|key| Ok(self.text(at(key)?)));
                let mut texts = texts.collect::<Result<Vec<_>, Error>>()?;
                match texts.len() {
                    0 => self.text(0),
                    1 => texts.remove(0),
                    _ => Jinja::from(texts),
                }
            }
            "groups" => (1..self.groups.len())
                .map(|at| self.text(at))
                .collect::<Vec<_>>()
                .into(),
            "groupdict" => {
                let named = self.names.iter().enumerate();
                let entry = |(at, name): (usize, &Option<String>)| {
                    Some((Jinja::from(name.as_deref()?), self.text(at)))
                };
                named.filter_map(entry).collect()
            }
            "start" => Jinja::from(span(arguments)?[0]),
            "end" => Jinja::from(span(arguments)?[1]),
            "span" => Jinja::from(span(arguments)?.map(Jinja::from).to_vec()),
            _ => return Err(unknown("a match", method)),
        })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<re.Match object; match={}>", self.text(0))
    }
}

/// What a match is replaced by, in Python's spelling: `\1`, `\g<1>`, `\g<name>`, `\\`, `\n`.
struct Template(Vec<Part>);

enum Part {
    Text(char),
    Group(String),
}

impl Template {
    fn parse(text: &str) -> Result<Self, Error> {
        let mut parts = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            if c != '\\' {
                parts.push(Part::Text(c));
                continue;
            }
            match rest.next() {
                Some('g') => {
                    let name: String = rest.by_ref().skip(1).take_while(|c| *c != '>').collect();
                    parts.push(Part::Group(name));
                }
                Some(digit) if digit.is_ascii_digit() => {
                    let mut name = String::from(digit);
                    name.extend(rest.next_if(char::is_ascii_digit));
                    parts.push(Part::Group(name));
                }
                Some('n') => parts.push(Part::Text('\n')),
                Some('t') => parts.push(Part::Text('\t')),
                Some('r') => parts.push(Part::Text('\r')),
                Some(letter) if letter.is_ascii_alphabetic() => {
                    return Err(wrong(format!("bad escape \\{letter} in what replaces")));
                }
                Some(other) => {
                    parts.push(Part::Text('\\'));
                    if other != '\\' {
                        parts.push(Part::Text(other));
                    }
                }
                None => return Err(wrong("bad escape at the end of what replaces")),
            }
        }
        Ok(Self(parts))
    }

    fn fill(&self, groups: &Captures<'_>) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(c) => out.push(*c),
                Part::Group(name) => {
                    let group = match name.parse() {
                        Ok(at) => groups.get(at),
                        Err(_) => groups.name(name),
                    };
                    // Writing to a string does not fail.
                    let _ = write!(out, "{}", group.map_or("", |group| group.as_str()));
                }
            }
        }
        out
    }
}
