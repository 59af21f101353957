//! Who approved which deployment.

use super::{Bed, On, new_deployment};
use crate::adapters::store::Approving;
use crate::domain::lifecycle::state::Event;
use crate::domain::records::subject::Subject;

on_every_backend! {
    each_person_approves_once_while_it_is_ready
}

async fn each_person_approves_once_while_it_is_ready(on: On) {
    let (bed, store, lead) = Bed::led(on).await;
    let id = store.create(&lead, new_deployment("prod")).await;
    let id = id.expect("created").id;
    let token = |name: &str| Subject::Token {
        name: name.to_owned(),
    };
    // Another process, which leads nothing.
    let other = bed.open().await;
    let early = other.approve(&id, &token("alice"), Some("p")).await;
    assert_eq!(early.expect("answered"), Approving::NotReady);
    for event in [
        Event::StagingStarted,
        Event::Staged,
        Event::Built,
        Event::Hydrated,
        Event::Verified,
    ] {
        store.apply(&lead, &id, &event).await.expect("applied");
    }
    for (by, expected) in [
        (token("alice"), Approving::Recorded),
        (token("alice"), Approving::Again),
        (
            Subject::User {
                name: "Alice".to_owned(),
                host: "elsewhere".to_owned(),
            },
            Approving::Again,
        ),
        (token("bob"), Approving::Recorded),
    ] {
        let approved = other.approve(&id, &by, Some("p")).await.expect("answered");
        assert_eq!(approved, expected, "{by}");
    }
    let approvals = store.approvals(&id).await.expect("read");
    let by: Vec<String> = approvals.iter().map(|one| one.by.to_string()).collect();
    assert_eq!(by, ["token alice", "token bob"]);
    assert!(
        approvals
            .iter()
            .all(|one| one.recipe.as_deref() == Some("p"))
    );
    let started = store.apply(&lead, &id, &Event::PromotionStarted).await;
    started.expect("applied");
    let late = other.approve(&id, &token("carol"), Some("p")).await;
    assert_eq!(late.expect("answered"), Approving::NotReady);
}
