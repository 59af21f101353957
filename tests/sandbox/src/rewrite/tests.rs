//! Unit tests of the rewriting.

use std::collections::BTreeSet;

use super::*;
use crate::catalog::{Acl, Column, Id, MZ_SYSTEM, ObjectKind, ObjectType, SystemRelation};

fn object(catalog: &mut Catalog, schema: Id, name: &str, kind: ObjectKind) -> Id {
    let id = catalog.next_object();
    let oid = catalog.next_oid();
    let column = |name: &str, nullable| Column {
        name: name.into(),
        type_name: "integer".into(),
        type_oid: 23,
        type_mod: -1,
        nullable,
        default: None,
    };
    catalog.insert_object(Object {
        id,
        oid,
        schema,
        name: name.into(),
        kind,
        owner: MZ_SYSTEM,
        acl: Acl::owned(MZ_SYSTEM, ObjectType::Table),
        cluster: None,
        columns: vec![column("id", false), column("v", true)],
        depends: BTreeSet::new(),
        create: String::new(),
        definition: None,
        qualifiers: BTreeSet::new(),
        session: None,
        relation: id.to_string(),
        body: None,
        details: crate::catalog::Details::default(),
    });
    id
}

fn fixture() -> (Catalog, SystemRelations, Scope) {
    let mut catalog = Catalog::fresh();
    let public = Id::user(3);
    let other = catalog.next_schema();
    let oid = catalog.next_oid();
    let database = Some(Id::user(1));
    let acl = Acl::default();
    catalog.schemas.insert(
        other,
        crate::catalog::Schema {
            id: other,
            oid,
            database,
            name: "p".into(),
            owner: MZ_SYSTEM,
            acl,
        },
    );
    object(&mut catalog, public, "t", ObjectKind::Table);
    object(&mut catalog, other, "t", ObjectKind::MaterializedView);
    object(&mut catalog, other, "orders", ObjectKind::View);
    let mut system = SystemRelations::new();
    for (schema, name) in [
        ("mz_catalog", "mz_schemas"),
        ("pg_catalog", "pg_class"),
        ("mz_sandbox", "faults"),
    ] {
        let relation = SystemRelation {
            backend: (schema.into(), name.into()),
            schema: schema.into(),
            name: name.into(),
        };
        system.insert((schema.into(), name.into()), relation);
    }
    let scope = Scope {
        database: "materialize".into(),
        search_path: vec!["public".into()],
        session: 1,
        role: Id::user(1),
    };
    (catalog, system, scope)
}

fn rewrite(text: &str) -> Result<Rewritten, SqlError> {
    let (catalog, system, scope) = fixture();
    statement(
        Resolver {
            catalog: &catalog,
            system: &system,
            scope: &scope,
        },
        text,
    )
}

