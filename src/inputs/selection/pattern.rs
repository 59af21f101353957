//! Wildcards: Python's `fnmatch` for names, and its `Path.glob` for paths, which `path:` is defined by.

use std::collections::BTreeMap;
use std::path::Path;

/// A compiled `fnmatch` pattern; it must match a whole text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Token>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Exactly(char),
    One,
    Any,
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    pub(super) fn new(pattern: &str) -> Self {
        let pattern: Vec<char> = pattern.chars().collect();
        let mut tokens = Vec::new();
        let mut at = 0;
        while at < pattern.len() {
            let character = pattern[at];
            at += 1;
            tokens.push(match character {
                '*' => Token::Any,
                '?' => Token::One,
                '[' => match class_end(&pattern, at) {
                    Some(end) => {
                        let class = class(&pattern[at..end]);
                        at = end + 1;
                        class
                    }
                    None => Token::Exactly('['),
                },
                plain => Token::Exactly(plain),
            });
        }
        Self(tokens)
    }

    /// Backtracks to the last `*` only, so that no pattern takes more than length times length.
    pub(super) fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        let (mut token, mut at) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.0.get(token) {
                Some(Token::Any) => {
                    star = Some((token, at));
                    token += 1;
                }
                Some(one) if one.takes(text[at]) => {
                    token += 1;
                    at += 1;
                }
                Some(_) | None => match star {
                    Some((back, from)) => {
                        star = Some((back, from + 1));
                        token = back + 1;
                        at = from + 1;
                    }
                    None => return false,
                },
            }
        }
        self.0[token.min(self.0.len())..]
            .iter()
            .all(|token| *token == Token::Any)
    }
}

impl Token {
    fn takes(&self, character: char) -> bool {
        match self {
            Self::Exactly(plain) => *plain == character,
            Self::One | Self::Any => true,
            Self::Class { negated, ranges } => {
                let is_in = ranges
                    .iter()
                    .any(|(from, to)| (*from..=*to).contains(&character));
                is_in != *negated
            }
        }
    }
}

/// Where a class that was opened before `at` is closed; a `]` that comes first is one of its characters.
fn class_end(pattern: &[char], at: usize) -> Option<usize> {
    let mut end = at;
    if pattern.get(end) == Some(&'!') {
        end += 1;
    }
    if pattern.get(end) == Some(&']') {
        end += 1;
    }
    let length = pattern.get(end..)?.iter().position(|c| *c == ']')?;
    Some(end + length)
}

/// As `fnmatch.translate`, step by step: the text is cut at hyphens that make ranges, ranges that run
/// backwards are taken out, and only then a `!` in front negates.
fn class(stuff: &[char]) -> Token {
    let mut chunks: Vec<Vec<char>> = Vec::new();
    let mut from = 0;
    let mut look = 1 + usize::from(stuff.first() == Some(&'!'));
    while let Some(hyphen) = stuff
        .get(look..)
        .and_then(|rest| rest.iter().position(|c| *c == '-'))
        .map(|at| at + look)
    {
        chunks.push(stuff[from..hyphen].to_vec());
        from = hyphen + 1;
        look = hyphen + 3;
    }
    match (stuff.get(from..), chunks.last_mut()) {
        (Some([]), Some(last)) => last.push('-'),
        (Some(rest), _) => chunks.push(rest.to_vec()),
        (None, _) => {}
    }
    for at in (1..chunks.len()).rev() {
        let ends = (chunks[at - 1].last(), chunks[at].first());
        if matches!(ends, (Some(end), Some(start)) if end > start) {
            let later = chunks.remove(at);
            chunks[at - 1].pop();
            chunks[at - 1].extend(later.into_iter().skip(1));
        }
    }
    let negated = chunks.first().and_then(|chunk| chunk.first()) == Some(&'!');
    if negated {
        chunks[0].remove(0);
    }
    let between = chunks.windows(2).filter_map(|pair| {
        let (from, to) = (pair[0].last()?, pair[1].first()?);
        Some((*from, *to))
    });
    let single = chunks.iter().flatten().map(|c| (*c, *c));
    let ranges = between.chain(single).collect();
    Token::Class { negated, ranges }
}

/// Whether `fnmatch` matches.
pub(super) fn fnmatch(text: &str, pattern: &str) -> bool {
    Pattern::new(pattern).matches(text)
}

/// Whether Python would look for wildcards in a part of a path.
fn is_wild(part: &str) -> bool {
    part.contains(['*', '?', '['])
}

/// A `path:` value. dbt lists the files that it matches below the project, so a path that is not there
/// (a package's file, whose path is relative to its package) does not match.
#[derive(Debug)]
pub(super) struct PathPattern<'p> {
    parts: Vec<Part>,
    project: Option<&'p Path>,
    seen: BTreeMap<String, bool>,
}

#[derive(Debug)]
enum Part {
    /// `**`: any number of folders.
    Folders,
    Wild(Pattern),
    Plain(String),
}

impl<'p> PathPattern<'p> {
    /// # Errors
    /// What is wrong with the pattern, as Python would refuse it.
    pub(super) fn new(pattern: &str, project: Option<&'p Path>) -> Result<Self, &'static str> {
        if pattern.starts_with('/') {
            return Err("it must be relative to the project");
        }
        let mut parts = Vec::new();
        for part in pattern
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
        {
            parts.push(match part {
                "**" => Part::Folders,
                wild if wild.contains("**") => {
                    return Err("`**` must stand alone between slashes");
                }
                wild if is_wild(wild) => Part::Wild(Pattern::new(wild)),
                plain => Part::Plain(plain.to_owned()),
            });
        }
        if parts.is_empty() {
            return Err("it names no file or folder");
        }
        Ok(Self {
            parts,
            project,
            seen: BTreeMap::new(),
        })
    }

    /// Whether a file, or a folder that it lies in, is among the matches.
    pub(super) fn takes(&mut self, file: &str) -> bool {
        let parts = split(file);
        (0..=parts.len()).any(|length| self.takes_path(&parts[..length], length == parts.len()))
    }

    /// Whether a file itself is among the matches.
    pub(super) fn takes_exactly(&mut self, file: &str) -> bool {
        self.takes_path(&split(file), true)
    }

    fn takes_path(&mut self, path: &[&str], is_file: bool) -> bool {
        // A final `**` stands for folders only.
        let ends_open = matches!(self.parts.last(), Some(Part::Folders));
        !(is_file && ends_open) && walk(&self.parts, path) && self.exists(&path.join("/"))
    }

    fn exists(&mut self, path: &str) -> bool {
        let Some(project) = self.project else {
            return true;
        };
        if let Some(seen) = self.seen.get(path) {
            return *seen;
        }
        let exists = project.join(path).exists();
        self.seen.insert(path.to_owned(), exists);
        exists
    }
}

fn split(path: &str) -> Vec<&str> {
    path.split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect()
}

fn walk(parts: &[Part], path: &[&str]) -> bool {
    match (parts.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((Part::Folders, rest)), None) => walk(rest, path),
        (Some((Part::Folders, rest)), Some((_, below))) => walk(rest, path) || walk(parts, below),
        (Some((Part::Wild(pattern), rest)), Some((name, below))) => {
            pattern.matches(name) && walk(rest, below)
        }
        (Some((Part::Plain(plain), rest)), Some((name, below))) => {
            plain == name && walk(rest, below)
        }
        (None, Some(_)) | (Some((Part::Wild(_) | Part::Plain(_), _)), None) => false,
    }
}
