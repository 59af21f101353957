//! The page over HTTP: its files, logging in and out, and the cookie.

use super::access::{Caller, Rules};
use super::routes::App;
use crate::inputs::settings::http::Scope;
use crate::interfaces::api::problem::{Kind, Problem};
use crate::interfaces::page::{self, CONTENT_SECURITY_POLICY, LASTS, OWN_HEADER};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Instant;

/// The cookie, and what it is called where there is TLS: browsers take that from nobody else.
const COOKIE: &str = "cutover_session";
const SECURE_COOKIE: &str = "__Host-cutover_session";

type Asked = Option<Extension<Arc<Caller>>>;

/// `GET /`
pub(super) async fn root(State(app): State<Arc<App>>, caller: Asked) -> Response {
    let Some(Extension(caller)) = caller else {
        return html(StatusCode::OK, page::login(None));
    };
    let seen = caller.may(Scope::Read).then(|| {
        let mut all = app.daemon.status_board.all();
        all.retain(|status| caller.sees(&status.environment));
        all
    });
    html(StatusCode::OK, page::shell(&caller.name, seen.as_deref()))
}

/// `GET /page/{digest}/{file}`
pub(super) async fn file(Path((digest, name)): Path<(String, String)>) -> Response {
    let asset = page::asset(&name).filter(|_| digest == page::digest());
    let Some(asset) = asset else {
        return absent().into_response();
    };
    let mut answer = asset.bytes.into_response();
    let headers = answer.headers_mut();
    let media_type = HeaderValue::from_static(asset.media_type);
    headers.insert(header::CONTENT_TYPE, media_type);
    // Another version has another path.
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    headers.insert(header::CACHE_CONTROL, forever);
    guarded(answer)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entered {
    token: String,
}

/// `POST /login`
pub(super) async fn login(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(problem) = is_own_form(&headers) {
        return problem.into_response();
    }
    let rules = app.rules.get();
    // As a query is written, so is a form.
    let body = String::from_utf8(body.into()).ok();
    let uri = body.and_then(|body| format!("/?{body}").parse::<Uri>().ok());
    let entered = uri.and_then(|uri| Query::<Entered>::try_from_uri(&uri).ok());
    let token = entered.and_then(|Query(entered)| {
        let caller = rules.recognise(entered.token.trim().as_bytes())?;
        caller.token
    });
    let Some(token) = token else {
        let said = "The token is not known.";
        return html(StatusCode::UNAUTHORIZED, page::login(Some(said)));
    };
    let Some(id) = app.sessions.begin(token, Instant::now()) else {
        return Problem::new(
            Kind::Internal,
            "the system gives no random numbers",
            "look at the machine, then try again",
        )
        .into_response();
    };
    // What was logged in in this browser before is not left behind.
    if let Some((old, _)) = session(&app, &rules, &headers) {
        app.sessions.end(&old);
    }
    to_the_page(cookie(&rules, &id, LASTS.as_secs()))
}

/// `POST /logout`
pub(super) async fn logout(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if let Err(problem) = is_own_form(&headers) {
        return problem.into_response();
    }
    let rules = app.rules.get();
    if let Some((held, _)) = session(&app, &rules, &headers) {
        app.sessions.end(&held);
    }
    to_the_page(cookie(&rules, "", 0))
}

/// Who is logged in.
#[derive(Debug, Serialize)]
struct Who {
    name: String,
    scopes: Vec<&'static str>,
}

/// `GET /session`
pub(super) async fn who(caller: Asked) -> Response {
    let Some(Extension(caller)) = caller else {
        let hint = "log in at /";
        return Problem::new(Kind::Unauthorized, "nobody is logged in", hint).into_response();
    };
    let scopes = Scope::ALL.iter().filter(|scope| caller.may(**scope));
    Json(Who {
        name: caller.name.to_string(),
        scopes: scopes.map(|scope| scope.as_str()).collect(),
    })
    .into_response()
}

/// The holder of the session in the cookie, while it lasts and its token is there.
pub(super) fn recognised(app: &App, rules: &Rules, headers: &HeaderMap) -> Option<Arc<Caller>> {
    let (held, token) = session(app, rules, headers)?;
    rules.holder(&token, held)
}

/// A browser sends its cookie wherever it is told to ask. So that no other page tells it to change
/// anything, the page's own script sets a header, which a page of another origin cannot.
pub(super) fn is_own_request(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(OWN_HEADER) && is_same_origin(headers).unwrap_or(true) {
        return Ok(());
    }
    Err(crossing())
}

/// Forms have no such header; browsers say where one comes from.
fn is_own_form(headers: &HeaderMap) -> Result<(), Problem> {
    match is_same_origin(headers) {
        Some(true) => Ok(()),
        Some(false) | None => Err(crossing()),
    }
}

/// Whether the browser says that the request comes from this very origin; `None` when it says nothing.
fn is_same_origin(headers: &HeaderMap) -> Option<bool> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // Right also behind something that gives another Host.
    if let Some(site) = text("sec-fetch-site") {
        return Some(site == "same-origin");
    }
    let origin = text("origin")?;
    let host = text("host").unwrap_or_default();
    let named = origin.split_once("://").map(|(_, rest)| rest);
    Some(!host.is_empty() && named == Some(host))
}

fn crossing() -> Problem {
    Problem::new(
        Kind::Forbidden,
        "the request does not come from the page itself",
        "use the page, or send a token in the header Authorization",
    )
}

/// The answer for whatever the page has not, and for all of it while it is off.
pub(super) fn absent() -> Problem {
    Problem::new(
        Kind::NotFound,
        "there is no such path",
        "GET /v1/openapi.json lists what there is",
    )
}

fn session(app: &App, rules: &Rules, headers: &HeaderMap) -> Option<(page::Session, [u8; 32])> {
    if !rules.page {
        return None;
    }
    let name = cookie_name(rules);
    let cookies = headers.get_all(header::COOKIE).iter();
    let mut cookies = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|all| all.split(';'));
    cookies.find_map(|cookie| {
        let id = cookie.trim().strip_prefix(name)?.strip_prefix('=')?;
        app.sessions.find(id, Instant::now())
    })
}

fn cookie_name(rules: &Rules) -> &'static str {
    if rules.secure_cookie {
        SECURE_COOKIE
    } else {
        COOKIE
    }
}

fn cookie(rules: &Rules, id: &str, seconds: u64) -> String {
    let name = cookie_name(rules);
    let secure = if rules.secure_cookie { "; Secure" } else { "" };
    format!("{name}={id}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

fn to_the_page(cookie: String) -> Response {
    let to = [
        (header::LOCATION, "/".to_owned()),
        (header::SET_COOKIE, cookie),
    ];
    guarded((StatusCode::SEE_OTHER, to).into_response())
}

fn html(status: StatusCode, text: String) -> Response {
    guarded((status, Html(text)).into_response())
}

fn guarded(mut answer: Response) -> Response {
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in [
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        (
            "permissions-policy",
            "camera=(), geolocation=(), microphone=()",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}
