//! Replacement materialized views: what the recording of a real server does not show.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use mz_sandbox::{Options, Sandbox};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, SimpleQueryRow};

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    client
}

async fn all(client: &Client, statements: &[&str]) {
    for sql in statements {
        client
            .batch_execute(sql)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }
}

/// SQLSTATE, message and detail of a refusal.
async fn refused(client: &Client, sql: &str) -> (String, String, String) {
    let error = client.batch_execute(sql).await.expect_err(sql);
    let error = error.as_db_error().unwrap();
    (
        error.code().code().to_owned(),
        error.message().to_owned(),
        error.detail().unwrap_or_default().to_owned(),
    )
}

async fn refuses(client: &Client, sql: &str, code: &str, message: &str) {
    let (got, said, _) = refused(client, sql).await;
    assert_eq!(
        (got.as_str(), said.as_str()),
        (code, message),
        "{sql}: {said}"
    );
}

fn row(message: &SimpleQueryMessage) -> Option<&SimpleQueryRow> {
    if let SimpleQueryMessage::Row(row) = message {
        Some(row)
    } else {
        None
    }
}

/// The first column of the rows, as text.
async fn texts(client: &Client, sql: &str) -> Vec<String> {
    client
        .simple_query(sql)
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e:?}"))
        .iter()
        .filter_map(row)
        .map(|row| row.get(0).unwrap_or("NULL").to_owned())
        .collect()
}

async fn text(client: &Client, sql: &str) -> String {
    texts(client, sql).await.join(",")
}

async fn id(client: &Client, name: &str) -> String {
    text(
        client,
        &format!("SELECT o.id FROM mz_objects o JOIN mz_schemas s ON s.id = o.schema_id WHERE s.name = 's' AND o.name = '{name}'"),
    )
    .await
}

const APPLY: &str = "ALTER MATERIALIZED VIEW s.mv APPLY REPLACEMENT s.r";

async fn start() -> (Sandbox, Client) {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let client = connect(&sandbox.url()).await;
    all(
        &client,
        &[
            "CREATE SCHEMA s",
            "CREATE CLUSTER c (SIZE '25cc')",
            "CREATE CLUSTER d (SIZE '25cc')",
            "CREATE TABLE s.t (id int, v int)",
            "CREATE TABLE s.u (id int, v int)",
            "INSERT INTO s.t VALUES (1, 2)",
            "INSERT INTO s.u VALUES (3, 4)",
            "CREATE MATERIALIZED VIEW s.mv IN CLUSTER c AS SELECT id, v FROM s.t",
        ],
    )
    .await;
    (sandbox, client)
}

async fn replacement(client: &Client) {
    all(
        client,
        &["CREATE REPLACEMENT MATERIALIZED VIEW s.r FOR s.mv IN CLUSTER d AS SELECT id, v + 10 AS v FROM s.u"],
    )
    .await;
}

