//! Statements: what a client asked for, read from its tokens.
//!
//! Query bodies stay text here; `rewrite` reads them against a catalog.

mod alter;
mod create;
mod parser;
mod privilege;
mod session;

use crate::catalog::{Mode, ObjectKind, ObjectType};
use crate::failure::SqlError;
use crate::lexer::Kind;
use parser::Parser;

/// A dotted name, folded.
pub type Name = Vec<String>;

/// What DROP, ALTER, COMMENT and GRANT may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A database.
    Database,
    /// A schema.
    Schema,
    /// A cluster.
    Cluster,
    /// A replica, as `cluster.replica`.
    Replica,
    /// A role.
    Role,
    /// An object of that kind.
    Object(ObjectKind),
    /// Any relation (GRANT without a kind).
    Relation,
    /// A column of a relation (COMMENT only).
    Column,
    /// A type; there are none of the user's.
    Type,
}

impl Thing {
    /// As in command tags: `MATERIALIZED VIEW`.
    pub fn tag(self) -> String {
        match self {
            Self::Database => "DATABASE".into(),
            Self::Schema => "SCHEMA".into(),
            Self::Cluster => "CLUSTER".into(),
            Self::Replica => "CLUSTER REPLICA".into(),
            Self::Role => "ROLE".into(),
            Self::Object(kind) => kind.words().to_uppercase(),
            Self::Relation => "TABLE".into(),
            Self::Column => "COLUMN".into(),
            Self::Type => "TYPE".into(),
        }
    }
}

/// Options of CREATE CLUSTER and ALTER CLUSTER SET.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClusterOptions {
    /// SIZE
    pub size: Option<String>,
    /// REPLICATION FACTOR
    pub replication_factor: Option<u32>,
    /// INTROSPECTION DEBUGGING
    pub introspection_debugging: Option<bool>,
    /// INTROSPECTION INTERVAL, normalised
    pub introspection_interval: Option<String>,
    /// AVAILABILITY ZONES
    pub availability_zones: Option<Vec<String>>,
    /// AVAILABILITY ZONE of a replica
    pub availability_zone: Option<String>,
    /// MANAGED
    pub managed: Option<bool>,
    /// SCHEDULE = ON REFRESH was given
    pub on_refresh: bool,
    /// AUTO SCALING STRATEGY as JSON; empty when disabled
    pub auto_scaling: Option<String>,
    /// WORKLOAD CLASS
    pub workload_class: Option<String>,
    /// REPLICAS (name (options), …)
    pub replicas: Option<Vec<(String, ClusterOptions)>>,
    /// Names in RESET (…)
    pub reset: Vec<String>,
}

/// What a GRANT or REVOKE is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantOn {
    /// The system.
    System,
    /// Named things.
    Named(Thing, Vec<Name>),
    /// ALL TABLES (or so) IN SCHEMA; empty list means IN DATABASE / everywhere.
    AllInSchemas(ObjectType, Vec<Name>),
    /// ALL TABLES (or so) IN DATABASE.
    AllInDatabases(ObjectType, Vec<Name>),
    /// ALL SCHEMAS, ALL CLUSTERS, ALL DATABASES, ALL TABLES
    All(ObjectType),
}

/// A role in GRANT … TO: PUBLIC or a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleName {
    /// PUBLIC
    Public,
    /// A name.
    Named(String),
}

/// A sink's clauses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkClauses {
    /// FROM
    pub from: Name,
    /// CONNECTION
    pub connection: Option<Name>,
    /// FORMAT word
    pub format: Option<String>,
    /// ENVELOPE word
    pub envelope: Option<String>,
}

