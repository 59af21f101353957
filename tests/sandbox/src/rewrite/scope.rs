//! What a bare name means at a point inside a query: common table expressions, and aliases of unaliased relations.

use sqlparser::ast::{Query, Select, TableFactor, TableWithJoins};

use super::{folded, parts};

/// Query and SELECT scopes from the outermost to the innermost.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    queries: Vec<QueryScope>,
    selects: Vec<SelectScope>,
}

#[derive(Debug)]
struct QueryScope {
    ctes: Vec<String>,
    /// How many of the CTEs have been left behind; the first queries below a query are its CTEs, in order.
    done: usize,
    recursive: bool,
}

/// Full names of relations whose last part is not unique in this FROM.
#[derive(Debug)]
struct SelectScope {
    ambiguous: Vec<Vec<String>>,
}

impl Scopes {
    pub(super) fn enter_query(&mut self, query: &Query) {
        let (ctes, recursive) = match &query.with {
            Some(with) => (
                with.cte_tables
                    .iter()
                    .map(|c| folded(&c.alias.name))
                    .collect(),
                with.recursive,
            ),
            None => (Vec::new(), false),
        };
        self.queries.push(QueryScope {
            ctes,
            done: 0,
            recursive,
        });
    }

    pub(super) fn leave_query(&mut self) {
        self.queries.pop();
        if let Some(parent) = self.queries.last_mut() {
            parent.done = (parent.done + 1).min(parent.ctes.len());
        }
    }

    pub(super) fn is_cte(&self, name: &str) -> bool {
        self.queries.iter().any(|q| {
            let visible = if q.recursive { q.ctes.len() } else { q.done };
            q.ctes[..visible].iter().any(|c| c == name)
        })
    }

    pub(super) fn enter_select(&mut self, select: &Select) {
        let mut names = Vec::new();
        for table in &select.from {
            collect(table, &mut names);
        }
        let ambiguous = names
            .iter()
            .filter(|n| names.iter().filter(|o| o.last() == n.last()).count() > 1)
            .cloned()
            .collect();
        self.selects.push(SelectScope { ambiguous });
    }

    pub(super) fn leave_select(&mut self) {
        self.selects.pop();
    }

    /// The alias that stands for a relation written as `path`.
    pub(super) fn alias_of(&self, path: &[String]) -> String {
        let last = path.last().cloned().unwrap_or_default();
        let matches = |known: &Vec<String>| known.ends_with(path) || path.ends_with(known);
        let ambiguous = self.selects.iter().rev().any(|s| {
            s.ambiguous
                .iter()
                .any(|known| path.len() > 1 && matches(known))
        });
        if ambiguous {
            path[path.len() - 2..].join(".")
        } else {
            last
        }
    }
}

fn collect(table: &TableWithJoins, names: &mut Vec<Vec<String>>) {
    for factor in std::iter::once(&table.relation).chain(table.joins.iter().map(|j| &j.relation)) {
        match factor {
            TableFactor::Table {
                name,
                alias: None,
                args: None,
                ..
            } => names.push(parts(name)),
            TableFactor::NestedJoin {
                table_with_joins, ..
            } => collect(table_with_joins, names),
            _ => {}
        }
    }
}