#[tokio::test]
async fn what_the_view_has_after_a_replacement() {
    let (_sandbox, client) = start().await;
    all(
        &client,
        &[
            "CREATE INDEX mv_idx IN CLUSTER c ON s.mv (id)",
            "CREATE VIEW s.down AS SELECT m.id, m.v FROM s.mv m",
            "CREATE MATERIALIZED VIEW s.below IN CLUSTER c AS SELECT d.v, mv.v AS w FROM s.down d JOIN s.mv ON mv.id = d.id",
            "CREATE ROLE reader",
            "GRANT USAGE ON SCHEMA s TO reader",
            "GRANT SELECT ON s.mv TO reader",
            "COMMENT ON MATERIALIZED VIEW s.mv IS 'of the target'",
            "COMMENT ON COLUMN s.mv.v IS 'of its column'",
        ],
    )
    .await;
    replacement(&client).await;
    let (target, replaced_by) = (id(&client, "mv").await, id(&client, "r").await);
    all(
        &client,
        &["COMMENT ON MATERIALIZED VIEW s.r IS 'of the replacement'"],
    )
    .await;
    assert_eq!(
        text(
            &client,
            "SELECT id || ' for ' || target_id FROM mz_internal.mz_replacements"
        )
        .await,
        format!("{replaced_by} for {target}")
    );
    let depends = format!(
        "SELECT referenced_object_id FROM mz_internal.mz_object_dependencies WHERE object_id = '{replaced_by}' ORDER BY 1"
    );
    let table = id(&client, "u").await;
    assert_eq!(text(&client, &depends).await, {
        let mut both = [target.clone(), table.clone()];
        both.sort();
        both.join(",")
    });
    let show = "SHOW CREATE MATERIALIZED VIEW s.r";
    let create = client.simple_query(show).await.unwrap();
    let create = create
        .iter()
        .find_map(row)
        .and_then(|row| row.get(1))
        .unwrap();
    assert!(
        create.starts_with("CREATE REPLACEMENT MATERIALIZED VIEW materialize.s.r\n    FOR materialize.s.mv\n    IN CLUSTER d\n"),
        "{create}"
    );
    // It is hydrated and read like any other, and the target does not change.
    assert_eq!(text(&client, "SELECT v FROM s.r").await, "14");
    assert_eq!(text(&client, "SELECT v FROM s.mv").await, "2");
    for relation in [
        "mz_hydration_statuses",
        "mz_frontiers",
        "mz_materialization_lag",
    ] {
        let rows = format!(
            "SELECT count(*) FROM mz_internal.{relation} WHERE object_id = '{replaced_by}'"
        );
        assert_eq!(text(&client, &rows).await, "1", "{relation}");
    }
    let oid = "SELECT oid FROM mz_materialized_views WHERE name = 'mv'";
    let before = text(&client, oid).await;

    all(&client, &[APPLY]).await;

    assert_eq!(id(&client, "mv").await, replaced_by);
    assert_eq!(id(&client, "r").await, "");
    assert_eq!(text(&client, oid).await, before);
    assert_eq!(
        text(&client, "SELECT count(*) FROM mz_internal.mz_replacements").await,
        "0"
    );
    assert_eq!(
        text(&client, "SELECT c.name FROM mz_materialized_views m JOIN mz_clusters c ON c.id = m.cluster_id WHERE m.name = 'mv'").await,
        "d"
    );
    assert_eq!(text(&client, &depends).await, table);
    for (dependent, on) in [("mv_idx", "mv"), ("down", "mv"), ("below", "down,mv")] {
        let names = format!(
            "SELECT string_agg(n.name, ',' ORDER BY n.name) FROM mz_internal.mz_object_dependencies d JOIN mz_objects o ON o.id = d.object_id \
             JOIN mz_objects n ON n.id = d.referenced_object_id WHERE o.name = '{dependent}'"
        );
        assert_eq!(text(&client, &names).await, on, "{dependent}");
    }
    assert_eq!(
        text(
            &client,
            "SELECT i.on_id FROM mz_indexes i WHERE i.name = 'mv_idx'"
        )
        .await,
        replaced_by
    );
    let create = text(
        &client,
        "SELECT create_sql FROM mz_materialized_views WHERE name = 'mv'",
    )
    .await;
    assert!(
        create.starts_with("CREATE MATERIALIZED VIEW \"materialize\".\"s\".\"mv\" IN CLUSTER ["),
        "{create}"
    );
    assert!(
        text(
            &client,
            "SELECT create_sql FROM mz_views WHERE name = 'down'"
        )
        .await
        .contains(&format!("[{replaced_by} AS \"materialize\".\"s\".\"mv\"]"))
    );
    assert_eq!(
        text(
            &client,
            &format!(
                "SELECT comment FROM mz_internal.mz_comments WHERE id = '{replaced_by}' ORDER BY 1"
            )
        )
        .await,
        "of its column,of the target"
    );
    assert_eq!(text(&client, "SELECT v FROM s.down").await, "14");
    assert_eq!(
        text(&client, "SELECT v || ' ' || w FROM s.below").await,
        "14 14"
    );
    all(&client, &["INSERT INTO s.u VALUES (5, 6)"]).await;
    assert_eq!(
        text(&client, "SELECT v FROM s.below ORDER BY v").await,
        "14,16"
    );
    assert_eq!(
        text(
            &client,
            "SELECT has_table_privilege('reader', 's.mv', 'SELECT')"
        )
        .await,
        "t"
    );

    // And again, on what is now there.
    all(
        &client,
        &[
            "CREATE REPLACEMENT MATERIALIZED VIEW s.r FOR s.mv IN CLUSTER c AS SELECT id, v + 100 AS v FROM s.t",
            APPLY,
        ],
    )
    .await;
    assert_eq!(
        text(&client, "SELECT v || ' ' || w FROM s.below").await,
        "102 102"
    );
    all(&client, &["DROP MATERIALIZED VIEW s.mv CASCADE"]).await;
    assert_eq!(id(&client, "below").await, "");
}

