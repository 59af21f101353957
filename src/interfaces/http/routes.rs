//! The table of routes, and what every request passes before it reaches one.

use super::access::{Caller, Rules, Shared};
use super::listen::Peer;
use super::{Handle, corners, page, read, stream};
use crate::inputs::settings::http::Scope;
use crate::interfaces::api::problem::{Kind, Problem};
use crate::interfaces::http::commands;
use crate::interfaces::http::rate_limit::Who;
use crate::interfaces::page::Sessions;
use crate::operations::daemon::Daemon;
use crate::operations::metrics::Metrics;
use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// How many streams are open at a time.
const STREAMS: usize = 64;

/// What handlers share.
#[derive(Debug)]
pub(super) struct App {
    pub(super) daemon: Arc<Daemon>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) rules: Shared<Rules>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) streams: Arc<Semaphore>,
    pub(super) stop: CancellationToken,
}

impl App {
    pub(super) fn new(
        daemon: Arc<Daemon>,
        metrics: Arc<Metrics>,
        Handle {
            rules, sessions, ..
        }: Handle,
        stop: CancellationToken,
    ) -> Self {
        Self {
            daemon,
            metrics,
            rules,
            sessions,
            streams: Arc::new(Semaphore::new(STREAMS)),
            stop,
        }
    }
}

/// What a route asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// Nothing, not even patience: probes must not fail because somebody else asks too much.
    Nothing,
    /// No token.
    NoToken,
    /// No token; who has one, or a session, is known. Not there while the page is off.
    Page,
    /// A token with the scope `read` from other machines, unless the metrics are open.
    Metrics,
    /// A token with the scope.
    Scope(Scope),
    /// A token with one of the scopes.
    OneOf([Scope; 2]),
}

/// Who may look at corners: whoever looks, and whoever has them built.
const LOOKS: [Scope; 2] = [Scope::Ci, Scope::Read];

/// One route.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path with its parameters in braces.
    pub path: &'static str,
    needs: Needs,
    action: Action,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Alive,
    Ready,
    Metrics,
    Description,
    Environments,
    Environment,
    Plan,
    Deployments,
    Deployment,
    Events,
    Readings,
    Logs,
    Diff,
    Runs,
    Run,
    Stream,
    StreamOfOne,
    Corners,
    Corner,
    StreamOfCorner,
    BuildCorner,
    TearCornerDown,
    Release,
    Promote,
    Approve,
    Rollback,
    Abort,
    Cleanup,
    Resume,
    Hold,
    LiftHold,
    Root,
    File,
    Login,
    Logout,
    Who,
}

