//! Which paths of the crate a source file names, outside of its tests.
//!
//! Not a compiler: words and signs of the text, without comments and strings. A path counts when it begins with `crate`,
//! `super` or `self`, in a tree of `use` or in the middle of code. A name that was brought in by `use` counts there.

use regex::Regex;
use std::sync::LazyLock;

/// A path of the crate, without `crate`, and the line on which it is written.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    pub line: usize,
    pub path: Vec<String>,
}

/// What is read of one file.
#[derive(Debug, Default)]
pub struct Source {
    /// Its lines without those of tests.
    pub lines: usize,
    /// What it names.
    pub named: Vec<Named>,
    /// The modules with files of their own that are compiled for tests only.
    pub test_modules: Vec<Vec<String>>,
}

static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    let alternatives = [
        r"//[^\n]*",
        r"/\*.*?\*/",
        r###"[bc]?r##".*?"##"###,
        r##"[bc]?r#".*?"#"##,
        r#"[bc]?r"[^"]*""#,
        r#"[bc]?"(?:[^"\\]|\\.)*""#,
        r"b?'(?:[^'\\]|\\u\{[^}]*\}|\\x..|\\.)'",
        r"'[A-Za-z_]\w*",
        r"(?P<word>[A-Za-z_]\w*)",
        r"(?P<sign>::|[^\s\w])",
    ];
    Regex::new(&format!("(?s){}", alternatives.join("|"))).expect("a pattern")
});

#[derive(Debug, Clone, Copy)]
struct Token<'t> {
    line: usize,
    text: &'t str,
}

fn tokens(text: &str) -> Vec<Token<'_>> {
    let (mut line, mut counted) = (1, 0);
    let mut found = Vec::new();
    for captures in TOKEN.captures_iter(text) {
        if let Some(token) = captures.name("word").or(captures.name("sign")) {
            line += text[counted..token.start()].matches('\n').count();
            counted = token.start();
            let text = token.as_str();
            found.push(Token { line, text });
        }
    }
    found
}

struct Reader<'t> {
    tokens: Vec<Token<'t>>,
    at: usize,
    /// The word that stands for the crate: `crate`, in the program its name.
    root: &'static str,
}

impl<'t> Reader<'t> {
    fn peek(&self, ahead: usize) -> &'t str {
        self.tokens.get(self.at + ahead).map_or("", |it| it.text)
    }

    fn line(&self) -> usize {
        let last = self.tokens.last().map_or(1, |it| it.line);
        self.tokens.get(self.at).map_or(last, |it| it.line)
    }

    fn is_at(&self, expected: &[&str]) -> bool {
        let mut ahead = expected.iter().enumerate();
        ahead.all(|(ahead, text)| self.peek(ahead) == *text)
    }

    /// Past one item that is compiled for tests only; its name, where it is a module with a file of its own.
    fn skip_item(&mut self) -> Option<&'t str> {
        let (mut depth, mut is_use, mut module) = (0, false, None);
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "#" if depth == 0 && self.peek(1) == "[" => self.skip_attribute(),
                "use" if depth == 0 => is_use = true,
                "mod" if depth == 0 => module = Some(self.peek(1)),
                "{" | "(" | "[" => depth += 1,
                "}" if depth == 1 && !is_use => {
                    self.at += 1;
                    return None;
                }
                "}" | ")" | "]" if depth == 0 => return None,
                "}" | ")" | "]" => depth -= 1,
                ";" if depth == 0 => {
                    self.at += 1;
                    return module;
                }
                _ => {}
            }
            self.at += 1;
        }
        None
    }

    /// To the last sign of an attribute.
    fn skip_attribute(&mut self) {
        let mut depth = 0;
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "[" => depth += 1,
                "]" if depth == 1 => return,
                "]" => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
    }

    /// One path or tree of paths, from its first word on.
    fn tree(&mut self, prefix: &[&'t str], found: &mut Vec<(usize, Vec<&'t str>)>) {
        let mut path = prefix.to_vec();
        let line = self.line();
        loop {
            match self.peek(0) {
                "{" => return self.group(&path, found),
                word if word.starts_with(|it: char| it.is_alphabetic() || it == '_') => {
                    path.push(word);
                    self.at += 1;
                }
                // `*`, or what follows on the `::` of `::<…>`.
                _ => break,
            }
            if self.peek(0) != "::" {
                break;
            }
            self.at += 1;
        }
        found.push((line, path));
    }

    fn group(&mut self, prefix: &[&'t str], found: &mut Vec<(usize, Vec<&'t str>)>) {
        self.at += 1;
        while self.at < self.tokens.len() && self.peek(0) != "}" {
            self.tree(prefix, found);
            // `*`, or another name.
            while !matches!(self.peek(0), "," | "}" | "") {
                self.at += 1;
            }
            if self.peek(0) == "," {
                self.at += 1;
            }
        }
        self.at += 1;
    }

    fn begins_a_path(&self) -> bool {
        let begins = self.peek(0) == self.root || matches!(self.peek(0), "super" | "self");
        let goes_on = self.peek(1) == "::" || (self.peek(0) == "crate" && self.peek(1) == "as");
        let is_inside = self.at > 0 && self.tokens[self.at - 1].text == "::";
        begins && goes_on && !is_inside
    }

    fn absolute(&self, module: &[String], written: &[&str]) -> Vec<String> {
        let mut path = module.to_vec();
        for (at, word) in written.iter().enumerate() {
            match *word {
                word if at == 0 && word == self.root => path.clear(),
                "super" => {
                    path.pop();
                }
                "self" => {}
                word => path.push(word.to_owned()),
            }
        }
        path
    }
}

