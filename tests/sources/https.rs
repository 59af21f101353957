//! Repositories behind https: who is let in, whom we trust, and servers that fail.

use super::repository::{Place, Repository, fetch, resolve};
use super::server::{Conduct, GitServer, PASSWORD, USER};
use super::support::{PATIENCE, Running, eventually};
use cutover::adapters::source::{Source, SourceError};
use cutover::foundation::failure::{Class, Classify, with_causes};
use cutover::foundation::tls;
use cutover::inputs::settings;
use std::path::Path;
use std::time::{Duration, Instant};

/// A source with what the server wants.
fn entering(
    place: &Place,
    server: &GitServer,
    change: impl FnOnce(&mut settings::Source),
) -> Source {
    place.write("password", &format!("{PASSWORD}\n"));
    place
        .open(|settings| {
            settings.url = Some(server.url());
            settings.username = Some(USER.to_owned());
            settings.password = Some("file:password".parse().expect("a reference"));
            settings.ca_file = Some(server.authority());
            change(settings);
        })
        .expect("a source")
}

/// Asserts that nobody who reads the error learns the password.
#[track_caller]
fn keeps_secrets(error: &SourceError) -> String {
    let said = with_causes(error);
    let hint = error.hint().unwrap_or_default();
    for text in [&said, &hint, &format!("{error:?}")] {
        for secret in [PASSWORD, "s3cret", "wr0ng"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    format!("{said}\n{hint}")
}

/// The command lines of every process that can be seen.
fn command_lines() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("processes");
    processes
        .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .collect()
}

/// Every file below a folder that holds a text.
fn holding(folder: &Path, text: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if String::from_utf8_lossy(&std::fs::read(&path).expect("a file")).contains(text) {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn whoever_has_the_password_is_let_in() {
    let repository = Repository::of_a_project();
    let first = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["tag", "-a", "v1", "-m", "annotated"]);
    repository.write("models/a.sql", "select 2");
    let second = repository.commit("second");
    repository.git(&["branch", "next"]);
    let server = GitServer::of(repository.path()).await;
    let place = Place::new();
    for (reference, commit) in [
        (None, &second),
        (Some("next"), &second),
        (Some("v1"), &first),
        (Some("refs/heads/main"), &second),
        (Some(first.as_str()), &first),
    ] {
        let source = entering(&place, &server, |settings| {
            settings.reference = reference.map(str::to_owned);
        });
        let checkout = fetch(&source).await.expect("fetched");
        assert_eq!(checkout.revision.as_str(), commit, "{reference:?}");
        assert_eq!(place.read("models/b.sql"), None);
    }
    // From a variable, and with a bare token for git's usual name.
    let source = place.open_with([("GIT_TOKEN", PASSWORD)], |settings| {
        settings.url = Some(server.url());
        settings.username = Some(USER.to_owned());
        settings.password = Some("env:GIT_TOKEN".parse().expect("a reference"));
        settings.ca_file = Some(server.authority());
    });
    fetch(&source.expect("a source")).await.expect("fetched");

    // A forced push takes a commit away, and a branch is deleted.
    repository.git(&["reset", "--quiet", "--hard", &first]);
    repository.write("models/a.sql", "select 3");
    let third = repository.commit("rewritten");
    let on = |reference: &str| {
        entering(&place, &server, |settings| {
            settings.reference = Some(reference.to_owned());
        })
    };
    assert_eq!(
        fetch(&on("main")).await.expect("fetched").revision.as_str(),
        third
    );
    assert_eq!(place.read("models/a.sql").as_deref(), Some("select 3"));
    repository.git(&["branch", "-D", "next"]);
    let error = resolve(&on("next")).await.expect_err("deleted");
    assert!(
        matches!(error, SourceError::UnknownReference { .. }),
        "{error}"
    );
    let error = fetch(&on(&"1".repeat(40))).await.expect_err("no commit");
    assert!(matches!(error, SourceError::Gone { .. }), "{error}");
    let error = fetch(&entering(&place, &server, |settings| {
        settings.url = Some(server.url().replace(".git", "none"));
    }))
    .await
    .expect_err("no repository");
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    repository.git(&["rm", "--quiet", "dbt_project.yml"]);
    repository.commit("no project");
    let error = fetch(&on("main")).await.expect_err("no project");
    assert!(matches!(error, SourceError::NoProject { .. }), "{error}");

    assert_eq!(
        holding(&place.folder(), "s3cret"),
        Vec::<std::path::PathBuf>::new()
    );
    let packs = std::fs::read_dir(place.folder().join("git/objects/pack")).expect("packs");
    assert!(packs.count() >= 6, "each fetch is one pack");
}

#[tokio::test]
async fn nobody_else_is_let_in_and_no_secret_is_told() {
    let repository = Repository::of_a_project();
    let server = GitServer::of(repository.path()).await;
    let place = Place::new();
    let wrong = place.open_with([("GIT_TOKEN", "wr0ng-password")], |settings| {
        settings.url = Some(server.url());
        settings.password = Some("env:GIT_TOKEN".parse().expect("a reference"));
        settings.ca_file = Some(server.authority());
    });
    let wrong = wrong.expect("a source");
    let nobody = entering(&place, &server, |settings| {
        settings.username = None;
        settings.password = None;
    });
    for source in [&wrong, &nobody] {
        let error = fetch(source).await.expect_err("not let in");
        assert!(
            matches!(error, SourceError::Authentication { .. }),
            "{error}"
        );
        assert_eq!(error.class(), Class::Usage);
        let said = keeps_secrets(&error);
        assert!(said.contains("denies access"), "{said}");
        assert!(
            said.contains("source.username and source.password"),
            "{said}"
        );
    }
    // A server that repeats what it was sent, which git passes on.
    let right = entering(&place, &server, |_| {});
    for (status, class) in [
        (403, Class::Usage),
        (404, Class::Transient),
        (429, Class::Transient),
        (500, Class::Transient),
        (503, Class::Transient),
    ] {
        server.does(Conduct::Answers(status));
        let error = resolve(&right).await.expect_err("refused");
        assert_eq!(error.class(), class, "{status}: {error}");
        keeps_secrets(&error);
    }

    // While it waits, the password stands in no command line.
    server.does(Conduct::Hangs);
    // Once without and once with the password.
    let asked = server.seen().len() + 2;
    let waiting = tokio::spawn(async move { resolve(&right).await });
    let until = Instant::now() + PATIENCE;
    let is_waiting = |lines: &[String]| {
        let mut lines = lines.iter();
        lines.any(|line| line.contains("ls-remote") && line.contains(&server.url()))
    };
    let lines = loop {
        let lines = command_lines();
        if is_waiting(&lines) && server.seen().len() >= asked {
            break lines;
        }
        assert!(Instant::now() < until, "{lines:#?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(
        !lines.iter().any(|line| line.contains("s3cret")),
        "{lines:#?}"
    );
    waiting.abort();
    assert!(holding(&place.folder(), "s3cret").is_empty());
    assert!(holding(&place.folder(), "wr0ng").is_empty());
}

#[tokio::test]
async fn only_a_server_that_is_vouched_for_gets_the_password() {
    let repository = Repository::of_a_project();
    let server = GitServer::of(repository.path()).await;
    let place = Place::new();
    let other = GitServer::named(repository.path(), "DNS:elsewhere.example.com").await;
    for (server, authority) in [
        (&server, None),
        (&server, Some(other.authority())),
        (&other, Some(other.authority())),
    ] {
        let source = entering(&place, server, |settings| {
            settings.ca_file = authority.clone()
        });
        let error = fetch(&source).await.expect_err("not trusted");
        assert!(matches!(error, SourceError::Untrusted { .. }), "{error}");
        assert_eq!(error.class(), Class::Usage);
        let said = keeps_secrets(&error);
        assert!(said.contains("source.ca_file"), "{said}");
        assert_eq!(server.seen().len(), 0);
    }
    for (file, said) in [
        ("none.pem", "No such file"),
        ("password", "there is no certificate in it"),
    ] {
        let source = entering(&place, &server, |settings| {
            settings.ca_file = Some(file.into())
        });
        let error = fetch(&source).await.expect_err("no authority");
        assert_eq!(error.class(), Class::Usage);
        let found = keeps_secrets(&error);
        let path = format!("source.ca_file: {}", place.0.path().join(file).display());
        assert!(found.starts_with(&path) && found.contains(said), "{found}");
    }
    // A path is relative to the configuration, and may be any that a file may have.
    let odd = "my authority's, 100%.pem";
    std::fs::copy(server.authority(), place.0.path().join(odd)).expect("copied");
    let source = entering(&place, &server, |settings| {
        settings.ca_file = Some(odd.into())
    });
    fetch(&source).await.expect("fetched");
}

#[tokio::test]
async fn a_redirect_takes_no_password_along() {
    let repository = Repository::of_a_project();
    let (one, two) = (
        GitServer::of(repository.path()).await,
        GitServer::of(repository.path()).await,
    );
    let place = Place::new();
    let both = [&one, &two].map(|server| std::fs::read(server.authority()).expect("a file"));
    place.write("both.pem", &String::from_utf8_lossy(&both.concat()));
    let source = entering(&place, &one, |settings| {
        settings.ca_file = Some("both.pem".into());
    });
    for after in [false, true] {
        for host in ["localhost", "127.0.0.1"] {
            one.does(Conduct::Redirects(two.origin(host), after));
            let before = two.seen().len();
            let error = fetch(&source).await.expect_err("nothing for the other");
            assert!(
                matches!(error, SourceError::Authentication { .. }),
                "{error}"
            );
            keeps_secrets(&error);
            let seen = two.seen();
            assert!(seen.len() > before, "it was followed");
            assert!(seen.iter().all(Option::is_none), "{seen:?}");
        }
    }
    let was_sent = one.seen().iter().any(Option::is_some);
    assert!(was_sent, "the first one had it");
    // What everybody may read is fetched from there.
    two.does(Conduct::Open);
    one.does(Conduct::Redirects(two.origin("localhost"), false));
    fetch(&source).await.expect("fetched");
    // Without encryption nobody is asked at all.
    one.does(Conduct::Redirects("http://127.0.0.1:1".to_owned(), false));
    let error = fetch(&source).await.expect_err("not encrypted");
    assert!(error.to_string().contains("http"), "{error}");
}

#[tokio::test]
async fn a_server_that_hangs_or_cuts_off_is_given_up_and_leaves_nothing() {
    let repository = Repository::of_a_project();
    // What cannot be compressed, so that it takes more than one piece.
    let noise: Vec<u8> = (0..1 << 17)
        .flat_map(|number: u64| {
            let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            (mixed ^ (mixed >> 29))
                .wrapping_mul(0xBF58_476D_1CE4_E5B9)
                .to_le_bytes()
        })
        .map(|byte| byte ^ 0x5a)
        .collect();
    std::fs::write(repository.path().join("noise"), noise).expect("written");
    repository.commit("noise");
    let server = GitServer::of(repository.path()).await;
    let place = Place::new();
    let slow = entering(&place, &server, |settings| {
        settings.fetch_timeout = Some(cutover::foundation::span::Span(Duration::from_millis(700)));
    });
    server.does(Conduct::Hangs);
    let began = Instant::now();
    let error = fetch(&slow).await.expect_err("too slow");
    assert!(matches!(error, SourceError::Deadline { .. }), "{error}");
    assert_eq!(error.class(), Class::Transient);
    assert!(began.elapsed() < PATIENCE);
    keeps_secrets(&error);
    let lines = command_lines();
    assert!(
        !lines.iter().any(|line| line.contains(&server.url())),
        "{lines:#?}"
    );
    drop(slow);

    let source = entering(&place, &server, |_| {});
    server.does(Conduct::CutsPacks);
    for _ in 0..2 {
        let error = fetch(&source).await.expect_err("cut off");
        assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
        assert_eq!(error.class(), Class::Transient);
        keeps_secrets(&error);
        assert!(matches!(
            source.present(),
            Err(SourceError::NotFetched { .. })
        ));
    }
    // As a git that was killed leaves it.
    let packs = place.folder().join("git/objects/pack");
    std::fs::create_dir_all(&packs).expect("a folder");
    std::fs::write(packs.join("tmp_pack_x1y2z3"), vec![0; 1 << 20]).expect("written");
    server.does(Conduct::Serves);
    fetch(&source).await.expect("fetched");
    let left: Vec<_> = std::fs::read_dir(&packs)
        .expect("packs")
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name.to_string_lossy().starts_with("tmp_"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_daemon_that_is_not_let_in_tells_nobody_the_password() {
    let repository = Repository::of_a_project();
    let server = GitServer::of(repository.path()).await;
    server.does(Conduct::Answers(403));
    let place = Place::new();
    place.write("password", PASSWORD);
    place.write(
        "cutover.yaml",
        &format!(
            "http: {{listen: null}}\nlog: {{level: trace}}\n\
             source: {{url: '{}', username: {USER}, password: 'file:password', ca_file: '{}'}}\n\
             environments: {{prod: {{project: {{target: prod, profile: shop}}}}}}\n",
            server.url(),
            server.authority().display()
        ),
    );
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_cutover"));
    command
        .args(["serve", "--config", "cutover.yaml"])
        .current_dir(place.0.path());
    let daemon = Running::spawn(command);
    let client = tls::http_client()
        .unix_socket(place.0.path().join(".cutover/daemon.sock"))
        .build()
        .expect("a client");
    let ask = async |path: &str| {
        let url = format!("http://daemon{path}");
        client.get(url).send().await.ok()?.text().await.ok()
    };
    eventually("the lead", async || {
        let text = ask("/v1/environments/prod").await?;
        text.contains(r#""role":"leader""#).then_some(())
    })
    .await;
    let asked = client
        .post("http://daemon/v1/environments/prod/releases")
        .send()
        .await
        .expect("an answer");
    let mut told = asked.text().await.expect("text");
    told += &eventually("the end of the run", async || {
        let text = ask("/v1/environments/prod/runs").await?;
        text.contains("denies access").then_some(text)
    })
    .await;
    for path in ["/v1/environments/prod", "/v1/environments", "/metrics"] {
        told += &ask(path).await.expect("an answer");
    }
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    let outcome = daemon.ended().await.exits(0);
    told += &outcome.all();
    assert!(told.contains("denies access"), "{told}");
    assert!(!told.contains("s3cret"), "{told}");
    let kept = holding(&place.0.path().join(".cutover"), "s3cret");
    assert!(kept.is_empty(), "{kept:?}");
}
