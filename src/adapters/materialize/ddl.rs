//! Statements that create, alter and drop. Each returns a named [`Statement`]; none is sent here.

use super::session::Statement;
use crate::domain::catalog::grants::{DefaultPrivilege, Grant};
use crate::domain::catalog::{ClusterDefinition, ObjectKind};
use crate::foundation::sql::identifier::{Ident, Literal, Qualified};

/// The keyword of a kind of object in DROP, ALTER and COMMENT.
#[must_use]
pub fn keyword(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Table => "TABLE",
        ObjectKind::View => "VIEW",
        ObjectKind::MaterializedView => "MATERIALIZED VIEW",
        ObjectKind::Index => "INDEX",
        ObjectKind::Source => "SOURCE",
        ObjectKind::Sink => "SINK",
        ObjectKind::Connection => "CONNECTION",
        ObjectKind::Secret => "SECRET",
        ObjectKind::Type => "TYPE",
        ObjectKind::Function => "FUNCTION",
    }
}

/// Creates an empty schema.
#[must_use]
pub fn create_schema(database: &str, name: &str) -> Statement {
    Statement::new(
        "create schema",
        format!("CREATE SCHEMA {}", Qualified::schema(database, name)),
    )
}

/// Creates a cluster like the definition.
#[must_use]
pub fn create_cluster(name: &str, definition: &ClusterDefinition) -> Statement {
    let sql = match definition {
        ClusterDefinition::Managed { options } => {
            format!("CREATE CLUSTER {} ({options})", Ident(name))
        }
        ClusterDefinition::Unmanaged { replicas } => {
            let replicas: Vec<String> = replicas
                .iter()
                .map(|replica| {
                    let zone = replica
                        .availability_zone
                        .as_ref()
                        .map_or_else(String::new, |zone| {
                            format!(", AVAILABILITY ZONE {}", Literal(zone))
                        });
                    format!(
                        "{} (SIZE {}{zone})",
                        Ident(&replica.name),
                        Literal(&replica.size)
                    )
                })
                .collect();
            format!(
                "CREATE CLUSTER {} REPLICAS ({})",
                Ident(name),
                replicas.join(", ")
            )
        }
    };
    Statement::new("create cluster", sql)
}

/// Writes or removes (`None`) the comment on a schema.
#[must_use]
pub fn comment_on_schema(database: &str, name: &str, comment: Option<&str>) -> Statement {
    comment_on(
        "comment on schema",
        &format!("SCHEMA {}", Qualified::schema(database, name)),
        comment,
    )
}

/// Writes or removes (`None`) the comment on a cluster.
#[must_use]
pub fn comment_on_cluster(name: &str, comment: Option<&str>) -> Statement {
    comment_on(
        "comment on cluster",
        &format!("CLUSTER {}", Ident(name)),
        comment,
    )
}

/// Writes or removes (`None`) the comment on an object.
#[must_use]
pub fn comment_on_object(
    kind: ObjectKind,
    name: &Qualified<'_>,
    comment: Option<&str>,
) -> Statement {
    comment_on(
        "comment on object",
        &format!("{} {name}", keyword(kind)),
        comment,
    )
}

/// Writes or removes (`None`) the comment on a column.
#[must_use]
pub fn comment_on_column(
    relation: &Qualified<'_>,
    column: &str,
    comment: Option<&str>,
) -> Statement {
    comment_on(
        "comment on column",
        &format!("COLUMN {relation}.{}", Ident(column)),
        comment,
    )
}

fn comment_on(label: &'static str, what: &str, comment: Option<&str>) -> Statement {
    let text = comment.map_or_else(|| "NULL".to_owned(), |text| Literal(text).to_string());
    Statement::new(label, format!("COMMENT ON {what} IS {text}"))
}

