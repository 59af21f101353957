//! Which output columns of a query can never be NULL, as far as that is plain to see.

use sqlparser::ast::{
    BinaryOperator, Expr, GroupByExpr, JoinOperator, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, Value, With,
};
use std::collections::HashMap;

use super::{Resolver, folded, parts};
use crate::catalog::{Column, Nullability, Relation};

/// Columns of a source, with the name they can be qualified by.
struct Source {
    name: String,
    columns: Vec<Column>,
    constant: bool,
    keyed: bool,
}

/// Common table expressions that are in scope, by name.
type Ctes = HashMap<String, Vec<Column>>;

/// The columns of a query, of which only name and nullability count; none if they are not plain to see.
fn described(resolver: Resolver<'_>, query: &Query, around: &Ctes) -> Option<Vec<Column>> {
    let ctes = in_scope(resolver, query.with.as_ref(), around);
    let select = match query.body.as_ref() {
        SetExpr::Select(select) => select,
        SetExpr::Query(inner) => return described(resolver, inner, &ctes),
        _ => return None,
    };
    let mut sources = sources(resolver, select, &ctes)?;
    if let Some(filter) = &select.selection {
        narrow(filter, &mut sources);
    }
    let mut out = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::ExprWithAlias { expr, alias } => {
                out.push(plain(folded(alias), !not_null(expr, &sources)));
            }
            SelectItem::UnnamedExpr(expr) => {
                let name = match expr {
                    Expr::Identifier(name) => folded(name),
                    Expr::CompoundIdentifier(path) => path.last().map(folded).unwrap_or_default(),
                    _ => "?column?".to_owned(),
                };
                out.push(plain(name, !not_null(expr, &sources)));
            }
            SelectItem::Wildcard(_) => {
                out.extend(sources.iter().flat_map(|source| source.columns.clone()));
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let name = parts(name).pop()?;
                let source = sources.iter().find(|source| source.name == name)?;
                out.extend(source.columns.clone());
            }
            _ => return None,
        }
    }
    Some(out)
}

fn plain(name: String, nullable: bool) -> Column {
    Column {
        name,
        type_name: String::new(),
        type_oid: 0,
        type_mod: -1,
        nullable,
        default: None,
    }
}

/// Gives columns the names that an alias has for them.
fn renamed(mut columns: Vec<Column>, alias: &TableAlias) -> Vec<Column> {
    for (column, name) in columns.iter_mut().zip(&alias.columns) {
        column.name = folded(&name.name);
    }
    columns
}

/// What a WITH adds to the expressions around it. One that is not plain to see hides another of its name.
fn in_scope(resolver: Resolver<'_>, with: Option<&With>, around: &Ctes) -> Ctes {
    let mut ctes = around.clone();
    for cte in with.into_iter().flat_map(|with| &with.cte_tables) {
        let name = folded(&cte.alias.name);
        match described(resolver, &cte.query, &ctes) {
            Some(columns) => ctes.insert(name, renamed(columns, &cte.alias)),
            None => ctes.insert(name, Vec::new()),
        };
    }
    ctes
}

pub(super) fn of_query(resolver: Resolver<'_>, query: &Query) -> Nullability {
    let ctes = in_scope(resolver, query.with.as_ref(), &Ctes::new());
    let mut body = query.body.as_ref();
    while let SetExpr::Query(inner) = body {
        if inner.with.is_some() {
            break;
        }
        body = inner.body.as_ref();
    }
    let mut out = Nullability::default();
    if let SetExpr::Select(select) = body {
        let mut sources = sources(resolver, select, &ctes);
        if let (Some(sources), Some(filter)) = (&mut sources, &select.selection) {
            narrow(filter, sources);
        }
        out.keyed = keyed(select, sources.as_deref().unwrap_or_default());
        for item in &select.projection {
            match (item, &sources) {
                (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }, _) => {
                    out.not_null_at
                        .push(not_null(expr, sources.as_deref().unwrap_or_default()));
                }
                (SelectItem::Wildcard(_), Some(sources)) => {
                    out.not_null_at
                        .extend(sources.iter().flat_map(|s| &s.columns).map(|c| !c.nullable));
                }
                _ => break,
            }
        }
    }
    out
}

