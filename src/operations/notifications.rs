//! Telling people: messages that the journal holds in its outbox are delivered to targets.
//!
//! A message is in the outbox as soon as what it tells is in the journal, in one transaction. It is
//! delivered at least once, in order for each target as long as that answers, by a task of its own,
//! so that nobody's slow server holds a release up. Every delivery has the message's id.

use crate::adapters::notify::{Courier, Letter, Sent, Undelivered};
use crate::adapters::store::{Due, Lead, Message, Store, StoreError};
use crate::domain::notice::{Level, MOST_NAMED, Notice};
use crate::domain::plan::Plan;
use crate::domain::records::deployment::Deployment;
use crate::domain::records::subject::Subject;
use crate::foundation::failure::with_causes;
use crate::inputs::settings::notifications::Kind;
use crate::inputs::settings::{Loaded, Settings, Target, Topic};
use crate::operations::metrics::{Delivery, Metrics};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use topics::{in_words, level, topic_of, what};

/// What a message means for somebody who keeps incidents.
mod incidents;
/// What is said of what.
mod topics;
/// One message sent by hand.
mod trial;

pub(crate) use trial::{reach, trial};

/// How often the outbox is looked at.
const TICK: Duration = Duration::from_secs(1);

/// How many messages are taken at a time.
const BATCH: u32 = 20;

/// A message that could not be delivered for so long is given up.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);

/// What was written up to so long before this process began to lead is delivered too: a predecessor may
/// have ended before it could. What is older than that is not, so that a target that is new in the
/// configuration is not told the past.
const BEFORE: SignedDuration = SignedDuration::from_mins(10);

/// Delivers what the outbox holds of one environment, for ever: each target on its own, so that one that is
/// dead does not delay the others. A changed configuration begins anew; what was on its way then may be
/// delivered twice.
pub(crate) async fn deliver(
    store: Store,
    lead: Arc<Lead>,
    metrics: Arc<Metrics>,
    mut settings: watch::Receiver<Arc<Loaded>>,
    base: PathBuf,
) {
    let courier = match Courier::new(base) {
        Ok(courier) => courier,
        Err(error) => {
            tracing::error!(error, "nobody can be told anything");
            return;
        }
    };
    let began = Timestamp::now();
    let began = began.saturating_sub(BEFORE).unwrap_or(began);
    let outbox = Outbox {
        courier,
        store,
        lead,
        metrics,
        began,
    };
    loop {
        let loaded = Arc::clone(&settings.borrow_and_update());
        let targets = loaded.settings.told();
        let page = page(&loaded.settings);
        let all = join_all(
            targets
                .iter()
                .map(|target| outbox.deliver_to(target, page.as_deref())),
        );
        tokio::select! {
            // It ends only where there is nobody to tell.
            _ = all => if settings.changed().await.is_err() { return },
            changed = settings.changed() => if changed.is_err() { return },
        }
    }
}

/// Where others reach the page, where there is one and that is known.
fn page(settings: &Settings) -> Option<String> {
    let url = settings
        .http
        .advertise
        .as_ref()
        .filter(|_| settings.http.page)?;
    Some(url.strip_suffix('/').unwrap_or(url).to_owned())
}

/// What deliveries of one environment need.
struct Outbox {
    courier: Courier,
    store: Store,
    lead: Arc<Lead>,
    metrics: Arc<Metrics>,
    /// Nobody is told what was written before.
    began: Timestamp,
}

