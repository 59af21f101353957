//! The shape of a query, as far as Materialize's planner tells a peek from a dataflow by it.
//!
//! Judged from the text alone and on the safe side: a shape that no rule below knows is a dataflow. The rules, each
//! from an `EXPLAIN` ("fast path") or a measurement of a real server:
//!
//! 1. Columns and scalar functions of one indexed relation, filtered or not: a peek.
//! 2. `UNION ALL` of two such, or one inner join of two indexed relations: a slow peek.
//! 3. An aggregate, `DISTINCT`, `ORDER BY`, `LIMIT`, an outer join, a subquery, a table or window function, a privilege
//!    function, a relation without an index, a third relation: a dataflow.
//! 4. No relation at all: a constant, unless a privilege function looks relations up by itself.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, FunctionArguments, GroupByExpr, JoinConstraint, JoinOperator, Query, Select, SetExpr,
    SetOperator, SetQuantifier, Statement, TableFactor, visit_expressions, visit_relations,
};

use crate::rewrite::{self, folded, parts};

/// What a relation name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// A relation of the catalog, with an index on `mz_catalog_server`.
    Indexed,
    /// Such a one whose index is so large that a peek of it takes as long as two others.
    Large,
    /// A relation of the catalog that must be computed, from so many others.
    Computed(u32),
    /// A relation of a user's that has an index.
    UserIndexed,
    /// Any other relation of a user's.
    User,
    /// A common table expression or a name that is not known.
    Other,
}

/// How a query is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Without looking at any relation.
    Constant,
    /// From one index.
    Peek,
    /// From two indexes, or one large one.
    SlowPeek,
    /// By a dataflow of its own.
    Dataflow {
        /// Why it is no peek.
        why: String,
        /// Relations that it reads, each as often as it is named; at least 1.
        relations: u32,
    },
}

/// A query's shape, and whether it reads a user's relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// How it is answered.
    pub shape: Shape,
    /// It reads relations of the catalog.
    pub catalog: bool,
    /// It reads relations of a user's.
    pub user: bool,
}

/// Scalar functions that leave a peek a peek; any other is taken for what needs a dataflow.
const SCALAR: [&str; 46] = [
    "abs",
    "array_to_string",
    "btrim",
    "char_length",
    "coalesce",
    "concat",
    "concat_ws",
    "current_catalog",
    "current_database",
    "current_role",
    "current_schema",
    "current_timestamp",
    "current_user",
    "date_part",
    "date_trunc",
    "ends_with",
    "format_type",
    "greatest",
    "initcap",
    "jsonb_typeof",
    "least",
    "left",
    "length",
    "lower",
    "lpad",
    "ltrim",
    "md5",
    "mz_environment_id",
    "mz_is_superuser",
    "mz_now",
    "mz_version",
    "now",
    "nullif",
    "octet_length",
    "position",
    "quote_ident",
    "regexp_match",
    "regexp_replace",
    "replace",
    "right",
    "round",
    "session_user",
    "split_part",
    "starts_with",
    "substr",
    "upper",
];

/// Functions that the server itself turns into joins over the catalog.
const PRIVILEGE: [&str; 9] = [
    "has_any_column_privilege",
    "has_cluster_privilege",
    "has_connection_privilege",
    "has_database_privilege",
    "has_role",
    "has_schema_privilege",
    "has_system_privilege",
    "has_table_privilege",
    "pg_has_role",
];

/// What one privilege function adds to a dataflow, in relations. Measured: such a question takes as long as a join of six.
const PRIVILEGE_RELATIONS: u32 = 5;

/// Judges a query. Text that cannot be read is a dataflow: it fails before it costs anything.
pub fn judge(text: &str, look_up: &dyn Fn(&[String]) -> Seen) -> Judged {
    match rewrite::parse(text) {
        Ok(statement) => Judge {
            look_up,
            ctes: ctes(&statement),
        }
        .statement(&statement),
        Err(_) => Judged {
            shape: Shape::Dataflow {
                why: "not understood".into(),
                relations: 1,
            },
            catalog: false,
            user: false,
        },
    }
}

struct Judge<'a> {
    look_up: &'a dyn Fn(&[String]) -> Seen,
    /// Names of all common table expressions.
    ctes: Vec<String>,
}

