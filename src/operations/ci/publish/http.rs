//! Requests to a platform's API: patient, bounded, and careful with the token.
//!
//! What may be well a moment later (a lost connection, 408, 429, 5xx, a rate limit) is tried again with growing
//! pauses until one deadline that all requests share; where the platform says how long to wait, that is waited. No
//! redirect is followed, so that the token goes nowhere else.

use super::error::PublishError;
use crate::foundation::escape::visible;
use crate::foundation::failure::with_causes;
use crate::foundation::retry::Pauses;
use crate::foundation::tls;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The first pause.
const FIRST: Duration = Duration::from_millis(250);

/// The longest pause that is not asked for.
const LONGEST: Duration = Duration::from_secs(15);

/// The most that is read of an answer, in bytes.
const LONGEST_ANSWER: usize = 64 << 20;

/// The most that is told of an answer, in characters.
const LONGEST_SAID: usize = 200;

/// What a platform's API wants to know of a caller.
#[derive(Debug)]
pub(super) struct Credentials {
    /// The header of the token.
    pub header: HeaderName,
    /// What stands before the token there.
    pub before: &'static str,
    /// The token.
    pub token: SecretString,
    /// The variable that it is from.
    pub variable: &'static str,
}

/// A platform's API.
#[derive(Debug)]
pub(super) struct Api {
    http: reqwest::Client,
    base: Url,
    token: SecretString,
    timeout: Duration,
    until: Instant,
    stop: CancellationToken,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// The method.
    pub method: Method,
    /// Where.
    pub url: Url,
    /// What is sent, as JSON.
    pub body: Option<Value>,
}

impl Call {
    /// A request that only reads.
    pub(super) fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            body: None,
        }
    }
}

/// A good answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// Its headers.
    pub headers: HeaderMap,
    body: Vec<u8>,
    place: String,
}

/// Why there is no good answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may be well a moment later.
    Again {
        /// How long the platform asks to wait.
        wait: Option<Duration>,
        /// What was met.
        why: String,
    },
    /// It will not.
    Final(PublishError),
}

impl From<PublishError> for Trouble {
    fn from(error: PublishError) -> Self {
        Self::Final(error)
    }
}

