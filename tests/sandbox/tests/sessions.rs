//! The wire, sessions, swaps under readers, and the life of the process.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mz_sandbox::{Options, Sandbox};
use tokio_postgres::{Client, NoTls};

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
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
    }
}

#[tokio::test]
async fn the_extended_protocol_serves_queries_and_ddl() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let client = connect(&sandbox.url()).await;
    client.execute("CREATE SCHEMA a", &[]).await.unwrap();
    client.execute("CREATE SCHEMA b", &[]).await.unwrap();
    client
        .execute("CREATE TABLE a.t (id int NOT NULL, name text)", &[])
        .await
        .unwrap();
    client
        .execute("CREATE TABLE b.t (id int NOT NULL, name text)", &[])
        .await
        .unwrap();
    assert_eq!(
        client
            .execute("INSERT INTO a.t VALUES ($1, $2)", &[&1, &"in a"])
            .await
            .unwrap(),
        1
    );
    client
        .execute("INSERT INTO b.t VALUES ($1, $2)", &[&1, &"in b"])
        .await
        .unwrap();
    let statement = client
        .prepare("SELECT name FROM a.t WHERE id = $1")
        .await
        .unwrap();
    let read = async |client: &Client| {
        client
            .query_one(&statement, &[&1])
            .await
            .unwrap()
            .get::<_, String>(0)
    };
    assert_eq!(read(&client).await, "in a");
    all(&client, &["ALTER SCHEMA a SWAP WITH b"]).await;
    assert_eq!(
        read(&client).await,
        "in b",
        "a prepared statement follows the swap"
    );
    let row = client.query_one("SHOW cluster", &[]).await.unwrap();
    assert_eq!(
        (row.columns()[0].name(), row.get::<_, String>(0)),
        ("cluster", "quickstart".to_owned())
    );
    // Types of Materialize's own are found in pg_type under their OIDs.
    let row = client
        .query_one(
            "SELECT replication_factor, name FROM mz_clusters WHERE name = 'quickstart'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(
        (
            row.columns()[0].type_().oid(),
            row.columns()[0].type_().name()
        ),
        (16462, "uint4")
    );
    let error = client.query("SELECT * FROM a.nope", &[]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "XX000");
    assert_eq!(
        client
            .query("SELECT 1/0", &[])
            .await
            .unwrap_err()
            .code()
            .unwrap()
            .code(),
        "XX000"
    );
    // A transaction's failure is seen in both protocols.
    all(&client, &["BEGIN"]).await;
    assert!(
        client
            .execute("ALTER SCHEMA nope SWAP WITH a", &[])
            .await
            .is_err()
    );
    assert_eq!(
        client
            .query("SELECT 1", &[])
            .await
            .unwrap_err()
            .code()
            .unwrap()
            .code(),
        "25P02"
    );
    all(&client, &["ROLLBACK"]).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn a_read_transaction_does_not_cross_a_swap() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let (reader, writer) = (connect(&sandbox.url()).await, connect(&sandbox.url()).await);
    all(
        &writer,
        &[
            "CREATE SCHEMA a",
            "CREATE SCHEMA b",
            "CREATE TABLE a.t (x int)",
            "CREATE TABLE b.t (x int)",
        ],
    )
    .await;
    all(&reader, &["BEGIN", "SELECT * FROM a.t"]).await;
    all(&writer, &["ALTER SCHEMA a SWAP WITH b"]).await;
    assert_eq!(
        reader
            .batch_execute("SELECT * FROM a.t")
            .await
            .unwrap_err()
            .code()
            .unwrap()
            .code(),
        "25000"
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn a_transaction_that_says_so_only_reads() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let client = connect(&sandbox.url()).await;
    all(
        &client,
        &["CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)"],
    )
    .await;
    let query = "SELECT count(*) FROM (WITH b AS (SELECT a FROM t) TABLE b\n) AS found";
    for begin in ["BEGIN READ ONLY", "BEGIN TRANSACTION READ ONLY"] {
        for refused in [
            "INSERT INTO t VALUES (2)",
            "CREATE SCHEMA s",
            "ALTER TABLE t RENAME TO u",
        ] {
            client.batch_execute(begin).await.unwrap();
            let rows = client.query(query, &[]).await.unwrap();
            assert_eq!(rows[0].get::<_, i64>(0), 1);
            all(&client, &["ROLLBACK", begin]).await;
            let error = client.batch_execute(refused).await.unwrap_err();
            assert_eq!(error.code().unwrap().code(), "25006", "{refused}");
            client.batch_execute("ROLLBACK").await.unwrap();
        }
    }
    all(&client, &["BEGIN", "INSERT INTO t VALUES (2)", "COMMIT"]).await;
}

