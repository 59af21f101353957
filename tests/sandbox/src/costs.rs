//! What a statement costs on a real server: its class, and its price in milliseconds.
//!
//! The prices are those of an optimised server (factor 1). Where they come from stands in `tests/sandbox/COSTS.md`; what
//! was not measured there is marked as an estimate. A price is a duration from the arrival of a statement at a server
//! that does nothing else to its answer; who waits for whom is in [`coordinator`].

pub mod coordinator;
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser's enums have a hundred variants, and each that is not named is a dataflow"
)]
mod shape;

use crate::catalog::ObjectKind;
use crate::statement::{Ddl, Show, Statement, Thing};
pub use shape::{Judged, Seen, Shape, judge};

/// Milliseconds of an optimised server, by kind.
pub mod prices {
    /// SET, SHOW of a variable, SHOW CREATE, ROLLBACK and whatever else asks only the session. Estimate.
    pub const SESSION: f64 = 2.0;
    /// BEGIN.
    pub const BEGIN: f64 = 13.0;
    /// COMMIT of a transaction of swaps and renames, or of INSERTs (estimate: the same commit to the same log).
    pub const COMMIT: f64 = 35.0;
    /// One SWAP or RENAME inside a transaction.
    pub const SWAP: f64 = 10.0;
    /// A question answered from one index.
    pub const PEEK: f64 = 7.0;
    /// A question answered from two.
    pub const SLOW_PEEK: f64 = 27.0;
    /// A dataflow before its first relation …
    pub const DATAFLOW: f64 = 40.0;
    /// … and each relation that it reads.
    pub const DATAFLOW_RELATION: f64 = 26.0;
    /// The first snapshot of a SUBSCRIBE.
    pub const SUBSCRIBE: f64 = 120.0;
    /// CREATE VIEW, temporary or not.
    pub const CREATE_VIEW: f64 = 30.0;
    /// CREATE MATERIALIZED VIEW; CREATE TABLE, SOURCE and SINK (estimates: they too begin a collection).
    pub const CREATE_MATERIALIZED_VIEW: f64 = 40.0;
    /// CREATE INDEX.
    pub const CREATE_INDEX: f64 = 45.0;
    /// CREATE SCHEMA; CREATE DATABASE (estimate).
    pub const CREATE_SCHEMA: f64 = 65.0;
    /// CREATE CLUSTER without a replica …
    pub const CREATE_CLUSTER: f64 = 90.0;
    /// … and for each replica.
    pub const REPLICA: f64 = 55.0;
    /// DROP SCHEMA CASCADE; DROP of anything but a cluster (estimate).
    pub const DROP: f64 = 35.0;
    /// DROP CLUSTER.
    pub const DROP_CLUSTER: f64 = 80.0;
    /// COMMENT; GRANT, REVOKE, ALTER … OWNER TO and any other small change of the catalog (estimates).
    pub const SMALL_CHANGE: f64 = 37.0;
    /// From its creation until an object is hydrated.
    pub const HYDRATION: f64 = 1_500.0;
    /// From its creation until an object's materialization lag is known.
    pub const LAG_KNOWN: f64 = 2_800.0;
    /// From its creation until the official wall-clock lag has a row …
    pub const WALLCLOCK_ROW: f64 = 24_000.0;
    /// … and until that row says something.
    pub const WALLCLOCK_LAG: f64 = 84_000.0;
    /// Between two ticks of a SUBSCRIBE.
    pub const TICK: f64 = 1_000.0;
}

/// The model, when it is on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Costs {
    /// All durations are multiplied by it; 1 is an optimised server.
    pub factor: f64,
    /// Objects also need a real server's time until they are hydrated and their lag is known.
    pub readiness: bool,
}

/// What a statement is, to the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Asks or changes the session alone.
    Session,
    /// Begins or ends a transaction.
    Transaction,
    /// A question without relations.
    Constant,
    /// A question answered from one index.
    Peek,
    /// A question answered from two indexes, or one large one.
    SlowPeek,
    /// A question that needs a dataflow of its own.
    Dataflow,
    /// A standing question.
    Subscribe,
    /// Rows are written.
    Write,
    /// The catalog changes.
    Ddl,
    /// A statement of DDL that found nothing to change, such as DROP IF EXISTS of what is not there.
    NoChange,
}

