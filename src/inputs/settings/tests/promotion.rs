use super::{faults, load};
use crate::domain::promotion::SCOPES;
use crate::inputs::settings::http::Scope;

#[test]
fn every_scope_is_a_word_of_those_who_may_approve() {
    assert_eq!(Scope::ALL.map(Scope::as_str), SCOPES);
}

#[test]
fn an_environment_has_its_own_approvals_and_more_gates() {
    let text = "approvals: {by: [promote]}\ngates:\n  - {name: board, url: 'https://b'}\n\
                environments:\n  prod:\n    approvals: {count: 2}\n    expires: 12h\n    \
                gates:\n      - {name: other, url: 'env:GATE', headers: {X-Key: 'env:KEY'}, interval: 5s}\n";
    let merged = load(text).expect("no faults").for_environment(Some("prod"));
    let settings = merged.expect("no faults").settings;
    let conditions = settings.conditions(false);
    assert_eq!(conditions.approvals.count, 2);
    assert_eq!(conditions.approvals.by, ["promote"]);
    let names: Vec<&str> = conditions
        .gates
        .iter()
        .map(|gate| gate.name.as_str())
        .collect();
    assert_eq!(names, ["board", "other"]);
    assert!(
        load("{}")
            .expect("no faults")
            .settings
            .conditions(false)
            .is_empty()
    );
}

#[test]
fn faults_name_their_keys() {
    let text = "approvals: {count: 1, by: ['group:']}\npromote_after: 2h\nexpires: 1h\n\
                gates:\n  - {name: a, url: ftp://x, timeout: 0s}\n  - {name: a, url: 'https://x', headers: {'a b': 'env:K'}}\n\
                environments:\n  prod: {expires: 0s, gates: [{name: a, url: 'https://y'}]}\n";
    let mut paths: Vec<String> = faults(load(text)).into_iter().map(|f| f.path).collect();
    paths.sort();
    let expected = [
        "approvals.by[0]",
        "environments.prod.expires",
        "environments.prod.gates[0].name",
        "gates[0].timeout",
        "gates[0].url",
        "gates[1].headers",
        "gates[1].name",
        "promote_after",
    ];
    assert_eq!(paths, expected);
}
