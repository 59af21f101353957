//! What every backend must do. A test gets a [`Bed`], an empty place for a journal, and opens it
//! as often as it likes. Each test runs once for each backend.
//!
//! PostgreSQL is a private server of the process, or the one of `CUTOVER_TEST_POSTGRES_URL`; each
//! bed is a schema there.

use super::{Kind, NewDeployment, Request, Store, StoreError};
use crate::deployment::state::{Event, State, next};
use crate::failure::{Class, Classify};
use crate::plan::Plan;
use crate::settings::{Policy, Span};
use mz_sandbox::postgres::{PORT, SUPERUSER, Server};
use proptest::prelude::*;
use serde_json::json;
use std::sync::OnceLock;
use std::time::Duration;

/// Which backend a bed is in.
#[derive(Debug, Clone, Copy)]
pub(super) enum On {
    Sqlite,
    Postgres,
}

/// An empty place for a journal.
pub(super) struct Bed {
    pub(super) folder: tempfile::TempDir,
    pub(super) url: String,
}

impl Bed {
    /// In a file.
    pub(super) fn new() -> Self {
        Self::on(On::Sqlite)
    }

    pub(super) fn on(backend: On) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            url: match backend {
                On::Sqlite => "sqlite://.cutover/cutover.db".to_owned(),
                On::Postgres => {
                    let schema = uuid::Uuid::now_v7().simple();
                    let server = postgres_url();
                    let more = if server.contains('?') { '&' } else { '?' };
                    format!("{server}{more}schema=test%5F{schema}")
                }
            },
        }
    }

    pub(super) async fn open(&self) -> Store {
        self.try_open().await.expect("the journal opens")
    }

    pub(super) async fn try_open(&self) -> Result<Store, StoreError> {
        Store::open(&self.url, self.folder.path()).await
    }
}

/// The server that all tests of this process share.
fn postgres_url() -> &'static str {
    static SERVER: OnceLock<(String, Option<Server>)> = OnceLock::new();
    let (url, _) = SERVER.get_or_init(|| match std::env::var("CUTOVER_TEST_POSTGRES_URL") {
        Ok(url) => (url, None),
        Err(_) => {
            let server = Server::start().expect("a private PostgreSQL");
            (private_url(&server), Some(server))
        }
    });
    url
}

/// The URL of a private server.
pub(super) fn private_url(server: &Server) -> String {
    let folder = server.folder().display().to_string().replace('/', "%2F");
    format!("postgres://{SUPERUSER}@{folder}:{PORT}/postgres")
}

/// Each test once for each backend.
macro_rules! on_every_backend {
    ($($test:ident)*) => {
        mod on_sqlite {
            use super::On;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                super::$test(On::Sqlite).await;
            })*
        }
        mod on_postgres {
            use super::On;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $test() {
                super::$test(On::Postgres).await;
            })*
        }
    };
}

on_every_backend! {
    a_deployment_is_recorded_whole_and_planned
    one_deployment_of_an_environment_is_active
    an_event_that_does_not_fit_changes_nothing
    the_reason_is_the_one_that_explains_the_state
    an_effect_keeps_its_first_intent
    a_result_of_null_is_a_result
    what_was_recorded_is_there_after_a_crash
    one_leads_and_the_other_learns_who
    names_of_environments_do_not_leave_the_folder
    of_concurrent_events_each_is_applied_once
    an_empty_journal_opened_by_many_at_once_is_made_once
    a_prefix_names_a_deployment_when_it_is_the_only_one
    a_killed_leader_leaves_the_lead_and_a_whole_journal
}

