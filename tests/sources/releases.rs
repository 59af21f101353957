//! Releases from a repository, by the real `cutover`.

use super::repository::Repository;
use super::support::{self, Needs, Outcome, Replay, World};

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
    let author = repository.git(&["log", "-1", "--format=%an <%ae>"]);
    assert!(record().contains(&author), "{}", record());
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
