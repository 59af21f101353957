//! A catalog of what a look saw: rows joined by id.

use super::look::{Database, Seen, unexpected};
use super::{object_kind, optional, text};
use crate::adapters::materialize::error::MaterializeError;
use crate::adapters::materialize::privileges::{self, Held};
use crate::domain::catalog::grants::{DefaultPrivilege, Grant};
use crate::domain::catalog::index_key::IndexKey;
use crate::domain::catalog::{Catalog, Cluster, Object, Schema};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Row;

/// Roles of the server's own, whose privileges come with every new thing.
const SYSTEM: [&str; 2] = ["mz_system", "mz_support"];

impl Catalog {
    /// Joins what was seen.
    ///
    /// # Errors
    /// Rows that do not fit each other or have a form that is not known.
    pub(in crate::adapters::materialize) fn of(
        version: &str,
        seen: Seen,
    ) -> Result<Self, MaterializeError> {
        let mine = roles_of(&seen);
        let mut catalog = Self {
            version: version.to_owned(),
            server: seen.facts.server.clone(),
            role: seen.facts.role.clone(),
            database: seen.facts.database.clone(),
            may_create_schemas: may_create_schemas(&seen, &mine)?,
            may_create_clusters: may_create_clusters(&seen, &mine)?,
            owned_roles: seen
                .roles
                .iter()
                .filter(|(id, _)| seen.facts.is_superuser || mine.contains(*id))
                .map(|(_, name)| name.clone())
                .collect(),
            dependencies: seen.dependencies.clone(),
            replacements: seen.replacements.clone(),
            ..Self::default()
        };
        catalog.take_schemas(&seen)?;
        catalog.take_clusters(&seen)?;
        catalog.take_objects(&seen)?;
        let names = catalog.take_columns(&seen.columns)?;
        for row in &seen.indexes {
            let definition = optional(row, "indexes", 1)?;
            if let Some(key) = definition.as_deref().and_then(IndexKey::of_sql) {
                catalog.index_keys.insert(text(row, "indexes", 0)?, key);
            }
        }
        catalog.take_comments(&seen.comments, &names)?;
        catalog.take_default_privileges(&seen)?;
        Ok(catalog)
    }

    fn take_schemas(&mut self, seen: &Seen) -> Result<(), MaterializeError> {
        for (id, row) in &seen.schemas {
            // Those of the system lie in no database.
            let Some(database) = &row.database_id else {
                continue;
            };
            let database = seen
                .databases
                .get(database)
                .ok_or_else(|| unexpected("schemas", format!("the unknown database {database}")))?;
            let owner = role(seen, &row.owner_id)?;
            let schema = Schema {
                id: id.clone(),
                name: row.name.clone(),
                database: database.name.clone(),
                grants: grants(seen, &owner, row.privileges.as_deref())?,
                owner,
                default_privileges: Vec::new(),
                comment: None,
            };
            self.schemas.insert(id.clone(), schema);
        }
        Ok(())
    }

    fn take_clusters(&mut self, seen: &Seen) -> Result<(), MaterializeError> {
        for (id, row) in seen.clusters.iter().filter(|(id, _)| id.starts_with('u')) {
            let owner = role(seen, &row.owner_id)?;
            let cluster = Cluster {
                id: id.clone(),
                name: row.name.clone(),
                managed: row.managed,
                replicas: Vec::new(),
                grants: grants(seen, &owner, row.privileges.as_deref())?,
                owner,
                comment: None,
            };
            self.clusters.insert(id.clone(), cluster);
        }
        for row in &seen.replicas {
            let replica = (
                text(row, "replicas", 1)?,
                optional(row, "replicas", 2)?,
                optional(row, "replicas", 3)?,
            );
            if let Some(cluster) = self.clusters.get_mut(&text(row, "replicas", 0)?) {
                cluster.replicas.push(replica);
            }
        }
        for cluster in self.clusters.values_mut() {
            cluster.replicas.sort();
        }
        Ok(())
    }