#[tokio::test]
async fn what_cannot_be_a_replacement() {
    let (_sandbox, client) = start().await;
    all(&client, &["CREATE VIEW s.w AS SELECT * FROM s.mv"]).await;
    let create = |target: &str, query: &str| {
        format!("CREATE REPLACEMENT MATERIALIZED VIEW s.r FOR {target} IN CLUSTER c AS {query}")
    };
    for (target, query, code, message) in [
        (
            "s.t",
            "SELECT id, v FROM s.u",
            "XX000",
            "cannot replace table s.t with materialized view s.r",
        ),
        (
            "s.none",
            "SELECT id, v FROM s.u",
            "XX000",
            "unknown catalog item 's.none'",
        ),
        (
            "s.mv",
            "SELECT id, v FROM s.mv",
            "XX000",
            "replacement would cause s.mv to depend on itself",
        ),
        (
            "s.mv",
            "SELECT id, v FROM s.w",
            "XX000",
            "replacement would cause s.mv to depend on itself",
        ),
        (
            "s.mv",
            "SELECT id FROM s.u",
            "0A000",
            "replacement schema differs from target schema",
        ),
    ] {
        refuses(&client, &create(target, query), code, message).await;
    }
    for (query, detail) in [
        ("SELECT id FROM s.u", "missing column \"v\" at position 2"),
        (
            "SELECT id, v, 1 AS w FROM s.u",
            "extra column \"w\" at position 3",
        ),
        (
            "SELECT id, v AS w FROM s.u",
            "column at position 2: name mismatch (target: \"v\", replacement: \"w\")",
        ),
        (
            "SELECT id::text AS id, v FROM s.u",
            "column \"id\" at position 1: type mismatch (target: integer, replacement: text)",
        ),
    ] {
        assert_eq!(refused(&client, &create("s.mv", query)).await.2, detail);
    }
    assert_eq!(id(&client, "r").await, "", "a refused one leaves nothing");
    refuses(
        &client,
        "CREATE REPLACEMENT MATERIALIZED VIEW s.mv FOR s.mv IN CLUSTER c AS SELECT id, v FROM s.u",
        "XX000",
        "materialized view \"materialize.s.mv\" already exists",
    )
    .await;
    assert_eq!(
        refused(&client, "CREATE REPLACEMENT VIEW s.r FOR s.mv AS SELECT 1")
            .await
            .0,
        "42601"
    );
}

