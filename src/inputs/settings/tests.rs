use super::{
    DEFAULTS, Fault, Loaded, LogFormat, Override, Settings, SettingsError, Sources, Strategy,
};
use crate::domain::lifecycle::policy::Policy;
use crate::foundation::failure::{Class, Classify};
use crate::foundation::span::Span;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Checks in a configuration.
mod checks;
/// Windows and chains.
mod freeze;
/// Sources, schedules and connections.
mod promotion;
mod sections;

/// A folder with a configuration file.
fn folder(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("cutover.yaml"), text).expect("written");
    folder
}

fn load_with(
    text: &str,
    variables: &[(&str, &str)],
    overrides: &[(&str, Value)],
) -> Result<Loaded, SettingsError> {
    let folder = folder(text);
    Settings::load(&Sources {
        file: None,
        directory: folder.path().to_path_buf(),
        environment: variables
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        overrides: overrides
            .iter()
            .map(|(path, value)| Override {
                flag: format!("--{path}"),
                path: (*path).to_owned(),
                value: value.clone(),
            })
            .collect(),
    })
}

fn load(text: &str) -> Result<Loaded, SettingsError> {
    load_with(text, &[], &[])
}

fn faults(outcome: Result<Loaded, SettingsError>) -> Vec<Fault> {
    let error = outcome.expect_err("there are faults");
    let SettingsError::Faults(faults) = error else {
        panic!("{error:?}");
    };
    faults
}

fn span(text: &str) -> Span {
    Span(humantime::parse_duration(text).expect("a duration"))
}

#[test]
fn a_release_swaps_unless_another_strategy_is_named() {
    let strategy = |loaded: Loaded| loaded.settings.strategy;
    assert_eq!(load("").map(strategy).ok(), Some(Strategy::Swap));
    for (word, expected) in [
        ("swap", Strategy::Swap),
        ("replace", Strategy::Replace),
        ("auto", Strategy::Auto),
    ] {
        let loaded = load(&format!("strategy: {word}"));
        assert_eq!(loaded.map(strategy).ok(), Some(expected));
    }
    let flag = load_with("strategy: auto", &[], &[("strategy", json!("replace"))]);
    assert_eq!(flag.map(strategy).ok(), Some(Strategy::Replace));
    let variable = load_with("", &[("CUTOVER__STRATEGY", "auto")], &[]);
    assert_eq!(variable.map(strategy).ok(), Some(Strategy::Auto));
    let unknown = faults(load("strategy: both"));
    assert_eq!(unknown.len(), 1, "{unknown:?}");
}

#[test]
fn the_defaults_are_complete_and_without_fault() {
    let defaults = Settings::defaults().expect("they can be read");
    assert_eq!(defaults.validate(), []);
    let written: serde_yaml::Value = serde_yaml::from_str(DEFAULTS).expect("YAML");
    let typed = serde_yaml::to_value(&defaults).expect("YAML");
    let mut keys = Vec::new();
    same_keys("", &typed, &written, &mut keys);
    assert!(keys.len() > 40, "{keys:?}");
}