/// Why a part of a query is no peek.
type Heavy = String;

impl Judge<'_> {
    fn statement(&self, statement: &Statement) -> Judged {
        let mut seen = Vec::new();
        let mut repeated = Vec::new();
        let _: ControlFlow<()> = visit_relations(statement, |name| {
            let name = parts(name);
            if self.is_cte(&name) {
                repeated.push(name);
            } else {
                seen.push((name.join("."), (self.look_up)(&name)));
            }
            ControlFlow::Continue(())
        });
        let named = repeated.len();
        repeated.sort();
        repeated.dedup();
        let (privileges, strange) = functions(statement);
        let user = seen
            .iter()
            .any(|(_, s)| matches!(s, Seen::User | Seen::UserIndexed));
        let catalog = seen
            .iter()
            .any(|(_, s)| matches!(s, Seen::Indexed | Seen::Large | Seen::Computed(_)));
        let weight: u32 = seen.iter().map(|(_, s)| weight(*s)).sum();
        let relations = (weight
            + PRIVILEGE_RELATIONS * u32::try_from(privileges.len()).unwrap_or(u32::MAX))
        .max(1);
        let dataflow = |why: String| Shape::Dataflow { why, relations };
        let shape = if let Some(name) = privileges.first() {
            dataflow(format!("function {name}"))
        } else if seen.is_empty() {
            Shape::Constant
        } else if let Some(name) = strange {
            dataflow(format!("function {name}"))
        } else if let Some((name, _)) = seen
            .iter()
            .find(|(_, s)| matches!(s, Seen::Computed(_) | Seen::User | Seen::Other))
        {
            dataflow(format!("{name} has no index"))
        } else if repeated.len() < named {
            dataflow("a WITH that is read twice".into())
        } else {
            match self.arms(statement) {
                Err(why) => dataflow(why),
                Ok(0 | 1) if seen.len() == 1 => match seen.first() {
                    Some((_, Seen::Large)) => Shape::SlowPeek,
                    Some(_) | None => Shape::Peek,
                },
                Ok(2) if seen.len() == 2 => Shape::SlowPeek,
                Ok(parts) => dataflow(format!("{parts} parts")),
            }
        };
        Judged {
            shape,
            catalog: catalog || !privileges.is_empty(),
            user,
        }
    }

    /// How many relations a plain query brings together.
    fn arms(&self, statement: &Statement) -> Result<usize, Heavy> {
        let Statement::Query(query) = statement else {
            return Err("not a query".into());
        };
        let mut subquery = None;
        let _ = visit_expressions(statement, |expr| match heavy(expr) {
            Some(why) => {
                subquery = Some(why);
                ControlFlow::Break(())
            }
            None => ControlFlow::Continue(()),
        });
        match subquery {
            Some(why) => Err(why.into()),
            None => self.query(query),
        }
    }

    fn query(&self, query: &Query) -> Result<usize, Heavy> {
        if query.order_by.is_some() {
            return Err("ORDER BY".into());
        }
        if query.limit_clause.is_some() || query.fetch.is_some() {
            return Err("LIMIT".into());
        }
        if !query.pipe_operators.is_empty() || !query.locks.is_empty() {
            return Err("not understood".into());
        }
        let mut arms = self.body(&query.body)?;
        for cte in query.with.iter().flat_map(|w| &w.cte_tables) {
            arms += self.query(&cte.query)?;
        }
        if query.with.as_ref().is_some_and(|w| w.recursive) {
            return Err("WITH RECURSIVE".into());
        }
        Ok(arms)
    }

    fn body(&self, body: &SetExpr) -> Result<usize, Heavy> {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation {
                left,
                op: SetOperator::Union,
                set_quantifier: SetQuantifier::All,
                right,
            } => Ok(self.body(left)? + self.body(right)?),
            SetExpr::SetOperation { op, .. } => Err(op.to_string()),
            SetExpr::Values(_) => Ok(1),
            _ => Err("not understood".into()),
        }
    }

    fn select(&self, select: &Select) -> Result<usize, Heavy> {
        if select.distinct.is_some() {
            return Err("DISTINCT".into());
        }
        let grouped = match &select.group_by {
            GroupByExpr::All(_) => true,
            GroupByExpr::Expressions(by, modifiers) => !by.is_empty() || !modifiers.is_empty(),
        };
        if grouped || select.having.is_some() {
            return Err("GROUP BY".into());
        }
        if !select.named_window.is_empty() || select.qualify.is_some() {
            return Err("window".into());
        }
        if !select.lateral_views.is_empty() || select.top.is_some() {
            return Err("not understood".into());
        }
        let mut arms = 0;
        for table in &select.from {
            arms += self.factor(&table.relation)?;
            for join in &table.joins {
                match &join.join_operator {
                    JoinOperator::Join(on) | JoinOperator::Inner(on) => inner(on)?,
                    _ => return Err("a join that is not inner".into()),
                }
                arms += self.factor(&join.relation)?;
            }
        }
        // A row of constants takes part in a union like a relation.
        Ok(if select.from.is_empty() { 1 } else { arms })
    }

    fn is_cte(&self, name: &[String]) -> bool {
        matches!(name, [single] if self.ctes.contains(single))
    }

    fn factor(&self, factor: &TableFactor) -> Result<usize, Heavy> {
        match factor {
            TableFactor::Table {
                name, args: None, ..
            } => {
                // What a common table expression brings is counted where it stands.
                Ok(usize::from(!self.is_cte(&parts(name))))
            }
            TableFactor::Derived {
                lateral: false,
                subquery,
                ..
            } => self.query(subquery),
            _ => Err("a table function or LATERAL".into()),
        }
    }
}

