//! A journal of the first version, opened by this one.

use super::{Bed, On};
use crate::domain::lifecycle::state::{Event, State};
use crate::domain::location::journal::Location;
use crate::domain::records::run::{Cause, NewRun};
use tokio_postgres::NoTls;

on_every_backend! {
    a_journal_of_the_first_version_is_taken_over
}

/// Rows that such a version wrote.
const ROWS: &str = include_str!("v1.sql");

/// The rows, in the schema and with the history as that version left them. The checksums are what it
/// recorded: a migration that was edited since is found here.
async fn made(bed: &Bed, on: On) {
    let (schema, checksum) = match on {
        On::Sqlite => (
            include_str!("../../../../migrations/sqlite/V1__journal.sql"),
            "16098432944890833147",
        ),
        On::Postgres => (
            include_str!("../../../../migrations/postgres/V1__journal.sql"),
            "9801394996113210877",
        ),
    };
    let sql = format!(
        "{schema}
        CREATE TABLE refinery_schema_history (version INT4 PRIMARY KEY, name VARCHAR(255),
            applied_on VARCHAR(255), checksum VARCHAR(255));
        INSERT INTO refinery_schema_history
            VALUES (1, 'journal', '2026-11-20T22:30:00.5Z', '{checksum}');
        {ROWS}"
    );
    match Location::parse(&bed.url).expect("a good URL") {
        Location::Sqlite(path) => {
            let path = bed.folder.path().join(path);
            std::fs::create_dir(path.parent().expect("a folder")).expect("made");
            let connection = rusqlite::Connection::open(path).expect("opens");
            connection.execute_batch(&sql).expect("runs");
        }
        Location::Postgres(address) => {
            let (client, connection) = address.config.connect(NoTls).await.expect("connects");
            tokio::spawn(async move { drop(connection.await) });
            let schema = address.schema;
            let path = format!("CREATE SCHEMA \"{schema}\"; SET search_path TO \"{schema}\";");
            client.batch_execute(&path).await.expect("runs");
            client.batch_execute(&sql).await.expect("runs");
        }
    }
}

async fn a_journal_of_the_first_version_is_taken_over(on: On) {
    let bed = Bed::on(on);
    made(&bed, on).await;
    for opening in 0..2 {
        let store = bed.open().await;
        let history = store.history(Some("prod"), 10).await.expect("read");
        let states: Vec<State> = history.iter().map(|found| found.state).collect();
        assert_eq!(states, [State::Building, State::Aborted], "{opening}");
        for found in &history {
            let replayed = store.replay(&found.id).await.expect("sound");
            assert_eq!(replayed, found.state);
            let whole = store.deployment(&found.id).await.expect("read");
            assert_eq!(whole.plan.schemas.len(), 3, "{:?}", whole.plan);
            assert_eq!(
                (whole.request.revision, whole.request.checks),
                (None, vec![])
            );
            let effects = store.effects(&found.id).await.expect("read");
            assert_eq!(effects[0].key, "create");
            assert!(effects.iter().all(|effect| effect.result.is_some()));
        }
        assert_eq!(store.runs(None, 10).await.expect("read"), []);
    }
    // What was under way goes on, with everything that came since.
    let store = bed.open().await;
    let lead = store.lead("prod").await.expect("nobody leads");
    let active = store.active("prod").await.expect("read").expect("one");
    let taken = store.take_up(&lead, &active.id).await.expect("taken up");
    assert_eq!(taken.attempt, active.attempt + 1);
    let new = NewRun {
        cause: Cause::Recovery,
        scheduled_for: None,
        revision: None,
        wishes: Some(serde_json::json!({"full": true})),
    };
    let run = store.begin_run(&lead, new).await.expect("begun");
    assert_eq!(store.run(&run.id).await.expect("read"), run);
    store
        .attach_run(&lead, &run.id, &active.id)
        .await
        .expect("attached");
    let built = store.apply(&lead, &active.id, &Event::Built).await;
    assert_eq!(built.expect("applied").state, State::Hydrating);
    assert_eq!(
        store.replay(&active.id).await.expect("sound"),
        State::Hydrating
    );
}
