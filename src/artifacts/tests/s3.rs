//! The suite on a server that speaks S3: moto's, as `make s3` installs it.
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

use super::{Artifacts, suite};
use object_store::aws::AmazonS3Builder;
use object_store::path::Path as ObjectPath;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
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
    let client = AmazonS3Builder::new()
        .with_bucket_name("bucket")
        .with_endpoint(format!("http://127.0.0.1:{port}"))
        .with_region("us-east-1")
        .with_access_key_id("test")
        .with_secret_access_key("test")
        .with_allow_http(true)
        .build()
        .expect("a client");
    suite(Artifacts {
        store: Arc::new(client),
        root: ObjectPath::from("deep/prefix"),
        place: "s3://bucket/deep/prefix".to_owned(),
    })
    .await;
}