impl Api {
    /// The API at this address. Nothing is sent yet.
    pub(super) fn new(
        base: &str,
        variable: &str,
        credentials: Credentials,
        timeout: Duration,
        stop: CancellationToken,
    ) -> Result<Self, PublishError> {
        let base = address(base, variable)?;
        if base.scheme() != "https" && !is_loopback(&base) {
            return Err(PublishError::Exposed {
                place: base.to_string(),
            });
        }
        let Credentials {
            header,
            before,
            token,
            variable,
        } = credentials;
        let value = format!("{before}{}", token.expose_secret());
        let mut value = HeaderValue::from_str(&value).map_err(|_| PublishError::Token(variable))?;
        value.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(header, value);
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let mut builder = tls::http_client()
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT);
        if is_loopback(&base) {
            builder = builder.no_proxy();
        }
        Ok(Self {
            http: builder.build().map_err(PublishError::Unusable)?,
            base,
            token,
            timeout,
            until: Instant::now() + timeout,
            stop,
        })
    }

    /// The address of something.
    pub(super) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The address of a next page, which must be here too: the token goes with it.
    pub(super) fn next(&self, link: &str) -> Result<Url, PublishError> {
        let problem = || PublishError::Unreadable {
            place: self.base.to_string(),
            problem: format!(
                "the next page is said to be elsewhere, at {}",
                visible(link)
            ),
        };
        let url = self.base.join(link).map_err(|_| problem())?;
        match url.origin() == self.base.origin() {
            true => Ok(url),
            false => Err(problem()),
        }
    }

    /// Sends what may be sent twice, until it is answered.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, PublishError> {
        self.patiently(async || self.once(call).await).await
    }

    /// Does something again and again, until it is done or the deadline has passed.
    pub(super) async fn patiently<T>(
        &self,
        mut attempt: impl AsyncFnMut() -> Result<T, Trouble>,
    ) -> Result<T, PublishError> {
        let mut pauses = Pauses::for_at_most(FIRST, LONGEST, self.left());
        loop {
            let (wait, last) = match attempt().await {
                Ok(done) => return Ok(done),
                Err(Trouble::Final(error)) => return Err(error),
                Err(Trouble::Again { wait, why }) => (wait, why),
            };
            let left = self.left();
            if let Some(wait) = wait.filter(|wait| *wait > left) {
                return Err(PublishError::Limited {
                    place: self.base.to_string(),
                    wait: wait.as_secs(),
                    left: left.as_secs(),
                });
            }
            let Some(pause) = pauses.next_pause().filter(|_| !left.is_zero()) else {
                return Err(PublishError::Away {
                    place: self.base.to_string(),
                    seconds: self.timeout.as_secs(),
                    last,
                });
            };
            tracing::debug!(why = last, "asking again");
            tokio::select! {
                () = tokio::time::sleep(pause.max(wait.unwrap_or_default()).min(left)) => {}
                () = self.stop.cancelled() => return Err(PublishError::Interrupted),
            }
        }
    }

    /// Sends a request once.
    pub(super) async fn once(&self, call: &Call) -> Result<Answer, Trouble> {
        tokio::select! {
            answer = self.asked(call) => answer,
            () = self.stop.cancelled() => Err(PublishError::Interrupted.into()),
        }
    }

    async fn asked(&self, call: &Call) -> Result<Answer, Trouble> {
        let lost = |error: reqwest::Error| Trouble::Again {
            wait: None,
            why: with_causes(&error.without_url()),
        };
        // One attempt is made at the very deadline; it may take a moment.
        let limit = ANSWER_TIMEOUT.min(self.left()).max(Duration::from_secs(1));
        let request = self.http.request(call.method.clone(), call.url.clone());
        let request = match &call.body {
            Some(body) => request.json(body),
            None => request,
        };
        let mut answer = request.timeout(limit).send().await.map_err(lost)?;
        let status = answer.status();
        let headers = answer.headers().clone();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(Trouble::Final(PublishError::Unreadable {
                    place: self.place(call),
                    problem: format!("the answer is longer than {} MiB", LONGEST_ANSWER >> 20),
                }));
            }
            body.extend_from_slice(&chunk);
        }
        let place = self.place(call);
        if status.is_success() {
            return Ok(Answer {
                headers,
                body,
                place,
            });
        }
        let said = self.said(&body);
        if let Some(wait) = later(status, &headers, &said, Timestamp::now()) {
            return Err(Trouble::Again {
                wait,
                why: format!("{place} answered {status}: {said}"),
            });
        }
        let status = status.as_u16();
        Err(Trouble::Final(match status {
            401 => PublishError::Unknown { place, said },
            403 | 404 => PublishError::Denied {
                place,
                status,
                said,
            },
            300..=399 => PublishError::Unreadable {
                place,
                problem: format!("it answers {status} and points elsewhere, which is not followed"),
            },
            _ => PublishError::Refused {
                place,
                status,
                said,
            },
        }))
    }

    /// Where a request goes, for people: without what is behind `?`.
    fn place(&self, call: &Call) -> String {
        let mut url = call.url.clone();
        url.set_query(None);
        url.to_string()
    }

    /// The beginning of what an answer says; never the token, also where it is repeated there.
    fn said(&self, body: &[u8]) -> String {
        let text = String::from_utf8_lossy(&body[..body.len().min(16 << 10)]).into_owned();
        let message = match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(fields)) => {
                let field = fields.get("message").or_else(|| fields.get("error"));
                field.map(|field| match field {
                    Value::String(text) => text.clone(),
                    Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::Array(_)
                    | Value::Object(_) => field.to_string(),
                })
            }
            Ok(_) | Err(_) => None,
        };
        let text = message.unwrap_or(text);
        let text = match self.token.expose_secret() {
            "" => text,
            token => text.replace(token, "***"),
        };
        beginning(&text)
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl Answer {
    /// What it says.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, PublishError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let kind = self.headers.get(header::CONTENT_TYPE);
            let kind = kind
                .and_then(|kind| kind.to_str().ok())
                .unwrap_or("no content type");
            let text = String::from_utf8_lossy(&self.body[..self.body.len().min(4 << 10)]);
            let problem = match serde_json::from_slice::<Value>(&self.body) {
                Ok(_) => format!("the JSON is not the API's: {error}"),
                Err(_) => format!(
                    "no JSON but {}, beginning {:?}",
                    visible(kind),
                    beginning(&text)
                ),
            };
            PublishError::Unreadable {
                place: self.place.clone(),
                problem,
            }
        })
    }

    /// A header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn beginning(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text: String = words.join(" ").chars().take(LONGEST_SAID).collect();
    visible(&text).into_owned()
}