    fn take_objects(&mut self, seen: &Seen) -> Result<(), MaterializeError> {
        for (id, row) in &seen.objects {
            let source_type = seen.source_types.get(id).map(String::as_str);
            let owner = role(seen, &row.owner_id)?;
            let object = Object {
                id: id.clone(),
                name: row.name.clone(),
                kind: object_kind(&row.word)?,
                schema_id: row.schema_id.clone(),
                grants: grants(seen, &owner, row.privileges.as_deref())?,
                owner,
                cluster_id: row.cluster_id.clone(),
                fed_by_source: seen.fed.contains(id),
                is_part: matches!(source_type, Some("subsource" | "progress")),
                comment: None,
                columns: BTreeMap::new(),
                column_order: Vec::new(),
                not_null: BTreeSet::new(),
                column_comments: Vec::new(),
            };
            self.objects.insert(id.clone(), object);
        }
        Ok(())
    }

    /// Gives the columns' names by object and position, too.
    fn take_columns(
        &mut self,
        rows: &[Row],
    ) -> Result<BTreeMap<(String, String), String>, MaterializeError> {
        const LABEL: &str = "columns";
        let mut names = BTreeMap::new();
        for row in rows {
            let (id, name) = (text(row, LABEL, 0)?, text(row, LABEL, 1)?);
            if let Some(object) = self.objects.get_mut(&id) {
                object.columns.insert(name.clone(), text(row, LABEL, 3)?);
                if text(row, LABEL, 4)? == "false" {
                    object.not_null.insert(name.clone());
                }
                names.insert((id, text(row, LABEL, 2)?), name);
            }
        }
        let mut placed: BTreeMap<&String, BTreeMap<u64, &String>> = BTreeMap::new();
        for ((id, position), name) in &names {
            let position = position.parse().unwrap_or(u64::MAX);
            placed.entry(id).or_default().insert(position, name);
        }
        for (id, columns) in placed {
            if let Some(object) = self.objects.get_mut(id) {
                object.column_order = columns.into_values().cloned().collect();
            }
        }
        Ok(names)
    }

    fn take_comments(
        &mut self,
        rows: &[Row],
        columns: &BTreeMap<(String, String), String>,
    ) -> Result<(), MaterializeError> {
        const LABEL: &str = "comments";
        for row in rows {
            let id = text(row, LABEL, 0)?;
            let position = optional(row, LABEL, 2)?;
            let comment = text(row, LABEL, 3)?;
            match text(row, LABEL, 1)?.as_str() {
                "schema" => {
                    if let Some(schema) = self.schemas.get_mut(&id) {
                        schema.comment = Some(comment);
                    }
                }
                "cluster" => {
                    if let Some(cluster) = self.clusters.get_mut(&id) {
                        cluster.comment = Some(comment);
                    }
                }
                // Their ids share the alphabet of object ids but mean other things.
                "role" | "database" | "cluster-replica" | "network-policy" => {}
                _ => {
                    let Some(object) = self.objects.get_mut(&id) else {
                        continue;
                    };
                    let Some(position) = position else {
                        object.comment = Some(comment);
                        continue;
                    };
                    let column = columns.get(&(id, position)).ok_or_else(|| {
                        let name = &object.name;
                        unexpected(LABEL, format!("a comment on a column that {name} lacks"))
                    })?;
                    object.column_comments.push((column.clone(), comment));
                }
            }
        }
        for object in self.objects.values_mut() {
            object.column_comments.sort();
        }
        Ok(())
    }

