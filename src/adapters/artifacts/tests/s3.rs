//! The suite on a server that speaks S3: moto's, as `make s3` installs it, or any store that
//! `CUTOVER_TEST_ARTIFACTS_URL` names, with its credentials in the environment.
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use super::{ArtifactError, Artifacts, suite};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program() -> Option<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-s3/bin/moto_server");
    std::env::var_os("CUTOVER_TEST_S3_SERVER")
        .map(PathBuf::from)
        .or_else(|| installed.is_file().then_some(installed))
}

/// Makes a bucket; `None` while nobody listens.
async fn make_bucket(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!(
        "PUT /bucket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 0\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, \
         SignedHeaders=host, Signature=0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    Some(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_given_store() {
    let Ok(url) = std::env::var("CUTOVER_TEST_ARTIFACTS_URL") else {
        eprintln!("skipped: no CUTOVER_TEST_ARTIFACTS_URL");
        return;
    };
    let url = format!("{url}/{}", uuid::Uuid::now_v7());
    let open = |url: &str| Artifacts::open(url, &BTreeMap::new(), Path::new("/"));
    suite(open(&url).expect("a store")).await;
    if url.starts_with("s3://") {
        let nowhere = format!("s3://cutover-{}", uuid::Uuid::now_v7());
        let error = open(&nowhere).expect("a client").projects().await;
        let error = error.expect_err("no bucket");
        assert!(matches!(error, ArtifactError::NoBucket { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_s3() {
    let Some(program) = program() else {
        eprintln!("skipped: no moto_server in CUTOVER_TEST_S3_SERVER or .venv-s3 (`make s3`)");
        return;
    };
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let _server = Server(
        Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts"),
    );
    let mut made = None;
    for _ in 0..600 {
        made = make_bucket(port).await;
        if made.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let made = made.expect("the server listens");
    assert!(made.starts_with("HTTP/1.1 200"), "{made}");
    // Credentials are read from the environment of the process, which a test cannot change for itself.
    let here = module_path!().trim_start_matches("cutover::");
    let run = tokio::process::Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            "--nocapture",
            &format!("{here}::in_a_given_store"),
        ])
        .env("CUTOVER_TEST_ARTIFACTS_URL", "s3://bucket/deep")
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .kill_on_drop(true)
        .output()
        .await
        .expect("it runs");
    let said = [run.stdout, run.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
    assert!(!said.contains("skipped"), "{said}");
}