macro_rules! routes {
    ($(#[$meta:meta])* $visible:vis $routes:ident; $($method:literal $path:literal $needs:expr => $action:ident;)*) => {
        $(#[$meta])*
        $visible const $routes: &[Route] = &[$(Route {
            method: $method,
            path: $path,
            needs: $needs,
            action: Action::$action,
        },)*];
    };
}

routes! {
    /// Every route of the API.
    pub ROUTES;
    "GET" "/healthz" Needs::Nothing => Alive;
    "GET" "/readyz" Needs::Nothing => Ready;
    "GET" "/metrics" Needs::Metrics => Metrics;
    "GET" "/v1/openapi.json" Needs::NoToken => Description;
    "GET" "/v1/environments" Needs::Scope(Scope::Read) => Environments;
    "GET" "/v1/environments/{environment}" Needs::Scope(Scope::Read) => Environment;
    "GET" "/v1/environments/{environment}/plan" Needs::Scope(Scope::Read) => Plan;
    "GET" "/v1/environments/{environment}/deployments" Needs::Scope(Scope::Read) => Deployments;
    "GET" "/v1/environments/{environment}/diff" Needs::Scope(Scope::Read) => Diff;
    "GET" "/v1/environments/{environment}/runs" Needs::Scope(Scope::Read) => Runs;
    "GET" "/v1/environments/{environment}/stream" Needs::Scope(Scope::Read) => StreamOfOne;
    "GET" "/v1/deployments/{deployment}" Needs::Scope(Scope::Read) => Deployment;
    "GET" "/v1/deployments/{deployment}/events" Needs::Scope(Scope::Read) => Events;
    "GET" "/v1/deployments/{deployment}/readings" Needs::Scope(Scope::Read) => Readings;
    "GET" "/v1/deployments/{deployment}/logs" Needs::Scope(Scope::Read) => Logs;
    "GET" "/v1/runs/{run}" Needs::Scope(Scope::Read) => Run;
    "GET" "/v1/stream" Needs::Scope(Scope::Read) => Stream;
    "GET" "/v1/environments/{environment}/ci" Needs::OneOf(LOOKS) => Corners;
    "GET" "/v1/environments/{environment}/ci/{name}" Needs::OneOf(LOOKS) => Corner;
    "GET" "/v1/environments/{environment}/ci/{name}/stream" Needs::OneOf(LOOKS) => StreamOfCorner;
    "POST" "/v1/environments/{environment}/ci/{name}/builds" Needs::Scope(Scope::Ci) => BuildCorner;
    "DELETE" "/v1/environments/{environment}/ci/{name}" Needs::Scope(Scope::Ci) => TearCornerDown;
    "POST" "/v1/environments/{environment}/releases" Needs::Scope(Scope::Release) => Release;
    "POST" "/v1/environments/{environment}/abort" Needs::Scope(Scope::Release) => Abort;
    "POST" "/v1/environments/{environment}/promote" Needs::Scope(Scope::Promote) => Promote;
    "POST" "/v1/environments/{environment}/approve" Needs::Scope(Scope::Promote) => Approve;
    "POST" "/v1/environments/{environment}/rollback" Needs::Scope(Scope::Promote) => Rollback;
    "POST" "/v1/environments/{environment}/cleanup" Needs::Scope(Scope::Promote) => Cleanup;
    "POST" "/v1/environments/{environment}/resume" Needs::Scope(Scope::Promote) => Resume;
    "POST" "/v1/environments/{environment}/hold" Needs::Scope(Scope::Promote) => Hold;
    "POST" "/v1/environments/{environment}/release-hold" Needs::Scope(Scope::Promote) => LiftHold;
}

routes! {
    /// Those of the page.
    PAGE;
    "GET" "/" Needs::Page => Root;
    "GET" "/page/{digest}/{file}" Needs::Page => File;
    "GET" "/session" Needs::Page => Who;
    "POST" "/login" Needs::Page => Login;
    "POST" "/logout" Needs::Page => Logout;
}

impl Action {
    fn handler(self) -> MethodRouter<Arc<App>> {
        match self {
            Action::Alive => get(read::alive),
            Action::Ready => get(read::ready),
            Action::Metrics => get(read::metrics),
            Action::Description => get(read::description),
            Action::Environments => get(read::environments),
            Action::Environment => get(read::environment),
            Action::Plan => get(read::plan),
            Action::Deployments => get(read::deployments),
            Action::Diff => get(read::diff),
            Action::Deployment => get(read::deployment),
            Action::Events => get(read::events),
            Action::Readings => get(read::readings),
            Action::Logs => get(read::logs),
            Action::Runs => get(read::runs),
            Action::Run => get(read::run),
            Action::Stream => get(stream::all),
            Action::StreamOfOne => get(stream::one),
            Action::Corners => get(corners::all),
            Action::Corner => get(corners::one),
            Action::StreamOfCorner => get(stream::corner),
            Action::BuildCorner => post(commands::build_corner),
            Action::TearCornerDown => delete(commands::tear_corner_down),
            Action::Release => post(commands::release),
            Action::Promote => post(commands::promote),
            Action::Approve => post(commands::approve),
            Action::Rollback => post(commands::rollback),
            Action::Abort => post(commands::abort),
            Action::Cleanup => post(commands::cleanup),
            Action::Resume => post(commands::resume),
            Action::Hold => post(commands::hold),
            Action::LiftHold => post(commands::lift_hold),
            Action::Root => get(page::root),
            Action::File => get(page::file),
            Action::Login => post(page::login),
            Action::Logout => post(page::logout),
            Action::Who => get(page::who),
        }
    }
}

/// All routes behind what every request passes.
pub(super) fn router(app: App) -> Router {
    let app = Arc::new(app);
    let all = ROUTES.iter().chain(PAGE);
    all.fold(Router::new(), |router, route| {
        router.route(route.path, route.action.handler())
    })
    .fallback(|| async { page::absent() })
    .method_not_allowed_fallback(|| async {
        Problem::new(
            Kind::MethodNotAllowed,
            "the path does not take this method",
            "the header Allow says which it takes",
        )
    })
    .layer(from_fn_with_state(Arc::clone(&app), pass))
    .with_state(app)
}

/// Counts and logs; everything else is [`admitted`].
async fn pass(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let matched = request.extensions().get::<MatchedPath>();
    let known = matched.and_then(|matched| known(matched.as_str(), &method));
    let (caller, mut answer) = match admitted(&app, known, request).await {
        Ok((caller, request)) => {
            let running = next.run(request);
            let answer = match tokio::time::timeout(app.rules.get().timeout, running).await {
                Ok(answer) => answer,
                Err(_) => no_answer().into_response(),
            };
            (caller, answer)
        }
        Err((caller, problem)) => (caller, problem.into_response()),
    };
    let headers = answer.headers_mut();
    let cached = headers.entry(header::CACHE_CONTROL);
    cached.or_insert(HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    let (took, status) = (began.elapsed(), answer.status().as_u16());
    let route = known.map_or("unmatched", |route| route.path);
    app.metrics.answered(route, word(&method), status, took);
    let token = caller.as_ref().map_or("-", |caller| &*caller.name);
    let ms = took.as_millis();
    // The log is the release's: who looks is not worth a line of it, who asks for something or is at fault is.
    if method.is_safe() && status < 400 {
        tracing::debug!(%method, path, status, ms, token, "answered");
    } else {
        tracing::info!(%method, path, status, ms, token, "answered");
    }
    answer
}

/// The row of a path that takes the method; of one that takes it not, any.
fn known(path: &str, method: &Method) -> Option<&'static Route> {
    let rows = || ROUTES.iter().chain(PAGE).filter(|route| route.path == path);
    rows()
        .find(|route| takes(route, method))
        .or_else(|| rows().next())
}

fn no_answer() -> Problem {
    Problem::new(
        Kind::Timeout,
        "there was no answer in time; what was asked may have been taken up",
        "look before asking again, or ask again with the same Idempotency-Key",
    )
}

/// Methods are the client's words; the metrics know these.
fn word(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

type Refused = (Option<Arc<Caller>>, Problem);

/// The caller, and the request with the body read.
async fn admitted(
    app: &App,
    route: Option<&'static Route>,
    mut request: Request,
) -> Result<(Option<Arc<Caller>>, Request), Refused> {
    let rules = app.rules.get();
    let route = route.filter(|route| rules.page || route.needs != Needs::Page);
    let needs = route.map_or(Needs::Scope(Scope::Read), |route| route.needs);
    if needs == Needs::Nothing {
        return Ok((None, request));
    }
    let peer = request.extensions().get::<Peer>().copied();
    let found = match peer {
        Some(Peer::Socket(user)) => Ok(Arc::new(Caller::of_socket(user))),
        Some(Peer::Address(_)) | None => recognised(app, &rules, request.headers()),
    };
    let who = match (&found, peer) {
        (_, Some(Peer::Socket(_))) => Who::Socket,
        (Ok(caller), _) => Who::Token(Arc::clone(&caller.name)),
        (Err(_), Some(Peer::Address(ip))) => Who::Address(ip),
        (Err(_), None) => Who::Others,
    };
    let known = found.as_ref().ok().cloned();
    if let Err(wait) = rules.limiter.take(who, Instant::now()) {
        return Err((known, too_many(wait)));
    }
    let is_here = match peer {
        Some(Peer::Socket(_)) => true,
        Some(Peer::Address(ip)) => ip.is_loopback(),
        None => false,
    };
    let scopes = match needs {
        Needs::Scope(scope) => vec![scope],
        Needs::OneOf(scopes) => scopes.to_vec(),
        Needs::Metrics if !is_here && !rules.open_metrics => vec![Scope::Read],
        Needs::Nothing | Needs::NoToken | Needs::Page | Needs::Metrics => Vec::new(),
    };
    if let (Needs::Page, Some(caller)) = (needs, &known) {
        request.extensions_mut().insert(Arc::clone(caller));
    }
    if let Some(&scope) = scopes.first() {
        let caller = found.map_err(|problem| (None, problem))?;
        // What no route takes is said to whoever has a token.
        if route.is_some_and(|route| takes(route, request.method()))
            && !scopes.iter().any(|scope| caller.may(*scope))
        {
            return Err((known, lacks(&caller, scope)));
        }
        if caller.session.is_some() && !request.method().is_safe() {
            page::is_own_request(request.headers()).map_err(|problem| (known.clone(), problem))?;
        }
        request.extensions_mut().insert(caller);
    }
    if route.is_none() && !rules.page && is_of_page(&request) {
        return Err((known, page::absent()));
    }
    match buffered(request, &rules).await {
        Ok(request) => Ok((known, request)),
        Err(problem) => Err((known, problem)),
    }
}

/// Whether a handler of the page would answer.
fn is_of_page(request: &Request) -> bool {
    let matched = request.extensions().get::<MatchedPath>();
    matched.is_some_and(|matched| PAGE.iter().any(|route| route.path == matched.as_str()))
}

fn takes(route: &Route, method: &Method) -> bool {
    let method = if *method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    route.method == method
}

fn recognised(app: &App, rules: &Rules, headers: &HeaderMap) -> Result<Arc<Caller>, Problem> {
    if !headers.contains_key(header::AUTHORIZATION)
        && let Some(caller) = page::recognised(app, rules, headers)
    {
        return Ok(caller);
    }
    let hint = "send `Authorization: Bearer TOKEN` with a token of http.tokens";
    let no = |detail: &str| Problem::new(Kind::Unauthorized, detail, hint);
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return Err(no("a token is needed, once"));
    };
    let (scheme, token) = value.as_bytes().split_at_checked(7).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return Err(no("the header Authorization does not hold a bearer token"));
    }
    rules
        .recognise(token.trim_ascii())
        .ok_or_else(|| no("the token is not known"))
}

pub(super) fn lacks(caller: &Caller, scope: Scope) -> Problem {
    Problem::new(
        Kind::Forbidden,
        format!(
            "the token {:?} lacks the scope {}",
            caller.name,
            scope.as_str()
        ),
        "use another token, or add the scope in http.tokens",
    )
}

fn too_many(wait: Duration) -> Problem {
    Problem::new(
        Kind::TooManyRequests,
        "more requests a second than http.requests_per_second",
        "ask again after the time in Retry-After",
    )
    .retry_after(wait)
}

fn broken(error: &axum::Error) -> Problem {
    Problem::new(
        Kind::InvalidBody,
        format!("the body broke off or is not as its head announces: {error}"),
        "send it whole, with the right Content-Length; nothing was asked",
    )
}

/// The request with its whole body in memory. Bodies of a client that is slow or sends too much are
/// given up here, before anything is asked.
async fn buffered(request: Request, rules: &Rules) -> Result<Request, Problem> {
    let too_large = || {
        Problem::new(
            Kind::BodyTooLarge,
            format!("the body has more than {} bytes", rules.body_limit),
            "send less, or raise http.body_limit",
        )
    };
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        // Nothing is done with it; how it is sent cannot change the answer then.
        return Ok(Request::from_parts(parts, Body::empty()));
    }
    let announced = parts.headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > rules.body_limit as u64) {
        return Err(too_large());
    }
    let reading = async {
        let mut pieces = body.into_data_stream();
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| broken(&error))?;
            if bytes.len() + piece.len() > rules.body_limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    };
    match tokio::time::timeout(rules.timeout, reading).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(problem)) => Err(problem),
        Err(_) => Err(Problem::new(
            Kind::SlowBody,
            "the body did not arrive in time",
            "send it faster; nothing was asked",
        )),
    }
}
