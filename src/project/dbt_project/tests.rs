#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
use super::super::{Arguments, Project};
use super::*;

const PROFILES: &str = "shop:\n  target: prod\n  outputs:\n    prod: &o {type: materialize, host: h, port: 6875, user: u, password: p, database: d, schema: s}\n    dev: *o\n";

const PROJECT: &str = r#"
name: shop
profile: "{{ env_var('PROFILE', 'shop') }}"
version: "1.0"
require-dbt-version: ">=1.9.0,<2.0.0"
target-path: "out_{{ target.name }}"
model-paths: [models, more]
on-run-end: "{{ nobody_renders_this() }}"
vars:
  prefix: "x_{{ env_var('P', 'p') }}"
  deployment:
    prod:
      clusters: ["{{ env_var('CLUSTER', 'compute') }}"]
      schemas:
        - marts
        - "{{ var('prefix') }}_{{ target.name }}"
    listed:
      schemas: "{{ env_var('SCHEMAS', 'a,b').split(',') }}"
    bad:
      cluster: c
      clusters: [a, 1, a, "", " b", [x]]
      schemas:
        - "{{ env_var('NOPE') }}"
    text: production
    nothing: {clusters: []}
"#;

fn open(
    project: &str,
    arguments: Arguments,
    environment: &[(&str, &str)],
) -> Result<Project, String> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("dbt_project.yml"), project).unwrap();
    std::fs::write(dir.path().join("profiles.yml"), PROFILES).unwrap();
    let environment = environment.iter().copied().collect();
    let clean = |text: String| text.replace(&dir.path().display().to_string(), "…");
    Project::open(&arguments, &environment, dir.path()).map_err(|error| clean(error.to_string()))
}

fn deployment(target: &str, vars: Option<&str>) -> Result<Deployment, String> {
    let arguments = Arguments {
        vars: vars.map(str::to_owned),
        ..Arguments::default()
    };
    let project = open(PROJECT, arguments, &[]).unwrap();
    let root = project.dbt.path.display().to_string();
    project
        .dbt
        .deployment(target)
        .map_err(|error| error.to_string().replace(&root, "…"))
}

#[test]
fn reads_a_project_under_its_target() {
    let project = open(PROJECT, Arguments::default(), &[]).unwrap();
    let dbt = &project.dbt;
    assert_eq!(dbt.name, "shop");
    assert_eq!(dbt.profile.as_deref(), Some("shop"));
    assert_eq!(dbt.target_path, dbt.path.join("out_prod"));
    assert_eq!(dbt.packages_install_path, dbt.path.join("dbt_packages"));
    assert_eq!(dbt.require_dbt_version, [">=1.9.0", "<2.0.0"]);
    assert_eq!(dbt.source_paths.models, ["models", "more"]);
    assert_eq!(dbt.source_paths.seeds, ["seeds"]);
    let wanted = Deployment {
        clusters: vec!["compute".into()],
        schemas: vec!["marts".into(), "x_p_prod".into()],
    };
    assert_eq!(project.deployment().unwrap(), wanted);

    let arguments = Arguments {
        target_path: Some("elsewhere".into()),
        ..Arguments::default()
    };
    let project = open(PROJECT, arguments, &[("DBT_TARGET", "dev")]).unwrap();
    assert_eq!(project.profile.target, "dev");
    assert_eq!(
        project.dbt.manifest_path(),
        project.dbt.path.join("elsewhere/manifest.json")
    );
}

#[test]
fn the_command_line_wins_then_the_project_scope() {
    let given = deployment(
        "prod",
        Some("{deployment: {prod: {schemas: [s]}}, prefix: y}"),
    )
    .unwrap();
    assert_eq!(
        given,
        Deployment {
            clusters: vec![],
            schemas: vec!["s".into()]
        }
    );
    let prefix = deployment("prod", Some("prefix: y")).unwrap();
    assert_eq!(prefix.schemas, ["marts", "y_prod"]);
    assert_eq!(deployment("listed", None).unwrap().schemas, ["a", "b"]);
    let scoped = format!("{PROJECT}  shop:\n    deployment: {{prod: {{schemas: [own]}}}}\n");
    let project = open(&scoped, Arguments::default(), &[]).unwrap();
    assert_eq!(project.deployment().unwrap().schemas, ["own"]);
}

