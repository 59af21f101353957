//! What is known of drift, and that it is told with it.

use super::{Bed, On};
use crate::domain::records::drift::{DriftKind, DriftNews, DriftRecord, Drifted};
use jiff::Timestamp;

on_every_backend! {
    what_was_found_is_recorded_with_what_is_told
}

async fn what_was_found_is_recorded_with_what_is_told(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    assert_eq!(store.drift("prod").await.expect("read"), None);
    let none = DriftRecord {
        deployment: "a".to_owned(),
        ..DriftRecord::default()
    };
    store.set_drift(&lead, &none, None).await.expect("recorded");
    let found = none.clone().seen(vec![Drifted {
        what: "cluster c".to_owned(),
        change: DriftKind::Options,
        detail: String::new(),
        since: Timestamp::UNIX_EPOCH,
    }]);
    let news = DriftNews::between(&none, &found);
    store
        .set_drift(&lead, &found, news.as_ref())
        .await
        .expect("recorded");
    assert_eq!(store.drift("prod").await.expect("read"), Some(found));
    assert_eq!(store.drift("dev").await.expect("read"), None);
    let now = Timestamp::now();
    let due = store.due("prod", &["ops"], Timestamp::UNIX_EPOCH, now, 9);
    let due = due.await.expect("read");
    let kinds: Vec<&str> = due.iter().map(|due| due.message.kind.as_str()).collect();
    assert_eq!(kinds, ["drift_found"]);
    assert_eq!(due[0].message.body["reason"], "cluster c was altered");
}
