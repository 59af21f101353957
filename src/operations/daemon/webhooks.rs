//! Telling people: messages that the journal holds in its outbox are posted to webhooks.
//!
//! A message is in the outbox as soon as what it tells is in the journal, in one transaction. It is
//! delivered at least once, in order for each webhook as long as that answers, by a task of its own,
//! so that nobody's slow server holds a release up. Every delivery has the message's id.

use super::Metrics;
use crate::adapters::store::{Due, Lead, Message, Store, StoreError};
use crate::domain::records::subject::Subject;
use crate::foundation::failure::with_causes;
use crate::foundation::tls;
use crate::inputs::settings::{Format, Loaded, Topic, Webhook};
use crate::operations::metrics::Delivery;
use futures_util::future::join_all;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often the outbox is looked at.
const TICK: Duration = Duration::from_secs(1);

/// How many messages are taken at a time.
const BATCH: u32 = 20;

/// A message that could not be delivered for so long is given up.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);

/// What was written up to so long before this process began to lead is delivered too: a predecessor may
/// have ended before it could. What is older than that is not, so that a webhook that is new in the
/// configuration is not told the past.
const BEFORE: SignedDuration = SignedDuration::from_mins(10);

/// The most that is kept of what a webhook answers when it refuses.
const LONGEST_ANSWER: usize = 200;

/// Delivers what the outbox holds of one environment, for ever: each webhook on its own, so that one that is
/// dead does not delay the others. A changed configuration begins anew; what was on its way then may be
/// delivered twice.
pub(crate) async fn deliver(
    store: Store,
    lead: Arc<Lead>,
    metrics: Arc<Metrics>,
    mut settings: watch::Receiver<Arc<Loaded>>,
    base: PathBuf,
) {
    let client = match tls::http_client().build() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(error = with_causes(&error), "nobody can be told anything");
            return;
        }
    };
    let began = Timestamp::now();
    let began = began.saturating_sub(BEFORE).unwrap_or(began);
    let outbox = Outbox {
        client,
        store,
        lead,
        metrics,
        base,
        began,
    };
    loop {
        let loaded = Arc::clone(&settings.borrow_and_update());
        let webhooks = wanted(&loaded);
        let all = join_all(
            webhooks
                .into_iter()
                .map(|webhook| outbox.deliver_to(webhook)),
        );
        tokio::select! {
            // It ends only where there is nobody to tell.
            _ = all => if settings.changed().await.is_err() { return },
            changed = settings.changed() => if changed.is_err() { return },
        }
    }
}

/// What deliveries of one environment need.
struct Outbox {
    client: reqwest::Client,
    store: Store,
    lead: Arc<Lead>,
    metrics: Arc<Metrics>,
    base: PathBuf,
    /// Nobody is told what was written before.
    began: Timestamp,
}

impl Outbox {
    /// Delivers to one webhook, for ever.
    async fn deliver_to(&self, webhook: &Webhook) {
        let environment = self.lead.environment();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = Timestamp::now();
            let oldest = now
                .saturating_sub(LONGEST_WAIT)
                .unwrap_or(now)
                .max(self.began);
            let target = [webhook.name.as_str()];
            let due = match self
                .store
                .due(environment, &target, oldest, now, BATCH)
                .await
            {
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(error = with_causes(&error), "the outbox cannot be read");
                    continue;
                }
            };
            for due in due {
                match self.one(webhook, &due).await {
                    Ok(outcome) => self.metrics.notified(&due.target, outcome),
                    Err(error) => {
                        tracing::warn!(error = with_causes(&error), "a delivery was not recorded");
                        break;
                    }
                }
            }
        }
    }

    /// Delivers one message, or records when it is tried again. Gives the word for the metrics.
    async fn one(&self, webhook: &Webhook, due: &Due) -> Result<Delivery, StoreError> {
        let (store, lead) = (&self.store, &self.lead);
        let number = due.message.number;
        let Some(topic) = topic(&due.message).filter(|topic| webhook.events.contains(topic)) else {
            store.delivered(lead, number, &webhook.name).await?;
            return Ok(Delivery::NotWanted);
        };
        match post(&self.client, webhook, topic, &due.message, &self.base).await {
            Ok(()) => {
                store.delivered(lead, number, &webhook.name).await?;
                Ok(Delivery::Delivered)
            }
            Err(why) => {
                let now = Timestamp::now();
                let next = now.checked_add(pause(due.attempts)).ok();
                let next =
                    next.filter(|next| next.duration_since(due.message.created_at) < LONGEST_WAIT);
                tracing::warn!(
                    target = webhook.name,
                    why,
                    again_at = next.map(tracing::field::display),
                    "a notification was not delivered"
                );
                store
                    .failed(lead, number, &webhook.name, &why, next)
                    .await?;
                Ok(match next {
                    Some(_) => Delivery::Failed,
                    None => Delivery::GivenUp,
                })
            }
        }
    }
}

