//! What the code of a project reads besides its own text: found by its words, since dbt's manifest does not
//! say. Found too much costs a compilation; found too little would take a changed model for the same. So
//! where a word leaves it open, it counts.

use super::super::manifest::{Manifest, Node};
use regex::Regex;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The packages that come with dbt and the adapter: the version stands for their text.
const OF_DBT: [&str; 4] = ["dbt", "dbt_postgres", "dbt_materialize", "dbt_adapters"];

/// `env_var('NAME'`, or `env_var(` with anything else.
static ENV_VAR: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"\benv_var\b\s*(?:\(\s*(?:'([^'"\\]*)'\s*[,)]|"([^'"\\]*)"\s*[,)]|())|())"#)
});

static GRAPH: LazyLock<Regex> = LazyLock::new(|| regex(r"\bgraph\b"));

/// `target` with a key that says how to connect, or without one that can be seen.
static CONNECTION: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"\btarget\b\s*(?:\.\s*(?:host|port|sslmode|threads|retries|connect_timeout|keepalives_idle|application_name|get|items|values|keys|items)\b|\[\s*(?:[^'"\s]|['"](?:host|port|sslmode|threads|retries|connect_timeout|keepalives_idle|application_name)\b)|\s*[|)}~,])"#,
    )
});

/// What asks the server while a node is compiled, whoever calls it.
static QUESTION: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"\b(?:run_query|load_result|load_relation|get_columns_in_query|get_columns_in_relation)\b|\bstatement\s*\(|\badapter\s*\.\s*(?:execute|get_|list_|check_schema|expand_|already_exists|create_|drop_|rename_|truncate_|valid_|is_replaceable|run_)",
    )
});

static WORD: LazyLock<Regex> = LazyLock::new(|| regex(r"[A-Za-z_][A-Za-z0-9_]*"));

#[expect(
    clippy::expect_used,
    reason = "the texts stand above, and a test compiles them"
)]
fn regex(text: &str) -> Regex {
    Regex::new(text).expect("a regular expression")
}

/// Whether a package comes with dbt or the adapter.
#[must_use]
pub fn is_of_dbt(package: &str) -> bool {
    OF_DBT.contains(&package)
}

/// What the code of a project reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reads {
    /// Environment variables, by name.
    pub variables: BTreeSet<String>,
    /// Whether a name of an environment variable is computed, so that it may be any.
    pub any_variable: bool,
    /// Whether a macro looks at the whole project.
    pub macros_read_graph: bool,
    /// Nodes that look at the whole project.
    pub nodes_read_graph: BTreeSet<String>,
    /// Whether the address and options of the connection are looked at.
    pub connection: bool,
}

impl Reads {
    /// Looks through every node, macro and package, dbt's own aside.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let mut reads = Self::default();
        for one in manifest.macros.values() {
            if !is_of_dbt(&one.package_name) {
                reads.take(&one.macro_sql);
                reads.macros_read_graph |= GRAPH.is_match(&one.macro_sql);
            }
        }
        for (id, node) in &manifest.nodes {
            reads.take(&node.raw_code);
            if node.raw_code.contains("graph") && GRAPH.is_match(&node.raw_code) {
                reads.nodes_read_graph.insert(id.clone());
            }
        }
        reads
    }

    /// Looks through a piece of code that is no node and no macro, such as a variable's text.
    pub fn take(&mut self, code: &str) {
        if code.contains("env_var") {
            for found in ENV_VAR.captures_iter(code) {
                match found.get(1).or_else(|| found.get(2)) {
                    Some(name) => {
                        self.variables.insert(name.as_str().to_owned());
                    }
                    None => self.any_variable = true,
                }
            }
        }
        if code.contains("target") && !self.connection {
            self.connection = CONNECTION.is_match(code);
        }
    }
}