#[tokio::test]
async fn ambiguous_references_refuse_a_swap() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let client = connect(&sandbox.url()).await;
    all(
        &client,
        &[
            "CREATE SCHEMA x",
            "CREATE SCHEMA y",
            "CREATE SCHEMA z",
            "CREATE TABLE x.t (col int)",
        ],
    )
    .await;
    all(&client, &["CREATE VIEW z.v AS SELECT x.t.col FROM x.t"]).await;
    let error = client
        .batch_execute("ALTER SCHEMA x SWAP WITH y")
        .await
        .unwrap_err();
    assert!(
        error
            .as_db_error()
            .unwrap()
            .message()
            .contains("ambiguous reference to schema named x"),
        "{error}"
    );
    all(&client, &["DROP VIEW z.v", "ALTER SCHEMA x SWAP WITH y"]).await;
    sandbox.stop().await;
}

#[tokio::test]
async fn passwords_versions_timeouts_and_temporary_views() {
    let passwords = BTreeMap::from([("locked".to_owned(), "secret".to_owned())]);
    let options = Options {
        announce_version: "v0.60.0 (old)".into(),
        passwords,
        ..Options::default()
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    assert!(
        tokio_postgres::connect(&sandbox.url_for("locked:wrong"), NoTls)
            .await
            .is_err()
    );
    let locked = connect(&sandbox.url_for("locked:secret")).await;
    let version: String = locked
        .query_one("SELECT mz_version()", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(version, "v0.60.0 (old)");
    let client = connect(&sandbox.url()).await;
    all(&client, &["SET statement_timeout = '200ms'"]).await;
    assert_eq!(
        client
            .batch_execute("SELECT pg_sleep(10)")
            .await
            .unwrap_err()
            .code()
            .unwrap()
            .code(),
        "57014"
    );
    all(
        &client,
        &[
            "SET statement_timeout = '20s'",
            "CREATE TEMPORARY VIEW tv AS SELECT 1 AS x",
        ],
    )
    .await;
    assert_eq!(
        client.query("SELECT * FROM tv", &[]).await.unwrap().len(),
        1
    );
    assert!(locked.query("SELECT * FROM tv", &[]).await.is_err());
    all(
        &client,
        &[
            "SET cluster = nowhere",
            "SELECT 1",
            "CREATE TABLE t (x int)",
        ],
    )
    .await;
    let error = client.batch_execute("SELECT * FROM t").await.unwrap_err();
    assert_eq!(
        error.as_db_error().unwrap().message(),
        "unknown cluster 'nowhere'"
    );
    drop(client);
    let deadline = Instant::now() + Duration::from_secs(10);
    while locked
        .query("SELECT 1 FROM mz_views WHERE name = 'tv'", &[])
        .await
        .unwrap()
        .len()
        == 1
    {
        assert!(
            Instant::now() < deadline,
            "the temporary view outlived its session"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    sandbox.stop().await;
}

/// A query over views that read each other in many levels is planned without looking into them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_description_costs_the_same_whatever_lies_below() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let client = connect(&sandbox.url()).await;
    all(
        &client,
        &["CREATE TEMPORARY VIEW v0 AS SELECT 1 AS x, 2.5::numeric(10,2) AS y WHERE false"],
    )
    .await;
    for level in 1..=12 {
        let below = level - 1;
        let reads: Vec<String> = (0..8).map(|at| format!("v{below} r{at}")).collect();
        let view = format!(
            "CREATE TEMPORARY VIEW v{level} AS SELECT r0.x, r1.y FROM {}",
            reads.join(", ")
        );
        all(&client, &[&view]).await;
    }
    let describing = client.prepare("SELECT x AS a, y, v12.x FROM v12");
    let described = tokio::time::timeout(Duration::from_secs(60), describing);
    let described = described.await.expect("not by what lies below").unwrap();
    let columns = described.columns().iter();
    let columns: Vec<_> = columns.map(|it| (it.name(), it.type_().name())).collect();
    assert_eq!(columns, [("a", "int4"), ("y", "numeric"), ("x", "int4")]);
    // What is carried out reads the views themselves.
    all(&client, &["CREATE TEMPORARY VIEW one AS SELECT 7 AS x"]).await;
    let one = client.prepare("SELECT x FROM one").await.unwrap();
    let rows = client.query(&one, &[]).await.unwrap();
    assert_eq!(rows[0].get::<_, i32>(0), 7);
    sandbox.stop().await;
}

/// Four readers compare two views of a pair of schemas while both schemas are swapped 200 times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_never_see_half_a_swap() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let client = connect(&sandbox.url()).await;
    for schema in ["p", "q"] {
        for (suffix, value) in [("", "blue"), ("_dbt_deploy", "green")] {
            all(
                &client,
                &[
                    &format!("CREATE SCHEMA {schema}{suffix}"),
                    &format!("CREATE VIEW {schema}{suffix}.v AS SELECT '{value}' AS side"),
                ],
            )
            .await;
        }
    }
    let (stop, reads) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut readers = Vec::new();
    for n in 0..4 {
        let (stop, reads, client) = (
            Arc::clone(&stop),
            Arc::clone(&reads),
            connect(&sandbox.url()).await,
        );
        readers.push(tokio::spawn(async move {
            let prepared = client
                .prepare("SELECT p.v.side, q.v.side FROM p.v, q.v")
                .await
                .unwrap();
            while !stop.load(Ordering::Relaxed) {
                let row = if n % 2 == 0 {
                    client.query_one(&prepared, &[]).await.unwrap()
                } else {
                    client
                        .query_one("SELECT a.side, b.side FROM p.v a JOIN q.v b ON true", &[])
                        .await
                        .unwrap()
                };
                assert_eq!(
                    row.get::<_, String>(0),
                    row.get::<_, String>(1),
                    "a reader saw one side of each"
                );
                reads.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    for _ in 0..200 {
        all(&client, &["BEGIN; ALTER SCHEMA p SWAP WITH p_dbt_deploy; ALTER SCHEMA q SWAP WITH q_dbt_deploy; COMMIT"]).await;
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    assert!(
        reads.load(Ordering::Relaxed) > 200,
        "{} reads",
        reads.load(Ordering::Relaxed)
    );
    sandbox.stop().await;
}

#[tokio::test]
async fn it_is_up_in_less_than_two_seconds() {
    let begun = Instant::now();
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    connect(&sandbox.url())
        .await
        .batch_execute("SELECT 1")
        .await
        .unwrap();
    let took = begun.elapsed();
    // Other tests run at the same time: the limit is for an idle machine, doubled.
    assert!(took < Duration::from_secs(4), "{took:?}");
    sandbox.stop().await;
}

fn binary() -> (std::process::Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mz-sandbox"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let url = line
        .strip_prefix("mz-sandbox ready ")
        .unwrap()
        .trim()
        .to_owned();
    (child, url)
}

/// Folders of servers that run under this process id's sandbox.
fn folder_of(child: &std::process::Child) -> std::path::PathBuf {
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let threads = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let all: String = threads
        .map(|t| std::fs::read_to_string(t.unwrap().path().join("children")).unwrap_or_default())
        .chain([std::fs::read_to_string(children).unwrap_or_default()])
        .collect::<Vec<_>>()
        .join(" ");
    let folder = all.split_whitespace().find_map(|pid| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        line.split('\0')
            .find(|a| a.contains("mz-sandbox-") && a.starts_with('/'))
            .map(str::to_owned)
    });
    let data = std::path::PathBuf::from(folder.unwrap());
    if data.ends_with("data") {
        data.parent().unwrap().to_owned()
    } else {
        data
    }
}

#[tokio::test]
async fn nothing_outlives_the_binary() {
    for signal in ["-KILL", "-TERM"] {
        let (mut child, url) = binary();
        let client = connect(&url).await;
        client.batch_execute("SELECT 1").await.unwrap();
        let folder = folder_of(&child);
        let pid_file = std::fs::read_to_string(folder.join("data/postmaster.pid")).unwrap();
        let postgres = format!("/proc/{}", pid_file.lines().next().unwrap().trim());
        assert!(std::path::Path::new(&postgres).exists());
        assert!(
            Command::new("kill")
                .args([signal, &child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
        child.wait().unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while folder.exists() || std::path::Path::new(&postgres).exists() {
            assert!(
                Instant::now() < deadline,
                "{signal}: {} or {postgres} is still there",
                folder.display()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