#[tokio::test]
async fn what_a_pending_replacement_forbids() {
    let (_sandbox, client) = start().await;
    replacement(&client).await;
    for (sql, message) in [
        (
            "CREATE VIEW s.x AS SELECT * FROM s.r",
            "replacement materialized view s.r cannot be depended upon",
        ),
        (
            "CREATE MATERIALIZED VIEW s.x IN CLUSTER c AS SELECT * FROM s.r",
            "replacement materialized view s.r cannot be depended upon",
        ),
        (
            "CREATE DEFAULT INDEX IN CLUSTER c ON s.r",
            "index cannot be created on materialize.s.r because it is a replacement materialized view",
        ),
        (
            "DROP MATERIALIZED VIEW s.mv",
            "cannot drop materialized view \"s.mv\": still depended upon by materialized view \"s.r\"",
        ),
        (
            "CREATE REPLACEMENT MATERIALIZED VIEW s.q FOR s.mv IN CLUSTER c AS SELECT * FROM s.t",
            "cannot replace s.mv because it already has a replacement: s.r",
        ),
        (
            "CREATE REPLACEMENT MATERIALIZED VIEW s.q FOR s.r IN CLUSTER c AS SELECT * FROM s.t",
            "replacement materialized view s.r cannot be depended upon",
        ),
        (
            "ALTER MATERIALIZED VIEW s.r APPLY REPLACEMENT s.mv",
            "cannot replace materialized view s.r with materialized view s.mv",
        ),
        (
            "ALTER MATERIALIZED VIEW s.mv APPLY REPLACEMENT s.t",
            "s.t is a table not a materialized view",
        ),
    ] {
        refuses(&client, sql, "XX000", message).await;
    }
    all(
        &client,
        &["CREATE MATERIALIZED VIEW s.other IN CLUSTER c AS SELECT * FROM s.t"],
    )
    .await;
    refuses(
        &client,
        "ALTER MATERIALIZED VIEW s.other APPLY REPLACEMENT s.r",
        "XX000",
        "cannot replace materialized view s.other with materialized view s.r",
    )
    .await;
    // Given up, the target is as it was, and another replacement may be made.
    all(&client, &["DROP MATERIALIZED VIEW s.r"]).await;
    replacement(&client).await;
    all(&client, &["DROP MATERIALIZED VIEW s.mv CASCADE"]).await;
    assert_eq!(id(&client, "r").await, "");
}

#[tokio::test]
async fn replacements_of_inputs_may_not_close_a_circle() {
    let (_sandbox, client) = start().await;
    all(
        &client,
        &[
            "CREATE MATERIALIZED VIEW s.x IN CLUSTER c AS SELECT id, v FROM s.t",
            "CREATE REPLACEMENT MATERIALIZED VIEW s.r FOR s.mv IN CLUSTER c AS SELECT id, v FROM s.x",
            "CREATE REPLACEMENT MATERIALIZED VIEW s.rx FOR s.x IN CLUSTER c AS SELECT id, v FROM s.mv",
            APPLY,
        ],
    )
    .await;
    refuses(
        &client,
        "ALTER MATERIALIZED VIEW s.x APPLY REPLACEMENT s.rx",
        "XX000",
        "replacement would cause s.x to depend on itself",
    )
    .await;
}

#[tokio::test]
async fn who_may_replace() {
    let (sandbox, client) = start().await;
    all(
        &client,
        &[
            "CREATE ROLE other",
            "GRANT USAGE, CREATE ON SCHEMA s TO other",
            "GRANT USAGE, CREATE ON CLUSTER c TO other",
            "GRANT SELECT ON s.u, s.mv TO other",
        ],
    )
    .await;
    let other = connect(&sandbox.url_for("other")).await;
    let create =
        "CREATE REPLACEMENT MATERIALIZED VIEW s.r FOR s.mv IN CLUSTER c AS SELECT id, v FROM s.u";
    let owner = "must be owner of MATERIALIZED VIEW materialize.s.mv";
    refuses(&other, create, "42501", owner).await;
    replacement(&client).await;
    refuses(
        &other,
        APPLY,
        "42501",
        &format!("{owner}, MATERIALIZED VIEW materialize.s.r"),
    )
    .await;
    refuses(
        &other,
        "DROP MATERIALIZED VIEW s.r",
        "42501",
        "must be owner of MATERIALIZED VIEW materialize.s.r",
    )
    .await;
    assert_eq!(refused(&other, "SELECT * FROM s.r").await.0, "42501");
}

