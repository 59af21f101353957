//! A git server over https: git's own `http-backend` behind TLS and one name with one password.

use super::support::certificate::HERE;
use super::support::tls_server::server_config;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, Response, header};
use cutover::foundation::tls;
use futures_util::stream;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_rustls::TlsAcceptor;

pub const USER: &str = "deploy";
/// No shell and no URL is to take it for anything else.
pub const PASSWORD: &str = "t0p's3cret $x `y` 100% \"z\"";

/// What the server does with a request.
#[derive(Debug, Clone)]
pub enum Conduct {
    /// As git does, for whoever has the password.
    Serves,
    /// As git does, for everybody.
    Open,
    /// It says nothing more once the password was right.
    Hangs,
    /// It closes the connection in the middle of a pack.
    CutsPacks,
    /// It sends everybody to this origin; `true`: only those whose password was right.
    Redirects(String, bool),
    /// It answers with this status and repeats what it was sent.
    Answers(u16),
}

/// What a request said of who asks.
type Authorization = Option<String>;

struct Site {
    root: PathBuf,
    conduct: Mutex<Conduct>,
    seen: Mutex<Vec<Authorization>>,
}

/// A server under way. It ends when it is dropped.
pub struct GitServer {
    files: tempfile::TempDir,
    port: u16,
    site: Arc<Site>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl GitServer {
    /// Serves the repositories below `root` to whoever has the password.
    pub async fn of(root: &Path) -> Self {
        Self::named(root, HERE).await
    }

    /// With a certificate for these names.
    pub async fn named(root: &Path, names: &str) -> Self {
        let files = tempfile::tempdir().expect("a folder");
        let config = server_config(files.path(), "server", names);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let site = Arc::new(Site {
            root: root.to_owned(),
            conduct: Mutex::new(Conduct::Serves),
            seen: Mutex::default(),
        });
        let accepting = accept(listener, Arc::new(config).into(), Arc::clone(&site));
        Self {
            files,
            port,
            site,
            accepting: tokio::spawn(accepting),
        }
    }

    pub fn does(&self, conduct: Conduct) {
        *self.site.conduct.lock().expect("no panic") = conduct;
    }

    /// Its certificate, which is its own authority.
    pub fn authority(&self) -> PathBuf {
        self.files.path().join("server.pem")
    }

    pub fn origin(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port)
    }

    /// The address of the repository in `root` itself.
    pub fn url(&self) -> String {
        format!("{}/.git", self.origin("127.0.0.1"))
    }

    /// Who asked so far.
    pub fn seen(&self) -> Vec<Authorization> {
        self.site.seen.lock().expect("no panic").clone()
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, site: Arc<Site>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, site) = (tls.clone(), Arc::clone(&site));
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else {
                return;
            };
            let answering = hyper::service::service_fn(move |request| {
                let site = Arc::clone(&site);
                async move { Ok::<_, Infallible>(site.answer(request).await) }
            });
            // A client that goes away is what some of the tests are about.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answering)
                .await;
        });
    }
}

/// What the right name and password look like in a header.
fn credentials() -> String {
    let request = tls::http_client()
        .build()
        .expect("a client")
        .get("https://host")
        .basic_auth(USER, Some(PASSWORD))
        .build()
        .expect("a request");
    let value = &request.headers()[header::AUTHORIZATION];
    value.to_str().expect("text").to_owned()
}

fn answer(status: u16) -> axum::http::response::Builder {
    Response::builder().status(status)
}

impl Site {
    fn note(&self, authorization: Authorization) {
        self.seen.lock().expect("no panic").push(authorization);
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let text = |name| {
            let value = parts.headers.get(name);
            value.map(|value| value.to_str().expect("text").to_owned())
        };
        let authorization = text(header::AUTHORIZATION);
        self.note(authorization.clone());
        let conduct = self.conduct.lock().expect("no panic").clone();
        let is_known = authorization == Some(credentials());
        match &conduct {
            Conduct::Redirects(origin, after) if is_known || !after => {
                return answer(302)
                    .header(header::LOCATION, format!("{origin}{path}?{query}"))
                    .body(Body::empty())
                    .expect("an answer");
            }
            Conduct::Open => {}
            _ if !is_known => {
                return answer(401)
                    .header(header::WWW_AUTHENTICATE, "Basic realm=\"git\"")
                    .body(Body::from("who are you?"))
                    .expect("an answer");
            }
            Conduct::Hangs => std::future::pending().await,
            Conduct::Answers(status) => {
                return answer(*status)
                    .header(header::CONTENT_TYPE, "text/plain")
                    .body(Body::from(format!("no, {USER} with {PASSWORD}\n")))
                    .expect("an answer");
            }
            Conduct::Serves | Conduct::CutsPacks | Conduct::Redirects(..) => {}
        }
        let body = to_bytes(Body::new(body), usize::MAX).await.expect("a body");
        let (head, out) = self
            .backend(parts.method.as_str(), &path, &query, &parts.headers, body)
            .await;
        let mut given = answer(200);
        for line in head.lines() {
            let (name, value) = line.split_once(": ").expect("a header");
            given = match name {
                "Status" => given.status(value[..3].parse::<u16>().expect("a status")),
                _ => given.header(name, value),
            };
        }
        let is_pack = path.ends_with("git-upload-pack") && out.len() > 1 << 20;
        let body = if is_pack && matches!(conduct, Conduct::CutsPacks) {
            let half = out.slice(..out.len() / 2);
            let cut = io::Error::other("cut");
            Body::from_stream(stream::iter([Ok(half), Err(cut)]))
        } else {
            Body::from(out)
        };
        given.body(body).expect("an answer")
    }

    /// Runs `git http-backend`, by the rules of CGI.
    async fn backend(
        &self,
        method: &str,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> (String, Bytes) {
        let mut command = Command::new("git");
        for (name, variable) in [
            ("content-type", "CONTENT_TYPE"),
            ("content-encoding", "HTTP_CONTENT_ENCODING"),
            ("git-protocol", "GIT_PROTOCOL"),
        ] {
            if let Some(value) = headers.get(name) {
                command.env(variable, value.to_str().expect("text"));
            }
        }
        let mut backend = command
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", &self.root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("REQUEST_METHOD", method)
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("CONTENT_LENGTH", body.len().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("git");
        let mut input = backend.stdin.take().expect("a pipe");
        // It may not want to read all of it.
        let _ = input.write_all(&body).await;
        drop(input);
        let output = backend.wait_with_output().await.expect("it ends");
        let out = Bytes::from(output.stdout);
        let end = out
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a head");
        let head = String::from_utf8_lossy(&out[..end]).into_owned();
        (head, out.slice(end + 4..))
    }
}
