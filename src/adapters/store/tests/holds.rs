//! What holds environments back.

use super::{Bed, On};
use crate::domain::records::hold::Hold;
use crate::domain::records::subject::Subject;
use jiff::Timestamp;

on_every_backend! {
    what_holds_is_written_whole_by_whoever_leads
    a_person_holds_beside_a_way_back_and_need_not_lead
}

async fn a_person_holds_beside_a_way_back_and_need_not_lead(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    let back = hold(Some("a"));
    store.set_hold(&lead, Some(&back)).await.expect("recorded");
    let person = hold(None);
    for with in [Some(&lead), None] {
        let held = store.hold_as_it_is(with, person.clone());
        held.await.expect("recorded");
        let found = store.holds("prod").await.expect("read");
        assert_eq!(found, [person.clone(), back.clone()]);
        assert_eq!(store.hold("prod").await.expect("read"), Some(back.clone()));
        let by = Subject::Cutover;
        store.lift_hold(with, &person, &by).await.expect("lifted");
        let found = store.holds("prod").await.expect("read");
        assert_eq!(found, std::slice::from_ref(&back));
    }
    let now = Timestamp::now();
    let due = store.due("prod", &["x"], Timestamp::UNIX_EPOCH, now, 10);
    let due = due.await.expect("messages");
    let kinds: Vec<&str> = due.iter().map(|due| due.message.kind.as_str()).collect();
    assert_eq!(kinds, ["held", "hold_lifted", "held", "hold_lifted"]);
    assert_eq!(due[0].message.body["reason"], "rolled back to a");
}

fn hold(deployment: Option<&str>) -> Hold {
    Hold {
        environment: "prod".to_owned(),
        deployment: deployment.map(str::to_owned),
        reason: "rolled back to a".to_owned(),
        since: Timestamp::UNIX_EPOCH,
        until: None,
        by: Subject::Cutover,
        cause: deployment.map(|_| "b".to_owned()),
        lifted_by: None,
        before: None,
    }
}

async fn what_holds_is_written_whole_by_whoever_leads(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    assert_eq!(store.hold("prod").await.expect("read"), None);
    let hold = hold(Some("a"));
    store.set_hold(&lead, Some(&hold)).await.expect("recorded");
    let found = store.hold("prod").await.expect("read");
    assert_eq!(found.as_ref(), Some(&hold));
    let lifted = hold.clone().lifted("c");
    store
        .set_hold(&lead, Some(&lifted))
        .await
        .expect("replaced");
    assert_eq!(store.hold("prod").await.expect("read"), Some(lifted));
    assert_eq!(store.hold("dev").await.expect("read"), None);
    store.set_hold(&lead, None).await.expect("removed");
    assert_eq!(store.hold("prod").await.expect("read"), None);
}
