//! What the server holds, read with SQL of its own: nothing here comes from the program under test.

use super::Sql;
use std::collections::{BTreeMap, BTreeSet};

/// One reading of everything that a test made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// One sentence for each fact, without ids: names, owners, grants, comments, columns,
    /// definitions of clusters, dependencies.
    pub facts: BTreeSet<String>,
    /// `schema NAME`, `cluster NAME` and `object SCHEMA.NAME` → id.
    pub ids: BTreeMap<String, String>,
}

impl Snapshot {
    /// Reads what has a name that begins with `prefix`, and everything that Cutover makes.
    pub async fn read(sql: &Sql, prefix: &str) -> Self {
        let mut reading = Reading {
            sql,
            facts: BTreeSet::new(),
            names: BTreeMap::new(),
        };
        reading.schemas(prefix).await;
        reading.clusters(prefix).await;
        reading.objects().await;
        reading.comments().await;
        reading.default_privileges(prefix).await;
        Self {
            facts: reading.facts,
            ids: reading
                .names
                .into_iter()
                .map(|((_, id), name)| (name, id))
                .collect(),
        }
    }

    /// The id of `schema NAME`, `cluster NAME` or `object SCHEMA.NAME`.
    #[track_caller]
    pub fn id(&self, name: &str) -> &str {
        self.ids
            .get(name)
            .unwrap_or_else(|| panic!("there is no {name} in {:?}", self.ids.keys()))
    }

    /// Asserts that the same things are there, whatever their ids.
    #[track_caller]
    pub fn describes_the_same(&self, other: &Self) {
        let lost: Vec<_> = self.facts.difference(&other.facts).collect();
        let gained: Vec<_> = other.facts.difference(&self.facts).collect();
        assert!(
            lost.is_empty() && gained.is_empty(),
            "lost: {lost:#?}\ngained: {gained:#?}"
        );
    }

    /// Asserts that nothing changed at all.
    #[track_caller]
    pub fn is(&self, other: &Self) {
        self.describes_the_same(other);
        assert_eq!(self.ids, other.ids);
    }

    /// Names of schemas, clusters and objects that no finished release leaves behind.
    pub fn leftovers(&self) -> Vec<&String> {
        let names = self.ids.keys().filter(|name| {
            name.contains("_dbt_deploy")
                || name.contains(".cutover_")
                || name.starts_with("schema cutover_")
                || name.starts_with("cluster cutover_")
        });
        let tags = self.facts.iter().filter(|fact| fact.contains("[cutover {"));
        names.chain(tags).collect()
    }
}

struct Reading<'a> {
    sql: &'a Sql,
    facts: BTreeSet<String>,
    /// `(kind, id)` → what is shown. Ids are unique within a kind only.
    names: BTreeMap<(&'static str, String), String>,
}