impl Class {
    /// As the log says it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Transaction => "transaction",
            Self::Constant => "constant",
            Self::Peek => "peek",
            Self::SlowPeek => "slow_peek",
            Self::Dataflow => "dataflow",
            Self::Subscribe => "subscribe",
            Self::Write => "write",
            Self::Ddl => "ddl",
            Self::NoChange => "no_change",
        }
    }
}

/// A classified statement and its price at factor 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Priced {
    /// What it is.
    pub class: Class,
    /// Which one, or why it is a dataflow.
    pub kind: String,
    /// `catalog`, `user`, or nothing: whose relations it reads.
    pub reads: &'static str,
    /// Milliseconds.
    pub ms: f64,
}

impl Priced {
    fn new(class: Class, kind: impl Into<String>, ms: f64) -> Self {
        Self {
            class,
            kind: kind.into(),
            reads: "",
            ms,
        }
    }
}

/// What an open transaction would do at its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    /// There is none, or it only reads.
    Nothing,
    /// It writes rows.
    Rows,
    /// It swaps and renames.
    Names,
    /// It holds one other statement of DDL.
    Single(Box<Ddl>),
}

/// What a statement meets, as far as its price depends on it.
pub struct Situation<'a> {
    /// What relation names stand for.
    pub look_up: &'a dyn Fn(&[String]) -> Seen,
    /// Whether a transaction is open.
    pub in_transaction: bool,
    /// What it holds.
    pub held: Held,
    /// Whether a statement of DDL would change anything.
    pub changes: &'a dyn Fn(&Ddl) -> bool,
}

/// Classifies a statement and prices it.
pub fn price(statement: &Statement, text: &str, situation: &Situation<'_>) -> Priced {
    use prices::{BEGIN, COMMIT, SESSION, SUBSCRIBE};
    let session = |kind: &str| Priced::new(Class::Session, kind, SESSION);
    match statement {
        Statement::Begin { .. } => Priced::new(Class::Transaction, "BEGIN", BEGIN),
        Statement::Rollback => Priced::new(Class::Transaction, "ROLLBACK", SESSION),
        Statement::Commit => match &situation.held {
            Held::Nothing => Priced::new(Class::Transaction, "COMMIT", SESSION),
            Held::Rows => Priced::new(Class::Write, "COMMIT", COMMIT),
            Held::Names => Priced::new(Class::Ddl, "COMMIT", COMMIT),
            Held::Single(ddl) => change(ddl, situation),
        },
        Statement::Ddl(ddl) if situation.in_transaction && !ddl.is_transactional() => {
            // It is only tried here, and happens at COMMIT.
            session("held until COMMIT")
        }
        Statement::Ddl(ddl) => change(ddl, situation),
        Statement::Query => question(judge(text, situation.look_up)),
        // Each reads an indexed `mz_show_…` relation.
        Statement::Show(Show::Query(_) | Show::Columns(_)) => Priced {
            reads: "catalog",
            ..Priced::new(Class::Peek, "SHOW", prices::PEEK)
        },
        Statement::Insert => insert(text, situation),
        Statement::Mutation(kind) => {
            let mut read = question(judge(text, situation.look_up));
            read.ms += COMMIT;
            Priced {
                class: Class::Write,
                kind: (*kind).to_owned(),
                ..read
            }
        }
        Statement::Copy => Priced::new(Class::Write, "COPY", COMMIT),
        Statement::Declare {
            subscribe: Some(_),
            query,
            ..
        } => Priced {
            class: Class::Subscribe,
            kind: "SUBSCRIBE".into(),
            ms: SUBSCRIBE,
            ..question(judge(query, situation.look_up))
        },
        Statement::Declare { query, .. } => question(judge(query, situation.look_up)),
        // Rows come from where they are ready.
        Statement::Fetch { .. } => Priced::new(Class::Session, "FETCH", 0.0),
        Statement::Set { .. } | Statement::SetTransaction | Statement::Reset(_) => session("SET"),
        Statement::Show(Show::Create(..)) => session("SHOW CREATE"),
        Statement::Show(Show::Variable(_) | Show::All) => session("SHOW"),
        Statement::Explain(_) => session("EXPLAIN"),
        Statement::Discard | Statement::Deallocate(_) | Statement::Close(_) => session("CLOSE"),
    }
}

