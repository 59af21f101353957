//! A fake of GitHub's and GitLab's REST APIs: as much of them as a report needs, with the rights, pages, limits and
//! faults of the real ones.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// A token that may do everything.
pub const WRITER: &str = "writer-0123456789";
/// A token that may only read.
pub const READER: &str = "reader-0123456789";
/// A token that sees nothing.
pub const BLIND: &str = "blind-0123456789";

/// Comments on one page, whatever is asked for: the platforms give fewer, too.
const PAGE: usize = 2;

/// A comment or note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    pub id: u64,
    pub body: String,
    pub author: Who,
}

/// Who wrote something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The token itself.
    Token,
    /// A person.
    Person,
}

/// What happens to a request.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Only to requests of this method.
    pub method: Option<Method>,
    /// How often; `None` for ever.
    pub times: Option<u32>,
    /// Whether what was asked is done all the same.
    pub is_done: bool,
    /// The status of the answer.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its body.
    pub body: &'static str,
}

impl Fault {
    /// An answer with this status, so often.
    pub fn status(status: u16, times: Option<u32>) -> Self {
        Self {
            method: None,
            times,
            is_done: false,
            status,
            headers: Vec::new(),
            body: "{\"message\": \"so says the fault\"}",
        }
    }
}

/// What a platform has and has been asked.
#[derive(Debug, Default)]
pub struct Known {
    pub comments: Vec<Comment>,
    pub statuses: Vec<(String, Value)>,
    pub faults: Vec<Fault>,
    /// Method and path with query of each request.
    pub asked: Vec<String>,
    /// Whether the token says who it is, as a person's does and a job's does not.
    pub is_person: bool,
    last: u64,
}

/// A platform under way.
#[derive(Clone)]
pub struct Platform {
    known: Arc<Mutex<Known>>,
    pub address: String,
}

impl Platform {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let platform = Self {
            known: Arc::default(),
            address,
        };
        let app = Router::new().fallback(answer).with_state(platform.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        platform
    }

    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("no panic")
    }

    /// Comments of people that are there before.
    pub fn chatter(&self, count: usize) {
        let mut known = self.known();
        for number in 0..count {
            known.add(&format!("looks good, {number}"), Who::Person);
        }
    }

    pub fn fault(&self, fault: Fault) {
        self.known().faults.push(fault);
    }

    /// The comments that the token wrote.
    pub fn own(&self) -> Vec<Comment> {
        let known = self.known();
        let own = known
            .comments
            .iter()
            .filter(|comment| comment.author == Who::Token);
        own.cloned().collect()
    }

    /// How many requests had this method.
    pub fn count(&self, method: &str) -> usize {
        let known = self.known();
        known
            .asked
            .iter()
            .filter(|asked| asked.starts_with(method))
            .count()
    }
}

impl Known {
    pub fn add(&mut self, body: &str, author: Who) -> u64 {
        self.last += 1;
        self.comments.push(Comment {
            id: self.last,
            body: body.to_owned(),
            author,
        });
        self.last
    }

    fn fault(&mut self, method: &Method) -> Option<Fault> {
        let fits = |fault: &Fault| fault.method.as_ref().is_none_or(|only| only == method);
        let at = self.faults.iter().position(fits)?;
        let fault = self.faults[at].clone();
        if let Some(times) = &mut self.faults[at].times {
            *times -= 1;
            if *times == 0 {
                self.faults.remove(at);
            }
        }
        Some(fault)
    }
}

fn respond(status: u16, headers: &[(&str, String)], body: impl Into<Body>) -> Response {
    let mut response = Response::builder().status(StatusCode::from_u16(status).expect("a status"));
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    response.body(body.into()).expect("an answer")
}

fn document(status: u16, value: &Value) -> Response {
    respond(
        status,
        &[("content-type", "application/json".to_owned())],
        value.to_string(),
    )
}

fn refuse(status: u16, message: &str) -> Response {
    document(status, &json!({ "message": message }))
}

async fn answer(State(platform): State<Platform>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 4 << 20).await.expect("a body");
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let query: BTreeMap<String, String> = parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let path: Vec<&str> = parts.uri.path().split('/').skip(1).collect();
    let mut known = platform.known();
    known.asked.push(format!("{} {}", parts.method, parts.uri));
    let fault = known.fault(&parts.method);
    if let Some(fault) = fault.as_ref().filter(|fault| !fault.is_done) {
        return respond(fault.status, &fault.headers, fault.body);
    }
    let text = |name: header::HeaderName| {
        let value = parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok());
        value.map(str::to_owned).unwrap_or_default()
    };
    let is_github = path.first() == Some(&"repos") || path == ["user"];
    let bearer = text(header::AUTHORIZATION);
    let token = match bearer.strip_prefix("Bearer ") {
        Some(token) => token.to_owned(),
        None => text(header::HeaderName::from_static("private-token")),
    };
    let is_read = parts.method == Method::GET;
    match token.as_str() {
        WRITER => {}
        READER if is_read => {}
        READER => return refuse(403, "Resource not accessible by integration"),
        BLIND => return refuse(404, "Not Found"),
        token => return refuse(401, &format!("Bad credentials {token}")),
    }
    let done = match is_github {
        true => github(
            &mut known,
            &platform.address,
            &parts.method,
            &path,
            &query,
            &body,
        ),
        false => gitlab(&mut known, &parts.method, &path, &query, &body),
    };
    match fault {
        Some(fault) => respond(fault.status, &fault.headers, fault.body),
        None => done,
    }
}

