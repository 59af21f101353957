//! Errors on the wire, as RFC 9457 has them.

use crate::adapters::store::StoreError;
use crate::foundation::failure::{Class, Classify, with_causes};
use crate::operations::daemon::request::Declined;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the `type` of every problem begins with.
pub const PREFIX: &str = "urn:cutover:problem:";

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// How long to wait where nothing better is known.
const SOON: Duration = Duration::from_secs(2);

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident => $word:literal, $status:ident, $class:ident, $title:literal;)*) => {
        /// Every kind of problem. The words are part of the interface, never reworded.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Kind] = &[$(Kind::$variant,)*];

            /// The word at the end of the `type`.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Kind::$variant => $word,)* }
            }

            /// The status of the answer.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Kind::$variant => StatusCode::$status,)* }
            }

            /// What a client makes of it.
            #[must_use]
            pub fn class(self) -> Class {
                match self { $(Kind::$variant => Class::$class,)* }
            }

            /// What it says to everybody.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Kind::$variant => $title,)* }
            }
        }
    };
}

kinds! {
    /// No token, or one that is not known.
    Unauthorized => "unauthorized", UNAUTHORIZED, Usage, "a token is needed";
    /// The token lacks the scope.
    Forbidden => "forbidden", FORBIDDEN, Usage, "the token may not do this";
    /// There is no such path.
    NotFound => "not-found", NOT_FOUND, Usage, "there is no such path";
    /// There is no such environment, or the token may not see it.
    UnknownEnvironment => "unknown-environment", NOT_FOUND, Usage, "there is no such environment";
    /// There is no such deployment, or the token may not see it.
    UnknownDeployment => "unknown-deployment", NOT_FOUND, Usage, "there is no such deployment";
    /// There is no such run, or the token may not see it.
    UnknownRun => "unknown-run", NOT_FOUND, Usage, "there is no such run";
    /// There is no such corner of a pull request.
    UnknownCorner => "unknown-corner", NOT_FOUND, Refused, "there is no such corner";
    /// The environment never had a deployment.
    NoPlan => "no-plan", NOT_FOUND, Refused, "the environment never had a deployment";
    /// Several deployments begin so.
    AmbiguousDeployment => "ambiguous-deployment", CONFLICT, Usage, "several deployments begin so";
    /// The path does not take the method.
    MethodNotAllowed => "method-not-allowed", METHOD_NOT_ALLOWED, Usage, "the path does not take this method";
    /// A parameter of the query, the path or a header cannot be read.
    InvalidParameter => "invalid-parameter", BAD_REQUEST, Usage, "a parameter cannot be read";
    /// The body is not the JSON that is expected.
    InvalidBody => "invalid-body", UNPROCESSABLE_ENTITY, Usage, "the body cannot be read";
    /// The body is too large.
    BodyTooLarge => "body-too-large", PAYLOAD_TOO_LARGE, Usage, "the body is too large";
    /// The body is not JSON.
    UnsupportedMediaType => "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, Usage, "the body must be JSON";
    /// The client was too slow.
    SlowBody => "slow-body", REQUEST_TIMEOUT, Transient, "the body did not arrive in time";
    /// Too many requests.
    TooManyRequests => "too-many-requests", TOO_MANY_REQUESTS, Transient, "too many requests";
    /// Too many streams.
    TooManyStreams => "too-many-streams", SERVICE_UNAVAILABLE, Transient, "too many streams are open";
    /// Another process leads the environment.
    NotLeading => "not-leading", SERVICE_UNAVAILABLE, Transient, "another process leads the environment";
    /// A release is under way.
    Busy => "busy", CONFLICT, Refused, "a release is under way";
    /// Nothing is under way.
    NoDeployment => "no-deployment", CONFLICT, Refused, "no deployment is under way";
    /// Another deployment is under way.
    AnotherDeployment => "another-deployment", CONFLICT, Refused, "another deployment is under way";
    /// The state does not admit it.
    NotNow => "not-now", CONFLICT, Refused, "the state does not admit this";
    /// The environment is held or frozen.
    Stopped => "held-or-frozen", CONFLICT, Refused, "the environment is held or frozen";
    /// Nothing holds the environment.
    NotHeld => "not-held", CONFLICT, Refused, "nothing holds the environment";
    /// The project comes from no repository.
    NoRepository => "no-repository", CONFLICT, Refused, "the project comes from no repository";
    /// The idempotency key was used for something else.
    KeyReused => "key-reused", UNPROCESSABLE_ENTITY, Refused, "the idempotency key was used before";
    /// Too many requests wait for the environment.
    Overloaded => "overloaded", TOO_MANY_REQUESTS, Transient, "too many requests wait";
    /// The daemon stops.
    Stopping => "stopping", SERVICE_UNAVAILABLE, Transient, "the daemon is stopping";
    /// The journal does not answer.
    Store => "store", SERVICE_UNAVAILABLE, Transient, "the journal does not answer";
    /// Some environment is neither led nor stood by for.
    NotReady => "not-ready", SERVICE_UNAVAILABLE, Transient, "the daemon is not ready";
    /// No answer in time.
    Timeout => "timeout", GATEWAY_TIMEOUT, Transient, "there was no answer in time";
    /// What the journal holds cannot be read.
    Internal => "internal", INTERNAL_SERVER_ERROR, Stuck, "something is wrong in the daemon";
}

