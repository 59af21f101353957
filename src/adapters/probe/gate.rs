//! What a gate decides, in JSON.

use super::{Answer, Credentials, said};
use serde_json::Value;

/// What a gate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// The candidate may be swapped.
    Yes(Option<String>),
    /// The release ends; why, where it says so.
    No(Option<String>),
    /// Not decided yet; why, where it says so.
    NotYet(Option<String>),
    /// This is not the answer of a gate; what it is instead.
    Unclear(String),
}

/// What an answer says. Of the body its decision and the beginning of its reason leave this room.
#[must_use]
pub fn decided(answer: &Answer, credentials: &Credentials) -> Decided {
    let status = answer.status.as_u16();
    if answer.points_elsewhere {
        return Decided::Unclear(format!(
            "it answers {status} and points elsewhere, which is not followed"
        ));
    }
    if !answer.status.is_success() {
        return Decided::Unclear(format!("it answers {status}"));
    }
    let Ok(document) = serde_json::from_slice::<Value>(&answer.body) else {
        return Decided::Unclear(format!("it answers {status} with something else than JSON"));
    };
    let reason = document.get("reason").and_then(Value::as_str);
    let reason = reason
        .map(|text| said(text, credentials))
        .filter(|text| !text.trim().is_empty());
    match document.get("decision").and_then(Value::as_str) {
        Some("yes") => Decided::Yes(reason),
        Some("no") => Decided::No(reason),
        Some("wait") => Decided::NotYet(reason),
        Some(_) | None => Decided::Unclear(format!(
            "it answers {status} without a decision that is yes, no or wait"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{Decided, decided};
    use crate::adapters::probe::{Answer, Credentials};
    use reqwest::StatusCode;

    #[test]
    fn only_a_decision_decides() {
        let credentials = Credentials {
            bearer: Some("s3cret".into()),
            ..Credentials::default()
        };
        let of = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).expect("a status");
            let answer = Answer {
                status,
                points_elsewhere: status.is_redirection(),
                body: body.as_bytes().to_vec(),
            };
            decided(&answer, &credentials)
        };
        let yes = r#"{"decision": "yes"}"#;
        assert_eq!(of(200, yes), Decided::Yes(None));
        assert_eq!(of(204, yes), Decided::Yes(None));
        let no = of(
            200,
            r#"{"decision": "no", "reason": "a freeze\u0007 s3cret"}"#,
        );
        assert_eq!(no, Decided::No(Some("a freeze ***".to_owned())));
        let wait = of(200, r#"{"decision": "wait", "reason": " "}"#);
        assert_eq!(wait, Decided::NotYet(None));
        for (status, body) in [
            (200, "yes"),
            (200, r#"{"decision": true}"#),
            (200, r#"{"decision": "YES"}"#),
            (200, "{}"),
            (200, "[]"),
            (302, yes),
            (403, yes),
            (500, yes),
        ] {
            let found = of(status, body);
            assert!(
                matches!(found, Decided::Unclear(_)),
                "{status} {body} {found:?}"
            );
        }
        let long = format!(r#"{{"decision": "no", "reason": "{}"}}"#, "x".repeat(5000));
        assert_eq!(of(200, &long), Decided::No(Some("x".repeat(200))));
    }
}
