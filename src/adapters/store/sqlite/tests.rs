//! What only a journal in a file can suffer.

use crate::adapters::store::tests::{Bed, created};
use crate::adapters::store::{Backend, Store, StoreError};
use crate::domain::lifecycle::state::{Event, State};
use crate::foundation::failure::{Class, Classify};
use rusqlite::Connection;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

impl Bed {
    fn database(&self) -> PathBuf {
        self.folder.path().join(".cutover/cutover.db")
    }

    /// A journal with one deployment, closed; gives the deployment's id.
    async fn used(&self) -> String {
        let store = self.open().await;
        let lead = store.lead("prod").await.expect("nobody leads");
        created(&store, &lead).await.id
    }

    /// SQL from outside.
    fn meddle(&self, sql: &str) {
        let connection = Connection::open(self.database()).expect("opens");
        connection.execute_batch(sql).expect("runs");
    }

    /// The journal must be refused with an error that names it, and be left as it is.
    async fn refused(&self) -> StoreError {
        let before = fs::read(self.database()).ok();
        let error = self.try_open().await.expect_err("it must not open");
        assert_eq!(fs::read(self.database()).ok(), before, "{error}");
        assert!(error.to_string().contains("cutover.db"), "{error}");
        assert!(error.hint().is_some(), "{error}");
        error
    }
}

async fn raw(store: &Store, sql: &'static str) {
    let Backend::Sqlite(sqlite) = &*store.backend else {
        panic!("the journal is not in a file");
    };
    sqlite.raw(sql).await.expect("runs");
}

#[tokio::test]
async fn the_folder_and_the_file_are_private() {
    let bed = Bed::new();
    bed.used().await;
    let mode = |path: PathBuf| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(bed.folder.path().join(".cutover")), 0o700);
    assert_eq!(mode(bed.database()), 0o600);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let bed = Bed::new();
    bed.used().await;
    bed.meddle(
        "INSERT INTO refinery_schema_history VALUES (99, 'later', '2031-01-01T00:00:00Z', '1')",
    );
    let error = bed.refused().await;
    assert!(
        matches!(&error, StoreError::NewerSchema { found, known, .. }
            if found == "V99__later" && known == "V8__freezes"),
        "{error:?}"
    );
    assert_eq!(error.class(), Class::Usage);
}