impl Outbox {
    /// Delivers to one target, for ever.
    async fn deliver_to(&self, target: &Target, page: Option<&str>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // The target asked not to be told anything before.
        let mut quiet_until = None;
        loop {
            ticks.tick().await;
            if quiet_until.is_some_and(|until| Timestamp::now() < until) {
                continue;
            }
            let due = match self.due(target).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(error = with_causes(&error), "the outbox cannot be read");
                    continue;
                }
            };
            quiet_until = None;
            for due in due {
                match self.one(target, page, &due).await {
                    Ok((outcome, quiet)) => {
                        self.metrics.notified(&due.target, outcome);
                        quiet_until = quiet;
                        // What follows of an incident must not overtake what failed.
                        let failed = matches!(outcome, Delivery::Failed);
                        if quiet.is_some() || failed && incidents::keeps(target) {
                            break;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(error = with_causes(&error), "a delivery was not recorded");
                        break;
                    }
                }
            }
        }
    }

    /// What the target is to be told now.
    async fn due(&self, target: &Target) -> Result<Vec<Due>, StoreError> {
        let environment = self.lead.environment();
        let now = Timestamp::now();
        let oldest = now
            .saturating_sub(LONGEST_WAIT)
            .unwrap_or(now)
            .max(self.began);
        let name = [target.name.as_str()];
        let ask = async |at| self.store.due(environment, &name, oldest, at, BATCH).await;
        let mut due = ask(now).await?;
        if incidents::keeps(target) && !due.is_empty() {
            // A trigger that is tried again must not come after what resolves it.
            let pending = ask(now.saturating_add(2 * LONGEST_WAIT).unwrap_or(now)).await?;
            due = incidents::in_order(due, &pending, BATCH as usize);
        }
        Ok(due)
    }

    /// Delivers one message, or records when it is tried again. Gives the word for the metrics, and until when
    /// the target wants quiet.
    async fn one(
        &self,
        target: &Target,
        page: Option<&str>,
        due: &Due,
    ) -> Result<(Delivery, Option<Timestamp>), StoreError> {
        let (store, lead) = (&self.store, &self.lead);
        let (number, name) = (due.message.number, target.name.as_str());
        let letter = self.letter(target, page, &due.message).await?;
        let sent = match &letter {
            Some(letter) => self.courier.send(target, letter).await,
            None => Ok(Sent::Nobody),
        };
        match sent {
            Ok(sent) => {
                store.delivered(lead, number, name).await?;
                let outcome = match sent {
                    Sent::Taken => Delivery::Delivered,
                    Sent::Nobody => Delivery::NotWanted,
                };
                Ok((outcome, None))
            }
            Err(Undelivered {
                why,
                wait,
                for_good,
            }) => {
                let now = Timestamp::now();
                let quiet = wait.and_then(|wait| now.checked_add(wait).ok());
                let next = now.checked_add(pause(due.attempts)).ok();
                let next = next.map(|next| quiet.map_or(next, |quiet| quiet.max(next)));
                let next =
                    next.filter(|next| next.duration_since(due.message.created_at) < LONGEST_WAIT);
                let next = next.filter(|_| !for_good);
                tracing::warn!(
                    target = name,
                    why,
                    again_at = next.map(tracing::field::display),
                    "a notification was not delivered"
                );
                store.failed(lead, number, name, &why, next).await?;
                let outcome = match next {
                    Some(_) => Delivery::Failed,
                    None => Delivery::GivenUp,
                };
                Ok((outcome, quiet))
            }
        }
    }

    /// What the target is told of a message; `None` where it does not want it.
    async fn letter(
        &self,
        target: &Target,
        page: Option<&str>,
        message: &Message,
    ) -> Result<Option<Letter>, StoreError> {
        let topics = target.topics();
        let about = topic(message);
        let incident = match target.kind {
            Kind::Pagerduty { .. } => {
                let meant = incidents::meant(&self.store, &topics, message).await?;
                let Some(incident) = meant else {
                    return Ok(None);
                };
                Some(incident)
            }
            Kind::Slack { .. } | Kind::Teams { .. } | Kind::Email(_) | Kind::Generic { .. } => {
                if about.is_none_or(|topic| !topics.contains(&topic)) {
                    return Ok(None);
                }
                None
            }
        };
        let deployment = match &message.deployment_id {
            None => None,
            Some(id) => match self.store.deployment(id).await {
                Ok(deployment) => Some(deployment),
                // It was trimmed; the message says what it says.
                Err(StoreError::NotFound { .. }) => None,
                Err(error) => return Err(error),
            },
        };
        let mut notice = notice(about, message, deployment.as_ref(), page);
        for why in notice.word(target.title.as_deref(), target.text.as_deref()) {
            tracing::warn!(
                target = target.name,
                why,
                "a template could not be rendered"
            );
        }
        let sentence = match (&target.title, &target.text) {
            (None, None) => about.map_or_else(String::new, |topic| sentence(topic, message)),
            (Some(_), _) | (_, Some(_)) if notice.text.is_empty() => notice.title.clone(),
            (Some(_), _) | (_, Some(_)) => format!("{} – {}", notice.title, notice.text),
        };
        Ok(Some(Letter {
            notice,
            sentence,
            details: message.body.clone(),
            incident,
        }))
    }
}

/// How long after a failure it is tried again: a second, doubling, at most half an hour.
fn pause(attempts: u32) -> SignedDuration {
    let seconds = 1_i64 << attempts.min(11);
    SignedDuration::from_secs(seconds.min(30 * 60))
}

