//! Clusters and their replicas.

use super::{Context, Effect, access, privilege};
use crate::catalog::{Catalog, Cluster, Id, Managed, Mode, ObjectType, Replica};
use crate::failure::SqlError;
use crate::statement::ClusterOptions;

/// Sizes a replica can have.
pub const SIZES: [&str; 20] = [
    "25cc",
    "50cc",
    "100cc",
    "200cc",
    "300cc",
    "400cc",
    "600cc",
    "800cc",
    "1200cc",
    "1600cc",
    "3200cc",
    "6400cc",
    "128C",
    "256C",
    "scale=1,workers=1",
    "scale=1,workers=2",
    "scale=1,workers=4",
    "scale=1,workers=8",
    "scale=2,workers=1",
    "scale=2,workers=2",
];

/// Sizes of a local server are made of numbers: `scale=2,workers=4`, and `,mem=8GiB` where memory is limited.
fn is_local(size: &str) -> bool {
    let number = |part: Option<&str>, name: &str| {
        part.and_then(|part| part.strip_prefix(name))
            .is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n > 0))
    };
    let mut parts = size.split(',');
    let counted = number(parts.next(), "scale=") && number(parts.next(), "workers=");
    let memory = parts.next().and_then(|part| part.strip_suffix("GiB"));
    let limited = size.matches(',').count() < 2 || number(memory, "mem=");
    counted && limited && parts.next().is_none()
}

fn check_size(size: &str) -> Result<(), SqlError> {
    if SIZES.contains(&size) || is_local(size) {
        Ok(())
    } else {
        Err(SqlError::internal(format!(
            "unknown cluster replica size {size}"
        )))
    }
}

fn check_options(options: &ClusterOptions) -> Result<(), SqlError> {
    if options.on_refresh {
        return Err(SqlError::internal(
            "`SCHEDULE = ON REFRESH` cluster option is not available",
        ));
    }
    options.size.as_deref().map_or(Ok(()), check_size)
}

pub(super) fn create(
    catalog: &mut Catalog,
    context: Context<'_>,
    name: &str,
    options: &ClusterOptions,
    if_not_exists: bool,
) -> Result<Effect, SqlError> {
    access::system(catalog, context.scope.role, Mode::CreateCluster)?;
    check_options(options)?;
    if catalog.cluster(name).is_ok() {
        let message = format!("cluster '{name}' already exists");
        return if if_not_exists {
            Ok(Effect::skipped("CREATE CLUSTER", message + ", skipping"))
        } else {
            Err(SqlError::internal(message))
        };
    }
    if name.starts_with("mz_") || name.starts_with("pg_") {
        return Err(SqlError::internal(format!(
            "cluster name \"{name}\" is reserved"
        )));
    }
    let managed = match (&options.replicas, &options.size) {
        (Some(_), None) => None,
        (Some(_), Some(_)) => {
            return Err(SqlError::internal(
                "REPLICAS not supported for managed clusters",
            ));
        }
        (None, None) => {
            return Err(SqlError::internal(
                "SIZE must be specified for managed clusters",
            ));
        }
        (None, Some(size)) => {
            let mut managed = Managed::of_size(size);
            merge(&mut managed, options);
            Some(managed)
        }
    };
    let (id, owner) = (catalog.next_cluster(), context.scope.role);
    let acl = privilege::initial(catalog, owner, ObjectType::Cluster, None, None);
    let cluster = Cluster {
        id,
        name: name.to_owned(),
        owner,
        acl,
        managed,
    };
    catalog.clusters.insert(id, cluster);
    for (name, options) in options.replicas.iter().flatten() {
        add_replica(catalog, id, owner, name, options)?;
    }
    level_replicas(catalog, id, false);
    Ok(Effect::tag("CREATE CLUSTER"))
}

fn merge(managed: &mut Managed, options: &ClusterOptions) {
    if let Some(size) = &options.size {
        managed.size.clone_from(size);
    }
    if let Some(factor) = options.replication_factor {
        managed.replication_factor = factor;
    }
    if let Some(debugging) = options.introspection_debugging {
        managed.introspection_debugging = debugging;
    }
    if let Some(interval) = &options.introspection_interval {
        managed.introspection_interval.clone_from(interval);
    }
    if let Some(zones) = &options.availability_zones {
        managed.availability_zones.clone_from(zones);
    }
    if let Some(strategy) = &options.auto_scaling {
        managed.auto_scaling = (!strategy.is_empty()).then(|| strategy.clone());
    }
    if let Some(class) = &options.workload_class {
        managed.workload_class = Some(class.clone());
    }
    for name in &options.reset {
        let fresh = Managed::of_size(&managed.size);
        match name.as_str() {
            "auto scaling strategy" => managed.auto_scaling = None,
            "replication factor" => managed.replication_factor = fresh.replication_factor,
            "introspection debugging" => {
                managed.introspection_debugging = fresh.introspection_debugging
            }
            "introspection interval" => {
                managed.introspection_interval = fresh.introspection_interval
            }
            "availability zones" => managed.availability_zones = Vec::new(),
            "workload class" => managed.workload_class = None,
            _ => {}
        }
    }
}

