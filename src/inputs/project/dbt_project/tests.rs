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
    // What follows a line of dashes is `vars.yml`.
    let (project, vars) = match project.split_once("\n-----\n") {
        Some((project, vars)) => (project, Some(vars)),
        None => (project, None),
    };
    std::fs::write(dir.path().join("dbt_project.yml"), project).unwrap();
    std::fs::write(dir.path().join("profiles.yml"), PROFILES).unwrap();
    if let Some(vars) = vars {
        std::fs::write(dir.path().join("vars.yml"), vars).unwrap();
    }
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
    assert_eq!(dbt.target_path, dbt.path.join("out_prod"));
    assert_eq!(dbt.packages_install_path, dbt.path.join("dbt_packages"));
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
        "name: 1shop\nprofile: shop\npackages-install-path: [a]\n",
        "name: shop\nprofile: shop\nvars: [a]\n",
        "name: shop\nprofile: shop\n-----\nvars: [a]\n",
        "name: shop\nprofile: shop\n-----\nvars: {\n",
        "name: shop\nprofile: \"{{ env_var('NOPE') }}\"\n",
        "name: shop\nprofile: [a]\n",
        "name: shop\n",
        "- a\n",
    ];
    let texts = cases.map(|project| open(project, Arguments::default(), &[]).unwrap_err());
    insta::assert_snapshot!(texts.join("\n"), @r###"
    …/dbt_project.yml: `name`: is missing; add `name: my_project`
    …/dbt_project.yml:1: `name`: `1shop` is no project name; use letters, digits and underscores, no digit first
    …/dbt_project.yml:3: `packages-install-path`: expected text, found a list; put the value in quotes
    …/dbt_project.yml:3: `vars`: expected a mapping, found a list; write `name: value` lines under it
    …/vars.yml:1: `vars`: expected a mapping, found a list; write `name: value` lines under it
    …/vars.yml:2: not valid YAML; correct the syntax there
    …/dbt_project.yml:2: `profile`: cannot render `{{ env_var('NOPE') }}`: environment variable NOPE is not set; set it, or give a default: env_var('NOPE', '…'); correct the value or set what it reads
    …/dbt_project.yml:2: `profile`: expected text, found a list; put the value in quotes
    dbt_project.yml: no `profile:` is named; add `profile: NAME`, or pass --profile
    …/dbt_project.yml: expected a mapping of keys, found a list; write it as `key: value` lines
    "###);
}

