//! Corners of pull requests.

use super::{Bed, On};
use crate::adapters::store::StoreError;
use crate::domain::records::corner::{Corner, CornerState, corner_lead};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

on_every_backend! {
    one_corner_of_a_name_stands_at_a_time
    the_build_that_was_asked_for_last_is_wanted
}

fn corner(id: &str, name: &str) -> Corner {
    let at = Timestamp::from_millisecond(1_790_000_000_123).expect("a time");
    Corner {
        id: id.to_owned(),
        environment: "prod".to_owned(),
        name: name.to_owned(),
        state: CornerState::Building,
        created_at: at,
        updated_at: at,
        expires_at: at + SignedDuration::from_hours(24),
        ended_at: None,
        wanted: None,
        document: json!({"schemas": {"marts": "u5"}}),
    }
}

async fn one_corner_of_a_name_stands_at_a_time(on: On) {
    let bed = Bed::on(on);
    let store = bed.open().await;
    assert_eq!(store.corner("prod", "pr-1").await.expect("read"), None);
    let lead = store.lead(&corner_lead("prod", "pr-1")).await.expect("led");
    let mut first = corner("a", "pr-1");
    store.write_corner(&lead, &first).await.expect("recorded");
    let found = store.corner("prod", "pr-1").await.expect("read");
    let mut found = found.expect("a corner");
    found.updated_at = first.updated_at;
    assert_eq!(found, first);
    // Another of that name, and one that is not led.
    let second = store.write_corner(&lead, &corner("b", "pr-1")).await;
    assert!(second.is_err(), "{second:?}");
    let other = store.write_corner(&lead, &corner("c", "pr-2")).await;
    assert!(matches!(other, Err(StoreError::WrongLead { .. })));

    first.state = CornerState::Gone;
    first.ended_at = Some(first.created_at);
    store.write_corner(&lead, &first).await.expect("recorded");
    assert_eq!(store.corners("prod").await.expect("read"), []);
    let latest = async || {
        let latest = store.latest_corner("prod", "pr-1").await.expect("read");
        latest.map(|corner| (corner.id, corner.state))
    };
    assert_eq!(latest().await, Some(("a".to_owned(), CornerState::Gone)));
    let second = corner("b", "pr-1");
    store.write_corner(&lead, &second).await.expect("recorded");
    let building = Some(("b".to_owned(), CornerState::Building));
    assert_eq!(latest().await, building);
    let before = first.created_at + SignedDuration::from_secs(1);
    store.forget_corners("prod", before).await.expect("removed");
    let standing = store.corners("prod").await.expect("read");
    let ids: Vec<&str> = standing.iter().map(|corner| &*corner.id).collect();
    assert_eq!(ids, ["b"]);
    // It is forgotten, and so may be recorded anew.
    first.name = "pr-3".to_owned();
    let lead = store.lead(&corner_lead("prod", "pr-3")).await.expect("led");
    store.write_corner(&lead, &first).await.expect("recorded");
}

async fn the_build_that_was_asked_for_last_is_wanted(on: On) {
    let bed = Bed::on(on);
    let store = bed.open().await;
    let lead = store.lead(&corner_lead("prod", "pr-1")).await.expect("led");
    let first = corner("a", "pr-1");
    store.write_corner(&lead, &first).await.expect("recorded");
    for (build, wanted) in [("2", "2"), ("3", "3"), ("1", "3")] {
        let asked = store.want_corner("prod", "pr-1", build).await;
        asked.expect("recorded");
        // What is recorded of the corner does not take it back.
        store.write_corner(&lead, &first).await.expect("recorded");
        let found = store.corner("prod", "pr-1").await.expect("read");
        assert_eq!(found.and_then(|it| it.wanted).as_deref(), Some(wanted));
    }
    let other = store.want_corner("prod", "pr-9", "1").await;
    other.expect("nobody is asked");
}