fn question(judged: Judged) -> Priced {
    let reads = match (judged.user, judged.catalog) {
        (true, _) => "user",
        (false, true) => "catalog",
        (false, false) => "",
    };
    let priced = match judged.shape {
        Shape::Constant => Priced::new(Class::Constant, "constant", prices::SESSION),
        Shape::Peek => Priced::new(Class::Peek, "peek", prices::PEEK),
        Shape::SlowPeek => Priced::new(Class::SlowPeek, "slow peek", prices::SLOW_PEEK),
        Shape::Dataflow { why, relations } => Priced::new(
            Class::Dataflow,
            why,
            prices::DATAFLOW + prices::DATAFLOW_RELATION * f64::from(relations),
        ),
    };
    Priced { reads, ..priced }
}

/// An INSERT of constants waits for its commit; one of a query also for the query. In a transaction the rows wait.
fn insert(text: &str, situation: &Situation<'_>) -> Priced {
    let commit = if situation.in_transaction {
        prices::SESSION
    } else {
        prices::COMMIT
    };
    let read = match shape::inserted(text) {
        Some(query) => question(judge(&query, situation.look_up)).ms,
        None => 0.0,
    };
    Priced::new(Class::Write, "INSERT", commit + read)
}

fn change(ddl: &Ddl, situation: &Situation<'_>) -> Priced {
    let (kind, ms) = ddl_price(ddl, situation.in_transaction);
    if !matches!(ddl, Ddl::Comment { .. }) && !(situation.changes)(ddl) {
        return Priced::new(Class::NoChange, kind, prices::SESSION);
    }
    Priced::new(Class::Ddl, kind, ms)
}

/// The words and the price of a statement of DDL.
fn ddl_price(ddl: &Ddl, in_transaction: bool) -> (String, f64) {
    use prices::{
        COMMIT, CREATE_CLUSTER, CREATE_INDEX, CREATE_MATERIALIZED_VIEW, CREATE_SCHEMA, CREATE_VIEW,
        DROP, DROP_CLUSTER, REPLICA, SMALL_CHANGE, SWAP,
    };
    let replicas = |factor: Option<u32>| CREATE_CLUSTER + REPLICA * f64::from(factor.unwrap_or(1));
    let name = |words: &str, ms: f64| (words.to_owned(), ms);
    match ddl {
        Ddl::CreateDatabase { .. } => name("CREATE DATABASE", CREATE_SCHEMA),
        Ddl::CreateSchema { .. } => name("CREATE SCHEMA", CREATE_SCHEMA),
        Ddl::CreateCluster { options, .. } => {
            let listed = options.replicas.as_ref().map(Vec::len);
            let listed = listed.and_then(|count| u32::try_from(count).ok());
            name(
                "CREATE CLUSTER",
                replicas(listed.or(options.replication_factor)),
            )
        }
        Ddl::CreateReplica { .. } => name("CREATE CLUSTER REPLICA", REPLICA),
        Ddl::CreateRole { .. } => name("CREATE ROLE", SMALL_CHANGE),
        Ddl::CreateView(view) if view.materialized => {
            name("CREATE MATERIALIZED VIEW", CREATE_MATERIALIZED_VIEW)
        }
        Ddl::CreateView(_) => name("CREATE VIEW", CREATE_VIEW),
        Ddl::CreateIndex { .. } => name("CREATE INDEX", CREATE_INDEX),
        Ddl::CreateTable { .. } | Ddl::CreateTableFromSource { .. } => {
            name("CREATE TABLE", CREATE_MATERIALIZED_VIEW)
        }
        Ddl::CreateSource(_) => name("CREATE SOURCE", CREATE_MATERIALIZED_VIEW),
        Ddl::CreateSink { .. } => name("CREATE SINK", CREATE_MATERIALIZED_VIEW),
        Ddl::CreatePlain { kind, .. } => (
            format!("CREATE {}", kind.words().to_uppercase()),
            SMALL_CHANGE,
        ),
        Ddl::Drop { thing, .. } => {
            let ms = if *thing == Thing::Cluster {
                DROP_CLUSTER
            } else {
                DROP
            };
            (format!("DROP {}", thing.tag()), ms)
        }
        Ddl::DropOwned { .. } => name("DROP OWNED", DROP),
        Ddl::Rename { .. } | Ddl::Swap { .. } => {
            let words = if matches!(ddl, Ddl::Swap { .. }) {
                "SWAP"
            } else {
                "RENAME"
            };
            name(words, if in_transaction { SWAP } else { SWAP + COMMIT })
        }
        Ddl::Owner { .. } => name("ALTER OWNER", SMALL_CHANGE),
        Ddl::AlterCluster { options, .. } => {
            name("ALTER CLUSTER", replicas(options.replication_factor))
        }
        Ddl::AlterSink { .. } => name("ALTER SINK", CREATE_MATERIALIZED_VIEW),
        Ddl::ApplyReplacement { .. } => name("APPLY REPLACEMENT", CREATE_MATERIALIZED_VIEW),
        Ddl::AlterOption { .. } => name("ALTER", SMALL_CHANGE),
        Ddl::DefaultPrivileges { .. } => name("ALTER DEFAULT PRIVILEGES", SMALL_CHANGE),
        Ddl::Privileges { grant, .. } | Ddl::Membership { grant, .. } => {
            name(if *grant { "GRANT" } else { "REVOKE" }, SMALL_CHANGE)
        }
        Ddl::Comment { .. } => name("COMMENT", SMALL_CHANGE),
    }
}

