//! The catalog: every database, schema, cluster, role and object, with names, owners, privileges and dependencies.
//!
//! Invariants: it is a plain value, cloned by whoever wants to change it and swapped in whole; `version` rises with
//! every change; ids come from counters and are never used again; relations are known to PostgreSQL by id only (and a
//! number, where a replaced input made a new one necessary), so a rename or swap is nothing but a change of this value.

mod acl;
mod columns;
mod init;
mod lookup;
mod project;
pub mod render;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

pub use acl::{Acl, Grantee, Mode, ObjectType, modes_of};
pub use columns::{Column, Nullability};
pub use lookup::{Relation, STEERING, Scope, SystemRelation, SystemRelations};
pub use project::{Projection, diff};

/// An id such as `u12` or `s3`. Each kind of thing counts on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// True for what belongs to the system (`s…`).
    pub system: bool,
    /// The number.
    pub number: u64,
}

impl Id {
    /// A user id.
    pub const fn user(number: u64) -> Self {
        Self {
            system: false,
            number,
        }
    }

    /// A system id.
    pub const fn system(number: u64) -> Self {
        Self {
            system: true,
            number,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.system { 's' } else { 'u' }, self.number)
    }
}

/// Role `mz_system`, the only superuser.
pub const MZ_SYSTEM: Id = Id::system(1);
/// Role `mz_support`.
pub const MZ_SUPPORT: Id = Id::system(2);
/// The schema id under which temporary objects are listed.
pub const TEMPORARY_SCHEMA: Id = Id::user(0);

/// A database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Its id.
    pub id: Id,
    /// PostgreSQL-style OID.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// Owning role.
    pub owner: Id,
    /// Privileges.
    pub acl: Acl,
}

/// A schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// Its id.
    pub id: Id,
    /// PostgreSQL-style OID.
    pub oid: u32,
    /// Database it lies in; none for system schemas.
    pub database: Option<Id>,
    /// Its name.
    pub name: String,
    /// Owning role.
    pub owner: Id,
    /// Privileges.
    pub acl: Acl,
}

/// The options of a managed cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Managed {
    /// Size of each replica.
    pub size: String,
    /// Number of replicas.
    pub replication_factor: u32,
    /// Introspection of the replicas themselves.
    pub introspection_debugging: bool,
    /// Introspection interval as an interval text, `00:00:01` by default.
    pub introspection_interval: String,
    /// Availability zones, if any were named.
    pub availability_zones: Vec<String>,
    /// JSON of the auto scaling strategy, if set.
    pub auto_scaling: Option<String>,
    /// `WORKLOAD CLASS`, if set.
    pub workload_class: Option<String>,
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Its id.
    pub id: Id,
    /// Its name.
    pub name: String,
    /// Owning role.
    pub owner: Id,
    /// Privileges.
    pub acl: Acl,
    /// Options; none for an unmanaged cluster.
    pub managed: Option<Managed>,
}

/// A replica of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its id.
    pub id: Id,
    /// Its cluster.
    pub cluster: Id,
    /// Its name.
    pub name: String,
    /// Its size.
    pub size: String,
    /// Availability zone, if named.
    pub availability_zone: Option<String>,
    /// Owning role.
    pub owner: Id,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its id.
    pub id: Id,
    /// PostgreSQL-style OID.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// Only `mz_system`.
    pub superuser: bool,
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A table.
    Table,
    /// A view.
    View,
    /// A materialized view.
    MaterializedView,
    /// An index.
    Index,
    /// A source, subsource or progress collection.
    Source,
    /// A sink.
    Sink,
    /// A connection.
    Connection,
    /// A secret.
    Secret,
}

