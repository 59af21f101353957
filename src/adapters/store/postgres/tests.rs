//! What only a journal behind a connection can suffer.

use crate::adapters::store::postgres::lead;
use crate::adapters::store::tests::{Bed, On, new_deployment, private_url};
use crate::adapters::store::{Lead, Store, StoreError};
use crate::domain::lifecycle::state::{Event, State};
use crate::domain::location::journal::Location;
use crate::foundation::failure::{Class, Classify};
use mz_sandbox::postgres::Server;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proxy::{Mode, Proxy};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls};

/// A pooler that keeps nobody's session.
mod pooler;
/// A way to the server that loses what it is told to lose.
mod proxy;

impl Bed {
    fn address(&self) -> super::Address {
        let Location::Postgres(address) = Location::parse(&self.url).expect("a good URL") else {
            panic!("the journal is in a file");
        };
        *address
    }

    /// A connection from outside, with the journal's schema as its path.
    async fn admin(&self) -> Client {
        let address = self.address();
        let (client, connection) = address.config.connect(NoTls).await.expect("connects");
        tokio::spawn(async move { drop(connection.await) });
        let path = format!("SET search_path TO \"{}\"", address.schema);
        client.batch_execute(&path).await.expect("runs");
        client
    }

    /// SQL from outside.
    async fn run_outside(&self, sql: &str) {
        self.admin().await.batch_execute(sql).await.expect("runs");
    }

    /// What is in the schema, in brief.
    async fn contents(&self) -> Vec<(String, i64)> {
        let admin = self.admin().await;
        let tables = admin
            .query(
                "SELECT relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
                WHERE nspname = $1 AND relkind = 'r' ORDER BY 1",
                &[&self.address().schema],
            )
            .await
            .expect("read");
        let mut contents = Vec::new();
        for table in tables {
            let table: String = table.get(0);
            let sql = format!("SELECT count(*) FROM {table}");
            let count = admin.query_one(&sql, &[]);
            contents.push((table, count.await.expect("read").get(0)));
        }
        contents
    }

    /// The journal must be refused with an error that names it, and be left as it is.
    async fn refused_untouched(&self) -> StoreError {
        let before = self.contents().await;
        let error = self.try_open().await.expect_err("it must not open");
        assert_eq!(self.contents().await, before, "{error}");
        assert!(
            error.to_string().contains(&self.address().schema),
            "{error}"
        );
        assert!(error.hint().is_some(), "{error}");
        error
    }
}

/// A journal with one deployment of `prod`.
async fn begun(bed: &Bed) -> (Store, Lead, String) {
    let store = bed.open().await;
    let lead = store.lead("prod").await.expect("nobody leads");
    let new = new_deployment("prod");
    let id = store.create(&lead, new).await.expect("created").id;
    (store, lead, id)
}