/// Relations of the system catalog with an index on `mz_catalog_server`: the facts' list, completed from the server's
/// list of built-in indexes (`src/catalog/src/builtin.rs` of MaterializeInc/materialize).
const INDEXED: [&str; 58] = [
    "mz_cluster_auto_scaling_strategies",
    "mz_cluster_deployment_lineage",
    "mz_cluster_replica_frontiers",
    "mz_cluster_replica_history",
    "mz_cluster_replica_metrics",
    "mz_cluster_replica_metrics_history",
    "mz_cluster_replica_name_history",
    "mz_cluster_replica_sizes",
    "mz_cluster_replica_status_history",
    "mz_cluster_replica_statuses",
    "mz_cluster_replicas",
    "mz_clusters",
    "mz_columns",
    "mz_comments",
    "mz_compute_dependencies",
    "mz_compute_hydration_times",
    "mz_connections",
    "mz_databases",
    "mz_frontiers",
    "mz_hydration_statuses",
    "mz_indexes",
    "mz_kafka_sources",
    "mz_materialized_views",
    "mz_object_dependencies",
    "mz_object_history",
    "mz_object_lifetimes",
    "mz_object_transitive_dependencies",
    "mz_objects",
    "mz_recent_activity_log_thinned",
    "mz_recent_storage_usage",
    "mz_roles",
    "mz_schemas",
    "mz_secrets",
    "mz_show_all_objects",
    "mz_show_cluster_replicas",
    "mz_show_clusters",
    "mz_show_columns",
    "mz_show_connections",
    "mz_show_databases",
    "mz_show_indexes",
    "mz_show_materialized_views",
    "mz_show_roles",
    "mz_show_schemas",
    "mz_show_secrets",
    "mz_show_sinks",
    "mz_show_sources",
    "mz_show_tables",
    "mz_show_types",
    "mz_show_views",
    "mz_sink_status_history",
    "mz_sink_statuses",
    "mz_sinks",
    "mz_source_status_history",
    "mz_source_statuses",
    "mz_sources",
    "mz_tables",
    "mz_types",
    "mz_views",
];
/// Measured at the price of two indexed relations: a day of samples of every object.
const LARGE: &str = "mz_wallclock_global_lag_recent_history";
/// Plain tables and persisted collections without an index: read as they are.
const STORED: [&str; 6] = [
    "mz_cluster_schedules",
    "mz_default_privileges",
    "mz_replacements",
    "mz_role_members",
    "mz_sessions",
    "mz_system_privileges",
];
/// A view without an index costs as if its name stood for so many relations. Measured for `mz_materialization_lag`, an
/// estimate for the others.
const VIEW_RELATIONS: u32 = 3;

/// What a relation of the system catalog is.
pub fn system_relation(schema: &str, name: &str) -> Seen {
    if !matches!(schema, "mz_catalog" | "mz_internal") {
        Seen::Computed(VIEW_RELATIONS)
    } else if INDEXED.contains(&name) {
        Seen::Indexed
    } else if name == LARGE {
        Seen::Large
    } else if STORED.contains(&name) {
        Seen::Computed(1)
    } else {
        Seen::Computed(VIEW_RELATIONS)
    }
}

/// What a user's relation is: a peek needs an index of its own.
pub fn user_relation(catalog: &crate::catalog::Catalog, object: &crate::catalog::Object) -> Seen {
    let indexed = catalog
        .objects
        .values()
        .any(|o| o.kind == ObjectKind::Index && o.depends.contains(&object.id));
    if indexed {
        Seen::UserIndexed
    } else {
        Seen::User
    }
}

#[cfg(test)]
mod tests;
