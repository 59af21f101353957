#![expect(clippy::unwrap_used, reason = "a panic is the failure of a test")]
use secrecy::ExposeSecret;

use super::*;

const FILE: &str = r#"
config:
  send_anonymous_usage_stats: false
other:
  target: "{{ env_var('NOPE') }}"
  outputs: {dev: {type: materialize, host: "{{ broken"}}
shop:
  target: "{{ env_var('TGT', 'dev') }}"
  outputs:
    prod: {type: materialize, host: "{{ env_var('NOPE') }}"}
    pg: {type: postgres}
    dev:
      type: materialize
      host: "{{ env_var('H', 'localhost') }}"
      port: "{{ env_var('P', '6875') | int }}"
      user: mz
      pass: "{{ env_var('DBT_ENV_SECRET_PW', 'x') }}"
      dbname: materialize
      schema: public
      cluster: "{{ var('cluster', 'c1') }}"
      sslmode: require
      threads: "{{ env_var('TH', '4') | as_number }}"
      options: {statement_timeout: "{{ env_var('ST', '10s') }}"}
    bad:
      type: materialize
      port: "6875"
      user: 12
      password: "a{{b"
      pass: again
      database: d
      schema:
      sslmode: "on"
      retries: some
      connect_timeout: -1
      options: {a: 1}
      cluster: "{{ env_var('NOPE') }}"
none: {outputs: [a]}
"#;

fn read(
    profile: Option<&str>,
    target: Option<&str>,
    environment: &[(&str, &str)],
) -> Result<Profile, Error> {
    let document = Document::parse(Path::new("profiles.yml"), FILE.to_owned())?;
    let environment = environment.iter().copied().collect();
    let vars = Variables::new();
    let request = Request {
        profiles_dir: Path::new("/"),
        profile,
        target,
        vars: &vars,
    };
    Profile::choose(
        &document,
        profile.unwrap_or_default(),
        &request,
        &environment,
    )
}

#[test]
fn reads_a_target_with_defaults_and_hides_it() {
    let profile = read(
        Some("shop"),
        None,
        &[("DBT_ENV_SECRET_PW", "s3cr3t"), ("H", "mz.example")],
    )
    .unwrap();
    let credentials = &profile.credentials;
    assert_eq!((profile.target.as_str(), profile.threads), ("dev", 4));
    assert_eq!(
        (credentials.host.as_str(), credentials.port),
        ("mz.example", 6875)
    );
    assert_eq!(credentials.password.expose_secret(), "s3cr3t");
    assert_eq!(credentials.database, "materialize");
    assert_eq!(credentials.cluster.as_deref(), Some("c1"));
    assert_eq!(credentials.sslmode, Some(SslMode::Require));
    assert_eq!(
        (
            credentials.connect_timeout,
            credentials.keepalives_idle,
            credentials.retries
        ),
        (10, 0, 1)
    );
    assert_eq!(credentials.options["statement_timeout"], "10s");
    let shown = format!("{profile:?} {credentials:?} {:?}", profile.target_value());
    assert!(!shown.contains("s3cr3t"), "{shown}");
    assert_eq!(profile.target_value()["name"], Value::from("dev"));
}

