//! Answers to requests that may be sent again.

use super::{Bed, On};
use crate::adapters::store::StoreError;
use serde_json::json;

on_every_backend! {
    the_first_answer_stands
}

async fn the_first_answer_stands(on: On) {
    let (_bed, store, lead) = Bed::led(on).await;
    assert_eq!(store.remembered("prod", "k").await.expect("read"), None);
    let answer = json!({"run": "1", "text": "\0"});
    let first = store.remember(&lead, "prod", "k", "f1", answer.clone());
    let first = first.await.expect("recorded");
    assert_eq!((first.fingerprint.as_str(), &first.answer), ("f1", &answer));
    let second = store.remember(&lead, "prod", "k", "f2", json!(2)).await;
    assert_eq!(second.expect("found"), first);
    let found = store.remembered("prod", "k").await.expect("read");
    assert_eq!(found, Some(first));
    assert_eq!(store.remembered("dev", "k").await.expect("read"), None);
    let wrong = store.remember(&lead, "dev", "k", "f", json!(1)).await;
    assert!(matches!(wrong, Err(StoreError::WrongLead { .. })));
}
