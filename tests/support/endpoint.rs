//! What answers checks: a Prometheus or another endpoint, as a test wants it.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, Uri};
use futures_util::stream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What it answers.
#[derive(Debug, Clone)]
pub enum Says {
    /// A status and a body.
    Body(u16, String),
    /// A status, and when to come again.
    Later(u16, String),
    /// A redirect.
    Elsewhere(String),
    /// Nothing for a long time.
    Nothing,
    /// Without end.
    Endless,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Method, path and query, decoded as a form.
    pub line: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

type Shared = Arc<Mutex<(Vec<Says>, Vec<Asked>)>>;

/// Listens until the test ends.
pub struct Endpoint {
    /// Where, without a slash at the end.
    pub url: String,
    shared: Shared,
}

impl Endpoint {
    /// Listens at a port of its own, and says this.
    pub async fn listen(says: Says) -> Self {
        let shared: Shared = Arc::new(Mutex::new((vec![says], Vec::new())));
        let app = axum::Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, shared }
    }

    /// A Prometheus whose query has this value.
    pub async fn prometheus(value: &str) -> Self {
        Self::listen(Says::vector(value)).await
    }

    /// From now on it says this.
    pub fn says(&self, says: Says) {
        self.says_each(vec![says]);
    }

    /// From now on it says these, one after the other, and the last one again and again.
    pub fn says_each(&self, says: Vec<Says>) {
        self.shared.lock().expect("no panic").0 = says;
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.lock().expect("no panic").1.clone()
    }
}

impl Says {
    /// What Prometheus says where the query finds one series with this value.
    pub fn vector(value: &str) -> Self {
        Self::success(
            "vector",
            &format!(r#"[{{"metric":{{"job":"shop"}},"value":[1435781451.781,"{value}"]}}]"#),
        )
    }

    /// A result of Prometheus of this type.
    pub fn success(kind: &str, result: &str) -> Self {
        let body =
            format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#);
        Self::Body(200, body)
    }
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let says = {
        let mut shared = shared.lock().expect("no panic");
        shared.1.push(Asked {
            line: format!("{method} {uri}"),
            headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        });
        match shared.0.len() {
            1 => shared.0[0].clone(),
            _ => shared.0.remove(0),
        }
    };
    let response = Response::builder();
    let response = match says {
        Says::Body(status, body) => response.status(status).body(Body::from(body)),
        Says::Later(status, when) => response
            .status(status)
            .header("retry-after", when)
            .body(Body::empty()),
        Says::Elsewhere(place) => response
            .status(302)
            .header("location", place)
            .body(Body::empty()),
        Says::Nothing => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            response.body(Body::empty())
        }
        Says::Endless => {
            let piece = Bytes::from(vec![b'x'; 64 << 10]);
            let endless = stream::repeat_with(move || Ok::<_, std::io::Error>(piece.clone()));
            response.body(Body::from_stream(endless))
        }
    };
    response.expect("a response")
}
