//! Asking the catalog: rows as the server has them, not joined yet.
//!
//! Each question is a peek (`question`), all of a look at one moment, and those that do not
//! need each other's answers without waiting for each other. What has no index on the server (members
//! of roles, default privileges, the system's privileges, replacements) is asked only while planning,
//! replacements also in a release that replaces a view.

/// Rows into fields.
mod rows;

use super::about::About;
use super::queries::{
    BOTH_OF_USERS, OF_USERS, USED_BY_USERS, clusters, columns, comments, databases,
    default_privileges, dependencies, facts, indexes, marks, members, objects, replicas, roles,
    schemas, sources, system_privileges, tables,
};
use super::{definition, optional, text};
use crate::adapters::materialize::error::MaterializeError;
use crate::adapters::materialize::question::Filter;
use crate::adapters::materialize::session::{Session, Snapshot};
use crate::domain::catalog::tag::Tag;
use crate::domain::catalog::{ClusterDefinition, Replacements};
use std::collections::{BTreeMap, BTreeSet};
use tokio_postgres::Row;

/// What a look saw.
#[derive(Debug, Default)]
pub(in crate::adapters::materialize) struct Seen {
    pub(super) facts: Facts,
    /// Databases by id.
    pub(super) databases: BTreeMap<String, Database>,
    /// Names of roles by id.
    pub(in crate::adapters::materialize) roles: BTreeMap<String, String>,
    /// `(role, member)`, ids.
    pub(super) members: Vec<(String, String)>,
    /// Each entry of the system's privileges.
    pub(super) system_privileges: Vec<String>,
    pub(in crate::adapters::materialize) schemas: BTreeMap<String, SchemaRow>,
    pub(in crate::adapters::materialize) clusters: BTreeMap<String, ClusterRow>,
    pub(super) replicas: Vec<Row>,
    pub(in crate::adapters::materialize) objects: BTreeMap<String, ObjectRow>,
    /// Tables that a source feeds, ids.
    pub(super) fed: BTreeSet<String>,
    /// The types of sources, by id.
    pub(super) source_types: BTreeMap<String, String>,
    /// `(dependent, depended upon)`.
    pub(in crate::adapters::materialize) dependencies: BTreeSet<(String, String)>,
    pub(super) columns: Vec<Row>,
    pub(super) comments: Vec<Row>,
    pub(super) indexes: Vec<Row>,
    pub(super) default_privileges: Vec<Row>,
    pub(super) replacements: Option<Replacements>,
    /// The marks on schemas of the session's database.
    pub(in crate::adapters::materialize) marks: Vec<Tag>,
}

/// What the session says of itself. It stays, as the session does.
#[derive(Debug, Clone, Default)]
pub(in crate::adapters::materialize) struct Facts {
    pub(super) database: String,
    pub(super) role: String,
    pub(super) server: String,
    pub(super) is_superuser: bool,
    /// The id of the session's database when it was first looked at. A database that was dropped and made anew
    /// has another; its schemas are none of those that are looked for.
    database_id: Option<String>,
}

impl Facts {
    /// Whether the session's database is there.
    pub(in crate::adapters::materialize) fn has_database(&self) -> bool {
        self.database_id.is_some()
    }
}

#[derive(Debug)]
pub(super) struct Database {
    pub(super) name: String,
    pub(super) privileges: Option<String>,
}

#[derive(Debug)]
pub(in crate::adapters::materialize) struct SchemaRow {
    pub(in crate::adapters::materialize) name: String,
    /// None of a schema of the system.
    pub(super) database_id: Option<String>,
    pub(super) owner_id: String,
    pub(super) privileges: Option<String>,
}

#[derive(Debug)]
pub(in crate::adapters::materialize) struct ClusterRow {
    pub(in crate::adapters::materialize) name: String,
    pub(super) owner_id: String,
    pub(super) managed: bool,
    pub(super) privileges: Option<String>,
}

#[derive(Debug)]
pub(in crate::adapters::materialize) struct ObjectRow {
    pub(in crate::adapters::materialize) name: String,
    pub(super) word: String,
    pub(in crate::adapters::materialize) schema_id: String,
    pub(super) owner_id: String,
    pub(in crate::adapters::materialize) cluster_id: Option<String>,
    pub(super) privileges: Option<String>,
}