/// One page, and the number of the next.
fn page<'a>(known: &'a Known, query: &BTreeMap<String, String>) -> (&'a [Comment], Option<usize>) {
    let number: usize = query
        .get("page")
        .map_or(1, |page| page.parse().expect("a page"));
    let from = ((number - 1) * PAGE).min(known.comments.len());
    let to = (from + PAGE).min(known.comments.len());
    let next = (to < known.comments.len()).then_some(number + 1);
    (&known.comments[from..to], next)
}

fn body_of(body: &Value) -> Option<String> {
    body["body"].as_str().map(str::to_owned)
}

fn github(
    known: &mut Known,
    address: &str,
    method: &Method,
    path: &[&str],
    query: &BTreeMap<String, String>,
    body: &Value,
) -> Response {
    let is_person = known.is_person;
    let shown = |comment: &Comment| {
        let user = match (comment.author, is_person) {
            (Who::Token, false) => json!({"login": "github-actions[bot]", "type": "Bot"}),
            (Who::Token, true) => json!({"login": "robot", "type": "User"}),
            (Who::Person, _) => json!({"login": "ada", "type": "User"}),
        };
        json!({
            "id": comment.id,
            "body": comment.body,
            "user": user,
            "html_url": format!("https://github.test/shop/pull/7#issuecomment-{}", comment.id),
        })
    };
    match (method.as_str(), path) {
        ("GET", ["user"]) if is_person => document(200, &json!({"login": "robot", "type": "User"})),
        ("GET", ["user"]) => refuse(403, "Resource not accessible by integration"),
        ("GET", ["repos", "acme", "shop", "issues", "7", "comments"]) => {
            let (comments, next) = page(known, query);
            let comments: Vec<Value> = comments.iter().map(shown).collect();
            let mut headers = vec![("content-type", "application/json".to_owned())];
            if let Some(next) = next {
                let url = format!("{address}/repos/acme/shop/issues/7/comments");
                headers.push(("link", format!("<{url}?page={next}>; rel=\"next\"")));
            }
            respond(200, &headers, json!(comments).to_string())
        }
        ("POST", ["repos", "acme", "shop", "issues", "7", "comments"]) => match body_of(body) {
            Some(text) if text.chars().count() <= 65_536 => {
                known.add(&text, Who::Token);
                document(201, &known.comments.last().map(shown).expect("a comment"))
            }
            Some(_) | None => refuse(422, "Body is too long (maximum is 65536 characters)"),
        },
        ("PATCH", ["repos", "acme", "shop", "issues", "comments", id]) => {
            let wanted: u64 = id.parse().expect("a number");
            let found = known
                .comments
                .iter_mut()
                .find(|comment| comment.id == wanted);
            match (found, body_of(body)) {
                (Some(comment), Some(text)) if text.chars().count() <= 65_536 => {
                    comment.body = text;
                    let answer = shown(comment);
                    document(200, &answer)
                }
                (Some(_), _) => refuse(422, "Body is too long (maximum is 65536 characters)"),
                (None, _) => refuse(404, "Not Found"),
            }
        }
        ("POST", ["repos", "acme", "shop", "statuses", sha]) => {
            let description = body["description"].as_str().unwrap_or_default();
            if description.chars().count() > 140 {
                return refuse(422, "description is too long (maximum is 140 characters)");
            }
            known.statuses.push(((*sha).to_owned(), body.clone()));
            document(
                201,
                &json!({"id": known.statuses.len(), "state": body["state"]}),
            )
        }
        _ => refuse(404, "Not Found"),
    }
}

fn gitlab(
    known: &mut Known,
    method: &Method,
    path: &[&str],
    query: &BTreeMap<String, String>,
    body: &Value,
) -> Response {
    let shown = |comment: &Comment| {
        let author = match comment.author {
            Who::Token => 1,
            Who::Person => 2,
        };
        json!({"id": comment.id, "body": comment.body, "system": false, "author": {"id": author}})
    };
    match (method.as_str(), path) {
        ("GET", ["api", "v4", "user"]) => document(200, &json!({"id": 1, "username": "robot"})),
        ("GET", ["api", "v4", "projects", "5", "merge_requests", "7", "notes"]) => {
            let (notes, next) = page(known, query);
            let notes: Vec<Value> = notes.iter().map(shown).collect();
            let next = next.map(|next| next.to_string()).unwrap_or_default();
            let headers = [
                ("content-type", "application/json".to_owned()),
                ("x-next-page", next),
            ];
            respond(200, &headers, json!(notes).to_string())
        }
        ("POST", ["api", "v4", "projects", "5", "merge_requests", "7", "notes"]) => {
            let text = body_of(body).expect("a body");
            known.add(&text, Who::Token);
            document(201, &known.comments.last().map(shown).expect("a note"))
        }
        (
            "PUT",
            [
                "api",
                "v4",
                "projects",
                "5",
                "merge_requests",
                "7",
                "notes",
                id,
            ],
        ) => {
            let wanted: u64 = id.parse().expect("a number");
            let found = known
                .comments
                .iter_mut()
                .find(|comment| comment.id == wanted);
            match (found, body_of(body)) {
                (Some(note), Some(text)) => {
                    note.body = text;
                    let answer = shown(note);
                    document(200, &answer)
                }
                (Some(_), None) | (None, _) => refuse(404, "404 Not found"),
            }
        }
        ("POST", ["api", "v4", "projects", "5", "statuses", sha]) => {
            known.statuses.push(((*sha).to_owned(), body.clone()));
            document(
                201,
                &json!({"id": known.statuses.len(), "status": body["state"]}),
            )
        }
        _ => refuse(404, "404 Not Found"),
    }
}