/// A statement that changes the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ddl {
    /// CREATE DATABASE
    CreateDatabase { name: Name, if_not_exists: bool },
    /// CREATE SCHEMA
    CreateSchema { name: Name, if_not_exists: bool },
    /// CREATE CLUSTER
    CreateCluster {
        name: String,
        options: ClusterOptions,
        if_not_exists: bool,
    },
    /// CREATE CLUSTER REPLICA
    CreateReplica {
        cluster: String,
        name: String,
        options: ClusterOptions,
    },
    /// CREATE ROLE
    CreateRole { name: String },
    /// CREATE VIEW and CREATE MATERIALIZED VIEW
    CreateView(CreateView),
    /// CREATE INDEX
    CreateIndex {
        name: Option<String>,
        cluster: Option<String>,
        on: Name,
        columns: Option<Vec<String>>,
        if_not_exists: bool,
    },
    /// CREATE TABLE (columns)
    CreateTable {
        name: Name,
        columns: String,
        temporary: bool,
        if_not_exists: bool,
    },
    /// CREATE TABLE … FROM SOURCE
    CreateTableFromSource {
        name: Name,
        source: Name,
        reference: Name,
        if_not_exists: bool,
        text: String,
    },
    /// CREATE SOURCE
    CreateSource(CreateSource),
    /// CREATE CONNECTION and CREATE SECRET
    CreatePlain {
        kind: ObjectKind,
        name: Name,
        subtype: Option<String>,
        if_not_exists: bool,
        text: String,
    },
    /// CREATE SINK
    CreateSink {
        name: Name,
        cluster: Option<String>,
        clauses: SinkClauses,
        if_not_exists: bool,
        text: String,
    },
    /// DROP
    Drop {
        thing: Thing,
        names: Vec<Name>,
        if_exists: bool,
        cascade: bool,
        restrict: bool,
    },
    /// DROP OWNED BY
    DropOwned { roles: Vec<String>, cascade: bool },
    /// ALTER … RENAME TO
    Rename {
        thing: Thing,
        name: Name,
        to: String,
        if_exists: bool,
    },
    /// ALTER … SWAP WITH
    Swap {
        thing: Thing,
        name: Name,
        with: String,
    },
    /// ALTER … OWNER TO
    Owner {
        thing: Thing,
        name: Name,
        to: String,
        if_exists: bool,
    },
    /// ALTER CLUSTER SET and RESET
    AlterCluster {
        name: String,
        options: ClusterOptions,
        if_exists: bool,
    },
    /// ALTER SINK … SET FROM
    AlterSink { name: Name, from: Name },
    /// ALTER MATERIALIZED VIEW … APPLY REPLACEMENT
    ApplyReplacement {
        name: Name,
        replacement: Name,
        if_exists: bool,
    },
    /// ALTER … SET/RESET of something without effect here
    AlterOption { thing: Thing, name: Name },
    /// ALTER DEFAULT PRIVILEGES; no creators means FOR ALL ROLES
    DefaultPrivileges {
        creators: Option<Vec<String>>,
        schemas: Vec<Name>,
        databases: Vec<String>,
        grant: bool,
        modes: Option<Vec<Mode>>,
        object_type: ObjectType,
        grantees: Vec<RoleName>,
    },
    /// GRANT and REVOKE of privileges; no modes means ALL
    Privileges {
        grant: bool,
        modes: Option<Vec<Mode>>,
        on: GrantOn,
        roles: Vec<RoleName>,
    },
    /// GRANT and REVOKE of membership
    Membership {
        grant: bool,
        roles: Vec<String>,
        members: Vec<String>,
    },
    /// COMMENT ON
    Comment {
        thing: Thing,
        name: Name,
        comment: Option<String>,
    },
}

/// CREATE VIEW and CREATE MATERIALIZED VIEW.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateView {
    /// Its name.
    pub name: Name,
    /// MATERIALIZED
    pub materialized: bool,
    /// TEMPORARY
    pub temporary: bool,
    /// OR REPLACE
    pub or_replace: bool,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// Names given to the columns.
    pub columns: Vec<String>,
    /// REPLACEMENT … FOR
    pub replaces: Option<Name>,
    /// IN CLUSTER
    pub cluster: Option<String>,
    /// ASSERT NOT NULL
    pub not_null: Vec<String>,
    /// The text of WITH (…).
    pub with: Option<String>,
    /// The query.
    pub query: String,
}