impl ObjectKind {
    /// As in messages: `materialized view`.
    pub fn words(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::View => "view",
            Self::MaterializedView => "materialized view",
            Self::Index => "index",
            Self::Source => "source",
            Self::Sink => "sink",
            Self::Connection => "connection",
            Self::Secret => "secret",
        }
    }

    /// As in the catalog's `type` columns: `materialized-view`.
    pub fn catalog_name(self) -> &'static str {
        match self {
            Self::MaterializedView => "materialized-view",
            Self::Table
            | Self::View
            | Self::Index
            | Self::Source
            | Self::Sink
            | Self::Connection
            | Self::Secret => self.words(),
        }
    }

    /// Whether it can stand in FROM.
    pub fn is_relation(self) -> bool {
        match self {
            Self::Table | Self::View | Self::MaterializedView | Self::Source => true,
            Self::Index | Self::Sink | Self::Connection | Self::Secret => false,
        }
    }
}

/// What only some kinds of object have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// `type` of a source, sink or connection: `load-generator`, `subsource`, `kafka`…
    pub subtype: Option<String>,
    /// The relation an index stands on, or the one a sink reads.
    pub on: Option<Id>,
    /// The connection of a sink.
    pub connection: Option<Id>,
    /// The source that feeds a table or subsource.
    pub source: Option<Id>,
    /// Envelope of a sink or source.
    pub envelope: Option<String>,
    /// Format of a sink or source.
    pub format: Option<String>,
    /// The materialized view that this one may replace.
    pub replaces: Option<Id>,
    /// Whether nothing it reads can ever change.
    pub constant: bool,
    /// Whether its rows are distinct in some columns, as after DISTINCT and GROUP BY.
    pub keyed: bool,
}

/// An object of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its id.
    pub id: Id,
    /// PostgreSQL-style OID.
    pub oid: u32,
    /// Its schema, or [`TEMPORARY_SCHEMA`].
    pub schema: Id,
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: ObjectKind,
    /// Owning role.
    pub owner: Id,
    /// Privileges.
    pub acl: Acl,
    /// Cluster that maintains it.
    pub cluster: Option<Id>,
    /// Columns, in order.
    pub columns: Vec<Column>,
    /// Objects it reads, by id.
    pub depends: BTreeSet<Id>,
    /// Statement text with references as marks, see `render`.
    pub create: String,
    /// Query text with references as marks; views only.
    pub definition: Option<String>,
    /// Schema names that its stored SQL uses inside column references.
    pub qualifiers: BTreeSet<String>,
    /// The session that owns a temporary object.
    pub session: Option<i32>,
    /// Name of its relation in PostgreSQL, in the schema of user relations.
    pub relation: String,
    /// What follows the name where PostgreSQL makes that relation; views and materialized views only.
    pub body: Option<String>,
    /// The rest.
    pub details: Details,
}

/// A rule of `ALTER DEFAULT PRIVILEGES`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DefaultPrivilege {
    /// Objects created by this role; `Public` means by all roles.
    pub creator: Grantee,
    /// Only in this database.
    pub database: Option<Id>,
    /// Only in this schema.
    pub schema: Option<Id>,
    /// Kind of object.
    pub object_type: ObjectType,
    /// Who receives.
    pub grantee: Grantee,
}

/// What a comment is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommentOn {
    /// A database.
    Database(Id),
    /// A schema.
    Schema(Id),
    /// A cluster.
    Cluster(Id),
    /// A cluster replica.
    Replica(Id),
    /// A role.
    Role(Id),
    /// An object, or one of its columns (from 1).
    Object(Id, Option<u32>),
}

/// The whole catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Rises with every change.
    pub version: u64,
    /// Databases by id.
    pub databases: BTreeMap<Id, Database>,
    /// Schemas by id.
    pub schemas: BTreeMap<Id, Schema>,
    /// Clusters by id.
    pub clusters: BTreeMap<Id, Cluster>,
    /// Replicas by id.
    pub replicas: BTreeMap<Id, Replica>,
    /// Roles by id.
    pub roles: BTreeMap<Id, Role>,
    /// (role, member) → grantor.
    pub members: BTreeMap<(Id, Id), Id>,
    /// Objects by id.
    pub objects: BTreeMap<Id, Arc<Object>>,
    /// Object ids by schema and name; temporary ones by session.
    pub names: BTreeMap<(Id, Option<i32>, String), Id>,
    /// Default privileges.
    pub defaults: BTreeMap<DefaultPrivilege, BTreeSet<Mode>>,
    /// System privileges.
    pub system_acl: Acl,
    /// Comments.
    pub comments: BTreeMap<CommentOn, String>,
    counters: Counters,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Counters {
    database: u64,
    schema: u64,
    cluster: u64,
    replica: u64,
    role: u64,
    object: u64,
    oid: u32,
}

