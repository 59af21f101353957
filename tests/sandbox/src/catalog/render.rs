//! Stored SQL keeps references as marks, so that `create_sql` always shows the present names.
//!
//! A mark is `\u{1}<letter><id>\u{2}`: `o` renders as `[u1 AS "db"."schema"."name"]`, `n` as the bare quoted name,
//! `q` as `"schema"."name"`, `c` as a cluster's `[u1]`.

use super::{Catalog, Id, TEMPORARY_SCHEMA};
use crate::lexer::quote;

/// A reference to an object inside stored SQL.
pub fn reference(id: Id) -> String {
    format!("\u{1}o{id}\u{2}")
}

/// A relation in front of a column inside stored SQL, with its database or without.
pub fn qualifier(id: Id, database: bool) -> String {
    format!("\u{1}{}{id}\u{2}", if database { 'n' } else { 'q' })
}

/// The object's own name inside stored SQL.
pub fn own_name(id: Id) -> String {
    format!("\u{1}n{id}\u{2}")
}

/// A cluster inside stored SQL.
pub fn cluster(id: Id) -> String {
    format!("\u{1}c{id}\u{2}")
}

impl Catalog {
    /// Stored SQL with the present names.
    pub fn render(&self, stored: &str) -> String {
        self.rendered(stored, false)
    }

    /// The same without ids.
    pub fn render_for_people(&self, stored: &str) -> String {
        self.rendered(stored, true)
    }

    fn rendered(&self, stored: &str, for_people: bool) -> String {
        let mut out = String::with_capacity(stored.len() + 64);
        let mut parts = stored.split('\u{1}');
        out.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let (mark, rest) = part.split_once('\u{2}').unwrap_or((part, ""));
            let (kind, id) = mark.split_at(mark.len().min(1));
            match kind {
                "o" if for_people => out.push_str(&self.quoted_path(id)),
                "c" if for_people => out.push_str(&self.quoted_cluster(id)),
                "o" => out.push_str(&format!("[{id} AS {}]", self.quoted_path(id))),
                "n" => out.push_str(&self.quoted_path(id)),
                "q" => out.push_str(&self.short_quoted_path(id)),
                _ => out.push_str(&format!("[{id}]")),
            }
            out.push_str(rest);
        }
        out
    }

    fn quoted_cluster(&self, id: &str) -> String {
        let cluster = parse_id(id).and_then(|id| self.clusters.get(&id));
        cluster.map_or_else(|| quote(id), |cluster| quote(&cluster.name))
    }

    fn short_quoted_path(&self, id: &str) -> String {
        let path = self.quoted_path(id);
        let object = parse_id(id).and_then(|id| self.objects.get(&id));
        let Some(object) = object else {
            return path;
        };
        let schema = self.schemas.get(&object.schema).map(|s| &s.name);
        match schema {
            Some(schema) => format!("{}.{}", quote(schema), quote(&object.name)),
            None => path,
        }
    }

    fn quoted_path(&self, id: &str) -> String {
        let object = parse_id(id).and_then(|id| self.objects.get(&id));
        let Some(object) = object else {
            return quote(id);
        };
        if object.schema == TEMPORARY_SCHEMA {
            return format!("\"mz_temp\".{}", quote(&object.name));
        }
        let schema = self.schemas.get(&object.schema);
        let database = schema
            .and_then(|s| s.database)
            .and_then(|id| self.databases.get(&id));
        let parts = [
            database.map(|d| &d.name),
            schema.map(|s| &s.name),
            Some(&object.name),
        ];
        parts
            .into_iter()
            .flatten()
            .map(|p| quote(p))
            .collect::<Vec<_>>()
            .join(".")
    }
}

/// Reads `u12` or `s3`.
pub fn parse_id(text: &str) -> Option<Id> {
    let number = text.get(1..)?.parse().ok()?;
    match text.as_bytes()[0] {
        b'u' => Some(Id::user(number)),
        b's' => Some(Id::system(number)),
        _ => None,
    }
}
