//! Who leads, and how a lead ends.

use super::{Bed, On, created, new_deployment};
use crate::adapters::store::{Store, StoreError};
use crate::domain::lifecycle::state::{Event, State};
use crate::foundation::failure::{Class, Classify};
use std::time::Duration;

on_every_backend! {
    one_leads_and_the_other_learns_who
    whoever_is_refused_learns_where_the_leader_answers
    names_of_environments_do_not_leave_the_folder
    an_empty_journal_opened_by_many_at_once_is_made_once
    a_killed_leader_leaves_the_lead_and_a_whole_journal
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
    let id = created(&two, &lead).await.id;
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

async fn whoever_is_refused_learns_where_the_leader_answers(on: On) {
    let bed = Bed::on(on);
    let (one, two) = (bed.open().await, bed.open().await);
    assert_eq!(two.holder("prod").await.expect("read"), None);
    let address = "http://10.0.0.1:8080".to_owned();
    let lead = one.lead_as("prod", Some(address.clone())).await;
    let lead = lead.expect("nobody leads");
    let refusal = two.lead("prod").await.expect_err("it is led");
    assert!(refusal.to_string().contains(&address), "{refusal}");
    let StoreError::Led { holder, .. } = refusal else {
        panic!("{refusal:?}");
    };
    let holder = holder.expect("it is known");
    assert_eq!(holder.address, Some(address));
    // Looking changes nothing, however often.
    for store in [&one, &two] {
        assert_eq!(
            store.holder("prod").await.expect("read").as_ref(),
            Some(&holder)
        );
        assert!(store.is_led("prod").await.expect("read"));
    }
    drop(lead);
    assert_eq!(two.holder("prod").await.expect("read"), None);
    assert!(!two.is_led("prod").await.expect("read"));
    let lead = two.lead("prod").await.expect("it was given up");
    let holder = one.holder("prod").await.expect("read").expect("it is led");
    assert_eq!(holder.address, None);
    drop(lead);
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

/// The parent starts this test again as a child that leads and writes until it is killed.
async fn a_killed_leader_leaves_the_lead_and_a_whole_journal(on: On) {
    const FOLDER: &str = "CUTOVER_TEST_LEADER_FOLDER";
    const URL: &str = "CUTOVER_TEST_LEADER_URL";
    if let Ok(folder) = std::env::var(FOLDER) {
        let url = std::env::var(URL).expect("given with the folder");
        let store = Store::open(&url, folder.as_ref()).await.expect("opens");
        let lead = store.lead("prod").await.expect("nobody leads");
        let id = created(&store, &lead).await.id;
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
    let here = module_path!().trim_start_matches("cutover::");
    let store = bed.open().await;
    let mut child = std::process::Command::new(std::env::current_exe().expect("this program"))
        .args([
            "--exact",
            &format!("{here}::{module}::a_killed_leader_leaves_the_lead_and_a_whole_journal"),
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
