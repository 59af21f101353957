use super::{Schedule, ScheduleError, believable};
use crate::foundation::span::Span;
use crate::inputs::settings::{self, Missed};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;
use std::time::{Duration, Instant};

fn settings(cron: &str, zone: &str, jitter: u64) -> settings::Schedule {
    settings::Schedule {
        cron: Some(cron.to_owned()),
        time_zone: Some(zone.to_owned()),
        jitter: Some(Span(Duration::from_secs(jitter))),
        ..settings::Schedule::default()
    }
}

fn schedule(cron: &str, zone: &str, jitter: u64) -> Schedule {
    let parsed = Schedule::parse(&settings(cron, zone, jitter), "prod");
    parsed
        .unwrap_or_else(|error| panic!("{cron}: {error}"))
        .expect("a cron")
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

/// The firings after `from`, as the wall clock of the zone shows them, with the offset.
fn firings(cron: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let schedule = schedule(cron, zone, 0);
    std::iter::successors(schedule.next_after(at(from)), |at| schedule.next_after(*at))
        .take(count)
        .map(|firing| {
            let zoned = firing.to_zoned(schedule.zone.clone());
            zoned.strftime("%m-%d %H:%M:%S %:z").to_string()
        })
        .collect()
}

#[test]
fn fields_are_five_or_six_with_seconds() {
    let noon = ["01-01 12:00:00 +00:00", "01-02 12:00:00 +00:00"];
    assert_eq!(
        firings("0 12 * * *", "UTC", "2025-01-01T00:00:00Z", 2),
        noon
    );
    let seconds = firings("30 0 12 * * *", "UTC", "2025-01-01T00:00:00Z", 1);
    assert_eq!(seconds, ["01-01 12:00:30 +00:00"]);
    // Exactly at a firing the next one is meant; within its second it is over.
    assert_eq!(
        firings("0 12 * * *", "UTC", "2025-01-01T12:00:00Z", 1),
        noon[1..]
    );
    assert_eq!(
        firings("0 12 * * *", "UTC", "2025-01-01T12:00:00.5Z", 1),
        noon[1..]
    );
    assert_eq!(
        firings("0 12 * * *", "UTC", "2025-01-01T11:59:59.999Z", 2),
        noon
    );
    for bad in [
        "",
        "* * * *",
        "61 * * * *",
        "x * * * *",
        "0 0 1 1 1 1 2026",
        "@daily",
    ] {
        let error = Schedule::parse(&settings(bad, "UTC", 0), "prod").expect_err(bad);
        assert_eq!(error.key(), "cron", "{bad}");
    }
    let error = Schedule::parse(&settings("0 1 * * *", "Mars/Olympus", 0), "prod");
    assert_eq!(error.expect_err("no zone").key(), "time_zone");
    let none = Schedule::parse(&settings::Schedule::default(), "prod");
    assert!(none.expect("nothing wrong").is_none());
}

#[test]
fn what_a_clock_that_was_ahead_recorded_is_not_believed() {
    let now = at("2026-03-01T12:00:00Z");
    let ahead = at("2035-01-01T00:00:00Z");
    let last = at("2026-02-28T02:00:00Z");
    assert_eq!(believable([ahead, last], now), Some(last));
    assert_eq!(believable([ahead], now), None);
    // Another host's clock is seldom quite the same.
    let soon = at("2026-03-01T12:00:03Z");
    assert_eq!(believable([last, soon], now), Some(soon));
    let schedule = schedule("0 2 * * *", "UTC", 0);
    let next = schedule.pending(believable([ahead, last], now), now);
    assert_eq!(next, Some(at("2026-03-02T02:00:00Z")));
    assert_eq!(
        schedule.latest_due(last, now),
        Some(at("2026-03-01T02:00:00Z"))
    );
}

#[test]
fn a_day_that_never_comes_is_found_at_once() {
    let begun = Instant::now();
    for never in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
        let error = Schedule::parse(&settings(never, "Europe/Berlin", 0), "prod");
        assert_eq!(
            error.expect_err("never"),
            ScheduleError::Never(never.to_owned())
        );
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    let leap = firings("0 0 29 2 *", "UTC", "2025-01-01T00:00:00Z", 1);
    assert_eq!(leap, ["02-29 00:00:00 +00:00"]);
}

#[test]
fn a_skipped_time_fires_after_the_gap() {
    // 2025-03-30: 02:00 is 03:00.
    let nightly = firings("30 2 * * *", "Europe/Berlin", "2025-03-29T12:00:00Z", 2);
    assert_eq!(nightly, ["03-30 03:00:00 +02:00", "03-31 02:30:00 +02:00"]);
    let often = firings("*/20 2,4 * * *", "Europe/Berlin", "2025-03-29T12:00:00Z", 3);
    assert_eq!(
        often,
        [
            "03-30 03:00:00 +02:00",
            "03-30 04:00:00 +02:00",
            "03-30 04:20:00 +02:00"
        ]
    );
    let met = firings("0 2,3 * * *", "Europe/Berlin", "2025-03-29T12:00:00Z", 2);
    assert_eq!(
        met,
        ["03-30 03:00:00 +02:00", "03-31 02:00:00 +02:00"],
        "once"
    );
    // 2025-03-09: 02:00 is 03:00.
    let new_york = firings("15 2 * * *", "America/New_York", "2025-03-08T12:00:00Z", 2);
    assert_eq!(new_york, ["03-09 03:00:00 -04:00", "03-10 02:15:00 -04:00"]);
    // 2025-10-05: 02:00 is 02:30.
    let howe = firings(
        "10 2 * * *",
        "Australia/Lord_Howe",
        "2025-10-04T12:00:00Z",
        2,
    );
    assert_eq!(howe, ["10-05 02:30:00 +11:00", "10-06 02:10:00 +11:00"]);
    // 2011-12-30 did not happen.
    let apia = firings("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", 3);
    assert_eq!(
        apia,
        [
            "12-29 12:00:00 -10:00",
            "12-31 00:00:00 +14:00",
            "12-31 12:00:00 +14:00"
        ]
    );
    // An interval leaves the gap out.
    let hourly = firings("0 * * * *", "Europe/Berlin", "2025-03-30T00:00:00Z", 3);
    assert_eq!(
        hourly,
        [
            "03-30 03:00:00 +02:00",
            "03-30 04:00:00 +02:00",
            "03-30 05:00:00 +02:00"
        ]
    );
}

#[test]
fn a_repeated_time_fires_once_unless_it_is_an_interval() {
    // 2025-10-26: 03:00 is 02:00 again.
    let nightly = firings("30 2 * * *", "Europe/Berlin", "2025-10-25T12:00:00Z", 2);
    assert_eq!(nightly, ["10-26 02:30:00 +02:00", "10-27 02:30:00 +01:00"]);
    let twice = firings("0 2,14 * * *", "Europe/Berlin", "2025-10-25T20:00:00Z", 2);
    assert_eq!(twice, ["10-26 02:00:00 +02:00", "10-26 14:00:00 +01:00"]);
    // From within the second pass.
    let later = firings("45 2 * * *", "Europe/Berlin", "2025-10-26T01:10:00Z", 1);
    assert_eq!(later, ["10-27 02:45:00 +01:00"]);
    let new_york = firings("30 1 * * *", "America/New_York", "2025-11-01T12:00:00Z", 2);
    assert_eq!(new_york, ["11-02 01:30:00 -04:00", "11-03 01:30:00 -05:00"]);
    // 2025-04-06: 02:00 is 01:30 again.
    let howe = firings(
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2025-04-05T00:00:00Z",
        2,
    );
    assert_eq!(howe, ["04-06 01:45:00 +11:00", "04-07 01:45:00 +10:30"]);
    let interval = firings("*/30 * * * *", "Europe/Berlin", "2025-10-25T23:45:00Z", 6);
    assert_eq!(
        interval,
        [
            "10-26 02:00:00 +02:00",
            "10-26 02:30:00 +02:00",
            "10-26 02:00:00 +01:00",
            "10-26 02:30:00 +01:00",
            "10-26 03:00:00 +01:00",
            "10-26 03:30:00 +01:00"
        ]
    );
}

#[test]
fn a_jitter_as_long_as_the_shortest_interval_is_a_fault() {
    let fault = |cron, zone, jitter| Schedule::parse(&settings(cron, zone, jitter), "prod").err();
    assert_eq!(fault("*/5 * * * *", "UTC", 299), None);
    let jitter = Duration::from_secs(300);
    let expected = ScheduleError::Jitter {
        jitter,
        interval: jitter,
    };
    assert_eq!(fault("*/5 * * * *", "UTC", 300), Some(expected));
    // Two hours apart on most days, one where the clock skips an hour.
    assert_eq!(fault("0 1,3 * * *", "UTC", 7199), None);
    assert!(fault("0 1,3 * * *", "Europe/Berlin", 3600).is_some());
    assert_eq!(fault("0 1,3 * * *", "Europe/Berlin", 3599), None);
    assert_eq!(fault("0 0 29 2 *", "UTC", 86_400), None);
}

#[test]
fn missed_firings_are_made_up_for_once_or_not_at_all() {
    let nightly = schedule("0 2 * * *", "UTC", 0);
    let last = Some(at("2025-06-01T02:00:00Z"));
    assert_eq!(nightly.missed(last, at("2025-06-02T01:59:59Z")), None);
    let missed = nightly.missed(last, at("2025-06-09T12:00:00Z"));
    assert_eq!(missed, Some(at("2025-06-09T02:00:00Z")));
    assert_eq!(nightly.missed(missed, at("2025-06-09T12:00:00Z")), None);
    assert_eq!(nightly.missed(None, at("2025-06-09T12:00:00Z")), None);
    let back = nightly.missed(last, at("2025-05-01T00:00:00Z"));
    assert_eq!(back, None, "a clock put back");
    let mut skipping = settings("0 2 * * *", "UTC", 0);
    skipping.missed = Some(Missed::Skip);
    let skipping = Schedule::parse(&skipping, "prod")
        .expect("fine")
        .expect("a cron");
    let now = at("2025-06-09T12:00:00Z");
    assert_eq!(skipping.missed(last, now), None);
    assert_eq!(
        skipping.pending(last, now),
        Some(at("2025-06-10T02:00:00Z"))
    );
    // A year of every second is not walked through.
    let always = schedule("* * * * * *", "UTC", 0);
    let begun = Instant::now();
    let latest = always.missed(
        Some(at("2024-01-01T00:00:00Z")),
        at("2025-06-09T12:00:00.7Z"),
    );
    assert_eq!(latest, Some(now));
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_firing_whose_delay_runs_is_waited_for() {
    let nightly = schedule("0 2 * * *", "UTC", 3600);
    let firing = at("2025-06-09T02:00:00Z");
    let due = nightly.due(firing);
    assert!(due > firing && due < at("2025-06-09T03:00:00Z"), "{due}");
    let last = Some(at("2025-06-08T02:00:00Z"));
    let second = SignedDuration::from_secs(1);
    assert_eq!(nightly.pending(last, firing), Some(firing));
    assert_eq!(nightly.pending(last, due - second), Some(firing));
    assert_eq!(nightly.missed(last, due - second), None);
    assert_eq!(nightly.missed(last, due), Some(firing));
    let next = at("2025-06-10T02:00:00Z");
    assert_eq!(nightly.pending(last, due), Some(next));
    assert_eq!(nightly.pending(Some(firing), firing), Some(next));
    let other = Schedule::parse(&settings("0 2 * * *", "UTC", 3600), "staging");
    assert_ne!(other.expect("fine").expect("a cron").due(firing), due);
}

const ZONES: &[&str] = &[
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
];
const CRONS: &[&str] = &[
    "0 2 * * *",
    "30 2 * * *",
    "*/15 * * * *",
    "0 2,14 * * *",
    "*/10 1-3 * * *",
    "0 0 1 * *",
    "59 23 * * SUN",
    "0 0 29 2 *",
    "15 30 */6 * * *",
];

proptest! {
    #[test]
    fn firings_go_forward_and_none_comes_twice(
        cron in select(CRONS), zone in select(ZONES), from in 1_200_000_000_i64..2_500_000_000,
    ) {
        let schedule = schedule(cron, zone, 0);
        let mut before = Timestamp::from_second(from).expect("a moment");
        for _ in 0..30 {
            let next = schedule.next_after(before).expect("a firing");
            prop_assert!(next > before);
            prop_assert_eq!(next.subsec_nanosecond(), 0);
            // From any moment between the two it is the same.
            let half = SignedDuration::from_millis((next - before).total(jiff::Unit::Millisecond).unwrap_or(0.0) as i64 / 2);
            prop_assert_eq!(schedule.next_after(before + half), Some(next));
            before = next;
        }
    }

    #[test]
    fn delays_are_within_the_jitter_and_keep_the_order(
        zone in select(ZONES), jitter in 1_u64..600, from in 1_200_000_000_i64..2_500_000_000,
    ) {
        let schedule = schedule("*/10 1-5 * * *", zone, jitter);
        let first = schedule.next_after(Timestamp::from_second(from).expect("a moment"));
        let firings = std::iter::successors(first, |at| schedule.next_after(*at));
        let mut due_before = Timestamp::MIN;
        for firing in firings.take(20) {
            let due = schedule.due(firing);
            prop_assert!(due >= firing);
            prop_assert!(due.duration_since(firing) < SignedDuration::from_secs(jitter as i64));
            prop_assert!(due > due_before);
            prop_assert_eq!(schedule.due(firing), due);
            due_before = due;
        }
    }

    #[test]
    fn the_missed_one_is_the_latest(
        cron in select(CRONS), zone in select(ZONES), last in 1_600_000_000_i64..1_700_000_000,
        later in 0_i64..40_000_000,
    ) {
        let schedule = schedule(cron, zone, 0);
        let moment = |second| Timestamp::from_second(second).expect("a moment");
        let (last, now) = (moment(last), moment(last + later));
        match schedule.missed(Some(last), now) {
            Some(firing) => {
                prop_assert!(firing > last && firing <= now);
                prop_assert!(schedule.next_after(firing).expect("a firing") > now);
                prop_assert_eq!(schedule.missed(Some(firing), now), None);
            }
            None => prop_assert!(schedule.next_after(last).expect("a firing") > now),
        }
    }
}
