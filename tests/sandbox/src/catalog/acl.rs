//! Privileges: who may do what on which thing, in Materialize's letters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Id;

/// A single privilege.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// `r`
    Select,
    /// `a`
    Insert,
    /// `w`
    Update,
    /// `d`
    Delete,
    /// `U`
    Usage,
    /// `C`
    Create,
    /// `R`
    CreateRole,
    /// `B`
    CreateDb,
    /// `N`
    CreateCluster,
    /// `P`
    CreateNetworkPolicy,
}

impl Mode {
    /// Its letter in an acl item.
    pub fn letter(self) -> char {
        match self {
            Self::Select => 'r',
            Self::Insert => 'a',
            Self::Update => 'w',
            Self::Delete => 'd',
            Self::Usage => 'U',
            Self::Create => 'C',
            Self::CreateRole => 'R',
            Self::CreateDb => 'B',
            Self::CreateCluster => 'N',
            Self::CreateNetworkPolicy => 'P',
        }
    }

    /// From its SQL word.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "select" => Self::Select,
            "insert" => Self::Insert,
            "update" => Self::Update,
            "delete" => Self::Delete,
            "usage" => Self::Usage,
            "create" => Self::Create,
            "createrole" => Self::CreateRole,
            "createdb" => Self::CreateDb,
            "createcluster" => Self::CreateCluster,
            "createnetworkpolicy" => Self::CreateNetworkPolicy,
            _ => return None,
        })
    }
}

/// The kinds of thing that carry privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectType {
    /// Tables, views, materialized views and sources.
    Table,
    /// Types.
    Type,
    /// Secrets.
    Secret,
    /// Connections.
    Connection,
    /// Databases.
    Database,
    /// Schemas.
    Schema,
    /// Clusters.
    Cluster,
    /// The system itself.
    System,
}

impl ObjectType {
    /// As in `mz_default_privileges.object_type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Type => "type",
            Self::Secret => "secret",
            Self::Connection => "connection",
            Self::Database => "database",
            Self::Schema => "schema",
            Self::Cluster => "cluster",
            Self::System => "system",
        }
    }
}

/// All privileges a kind of thing can carry; its owner has them from the start.
pub fn modes_of(object_type: ObjectType) -> &'static [Mode] {
    match object_type {
        ObjectType::Table => &[Mode::Insert, Mode::Select, Mode::Update, Mode::Delete],
        ObjectType::Type | ObjectType::Secret | ObjectType::Connection => &[Mode::Usage],
        ObjectType::Database | ObjectType::Schema | ObjectType::Cluster => {
            &[Mode::Usage, Mode::Create]
        }
        ObjectType::System => &[
            Mode::CreateRole,
            Mode::CreateDb,
            Mode::CreateCluster,
            Mode::CreateNetworkPolicy,
        ],
    }
}

/// A role, or everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grantee {
    /// `PUBLIC`.
    Public,
    /// One role.
    Role(Id),
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("p"),
            Self::Role(id) => id.fmt(f),
        }
    }
}

/// One entry of an access control list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclItem {
    /// Who received.
    pub grantee: Grantee,
    /// Who gave.
    pub grantor: Id,
    /// What.
    pub modes: BTreeSet<Mode>,
}

impl fmt::Display for AclItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.grantee {
            Grantee::Public => {}
            Grantee::Role(id) => id.fmt(f)?,
        }
        f.write_str("=")?;
        for mode in &self.modes {
            write!(f, "{}", mode.letter())?;
        }
        write!(f, "/{}", self.grantor)
    }
}

/// An access control list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acl {
    entries: BTreeMap<(Grantee, Id), BTreeSet<Mode>>,
}

impl Acl {
    /// What an owner starts with.
    pub fn owned(owner: Id, object_type: ObjectType) -> Self {
        let mut acl = Self::default();
        acl.grant(
            Grantee::Role(owner),
            owner,
            modes_of(object_type).iter().copied(),
        );
        acl
    }

    /// Keeps only these privileges, whoever holds them.
    pub fn keep(&mut self, modes: &[Mode]) {
        for held in self.entries.values_mut() {
            held.retain(|mode| modes.contains(mode));
        }
        self.entries.retain(|_, held| !held.is_empty());
    }

    /// Adds privileges.
    pub fn grant(&mut self, grantee: Grantee, grantor: Id, modes: impl IntoIterator<Item = Mode>) {
        self.entries
            .entry((grantee, grantor))
            .or_default()
            .extend(modes);
    }

    /// Takes privileges away, whoever gave them.
    pub fn revoke(&mut self, grantee: Grantee, modes: &[Mode]) {
        for ((who, _), held) in &mut self.entries {
            if *who == grantee {
                held.retain(|mode| !modes.contains(mode));
            }
        }
        self.entries.retain(|_, held| !held.is_empty());
    }

    /// Takes everything from a grantee; true if there was something.
    pub fn forget(&mut self, grantee: Grantee) -> bool {
        let before = self.entries.len();
        self.entries.retain(|(who, _), _| *who != grantee);
        before != self.entries.len()
    }

    /// Whether the grantee is named at all.
    pub fn names(&self, grantee: Grantee) -> bool {
        self.entries.keys().any(|(who, _)| *who == grantee)
    }

    /// Whether a grantee itself holds a privilege.
    pub fn holds(&self, grantee: Grantee, mode: Mode) -> bool {
        self.entries
            .iter()
            .any(|((who, _), held)| *who == grantee && held.contains(&mode))
    }

    /// Replaces the owner: what the old one held or gave now counts for the new one.
    pub fn change_owner(&mut self, old: Id, new: Id) {
        let swap = |id: Id| if id == old { new } else { id };
        for ((grantee, grantor), modes) in std::mem::take(&mut self.entries) {
            let grantee = match grantee {
                Grantee::Role(id) => Grantee::Role(swap(id)),
                Grantee::Public => Grantee::Public,
            };
            self.entries
                .entry((grantee, swap(grantor)))
                .or_default()
                .extend(modes);
        }
    }

    /// Its entries.
    pub fn items(&self) -> impl Iterator<Item = AclItem> {
        self.entries
            .iter()
            .map(|((grantee, grantor), modes)| AclItem {
                grantee: *grantee,
                grantor: *grantor,
                modes: modes.clone(),
            })
    }

    /// As a PostgreSQL array literal.
    pub fn array(&self) -> String {
        let items: Vec<_> = self.items().map(|i| i.to_string()).collect();
        format!("{{{}}}", items.join(","))
    }
}
