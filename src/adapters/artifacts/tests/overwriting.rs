//! A store that speaks S3 and takes the condition of a write for nothing.

use super::{ArtifactError, Artifacts};
use crate::foundation::failure::{Class, Classify};
use std::collections::BTreeMap;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Says of every request that it was done.
async fn agree(mut stream: TcpStream) {
    let mut asked = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(more) => asked.extend_from_slice(&piece[..more]),
        }
        let Some(head) = asked.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(&asked[..head]).to_lowercase();
        let length = text.split("content-length: ").nth(1).and_then(|rest| {
            let digits = rest.lines().next()?;
            digits.trim().parse::<usize>().ok()
        });
        let end = head + 4 + length.unwrap_or_default();
        if asked.len() < end {
            continue;
        }
        assert!(
            !text.starts_with("put") || text.contains("if-none-match: *"),
            "{text}"
        );
        asked.drain(..end);
        let answer = b"HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 0\r\n\r\n";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_store_that_overwrites_is_refused_before_anything_is_kept() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(agree(stream));
        }
    });
    let options = [
        ("endpoint", format!("http://127.0.0.1:{port}")),
        ("region", "nowhere".to_owned()),
        ("allow_http", "true".to_owned()),
        ("skip_signature", "true".to_owned()),
    ];
    let options: BTreeMap<String, String> = options
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    let artifacts = Artifacts::open("s3://bucket/deep", &options, Path::new("/")).expect("a store");
    for _ in 0..2 {
        let error = artifacts.prove().await.expect_err("it overwrites");
        assert!(matches!(error, ArtifactError::Refused { .. }), "{error}");
        assert!(error.to_string().contains("store-overwrites"), "{error}");
        assert_eq!(error.class(), Class::Refused);
    }
}
