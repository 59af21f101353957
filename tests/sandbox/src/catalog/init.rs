//! The catalog of a fresh server: as a Materialize container has it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Acl, Catalog, Cluster, Counters, Database, DefaultPrivilege, Grantee, Id, MZ_SUPPORT,
    MZ_SYSTEM, Managed, Mode, ObjectType, Replica, Role, Schema,
};

/// Names and ids of the system schemas, in the order of their ids.
pub const SYSTEM_SCHEMAS: [&str; 7] = [
    "mz_catalog",
    "pg_catalog",
    "mz_internal",
    "information_schema",
    "mz_unsafe",
    "mz_introspection",
    "mz_catalog_unstable",
];

const SYSTEM_ROLES: [&str; 4] = ["mz_system", "mz_support", "mz_analytics", "mz_monitor"];
const SYSTEM_CLUSTERS: [&str; 5] = [
    "mz_system",
    "mz_catalog_server",
    "mz_probe",
    "mz_support",
    "mz_analytics",
];

/// Object ids begin high, so that they never equal a cluster or schema id: `mz_comments.id` does not say of which kind it is.
const FIRST_OBJECT: u64 = 1000;
/// Size of the clusters that exist from the start.
const FIRST_SIZE: &str = "25cc";

impl Managed {
    /// A managed cluster of one replica with default options.
    pub fn of_size(size: &str) -> Self {
        Self {
            size: size.to_owned(),
            replication_factor: 1,
            introspection_debugging: false,
            introspection_interval: "00:00:01".to_owned(),
            availability_zones: Vec::new(),
            auto_scaling: None,
            workload_class: None,
        }
    }
}

impl Catalog {
    /// The catalog of a new sandbox.
    pub fn fresh() -> Self {
        let mut catalog = Self {
            version: 1,
            counters: Counters {
                database: 1,
                schema: 3,
                cluster: 1,
                replica: 1,
                role: 1,
                object: FIRST_OBJECT,
                oid: 20_000,
            },
            ..Self::default()
        };
        catalog.add_roles();
        let user = Id::user(1);
        let creator = Grantee::Public;
        for object_type in [
            ObjectType::Database,
            ObjectType::Schema,
            ObjectType::Cluster,
        ] {
            let grantee = Grantee::Role(MZ_SUPPORT);
            let rule = DefaultPrivilege {
                creator,
                database: None,
                schema: None,
                object_type,
                grantee,
            };
            catalog.defaults.insert(rule, BTreeSet::from([Mode::Usage]));
        }
        let types = DefaultPrivilege {
            creator,
            database: None,
            schema: None,
            object_type: ObjectType::Type,
            grantee: Grantee::Public,
        };
        catalog
            .defaults
            .insert(types, BTreeSet::from([Mode::Usage]));
        for grantee in [MZ_SYSTEM, user] {
            let modes = [
                Mode::CreateRole,
                Mode::CreateDb,
                Mode::CreateCluster,
                Mode::CreateNetworkPolicy,
            ];
            catalog
                .system_acl
                .grant(Grantee::Role(grantee), MZ_SYSTEM, modes);
        }
        let shared = |object_type| {
            let mut acl = Acl::owned(MZ_SYSTEM, object_type);
            acl.grant(Grantee::Public, MZ_SYSTEM, [Mode::Usage]);
            acl.grant(Grantee::Role(MZ_SUPPORT), MZ_SYSTEM, [Mode::Usage]);
            acl.grant(Grantee::Role(user), MZ_SYSTEM, [Mode::Usage, Mode::Create]);
            acl
        };
        let database = Id::user(1);
        let oid = catalog.next_oid();
        catalog.databases.insert(
            database,
            Database {
                id: database,
                oid,
                name: "materialize".into(),
                owner: MZ_SYSTEM,
                acl: shared(ObjectType::Database),
            },
        );
        let system_schemas = SYSTEM_SCHEMAS
            .iter()
            .zip(1..)
            .map(|(name, n)| (Id::system(n), *name, None));
        for (id, name, database) in system_schemas.chain([(Id::user(3), "public", Some(database))])
        {
            let oid = catalog.next_oid();
            let acl = if id.system {
                let mut acl = Acl::owned(MZ_SYSTEM, ObjectType::Schema);
                acl.grant(Grantee::Public, MZ_SYSTEM, [Mode::Usage]);
                acl
            } else {
                shared(ObjectType::Schema)
            };
            catalog.schemas.insert(
                id,
                Schema {
                    id,
                    oid,
                    database,
                    name: name.into(),
                    owner: MZ_SYSTEM,
                    acl,
                },
            );
        }
        let system_clusters = SYSTEM_CLUSTERS
            .iter()
            .zip(1..)
            .map(|(name, n)| (Id::system(n), *name));
        for (id, name) in system_clusters.chain([(Id::user(1), "quickstart")]) {
            let acl = if id.system {
                let mut acl = Acl::owned(MZ_SYSTEM, ObjectType::Cluster);
                acl.grant(Grantee::Role(MZ_SUPPORT), MZ_SYSTEM, [Mode::Usage]);
                if name == "mz_catalog_server" {
                    acl.grant(Grantee::Public, MZ_SYSTEM, [Mode::Usage]);
                }
                acl
            } else {
                shared(ObjectType::Cluster)
            };
            catalog.clusters.insert(
                id,
                Cluster {
                    id,
                    name: name.into(),
                    owner: MZ_SYSTEM,
                    acl,
                    managed: Some(Managed::of_size(FIRST_SIZE)),
                },
            );
            catalog.replicas.insert(
                id,
                Replica {
                    id,
                    cluster: id,
                    name: "r1".into(),
                    size: FIRST_SIZE.into(),
                    availability_zone: None,
                    owner: MZ_SYSTEM,
                },
            );
        }
        catalog
    }

    fn add_roles(&mut self) {
        let system = SYSTEM_ROLES
            .iter()
            .zip(1..)
            .map(|(name, n)| (Id::system(n), *name));
        let mut roles = BTreeMap::new();
        for (id, name) in system.chain([(Id::user(1), "materialize")]) {
            roles.insert(
                id,
                Role {
                    id,
                    oid: self.next_oid(),
                    name: name.to_owned(),
                    superuser: id == MZ_SYSTEM,
                },
            );
        }
        self.roles = roles;
    }
}
