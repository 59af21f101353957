//! What a crash, a full disk or another hand leaves behind.

use super::{Name, bundle, key, local, name, to};
use crate::adapters::artifacts::{ArtifactError, Artifacts, Key};
use crate::foundation::failure::{Class, Classify};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

struct World {
    folder: tempfile::TempDir,
    artifacts: Artifacts,
}

impl World {
    /// A store with one baseline, `d1`.
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let artifacts = local(folder.path());
        let key = key();
        let kept = artifacts.keep(&key, "d1", &bundle(&key, "d1")).await;
        kept.expect("kept");
        let moved = artifacts.advance(&key, None, &to("d1")).await;
        moved.expect("moved");
        Self { folder, artifacts }
    }

    fn path(&self, below: &str) -> PathBuf {
        let root = "deep/artifacts/shop/production";
        self.folder.path().join(root).join(below)
    }

    fn edit(&self, below: &str, edit: impl Fn(&str) -> String) {
        let path = self.path(below);
        let text = fs::read_to_string(&path).expect("a file");
        let edited = edit(&text);
        assert_ne!(edited, text, "{below}");
        fs::write(path, edited).expect("written");
    }

    async fn refused(&self) -> ArtifactError {
        self.artifacts
            .baseline(&key())
            .await
            .expect_err("it is refused")
    }
}

#[tokio::test]
async fn a_killed_process_leaves_nothing_that_hinders() {
    let world = World::new().await;
    // A write that was cut off, before and after the name was decided.
    fs::write(world.path("baseline/00000000000000000002.json#1"), "{\"ver").expect("written");
    fs::write(world.path("baseline/notes.txt"), "x").expect("written");
    fs::write(world.path("baseline/3.json"), "x").expect("written");
    let key = key();
    let current = world.artifacts.current(&key).await.expect("read");
    assert_eq!(current.map(|pointer| pointer.generation), Some(1));

    // Half a bundle: the manifest is there, the rest is not.
    let half = world.path("deployments/d2");
    fs::create_dir_all(&half).expect("made");
    fs::write(half.join("manifest.json"), super::SHOP).expect("written");
    fs::write(half.join("metadata.json#1"), "{").expect("written");
    let error = world.artifacts.bundle(&key, "d2").await.expect_err("half");
    assert_eq!(name(&error), Some(Name::BaselineIncomplete));
    let second = bundle(&key, "d2");
    let kept = world.artifacts.keep(&key, "d2", &second).await;
    kept.expect("the rest is kept");
    let moved = world.artifacts.advance(&key, Some(1), &to("d2")).await;
    assert_eq!(moved.expect("moved").generation, 2);
    assert_eq!(
        world.artifacts.bundle(&key, "d2").await.expect("whole"),
        second
    );
}

#[tokio::test]
async fn damaged_documents_are_refused_by_name() {
    type Edit = fn(&str) -> String;
    let cases: [(&str, Edit, Name); 7] = [
        (
            "deployments/d1/manifest.json",
            |text| text[..text.len() / 2].to_owned(),
            Name::BaselineDamaged,
        ),
        (
            "deployments/d1/manifest.json",
            |text| text.replace("\"materialized_view\"", "\"view\""),
            Name::BaselineDamaged,
        ),
        (
            "deployments/d1/manifest.json",
            |text| {
                text.replace(
                    "\"adapter_type\":\"materialize\"",
                    "\"adapter_type\":\"postgres\"",
                )
                .replace(
                    "\"adapter_type\": \"materialize\"",
                    "\"adapter_type\": \"postgres\"",
                )
            },
            Name::BaselineForeign,
        ),
        (
            "deployments/d1/metadata.json",
            |text| {
                text.replace(
                    "\"environment\": \"production\"",
                    "\"environment\": \"staging\"",
                )
            },
            Name::BaselineForeign,
        ),
        (
            "deployments/d1/metadata.json",
            |text| text.replace("\"target\"", "\"tarjet\""),
            Name::BaselineDamaged,
        ),
        (
            "baseline/00000000000000000001.json",
            |_| String::new(),
            Name::BaselineDamaged,
        ),
        (
            "baseline/00000000000000000001.json",
            |text| text.replace("\"generation\": 1", "\"generation\": 2"),
            Name::BaselineDamaged,
        ),
    ];
    for (file, edit, expected) in cases {
        let world = World::new().await;
        world.edit(file, edit);
        let error = world.refused().await;
        assert_eq!(name(&error), Some(expected), "{file}: {error}");
        assert_eq!(error.class(), Class::Refused);
    }
    for file in ["metadata.json", "manifest.json"] {
        let world = World::new().await;
        fs::remove_file(world.path("deployments/d1").join(file)).expect("removed");
        let error = world.refused().await;
        assert_eq!(name(&error), Some(Name::BaselineIncomplete), "{file}");
        assert!(error.to_string().contains(file), "{error}");
    }
    let world = World::new().await;
    world.edit("deployments/d1/metadata.json", |text| {
        text.replace("\"version\": 1", "\"version\": 2")
    });
    let error = world.refused().await;
    assert!(matches!(error, ArtifactError::Newer { .. }), "{error}");
}

#[tokio::test]
async fn a_store_that_is_away_says_so() {
    let options: BTreeMap<String, String> = [
        ("endpoint", "http://127.0.0.1:1"),
        ("allow_http", "true"),
        ("skip_signature", "true"),
        ("region", "nowhere"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let opened = Artifacts::open("s3://bucket/a", &options, Path::new("/"));
    let artifacts = opened.expect("nothing is asked yet");
    let error = artifacts.projects().await.expect_err("nobody listens");
    assert_eq!(error.class(), Class::Transient, "{error}");
    assert!(error.to_string().contains("s3://bucket/a"), "{error}");
    let (key, bundle) = (key(), bundle(&key(), "d1"));
    let error = artifacts.keep(&key, "d1", &bundle).await;
    let error = error.expect_err("nobody listens");
    assert_eq!(error.class(), Class::Transient, "{error}");

    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("file"), "").expect("written");
    let error = Artifacts::open("file://file/below", &BTreeMap::new(), folder.path());
    assert_eq!(error.expect_err("a file").class(), Class::Usage);
}

#[tokio::test]
async fn what_cannot_be_read_of_another_environment_is_told_and_no_error() {
    let world = World::new().await;
    let own = Key::new("shop", "staging");
    let read = async || world.artifacts.others(&own).await.expect("reads");
    assert_eq!(read().await.live.len(), 1);
    assert_eq!(read().await.unreadable, Vec::<String>::new());
    fs::remove_file(world.path("deployments/d1/metadata.json")).expect("removed");
    let others = read().await;
    assert_eq!(others.live, []);
    assert!(
        others.unreadable[0].contains("d1/metadata.json is not there"),
        "{others:?}"
    );
    // Whatever it is, the journal need not be asked about it.
    assert!(others.knows("production"));
    fs::write(world.path("baseline/00000000000000000002.json"), "{").expect("written");
    let others = read().await;
    assert!(
        others.unreadable[0].contains("cannot be read"),
        "{others:?}"
    );
}