impl Reading<'_> {
    fn fact(&mut self, fact: String) {
        self.facts.insert(fact);
    }

    async fn schemas(&mut self, prefix: &str) {
        let query = format!(
            "SELECT s.id::text, s.name::text, r.name::text, s.privileges::text \
             FROM mz_catalog.mz_schemas s \
             JOIN mz_catalog.mz_databases d ON d.id = s.database_id \
             JOIN mz_catalog.mz_roles r ON r.id = s.owner_id \
             WHERE d.name = current_database() AND s.id LIKE 'u%' \
             AND (s.name LIKE '{prefix}%' OR s.name LIKE 'cutover_%')"
        );
        for row in self.sql.rows(&query).await {
            let name = format!("schema {}", row[1]);
            self.fact(format!("{name} is of {}", row[2]));
            self.fact(format!("{name} grants {}", sorted(&row[3])));
            self.names.insert(("schema", row[0].clone()), name);
        }
    }

    async fn clusters(&mut self, prefix: &str) {
        let query = format!(
            "SELECT c.id::text, c.name::text, r.name::text, c.privileges::text, c.managed::text \
             FROM mz_catalog.mz_clusters c JOIN mz_catalog.mz_roles r ON r.id = c.owner_id \
             WHERE c.id LIKE 'u%' AND (c.name LIKE '{prefix}%' OR c.name LIKE 'cutover_%')"
        );
        for row in self.sql.rows(&query).await {
            let name = format!("cluster {}", row[1]);
            self.fact(format!("{name} is of {}", row[2]));
            self.fact(format!("{name} grants {}", sorted(&row[3])));
            self.fact(format!("{name} managed {}", row[4]));
            if row[4].starts_with('t') {
                let definition = self
                    .sql
                    .rows(&format!("SHOW CREATE CLUSTER \"{}\"", row[1]))
                    .await;
                self.fact(format!("{name} made by {}", definition[0][1]));
            }
            self.names.insert(("cluster", row[0].clone()), name);
        }
        let replicas = "SELECT cluster_id::text, name::text, coalesce(size::text, '') \
             FROM mz_catalog.mz_cluster_replicas";
        for row in self.sql.rows(replicas).await {
            if let Some(name) = self.names.get(&("cluster", row[0].clone())) {
                let fact = format!("{name} has replica {} of size {}", row[1], row[2]);
                self.fact(fact);
            }
        }
    }

    async fn objects(&mut self) {
        let query = "SELECT o.id::text, o.name::text, o.type::text, o.schema_id::text, r.name::text, \
                    o.privileges::text, o.cluster_id::text \
             FROM mz_catalog.mz_objects o JOIN mz_catalog.mz_roles r ON r.id = o.owner_id \
             WHERE o.id LIKE 'u%'";
        for row in self.sql.rows(query).await {
            let Some(schema) = self.names.get(&("schema", row[3].clone())) else {
                continue;
            };
            let name = schema.replacen("schema ", "object ", 1) + "." + &row[1];
            let cluster = self.names.get(&("cluster", row[6].clone())).cloned();
            self.fact(format!("{name} is a {} of {}", row[2], row[4]));
            self.fact(format!("{name} grants {}", sorted(&row[5])));
            if !row[6].is_empty() {
                self.fact(format!("{name} runs on {cluster:?}"));
            }
            self.names.insert(("object", row[0].clone()), name);
        }
        let columns = "SELECT id::text, name::text, position::text, type::text \
             FROM mz_catalog.mz_columns WHERE id LIKE 'u%'";
        for row in self.sql.rows(columns).await {
            if let Some(name) = self.names.get(&("object", row[0].clone())) {
                let fact = format!("{name} has column {} {} {}", row[2], row[1], row[3]);
                self.fact(fact);
            }
        }
        let dependencies = "SELECT object_id::text, referenced_object_id::text \
             FROM mz_internal.mz_object_dependencies WHERE object_id LIKE 'u%'";
        for row in self.sql.rows(dependencies).await {
            let reader = self.names.get(&("object", row[0].clone()));
            let read = self.names.get(&("object", row[1].clone()));
            if let (Some(reader), Some(read)) = (reader, read) {
                let fact = format!("{reader} reads {read}");
                self.fact(fact);
            }
        }
    }

    async fn comments(&mut self) {
        let query = "SELECT id::text, object_type::text, object_sub_id::text, comment::text \
             FROM mz_internal.mz_comments WHERE id LIKE 'u%'";
        for row in self.sql.rows(query).await {
            let kind = match row[1].as_str() {
                "schema" => "schema",
                "cluster" => "cluster",
                "role" | "database" | "network-policy" | "cluster-replica" => continue,
                _ => "object",
            };
            if let Some(name) = self.names.get(&(kind, row[0].clone())) {
                let fact = format!("comment on {name} {}: {}", row[2], row[3]);
                self.fact(fact);
            }
        }
    }

    async fn default_privileges(&mut self, prefix: &str) {
        let query = format!(
            "SELECT schema::text, object_owner::text, object_type::text, grantee::text, privilege_type::text \
             FROM mz_internal.mz_show_default_privileges WHERE schema LIKE '{prefix}%' OR schema LIKE 'cutover_%'"
        );
        for row in self.sql.rows(&query).await {
            self.fact(format!("default privilege {row:?}"));
        }
    }
}

/// An array of grants in an order of its own.
fn sorted(array: &str) -> String {
    let mut items: Vec<&str> = array.trim_matches(['{', '}']).split(',').collect();
    items.sort_unstable();
    items.join(",")
}