fn sql(text: &str) -> String {
    rewrite(text)
        .unwrap()
        .sql
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn names_become_ids_with_an_alias() {
    assert_eq!(
        sql("SELECT id FROM t"),
        "SELECT id FROM \"mz_user\".\"u1001\" AS \"t\""
    );
    assert_eq!(
        sql("SELECT id FROM materialize.p.t x"),
        "SELECT id FROM \"mz_user\".\"u1002\" x"
    );
    assert_eq!(
        sql("SELECT name FROM mz_schemas"),
        "SELECT name FROM \"mz_catalog\".\"mz_schemas\" AS \"mz_schemas\""
    );
}

#[test]
fn a_cte_hides_a_relation_but_not_inside_itself() {
    assert_eq!(
        sql("WITH t AS (SELECT id FROM t) SELECT * FROM t"),
        "WITH t AS (SELECT id FROM \"mz_user\".\"u1001\" AS \"t\") SELECT * FROM t"
    );
    assert_eq!(
        sql("WITH a AS (SELECT 1 AS x), b AS (SELECT * FROM a) SELECT * FROM b, t"),
        "WITH a AS (SELECT 1 AS x), b AS (SELECT * FROM a) SELECT * FROM b, \"mz_user\".\"u1001\" AS \"t\""
    );
    assert!(sql("SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) q, t").contains("\"u1001\""));
    assert_eq!(
        rewrite("SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) q, x")
            .unwrap_err()
            .code,
        "XX000"
    );
}

#[test]
fn qualified_columns_follow_the_alias() {
    assert_eq!(
        sql("SELECT p.t.id FROM p.t"),
        "SELECT \"t\".id FROM \"mz_user\".\"u1002\" AS \"t\""
    );
    let both =
        sql("SELECT public.t.id, p.t.* FROM public.t JOIN p.t ON public.t.id = materialize.p.t.id");
    assert_eq!(
        both,
        "SELECT \"public.t\".id, \"p.t\".* FROM \"mz_user\".\"u1001\" AS \"public.t\" JOIN \"mz_user\".\"u1002\" AS \"p.t\" ON \"public.t\".id = \"p.t\".id"
    );
    let found = rewrite("SELECT p.t.id FROM p.t").unwrap();
    assert_eq!(found.qualifiers, BTreeSet::from(["p".to_owned()]));
}

#[test]
fn session_functions_and_expansion() {
    assert_eq!(
        sql("SELECT current_database(), current_role"),
        "SELECT \"mz_catalog\".\"current_database\"(), mz_catalog.\"current_role\"()"
    );
    assert_eq!(
        sql("SELECT mz_internal.f(x).* FROM t"),
        "SELECT (mz_internal.f(x)).* FROM \"mz_user\".\"u1001\" AS \"t\""
    );
}

#[test]
fn table_is_a_query() {
    assert_eq!(
        sql("TABLE p.t"),
        "SELECT * FROM \"mz_user\".\"u1002\" AS \"t\""
    );
}

#[test]
fn stored_sql_quotes_names_and_marks_references() {
    let stored = rewrite("select Id + 1 as X from P.orders").unwrap().stored;
    let (catalog, _, _) = fixture();
    assert_eq!(
        catalog.render(&stored),
        "SELECT \"id\" + 1 AS \"x\" FROM [u1003 AS \"materialize\".\"p\".\"orders\"]"
    );
}

#[test]
fn writes_go_to_tables_only() {
    assert_eq!(
        sql("INSERT INTO t VALUES (1, 2)"),
        "INSERT INTO \"mz_user\".\"u1001\" VALUES (1, 2)"
    );
    assert_eq!(
        sql("DELETE FROM t WHERE id = 1"),
        "DELETE FROM \"mz_user\".\"u1001\" AS \"t\" WHERE id = 1"
    );
    assert_eq!(
        sql("UPDATE public.t SET v = 1"),
        "UPDATE \"mz_user\".\"u1001\" AS \"t\" SET v = 1"
    );
    assert_eq!(
        rewrite("INSERT INTO p.t VALUES (1)").unwrap_err().code,
        "XX000"
    );
    assert!(rewrite("DELETE FROM mz_sandbox.faults").unwrap().steering);
    assert!(rewrite("DELETE FROM mz_catalog.mz_schemas").is_err());
}

#[test]
fn unknown_names_and_bad_syntax() {
    assert_eq!(
        rewrite("SELECT * FROM nope").unwrap_err().message,
        "unknown catalog item 'nope'"
    );
    assert_eq!(rewrite("SELECT 1 FROM").unwrap_err().code, "42601");
}

#[test]
fn nullability_of_counts_and_plain_columns() {
    let known = rewrite("SELECT id, v, count(*), 1, id + 1 FROM t GROUP BY 1, 2")
        .unwrap()
        .nullability;
    assert_eq!(known.not_null_at, [true, false, true, true, true]);
    assert!(
        rewrite("SELECT a.id FROM t a LEFT JOIN p.t b ON a.id = b.id")
            .unwrap()
            .nullability
            .not_null_at
            .iter()
            .all(|n| !n)
    );
}