    fn take_default_privileges(&mut self, seen: &Seen) -> Result<(), MaterializeError> {
        const LABEL: &str = "default privileges";
        for row in &seen.default_privileges {
            let grantee = text(row, LABEL, 3)?;
            let privileges = match (optional(row, LABEL, 1)?, optional(row, LABEL, 5)?) {
                (Some(schema), _) => self
                    .schemas
                    .get_mut(&schema)
                    .map(|schema| &mut schema.default_privileges),
                (None, database) => (database.is_none() || database == seen.database_id())
                    .then_some(&mut self.default_privileges),
            };
            let Some(of) = privileges else {
                continue;
            };
            // The server's own roles get theirs with everything new.
            if grantee.starts_with('s') {
                continue;
            }
            let named = |id: &str| -> Result<Option<String>, MaterializeError> {
                let id = privileges::grantee_of(id);
                id.map(|id| role(seen, &id)).transpose()
            };
            let letters = text(row, LABEL, 4)?;
            for privilege in privileges::of_letters(&letters) {
                let privilege = privilege
                    .ok_or_else(|| unexpected(LABEL, format!("the privileges {letters:?}")))?;
                of.push(DefaultPrivilege {
                    owner: named(&text(row, LABEL, 0)?)?,
                    object_type: text(row, LABEL, 2)?,
                    grantee: named(&grantee)?,
                    privilege: privilege.to_owned(),
                });
            }
        }
        let schemas = self.schemas.values_mut();
        let of_schemas = schemas.map(|schema| &mut schema.default_privileges);
        for of in of_schemas.chain([&mut self.default_privileges]) {
            of.sort();
            of.dedup();
        }
        Ok(())
    }
}

fn role(seen: &Seen, id: &str) -> Result<String, MaterializeError> {
    let name = seen.roles.get(id).cloned();
    name.ok_or_else(|| unexpected("roles", format!("no role with the id {id}")))
}

/// The ids of the session's role and of every role that it is a member of.
fn roles_of(seen: &Seen) -> BTreeSet<String> {
    let itself = seen.roles.iter();
    let mut mine: BTreeSet<String> = itself
        .filter(|(_, name)| **name == seen.facts.role)
        .map(|(id, _)| id.clone())
        .collect();
    loop {
        let more: Vec<String> = seen
            .members
            .iter()
            .filter(|(role, member)| mine.contains(member) && !mine.contains(role))
            .map(|(role, _)| role.clone())
            .collect();
        if more.is_empty() {
            return mine;
        }
        mine.extend(more);
    }
}

fn may_create_schemas(seen: &Seen, mine: &BTreeSet<String>) -> Result<bool, MaterializeError> {
    let here = seen.database_id();
    let database: Option<&Database> = here.and_then(|id| seen.databases.get(&id));
    let list = database.and_then(|database| database.privileges.as_deref());
    let held = privileges::of_list(list).map_err(|what| unexpected("databases", what))?;
    Ok(seen.facts.is_superuser || holds(&held, mine, "CREATE"))
}

fn may_create_clusters(seen: &Seen, mine: &BTreeSet<String>) -> Result<bool, MaterializeError> {
    let mut may = seen.facts.is_superuser;
    for item in &seen.system_privileges {
        let held =
            privileges::of_item(item).map_err(|what| unexpected("system privileges", what))?;
        may |= holds(&held, mine, "CREATECLUSTER");
    }
    Ok(may)
}

fn holds(held: &[Held], mine: &BTreeSet<String>, privilege: &str) -> bool {
    held.iter().any(|held| {
        let is_mine = |grantee: &String| mine.contains(grantee);
        held.privilege == privilege && held.grantee.as_ref().is_none_or(is_mine)
    })
}

/// What is granted on something of this owner, beside what comes with every new thing.
fn grants(seen: &Seen, owner: &str, list: Option<&str>) -> Result<Vec<Grant>, MaterializeError> {
    let held = privileges::of_list(list).map_err(|what| unexpected("privileges", what))?;
    let mut grants = Vec::new();
    for Held { grantee, privilege } in held {
        let grantee = grantee.map(|id| role(seen, &id)).transpose()?;
        let is_implied = grantee
            .as_deref()
            .is_some_and(|name| name == owner || SYSTEM.contains(&name));
        if !is_implied {
            let privilege = privilege.to_owned();
            grants.push(Grant { grantee, privilege });
        }
    }
    grants.sort();
    grants.dedup();
    Ok(grants)
}
