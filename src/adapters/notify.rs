//! The ways to people: chat, mail, pagers and webhooks, each as its vendor documents it.
//!
//! Sources: Slack "Sending messages using incoming webhooks" and "Block Kit reference"; Microsoft "Post a workflow when a
//! webhook request is received" and the schema of Adaptive Cards; PagerDuty "Events API v2"; RFC 5321, 5322 and 3834.
//!
//! Invariants: a delivery ends within its target's timeout; no error names an address or a secret.

use crate::domain::notice::Notice;
use crate::foundation::failure::with_causes;
use crate::foundation::tls;
use crate::inputs::settings::Target;
use crate::inputs::settings::notifications::Kind;
use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Mail.
mod email;
/// JSON to any address, signed.
mod generic;
/// Incidents.
mod pagerduty;
/// Blocks.
mod slack;
/// Cards.
mod teams;

/// The most that is kept of what is answered.
const LONGEST_ANSWER: usize = 200;

/// The longest that somebody who is told too much may ask us to wait.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(1);

/// The longest that a look waits for somebody who is not told anything.
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// What is delivered.
#[derive(Debug)]
pub struct Letter {
    /// What is told.
    pub notice: Notice,
    /// The same in one sentence.
    pub sentence: String,
    /// What the journal has of it.
    pub details: Value,
    /// What it means for an incident; for whoever keeps incidents.
    pub incident: Option<Incident>,
}

/// What is done about incidents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// What.
    pub act: Act,
    /// Which.
    pub keys: Vec<String>,
}

/// What is done about an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It begins, or is told again.
    Trigger,
    /// Somebody is at it.
    Acknowledge,
    /// It is over.
    Resolve,
}

/// Why a message did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// In one sentence, without a secret.
    pub why: String,
    /// How long nothing more is to be sent, where that was answered.
    pub wait: Option<SignedDuration>,
    /// Whether it never will.
    pub for_good: bool,
}

impl Undelivered {
    fn because(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            wait: None,
            for_good: false,
        }
    }
}

/// What became of a delivery that met no obstacle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It was taken.
    Taken,
    /// There was nobody to send it to: the owners are meant, and nobody's address is known.
    Nobody,
}

/// Delivers.
#[derive(Debug, Clone)]
pub struct Courier {
    client: reqwest::Client,
    /// Where relative paths of secrets begin.
    base: PathBuf,
}

impl Courier {
    /// A courier whose secrets are below `base`.
    ///
    /// # Errors
    /// When there is no client for HTTP.
    pub fn new(base: PathBuf) -> Result<Self, String> {
        let client = tls::http_client().build();
        let client = client.map_err(|error| with_causes(&error))?;
        Ok(Self { client, base })
    }

    /// Delivers once, within the target's timeout.
    ///
    /// # Errors
    /// Why it did not arrive.
    pub async fn send(&self, target: &Target, letter: &Letter) -> Result<Sent, Undelivered> {
        let sending = self.sent(target, letter);
        match tokio::time::timeout(target.timeout.0, sending).await {
            Ok(sent) => sent,
            Err(_) => Err(Undelivered::because(format!(
                "it did not answer within {}",
                humantime::format_duration(target.timeout.0)
            ))),
        }
    }