/// The webhooks that are told of the environment.
fn wanted(loaded: &Loaded) -> Vec<&Webhook> {
    let settings = &loaded.settings;
    let is_wanted = |hook: &&Webhook| match &settings.notify {
        Some(names) => names.contains(&hook.name),
        None => true,
    };
    settings.webhooks.iter().filter(is_wanted).collect()
}

/// How long after a failure it is tried again: a second, doubling, at most half an hour.
fn pause(attempts: u32) -> SignedDuration {
    let seconds = 1_i64 << attempts.min(11);
    SignedDuration::from_secs(seconds.min(30 * 60))
}

async fn post(
    client: &reqwest::Client,
    webhook: &Webhook,
    topic: Topic,
    message: &Message,
    base: &Path,
) -> Result<(), String> {
    let url = webhook.address(base).map_err(|error| with_causes(&error))?;
    let body = match webhook.format {
        Format::Generic => generic(topic, message),
        Format::Slack => json!({ "text": sentence(topic, message) }),
    }
    .to_string();
    let mut request = client
        .post(url.expose_secret())
        .timeout(webhook.timeout.0)
        .header("content-type", "application/json")
        .header("x-cutover-delivery", &message.id);
    if let Some(secret) = webhook.key(base).map_err(|error| with_causes(&error))? {
        let at = Timestamp::now().as_second();
        request = request.header(
            "x-cutover-signature",
            signature(secret.expose_secret(), at, &body),
        );
    }
    // The URL may be a secret itself: it is never part of what is said.
    let answer = request
        .body(body)
        .send()
        .await
        .map_err(|error| with_causes(&error.without_url()))?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    Err(format!("it answered {status}: {}", said(answer).await))
}