impl Seen {
    /// Looks at everything that users made.
    pub(super) async fn whole(session: &Session) -> Result<Self, MaterializeError> {
        let snapshot = session.snapshot("catalog").await?;
        let mut seen = Self::default();
        let users = dependencies(Filter::Users("object_id"), OF_USERS);
        let asked = [
            databases(),
            vec![facts()],
            roles(),
            members(),
            system_privileges(),
            schemas(Filter::Users("id")),
            clusters(Filter::Users("id")),
            objects(Filter::Users("id")),
            tables(None),
            sources(None),
            users,
            replicas(Filter::Users("cluster_id")),
            columns(None),
            comments(None),
            indexes(),
            default_privileges(),
        ];
        let answers = futures_util::future::try_join_all(asked.iter().map(|it| snapshot.ask(it)));
        let (answers, replacements) = tokio::try_join!(answers, Replacements::pending(&snapshot))?;
        let [
            databases,
            facts,
            roles,
            members,
            system,
            schemas,
            clusters,
            objects,
            tables,
            sources,
            dependencies,
            replicas,
            columns,
            comments,
            indexes,
            defaults,
        ]: [Vec<Row>; 16] = answers
            .try_into()
            .map_err(|_| unexpected("catalog", "another number of answers than of questions"))?;
        snapshot.end().await?;
        seen.take_facts(&facts)?;
        seen.take_databases(&databases)?;
        seen.take_roles(&roles)?;
        for row in &members {
            let member = (text(row, "role members", 0)?, text(row, "role members", 1)?);
            seen.members.push(member);
        }
        for row in &system {
            seen.system_privileges
                .push(text(row, "system privileges", 0)?);
        }
        seen.take_schemas(&schemas)?;
        seen.take_clusters(&clusters)?;
        seen.take_objects(&objects)?;
        seen.take_tables(&tables)?;
        seen.take_sources(&sources)?;
        seen.take_dependencies(&dependencies)?;
        seen.replicas = replicas;
        seen.columns = columns;
        seen.comments = comments;
        seen.indexes = indexes;
        seen.default_privileges = defaults;
        seen.replacements = replacements;
        Ok(seen)
    }

    /// Looks at what `about` names, and at who depends on it. `with_roles` also at what it depends on, at
    /// the roles by whose names owners and privileges are told, and at what feeds tables and sources.
    pub(in crate::adapters::materialize) async fn some(
        session: &Session,
        label: &'static str,
        about: &About,
        with_roles: bool,
    ) -> Result<Self, MaterializeError> {
        let snapshot = session.snapshot(label).await?;
        let seen = Self::within(&snapshot, about, with_roles).await?;
        snapshot.end().await?;
        Ok(seen)
    }

    /// As [`Self::some`], at a moment that the caller looks at for more than this.
    pub(super) async fn within(
        snapshot: &Snapshot<'_>,
        about: &About,
        with_roles: bool,
    ) -> Result<Self, MaterializeError> {
        let mut seen = Self::default();
        seen.find(snapshot, about, with_roles).await?;
        if !about.names_only {
            seen.find_objects(snapshot, about).await?;
            if !about.without_readers {
                seen.find_dependencies(snapshot, with_roles).await?;
            }
        }
        seen.find_homes(snapshot).await?;
        if with_roles {
            seen.find_feeds(snapshot).await?;
        }
        if about.closely {
            seen.look_closely(snapshot).await?;
        }
        if !about.defined.is_empty() && !about.closely {
            seen.find_replicas(snapshot).await?;
        }
        if about.replacements {
            seen.replacements = Replacements::pending(snapshot).await?;
        }
        if about.marks {
            seen.find_marks(snapshot).await?;
        }
        Ok(seen)
    }

    /// What is named itself.
    async fn find(
        &mut self,
        snapshot: &Snapshot<'_>,
        about: &About,
        with_roles: bool,
    ) -> Result<(), MaterializeError> {
        let known = snapshot.facts().filter(|_| !with_roles);
        let facts = match &known {
            Some(_) => Vec::new(),
            None => vec![facts()],
        };
        let roles = match with_roles {
            true => roles(),
            false => Vec::new(),
        };
        let of_schemas = schemas(Filter::Either([
            ("name", &refs(&about.schemas)),
            ("id", &refs(&about.schema_ids)),
        ]));
        let of_clusters = clusters(Filter::Either([
            ("name", &refs(&about.clusters)),
            ("id", &refs(&about.cluster_ids)),
        ]));
        let of_objects = objects(Filter::Either([
            ("id", &refs(&about.objects)),
            ("name", &refs(&about.object_names)),
        ]));
        let databases = match &known {
            Some(_) => Vec::new(),
            None => databases(),
        };
        let (databases, facts, roles, schemas, clusters, objects) = tokio::try_join!(
            snapshot.ask(&databases),
            snapshot.ask(&facts),
            snapshot.ask(&roles),
            snapshot.ask(&of_schemas),
            snapshot.ask(&of_clusters),
            snapshot.ask(&of_objects),
        )?;
        match known {
            Some(known) => self.facts = known.clone(),
            None => {
                self.take_facts(&facts)?;
                self.take_databases(&databases)?;
                self.facts.database_id = self.database_id();
                snapshot.keep_facts(&self.facts);
            }
        }
        self.take_roles(&roles)?;
        self.take_schemas(&schemas)?;
        // Another database may have a schema of the same name.
        let here = self.database_id();
        self.schemas.retain(|id, schema| {
            about.schema_ids.contains(id)
                || (schema.database_id.is_some() && schema.database_id == here)
        });
        self.take_clusters(&clusters)?;
        self.take_objects(&objects)
    }