pub(super) fn new_deployment(environment: &str) -> NewDeployment {
    NewDeployment {
        plan: Plan {
            build_selectors: Vec::new(),
            test_selectors: Vec::new(),
            version: 1,
            mode: crate::plan::Mode::Full,
            environment: environment.to_owned(),
            target: "prod".to_owned(),
            project: "shop".to_owned(),
            database: "materialize".to_owned(),
            server: None,
            manifest_hash: "0".repeat(64),
            green_manifest_hash: String::new(),
            baseline: crate::plan::BaselineUsed::default(),
            columns: Vec::new(),
            estimated_hydration_ms: None,
            held_back: std::collections::BTreeMap::new(),
            held_back_schemas: std::collections::BTreeMap::new(),
            strategy: crate::plan::Strategy::Swap,
            replacements: Vec::new(),
            schemas: Vec::new(),
            clusters: Vec::new(),
            nodes: Vec::new(),
            tests: Vec::new(),
            test_cluster: None,
            indexes: Vec::new(),
            sinks: Vec::new(),
            gains: vec!["marts.\"ö'\\\"".to_owned()],
            loses: Vec::new(),
            accepted: Vec::new(),
            notes: Vec::new(),
        },
        request: Request {
            kind: Kind::Full,
            promotion: Policy::Manual,
            cleanup: Policy::Automatic,
            soak: Span(Duration::from_millis(90_500)),
            allow: vec!["source-rebuilt".to_owned()],
            bootstrap: true,
            checks: Vec::new(),
        },
    }
}

/// The events of a release that goes well, after the plan.
fn straight() -> Vec<Event> {
    vec![
        Event::StagingStarted,
        Event::Staged,
        Event::Built,
        Event::Hydrated,
        Event::Verified,
        Event::PromotionStarted,
        Event::SwapCommitted,
        Event::Soaked,
        Event::CleanedUp,
    ]
}

async fn a_deployment_is_recorded_whole_and_planned(on: On) {
    let bed = Bed::on(on);
    let store = bed.open().await;
    let lead = store.lead("prod").await.expect("nobody leads");
    let new = new_deployment("prod");
    let made = store.create(&lead, new.clone()).await.expect("created");
    assert_eq!(made.state, State::Planned);
    assert_eq!((&made.plan, &made.request), (&new.plan, &new.request));
    assert_eq!((made.attempt, made.finished_at), (1, None));
    assert_eq!(store.deployment(&made.id).await.expect("found"), made);
    assert_eq!(
        store.active("prod").await.expect("read"),
        Some(made.clone())
    );
    assert_eq!(
        store.latest("prod").await.expect("read"),
        Some(made.clone())
    );
    assert_eq!(store.active("other").await.expect("read"), None);
    let events = store.events(&made.id).await.expect("read");
    assert_eq!(events.len(), 1);
    assert_eq!((events[0].seq, &events[0].event), (1, &Event::PlanStored));
    assert_eq!(
        store.replay(&made.id).await.expect("agrees"),
        State::Planned
    );
}

async fn one_deployment_of_an_environment_is_active(on: On) {
    let bed = Bed::on(on);
    let store = bed.open().await;
    let lead = store.lead("prod").await.expect("nobody leads");
    let other = store.lead("dev").await.expect("another environment");
    let first = store
        .create(&lead, new_deployment("prod"))
        .await
        .expect("created");
    let refusal = store
        .create(&lead, new_deployment("prod"))
        .await
        .expect_err("one is active");
    assert!(
        matches!(&refusal, StoreError::DeploymentActive { id, state: State::Planned, .. } if *id == first.id),
        "{refusal:?}"
    );
    assert_eq!(refusal.class(), Class::Refused);
    store
        .create(&other, new_deployment("dev"))
        .await
        .expect("another environment");

    for event in straight() {
        store
            .apply(&lead, &first.id, &event)
            .await
            .expect("goes on");
    }
    let done = store.deployment(&first.id).await.expect("found");
    assert_eq!(done.state, State::Done);
    assert_eq!(done.finished_at, Some(done.updated_at));
    assert_eq!(store.active("prod").await.expect("read"), None);
    let second = store
        .create(&lead, new_deployment("prod"))
        .await
        .expect("the first has ended");
    assert_eq!(
        store.latest("prod").await.expect("read").map(|d| d.id),
        Some(second.id.clone())
    );

    let all = store.history(None, 10).await.expect("read");
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].id, second.id);
    let own = store.history(Some("prod"), 10).await.expect("read");
    assert_eq!(
        own.iter()
            .map(|s| (s.id.as_str(), s.state))
            .collect::<Vec<_>>(),
        [
            (second.id.as_str(), State::Planned),
            (first.id.as_str(), State::Done)
        ]
    );
    assert_eq!(store.history(None, 1).await.expect("read").len(), 1);
    assert!(
        store
            .history(Some("none"), 1)
            .await
            .expect("read")
            .is_empty()
    );
}