/// Every key of the typed tree is written, and the other way round.
fn same_keys(
    path: &str,
    typed: &serde_yaml::Value,
    written: &serde_yaml::Value,
    keys: &mut Vec<String>,
) {
    let (Some(typed), Some(written)) = (typed.as_mapping(), written.as_mapping()) else {
        return;
    };
    let names = |m: &serde_yaml::Mapping| {
        m.keys()
            .map(|k| k.as_str().expect("a word").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(typed), names(written), "{path}");
    for (key, value) in typed {
        let path = format!("{path}.{}", key.as_str().expect("a word"));
        same_keys(&path, value, &written[key], keys);
        keys.push(path);
    }
}

#[test]
fn every_default_has_a_comment() {
    let mut before = "";
    for line in DEFAULTS.lines() {
        let is_key = !line.trim().is_empty() && !line.trim_start().starts_with('#');
        assert!(
            !is_key || before.trim_start().starts_with('#'),
            "no comment above {line:?}"
        );
        before = line;
    }
}

#[test]
fn layers_win_in_their_order() {
    let text = "promotion: manual\nsoak: 1h\nreadiness:\n  samples: 5\n  strict: true\n";
    let loaded = load_with(
        text,
        &[
            ("CUTOVER__SOAK", "2h"),
            ("CUTOVER__READINESS__SAMPLES", "7"),
            ("CUTOVER_OTHER", "x"),
            ("PATH", "x"),
        ],
        &[("readiness.samples", json!(9))],
    )
    .expect("no faults");
    let settings = &loaded.settings;
    assert_eq!(settings.promotion, Policy::Manual);
    assert_eq!(settings.soak, span("2h"));
    assert_eq!(settings.readiness.samples, 9);
    assert!(settings.readiness.strict);
    assert_eq!(settings.readiness.lag_threshold, span("1s"));
    let origins: BTreeMap<String, &str> = loaded.changes().collect();
    assert!(origins["promotion"].ends_with("cutover.yaml"));
    assert_eq!(origins["soak"], "CUTOVER__SOAK");
    assert_eq!(origins["readiness.samples"], "--readiness.samples");
    assert!(!origins.contains_key("cleanup"));
}

#[test]
fn variables_hold_values_of_every_type() {
    let loaded = load_with(
        "project:\n  vars: {CamelCase: 1}\nenvironments:\n  Prod: {}\n",
        &[
            ("CUTOVER__READINESS__STRICT", "true"),
            ("CUTOVER__READINESS__LAG_THRESHOLD", "1500ms"),
            ("CUTOVER__DBT__ENVIRONMENT", "AWS_*, HOME"),
            ("CUTOVER__DBT__THREADS", "8"),
            ("CUTOVER__DBT__EXECUTABLE", "/a #b/dbt"),
            ("CUTOVER__ALLOW", "[source-rebuilt]"),
            ("CUTOVER__LOG__FORMAT", "json"),
            ("CUTOVER__LOG__LEVEL", "cutover=debug,info"),
            ("CUTOVER__PROJECT__TARGET", "5"),
            ("CUTOVER__PROJECT__PROFILE", ""),
            ("CUTOVER__PROJECT__VARS__CAMELCASE", "[1, two]"),
            ("CUTOVER__PROJECT__VARS__NEW", "yes: no: maybe"),
            ("CUTOVER__ENVIRONMENTS__PROD__PROMOTION", "manual"),
            ("CUTOVER__CUTOVER", "{attempts: 3}"),
        ],
        &[],
    )
    .expect("no faults");
    let settings = loaded.settings;
    assert!(settings.readiness.strict);
    assert_eq!(settings.readiness.lag_threshold, span("1500ms"));
    assert_eq!(settings.dbt.environment, ["AWS_*", "HOME"]);
    assert_eq!(settings.dbt.threads, Some(8));
    assert_eq!(settings.dbt.executable, Some("/a #b/dbt".into()));
    assert_eq!(settings.allow, ["source-rebuilt"]);
    assert_eq!(
        (settings.log.format, settings.log.level.as_str()),
        (LogFormat::Json, "cutover=debug,info")
    );
    assert_eq!(
        (settings.project.target.as_deref(), settings.project.profile),
        (Some("5"), None)
    );
    assert_eq!(settings.project.vars["CamelCase"], json!([1, "two"]));
    assert_eq!(settings.project.vars["new"], json!("yes: no: maybe"));
    assert_eq!(
        settings.environments["Prod"].promotion,
        Some(Policy::Manual)
    );
    assert_eq!(
        (settings.cutover.attempts, settings.cutover.backoff_max),
        (3, span("5s"))
    );
}

#[test]
fn all_faults_are_reported_at_once_with_place_path_and_remedy() {
    let found = faults(load_with(
        concat!(
            "promotoin: manual\n",
            "lag_threshold: 2s\n",
            "soak: 30\n",
            "allow: [sink-in-swapped-schema, nonsense]\n",
            "project: {directory: [a], vars: {deploy: true}}\n",
            "readiness:\n  samples: -1\n  strict: \"yes\"\n  oom_kill_limit: 1.5\n  timeout: 2 fortnights\n",
            "sinks: 5\n",
            "log: {format: xml, level: wran}\n",
            "environments:\n  prod: {cleanup: never, sink: 1}\n",
        ),
        &[
            ("CUTOVER__READINES__SAMPLES", "1"),
            ("CUTOVER__SOAK__MORE", "1"),
            ("CUTOVER__CUTOVER__ATTEMPTS", "0"),
        ],
        &[("promotion", json!("perhaps"))],
    ));
    let paths: Vec<&str> = found.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "promotoin",
            "lag_threshold",
            "soak",
            "project.directory",
            "readiness.samples",
            "readiness.strict",
            "readiness.oom_kill_limit",
            "readiness.timeout",
            "sinks",
            "log.format",
            "environments.prod.cleanup",
            "environments.prod.sink",
            "readines.samples",
            "soak.more",
            "promotion",
            "cutover.attempts",
            "allow",
            "allow",
            "project.vars.deploy",
            "log.level",
        ]
    );
    for fault in &found {
        assert!(
            !fault.place.is_empty() && !fault.remedy.is_empty(),
            "{fault}"
        );
    }
    let said = |path: &str| {
        found
            .iter()
            .find(|f| f.path == path)
            .expect("found")
            .to_string()
    };
    assert!(
        said("promotoin").ends_with("did you mean promotion?)"),
        "{}",
        said("promotoin")
    );
    assert!(said("lag_threshold").ends_with("did you mean readiness.lag_threshold?)"));
    assert!(
        said("soak").contains("cutover.yaml: soak: "),
        "{}",
        said("soak")
    );
    assert!(
        said("soak").ends_with("the default is 0s)"),
        "{}",
        said("soak")
    );
    assert!(said("readines.samples").starts_with("CUTOVER__READINES__SAMPLES: "));
    assert!(said("cutover.attempts").starts_with("CUTOVER__CUTOVER__ATTEMPTS: "));
    assert!(said("promotion").starts_with("--promotion: "));
    assert!(
        said("log.format").contains("text"),
        "{}",
        said("log.format")
    );
}

