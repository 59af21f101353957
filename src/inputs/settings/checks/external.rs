//! Faults of checks that ask endpoints. What stands in the place of a secret is never part of what is said.

use super::faults::{CheckFault, fault};
use crate::domain::checks::external::MOST_SAMPLES;
use crate::domain::checks::{
    Auth, Encoding, External, Http, Method, Naming, Prometheus, Times, text,
};
use crate::inputs::settings::validate::LONGEST;
use reqwest::Url;
use reqwest::header::HeaderName;
use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Duration;

/// The longest address, in bytes.
const LONGEST_URL: usize = 2048;

/// The longest query or body, in bytes: a query travels in the address.
const LONGEST_TEXT: usize = 6 << 10;

/// The longest pause between two samples.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// A good check of each kind, with every key that it knows.
pub(super) fn patterns() -> [(&'static str, Value); 2] {
    let both = json!({
        "name": "n", "level": "required", "url": "https://h/", "times": {"samples": 1},
        "auth": {"bearer": "env:A"}, "headers": {"x-a": "env:A"}, "on_empty": "fail",
        "on_unreachable": "fail", "on_timeout": "fail", "on_wrong_type": "fail", "wait_for": "1s",
        "run": ["before", "soak"], "timeout": "1s",
    });
    let with = |more: Value| {
        let mut pattern = both.clone();
        for (key, value) in more.as_object().into_iter().flatten() {
            pattern[key] = value.clone();
        }
        pattern
    };
    [
        (
            "prometheus",
            with(json!({
                "kind": "prometheus", "query": "up", "condition": "> 0", "on_several": "fail",
                "on_nan": "fail",
            })),
        ),
        (
            "http",
            with(json!({
                "kind": "http", "method": "get", "body": "{}", "status": 200, "pointer": "/a",
                "condition": "> 0",
            })),
        ),
    ]
}

/// How a key of them is written.
pub(super) fn example_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "level" => "required, advisory or ask",
        "url" => "https://prometheus.example.com",
        "query" => "max(lag_seconds{schema=\"{{ green(\"marts\") }}\"})",
        "condition" => "\"< 0.01\", \">= 3\" or '== \"ok\"'",
        "times" => "{samples: 3, enough: 2, interval: 10s}",
        "auth" => "{bearer: \"env:TOKEN\"} or {user: me, password: \"env:PASSWORD\"}",
        "headers" => "{X-Scope-OrgID: \"env:TENANT\"}",
        "on_empty" | "on_nan" | "on_several" | "on_unreachable" | "on_timeout"
        | "on_wrong_type" => "fail, pass or wait",
        "wait_for" => "5m",
        "method" => "get or post",
        "body" => "'{\"deployment\": \"{{ deployment }}\"}'",
        "status" => "200",
        "pointer" => "/data/0/lag",
        _ => return None,
    })
}

/// What is said of a key that could not be read: of those that hold secrets nothing that was written there.
pub(super) fn unread(key: &str, error: &serde_json::Error) -> String {
    let said = error.to_string();
    let is_harmless = said.starts_with("this is not a reference") || said.starts_with("after ");
    match key {
        "auth" | "headers" if !is_harmless => {
            "the keys are of another kind, or the value is".to_owned()
        }
        _ => said,
    }
}

/// What types do not say.
pub(super) fn meaning(check: External<'_>) -> Vec<CheckFault> {
    let mut faults = Vec::new();
    faults.extend(times(check.times()));
    if check.wait_for().is_zero() || check.wait_for() > LONGEST {
        faults.push(fault(
            ".wait_for",
            "the time must be longer than zero and not longer than a year",
            "write a time such as 5m",
        ));
    }
    let address = address(check.url());
    match &address {
        Err(found) => faults.push(found.clone()),
        Ok(url) => faults.extend(check.auth().and_then(|auth| credentials(auth, url))),
    }
    for name in check.headers().keys() {
        faults.extend(header(name, check.auth().is_some()));
    }
    match check {
        External::Prometheus(check) => faults.extend(prometheus(check)),
        External::Http(check) => faults.extend(http(check)),
    }
    faults
}

fn times(times: Times) -> Option<CheckFault> {
    let Times {
        samples, interval, ..
    } = times;
    let is_good = (1..=MOST_SAMPLES).contains(&samples)
        && (1..=samples).contains(&times.enough())
        && !interval.0.is_zero()
        && interval.0 <= LONGEST_INTERVAL;
    (!is_good).then(|| {
        fault(
            ".times",
            format!("there are 1 to {MOST_SAMPLES} samples, 1 of them or more are enough, and between two lies no more than an hour"),
            "write it like {samples: 3, enough: 2, interval: 10s}",
        )
    })
}