async fn an_event_that_does_not_fit_changes_nothing(on: On) {
    let bed = Bed::on(on);
    let store = bed.open().await;
    let lead = store.lead("prod").await.expect("nobody leads");
    let made = store
        .create(&lead, new_deployment("prod"))
        .await
        .expect("created");
    let refusal = store
        .apply(&lead, &made.id, &Event::SwapCommitted)
        .await
        .expect_err("nothing was staged");
    assert!(
        matches!(refusal, StoreError::Transition { .. }),
        "{refusal:?}"
    );
    assert_eq!(store.deployment(&made.id).await.expect("found"), made);
    assert_eq!(store.events(&made.id).await.expect("read").len(), 1);
}

async fn the_reason_is_the_one_that_explains_the_state(on: On) {
    let bed = Bed::on(on);
    let store = bed.open().await;
    let lead = store.lead("prod").await.expect("nobody leads");
    let id = store
        .create(&lead, new_deployment("prod"))
        .await
        .expect("created")
        .id;
    let failed = Event::StepFailed {
        reason: "a model fails".to_owned(),
    };
    let stuck = Event::StuckAt {
        state: State::Unwinding,
        reason: "a schema was taken".to_owned(),
    };
    let mut reasons = Vec::new();
    for event in [
        Event::StagingStarted,
        failed,
        stuck,
        Event::Unstuck {
            state: State::Unwinding,
        },
        Event::UnwoundAfterFailure,
    ] {
        reasons.push(
            store
                .apply(&lead, &id, &event)
                .await
                .expect("goes on")
                .reason,
        );
    }
    assert_eq!(
        reasons.iter().map(Option::as_deref).collect::<Vec<_>>(),
        [
            None,
            Some("a model fails"),
            Some("a schema was taken"),
            Some("a model fails"),
            Some("a model fails")
        ]
    );
    assert_eq!(store.replay(&id).await.expect("agrees"), State::Failed);
}

async fn an_effect_keeps_its_first_intent(on: On) {
    let bed = Bed::on(on);
    let store = bed.open().await;
    let lead = store.lead("prod").await.expect("nobody leads");
    let id = store
        .create(&lead, new_deployment("prod"))
        .await
        .expect("created")
        .id;
    assert!(store.effect(&id, "stage").await.expect("read").is_none());
    let unbegun = store
        .finish_effect(&lead, &id, "stage", &1)
        .await
        .expect_err("no intent");
    assert!(
        matches!(unbegun, StoreError::EffectNotBegun { .. }),
        "{unbegun:?}"
    );

    let first = store
        .begin_effect(&lead, &id, "stage", &json!({"id": "u1"}))
        .await
        .expect("begun");
    assert_eq!((first.attempt, &first.result), (1, &None));
    let again = store
        .begin_effect(&lead, &id, "stage", &json!({"id": "u2"}))
        .await
        .expect("begun");
    assert_eq!((again.attempt, &again.intent), (2, &json!({"id": "u1"})));
    assert_eq!(again.started_at, first.started_at);
    store
        .finish_effect(&lead, &id, "stage", &vec!["u9"])
        .await
        .expect("finished");
    let known = store
        .begin_effect(&lead, &id, "stage", &json!(null))
        .await
        .expect("begun");
    assert_eq!(
        known.result_as::<Vec<String>>().expect("a list"),
        Some(vec!["u9".to_owned()])
    );
    assert!(known.result_as::<u32>().is_err());
    assert!(known.finished_at.is_some());

    store
        .begin_effect(&lead, &id, "another", &())
        .await
        .expect("begun");
    let keys: Vec<String> = store
        .effects(&id)
        .await
        .expect("read")
        .into_iter()
        .map(|e| e.key)
        .collect();
    assert_eq!(keys, ["stage", "another"]);

    store
        .apply(&lead, &id, &Event::AbortRequested)
        .await
        .expect("goes on");
    store
        .apply(&lead, &id, &Event::UnwoundAfterAbort)
        .await
        .expect("goes on");
    let ended = store
        .begin_effect(&lead, &id, "late", &())
        .await
        .expect_err("it has ended");
    assert!(
        matches!(
            ended,
            StoreError::Ended {
                state: State::Aborted,
                ..
            }
        ),
        "{ended:?}"
    );
    assert!(store.take_up(&lead, &id).await.is_err());
}