#[test]
fn what_types_admit_is_checked_too() {
    for (text, path) in [
        ("readiness: {lag_threshold: 0s}", "readiness.lag_threshold"),
        ("readiness: {samples: 0}", "readiness.samples"),
        (
            "readiness: {poll_interval_min: 20s}",
            "readiness.poll_interval_min",
        ),
        ("readiness: {timeout: 400days}", "readiness.timeout"),
        ("dbt: {threads: 0}", "dbt.threads"),
        ("dbt: {environment: [\"A*B\"]}", "dbt.environment"),
        ("store: {url: \"mysql://h/d\"}", "store.url"),
        ("runs: {directory: \"\"}", "runs.directory"),
        ("bootstrap: {cluster_size: \" \"}", "bootstrap.cluster_size"),
        ("hydration: {size: \"\"}", "hydration.size"),
        ("environments: {\"\": {}}", "environments."),
        ("environments: {\"a\\nb\": {}}", "environments.a\nb"),
        ("environments: {p: {allow: [x]}}", "environments.p.allow"),
        (
            "environments: {p: {project: {vars: {deploy: 1}}}}",
            "environments.p.project.vars.deploy",
        ),
        ("log: {level: \"\"}", "log.level"),
        ("log: {level: \"cutover=loud\"}", "log.level"),
    ] {
        let found = faults(load(text));
        assert_eq!(
            found.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(),
            [path],
            "{text}"
        );
    }
    for text in [
        "",
        "# nothing\n",
        "---\n",
        "readiness:\n",
        "environments: {p: }",
        "log: {level: \"off\"}",
        "\u{feff}soak: 1s\n",
    ] {
        load(text).expect("no faults");
    }
}

