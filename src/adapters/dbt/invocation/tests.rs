use super::{Invoker, records};
use crate::adapters::dbt::error::BuildError;
use crate::adapters::dbt::profiles::PrivateProfile;
use crate::adapters::dbt::program::tests::fake;
use crate::domain::progress::Reporter;
use crate::foundation::failure::{Class, Classify};
use crate::foundation::process::environment::Variables;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Writes its arguments, one a line, to `$RUN/arguments`, and finds its `--target-path` in `$target`.
const PREAMBLE: &str = r#"
printf '%s\n' "$@" > "$RUN/arguments"
env | sort > "$RUN/environment"
target=; previous=
for argument; do
  [ "$previous" = --target-path ] && target="$argument"
  previous="$argument"
done
"#;

fn invoker(folder: &Path, body: &str) -> Invoker {
    Invoker {
        dbt: fake(&folder.join("bin/dbt"), &format!("{PREAMBLE}{body}")),
        project_dir: folder.to_owned(),
        profiles_dir: folder.join("profiles dir"),
        profile: Some("shop".to_owned()),
        target: Some("production".to_owned()),
        vars: serde_json::from_str(r#"{"region": "it's \"eu\""}"#).expect("JSON"),
        run_dir: folder.to_owned(),
        environment: Variables::from([
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("RUN".into(), folder.into()),
        ]),
        threads: Some(3),
        command_timeout: Duration::from_secs(60),
        build_timeout: Duration::from_secs(60),
        stop_timeout: Duration::from_millis(50),
        cancel: CancellationToken::new(),
        hurry: CancellationToken::new(),
        reporter: Reporter::silent(),
    }
}

fn arguments(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("arguments")).expect("the arguments");
    text.lines()
        .map(|line| line.replace(&folder.display().to_string(), "RUN"))
        .collect()
}

