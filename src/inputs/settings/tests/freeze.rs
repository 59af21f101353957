//! Windows and chains in a configuration.

use super::{faults, load, span};

fn paths(text: &str) -> Vec<String> {
    let found = faults(load(text));
    found.into_iter().map(|fault| fault.path).collect()
}

#[test]
fn windows_of_an_environment_are_added_and_each_fault_has_its_place() {
    let loaded = load(
        "freeze: [{from: 2026-12-24, reason: Christmas}]\nenvironments:\n  prod:\n    \
         freeze: [{cron: '0 16 * * FRI', length: 64h, reason: weekend}]\n  dev: {}\n",
    );
    let loaded = loaded.expect("no faults");
    let reasons = |name: &str| -> Vec<String> {
        let own = loaded.for_environment(Some(name)).expect("an environment");
        let freeze = own.settings.freeze.into_iter();
        freeze.map(|freeze| freeze.reason).collect()
    };
    assert_eq!(reasons("prod"), ["Christmas", "weekend"]);
    assert_eq!(reasons("dev"), ["Christmas"]);
    let wrong = "freeze: [{from: soon, reason: x}, {from: 2026-12-24, reason: ''}]\n\
                 environments: {prod: {freeze: [{cron: '0 0 * * *', length: 0s, reason: x}]}}\n";
    assert_eq!(
        paths(wrong),
        [
            "freeze[0].from",
            "freeze[1].reason",
            "environments.prod.freeze[0].length"
        ]
    );
    assert_eq!(
        paths("freeze: [{reason: x, until: 2026-12-24}]"),
        ["freeze"]
    );
}

#[test]
fn a_chain_is_no_circle_and_leads_to_an_environment() {
    let of = |prod: &str, staging: &str| {
        format!("environments:\n  prod: {{{prod}}}\n  staging: {{{staging}}}\n")
    };
    let chain = load(&format!(
        "schedule: {{poll: 1m}}\n{}",
        of("after: staging, soaked: 2h", "")
    ));
    let chain = chain.expect("no faults");
    let prod = chain.for_environment(Some("prod")).expect("an environment");
    assert_eq!(prod.settings.after.as_deref(), Some("staging"));
    assert_eq!(prod.settings.soaked, Some(span("2h")));
    let staging = chain.for_environment(Some("staging"));
    assert_eq!(staging.expect("an environment").settings.after, None);
    for (prod, staging, path) in [
        ("after: stagin", "", "environments.prod.after"),
        ("after: prod", "", "environments.prod.after"),
        ("soaked: 2h", "", "environments.prod.soaked"),
        (
            "after: staging, schedule: {poll: 1m}",
            "",
            "environments.prod.after",
        ),
    ] {
        assert_eq!(paths(&of(prod, staging)), [path], "{prod}");
    }
    let circle = paths(&of("after: staging", "after: prod"));
    assert_eq!(
        circle,
        ["environments.prod.after", "environments.staging.after"]
    );
    assert_eq!(paths("after: staging"), ["after"]);
}