async fn a_result_of_null_is_a_result(on: On) {
    let bed = Bed::on(on);
    let store = bed.open().await;
    let lead = store.lead("prod").await.expect("nobody leads");
    let id = store
        .create(&lead, new_deployment("prod"))
        .await
        .expect("created")
        .id;
    store
        .begin_effect(&lead, &id, "drop", &())
        .await
        .expect("begun");
    store
        .finish_effect(&lead, &id, "drop", &())
        .await
        .expect("finished");
    let effect = store
        .effect(&id, "drop")
        .await
        .expect("read")
        .expect("there");
    assert_eq!(effect.result, Some(serde_json::Value::Null));
}

async fn what_was_recorded_is_there_after_a_crash(on: On) {
    let bed = Bed::on(on);
    let (id, before) = {
        let store = bed.open().await;
        let lead = store.lead("prod").await.expect("nobody leads");
        let id = store
            .create(&lead, new_deployment("prod"))
            .await
            .expect("created")
            .id;
        store
            .apply(&lead, &id, &Event::StagingStarted)
            .await
            .expect("goes on");
        store
            .begin_effect(&lead, &id, "stage", &json!({"schema": "x"}))
            .await
            .expect("begun");
        let before = store.deployment(&id).await.expect("found");
        (id, before)
    };
    let store = bed.open().await;
    assert_eq!(store.deployment(&id).await.expect("found"), before);
    let effect = store
        .effect(&id, "stage")
        .await
        .expect("read")
        .expect("there");
    assert_eq!((effect.result, effect.attempt), (None, 1));
    let lead = store.lead("prod").await.expect("the leader is gone");
    let taken = store.take_up(&lead, &id).await.expect("goes on");
    assert_eq!((taken.attempt, taken.state), (2, State::Staging));
    assert_eq!(store.replay(&id).await.expect("agrees"), State::Staging);
}

async fn one_leads_and_the_other_learns_who(on: On) {
    let bed = Bed::on(on);
    let (one, two) = (bed.open().await, bed.open().await);
    let lead = one.lead("prod").await.expect("nobody leads");
    assert_eq!(lead.environment(), "prod");
    for store in [&one, &two] {
        let refusal = store.lead("prod").await.expect_err("it is led");
        assert_eq!(refusal.class(), Class::Refused);
        let StoreError::Led {
            holder: Some(holder),
            ..
        } = &refusal
        else {
            panic!("{refusal:?}");
        };
        assert_eq!(holder.pid, std::process::id());
        assert!(refusal.to_string().contains(&holder.pid.to_string()));
    }
    let other = two.lead("Prod").await.expect("another environment");
    // The proof of one handle is good for another on the same journal.
    let id = two
        .create(&lead, new_deployment("prod"))
        .await
        .expect("created")
        .id;
    let wrong = two
        .apply(&other, &id, &Event::StagingStarted)
        .await
        .expect_err("not its environment");
    assert!(matches!(wrong, StoreError::WrongLead { .. }), "{wrong:?}");
    assert!(two.create(&other, new_deployment("prod")).await.is_err());
    assert!(two.begin_effect(&other, &id, "x", &()).await.is_err());
    assert!(two.finish_effect(&other, &id, "x", &()).await.is_err());
    assert!(two.take_up(&other, &id).await.is_err());
    drop(lead);
    two.lead("prod").await.expect("it was given up");

    let elsewhere = Bed::on(on);
    let foreign = elsewhere
        .open()
        .await
        .lead("prod")
        .await
        .expect("nobody leads there");
    let wrong = one
        .apply(&foreign, &id, &Event::StagingStarted)
        .await
        .expect_err("not this journal");
    assert!(matches!(wrong, StoreError::WrongLead { .. }), "{wrong:?}");
}