/// A template with names that nothing has.
fn rendered(
    place: &str,
    template: &str,
    encoding: Encoding,
    longest: usize,
) -> Result<String, CheckFault> {
    let naming = Naming {
        deployment: "deployment".to_owned(),
        environment: "environment".to_owned(),
    };
    if template.trim().is_empty() || template.len() > longest {
        return Err(fault(
            place,
            format!("the text is empty or longer than {longest} bytes"),
            "write a shorter one",
        ));
    }
    text(template, encoding, &naming, |_, schema| schema.to_owned()).map_err(|why| {
        fault(
            place,
            why,
            "write {{ deployment }}, {{ environment }}, {{ green(\"schema\") }} or {{ blue(\"schema\") }}",
        )
    })
}

fn address(template: &str) -> Result<Url, CheckFault> {
    let text = rendered(".url", template, Encoding::Url, LONGEST_URL)?;
    let not = |why: &str| fault(".url", why, "write it like https://prometheus.example.com");
    let url = Url::parse(&text).map_err(|_| not("this is no address"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(not("this is no address of a server that speaks HTTP"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let why = "an address is recorded and shown, and this one has a user or a password";
        return Err(fault(
            ".url",
            why,
            "take them out, and name them under auth",
        ));
    }
    Ok(url)
}

fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = inner.unwrap_or(host);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn credentials(auth: &Auth, url: &Url) -> Option<CheckFault> {
    let is_one = match (&auth.bearer, &auth.user, &auth.password) {
        (Some(_), None, None) => true,
        (None, Some(user), Some(_)) => {
            !user.is_empty() && !user.contains(|c: char| c.is_control() || c == ':')
        }
        (_, _, _) => false,
    };
    if !is_one {
        return Some(fault(
            ".auth",
            "there must be a bearer token, or a user and their password",
            "write it like {bearer: \"env:TOKEN\"} or {user: me, password: \"env:PASSWORD\"}",
        ));
    }
    (url.scheme() != "https" && !is_here(url)).then(|| {
        fault(
            ".url",
            "the credentials would cross a network unencrypted",
            "write an address with https",
        )
    })
}

fn header(name: &str, has_auth: bool) -> Option<CheckFault> {
    let place = format!(".headers.{name}");
    let Ok(known) = HeaderName::from_bytes(name.as_bytes()) else {
        return Some(fault(
            ".headers",
            format!("{name:?} is not the name of a header"),
            "write it like {X-Scope-OrgID: \"env:TENANT\"}",
        ));
    };
    let is_own = [
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
    ];
    if is_own.contains(&known.as_str()) || (known.as_str() == "authorization" && has_auth) {
        return Some(fault(place, "this header is set otherwise", "take it out"));
    }
    None
}

fn prometheus(check: &Prometheus) -> Vec<CheckFault> {
    let mut faults = Vec::new();
    faults.extend(rendered(".query", &check.query, Encoding::PromQl, LONGEST_TEXT).err());
    if !check.condition.is_of_numbers() {
        faults.push(fault(
            ".condition",
            "the value of a query is a number, and is compared with one",
            "write it like \"< 0.01\"",
        ));
    }
    faults
}

fn http(check: &Http) -> Vec<CheckFault> {
    let mut faults = Vec::new();
    match (&check.body, check.method) {
        (None, _) => {}
        (Some(_), Method::Get) => faults.push(fault(
            ".body",
            "nothing is sent along with GET",
            "take it out, or write method: post",
        )),
        (Some(body), Method::Post) => match rendered(".body", body, Encoding::Json, LONGEST_TEXT) {
            Err(found) => faults.push(found),
            Ok(text) if serde_json::from_slice::<Value>(text.as_bytes()).is_err() => {
                faults.push(fault(
                    ".body",
                    "this is no JSON",
                    "write it like '{\"deployment\": \"{{ deployment }}\"}'",
                ))
            }
            Ok(_) => {}
        },
    }
    if check
        .status
        .is_some_and(|status| !(200..600).contains(&status))
    {
        faults.push(fault(
            ".status",
            "no answer ends with this status",
            "write a number from 200 to 599",
        ));
    }
    let pointer = check.pointer.as_deref();
    if pointer.is_some_and(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
        faults.push(fault(
            ".pointer",
            "this is no JSON pointer (RFC 6901)",
            "write it like /data/0/lag",
        ));
    }
    if check.condition.is_some() && pointer.is_none() {
        faults.push(fault(
            ".condition",
            "it is not said which value of the answer is meant",
            "write a pointer, for example /data/0/lag",
        ));
    }
    faults
}