    /// What lies in the schemas and runs on the clusters.
    async fn find_objects(
        &mut self,
        snapshot: &Snapshot<'_>,
        about: &About,
    ) -> Result<(), MaterializeError> {
        let schemas: BTreeSet<String> = self.schemas.keys().cloned().collect();
        let clusters: BTreeSet<String> = self.clusters.keys().cloned().collect();
        let schemas: BTreeSet<String> = &schemas | &about.schema_ids;
        let clusters: BTreeSet<String> = &clusters | &about.cluster_ids;
        let asked = objects(Filter::Either([
            ("schema_id", &refs(&schemas)),
            ("cluster_id", &refs(&clusters)),
        ]));
        let rows = snapshot.ask(&asked).await?;
        self.take_objects(&rows)
    }

    /// Who depends on what was found, and where wanted on what that depends.
    async fn find_dependencies(
        &mut self,
        snapshot: &Snapshot<'_>,
        both_ways: bool,
    ) -> Result<(), MaterializeError> {
        let known: BTreeSet<String> = self.objects.keys().cloned().collect();
        let ids = refs(&known);
        // What is known is of users, so that one end of each dependency is.
        let asked = match both_ways {
            true => dependencies(
                Filter::Either([("referenced_object_id", &ids), ("object_id", &ids)]),
                BOTH_OF_USERS,
            ),
            false => dependencies(Filter::In("referenced_object_id", &ids), USED_BY_USERS),
        };
        let rows = snapshot.ask(&asked).await?;
        self.take_dependencies(&rows)?;
        let dependents: BTreeSet<String> = self
            .dependencies
            .iter()
            .map(|(dependent, _)| dependent.clone())
            .filter(|dependent| !known.contains(dependent))
            .collect();
        let rows = snapshot
            .ask(&objects(Filter::In("id", &refs(&dependents))))
            .await?;
        self.take_objects(&rows)
    }

    /// The schemas and clusters of what was found, for its names.
    async fn find_homes(&mut self, snapshot: &Snapshot<'_>) -> Result<(), MaterializeError> {
        let objects = self.objects.values();
        let schemas_of: BTreeSet<String> = objects
            .clone()
            .map(|object| object.schema_id.clone())
            .filter(|id| !self.schemas.contains_key(id))
            .collect();
        let clusters_of: BTreeSet<String> = objects
            .filter_map(|object| object.cluster_id.clone())
            .filter(|id| !self.clusters.contains_key(id))
            .collect();
        let of_schemas = schemas(Filter::In("id", &refs(&schemas_of)));
        let of_clusters = clusters(Filter::In("id", &refs(&clusters_of)));
        let (schemas, clusters) =
            tokio::try_join!(snapshot.ask(&of_schemas), snapshot.ask(&of_clusters))?;
        self.take_schemas(&schemas)?;
        self.take_clusters(&clusters)
    }

    /// What feeds tables and sources, where there are any.
    async fn find_feeds(&mut self, snapshot: &Snapshot<'_>) -> Result<(), MaterializeError> {
        let of_kind = |word: &str| -> BTreeSet<String> {
            let objects = self.objects.iter();
            objects
                .filter(|(_, object)| object.word == word)
                .map(|(id, _)| id.clone())
                .collect()
        };
        let of_tables = tables(Some(&refs(&of_kind("table"))));
        let of_sources = sources(Some(&refs(&of_kind("source"))));
        let (tables, sources) =
            tokio::try_join!(snapshot.ask(&of_tables), snapshot.ask(&of_sources))?;
        self.take_tables(&tables)?;
        self.take_sources(&sources)
    }

    /// The marks on schemas of the session's database.
    async fn find_marks(&mut self, snapshot: &Snapshot<'_>) -> Result<(), MaterializeError> {
        const LABEL: &str = "marks";
        let mut tags = BTreeMap::new();
        for row in &snapshot.ask(&marks()).await? {
            if let (_, Some(tag)) = Tag::parse(&text(row, LABEL, 1)?) {
                tags.insert(text(row, LABEL, 0)?, tag);
            }
        }
        let unknown: BTreeSet<String> = tags
            .keys()
            .filter(|id| !self.schemas.contains_key(*id))
            .cloned()
            .collect();
        let rows = snapshot
            .ask(&schemas(Filter::In("id", &refs(&unknown))))
            .await?;
        self.take_schemas(&rows)?;
        for (id, tag) in tags {
            let schema = self.schemas.get(&id);
            if schema.is_some_and(|schema| self.is_here(schema)) {
                self.marks.push(tag);
            }
        }
        // They were wanted for that alone.
        self.schemas.retain(|id, _| !unknown.contains(id));
        Ok(())
    }

