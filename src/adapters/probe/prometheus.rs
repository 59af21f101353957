//! The instant query of Prometheus' HTTP API (`/api/v1/query`), as Prometheus, Thanos, Mimir and VictoriaMetrics
//! answer it.

use super::{Answer, Credentials, Reading, said};
use crate::domain::checks::{Condition, Unknown};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// `{"status": …}`, around every answer.
#[derive(Deserialize)]
struct Envelope {
    status: Status,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default, rename = "errorType")]
    kind: Option<String>,
    #[serde(default)]
    error: Option<String>,
    /// What went wrong without ending the query: some of the data may be missing.
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Success,
    Error,
}

#[derive(Deserialize)]
struct Data {
    #[serde(rename = "resultType")]
    kind: String,
    result: Value,
}

/// Where a query is sent; the server gives up when nobody waits for the answer any more.
///
/// # Errors
/// What is wrong with the address.
pub fn address(base: &str, query: &str, timeout: Duration) -> Result<Url, String> {
    let mut url = Url::parse(base).map_err(|error| format!("it is no address ({error})"))?;
    match url.path_segments_mut() {
        Ok(mut segments) => {
            segments.pop_if_empty().extend(["api", "v1", "query"]);
        }
        Err(()) => return Err("it is no address of a server".to_owned()),
    }
    url.query_pairs_mut()
        .append_pair("query", query)
        .append_pair("timeout", &format!("{}ms", timeout.as_millis().max(1)));
    Ok(url)
}

/// Whether the value in an answer is as it must be.
#[must_use]
pub fn value(answer: &Answer, condition: &Condition, credentials: &Credentials) -> Reading {
    let read = read(answer, credentials);
    let reading = match read {
        Err(reading) => reading,
        Ok((number, warnings)) => {
            let holds = condition.holds(number);
            let is = if holds { "is" } else { "is not" };
            let mut says = format!("the value {} {is} {condition}", shown(number));
            if let Some(warning) = warnings.first() {
                let warning = said(warning, credentials);
                says.push_str(&format!("; Prometheus warns: {warning}"));
            }
            Reading::found(holds, Some(number), says)
        }
    };
    reading.with_status(answer.status)
}

fn shown(number: f64) -> String {
    match number.is_infinite() {
        true if number > 0.0 => "+Inf".to_owned(),
        true => "-Inf".to_owned(),
        false => number.to_string(),
    }
}

