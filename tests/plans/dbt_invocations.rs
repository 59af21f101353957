//! Real dbt takes every command line that is made for it, and says what is expected of it.
//!
//! Needs a dbt: `CUTOVER_TEST_DBT`, or `.venv/bin/dbt` in this repository. Without one it says so and passes.

use cutover::adapters::dbt::{BuildError, Dbt, Invoker, PrivateProfile};
use cutover::domain::progress::Reporter;
use cutover::foundation::failure::{Class, Classify};
use cutover::foundation::process::environment::{Passes, Variables, allowed};
use cutover::inputs::manifest::run_results::CompileResults;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const PROJECT: &str =
    "name: shop\nprofile: shop\nflags: {fail_fast: true, favor_state: true, quiet: true}\n";
/// A port where nobody listens.
const OUTPUT: &str = "{type: materialize, host: \"{{ env_var('SHOP_HOST') }}\", port: 1, user: u, pass: \"{x#\", dbname: d, schema: public, cluster: c}";

fn dbt() -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/dbt");
    std::env::var_os("CUTOVER_TEST_DBT")
        .map(PathBuf::from)
        .or_else(|| repository.is_file().then_some(repository))
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}

fn invoker(dbt: &Path, folder: &Path) -> Invoker {
    let project_dir = folder.join("project");
    write(&project_dir.join("dbt_project.yml"), PROJECT);
    write(
        &project_dir.join("models/orders.sql"),
        "select '{{ target.cluster }} {{ var(\"deploy\", \"plain\") }}' as id",
    );
    write(
        &project_dir.join("tests/positive.sql"),
        "select * from {{ ref('orders') }}",
    );
    write(
        &folder.join("profiles/profiles.yml"),
        &format!("shop: {{target: production, outputs: {{production: {OUTPUT}}}}}"),
    );
    let mut environment: Variables = allowed(std::env::vars_os(), &Passes::default());
    environment.insert("SHOP_HOST".into(), "127.0.0.1".into());
    Invoker {
        dbt: Dbt::locate(Some(dbt), &project_dir, None).expect("a dbt"),
        project_dir,
        profiles_dir: folder.join("profiles"),
        profile: Some("shop".to_owned()),
        target: Some("production".to_owned()),
        vars: serde_json::Map::new(),
        run_dir: folder.join("run"),
        environment,
        threads: Some(2),
        command_timeout: Duration::from_secs(120),
        build_timeout: Duration::from_secs(120),
        stop_timeout: Duration::from_secs(5),
        cancel: CancellationToken::new(),
        hurry: CancellationToken::new(),
        reporter: Reporter::silent(),
    }
}

fn refused(result: Result<cutover::adapters::dbt::Invocation, BuildError>) {
    let error = result.expect_err("nobody listens there");
    assert_eq!(error.class(), Class::Transient, "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[tokio::test]
async fn real_dbt_takes_every_command_line() {
    let Some(dbt) = dbt() else {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: no dbt in CUTOVER_TEST_DBT or .venv");
        }
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let invoker = invoker(&dbt, folder.path());
    invoker
        .dbt
        .version(
            &invoker.environment,
            invoker.command_timeout,
            &invoker.cancel,
        )
        .await
        .expect("it is supported");
    invoker.deps().await.expect("there are no packages");
    let plain = invoker.parse(false).await.expect("it parses");
    assert!(plain.tail.contains("Running with dbt="), "{}", plain.tail);
    invoker.parse(true).await.expect("it parses");

    // No server is asked, and a name is a text whatever it looks like.
    let names = ["c", "\"{{ x }} %} \\ ü\""];
    let asked = invoker.cluster_names(names, true).await.expect("compiled");
    let results = CompileResults::read(&asked.run_results.expect("results")).expect("results");
    let code = results.results[0].compiled_code.as_deref().expect("a text");
    let found: BTreeMap<String, String> = serde_json::from_str(code).expect("JSON");
    let expected = names.map(|name| (name.to_owned(), format!("{name}_dbt_deploy")));
    assert_eq!(found, BTreeMap::from(expected));

    let selectors = |name: &str| vec![format!("fqn:shop.{name}")];
    refused(
        invoker
            .build_nodes(&selectors("orders"), &plain.target_dir)
            .await,
    );
    let output = serde_yaml::from_str(OUTPUT).expect("YAML");
    let private = folder.path().join("private");
    let profile = PrivateProfile::write(&private, "shop", "production", &output, "c_dbt_deploy")
        .expect("a profile");
    refused(
        invoker
            .test_nodes(&selectors("positive"), &plain.target_dir, Some(&profile))
            .await,
    );
    drop(profile);
    assert!(!private.exists());
    let entries: Vec<_> = std::fs::read_dir(&invoker.project_dir)
        .expect("the project")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name == "target" || name == "logs")
        .collect();
    assert!(entries.is_empty(), "{entries:?}");

    write(
        &invoker.project_dir.join("models/broken.sql"),
        "select * from {{ ref('nowhere') }}",
    );
    let error = invoker.parse(false).await.expect_err("it is broken");
    assert_eq!(error.class(), Class::Permanent);
    let text = error.to_string();
    assert!(
        text.contains("models/broken.sql") && text.contains("'nowhere'"),
        "{text}"
    );
}
