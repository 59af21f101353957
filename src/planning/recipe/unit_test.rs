//! A unit test of dbt as one query that makes nothing (`dbt/parser/unit_tests.py`, and dbt's macros in
//! `unit_test_sql`). What a model reads makes way for constants, and its rows are compared with what is expected.
//!
//! The rule is one-sided, as with what is built: where it is not certain that dbt would judge the same, a unit test is
//! not run, and says why. No query reads a relation.

use super::rewrite::StandIns;
use crate::adapters::materialize::session::Statement;
use crate::adapters::materialize::unit_test::{self, Column, Compared};
use crate::inputs::manifest::{Fixture, Given, Manifest, Node, Relation, ResourceType, UnitTest};
use crate::inputs::outcome::plain_name;
use crate::inputs::outcome::reads::is_of_dbt;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Macros of dbt by which it makes and judges a unit test, without the adapter for which they are.
const MACROS: [&str; 11] = [
    "get_fixture_sql",
    "get_expected_sql",
    "get_unit_test_sql",
    "get_columns_in_query",
    "get_columns_in_relation",
    "format_row",
    "validate_fixture_rows",
    "safe_cast",
    "cast",
    "string_literal",
    "escape_single_quotes",
];

/// Columns of a relation in order: name and type.
pub type Columns = Vec<(String, String)>;

/// What is known when unit tests are made into queries.
pub struct Around<'a> {
    /// The project.
    pub manifest: &'a Manifest,
    /// The database of its relations.
    pub database: &'a str,
    /// Unique id → SQL, as it reads production.
    pub sql: &'a BTreeMap<String, String>,
    /// Nodes that ask the server while they are compiled, by unique id.
    pub asking: &'a BTreeSet<String>,
    /// The columns of a node or a source, by its unique id; `None` where they are not known.
    pub columns: &'a (dyn Fn(&str) -> Option<Columns> + Sync),
}

/// A unit test, ready to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The rows in which both sides differ.
    pub statement: Statement,
    /// The columns that are compared, which are those behind the first.
    pub columns: Vec<String>,
}

/// Why there is no query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Without {
    /// It is not run: a clause that follows its name.
    NotRun(String),
    /// It is wrong, and dbt would say so: a sentence without its full stop.
    Wrong(String),
}

fn not_run<T>(why: impl Into<String>) -> Result<T, Without> {
    Err(Without::NotRun(why.into()))
}

