//! What a version of an earlier time left in the middle of a deployment: the present one goes on with it. How it
//! was made is told in `tests/upgrade/README.md`.

use crate::support::{JournalServer, Needs, World};
use rusqlite::Connection;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAMES: &str = "SELECT 'cluster ' || name, id FROM mz_catalog.mz_clusters WHERE id LIKE 'u%' \
     UNION ALL SELECT 'schema ' || name, id FROM mz_catalog.mz_schemas WHERE id LIKE 'u%' \
     UNION ALL SELECT 'object ' || s.name || '.' || o.name, o.id FROM mz_catalog.mz_objects o \
     JOIN mz_catalog.mz_schemas s ON s.id = o.schema_id WHERE o.id LIKE 'u%' \
     UNION ALL SELECT 'server', mz_environment_id()::text";

/// A moment of the release that an earlier version made.
struct Earlier {
    world: World,
    /// The deployment under way.
    id: String,
    /// The server of the journal, where it is not a file.
    _journal: Option<JournalServer>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/upgrade")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Earlier {
    /// The server, the journal, the artifacts and the project as they were at that moment.
    async fn at(moment: &str) -> Option<Self> {
        let world = world().await?;
        let (journal, ids) = recorded(&world, moment).await;
        let own = world.project.path().join(".cutover");
        for (place, text) in artifacts() {
            let is_later = place.ends_with("00000000000000000002.json") && moment == "ready";
            if !is_later {
                write(&own.join("artifacts").join(place), &replaced(&text, &ids));
            }
        }
        let connection = Connection::open(own.join("cutover.db")).expect("a file");
        connection.execute_batch(&journal).expect("a journal");
        let id = connection.query_row(UNDER_WAY, [], |row| row.get(0));
        let id: String = id.expect("a deployment under way");
        // The folder of its run, as far as a release goes on with it.
        let manifest = format!("artifacts/shop/prod/deployments/{id}/manifest.json");
        let parsed = format!("runs/{id}/parse/target/manifest.json");
        write(&own.join(parsed), &read(&own.join(manifest)));
        Some(Self {
            world,
            id,
            _journal: None,
        })
    }

    /// The server and the journal as they were in the soak, the journal in PostgreSQL.
    async fn in_postgres() -> Option<Self> {
        let mut world = world().await?;
        let server = JournalServer::of(&mut world);
        let (journal, _) = recorded(&world, "postgres").await;
        let client = server.connect().await;
        client.batch_execute(&journal).await.expect("a journal");
        let under_way = UNDER_WAY.replace("deployments", "cutover.deployments");
        let under_way = under_way.replace("= 1", "");
        let row = client.query_one(&under_way, &[]).await;
        let id = row.expect("a deployment under way").get(0);
        Some(Self {
            world,
            id,
            _journal: Some(server),
        })
    }

    async fn document(&self, arguments: &[&str]) -> Value {
        self.world.cutover(arguments).await.exits(0).document()
    }

    /// Asserts that every command that reads understands what is there.
    async fn is_read(&self, state: &str) {
        let status = self.document(&["status"]).await;
        let shown = status.to_string();
        assert!(shown.contains(&self.id) && shown.contains(state), "{shown}");
        let history = self.document(&["history"]).await;
        let history = history["deployments"].as_array().expect("deployments");
        let states: Vec<&str> = history
            .iter()
            .filter_map(|it| it["state"].as_str())
            .collect();
        assert_eq!(states, [state, "done"]);
        for deployment in history {
            let id = deployment["id"].as_str().expect("an id");
            let shown = self.document(&["show", id]).await;
            let (events, effects) = (&shown["events"], &shown["effects"]);
            assert!(!events.as_array().expect("events").is_empty(), "{shown}");
            assert!(!effects.as_array().expect("effects").is_empty(), "{shown}");
            assert_eq!(shown["plan"]["project"], "shop");
            let told = self.world.cutover_text(&["show", id, "-v"]).await;
            told.exits(0).says("shop_marts");
        }
        let told = self.world.cutover_text(&["status"]).await.exits(0);
        told.says(&state.replace('_', " "));
    }
}

const UNDER_WAY: &str = "SELECT id FROM deployments WHERE active = 1";

/// The project as it was released last.
async fn world() -> Option<World> {
    let world = World::start(Needs::Sandbox).await?;
    world.project.without_tests();
    world.project.set_release(2);
    Some(world)
}

