//! Events of PagerDuty. Events with one key are one incident.

use super::{Act, Answered, Undelivered};
use crate::domain::notice::{Notice, cut};
use crate::foundation::escape::visible;
use reqwest::StatusCode;
use serde_json::{Map, Value, json};

/// PagerDuty's limits, in characters: of a summary, and of a key.
const LONGEST_SUMMARY: usize = 1024;
const LONGEST_KEY: usize = 255;

pub(super) fn event(routing_key: &str, act: Act, key: &str, notice: &Notice) -> Value {
    let key: String = key.chars().take(LONGEST_KEY).collect();
    let action = match act {
        Act::Trigger => "trigger",
        Act::Acknowledge => "acknowledge",
        Act::Resolve => "resolve",
    };
    let mut event = json!({"routing_key": routing_key, "event_action": action, "dedup_key": key});
    if act != Act::Trigger {
        return event;
    }
    let mut summary = visible(&notice.title).into_owned();
    if !notice.text.is_empty() {
        summary = format!("{summary} – {}", visible(&notice.text));
    }
    let facts = notice.facts().into_iter();
    let mut details: Map<String, Value> = facts
        .map(|(name, value)| (name.to_lowercase(), value.into()))
        .collect();
    details.insert("text".to_owned(), notice.text.clone().into());
    event["client"] = "Cutover".into();
    event["payload"] = json!({
        "summary": cut(&summary, LONGEST_SUMMARY),
        "source": notice.environment,
        "severity": notice.level.as_str(),
        "timestamp": notice.at,
        "component": notice.deployment,
        "group": notice.environment,
        "class": notice.topic,
        "custom_details": details,
    });
    if let Some(url) = &notice.url {
        event["client_url"] = url.clone().into();
        event["links"] = json!([{"href": url, "text": "The page"}]);
    }
    event
}

/// What PagerDuty calls invalid stays so, and must not keep what follows waiting for a day.
pub(super) fn judged(answered: Answered) -> Undelivered {
    let for_good = answered.status == Some(StatusCode::BAD_REQUEST);
    Undelivered {
        for_good,
        ..answered.undelivered
    }
}