fn add_replica(
    catalog: &mut Catalog,
    cluster: Id,
    owner: Id,
    name: &str,
    options: &ClusterOptions,
) -> Result<(), SqlError> {
    let size = options
        .size
        .as_deref()
        .ok_or_else(|| SqlError::internal("SIZE option must be specified"))?;
    check_size(size)?;
    if catalog
        .replicas
        .values()
        .any(|r| r.cluster == cluster && r.name == name)
    {
        return Err(SqlError::internal(format!(
            "cluster replica '{name}' already exists"
        )));
    }
    let id = catalog.next_replica();
    let availability_zone = options.availability_zone.clone();
    catalog.replicas.insert(
        id,
        Replica {
            id,
            cluster,
            name: name.to_owned(),
            size: size.to_owned(),
            availability_zone,
            owner,
        },
    );
    Ok(())
}

/// Gives a managed cluster the replicas that its options ask for; `renew` replaces all of them.
fn level_replicas(catalog: &mut Catalog, cluster: Id, renew: bool) {
    let Some(found) = catalog.clusters.get(&cluster) else {
        return;
    };
    let Some(managed) = found.managed.clone() else {
        return;
    };
    let owner = found.owner;
    let wanted: Vec<_> = (1..=managed.replication_factor)
        .map(|n| format!("r{n}"))
        .collect();
    catalog
        .replicas
        .retain(|_, r| r.cluster != cluster || (!renew && wanted.contains(&r.name)));
    for name in wanted {
        if !catalog
            .replicas
            .values()
            .any(|r| r.cluster == cluster && r.name == name)
        {
            let id = catalog.next_replica();
            catalog.replicas.insert(
                id,
                Replica {
                    id,
                    cluster,
                    name,
                    size: managed.size.clone(),
                    availability_zone: None,
                    owner,
                },
            );
        }
    }
}

pub(super) fn create_replica(
    catalog: &mut Catalog,
    context: Context<'_>,
    cluster: &str,
    name: &str,
    options: &ClusterOptions,
) -> Result<Effect, SqlError> {
    let found = catalog.cluster(cluster)?;
    let (id, owner, managed) = (found.id, found.owner, found.managed.is_some());
    access::owners(
        catalog,
        context.scope.role,
        &[(format!("CLUSTER {cluster}"), owner)],
    )?;
    if managed {
        return Err(SqlError::internal(
            "cannot modify managed cluster ".to_owned() + cluster,
        ));
    }
    add_replica(catalog, id, owner, name, options)?;
    Ok(Effect::tag("CREATE CLUSTER REPLICA"))
}

pub(super) fn alter(
    catalog: &mut Catalog,
    context: Context<'_>,
    name: &str,
    options: &ClusterOptions,
    if_exists: bool,
) -> Result<Effect, SqlError> {
    let found = match catalog.cluster(name) {
        Ok(found) => found,
        Err(error) if if_exists => {
            return Ok(Effect::skipped(
                "ALTER CLUSTER",
                format!("{}, skipping", error.message),
            ));
        }
        Err(error) => return Err(error),
    };
    let id = found.id;
    access::owners(
        catalog,
        context.scope.role,
        &[(format!("CLUSTER {name}"), found.owner)],
    )?;
    check_options(options)?;
    let replica_size = catalog
        .replicas
        .values()
        .find(|r| r.cluster == id)
        .map(|r| r.size.clone());
    let Some(cluster) = catalog.clusters.get_mut(&id) else {
        return Ok(Effect::tag("ALTER CLUSTER"));
    };
    if options.managed == Some(false) {
        cluster.managed = None;
        return Ok(Effect::tag("ALTER CLUSTER"));
    }
    if cluster.managed.is_none() {
        if options.managed != Some(true) {
            return Err(SqlError::internal(
                "Cannot change options of unmanaged clusters",
            ));
        }
        cluster.managed = Some(Managed::of_size(
            &replica_size.unwrap_or_else(|| SIZES[0].to_owned()),
        ));
    }
    let mut renew = false;
    if let Some(managed) = &mut cluster.managed {
        let before = managed.clone();
        merge(managed, options);
        renew =
            before.size != managed.size || before.availability_zones != managed.availability_zones;
    }
    level_replicas(catalog, id, renew);
    Ok(Effect::tag("ALTER CLUSTER"))
}

impl Catalog {
    /// What SHOW CREATE CLUSTER answers.
    pub fn show_create_cluster(&self, cluster: &Cluster) -> Result<String, SqlError> {
        let Some(m) = &cluster.managed else {
            return Err(SqlError::internal(
                "SHOW CREATE for unmanaged clusters not yet supported",
            ));
        };
        let mut options = Vec::new();
        if !m.availability_zones.is_empty() {
            let zones: Vec<_> = m
                .availability_zones
                .iter()
                .map(|z| crate::lexer::literal(z))
                .collect();
            options.push(format!("AVAILABILITY ZONES = ({})", zones.join(", ")));
        }
        options.push(format!(
            "INTROSPECTION DEBUGGING = {}",
            m.introspection_debugging
        ));
        options.push(format!(
            "INTROSPECTION INTERVAL = INTERVAL '{}'",
            m.introspection_interval
        ));
        options.push("MANAGED = true".into());
        options.push(format!("REPLICATION FACTOR = {}", m.replication_factor));
        options.push(format!("SIZE = {}", crate::lexer::literal(&m.size)));
        options.push("SCHEDULE = MANUAL".into());
        if let Some(class) = &m.workload_class {
            options.push(format!("WORKLOAD CLASS = {}", crate::lexer::literal(class)));
        }
        Ok(format!(
            "CREATE CLUSTER {} ({})",
            crate::lexer::quote(&cluster.name),
            options.join(", ")
        ))
    }
}