impl Around<'_> {
    /// The model that a unit test is of.
    #[must_use]
    pub fn model(&self, test: &UnitTest) -> Option<&Node> {
        self.manifest.nodes.get(test.depends_on.nodes.first()?)
    }

    /// A unit test as a query.
    ///
    /// # Errors
    /// Why there is none.
    pub fn query(&self, test: &UnitTest) -> Result<Unit, Without> {
        let (model, sql) = self.tested(test)?;
        let inputs = self.inputs(test, model)?;
        let parents = model.depends_on.nodes.iter();
        let mut others = parents.filter(|parent| !inputs.contains_key(parent.as_str()));
        if let Some(parent) = others.next() {
            return not_run(format!("its model reads {parent}, which is no input of it"));
        }
        let prefix = prefix(sql, test);
        let (mut relations, mut queries) = (Vec::new(), Vec::new());
        for (at, (id, input)) in inputs.iter().enumerate() {
            let relation = self.relation(id);
            let (Some(relation), Some(columns)) = (relation, (self.columns)(id)) else {
                return not_run(format!("the columns of its input {id} are not known"));
            };
            let all: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
            let what = format!("its input {id}");
            let query = self.rows(&input.fixture, &columns, &all, &what)?;
            queries.push((format!("{prefix}_input_{at}"), query));
            relations.push(relation);
        }
        let pairs = relations.iter().zip(&queries);
        let pairs = pairs.map(|(relation, (name, _))| {
            let place = (relation.schema.as_str(), relation.identifier.as_str());
            (place, name.as_str())
        });
        let (actual, left) = StandIns::new(self.database, pairs).put_in(sql);
        if let Some(name) = left.first() {
            return not_run(format!("its model reads {name}, which is no input of it"));
        }
        let Some(own) = (self.columns)(&model.unique_id) else {
            return not_run("the columns of its model are not known");
        };
        let compared = compared(&test.expect, &own)?;
        let expected = self.rows(&test.expect, &own, &compared, "what is expected")?;
        let statement = unit_test::compare(&Compared {
            prefix: &prefix,
            inputs: &queries,
            actual: &actual,
            expected: &expected,
            columns: &compared,
        });
        Ok(Unit {
            statement,
            columns: compared.into_iter().map(str::to_owned).collect(),
        })
    }

    /// The model under test and its SQL.
    fn tested(&self, test: &UnitTest) -> Result<(&Node, &str), Without> {
        for (what, given) in &test.overrides {
            let is_empty = match given {
                Value::Null => true,
                Value::Object(given) => given.is_empty(),
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => false,
            };
            if !is_empty {
                return not_run(format!(
                    "it overrides {what}, so that its model would have to be compiled anew"
                ));
            }
        }
        let others = self.manifest.macros.values();
        let mut others = others.filter(|one| !is_of_dbt(&one.package_name));
        let own = others.find(|one| {
            MACROS.contains(&plain_name(&one.name)) || one.name.starts_with("materialization_unit_")
        });
        if let Some(own) = own {
            return not_run(format!(
                "the macro {} takes the place of dbt's own",
                own.name
            ));
        }
        let Some(model) = self.model(test) else {
            return not_run("its model is not in the manifest");
        };
        if model.is_ephemeral() {
            return not_run("its model is ephemeral, which stands in the SQL of its readers only");
        }
        let macros = &model.depends_on.macros;
        if macros.iter().any(|id| id == "macro.dbt.is_incremental") {
            return not_run("its model is incremental");
        }
        if self.asking.contains(&model.unique_id) {
            return not_run("its model asks the server while it is compiled");
        }
        match self.sql.get(&model.unique_id) {
            Some(sql) => Ok((model, sql)),
            None => not_run("the SQL of its model is not known"),
        }
    }

    /// What is given, by the unique id of what it stands for.
    fn inputs<'t>(
        &self,
        test: &'t UnitTest,
        model: &Node,
    ) -> Result<BTreeMap<String, &'t Given>, Without> {
        let mut inputs = BTreeMap::new();
        for given in &test.given {
            let input = given.input.trim();
            if input == "this" {
                return not_run("one of its inputs is `this`");
            }
            let Some(id) = self.resolve(test, model, input) else {
                return not_run(format!("its input {input} is not found in the manifest"));
            };
            let node = self.manifest.nodes.get(&id);
            if node.is_some_and(Node::is_ephemeral) {
                return not_run(format!("its input {input} is ephemeral"));
            }
            if inputs.insert(id, given).is_some() {
                return not_run(format!("its input {input} is given twice"));
            }
        }
        Ok(inputs)
    }

    /// The unique id of what an input stands for: first among what the model reads.
    fn resolve(&self, test: &UnitTest, model: &Node, input: &str) -> Option<String> {
        let call = Call::read(input)?;
        let mut named: Vec<(&str, &str)> = match (call.function, call.names.as_slice()) {
            ("source", [source, name]) if call.version.is_none() => {
                let sources = self.manifest.sources.values();
                let found = sources.filter(|it| it.source_name == *source && it.name == *name);
                found
                    .map(|it| (&*it.unique_id, &*it.package_name))
                    .collect()
            }
            ("ref", names @ ([_] | [_, _])) => {
                let (package, name) = match names {
                    [package, name] => (Some(*package), *name),
                    _ => (None, *names.first()?),
                };
                let nodes = self.manifest.nodes.values();
                let found = nodes.filter(|node| {
                    matches!(
                        node.resource_type,
                        ResourceType::Model | ResourceType::Seed | ResourceType::Snapshot
                    ) && node.name == name
                        && package.is_none_or(|package| node.package_name == package)
                        && is_version(node, call.version.as_deref())
                });
                found
                    .map(|it| (&*it.unique_id, &*it.package_name))
                    .collect()
            }
            _ => return None,
        };
        named.sort_by_key(|(id, package)| {
            let is_read = model.depends_on.nodes.iter().any(|read| read == id);
            (!is_read, *package != test.package_name)
        });
        named.first().map(|(id, _)| (*id).to_owned())
    }

    /// The query of a fixture, whose rows have the columns `selected` of these. What a row does not name is null.
    fn rows(
        &self,
        fixture: &Fixture,
        columns: &Columns,
        selected: &[&str],
        what: &str,
    ) -> Result<String, Without> {
        let format = fixture.format.to_lowercase();
        let rows = match (format.as_str(), &fixture.rows) {
            ("sql", Value::String(sql)) => return self.given_sql(sql, what),
            ("dict" | "csv" | "", Value::Array(rows)) => rows,
            (_, Value::Null) => {
                return not_run(format!("{what} has rows that are not in the manifest"));
            }
            _ => return not_run(format!("{what} has rows of an unknown form")),
        };
        let lowered: BTreeSet<String> = columns
            .iter()
            .map(|(name, _)| name.to_lowercase())
            .collect();
        if lowered.len() < columns.len() {
            return not_run(format!("{what} has columns that differ only in case"));
        }
        let picked: Vec<Column<'_>> = columns
            .iter()
            .filter(|(name, _)| selected.contains(&name.as_str()))
            .map(|(name, data_type)| (name.as_str(), data_type.as_str()))
            .collect();
        let mut all = Vec::with_capacity(rows.len());
        for row in rows {
            let values = keys(row, what)?;
            if let Some(unknown) = values.keys().find(|name| !lowered.contains(*name)) {
                let known: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
                return Err(Without::Wrong(format!(
                    "{what} names the column {unknown}, and there are {}",
                    known.join(", ")
                )));
            }
            let mut written = Vec::with_capacity(picked.len());
            for (name, data_type) in &picked {
                let value = values.get(&name.to_lowercase()).copied();
                let value = unit_test::value(value.unwrap_or(&Value::Null), data_type);
                written.push(value.ok_or_else(|| {
                    Without::Wrong(format!(
                        "{what} has a list or an object for the column {name}"
                    ))
                })?);
            }
            all.push(written);
        }
        Ok(unit_test::rows(&picked, &all))
    }

    /// Rows that are given as SQL.
    fn given_sql(&self, sql: &str, what: &str) -> Result<String, Without> {
        if ["{{", "{%", "{#"].iter().any(|sign| sql.contains(sign)) {
            return not_run(format!("{what} is SQL with Jinja in it"));
        }
        let (_, left) = StandIns::new(self.database, []).put_in(sql);
        match left.first() {
            Some(name) => not_run(format!("{what} is SQL that reads {name}")),
            None => Ok(sql.to_owned()),
        }
    }

    /// The relation of a node or a source of this database.
    fn relation(&self, id: &str) -> Option<Relation> {
        let node = self.manifest.nodes.get(id).and_then(Node::relation);
        let source = self.manifest.sources.get(id).map(|it| it.relation());
        let relation = node.or(source)?;
        (relation.database.as_deref() == Some(self.database)).then_some(relation)
    }
}