    /// The replicas of clusters of which the server shows no definition.
    async fn find_replicas(&mut self, snapshot: &Snapshot<'_>) -> Result<(), MaterializeError> {
        let clusters = self.clusters.iter();
        let unmanaged: BTreeSet<String> = clusters
            .filter(|(id, cluster)| !cluster.managed && id.starts_with('u'))
            .map(|(id, _)| id.clone())
            .collect();
        let asked = replicas(Filter::In("cluster_id", &refs(&unmanaged)));
        self.replicas = snapshot.ask(&asked).await?;
        Ok(())
    }

    /// Owners and privileges as the server has them, by kind and id.
    pub(in crate::adapters::materialize) fn raw(&self) -> BTreeMap<String, String> {
        let text = |owner: &str, privileges: &Option<String>| {
            format!("{owner} {}", privileges.as_deref().unwrap_or_default())
        };
        let schemas = self.schemas.iter().map(|(id, row)| {
            let raw = text(&row.owner_id, &row.privileges);
            (format!("schema {id}"), raw)
        });
        let clusters = self.clusters.iter().map(|(id, row)| {
            let raw = text(&row.owner_id, &row.privileges);
            (format!("cluster {id}"), raw)
        });
        let objects = self.objects.iter().map(|(id, row)| {
            let raw = text(&row.owner_id, &row.privileges);
            (format!("object {id}"), raw)
        });
        schemas.chain(clusters).chain(objects).collect()
    }

    /// How these clusters are made, by name; nothing of one that is not there or cannot be made again. A
    /// statement for each managed one, after the moment of the look.
    ///
    /// # Errors
    /// See [`MaterializeError`].
    pub(in crate::adapters::materialize) async fn definitions(
        &self,
        session: &Session,
        names: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, ClusterDefinition>, MaterializeError> {
        let mut definitions = BTreeMap::new();
        for (id, cluster) in &self.clusters {
            if !names.contains(&cluster.name) {
                continue;
            }
            let definition = match cluster.managed {
                true => definition::managed(session, &cluster.name).await?,
                false => self.replicas_of(id)?,
            };
            if let Ok(definition) = definition {
                definitions.insert(cluster.name.clone(), definition);
            }
        }
        Ok(definitions)
    }

    fn replicas_of(&self, id: &str) -> Result<Result<ClusterDefinition, String>, MaterializeError> {
        const LABEL: &str = "replicas";
        let mut replicas = Vec::new();
        for row in &self.replicas {
            if text(row, LABEL, 0)? == id {
                let size = optional(row, LABEL, 2)?;
                replicas.push((text(row, LABEL, 1)?, size, optional(row, LABEL, 3)?));
            }
        }
        replicas.sort();
        Ok(definition::unmanaged(&replicas))
    }

    async fn look_closely(&mut self, snapshot: &Snapshot<'_>) -> Result<(), MaterializeError> {
        let ids: BTreeSet<String> = self.objects.keys().cloned().collect();
        let of_columns = columns(Some(&refs(&ids)));
        let schemas = self.schemas.keys();
        let all = schemas.chain(self.clusters.keys()).chain(&ids).cloned();
        let of_comments = comments(Some(&refs(&all.collect())));
        let clusters: BTreeSet<String> = self.clusters.keys().cloned().collect();
        let of_replicas = replicas(Filter::In("cluster_id", &refs(&clusters)));
        let (columns, comments, replicas) = tokio::try_join!(
            snapshot.ask(&of_columns),
            snapshot.ask(&of_comments),
            snapshot.ask(&of_replicas),
        )?;
        self.columns = columns;
        self.comments = comments;
        self.replicas = replicas;
        Ok(())
    }

    /// The id of the session's database.
    pub(in crate::adapters::materialize) fn database_id(&self) -> Option<String> {
        if let Some(known) = &self.facts.database_id {
            return Some(known.clone());
        }
        self.databases
            .iter()
            .find(|(_, database)| database.name == self.facts.database)
            .map(|(id, _)| id.clone())
    }

    /// Whether a schema lies in the session's database.
    pub(in crate::adapters::materialize) fn is_here(&self, schema: &SchemaRow) -> bool {
        schema.database_id.is_some() && schema.database_id == self.database_id()
    }
}

fn refs(texts: &BTreeSet<String>) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

pub(super) fn unexpected(label: &'static str, what: impl Into<String>) -> MaterializeError {
    let what = what.into();
    MaterializeError::Unexpected { label, what }
}