/// Macros that may ask the server when they are called, by name.
fn asking_macros(manifest: &Manifest) -> BTreeSet<&str> {
    let mut asking: BTreeSet<&str> = BTreeSet::new();
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for (id, one) in &manifest.macros {
        let is_core = is_of_dbt(&one.package_name)
            && matches!(&*one.name, "run_query" | "statement" | "load_relation");
        let is_asking = !is_of_dbt(&one.package_name) && QUESTION.is_match(&one.macro_sql);
        if is_core || is_asking {
            asking.insert(id);
            names.insert(&one.name);
        }
    }
    // Whoever calls one is one. What dbt's own macros do while nodes are made is no part of compiling.
    loop {
        let before = asking.len();
        for (id, one) in &manifest.macros {
            let calls = one.depends_on.macros.iter();
            if !asking.contains(id.as_str())
                && calls.clone().any(|called| asking.contains(called.as_str()))
            {
                asking.insert(id);
                names.insert(&one.name);
            }
        }
        if asking.len() == before {
            return names;
        }
    }
}

/// What asks the server while a project is compiled, known by its words.
#[derive(Debug)]
pub struct Questions<'m> {
    manifest: &'m Manifest,
    /// Macros that ask, by name.
    asking: BTreeSet<&'m str>,
}

impl<'m> Questions<'m> {
    /// Looks through the macros of a project.
    #[must_use]
    pub fn of(manifest: &'m Manifest) -> Self {
        let asking = asking_macros(manifest);
        Self { manifest, asking }
    }

    /// Whether a text among these macros may ask.
    #[must_use]
    pub fn may_be_in(&self, code: &str) -> bool {
        let is_asking = |word: regex::Match<'_>| self.asking.contains(word.as_str());
        QUESTION.is_match(code) || WORD.find_iter(code).any(is_asking)
    }

    /// Nodes of `wanted` that may ask; the same through ephemeral models that they read.
    #[must_use]
    pub fn nodes<'a>(&self, wanted: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
        let asks = |id: &&str| {
            let mut texts = texts_of(self.manifest, id).into_iter();
            texts.any(|node| self.may_be_in(&node.raw_code))
        };
        wanted.iter().copied().filter(asks).collect()
    }
}

/// The nodes whose text stands in the SQL of a node: itself, and the ephemeral models that it reads.
#[must_use]
pub fn texts_of<'m>(manifest: &'m Manifest, id: &str) -> Vec<&'m Node> {
    let mut queue = vec![id];
    let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
    while let Some(id) = queue.pop() {
        let Some((id, node)) = manifest.nodes.get_key_value(id) else {
            continue;
        };
        if !seen.insert(id.as_str()) {
            continue;
        }
        found.push(node);
        let parents = node.depends_on.nodes.iter().map(String::as_str);
        queue.extend(
            parents.filter(|parent| manifest.nodes.get(*parent).is_some_and(Node::is_ephemeral)),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(code: &str) -> Reads {
        let mut reads = Reads::default();
        reads.take(code);
        reads
    }

    #[test]
    fn names_of_environment_variables_are_found_or_all_may_be_meant() {
        let found = reads("{{ env_var('A', 'x') }} {{ env_var( \"B\") }}");
        assert_eq!(found.variables, ["A", "B"].map(str::to_owned).into());
        assert!(!found.any_variable);
        for code in [
            "{{ env_var(name) }}",
            "{{ env_var('A' ~ x) if false else env_var(var('y')) }}",
            "{% set f = env_var %}",
        ] {
            assert!(reads(code).any_variable, "{code}");
        }
    }

    #[test]
    fn what_says_how_to_connect_is_told_from_the_rest_of_the_target() {
        for (code, expected) in [
            (
                "{{ target.name }} {{ target.schema }} {{ target['database'] }}",
                false,
            ),
            ("-- the target is hit", false),
            ("{{ target.host }}", true),
            ("{{ target['port'] }}", true),
            ("{{ target[key] }}", true),
            ("{{ target }}", true),
            ("{% set t = target | tojson %}", true),
        ] {
            assert_eq!(reads(code).connection, expected, "{code}");
        }
    }

    #[test]
    fn questions_are_seen_by_their_words() {
        for code in [
            "{{ run_query('x') }}",
            "{% call statement('a', fetch_result=True) %}",
            "{{ adapter.get_columns_in_relation(ref('a')) }}",
        ] {
            assert!(QUESTION.is_match(code), "{code}");
        }
        for code in [
            "{{ adapter.dispatch('x')() }}",
            "{{ adapter.quote('x') }}",
            "select statement from t",
        ] {
            assert!(!QUESTION.is_match(code), "{code}");
        }
    }
}
