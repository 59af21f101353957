//! The catalog as rows of PostgreSQL tables, and the SQL that brings those tables from one catalog to another.
//!
//! Every base table `mz_base.<name>` starts with a text column `key`, its primary key.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Catalog, CommentOn, Id, TEMPORARY_SCHEMA};
use crate::lexer::literal;

type Row = Vec<Option<String>>;

/// Rows by table and key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Projection {
    tables: BTreeMap<&'static str, BTreeMap<String, Row>>,
}

/// Base tables and their columns behind `key`.
pub const TABLES: [(&str, &[&str]); 12] = [
    (
        "databases",
        &["id", "oid", "name", "owner_id", "privileges"],
    ),
    (
        "schemas",
        &["id", "oid", "database_id", "name", "owner_id", "privileges"],
    ),
    (
        "clusters",
        &[
            "id",
            "name",
            "owner_id",
            "privileges",
            "managed",
            "size",
            "replication_factor",
            "availability_zones",
            "introspection_debugging",
            "introspection_interval",
            "auto_scaling",
        ],
    ),
    (
        "replicas",
        &[
            "id",
            "name",
            "cluster_id",
            "size",
            "availability_zone",
            "owner_id",
        ],
    ),
    ("roles", &["id", "oid", "name", "superuser"]),
    ("members", &["role_id", "member", "grantor"]),
    (
        "objects",
        &[
            "id",
            "oid",
            "schema_id",
            "name",
            "type",
            "owner_id",
            "cluster_id",
            "privileges",
            "create_sql",
            "definition",
            "subtype",
            "on_id",
            "connection_id",
            "source_id",
            "envelope",
            "format",
            "replaces_id",
            "constant",
        ],
    ),
    (
        "columns",
        &[
            "id",
            "name",
            "position",
            "nullable",
            "type",
            "default_value",
            "type_oid",
            "type_mod",
        ],
    ),
    ("dependencies", &["object_id", "referenced_object_id"]),
    (
        "defaults",
        &[
            "role_id",
            "database_id",
            "schema_id",
            "object_type",
            "grantee",
            "privileges",
        ],
    ),
    ("system_privileges", &["privileges"]),
    (
        "comments",
        &["id", "object_type", "object_sub_id", "comment"],
    ),
];

fn text(value: impl ToString) -> Option<String> {
    Some(value.to_string())
}

fn bool_text(value: bool) -> Option<String> {
    text(if value { "t" } else { "f" })
}

fn array(items: &[String]) -> String {
    let quoted: Vec<_> = items
        .iter()
        .map(|i| format!("\"{}\"", i.replace('\\', "\\\\").replace('"', "\\\"")))
        .collect();
    format!("{{{}}}", quoted.join(","))
}

impl Projection {
    fn put(&mut self, table: &'static str, key: impl ToString, row: Row) {
        self.tables
            .entry(table)
            .or_default()
            .insert(key.to_string(), row);
    }

    /// All rows of a catalog.
    pub fn of(catalog: &Catalog) -> Self {
        let mut out = Self::default();
        for d in catalog.databases.values() {
            out.put(
                "databases",
                d.id,
                vec![
                    text(d.id),
                    text(d.oid),
                    text(&d.name),
                    text(d.owner),
                    text(d.acl.array()),
                ],
            );
        }
        for s in catalog.schemas.values() {
            let row = vec![
                text(s.id),
                text(s.oid),
                s.database.and_then(text),
                text(&s.name),
                text(s.owner),
                text(s.acl.array()),
            ];
            out.put("schemas", s.id, row);
        }
        out.clusters(catalog);
        for r in catalog.roles.values() {
            out.put(
                "roles",
                r.id,
                vec![
                    text(r.id),
                    text(r.oid),
                    text(&r.name),
                    bool_text(r.superuser),
                ],
            );
        }
        for ((role, member), grantor) in &catalog.members {
            out.put(
                "members",
                format!("{role} {member}"),
                vec![text(role), text(member), text(grantor)],
            );
        }
        out.objects(catalog);
        for (rule, modes) in &catalog.defaults {
            let letters: String = modes.iter().map(|m| m.letter()).collect();
            let row = vec![
                text(rule.creator),
                rule.database.and_then(text),
                rule.schema.and_then(text),
                text(rule.object_type.name()),
                text(rule.grantee),
                text(letters),
            ];
            out.put("defaults", format!("{rule:?}"), row);
        }
        for item in catalog.system_acl.items() {
            out.put("system_privileges", &item, vec![text(&item)]);
        }
        out.comments(catalog);
        out
    }