async fn names_of_environments_do_not_leave_the_folder(on: On) {
    let bed = Bed::on(on);
    let store = bed.open().await;
    for name in [
        "../../x",
        "a/b",
        "\u{1f980}",
        &"é".repeat(64),
        ".",
        "'; drop table events; --",
    ] {
        let lead = store.lead(name).await.expect("any name");
        store
            .create(&lead, new_deployment(name))
            .await
            .expect("any name");
        assert!(store.active(name).await.expect("read").is_some());
    }
    assert!(!bed.folder.path().join("x").exists());
}

async fn of_concurrent_events_each_is_applied_once(on: On) {
    let bed = Bed::on(on);
    let (one, two) = (bed.open().await, bed.open().await);
    let lead = std::sync::Arc::new(one.lead("prod").await.expect("nobody leads"));
    let id = one
        .create(&lead, new_deployment("prod"))
        .await
        .expect("created")
        .id;
    for event in straight() {
        let mut tasks = tokio::task::JoinSet::new();
        for store in [&one, &two, &one, &two] {
            let (store, lead, id, event) = (store.clone(), lead.clone(), id.clone(), event.clone());
            tasks.spawn(async move { store.apply(&lead, &id, &event).await.is_ok() });
        }
        let outcomes = tasks.join_all().await;
        assert_eq!(outcomes.iter().filter(|ok| **ok).count(), 1, "{event:?}");
    }
    assert_eq!(two.events(&id).await.expect("read").len(), 10);
    assert_eq!(two.replay(&id).await.expect("agrees"), State::Done);
}

async fn an_empty_journal_opened_by_many_at_once_is_made_once(on: On) {
    let bed = std::sync::Arc::new(Bed::on(on));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let bed = bed.clone();
        tasks.spawn(async move { bed.try_open().await.map(|_| ()) });
    }
    for outcome in tasks.join_all().await {
        outcome.expect("each opens it");
    }
}

async fn a_prefix_names_a_deployment_when_it_is_the_only_one(on: On) {
    let bed = Bed::on(on);
    let store = bed.open().await;
    let lead = store.lead("prod").await.expect("nobody leads");
    let other = store.lead("dev").await.expect("nobody leads");
    let one = store
        .create(&lead, new_deployment("prod"))
        .await
        .expect("created")
        .id;
    assert_eq!(
        store
            .deployment(&one[..1].to_uppercase())
            .await
            .expect("only one")
            .id,
        one
    );
    let two = store
        .create(&other, new_deployment("dev"))
        .await
        .expect("created")
        .id;
    assert_eq!(store.deployment(&one).await.expect("whole").id, one);
    let ambiguous = store.deployment(&one[..1]).await.expect_err("two begin so");
    let StoreError::Ambiguous { ids, .. } = &ambiguous else {
        panic!("{ambiguous:?}");
    };
    assert_eq!(ids, &[two, one]);
    for nobody in ["", " ", "%", "_", "zz", "'"] {
        let missing = store
            .deployment(nobody)
            .await
            .expect_err("nothing begins so");
        assert!(
            matches!(missing, StoreError::NotFound { .. }),
            "{missing:?}"
        );
    }
    for missing in [
        store.events("x").await.map(|_| ()),
        store.effects("x").await.map(|_| ()),
        store.replay("x").await.map(|_| ()),
        store.apply(&lead, "x", &Event::Staged).await.map(|_| ()),
        store.begin_effect(&lead, "x", "k", &()).await.map(|_| ()),
        store.finish_effect(&lead, "x", "k", &()).await,
    ] {
        assert!(
            matches!(missing, Err(StoreError::NotFound { .. })),
            "{missing:?}"
        );
    }
}