/// Makes the server what it was, and gives the journal with what has which id now.
async fn recorded(world: &World, moment: &str) -> (String, BTreeMap<String, String>) {
    let recorded = folder().join(moment);
    let statements: Vec<String> =
        serde_json::from_str(&read(&recorded.join("statements.json"))).expect("statements");
    for statement in &statements {
        world.sql.run(statement).await;
    }
    let ids = ids(world, &recorded.join("names.json")).await;
    let journal = read(&recorded.join("journal.sql"));
    (replaced(&journal, &ids), ids)
}

/// What an id is called now, by what it was called.
async fn ids(world: &World, recorded: &Path) -> BTreeMap<String, String> {
    let recorded: BTreeMap<String, String> = serde_json::from_str(&read(recorded)).expect("names");
    let rows = world.sql.rows(NAMES).await;
    let now: BTreeMap<&str, &str> = rows.iter().map(|row| (&*row[0], &*row[1])).collect();
    let ids: BTreeMap<String, String> = recorded
        .iter()
        .map(|(name, id)| {
            let now = now.get(name.as_str());
            let now = now.unwrap_or_else(|| panic!("{name} is not there: {rows:?}"));
            (id.clone(), (*now).to_owned())
        })
        .collect();
    assert_eq!(ids.len(), recorded.len(), "an id is of two things");
    assert!(ids.iter().any(|(then, now)| then != now));
    ids
}

/// A text with each id that stands in quotes as it is now.
fn replaced(text: &str, ids: &BTreeMap<String, String>) -> String {
    let mut parts: Vec<&str> = text.split('"').collect();
    for part in &mut parts {
        if let Some(now) = ids.get(*part) {
            *part = now;
        }
    }
    parts.join("\"")
}

/// The files of the artifact store, by their places.
fn artifacts() -> Vec<(String, String)> {
    let root = folder().join("artifacts");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let place = path.strip_prefix(&root).expect("below").display();
            let place = place.to_string();
            found.push(match place.strip_suffix(".gz") {
                Some(place) => (place.to_owned(), unpacked(&path)),
                None => (place, read(&path)),
            });
        }
    }
    found
}

fn unpacked(path: &Path) -> String {
    let output = Command::new("gzip").arg("-dc").arg(path).output();
    let output = output.expect("gzip runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_version_made_ready_is_promoted_and_cleaned_up() {
    let Some(earlier) = Earlier::at("ready").await else {
        return;
    };
    earlier.is_read("ready").await;
    let world = &earlier.world;
    world.serves(1).await;
    world.cutover(&["promote"]).await.exits(0);
    world.serves(2).await;
    earlier.is_read("soaking").await;
    world.cutover(&["cleanup"]).await.exits(0);
    earlier.is_read("done").await;
    world.serves(2).await;
    world.nothing_left().await;
    // What it put live is what the next release begins with.
    let status = earlier.document(&["baseline", "show"]).await;
    assert!(status.to_string().contains(&earlier.id), "{status}");
    world.project.set_release(3);
    let released = world.cutover(&["deploy"]).await.exits(0);
    assert_eq!(released.states().last().map(String::as_str), Some("done"));
    world.serves(3).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_version_made_ready_is_given_up() {
    let Some(earlier) = Earlier::at("ready").await else {
        return;
    };
    let world = &earlier.world;
    world.cutover(&["abort"]).await.exits(0);
    earlier.is_read("aborted").await;
    world.serves(1).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_version_swapped_in_is_rolled_back() {
    let Some(earlier) = Earlier::at("soaking").await else {
        return;
    };
    earlier.is_read("soaking").await;
    let world = &earlier.world;
    world.serves(2).await;
    world.cutover(&["rollback"]).await.exits(0);
    earlier.is_read("rolled_back").await;
    world.serves(1).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_version_swapped_in_is_cleaned_up() {
    let Some(earlier) = Earlier::at("soaking").await else {
        return;
    };
    let world = &earlier.world;
    world.cutover(&["cleanup"]).await.exits(0);
    earlier.is_read("done").await;
    world.serves(2).await;
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_of_an_earlier_version_in_postgresql_is_gone_on_with() {
    let Some(earlier) = Earlier::in_postgres().await else {
        return;
    };
    earlier.is_read("soaking").await;
    let world = &earlier.world;
    world.cutover(&["cleanup"]).await.exits(0);
    earlier.is_read("done").await;
    world.serves(2).await;
    world.nothing_left().await;
}