#[tokio::test]
async fn another_migration_of_the_same_number_is_refused() {
    for change in [
        "UPDATE refinery_schema_history SET checksum = '1'",
        "UPDATE refinery_schema_history SET checksum = 'none'",
        "UPDATE refinery_schema_history SET name = 'else'",
    ] {
        let bed = Bed::new();
        bed.used().await;
        bed.meddle(change);
        let error = bed.refused().await;
        assert!(
            matches!(error, StoreError::DivergentSchema { .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_database_of_something_else_is_refused() {
    let bed = Bed::new();
    fs::create_dir(bed.folder.path().join(".cutover")).expect("made");
    bed.meddle("CREATE TABLE shopping (item TEXT)");
    let error = bed.refused().await;
    assert!(matches!(&error, StoreError::NotAJournal { found, .. } if found.contains("shopping")));
}

#[tokio::test]
async fn a_missing_table_is_damage() {
    let bed = Bed::new();
    bed.used().await;
    bed.meddle("DROP TABLE effects");
    let error = bed.refused().await;
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn damage_is_found_wherever_it_is() {
    let bed = Bed::new();
    bed.used().await;
    let whole = fs::read(bed.database()).expect("read");
    for (name, bytes) in [
        ("cut in the middle", whole[..whole.len() / 2].to_vec()),
        ("cut in the header", whole[..50].to_vec()),
        ("cut by a byte", whole[..whole.len() - 1].to_vec()),
        ("noise at the end", {
            let mut bytes = whole.clone();
            let length = bytes.len();
            bytes[length / 2..].fill(0xa7);
            bytes
        }),
        ("noise from the start", vec![0xa7; whole.len()]),
        (
            "text",
            b"not a database, but something that a person wrote".to_vec(),
        ),
    ] {
        fs::write(bed.database(), &bytes).expect("written");
        let error = bed.refused().await;
        assert!(
            matches!(
                error,
                StoreError::Corrupt { .. } | StoreError::NotAJournal { .. }
            ),
            "{name}: {error:?}"
        );
    }
    fs::write(bed.database(), &whole).expect("written");
    bed.open().await;
}

#[tokio::test]
async fn an_empty_file_is_a_new_journal_unless_a_log_lies_beside_it() {
    let bed = Bed::new();
    fs::create_dir(bed.folder.path().join(".cutover")).expect("made");
    fs::write(bed.database(), b"").expect("written");
    drop(bed.open().await);

    for emptied in [true, false] {
        let bed = Bed::new();
        let id = bed.used().await;
        let log = bed.folder.path().join(".cutover/cutover.db-wal");
        {
            // A process that was killed leaves its log.
            let store = bed.open().await;
            let lead = store.lead("prod").await.expect("nobody leads");
            store
                .apply(&lead, &id, &Event::StagingStarted)
                .await
                .expect("goes on");
            let (kept, saved) = (fs::read(&log).expect("a log"), fs::read(bed.database()));
            drop(store);
            fs::write(&log, kept).expect("written");
            fs::write(bed.database(), saved.expect("read")).expect("written");
        }
        let whole = fs::read(bed.database()).expect("read");
        if emptied {
            fs::write(bed.database(), b"").expect("written");
        } else {
            fs::remove_file(bed.database()).expect("removed");
        }
        let error = bed.refused().await;
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
        assert!(log.exists());
        // With the database back, nothing is lost.
        fs::write(bed.database(), whole).expect("written");
        let store = bed.open().await;
        assert_eq!(store.replay(&id).await.expect("agrees"), State::Staging);
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_is_named() {
    let bed = Bed::new();
    fs::write(bed.folder.path().join(".cutover"), b"").expect("written");
    let error = bed.refused().await;
    assert!(matches!(error, StoreError::CannotOpen { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Usage);

    let bed = Bed::new();
    fs::create_dir_all(bed.database()).expect("made");
    let error = bed.refused().await;
    assert!(matches!(error, StoreError::NotAJournal { .. }), "{error:?}");
}

#[tokio::test]
async fn a_file_without_write_permission_is_refused_at_the_start() {
    let bed = Bed::new();
    let id = bed.used().await;
    fs::set_permissions(bed.database(), fs::Permissions::from_mode(0o444)).expect("set");
    if fs::OpenOptions::new()
        .write(true)
        .open(bed.database())
        .is_err()
    {
        let error = bed.refused().await;
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
        return;
    }
    // A privileged user may write anyway; the same refusal then comes from SQLite's own switch.
    let store = bed.open().await;
    let lead = store.lead("prod").await.expect("nobody leads");
    raw(&store, "PRAGMA query_only = ON").await;
    let error = store
        .apply(&lead, &id, &Event::StagingStarted)
        .await
        .expect_err("nothing may be written");
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
}

#[tokio::test]
async fn a_full_disk_changes_nothing_and_passes() {
    let bed = Bed::new();
    let id = bed.used().await;
    let store = bed.open().await;
    let lead = store.lead("prod").await.expect("nobody leads");
    raw(&store, "PRAGMA max_page_count = 1").await;
    let large = "x".repeat(200_000);
    let error = store
        .begin_effect(&lead, &id, "stage", &large)
        .await
        .expect_err("there is no room");
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Transient);
    assert!(store.effects(&id).await.expect("read").is_empty());
    raw(&store, "PRAGMA max_page_count = 1000000").await;
    store
        .begin_effect(&lead, &id, "stage", &large)
        .await
        .expect("there is room again");
}

#[tokio::test]
async fn a_database_that_another_holds_is_busy() {
    let bed = Bed::new();
    let id = bed.used().await;
    let store = bed.open().await;
    let lead = store.lead("prod").await.expect("nobody leads");
    raw(&store, "PRAGMA busy_timeout = 20").await;
    let other = Connection::open(bed.database()).expect("opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("held");
    let error = store
        .apply(&lead, &id, &Event::StagingStarted)
        .await
        .expect_err("it is held");
    assert!(matches!(error, StoreError::Busy { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Transient);
    other.execute_batch("ROLLBACK").expect("given back");
    store
        .apply(&lead, &id, &Event::StagingStarted)
        .await
        .expect("goes on");
}

#[tokio::test]
async fn a_word_of_another_version_is_an_error() {
    for change in [
        "UPDATE deployments SET state = 'levitating'",
        "UPDATE deployments SET plan = '{}'",
        "UPDATE deployments SET request = 'nonsense'",
        "UPDATE deployments SET created_at = 'yesterday'",
    ] {
        let bed = Bed::new();
        let id = bed.used().await;
        bed.meddle(change);
        let store = bed.open().await;
        let error = store.deployment(&id).await.expect_err("it means nothing");
        assert!(
            matches!(error, StoreError::Unreadable { .. }),
            "{change}: {error:?}"
        );
        assert!(store.active("prod").await.is_err(), "{change}");
    }
    for change in [
        "UPDATE events SET body = '{\"kind\": \"levitated\"}'",
        "UPDATE events SET state_after = 'levitating'",
    ] {
        let bed = Bed::new();
        let id = bed.used().await;
        bed.meddle(change);
        let store = bed.open().await;
        assert!(
            matches!(store.events(&id).await, Err(StoreError::Unreadable { .. })),
            "{change}"
        );
        assert!(
            matches!(store.replay(&id).await, Err(StoreError::Unreadable { .. })),
            "{change}"
        );
    }
}

#[tokio::test]
async fn replay_finds_what_does_not_agree() {
    for change in [
        "UPDATE deployments SET state = 'ready'",
        "UPDATE deployments SET reason = 'because'",
        "UPDATE deployments SET active = 0, finished_at = created_at",
        "UPDATE events SET state_after = 'ready'",
        "UPDATE events SET seq = 2",
        "DELETE FROM events",
    ] {
        let bed = Bed::new();
        let id = bed.used().await;
        bed.meddle(change);
        let store = bed.open().await;
        let error = store.replay(&id).await.expect_err(change);
        assert!(
            matches!(error, StoreError::Diverged { .. }),
            "{change}: {error:?}"
        );
        assert_eq!(error.class(), Class::Stuck);
    }
}

#[tokio::test]
async fn an_opening_that_was_cut_short_is_finished() {
    let bed = Bed::new();
    fs::create_dir(bed.folder.path().join(".cutover")).expect("made");
    bed.meddle(
        "CREATE TABLE refinery_schema_history
        (version int4 PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255), checksum VARCHAR(255))",
    );
    bed.used().await;
    bed.open().await;
}