/// The beginning of an answer; the rest, perhaps endless, is not read.
async fn said(mut answer: reqwest::Response) -> String {
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

/// `t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA-256 of `SECONDS.BODY`: the time is signed too, so
/// that an old delivery cannot be played again.
fn signature(secret: &str, at: i64, body: &str) -> String {
    // HMAC takes keys of every length.
    let hex = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map(|mut mac| {
        mac.update(at.to_string().as_bytes());
        mac.update(b".");
        mac.update(body.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    });
    format!("t={at},v1={}", hex.unwrap_or_default())
}

/// What a message is about; `None` for what nobody is told.
fn topic(message: &Message) -> Option<Topic> {
    let has_deployment = message.deployment_id.is_some();
    match message.kind.as_str() {
        "staging_started" => Some(Topic::Started),
        "verified" => Some(Topic::Ready),
        "swap_committed" => Some(Topic::Promoted),
        "cleaned_up" => Some(Topic::Done),
        "unwound_after_failure" => Some(Topic::Failed),
        "step_kept" => Some(Topic::Kept),
        "unwound_after_abort" => Some(Topic::Aborted),
        "degraded" => Some(Topic::Degraded),
        "recovered" => Some(Topic::Recovered),
        "decision_asked" => Some(Topic::Decision),
        "rollback_requested" | "rollback_put_off" => Some(Topic::RollingBack),
        "rolled_back" => Some(Topic::RolledBack),
        "stuck_at" => Some(Topic::Stuck),
        "held" => Some(Topic::Held),
        "hold_lifted" => Some(Topic::HoldLifted),
        "held_up" => Some(Topic::HeldUp),
        "freeze_overridden" => Some(Topic::FreezeOverridden),
        "run_refused" => Some(Topic::Refused),
        // Of a run with a deployment the deployment's own events tell.
        "run_failed" if !has_deployment => Some(Topic::Failed),
        "run_aborted" if !has_deployment => Some(Topic::Aborted),
        "run_nothing_to_do" => Some(Topic::NothingToDo),
        "run_skipped" => Some(Topic::Skipped),
        _ => None,
    }
}

fn generic(topic: Topic, message: &Message) -> Value {
    json!({
        "id": message.id,
        "topic": topic,
        "environment": message.environment,
        "deployment": message.deployment_id,
        "at": message.created_at,
        "text": sentence(topic, message),
        "details": message.body,
    })
}

fn sentence(topic: Topic, message: &Message) -> String {
    let what = match topic {
        Topic::Started => "a release is being built",
        Topic::Ready => "a release is ready to be promoted",
        Topic::Promoted => "a release is live",
        Topic::Done => "a release is done",
        Topic::Failed => ":x: a release failed; production was not changed",
        Topic::Kept => {
            ":x: a release failed, and its green side is kept for a look; production was not changed"
        }
        Topic::Refused => ":x: a release was refused",
        Topic::Degraded => ":warning: what was released is degraded",
        Topic::Recovered => "what was released is well again",
        Topic::Decision => ":raised_hand: a person must decide about a release",
        Topic::RollingBack => ":rotating_light: production is being rolled back",
        Topic::RolledBack => ":rotating_light: production was rolled back",
        Topic::Aborted => "a release was given up",
        Topic::Stuck => ":rotating_light: a release is stuck, a person must look",
        Topic::NothingToDo => "there was nothing to release",
        Topic::Skipped => "a release was due and not made",
        Topic::Held => ":raised_hand: a person holds it: nothing is released or swapped",
        Topic::HoldLifted => "the hold was lifted",
        Topic::HeldUp => ":raised_hand: a release is ready and is not swapped in",
        Topic::FreezeOverridden => ":warning: a release goes on although it is frozen",
    };
    let mut text = format!("{}: {what}", message.environment);
    let why = ["reason", "detail"]
        .iter()
        .find_map(|key| message.body.get(*key).and_then(Value::as_str));
    if let Some(why) = why {
        text.push_str(&format!(" – {why}"));
    }
    let by = message.body.get("by").map(Subject::deserialize);
    if let Some(Ok(by)) = by {
        text.push_str(&format!(", by {by}"));
    }
    if let Some(id) = &message.deployment_id {
        text.push_str(&format!(" (deployment {id})"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_ANSWER, pause, said, signature, tls};
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
        let said = tokio::time::timeout(std::time::Duration::from_secs(30), said(answer)).await;
        assert_eq!(said.expect("an end"), "x".repeat(LONGEST_ANSWER));
    }

    #[test]
    fn a_signature_is_the_hmac_of_time_and_body() {
        // echo -n '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        assert_eq!(
            signature("key", 1_700_000_000, "{\"a\":1}"),
            "t=1700000000,v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03"
        );
    }

    #[test]
    fn pauses_double_up_to_half_an_hour() {
        let seconds: Vec<i64> = [0, 1, 5, 11, 60]
            .map(|attempts| pause(attempts).as_secs())
            .into();
        assert_eq!(seconds, [1, 2, 32, 1800, 1800]);
    }
}
