//! Rewriting of queries: names of the catalog become the id-based names that PostgreSQL knows.
//!
//! All names of one statement are resolved against one catalog value, so a statement sees one side of a swap, never a
//! mix. Each query comes out twice: as SQL for the backend, and as stored SQL with marks (`catalog::render`).

mod dialect;
mod nullability;
mod scope;

use std::collections::{BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use sqlparser::ast::{
    Delete, Expr, FromTable, FunctionArgumentList, FunctionArguments, Ident, Insert, ObjectName,
    ObjectNamePart, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, Statement,
    TableAlias, TableFactor, TableObject, TableWithJoins, VisitMut, VisitorMut,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use crate::catalog::{
    Catalog, Id, Mode, Nullability, Object, Relation, STEERING, Scope, SystemRelations, render,
};
use crate::failure::SqlError;
use crate::lexer::{self, Kind, Token};
pub use dialect::types as translate_types;
use scope::Scopes;

/// What names are resolved against.
#[derive(Debug, Clone, Copy)]
pub struct Resolver<'a> {
    /// The catalog.
    pub catalog: &'a Catalog,
    /// System relations.
    pub system: &'a SystemRelations,
    /// Session's database, search path, role.
    pub scope: &'a Scope,
}

/// A rewritten statement.
#[derive(Debug, Clone, Default)]
pub struct Rewritten {
    /// SQL for the backend.
    pub sql: String,
    /// Stored form with marks.
    pub stored: String,
    /// Objects read or written.
    pub objects: BTreeSet<Id>,
    /// Objects written, and how.
    pub writes: Vec<(Arc<Object>, Mode)>,
    /// System relations read.
    pub system: bool,
    /// Whether a steering table is touched.
    pub steering: bool,
    /// Schema names used inside column references.
    pub qualifiers: BTreeSet<String>,
    /// What is known of the output columns.
    pub nullability: Nullability,
}

/// Schema that holds all user relations in PostgreSQL.
pub const USER_SCHEMA: &str = "mz_user";
const KEYWORD_FUNCTIONS: [&str; 4] = [
    "current_user",
    "current_role",
    "session_user",
    "current_catalog",
];
const EXPAND: &str = "mz sandbox expand";

/// Folds an identifier as it was written.
pub fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_ascii_lowercase()
    }
}

/// The parts of a name.
pub fn parts(name: &ObjectName) -> Vec<String> {
    name.0
        .iter()
        .filter_map(|p| p.as_ident())
        .map(folded)
        .collect()
}

/// What was read before. A release asks the same questions again and again, and reading one costs more than
/// answering it.
static KNOWN: LazyLock<Mutex<HashMap<String, Statement>>> = LazyLock::new(Mutex::default);

/// So many are known at most.
const MOST_KNOWN: usize = 512;

/// Reads one statement.
pub fn parse(text: &str) -> Result<Statement, SqlError> {
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(statement) = known().get(text) {
        return Ok(statement.clone());
    }
    let statement = parse_anew(text)?;
    let mut known = known();
    if known.len() >= MOST_KNOWN {
        known.clear();
    }
    known.insert(text.to_owned(), statement.clone());
    Ok(statement)
}

fn parse_anew(text: &str) -> Result<Statement, SqlError> {
    let prepared = prepare(text)?;
    let statements = Parser::parse_sql(&PostgreSqlDialect {}, &prepared)
        .map_err(|e| SqlError::syntax(dialect::complaint(&e.to_string())))?;
    let mut statements = statements.into_iter();
    match (statements.next(), statements.next()) {
        (Some(statement), None) => Ok(statement),
        (None, _) => Err(SqlError::syntax(
            "Expected a keyword at the beginning of a statement, found EOF",
        )),
        (Some(_), Some(_)) => Err(SqlError::syntax("Expected end of statement")),
    }
}

