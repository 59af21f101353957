//! One suite for every backend, and what only files can do.

mod damage;
mod overwriting;
mod s3;

use super::document::{self, Kind, Metadata, RecordedObject};
use super::{Advance, ArtifactError, Artifacts, Bundle, Key, Name, Other, Others, Reason};
use crate::domain::catalog::ObjectKind;
use crate::domain::location::url::segment;
use crate::foundation::failure::{Class, Classify};
use crate::inputs::manifest::Manifest;
use jiff::Timestamp;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{PutMode, PutOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Written by dbt-core 1.11.16 with dbt-materialize 1.9.11.
const SHOP: &[u8] = include_bytes!("../../../tests/fixtures/project/shop/manifest.json");

/// Names that would leave their place or be too long for it.
const HOSTILE: [&str; 6] = ["..", "../../x", "a/b\\c", "100%#1", "tab\there", "ÄÖ ü"];

fn key() -> Key {
    Key::new("shop", "production")
}

fn memory() -> Artifacts {
    Artifacts {
        store: Arc::new(InMemory::new()),
        root: ObjectPath::from("deep/prefix"),
        place: "memory".to_owned(),
        proven: Arc::default(),
    }
}

fn local(folder: &Path) -> Artifacts {
    Artifacts::open("file://deep/artifacts", &BTreeMap::new(), folder).expect("a folder")
}

/// The manifest, parsed at another time.
fn parsed_again() -> Vec<u8> {
    let mut value: serde_json::Value = serde_json::from_slice(SHOP).expect("JSON");
    value["metadata"]["generated_at"] = "2031-01-01T00:00:00Z".into();
    serde_json::to_vec(&value).expect("JSON")
}

fn bundle(key: &Key, id: &str) -> Bundle {
    let manifest = Manifest::from_slice(SHOP, Path::new("m")).expect("a manifest");
    Bundle {
        manifest: SHOP.to_vec(),
        run_results: None,
        outcomes: None,
        compiled: None,
        plan: Some(br#"{"version": 1}"#.to_vec()),
        metadata: Metadata {
            version: document::VERSION,
            deployment: id.to_owned(),
            kind: Kind::Promoted,
            environment: key.environment.clone(),
            project: key.project.clone(),
            target: "prod".to_owned(),
            database: "materialize".to_owned(),
            server: None,
            cutover_version: "0.1.0".to_owned(),
            manifest_hash: manifest.content_hash().expect("a hash"),
            built_by: None,
            created_at: Timestamp::UNIX_EPOCH,
            schemas: vec!["marts".to_owned()],
            held_back: BTreeMap::new(),
            held_back_schemas: BTreeMap::new(),
            objects: vec![RecordedObject {
                schema: "marts".to_owned(),
                name: "orders".to_owned(),
                id: "u1".to_owned(),
                kind: ObjectKind::View,
                beside: false,
                given: None,
            }],
        },
    }
}

fn to(id: &str) -> Advance {
    Advance {
        deployment: Some(id.to_owned()),
        reason: Reason::Promoted,
        at: Timestamp::now(),
    }
}

fn name(error: &ArtifactError) -> Option<Name> {
    assert!(error.hint().is_some(), "{error}");
    error.name()
}

/// Everything that a backend must do. Takes an empty store.
async fn suite(artifacts: Artifacts) {
    keeps_once(&artifacts).await;
    moves_the_pointer(&artifacts).await;
    one_of_many_moves_it(&artifacts).await;
    keeps_hostile_names_apart(&artifacts).await;
    trims(&artifacts).await;
    finds_what_others_have_live(&artifacts).await;
    reads_what_others_put_there(&artifacts).await;
}

/// Bundles are uploaded under their plain names, spaces and all.
async fn reads_what_others_put_there(artifacts: &Artifacts) {
    let below = "orders of ä.csv";
    let root = artifacts.root.as_ref();
    let whole = format!("{root}/{below}");
    let path = ObjectPath::parse(whole.trim_start_matches('/')).expect("a path");
    let options = PutOptions::from(PutMode::Overwrite);
    let put = artifacts.store.put_opts(&path, "a,b\n".into(), options);
    put.await.expect("written");
    let read = artifacts.read_below(below, 4).await.expect("reads");
    assert_eq!(read.as_deref(), Some(&b"a,b\n"[..]));
    let read = artifacts.read_below("nothing/there", 4).await;
    assert_eq!(read.expect("reads"), None);
    let error = artifacts.read_below(below, 3).await.expect_err("too large");
    assert!(matches!(error, ArtifactError::Away { .. }), "{error}");
}

async fn finds_what_others_have_live(artifacts: &Artifacts) {
    let long = "ü".repeat(120);
    let own = Key::new("shop", "own/../name");
    let mine = ["own/../name", "over/there", "given up", &long];
    let names = |others: &Others| -> Vec<String> {
        let live = others.live.iter().map(|other| &other.metadata);
        live.map(|metadata| metadata.environment.clone())
            .filter(|name| mine.contains(&name.as_str()))
            .collect()
    };
    let before = artifacts.others(&own).await.expect("reads");
    assert_eq!(names(&before), Vec::<String>::new());
    for environment in mine {
        let key = Key::new("shop", environment);
        let mut kept = bundle(&key, "d1");
        let plan =
            br#"{"server": "s", "clusters": [{"name": "c"}, {"name": "t", "scratch": true}]}"#;
        kept.plan = Some(plan.to_vec());
        artifacts.keep(&key, "d1", &kept).await.expect("kept");
        // Kept and not live yet.
        let others = artifacts.others(&own).await.expect("reads");
        assert!(!others.knows(environment));
        let moved = artifacts.advance(&key, None, &to("d1")).await;
        moved.expect("moved");
    }
    let nothing = Advance {
        deployment: None,
        reason: Reason::Forgotten,
        at: Timestamp::now(),
    };
    let given_up = Key::new("shop", "given up");
    let moved = artifacts.advance(&given_up, Some(1), &nothing).await;
    moved.expect("moved");
    let others = artifacts.others(&own).await.expect("reads");
    assert_eq!(names(&others), ["over/there", &long]);
    let there = |other: &&Other| other.metadata.environment == "over/there";
    let there = others.live.iter().find(there).expect("live");
    assert_eq!(there.server.as_deref(), Some("s"));
    assert_eq!(there.clusters, ["c"]);
    assert!(others.knows("given up") && others.knows(&long));
    assert!(!others.knows("own/../name") && !others.knows("there"));
}

async fn keeps_once(artifacts: &Artifacts) {
    let key = key();
    assert_eq!(artifacts.current(&key).await.expect("reads"), None);
    assert!(artifacts.baseline(&key).await.expect("reads").is_none());
    assert!(artifacts.projects().await.expect("lists").is_empty());
    let first = bundle(&key, "d1");
    let kept = artifacts.keep(&key, "d1", &first).await.expect("kept");
    assert_eq!(kept, first.metadata);

    // A second attempt: parsed again, at another time, with one object more.
    let mut again = first.clone();
    again.manifest = parsed_again();
    again.plan = Some(br#"{ "version":1 }"#.to_vec());
    again.metadata.created_at = Timestamp::now();
    again.metadata.objects.clear();
    let kept = artifacts.keep(&key, "d1", &again).await.expect("kept");
    assert_eq!(kept, first.metadata, "the first one stays");
    assert_eq!(
        artifacts.bundle(&key, "d1").await.expect("there"),
        first,
        "nothing was overwritten"
    );

    let mut other = first.clone();
    other.plan = Some(br#"{"version": 2}"#.to_vec());
    let error = artifacts.keep(&key, "d1", &other).await;
    let error = error.expect_err("another plan");
    assert!(matches!(error, ArtifactError::Different { .. }), "{error}");
    assert_eq!(error.class(), Class::Stuck);
    let mut other = first.clone();
    other.metadata.target = "dev".to_owned();
    let error = artifacts.keep(&key, "d1", &other).await;
    assert!(matches!(error, Err(ArtifactError::Different { .. })));

    // What does not belong together is not kept at all.
    let mut other = bundle(&key, "d2");
    other.metadata.manifest_hash = "0".repeat(64);
    let error = artifacts.keep(&key, "d2", &other).await;
    assert_eq!(
        name(&error.expect_err("a hash")),
        Some(Name::BaselineDamaged)
    );
    let error = artifacts.keep(&key, "d3", &bundle(&key, "d2")).await;
    assert_eq!(
        name(&error.expect_err("an id")),
        Some(Name::BaselineForeign)
    );
    let error = artifacts.bundle(&key, "d2").await.expect_err("not kept");
    assert_eq!(name(&error), Some(Name::BaselineIncomplete));
    assert_eq!(artifacts.projects().await.expect("lists"), ["shop"]);
}

async fn moves_the_pointer(artifacts: &Artifacts) {
    let key = key();
    let first = artifacts
        .advance(&key, None, &to("d1"))
        .await
        .expect("moved");
    assert_eq!((first.generation, first.previous.as_deref()), (1, None));
    let baseline = artifacts.baseline(&key).await.expect("read");
    let baseline = baseline.expect("there is one");
    assert_eq!(baseline.pointer, first);
    assert!(!baseline.manifest.nodes.is_empty());

    // The same again is fine; something else from the same place is a conflict.
    let again = artifacts.advance(&key, None, &to("d1")).await;
    assert_eq!(again.expect("said already"), first);
    let error = artifacts.advance(&key, None, &to("d9")).await;
    let error = error.expect_err("somebody else");
    let ArtifactError::Conflict { found, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(found.as_deref(), Some(&first));
    assert_eq!(error.class(), Class::Refused);
    let error = artifacts.advance(&key, Some(7), &to("d9")).await;
    assert!(matches!(error, Err(ArtifactError::Conflict { .. })));

    artifacts
        .keep(&key, "d2", &bundle(&key, "d2"))
        .await
        .expect("kept");
    let second = artifacts.advance(&key, Some(1), &to("d2")).await;
    let second = second.expect("moved");
    assert_eq!(second.previous.as_deref(), Some("d1"));
    // Repeated after others have moved on: it has taken place.
    let again = artifacts.advance(&key, None, &to("d1")).await;
    assert_eq!(again.expect("said already"), first);
    // Nothing of ours is live after the first one was rolled back.
    let none = Advance {
        deployment: None,
        reason: Reason::RolledBack,
        at: Timestamp::now(),
    };
    let third = artifacts.advance(&key, Some(2), &none).await;
    let third = third.expect("moved");
    assert!(artifacts.baseline(&key).await.expect("read").is_none());
    let history = artifacts.history(&key, 2).await.expect("read");
    assert_eq!(history, [third, second]);
}

async fn one_of_many_moves_it(artifacts: &Artifacts) {
    let key = Key::new("shop", "crowded");
    for expected in [None, Some(1)] {
        let tries = (0..16).map(|number| {
            let (artifacts, key) = (artifacts.clone(), key.clone());
            let to = to(&format!("{expected:?}-{number}"));
            tokio::spawn(async move { artifacts.advance(&key, expected, &to).await })
        });
        let tries: Vec<_> = tries.collect();
        let mut winners = Vec::new();
        for attempt in tries {
            match attempt.await.expect("it ends") {
                Ok(pointer) => winners.push(pointer),
                Err(ArtifactError::Conflict { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let current = artifacts.current(&key).await.expect("read");
        assert_eq!(winners.len(), 1, "{winners:?}");
        assert_eq!(current.as_ref(), winners.first());
    }
}

async fn keeps_hostile_names_apart(artifacts: &Artifacts) {
    let long = "ü".repeat(64);
    let longer = "x".repeat(300);
    let names = HOSTILE.into_iter().chain([long.as_str(), longer.as_str()]);
    for environment in names.clone() {
        let key = Key::new("shop", environment);
        assert_eq!(artifacts.current(&key).await.expect("read"), None);
        let kept = artifacts.keep(&key, "d1", &bundle(&key, "d1")).await;
        kept.unwrap_or_else(|error| panic!("{environment}: {error}"));
        let moved = artifacts.advance(&key, None, &to("d1")).await;
        moved.unwrap_or_else(|error| panic!("{environment}: {error}"));
    }
    for environment in names {
        let key = Key::new("shop", environment);
        let baseline = artifacts.baseline(&key).await;
        let baseline = baseline.unwrap_or_else(|error| panic!("{environment}: {error}"));
        let baseline = baseline.expect("there is one");
        assert_eq!(baseline.metadata.environment, environment);
        assert_eq!(artifacts.history(&key, 9).await.expect("read").len(), 1);
    }
    assert_eq!(artifacts.projects().await.expect("lists"), ["shop"]);
}

async fn trims(artifacts: &Artifacts) {
    let key = Key::new("shop", "trimmed");
    for number in 1..=4_u64 {
        let id = format!("d{number}");
        artifacts
            .keep(&key, &id, &bundle(&key, &id))
            .await
            .expect("kept");
        let expected = (number > 1).then(|| number - 1);
        let mut to = to(&id);
        // Stores tell the time of a write by the second.
        to.at = Timestamp::now() + std::time::Duration::from_secs(60);
        let moved = artifacts.advance(&key, expected, &to).await;
        moved.expect("moved");
    }
    let old = Timestamp::now() - std::time::Duration::from_secs(3600);
    let young = artifacts.trim(&key, 1, old).await.expect("trimmed");
    assert!(young.is_empty());
    let gone = artifacts
        .trim(&key, 1, Timestamp::MAX)
        .await
        .expect("trimmed");
    assert_eq!(BTreeSet::from_iter(gone), ["d1", "d2"].map(segment).into());
    let error = artifacts.bundle(&key, "d1").await.expect_err("gone");
    assert_eq!(name(&error), Some(Name::BaselineIncomplete));
    for id in ["d3", "d4"] {
        artifacts.bundle(&key, id).await.expect("kept");
    }
    assert!(artifacts.baseline(&key).await.expect("read").is_some());
    assert_eq!(artifacts.history(&key, 9).await.expect("read").len(), 4);
    assert!(
        artifacts
            .trim(&key, 1, Timestamp::MAX)
            .await
            .expect("trimmed")
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn in_memory() {
    suite(memory()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_files() {
    let folder = tempfile::tempdir().expect("a folder");
    suite(local(folder.path())).await;
    // Nothing was written beside the store.
    let names = |path: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(path).expect("a folder");
        let mut names: Vec<String> = entries
            .map(|entry| {
                let name = entry.expect("an entry").file_name();
                name.to_string_lossy().into_owned()
            })
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(folder.path()), ["deep"]);
    assert_eq!(names(&folder.path().join("deep")), ["artifacts"]);
    let all = names(&folder.path().join("deep/artifacts"));
    assert_eq!(all, ["orders of ä.csv", "shop"]);
}