impl Catalog {
    /// Whether nothing but the version differs.
    pub fn same_content(&self, other: &Self) -> bool {
        let numbered = Self {
            version: other.version,
            ..self.clone()
        };
        numbered == *other
    }

    /// Next PostgreSQL-style OID.
    pub fn next_oid(&mut self) -> u32 {
        self.counters.oid += 1;
        self.counters.oid
    }

    /// Next database id.
    pub fn next_database(&mut self) -> Id {
        self.counters.database += 1;
        Id::user(self.counters.database)
    }

    /// Next schema id.
    pub fn next_schema(&mut self) -> Id {
        self.counters.schema += 1;
        Id::user(self.counters.schema)
    }

    /// Next cluster id.
    pub fn next_cluster(&mut self) -> Id {
        self.counters.cluster += 1;
        Id::user(self.counters.cluster)
    }

    /// Next replica id.
    pub fn next_replica(&mut self) -> Id {
        self.counters.replica += 1;
        Id::user(self.counters.replica)
    }

    /// Next role id.
    pub fn next_role(&mut self) -> Id {
        self.counters.role += 1;
        Id::user(self.counters.role)
    }

    /// Next object id.
    pub fn next_object(&mut self) -> Id {
        self.counters.object += 1;
        Id::user(self.counters.object)
    }

    /// Keeps the counters of `other` where they are ahead, so that an abandoned change burns its ids.
    pub fn skip_ids_of(&mut self, other: &Self) {
        let (mine, theirs) = (&mut self.counters, &other.counters);
        mine.database = mine.database.max(theirs.database);
        mine.schema = mine.schema.max(theirs.schema);
        mine.cluster = mine.cluster.max(theirs.cluster);
        mine.replica = mine.replica.max(theirs.replica);
        mine.role = mine.role.max(theirs.role);
        mine.object = mine.object.max(theirs.object);
        mine.oid = mine.oid.max(theirs.oid);
    }

    /// Adds an object under its name.
    pub fn insert_object(&mut self, object: Object) {
        self.names.insert(
            (object.schema, object.session, object.name.clone()),
            object.id,
        );
        self.objects.insert(object.id, Arc::new(object));
    }

    /// Removes an object, its name and its comments.
    pub fn remove_object(&mut self, id: Id) -> Option<Arc<Object>> {
        let object = self.objects.remove(&id)?;
        self.names
            .remove(&(object.schema, object.session, object.name.clone()));
        self.comments
            .retain(|on, _| !matches!(on, CommentOn::Object(o, _) if *o == id));
        Some(object)
    }

    /// Changes an object in place; its schema and name must stay.
    pub fn change_object(&mut self, id: Id, change: impl FnOnce(&mut Object)) {
        if let Some(object) = self.objects.get_mut(&id) {
            change(Arc::make_mut(object));
        }
    }

    /// Objects that depend on `id` directly.
    pub fn dependents(&self, id: Id) -> impl Iterator<Item = &Arc<Object>> {
        self.objects
            .values()
            .filter(move |o| o.depends.contains(&id))
    }

    /// `roots` and everything that depends on them.
    pub fn closure(&self, roots: impl IntoIterator<Item = Id>) -> BTreeSet<Id> {
        let mut seen = BTreeSet::new();
        let mut todo: Vec<Id> = roots.into_iter().collect();
        while let Some(id) = todo.pop() {
            if seen.insert(id) {
                todo.extend(self.dependents(id).map(|o| o.id));
            }
        }
        seen
    }
}