/// What the parser does not know: `f(x).*` travels as an alias, `current_user()` loses its
/// parentheses, `TABLE t` becomes a SELECT.
fn prepare(text: &str) -> Result<String, SqlError> {
    let text = &selected(&dialect::translate(text)?)?;
    let tokens = lexer::tokens(text)?;
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for window in tokens.windows(3) {
        if let [close, dot, star] = window
            && close.kind == Kind::Symbol(')')
            && dot.kind == Kind::Symbol('.')
            && star.kind == Kind::Symbol('*')
        {
            out.push_str(&text[at..close.end]);
            out.push_str(" AS \"");
            out.push_str(EXPAND);
            out.push('"');
            at = star.end;
        } else if let [
            Token {
                kind: Kind::Word(word),
                end,
                ..
            },
            open,
            close,
        ] = window
            && KEYWORD_FUNCTIONS.contains(&word.as_str())
            && open.kind == Kind::Symbol('(')
            && close.kind == Kind::Symbol(')')
        {
            out.push_str(&text[at..*end]);
            at = close.end;
        }
    }
    out.push_str(&text[at..]);
    Ok(out)
}

/// `TABLE t` as a SELECT where a query begins: first, in parentheses, or behind those of a WITH.
fn selected(text: &str) -> Result<String, SqlError> {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let mut before: Option<Kind> = None;
    for token in lexer::tokens(text)? {
        let begins = matches!(before, None | Some(Kind::Symbol('(' | ')')));
        if begins && token.kind == Kind::Word("table".to_owned()) {
            out.push_str(&text[at..token.start]);
            out.push_str("SELECT * FROM");
            at = token.end;
        }
        before = Some(token.kind);
    }
    out.push_str(&text[at..]);
    Ok(out)
}

/// Rewrites SELECT, INSERT, UPDATE, DELETE or COPY.
pub fn statement(resolver: Resolver<'_>, text: &str) -> Result<Rewritten, SqlError> {
    let parsed = parse(text)?;
    let nullability = match &parsed {
        Statement::Query(query) => nullability::of_query(resolver, query),
        _ => Nullability::default(),
    };
    let mut stored = parsed.clone();
    let mut marker = Pass::new(resolver, Target::Stored);
    run(&mut marker, &mut stored)?;
    let mut backend = parsed;
    let mut pass = Pass::new(resolver, Target::Backend);
    pass.dml(&mut backend)?;
    run(&mut pass, &mut backend)?;
    let mut out = pass.out;
    out.sql = backend.to_string();
    out.stored = stored.to_string();
    out.nullability = nullability;
    Ok(out)
}

fn run(pass: &mut Pass<'_>, statement: &mut Statement) -> Result<(), SqlError> {
    match statement.visit(pass) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Backend,
    Stored,
}

struct Pass<'a> {
    resolver: Resolver<'a>,
    target: Target,
    scopes: Scopes,
    out: Rewritten,
    /// Subqueries without an alias so far.
    unnamed: u32,
}

fn ident(value: &str) -> Ident {
    Ident::with_quote('"', value)
}

fn two_part(schema: &str, name: &str) -> ObjectName {
    ObjectName(vec![
        ObjectNamePart::Identifier(ident(schema)),
        ObjectNamePart::Identifier(ident(name)),
    ])
}

fn marked(id: Id) -> ObjectName {
    ObjectName(vec![ObjectNamePart::Identifier(Ident::new(
        render::reference(id),
    ))])
}

impl<'a> Pass<'a> {
    fn new(resolver: Resolver<'a>, target: Target) -> Self {
        Self {
            resolver,
            target,
            scopes: Scopes::default(),
            out: Rewritten::default(),
            unnamed: 0,
        }
    }

    fn resolve(&self, name: &[String]) -> Result<Relation, SqlError> {
        self.resolver
            .catalog
            .relation(self.resolver.system, self.resolver.scope, name)
    }

