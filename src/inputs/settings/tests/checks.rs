use super::{Loaded, faults, load, load_with};

#[test]
fn checks_are_told_with_every_fault_at_its_place() {
    let good = "checks:\n  - {name: a, kind: row_count, relation: m.t, tolerance: 5%}\n\
                environments:\n  prod:\n    checks:\n      - {name: b, kind: no_rows, sql: SELECT 1}\n";
    let names = |loaded: &Loaded| -> Vec<String> {
        let checks = loaded.settings.checks.iter();
        checks.map(|check| check.name().to_owned()).collect()
    };
    let loaded = load(good).expect("a configuration");
    assert_eq!(names(&loaded), ["a"]);
    let prod = loaded.for_environment(Some("prod")).expect("merged");
    assert_eq!(names(&prod), ["a", "b"]);
    let again: serde_yaml::Value = serde_yaml::from_str(&prod.show()).expect("YAML");
    let checks = again["checks"].as_sequence().map(Vec::len);
    assert_eq!(checks, Some(2), "{}", prod.show());

    let bad = "checks:\n  - {name: a, kind: row_count, relation: m.t}\n  - {name: b, kind: row_count, relation: t, tolerance: many}\n\
               soak_check_interval: 0s\n\
               environments:\n  prod:\n    checks:\n      - {name: a, kind: no_rows, sql: SELECT 1}\n  \
               test:\n    checks:\n      - {name: a, kind: no_rows, sql: 'SELECT {{'}\n";
    let mut paths: Vec<String> = faults(load(bad)).into_iter().map(|f| f.path).collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "checks[1].relation",
            "checks[1].tolerance",
            "environments.test.checks[0].sql",
            "soak_check_interval",
        ]
    );
    let twice = faults(load(
        &bad.replace(", tolerance: many", "")
            .replace("relation: t", "relation: m.t"),
    ));
    assert!(
        twice
            .iter()
            .any(|fault| fault.path == "environments.prod.checks[0].name"
                && fault.place.ends_with("cutover.yaml")),
        "{twice:?}"
    );
    assert!(
        faults(load("checks: all"))
            .iter()
            .all(|fault| fault.path == "checks")
    );
    let variable = [(
        "CUTOVER__CHECKS",
        "[{name: a, kind: keys_kept, relation: m.t, key: [k]}]",
    )];
    let loaded = load_with("", &variable, &[]).expect("a configuration");
    assert_eq!(names(&loaded), ["a"]);
    assert_eq!(
        load("checks: []").map(|loaded| names(&loaded)).ok(),
        Some(Vec::new())
    );
}