#[test]
fn a_broken_file_is_named_with_the_place() {
    for (text, place) in [
        ("soak: 1s\n  bad: [", ":2:"),
        ("soak: 1s\nsoak: 2s\n", "cutover.yaml"),
        ("a: \t- x: {", "cutover.yaml"),
        ("---\na: 1\n---\nb: 2\n", "cutover.yaml"),
        ("soak: *unknown\n", ":1:"),
    ] {
        let error = load(text).expect_err("it is broken");
        assert!(
            matches!(error, SettingsError::Syntax { .. }),
            "{text:?}: {error:?}"
        );
        assert!(error.to_string().contains(place), "{text:?}: {error}");
        assert_eq!(error.class(), Class::Usage);
    }
    let sources = |name: &str, bytes: &[u8]| {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(name), bytes).expect("written");
        let sources = Sources {
            directory: folder.path().to_path_buf(),
            ..Sources::default()
        };
        Settings::load(&sources).map(|_| ())
    };
    let binary = sources("cutover.yaml", b"soak: 1s\nlog: \xff\n").expect_err("not text");
    assert!(binary.to_string().contains("cutover.yaml:2"), "{binary}");
    let misnamed = sources("cutover.yml", b"").expect_err("not read");
    assert!(
        matches!(misnamed, SettingsError::Misnamed { .. }),
        "{misnamed:?}"
    );
    assert!(sources("else.yaml", b"").is_ok());
    for text in ["[1]", "5", "word"] {
        assert_eq!(faults(load(text))[0].path, "", "{text}");
    }
    for text in [
        "soak: !here 1s",
        "project: {vars: {x: .nan}}",
        "? [a]\n: 1\n",
    ] {
        assert_eq!(faults(load(text)).len(), 1, "{text}");
    }
}