/// Everything that is known about a message, not yet worded.
fn notice(
    about: Option<Topic>,
    message: &Message,
    deployment: Option<&Deployment>,
    page: Option<&str>,
) -> Notice {
    let text = |key: &str| message.body.get(key).and_then(Value::as_str);
    let reason = why(message);
    let concerned = deployment.map(|deployment| concerned(&deployment.plan, about, reason));
    let (nodes, owners) = concerned.unwrap_or_default();
    let revision = deployment.and_then(|deployment| deployment.request.revision.clone());
    Notice {
        id: message.id.clone(),
        topic: about.map_or_else(String::new, |topic| topic.word()),
        level: about.map_or(Level::Info, level),
        environment: message.environment.clone(),
        deployment: message.deployment_id.clone(),
        state: text("state").map(str::to_owned),
        revision: revision.or_else(|| text("revision").map(str::to_owned)),
        by: by(message).map(|by| by.to_string()),
        reason: reason.map(str::to_owned),
        at: message.created_at,
        owners,
        node_count: nodes.len(),
        nodes: nodes.into_iter().take(MOST_NAMED).collect(),
        url: page.map(|page| match &message.deployment_id {
            Some(id) => format!("{page}/#/deployments/{id}"),
            None => format!("{page}/#/history/{}", in_path(&message.environment)),
        }),
        what: about
            .map_or("", |topic| in_words(what(topic, &message.kind)))
            .to_owned(),
        title: String::new(),
        text: String::new(),
    }
}

/// A name as a part of an address.
fn in_path(name: &str) -> String {
    let mut path = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                path.push(char::from(byte));
            }
            _ => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

/// The nodes that a message is about, and who owns them: of a failure those that its reason names, else those
/// that changed.
fn concerned(
    plan: &Plan,
    about: Option<Topic>,
    reason: Option<&str>,
) -> (Vec<String>, Vec<crate::domain::plan::owner::Owner>) {
    let is_failure = about.is_some_and(|topic| Topic::TROUBLE.contains(&topic));
    let named: BTreeSet<&str> = match reason.filter(|_| is_failure) {
        Some(reason) => reason
            .split(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':' | '"' | '(' | ')'))
            .collect(),
        None => BTreeSet::new(),
    };
    let ids = plan
        .nodes
        .iter()
        .map(|node| &node.unique_id)
        .chain(&plan.tests);
    let mut nodes: BTreeSet<&String> = ids.filter(|id| named.contains(id.as_str())).collect();
    if nodes.is_empty() {
        let changed = plan.nodes.iter().filter(|node| node.is_changed());
        nodes = changed.map(|node| &node.unique_id).collect();
    }
    let owned = plan.owners.iter();
    let owned = owned.filter(|owned| owned.nodes.iter().any(|id| nodes.contains(id)));
    let owners = owned.map(|owned| owned.owner.clone()).take(MOST_NAMED);
    let owners = owners.collect();
    (nodes.into_iter().cloned().collect(), owners)
}

fn why(message: &Message) -> Option<&str> {
    let mut keys = ["reason", "detail"].iter();
    keys.find_map(|key| message.body.get(*key).and_then(Value::as_str))
}

fn by(message: &Message) -> Option<Subject> {
    message
        .body
        .get("by")
        .and_then(|by| Subject::deserialize(by).ok())
}

/// What a message is about; `None` for what nobody is told.
fn topic(message: &Message) -> Option<Topic> {
    topic_of(&message.kind, message.deployment_id.is_some())
}

fn sentence(topic: Topic, message: &Message) -> String {
    let mut text = format!("{}: {}", message.environment, what(topic, &message.kind));
    if let Some(why) = why(message) {
        text.push_str(&format!(" – {why}"));
    }
    if let Some(by) = by(message) {
        text.push_str(&format!(", by {by}"));
    }
    if let Some(id) = &message.deployment_id {
        text.push_str(&format!(" (deployment {id})"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{in_path, pause};

    #[test]
    fn pauses_double_up_to_half_an_hour() {
        let seconds: Vec<i64> = [0, 1, 5, 11, 60]
            .map(|attempts| pause(attempts).as_secs())
            .into();
        assert_eq!(seconds, [1, 2, 32, 1800, 1800]);
    }

    #[test]
    fn what_stands_in_an_address_is_escaped() {
        assert_eq!(in_path("a/b ü"), "a%2Fb%20%C3%BC");
    }
}
