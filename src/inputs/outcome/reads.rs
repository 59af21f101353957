//! What the code of a project reads besides its own text: found by its words, since dbt's manifest does not
//! say. Found too much costs a compilation; found too little would take a changed model for the same. So
//! where a word leaves it open, it counts.

use super::super::manifest::{Macro, Manifest, Node};
use super::threads::side_by_side;
use regex::Regex;
use serde_json::Value;
use std::borrow::Cow;
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

/// `target` with a key that says who connects.
static USER: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"\btarget\b\s*(?:\.\s*(?:user|role|profile_name)\b|\[\s*['"](?:user|role|profile_name)\b)"#,
    )
});

/// What asks the server while a node is compiled, whoever calls it.
static QUESTION: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"\b(?:run_query|load_result|load_relation|get_columns_in_query|get_columns_in_relation)\b|\bstatement\s*\(|\badapter\s*\.\s*(?:execute|get_|list_|check_schema|expand_|already_exists|create_|drop_|rename_|truncate_|valid_|is_replaceable|run_)",
    )
});

/// What is another each time that a node is compiled.
static MOMENT: LazyLock<Regex> =
    LazyLock::new(|| regex(r"\b(?:run_started_at|invocation_id)\b|\bmodules\s*\.\s*datetime\b"));

static WORD: LazyLock<Regex> = LazyLock::new(|| regex(r"[A-Za-z_][A-Za-z0-9_]*"));

#[expect(
    clippy::expect_used,
    reason = "the texts stand above, and a test compiles them"
)]
pub(super) fn regex(text: &str) -> Regex {
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
    /// Nodes whose SQL holds the moment or the name of its compilation.
    pub nodes_of_a_moment: BTreeSet<String>,
    /// Whether the address and options of the connection are looked at.
    pub connection: bool,
    /// Whether it is looked at who connects.
    pub user: bool,
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
        let of_a_moment = callers(manifest, |one| {
            !is_of_dbt(&one.package_name) && MOMENT.is_match(&one.macro_sql)
        });
        let nodes: Vec<(&String, &Node)> = manifest.nodes.iter().collect();
        for part in side_by_side(&nodes, |nodes| Self::of_nodes(nodes, &of_a_moment)) {
            reads.merge(part);
        }
        reads
    }

    fn of_nodes(nodes: &[(&String, &Node)], of_a_moment: &BTreeSet<&str>) -> Self {
        let mut reads = Self::default();
        for (id, node) in nodes {
            let mut called = node.depends_on.macros.iter();
            if called.any(|called| of_a_moment.contains(called.as_str()))
                || compiled_of(node).any(|code| MOMENT.is_match(&code))
            {
                reads.nodes_of_a_moment.insert((*id).clone());
            }
            for code in compiled_of(node).chain(hooks_of(node)) {
                reads.take(&code);
                if code.contains("graph") && GRAPH.is_match(&code) {
                    reads.nodes_read_graph.insert((*id).clone());
                }
            }
        }
        reads
    }

    fn merge(&mut self, other: Self) {
        let Self {
            variables,
            any_variable,
            macros_read_graph,
            nodes_read_graph,
            nodes_of_a_moment,
            connection,
            user,
        } = other;
        self.variables.extend(variables);
        self.any_variable |= any_variable;
        self.macros_read_graph |= macros_read_graph;
        self.nodes_read_graph.extend(nodes_read_graph);
        self.nodes_of_a_moment.extend(nodes_of_a_moment);
        self.connection |= connection;
        self.user |= user;
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
        if code.contains("target") && !self.user {
            // Whoever looks at all of it looks at that as well.
            self.user = self.connection || USER.is_match(code);
        }
    }
}

/// What dbt renders when it compiles a node: its text, and the arguments of a generic test, whose own text is a
/// call alone.
fn compiled_of(node: &Node) -> impl Iterator<Item = Cow<'_, str>> {
    let test = node.test_metadata.iter();
    let arguments = test.flat_map(|test| test.kwargs.values()).map(code);
    std::iter::once(Cow::Borrowed(node.raw_code.as_str())).chain(arguments)
}

/// What dbt renders no sooner than it runs a node.
fn hooks_of(node: &Node) -> impl Iterator<Item = Cow<'_, str>> {
    let hooks = ["pre-hook", "post-hook"].iter();
    hooks.filter_map(|key| node.config.rest.get(*key)).map(code)
}

/// A value's text as code.
fn code(value: &Value) -> Cow<'_, str> {
    match value.as_str() {
        Some(text) => Cow::Borrowed(text),
        // A quote within is written with a backslash, which the patterns of words do not know.
        None => Cow::Owned(value.to_string().replace("\\\"", "\"")),
    }
}

/// Macros that may ask the server when they are called, by name.
fn asking_macros(manifest: &Manifest) -> BTreeSet<&str> {
    let asking = callers(manifest, |one| match is_of_dbt(&one.package_name) {
        true => matches!(&*one.name, "run_query" | "statement" | "load_relation"),
        false => QUESTION.is_match(&one.macro_sql),
    });
    let asking = asking.into_iter().filter_map(|id| manifest.macros.get(id));
    asking.map(|one| one.name.as_str()).collect()
}

/// Macros of this kind and those that call one, by unique id.
fn callers(manifest: &Manifest, is_one: impl Fn(&Macro) -> bool) -> BTreeSet<&str> {
    let found = manifest.macros.iter().filter(|(_, one)| is_one(one));
    let mut found: BTreeSet<&str> = found.map(|(id, _)| id.as_str()).collect();
    loop {
        let before = found.len();
        for (id, one) in &manifest.macros {
            let mut calls = one.depends_on.macros.iter();
            if calls.any(|called| found.contains(called.as_str())) {
                found.insert(id);
            }
        }
        if found.len() == before {
            return found;
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
            texts.any(|node| compiled_of(node).any(|code| self.may_be_in(&code)))
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
    fn who_connects_is_told_from_the_rest_of_the_target() {
        for (code, expected) in [
            ("{{ target.name }} {{ target.schema }}", false),
            ("{{ target.user }}", true),
            ("{{ target['role'] }}", true),
            ("{{ target[key] }}", true),
            ("{{ target | tojson }}", true),
        ] {
            assert_eq!(reads(code).user, expected, "{code}");
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