/// A problem as it is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// A URI that never changes: `urn:cutover:problem:WORD`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every problem of the type.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What is wrong this time, one sentence without a final full stop.
    pub detail: String,
    /// What to do about it.
    pub hint: String,
    /// Where the leader answers, where another process leads and that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// The line of a body that cannot be read, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
}

/// A problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    kind: Kind,
    detail: String,
    hint: String,
    leader: Option<String>,
    place: Option<(usize, usize)>,
    retry_after: Option<Duration>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            hint: hint.into(),
            leader: None,
            place: None,
            retry_after: (kind.status() == StatusCode::SERVICE_UNAVAILABLE
                || kind.status() == StatusCode::TOO_MANY_REQUESTS)
                .then_some(SOON),
        }
    }

    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..self
        }
    }

    /// The same words for an environment that is not there and for one that may not be seen.
    pub(crate) fn unknown_environment(name: &str, seen: &[String]) -> Self {
        let known = match seen {
            [] => "there is none that the caller may see".to_owned(),
            names => format!("there are: {}", names.join(", ")),
        };
        Self::new(
            Kind::UnknownEnvironment,
            format!("there is no environment {name:?}; {known}"),
            "name one of the environments",
        )
    }

    pub(crate) fn unknown_deployment(id: &str) -> Self {
        Self::new(
            Kind::UnknownDeployment,
            format!("there is no deployment {id:?}"),
            "`cutover history` lists them with their ids",
        )
    }

    pub(crate) fn no_deployment(environment: &str) -> Self {
        Self::new(
            Kind::UnknownDeployment,
            format!("{environment:?} has no deployment"),
            "`cutover deploy` makes one",
        )
    }

    pub(crate) fn unknown_run(id: &str) -> Self {
        Self::new(
            Kind::UnknownRun,
            format!("there is no run {id:?}"),
            "`cutover history --runs` lists them with their ids",
        )
    }

    pub(crate) fn unknown_corner(name: &str) -> Self {
        Self::new(
            Kind::UnknownCorner,
            format!("there is no corner {name:?}, and none was asked for lately"),
            "`cutover ci list` lists those that there are",
        )
    }

    pub(crate) fn body(error: &serde_json::Error) -> Self {
        let said = error.to_string();
        let place = (error.line(), error.column());
        Self {
            place: (place.0 > 0).then_some(place),
            ..Self::new(
                Kind::InvalidBody,
                format!("the body cannot be read: {said}"),
                "send a JSON object as /v1/openapi.json describes it",
            )
        }
    }

    /// A request that a worker declined.
    pub(crate) fn declined(declined: &Declined, seen: &[String]) -> Self {
        let kind = match declined {
            Declined::UnknownEnvironment { name, .. } => {
                return Self::unknown_environment(name, seen);
            }
            Declined::NotLeading { .. } => Kind::NotLeading,
            Declined::Busy { .. } => Kind::Busy,
            Declined::NoDeployment(_) => Kind::NoDeployment,
            Declined::AnotherDeployment { .. } => Kind::AnotherDeployment,
            Declined::NotNow { .. } => Kind::NotNow,
            Declined::Stopped { .. } => Kind::Stopped,
            Declined::NotHeld(_) => Kind::NotHeld,
            Declined::NoRepository(_) => Kind::NoRepository,
            Declined::NoDryRun => Kind::InvalidParameter,
            Declined::KeyReused => Kind::KeyReused,
            Declined::Overloaded => Kind::Overloaded,
            Declined::Stopping => Kind::Stopping,
            Declined::Store(_) => Kind::Store,
        };
        let hint = declined.hint().unwrap_or_default();
        let mut problem = Self::new(kind, declined.to_string(), hint);
        if let Declined::NotLeading { leader } = declined {
            problem.leader.clone_from(leader);
        }
        problem
    }

    /// What the journal said, to somebody who only reads.
    pub(crate) fn store(error: &StoreError) -> Self {
        let class = error.class();
        let hint = error.hint().unwrap_or_else(|| class.hint().to_owned());
        let kind = if class.is_retryable() {
            Kind::Store
        } else {
            tracing::error!(%error, "the journal cannot be read");
            Kind::Internal
        };
        Self::new(kind, with_causes(error), hint)
    }

    pub(crate) fn store_is_closed(environment: &str) -> Self {
        Self::new(
            Kind::Store,
            format!("the journal of {environment:?} is not open"),
            "ask again in a few seconds; the daemon tries to open it",
        )
    }

    #[cfg(test)]
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let document = Document {
            kind: format!("{PREFIX}{}", self.kind.word()),
            title: self.kind.title().to_owned(),
            status: status.as_u16(),
            detail: self.detail,
            hint: self.hint,
            leader: self.leader,
            line: self.place.map(|(line, _)| line),
            column: self.place.map(|(_, column)| column),
        };
        let mut answer = (status, axum::Json(document)).into_response();
        let headers = answer.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(wait) = self.retry_after {
            // Whole seconds, never none.
            let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind == Kind::Unauthorized {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"cutover\""),
            );
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Problem};
    use crate::domain::lifecycle::state::State;
    use crate::operations::daemon::request::Declined;
    use std::collections::BTreeSet;

    #[test]
    fn every_way_to_decline_has_its_status() {
        let text = String::new;
        for (declined, kind, status) in [
            (
                Declined::UnknownEnvironment {
                    name: text(),
                    known: Vec::new(),
                },
                Kind::UnknownEnvironment,
                404,
            ),
            (Declined::NotLeading { leader: None }, Kind::NotLeading, 503),
            (
                Declined::Busy {
                    what: text(),
                    state: text(),
                },
                Kind::Busy,
                409,
            ),
            (Declined::NoDeployment(text()), Kind::NoDeployment, 409),
            (
                Declined::AnotherDeployment {
                    asked: text(),
                    under_way: None,
                },
                Kind::AnotherDeployment,
                409,
            ),
            (
                Declined::NotNow {
                    reason: text(),
                    state: State::Done,
                },
                Kind::NotNow,
                409,
            ),
            (
                Declined::Stopped {
                    reason: text(),
                    remedy: text(),
                },
                Kind::Stopped,
                409,
            ),
            (Declined::NotHeld(text()), Kind::NotHeld, 409),
            (Declined::NoRepository(text()), Kind::NoRepository, 409),
            (Declined::NoDryRun, Kind::InvalidParameter, 400),
            (Declined::KeyReused, Kind::KeyReused, 422),
            (Declined::Overloaded, Kind::Overloaded, 429),
            (Declined::Stopping, Kind::Stopping, 503),
            (Declined::Store(text()), Kind::Store, 503),
        ] {
            let problem = Problem::declined(&declined, &[]);
            assert_eq!(problem.kind(), kind, "{declined}");
            assert_eq!(problem.kind().status().as_u16(), status, "{declined}");
        }
    }

    #[test]
    fn words_are_there_once() {
        let words: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
        assert_eq!(words.len(), Kind::ALL.len());
    }
}
