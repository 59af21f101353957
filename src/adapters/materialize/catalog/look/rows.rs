//! The rows of the server's answers, into what a look saw.

use super::{ClusterRow, Database, Facts, ObjectRow, SchemaRow, Seen, unexpected};
use crate::adapters::materialize::catalog::{optional, text};
use crate::adapters::materialize::error::MaterializeError;
use tokio_postgres::Row;

impl Seen {
    pub(super) fn take_facts(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
        const LABEL: &str = "session facts";
        let row = rows.first().ok_or_else(|| unexpected(LABEL, "no row"))?;
        self.facts = Facts {
            database: text(row, LABEL, 0)?,
            role: text(row, LABEL, 1)?,
            server: text(row, LABEL, 2)?,
            is_superuser: text(row, LABEL, 3)? == "true",
            database_id: None,
        };
        Ok(())
    }

    pub(super) fn take_databases(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
        const LABEL: &str = "databases";
        for row in rows {
            let database = Database {
                name: text(row, LABEL, 1)?,
                privileges: optional(row, LABEL, 2)?,
            };
            self.databases.insert(text(row, LABEL, 0)?, database);
        }
        Ok(())
    }

    pub(super) fn take_roles(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
        for row in rows {
            self.roles
                .insert(text(row, "roles", 0)?, text(row, "roles", 1)?);
        }
        Ok(())
    }

    pub(super) fn take_schemas(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
        const LABEL: &str = "schemas";
        for row in rows {
            let schema = SchemaRow {
                name: text(row, LABEL, 1)?,
                database_id: optional(row, LABEL, 2)?,
                owner_id: text(row, LABEL, 3)?,
                privileges: optional(row, LABEL, 4)?,
            };
            self.schemas.insert(text(row, LABEL, 0)?, schema);
        }
        Ok(())
    }

    pub(super) fn take_clusters(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
        const LABEL: &str = "clusters";
        for row in rows {
            let cluster = ClusterRow {
                name: text(row, LABEL, 1)?,
                owner_id: text(row, LABEL, 2)?,
                managed: text(row, LABEL, 3)? == "true",
                privileges: optional(row, LABEL, 4)?,
            };
            self.clusters.insert(text(row, LABEL, 0)?, cluster);
        }
        Ok(())
    }

    pub(super) fn take_objects(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
        const LABEL: &str = "objects";
        for row in rows {
            let object = ObjectRow {
                name: text(row, LABEL, 1)?,
                word: text(row, LABEL, 2)?,
                schema_id: text(row, LABEL, 3)?,
                owner_id: text(row, LABEL, 4)?,
                cluster_id: optional(row, LABEL, 5)?,
                privileges: optional(row, LABEL, 6)?,
            };
            self.objects.insert(text(row, LABEL, 0)?, object);
        }
        Ok(())
    }

    pub(super) fn take_tables(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
        for row in rows {
            if optional(row, "tables", 1)?.is_some() {
                self.fed.insert(text(row, "tables", 0)?);
            }
        }
        Ok(())
    }

    pub(super) fn take_sources(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
        for row in rows {
            self.source_types
                .insert(text(row, "sources", 0)?, text(row, "sources", 1)?);
        }
        Ok(())
    }

    pub(super) fn take_dependencies(&mut self, rows: &[Row]) -> Result<(), MaterializeError> {
        const LABEL: &str = "dependencies";
        for row in rows {
            self.dependencies
                .insert((text(row, LABEL, 0)?, text(row, LABEL, 1)?));
        }
        Ok(())
    }
}