#[test]
fn every_fault_is_reported_with_its_place() {
    let faults = read(Some("shop"), Some("bad"), &[])
        .unwrap_err()
        .to_string();
    insta::assert_snapshot!(faults, @r###"
    profiles.yml:24: `shop.outputs.bad.host`: is missing; add `host: …` to this target
    profiles.yml:26: `shop.outputs.bad.port`: expected a whole number from 1 to 65535, `6875` is text; write a bare number, or `"{{ env_var('…') | int }}"` for `port`
    profiles.yml:27: `shop.outputs.bad.user`: expected text, found a number; put the value in quotes
    profiles.yml:28: `shop.outputs.bad.password`: is given and so is `pass`, which means the same; remove one of the two
    profiles.yml:31: `shop.outputs.bad.schema`: expected text, found nothing; put the value in quotes
    profiles.yml:32: `shop.outputs.bad.sslmode`: `on` is no sslmode; use one of disable, allow, prefer, require, verify-ca, verify-full
    profiles.yml:33: `shop.outputs.bad.retries`: expected a whole number from 0 to 4294967295, `some` is text; write a bare number, or `"{{ env_var('…') | int }}"` for `retries`
    profiles.yml:34: `shop.outputs.bad.connect_timeout`: expected a whole number from 0 to 4294967295, `-1` is a number; write a number in that range
    profiles.yml:35: `shop.outputs.bad.options`: option `a` must be text, found a number; put the value in quotes
    profiles.yml:36: `shop.outputs.bad.cluster`: cannot render `{{ env_var('NOPE') }}`: environment variable NOPE is not set; set it, or give a default: env_var('NOPE', '…'); correct the value or set what it reads
    "###);
}

/// A profile with these lines in its only target.
fn with_lines(lines: &str) -> Result<Profile, Error> {
    let text = format!(
        "p:\n  outputs:\n    default:\n      type: materialize\n      host: h\n      port: 1\n      user: u\n      pass: p\n      dbname: d\n      schema: s\n{lines}"
    );
    let document = Document::parse(Path::new("profiles.yml"), text)?;
    let vars = Variables::new();
    let request = Request {
        profiles_dir: Path::new("/"),
        profile: Some("p"),
        target: None,
        vars: &vars,
    };
    Profile::choose(&document, "p", &request, &Environment::default())
}

#[test]
fn the_systems_authorities_want_the_whole_check() {
    let read = |lines| with_lines(lines).map(|profile| profile.credentials);
    let system = read("      sslrootcert: system\n").unwrap();
    assert!(system.trusts_system() && system.sslmode.is_none());
    assert!(read("      sslrootcert: system\n      sslmode: verify-full\n").is_ok());
    let file = read("      sslrootcert: ./system\n      sslmode: require\n").unwrap();
    assert!(!file.trusts_system());
    let weak = read("      sslrootcert: system\n      sslmode: require\n").unwrap_err();
    assert_eq!(
        weak.to_string(),
        "profiles.yml:12: `p.outputs.default.sslmode`: `require` is too weak for `sslrootcert: system`, as it is for libpq; write `sslmode: verify-full`, or leave it out"
    );
}

#[test]
fn what_only_dbt_has_a_use_for_refuses_nothing() {
    let lines = [
        "keepalives_idle",
        "connect_timeout",
        "retries",
        "application_name",
        "threads",
    ]
    .map(|key| format!("      {key}: \"{{{{ nobody.knows() }}}}\"\n"));
    let profile = with_lines(&lines.concat()).unwrap();
    assert_eq!((profile.threads, profile.credentials.retries), (1, 1));
    assert!(with_lines("      search_path: \"{{ nobody.knows() }}\"\n").is_err());
}

#[test]
fn a_repeated_key_is_told() {
    let profile = with_lines("      host: other\n      role: r\n      role: q\n").unwrap();
    assert_eq!(profile.credentials.host, "other");
    assert_eq!(profile.credentials.role.as_deref(), Some("q"));
    assert_eq!(profile.warnings.len(), 2, "{:?}", profile.warnings);
    assert!(
        profile.warnings[0].starts_with("profiles.yml:11: `p.outputs.default.host`: is repeated")
    );
}

#[test]
fn names_what_is_missing() {
    let texts: Vec<String> = [
        read(Some("nope"), None, &[]),
        read(Some("shop"), None, &[("TGT", "staging")]),
        read(Some("shop"), Some("pg"), &[]),
        read(Some("other"), None, &[]),
        read(Some("none"), None, &[]),
        read(Some("config"), None, &[]),
    ]
    .into_iter()
    .map(|result| result.unwrap_err().to_string())
    .collect();
    insta::assert_snapshot!(texts.join("\n"), @r###"
    profiles.yml: no profile `nope`; it holds other, shop, none; correct `profile:` in dbt_project.yml or pass --profile
    profiles.yml:9: `shop.outputs`: no target `staging`; it holds prod, pg, dev, bad; correct `target:` or pass --target
    profiles.yml:11: `shop.outputs.pg.type`: the adapter is `postgres`, Cutover releases `materialize` only; choose another target
    profiles.yml:5: `other.target`: cannot render `{{ env_var('NOPE') }}`: environment variable NOPE is not set; set it, or give a default: env_var('NOPE', '…'); correct it, or pass --target
    profiles.yml:37: `none.outputs`: expected a mapping, found a list; write one entry for each target under it
    profiles.yml:2: `config.outputs`: expected a mapping, found nothing; write one entry for each target under it
    "###);
}

#[test]
fn a_missing_file_and_a_missing_name_have_remedies() {
    let vars = Variables::new();
    let request = Request {
        profiles_dir: Path::new("/nowhere"),
        profile: Some("p"),
        target: None,
        vars: &vars,
    };
    let error = Profile::read(&request, &Environment::default())
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "/nowhere/profiles.yml: no such file; create it with the profile `p`, or pass --profiles-dir"
    );
    let error = Profile::read(
        &Request {
            profile: None,
            ..request
        },
        &Environment::default(),
    )
    .unwrap_err();
    assert!(error.to_string().contains("--profile"), "{error}");
}

#[test]
fn no_error_shows_what_a_template_renders_to() {
    let text = "p:\n  outputs:\n    default:\n      type: materialize\n      host: [\"{{ env_var('DBT_ENV_SECRET_A') }}\"]\n      port: \"{{ env_var('DBT_ENV_SECRET_A') }}\"\n      user: u\n      pass: \"hunter2{{\"\n      sslmode: \"{{ env_var('DBT_ENV_SECRET_A') }}\"\n";
    let document = Document::parse(Path::new("profiles.yml"), text.to_owned()).unwrap();
    let environment: Environment = [("DBT_ENV_SECRET_A", "s3cr3t")].into_iter().collect();
    let vars = Variables::new();
    let request = Request {
        profiles_dir: Path::new("/"),
        profile: Some("p"),
        target: None,
        vars: &vars,
    };
    let error = Profile::choose(&document, "p", &request, &environment).unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("`p.outputs.default.port`"), "{shown}");
    assert!(
        !shown.contains("s3cr3t") && !shown.contains("hunter2"),
        "{shown}"
    );
}

#[test]
fn names_that_come_from_a_secret_are_in_no_message() {
    let secret = "hunter22";
    let environment = [("DBT_ENV_SECRET_NAME", secret), ("TGT", secret)];
    let no_profile = read(Some(secret), None, &environment).unwrap_err();
    let no_target = read(Some("shop"), None, &environment).unwrap_err();
    for error in [no_profile, no_target] {
        let text = format!("{error} {error:?}");
        assert!(text.contains("*****"), "{text}");
        assert!(!text.contains(secret), "{text}");
    }
}