fn read(answer: &Answer, credentials: &Credentials) -> Result<(f64, Vec<String>), Reading> {
    let status = answer.status;
    if answer.points_elsewhere {
        let says = format!("it answers {status} and points elsewhere, which is not followed");
        return Err(Reading::unknown(Unknown::WrongType, says));
    }
    let envelope = match serde_json::from_slice::<Envelope>(&answer.body) {
        Ok(envelope) => envelope,
        Err(_) if status.is_success() => {
            let says = "the answer is not one of Prometheus' API";
            return Err(Reading::unknown(Unknown::WrongType, says));
        }
        // A proxy, a gateway, a guard: the query has not been looked at.
        Err(_) => {
            let says = format!("it answers {status}");
            return Err(Reading::unknown(Unknown::Unreachable, says));
        }
    };
    match envelope.status {
        Status::Success => {}
        Status::Error => {
            let kind = envelope.kind.unwrap_or_default();
            let unknown = match kind.as_str() {
                "timeout" | "canceled" => Unknown::Timeout,
                "unavailable" | "internal" => Unknown::Unreachable,
                _ if status.is_server_error() => Unknown::Unreachable,
                _ => Unknown::WrongType,
            };
            let error = said(&envelope.error.unwrap_or_default(), credentials);
            let kind = said(&kind, credentials);
            let says = format!("Prometheus refuses the query ({kind}): {error}");
            return Err(Reading::unknown(unknown, says));
        }
    }
    let wrong = |what: &str| Reading::unknown(Unknown::WrongType, what);
    let data = envelope
        .data
        .ok_or_else(|| wrong("the answer has no data"))?;
    let sample = match (data.kind.as_str(), &data.result) {
        ("scalar", sample) => sample,
        ("vector", Value::Array(series)) => match series.as_slice() {
            [] => {
                return Err(Reading::unknown(
                    Unknown::Empty,
                    "the query finds no series",
                ));
            }
            [one] => one
                .get("value")
                .ok_or_else(|| wrong("the series is a histogram, not a number"))?,
            several => {
                let says = format!("the query finds {} series, not one", several.len());
                return Err(Reading::unknown(Unknown::Several, says));
            }
        },
        ("matrix", _) => return Err(wrong("the query has a range of values, not one")),
        ("string", _) => return Err(wrong("the query has a text, not a number")),
        _ => return Err(wrong("the answer is of a type that is not known")),
    };
    // `[seconds, "number"]`, the number as Go writes it.
    let number = sample.get(1).and_then(Value::as_str);
    let number: Option<f64> = number.and_then(|number| number.parse().ok());
    match number {
        None => Err(wrong("the value is no number")),
        Some(number) if number.is_nan() => Err(Reading::unknown(Unknown::Nan, "the value is NaN")),
        Some(number) => Ok((number, envelope.warnings.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::{address, value};
    use crate::adapters::probe::{Answer, Credentials, Reading};
    use crate::domain::checks::Unknown;
    use reqwest::StatusCode;
    use std::time::Duration;

    fn reading(status: u16, body: &str) -> Reading {
        let status = StatusCode::from_u16(status).expect("a status");
        let answer = Answer {
            status,
            points_elsewhere: status.is_redirection(),
            body: body.as_bytes().to_vec(),
        };
        let condition = "< 0.01".parse().expect("a condition");
        let credentials = Credentials {
            bearer: Some("s3cret".to_owned().into()),
            ..Credentials::default()
        };
        value(&answer, &condition, &credentials)
    }

    fn success(kind: &str, result: &str) -> Reading {
        let body =
            format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#);
        reading(200, &body)
    }

    #[test]
    fn one_number_is_compared() {
        let vector = r#"[{"metric":{"__name__":"lag"},"value":[1435781451.781,"0.003"]}]"#;
        let good = success("vector", vector);
        assert_eq!((good.holds, good.value), (Ok(true), Some(0.003)));
        assert_eq!(good.says, "the value 0.003 is < 0.01");
        let bad = success("scalar", r#"[1435781451.781,"3"]"#);
        assert_eq!((bad.holds, bad.value), (Ok(false), Some(3.0)));
        let endless = success("scalar", r#"[1435781451.781,"+Inf"]"#);
        assert_eq!((endless.holds, endless.value), (Ok(false), None));
        assert_eq!(endless.says, "the value +Inf is not < 0.01");
        let partial = r#"{"status":"success","warnings":["a store is away"],"data":{"resultType":"scalar","result":[1,"0"]}}"#;
        let partial = reading(200, partial);
        assert_eq!(partial.holds, Ok(true));
        assert!(partial.says.ends_with("Prometheus warns: a store is away"));
    }

    #[test]
    fn everything_else_has_a_name() {
        let two = r#"[{"metric":{"i":"a"},"value":[1,"0"]},{"metric":{"i":"b"},"value":[1,"0"]}]"#;
        let histogram = r#"[{"metric":{},"histogram":[1,{"count":"1","sum":"1"}]}]"#;
        for (kind, result, unknown) in [
            ("vector", "[]", Unknown::Empty),
            ("vector", two, Unknown::Several),
            ("vector", histogram, Unknown::WrongType),
            ("scalar", r#"[1,"NaN"]"#, Unknown::Nan),
            ("scalar", r#"[1,"many"]"#, Unknown::WrongType),
            ("scalar", "[1,2]", Unknown::WrongType),
            ("string", r#"[1,"a"]"#, Unknown::WrongType),
            ("matrix", "[]", Unknown::WrongType),
            ("streams", "[]", Unknown::WrongType),
        ] {
            assert_eq!(success(kind, result).holds, Err(unknown), "{kind} {result}");
        }
        let refused =
            r#"{"status":"error","errorType":"bad_data","error":"parse error near s3cret"}"#;
        let refused = reading(400, refused);
        assert_eq!(refused.holds, Err(Unknown::WrongType));
        assert!(refused.says.ends_with("(bad_data): parse error near ***"));
        let late = r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#;
        for (status, body, unknown) in [
            (503, late, Unknown::Timeout),
            (502, "<html>", Unknown::Unreachable),
            (401, "", Unknown::Unreachable),
            (200, "<html>", Unknown::WrongType),
            (200, r#"{"status":"success"}"#, Unknown::WrongType),
            (302, "", Unknown::WrongType),
        ] {
            assert_eq!(reading(status, body).holds, Err(unknown), "{status} {body}");
        }
    }

    #[test]
    fn a_query_is_sent_below_the_base() {
        let timeout = Duration::from_secs(2);
        let url = address("https://h/mimir/?dedup=true", "a{b=\"&\"} + 1", timeout);
        assert_eq!(
            url.expect("an address").as_str(),
            "https://h/mimir/api/v1/query?dedup=true&query=a%7Bb%3D%22%26%22%7D+%2B+1&timeout=2000ms"
        );
    }
}
