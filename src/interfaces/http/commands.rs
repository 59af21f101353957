//! What can be asked of a worker.

use super::access::Caller;
use super::read::{corner_name, names, parameter, seen};
use super::routes::{App, lacks};
use crate::domain::lifecycle::state::Asker;
use crate::domain::lifecycle::verb::Verb;
use crate::inputs::settings::http::Scope;
use crate::interfaces::api::IDEMPOTENCY_KEY;
use crate::interfaces::api::document::{Act, CornerBuild, NewHold, Nothing, Release, reason};
use crate::interfaces::api::problem::{Kind, Problem};
use crate::operations::daemon::request::{
    Accepted, Command, CornerRequest, CornerWish, Idempotency,
};
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// The longest key, in bytes.
const LONGEST_KEY: usize = 255;

type Answer = Result<(StatusCode, Json<Accepted>), Problem>;

/// All of a request that counts.
pub(crate) struct Posted {
    app: Arc<App>,
    caller: Arc<Caller>,
    environment: String,
    /// The corner, where the path names one.
    corner: Option<String>,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    /// Whether it is only said what would be done.
    is_dry: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Asked {
    dry_run: bool,
}

macro_rules! handlers {
    ($($name:ident => $verb:ident;)*) => {
        $(pub(crate) async fn $name(posted: Posted) -> Answer {
            posted.act(Verb::$verb).await
        })*
    };
}

handlers! {
    promote => Promote;
    rollback => Rollback;
    abort => Abort;
    cleanup => Cleanup;
    resume => Resume;
}

pub(crate) async fn approve(posted: Posted) -> Answer {
    posted.is_seen()?;
    let Act {
        deployment,
        force,
        override_freeze,
    } = posted.body()?;
    if force {
        return Err(forced());
    }
    if override_freeze.is_some() {
        return Err(only_a_promotion_is_frozen());
    }
    let approver = posted.caller.approver();
    posted
        .ask(Command::Approve {
            deployment,
            approver,
        })
        .await
}

pub(crate) async fn release(posted: Posted) -> Answer {
    posted.is_seen()?;
    let wish: Release = posted.body()?;
    let mut start = wish.start().map_err(invalid)?;
    // A release that promotes itself promotes, and what is allowed decides what production loses.
    if !posted.caller.may(Scope::Promote) {
        let overrides = start.override_freeze.is_some();
        if start.bootstrap || !start.allow.is_empty() || start.to.is_some() || overrides {
            return Err(lacks(&posted.caller, Scope::Promote));
        }
        start.waits_for_promotion = true;
    }
    start.subject = Some(posted.caller.subject());
    posted.ask(Command::Start(start)).await
}

pub(crate) async fn hold(posted: Posted) -> Answer {
    posted.is_seen()?;
    let wish: NewHold = posted.body()?;
    let (reason, until) = wish.wish(Timestamp::now()).map_err(invalid)?;
    let subject = posted.caller.subject();
    let command = Command::Hold {
        reason,
        until,
        subject,
    };
    posted.ask(command).await
}

pub(crate) async fn lift_hold(posted: Posted) -> Answer {
    posted.is_seen()?;
    let Nothing {} = posted.body()?;
    let subject = posted.caller.subject();
    posted.ask(Command::LiftHold { subject }).await
}

fn only_a_promotion_is_frozen() -> Problem {
    let why = "`override_freeze` is for a promotion; nothing else is frozen";
    Problem::new(Kind::InvalidBody, why, "leave `override_freeze` out")
}

fn invalid(problem: String) -> Problem {
    let hint = "send a JSON object as /v1/openapi.json describes it";
    Problem::new(Kind::InvalidBody, problem, hint)
}

type Begun = Result<(StatusCode, [(HeaderName, String); 1], Json<Accepted>), Problem>;

pub(crate) async fn build_corner(posted: Posted) -> Begun {
    posted.is_seen()?;
    let wish: CornerBuild = posted.body()?;
    let wish = wish.wish().map_err(invalid)?;
    posted.ask_corner(CornerWish::Build(Box::new(wish))).await
}

pub(crate) async fn tear_corner_down(posted: Posted) -> Begun {
    posted.is_seen()?;
    posted.ask_corner(CornerWish::TearDown).await
}

impl Posted {
    /// Asks for something of a corner, and says where it is seen how that ends.
    async fn ask_corner(self, wish: CornerWish) -> Begun {
        let name = corner_name(self.corner.as_deref().unwrap_or_default())?;
        let look = self.path.strip_suffix("/builds").unwrap_or(&self.path);
        let look = look.to_owned();
        let command = Command::Corner(CornerRequest {
            name,
            wish,
            subject: self.caller.subject(),
        });
        let (status, accepted) = self.ask(command).await?;
        Ok((status, [(header::LOCATION, look)], accepted))
    }