    /// Whether the target is there, without telling it anything: the name is looked up, the connection made and
    /// encrypted, and a mail server is logged into. Says what was reached.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn reach(&self, target: &Target) -> Result<String, String> {
        let at_most = target.timeout.0.min(LONGEST_LOOK);
        let reached = tokio::time::timeout(at_most, self.reached(target)).await;
        reached.unwrap_or_else(|_| {
            let at_most = humantime::format_duration(at_most);
            Err(format!("it did not answer within {at_most}"))
        })
    }

    async fn sent(&self, target: &Target, letter: &Letter) -> Result<Sent, Undelivered> {
        let json = |body: &Value| (body.to_string(), Vec::new());
        let (key, (body, headers)) = match &target.kind {
            Kind::Email(email) => return self.mail(target, email, letter).await,
            Kind::Pagerduty { routing_key, url } => {
                let Some(incident) = &letter.incident else {
                    return Ok(Sent::Nobody);
                };
                let secret = self.secret(target, routing_key, "routing_key")?;
                for key in &incident.keys {
                    let key_of = secret.expose_secret();
                    let event = pagerduty::event(key_of, incident.act, key, &letter.notice);
                    self.post(url, &secret, json(&event))
                        .await
                        .map_err(pagerduty::judged)?;
                }
                return Ok(Sent::Taken);
            }
            Kind::Slack { url } => (
                self.secret(target, url, "url")?,
                json(&slack::message(&letter.notice)),
            ),
            Kind::Teams { url } => (
                self.secret(target, url, "url")?,
                json(&teams::message(&letter.notice)),
            ),
            Kind::Generic {
                url,
                format,
                secret,
            } => {
                let key = match secret {
                    Some(secret) => Some(self.secret(target, secret, "secret")?),
                    None => None,
                };
                let url = self.address(target, url)?;
                (url, generic::request(letter, *format, key.as_ref()))
            }
        };
        self.post(key.expose_secret(), &key, (body, headers))
            .await
            .map_err(Answered::undelivered)?;
        Ok(Sent::Taken)
    }

    async fn reached(&self, target: &Target) -> Result<String, String> {
        let said = |error: Undelivered| error.why;
        let url = match &target.kind {
            Kind::Email(email) => return self.mail_server(target, email).await,
            Kind::Pagerduty { routing_key, url } => {
                self.secret(target, routing_key, "routing_key")
                    .map_err(said)?;
                SecretString::from(url.clone())
            }
            Kind::Slack { url } | Kind::Teams { url } => {
                self.secret(target, url, "url").map_err(said)?
            }
            Kind::Generic { url, secret, .. } => {
                if let Some(secret) = secret {
                    self.secret(target, secret, "secret").map_err(said)?;
                }
                self.address(target, url).map_err(said)?
            }
        };
        let not = || "what stands behind the reference is no http or https address".to_owned();
        let mut url = reqwest::Url::parse(url.expose_secret()).map_err(|_| not())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(not());
        }
        // The path may be the secret, and nothing is told: only who answers is asked.
        url.set_path("/");
        url.set_query(None);
        url.set_fragment(None);
        let host = url.host_str().unwrap_or_default().to_owned();
        let answer = self.client.head(url).send().await;
        let answer = answer.map_err(|error| with_causes(&error.without_url()))?;
        Ok(format!("{host} answers ({})", answer.status().as_u16()))
    }

    /// What is no reference is the address itself.
    fn address(&self, target: &Target, url: &str) -> Result<SecretString, Undelivered> {
        match url.parse() {
            Ok(reference) => self.secret(target, &reference, "url"),
            Err(_) => Ok(url.to_owned().into()),
        }
    }

    fn secret(
        &self,
        target: &Target,
        reference: &crate::foundation::secret::SecretRef,
        key: &str,
    ) -> Result<SecretString, Undelivered> {
        let secret = target.secret(reference, key, &self.base);
        secret.map_err(|error| Undelivered::because(with_causes(&error)))
    }

    /// Posts JSON; `secret` is not repeated in what is said of an answer.
    async fn post(
        &self,
        url: &str,
        secret: &SecretString,
        (body, headers): (String, Vec<(&'static str, String)>),
    ) -> Result<(), Answered> {
        let mut request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        // The URL may be a secret itself: it is never part of what is said.
        let answer = request.body(body).send().await;
        let answer = answer.map_err(|error| Answered {
            status: None,
            undelivered: Undelivered::because(with_causes(&error.without_url())),
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let wait = answer.headers().get(RETRY_AFTER);
        let wait = wait.and_then(|wait| pause(wait.to_str().ok()?, Timestamp::now()));
        let said = beginning(answer)
            .await
            .replace(secret.expose_secret(), "***");
        Err(Answered {
            status: Some(status),
            undelivered: Undelivered {
                why: format!("it answered {status}: {said}"),
                wait,
                for_good: false,
            },
        })
    }
}

/// An answer that is not good, or none.
struct Answered {
    status: Option<StatusCode>,
    undelivered: Undelivered,
}

impl Answered {
    fn undelivered(self) -> Undelivered {
        self.undelivered
    }
}

/// How long `Retry-After` asks to wait: seconds, or until a moment; at most an hour.
fn pause(written: &str, now: Timestamp) -> Option<SignedDuration> {
    let written = written.trim();
    let wait = match written.parse::<u32>() {
        Ok(seconds) => SignedDuration::from_secs(seconds.into()),
        Err(_) => {
            let until = jiff::fmt::rfc2822::parse(written).ok()?;
            until.timestamp().duration_since(now)
        }
    };
    wait.is_positive().then(|| wait.min(LONGEST_PAUSE))
}

/// The beginning of an answer; the rest, perhaps endless, is not read.
async fn beginning(mut answer: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < 4 * LONGEST_ANSWER {
        match answer.chunk().await {
            Ok(Some(chunk)) => bytes.extend(chunk.iter().take(4 * LONGEST_ANSWER)),
            // What came before it broke off is said all the same.
            Ok(None) | Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let said = text.chars().filter(|c| !c.is_control());
    said.take(LONGEST_ANSWER).collect()
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_ANSWER, LONGEST_PAUSE, beginning, pause, tls};
    use jiff::Timestamp;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn an_answer_without_end_is_read_to_its_beginning() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            let _ = stream.read(&mut [0; 1024]).await;
            let mut piece = b"HTTP/1.1 500 No\r\n\r\n".to_vec();
            while stream.write_all(&piece).await.is_ok() {
                piece = vec![b'x'; 64 << 10];
            }
        });
        let answer = tls::http_client()
            .build()
            .expect("a client")
            .get(url)
            .send()
            .await
            .expect("an answer");
        let said =
            tokio::time::timeout(std::time::Duration::from_secs(30), beginning(answer)).await;
        assert_eq!(said.expect("an end"), "x".repeat(LONGEST_ANSWER));
    }

    #[test]
    fn a_pause_is_seconds_or_a_moment_and_never_for_ever() {
        let now: Timestamp = "2026-12-01T00:00:00Z".parse().expect("a time");
        let seconds = |written: &str| pause(written, now).map(|wait| wait.as_secs());
        assert_eq!(seconds(" 30 "), Some(30));
        assert_eq!(seconds("Tue, 01 Dec 2026 00:01:00 GMT"), Some(60));
        assert_eq!(seconds("4000000"), Some(LONGEST_PAUSE.as_secs()));
        for nothing in ["0", "-5", "soon", "", "Mon, 30 Nov 2026 00:00:00 GMT"] {
            assert_eq!(seconds(nothing), None, "{nothing}");
        }
    }
}
