//! The questions of a look: columns of one relation each.

use crate::adapters::materialize::question::{Filter, Question, Relation, relation};

const FACTS: &str = "SELECT current_database()::text, current_role::text, \
                     mz_environment_id()::text, mz_is_superuser()::text";

/// What tells one Materialize from another, whatever its address is.
pub(super) fn server() -> Question {
    Question::constant("server id", "SELECT mz_environment_id()::text")
}

pub(super) fn facts() -> Question {
    Question::constant("session facts", FACTS)
}

pub(super) fn databases() -> Vec<Question> {
    let columns = ["id", "name", "privileges"];
    Question::select(
        "databases",
        relation::DATABASES,
        &columns,
        Filter::All,
        None,
    )
}

pub(super) fn roles() -> Vec<Question> {
    Question::select("roles", relation::ROLES, &["id", "name"], Filter::All, None)
}

pub(super) fn members() -> Vec<Question> {
    let columns = ["role_id", "member"];
    Question::select(
        "role members",
        relation::ROLE_MEMBERS,
        &columns,
        Filter::All,
        None,
    )
}

pub(super) fn system_privileges() -> Vec<Question> {
    Question::select(
        "system privileges",
        relation::SYSTEM_PRIVILEGES,
        &["privileges"],
        Filter::All,
        None,
    )
}

pub(super) fn schemas(filter: Filter<'_>) -> Vec<Question> {
    let columns = ["id", "name", "database_id", "owner_id", "privileges"];
    Question::select("schemas", relation::SCHEMAS, &columns, filter, None)
}

pub(super) fn clusters(filter: Filter<'_>) -> Vec<Question> {
    let columns = ["id", "name", "owner_id", "managed", "privileges"];
    Question::select("clusters", relation::CLUSTERS, &columns, filter, None)
}

pub(super) fn replicas(filter: Filter<'_>) -> Vec<Question> {
    let columns = ["cluster_id", "name", "size", "availability_zone"];
    Question::select("replicas", relation::REPLICAS, &columns, filter, None)
}

pub(super) fn objects(filter: Filter<'_>) -> Vec<Question> {
    let columns = [
        "id",
        "name",
        "type",
        "schema_id",
        "owner_id",
        "cluster_id",
        "privileges",
    ];
    let users = match filter {
        Filter::Users(_) => None,
        Filter::All | Filter::In(..) | Filter::Either(_) => Some("id LIKE 'u%'"),
    };
    Question::select("objects", relation::OBJECTS, &columns, filter, users)
}

fn of_ids(
    label: &'static str,
    relation: Relation,
    columns: &[&str],
    ids: Option<&[&str]>,
) -> Vec<Question> {
    let filter = match ids {
        Some(ids) => Filter::In("id", ids),
        None => Filter::Users("id"),
    };
    Question::select(label, relation, columns, filter, None)
}

pub(super) fn tables(ids: Option<&[&str]>) -> Vec<Question> {
    of_ids("tables", relation::TABLES, &["id", "source_id"], ids)
}

pub(super) fn sources(ids: Option<&[&str]>) -> Vec<Question> {
    of_ids("sources", relation::SOURCES, &["id", "type"], ids)
}

pub(super) fn columns(ids: Option<&[&str]>) -> Vec<Question> {
    let columns = ["id", "name", "\"position\"", "type", "nullable"];
    of_ids("columns", relation::COLUMNS, &columns, ids)
}

pub(super) fn comments(ids: Option<&[&str]>) -> Vec<Question> {
    let columns = ["id", "object_type", "object_sub_id", "comment"];
    of_ids("comments", relation::COMMENTS, &columns, ids)
}

pub(super) fn indexes() -> Vec<Question> {
    of_ids("indexes", relation::INDEXES, &["id", "create_sql"], None)
}

pub(super) fn dependencies(filter: Filter<'_>, of_users: &str) -> Vec<Question> {
    let columns = ["object_id", "referenced_object_id"];
    Question::select(
        "dependencies",
        relation::DEPENDENCIES,
        &columns,
        filter,
        Some(of_users),
    )
}

pub(super) fn default_privileges() -> Vec<Question> {
    let columns = [
        "role_id",
        "schema_id",
        "object_type",
        "grantee",
        "privileges",
        "database_id",
    ];
    Question::select(
        "default privileges",
        relation::DEFAULT_PRIVILEGES,
        &columns,
        Filter::All,
        None,
    )
}

/// Comments on schemas that hold a mark of ours.
pub(super) fn marks() -> Vec<Question> {
    Question::select(
        "marks",
        relation::COMMENTS,
        &["id", "comment"],
        Filter::All,
        Some("object_type = 'schema' AND comment LIKE '%[cutover {%'"),
    )
}

pub(super) const USED_BY_USERS: &str = "object_id LIKE 'u%'";
pub(super) const OF_USERS: &str = "referenced_object_id LIKE 'u%'";
pub(super) const BOTH_OF_USERS: &str = "object_id LIKE 'u%' AND referenced_object_id LIKE 'u%'";

/// Every question of a look, for tests of what they cost.
#[cfg(test)]
pub(in crate::adapters::materialize) fn every_question() -> Vec<Question> {
    let some = &["u1", "u2"][..];
    [
        vec![server(), facts()],
        databases(),
        roles(),
        members(),
        system_privileges(),
        schemas(Filter::Users("id")),
        schemas(Filter::In("name", some)),
        clusters(Filter::Users("id")),
        clusters(Filter::In("id", some)),
        replicas(Filter::Users("cluster_id")),
        objects(Filter::Users("id")),
        objects(Filter::In("schema_id", some)),
        tables(None),
        sources(Some(some)),
        columns(Some(some)),
        comments(None),
        indexes(),
        dependencies(Filter::Users("object_id"), OF_USERS),
        dependencies(Filter::In("referenced_object_id", some), USED_BY_USERS),
        dependencies(
            Filter::Either([("referenced_object_id", some), ("object_id", some)]),
            BOTH_OF_USERS,
        ),
        default_privileges(),
        marks(),
    ]
    .concat()
}