/// An address of an API, as a variable has it.
fn address(text: &str, variable: &str) -> Result<Url, PublishError> {
    let no = |problem: &str| PublishError::Variable {
        name: variable.to_owned(),
        problem: problem.to_owned(),
    };
    let url = Url::parse(text).map_err(|error| no(&format!("is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(no("is no address with https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(no(
            "has a user or a password in it, which does not belong there",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(no("has ? or # in it"));
    }
    Ok(url)
}

/// Whether it is on this machine.
fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let inner = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = inner.unwrap_or(host);
        let ip = host.parse::<std::net::IpAddr>();
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    })
}

/// Whether an answer says that it may be well later, and from when on.
///
/// 1. 408 and 5xx: later. 429: later.
/// 2. 403 is a rate limit, and no lack of rights, where it has `Retry-After`, says that nothing remains
///    (`X-RateLimit-Remaining: 0`) or calls itself one (GitHub's secondary limits may do no more than that).
/// 3. What is waited for is `Retry-After`, else, where nothing remains, the reset (`X-RateLimit-Reset`, of GitLab
///    `RateLimit-Reset`). A limit that only calls itself one is waited for a minute, as GitHub asks; otherwise the
///    pauses are our own.
fn later(
    status: StatusCode,
    headers: &HeaderMap,
    said: &str,
    now: Timestamp,
) -> Option<Option<Duration>> {
    let get = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let retry = get("retry-after").and_then(|text| moment(text, now));
    let is_used_up = ["x-ratelimit-remaining", "ratelimit-remaining"]
        .iter()
        .any(|name| get(name).is_some_and(|text| text.trim() == "0"));
    let reset = || {
        let seconds: i64 = ["x-ratelimit-reset", "ratelimit-reset"]
            .iter()
            .find_map(|name| get(name))?
            .trim()
            .parse()
            .ok()?;
        let wait = seconds.saturating_sub(now.as_second()).max(0);
        Some(Duration::from_secs(u64::try_from(wait).ok()?))
    };
    let limited = || match is_used_up {
        true => retry.or_else(reset),
        false => retry,
    };
    match status.as_u16() {
        408 | 500.. => Some(retry),
        429 => Some(limited()),
        403 if retry.is_some() || is_used_up => Some(limited()),
        403 if said.to_lowercase().contains("rate limit") => Some(Some(Duration::from_secs(60))),
        _ => None,
    }
}

/// `Retry-After`: seconds, or a date.
fn moment(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTimeParser::new().parse_timestamp(text).ok()?;
    let wait = at.as_second().saturating_sub(now.as_second()).max(0);
    Some(Duration::from_secs(u64::try_from(wait).ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Api, Credentials, address, is_loopback, later};
    use jiff::Timestamp;
    use reqwest::StatusCode;
    use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;

    fn api(base: &str, token: &str) -> Result<Api, super::PublishError> {
        let credentials = Credentials {
            header: AUTHORIZATION,
            before: "Bearer ",
            token: token.into(),
            variable: "TOKEN",
        };
        let timeout = Duration::from_secs(1);
        Api::new(base, "API", credentials, timeout, CancellationToken::new())
    }

    #[test]
    fn a_token_is_sent_over_tls_or_to_this_machine() {
        for base in [
            "https://h/api",
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://localhost",
        ] {
            assert!(api(base, "t").is_ok(), "{base}");
        }
        for base in ["http://h/api", "http://localhost.evil", "http://10.0.0.1"] {
            let error = api(base, "hunter2").expect_err(base).to_string();
            assert!(
                error.contains("not sent") && !error.contains("hunter2"),
                "{error}"
            );
        }
        for base in [
            "",
            "h",
            "ftp://h",
            "https://me:pw@h",
            "https://h?x=1",
            "https://h#x",
        ] {
            let error = api(base, "t").expect_err(base).to_string();
            assert!(error.contains("API") && !error.contains("pw"), "{error}");
        }
        let error = api("https://h", "a\nb")
            .expect_err("a token of two lines")
            .to_string();
        assert!(error.contains("TOKEN"), "{error}");
        let shown = format!("{:?}", api("https://h", "hunter2"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn addresses_are_put_together_and_never_leave() {
        let api = api("https://h/api/v3/", "t").expect("an API");
        let url = api.url(&["repos", "a/b", "../x"], &[("page", "2")]);
        assert_eq!(url.as_str(), "https://h/api/v3/repos/a%2Fb/..%2Fx?page=2");
        assert!(api.next("https://h/api/v3/x?page=2").is_ok());
        for elsewhere in ["https://evil/x", "http://h/x", "https://h:8443/x"] {
            assert!(api.next(elsewhere).is_err(), "{elsewhere}");
        }
        assert!(!is_loopback(
            &address("https://example.com", "API").expect("an address")
        ));
    }

    #[test]
    fn what_an_answer_repeats_of_the_token_is_not_told() {
        let api = api("https://h", "hunter2").expect("an API");
        assert_eq!(api.said(b"{\"message\": \"bad\\n hunter2\"}"), "bad ***");
        assert_eq!(api.said(b"<html>hunter2</html>"), "<html>***</html>");
        assert_eq!(api.said(&[b'x'; 1000]).len(), 200);
    }

    #[test]
    fn limits_are_told_from_refusals() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let reset = (now.as_second() + 30).to_string();
        let seconds = |seconds| Some(Some(Duration::from_secs(seconds)));
        for (status, headers, said, expected) in [
            (200, &[][..], "", None),
            (403, &[], "Resource not accessible by integration", None),
            (404, &[("retry-after", "1")], "", None),
            (422, &[], "rate limit", None),
            (500, &[], "", Some(None)),
            (503, &[("retry-after", "7")], "", seconds(7)),
            (429, &[], "", Some(None)),
            (429, &[("retry-after", "3")], "", seconds(3)),
            (403, &[("retry-after", "3")], "", seconds(3)),
            (
                429,
                &[("retry-after", "Thu, 01 Jan 2026 00:00:09 GMT")],
                "",
                seconds(9),
            ),
            (
                403,
                &[
                    ("x-ratelimit-remaining", "0"),
                    ("x-ratelimit-reset", &reset),
                ],
                "",
                seconds(30),
            ),
            (
                429,
                &[("ratelimit-remaining", "0"), ("ratelimit-reset", &reset)],
                "",
                seconds(30),
            ),
            (
                403,
                &[
                    ("x-ratelimit-remaining", "4"),
                    ("x-ratelimit-reset", &reset),
                ],
                "",
                None,
            ),
            (
                403,
                &[],
                "You have exceeded a secondary rate limit",
                seconds(60),
            ),
        ] {
            let headers: HeaderMap = headers
                .iter()
                .map(|(name, value)| {
                    let value = HeaderValue::from_str(value).expect("a value");
                    (HeaderName::from_static(name), value)
                })
                .collect();
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(
                later(status, &headers, said, now),
                expected,
                "{status} {headers:?} {said}"
            );
        }
    }
}