#[test]
fn variables_may_stand_in_a_file_of_their_own() {
    let (project, vars) = PROJECT.split_once("vars:").unwrap();
    let apart = format!(
        "{project}packages-install-path: \"{{{{ var('prefix') }}}}\"\n-----\n\u{feff}# dbt 1.12\nvars:{vars}"
    );
    let open_apart = |arguments| open(&apart, arguments, &[]).unwrap();
    let opened = open_apart(Arguments::default());
    let wanted = Deployment {
        clusters: vec!["compute".into()],
        schemas: vec!["marts".into(), "x_p_prod".into()],
    };
    assert_eq!(opened.deployment().unwrap(), wanted);
    assert!(opened.dbt.vars_file().ends_with("vars.yml"));
    assert_eq!(opened.warnings().count(), 0);
    // dbt hands these variables to dbt_project.yml, and the command line wins.
    let install = |project: &Project| project.dbt.packages_install_path.clone();
    assert!(install(&opened).ends_with("x_p"));
    let given = open_apart(Arguments {
        vars: Some("prefix: y".to_owned()),
        ..Arguments::default()
    });
    assert!(install(&given).ends_with("y"));
    assert_eq!(given.deployment().unwrap().schemas, ["marts", "y_prod"]);

    let clean = |project: &Project, error: Error| {
        let root = project.dbt.path.display().to_string();
        error.to_string().replace(&root, "…")
    };
    let empty = "name: shop\nprofile: shop\n-----\nvars:\n  other: 1\n";
    let empty = open(empty, Arguments::default(), &[]).unwrap();
    let texts = ["text", "elsewhere"].map(|target| {
        let error = opened.dbt.deployment(target).unwrap_err();
        clean(&opened, error)
    });
    let error = empty.dbt.deployment("prod").unwrap_err();
    insta::assert_snapshot!([texts.join("\n"), clean(&empty, error)].join("\n"), @r###"
    …/vars.yml:17: `vars.deployment.text`: expected `clusters:` and `schemas:`, found text; write for example `{clusters: [compute], schemas: [marts]}`
    …/vars.yml:4: `vars.deployment`: the target `elsewhere` is missing, there is only prod, listed, bad, text, nothing; add to …/vars.yml:
      vars:
        deployment:
          elsewhere:
            clusters: []  # final names of the clusters to release
            schemas: []   # final names of the schemas to release
    …/vars.yml:1: `vars`: there is no variable `deployment`; add to …/vars.yml:
      vars:
        deployment:
          prod:
            clusters: []  # final names of the clusters to release
            schemas: []   # final names of the schemas to release
    "###);
}

#[test]
fn variables_in_both_files_are_those_that_every_dbt_reads() {
    let both = format!("{PROJECT}\n-----\nvars:\n  deployment: {{prod: {{schemas: [other]}}}}\n");
    let project = open(&both, Arguments::default(), &[]).unwrap();
    assert_eq!(project.deployment().unwrap().schemas, ["marts", "x_p_prod"]);
    let warnings: Vec<&str> = project.warnings().collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("/vars.yml:1: `vars`: stands in ")
            && warnings[0].contains("dbt 1.12 refuses both"),
        "{warnings:?}"
    );
    // To an older dbt the file is any file.
    for other in ["- a\n", "{", "vars:\n", "prefix: z\n"] {
        let project = format!("{PROJECT}\n-----\n{other}");
        let project = open(&project, Arguments::default(), &[]).unwrap();
        assert_eq!(project.warnings().count(), 0, "{other}");
    }
}

#[test]
fn what_a_release_does_without_refuses_nothing() {
    let project = format!(
        "{PROJECT}log-path: \"{{{{ nothing.here() }}}}\"\nrequire-dbt-version: \"{{{{ nor.here() }}}}\"\n\
         models:\n  shop: {{+schema: \"{{{{ nor.here() }}}}\"}}\n"
    );
    let project = project.replace(
        "target-path: \"out_{{ target.name }}\"",
        "target-path: \"{{ nor.here() }}\"",
    );
    let project = project.replace("require-dbt-version: \">=1.9.0,<2.0.0\"\n", "");
    let opened = open(&project, Arguments::default(), &[]).unwrap();
    assert!(opened.deployment().is_ok());
    assert!(opened.dbt.target_path.ends_with("target"));
    let warnings: Vec<&str> = opened.warnings().collect();
    assert!(
        warnings.len() == 1
            && warnings[0].contains("/dbt_project.yml:5: `target-path`: cannot render"),
        "{warnings:?}"
    );
    let given = Arguments {
        target_path: Some("elsewhere".into()),
        ..Arguments::default()
    };
    assert_eq!(open(&project, given, &[]).unwrap().warnings().count(), 0);
}

#[test]
fn repeated_keys_and_byte_order_marks_are_taken_as_dbt_takes_them() {
    let project = format!("\u{feff}{PROJECT}name: store\n").replace("name: shop", "name: old");
    let opened = open(&project, Arguments::default(), &[]).unwrap();
    assert_eq!(opened.dbt.name, "store");
    let warnings: Vec<&str> = opened.warnings().collect();
    assert!(
        warnings.len() == 1 && warnings[0].contains("/dbt_project.yml:26: `name`: is repeated"),
        "{warnings:?}"
    );
}

#[test]
fn a_variable_that_names_itself_is_an_error() {
    let project = PROJECT.replace("x_{{ env_var('P', 'p') }}", "{{ var('prefix') }}");
    let project = open(&project, Arguments::default(), &[]).unwrap();
    let error = project.deployment().unwrap_err().to_string();
    assert!(error.contains("refers to itself"), "{error}");
}