/// Reads the file of a module.
pub fn read(module: &[String], text: &str) -> Source {
    let root = match module {
        [name] if name == "main" => "cutover",
        _ => "crate",
    };
    let mut reader = Reader {
        tokens: tokens(text),
        at: 0,
        root,
    };
    let mut source = Source {
        lines: text.lines().count(),
        ..Source::default()
    };
    let mut module = module.to_vec();
    // How deep in braces the text is, and at which depth each module of this file began.
    let (mut depth, mut inside) = (0, Vec::new());
    while reader.at < reader.tokens.len() {
        if reader.is_at(&["#", "[", "cfg", "(", "test", ")", "]"]) {
            let first = reader.line();
            reader.at += 7;
            let own = reader.skip_item();
            let last = reader.tokens[reader.at - 1].line;
            source.lines -= last + 1 - first;
            source.test_modules.extend(own.map(|name| {
                let mut path = module.clone();
                path.push(name.to_owned());
                path
            }));
            continue;
        }
        if reader.begins_a_path() {
            let mut found = Vec::new();
            reader.tree(&[], &mut found);
            source
                .named
                .extend(found.into_iter().map(|(line, written)| Named {
                    line,
                    path: reader.absolute(&module, &written),
                }));
            continue;
        }
        match reader.peek(0) {
            "mod" if reader.peek(2) == "{" => {
                module.push(reader.peek(1).to_owned());
                inside.push(depth);
                reader.at += 1;
            }
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inside.last() == Some(&depth) {
                    inside.pop();
                    module.pop();
                }
            }
            _ => {}
        }
        reader.at += 1;
    }
    source
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(module: &str, text: &str) -> Vec<(usize, String)> {
        let module: Vec<String> = module.split("::").map(str::to_owned).collect();
        let named = read(&module, text).named;
        let shown = |it: Named| (it.line, it.path.join("::"));
        named.into_iter().map(shown).collect()
    }

    #[test]
    fn trees_inline_paths_and_paths_upward_are_found() {
        let text = "\
use crate::domain::{
    plan::{self, Plan as Whole},
    catalog::*,
};
use super::super::saga::Context;
fn f<'a>() -> crate::foundation::sql::Ident<'a> { g::<super::Old>(self::h()) }
mod inner {
    use super::super::X;
}
fn g() { crate::inputs::project::read::<u8>() }
pub(crate) fn h(self) {}
";
        let expected = [
            (2, "domain::plan"),
            (2, "domain::plan::Plan"),
            (3, "domain::catalog"),
            (5, "operations::saga::Context"),
            (6, "foundation::sql::Ident"),
            (6, "operations::green::Old"),
            (6, "operations::green::stage::h"),
            (8, "operations::green::X"),
            (10, "inputs::project::read"),
        ]
        .map(|(line, path)| (line, path.to_owned()));
        assert_eq!(named("operations::green::stage", text), expected);
    }

    #[test]
    fn comments_strings_and_tests_do_not_count() {
        let text = r##"
//! [`crate::a::b`]
/* crate::a::b */
const A: &str = "crate::a::b \" crate::a::b";
const B: &str = r#"crate::a::"b"#;
const C: char = '"';
#[cfg(test)]
use crate::{a::b, a::c};
#[cfg(test)]
#[expect(dead_code)]
pub(crate) fn only(_: [u8; 2]) { crate::a::b() }
#[cfg(test)]
mod sample;
use crate::a::d;
#[cfg(test)]
mod tests {
    use crate::a::b;
}
"##;
        assert_eq!(named("x::y", text), [(14, "a::d".to_owned())]);
        let source = read(&["x".to_owned()], text);
        assert_eq!(source.lines, 7);
        assert_eq!(source.test_modules, [["x", "sample"]]);
    }

    #[test]
    fn the_program_names_the_crate_by_its_name() {
        let text = "use cutover::domain::plan::Plan;\n";
        assert_eq!(named("main", text), [(1, "domain::plan::Plan".to_owned())]);
    }
}
