//! Projects that come from git repositories, made here by git's own command line.

mod support;

use cutover::failure::{Class, Classify, with_causes};
use cutover::project::Environment;
use cutover::settings;
use cutover::source::{Checkout, Revision, Source, SourceError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use support::{Needs, Outcome, Replay, World};
use tokio_util::sync::CancellationToken;

/// A repository on this machine.
struct Repository {
    folder: tempfile::TempDir,
}

impl Repository {
    fn new() -> Self {
        let repository = Self {
            folder: tempfile::tempdir().expect("a folder"),
        };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// With one commit of a project.
    fn of_a_project() -> Self {
        let repository = Self::new();
        repository.write("dbt_project.yml", "name: shop\n");
        repository.write("models/a.sql", "select 1");
        repository.commit("first");
        repository
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(self.path(), arguments)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("written");
    }

    /// Commits everything; gives the commit.
    fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .expect("git");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Where an environment fetches to.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join(".cutover/sources/prod")
    }

    fn tree(&self) -> PathBuf {
        self.folder().join("tree")
    }

    fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.tree().join(name)).ok()
    }

    fn open(&self, change: impl FnOnce(&mut settings::Source)) -> Result<Source, SourceError> {
        let mut settings = settings::Source::default();
        change(&mut settings);
        let source = Source::new(&settings, self.0.path(), "prod", &Environment::default());
        source.map(|source| source.expect("a url"))
    }

    fn source(&self, url: &str, reference: Option<&str>) -> Source {
        self.open(|settings| {
            settings.url = Some(url.to_owned());
            settings.reference = reference.map(str::to_owned);
        })
        .expect("a source")
    }
}

async fn fetch(source: &Source) -> Result<Checkout, SourceError> {
    source.fetch(None, &CancellationToken::new()).await
}

async fn resolve(source: &Source) -> Result<Revision, SourceError> {
    source.resolve(&CancellationToken::new()).await
}

#[tokio::test]
async fn a_reference_is_fetched_shallow_and_clean() {
    let repository = Repository::of_a_project();
    let first = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["tag", "-a", "v1", "-m", "annotated"]);
    repository.write("models/a.sql", "select 2");
    repository.write("models/b.sql", "select 3");
    let second = repository.commit("second");
    repository.git(&["branch", "release/1.0"]);
    repository.git(&["branch", "v1-branch", &first]);
    for url in [repository.url(), repository.path().display().to_string()] {
        let place = Place::new();
        let source = place.source(&url, None);
        assert!(matches!(
            source.present(),
            Err(SourceError::NotFetched { .. })
        ));
        let checkout = fetch(&source).await.expect("fetched");
        assert_eq!(checkout.revision.as_str(), second);
        assert_eq!(checkout.folder, place.tree());
        assert_eq!(source.present().expect("there"), checkout);
        assert_eq!(place.read("models/b.sql").as_deref(), Some("select 3"));
        let bare = place.folder().join("git");
        let log = git(&bare, &["log", "--format=%H", &second]);
        assert_eq!(log, second, "shallow");

        std::fs::write(place.tree().join("models/stray.sql"), "x").expect("written");
        std::fs::write(place.tree().join("models/a.sql"), "changed").expect("written");
        for kept in ["dbt_packages/utils", ".venv/bin", "target"] {
            std::fs::create_dir_all(place.tree().join(kept)).expect("a folder");
            std::fs::write(place.tree().join(kept).join("x"), "x").expect("written");
        }
        // Its lock would keep the others out.
        drop(source);
        for (reference, commit) in [
            ("main", &second),
            ("release/1.0", &second),
            ("refs/heads/main", &second),
            ("v1", &first),
            ("refs/tags/v1", &first),
            ("v1-branch", &first),
            (second.as_str(), &second),
            (first.as_str(), &first),
            ("HEAD", &second),
        ] {
            let source = place.source(&url, Some(reference));
            assert_eq!(resolve(&source).await.expect("known").as_str(), commit);
            let checkout = fetch(&source).await.expect("fetched");
            assert_eq!(checkout.revision.as_str(), commit, "{reference}");
            let a = if *commit == first {
                "select 1"
            } else {
                "select 2"
            };
            assert_eq!(
                place.read("models/a.sql").as_deref(),
                Some(a),
                "{reference}"
            );
            assert_eq!(place.read("models/b.sql").is_some(), *commit == second);
            assert_eq!(place.read("models/stray.sql"), None);
            assert_eq!(place.read("target/x"), None);
            assert!(place.read("dbt_packages/utils/x").is_some());
            assert!(place.read(".venv/bin/x").is_some());
        }
        // Other packages are listed: what is installed is not theirs.
        repository.write("packages.yml", "packages: []");
        repository.commit("packages");
        let source = place.source(&url, Some("main"));
        fetch(&source).await.expect("fetched");
        assert_eq!(place.read("dbt_packages/utils/x"), None);
        assert!(place.read(".venv/bin/x").is_some());
        repository.git(&["reset", "--quiet", "--hard", &second]);
    }
}

