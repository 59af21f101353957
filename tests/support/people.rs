//! Whoever is told by webhooks: a small HTTP server that keeps what it gets.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::sync::{Arc, Mutex};

/// One delivery.
#[derive(Debug, Clone)]
pub struct Post {
    /// The body.
    pub body: Value,
    raw: Bytes,
    signature: Option<String>,
}

type Kept = Arc<Mutex<Vec<Post>>>;

/// Listens until the test ends.
pub struct People {
    /// Where.
    pub url: String,
    kept: Kept,
}

impl People {
    /// Listens at a port of its own.
    pub async fn listen() -> Self {
        let kept = Kept::default();
        let app = axum::Router::new()
            .route("/", axum::routing::post(keep))
            .with_state(Arc::clone(&kept));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, kept }
    }

    /// What came so far, in order.
    pub fn told(&self) -> Vec<Post> {
        self.kept.lock().expect("no panic").clone()
    }
}

async fn keep(State(kept): State<Kept>, headers: HeaderMap, raw: Bytes) {
    let signature = headers.get("x-cutover-signature");
    kept.lock().expect("no panic").push(Post {
        body: serde_json::from_slice(&raw).expect("JSON"),
        signature: signature.map(|text| text.to_str().expect("a text").to_owned()),
        raw,
    });
}

impl Post {
    /// Whether the signature is that of the time and the body.
    pub fn is_signed_with(&self, secret: &str) -> bool {
        let Some((at, given)) = self.signature.as_deref().and_then(|signature| {
            let (at, hex) = signature.strip_prefix("t=")?.split_once(",v1=")?;
            Some((at, hex::decode(hex).ok()?))
        }) else {
            return false;
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
        mac.update(at.as_bytes());
        mac.update(b".");
        mac.update(&self.raw);
        mac.verify_slice(&given).is_ok()
    }
}
