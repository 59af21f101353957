//! Endpoints that checks and gates ask: a Prometheus, or whatever answers over HTTP.
//!
//! An answer is bounded in time and bytes, a redirect is followed within the same origin and nowhere else, and a
//! certificate must be good. Nothing of a body leaves this room but numbers, truth values, the reason that a gate
//! gives and, of Prometheus, what it says about a query that it refuses; credentials are taken out of those.

use crate::domain::checks::Unknown;
use crate::domain::checks::external::Method;
use crate::foundation::failure::with_causes;
use crate::foundation::tls;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{StatusCode, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// What an endpoint says in JSON.
mod endpoint;
/// What a gate decides, in JSON.
mod gate;
/// What Prometheus says.
mod prometheus;

pub use endpoint::expected;
pub use gate::{Decided, decided};
pub use prometheus::{address, value};

/// The longest answer, in bytes.
const LONGEST_ANSWER: usize = 1 << 20;

/// The most redirects.
const MOST_REDIRECTS: usize = 5;

/// The most characters that are kept of what a server says.
const LONGEST_SAID: usize = 200;

/// What goes with a request and is a secret.
#[derive(Debug, Default)]
pub struct Credentials {
    /// A bearer token.
    pub bearer: Option<SecretString>,
    /// A user and their password.
    pub basic: Option<(String, SecretString)>,
    /// Further headers.
    pub headers: Vec<(String, SecretString)>,
}

impl Credentials {
    fn headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        let mut add = |name: HeaderName, value: &str| {
            let what =
                format!("the value of the header {name} has characters that no header may have");
            let mut value = HeaderValue::from_str(value).map_err(|_| what)?;
            value.set_sensitive(true);
            headers.insert(name, value);
            Ok::<_, String>(())
        };
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("{name:?} is not the name of a header"))?;
            add(name, value.expose_secret())?;
        }
        if let Some(token) = &self.bearer {
            add(AUTHORIZATION, &format!("Bearer {}", token.expose_secret()))?;
        }
        Ok(headers)
    }

    /// The text without any of them, where a server repeats one.
    fn scrubbed(&self, text: String) -> String {
        let secrets = self.headers.iter().map(|(_, secret)| secret);
        let password = self.basic.as_ref().map(|(_, password)| password);
        let mut text = text;
        for secret in secrets.chain(&self.bearer).chain(password) {
            text = text.replace(secret.expose_secret(), "***");
        }
        text
    }
}

/// One request.
#[derive(Debug)]
pub struct Question<'a> {
    /// How.
    pub method: Method,
    /// Where.
    pub url: Url,
    /// What is sent along, JSON.
    pub body: Option<String>,
    /// Who asks.
    pub credentials: &'a Credentials,
    /// Longest time until all of the answer is there.
    pub timeout: Duration,
    /// Whether the body is wanted; else it is not read.
    pub reads: bool,
}

/// What came of a request, or of a look at an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Whether what is asked for holds; or what was met instead.
    pub holds: Result<bool, Unknown>,
    /// The number, where it is one and finite.
    pub value: Option<f64>,
    /// The status of the answer, where there was one.
    pub status: Option<u16>,
    /// One sentence without a final full stop.
    pub says: String,
}

impl Reading {
    /// Something else than an answer.
    #[must_use]
    pub fn unknown(unknown: Unknown, says: impl Into<String>) -> Self {
        Self {
            holds: Err(unknown),
            value: None,
            status: None,
            says: says.into(),
        }
    }

    fn found(holds: bool, value: Option<f64>, says: String) -> Self {
        Self {
            holds: Ok(holds),
            value: value.filter(|value| value.is_finite()),
            status: None,
            says,
        }
    }

    fn with_status(self, status: StatusCode) -> Self {
        Self {
            status: Some(status.as_u16()),
            ..self
        }
    }
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    /// Whether it points to another origin.
    points_elsewhere: bool,
    body: Vec<u8>,
}

/// Asks endpoints.
#[derive(Debug, Clone)]
pub struct Prober {
    http: reqwest::Client,
}

impl Prober {
    /// One that asks.
    ///
    /// # Errors
    /// Where TLS cannot be used.
    pub fn new() -> Result<Self, String> {
        let http = tls::http_client()
            .redirect(redirect::Policy::custom(|attempt| {
                let first = attempt.previous().first();
                let is_here = first.is_some_and(|first| first.origin() == attempt.url().origin());
                match is_here && attempt.previous().len() <= MOST_REDIRECTS {
                    true => attempt.follow(),
                    false => attempt.stop(),
                }
            }))
            .build();
        Ok(Self {
            http: http.map_err(|error| with_causes(&error))?,
        })
    }

    /// Sends a request once, and reads the answer to its end.
    ///
    /// # Errors
    /// What was met instead of an answer.
    pub async fn ask(&self, question: Question<'_>) -> Result<Answer, Reading> {
        let Question {
            method,
            url,
            body,
            credentials,
            timeout,
            reads,
        } = question;
        let headers = credentials
            .headers()
            .map_err(|why| Reading::unknown(Unknown::Unreachable, why))?;
        let request = match method {
            Method::Get => self.http.get(url),
            Method::Post => self.http.post(url),
        };
        let request = match body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(body),
            None => request,
        };
        let request = request.headers(headers);
        self.answered(request, credentials, timeout, reads).await
    }

    /// Whether anybody answers there, whatever it is: for what must not be asked twice.
    ///
    /// # Errors
    /// What was met instead of an answer.
    pub async fn reach(&self, question: Question<'_>) -> Result<u16, Reading> {
        let request = self.http.request(reqwest::Method::OPTIONS, question.url);
        let (credentials, timeout) = (question.credentials, question.timeout);
        let answer = self.answered(request, credentials, timeout, false).await?;
        Ok(answer.status.as_u16())
    }

    async fn answered(
        &self,
        request: reqwest::RequestBuilder,
        credentials: &Credentials,
        timeout: Duration,
        reads: bool,
    ) -> Result<Answer, Reading> {
        let lost = |error: reqwest::Error| match error.is_timeout() {
            true => Reading::unknown(
                Unknown::Timeout,
                format!(
                    "there was no answer within {}",
                    humantime::format_duration(timeout)
                ),
            ),
            // An address may hold what is not to be seen.
            false => Reading::unknown(
                Unknown::Unreachable,
                credentials.scrubbed(with_causes(&error.without_url())),
            ),
        };
        let request = match &credentials.basic {
            Some((user, password)) => request.basic_auth(user, Some(password.expose_secret())),
            None => request,
        };
        let mut answer = request.timeout(timeout).send().await.map_err(lost)?;
        let status = answer.status();
        let mut body = Vec::new();
        while reads && let Some(chunk) = answer.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                let says = format!("the answer is longer than {} MiB", LONGEST_ANSWER >> 20);
                return Err(Reading::unknown(Unknown::WrongType, says).with_status(status));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            points_elsewhere: status.is_redirection(),
            body,
        })
    }
}

/// The beginning of what a server says, for people.
fn said(text: &str, credentials: &Credentials) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let text = credentials.scrubbed(text);
    text.chars().take(LONGEST_SAID).collect()
}