/// What a grant or a change of owner is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target<'a> {
    /// A schema of the database.
    Schema(Qualified<'a>),
    /// A cluster.
    Cluster(Ident<'a>),
    /// An object of this kind.
    Object(ObjectKind, Qualified<'a>),
}

impl Target<'_> {
    fn for_alter(&self) -> String {
        match self {
            Target::Schema(name) => format!("SCHEMA {name}"),
            Target::Cluster(name) => format!("CLUSTER {name}"),
            Target::Object(kind, name) => format!("{} {name}", keyword(*kind)),
        }
    }

    /// GRANT speaks of every relation as TABLE.
    fn for_grant(&self) -> String {
        match self {
            Target::Schema(name) => format!("SCHEMA {name}"),
            Target::Cluster(name) => format!("CLUSTER {name}"),
            Target::Object(kind, name) => match kind {
                ObjectKind::Table
                | ObjectKind::View
                | ObjectKind::MaterializedView
                | ObjectKind::Source => format!("TABLE {name}"),
                ObjectKind::Index
                | ObjectKind::Sink
                | ObjectKind::Connection
                | ObjectKind::Secret
                | ObjectKind::Type
                | ObjectKind::Function => format!("{} {name}", keyword(*kind)),
            },
        }
    }
}

fn role(name: Option<&str>) -> String {
    name.map_or_else(|| "PUBLIC".to_owned(), |name| Ident(name).to_string())
}

/// Gives a privilege.
#[must_use]
pub fn grant(target: &Target<'_>, grant: &Grant) -> Statement {
    Statement::new(
        "grant",
        format!(
            "GRANT {} ON {} TO {}",
            grant.privilege,
            target.for_grant(),
            role(grant.grantee.as_deref())
        ),
    )
}

/// Takes a privilege away.
#[must_use]
pub fn revoke(target: &Target<'_>, grant: &Grant) -> Statement {
    Statement::new(
        "revoke",
        format!(
            "REVOKE {} ON {} FROM {}",
            grant.privilege,
            target.for_grant(),
            role(grant.grantee.as_deref())
        ),
    )
}

/// Gives a default privilege in a schema.
#[must_use]
pub fn default_privilege(database: &str, schema: &str, privilege: &DefaultPrivilege) -> Statement {
    let owner = privilege.owner.as_deref().map_or_else(
        || "ALL ROLES".to_owned(),
        |name| format!("ROLE {}", Ident(name)),
    );
    Statement::new(
        "alter default privileges",
        format!(
            "ALTER DEFAULT PRIVILEGES FOR {owner} IN SCHEMA {} GRANT {} ON {}S TO {}",
            Qualified::schema(database, schema),
            privilege.privilege,
            privilege.object_type.to_uppercase(),
            role(privilege.grantee.as_deref())
        ),
    )
}

/// Changes the owner.
#[must_use]
pub fn alter_owner(target: &Target<'_>, owner: &str) -> Statement {
    Statement::new(
        "alter owner",
        format!("ALTER {} OWNER TO {}", target.for_alter(), Ident(owner)),
    )
}

/// Exchanges the names of two schemas of the session's database.
#[must_use]
pub fn swap_schemas(one: &str, other: &str) -> Statement {
    Statement::new(
        "swap schemas",
        format!("ALTER SCHEMA {} SWAP WITH {}", Ident(one), Ident(other)),
    )
}

/// Exchanges the names of two clusters.
#[must_use]
pub fn swap_clusters(one: &str, other: &str) -> Statement {
    Statement::new(
        "swap clusters",
        format!("ALTER CLUSTER {} SWAP WITH {}", Ident(one), Ident(other)),
    )
}

/// Renames a schema.
#[must_use]
pub fn rename_schema(database: &str, from: &str, to: &str) -> Statement {
    Statement::new(
        "rename schema",
        format!(
            "ALTER SCHEMA {} RENAME TO {}",
            Qualified::schema(database, from),
            Ident(to)
        ),
    )
}

/// Renames a cluster.
#[must_use]
pub fn rename_cluster(from: &str, to: &str) -> Statement {
    Statement::new(
        "rename cluster",
        format!("ALTER CLUSTER {} RENAME TO {}", Ident(from), Ident(to)),
    )
}

/// Drops one object; the server refuses while anything depends on it.
#[must_use]
pub fn drop_object(kind: ObjectKind, name: &Qualified<'_>) -> Statement {
    drop_objects(kind, &[name.to_string()])
}

/// Drops objects of one kind by their qualified names; refused as a whole where anything depends on one of them
/// (`plan_drop_objects` in `src/sql/src/plan/statement/ddl.rs` of MaterializeInc/materialize looks at each name).
#[must_use]
pub fn drop_objects(kind: ObjectKind, names: &[String]) -> Statement {
    let names = names.join(", ");
    Statement::new("drop object", format!("DROP {} {names}", keyword(kind)))
}

/// Creates an index. `key` is what follows the relation's name, as `catalog::index_key` gives it.
#[must_use]
pub fn create_index(name: &str, cluster: &str, on: &Qualified<'_>, key: &str) -> Statement {
    Statement::new(
        "create index",
        format!(
            "CREATE INDEX {} IN CLUSTER {} ON {on} {key}",
            Ident(name),
            Ident(cluster)
        ),
    )
}

/// Renames an object within its schema.
#[must_use]
pub fn rename_object(kind: ObjectKind, from: &Qualified<'_>, to: &str) -> Statement {
    Statement::new(
        "rename object",
        format!("ALTER {} {from} RENAME TO {}", keyword(kind), Ident(to)),
    )
}

/// Drops an empty schema; the server refuses while it holds anything.
#[must_use]
pub fn drop_schema(database: &str, name: &str) -> Statement {
    Statement::new(
        "drop schema",
        format!("DROP SCHEMA {}", Qualified::schema(database, name)),
    )
}

/// Drops a cluster; the server refuses while it holds anything.
#[must_use]
pub fn drop_cluster(name: &str) -> Statement {
    Statement::new("drop cluster", format!("DROP CLUSTER {}", Ident(name)))
}

/// Points a sink to another relation. Blocks until the sink has caught up.
#[must_use]
pub fn alter_sink(sink: &Qualified<'_>, from: &Qualified<'_>) -> Statement {
    Statement::new("alter sink", format!("ALTER SINK {sink} SET FROM {from}"))
}

/// The option list of a managed cluster out of the answer of SHOW CREATE CLUSTER.
///
/// # Errors
/// The answer itself, when it does not have the known shape.
pub fn managed_options(name: &str, create_sql: &str) -> Result<String, String> {
    create_sql
        .trim_end()
        .strip_suffix(';')
        .unwrap_or(create_sql.trim_end())
        .strip_prefix(&format!("CREATE CLUSTER {} (", Ident(name)))
        .and_then(|rest| rest.strip_suffix(')'))
        .map(str::to_owned)
        .ok_or_else(|| create_sql.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::foundation::sql::scan::index_key;

    #[test]
    fn options_are_read_from_show_create_cluster() {
        let sql = "CREATE CLUSTER \"k(1\" (MANAGED = true, AUTO SCALING STRATEGY = (ON HYDRATION (HYDRATION SIZE = '50cc')), SIZE = '25cc', SCHEDULE = MANUAL)";
        let options = managed_options("k(1", sql);
        assert_eq!(
            options.as_deref(),
            Ok(
                "MANAGED = true, AUTO SCALING STRATEGY = (ON HYDRATION (HYDRATION SIZE = '50cc')), SIZE = '25cc', SCHEDULE = MANUAL"
            )
        );
        let definition = ClusterDefinition::Managed {
            options: options.unwrap_or_default(),
        };
        assert!(
            create_cluster("g", &definition)
                .to_string()
                .ends_with("CREATE CLUSTER \"g\" (MANAGED = true, AUTO SCALING STRATEGY = (ON HYDRATION (HYDRATION SIZE = '50cc')), SIZE = '25cc', SCHEDULE = MANUAL)")
        );
        assert!(managed_options("other", sql).is_err());
    }

    #[test]
    fn the_key_of_an_index_is_read_from_show_create_index() {
        let sql = "CREATE INDEX \"a(b\" IN CLUSTER \"c\"\"(\" ON \"d\".\"s\".\"v\" (\"x\", lower(\"y\"));";
        assert_eq!(index_key(sql).as_deref(), Ok("(\"x\", lower(\"y\"))"));
        let pretty = "CREATE INDEX i\n    IN CLUSTER c\n    ON d.s.v (x)";
        assert_eq!(index_key(pretty).as_deref(), Ok("(x)"));
        for other in ["CREATE VIEW v AS (SELECT 1)", "CREATE INDEX i ON v", ""] {
            assert_eq!(index_key(other), Err(other.to_owned()));
        }
        let name = Qualified::object("d", "s", "v");
        assert_eq!(
            create_index("n", "c", &name, "(x)").sql(),
            "CREATE INDEX \"n\" IN CLUSTER \"c\" ON \"d\".\"s\".\"v\" (x)"
        );
    }

    #[test]
    fn hostile_names_stay_names() {
        let name = "a\"; DROP SCHEMA x; --";
        assert_eq!(
            drop_schema("d", name).sql(),
            "DROP SCHEMA \"d\".\"a\"\"; DROP SCHEMA x; --\""
        );
        assert_eq!(
            comment_on_cluster("c", Some("it's")).sql(),
            "COMMENT ON CLUSTER \"c\" IS 'it''s'"
        );
    }

    #[test]
    fn grants_name_relations_as_tables() {
        let grant_of = Grant {
            grantee: None,
            privilege: "SELECT".to_owned(),
        };
        let target = Target::Object(
            ObjectKind::MaterializedView,
            Qualified::object("d", "s", "mv"),
        );
        assert_eq!(
            grant(&target, &grant_of).sql(),
            "GRANT SELECT ON TABLE \"d\".\"s\".\"mv\" TO PUBLIC"
        );
        assert_eq!(
            alter_owner(&target, "o").sql(),
            "ALTER MATERIALIZED VIEW \"d\".\"s\".\"mv\" OWNER TO \"o\""
        );
    }
}