#[tokio::test]
async fn a_changed_and_a_rewritten_branch_are_followed() {
    let repository = Repository::of_a_project();
    let place = Place::new();
    let source = place.source(&repository.url(), Some("main"));
    let first = fetch(&source).await.expect("fetched").revision;
    repository.write("models/a.sql", "select 2");
    let second = repository.commit("second");
    assert_eq!(resolve(&source).await.expect("known").as_str(), second);
    assert_eq!(source.present().expect("there").revision, first);
    fetch(&source).await.expect("fetched");
    assert_eq!(place.read("models/a.sql").as_deref(), Some("select 2"));

    repository.git(&["reset", "--quiet", "--hard", first.as_str()]);
    repository.write("models/a.sql", "select 3");
    let third = repository.commit("rewritten");
    let checkout = fetch(&source).await.expect("fetched");
    assert_eq!(checkout.revision.as_str(), third);
    assert_eq!(place.read("models/a.sql").as_deref(), Some("select 3"));
    // The commit that nothing names any more is still here, and comes back without the repository.
    let gone = repository.path().with_extension("gone");
    std::fs::rename(repository.path(), &gone).expect("renamed");
    let second: Revision = second.parse().expect("a commit");
    let back = source.fetch(Some(&second), &CancellationToken::new()).await;
    assert_eq!(back.expect("kept").revision, second);
    assert_eq!(place.read("models/a.sql").as_deref(), Some("select 2"));
    let error = fetch(&source).await.expect_err("no repository");
    assert_eq!(error.class(), Class::Transient, "{error}");
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    assert_eq!(source.present().expect("there").revision, second);
    std::fs::rename(&gone, repository.path()).expect("renamed");
}

#[tokio::test]
async fn what_a_killed_fetch_leaves_is_repaired() {
    let repository = Repository::of_a_project();
    let place = Place::new();
    let source = place.source(&repository.url(), None);
    fetch(&source).await.expect("fetched");
    repository.write("models/a.sql", "select 2");
    repository.commit("second");
    let bare = place.folder().join("git");
    let damage: [(&str, &dyn Fn()); 6] = [
        ("locks", &|| {
            for lock in [
                "index.lock",
                "HEAD.lock",
                "shallow.lock",
                "refs/cutover/fetched.lock",
            ] {
                std::fs::write(bare.join(lock), "").expect("written");
            }
            std::fs::remove_file(place.folder().join("revision.json")).expect("removed");
        }),
        ("half a tree", &|| {
            std::fs::remove_file(place.tree().join("dbt_project.yml")).expect("removed");
            std::fs::write(place.tree().join("models/a.sql"), "half").expect("written");
        }),
        ("a broken index", &|| {
            std::fs::write(bare.join("index"), "x").expect("written")
        }),
        ("no objects", &|| {
            std::fs::remove_dir_all(bare.join("objects")).expect("removed");
        }),
        ("a broken configuration", &|| {
            std::fs::write(bare.join("config"), "[core").expect("written");
        }),
        ("no tree", &|| {
            std::fs::remove_dir_all(place.tree()).expect("removed")
        }),
    ];
    for (what, damage) in damage {
        damage();
        fetch(&source)
            .await
            .unwrap_or_else(|error| panic!("{what}: {}", with_causes(&error)));
        assert_eq!(
            place.read("models/a.sql").as_deref(),
            Some("select 2"),
            "{what}"
        );
        assert!(place.read("dbt_project.yml").is_some(), "{what}");
    }
}