    fn replace(&mut self, name: &mut ObjectName, relation: &Relation) {
        match relation {
            Relation::User(object) => {
                self.out.objects.insert(object.id);
                *name = match self.target {
                    Target::Backend => two_part(USER_SCHEMA, &object.relation),
                    Target::Stored => marked(object.id),
                };
            }
            Relation::System(system) => {
                self.out.system = true;
                self.out.steering |= system.schema == STEERING;
                *name = match self.target {
                    Target::Backend => two_part(&system.backend.0, &system.backend.1),
                    Target::Stored => two_part(&system.schema, &system.name),
                };
            }
        }
    }

    fn table(&mut self, factor: &mut TableFactor) -> Result<(), SqlError> {
        if let TableFactor::Derived { alias, .. } = factor
            && self.target == Target::Backend
            && alias.is_none()
        {
            // Older servers of PostgreSQL insist on a name.
            self.unnamed += 1;
            *alias = Some(TableAlias {
                explicit: true,
                name: ident(&format!("mz sandbox unnamed {}", self.unnamed)),
                columns: Vec::new(),
                at: None,
            });
        }
        let TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } = factor
        else {
            return Ok(());
        };
        let written = parts(name);
        if let [single] = written.as_slice()
            && self.scopes.is_cte(single)
        {
            return Ok(());
        }
        let relation = self.resolve(&written)?;
        self.replace(name, &relation);
        if self.target == Target::Backend && alias.is_none() {
            let name = ident(&self.scopes.alias_of(&written));
            *alias = Some(TableAlias {
                explicit: true,
                name,
                columns: Vec::new(),
                at: None,
            });
        }
        Ok(())
    }

    /// Targets of INSERT, UPDATE and DELETE; the visitor sees them as ordinary relations, or not at all.
    fn dml(&mut self, statement: &mut Statement) -> Result<(), SqlError> {
        match statement {
            Statement::Insert(Insert {
                table: TableObject::TableName(name),
                table_alias,
                ..
            }) => {
                let relation = self.resolve(&parts(name))?;
                self.write(&relation, Mode::Insert)?;
                self.replace(name, &relation);
                *table_alias = None;
            }
            Statement::Update(update) => self.write_target(&update.table, Mode::Update)?,
            Statement::Delete(Delete {
                from: FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from),
                ..
            }) => {
                if let Some(table) = from.first() {
                    self.write_target(table, Mode::Delete)?;
                }
            }
            Statement::Copy {
                source: sqlparser::ast::CopySource::Table { table_name, .. },
                to,
                ..
            } => {
                let relation = self.resolve(&parts(table_name))?;
                if !*to {
                    self.write(&relation, Mode::Insert)?;
                }
                self.replace(table_name, &relation);
            }
            _ => {}
        }
        Ok(())
    }

    fn write_target(&mut self, table: &TableWithJoins, mode: Mode) -> Result<(), SqlError> {
        let TableFactor::Table { name, .. } = &table.relation else {
            return Ok(());
        };
        let relation = self.resolve(&parts(name))?;
        self.write(&relation, mode)
    }

    fn write(&mut self, relation: &Relation, mode: Mode) -> Result<(), SqlError> {
        use crate::catalog::ObjectKind;
        match relation {
            Relation::User(object)
                if object.kind == ObjectKind::Table && object.details.source.is_none() =>
            {
                self.out.writes.push((Arc::clone(object), mode));
                Ok(())
            }
            Relation::User(object) => {
                let path = self.resolver.catalog.object_path(object);
                Err(SqlError::internal(format!(
                    "cannot mutate {} '{path}'",
                    object.kind.words()
                )))
            }
            Relation::System(system) if system.schema == STEERING => Ok(()),
            Relation::System(system) => Err(SqlError::internal(format!(
                "cannot mutate system table '{}.{}'",
                system.schema, system.name
            ))),
        }
    }

    fn expr(&mut self, expr: &mut Expr) {
        match expr {
            Expr::CompoundIdentifier(idents) if idents.len() >= 3 => {
                let path: Vec<_> = idents.iter().map(folded).collect();
                self.out.qualifiers.insert(path[path.len() - 3].clone());
                if self.target == Target::Stored
                    && let Ok(Relation::User(object)) = self.resolve(&path[..path.len() - 1])
                {
                    // Follows the relation when it is renamed.
                    let column = idents[idents.len() - 1].clone();
                    let relation = render::qualifier(object.id, path.len() > 3);
                    *idents = vec![Ident::new(relation), column];
                } else if self.target == Target::Backend {
                    let column = idents[idents.len() - 1].clone();
                    *idents = vec![
                        ident(&self.scopes.alias_of(&path[..path.len() - 1])),
                        column,
                    ];
                }
            }
            // A cast is named after the function that it casts, and that one is `current_user`.
            Expr::Cast { expr: inner, .. } if self.target == Target::Backend => {
                match inner.as_mut() {
                    Expr::Identifier(name) if folded(name) == "current_role" => {
                        name.value = "current_user".into();
                    }
                    Expr::Function(function) if parts(&function.name) == ["current_role"] => {
                        function.name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(
                            "current_user",
                        ))]);
                    }
                    _ => {}
                }
            }
            Expr::Function(function) if self.target == Target::Backend => {
                if let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice()
                    && SESSION_FUNCTIONS.contains(&folded(name).as_str())
                {
                    function.name = two_part("mz_catalog", &folded(name));
                    if matches!(function.args, FunctionArguments::None) {
                        let list = FunctionArgumentList {
                            duplicate_treatment: None,
                            args: Vec::new(),
                            clauses: Vec::new(),
                        };
                        function.args = FunctionArguments::List(list);
                    }
                }
            }
            Expr::Identifier(name)
                if self.target == Target::Backend && name.quote_style.is_none() =>
            {
                let folded = folded(name);
                if KEYWORD_FUNCTIONS.contains(&folded.as_str()) {
                    name.value = format!("mz_catalog.\"{folded}\"()");
                }
            }
            _ => {}
        }
    }

    fn projection(&mut self, select: &mut Select) {
        for item in &mut select.projection {
            match item {
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    _,
                ) if name.0.len() >= 2 => {
                    let path = parts(name);
                    self.out.qualifiers.insert(path[path.len() - 2].clone());
                    if self.target == Target::Backend {
                        *name = ObjectName(vec![ObjectNamePart::Identifier(ident(
                            &self.scopes.alias_of(&path),
                        ))]);
                    }
                }
                SelectItem::ExprWithAlias { expr, alias } if alias.value == EXPAND => {
                    let options = sqlparser::ast::WildcardAdditionalOptions::default();
                    let nested = Expr::Nested(Box::new(expr.clone()));
                    *item = SelectItem::QualifiedWildcard(
                        SelectItemQualifiedWildcardKind::Expr(nested),
                        options,
                    );
                }
                SelectItem::QualifiedWildcard(..)
                | SelectItem::ExprWithAlias { .. }
                | SelectItem::UnnamedExpr(_)
                | SelectItem::ExprWithAliases { .. }
                | SelectItem::Wildcard(_) => {}
            }
        }
    }
}

/// Functions that PostgreSQL's grammar would answer with its own idea of the session.
const SESSION_FUNCTIONS: [&str; 7] = [
    "current_user",
    "current_role",
    "session_user",
    "current_database",
    "current_catalog",
    "current_schema",
    "current_schemas",
];

impl VisitorMut for Pass<'_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        self.scopes.enter_query(query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<SqlError> {
        self.scopes.leave_query();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<SqlError> {
        self.scopes.enter_select(select);
        self.projection(select);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _select: &mut Select) -> ControlFlow<SqlError> {
        self.scopes.leave_select();
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<SqlError> {
        match self.table(factor) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => ControlFlow::Break(error),
        }
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        self.expr(expr);
        ControlFlow::Continue(())
    }

    fn pre_visit_ident(&mut self, name: &mut Ident) -> ControlFlow<SqlError> {
        if self.target == Target::Stored
            && name.quote_style.is_none()
            && !name.value.starts_with('\u{1}')
        {
            *name = ident(&name.value.to_ascii_lowercase());
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