fn inner(on: &JoinConstraint) -> Result<(), Heavy> {
    match on {
        JoinConstraint::On(_) | JoinConstraint::Using(_) => Ok(()),
        JoinConstraint::Natural | JoinConstraint::None => Err("a join without a condition".into()),
    }
}

fn weight(seen: Seen) -> u32 {
    match seen {
        Seen::Computed(relations) => relations,
        Seen::Indexed | Seen::Large | Seen::UserIndexed | Seen::User => 1,
        Seen::Other => 0,
    }
}

/// Names of all common table expressions of a statement.
fn ctes(statement: &Statement) -> Vec<String> {
    struct Names(Vec<String>);
    impl sqlparser::ast::Visitor for Names {
        type Break = ();
        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            let tables = query.with.iter().flat_map(|w| &w.cte_tables);
            self.0.extend(tables.map(|c| folded(&c.alias.name)));
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(Vec::new());
    let _ = sqlparser::ast::Visit::visit(statement, &mut names);
    names.0
}

/// Privilege functions, and the first function that is neither one nor known to be a scalar.
fn functions(statement: &Statement) -> (Vec<String>, Option<String>) {
    let (mut privileges, mut strange) = (Vec::new(), None);
    let _: ControlFlow<()> = visit_expressions(statement, |expr| {
        if let Expr::Function(function) = expr {
            let name = parts(&function.name).pop().unwrap_or_default();
            let plain = function.over.is_none()
                && function.filter.is_none()
                && function.within_group.is_empty()
                && matches!(
                    &function.args,
                    FunctionArguments::None | FunctionArguments::List(_)
                );
            if PRIVILEGE.contains(&name.as_str()) {
                privileges.push(name);
            } else if !(plain && SCALAR.contains(&name.as_str())) && strange.is_none() {
                strange = Some(name);
            }
        }
        ControlFlow::Continue(())
    });
    (privileges, strange)
}

/// Expressions that need more than a row at a time.
fn heavy(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => Some("a subquery"),
        Expr::AnyOp { .. } | Expr::AllOp { .. } | Expr::InUnnest { .. } => Some("ANY of an array"),
        Expr::GroupingSets(_) | Expr::Cube(_) | Expr::Rollup(_) => Some("GROUP BY"),
        Expr::MatchAgainst { .. } | Expr::Lambda(_) | Expr::Prior(_) | Expr::OuterJoin(_) => {
            Some("not understood")
        }
        _ => None,
    }
}

/// The query whose rows an INSERT writes; none if it writes constants.
pub fn inserted(text: &str) -> Option<String> {
    match rewrite::parse(text).ok()? {
        Statement::Insert(insert) => {
            let source = insert.source?;
            let constant = matches!(*source.body, SetExpr::Values(_));
            (!constant).then(|| source.to_string())
        }
        _ => None,
    }
}