#[tokio::test]
async fn nothing_hostile_reaches_git() {
    let place = Place::new();
    let marker = place.0.path().join("run");
    for url in [
        format!("ext::sh -c 'touch {}'", marker.display()),
        format!("--upload-pack=touch {}", marker.display()),
        "http://127.0.0.1/x".to_owned(),
        "https://me:s3cret@host/x".to_owned(),
    ] {
        let error = place
            .open(|settings| settings.url = Some(url))
            .expect_err("refused");
        assert_eq!(error.class(), Class::Usage);
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
    for reference in [
        "--upload-pack=x",
        "a..b",
        "a b",
        "@{u}",
        "x:refs/heads/y",
        "a\u{0}b",
    ] {
        let refused = place.open(|settings| {
            settings.url = Some("/srv/x".to_owned());
            settings.reference = Some(reference.to_owned());
        });
        assert_eq!(
            refused.expect_err("refused").class(),
            Class::Usage,
            "{reference:?}"
        );
    }
    for subfolder in ["/etc", "../x", ".git"] {
        let refused = place.open(|settings| {
            settings.url = Some("/srv/x".to_owned());
            settings.subfolder = Some(subfolder.to_owned());
        });
        assert_eq!(refused.expect_err("refused").class(), Class::Usage);
    }

    // Hooks, filters and submodules of a repository are not run and not followed.
    let repository = Repository::of_a_project();
    repository.write(".gitattributes", "* filter=evil\n");
    repository.write(
        ".gitmodules",
        &format!(
            "[submodule \"x\"]\n\tpath = x\n\turl = ext::touch {}\n",
            marker.display()
        ),
    );
    repository.commit("hostile");
    let source = place.source(&repository.url(), None);
    fetch(&source).await.expect("fetched");
    let hook = place.folder().join("git/hooks/post-checkout");
    std::fs::create_dir_all(hook.parent().expect("a folder")).expect("a folder");
    std::fs::write(&hook, format!("#!/bin/sh\ntouch {}\n", marker.display())).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&hook, mode).expect("a program");
    repository.commit("next");
    fetch(&source).await.expect("fetched");
    assert!(!marker.exists(), "something was run");
}

#[tokio::test]
async fn the_project_may_lie_in_a_folder_of_the_repository() {
    let repository = Repository::new();
    repository.write("README.md", "x");
    repository.write("warehouse/dbt/dbt_project.yml", "name: shop\n");
    repository.write("other/dbt_project.yml", "name: other\n");
    std::os::unix::fs::symlink("/etc", repository.path().join("out")).expect("a link");
    std::os::unix::fs::symlink("warehouse/dbt", repository.path().join("in")).expect("a link");
    let beside = tempfile::tempdir().expect("a folder");
    std::fs::write(beside.path().join("dbt_project.yml"), "name: x\n").expect("written");
    std::os::unix::fs::symlink(beside.path(), repository.path().join("beside")).expect("a link");
    repository.commit("first");
    let place = Place::new();
    let within = |folder: &str| {
        place
            .open(|settings| {
                settings.url = Some(repository.url());
                settings.subfolder = Some(folder.to_owned());
            })
            .expect("a source")
    };
    for folder in ["warehouse/dbt", "in"] {
        let checkout = fetch(&within(folder)).await.expect("fetched");
        assert_eq!(checkout.folder, place.tree().join(folder));
    }
    let error = fetch(&within("warehouse")).await.expect_err("no project");
    let said = error.to_string();
    assert!(
        said.ends_with("no dbt_project.yml in warehouse; there is one in other, warehouse/dbt"),
        "{said}"
    );
    assert_eq!(error.class(), Class::Usage);
    let error = fetch(&within("")).await.expect_err("no project");
    assert!(
        error.to_string().contains("in its root; there is one in"),
        "{error}"
    );
    for folder in ["beside", "out"] {
        let error = fetch(&within(folder)).await.expect_err("outside");
        let is_refused = matches!(
            error,
            SourceError::Outside { .. } | SourceError::NoProject { .. }
        );
        assert!(is_refused, "{folder}: {error}");
    }
}