#[test]
fn the_file_that_was_asked_for_must_exist() {
    let folder = folder("soak: 1s\n");
    let sources = |name: &str| Sources {
        file: Some(folder.path().join(name)),
        directory: folder.path().to_path_buf(),
        ..Sources::default()
    };
    fs::write(folder.path().join("other.yml"), "soak: 2s\n").expect("written");
    let loaded = Settings::load(&sources("other.yml")).expect("it exists");
    assert_eq!(loaded.settings.soak, span("2s"));
    let error = Settings::load(&sources("none.yaml")).expect_err("it does not exist");
    assert!(
        matches!(error, SettingsError::Unreadable { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("none.yaml"));
}

const ENVIRONMENTS: &str = "
soak: 1h
allow: [source-rebuilt]
project: {target: dev, profile: shop, vars: {a: 1, b: 2}}
environments:
  prod.eu:
    promotion: manual
    soak: 2h
    allow: [source-rebuilt]
    project: {target: prod, profile: null, vars: {b: null, c: [3]}}
  dev:
";

#[test]
fn an_environment_changes_what_it_names() {
    let loaded = load(ENVIRONMENTS).expect("no faults");
    let merged = loaded
        .for_environment(Some("prod.eu"))
        .expect("it is known");
    let settings = &merged.settings;
    assert_eq!(
        (settings.promotion, settings.cleanup),
        (Policy::Manual, Policy::Automatic)
    );
    assert_eq!(settings.soak, span("2h"));
    assert_eq!(settings.allow, ["source-rebuilt"]);
    assert_eq!(settings.project.target.as_deref(), Some("prod"));
    assert_eq!(settings.project.profile.as_deref(), Some("shop"));
    assert_eq!(
        json!(settings.project.vars),
        json!({"a": 1, "b": null, "c": [3]})
    );
    assert_eq!(merged.environment.as_deref(), Some("prod.eu"));

    assert_eq!(
        loaded.for_environment(None).expect("as it is").settings,
        loaded.settings
    );
    assert_eq!(
        loaded.for_environment(Some("dev")).expect("known").settings,
        loaded.settings
    );
    let error = loaded
        .for_environment(Some("prod"))
        .expect_err("it is not known");
    let SettingsError::UnknownEnvironment { known, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(known, &["dev", "prod.eu"]);
}

#[test]
fn flags_win_over_an_environment_too() {
    let loaded = load_with(
        ENVIRONMENTS,
        &[("CUTOVER__SOAK", "3h")],
        &[
            ("promotion", json!("automatic")),
            ("project.target", json!("other")),
        ],
    )
    .expect("no faults");
    let merged = loaded
        .for_environment(Some("prod.eu"))
        .expect("it is known");
    assert_eq!(merged.settings.promotion, Policy::Automatic);
    assert_eq!(merged.settings.project.target.as_deref(), Some("other"));
    assert_eq!(merged.settings.soak, span("2h"));
    let origins: BTreeMap<String, &str> = merged.changes().collect();
    assert_eq!(origins["promotion"], "--promotion");
    assert!(
        origins["soak"].starts_with("environments.prod.eu in "),
        "{}",
        origins["soak"]
    );
}

#[test]
fn what_is_shown_can_be_read_again() {
    let text = "
soak: 90s
allow: [source-rebuilt]
project: {vars: {'odd: key': \"two\\nlines\", n: {deep: [1.5, true, null]}}}
environments: {'a b#': {promotion: manual}, 'true': {}}
log: {level: '#', format: json}
";
    let loaded = load(&text.replace("'#'", "'off'")).expect("no faults");
    let shown = loaded.show();
    assert!(shown.contains("soak: 1m 30s  # "), "{shown}");
    assert!(shown.contains("\ncleanup: automatic\n"), "{shown}");
    assert_eq!(
        load(&shown).expect("it can be read").settings,
        loaded.settings,
        "{shown}"
    );

    let mut secret = loaded;
    secret.settings.store.url = "postgres://me:s3cr3t@host/db".to_owned();
    assert!(!secret.show().contains("s3cr3t"));
}

#[test]
fn durations_are_written_with_their_unit() {
    for millis in [0, 1, 250, 1_000, 90_500, 7_200_000] {
        let span = Span(Duration::from_millis(millis));
        let text = serde_json::to_string(&span).expect("written");
        assert_eq!(serde_json::from_str::<Span>(&text).expect("read"), span);
    }
}

#[test]
fn the_artifact_store_is_checked_and_its_secrets_are_not_taken() {
    let loaded = load_with(
        "artifacts:\n  url: s3://bucket/prefix\n  options: {endpoint: 'http://h:9000', allow_http: true}\n",
        &[("CUTOVER__ARTIFACTS__OPTIONS__REGION", "eu-west-1")],
        &[],
    )
    .expect("no faults");
    let texts: Vec<(String, String)> = loaded.settings.artifacts.texts().into_iter().collect();
    let expected = [
        ("allow_http", "true"),
        ("endpoint", "http://h:9000"),
        ("region", "eu-west-1"),
    ];
    assert_eq!(
        texts,
        expected.map(|(key, value)| (key.to_owned(), value.to_owned()))
    );
    assert_eq!(
        load(&loaded.show()).expect("it can be read").settings,
        loaded.settings
    );

    let found = faults(load(concat!(
        "artifacts:\n  url: s3://bucket\n  options:\n",
        "    secret_access_key: s3cr3t\n    region: [a]\n    regoin: eu\n",
    )));
    let paths: Vec<&str> = found.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "artifacts.options.region",
            "artifacts.options.regoin",
            "artifacts.options.secret_access_key"
        ]
    );
    let text = format!("{found:?}");
    assert!(
        text.contains("AWS_SECRET_ACCESS_KEY") && !text.contains("s3cr3t"),
        "{text}"
    );
    let found = faults(load("artifacts: {url: 's3://me:s3cr3t@bucket'}\n"));
    assert_eq!(found[0].path, "artifacts.url");
    assert!(!format!("{found:?}").contains("s3cr3t"), "{found:?}");
    let mut secret = loaded;
    secret.settings.artifacts.url = "s3://me:s3cr3t@bucket/x?sig=s3cr3t".to_owned();
    assert!(!secret.show().contains("s3cr3t"));
}