    async fn act(self, verb: Verb) -> Answer {
        self.is_seen()?;
        let Act {
            deployment,
            force,
            override_freeze,
        } = self.body()?;
        let override_freeze = override_freeze.map(reason).transpose().map_err(invalid)?;
        if override_freeze.is_some() && verb != Verb::Promote {
            return Err(only_a_promotion_is_frozen());
        }
        let verb = match (verb, force) {
            (verb, false) => verb,
            (Verb::Rollback, true) => Verb::ForceRollback,
            (
                Verb::Promote
                | Verb::ForceRollback
                | Verb::RollbackAndHold
                | Verb::Abort
                | Verb::Resume
                | Verb::Cleanup,
                true,
            ) => {
                return Err(forced());
            }
        };
        let (by, subject) = (self.asker(), self.caller.subject());
        self.ask(Command::Act {
            verb,
            deployment,
            by,
            subject,
            override_freeze,
        })
        .await
    }

    /// Commands say in every request who they are.
    fn asker(&self) -> Asker {
        let agent = self.headers.get(header::USER_AGENT);
        let agent = agent.and_then(|agent| agent.to_str().ok());
        if agent.is_some_and(|agent| agent.starts_with("cutover/")) {
            Asker::Cli
        } else {
            Asker::Api
        }
    }

    fn is_seen(&self) -> Result<(), Problem> {
        seen(&self.app, &self.caller, &self.environment).map(|_| ())
    }

    async fn ask(self, command: Command) -> Answer {
        // Saying it twice is no harm.
        let (command, idempotency, status) = match self.is_dry {
            true => (Command::DryRun(Box::new(command)), None, StatusCode::OK),
            false => (command, self.idempotency()?, StatusCode::ACCEPTED),
        };
        let daemon = &self.app.daemon;
        let answer = daemon.ask(&self.environment, command, idempotency).await;
        match answer {
            Ok(accepted) => Ok((status, Json(accepted))),
            Err(declined) => {
                let names = names(&self.app, &self.caller);
                Err(Problem::declined(&declined, &names))
            }
        }
    }

    fn body<T: DeserializeOwned + Default>(&self) -> Result<T, Problem> {
        if self.body.is_empty() {
            return Ok(T::default());
        }
        let media_type = self.headers.get(header::CONTENT_TYPE);
        let media_type = media_type.and_then(|value| value.to_str().ok());
        let essence = media_type.map(|text| text.split(';').next().unwrap_or(text).trim());
        if !essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
            return Err(Problem::new(
                Kind::UnsupportedMediaType,
                "the body is not announced as JSON",
                "send `Content-Type: application/json`",
            ));
        }
        let body = serde_json::from_slice(&self.body).map_err(|error| Problem::body(&error))?;
        // A list would be taken for the members in their order.
        if self.body.trim_ascii_start().first() != Some(&b'{') {
            return Err(Problem::new(
                Kind::InvalidBody,
                "invalid type: the body is not an object",
                "send a JSON object as /v1/openapi.json describes it",
            ));
        }
        Ok(body)
    }

    fn idempotency(&self) -> Result<Option<Idempotency>, Problem> {
        let mut given = self.headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(key) = given.next() else {
            return Ok(None);
        };
        let key = key.to_str().ok().filter(|key| {
            (1..=LONGEST_KEY).contains(&key.len())
                && key.bytes().all(|byte| (b' '..=b'~').contains(&byte))
        });
        let (Some(key), None) = (key, given.next()) else {
            return Err(parameter(&format!(
                "Idempotency-Key must stand once and have from 1 to {LONGEST_KEY} characters of printable ASCII"
            )));
        };
        let mut hash = Sha256::new();
        // Neither a method nor a path contains a zero byte.
        for part in [b"POST", self.path.as_bytes(), &self.body] {
            hash.update(part);
            hash.update([0]);
        }
        Ok(Some(Idempotency {
            // Two that count from one must not get each other's answers. A key has no line's end.
            key: format!("{}\n{key}", self.caller.name),
            fingerprint: hex::encode(hash.finalize()),
        }))
    }
}

impl FromRequest<Arc<App>> for Posted {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let named: Result<Path<HashMap<String, String>>, PathRejection> =
            Path::from_request_parts(&mut parts, app).await;
        let Path(mut named) = named.map_err(|error| parameter(&error.body_text()))?;
        let asked = Query::<Asked>::try_from_uri(&parts.uri);
        let Query(Asked { dry_run }) = asked.map_err(|error| parameter(&error.body_text()))?;
        let caller = parts.extensions.get::<Arc<Caller>>().cloned();
        let caller = caller
            .ok_or_else(|| Problem::new(Kind::Unauthorized, "a token is needed", "send a token"))?;
        // The body is in memory already, and not larger than it may be.
        let body = axum::body::to_bytes(body, usize::MAX).await;
        let body = body.map_err(|error| parameter(&error.to_string()))?;
        Ok(Self {
            app: Arc::clone(app),
            caller,
            environment: named.remove("environment").unwrap_or_default(),
            corner: named.remove("name"),
            path: path(&parts.uri),
            headers: parts.headers,
            body,
            is_dry: dry_run,
        })
    }
}

fn forced() -> Problem {
    Problem::new(
        Kind::InvalidBody,
        "`force` is for a rollback",
        "leave `force` out",
    )
}

fn path(uri: &Uri) -> String {
    uri.path().to_owned()
}
