//! Changes of the catalog.
//!
//! `apply` works on a private clone: on error the caller throws it away, so a refused statement leaves no trace. What
//! PostgreSQL must do besides (create the relation behind an object) comes back as SQL in the [`Effect`]. Nothing is
//! ever dropped in PostgreSQL: ids are not used again, and a reader that resolved a name just before a DROP still finds it.

pub mod access;
pub mod cluster;
mod dropping;
mod naming;
mod object;
pub mod privilege;
pub mod replacement;
mod sink;
mod source;

use crate::catalog::{
    Catalog, CommentOn, Database, Id, Nullability, ObjectType, Schema, Scope, SystemRelations,
};
use crate::failure::{Notice, SqlError};
use crate::rewrite::Resolver;
use crate::statement::{Ddl, Name, Thing};

/// Who asks, and with which session settings.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Database, search path, role.
    pub scope: &'a Scope,
    /// System relations.
    pub system: &'a SystemRelations,
    /// The session's cluster.
    pub cluster: &'a str,
}

impl<'a> Context<'a> {
    fn resolver(self, catalog: &'a Catalog) -> Resolver<'a> {
        Resolver {
            catalog,
            system: self.system,
            scope: self.scope,
        }
    }
}

/// What an applied statement answers and still needs.
#[derive(Debug, Clone, Default)]
pub struct Effect {
    /// Command tag.
    pub tag: String,
    /// Notices to send first.
    pub notices: Vec<Notice>,
    /// Statements for PostgreSQL.
    pub backend: Vec<String>,
    /// New relations whose columns PostgreSQL must describe.
    pub describe: Vec<(Id, Nullability)>,
    /// The sink that was given another relation.
    pub repointed: Option<Id>,
    /// A new replacement and its target: their columns must be the same.
    pub must_match: Option<(Id, Id)>,
    /// A replacement and its target that have become one.
    pub applied: Option<(Id, Id)>,
}

impl Effect {
    fn tag(tag: impl Into<String>) -> Self {
        Self {
            tag: tag.into(),
            ..Self::default()
        }
    }