async fn wait_until_led(store: &Store) {
    let start = Instant::now();
    while !store.is_led("prod").await.expect("read") {
        assert!(start.elapsed() < Duration::from_secs(10), "nobody leads");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn schemas_of_others_are_refused() {
    let newer = "INSERT INTO refinery_schema_history VALUES (99, 'later', '2031-01-01', '1')";
    for (change, is_expected) in [
        (
            newer,
            (|error| matches!(error, StoreError::NewerSchema { found, .. } if found == "V99__later"))
                as fn(&StoreError) -> bool,
        ),
        (
            "UPDATE refinery_schema_history SET checksum = 'none'",
            |error| matches!(error, StoreError::DivergentSchema { .. }),
        ),
        ("DROP TABLE effects", |error| {
            matches!(error, StoreError::Corrupt { .. })
        }),
        (
            "DROP TABLE refinery_schema_history",
            |error| matches!(error, StoreError::NotAJournal { found, .. } if found.contains("something else")),
        ),
    ] {
        let bed = Bed::on(On::Postgres);
        drop(begun(&bed).await);
        bed.run_outside(change).await;
        let error = bed.refused_untouched().await;
        assert!(is_expected(&error), "{change}: {error:?}");
    }
}

#[tokio::test]
async fn tables_of_another_product_are_refused() {
    let bed = Bed::on(On::Postgres);
    let schema = bed.address().schema;
    bed.run_outside(&format!(
        "CREATE SCHEMA {schema}; CREATE TABLE {schema}.shopping (item TEXT)"
    ))
    .await;
    let error = bed.refused_untouched().await;
    assert!(matches!(&error, StoreError::NotAJournal { found, .. } if found.contains("shopping")));
    assert_eq!(error.class(), Class::Usage);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_keeps_no_session_is_refused() {
    let mut bed = Bed::on(On::Postgres);
    drop(begun(&bed).await);
    let direct = bed.url.clone();
    pooler::before(&mut bed).await;
    let error = bed.try_open().await.expect_err("no session is kept");
    assert!(matches!(error, StoreError::Pooled { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Usage);
    assert!(error.hint().expect("a hint").contains("session mode"));
    // What only passes everything on is no pooler.
    bed.url = direct;
    let _proxy = Proxy::before(&mut bed).await;
    bed.open().await.lead("prod").await.expect("nobody leads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lead_whose_number_was_given_again_is_not_taken_for_the_other() {
    let bed = Bed::on(On::Postgres);
    drop(bed.open().await.lead("prod").await);
    let (store, lead, id) = begun(&bed).await;
    // The server fell back to what it was before this lead began.
    bed.run_outside("UPDATE leads SET epoch = epoch - 1, token = NULL")
        .await;
    lead.lost().await;
    let other = bed.open().await;
    let start = Instant::now();
    let again = loop {
        match other.lead("prod").await {
            Ok(again) => break again,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(5), "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(lead.epoch.number, again.epoch.number);
    let late = store.apply(&lead, &id, &Event::StagingStarted).await;
    assert!(
        matches!(late, Err(StoreError::Superseded { .. })),
        "{late:?}"
    );
    let moved = other.apply(&again, &id, &Event::StagingStarted).await;
    assert_eq!(moved.expect("leads").state, State::Staging);
}

#[tokio::test]
async fn an_opening_that_was_cut_short_is_finished() {
    let bed = Bed::on(On::Postgres);
    let schema = bed.address().schema;
    bed.run_outside(&format!(
        "CREATE SCHEMA {schema}; CREATE TABLE {schema}.refinery_schema_history (version int4
        PRIMARY KEY, name VARCHAR(255), applied_on VARCHAR(255), checksum VARCHAR(255))"
    ))
    .await;
    drop(begun(&bed).await);
    bed.open().await;
}

#[tokio::test]
async fn a_server_that_is_away_at_the_start_is_named_at_once() {
    let mut bed = Bed::on(On::Sqlite);
    bed.url = "postgres://me:s3cr3t@127.0.0.1:1/db".to_owned();
    let start = Instant::now();
    let error = bed.try_open().await.expect_err("nothing listens");
    assert!(start.elapsed() < Duration::from_secs(3));
    assert!(matches!(error, StoreError::Away { .. }), "{error:?}");
    assert_eq!(error.class(), Class::Transient);
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    assert!(error.hint().expect("a hint").contains("store.url"));
    assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
}

#[tokio::test]
async fn a_server_that_does_not_admit_us_is_a_fault_of_the_url() {
    let mut bed = Bed::on(On::Postgres);
    let url = bed.url.clone();
    let database = bed.address();
    let database = database.config.get_dbname().expect("named");
    for change in [
        url.replace(&format!("/{database}?"), "/no_such_database?"),
        format!("{url}&sslmode=require&host=127.0.0.1"),
    ] {
        bed.url = change;
        // A private server has no TLS and does not listen on TCP.
        let error = bed.try_open().await.expect_err("not admitted");
        assert!(
            matches!(error, StoreError::Denied { .. } | StoreError::Away { .. }),
            "{error:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_between_two_writes_is_found_again() {
    let server = Server::start().expect("a private PostgreSQL");
    let mut bed = Bed::on(On::Sqlite);
    bed.url = private_url(&server);
    let (store, lead, id) = begun(&bed).await;
    // One killed backend makes the server end all of them and recover from its log.
    let admin = bed.admin().await;
    let pid: i32 = admin
        .query_one("SELECT pg_backend_pid()", &[])
        .await
        .expect("read")
        .get(0);
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("killed");
    while !admin.is_closed() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let moved = store.apply(&lead, &id, &Event::StagingStarted).await;
    assert_eq!(moved.expect("goes on").state, State::Staging);
    assert_eq!(store.replay(&id).await.expect("agrees"), State::Staging);
    assert_eq!(store.events(&id).await.expect("read").len(), 2);
    wait_until_led(&store).await;
    let other = bed.open().await.lead("prod").await;
    assert!(matches!(other, Err(StoreError::Led { .. })), "{other:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_ended_in_the_middle_of_a_write_loses_and_doubles_nothing() {
    let bed = Bed::on(On::Postgres);
    let (store, lead, id) = begun(&bed).await;
    let mut outside = bed.admin().await;
    let transaction = outside.transaction().await.expect("begun");
    transaction
        .batch_execute("SELECT epoch FROM leads FOR UPDATE")
        .await
        .expect("locked");
    let write = {
        let (store, id) = (store.clone(), id.clone());
        tokio::spawn(async move { store.apply(&lead, &id, &Event::StagingStarted).await })
    };
    let admin = bed.admin().await;
    let start = Instant::now();
    loop {
        let ended = admin
            .query(
                "SELECT pg_terminate_backend(pid) FROM pg_locks
                WHERE NOT granted AND $1 = ANY (pg_blocking_pids(pid))",
                &[&transaction
                    .query_one("SELECT pg_backend_pid()", &[])
                    .await
                    .expect("read")
                    .get::<_, i32>(0)],
            )
            .await
            .expect("read");
        if !ended.is_empty() {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(5), "nothing waits");
    }
    transaction.rollback().await.expect("released");
    write.await.expect("ended").expect("goes on");
    assert_eq!(store.events(&id).await.expect("read").len(), 2);
    assert_eq!(store.replay(&id).await.expect("agrees"), State::Staging);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_fate_is_unknown_is_made_once() {
    for mode in [Mode::LoseRequest, Mode::LoseAnswer, Mode::CommitLate] {
        let mut bed = Bed::on(On::Postgres);
        let proxy = Proxy::before(&mut bed).await;
        let store = bed.open().await;
        let lead = store.lead("prod").await.expect("nobody leads");
        let new = new_deployment("prod");
        let id = store.create(&lead, new).await.expect("created").id;

        proxy.tell(mode);
        let moved = store.apply(&lead, &id, &Event::StagingStarted).await;
        assert_eq!(moved.expect("made").state, State::Staging);
        proxy.spent().await;

        proxy.tell(mode);
        let taken = store.take_up(&lead, &id).await.expect("made");
        assert_eq!(taken.attempt, 2);
        proxy.spent().await;

        proxy.tell(mode);
        let effect = store.begin_effect(&lead, &id, "key", &1).await;
        assert_eq!(effect.expect("made").attempt, 1);
        proxy.spent().await;

        proxy.tell(mode);
        let effect = store.begin_effect(&lead, &id, "key", &2).await;
        assert_eq!(effect.expect("made").attempt, 2);
        proxy.spent().await;

        proxy.tell(mode);
        let finished = store.finish_effect(&lead, &id, "key", &3).await;
        finished.expect("made");
        proxy.spent().await;

        let stored = store.deployment(&id).await.expect("found");
        assert_eq!((stored.attempt, stored.state), (2, State::Staging));
        assert_eq!(store.events(&id).await.expect("read").len(), 2);
        assert_eq!(store.replay(&id).await.expect("agrees"), State::Staging);
        let effects = store.effects(&id).await.expect("read");
        assert_eq!(effects.len(), 1);
        assert_eq!(
            (effects[0].attempt, effects[0].intent.as_i64()),
            (2, Some(1))
        );
        assert_eq!(effects[0].result_as::<u32>().expect("a number"), Some(3));

        let other = store.lead("dev").await.expect("nobody leads");
        proxy.tell(mode);
        let new = new_deployment("dev");
        let second = store.create(&other, new).await.expect("made");
        proxy.spent().await;
        let all = store.history(Some("dev"), 10).await.expect("read");
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].id, second.id);
        assert_eq!(store.events(&second.id).await.expect("read").len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_cut_off_and_replaced_changes_nothing() {
    let mut bed = Bed::on(On::Postgres);
    let direct = bed.url.clone();
    let proxy = Proxy::before(&mut bed).await;
    let (old, stale, id) = begun(&bed).await;
    old.begin_effect(&stale, &id, "key", &1)
        .await
        .expect("begun");

    bed.url = direct;
    let new = bed.open().await;
    assert!(new.is_led("prod").await.expect("read"));
    proxy.tell(Mode::Cut);
    let lead = loop {
        match new.lead("prod").await {
            Ok(lead) => break lead,
            Err(StoreError::Led { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    };
    proxy.tell(Mode::Pass);
    let before = bed.contents().await;
    let last = new.deployment(&id).await.expect("found");
    for refusal in [
        old.apply(&stale, &id, &Event::StagingStarted).await.err(),
        old.take_up(&stale, &id).await.err(),
        old.begin_effect(&stale, &id, "other", &1).await.err(),
        old.begin_effect(&stale, &id, "key", &1).await.err(),
        old.finish_effect(&stale, &id, "key", &1).await.err(),
        old.create(&stale, new_deployment("prod")).await.err(),
    ] {
        let refusal = refusal.expect("it leads no more");
        assert!(
            matches!(&refusal, StoreError::Superseded { holder: Some(holder), .. }
                if holder.pid == std::process::id() && holder.host.is_some()),
            "{refusal:?}"
        );
        assert_eq!(refusal.class(), Class::Refused);
    }
    assert_eq!(bed.contents().await, before);
    assert_eq!(new.deployment(&id).await.expect("found"), last);
    let effects = new.effects(&id).await.expect("read");
    assert_eq!((effects[0].attempt, effects[0].result.is_none()), (1, true));
    // The old keeper has given up: ending it does not end the new lead.
    drop(stale);
    assert!(new.is_led("prod").await.expect("read"));
    new.apply(&lead, &id, &Event::StagingStarted)
        .await
        .expect("the new one leads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lead_whose_connection_is_lost_is_taken_again() {
    let bed = Bed::on(On::Postgres);
    let (store, lead, id) = begun(&bed).await;
    let key = lead::lock_key(&bed.address().schema, "prod");
    let admin = bed.admin().await;
    let ended = admin
        .query(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_locks
            WHERE locktype = 'advisory' AND (classid::int8 << 32 | objid::int8) = $1",
            &[&key],
        )
        .await
        .expect("read");
    assert_eq!(ended.len(), 1);
    wait_until_led(&store).await;
    store
        .apply(&lead, &id, &Event::StagingStarted)
        .await
        .expect("still leads");
    drop(lead);
    assert!(!store.is_led("prod").await.expect("read"));
    store.lead("prod").await.expect("it was given up");
}

#[tokio::test]
async fn looking_does_not_take_the_lead() {
    let bed = Bed::on(On::Postgres);
    let (store, lead, id) = begun(&bed).await;
    assert!(store.is_led("prod").await.expect("read"));
    assert!(!store.is_led("dev").await.expect("read"));
    store
        .apply(&lead, &id, &Event::StagingStarted)
        .await
        .expect("goes on");
}

#[tokio::test]
async fn a_write_whose_caller_is_gone_is_finished() {
    let bed = Bed::on(On::Postgres);
    let (store, lead, id) = begun(&bed).await;
    {
        let write = store.apply(&lead, &id, &Event::StagingStarted);
        let mut write = std::pin::pin!(write);
        let first = std::future::poll_fn(|context| {
            std::task::Poll::Ready(write.as_mut().poll(context).is_pending())
        });
        assert!(first.await, "nothing answers that quickly");
    }
    let after = store.deployment(&id).await.expect("found");
    assert_eq!(after.state, State::Staging);
}

/// The parent starts this test again as a child that leads, and pauses it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_leader_is_replaced_and_learns_of_it() {
    const URL: &str = "CUTOVER_TEST_PAUSED_URL";
    const FOLDER: &str = "CUTOVER_TEST_PAUSED_FOLDER";
    if let (Ok(url), Ok(folder)) = (std::env::var(URL), std::env::var(FOLDER)) {
        let folder = std::path::PathBuf::from(folder);
        let store = Store::open(&url, &folder).await.expect("opens");
        let lead = store.lead("prod").await.expect("nobody leads");
        let new = new_deployment("prod");
        let id = store.create(&lead, new).await.expect("created").id;
        std::fs::write(folder.join("leading"), &id).expect("written");
        lead.lost().await;
        let refusal = store.apply(&lead, &id, &Event::StagingStarted).await;
        std::fs::write(folder.join("lost"), format!("{refusal:?}")).expect("written");
        return;
    }
    let bed = Bed::on(On::Postgres);
    let store = bed.open().await;
    let here = module_path!().trim_start_matches("cutover::");
    let path = format!("{here}::a_paused_leader_is_replaced_and_learns_of_it");
    let mut child = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", &path])
        .env(URL, &bed.url)
        .env(FOLDER, bed.folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("started");
    let written = async |name: &str| {
        let start = Instant::now();
        loop {
            match std::fs::read_to_string(bed.folder.path().join(name)) {
                Ok(text) if !text.is_empty() => return text,
                Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
            assert!(start.elapsed() < Duration::from_secs(20), "no {name}");
        }
    };
    let id = written("leading").await;
    // One that lives keeps its lead for longer than the lease.
    tokio::time::sleep(Duration::from_secs(9)).await;
    let led = store.lead("prod").await;
    assert!(matches!(led, Err(StoreError::Led { .. })), "{led:?}");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    kill(pid, Signal::SIGSTOP).expect("paused");
    let start = Instant::now();
    let lead = loop {
        match store.lead("prod").await {
            Ok(lead) => break lead,
            Err(StoreError::Led { .. }) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(error) => panic!("{error:?}"),
        }
        assert!(start.elapsed() < Duration::from_secs(15), "still led");
    };
    assert!(start.elapsed() > Duration::from_secs(5), "too early");
    kill(pid, Signal::SIGCONT).expect("goes on");
    let refusal = written("lost").await;
    assert!(refusal.contains("Superseded"), "{refusal}");
    assert!(child.wait().expect("ended").success());
    // And the new one keeps it.
    assert!(store.is_led("prod").await.expect("read"));
    store
        .apply(&lead, &id, &Event::StagingStarted)
        .await
        .expect("the new one leads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_of_many_replaces_a_silent_leader() {
    let bed = Bed::on(On::Postgres);
    let (old, stale, _) = begun(&bed).await;
    // The server's view of a process that fell silent: nobody beats, the connection is old.
    let admin = bed.admin().await;
    let key = lead::lock_key(&bed.address().schema, "silent");
    let taken = admin
        .query_one("SELECT pg_try_advisory_lock($1)", &[&key])
        .await
        .expect("asked");
    assert!(taken.get::<_, bool>(0));
    admin
        .batch_execute(
            "INSERT INTO leads (environment, epoch, host, pid, since, seen_at)
            VALUES ('silent', 1, 'gone', 1, '2031-01-01T00:00:00.000Z', now() - interval '9 s')",
        )
        .await
        .expect("written");
    // A connection that is that young may be about to say that it leads.
    let early = old.lead("silent").await;
    assert!(matches!(early, Err(StoreError::Led { .. })), "{early:?}");
    tokio::time::sleep(Duration::from_secs(9)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = bed.open().await;
        tasks.spawn(async move { store.lead("silent").await });
    }
    let outcomes = tasks.join_all().await;
    let leading = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(leading, 1, "{outcomes:?}");
    for refusal in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert!(matches!(refusal, StoreError::Led { .. }), "{refusal:?}");
    }
    assert!(admin.is_closed());
    // Others are not touched.
    let still = old.still_leads(&stale).await;
    still.expect("it leads");
}