/// Whether a reference with this version, or with none, is to this node.
fn is_version(node: &Node, version: Option<&str>) -> bool {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    };
    match (&node.version, version) {
        (None, None) => true,
        (None, Some(_)) => false,
        (own, None) => *own == node.latest_version,
        (Some(own), Some(version)) => text(own) == version,
    }
}

/// `ref('x')` and the like.
#[derive(Debug, PartialEq, Eq)]
struct Call<'a> {
    function: &'a str,
    names: Vec<&'a str>,
    version: Option<String>,
}

impl<'a> Call<'a> {
    /// `None` of what is no such call of plain names.
    fn read(text: &'a str) -> Option<Self> {
        let (function, rest) = text.trim().split_once('(')?;
        let rest = rest.trim_end().strip_suffix(')')?;
        let quoted = |text: &'a str| {
            let quote = text
                .chars()
                .next()
                .filter(|one| matches!(one, '\'' | '"'))?;
            let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
            (!inner.contains(['\'', '"', '\\'])).then_some(inner)
        };
        let (mut names, mut version) = (Vec::new(), None);
        for argument in rest.split(',').map(str::trim) {
            let keyword = argument
                .split_once('=')
                .map(|(key, value)| (key.trim(), value.trim()));
            match keyword {
                Some(("v" | "version", value)) => {
                    let plain = || value.parse::<f64>().ok().map(|_| value);
                    version = Some(quoted(value).or_else(plain)?.to_owned());
                }
                // A name may have the sign in it.
                Some(_) | None => names.push(quoted(argument)?),
            }
        }
        Some(Self {
            function: function.trim(),
            names,
            version,
        })
    }
}

/// What the names of a query's common table expressions begin with: nothing in any of its texts has it.
fn prefix(sql: &str, test: &UnitTest) -> String {
    let fixtures = test.given.iter().map(|given| &given.fixture);
    let texts: Vec<String> = fixtures
        .chain([&test.expect])
        .filter_map(|fixture| fixture.rows.as_str())
        .chain([sql])
        .map(str::to_lowercase)
        .collect();
    let mut prefix = "cutover".to_owned();
    while texts.iter().any(|text| text.contains(&prefix)) {
        prefix.push_str("_x");
    }
    prefix
}

/// The columns that are compared: those of the first row, or all of them where that is none.
fn compared<'c>(expect: &Fixture, own: &'c Columns) -> Result<Vec<&'c str>, Without> {
    let all = || Ok(own.iter().map(|(name, _)| name.as_str()).collect());
    let Value::Array(rows) = &expect.rows else {
        return all();
    };
    let Some(first) = rows.first() else {
        return all();
    };
    let keys = keys(first, "what is expected")?;
    let columns = own.iter().map(|(name, _)| name.as_str());
    let named: Vec<&str> = columns
        .filter(|name| keys.contains_key(&name.to_lowercase()))
        .collect();
    for row in rows {
        let others = self::keys(row, "what is expected")?;
        if others.keys().ne(keys.keys()) {
            return Err(Without::Wrong(
                "the rows that are expected do not all name the same columns".to_owned(),
            ));
        }
    }
    match named.is_empty() && keys.is_empty() {
        true => Err(Without::Wrong(
            "the first row that is expected names no column".to_owned(),
        )),
        false => Ok(named),
    }
}

/// The values of a row by the names of their columns, in lower case as dbt compares them.
fn keys<'r>(row: &'r Value, what: &str) -> Result<BTreeMap<String, &'r Value>, Without> {
    let row: &Map<String, Value> = match row.as_object() {
        Some(row) => row,
        None => return not_run(format!("{what} has rows of an unknown form")),
    };
    let row = row.iter().map(|(name, value)| (name.to_lowercase(), value));
    Ok(row.collect())
}

#[cfg(test)]
mod tests;
