//! JSON with every field, or one sentence; signed where there is a key.

use super::Letter;
use crate::inputs::settings::Format;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::Sha256;

/// The body and what goes with it.
pub(super) fn request(
    letter: &Letter,
    format: Format,
    key: Option<&SecretString>,
) -> (String, Vec<(&'static str, String)>) {
    let Letter {
        notice,
        sentence,
        details,
        ..
    } = letter;
    let body = match format {
        Format::Slack => json!({ "text": sentence }),
        Format::Generic => {
            let mut body = json!({
                "id": notice.id,
                "topic": notice.topic,
                "environment": notice.environment,
                "deployment": notice.deployment,
                "at": notice.at,
                "text": sentence,
                "details": details,
            });
            let more = [
                ("url", json!(notice.url)),
                ("revision", json!(notice.revision)),
                ("owners", json!(notice.owners)),
                ("nodes", json!(notice.nodes)),
            ];
            for (name, value) in more {
                if !value.is_null() && value != json!([]) {
                    body[name] = value;
                }
            }
            body
        }
    }
    .to_string();
    let mut headers = vec![("x-cutover-delivery", notice.id.clone())];
    if let Some(key) = key {
        let at = Timestamp::now().as_second();
        let signature = signature(key.expose_secret(), at, &body);
        headers.push(("x-cutover-signature", signature));
    }
    (body, headers)
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

#[cfg(test)]
mod tests {
    use super::signature;

    #[test]
    fn a_signature_is_the_hmac_of_time_and_body() {
        // echo -n '1700000000.{"a":1}' | openssl dgst -sha256 -hmac key
        assert_eq!(
            signature("key", 1_700_000_000, "{\"a\":1}"),
            "t=1700000000,v1=a438e398bfafc57e4396bb7fc2304422f0f768e965d073ca313cb52e22e6ad03"
        );
    }
}