/// The parent starts this test again as a child that leads and writes until it is killed.
async fn a_killed_leader_leaves_the_lead_and_a_whole_journal(on: On) {
    const FOLDER: &str = "CUTOVER_TEST_LEADER_FOLDER";
    const URL: &str = "CUTOVER_TEST_LEADER_URL";
    if let Ok(folder) = std::env::var(FOLDER) {
        let url = std::env::var(URL).expect("given with the folder");
        let store = Store::open(&url, folder.as_ref()).await.expect("opens");
        let lead = store.lead("prod").await.expect("nobody leads");
        let id = store
            .create(&lead, new_deployment("prod"))
            .await
            .expect("created")
            .id;
        std::fs::write(std::path::Path::new(&folder).join("leading"), b"").expect("written");
        let state = State::Planned;
        let reason = "x".repeat(5_000);
        for _ in 0..10_000 {
            for event in [
                Event::StuckAt {
                    state,
                    reason: reason.clone(),
                },
                Event::Unstuck { state },
            ] {
                store.apply(&lead, &id, &event).await.expect("goes on");
            }
        }
    }
    let bed = Bed::on(on);
    let module = match on {
        On::Sqlite => "on_sqlite",
        On::Postgres => "on_postgres",
    };
    let store = bed.open().await;
    let mut child = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            &format!("store::tests::{module}::a_killed_leader_leaves_the_lead_and_a_whole_journal"),
        ])
        .env(FOLDER, bed.folder.path())
        .env(URL, &bed.url)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("started");
    while !bed.folder.path().join("leading").exists() {
        assert!(
            child.try_wait().expect("asked").is_none(),
            "the child ended"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let error = store.lead("prod").await.expect_err("the child leads");
    assert!(
        matches!(&error, StoreError::Led { holder: Some(holder), .. } if holder.pid == child.id()),
        "{error:?}"
    );
    let id = store
        .active("prod")
        .await
        .expect("read")
        .expect("one is active")
        .id;
    while store.events(&id).await.expect("read").len() < 20 {
        assert!(
            child.try_wait().expect("asked").is_none(),
            "the child ended"
        );
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    store.lead("prod").await.expect("the leader is dead");
    store.replay(&id).await.expect("agrees");
    drop(store);
    bed.open().await.replay(&id).await.expect("agrees");
}

fn any_event() -> impl Strategy<Value = Event> {
    let state = || proptest::sample::select(State::ALL.to_vec());
    let reason = || ".{0,12}";
    prop_oneof![
        8 => proptest::sample::select(straight()),
        1 => Just(Event::PlanStored),
        1 => Just(Event::AbortRequested),
        1 => Just(Event::UnwoundAfterFailure),
        1 => Just(Event::UnwoundAfterAbort),
        1 => Just(Event::RolledBack),
        1 => reason().prop_map(|reason| Event::SwapDeclined { reason }),
        1 => reason().prop_map(|reason| Event::StepFailed { reason }),
        1 => reason().prop_map(|reason| Event::RollbackRequested { reason }),
        2 => (state(), reason()).prop_map(|(state, reason)| Event::StuckAt { state, reason }),
        2 => state().prop_map(|state| Event::Unstuck { state }),
    ]
}

/// The stored state is the fold of the events.
fn fold(on: On, events: Vec<(Event, bool)>) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let bed = Bed::on(on);
        let store = bed.open().await;
        let lead = store.lead("e").await.expect("nobody leads");
        let id = store
            .create(&lead, new_deployment("e"))
            .await
            .expect("created")
            .id;
        let (mut expected, mut count) = (State::Planned, 1);
        for (event, follow) in events {
            // Half of the time an event that leads on, or few sequences get far.
            let event = if follow {
                straight()
                    .into_iter()
                    .find(|e| next(expected, e).is_ok())
                    .unwrap_or(event)
            } else {
                event
            };
            let outcome = store.apply(&lead, &id, &event).await;
            match next(expected, &event) {
                Ok(state) => {
                    expected = state;
                    count += 1;
                    prop_assert_eq!(outcome.map(|d| d.state).ok(), Some(state));
                }
                Err(_) => prop_assert!(outcome.is_err()),
            }
        }
        prop_assert_eq!(store.replay(&id).await.expect("agrees"), expected);
        prop_assert_eq!(store.events(&id).await.expect("read").len(), count);
        prop_assert_eq!(
            store.active("e").await.expect("read").is_some(),
            !expected.is_terminal()
        );
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_stored_state_is_the_fold_of_the_events_on_sqlite(
        events in proptest::collection::vec((any_event(), any::<bool>()), 1..60),
    ) {
        fold(On::Sqlite, events)?;
    }

    #[test]
    fn the_stored_state_is_the_fold_of_the_events_on_postgres(
        events in proptest::collection::vec((any_event(), any::<bool>()), 1..60),
    ) {
        fold(On::Postgres, events)?;
    }
}