    fn skipped(tag: impl Into<String>, notice: String) -> Self {
        Self {
            tag: tag.into(),
            notices: vec![Notice::new(notice)],
            ..Self::default()
        }
    }
}

/// Longest comment, in bytes.
const MAX_COMMENT: usize = 1024;

/// Applies a statement.
pub fn apply(catalog: &mut Catalog, context: Context<'_>, ddl: &Ddl) -> Result<Effect, SqlError> {
    let effect = match ddl {
        Ddl::CreateDatabase {
            name,
            if_not_exists,
        } => create_database(catalog, context, name, *if_not_exists),
        Ddl::CreateSchema {
            name,
            if_not_exists,
        } => create_schema(catalog, context, name, *if_not_exists),
        Ddl::CreateCluster {
            name,
            options,
            if_not_exists,
        } => cluster::create(catalog, context, name, options, *if_not_exists),
        Ddl::CreateReplica {
            cluster,
            name,
            options,
        } => cluster::create_replica(catalog, context, cluster, name, options),
        Ddl::AlterCluster {
            name,
            options,
            if_exists,
        } => cluster::alter(catalog, context, name, options, *if_exists),
        Ddl::CreateRole { name } => privilege::create_role(catalog, context, name),
        Ddl::CreateView(view) => object::create_view(catalog, context, view),
        Ddl::CreateIndex {
            name,
            cluster,
            on,
            columns,
            if_not_exists,
        } => object::create_index(
            catalog,
            context,
            name.as_deref(),
            cluster.as_deref(),
            on,
            columns.as_deref(),
            *if_not_exists,
        ),
        Ddl::CreateTable {
            name,
            columns,
            temporary,
            if_not_exists,
        } => object::create_table(catalog, context, name, columns, *temporary, *if_not_exists),
        Ddl::CreateTableFromSource {
            name,
            source,
            reference,
            if_not_exists,
            text,
        } => source::create_table(
            catalog,
            context,
            name,
            source,
            reference,
            *if_not_exists,
            text,
        ),
        Ddl::CreateSource(create) => source::create(catalog, context, create),
        Ddl::CreatePlain {
            kind,
            name,
            subtype,
            if_not_exists,
            text,
        } => object::create_plain(
            catalog,
            context,
            *kind,
            name,
            subtype.as_deref(),
            *if_not_exists,
            text,
        ),
        Ddl::CreateSink {
            name,
            cluster,
            clauses,
            if_not_exists,
            text,
        } => sink::create(
            catalog,
            context,
            name,
            cluster.as_deref(),
            clauses,
            *if_not_exists,
            text,
        ),
        Ddl::AlterSink { name, from } => sink::alter(catalog, context, name, from),
        Ddl::ApplyReplacement {
            name,
            replacement,
            if_exists,
        } => replacement::apply(catalog, context, name, replacement, *if_exists),
        Ddl::AlterOption { thing, name } => alter_option(catalog, context, *thing, name),
        Ddl::Drop {
            thing,
            names,
            if_exists,
            cascade,
            restrict,
        } => dropping::drop(
            catalog, context, *thing, names, *if_exists, *cascade, *restrict,
        ),
        Ddl::DropOwned { roles, cascade } => {
            dropping::drop_owned(catalog, context, roles, *cascade)
        }
        Ddl::Rename {
            thing,
            name,
            to,
            if_exists,
        } => naming::rename(catalog, context, *thing, name, to, *if_exists),
        Ddl::Swap { thing, name, with } => naming::swap(catalog, context, *thing, name, with),
        Ddl::Owner {
            thing,
            name,
            to,
            if_exists,
        } => naming::owner(catalog, context, *thing, name, to, *if_exists),
        Ddl::DefaultPrivileges {
            creators,
            schemas,
            databases,
            grant,
            modes,
            object_type,
            grantees,
        } => {
            let rule = privilege::Defaults {
                creators: creators.as_deref(),
                schemas,
                databases,
                object_type: *object_type,
                grantees,
            };
            privilege::defaults(catalog, context, &rule, *grant, modes.as_deref())
        }
        Ddl::Privileges {
            grant,
            modes,
            on,
            roles,
        } => privilege::privileges(catalog, context, *grant, modes.as_deref(), on, roles),
        Ddl::Membership {
            grant,
            roles,
            members,
        } => privilege::membership(catalog, context, *grant, roles, members),
        Ddl::Comment {
            thing,
            name,
            comment,
        } => comment_on(catalog, context, *thing, name, comment.as_deref()),
    }?;
    catalog.version += 1;
    Ok(effect)
}

fn create_database(
    catalog: &mut Catalog,
    context: Context<'_>,
    name: &Name,
    if_not_exists: bool,
) -> Result<Effect, SqlError> {
    let [name] = name.as_slice() else {
        return Err(SqlError::syntax("Expected a database name"));
    };
    if catalog.database(name).is_some() {
        let message = format!("database '{name}' already exists");
        return if if_not_exists {
            Ok(Effect::skipped("CREATE DATABASE", message + ", skipping"))
        } else {
            Err(SqlError::internal(message))
        };
    }
    access::system(catalog, context.scope.role, crate::catalog::Mode::CreateDb)?;
    let (id, oid, owner) = (
        catalog.next_database(),
        catalog.next_oid(),
        context.scope.role,
    );
    let acl = privilege::initial(catalog, owner, ObjectType::Database, None, None);
    catalog.databases.insert(
        id,
        Database {
            id,
            oid,
            name: name.clone(),
            owner,
            acl,
        },
    );
    let (schema, oid) = (catalog.next_schema(), catalog.next_oid());
    let mut acl = privilege::initial(catalog, owner, ObjectType::Schema, Some(id), None);
    acl.grant(
        crate::catalog::Grantee::Public,
        owner,
        [crate::catalog::Mode::Usage],
    );
    catalog.schemas.insert(
        schema,
        Schema {
            id: schema,
            oid,
            database: Some(id),
            name: "public".into(),
            owner,
            acl,
        },
    );
    Ok(Effect::tag("CREATE DATABASE"))
}

fn create_schema(
    catalog: &mut Catalog,
    context: Context<'_>,
    name: &Name,
    if_not_exists: bool,
) -> Result<Effect, SqlError> {
    let (database, schema) = match name.as_slice() {
        [schema] => (context.scope.database.as_str(), schema),
        [database, schema] => (database.as_str(), schema),
        _ => return Err(SqlError::syntax("Expected a schema name")),
    };
    let Some(found) = catalog.database(database) else {
        return Err(SqlError::internal(format!("invalid database {database}")));
    };
    naming::check_schema_name(schema)?;
    if catalog.schema_in(found.id, schema).is_some() {
        let message = format!("schema '{schema}' already exists");
        return if if_not_exists {
            Ok(Effect::skipped("CREATE SCHEMA", message + ", skipping"))
        } else {
            Err(SqlError::internal(message))
        };
    }
    access::database(
        catalog,
        context.scope.role,
        found,
        crate::catalog::Mode::Create,
    )?;
    let (database, owner) = (found.id, context.scope.role);
    let (id, oid) = (catalog.next_schema(), catalog.next_oid());
    let acl = privilege::initial(catalog, owner, ObjectType::Schema, Some(database), None);
    catalog.schemas.insert(
        id,
        Schema {
            id,
            oid,
            database: Some(database),
            name: schema.clone(),
            owner,
            acl,
        },
    );
    Ok(Effect::tag("CREATE SCHEMA"))
}

/// Statements such as `ALTER ROLE … SET` that change nothing here.
fn alter_option(
    catalog: &Catalog,
    context: Context<'_>,
    thing: Thing,
    name: &Name,
) -> Result<Effect, SqlError> {
    naming::locate(catalog, context, thing, name)?;
    Ok(Effect::tag(format!("ALTER {}", thing.tag())))
}

fn comment_on(
    catalog: &mut Catalog,
    context: Context<'_>,
    thing: Thing,
    name: &Name,
    comment: Option<&str>,
) -> Result<Effect, SqlError> {
    let on = if thing == Thing::Column {
        let (column, relation) = name
            .split_last()
            .ok_or_else(|| SqlError::syntax("Expected a column name"))?;
        let object = catalog
            .object(context.scope, relation)
            .ok_or_else(|| SqlError::unknown_item(&relation.join(".")))?;
        let position = object
            .columns
            .iter()
            .zip(1u32..)
            .find(|(c, _)| c.name == *column)
            .map(|(_, n)| n);
        let position = position.ok_or_else(|| {
            SqlError::new(
                "42703",
                format!("column \"{}\" does not exist", name.join(".")),
            )
        })?;
        access::owners(
            catalog,
            context.scope.role,
            &[(access::object_label(catalog, object), object.owner)],
        )?;
        CommentOn::Object(object.id, Some(position))
    } else {
        let found = naming::locate(catalog, context, thing, name)?;
        access::owners(catalog, context.scope.role, &[(found.label, found.owner)])?;
        match found.what {
            naming::What::Database(id) => CommentOn::Database(id),
            naming::What::Schema(id) => CommentOn::Schema(id),
            naming::What::Cluster(id) => CommentOn::Cluster(id),
            naming::What::Replica(id) => CommentOn::Replica(id),
            naming::What::Role(id) => CommentOn::Role(id),
            naming::What::Object(id) => CommentOn::Object(id, None),
        }
    };
    match comment {
        Some(text) if text.len() > MAX_COMMENT => {
            return Err(SqlError::internal(format!(
                "provided comment was {} bytes long, max length is {MAX_COMMENT} bytes",
                text.len()
            )));
        }
        Some(text) => catalog.comments.insert(on, text.to_owned()),
        None => catalog.comments.remove(&on),
    };
    Ok(Effect::tag("COMMENT"))
}
