use crate::inputs::settings::{Settings, Target, Topic};
use serde_json::{Value, json};

fn target(kind: &Value) -> Result<Target, String> {
    let mut whole = json!({"name": "people"});
    for (key, value) in kind.as_object().expect("an object") {
        whole[key] = value.clone();
    }
    serde_json::from_value(whole).map_err(|error| error.to_string())
}

fn faults(targets: &[Value]) -> Vec<(String, String)> {
    let mut settings = Settings::defaults().expect("defaults");
    let targets = targets.iter().map(|one| target(one).expect("a target"));
    settings.notifications = targets.collect();
    let faults = settings.validate().into_iter();
    faults.map(|fault| (fault.path, fault.message)).collect()
}

fn email(changes: &Value) -> Value {
    let mut email = json!({"kind": "email", "server": "smtp.example.com:587", "from": "a@example.com", "to": "owners"});
    for (key, value) in changes.as_object().expect("an object") {
        email[key] = value.clone();
    }
    email
}

#[test]
fn each_kind_is_read_with_what_it_needs_and_nothing_else() {
    for good in [
        json!({"kind": "slack", "url": "env:SLACK", "title": "{{ what }}"}),
        json!({"kind": "teams", "url": "file:teams", "events": ["failed"], "timeout": "3s"}),
        json!({"kind": "pagerduty", "routing_key": "env:PAGER"}),
        json!({"kind": "generic", "url": "https://bus.example.com", "secret": "env:KEY"}),
        email(&json!({})),
        email(
            &json!({"to": ["b@example.com", "owners"], "user": "u", "password": "env:P", "tls": "implicit"}),
        ),
        email(&json!({"server": "[::1]:25", "tls": "none"})),
    ] {
        assert_eq!(faults(std::slice::from_ref(&good)), [], "{good}");
        let read = target(&good).expect("a target");
        let written = serde_json::to_value(&read).expect("JSON");
        let again: Target = serde_json::from_value(written).expect("a target");
        assert_eq!(read, again);
    }
    for (bad, expected) in [
        (json!({"kind": "slack"}), "missing field `url`"),
        (
            json!({"kind": "slack", "url": "env:A", "token": "x"}),
            "unknown field `token`",
        ),
        (
            json!({"kind": "sms", "url": "env:A"}),
            "unknown variant `sms`",
        ),
        (json!({"url": "env:A"}), "missing field `kind`"),
    ] {
        let said = target(&bad).expect_err("no target");
        assert!(said.contains(expected), "{said}");
    }
    let pager = target(&json!({"kind": "pagerduty", "routing_key": "env:A"})).expect("a target");
    assert!(pager.topics().contains(&Topic::Stuck) && !pager.topics().contains(&Topic::Promoted));
}

#[test]
fn a_secret_in_the_place_of_its_reference_is_not_repeated() {
    for kind in [
        json!({"kind": "slack", "url": "https://hooks.slack.com/services/hunter2"}),
        json!({"kind": "teams", "url": "https://example.com/hunter2"}),
        json!({"kind": "pagerduty", "routing_key": "hunter2"}),
        email(&json!({"user": "u", "password": "hunter2"})),
    ] {
        let said = target(&kind).expect_err("no reference");
        assert!(
            said.contains("env:NAME") && !said.contains("hunter2"),
            "{said}"
        );
    }
}

#[test]
fn every_fault_is_found_at_once() {
    let found = faults(&[
        json!({"kind": "slack", "url": "env:A", "title": "{{ revison }}", "text": "{% if %}", "timeout": "0s"}),
        json!({"kind": "generic", "url": "example.com"}),
        json!({"kind": "pagerduty", "routing_key": "env:A", "url": "pager", "events": ["stuck", "promoted"]}),
        email(
            &json!({"server": "smtp", "tls": "none", "user": "u", "from": "a", "to": ["b", "owners"]}),
        ),
        email(&json!({"server": "smtp.example.com:25", "tls": "none", "to": []})),
    ]);
    let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "notifications[0].timeout",
            "notifications[0].title",
            "notifications[0].text",
            "notifications[1].name",
            "notifications[1].url",
            "notifications[2].name",
            "notifications[2].url",
            "notifications[2].events",
            "notifications[3].name",
            "notifications[3].server",
            "notifications[3].tls",
            "notifications[3].password",
            "notifications[3].from",
            "notifications[3].to",
            "notifications[4].name",
            "notifications[4].tls",
            "notifications[4].to",
        ]
    );
    let title = &found[1].1;
    assert!(
        title.contains("undefined") && title.contains("line 1"),
        "{title}"
    );
}