    fn clusters(&mut self, catalog: &Catalog) {
        for c in catalog.clusters.values() {
            let m = c.managed.as_ref();
            let row = vec![
                text(c.id),
                text(&c.name),
                text(c.owner),
                text(c.acl.array()),
                bool_text(m.is_some()),
                m.map(|m| m.size.clone()),
                m.and_then(|m| text(m.replication_factor)),
                m.filter(|m| !m.availability_zones.is_empty())
                    .map(|m| array(&m.availability_zones)),
                m.and_then(|m| bool_text(m.introspection_debugging)),
                m.map(|m| m.introspection_interval.clone()),
                m.and_then(|m| m.auto_scaling.clone()),
            ];
            self.put("clusters", c.id, row);
        }
        for r in catalog.replicas.values() {
            let row = vec![
                text(r.id),
                text(&r.name),
                text(r.cluster),
                text(&r.size),
                r.availability_zone.clone(),
                text(r.owner),
            ];
            self.put("replicas", r.id, row);
        }
    }

    fn objects(&mut self, catalog: &Catalog) {
        for o in catalog.objects.values() {
            let schema = if o.schema == TEMPORARY_SCHEMA {
                "0".to_owned()
            } else {
                o.schema.to_string()
            };
            let d = &o.details;
            let row = vec![
                text(o.id),
                text(o.oid),
                Some(schema),
                text(&o.name),
                text(o.kind.catalog_name()),
                text(o.owner),
                o.cluster.and_then(text),
                text(o.acl.array()),
                Some(catalog.render(&o.create)),
                o.definition.as_ref().map(|d| catalog.render(d)),
                d.subtype.clone(),
                d.on.and_then(text),
                d.connection.and_then(text),
                d.source.and_then(text),
                d.envelope.clone(),
                d.format.clone(),
                d.replaces.and_then(text),
                bool_text(d.constant),
            ];
            self.put("objects", o.id, row);
            for (column, position) in o.columns.iter().zip(1u32..) {
                let row = vec![
                    text(o.id),
                    text(&column.name),
                    text(position),
                    bool_text(column.nullable),
                    text(&column.type_name),
                    column.default.clone(),
                    text(column.type_oid),
                    text(column.type_mod),
                ];
                self.put("columns", format!("{} {position}", o.id), row);
            }
            for referenced in &o.depends {
                self.put(
                    "dependencies",
                    format!("{} {referenced}", o.id),
                    vec![text(o.id), text(referenced)],
                );
            }
        }
    }

    fn comments(&mut self, catalog: &Catalog) {
        for (on, comment) in &catalog.comments {
            let object_type = |id: &Id| {
                catalog
                    .objects
                    .get(id)
                    .map_or("table", |o| o.kind.catalog_name())
            };
            let (id, object_type, position) = match on {
                CommentOn::Database(id) => (id, "database", None),
                CommentOn::Schema(id) => (id, "schema", None),
                CommentOn::Cluster(id) => (id, "cluster", None),
                CommentOn::Replica(id) => (id, "cluster-replica", None),
                CommentOn::Role(id) => (id, "role", None),
                CommentOn::Object(id, position) => (id, object_type(id), *position),
            };
            self.put(
                "comments",
                format!("{on:?}"),
                vec![
                    text(id),
                    text(object_type),
                    position.and_then(text),
                    text(comment),
                ],
            );
        }
    }
}

/// SQL that turns the tables holding `old` into tables holding `new`; empty if nothing differs.
pub fn diff(old: &Projection, new: &Projection) -> String {
    let empty = BTreeMap::new();
    let mut sql = String::new();
    for (table, columns) in TABLES {
        let before = old.tables.get(table).unwrap_or(&empty);
        let after = new.tables.get(table).unwrap_or(&empty);
        let gone: Vec<_> = before
            .keys()
            .filter(|k| !after.contains_key(*k))
            .map(|k| literal(k))
            .collect();
        if !gone.is_empty() {
            let _ = writeln!(
                sql,
                "DELETE FROM mz_base.{table} WHERE key IN ({});",
                gone.join(",")
            );
        }
        let changed: Vec<_> = after
            .iter()
            .filter(|(k, row)| before.get(*k) != Some(row))
            .collect();
        if changed.is_empty() {
            continue;
        }
        let _ = write!(
            sql,
            "INSERT INTO mz_base.{table} (key,{}) VALUES ",
            columns.join(",")
        );
        for (at, (key, row)) in changed.into_iter().enumerate() {
            let _ = write!(sql, "{}({}", if at == 0 { "" } else { "," }, literal(key));
            for value in row {
                let _ = match value {
                    Some(value) => write!(sql, ",{}", literal(value)),
                    None => write!(sql, ",NULL"),
                };
            }
            sql.push(')');
        }
        let set: Vec<_> = columns
            .iter()
            .map(|c| format!("{c}=excluded.{c}"))
            .collect();
        let _ = writeln!(sql, " ON CONFLICT (key) DO UPDATE SET {};", set.join(","));
    }
    sql
}
