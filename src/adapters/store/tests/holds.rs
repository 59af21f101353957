//! What holds environments back.

use super::{Bed, On};
use crate::domain::records::hold::Hold;
use crate::domain::records::subject::Subject;
use jiff::Timestamp;

on_every_backend! {
    what_holds_is_written_whole_by_whoever_leads
}

async fn what_holds_is_written_whole_by_whoever_leads(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    assert_eq!(store.hold("prod").await.expect("read"), None);
    let hold = Hold {
        environment: "prod".to_owned(),
        deployment: Some("a".to_owned()),
        reason: "rolled back to a".to_owned(),
        since: Timestamp::UNIX_EPOCH,
        until: None,
        by: Subject::Cutover,
        cause: Some("b".to_owned()),
        lifted_by: None,
        before: None,
    };
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
