//! References, work trees and folders, with repositories on this machine.

use super::repository::{Place, Repository, fetch, git, resolve};
use cutover::adapters::source::SourceError;
use cutover::domain::location::repository::Revision;
use cutover::foundation::failure::{Class, Classify, with_causes};
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

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
            assert_eq!(place.read(".venv/bin/x"), None);
        }
        // Other packages are listed: what is installed is not theirs.
        repository.write("packages.yml", "packages: []");
        repository.commit("packages");
        let source = place.source(&url, Some("main"));
        fetch(&source).await.expect("fetched");
        assert_eq!(place.read("dbt_packages/utils/x"), None);
        repository.git(&["reset", "--quiet", "--hard", &second]);
    }
}

#[tokio::test]
async fn a_commit_that_brings_programs_along_is_refused() {
    let repository = Repository::of_a_project();
    let place = Place::new();
    let source = place.source(&repository.url(), Some("main"));
    repository.write("dbt/.venv/bin/dbt", "#!/bin/sh\n");
    repository.git(&["add", "--force", "dbt/.venv"]);
    repository.commit("an environment");
    let error = fetch(&source).await.expect_err("refused").to_string();
    assert!(error.starts_with("tracked-environment: "), "{error}");
    assert!(error.contains("dbt/.venv/bin/dbt"), "{error}");
    repository.git(&["rm", "-r", "--quiet", "dbt/.venv"]);
    std::os::unix::fs::symlink("/", repository.path().join("venv")).expect("a link");
    repository.git(&["add", "--force", "venv"]);
    repository.commit("a link");
    let error = fetch(&source).await.expect_err("refused").to_string();
    assert!(error.contains("\"venv\""), "{error}");
}

#[tokio::test]
async fn a_commit_with_a_link_out_of_it_is_refused() {
    let repository = Repository::of_a_project();
    let place = Place::new();
    let source = place.source(&repository.url(), Some("main"));
    for (target, is_outside) in [
        ("dbt_project.yml", false),
        ("nothing/there", false),
        ("/dev/zero", true),
        ("/no/such/file", true),
        ("../../../../nothing", true),
    ] {
        let link = repository.path().join("packages.yml");
        std::os::unix::fs::symlink(target, &link).expect("a link");
        repository.commit(target);
        match (fetch(&source).await, is_outside) {
            (Ok(_), false) => {}
            (Err(error), true) => {
                let error = error.to_string();
                assert!(
                    error.starts_with("link-outside: ") && error.contains("packages.yml"),
                    "{error}"
                );
            }
            (found, _) => panic!("{target}: {found:?}"),
        }
        std::fs::remove_file(&link).expect("removed");
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
    std::os::unix::fs::symlink("warehouse/dbt", repository.path().join("in")).expect("a link");
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
    let beside = tempfile::tempdir().expect("a folder");
    std::fs::write(beside.path().join("dbt_project.yml"), "name: x\n").expect("written");
    for (folder, target) in [("out", Path::new("/etc")), ("beside", beside.path())] {
        let link = repository.path().join(folder);
        std::os::unix::fs::symlink(target, &link).expect("a link");
        repository.commit(folder);
        let error = fetch(&within(folder)).await.expect_err("outside");
        let is_refused = matches!(
            error,
            SourceError::Outside { .. }
                | SourceError::NoProject { .. }
                | SourceError::LinkOutside { .. }
        );
        assert!(is_refused, "{folder}: {error}");
        std::fs::remove_file(link).expect("removed");
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
            settings.fetch_timeout =
                Some(cutover::foundation::span::Span(Duration::from_millis(300)));
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