/// The relations of a FROM; none if one of them is something else, or an outer join adds NULLs.
fn sources(resolver: Resolver<'_>, select: &Select, ctes: &Ctes) -> Option<Vec<Source>> {
    let mut out = Vec::new();
    for table in &select.from {
        let inner = |op: &JoinOperator| {
            matches!(
                op,
                JoinOperator::Join(_) | JoinOperator::Inner(_) | JoinOperator::CrossJoin(_)
            )
        };
        if !table.joins.iter().all(|j| inner(&j.join_operator)) {
            return None;
        }
        for factor in
            std::iter::once(&table.relation).chain(table.joins.iter().map(|j| &j.relation))
        {
            if let TableFactor::Derived {
                subquery, alias, ..
            } = factor
            {
                let columns = described(resolver, subquery, ctes)?;
                out.push(Source {
                    name: alias.as_ref().map(|a| folded(&a.name)).unwrap_or_default(),
                    columns: match alias {
                        Some(alias) => renamed(columns, alias),
                        None => columns,
                    },
                    constant: false,
                    keyed: false,
                });
                continue;
            }
            let TableFactor::Table {
                name,
                alias,
                args: None,
                ..
            } = factor
            else {
                return None;
            };
            let path = parts(name);
            if let [cte] = path.as_slice()
                && let Some(columns) = ctes.get(cte)
            {
                if columns.is_empty() {
                    return None;
                }
                out.push(Source {
                    name: alias
                        .as_ref()
                        .map_or_else(|| cte.clone(), |a| folded(&a.name)),
                    columns: columns.clone(),
                    constant: false,
                    keyed: false,
                });
                continue;
            }
            let Ok(Relation::User(object)) =
                resolver
                    .catalog
                    .relation(resolver.system, resolver.scope, &path)
            else {
                return None;
            };
            let name = alias.as_ref().map_or_else(
                || path.last().cloned().unwrap_or_default(),
                |a| folded(&a.name),
            );
            out.push(Source {
                name,
                columns: object.columns.clone(),
                constant: object.details.constant,
                keyed: object.details.keyed,
            });
        }
    }
    Some(out)
}

fn not_null(expr: &Expr, sources: &[Source]) -> bool {
    match expr {
        Expr::Value(value) => !matches!(value.value, Value::Null | Value::Placeholder(_)),
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => not_null(inner, sources),
        Expr::BinaryOp { left, right, .. } => not_null(left, sources) && not_null(right, sources),
        Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::Exists { .. } => true,
        Expr::Function(function) => parts(&function.name).last().is_some_and(|n| n == "count"),
        Expr::Identifier(name) => column(None, &folded(name), sources),
        Expr::CompoundIdentifier(path) if path.len() >= 2 => column(
            Some(&folded(&path[path.len() - 2])),
            &folded(&path[path.len() - 1]),
            sources,
        ),
        _ => false,
    }
}

/// What DISTINCT, GROUP BY, an aggregate of everything and a row of constants have in common. All columns of one such
/// relation keep it.
fn keyed(select: &Select, sources: &[Source]) -> bool {
    let whole = matches!(select.projection.as_slice(), [SelectItem::Wildcard(_)]);
    let inherited = match sources {
        [one] => one.constant || (one.keyed && whole),
        _ => !sources.is_empty() && sources.iter().all(|source| source.constant),
    };
    let grouped = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(by, _) => !by.is_empty(),
    };
    let constant = select.from.is_empty();
    let aggregates = select.projection.iter().any(|item| match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            matches!(expr, Expr::Function(f) if f.over.is_none()
                && parts(&f.name).last().is_some_and(|n| AGGREGATES.contains(&n.as_str())))
        }
        _ => false,
    });
    inherited || select.distinct.is_some() || grouped || constant || aggregates
}

const AGGREGATES: [&str; 9] = [
    "array_agg",
    "avg",
    "bool_and",
    "bool_or",
    "count",
    "max",
    "min",
    "string_agg",
    "sum",
];

/// A filter that no NULL passes takes the column's NULLs away: `IS NOT NULL`, or a comparison with it.
fn narrow(filter: &Expr, sources: &mut [Source]) {
    match filter {
        Expr::Nested(inner) => narrow(inner, sources),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => {
            narrow(left, sources);
            narrow(right, sources);
        }
        Expr::IsNotNull(inner) => refuse_null(inner, sources),
        Expr::BinaryOp {
            left,
            op:
                BinaryOperator::Eq
                | BinaryOperator::NotEq
                | BinaryOperator::Lt
                | BinaryOperator::LtEq
                | BinaryOperator::Gt
                | BinaryOperator::GtEq,
            right,
        } => {
            refuse_null(left, sources);
            refuse_null(right, sources);
        }
        _ => {}
    }
}

fn refuse_null(expr: &Expr, sources: &mut [Source]) {
    let (qualifier, name) = match expr {
        Expr::Nested(inner) => return refuse_null(inner, sources),
        Expr::Identifier(name) => (None, folded(name)),
        Expr::CompoundIdentifier(path) if path.len() >= 2 => (
            Some(folded(&path[path.len() - 2])),
            folded(&path[path.len() - 1]),
        ),
        _ => return,
    };
    for source in sources
        .iter_mut()
        .filter(|s| qualifier.as_ref().is_none_or(|q| *q == s.name))
    {
        for column in source.columns.iter_mut().filter(|c| c.name == name) {
            column.nullable = false;
        }
    }
}

fn column(qualifier: Option<&str>, name: &str, sources: &[Source]) -> bool {
    let mut found = sources
        .iter()
        .filter(|s| qualifier.is_none_or(|q| q == s.name))
        .flat_map(|s| &s.columns)
        .filter(|c| c.name == name);
    found.next().is_some_and(|c| !c.nullable) && found.next().is_none()
}
