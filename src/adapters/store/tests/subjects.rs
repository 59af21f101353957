//! Who is behind what is recorded.

use super::runs::new_run;
use super::{Bed, On, new_deployment};
use crate::domain::lifecycle::state::{Asker, Event};
use crate::domain::lifecycle::verb::Verb;
use crate::domain::records::run::{Cause, Outcome};
use crate::domain::records::subject::Subject;
use jiff::{Timestamp, ToSpan};

on_every_backend! {
    each_event_and_run_says_who_is_behind_it
    a_journal_is_told_from_every_other
}

fn token(name: &str) -> Subject {
    Subject::Token {
        name: name.to_owned(),
    }
}

async fn each_event_and_run_says_who_is_behind_it(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    // A command is its user's.
    let user = lead.subject();
    assert!(matches!(user, Subject::User { .. }), "{user}");

    lead.acts_for(Subject::Schedule);
    let run = store.begin_run(&lead, new_run(Cause::Schedule, "a")).await;
    let run = run.expect("begun");
    assert_eq!(run.by, Some(Subject::Schedule));
    let made = store.create_by(&lead, new_deployment("prod"), Some(&run.id));
    let made = made.await.expect("created");
    assert_eq!(made.by, Some(Subject::Schedule));
    let author = Subject::commit(Some("Ada <ada@example.org>"));
    lead.acts_for(author.clone());
    let revised = store
        .revise_run(&lead, &run.id, "b")
        .await
        .expect("revised");
    assert_eq!(revised.by, Some(author.clone()));

    // Somebody asks for something; who set it off stays known.
    let asked = Event::Asked {
        verb: Verb::Abort,
        by: Asker::Api,
    };
    store
        .apply(&lead, &made.id, &Event::StagingStarted)
        .await
        .expect("goes on");
    store
        .apply_by(&lead, &made.id, &asked, &token("ci"))
        .await
        .expect("recorded");
    lead.acts_for(token("ci"));
    for event in [
        Event::Staged,
        Event::Built,
        Event::Hydrated,
        Event::Verified,
        Event::PromotionStarted,
        Event::SwapCommitted,
        Event::Degraded {
            reason: "it lags".to_owned(),
        },
        Event::RollbackRequested {
            reason: "a check failed".to_owned(),
            cause: Some(Asker::Check),
            forced: false,
            held: false,
        },
    ] {
        store.apply(&lead, &made.id, &event).await.expect("goes on");
    }
    let events = store.events(&made.id).await.expect("read");
    let by: Vec<Option<&Subject>> = events.iter().map(|event| event.by.as_ref()).collect();
    let ci = token("ci");
    let mut expected = vec![Some(&Subject::Schedule), Some(&author)];
    expected.extend([Some(&ci); 7]);
    // What Cutover finds out by itself is nobody's wish.
    expected.extend([Some(&Subject::Cutover); 2]);
    assert_eq!(by, expected);
    let listed = store.history(Some("prod"), 1).await.expect("read");
    assert_eq!(listed[0].by, Some(Subject::Schedule));
    let whole = store.deployment(&made.id).await.expect("read");
    assert_eq!(whole.by, Some(Subject::Schedule));
    store.replay(&made.id).await.expect("sound");

    // Others are told, too.
    let finished = store.finish_run(&lead, &run.id, Outcome::RolledBack, None);
    finished.await.expect("finished");
    let past = Timestamp::now() - 1.hour();
    let due = store
        .due("prod", &["hook"], past, Timestamp::now(), 100)
        .await;
    let due = due.expect("read");
    let told = |kind: &str| {
        let mut messages = due.iter().map(|due| &due.message);
        let message = messages.find(|message| message.kind == kind);
        message.expect("told").body["by"].clone()
    };
    assert_eq!(told("plan_stored"), serde_json::json!({"kind": "schedule"}));
    assert_eq!(
        told("asked"),
        serde_json::json!({"kind": "token", "name": "ci"})
    );
    assert_eq!(
        told("rollback_requested"),
        serde_json::json!({"kind": "cutover"})
    );
    assert_eq!(
        told("run_rolled_back"),
        serde_json::json!({"kind": "commit", "author": "Ada <ada@example.org>"})
    );

    // The next process is its own user's until somebody asks.
    drop(lead);
    let lead = store.lead("prod").await.expect("nobody leads");
    assert_eq!(lead.subject(), user);
}

async fn a_journal_is_told_from_every_other(on: On) {
    let bed = Bed::on(on);
    let (one, again) = (bed.open().await, bed.open().await);
    let other = Bed::on(on).open().await;
    assert_eq!(one.id(), again.id());
    assert_ne!(one.id(), other.id());
    assert_eq!(one.id().len(), 32);
}

#[test]
fn subjects_are_said_and_kept() {
    let user = Subject::User {
        name: "ada".to_owned(),
        host: "laptop".to_owned(),
    };
    for (subject, said) in [
        (token("ci"), "token ci"),
        (user, "ada@laptop"),
        (Subject::Schedule, "schedule"),
        (Subject::commit(None), "change of the project"),
        (Subject::commit(Some("Ada <a@b>")), "commit of Ada <a@b>"),
        (Subject::Cutover, "cutover"),
    ] {
        assert_eq!(subject.to_string(), said);
        let text = serde_json::to_string(&subject).expect("JSON");
        let read: Subject = serde_json::from_str(&text).expect("a subject");
        assert_eq!(read, subject);
    }
    let unknown = serde_json::from_str::<Subject>(r#"{"kind": "oracle"}"#);
    assert!(unknown.is_err());
    let long = Subject::commit(Some(&"x\0".repeat(500)));
    assert!(long.to_string().chars().count() < 250);
    assert!(!long.to_string().contains('\0'));
}