#[tokio::test]
async fn failures_say_what_is_wrong() {
    let repository = Repository::of_a_project();
    let place = Place::new();
    let source = place.source(&repository.url(), Some("no-such"));
    let error = fetch(&source).await.expect_err("no such branch");
    assert!(
        error
            .to_string()
            .ends_with("has no branch or tag \"no-such\""),
        "{error}"
    );
    drop(source);
    let unknown = "0123456789012345678901234567890123456789";
    let error = fetch(&place.source(&repository.url(), Some(unknown))).await;
    let error = error.expect_err("no such commit");
    assert!(matches!(error, SourceError::Gone { .. }), "{error}");
    assert!(
        error.to_string().contains(&format!("the commit {unknown}")),
        "{error}"
    );

    let nowhere = place.source("https://127.0.0.1:1/x", None);
    let error = fetch(&nowhere).await.expect_err("nobody there");
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    drop(nowhere);

    // Somebody who accepts and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let slow = place
        .open(|settings| {
            settings.url = Some(format!("https://127.0.0.1:{port}/x"));
            settings.fetch_timeout = Some(settings::Span(Duration::from_millis(300)));
        })
        .expect("a source");
    let error = fetch(&slow).await.expect_err("too slow");
    assert_eq!(error.class(), Class::Transient);
    assert!(
        error.to_string().ends_with("was not fetched within 300ms"),
        "{error}"
    );
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = slow.resolve(&cancel).await.expect_err("cancelled");
    assert_eq!(error.class(), Class::Interrupted);

    let locked = place
        .open(|settings| {
            settings.url = Some("https://127.0.0.1:1/x".to_owned());
            settings.password = Some("env:MISSING".parse().expect("a reference"));
        })
        .expect("a source");
    let error = fetch(&locked).await.expect_err("no password");
    assert_eq!(
        error.to_string(),
        "source.password: the environment variable MISSING is not set"
    );
}

#[tokio::test]
async fn a_tree_in_use_stays_as_it_is() {
    let repository = Repository::of_a_project();
    let place = Place::new();
    let user = place.source(&repository.url(), None);
    let first = fetch(&user).await.expect("fetched");
    let other = place.source(&repository.url(), None);
    assert_eq!(fetch(&other).await.expect("the same commit"), first);
    drop(other);
    repository.write("models/a.sql", "select 2");
    repository.commit("second");
    let other = place.source(&repository.url(), None);
    let error = fetch(&other).await.expect_err("in use");
    assert!(matches!(error, SourceError::Busy { .. }), "{error}");
    assert_eq!(error.class(), Class::Refused);
    assert_eq!(place.read("models/a.sql").as_deref(), Some("select 1"));
    drop(user);
    fetch(&other).await.expect("free now");
    assert_eq!(place.read("models/a.sql").as_deref(), Some("select 2"));
}

/// Moves the world's project into a repository; what stays is a folder with the configuration.
fn repository_of(world: &World, more: &str) -> Repository {
    let repository = Repository::new();
    for entry in std::fs::read_dir(world.project.path()).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name();
        if name == "profiles.yml" || name == ".cutover" {
            continue;
        }
        std::fs::create_dir_all(repository.path().join("dbt")).expect("a folder");
        std::fs::rename(entry.path(), repository.path().join("dbt").join(&name)).expect("moved");
    }
    repository.commit("first");
    world.project.write(
        "cutover.yaml",
        &format!(
            "source: {{url: '{}', ref: main, subfolder: dbt}}\n\
             environments:\n  live: {{project: {{target: prod}}}}\n{more}",
            repository.url()
        ),
    );
    repository
}