#[test]
fn a_missing_target_says_what_to_add() {
    insta::assert_snapshot!(deployment("stag", None).unwrap_err(), @r###"
    …/dbt_project.yml:11: `vars.deployment`: the target `stag` is missing, there is only prod, listed, bad, text, nothing; add to …/dbt_project.yml:
      vars:
        deployment:
          stag:
            clusters: []  # final names of the clusters to release
            schemas: []   # final names of the schemas to release
    "###);
    let none = open("name: shop\nprofile: shop\n", Arguments::default(), &[]).unwrap();
    let error = none.deployment().unwrap_err().to_string();
    assert!(
        error.contains("there is no variable `deployment`")
            && error.contains("  vars:\n    deployment:\n      prod:"),
        "{error}"
    );
    let error = deployment("x", Some("deployment: {}")).unwrap_err();
    assert!(
        error.starts_with("--vars: `deployment`: the target `x` is missing"),
        "{error}"
    );
}

#[test]
fn every_fault_is_named() {
    let texts = ["bad", "text", "nothing"].map(|target| deployment(target, None).unwrap_err());
    insta::assert_snapshot!(texts.join("\n"), @r###"
    …/dbt_project.yml:20: `vars.deployment.bad.cluster`: is not read; name it `clusters:` and give a list
    …/dbt_project.yml:21: `vars.deployment.bad.clusters[1]`: expected a name, found a number; write the name as text, in quotes
    …/dbt_project.yml:21: `vars.deployment.bad.clusters[2]`: the name `a` is repeated; remove one of the two
    …/dbt_project.yml:21: `vars.deployment.bad.clusters[3]`: the name is empty; write a name or remove the item
    …/dbt_project.yml:21: `vars.deployment.bad.clusters[4]`: the name ` b` begins or ends with a blank; remove the blank
    …/dbt_project.yml:21: `vars.deployment.bad.clusters[5]`: expected a name, found a list; write the name as text, in quotes
    …/dbt_project.yml:23: `vars.deployment.bad.schemas[0]`: cannot render `{{ env_var('NOPE') }}`: environment variable NOPE is not set; set it, or give a default: env_var('NOPE', '…'); correct the value or set what it reads
    …/dbt_project.yml:24: `vars.deployment.text`: expected `clusters:` and `schemas:`, found text; write for example `{clusters: [compute], schemas: [marts]}`
    …/dbt_project.yml:25: `vars.deployment.nothing`: lists no cluster and no schema, so there is nothing to release; write for example `{clusters: [compute], schemas: [marts]}`
    "###);
}

#[test]
fn a_broken_project_is_named() {
    let cases = [
        "profile: shop\n",
        "name: 1shop\nprofile: shop\nvars: [a]\nmodel-paths: models\n",
        "name: shop\nprofile: \"{{ env_var('NOPE') }}\"\n",
        "name: shop\nprofile: [a]\n",
        "name: shop\n",
        "- a\n",
    ];
    let texts = cases.map(|project| open(project, Arguments::default(), &[]).unwrap_err());
    insta::assert_snapshot!(texts.join("\n"), @r###"
    …/dbt_project.yml: `name`: is missing; add `name: my_project`
    …/dbt_project.yml:1: `name`: `1shop` is no project name; use letters, digits and underscores, no digit first
    …/dbt_project.yml:4: `model-paths`: expected a list of text; write `[a, b]`
    …/dbt_project.yml:3: `vars`: expected a mapping, found a list; write `name: value` lines under it
    …/dbt_project.yml:2: `profile`: cannot render `{{ env_var('NOPE') }}`: environment variable NOPE is not set; set it, or give a default: env_var('NOPE', '…'); correct the value or set what it reads
    …/dbt_project.yml:2: `profile`: expected text, found a list; put the value in quotes
    dbt_project.yml: no `profile:` is named; add `profile: NAME`, or pass --profile
    …/dbt_project.yml: expected a mapping of keys, found a list; write it as `key: value` lines
    "###);
}

#[test]
fn a_variable_that_names_itself_is_an_error() {
    let project = PROJECT.replace("x_{{ env_var('P', 'p') }}", "{{ var('prefix') }}");
    let project = open(&project, Arguments::default(), &[]).unwrap();
    let error = project.deployment().unwrap_err().to_string();
    assert!(error.contains("refers to itself"), "{error}");
}

#[test]
fn packages_are_counted_as_dbt_counts_them() {
    let dir = tempfile::tempdir().unwrap();
    let install = dir.path().join("dbt_packages");
    let find = || Packages::find(dir.path(), &install);
    let none = find().unwrap();
    assert!(none.file.is_none() && !none.needs_install());
    std::fs::write(
        dir.path().join("packages.yml"),
        "packages:\n  - package: a/b\n",
    )
    .unwrap();
    assert!(find().unwrap().needs_install());
    std::fs::create_dir_all(install.join("b")).unwrap();
    std::fs::create_dir_all(install.join("__pycache__")).unwrap();
    let found = find().unwrap();
    assert_eq!(
        (found.listed, found.installed, found.needs_install()),
        (1, 1, false)
    );
    std::fs::write(dir.path().join("dependencies.yml"), "packages: []\n").unwrap();
    assert!(
        find()
            .unwrap_err()
            .to_string()
            .contains("keep one of the two")
    );
}
