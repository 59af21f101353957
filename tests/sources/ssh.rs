//! Repositories behind ssh: what ssh is told, and what its refusals mean. In the place of ssh stands
//! a script that notes what it was given and runs the command here.

use super::repository::{Place, Repository, fetch};
use super::support::{Outcome, Running};
use cutover::adapters::source::SourceError;
use cutover::foundation::failure::{Class, Classify};
use std::os::unix::fs::PermissionsExt;
use tokio::process::Command;

/// Notes its arguments and its variables, then does what the last argument says.
const SSH: &str = r#"#!/bin/sh
printf '%s\n' "$@" >"$0.arguments"
env >"$0.variables"
for last; do :; done
exec sh -c "$last"
"#;

/// Runs `cutover plan` with this ssh; it ends after the fetch, since there is no dbt.
async fn plan(place: &Place, source: &str, ssh: &str) -> Outcome {
    let base = place.0.path();
    place.write(
        "cutover.yaml",
        &format!(
            "source: {{{source}}}\ndbt: {{executable: /nonexistent}}\n\
             environments: {{prod: {{project: {{target: prod, profile: shop}}}}}}\n"
        ),
    );
    place.write("ssh", ssh);
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(base.join("ssh"), mode).expect("a program");
    let path = std::env::var("PATH").expect("a path");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cutover"));
    command
        .args([
            "plan",
            "prod",
            "--output",
            "json",
            "--config",
            "cutover.yaml",
        ])
        .current_dir(base)
        .env_clear()
        .env("PATH", format!("{}:{path}", base.display()))
        .env("HOME", base)
        .env("DISPLAY", ":0")
        .env("SSH_ASKPASS", "/bin/true")
        .env("SSH_ASKPASS_REQUIRE", "force")
        .env("GIT_SSH_COMMAND", "false")
        .env("SSH_AUTH_SOCK", "/tmp/an-agent")
        .env("GIT_TRACE", "1");
    Running::spawn(command).ended().await
}

#[tokio::test]
async fn ssh_is_told_to_ask_nobody_and_to_trust_only_known_hosts() {
    let repository = Repository::of_a_project();
    let commit = repository.git(&["rev-parse", "HEAD"]);
    let place = Place::new();
    place.write("deploy key", "a key");
    place.write("hosts", "");
    let noted = |what: &str| {
        let file = place.0.path().join(format!("ssh.{what}"));
        std::fs::read_to_string(file).expect("ssh was run")
    };
    let options = |arguments: &str| -> Vec<String> {
        let mut lines = arguments.lines();
        let mut options = Vec::new();
        while let Some(line) = lines.next() {
            if line == "-o" {
                options.push(lines.next().expect("an option").to_owned());
            }
        }
        options
    };
    let url = format!(
        "ssh://git@git.example.com:2222{}",
        repository.path().display()
    );
    for (more, with_key) in [
        (", ssh_key: 'deploy key', known_hosts: hosts", true),
        ("", false),
    ] {
        let outcome = plan(&place, &format!("url: '{url}'{more}"), SSH).await;
        assert!(
            std::fs::read_to_string(place.folder().join("revision.json"))
                .expect("a record")
                .contains(&commit),
            "{outcome}"
        );
        assert!(place.read("dbt_project.yml").is_some(), "{outcome}");
        let arguments = noted("arguments");
        let options = options(&arguments);
        let has = |option: &str| options.iter().any(|one| one == option);
        for option in [
            "BatchMode=yes",
            "StrictHostKeyChecking=yes",
            "ForwardAgent=no",
            "ClearAllForwardings=yes",
            "ControlMaster=no",
        ] {
            assert!(has(option), "{option}: {arguments}");
        }
        // The first of an option's values counts.
        let strict = options.iter().filter(|one| one.starts_with("Strict"));
        assert_eq!(strict.count(), 1, "{arguments}");
        let base = place.0.path().display();
        assert_eq!(
            has(&format!("IdentityFile=\"{base}/deploy key\"")),
            with_key
        );
        assert_eq!(
            has(&format!("UserKnownHostsFile=\"{base}/hosts\"")),
            with_key
        );
        for option in [
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "GlobalKnownHostsFile=none",
        ] {
            assert_eq!(has(option), with_key, "{option}: {arguments}");
        }
        assert_eq!(arguments.contains("-F\nnone\n"), with_key, "{arguments}");
        assert!(arguments.contains("-p\n2222\n"), "{arguments}");
        assert!(arguments.contains("\ngit@git.example.com\n"), "{arguments}");
        let variables = noted("variables");
        for unwanted in ["ASKPASS", "DISPLAY", "GIT_TRACE", "CUTOVER_GIT"] {
            assert!(!variables.contains(unwanted), "{unwanted}: {variables}");
        }
        std::fs::remove_dir_all(place.folder()).expect("removed");
    }
}

#[tokio::test]
async fn what_ssh_refuses_is_told_with_its_remedy() {
    let place = Place::new();
    let url = "url: 'git@git.example.com:team/shop.git'";
    // As OpenSSH 9.2 says it.
    for (said, key, told) in [
        (
            "No ED25519 host key is known for git.example.com and you have requested strict checking.\nHost key verification failed.",
            "source.known_hosts",
            "is not trusted: No ED25519 host key is known for git.example.com",
        ),
        (
            "@@@@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key for git.example.com has changed and you have requested strict checking.\nHost key verification failed.",
            "source.known_hosts",
            "is not trusted: Host key for git.example.com has changed",
        ),
        (
            "git@git.example.com: Permission denied (publickey).",
            "source.ssh_key",
            "denies access: git@git.example.com: Permission denied (publickey).",
        ),
        (
            "@ WARNING: UNPROTECTED PRIVATE KEY FILE! @\nPermissions 0644 for '/k' are too open.\nLoad key \"/k\": bad permissions\ngit@git.example.com: Permission denied (publickey).",
            "only its owner may read",
            "denies access: Permissions 0644 for '/k' are too open.",
        ),
        (
            "Load key \"/k\": error in libcrypto\ngit@git.example.com: Permission denied (publickey).",
            "source.ssh_key",
            "denies access: Load key \"/k\": error in libcrypto",
        ),
    ] {
        let ssh = format!("#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\nexit 255\n");
        let outcome = plan(&place, url, &ssh).await.exits(2).says(told);
        outcome.says(key);
    }
    let ssh = "#!/bin/sh\necho 'ssh: connect to host git.example.com port 22: Connection refused' >&2\nexit 255\n";
    plan(&place, url, ssh)
        .await
        .exits(4)
        .says("cannot be reached: ssh: connect to host git.example.com port 22");

    place.write("hosts", "");
    for (key, hosts, said) in [
        ("none", "hosts", "source.ssh_key: "),
        ("hosts", "none", "source.known_hosts: "),
        ("..", "hosts", "source.ssh_key: "),
    ] {
        let source = place.open(|settings| {
            settings.url = Some("git@git.example.com:team/shop.git".to_owned());
            settings.ssh_key = Some(key.into());
            settings.known_hosts = Some(hosts.into());
        });
        let error = fetch(&source.expect("a source"))
            .await
            .expect_err("no file");
        assert!(matches!(error, SourceError::AccessFile { .. }), "{error}");
        assert_eq!(error.class(), Class::Usage);
        assert!(error.to_string().starts_with(said), "{error}");
    }
}