fn revision(outcome: &Outcome) -> String {
    let shown = outcome.document();
    shown["request"]["revision"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_made_from_its_commit() {
    let Some(mut world) = World::start(Needs::Sandbox).await else {
        return;
    };
    world.produce_by_sql().await;
    world.project.without_tests();
    let repository = repository_of(&world, "");
    let place = world.project.path().join(".cutover/sources/live");
    world
        .cutover(&["promote", "live"])
        .await
        .exits(2)
        .says("is not fetched")
        .says("fetch it");
    let replay = Replay::named(&mut world, "live").await;
    let deployed = world.cutover(&["deploy", "live"]).await.exits(0);
    let first = repository.git(&["rev-parse", "HEAD"]);
    deployed.says(&format!("at {first}"));
    world.serves(2).await;
    assert!(world.project.path().join(".cutover/cutover.db").is_file());
    assert!(!place.join("tree/dbt/.cutover").exists());

    let manual = ["deploy", "live", "--promotion=manual"];
    let ready = world.cutover(&manual).await.exits(0);
    let id = ready.deployment();
    let shown = world.cutover(&["show", &id]).await.exits(0);
    assert_eq!(revision(&shown), first, "{shown}");
    // The branch goes on, and somebody looks at what a release of it would be.
    repository.write("dbt/models/note.yml", "version: 2\n");
    let second = repository.commit("second");
    world
        .cutover(&["plan", "live"])
        .await
        .exits(3)
        .says("deployment-active");
    let record = || std::fs::read_to_string(place.join("revision.json")).expect("a record");
    assert!(record().contains(&second));
    world.cutover(&["promote", "live"]).await.exits(0);
    assert!(record().contains(&first));
    assert!(!place.join("tree/dbt/models/note.yml").exists());
    world.serves(3).await;
    world.nothing_left().await;

    // A deployment that was killed is finished from its commit, then the new one is released.
    replay.hold();
    let killed = world.spawn(&["deploy", "live"]);
    support::eventually("a build", async || replay.is_building().then_some(())).await;
    support::send(killed.id(), nix::sys::signal::Signal::SIGKILL);
    killed.ended().await;
    let status = world.cutover(&["status", "live"]).await.exits(0).document();
    let interrupted = status["environments"][0]["deployment"]["id"].clone();
    let interrupted = interrupted.as_str().expect("an id").to_owned();
    repository.write("dbt/models/note.yml", "version: 2\nmodels: []\n");
    let third = repository.commit("third");
    // How many builds there were depends on when the killed one's dbt ends.
    replay.makes(7, false);
    replay.go_on();
    let deployed = world.cutover(&["deploy", "live"]).await.exits(0);
    let last = deployed.result()["deployment"]["id"].clone();
    let last = last.as_str().expect("an id").to_owned();
    for (id, commit) in [(interrupted, &second), (last, &third)] {
        let shown = world.cutover(&["show", &id]).await.exits(0);
        assert_eq!(&revision(&shown), commit);
        assert_eq!(shown.document()["state"], "done", "{shown}");
    }
    assert!(record().contains(&third));
    world.serves(7).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_of_the_configuration_needs_no_profile() {
    let Some(mut world) = World::start(Needs::Sandbox).await else {
        return;
    };
    world.produce_by_sql().await;
    world.project.without_tests();
    world.project.remove("profiles.yml");
    let (host, port) = world.server.address();
    let config = format!(
        "connection: {{host: '{host}', port: {port}, user: {}, password: 'env:MZ_SECRET', \
         database: materialize, sslmode: disable, threads: 4}}\n\
         dbt: {{environment: []}}\n\
         environments:\n  prod:\n    connection: {{schema: {prefix}, cluster: {prefix}_compute}}\n",
        world.role(),
        prefix = world.prefix,
    );
    world.project.write("cutover.yaml", &config);
    world
        .cutover(&["plan", "prod"])
        .await
        .exits(2)
        .says("connection.password: the environment variable MZ_SECRET is not set");
    world
        .environment
        .insert("MZ_SECRET".to_owned(), "t0p'\"s3cret".to_owned());
    let deployed = world.cutover(&["deploy", "prod"]).await.exits(0);
    assert!(!deployed.all().contains("s3cret"), "{deployed}");
    world.serves(1).await;
    world.nothing_left().await;
    let file = world
        .project
        .path()
        .join(".cutover/profiles/prod/profiles.yml");
    let text = std::fs::read_to_string(&file).expect("a profile");
    assert!(
        text.contains("env_var('MZ_SECRET')") && !text.contains("s3cret"),
        "{text}"
    );
    let mode = std::fs::metadata(&file).expect("a file").permissions();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
        0o600
    );

    // A password in a file is copied, and read by Cutover as dbt reads it.
    world.project.write("secret", "from a file\n");
    world.project.write(
        "cutover.yaml",
        &config.replace("env:MZ_SECRET", "file:secret"),
    );
    world.environment.remove("MZ_SECRET");
    world.cutover(&["check", "prod"]).await.exits(0);
    let text = std::fs::read_to_string(&file).expect("a profile");
    assert!(text.contains("\"from a file\""), "{text}");
}
