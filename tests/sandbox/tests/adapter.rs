//! What dbt-materialize's own tests ask of a server besides what the recordings show: sizes of a local server, options of
//! materialized views as they are shown, types of Materialize's own, subqueries without a name, and words of errors.
#![allow(clippy::unwrap_used, clippy::panic)]

use mz_sandbox::{Options, Sandbox};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

async fn start() -> (Sandbox, Client) {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&sandbox.url(), NoTls)
        .await
        .unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    (sandbox, client)
}

async fn all(client: &Client, statements: &[&str]) {
    for sql in statements {
        client
            .batch_execute(sql)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }
}

/// All rows, cells apart by a bar.
async fn rows(client: &Client, sql: &str) -> Vec<String> {
    let messages = client
        .simple_query(sql)
        .await
        .unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    let mut out = Vec::new();
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            let cells: Vec<_> = (0..row.len())
                .map(|at| row.get(at).unwrap_or("-"))
                .collect();
            out.push(cells.join("|"));
        }
    }
    out
}

async fn refused(client: &Client, sql: &str) -> (String, String) {
    let error = client.batch_execute(sql).await.unwrap_err();
    let error = error.as_db_error().unwrap();
    (error.code().code().to_owned(), error.message().to_owned())
}

#[tokio::test]
async fn clusters_have_the_sizes_of_a_local_server() {
    let (sandbox, client) = start().await;
    all(
        &client,
        &[
            "CREATE CLUSTER a SIZE = 'scale=1,workers=1'",
            "CREATE CLUSTER b (SIZE 'scale=2,workers=4,mem=8GiB')",
            "ALTER CLUSTER a SET (SIZE = 'scale=1,workers=2')",
            "CREATE CLUSTER c REPLICAS (r1 (SIZE = 'scale=1,workers=1'))",
        ],
    )
    .await;
    assert_eq!(
        rows(
            &client,
            "SELECT name, size FROM mz_cluster_replicas r WHERE size LIKE 'scale%' ORDER BY size"
        )
        .await,
        [
            "r1|scale=1,workers=1",
            "r1|scale=1,workers=2",
            "r1|scale=2,workers=4,mem=8GiB"
        ]
    );
    assert_eq!(
        rows(&client, "SELECT processes, workers FROM mz_cluster_replica_sizes WHERE size = 'scale=2,workers=1'").await,
        ["2|1"]
    );
    for wrong in [
        "scale=0,workers=1",
        "scale=1",
        "scale=1,workers=x",
        "scale=1,workers=1,mem=8",
        "huge",
    ] {
        let sql = format!("CREATE CLUSTER d SIZE = '{wrong}'");
        assert_eq!(refused(&client, &sql).await.0, "XX000", "{wrong}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn options_of_materialized_views_are_shown() {
    let (sandbox, client) = start().await;
    all(
        &client,
        &[
            "CREATE TABLE t (a int, b text)",
            "create materialized view mv in cluster quickstart with (partition by (a, b), retain history for '1hr', assert not null a, assert not null b) as (select a, b from t)",
            "CREATE MATERIALIZED VIEW plain IN CLUSTER quickstart AS SELECT a FROM t",
        ],
    )
    .await;
    let stored = rows(
        &client,
        "SELECT create_sql FROM mz_materialized_views ORDER BY name",
    )
    .await;
    assert!(
        stored[0].contains("WITH (PARTITION BY = (\"a\", \"b\"), RETAIN HISTORY = FOR '1hr', ASSERT NOT NULL = \"a\", ASSERT NOT NULL = \"b\", REFRESH = ON COMMIT) AS "),
        "{stored:?}"
    );
    assert!(
        stored[1].contains(" WITH (REFRESH = ON COMMIT) AS "),
        "{stored:?}"
    );
    let shown = rows(&client, "SHOW CREATE MATERIALIZED VIEW mv").await;
    assert!(
        shown[0].contains("\n    WITH (PARTITION BY = (a, b), RETAIN HISTORY = FOR '1hr', ASSERT NOT NULL = a, ASSERT NOT NULL = b, REFRESH = ON COMMIT)\n    AS "),
        "{shown:?}"
    );
    let nullable = "SELECT bool_or(c.nullable)::text FROM mz_columns c JOIN mz_objects o ON o.id = c.id WHERE o.name = 'mv'";
    assert_eq!(rows(&client, nullable).await, ["false"]);
    let (code, message) = refused(
        &client,
        "CREATE MATERIALIZED VIEW x IN CLUSTER quickstart WITH (NOPE = 1) AS SELECT 1",
    )
    .await;
    assert_eq!(
        (code.as_str(), message.as_str()),
        (
            "42601",
            "Expected one of ASSERT or PARTITION or RETAIN or REFRESH, found NOPE"
        )
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn maps_and_lists_are_types() {
    let (sandbox, client) = start().await;
    all(
        &client,
        &[
            "CREATE VIEW v AS SELECT '{a=>1, b=>2}'::map[text=>int] AS a, LIST[[1,2],[3]] AS c, CAST('{x,y}' AS text list) AS d",
            "CREATE TABLE t (m map[text => text], l text list, n int)",
            "INSERT INTO t VALUES ('{k=>v}', '{p,q}', 1)",
        ],
    )
    .await;
    assert_eq!(
        rows(&client, "SELECT a::text, c::text, d::text FROM v").await,
        ["{a=>1, b=>2}|{{1,2},{3}}|{x,y}"]
    );
    assert_eq!(
        rows(&client, "SELECT m, l, n FROM t").await,
        ["{k=>v}|{p,q}|1"]
    );
    let types = "SELECT c.type FROM mz_columns c JOIN mz_objects o ON o.id = c.id WHERE o.name = 't' ORDER BY c.position";
    assert_eq!(rows(&client, types).await, ["map", "list", "integer"]);
    sandbox.stop().await;
}

#[tokio::test]
async fn subqueries_need_no_name() {
    let (sandbox, client) = start().await;
    all(&client, &["CREATE VIEW v AS SELECT x FROM (SELECT 1 AS x)"]).await;
    let two = "SELECT count(*) FROM (SELECT * FROM v), (SELECT 2 AS y), (SHOW SCHEMAS) WHERE name = 'public'";
    assert_eq!(rows(&client, two).await, ["1"]);
    sandbox.stop().await;
}

#[tokio::test]
async fn syntax_errors_have_materializes_words() {
    let (sandbox, client) = start().await;
    for (sql, words) in [
        (
            "SELECT 1 LIMIT 2 LIMIT 3",
            "Expected end of statement, found LIMIT",
        ),
        (
            "SELECT 1 AS x FROM (SELECT 1) y z",
            "Expected end of statement, found identifier \"z\"",
        ),
        ("SELECT (1", "Expected ), found EOF"),
        ("CREATE SCHEMA", "Expected identifier, found EOF"),
    ] {
        let (code, message) = refused(&client, sql).await;
        assert_eq!((code.as_str(), message.as_str()), ("42601", words), "{sql}");
    }
    sandbox.stop().await;
}

#[tokio::test]
async fn a_subscribe_reports_progress_and_goes_on_through_a_swap() {
    let (sandbox, client) = start().await;
    all(
        &client,
        &[
            "CREATE SCHEMA p",
            "CREATE SCHEMA q",
            "CREATE TABLE p.t (x int)",
            "CREATE TABLE q.t (x int)",
            "INSERT INTO p.t VALUES (1)",
        ],
    )
    .await;
    let (reader, connection) = tokio_postgres::connect(&sandbox.url(), NoTls)
        .await
        .unwrap();
    tokio::spawn(async move {
        let _ = connection.await;
    });
    all(
        &reader,
        &[
            "BEGIN",
            "DECLARE c CURSOR FOR SUBSCRIBE (SELECT x FROM p.t) WITH (PROGRESS)",
        ],
    )
    .await;
    // Timestamps apart: progressed, diff, x.
    let fetch = async || {
        let rows = rows(&reader, "FETCH ALL c WITH (timeout = '2s')").await;
        rows.iter()
            .map(|row| row.split_once('|').unwrap().1.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(fetch().await, ["f|1|1", "t|-|-"]);
    // Nothing changes, and that is said.
    assert_eq!(fetch().await, ["t|-|-"]);
    all(
        &client,
        &[
            "ALTER SCHEMA p SWAP WITH q",
            "INSERT INTO p.t VALUES (5)",
            "INSERT INTO q.t VALUES (2)",
        ],
    )
    .await;
    let mut seen = Vec::new();
    while !seen.iter().any(|row: &String| row.starts_with('f')) {
        seen.extend(fetch().await);
    }
    seen.retain(|row| row.starts_with('f'));
    assert_eq!(seen, ["f|1|2"]);
    all(&client, &["DROP TABLE q.t"]).await;
    let (code, message) = refused(&reader, "FETCH ALL c WITH (timeout = '2s')").await;
    assert_eq!(code, "XX000");
    assert_eq!(
        message,
        "query could not complete because relation \"materialize.q.t\" was dropped"
    );
    sandbox.stop().await;
}