#[tokio::test]
async fn transactions_and_readers() {
    let (sandbox, client) = start().await;
    replacement(&client).await;
    all(&client, &["BEGIN"]).await;
    assert_eq!(refused(&client, APPLY).await.0, "25001");
    all(&client, &["ROLLBACK"]).await;
    // A reader in its transaction keeps nobody waiting.
    let reader = connect(&sandbox.url()).await;
    all(&client, &["CREATE VIEW s.down AS SELECT v FROM s.mv"]).await;
    all(&reader, &["BEGIN"]).await;
    assert_eq!(text(&reader, "SELECT v FROM s.down").await, "2");
    tokio::time::timeout(Duration::from_secs(10), all(&client, &[APPLY]))
        .await
        .unwrap();
    all(&reader, &["COMMIT"]).await;
    assert_eq!(text(&reader, "SELECT v FROM s.down").await, "14");
    // An open DDL transaction loses to it, as to any other change.
    replacement(&client).await;
    all(&reader, &["BEGIN", "ALTER SCHEMA s RENAME TO z"]).await;
    all(&client, &[APPLY]).await;
    assert_eq!(refused(&reader, "COMMIT").await.0, "40001");
}

#[tokio::test]
async fn whoever_reads_already_follows() {
    let (sandbox, client) = start().await;
    let reader = connect(&sandbox.url()).await;
    all(&client, &["CREATE VIEW s.down AS SELECT v FROM s.mv"]).await;
    all(
        &reader,
        &["CREATE TEMPORARY VIEW mine AS SELECT v FROM s.down"],
    )
    .await;
    let prepared = reader.prepare("SELECT v FROM s.down").await.unwrap();
    let subscriber = connect(&sandbox.url()).await;
    all(
        &subscriber,
        &[
            "BEGIN",
            "DECLARE c CURSOR FOR SUBSCRIBE (SELECT v FROM s.down)",
        ],
    )
    .await;
    let changes = async || {
        let rows = subscriber.simple_query("FETCH ALL c WITH (timeout = '10s')");
        let rows = rows.await.unwrap();
        let rows = rows.iter().filter_map(row);
        rows.map(|r| format!("{} {}", r.get(1).unwrap(), r.get(2).unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(changes().await, ["1 2"]);
    replacement(&client).await;
    all(&client, &[APPLY]).await;
    assert_eq!(changes().await, ["-1 2", "1 14"]);
    assert_eq!(text(&reader, "SELECT v FROM mine").await, "14");
    let row = reader.query_one(&prepared, &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 14);
}

#[tokio::test]
async fn it_waits_for_a_target_that_lags_behind() {
    let (_sandbox, client) = start().await;
    all(
        &client,
        &["INSERT INTO mz_sandbox.objects (pattern, hydrated) VALUES ('s\\.mv', false), ('s\\.r', true)"],
    )
    .await;
    replacement(&client).await;
    all(&client, &["SET statement_timeout = '300ms'"]).await;
    assert_eq!(refused(&client, APPLY).await.0, "57014");
    assert_eq!(text(&client, "SELECT v FROM s.mv").await, "2");
    all(
        &client,
        &[
            "DELETE FROM mz_sandbox.objects",
            "SET statement_timeout = '20s'",
            APPLY,
        ],
    )
    .await;
    assert_eq!(text(&client, "SELECT v FROM s.mv").await, "14");
}

#[tokio::test]
async fn a_constant_view_is_sealed() {
    let (_sandbox, client) = start().await;
    all(
        &client,
        &[
            "CREATE VIEW s.one AS SELECT 1 AS n",
            "CREATE MATERIALIZED VIEW s.fix IN CLUSTER c AS SELECT n FROM s.one",
            "CREATE REPLACEMENT MATERIALIZED VIEW s.r FOR s.fix IN CLUSTER c AS SELECT 2 AS n",
        ],
    )
    .await;
    let sql = "ALTER MATERIALIZED VIEW s.fix APPLY REPLACEMENT s.r";
    let message = "materialized view s.fix is sealed and thus cannot be replaced";
    refuses(&client, sql, "55000", message).await;
}

#[tokio::test]
async fn an_older_server_does_not_list_replacements() {
    let options = Options {
        announce_version: "v26.9.0 (sandbox)".into(),
        ..Options::default()
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    let client = connect(&sandbox.url()).await;
    refuses(
        &client,
        "SELECT * FROM mz_internal.mz_replacements",
        "XX000",
        "unknown catalog item 'mz_internal.mz_replacements'",
    )
    .await;
}