/// CREATE SOURCE.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreateSource {
    /// Its name.
    pub name: Name,
    /// IN CLUSTER
    pub cluster: Option<String>,
    /// IF NOT EXISTS
    pub if_not_exists: bool,
    /// The load generator; other sources are refused.
    pub generator: Option<String>,
    /// FOR ALL TABLES
    pub all_tables: bool,
    /// FOR TABLES (a [AS b], …)
    pub tables: Vec<(String, Name)>,
    /// EXPOSE PROGRESS AS
    pub progress: Option<Name>,
    /// The whole statement.
    pub text: String,
}

/// What SHOW asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Show {
    /// A session variable.
    Variable(String),
    /// Every session variable.
    All,
    /// SHOW CREATE
    Create(Thing, Name),
    /// SHOW SCHEMAS and the like, as a query over the catalog.
    Query(String),
}

/// Any statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// SELECT, WITH, VALUES, TABLE
    Query,
    /// INSERT
    Insert,
    /// UPDATE and DELETE
    Mutation(&'static str),
    /// COPY
    Copy,
    /// BEGIN, with READ ONLY or without
    Begin { read_only: bool },
    /// COMMIT
    Commit,
    /// ROLLBACK
    Rollback,
    /// SET; no value means DEFAULT
    Set {
        name: String,
        value: Option<String>,
        local: bool,
    },
    /// SET TRANSACTION, SET SESSION CHARACTERISTICS
    SetTransaction,
    /// RESET; no name means ALL
    Reset(Option<String>),
    /// DISCARD ALL and the like
    Discard,
    /// DEALLOCATE; no name means ALL
    Deallocate(Option<String>),
    /// SHOW
    Show(Show),
    /// EXPLAIN of the text
    Explain(String),
    /// DECLARE
    Declare {
        name: String,
        subscribe: bool,
        /// Whether moments are told at which nothing changed, too.
        progress: bool,
        query: String,
    },
    /// FETCH; no count means ALL
    Fetch {
        name: String,
        count: Option<usize>,
        timeout_ms: Option<u64>,
    },
    /// CLOSE
    Close(String),
    /// Anything that changes the catalog.
    Ddl(Box<Ddl>),
}

impl Ddl {
    /// Whether it may share a transaction with others of its kind.
    pub fn is_transactional(&self) -> bool {
        matches!(self, Self::Rename { .. } | Self::Swap { .. })
    }
}

/// Reads one statement.
pub fn parse(text: &str) -> Result<Statement, SqlError> {
    let mut p = Parser::new(text)?;
    let first = match p.peek() {
        Some(Kind::Word(word)) => word.clone(),
        Some(Kind::Symbol('(')) => return Ok(Statement::Query),
        Some(Kind::Quoted(_) | Kind::Text(_) | Kind::Number(_) | Kind::Symbol(_)) | None => {
            return Err(SqlError::syntax(format!(
                "Expected a keyword at the beginning of a statement, found {}",
                p.found()
            )));
        }
    };
    Ok(match first.as_str() {
        "select" | "with" | "values" | "table" => Statement::Query,
        "insert" => Statement::Insert,
        "update" => Statement::Mutation("UPDATE"),
        "delete" => Statement::Mutation("DELETE"),
        "copy" => Statement::Copy,
        "create" => Statement::Ddl(Box::new(create::create(&mut p)?)),
        "drop" => Statement::Ddl(Box::new(alter::drop(&mut p)?)),
        "alter" => Statement::Ddl(Box::new(alter::alter(&mut p)?)),
        "comment" => Statement::Ddl(Box::new(alter::comment(&mut p)?)),
        "grant" | "revoke" => Statement::Ddl(Box::new(privilege::grant(&mut p)?)),
        "begin" | "start" | "commit" | "end" | "rollback" | "abort" | "set" | "reset"
        | "discard" | "deallocate" | "show" | "explain" | "declare" | "fetch" | "close" => {
            session::statement(&mut p, &first)?
        }
        _ => {
            let message = format!(
                "Expected a keyword at the beginning of a statement, found identifier \"{first}\""
            );
            return Err(SqlError::syntax(message));
        }
    })
}

#[cfg(test)]
mod tests;
