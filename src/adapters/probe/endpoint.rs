//! A status, and a value in JSON.

use super::{Answer, Reading};
use crate::domain::checks::{Http, Unknown};
use serde_json::Value;

/// Whether an answer is as the check has it.
#[must_use]
pub fn expected(answer: &Answer, check: &Http) -> Reading {
    judged(answer, check).with_status(answer.status)
}

fn judged(answer: &Answer, check: &Http) -> Reading {
    let status = answer.status;
    let fails = |says: String| Reading::found(false, None, says);
    let is_expected = match check.status {
        Some(expected) => status.as_u16() == expected,
        None => status.is_success(),
    };
    if !is_expected {
        let expected = check
            .status
            .map_or("a success".to_owned(), |s| s.to_string());
        let elsewhere = match answer.points_elsewhere {
            true => " and points elsewhere, which is not followed",
            false => "",
        };
        let code = status.as_u16();
        return fails(format!("it answers {code}{elsewhere}, not {expected}"));
    }
    let Some(pointer) = &check.pointer else {
        let says = format!("it answers {}", status.as_u16());
        return Reading::found(true, None, says);
    };
    let Ok(document) = serde_json::from_slice::<Value>(&answer.body) else {
        return Reading::unknown(Unknown::WrongType, "the answer is no JSON");
    };
    let value = document.pointer(pointer).filter(|value| !value.is_null());
    let Some(value) = value else {
        let says = format!("there is nothing at {pointer:?} of the answer");
        return Reading::unknown(Unknown::Empty, says);
    };
    let Some(condition) = &check.condition else {
        return Reading::found(
            true,
            value.as_f64(),
            format!("there is a value at {pointer:?}"),
        );
    };
    let Some(holds) = condition.holds_of(value) else {
        let what = match value {
            Value::Null => "nothing",
            Value::Bool(_) => "a truth value",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        let says = format!("at {pointer:?} is {what}, which is not compared with {condition}");
        return Reading::unknown(Unknown::WrongType, says);
    };
    // A text may be anything; a number and a truth value are what the check is about.
    let shown = match value {
        Value::Number(_) | Value::Bool(_) => format!(" {value}"),
        Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_) => String::new(),
    };
    let is = if holds { "is" } else { "is not" };
    let says = format!("the value{shown} at {pointer:?} {is} {condition}");
    Reading::found(holds, value.as_f64(), says)
}

#[cfg(test)]
mod tests {
    use super::expected;
    use crate::adapters::probe::{Answer, Reading};
    use crate::domain::checks::{Check, Unknown};
    use reqwest::StatusCode;
    use serde_json::{Value, json};

    fn reading(keys: Value, status: u16, body: &str) -> Reading {
        let mut check = json!({"kind": "http", "name": "n", "url": "https://h/"});
        for (key, value) in keys.as_object().expect("keys") {
            check[key] = value.clone();
        }
        let Check::Http(check) = serde_json::from_value(check).expect("a check") else {
            panic!("another kind");
        };
        let status = StatusCode::from_u16(status).expect("a status");
        let answer = Answer {
            status,
            points_elsewhere: status.is_redirection(),
            body: body.as_bytes().to_vec(),
        };
        expected(&answer, &check)
    }

    #[test]
    fn status_and_value_must_be_as_asked() {
        let lag = json!({"pointer": "/data/0/lag", "condition": "< 5"});
        let body = r#"{"data": [{"lag": 7, "who": "hidden"}]}"#;
        for (keys, status, body, holds) in [
            (json!({}), 204, "", Ok(true)),
            (json!({}), 500, "", Ok(false)),
            (json!({"status": 404}), 404, "", Ok(true)),
            (json!({"status": 200}), 204, "", Ok(false)),
            (json!({"status": 302}), 302, "", Ok(true)),
            (json!({}), 302, "", Ok(false)),
            (lag.clone(), 200, body, Ok(false)),
            (lag.clone(), 200, "{}", Err(Unknown::Empty)),
            (
                lag.clone(),
                200,
                r#"{"data": [{"lag": null}]}"#,
                Err(Unknown::Empty),
            ),
            (
                lag.clone(),
                200,
                r#"{"data": [{"lag": "7"}]}"#,
                Err(Unknown::WrongType),
            ),
            (lag, 200, "<html>", Err(Unknown::WrongType)),
            (json!({"pointer": "/data/0"}), 200, body, Ok(true)),
            (
                json!({"pointer": "/data/0/who", "condition": "== \"me\""}),
                200,
                body,
                Ok(false),
            ),
        ] {
            let found = reading(keys.clone(), status, body);
            assert_eq!(found.holds, holds, "{keys} {status} {body}");
            assert_eq!(found.status, Some(status));
            assert!(!found.says.contains("hidden"), "{}", found.says);
        }
        let lag = json!({"pointer": "/lag", "condition": "< 5"});
        let found = reading(lag, 200, r#"{"lag": 7.5}"#);
        assert_eq!(found.value, Some(7.5));
        assert_eq!(found.says, "the value 7.5 at \"/lag\" is not < 5");
    }
}