fn selectors(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[tokio::test]
async fn parse_returns_the_manifest_and_not_a_stale_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let writes = invoker(folder.path(), r#"echo '{}' > "$target/manifest.json""#);
    let invocation = writes.parse(false).await.expect("it parses");
    assert_eq!(
        invocation.manifest,
        Some(folder.path().join("parse/target/manifest.json"))
    );
    let flags = arguments(folder.path());
    assert_eq!(flags[0], "parse");
    assert!(
        flags.contains(&r#"{"region":"it's \"eu\""}"#.to_owned()),
        "{flags:?}"
    );

    let forgets = invoker(folder.path(), "exit 0");
    let error = forgets
        .parse(false)
        .await
        .expect_err("there is no manifest");
    assert!(matches!(error, BuildError::Artifact { .. }), "{error}");
}

#[tokio::test]
async fn names_of_clusters_are_asked_for_in_a_folder_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let invoker = invoker(folder.path(), r#"echo '{}' > "$target/run_results.json""#);
    let invocation = invoker.cluster_names(["it's \"c\""], false).await;
    assert!(invocation.expect("compiled").run_results.is_some());
    insta::assert_snapshot!(arguments(folder.path()).join(" "), @r#"compile --project-dir RUN --profiles-dir RUN/profiles dir --profile shop --target production --log-path RUN/clusters/logs --log-format json --log-level info --no-quiet --no-use-colors --no-send-anonymous-usage-stats --write-json --vars {"region":"it's \"eu\""} --target-path RUN/clusters/target --threads 3 --no-populate-cache --inline {%- set found = {} -%}{%- for name in ["it's \"c\""] -%}{%- do found.update({name: adapter.generate_final_cluster_name(name)}) -%}{%- endfor -%}{{ tojson(found) }}"#);
    assert!(records(folder.path()).all(|record| !record.exists()));
}

#[tokio::test]
async fn build_defers_what_is_not_selected_and_runs_no_test() {
    let folder = tempfile::tempdir().expect("a folder");
    let invoker = invoker(
        folder.path(),
        r#"echo '{}' > "$target/run_results.json"; exit 1"#,
    );
    let invocation = invoker
        .build_nodes(
            &selectors(&["fqn:a", "fqn:b,file:b.sql"]),
            Path::new("/state"),
        )
        .await
        .expect("failed nodes are no error");
    assert_eq!(invocation.exit_code, 1);
    assert!(invocation.run_results.is_some());
    insta::assert_snapshot!(arguments(folder.path()).join(" "), @r#"build --project-dir RUN --profiles-dir RUN/profiles dir --profile shop --target production --log-path RUN/build/logs --log-format json --log-level info --no-quiet --no-use-colors --no-send-anonymous-usage-stats --write-json --vars {"deploy":true,"region":"it's \"eu\""} --target-path RUN/build/target --threads 3 --defer --favor-state --defer-state /state --no-fail-fast --exclude-resource-types test unit_test saved_query exposure --indirect-selection empty --select fqn:a fqn:b,file:b.sql"#);
    assert!(records(folder.path()).all(|record| !record.exists()));
}

#[tokio::test]
async fn tests_do_not_favour_the_state_and_use_the_private_profile() {
    let folder = tempfile::tempdir().expect("a folder");
    let invoker = invoker(folder.path(), r#"echo '{}' > "$target/run_results.json""#);
    let output = serde_yaml::from_str("{type: materialize, pass: hidden}").expect("YAML");
    let private = folder.path().join("private");
    let profile =
        PrivateProfile::write(&private, "shop", "production", &output, "green").expect("a profile");
    invoker
        .test_nodes(&selectors(&["fqn:t"]), Path::new("/state"), Some(&profile))
        .await
        .expect("it tests");
    let flags = arguments(folder.path()).join(" ");
    assert!(
        flags.contains("--defer --no-favor-state --defer-state /state"),
        "{flags}"
    );
    assert!(flags.contains("--profiles-dir RUN/private "), "{flags}");
    assert!(!flags.contains("hidden"), "{flags}");
    let environment =
        std::fs::read_to_string(folder.path().join("environment")).expect("the environment");
    assert!(environment.contains("DBT_ENV_SECRET_CUTOVER_PASSWORD=hidden"));
    assert!(environment.contains("CUTOVER_CLUSTER=green"));
}

#[tokio::test]
async fn nothing_selected_never_means_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let invoker = invoker(folder.path(), "");
    let error = invoker.build_nodes(&[], Path::new("/state")).await;
    assert!(matches!(error, Err(BuildError::NothingSelected { .. })));
    assert!(!folder.path().join("arguments").exists());
}

#[tokio::test]
async fn thousands_of_selectors_fit_and_too_many_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let invoker = invoker(folder.path(), r#"echo '{}' > "$target/run_results.json""#);
    let many = |count: usize| -> Vec<String> {
        (0..count)
            .map(|n| format!("fqn:project.a_folder.another_folder.a_rather_long_model_name_{n:06}"))
            .collect()
    };
    invoker
        .build_nodes(&many(15_000), Path::new("/state"))
        .await
        .expect("they fit");
    let error = invoker
        .build_nodes(&many(30_000), Path::new("/state"))
        .await
        .expect_err("they do not");
    assert!(
        matches!(error, BuildError::TooLong { nodes: 30_000, .. }),
        "{error}"
    );
    assert!(error.hint().is_some());
    // So it is said while planning.
    invoker
        .fits(&many(15_000), &many(15_000))
        .expect("they fit");
    for (nodes, tests) in [(30_000, 1), (1, 30_000)] {
        let error = invoker.fits(&many(nodes), &many(tests)).expect_err("no");
        assert!(matches!(error, BuildError::TooLong { nodes: 30_000, .. }));
    }
    invoker.fits(&[], &[]).expect("nothing is run");
}

/// Messages that dbt 1.11.16 wrote, all with exit code 2.
#[tokio::test]
async fn what_dbt_says_reaches_the_error() {
    let folder = tempfile::tempdir().expect("a folder");
    for (words, class) in [
        (
            r"Compilation Error\\n  Model 'model.tricky.bad' (models/bad.sql) depends on a node named 'nope' which was not found",
            Class::Permanent,
        ),
        (
            r"Parsing Error\\n  Env var required but not provided: 'NOPE'",
            Class::Permanent,
        ),
        (
            r"Database Error\\n  connection to server at 127.0.0.1, port 1 failed: Connection refused",
            Class::Transient,
        ),
    ] {
        let line = format!(
            r#"{{"data": {{"exc": "{words}"}}, "info": {{"level": "error", "msg": "Encountered an error:", "name": "MainEncounteredError"}}}}"#
        );
        let invoker = invoker(
            folder.path(),
            &format!("printf '%b\\n' \"$(cat <<'END'\n{line}\nEND\n)\"; exit 2"),
        );
        let error = invoker.parse(true).await.expect_err(words);
        assert_eq!(error.class(), class, "{error}");
        let last = words.rsplit("  ").next().expect("words");
        assert!(error.to_string().contains(last), "{error}");
    }
}

#[tokio::test]
async fn a_traceback_reaches_the_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let invoker = invoker(folder.path(), "echo 'ImportError: no module' >&2; exit 1");
    let error = invoker
        .build_nodes(&selectors(&["fqn:a"]), Path::new("/state"))
        .await
        .expect_err("it never came to the nodes");
    assert!(
        error
            .to_string()
            .contains("exit code 1: ImportError: no module"),
        "{error}"
    );
}

#[tokio::test]
async fn a_deadline_shows_the_last_messages_not_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut invoker = invoker(
        folder.path(),
        r#"echo '{"info": {"level": "info", "msg": "1 of 9 START b"}}'; exec sleep 600"#,
    );
    invoker.command_timeout = Duration::from_millis(500);
    let error = invoker.deps().await.expect_err("it is late");
    assert!(
        error.to_string().contains("output:\n1 of 9 START b"),
        "{error}"
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("timeout")));
    assert!(!arguments(folder.path()).contains(&"--target-path".to_owned()));
}

#[tokio::test]
async fn cancellation_is_an_interruption() {
    let folder = tempfile::tempdir().expect("a folder");
    let invoker = invoker(folder.path(), "exec sleep 600");
    invoker.cancel.cancel();
    let error = invoker.deps().await.expect_err("it is cancelled");
    assert_eq!(error.class(), Class::Interrupted);
}
